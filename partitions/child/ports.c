/* SPDX-License-Identifier: MIT */
/* The child of the root's self-test "ports": sends numbered messages faster than the root takes them, takes numbered
 * messages from it, and signals events both ways. */
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/str.h"
#include "partitions/child/lib/guest.h"

/* The numbers are the self-test's (partitions/root/selftest/ports.c). */
#define MESSAGE_CONNECTION 0x10u
#define EVENT_CONNECTION   0x11u
#define EVENT_FLAGS        16u
#define MESSAGE_TYPE       1u
#define MESSAGES           200u
#define FIRST_FLAG         1u
#define LAST_FLAG          2047u

#define SINT   HV_SYNIC_SINT_VMBUS
#define VECTOR 0x70u
#define LIMIT  (20000 * GUEST_CLOCK_100NS_PER_MS)

static uint8_t hypercall_page[4096] ALIGNED(4096);
static struct hv_message_page messages ALIGNED(4096);
static struct hv_synic_event_flags_page events ALIGNED(4096);
static volatile uint32_t interrupt_count;

static void on_interrupt(void)
{
    interrupt_count++;
    guest_apic_eoi();
}

static uint16_t post(uint64_t number)
{
    static struct hv_input_post_message input ALIGNED(256);

    input = (struct hv_input_post_message){
        .connection_id = MESSAGE_CONNECTION,
        .message_type = MESSAGE_TYPE,
        .payload_size_bytes = sizeof(number),
        .payload = {number},
    };
    return hv_hypercall_result_status(guest_hypercall(HvCallPostMessage, (uint64_t)&input, 0));
}

static uint16_t signal_event(uint32_t flag)
{
    return hv_hypercall_result_status(
        guest_hypercall(HvCallSignalEvent | HV_HYPERCALL_FAST, EVENT_CONNECTION | (uint64_t)flag << 32, 0));
}

/* A message that is refused for want of buffers is sent again until it is taken. */
static void send_messages(void)
{
    uint64_t start = guest_clock();
    uint32_t refused_count = 0;
    uint16_t status = HV_STATUS_SUCCESS;

    for (uint32_t number = 0; number < MESSAGES && guest_clock() - start < LIMIT;) {
        status = post(number);
        if (status == HV_STATUS_SUCCESS) {
            number++;
        } else if (status == HV_STATUS_INSUFFICIENT_BUFFERS) {
            refused_count++;
        } else {
            break;
        }
    }
    guest_check(status == HV_STATUS_SUCCESS && refused_count != 0, "send", "status %#x, refused %u times", status,
                refused_count);
}

static void take_messages(void)
{
    volatile struct hv_message *slot = &messages.sint_message[SINT];
    uint64_t start = guest_clock();
    uint32_t number = 0;
    uint32_t wrong_count = 0;

    while (number < MESSAGES && guest_clock() - start < LIMIT) {
        irq_window();
        if (slot->header.message_type == HvMessageTypeNone) {
            continue;
        }
        wrong_count += slot->header.message_type != MESSAGE_TYPE || slot->payload[0] != number ? 1 : 0;
        number++;
        slot->header.message_type = HvMessageTypeNone;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if ((slot->header.message_flags & HV_MESSAGE_FLAG_PENDING) != 0) {
            wrmsr(HV_X64_MSR_EOM, 0);
        }
    }
    guest_check(number == MESSAGES && wrong_count == 0 && interrupt_count != 0, "take", "%u, %u wrong, %u interrupts",
                number, wrong_count, interrupt_count);
}

static void exchange_events(void)
{
    volatile uint64_t *flags = events.sint_event_flags[SINT].flags;
    uint64_t start = guest_clock();
    uint16_t status = HV_STATUS_SUCCESS;

    for (uint32_t flag = 0; flag < EVENT_FLAGS && status == HV_STATUS_SUCCESS; flag++) {
        status = signal_event(flag);
    }
    guest_check(status == HV_STATUS_SUCCESS, "signal", "status %#x", status);
    status = signal_event(EVENT_FLAGS);
    guest_check(status == HV_STATUS_INVALID_PARAMETER, "signal-beyond", "status %#x", status);
    while ((flags[FIRST_FLAG / 64] == 0 || flags[LAST_FLAG / 64] == 0) && guest_clock() - start < LIMIT) {
        irq_window();
    }
    guest_check(flags[FIRST_FLAG / 64] == UINT64_C(1) << FIRST_FLAG % 64 &&
                    flags[LAST_FLAG / 64] == UINT64_C(1) << LAST_FLAG % 64,
                "signalled", "%#llx, %#llx", (unsigned long long)flags[FIRST_FLAG / 64],
                (unsigned long long)flags[LAST_FLAG / 64]);
}

uint8_t guest_main(void)
{
    guest_apic_init();
    guest_set_handler(VECTOR, on_interrupt);
    guest_synic_init(&messages, &events, SINT, VECTOR);
    if (guest_check(guest_enable_hypercalls(hypercall_page), "hypercalls", "refused")) {
        send_messages();
        take_messages();
        exchange_events();
    }
    return guest_failures();
}
