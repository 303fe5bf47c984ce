/* SPDX-License-Identifier: MIT */
/* The storage controller's protocol: set-up, SRBs that cannot be, sub-channels, units that come and go, resets, closes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/storvsp_guest.h"
#include "vmbus/refusal.h"

#define SUCCESS           0u
#define INVALID_PARAMETER 0xC000000Du
#define INVALID_REQUEST   0xC0000010u
#define REVISION_MISMATCH 0xC0000059u
#define NO_RESOURCES      0xC000009Au
#define INVALID_STATE     0xC0000184u
#define BEGIN             7u
#define END               8u
#define VERSION           9u
#define PROPERTIES        10u
#define CREATE            13u
#define RESET_LUN         4u
#define RESET_BUS         6u
#define RING_PAGES        8u
#define WIN10             0x0602u

static const uint8_t ready[16] = {0x00};
static const uint8_t inquiry[16] = {0x12, 0, 0, 0, 36};
static const uint8_t read_block[16] = {0x28, [8] = 1};
static struct stor stor;

static int setup(void **state)
{
    (void)state;
    stor_create(&stor);
    stor_open(&stor, RING_PAGES);
    return 0;
}

static int setup_ready(void **state)
{
    (void)setup(state);
    stor_begin(&stor, WIN10);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stor_destroy(&stor);
    return 0;
}

static uint32_t call(uint32_t operation, uint16_t value)
{
    uint8_t body[52] = {0};

    put_u16(body, value);
    return stor_call(&stor.channel, operation, body, NULL);
}

static void test_set_up(void **state)
{
    uint8_t answer[52];

    (void)state;
    assert_int_equal(call(BEGIN, 0), SUCCESS);
    /* Down from the newest; what is not known is refused and may be followed by another. */
    assert_int_equal(call(VERSION, 0x0700), REVISION_MISMATCH);
    assert_int_equal(call(VERSION, 0x0402), REVISION_MISMATCH);
    assert_int_equal(call(VERSION, 0x0600), SUCCESS);
    assert_int_equal(stor_call(&stor.channel, PROPERTIES, NULL, answer), SUCCESS);
    assert_int_equal(get_u16(answer + 4), STOR_SUB_CHANNELS);
    assert_int_equal(get_u32(answer + 8), 1);
    assert_int_equal(get_u32(answer + 12), 512 * 1024);
    assert_int_equal(call(END, 0), SUCCESS);
}

/* Each step at each stage: only the next one is right, and a wrong one changes nothing. */
static void test_set_up_out_of_order(void **state)
{
    static const uint32_t steps[] = {BEGIN, VERSION, PROPERTIES, END};
    struct stor_answer answer;

    (void)state;
    for (uint32_t next = 0; next <= 4; next++) {
        for (uint32_t i = 0; i < 4; i++) {
            if (i != next) {
                assert_int_equal(call(steps[i], WIN10), INVALID_STATE);
            }
        }
        if (next < 3) {
            assert_int_equal(call(CREATE, 1), INVALID_STATE);
        }
        if (next < 4) {
            assert_int_equal(call(RESET_BUS, 0), INVALID_STATE);
            assert_int_equal(stor_scsi(&stor, 0, ready, 0).status, INVALID_STATE);
            assert_int_equal(call(steps[next], WIN10), SUCCESS);
        }
    }
    answer = stor_scsi(&stor, 0, ready, 0);
    stor_assert_good(&answer, 0);
}

static void test_unknown_operations(void **state)
{
    static const uint32_t operations[] = {0, 1, 2, 11, 12, 14, 0xFFFFFFFF};

    (void)state;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        assert_int_equal(call(operations[i], 0), INVALID_REQUEST);
    }
}

/* An older guest's packets are of 48 bytes, and so are the answers. */
static void test_short_packets(void **state)
{
    struct guest_packet packet;
    uint8_t payload[48] = {BEGIN};

    (void)state;
    assert_true(guest_send(&stor.channel, 5, true, payload, sizeof(payload)));
    assert_true(guest_read(&stor.channel, &packet));
    assert_int_equal(packet.length, 16 + 48);
    assert_int_equal(get_u32(packet.bytes + 16), 1);
    assert_int_equal(get_u32(packet.bytes + 24), SUCCESS);
    /* One that does not want an answer gets none, nor does one whose id is that of no request. */
    put_u32(payload, VERSION);
    assert_true(guest_send(&stor.channel, 6, false, payload, sizeof(payload)));
    assert_false(guest_read(&stor.channel, &packet));
    assert_true(guest_send(&stor.channel, 0, true, payload, sizeof(payload)));
    assert_false(guest_read(&stor.channel, &packet));
    /* What has no room for the header is no packet of this protocol. */
    assert_true(guest_send(&stor.channel, 7, true, payload, 8));
    guest_let_call_back(&stor.guest);
    assert_false(guest_read(&stor.channel, &packet));
    assert_int_equal(guest_refusals(&stor.guest, REFUSE_DEVICE_PROTOCOL), 1);
    assert_int_equal(guest_expect(&stor.guest, 2, 12)[8], stor.offer.relid);
    assert_true(storvsp_is_quiet(&stor.controller));
}

