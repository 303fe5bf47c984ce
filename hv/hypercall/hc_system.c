/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>

#include "hv/abi/hv_partition.h"
#include "hv/boot/acpi.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/debug/uart.h"
#include "hv/hypercall/hc.h"
#include "hv/partition/device_interrupt.h"
#include "hv/partition/stats.h"
#include "hv/partition/vp.h"
#include "hv/time/time.h"

/* Calls about the machine: power, processors, device interrupts, and the scheduling hint. Not here: interrupt delivery.
 */

/* PM1 control register (ACPI, Fixed Hardware Register Space). */
#define PM1_SLEEP_TYPE_SHIFT 10
#define PM1_SLEEP_TYPE_MASK  (7u << PM1_SLEEP_TYPE_SHIFT)
#define PM1_SLEEP_ENABLE     (1u << 13)
#define SLEEP_TYPE_MAX       7u
/* How long a machine may take to switch itself off. */
#define POWER_OFF_WAIT_100NS UINT64_C(30000000)

/* A registered sleep state: types for PM1a (7:0) and PM1b (15:8), and whether there are any. */
#define SLEEP_REGISTERED 0x10000u
#define SLEEP_PM1B_SHIFT 8

static _Atomic uint32_t sleep_states[HV_SLEEP_STATE_S5 + 1]; /* [a] by state */
static _Atomic bool is_sleep_locked;                         /* [a] */

hv_status_t hc_get_system_property(struct hypercall_context *call)
{
    const struct hv_input_get_system_property *input = call->input;
    struct hv_output_get_system_property *output = call->output;

    switch (input->property_id) {
    case HvSystemPropertySchedulerType:
        output->value = HvSchedulerTypeRoot;
        return HV_STATUS_SUCCESS;
    default:
        return HV_STATUS_UNKNOWN_PROPERTY;
    }
}

hv_status_t hc_set_system_property(struct hypercall_context *call)
{
    const struct hv_input_set_system_property *input = call->input;

    if (input->property_id != HvSystemPropertySleepState) {
        return HV_STATUS_UNKNOWN_PROPERTY;
    }
    if (atomic_load_explicit(&is_sleep_locked, memory_order_relaxed)) {
        return HV_STATUS_OPERATION_DENIED;
    }
    if (input->sleep_state == HV_SLEEP_STATE_LOCK) {
        atomic_store_explicit(&is_sleep_locked, true, memory_order_relaxed);
        return HV_STATUS_SUCCESS;
    }
    if (input->sleep_state < HV_SLEEP_STATE_S1 || input->sleep_state > HV_SLEEP_STATE_S5 ||
        input->pm1a_slp_typ > SLEEP_TYPE_MAX || input->pm1b_slp_typ > SLEEP_TYPE_MAX) {
        return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
    }
    atomic_store_explicit(&sleep_states[input->sleep_state],
                          SLEEP_REGISTERED | input->pm1a_slp_typ | ((uint32_t)input->pm1b_slp_typ << SLEEP_PM1B_SHIFT),
                          memory_order_relaxed);
    return HV_STATUS_SUCCESS;
}

/* PM1 control of one register block with the sleep type in place of what it had. */
static uint16_t sleep_value(uint16_t port, uint32_t type)
{
    uint32_t value = inw(port);

    return (uint16_t)((value & ~(PM1_SLEEP_TYPE_MASK | PM1_SLEEP_ENABLE)) | (type << PM1_SLEEP_TYPE_SHIFT));
}

/* Switches the machine off (ACPI, Transitioning from the Working to the Soft Off State). Comes back if that had no
 * effect. */
static void power_off(uint32_t registered)
{
    const struct acpi_info *acpi = acpi_info();
    uint16_t port_a = acpi->pm1a_control_port;
    uint16_t port_b = acpi->pm1b_control_port;
    uint16_t value_a = sleep_value(port_a, registered & SLEEP_TYPE_MAX);
    uint16_t value_b = port_b != 0 ? sleep_value(port_b, (registered >> SLEEP_PM1B_SHIFT) & SLEEP_TYPE_MAX) : 0;
    uint64_t start = time_100ns();

    outw(port_a, value_a);
    if (port_b != 0) {
        outw(port_b, value_b);
    }
    outw(port_a, (uint16_t)(value_a | PM1_SLEEP_ENABLE));
    if (port_b != 0) {
        outw(port_b, (uint16_t)(value_b | PM1_SLEEP_ENABLE));
    }
    while (time_100ns() - start < POWER_OFF_WAIT_100NS) {
        pause();
    }
}

