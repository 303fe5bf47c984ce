/* SPDX-License-Identifier: MIT */
/* Can this machine serve, and what can its processors do. SDM vol. 3, VMX Capability Reporting Facility. */
#include "hv/cpu/asm.h"
#include "hv/cpu/safe.h"
#include "hv/lib/fmt.h"
#include "vmx/vmx.h"

#define CPUID_FEATURES         1u
#define CPUID_FEATURES_ECX_VMX (1u << 5)
#define CPUID_ADDRESS_SIZES    0x80000008u
#define PHYSICAL_BITS_MASK     0xffu
#define CPUID_STRUCTURED       7u
#define CPUID_STRUCTURED_SGX   (1u << 2)
#define CPUID_STRUCTURED_RTM   (1u << 11)
#define VPID_COUNT             0x10000u

struct backend_features vmx_features;
uint32_t vmx_vpid_count;
struct vmx_limits vmx_limits;

static struct vmx_allowed read_allowed(uint32_t msr)
{
    uint64_t value = rdmsr(msr);

    return (struct vmx_allowed){.must = (uint32_t)value, .may = (uint32_t)(value >> 32)};
}

static void read_limits(void)
{
    uint32_t structured = cpuid(0, 0).eax >= CPUID_STRUCTURED ? cpuid(CPUID_STRUCTURED, 0).ebx : 0;
    bool has_true;

    vmx_limits.has_sgx = (structured & CPUID_STRUCTURED_SGX) != 0;
    vmx_limits.has_rtm = (structured & CPUID_STRUCTURED_RTM) != 0;
    vmx_limits.basic = rdmsr(X86_MSR_VMX_BASIC);
    vmx_limits.misc = rdmsr(X86_MSR_VMX_MISC);
    has_true = (vmx_limits.basic & VMX_BASIC_TRUE_CONTROLS) != 0;
    vmx_limits.pin = read_allowed(has_true ? X86_MSR_VMX_TRUE_PINBASED_CTLS : X86_MSR_VMX_PINBASED_CTLS);
    vmx_limits.cpu = read_allowed(has_true ? X86_MSR_VMX_TRUE_PROCBASED_CTLS : X86_MSR_VMX_PROCBASED_CTLS);
    vmx_limits.exit = read_allowed(has_true ? X86_MSR_VMX_TRUE_EXIT_CTLS : X86_MSR_VMX_EXIT_CTLS);
    vmx_limits.entry = read_allowed(has_true ? X86_MSR_VMX_TRUE_ENTRY_CTLS : X86_MSR_VMX_ENTRY_CTLS);
    vmx_limits.cpu2 = (struct vmx_allowed){0};
    vmx_limits.ept_vpid = 0;
    if (vmx_limits.cpu.may & VMX_CPU_SECONDARY) {
        vmx_limits.cpu2 = read_allowed(X86_MSR_VMX_PROCBASED_CTLS2);
    }
    if (vmx_limits.cpu2.may & (VMX_CPU2_EPT | VMX_CPU2_VPID)) {
        vmx_limits.ept_vpid = rdmsr(X86_MSR_VMX_EPT_VPID_CAP);
    }
    vmx_limits.cr0_must = rdmsr(X86_MSR_VMX_CR0_FIXED0);
    vmx_limits.cr0_may = rdmsr(X86_MSR_VMX_CR0_FIXED1);
    vmx_limits.cr4_must = rdmsr(X86_MSR_VMX_CR4_FIXED0);
    vmx_limits.cr4_may = rdmsr(X86_MSR_VMX_CR4_FIXED1);
    vmx_limits.physical_bits = (uint8_t)(cpuid(CPUID_ADDRESS_SIZES, 0).eax & PHYSICAL_BITS_MASK);
}

/* One thing that the backend cannot do without. */
struct requirement {
    const uint32_t *word; /* allowed-1 settings */
    uint32_t bits;
    const char *text;
};

