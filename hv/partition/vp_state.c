/* SPDX-License-Identifier: MIT */
#include "hv/partition/vp_state.h"

#include <stddef.h>

#include "hv/mem/mem.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/deposit.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/partition.h"
#include "hv/partition/stats.h"
#include "hv/partition/vp_fpu.h"

/*
 * Pages of a VP that the root maps, and whole pieces of VP state. Not here: what is in the pieces (apic.c, synic.c,
 * vp_xsave.c), and what is written into the pages (intercept.c).
 */

static bool is_page_type(uint32_t type)
{
    return type == HV_VP_STATE_PAGE_REGISTERS || type == HV_VP_STATE_PAGE_INTERCEPT_MESSAGE;
}

static void *page_of(const struct vp *vp, uint32_t type)
{
    return type == HV_VP_STATE_PAGE_REGISTERS ? vp->register_page : vp->intercept_page;
}

/* Under the VP's lock: its run loop writes the pages under that. */
static void set_page(struct vp *vp, uint32_t type, void *page)
{
    spin_lock(&vp->lock);
    if (type == HV_VP_STATE_PAGE_REGISTERS) {
        vp->register_page = page;
    } else {
        vp->intercept_page = page;
    }
    spin_unlock(&vp->lock);
}

hv_status_t vp_state_map_page(struct vp *vp, uint32_t type, uint64_t *page)
{
    struct partition *partition = vp->partition;
    hv_status_t status = HV_STATUS_SUCCESS;
    void *memory;

    if (!is_page_type(type) || vp->is_root) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    spin_lock(&partition->lock);
    memory = page_of(vp, type);
    if (memory == NULL) {
        memory = part_page_alloc(partition);
        if (memory == NULL) {
            status = HV_STATUS_INSUFFICIENT_MEMORY;
        } else if (!part_page_share(memory)) {
            part_page_free(partition, memory);
            status = HV_STATUS_OPERATION_FAILED;
        } else {
            set_page(vp, type, memory);
        }
    }
    if (status == HV_STATUS_SUCCESS) {
        *page = spa_page(mem_to_spa(memory));
    }
    spin_unlock(&partition->lock);
    return status;
}

static void free_shared(struct partition *partition, void *page)
{
    if (page != NULL) {
        part_page_unshare(page);
        part_page_free(partition, page);
    }
}

hv_status_t vp_state_unmap_page(struct vp *vp, uint32_t type)
{
    struct partition *partition = vp->partition;
    void *page;

    if (!is_page_type(type) || vp->is_root) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    spin_lock(&partition->lock);
    page = page_of(vp, type);
    set_page(vp, type, NULL);
    spin_unlock(&partition->lock);
    if (page == NULL) {
        return HV_STATUS_NOT_FOUND;
    }
    free_shared(partition, page);
    return HV_STATUS_SUCCESS;
}

void vp_state_destroy(struct vp *vp)
{
    free_shared(vp->partition, vp->register_page);
    free_shared(vp->partition, vp->intercept_page);
    stats_free_page(vp->stats_page);
    vp->register_page = NULL;
    vp->intercept_page = NULL;
    vp->stats_page = NULL;
}

static bool write_page(struct partition *caller, uint64_t page, const void *from, size_t size)
{
    return page <= UINT64_MAX >> PAGE_SHIFT && gpa_write(caller, gpa_from_page(page), from, size);
}

static bool read_page(struct partition *caller, uint64_t page, void *to, size_t size)
{
    return page <= UINT64_MAX >> PAGE_SHIFT && gpa_read(caller, gpa_from_page(page), to, size);
}

static hv_status_t get_xsave(struct vp *vp, struct partition *caller, uint64_t states, uint64_t page)
{
    void *scratch = part_page_alloc(vp->partition);
    bool is_written;

    if (scratch == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    vp_save_fpu(vp);
    vp_fpu_get_compacted(vp, states, scratch);
    is_written = write_page(caller, page, scratch, PAGE_SIZE);
    part_page_free(vp->partition, scratch);
    return is_written ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_ALIGNMENT;
}

static hv_status_t set_xsave(struct vp *vp, struct partition *caller, uint64_t states, uint64_t page)
{
    void *scratch = part_page_alloc(vp->partition);
    hv_status_t status = HV_STATUS_INVALID_ALIGNMENT;

    if (scratch == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    if (read_page(caller, page, scratch, PAGE_SIZE)) {
        vp_save_fpu(vp);
        status = vp_fpu_set_compacted(vp, states, scratch);
    }
    part_page_free(vp->partition, scratch);
    return status;
}

hv_status_t vp_state_get(struct vp *vp, struct partition *caller, const struct hv_input_vp_state *input,
                         const uint64_t *pages, uint32_t page_count)
{
    struct hv_x64_interrupt_controller_state lapic = {0};
    bool is_written;

    if (page_count == 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    switch (input->type) {
    case HV_GET_SET_VP_STATE_LAPIC_STATE:
        apic_get_state(vp, &lapic);
        is_written = write_page(caller, pages[0], &lapic, sizeof(lapic));
        break;
    case HV_GET_SET_VP_STATE_XSAVE:
        return get_xsave(vp, caller, input->xsave_states, pages[0]);
    case HV_GET_SET_VP_STATE_SIM_PAGE:
        is_written = write_page(caller, pages[0], vp->synic.message_page.page, PAGE_SIZE);
        break;
    case HV_GET_SET_VP_STATE_SIEF_PAGE:
        is_written = write_page(caller, pages[0], vp->synic.event_page.page, PAGE_SIZE);
        break;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
    return is_written ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_ALIGNMENT;
}

hv_status_t vp_state_set(struct vp *vp, struct partition *caller, const struct hv_input_vp_state *input,
                         const uint64_t *pages, uint32_t page_count)
{
    struct hv_x64_interrupt_controller_state lapic;
    bool is_read;

    if (page_count == 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    switch (input->type) {
    case HV_GET_SET_VP_STATE_LAPIC_STATE:
        is_read = read_page(caller, pages[0], &lapic, sizeof(lapic));
        if (is_read) {
            return apic_set_state(vp, &lapic);
        }
        break;
    case HV_GET_SET_VP_STATE_XSAVE:
        return set_xsave(vp, caller, input->xsave_states, pages[0]);
    case HV_GET_SET_VP_STATE_SIM_PAGE:
        is_read = read_page(caller, pages[0], vp->synic.message_page.page, PAGE_SIZE);
        break;
    case HV_GET_SET_VP_STATE_SIEF_PAGE:
        is_read = read_page(caller, pages[0], vp->synic.event_page.page, PAGE_SIZE);
        break;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
    return is_read ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_ALIGNMENT;
}