hv_status_t hc_enter_sleep_state(struct hypercall_context *call)
{
    const struct hv_input_enter_sleep_state *input = call->input;
    uint32_t state = input->sleep_state;
    uint32_t registered;

    if (state < HV_SLEEP_STATE_S1 || state > HV_SLEEP_STATE_S5) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    registered =
        atomic_load_explicit(&sleep_states[array_index_nospec(state, ARRAY_SIZE(sleep_states))], memory_order_relaxed);
    if (registered == 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    /* From the other states the hypervisor would have to come back. */
    if (state != HV_SLEEP_STATE_S5 || acpi_info()->pm1a_control_port == 0) {
        return HV_STATUS_OPERATION_DENIED;
    }
    log_line("the root switches the machine off");
    uart_drain();
    power_off(registered);
    stop_machine("the machine did not switch itself off (PM1a control port 0x%x)", acpi_info()->pm1a_control_port);
}

hv_status_t hc_get_logical_processor_run_time(struct hypercall_context *call)
{
    const struct hv_input_get_logical_processor_run_time *input = call->input;
    struct hv_output_get_logical_processor_run_time *output = call->output;

    if (cpu_get(input->lp_index) == NULL) {
        return HV_STATUS_INVALID_LP_INDEX;
    }
    /* What the hypervisor itself takes is not measured. */
    output->global_time = time_100ns();
    output->local_run_time = stats_lp_run_time(input->lp_index);
    return HV_STATUS_SUCCESS;
}

hv_status_t hc_notify_partition_event(struct hypercall_context *call)
{
    const struct hv_input_notify_partition_event *input = call->input;

    switch (input->event) {
    case HvPartitionEventAllLogicalProcessorsStarted:
        /* They run since before the root did. */
        return HV_STATUS_SUCCESS;
    case HvPartitionEventRootCrashdump:
        log_line("the root has crashed (crash dump action %u)", input->event_data);
        return HV_STATUS_OPERATION_DENIED;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}

hv_status_t hc_notify_long_spin_wait(struct hypercall_context *call)
{
    if (!call->vp->is_root) {
        (void)atomic_fetch_or_explicit(&call->vp->requests, VP_REQUEST_SLICE, memory_order_seq_cst);
    }
    return HV_STATUS_SUCCESS;
}

/* The VP that takes a device's interrupt: the lowest of those named. */
static hv_status_t choose_target(const struct hypercall_context *call, const struct hv_device_interrupt_target *target,
                                 uint32_t *vp_index)
{
    struct hc_vp_mask mask = {0};
    hv_status_t status = HV_STATUS_SUCCESS;
    size_t first;

    switch (target->flags) {
    case 0:
        mask.words[0] = target->processor_mask_or_set_format;
        break;
    case HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET:
        if (call->variable_count == 0) {
            return HV_STATUS_INVALID_HYPERCALL_INPUT;
        }
        status = hc_read_vp_set(target->processor_mask_or_set_format, call->variable[0], call->variable + 1,
                                call->variable_count - 1, &mask);
        break;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
    first = bitmap_find_first(mask.words, PARTITION_VP_MAX);
    if (status == HV_STATUS_SUCCESS && first == BITMAP_NONE) {
        status = HV_STATUS_INVALID_PARAMETER;
    }
    *vp_index = status == HV_STATUS_SUCCESS ? (uint32_t)first : 0;
    return status;
}

/* Only the root has devices. */
static hv_status_t check_device_owner(struct hypercall_context *call, uint64_t partition_id)
{
    struct hc_target target;
    hv_status_t status = hc_find(call, partition_id, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = target.partition->is_root ? HV_STATUS_SUCCESS : HV_STATUS_ACCESS_DENIED;
    hc_put(&target);
    return status;
}

hv_status_t hc_map_device_interrupt(struct hypercall_context *call)
{
    const struct hv_input_map_device_interrupt *input = call->input;
    struct hv_output_map_device_interrupt *output = call->output;
    uint32_t vp_index;
    hv_status_t status;

    if (input->flags != 0 || input->vector_count != 1) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = choose_target(call, &input->target, &vp_index);
    if (status == HV_STATUS_SUCCESS) {
        status = check_device_owner(call, input->partition_id);
    }
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    return device_interrupt_map(input->device_id, input->interrupt_type, input->trigger_mode, input->target.vector,
                                vp_index, &output->interrupt_entry);
}

hv_status_t hc_unmap_device_interrupt(struct hypercall_context *call)
{
    const struct hv_input_unmap_device_interrupt *input = call->input;
    struct hv_interrupt_entry entry = input->interrupt_entry;
    hv_status_t status = check_device_owner(call, input->partition_id);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    return device_interrupt_unmap(input->device_id, &entry);
}
