/* SPDX-License-Identifier: MIT */
/* The per-processor trace rings. Each is written by its processor only, so there is no lock; NMIs may lose a record. */
#include "hv/debug/trace.h"

#include <stdatomic.h>

#include "hv/boot/boot.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace_read.h"
#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/mem/mem.h"
#include "hv/time/time.h"

#define OPTION_MAX 32

_Static_assert(sizeof(struct trace_record) == 32, "trace record");
_Static_assert(sizeof(struct trace_ring) == TRACE_RING_PAGES * PAGE_SIZE, "trace ring");

uint64_t trace_mask;
static struct trace_ring *rings[CPU_MAX]; /* [I] null until there is memory */

static const char *const event_names[TRACE_EVENT_COUNT] = {
    [TRACE_NONE] = "none",         [TRACE_EXIT] = "exit",           [TRACE_HYPERCALL] = "hypercall",
    [TRACE_MESSAGE] = "message",   [TRACE_EVENT] = "event",         [TRACE_DISPATCH] = "dispatch",
    [TRACE_INJECT] = "inject",     [TRACE_INTERRUPT] = "interrupt", [TRACE_TIMER] = "timer",
    [TRACE_VP_STATE] = "vp-state", [TRACE_PARTITION] = "partition", [TRACE_MSR] = "msr",
    [TRACE_ABANDON] = "abandon",   [TRACE_INTERCEPT] = "intercept", [TRACE_INSTRUCTION] = "instruction",
};

bool trace_init_processor(uint32_t cpu_index)
{
    struct trace_ring *ring = page_alloc_contiguous(TRACE_RING_PAGES);

    if (ring == NULL) {
        return false;
    }
    ring->magic = TRACE_RING_MAGIC;
    ring->address = mem_to_spa(ring).value;
    ring->cpu_index = cpu_index;
    ring->record_count = TRACE_RING_RECORDS;
    rings[cpu_index] = ring;
    return true;
}

void trace_describe(const char *backend_name)
{
    for (uint32_t i = 0; i < CPU_MAX; i++) {
        if (rings[i] != NULL) {
            rings[i]->base_tsc = time_100ns_to_tsc(0);
            rings[i]->tsc_hz = time_tsc_hz();
            str_copy(rings[i]->backend, backend_name, sizeof(rings[i]->backend));
        }
    }
}

void trace_init(void)
{
    char text[OPTION_MAX];

    trace_mask = UINT64_MAX;
    if (boot_option("trace", text, sizeof(text)) && !str_parse_u64(text, &trace_mask)) {
        trace_mask = UINT64_MAX;
        log_line("option trace=%s: a number (bit mask of events) is needed; tracing all", text);
    }
}

void trace_write(enum trace_event_id event, uint32_t vp, uint64_t a, uint64_t b)
{
    struct trace_ring *ring = rings[cpu_this()->index];

    if (ring == NULL) {
        return;
    }
    ring->records[ring->written % TRACE_RING_RECORDS] =
        (struct trace_record){.tsc = rdtsc(), .event = event, .vp = vp, .a = a, .b = b};
    /* Whoever dumps the machine between two instructions finds every counted record whole. */
    atomic_signal_fence(memory_order_release);
    ring->written++;
}

uint32_t trace_read_last(struct trace_record *records, uint32_t max)
{
    const struct trace_ring *ring = rings[cpu_this()->index];

    if (ring == NULL) {
        return 0;
    }
    uint64_t count = min_u64(min_u64(max, ring->written), TRACE_RING_RECORDS);
    for (uint64_t i = 0; i < count; i++) {
        records[i] = ring->records[(ring->written - count + i) % TRACE_RING_RECORDS];
    }
    return (uint32_t)count;
}

const char *trace_event_name(uint32_t event)
{
    return event < TRACE_EVENT_COUNT ? event_names[event] : "unknown";
}
