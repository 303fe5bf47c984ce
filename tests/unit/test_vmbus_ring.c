/* SPDX-License-Identifier: MIT */
/* Rings and packets of the VMBus side: data, exact signals in both directions, and what a guest may not write. */
/* slow: 1000000 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/generated.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/channel.h"
#include "vmbus/refusal.h"

#define V5_3       0x00050003u
#define PAGE       4096u
#define RING_PAGES 3u
#define DATA       ((RING_PAGES - 1) * PAGE)
#define ROUNDS     20000u

static struct guest guest;
static struct recorder recorder;
static struct guest_offer offer;
static struct guest_channel channel;

static int setup(void **state)
{
    (void)state;
    guest_create(&guest);
    recorder_init(&recorder, 1);
    recorder_offer(&guest, &recorder);
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guest_destroy(&guest);
    return 0;
}

/* Signals of the host since the last call. */
static uint32_t new_signals(void)
{
    uint32_t count = guest.host->synic.events[offer.relid];

    guest.host->synic.events[offer.relid] = 0;
    return count;
}

static enum vsp_result write_packet(const void *payload, uint32_t length)
{
    const struct vsp_write write = {.type = 6, .transaction_id = 42, .payload = payload, .payload_bytes = length};

    return vsp_write_packet(&recorder.vsp, &write);
}

static enum vsp_result read_packet(void)
{
    recorder.last_result = vsp_read_packet(&recorder.vsp, recorder.buffer, recorder.buffer_bytes, &recorder.last);
    return recorder.last_result;
}

/* Packets of all lengths in both directions, around the end of the rings many times. */
static void test_data(void **state)
{
    static uint8_t bytes[2048];
    static struct guest_packet packet;

    (void)state;
    recorder.echoes = true;
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    }
    for (uint32_t length = 0; length <= sizeof(bytes); length += 1 + length / 64) {
        for (uint32_t round = 0; round < 3; round++) {
            assert_true(guest_send(&channel, 1 + length * 10 + round, true, bytes, length));
            assert_int_equal(recorder.last_result, VSP_EMPTY);
            assert_int_equal(recorder.last.payload_bytes, (length + 7) / 8 * 8);
            assert_memory_equal(recorder.last.payload, bytes, length);
            assert_true(guest_read(&channel, &packet));
            assert_int_equal(packet.type, 11);
            assert_int_equal(packet.flags, 0);
            assert_int_equal(packet.transaction_id, 1 + length * 10 + round);
            assert_int_equal(packet.payload_offset, 16);
            assert_memory_equal(packet.bytes + 16, bytes, length);
            assert_false(guest_read(&channel, &packet));
        }
    }
}

/* An answer is owed only to a packet that asks for it and has an id. */
static void test_completions(void **state)
{
    static struct guest_packet packet;

    (void)state;
    recorder.echoes = true;
    assert_true(guest_send(&channel, 5, false, "silent", 6));
    assert_true(guest_send(&channel, 0, true, "nameless", 8));
    assert_int_equal(recorder.packets, 2);
    assert_false(guest_read(&channel, &packet));
    assert_true(guest_send(&channel, UINT64_MAX, true, "answer", 6));
    assert_true(guest_read(&channel, &packet));
    assert_true(packet.transaction_id == UINT64_MAX);
    assert_false(guest_read(&channel, &packet));
}

/* Nothing of ours that was not written comes to the guest: the padding is zero. */
static void test_padding(void **state)
{
    static struct guest_packet packet;

    (void)state;
    memset(channel.in + PAGE, 0xEE, DATA);
    assert_int_equal(write_packet("abc", 3), VSP_OK);
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.length, 24);
    assert_memory_equal(packet.bytes + 16, "abc\0\0\0\0\0", 8);
}

static void test_extension(void **state)
{
    static struct guest_packet packet;
    const struct vsp_write write = {
        .type = 7,
        .flags = 1,
        .transaction_id = 9,
        .extension = "extended",
        .extension_bytes = 8,
        .payload = "payload",
        .payload_bytes = 8,
    };

    (void)state;
    assert_int_equal(vsp_write_packet(&recorder.vsp, &write), VSP_OK);
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.type, 7);
    assert_int_equal(packet.flags, 1);
    assert_int_equal(packet.payload_offset, 24);
    assert_memory_equal(packet.bytes + 16, "extendedpayload", 16);
}

