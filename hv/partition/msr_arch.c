/* SPDX-License-Identifier: MIT */
/*
 * Architectural and model-specific MSRs by policy tables. Processor state goes to the backend by register name; a
 * child's MTRRs and switches are stored values; what operating systems touch without looking reads as harmless. The
 * root reaches the listed MSRs of the machine: none of them can change or reveal memory that is not its own, or take
 * the processor away. Not here: MSRs that not every vendor's processors have; they are in tables of the backend's.
 */
#include "hv/partition/msr_arch.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/cpu/mtrr.h"
#include "hv/cpu/safe.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/backend.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/cpuid_policy.h"
#include "hv/partition/partition.h"
#include "hv/partition/reftime.h"
#include "hv/partition/vp.h"
#include "hv/time/time.h"

/* Processor state, in every partition. */
static const struct msr_rule state_rules[] = {
    {X86_MSR_SYSENTER_CS, X86_MSR_SYSENTER_CS, MSR_RULE_REGISTER, HvX64RegisterSysenterCs},
    {X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_ESP, MSR_RULE_ADDRESS, HvX64RegisterSysenterEsp},
    {X86_MSR_SYSENTER_EIP, X86_MSR_SYSENTER_EIP, MSR_RULE_ADDRESS, HvX64RegisterSysenterEip},
    {X86_MSR_STAR, X86_MSR_STAR, MSR_RULE_REGISTER, HvX64RegisterStar},
    {X86_MSR_LSTAR, X86_MSR_LSTAR, MSR_RULE_ADDRESS, HvX64RegisterLstar},
    {X86_MSR_CSTAR, X86_MSR_CSTAR, MSR_RULE_ADDRESS, HvX64RegisterCstar},
    {X86_MSR_SFMASK, X86_MSR_SFMASK, MSR_RULE_REGISTER, HvX64RegisterSfmask},
    {X86_MSR_KERNEL_GS_BASE, X86_MSR_KERNEL_GS_BASE, MSR_RULE_ADDRESS, HvX64RegisterKernelGsBase},
    {X86_MSR_TSC_AUX, X86_MSR_TSC_AUX, MSR_RULE_REGISTER, HvX64RegisterTscAux},
};

/* What operating systems read, and some write, without asking first; in children. */
static const struct msr_rule child_rules[] = {
    {X86_MSR_BIOS_SIGN_ID, X86_MSR_BIOS_SIGN_ID, MSR_RULE_CONSTANT, 0},
    /* No machine-check banks, hence none of their registers. */
    {X86_MSR_MCG_CAP, X86_MSR_MCG_CAP, MSR_RULE_READ_ONLY, 0},
    {X86_MSR_MCG_STATUS, X86_MSR_MCG_STATUS, MSR_RULE_CONSTANT, 0},
    {X86_MSR_LAST_BRANCH_FROM_IP, X86_MSR_LAST_INT_TO_IP, MSR_RULE_CONSTANT, 0},
};

/* What the root reaches of the machine. */
static const struct msr_rule root_rules[] = {
    {X86_MSR_P5_MC_ADDR, X86_MSR_P5_MC_TYPE, MSR_RULE_MACHINE_READ, 0},
    {X86_MSR_BIOS_SIGN_ID, X86_MSR_BIOS_SIGN_ID, MSR_RULE_MACHINE, 0},
    {X86_MSR_MTRRCAP, X86_MSR_MTRRCAP, MSR_RULE_MACHINE_READ, 0},
    {X86_MSR_MCG_CAP, X86_MSR_MCG_CTL, MSR_RULE_MACHINE, 0},
    {X86_MSR_LAST_BRANCH_FROM_IP, X86_MSR_LAST_INT_TO_IP, MSR_RULE_MACHINE_READ_DROP, 0},
    {X86_MSR_MTRR_PHYSBASE0, X86_MSR_MTRR_FIX4K_F8000, MSR_RULE_MACHINE, 0},
    {X86_MSR_MTRR_DEF_TYPE, X86_MSR_MTRR_DEF_TYPE, MSR_RULE_MACHINE, 0},
    {X86_MSR_MC0_CTL, X86_MSR_MC_LAST, MSR_RULE_MACHINE, 0},
};

static const struct msr_rules common_state = {state_rules, ARRAY_SIZE(state_rules)};
static const struct msr_rules common_child = {child_rules, ARRAY_SIZE(child_rules)};
static const struct msr_rules common_root = {root_rules, ARRAY_SIZE(root_rules)};

