/* SPDX-License-Identifier: MIT */
/* Integration services, with a guest that answers as Linux's hv_utils does: in place, with the flags changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/ic/heartbeat.h"
#include "vmbus/ic/kvp.h"
#include "vmbus/ic/shutdown.h"
#include "vmbus/ic/timesync.h"
#include "vmbus/ic/vss.h"
#include "vmbus/refusal.h"

#define V5_3        0x00050003u
#define RING_PAGES  4u
#define SECOND      10000000u
/* Where things are in a packet: descriptor 16 bytes, pipe header 8, IC header 20, body. */
#define TYPE        28
#define BODY_SIZE   34
#define STATUS      36
#define TRANSACTION 40
#define FLAGS       41
#define BODY        44

static struct guest guest;
static struct guest_offer offer;
static struct guest_channel channel;
static struct guest_packet packet;
static struct heartbeat heartbeat;
static struct shutdown shutdown;
static struct timesync timesync;
static struct kvp kvp;
static struct vss vss;

/* What kvp and vss have said. */
static struct {
    uint32_t count;
    uint32_t status;
    char key[KVP_KEY_BYTES_MAX];
    char value[KVP_VALUE_BYTES_MAX];
} said;

static int setup(void **state)
{
    (void)state;
    guest_create(&guest);
    memset(&said, 0, sizeof(said));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guest_destroy(&guest);
    return 0;
}

/* Brings a service to the guest, which opens it; the next packet is the negotiation. */
static void open_service(struct ic *ic)
{
    assert_true(vsp_offer(guest.bus, &ic->vsp));
    guest_connect(&guest, V5_3, &offer);
    assert_int_equal(offer.flags, 0x11);
    assert_int_equal(get_u32(offer.user_data), 4);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
}

/* Takes the next request, which must be of this type and body size. */
static void expect_request(uint16_t type, uint32_t body_bytes)
{
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.type, 6);
    assert_int_equal(packet.flags, 0);
    assert_int_equal(packet.length, (BODY + body_bytes + 7) / 8 * 8);
    assert_int_equal(get_u32(packet.bytes + 16), 1);
    assert_int_equal(get_u32(packet.bytes + 20), 20 + body_bytes);
    assert_int_equal(get_u16(packet.bytes + TYPE), type);
    assert_int_equal(get_u16(packet.bytes + BODY_SIZE), body_bytes);
    assert_int_equal(get_u32(packet.bytes + STATUS), 0);
    assert_int_equal(packet.bytes[FLAGS], 3);
}

/* Sends the request back as the answer that it has become. */
static void answer(void)
{
    packet.bytes[FLAGS] = 5;
    assert_true(guest_send(&channel, packet.transaction_id, false, packet.bytes + 16, packet.length - 16));
}

/* Chooses the framework and message version that stand at these places of the offer. */
static void negotiate(uint32_t framework_index, uint32_t message_index)
{
    uint8_t *body = packet.bytes + BODY;
    uint32_t frameworks = get_u16(body), messages = get_u16(body + 2);

    assert_in_range(framework_index, 0, frameworks - 1);
    assert_in_range(message_index, 0, messages - 1);
    put_u16(body, 1);
    put_u16(body + 2, 1);
    memmove(body + 8, body + 8 + 4 * framework_index, 4);
    memmove(body + 12, body + 8 + 4 * (frameworks + message_index), 4);
    put_u16(packet.bytes + BODY_SIZE, 16);
    answer();
}

static void open_and_negotiate(struct ic *ic, uint32_t versions)
{
    open_service(ic);
    expect_request(0, 8 + 4 * (2 + versions));
    negotiate(0, 0);
    assert_int_equal(ic->state, IC_READY);
}

static void take_shutdown(struct shutdown *from, uint32_t status)
{
    assert_ptr_equal(from, &shutdown);
    said.count++;
    said.status = status;
}