/* The host signals only what comes into an empty ring, and not while the guest has masked it. */
static void test_host_signals(void **state)
{
    static struct guest_packet packet;

    (void)state;
    assert_int_equal(write_packet("1", 1), VSP_OK);
    assert_int_equal(new_signals(), 1);
    assert_int_equal(guest.host->synic.event_vp, 2);
    assert_int_equal(write_packet("2", 1), VSP_OK);
    assert_int_equal(new_signals(), 0);
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(write_packet("3", 1), VSP_OK);
    assert_int_equal(new_signals(), 0);
    assert_true(guest_read(&channel, &packet));
    assert_true(guest_read(&channel, &packet));
    put_u32(channel.in + 8, 1);
    assert_int_equal(write_packet("4", 1), VSP_OK);
    assert_int_equal(new_signals(), 0);
    put_u32(channel.in + 8, 0);
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(write_packet("5", 1), VSP_OK);
    assert_int_equal(new_signals(), 1);
    /* Without a VP there is none to signal. */
    assert_true(guest_read(&channel, &packet));
    guest_close(&channel);
    guest_post_open(&guest, offer.relid, guest_make_gpadl(&guest, offer.relid, guest_pages(&guest, 6), 6), 0xFFFFFFFF,
                    3);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), 0);
    assert_int_equal(write_packet("6", 1), VSP_OK);
    assert_int_equal(new_signals(), 0);
}

/* While the provider reads, the guest need not signal; when it has read all, it must. */
static void test_guest_signals(void **state)
{
    (void)state;
    recorder.reads = false;
    assert_int_equal(get_u32(channel.out + 8), 0);
    assert_true(guest_send(&channel, 1, false, "1", 1));
    assert_int_equal(channel.signals, 1);
    assert_true(guest_send(&channel, 2, false, "2", 1));
    assert_int_equal(channel.signals, 1);
    assert_int_equal(read_packet(), VSP_OK);
    assert_int_equal(get_u32(channel.out + 8), 1);
    assert_int_equal(read_packet(), VSP_OK);
    /* Empty, but the provider does not know it yet. */
    assert_true(guest_send(&channel, 3, false, "3", 1));
    assert_int_equal(channel.signals, 1);
    assert_int_equal(read_packet(), VSP_OK);
    assert_int_equal(recorder.last.transaction_id, 3);
    assert_int_equal(read_packet(), VSP_EMPTY);
    assert_int_equal(get_u32(channel.out + 8), 0);
    assert_true(guest_send(&channel, 4, false, "4", 1));
    assert_int_equal(channel.signals, 2);
    assert_int_equal(read_packet(), VSP_OK);
}

/* A host that finds the ring full is signalled when there is room for what it has, and not before. */
static void test_host_waits_for_room(void **state)
{
    static uint8_t bytes[2000];
    static struct guest_packet packet;
    uint32_t packets = 0;

    (void)state;
    while (write_packet(bytes, 1000) == VSP_OK) {
        packets++;
    }
    assert_int_equal(packets, (DATA - 1) / 1024);
    assert_int_equal(get_u32(channel.in + 0x0C), 1024);
    assert_int_equal(write_packet(bytes, 8), VSP_OK); /* a shorter one fits, and nobody waits any more */
    assert_int_equal(get_u32(channel.in + 0x0C), 0);
    assert_int_equal(write_packet(bytes, 2000), VSP_FULL);
    assert_int_equal(get_u32(channel.in + 0x0C), 2024);
    recorder.signals = 0;
    for (uint32_t i = 0; i < packets; i++) {
        uint32_t free_bytes;

        assert_true(guest_read(&channel, &packet));
        free_bytes = DATA - 32 - (packets - 1 - i) * 1024;
        assert_int_equal(recorder.signals, free_bytes > 2024);
    }
    assert_int_equal(write_packet(bytes, 2000), VSP_OK);
    assert_int_equal(get_u32(channel.in + 0x0C), 0);
}

/* A ring is never filled to the last byte, which would look empty. */
static void test_full_to_the_brim(void **state)
{
    static uint8_t bytes[DATA];
    static struct guest_packet packet;

    (void)state;
    assert_int_equal(write_packet(bytes, 2048 - 24), VSP_OK);
    assert_int_equal(write_packet(bytes, 2048 - 24), VSP_OK);
    assert_int_equal(write_packet(bytes, 2048 - 24), VSP_OK);
    assert_int_equal(write_packet(bytes, 2048 - 24), VSP_FULL);
    assert_int_equal(write_packet(bytes, 2048 - 24 - 8), VSP_OK);
    assert_int_equal(write_packet(NULL, 0), VSP_FULL);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(guest_read(&channel, &packet));
    }
    assert_false(guest_read(&channel, &packet));
}

