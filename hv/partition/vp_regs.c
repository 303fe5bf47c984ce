/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/cpu/cpu.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/msr.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"
#include "hv/partition/vp_fpu.h"

/*
 * Registers of a VP by ABI name: who keeps which. Not here: those of the backend (svm_regs.c, vmx_regs.c), MSRs
 * (msr.c), extended state (vp_xsave.c), and who may ask (hypercall/hc_register.c).
 */

#define APIC_REGISTER_SHIFT 4
#define CPUID_VALUE_SHIFT   32

bool vp_register_needs_claim(uint32_t name)
{
    switch (name) {
    case HvRegisterExplicitSuspend:
    case HvRegisterInterceptSuspend:
    case HvRegisterDispatchSuspend:
    case HvRegisterVpRootSignalCount:
    case HvRegisterVpIndex:
        return false;
    default:
        return true;
    }
}

static bool is_general(uint32_t name)
{
    return name >= HvX64RegisterRax && name <= HvX64RegisterR15;
}

static bool is_extended(uint32_t name)
{
    return name >= HvX64RegisterXmm0 && name <= HvX64RegisterXmmControlStatus;
}

static bool is_apic(uint32_t name)
{
    return name >= HvX64RegisterApicFirst && name <= HvX64RegisterApicLast;
}

/* The hypervisor's CPUID leaf that a register shows, or 0. */
static uint32_t cpuid_leaf(uint32_t name)
{
    switch (name) {
    case HvRegisterHypervisorVersion:
        return HV_CPUID_VERSION;
    case HvRegisterPrivilegesAndFeaturesInfo:
        return HV_CPUID_FEATURES;
    case HvRegisterFeaturesInfo:
        return HV_CPUID_ENLIGHTENMENT_INFO;
    case HvRegisterImplementationLimitsInfo:
        return HV_CPUID_IMPLEMENT_LIMITS;
    case HvRegisterHardwareFeaturesInfo:
        return HV_CPUID_HARDWARE_FEATURES;
    default:
        return 0;
    }
}

static void get_cpuid_register(struct vp *vp, uint32_t leaf, union hv_register_value *value)
{
    uint32_t out[CPUID_REGISTER_COUNT];

    cpuid_query(vp, leaf, 0, out);
    value->reg128.low_part = out[CPUID_EAX] | ((uint64_t)out[CPUID_EBX] << CPUID_VALUE_SHIFT);
    value->reg128.high_part = out[CPUID_ECX] | ((uint64_t)out[CPUID_EDX] << CPUID_VALUE_SHIFT);
}

static uint64_t activity_bits(const struct vp *vp)
{
    switch (vp->activity) {
    case VP_ACTIVE:
        return 0;
    case VP_WAIT_FOR_SIPI:
        return HV_ACTIVITY_STARTUP_SUSPEND;
    case VP_HALTED:
        return HV_ACTIVITY_HALT_SUSPEND;
    case VP_IDLE:
        return HV_ACTIVITY_IDLE_SUSPEND;
    }
    return 0;
}

static hv_status_t set_activity(struct vp *vp, uint64_t bits)
{
    if ((bits & ~HV_ACTIVITY_VALID_MASK) != 0) {
        return HV_STATUS_INVALID_REGISTER_VALUE;
    }
    vp->activity = (bits & HV_ACTIVITY_STARTUP_SUSPEND) != 0 ? VP_WAIT_FOR_SIPI
                   : (bits & HV_ACTIVITY_HALT_SUSPEND) != 0  ? VP_HALTED
                   : (bits & HV_ACTIVITY_IDLE_SUSPEND) != 0  ? VP_IDLE
                                                             : VP_ACTIVE;
    return HV_STATUS_SUCCESS;
}

static uint64_t interrupt_state_bits(struct vp *vp)
{
    vp_read_state(vp, VP_UNREAD_BLOCKING);
    return (vp->interrupt_shadow ? HV_INTERRUPT_STATE_INTERRUPT_SHADOW : 0) |
           (vp->nmi_masked ? HV_INTERRUPT_STATE_NMI_MASKED : 0);
}

/* PendingEvent0: an exception becomes the event of the next entry, with its parameter where the processor would put it.
 */