static void test_guest_completes(void **state)
{
    static const uint8_t payload[64] = {1};

    (void)state;
    assert_true(guest_write(&stor.channel, 11, 0, 1, NULL, 0, payload, sizeof(payload)));
    guest_let_call_back(&stor.guest);
    assert_int_equal(guest_refusals(&stor.guest, REFUSE_DEVICE_PROTOCOL), 1);
    guest_expect(&stor.guest, 2, 12);
}

/* Sends an SRB of bytes at offsets, without data. */
static uint8_t srb_status(uint32_t offset, uint8_t value)
{
    uint8_t body[52] = {0}, answer[52];

    body[8] = 6;
    body[9] = 20;
    body[offset] = value;
    assert_int_equal(stor_call(&stor.channel, 3, body, answer), SUCCESS);
    if (answer[2] != 1) {
        assert_int_equal(answer[3], 0);
        assert_int_equal(answer[9], 0);
        assert_int_equal(get_u32(answer + 12), 0);
    }
    return answer[2];
}

static void test_bad_srbs(void **state)
{
    (void)state;
    assert_int_equal(srb_status(9, 20), 0x01);
    assert_int_equal(srb_status(8, 0), 0x06);
    assert_int_equal(srb_status(8, 17), 0x06);
    assert_int_equal(srb_status(8, 255), 0x06);
    assert_int_equal(srb_status(12, 1), 0x06); /* data without ranges */
    assert_int_equal(srb_status(5, 1), 0x20);
    assert_int_equal(srb_status(6, 1), 0x20);
    assert_int_equal(srb_status(7, 1), 0x20);
    assert_int_equal(srb_status(7, 63), 0x20);
    assert_int_equal(srb_status(7, 64), 0x20);
    assert_int_equal(srb_status(7, 255), 0x20);
}

/* Guests find out what is there by INQUIRY, so it has an answer everywhere. */
static void test_absent_units(void **state)
{
    static const uint8_t luns[] = {1, 63, 64, 255};
    static const uint8_t page[16] = {0x12, 1, 0x80, 0, 36};
    static const uint8_t sense[16] = {0x03, 0, 0, 0, 18};
    struct stor_answer answer;

    (void)state;
    for (size_t i = 0; i < sizeof(luns); i++) {
        answer = stor_scsi(&stor, luns[i], inquiry, 36);
        stor_assert_good(&answer, 36);
        assert_int_equal(stor.data[0], 0x7F);
    }
    assert_int_equal(stor_scsi(&stor, 1, page, 36).srb_status, 0x20);
    answer = stor_scsi(&stor, 1, sense, 18);
    stor_assert_good(&answer, 18);
    assert_int_equal(stor.data[2], 5);
    assert_int_equal(stor.data[12], 0x25);
}

/*
 * Linux looks for units by INQUIRY and REPORT LUNS at every path and target. If one of them was answered with "invalid
 * LUN", it would remove the unit of that target and LUN at path 0, whatever the path.
 */
static void test_absent_targets(void **state)
{
    static const uint8_t report[16] = {0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 64};
    struct stor_answer answer;

    (void)state;
    for (uint8_t path = 0; path < 8; path++) {
        for (uint8_t target = 0; target < 2; target++) {
            bool is_there = path == 0 && target == 0;

            stor.path = path;
            stor.target = target;
            answer = stor_scsi(&stor, 0, inquiry, 36);
            stor_assert_good(&answer, 36);
            assert_int_equal(stor.data[0], is_there ? 0 : 0x7F);
            answer = stor_scsi(&stor, 0, report, 64);
            stor_assert_good(&answer, is_there ? 16 : 8);
            assert_int_equal(stor.data[3], is_there ? 8 : 0);
        }
    }
    stor.path = 0;
    stor.target = 0;
}

