/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_TRACE_READ_H
#define DEBUG_TRACE_READ_H

/*
 * The trace rings as they lie in memory, where tests/system/tracing.py finds them in a dump; their start-up, and
 * reading them.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/debug/trace.h"
#include "hv/lib/compiler.h"

#define TRACE_RING_MAGIC   0x3147525443524150u /* "PARCTRG1" */
#define TRACE_RING_PAGES   4u
#define TRACE_RING_RECORDS 510u
#define TRACE_BACKEND_MAX  8u

/*
 * One processor's ring, page-aligned and in one piece. A dump of memory is searched for `magic`; a copy of a ring lies
 * elsewhere than at `address`. Record n is at n % record_count, and the slot after the last record may be half written.
 */
struct trace_ring {
    uint64_t magic;                  /* [I] */
    uint64_t address;                /* [I] its own SPA */
    uint32_t cpu_index;              /* [I] */
    uint32_t record_count;           /* [I] */
    uint64_t written;                /* [C] records ever written */
    uint64_t base_tsc;               /* [I] after trace_describe(): TSC at time 0 */
    uint64_t tsc_hz;                 /* [I] the same; 0 before */
    char backend[TRACE_BACKEND_MAX]; /* [I] the same: whose exit codes TRACE_EXIT has */
    uint64_t rsvd;
    struct trace_record records[TRACE_RING_RECORDS]; /* [C] */
};

/* Allocates the ring of processor `cpu_index`; without one its records are dropped. False: no memory. */
MUST_CHECK bool trace_init_processor(uint32_t cpu_index);

/* Notes in all rings the clock and the backend. Boot processor, once, when all processors have their rings. */
void trace_describe(const char *backend_name);

/* Sets trace_mask from the option trace= (a number, bit per event id; default all). Boot processor. */
void trace_init(void);

/* Copies the last records of this processor, oldest first; returns how many. Takes no lock. */
uint32_t trace_read_last(struct trace_record *records, uint32_t max);

/* The event's name; "unknown" beyond the known ones. */
const char *trace_event_name(uint32_t event);

#endif
