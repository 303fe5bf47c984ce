/* SPDX-License-Identifier: MIT */
/* Storage under load: many requests at once, full rings, disks that are slow, stall, fail and come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/storvsp_guest.h"

#define SECOND     UINT64_C(10000000)
#define RING_PAGES 16u
#define WIN10      0x0602u
#define USUAL      (STORVSP_REQUESTS_MAX - STORVSP_REQUESTS_SPARE) /* requests */

static const uint8_t ready[16] = {0x00};
static const uint8_t read_block[16] = {0x28, [8] = 1};
static const uint8_t write_forced[16] = {0x2A, 8, [8] = 1};
static struct stor stor;

static int setup(void **state)
{
    (void)state;
    stor_create(&stor);
    stor_open(&stor, RING_PAGES);
    stor_begin(&stor, WIN10);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stor_destroy(&stor);
    return 0;
}

/* A second disk, as LUN 1. */
static void attach_second(struct fake_disk *second)
{
    fake_disk_create(second, 8192, 512);
    host_vm_lock(stor.guest.host);
    assert_true(storvsp_attach(&stor.controller, 1, SCSI_DISK, &(struct guid){.data1 = 1}, &second->disk));
    host_vm_unlock(stor.guest.host);
    stor_expect_enumeration(&stor.channel);
}

static void detach_second(struct fake_disk *second)
{
    host_vm_lock(stor.guest.host);
    assert_true(storvsp_detach(&stor.controller, 1));
    host_vm_unlock(stor.guest.host);
    fake_disk_destroy(second);
}

/* Rings of one page of data each. */
static void open_small_rings(void)
{
    struct guest_channel small;

    guest_close(&stor.channel);
    guest_open(&stor.guest, &small, &stor.offer, 2, 0);
    stor.channel = small;
    stor_begin(&stor, WIN10);
}

/* More requests than the controller has: the others wait in the ring, and all are answered once, in any order. */
static void test_more_than_fit(void **state)
{
    bool was_answered[200] = {false};
    struct stor_answer answer;
    uint32_t answers = 0;

    (void)state;
    stor.disk.is_holding = true;
    for (uint32_t i = 0; i < 200; i++) {
        assert_true(stor_post(&stor, &stor.channel, 1 + i, 0, read_block, 512));
    }
    assert_int_equal(stor.disk.pending_count, USUAL);
    while (stor.disk.pending_count != 0) {
        stor_complete(&stor, &stor.disk, BLOCK_OK);
        guest_let_call_back(&stor.guest);
        assert_true(stor.disk.pending_count <= USUAL);
        while (stor_take(&stor.channel, &answer)) {
            stor_assert_good(&answer, 512);
            assert_in_range(answer.id, 1, 200);
            assert_false(was_answered[answer.id - 1]);
            was_answered[answer.id - 1] = true;
            answers++;
        }
    }
    assert_int_equal(answers, 200);
}

/* The guest does not read answers: they wait, requests run out, and nothing is lost. */
static void test_full_ring(void **state)
{
    struct stor_answer answer;
    uint32_t posted = 0, answers = 0;

    (void)state;
    open_small_rings();
    /* Twice as many as the rings and the controller hold, as soon as there is room for them. */
    while (posted < 400) {
        while (posted < 400 && stor_post(&stor, &stor.channel, ++posted, 0, ready, 0)) {
        }
        if (posted < 400) {
            posted--;
        }
        for (uint32_t i = 0; i < 20 && stor_take(&stor.channel, &answer); i++) {
            assert_int_equal(answer.id, ++answers);
            stor_assert_good(&answer, 0);
        }
    }
    while (stor_take(&stor.channel, &answer)) {
        assert_int_equal(answer.id, ++answers);
        stor_assert_good(&answer, 0);
    }
    assert_int_equal(answers, posted);
}

