/* SPDX-License-Identifier: MIT */
/*
 * The run loop: prepares an entry (requests, events, TLB tag), enters, copies back what exits need, hands the exit up.
 * Runs with interrupts off; a physical interrupt ends guest mode and is taken in a window right after it. Fields are
 * written only when they differ from what the VMCS holds.
 */
#include "vmx/vmx.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/safe.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/lib/fmt.h"
#include "hv/mem/mem.h"
#include "vmx/vmx_insn.h"

#define BLOCKED_SHADOW (VMX_BLOCKED_STI | VMX_BLOCKED_MOV_SS)

static const uint32_t msr_numbers[VMX_MSR_COUNT] = {
    [VMX_MSR_STAR] = X86_MSR_STAR,     [VMX_MSR_LSTAR] = X86_MSR_LSTAR,     [VMX_MSR_CSTAR] = X86_MSR_CSTAR,
    [VMX_MSR_SFMASK] = X86_MSR_SFMASK, [VMX_MSR_TSC_AUX] = X86_MSR_TSC_AUX,
};

static NOINLINE void load_vmcs(struct vmx_cpu *cpu, struct vmx_vp *own)
{
    ASSERT(own->active_on == NULL || own->active_on == cpu);
    vmx_vmptrld(mem_to_spa(own->vmcs));
    own->active_on = cpu;
    cpu->current = own;
}

void vmx_select(struct vmx_vp *own)
{
    struct vmx_cpu *cpu = cpu_this()->backend;

    if (UNLIKELY(cpu->current != own)) {
        load_vmcs(cpu, own);
    }
}

void vmx_vp_put(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);
    struct vmx_cpu *cpu = cpu_this()->backend;

    if (own->active_on == NULL) {
        return;
    }
    ASSERT(own->active_on == cpu);
    vmx_vmclear(mem_to_spa(own->vmcs));
    own->active_on = NULL;
    own->is_launched = false;
    if (cpu->current == own) {
        cpu->current = NULL;
    }
}

static void load_msr(struct vmx_cpu *cpu, enum vmx_msr index, uint64_t value)
{
    /* Not on every processor: TSC_AUX. */
    if (cpu->msrs[index] != value && msr_write_safe(msr_numbers[index], value)) {
        cpu->msrs[index] = value;
    }
}

void vmx_read_msrs(struct vmx_cpu *cpu)
{
    for (unsigned index = 0; index < VMX_MSR_COUNT; index++) {
        (void)!msr_read_safe(msr_numbers[index], &cpu->msrs[index]);
    }
}

void vmx_set_msr(struct vp *vp, enum vmx_msr index, uint64_t value)
{
    struct vmx_vp *own = vmx_of(vp);

    own->msrs[index] = value;
    if (own->is_loaded) {
        load_msr(cpu_this()->backend, index, value);
    }
}

static uint64_t read_live(enum vmx_live index)
{
    switch (index) {
    case VMX_LIVE_CR2:
        return read_cr2();
    case VMX_LIVE_DR6:
        return read_dr6();
    case VMX_LIVE_KERNEL_GS_BASE:
        return rdmsr(X86_MSR_KERNEL_GS_BASE);
    case VMX_LIVE_COUNT:
        break;
    }
    return 0;
}

static void write_live(enum vmx_live index, uint64_t value)
{
    switch (index) {
    case VMX_LIVE_CR2:
        write_cr2(value);
        break;
    case VMX_LIVE_DR6:
        write_dr6(value);
        break;
    case VMX_LIVE_KERNEL_GS_BASE:
        wrmsr(X86_MSR_KERNEL_GS_BASE, value);
        break;
    case VMX_LIVE_COUNT:
        break;
    }
}

uint64_t vmx_get_live(struct vp *vp, enum vmx_live index)
{
    return vmx_of(vp)->is_loaded ? read_live(index) : vmx_of(vp)->live[index];
}

void vmx_set_live(struct vp *vp, enum vmx_live index, uint64_t value)
{
    vmx_of(vp)->live[index] = value;
    if (vmx_of(vp)->is_loaded) {
        write_live(index, value);
    }
}

static NOINLINE void switch_in(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);
    struct vmx_cpu *cpu = cpu_this()->backend;

    for (unsigned index = 0; index < VMX_MSR_COUNT; index++) {
        load_msr(cpu, (enum vmx_msr)index, own->msrs[index]);
    }
    for (unsigned index = 0; index < VMX_LIVE_COUNT; index++) {
        write_live((enum vmx_live)index, own->live[index]);
    }
    write_debug_addresses(vp->debug_addresses);
    own->is_loaded = true;
}

static NOINLINE void switch_out(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);

    for (unsigned index = 0; index < VMX_LIVE_COUNT; index++) {
        own->live[index] = read_live((enum vmx_live)index);
    }
    read_debug_addresses(vp->debug_addresses);
    own->is_loaded = false;
}

