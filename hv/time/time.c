/* SPDX-License-Identifier: MIT */
/* The one clock: the TSC. How fast it is, calibrate.c finds out. */
#include "hv/time/time.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/irq/irq.h"
#include "hv/time/calibrate.h"
#include "hv/time/scale.h"
#include "hv/time/time_init.h"
#include "hv/time/timer_queue.h"

#define US_PER_SECOND 1000000u
#define PAIR_ROUNDS   400

static struct time_scale scale = {.base_tsc = UINT64_MAX, .hz = 1}; /* [I] after time_init(); time stands at 0 before */

/* The check of one pair of processors. */
static struct {
    _Atomic uint32_t turn;    /* index of the processor whose pair is being checked; 0: none */
    _Atomic uint32_t arrived; /* how many of the two are there */
    _Atomic uint32_t done;    /* how many of the two are through */
    _Atomic bool is_busy;     /* guards `last` and `worst` */
    uint64_t last;            /* the newest TSC that either has seen */
    uint64_t worst;           /* by how much a later reading was behind an earlier one, over all pairs */
} pair;

void time_init(void)
{
    uint64_t hz, lapic_hz;

    calibrate(&hz, &lapic_hz);
    scale = (struct time_scale){.base_tsc = rdtsc(), .hz = hz};
    lapic_timer_set_frequency(lapic_hz);
    timer_queue_init();
    log_line("time: TSC %llu Hz, local APIC timer %llu Hz", (unsigned long long)hz, (unsigned long long)lapic_hz);
}

uint64_t time_tsc_hz(void)
{
    return scale.hz;
}

uint64_t time_100ns(void)
{
    return scale_to_100ns(&scale, rdtsc());
}

uint64_t time_100ns_to_tsc(uint64_t time)
{
    return scale_to_tsc(&scale, time);
}

uint64_t time_tsc_to_100ns(uint64_t tsc)
{
    return scale_to_100ns(&scale, tsc);
}

void time_delay_us(uint32_t us)
{
    uint64_t start = rdtsc();
    uint64_t ticks = scale_multiply_divide(us, scale.hz, US_PER_SECOND);

    while (rdtsc() - start < ticks) {
        pause();
    }
}

static void wait_for(const _Atomic uint32_t *value, uint32_t wanted)
{
    while (atomic_load(value) != wanted) {
        pause();
    }
}

/* One side of a pair: keeps comparing its TSC with the newest that either side has seen. */
static void run_pair(void)
{
    for (uint32_t i = 0; i < PAIR_ROUNDS; i++) {
        while (atomic_exchange_explicit(&pair.is_busy, true, memory_order_acquire)) {
            pause();
        }
        /* The processor must not read the TSC before it has the guard. */
        __asm__ volatile("lfence" : : : "memory");
        uint64_t now = rdtsc();
        if (now < pair.last && pair.last - now > pair.worst) {
            pair.worst = pair.last - now;
        }
        pair.last = now;
        atomic_store_explicit(&pair.is_busy, false, memory_order_release);
        pause();
    }
}

void time_check_tsc_pair(uint32_t cpu_index)
{
    bool is_boot_processor = cpu_this()->index == 0;

    if (is_boot_processor) {
        pair.last = 0;
        atomic_store(&pair.done, 0);
        atomic_store(&pair.arrived, 0);
        atomic_store(&pair.turn, cpu_index);
    } else {
        wait_for(&pair.turn, cpu_index);
    }
    atomic_fetch_add(&pair.arrived, 1);
    wait_for(&pair.arrived, 2);
    run_pair();
    atomic_fetch_add(&pair.done, 1);
    if (is_boot_processor) {
        wait_for(&pair.done, 2);
    }
}

void time_report_tsc_check(void)
{
    if (pair.worst != 0) {
        log_line("time: the processors' TSCs differ by up to %llu ticks; no reference TSC page",
                 (unsigned long long)pair.worst);
    }
}

bool time_tsc_is_synchronised(void)
{
    return pair.worst == 0;
}
