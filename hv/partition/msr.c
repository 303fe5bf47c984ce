/* SPDX-License-Identifier: MIT */
/*
 * RDMSR and WRMSR: the synthetic MSRs with their privileges, and who answers for all others (apic.c, synic.c, stimer.c,
 * reftime.c, msr_arch.c). TLFS, Hypercall Interface: Establishing the Hypercall Interface; Virtual Processor
 * Management.
 */
#include "hv/partition/msr.h"

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_msr.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic.h"
#include "hv/partition/backend.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/msr_arch.h"
#include "hv/partition/partition.h"
#include "hv/partition/reftime.h"
#include "hv/partition/stimer.h"
#include "hv/partition/synic.h"
#include "hv/partition/vp.h"
#include "hv/time/time.h"

#define NEAR_RETURN    0xc3u
#define BREAKPOINT     0xccu
/* How much of the end of a guest's last words goes into the log. */
#define CRASH_TEXT_MAX 160u

/* Who may access which synthetic MSRs: privileges that it takes (all of them), or a feature of leaf 0x40000003 EDX. */
struct synthetic_rule {
    uint32_t first, last;
    uint64_t privileges;
    uint32_t features;
};

/* What guests use all the time first. */
static const struct synthetic_rule synthetic_rules[] = {
    {HV_X64_MSR_VP_INDEX, HV_X64_MSR_VP_INDEX, HV_ACCESS_VP_INDEX, 0},
    {HV_X64_MSR_TIME_REF_COUNT, HV_X64_MSR_TIME_REF_COUNT, HV_ACCESS_PARTITION_REFERENCE_COUNTER, 0},
    {HV_X64_MSR_EOI, HV_X64_MSR_VP_ASSIST_PAGE, HV_ACCESS_INTR_CTRL_REGS, 0},
    {HV_X64_MSR_STIMER0_CONFIG, HV_X64_MSR_STIMER3_COUNT, HV_ACCESS_SYNTHETIC_TIMER_REGS | HV_ACCESS_SYNIC_REGS, 0},
    {HV_X64_MSR_SINT0, HV_X64_MSR_SINT15, HV_ACCESS_SYNIC_REGS, 0},
    {HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_ACCESS_HYPERCALL_MSRS, 0},
    {HV_X64_MSR_RESET, HV_X64_MSR_RESET, HV_ACCESS_RESET_REG, 0},
    {HV_X64_MSR_VP_RUNTIME, HV_X64_MSR_VP_RUNTIME, HV_ACCESS_VP_RUN_TIME_REG, 0},
    {HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_REFERENCE_TSC, HV_ACCESS_PARTITION_REFERENCE_TSC, 0},
    {HV_X64_MSR_TSC_FREQUENCY, HV_X64_MSR_APIC_FREQUENCY, HV_ACCESS_FREQUENCY_REGS, 0},
    {HV_X64_MSR_SCONTROL, HV_X64_MSR_SIRBP, HV_ACCESS_SYNIC_REGS, 0},
    {HV_X64_MSR_GUEST_IDLE, HV_X64_MSR_GUEST_IDLE, HV_ACCESS_GUEST_IDLE_REG, 0},
    {HV_X64_MSR_CRASH_P0, HV_X64_MSR_CRASH_CTL, 0, HV_FEATURE_GUEST_CRASH_REGS},
    {HV_X64_MSR_REENLIGHTENMENT_CONTROL, HV_X64_MSR_TSC_EMULATION_STATUS, HV_ACCESS_REENLIGHTENMENT_CONTROLS, 0},
    {HV_X64_MSR_TSC_INVARIANT_CONTROL, HV_X64_MSR_TSC_INVARIANT_CONTROL, HV_ACCESS_TSC_INVARIANT_CONTROLS, 0},
};

/* Bits of the control MSRs that have a meaning. */
#define REENLIGHTENMENT_VALID                                                                                          \
    (HV_REENLIGHTENMENT_VECTOR_MASK | HV_REENLIGHTENMENT_ENABLED | UINT64_MAX << HV_REENLIGHTENMENT_TARGET_VP_SHIFT)

