/* SPDX-License-Identifier: MIT */
/*
 * Registers by ABI name that live in the VMCB. Values are stored as given (a client sets registers in any order); what
 * the processor would refuse is found by vmcb_check() before the next entry.
 */
#include "svm/svm.h"

#include "hv/cpu/asm.h"
#include "hv/lib/x86/x86_regs.h"

/* The ABI's attribute word is the descriptor's bytes 5 and 6 with a gap; the VMCB's has none. */
#define ATTRIBUTES_LOW  0x00ffu
#define ATTRIBUTES_HIGH 0xf000u
#define ATTRIBUTES_GAP  4

static uint64_t *plain_register(struct svm_vp *own, uint32_t name)
{
    struct vmcb *vmcb = own->vmcb;

    switch (name) {
    case HvX64RegisterCr0:
        return &vmcb->cr0;
    case HvX64RegisterCr2:
        return &vmcb->cr2;
    case HvX64RegisterCr3:
        return &vmcb->cr3;
    case HvX64RegisterCr4:
        return &vmcb->cr4;
    case HvX64RegisterDr6:
        return &vmcb->dr6;
    case HvX64RegisterDr7:
        return &vmcb->dr7;
    case HvX64RegisterKernelGsBase:
        return &vmcb->kernel_gs_base;
    case HvX64RegisterPat:
        return &vmcb->pat;
    case HvX64RegisterSysenterCs:
        return &vmcb->sysenter_cs;
    case HvX64RegisterSysenterEip:
        return &vmcb->sysenter_eip;
    case HvX64RegisterSysenterEsp:
        return &vmcb->sysenter_esp;
    case HvX64RegisterStar:
        return &vmcb->star;
    case HvX64RegisterLstar:
        return &vmcb->lstar;
    case HvX64RegisterCstar:
        return &vmcb->cstar;
    case HvX64RegisterSfmask:
        return &vmcb->sfmask;
    case HvX64RegisterDebugCtl:
        return &vmcb->debugctl;
    case HvX64RegisterTscAux:
        return &own->tsc_aux;
    default:
        return NULL;
    }
}

static struct vmcb_segment *segment_register(struct vmcb *vmcb, uint32_t name)
{
    switch (name) {
    case HvX64RegisterEs:
        return &vmcb->es;
    case HvX64RegisterCs:
        return &vmcb->cs;
    case HvX64RegisterSs:
        return &vmcb->ss;
    case HvX64RegisterDs:
        return &vmcb->ds;
    case HvX64RegisterFs:
        return &vmcb->fs;
    case HvX64RegisterGs:
        return &vmcb->gs;
    case HvX64RegisterLdtr:
        return &vmcb->ldtr;
    case HvX64RegisterTr:
        return &vmcb->tr;
    default:
        return NULL;
    }
}

static struct vmcb_segment *table_register(struct vmcb *vmcb, uint32_t name)
{
    return name == HvX64RegisterGdtr ? &vmcb->gdtr : name == HvX64RegisterIdtr ? &vmcb->idtr : NULL;
}

