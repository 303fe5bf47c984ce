/* SPDX-License-Identifier: MIT */
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_partition.h"
#include "hv/hypercall/hc.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/vp.h"

/*
 * Calls that read and change what a VP's processor looks like: registers, translations, CPUID results. Not here: what
 * each register is (vp_regs.c); VP state in one piece (hc_vp.c).
 */

/* XSAVE leaf of CPUID, and its sub-leaves that tell the size of what is enabled. */
#define CPUID_LEAF_XSAVE      0xDu
#define CPUID_XSAVE_STANDARD  0u
#define CPUID_XSAVE_COMPACTED 1u

/* The VP that a register call names, as far as the caller may touch it: the root any, others their own processor's. */
static hv_status_t find_register_vp(struct hypercall_context *call, struct hc_target *target)
{
    const struct hv_input_vp_registers *input = call->input;
    hv_status_t status;

    if (!hc_is_vtl0(input->input_vtl)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_vp(call, input->partition_id, input->vp_index, target);
    if (status == HV_STATUS_SUCCESS && !call->caller->is_root && target->vp != call->vp) {
        hc_put(target);
        status = HV_STATUS_ACCESS_DENIED;
    }
    return status;
}

static hv_status_t get_register(const struct hypercall_context *call, struct vp *vp, uint32_t name,
                                union hv_register_value *value)
{
    hv_status_t status;

    if (!vp_register_needs_claim(name)) {
        return vp_get_register(vp, name, value);
    }
    status = hc_claim(call, vp);
    if (status == HV_STATUS_SUCCESS) {
        status = vp_get_register(vp, name, value);
        hc_release(call, vp);
    }
    return status;
}

hv_status_t hc_get_vp_registers(struct hypercall_context *call)
{
    const uint32_t *names = call->rep_input;
    union hv_register_value *values = call->output;
    struct hc_target target;
    hv_status_t status = find_register_vp(call, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    while (call->reps_done < call->rep_count) {
        status = get_register(call, target.vp, names[call->reps_done], &values[call->reps_done]);
        if (status != HV_STATUS_SUCCESS) {
            break;
        }
        call->reps_done++;
    }
    hc_put(&target);
    return status;
}

static hv_status_t set_register(const struct hypercall_context *call, struct vp *vp,
                                const struct hv_register_assoc *element)
{
    hv_status_t status;

    if (!vp_register_needs_claim(element->name)) {
        /* Suspending waits until the VP has stopped: a root VP never does, and nobody can wait for himself. */
        return vp->is_root || vp == call->vp ? HV_STATUS_ACCESS_DENIED
                                             : vp_set_register(vp, element->name, &element->value);
    }
    status = hc_claim(call, vp);
    if (status == HV_STATUS_SUCCESS) {
        status = vp_set_register(vp, element->name, &element->value);
        hc_release(call, vp);
    }
    return status;
}

hv_status_t hc_set_vp_registers(struct hypercall_context *call)
{
    const struct hv_register_assoc *elements = call->rep_input;
    struct hc_target target;
    hv_status_t status = find_register_vp(call, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    while (call->reps_done < call->rep_count) {
        status = set_register(call, target.vp, &elements[call->reps_done]);
        if (status != HV_STATUS_SUCCESS) {
            break;
        }
        call->reps_done++;
    }
    hc_put(&target);
    return status;
}

hv_status_t hc_translate_virtual_address(struct hypercall_context *call)
{
    const struct hv_input_translate_virtual_address *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if (!hc_is_vtl0((uint8_t)(input->control_flags >> HV_TRANSLATE_GVA_INPUT_VTL_SHIFT))) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_vp(call, input->partition_id, input->vp_index, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = hc_claim(call, target.vp);
    if (status == HV_STATUS_SUCCESS) {
        status = vp_translate_for_root(target.vp, input->control_flags, input->gva_page, call->output);
        hc_release(call, target.vp);
    }
    hc_put(&target);
    return status;
}

hv_status_t hc_register_intercept_result(struct hypercall_context *call)
{
    const struct hv_input_register_intercept_result_cpuid *input = call->input;
    struct hc_target target;
    hv_status_t status;

    if (input->intercept_type != HvInterceptTypeX64Cpuid) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_vp(call, input->partition_id, input->vp_index, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = target.partition->is_root ? HV_STATUS_ACCESS_DENIED : hc_claim(call, target.vp);
    if (status == HV_STATUS_SUCCESS) {
        status = cpuid_register(target.vp, input);
        hc_release(call, target.vp);
    }
    hc_put(&target);
    return status;
}

/* One leaf; without USE_VP_XFEM_XSS the sizes are for the components that the caller gives. */
static void query_leaf(struct vp *vp, uint32_t flags, const struct hv_cpuid_leaf_info *leaf,
                       struct hv_cpuid_result *result)
{
    uint32_t out[CPUID_REGISTER_COUNT];

    cpuid_query(vp, leaf->eax, leaf->ecx, out);
    if (leaf->eax == CPUID_LEAF_XSAVE && (flags & HV_GET_VP_CPUID_USE_VP_XFEM_XSS) == 0) {
        uint64_t offered = cpuid_xcr0_mask(vp->partition);

        if (leaf->ecx == CPUID_XSAVE_STANDARD) {
            out[CPUID_EBX] = cpuid_xsave_size(leaf->xfem & offered, false);
        } else if (leaf->ecx == CPUID_XSAVE_COMPACTED) {
            out[CPUID_EBX] = cpuid_xsave_size((leaf->xfem | leaf->xss) & offered, true);
        }
    }
    *result = (struct hv_cpuid_result){
        .eax = out[CPUID_EAX], .ebx = out[CPUID_EBX], .ecx = out[CPUID_ECX], .edx = out[CPUID_EDX]};
}

/*
 * Flags that can be answered: registered results are part of every answer, so a caller that does not want them is
 * refused as soon as there are any. VP claimed.
 */
static bool can_answer(struct vp *vp, uint32_t flags)
{
    const uint32_t known = HV_GET_VP_CPUID_USE_VP_XFEM_XSS | HV_GET_VP_CPUID_APPLY_REGISTERED_VALUES;

    return (flags & ~known) == 0 && ((flags & HV_GET_VP_CPUID_APPLY_REGISTERED_VALUES) != 0 || vp->cpuid.count == 0);
}

hv_status_t hc_get_vp_cpuid_values(struct hypercall_context *call)
{
    const struct hv_input_get_vp_cpuid_values *input = call->input;
    const struct hv_cpuid_leaf_info *leaves = call->rep_input;
    struct hv_cpuid_result *results = call->output;
    struct hc_target target;
    hv_status_t status = hc_find_vp(call, input->partition_id, input->vp_index, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = hc_claim(call, target.vp);
    if (status == HV_STATUS_SUCCESS) {
        status = can_answer(target.vp, input->flags) ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER;
        while (status == HV_STATUS_SUCCESS && call->reps_done < call->rep_count) {
            query_leaf(target.vp, input->flags, &leaves[call->reps_done], &results[call->reps_done]);
            call->reps_done++;
        }
        hc_release(call, target.vp);
    }
    hc_put(&target);
    return status;
}
