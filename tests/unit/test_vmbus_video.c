/* SPDX-License-Identifier: MIT */
/* The video device, with a guest that does what Linux's hyperv_drm does, and guests that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/refusal.h"
#include "vmbus/video/video.h"

#define V5_3         0x00050003u
#define RING_PAGES   8u
#define RING_DATA    (4096 * (RING_PAGES - 1))
#define VERSION_3_5  0x00050003u
#define WINDOW       0xE0000000u
#define WINDOW_BYTES 0x02000000u
#define VRAM         0xE0100000u
#define VRAM_BYTES   0x00800000u
/* Where things are in a packet: descriptor 16 bytes, pipe header 8, header 8, body. */
#define PIPE         16
#define TYPE         24
#define BODY         32

static struct guest guest;
static struct guest_offer offer;
static struct guest_channel channel;
static struct guest_packet packet;
static struct video video;

static int setup(void **state)
{
    struct video_config config = {.window_gpa = WINDOW, .window_bytes = WINDOW_BYTES};

    (void)state;
    guest_create(&guest);
    config.host = guest.host;
    video_init(&video, &config);
    assert_true(vsp_offer(guest.bus, &video.vsp));
    guest_connect(&guest, V5_3, &offer);
    assert_int_equal(offer.flags, 0x10);
    assert_int_equal(offer.user_data[0], 4);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guest_destroy(&guest);
    return 0;
}

static bool send(uint32_t type, const void *body, uint32_t body_bytes)
{
    static uint8_t bytes[20000];

    put_u32(bytes, 1);
    put_u32(bytes + 4, 8 + body_bytes);
    put_u32(bytes + 8, type);
    put_u32(bytes + 12, 8 + body_bytes);
    memcpy(bytes + 16, body, body_bytes);
    return guest_send(&channel, 7, false, bytes, 16 + body_bytes);
}

static void expect(uint32_t type, uint32_t body_bytes)
{
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.type, 6);
    assert_int_equal(get_u32(packet.bytes + PIPE), 1);
    assert_int_equal(get_u32(packet.bytes + PIPE + 4), 8 + body_bytes);
    assert_int_equal(get_u32(packet.bytes + TYPE), type);
    assert_int_equal(packet.length, (BODY + body_bytes + 7) / 8 * 8);
}

static void send_version(uint32_t version)
{
    uint8_t body[4];

    put_u32(body, version);
    assert_true(send(1, body, sizeof(body)));
}

static void negotiate(uint32_t version, uint8_t is_accepted)
{
    send_version(version);
    expect(2, 6);
    assert_int_equal(get_u32(packet.bytes + BODY), version);
    assert_int_equal(packet.bytes[BODY + 4], is_accepted);
    assert_int_equal(packet.bytes[BODY + 5], 1);
}

static void send_location(bool is_specified, uint64_t gpa)
{
    uint8_t body[17] = {0};

    put_u64(body, gpa + 5);
    body[8] = is_specified;
    put_u64(body + 9, gpa);
    assert_true(send(3, body, sizeof(body)));
}

static void locate(bool is_specified, uint64_t gpa)
{
    send_location(is_specified, gpa);
    expect(4, 8);
    assert_int_equal(get_u64(packet.bytes + BODY), gpa + 5);
    assert_int_equal(guest.host->device_gpa, is_specified ? gpa : 0);
}

/* What an output shows. */
struct situation {
    uint8_t is_active;
    uint8_t depth;
    uint32_t offset;
    uint32_t width;
    uint32_t height;
    uint32_t pitch;
};

static void send_situation(const struct situation *situation, uint8_t count)
{
    uint8_t body[27] = {0};

    put_u64(body, 0x1122334455667788);
    body[8] = count;
    body[9] = situation->is_active;
    put_u32(body + 10, situation->offset);
    body[14] = situation->depth;
    put_u32(body + 15, situation->width);
    put_u32(body + 19, situation->height);
    put_u32(body + 23, situation->pitch);
    assert_true(send(5, body, sizeof(body)));
}

static void show(const struct situation *situation)
{
    send_situation(situation, 1);
    expect(6, 8);
    assert_int_equal(get_u64(packet.bytes + BODY), 0x1122334455667788);
}

static const struct situation usual = {.is_active = 1, .depth = 32, .width = 1024, .height = 768, .pitch = 4096};

/* As hyperv_drm: version, resolutions, memory, picture. */
static void start(void)
{
    const uint8_t count = 64;

    negotiate(VERSION_3_5, 1);
    assert_true(send(13, &count, 1));
    expect(14, 387);
    locate(true, VRAM);
    show(&usual);
}

