/* SPDX-License-Identifier: MIT */
/*
 * The virtual local APIC: registers by page and MSR, acceptance, priority, end of interrupt, saved state. Delivery
 * between VPs is in apic_deliver.c, the timer in apic_timer.c. Intel SDM vol. 3, Advanced Programmable Interrupt
 * Controller.
 */
#include "hv/partition/apic.h"

#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic_deliver.h"
#include "hv/partition/apic_timer.h"
#include "hv/partition/device_interrupt.h"
#include "hv/partition/intercept.h"
#include "hv/partition/partition.h"
#include "hv/partition/stimer.h"
#include "hv/partition/synic.h"
#include "hv/partition/vp.h"

/* Version register: 0x14, LVT entries 0 to 5, no EOI-broadcast suppression. */
#define VERSION_VALUE              (0x14u | ((uint32_t)(APIC_LVT_COUNT - 1) << 16))
#define SVR_RESET                  0xffu
#define SVR_VALID                  0x3ffu
#define DFR_RESET                  0xffffffffu
#define DFR_MODEL_SHIFT            28
#define LDR_XAPIC_MASK             0xff000000u
#define DIVIDE_VALID               0xbu
#define VECTOR_FIRST               16u /* below are no interrupts */
#define PRIORITY_CLASS             0xf0u
#define EXTINT_PENDING             0x100u
#define BITS                       32u
#define X2APIC_MSR_SHIFT           4
#define X2APIC_MSR_COUNT           0x40u
#define X2APIC_ID_TO_CLUSTER_SHIFT 4

/* Bits that software can set in each LVT entry. */
static const uint32_t lvt_valid[APIC_LVT_COUNT] = {
    [APIC_LVT_TIMER] = 0x300ff, [APIC_LVT_THERMAL] = 0x107ff, [APIC_LVT_PERF] = 0x107ff,
    [APIC_LVT_LINT0] = 0x1a7ff, [APIC_LVT_LINT1] = 0x1a7ff,   [APIC_LVT_ERROR] = 0x100ff,
};

static uint64_t base_of(const struct apic *apic)
{
    return atomic_load_explicit(&apic->base, memory_order_relaxed);
}

static bool is_x2apic(const struct apic *apic)
{
    return (base_of(apic) & X86_APIC_BASE_X2APIC) != 0;
}

static bool is_hardware_enabled(const struct apic *apic)
{
    return (base_of(apic) & X86_APIC_BASE_ENABLE) != 0;
}

static bool is_software_enabled(const struct apic *apic)
{
    return (atomic_load_explicit(&apic->svr, memory_order_relaxed) & APIC_SVR_ENABLE) != 0;
}

/* Highest vector set in the words, or -1. */
static int highest_plain(const uint32_t *words)
{
    for (int i = (int)APIC_WORDS - 1; i >= 0; i--) {
        if (words[i] != 0) {
            return i * (int)BITS + 31 - __builtin_clz(words[i]);
        }
    }
    return -1;
}

static int highest_pending(const struct apic *apic)
{
    for (int i = (int)APIC_WORDS - 1; i >= 0; i--) {
        uint32_t word = atomic_load_explicit(&apic->irr[i], memory_order_acquire);

        if (word != 0) {
            return i * (int)BITS + 31 - __builtin_clz(word);
        }
    }
    return -1;
}

/* x2APIC: the logical id follows from the id (SDM, Deriving Logical x2APIC ID). */
static uint32_t x2apic_ldr(const struct apic *apic)
{
    return (apic->id >> X2APIC_ID_TO_CLUSTER_SHIFT) << 16 | 1u << (apic->id & 0xfu);
}

