/* SPDX-License-Identifier: MIT */
/*
 * Parameters of the calls that create and run partitions, and of the other calls
 * of the root. Layouts follow the public headers with which Linux and the mshv
 * clients are built (hvhdk.h, hvhdk_mini.h); properties and life cycle are
 * described in TLFS 2.0, Partition Management. "Rep list" names what follows the
 * fixed part, element by element.
 */
#ifndef ABI_HV_PARTITION_H
#define ABI_HV_PARTITION_H

#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_features.h"
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_register.h"
#include "hv/abi/hv_synic.h"

#define HV_PROXIMITY_DOMAIN_PREFERRED  0x00000001u
#define HV_PROXIMITY_DOMAIN_INFO_VALID 0x80000000u

/* Which memory node; all zero where the caller has none. */
struct hv_proximity_domain_info {
    uint32_t domain_id;
    uint32_t flags;
};
_Static_assert(sizeof(struct hv_proximity_domain_info) == 8, "proximity domain");

/* Creation and life of a partition. */

#define HV_PARTITION_CREATION_FLAG_SMT_ENABLED_GUEST              UINT64_C(1)
#define HV_PARTITION_CREATION_FLAG_NESTED_VIRTUALIZATION_CAPABLE  (UINT64_C(1) << 1)
#define HV_PARTITION_CREATION_FLAG_GPA_SUPER_PAGES_ENABLED        (UINT64_C(1) << 4)
#define HV_PARTITION_CREATION_FLAG_EXO_PARTITION                  (UINT64_C(1) << 8)
#define HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED                  (UINT64_C(1) << 13)
#define HV_PARTITION_CREATION_FLAG_INTERCEPT_MESSAGE_PAGE_ENABLED (UINT64_C(1) << 19)
#define HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE                 (UINT64_C(1) << 22)

/* Major and minor in bits 15:8 and 7:0. */
#define HV_COMPATIBILITY_21_H2 0x0609u

/* HvCallCreatePartition (input). */
struct hv_input_create_partition {
    uint64_t flags;
    struct hv_proximity_domain_info proximity_domain_info;
    uint32_t compatibility_version;
    uint32_t rsvd;
    uint64_t disabled_processor_features[HV_PARTITION_PROCESSOR_FEATURES_BANKS];
    uint64_t disabled_xsave_features;
    uint64_t isolation_properties;
};
_Static_assert(sizeof(struct hv_input_create_partition) == 56, "create partition");
_Static_assert(offsetof(struct hv_input_create_partition, disabled_xsave_features) == 40, "create partition XSAVE");

/* HvCallCreatePartition (output). */
struct hv_output_create_partition {
    uint64_t partition_id;
};
_Static_assert(sizeof(struct hv_output_create_partition) == 8, "create partition output");

/* HvCallInitializePartition, HvCallFinalizePartition, HvCallDeletePartition, HvCallClearVirtualInterrupt (input). */
struct hv_input_partition {
    uint64_t partition_id;
};
_Static_assert(sizeof(struct hv_input_partition) == 8, "partition");

/* Property codes. */
#define HvPartitionPropertyPrivilegeFlags                    0x00010000u
#define HvPartitionPropertySyntheticProcFeatures             0x00010001u
#define HvPartitionPropertySuspend                           0x00020000u
#define HvPartitionPropertyCpuReserve                        0x00020001u
#define HvPartitionPropertyCpuCap                            0x00020002u
#define HvPartitionPropertyCpuWeight                         0x00020003u
#define HvPartitionPropertyCpuGroupId                        0x00020004u
#define HvPartitionPropertyIntegratedSchedulerEnabled        0x00020005u
#define HvPartitionPropertyTimeFreeze                        0x00030003u
#define HvPartitionPropertyReferenceTime                     0x00030005u
#define HvPartitionPropertyDebugChannelId                    0x00040000u
#define HvPartitionPropertyVirtualTlbPageCount               0x00050000u
#define HvPartitionPropertyVsmConfig                         0x00050001u
#define HvPartitionPropertyZeroMemoryOnReset                 0x00050002u
#define HvPartitionPropertyProcessorsPerSocket               0x00050003u
#define HvPartitionPropertyNestedTlbSize                     0x00050004u
#define HvPartitionPropertyGpaPageAccessTracking             0x00050005u
#define HvPartitionPropertyVsmPermissionsDirtySinceLastQuery 0x00050006u
#define HvPartitionPropertySgxLaunchControlConfig            0x00050007u
#define HvPartitionPropertyIsolationState                    0x0005000Cu
#define HvPartitionPropertyIsolationControl                  0x0005000Du
#define HvPartitionPropertyAllocationId                      0x0005000Eu
#define HvPartitionPropertyMonitoringId                      0x0005000Fu
#define HvPartitionPropertyImplementedPhysicalAddressBits    0x00050010u
#define HvPartitionPropertyNonArchitecturalCoreSharing       0x00050011u
#define HvPartitionPropertyHypercallDoorbellPage             0x00050012u
#define HvPartitionPropertyIsolationPolicy                   0x00050014u
#define HvPartitionPropertyUnimplementedMsrAction            0x00050017u
#define HvPartitionPropertySevVmgexitOffloads                0x00050022u
#define HvPartitionPropertyDiagBufferConfig                  0x00050026u
#define HvPartitionPropertyProcessorVendor                   0x00060000u
#define HvPartitionPropertyProcessorFeaturesDeprecated       0x00060001u
#define HvPartitionPropertyProcessorXsaveFeatures            0x00060002u
#define HvPartitionPropertyProcessorClFlushSize              0x00060003u
#define HvPartitionPropertyEnlightenmentModifications        0x00060004u
#define HvPartitionPropertyCompatibilityVersion              0x00060005u
#define HvPartitionPropertyPhysicalAddressWidth              0x00060006u
#define HvPartitionPropertyXsaveStates                       0x00060007u
#define HvPartitionPropertyMaxXsaveDataSize                  0x00060008u
#define HvPartitionPropertyProcessorClockFrequency           0x00060009u
#define HvPartitionPropertyProcessorFeatures0                0x0006000Au
#define HvPartitionPropertyProcessorFeatures1                0x0006000Bu
#define HvPartitionPropertyGuestOsId                         0x00070000u
#define HvPartitionPropertyProcessorVirtualizationFeatures   0x00080000u
/* HvCallGetPartitionPropertyEx only. */
#define HvPartitionPropertyVmmCapabilities                   0x00090007u
#define HvPartitionPropertyAssignableSyntheticProcFeatures   0x00090009u

