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
    return vp_decode_mode(&mode);
}

uint8_t insn_decode_length(struct vp *vp, enum x86_op op)
{
    uint8_t bytes[X86_INSN_LENGTH_MAX];
    size_t count = vp_fetch_instruction(vp, bytes, sizeof(bytes));
    enum x86_mode mode = insn_mode(vp);
    uint8_t length = (uint8_t)x86_insn_length_of(op, bytes, count, mode);

    if (mode == X86_MODE_64) {
        vp_note_instruction(vp, (uint32_t)op, bytes, length);
    }
    return length;
}
