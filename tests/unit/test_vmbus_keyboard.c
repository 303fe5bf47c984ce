/* SPDX-License-Identifier: MIT */
/* The keyboard, with a guest that does what Linux's hyperv_keyboard does, and guests that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/keyboard/keyboard.h"
#include "vmbus/refusal.h"

#define V5_3       0x00050003u
#define RING_PAGES 2u
#define PAYLOAD    16

static struct guest guest;
static struct guest_offer offer;
static struct guest_channel channel;
static struct guest_packet packet;
static struct keyboard keyboard;

static int setup(void **state)
{
    (void)state;
    guest_create(&guest);
    keyboard_init(&keyboard);
    assert_true(vsp_offer(guest.bus, &keyboard.vsp));
    guest_connect(&guest, V5_3, &offer);
    assert_int_equal(offer.flags, 0);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guest_destroy(&guest);
    return 0;
}

static bool send(uint32_t type, uint32_t value, bool wants_completion)
{
    uint8_t bytes[8];

    put_u32(bytes, type);
    put_u32(bytes + 4, value);
    return guest_send(&channel, 0x1234, wants_completion, bytes, sizeof(bytes));
}

static void expect_response(uint32_t value)
{
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.type, 6);
    assert_int_equal(get_u32(packet.bytes + PAYLOAD), 2);
    assert_int_equal(get_u32(packet.bytes + PAYLOAD + 4), value);
}

static void negotiate(void)
{
    assert_true(send(1, 0x10000, true));
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.type, 11);
    assert_int_equal(packet.transaction_id, 0x1234);
    expect_response(1);
}

static void expect_key(uint16_t code, uint32_t info)
{
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.type, 6);
    assert_int_equal(get_u32(packet.bytes + PAYLOAD), 3);
    assert_int_equal(get_u16(packet.bytes + PAYLOAD + 4), code);
    assert_int_equal(get_u32(packet.bytes + PAYLOAD + 8), info);
}

static void test_versions(void **state)
{
    (void)state;
    assert_int_equal(keyboard_type(&keyboard, "a"), KEYBOARD_NOT_READY);
    assert_true(send(1, 0x20000, false));
    expect_response(0);
    assert_int_equal(keyboard_type(&keyboard, "a"), KEYBOARD_NOT_READY);
    negotiate();
    /* Lamps are the guest's own affair. */
    assert_true(send(4, 7, false));
    assert_false(guest_read(&channel, &packet));
    assert_int_equal(keyboard_type(&keyboard, "a"), KEYBOARD_SENT);
    /* A new opening begins anew. */
    guest_close(&channel);
    assert_int_equal(keyboard_type(&keyboard, "a"), KEYBOARD_NOT_READY);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    assert_int_equal(keyboard_type(&keyboard, "a"), KEYBOARD_NOT_READY);
    negotiate();
    assert_false(guest_read(&channel, &packet));
}

/* Codes of a PC keyboard, from the manual of the keyboard controller and not from the table. */
static void test_layout(void **state)
{
    static const struct {
        char character;
        uint8_t code;
        bool has_shift;
    } keys[] = {
        {'1', 0x02, false},  {'!', 0x02, true},  {'0', 0x0B, false}, {'=', 0x0D, false}, {'+', 0x0D, true},
        {'\t', 0x0F, false}, {'q', 0x10, false}, {'P', 0x19, true},  {']', 0x1B, false}, {'\n', 0x1C, false},
        {'a', 0x1E, false},  {'L', 0x26, true},  {'"', 0x28, true},  {'`', 0x29, false}, {'\\', 0x2B, false},
        {'|', 0x2B, true},   {'z', 0x2C, false}, {'M', 0x32, true},  {'/', 0x35, false}, {'?', 0x35, true},
        {' ', 0x39, false},
    };

    (void)state;
    negotiate();
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char text[] = {keys[i].character, '\0'};

        assert_int_equal(keyboard_type(&keyboard, text), KEYBOARD_SENT);
        if (keys[i].has_shift) {
            expect_key(0x2A, 0);
        }
        expect_key(keys[i].code, 0);
        expect_key(keys[i].code, 2);
        if (keys[i].has_shift) {
            expect_key(0x2A, 2);
        }
    }
    for (char character = ' '; character <= '~'; character++) {
        const char text[] = {character, '\0'};

        assert_int_equal(keyboard_type(&keyboard, text), KEYBOARD_SENT);
        while (guest_read(&channel, &packet)) {
        }
    }
    assert_int_equal(keyboard_type(&keyboard, "a\x7F"), KEYBOARD_NO_KEY);
    assert_int_equal(keyboard_type(&keyboard, "\xC3\xA9"), KEYBOARD_NO_KEY);
    assert_false(guest_read(&channel, &packet));
}

/* More than the ring holds waits, in order, and no more than there is room for. */
static void test_slow_guest(void **state)
{
    static const struct key e0_up = {0x53, KEYBOARD_INFO_E0 | KEYBOARD_INFO_BREAK};
    char text[512 + 1];
    uint32_t taken = 0;

    (void)state;
    negotiate();
    for (uint32_t i = 0; i < 512; i++) {
        text[i] = (char)('a' + i % 26);
    }
    text[512] = '\0';
    assert_int_equal(keyboard_type(&keyboard, text), KEYBOARD_SENT);
    assert_int_not_equal(keyboard.count, 0);
    assert_int_equal(keyboard_type(&keyboard, text), KEYBOARD_FULL);
    assert_int_equal(keyboard_send(&keyboard, &e0_up, 1), KEYBOARD_SENT);
    while (guest_read(&channel, &packet)) {
        taken++;
        if (taken == 1025) {
            assert_int_equal(get_u16(packet.bytes + PAYLOAD + 4), 0x53);
            assert_int_equal(get_u32(packet.bytes + PAYLOAD + 8), 6);
        }
    }
    assert_int_equal(taken, 1025);
    assert_int_equal(keyboard.count, 0);
    text[0] = '\0';
    assert_int_equal(keyboard_type(&keyboard, text), KEYBOARD_SENT);
    assert_false(guest_read(&channel, &packet));
}

static void expect_fault(uint32_t number)
{
    assert_int_equal(guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL), number);
    guest_let_call_back(&guest);
    guest_expect(&guest, 2, 12);
    assert_int_equal(keyboard_type(&keyboard, "a"), KEYBOARD_NOT_READY);
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
}

static void test_bad_messages(void **state)
{
    static const uint8_t zeros[64];

    (void)state;
    negotiate();
    assert_true(send(2, 0x10000, false));
    expect_fault(1);
    assert_true(guest_send(&channel, 0, false, zeros, 0));
    expect_fault(2);
    assert_true(guest_write(&channel, 11, 0, 0, NULL, 0, zeros, 8));
    expect_fault(3);
    assert_true(guest_send(&channel, 0, false, zeros, 64));
    guest_let_call_back(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_PACKET_LENGTH), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_layout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_messages, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