/* Values of HvPartitionPropertyUnimplementedMsrAction. */
#define HV_UNIMPLEMENTED_MSR_ACTION_FAULT                  UINT64_C(0)
#define HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO UINT64_C(1)
/* Values of HvPartitionPropertyProcessorVendor. */
#define HV_PROCESSOR_VENDOR_AMD                            UINT64_C(0)
#define HV_PROCESSOR_VENDOR_INTEL                          UINT64_C(1)
#define HV_PROCESSOR_VENDOR_HYGON                          UINT64_C(2)

/* HvCallGetPartitionProperty (input). */
struct hv_input_get_partition_property {
    uint64_t partition_id;
    uint32_t property_code;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_get_partition_property) == 16, "get property");

/* HvCallGetPartitionProperty (output). */
struct hv_output_get_partition_property {
    uint64_t property_value;
};
_Static_assert(sizeof(struct hv_output_get_partition_property) == 8, "get property output");

/* HvCallSetPartitionProperty (input). */
struct hv_input_set_partition_property {
    uint64_t partition_id;
    uint32_t property_code;
    uint32_t rsvd;
    uint64_t property_value;
};
_Static_assert(sizeof(struct hv_input_set_partition_property) == 24, "set property");

/* HvCallGetPartitionPropertyEx (input). */
struct hv_input_get_partition_property_ex {
    uint64_t partition_id;
    uint32_t property_code;
    uint32_t rsvd;
    uint64_t argument;
};
_Static_assert(sizeof(struct hv_input_get_partition_property_ex) == 24, "get property ex");

#define HV_VMM_CAPABILITY_MAP_GPA_PRESERVE_ADJUSTABLE        UINT64_C(1)
#define HV_VMM_CAPABILITY_OVERLAY_GPFN_BY_VMM                (UINT64_C(1) << 1)
#define HV_VMM_CAPABILITY_VP_AFFINITY_PROPERTY               (UINT64_C(1) << 2)
#define HV_VMM_CAPABILITY_ASSIGNABLE_SYNTHETIC_PROC_FEATURES (UINT64_C(1) << 4)
#define HV_VMM_CAPABILITY_INTEGRATED_SCHEDULER               (UINT64_C(1) << 6)

/* HvCallGetPartitionPropertyEx (output) for HvPartitionPropertyVmmCapabilities. */
struct hv_partition_property_vmm_capabilities {
    uint16_t bank_count;
    uint16_t rsvd[3];
    uint64_t bank[1];
};
_Static_assert(sizeof(struct hv_partition_property_vmm_capabilities) == 16, "VMM capabilities");

/* Memory given to the hypervisor. */

/* HvCallDepositMemory (input; rep list: uint64_t page numbers of the caller). */
struct hv_input_deposit_memory {
    uint64_t partition_id;
};
_Static_assert(sizeof(struct hv_input_deposit_memory) == 8, "deposit memory");

/* HvCallWithdrawMemory (input; output list: uint64_t page numbers). */
struct hv_input_withdraw_memory {
    uint64_t partition_id;
    struct hv_proximity_domain_info proximity_domain_info;
};
_Static_assert(sizeof(struct hv_input_withdraw_memory) == 16, "withdraw memory");

/* Guest memory. */

#define HV_MAP_GPA_PERMISSIONS_NONE  0x00000000u
#define HV_MAP_GPA_READABLE          0x00000001u
#define HV_MAP_GPA_WRITABLE          0x00000002u
#define HV_MAP_GPA_KERNEL_EXECUTABLE 0x00000004u
#define HV_MAP_GPA_USER_EXECUTABLE   0x00000008u
#define HV_MAP_GPA_EXECUTABLE        0x0000000Cu
#define HV_MAP_GPA_PERMISSIONS_MASK  0x0000000Fu
#define HV_MAP_GPA_ADJUSTABLE        0x00008000u
#define HV_MAP_GPA_NO_ACCESS         0x00010000u
#define HV_MAP_GPA_NOT_CACHED        0x00200000u
#define HV_MAP_GPA_LARGE_PAGE        0x80000000u
#define HV_MAP_GPA_VALID_MASK        0x8021800Fu