static void test_negotiation(void **state)
{
    (void)state;
    shutdown_init(&shutdown, guest.host, take_shutdown);
    open_service(&shutdown.ic);
    expect_request(0, 8 + 4 * 6);
    assert_int_equal(get_u16(packet.bytes + BODY), 2);
    assert_int_equal(get_u16(packet.bytes + BODY + 2), 4);
    assert_int_equal(get_u32(packet.bytes + BODY + 8), 3);             /* framework 3.0 */
    assert_int_equal(get_u32(packet.bytes + BODY + 12), 1);            /* 1.0 */
    assert_int_equal(get_u32(packet.bytes + BODY + 16), 2u << 16 | 3); /* shutdown 3.2 */
    negotiate(1, 2);
    assert_int_equal(shutdown.ic.framework_version.major, 1);
    assert_int_equal(shutdown.ic.message_version.major, 3);
    assert_int_equal(shutdown.ic.message_version.minor, 0);
    /* It begins anew with each opening. */
    guest_close(&channel);
    assert_false(shutdown_request(&shutdown, false, false));
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    expect_request(0, 8 + 4 * 6);
}

static void test_no_common_version(void **state)
{
    (void)state;
    heartbeat_init(&heartbeat, guest.host);
    open_service(&heartbeat.ic);
    expect_request(0, 8 + 4 * 4);
    put_u16(packet.bytes + BODY, 0);
    put_u16(packet.bytes + BODY + 2, 0);
    answer();
    assert_int_equal(heartbeat.ic.state, IC_NO_VERSION);
    fake_host_advance(guest.host, 60 * SECOND);
    assert_false(guest_read(&channel, &packet));
    assert_int_equal(guest.host->log_lines, 0);
}

static void test_heartbeat(void **state)
{
    uint64_t last = 0;

    (void)state;
    heartbeat_init(&heartbeat, guest.host);
    open_and_negotiate(&heartbeat.ic, 2);
    assert_false(heartbeat_is_in_contact(&heartbeat));
    for (uint32_t i = 0; i < 10; i++) {
        expect_request(1, 40);
        assert_int_equal(get_u64(packet.bytes + BODY), ++last);
        put_u64(packet.bytes + BODY, last + 1);
        assert_false(guest_read(&channel, &packet));
        answer();
        assert_true(heartbeat_is_in_contact(&heartbeat));
        fake_host_advance(guest.host, 2 * SECOND);
    }
    assert_int_equal(heartbeat.answer_count, 10);
    /* A guest that stands still is asked once, and is lost after a while, and found again. */
    expect_request(1, 40);
    fake_host_advance(guest.host, 9 * SECOND);
    assert_false(heartbeat_is_in_contact(&heartbeat));
    fake_host_advance(guest.host, 3600u * SECOND);
    assert_int_equal(packet.bytes[FLAGS], 3);
    answer();
    assert_true(heartbeat_is_in_contact(&heartbeat));
    assert_false(guest_read(&channel, &packet));
    fake_host_advance(guest.host, 2 * SECOND);
    expect_request(1, 40);
    guest_close(&channel);
    assert_false(heartbeat_is_in_contact(&heartbeat));
    assert_int_equal(fake_host_armed_timers(guest.host), 0);
}

static void test_shutdown(void **state)
{
    (void)state;
    shutdown_init(&shutdown, guest.host, take_shutdown);
    assert_false(shutdown_request(&shutdown, false, false));
    open_and_negotiate(&shutdown.ic, 4);
    assert_true(shutdown_request(&shutdown, false, false));
    assert_false(shutdown_request(&shutdown, false, false));
    expect_request(3, 2060);
    assert_int_equal(get_u32(packet.bytes + BODY), 0x80000000);
    assert_int_equal(get_u32(packet.bytes + BODY + 8), 0);
    put_u32(packet.bytes + STATUS, 0x80004005);
    assert_int_equal(said.count, 0);
    answer();
    assert_int_equal(said.count, 1);
    assert_int_equal(said.status, 0x80004005);
    assert_true(shutdown_request(&shutdown, true, true));
    expect_request(3, 2060);
    assert_int_equal(get_u32(packet.bytes + BODY + 8), 3);
    answer();
    assert_int_equal(said.status, 0);
    assert_true(shutdown_request(&shutdown, false, false));
    guest_close(&channel);
    assert_int_equal(said.count, 3);
    assert_int_equal(said.status, IC_STATUS_FAILED);
}

