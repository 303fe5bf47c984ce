/* SPDX-License-Identifier: MIT */
/* The VMBus control plane: versions, offers, GPADLs, the life of channels, and what a guest may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/refusal.h"

#define V4_0         0x00040000u
#define V4_1         0x00040001u
#define V5_2         0x00050002u
#define V5_3         0x00050003u
#define V6_0         0x00060000u
#define RING_PAGES   4u
#define UNLOAD       16u
#define UNSUCCESSFUL 0xC0000001u

static struct guest guest;
static struct recorder recorder;
static struct guest_offer offer;
static struct guest_channel channel;

static int setup(void **state)
{
    (void)state;
    guest_create(&guest);
    recorder_init(&recorder, 1);
    recorder_offer(&guest, &recorder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guest_destroy(&guest);
    return 0;
}

static void post_unload(void)
{
    uint8_t message[8] = {UNLOAD};

    guest_post(&guest, message, sizeof(message));
}

static void post_teardown(uint32_t relid, uint32_t gpadl_id)
{
    uint8_t message[16] = {11};

    put_u32(message + 8, relid);
    put_u32(message + 12, gpadl_id);
    guest_post(&guest, message, sizeof(message));
}

static void post_modify(uint32_t relid, uint32_t vp)
{
    uint8_t message[16] = {22};

    put_u32(message + 8, relid);
    put_u32(message + 12, vp);
    guest_post(&guest, message, sizeof(message));
}

static void test_versions(void **state)
{
    static const uint32_t known[] = {0x0000000D, 0x00010001, 0x00020004, 0x00030000, 0x00040000, 0x00040001,
                                     0x00050000, 0x00050001, 0x00050002, 0x00050003, 0x00060000};
    static const uint32_t unknown[] = {0, 0x0000000C, 0x00020003, 0x00050004, 0x00060001, 0x00070000, 0xFFFFFFFF};

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_true(guest_contact(&guest, known[i], 3));
        assert_int_equal(vmbus_version(guest.bus), known[i]);
        assert_int_equal(guest.message_connection, known[i] >= 0x00050000 ? 4 : 1);
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_false(guest_contact(&guest, unknown[i], 0));
        assert_int_equal(vmbus_version(guest.bus), 0);
    }
}

static void post_contact(uint32_t version, uint32_t vp, uint64_t target, uint64_t page1, uint64_t page2)
{
    uint8_t message[40] = {14};

    put_u32(message + 8, version);
    put_u32(message + 12, vp);
    put_u64(message + 16, target);
    put_u64(message + 24, page1);
    put_u64(message + 32, page2);
    guest_post(&guest, message, sizeof(message));
}

static void test_bad_contacts(void **state)
{
    const struct fake_message *answer;

    (void)state;
    assert_false(guest_contact(&guest, V5_3, GUEST_VPS)); /* no such VP: the answer goes to VP 0 */
    /* Another SINT is answered where it was asked for. */
    post_contact(V5_3, 1, 5, 0, 0);
    answer = guest_take(&guest);
    assert_int_equal(answer->sint, 5);
    assert_int_equal(answer->payload[8], 0);
    /* Another VTL. */
    post_contact(V5_3, 0, 0x202, 0, 0);
    assert_int_equal(guest_expect(&guest, 15, 16)[8], 0);
    /* One monitor page. */
    post_contact(V4_0, 0, 0x5000, 0x6000, 0);
    assert_int_equal(guest_expect(&guest, 15, 16)[9], 2);
    /* An interrupt page that is no page, or no RAM, where it is needed. */
    post_contact(0x00010001, 0, 0x5008, 0, 0);
    assert_int_equal(guest_expect(&guest, 15, 16)[9], 2);
    post_contact(0x00010001, 0, GUEST_RAM_BYTES, 0, 0);
    assert_int_equal(guest_expect(&guest, 15, 16)[9], 2);
    assert_int_equal(guest_refusals(&guest, REFUSE_CONTACT), 6);
    assert_int_equal(vmbus_version(guest.bus), 0);
    assert_int_equal(guest.host->log_lines, 1);
}

static void test_version_6_features(void **state)
{
    uint8_t message[56] = {14};
    const uint8_t *answer;

    (void)state;
    put_u32(message + 8, V6_0);
    message[16] = 2;
    put_u32(message + 20, 0x10 | 0x08);
    guest.message_connection = 4;
    guest_post(&guest, message, sizeof(message));
    answer = guest_expect(&guest, 15, 20);
    assert_int_equal(answer[8], 1);
    assert_int_equal(get_u32(answer + 12), 4);
    assert_int_equal(get_u32(answer + 16), 0);
}

