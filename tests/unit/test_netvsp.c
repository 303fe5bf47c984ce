/* SPDX-License-Identifier: MIT */
/* The network adapter's protocols: versions, buffers, requests by RNDIS, objects, sub-channels, link, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/netvsp_guest.h"
#include "vmbus/refusal.h"

#define SUCCESS       0u
#define FAILURE       0xC0000001u
#define NOT_SUPPORTED 0xC00000BBu
#define INVALID_DATA  0xC0010015u

static struct nic nic;

static int setup(void **state)
{
    (void)state;
    nic_create(&nic, true);
    nic_open(&nic);
    return 0;
}

static int setup_ready(void **state)
{
    (void)setup(state);
    nic_set_up(&nic, NIC_6_1, 1500);
    nic_start(&nic);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nic_destroy(&nic);
    return 0;
}

/* The guest broke the protocol: nothing more happens on the channel, and it is closed. */
static void expect_fault(void)
{
    guest_let_call_back(&nic.guest);
    assert_int_equal(guest_refusals(&nic.guest, REFUSE_DEVICE_PROTOCOL), 1);
    assert_int_equal(guest_channel_state(&nic.guest, nic.channels[0].relid), VMBUS_CHANNEL_CLOSED);
}

static void send_type(uint32_t type)
{
    uint8_t message[40] = {0};

    put_u32(message, type);
    assert_true(guest_send(&nic.channels[0], 0x99, true, message, sizeof(message)));
}

static void test_versions(void **state)
{
    static const uint32_t versions[] = {NIC_6_1, 0x00060000, NIC_5, 0x00040000, NIC_2, NIC_1};
    struct guest_packet packet;
    uint8_t message[40] = {1};

    (void)state;
    for (uint32_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        /* Down from what we do not know. */
        assert_int_equal(nic_init(&nic, 0x00070000), 0);
        assert_int_equal(nic_init(&nic, versions[i] == NIC_1 ? 1 : 0x00030001), 0);
        put_u32(message + 4, versions[i]);
        put_u32(message + 8, versions[i]);
        assert_true(guest_send(&nic.channels[0], 1, true, message, sizeof(message)));
        assert_true(guest_read(&nic.channels[0], &packet));
        /* The oldest says which it is. */
        assert_int_equal(get_u32(packet.bytes + 20), versions[i] == NIC_1 ? NIC_1 : NIC_NONE);
        assert_int_equal(get_u32(packet.bytes + 24), 34);
        assert_int_equal(get_u32(packet.bytes + 28), 1);
        guest_close(&nic.channels[0]);
        guest_open(&nic.guest, &nic.channels[0], &nic.offer, NIC_RING_PAGES, 0);
    }
    /* The best of a range. */
    put_u32(message + 4, 0);
    put_u32(message + 8, 0x00050001);
    assert_true(guest_send(&nic.channels[0], 1, true, message, sizeof(message)));
    assert_int_equal(nic.adapter.version, NIC_5);
    assert_true(guest_send(&nic.channels[0], 1, true, message, sizeof(message)));
    expect_fault();
}

static void test_each_version_starts(void **state)
{
    static const uint32_t versions[] = {NIC_1, NIC_2, 0x00040000, NIC_5, 0x00060000, NIC_6_1};

    (void)state;
    for (uint32_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        nic_set_up(&nic, versions[i], 1500);
        nic_start(&nic);
        assert_int_equal(nic_query_u32(&nic, 0x00010106), 1500);
        guest_close(&nic.channels[0]);
        guest_open(&nic.guest, &nic.channels[0], &nic.offer, NIC_RING_PAGES, 0);
    }
}

/* What comes before a version is a fault, and so is what comes twice. */
static void test_out_of_order(void **state)
{
    static const uint8_t early[] = {101, 104, 107, 125, 133};

    (void)state;
    for (uint32_t i = 0; i < sizeof(early); i++) {
        send_type(early[i]);
        expect_fault();
        nic_destroy(&nic);
        nic_create(&nic, true);
        nic_open(&nic);
    }
    nic_set_up(&nic, NIC_6_1, 1500);
    send_type(101);
    expect_fault();
}