static struct overlay *hypercall_overlay(struct partition *partition)
{
    return &partition->reftime.hypercall_page;
}

bool msr_hypercall_is_enabled(const struct partition *partition)
{
    return (READ_ONCE(partition->hypercall_msr) & HV_X64_MSR_HYPERCALL_ENABLE) != 0;
}

hv_status_t msr_partition_create(struct partition *partition)
{
    struct overlay *overlay = hypercall_overlay(partition);
    hv_status_t status = overlay_create(partition, overlay, GPA_READ | GPA_EXECUTE);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    memset(overlay->page, BREAKPOINT, PAGE_SIZE);
    memcpy(overlay->page, backend->hypercall_instruction, sizeof(backend->hypercall_instruction));
    overlay->page[sizeof(backend->hypercall_instruction)] = NEAR_RETURN;
    msr_partition_reset(partition);
    return HV_STATUS_SUCCESS;
}

void msr_partition_destroy(struct partition *partition)
{
    overlay_destroy(partition, hypercall_overlay(partition));
}

void msr_partition_reset(struct partition *partition)
{
    struct overlay *overlay = hypercall_overlay(partition);

    spin_lock(&partition->lock);
    overlay_remove(partition, overlay);
    partition->hypercall_msr = partition->is_root ? hv_msr_page_value(overlay_root_page(overlay), 0) : 0;
    partition->guest_os_id = 0;
    memset(partition->crash_parameters, 0, sizeof(partition->crash_parameters));
    partition->crash_control = 0;
    spin_unlock(&partition->lock);
}

hv_status_t msr_init(struct vp *vp)
{
    hv_status_t status = overlay_create(vp->partition, &vp->msrs.assist_page, GPA_READ | GPA_WRITE);

    if (status == HV_STATUS_SUCCESS) {
        msr_reset(vp, true);
    }
    return status;
}

void msr_reset(struct vp *vp, bool power_on)
{
    struct overlay *overlay = &vp->msrs.assist_page;

    if (!power_on) {
        return;
    }
    msr_arch_reset(vp);
    overlay_remove(vp->partition, overlay);
    memset(overlay->page, 0, PAGE_SIZE);
    vp->msrs.vp_assist = vp->is_root ? hv_msr_page_value(overlay_root_page(overlay), 0) : 0;
}

void msr_destroy(struct vp *vp)
{
    overlay_destroy(vp->partition, &vp->msrs.assist_page);
}

static bool is_inside_space(const struct partition *partition, uint64_t gpfn)
{
    return gpfn < partition->space.limit >> PAGE_SHIFT;
}

/*
 * HYPERCALL (TLFS, Establishing the Hypercall Interface). Without an OS identity enabling has no effect, and no fault.
 * For the root's register calls neither that nor the lock holds: registers are restored in any order.
 */
static bool write_hypercall(struct partition *partition, uint64_t value, bool is_guest)
{
    struct overlay *overlay = hypercall_overlay(partition);
    bool is_ok = overlay->page != NULL;

    spin_lock(&partition->lock);
    if (is_guest && (partition->hypercall_msr & HV_X64_MSR_HYPERCALL_LOCKED)) {
        is_ok = false;
    }
    if (partition->is_root) {
        value = (value & ~HV_X64_MSR_PAGE_GPFN_MASK) | hv_msr_page_value(overlay_root_page(overlay), 0);
    } else if ((value & HV_X64_MSR_HYPERCALL_ENABLE) && !is_inside_space(partition, hv_msr_page_gpfn(value))) {
        is_ok = false;
    }
    if (is_ok) {
        if (is_guest && partition->guest_os_id == 0) {
            value &= ~HV_X64_MSR_HYPERCALL_ENABLE;
        }
        if (!(value & HV_X64_MSR_HYPERCALL_ENABLE)) {
            overlay_remove(partition, overlay);
        } else {
            is_ok = overlay_place(partition, overlay, hv_msr_page_gpfn(value));
        }
    }
    if (is_ok) {
        WRITE_ONCE(partition->hypercall_msr, value);
    }
    spin_unlock(&partition->lock);
    return is_ok;
}

