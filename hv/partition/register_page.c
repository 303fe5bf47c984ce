/* SPDX-License-Identifier: MIT */
#include "hv/partition/register_page.h"

#include "hv/abi/hv_partition.h"
#include "hv/lib/str.h"
#include "hv/partition/vp.h"
#include "hv/partition/vp_fpu.h"

/*
 * Copies between a VP and its register page. The root writes the page whenever it likes: it is copied once before a
 * value is used, and only then. Not here: the page itself (vp_state.c), registers by name (vp_regs.c).
 */

#define XMM_COUNT     ARRAY_SIZE(((struct hv_vp_register_page *)0)->xmm_registers)
#define SEGMENT_COUNT ARRAY_SIZE(((struct hv_vp_register_page *)0)->segment_registers)

/* CR8 is the upper half of the task priority. */
#define CR8_SHIFT 4

static uint64_t get64(struct vp *vp, uint32_t name)
{
    union hv_register_value value = {0};

    return vp_get_register(vp, name, &value) == HV_STATUS_SUCCESS ? value.reg64 : 0;
}

void register_page_store(struct vp *vp)
{
    struct hv_vp_register_page *page = vp->register_page;
    struct vp_paging_state paging;
    union hv_register_value value;

    if (page == NULL) {
        return;
    }
    vp_read_state(vp, VP_UNREAD_RSP);
    memcpy(page->gp_registers, vp->regs.gpr, sizeof(page->gp_registers));
    page->rip = vp->regs.rip;
    page->rflags = vp->regs.rflags;
    for (uint32_t i = 0; i < XMM_COUNT; i++) {
        if (vp_fpu_get_register(vp, HvX64RegisterXmm0 + i, &value) == HV_STATUS_SUCCESS) {
            page->xmm_registers[i] = value.reg128;
        }
    }
    for (uint32_t i = 0; i < SEGMENT_COUNT; i++) {
        if (backend->get_register(vp, HvX64RegisterEs + i, &value) == HV_STATUS_SUCCESS) {
            page->segment_registers[i] = value.segment;
        }
    }
    /* Not each by its name: this is done at every intercept. */
    backend->get_paging(vp, &paging);
    page->cr0 = paging.cr0;
    page->cr3 = paging.cr3;
    page->cr4 = paging.cr4;
    page->efer = paging.efer;
    page->cr8 = apic_tpr(vp) >> CR8_SHIFT;
    page->dr7 = backend->get_register(vp, HvX64RegisterDr7, &value) == HV_STATUS_SUCCESS ? value.reg64 : 0;
    page->pending_interruption = vp->pending_interruption;
    page->interrupt_state = get64(vp, HvRegisterInterruptState);
    page->xfem = vp->xcr0;
    page->version = HV_VP_REGISTER_PAGE_VERSION_1;
    page->dirty = 0;
    WRITE_ONCE(page->is_valid, 1);
}

void register_page_load(struct vp *vp)
{
    struct hv_vp_register_page *page = vp->register_page;
    union hv_register_value value = {0};
    uint32_t dirty;

    if (page == NULL || !READ_ONCE(page->is_valid)) {
        return;
    }
    dirty = READ_ONCE(page->dirty);
    if (dirty & HV_X64_REGISTER_CLASS_GENERAL) {
        vp_read_state(vp, VP_UNREAD_RSP);
        memcpy(vp->regs.gpr, page->gp_registers, sizeof(vp->regs.gpr));
    }
    if (dirty & HV_X64_REGISTER_CLASS_IP) {
        vp->regs.rip = READ_ONCE(page->rip);
        vp_read_state(vp, VP_UNREAD_BLOCKING);
        vp->interrupt_shadow = false;
    }
    if (dirty & HV_X64_REGISTER_CLASS_FLAGS) {
        vp->regs.rflags = (READ_ONCE(page->rflags) & X86_RFLAGS_DEFINED) | X86_RFLAGS_FIXED;
    }
    for (uint32_t i = 0; (dirty & HV_X64_REGISTER_CLASS_XMM) && i < XMM_COUNT; i++) {
        memcpy(&value, &page->xmm_registers[i], sizeof(value));
        (void)!vp_fpu_set_register(vp, HvX64RegisterXmm0 + i, &value); /* any 128 bits are an XMM value */
    }
    for (uint32_t i = 0; (dirty & HV_X64_REGISTER_CLASS_SEGMENT) && i < SEGMENT_COUNT; i++) {
        memcpy(&value, &page->segment_registers[i], sizeof(value));
        (void)backend->set_register(vp, HvX64RegisterEs + i, &value);
    }
    page->dirty = 0;
    WRITE_ONCE(page->is_valid, 0);
}
