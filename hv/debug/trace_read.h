/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_TRACE_READ_H
#define DEBUG_TRACE_READ_H

/* Start-up of the trace rings and reading them. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/debug/trace.h"
#include "hv/lib/compiler.h"

/* Allocates the ring of processor `cpu_index`; without one its records are dropped. False: no memory. */
MUST_CHECK bool trace_init_processor(uint32_t cpu_index);

/* Sets trace_mask from the option trace= (a number, bit per event id; default all). Boot processor. */
void trace_init(void);

/* Copies the last records of this processor, oldest first; returns how many. Takes no lock. */
uint32_t trace_read_last(struct trace_record *records, uint32_t max);

/* The event's name; "unknown" beyond the known ones. */
const char *trace_event_name(uint32_t event);

#endif