/* A child's variable and fixed MTRRs: 8 pairs, fixed ranges, write combining. */
#define MTRRCAP_VALUE       (MSR_MTRR_VARIABLE_COUNT | X86_MTRRCAP_FIXED | X86_MTRRCAP_WC)
#define MTRR_DEF_TYPE_VALID (X86_MTRR_DEF_TYPE_TYPE | X86_MTRR_DEF_TYPE_FIXED_ENABLE | X86_MTRR_DEF_TYPE_ENABLE)
#define MTRR_BASE_LOW_VALID UINT64_C(0xff)
#define MTRR_TYPES                                                                                                     \
    (1u << X86_MEMORY_TYPE_UC | 1u << X86_MEMORY_TYPE_WC | 1u << X86_MEMORY_TYPE_WT | 1u << X86_MEMORY_TYPE_WP |       \
     1u << X86_MEMORY_TYPE_WB)
#define PAT_TYPES (MTRR_TYPES | 1u << X86_MEMORY_TYPE_UC_MINUS)

/* Each of the eight bytes is a memory type that is allowed. */
static bool are_types(uint64_t value, uint32_t allowed)
{
    for (uint32_t i = 0; i < 8; i++, value >>= 8) {
        if ((value & 0xff) >= 8 || !((allowed >> (value & 0xff)) & 1u)) {
            return false;
        }
    }
    return true;
}

static enum msr_result get_register(struct vp *vp, uint32_t name, uint64_t *value)
{
    union hv_register_value content = {0};

    if (backend->get_register(vp, name, &content) != HV_STATUS_SUCCESS) {
        return MSR_FAULT;
    }
    *value = content.reg64;
    return MSR_OK;
}

static enum msr_result set_register(struct vp *vp, uint32_t name, uint64_t value)
{
    union hv_register_value content = {0};

    content.reg64 = value;
    return backend->set_register(vp, name, &content) == HV_STATUS_SUCCESS ? MSR_OK : MSR_FAULT;
}

/* FS_BASE and GS_BASE are part of segment registers. */
static enum msr_result set_segment_base(struct vp *vp, uint32_t name, uint64_t base)
{
    union hv_register_value content = {0};

    if (!linear_is_canonical(base, LINEAR_BITS_4_LEVEL) ||
        backend->get_register(vp, name, &content) != HV_STATUS_SUCCESS) {
        return MSR_FAULT;
    }
    content.segment.base = base;
    return backend->set_register(vp, name, &content) == HV_STATUS_SUCCESS ? MSR_OK : MSR_FAULT;
}

static enum msr_result get_segment_base(struct vp *vp, uint32_t name, uint64_t *base)
{
    union hv_register_value content = {0};

    if (backend->get_register(vp, name, &content) != HV_STATUS_SUCCESS) {
        return MSR_FAULT;
    }
    *base = content.segment.base;
    return MSR_OK;
}

static enum msr_result write_efer(struct vp *vp, uint64_t value)
{
    uint64_t allowed = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    uint32_t features[CPUID_REGISTER_COUNT];
    struct vp_paging_state paging;

    cpuid_query(vp, CPUID_LEAF_EXTENDED_FEATURES, 0, features);
    if (features[CPUID_EDX] & (1u << 25)) {
        allowed |= X86_EFER_FFXSR;
    }
    backend->get_paging(vp, &paging);
    if ((value & ~allowed) != 0 || ((paging.cr0 & X86_CR0_PG) && ((value ^ paging.efer) & X86_EFER_LME))) {
        return MSR_FAULT;
    }
    /* LMA is the processor's answer to LME and paging. */
    return set_register(vp, HvX64RegisterEfer, (value & ~X86_EFER_LMA) | (paging.efer & X86_EFER_LMA));
}

static enum msr_result write_tsc(struct vp *vp, uint64_t value)
{
    enum msr_result result = set_register(vp, HvX64RegisterTsc, value);

    if (result == MSR_OK) {
        reftime_vp_tsc_changed(vp->partition, value, time_tsc());
    }
    return result;
}