static void reset_registers(struct vp *vp)
{
    struct apic *apic = &vp->apic;

    for (uint32_t i = 0; i < APIC_WORDS; i++) {
        atomic_store_explicit(&apic->irr[i], 0, memory_order_relaxed);
        atomic_store_explicit(&apic->tmr[i], 0, memory_order_relaxed);
        apic->isr[i] = 0;
    }
    for (uint32_t i = APIC_LVT_THERMAL; i < APIC_LVT_COUNT; i++) {
        apic->lvt[i] = APIC_LVT_MASKED;
    }
    atomic_store_explicit(&apic->svr, SVR_RESET, memory_order_relaxed);
    atomic_store_explicit(&apic->dfr, DFR_RESET, memory_order_relaxed);
    atomic_store_explicit(&apic->ldr, is_x2apic(apic) ? x2apic_ldr(apic) : 0, memory_order_relaxed);
    atomic_store_explicit(&apic->extint, 0, memory_order_relaxed);
    atomic_store_explicit(&apic->esr_pending, 0, memory_order_relaxed);
    apic->esr = 0;
    apic->icr_low = 0;
    apic->icr_high = 0;
    apic->tpr = 0;
    apic_timer_reset(vp);
}

void apic_init(struct vp *vp, uint32_t id)
{
    spin_init(&vp->apic.lock, LOCK_RANK_APIC, "APIC");
    vp->apic.id = id;
    apic_timer_init(vp);
    apic_reset(vp, true);
}

void apic_reset(struct vp *vp, bool power_on)
{
    if (power_on) {
        uint64_t base = X86_APIC_BASE_DEFAULT | X86_APIC_BASE_ENABLE | (vp->index == 0 ? X86_APIC_BASE_BSP : 0);

        atomic_store_explicit(&vp->apic.base, base, memory_order_relaxed);
    }
    reset_registers(vp);
}

void apic_destroy(struct vp *vp)
{
    apic_timer_destroy(vp);
}

bool apic_is_page(const struct vp *vp, gpa_t address)
{
    uint64_t base = base_of(&vp->apic);

    return (base & (X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC)) == X86_APIC_BASE_ENABLE &&
           (address.value & ~PAGE_MASK) == (base & X86_APIC_BASE_ADDRESS);
}

void apic_raise_error(struct vp *vp, uint32_t error)
{
    struct apic *apic = &vp->apic;
    uint32_t entry = READ_ONCE(apic->lvt[APIC_LVT_ERROR]);

    atomic_fetch_or_explicit(&apic->esr_pending, error, memory_order_relaxed);
    /* A bad vector of the error entry itself must not raise an error again. */
    if (!(entry & APIC_LVT_MASKED) && (entry & 0xffu) >= VECTOR_FIRST) {
        apic_set_irr_no_wake(vp, (uint8_t)entry, false);
    }
}

bool apic_set_irr_no_wake(struct vp *target, uint8_t vector, bool is_level)
{
    struct apic *apic = &target->apic;
    uint32_t bit = 1u << (vector % BITS);

    if (!is_hardware_enabled(apic) || !is_software_enabled(apic)) {
        return false;
    }
    if (vector < VECTOR_FIRST) {
        apic_raise_error(target, APIC_ESR_RECEIVE_ILLEGAL_VECTOR);
        return false;
    }
    if (is_level) {
        atomic_fetch_or_explicit(&apic->tmr[vector / BITS], bit, memory_order_relaxed);
    } else {
        atomic_fetch_and_explicit(&apic->tmr[vector / BITS], ~bit, memory_order_relaxed);
    }
    /* Release: whoever sees the IRR bit (highest_pending) sees its trigger mode. */
    return (atomic_fetch_or_explicit(&apic->irr[vector / BITS], bit, memory_order_acq_rel) & bit) == 0;
}

bool apic_set_irr(struct vp *target, uint8_t vector, bool is_level)
{
    bool is_new = apic_set_irr_no_wake(target, vector, is_level);

    if (is_new) {
        vp_wake(target, VP_REQUEST_INTERRUPT);
    }
    return is_new;
}

bool apic_is_pending(const struct vp *vp, uint8_t vector)
{
    return ((atomic_load_explicit(&vp->apic.irr[vector / BITS], memory_order_acquire) >> (vector % BITS)) & 1u) != 0;
}