/* A reset and the command that it waits for are done while the ring is full. */
static void test_reset_answer_waits(void **state)
{
    bool was_answered[70] = {false};
    struct guest_packet packet;
    uint32_t posted = 2;

    (void)state;
    open_small_rings();
    stor.disk.is_holding = true;
    stor.disk.is_stuck = true;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, read_block, 512));
    stor_send(&stor.channel, 2, 6, NULL);
    while (posted < 60 && stor_post(&stor, &stor.channel, posted + 1, 0, ready, 0)) {
        posted++;
    }
    assert_int_equal(posted, 60);
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    while (guest_read(&stor.channel, &packet)) {
        assert_in_range(packet.transaction_id, 1, posted);
        assert_false(was_answered[packet.transaction_id]);
        was_answered[packet.transaction_id] = true;
    }
    for (uint32_t i = 1; i <= posted; i++) {
        assert_true(was_answered[i]);
    }
}

/* The channel closes while answers wait. */
static void test_close_with_answers(void **state)
{
    uint32_t answers = 0;
    struct stor_answer answer;

    (void)state;
    open_small_rings();
    for (uint32_t i = 0; i < 60; i++) {
        assert_true(stor_post(&stor, &stor.channel, 1 + i, 0, ready, 0));
    }
    open_small_rings();
    for (uint32_t i = 0; i < 200; i++) {
        assert_true(stor_post(&stor, &stor.channel, 1 + i, 0, ready, 0));
        assert_true(stor_take(&stor.channel, &answer));
        answers++;
    }
    assert_int_equal(answers, 200);
    assert_int_equal(list_count(&stor.controller.free_requests), STORVSP_REQUESTS_MAX);
}

/* Units come while the ring is full: the guest is told when there is room. */
static void test_enumeration_waits(void **state)
{
    struct guest_packet packet;
    struct fake_disk second;
    uint32_t enumerations = 0;

    (void)state;
    open_small_rings();
    for (uint32_t i = 0; i < 80; i++) {
        (void)stor_post(&stor, &stor.channel, 1 + i, 0, ready, 0);
    }
    fake_disk_create(&second, 8192, 512);
    host_vm_lock(stor.guest.host);
    assert_true(storvsp_attach(&stor.controller, 1, SCSI_DISK, &(struct guid){.data1 = 1}, &second.disk));
    assert_true(stor.controller.is_enumeration_due);
    host_vm_unlock(stor.guest.host);
    while (guest_read(&stor.channel, &packet)) {
        enumerations += packet.type == 6 && get_u32(packet.bytes + 16) == 11;
    }
    assert_int_equal(enumerations, 1);
    detach_second(&second);
}

/* Channels share the controller's requests, and none of them is left out. */
static void test_turns(void **state)
{
    struct guest_channel channels[STOR_CHANNELS];
    uint32_t answers[STOR_CHANNELS] = {0};
    struct stor_answer answer;

    (void)state;
    channels[0] = stor.channel;
    stor_open_sub_channels(&stor, channels + 1, STOR_SUB_CHANNELS, RING_PAGES);
    stor.disk.is_holding = true;
    for (uint32_t i = 0; i < STOR_CHANNELS; i++) {
        for (uint32_t j = 0; j < 80; j++) {
            assert_true(stor_post(&stor, &channels[i], 1 + j, 0, read_block, 512));
        }
    }
    /* The first took them all; from then on each gets its turn. */
    for (uint32_t i = 0; i < USUAL + 4 * STOR_CHANNELS; i++) {
        stor_complete(&stor, &stor.disk, BLOCK_OK);
    }
    for (uint32_t i = 0; i < STOR_CHANNELS; i++) {
        while (stor_take(&channels[i], &answer)) {
            answers[i]++;
        }
    }
    assert_true(answers[0] >= USUAL);
    for (uint32_t i = 1; i < STOR_CHANNELS; i++) {
        assert_true(answers[i] >= 3);
    }
    while (stor.disk.pending_count != 0) {
        stor_complete(&stor, &stor.disk, BLOCK_OK);
    }
}

