/* SPDX-License-Identifier: MIT */
#ifndef EXIT_EXIT_H
#define EXIT_EXIT_H

/*
 * Where a backend's run loop hands its exits. The backend has copied RAX..R15, RIP, RFLAGS and the interrupt shadow
 * into the VP (vp->regs) but for what it leaves unread (vp_read_state), has put an event whose delivery the exit
 * interrupted back into vp->pending_interruption, and writes all of it back before the next entry. Each function
 * completes the instruction itself (advances RIP or leaves an event pending).
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/debug/trace.h"
#include "hv/hypercall/engine.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/backend.h"
#include "hv/partition/exit_record.h"
#include "hv/partition/partition.h"
#include "hv/partition/reftime.h"
#include "hv/partition/vp.h"
#include "hv/partition/vp_code.h"

/* What the run loop does next: enter the guest again, or return `vp->run_status` to its caller. */
enum exit_action {
    EXIT_RESUME,
    EXIT_LEAVE,
};

/* Instruction exits; the length is 0 when the processor gives none (decoded on demand). */
enum exit_action exit_cpuid(struct vp *vp, uint8_t insn_length);
enum exit_action exit_hypercall(struct vp *vp, uint8_t insn_length);
enum exit_action exit_rdmsr(struct vp *vp, uint8_t insn_length);
enum exit_action exit_wrmsr(struct vp *vp, uint8_t insn_length);
enum exit_action exit_halt(struct vp *vp, uint8_t insn_length);
enum exit_action exit_xsetbv(struct vp *vp, uint8_t insn_length);
/* A child spins in PAUSE: it gives its processor back if a VP that it may be waiting for, one of its own partition,
 * could run and does not. */
enum exit_action exit_pause(struct vp *vp, uint8_t insn_length);
/* INVD and WBINVD of a child: no-operations, since its memory is coherent and the caches are not its own. */
enum exit_action exit_cache_flush(struct vp *vp, uint8_t insn_length);
/* An instruction that this partition does not have: #UD. */
enum exit_action exit_undefined(struct vp *vp);

enum exit_action exit_io(struct vp *vp, const struct exit_io *io);
enum exit_action exit_memory(struct vp *vp, const struct exit_memory *access);

/* An exception: the root's, if it asked for it, else the VP's own (BACKEND_EXCEPTIONS). */
enum exit_action exit_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error, uint64_t parameter);
/* Triple fault. */
enum exit_action exit_shutdown(struct vp *vp);
/* A physical interrupt or NMI ended guest mode; it has been taken. */
enum exit_action exit_interrupt(struct vp *vp);
/*
 * An exit that the backend does not expect, or a state that the processor refuses: logs what it is and the registers. A
 * child loses its partition, and the machine goes on; without its root it cannot, so then this panics. `code` is the
 * backend's number.
 */
enum exit_action exit_unexpected(struct vp *vp, uint64_t code, const char *what);

/*
 * Fast paths: what a backend asks for right behind its world switch, before it records the exit. The VP still counts as
 * being in guest mode, on the terms of its last entry (cpu->guest_space): these take no lock and wait for nobody. RAX,
 * RBX, RCX and RDX are in vp->regs, and are all that changes. False: nothing has changed, and the exit takes the way
 * above.
 */

/*
 * The instruction may be completed by moving RIP on, and the guest entered as it was: nobody wants anything of the VP,
 * and no trap is due behind the instruction. The backend answers for what it has put into the last entry, and for
 * shadows.
 */
MUST_CHECK static inline bool exit_fast_is_possible(const struct vp *vp, uint64_t rflags)
{
    return atomic_load_explicit(&vp->requests, memory_order_acquire) == 0 &&
           (rflags & (X86_RFLAGS_TF | X86_RFLAGS_RF)) == 0;
}

/* Moves RIP on. False: the instruction ends in another 4 GiB, where it matters whether this is 64-bit code. */
MUST_CHECK static inline bool exit_fast_advance(uint64_t *rip, uint8_t length)
{
    *rip += length;
    return (uint32_t)*rip >= length;
}

/* CPUID of a leaf that was asked for before and holds no bits of control registers. */
MUST_CHECK static inline bool exit_fast_cpuid(struct vp *vp)
{
    uint64_t *gpr = vp->regs.gpr;
    const struct partition *partition = vp->partition;
    const struct cpuid_answer *answer = cpuid_answer_of(&vp->cpuid, (uint32_t)gpr[VP_RAX]);

    if (READ_ONCE(partition->intercepts_cpuid_all) || answer->is_mirrored ||
        !cpuid_answers(answer, (uint32_t)gpr[VP_RAX], (uint32_t)gpr[VP_RCX], READ_ONCE(partition->vp_count))) {
        return false;
    }
    gpr[VP_RAX] = answer->values[CPUID_EAX];
    gpr[VP_RBX] = answer->values[CPUID_EBX];
    gpr[VP_RCX] = answer->values[CPUID_ECX];
    gpr[VP_RDX] = answer->values[CPUID_EDX];
    return true;
}

/* RDMSR of a synthetic MSR that is always the same, or the reference counter, if it was the last one accessed. */
MUST_CHECK static inline bool exit_fast_rdmsr(struct vp *vp)
{
    uint64_t *gpr = vp->regs.gpr;
    uint32_t msr = (uint32_t)gpr[VP_RCX];
    uint64_t value;

    if (msr != vp->msrs.permitted) {
        return false;
    }
    if (msr == HV_X64_MSR_VP_INDEX) {
        value = vp->index;
    } else if (msr != HV_X64_MSR_TIME_REF_COUNT || !reftime_now_by_tsc(&vp->partition->reftime, &value)) {
        return false;
    }
    gpr[VP_RAX] = (uint32_t)value;
    gpr[VP_RDX] = value >> 32;
    return true;
}

/* WRMSR of a SINT that stays masked, if it was the last synthetic MSR accessed. */
MUST_CHECK static inline bool exit_fast_wrmsr(struct vp *vp)
{
    const uint64_t *gpr = vp->regs.gpr;
    uint32_t msr = (uint32_t)gpr[VP_RCX];
    uint64_t value = (uint32_t)gpr[VP_RAX] | gpr[VP_RDX] << 32;

    return msr == vp->msrs.permitted && msr - HV_X64_MSR_SINT0 < HV_SYNIC_SINT_COUNT &&
           synic_write_masked(&vp->synic, msr - HV_X64_MSR_SINT0, value);
}

/*
 * A hypercall of 64-bit code at CPL 0 with all of its input in registers (hypercall_is_short()). This one may lock and
 * wait, so guest mode ends for it. True: the result is in RAX; whether the guest can be entered as it was, says
 * exit_fast_may_enter().
 */
MUST_CHECK bool exit_fast_hypercall(struct vp *vp);
MUST_CHECK bool exit_fast_may_enter(struct vp *vp);

/* Traces what exit_fast_end() ends; returns true. */
bool exit_fast_trace(const struct vp *vp, enum x86_op op, uint64_t code, uint64_t rip);

/* The exit is over: true. `op` is the instruction that was at `rip`; `code` as for TRACE_EXIT. */
static inline bool exit_fast_end(struct vp *vp, enum x86_op op, uint64_t code, uint64_t rip)
{
    vp->exit_count++;
    return LIKELY(trace_mask == 0) || exit_fast_trace(vp, op, code, rip);
}

#endif
