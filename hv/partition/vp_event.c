/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/partition/intercept.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"

/*
 * What is delivered to a VP at its next entry: the one event that waits in pending_interruption, NMIs, and the virtual
 * APIC's interrupts; and how exceptions merge. Not here: the APIC's own rules (apic.c), the injection itself (the
 * backend).
 */

enum exception_class {
    EXCEPTION_BENIGN,
    EXCEPTION_CONTRIBUTORY,
    EXCEPTION_PAGE_FAULT,
    EXCEPTION_DOUBLE_FAULT,
};

/* APM vol. 2, Double-Fault Exception; SDM vol. 3, Interrupt 8. */
static enum exception_class class_of(uint32_t vector)
{
    switch (vector) {
    case X86_VECTOR_DE:
    case X86_VECTOR_TS:
    case X86_VECTOR_NP:
    case X86_VECTOR_SS:
    case X86_VECTOR_GP:
        return EXCEPTION_CONTRIBUTORY;
    case X86_VECTOR_PF:
        return EXCEPTION_PAGE_FAULT;
    case X86_VECTOR_DF:
        return EXCEPTION_DOUBLE_FAULT;
    default:
        return EXCEPTION_BENIGN;
    }
}

static uint64_t exception_event(uint8_t vector, bool has_error, uint32_t error)
{
    uint64_t event = hv_pending_interruption(HV_X64_PENDING_EXCEPTION, vector);

    if (has_error) {
        event |=
            HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE | ((uint64_t)error << HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT);
    }
    return event;
}

void vp_inject_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error)
{
    uint64_t former = vp->pending_interruption;
    enum exception_class first = EXCEPTION_BENIGN;
    enum exception_class second = class_of(vector);

    if ((former & HV_PENDING_INTERRUPTION_PENDING) != 0 &&
        hv_pending_interruption_type(former) == HV_X64_PENDING_EXCEPTION) {
        first = class_of(hv_pending_interruption_vector(former));
    }
    trace(TRACE_INJECT, vp->trace_id, vector, HV_X64_PENDING_EXCEPTION);
    if (first == EXCEPTION_DOUBLE_FAULT && second != EXCEPTION_BENIGN) {
        if (vp->is_root) {
            panic("triple fault of root VP %u at rip 0x%llx", vp->index, (unsigned long long)vp->regs.rip);
        }
        intercept_unrecoverable(vp);
        (void)atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_SUSPEND, memory_order_seq_cst);
        return;
    }
    if ((first == EXCEPTION_CONTRIBUTORY && second == EXCEPTION_CONTRIBUTORY) ||
        (first == EXCEPTION_PAGE_FAULT && second != EXCEPTION_BENIGN)) {
        vp->pending_interruption = exception_event(X86_VECTOR_DF, true, 0);
        return;
    }
    vp->pending_interruption = exception_event(vector, has_error, error);
}

void vp_inject_page_fault(struct vp *vp, uint64_t address, uint32_t error)
{
    union hv_register_value cr2 = {0};
    hv_status_t status;

    cr2.reg64 = address;
    status = backend->set_register(vp, HvX64RegisterCr2, &cr2);
    ASSERT(status == HV_STATUS_SUCCESS);
    vp_inject_exception(vp, X86_VECTOR_PF, true, error);
}

/* An NMI can be taken now: none is being handled, and no shadow. */
static bool take_nmi(struct vp *vp)
{
    if ((atomic_load_explicit(&vp->requests, memory_order_relaxed) & VP_REQUEST_NMI) == 0 || vp->nmi_masked ||
        vp->interrupt_shadow) {
        return false;
    }
    (void)atomic_fetch_and_explicit(&vp->requests, ~VP_REQUEST_NMI, memory_order_seq_cst);
    vp->nmi_masked = true;
    return true;
}

struct vp_event vp_next_event(struct vp *vp)
{
    struct vp_event event = {0};
    int vector;

    vp_read_state(vp, VP_UNREAD_BLOCKING);
    /* Cleared before the APIC is looked at: what comes later sets it again. */
    (void)atomic_fetch_and_explicit(&vp->requests, ~VP_REQUEST_INTERRUPT, memory_order_seq_cst);
    if ((vp->pending_interruption & HV_PENDING_INTERRUPTION_PENDING) != 0) {
        event.inject = true;
        event.interruption = vp->pending_interruption;
        vp->pending_interruption = 0;
    } else if (take_nmi(vp)) {
        event.inject = true;
        event.interruption = hv_pending_interruption(HV_X64_PENDING_NMI, X86_VECTOR_NMI);
    }
    event.want_nmi_window = (atomic_load_explicit(&vp->requests, memory_order_relaxed) & VP_REQUEST_NMI) != 0;

    vector = apic_pending_vector(vp);
    if (vector >= 0 && !event.inject && (vp->regs.rflags & X86_RFLAGS_IF) != 0 && !vp->interrupt_shadow) {
        apic_accept(vp, (uint8_t)vector);
        event.inject = true;
        event.interruption = hv_pending_interruption(HV_X64_PENDING_INTERRUPT, (uint32_t)vector);
        vector = apic_pending_vector(vp);
    }
    if (vector < 0) {
        vector = apic_blocked_vector(vp);
    }
    if (vector >= 0) {
        event.want_interrupt_window = true;
        event.window_priority = (uint8_t)((uint32_t)vector >> 4);
    }
    if (event.inject) {
        trace(TRACE_INJECT, vp->trace_id, hv_pending_interruption_vector(event.interruption),
              hv_pending_interruption_type(event.interruption));
    }
    return event;
}

/* Sets and clears bits of a debug register; returns what it holds then. */
static uint64_t change_debug_register(struct vp *vp, uint32_t name, uint64_t set, uint64_t clear)
{
    union hv_register_value value;
    hv_status_t status = backend->get_register(vp, name, &value);

    ASSERT(status == HV_STATUS_SUCCESS);
    value.reg64 = (value.reg64 | set) & ~clear;
    status = backend->set_register(vp, name, &value);
    ASSERT(status == HV_STATUS_SUCCESS);
    return value.reg64;
}

void vp_trap_single_step(struct vp *vp)
{
    uint64_t dr6 = change_debug_register(vp, HvX64RegisterDr6, X86_DR6_BS, 0);

    /* Any debug exception ends the guard of the debug registers. */
    (void)change_debug_register(vp, HvX64RegisterDr7, 0, X86_DR7_GD);
    if ((vp_exception_intercepts(vp) & 1u << X86_VECTOR_DB) == 0) {
        vp_inject_exception(vp, X86_VECTOR_DB, false, 0);
        return;
    }
    intercept_exception(vp, X86_VECTOR_DB, false, 0, dr6);
    (void)atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_SUSPEND, memory_order_seq_cst);
}

uint64_t vp_wrapped_rip(struct vp *vp, uint64_t rip)
{
    return vp_is_long_mode(vp) ? rip : (uint32_t)rip;
}
