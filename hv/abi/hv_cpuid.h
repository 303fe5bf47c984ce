/* SPDX-License-Identifier: MIT */
/*
 * CPUID leaves of the hypervisor interface (TLFS, Feature and Interface
 * Discovery). EAX and EBX of the features leaf together are the partition's
 * privilege mask, EAX the low half.
 */
#ifndef ABI_HV_CPUID_H
#define ABI_HV_CPUID_H

#include <stdint.h>

/* Architectural leaf 1, ECX: a hypervisor is present. */
#define HV_CPUID_HYPERVISOR_PRESENT_LEAF  0x00000001u
#define HV_CPUID_1_ECX_HYPERVISOR_PRESENT (1u << 31)

#define HV_CPUID_VENDOR_AND_MAX_FUNCTION 0x40000000u
#define HV_CPUID_INTERFACE               0x40000001u
#define HV_CPUID_VERSION                 0x40000002u
#define HV_CPUID_FEATURES                0x40000003u
#define HV_CPUID_ENLIGHTENMENT_INFO      0x40000004u
#define HV_CPUID_IMPLEMENT_LIMITS        0x40000005u
#define HV_CPUID_HARDWARE_FEATURES       0x40000006u
#define HV_CPUID_CPU_MANAGEMENT_FEATURES 0x40000007u
#define HV_CPUID_SVM_FEATURES            0x40000008u
#define HV_CPUID_SKIP_LEVEL_FEATURES     0x40000009u
#define HV_CPUID_NESTED_FEATURES         0x4000000Au
#define HV_CPUID_IPT_FEATURES            0x4000000Bu
#define HV_CPUID_ISOLATION_CONFIG        0x4000000Cu
/* What leaf 0x40000000 has to report at least, and may report at most. */
#define HV_CPUID_MIN_MAX_FUNCTION        0x40000005u
#define HV_CPUID_MAX_MAX_FUNCTION        0x4000FFFFu

/* The range of the virtualization stack; not covered by leaf 0x40000000's maximum. */
#define HV_CPUID_VIRT_STACK_VENDOR_AND_MAX_FUNCTION 0x40000080u
#define HV_CPUID_VIRT_STACK_INTERFACE               0x40000081u
#define HV_CPUID_VIRT_STACK_PROPERTIES              0x40000082u

/* Leaf 0x40000000, EBX ECX EDX: "Microsoft Hv". */
#define HV_CPUID_VENDOR_EBX               0x7263694Du
#define HV_CPUID_VENDOR_ECX               0x666F736Fu
#define HV_CPUID_VENDOR_EDX               0x76482074u
/* Leaf 0x40000001, EAX: "Hv#1". */
#define HV_CPUID_INTERFACE_HV1            0x31237648u
/* Leaf 0x40000081, EAX: "VS#1". */
#define HV_CPUID_VIRT_STACK_INTERFACE_VS1 0x31235356u

/* Leaf 0x40000002: EAX is the build number, ECX the service pack. */
#define HV_CPUID_VERSION_EBX_MINOR_MASK           0x0000FFFFu
#define HV_CPUID_VERSION_EBX_MAJOR_SHIFT          16
#define HV_CPUID_VERSION_EBX_MAJOR_MASK           0xFFFF0000u
#define HV_CPUID_VERSION_EDX_SERVICE_NUMBER_MASK  0x00FFFFFFu
#define HV_CPUID_VERSION_EDX_SERVICE_BRANCH_SHIFT 24
#define HV_CPUID_VERSION_EDX_SERVICE_BRANCH_MASK  0xFF000000u
/* Build numbers for which the Linux root driver reports no mismatch. */
#define HV_CPUID_VERSION_BUILD_MSHV_MIN           27744u
#define HV_CPUID_VERSION_BUILD_MSHV_MAX           27751u

