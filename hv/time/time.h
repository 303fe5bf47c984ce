/* SPDX-License-Identifier: MIT */
#ifndef TIME_TIME_H
#define TIME_TIME_H

/* The one clock (TSC, calibrated at boot) and per-processor one-shot timers. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/cpu/asm.h"
#include "hv/lib/compiler.h"
#include "hv/lib/list.h"

struct cpu;

/* Calibrates the TSC and the local APIC timer against two other sources. Boot processor, once. */
void time_init(void);

/* TSC ticks per second, as calibrated. */
uint64_t time_tsc_hz(void);

/* The TSC now. */
#if __STDC_HOSTED__
uint64_t time_tsc(void); /* of the machine's stand-in */
#else
static inline uint64_t time_tsc(void)
{
    return rdtsc();
}
#endif

/* 100 ns units since boot; monotone on every processor. */
uint64_t time_100ns(void);

/* Converts between 100 ns since boot and absolute TSC values (saturating at UINT64_MAX). */
uint64_t time_100ns_to_tsc(uint64_t time);
uint64_t time_tsc_to_100ns(uint64_t tsc);

/* Busy-waits; boot only. */
void time_delay_us(uint32_t us);

/*
 * A one-shot timer. Its function runs in interrupt context on the processor that armed it, with no timer lock held.
 * Because it can race with a cancel on another processor, it re-checks its object's state under that object's lock. It
 * must not free the timer; whoever frees it calls timer_cancel() first.
 */
struct timer {
    struct list_node node;             /* [queue] */
    uint64_t deadline_tsc;             /* [queue] */
    void (*fire)(struct timer *timer); /* [I] */
    _Atomic(struct cpu *) cpu;      /* [a] processor whose queue holds it, or null; changed under that queue's lock */
    _Atomic uint32_t running_count; /* [a] processors that are in its function now */
};

/* Prepares a timer; it is not armed. */
void timer_init(struct timer *timer, void (*fire)(struct timer *timer));

/* Arms (or moves) it on this processor for an absolute TSC value; a past value fires at the next interrupt window. */
void timer_arm(struct timer *timer, uint64_t deadline_tsc);

/*
 * Disarms it wherever it is queued, and returns only when its function is not running on another processor: the caller
 * must hold no lock that the function takes. Within the function itself it does not wait.
 */
void timer_cancel(struct timer *timer);

/* True while a queue holds it. */
bool timer_is_armed(const struct timer *timer);

/* True if the start-up check saw no processor's TSC behind another's: what a reference TSC page needs. */
bool time_tsc_is_synchronised(void);

#endif
