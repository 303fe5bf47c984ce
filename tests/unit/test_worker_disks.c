/* SPDX-License-Identifier: MIT */
/* Disks that come and go by command, before a guest that uses them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "partitions/root/worker/vm.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_kernel.h"
#include "tests/unit/storvsp_guest.h"

#define V5_3        0x00050003u
#define RING_PAGES  4u
#define WIN10       0x0602u
#define DISK_BYTES  UINT64_C(8192)
#define INVALID_LUN 0x20
#define NO_DISK     "there is no such disk; they count from 0"

static const uint8_t test_unit_ready[6];
static const uint8_t read_block[10] = {0x28, [8] = 1};

static struct stor stor; /* its guest and channel; the controller is the VM's */
static struct fake_disk disks[2];
static struct vm *vm;
static void *storage;

/* Disk 1 is spare. */
static int setup(void **state)
{
    struct block_disk *pointers[] = {&disks[0].disk, &disks[1].disk};
    struct worker_config config = {
        .memory_bytes = GUEST_RAM_BYTES,
        .vp_count = GUEST_VPS,
        .has_vmbus = true,
        .kernel = fake_kernel(),
        .kernel_bytes = FAKE_KERNEL_BYTES,
        .disks = pointers,
        .disk_count = ARRAY_SIZE(pointers),
        .spare_disks = 2,
    };
    char error[200] = "";

    (void)state;
    memset(&stor, 0, sizeof(stor));
    stor.guest = (struct guest){
        .host = fake_host_create(GUEST_RAM_BYTES), .message_connection = 1, .next_gpadl_id = 1, .next_page = 0x400};
    for (uint32_t i = 0; i < ARRAY_SIZE(disks); i++) {
        fake_disk_create(&disks[i], DISK_BYTES, 512);
    }
    storage = aligned_alloc(WORKER_STORAGE_ALIGNMENT, (worker_storage_bytes() + 63) / 64 * 64);
    vm = worker_create(storage, stor.guest.host, &config, error, sizeof(error));
    if (vm == NULL) {
        fail_msg("%s", error);
    }
    stor.guest.bus = vm->bus.vmbus;
    stor.data_page = guest_pages(&stor.guest, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    worker_destroy(vm);
    assert_int_equal(fake_host_armed_timers(stor.guest.host), 0);
    free(storage);
    for (uint32_t i = 0; i < ARRAY_SIZE(disks); i++) {
        fake_disk_destroy(&disks[i]);
    }
    fake_host_destroy(stor.guest.host);
    return 0;
}

/* Gives a command; it has ended like that. */
static void expect(const char *command, const char *error)
{
    stor.guest.host->command_ends = 0;
    worker_command(vm, command);
    assert_false(stor.guest.host->is_locked);
    assert_int_equal(stor.guest.host->command_ends, 1);
    assert_string_equal(stor.guest.host->command_error, error);
}

/* The guest connects and sets the controller up. */
static void open_controller(void)
{
    const struct guid *type = &vm->bus.storage.channels[0].vsp.offer.type;
    struct guest_offer offers[GUEST_OFFERS_MAX];
    uint32_t count, i = 0;

    assert_true(guest_contact(&stor.guest, V5_3, 1));
    count = guest_request_offers(&stor.guest, offers);
    while (i < count && memcmp(&offers[i].type, type, sizeof(*type)) != 0) {
        i++;
    }
    assert_in_range(i, 0, count - 1);
    guest_open(&stor.guest, &stor.channel, &offers[i], RING_PAGES, 0);
    stor_begin(&stor, WIN10);
}

static void test_what_cannot_be(void **state)
{
    (void)state;
    expect("disk-add", NO_DISK);
    expect("disk-add x", NO_DISK);
    expect("disk-add 2", NO_DISK);
    expect("disk-add 1 0", NO_DISK);
    expect("disk-add 18446744073709551616", NO_DISK);
    expect("disk-remove 2", NO_DISK);
    expect("disk-remove 4294967296", NO_DISK);
    expect("disk-add 0", "the disk is there already");
    expect("disk-remove 1", "the disk is not there");
}

/* The guest is told each time, and finds the disk or does not. */
static void test_add_and_remove(void **state)
{
    struct stor_answer answer;

    (void)state;
    open_controller();
    assert_int_equal(stor_scsi(&stor, 1, test_unit_ready, 0).srb_status, INVALID_LUN);
    for (uint32_t i = 0; i < 2; i++) {
        expect("disk-add 1", "");
        stor_expect_enumeration(&stor.channel);
        answer = stor_scsi(&stor, 1, read_block, 512);
        stor_assert_good(&answer, 512);
        assert_int_equal(disks[1].counts[BLOCK_READ], i + 1);
        expect("disk-add 1", "the disk is there already");
        expect("disk-remove 1", "");
        stor_expect_enumeration(&stor.channel);
        assert_int_equal(stor_scsi(&stor, 1, test_unit_ready, 0).srb_status, INVALID_LUN);
        expect("disk-remove 1", "the disk is not there");
    }
    expect("disk-remove 0", "");
    stor_expect_enumeration(&stor.channel);
}

/* Requests that can be stopped are; the command waits for the others, and the disk that leaves cannot come back. */
static void test_remove_under_load(void **state)
{
    struct stor_answer answer;

    (void)state;
    open_controller();
    disks[0].is_holding = true;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, read_block, 512));
    expect("disk-remove 0", "");
    assert_int_equal(disks[0].cancelled_count, 1);
    assert_true(stor_take(&stor.channel, &answer));
    assert_int_equal(answer.srb_status, INVALID_LUN);
    stor_expect_enumeration(&stor.channel);

    expect("disk-add 0", "");
    stor_expect_enumeration(&stor.channel);
    disks[0].is_stuck = true;
    assert_true(stor_post(&stor, &stor.channel, 2, 0, read_block, 512));
    stor.guest.host->command_ends = 0;
    worker_command(vm, "disk-remove 0");
    assert_int_equal(stor.guest.host->command_ends, 0);
    stor_expect_enumeration(&stor.channel);
    expect("disk-add 0", "an earlier command has not ended yet");
    stor.guest.host->command_ends = 0;
    stor_complete(&stor, &disks[0], BLOCK_OK);
    assert_int_equal(stor.guest.host->command_ends, 1);
    assert_string_equal(stor.guest.host->command_error, "");
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_good(&answer, 512);
    expect("disk-add 0", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_cannot_be, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_and_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_under_load, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
