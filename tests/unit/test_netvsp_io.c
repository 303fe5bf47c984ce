/* SPDX-License-Identifier: MIT */
/* Frames both ways: where they lie, what is said beside them, what is dropped, and what a guest gets wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/be.h"
#include "hv/lib/bytes.h"
#include "tests/unit/netvsp_guest.h"

#define TCP           6u
#define UDP           17u
#define INFO_CHECKSUM 0u
#define INFO_LARGE    2u
#define INFO_TAG      6u
#define INFO_HASH     8u
#define WANT_TCP      0x04u
#define WANT_UDP      0x08u
#define WANT_IP       0x10u
#define SECTION_BYTES 6144u
#define PEER          9u

static struct nic nic;
static uint8_t frame[NET_FRAME_BYTES_MAX];

static int setup(void **state)
{
    (void)state;
    nic_create(&nic, false);
    nic_open(&nic);
    nic_set_up(&nic, NIC_6_1, 1500);
    nic_start(&nic);
    return 0;
}

static int setup_jumbo(void **state)
{
    (void)state;
    nic_create(&nic, false);
    nic_open(&nic);
    nic_set_up(&nic, NIC_6_1, 9000);
    nic_start(&nic);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nic_destroy(&nic);
    return 0;
}

static uint32_t make_frame(uint8_t version, uint8_t protocol, uint32_t data_bytes)
{
    return fake_frame_make(frame, version, protocol, PEER, NIC_ADDRESS, data_bytes);
}

/* The last frame that the network got is this one. */
static void expect_sent(const uint8_t *bytes, uint32_t length)
{
    const struct net_frame *sent = fake_net_sent(&nic.net, nic.net.sent - 1);

    assert_int_equal(sent->length_bytes, length);
    assert_memory_equal(sent->bytes, bytes, length);
}

static void test_send(void **state)
{
    uint32_t length = make_frame(4, UDP, 100);

    (void)state;
    nic_send(&nic, frame, length, NULL, NULL, 0);
    assert_int_equal(nic.net.sent, 1);
    expect_sent(frame, length);
    assert_false(fake_net_sent(&nic.net, 0)->is_checksum_missing);
    assert_int_equal(fake_net_sent(&nic.net, 0)->tag, 0);
    assert_int_equal(nic.adapter.counts.sent, 1);
    /* The shortest, and the longest. */
    nic_send(&nic, frame, 14, NULL, NULL, 0);
    expect_sent(frame, 14);
    nic_send(&nic, frame, 1514, NULL, NULL, 0);
    expect_sent(frame, 1514);
    nic_send(&nic, frame, 13, NULL, NULL, 0);
    nic_send(&nic, frame, 1515, NULL, NULL, 0);
    assert_int_equal(nic.net.sent, 3);
    assert_int_equal(nic.adapter.counts.send_errors, 2);
}

static void test_send_jumbo(void **state)
{
    uint32_t length = make_frame(6, UDP, 9000 - 48);

    (void)state;
    nic_send(&nic, frame, length, NULL, NULL, 0);
    expect_sent(frame, 9014);
}

/* In the send buffer, and with the head there and the rest in pages. */
static void test_send_sections(void **state)
{
    uint8_t message[40] = {107}, ranges[32] = {0};
    uint32_t length = make_frame(4, TCP, 500);
    uint32_t packed = nic_pack(nic.send + 3 * SECTION_BYTES, frame, length, NULL, NULL, 0);

    (void)state;
    assert_true(nic_post_section(&nic, &nic.channels[0], 1, 3, packed));
    assert_int_equal(nic_expect_sent(&nic.channels[0], 1), 1);
    expect_sent(frame, length);

    frame[20] = 0x77;
    packed = nic_pack(nic.data + 4096 - 44, frame, length, NULL, NULL, 0);
    memcpy(nic.send, nic.data + 4096 - 44, 44);
    put_u32(message + 12, 44);
    put_u32(ranges + 4, 1);
    put_u32(ranges + 8, packed - 44);
    put_u64(ranges + 16, nic.data_page + 1);
    assert_true(guest_write(&nic.channels[0], 9, 1, 2, ranges, 24, message, sizeof(message)));
    assert_int_equal(nic_expect_sent(&nic.channels[0], 2), 1);
    expect_sent(frame, length);
    assert_int_equal(nic.net.sent, 2);
}