uint8_t apic_ppr(const struct vp *vp)
{
    int in_service = highest_plain(vp->apic.isr);
    uint32_t service_class = in_service < 0 ? 0 : (uint32_t)in_service & PRIORITY_CLASS;

    return vp->apic.tpr >= service_class ? vp->apic.tpr : (uint8_t)service_class;
}

int apic_pending_vector(const struct vp *vp)
{
    uint32_t extint = atomic_load_explicit(&vp->apic.extint, memory_order_acquire);
    int vector;

    if (extint & EXTINT_PENDING) {
        return (int)(extint & 0xffu);
    }
    if (!is_hardware_enabled(&vp->apic)) {
        return -1;
    }
    vector = highest_pending(&vp->apic);
    return vector >= 0 && ((uint32_t)vector & PRIORITY_CLASS) > (apic_ppr(vp) & PRIORITY_CLASS) ? vector : -1;
}

int apic_blocked_vector(const struct vp *vp)
{
    int in_service = highest_plain(vp->apic.isr);
    int vector = highest_pending(&vp->apic);

    if (!is_hardware_enabled(&vp->apic) || vector < 0) {
        return -1;
    }
    if (in_service >= 0 && ((uint32_t)vector & PRIORITY_CLASS) <= ((uint32_t)in_service & PRIORITY_CLASS)) {
        return -1;
    }
    return ((uint32_t)vector & PRIORITY_CLASS) <= (vp->apic.tpr & PRIORITY_CLASS) ? vector : -1;
}

void apic_accept(struct vp *vp, uint8_t vector)
{
    struct apic *apic = &vp->apic;
    uint32_t bit = 1u << (vector % BITS);
    uint32_t extint = EXTINT_PENDING | vector;

    if (atomic_compare_exchange_strong_explicit(&apic->extint, &extint, 0, memory_order_acq_rel,
                                                memory_order_relaxed)) {
        return;
    }
    atomic_fetch_and_explicit(&apic->irr[vector / BITS], ~bit, memory_order_acq_rel);
    if (synic_is_auto_eoi(vp, vector)) {
        synic_eoi(vp, vector);
    } else {
        apic->isr[vector / BITS] |= bit;
    }
    if ((uint8_t)apic->lvt[APIC_LVT_TIMER] == vector) {
        apic_timer_accepted(vp);
    }
    stimer_accepted(vp, vector);
}

void apic_ended(struct vp *vp, uint8_t vector)
{
    if (atomic_load_explicit(&vp->apic.tmr[vector / BITS], memory_order_relaxed) & (1u << (vector % BITS))) {
        if (vp->is_root) {
            device_interrupt_eoi(vp, vector);
        } else {
            intercept_apic_eoi(vp, vector);
        }
    }
    synic_eoi(vp, vector);
}

void apic_eoi(struct vp *vp)
{
    struct apic *apic = &vp->apic;
    int vector = highest_plain(apic->isr);

    if (vector < 0) {
        return;
    }
    apic->isr[(uint32_t)vector / BITS] &= ~(1u << ((uint32_t)vector % BITS));
    apic_ended(vp, (uint8_t)vector);
}

/* What the processor may keep: nothing waits here, and each EOI and self-IPI that the guest can make is plain. */
bool apic_can_be_lent(const struct vp *vp)
{
    const struct apic *apic = &vp->apic;

    return is_x2apic(apic) && is_software_enabled(apic) && !apic_has_pending(apic) && !synic_has_auto_eoi(vp);
}

void apic_watched_eois(const struct vp *vp, uint64_t vectors[APIC_QWORDS])
{
    for (uint32_t i = 0; i < APIC_QWORDS; i++) {
        vectors[i] = vp->synic.vectors[i] | atomic_load_explicit(&vp->apic.tmr[2 * i], memory_order_relaxed) |
                     (uint64_t)atomic_load_explicit(&vp->apic.tmr[2 * i + 1], memory_order_relaxed) << BITS;
    }
}

void apic_take_back(struct vp *vp, uint32_t word, uint32_t in_service, uint32_t requested)
{
    vp->apic.isr[word] = in_service;
    for (; requested != 0; requested &= requested - 1) {
        (void)apic_set_irr_no_wake(vp, (uint8_t)(word * BITS + (uint32_t)__builtin_ctz(requested)), false);
    }
}

