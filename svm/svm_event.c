/* SPDX-License-Identifier: MIT */
/*
 * Events: turns what common code wants delivered into EVENTINJ or an interrupt window, and what an exit interrupted
 * back into the VP's pending interruption. Which event comes first is common code's decision (vp_next_event). APM vol.
 * 2, Event Injection.
 */
#include "svm/svm.h"

#include "hv/debug/trace.h"
#include "hv/lib/x86/x86_regs.h"

/* The first try is 50 microseconds: time for an instruction, not much for an interrupt. */
#define SHADOWS_PER_SECOND_MAX 20000u

static uint64_t event_from_interruption(uint64_t interruption)
{
    uint32_t type = hv_pending_interruption_type(interruption);
    uint64_t event = VMCB_EVENT_VALID | (hv_pending_interruption_vector(interruption) & VMCB_EVENT_VECTOR_MASK);

    switch (type) {
    case HV_X64_PENDING_INTERRUPT:
        break;
    case HV_X64_PENDING_NMI:
        event |= (uint64_t)VMCB_EVENT_NMI << VMCB_EVENT_TYPE_SHIFT;
        break;
    case HV_X64_PENDING_SOFTWARE_INTERRUPT:
        event |= (uint64_t)VMCB_EVENT_SOFTWARE << VMCB_EVENT_TYPE_SHIFT;
        break;
    default:
        event |= (uint64_t)VMCB_EVENT_EXCEPTION << VMCB_EVENT_TYPE_SHIFT;
        break;
    }
    if (interruption & HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE) {
        event |= VMCB_EVENT_ERROR_VALID | (uint64_t)hv_pending_interruption_error_code(interruption)
                                              << VMCB_EVENT_ERROR_SHIFT;
    }
    return event;
}

static void open_interrupt_window(struct vmcb *vmcb, uint8_t priority)
{
    uint64_t control = vmcb->interrupt_control & ~(VMCB_INT_PRIORITY_MASK | VMCB_INT_VECTOR_MASK);

    /* The virtual interrupt is never delivered: its intercept fires at the point where it could be. */
    vmcb->interrupt_control = control | VMCB_INT_IRQ | ((uint64_t)priority << VMCB_INT_PRIORITY_SHIFT);
    vmcb->intercept_misc1 |= VMCB_MISC1_VINTR;
}

static void close_interrupt_window(struct vmcb *vmcb)
{
    vmcb->interrupt_control &= ~(VMCB_INT_IRQ | VMCB_INT_IGNORE_TPR);
    vmcb->intercept_misc1 &= ~VMCB_MISC1_VINTR;
    vmcb->intercept_cr_write &= (uint16_t)~VMCB_CR_WRITE_CR8;
}

/*
 * Only on QEMU's software CPU, which keeps the vector of an interrupt injected through EVENTINJ and may deliver it a
 * second time, whatever the guest's interrupt flag says by then. Since the flag is set and there is no shadow, the
 * processor takes a virtual interrupt before the first instruction. APM vol. 2, Virtual Interrupts.
 */
static void inject_virtually(struct vmcb *vmcb, uint32_t vector)
{
    uint64_t control = vmcb->interrupt_control & ~(VMCB_INT_PRIORITY_MASK | VMCB_INT_VECTOR_MASK);

    vmcb->interrupt_control =
        control | VMCB_INT_IRQ | VMCB_INT_IGNORE_TPR | ((uint64_t)vector << VMCB_INT_VECTOR_SHIFT);
}

/* What matters is the exit. */
static void shadow_fired(struct timer *timer)
{
    (void)timer;
}

void svm_init_events(struct svm_vp *own)
{
    timer_init(&own->shadow_timer, shadow_fired);
}

/*
 * VMRUN of QEMU's software CPU forgets the shadow of STI: an interrupt would come right behind it, and the HLT that
 * follows would sleep through it. So no window is opened in a shadow; it ends with the next instruction, and if that
 * does not exit, a timer does. If that comes before the instruction, which then has not moved RIP, it is tried again,
 * with more time; whatever the VMCB says of the shadow, but not for ever, since a jump may lead to itself.
 */
static void keep_shadow(struct vp *vp, bool has_interrupt)
{
    struct svm_vp *own = svm_of(vp);

    if (own->shadow_rip != vp->regs.rip) {
        own->shadow_rip = vp->regs.rip;
        own->shadow_tries = 0;
    }
    if (has_interrupt) {
        timer_arm(&own->shadow_timer, time_tsc() + (time_tsc_hz() / SHADOWS_PER_SECOND_MAX << own->shadow_tries));
    }
    own->shadow_tries += own->shadow_tries < SVM_SHADOW_TRIES_MAX ? 1 : 0;
}

/* What a software interrupt pushes is the next instruction's address where the processor knows that, else RIP. */
static void inject_software(struct vp *vp, uint64_t interruption)
{
    struct svm_vp *own = svm_of(vp);

    own->software_event = interruption;
    own->software_rip = vp->regs.rip;
    own->vmcb->next_rip = vp->regs.rip + hv_pending_interruption_insn_length(interruption);
    if (!svm_has_next_rip) {
        vp->regs.rip = own->vmcb->next_rip;
    }
}