/* Several messages in one packet, the last of which is cut off; and one more than there may be. */
static void test_send_many(void **state)
{
    uint32_t at = 0;

    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t length = make_frame(4, UDP, 10 + i);

        at += nic_pack(nic.data + at, frame, length, NULL, NULL, 0);
    }
    assert_true(nic_post_data(&nic, &nic.channels[0], 1, at));
    assert_int_equal(nic_expect_sent(&nic.channels[0], 1), 1);
    assert_int_equal(nic.net.sent, 8);
    expect_sent(frame, 14 + 28 + 17);
    assert_true(nic_post_data(&nic, &nic.channels[0], 2, at - 8));
    assert_int_equal(nic_expect_sent(&nic.channels[0], 2), 5);
    assert_int_equal(nic.net.sent, 15);
    at += nic_pack(nic.data + at, frame, 14 + 28 + 17, NULL, NULL, 0);
    assert_true(nic_post_data(&nic, &nic.channels[0], 3, at));
    assert_int_equal(nic_expect_sent(&nic.channels[0], 3), 5);
    assert_int_equal(nic.net.sent, 23);
}

/* Sends `length` bytes of the data pages; the packet's status. */
static uint32_t post(uint32_t length)
{
    uint64_t id = nic.next_id++;

    assert_true(nic_post_data(&nic, &nic.channels[0], id, length));
    return nic_expect_sent(&nic.channels[0], id);
}

/* One field wrong at a time. */
static void test_send_malformed(void **state)
{
    static const struct {
        uint32_t offset;
        uint32_t value;
    } faults[] = {
        {4, 7},   {4, 43},          {4, 0xFFFFFFFF}, {8, 35},  {8, 505},         {8, 0xFFFFFFF0}, {12, 2000},
        {28, 49}, {28, 0xFFFFFFFC}, {32, 17},        {32, 15}, {32, 0xFFFFFFFF}, {44, 17},        {44, 15},
        {44, 0},  {44, 0xFFFFFFFF}, {52, 11},        {52, 13}, {52, 0xFFFFFFFF}, {0, 0x80000001}, {0, 77},
    };
    static const uint32_t type = INFO_CHECKSUM, value = 0;
    uint32_t length = make_frame(4, UDP, 100);

    (void)state;
    for (uint32_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint32_t packed = nic_pack(nic.data, frame, length, &type, &value, 1);

        put_u32(nic.data + faults[i].offset, faults[i].value);
        assert_int_equal(post(packed), 5);
    }
    assert_int_equal(post(4), 5);
    assert_int_equal(nic.net.sent, 0);
    assert_int_equal(post(nic_pack(nic.data, frame, length, &type, &value, 1)), 1);
    assert_int_equal(nic.net.sent, 1);
}

static void test_send_bad_sections(void **state)
{
    static const struct {
        uint32_t section;
        uint32_t length;
    } sections[] = {{10, 5000}, {0, SECTION_BYTES + 1}, {0xFFFFFFFE, 8}, {0x000AAAAB, 8}, {11, 1}};
    uint8_t revoke[40] = {106};

    (void)state;
    for (uint32_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        assert_true(nic_post_section(&nic, &nic.channels[0], 1, sections[i].section, sections[i].length));
        assert_int_equal(nic_expect_sent(&nic.channels[0], 1), 2);
    }
    /* Neither a section nor pages. */
    assert_true(nic_post_section(&nic, &nic.channels[0], 1, NIC_NONE, 8));
    assert_int_equal(nic_expect_sent(&nic.channels[0], 1), 5);
    assert_true(guest_send(&nic.channels[0], 1, false, revoke, sizeof(revoke)));
    assert_true(nic_post_section(&nic, &nic.channels[0], 1, 0, 8));
    assert_int_equal(nic_expect_sent(&nic.channels[0], 1), 2);
}

/* Who may not change its address sends from that alone; nobody sends from that of a group. */
static void test_source(void **state)
{
    uint32_t length = make_frame(4, UDP, 10);

    (void)state;
    frame[11]++;
    nic_send(&nic, frame, length, NULL, NULL, 0);
    assert_int_equal(nic.net.sent, 0);
    nic_destroy(&nic);
    nic_create(&nic, true);
    nic_open(&nic);
    nic_set_up(&nic, NIC_6_1, 1500);
    nic_start(&nic);
    nic_send(&nic, frame, length, NULL, NULL, 0);
    assert_int_equal(nic.net.sent, 1);
    frame[6] = 3;
    nic_send(&nic, frame, length, NULL, NULL, 0);
    assert_int_equal(nic.net.sent, 1);
    assert_int_equal(nic.adapter.counts.send_errors, 1);
}