static void write_os_id(struct partition *partition, uint64_t value)
{
    spin_lock(&partition->lock);
    partition->guest_os_id = value;
    if (value == 0 && !(partition->hypercall_msr & HV_X64_MSR_HYPERCALL_LOCKED)) {
        overlay_remove(partition, hypercall_overlay(partition));
        WRITE_ONCE(partition->hypercall_msr, partition->hypercall_msr & ~HV_X64_MSR_HYPERCALL_ENABLE);
    }
    spin_unlock(&partition->lock);
}

static bool write_vp_assist(struct vp *vp, uint64_t value)
{
    struct overlay *overlay = &vp->msrs.assist_page;

    if (vp->is_root) {
        value = (value & ~HV_X64_MSR_PAGE_GPFN_MASK) | hv_msr_page_value(overlay_root_page(overlay), 0);
    } else if (!(value & HV_X64_MSR_PAGE_ENABLE)) {
        overlay_remove(vp->partition, overlay);
    } else if (!is_inside_space(vp->partition, hv_msr_page_gpfn(value)) ||
               !overlay_place(vp->partition, overlay, hv_msr_page_gpfn(value))) {
        return false;
    }
    vp->msrs.vp_assist = value;
    return true;
}

/* The end of the text that the guest left, without what could disturb a terminal. */
static void read_crash_text(struct partition *partition, char text[CRASH_TEXT_MAX + 1])
{
    uint64_t length = partition->crash_parameters[4];
    uint64_t skip = length > CRASH_TEXT_MAX ? length - CRASH_TEXT_MAX : 0;

    memset(text, 0, CRASH_TEXT_MAX + 1);
    if (length > HV_CRASH_MESSAGE_MAX_BYTES ||
        !gpa_read(partition, gpa(partition->crash_parameters[3] + skip), text, (size_t)(length - skip))) {
        text[0] = '\0';
        return;
    }
    for (uint32_t i = 0; i < length - skip; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            text[i] = ' ';
        }
    }
}

static void write_crash_control(struct vp *vp, uint64_t value)
{
    struct partition *partition = vp->partition;
    const uint64_t *p = partition->crash_parameters;
    char text[CRASH_TEXT_MAX + 1];

    partition->crash_control = value;
    if (!(value & HV_CRASH_CTL_CRASH_NOTIFY)) {
        return;
    }
    if (value & HV_CRASH_CTL_CRASH_MESSAGE) {
        read_crash_text(partition, text);
        log_guest_line("partition %llu VP %u reports a crash: ...%s", (unsigned long long)partition->id, vp->index,
                       text);
    } else {
        log_guest_line("partition %llu VP %u reports a crash: %llx %llx %llx %llx %llx",
                       (unsigned long long)partition->id, vp->index, (unsigned long long)p[0], (unsigned long long)p[1],
                       (unsigned long long)p[2], (unsigned long long)p[3], (unsigned long long)p[4]);
    }
}

/*
 * Reading the guest-idle MSR: the VP waits for any interrupt, even a masked one, unless one is there. It has nothing to
 * do then either: who waits for a lock with interrupts off comes back here until its owner has had a turn, so a child's
 * VP gives the processor away.
 */
static void enter_idle(struct vp *vp)
{
    vp->activity = VP_IDLE;
    if (vp_has_work(vp)) {
        vp->activity = VP_ACTIVE;
        if (!vp->is_root) {
            (void)atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_SLICE, memory_order_seq_cst);
        }
    }
}

