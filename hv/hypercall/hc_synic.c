/* SPDX-License-Identifier: MIT */
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_partition.h"
#include "hv/hypercall/hc.h"
#include "hv/lib/str.h"
#include "hv/partition/connection.h"
#include "hv/partition/port.h"
#include "hv/partition/synic.h"
#include "hv/partition/vp.h"

/* Calls that carry messages, events and interrupts from VP to VP. Not here: how they arrive (synic.c, port.c, apic.c).
 */

hv_status_t hc_create_port(struct hypercall_context *call)
{
    const struct hv_input_create_port *input = call->input;
    struct hc_target port;
    struct hc_target connection;
    hv_status_t status;

    if (!hc_is_vtl0(input->port_vtl) || !hc_is_vtl0(input->min_connection_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_active(call, input->port_partition_id, &port);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = hc_find(call, input->connection_partition_id, &connection);
    if (status == HV_STATUS_SUCCESS) {
        status = port_create(port.partition, input->port_id, connection.partition->id, &input->port_info);
        hc_put(&connection);
    }
    hc_put(&port);
    return status;
}

hv_status_t hc_delete_port(struct hypercall_context *call)
{
    const struct hv_input_delete_port *input = call->input;
    struct hc_target port;
    hv_status_t status = hc_find(call, input->port_partition_id, &port);

    if (status == HV_STATUS_SUCCESS) {
        status = port_delete(port.partition, input->port_id);
        hc_put(&port);
    }
    return status;
}

hv_status_t hc_connect_port(struct hypercall_context *call)
{
    const struct hv_input_connect_port *input = call->input;
    struct hc_target connection;
    struct hc_target port;
    hv_status_t status;

    if (!hc_is_vtl0(input->connection_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_active(call, input->connection_partition_id, &connection);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = hc_find(call, input->port_partition_id, &port);
    if (status == HV_STATUS_SUCCESS) {
        status = connection_connect(connection.partition, input->connection_id, port.partition, input->port_id,
                                    &input->connection_info);
        hc_put(&port);
    }
    hc_put(&connection);
    return status;
}

hv_status_t hc_disconnect_port(struct hypercall_context *call)
{
    const struct hv_input_disconnect_port *input = call->input;
    struct hc_target connection;
    hv_status_t status;

    if ((input->flags & ~HV_DISCONNECT_PORT_DOORBELL) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find(call, input->connection_partition_id, &connection);
    if (status == HV_STATUS_SUCCESS) {
        status = connection_disconnect(connection.partition, input->connection_id,
                                       (input->flags & HV_DISCONNECT_PORT_DOORBELL) != 0);
        hc_put(&connection);
    }
    return status;
}

hv_status_t hc_post_message(struct hypercall_context *call)
{
    const struct hv_input_post_message *input = call->input;

    return connection_post_message(call->caller, input->connection_id, input->message_type, input->payload,
                                   input->payload_size_bytes);
}

hv_status_t hc_signal_event(struct hypercall_context *call)
{
    const struct hv_input_signal_event *input = call->input;

    return connection_signal_event(call->caller, input->connection_id, input->flag_number);
}

hv_status_t hc_post_message_direct(struct hypercall_context *call)
{
    const struct hv_input_post_message_direct *input = call->input;
    struct hv_message message;
    struct hc_target target;
    hv_status_t status;

    memcpy(&message, input->message, sizeof(message));
    if (!hc_is_vtl0(input->target_vtl) || message.header.message_type == HvMessageTypeNone ||
        message.header.payload_size_bytes > sizeof(message.payload)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_vp(call, input->partition_id, input->vp_index, &target);
    if (status == HV_STATUS_SUCCESS) {
        status = synic_post_message(target.vp, input->sint_index, &message);
        hc_put(&target);
    }
    return status;
}

hv_status_t hc_signal_event_direct(struct hypercall_context *call)
{
    const struct hv_input_signal_event_direct *input = call->input;
    struct hv_output_signal_event_direct *output = call->output;
    bool is_new = false;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0(input->target_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_vp(call, input->target_partition_id, input->target_vp, &target);
    if (status == HV_STATUS_SUCCESS) {
        status = synic_signal_event(target.vp, input->target_sint, input->flag_number, &is_new);
        hc_put(&target);
    }
    output->newly_signaled = is_new ? 1 : 0;
    return status;
}

hv_status_t hc_notify_port_ring_empty(struct hypercall_context *call)
{
    const struct hv_input_notify_port_ring_empty *input = call->input;

    return port_notify_ring_empty(call->vp, input->sint_index);
}

/* Edge interrupt `vector` to the VPs of the caller's partition that the mask, of so many bits, names; others are
 * ignored. */
static hv_status_t send_ipi(struct hypercall_context *call, uint32_t vector, uint8_t input_vtl, const uint8_t rsvd[3],
                            const uint64_t *mask, size_t vp_count)
{
    size_t index;

    if (vector < HV_IPI_LOW_VECTOR || vector > HV_IPI_HIGH_VECTOR) {
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    if (!hc_is_vtl0(input_vtl) || (rsvd[0] | rsvd[1] | rsvd[2]) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    for (index = bitmap_find_first(mask, vp_count); index != BITMAP_NONE;
         index = bitmap_find_next(mask, vp_count, index + 1)) {
        struct vp *vp = partition_vp(call->caller, (uint32_t)index, NULL);

        if (vp != NULL) {
            (void)apic_set_irr(vp, (uint8_t)vector, false);
        }
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t hc_send_synthetic_cluster_ipi(struct hypercall_context *call)
{
    const struct hv_input_send_synthetic_cluster_ipi *input = call->input;

    return send_ipi(call, input->vector, input->target_vtl, input->rsvd, &input->processor_mask, BITMAP_BITS_PER_WORD);
}

hv_status_t hc_send_synthetic_cluster_ipi_ex(struct hypercall_context *call)
{
    const struct hv_input_send_synthetic_cluster_ipi_ex *input = call->input;
    struct hc_vp_mask mask;
    hv_status_t status = hc_read_vp_set(input->vp_set.format, input->vp_set.valid_bank_mask, call->variable,
                                        call->variable_count, &mask);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    return send_ipi(call, input->vector, input->target_vtl, input->rsvd, mask.words, PARTITION_VP_MAX);
}