/* A tag beside the frame, and one in it, are the same to the network. */
static void test_send_tags(void **state)
{
    static const uint32_t type = INFO_TAG, value = 5 | 8 | 0x123 << 4;
    uint32_t length = make_frame(4, UDP, 1472);
    uint8_t tagged[1518];

    (void)state;
    nic_send(&nic, frame, length, &type, &value, 1);
    expect_sent(frame, length);
    assert_int_equal(fake_net_sent(&nic.net, 0)->tag, 0xB123);
    memcpy(tagged, frame, 12);
    put_be16(tagged + 12, 0x8100);
    put_be16(tagged + 14, 0x6456);
    memcpy(tagged + 16, frame + 12, 1502);
    nic_send(&nic, tagged, 1518, NULL, NULL, 0);
    expect_sent(frame, length);
    assert_int_equal(fake_net_sent(&nic.net, 1)->tag, 0x6456);
    /* Behind one that is beside the frame it is data, for which there is no room here. */
    nic_send(&nic, tagged, 1518, &type, &value, 1);
    assert_int_equal(nic.net.sent, 2);
    nic_send(&nic, tagged, 17, NULL, NULL, 0);
    expect_sent(tagged, 17);
}

static void test_send_checksums(void **state)
{
    static const uint32_t type = INFO_CHECKSUM;

    (void)state;
    for (uint8_t version = 4; version <= 6; version += 2) {
        for (uint32_t protocol = TCP; protocol <= UDP; protocol += UDP - TCP) {
            uint32_t value = (protocol == TCP ? WANT_TCP : WANT_UDP) | (version == 4 ? 1 | WANT_IP : 2);
            uint32_t length = make_frame(version, (uint8_t)protocol, 333);
            const struct net_frame *sent;
            struct net_layers layers;

            nic_send(&nic, frame, length, &type, &value, 1);
            sent = fake_net_sent(&nic.net, nic.net.sent - 1);
            assert_true(sent->is_checksum_missing);
            /* What a network does for those who cannot go by that. */
            net_parse(sent->bytes, sent->length_bytes, true, &layers);
            net_fill_checksum(sent->bytes, &layers);
            assert_true(fake_frame_is_good(sent->bytes, sent->length_bytes));
            /* What is wanted is not there. */
            value ^= WANT_TCP | WANT_UDP;
            nic_send(&nic, frame, length, &type, &value, 1);
        }
    }
    assert_int_equal(nic.net.sent, 4);
    assert_int_equal(nic.adapter.counts.send_errors, 4);
}

/* A large send is cut, and each piece is a packet of its own. */
static void check_large(uint8_t version, uint32_t data_bytes, uint32_t segment, const uint32_t *types,
                        const uint32_t *values, uint32_t count)
{
    static uint8_t large[65536];
    uint32_t headers = version == 4 ? 54 : 74;
    uint32_t length = fake_frame_make(large, version, TCP, PEER, NIC_ADDRESS, data_bytes);
    uint32_t first = nic.net.sent, pieces = (data_bytes + segment - 1) / segment;

    put_be16(large + (version == 4 ? 16 : 18), 0); /* as Linux does */
    nic_send(&nic, large, length, types, values, count);
    assert_int_equal(nic.net.sent - first, pieces);
    for (uint32_t i = 0; i < pieces; i++) {
        const struct net_frame *sent = fake_net_sent(&nic.net, first + i);
        uint32_t now = i + 1 < pieces ? segment : data_bytes - i * segment;
        struct net_layers layers;

        assert_int_equal(sent->length_bytes, headers + now);
        assert_true(sent->is_checksum_missing);
        assert_memory_equal(sent->bytes, large, 14);
        assert_memory_equal(sent->bytes + headers, large + headers + i * segment, now);
        assert_int_equal(get_be32(sent->bytes + headers - 16), 0x11223344 + i * segment);
        assert_int_equal(sent->bytes[headers - 7], 0x10 | (i == 0 ? 0x80 : 0) | (i + 1 == pieces ? 9 : 0));
        if (version == 4) {
            assert_int_equal(get_be16(sent->bytes + 18), 0x1230 + i);
        }
        net_parse(sent->bytes, sent->length_bytes, true, &layers);
        assert_int_equal(layers.transport_bytes, 20 + now);
        net_fill_checksum(sent->bytes, &layers);
        assert_true(fake_frame_is_good(sent->bytes, sent->length_bytes));
    }
}