/* Sense data goes as far as there is room for it. */
static void test_sense_room(void **state)
{
    uint8_t body[52] = {0}, answer[52];

    (void)state;
    body[8] = 6;
    body[9] = 8;
    body[16] = 0xC0;
    assert_int_equal(stor_call(&stor.channel, 3, body, answer), SUCCESS);
    assert_int_equal(answer[2], 0x84);
    assert_int_equal(answer[9], 8);
    assert_int_equal(answer[18], 5);
    assert_int_equal(answer[16 + 12], 0);
    body[9] = 0;
    assert_int_equal(stor_call(&stor.channel, 3, body, answer), SUCCESS);
    assert_int_equal(answer[2], 0x04);
    assert_int_equal(answer[3], 2);
    assert_int_equal(answer[9], 0);
    assert_int_equal(answer[16], 0);
}

static void test_sub_channels(void **state)
{
    struct guest_channel channels[STOR_SUB_CHANNELS];
    struct stor_answer answer;

    (void)state;
    assert_int_equal(call(CREATE, 0), INVALID_PARAMETER);
    assert_int_equal(call(CREATE, STOR_SUB_CHANNELS + 1), INVALID_PARAMETER);
    assert_int_equal(call(CREATE, 65535), INVALID_PARAMETER);
    stor_open_sub_channels(&stor, channels, STOR_SUB_CHANNELS, RING_PAGES);
    assert_int_equal(call(CREATE, 1), INVALID_STATE);
    /* They have SRBs and no set-up, and answer what they were asked. */
    assert_int_equal(stor_call(&channels[1], BEGIN, NULL, NULL), INVALID_STATE);
    assert_int_equal(stor_call(&channels[1], RESET_BUS, NULL, NULL), SUCCESS);
    for (uint32_t i = 0; i < STOR_SUB_CHANNELS; i++) {
        assert_true(stor_post(&stor, &channels[i], 100 + i, 0, inquiry, 36));
    }
    for (uint32_t i = 0; i < STOR_SUB_CHANNELS; i++) {
        assert_true(stor_take(&channels[i], &answer));
        assert_int_equal(answer.id, 100 + i);
        stor_assert_good(&answer, 36);
    }
    assert_false(stor_take(&stor.channel, &answer));
}

/* The primary's end takes them away; a guest that begins again may have them again. */
static void test_sub_channels_end(void **state)
{
    struct guest_channel channels[STOR_SUB_CHANNELS];

    (void)state;
    stor_open_sub_channels(&stor, channels, 2, RING_PAGES);
    guest_post_relid(&stor.guest, 7, stor.channel.relid);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(get_u32(guest_expect(&stor.guest, 2, 12) + 8), channels[i].relid);
        guest_post_relid(&stor.guest, 13, channels[i].relid);
    }
    assert_true(storvsp_is_quiet(&stor.controller));
    guest_open(&stor.guest, &stor.channel, &stor.offer, RING_PAGES, 0);
    assert_int_equal(call(END, 0), INVALID_STATE);
    stor_begin(&stor, WIN10);
    stor_open_sub_channels(&stor, channels, 1, RING_PAGES);
    /* Linux probes anew after its module was loaded again. */
    assert_int_equal(stor_call(&channels[0], RESET_BUS, NULL, NULL), SUCCESS);
}

/* A sub-channel whose last request is still with the back-end cannot be had again yet. */
static void test_sub_channel_still_closing(void **state)
{
    struct guest_channel channels[STOR_SUB_CHANNELS];
    struct guest_offer offer;

    (void)state;
    stor_open_sub_channels(&stor, channels, 1, RING_PAGES);
    stor.disk.is_holding = true;
    stor.disk.is_stuck = true;
    assert_true(stor_post(&stor, &channels[0], 1, 0, read_block, 512));
    guest_post_relid(&stor.guest, 7, stor.channel.relid);
    guest_expect(&stor.guest, 2, 12);
    guest_open(&stor.guest, &stor.channel, &stor.offer, RING_PAGES, 0);
    stor_begin(&stor, WIN10);
    assert_int_equal(call(CREATE, 1), NO_RESOURCES);
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    guest_post_relid(&stor.guest, 13, channels[0].relid);
    assert_int_equal(call(CREATE, 1), SUCCESS);
    guest_expect_offer(&stor.guest, &offer);
}

/* The bus has room for some of the sub-channels only: the guest goes on with its one channel. */
static void test_sub_channels_without_room(void **state)
{
    static struct recorder recorders[VMBUS_CHANNELS_MAX];
    struct stor_answer answer;

    (void)state;
    for (uint32_t i = 0; i < VMBUS_CHANNELS_MAX - 2; i++) {
        recorder_init(&recorders[i], (uint8_t)i);
        recorder_offer(&stor.guest, &recorders[i]);
    }
    stor.guest.host->synic.taken = stor.guest.host->synic.posted;
    assert_int_equal(call(CREATE, 2), NO_RESOURCES);
    guest_expect(&stor.guest, 1, 196);
    guest_expect(&stor.guest, 2, 12);
    guest_expect_nothing(&stor.guest);
    answer = stor_scsi(&stor, 0, ready, 0);
    stor_assert_good(&answer, 0);
}