void apic_set_tpr(struct vp *vp, uint8_t tpr)
{
    vp->apic.tpr = tpr;
}

static void write_svr(struct vp *vp, uint32_t value)
{
    struct apic *apic = &vp->apic;

    atomic_store_explicit(&apic->svr, value & SVR_VALID, memory_order_relaxed);
    if (!(value & APIC_SVR_ENABLE)) {
        /* SDM, Local APIC State After It Has Been Software Disabled: all entries become masked. */
        for (uint32_t i = APIC_LVT_THERMAL; i < APIC_LVT_COUNT; i++) {
            apic->lvt[i] |= APIC_LVT_MASKED;
        }
        apic_timer_set_lvt(vp, apic->lvt[APIC_LVT_TIMER] | APIC_LVT_MASKED);
    }
}

static void write_lvt(struct vp *vp, uint32_t index, uint32_t value)
{
    value &= lvt_valid[index];
    if (!is_software_enabled(&vp->apic)) {
        value |= APIC_LVT_MASKED;
    }
    if (index == APIC_LVT_TIMER) {
        apic_timer_set_lvt(vp, value);
    } else {
        WRITE_ONCE(vp->apic.lvt[index], value);
    }
}

static void write_esr(struct vp *vp)
{
    vp->apic.esr = atomic_exchange_explicit(&vp->apic.esr_pending, 0, memory_order_relaxed);
}

/* Index of an LVT register, or APIC_LVT_COUNT. */
static uint32_t lvt_index(uint32_t offset)
{
    if (offset < APIC_REG_LVT_TIMER || offset > APIC_REG_LVT_ERROR) {
        return APIC_LVT_COUNT;
    }
    return (offset - APIC_REG_LVT_TIMER) >> X2APIC_MSR_SHIFT;
}

/* One of ISR, TMR, IRR; offset between 0x100 and 0x270. */
static uint32_t read_bits(const struct apic *apic, uint32_t offset)
{
    uint32_t word = (offset >> X2APIC_MSR_SHIFT) % APIC_WORDS;

    if (offset < APIC_REG_TMR) {
        return apic->isr[word];
    }
    return atomic_load_explicit(offset < APIC_REG_IRR ? &apic->tmr[word] : &apic->irr[word], memory_order_relaxed);
}

/* Registers that both modes have; false: not one of them. */
static bool read_common(struct vp *vp, uint32_t offset, uint32_t *value)
{
    struct apic *apic = &vp->apic;
    uint32_t lvt = lvt_index(offset);

    if (offset >= APIC_REG_ISR && offset < APIC_REG_ESR) {
        *value = read_bits(apic, offset);
        return true;
    }
    if (lvt < APIC_LVT_COUNT) {
        *value = apic->lvt[lvt];
        return true;
    }
    switch (offset) {
    case APIC_REG_ID:
        *value = is_x2apic(apic) ? apic->id : apic->id << 24;
        return true;
    case APIC_REG_VERSION:
        *value = VERSION_VALUE;
        return true;
    case APIC_REG_TPR:
        *value = apic->tpr;
        return true;
    case APIC_REG_PPR:
        *value = apic_ppr(vp);
        return true;
    case APIC_REG_LDR:
        *value = atomic_load_explicit(&apic->ldr, memory_order_relaxed);
        return true;
    case APIC_REG_SVR:
        *value = atomic_load_explicit(&apic->svr, memory_order_relaxed);
        return true;
    case APIC_REG_ESR:
        *value = apic->esr;
        return true;
    case APIC_REG_INITIAL_COUNT:
        *value = apic->timer_initial;
        return true;
    case APIC_REG_CURRENT_COUNT:
        *value = apic_timer_current(vp);
        return true;
    case APIC_REG_DIVIDE:
        *value = apic->timer_divide;
        return true;
    default:
        return false;
    }
}

