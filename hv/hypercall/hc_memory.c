/* SPDX-License-Identifier: MIT */
#include "hv/abi/hv_partition.h"
#include "hv/hypercall/hc.h"
#include "hv/lib/addr.h"
#include "hv/partition/deposit.h"
#include "hv/partition/gpa_space.h"

/*
 * Calls about memory: what the root gives to the hypervisor and gets back, and the GPA spaces of children. Each entry
 * is one batch of changes with one flush; what the flush frees counts as free only behind it. Not here: the tables
 * (gpa_space.c).
 */

/* First page number that no machine has (52 physical address bits): larger ones would wrap as addresses. */
#define PAGE_NUMBER_LIMIT (UINT64_C(1) << 40)

hv_status_t hc_deposit_memory(struct hypercall_context *call)
{
    const struct hv_input_deposit_memory *input = call->input;
    const uint64_t *pages = call->rep_input;
    struct gpa_batch batch;
    struct hc_target target;
    uint32_t claimed = 0;
    hv_status_t status = hc_find(call, input->partition_id, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    gpa_batch_start(&batch, &call->caller->space);
    while (claimed < call->rep_count && batch.work < HC_WORK_MAX) {
        status = deposit_claim(pages[claimed], &batch);
        if (status != HV_STATUS_SUCCESS) {
            break;
        }
        claimed++;
    }
    gpa_batch_finish(&batch);
    /* Only now can no processor of the root reach them any more. */
    for (uint32_t i = 0; i < claimed; i++) {
        deposit_commit(target.partition, pages[i]);
    }
    call->reps_done = claimed;
    hc_put(&target);
    return status;
}

hv_status_t hc_withdraw_memory(struct hypercall_context *call)
{
    const struct hv_input_withdraw_memory *input = call->input;
    uint64_t *pages = call->output;
    struct gpa_batch batch;
    struct hc_target target;
    hv_status_t status = hc_find(call, input->partition_id, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    gpa_batch_start(&batch, &call->caller->space);
    while (call->reps_done < call->rep_count && batch.work < HC_WORK_MAX) {
        status = deposit_withdraw(target.partition, &pages[call->reps_done], &batch);
        if (status != HV_STATUS_SUCCESS) {
            break;
        }
        call->reps_done++;
    }
    gpa_batch_finish(&batch);
    hc_put(&target);
    return status;
}

/* Rights of a mapping by its flags. INVALID_PARAMETER: unknown flags, or access granted and denied at once. */
static hv_status_t rights_of(uint32_t flags, uint32_t *rights)
{
    bool has_access = (flags & HV_MAP_GPA_PERMISSIONS_MASK) != 0;

    if ((flags & ~HV_MAP_GPA_VALID_MASK) != 0 || (has_access && (flags & HV_MAP_GPA_NO_ACCESS) != 0)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    *rights = 0;
    if (has_access) {
        /* No processor maps a page that can be written or executed, but not read. */
        *rights = GPA_READ | ((flags & HV_MAP_GPA_WRITABLE) != 0 ? GPA_WRITE : 0) |
                  ((flags & HV_MAP_GPA_EXECUTABLE) != 0 ? GPA_EXECUTE : 0) |
                  ((flags & HV_MAP_GPA_NOT_CACHED) != 0 ? GPA_UNCACHED : 0);
    }
    return HV_STATUS_SUCCESS;
}

/* The GPA of one element: pages follow each other at their size. False: beyond any space. */
static bool element_address(const struct hypercall_context *call, uint64_t base_page, enum gpa_level level,
                            uint32_t element, gpa_t *address)
{
    uint64_t pages = level == GPA_LEVEL_2M ? PAGES_PER_LARGE_PAGE : 1;

    if (base_page >= PAGE_NUMBER_LIMIT) {
        return false;
    }
    *address = gpa_from_page(base_page + ((uint64_t)call->rep_first + element) * pages);
    return true;
}

/* Maps the elements of this entry, as far as the work allows. */
static hv_status_t map_elements(struct hypercall_context *call, struct gpa_batch *batch, enum gpa_level level,
                                uint32_t rights)
{
    const struct hv_input_map_gpa_pages *input = call->input;
    const uint64_t *pages = call->rep_input;

    while (call->reps_done < call->rep_count && batch->work < HC_WORK_MAX) {
        hv_status_t status = HV_STATUS_INVALID_PARAMETER;
        uint64_t page = rights != 0 ? pages[call->reps_done] : 0;
        gpa_t address;

        if (page < PAGE_NUMBER_LIMIT &&
            element_address(call, input->target_gpa_base, level, call->reps_done, &address)) {
            status = gpa_map(batch, address, level, spa_from_page(page), rights);
        }
        if (status != HV_STATUS_SUCCESS) {
            return status;
        }
        call->reps_done++;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t hc_map_gpa_pages(struct hypercall_context *call)
{
    const struct hv_input_map_gpa_pages *input = call->input;
    struct gpa_batch batch;
    struct hc_target target;
    uint32_t rights;
    hv_status_t status = rights_of(input->map_flags, &rights);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = hc_find_active_child(call, input->target_partition_id, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    gpa_batch_start(&batch, &target.partition->space);
    status = map_elements(call, &batch, (input->map_flags & HV_MAP_GPA_LARGE_PAGE) != 0 ? GPA_LEVEL_2M : GPA_LEVEL_4K,
                          rights);
    gpa_batch_finish(&batch);
    hc_put(&target);
    return status;
}

/* Unmaps the elements of this entry, as far as the work allows. */
static hv_status_t unmap_elements(struct hypercall_context *call, struct gpa_batch *batch)
{
    const struct hv_input_unmap_gpa_pages *input = call->input;
    enum gpa_level level = (input->unmap_flags & HV_UNMAP_GPA_LARGE_PAGE) != 0 ? GPA_LEVEL_2M : GPA_LEVEL_4K;

    while (call->reps_done < call->rep_count && batch->work < HC_WORK_MAX) {
        hv_status_t status = HV_STATUS_INVALID_PARAMETER;
        gpa_t address;

        if (element_address(call, input->target_gpa_base, level, call->reps_done, &address)) {
            status = gpa_unmap(batch, address, level);
        }
        if (status != HV_STATUS_SUCCESS) {
            return status;
        }
        call->reps_done++;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t hc_unmap_gpa_pages(struct hypercall_context *call)
{
    const struct hv_input_unmap_gpa_pages *input = call->input;
    struct gpa_batch batch;
    struct hc_target target;
    hv_status_t status;

    if ((input->unmap_flags & ~HV_UNMAP_GPA_LARGE_PAGE) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_active_child(call, input->target_partition_id, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    gpa_batch_start(&batch, &target.partition->space);
    status = unmap_elements(call, &batch);
    gpa_batch_finish(&batch);
    hc_put(&target);
    return status;
}

hv_status_t hc_get_gpa_pages_access_state(struct hypercall_context *call)
{
    const uint64_t known = HV_GPA_ACCESS_STATE_CLEAR_ACCESSED | HV_GPA_ACCESS_STATE_SET_ACCESSED |
                           HV_GPA_ACCESS_STATE_CLEAR_DIRTY | HV_GPA_ACCESS_STATE_SET_DIRTY;
    const struct hv_input_get_gpa_pages_access_state *input = call->input;
    uint8_t *states = call->output;
    struct gpa_batch batch;
    struct hc_target target;
    hv_status_t status;

    if ((input->flags & ~known) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = hc_find_active_child(call, input->partition_id, &target);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    gpa_batch_start(&batch, &target.partition->space);
    while (call->reps_done < call->rep_count && batch.work < HC_WORK_MAX) {
        gpa_t address;

        status = HV_STATUS_INVALID_PARAMETER;
        if (element_address(call, input->gpa_page_number, GPA_LEVEL_4K, call->reps_done, &address)) {
            status = gpa_access_state(&batch, address, input->flags, &states[call->reps_done]);
        }
        if (status != HV_STATUS_SUCCESS) {
            break;
        }
        call->reps_done++;
    }
    gpa_batch_finish(&batch);
    hc_put(&target);
    return status;
}