/* Synthetic MSRs of no other module; false: #GP. */
static bool read_own(struct vp *vp, uint32_t msr, uint64_t *value)
{
    struct partition *partition = vp->partition;

    if (msr >= HV_X64_MSR_CRASH_P0 && msr <= HV_X64_MSR_CRASH_P4) {
        *value = partition->crash_parameters[msr - HV_X64_MSR_CRASH_P0];
        return true;
    }
    switch (msr) {
    case HV_X64_MSR_GUEST_OS_ID:
        *value = partition->guest_os_id;
        return true;
    case HV_X64_MSR_HYPERCALL:
        *value = READ_ONCE(partition->hypercall_msr);
        return true;
    case HV_X64_MSR_VP_INDEX:
        *value = vp->index;
        return true;
    case HV_X64_MSR_RESET:
        *value = 0;
        return true;
    case HV_X64_MSR_VP_RUNTIME:
        *value = reftime_from_ticks(vp->run_time_tsc);
        return true;
    case HV_X64_MSR_TIME_REF_COUNT:
        *value = reftime_now(partition);
        return true;
    case HV_X64_MSR_REFERENCE_TSC:
        *value = reftime_page_msr(partition);
        return true;
    case HV_X64_MSR_TSC_FREQUENCY:
        *value = time_tsc_hz();
        return true;
    case HV_X64_MSR_APIC_FREQUENCY:
        *value = APIC_TIMER_HZ;
        return true;
    case HV_X64_MSR_ICR:
        *value = apic_icr(vp);
        return true;
    case HV_X64_MSR_TPR:
        *value = apic_tpr(vp);
        return true;
    case HV_X64_MSR_VP_ASSIST_PAGE:
        *value = vp->msrs.vp_assist;
        return true;
    case HV_X64_MSR_CRASH_CTL:
        *value = HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_MESSAGE; /* what can be done, not what was written */
        return true;
    case HV_X64_MSR_REENLIGHTENMENT_CONTROL:
        *value = partition->reftime.reenlightenment;
        return true;
    case HV_X64_MSR_TSC_EMULATION_CONTROL:
        *value = partition->reftime.tsc_emulation;
        return true;
    case HV_X64_MSR_TSC_EMULATION_STATUS:
        *value = 0; /* the TSC rate never changes under a running partition */
        return true;
    case HV_X64_MSR_TSC_INVARIANT_CONTROL:
        *value = partition->reftime.tsc_invariant;
        return true;
    default:
        return false;
    }
}

static bool write_controls(struct partition *partition, uint32_t msr, uint64_t value)
{
    struct reftime *reftime = &partition->reftime;

    switch (msr) {
    case HV_X64_MSR_REENLIGHTENMENT_CONTROL:
        reftime->reenlightenment = value & REENLIGHTENMENT_VALID;
        return true;
    case HV_X64_MSR_TSC_EMULATION_CONTROL:
        reftime->tsc_emulation = value & HV_TSC_EMULATION_CONTROL_ENABLED;
        return true;
    case HV_X64_MSR_TSC_EMULATION_STATUS:
        return value == 0;
    case HV_X64_MSR_TSC_INVARIANT_CONTROL:
        if ((value & ~HV_TSC_INVARIANT_CONTROL_EXPOSE) != 0 || (reftime->tsc_invariant & ~value) != 0) {
            return false;
        }
        reftime->tsc_invariant = value;
        return true;
    default:
        return false;
    }
}

static bool write_own(struct vp *vp, uint32_t msr, uint64_t value)
{
    struct partition *partition = vp->partition;

    if (msr >= HV_X64_MSR_CRASH_P0 && msr <= HV_X64_MSR_CRASH_P4) {
        partition->crash_parameters[msr - HV_X64_MSR_CRASH_P0] = value;
        return true;
    }
    switch (msr) {
    case HV_X64_MSR_GUEST_OS_ID:
        write_os_id(partition, value);
        return true;
    case HV_X64_MSR_HYPERCALL:
        return write_hypercall(partition, value, true);
    case HV_X64_MSR_REFERENCE_TSC:
        return reftime_set_page_msr(partition, value);
    case HV_X64_MSR_EOI:
        if ((value & HV_X64_MSR_EOI_RSVDZ_MASK) != 0) {
            return false;
        }
        apic_eoi(vp);
        return true;
    case HV_X64_MSR_ICR:
        apic_write_icr(vp, value);
        return true;
    case HV_X64_MSR_TPR:
        if ((value & ~HV_X64_MSR_TPR_MASK) != 0) {
            return false;
        }
        apic_set_tpr(vp, (uint8_t)value);
        return true;
    case HV_X64_MSR_VP_ASSIST_PAGE:
        return write_vp_assist(vp, value);
    case HV_X64_MSR_CRASH_CTL:
        write_crash_control(vp, value);
        return true;
    default:
        return write_controls(partition, msr, value);
    }
}

