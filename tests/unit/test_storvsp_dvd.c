/* SPDX-License-Identifier: MIT */
/* A DVD drive as Linux's sr sees it: probe, table of contents, reading, changing the disc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/storvsp_guest.h"
#include "hv/lib/be.h"

#define DVD         1u
#define DISC_BLOCKS 400u
#define DISC_BYTES  (DISC_BLOCKS * 2048u)
#define INVALID_CDB 0x5, 0x2400
#define UNKNOWN     0x5, 0x2000
#define NO_MEDIUM   0x2, 0x3A00
#define NEW_MEDIUM  0x6, 0x2800
#define NO_EVENT    0u
#define NEW_EVENT   2u
#define GONE_EVENT  3u

static const uint8_t ready[16] = {0x00};
static const uint8_t eject[16] = {0x1B, [4] = 2};
static const uint8_t load[16] = {0x1B, [4] = 3};
static struct stor stor;
static struct fake_disk disc;

static void set_disc(struct block_disk *disk)
{
    host_vm_lock(stor.guest.host);
    assert_true(storvsp_set_disc(&stor.controller, DVD, disk));
    host_vm_unlock(stor.guest.host);
}

/* A drive with a disc. */
static int setup(void **state)
{
    (void)state;
    stor_create(&stor);
    fake_disk_create(&disc, DISC_BYTES, 512);
    disc.disk.is_read_only = true;
    host_vm_lock(stor.guest.host);
    assert_true(storvsp_attach(&stor.controller, DVD, SCSI_DVD, &(struct guid){.data1 = 7}, &disc.disk));
    host_vm_unlock(stor.guest.host);
    stor_open(&stor, 8);
    stor_begin(&stor, 0x0602);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stor_destroy(&stor);
    fake_disk_destroy(&disc);
    return 0;
}

static void test_probe(void **state)
{
    static const uint8_t inquiry[16] = {0x12, [4] = 36};
    static const uint8_t pages[16] = {0x12, 1, [4] = 255};
    static const uint8_t limits[16] = {0x12, 1, 0xB0, [4] = 255};
    static const uint8_t capabilities[16] = {0x5A, 0, 0x2A, [8] = 128};
    static const uint8_t caching[16] = {0x5A, 0, 0x08, [8] = 128};
    static const uint8_t capacity[16] = {0x25};

    (void)state;
    stor_expect_good(&stor, DVD, inquiry, 36, 36);
    assert_int_equal(stor.data[0], 5);
    assert_int_equal(stor.data[1], 0x80);
    assert_memory_equal(stor.data + 16, "Virtual DVD-ROM ", 16);
    stor_expect_good(&stor, DVD, pages, 255, 7);
    assert_int_equal(get_be32(stor.data), 0x05000003);
    stor_expect_sense(&stor, DVD, limits, 255, INVALID_CDB);
    stor_expect_good(&stor, DVD, capabilities, 128, 28);
    assert_int_equal(get_be64(stor.data), UINT64_C(0x001A000000000000));
    assert_int_equal(get_be32(stor.data + 8), 0x2A120800);
    assert_int_equal(stor.data[14], 0x29);
    stor_expect_sense(&stor, DVD, caching, 128, INVALID_CDB);
    stor_expect_good(&stor, DVD, capacity, 8, 8);
    assert_int_equal(get_be32(stor.data), DISC_BLOCKS - 1);
    assert_int_equal(get_be32(stor.data + 4), 2048);
}

static void test_read(void **state)
{
    static const uint8_t read_10[16] = {0x28, [5] = 3, [8] = 2};
    static const uint8_t read_12[16] = {0xA8, [5] = 3, [9] = 2};
    static const uint8_t behind[16] = {0x28, [4] = 1, [5] = 0x90, [8] = 1};
    static const uint8_t others[][16] = {{0x08, [4] = 1}, {0x88, [13] = 1}, {0x2A, [8] = 1}, {0x0A, [4] = 1},
                                         {0x42},          {0x35},           {0x93},          {0x9E, 0x10}};

    (void)state;
    memset(disc.bytes + 3 * 2048, 0x3C, 4096);
    stor_expect_good(&stor, DVD, read_10, 4096, 4096);
    assert_int_equal(stor.data[0], 0x3C);
    assert_int_equal(stor.data[4095], 0x3C);
    stor_expect_good(&stor, DVD, read_12, 4096, 4096);
    stor_expect_sense(&stor, DVD, behind, 2048, 0x5, 0x2100);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        stor_expect_sense(&stor, DVD, others[i], 4096, UNKNOWN);
    }
}

static void test_table_of_contents(void **state)
{
    static const uint8_t header[16] = {0x43, [8] = 4};
    static const uint8_t all[16] = {0x43, [8] = 64};
    static const uint8_t all_in_time[16] = {0x43, 2, [8] = 64};
    static const uint8_t lead_out[16] = {0x43, [6] = 0xAA, [8] = 12};
    static const uint8_t sessions[16] = {0x43, 0, 1, [8] = 12};
    static const uint8_t second_track[16] = {0x43, [6] = 2, [8] = 12};
    static const uint8_t full[16] = {0x43, 0, 2, [8] = 12};
    static const uint8_t tracks[20] = {0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0, 0, 0, 1, 0x90};

    (void)state;
    stor_expect_good(&stor, DVD, header, 64, 4);
    assert_int_equal(get_be32(stor.data), 0x00120101);
    stor_expect_good(&stor, DVD, all, 64, 20);
    assert_memory_equal(stor.data, tracks, sizeof(tracks));
    stor_expect_good(&stor, DVD, all_in_time, 64, 20);
    assert_int_equal(get_be32(stor.data + 8), 0x00000200);
    /* 400 + 150 frames. */
    assert_int_equal(get_be32(stor.data + 16), 0x00000719);
    stor_expect_good(&stor, DVD, lead_out, 64, 12);
    assert_int_equal(get_be32(stor.data + 4), 0x0014AA00);
    stor_expect_good(&stor, DVD, sessions, 64, 12);
    assert_int_equal(get_be32(stor.data), 0x000A0101);
    stor_expect_sense(&stor, DVD, second_track, 64, INVALID_CDB);
    stor_expect_sense(&stor, DVD, full, 64, INVALID_CDB);
}