uint32_t apic_read(struct vp *vp, uint32_t offset)
{
    struct apic *apic = &vp->apic;
    uint32_t value = 0;

    if (read_common(vp, offset, &value)) {
        return value;
    }
    switch (offset) {
    case APIC_REG_DFR:
        return atomic_load_explicit(&apic->dfr, memory_order_relaxed);
    case APIC_REG_ICR_LOW:
        return apic->icr_low;
    case APIC_REG_ICR_HIGH:
        return apic->icr_high;
    case APIC_REG_EOI:
    case APIC_REG_APR:
    case APIC_REG_REMOTE_READ:
        return 0;
    default:
        apic_raise_error(vp, APIC_ESR_ILLEGAL_REGISTER);
        return 0;
    }
}

void apic_write(struct vp *vp, uint32_t offset, uint32_t value)
{
    struct apic *apic = &vp->apic;
    uint32_t lvt = lvt_index(offset);

    if (lvt < APIC_LVT_COUNT) {
        write_lvt(vp, lvt, value);
        return;
    }
    switch (offset) {
    case APIC_REG_TPR:
        apic_set_tpr(vp, (uint8_t)value);
        break;
    case APIC_REG_EOI:
        apic_eoi(vp);
        break;
    case APIC_REG_LDR:
        atomic_store_explicit(&apic->ldr, value & LDR_XAPIC_MASK, memory_order_relaxed);
        break;
    case APIC_REG_DFR:
        atomic_store_explicit(&apic->dfr, value | ~(0xfu << DFR_MODEL_SHIFT), memory_order_relaxed);
        break;
    case APIC_REG_SVR:
        write_svr(vp, value);
        break;
    case APIC_REG_ESR:
        write_esr(vp);
        break;
    case APIC_REG_ICR_LOW:
        apic_write_icr(vp, value | (uint64_t)apic->icr_high << 32);
        break;
    case APIC_REG_ICR_HIGH:
        apic->icr_high = value & LDR_XAPIC_MASK;
        break;
    case APIC_REG_INITIAL_COUNT:
        apic_timer_set_initial(vp, value);
        break;
    case APIC_REG_DIVIDE:
        apic_timer_set_divide(vp, value & DIVIDE_VALID);
        break;
    case APIC_REG_ID: /* read-only here, as on processors with x2APIC */
    case APIC_REG_VERSION:
    case APIC_REG_CURRENT_COUNT:
    case APIC_REG_PPR:
        break;
    default:
        apic_raise_error(vp, APIC_ESR_ILLEGAL_REGISTER);
        break;
    }
}

uint64_t apic_icr(const struct vp *vp)
{
    return vp->apic.icr_low | (uint64_t)vp->apic.icr_high << 32;
}

void apic_write_icr(struct vp *vp, uint64_t value)
{
    struct apic *apic = &vp->apic;
    bool is_wide = is_x2apic(apic);

    apic->icr_low = (uint32_t)value & APIC_ICR_VALID;
    apic->icr_high = (uint32_t)(value >> 32) & (is_wide ? UINT32_MAX : LDR_XAPIC_MASK);
    if (is_hardware_enabled(apic)) {
        apic_send_ipi(vp, apic->icr_low, is_wide ? apic->icr_high : apic->icr_high >> 24);
    }
}

/* Replaces APIC_BASE; a mode that is left loses its state as the SDM's state diagram of the modes says. */
static void change_base(struct vp *vp, uint64_t value)
{
    struct apic *apic = &vp->apic;
    uint64_t changed = base_of(apic) ^ value;

    atomic_store_explicit(&apic->base, value, memory_order_relaxed);
    if (!(value & X86_APIC_BASE_ENABLE)) {
        if (changed & X86_APIC_BASE_ENABLE) {
            reset_registers(vp);
        }
    } else if ((changed & X86_APIC_BASE_X2APIC) != 0) {
        atomic_store_explicit(&apic->ldr, is_x2apic(apic) ? x2apic_ldr(apic) : 0, memory_order_relaxed);
        apic->icr_high = 0;
    }
}

