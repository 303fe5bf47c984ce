/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_VP_CODE_H
#define PARTITION_VP_CODE_H

/*
 * The parts of vp_recall_instruction(), for it and for a backend that has an exit to answer before it is recorded:
 * there the VP still counts as being in guest mode, so nothing has to be published before guest memory is read.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/vp.h"

/* Eight bytes at any address. */
struct PACKED vp_code_bytes {
    uint64_t value;
};

/* Where an instruction at RIP is noted. */
static inline struct vp_code_note *vp_code_note(struct vp *vp)
{
    return &vp->code_notes[(vp->regs.rip ^ vp->regs.rip >> 4) % VP_CODE_NOTES];
}

/* Where the trail to the page at RIP is kept. */
static inline struct vp_code_trail *vp_code_trail(struct vp *vp)
{
    return &vp->code_trails[(vp->regs.rip >> PAGE_SHIFT) % VP_CODE_TRAILS];
}

/* All words of a trail read the same. What was published says that they may be read. */
static inline bool gpa_trail_holds(const struct gpa_trail *trail)
{
    for (uint32_t i = 0; i < trail->count; i++) {
        if (*(const volatile uint64_t *)GUEST_CAST(const uint64_t *, trail->words[i].place) != trail->words[i].value) {
            return false;
        }
    }
    return true;
}

/*
 * The trail is complete and leads to the bytes of the note at `offset`, which are not too near to the end of the page
 * to be read as eight. As above.
 */
static inline bool gpa_trail_shows(const struct gpa_trail *trail, uint64_t offset, const struct vp_code_note *note)
{
    uint64_t code;

    if (trail->page == NULL || trail->count > GPA_TRAIL_WORDS || offset + sizeof(code) > PAGE_SIZE ||
        !gpa_trail_holds(trail)) {
        return false;
    }
    code = GUEST_CAST(const volatile struct vp_code_bytes *, trail->page + offset)->value;
    /* The bytes behind the instruction are shifted out. */
    return (code ^ note->code) << (64 - 8 * note->length) == 0;
}

/* The note is of this operation at RIP, and the trail to RIP's page. */
static inline bool vp_code_is_known(const struct vp *vp, uint32_t op, const struct vp_code_note *note,
                                    const struct vp_code_trail *code)
{
    return note->rip == vp->regs.rip && note->op == op && note->length != 0 && code->page == vp->regs.rip >> PAGE_SHIFT;
}

#endif
