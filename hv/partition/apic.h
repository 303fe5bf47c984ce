/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_APIC_H
#define PARTITION_APIC_H

/*
 * The virtual local APIC of a VP: xAPIC page and x2APIC MSRs over one state, interrupt acceptance and priority, IPIs,
 * timer. Interrupts for another VP are set from any processor (IRR and TMR are atomic); all else belongs to the VP's
 * own processor. "Own VP" below: the processor that runs it, in one of its exits, or anyone while it is stopped.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/sync/spinlock.h"
#include "hv/time/time.h"

struct partition;
struct vp;

/* Input clock of every virtual APIC timer, before the divide register; HV_X64_MSR_APIC_FREQUENCY reports it. */
#define APIC_TIMER_HZ UINT64_C(200000000)

#define APIC_WORDS  8u /* 256 vectors in words of 32 */
#define APIC_QWORDS (APIC_WORDS / 2)

/* Register offsets of the xAPIC page; the x2APIC MSR is 0x800 + offset / 16. */
enum apic_register {
    APIC_REG_ID = 0x020,
    APIC_REG_VERSION = 0x030,
    APIC_REG_TPR = 0x080,
    APIC_REG_APR = 0x090,
    APIC_REG_PPR = 0x0a0,
    APIC_REG_EOI = 0x0b0,
    APIC_REG_REMOTE_READ = 0x0c0,
    APIC_REG_LDR = 0x0d0,
    APIC_REG_DFR = 0x0e0,
    APIC_REG_SVR = 0x0f0,
    APIC_REG_ISR = 0x100,
    APIC_REG_TMR = 0x180,
    APIC_REG_IRR = 0x200,
    APIC_REG_ESR = 0x280,
    APIC_REG_LVT_CMCI = 0x2f0,
    APIC_REG_ICR_LOW = 0x300,
    APIC_REG_ICR_HIGH = 0x310,
    APIC_REG_LVT_TIMER = 0x320,
    APIC_REG_LVT_THERMAL = 0x330,
    APIC_REG_LVT_PERF = 0x340,
    APIC_REG_LVT_LINT0 = 0x350,
    APIC_REG_LVT_LINT1 = 0x360,
    APIC_REG_LVT_ERROR = 0x370,
    APIC_REG_INITIAL_COUNT = 0x380,
    APIC_REG_CURRENT_COUNT = 0x390,
    APIC_REG_DIVIDE = 0x3e0,
    APIC_REG_SELF_IPI = 0x3f0,
};

/* Local vector table, in register order from 0x320. */
enum apic_lvt {
    APIC_LVT_TIMER,
    APIC_LVT_THERMAL,
    APIC_LVT_PERF,
    APIC_LVT_LINT0,
    APIC_LVT_LINT1,
    APIC_LVT_ERROR,
    APIC_LVT_COUNT,
};

#define APIC_LVT_MASKED                 (1u << 16)
#define APIC_LVT_TIMER_PERIODIC         (1u << 17)
#define APIC_SVR_ENABLE                 (1u << 8)
#define APIC_ESR_SEND_ILLEGAL_VECTOR    (1u << 5)
#define APIC_ESR_RECEIVE_ILLEGAL_VECTOR (1u << 6)
#define APIC_ESR_ILLEGAL_REGISTER       (1u << 7)