/* HvCallMapGpaPages (input; rep list: uint64_t page numbers of the caller). With large pages rep k is base + 512 k. */
struct hv_input_map_gpa_pages {
    uint64_t target_partition_id;
    uint64_t target_gpa_base;
    uint32_t map_flags;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_map_gpa_pages) == 24, "map GPA pages");

#define HV_UNMAP_GPA_LARGE_PAGE 0x00000002u

/* HvCallUnmapGpaPages (input; reps without list elements). */
struct hv_input_unmap_gpa_pages {
    uint64_t target_partition_id;
    uint64_t target_gpa_base;
    uint32_t unmap_flags;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_unmap_gpa_pages) == 24, "unmap GPA pages");

#define HV_GPA_ACCESS_STATE_CLEAR_ACCESSED UINT64_C(1)
#define HV_GPA_ACCESS_STATE_SET_ACCESSED   (UINT64_C(1) << 1)
#define HV_GPA_ACCESS_STATE_CLEAR_DIRTY    (UINT64_C(1) << 2)
#define HV_GPA_ACCESS_STATE_SET_DIRTY      (UINT64_C(1) << 3)
/* Output byte of a page, as it was before the operation. */
#define HV_GPA_PAGE_ACCESSED               0x01u
#define HV_GPA_PAGE_DIRTY                  0x02u

/* HvCallGetGpaPagesAccessState (input; output list: one byte per page). */
struct hv_input_get_gpa_pages_access_state {
    uint64_t partition_id;
    uint64_t flags;
    uint64_t gpa_page_number;
};
_Static_assert(sizeof(struct hv_input_get_gpa_pages_access_state) == 24, "access state");

#define HV_TRANSLATE_GVA_VALIDATE_READ       UINT64_C(0x0001)
#define HV_TRANSLATE_GVA_VALIDATE_WRITE      UINT64_C(0x0002)
#define HV_TRANSLATE_GVA_VALIDATE_EXECUTE    UINT64_C(0x0004)
#define HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT    UINT64_C(0x0008)
#define HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS UINT64_C(0x0010)
#define HV_TRANSLATE_GVA_TLB_FLUSH_INHIBIT   UINT64_C(0x0020)
#define HV_TRANSLATE_GVA_SUPERVISOR_ACCESS   UINT64_C(0x0040)
#define HV_TRANSLATE_GVA_USER_ACCESS         UINT64_C(0x0080)
#define HV_TRANSLATE_GVA_ENFORCE_SMAP        UINT64_C(0x0100)
#define HV_TRANSLATE_GVA_OVERRIDE_SMAP       UINT64_C(0x0200)
#define HV_TRANSLATE_GVA_SHADOW_STACK        UINT64_C(0x0400)
/* The top byte is an HV_INPUT_VTL. */
#define HV_TRANSLATE_GVA_INPUT_VTL_SHIFT     56
#define HV_TRANSLATE_GVA_VALID_MASK          UINT64_C(0xFF000000000007FF)

#define HvTranslateGvaSuccess                 0u
#define HvTranslateGvaPageNotPresent          1u
#define HvTranslateGvaPrivilegeViolation      2u
#define HvTranslateGvaInvalidPageTableFlags   3u
#define HvTranslateGvaGpaUnmapped             4u
#define HvTranslateGvaGpaNoReadAccess         5u
#define HvTranslateGvaGpaNoWriteAccess        6u
#define HvTranslateGvaGpaIllegalOverlayAccess 7u
#define HvTranslateGvaIntercept               8u
#define HvTranslateGvaGpaUnaccepted           9u

/* HvCallTranslateVirtualAddress (input). */
struct hv_input_translate_virtual_address {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t rsvd;
    uint64_t control_flags;
    uint64_t gva_page;
};
_Static_assert(sizeof(struct hv_input_translate_virtual_address) == 32, "translate GVA");

#define HV_TRANSLATE_GVA_RESULT_OVERLAY_PAGE 0x01u

/* HvCallTranslateVirtualAddress (output). */
struct hv_output_translate_virtual_address {
    uint32_t result_code;
    /* One of HvCacheTypeX64*. */
    uint8_t cache_type;
    uint8_t result_flags;
    uint16_t rsvd;
    uint64_t gpa_page;
};
_Static_assert(sizeof(struct hv_output_translate_virtual_address) == 16, "translate GVA output");

#define HV_READ_WRITE_GPA_MAX_BYTES     16u
#define HvAccessGpaSuccess              0u
#define HvAccessGpaUnmapped             1u
#define HvAccessGpaReadIntercept        2u
#define HvAccessGpaWriteIntercept       3u
#define HvAccessGpaIllegalOverlayAccess 4u

/* HvCallReadGpa (input). */
struct hv_input_read_gpa {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t byte_count;
    uint64_t base_gpa;
    /* Bits 7:0 are the cache type. */
    uint64_t control_flags;
};
_Static_assert(sizeof(struct hv_input_read_gpa) == 32, "read GPA");

/* HvCallReadGpa (output). */
struct hv_output_read_gpa {
    uint32_t result_code;
    uint32_t rsvd;
    uint8_t data[HV_READ_WRITE_GPA_MAX_BYTES];
};
_Static_assert(sizeof(struct hv_output_read_gpa) == 24, "read GPA output");