/* Leaf 0x40000003, EAX: bits 31:0 of the privilege mask, access to MSRs. */
#define HV_ACCESS_VP_RUN_TIME_REG                   (UINT64_C(1) << 0)
#define HV_ACCESS_PARTITION_REFERENCE_COUNTER       (UINT64_C(1) << 1)
#define HV_ACCESS_SYNIC_REGS                        (UINT64_C(1) << 2)
#define HV_ACCESS_SYNTHETIC_TIMER_REGS              (UINT64_C(1) << 3)
#define HV_ACCESS_INTR_CTRL_REGS                    (UINT64_C(1) << 4)
#define HV_ACCESS_HYPERCALL_MSRS                    (UINT64_C(1) << 5)
#define HV_ACCESS_VP_INDEX                          (UINT64_C(1) << 6)
#define HV_ACCESS_RESET_REG                         (UINT64_C(1) << 7)
#define HV_ACCESS_STATS_REG                         (UINT64_C(1) << 8)
#define HV_ACCESS_PARTITION_REFERENCE_TSC           (UINT64_C(1) << 9)
#define HV_ACCESS_GUEST_IDLE_REG                    (UINT64_C(1) << 10)
#define HV_ACCESS_FREQUENCY_REGS                    (UINT64_C(1) << 11)
#define HV_ACCESS_DEBUG_REGS                        (UINT64_C(1) << 12)
#define HV_ACCESS_REENLIGHTENMENT_CONTROLS          (UINT64_C(1) << 13)
#define HV_ACCESS_ROOT_SCHEDULER_REG                (UINT64_C(1) << 14)
#define HV_ACCESS_TSC_INVARIANT_CONTROLS            (UINT64_C(1) << 15)
/* Leaf 0x40000003, EBX: bits 63:32 of the privilege mask, hypercalls. */
#define HV_CREATE_PARTITIONS                        (UINT64_C(1) << 32)
#define HV_ACCESS_PARTITION_ID                      (UINT64_C(1) << 33)
#define HV_ACCESS_MEMORY_POOL                       (UINT64_C(1) << 34)
#define HV_ADJUST_MESSAGE_BUFFERS                   (UINT64_C(1) << 35)
#define HV_POST_MESSAGES                            (UINT64_C(1) << 36)
#define HV_SIGNAL_EVENTS                            (UINT64_C(1) << 37)
#define HV_CREATE_PORT                              (UINT64_C(1) << 38)
#define HV_CONNECT_PORT                             (UINT64_C(1) << 39)
#define HV_ACCESS_STATS                             (UINT64_C(1) << 40)
#define HV_DEBUGGING                                (UINT64_C(1) << 43)
#define HV_CPU_MANAGEMENT                           (UINT64_C(1) << 44)
#define HV_CONFIGURE_PROFILER                       (UINT64_C(1) << 45)
#define HV_ACCESS_VP_EXIT_TRACING                   (UINT64_C(1) << 46)
#define HV_ENABLE_EXTENDED_GVA_RANGES_FLUSH_VA_LIST (UINT64_C(1) << 47)
#define HV_ACCESS_VSM                               (UINT64_C(1) << 48)
#define HV_ACCESS_VP_REGISTERS                      (UINT64_C(1) << 49)
#define HV_FAST_HYPERCALL_OUTPUT                    (UINT64_C(1) << 51)
#define HV_ENABLE_EXTENDED_HYPERCALLS               (UINT64_C(1) << 52)
#define HV_START_VIRTUAL_PROCESSOR                  (UINT64_C(1) << 53)
#define HV_ISOLATION                                (UINT64_C(1) << 54)

/* The two halves of a privilege mask as leaf 0x40000003 shows them. */
static inline uint32_t hv_privileges_eax(uint64_t privileges)
{
    return (uint32_t)privileges;
}

static inline uint32_t hv_privileges_ebx(uint64_t privileges)
{
    return (uint32_t)(privileges >> 32);
}

