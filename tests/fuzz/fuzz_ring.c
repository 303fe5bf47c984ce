/* SPDX-License-Identifier: MIT */
/*
 * Rings and packets of an open channel, whose memory the guest changes at any time, also right after we have read it;
 * read by a provider that looks at all it gets, or by an integration service. Holds, beside fuzz_bus_check(): payload
 * and ranges lie in the buffer, pieces in RAM and as long together as the ranges; indices stay in the ring; the guest's
 * other pages are not touched.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/lib/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hostile_page.h"
#include "tests/fuzz/machine_bus.h"

#define OPERATIONS_MAX   200
#define PAGE             4096u
#define RING_FIRST_PAGE  8u
#define RING_PAGES       2u
#define DATA             ((RING_PAGES - 1) * PAGE)
#define RINGS_END        ((RING_FIRST_PAGE + 2 * RING_PAGES) * PAGE)
#define GPADL_ID         1u
#define BUFFER_BYTES_MAX 2048u
#define CANARY           0xC5

static struct fuzz_bus *fuzz;
static struct guest guest;
static struct guest_channel channel;

/* Connects and opens the one channel that is offered. False while the provider still closes. */
static void open_channel(void)
{
    uint8_t contact[40] = {14}, offers[8] = {3}, gpadl[28 + 8 * 2 * RING_PAGES] = {8}, open[148] = {5};

    memset(fuzz->host->ram + RING_FIRST_PAGE * PAGE, 0, 2 * RING_PAGES * PAGE);
    put_u32(contact + 8, 0x00050003);
    contact[16] = 2;
    fuzz_bus_post(fuzz, 4, contact, sizeof(contact));
    fuzz_bus_post(fuzz, 4, offers, sizeof(offers));
    put_u32(gpadl + 8, 1);
    put_u32(gpadl + 12, GPADL_ID);
    put_u16(gpadl + 16, 8 + 8 * 2 * RING_PAGES);
    put_u16(gpadl + 18, 1);
    put_u32(gpadl + 20, 2 * RING_PAGES * PAGE);
    for (uint32_t i = 0; i < 2 * RING_PAGES; i++) {
        put_u64(gpadl + 28 + 8 * i, RING_FIRST_PAGE + i);
    }
    fuzz_bus_post(fuzz, 4, gpadl, sizeof(gpadl));
    put_u32(open + 8, 1);
    put_u32(open + 16, GPADL_ID);
    put_u32(open + 24, RING_PAGES);
    fuzz_bus_post(fuzz, 4, open, sizeof(open));
    channel = (struct guest_channel){
        .guest = &guest,
        .relid = 1,
        .connection_id = 0x2001,
        .pages = RING_PAGES,
        .out = fuzz->host->ram + RING_FIRST_PAGE * PAGE,
        .in = fuzz->host->ram + (RING_FIRST_PAGE + RING_PAGES) * PAGE,
    };
}

/* Looks at each byte of the packet's payload, and at each piece of its ranges. */
static void look_at(const struct vsp_packet *packet, const uint8_t *buffer, uint32_t buffer_bytes)
{
    const uint8_t *payload = packet->payload;
    struct gpa_cursor cursor;
    struct gpa_piece piece;
    uint64_t total = 0;
    uint8_t sum = 0;

    FUZZ_CHECK(payload >= buffer + 16 && payload + packet->payload_bytes <= buffer + buffer_bytes);
    for (uint32_t i = 0; i < packet->payload_bytes; i++) {
        sum ^= payload[i];
    }
    fuzz->host->ram[0] = sum;
    FUZZ_CHECK((packet->ranges.range_count != 0) == (packet->type == 9));
    gpa_cursor_start(&cursor, &packet->ranges);
    while (gpa_cursor_next(&cursor, 1 + packet->payload_bytes, &piece)) {
        FUZZ_CHECK(piece.length_bytes != 0 && piece.length_bytes <= 1 + packet->payload_bytes);
        FUZZ_CHECK(piece.gpa + piece.length_bytes <= FUZZ_BUS_RAM_BYTES);
        FUZZ_CHECK(GUEST_CAST(uint8_t *, piece.bytes) == fuzz->host->ram + piece.gpa);
        total += piece.length_bytes;
    }
    FUZZ_CHECK(total == packet->ranges.total_bytes);
}

