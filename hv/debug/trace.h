/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_TRACE_H
#define DEBUG_TRACE_H

/* Per-processor ring of fixed 32-byte records; always compiled, masked at run time. */

#include <stdbool.h>
#include <stdint.h>

/* What a record says. Values are part of the trace format: append only. */
enum trace_event_id {
    TRACE_NONE,
    TRACE_EXIT, /* a = backend exit code (VT-x: bits 63:32 VMREADs and VMWRITEs since the last one), b = guest RIP */
    TRACE_HYPERCALL,   /* a = control word, b = result */
    TRACE_MESSAGE,     /* a = message type, b = SINT */
    TRACE_EVENT,       /* a = event flag number, b = SINT */
    TRACE_DISPATCH,    /* a = partition id, b = result state and event */
    TRACE_INJECT,      /* a = vector, b = type */
    TRACE_INTERRUPT,   /* a = physical vector, b = vector that the root gets, or 0 */
    TRACE_TIMER,       /* a = deadline TSC, b = synthetic timer */
    TRACE_VP_STATE,    /* a = old state, b = new state */
    TRACE_PARTITION,   /* a = partition id, b = new state */
    TRACE_MSR,         /* a = MSR number (TRACE_MSR_WRITE: written), b = value */
    TRACE_ABANDON,     /* a = partition id, b = pages of its deposit that became the root's */
    TRACE_INTERCEPT,   /* a = message type, b = guest RIP */
    TRACE_INSTRUCTION, /* of the intercept before: a, b = its bytes in memory order, up to 15; b bits 59:56 = their
                          number, 61:60 = default size of the code: 0, 1, 2 for 16, 32, 64 bits */
    TRACE_EVENT_COUNT,
};
#define TRACE_INSTRUCTION_BYTES       15u
#define TRACE_INSTRUCTION_COUNT_SHIFT 56
#define TRACE_INSTRUCTION_SIZE_SHIFT  60

#define TRACE_MSR_WRITE (UINT64_C(1) << 32)

/* One record, 32 bytes. */
struct trace_record {
    uint64_t tsc;
    uint32_t event; /* enum trace_event_id */
    uint32_t vp;    /* low 16 bits VP index, high 16 bits partition id */
    uint64_t a;
    uint64_t b;
};

/* Mask of enabled events, bit per id; set from the boot option trace=. */
extern uint64_t trace_mask;

/* Writes a record into this processor's ring. */
void trace_write(enum trace_event_id event, uint32_t vp, uint64_t a, uint64_t b);

/* True if records of this event are kept. */
static inline bool trace_is_enabled(enum trace_event_id event)
{
    return ((trace_mask >> event) & 1) != 0;
}

/* Writes a record if the event is enabled. */
static inline void trace(enum trace_event_id event, uint32_t vp, uint64_t a, uint64_t b)
{
    if (trace_is_enabled(event)) {
        trace_write(event, vp, a, b);
    }
}

#endif