static void test_scattered_data(void **state)
{
    uint8_t ranges[64] = {0};
    uint8_t packet[64] = {3};
    uint8_t *ram = stor.guest.host->ram;
    uint64_t page = stor.data_page;
    struct stor_answer answer;

    (void)state;
    for (uint32_t i = 0; i < 1024; i++) {
        stor.disk.bytes[i] = (uint8_t)(i * 7);
    }
    /* 100 bytes over the end of a page, 300 in one, the rest in another, in no order. */
    put_u32(ranges + 4, 3);
    put_u32(ranges + 8, 100);
    put_u32(ranges + 12, 4046);
    put_u64(ranges + 16, page + 5);
    put_u64(ranges + 24, page + 2);
    put_u32(ranges + 32, 300);
    put_u32(ranges + 36, 7);
    put_u64(ranges + 40, page + 9);
    put_u32(ranges + 48, 4000);
    put_u64(ranges + 56, page + 1);
    packet[12 + 8] = 10;
    packet[12 + 9] = 20;
    put_u32(packet + 24, 1024);
    packet[28] = 0x28;
    packet[28 + 8] = 2;
    assert_true(guest_write(&stor.channel, 9, 1, 7, ranges, 64, packet, sizeof(packet)));
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_good(&answer, 1024);
    assert_memory_equal(ram + (page + 5) * 4096 + 4046, stor.disk.bytes, 50);
    assert_memory_equal(ram + (page + 2) * 4096, stor.disk.bytes + 50, 50);
    assert_memory_equal(ram + (page + 9) * 4096 + 7, stor.disk.bytes + 100, 300);
    assert_memory_equal(ram + (page + 1) * 4096, stor.disk.bytes + 400, 624);
    assert_int_equal(ram[(page + 1) * 4096 + 624], 0);
    /* The SRB claims more than there is. */
    put_u32(packet + 24, 4401);
    assert_true(guest_write(&stor.channel, 9, 1, 8, ranges, 64, packet, sizeof(packet)));
    assert_true(stor_take(&stor.channel, &answer));
    assert_int_equal(answer.srb_status, 0x06);
}

/* A command of two requests fails at either, and says so. */
static void test_failure_at_each_step(void **state)
{
    struct stor_answer answer;

    (void)state;
    stor.disk.is_holding = true;
    stor.disk.disk.can_force = false;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, write_forced, 512));
    stor_complete(&stor, &stor.disk, BLOCK_FAILED);
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_sense(&answer, 0x4, 0x4400);
    assert_int_equal(stor.disk.counts[BLOCK_FLUSH], 0);
    assert_true(stor_post(&stor, &stor.channel, 2, 0, write_forced, 512));
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    assert_false(stor_take(&stor.channel, &answer));
    assert_int_equal(stor.disk.last->operation, BLOCK_FLUSH);
    stor_complete(&stor, &stor.disk, BLOCK_MEDIUM_ERROR);
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_sense(&answer, 0x3, 0x0C00);
    assert_true(stor_post(&stor, &stor.channel, 3, 0, write_forced, 512));
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_good(&answer, 512);
}

/* A disk that does not answer, but lets go of its requests. */
static void test_timeout(void **state)
{
    struct stor_answer answer;

    (void)state;
    stor.disk.is_holding = true;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, read_block, 512));
    fake_host_advance(stor.guest.host, 30 * SECOND);
    assert_true(stor_post(&stor, &stor.channel, 2, 0, read_block, 512));
    fake_host_advance(stor.guest.host, 29 * SECOND);
    assert_false(stor_take(&stor.channel, &answer));
    fake_host_advance(stor.guest.host, 2 * SECOND);
    assert_true(stor_take(&stor.channel, &answer));
    assert_int_equal(answer.id, 1);
    stor_assert_sense(&answer, 0xB, 0x2E02);
    assert_false(stor_take(&stor.channel, &answer));
    assert_int_equal(stor.guest.host->log_lines, 1);
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_good(&answer, 512);
    /* Nothing is under way: nothing is looked after. */
    fake_host_advance(stor.guest.host, 2 * SECOND);
    assert_int_equal(fake_host_armed_timers(stor.guest.host), 0);
}