static void read_packets(struct fuzz_input *input)
{
    uint32_t buffer_bytes = 8 * (1 + fuzz_u8(input)) % BUFFER_BYTES_MAX;
    uint8_t *buffer = malloc(buffer_bytes == 0 ? 1 : buffer_bytes);
    struct vsp_packet packet;

    FUZZ_CHECK(buffer != NULL);
    host_vm_lock(fuzz->host);
    while (vsp_read_packet(&fuzz->recorders[0].vsp, buffer, buffer_bytes, &packet) == VSP_OK) {
        look_at(&packet, buffer, buffer_bytes);
    }
    host_vm_unlock(fuzz->host);
    free(buffer);
}

static void write_packet(struct fuzz_input *input)
{
    static const uint8_t bytes[2 * PAGE];
    struct vsp_write write = {
        .type = 6, .transaction_id = 1, .payload = bytes, .payload_bytes = fuzz_u16(input) % sizeof(bytes)};

    host_vm_lock(fuzz->host);
    (void)!vsp_write_packet(&fuzz->recorders[0].vsp, &write);
    host_vm_unlock(fuzz->host);
}

/* Writes a packet as a guest does, with ranges, or what may look like some. */
static void send_packet(struct fuzz_input *input)
{
    static const uint16_t types[] = {6, 9, 11, 9};
    uint16_t type = types[fuzz_below(input, 4)];
    uint8_t extension[128] = {0}, payload[128];
    uint32_t extension_bytes = 0, payload_bytes = fuzz_below(input, sizeof(payload));

    if (type == 9) {
        uint32_t pages = fuzz_below(input, 12);

        extension_bytes = 16 + 8 * pages;
        fuzz_fill(input, extension, fuzz_below(input, 16));
        extension[4] = (uint8_t)(1 + fuzz_below(input, 2));
        put_u32(extension + 8, pages * PAGE - fuzz_u8(input));
        put_u32(extension + 12, fuzz_u8(input));
        for (uint32_t i = 0; i < pages; i++) {
            put_u64(extension + 16 + 8 * i, fuzz_u8(input) % 130);
        }
    }
    fuzz_fill(input, payload, payload_bytes);
    guest_write(&channel, type, fuzz_below(input, 2), fuzz_u8(input), extension, extension_bytes, payload,
                payload_bytes);
}

/* An answer to an integration service: its last message, changed in places. */
static void answer_service(struct fuzz_input *input)
{
    uint32_t read_index = get_u32(channel.in + 4) % DATA;
    uint8_t bytes[256];

    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = channel.in[PAGE + (read_index + 16 + i) % DATA];
    }
    bytes[25] = 5;
    for (uint32_t changes = fuzz_below(input, 4); changes != 0; changes--) {
        bytes[fuzz_below(input, 64)] = fuzz_u8(input);
    }
    put_u32(channel.in + 4, get_u32(channel.in));
    guest_write(&channel, 6, 0, 0, NULL, 0, bytes, 8u * fuzz_below(input, sizeof(bytes) / 8));
}

static const struct kvp_question questions[] = {
    {.operation = IC_KVP_SET, .key = "key", .value = "value"},
    {.operation = IC_KVP_DELETE, .key = "key"},
    {.operation = IC_KVP_ENUMERATE, .pool = IC_KVP_POOL_AUTO, .index = 1},
};

/* Time passes, and somebody wants something of the guest. */
static void advance(struct fuzz_input *input)
{
    uint8_t amount = fuzz_u8(input);

    fake_host_advance(fuzz->host, (uint64_t)amount << 18);
    host_vm_lock(fuzz->host);
    if (amount % 4 == 1) {
        fuzz->owed_answers += shutdown_request(&fuzz->shutdown, false, amount % 8 == 1);
        fuzz->owed_answers += vss_freeze(&fuzz->vss, amount % 8 == 1);
        fuzz->owed_answers += kvp_ask(&fuzz->kvp, &questions[amount / 4 % ARRAY_SIZE(questions)]) == KVP_ASKED;
    } else if (amount % 4 == 3) {
        timesync_step(&fuzz->timesync);
    } else {
        (void)!keyboard_type(&fuzz->keyboard,
                             "A long line that takes a few hundred keys, and room for each in the ring.");
    }
    host_vm_unlock(fuzz->host);
}