/* A guest that waits for room is signalled once, when the free bytes go beyond what it waits for. */
static void test_guest_waits_for_room(void **state)
{
    static uint8_t bytes[1000];
    uint32_t packets = 0;

    (void)state;
    recorder.reads = false;
    while (guest_send(&channel, 1, false, bytes, sizeof(bytes))) {
        packets++;
    }
    put_u32(channel.out + 0x0C, 3000);
    for (uint32_t i = 0; i < packets; i++) {
        uint32_t free_before = DATA - (packets - i) * 1024;

        assert_int_equal(read_packet(), VSP_OK);
        assert_int_equal(new_signals(), free_before <= 3000 && free_before + 1024 > 3000);
    }
    /* "When it is empty." */
    assert_true(guest_send(&channel, 1, false, bytes, 8));
    assert_true(guest_send(&channel, 1, false, bytes, 8));
    put_u32(channel.out + 0x0C, DATA - 1);
    assert_int_equal(read_packet(), VSP_OK);
    assert_int_equal(new_signals(), 0);
    assert_int_equal(read_packet(), VSP_OK);
    assert_int_equal(new_signals(), 1);
    /* A guest that says nothing of the feature polls. */
    put_u32(channel.out + 0x40, 0);
    assert_true(guest_send(&channel, 1, false, bytes, 8));
    assert_int_equal(read_packet(), VSP_OK);
    assert_int_equal(new_signals(), 0);
}

/* Rings as an earlier owner left them: packets are in it before the channel opens. */
static void test_open_with_packets(void **state)
{
    uint64_t first = guest_pages(&guest, 2 * RING_PAGES);

    (void)state;
    guest_close(&channel);
    channel.out = guest.host->ram + first * PAGE;
    put_u32(channel.out, DATA - 16);
    put_u32(channel.out + 4, DATA - 16);
    put_u32(channel.out + 8, 1);
    assert_true(guest_send(&channel, 5, false, "earlier", 8));
    recorder.packets = 0;
    channel.gpadl_id = guest_make_gpadl(&guest, offer.relid, first, 2 * RING_PAGES);
    guest_post_open(&guest, offer.relid, channel.gpadl_id, 0, RING_PAGES);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), 0);
    assert_int_equal(recorder.packets, 1);
    assert_memory_equal(recorder.last.payload, "earlier", 8);
    assert_int_equal(get_u32(channel.out + 8), 0);
    /* Empty, but masked: the guest would not signal its first packet. */
    guest_post_relid(&guest, 7, offer.relid);
    put_u32(channel.out + 8, 1);
    guest_post_open(&guest, offer.relid, channel.gpadl_id, 0, RING_PAGES);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), 0);
    assert_int_equal(get_u32(channel.out + 8), 0);
}

/* One channel cannot keep the worker busy for ever: others come between its turns. */
static void test_turns(void **state)
{
    (void)state;
    recorder.reads = false;
    for (uint32_t i = 0; i < 200; i++) {
        assert_true(guest_send(&channel, i, false, "1", 1));
    }
    recorder.reads = true;
    recorder.packets = 0;
    guest_signal(&guest, offer.connection_id);
    assert_int_equal(recorder.packets, 128);
    assert_int_equal(read_packet(), VSP_EMPTY);
    guest_let_call_back(&guest);
    assert_int_equal(recorder.packets, 200);
    assert_int_equal(get_u32(channel.out + 8), 0);
}