/* A disk that stalls and keeps the guest's memory: its other commands get an answer, and so do other disks'. */
static void test_stall(void **state)
{
    struct fake_disk second;
    struct stor_answer answer;

    (void)state;
    attach_second(&second);
    stor.disk.is_holding = true;
    stor.disk.is_stuck = true;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, read_block, 512));
    assert_true(stor_post(&stor, &stor.channel, 2, 0, write_forced, 512));
    fake_host_advance(stor.guest.host, 61 * SECOND);
    assert_false(stor_take(&stor.channel, &answer));
    for (uint32_t i = 0; i < 100; i++) {
        answer = stor_scsi(&stor, 0, read_block, 512);
        stor_assert_sense(&answer, 0x2, 0x0407);
        answer = stor_scsi(&stor, 1, read_block, 512);
        stor_assert_good(&answer, 512);
    }
    fake_host_advance(stor.guest.host, 600 * SECOND);
    assert_int_equal(stor.guest.host->log_lines, 1);
    /* It comes back: what it has done counts, and it is used again. */
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_good(&answer, 512);
    stor_complete(&stor, &stor.disk, BLOCK_GONE);
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_sense(&answer, 0x2, 0x0403);
    stor.disk.is_holding = false;
    answer = stor_scsi(&stor, 0, read_block, 512);
    stor_assert_good(&answer, 512);
    detach_second(&second);
}

/* A disk that stalls with as many commands as the controller takes leaves the others something. */
static void test_stall_with_all_requests(void **state)
{
    struct fake_disk second;
    struct stor_answer answer;
    uint32_t refused = 0, answers = 0;

    (void)state;
    attach_second(&second);
    stor.disk.is_holding = true;
    stor.disk.is_stuck = true;
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(stor_post(&stor, &stor.channel, 1 + i, 0, read_block, 512));
    }
    assert_true(stor_post(&stor, &stor.channel, 101, 1, read_block, 512));
    assert_false(stor_take(&stor.channel, &answer));
    fake_host_advance(stor.guest.host, 61 * SECOND);
    for (answer.id = 0; answer.id != 101;) {
        assert_true(stor_take(&stor.channel, &answer));
        refused += answer.scsi_status == 2;
    }
    stor_assert_good(&answer, 512);
    assert_int_equal(refused, 100 - USUAL);
    for (uint32_t i = 0; i < 50; i++) {
        answer = stor_scsi(&stor, 1, read_block, 512);
        stor_assert_good(&answer, 512);
    }
    while (stor.disk.pending_count != 0) {
        stor_complete(&stor, &stor.disk, BLOCK_OK);
        answers += stor_take(&stor.channel, &answer);
    }
    assert_int_equal(answers, USUAL);
    detach_second(&second);
}

/* A command of several requests that is given up in the middle does not go on behind the one that could not be stopped.
 */
static void test_timeout_between_steps(void **state)
{
    struct stor_answer answer;

    (void)state;
    stor.disk.is_holding = true;
    stor.disk.is_stuck = true;
    stor.disk.disk.can_force = false;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, write_forced, 512));
    fake_host_advance(stor.guest.host, 61 * SECOND);
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    assert_int_equal(stor.disk.counts[BLOCK_FLUSH], 0);
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_sense(&answer, 0xB, 0x2E02);
}

/* The longest transfer, not aligned to pages. */
static void test_longest_transfer(void **state)
{
    static uint8_t ranges[8 + 8 + 129 * 8];
    uint8_t packet[64] = {3};
    struct stor_answer answer;

    (void)state;
    put_u32(ranges + 4, 1);
    put_u32(ranges + 8, 512 * 1024);
    put_u32(ranges + 12, 8);
    for (uint32_t i = 0; i < 129; i++) {
        put_u64(ranges + 16 + 8 * i, stor.data_page + 128 - i);
    }
    packet[12 + 8] = 10;
    packet[12 + 9] = 20;
    put_u32(packet + 24, 512 * 1024);
    packet[28] = 0x2A;
    packet[28 + 7] = 4;
    for (uint32_t i = 0; i < 129; i++) {
        memset(stor.data + i * 4096, (int)i, 4096);
    }
    assert_true(guest_write(&stor.channel, 9, 1, 7, ranges, sizeof(ranges), packet, sizeof(packet)));
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_good(&answer, 512 * 1024);
    assert_int_equal(stor.disk.bytes[0], 128);
    assert_int_equal(stor.disk.bytes[4087], 128);
    assert_int_equal(stor.disk.bytes[4088], 127);
    assert_int_equal(stor.disk.bytes[512 * 1024 - 1], 0);
    assert_int_equal(stor.disk.bytes[512 * 1024 - 9], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_more_than_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_answer_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_with_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_enumeration_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scattered_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failure_at_each_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stall, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stall_with_all_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout_between_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_longest_transfer, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
