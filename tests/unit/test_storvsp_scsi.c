/* SPDX-License-Identifier: MIT */
/* SCSI commands of a disk, over the bus: data byte by byte after SPC-4 and SBC-3, and sense data for what cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/storvsp_guest.h"
#include "hv/lib/be.h"

#define DISK_BLOCKS  (STOR_DISK_BYTES / 512)
#define POISON       0xEE
#define INVALID_CDB  0x5, 0x2400
#define OUT_OF_RANGE 0x5, 0x2100
#define UNKNOWN      0x5, 0x2000

static struct stor stor;

static int setup(void **state)
{
    (void)state;
    stor_create(&stor);
    stor_open(&stor, 8);
    stor_begin(&stor, 0x0602);
    memset(stor.data, POISON, STOR_DATA_PAGES * 4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stor_destroy(&stor);
    return 0;
}

static void test_inquiry(void **state)
{
    static const uint8_t inquiry[16] = {0x12, 0, 0, 0, 36};
    static const uint8_t larger[16] = {0x12, 0, 0, 1, 0};
    static const uint8_t shorter[16] = {0x12, 0, 0, 0, 5};
    static const uint8_t page_without_evpd[16] = {0x12, 0, 0x80, 0, 36};
    static const uint8_t command_support[16] = {0x12, 2, 0, 0, 36};
    static const uint8_t start[8] = {0x00, 0x00, 0x06, 0x02, 31, 0, 0, 0x02};

    (void)state;
    stor_expect_good(&stor, 0, inquiry, 255, 36);
    assert_memory_equal(stor.data, start, sizeof(start));
    assert_memory_equal(stor.data + 8, "Msft    Virtual Disk    1.0 ", 28);
    assert_int_equal(stor.data[36], POISON);
    stor_expect_good(&stor, 0, larger, 256, 36);
    /* What the guest has room for, by the CDB and by its memory. */
    memset(stor.data, POISON, 64);
    stor_expect_good(&stor, 0, shorter, 255, 5);
    assert_int_equal(stor.data[5], POISON);
    stor_expect_good(&stor, 0, inquiry, 8, 8);
    stor_expect_good(&stor, 0, inquiry, 0, 0);
    stor_expect_sense(&stor, 0, page_without_evpd, 255, INVALID_CDB);
    stor_expect_sense(&stor, 0, command_support, 255, INVALID_CDB);
}

static void read_page(uint8_t page, uint32_t length)
{
    uint8_t cdb[16] = {0x12, 1, page, 0, 255};

    memset(stor.data, POISON, 256);
    stor_expect_good(&stor, 0, cdb, 255, 4 + length);
    assert_int_equal(stor.data[0], 0);
    assert_int_equal(stor.data[1], page);
    assert_int_equal(get_be16(stor.data + 2), length);
}

static void test_vital_product_data(void **state)
{
    static const uint8_t pages[] = {0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2};
    static const uint8_t unknown[16] = {0x12, 1, 0x89, 0, 255};
    static const char serial[] = "67452301ab89efcd0102030405060708";
    const uint8_t *data = stor.data;

    (void)state;
    read_page(0x00, sizeof(pages));
    assert_memory_equal(data + 4, pages, sizeof(pages));
    read_page(0x80, 32);
    assert_memory_equal(data + 4, serial, 32);
    read_page(0x83, 44 + 12);
    assert_int_equal(get_be32(data + 4), 0x02010028);
    assert_memory_equal(data + 8, "Msft    ", 8);
    assert_memory_equal(data + 16, serial, 32);
    assert_int_equal(get_be32(data + 48), 0x01030008);
    assert_int_equal(get_be64(data + 52), 0x36472005AE8FE8C5);
    read_page(0xB0, 0x3C);
    assert_int_equal(data[4], 1);
    assert_int_equal(get_be16(data + 6), 8);
    assert_int_equal(get_be32(data + 8), 1024);
    assert_int_equal(get_be32(data + 20), 32768);
    assert_int_equal(get_be32(data + 24), 16);
    assert_int_equal(get_be32(data + 28), 8);
    assert_int_equal(get_be64(data + 36), 32768);
    read_page(0xB1, 0x3C);
    assert_int_equal(get_be16(data + 4), 1);
    read_page(0xB2, 4);
    assert_int_equal(get_be32(data + 4), 0x00E40200);
    stor_expect_sense(&stor, 0, unknown, 255, INVALID_CDB);
}