static void expect_time(uint8_t flags)
{
    expect_request(4, 25);
    assert_int_equal(get_u64(packet.bytes + BODY), (uint64_t)(fake_wall_seconds + INT64_C(11644473600)) * SECOND);
    assert_int_equal(packet.bytes[BODY + 24], flags);
    answer();
}

static void test_timesync(void **state)
{
    (void)state;
    timesync_init(&timesync, guest.host);
    timesync_step(&timesync);
    open_and_negotiate(&timesync.ic, 2);
    expect_time(1);
    assert_false(guest_read(&channel, &packet));
    for (uint32_t i = 0; i < 3; i++) {
        fake_wall_seconds += 5;
        fake_host_advance(guest.host, 5 * SECOND - 1);
        assert_false(guest_read(&channel, &packet));
        fake_host_advance(guest.host, 1);
        expect_time(2);
    }
    /* After a pause: at once, or as soon as an earlier message is answered. */
    fake_wall_seconds += 3600;
    timesync_step(&timesync);
    expect_time(1);
    fake_host_advance(guest.host, 5 * SECOND);
    timesync_step(&timesync);
    expect_time(2);
    expect_time(1);
    assert_int_equal(timesync.answer_count, 7);
}

static void take_kvp(struct kvp *from, const struct kvp_answer *answer)
{
    assert_ptr_equal(from, &kvp);
    said.count++;
    said.status = answer->status;
    strcpy(said.key, answer->key);
    strcpy(said.value, answer->value);
}

/* Puts ASCII as UTF-16 with a terminator, and its length where that stands. */
static void put_units(uint32_t at, uint32_t length_at, const char *text)
{
    put_u32(packet.bytes + BODY + length_at, 2 * ((uint32_t)strlen(text) + 1));
    for (uint32_t i = 0; i <= strlen(text); i++) {
        put_u16(packet.bytes + BODY + at + 2 * i, (uint8_t)text[i]);
    }
}

static bool has_units(uint32_t at, const char *text)
{
    for (uint32_t i = 0; i <= strlen(text); i++) {
        if (get_u16(packet.bytes + BODY + at + 2 * i) != (uint8_t)text[i]) {
            return false;
        }
    }
    return true;
}

static void ask_kvp(uint8_t operation, uint32_t index, const char *key, const char *value)
{
    const struct kvp_question question = {operation, IC_KVP_POOL_AUTO, index, key, value};

    assert_int_equal(kvp_ask(&kvp, &question), KVP_ASKED);
    assert_int_equal(kvp_ask(&kvp, &question), KVP_NOT_READY);
    expect_request(2, 2580);
    assert_int_equal(packet.bytes[BODY], operation);
    assert_int_equal(packet.bytes[BODY + 1], 2);
}

static void open_kvp(void)
{
    kvp_init(&kvp, guest.host, take_kvp);
    open_and_negotiate(&kvp.ic, 3);
}

/* Offsets in the body: get and set have type, lengths, key and value from 4 on, enumerate from 8 on. */
static void test_kvp(void **state)
{
    (void)state;
    open_kvp();
    ask_kvp(3, 7, NULL, NULL);
    assert_int_equal(get_u32(packet.bytes + BODY + 4), 7);
    put_u32(packet.bytes + BODY + 8, 1);
    put_units(20, 12, "OSName");
    put_units(532, 16, "Debian");
    put_u16(packet.bytes + BODY + 532, 0xE9);
    answer();
    assert_int_equal(said.count, 1);
    assert_int_equal(said.status, 0);
    assert_string_equal(said.key, "OSName");
    assert_string_equal(said.value, "\xC3\xA9"
                                    "ebian");

    ask_kvp(3, 8, NULL, NULL);
    put_u32(packet.bytes + BODY + 8, 4);
    put_units(20, 12, "number");
    put_u32(packet.bytes + BODY + 532, 4000000000u);
    answer();
    assert_string_equal(said.key, "number");
    assert_string_equal(said.value, "4000000000");

    ask_kvp(1, 0, "name", "value");
    assert_int_equal(get_u32(packet.bytes + BODY + 4), 1);
    assert_true(has_units(16, "name"));
    assert_true(has_units(528, "value"));
    assert_int_equal(get_u32(packet.bytes + BODY + 12), 12);
    answer();
    assert_string_equal(said.value, "");

    ask_kvp(2, 0, "name", NULL);
    assert_int_equal(get_u32(packet.bytes + BODY + 4), 10);
    assert_true(has_units(8, "name"));
    put_u32(packet.bytes + STATUS, IC_STATUS_NO_MORE);
    answer();
    assert_int_equal(said.status, IC_STATUS_NO_MORE);
    assert_int_equal(said.count, 4);
}