void msr_set_tsc_for_root(struct vp *vp, uint64_t value)
{
    struct partition *partition = vp->partition;
    uint64_t offset = value - time_tsc();
    uint64_t shared = atomic_load_explicit(&partition->reftime.tsc_offset, memory_order_relaxed);
    int64_t apart = (int64_t)(offset - shared);
    int64_t second = (int64_t)time_tsc_hz();

    /*
     * A root sets the TSCs of all VPs to one value, one after the other. Within a second they are taken to mean the
     * same: VPs of a partition must not see different times.
     */
    if (apart >= second || apart <= -second) {
        reftime_set_tsc_offset(partition, offset);
        shared = offset;
    }
    if (set_register(vp, HvX64RegisterTscVirtualOffset, shared) != MSR_OK) {
        (void)set_register(vp, HvX64RegisterTsc, time_tsc() + shared);
    }
}

static uint32_t fixed_index(uint32_t msr)
{
    uint32_t index = 0;

    while (index < MTRR_FIXED_COUNT && mtrr_fixed_msrs[index] != msr) {
        index++;
    }
    return index;
}

/* The stored MTRR of a child, or null. */
static uint64_t *mtrr_of(struct vp *vp, uint32_t msr)
{
    uint32_t fixed = fixed_index(msr);
    uint32_t pair = (msr - X86_MSR_MTRR_PHYSBASE0) / 2;

    if (msr == X86_MSR_MTRR_DEF_TYPE) {
        return &vp->msrs.mtrr_def_type;
    }
    if (fixed < MTRR_FIXED_COUNT) {
        return &vp->msrs.mtrr_fixed[fixed];
    }
    if (msr >= X86_MSR_MTRR_PHYSBASE0 && pair < MSR_MTRR_VARIABLE_COUNT) {
        return (msr & 1) ? &vp->msrs.mtrr_mask[pair] : &vp->msrs.mtrr_base[pair];
    }
    return NULL;
}

static bool mtrr_is_valid(uint32_t msr, uint64_t value)
{
    uint64_t address = ((UINT64_C(1) << cpuid_physical_bits()) - 1) & ~PAGE_MASK;

    if (msr == X86_MSR_MTRR_DEF_TYPE) {
        return (value & ~MTRR_DEF_TYPE_VALID) == 0 && are_types(value & X86_MTRR_DEF_TYPE_TYPE, MTRR_TYPES);
    }
    if (fixed_index(msr) < MTRR_FIXED_COUNT) {
        return are_types(value, MTRR_TYPES);
    }
    if (msr & 1) {
        return (value & ~(address | X86_MTRR_PHYSMASK_VALID)) == 0;
    }
    return (value & ~(address | MTRR_BASE_LOW_VALID)) == 0 && are_types(value & MTRR_BASE_LOW_VALID, MTRR_TYPES);
}

static const struct msr_rule *find_rule(const struct msr_rules *rules, uint32_t msr)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (msr >= rules->rules[i].first && msr <= rules->rules[i].last) {
            return &rules->rules[i];
        }
    }
    return NULL;
}

static const struct msr_rule *rule_of(const struct vp *vp, uint32_t msr)
{
    const struct msr_rules *const tables[] = {
        &common_state,
        backend->state_msrs,
        vp->is_root ? &common_root : &common_child,
        vp->is_root ? backend->root_msrs : backend->child_msrs,
    };
    const struct msr_rule *rule = NULL;

    for (size_t i = 0; rule == NULL && i < ARRAY_SIZE(tables); i++) {
        rule = find_rule(tables[i], msr);
    }
    return rule;
}

static enum msr_result read_by_rule(struct vp *vp, const struct msr_rule *rule, uint32_t msr, uint64_t *value)
{
    switch (rule->kind) {
    case MSR_RULE_REGISTER:
    case MSR_RULE_ADDRESS:
        return get_register(vp, (uint32_t)rule->value, value);
    case MSR_RULE_CONSTANT:
    case MSR_RULE_READ_ONLY:
        *value = rule->value;
        return MSR_OK;
    case MSR_RULE_STORED:
        *value = vp->msrs.stored;
        return MSR_OK;
    case MSR_RULE_WRITE_ONLY:
        return MSR_FAULT;
    case MSR_RULE_MACHINE:
    case MSR_RULE_MACHINE_READ:
    case MSR_RULE_MACHINE_READ_DROP:
        return msr_read_safe(msr, value) ? MSR_OK : MSR_FAULT;
    }
    return MSR_FAULT;
}