/* What the guest wrote is a fault of this cause: the channel is closed and rescinded, once, and the rest lives on. */
static void expect_fault(enum refusal cause)
{
    (void)new_signals();
    assert_int_equal(recorder.last_result, VSP_CLOSED);
    assert_int_equal(guest_refusals(&guest, cause), 1);
    assert_int_equal(recorder.closes, 0);
    assert_int_equal(read_packet(), VSP_CLOSED);
    assert_int_equal(write_packet("1", 1), VSP_CLOSED);
    recorder.signals = 0;
    guest_signal(&guest, offer.connection_id);
    assert_int_equal(recorder.signals, 0);
    guest_let_call_back(&guest);
    assert_int_equal(recorder.closes, 1);
    assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), offer.relid);
    assert_int_equal(guest.host->log_lines, 1);
    assert_int_equal(new_signals(), 0);
    /* Not for this guest any more, but for the next. */
    guest_post_open(&guest, offer.relid, channel.gpadl_id, 0, RING_PAGES);
    guest_post_relid(&guest, 7, offer.relid);
    guest_post_relid(&guest, 13, offer.relid);
    guest_expect_nothing(&guest);
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 2);
    assert_true(guest_send(&channel, 1, false, "again", 5));
    assert_int_equal(recorder.last_result, VSP_EMPTY);
}

/* Publishes `used` bytes of a packet whose header is this. */
static void publish(uint16_t type, uint16_t offset8, uint16_t length8, uint16_t flags, uint32_t used)
{
    uint8_t *data = channel.out + PAGE;

    put_u16(data, type);
    put_u16(data + 2, offset8);
    put_u16(data + 4, length8);
    put_u16(data + 6, flags);
    put_u32(channel.out, used);
    guest_signal(&guest, offer.connection_id);
}

static void test_write_index_out_of_range(void **state)
{
    (void)state;
    publish(6, 2, 3, 0, DATA);
    expect_fault(REFUSE_RING_INDEX);
}

static void test_write_index_unaligned(void **state)
{
    (void)state;
    publish(6, 2, 3, 0, 36);
    expect_fault(REFUSE_RING_INDEX);
}

static void test_too_little_for_a_packet(void **state)
{
    (void)state;
    publish(6, 2, 2, 0, 16);
    expect_fault(REFUSE_PACKET_LENGTH);
}

static void test_packet_beyond_the_index(void **state)
{
    (void)state;
    publish(6, 2, 4, 0, 32);
    expect_fault(REFUSE_PACKET_LENGTH);
}

static void test_packet_of_all_ones(void **state)
{
    (void)state;
    publish(6, 0xFFFF, 0xFFFF, 0, DATA - 8);
    expect_fault(REFUSE_PACKET_LENGTH);
}

static void test_payload_in_the_header(void **state)
{
    (void)state;
    publish(6, 1, 3, 0, 32);
    expect_fault(REFUSE_PACKET_LENGTH);
}

static void test_payload_behind_the_end(void **state)
{
    (void)state;
    publish(6, 4, 3, 0, 32);
    expect_fault(REFUSE_PACKET_LENGTH);
}

static void test_direct_without_its_header(void **state)
{
    (void)state;
    publish(9, 2, 3, 0, 32);
    expect_fault(REFUSE_PACKET_LENGTH);
}

static void test_packet_longer_than_the_protocol(void **state)
{
    (void)state;
    recorder.buffer_bytes = 64;
    assert_true(guest_send(&channel, 1, false, recorder.buffer, 48));
    assert_int_equal(recorder.last_result, VSP_EMPTY);
    assert_true(guest_send(&channel, 1, false, recorder.buffer, 56));
    expect_fault(REFUSE_PACKET_LENGTH);
}

static void test_unknown_flags(void **state)
{
    (void)state;
    publish(6, 2, 3, 2, 32);
    expect_fault(REFUSE_PACKET_TYPE);
}

/* All types that no guest sends. */
static void test_unknown_types(void **state)
{
    (void)state;
    for (uint16_t type = 0; type < 300; type++) {
        bool is_known = type == 6 || type == 9 || type == 11;

        put_u32(channel.out + PAGE + 16, 0);
        put_u32(channel.out + PAGE + 20, 0);
        if (!is_known) {
            publish(type, 3, 3, 0, 32);
            assert_int_equal(recorder.last_result, VSP_CLOSED);
            assert_true(guest_refusals(&guest, REFUSE_PACKET_TYPE) > 0);
            guest_connect(&guest, V5_3, &offer);
            guest_open(&guest, &channel, &offer, RING_PAGES, 2);
        }
    }
    assert_int_equal(guest_refusals(&guest, REFUSE_PACKET_TYPE), 297);
    assert_int_equal(guest.host->log_lines, 1);
}

static void test_read_index_out_of_range(void **state)
{
    (void)state;
    put_u32(channel.in + 4, DATA);
    recorder.last_result = write_packet("1", 1);
    expect_fault(REFUSE_RING_INDEX);
}

