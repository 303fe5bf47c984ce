/* SPDX-License-Identifier: MIT */
/* What CPUID says in a child: the hypervisor's leaves, and no virtualisation extension. */
#include "hv/abi/hv_cpuid.h"
#include "partitions/child/lib/guest.h"

#define CPUID_1_ECX_VMX              (1u << 5)
#define CPUID_1_ECX_X2APIC           (1u << 21)
#define CPUID_1_EDX_APIC             (1u << 9)
#define CPUID_80000001_ECX_SVM       (1u << 2)
#define CPUID_80000001_EDX_LONG_MODE (1u << 29)
static const uint32_t needed_eax =
    HV_ACCESS_PARTITION_REFERENCE_COUNTER | HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX;
/* Privileges that only a parent may have. */
static const uint64_t parent_privileges =
    HV_CREATE_PARTITIONS | HV_ACCESS_PARTITION_ID | HV_ACCESS_MEMORY_POOL | HV_CPU_MANAGEMENT;

static void check_architectural(void)
{
    uint32_t one[4];
    uint32_t extended[4];

    cpuid(1, 0, one);
    cpuid(0x80000001, 0, extended);
    guest_check((one[2] & HV_CPUID_1_ECX_HYPERVISOR_PRESENT) != 0, "hypervisor-bit", "ECX %#x", one[2]);
    guest_check((one[2] & CPUID_1_ECX_VMX) == 0 && (extended[2] & CPUID_80000001_ECX_SVM) == 0, "no-virtualisation",
                "leaf 1 ECX %#x, leaf 0x80000001 ECX %#x", one[2], extended[2]);
    guest_check((one[3] & CPUID_1_EDX_APIC) != 0 && (one[2] & CPUID_1_ECX_X2APIC) != 0, "apic", "EDX %#x, ECX %#x",
                one[3], one[2]);
    guest_check((extended[3] & CPUID_80000001_EDX_LONG_MODE) != 0, "long-mode", "EDX %#x", extended[3]);
    guest_apic_init();
    guest_check(one[1] >> 24 == guest_apic_id(), "apic-id", "leaf 1 says %u, the APIC %u", one[1] >> 24,
                guest_apic_id());
}

static void check_hypervisor(void)
{
    uint32_t leaf[4];
    uint32_t again[4];

    cpuid(HV_CPUID_VENDOR_AND_MAX_FUNCTION, 0, leaf);
    guest_check(leaf[0] >= HV_CPUID_MIN_MAX_FUNCTION && leaf[0] <= HV_CPUID_MAX_MAX_FUNCTION, "max-leaf", "%#x",
                leaf[0]);
    guest_check(leaf[1] == HV_CPUID_VENDOR_EBX && leaf[2] == HV_CPUID_VENDOR_ECX && leaf[3] == HV_CPUID_VENDOR_EDX,
                "vendor", "%#x %#x %#x", leaf[1], leaf[2], leaf[3]);
    cpuid(HV_CPUID_INTERFACE, 0, leaf);
    guest_check(leaf[0] == HV_CPUID_INTERFACE_HV1, "interface", "%#x", leaf[0]);
    cpuid(HV_CPUID_FEATURES, 0, leaf);
    guest_check((leaf[0] & needed_eax) == needed_eax, "privileges", "EAX %#x", leaf[0]);
    guest_check(((uint64_t)leaf[1] << 32 & parent_privileges) == 0, "no-parent-privileges", "EBX %#x", leaf[1]);
    guest_print("features %#x %#x %#x %#x\n", leaf[0], leaf[1], leaf[2], leaf[3]);
    cpuid(HV_CPUID_FEATURES, 0, again);
    guest_check(again[0] == leaf[0] && again[1] == leaf[1] && again[2] == leaf[2] && again[3] == leaf[3], "constant",
                "a second look differs");
    cpuid(HV_CPUID_IMPLEMENT_LIMITS, 0, leaf);
    guest_check(leaf[0] >= 1, "limits", "%u VPs", leaf[0]);
    cpuid(HV_CPUID_VIRT_STACK_PROPERTIES, 0, leaf);
    guest_check(leaf[0] == 0, "unknown-leaf", "leaf %#x has EAX %#x", HV_CPUID_VIRT_STACK_PROPERTIES, leaf[0]);
}

uint8_t guest_main(void)
{
    check_architectural();
    check_hypervisor();
    return guest_failures();
}
