/* SPDX-License-Identifier: MIT */
/* Receive-side scaling: the published hashes, settings that cannot be, and frames that come on their channels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/be.h"
#include "hv/lib/bytes.h"
#include "tests/unit/netvsp_guest.h"

#define TABLE_AT  40u
#define KEY_AT    (40u + 512u)
#define SET_BYTES (40u + 512u + 40u)
#define RSS       0x00010204u
#define INFO_HASH 8u
#define INVALID   0xC0010015u

static struct nic nic;
static uint8_t frame[NET_FRAME_BYTES_MAX];
static uint8_t settings[SET_BYTES];

/* Microsoft's "Verifying the RSS Hash Calculation". */
static const uint8_t key[40] = {0x6D, 0x5A, 0x56, 0xDA, 0x25, 0x5B, 0x0E, 0xC2, 0x41, 0x67, 0x25, 0x3D, 0x43, 0xA3,
                                0x8F, 0xB0, 0xD0, 0xCA, 0x2B, 0xCB, 0xAE, 0x7B, 0x30, 0xB4, 0x77, 0xCB, 0x2D, 0xA3,
                                0x80, 0x30, 0xF2, 0x0C, 0x6A, 0x42, 0xB7, 0x3B, 0xBE, 0xAC, 0x01, 0xFA};

/* What Linux sets, for this many channels. */
static void make_settings(uint32_t channels)
{
    memset(settings, 0, sizeof(settings));
    put_u32(settings, 0x89 | 2 << 8 | 40u << 16);
    put_u32(settings + 8, 0x1701);
    put_u16(settings + 12, 512);
    put_u32(settings + 16, TABLE_AT);
    put_u16(settings + 20, 40);
    put_u32(settings + 24, KEY_AT);
    for (uint32_t i = 0; i < 128; i++) {
        put_u32(settings + TABLE_AT + 4 * i, i % channels);
    }
    memcpy(settings + KEY_AT, key, sizeof(key));
}

