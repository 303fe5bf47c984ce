/* SPDX-License-Identifier: MIT */
/* Self-tests of clocks, synthetic timers, and messages and events through ports of the root's own. */
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/str.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/selftest/selftest.h"

#define TEST_PORT         0x77u
#define TEST_EVENT_PORT   0x78u
#define TEST_FLAG         5u
#define TEST_MESSAGE_TYPE 0x123u
#define CLOCK_SAMPLES     10000u

static uint32_t interrupt_count; /* atomic */

static void count_interrupt(void)
{
    (void)__atomic_fetch_add(&interrupt_count, 1u, __ATOMIC_RELEASE);
}

static bool test_clock(void)
{
    uint64_t last = clock_now();

    for (uint32_t i = 0; i < CLOCK_SAMPLES; i++) {
        uint64_t before = clock_now();
        uint64_t counter = rdmsr(HV_X64_MSR_TIME_REF_COUNT);
        uint64_t after = clock_now();

        /* One unit of rounding between page and counter. */
        if (before < last || counter + 1 < before || counter > after + 1) {
            return selftest_report("clock", "%llu, %llu, counter %llu, %llu", (unsigned long long)last,
                                   (unsigned long long)before, (unsigned long long)counter, (unsigned long long)after);
        }
        last = after;
    }
    return selftest_report("clock", NULL);
}

static bool test_periodic(void)
{
    uint64_t start = clock_now();
    bool has_passed;

    interrupt_count = 0;
    wrmsr(HV_X64_MSR_STIMER1_COUNT, CLOCK_100NS_PER_MS);
    wrmsr(HV_X64_MSR_STIMER1_CONFIG, HV_STIMER_ENABLED | HV_STIMER_PERIODIC | HV_STIMER_DIRECT_MODE |
                                         (uint64_t)TRAP_VECTOR_TEST_TIMER << HV_STIMER_VECTOR_SHIFT);
    has_passed = selftest_check_period("stimer-periodic", &interrupt_count, start);
    wrmsr(HV_X64_MSR_STIMER1_CONFIG, 0);
    return has_passed;
}

static bool test_one_shot(void)
{
    uint64_t deadline = clock_now() + 5 * CLOCK_100NS_PER_MS;

    interrupt_count = 0;
    wrmsr(HV_X64_MSR_STIMER1_CONFIG,
          HV_STIMER_AUTO_ENABLE | HV_STIMER_DIRECT_MODE | (uint64_t)TRAP_VECTOR_TEST_TIMER << HV_STIMER_VECTOR_SHIFT);
    wrmsr(HV_X64_MSR_STIMER1_COUNT, deadline);

    bool has_come = selftest_wait(&interrupt_count, 1);
    uint64_t now = clock_now();
    bool is_enabled = (rdmsr(HV_X64_MSR_STIMER1_CONFIG) & HV_STIMER_ENABLED) != 0;

    return selftest_report("stimer-one-shot",
                           has_come && now >= deadline && !is_enabled ? NULL : "came %d, early by %lld, enabled %d",
                           has_come, (long long)(deadline - now), is_enabled);
}

bool selftest_timers(void)
{
    bool has_passed = test_clock();

    trap_set_handler(TRAP_VECTOR_TEST_TIMER, count_interrupt);
    has_passed &= test_periodic();
    has_passed &= test_one_shot();
    return has_passed;
}

struct hv_message *selftest_slot(void)
{
    return &cpu_this()->messages->sint_message[SELFTEST_SINT];
}

void selftest_free_slot(void)
{
    WRITE_ONCE(selftest_slot()->header.message_type, HvMessageTypeNone);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    wrmsr(HV_X64_MSR_EOM, 0);
}

static bool test_timer_message(void)
{
    uint64_t deadline = clock_now() + CLOCK_100NS_PER_MS;
    struct hv_timer_message_payload payload;

    interrupt_count = 0;
    wrmsr(HV_X64_MSR_STIMER2_CONFIG, HV_STIMER_AUTO_ENABLE | (uint64_t)SELFTEST_SINT << HV_STIMER_SINT_SHIFT);
    wrmsr(HV_X64_MSR_STIMER2_COUNT, deadline);
    if (!selftest_wait(&interrupt_count, 1)) {
        return selftest_report("synic-timer-message", "no interrupt came");
    }
    memcpy(&payload, selftest_slot()->payload, sizeof(payload));

    uint32_t type = selftest_slot()->header.message_type;

    selftest_free_slot();
    return selftest_report("synic-timer-message",
                           type == HvMessageTypeTimerExpired && payload.timer_index == 2 &&
                                   payload.expiration_time == deadline && payload.delivery_time >= deadline
                               ? NULL
                               : "type %#x, timer %u",
                           type, payload.timer_index);
}