/* Leaf 0x40000003, ECX. */
#define HV_FEATURE_ECX_MAX_POWER_STATE_MASK            0xFu
#define HV_FEATURE_ECX_HPET_REQUIRED_FOR_C3            (1u << 4)
#define HV_FEATURE_ECX_INVARIANT_MPERF                 (1u << 5)
#define HV_FEATURE_ECX_SUPERVISOR_SHADOW_STACK         (1u << 6)
#define HV_FEATURE_ECX_ARCHITECTURAL_PMU               (1u << 7)
#define HV_FEATURE_ECX_EXCEPTION_TRAP_INTERCEPT        (1u << 8)
#define HV_FEATURE_ECX_VP_DISPATCH_INTERRUPT_INJECTION (1u << 9)
#define HV_FEATURE_ECX_GHCB_ROOT_MAPPING               (1u << 10)

/* Leaf 0x40000003, EDX. */
#define HV_FEATURE_MWAIT_AVAILABLE          (1u << 0)
#define HV_FEATURE_GUEST_DEBUGGING          (1u << 1)
#define HV_FEATURE_PERFORMANCE_MONITOR      (1u << 2)
#define HV_FEATURE_CPU_DYNAMIC_PARTITIONING (1u << 3)
#define HV_FEATURE_XMM_HYPERCALL_INPUT      (1u << 4)
#define HV_FEATURE_GUEST_IDLE_STATE         (1u << 5)
#define HV_FEATURE_HYPERVISOR_SLEEP_STATE   (1u << 6)
#define HV_FEATURE_QUERY_NUMA_DISTANCE      (1u << 7)
#define HV_FEATURE_FREQUENCY_REGS           (1u << 8)
#define HV_FEATURE_SYNTHETIC_MACHINE_CHECK  (1u << 9)
#define HV_FEATURE_GUEST_CRASH_REGS         (1u << 10)
#define HV_FEATURE_DEBUG_REGS               (1u << 11)
#define HV_FEATURE_NPIEP                    (1u << 12)
#define HV_FEATURE_DISABLE_HYPERVISOR       (1u << 13)
#define HV_FEATURE_EXTENDED_GVA_RANGES      (1u << 14)
#define HV_FEATURE_XMM_HYPERCALL_OUTPUT     (1u << 15)
#define HV_FEATURE_SINT_POLLING_MODE        (1u << 17)
#define HV_FEATURE_HYPERCALL_MSR_LOCK       (1u << 18)
#define HV_FEATURE_DIRECT_SYNTHETIC_TIMERS  (1u << 19)
#define HV_FEATURE_PAT_REGISTER_FOR_VSM     (1u << 20)
#define HV_FEATURE_BNDCFGS_REGISTER_FOR_VSM (1u << 21)
#define HV_FEATURE_SYNTHETIC_WATCHDOG       (1u << 22)
#define HV_FEATURE_TIME_UNHALTED_TIMER      (1u << 23)
#define HV_FEATURE_DEVICE_DOMAINS           (1u << 24)
#define HV_FEATURE_S1_DEVICE_DOMAINS        (1u << 25)
#define HV_FEATURE_LBR                      (1u << 26)
#define HV_FEATURE_IPT                      (1u << 27)
#define HV_FEATURE_CROSS_VTL_FLUSH          (1u << 28)
#define HV_FEATURE_IDLE_SPEC_CTRL           (1u << 29)
#define HV_FEATURE_TRANSLATE_GVA_FLAGS      (1u << 30)
#define HV_FEATURE_APIC_EOI_INTERCEPT       (1u << 31)

