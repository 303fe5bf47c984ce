/* SPDX-License-Identifier: MIT */
/*
 * What two VPs do to each other, for tests/bench: prints "BENCH <operation> <least ticks>" for each, and for "loop",
 * LOOP_ROUNDS rounds that do not exit, to compare them with. The ticks are time here, not instructions.
 */
#include "hv/abi/hv_hypercall.h"
#include "partitions/child/lib/guest.h"

#define ROUNDS      200u
#define VECTOR_PING 0x61u
#define VECTOR_PONG 0x62u
#define ICR_FIXED   0x4000u
#define START_LIMIT (20000 * GUEST_CLOCK_100NS_PER_MS)
#define OTHER_VP    1u
#define LOOP_ROUNDS 10000u

static uint8_t hypercall_page[4096] ALIGNED(4096);
static struct {
    struct hv_input_flush_virtual_address header;
    uint64_t range;
} flush ALIGNED(64);
static uint32_t apic_ids[2];
static uint32_t pong_count;  /* atomic */
static uint32_t must_halt;   /* atomic: the other VP waits in HLT, else it spins */
static uint32_t is_other_up; /* atomic */
static uint32_t answers_by_call;
static uint64_t flush_status; /* of all flushes, or-ed */

static void send_by_msr(uint32_t vp, uint32_t vector)
{
    guest_apic_send(apic_ids[vp], ICR_FIXED | vector);
}

static void send_by_call(uint32_t vp, uint32_t vector)
{
    (void)guest_hypercall(HvCallSendSyntheticClusterIpi | HV_HYPERCALL_FAST, vector, UINT64_C(1) << vp);
}

static void on_ping(void)
{
    guest_apic_eoi();
    if (answers_by_call != 0) {
        send_by_call(0, VECTOR_PONG);
    } else {
        send_by_msr(0, VECTOR_PONG);
    }
}

static void on_pong(void)
{
    guest_apic_eoi();
    (void)__atomic_fetch_add(&pong_count, 1u, __ATOMIC_RELEASE);
}

static void other_main(uint32_t number)
{
    apic_ids[number] = guest_apic_id();
    __atomic_store_n(&is_other_up, 1u, __ATOMIC_RELEASE);
    for (;;) {
        if (__atomic_load_n(&must_halt, __ATOMIC_ACQUIRE) != 0) {
            irq_wait();
        } else {
            irq_window();
            cpu_relax();
        }
    }
}

static void wait_pong(uint32_t before)
{
    while (__atomic_load_n(&pong_count, __ATOMIC_ACQUIRE) == before) {
        irq_window();
        cpu_relax();
    }
}

static void do_loop(void)
{
    for (uint32_t i = 0; i < LOOP_ROUNDS; i++) {
        __asm__ volatile("" : : : "memory");
    }
}

static void do_ipi_msr(void)
{
    uint32_t before = pong_count;

    send_by_msr(OTHER_VP, VECTOR_PING);
    wait_pong(before);
}

static void do_ipi_call(void)
{
    uint32_t before = pong_count;

    send_by_call(OTHER_VP, VECTOR_PING);
    wait_pong(before);
}

static void do_ipi_halted(void)
{
    uint32_t before = pong_count;

    __atomic_store_n(&must_halt, 1u, __ATOMIC_RELEASE);
    send_by_msr(OTHER_VP, VECTOR_PING);
    wait_pong(before);
}

static void do_flush_space(void)
{
    flush_status |= hv_hypercall_result_status(guest_hypercall(HvCallFlushVirtualAddressSpace, (uint64_t)&flush, 0));
}

static void do_flush_list(void)
{
    uint64_t control = HvCallFlushVirtualAddressList | UINT64_C(1) << HV_HYPERCALL_REP_COUNT_SHIFT;

    flush_status |= hv_hypercall_result_status(guest_hypercall(control, (uint64_t)&flush, 0));
}

/* What counts from outside takes what comes before the next operation for a part of this one. */
static NOINLINE void do_nothing(void)
{
    __asm__ volatile("");
}

static void price(const char *name, void (*volatile run)(void))
{
    uint64_t least = UINT64_MAX;

    run();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t start = rdtsc();

        run();

        uint64_t time = rdtsc() - start;

        least = time < least ? time : least;
    }
    do_nothing();
    guest_print("BENCH %s %llu\n", name, (unsigned long long)least);
}

uint8_t guest_main(void)
{
    guest_apic_init();
    apic_ids[0] = guest_apic_id();
    guest_set_handler(VECTOR_PING, on_ping);
    guest_set_handler(VECTOR_PONG, on_pong);
    guest_check(guest_enable_hypercalls(hypercall_page), "hypercall-page", "refused");
    if (!guest_check(guest_start_others(other_main, 1, START_LIMIT) == 1, "start", "no second VP")) {
        return guest_failures();
    }
    while (__atomic_load_n(&is_other_up, __ATOMIC_ACQUIRE) == 0) {
        cpu_relax();
    }
    flush.header.flags = HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES;
    flush.header.processor_mask = UINT64_C(1) << OTHER_VP;
    price("loop", do_loop);
    price("ipi-msr", do_ipi_msr);
    price("flush-space", do_flush_space);
    price("flush-list", do_flush_list);
    guest_check(flush_status == HV_STATUS_SUCCESS, "flush", "%#llx", (unsigned long long)flush_status);
    answers_by_call = 1;
    price("ipi-call", do_ipi_call);
    answers_by_call = 0;
    price("ipi-halted", do_ipi_halted);
    guest_print("BENCH-END %u\n", guest_failures());
    return guest_failures();
}