static void test_short_message(void **state)
{
    (void)state;
    assert_true(guest_send(&nic.channels[0], 1, true, NULL, 0));
    expect_fault();
}

/* Messages about things that were not agreed upon: SWITCH_DATA_PATH and the like are done with nothing. */
static void test_unknown_messages(void **state)
{
    static const uint8_t types[] = {100, 126, 129, 131, 135, 250};
    uint8_t message[40] = {0}, answer[40];

    (void)state;
    nic_set_up(&nic, NIC_6_1, 1500);
    for (uint32_t i = 0; i < sizeof(types); i++) {
        message[0] = types[i];
        assert_int_equal(nic_call(&nic, message, answer), 0);
    }
}

static void test_buffers(void **state)
{
    uint8_t message[40] = {101}, answer[40];
    uint64_t page = guest_pages(&nic.guest, 16);
    uint32_t small;

    (void)state;
    assert_int_equal(nic_init(&nic, NIC_5), 1);
    put_u32(message + 4, 0x1234);
    (void)nic_call(&nic, message, answer);
    assert_int_equal(get_u32(answer + 4), 2);
    small = guest_make_gpadl(&nic.guest, nic.channels[0].relid, page, 4);
    put_u32(message + 4, small);
    (void)nic_call(&nic, message, answer);
    assert_int_equal(get_u32(answer + 4), 2);
    assert_int_equal(get_u32(answer + 8), 0);
    message[0] = 104;
    put_u32(message + 4, 0x1234);
    (void)nic_call(&nic, message, answer);
    assert_int_equal(get_u32(answer + 4), 2);
    put_u32(message + 4, small);
    (void)nic_call(&nic, message, answer);
    assert_int_equal(get_u32(answer + 4), 1);
}

/* A buffer that was revoked is free for the guest at once, although messages in it were not answered. */
static void test_revoke(void **state)
{
    uint8_t revoke[40] = {103}, teardown_message[16] = {11};
    const uint8_t *answer;
    struct nic_message message;
    uint8_t body[16] = {1};

    (void)state;
    put_u32(body + 4, 1);
    nic_post_request(&nic, 2, body, sizeof(body), 1);
    assert_true(nic_take(&nic, &nic.channels[0], &message));
    put_u16(revoke + 4, NIC_RECEIVE_ID);
    assert_true(guest_send(&nic.channels[0], 1, false, revoke, sizeof(revoke)));
    put_u32(teardown_message + 8, nic.channels[0].relid);
    put_u32(teardown_message + 12, nic.receive_gpadl);
    guest_post(&nic.guest, teardown_message, sizeof(teardown_message));
    answer = guest_expect(&nic.guest, 12, 12);
    assert_int_equal(get_u32(answer + 8), nic.receive_gpadl);
    /* Late, and of no effect. */
    nic_done(&nic.channels[0], message.id);
    assert_int_equal(nic.adapter.free_section_count, 0);
    revoke[0] = 106;
    put_u16(revoke + 4, 0);
    assert_true(guest_send(&nic.channels[0], 1, false, revoke, sizeof(revoke)));
    put_u32(teardown_message + 12, nic.send_gpadl);
    guest_post(&nic.guest, teardown_message, sizeof(teardown_message));
    answer = guest_expect(&nic.guest, 12, 12);
    assert_int_equal(get_u32(answer + 8), nic.send_gpadl);
}

