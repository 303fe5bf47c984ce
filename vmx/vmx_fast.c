/* SPDX-License-Identifier: MIT */
/*
 * Exits that change nothing but general registers, answered between two entries (exit.h, fast paths). Nothing is read
 * from the VMCS that they do not need; whatever is unusual takes the way of vmx_run.c.
 */
#include "vmx/vmx.h"

#include "hv/cpu/asm.h"

/* VMREADs and VMWRITEs of an exit that is over here; told to the trace at once instead of counted one by one. */
#define FAST_ACCESSES      (UINT64_C(6) << 32)
#define FAST_CALL_ACCESSES (UINT64_C(9) << 32)
/* Those of begin(). */
#define KEPT_ACCESSES      4u

/*
 * Lets an interrupt in that Bochs 2.7 does not see at the next entry, whose guest has interrupts off (vmcs.c, the
 * fence). True: none was there. What one has changed is looked at by the run loop, like the flush behind a kick.
 */
static bool window_is_empty(void)
{
    const struct cpu *cpu = cpu_this();
    uint64_t before = cpu->interrupt_count;

    irq_window();
    return READ_ONCE(cpu->interrupt_count) == before;
}

/* What begin() reads, and RIP behind the instruction. */
struct fast_exit {
    uint64_t rip, rflags, next_rip;
    uint8_t insn_length;
};

/*
 * Reads where the instruction is, and moves RIP on behind it, but not in the VMCS yet. False: that, or what is around,
 * is unusual.
 */
static ALWAYS_INLINE bool begin(struct vp *vp, struct fast_exit *exit)
{
    exit->rflags = vmcs_read_uncounted(VMCS_GUEST_RFLAGS);
    if (vmx_of(vp)->has_event || vmcs_read_uncounted(VMCS_GUEST_INTERRUPTIBILITY) != 0 ||
        (!(exit->rflags & X86_RFLAGS_IF) && !window_is_empty()) || !exit_fast_is_possible(vp, exit->rflags)) {
        return false;
    }
    exit->rip = exit->next_rip = vmcs_read_uncounted(VMCS_GUEST_RIP);
    exit->insn_length = (uint8_t)vmcs_read_uncounted(VMCS_EXIT_INSN_LENGTH);
    return exit_fast_advance(&exit->next_rip, exit->insn_length);
}

/* The exit takes the way of vmx_run.c. */
static ALWAYS_INLINE bool leave(struct vp *vp, uint64_t reason)
{
    vmx_of(vp)->exit_reason = (uint32_t)reason;
    return false;
}

/*
 * The answer is not to be had here: keeps what begin() has read, too. Nothing blocks, or it had failed. By value and
 * last, so that whoever gets his answer needs no stack for it.
 */
static NOINLINE bool give_up(struct vp *vp, uint64_t reason, uint64_t rip, uint64_t rflags, uint8_t insn_length)
{
    struct vmx_vp *own = vmx_of(vp);

    own->rip = rip;
    own->rflags = rflags;
    own->insn_length = insn_length;
    own->blocked = 0;
    own->is_kept = true;
    vmcs_count_accesses(KEPT_ACCESSES);
    return leave(vp, reason);
}

/* Of 64-bit code at CPL 0. */
static bool is_short_call(const struct vp *vp)
{
    return hypercall_is_short(vp->regs.gpr[VP_RCX]) &&
           (vmcs_read_uncounted(VMCS_GUEST_SS_ACCESS) & X86_SEG_ATTR_DPL) == 0 &&
           (vmcs_read_uncounted(VMCS_GUEST_CS_ACCESS) & X86_SEG_ATTR_L) != 0 &&
           (vmcs_read_uncounted(VMCS_GUEST_EFER) & X86_EFER_LMA) != 0;
}

static NOINLINE bool hypercall(struct vp *vp)
{
    struct fast_exit exit;

    if (!is_short_call(vp) || !begin(vp, &exit)) {
        return leave(vp, VMX_EXIT_VMCALL);
    }
    if (!exit_fast_hypercall(vp)) {
        return give_up(vp, VMX_EXIT_VMCALL, exit.rip, exit.rflags, exit.insn_length);
    }
    vmx_select(vmx_of(vp));
    vmcs_write_uncounted(VMCS_GUEST_RIP, exit.next_rip);
    vmx_of(vp)->is_over = !exit_fast_may_enter(vp);
    return exit_fast_end(vp, X86_OP_VMCALL, VMX_EXIT_VMCALL | FAST_CALL_ACCESSES, exit.rip) && !vmx_of(vp)->is_over;
}

/* An instruction that `answer` answers, if it can. */
static ALWAYS_INLINE bool try_answer(struct vp *vp, uint64_t reason, enum x86_op op, bool (*answer)(struct vp *vp))
{
    struct fast_exit exit;

    if (!begin(vp, &exit)) {
        return leave(vp, reason);
    }
    if (!answer(vp)) {
        return give_up(vp, reason, exit.rip, exit.rflags, exit.insn_length);
    }
    vmcs_write_uncounted(VMCS_GUEST_RIP, exit.next_rip);
    return exit_fast_end(vp, op, reason | FAST_ACCESSES, exit.rip);
}

bool vmx_fast_exit(struct vp *vp)
{
    uint64_t reason = vmcs_read_uncounted(VMCS_EXIT_REASON);

    switch (reason) {
    case VMX_EXIT_CPUID:
        return try_answer(vp, reason, X86_OP_CPUID, exit_fast_cpuid);
    case VMX_EXIT_RDMSR:
        return try_answer(vp, reason, X86_OP_RDMSR, exit_fast_rdmsr);
    case VMX_EXIT_WRMSR:
        return try_answer(vp, reason, X86_OP_WRMSR, exit_fast_wrmsr);
    case VMX_EXIT_VMCALL:
        return hypercall(vp);
    default:
        return leave(vp, reason);
    }
}