/* A disk that can do less does not say more. */
static void test_vital_product_data_of_plain_disk(void **state)
{
    static const uint8_t provisioning[16] = {0x12, 1, 0xB2, 0, 255};

    (void)state;
    stor.disk.disk.is_zero_when_unmapped = false;
    stor.disk.disk.can_write_zeroes = false;
    read_page(0xB2, 4);
    assert_int_equal(get_be32(stor.data + 4), 0x00800200);
    read_page(0xB0, 0x3C);
    assert_int_equal(get_be64(stor.data + 36), 0);
    stor.disk.disk.can_unmap = false;
    read_page(0x00, 5);
    read_page(0xB0, 0x3C);
    assert_int_equal(get_be32(stor.data + 20), 0);
    assert_int_equal(get_be32(stor.data + 24), 0);
    stor_expect_sense(&stor, 0, provisioning, 255, INVALID_CDB);
}

static void test_capacity(void **state)
{
    static const uint8_t capacity_10[16] = {0x25};
    static const uint8_t capacity_16[16] = {0x9E, 0x10, [13] = 32};
    static const uint8_t other_action[16] = {0x9E, 0x11, [13] = 32};

    (void)state;
    stor_expect_good(&stor, 0, capacity_10, 8, 8);
    assert_int_equal(get_be32(stor.data), DISK_BLOCKS - 1);
    assert_int_equal(get_be32(stor.data + 4), 512);
    stor_expect_good(&stor, 0, capacity_16, 32, 32);
    assert_int_equal(get_be64(stor.data), DISK_BLOCKS - 1);
    assert_int_equal(get_be32(stor.data + 8), 512);
    assert_int_equal(stor.data[12], 0);
    assert_int_equal(stor.data[13], 3);
    assert_int_equal(get_be16(stor.data + 14), 0xC000);
    stor.disk.disk.is_zero_when_unmapped = false;
    stor_expect_good(&stor, 0, capacity_16, 32, 32);
    assert_int_equal(get_be16(stor.data + 14), 0x8000);
    stor.disk.disk.can_unmap = false;
    stor_expect_good(&stor, 0, capacity_16, 32, 32);
    assert_int_equal(get_be16(stor.data + 14), 0);
    stor_expect_sense(&stor, 0, other_action, 32, INVALID_CDB);
    /* More blocks than READ CAPACITY(10) can say. */
    stor.disk.disk.byte_count = UINT64_C(1) << 42;
    stor_expect_good(&stor, 0, capacity_10, 8, 8);
    assert_int_equal(get_be32(stor.data), 0xFFFFFFFF);
    stor_expect_good(&stor, 0, capacity_16, 32, 32);
    assert_int_equal(get_be64(stor.data), (UINT64_C(1) << 33) - 1);
    stor.disk.disk.byte_count = STOR_DISK_BYTES;
}

static void test_report_luns(void **state)
{
    static const uint8_t report[16] = {0xA0, [8] = 0x20};
    static const uint8_t well_known[16] = {0xA0, 0, 1, [8] = 0x20};
    static const uint8_t reserved[16] = {0xA0, 0, 3, [8] = 0x20};
    static const struct guid identity = {.data1 = 5};
    struct stor_answer answer;

    (void)state;
    host_vm_lock(stor.guest.host);
    assert_true(storvsp_attach(&stor.controller, 63, SCSI_DVD, &identity, NULL));
    host_vm_unlock(stor.guest.host);
    stor_expect_enumeration(&stor.channel);
    stor_expect_good(&stor, 0, report, 0x2000, 24);
    assert_int_equal(get_be32(stor.data), 16);
    assert_int_equal(get_be64(stor.data + 8), 0);
    assert_int_equal(get_be64(stor.data + 16), UINT64_C(63) << 48);
    stor_expect_good(&stor, 0, well_known, 0x2000, 8);
    assert_int_equal(get_be32(stor.data), 0);
    stor_expect_sense(&stor, 0, reserved, 0x2000, INVALID_CDB);
    /* Also where no unit is, since guests ask LUN 0 first. */
    answer = stor_scsi(&stor, 7, report, 0x2000);
    stor_assert_good(&answer, 24);
}

