/* SPDX-License-Identifier: MIT */
#ifndef EXIT_INSN_H
#define EXIT_INSN_H

/* The intercepted instruction itself, for processors that do not say how long it is. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/vp.h"

/* How the VP's code segment decodes now. */
enum x86_mode insn_mode(struct vp *vp);

/* The second half of insn_length_of(): fetches and decodes, and notes the length. */
MUST_CHECK uint8_t insn_decode_length(struct vp *vp, enum x86_op op);

/*
 * Length of the intercepted instruction: `given` if the processor said so (not 0), else decoded from guest memory,
 * where it must be `op`. 0: what is at RIP now is another instruction (changed by another VP since): resume, and the
 * guest executes that.
 */
MUST_CHECK static inline uint8_t insn_length_of(struct vp *vp, enum x86_op op, uint8_t given)
{
    uint8_t length = given != 0 ? given : (uint8_t)vp_recall_instruction(vp, (uint32_t)op);

    return length != 0 ? length : insn_decode_length(vp, op);
}

/* Advances RIP over `op`; does nothing where the instruction has changed. False in that case: leave out its effect. */
MUST_CHECK static inline bool insn_complete(struct vp *vp, enum x86_op op, uint8_t given)
{
    uint8_t length = insn_length_of(vp, op, given);

    if (length == 0) {
        return false;
    }
    vp_advance(vp, length);
    return true;
}

#endif