static hv_status_t set_pending_event(struct vp *vp, const union hv_register_value *value)
{
    uint64_t low = value->reg128.low_part;
    uint32_t vector = (uint32_t)((low & HV_PENDING_EVENT_VECTOR_MASK) >> HV_PENDING_EVENT_VECTOR_SHIFT);

    if ((low & HV_PENDING_EVENT_PENDING) == 0) {
        return HV_STATUS_SUCCESS;
    }
    if (hv_pending_event_type(low) != HV_X64_PENDING_EVENT_EXCEPTION || vector >= X86_VECTOR_EXCEPTION_COUNT) {
        return HV_STATUS_INVALID_REGISTER_VALUE;
    }
    if (vector == X86_VECTOR_PF) {
        union hv_register_value cr2 = {0};

        cr2.reg64 = value->reg128.high_part;
        hv_status_t status = backend->set_register(vp, HvX64RegisterCr2, &cr2);

        if (status != HV_STATUS_SUCCESS) {
            return status;
        }
    }
    vp->pending_interruption = hv_pending_interruption(HV_X64_PENDING_EXCEPTION, vector);
    if ((low & HV_PENDING_EVENT_DELIVER_ERROR_CODE) != 0) {
        vp->pending_interruption |=
            HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE |
            ((low >> HV_PENDING_EVENT_ERROR_CODE_SHIFT) << HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT);
    }
    return HV_STATUS_SUCCESS;
}

static hv_status_t set_pending_interruption(struct vp *vp, uint64_t value)
{
    uint32_t type = hv_pending_interruption_type(value);

    if ((value & HV_PENDING_INTERRUPTION_PENDING) == 0) {
        vp->pending_interruption = 0;
        return HV_STATUS_SUCCESS;
    }
    if (type == 1 || type == 7 || hv_pending_interruption_vector(value) > UINT8_MAX ||
        (type == HV_X64_PENDING_NMI && hv_pending_interruption_vector(value) != X86_VECTOR_NMI) ||
        (type == HV_X64_PENDING_EXCEPTION && hv_pending_interruption_vector(value) >= X86_VECTOR_EXCEPTION_COUNT) ||
        (value & HV_PENDING_INTERRUPTION_RSVDZ_MASK) != 0) {
        return HV_STATUS_INVALID_REGISTER_VALUE;
    }
    vp->pending_interruption = value;
    return HV_STATUS_SUCCESS;
}