static void test_ready_and_sense(void **state)
{
    static const uint8_t ready[16] = {0x00};
    static const uint8_t sense[16] = {0x03, [4] = 18};
    static const uint8_t descriptor_format[16] = {0x03, 1, [4] = 18};

    (void)state;
    stor_expect_good(&stor, 0, ready, 0, 0);
    stor_expect_good(&stor, 0, sense, 96, 18);
    assert_int_equal(stor.data[0], 0x70);
    assert_int_equal(stor.data[2], 0);
    stor_expect_sense(&stor, 0, descriptor_format, 96, INVALID_CDB);
    /* A unit attention is told once: as an error, or as the answer to REQUEST SENSE. */
    host_vm_lock(stor.guest.host);
    storvsp_disk_resized(&stor.controller, 0);
    host_vm_unlock(stor.guest.host);
    stor_expect_sense(&stor, 0, ready, 0, 0x6, 0x2A09);
    stor_expect_good(&stor, 0, ready, 0, 0);
    host_vm_lock(stor.guest.host);
    storvsp_disk_resized(&stor.controller, 0);
    host_vm_unlock(stor.guest.host);
    stor_expect_good(&stor, 0, sense, 96, 18);
    assert_int_equal(stor.data[2], 6);
    assert_int_equal(get_be16(stor.data + 12), 0x2A09);
    stor_expect_good(&stor, 0, ready, 0, 0);
}

static void test_mode_sense(void **state)
{
    static const uint8_t caching_6[16] = {0x1A, 8, 0x08, 0, 192};
    static const uint8_t all_6[16] = {0x1A, 0, 0x3F, 0, 4};
    static const uint8_t changeable[16] = {0x1A, 8, 0x48, 0, 192};
    static const uint8_t saved[16] = {0x1A, 8, 0xC8, 0, 192};
    static const uint8_t subpage[16] = {0x1A, 8, 0x08, 1, 192};
    static const uint8_t exceptions[16] = {0x1A, 8, 0x1C, 0, 192};
    static const uint8_t all_10[16] = {0x5A, 8, 0x3F, 0, [8] = 192};

    (void)state;
    stor_expect_good(&stor, 0, caching_6, 192, 24);
    assert_int_equal(get_be32(stor.data), 0x17001000);
    assert_int_equal(get_be32(stor.data + 4), 0x08120400);
    stor.disk.disk.has_write_cache = false;
    stor_expect_good(&stor, 0, caching_6, 192, 24);
    assert_int_equal(stor.data[6], 0);
    stor.disk.disk.has_write_cache = true;
    stor.disk.disk.is_read_only = true;
    stor_expect_good(&stor, 0, all_6, 192, 4);
    assert_int_equal(get_be32(stor.data), 0x23009000);
    stor_expect_good(&stor, 0, all_10, 192, 40);
    assert_int_equal(get_be64(stor.data), UINT64_C(0x0026009000000000));
    assert_int_equal(get_be16(stor.data + 8), 0x0812);
    assert_int_equal(get_be32(stor.data + 28), 0x0A0A0010);
    stor_expect_good(&stor, 0, changeable, 192, 24);
    assert_int_equal(get_be32(stor.data + 4), 0x08120000);
    stor_expect_sense(&stor, 0, saved, 192, 0x5, 0x3900);
    stor_expect_sense(&stor, 0, subpage, 192, INVALID_CDB);
    stor_expect_sense(&stor, 0, exceptions, 192, INVALID_CDB);
}

static void test_read_and_write(void **state)
{
    static const uint8_t write_6[16] = {0x0A, 0, 1, 2, 2};
    static const uint8_t write_6_long[16] = {0x0A, 0, 0, 0, 0};
    static const uint8_t write_10[16] = {0x2A, 0, 0, 0, 1, 2, 0, 0, 2};
    static const uint8_t write_12[16] = {0xAA, 0, 0, 0, 1, 2, 0, 0, 0, 2};
    static const uint8_t write_16[16] = {0x8A, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2};
    static const uint8_t reads[4][16] = {{0x08, 0, 1, 2, 2},
                                         {0x28, 0, 0, 0, 1, 2, 0, 0, 2},
                                         {0xA8, 0, 0, 0, 1, 2, 0, 0, 0, 2},
                                         {0x88, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2}};
    const uint8_t *writes[4] = {write_6, write_10, write_12, write_16};

    (void)state;
    for (uint8_t i = 0; i < 4; i++) {
        memset(stor.data, 0x11 + i, 1024);
        stor_expect_good(&stor, 0, writes[i], 1024, 1024);
        assert_int_equal(stor.disk.bytes[0x102 * 512 - 1], 0);
        assert_int_equal(stor.disk.bytes[0x102 * 512], 0x11 + i);
        assert_int_equal(stor.disk.bytes[0x104 * 512 - 1], 0x11 + i);
        assert_int_equal(stor.disk.bytes[0x104 * 512], 0);
        memset(stor.data, POISON, 2048);
        stor_expect_good(&stor, 0, reads[i], 2048, 1024);
        assert_int_equal(stor.data[0], 0x11 + i);
        assert_int_equal(stor.data[1023], 0x11 + i);
        assert_int_equal(stor.data[1024], POISON);
    }
    /* No blocks are 256 of them here. */
    stor_expect_good(&stor, 0, write_6_long, 256 * 512, 256 * 512);
    assert_int_equal(stor.disk.last->length_bytes, 256 * 512);
}