/* HvCallWriteGpa (input). */
struct hv_input_write_gpa {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t byte_count;
    uint64_t base_gpa;
    uint64_t control_flags;
    uint8_t data[HV_READ_WRITE_GPA_MAX_BYTES];
};
_Static_assert(sizeof(struct hv_input_write_gpa) == 48, "write GPA");

/* HvCallWriteGpa (output). */
struct hv_output_write_gpa {
    uint32_t result_code;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_output_write_gpa) == 8, "write GPA output");

/* Virtual processors. */

/* HvCallCreateVp (input). Clients leave padding and subnode id as they are: not to be checked when the type is 0. */
struct hv_input_create_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t padding[3];
    uint8_t subnode_type;
    uint64_t subnode_id;
    struct hv_proximity_domain_info proximity_domain_info;
    /* The LP for a VP of the root, 0 for a child's. */
    uint64_t flags;
};
_Static_assert(sizeof(struct hv_input_create_vp) == 40, "create VP");
_Static_assert(offsetof(struct hv_input_create_vp, subnode_type) == 15, "create VP subnode type");

/* HvCallDeleteVp (input). */
struct hv_input_delete_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_delete_vp) == 16, "delete VP");

#define HV_VP_STATE_PAGE_REGISTERS             0u
#define HV_VP_STATE_PAGE_INTERCEPT_MESSAGE     1u
#define HV_VP_STATE_PAGE_GHCB                  2u
#define HV_VP_STATE_PAGE_COUNT                 3u
#define HV_MAP_VP_STATE_PAGE_LOCATION_PROVIDED 0x01u

/* HvCallMapVpStatePage (input). The page number counts only with the flag. */
struct hv_input_map_vp_state_page {
    uint64_t partition_id;
    uint32_t vp_index;
    uint16_t type;
    uint8_t input_vtl;
    uint8_t flags;
    uint64_t requested_map_location;
};
_Static_assert(sizeof(struct hv_input_map_vp_state_page) == 24, "map VP state page");

/* HvCallMapVpStatePage (output): a page number of the caller. */
struct hv_output_map_vp_state_page {
    uint64_t map_location;
};
_Static_assert(sizeof(struct hv_output_map_vp_state_page) == 8, "map VP state page output");

/* HvCallUnmapVpStatePage (input). */
struct hv_input_unmap_vp_state_page {
    uint64_t partition_id;
    uint32_t vp_index;
    uint16_t type;
    uint8_t input_vtl;
    uint8_t rsvd;
};
_Static_assert(sizeof(struct hv_input_unmap_vp_state_page) == 16, "unmap VP state page");

#define HV_VP_REGISTER_PAGE_VERSION_1   1u
/* Bits of the dirty mask. */
#define HV_X64_REGISTER_CLASS_GENERAL   (1u << 0)
#define HV_X64_REGISTER_CLASS_IP        (1u << 1)
#define HV_X64_REGISTER_CLASS_XMM       (1u << 2)
#define HV_X64_REGISTER_CLASS_SEGMENT   (1u << 3)
#define HV_X64_REGISTER_CLASS_FLAGS     (1u << 4)
#define HV_VP_REGISTER_PAGE_MAX_VECTORS 7u

/* VP state page of type registers. */
struct hv_vp_register_page {
    uint16_t version;
    uint8_t is_valid;
    uint8_t vtl;
    uint32_t dirty;
    /* RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. */
    uint64_t gp_registers[16];
    uint64_t rip;
    uint64_t rflags;
    uint64_t rsvd1;
    struct hv_u128 xmm_registers[6];
    /* ES, CS, SS, DS, FS, GS. */
    struct hv_x64_segment_register segment_registers[6];
    /* From here on read only, save the interrupt vectors. */
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t cr8;
    uint64_t efer;
    uint64_t dr7;
    uint64_t pending_interruption;
    uint64_t interrupt_state;
    uint64_t instruction_emulation_hints;
    uint64_t xfem;
    uint8_t rsvd2[256];
    uint8_t interrupt_vector_count;
    uint8_t interrupt_vectors[HV_VP_REGISTER_PAGE_MAX_VECTORS];
    uint8_t rsvd3[3400];
};
_Static_assert(sizeof(struct hv_vp_register_page) == 4096, "register page");
_Static_assert(offsetof(struct hv_vp_register_page, rip) == 136, "register page RIP");
_Static_assert(offsetof(struct hv_vp_register_page, xmm_registers) == 160, "register page XMM");
_Static_assert(offsetof(struct hv_vp_register_page, segment_registers) == 256, "register page segments");
_Static_assert(offsetof(struct hv_vp_register_page, cr0) == 352, "register page CR0");
_Static_assert(offsetof(struct hv_vp_register_page, xfem) == 424, "register page XFEM");
_Static_assert(offsetof(struct hv_vp_register_page, interrupt_vector_count) == 688, "register page vectors");

/* VP state types. Those with the top bit travel in pages whose numbers follow the fixed part. */
#define HV_GET_SET_VP_STATE_TYPE_PFN         0x80000000u
#define HV_GET_SET_VP_STATE_LAPIC_STATE      0x80000000u
#define HV_GET_SET_VP_STATE_XSAVE            0x80000001u
#define HV_GET_SET_VP_STATE_SIM_PAGE         0x80000002u
#define HV_GET_SET_VP_STATE_SIEF_PAGE        0x80000003u
#define HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS 0x00000004u