static void test_configuration(void **state)
{
    static const uint8_t all[16] = {0x46, 0, [8] = 128};
    static const uint8_t current[16] = {0x46, 1, [8] = 128};
    static const uint8_t one[16] = {0x46, 2, 0, 0x10, [8] = 128};
    static const uint8_t from[16] = {0x46, 0, 0, 0x03, [8] = 128};
    static const uint8_t reserved[16] = {0x46, 3, [8] = 128};

    (void)state;
    stor_expect_good(&stor, DVD, all, 128, 56);
    assert_int_equal(get_be32(stor.data), 52);
    assert_int_equal(get_be16(stor.data + 6), 0x0010);
    assert_int_equal(get_be64(stor.data + 8), UINT64_C(0x0000030400100100));
    stor_expect_good(&stor, DVD, current, 128, 56);
    stor_expect_good(&stor, DVD, one, 128, 20);
    assert_int_equal(get_be32(stor.data + 8), 0x00100108);
    assert_int_equal(get_be32(stor.data + 12), 2048);
    stor_expect_good(&stor, DVD, from, 128, 36);
    stor_expect_sense(&stor, DVD, reserved, 128, INVALID_CDB);
    /* What needs a disc is not current without one. */
    set_disc(NULL);
    stor_expect_good(&stor, DVD, current, 128, 36);
    assert_int_equal(get_be16(stor.data + 6), 0);
    assert_int_equal(stor.data[14], 0);
}

static void expect_event(uint8_t event, uint8_t medium)
{
    static const uint8_t poll[16] = {0x4A, 1, [4] = 0x10, [8] = 8};

    stor_expect_good(&stor, DVD, poll, 8, 8);
    assert_int_equal(get_be32(stor.data), 0x00060410);
    assert_int_equal(stor.data[4], event);
    assert_int_equal(stor.data[5], medium);
}

static void test_events(void **state)
{
    static const uint8_t wait[16] = {0x4A, 0, [4] = 0x10, [8] = 8};
    static const uint8_t other_class[16] = {0x4A, 1, [4] = 0x02, [8] = 8};

    (void)state;
    expect_event(NO_EVENT, 2);
    set_disc(NULL);
    expect_event(GONE_EVENT, 0);
    expect_event(NO_EVENT, 0);
    stor_expect_sense(&stor, DVD, ready, 0, NO_MEDIUM);
    set_disc(&disc.disk);
    expect_event(NEW_EVENT, 2);
    stor_expect_sense(&stor, DVD, ready, 0, NEW_MEDIUM);
    stor_expect_good(&stor, DVD, ready, 0, 0);
    stor_expect_sense(&stor, DVD, wait, 8, INVALID_CDB);
    stor_expect_good(&stor, DVD, other_class, 8, 4);
    assert_int_equal(get_be32(stor.data), 0x00028010);
}

static void test_tray(void **state)
{
    static const uint8_t prevent[16] = {0x1E, [4] = 1};
    static const uint8_t allow[16] = {0x1E};
    static const uint8_t stop[16] = {0x1B};
    static const uint8_t read[16] = {0x28, [8] = 1};
    static const uint8_t sense[16] = {0x03, [4] = 18};

    (void)state;
    stor_expect_good(&stor, DVD, prevent, 0, 0);
    stor_expect_sense(&stor, DVD, eject, 0, 0x5, 0x5302);
    stor_expect_good(&stor, DVD, allow, 0, 0);
    stor_expect_good(&stor, DVD, stop, 0, 0);
    stor_expect_good(&stor, DVD, ready, 0, 0);
    stor_expect_good(&stor, DVD, eject, 0, 0);
    expect_event(GONE_EVENT, 1);
    stor_expect_sense(&stor, DVD, read, 2048, NO_MEDIUM);
    stor_expect_good(&stor, DVD, sense, 18, 18);
    assert_int_equal(get_be16(stor.data + 12), 0x3A00);
    stor_expect_good(&stor, DVD, load, 0, 0);
    expect_event(NEW_EVENT, 2);
    stor_expect_good(&stor, DVD, read, 2048, 2048);
    /* A reset takes the guest's lock away. */
    stor_expect_good(&stor, DVD, prevent, 0, 0);
    assert_int_equal(stor_call(&stor.channel, 6, NULL, NULL), 0);
    stor_expect_sense(&stor, DVD, ready, 0, 0x6, 0x2900);
    stor_expect_good(&stor, DVD, eject, 0, 0);
}

/* A disc that the back-end reads from stays until that is done. */
static void test_change_under_load(void **state)
{
    static const uint8_t read[16] = {0x28, [8] = 1};
    struct stor_answer answer;

    (void)state;
    disc.is_holding = true;
    assert_true(stor_post(&stor, &stor.channel, 1, DVD, read, 2048));
    host_vm_lock(stor.guest.host);
    assert_false(storvsp_set_disc(&stor.controller, DVD, NULL));
    host_vm_unlock(stor.guest.host);
    stor_complete(&stor, &disc, BLOCK_OK);
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_good(&answer, 2048);
    set_disc(NULL);
    stor_expect_sense(&stor, DVD, read, 2048, NO_MEDIUM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_table_of_contents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_configuration, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tray, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_under_load, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