static void test_read_limits(void **state)
{
    static const uint8_t all[16] = {0x28, [7] = 0x04};
    static const uint8_t last[16] = {0x28, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1};
    static const uint8_t behind[16] = {0x28, 0, 0, 0, 0xFF, 0xFF, 0, 0, 2};
    static const uint8_t wraps[16] = {0x88, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2};
    static const uint8_t nothing[16] = {0x28};
    static const uint8_t nothing_at_end[16] = {0x28, 0, 0, 1};
    static const uint8_t nothing_behind[16] = {0x28, 0, 0, 1, 0, 1};
    static const uint8_t huge[16] = {0xA8, [6] = 0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t protect[16] = {0x28, 0x20, [8] = 1};

    (void)state;
    stor_expect_good(&stor, 0, all, 1024 * 512, 1024 * 512);
    stor_expect_good(&stor, 0, last, 512, 512);
    stor_expect_sense(&stor, 0, behind, 1024, OUT_OF_RANGE);
    stor_expect_sense(&stor, 0, wraps, 1024, OUT_OF_RANGE);
    stor_expect_sense(&stor, 0, huge, 1024, OUT_OF_RANGE);
    stor_expect_good(&stor, 0, nothing, 0, 0);
    stor_expect_good(&stor, 0, nothing_at_end, 0, 0);
    stor_expect_sense(&stor, 0, nothing_behind, 0, OUT_OF_RANGE);
    stor_expect_sense(&stor, 0, protect, 512, INVALID_CDB);
    /* Less memory than the command names, or none. */
    stor_expect_sense(&stor, 0, all, 1024 * 512 - 1, INVALID_CDB);
    stor_expect_sense(&stor, 0, last, 0, INVALID_CDB);
    assert_int_equal(stor.disk.counts[BLOCK_READ], 2);
}

static void test_force_unit_access(void **state)
{
    static const uint8_t plain[16] = {0x2A, 0, [8] = 1};
    static const uint8_t forced[16] = {0x2A, 8, [5] = 1, [8] = 1};
    static const uint8_t forced_16[16] = {0x8A, 8, [9] = 2, [13] = 1};

    (void)state;
    stor_expect_good(&stor, 0, plain, 512, 512);
    assert_int_equal(stor.disk.bytes[0], POISON);
    assert_int_equal(stor.disk.stable_bytes[0], 0);
    stor_expect_good(&stor, 0, forced, 512, 512);
    assert_int_equal(stor.disk.stable_bytes[512], POISON);
    assert_int_equal(stor.disk.stable_bytes[0], 0);
    assert_int_equal(stor.disk.counts[BLOCK_FLUSH], 0);
    /* A disk that cannot force is flushed behind the write. */
    stor.disk.disk.can_force = false;
    stor_expect_good(&stor, 0, forced_16, 512, 512);
    assert_int_equal(stor.disk.counts[BLOCK_FLUSH], 1);
    assert_int_equal(stor.disk.stable_bytes[1024], POISON);
    /* One without a cache has nothing to flush. */
    stor.disk.disk.has_write_cache = false;
    stor_expect_good(&stor, 0, forced_16, 512, 512);
    assert_int_equal(stor.disk.counts[BLOCK_FLUSH], 1);
}

static void test_synchronize_cache(void **state)
{
    static const uint8_t write[16] = {0x2A, 0, [8] = 1};
    static const uint8_t sync_10[16] = {0x35};
    static const uint8_t sync_16[16] = {0x91, 2};
    static const uint8_t behind[16] = {0x35, 0, 0, 1, 0, 1};
    static const uint8_t stop[16] = {0x1B};
    static const uint8_t start[16] = {0x1B, [4] = 1};
    static const uint8_t eject[16] = {0x1B, [4] = 2};
    static const uint8_t standby[16] = {0x1B, [4] = 0x30};

    (void)state;
    stor_expect_good(&stor, 0, write, 512, 512);
    assert_int_equal(stor.disk.stable_bytes[0], 0);
    stor_expect_good(&stor, 0, sync_10, 0, 0);
    assert_int_equal(stor.disk.stable_bytes[0], POISON);
    stor_expect_good(&stor, 0, sync_16, 0, 0);
    assert_int_equal(stor.disk.counts[BLOCK_FLUSH], 2);
    stor_expect_sense(&stor, 0, behind, 0, OUT_OF_RANGE);
    stor_expect_good(&stor, 0, stop, 0, 0);
    assert_int_equal(stor.disk.counts[BLOCK_FLUSH], 3);
    stor_expect_good(&stor, 0, start, 0, 0);
    stor_expect_sense(&stor, 0, eject, 0, INVALID_CDB);
    stor_expect_sense(&stor, 0, standby, 0, INVALID_CDB);
    stor.disk.disk.has_write_cache = false;
    stor_expect_good(&stor, 0, sync_10, 0, 0);
    assert_int_equal(stor.disk.counts[BLOCK_FLUSH], 3);
}

static void put_unmap(uint32_t index, uint64_t block, uint32_t count)
{
    put_be64(stor.data + 8 + 16 * index, block);
    put_be32(stor.data + 8 + 16 * index + 8, count);
}

static void test_unmap(void **state)
{
    static const uint8_t one[16] = {0x42, [8] = 24};
    static const uint8_t three[16] = {0x42, [8] = 56};
    static const uint8_t nothing[16] = {0x42};
    static const uint8_t no_header[16] = {0x42, [8] = 7};
    static const uint8_t anchor[16] = {0x42, 1, [8] = 24};
    static const uint8_t many[16] = {0x42, [7] = 1, [8] = 24};

    (void)state;
    memset(stor.disk.bytes, 0x77, 8192);
    memset(stor.data, 0, 4096);
    put_be16(stor.data, 54);
    put_be16(stor.data + 2, 48);
    put_unmap(0, 1, 2);
    put_unmap(1, 5, 0);
    put_unmap(2, 8, 1);
    stor_expect_good(&stor, 0, three, 56, 56);
    assert_int_equal(stor.disk.counts[BLOCK_UNMAP], 2);
    assert_int_equal(stor.disk.bytes[511], 0x77);
    assert_int_equal(stor.disk.bytes[512], 0);
    assert_int_equal(stor.disk.bytes[1535], 0);
    assert_int_equal(stor.disk.bytes[1536], 0x77);
    assert_int_equal(stor.disk.bytes[4096], 0);
    stor_expect_good(&stor, 0, nothing, 0, 0);
    stor_expect_sense(&stor, 0, no_header, 24, 0x5, 0x1A00);
    stor_expect_sense(&stor, 0, anchor, 24, INVALID_CDB);
    stor_expect_sense(&stor, 0, three, 55, INVALID_CDB);
    /* The data may say that there are fewer. */
    put_be16(stor.data + 2, 16);
    stor_expect_good(&stor, 0, three, 56, 56);
    assert_int_equal(stor.disk.counts[BLOCK_UNMAP], 3);
    put_unmap(0, DISK_BLOCKS - 1, 2);
    stor_expect_sense(&stor, 0, one, 24, OUT_OF_RANGE);
    put_unmap(0, 0, 32769);
    stor_expect_sense(&stor, 0, one, 24, 0x5, 0x2600);
    put_be16(stor.data + 2, 17 * 16);
    stor_expect_sense(&stor, 0, many, 280, 0x5, 0x2600);
    /* All are looked at before one is done. */
    put_be16(stor.data + 2, 32);
    put_unmap(0, 0, 1);
    put_unmap(1, DISK_BLOCKS, 1);
    stor_expect_sense(&stor, 0, three, 56, OUT_OF_RANGE);
    assert_int_equal(stor.disk.counts[BLOCK_UNMAP], 3);
    stor.disk.disk.can_unmap = false;
    stor_expect_sense(&stor, 0, one, 24, UNKNOWN);
}

static void test_write_same(void **state)
{
    static const uint8_t same_10[16] = {0x41, 0, [5] = 1, [8] = 3};
    static const uint8_t same_16[16] = {0x93, 0, [9] = 1, [13] = 3};
    static const uint8_t unmapping[16] = {0x93, 8, [9] = 1, [13] = 3};
    static const uint8_t no_data[16] = {0x93, 9, [9] = 1, [13] = 3};
    static const uint8_t anchor[16] = {0x93, 0x10, [9] = 1, [13] = 3};
    static const uint8_t no_blocks[16] = {0x93, 0, [9] = 1};
    static const uint8_t too_many[16] = {0x93, 0, [12] = 0x80, [13] = 1};
    static const uint8_t behind[16] = {0x93, 0, [7] = 0, 0xFF, 0xFF, [13] = 2};

    (void)state;
    memset(stor.disk.bytes, 0x77, 8192);
    memset(stor.data, 0, 512);
    stor_expect_good(&stor, 0, same_10, 512, 512);
    assert_int_equal(stor.disk.counts[BLOCK_WRITE_ZEROES], 1);
    assert_int_equal(stor.disk.bytes[511], 0x77);
    assert_int_equal(stor.disk.bytes[512], 0);
    assert_int_equal(stor.disk.bytes[2047], 0);
    assert_int_equal(stor.disk.bytes[2048], 0x77);
    stor_expect_good(&stor, 0, unmapping, 512, 512);
    stor_expect_good(&stor, 0, no_data, 0, 0);
    assert_int_equal(stor.disk.counts[BLOCK_UNMAP], 2);
    /* Where unmapped blocks do not read as zeros, zeros are written. */
    stor.disk.disk.is_zero_when_unmapped = false;
    stor_expect_good(&stor, 0, unmapping, 512, 512);
    assert_int_equal(stor.disk.counts[BLOCK_WRITE_ZEROES], 2);
    /* Anything else is written as often as it has to be. */
    memset(stor.data, 0xAB, 511);
    stor.data[511] = 0xCD;
    stor_expect_good(&stor, 0, same_16, 512, 512);
    assert_int_equal(stor.disk.counts[BLOCK_WRITE], 3);
    for (uint32_t i = 1; i < 4; i++) {
        assert_memory_equal(stor.disk.bytes + i * 512, stor.data, 512);
    }
    assert_int_equal(stor.disk.bytes[2048], 0x77);
    stor_expect_sense(&stor, 0, anchor, 512, INVALID_CDB);
    stor_expect_sense(&stor, 0, no_blocks, 512, INVALID_CDB);
    stor_expect_sense(&stor, 0, too_many, 512, INVALID_CDB);
    stor_expect_sense(&stor, 0, same_16, 511, INVALID_CDB);
    stor_expect_sense(&stor, 0, behind, 512, OUT_OF_RANGE);
    stor.disk.disk.can_write_zeroes = false;
    stor_expect_sense(&stor, 0, same_16, 512, UNKNOWN);
}

static void test_verify(void **state)
{
    static const uint8_t verify_10[16] = {0x2F, 0, [8] = 2};
    static const uint8_t verify_16[16] = {0x8F, 0, [13] = 2};
    static const uint8_t nothing[16] = {0x2F};
    static const uint8_t compare[16] = {0x2F, 2, [8] = 1};
    static const uint8_t behind[16] = {0x2F, 0, 0, 0, 0xFF, 0xFF, 0, 0, 2};
    static const uint8_t too_many[16] = {0x8F, 0, [12] = 0x80, [13] = 1};

    (void)state;
    stor_expect_sense(&stor, 0, too_many, 0, INVALID_CDB);
    stor_expect_good(&stor, 0, verify_10, 0, 0);
    stor_expect_good(&stor, 0, verify_16, 0, 0);
    stor_expect_good(&stor, 0, nothing, 0, 0);
    assert_int_equal(stor.disk.counts[BLOCK_VERIFY], 2);
    stor_expect_sense(&stor, 0, compare, 512, INVALID_CDB);
    stor_expect_sense(&stor, 0, behind, 0, OUT_OF_RANGE);
    stor.disk.result = BLOCK_MEDIUM_ERROR;
    stor_expect_sense(&stor, 0, verify_10, 0, 0x3, 0x1100);
    stor.disk.disk.can_verify = false;
    stor_expect_sense(&stor, 0, verify_10, 0, UNKNOWN);
}

static void test_read_only(void **state)
{
    static const uint8_t writes[][16] = {
        {0x0A, [4] = 1},  {0x2A, [8] = 1}, {0xAA, [9] = 1},  {0x8A, [13] = 1},
        {0x42, [8] = 24}, {0x41, [8] = 1}, {0x93, [13] = 1},
    };
    static const uint8_t read[16] = {0x28, [8] = 1};
    static const uint8_t sync[16] = {0x35};

    (void)state;
    stor.disk.disk.is_read_only = true;
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        stor_expect_sense(&stor, 0, writes[i], 512, 0x7, 0x2700);
    }
    stor_expect_good(&stor, 0, read, 512, 512);
    stor_expect_good(&stor, 0, sync, 0, 0);
}