/*
 * HvCallGetVpState and HvCallSetVpState (input). The variable header is the list
 * of uint64_t page numbers, or struct hv_synthetic_timers_state when timers are
 * set. When they are got, that struct is the output.
 */
struct hv_input_vp_state {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t input_vtl;
    uint8_t rsvd1[3];
    uint32_t type;
    uint32_t rsvd2;
    uint64_t xsave_flags;
    uint64_t xsave_states;
};
_Static_assert(sizeof(struct hv_input_vp_state) == 40, "VP state");
_Static_assert(offsetof(struct hv_input_vp_state, type) == 16, "VP state type");

/* VP state LAPIC: the registers as the xAPIC's memory page has them. */
struct hv_x64_interrupt_controller_state {
    uint32_t apic_id;
    uint32_t apic_version;
    uint32_t apic_ldr;
    uint32_t apic_dfr;
    uint32_t apic_spurious;
    uint32_t apic_isr[8];
    uint32_t apic_tmr[8];
    uint32_t apic_irr[8];
    uint32_t apic_esr;
    uint32_t apic_icr_high;
    uint32_t apic_icr_low;
    uint32_t apic_lvt_timer;
    uint32_t apic_lvt_thermal;
    uint32_t apic_lvt_perfmon;
    uint32_t apic_lvt_lint0;
    uint32_t apic_lvt_lint1;
    uint32_t apic_lvt_error;
    uint32_t apic_lvt_cmci;
    uint32_t apic_error_status;
    uint32_t apic_initial_count;
    uint32_t apic_counter_value;
    uint32_t apic_divide_configuration;
    uint32_t apic_remote_read;
};
_Static_assert(sizeof(struct hv_x64_interrupt_controller_state) == 176, "LAPIC state");
_Static_assert(offsetof(struct hv_x64_interrupt_controller_state, apic_lvt_timer) == 128, "LAPIC timer");

#define HV_VP_DISPATCH_STATE_INVALID   0u
#define HV_VP_DISPATCH_STATE_BLOCKED   1u
#define HV_VP_DISPATCH_STATE_READY     2u
#define HV_VP_DISPATCH_EVENT_NONE      0u
#define HV_VP_DISPATCH_EVENT_SUSPEND   1u
#define HV_VP_DISPATCH_EVENT_INTERCEPT 2u

#define HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND     0x01u
#define HV_DISPATCH_VP_FLAG_ENABLE_CALLER_INTERRUPTS    0x02u
#define HV_DISPATCH_VP_FLAG_SET_CALLER_SPEC_CTRL        0x04u
#define HV_DISPATCH_VP_FLAG_SKIP_VP_SPEC_FLUSH          0x08u
#define HV_DISPATCH_VP_FLAG_SKIP_CALLER_SPEC_FLUSH      0x10u
#define HV_DISPATCH_VP_FLAG_SKIP_CALLER_USER_SPEC_FLUSH 0x20u
#define HV_DISPATCH_VP_FLAG_SCAN_INTERRUPT_INJECTION    0x40u
#define HV_DISPATCH_VP_FLAG_VALID_MASK                  0x7Fu

/* HvCallDispatchVp (input). */
struct hv_input_dispatch_vp {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t flags;
    /* 0: without end. */
    uint64_t time_slice_100ns;
    uint64_t spec_ctrl;
};
_Static_assert(sizeof(struct hv_input_dispatch_vp) == 32, "dispatch VP");

/* HvCallDispatchVp (output). */
struct hv_output_dispatch_vp {
    uint32_t dispatch_state;
    uint32_t dispatch_event;
};
_Static_assert(sizeof(struct hv_output_dispatch_vp) == 8, "dispatch VP output");

#define HV_GET_VP_CPUID_USE_VP_XFEM_XSS         0x01u
#define HV_GET_VP_CPUID_APPLY_REGISTERED_VALUES 0x02u

/* HvCallGetVpCpuidValues (input; rep list: struct hv_cpuid_leaf_info; output list: struct hv_cpuid_result). */
struct hv_input_get_vp_cpuid_values {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t flags;
    uint32_t rsvd1;
    uint32_t rsvd2;
};
_Static_assert(sizeof(struct hv_input_get_vp_cpuid_values) == 24, "get CPUID values");

/* One leaf asked for, with the XFEM and XSS to assume unless USE_VP_XFEM_XSS. */
struct hv_cpuid_leaf_info {
    uint32_t eax;
    uint32_t ecx;
    uint64_t xfem;
    uint64_t xss;
};
_Static_assert(sizeof(struct hv_cpuid_leaf_info) == 24, "CPUID leaf");

/* One leaf's answer. */
struct hv_cpuid_result {
    uint32_t eax;
    uint32_t ebx;
    uint32_t ecx;
    uint32_t edx;
};
_Static_assert(sizeof(struct hv_cpuid_result) == 16, "CPUID result");

/* Interrupts into a partition. */

#define HvX64InterruptTypeFixed          0u
#define HvX64InterruptTypeLowestPriority 1u
#define HvX64InterruptTypeSmi            2u
#define HvX64InterruptTypeRemoteRead     3u
#define HvX64InterruptTypeNmi            4u
#define HvX64InterruptTypeInit           5u
#define HvX64InterruptTypeSipi           6u
#define HvX64InterruptTypeExtInt         7u
#define HvX64InterruptTypeLocalInt0      8u
#define HvX64InterruptTypeLocalInt1      9u

