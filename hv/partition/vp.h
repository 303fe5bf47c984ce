/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_VP_H
#define PARTITION_VP_H

/*
 * The virtual processor. A child VP runs only inside a dispatch by a root VP, on that LP (root scheduler); root VP i
 * runs on LP i for ever. While a VP is in its run loop, everything marked [V] belongs to the processor that runs it;
 * others ask for work through `requests` and vp_wake(). Registers of a VP that is not running are read and written
 * under its lock.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_message.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_register.h"
#include "hv/abi/hv_status.h"
#include "hv/cpu/cpu.h"
#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic.h"
#include "hv/partition/backend.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/msr.h"
#include "hv/partition/stimer.h"
#include "hv/partition/synic.h"
#include "hv/sync/spinlock.h"
#include "hv/time/time.h"

struct gpa_space;
struct partition;
struct x86_cpu;

/* Bits of vp->requests: what the run loop must look at before the next entry. Set by anyone, cleared by the VP's
 * processor. */
#define VP_REQUEST_INTERRUPT  0x01u /* the virtual APIC may have something to deliver */
#define VP_REQUEST_NMI        0x02u /* an NMI is pending */
#define VP_REQUEST_INIT       0x04u /* INIT arrived */
#define VP_REQUEST_SIPI       0x08u /* SIPI arrived, vector in vp->sipi_vector */
#define VP_REQUEST_SUSPEND    0x10u /* explicit or dispatch suspend was set, or the partition is being finalised */
#define VP_REQUEST_INTERCEPTS 0x20u /* intercept maps changed */
#define VP_REQUEST_SLICE      0x40u /* the time slice of this dispatch is over */
#define VP_REQUEST_EOM        0x80u /* undelivered messages should be tried again */

/* General registers in encoding order (RAX RCX RDX RBX RSP RBP RSI RDI R8-R15), instruction pointer, flags. */
struct vp_regs {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;
};

enum vp_gpr {
    VP_RAX,
    VP_RCX,
    VP_RDX,
    VP_RBX,
    VP_RSP,
    VP_RBP,
    VP_RSI,
    VP_RDI,
};

/* Why a VP that is not suspended still does not run (HvRegisterInternalActivityState). */
enum vp_activity {
    VP_ACTIVE,
    VP_WAIT_FOR_SIPI,
    VP_HALTED, /* HLT: wakes on a deliverable interrupt, NMI, INIT */
    VP_IDLE,   /* guest idle MSR: wakes on a pending interrupt even with IF = 0 */
};

/* What a backend may leave in the processor's structures at an exit, until somebody asks for it (vp_read_state). */
#define VP_UNREAD_RSP      (1u << 0) /* regs.gpr[VP_RSP] */
#define VP_UNREAD_BLOCKING (1u << 1) /* interrupt_shadow and nmi_masked */

#define VP_CODE_TRAILS 8u
#define VP_CODE_NOTES  16u

/* How a page of code was found in which instructions have exited: see vp_fetch_instruction(). */
struct vp_code_trail {
    uint64_t page; /* linear address >> PAGE_SHIFT */
    struct vp_code_state state;
    struct gpa_trail trail;
};

/* An instruction that has exited: see vp_recall_instruction(). */
struct vp_code_note {
    uint64_t rip;
    uint64_t code; /* its bytes, and zeros */
    uint32_t op;
    uint32_t length; /* at most 8; 0: none is noted */
};