/* Blocks of 4096 bytes. */
static void test_large_blocks(void **state)
{
    static const uint8_t write[16] = {0x2A, [5] = 2, [8] = 1};
    static const uint8_t capacity[16] = {0x9E, 0x10, [13] = 32};

    (void)state;
    stor.disk.disk.block_bytes = 4096;
    stor_expect_good(&stor, 0, write, 4096, 4096);
    assert_int_equal(stor.disk.last->offset_bytes, 8192);
    stor_expect_good(&stor, 0, capacity, 32, 32);
    assert_int_equal(get_be64(stor.data), STOR_DISK_BYTES / 4096 - 1);
    assert_int_equal(get_be32(stor.data + 8), 4096);
    assert_int_equal(stor.data[13], 0);
}

static void test_unknown_commands(void **state)
{
    (void)state;
    for (uint32_t code = 0xC0; code < 0x100; code++) {
        uint8_t cdb[16] = {(uint8_t)code};

        stor_expect_sense(&stor, 0, cdb, 512, UNKNOWN);
    }
    for (uint32_t i = 0; i < 2; i++) {
        static const uint8_t reservations[2][16] = {{0x16}, {0x17}};

        stor_expect_good(&stor, 0, reservations[i], 0, 0);
    }
}

/* PERSISTENT RESERVE OUT with its two keys; returns the status. */
static uint8_t reserve_out(uint8_t action, uint8_t type, uint64_t key, uint64_t new_key)
{
    uint8_t cdb[16] = {0x5F, action, type, [8] = 24};
    struct stor_answer answer;

    memset(stor.data, 0, 24);
    put_be64(stor.data, key);
    put_be64(stor.data + 8, new_key);
    answer = stor_scsi(&stor, 0, cdb, 24);
    if (answer.scsi_status == 0) {
        stor_assert_good(&answer, 24);
    } else if (answer.scsi_status == 0x18) {
        assert_int_equal(answer.srb_status, 0x04);
        assert_int_equal(answer.sense_bytes, 0);
        assert_int_equal(answer.transfer_bytes, 0);
    } else {
        assert_int_equal(answer.srb_status, 0x84);
    }
    return answer.scsi_status;
}