static void test_offer(void **state)
{
    (void)state;
    recorder.vsp.offer.flags = 0x11;
    recorder.vsp.offer.user_data[0] = 4;
    guest_connect(&guest, V5_3, &offer);
    assert_true(guid_equal(&offer.type, &recorder.vsp.offer.type));
    assert_true(guid_equal(&offer.instance, &recorder.vsp.offer.instance));
    assert_int_equal(offer.flags, 0x11);
    assert_int_equal(offer.user_data[0], 4);
    assert_int_equal(offer.sub_channel_index, 0);
}

static void test_offers_twice(void **state)
{
    uint8_t message[8] = {3};

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    guest_post(&guest, message, sizeof(message));
    guest_expect_nothing(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_OFFERS_TWICE), 1);
}

static void test_no_place(void **state)
{
    static struct recorder others[VMBUS_CHANNELS_MAX];
    struct guest_offer offers[GUEST_OFFERS_MAX];

    (void)state;
    for (uint32_t i = 1; i < VMBUS_CHANNELS_MAX; i++) {
        recorder_init(&others[i], (uint8_t)(i + 1));
        recorder_offer(&guest, &others[i]);
    }
    recorder_init(&others[0], 255);
    assert_false(vsp_offer(guest.bus, &others[0].vsp));
    assert_true(guest_contact(&guest, V5_3, 0));
    assert_int_equal(guest_request_offers(&guest, offers), VMBUS_CHANNELS_MAX);
    for (uint32_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        assert_int_equal(offers[i].relid, i + 1);
    }
}

static void test_same_device_twice(void **state)
{
    struct recorder same;

    (void)state;
    recorder_init(&same, 1);
    assert_false(vsp_offer(guest.bus, &same.vsp));
    assert_false(vsp_offer(guest.bus, &recorder.vsp));
}

/* A whole life, with every version. */
static void test_open_and_close(void **state)
{
    static const uint32_t with_events[] = {0x00020004, 0x00030000, V4_0, V4_1, V5_2, V5_3, V6_0};

    (void)state;
    for (size_t i = 0; i < sizeof(with_events) / sizeof(with_events[0]); i++) {
        guest_connect(&guest, with_events[i], &offer);
        for (uint32_t round = 0; round < 2; round++) {
            assert_int_equal(guest_channel_state(&guest, offer.relid), VMBUS_CHANNEL_CLOSED);
            guest_open(&guest, &channel, &offer, RING_PAGES, 2);
            assert_int_equal(recorder.opens, 2 * i + round + 1);
            assert_true(guest_send(&channel, 7, true, "request", 8));
            assert_int_equal(recorder.last_result, VSP_EMPTY);
            assert_int_equal(recorder.last.transaction_id, 7);
            guest_close(&channel);
            assert_int_equal(recorder.closes, 2 * i + round + 1);
        }
        guest_expect_nothing(&guest);
        post_unload();
        guest_expect(&guest, 17, 8);
    }
    assert_int_equal(guest.host->log_lines, 0);
}

static void test_gpadl_with_bodies(void **state)
{
    static const uint32_t sizes[] = {1, 26, 27, 54, 55, 128, 129, 8190};
    uint64_t first = guest_pages(&guest, 8190);
    uint8_t bytes[8];
    struct gpadl *gpadl;
    uint32_t id;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint32_t length = sizes[i] * 4096;

        id = guest_make_gpadl(&guest, offer.relid, first, sizes[i]);
        gpadl = vsp_get_gpadl(&recorder.vsp, id);
        assert_non_null(gpadl);
        assert_int_equal(gpadl_length_bytes(gpadl), length);
        assert_true(gpadl_write(gpadl, length - 4, "abcd", 4));
        assert_memory_equal(guest.host->ram + first * 4096 + length - 4, "abcd", 4);
        assert_true(gpadl_read(gpadl, length - 4, bytes, 4));
        assert_memory_equal(bytes, "abcd", 4);
        assert_false(gpadl_read(gpadl, length - 4, bytes, 5));
        assert_false(gpadl_write(gpadl, length, bytes, 1));
        assert_false(gpadl_write(gpadl, UINT32_MAX, bytes, 8));
        /* The guest wants it back while it is in use. */
        post_teardown(offer.relid, id);
        guest_expect_nothing(&guest);
        assert_null(vsp_get_gpadl(&recorder.vsp, id));
        post_teardown(offer.relid, id);
        assert_int_equal(guest_refusals(&guest, REFUSE_GPADL_STATE), i + 1);
        vsp_put_gpadl(&recorder.vsp, gpadl);
        assert_int_equal(get_u32(guest_expect(&guest, 12, 12) + 8), id);
    }
    guest_close(&channel);
}

