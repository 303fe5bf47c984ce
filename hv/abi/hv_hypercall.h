/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: control and result words, call codes of guests and of the root,
 * and the parameters of the calls that a guest may make (TLFS, Hypercall
 * Interface; Hypercall Reference). Parameters of the root's calls are in
 * hv_partition.h, of intercepts in hv_intercept.h. "Rep list" names what
 * follows the fixed part, element by element.
 */
#ifndef ABI_HV_HYPERCALL_H
#define ABI_HV_HYPERCALL_H

#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_message.h"
#include "hv/abi/hv_register.h"
#include "hv/abi/hv_status.h"

#define HV_PARTITION_ID_INVALID UINT64_C(0)
#define HV_PARTITION_ID_ROOT    UINT64_C(1)
#define HV_PARTITION_ID_SELF    UINT64_C(0xFFFFFFFFFFFFFFFF)
#define HV_VP_INDEX_SELF        0xFFFFFFFEu
#define HV_ANY_VP               0xFFFFFFFFu
#define HV_PAGE_SIZE            4096u

/* Control word (RCX, or EDX:EAX for 32-bit callers). */
#define HV_HYPERCALL_CODE_MASK                  UINT64_C(0xFFFF)
#define HV_HYPERCALL_FAST                       (UINT64_C(1) << 16)
#define HV_HYPERCALL_VARIABLE_HEADER_SIZE_SHIFT 17
#define HV_HYPERCALL_VARIABLE_HEADER_SIZE_MASK  (UINT64_C(0x3FF) << 17)
#define HV_HYPERCALL_NESTED                     (UINT64_C(1) << 31)
#define HV_HYPERCALL_REP_COUNT_SHIFT            32
#define HV_HYPERCALL_REP_COUNT_MASK             (UINT64_C(0xFFF) << 32)
#define HV_HYPERCALL_REP_START_SHIFT            48
#define HV_HYPERCALL_REP_START_MASK             (UINT64_C(0xFFF) << 48)
#define HV_HYPERCALL_RSVDZ_MASK                 ((UINT64_C(0xF) << 27) | (UINT64_C(0xF) << 44) | (UINT64_C(0xF) << 60))
#define HV_HYPERCALL_MAX_REP_COUNT              4095u
/* Codes from here on go to the virtualization stack in the parent. */
#define HV_HYPERCALL_EXTENDED_FIRST_CODE        0x8000u
/* Bytes of input in registers: RDX and R8, and with XMM0 to XMM5. */
#define HV_HYPERCALL_FAST_INPUT_BYTES           16u
#define HV_HYPERCALL_XMM_FAST_INPUT_BYTES       112u
/* Input and output addresses. */
#define HV_HYPERCALL_PARAMETER_ALIGNMENT        8u

static inline uint16_t hv_hypercall_code(uint64_t control)
{
    return (uint16_t)(control & HV_HYPERCALL_CODE_MASK);
}

/* Nonzero when the parameters are in registers. */
static inline uint64_t hv_hypercall_is_fast(uint64_t control)
{
    return control & HV_HYPERCALL_FAST;
}

static inline uint32_t hv_hypercall_variable_header_qwords(uint64_t control)
{
    return (uint32_t)((control & HV_HYPERCALL_VARIABLE_HEADER_SIZE_MASK) >> HV_HYPERCALL_VARIABLE_HEADER_SIZE_SHIFT);
}

static inline uint32_t hv_hypercall_rep_count(uint64_t control)
{
    return (uint32_t)((control & HV_HYPERCALL_REP_COUNT_MASK) >> HV_HYPERCALL_REP_COUNT_SHIFT);
}

static inline uint32_t hv_hypercall_rep_start(uint64_t control)
{
    return (uint32_t)((control & HV_HYPERCALL_REP_START_MASK) >> HV_HYPERCALL_REP_START_SHIFT);
}

/* The control word with another rep start, for a continued call. */
static inline uint64_t hv_hypercall_with_rep_start(uint64_t control, uint32_t rep_start)
{
    return (control & ~HV_HYPERCALL_REP_START_MASK) |
           (((uint64_t)rep_start << HV_HYPERCALL_REP_START_SHIFT) & HV_HYPERCALL_REP_START_MASK);
}

