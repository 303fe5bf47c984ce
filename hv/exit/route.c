/* SPDX-License-Identifier: MIT */
/*
 * Routes the exits of one instruction (CPUID, hypercall, MSR, HLT, XSETBV, ...) and of whole-machine events to the
 * objects that answer them. Ports and memory are in exit_io.c and exit_memory.c.
 */
#include "hv/exit/exit.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/exit/insn.h"
#include "hv/hypercall/engine.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/intercept.h"
#include "hv/partition/msr.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"
#include "hv/partition/vp_fpu.h"

/* Ends the run loop; the VP's state says why. */
static enum exit_action leave(struct vp *vp, enum vp_run_status status)
{
    vp->run_status = status;
    return EXIT_LEAVE;
}

/* After an intercept message was written: the root has the word. */
static enum exit_action leave_for_root(struct vp *vp)
{
    return leave(vp, VP_RUN_INTERCEPT);
}

enum exit_action exit_cpuid(struct vp *vp, uint8_t insn_length)
{
    uint64_t *gpr = vp->regs.gpr;
    uint32_t result[4];

    if (UNLIKELY(vp->partition->intercepts_cpuid_all)) {
        intercept_cpuid(vp, insn_length_of(vp, X86_OP_CPUID, insn_length));
        return leave_for_root(vp);
    }
    if (!insn_complete(vp, X86_OP_CPUID, insn_length)) {
        return EXIT_RESUME;
    }
    cpuid_query(vp, (uint32_t)gpr[VP_RAX], (uint32_t)gpr[VP_RCX], result);
    gpr[VP_RAX] = result[0];
    gpr[VP_RBX] = result[1];
    gpr[VP_RCX] = result[2];
    gpr[VP_RDX] = result[3];
    return EXIT_RESUME;
}

enum exit_action exit_hypercall(struct vp *vp, uint8_t insn_length)
{
    struct vp_code_mode mode;
    uint8_t length = insn_length_of(vp, backend->hypercall_op, insn_length);

    backend->get_code_mode(vp, &mode);
    /* TLFS, Hypercall Interface: from CPL 0 of protected or long mode only, and once the guest has set the interface
     * up. */
    if (mode.cpl != 0 || !mode.is_protected || !msr_hypercall_is_enabled(vp->partition)) {
        return exit_undefined(vp);
    }
    if (length == 0) {
        return EXIT_RESUME;
    }
    if (hypercall_execute(vp, mode.bits == 64)) {
        vp_advance(vp, length);
    } else {
        irq_window(); /* a long call goes on at the next entry; interrupts come in between */
    }
    return EXIT_RESUME;
}

/* What follows an MSR access that the policy did not simply answer. */
static NOINLINE enum exit_action refuse_msr(struct vp *vp, enum msr_result result, bool is_write, uint8_t length)
{
    if (result == MSR_INTERCEPT) {
        intercept_msr(vp, is_write, length);
        return leave_for_root(vp);
    }
    vp_inject_gp(vp);
    return EXIT_RESUME;
}

static enum exit_action finish_msr(struct vp *vp, enum msr_result result, bool is_write, uint8_t length)
{
    if (UNLIKELY(result != MSR_OK)) {
        return refuse_msr(vp, result, is_write, length);
    }
    vp_advance(vp, length);
    /* Reading the guest-idle MSR or writing a reset stops the VP: the run loop's caller must see it. */
    if (UNLIKELY(vp->activity != VP_ACTIVE) && !vp_has_work(vp)) {
        return leave(vp, VP_RUN_BLOCKED);
    }
    return EXIT_RESUME;
}

enum exit_action exit_rdmsr(struct vp *vp, uint8_t insn_length)
{
    uint8_t length = insn_length_of(vp, X86_OP_RDMSR, insn_length);
    uint64_t value = 0;
    enum msr_result result;

