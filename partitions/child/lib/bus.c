/* SPDX-License-Identifier: MIT */
/* Posting and taking messages of VMBus. What they say is the guest's business. */
#include "partitions/child/lib/bus.h"

#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/str.h"
#include "partitions/child/lib/guest.h"

#define MESSAGE_TYPE  1u
#define VECTOR        0x70u
#define CONTACT_BYTES 40u

uint32_t guest_bus_payload[60];

static uint8_t hypercall_page[4096] ALIGNED(4096);
static struct hv_message_page messages ALIGNED(4096);
static struct hv_synic_event_flags_page events ALIGNED(4096);

static void on_interrupt(void)
{
    guest_apic_eoi();
}

bool guest_bus_init(void)
{
    guest_apic_init();
    guest_set_handler(VECTOR, on_interrupt);
    guest_synic_init(&messages, &events, HV_SYNIC_SINT_VMBUS, VECTOR);
    return guest_check(guest_enable_hypercalls(hypercall_page), "hypercalls", "refused");
}

uint16_t guest_bus_post(uint32_t type, uint32_t bytes)
{
    static struct hv_input_post_message input ALIGNED(256);
    uint64_t start = guest_clock();
    uint16_t status;

    guest_bus_payload[0] = type;
    guest_bus_payload[1] = 0;
    input = (struct hv_input_post_message){
        .connection_id = GUEST_BUS_CONNECTION,
        .message_type = MESSAGE_TYPE,
        .payload_size_bytes = bytes,
    };
    memcpy(input.payload, guest_bus_payload, bytes);
    do {
        status = hv_hypercall_result_status(guest_hypercall(HvCallPostMessage, (uint64_t)&input, 0));
    } while (status == HV_STATUS_INSUFFICIENT_BUFFERS && guest_clock() - start < GUEST_BUS_LIMIT_100NS);
    return status;
}

uint32_t guest_bus_take(void)
{
    struct hv_message *slot = &messages.sint_message[HV_SYNIC_SINT_VMBUS];
    const volatile struct hv_message_header *header = &slot->header;
    uint64_t start = guest_clock();

    while (header->message_type == HvMessageTypeNone) {
        if (guest_clock() - start > GUEST_BUS_LIMIT_100NS) {
            return 0;
        }
        irq_window();
    }
    memcpy(guest_bus_payload, slot->payload, sizeof(guest_bus_payload));
    slot->header.message_type = HvMessageTypeNone;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((header->message_flags & HV_MESSAGE_FLAG_PENDING) != 0) {
        wrmsr(HV_X64_MSR_EOM, 0);
    }
    return guest_bus_payload[0];
}

uint32_t guest_bus_contact(uint32_t version)
{
    memset(guest_bus_payload, 0, sizeof(guest_bus_payload));
    guest_bus_payload[2] = version;
    guest_bus_payload[4] = HV_SYNIC_SINT_VMBUS;
    return guest_bus_post(BUS_INITIATE_CONTACT, CONTACT_BYTES) == HV_STATUS_SUCCESS ? guest_bus_take() : 0;
}

uint16_t guest_bus_signal(uint32_t connection_id)
{
    return hv_hypercall_result_status(guest_hypercall(HvCallSignalEvent | HV_HYPERCALL_FAST, connection_id, 0));
}
