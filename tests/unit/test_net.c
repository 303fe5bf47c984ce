/* SPDX-License-Identifier: MIT */
/* Ethernet frames taken apart, and checksums. */
#include "vmbus/net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/be.h"
#include "tests/unit/fake_net.h"

static uint8_t frame[NET_FRAME_BYTES_MAX];

static void test_checksums(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 400; i++) {
        uint8_t version = (i & 1) != 0 ? 6 : 4;
        uint8_t protocol = (i & 2) != 0 ? NET_PROTOCOL_UDP : NET_PROTOCOL_TCP;
        uint32_t length = fake_frame_make(frame, version, protocol, (uint8_t)i, 2, i / 4);
        struct net_layers layers;

        net_parse(frame, length, true, &layers);
        assert_int_equal(layers.version, version);
        assert_int_equal(layers.protocol, protocol);
        assert_int_equal(layers.transport_offset, version == 4 ? 34 : 54);
        assert_int_equal(layers.transport_headers, length - i / 4);
        assert_int_equal(layers.transport_bytes, length - layers.transport_offset);
        net_fill_ip_checksum(frame, &layers);
        net_fill_checksum(frame, &layers);
        assert_true(fake_frame_is_good(frame, length));
    }
}

/* A UDP checksum that comes out as 0 is written as its other form: 0 says that there is none. */
static void test_udp_zero(void **state)
{
    uint32_t length = fake_frame_make(frame, 4, NET_PROTOCOL_UDP, 1, 2, 2);
    struct net_layers layers;
    uint16_t checksum;

    (void)state;
    frame[42] = frame[43] = 0;
    net_parse(frame, length, true, &layers);
    net_fill_checksum(frame, &layers);
    checksum = get_be16(frame + 40);
    put_be16(frame + 42, checksum);
    net_fill_checksum(frame, &layers);
    assert_int_equal(get_be16(frame + 40), 0xFFFF);
}

/* Padding behind a short packet is no part of it. */
static void test_padding(void **state)
{
    uint32_t length = fake_frame_make(frame, 4, NET_PROTOCOL_UDP, 1, 2, 3);
    struct net_layers layers;

    (void)state;
    memset(frame + length, 0xAA, 60 - length);
    net_parse(frame, 60, true, &layers);
    assert_int_equal(layers.transport_bytes, 11);
    net_fill_ip_checksum(frame, &layers);
    net_fill_checksum(frame, &layers);
    assert_true(fake_frame_is_good(frame, length));
}

static void test_extensions(void **state)
{
    struct net_layers layers;
    uint32_t length = fake_frame_make(frame, 6, NET_PROTOCOL_TCP, 1, 2, 30);

    (void)state;
    /* Hop-by-hop options of 8 bytes, then options of 16. */
    memmove(frame + 54 + 24, frame + 54, length - 54);
    memset(frame + 54, 0, 24);
    put_be16(frame + 18, length - 54 + 24);
    frame[20] = 0;
    frame[54] = 60;
    frame[62] = NET_PROTOCOL_TCP;
    frame[63] = 1;
    net_parse(frame, length + 24, true, &layers);
    assert_int_equal(layers.protocol, NET_PROTOCOL_TCP);
    assert_int_equal(layers.transport_offset, 78);
    /* A routing header, a fragment, options that go on for ever, and beyond the end. */
    frame[54] = 43;
    net_parse(frame, length + 24, true, &layers);
    assert_int_equal(layers.version, 6);
    assert_int_equal(layers.protocol, 0);
    frame[54] = 44;
    net_parse(frame, length + 24, true, &layers);
    assert_int_equal(layers.protocol, 0);
    frame[54] = 60;
    frame[63] = 200;
    net_parse(frame, length + 24, true, &layers);
    assert_int_equal(layers.protocol, 0);
    memset(frame + 54, 0, 100);
    net_parse(frame, length + 24, true, &layers);
    assert_int_equal(layers.protocol, 0);
}

/* Fields that lie, one at a time: nothing of the kind is found then. */
static void test_malformed(void **state)
{
    static const struct {
        uint8_t version;
        uint8_t protocol;
        uint8_t at;
        uint8_t value;
        bool has_network;
    } faults[] = {
        {4, 6, 14, 0x55, false}, {4, 6, 14, 0x44, false}, {4, 6, 14, 0x4F, false}, {4, 6, 16, 0xFF, false},
        {4, 6, 20, 0x20, true},  {4, 6, 21, 0x01, true},  {4, 6, 46, 0x40, true},  {4, 6, 46, 0xF0, true},
        {4, 6, 17, 30, true},    {4, 17, 17, 27, true},   {4, 6, 23, 1, true},     {6, 6, 14, 0x40, false},
        {6, 6, 18, 0xFF, false}, {6, 17, 19, 7, true},    {6, 6, 20, 58, true},    {4, 6, 12, 0x81, false},
    };

    (void)state;
    for (uint32_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint32_t length = fake_frame_make(frame, faults[i].version, faults[i].protocol, 1, 2, 4);
        struct net_layers layers;
        uint8_t before[200];

        frame[faults[i].at] = faults[i].value;
        net_parse(frame, length, true, &layers);
        assert_int_equal(layers.version != 0, faults[i].has_network);
        assert_int_equal(layers.protocol, 0);
        memcpy(before, frame, length);
        net_fill_checksum(frame, &layers);
        assert_memory_equal(frame, before, length);
    }
}

/* Any bytes, cut at any place, on the heap: nothing is read or written outside. */
static void test_any_bytes(void **state)
{
    uint32_t random = 12345;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t length = i % 120;
        uint8_t *bytes = malloc(length + 1);
        struct net_layers layers;

        assert_non_null(bytes);
        (void)fake_frame_make(frame, (i & 1) != 0 ? 6 : 4, (i & 2) != 0 ? 17 : 6, 1, 2, 60);
        memcpy(bytes, frame, length);
        for (uint32_t k = 0; k < 3 && length != 0; k++) {
            random = random * 1664525 + 1013904223;
            bytes[(random >> 8) % length] = (uint8_t)(random >> 24);
        }
        net_parse(bytes, length, (i & 4) != 0, &layers);
        net_fill_ip_checksum(bytes, &layers);
        net_fill_checksum(bytes, &layers);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksums),  cmocka_unit_test(test_udp_zero),  cmocka_unit_test(test_padding),
        cmocka_unit_test(test_extensions), cmocka_unit_test(test_malformed), cmocka_unit_test(test_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