/*
 * Makes stale translations unusable. A new VPID leaves what an old one tagged behind; what EPT entries said is tagged
 * with the EPT pointer too, whoever used it before.
 */
static ALWAYS_INLINE void tlb_prepare(struct vp *vp, struct vmx_cpu *cpu, struct vmx_vp *own)
{
    uint64_t generation = atomic_load_explicit(&vp->space->generation, memory_order_seq_cst);
    uint64_t wanted = atomic_load_explicit(&vp->flush_wanted, memory_order_seq_cst);
    bool has_moved = own->last_cpu != cpu;
    bool is_fresh = !(vmx_limits.cpu2.may & VMX_CPU2_VPID); /* without VPIDs every entry flushes them all */

    if (!is_fresh && (has_moved || own->vpid_epoch != cpu->vpid_epoch)) {
        vmx_renew_vpid(cpu, own);
        is_fresh = true;
    }
    if (UNLIKELY(vp->flush_done != wanted)) {
        vmx_take_flush(vp, is_fresh);
    }
    if (has_moved || vp->space_generation != generation) {
        vmx_invept(VMX_INVEPT_SINGLE, own->eptp);
    }
    vp->flush_done = wanted;
    vp->space_generation = generation;
    own->last_cpu = cpu;
}

/* The interruptibility state of the next entry: what the VMCS has, unless an exit's handling has changed it. */
static uint32_t wanted_blocking(const struct vp *vp, const struct vmx_vp *own)
{
    uint32_t blocked = own->blocked & ~(BLOCKED_SHADOW | VMX_BLOCKED_NMI);

    if (vp->interrupt_shadow) {
        /* That of STI only where the flag is still set: the processor insists. */
        bool is_sti = (vp->regs.rflags & X86_RFLAGS_IF) && !(own->blocked & VMX_BLOCKED_MOV_SS);

        blocked |= is_sti ? VMX_BLOCKED_STI : VMX_BLOCKED_MOV_SS;
    }
    return blocked | (vp->nmi_masked ? VMX_BLOCKED_NMI : 0);
}

/*
 * In a shadow the processor insists that BS is pending just if the guest single-steps: a debug exception that exited
 * has taken it from there. What is pending is dropped when the exception is injected. SDM vol. 3, Checks on Guest
 * Non-Register State.
 */
static NOINLINE void load_pending_step(const struct vp *vp)
{
    uint64_t pending = vmcs_read(VMCS_GUEST_PENDING_DEBUG);
    bool is_step = (vp->regs.rflags & X86_RFLAGS_TF) && !(vmcs_read(VMCS_GUEST_DEBUGCTL) & X86_DEBUGCTL_BTF);
    uint64_t wanted = is_step ? pending | X86_DR6_BS : pending & ~X86_DR6_BS;

    if (wanted != pending) {
        vmcs_write(VMCS_GUEST_PENDING_DEBUG, wanted);
    }
}

/*
 * What blocks stays as it is in the VMCS as long as nobody has asked for it; but it has to go with the flags and with
 * what else was set from outside.
 */
static void load_blocking(struct vp *vp, struct vmx_vp *own)
{
    uint32_t blocked;

    if (own->needs_check || vp->regs.rflags != own->rflags || (vp->regs.rflags & X86_RFLAGS_TF)) {
        vp_read_state(vp, VP_UNREAD_BLOCKING);
    }
    if (vp->unread & VP_UNREAD_BLOCKING) {
        return;
    }
    blocked = wanted_blocking(vp, own);
    if (blocked != own->blocked) {
        own->blocked = blocked;
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocked);
    }
    if (UNLIKELY((blocked & BLOCKED_SHADOW) != 0)) {
        load_pending_step(vp);
    }
}

static void load_registers(struct vp *vp, struct vmx_vp *own)
{
    load_blocking(vp, own);
    if (!(vp->unread & VP_UNREAD_RSP) && vp->regs.gpr[VP_RSP] != own->rsp) {
        own->rsp = vp->regs.gpr[VP_RSP];
        vmcs_write(VMCS_GUEST_RSP, own->rsp);
    }
    if (vp->regs.rip != own->rip) {
        own->rip = vp->regs.rip;
        vmcs_write(VMCS_GUEST_RIP, own->rip);
    }
    if (vp->regs.rflags != own->rflags) {
        own->rflags = vp->regs.rflags;
        vmcs_write(VMCS_GUEST_RFLAGS, own->rflags);
    }
    vmx_load_apic(vp);
    if (own->wants_pdptes) {
        vmx_load_pdptes(vp);
    }
}