static uint32_t large_info(uint32_t segment, uint32_t transport)
{
    return segment | transport << 20 | 1u << 30;
}

static void test_send_large(void **state)
{
    static const uint32_t types[] = {INFO_LARGE, INFO_TAG};
    uint32_t values[] = {large_info(1460, 34), 0x77 << 4};

    (void)state;
    check_large(4, 60000, 1460, types, values, 1);
    check_large(4, 1460, 1460, types, values, 1);
    check_large(4, 1461, 1460, types, values, 2);
    assert_int_equal(fake_net_sent(&nic.net, nic.net.sent - 1)->tag, 0x77);
    values[0] = large_info(1440, 54) | 1u << 31;
    check_large(6, 60000, 1440, types, values, 1);
    values[0] = large_info(64, 34);
    check_large(4, 4000, 64, types, values, 1);
}

static void test_send_large_malformed(void **state)
{
    static const uint32_t type = INFO_LARGE;
    static const struct {
        uint32_t value;
        uint32_t at; /* a byte to be changed, and to what */
        uint8_t byte;
    } faults[] = {
        {1460 | 34 << 20, 0, 2},               /* version 1 */
        {63 | 34 << 20 | 1 << 30, 0, 2},       /* too small */
        {1461 | 34 << 20 | 1 << 30, 0, 2},     /* beyond the MTU */
        {0xFFFFF | 34 << 20 | 1 << 30, 0, 2},  /* and far beyond */
        {1460 | 33 << 20 | 1 << 30, 0, 2},     /* no TCP header there */
        {1460 | 1023u << 20 | 1 << 30, 0, 2},  /* nor there */
        {1460 | 34 << 20 | 1 << 30, 46, 0x40}, /* TCP header too short */
        {1460 | 34 << 20 | 1 << 30, 23, UDP},  /* not TCP */
        {1460 | 34 << 20 | 1 << 30, 20, 0x20}, /* a fragment */
        {1460 | 34 << 20 | 1 << 30, 14, 0x46}, /* IP header longer */
        {1460 | 34 << 20 | 1 << 30, 12, 0x09}, /* not IP */
        {1460 | 34 << 20 | 1 << 30, 11, PEER}, /* not ours */
    };
    uint32_t value = large_info(1460, 34);

    (void)state;
    for (uint32_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint32_t length = make_frame(4, TCP, 3000);

        frame[faults[i].at] = faults[i].byte;
        nic_send(&nic, frame, length, &type, &faults[i].value, 1);
        assert_int_equal(nic.adapter.counts.send_errors, i + 1);
    }
    /* Nothing but headers, and less. */
    (void)make_frame(4, TCP, 0);
    nic_send(&nic, frame, 54, &type, &value, 1);
    nic_send(&nic, frame, 53, &type, &value, 1);
    assert_int_equal(nic.net.sent, 0);
}

static void test_send_is_dropped(void **state)
{
    uint32_t length = make_frame(4, UDP, 10);

    (void)state;
    nic.net.is_full = true;
    nic_send(&nic, frame, length, NULL, NULL, 0);
    nic.net.is_full = false;
    host_vm_lock(nic.guest.host);
    netvsp_set_link(&nic.adapter, false);
    host_vm_unlock(nic.guest.host);
    nic.adapter.is_link_told = false;
    (void)nic_pack(nic.data, frame, length, NULL, NULL, 0);
    assert_true(nic_post_data(&nic, &nic.channels[0], 5, (length + 44 + 7) / 8 * 8));
    assert_int_equal(nic.net.sent, 0);
    assert_int_equal(nic.adapter.counts.send_drops, 2);
}

/* Many frames in one turn: the rest is sent later, without a signal. */
static void test_turns(void **state)
{
    static const uint32_t type = INFO_LARGE;
    uint32_t value = large_info(100, 34);
    uint32_t length = make_frame(4, TCP, 3000);
    uint32_t packed = nic_pack(nic.data, frame, length, &type, &value, 1);

    (void)state;
    put_u32(nic.channels[0].out + 8, 1); /* no signals, although the ring is empty */
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(nic_post_data(&nic, &nic.channels[0], 1 + i, packed));
    }
    put_u32(nic.channels[0].out + 8, 0);
    guest_signal(&nic.guest, nic.channels[0].connection_id);
    assert_int_equal(nic.net.sent, 3 * 30);
    fake_host_advance(nic.guest.host, 0);
    assert_int_equal(nic.net.sent, 6 * 30);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(nic_expect_sent(&nic.channels[0], 1 + i), 1);
    }
}