hv_status_t svm_get_register(struct vp *vp, uint32_t name, union hv_register_value *value)
{
    struct svm_vp *own = svm_of(vp);
    const struct vmcb_segment *segment = segment_register(own->vmcb, name);
    const uint64_t *plain = segment != NULL ? NULL : plain_register(own, name);
    const struct vmcb_segment *table = table_register(own->vmcb, name);

    *value = (union hv_register_value){0};
    if (plain != NULL) {
        value->reg64 = *plain;
    } else if (segment != NULL) {
        value->segment.base = segment->base;
        value->segment.limit = segment->limit;
        value->segment.selector = segment->selector;
        value->segment.attributes = (uint16_t)((segment->attributes & ATTRIBUTES_LOW) |
                                               (((uint32_t)segment->attributes << ATTRIBUTES_GAP) & ATTRIBUTES_HIGH));
    } else if (table != NULL) {
        value->table.base = table->base;
        value->table.limit = (uint16_t)table->limit;
    } else if (name == HvX64RegisterEfer) {
        value->reg64 = own->vmcb->efer & ~X86_EFER_SVME;
    } else if (name == HvX64RegisterTsc) {
        value->reg64 = svm_guest_tsc(vp);
    } else if (name == HvX64RegisterTscVirtualOffset) {
        value->reg64 = own->vmcb->tsc_offset;
    } else {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t svm_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    struct svm_vp *own = svm_of(vp);
    uint64_t *plain = plain_register(own, name);
    struct vmcb_segment *segment = segment_register(own->vmcb, name);
    struct vmcb_segment *table = table_register(own->vmcb, name);

    if (name == HvX64RegisterTscAux && value->reg64 > UINT32_MAX) {
        return HV_STATUS_INVALID_REGISTER_VALUE; /* WRMSR would fault, in the hypervisor */
    }
    own->needs_check = true;
    if (plain != NULL) {
        *plain = value->reg64;
        if (name == HvX64RegisterTscAux && own->last_cpu != NULL && cpu_this()->current_vp == vp) {
            wrmsr(X86_MSR_TSC_AUX, value->reg64);
        }
        if (name == HvX64RegisterCr0 || name == HvX64RegisterCr3 || name == HvX64RegisterCr4) {
            atomic_fetch_add_explicit(
                &vp->flush_wanted, 1,
                memory_order_relaxed); /* the processor did not see the load that would have flushed */
        }
    } else if (segment != NULL) {
        segment->base = value->segment.base;
        segment->limit = value->segment.limit;
        segment->selector = value->segment.selector;
        segment->attributes = (uint16_t)((value->segment.attributes & ATTRIBUTES_LOW) |
                                         ((value->segment.attributes & ATTRIBUTES_HIGH) >> ATTRIBUTES_GAP));
        if (name == HvX64RegisterSs) {
            own->vmcb->cpl = (uint8_t)((value->segment.attributes & X86_SEG_ATTR_DPL) >> X86_SEG_ATTR_DPL_SHIFT);
        }
    } else if (table != NULL) {
        table->base = value->table.base;
        table->limit = value->table.limit;
    } else if (name == HvX64RegisterEfer) {
        own->vmcb->efer = value->reg64 | X86_EFER_SVME;
        atomic_fetch_add_explicit(&vp->flush_wanted, 1, memory_order_relaxed);
    } else if (name == HvX64RegisterTsc) {
        own->vmcb->tsc_offset = value->reg64 - rdtsc();
    } else if (name == HvX64RegisterTscVirtualOffset) {
        own->vmcb->tsc_offset = value->reg64;
    } else {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

void svm_get_paging(struct vp *vp, struct vp_paging_state *state)
{
    const struct vmcb *vmcb = svm_of(vp)->vmcb;

    *state = (struct vp_paging_state){
        .cr0 = vmcb->cr0,
        .cr3 = vmcb->cr3,
        .cr4 = vmcb->cr4,
        .efer = vmcb->efer & ~X86_EFER_SVME,
        .rflags = vp->regs.rflags,
        .cpl = vmcb->cpl,
    };
}

void svm_get_code_mode(struct vp *vp, struct vp_code_mode *mode)
{
    const struct vmcb *vmcb = svm_of(vp)->vmcb;
    bool is_long = (vmcb->efer & X86_EFER_LMA) != 0 && (vmcb->cs.attributes & VMCB_SEGMENT_L) != 0;

    mode->cpl = vmcb->cpl;
    mode->is_protected = (vmcb->cr0 & X86_CR0_PE) != 0 && !(vp->regs.rflags & X86_RFLAGS_VM);
    mode->bits = !mode->is_protected ? 16 : is_long ? 64 : vmcb->cs.attributes & VMCB_SEGMENT_DB ? 32 : 16;
}

bool svm_is_code_state(struct vp *vp, const struct vp_code_state *state)
{
    return vmcb_is_code_state(svm_of(vp)->vmcb, state);
}

uint64_t svm_guest_tsc(struct vp *vp)
{
    return rdtsc() + svm_of(vp)->vmcb->tsc_offset;
}