static void test_read_index_unaligned(void **state)
{
    (void)state;
    put_u32(channel.in + 4, 4);
    recorder.last_result = write_packet("1", 1);
    expect_fault(REFUSE_RING_INDEX);
}

static void test_ring_too_small(void **state)
{
    static uint8_t bytes[DATA];

    (void)state;
    assert_int_equal(write_packet(bytes, DATA - 24 - 8), VSP_OK);
    recorder.last_result = write_packet(bytes, DATA - 24);
    expect_fault(REFUSE_RING_SIZE);
}

static void test_device_fault(void **state)
{
    (void)state;
    vsp_fault(&recorder.vsp);
    recorder.last_result = read_packet();
    expect_fault(REFUSE_DEVICE_PROTOCOL);
}

/* Longer than a packet can say, in a ring that would have room for it. */
static void test_write_too_long(void **state)
{
    static uint8_t bytes[600 * 1024];

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, 200, 0);
    assert_int_equal(write_packet(bytes, UINT16_MAX * 8 - 16), VSP_OK);
    assert_int_equal(write_packet(bytes, UINT16_MAX * 8 - 8), VSP_CLOSED);
    assert_int_equal(guest_refusals(&guest, REFUSE_RING_SIZE), 1);
}

/* A fault of a sub-channel is a fault of the device. */
static void test_fault_of_sub_channel(void **state)
{
    struct recorder sub;
    struct guest_offer sub_offer;
    struct guest_channel sub_channel;

    (void)state;
    recorder_init(&sub, 1);
    sub.vsp.offer.sub_channel_index = 1;
    recorder_offer(&guest, &sub);
    guest_expect_offer(&guest, &sub_offer);
    guest_open(&guest, &sub_channel, &sub_offer, RING_PAGES, 0);
    vsp_fault(&sub.vsp);
    guest_let_call_back(&guest);
    assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), sub_offer.relid);
    assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), offer.relid);
    guest_expect_nothing(&guest);
    assert_int_equal(sub.closes, 1);
    assert_int_equal(recorder.closes, 1);
    guest_post_relid(&guest, 13, sub_offer.relid);
    guest_post_relid(&guest, 13, offer.relid);
    guest_expect_nothing(&guest);
    guest_connect(&guest, V5_3, &offer);
}

/* The guest may write over indices that are ours: we do not look at them. */
static void test_our_indices_are_ours(void **state)
{
    static struct guest_packet packet;

    (void)state;
    assert_true(guest_send(&channel, 1, false, "1", 1));
    put_u32(channel.out + 4, 0x12345);
    put_u32(channel.in, 0x54321);
    assert_int_equal(write_packet("first", 5), VSP_OK);
    assert_true(guest_read(&channel, &packet));
    assert_memory_equal(packet.bytes + 16, "first", 5);
    guest_signal(&guest, offer.connection_id);
    assert_int_equal(recorder.last_result, VSP_EMPTY);
    assert_int_equal(recorder.packets, 1);
}

/* Ranges of a GPA-direct packet, as bytes; returns how many. */
static uint32_t put_range(uint8_t *bytes, uint32_t count, uint32_t offset, uint64_t first, uint32_t pages,
                          uint32_t stride)
{
    put_u32(bytes, count);
    put_u32(bytes + 4, offset);
    for (uint32_t i = 0; i < pages; i++) {
        put_u64(bytes + 8 + 8 * i, first + (uint64_t)i * stride);
    }
    return 8 + 8 * pages;
}

static void send_direct(const uint8_t *ranges, uint32_t bytes, uint32_t count)
{
    uint8_t extension[1024] = {0xAA, 0xAA, 0xAA, 0xAA};

    put_u32(extension + 4, count);
    memcpy(extension + 8, ranges, bytes);
    guest_write(&channel, 9, 1, 77, extension, 8 + bytes, "command", 8);
}

