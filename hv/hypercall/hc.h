/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_HC_H
#define HYPERCALL_HC_H

/*
 * The handlers, and what they share. The engine has checked form, sizes, alignment and privileges (engine.h) and traces
 * each call with its result. Statuses listed here are those a handler adds; every call that names a partition answers
 * INVALID_PARTITION_ID when the caller can name no such one, every call that names a VP INVALID_VP_INDEX, and every
 * call that names a VTL INVALID_PARAMETER for another than 0.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_status.h"
#include "hv/hypercall/engine.h"
#include "hv/lib/bitmap.h"
#include "hv/lib/compiler.h"
#include "hv/partition/partition.h"

/* Units of struct gpa_batch.work (about 100 instructions) that one entry of a rep call may spend. */
#define HC_WORK_MAX 100u

/* A partition that a call names, and one of its VPs. The reference is held until hc_put(). */
struct hc_target {
    struct partition *partition;
    struct vp *vp;
};

/* VPs that a set names, those that can exist only. */
struct hc_vp_mask {
    uint64_t words[BITMAP_WORDS(PARTITION_VP_MAX)];
};

/* Finds a partition; INVALID_PARTITION_ID. */
MUST_CHECK hv_status_t hc_find(struct hypercall_context *call, uint64_t partition_id, struct hc_target *target);

/*
 * Finds a partition that can get new objects: the root, or a child that is initialised and not finalised.
 * INVALID_PARTITION_ID; INVALID_PARTITION_STATE.
 */
MUST_CHECK hv_status_t hc_find_active(struct hypercall_context *call, uint64_t partition_id, struct hc_target *target);

/* The same for a child that is the caller's to manage; ACCESS_DENIED: the root itself. */
MUST_CHECK hv_status_t hc_find_active_child(struct hypercall_context *call, uint64_t partition_id,
                                            struct hc_target *target);

/* Finds a VP; HV_VP_INDEX_SELF is the caller, in its own partition. INVALID_PARTITION_ID, INVALID_VP_INDEX. */
MUST_CHECK hv_status_t hc_find_vp(struct hypercall_context *call, uint64_t partition_id, uint32_t vp_index,
                                  struct hc_target *target);

/* Lets go of what a find function found; harmless when it failed. */
void hc_put(struct hc_target *target);

/*
 * Takes a VP to read or change its state; the caller's own needs no taking. INVALID_VP_STATE: it runs, or another
 * processor has taken it.
 */
MUST_CHECK hv_status_t hc_claim(const struct hypercall_context *call, struct vp *vp);
void hc_release(const struct hypercall_context *call, struct vp *vp);

/* An HV_INPUT_VTL that means VTL 0, the only one there is. */
bool hc_is_vtl0(uint8_t input_vtl);

/*
 * Reads a VP set; `banks` are the qwords behind its mask. INVALID_HYPERCALL_INPUT: their number is not that of the
 * mask's bits; INVALID_PARAMETER: unknown format.
 */
MUST_CHECK hv_status_t hc_read_vp_set(uint64_t format, uint64_t valid_bank_mask, const uint64_t *banks,
                                      uint32_t bank_count, struct hc_vp_mask *mask);

/* hc_partition.c */

/* HvCallGetPartitionId. */
hv_status_t hc_get_partition_id(struct hypercall_context *call);
/* HvCallCreatePartition. INVALID_PARAMETER: flags; OPERATION_DENIED: another kind than EXO; INSUFFICIENT_MEMORY:
 * caller's. */
hv_status_t hc_create_partition(struct hypercall_context *call);
/* HvCallInitializePartition. INVALID_PARTITION_STATE; OPERATION_DENIED: the root; INSUFFICIENT_MEMORY: the partition's.
 */
hv_status_t hc_initialize_partition(struct hypercall_context *call);
/* HvCallFinalizePartition: stops all VPs and drops all mappings, in bounded steps. INVALID_PARTITION_STATE;
 * OPERATION_DENIED. */