static bool is_in(uint32_t msr, uint32_t first, uint32_t last)
{
    return msr >= first && msr <= last;
}

static bool is_synic(uint32_t msr)
{
    return is_in(msr, HV_X64_MSR_SCONTROL, HV_X64_MSR_SIRBP) || is_in(msr, HV_X64_MSR_SINT0, HV_X64_MSR_SINT15);
}

static bool is_stimer(uint32_t msr)
{
    return is_in(msr, HV_X64_MSR_STIMER0_CONFIG, HV_X64_MSR_STIMER3_COUNT);
}

static bool synthetic_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    if (is_synic(msr)) {
        return synic_msr_read(vp, msr, value);
    }
    if (is_stimer(msr)) {
        return stimer_msr_read(vp, msr, value);
    }
    return read_own(vp, msr, value);
}

static bool synthetic_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    if (is_synic(msr)) {
        return synic_msr_write(vp, msr, value);
    }
    if (is_stimer(msr)) {
        return stimer_msr_write(vp, msr, value);
    }
    return write_own(vp, msr, value);
}

static const struct synthetic_rule *synthetic_rule_of(uint32_t msr)
{
    for (size_t i = 0; i < ARRAY_SIZE(synthetic_rules); i++) {
        if (is_in(msr, synthetic_rules[i].first, synthetic_rules[i].last)) {
            return &synthetic_rules[i];
        }
    }
    return NULL;
}

static bool is_permitted(const struct partition *partition, const struct synthetic_rule *rule)
{
    return (partition->privileges & rule->privileges) == rule->privileges &&
           (rule->features == 0 || (cpuid_synthetic_features(partition) & rule->features) == rule->features);
}

/* What an MSR that the partition does not have comes to: the root's intercept, its property, or a fault. */
static enum msr_result unimplemented(const struct vp *vp)
{
    if (vp->is_root) {
        return MSR_FAULT;
    }
    if (READ_ONCE(vp->partition->intercepts_msr)) {
        return MSR_INTERCEPT;
    }
    return READ_ONCE(vp->partition->unimplemented_msr_action) == HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO
               ? MSR_OK
               : MSR_FAULT;
}

/* TLFS: a missing privilege is a fault, unless the root intercepts MSRs. */
static enum msr_result refused(const struct vp *vp)
{
    return !vp->is_root && READ_ONCE(vp->partition->intercepts_msr) ? MSR_INTERCEPT : MSR_FAULT;
}

static bool is_apic(uint32_t msr)
{
    return msr == X86_MSR_APIC_BASE || is_in(msr, X86_MSR_X2APIC_FIRST, X86_MSR_X2APIC_LAST);
}

/*
 * True: the VP may access this synthetic MSR, and may for ever, since privileges do not change once it can run. Else
 * *otherwise is what the access comes to.
 */
static bool may_access(struct vp *vp, uint32_t msr, enum msr_result *otherwise)
{
    const struct synthetic_rule *rule;

    if (msr == vp->msrs.permitted) {
        return true;
    }
    rule = synthetic_rule_of(msr);
    if (rule == NULL || !is_permitted(vp->partition, rule)) {
        *otherwise = rule == NULL ? unimplemented(vp) : refused(vp);
        return false;
    }
    vp->msrs.permitted = msr;
    return true;
}

static enum msr_result read_by_kind(struct vp *vp, uint32_t msr, uint64_t *value)
{
    enum msr_result result;