static const struct requirement requirements[] = {
    {&vmx_limits.cpu.may, VMX_CPU_SECONDARY, "no secondary processor-based controls, hence no EPT"},
    {&vmx_limits.cpu2.may, VMX_CPU2_EPT, "no extended page tables (EPT)"},
    {&vmx_limits.cpu2.may, VMX_CPU2_UNRESTRICTED, "no unrestricted guest"},
    {&vmx_limits.cpu.may, VMX_CPU_TPR_SHADOW, "no TPR shadow"},
    {&vmx_limits.cpu.may, VMX_CPU_MSR_BITMAPS | VMX_CPU_IO_BITMAPS, "no MSR or I/O bitmaps"},
    {&vmx_limits.pin.may, VMX_PIN_VIRTUAL_NMI, "no virtual NMIs"},
    {&vmx_limits.exit.may, VMX_EXIT_HOST_64 | VMX_EXIT_LOAD_PAT | VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER,
     "no switching of EFER and PAT at VM exits"},
    {&vmx_limits.entry.may, VMX_ENTRY_GUEST_64 | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER,
     "no switching of EFER and PAT at VM entries"},
};

/* Controls that must be allowed to be off. */
#define CPU_CONTROLS_OFF (VMX_CPU_CR3_LOAD | VMX_CPU_CR3_STORE)

static bool has_requirements(char *why, size_t size)
{
    const uint64_t ept = VMX_CAP_EPT_WALK_4 | VMX_CAP_EPT_WB | VMX_CAP_EPT_2M | VMX_CAP_INVEPT | VMX_CAP_INVEPT_SINGLE;

    for (size_t i = 0; i < ARRAY_SIZE(requirements); i++) {
        if ((*requirements[i].word & requirements[i].bits) != requirements[i].bits) {
            fmt_snprintf(why, size, "the processor has VT-x but %s", requirements[i].text);
            return false;
        }
    }
    if (vmx_limits.cpu.must & CPU_CONTROLS_OFF) {
        fmt_snprintf(why, size, "the processor has VT-x but every access to CR3 exits");
        return false;
    }
    if ((vmx_limits.ept_vpid & ept) != ept) {
        fmt_snprintf(why, size, "the processor's extended page tables lack what is needed (IA32_VMX_EPT_VPID_CAP %lx)",
                     vmx_limits.ept_vpid);
        return false;
    }
    return true;
}

bool vmx_is_locked_off(void)
{
    uint64_t control;

    return msr_read_safe(X86_MSR_INTEL_FEATURE_CONTROL, &control) && (control & X86_FEATURE_CONTROL_LOCK) &&
           !(control & X86_FEATURE_CONTROL_VMX_OUTSIDE_SMX);
}

enum backend_fit vmx_probe(char *why, size_t size)
{
    const uint64_t vpid = VMX_CAP_INVVPID | VMX_CAP_INVVPID_SINGLE | VMX_CAP_INVVPID_ALL;

    if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID_FEATURES_ECX_VMX)) {
        return BACKEND_ABSENT;
    }
    if (vmx_is_locked_off()) {
        fmt_snprintf(why, size,
                     "VT-x is disabled by the firmware (IA32_FEATURE_CONTROL); switch it on in the firmware set-up");
        return BACKEND_UNUSABLE;
    }
    read_limits();
    if (!has_requirements(why, size)) {
        return BACKEND_UNUSABLE;
    }
    if ((vmx_limits.ept_vpid & vpid) != vpid) {
        vmx_limits.cpu2.may &= ~VMX_CPU2_VPID; /* not without the instruction that flushes them */
    }
    vmx_features.has_virtual_eoi = vmx_has_virtual_apic();
    vmx_vpid_count = vmx_limits.cpu2.may & VMX_CPU2_VPID ? VPID_COUNT : 1;
    vmx_gpa_format.has_1g_pages = (vmx_limits.ept_vpid & VMX_CAP_EPT_1G) != 0;
    if (vmx_limits.ept_vpid & VMX_CAP_EPT_ACCESSED_DIRTY) {
        ept_use_accessed_dirty();
    }
    return BACKEND_FITS;
}
