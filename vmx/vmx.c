/* SPDX-License-Identifier: MIT */
/*
 * VT-x backend: per-processor set-up, making and freeing the backend's part of a VP, and the table that common code
 * calls. Running, exits, events and registers are in the other files. SDM vol. 3, Introduction to Virtual Machine
 * Extensions.
 */
#include "vmx/vmx.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/safe.h"
#include "hv/debug/debug.h"
#include "hv/mem/mem.h"
#include "vmx/vmx_insn.h"

static bool vmx_init(void)
{
    return vmx_bitmap_init();
}

/* A page for VMXON or a VMCS: it begins with the revision. */
static void set_revision(void *region)
{
    *(uint32_t *)region = (uint32_t)(vmx_limits.basic & VMX_BASIC_REVISION_MASK);
}

static bool vmx_enable_processor(void)
{
    struct cpu *cpu = cpu_this();
    struct vmx_cpu *own = page_alloc();
    void *region = page_alloc();
    uint64_t control;

    if (own == NULL || region == NULL) {
        log_line("processor %u: no memory for VT-x", cpu->index);
        return false;
    }
    if (vmx_is_locked_off()) {
        log_line("processor %u: VT-x is disabled by the firmware", cpu->index);
        return false;
    }
    if (msr_read_safe(X86_MSR_INTEL_FEATURE_CONTROL, &control) && !(control & X86_FEATURE_CONTROL_LOCK)) {
        wrmsr(X86_MSR_INTEL_FEATURE_CONTROL, control | X86_FEATURE_CONTROL_VMX_OUTSIDE_SMX | X86_FEATURE_CONTROL_LOCK);
    }
    own->next_vpid = 1;
    own->vpid_epoch = 1;
    vmx_read_msrs(own);
    set_revision(region);
    write_cr0(read_cr0() | vmx_limits.cr0_must);
    write_cr4(read_cr4() | vmx_limits.cr4_must);
    if (!vmx_vmxon(mem_to_spa(region))) {
        log_line("processor %u: VMXON was refused", cpu->index);
        return false;
    }
    if (vmx_limits.cpu2.may & VMX_CPU2_VPID) {
        vmx_invvpid(VMX_INVVPID_ALL, 0, 0);
    }
    cpu->backend = own;
    return true;
}

static void free_pages(struct vp *vp, struct vmx_vp *own)
{
    if (own != NULL) {
        vp_page_free(vp, own->apic_page);
        vp_page_free(vp, own->vmcs);
        vp_page_free(vp, own);
    }
}

static hv_status_t vmx_vp_create(struct vp *vp)
{
    struct vmx_vp *own = vp_page_alloc(vp);

    if (own == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    own->vmcs = vp_page_alloc(vp);
    own->apic_page = vp_page_alloc(vp);
    if (own->vmcs == NULL || own->apic_page == NULL) {
        free_pages(vp, own);
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    vp->backend = own;
    spin_init(&own->flush_lock, LOCK_RANK_FLUSH, "flush");
    set_revision(own->vmcs);
    vmx_vmclear(mem_to_spa(own->vmcs));
    vmcs_init_controls(vp);
    return HV_STATUS_SUCCESS;
}

static void vmx_vp_destroy(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);

    if (own != NULL) {
        vmx_vp_put(vp);
        free_pages(vp, own);
        vp->backend = NULL;
    }
}

const struct cpu_backend vmx_backend = {
    .name = "VT-x",
    .gpa_format = &vmx_gpa_format,
    .features = &vmx_features,
    .hypercall_instruction = {0x0f, 0x01, 0xc1}, /* VMCALL */
    .hypercall_op = X86_OP_VMCALL,
    .processor_vendor = HV_PROCESSOR_VENDOR_INTEL,
    .state_msrs = &vmx_state_msrs,
    .child_msrs = &vmx_child_msrs,
    .root_msrs = &vmx_root_msrs,
    .stored_msr_reset = VMX_MISC_ENABLE_RESET,
    .probe = vmx_probe,
    .init = vmx_init,
    .enable_processor = vmx_enable_processor,
    .vp_create = vmx_vp_create,
    .vp_destroy = vmx_vp_destroy,
    .vp_put = vmx_vp_put,
    .vp_reset = vmx_vp_reset,
    .vp_run = vmx_vp_run,
    .get_register = vmx_get_register,
    .set_register = vmx_set_register,
    .read_state = vmx_read_state,
    .get_paging = vmx_get_paging,
    .get_code_mode = vmx_get_code_mode,
    .is_code_state = vmx_is_code_state,
    .note_flush = vmx_note_flush,
    .guest_tsc = vmx_guest_tsc,
    .intercepts_changed = vmx_intercepts_changed,
};