    if (is_apic(msr)) {
        return apic_msr_read(vp, msr, value) ? MSR_OK : MSR_FAULT;
    }
    if (!is_in(msr, HV_X64_MSR_FIRST, HV_X64_MSR_LAST)) {
        result = msr_arch_read(vp, msr, value);
        return result == MSR_INTERCEPT ? unimplemented(vp) : result;
    }
    if (!may_access(vp, msr, &result)) {
        return result;
    }
    if (msr == HV_X64_MSR_GUEST_IDLE) {
        enter_idle(vp);
        return MSR_OK;
    }
    return synthetic_read(vp, msr, value) ? MSR_OK : MSR_FAULT;
}

enum msr_result msr_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    enum msr_result result;

    *value = 0;
    result = read_by_kind(vp, msr, value);
    trace(TRACE_MSR, vp->trace_id, msr, *value);
    return result;
}

enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    enum msr_result result;

    trace(TRACE_MSR, vp->trace_id, msr | TRACE_MSR_WRITE, value);
    if (is_apic(msr)) {
        return apic_msr_write(vp, msr, value) ? MSR_OK : MSR_FAULT;
    }
    if (!is_in(msr, HV_X64_MSR_FIRST, HV_X64_MSR_LAST)) {
        result = msr_arch_write(vp, msr, value);
        return result == MSR_INTERCEPT ? unimplemented(vp) : result;
    }
    if (!may_access(vp, msr, &result)) {
        return result;
    }
    if (msr == HV_X64_MSR_RESET) {
        /* Resetting a machine is the work of whoever built it. */
        return value & HV_X64_MSR_RESET_SYSTEM ? refused(vp) : MSR_OK;
    }
    return synthetic_write(vp, msr, value) ? MSR_OK : MSR_FAULT;
}

/* Register names with an MSR of the same meaning, in ranges of equal order. */
struct register_range {
    uint32_t name;
    uint32_t msr;
    uint32_t count;
    uint32_t msr_step;
};

static const struct register_range register_ranges[] = {
    {HvX64RegisterTsc, X86_MSR_TSC, 1, 1},
    {HvX64RegisterApicBase, X86_MSR_APIC_BASE, 1, 1},
    {HvX64RegisterMsrMtrrCap, X86_MSR_MTRRCAP, 1, 1},
    {HvX64RegisterMsrMtrrDefType, X86_MSR_MTRR_DEF_TYPE, 1, 1},
    {HvX64RegisterMsrMtrrPhysBase0, X86_MSR_MTRR_PHYSBASE0, MSR_MTRR_VARIABLE_COUNT, 2},
    {HvX64RegisterMsrMtrrPhysMask0, X86_MSR_MTRR_PHYSMASK0, MSR_MTRR_VARIABLE_COUNT, 2},
    {HvX64RegisterMsrMtrrFix64k00000, X86_MSR_MTRR_FIX64K_00000, 1, 1},
    {HvX64RegisterMsrMtrrFix16k80000, X86_MSR_MTRR_FIX16K_80000, 2, 1},
    {HvX64RegisterMsrMtrrFix4kC0000, X86_MSR_MTRR_FIX4K_C0000, 8, 1},
    {HvX64RegisterMsrIa32MiscEnable, X86_MSR_INTEL_MISC_ENABLE, 1, 1},
    {HvRegisterGuestCrashP0, HV_X64_MSR_CRASH_P0, 5, 1},
    {HvRegisterGuestCrashCtl, HV_X64_MSR_CRASH_CTL, 1, 1},
    {HvRegisterProcessorClockFrequency, HV_X64_MSR_TSC_FREQUENCY, 2, 1},
    {HvRegisterVpRuntime, HV_X64_MSR_VP_RUNTIME, 1, 1},
    {HvX64RegisterHypercall, HV_X64_MSR_HYPERCALL, 1, 1},
    {HvRegisterGuestOsId, HV_X64_MSR_GUEST_OS_ID, 1, 1},
    {HvRegisterVpIndex, HV_X64_MSR_VP_INDEX, 1, 1},
    {HvRegisterTimeRefCount, HV_X64_MSR_TIME_REF_COUNT, 1, 1},
    {HvX64RegisterEoi, HV_X64_MSR_EOI, 4, 1}, /* EOI, ICR, TPR, VP assist page */
    {HvRegisterReferenceTsc, HV_X64_MSR_REFERENCE_TSC, 1, 1},
    {HvRegisterSint0, HV_X64_MSR_SINT0, 16, 1},
    {HvRegisterScontrol, HV_X64_MSR_SCONTROL, 6, 1}, /* to SIRBP */
    {HvRegisterStimer0Config, HV_X64_MSR_STIMER0_CONFIG, 8, 1},
};