hv_status_t hc_finalize_partition(struct hypercall_context *call);
/* HvCallDeletePartition, of a finalised one. INVALID_PARTITION_STATE; OPERATION_DENIED: the root. */
hv_status_t hc_delete_partition(struct hypercall_context *call);
/* HvCallGetPartitionProperty. UNKNOWN_PROPERTY. */
hv_status_t hc_get_partition_property(struct hypercall_context *call);
/* HvCallGetPartitionPropertyEx: VMM capabilities, and what HvCallGetPartitionProperty knows. UNKNOWN_PROPERTY. */
hv_status_t hc_get_partition_property_ex(struct hypercall_context *call);
/* HvCallSetPartitionProperty. UNKNOWN_PROPERTY; PROPERTY_VALUE_OUT_OF_RANGE; INVALID_PARTITION_STATE; ACCESS_DENIED. */
hv_status_t hc_set_partition_property(struct hypercall_context *call);
/* HvCallInstallIntercept: CPUID, MSRs, exceptions. INVALID_PARAMETER: type, access mask or vector; ACCESS_DENIED: the
 * root; OPERATION_DENIED: ports and holes, which stay the root's. */
hv_status_t hc_install_intercept(struct hypercall_context *call);

/* hc_memory.c */

/* HvCallDepositMemory. INVALID_PARAMETER: not free RAM of the root's. */
hv_status_t hc_deposit_memory(struct hypercall_context *call);
/* HvCallWithdrawMemory. NO_RESOURCES: all that was free is in the list. */
hv_status_t hc_withdraw_memory(struct hypercall_context *call);
/* HvCallMapGpaPages. INVALID_PARAMETER: flags, alignment, beyond the space, page not the root's; INSUFFICIENT_MEMORY.
 */
hv_status_t hc_map_gpa_pages(struct hypercall_context *call);
/* HvCallUnmapGpaPages. INVALID_PARAMETER: flags, alignment, beyond the space; INSUFFICIENT_MEMORY. */
hv_status_t hc_unmap_gpa_pages(struct hypercall_context *call);
/* HvCallGetGpaPagesAccessState. INVALID_PARAMETER: flags, beyond the space. */
hv_status_t hc_get_gpa_pages_access_state(struct hypercall_context *call);

/* hc_vp.c */

/* HvCallCreateVp. INVALID_VP_INDEX: in use or too large; INVALID_PARAMETER: subnode or flags; INSUFFICIENT_MEMORY. */
hv_status_t hc_create_vp(struct hypercall_context *call);
/* HvCallDeleteVp. */
hv_status_t hc_delete_vp(struct hypercall_context *call);
/* HvCallDispatchVp. INVALID_VP_STATE: it runs elsewhere; INVALID_PARAMETER: flags. */
hv_status_t hc_dispatch_vp(struct hypercall_context *call);
/* HvCallAssertVirtualInterrupt. INVALID_PARAMETER: type, vector, flags. */
hv_status_t hc_assert_virtual_interrupt(struct hypercall_context *call);
/* HvCallClearVirtualInterrupt. */
hv_status_t hc_clear_virtual_interrupt(struct hypercall_context *call);
/* HvCallStartVirtualProcessor. INVALID_VP_STATE: not waiting for a SIPI; INVALID_REGISTER_VALUE. */
hv_status_t hc_start_virtual_processor(struct hypercall_context *call);
/* HvCallGetVpIndexFromApicId. INVALID_PARAMETER: no VP has the id. */
hv_status_t hc_get_vp_index_from_apic_id(struct hypercall_context *call);
/* HvCallMapVpStatePage, HvCallUnmapVpStatePage. INVALID_PARAMETER: type or flags; INSUFFICIENT_MEMORY: the partition's.
 */
hv_status_t hc_map_vp_state_page(struct hypercall_context *call);
hv_status_t hc_unmap_vp_state_page(struct hypercall_context *call);
/* HvCallGetVpState, HvCallSetVpState. INVALID_VP_STATE: it runs; INVALID_PARAMETER: type, pages, content;
 * INSUFFICIENT_MEMORY: the partition's, of which XSAVE state needs a page for the time of the call. */
hv_status_t hc_get_vp_state(struct hypercall_context *call);
hv_status_t hc_set_vp_state(struct hypercall_context *call);
/* HvCallMapStatsPage, HvCallUnmapStatsPage. INVALID_PARAMETER: object or area; INSUFFICIENT_MEMORY: the caller's. */
hv_status_t hc_map_stats_page(struct hypercall_context *call);
hv_status_t hc_unmap_stats_page(struct hypercall_context *call);

/* hc_register.c */

/* HvCallGetVpRegisters, HvCallSetVpRegisters. INVALID_VP_STATE: it runs; INVALID_PARAMETER: no such register; others by
 * name. */