/* A guest that does not take completions sends nothing more until it does. */
static void test_completions_wait(void **state)
{
    uint32_t length = make_frame(4, UDP, 10);
    uint32_t packed = nic_pack(nic.data, frame, length, NULL, NULL, 0);
    uint32_t posted = 0, done = 0;

    (void)state;
    while (nic_post_data(&nic, &nic.channels[0], 1 + posted, packed)) {
        posted++;
    }
    assert_true(nic.adapter.channels[0].has_completion);
    assert_in_range(nic.net.sent, 1, posted - 1);
    while (done < posted) {
        assert_int_equal(nic_expect_sent(&nic.channels[0], 1 + done), 1);
        done++;
    }
    assert_int_equal(nic.net.sent, posted);
}

static struct net_frame arriving(uint32_t length)
{
    return (struct net_frame){.bytes = frame, .length_bytes = length};
}

static uint32_t make_arriving(uint8_t version, uint8_t protocol, uint32_t data_bytes)
{
    return fake_frame_make(frame, version, protocol, NIC_ADDRESS, PEER, data_bytes);
}

static void test_receive(void **state)
{
    struct net_frame arrives = arriving(make_arriving(4, UDP, 1472));
    struct nic_frame got;

    (void)state;
    nic_arrive(&nic, &arrives);
    assert_true(nic_take_frame(&nic, &nic.channels[0], &got));
    assert_int_equal(got.length, 1514);
    assert_memory_equal(got.bytes, frame, 1514);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(got.infos[i], NIC_NONE);
    }
    nic_done(&nic.channels[0], got.id);
    assert_int_equal(nic.adapter.free_section_count, nic.section_count);
    assert_false(nic_take_frame(&nic, &nic.channels[0], &got));
    /* What the guest cannot take. */
    arrives.length_bytes = 1515;
    nic_arrive(&nic, &arrives);
    assert_false(nic_take_frame(&nic, &nic.channels[0], &got));
    assert_int_equal(nic.adapter.counts.receive_errors, 1);
    /* Ids that are none, are others', or were done. */
    nic_done(&nic.channels[0], got.id);
    nic_done(&nic.channels[0], 0);
    nic_done(&nic.channels[0], UINT64_MAX);
    nic_done(&nic.channels[0], 2049);
    assert_int_equal(nic.adapter.free_section_count, nic.section_count);
}

static void test_receive_jumbo(void **state)
{
    struct net_frame arrives = arriving(make_arriving(4, UDP, 8972));
    struct nic_frame got;

    (void)state;
    nic_arrive(&nic, &arrives);
    assert_true(nic_take_frame(&nic, &nic.channels[0], &got));
    assert_int_equal(got.length, 9014);
    assert_memory_equal(got.bytes, frame, 9014);
}

/* What the filter lets pass: to us, to another, to all, to a group in the list, to another group. */
static void test_filters(void **state)
{
    static const uint8_t addresses[5][6] = {
        {2, 0, 0, 0, 0, NIC_ADDRESS}, {2, 0, 0, 0, 0, 77}, {255, 255, 255, 255, 255, 255},
        {1, 2, 3, 4, 5, 6},           {1, 2, 3, 4, 5, 7},
    };
    static const struct {
        uint8_t filter;
        uint8_t passes; /* bit for each address */
    } filters[] = {{0x00, 0x00}, {0x01, 0x01}, {0x02, 0x08}, {0x04, 0x18}, {0x08, 0x04}, {0x0D, 0x1D}, {0x20, 0x1F}};

    (void)state;
    assert_int_equal(nic_set(&nic, 0x01010103, addresses[3], 6), 0);
    for (uint32_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        const uint8_t value[4] = {filters[i].filter};

        assert_int_equal(nic_set(&nic, 0x0001010E, value, 4), 0);
        for (uint32_t k = 0; k < 5; k++) {
            struct net_frame arrives = arriving(make_arriving(4, UDP, 20));
            struct nic_frame got;

            memcpy(frame, addresses[k], 6);
            nic_arrive(&nic, &arrives);
            assert_int_equal(nic_take_frame(&nic, &nic.channels[0], &got), filters[i].passes >> k & 1);
            if ((filters[i].passes >> k & 1) != 0) {
                nic_done(&nic.channels[0], got.id);
            }
        }
    }
}