/* Leaf 0x40000004, EAX: what the guest had better use. EBX: spin retries before HvCallNotifyLongSpinWait. */
#define HV_HINT_ADDRESS_SWITCH_HYPERCALL         (1u << 0)
#define HV_HINT_LOCAL_TLB_FLUSH_HYPERCALL        (1u << 1)
#define HV_HINT_REMOTE_TLB_FLUSH_HYPERCALL       (1u << 2)
#define HV_HINT_APIC_MSRS                        (1u << 3)
#define HV_HINT_RESET_MSR                        (1u << 4)
#define HV_HINT_RELAXED_TIMING                   (1u << 5)
#define HV_HINT_DMA_REMAPPING                    (1u << 6)
#define HV_HINT_INTERRUPT_REMAPPING              (1u << 7)
#define HV_HINT_X2APIC_MSRS                      (1u << 8)
#define HV_HINT_DEPRECATE_AUTO_EOI               (1u << 9)
#define HV_HINT_CLUSTER_IPI_HYPERCALL            (1u << 10)
#define HV_HINT_EX_PROCESSOR_MASKS               (1u << 11)
#define HV_HINT_NESTED                           (1u << 12)
#define HV_HINT_INT_FOR_MBEC_SYSCALLS            (1u << 13)
#define HV_HINT_ENLIGHTENED_VMCS                 (1u << 14)
#define HV_HINT_SYNCED_TIMELINE                  (1u << 15)
#define HV_HINT_CORE_SCHEDULER_REQUESTED         (1u << 16)
#define HV_HINT_DIRECT_LOCAL_FLUSH_ENTIRE        (1u << 17)
#define HV_HINT_NO_NONARCHITECTURAL_CORE_SHARING (1u << 18)
#define HV_HINT_X2APIC                           (1u << 19)
#define HV_HINT_RESTORE_TIME_ON_RESUME           (1u << 20)
#define HV_HINT_MMIO_HYPERCALLS                  (1u << 21)
#define HV_HINT_GPA_PINNING                      (1u << 22)
#define HV_HINT_WAKE_VPS                         (1u << 23)
/* Leaf 0x40000004, EBX: never notify. */
#define HV_HINT_EBX_SPIN_NEVER_NOTIFY            0xFFFFFFFFu
/* Leaf 0x40000004, ECX. */
#define HV_HINT_ECX_PHYSICAL_ADDRESS_BITS_MASK   0x7Fu

/* Leaf 0x40000005: EAX maximum VPs, EBX maximum LPs, ECX remappable interrupt vectors. */
#define HV_LIMIT_NOT_STATED 0xFFFFFFFFu

/* Leaf 0x40000006, EAX: hardware features in use. */
#define HV_HW_APIC_OVERLAY_ASSIST                (1u << 0)
#define HV_HW_MSR_BITMAPS                        (1u << 1)
#define HV_HW_ARCHITECTURAL_PERF_COUNTERS        (1u << 2)
#define HV_HW_SECOND_LEVEL_ADDRESS_TRANSLATION   (1u << 3)
#define HV_HW_DMA_REMAPPING                      (1u << 4)
#define HV_HW_INTERRUPT_REMAPPING                (1u << 5)
#define HV_HW_MEMORY_PATROL_SCRUBBER             (1u << 6)
#define HV_HW_DMA_PROTECTION                     (1u << 7)
#define HV_HW_HPET_REQUESTED                     (1u << 8)
#define HV_HW_SYNTHETIC_TIMERS_VOLATILE          (1u << 9)
#define HV_HW_NESTING_LEVEL_SHIFT                10
#define HV_HW_NESTING_LEVEL_MASK                 (0xFu << 10)
#define HV_HW_PHYSICAL_DESTINATION_MODE_REQUIRED (1u << 14)
#define HV_HW_VMFUNC_ALIAS_MAP                   (1u << 15)
#define HV_HW_MEMORY_ZEROING                     (1u << 16)
#define HV_HW_UNRESTRICTED_GUEST                 (1u << 17)
#define HV_HW_RDT_ALLOCATION                     (1u << 18)
#define HV_HW_RDT_MONITORING                     (1u << 19)
#define HV_HW_GUEST_VPMU                         (1u << 20)
#define HV_HW_GUEST_VLBR                         (1u << 21)
#define HV_HW_GUEST_VIPT                         (1u << 22)
#define HV_HW_APIC_EMULATION                     (1u << 23)
#define HV_HW_ACPI_WDAT_DETECTED                 (1u << 24)