static void test_direct_ranges(void **state)
{
    uint64_t first = guest_pages(&guest, 32);
    uint8_t *ram = guest.host->ram + first * PAGE;
    uint8_t ranges[256], bytes[3 * PAGE];
    struct gpa_cursor cursor;
    struct gpa_piece piece;
    uint32_t length;

    (void)state;
    length = put_range(ranges, 6000, 100, first, 2, 1);               /* two pages that follow each other */
    length += put_range(ranges + length, 10, 4090, first + 10, 2, 2); /* two that do not */
    length += put_range(ranges + length, 1, 0, first + 20, 1, 1);
    send_direct(ranges, length, 3);
    assert_int_equal(recorder.packets, 1);
    assert_int_equal(recorder.last.type, 9);
    assert_true(recorder.last.wants_completion);
    assert_memory_equal(recorder.last.payload, "command", 8);
    assert_int_equal(recorder.last.ranges.range_count, 3);
    assert_int_equal(recorder.last.ranges.total_bytes, 6011);
    /* Without a copy. */
    gpa_cursor_start(&cursor, &recorder.last.ranges);
    assert_true(gpa_cursor_next(&cursor, UINT32_MAX, &piece));
    assert_int_equal(piece.gpa, first * PAGE + 100);
    assert_int_equal(piece.length_bytes, 6000);
    assert_ptr_equal(piece.bytes, ram + 100);
    assert_true(gpa_cursor_next(&cursor, UINT32_MAX, &piece));
    assert_int_equal(piece.length_bytes, 6);
    assert_ptr_equal(piece.bytes, ram + 10 * PAGE + 4090);
    assert_true(gpa_cursor_next(&cursor, 3, &piece));
    assert_int_equal(piece.length_bytes, 3);
    assert_ptr_equal(piece.bytes, ram + 12 * PAGE);
    assert_true(gpa_cursor_next(&cursor, 3, &piece));
    assert_int_equal(piece.length_bytes, 1);
    assert_true(gpa_cursor_next(&cursor, 3, &piece));
    assert_ptr_equal(piece.bytes, ram + 20 * PAGE);
    assert_false(gpa_cursor_next(&cursor, 3, &piece));
    /* With copies, in parts. */
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i % 251);
    }
    gpa_cursor_start(&cursor, &recorder.last.ranges);
    assert_int_equal(gpa_cursor_write(&cursor, bytes, 5000), 5000);
    assert_int_equal(gpa_cursor_write(&cursor, bytes + 5000, 5000), 1011);
    assert_memory_equal(ram + 100, bytes, 6000);
    assert_memory_equal(ram + 10 * PAGE + 4090, bytes + 6000, 6);
    assert_memory_equal(ram + 12 * PAGE, bytes + 6006, 4);
    assert_memory_equal(ram + 20 * PAGE, bytes + 6010, 1);
    gpa_cursor_start(&cursor, &recorder.last.ranges);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(gpa_cursor_read(&cursor, bytes, sizeof(bytes)), 6011);
    for (uint32_t i = 0; i < 6011; i++) {
        assert_int_equal(bytes[i], i % 251);
    }
    /* Where the root's address space is in pieces, pieces are pages. */
    guest.host->is_ram_fragmented = true;
    gpa_cursor_start(&cursor, &recorder.last.ranges);
    assert_true(gpa_cursor_next(&cursor, UINT32_MAX, &piece));
    assert_int_equal(piece.length_bytes, PAGE - 100);
    assert_true(gpa_cursor_next(&cursor, UINT32_MAX, &piece));
    assert_int_equal(piece.length_bytes, 6000 - (PAGE - 100));
}

/* The ranges are the provider's own copy: what the guest writes later does not move them. */
static void test_direct_ranges_are_copied(void **state)
{
    uint64_t first = guest_pages(&guest, 1);
    uint8_t ranges[16];
    struct gpa_cursor cursor;
    struct gpa_piece piece;

    (void)state;
    send_direct(ranges, put_range(ranges, PAGE, 0, first, 1, 1), 1);
    memset(channel.out + PAGE, 0xFF, DATA);
    gpa_cursor_start(&cursor, &recorder.last.ranges);
    assert_true(gpa_cursor_next(&cursor, UINT32_MAX, &piece));
    assert_int_equal(piece.gpa, first * PAGE);
    assert_int_equal(piece.length_bytes, PAGE);
}