static void send_rectangle(int32_t left, int32_t top, int32_t right, int32_t bottom)
{
    uint8_t body[18] = {0, 1};

    put_u32(body + 2, (uint32_t)left);
    put_u32(body + 6, (uint32_t)top);
    put_u32(body + 10, (uint32_t)right);
    put_u32(body + 14, (uint32_t)bottom);
    assert_true(send(10, body, sizeof(body)));
}

static void expect_damage(int32_t left, int32_t top, int32_t right, int32_t bottom)
{
    assert_int_equal(video.damage.left, left);
    assert_int_equal(video.damage.top, top);
    assert_int_equal(video.damage.right, right);
    assert_int_equal(video.damage.bottom, bottom);
}

static void test_versions(void **state)
{
    (void)state;
    negotiate(0x00010003, 0);
    negotiate(0x00060003, 0);
    negotiate(0x00030005, 0);
    negotiate(0x00000003, 1);
    negotiate(0x00020003, 1);
    start();
    /* Who asks again begins again. */
    negotiate(VERSION_3_5, 1);
    assert_int_equal(guest.host->device_gpa, 0);
    assert_false(video_get_size(&video, &(struct video_resolution){0}));
    assert_false(guest_read(&channel, &packet));
}

static void test_resolutions(void **state)
{
    const uint8_t all = 64, few = 2, none = 0;
    uint8_t sum = 0;

    (void)state;
    negotiate(VERSION_3_5, 1);
    assert_true(send(13, &all, 1));
    expect(14, 387);
    for (uint32_t i = 0; i < 128; i++) {
        sum = (uint8_t)(sum + packet.bytes[BODY + i]);
    }
    assert_int_equal(sum, 0);
    assert_memory_equal(packet.bytes + BODY, "\x00\xFF\xFF\xFF\xFF\xFF\xFF\x00", 8);
    /* The preferred timing of the monitor is the default of the list. */
    assert_int_equal(packet.bytes[BODY + 54 + 2] | (packet.bytes[BODY + 54 + 4] & 0xF0) << 4, 1024);
    assert_int_equal(packet.bytes[BODY + 54 + 5] | (packet.bytes[BODY + 54 + 7] & 0xF0) << 4, 768);
    assert_in_range(packet.bytes[BODY + 128], 1, 64);
    assert_in_range(packet.bytes[BODY + 129], 0, packet.bytes[BODY + 128] - 1);
    for (uint32_t i = 0; i < 64; i++) {
        uint16_t width = get_u16(packet.bytes + BODY + 131 + 4 * i),
                 height = get_u16(packet.bytes + BODY + 133 + 4 * i);

        assert_in_range(width * height * 4, i < packet.bytes[BODY + 128] ? 1 : 0, VRAM_BYTES);
        assert_true(i < packet.bytes[BODY + 128] || width + height == 0);
        if (i == packet.bytes[BODY + 129]) {
            assert_int_equal(width, 1024);
            assert_int_equal(height, 768);
        }
    }
    assert_true(send(13, &few, 1));
    expect(14, 387);
    assert_int_equal(packet.bytes[BODY + 128], 2);
    assert_int_equal(get_u32(packet.bytes + BODY + 131 + 8), 0);
    assert_true(send(13, &none, 1));
    expect(14, 387);
    assert_int_equal(packet.bytes[BODY + 128], 0);
}

/* The picture is what the guest writes at the place that it has named, row by row. */
static void test_picture(void **state)
{
    static const struct situation other = {
        .is_active = 1, .depth = 32, .offset = 12, .width = 3, .height = 2, .pitch = 20};
    struct video_resolution size;
    uint8_t row[1024 * 4];

    (void)state;
    assert_false(video_get_size(&video, &size));
    start();
    assert_true(video_get_size(&video, &size));
    assert_int_equal(size.width, 1024);
    assert_int_equal(size.height, 768);
    memset(guest.host->device_memory + 767 * 4096, 0x5A, 4096);
    video_read_row(&video, 767, row);
    assert_memory_equal(row, guest.host->device_memory + 767 * 4096, sizeof(row));
    video_read_row(&video, 766, row);
    assert_int_equal(row[4095], 0);
    show(&other);
    assert_true(video_get_size(&video, &size));
    assert_int_equal(size.width, 3);
    assert_int_equal(size.height, 2);
    memcpy(guest.host->device_memory + 32, "twelve bytes", 12);
    video_read_row(&video, 1, row);
    assert_memory_equal(row, "twelve bytes", 12);
    /* It moves, with what is in it; and goes. */
    locate(true, VRAM + 0x1000);
    assert_true(video_get_size(&video, &size));
    video_read_row(&video, 1, row);
    assert_memory_equal(row, "twelve bytes", 12);
    locate(true, VRAM + 0x1000);
    locate(false, 0);
    assert_false(video_get_size(&video, &size));
    locate(true, WINDOW + WINDOW_BYTES - VRAM_BYTES);
    assert_true(video_get_size(&video, &size));
    /* The screen goes dark. */
    show(&(struct situation){0});
    assert_false(video_get_size(&video, &size));
    guest_close(&channel);
    assert_int_equal(guest.host->device_gpa, 0);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    start();
    assert_true(video_get_size(&video, &size));
}