/* Two GPADLs whose bodies come in turns, as from two threads of the guest; bytes behind what is needed are ignored. */
static void test_gpadl_bodies_interleaved(void **state)
{
    uint8_t header[28] = {8}, body[240] = {9};
    uint64_t pages[2];

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    for (uint32_t i = 0; i < 2; i++) {
        pages[i] = guest_pages(&guest, 28);
        put_u32(header + 8, offer.relid);
        put_u32(header + 12, 100 + i);
        put_u16(header + 16, 8 + 8 * 28);
        put_u16(header + 18, 1);
        put_u32(header + 20, 28 * 4096);
        guest_post(&guest, header, sizeof(header));
    }
    for (uint32_t part = 0; part < 2; part++) {
        for (uint32_t i = 0; i < 2; i++) {
            put_u32(body + 12, 101 - i);
            for (uint32_t k = 0; k < 14; k++) {
                put_u64(body + 16 + 8 * k, pages[1 - i] + 14 * part + k);
            }
            guest_expect_nothing(&guest);
            guest_post(&guest, body, part == 0 ? 16 + 8 * 14 : 240);
            if (part == 1) {
                assert_int_equal(get_u32(guest_expect(&guest, 10, 20) + 12), 101 - i);
            }
        }
    }
    guest_expect_nothing(&guest);
}

/* Posts a GPADL header with one field wrong, and expects a bad status and the cause. */
static void expect_bad_gpadl(uint32_t relid, uint32_t id, uint16_t ranges_bytes, uint16_t count, uint32_t bytes,
                             uint32_t offset, uint64_t page, enum refusal cause)
{
    uint32_t before = guest_refusals(&guest, cause);
    uint8_t message[36] = {8};
    const uint8_t *answer;

    put_u32(message + 8, relid);
    put_u32(message + 12, id);
    put_u16(message + 16, ranges_bytes);
    put_u16(message + 18, count);
    put_u32(message + 20, bytes);
    put_u32(message + 24, offset);
    put_u64(message + 28, page);
    guest_post(&guest, message, sizeof(message));
    answer = guest_expect(&guest, 10, 20);
    assert_int_equal(get_u32(answer + 12), id);
    assert_int_equal(get_u32(answer + 16), UNSUCCESSFUL);
    assert_int_equal(guest_refusals(&guest, cause), before + 1);
}

static void test_bad_gpadls(void **state)
{
    uint8_t body[24] = {9};
    uint32_t id;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    expect_bad_gpadl(offer.relid + 1, 1, 16, 1, 4096, 0, 300, REFUSE_RELID);
    expect_bad_gpadl(0, 1, 16, 1, 4096, 0, 300, REFUSE_RELID);
    expect_bad_gpadl(UINT32_MAX, 1, 16, 1, 4096, 0, 300, REFUSE_RELID);
    expect_bad_gpadl(offer.relid, 1, 16, 0, 4096, 0, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 16, 2, 4096, 0, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 16, 1, 0, 0, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 8, 1, 0, 0, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 16, 1, 0, 100, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 16, 1, 4096, 4096, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 24, 1, 4096, 4096, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 16, 1, UINT32_MAX, 1, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 16, 1, 4096, 1, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 24, 1, 4096, 0, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 0, 1, 4096, 0, 300, REFUSE_GPADL_RANGES);
    expect_bad_gpadl(offer.relid, 1, 16, 1, 4096, 0, GUEST_RAM_BYTES / 4096, REFUSE_GPADL_PAGE);
    expect_bad_gpadl(offer.relid, 1, 16, 1, 4096, 0, UINT64_MAX, REFUSE_GPADL_PAGE);
    expect_bad_gpadl(offer.relid, 1, 16, 1, 4096, 0, (UINT64_C(1) << 52) + 300, REFUSE_GPADL_PAGE);
    /* A good one, its id again, and a body that it does not wait for. */
    id = guest_make_gpadl(&guest, offer.relid, 300, 1);
    expect_bad_gpadl(offer.relid, id, 16, 1, 4096, 0, 300, REFUSE_GPADL_ID);
    put_u32(body + 12, id);
    guest_post(&guest, body, sizeof(body));
    guest_expect_nothing(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_GPADL_ID), 2);
    /* Teardowns of what is not there. */
    post_teardown(offer.relid, id + 1);
    post_teardown(offer.relid + 1, id);
    guest_expect_nothing(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_GPADL_ID), 4);
    post_teardown(offer.relid, id);
    guest_expect(&guest, 12, 12);
}

static void test_bad_page_in_body(void **state)
{
    uint32_t id;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    id = guest_post_gpadl(&guest, offer.relid, GUEST_RAM_BYTES / 4096 - 27, 28);
    assert_int_equal(get_u32(guest_expect(&guest, 10, 20) + 16), UNSUCCESSFUL);
    assert_int_equal(guest_refusals(&guest, REFUSE_GPADL_PAGE), 1);
    post_teardown(offer.relid, id);
    guest_expect_nothing(&guest);
}

