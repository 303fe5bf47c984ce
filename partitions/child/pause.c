/* SPDX-License-Identifier: MIT */
/* Two VPs hand a token to and fro, each spinning in PAUSE until it has it: on one processor that goes fast only if a VP
 * that spins gives way. Option: us= (microseconds that a hand-over may take, 0: any number). */
#include "partitions/child/lib/guest.h"

#define ROUNDS      100u
#define START_LIMIT (20000 * GUEST_CLOCK_100NS_PER_MS)

static uint32_t token; /* atomic: hand-overs so far; even: the boot VP's turn */

static void hand_over(uint32_t number)
{
    while ((__atomic_load_n(&token, __ATOMIC_ACQUIRE) & 1u) != number) {
        cpu_relax();
    }
    (void)__atomic_fetch_add(&token, 1u, __ATOMIC_RELEASE);
}

static void other_main(uint32_t number)
{
    for (;;) {
        hand_over(number);
    }
}

uint8_t guest_main(void)
{
    uint64_t limit_us = guest_option("us", 0);
    uint64_t start;
    uint64_t used_us;

    guest_apic_init();
    if (!guest_check(guest_start_others(other_main, 1, START_LIMIT) == 1, "start", "no second VP")) {
        return guest_failures();
    }
    start = guest_clock();
    for (uint32_t i = 0; i < ROUNDS; i++) {
        hand_over(0);
    }
    used_us = (guest_clock() - start) / (10 * 2 * ROUNDS);
    guest_print("a hand-over takes %llu us\n", (unsigned long long)used_us);
    guest_check(limit_us == 0 || used_us <= limit_us, "hand-over", "more than %llu us", (unsigned long long)limit_us);
    return guest_failures();
}