static int setup(void **state)
{
    struct guest_packet packet;

    (void)state;
    nic_create(&nic, false);
    nic_open(&nic);
    nic_set_up(&nic, NIC_6_1, 1500);
    nic_start(&nic);
    nic_open_sub_channels(&nic, NIC_SUB_CHANNELS);
    assert_true(guest_read(&nic.channels[0], &packet));
    make_settings(1 + NIC_SUB_CHANNELS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nic_destroy(&nic);
    return 0;
}

static uint32_t hash_of(const struct rss *rss, uint32_t length)
{
    struct net_layers layers;
    uint32_t hash;

    net_parse(frame, length, true, &layers);
    assert_true(rss_hash(rss, frame, &layers, &hash));
    return hash;
}

static void test_published_hashes(void **state)
{
    static const struct {
        uint32_t source, destination, addresses, all;
        uint16_t source_port, destination_port;
    } hashes[] = {
        {0x420995BB, 0xA18E6450, 0x323E8FC2, 0x51CCC178, 2794, 1766},
        {0xC75C6F02, 0x41458C53, 0xD718262A, 0xC626B0EA, 14230, 4739},
        {0x1813C65F, 0x0C16CFB8, 0xD2D0A5DE, 0x5C2B394A, 12898, 38024},
    };
    static const uint8_t destination6[16] = {0x3F, 0xFE, 0x25, 0x01, 0x02, 0x00, 0x00, 0x03, [15] = 1};
    static const uint8_t source6[16] = {0x3F, 0xFE, 0x25, 0x01, 0x02, 0x00, 0x1F, 0xFF, [15] = 7};
    struct rss rss = {.is_enabled = true, .hash = 0x1701, .table_entries = 128};
    uint32_t length, unused;
    struct net_layers layers;

    (void)state;
    memcpy(rss.key, key, sizeof(key));
    for (uint32_t i = 0; i < 3; i++) {
        for (uint8_t protocol = 6; protocol <= 17; protocol += 11) {
            length = fake_frame_make(frame, 4, protocol, 1, 2, 10);
            put_be32(frame + 26, hashes[i].source);
            put_be32(frame + 30, hashes[i].destination);
            put_be16(frame + 34, hashes[i].source_port);
            put_be16(frame + 36, hashes[i].destination_port);
            assert_int_equal(hash_of(&rss, length), protocol == 6 ? hashes[i].all : hashes[i].addresses);
        }
    }
    length = fake_frame_make(frame, 6, 6, 1, 2, 10);
    memcpy(frame + 22, source6, 16);
    memcpy(frame + 38, destination6, 16);
    put_be16(frame + 54, 2794);
    put_be16(frame + 56, 1766);
    assert_int_equal(hash_of(&rss, length), 0x40207D3D);
    rss.hash = 0x0401;
    assert_int_equal(hash_of(&rss, length), 0x2CC18CD5);
    /* What is not asked for has none. */
    rss.hash = 0x0101;
    net_parse(frame, length, true, &layers);
    assert_false(rss_hash(&rss, frame, &layers, &unused));
    rss.is_enabled = false;
    assert_false(rss_hash(&rss, frame, &layers, &unused));
}

static void test_spreading(void **state)
{
    uint32_t seen = 0;

    (void)state;
    assert_int_equal(nic_set(&nic, RSS, settings, sizeof(settings)), 0);
    for (uint32_t i = 0; i < 200; i++) {
        struct net_frame arrives = {.bytes = frame};
        struct nic_frame got;
        uint32_t hash;

        arrives.length_bytes = fake_frame_make(frame, 4, 6, NIC_ADDRESS, (uint8_t)i, 20);
        hash = hash_of(&nic.adapter.rss, arrives.length_bytes);
        nic_arrive(&nic, &arrives);
        for (uint32_t k = 0; k <= NIC_SUB_CHANNELS; k++) {
            bool is_here = nic_take_frame(&nic, &nic.channels[k], &got);

            assert_int_equal(is_here, k == hash % 128 % 4);
            if (is_here) {
                assert_int_equal(got.infos[INFO_HASH], hash);
                /* It is given back where it came from. */
                nic_done(&nic.channels[(k + 1) % 4], got.id);
                assert_int_equal(nic.adapter.free_section_count, nic.section_count - 1);
                nic_done(&nic.channels[k], got.id);
                assert_int_equal(nic.adapter.free_section_count, nic.section_count);
                seen |= 1u << k;
            }
        }
    }
    assert_int_equal(seen, 0xF);
    put_u16(settings + 4, 0x10);
    assert_int_equal(nic_set(&nic, RSS, settings, 40), 0);
    assert_false(nic.adapter.rss.is_enabled);
}

/* A sub-channel that is not there is one that nothing comes on. */
static void test_closed_channel(void **state)
{
    struct net_frame arrives = {.bytes = frame};
    struct nic_frame got;

    (void)state;
    memset(settings + TABLE_AT, 0, 512);
    for (uint32_t i = 0; i < 128; i++) {
        settings[TABLE_AT + 4 * i] = 2;
    }
    assert_int_equal(nic_set(&nic, RSS, settings, sizeof(settings)), 0);
    arrives.length_bytes = fake_frame_make(frame, 4, 6, NIC_ADDRESS, 1, 20);
    nic_arrive(&nic, &arrives);
    assert_true(nic_take_frame(&nic, &nic.channels[2], &got));
    assert_int_equal(nic.adapter.free_section_count, nic.section_count - 1);
    guest_close(&nic.channels[2]);
    /* What it had is free. */
    assert_int_equal(nic.adapter.free_section_count, nic.section_count);
    nic_arrive(&nic, &arrives);
    assert_true(nic_take_frame(&nic, &nic.channels[0], &got));
}

static void test_bad_settings(void **state)
{
    static const struct {
        uint32_t at;
        uint32_t value;
    } faults[] = {
        {0, 0x88},
        {12, 0},
        {12, 516},
        {12, 12},
        {16, TABLE_AT + 41},
        {16, 0xFFFFFFFC},
        {20, 39},
        {20, 41},
        {24, KEY_AT + 1},
        {24, 0xFFFFFFFF},
        {TABLE_AT + 508, 1 + NIC_SUB_CHANNELS},
        {TABLE_AT, 0x80000000},
    };

    (void)state;
    assert_int_equal(nic_set(&nic, RSS, settings, 39), INVALID);
    for (uint32_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        make_settings(2);
        put_u32(settings + faults[i].at, faults[i].value);
        assert_int_equal(nic_set(&nic, RSS, settings, sizeof(settings)), INVALID);
        assert_false(nic.adapter.rss.is_enabled);
    }
    /* What is unchanged need not be there; without a table there is nothing to go by. */
    make_settings(2);
    put_u16(settings + 4, 0x0C);
    put_u32(settings + 12, 0);
    assert_int_equal(nic_set(&nic, RSS, settings, 40), 0);
    assert_false(nic.adapter.rss.is_enabled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_hashes),
        cmocka_unit_test_setup_teardown(test_spreading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed_channel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_settings, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