static void test_gpadl_quotas(void **state)
{
    uint64_t first = guest_pages(&guest, 8190);
    uint32_t id = 0;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    for (uint32_t i = 0; i < VMBUS_GPADLS_MAX; i++) {
        id = guest_make_gpadl(&guest, offer.relid, 300, 1);
    }
    expect_bad_gpadl(offer.relid, 1, 16, 1, 4096, 0, 300, REFUSE_GPADL_QUOTA);
    post_teardown(offer.relid, id);
    guest_expect(&guest, 12, 12);
    guest_make_gpadl(&guest, offer.relid, 300, 1);
    /* A new connection has its quota whole, and big ones use the pages up before the places. */
    guest_connect(&guest, V5_3, &offer);
    for (uint32_t i = 0; i < VMBUS_GPADL_PAGES_MAX / 8192; i++) {
        guest_make_gpadl(&guest, offer.relid, first, 8190);
    }
    expect_bad_gpadl(offer.relid, 1, 16, 1, 4096, 0, 300, REFUSE_GPADL_QUOTA);
}

static void expect_bad_open(uint32_t relid, uint32_t gpadl_id, uint32_t vp, uint32_t offset, enum refusal cause)
{
    uint32_t before = guest_refusals(&guest, cause);

    guest_post_open(&guest, relid, gpadl_id, vp, offset);
    assert_int_equal(guest_expect_open_result(&guest, relid), UNSUCCESSFUL);
    assert_int_equal(guest_refusals(&guest, cause), before + 1);
    assert_int_equal(recorder.opens, 0);
}

static void test_bad_opens(void **state)
{
    uint64_t first = guest_pages(&guest, 8);
    uint8_t *ram = guest.host->ram + first * 4096;
    uint8_t message[36] = {8};
    uint32_t id;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    id = guest_make_gpadl(&guest, offer.relid, first, 8);
    expect_bad_open(offer.relid + 1, id, 0, 4, REFUSE_RELID);
    expect_bad_open(offer.relid, id + 1, 0, 4, REFUSE_OPEN_GPADL);
    expect_bad_open(offer.relid, id, GUEST_VPS, 4, REFUSE_TARGET_VP);
    expect_bad_open(offer.relid, id, 0, 0, REFUSE_OPEN_OFFSET);
    expect_bad_open(offer.relid, id, 0, 1, REFUSE_OPEN_OFFSET);
    expect_bad_open(offer.relid, id, 0, 7, REFUSE_OPEN_OFFSET);
    expect_bad_open(offer.relid, id, 0, UINT32_MAX, REFUSE_OPEN_OFFSET);
    /* Each of the four indices, beyond the data and not at a multiple of 8. */
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t *index = ram + (i / 2) * 4 * 4096 + (i % 2) * 4;

        put_u32(index, 3 * 4096);
        expect_bad_open(offer.relid, id, 0, 4, REFUSE_RING_INDEX);
        put_u32(index, 12);
        expect_bad_open(offer.relid, id, 0, 4, REFUSE_RING_INDEX);
        put_u32(index, 0);
    }
    /* A GPADL that does not begin with a page. */
    put_u32(message + 8, offer.relid);
    put_u32(message + 12, 77);
    put_u16(message + 16, 16);
    put_u16(message + 18, 1);
    put_u32(message + 20, 4088);
    put_u32(message + 24, 8);
    put_u64(message + 28, first);
    guest_post(&guest, message, sizeof(message));
    assert_int_equal(get_u32(guest_expect(&guest, 10, 20) + 16), 0);
    expect_bad_open(offer.relid, 77, 0, 4, REFUSE_OPEN_GPADL);
    assert_int_equal(guest_channel_state(&guest, offer.relid), VMBUS_CHANNEL_CLOSED);
    /* The hypervisor, and the device, may refuse too. */
    guest.host->synic.connections_allowed = 2;
    guest_post_open(&guest, offer.relid, id, 0, 4);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), UNSUCCESSFUL);
    assert_int_equal(recorder.opens, 0);
    assert_int_equal(guest_refusals(&guest, REFUSE_OPEN_CONNECTION), 1);
    guest.host->synic.connections_allowed = 0;
    recorder.refuses_open = true;
    guest_post_open(&guest, offer.relid, id, 0, 4);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), UNSUCCESSFUL);
    assert_int_equal(recorder.opens, 1);
    assert_int_equal(guest_refusals(&guest, REFUSE_OPEN_DEVICE), 1);
    assert_int_equal(guest.host->synic.connection_count, 2);
    /* After all that it can be opened; but not twice. */
    recorder.refuses_open = false;
    guest_post_open(&guest, offer.relid, id, 0xFFFFFFFF, 4);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), 0);
    guest_post_open(&guest, offer.relid, id, 0, 4);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), UNSUCCESSFUL);
    assert_int_equal(guest_refusals(&guest, REFUSE_CHANNEL_STATE), 1);
}

