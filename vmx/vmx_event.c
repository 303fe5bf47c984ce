/* SPDX-License-Identifier: MIT */
/*
 * Events: turns what common code wants delivered into VM-entry interruption information or a window, and what an exit
 * interrupted back into the VP's pending interruption. Which event comes first is common code's decision
 * (vp_next_event). SDM vol. 3, VM-Entry Controls for Event Injection; Information for VM Exits That Occur During Event
 * Delivery.
 */
#include "vmx/vmx.h"

static uint32_t type_of(uint64_t interruption)
{
    switch (hv_pending_interruption_type(interruption)) {
    case HV_X64_PENDING_INTERRUPT:
        return VMX_EVENT_INTERRUPT;
    case HV_X64_PENDING_NMI:
        return VMX_EVENT_NMI;
    case HV_X64_PENDING_SOFTWARE_INTERRUPT:
        return VMX_EVENT_SOFTWARE;
    default:
        return VMX_EVENT_EXCEPTION;
    }
}

static void inject(struct vp *vp, uint64_t interruption)
{
    uint32_t vector = hv_pending_interruption_vector(interruption) & VMX_EVENT_VECTOR_MASK;
    uint32_t type = type_of(interruption);
    uint32_t event = VMX_EVENT_VALID | type << VMX_EVENT_TYPE_SHIFT | vector;

    /* The processor insists that an error code comes with just these, and with none in real mode. */
    if (type == VMX_EVENT_EXCEPTION && vector < X86_VECTOR_EXCEPTION_COUNT &&
        ((VMX_VECTORS_WITH_ERROR >> vector) & 1u) && (vmcs_read(VMCS_GUEST_CR0) & X86_CR0_PE)) {
        event |= VMX_EVENT_ERROR_VALID;
        vmcs_write(VMCS_ENTRY_EVENT_ERROR, hv_pending_interruption_error_code(interruption));
    }
    if (type == VMX_EVENT_NMI) {
        vp->nmi_masked = false; /* the processor blocks further ones itself, and insists on doing so */
    }
    if (type == VMX_EVENT_SOFTWARE) {
        uint32_t length = hv_pending_interruption_insn_length(interruption);

        /* What is pushed is RIP plus the length, which must not be zero everywhere. */
        vp->regs.rip -= length == 0 ? 1 : 0;
        vmcs_write(VMCS_ENTRY_INSN_LENGTH, length == 0 ? 1 : length);
        vmx_of(vp)->software_event = interruption;
    }
    vmcs_write(VMCS_ENTRY_EVENT, event);
}

static void set_windows(struct vmx_vp *own, uint32_t windows)
{
    uint32_t controls = (own->cpu_controls & ~(VMX_CPU_INTERRUPT_WINDOW | VMX_CPU_NMI_WINDOW)) | windows;

    if (controls != own->cpu_controls) {
        own->cpu_controls = controls;
        vmcs_write(VMCS_CPU_CONTROLS, controls);
    }
}

static void set_tpr_threshold(struct vmx_vp *own, uint32_t threshold)
{
    if (threshold != own->tpr_threshold) {
        own->tpr_threshold = threshold;
        vmcs_write(VMCS_TPR_THRESHOLD, threshold);
    }
}

void vmx_put_events(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);
    struct vp_event event = vp_next_event(vp);
    uint32_t windows = 0;
    uint32_t threshold = 0;

    if (event.want_nmi_window) {
        /* Processors may open the NMI window in the shadow of STI, where an NMI is held back: wait for its end. */
        windows = own->blocked & VMX_BLOCKED_STI ? VMX_CPU_INTERRUPT_WINDOW : VMX_CPU_NMI_WINDOW;
    }
    own->software_event = 0;
    own->has_event = event.inject || event.want_interrupt_window || event.want_nmi_window;
    if (event.inject) {
        inject(vp, event.interruption);
    }
    if (event.want_interrupt_window && event.window_priority > apic_tpr(vp) >> 4) {
        windows |= VMX_CPU_INTERRUPT_WINDOW;
    } else if (event.want_interrupt_window) {
        threshold = event.window_priority; /* an exit when the task priority's class falls below it */
    }
    set_windows(own, windows);
    set_tpr_threshold(own, threshold);
}

void vmx_collect_event(struct vp *vp)
{
    uint64_t software_event = vmx_of(vp)->software_event;
    uint32_t info = (uint32_t)vmcs_read(VMCS_VECTORING_EVENT);
    uint32_t vector = info & VMX_EVENT_VECTOR_MASK;

    if (!(info & VMX_EVENT_VALID)) {
        return;
    }
    switch ((enum vmx_event_type)((info & VMX_EVENT_TYPE_MASK) >> VMX_EVENT_TYPE_SHIFT)) {
    case VMX_EVENT_INTERRUPT:
        vp->pending_interruption = hv_pending_interruption(HV_X64_PENDING_INTERRUPT, vector);
        break;
    case VMX_EVENT_NMI:
        vp->pending_interruption = hv_pending_interruption(HV_X64_PENDING_NMI, X86_VECTOR_NMI);
        vp_read_state(vp, VP_UNREAD_BLOCKING);
        vp->nmi_masked = false;
        break;
    case VMX_EVENT_EXCEPTION:
        vp->pending_interruption = hv_pending_interruption(HV_X64_PENDING_EXCEPTION, vector);
        if (info & VMX_EVENT_ERROR_VALID) {
            vp->pending_interruption |= HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE |
                                        vmcs_read(VMCS_VECTORING_ERROR) << HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT;
        }
        break;
    case VMX_EVENT_SOFTWARE:
        if (software_event != 0) {
            vp->pending_interruption = software_event;
            vp->regs.rip += hv_pending_interruption_insn_length(software_event) == 0 ? 1 : 0;
        }
        break; /* the guest's own: as below */
    case VMX_EVENT_PRIVILEGED_SOFTWARE:
    case VMX_EVENT_SOFTWARE_EXCEPTION:
    case VMX_EVENT_OTHER:
        break; /* RIP is still at the instruction: it executes again */
    }
}
