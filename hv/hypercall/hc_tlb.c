/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/cpu/cpu.h"
#include "hv/hypercall/hc.h"
#include "hv/partition/vp.h"

/*
 * Flushes of guest-virtual translations (TLFS, Virtual MMU). More may always be flushed than was asked for: each VP
 * named loses translations of all its address spaces, and all of them when the ranges are many or large. Not here:
 * second-level translations (gpa_space.c).
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

/* What the ranges of a list cover; an address that no guest can have has no translations. */
static struct vp_flush_set set_of_ranges(const uint64_t *ranges, uint32_t count, bool is_extended)
{
    uint64_t mask = is_extended ? HV_GVA_RANGE_EXTENDED_ADDITIONAL_MASK : HV_GVA_RANGE_ADDITIONAL_MASK;
    struct vp_flush_set set = {.scope = VP_FLUSH_PAGES};

    for (uint32_t i = 0; i < count; i++) {
        uint64_t additional = ranges[i] & mask;

        /* A large page may have been many small ones before. */
        if (additional >= VP_FLUSH_PAGES_MAX - set.page_count ||
            (is_extended && (ranges[i] & HV_GVA_RANGE_EXTENDED_LARGE))) {
            return (struct vp_flush_set){.scope = VP_FLUSH_ALL};
        }
        for (uint64_t j = 0; j <= additional; j++) {
            uint64_t page = (ranges[i] & ~(uint64_t)PAGE_MASK) + j * PAGE_SIZE;

            if (linear_is_canonical(page, LINEAR_BITS_4_LEVEL)) {
                set.pages[set.page_count++] = page;
            }
        }
    }
    return set;
}

static struct vp_flush_set set_of_call(const struct hypercall_context *call, uint64_t flags, bool is_list)
{
    bool is_non_global = (flags & HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY) != 0;

    if (is_list) {
        return set_of_ranges(call->rep_input, call->rep_count, (flags & HV_FLUSH_USE_EXTENDED_RANGE_FORMAT) != 0);
    }
    return (struct vp_flush_set){.scope = is_non_global ? VP_FLUSH_NON_GLOBAL : VP_FLUSH_ALL};
}

/* Flushes the VPs that the mask names, in the caller's partition. Effective on all of them when it returns. */
static hv_status_t flush(struct hypercall_context *call, uint64_t flags, const struct hc_vp_mask *mask, bool is_list)
{
    bool has_others = false;
    bool is_all = (flags & HV_FLUSH_ALL_PROCESSORS) != 0;
    hv_status_t status = check_flags(call, flags, is_list);
    struct vp_flush_set set;

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    set = set_of_call(call, flags, is_list);
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = is_all || bitmap_test(mask->words, i) ? partition_vp(call->caller, i, NULL) : NULL;

        if (vp != NULL) {
            vp_flush(vp, &set);
            has_others |= vp != call->vp;
        }
    }
    if (has_others) {
        /* Those in guest mode leave it; the others see what is wanted before their next entry. */
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