static void expect_keys(uint32_t generation, uint64_t key)
{
    static const uint8_t read_keys[16] = {0x5E, 0, [8] = 64};

    stor_expect_good(&stor, 0, read_keys, 64, key != 0 ? 16 : 8);
    assert_int_equal(get_be32(stor.data), generation);
    assert_int_equal(get_be32(stor.data + 4), key != 0 ? 8 : 0);
    assert_true(key == 0 || get_be64(stor.data + 8) == key);
}

static void expect_reservation(uint64_t key, uint8_t type)
{
    static const uint8_t read_reservation[16] = {0x5E, 1, [8] = 64};

    stor_expect_good(&stor, 0, read_reservation, 64, type != 0 ? 24 : 8);
    assert_int_equal(get_be32(stor.data + 4), type != 0 ? 16 : 0);
    assert_true(type == 0 || (get_be64(stor.data + 8) == key && stor.data[21] == type));
}

static void test_persistent_reservations(void **state)
{
    enum { REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE };
    enum { GOOD = 0, CHECK = 2, CONFLICT = 0x18 };
    static const uint8_t reserve_6[16] = {0x16};

    (void)state;
    expect_keys(0, 0);
    assert_int_equal(reserve_out(RESERVE, 1, 0, 0), CONFLICT);
    assert_int_equal(reserve_out(REGISTER, 0, 5, 7), CONFLICT);
    assert_int_equal(reserve_out(REGISTER, 0, 0, 7), GOOD);
    expect_keys(1, 7);
    assert_int_equal(reserve_out(REGISTER, 0, 0, 8), CONFLICT);
    assert_int_equal(stor_scsi(&stor, 0, reserve_6, 0).scsi_status, CONFLICT);
    assert_int_equal(reserve_out(RESERVE, 1, 8, 0), CONFLICT);
    for (uint8_t type = 0; type < 16; type++) {
        bool is_known = type == 1 || type == 3 || (type >= 5 && type <= 8);

        assert_int_equal(reserve_out(RESERVE, type, 7, 0), is_known ? GOOD : CHECK);
        expect_reservation(7, is_known ? type : 0);
        assert_int_equal(reserve_out(RELEASE, type, 7, 0), GOOD);
    }
    assert_int_equal(reserve_out(RESERVE, 0x11, 7, 0), CHECK);
    assert_int_equal(reserve_out(RESERVE, 1, 7, 0), GOOD);
    assert_int_equal(reserve_out(RESERVE, 1, 7, 0), GOOD);
    assert_int_equal(reserve_out(RESERVE, 3, 7, 0), CONFLICT);
    assert_int_equal(reserve_out(RELEASE, 3, 7, 0), CHECK);
    assert_int_equal(reserve_out(PREEMPT, 3, 7, 9), CONFLICT);
    assert_int_equal(reserve_out(PREEMPT, 3, 7, 7), GOOD);
    expect_reservation(7, 3);
    assert_int_equal(reserve_out(REGISTER_AND_IGNORE, 0, 99, 10), GOOD);
    expect_reservation(10, 3);
    expect_keys(3, 10);
    assert_int_equal(reserve_out(REGISTER, 0, 10, 0), GOOD);
    expect_keys(4, 0);
    expect_reservation(0, 0);
    assert_int_equal(reserve_out(REGISTER, 0, 0, 11), GOOD);
    assert_int_equal(reserve_out(PREEMPT_AND_ABORT, 1, 11, 11), CHECK);
    assert_int_equal(reserve_out(CLEAR, 0, 11, 0), GOOD);
    expect_keys(6, 0);
}