void svm_put_events(struct vp *vp)
{
    struct svm_vp *own = svm_of(vp);
    struct vmcb *vmcb = own->vmcb;
    struct vp_event event = vp_next_event(vp);
    uint32_t type = hv_pending_interruption_type(event.interruption);
    uint32_t vector = hv_pending_interruption_vector(event.interruption);

    own->has_event = event.inject || event.want_interrupt_window || vp->interrupt_shadow;
    vmcb->event_injection = 0;
    own->injects_interrupt = false;
    own->software_event = 0;
    close_interrupt_window(vmcb);
    if (svm_interrupts_are_virtual && event.inject && type == HV_X64_PENDING_INTERRUPT &&
        (vp->regs.rflags & X86_RFLAGS_IF) && !vp->interrupt_shadow) {
        inject_virtually(vmcb, vector);
        own->injects_interrupt = true;
    } else if (event.inject) {
        vmcb->event_injection = event_from_interruption(event.interruption);
        if (type == HV_X64_PENDING_NMI) {
            vp->nmi_masked = true;
            vmcb->intercept_misc1 |= VMCB_MISC1_IRET;
        } else if (type == HV_X64_PENDING_SOFTWARE_INTERRUPT) {
            inject_software(vp, event.interruption);
        }
    }
    if (vp->interrupt_shadow && (vp->regs.rflags & X86_RFLAGS_IF)) {
        keep_shadow(vp, event.want_interrupt_window);
        return;
    }
    own->shadow_tries = 0;
    if (!event.want_interrupt_window) {
        return;
    }
    if (own->injects_interrupt) {
        /* There is one virtual interrupt; the next one's turn is at the EOI, which exits, or at the end of the handler.
         */
        vmcb->intercept_misc1 |= VMCB_MISC1_IRET;
    } else if (event.window_priority > apic_tpr(vp) >> 4) {
        open_interrupt_window(vmcb, event.window_priority);
    } else {
        /* The task priority holds it back: what ends that is the next write to CR8, or an APIC access, which exits
         * anyway. */
        vmcb->intercept_cr_write |= VMCB_CR_WRITE_CR8;
    }
}

void svm_take_events(struct vp *vp)
{
    struct svm_vp *own = svm_of(vp);
    uint64_t info = own->vmcb->exit_interrupt_info;

    if (own->injects_interrupt && (own->vmcb->interrupt_control & VMCB_INT_IRQ) && !(info & VMCB_EVENT_VALID)) {
        /* Guest mode ended before the processor took it. */
        vp->pending_interruption = hv_pending_interruption(
            HV_X64_PENDING_INTERRUPT,
            (uint32_t)((own->vmcb->interrupt_control & VMCB_INT_VECTOR_MASK) >> VMCB_INT_VECTOR_SHIFT));
    }
    /* The mask of an NMI handler ends when its IRET has completed, which is known once RIP has moved on. */
    if (own->awaits_iret && vp->regs.rip != own->iret_rip) {
        own->awaits_iret = false;
        vp->nmi_masked = false;
    }
    if (!(info & VMCB_EVENT_VALID)) {
        return;
    }
    uint32_t vector = (uint32_t)(info & VMCB_EVENT_VECTOR_MASK);
    enum vmcb_event_type type = (enum vmcb_event_type)((info & VMCB_EVENT_TYPE_MASK) >> VMCB_EVENT_TYPE_SHIFT);

    switch (type) {
    case VMCB_EVENT_INTERRUPT:
        vp->pending_interruption = hv_pending_interruption(HV_X64_PENDING_INTERRUPT, vector);
        break;
    case VMCB_EVENT_NMI:
        vp->pending_interruption = hv_pending_interruption(HV_X64_PENDING_NMI, X86_VECTOR_NMI);
        vp->nmi_masked = false;
        break;
    case VMCB_EVENT_EXCEPTION:
        if (vector >= X86_VECTOR_EXCEPTION_COUNT) {
            /* QEMU's software CPU calls every event an exception that was not injected as something else. */
            vp->pending_interruption = hv_pending_interruption(HV_X64_PENDING_INTERRUPT, vector);
            break;
        }
        if (vector == X86_VECTOR_BP || vector == X86_VECTOR_OF) {
            break; /* RIP is still at INT3 or INTO: it executes again */
        }
        vp->pending_interruption = hv_pending_interruption(HV_X64_PENDING_EXCEPTION, vector);
        if (info & VMCB_EVENT_ERROR_VALID) {
            vp->pending_interruption |= HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE |
                                        (info >> VMCB_EVENT_ERROR_SHIFT) << HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT;
        }
        break;
    case VMCB_EVENT_SOFTWARE:
        if (own->software_event != 0) {
            vp->pending_interruption = own->software_event;
            vp->regs.rip = own->software_rip;
        }
        break; /* else RIP is still at the guest's INT n: it executes again */
    }
}
