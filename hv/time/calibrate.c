/* SPDX-License-Identifier: MIT */
/*
 * Calibration. All clocks run side by side over one interval; each is read at its start and at its end together with
 * the TSC. Under an emulator the processor can lose any amount of time between two instructions, so a reading counts
 * only as good as the TSC around it says, and an interval in which the clocks disagree is measured again.
 */
#include "hv/time/calibrate.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/boot/acpi.h"
#include "hv/cpu/asm.h"
#include "hv/debug/debug.h"
#include "hv/irq/irq.h"
#include "hv/lib/addr.h"
#include "hv/mem/mem.h"
#include "hv/time/scale.h"

#define INTERVAL_MS   105
#define ATTEMPTS      6
#define READ_TRIES    8
/* A clock that stays the same over this many readings (each takes a microsecond on hardware) does not run. */
#define ALIVE_READS   20000
/* Turns of an empty loop between two looks at the clocks: reading them is slow in emulators. */
#define PAUSE_ROUNDS  500
#define AGREEMENT_PPM 2000
#define PPM           1000000u
#define MS_PER_SECOND 1000u
#define HZ_MIN        5000000u
#define HZ_MAX        20000000000ull

#define PIT_HZ             1193182u
#define PIT_CHANNEL2       0x42
#define PIT_COMMAND        0x43
#define PIT_CHANNEL2_MODE2 0xb4 /* rate generator, low then high byte, binary */
#define PIT_CHANNEL2_LATCH 0x80
#define PIT_GATE_PORT      0x61
#define PIT_GATE2          0x01
#define PIT_SPEAKER        0x02
#define PIT_MASK           0xffffu

#define PM_TIMER_HZ      3579545u
#define PM_TIMER_MASK_24 0xffffffu

#define HPET_BYTES              0x400
#define HPET_CAPABILITIES_HIGH  0x004 /* period in femtoseconds */
#define HPET_CONFIGURATION      0x010
#define HPET_COUNTER            0x0f0
#define HPET_ENABLE             0x1u
#define HPET_PERIOD_MAX         100000000u
#define FEMTOSECONDS_PER_SECOND 1000000000000000ull

/* A clock to measure against. */
struct clock {
    const char *name;
    uint32_t (*read)(void);
    uint32_t mask;
    uint64_t hz; /* 0: not there */
    bool counts_down;
    /* Per measurement. */
    uint64_t start_tsc, end_tsc;
    uint32_t last;
    uint64_t ticks;
};

enum { CLOCK_HPET, CLOCK_PM, CLOCK_PIT, CLOCK_COUNT, CLOCK_LAPIC = CLOCK_COUNT, CLOCK_COUNT_ALL };

static volatile uint8_t *hpet;

static uint32_t read_pit(void)
{
    outb(PIT_COMMAND, PIT_CHANNEL2_LATCH);
    uint32_t low = inb(PIT_CHANNEL2);
    return low | (uint32_t)inb(PIT_CHANNEL2) << 8;
}

static uint32_t read_pm_timer(void)
{
    return inl(acpi_info()->pm_timer_port);
}

static uint32_t read_hpet(void)
{
    return *(volatile uint32_t *)(hpet + HPET_COUNTER);
}

static struct clock clocks[CLOCK_COUNT_ALL] = {
    [CLOCK_HPET] = {.name = "HPET", .read = read_hpet, .mask = UINT32_MAX},
    [CLOCK_PM] = {.name = "PM timer", .read = read_pm_timer, .mask = PM_TIMER_MASK_24},
    [CLOCK_PIT] = {.name = "PIT", .read = read_pit, .mask = PIT_MASK, .counts_down = true},
    [CLOCK_LAPIC] = {.name = "local APIC", .read = lapic_timer_count, .mask = UINT32_MAX, .counts_down = true},
};

static bool is_running(const struct clock *clock)
{
    uint32_t first = clock->read() & clock->mask;

    for (uint32_t i = 0; i < ALIVE_READS; i++) {
        if ((clock->read() & clock->mask) != first) {
            return true;
        }
    }
    return false;
}

static void start_pit(void)
{
    uint8_t gate = inb(PIT_GATE_PORT);

    outb(PIT_GATE_PORT, (uint8_t)((gate & ~PIT_SPEAKER) | PIT_GATE2));
    outb(PIT_COMMAND, PIT_CHANNEL2_MODE2);
    /* 0 means 65536. */
    outb(PIT_CHANNEL2, 0);
    outb(PIT_CHANNEL2, 0);
    clocks[CLOCK_PIT].hz = PIT_HZ;
}

static void start_pm_timer(void)
{
    if (acpi_info()->pm_timer_port != 0) {
        clocks[CLOCK_PM].hz = PM_TIMER_HZ;
        clocks[CLOCK_PM].mask = acpi_info()->pm_timer_is_32bit ? UINT32_MAX : PM_TIMER_MASK_24;
    }
}