#define HV_INTERRUPT_CONTROL_LEVEL_TRIGGERED   0x01u
#define HV_INTERRUPT_CONTROL_LOGICAL_DEST_MODE 0x02u

/* HvCallAssertVirtualInterrupt (input). */
struct hv_input_assert_virtual_interrupt {
    uint64_t partition_id;
    uint32_t interrupt_type;
    uint32_t control_flags;
    uint64_t destination_address;
    uint32_t vector;
    uint8_t target_vtl;
    uint8_t rsvd1;
    uint16_t rsvd2;
};
_Static_assert(sizeof(struct hv_input_assert_virtual_interrupt) == 32, "assert interrupt");
_Static_assert(offsetof(struct hv_input_assert_virtual_interrupt, vector) == 24, "assert interrupt vector");

/* Ports and connections. */

#define HV_PORT_TYPE_MESSAGE  1u
#define HV_PORT_TYPE_EVENT    2u
#define HV_PORT_TYPE_MONITOR  3u
#define HV_PORT_TYPE_DOORBELL 4u

/*
 * What a port is. For message, event and doorbell ports the first pair is the
 * target; for a monitor port these 8 bytes are the monitor page's GPA
 * (hv_port_monitor_address). Base flag and flag count are an event port's.
 */
struct hv_port_info {
    uint32_t port_type;
    uint32_t rsvd1;
    uint32_t target_sint;
    uint32_t target_vp;
    uint16_t base_flag_number;
    uint16_t flag_count;
    uint32_t rsvd2;
};
_Static_assert(sizeof(struct hv_port_info) == 24, "port info");
_Static_assert(offsetof(struct hv_port_info, target_sint) == 8, "port SINT");

static inline uint64_t hv_port_monitor_address(const struct hv_port_info *info)
{
    return (uint64_t)info->target_sint | ((uint64_t)info->target_vp << 32);
}

/* HvCallCreatePort (input). */
struct hv_input_create_port {
    uint64_t port_partition_id;
    uint32_t port_id;
    uint8_t port_vtl;
    uint8_t min_connection_vtl;
    uint16_t rsvd;
    uint64_t connection_partition_id;
    struct hv_port_info port_info;
    struct hv_proximity_domain_info proximity_domain_info;
};
_Static_assert(sizeof(struct hv_input_create_port) == 56, "create port");
_Static_assert(offsetof(struct hv_input_create_port, port_info) == 24, "create port info");

#define HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK  UINT64_C(0x00000007)
#define HV_DOORBELL_FLAG_TRIGGER_SIZE_ANY   UINT64_C(0x00000000)
#define HV_DOORBELL_FLAG_TRIGGER_SIZE_BYTE  UINT64_C(0x00000001)
#define HV_DOORBELL_FLAG_TRIGGER_SIZE_WORD  UINT64_C(0x00000002)
#define HV_DOORBELL_FLAG_TRIGGER_SIZE_DWORD UINT64_C(0x00000003)
#define HV_DOORBELL_FLAG_TRIGGER_SIZE_QWORD UINT64_C(0x00000004)
#define HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE  UINT64_C(0x80000000)

/*
 * What a connection is. Message and event connections have nothing further; a
 * monitor connection has the monitor page's GPA in the first quadword; a
 * doorbell has all three.
 */
struct hv_connection_info {
    uint32_t port_type;
    uint32_t rsvd;
    uint64_t gpa;
    uint64_t trigger_value;
    uint64_t doorbell_flags;
};
_Static_assert(sizeof(struct hv_connection_info) == 32, "connection info");

/* HvCallConnectPort (input). */
struct hv_input_connect_port {
    uint64_t connection_partition_id;
    uint32_t connection_id;
    uint8_t connection_vtl;
    uint8_t rsvd1;
    uint16_t rsvd2;
    uint64_t port_partition_id;
    uint32_t port_id;
    uint32_t rsvd3;
    struct hv_connection_info connection_info;
    struct hv_proximity_domain_info proximity_domain_info;
};
_Static_assert(sizeof(struct hv_input_connect_port) == 72, "connect port");
_Static_assert(offsetof(struct hv_input_connect_port, connection_info) == 32, "connect port info");

/* HvCallDeletePort (input). */
struct hv_input_delete_port {
    uint64_t port_partition_id;
    uint32_t port_id;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_delete_port) == 16, "delete port");

#define HV_DISCONNECT_PORT_DOORBELL 1u

/* HvCallDisconnectPort (input). */
struct hv_input_disconnect_port {
    uint64_t connection_partition_id;
    uint32_t connection_id;
    uint32_t flags;
};
_Static_assert(sizeof(struct hv_input_disconnect_port) == 16, "disconnect port");

/* HvCallNotifyPortRingEmpty (input). */
struct hv_input_notify_port_ring_empty {
    uint32_t sint_index;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_notify_port_ring_empty) == 8, "port ring empty");

/* HvCallPostMessageDirect (input): a whole message into a SINT's queue, without port. */
struct hv_input_post_message_direct {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t target_vtl;
    uint8_t rsvd1[3];
    uint32_t sint_index;
    /* A struct hv_message, unaligned: copy it before use. */
    uint8_t message[HV_MESSAGE_SIZE];
    uint32_t rsvd2;
};
_Static_assert(sizeof(struct hv_input_post_message_direct) == 280, "post message direct");
_Static_assert(offsetof(struct hv_input_post_message_direct, message) == 20, "post message direct message");