static void test_numbers(void **state)
{
    static const struct {
        uint32_t oid;
        uint32_t value;
    } numbers[] = {
        {0x00010102, 0},    {0x00010103, 0},         {0x00010104, 0},    {0x00010105, 1500},
        {0x00010106, 1500}, {0x00010107, 100000000}, {0x00010108, 1514}, {0x00010109, 1514},
        {0x0001010A, 1514}, {0x0001010B, 1514},      {0x0001010E, 0x0D}, {0x0001010F, 1500},
        {0x00010111, 1514}, {0x00010114, 0},         {0x00010115, 1},    {0x01010104, 32},
    };
    uint8_t value[256];
    uint32_t length;

    (void)state;
    for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_int_equal(nic_query_u32(&nic, numbers[i].oid), numbers[i].value);
    }
    for (uint32_t oid = 0x00020101; oid <= 0x00020105; oid++) {
        assert_int_equal(nic_query(&nic, oid, NULL, 0, value, &length), SUCCESS);
        assert_int_equal(length, 8);
    }
    assert_int_equal(nic_query(&nic, 0x00FF0000, NULL, 0, value, &length), NOT_SUPPORTED);
    assert_int_equal(length, 0);
}

static void test_structures(void **state)
{
    static const uint8_t address[6] = {2, 0, 0, 0, 0, NIC_ADDRESS};
    uint8_t value[256], in[20] = {0xA7, 3, 156};
    uint32_t length;

    (void)state;
    assert_int_equal(nic_query(&nic, 0x01010101, NULL, 0, value, &length), SUCCESS);
    assert_int_equal(length, 6);
    assert_memory_equal(value, address, 6);
    assert_int_equal(nic_query(&nic, 0x00020216, NULL, 0, value, &length), SUCCESS);
    assert_int_equal(length, 30);
    assert_int_equal(value[0], 'N');
    assert_int_equal(value[1], 0);
    assert_int_equal(value[28], 'r');
    assert_int_equal(nic_query(&nic, 0x00010101, NULL, 0, value, &length), SUCCESS);
    assert_int_equal(length % 4, 0);
    for (uint32_t i = 0; i < length; i += 4) {
        uint8_t other[256];
        uint32_t other_length;

        assert_int_equal(nic_query(&nic, get_u32(value + i), NULL, 0, other, &other_length), SUCCESS);
    }
    /* Offloads, in the revision that is asked for. */
    assert_int_equal(nic_query(&nic, 0xFC01020D, in, sizeof(in), value, &length), SUCCESS);
    assert_int_equal(length, 156);
    assert_int_equal(get_u32(value), 0xA7 | 3 << 8 | 156u << 16);
    assert_int_equal(get_u32(value + 4), 2);
    assert_int_equal(get_u32(value + 8) & 0x54, 0x54);
    assert_int_equal(get_u32(value + 24) & 0x55, 0x55);
    assert_int_equal(get_u32(value + 80), 2);
    assert_int_equal(get_u32(value + 84), 0xF53C);
    assert_int_equal(get_u32(value + 88), 2);
    assert_int_equal(get_u32(value + 92), 2);
    assert_int_equal(get_u32(value + 104), 5);
    in[1] = 2;
    assert_int_equal(nic_query(&nic, 0xFC01020D, in, sizeof(in), value, &length), SUCCESS);
    assert_int_equal(length, 144);
    assert_int_equal(nic_query(&nic, 0xFC01020B, NULL, 0, value, &length), SUCCESS);
    assert_int_equal(length, 112);
    in[1] = 9;
    assert_int_equal(nic_query(&nic, 0xFC01020D, in, sizeof(in), value, &length), SUCCESS);
    assert_int_equal(length, 156);
    /* RSS, and the link. */
    assert_int_equal(nic_query(&nic, 0x00010203, NULL, 0, value, &length), SUCCESS);
    assert_int_equal(length, 18);
    assert_int_equal(get_u32(value), 0x88 | 2 << 8 | 18u << 16);
    assert_int_equal(get_u32(value + 4), 0x301);
    assert_int_equal(get_u32(value + 12), 1 + NIC_SUB_CHANNELS);
    assert_int_equal(get_u16(value + 16), 128);
    assert_int_equal(nic_query(&nic, 0x00010207, NULL, 0, value, &length), SUCCESS);
    assert_int_equal(length, 40);
    assert_int_equal(get_u32(value + 4), 1);
    assert_int_equal(get_u64(value + 16), 10000000000);
    assert_int_equal(get_u64(value + 24), 10000000000);
}