/* The guest may take its ring back only when the device has let go of it. */
static void test_close_later(void **state)
{
    (void)state;
    recorder.closes_later = true;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    guest_post_relid(&guest, 7, offer.relid);
    assert_int_equal(recorder.closes, 1);
    assert_int_equal(guest_channel_state(&guest, offer.relid), VMBUS_CHANNEL_CLOSING);
    assert_false(vmbus_is_quiet(guest.bus));
    post_teardown(offer.relid, channel.gpadl_id);
    guest_expect_nothing(&guest);
    vsp_closed(&recorder.vsp);
    assert_int_equal(get_u32(guest_expect(&guest, 12, 12) + 8), channel.gpadl_id);
    assert_true(vmbus_is_quiet(guest.bus));
    /* A close of what is closed. */
    guest_post_relid(&guest, 7, offer.relid);
    assert_int_equal(guest_refusals(&guest, REFUSE_CHANNEL_STATE), 1);
}

static void test_open_while_closing(void **state)
{
    (void)state;
    recorder.closes_later = true;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    guest_post_relid(&guest, 7, offer.relid);
    guest_post_open(&guest, offer.relid, channel.gpadl_id, 1, RING_PAGES);
    guest_expect_nothing(&guest);
    /* A second one, and one that is taken back. */
    guest_post_open(&guest, offer.relid, channel.gpadl_id, 1, RING_PAGES);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), UNSUCCESSFUL);
    guest_post_relid(&guest, 7, offer.relid);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), UNSUCCESSFUL);
    guest_post_open(&guest, offer.relid, channel.gpadl_id, 2, RING_PAGES);
    guest_expect_nothing(&guest);
    vsp_closed(&recorder.vsp);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), 0);
    assert_int_equal(guest_channel_state(&guest, offer.relid), VMBUS_CHANNEL_OPEN);
    assert_int_equal(recorder.opens, 2);
}

static void test_rescind_open_channel(void **state)
{
    (void)state;
    recorder.closes_later = true;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    vsp_rescind(&recorder.vsp);
    assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), offer.relid);
    assert_int_equal(recorder.closes, 1);
    /* What crosses it on its way: an opening is ignored, a GPADL refused, a close means nothing new. */
    guest_post_open(&guest, offer.relid, channel.gpadl_id, 0, RING_PAGES);
    guest_post_relid(&guest, 7, offer.relid);
    guest_expect_nothing(&guest);
    expect_bad_gpadl(offer.relid, 5, 16, 1, 4096, 0, 300, REFUSE_CHANNEL_STATE);
    /* The device comes back before the guest has let go of the old channel. */
    guest_post_relid(&guest, 13, offer.relid);
    assert_int_equal(guest_channel_state(&guest, offer.relid), VMBUS_CHANNEL_CLOSING);
    vsp_closed(&recorder.vsp);
    assert_null(recorder.vsp.channel);
    assert_int_equal(guest_channel_state(&guest, offer.relid), VMBUS_CHANNEL_FREE);
    recorder_offer(&guest, &recorder);
    guest_expect_offer(&guest, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
}

static void test_offer_waits_for_release(void **state)
{
    struct guest_offer again;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    vsp_rescind(&recorder.vsp);
    guest_expect(&guest, 2, 12);
    vsp_rescind(&recorder.vsp);
    assert_null(recorder.vsp.channel);
    recorder_offer(&guest, &recorder);
    guest_expect_nothing(&guest);
    guest_post_relid(&guest, 13, offer.relid);
    guest_expect_offer(&guest, &again);
    assert_true(guid_equal(&again.instance, &offer.instance));
    assert_int_not_equal(again.relid, offer.relid);
    assert_int_equal(guest_channel_state(&guest, offer.relid), VMBUS_CHANNEL_FREE);
    /* A guest may let go by itself: the device is still there, and offered anew. */
    guest_post_relid(&guest, 13, again.relid);
    guest_expect_offer(&guest, &again);
    /* But not of what is open. */
    guest_open(&guest, &channel, &again, RING_PAGES, 0);
    guest_post_relid(&guest, 13, again.relid);
    guest_expect_nothing(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_CHANNEL_STATE), 1);
}

static void test_rescind_before_offers(void **state)
{
    struct guest_offer offers[GUEST_OFFERS_MAX];

    (void)state;
    assert_true(guest_contact(&guest, V5_3, 0));
    vsp_rescind(&recorder.vsp);
    assert_int_equal(guest_request_offers(&guest, offers), 0);
    recorder_offer(&guest, &recorder);
    guest_expect_offer(&guest, &offer);
}