static void attach(uint32_t lun, struct fake_disk *disk)
{
    const struct guid identity = {.data1 = lun};

    host_vm_lock(stor.guest.host);
    assert_true(storvsp_attach(&stor.controller, lun, SCSI_DISK, &identity, &disk->disk));
    host_vm_unlock(stor.guest.host);
}

static bool detach(uint32_t lun)
{
    bool is_done;

    host_vm_lock(stor.guest.host);
    is_done = storvsp_detach(&stor.controller, lun);
    host_vm_unlock(stor.guest.host);
    return is_done;
}

static void test_hot_add_and_remove(void **state)
{
    struct fake_disk second;
    struct stor_answer answer;

    (void)state;
    fake_disk_create(&second, 8192, 512);
    assert_int_equal(stor_scsi(&stor, 5, ready, 0).srb_status, 0x20);
    attach(5, &second);
    host_vm_lock(stor.guest.host);
    assert_false(storvsp_attach(&stor.controller, 5, SCSI_DISK, &(struct guid){0}, &second.disk));
    assert_false(storvsp_attach(&stor.controller, 64, SCSI_DISK, &(struct guid){0}, &second.disk));
    host_vm_unlock(stor.guest.host);
    stor_expect_enumeration(&stor.channel);
    answer = stor_scsi(&stor, 5, ready, 0);
    stor_assert_good(&answer, 0);
    assert_true(detach(5));
    stor_expect_enumeration(&stor.channel);
    assert_int_equal(stor_scsi(&stor, 5, ready, 0).srb_status, 0x20);
    assert_int_equal(stor.detached_count, 0);
    fake_disk_destroy(&second);
}

/* A unit goes while the back-end has its requests: those that can be stopped are, the others hold it. */
static void test_remove_under_load(void **state)
{
    struct fake_disk second;
    struct stor_answer answer;

    (void)state;
    fake_disk_create(&second, 8192, 512);
    second.is_holding = true;
    attach(5, &second);
    stor_expect_enumeration(&stor.channel);
    assert_true(stor_post(&stor, &stor.channel, 1, 5, read_block, 512));
    assert_true(detach(5));
    assert_int_equal(second.cancelled_count, 1);
    assert_true(stor_take(&stor.channel, &answer));
    assert_int_equal(answer.srb_status, 0x20);
    stor_expect_enumeration(&stor.channel);

    second.is_stuck = true;
    attach(5, &second);
    stor_expect_enumeration(&stor.channel);
    assert_true(stor_post(&stor, &stor.channel, 2, 5, read_block, 512));
    assert_false(detach(5));
    stor_expect_enumeration(&stor.channel);
    assert_int_equal(stor_scsi(&stor, 5, ready, 0).srb_status, 0x20);
    host_vm_lock(stor.guest.host);
    assert_false(storvsp_attach(&stor.controller, 5, SCSI_DISK, &(struct guid){0}, &second.disk));
    host_vm_unlock(stor.guest.host);
    stor_complete(&stor, &second, BLOCK_OK);
    assert_int_equal(stor.detached_count, 1);
    assert_int_equal(stor.detached_lun, 5);
    /* It was read, so that is what the guest is told. */
    assert_true(stor_take(&stor.channel, &answer));
    stor_assert_good(&answer, 512);
    fake_disk_destroy(&second);
}

static void test_reset(void **state)
{
    static const uint8_t body[52] = {0};
    uint8_t other[52] = {[7] = 3};
    struct stor_answer answer;

    (void)state;
    stor.disk.is_holding = true;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, read_block, 512));
    assert_true(stor_post(&stor, &stor.channel, 2, 0, read_block, 512));
    /* Another unit's reset is nothing to this one. */
    assert_int_equal(stor_call(&stor.channel, RESET_LUN, other, NULL), SUCCESS);
    assert_int_equal(stor.disk.pending_count, 2);
    other[7] = 64;
    assert_int_equal(stor_call(&stor.channel, RESET_LUN, other, NULL), INVALID_PARAMETER);
    stor_send(&stor.channel, 9, RESET_LUN, body);
    for (uint64_t ids = 3; ids != 0; ids -= answer.id) {
        assert_true(stor_take(&stor.channel, &answer));
        assert_in_range(answer.id, 1, ids < 2 ? ids : 2);
        assert_int_equal(answer.srb_status, 0x0E);
        assert_int_equal(answer.scsi_status, 0);
    }
    assert_int_equal(stor_expect(&stor.channel, 9, NULL), SUCCESS);
    answer = stor_scsi(&stor, 0, ready, 0);
    stor_assert_sense(&answer, 0x6, 0x2900);
    answer = stor_scsi(&stor, 0, ready, 0);
    stor_assert_good(&answer, 0);
}