hv_status_t selftest_create_port(struct deposit *from, uint32_t id, uint32_t type)
{
    struct hv_input_create_port port = {
        .port_partition_id = HV_PARTITION_ID_SELF,
        .port_id = id,
        .connection_partition_id = from->partition_id,
        .port_info = {.port_type = type,
                      .target_sint = SELFTEST_SINT,
                      .target_vp = cpu_this()->vp_index,
                      .flag_count = 16},
    };
    struct hv_input_connect_port connection = {
        .connection_partition_id = from->partition_id,
        .connection_id = id,
        .port_partition_id = HV_PARTITION_ID_SELF,
        .port_id = id,
        .connection_info = {.port_type = type},
    };
    hv_status_t status;

    if (type != HV_PORT_TYPE_EVENT) {
        port.port_info.flag_count = 0;
    }
    status = hypercall(&root_deposit, HvCallCreatePort, NULL, &port, sizeof(port), NULL, 0);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    return hypercall(from, HvCallConnectPort, NULL, &connection, sizeof(connection), NULL, 0);
}

hv_status_t selftest_delete_port(const struct deposit *from, uint32_t id)
{
    hv_status_t status = hypercall_fast(HvCallDisconnectPort, from->partition_id, id);

    return status != HV_STATUS_SUCCESS ? status : hypercall_fast(HvCallDeletePort, HV_PARTITION_ID_SELF, id);
}

static bool test_post_message(void)
{
    struct hv_input_post_message post = {
        .connection_id = TEST_PORT,
        .message_type = TEST_MESSAGE_TYPE,
        .payload_size_bytes = 16,
        .payload = {UINT64_C(0x0123456789ABCDEF), UINT64_C(0xFEDCBA9876543210)},
    };
    hv_status_t status = selftest_create_port(&root_deposit, TEST_PORT, HV_PORT_TYPE_MESSAGE);

    if (status != HV_STATUS_SUCCESS) {
        return selftest_report("synic-message", "making the port: status %#x", status);
    }
    interrupt_count = 0;
    status = hypercall(NULL, HvCallPostMessage, NULL, &post, sizeof(post), NULL, 0);

    bool has_come = status == HV_STATUS_SUCCESS && selftest_wait(&interrupt_count, 1);
    struct hv_message message = *selftest_slot();

    selftest_free_slot();
    if (!has_come || message.header.message_type != TEST_MESSAGE_TYPE || message.header.payload_size_bytes != 16 ||
        message.header.sender != TEST_PORT || memcmp(message.payload, post.payload, 16) != 0) {
        return selftest_report("synic-message", "status %#x, interrupt %d, type %#x", status, has_come,
                               message.header.message_type);
    }
    status = selftest_delete_port(&root_deposit, TEST_PORT);
    return selftest_report("synic-message", status == HV_STATUS_SUCCESS ? NULL : "deleting the port: status %#x",
                           status);
}

static bool test_signal_event(void)
{
    struct hv_synic_event_flags_page *page =
        (struct hv_synic_event_flags_page *)(rdmsr(HV_X64_MSR_SIEFP) & HV_X64_MSR_PAGE_GPFN_MASK);
    struct hv_input_signal_event signal = {.connection_id = TEST_EVENT_PORT, .flag_number = TEST_FLAG};
    hv_status_t status = selftest_create_port(&root_deposit, TEST_EVENT_PORT, HV_PORT_TYPE_EVENT);

    if (status != HV_STATUS_SUCCESS) {
        return selftest_report("synic-event", "making the port: status %#x", status);
    }
    interrupt_count = 0;
    status = hypercall(NULL, HvCallSignalEvent, NULL, &signal, sizeof(signal), NULL, 0);

    bool has_come = status == HV_STATUS_SUCCESS && selftest_wait(&interrupt_count, 1);
    uint64_t flags =
        __atomic_exchange_n(&page->sint_event_flags[SELFTEST_SINT].flags[0], UINT64_C(0), __ATOMIC_ACQ_REL);

    if (!has_come || flags != UINT64_C(1) << TEST_FLAG) {
        return selftest_report("synic-event", "status %#x, interrupt %d, flags %#llx", status, has_come,
                               (unsigned long long)flags);
    }
    status = selftest_delete_port(&root_deposit, TEST_EVENT_PORT);
    return selftest_report("synic-event", status == HV_STATUS_SUCCESS ? NULL : "deleting the port: status %#x", status);
}

bool selftest_synic(void)
{
    bool has_passed;

    trap_set_handler(TRAP_VECTOR_TEST, count_interrupt);
    wrmsr(HV_X64_MSR_SINT0 + SELFTEST_SINT, TRAP_VECTOR_TEST);
    has_passed = test_timer_message();
    has_passed &= test_post_message();
    has_passed &= test_signal_event();
    wrmsr(HV_X64_MSR_SINT0 + SELFTEST_SINT, HV_SINT_RESET_VALUE);
    return has_passed;
}