static void test_pointer(void **state)
{
    uint8_t position[10] = {1}, shape[18 + 4] = {0xFF, 1};

    (void)state;
    start();
    put_u32(position + 2, (uint32_t)-3);
    put_u32(position + 6, 700);
    assert_true(send(7, position, sizeof(position)));
    put_u32(shape + 2, 96);
    put_u32(shape + 6, 16);
    assert_true(send(8, shape, sizeof(shape)));
    assert_true(video.pointer.is_visible);
    assert_int_equal(video.pointer.x, -3);
    assert_int_equal(video.pointer.y, 700);
    assert_int_equal(video.pointer.width, 96);
    assert_int_equal(video.pointer.height, 16);
    position[0] = 0;
    assert_true(send(7, position, sizeof(position)));
    assert_false(video.pointer.is_visible);
    assert_int_equal(guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL), 0);
}

static void test_damage(void **state)
{
    uint8_t several[2 + 2 * 16] = {0, 2};

    (void)state;
    start();
    expect_damage(0, 0, 1024, 768);
    /* Nobody has asked for it until now. */
    assert_false(guest_read(&channel, &packet));
    video_watch(&video);
    expect(9, 4);
    assert_memory_equal(packet.bytes + BODY, "\1\1\1\1", 4);
    expect_damage(0, 0, 0, 0);
    send_rectangle(100, 200, 110, 220);
    expect_damage(100, 200, 110, 220);
    send_rectangle(105, 190, 300, 210);
    expect_damage(100, 190, 300, 220);
    /* What is not in the picture, or is nothing. */
    send_rectangle(10, 10, 10, 20);
    send_rectangle(20, 20, 10, 30);
    send_rectangle(1024, 0, 2000, 10);
    send_rectangle(-10, -10, 0, 0);
    expect_damage(100, 190, 300, 220);
    send_rectangle(INT32_MIN, 300, INT32_MAX, INT32_MAX);
    expect_damage(0, 190, 1024, 768);
    video_watch(&video);
    expect_damage(0, 0, 0, 0);
    put_u32(several + 2 + 8, 1);
    put_u32(several + 2 + 12, 1);
    put_u32(several + 18, 4);
    put_u32(several + 22, 5);
    put_u32(several + 26, 6);
    put_u32(several + 30, 7);
    assert_true(send(10, several, sizeof(several)));
    expect_damage(0, 0, 6, 7);
    show(&usual);
    expect_damage(0, 0, 1024, 768);
    /* It is said once, and to each guest that comes. */
    assert_false(guest_read(&channel, &packet));
    guest_close(&channel);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    negotiate(VERSION_3_5, 1);
    locate(true, VRAM);
    expect(9, 4);
}

/* The wish waits for room in the ring. */
static void test_full_ring(void **state)
{
    uint32_t acks = 0;

    (void)state;
    start();
    /* Each answer takes 48 bytes, as does the wish, and the ring is never quite full. */
    while ((get_u32(channel.in + 4) - get_u32(channel.in) + RING_DATA - 1) % RING_DATA >= 48) {
        send_location(true, VRAM);
        acks++;
    }
    video_watch(&video);
    assert_true(video.owes_feature_change);
    while (acks-- != 0) {
        expect(4, 8);
    }
    assert_false(video.owes_feature_change);
    expect(9, 4);
}

static void expect_fault(uint32_t number)
{
    assert_int_equal(guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL), number);
    guest_let_call_back(&guest);
    guest_expect(&guest, 2, 12);
    assert_int_equal(guest.host->device_gpa, 0);
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
}

static void test_bad_locations(void **state)
{
    static const uint64_t gpas[] = {
        0,          0x1000, WINDOW - 0x1000, WINDOW + WINDOW_BYTES - VRAM_BYTES + 0x1000, VRAM + 8, UINT64_MAX - 0xFFF,
        0x100000000};
    uint32_t faults = 0;

    (void)state;
    for (uint32_t i = 0; i < sizeof(gpas) / sizeof(gpas[0]); i++) {
        start();
        send_location(true, gpas[i]);
        expect_fault(++faults);
    }
    negotiate(VERSION_3_5, 1);
    guest.host->refuses_device_memory = true;
    send_location(true, VRAM);
    expect_fault(++faults);
    assert_int_equal(guest.host->log_lines, 1);
}