static void scribble(struct fuzz_input *input)
{
    uint8_t *ring = fuzz_below(input, 2) == 0 ? channel.out : channel.in;

    switch (fuzz_below(input, 4)) {
    case 0:
        put_u32(ring + 4 * fuzz_below(input, 4), fuzz_u32(input));
        break;
    case 1:
        put_u32(ring + 4 * fuzz_below(input, 4), 8 * (fuzz_u16(input) % (DATA / 8)));
        break;
    case 2:
        ring[PAGE + fuzz_u16(input) % DATA] = fuzz_u8(input);
        break;
    default:
        put_u32(ring + 0x40, fuzz_u8(input));
        break;
    }
}

static void operate(struct fuzz_input *input)
{
    switch (fuzz_below(input, 12)) {
    case 0:
    case 1:
        scribble(input);
        break;
    case 2:
    case 3:
    case 4:
        send_packet(input);
        break;
    case 5:
        answer_service(input);
        break;
    case 6:
        write_packet(input);
        break;
    case 7:
        guest_signal(&guest, channel.connection_id);
        break;
    case 8:
        hostile_page_set(fuzz_below(input, 3) == 0 ? fuzz_u8(input) : 0);
        break;
    case 9:
        advance(input);
        break;
    case 10:
        if (fuzz->bus->channels[0].state != VMBUS_CHANNEL_OPEN) {
            hostile_page_set(0);
            open_channel();
        }
        break;
    default:
        read_packets(input);
        break;
    }
}

static void check(void)
{
    const struct channel *inner = &fuzz->bus->channels[0];

    fuzz_bus_check(fuzz);
    if (inner->state == VMBUS_CHANNEL_OPEN) {
        FUZZ_CHECK(inner->incoming.index < DATA && inner->incoming.index % 8 == 0);
        FUZZ_CHECK(inner->outgoing.index < DATA && inner->outgoing.index % 8 == 0);
    }
    for (uint32_t i = 0; i < PAGE; i += 64) {
        FUZZ_CHECK(fuzz->host->ram[RING_FIRST_PAGE * PAGE - 1 - i] == CANARY);
        FUZZ_CHECK(fuzz->host->ram[RINGS_END + i] == CANARY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    struct vsp *provider;

    fuzz = fuzz_bus_create();
    guest = (struct guest){.host = fuzz->host, .bus = fuzz->bus, .message_connection = 4};
    memset(fuzz->host->ram + RING_FIRST_PAGE * PAGE - PAGE, CANARY, PAGE);
    memset(fuzz->host->ram + RINGS_END, CANARY, PAGE);
    switch (fuzz_below(&input, 12)) {
    case 0:
        provider = &fuzz->heartbeat.ic.vsp;
        break;
    case 1:
        provider = &fuzz->shutdown.ic.vsp;
        break;
    case 2:
        provider = &fuzz->timesync.ic.vsp;
        break;
    case 3:
        provider = &fuzz->kvp.ic.vsp;
        break;
    case 4:
        provider = &fuzz->vss.ic.vsp;
        break;
    case 5:
        provider = &fuzz->keyboard.vsp;
        break;
    case 6:
        provider = &fuzz->mouse.vsp;
        break;
    case 7:
        provider = &fuzz->video.vsp;
        break;
    default:
        provider = &fuzz->recorders[0].vsp;
        fuzz->recorders[0].reads = fuzz_below(&input, 2) == 0;
        break;
    }
    FUZZ_CHECK(vsp_offer(fuzz->bus, provider));
    open_channel();
    FUZZ_CHECK(fuzz->bus->channels[0].state == VMBUS_CHANNEL_OPEN);
    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        operate(&input);
        check();
    }
    hostile_page_set(0);
    fuzz_bus_destroy(fuzz);
    return 0;
}
