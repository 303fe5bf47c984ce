/* SPDX-License-Identifier: MIT */
/* The mouse, with a guest that does what Linux's hid_hyperv does, and guests that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/mouse/mouse.h"
#include "vmbus/refusal.h"

#define V5_3       0x00050003u
#define RING_PAGES 2u
/* Where things are in a packet: descriptor 16 bytes, pipe header 8, header 8, body. */
#define PIPE       16
#define TYPE       24
#define SIZE       28
#define BODY       32
/* The descriptor's places in MOUSE_INITIAL_DEVICE_INFO: behind the attributes, and behind the HID descriptor. */
#define HID        (BODY + 32)
#define REPORT     (HID + 9)

static struct guest guest;
static struct guest_offer offer;
static struct guest_channel channel;
static struct guest_packet packet;
static struct mouse mouse;

static const struct mouse_position somewhere = {.x = 0x1234, .y = 0x7FFF, .buttons = 0x11, .wheel = -2};

static int setup(void **state)
{
    (void)state;
    guest_create(&guest);
    mouse_init(&mouse);
    assert_true(vsp_offer(guest.bus, &mouse.vsp));
    guest_connect(&guest, V5_3, &offer);
    assert_int_equal(offer.flags, 0x10);
    assert_int_equal(offer.user_data[0], 4);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guest_destroy(&guest);
    return 0;
}

/* Sends a message whose body is `value`, of `body_bytes` bytes. */
static bool send(uint32_t type, uint32_t value, uint32_t body_bytes, bool wants_completion)
{
    uint8_t bytes[24] = {1};

    put_u32(bytes + 4, 8 + body_bytes);
    put_u32(bytes + 8, type);
    put_u32(bytes + 12, body_bytes);
    put_u32(bytes + 16, value);
    return guest_send(&channel, 0x1234, wants_completion, bytes, 16 + body_bytes);
}

static void expect(uint32_t type, uint32_t body_bytes)
{
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.type, 6);
    assert_int_equal(get_u32(packet.bytes + PIPE), 1);
    assert_int_equal(get_u32(packet.bytes + PIPE + 4), 8 + body_bytes);
    assert_int_equal(get_u32(packet.bytes + TYPE), type);
    assert_int_equal(get_u32(packet.bytes + SIZE), body_bytes);
    assert_int_equal(packet.length, (BODY + body_bytes + 7) / 8 * 8);
}

static void expect_completion(void)
{
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.type, 11);
    assert_int_equal(packet.transaction_id, 0x1234);
}

/* Not longer than Linux takes. */
static void expect_response(uint32_t version, uint8_t is_accepted)
{
    expect(1, 5);
    assert_int_equal(get_u32(packet.bytes + BODY), version);
    assert_int_equal(packet.bytes[BODY + 4], is_accepted);
}

static void negotiate(void)
{
    assert_true(send(0, 0x20000, 4, true));
    expect_completion();
    expect_response(0x20000, 1);
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(get_u32(packet.bytes + TYPE), 2);
    assert_int_equal(mouse_move(&mouse, &somewhere), MOUSE_NOT_READY);
    assert_true(send(3, 0, 1, true));
    expect_completion();
    assert_false(guest_read(&channel, &packet));
}

static void expect_report(const struct mouse_position *position)
{
    expect(4, 7);
    assert_int_equal(packet.bytes[BODY], position->buttons);
    assert_int_equal(get_u16(packet.bytes + BODY + 1), position->x);
    assert_int_equal(get_u16(packet.bytes + BODY + 3), position->y);
    assert_int_equal((int16_t)get_u16(packet.bytes + BODY + 5), position->wheel);
}

static void test_versions(void **state)
{
    (void)state;
    assert_int_equal(mouse_move(&mouse, &somewhere), MOUSE_NOT_READY);
    assert_true(send(0, 0x10000, 4, false));
    expect_response(0x10000, 0);
    assert_false(guest_read(&channel, &packet));
    negotiate();
    assert_int_equal(mouse_move(&mouse, &somewhere), MOUSE_SENT);
    expect_report(&somewhere);
    /* A guest that asks again begins again. */
    negotiate();
    /* And so does a new opening. */
    guest_close(&channel);
    assert_int_equal(mouse_move(&mouse, &somewhere), MOUSE_NOT_READY);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    assert_int_equal(mouse_move(&mouse, &somewhere), MOUSE_NOT_READY);
    negotiate();
}