/* One virtual APIC, inside its VP. */
struct apic {
    struct spinlock lock;                        /* rank LOCK_RANK_APIC: the timer */
    _Atomic uint64_t base;                       /* [a] APIC_BASE MSR; changed by the own VP, read by senders */
    uint32_t id;                                 /* [I] x2APIC id; its low 8 bits are the xAPIC id */
    _Atomic uint32_t svr, ldr, dfr;              /* [a] as base */
    ALIGNED(8) _Atomic uint32_t irr[APIC_WORDS]; /* [a] */
    _Atomic uint32_t tmr[APIC_WORDS];            /* [a] set for level-triggered vectors, before their IRR bit */
    uint32_t isr[APIC_WORDS];                    /* [V] */
    uint32_t lvt[APIC_LVT_COUNT];                /* [V]; the timer's under the lock */
    uint32_t icr_low, icr_high;                  /* [V] */
    uint32_t esr;                                /* [V] what the register reads */
    _Atomic uint32_t esr_pending;                /* [a] what its next write latches */
    _Atomic uint32_t extint;                     /* [a] 0x100 | vector of an external (8259-style) interrupt, or 0 */
    uint8_t tpr;                                 /* [V] */
    uint32_t timer_initial;                      /* [lock] initial count */
    uint32_t timer_divide;                       /* [lock] divide configuration register */
    uint64_t timer_expiry_tsc;                   /* [lock] machine TSC of the next expiry; 0: stopped */
    bool timer_is_stalled; /* [lock] a periodic expiry waits for the one before it to be accepted */
    struct timer timer;    /* fires at timer_expiry_tsc unless nobody would see it */
};

/* Prepares the APIC of a new VP with its id (root: the processor's; child: the VP index) and resets it. */
void apic_init(struct vp *vp, uint32_t id);

/* Reset state. INIT (power_on false) keeps the id, APIC_BASE stays enabled in its mode as the processor's does. Own VP.
 */
void apic_reset(struct vp *vp, bool power_on);

/* Stops the timer for good; no lock of rank APIC or higher held. */
void apic_destroy(struct vp *vp);

/* True when the VP's APIC is in xAPIC mode and its page lies at the page of `address`. Own VP. */
bool apic_is_page(const struct vp *vp, gpa_t address);

/* 32-bit accesses to the xAPIC page by register offset (0x000 to 0xFF0, multiple of 16). Own VP, no locks held. */
uint32_t apic_read(struct vp *vp, uint32_t offset);
void apic_write(struct vp *vp, uint32_t offset, uint32_t value);

/*
 * APIC_BASE and the x2APIC block (0x800 to 0x83F). False: #GP(0), nothing changed. Own VP, no locks held.
 * After any write the caller must look whether the VP became intercept-suspended (intercept_apic_eoi()).
 */
MUST_CHECK bool apic_msr_read(struct vp *vp, uint32_t msr, uint64_t *value);
MUST_CHECK bool apic_msr_write(struct vp *vp, uint32_t msr, uint64_t value);

/*
 * The hypervisor's EOI, ICR and TPR MSRs (and registers of those names): the same state whatever the mode. The ICR has
 * the xAPIC's two halves; in x2APIC mode its upper half is the 32-bit destination. Own VP, no locks held.
 */
uint64_t apic_icr(const struct vp *vp);
void apic_write_icr(struct vp *vp, uint64_t value);

/* APIC_BASE as the root sets it (HvCallSetVpRegisters): any valid mode in one step. False: reserved bits. VP stopped.
 */
MUST_CHECK bool apic_set_base(struct vp *vp, uint64_t value);

/*
 * Makes a fixed interrupt pending and wakes the VP. Lost if the APIC is disabled (hardware or software). Any context;
 * no lock of rank VP or higher held. Returns true when it was not pending before (and was not lost).
 */
bool apic_set_irr(struct vp *target, uint8_t vector, bool is_level);

/* The same without waking: for the VP itself and for callers that hold locks and wake it later. */
bool apic_set_irr_no_wake(struct vp *target, uint8_t vector, bool is_level);

/* True when the vector is pending (not accepted yet). Any context. */
bool apic_is_pending(const struct vp *vp, uint8_t vector);