/* Leaf 0x40000007 (root): CPU management. */
#define HV_CPU_MGMT_EAX_START_LOGICAL_PROCESSOR       (1u << 0)
#define HV_CPU_MGMT_EAX_CREATE_ROOT_VIRTUAL_PROCESSOR (1u << 1)
#define HV_CPU_MGMT_EAX_PERFORMANCE_COUNTER_SYNC      (1u << 2)
#define HV_CPU_MGMT_EAX_RESERVED_IDENTITY             (1u << 31)
#define HV_CPU_MGMT_EBX_PROCESSOR_POWER_MANAGEMENT    (1u << 0)
#define HV_CPU_MGMT_EBX_MWAIT_IDLE_STATES             (1u << 1)
#define HV_CPU_MGMT_EBX_LOGICAL_PROCESSOR_IDLING      (1u << 2)

/* Leaf 0x40000008: shared virtual memory. */
#define HV_SHARED_VM_EAX_SUPPORTED       (1u << 0)
#define HV_SHARED_VM_EAX_MAX_PASID_SHIFT 11

/* Leaf 0x40000009: what a nested guest of this guest may use; its bits are those of leaf 0x40000003. */
#define HV_SKIP_LEVEL_EAX_SYNIC_REGS      (1u << 2)
#define HV_SKIP_LEVEL_EAX_INTR_CTRL_REGS  (1u << 4)
#define HV_SKIP_LEVEL_EAX_HYPERCALL_MSRS  (1u << 5)
#define HV_SKIP_LEVEL_EAX_VP_INDEX        (1u << 6)
#define HV_SKIP_LEVEL_EAX_REENLIGHTENMENT (1u << 12)
#define HV_SKIP_LEVEL_EDX_XMM_INPUT       (1u << 4)
#define HV_SKIP_LEVEL_EDX_XMM_OUTPUT      (1u << 15)
#define HV_SKIP_LEVEL_EDX_SINT_POLLING    (1u << 17)

/* Leaf 0x4000000A: nested optimisations. */
#define HV_NESTED_EAX_EVMCS_LOW_VERSION_MASK   0x000000FFu
#define HV_NESTED_EAX_EVMCS_HIGH_VERSION_SHIFT 8
#define HV_NESTED_EAX_EVMCS_HIGH_VERSION_MASK  0x0000FF00u
#define HV_NESTED_EAX_DIRECT_VIRTUAL_FLUSH     (1u << 17)
#define HV_NESTED_EAX_FLUSH_GUEST_PHYSICAL     (1u << 18)
#define HV_NESTED_EAX_ENLIGHTENED_MSR_BITMAP   (1u << 19)
#define HV_NESTED_EAX_VE_COMBINED_IN_PF_CLASS  (1u << 20)
#define HV_NESTED_EAX_DEBUG_CTL                (1u << 21)
#define HV_NESTED_EAX_ENLIGHTENED_NPT_TLB      (1u << 22)
#define HV_NESTED_EBX_PERF_GLOBAL_CTRL         (1u << 0)

/* Leaf 0x4000000C: isolated VM. */
#define HV_ISOLATION_EAX_PARAVISOR_PRESENT              (1u << 0)
#define HV_ISOLATION_EBX_TYPE_MASK                      0xFu
#define HV_ISOLATION_TYPE_NONE                          0u
#define HV_ISOLATION_TYPE_VBS                           1u
#define HV_ISOLATION_TYPE_SNP                           2u
#define HV_ISOLATION_TYPE_TDX                           3u
#define HV_ISOLATION_TYPE_CCA                           4u
#define HV_ISOLATION_EBX_SHARED_GPA_BOUNDARY_ACTIVE     (1u << 5)
#define HV_ISOLATION_EBX_SHARED_GPA_BOUNDARY_BITS_SHIFT 6
#define HV_ISOLATION_EBX_SHARED_GPA_BOUNDARY_BITS_MASK  (0x3Fu << 6)

/* Leaf 0x40000082, EAX. */
#define HV_VIRT_STACK_PORTABLE_VM          (1u << 0)
#define HV_VIRT_STACK_KERNEL_DEBUG_ALLOWED (1u << 1)
#define HV_VIRT_STACK_EXTENDED_IOAPIC_RTE  (1u << 2)
#define HV_VIRT_STACK_CONFIDENTIAL_VMBUS   (1u << 3)

#endif