/* A control word for the caller's side; add HV_HYPERCALL_FAST where wanted. */
static inline uint64_t hv_hypercall_control(uint16_t code, uint32_t variable_header_qwords, uint32_t rep_count,
                                            uint32_t rep_start)
{
    return (uint64_t)code |
           (((uint64_t)variable_header_qwords << HV_HYPERCALL_VARIABLE_HEADER_SIZE_SHIFT) &
            HV_HYPERCALL_VARIABLE_HEADER_SIZE_MASK) |
           (((uint64_t)rep_count << HV_HYPERCALL_REP_COUNT_SHIFT) & HV_HYPERCALL_REP_COUNT_MASK) |
           (((uint64_t)rep_start << HV_HYPERCALL_REP_START_SHIFT) & HV_HYPERCALL_REP_START_MASK);
}

/* Result word (RAX, or EDX:EAX). */
#define HV_HYPERCALL_RESULT_STATUS_MASK UINT64_C(0xFFFF)
#define HV_HYPERCALL_RESULT_REPS_SHIFT  32
#define HV_HYPERCALL_RESULT_REPS_MASK   (UINT64_C(0xFFF) << 32)

/* reps_completed counts from the beginning of the list, not from the rep start. */
static inline uint64_t hv_hypercall_result(hv_status_t status, uint32_t reps_completed)
{
    return (uint64_t)status |
           (((uint64_t)reps_completed << HV_HYPERCALL_RESULT_REPS_SHIFT) & HV_HYPERCALL_RESULT_REPS_MASK);
}

static inline hv_status_t hv_hypercall_result_status(uint64_t result)
{
    return (hv_status_t)(result & HV_HYPERCALL_RESULT_STATUS_MASK);
}

static inline uint32_t hv_hypercall_result_reps(uint64_t result)
{
    return (uint32_t)((result & HV_HYPERCALL_RESULT_REPS_MASK) >> HV_HYPERCALL_RESULT_REPS_SHIFT);
}

