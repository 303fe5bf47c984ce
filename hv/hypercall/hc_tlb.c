/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/cpu/cpu.h"
#include "hv/hypercall/hc.h"
#include "hv/partition/vp.h"

/*
 * Flushes of guest-virtual translations (TLFS, Virtual MMU). More may always be flushed than was asked for: each VP
 * named loses all of its translations. Not here: second-level translations (gpa_space.c).
 */

/* INVALID_PARAMETER: reserved flags, another VTL, ranges in a format that the caller has no right to. */
static hv_status_t check_flags(const struct hypercall_context *call, uint64_t flags, bool is_list)
{
    if ((flags & ~HV_FLUSH_VALID_MASK) != 0 || (flags & HV_FLUSH_TARGET_VTL_MASK) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (is_list && (flags & HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if ((flags & HV_FLUSH_USE_EXTENDED_RANGE_FORMAT) != 0 &&
        (call->caller->privileges & HV_ENABLE_EXTENDED_GVA_RANGES_FLUSH_VA_LIST) == 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

/* Flushes the VPs that the mask names, in the caller's partition. Effective on all of them when it returns. */
static hv_status_t flush(struct hypercall_context *call, uint64_t flags, const struct hc_vp_mask *mask, bool is_list)
{
    bool has_others = false;
    bool is_all = (flags & HV_FLUSH_ALL_PROCESSORS) != 0;
    hv_status_t status = check_flags(call, flags, is_list);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = is_all || bitmap_test(mask->words, i) ? partition_vp(call->caller, i, NULL) : NULL;

        if (vp != NULL) {
            /* Pairs with the load before an entry, which comes behind the store of cpu->guest_space. */
            (void)atomic_fetch_add_explicit(&vp->flush_wanted, 1, memory_order_seq_cst);
            has_others |= vp != call->vp;
        }
    }
    if (has_others) {
        /* Those in guest mode leave it; the others see flush_wanted before their next entry. */
        cpu_quiesce_space(&call->caller->space);
    }
    call->reps_done = call->rep_count;
    return HV_STATUS_SUCCESS;
}

static hv_status_t flush_by_mask(struct hypercall_context *call, bool is_list)
{
    const struct hv_input_flush_virtual_address *input = call->input;
    struct hc_vp_mask mask = {.words = {input->processor_mask}};
    uint64_t flags = input->flags;

    /* There are guests that name no processor and mean all. */
    if (input->processor_mask == 0) {
        flags |= HV_FLUSH_ALL_PROCESSORS;
    }
    return flush(call, flags, &mask, is_list);
}

static hv_status_t flush_by_set(struct hypercall_context *call, bool is_list)
{
    const struct hv_input_flush_virtual_address_ex *input = call->input;
    struct hc_vp_mask mask = {0};
    hv_status_t status = HV_STATUS_SUCCESS;

    if ((input->flags & HV_FLUSH_ALL_PROCESSORS) == 0) {
        status = hc_read_vp_set(input->vp_set.format, input->vp_set.valid_bank_mask, call->variable,
                                call->variable_count, &mask);
    }
    return status == HV_STATUS_SUCCESS ? flush(call, input->flags, &mask, is_list) : status;
}

hv_status_t hc_flush_virtual_address_space(struct hypercall_context *call)
{
    return flush_by_mask(call, false);
}

hv_status_t hc_flush_virtual_address_list(struct hypercall_context *call)
{
    return flush_by_mask(call, true);
}

hv_status_t hc_flush_virtual_address_space_ex(struct hypercall_context *call)
{
    return flush_by_set(call, false);
}

hv_status_t hc_flush_virtual_address_list_ex(struct hypercall_context *call)
{
    return flush_by_set(call, true);
}