static void test_kvp_lengths(void **state)
{
    static char key[300], value[1100];
    struct kvp_question question = {IC_KVP_SET, IC_KVP_POOL_EXTERNAL, 0, key, value};

    (void)state;
    open_kvp();
    /* One character too many each, and just as many as there is room for. */
    memset(key, 'k', 256);
    assert_int_equal(kvp_ask(&kvp, &question), KVP_TOO_LONG);
    key[255] = '\0';
    memset(value, 'v', 1024);
    assert_int_equal(kvp_ask(&kvp, &question), KVP_TOO_LONG);
    value[1023] = '\0';
    assert_int_equal(kvp_ask(&kvp, &question), KVP_ASKED);
    expect_request(2, 2580);
    answer();
    /* A guest whose lengths lie, and that ends no text; the longest UTF-8 comes of it. */
    ask_kvp(3, 0, NULL, NULL);
    put_u32(packet.bytes + BODY + 8, 1);
    put_u32(packet.bytes + BODY + 12, UINT32_MAX);
    put_u32(packet.bytes + BODY + 16, UINT32_MAX);
    memset(packet.bytes + BODY + 20, 0xAA, 2560);
    answer();
    assert_int_equal(strlen(said.key), 255 * 3);
    assert_int_equal(strlen(said.value), 1023 * 3);
    assert_memory_equal(said.value, "\xEA\xAA\xAA", 3);
    /* And one that sends less than it got. */
    ask_kvp(3, 0, NULL, NULL);
    put_u16(packet.bytes + BODY_SIZE, 2579);
    answer();
    assert_int_equal(said.status, IC_STATUS_FAILED);
    assert_int_equal(said.count, 3);
    assert_int_equal(guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL), 1);
}

static void test_kvp_without_guest(void **state)
{
    const struct kvp_question question = {IC_KVP_DELETE, IC_KVP_POOL_EXTERNAL, 0, "key", NULL};

    (void)state;
    kvp_init(&kvp, guest.host, take_kvp);
    assert_int_equal(kvp_ask(&kvp, &question), KVP_NOT_READY);
    open_and_negotiate(&kvp.ic, 3);
    assert_int_equal(kvp_ask(&kvp, &question), KVP_ASKED);
    guest_close(&channel);
    assert_int_equal(said.count, 1);
    assert_int_equal(said.status, IC_STATUS_FAILED);
    assert_int_equal(kvp_ask(&kvp, &question), KVP_NOT_READY);
}

static void take_vss(struct vss *from, uint32_t status)
{
    assert_ptr_equal(from, &vss);
    said.count++;
    said.status = status;
}

static void test_vss(void **state)
{
    (void)state;
    vss_init(&vss, guest.host, take_vss);
    assert_false(vss_freeze(&vss, false));
    open_and_negotiate(&vss.ic, 1);
    assert_true(vss_freeze(&vss, false));
    assert_false(vss_freeze(&vss, true));
    expect_request(5, 12);
    assert_int_equal(packet.bytes[BODY], 5);
    answer();
    assert_int_equal(said.count, 1);
    assert_true(vss_freeze(&vss, true));
    expect_request(5, 12);
    assert_int_equal(packet.bytes[BODY], 6);
    put_u32(packet.bytes + STATUS, 0x80004005);
    answer();
    assert_int_equal(said.status, IC_STATUS_FAILED);
    assert_true(vss_freeze(&vss, true));
    guest_close(&channel);
    assert_int_equal(said.count, 3);
}