/* Call codes. */
#define HvCallSwitchVirtualAddressSpace      0x0001u
#define HvCallFlushVirtualAddressSpace       0x0002u
#define HvCallFlushVirtualAddressList        0x0003u
#define HvCallGetLogicalProcessorRunTime     0x0004u
#define HvCallNotifyLongSpinWait             0x0008u
#define HvCallSendSyntheticClusterIpi        0x000Bu
#define HvCallModifyVtlProtectionMask        0x000Cu
#define HvCallEnablePartitionVtl             0x000Du
#define HvCallEnableVpVtl                    0x000Fu
#define HvCallVtlCall                        0x0011u
#define HvCallVtlReturn                      0x0012u
#define HvCallFlushVirtualAddressSpaceEx     0x0013u
#define HvCallFlushVirtualAddressListEx      0x0014u
#define HvCallSendSyntheticClusterIpiEx      0x0015u
#define HvCallCreatePartition                0x0040u
#define HvCallInitializePartition            0x0041u
#define HvCallFinalizePartition              0x0042u
#define HvCallDeletePartition                0x0043u
#define HvCallGetPartitionProperty           0x0044u
#define HvCallSetPartitionProperty           0x0045u
#define HvCallGetPartitionId                 0x0046u
#define HvCallDepositMemory                  0x0048u
#define HvCallWithdrawMemory                 0x0049u
#define HvCallMapGpaPages                    0x004Bu
#define HvCallUnmapGpaPages                  0x004Cu
#define HvCallInstallIntercept               0x004Du
#define HvCallCreateVp                       0x004Eu
#define HvCallDeleteVp                       0x004Fu
#define HvCallGetVpRegisters                 0x0050u
#define HvCallSetVpRegisters                 0x0051u
#define HvCallTranslateVirtualAddress        0x0052u
#define HvCallReadGpa                        0x0053u
#define HvCallWriteGpa                       0x0054u
#define HvCallClearVirtualInterrupt          0x0056u
#define HvCallDeletePort                     0x0058u
#define HvCallDisconnectPort                 0x005Bu
#define HvCallPostMessage                    0x005Cu
#define HvCallSignalEvent                    0x005Du
#define HvCallPostDebugData                  0x0069u
#define HvCallRetrieveDebugData              0x006Au
#define HvCallResetDebugSession              0x006Bu
#define HvCallMapStatsPage                   0x006Cu
#define HvCallUnmapStatsPage                 0x006Du
#define HvCallSetSystemProperty              0x006Fu
#define HvCallAddLogicalProcessor            0x0076u
#define HvCallGetSystemProperty              0x007Bu
#define HvCallMapDeviceInterrupt             0x007Cu
#define HvCallUnmapDeviceInterrupt           0x007Du
#define HvCallRetargetDeviceInterrupt        0x007Eu
#define HvCallEnterSleepState                0x0084u
#define HvCallNotifyPartitionEvent           0x0087u
#define HvCallNotifyPortRingEmpty            0x008Bu
#define HvCallRegisterInterceptResult        0x0091u
#define HvCallAssertVirtualInterrupt         0x0094u
#define HvCallCreatePort                     0x0095u
#define HvCallConnectPort                    0x0096u
#define HvCallStartVirtualProcessor          0x0099u
#define HvCallGetVpIndexFromApicId           0x009Au
#define HvCallTranslateVirtualAddressEx      0x00ACu
#define HvCallFlushGuestPhysicalAddressSpace 0x00AFu
#define HvCallFlushGuestPhysicalAddressList  0x00B0u
#define HvCallSignalEventDirect              0x00C0u
#define HvCallPostMessageDirect              0x00C1u
#define HvCallDispatchVp                     0x00C2u
#define HvCallGetGpaPagesAccessState         0x00C9u
#define HvCallAcquireSparseSpaPageHostAccess 0x00D7u
#define HvCallReleaseSparseSpaPageHostAccess 0x00D8u
#define HvCallMapVpStatePage                 0x00E1u
#define HvCallUnmapVpStatePage               0x00E2u
#define HvCallGetVpState                     0x00E3u
#define HvCallSetVpState                     0x00E4u
#define HvCallGetVpCpuidValues               0x00F4u
#define HvCallGetPartitionPropertyEx         0x0101u
#define HvCallMmioRead                       0x0106u
#define HvCallMmioWrite                      0x0107u
#define HvCallDisableHypEx                   0x010Fu
#define HvCallMapStatsPage2                  0x0131u
#define HvExtCallQueryCapabilities           0x8001u
#define HvExtCallGetBootZeroedMemory         0x8002u
#define HvExtCallMemoryHeatHint              0x8003u
#define HvExtCallEpfSetup                    0x8004u
#define HvExtCallSchedulerAssistSetup        0x8005u
#define HvExtCallMemoryHeatHintAsync         0x8006u

/* HV_INPUT_VTL: which VTL a call means, in one byte. */
#define HV_INPUT_VTL_TARGET_MASK 0x0Fu
#define HV_INPUT_VTL_USE_TARGET  0x10u
#define HV_INPUT_VTL_RSVDZ_MASK  0xE0u

#define HV_GENERIC_SET_SPARSE_4K UINT64_C(0)
#define HV_GENERIC_SET_ALL       UINT64_C(1)
#define HV_VP_SET_MAX_BANKS      64u
#define HV_VP_SET_VPS_PER_BANK   64u

/*
 * A set of VPs. Behind it follow the banks that the mask names, in ascending
 * order and without gaps; bit i of bank b is VP 64 b + i. As an argument of a
 * hypercall the banks are the variable header.
 */
struct hv_vp_set {
    uint64_t format;
    uint64_t valid_bank_mask;
};
_Static_assert(sizeof(struct hv_vp_set) == 16, "VP set");

/* HvCallSwitchVirtualAddressSpace (input). */
struct hv_input_switch_virtual_address_space {
    uint64_t address_space;
};
_Static_assert(sizeof(struct hv_input_switch_virtual_address_space) == 8, "switch address space");

#define HV_FLUSH_ALL_PROCESSORS               UINT64_C(1)
#define HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES   (UINT64_C(1) << 1)
#define HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY     (UINT64_C(1) << 2)
#define HV_FLUSH_USE_EXTENDED_RANGE_FORMAT    (UINT64_C(1) << 3)
#define HV_FLUSH_USE_TARGET_VTL               (UINT64_C(1) << 4)
#define HV_FLUSH_TARGET_VTL_SHIFT             8
#define HV_FLUSH_TARGET_VTL_MASK              (UINT64_C(3) << 8)
/* HV_GVA_RANGE: a page number and how many pages more, of flush lists; and the extended form, which may be of large
 * pages. */