static enum msr_result write_by_rule(struct vp *vp, const struct msr_rule *rule, uint32_t msr, uint64_t value)
{
    switch (rule->kind) {
    case MSR_RULE_ADDRESS:
        if (!linear_is_canonical(value, LINEAR_BITS_4_LEVEL)) {
            return MSR_FAULT;
        }
        return set_register(vp, (uint32_t)rule->value, value);
    case MSR_RULE_REGISTER:
        return set_register(vp, (uint32_t)rule->value, value);
    case MSR_RULE_STORED:
        vp->msrs.stored = (value & rule->value) | (backend->stored_msr_reset & ~rule->value);
        return MSR_OK;
    case MSR_RULE_CONSTANT:
    case MSR_RULE_WRITE_ONLY:
    case MSR_RULE_MACHINE_READ_DROP:
        return MSR_OK;
    case MSR_RULE_READ_ONLY:
    case MSR_RULE_MACHINE_READ:
        return MSR_FAULT;
    case MSR_RULE_MACHINE:
        return msr_write_safe(msr, value) ? MSR_OK : MSR_FAULT;
    }
    return MSR_FAULT;
}

enum msr_result msr_arch_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    const struct msr_rule *rule = rule_of(vp, msr);
    const uint64_t *mtrr = vp->is_root ? NULL : mtrr_of(vp, msr);

    if (rule != NULL) {
        return read_by_rule(vp, rule, msr, value);
    }
    if (mtrr != NULL) {
        *value = *mtrr;
        return MSR_OK;
    }
    switch (msr) {
    case X86_MSR_EFER:
        return get_register(vp, HvX64RegisterEfer, value);
    case X86_MSR_PAT:
        return get_register(vp, HvX64RegisterPat, value);
    case X86_MSR_DEBUGCTL:
        return get_register(vp, HvX64RegisterDebugCtl, value);
    case X86_MSR_FS_BASE:
        return get_segment_base(vp, HvX64RegisterFs, value);
    case X86_MSR_GS_BASE:
        return get_segment_base(vp, HvX64RegisterGs, value);
    case X86_MSR_TSC:
        *value = backend->guest_tsc(vp);
        return MSR_OK;
    default:
        break;
    }
    if (!vp->is_root && msr == X86_MSR_MTRRCAP) {
        *value = MTRRCAP_VALUE;
        return MSR_OK;
    }
    return MSR_INTERCEPT;
}

enum msr_result msr_arch_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    const struct msr_rule *rule = rule_of(vp, msr);
    uint64_t *mtrr = vp->is_root ? NULL : mtrr_of(vp, msr);

    if (rule != NULL) {
        return write_by_rule(vp, rule, msr, value);
    }
    if (mtrr != NULL) {
        if (!mtrr_is_valid(msr, value)) {
            return MSR_FAULT;
        }
        *mtrr = value;
        return MSR_OK;
    }
    switch (msr) {
    case X86_MSR_EFER:
        return write_efer(vp, value);
    case X86_MSR_PAT:
        return are_types(value, PAT_TYPES) ? set_register(vp, HvX64RegisterPat, value) : MSR_FAULT;
    case X86_MSR_DEBUGCTL:
        if ((value & ~(X86_DEBUGCTL_LBR | X86_DEBUGCTL_BTF)) != 0) {
            return MSR_FAULT; /* branch trace stores would go to the hypervisor's addresses */
        }
        return set_register(vp, HvX64RegisterDebugCtl, value);
    case X86_MSR_FS_BASE:
        return set_segment_base(vp, HvX64RegisterFs, value);
    case X86_MSR_GS_BASE:
        return set_segment_base(vp, HvX64RegisterGs, value);
    case X86_MSR_TSC:
        return write_tsc(vp, value);
    default:
        break;
    }
    return !vp->is_root && msr == X86_MSR_MTRRCAP ? MSR_FAULT : MSR_INTERCEPT;
}

void msr_arch_reset(struct vp *vp)
{
    struct vp_msrs *msrs = &vp->msrs;

    msrs->mtrr_def_type = 0;
    memset(msrs->mtrr_base, 0, sizeof(msrs->mtrr_base));
    memset(msrs->mtrr_mask, 0, sizeof(msrs->mtrr_mask));
    memset(msrs->mtrr_fixed, 0, sizeof(msrs->mtrr_fixed));
    msrs->stored = backend->stored_msr_reset;
}
