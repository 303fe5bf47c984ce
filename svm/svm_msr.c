/* SPDX-License-Identifier: MIT */
/* MSRs that only AMD's processors have, for the policy of hv/partition/msr_arch.c. APM vol. 2, Appendix "MSR
 * Cross-Reference". */
#include "svm/svm.h"

#include "hv/lib/x86/x86_regs.h"

/* LFENCE is serialising (DE_CFG): so it is whenever the processor says so by CPUID, and guests only want to read it
 * back. */
#define DE_CFG_LFENCE_SERIALISES 0x2u
/* HWCR bits that a child may set and read back: nothing depends on them. */
#define HWCR_WRITABLE            (UINT64_C(1) << 18)

static const struct msr_rule state_rules[] = {
    {X86_MSR_VM_CR, X86_MSR_VM_CR, MSR_RULE_READ_ONLY, X86_VM_CR_SVMDIS | X86_VM_CR_LOCK},
    {X86_MSR_AMD_PATCH_LOADER, X86_MSR_AMD_PATCH_LOADER, MSR_RULE_WRITE_ONLY, 0},
    {X86_MSR_AMD_DE_CFG, X86_MSR_AMD_DE_CFG, MSR_RULE_CONSTANT, DE_CFG_LFENCE_SERIALISES},
};
const struct msr_rules svm_state_msrs = {state_rules, ARRAY_SIZE(state_rules)};

static const struct msr_rule child_rules[] = {
    {X86_MSR_AMD_SYSCFG, X86_MSR_AMD_SYSCFG, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_IORR_BASE0, X86_MSR_AMD_TOP_MEM, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_TOP_MEM2, X86_MSR_AMD_TOP_MEM2, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_NB_CFG, X86_MSR_AMD_NB_CFG, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_INT_PENDING, X86_MSR_AMD_INT_PENDING, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_MMIO_CONF_BASE, X86_MSR_AMD_MMIO_CONF_BASE, MSR_RULE_CONSTANT, 0},
    {X86_MSR_SMM_ADDR, X86_MSR_SMM_MASK, MSR_RULE_READ_ONLY, 0},
    {X86_MSR_AMD_OSVW_ID_LENGTH, X86_MSR_AMD_OSVW_STATUS, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_CPUID_FEATURES_7, X86_MSR_AMD_CPUID_EXT_FEATURES, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_LS_CFG, X86_MSR_AMD_DC_CFG, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_BU_CFG2, X86_MSR_AMD_BU_CFG2, MSR_RULE_CONSTANT, 0},
    {X86_MSR_AMD_HWCR, X86_MSR_AMD_HWCR, MSR_RULE_STORED, HWCR_WRITABLE},
};
const struct msr_rules svm_child_msrs = {child_rules, ARRAY_SIZE(child_rules)};