static void test_sets(void **state)
{
    uint8_t value[200] = {0};
    uint32_t length;

    (void)state;
    value[0] = 0x20;
    assert_int_equal(nic_set(&nic, 0x0001010E, value, 4), SUCCESS);
    assert_int_equal(nic_query_u32(&nic, 0x0001010E), 0x20);
    assert_int_equal(nic_set(&nic, 0x0001010E, value, 3), INVALID_DATA);
    assert_int_equal(nic_set(&nic, 0x0001010F, value, 4), SUCCESS);
    assert_int_equal(nic_set(&nic, 0x00010118, value, 8), SUCCESS);
    assert_int_equal(nic_set(&nic, 0x0101010A, value, 28), SUCCESS);
    assert_int_equal(nic_set(&nic, 0x00010106, value, 4), NOT_SUPPORTED);
    assert_int_equal(nic_set(&nic, 0xFC01020C, value, 11), INVALID_DATA);
    assert_int_equal(nic_set(&nic, 0x01010103, value, 7), INVALID_DATA);
    assert_int_equal(nic_set(&nic, 0x01010103, value, 33 * 6), INVALID_DATA);
    value[0] = 1;
    assert_int_equal(nic_set(&nic, 0x01010103, value, 12), SUCCESS);
    assert_int_equal(nic_query(&nic, 0x01010103, NULL, 0, value, &length), SUCCESS);
    assert_int_equal(length, 12);
}

/* The parameter with which Linux changes the address: name and value in UTF-16. */
static uint32_t set_address(const char *name, const char *digits, uint32_t type, uint32_t value_bytes)
{
    uint8_t value[128] = {20};
    uint32_t name_bytes = 2 * (uint32_t)strlen(name);

    put_u32(value + 4, name_bytes);
    put_u32(value + 8, type);
    put_u32(value + 12, 20 + name_bytes);
    put_u32(value + 16, value_bytes);
    for (uint32_t i = 0; name[i] != '\0'; i++) {
        value[20 + 2 * i] = (uint8_t)name[i];
    }
    for (uint32_t i = 0; digits[i] != '\0'; i++) {
        value[20 + name_bytes + 2 * i] = (uint8_t)digits[i];
    }
    return nic_set(&nic, 0x0001021B, value, 20 + name_bytes + 24);
}

static void test_address(void **state)
{
    static const uint8_t address[6] = {0x02, 0xAB, 0xCD, 0xEF, 0x01, 0x23};
    uint8_t value[256];
    uint32_t length;

    (void)state;
    assert_int_equal(set_address("NetworkAddress", "02abcdEF0123", 2, 24), SUCCESS);
    assert_int_equal(nic_query(&nic, 0x01010102, NULL, 0, value, &length), SUCCESS);
    assert_memory_equal(value, address, 6);
    assert_int_equal(set_address("NetworkAddresS", "02abcdef0123", 2, 24), NOT_SUPPORTED);
    assert_int_equal(set_address("NetworkAddress", "02abcdef0123", 0, 24), INVALID_DATA);
    assert_int_equal(set_address("NetworkAddress", "02abcdef0123", 2, 22), INVALID_DATA);
    assert_int_equal(set_address("NetworkAddress", "02abcdef0123", 2, 26), INVALID_DATA);
    assert_int_equal(set_address("NetworkAddress", "02abcdeg0123", 2, 24), INVALID_DATA);
    assert_int_equal(set_address("NetworkAddress", "03abcdef0123", 2, 24), INVALID_DATA);
    assert_int_equal(nic_set(&nic, 0x0001021B, value, 19), INVALID_DATA);
    assert_memory_equal(nic.adapter.address, address, 6);
}

