/* SPDX-License-Identifier: MIT */
/* Length of the intercepted instruction where the processor gives none: fetched by walking the guest's tables and
 * decoded. */
#include "hv/exit/insn.h"

#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/backend.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/vp.h"

enum x86_mode insn_mode(struct vp *vp)
{
    struct vp_code_mode mode;

    backend->get_code_mode(vp, &mode);
    return mode.bits == 64 ? X86_MODE_64 : mode.bits == 32 ? X86_MODE_32 : X86_MODE_16;
}

uint8_t insn_length_of(struct vp *vp, enum x86_op op, uint8_t given)
{
    uint8_t bytes[X86_INSN_LENGTH_MAX];
    size_t count;

    if (given != 0) {
        return given;
    }
    count = vp_fetch_instruction(vp, bytes, sizeof(bytes));
    return (uint8_t)x86_insn_length_of(op, bytes, count, insn_mode(vp));
}

bool insn_complete(struct vp *vp, enum x86_op op, uint8_t given)
{
    uint8_t length = insn_length_of(vp, op, given);

    if (length == 0) {
        return false;
    }
    vp_advance(vp, length);
    return true;
}
