/* SPDX-License-Identifier: MIT */
/* A disk in memory behind the storage controller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/storvsp_guest.h"
#include "vmbus/block_memory.h"
#include "hv/lib/be.h"

#define LUN          2u
#define IMAGE_BLOCKS 64u

static struct stor stor;
static struct block_memory memory;
static uint8_t image[IMAGE_BLOCKS * 512 + 100];

static void set_up(bool is_read_only)
{
    stor_create(&stor);
    for (uint32_t i = 0; i < sizeof(image); i++) {
        image[i] = (uint8_t)(i / 512 + 1);
    }
    assert_true(block_memory_init(&memory, image, sizeof(image), is_read_only));
    host_vm_lock(stor.guest.host);
    assert_true(storvsp_attach(&stor.controller, LUN, SCSI_DISK, &(struct guid){.data1 = 4}, &memory.disk));
    host_vm_unlock(stor.guest.host);
    stor_open(&stor, 8);
    stor_begin(&stor, 0x0602);
}

static void test_disk(void **state)
{
    static const uint8_t capacity[16] = {0x25};
    static const uint8_t read[16] = {0x28, [5] = 62, [8] = 2};
    static const uint8_t write[16] = {0x2A, 8, [5] = 63, [8] = 1};
    static const uint8_t same[16] = {0x93, 0, [9] = 1, [13] = 2};
    static const uint8_t verify[16] = {0x2F, 0, [8] = 64};
    static const uint8_t sync[16] = {0x35};
    static const uint8_t unmap[16] = {0x42, [8] = 24};

    (void)state;
    set_up(false);
    stor_expect_good(&stor, LUN, capacity, 8, 8);
    assert_int_equal(get_be32(stor.data), IMAGE_BLOCKS - 1);
    stor_expect_good(&stor, LUN, read, 1024, 1024);
    assert_memory_equal(stor.data, image + 62 * 512, 1024);
    memset(stor.data, 0xC3, 512);
    stor_expect_good(&stor, LUN, write, 512, 512);
    assert_int_equal(image[63 * 512], 0xC3);
    assert_int_equal(image[64 * 512 - 1], 0xC3);
    assert_int_equal(image[64 * 512], 65);
    memset(stor.data, 0, 512);
    stor_expect_good(&stor, LUN, same, 512, 512);
    assert_int_equal(image[511], 1);
    assert_int_equal(image[512], 0);
    assert_int_equal(image[3 * 512 - 1], 0);
    assert_int_equal(image[3 * 512], 4);
    stor_expect_good(&stor, LUN, verify, 0, 0);
    stor_expect_good(&stor, LUN, sync, 0, 0);
    stor_expect_sense(&stor, LUN, unmap, 24, 0x5, 0x2000);
    stor_destroy(&stor);
}

static void test_read_only_disk(void **state)
{
    static const uint8_t read[16] = {0x28, [5] = 1, [8] = 1};
    static const uint8_t write[16] = {0x2A, 0, [5] = 1, [8] = 1};
    static const uint8_t same[16] = {0x93, 0, [9] = 1, [13] = 2};

    (void)state;
    set_up(true);
    stor_expect_good(&stor, LUN, read, 512, 512);
    assert_int_equal(stor.data[0], 2);
    stor_expect_sense(&stor, LUN, write, 512, 0x7, 0x2700);
    stor_expect_sense(&stor, LUN, same, 512, 0x7, 0x2700);
    assert_int_equal(image[512], 2);
    stor_destroy(&stor);
}

static void test_too_small(void **state)
{
    (void)state;
    assert_false(block_memory_init(&memory, image, 511, false));
    assert_true(block_memory_init(&memory, image, 512, false));
    assert_int_equal(memory.disk.byte_count, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_read_only_disk),
        cmocka_unit_test(test_too_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
