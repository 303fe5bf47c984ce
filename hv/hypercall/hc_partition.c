/* SPDX-License-Identifier: MIT */
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_partition.h"
#include "hv/hypercall/hc.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/msr.h"

/* Calls about whole partitions: life cycle, properties, intercepts. Not here: their memory (hc_memory.c), their VPs
 * (hc_vp.c). */

hv_status_t hc_get_partition_id(struct hypercall_context *call)
{
    struct hv_output_get_partition_id *output = call->output;

    output->partition_id = call->caller->id;
    return HV_STATUS_SUCCESS;
}

hv_status_t hc_create_partition(struct hypercall_context *call)
{
    struct hv_output_create_partition *output = call->output;

    return partition_create(call->caller, call->input, &output->partition_id);
}

/* Applies one of the calls whose only argument is a partition. */
static hv_status_t with_partition(struct hypercall_context *call, hv_status_t (*act)(struct partition *partition))
{
    const struct hv_input_partition *input = call->input;
    struct hc_target target;
    hv_status_t status = hc_find(call, input->partition_id, &target);

    if (status == HV_STATUS_SUCCESS) {
        status = act(target.partition);
        hc_put(&target);
    }
    return status;
}

hv_status_t hc_initialize_partition(struct hypercall_context *call)
{
    return with_partition(call, partition_initialize);
}

hv_status_t hc_finalize_partition(struct hypercall_context *call)
{
    return with_partition(call, partition_finalize);
}

hv_status_t hc_delete_partition(struct hypercall_context *call)
{
    return with_partition(call, partition_delete);
}

hv_status_t hc_get_partition_property(struct hypercall_context *call)
{
    const struct hv_input_get_partition_property *input = call->input;
    struct hv_output_get_partition_property *output = call->output;
    struct hc_target target;
    hv_status_t status = hc_find(call, input->partition_id, &target);

    if (status == HV_STATUS_SUCCESS) {
        status = partition_get_property(target.partition, input->property_code, &output->property_value);
        hc_put(&target);
    }
    return status;
}

hv_status_t hc_get_partition_property_ex(struct hypercall_context *call)
{
    const struct hv_input_get_partition_property_ex *input = call->input;
    struct hv_partition_property_vmm_capabilities *capabilities = call->output;
    struct hv_output_get_partition_property *output = call->output;
    struct hc_target target;
    hv_status_t status = hc_find(call, input->partition_id, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    switch (input->property_code) {
    case HvPartitionPropertyVmmCapabilities:
        capabilities->bank_count = ARRAY_SIZE(capabilities->bank);
        capabilities->bank[0] = HV_VMM_CAPABILITY_ASSIGNABLE_SYNTHETIC_PROC_FEATURES;
        break;
    case HvPartitionPropertyAssignableSyntheticProcFeatures:
        output->property_value = cpuid_assignable_features();
        break;
    default:
        status = partition_get_property(target.partition, input->property_code, &output->property_value);
        break;
    }
    hc_put(&target);
    return status;
}

hv_status_t hc_set_partition_property(struct hypercall_context *call)
{
    const struct hv_input_set_partition_property *input = call->input;
    struct hc_target target;
    hv_status_t status = hc_find(call, input->partition_id, &target);

    if (status == HV_STATUS_SUCCESS) {
        status = partition_set_property(target.partition, input->property_code, input->property_value);
        hc_put(&target);
    }
    return status;
}

/* Vectors whose exceptions can be intercepted: all but NMI, which is no exception. */
#define EXCEPTION_COUNT      32u
#define EXCEPTION_VECTOR_NMI 2u

/* Changes what is intercepted; partition lock held. */
static hv_status_t set_intercept_locked(struct partition *partition, const struct hv_input_install_intercept *input)
{
    const uint32_t both = HV_INTERCEPT_ACCESS_MASK_READ | HV_INTERCEPT_ACCESS_MASK_WRITE;
    uint32_t mask = input->access_type_mask;
    uint64_t vector = input->intercept_parameter;
    uint64_t bit;

    switch (input->intercept_type) {
    case HvInterceptTypeX64Cpuid:
    case HvInterceptTypeX64GlobalCpuid:
        if ((mask & ~HV_INTERCEPT_ACCESS_MASK_EXECUTE) != 0) {
            return HV_STATUS_INVALID_PARAMETER;
        }
        partition->intercepts_cpuid_all = mask != HV_INTERCEPT_ACCESS_MASK_NONE;
        return HV_STATUS_SUCCESS;
    case HvInterceptTypeX64Msr:
        if (mask != HV_INTERCEPT_ACCESS_MASK_NONE && mask != both) {
            return HV_STATUS_INVALID_PARAMETER;
        }
        partition->intercepts_msr = mask == both;
        return HV_STATUS_SUCCESS;
    case HvInterceptTypeException:
        if ((mask & ~HV_INTERCEPT_ACCESS_MASK_EXECUTE) != 0 || vector >= EXCEPTION_COUNT ||
            vector == EXCEPTION_VECTOR_NMI) {
            return HV_STATUS_INVALID_PARAMETER;
        }
        bit = UINT64_C(1) << vector;
        partition->exception_intercepts &= ~bit;
        partition->exception_intercepts |= mask != HV_INTERCEPT_ACCESS_MASK_NONE ? bit : 0;
        return HV_STATUS_SUCCESS;
    case HvInterceptTypeX64IoPort:
    case HvInterceptTypeX64IoPortRange:
    case HvInterceptTypeMmio:
        /* Every port and every hole is the root's business already (EXO partition); it cannot be taken back. */
        return mask != HV_INTERCEPT_ACCESS_MASK_NONE ? HV_STATUS_SUCCESS : HV_STATUS_OPERATION_DENIED;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
}

hv_status_t hc_install_intercept(struct hypercall_context *call)
{
    const struct hv_input_install_intercept *input = call->input;
    struct hc_target target;
    hv_status_t status = hc_find(call, input->partition_id, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    if (target.partition->is_root) {
        status = HV_STATUS_ACCESS_DENIED;
    } else {
        spin_lock(&target.partition->lock);
        status = set_intercept_locked(target.partition, input);
        spin_unlock(&target.partition->lock);
    }
    if (status == HV_STATUS_SUCCESS) {
        partition_intercepts_changed(target.partition);
    }
    hc_put(&target);
    return status;
}
