/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_INTERCEPT_H
#define PARTITION_INTERCEPT_H

/*
 * Intercept messages (TLFS, Intercepts): each function writes the whole message into the VP's intercept page, suspends
 * the VP and sets its run status to VP_RUN_INTERCEPT; the caller leaves the run loop. RIP is still at the intercepted
 * instruction. Own VP, in its exit, no lock of rank VP or higher held. A VP without an intercept page (the root has not
 * mapped one) is suspended all the same.
 */

#include <stdbool.h>
#include <stdint.h>

struct exit_io;
struct exit_memory;
struct vp;

/* IN or OUT, string forms included. */
void intercept_io_port(struct vp *vp, const struct exit_io *io);

/* A memory access: to a hole (unmapped GPA) or against the rights of a mapping (GPA intercept). */
void intercept_memory(struct vp *vp, const struct exit_memory *access, bool is_unmapped);

/* RDMSR or WRMSR of `insn_length` bytes; number and value are in RCX, RDX, RAX. */
void intercept_msr(struct vp *vp, bool is_write, uint8_t insn_length);

/* CPUID of `insn_length` bytes, with what the hypervisor would have answered. */
void intercept_cpuid(struct vp *vp, uint8_t insn_length);

/* An exception before its delivery; `parameter` is CR2 or DR6. */
void intercept_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error, uint64_t parameter);

/* Triple fault, or state that cannot be run. */
void intercept_unrecoverable(struct vp *vp);

/* HLT, where the partition's HLT is the root's business. */
void intercept_halt(struct vp *vp, uint8_t insn_length);

/*
 * The guest has ended a level-triggered interrupt (already done in its APIC). Instruction complete: the run loop is
 * left before the next entry, through VP_REQUEST_SUSPEND, or at once by a caller that looks at
 * vp->is_intercept_suspended.
 */
void intercept_apic_eoi(struct vp *vp, uint8_t vector);

#endif
