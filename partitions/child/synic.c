/* SPDX-License-Identifier: MIT */
/* SynIC pages and synthetic timers of a child: messages, direct interrupts, periods, a slot that is not free. */
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/str.h"
#include "partitions/child/lib/guest.h"

#define SINT           2u
#define VECTOR_MESSAGE 0x70u
#define VECTOR_DIRECT  0x71u
#define MS             GUEST_CLOCK_100NS_PER_MS
#define PERIODS        20u
#define LIMIT          (20000 * MS)

static struct hv_message_page messages ALIGNED(4096);
static struct hv_synic_event_flags_page events ALIGNED(4096);
static volatile uint32_t message_interrupts;
static volatile uint32_t direct_interrupts;

static void on_message(void)
{
    message_interrupts++;
    guest_apic_eoi();
}

static void on_direct(void)
{
    direct_interrupts++;
    guest_apic_eoi();
}

static bool wait_for(const volatile uint32_t *count, uint32_t wanted)
{
    uint64_t start = guest_clock();

    while (*count < wanted && guest_clock() - start < LIMIT) {
        irq_window();
    }
    return *count >= wanted;
}

static struct hv_message *slot(void)
{
    return &messages.sint_message[SINT];
}

/* True once a message waits for the slot. One more window shows an interrupt that came with it. */
static bool wait_for_flag(void)
{
    uint64_t start = guest_clock();
    const volatile uint8_t *message_flags = &slot()->header.message_flags;

    while ((*message_flags & HV_MESSAGE_FLAG_PENDING) == 0 && guest_clock() - start < LIMIT) {
        irq_window();
    }
    irq_window();
    return (*message_flags & HV_MESSAGE_FLAG_PENDING) != 0;
}

static void start_timer(uint32_t timer, uint64_t config, uint64_t count)
{
    wrmsr(HV_X64_MSR_STIMER0_CONFIG + 2 * timer, config);
    wrmsr(HV_X64_MSR_STIMER0_COUNT + 2 * timer, count);
}

static void check_message(void)
{
    uint64_t deadline = guest_clock() + 2 * MS;
    struct hv_timer_message_payload payload;

    start_timer(1, HV_STIMER_AUTO_ENABLE | (uint64_t)SINT << HV_STIMER_SINT_SHIFT, deadline);
    if (!guest_check(wait_for(&message_interrupts, 1), "timer-message", "no interrupt")) {
        return;
    }
    memcpy(&payload, slot()->payload, sizeof(payload));
    guest_check(slot()->header.message_type == HvMessageTypeTimerExpired && payload.timer_index == 1 &&
                    payload.expiration_time == deadline && payload.delivery_time >= deadline,
                "timer-payload", "type %#x, timer %u, %lld late", slot()->header.message_type, payload.timer_index,
                (long long)(payload.delivery_time - deadline));
    guest_check((rdmsr(HV_X64_MSR_STIMER1_CONFIG) & HV_STIMER_ENABLED) == 0, "one-shot-ends", "still enabled");
    /* The slot is still taken: the next message waits and says so. */
    start_timer(1, HV_STIMER_AUTO_ENABLE | (uint64_t)SINT << HV_STIMER_SINT_SHIFT, guest_clock() + MS);
    guest_check(wait_for_flag() && message_interrupts == 1, "slot-taken", "%u interrupts, flags %#x",
                message_interrupts, slot()->header.message_flags);
    slot()->header.message_type = HvMessageTypeNone;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    wrmsr(HV_X64_MSR_EOM, 0);
    guest_check(wait_for(&message_interrupts, 2) && slot()->header.message_type == HvMessageTypeTimerExpired, "eom",
                "%u interrupts", message_interrupts);
    slot()->header.message_type = HvMessageTypeNone;
}

static void check_direct(void)
{
    uint64_t config = HV_STIMER_DIRECT_MODE | (uint64_t)VECTOR_DIRECT << HV_STIMER_VECTOR_SHIFT;
    uint64_t deadline = guest_clock() + 2 * MS;

    start_timer(0, config | HV_STIMER_AUTO_ENABLE, deadline);
    guest_check(wait_for(&direct_interrupts, 1) && guest_clock() >= deadline, "direct", "%u interrupts",
                direct_interrupts);
    direct_interrupts = 0;

    uint64_t start = guest_clock();

    wrmsr(HV_X64_MSR_STIMER0_COUNT, MS);
    wrmsr(HV_X64_MSR_STIMER0_CONFIG, config | HV_STIMER_ENABLED | HV_STIMER_PERIODIC);

    bool has_come = wait_for(&direct_interrupts, PERIODS);
    uint64_t elapsed = guest_clock() - start;

    wrmsr(HV_X64_MSR_STIMER0_CONFIG, 0);
    guest_check(has_come && elapsed >= (PERIODS - 1) * MS, "periodic", "%u in %llu x 100 ns", direct_interrupts,
                (unsigned long long)elapsed);
    direct_interrupts = 0;
    start_timer(0, config | HV_STIMER_AUTO_ENABLE, guest_clock() + 2 * MS);
    while (direct_interrupts == 0) {
        irq_wait();
    }
    guest_check(direct_interrupts == 1, "direct-wakes-hlt", "%u interrupts", direct_interrupts);
}

uint8_t guest_main(void)
{
    guest_apic_init();
    guest_set_handler(VECTOR_MESSAGE, on_message);
    guest_set_handler(VECTOR_DIRECT, on_direct);
    guest_synic_init(&messages, &events, SINT, VECTOR_MESSAGE);
    guest_check(rdmsr(HV_X64_MSR_SVERSION) == HV_SYNIC_VERSION, "version", "%llu",
                (unsigned long long)rdmsr(HV_X64_MSR_SVERSION));
    guest_check(guest_try_wrmsr(HV_X64_MSR_SINT0 + 3, 5) == GUEST_FAULT(X86_VECTOR_GP), "low-vector", "no #GP");
    guest_check(guest_try_wrmsr(HV_X64_MSR_SINT0 + 3, HV_SINT_MASKED) == 0, "low-vector-masked", "#GP");
    check_message();
    check_direct();
    return guest_failures();
}