/* One virtual processor. */
struct vp {
    struct vp_regs regs;           /* [V] first: the entry assembly uses its offset */
    void *backend;                 /* [I] backend's part (VMCB or VMCS and what belongs to it) */
    struct partition *partition;   /* [I] */
    struct gpa_space *space;       /* [I] the partition's, for the backend */
    bool is_root;                  /* [I] the partition's */
    uint32_t index;                /* [I] VP index */
    uint32_t trace_id;             /* [I] for trace(): index | partition id << 16 */
    _Atomic uint32_t requests;     /* [a] VP_REQUEST_ bits */
    enum vp_run_status run_status; /* [V] what EXIT_LEAVE means */
    enum vp_activity activity;     /* [V] while running, else [lock] */
    uint32_t unread;               /* [V] VP_UNREAD_: these are older than the last exit */
    bool interrupt_shadow;         /* [V] STI or MOV SS just executed */
    bool nmi_masked;               /* [V] an NMI handler has not executed IRET yet */
    uint64_t pending_interruption; /* [V] HvRegisterPendingInterruption format: to be (re)injected at next entry */
    uint64_t space_generation;     /* [V] last GPA space generation this VP's TLB tag was flushed for */
    _Atomic uint64_t flush_wanted; /* [a] raised to have translations of this VP flushed before its next entry */
    uint64_t flush_done;           /* [V] last value of flush_wanted that was honoured */
    uint8_t sipi_vector;           /* [lock] */

    struct spinlock lock;               /* rank LOCK_RANK_VP */
    _Atomic(struct cpu *) cpu;          /* [a] LP whose run loop has it now, or null */
    bool is_created;                    /* [I] */
    bool is_explicitly_suspended;       /* [lock] HvRegisterExplicitSuspend */
    bool is_intercept_suspended;        /* [lock] HvRegisterInterceptSuspend */
    bool is_dispatch_suspended;         /* [lock] HvRegisterDispatchSuspend */
    bool is_blocked;                    /* [lock] last dispatch returned BLOCKED and no signal was sent since */
    bool is_claimed;                    /* [lock] vp->cpu is set by vp_claim(), not by a run loop */
    uint32_t last_root_vp;              /* [lock] root VP that dispatched it last: its signals go there */
    struct list_node signal_node;       /* [signal lock] waits to be told to the root (vp_signal.h) */
    _Atomic uint64_t root_signal_count; /* [a] VP signals sent to the root for it (HvRegisterVpRootSignalCount) */

    struct vp_code_trail code_trails[VP_CODE_TRAILS]; /* [V] by low bits of the page */
    struct vp_code_note code_notes[VP_CODE_NOTES];    /* [V] by low bits of the address */

    struct apic apic;
    struct synic synic;
    struct stimer stimers[STIMER_COUNT];
    struct vp_msrs msrs;   /* [V] guest MSR values that neither backend nor apic keep */
    struct vp_cpuid cpuid; /* [lock] registered CPUID results (HvCallRegisterInterceptResult) */

    void *fpu_area; /* [V] XSAVE image (page-aligned, one or more pages) of a VP that does not own the FPU */
    uint64_t xcr0;  /* [V] */
    uint64_t debug_addresses[4]; /* [V] DR0-DR3 while not loaded */

    struct hv_message *intercept_page; /* [I] after map: intercept message page (HvCallMapVpStatePage), or null */
    void *register_page;               /* [I] after map, or null */
    uint64_t *stats_page;              /* [I] after map, or null */
    uint64_t run_time_tsc;             /* [V] TSC ticks spent in dispatches */
    uint64_t exit_count;               /* [V] */
    struct timer slice_timer;          /* [V] ends a dispatch at its time slice */
};

/* Creates a VP, in reset state; pages from the partition's deposit. No locks held. Statuses as HvCallCreateVp. */
MUST_CHECK hv_status_t vp_create(struct partition *partition, uint32_t index, struct vp **created);

/* Frees everything a VP has; accepts a half-built one. Nothing refers to it any more; no locks held. */
void vp_destroy(struct vp *vp);

/*
 * Takes a VP that is in no run loop, so that its [V] state can be read and written; false: it is running. The VP's own
 * processor needs no claim. vp_release() sends the signal that became due meanwhile.
 */
MUST_CHECK bool vp_claim(struct vp *vp);
void vp_release(struct vp *vp);