static bool base_is_valid(const struct vp *vp, uint64_t value)
{
    const uint64_t defined = X86_APIC_BASE_BSP | X86_APIC_BASE_X2APIC | X86_APIC_BASE_ENABLE | X86_APIC_BASE_ADDRESS;
    const uint64_t mode = value & (X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC);

    return (value & ~defined) == 0 && mode != X86_APIC_BASE_X2APIC &&
           (value & X86_APIC_BASE_ADDRESS) < vp->partition->space.limit;
}

static bool write_base(struct vp *vp, uint64_t value)
{
    const uint64_t modes = X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC;
    uint64_t from = base_of(&vp->apic) & modes;
    uint64_t to = value & modes;

    if (!base_is_valid(vp, value) || (from == modes && to == X86_APIC_BASE_ENABLE) || (from == 0 && to == modes)) {
        return false;
    }
    change_base(vp, (value & ~X86_APIC_BASE_BSP) | (base_of(&vp->apic) & X86_APIC_BASE_BSP));
    return true;
}

bool apic_set_base(struct vp *vp, uint64_t value)
{
    if (!base_is_valid(vp, value)) {
        return false;
    }
    change_base(vp, value);
    return true;
}

bool apic_msr_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    uint32_t offset = (msr - X86_MSR_X2APIC_FIRST) << X2APIC_MSR_SHIFT;
    uint32_t low = 0;

    if (msr == X86_MSR_APIC_BASE) {
        *value = base_of(&vp->apic);
        return true;
    }
    if (!is_x2apic(&vp->apic) || msr - X86_MSR_X2APIC_FIRST >= X2APIC_MSR_COUNT) {
        return false;
    }
    if (offset == APIC_REG_ICR_LOW) {
        *value = apic_icr(vp);
        return true;
    }
    if (!read_common(vp, offset, &low)) {
        return false;
    }
    *value = low;
    return true;
}

/* x2APIC MSRs fault on reserved bits, where the page ignores them. */
static bool x2apic_value_is_valid(uint32_t offset, uint64_t value)
{
    uint32_t lvt = lvt_index(offset);

    if (lvt < APIC_LVT_COUNT) {
        return (value & ~(uint64_t)lvt_valid[lvt]) == 0;
    }
    switch (offset) {
    case APIC_REG_TPR:
    case APIC_REG_SELF_IPI:
        return value <= 0xff;
    case APIC_REG_EOI:
    case APIC_REG_ESR:
        return value == 0;
    case APIC_REG_SVR:
        return (value & ~(uint64_t)SVR_VALID) == 0;
    case APIC_REG_ICR_LOW:
        return ((uint32_t)value & ~(APIC_ICR_VALID | APIC_ICR_DELIVERY_STATUS)) == 0;
    case APIC_REG_INITIAL_COUNT:
        return value <= UINT32_MAX;
    case APIC_REG_DIVIDE:
        return (value & ~(uint64_t)DIVIDE_VALID) == 0;
    default:
        return false; /* read-only or absent */
    }
}

bool apic_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    uint32_t offset = (msr - X86_MSR_X2APIC_FIRST) << X2APIC_MSR_SHIFT;

    if (msr == X86_MSR_APIC_BASE) {
        return write_base(vp, value);
    }
    if (!is_x2apic(&vp->apic) || msr - X86_MSR_X2APIC_FIRST >= X2APIC_MSR_COUNT ||
        !x2apic_value_is_valid(offset, value)) {
        return false;
    }
    if (offset == APIC_REG_ICR_LOW) {
        apic_write_icr(vp, value);
    } else if (offset == APIC_REG_SELF_IPI) {
        apic_send_ipi(vp, APIC_ICR_SHORTHAND_SELF | (uint32_t)value, 0);
    } else {
        apic_write(vp, offset, (uint32_t)value);
    }
    return true;
}

