/* SPDX-License-Identifier: MIT */
#ifndef EXIT_EXIT_H
#define EXIT_EXIT_H

/*
 * Where a backend's run loop hands its exits. The backend has copied RAX..R15, RIP, RFLAGS and the interrupt shadow
 * into the VP (vp->regs), has put an event whose delivery the exit interrupted back into vp->pending_interruption, and
 * writes all of it back before the next entry. Each function completes the instruction itself (advances RIP or leaves
 * an event pending).
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/partition/backend.h"
#include "hv/partition/exit_record.h"

struct vp;

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
/* MOV to CR8 while an interrupt waits for a lower task priority. */
enum exit_action exit_write_cr8(struct vp *vp);
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
/* An exit that the backend does not expect: the partition is lost, never the machine. `code` is the backend's number.
 */
enum exit_action exit_unexpected(struct vp *vp, uint64_t code, const char *what);

#endif