static void take_blocking(struct vp *vp, struct vmx_vp *own, uint32_t blocked)
{
    own->blocked = blocked;
    vp->interrupt_shadow = (blocked & BLOCKED_SHADOW) != 0;
    vp->nmi_masked = (blocked & VMX_BLOCKED_NMI) != 0;
    vp->unread &= ~VP_UNREAD_BLOCKING;
}

void vmx_read_state(struct vp *vp, uint32_t what)
{
    struct vmx_vp *own = vmx_of(vp);
    uint32_t wanted = what & vp->unread;

    vmx_select(own);
    if (wanted & VP_UNREAD_RSP) {
        vp->regs.gpr[VP_RSP] = own->rsp = vmcs_read(VMCS_GUEST_RSP);
        vp->unread &= ~VP_UNREAD_RSP;
    }
    if (wanted & VP_UNREAD_BLOCKING) {
        take_blocking(vp, own, (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY));
    }
}

static void store_registers(struct vp *vp, struct vmx_vp *own)
{
    vp->unread = VP_UNREAD_RSP | VP_UNREAD_BLOCKING;
    if (own->is_kept) {
        take_blocking(vp, own, own->blocked);
    } else {
        own->rip = vmcs_read(VMCS_GUEST_RIP);
        own->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    }
    vp->regs.rip = own->rip;
    vp->regs.rflags = own->rflags;
    vmx_store_apic(vp);
}

static uint64_t read_field(enum vmcs_field field)
{
    return vmcs_read(field);
}

/* A VP state that the processor refuses: say which rule it breaks. The partition is lost, the machine is not. */
static NOINLINE enum exit_action refuse_entry(struct vp *vp, uint32_t reason)
{
    const char *rule = vmcs_check(read_field, &vmx_limits, vmx_of(vp)->apic_page);
    char what[64];

    fmt_snprintf(what, sizeof(what), "state refused by the processor, no rule known (qualification %lx)",
                 vmcs_read(VMCS_EXIT_QUALIFICATION));
    return exit_unexpected(vp, reason, rule != NULL ? rule : what);
}

static enum exit_action vmx_step(struct vp *vp, struct cpu *cpu)
{
    struct vmx_vp *own = vmx_of(vp);
    struct vmx_cpu *own_cpu = cpu->backend;
    bool is_good;
    bool is_entered;
    uint32_t reason;

    if (own->last_cpu != own_cpu) {
        vmcs_set_host_state();
    }
    load_registers(vp, own);
    /* Published before the generation is read: pairs with gpa_flush(), which raises it and then looks for us. */
    atomic_store_explicit(&cpu->guest_space, vp->space, memory_order_seq_cst);
    tlb_prepare(vp, own_cpu, own);
    is_good =
        !own->needs_check || !backend_checks_entries || vmcs_check(read_field, &vmx_limits, own->apic_page) == NULL;
    own->needs_check = false;
    own->is_kept = false;
    is_entered = is_good && vmx_enter(vp, &own->host_rsp, own->is_launched);
    atomic_store_explicit(&cpu->guest_space, NULL, memory_order_release);
    if (!is_entered) {
        return refuse_entry(vp, is_good ? (uint32_t)vmcs_read(VMCS_INSN_ERROR) : VMX_EXIT_BAD_GUEST_STATE);
    }
    if (own->is_over) {
        own->is_over = false;
        own->is_launched = true;
        store_registers(vp, own);
        return EXIT_RESUME;
    }
    vp->exit_count++;
    reason = own->exit_reason;
    vmcs_count_accesses(1);
    if (reason == (VMX_EXIT_MACHINE_CHECK | VMX_EXIT_ENTRY_FAILED)) {
        panic("machine check during a VM entry");
    }
    if (reason & VMX_EXIT_ENTRY_FAILED) {
        return refuse_entry(vp, reason & VMX_EXIT_REASON_MASK);
    }
    own->is_launched = true;
    store_registers(vp, own);
    trace(TRACE_EXIT, vp->trace_id, (reason & VMX_EXIT_REASON_MASK) | (uint64_t)cpu->backend_accesses << 32,
          vp->regs.rip);
    cpu->backend_accesses = 0;
    return vmx_handle_exit(vp, reason & VMX_EXIT_REASON_MASK);
}

enum vp_run_status vmx_vp_run(struct vp *vp)
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
        vmx_select(vmx_of(vp));
        vmx_prepare_events(vp);
        action = vmx_step(vp, cpu);
        if (!(vp->regs.rflags & X86_RFLAGS_IF)) {
            /* A pending interrupt would end guest mode at once; Bochs 2.7 does not see it then (vmcs.c, the fence). */
            irq_window();
        }
    }
    if (outer != vp && outer != NULL) {
        switch_out(vp);
        switch_in(outer);
        cpu->current_vp = outer;
    }
    return vp->run_status;
}
