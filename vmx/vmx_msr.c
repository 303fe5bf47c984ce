/* SPDX-License-Identifier: MIT */
/* MSRs that only Intel's processors have, for the policy of hv/partition/msr_arch.c. SDM vol. 4, Model-Specific
 * Registers. */
#include "vmx/vmx.h"

static const struct msr_rule state_rules[] = {
    {X86_MSR_FEATURE_CONTROL, X86_MSR_FEATURE_CONTROL, MSR_RULE_READ_ONLY, X86_FEATURE_CONTROL_LOCK},
    /* Microcode is the hypervisor's; updates name a linear address that is not the hypervisor's to read. */
    {X86_MSR_BIOS_UPDT_TRIG, X86_MSR_BIOS_UPDT_TRIG, MSR_RULE_WRITE_ONLY, 0},
};
const struct msr_rules vmx_state_msrs = {state_rules, ARRAY_SIZE(state_rules)};

static const struct msr_rule child_rules[] = {
    {X86_MSR_PLATFORM_ID, X86_MSR_PLATFORM_ID, MSR_RULE_READ_ONLY, 0},
    {X86_MSR_EBL_CR_POWERON, X86_MSR_EBL_CR_POWERON, MSR_RULE_CONSTANT, 0},
    {X86_MSR_FSB_FREQ, X86_MSR_PLATFORM_INFO, MSR_RULE_READ_ONLY, 0},
    {X86_MSR_PERF_STATUS, X86_MSR_PERF_CTL, MSR_RULE_CONSTANT, 0},
    {X86_MSR_MISC_ENABLE, X86_MSR_MISC_ENABLE, MSR_RULE_STORED, X86_MISC_ENABLE_FAST_STRINGS},
};
const struct msr_rules vmx_child_msrs = {child_rules, ARRAY_SIZE(child_rules)};