/* HvCallSignalEventDirect (input): sets an event flag without port. */
struct hv_input_signal_event_direct {
    uint64_t target_partition_id;
    uint32_t target_vp;
    uint8_t target_vtl;
    uint8_t target_sint;
    uint16_t flag_number;
};
_Static_assert(sizeof(struct hv_input_signal_event_direct) == 16, "signal event direct");

/* HvCallSignalEventDirect (output). */
struct hv_output_signal_event_direct {
    uint8_t newly_signaled;
    uint8_t rsvd[7];
};
_Static_assert(sizeof(struct hv_output_signal_event_direct) == 8, "signal event direct output");

/* Statistics. */

#define HvStatsObjectHypervisor       0x00000001u
#define HvStatsObjectLogicalProcessor 0x00000002u
#define HvStatsObjectPartition        0x00010001u
#define HvStatsObjectVp               0x00010002u
#define HV_STATS_AREA_SELF            0u
#define HV_STATS_AREA_PARENT          1u
#define HV_STATS_AREA_INTERNAL        2u
/* Offset, in the hypercall's input, of the area type: the identity's last byte. */
#define HV_STATS_AREA_INPUT_OFFSET    23u

/*
 * HvCallMapStatsPage and HvCallUnmapStatsPage (input). The identity is by type:
 * hypervisor none; LP its index in the low half of object_id; partition its id;
 * VP the partition's id and vp_index with flags.
 */
struct hv_input_stats_page {
    uint32_t object_type;
    uint32_t rsvd1;
    uint64_t object_id;
    uint32_t vp_index;
    uint16_t vp_flags;
    uint8_t rsvd2;
    uint8_t stats_area_type;
};
_Static_assert(sizeof(struct hv_input_stats_page) == 24, "stats page");
_Static_assert(offsetof(struct hv_input_stats_page, stats_area_type) == HV_STATS_AREA_INPUT_OFFSET, "stats area");

/* HvCallMapStatsPage (output): a page number of the caller. */
struct hv_output_map_stats_page {
    uint64_t map_location;
};
_Static_assert(sizeof(struct hv_output_map_stats_page) == 8, "map stats page output");

#define HV_STATS_PAGE_COUNTERS                   512u
/* Counters that clients act upon. */
#define HV_STATS_HYPERVISOR_LOGICAL_PROCESSORS   1u
#define HV_STATS_VP_ROOT_DISPATCH_THREAD_BLOCKED 202u

/* A statistics page. */
struct hv_stats_page {
    uint64_t counters[HV_STATS_PAGE_COUNTERS];
};
_Static_assert(sizeof(struct hv_stats_page) == 4096, "stats page");

/* Processors, interrupts and power of the machine (root). */

/* HvCallGetLogicalProcessorRunTime (input). */
struct hv_input_get_logical_processor_run_time {
    uint32_t lp_index;
};
_Static_assert(sizeof(struct hv_input_get_logical_processor_run_time) == 4, "LP run time");

/* HvCallGetLogicalProcessorRunTime (output), in 100 ns. */
struct hv_output_get_logical_processor_run_time {
    uint64_t global_time;
    uint64_t local_run_time;
    uint64_t rsvd;
    uint64_t hypervisor_time;
};
_Static_assert(sizeof(struct hv_output_get_logical_processor_run_time) == 32, "LP run time output");

/* HvCallAddLogicalProcessor (input). */
struct hv_input_add_logical_processor {
    uint32_t lp_index;
    uint32_t apic_id;
    struct hv_proximity_domain_info proximity_domain_info;
};
_Static_assert(sizeof(struct hv_input_add_logical_processor) == 16, "add LP");

/* HvCallAddLogicalProcessor (output). */
struct hv_output_add_logical_processor {
    uint64_t startup_status;
    uint64_t substatus[6];
};
_Static_assert(sizeof(struct hv_output_add_logical_processor) == 56, "add LP output");

#define HvPartitionEventRootCrashdump               2u
#define HvPartitionEventAllLogicalProcessorsStarted 4u
#define HV_CRASHDUMP_NONE                           0u
#define HV_CRASHDUMP_SUSPEND_ALL_VPS                1u
#define HV_CRASHDUMP_PREPARE_FOR_STATE_SAVE         2u
#define HV_CRASHDUMP_STATE_SAVED                    3u
#define HV_CRASHDUMP_ENTRY                          4u

/* HvCallNotifyPartitionEvent (input). */
struct hv_input_notify_partition_event {
    uint32_t event;
    uint32_t event_data;
};
_Static_assert(sizeof(struct hv_input_notify_partition_event) == 8, "partition event");

#define HvSystemPropertySleepState               3u
#define HvSystemPropertySchedulerType            15u
#define HvSystemPropertyDynamicProcessorFeature  21u
#define HvSystemPropertyCrashdumpArea            47u
#define HvSchedulerTypeLp                        1u
#define HvSchedulerTypeLpSmt                     2u
#define HvSchedulerTypeCoreSmt                   3u
#define HvSchedulerTypeRoot                      4u
/* A page range in one word: first page in 39:0, further pages in 63:40. */
#define HV_SPA_PAGE_RANGE_ADDITIONAL_PAGES_SHIFT 40

