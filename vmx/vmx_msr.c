/* SPDX-License-Identifier: MIT */
/* MSRs that only Intel's processors have, for the policy of hv/partition/msr_arch.c. SDM vol. 4, Model-Specific
 * Registers. */
#include "vmx/vmx.h"

/* Further ends of ranges: C-states, energy meters, hardware-controlled performance states. */
#define PKG_CST_CONFIG 0x000000e2u
#define RAPL_LAST      0x0000064fu
#define HWP_LAST       0x00000777u

static const struct msr_rule state_rules[] = {
    {X86_MSR_INTEL_FEATURE_CONTROL, X86_MSR_INTEL_FEATURE_CONTROL, MSR_RULE_READ_ONLY, X86_FEATURE_CONTROL_LOCK},
    /* Microcode is the hypervisor's; updates name a linear address that is not the hypervisor's to read. */
    {X86_MSR_INTEL_BIOS_UPDT_TRIG, X86_MSR_INTEL_BIOS_UPDT_TRIG, MSR_RULE_WRITE_ONLY, 0},
};
const struct msr_rules vmx_state_msrs = {state_rules, ARRAY_SIZE(state_rules)};

static const struct msr_rule child_rules[] = {
    {X86_MSR_INTEL_PLATFORM_ID, X86_MSR_INTEL_PLATFORM_ID, MSR_RULE_READ_ONLY, 0},
    {X86_MSR_INTEL_EBL_CR_POWERON, X86_MSR_INTEL_EBL_CR_POWERON, MSR_RULE_CONSTANT, 0},
    {X86_MSR_INTEL_FSB_FREQ, X86_MSR_INTEL_PLATFORM_INFO, MSR_RULE_READ_ONLY, 0},
    {X86_MSR_INTEL_PERF_STATUS, X86_MSR_INTEL_PERF_CTL, MSR_RULE_CONSTANT, 0},
    {X86_MSR_INTEL_MISC_ENABLE, X86_MSR_INTEL_MISC_ENABLE, MSR_RULE_STORED, X86_MISC_ENABLE_FAST_STRINGS},
};
const struct msr_rules vmx_child_msrs = {child_rules, ARRAY_SIZE(child_rules)};

static const struct msr_rule root_rules[] = {
    {X86_MSR_INTEL_PLATFORM_ID, X86_MSR_INTEL_PLATFORM_ID, MSR_RULE_MACHINE_READ, 0},
    {X86_MSR_INTEL_EBL_CR_POWERON, X86_MSR_INTEL_EBL_CR_POWERON, MSR_RULE_MACHINE_READ_DROP, 0},
    {X86_MSR_INTEL_FSB_FREQ, X86_MSR_INTEL_PLATFORM_INFO, MSR_RULE_MACHINE_READ, 0},
    {PKG_CST_CONFIG, PKG_CST_CONFIG, MSR_RULE_MACHINE_READ_DROP, 0},
    {X86_MSR_INTEL_PERF_STATUS, X86_MSR_INTEL_THERM_STATUS, MSR_RULE_MACHINE, 0},
    {X86_MSR_INTEL_MISC_ENABLE, X86_MSR_INTEL_MISC_ENABLE, MSR_RULE_MACHINE_READ_DROP, 0},
    {X86_MSR_INTEL_TEMPERATURE_TARGET, X86_MSR_INTEL_TEMPERATURE_TARGET, MSR_RULE_MACHINE_READ, 0},
    {X86_MSR_INTEL_ENERGY_PERF_BIAS, X86_MSR_INTEL_PACKAGE_THERM_STATUS + 1, MSR_RULE_MACHINE, 0},
    {X86_MSR_INTEL_MC0_CTL2, X86_MSR_INTEL_MC0_CTL2 + 31, MSR_RULE_MACHINE, 0},
    {X86_MSR_INTEL_RAPL_POWER_UNIT, RAPL_LAST, MSR_RULE_MACHINE_READ, 0},
    {X86_MSR_INTEL_PM_ENABLE, HWP_LAST, MSR_RULE_MACHINE, 0},
};
const struct msr_rules vmx_root_msrs = {root_rules, ARRAY_SIZE(root_rules)};
