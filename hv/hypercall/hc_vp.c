/* SPDX-License-Identifier: MIT */
#include "hv/abi/hv_partition.h"
#include "hv/hypercall/hc.h"
#include "hv/partition/stats.h"
#include "hv/partition/vp.h"
#include "hv/partition/vp_state.h"

/*
 * Calls about whole VPs: life, dispatch, interrupts, state and statistics pages. Not here: single registers
 * (hc_register.c).
 */

/* A VP of a child that still has its memory; INVALID_VP_INDEX and as hc_find_active_child(). */
static hv_status_t find_child_vp(struct hypercall_context *call, uint64_t partition_id, uint32_t vp_index,
                                 struct hc_target *target)
{
    hv_status_t status = hc_find_active_child(call, partition_id, target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    target->vp = partition_vp(target->partition, vp_index, NULL);
    if (target->vp == NULL) {
        hc_put(target);
        return HV_STATUS_INVALID_VP_INDEX;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t hc_create_vp(struct hypercall_context *call)
{
    const struct hv_input_create_vp *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if (input->subnode_type != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find(call, input->partition_id, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    /* The flags are the LP of a root VP; a child's VPs have none. */
    status = !target.partition->is_root && input->flags != 0 ? HV_STATUS_INVALID_PARAMETER
                                                             : partition_create_vp(target.partition, input->vp_index);
    hc_put(&target);
    return status;
}

hv_status_t hc_delete_vp(struct hypercall_context *call)
{
    const struct hv_input_delete_vp *input = call->input;
    struct hc_target target;
    hv_status_t status = hc_find(call, input->partition_id, &target);

    if (status == HV_STATUS_SUCCESS) {
        status = partition_delete_vp(target.partition, input->vp_index);
        hc_put(&target);
    }
    return status;
}

hv_status_t hc_dispatch_vp(struct hypercall_context *call)
{
    const struct hv_input_dispatch_vp *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if ((input->flags & ~HV_DISPATCH_VP_FLAG_VALID_MASK) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = find_child_vp(call, input->partition_id, input->vp_index, &target);
    if (status == HV_STATUS_SUCCESS) {
        status = vp_dispatch(target.vp, input->flags, input->time_slice_100ns, call->output);
        hc_put(&target);
    }
    return status;
}

hv_status_t hc_assert_virtual_interrupt(struct hypercall_context *call)
{
    const uint32_t known = HV_INTERRUPT_CONTROL_LEVEL_TRIGGERED | HV_INTERRUPT_CONTROL_LOGICAL_DEST_MODE;
    const struct hv_input_assert_virtual_interrupt *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0(input->target_vtl) || (input->control_flags & ~known) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_active_child(call, input->partition_id, &target);
    if (status == HV_STATUS_SUCCESS) {
        status = apic_deliver(target.partition, input->interrupt_type,
                              (input->control_flags & HV_INTERRUPT_CONTROL_LOGICAL_DEST_MODE) != 0,
                              input->destination_address, input->vector,
                              (input->control_flags & HV_INTERRUPT_CONTROL_LEVEL_TRIGGERED) != 0);
        hc_put(&target);
    }
    return status;
}

hv_status_t hc_clear_virtual_interrupt(struct hypercall_context *call)
{
    const struct hv_input_partition *input = call->input;
    struct hc_target target;
    hv_status_t status = hc_find_active_child(call, input->partition_id, &target);

    if (status == HV_STATUS_SUCCESS) {
        apic_clear_extint(target.partition);
        hc_put(&target);
    }
    return status;
}

/* Puts the initial context into a VP that waits for a SIPI; claimed. Whatever it lacks has its value after INIT. */
static hv_status_t load_context(struct vp *vp, const struct hv_initial_vp_context *context)
{
    const struct hv_register_assoc elements[] = {
        {.name = HvX64RegisterEfer, .value = {.reg64 = context->efer}},
        {.name = HvX64RegisterCr0, .value = {.reg64 = context->cr0}},
        {.name = HvX64RegisterCr3, .value = {.reg64 = context->cr3}},
        {.name = HvX64RegisterCr4, .value = {.reg64 = context->cr4}},
        {.name = HvX64RegisterPat, .value = {.reg64 = context->msr_cr_pat}},
        {.name = HvX64RegisterCs, .value = {.segment = context->cs}},
        {.name = HvX64RegisterDs, .value = {.segment = context->ds}},
        {.name = HvX64RegisterEs, .value = {.segment = context->es}},
        {.name = HvX64RegisterFs, .value = {.segment = context->fs}},
        {.name = HvX64RegisterGs, .value = {.segment = context->gs}},
        {.name = HvX64RegisterSs, .value = {.segment = context->ss}},
        {.name = HvX64RegisterTr, .value = {.segment = context->tr}},
        {.name = HvX64RegisterLdtr, .value = {.segment = context->ldtr}},
        {.name = HvX64RegisterIdtr, .value = {.table = context->idtr}},
        {.name = HvX64RegisterGdtr, .value = {.table = context->gdtr}},
        {.name = HvX64RegisterRip, .value = {.reg64 = context->rip}},
        {.name = HvX64RegisterRsp, .value = {.reg64 = context->rsp}},
        {.name = HvX64RegisterRflags, .value = {.reg64 = context->rflags}},
    };

    for (uint32_t i = 0; i < ARRAY_SIZE(elements); i++) {
        if (vp_set_register(vp, elements[i].name, &elements[i].value) != HV_STATUS_SUCCESS) {
            vp_reset(vp, false);
            return HV_STATUS_INVALID_REGISTER_VALUE;
        }
    }
    vp->activity = VP_ACTIVE;
    return HV_STATUS_SUCCESS;
}

hv_status_t hc_start_virtual_processor(struct hypercall_context *call)
{
    const struct hv_input_start_virtual_processor *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0(input->target_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_vp(call, input->partition_id, input->vp_index, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    if (target.vp->is_root) {
        /* Its processors are in their run loops for ever: they start by INIT and SIPI. */
        status = HV_STATUS_ACCESS_DENIED;
    } else if (READ_ONCE(target.vp->activity) != VP_WAIT_FOR_SIPI) {
        status = HV_STATUS_INVALID_VP_STATE;
    } else if (!vp_claim(target.vp)) {
        /* A dispatch that will find it waiting, or a look at its registers: soon over. */
        status = HV_STATUS_TIME_OUT;
    } else {
        status = target.vp->activity == VP_WAIT_FOR_SIPI ? load_context(target.vp, &input->vp_context)
                                                         : HV_STATUS_INVALID_VP_STATE;
        vp_release(target.vp);
    }
    hc_put(&target);
    return status;
}

hv_status_t hc_get_vp_index_from_apic_id(struct hypercall_context *call)
{
    const struct hv_input_get_vp_index_from_apic_id *input = call->input;
    const uint32_t *ids = call->rep_input;
    uint32_t *indexes = call->output;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0(input->target_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find(call, input->partition_id, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    while (call->reps_done < call->rep_count) {
        const struct vp *vp = apic_find_vp(target.partition, ids[call->reps_done]);

        if (vp == NULL) {
            status = HV_STATUS_INVALID_PARAMETER;
            break;
        }
        indexes[call->reps_done] = vp->index;
        call->reps_done++;
    }
    hc_put(&target);
    return status;
}

hv_status_t hc_map_vp_state_page(struct hypercall_context *call)
{
    const struct hv_input_map_vp_state_page *input = call->input;
    struct hv_output_map_vp_state_page *output = call->output;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0(input->input_vtl) || input->flags != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = find_child_vp(call, input->partition_id, input->vp_index, &target);
    if (status == HV_STATUS_SUCCESS) {
        status = vp_state_map_page(target.vp, input->type, &output->map_location);
        hc_put(&target);
    }
    return status;
}

hv_status_t hc_unmap_vp_state_page(struct hypercall_context *call)
{
    const struct hv_input_unmap_vp_state_page *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0(input->input_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = find_child_vp(call, input->partition_id, input->vp_index, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = hc_claim(call, target.vp);
    if (status == HV_STATUS_SUCCESS) {
        status = vp_state_unmap_page(target.vp, input->type);
        hc_release(call, target.vp);
    }
    hc_put(&target);
    return status;
}

hv_status_t hc_get_vp_state(struct hypercall_context *call)
{
    const struct hv_input_vp_state *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0(input->input_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = find_child_vp(call, input->partition_id, input->vp_index, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = hc_claim(call, target.vp);
    if (status == HV_STATUS_SUCCESS) {
        if (input->type == HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS) {
            stimer_get_state(target.vp, call->output);
        } else {
            call->skips_output = true;
            status = vp_state_get(target.vp, call->caller, input, call->variable, call->variable_count);
        }
        hc_release(call, target.vp);
    }
    hc_put(&target);
    return status;
}

/* Timers travel in the variable header itself. */
static hv_status_t set_timers(const struct hypercall_context *call, struct vp *vp)
{
    if (call->variable_count * sizeof(uint64_t) != sizeof(struct hv_synthetic_timers_state)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return stimer_set_state(vp, (const struct hv_synthetic_timers_state *)(const void *)call->variable);
}

hv_status_t hc_set_vp_state(struct hypercall_context *call)
{
    const struct hv_input_vp_state *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0(input->input_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = find_child_vp(call, input->partition_id, input->vp_index, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = hc_claim(call, target.vp);
    if (status == HV_STATUS_SUCCESS) {
        status = input->type == HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS
                     ? set_timers(call, target.vp)
                     : vp_state_set(target.vp, call->caller, input, call->variable, call->variable_count);
        hc_release(call, target.vp);
    }
    hc_put(&target);
    return status;
}

hv_status_t hc_map_stats_page(struct hypercall_context *call)
{
    const struct hv_input_stats_page *input = call->input;
    struct hv_output_map_stats_page *output = call->output;
    struct hc_target owner = {0};
    hv_status_t status = HV_STATUS_SUCCESS;

    if (input->object_type == HvStatsObjectPartition || input->object_type == HvStatsObjectVp) {
        status = hc_find_active(call, input->object_id, &owner);
    }
    if (status == HV_STATUS_SUCCESS) {
        status = stats_map_page(call->caller, input, &output->map_location);
        hc_put(&owner);
    }
    return status;
}

hv_status_t hc_unmap_stats_page(struct hypercall_context *call)
{
    return stats_unmap_page(call->caller, call->input);
}
