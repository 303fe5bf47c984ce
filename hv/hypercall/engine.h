/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_ENGINE_H
#define HYPERCALL_ENGINE_H

/*
 * The hypercall engine: decodes the control word, finds the call's row, checks everything that does not depend on the
 * call, copies the input in, runs the handler, copies completed output back, and continues long calls.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"

struct hypercall_row;
struct partition;
struct vp;

/* Most input and output that one entry of the engine handles; a rep call with more continues. */
#define HYPERCALL_INPUT_MAX  1664
#define HYPERCALL_OUTPUT_MAX 1024

/*
 * What a handler gets. `input` is a private copy: the fixed part, `variable_count` qwords of variable header right
 * behind it, and at `rep_input` the elements of this entry. The handler of a rep call performs elements 0 to rep_count
 * - 1 of this entry (elements rep_first ... of the whole list) and counts each one it completed in `reps_done`; what it
 * leaves out with status SUCCESS is done in a later entry. It must complete or refuse at least one. Status TIME_OUT:
 * the work is not finished, call again with the same input (and behind the elements completed); no guest sees it.
 */
struct hypercall_context {
    struct vp *vp;            /* caller */
    struct partition *caller; /* its partition */
    const struct hypercall_row *row;
    const void *input;        /* fixed part; 8-byte aligned */
    const uint64_t *variable; /* variable header */
    uint32_t variable_count;  /* its qwords */
    uint32_t rep_first;       /* index of the first element of this entry in the whole list */
    uint32_t rep_count;       /* elements of this entry */
    uint32_t reps_done;       /* out: completed of them */
    bool skips_output;        /* out, simple call: it has no output in this form; none is written */
    const void *rep_input;    /* input elements of this entry, packed */
    void *output;             /* simple call: zeroed; rep call: elements of this entry, packed, zeroed */
};

/*
 * Executes the hypercall that the VP's registers describe (the caller has checked privilege level and mode, and says
 * whether the code is 64-bit). True: the result is in the registers and RIP is to be advanced over the instruction.
 * False: RIP stays; the call goes on when it is executed again, or an exception is pending, or the VP is
 * intercept-suspended with VP_REQUEST_SUSPEND raised. Own VP, no locks held.
 */
MUST_CHECK bool hypercall_execute(struct vp *vp, bool is_64bit);

/* The control word is no more than the code of a call with its input in registers. */
static inline bool hypercall_is_short(uint64_t control)
{
    return (control & ~HV_HYPERCALL_CODE_MASK) == HV_HYPERCALL_FAST;
}

/*
 * The same for such calls of 64-bit code that children may make, and that have no output. True: done, the result is in
 * RAX. False: another call, or one that is not to be ended now; nothing has changed but what it has done so far, and
 * hypercall_execute() goes on with it.
 */
MUST_CHECK bool hypercall_execute_short(struct vp *vp);

#endif