#define HV_GVA_RANGE_ADDITIONAL_MASK          UINT64_C(0xFFF)
#define HV_GVA_RANGE_EXTENDED_ADDITIONAL_MASK UINT64_C(0x7FF)
#define HV_GVA_RANGE_EXTENDED_LARGE           (UINT64_C(1) << 11)
#define HV_FLUSH_VALID_MASK                   UINT64_C(0x31F)

/* HvCallFlushVirtualAddressSpace and ...List (input; rep list of the latter: uint64_t GVA ranges). */
struct hv_input_flush_virtual_address {
    uint64_t address_space;
    uint64_t flags;
    uint64_t processor_mask;
};
_Static_assert(sizeof(struct hv_input_flush_virtual_address) == 24, "flush address space");

/* HvCallFlushVirtualAddressSpaceEx and ...ListEx (input; variable header: banks; rep list: uint64_t GVA ranges). */
struct hv_input_flush_virtual_address_ex {
    uint64_t address_space;
    uint64_t flags;
    struct hv_vp_set vp_set;
};
_Static_assert(sizeof(struct hv_input_flush_virtual_address_ex) == 32, "flush address space ex");

/* GVA range: page number in 63:12, further pages in 11:0. */
#define HV_GVA_RANGE_ADDITIONAL_PAGES_MASK      UINT64_C(0xFFF)
#define HV_GVA_RANGE_PAGE_SHIFT                 12
/* Extended range, and the GPA range of HvCallFlushGuestPhysicalAddressList. */
#define HV_EXTENDED_RANGE_ADDITIONAL_PAGES_MASK UINT64_C(0x7FF)
#define HV_EXTENDED_RANGE_LARGE_PAGE            (UINT64_C(1) << 11)
#define HV_EXTENDED_RANGE_PAGE_SIZE_1G          (UINT64_C(1) << 12)
#define HV_EXTENDED_RANGE_LARGE_PAGE_SHIFT      21

/* HvCallFlushGuestPhysicalAddressSpace and ...List (input; rep list of the latter: uint64_t GPA ranges). */
struct hv_input_flush_guest_physical_address {
    uint64_t address_space;
    uint64_t flags;
};
_Static_assert(sizeof(struct hv_input_flush_guest_physical_address) == 16, "flush guest physical");

/* HvCallNotifyLongSpinWait (input). */
struct hv_input_notify_long_spin_wait {
    uint32_t spin_count;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_notify_long_spin_wait) == 8, "long spin wait");

#define HV_IPI_LOW_VECTOR  0x10u
#define HV_IPI_HIGH_VECTOR 0xFFu

/* HvCallSendSyntheticClusterIpi (input). */
struct hv_input_send_synthetic_cluster_ipi {
    uint32_t vector;
    uint8_t target_vtl;
    uint8_t rsvd[3];
    uint64_t processor_mask;
};
_Static_assert(sizeof(struct hv_input_send_synthetic_cluster_ipi) == 16, "cluster IPI");

/* HvCallSendSyntheticClusterIpiEx (input; variable header: banks). */
struct hv_input_send_synthetic_cluster_ipi_ex {
    uint32_t vector;
    uint8_t target_vtl;
    uint8_t rsvd[3];
    struct hv_vp_set vp_set;
};
_Static_assert(sizeof(struct hv_input_send_synthetic_cluster_ipi_ex) == 24, "cluster IPI ex");

/* Port and connection ids have 24 bits. */
#define HV_CONNECTION_ID_MASK 0x00FFFFFFu
#define HV_PORT_ID_MASK       0x00FFFFFFu

/* HvCallPostMessage (input). */
struct hv_input_post_message {
    uint32_t connection_id;
    uint32_t rsvd;
    uint32_t message_type;
    uint32_t payload_size_bytes;
    uint64_t payload[HV_MESSAGE_PAYLOAD_QWORD_COUNT];
};
_Static_assert(sizeof(struct hv_input_post_message) == 256, "post message");
_Static_assert(offsetof(struct hv_input_post_message, payload) == 16, "post message payload");

