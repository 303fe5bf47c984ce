/* SPDX-License-Identifier: MIT */
/* Start of the other VPs by INIT and start-up IPIs, and interrupts to and fro. Option: vps= (how many there are, 2). */
#include "hv/abi/hv_msr.h"
#include "partitions/child/lib/guest.h"

#define VECTOR_PING    0x60u
#define VECTOR_PONG    0x61u
#define ICR_FIXED      0x4000u
#define ICR_ALL_OTHERS 0xC0000u
#define START_LIMIT    (20000 * GUEST_CLOCK_100NS_PER_MS)
#define ROUNDS         200u

static uint32_t apic_ids[GUEST_CPU_MAX];
static uint32_t vp_indexes[GUEST_CPU_MAX];
static uint32_t pong_count;  /* atomic */
static uint32_t other_count; /* atomic: others that wait for interrupts */

static void on_ping(void)
{
    guest_apic_eoi();
    guest_apic_send(apic_ids[0], ICR_FIXED | VECTOR_PONG);
}

static void on_pong(void)
{
    (void)__atomic_fetch_add(&pong_count, 1u, __ATOMIC_RELEASE);
    guest_apic_eoi();
}

static void other_main(uint32_t number)
{
    apic_ids[number] = guest_apic_id();
    vp_indexes[number] = (uint32_t)rdmsr(HV_X64_MSR_VP_INDEX);
    (void)__atomic_fetch_add(&other_count, 1u, __ATOMIC_RELEASE);
    for (;;) {
        irq_wait();
    }
}

/* With NOP in the window: QEMU's software CPU keeps the shadow of STI beyond a PAUSE that follows it. */
static void let_interrupts_in(void)
{
    irq_enable();
    __asm__ volatile("nop; nop");
    irq_disable();
    cpu_relax();
}

static bool wait_pongs(uint32_t wanted)
{
    uint64_t start = guest_clock();

    while (__atomic_load_n(&pong_count, __ATOMIC_ACQUIRE) < wanted && guest_clock() - start < START_LIMIT) {
        let_interrupts_in();
    }
    return pong_count == wanted;
}

uint8_t guest_main(void)
{
    uint32_t others = (uint32_t)guest_option("vps", 2) - 1;
    uint32_t rounds_done = 0;
    uint32_t duplicates = 0;

    guest_apic_init();
    apic_ids[0] = guest_apic_id();
    guest_set_handler(VECTOR_PING, on_ping);
    guest_set_handler(VECTOR_PONG, on_pong);

    uint32_t came = guest_start_others(other_main, others, START_LIMIT);

    if (!guest_check(came == others, "start", "%u of %u VPs", came, others)) {
        return guest_failures();
    }
    while (__atomic_load_n(&other_count, __ATOMIC_ACQUIRE) < others) {
        cpu_relax();
    }
    for (uint32_t i = 1; i <= others; i++) {
        for (uint32_t j = 0; j < i; j++) {
            duplicates += apic_ids[i] == apic_ids[j] || vp_indexes[i] == vp_indexes[j] ? 1 : 0;
        }
    }
    guest_check(duplicates == 0, "identities", "%u pairs are the same", duplicates);
    for (uint32_t i = 1; i <= others; i++) {
        for (uint32_t round = 0; round < ROUNDS; round++) {
            pong_count = 0;
            guest_apic_send(apic_ids[i], ICR_FIXED | VECTOR_PING);
            rounds_done += wait_pongs(1) ? 1 : 0;
        }
    }
    guest_check(rounds_done == others * ROUNDS, "ping-pong", "%u of %u rounds", rounds_done, others * ROUNDS);
    /* Answers of several VPs may meet in one pending bit: at least one must come. */
    pong_count = 0;
    guest_apic_send(0, ICR_ALL_OTHERS | ICR_FIXED | VECTOR_PING);

    uint64_t start = guest_clock();

    while (pong_count == 0 && guest_clock() - start < START_LIMIT) {
        let_interrupts_in();
    }
    guest_check(pong_count >= 1, "broadcast", "no answer");
    return guest_failures();
}