static void test_sub_channels(void **state)
{
    struct recorder subs[2];
    struct guest_channel sub_channel;
    struct guest_offer offers[3];

    (void)state;
    for (uint8_t i = 0; i < 2; i++) {
        recorder_init(&subs[i], 1);
        subs[i].vsp.offer.sub_channel_index = i + 1;
    }
    guest_connect(&guest, V5_3, &offers[0]);
    assert_false(vsp_offer(guest.bus, &subs[0].vsp));
    for (uint32_t round = 0; round < 3; round++) {
        guest_open(&guest, &channel, &offers[0], RING_PAGES, 0);
        for (uint32_t i = 0; i < 2; i++) {
            recorder_offer(&guest, &subs[i]);
            guest_expect_offer(&guest, &offers[1 + i]);
            assert_int_equal(offers[1 + i].sub_channel_index, i + 1);
        }
        guest_open(&guest, &sub_channel, &offers[1], RING_PAGES, 3);
        if (round == 2) {
            break;
        }
        /* Closing the primary takes them away, in front of everything that follows. */
        guest_post_relid(&guest, 7, offers[0].relid);
        assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), offers[1].relid);
        assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), offers[2].relid);
        assert_int_equal(subs[0].closes, round + 1);
        assert_null(subs[0].vsp.channel);
        assert_null(subs[1].vsp.channel);
        guest_post_relid(&guest, 13, offers[1].relid);
        guest_post_relid(&guest, 13, offers[2].relid);
        post_teardown(offers[0].relid, channel.gpadl_id);
        guest_expect(&guest, 12, 12);
    }
    /* With a new guest only the primary is there. */
    guest_connect(&guest, V5_3, &offers[0]);
    assert_null(subs[0].vsp.channel);
    assert_int_equal(subs[0].closes, 3);
    assert_int_equal(recorder.closes, 3);
    /* With the device they go before it. */
    guest_open(&guest, &channel, &offers[0], RING_PAGES, 0);
    recorder_offer(&guest, &subs[0]);
    guest_expect_offer(&guest, &offers[1]);
    vsp_rescind(&recorder.vsp);
    assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), offers[1].relid);
    assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), offers[0].relid);
}

static void test_modify(void **state)
{
    const uint8_t *answer;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    post_modify(offer.relid, 1);
    assert_int_equal(get_u32(guest_expect(&guest, 24, 16) + 12), UNSUCCESSFUL);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    post_modify(offer.relid, 3);
    answer = guest_expect(&guest, 24, 16);
    assert_int_equal(get_u32(answer + 8), offer.relid);
    assert_int_equal(get_u32(answer + 12), 0);
    /* A signal at once: one may have been lost on the old VP. */
    assert_int_equal(guest.host->synic.events[offer.relid], 1);
    assert_int_equal(guest.host->synic.event_vp, 3);
    post_modify(offer.relid, 0xFFFFFFFF);
    assert_int_equal(get_u32(guest_expect(&guest, 24, 16) + 12), UNSUCCESSFUL);
    post_modify(99, 0);
    assert_int_equal(get_u32(guest_expect(&guest, 24, 16) + 12), UNSUCCESSFUL);
    assert_int_equal(guest_refusals(&guest, REFUSE_TARGET_VP), 1);
    /* Before 5.3 there is no answer, before 4.1 no such message. */
    guest_connect(&guest, V5_2, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    post_modify(offer.relid, 2);
    guest_expect_nothing(&guest);
    assert_int_equal(guest.host->synic.event_vp, 2);
    guest_connect(&guest, V4_0, &offer);
    post_modify(offer.relid, 2);
    guest_expect_nothing(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_MESSAGE_TYPE), 1);
}

static void test_unload_waits(void **state)
{
    uint8_t message[8] = {3};

    (void)state;
    recorder.closes_later = true;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    post_unload();
    assert_int_equal(recorder.closes, 1);
    guest_expect_nothing(&guest);
    /* Meanwhile nothing is served. */
    guest_post(&guest, message, sizeof(message));
    assert_int_equal(guest_refusals(&guest, REFUSE_NOT_CONNECTED), 1);
    vsp_closed(&recorder.vsp);
    guest_expect(&guest, 17, 8);
    assert_int_equal(vmbus_version(guest.bus), 0);
    post_unload();
    guest_expect_nothing(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_NOT_CONNECTED), 2);
    guest_connect(&guest, V5_3, &offer);
}

/* A new kernel after a crash: its contact ends everything, is answered when nothing is in use, and sees nothing old. */
static void test_contact_while_connected(void **state)
{
    uint8_t message[40] = {14};
    const struct fake_message *answer;

    (void)state;
    recorder.closes_later = true;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    guest.host->synic.room = 0;
    post_modify(offer.relid, 3);
    put_u32(message + 8, V4_1);
    put_u32(message + 12, 2);
    guest_post(&guest, message, sizeof(message));
    /* One more while the first waits: only the last counts. */
    put_u32(message + 8, V5_2);
    message[16] = 2;
    guest_post(&guest, message, sizeof(message));
    guest.host->synic.room = UINT32_MAX;
    assert_int_equal(recorder.closes, 1);
    guest_expect_nothing(&guest);
    vsp_closed(&recorder.vsp);
    answer = guest_take(&guest);
    assert_int_equal(answer->payload[0], 15);
    assert_int_equal(answer->vp_index, 2);
    assert_int_equal(vmbus_version(guest.bus), V5_2);
    guest_expect_nothing(&guest);
    assert_int_equal(guest_channel_state(&guest, offer.relid), VMBUS_CHANNEL_HIDDEN);
}

