/* SPDX-License-Identifier: MIT */
/* The per-processor trace rings. Each is written by its processor only, so there is no lock; NMIs may lose a record. */
#include "hv/debug/trace.h"

#include "hv/boot/boot.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace_read.h"
#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/mem/mem.h"

#define RING_PAGES   4
#define RING_RECORDS (RING_PAGES * PAGE_SIZE / sizeof(struct trace_record)) /* a power of two */
#define OPTION_MAX   32

/* One processor's ring. */
struct ALIGNED(64) trace_ring {
    struct trace_record *records; /* [I] null until there is memory */
    uint64_t written;             /* [C] records ever written */
};

_Static_assert(sizeof(struct trace_record) == 32, "trace record");

uint64_t trace_mask;
static struct trace_ring rings[CPU_MAX];

static const char *const event_names[TRACE_EVENT_COUNT] = {
    [TRACE_NONE] = "none",         [TRACE_EXIT] = "exit",           [TRACE_HYPERCALL] = "hypercall",
    [TRACE_MESSAGE] = "message",   [TRACE_EVENT] = "event",         [TRACE_DISPATCH] = "dispatch",
    [TRACE_INJECT] = "inject",     [TRACE_INTERRUPT] = "interrupt", [TRACE_TIMER] = "timer",
    [TRACE_VP_STATE] = "vp-state", [TRACE_PARTITION] = "partition", [TRACE_MSR] = "msr",
};

bool trace_init_processor(uint32_t cpu_index)
{
    rings[cpu_index].records = page_alloc_contiguous(RING_PAGES);
    return rings[cpu_index].records != NULL;
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
    struct trace_ring *ring = &rings[cpu_this()->index];

    if (ring->records == NULL) {
        return;
    }
    ring->records[ring->written % RING_RECORDS] =
        (struct trace_record){.tsc = rdtsc(), .event = event, .vp = vp, .a = a, .b = b};
    ring->written++;
}

uint32_t trace_read_last(struct trace_record *records, uint32_t max)
{
    const struct trace_ring *ring = &rings[cpu_this()->index];

    if (ring->records == NULL) {
        return 0;
    }
    uint64_t count = min_u64(min_u64(max, ring->written), RING_RECORDS);
    for (uint64_t i = 0; i < count; i++) {
        records[i] = ring->records[(ring->written - count + i) % RING_RECORDS];
    }
    return (uint32_t)count;
}

const char *trace_event_name(uint32_t event)
{
    return event < TRACE_EVENT_COUNT ? event_names[event] : "unknown";
}