/* False: no interrupt is pending in any way, so there is no vector to ask for below. Any context. */
static inline bool apic_has_pending(const struct apic *apic)
{
    /* Two words at a time, and without a loop: this is asked before each entry. */
    const _Atomic uint64_t *irr = (const _Atomic uint64_t *)apic->irr;
    uint64_t any = atomic_load_explicit(&apic->extint, memory_order_acquire);

    _Static_assert(APIC_QWORDS == 4, "all of them");
    any |= atomic_load_explicit(&irr[0], memory_order_acquire);
    any |= atomic_load_explicit(&irr[1], memory_order_acquire);
    any |= atomic_load_explicit(&irr[2], memory_order_acquire);
    any |= atomic_load_explicit(&irr[3], memory_order_acquire);
    return any != 0;
}

/* Highest pending vector whose priority is above the PPR, or -1. An external (ExtINT) interrupt goes first. Own VP. */
int apic_pending_vector(const struct vp *vp);

/* Highest pending vector that only the TPR keeps back, or -1. Own VP. */
int apic_blocked_vector(const struct vp *vp);

/* The vector is being delivered: IRR to ISR (not for ExtINT and AutoEOI vectors). Own VP, no locks held. */
void apic_accept(struct vp *vp, uint8_t vector);

/*
 * End of interrupt for the highest vector in service. Level-triggered: the physical one for the root, an APIC-EOI
 * intercept for a child. Waiting messages of a SINT with this vector are tried again. Own VP, no locks held.
 */
void apic_eoi(struct vp *vp);

/* What an end of interrupt is for others: the second half of apic_eoi(), for a vector that is not in service any more.
 * Own VP, no locks held. */
void apic_ended(struct vp *vp, uint8_t vector);

/*
 * A processor that virtualises the APIC may keep a VP's ISR, and what its guest sends itself, in guest mode.
 *
 * apic_can_be_lent(): nothing waits here, and all EOIs and self-IPIs of this guest can be left to such a processor. Own
 * VP, before an entry.
 * apic_watched_eois(): vectors, one bit each, whose end has to be told with apic_ended(). Own VP.
 * apic_take_back(): after the exit, word `word` of APIC_WORDS of the ISR, and of what the guest has requested itself
 * and was not delivered. Own VP.
 */
bool apic_can_be_lent(const struct vp *vp);
void apic_watched_eois(const struct vp *vp, uint64_t vectors[APIC_QWORDS]);
void apic_take_back(struct vp *vp, uint32_t word, uint32_t in_service, uint32_t requested);

/* Task priority; CR8 is its upper half. Own VP. */
void apic_set_tpr(struct vp *vp, uint8_t tpr);
uint8_t apic_ppr(const struct vp *vp);

/*
 * Delivers an interrupt message into a partition: `type` is one of HvX64InterruptType*, the destination an APIC id or
 * logical destination as each target's mode has them (8 bits for xAPIC, 32 for x2APIC). HvCallAssertVirtualInterrupt,
 * MSIs, IPIs. INVALID_PARAMETER: unknown or unsupported type, or a vector that the type does not allow. A destination
 * that nobody has is not an error. Any context; no lock of rank VP or higher held.
 */
MUST_CHECK hv_status_t apic_deliver(struct partition *partition, uint32_t type, bool is_logical, uint64_t destination,
                                    uint32_t vector, bool is_level);

/* True when the APIC of `target` would take a message for this destination. Any context. */
bool apic_matches(const struct vp *target, bool is_logical, uint64_t destination);

/* Takes back external (ExtINT) interrupts that no VP has accepted (HvCallClearVirtualInterrupt). */
void apic_clear_extint(struct partition *partition);

/* The VP with this APIC id, or null (HvCallGetVpIndexFromApicId). */
struct vp *apic_find_vp(struct partition *partition, uint32_t apic_id);

/* VP state HV_GET_SET_VP_STATE_LAPIC_STATE. VP stopped. Set: INVALID_PARAMETER for a state no APIC can have. */
void apic_get_state(struct vp *vp, struct hv_x64_interrupt_controller_state *state);
MUST_CHECK hv_status_t apic_set_state(struct vp *vp, const struct hv_x64_interrupt_controller_state *state);

#endif