static void test_persistent_reservation_fields(void **state)
{
    static const uint8_t capabilities[16] = {0x5E, 2, [8] = 64};
    static const uint8_t full_status[16] = {0x5E, 3, [8] = 64};
    static const uint8_t shorter[16] = {0x5F, 0, [8] = 23};
    static const uint8_t out[16] = {0x5F, 0, [8] = 24};

    (void)state;
    stor_expect_good(&stor, 0, capabilities, 64, 8);
    assert_int_equal(get_be64(stor.data), UINT64_C(0x00080080EA010000));
    stor_expect_sense(&stor, 0, full_status, 64, INVALID_CDB);
    memset(stor.data, 0, 24);
    stor_expect_sense(&stor, 0, shorter, 24, 0x5, 0x1A00);
    stor_expect_sense(&stor, 0, out, 23, 0x5, 0x1A00);
    stor.data[20] = 1;
    stor_expect_sense(&stor, 0, out, 24, 0x5, 0x2600);
}

static void test_failures(void **state)
{
    static const uint8_t read[16] = {0x28, [8] = 1};
    static const uint8_t write[16] = {0x2A, [8] = 1};

    (void)state;
    stor.disk.result = BLOCK_MEDIUM_ERROR;
    stor_expect_sense(&stor, 0, read, 512, 0x3, 0x1100);
    stor_expect_sense(&stor, 0, write, 512, 0x3, 0x0C00);
    stor.disk.result = BLOCK_NO_SPACE;
    stor_expect_sense(&stor, 0, write, 512, 0x7, 0x2707);
    stor.disk.result = BLOCK_FAILED;
    stor_expect_sense(&stor, 0, read, 512, 0x4, 0x4400);
    stor.disk.result = BLOCK_GONE;
    stor_expect_sense(&stor, 0, read, 512, 0x2, 0x0403);
    /* Nothing of it stays when the disk is well again. */
    stor.disk.result = BLOCK_OK;
    stor_expect_good(&stor, 0, read, 512, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_inquiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vital_product_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vital_product_data_of_plain_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_capacity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_report_luns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ready_and_sense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mode_sense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_and_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_force_unit_access, setup, teardown),
        cmocka_unit_test_setup_teardown(test_synchronize_cache, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unmap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verify, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_persistent_reservations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_persistent_reservation_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