/* HvCallSignalEvent (input). */
struct hv_input_signal_event {
    uint32_t connection_id;
    uint16_t flag_number;
    uint16_t rsvd;
};
_Static_assert(sizeof(struct hv_input_signal_event) == 8, "signal event");

/* HvCallGetPartitionId (output). */
struct hv_output_get_partition_id {
    uint64_t partition_id;
};
_Static_assert(sizeof(struct hv_output_get_partition_id) == 8, "partition id");

/* HvCallGetVpRegisters (rep list: uint32_t names; output list: union hv_register_value) and
 * HvCallSetVpRegisters (rep list: struct hv_register_assoc). */
struct hv_input_vp_registers {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t input_vtl;
    uint8_t rsvd[3];
};
_Static_assert(sizeof(struct hv_input_vp_registers) == 16, "VP registers");

/* HvCallStartVirtualProcessor (input). */
struct hv_input_start_virtual_processor {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t target_vtl;
    uint8_t rsvd[3];
    struct hv_initial_vp_context vp_context;
};
_Static_assert(sizeof(struct hv_input_start_virtual_processor) == 240, "start VP");
_Static_assert(offsetof(struct hv_input_start_virtual_processor, vp_context) == 16, "start VP context");

/* HvCallGetVpIndexFromApicId (input; rep list: uint32_t APIC ids; output list: uint32_t VP indexes). */
struct hv_input_get_vp_index_from_apic_id {
    uint64_t partition_id;
    uint8_t target_vtl;
    uint8_t rsvd[7];
};
_Static_assert(sizeof(struct hv_input_get_vp_index_from_apic_id) == 16, "VP index from APIC id");

#define HvInterruptSourceMsi    1u
#define HvInterruptSourceIoApic 2u

/* An interrupt of a device: for an MSI address low and data, for an IO-APIC the redirection entry. */
struct hv_interrupt_entry {
    uint32_t source;
    uint32_t rsvd;
    uint32_t data_low;
    uint32_t data_high;
};
_Static_assert(sizeof(struct hv_interrupt_entry) == 16, "interrupt entry");

#define HV_DEVICE_INTERRUPT_TARGET_MULTICAST      1u
#define HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET  2u
#define HV_DEVICE_INTERRUPT_TARGET_PROXY_REDIRECT 4u

/* Where a device interrupt goes. With PROCESSOR_SET the last member is the format of a VP set that goes on behind. */
struct hv_device_interrupt_target {
    uint32_t vector;
    uint32_t flags;
    uint64_t processor_mask_or_set_format;
};
_Static_assert(sizeof(struct hv_device_interrupt_target) == 16, "interrupt target");

/* HvCallRetargetDeviceInterrupt (input; variable header: bank mask and banks). */
struct hv_input_retarget_device_interrupt {
    uint64_t partition_id;
    uint64_t device_id;
    struct hv_interrupt_entry interrupt_entry;
    uint64_t rsvd;
    struct hv_device_interrupt_target target;
};
_Static_assert(sizeof(struct hv_input_retarget_device_interrupt) == 56, "retarget interrupt");
_Static_assert(offsetof(struct hv_input_retarget_device_interrupt, target) == 40, "retarget target");

#define HV_EXT_CAPABILITY_GET_BOOT_ZEROED_MEMORY   UINT64_C(1)
#define HV_EXT_CAPABILITY_MEMORY_HEAT_HINT         (UINT64_C(1) << 1)
#define HV_EXT_CAPABILITY_EPF                      (UINT64_C(1) << 2)
#define HV_EXT_CAPABILITY_SCHEDULER_ASSIST         (UINT64_C(1) << 3)
#define HV_EXT_CAPABILITY_MEMORY_HEAT_HINT_ASYNC   (UINT64_C(1) << 4)
#define HV_EXT_CAPABILITY_MEMORY_COLD_DISCARD_HINT (UINT64_C(1) << 8)

/* HvExtCallQueryCapabilities (output). */
struct hv_output_ext_query_capabilities {
    uint64_t capabilities;
};
_Static_assert(sizeof(struct hv_output_ext_query_capabilities) == 8, "extended capabilities");