static void test_reset(void **state)
{
    (void)state;
    recorder.closes_later = true;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    vmbus_reset(guest.bus);
    assert_false(vmbus_is_quiet(guest.bus));
    vsp_closed(&recorder.vsp);
    assert_true(vmbus_is_quiet(guest.bus));
    guest_expect_nothing(&guest);
    guest_connect(&guest, V4_0, &offer);
}

static void test_messages_wait_for_room(void **state)
{
    struct recorder other;
    struct guest_offer offers[2];
    uint8_t message[8] = {3};

    (void)state;
    recorder_init(&other, 2);
    recorder_offer(&guest, &other);
    assert_true(guest_contact(&guest, V5_3, 1));
    guest.host->synic.room = 1;
    guest_post(&guest, message, sizeof(message));
    vsp_rescind(&other.vsp);
    guest_expect_offer(&guest, &offers[0]);
    guest_expect_nothing(&guest);
    guest.host->synic.room = 2;
    vmbus_messages_wanted(guest.bus);
    guest_expect_offer(&guest, &offers[1]);
    guest_expect(&guest, 4, 8);
    guest_expect_nothing(&guest);
    guest.host->synic.room = UINT32_MAX;
    vmbus_messages_wanted(guest.bus);
    assert_int_equal(get_u32(guest_expect(&guest, 2, 12) + 8), offers[1].relid);
    guest_expect_nothing(&guest);
}

/* A guest that asks without end and reads nothing loses its connection, and can make a new one. */
static void test_messages_unread(void **state)
{
    (void)state;
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    guest.host->synic.room = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        post_modify(offer.relid, i % GUEST_VPS);
    }
    assert_int_equal(vmbus_version(guest.bus), V5_3);
    guest_let_call_back(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_MESSAGES_UNREAD), 1);
    assert_int_equal(vmbus_version(guest.bus), 0);
    assert_int_equal(recorder.closes, 1);
    guest.host->synic.room = UINT32_MAX;
    vmbus_messages_wanted(guest.bus);
    guest_expect_nothing(&guest);
    guest_connect(&guest, V5_3, &offer);
}

static void test_sockets_are_refused(void **state)
{
    uint8_t message[56] = {21};
    const uint8_t *answer;

    (void)state;
    for (uint32_t i = 8; i < sizeof(message); i++) {
        message[i] = (uint8_t)i;
    }
    guest_connect(&guest, V5_2, &offer);
    guest_post(&guest, message, sizeof(message));
    answer = guest_expect(&guest, 23, 44);
    assert_memory_equal(answer + 8, message + 8, 32);
    assert_int_equal(get_u32(answer + 40), 0xC0000236);
    /* 4.0 has the request, but no such answer. */
    guest_connect(&guest, V4_0, &offer);
    guest_post(&guest, message, 40);
    guest_expect_nothing(&guest);
}

static void test_reserved_channels_are_refused(void **state)
{
    uint8_t message[28] = {18};
    const struct fake_message *answer;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    put_u32(message + 8, offer.relid);
    put_u32(message + 12, 3);
    put_u32(message + 16, 6);
    guest_post(&guest, message, sizeof(message));
    answer = guest_take(&guest);
    assert_int_equal(answer->vp_index, 3);
    assert_int_equal(answer->sint, 6);
    assert_int_equal(answer->payload[0], 6);
    assert_int_equal(get_u32(answer->payload + 16), UNSUCCESSFUL);
    put_u32(message + 12, GUEST_VPS);
    guest_post(&guest, message, sizeof(message));
    put_u32(message + 12, 0);
    put_u32(message + 16, 16);
    guest_post(&guest, message, sizeof(message));
    message[0] = 19;
    guest_post(&guest, message, 20);
    guest_expect_nothing(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_RESERVED_CHANNEL), 4);
}

/* Every type at every length that it is too short for, with and without a connection; unknown types; each logged once.
 */