/* Each way in which ranges can lie. */
static void test_bad_direct_ranges(void **state)
{
    static const struct {
        uint32_t count, offset, pages, claimed;
        uint64_t first;
    } bad[] = {
        {4096, 0, 1, 0, 300},                        /* no range */
        {4096, 0, 1, 2, 300},                        /* one more than there is */
        {4096, 0, 1, UINT32_MAX, 300},               /* far more */
        {0, 0, 1, 1, 300},                           /* of nothing */
        {4096, 4096, 2, 1, 300},                     /* from behind its first page */
        {4097, 0, 1, 1, 300},                        /* one page short */
        {1, 0, 0, 1, 300},                           /* no page at all */
        {UINT32_MAX, 4095, 1, 1, 300},               /* a sum that does not fit */
        {UINT32_MAX, 0, 1, 1, 300},                  /* more pages than fit a packet */
        {4096, 0, 1, 1, GUEST_RAM_BYTES / PAGE},     /* not RAM */
        {8192, 0, 2, 1, GUEST_RAM_BYTES / PAGE - 1}, /* the second page is not */
        {4096, 0, 1, 1, UINT64_MAX},
        {4096, 0, 1, 1, (UINT64_C(1) << 52) + 300}, /* an address that wraps around to RAM */
    };

    (void)state;
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t ranges[64];

        recorder.packets = 0;
        send_direct(ranges, put_range(ranges, bad[i].count, bad[i].offset, bad[i].first, bad[i].pages, 1),
                    bad[i].claimed);
        assert_int_equal(recorder.packets, 0);
        assert_int_equal(recorder.last_result, VSP_CLOSED);
        assert_int_equal(guest_refusals(&guest, REFUSE_PACKET_RANGES), i + 1);
        guest_let_call_back(&guest);
        guest_expect(&guest, 2, 12);
        guest_connect(&guest, V5_3, &offer);
        guest_open(&guest, &channel, &offer, RING_PAGES, 2);
    }
    assert_int_equal(guest.host->log_lines, 1);
}

/* Both sides at random, each with what it may do: no packet is lost, and signals come when the rules say so. */
static void test_both_at_random(void **state)
{
    static uint8_t bytes[600];
    static struct guest_packet packet;
    uint64_t sent = 0, received = 0, host_sent = 0, host_received = 0;
    uint32_t wanted_bytes = 0; /* of the packet that the host could not write */
    uint64_t count = generated_count(ROUNDS);
    struct generated random;

    (void)state;
    generated_begin(&random, generated_seed());
    recorder.reads = false;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t length = generated_below(&random, sizeof(bytes));
        struct vsp_write write = {.type = 6, .transaction_id = host_sent, .payload = bytes, .payload_bytes = length};
        uint32_t action = generated_below(&random, 4);
        uint32_t signals = recorder.signals;

        if (action == 0) {
            sent += guest_send(&channel, sent, false, bytes, length);
        } else if (action == 1 && read_packet() == VSP_OK) {
            assert_int_equal(recorder.last.transaction_id, received++);
        } else if (action == 1) {
            assert_int_equal(sent, received);
            assert_int_equal(get_u32(channel.out + 8), 0);
        } else if (action == 2) {
            enum vsp_result result = vsp_write_packet(&recorder.vsp, &write);

            assert_int_equal(new_signals(), result == VSP_OK && host_sent == host_received);
            wanted_bytes = result == VSP_FULL ? 24 + (length + 7) / 8 * 8 : 0;
            host_sent += result == VSP_OK;
        } else if (guest_read(&channel, &packet)) {
            uint32_t used = (get_u32(channel.in) + DATA - get_u32(channel.in + 4)) % DATA;

            assert_int_equal(packet.transaction_id, host_received++);
            if (wanted_bytes != 0) {
                uint32_t free_bytes = DATA - used;
                uint32_t packet_bytes = packet.length + 8;

                assert_int_equal(recorder.signals - signals,
                                 free_bytes > wanted_bytes && free_bytes - packet_bytes <= wanted_bytes);
            }
        }
        /* A turn of the provider, so that it may go on reading. */
        if (recorder.vsp.channel->turn_packets == 0) {
            guest_signal(&guest, offer.connection_id);
        }
    }
    assert_true(received > count / 10);
    assert_true(host_received > count / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_completions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_padding, setup, teardown),
        cmocka_unit_test_setup_teardown(test_extension, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_signals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guest_signals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_waits_for_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_to_the_brim, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guest_waits_for_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_with_packets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_index_out_of_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_index_unaligned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_little_for_a_packet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_packet_beyond_the_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_packet_of_all_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(test_payload_in_the_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_payload_behind_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_direct_without_its_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_packet_longer_than_the_protocol, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_index_out_of_range, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_index_unaligned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ring_too_small, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_device_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_of_sub_channel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_our_indices_are_ours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_direct_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_direct_ranges_are_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_direct_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_at_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