/* HvCallGetSystemProperty (input). */
struct hv_input_get_system_property {
    uint32_t property_id;
    uint32_t rsvd;
    uint64_t argument;
};
_Static_assert(sizeof(struct hv_input_get_system_property) == 16, "get system property");

/* HvCallGetSystemProperty (output); the scheduler type is in the low half. */
struct hv_output_get_system_property {
    uint64_t value;
};
_Static_assert(sizeof(struct hv_output_get_system_property) == 8, "get system property output");

#define HV_SLEEP_STATE_S1   1u
#define HV_SLEEP_STATE_S2   2u
#define HV_SLEEP_STATE_S3   3u
#define HV_SLEEP_STATE_S4   4u
#define HV_SLEEP_STATE_S5   5u
/* Refuses later registrations. */
#define HV_SLEEP_STATE_LOCK 6u

/* HvCallSetSystemProperty (input) for HvSystemPropertySleepState. */
struct hv_input_set_system_property {
    uint32_t property_id;
    uint32_t rsvd1;
    uint32_t sleep_state;
    uint8_t pm1a_slp_typ;
    uint8_t pm1b_slp_typ;
    uint8_t rsvd2[58];
};
_Static_assert(sizeof(struct hv_input_set_system_property) == 72, "set system property");
_Static_assert(offsetof(struct hv_input_set_system_property, pm1a_slp_typ) == 12, "sleep type");

/* HvCallEnterSleepState (input). */
struct hv_input_enter_sleep_state {
    uint32_t sleep_state;
};
_Static_assert(sizeof(struct hv_input_enter_sleep_state) == 4, "enter sleep state");

/* HvCallDisableHypEx (input): where to go on, in 32-bit mode without paging. */
struct hv_input_disable_hyp_ex {
    uint64_t rip;
    uint64_t argument;
};
_Static_assert(sizeof(struct hv_input_disable_hyp_ex) == 16, "disable hypervisor");

/* The crash dump area (HvSystemPropertyCrashdumpArea). */
struct hv_crashdump_area {
    uint32_t version;
    uint32_t flags;
};
_Static_assert(sizeof(struct hv_crashdump_area) == 8, "crash dump area");
#define HV_CRASHDUMP_AREA_VALID 1u

/* Device id: type in 63:62, the rest by type. */
#define HV_DEVICE_TYPE_SHIFT                    62
#define HV_DEVICE_TYPE_LOGICAL                  0u
#define HV_DEVICE_TYPE_PCI                      1u
#define HV_DEVICE_TYPE_IOAPIC                   2u
#define HV_DEVICE_TYPE_ACPI                     3u
#define HV_DEVICE_ID_PCI_RID_MASK               UINT64_C(0xFFFF)
#define HV_DEVICE_ID_PCI_SEGMENT_SHIFT          16
#define HV_DEVICE_ID_PCI_SEGMENT_MASK           (UINT64_C(0xFFFF) << 16)
#define HV_DEVICE_ID_PCI_SHADOW_BUS_SHIFT       32
#define HV_DEVICE_ID_PCI_PHANTOM_FUNCTION_SHIFT 48
#define HV_DEVICE_ID_PCI_SOURCE_SHADOW          (UINT64_C(1) << 50)
#define HV_DEVICE_ID_IOAPIC_ID_MASK             UINT64_C(0xFF)

static inline uint32_t hv_device_id_type(uint64_t device_id)
{
    return (uint32_t)(device_id >> HV_DEVICE_TYPE_SHIFT);
}

#define HV_INTERRUPT_TRIGGER_MODE_EDGE  0u
#define HV_INTERRUPT_TRIGGER_MODE_LEVEL 1u

/* HvCallMapDeviceInterrupt (input; variable header: bank mask and banks, in a processor set). */
struct hv_input_map_device_interrupt {
    uint64_t partition_id;
    uint64_t device_id;
    uint32_t flags;
    uint32_t base_irt_index;
    struct hv_interrupt_entry logical_interrupt_entry;
    uint32_t interrupt_type;
    uint32_t trigger_mode;
    uint32_t vector_count;
    uint32_t rsvd;
    struct hv_device_interrupt_target target;
};
_Static_assert(sizeof(struct hv_input_map_device_interrupt) == 72, "map device interrupt");
_Static_assert(offsetof(struct hv_input_map_device_interrupt, interrupt_type) == 40, "map device interrupt type");
_Static_assert(offsetof(struct hv_input_map_device_interrupt, target) == 56, "map device interrupt target");

/* HvCallMapDeviceInterrupt (output). */
struct hv_output_map_device_interrupt {
    struct hv_interrupt_entry interrupt_entry;
    uint64_t rsvd[5];
};
_Static_assert(sizeof(struct hv_output_map_device_interrupt) == 56, "map device interrupt output");

/* HvCallUnmapDeviceInterrupt (input); the wire ends with the flags. */
struct hv_input_unmap_device_interrupt {
    uint64_t partition_id;
    uint64_t device_id;
    struct hv_interrupt_entry interrupt_entry;
    uint32_t flags;
} __attribute__((packed));
_Static_assert(sizeof(struct hv_input_unmap_device_interrupt) == 36, "unmap device interrupt");

#endif