/* Registers that this file's objects keep. INVALID_PARAMETER: another one. */
static hv_status_t get_own(struct vp *vp, uint32_t name, union hv_register_value *value)
{
    switch (name) {
    case HvRegisterExplicitSuspend:
        value->reg64 = READ_ONCE(vp->is_explicitly_suspended);
        break;
    case HvRegisterInterceptSuspend:
        value->reg64 = READ_ONCE(vp->is_intercept_suspended);
        break;
    case HvRegisterDispatchSuspend:
        value->reg64 = READ_ONCE(vp->is_dispatch_suspended);
        break;
    case HvRegisterInternalActivityState:
        value->reg64 = activity_bits(vp);
        break;
    case HvRegisterPendingInterruption:
        value->reg64 = vp->pending_interruption;
        break;
    case HvRegisterInterruptState:
        value->reg64 = interrupt_state_bits(vp);
        break;
    case HvRegisterInstructionEmulationHints:
    case HvRegisterPendingEvent0:
    case HvRegisterPendingEvent1:
    case HvX64RegisterDeliverabilityNotifications:
    case HvX64RegisterPendingDebugException:
        break; /* none is ever pending across a stop */
    case HvX64RegisterRip:
        value->reg64 = vp->regs.rip;
        break;
    case HvX64RegisterRflags:
        value->reg64 = vp->regs.rflags;
        break;
    case HvX64RegisterCr8:
        value->reg64 = apic_tpr(vp) >> 4;
        break;
    case HvX64RegisterXfem:
        value->reg64 = vp->xcr0;
        break;
    case HvX64RegisterDr0:
    case HvX64RegisterDr1:
    case HvX64RegisterDr2:
    case HvX64RegisterDr3:
        value->reg64 = vp->debug_addresses[name - HvX64RegisterDr0];
        break;
    case HvX64RegisterInitialApicId:
        value->reg64 = vp->apic.id;
        break;
    case HvRegisterVpIndex:
        value->reg64 = vp->index;
        break;
    case HvRegisterVpRootSignalCount:
        value->reg64 = atomic_load_explicit(&vp->root_signal_count, memory_order_acquire);
        break;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t vp_get_register(struct vp *vp, uint32_t name, union hv_register_value *value)
{
    hv_status_t status;
    uint32_t msr;

    *value = (union hv_register_value){0};
    if (is_general(name)) {
        vp_read_state(vp, name == HvX64RegisterRsp ? VP_UNREAD_RSP : 0);
        value->reg64 = vp->regs.gpr[name - HvX64RegisterRax];
        return HV_STATUS_SUCCESS;
    }
    if (is_extended(name)) {
        vp_save_fpu(vp);
        return vp_fpu_get_register(vp, name, value);
    }
    if (is_apic(name)) {
        value->reg64 = apic_read(vp, (name - HvX64RegisterApicFirst) << APIC_REGISTER_SHIFT);
        return HV_STATUS_SUCCESS;
    }
    if (cpuid_leaf(name) != 0) {
        get_cpuid_register(vp, cpuid_leaf(name), value);
        return HV_STATUS_SUCCESS;
    }
    status = get_own(vp, name, value);
    if (status != HV_STATUS_INVALID_PARAMETER) {
        return status;
    }
    if (msr_from_register(name, &msr)) {
        return msr_host_read(vp, msr, &value->reg64);
    }
    return backend->get_register(vp, name, value);
}

static hv_status_t set_suspended(struct vp *vp, bool *flag, uint64_t value)
{
    if (vp->is_root || atomic_load_explicit(&vp->cpu, memory_order_relaxed) == cpu_this()) {
        /* Nothing could ever resume it; and nobody can wait for himself to stop. */
        return HV_STATUS_OPERATION_DENIED;
    }
    vp_set_suspended(vp, flag, (value & HV_SUSPEND_SUSPENDED) != 0);
    return HV_STATUS_SUCCESS;
}

/* As get_own(). */
static hv_status_t set_own(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    switch (name) {
    case HvRegisterExplicitSuspend:
        return set_suspended(vp, &vp->is_explicitly_suspended, value->reg64);
    case HvRegisterInterceptSuspend:
        return set_suspended(vp, &vp->is_intercept_suspended, value->reg64);
    case HvRegisterDispatchSuspend:
        return set_suspended(vp, &vp->is_dispatch_suspended, value->reg64);
    case HvRegisterInternalActivityState:
        return set_activity(vp, value->reg64);
    case HvRegisterPendingInterruption:
        return set_pending_interruption(vp, value->reg64);
    case HvRegisterInterruptState:
        if ((value->reg64 & ~HV_INTERRUPT_STATE_VALID_MASK) != 0) {
            return HV_STATUS_INVALID_REGISTER_VALUE;
        }
        vp_read_state(vp, VP_UNREAD_BLOCKING);
        vp->interrupt_shadow = (value->reg64 & HV_INTERRUPT_STATE_INTERRUPT_SHADOW) != 0;
        vp->nmi_masked = (value->reg64 & HV_INTERRUPT_STATE_NMI_MASKED) != 0;
        break;
    case HvRegisterPendingEvent0:
        return set_pending_event(vp, value);
    case HvRegisterPendingEvent1:
    case HvX64RegisterDeliverabilityNotifications:
    case HvX64RegisterPendingDebugException:
        return value->reg64 == 0 ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_REGISTER_VALUE;
    case HvX64RegisterRip:
        vp->regs.rip = value->reg64;
        break;
    case HvX64RegisterRflags:
        vp->regs.rflags = value->reg64 | X86_RFLAGS_FIXED;
        break;
    case HvX64RegisterCr8:
        if (value->reg64 > 15) {
            return HV_STATUS_INVALID_REGISTER_VALUE;
        }
        apic_set_tpr(vp, (uint8_t)(value->reg64 << 4));
        break;
    case HvX64RegisterXfem:
        if (!cpuid_xcr0_is_valid(vp, value->reg64)) {
            return HV_STATUS_INVALID_REGISTER_VALUE;
        }
        vp_fpu_set_xcr0(vp, value->reg64);
        break;
    case HvX64RegisterDr0:
    case HvX64RegisterDr1:
    case HvX64RegisterDr2:
    case HvX64RegisterDr3:
        vp->debug_addresses[name - HvX64RegisterDr0] = value->reg64;
        break;
    case HvX64RegisterInitialApicId:
    case HvRegisterVpIndex:
    case HvRegisterVpRootSignalCount:
    case HvRegisterInstructionEmulationHints:
        return HV_STATUS_OPERATION_DENIED;
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t vp_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    hv_status_t status;
    uint32_t msr;

    if (is_general(name)) {
        vp_read_state(vp, name == HvX64RegisterRsp ? VP_UNREAD_RSP : 0);
        vp->regs.gpr[name - HvX64RegisterRax] = value->reg64;
        return HV_STATUS_SUCCESS;
    }
    if (is_extended(name)) {
        vp_save_fpu(vp);
        return vp_fpu_set_register(vp, name, value);
    }
    if (is_apic(name) || cpuid_leaf(name) != 0) {
        return HV_STATUS_OPERATION_DENIED;
    }
    status = set_own(vp, name, value);
    if (status != HV_STATUS_INVALID_PARAMETER) {
        return status;
    }
    if (msr_from_register(name, &msr)) {
        return msr_host_write(vp, msr, value->reg64);
    }
    return backend->set_register(vp, name, value);
}