#define HV_EXT_BOOT_ZEROED_MAX_RANGES 255u

/* One range of HvExtCallGetBootZeroedMemory; the output is a uint64_t count and then the ranges. */
struct hv_boot_zeroed_range {
    uint64_t base_page;
    uint64_t page_count;
};
_Static_assert(sizeof(struct hv_boot_zeroed_range) == 16, "boot zeroed range");

#define HV_MEMORY_HEAT_HINT_COLD         0u
#define HV_MEMORY_HEAT_HINT_HOT          1u
#define HV_MEMORY_HEAT_HINT_COLD_DISCARD 2u

/* HvExtCallMemoryHeatHint (input; rep list: uint64_t GPA ranges). */
struct hv_input_ext_memory_heat_hint {
    uint64_t heat_type;
};
_Static_assert(sizeof(struct hv_input_ext_memory_heat_hint) == 8, "heat hint");

#define HV_MMIO_MAX_BYTES 64u

/* HvCallMmioRead (input; the output is up to 64 bytes of data). */
struct hv_input_mmio_read {
    uint64_t gpa;
    uint32_t size_bytes;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_mmio_read) == 16, "MMIO read");

/* HvCallMmioWrite (input). */
struct hv_input_mmio_write {
    uint64_t gpa;
    uint32_t size_bytes;
    uint32_t rsvd;
    uint8_t data[HV_MMIO_MAX_BYTES];
};
_Static_assert(sizeof(struct hv_input_mmio_write) == 80, "MMIO write");

#define HV_DEBUG_MAX_DATA_BYTES 4088u

/* HvCallPostDebugData (input). */
struct hv_input_post_debug_data {
    uint32_t count;
    uint32_t options;
    uint8_t data[HV_DEBUG_MAX_DATA_BYTES];
};
_Static_assert(sizeof(struct hv_input_post_debug_data) == 4096, "post debug data");

/* HvCallPostDebugData (output). */
struct hv_output_post_debug_data {
    uint32_t pending_count;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_output_post_debug_data) == 8, "post debug data output");

/* HvCallRetrieveDebugData (input). */
struct hv_input_retrieve_debug_data {
    uint32_t count;
    uint32_t options;
    uint64_t timeout_100ns;
};
_Static_assert(sizeof(struct hv_input_retrieve_debug_data) == 16, "retrieve debug data");

/* HvCallRetrieveDebugData (output). */
struct hv_output_retrieve_debug_data {
    uint32_t retrieved_count;
    uint32_t remaining_count;
    uint8_t data[HV_DEBUG_MAX_DATA_BYTES];
};
_Static_assert(sizeof(struct hv_output_retrieve_debug_data) == 4096, "retrieve debug data output");

#define HV_DEBUG_PURGE_INCOMING_DATA 1u
#define HV_DEBUG_PURGE_OUTGOING_DATA 2u

/* HvCallResetDebugSession (input). */
struct hv_input_reset_debug_session {
    uint32_t options;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_input_reset_debug_session) == 8, "reset debug session");

/* HvCallModifyVtlProtectionMask (input; rep list: uint64_t GPA page numbers). */
struct hv_input_modify_vtl_protection_mask {
    uint64_t partition_id;
    uint32_t map_flags;
    uint8_t target_vtl;
    uint8_t rsvd[3];
};
_Static_assert(sizeof(struct hv_input_modify_vtl_protection_mask) == 16, "VTL protection");

#define HV_ENABLE_PARTITION_VTL_MBEC 0x01u

/* HvCallEnablePartitionVtl (input). */
struct hv_input_enable_partition_vtl {
    uint64_t partition_id;
    uint8_t target_vtl;
    uint8_t flags;
    uint8_t rsvd[6];
};
_Static_assert(sizeof(struct hv_input_enable_partition_vtl) == 16, "enable partition VTL");

/* HvCallEnableVpVtl (input). */
struct hv_input_enable_vp_vtl {
    uint64_t partition_id;
    uint32_t vp_index;
    uint8_t target_vtl;
    uint8_t rsvd[3];
    struct hv_initial_vp_context vp_context;
};
_Static_assert(sizeof(struct hv_input_enable_vp_vtl) == 240, "enable VP VTL");

#endif
