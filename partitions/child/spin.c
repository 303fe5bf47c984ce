/* SPDX-License-Identifier: MIT */
/* Spins with interrupts off, on all VPs that start: the others on the machine must not notice. Options: vps= (1), ms=
 * (2000, 0: for ever). */
#include "partitions/child/lib/guest.h"

static uint64_t deadline;

static void spin(uint32_t number)
{
    (void)number;
    irq_disable();
    /* Many steps between looks at the clock, so that hardly any exit happens. */
    while (deadline == 0 || guest_clock() < deadline) {
        for (volatile uint32_t i = 0; i < 10000000; i++) {
        }
    }
}

uint8_t guest_main(void)
{
    uint64_t limit_ms = guest_option("ms", 2000);
    uint32_t others = (uint32_t)guest_option("vps", 1) - 1;

    guest_apic_init();
    deadline = limit_ms == 0 ? 0 : guest_clock() + limit_ms * GUEST_CLOCK_100NS_PER_MS;
    guest_print("spinning\n");
    if (others != 0) {
        (void)guest_start_others(spin, others, 2000 * GUEST_CLOCK_100NS_PER_MS);
    }
    spin(0);
    guest_print("PASS spin\n");
    return 0;
}