static void start_hpet(void)
{
    if (!acpi_info()->has_hpet) {
        return;
    }
    hpet = mem_map_device(spa(acpi_info()->hpet_address), HPET_BYTES);
    if (hpet == NULL) {
        log_line("time: no room to map the HPET");
        return;
    }
    uint32_t period = *(volatile uint32_t *)(hpet + HPET_CAPABILITIES_HIGH);
    if (period == 0 || period > HPET_PERIOD_MAX) {
        log_line("time: the HPET states a period of %u fs; not used", period);
        return;
    }
    volatile uint32_t *configuration = (volatile uint32_t *)(hpet + HPET_CONFIGURATION);
    *configuration = *configuration | HPET_ENABLE;
    clocks[CLOCK_HPET].hz = FEMTOSECONDS_PER_SECOND / period;
}

/* Reads a clock with the TSC of that moment: of several tries the one that took least. */
static uint32_t read_with_tsc(const struct clock *clock, uint64_t *tsc)
{
    uint64_t best_width = UINT64_MAX;
    uint32_t best = 0;

    for (uint32_t i = 0; i < READ_TRIES; i++) {
        uint64_t before = rdtsc();
        uint32_t value = clock->read() & clock->mask;
        uint64_t width = rdtsc() - before;
        if (width < best_width) {
            best_width = width;
            best = value;
            *tsc = before + width / 2;
        }
    }
    return best;
}

static void advance(struct clock *clock, uint32_t value)
{
    clock->ticks += (clock->counts_down ? clock->last - value : value - clock->last) & clock->mask;
    clock->last = value;
}

static bool interval_is_over(void)
{
    for (uint32_t i = 0; i < CLOCK_COUNT; i++) {
        if (clocks[i].hz != 0 && clocks[i].ticks >= clocks[i].hz * INTERVAL_MS / MS_PER_SECOND) {
            return true;
        }
    }
    return false;
}

/* One interval on all clocks. */
static void measure(void)
{
    lapic_timer_count_start();
    for (uint32_t i = 0; i < CLOCK_COUNT_ALL; i++) {
        clocks[i].ticks = 0;
        if (clocks[i].hz != 0) {
            clocks[i].last = read_with_tsc(&clocks[i], &clocks[i].start_tsc);
        }
    }
    while (!interval_is_over()) {
        for (volatile uint32_t i = 0; i < PAUSE_ROUNDS; i++) {
        }
        for (uint32_t i = 0; i < CLOCK_COUNT; i++) {
            if (clocks[i].hz != 0) {
                advance(&clocks[i], clocks[i].read() & clocks[i].mask);
            }
        }
    }
    for (uint32_t i = 0; i < CLOCK_COUNT_ALL; i++) {
        if (clocks[i].hz != 0) {
            advance(&clocks[i], read_with_tsc(&clocks[i], &clocks[i].end_tsc));
        }
    }
}

static uint64_t tsc_hz_by(const struct clock *clock)
{
    return scale_multiply_divide(clock->end_tsc - clock->start_tsc, clock->hz, clock->ticks == 0 ? 1 : clock->ticks);
}

/* All clocks there give the TSC the same frequency, within the tolerance. */
static bool clocks_agree(uint64_t reference)
{
    bool do_agree = true;

    for (uint32_t i = 0; i < CLOCK_COUNT; i++) {
        uint64_t hz = clocks[i].hz == 0 ? reference : tsc_hz_by(&clocks[i]);
        uint64_t difference = hz > reference ? hz - reference : reference - hz;
        do_agree = do_agree && difference <= reference / PPM * AGREEMENT_PPM;
    }
    return do_agree;
}

/* The first clock there is, in order of trust. */
static const struct clock *best_clock(void)
{
    for (uint32_t i = 0; i < CLOCK_COUNT; i++) {
        if (clocks[i].hz != 0) {
            return &clocks[i];
        }
    }
    stop_machine("no clock to measure the TSC against: PIT, ACPI PM timer and HPET are missing or stand still");
}

static void find_clocks(void)
{
    start_pit();
    start_pm_timer();
    start_hpet();
    for (uint32_t i = 0; i < CLOCK_COUNT; i++) {
        if (clocks[i].hz != 0 && !is_running(&clocks[i])) {
            log_line("time: %s stands still; not used", clocks[i].name);
            clocks[i].hz = 0;
        }
    }
    clocks[CLOCK_LAPIC].hz = 1; /* always there; how fast is the question */
}

void calibrate(uint64_t *tsc_hz, uint64_t *lapic_timer_hz)
{
    find_clocks();
    const struct clock *best = best_clock();
    bool do_agree = false;
    uint64_t hz = 0;

    for (uint32_t attempt = 0; attempt < ATTEMPTS && !do_agree; attempt++) {
        measure();
        hz = tsc_hz_by(best);
        do_agree = clocks_agree(hz);
    }
    for (uint32_t i = 0; i < CLOCK_COUNT && !do_agree; i++) {
        if (clocks[i].hz != 0) {
            log_line("time: by the %s the TSC runs at %llu Hz", clocks[i].name,
                     (unsigned long long)tsc_hz_by(&clocks[i]));
        }
    }
    if (hz < HZ_MIN || hz > HZ_MAX) {
        stop_machine("the TSC runs at %llu Hz by the %s: not usable as a clock", (unsigned long long)hz, best->name);
    }
    const struct clock *lapic = &clocks[CLOCK_LAPIC];
    *tsc_hz = hz;
    *lapic_timer_hz = scale_multiply_divide(lapic->ticks, hz, lapic->end_tsc - lapic->start_tsc);
}