    if (length == 0) {
        return EXIT_RESUME;
    }
    result = msr_read(vp, (uint32_t)vp->regs.gpr[VP_RCX], &value);
    if (result == MSR_OK) {
        vp->regs.gpr[VP_RAX] = (uint32_t)value;
        vp->regs.gpr[VP_RDX] = value >> 32;
    }
    return finish_msr(vp, result, false, length);
}

enum exit_action exit_wrmsr(struct vp *vp, uint8_t insn_length)
{
    uint8_t length = insn_length_of(vp, X86_OP_WRMSR, insn_length);
    uint64_t value = (uint32_t)vp->regs.gpr[VP_RAX] | vp->regs.gpr[VP_RDX] << 32;

    if (length == 0) {
        return EXIT_RESUME;
    }
    return finish_msr(vp, msr_write(vp, (uint32_t)vp->regs.gpr[VP_RCX], value), true, length);
}

bool exit_fast_hypercall(struct vp *vp)
{
    struct cpu *cpu = cpu_this();
    bool is_done;

    if (!hypercall_is_enabled(vp->partition)) {
        return false;
    }
    atomic_store_explicit(&cpu->guest_space, NULL, memory_order_release);
    is_done = hypercall_execute_short(vp);
    /* As before any entry: pairs with gpa_flush(). */
    atomic_store_explicit(&cpu->guest_space, vp->space, memory_order_seq_cst);
    return is_done;
}

bool exit_fast_may_enter(struct vp *vp)
{
    return atomic_load_explicit(&vp->space->generation, memory_order_seq_cst) == vp->space_generation &&
           atomic_load_explicit(&vp->flush_wanted, memory_order_seq_cst) == vp->flush_done &&
           atomic_load_explicit(&vp->requests, memory_order_acquire) == 0 && !vp_has_event(vp);
}

bool exit_fast_trace(const struct vp *vp, enum x86_op op, uint64_t code, uint64_t rip)
{
    const uint64_t *gpr = vp->regs.gpr;

    trace(TRACE_EXIT, vp->trace_id, code, rip);
    if (op == X86_OP_RDMSR || op == X86_OP_WRMSR) {
        trace(TRACE_MSR, vp->trace_id, (uint32_t)gpr[VP_RCX] | (op == X86_OP_WRMSR ? TRACE_MSR_WRITE : 0),
              (uint32_t)gpr[VP_RAX] | gpr[VP_RDX] << 32);
    } else if (op != X86_OP_CPUID) {
        trace(TRACE_HYPERCALL, vp->trace_id, gpr[VP_RCX], gpr[VP_RAX]);
    }
    return true;
}

enum exit_action exit_halt(struct vp *vp, uint8_t insn_length)
{
    if (!insn_complete(vp, X86_OP_HLT, insn_length)) {
        return EXIT_RESUME;
    }
    vp->activity = VP_HALTED;
    if (vp_has_work(vp)) {
        vp->activity = VP_ACTIVE;
        return EXIT_RESUME;
    }
    return leave(vp, VP_RUN_BLOCKED);
}

enum exit_action exit_xsetbv(struct vp *vp, uint8_t insn_length)
{
    uint64_t value = (uint32_t)vp->regs.gpr[VP_RAX] | vp->regs.gpr[VP_RDX] << 32;
    uint8_t length = insn_length_of(vp, X86_OP_XSETBV, insn_length);

    if (length == 0) {
        return EXIT_RESUME;
    }
    if (vp_cpl(vp) != 0 || (uint32_t)vp->regs.gpr[VP_RCX] != 0 || !cpuid_xcr0_is_valid(vp, value)) {
        vp_inject_gp(vp);
        return EXIT_RESUME;
    }
    vp_fpu_set_xcr0(vp, value);
    vp_advance(vp, length);
    return EXIT_RESUME;
}