hv_status_t hc_get_vp_registers(struct hypercall_context *call);
hv_status_t hc_set_vp_registers(struct hypercall_context *call);
/* HvCallTranslateVirtualAddress. INVALID_PARAMETER: flags; INVALID_VP_STATE: it runs. */
hv_status_t hc_translate_virtual_address(struct hypercall_context *call);
/* HvCallRegisterInterceptResult, for CPUID. INVALID_PARAMETER: type or leaf; INVALID_VP_STATE; NO_RESOURCES; ... */
hv_status_t hc_register_intercept_result(struct hypercall_context *call);
/* HvCallGetVpCpuidValues. INVALID_PARAMETER: flags; INVALID_VP_STATE: it runs. */
hv_status_t hc_get_vp_cpuid_values(struct hypercall_context *call);

/* hc_synic.c */

/* HvCallCreatePort, HvCallDeletePort; statuses as port.h. */
hv_status_t hc_create_port(struct hypercall_context *call);
hv_status_t hc_delete_port(struct hypercall_context *call);
/* HvCallConnectPort, HvCallDisconnectPort; statuses as connection.h. */
hv_status_t hc_connect_port(struct hypercall_context *call);
hv_status_t hc_disconnect_port(struct hypercall_context *call);
/* HvCallPostMessage, HvCallSignalEvent; statuses as connection.h. */
hv_status_t hc_post_message(struct hypercall_context *call);
hv_status_t hc_signal_event(struct hypercall_context *call);
/* HvCallPostMessageDirect, HvCallSignalEventDirect; statuses as synic.h. */
hv_status_t hc_post_message_direct(struct hypercall_context *call);
hv_status_t hc_signal_event_direct(struct hypercall_context *call);
/* HvCallNotifyPortRingEmpty. INVALID_PARAMETER: no such SINT. */
hv_status_t hc_notify_port_ring_empty(struct hypercall_context *call);
/* HvCallSendSyntheticClusterIpi and ...Ex. INVALID_HYPERCALL_INPUT: vector; INVALID_PARAMETER: reserved bytes, set
 * format. */
hv_status_t hc_send_synthetic_cluster_ipi(struct hypercall_context *call);
hv_status_t hc_send_synthetic_cluster_ipi_ex(struct hypercall_context *call);

/* hc_tlb.c */

/* HvCallFlushVirtualAddressSpace, ...List, ...SpaceEx and ...ListEx. INVALID_PARAMETER: flags, set format. */
hv_status_t hc_flush_virtual_address_space(struct hypercall_context *call);
hv_status_t hc_flush_virtual_address_list(struct hypercall_context *call);
hv_status_t hc_flush_virtual_address_space_ex(struct hypercall_context *call);
hv_status_t hc_flush_virtual_address_list_ex(struct hypercall_context *call);

/* hc_system.c */

/* HvCallGetSystemProperty. UNKNOWN_PROPERTY. */
hv_status_t hc_get_system_property(struct hypercall_context *call);
/* HvCallSetSystemProperty: sleep states. UNKNOWN_PROPERTY; PROPERTY_VALUE_OUT_OF_RANGE; OPERATION_DENIED: locked. */
hv_status_t hc_set_system_property(struct hypercall_context *call);
/* HvCallEnterSleepState. INVALID_PARAMETER: never registered; OPERATION_DENIED: no such state here, or no PM1 control
 * port. */
hv_status_t hc_enter_sleep_state(struct hypercall_context *call);
/* HvCallGetLogicalProcessorRunTime. INVALID_LP_INDEX. */
hv_status_t hc_get_logical_processor_run_time(struct hypercall_context *call);
/* HvCallNotifyPartitionEvent. INVALID_PARAMETER: unknown event; OPERATION_DENIED: crash dumps. */
hv_status_t hc_notify_partition_event(struct hypercall_context *call);
/* HvCallNotifyLongSpinWait: a child's dispatch ends, so that the root can run another VP. */
hv_status_t hc_notify_long_spin_wait(struct hypercall_context *call);
/* HvCallMapDeviceInterrupt, HvCallUnmapDeviceInterrupt; statuses as device_interrupt.h, and INVALID_PARAMETER: target.
 */
hv_status_t hc_map_device_interrupt(struct hypercall_context *call);
hv_status_t hc_unmap_device_interrupt(struct hypercall_context *call);

#endif
