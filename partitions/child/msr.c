/* SPDX-License-Identifier: MIT */
/* MSRs in a child: those that are advertised work, read-only ones and unknown ones raise #GP and change nothing. */
#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "partitions/child/lib/guest.h"

#define GP GUEST_FAULT(X86_VECTOR_GP)

/* A synthetic MSR and the privilege that comes with it. */
struct synthetic {
    uint32_t msr;
    uint64_t privilege;
    bool is_read_only;
};

static const struct synthetic synthetic[] = {
    {HV_X64_MSR_GUEST_OS_ID, HV_ACCESS_HYPERCALL_MSRS, false},
    {HV_X64_MSR_HYPERCALL, HV_ACCESS_HYPERCALL_MSRS, false},
    {HV_X64_MSR_VP_INDEX, HV_ACCESS_VP_INDEX, true},
    {HV_X64_MSR_VP_RUNTIME, HV_ACCESS_VP_RUN_TIME_REG, true},
    {HV_X64_MSR_TIME_REF_COUNT, HV_ACCESS_PARTITION_REFERENCE_COUNTER, true},
    {HV_X64_MSR_REFERENCE_TSC, HV_ACCESS_PARTITION_REFERENCE_TSC, false},
    {HV_X64_MSR_TSC_FREQUENCY, HV_ACCESS_FREQUENCY_REGS, true},
    {HV_X64_MSR_APIC_FREQUENCY, HV_ACCESS_FREQUENCY_REGS, true},
    {HV_X64_MSR_TPR, HV_ACCESS_INTR_CTRL_REGS, false},
    {HV_X64_MSR_VP_ASSIST_PAGE, HV_ACCESS_INTR_CTRL_REGS, false},
    {HV_X64_MSR_SCONTROL, HV_ACCESS_SYNIC_REGS, false},
    {HV_X64_MSR_SVERSION, HV_ACCESS_SYNIC_REGS, true},
    {HV_X64_MSR_SIEFP, HV_ACCESS_SYNIC_REGS, false},
    {HV_X64_MSR_SIMP, HV_ACCESS_SYNIC_REGS, false},
    {HV_X64_MSR_SINT0, HV_ACCESS_SYNIC_REGS, false},
    {HV_X64_MSR_SINT15, HV_ACCESS_SYNIC_REGS, false},
    {HV_X64_MSR_STIMER0_CONFIG, HV_ACCESS_SYNTHETIC_TIMER_REGS, false},
    {HV_X64_MSR_STIMER3_COUNT, HV_ACCESS_SYNTHETIC_TIMER_REGS, false},
};

/* Numbers that mean nothing in a child, whatever processor it is on. */
static const uint32_t unknown[] = {
    0x40000050,        0x400000FE,           0x40000FFF, X86_MSR_AMD_VM_HSAVE_PA,
    X86_MSR_VMX_BASIC, X86_MSR_INTEL_SMBASE, 0x4B564D00, 0xC0011FFF,
};

/* MSRs that 64-bit systems use, with a value to write. */
static const struct {
    uint32_t msr;
    uint64_t value;
} architectural[] = {
    {X86_MSR_STAR, UINT64_C(0x0023001000000000)},
    {X86_MSR_LSTAR, UINT64_C(0xFFFFFFFF81000000)},
    {X86_MSR_CSTAR, UINT64_C(0xFFFFFFFF81000100)},
    {X86_MSR_SFMASK, 0x47700},
    {X86_MSR_KERNEL_GS_BASE, UINT64_C(0xFFFF888000000000)},
    {X86_MSR_FS_BASE, 0x1234},
    {X86_MSR_SYSENTER_CS, 0x10},
    {X86_MSR_SYSENTER_ESP, 0x2000},
    {X86_MSR_SYSENTER_EIP, 0x3000},
    {X86_MSR_PAT, UINT64_C(0x0407050600070106)},
};

static void check_synthetic(void)
{
    uint32_t leaf[4];
    uint64_t value;

    cpuid(HV_CPUID_FEATURES, 0, leaf);

    uint64_t privileges = (uint64_t)leaf[1] << 32 | leaf[0];

    for (uint32_t i = 0; i < ARRAY_SIZE(synthetic); i++) {
        uint32_t expected = (privileges & synthetic[i].privilege) != 0 ? 0 : GP;
        uint32_t fault = guest_try_rdmsr(synthetic[i].msr, &value);

        guest_check(fault == expected, "synthetic-read", "MSR %#x: fault %u, expected %u", synthetic[i].msr, fault,
                    expected);
        if (synthetic[i].is_read_only || expected != 0) {
            fault = guest_try_wrmsr(synthetic[i].msr, value);
            guest_check(fault == GP, "synthetic-write-refused", "MSR %#x: fault %u", synthetic[i].msr, fault);
        } else {
            fault = guest_try_wrmsr(synthetic[i].msr, value);
            guest_check(fault == 0, "synthetic-write-back", "MSR %#x: fault %u", synthetic[i].msr, fault);
        }
    }
    guest_check(rdmsr(HV_X64_MSR_VP_INDEX) == 0, "vp-index", "%llu", (unsigned long long)rdmsr(HV_X64_MSR_VP_INDEX));
}

static void check_architectural(void)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(architectural); i++) {
        uint32_t msr = architectural[i].msr;
        uint64_t before = rdmsr(msr);
        uint64_t after;

        wrmsr(msr, architectural[i].value);
        after = rdmsr(msr);
        wrmsr(msr, before);
        guest_check(after == architectural[i].value, "architectural", "MSR %#x: %#llx, expected %#llx", msr,
                    (unsigned long long)after, (unsigned long long)architectural[i].value);
    }
    guest_check(guest_try_wrmsr(X86_MSR_PAT, UINT64_C(0x0202020202020202)) == GP, "bad-pat", "no #GP");
    /* The hypervisor writes this one itself, and must not fault over a child's value. */
    guest_check(guest_try_wrmsr(X86_MSR_TSC_AUX, UINT64_C(1) << 32) == GP, "wide-tsc-aux", "no #GP");
}

static void check_refused(void)
{
    uint64_t efer = rdmsr(X86_MSR_EFER);
    uint64_t value;

    for (uint32_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        uint32_t read_fault = guest_try_rdmsr(unknown[i], &value);
        uint32_t write_fault = guest_try_wrmsr(unknown[i], 0);

        guest_check(read_fault == GP && write_fault == GP, "unknown", "MSR %#x: faults %u, %u", unknown[i], read_fault,
                    write_fault);
    }
    guest_check(guest_try_wrmsr(X86_MSR_EFER, efer | X86_EFER_SVME) == GP, "efer-svme", "no #GP");
    guest_check(guest_try_wrmsr(X86_MSR_EFER, efer | UINT64_C(1) << 40) == GP, "efer-reserved", "no #GP");
    guest_check(guest_try_wrmsr(X86_MSR_EFER, efer & ~X86_EFER_LME) == GP, "efer-lme", "no #GP with paging on");
    guest_check(rdmsr(X86_MSR_EFER) == efer, "efer-unchanged", "it is %#llx", (unsigned long long)rdmsr(X86_MSR_EFER));
}

uint8_t guest_main(void)
{
    check_synthetic();
    check_architectural();
    check_refused();
    return guest_failures();
}