/* A guest that fills its ring up to the end and reads nothing: the service waits, and goes on. */
static void test_no_room_at_opening(void **state)
{
    uint64_t first = guest_pages(&guest, 4);

    (void)state;
    heartbeat_init(&heartbeat, guest.host);
    assert_true(vsp_offer(guest.bus, &heartbeat.ic.vsp));
    guest_connect(&guest, V5_3, &offer);
    channel = (struct guest_channel){.guest = &guest,
                                     .relid = offer.relid,
                                     .connection_id = offer.connection_id,
                                     .pages = 2,
                                     .out = guest.host->ram + first * 4096,
                                     .in = guest.host->ram + (first + 2) * 4096};
    put_u32(channel.in + 0x40, 1);
    put_u32(channel.in + 4, 16); /* all but 16 bytes are in use */
    channel.gpadl_id = guest_make_gpadl(&guest, offer.relid, first, 4);
    guest_post_open(&guest, offer.relid, channel.gpadl_id, 0, 2);
    assert_int_equal(guest_expect_open_result(&guest, offer.relid), 0);
    assert_int_equal(heartbeat.ic.state, IC_OPENED);
    put_u32(channel.in + 4, 0);
    guest_signal(&guest, offer.connection_id);
    assert_int_equal(heartbeat.ic.state, IC_NEGOTIATING);
    expect_request(0, 8 + 4 * 4);
}

/* Answers that are none. Each closes the channel. */
static void expect_fault_of(uint32_t round)
{
    assert_int_equal(guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL), round);
    guest_let_call_back(&guest);
    assert_int_equal(heartbeat.ic.state, IC_CLOSED);
    guest_expect(&guest, 2, 12);
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    expect_request(0, 8 + 4 * 4);
}

static void test_bad_answers(void **state)
{
    static const struct {
        uint32_t offset;
        uint8_t value;
    } bad_negotiations[] = {
        {TYPE, 1},            /* of another type */
        {BODY_SIZE, 15},      /* too short */
        {BODY_SIZE + 1, 255}, /* longer than the packet */
        {TRANSACTION, 0x77},  /* to another question */
        {FLAGS, 3},           /* no answer */
        {BODY, 2},            /* two versions */
        {BODY + 2, 2},
        {BODY + 8, 9},  /* a framework that was not offered */
        {BODY + 12, 9}, /* and messages */
    };
    uint32_t round = 0;

    (void)state;
    heartbeat_init(&heartbeat, guest.host);
    open_service(&heartbeat.ic);
    expect_request(0, 8 + 4 * 4);
    for (uint32_t i = 0; i < sizeof(bad_negotiations) / sizeof(bad_negotiations[0]); i++) {
        put_u16(packet.bytes + BODY, 1);
        put_u16(packet.bytes + BODY + 2, 1);
        put_u32(packet.bytes + BODY + 8, 3);
        put_u32(packet.bytes + BODY + 12, 3);
        put_u16(packet.bytes + BODY_SIZE, 16);
        packet.bytes[FLAGS] = 5;
        packet.bytes[bad_negotiations[i].offset] = bad_negotiations[i].value;
        assert_true(guest_send(&channel, 0, false, packet.bytes + 16, packet.length - 16));
        expect_fault_of(++round);
    }
    /* Shorter than a header, and of another packet type. */
    assert_true(guest_send(&channel, 0, false, packet.bytes + 16, 24));
    expect_fault_of(++round);
    assert_true(guest_write(&channel, 11, 0, 0, NULL, 0, packet.bytes + 16, packet.length - 16));
    expect_fault_of(++round);
    /* The same answer twice. */
    negotiate(0, 0);
    expect_request(1, 40);
    answer();
    assert_int_equal(heartbeat.ic.state, IC_READY);
    answer();
    expect_fault_of(++round);
    /* Longer than any answer is. */
    assert_true(guest_send(&channel, 0, false, packet.bytes, 2700));
    guest_let_call_back(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_PACKET_LENGTH), 1);
    assert_int_equal(guest.host->log_lines, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_negotiation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_common_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_heartbeat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shutdown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timesync, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kvp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kvp_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kvp_without_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room_at_opening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_answers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