/* Requests that cannot be stopped hold the reset's answer. */
static void test_reset_waits(void **state)
{
    struct stor_answer answer;

    (void)state;
    stor.disk.is_holding = true;
    stor.disk.is_stuck = true;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, read_block, 512));
    stor_send(&stor.channel, 9, RESET_BUS, NULL);
    assert_false(stor_take(&stor.channel, &answer));
    stor_complete(&stor, &stor.disk, BLOCK_FAILED);
    assert_true(stor_take(&stor.channel, &answer));
    assert_int_equal(answer.id, 1);
    stor_assert_sense(&answer, 0x4, 0x4400);
    assert_int_equal(stor_expect(&stor.channel, 9, NULL), SUCCESS);
}

/* Closing waits for what the back-end does with guest memory, and nothing is answered any more. */
static void test_close_under_load(void **state)
{
    (void)state;
    stor.disk.is_holding = true;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, read_block, 512));
    guest_close(&stor.channel);
    assert_int_equal(stor.disk.cancelled_count, 1);
    assert_true(storvsp_is_quiet(&stor.controller));

    guest_open(&stor.guest, &stor.channel, &stor.offer, RING_PAGES, 0);
    stor_begin(&stor, WIN10);
    stor.disk.is_stuck = true;
    assert_true(stor_post(&stor, &stor.channel, 2, 0, read_block, 512));
    stor_send(&stor.channel, 3, RESET_BUS, NULL);
    guest_post_relid(&stor.guest, 7, stor.channel.relid);
    assert_int_equal(guest_channel_state(&stor.guest, stor.channel.relid), VMBUS_CHANNEL_CLOSING);
    assert_false(storvsp_is_quiet(&stor.controller));
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    assert_int_equal(guest_channel_state(&stor.guest, stor.channel.relid), VMBUS_CHANNEL_CLOSED);
    assert_true(storvsp_is_quiet(&stor.controller));
}

/* The guest opens again at once, as after a crash: its set-up begins when the old requests are gone. */
static void test_open_behind_close(void **state)
{
    struct guest_channel old = stor.channel;

    (void)state;
    stor.disk.is_holding = true;
    stor.disk.is_stuck = true;
    assert_true(stor_post(&stor, &stor.channel, 2, 0, read_block, 512));
    guest_post_relid(&stor.guest, 7, old.relid);
    put_u32(stor.channel.out, 0);
    memset(old.out, 0, 2 * RING_PAGES * 4096);
    put_u32(old.out + 0x40, 1);
    put_u32(old.in + 0x40, 1);
    guest_post_open(&stor.guest, old.relid, old.gpadl_id, 0, RING_PAGES);
    guest_expect_nothing(&stor.guest);
    stor_complete(&stor, &stor.disk, BLOCK_OK);
    assert_int_equal(guest_expect_open_result(&stor.guest, old.relid), 0);
    stor.disk.is_holding = false;
    stor_begin(&stor, WIN10);
    assert_int_equal(stor_scsi(&stor, 0, ready, 0).srb_status, 1);
}

static void test_rescind(void **state)
{
    (void)state;
    stor.disk.is_holding = true;
    assert_true(stor_post(&stor, &stor.channel, 1, 0, read_block, 512));
    host_vm_lock(stor.guest.host);
    storvsp_rescind(&stor.controller);
    host_vm_unlock(stor.guest.host);
    assert_true(storvsp_is_quiet(&stor.controller));
    assert_null(stor.controller.channels[0].vsp.channel);
    assert_int_equal(get_u32(guest_expect(&stor.guest, 2, 12) + 8), stor.channel.relid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set_up_out_of_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_operations, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_short_packets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guest_completes, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_bad_srbs, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_absent_targets, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_absent_units, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_sense_room, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_sub_channels, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_sub_channels_end, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_sub_channel_still_closing, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_sub_channels_without_room, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_hot_add_and_remove, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_remove_under_load, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_reset_waits, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_close_under_load, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_open_behind_close, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(test_rescind, setup_ready, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
