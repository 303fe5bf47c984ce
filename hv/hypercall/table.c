/* SPDX-License-Identifier: MIT */
#include "hv/hypercall/table.h"

#include <stddef.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_partition.h"
#include "hv/hypercall/hc.h"
#include "hv/lib/compiler.h"

/*
 * One row for each call that is served; all others are INVALID_HYPERCALL_CODE. Not here: what a row means (table.h,
 * engine.c).
 */

/*
 * Most elements of one entry, so that it stays below 20 000 instructions: an element of the first kind does nothing by
 * itself, of the second and third costs some hundreds at most and the handler counts (HC_WORK_MAX), of the others up to
 * 500, 800 and 200.
 */
#define FLUSH_BATCH    128u
#define PAGE_BATCH     64u
#define MAP_BATCH      128u
#define REGISTER_BATCH 16u
#define APIC_ID_BATCH  16u

/* Variable headers: mask and banks of a processor set; page numbers, or the state of all timers. */
#define DEVICE_TARGET_QWORDS (1u + HV_VP_SET_MAX_BANKS)
#define VP_STATE_QWORDS      (sizeof(struct hv_synthetic_timers_state) / sizeof(uint64_t))

static const struct hypercall_row rows[] =
    {
        [HvCallFlushVirtualAddressSpace] =
            {
                .code = HvCallFlushVirtualAddressSpace,
                .name = "HvCallFlushVirtualAddressSpace",
                .handler = hc_flush_virtual_address_space,
                .input_size = sizeof(struct hv_input_flush_virtual_address),
                .allows_fast = true,
            },
        [HvCallFlushVirtualAddressList] =
            {
                .code = HvCallFlushVirtualAddressList,
                .name = "HvCallFlushVirtualAddressList",
                .handler = hc_flush_virtual_address_list,
                .input_size = sizeof(struct hv_input_flush_virtual_address),
                .rep_input_size = sizeof(uint64_t),
                .rep_batch = FLUSH_BATCH,
                .allows_fast = true,
            },
        [HvCallGetLogicalProcessorRunTime] =
            {
                .code = HvCallGetLogicalProcessorRunTime,
                .name = "HvCallGetLogicalProcessorRunTime",
                .handler = hc_get_logical_processor_run_time,
                .input_size = sizeof(struct hv_input_get_logical_processor_run_time),
                .output_size = sizeof(struct hv_output_get_logical_processor_run_time),
                .privileges = HV_CPU_MANAGEMENT,
                .is_root_only = true,
            },
        [HvCallNotifyLongSpinWait] =
            {
                .code = HvCallNotifyLongSpinWait,
                .name = "HvCallNotifyLongSpinWait",
                .handler = hc_notify_long_spin_wait,
                .input_size = sizeof(struct hv_input_notify_long_spin_wait),
                .allows_fast = true,
            },
        [HvCallSendSyntheticClusterIpi] =
            {
                .code = HvCallSendSyntheticClusterIpi,
                .name = "HvCallSendSyntheticClusterIpi",
                .handler = hc_send_synthetic_cluster_ipi,
                .input_size = sizeof(struct hv_input_send_synthetic_cluster_ipi),
                .allows_fast = true,
            },
        [HvCallFlushVirtualAddressSpaceEx] =
            {
                .code = HvCallFlushVirtualAddressSpaceEx,
                .name = "HvCallFlushVirtualAddressSpaceEx",
                .handler = hc_flush_virtual_address_space_ex,
                .input_size = sizeof(struct hv_input_flush_virtual_address_ex),
                .variable_max = HV_VP_SET_MAX_BANKS,
                .allows_fast = true,
            },
        [HvCallFlushVirtualAddressListEx] =
            {
                .code = HvCallFlushVirtualAddressListEx,
                .name = "HvCallFlushVirtualAddressListEx",
                .handler = hc_flush_virtual_address_list_ex,
                .input_size = sizeof(struct hv_input_flush_virtual_address_ex),
                .variable_max = HV_VP_SET_MAX_BANKS,
                .rep_input_size = sizeof(uint64_t),
                .rep_batch = FLUSH_BATCH,
                .allows_fast = true,
            },
        [HvCallSendSyntheticClusterIpiEx] =
            {
                .code = HvCallSendSyntheticClusterIpiEx,
                .name = "HvCallSendSyntheticClusterIpiEx",
                .handler = hc_send_synthetic_cluster_ipi_ex,
                .input_size = sizeof(struct hv_input_send_synthetic_cluster_ipi_ex),
                .variable_max = HV_VP_SET_MAX_BANKS,
                .allows_fast = true,
            },
        [HvCallCreatePartition] =
            {
                .code = HvCallCreatePartition,
                .name = "HvCallCreatePartition",
                .handler = hc_create_partition,
                .input_size = sizeof(struct hv_input_create_partition),
                .output_size = sizeof(struct hv_output_create_partition),
                .privileges = HV_CREATE_PARTITIONS,
                .is_root_only = true,
            },
        [HvCallInitializePartition] =
            {
                .code = HvCallInitializePartition,
                .name = "HvCallInitializePartition",
                .handler = hc_initialize_partition,
                .input_size = sizeof(struct hv_input_partition),
                .privileges = HV_CREATE_PARTITIONS,
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallFinalizePartition] =
            {
                .code = HvCallFinalizePartition,
                .name = "HvCallFinalizePartition",
                .handler = hc_finalize_partition,
                .input_size = sizeof(struct hv_input_partition),
                .privileges = HV_CREATE_PARTITIONS,
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallDeletePartition] =
            {
                .code = HvCallDeletePartition,
                .name = "HvCallDeletePartition",
                .handler = hc_delete_partition,
                .input_size = sizeof(struct hv_input_partition),
                .privileges = HV_CREATE_PARTITIONS,
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallGetPartitionProperty] =
            {
                .code = HvCallGetPartitionProperty,
                .name = "HvCallGetPartitionProperty",
                .handler = hc_get_partition_property,
                .input_size = sizeof(struct hv_input_get_partition_property),
                .output_size = sizeof(struct hv_output_get_partition_property),
                .is_root_only = true,
            },
        [HvCallSetPartitionProperty] =
            {
                .code = HvCallSetPartitionProperty,
                .name = "HvCallSetPartitionProperty",
                .handler = hc_set_partition_property,
                .input_size = sizeof(struct hv_input_set_partition_property),
                .is_root_only = true,
            },
        [HvCallGetPartitionId] =
            {
                .code = HvCallGetPartitionId,
                .name = "HvCallGetPartitionId",
                .handler = hc_get_partition_id,
                .output_size = sizeof(struct hv_output_get_partition_id),
                .privileges = HV_ACCESS_PARTITION_ID,
            },
        [HvCallDepositMemory] =
            {
                .code = HvCallDepositMemory,
                .name = "HvCallDepositMemory",
                .handler = hc_deposit_memory,
                .input_size = sizeof(struct hv_input_deposit_memory),
                .rep_input_size = sizeof(uint64_t),
                .rep_batch = PAGE_BATCH,
                .privileges = HV_ACCESS_MEMORY_POOL,
                .is_root_only = true,
            },
        [HvCallWithdrawMemory] =
            {
                .code = HvCallWithdrawMemory,
                .name = "HvCallWithdrawMemory",
                .handler = hc_withdraw_memory,
                .input_size = sizeof(struct hv_input_withdraw_memory),
                .rep_output_size = sizeof(uint64_t),
                .rep_batch = PAGE_BATCH,
                .privileges = HV_ACCESS_MEMORY_POOL,
                .is_root_only = true,
            },
        [HvCallMapGpaPages] =
            {
                .code = HvCallMapGpaPages,
                .name = "HvCallMapGpaPages",
                .handler = hc_map_gpa_pages,
                .input_size = sizeof(struct hv_input_map_gpa_pages),
                .rep_input_size = sizeof(uint64_t),
                .rep_batch = MAP_BATCH,
                .is_root_only = true,
            },
        [HvCallUnmapGpaPages] =
            {
                .code = HvCallUnmapGpaPages,
                .name = "HvCallUnmapGpaPages",
                .handler = hc_unmap_gpa_pages,
                .input_size = sizeof(struct hv_input_unmap_gpa_pages),
                .rep_batch = MAP_BATCH,
                .is_root_only = true,
            },
        [HvCallInstallIntercept] =
            {
                .code = HvCallInstallIntercept,
                .name = "HvCallInstallIntercept",
                .handler = hc_install_intercept,
                .input_size = sizeof(struct hv_input_install_intercept),
                .is_root_only = true,
            },
        [HvCallCreateVp] =
            {
                .code = HvCallCreateVp,
                .name = "HvCallCreateVp",
                .handler = hc_create_vp,
                .input_size = sizeof(struct hv_input_create_vp),
                .is_root_only = true,
            },
        [HvCallDeleteVp] =
            {
                .code = HvCallDeleteVp,
                .name = "HvCallDeleteVp",
                .handler = hc_delete_vp,
                .input_size = sizeof(struct hv_input_delete_vp),
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallGetVpRegisters] =
            {
                .code = HvCallGetVpRegisters,
                .name = "HvCallGetVpRegisters",
                .handler = hc_get_vp_registers,
                .input_size = sizeof(struct hv_input_vp_registers),
                .rep_input_size = sizeof(uint32_t),
                .rep_output_size = sizeof(union hv_register_value),
                .rep_batch = REGISTER_BATCH,
                .privileges = HV_ACCESS_VP_REGISTERS,
            },
        [HvCallSetVpRegisters] =
            {
                .code = HvCallSetVpRegisters,
                .name = "HvCallSetVpRegisters",
                .handler = hc_set_vp_registers,
                .input_size = sizeof(struct hv_input_vp_registers),
                .rep_input_size = sizeof(struct hv_register_assoc),
                .rep_batch = REGISTER_BATCH,
                .privileges = HV_ACCESS_VP_REGISTERS,
                .allows_fast = true,
            },
        [HvCallTranslateVirtualAddress] =
            {
                .code = HvCallTranslateVirtualAddress,
                .name = "HvCallTranslateVirtualAddress",
                .handler = hc_translate_virtual_address,
                .input_size = sizeof(struct hv_input_translate_virtual_address),
                .output_size = sizeof(struct hv_output_translate_virtual_address),
                .is_root_only = true,
            },
        [HvCallClearVirtualInterrupt] =
            {
                .code = HvCallClearVirtualInterrupt,
                .name = "HvCallClearVirtualInterrupt",
                .handler = hc_clear_virtual_interrupt,
                .input_size = sizeof(struct hv_input_partition),
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallDeletePort] =
            {
                .code = HvCallDeletePort,
                .name = "HvCallDeletePort",
                .handler = hc_delete_port,
                .input_size = sizeof(struct hv_input_delete_port),
                .privileges = HV_CREATE_PORT,
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallDisconnectPort] =
            {
                .code = HvCallDisconnectPort,
                .name = "HvCallDisconnectPort",
                .handler = hc_disconnect_port,
                .input_size = sizeof(struct hv_input_disconnect_port),
                .privileges = HV_CONNECT_PORT,
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallPostMessage] =
            {
                .code = HvCallPostMessage,
                .name = "HvCallPostMessage",
                .handler = hc_post_message,
                .input_size = sizeof(struct hv_input_post_message),
                .privileges = HV_POST_MESSAGES,
            },
        [HvCallSignalEvent] =
            {
                .code = HvCallSignalEvent,
                .name = "HvCallSignalEvent",
                .handler = hc_signal_event,
                .input_size = sizeof(struct hv_input_signal_event),
                .privileges = HV_SIGNAL_EVENTS,
                .allows_fast = true,
            },
        [HvCallMapStatsPage] =
            {
                .code = HvCallMapStatsPage,
                .name = "HvCallMapStatsPage",
                .handler = hc_map_stats_page,
                .input_size = sizeof(struct hv_input_stats_page),
                .output_size = sizeof(struct hv_output_map_stats_page),
                .privileges = HV_ACCESS_STATS,
                .is_root_only = true,
            },
        [HvCallUnmapStatsPage] =
            {
                .code = HvCallUnmapStatsPage,
                .name = "HvCallUnmapStatsPage",
                .handler = hc_unmap_stats_page,
                .input_size = sizeof(struct hv_input_stats_page),
                .privileges = HV_ACCESS_STATS,
                .is_root_only = true,
            },
        [HvCallSetSystemProperty] =
            {
                .code = HvCallSetSystemProperty,
                .name = "HvCallSetSystemProperty",
                .handler = hc_set_system_property,
                .input_size = sizeof(struct hv_input_set_system_property),
                .privileges = HV_CPU_MANAGEMENT,
                .is_root_only = true,
            },
        [HvCallGetSystemProperty] =
            {
                .code = HvCallGetSystemProperty,
                .name = "HvCallGetSystemProperty",
                .handler = hc_get_system_property,
                .input_size = sizeof(struct hv_input_get_system_property),
                .output_size = sizeof(struct hv_output_get_system_property),
                .is_root_only = true,
            },
        [HvCallMapDeviceInterrupt] =
            {
                .code = HvCallMapDeviceInterrupt,
                .name = "HvCallMapDeviceInterrupt",
                .handler = hc_map_device_interrupt,
                .input_size = sizeof(struct hv_input_map_device_interrupt),
                .output_size = sizeof(struct hv_output_map_device_interrupt),
                .variable_max = DEVICE_TARGET_QWORDS,
                .is_root_only = true,
            },
        [HvCallUnmapDeviceInterrupt] =
            {
                .code = HvCallUnmapDeviceInterrupt,
                .name = "HvCallUnmapDeviceInterrupt",
                .handler = hc_unmap_device_interrupt,
                .input_size = sizeof(struct hv_input_unmap_device_interrupt),
                .is_root_only = true,
            },
        [HvCallEnterSleepState] =
            {
                .code = HvCallEnterSleepState,
                .name = "HvCallEnterSleepState",
                .handler = hc_enter_sleep_state,
                .input_size = sizeof(struct hv_input_enter_sleep_state),
                .privileges = HV_CPU_MANAGEMENT,
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallNotifyPartitionEvent] =
            {
                .code = HvCallNotifyPartitionEvent,
                .name = "HvCallNotifyPartitionEvent",
                .handler = hc_notify_partition_event,
                .input_size = sizeof(struct hv_input_notify_partition_event),
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallNotifyPortRingEmpty] =
            {
                .code = HvCallNotifyPortRingEmpty,
                .name = "HvCallNotifyPortRingEmpty",
                .handler = hc_notify_port_ring_empty,
                .input_size = sizeof(struct hv_input_notify_port_ring_empty),
                .allows_fast = true,
                .is_root_only = true,
            },
        [HvCallRegisterInterceptResult] =
            {
                .code = HvCallRegisterInterceptResult,
                .name = "HvCallRegisterInterceptResult",
                .handler = hc_register_intercept_result,
                .input_size = sizeof(struct hv_input_register_intercept_result_cpuid),
                .is_root_only = true,
            },
        [HvCallAssertVirtualInterrupt] =
            {
                .code = HvCallAssertVirtualInterrupt,
                .name = "HvCallAssertVirtualInterrupt",
                .handler = hc_assert_virtual_interrupt,
                .input_size = sizeof(struct hv_input_assert_virtual_interrupt),
                .is_root_only = true,
            },
        [HvCallCreatePort] =
            {
                .code = HvCallCreatePort,
                .name = "HvCallCreatePort",
                .handler = hc_create_port,
                .input_size = sizeof(struct hv_input_create_port),
                .privileges = HV_CREATE_PORT,
                .is_root_only = true,
            },
        [HvCallConnectPort] =
            {
                .code = HvCallConnectPort,
                .name = "HvCallConnectPort",
                .handler = hc_connect_port,
                .input_size = sizeof(struct hv_input_connect_port),
                .privileges = HV_CONNECT_PORT,
                .is_root_only = true,
            },
        [HvCallStartVirtualProcessor] =
            {
                .code = HvCallStartVirtualProcessor,
                .name = "HvCallStartVirtualProcessor",
                .handler = hc_start_virtual_processor,
                .input_size = sizeof(struct hv_input_start_virtual_processor),
                .privileges = HV_START_VIRTUAL_PROCESSOR,
            },
        [HvCallGetVpIndexFromApicId] =
            {
                .code = HvCallGetVpIndexFromApicId,
                .name = "HvCallGetVpIndexFromApicId",
                .handler = hc_get_vp_index_from_apic_id,
                .input_size = sizeof(struct hv_input_get_vp_index_from_apic_id),
                .rep_input_size = sizeof(uint32_t),
                .rep_output_size = sizeof(uint32_t),
                .rep_batch = APIC_ID_BATCH,
            },
        [HvCallSignalEventDirect] =
            {
                .code = HvCallSignalEventDirect,
                .name = "HvCallSignalEventDirect",
                .handler = hc_signal_event_direct,
                .input_size = sizeof(struct hv_input_signal_event_direct),
                .output_size = sizeof(struct hv_output_signal_event_direct),
                .is_root_only = true,
            },
        [HvCallPostMessageDirect] =
            {
                .code = HvCallPostMessageDirect,
                .name = "HvCallPostMessageDirect",
                .handler = hc_post_message_direct,
                .input_size = sizeof(struct hv_input_post_message_direct),
                .is_root_only = true,
            },
        [HvCallDispatchVp] =
            {
                .code = HvCallDispatchVp,
                .name = "HvCallDispatchVp",
                .handler = hc_dispatch_vp,
                .input_size = sizeof(struct hv_input_dispatch_vp),
                .output_size = sizeof(struct hv_output_dispatch_vp),
                .is_root_only = true,
            },
        [HvCallGetGpaPagesAccessState] =
            {
                .code = HvCallGetGpaPagesAccessState,
                .name = "HvCallGetGpaPagesAccessState",
                .handler = hc_get_gpa_pages_access_state,
                .input_size = sizeof(struct hv_input_get_gpa_pages_access_state),
                .rep_output_size = sizeof(uint8_t),
                .rep_batch = MAP_BATCH,
                .is_root_only = true,
            },
        [HvCallMapVpStatePage] =
            {
                .code = HvCallMapVpStatePage,
                .name = "HvCallMapVpStatePage",
                .handler = hc_map_vp_state_page,
                .input_size = sizeof(struct hv_input_map_vp_state_page),
                .output_size = sizeof(struct hv_output_map_vp_state_page),
                .is_root_only = true,
            },
        [HvCallUnmapVpStatePage] =
            {
                .code = HvCallUnmapVpStatePage,
                .name = "HvCallUnmapVpStatePage",
                .handler = hc_unmap_vp_state_page,
                .input_size = sizeof(struct hv_input_unmap_vp_state_page),
                .is_root_only = true,
            },
        [HvCallGetVpState] =
            {
                .code = HvCallGetVpState,
                .name = "HvCallGetVpState",
                .handler = hc_get_vp_state,
                .input_size = sizeof(struct hv_input_vp_state),
                .output_size = sizeof(struct hv_synthetic_timers_state),
                .variable_max = VP_STATE_QWORDS,
                .is_root_only = true,
            },
        [HvCallSetVpState] =
            {
                .code = HvCallSetVpState,
                .name = "HvCallSetVpState",
                .handler = hc_set_vp_state,
                .input_size = sizeof(struct hv_input_vp_state),
                .variable_max = VP_STATE_QWORDS,
                .is_root_only = true,
            },
        [HvCallGetVpCpuidValues] =
            {
                .code = HvCallGetVpCpuidValues,
                .name = "HvCallGetVpCpuidValues",
                .handler = hc_get_vp_cpuid_values,
                .input_size = sizeof(struct hv_input_get_vp_cpuid_values),
                .rep_input_size = sizeof(struct hv_cpuid_leaf_info),
                .rep_output_size = sizeof(struct hv_cpuid_result),
                .rep_batch = REGISTER_BATCH,
                .is_root_only = true,
            },
        [HvCallGetPartitionPropertyEx] =
            {
                .code = HvCallGetPartitionPropertyEx,
                .name = "HvCallGetPartitionPropertyEx",
                .handler = hc_get_partition_property_ex,
                .input_size = sizeof(struct hv_input_get_partition_property_ex),
                .output_size = sizeof(struct hv_partition_property_vmm_capabilities),
                .is_root_only = true,
            },
};

const struct hypercall_row *hypercall_find(uint16_t code)
{
    const struct hypercall_row *row;

    if (code >= ARRAY_SIZE(rows)) {
        return NULL;
    }
    row = &rows[array_index_nospec(code, ARRAY_SIZE(rows))];
    return row->handler != NULL ? row : NULL;
}
