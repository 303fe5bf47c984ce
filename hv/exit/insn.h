/* SPDX-License-Identifier: MIT */
#ifndef EXIT_INSN_H
#define EXIT_INSN_H

/* The intercepted instruction itself, for processors that do not say how long it is. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"

struct vp;

/* How the VP's code segment decodes now. */
enum x86_mode insn_mode(struct vp *vp);

/*
 * Length of the intercepted instruction: `given` if the processor said so (not 0), else decoded from guest memory,
 * where it must be `op`. 0: what is at RIP now is another instruction (changed by another VP since): resume, and the
 * guest executes that.
 */
MUST_CHECK uint8_t insn_length_of(struct vp *vp, enum x86_op op, uint8_t given);

/* Advances RIP over `op`; does nothing where the instruction has changed. False in that case: leave out its effect. */
MUST_CHECK bool insn_complete(struct vp *vp, enum x86_op op, uint8_t given);

#endif
