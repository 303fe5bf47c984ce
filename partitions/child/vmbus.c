/* SPDX-License-Identifier: MIT */
/* The control messages of VMBus: contact, offers, a flood of requests whose answers are taken only afterwards,
 * unload. */
#include "hv/abi/hv_status.h"
#include "hv/lib/str.h"
#include "partitions/child/lib/bus.h"
#include "partitions/child/lib/guest.h"

#define VERSION_NEWEST 0x00FF0000u
#define REQUESTS       200u

static uint32_t *const payload = guest_bus_payload;

static void check_contact(const char *name, uint32_t version, bool is_supported)
{
    uint32_t type = guest_bus_contact(version);

    guest_check(type == BUS_VERSION_RESPONSE && (payload[2] & 0xFF) == is_supported &&
                    (!is_supported || payload[3] == GUEST_BUS_CONNECTION),
                name, "type %u, supported %u, connection %u", type, payload[2] & 0xFF, payload[3]);
}

static void check_offers(void)
{
    uint32_t offer_count = 0;
    uint32_t bad_count = 0;
    uint32_t type;

    (void)guest_bus_post(BUS_REQUEST_OFFERS, 8);
    for (type = guest_bus_take(); type == BUS_OFFER; type = guest_bus_take()) {
        uint32_t relid = payload[46];
        uint16_t status = guest_bus_signal(payload[48]);

        offer_count++;
        /* The channel is not open, so nobody listens yet. */
        bad_count += relid == 0 || relid > 2047 || status != HV_STATUS_INVALID_CONNECTION_ID ? 1 : 0;
    }
    guest_check(type == BUS_ALL_OFFERS_DELIVERED && offer_count != 0 && bad_count == 0, "offers",
                "%u, %u bad, then type %u", offer_count, bad_count, type);
}

/* Asks for sockets that nobody serves; each refusal names the endpoint, which numbers the requests. */
static void check_flood(void)
{
    uint16_t status = HV_STATUS_SUCCESS;
    uint32_t wrong_count = 0;
    uint32_t number = 0;

    for (uint32_t i = 0; i < REQUESTS && status == HV_STATUS_SUCCESS; i++) {
        memset(payload, 0, sizeof(guest_bus_payload));
        payload[2] = i;
        status = guest_bus_post(BUS_TL_CONNECT_REQUEST, 40);
    }
    while (number < REQUESTS && guest_bus_take() == BUS_TL_CONNECT_RESULT) {
        wrong_count += payload[2] != number || payload[10] == 0 ? 1 : 0;
        number++;
    }
    guest_check(status == HV_STATUS_SUCCESS && number == REQUESTS && wrong_count == 0, "flood",
                "status %#x, %u answers, %u wrong", status, number, wrong_count);
}

static void check_end(void)
{
    uint32_t type;

    (void)guest_bus_post(BUS_UNLOAD, 8);
    type = guest_bus_take();
    guest_check(type == BUS_UNLOAD_RESPONSE, "unload", "type %u", type);
    /* What has no length or no sense is not answered, and the bus lives on. */
    (void)guest_bus_post(BUS_INITIATE_CONTACT, 8);
    (void)guest_bus_post(0xFFFF, 240);
    check_contact("contact-again", GUEST_BUS_VERSION, true);
}

uint8_t guest_main(void)
{
    if (guest_bus_init()) {
        check_contact("too-new", VERSION_NEWEST, false);
        check_contact("contact", GUEST_BUS_VERSION, true);
        check_offers();
        check_flood();
        check_end();
    }
    return guest_failures();
}
