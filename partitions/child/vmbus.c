/* SPDX-License-Identifier: MIT */
/* The control messages of VMBus as a guest sends them: contact, offers, a flood of requests whose answers are taken
 * only afterwards, unload. Offsets and numbers are written out: they are the guest's own view of the protocol. */
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/str.h"
#include "partitions/child/lib/guest.h"

#define CONNECTION     4u
#define MESSAGE_TYPE   1u
#define SINT           HV_SYNIC_SINT_VMBUS
#define VECTOR         0x70u
#define LIMIT          (20000 * GUEST_CLOCK_100NS_PER_MS)
#define VERSION        0x00050003u
#define VERSION_NEWEST 0x00FF0000u
#define REQUESTS       200u

/* Message types. */
enum {
    OFFER = 1,
    REQUEST_OFFERS = 3,
    ALL_OFFERS_DELIVERED = 4,
    INITIATE_CONTACT = 14,
    VERSION_RESPONSE = 15,
    UNLOAD = 16,
    UNLOAD_RESPONSE = 17,
    TL_CONNECT_REQUEST = 21,
    TL_CONNECT_RESULT = 23,
};

static uint8_t hypercall_page[4096] ALIGNED(4096);
static struct hv_message_page messages ALIGNED(4096);
static struct hv_synic_event_flags_page events ALIGNED(4096);
static uint32_t payload[60]; /* of the message that was taken, or is to be posted */

static void on_interrupt(void)
{
    guest_apic_eoi();
}

/* Posts `bytes` bytes of the payload as a message of this type, again while buffers are short. */
static uint16_t post(uint32_t type, uint32_t bytes)
{
    static struct hv_input_post_message input ALIGNED(256);
    uint64_t start = guest_clock();
    uint16_t status;

    payload[0] = type;
    payload[1] = 0;
    input = (struct hv_input_post_message){
        .connection_id = CONNECTION,
        .message_type = MESSAGE_TYPE,
        .payload_size_bytes = bytes,
    };
    memcpy(input.payload, payload, bytes);
    do {
        status = hv_hypercall_result_status(guest_hypercall(HvCallPostMessage, (uint64_t)&input, 0));
    } while (status == HV_STATUS_INSUFFICIENT_BUFFERS && guest_clock() - start < LIMIT);
    return status;
}

/* Takes the next message into the payload; its type, or 0 when none has come in time. */
static uint32_t take(void)
{
    struct hv_message *slot = &messages.sint_message[SINT];
    const volatile struct hv_message_header *header = &slot->header;
    uint64_t start = guest_clock();

    while (header->message_type == HvMessageTypeNone) {
        if (guest_clock() - start > LIMIT) {
            return 0;
        }
        irq_window();
    }
    memcpy(payload, slot->payload, sizeof(payload));
    slot->header.message_type = HvMessageTypeNone;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((header->message_flags & HV_MESSAGE_FLAG_PENDING) != 0) {
        wrmsr(HV_X64_MSR_EOM, 0);
    }
    return payload[0];
}

static void check_contact(const char *name, uint32_t version, bool is_supported)
{
    uint16_t status;
    uint32_t type;

    memset(payload, 0, sizeof(payload));
    payload[2] = version;
    payload[4] = SINT;
    status = post(INITIATE_CONTACT, 40);
    type = take();
    guest_check(status == HV_STATUS_SUCCESS && type == VERSION_RESPONSE && (payload[2] & 0xFF) == is_supported &&
                    (!is_supported || payload[3] == CONNECTION),
                name, "status %#x, type %u, supported %u, connection %u", status, type, payload[2] & 0xFF, payload[3]);
}

static void check_offers(void)
{
    uint32_t offer_count = 0;
    uint32_t bad_count = 0;
    uint32_t type;

    (void)post(REQUEST_OFFERS, 8);
    for (type = take(); type == OFFER; type = take()) {
        uint32_t relid = payload[46];
        uint16_t status =
            hv_hypercall_result_status(guest_hypercall(HvCallSignalEvent | HV_HYPERCALL_FAST, payload[48], 0));

        offer_count++;
        /* The channel is not open, so nobody listens yet. */
        bad_count += relid == 0 || relid > 2047 || status != HV_STATUS_INVALID_CONNECTION_ID ? 1 : 0;
    }
    guest_check(type == ALL_OFFERS_DELIVERED && offer_count != 0 && bad_count == 0, "offers",
                "%u, %u bad, then type %u", offer_count, bad_count, type);
}

/* Asks for sockets that nobody serves; each refusal names the endpoint, which numbers the requests. */
static void check_flood(void)
{
    uint16_t status = HV_STATUS_SUCCESS;
    uint32_t wrong_count = 0;
    uint32_t number = 0;

    for (uint32_t i = 0; i < REQUESTS && status == HV_STATUS_SUCCESS; i++) {
        memset(payload, 0, sizeof(payload));
        payload[2] = i;
        status = post(TL_CONNECT_REQUEST, 40);
    }
    while (number < REQUESTS && take() == TL_CONNECT_RESULT) {
        wrong_count += payload[2] != number || payload[10] == 0 ? 1 : 0;
        number++;
    }
    guest_check(status == HV_STATUS_SUCCESS && number == REQUESTS && wrong_count == 0, "flood",
                "status %#x, %u answers, %u wrong", status, number, wrong_count);
}

static void check_end(void)
{
    uint32_t type;

    (void)post(UNLOAD, 8);
    type = take();
    guest_check(type == UNLOAD_RESPONSE, "unload", "type %u", type);
    /* What has no length or no sense is not answered, and the bus lives on. */
    (void)post(INITIATE_CONTACT, 8);
    (void)post(0xFFFF, 240);
    check_contact("contact-again", VERSION, true);
}

uint8_t guest_main(void)
{
    guest_apic_init();
    guest_set_handler(VECTOR, on_interrupt);
    guest_synic_init(&messages, &events, SINT, VECTOR);
    if (guest_check(guest_enable_hypercalls(hypercall_page), "hypercalls", "refused")) {
        check_contact("too-new", VERSION_NEWEST, false);
        check_contact("contact", VERSION, true);
        check_offers();
        check_flood();
        check_end();
    }
    return guest_failures();
}