bool msr_from_register(uint32_t name, uint32_t *msr)
{
    for (size_t i = 0; i < ARRAY_SIZE(register_ranges); i++) {
        const struct register_range *range = &register_ranges[i];

        if (name - range->name < range->count) {
            *msr = range->msr + (name - range->name) * range->msr_step;
            return true;
        }
    }
    return false;
}

static hv_status_t host_status(enum msr_result result)
{
    switch (result) {
    case MSR_OK:
        return HV_STATUS_SUCCESS;
    case MSR_FAULT:
        return HV_STATUS_INVALID_REGISTER_VALUE;
    case MSR_INTERCEPT:
        break;
    }
    return HV_STATUS_INVALID_PARAMETER;
}

hv_status_t msr_host_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    *value = 0;
    if (msr == HV_X64_MSR_EOI) {
        return HV_STATUS_SUCCESS; /* write-only; as EOM it reads zero */
    }
    if (msr == HV_X64_MSR_CRASH_CTL) {
        *value = vp->partition->crash_control;
        return HV_STATUS_SUCCESS;
    }
    if (is_apic(msr)) {
        return apic_msr_read(vp, msr, value) ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER;
    }
    if (!is_in(msr, HV_X64_MSR_FIRST, HV_X64_MSR_LAST)) {
        return host_status(msr_arch_read(vp, msr, value));
    }
    return synthetic_read(vp, msr, value) ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER;
}

/* Registers that only the hypervisor itself sets. */
static bool is_read_only(uint32_t msr)
{
    switch (msr) {
    case X86_MSR_MTRRCAP:
    case HV_X64_MSR_VP_INDEX:
    case HV_X64_MSR_VP_RUNTIME:
    case HV_X64_MSR_TIME_REF_COUNT:
    case HV_X64_MSR_TSC_FREQUENCY:
    case HV_X64_MSR_APIC_FREQUENCY:
    case HV_X64_MSR_SVERSION:
        return true;
    default:
        return false;
    }
}

hv_status_t msr_host_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    bool is_ok;

    if (is_read_only(msr)) {
        return HV_STATUS_OPERATION_DENIED;
    }
    switch (msr) {
    case X86_MSR_TSC:
        msr_set_tsc_for_root(vp, value);
        return HV_STATUS_SUCCESS;
    case X86_MSR_APIC_BASE:
        is_ok = apic_set_base(vp, value);
        break;
    case HV_X64_MSR_HYPERCALL:
        is_ok = write_hypercall(vp->partition, value, false);
        break;
    case HV_X64_MSR_CRASH_CTL:
        vp->partition->crash_control = value;
        return HV_STATUS_SUCCESS;
    case HV_X64_MSR_TSC_INVARIANT_CONTROL:
        vp->partition->reftime.tsc_invariant = value & HV_TSC_INVARIANT_CONTROL_EXPOSE;
        return HV_STATUS_SUCCESS;
    default:
        if (!is_in(msr, HV_X64_MSR_FIRST, HV_X64_MSR_LAST)) {
            return host_status(is_apic(msr) ? (apic_msr_write(vp, msr, value) ? MSR_OK : MSR_FAULT)
                                            : msr_arch_write(vp, msr, value));
        }
        is_ok = synthetic_write(vp, msr, value);
        break;
    }
    return is_ok ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_REGISTER_VALUE;
}