/* A VP that could run, but nobody has dispatched it. */
static bool is_kept_waiting(struct vp *vp)
{
    bool waits;

    spin_lock(&vp->lock);
    waits = atomic_load_explicit(&vp->cpu, memory_order_relaxed) == NULL && vp_can_run_locked(vp);
    spin_unlock(&vp->lock);
    return waits;
}

enum exit_action exit_pause(struct vp *vp, uint8_t insn_length)
{
    if (!insn_complete(vp, X86_OP_PAUSE, insn_length)) {
        return EXIT_RESUME;
    }
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *other = READ_ONCE(vp->partition->vps[i]);

        if (other != NULL && other != vp && is_kept_waiting(other)) {
            return leave(vp, VP_RUN_INTERRUPT);
        }
    }
    return EXIT_RESUME;
}

enum exit_action exit_cache_flush(struct vp *vp, uint8_t insn_length)
{
    /* QEMU's software CPU reports both by the code of WBINVD. */
    if (!insn_complete(vp, X86_OP_WBINVD, insn_length)) {
        (void)!insn_complete(vp, X86_OP_INVD, insn_length);
    }
    return EXIT_RESUME;
}

enum exit_action exit_undefined(struct vp *vp)
{
    vp_inject_exception(vp, X86_VECTOR_UD, false, 0);
    return EXIT_RESUME;
}

enum exit_action exit_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error, uint64_t parameter)
{
    if (!(vp_exception_intercepts(vp) & 1u << vector)) {
        vp_inject_exception(vp, vector, has_error, error);
        return EXIT_RESUME;
    }
    intercept_exception(vp, vector, has_error, error, parameter);
    return leave_for_root(vp);
}

enum exit_action exit_shutdown(struct vp *vp)
{
    if (vp->is_root) {
        panic("the root partition's VP %u took a triple fault at RIP %lx", vp->index, vp->regs.rip);
    }
    intercept_unrecoverable(vp);
    return leave_for_root(vp);
}

enum exit_action exit_interrupt(struct vp *vp)
{
    const struct vp *root = cpu_this()->root_vp;

    /* A child gives way when the interrupt, or the kick, was for the root VP of this processor. */
    if (vp->is_root || root == NULL || atomic_load_explicit(&root->requests, memory_order_relaxed) == 0) {
        return EXIT_RESUME;
    }
    return leave(vp, VP_RUN_INTERRUPT);
}

/* A register of the backend's. */
static union hv_register_value register_of(struct vp *vp, uint32_t name)
{
    union hv_register_value value = {0};
    hv_status_t status = backend->get_register(vp, name, &value);

    ASSERT(status == HV_STATUS_SUCCESS);
    return value;
}

/* Logs what decides whether a processor takes a VP's state. */
static void dump(struct vp *vp)
{
    const struct hv_x64_segment_register cs = register_of(vp, HvX64RegisterCs).segment;
    struct vp_paging_state paging;

    backend->get_paging(vp, &paging);
    vp_read_state(vp, VP_UNREAD_RSP);
    log_line("  RIP %lx RSP %lx RFLAGS %lx CR0 %lx CR3 %lx CR4 %lx EFER %lx CPL %u", vp->regs.rip, vp->regs.gpr[VP_RSP],
             vp->regs.rflags, paging.cr0, paging.cr3, paging.cr4, paging.efer, paging.cpl);
    log_line("  CS %x base %lx limit %x attributes %x DR6 %lx DR7 %lx", cs.selector, cs.base, cs.limit, cs.attributes,
             register_of(vp, HvX64RegisterDr6).reg64, register_of(vp, HvX64RegisterDr7).reg64);
}

enum exit_action exit_unexpected(struct vp *vp, uint64_t code, const char *what)
{
    log_line("partition %lu VP %u: cannot go on: %s (exit %lx)", vp->partition->id, vp->index, what, code);
    dump(vp);
    if (vp->is_root) {
        panic("the root partition cannot go on: %s", what);
    }
    partition_fail(vp->partition, what);
    intercept_unrecoverable(vp);
    return leave_for_root(vp);
}