void apic_get_state(struct vp *vp, struct hv_x64_interrupt_controller_state *state)
{
    const struct apic *apic = &vp->apic;

    memset(state, 0, sizeof(*state));
    state->apic_id = is_x2apic(apic) ? apic->id : apic->id << 24;
    state->apic_version = VERSION_VALUE;
    state->apic_ldr = atomic_load_explicit(&apic->ldr, memory_order_relaxed);
    state->apic_dfr = atomic_load_explicit(&apic->dfr, memory_order_relaxed);
    state->apic_spurious = atomic_load_explicit(&apic->svr, memory_order_relaxed);
    for (uint32_t i = 0; i < APIC_WORDS; i++) {
        state->apic_isr[i] = apic->isr[i];
        state->apic_tmr[i] = atomic_load_explicit(&apic->tmr[i], memory_order_relaxed);
        state->apic_irr[i] = atomic_load_explicit(&apic->irr[i], memory_order_relaxed);
    }
    state->apic_esr = apic->esr;
    state->apic_icr_high = apic->icr_high;
    state->apic_icr_low = apic->icr_low;
    state->apic_lvt_timer = apic->lvt[APIC_LVT_TIMER];
    state->apic_lvt_thermal = apic->lvt[APIC_LVT_THERMAL];
    state->apic_lvt_perfmon = apic->lvt[APIC_LVT_PERF];
    state->apic_lvt_lint0 = apic->lvt[APIC_LVT_LINT0];
    state->apic_lvt_lint1 = apic->lvt[APIC_LVT_LINT1];
    state->apic_lvt_error = apic->lvt[APIC_LVT_ERROR];
    state->apic_lvt_cmci = APIC_LVT_MASKED;
    state->apic_error_status = atomic_load_explicit(&apic->esr_pending, memory_order_relaxed);
    state->apic_initial_count = apic->timer_initial;
    state->apic_counter_value = apic_timer_current(vp);
    state->apic_divide_configuration = apic->timer_divide;
}

hv_status_t apic_set_state(struct vp *vp, const struct hv_x64_interrupt_controller_state *state)
{
    struct apic *apic = &vp->apic;

    if ((state->apic_spurious & ~SVR_VALID) != 0 || (state->apic_divide_configuration & ~DIVIDE_VALID) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    reset_registers(vp);
    if (!is_x2apic(apic)) {
        atomic_store_explicit(&apic->ldr, state->apic_ldr & LDR_XAPIC_MASK, memory_order_relaxed);
    }
    atomic_store_explicit(&apic->dfr, state->apic_dfr | ~(0xfu << DFR_MODEL_SHIFT), memory_order_relaxed);
    atomic_store_explicit(&apic->svr, state->apic_spurious, memory_order_relaxed);
    for (uint32_t i = 0; i < APIC_WORDS; i++) {
        uint32_t possible = i == 0 ? ~((1u << VECTOR_FIRST) - 1) : UINT32_MAX;

        apic->isr[i] = state->apic_isr[i] & possible;
        atomic_store_explicit(&apic->tmr[i], state->apic_tmr[i] & possible, memory_order_relaxed);
        atomic_store_explicit(&apic->irr[i], state->apic_irr[i] & possible, memory_order_relaxed);
    }
    apic->esr = state->apic_esr;
    apic->icr_high = state->apic_icr_high;
    apic->icr_low = state->apic_icr_low & APIC_ICR_VALID;
    atomic_store_explicit(&apic->esr_pending, state->apic_error_status, memory_order_relaxed);
    write_lvt(vp, APIC_LVT_THERMAL, state->apic_lvt_thermal);
    write_lvt(vp, APIC_LVT_PERF, state->apic_lvt_perfmon);
    write_lvt(vp, APIC_LVT_LINT0, state->apic_lvt_lint0);
    write_lvt(vp, APIC_LVT_LINT1, state->apic_lvt_lint1);
    write_lvt(vp, APIC_LVT_ERROR, state->apic_lvt_error);
    write_lvt(vp, APIC_LVT_TIMER, state->apic_lvt_timer);
    apic_timer_set_divide(vp, state->apic_divide_configuration);
    apic_timer_restore(vp, state->apic_initial_count, state->apic_counter_value);
    return HV_STATUS_SUCCESS;
}