static void test_bad_situations(void **state)
{
    static const struct situation bad[] = {
        {.is_active = 1, .depth = 16, .width = 1024, .height = 768, .pitch = 4096},
        {.is_active = 1, .depth = 32, .width = 0, .height = 768, .pitch = 4096},
        {.is_active = 1, .depth = 32, .width = 1024, .height = 0, .pitch = 4096},
        {.is_active = 1, .depth = 32, .width = 1024, .height = 768, .pitch = 4095},
        {.is_active = 1, .depth = 32, .width = 1921, .height = 768, .pitch = 8192},
        {.is_active = 1, .depth = 32, .width = 64, .height = 1201, .pitch = 256},
        {.is_active = 1, .depth = 32, .width = 1920, .height = 1200, .pitch = 7680},
        {.is_active = 1, .depth = 32, .width = 1024, .height = 768, .pitch = 0xFFFFFFFC},
        {.is_active = 1, .depth = 32, .offset = 0xFFFFFFF0, .width = 1024, .height = 768, .pitch = 4096},
        {.is_active = 1,
         .depth = 32,
         .offset = VRAM_BYTES - 767 * 4096 - 4095,
         .width = 1024,
         .height = 768,
         .pitch = 4096},
    };
    static const struct situation last = {
        .is_active = 1, .depth = 32, .offset = VRAM_BYTES - 768 * 4096, .width = 1024, .height = 768, .pitch = 4096};
    uint32_t faults = 0;

    (void)state;
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        start();
        show(&last);
        send_situation(&bad[i], 1);
        expect_fault(++faults);
    }
    start();
    send_situation(&usual, 0);
    expect_fault(++faults);
    start();
    send_situation(&usual, 2);
    expect_fault(++faults);
}

static void test_bad_messages(void **state)
{
    static const uint8_t zeros[17000];
    static const struct {
        uint8_t type;
        uint8_t body_bytes;
    } wrong[] = {
        /* What only hosts say, and nobody. */
        {0, 16},
        {2, 16},
        {4, 16},
        {6, 16},
        {9, 16},
        {11, 16},
        {12, 16},
        {14, 16},
        {15, 16},
        {16, 16},
        {255, 16},
        /* Too short, with the padding of a packet. */
        {1, 0},
        {3, 16},
        {5, 24},
        {7, 8},
        {8, 16},
        {10, 0},
        {13, 0},
    };
    static const uint8_t dirt[18] = {0, 3}, other_output[18] = {1, 1}, other_pointer[10] = {1, 1};
    uint8_t shape[18] = {0xFF, [2] = 97};
    uint32_t faults = 0;

    (void)state;
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        start();
        assert_true(send(wrong[i].type, zeros, wrong[i].body_bytes));
        expect_fault(++faults);
    }
    /* Without a version, or with none that both know. */
    send_location(true, VRAM);
    expect_fault(++faults);
    negotiate(1, 0);
    send_location(true, VRAM);
    expect_fault(++faults);
    /* Lengths and numbers that do not fit. */
    start();
    assert_true(send(10, dirt, sizeof(dirt)));
    expect_fault(++faults);
    start();
    assert_true(send(10, other_output, sizeof(other_output)));
    expect_fault(++faults);
    start();
    assert_true(send(7, other_pointer, sizeof(other_pointer)));
    expect_fault(++faults);
    start();
    assert_true(send(8, shape, sizeof(shape)));
    expect_fault(++faults);
    start();
    put_u32(shape + 2, 0);
    put_u32(shape + 6, 0xFFFFFFFF);
    assert_true(send(8, shape, sizeof(shape)));
    expect_fault(++faults);
    /* No pipe, half a header, another kind of packet. */
    assert_true(guest_send(&channel, 0, false, zeros, 24));
    expect_fault(++faults);
    assert_true(guest_send(&channel, 0, false, zeros, 8));
    expect_fault(++faults);
    assert_true(guest_write(&channel, 11, 0, 0, NULL, 0, zeros, 24));
    expect_fault(++faults);
    /* The longest that a pipe has goes in, a longer one does not. */
    start();
    assert_true(send(8, zeros, 16384 - 8));
    assert_int_equal(guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL), faults);
    assert_true(send(8, zeros, 16384));
    guest_let_call_back(&guest);
    assert_int_equal(guest_refusals(&guest, REFUSE_PACKET_LENGTH), 1);
    assert_int_equal(guest.host->log_lines, 2);
}

/* It asks on and on and takes no answer. */
static void test_guest_that_never_reads(void **state)
{
    const uint8_t count = 64;

    (void)state;
    negotiate(VERSION_3_5, 1);
    while (guest_refusals(&guest, REFUSE_DEVICE_PROTOCOL) == 0) {
        assert_true(send(13, &count, 1));
    }
    expect_fault(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolutions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_picture, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pointer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_locations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_situations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guest_that_never_reads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