/* The bits of a report that its descriptor speaks of, and what Linux's driver wants of the rest. */
static void test_description(void **state)
{
    uint32_t at = REPORT, end, bits = 0, size = 0, count = 0, depth = 0;

    (void)state;
    assert_true(send(0, 0x20000, 4, false));
    expect_response(0x20000, 1);
    assert_true(guest_read(&channel, &packet));
    end = REPORT + get_u16(packet.bytes + HID + 7);
    assert_int_equal(get_u32(packet.bytes + PIPE + 4), end - TYPE);
    assert_int_equal(packet.length, (end + 7) / 8 * 8);
    assert_int_equal(get_u32(packet.bytes + BODY), 32);
    assert_int_equal(get_u16(packet.bytes + BODY + 4), 0x045E);
    assert_int_equal(get_u16(packet.bytes + BODY + 6), 0x0621);
    assert_memory_equal(packet.bytes + HID, "\x09\x21\x01\x01\x00\x01\x22", 7);
    /* Linux changes this byte of others. */
    assert_int_not_equal(packet.bytes[REPORT + 14], 0x25);
    while (at < end) {
        uint8_t item = packet.bytes[at], data = packet.bytes[at + 1];

        size = (item & 0xFC) == 0x74 ? data : size;
        count = (item & 0xFC) == 0x94 ? data : count;
        bits += (item & 0xFC) == 0x80 ? size * count : 0;
        depth += (item & 0xFC) == 0xA0;
        depth -= (item & 0xFC) == 0xC0;
        at += 1 + (item & 3);
    }
    assert_int_equal(at, end);
    assert_int_equal(depth, 0);
    assert_int_equal(bits, 7 * 8);
}

static void test_where_no_mouse_is(void **state)
{
    static const struct mouse_position nowhere[] = {{.x = 0x8000}, {.y = 0x8000}, {.buttons = 0x20}};

    (void)state;
    negotiate();
    for (uint32_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        assert_int_equal(mouse_move(&mouse, &nowhere[i]), MOUSE_NOT_THERE);
    }
    assert_false(guest_read(&channel, &packet));
}

/* More than the ring holds waits, in order, and no more than there is room for. */
static void test_slow_guest(void **state)
{
    struct mouse_position position = {0};
    uint32_t sent = 0;

    (void)state;
    negotiate();
    while (mouse_move(&mouse, &position) == MOUSE_SENT) {
        position.x = (uint16_t)++sent;
    }
    assert_int_equal(mouse_move(&mouse, &position), MOUSE_FULL);
    assert_int_equal(mouse.count, MOUSE_QUEUE_MAX);
    for (position.x = 0; position.x < sent; position.x++) {
        expect_report(&position);
    }
    assert_false(guest_read(&channel, &packet));
    assert_int_equal(mouse_move(&mouse, &position), MOUSE_SENT);
    expect_report(&position);
}

static void expect_fault(uint32_t number)
{
    assert_int_equal(guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL), number);
    guest_let_call_back(&guest);
    guest_expect(&guest, 2, 12);
    assert_int_equal(mouse_move(&mouse, &somewhere), MOUSE_NOT_READY);
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
}

static void test_bad_messages(void **state)
{
    static const uint8_t zeros[64];
    uint32_t faults = 0;

    (void)state;
    /* Nothing is to be acknowledged yet, and not twice. */
    assert_true(send(3, 0, 1, false));
    expect_fault(++faults);
    negotiate();
    assert_true(send(3, 0, 1, false));
    expect_fault(++faults);
    /* What only hosts say, and nobody. */
    assert_true(send(4, 0, 4, false));
    expect_fault(++faults);
    assert_true(send(5, 0, 4, false));
    expect_fault(++faults);
    /* Too short: nothing, half a header, a request without a version. */
    assert_true(guest_send(&channel, 0, false, zeros, 0));
    expect_fault(++faults);
    assert_true(guest_send(&channel, 0, false, zeros, 8));
    expect_fault(++faults);
    assert_true(send(0, 0, 0, false));
    expect_fault(++faults);
    /* No data of a pipe. */
    assert_true(guest_send(&channel, 0, false, zeros, 24));
    expect_fault(++faults);
    assert_true(guest_write(&channel, 11, 0, 0, NULL, 0, zeros, 24));
    expect_fault(++faults);
    assert_true(guest_send(&channel, 0, false, zeros, 64));
    guest_let_call_back(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_PACKET_LENGTH), 1);
    assert_int_equal(guest.host->log_lines, 2);
}

/* It asks on and on and takes no answer. */
static void test_guest_that_never_reads(void **state)
{
    (void)state;
    while (guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL) == 0) {
        assert_true(send(0, 0x20000, 4, false));
    }
    expect_fault(1);
    while (guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL) == 1) {
        assert_true(send(0, 1, 4, true));
    }
    expect_fault(2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_description, setup, teardown),
        cmocka_unit_test_setup_teardown(test_where_no_mouse_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guest_that_never_reads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