/* Sets or clears one of the suspend flags; when it sets one, returns only after the VP has left its run loop. No locks
 * held. */
void vp_set_suspended(struct vp *vp, bool *flag, bool is_suspended);

/* Kicks the VP and returns when it is in no run loop and not claimed. The caller has made sure that it stays out. */
void vp_wait_stopped(struct vp *vp);

/*
 * Reads the four page-directory-pointer entries that CR3 of a PAE guest points to; what does not lie in memory reads as
 * zero. Own VP, no locks held.
 */
void vp_read_pdptes(struct vp *vp, uint64_t cr3, uint64_t pdptes[4]);

/* Registers for the instruction executor (x86_execute.h). Own VP. */
void vp_get_x86_cpu(struct vp *vp, struct x86_cpu *cpu);

/* True when nothing forbids the VP to run and it has work: a dispatch would enter it. VP lock held. */
bool vp_can_run_locked(struct vp *vp);

/* Architectural reset (power-on: all state; INIT: keeps FPU). VP > 0 goes to wait-for-SIPI. Own VP. */
void vp_reset(struct vp *vp, bool power_on);

/*
 * To be called after setting a request bit or pending interrupt for a VP: kicks it out of guest mode if it runs; if its
 * last dispatch returned "blocked" and it can run now, sends the root one VP signal; wakes an idle root LP. Any
 * context, no lock of rank VP or higher held.
 */
void vp_wake(struct vp *vp, uint32_t requests);

/* True when a halted or idle VP has something that ends its wait (or is not waiting at all). */
bool vp_has_work(struct vp *vp);

/*
 * Handles vp->requests before an entry (INIT, SIPI, suspend, EOM, ...), except INTERRUPT and NMI, which the backend
 * turns into injections by vp_next_event(). False: leave the run loop with vp->run_status. Called by the backend's run
 * loop.
 */
bool vp_handle_requests(struct vp *vp);

/* What the backend must do about events at this entry. */
struct vp_event {
    bool inject;                /* inject `interruption` (HvRegisterPendingInterruption format) */
    bool want_interrupt_window; /* an interrupt of class window_priority waits for IF, shadow or TPR */
    bool want_nmi_window;
    uint8_t window_priority; /* vector >> 4 of the waiting interrupt */
    uint64_t interruption;
};

/* To be called before anything of this is looked at or changed: makes it that of the last exit. Own VP. */
static inline void vp_read_state(struct vp *vp, uint32_t what)
{
    if ((vp->unread & what) != 0) {
        backend->read_state(vp, what);
    }
}

/*
 * Has translations of the VP flushed before its next entry. If it may be in guest mode, the caller then makes it leave
 * (cpu_quiesce_space). Any processor; no lock of rank LOCK_RANK_FLUSH or higher held.
 */
static inline void vp_flush(struct vp *vp, const struct vp_flush_set *set)
{
    if (backend->note_flush != NULL) {
        backend->note_flush(vp, set);
    }
    /* Pairs with the load before an entry, which comes behind the store of cpu->guest_space. */
    (void)atomic_fetch_add_explicit(&vp->flush_wanted, 1, memory_order_seq_cst);
}

/*
 * Picks the event for the coming entry: pending_interruption first, then NMI, then the virtual APIC's highest vector
 * when RFLAGS.IF and the shadow allow. An interrupt picked is accepted (moved to ISR, or AutoEOI'd) and must be
 * injected.
 */
struct vp_event vp_next_event(struct vp *vp);

/* False: vp_next_event() would have nothing to say, and need not be asked. Own VP. */
static inline bool vp_has_event(const struct vp *vp)
{
    uint32_t requests = atomic_load_explicit(&vp->requests, memory_order_relaxed);

    return vp->pending_interruption != 0 || (requests & (VP_REQUEST_INTERRUPT | VP_REQUEST_NMI)) != 0 ||
           apic_has_pending(&vp->apic);
}

