/* SPDX-License-Identifier: MIT */
/*
 * The run loop: prepares an entry (requests, events, TLB tag), enters, copies back what exits need, hands the exit up.
 * Runs with interrupts off; a physical interrupt ends guest mode and is taken in a window right after it.
 */
#include "svm/svm.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"

/* Gives the VP a fresh address-space identifier of this processor: what its old one tagged is never used again. */
static NOINLINE void asid_renew(struct svm_cpu *cpu, struct svm_vp *own)
{
    own->vmcb->tlb_control = VMCB_TLB_NONE;
    if (cpu->next_asid >= svm_asid_count) {
        cpu->next_asid = 1;
        cpu->asid_epoch++;
        own->vmcb->tlb_control = VMCB_TLB_FLUSH_ALL;
    }
    own->vmcb->asid = cpu->next_asid++;
    own->asid_epoch = cpu->asid_epoch;
    own->last_cpu = cpu;
}

/* Makes stale translations unusable: another processor, wrapped identifiers, or a flush asked for since the last entry.
 */
static ALWAYS_INLINE void asid_prepare(struct vp *vp, struct svm_cpu *cpu, struct svm_vp *own)
{
    uint64_t generation = atomic_load_explicit(&vp->space->generation, memory_order_seq_cst);
    uint64_t wanted = atomic_load_explicit(&vp->flush_wanted, memory_order_seq_cst);

    own->vmcb->tlb_control = VMCB_TLB_NONE;
    if (own->last_cpu != cpu || own->asid_epoch != cpu->asid_epoch || vp->space_generation != generation ||
        vp->flush_done != wanted) {
        vp->space_generation = generation;
        vp->flush_done = wanted;
        asid_renew(cpu, own);
    }
}

static void load_registers(struct vp *vp, struct vmcb *vmcb)
{
    uint64_t tpr_class = apic_tpr(vp) >> 4;

    vmcb->rax = vp->regs.gpr[VP_RAX];
    vmcb->rsp = vp->regs.gpr[VP_RSP];
    vmcb->rip = vp->regs.rip;
    vmcb->rflags = vp->regs.rflags;
    vmcb->interrupt_shadow = vp->interrupt_shadow;
    vmcb->interrupt_control = (vmcb->interrupt_control & ~VMCB_INT_TPR_MASK) | tpr_class;
}

static void store_registers(struct vp *vp, struct vmcb *vmcb)
{
    uint64_t tpr_class = vmcb->interrupt_control & VMCB_INT_TPR_MASK;

    vp->regs.gpr[VP_RAX] = vmcb->rax;
    vp->regs.gpr[VP_RSP] = vmcb->rsp;
    vp->regs.rip = vmcb->rip;
    vp->regs.rflags = vmcb->rflags;
    vp->interrupt_shadow = svm_is_in_shadow(vp);
    if (tpr_class != apic_tpr(vp) >> 4) {
        apic_set_tpr(vp, (uint8_t)(tpr_class << 4));
    }
}

/* A VP state that the processor refuses: say which rule it breaks. The partition is lost, the machine is not. */
static enum exit_action refuse_entry(struct vp *vp)
{
    const char *rule = vmcb_check(svm_of(vp)->vmcb);

    return exit_unexpected(vp, VMCB_EXIT_INVALID,
                           rule != NULL ? rule : "state refused by the processor, no rule known");
}

/* Into guest mode and back; false: the processor refused the state, of which it may have left anything. */
static ALWAYS_INLINE bool enter(struct vp *vp, struct cpu *cpu, struct svm_vp *own, struct vmcb *vmcb)
{
    struct svm_cpu *own_cpu = cpu->backend;

    /* Published before the generation is read: pairs with gpa_flush(), which raises it and then looks for us. */
    atomic_store_explicit(&cpu->guest_space, vp->space, memory_order_seq_cst);
    asid_prepare(vp, own_cpu, own);
    svm_enter(vp, own->vmcb_spa, own_cpu->host_vmcb_spa);
    atomic_store_explicit(&cpu->guest_space, NULL, memory_order_release);
    if ((uint32_t)vmcb->exit_code == VMCB_EXIT_INVALID) {
        return false;
    }
    store_registers(vp, vmcb);
    if (own->is_over) {
        return true;
    }
    trace(TRACE_EXIT, vp->trace_id, vmcb->exit_code, vp->regs.rip);
    vp->exit_count++;
    svm_collect_events(vp);
    return true;
}

/* The first entry with a state that was set from outside. One that the processor refuses is put back: QEMU's software
 * CPU has overwritten it with the hypervisor's own by then, which is nobody's to see and breaks no rule. */
static NOINLINE enum exit_action step_checked(struct vp *vp, struct cpu *cpu)
{
    struct vmcb *vmcb = svm_of(vp)->vmcb;
    uint8_t state[VMCB_STATE_BYTES];

    svm_of(vp)->needs_check = false;
    if (backend_checks_entries && vmcb_check(vmcb) != NULL) {
        return refuse_entry(vp);
    }
    memcpy(state, vmcb_state(vmcb), sizeof(state));
    if (!enter(vp, cpu, svm_of(vp), vmcb)) {
        memcpy(vmcb_state(vmcb), state, sizeof(state));
        return refuse_entry(vp);
    }
    return svm_handle_exit(vp);
}

static enum exit_action svm_step(struct vp *vp, struct cpu *cpu)
{
    struct svm_vp *own = svm_of(vp);
    struct vmcb *vmcb = own->vmcb;

    load_registers(vp, vmcb);
    if (own->needs_check) {
        return step_checked(vp, cpu);
    }
    return enter(vp, cpu, own, vmcb) ? svm_handle_exit(vp) : refuse_entry(vp);
}

/* Debug addresses and TSC_AUX are the only guest state that neither the VMCB nor vp_load_fpu() carries. */
static void switch_in(struct vp *vp)
{
    write_debug_addresses(vp->debug_addresses);
    wrmsr(X86_MSR_TSC_AUX, svm_of(vp)->tsc_aux);
}

static void switch_out(struct vp *vp)
{
    read_debug_addresses(vp->debug_addresses);
}

enum vp_run_status svm_vp_run(struct vp *vp)
{
    struct cpu *cpu = cpu_this();
    struct vp *outer = cpu->current_vp;
    enum exit_action action = EXIT_RESUME;

    if (outer != vp) {
        if (outer != NULL) {
            switch_out(outer);
        }
        switch_in(vp);
        cpu->current_vp = vp;
    }
    while (action == EXIT_RESUME) {
        if (atomic_load_explicit(&vp->requests, memory_order_acquire) != 0 && !vp_handle_requests(vp)) {
            break;
        }
        if (cpu->fpu_owner != vp) {
            vp_load_fpu(vp);
        }
        svm_prepare_events(vp);
        action = svm_step(vp, cpu);
    }
    if (outer != vp && outer != NULL) {
        switch_out(vp);
        switch_in(outer);
        cpu->current_vp = outer;
    }
    return vp->run_status;
}