static void test_address_is_fixed(void **state)
{
    (void)state;
    nic_destroy(&nic);
    nic_create(&nic, false);
    nic_open(&nic);
    nic_set_up(&nic, NIC_5, 1500);
    nic_start(&nic);
    assert_int_equal(set_address("NetworkAddress", "02abcdef0123", 2, 24), FAILURE);
    assert_int_equal(set_address("NetworkAddress", "020000000007", 2, 24), SUCCESS);
}

/* Requests that are none. */
static void test_bad_requests(void **state)
{
    uint8_t body[1100] = {0};
    struct nic_message message;

    (void)state;
    nic_post_request(&nic, 0, body, 40, 5);
    nic_post_request(&nic, 9, body, 40, 5);
    nic_post_request(&nic, 0x80000004, body, 40, 5);
    nic_post_request(&nic, 2, body, 3, 5);
    nic_post_request(&nic, 4, body, 19, 5);
    nic_post_request(&nic, 5, body, 19, 5);
    nic_post_request(&nic, 5, body, 1025, 5);
    assert_false(nic_take(&nic, &nic.channels[0], &message));
    /* A value that is not in the request. */
    put_u32(body + 4, 0x0001010E);
    put_u32(body + 8, 4);
    put_u32(body + 12, 17);
    nic_post_request(&nic, 5, body, 20, 1);
    assert_true(nic_take(&nic, &nic.channels[0], &message));
    assert_int_equal(get_u32(message.body + 4), INVALID_DATA);
    put_u32(body + 12, 0xFFFFFFFF);
    nic_post_request(&nic, 4, body, 20, 1);
    assert_true(nic_take(&nic, &nic.channels[0], &message));
    assert_int_equal(get_u32(message.body + 4), INVALID_DATA);
    assert_int_equal(nic.adapter.filter, 0x0D);
}

static void test_keepalive_reset_halt(void **state)
{
    uint8_t body[20] = {0x55};
    struct nic_message message;

    (void)state;
    nic_post_request(&nic, 8, body, 4, 1);
    assert_true(nic_take(&nic, &nic.channels[0], &message));
    assert_int_equal(message.type, 0x80000008);
    assert_int_equal(message.length, 16);
    assert_int_equal(get_u32(message.body), 0x55);
    assert_int_equal(get_u32(message.body + 4), 0);
    nic_post_request(&nic, 6, body, 4, 1);
    assert_true(nic_take(&nic, &nic.channels[0], &message));
    assert_int_equal(message.type, 0x80000006);
    assert_int_equal(get_u32(message.body), 0);
    assert_int_equal(nic.adapter.filter, 0);
    nic_post_request(&nic, 3, body, 4, 1);
    assert_false(nic_take(&nic, &nic.channels[0], &message));
    assert_false(nic.adapter.is_initialized);
}

/* A guest that asks and takes no answer: its ring is small, and at some time that is a fault. */
static void test_answers_unread(void **state)
{
    uint8_t message[40] = {107, [4] = 1}, ranges[24] = {0};

    (void)state;
    memset(message + 8, 0xFF, 4);
    ranges[4] = 1;
    ranges[8] = 12;
    put_u64(ranges + 16, nic.data_page);
    put_u32(nic.data, 8);
    put_u32(nic.data + 4, 12);
    for (uint32_t i = 0; i < 2000 && guest_refusals(&nic.guest, REFUSE_DEVICE_PROTOCOL) == 0; i++) {
        (void)guest_write(&nic.channels[0], 9, 0, 0, ranges, sizeof(ranges), message, sizeof(message));
    }
    expect_fault();
}