/* One zeroed page from the partition's deposit (or null), for the backend's part of a VP; and back. */
MUST_CHECK void *vp_page_alloc(struct vp *vp);
void vp_page_free(struct vp *vp, void *page);

/* Bit per exception vector that the partition's root intercepts (HvCallInstallIntercept). */
uint32_t vp_exception_intercepts(struct vp *vp);

/* Task priority; CR8 is its upper half. Own VP. */
static inline uint8_t apic_tpr(const struct vp *vp)
{
    return vp->apic.tpr;
}

/* RIP after an instruction that ends in another 4 GiB than it begins: only 64-bit code can be there. */
uint64_t vp_wrapped_rip(struct vp *vp, uint64_t rip);

/* A guest that single-steps gets its trap behind an instruction that was completed for it, too. SDM vol. 3, Single-Step
 * Exception Condition. */
void vp_trap_single_step(struct vp *vp);

/* Advances RIP over an instruction of `length` bytes and ends the interrupt shadow. */
static inline void vp_advance(struct vp *vp, uint8_t length)
{
    uint64_t rip = vp->regs.rip + length;

    vp->regs.rip = rip >> 32 == vp->regs.rip >> 32 ? rip : vp_wrapped_rip(vp, rip);
    vp->regs.rflags &= ~X86_RFLAGS_RF;
    vp_read_state(vp, VP_UNREAD_BLOCKING);
    vp->interrupt_shadow = false;
    if (UNLIKELY((vp->regs.rflags & X86_RFLAGS_TF) != 0)) {
        vp_trap_single_step(vp);
    }
}

/* Leaves an exception to be delivered at the next entry (instead of anything less severe; #DF merging as the CPU does).
 */
void vp_inject_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error);

/* Page fault: sets CR2 and injects #PF. */
void vp_inject_page_fault(struct vp *vp, uint64_t address, uint32_t error);

/* #GP(0), the commonest. */
static inline void vp_inject_gp(struct vp *vp)
{
    vp_inject_exception(vp, X86_VECTOR_GP, true, 0);
}

/*
 * Runs a child VP on this processor (HvCallDispatchVp): slice in 100 ns units (0: unlimited), flags
 * HV_DISPATCH_VP_FLAG_*. Fills the output. Statuses: INVALID_VP_STATE (running elsewhere), INVALID_PARTITION_STATE (not
 * initialised, or finalised).
 */
MUST_CHECK hv_status_t vp_dispatch(struct vp *vp, uint32_t flags, uint64_t slice_100ns,
                                   struct hv_output_dispatch_vp *output);

/* False for registers that may be read and written while the VP runs: the suspend flags and the signal count. */
bool vp_register_needs_claim(uint32_t name);

/*
 * A VP's register by ABI name, any kind (vp_regs.c). The VP is claimed or its own, unless vp_register_needs_claim()
 * says that it need not be; no locks held. INVALID_PARAMETER: no such register; INVALID_REGISTER_VALUE;
 * OPERATION_DENIED: read only.
 */
MUST_CHECK hv_status_t vp_get_register(struct vp *vp, uint32_t name, union hv_register_value *value);
MUST_CHECK hv_status_t vp_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value);

/* Swaps extended state so that this VP's FPU registers are loaded on this processor; called before guest entry. */
void vp_load_fpu(struct vp *vp);
/* Writes the VP's extended state back to its area if some processor still holds it (must be this one or none). */
void vp_save_fpu(struct vp *vp);

/* Highest privilege: current privilege level, and whether 64-bit code runs. */
uint8_t vp_cpl(struct vp *vp);
bool vp_is_long_mode(struct vp *vp);

/* Sets run_status and answers false/EXIT_LEAVE in one line: `return vp_leave(vp, VP_RUN_BLOCKED);` */
static inline bool vp_leave(struct vp *vp, enum vp_run_status status)
{
    vp->run_status = status;
    return false;
}

#endif
