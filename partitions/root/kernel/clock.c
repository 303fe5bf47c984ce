/* SPDX-License-Identifier: MIT */
/* The clock (reference TSC page, or the counter MSR), the wall clock, and the timers of vmbus/host.h: one list that
 * processor 0 serves with a synthetic timer in direct mode. */
#include <stdbool.h>
#include <stddef.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/sched.h"
#include "vmbus/host.h"

#define CMOS_INDEX     0x70u
#define CMOS_DATA      0x71u
#define CMOS_STATUS_A  0x0Au
#define CMOS_STATUS_B  0x0Bu
#define CMOS_UPDATING  0x80u
#define CMOS_BINARY    0x04u
#define CMOS_TRIES_MAX 100000u

static const volatile struct hv_reference_tsc_page *tsc_page;
static uint64_t tsc_hz;
static int64_t wall_base;

static struct spinlock lock;
static struct host_timer *timers; /* [lock] those that are armed */

/* A timer's link to the next one, kept in the member that is the environment's. */
static struct host_timer **next_of(struct host_timer *timer)
{
    return (struct host_timer **)(void *)timer->environment;
}

uint64_t clock_now(void)
{
    uint32_t sequence = tsc_page == NULL ? HV_REFERENCE_TSC_SEQUENCE_INVALID : tsc_page->tsc_sequence;

    if (sequence != HV_REFERENCE_TSC_SEQUENCE_INVALID) {
        uint64_t time =
            (uint64_t)((unsigned __int128)rdtsc() * tsc_page->tsc_scale >> 64) + (uint64_t)tsc_page->tsc_offset;

        if (tsc_page->tsc_sequence == sequence) {
            return time;
        }
    }
    return rdmsr(HV_X64_MSR_TIME_REF_COUNT);
}

void clock_wait(uint64_t duration_100ns)
{
    uint64_t start = clock_now();

    while (clock_now() - start < duration_100ns) {
        cpu_relax();
    }
}

uint64_t clock_tsc_ticks(uint64_t duration_100ns)
{
    return duration_100ns * (tsc_hz / 1000) / (CLOCK_HZ / 1000);
}

static uint32_t read_cmos(uint8_t index)
{
    outb(CMOS_INDEX, index);
    return inb(CMOS_DATA);
}

/* Seconds since 1970 from the real-time clock, which is taken to run on UTC, with 24 hours, in this century. */
static int64_t read_wall_clock(void)
{
    static const uint8_t indexes[] = {0, 2, 4, 7, 8, 9}; /* second, minute, hour, day, month, year */
    static const uint16_t days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t field[ARRAY_SIZE(indexes)];

    for (uint32_t tries = 0; (read_cmos(CMOS_STATUS_A) & CMOS_UPDATING) != 0 && tries < CMOS_TRIES_MAX; tries++) {
        cpu_relax();
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(indexes); i++) {
        uint32_t value = read_cmos(indexes[i]);

        field[i] = (read_cmos(CMOS_STATUS_B) & CMOS_BINARY) != 0 ? value : (value & 0xF) + (value >> 4) * 10;
    }
    if (field[4] < 1 || field[4] > 12) {
        return 0;
    }

    int64_t years = field[5] + 30;
    int64_t days = years * 365 + (years + 1) / 4 + days_before[field[4] - 1] + field[3] - 1;

    days += field[4] > 2 && field[5] % 4 == 0 ? 1 : 0;
    return ((days * 24 + field[2]) * 60 + field[1]) * 60 + field[0];
}

static void timer_interrupt(void)
{
    sched_raise(SCHED_EVENT_TIMER);
}

void clock_init(void)
{
    if ((hyperv_info()->privileges & HV_ACCESS_PARTITION_REFERENCE_TSC) != 0) {
        tsc_page = (const volatile struct hv_reference_tsc_page *)hyperv_enable_page(HV_X64_MSR_REFERENCE_TSC);
    }
    tsc_hz = rdmsr(HV_X64_MSR_TSC_FREQUENCY);
    wall_base = read_wall_clock() - (int64_t)(clock_now() / CLOCK_HZ);
    trap_set_handler(TRAP_VECTOR_TIMER, timer_interrupt);
    wrmsr(HV_X64_MSR_STIMER0_CONFIG,
          HV_STIMER_AUTO_ENABLE | HV_STIMER_DIRECT_MODE | (uint64_t)TRAP_VECTOR_TIMER << HV_STIMER_VECTOR_SHIFT);
}

uint64_t host_monotonic_100ns(void)
{
    return clock_now();
}

int64_t host_wall_clock_seconds(void)
{
    return wall_base + (int64_t)(clock_now() / CLOCK_HZ);
}

/* [lock] The link that points to the timer; null: it is not in the list. */
static struct host_timer **find_link(const struct host_timer *timer)
{
    struct host_timer **link = &timers;

    while (*link != NULL && *link != timer) {
        link = next_of(*link);
    }
    return *link == NULL ? NULL : link;
}

void host_timer_arm(struct host_timer *timer, uint64_t deadline_100ns)
{
    spin_lock(&lock);
    timer->deadline_100ns = deadline_100ns;
    timer->is_armed = true;
    if (find_link(timer) == NULL) {
        *next_of(timer) = timers;
        timers = timer;
    }
    spin_unlock(&lock);
    sched_raise(SCHED_EVENT_TIMER);
}

/* [lock] */
static void unlink_timer(struct host_timer *timer)
{
    struct host_timer **link = find_link(timer);

    timer->is_armed = false;
    if (link != NULL) {
        *link = *next_of(timer);
    }
}

void host_timer_cancel(struct host_timer *timer)
{
    spin_lock(&lock);
    unlink_timer(timer);
    spin_unlock(&lock);
}

/* [lock] The one that expires first, or null. */
static struct host_timer *first_timer(void)
{
    struct host_timer *first = timers;

    for (struct host_timer *at = timers; at != NULL; at = *next_of(at)) {
        first = at->deadline_100ns < first->deadline_100ns ? at : first;
    }
    return first;
}

void clock_run_timers(void)
{
    struct host_timer *first;
    bool has_expired;

    do {
        spin_lock(&lock);
        first = first_timer();
        has_expired = first != NULL && first->deadline_100ns <= clock_now();
        if (has_expired) {
            unlink_timer(first);
        } else if (first != NULL) {
            wrmsr(HV_X64_MSR_STIMER0_COUNT, first->deadline_100ns);
        }
        spin_unlock(&lock);
        if (has_expired) {
            first->expired(first);
        }
    } while (has_expired);
}