static void test_link(void **state)
{
    struct nic_message message;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        host_vm_lock(nic.guest.host);
        netvsp_set_link(&nic.adapter, i == 1);
        netvsp_set_link(&nic.adapter, i == 1);
        host_vm_unlock(nic.guest.host);
        assert_true(nic_take(&nic, &nic.channels[0], &message));
        assert_true(message.is_control);
        assert_int_equal(message.type, 7);
        assert_int_equal(message.length, 20);
        assert_int_equal(get_u32(message.body), i == 1 ? 0x4001000B : 0x4001000C);
        nic_done(&nic.channels[0], message.id);
        assert_false(nic_take(&nic, &nic.channels[0], &message));
        assert_int_equal(nic_query_u32(&nic, 0x00010114), i == 1 ? 0 : 1);
    }
}

static void test_sub_channels(void **state)
{
    uint8_t message[40] = {133}, answer[40];
    struct guest_packet packet;

    (void)state;
    /* Nothing but to allocate some, and once. */
    message[4] = 2;
    message[8] = 1;
    (void)nic_call(&nic, message, answer);
    assert_int_equal(get_u32(answer + 4), 2);
    message[4] = 1;
    message[8] = 0;
    (void)nic_call(&nic, message, answer);
    assert_int_equal(get_u32(answer + 4), 2);
    nic_open_sub_channels(&nic, 2);
    /* When all are open, the guest is told how to spread what it sends. */
    assert_true(guest_read(&nic.channels[0], &packet));
    assert_int_equal(packet.type, 6);
    assert_int_equal(packet.length, 16 + 80);
    assert_int_equal(get_u32(packet.bytes + 16), 134);
    assert_int_equal(get_u32(packet.bytes + 20), 16);
    assert_int_equal(get_u32(packet.bytes + 24), 12);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(get_u32(packet.bytes + 28 + 4 * i), i % 3);
    }
    assert_false(guest_read(&nic.channels[0], &packet));
    (void)nic_call(&nic, message, answer);
    assert_int_equal(get_u32(answer + 4), 2);
    /* NVSP but for packets is not for them. */
    assert_true(guest_send(&nic.channels[1], 1, true, message, sizeof(message)));
    expect_fault();
}

/* More than there are: as many as there are. */
static void test_sub_channels_max(void **state)
{
    uint8_t message[40] = {133}, answer[40];

    (void)state;
    message[4] = 1;
    put_u32(message + 8, 0xFFFFFFFF);
    (void)nic_call(&nic, message, answer);
    assert_int_equal(get_u32(answer + 4), 1);
    assert_int_equal(get_u32(answer + 8), NIC_SUB_CHANNELS);
}

/* The driver is loaded again: all is as at first. */
static void test_again(void **state)
{
    struct guest_packet packet;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        nic_open_sub_channels(&nic, NIC_SUB_CHANNELS);
        assert_true(guest_read(&nic.channels[0], &packet));
        guest_post_relid(&nic.guest, 7, nic.channels[0].relid);
        for (uint32_t k = 1; k <= NIC_SUB_CHANNELS; k++) {
            uint32_t relid = get_u32(guest_expect(&nic.guest, 2, 12) + 8);

            guest_post_relid(&nic.guest, 13, relid);
        }
        assert_true(netvsp_is_quiet(&nic.adapter));
        guest_open(&nic.guest, &nic.channels[0], &nic.offer, NIC_RING_PAGES, 0);
        nic_set_up(&nic, NIC_6_1, 1500);
        nic_start(&nic);
    }
}

static void test_rescind(void **state)
{
    (void)state;
    host_vm_lock(nic.guest.host);
    netvsp_rescind(&nic.adapter);
    host_vm_unlock(nic.guest.host);
    assert_true(netvsp_is_quiet(&nic.adapter));
    assert_int_equal(get_u32(guest_expect(&nic.guest, 2, 12) + 8), nic.channels[0].relid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_version_starts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_buffers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoke, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_structures, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_sets, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_address, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_address_is_fixed, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_bad_requests, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_keepalive_reset_halt, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_answers_unread, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_link, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_sub_channels, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_sub_channels_max, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_rescind, setup_ready, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
