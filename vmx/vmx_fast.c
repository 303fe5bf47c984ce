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

/* Moves RIP on behind the instruction, but not in the VMCS yet. False: that, or what is around, is unusual. */
static ALWAYS_INLINE bool begin(struct vp *vp, uint64_t *rip, uint64_t *next_rip)
{
    uint64_t rflags = vmcs_read_uncounted(VMCS_GUEST_RFLAGS);

    if (vmx_of(vp)->has_event || vmcs_read_uncounted(VMCS_GUEST_INTERRUPTIBILITY) != 0 ||
        (!(rflags & X86_RFLAGS_IF) && !window_is_empty()) || !exit_fast_is_possible(vp, rflags)) {
        return false;
    }
    *rip = *next_rip = vmcs_read_uncounted(VMCS_GUEST_RIP);
    return exit_fast_advance(next_rip, (uint8_t)vmcs_read_uncounted(VMCS_EXIT_INSN_LENGTH));
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
    uint64_t rip, next_rip;

    if (!is_short_call(vp) || !begin(vp, &rip, &next_rip) || !exit_fast_hypercall(vp)) {
        return false;
    }
    vmx_select(vmx_of(vp));
    vmcs_write_uncounted(VMCS_GUEST_RIP, next_rip);
    vmx_of(vp)->is_over = !exit_fast_may_enter(vp);
    return exit_fast_end(vp, X86_OP_VMCALL, VMX_EXIT_VMCALL | FAST_CALL_ACCESSES, rip) && !vmx_of(vp)->is_over;
}

bool vmx_fast_exit(struct vp *vp)
{
    uint64_t reason = vmcs_read_uncounted(VMCS_EXIT_REASON);
    uint64_t rip, next_rip;
    enum x86_op op;

    switch (reason) {
    case VMX_EXIT_CPUID:
        op = X86_OP_CPUID;
        if (!begin(vp, &rip, &next_rip) || !exit_fast_cpuid(vp)) {
            return false;
        }
        break;
    case VMX_EXIT_RDMSR:
        op = X86_OP_RDMSR;
        if (!begin(vp, &rip, &next_rip) || !exit_fast_rdmsr(vp)) {
            return false;
        }
        break;
    case VMX_EXIT_WRMSR:
        op = X86_OP_WRMSR;
        if (!begin(vp, &rip, &next_rip) || !exit_fast_wrmsr(vp)) {
            return false;
        }
        break;
    case VMX_EXIT_VMCALL:
        return hypercall(vp);
    default:
        return false;
    }
    vmcs_write_uncounted(VMCS_GUEST_RIP, next_rip);
    return exit_fast_end(vp, op, reason | FAST_ACCESSES, rip);
}