static void test_bad_messages(void **state)
{
    static const uint8_t least[32] = {[3] = 8,   [5] = 148, [7] = 12,  [8] = 20,  [9] = 16,  [11] = 16, [13] = 12,
                                      [14] = 40, [16] = 8,  [18] = 28, [19] = 12, [21] = 40, [22] = 16};
    uint8_t message[240];
    uint32_t short_ones = 0, unknown = 0;

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    for (uint32_t type = 0; type < 32; type++) {
        memset(message, 0xFF, sizeof(message));
        put_u32(message, type);
        for (uint32_t length = 0; length < least[type] || (least[type] == 0 && length <= 240); length++) {
            guest_post(&guest, message, length);
            guest_expect_nothing(&guest);
            if (length < 8 || least[type] != 0) {
                short_ones++;
            } else {
                unknown++;
            }
            assert_int_equal(guest_refusals(&guest, REFUSE_MESSAGE_SHORT), short_ones);
            assert_int_equal(guest_refusals(&guest, REFUSE_MESSAGE_TYPE), unknown);
        }
    }
    put_u32(message, UINT32_MAX);
    guest_post(&guest, message, sizeof(message));
    vmbus_message(guest.bus, 4, 2, message, sizeof(message));
    assert_int_equal(guest_refusals(&guest, REFUSE_MESSAGE_TYPE), unknown + 2);
    vmbus_message(guest.bus, 5, 1, message, sizeof(message));
    assert_int_equal(guest_refusals(&guest, REFUSE_MESSAGE_TYPE), unknown + 2);
    assert_int_equal(vmbus_version(guest.bus), V5_3);
    assert_int_equal(guest.host->log_lines, 2);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
}

static void test_nothing_before_contact(void **state)
{
    uint8_t message[240] = {0};

    (void)state;
    for (uint32_t type = 1; type < 32; type++) {
        if (type != 14) {
            put_u32(message, type);
            guest_post(&guest, message, sizeof(message));
            guest_expect_nothing(&guest);
        }
    }
    assert_int_equal(guest_refusals(&guest, REFUSE_NOT_CONNECTED), 12);
}

/* Relids of no channel, in every message that has one. */
static void test_unknown_relids(void **state)
{
    static const uint32_t relids[] = {0, 2, VMBUS_CHANNELS_MAX, VMBUS_CHANNELS_MAX + 1, 2048, UINT32_MAX};

    (void)state;
    guest_connect(&guest, V5_3, &offer);
    for (uint32_t i = 0; i < sizeof(relids) / sizeof(relids[0]); i++) {
        guest_post_relid(&guest, 7, relids[i]);
        guest_post_relid(&guest, 13, relids[i]);
        guest_expect_nothing(&guest);
        guest_post_open(&guest, relids[i], 1, 0, 4);
        assert_int_equal(guest_expect_open_result(&guest, relids[i]), UNSUCCESSFUL);
        assert_int_equal(guest_refusals(&guest, REFUSE_RELID), 3 * (i + 1));
    }
    assert_int_equal(guest.host->log_lines, 1);
    guest_signal(&guest, 0);
    guest_signal(&guest, 0x2000);
    guest_signal(&guest, UINT32_MAX);
    assert_int_equal(recorder.signals, 0);
}

static void test_no_message_connection(void **state)
{
    static uint64_t storage[(4u << 20) / sizeof(uint64_t)] ALIGNED(VMBUS_STORAGE_ALIGNMENT);
    struct host_vm *host = fake_host_create(4096);

    (void)state;
    assert_in_range(vmbus_storage_bytes(), 1, sizeof(storage));
    host->synic.connections_allowed = 1;
    assert_null(vmbus_create(storage, host, 1));
    assert_int_equal(host->synic.connection_count, 0);
    assert_int_equal(host->log_lines, 1);
    fake_host_destroy(host);
}

/* Versions 0.13 and 1.1: signals through the interrupt page. */
static void test_interrupt_page(void **state)
{
    uint8_t *page = guest.host->ram + 0x5000;
    struct guest_packet packet;

    (void)state;
    recorder.echoes = true;
    assert_true(guest_contact(&guest, 0x0000000D, 0));
    guest_post(&guest, (const uint8_t[8]){3}, 8);
    assert_int_equal(get_u32(guest_expect(&guest, 1, 189) + 184), 1);
    guest_expect(&guest, 4, 8);
    offer.relid = 1;
    offer.connection_id = GUEST_EVENT_NONE;
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    assert_true(guest_send(&channel, 3, true, "request", 8));
    assert_int_equal(recorder.packets, 0);
    page[2048] = 2;
    guest_signal(&guest, 2);
    assert_int_equal(recorder.packets, 1);
    assert_int_equal(page[2048], 0);
    /* The answer sets the channel's bit, and flag 0. */
    assert_int_equal(page[0], 2);
    assert_int_equal(guest.host->synic.events[0], 1);
    assert_true(guest_read(&channel, &packet));
    post_unload();
    guest_expect_nothing(&guest); /* 0.13 has no answer to it */
    guest_signal(&guest, 2);
    assert_true(guest_contact(&guest, 0x00010001, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_contacts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_version_6_features, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offers_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_device_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_and_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gpadl_with_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gpadl_bodies_interleaved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_gpadls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_page_in_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gpadl_quotas, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_opens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_while_closing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rescind_open_channel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offer_waits_for_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rescind_before_offers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sub_channels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modify, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unload_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contact_while_connected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_wait_for_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_unread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sockets_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reserved_channels_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_before_contact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_relids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_message_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt_page, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