/* Missing checksums are vouched for, or written for a guest that looks itself. */
static void test_receive_checksums(void **state)
{
    const uint8_t off[28] = {0x80, 3, 28, 0, 1, 1, 1, 1, 1};
    struct nic_frame got;

    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        uint8_t version = (i & 1) != 0 ? 6 : 4;
        uint8_t protocol = (i & 2) != 0 ? UDP : TCP;
        struct net_frame arrives = arriving(make_arriving(version, protocol, 99));

        if (i == 4) {
            assert_int_equal(nic_set(&nic, 0xFC01020C, off, sizeof(off)), 0);
        }
        if (version == 4) {
            struct net_layers layers;

            net_parse(frame, arrives.length_bytes, true, &layers);
            net_fill_ip_checksum(frame, &layers);
        }
        arrives.is_checksum_missing = true;
        nic_arrive(&nic, &arrives);
        assert_true(nic_take_frame(&nic, &nic.channels[0], &got));
        assert_int_equal(got.infos[INFO_CHECKSUM], i >= 4 ? NIC_NONE : protocol == TCP ? 0x08 : 0x10);
        assert_int_equal(fake_frame_is_good(got.bytes, got.length), i >= 4);
        nic_done(&nic.channels[0], got.id);
    }
}

static void test_receive_tag(void **state)
{
    struct net_frame arrives = arriving(make_arriving(4, UDP, 99));
    struct nic_frame got;

    (void)state;
    arrives.tag = 0xB123;
    nic_arrive(&nic, &arrives);
    assert_true(nic_take_frame(&nic, &nic.channels[0], &got));
    assert_int_equal(got.infos[INFO_TAG], 5 | 8 | 0x123 << 4);
    assert_memory_equal(got.bytes, frame, got.length);
}

/* A guest that does not give sections back, or does not read its ring, loses frames, and answers still come. */
static void test_no_sections(void **state)
{
    struct net_frame arrives = arriving(make_arriving(4, UDP, 99));
    struct nic_frame got;
    uint64_t first = 0;
    uint32_t count = 0;

    (void)state;
    for (nic_arrive(&nic, &arrives); nic_take_frame(&nic, &nic.channels[0], &got); nic_arrive(&nic, &arrives)) {
        first = count++ == 0 ? got.id : first;
    }
    assert_int_equal(count, nic.section_count - NETVSP_SECTIONS_SPARE);
    assert_int_equal(nic.adapter.counts.receive_drops, 1);
    assert_int_equal(nic_query_u32(&nic, 0x00010106), 1500);
    nic_done(&nic.channels[0], first);
    nic_arrive(&nic, &arrives);
    assert_true(nic_take_frame(&nic, &nic.channels[0], &got));
}

static void test_full_ring(void **state)
{
    struct net_frame arrives = arriving(make_arriving(4, UDP, 99));
    struct nic_frame got;
    uint32_t count = 0;

    (void)state;
    while (nic.adapter.counts.receive_drops == 0) {
        nic_arrive(&nic, &arrives);
    }
    assert_int_equal(nic.adapter.free_section_count, nic.section_count - nic.adapter.counts.received);
    while (nic_take_frame(&nic, &nic.channels[0], &got)) {
        nic_done(&nic.channels[0], got.id);
        count++;
    }
    assert_int_equal(count, nic.adapter.counts.received);
    assert_int_equal(nic.adapter.free_section_count, nic.section_count);
}

/* Frames that come while nobody listens are not there later. */
static void test_receive_before(void **state)
{
    struct net_frame arrives = arriving(make_arriving(4, UDP, 99));
    struct nic_frame got;

    (void)state;
    guest_close(&nic.channels[0]);
    nic_arrive(&nic, &arrives);
    assert_int_equal(nic.net.taken, 1);
    guest_open(&nic.guest, &nic.channels[0], &nic.offer, NIC_RING_PAGES, 0);
    nic_arrive(&nic, &arrives);
    nic_set_up(&nic, NIC_6_1, 1500);
    nic_arrive(&nic, &arrives);
    nic_start(&nic);
    assert_false(nic_take_frame(&nic, &nic.channels[0], &got));
    assert_int_equal(nic.adapter.counts.received, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_send, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_jumbo, setup_jumbo, teardown),
        cmocka_unit_test_setup_teardown(test_send_sections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_bad_sections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_tags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_checksums, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_large_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_send_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_completions_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_jumbo, setup_jumbo, teardown),
        cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_checksums, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_tag, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_sections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_before, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
