/* SPDX-License-Identifier: MIT */
/*
 * Exits that change nothing but general registers, answered between two entries (exit.h, fast paths). Nothing is copied
 * out of the VMCB that they do not need; whatever is unusual takes the way of svm_run.c.
 */
#include "svm/svm.h"

/*
 * vp_recall_instruction() without its calls. A trail through the space as the last entry found it leads as safely as
 * the translations that the entry left in the TLB: whoever changes the space waits until guest mode has ended here.
 */
static ALWAYS_INLINE uint8_t recall(struct vp *vp, const struct vmcb *vmcb, enum x86_op op)
{
    const struct vp_code_note *note = vp_code_note(vp);
    const struct vp_code_trail *code = vp_code_trail(vp);

    return vp_code_is_known(vp, (uint32_t)op, note, code) && vmcb_is_code_state(vmcb, &code->state) &&
                   code->trail.generation == vp->space_generation &&
                   gpa_trail_shows(&code->trail, vp->regs.rip & PAGE_MASK, note)
               ? (uint8_t)note->length
               : 0;
}

/*
 * Hands RAX over; returns RIP behind the instruction. 0: it is another one, or not known so fast, or what is around is
 * unusual.
 */
static uint64_t begin(struct vp *vp, struct svm_vp *own, enum x86_op op)
{
    const struct vmcb *vmcb = own->vmcb;
    uint64_t next_rip = vmcb->rip;

    if (own->has_event || own->awaits_iret || (vmcb->interrupt_shadow & 1) ||
        !exit_fast_is_possible(vp, vmcb->rflags)) {
        return 0;
    }
    vp->regs.gpr[VP_RAX] = vmcb->rax;
    vp->regs.rip = next_rip;
    own->insn_length = svm_told_length(vmcb);
    if (own->insn_length == 0) {
        own->insn_length = recall(vp, vmcb, op);
    }
    return own->insn_length != 0 && exit_fast_advance(&next_rip, own->insn_length) ? next_rip : 0;
}

/* Completes the instruction. */
static bool end(struct vp *vp, struct vmcb *vmcb, enum x86_op op, uint64_t next_rip)
{
    vmcb->rax = vp->regs.gpr[VP_RAX];
    vmcb->rip = next_rip;
    return exit_fast_end(vp, op, vmcb->exit_code, vp->regs.rip);
}

static bool access_msr(struct vp *vp, struct svm_vp *own)
{
    bool is_write = (own->vmcb->exit_info1 & 1) != 0;
    enum x86_op op = is_write ? X86_OP_WRMSR : X86_OP_RDMSR;
    uint64_t next_rip = (uint32_t)vp->regs.gpr[VP_RCX] == vp->msrs.permitted ? begin(vp, own, op) : 0;

    return next_rip != 0 && (is_write ? exit_fast_wrmsr(vp) : exit_fast_rdmsr(vp)) && end(vp, own->vmcb, op, next_rip);
}

/* Of 64-bit code at CPL 0. */
static bool is_short_call(const struct vp *vp, const struct vmcb *vmcb)
{
    return hypercall_is_short(vp->regs.gpr[VP_RCX]) && vmcb->cpl == 0 && (vmcb->efer & X86_EFER_LMA) != 0 &&
           (vmcb->cs.attributes & VMCB_SEGMENT_L) != 0;
}

static bool call(struct vp *vp, struct svm_vp *own)
{
    uint64_t next_rip = is_short_call(vp, own->vmcb) ? begin(vp, own, X86_OP_VMMCALL) : 0;

    if (next_rip == 0 || !exit_fast_hypercall(vp)) {
        return false;
    }
    own->is_over = !exit_fast_may_enter(vp);
    return end(vp, own->vmcb, X86_OP_VMMCALL, next_rip) && !own->is_over;
}

bool svm_fast_exit(struct vp *vp)
{
    struct svm_vp *own = svm_of(vp);
    uint64_t next_rip;

    own->insn_length = 0;
    switch (own->vmcb->exit_code) {
    case VMCB_EXIT_CPUID:
        next_rip = begin(vp, own, X86_OP_CPUID);
        return next_rip != 0 && exit_fast_cpuid(vp) && end(vp, own->vmcb, X86_OP_CPUID, next_rip);
    case VMCB_EXIT_MSR:
        return access_msr(vp, own);
    case VMCB_EXIT_VMMCALL:
        return call(vp, own);
    default:
        return false;
    }
}
