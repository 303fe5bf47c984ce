/* SPDX-License-Identifier: MIT */
/* Commands for a VM, with a guest whose integration services answer as Linux's do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "hv/lib/str.h"
#include "partitions/root/worker/vm.h"
#include "tests/unit/fake_kernel.h"
#include "tests/unit/vmbus_guest.h"

#define V5_3       0x00050003u
#define RING_PAGES 4u
/* Where things are in a packet: descriptor 16 bytes, pipe header 8, IC header 20, body. */
#define TYPE       28
#define BODY_SIZE  34
#define STATUS     36
#define FLAGS      41
#define BODY       44
#define NO_MORE    0x80070103u
#define TYPE_KVP   2u
#define TYPE_VSS   5u
#define TYPE_SHUT  3u
#define NOBODY     "nobody in the guest listens, or it still owes an answer"

static struct guest guest;
static struct guest_channel channel;
static struct guest_packet packet;
static struct vm *vm;
static void *storage;

static int setup(void **state)
{
    struct worker_config config = {
        .memory_bytes = GUEST_RAM_BYTES,
        .vp_count = GUEST_VPS,
        .has_vmbus = true,
        .kernel = fake_kernel(),
        .kernel_bytes = FAKE_KERNEL_BYTES,
    };
    char error[200] = "";

    (void)state;
    guest = (struct guest){
        .host = fake_host_create(GUEST_RAM_BYTES), .message_connection = 1, .next_gpadl_id = 1, .next_page = 0x400};
    storage = aligned_alloc(WORKER_STORAGE_ALIGNMENT, (worker_storage_bytes() + 63) / 64 * 64);
    vm = worker_create(storage, guest.host, &config, error, sizeof(error));
    if (vm == NULL) {
        fail_msg("%s", error);
    }
    guest.bus = vm->bus.vmbus;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    worker_destroy(vm);
    assert_int_equal(fake_host_armed_timers(guest.host), 0);
    free(storage);
    fake_host_destroy(guest.host);
    return 0;
}

static void forget(void)
{
    guest.host->command_text[0] = '\0';
    guest.host->command_ends = 0;
}

/* Gives a command that has to wait for the guest. */
static void begin(const char *command)
{
    forget();
    worker_command(vm, command);
    assert_false(guest.host->is_locked);
    assert_int_equal(guest.host->command_ends, 0);
}

/* The command has ended like that. */
static void expect_end(const char *text, const char *error)
{
    assert_int_equal(guest.host->command_ends, 1);
    assert_string_equal(guest.host->command_text, text);
    assert_string_equal(guest.host->command_error, error);
}

/* Gives a command that ends at once. */
static void expect(const char *command, const char *text, const char *error)
{
    forget();
    worker_command(vm, command);
    assert_false(guest.host->is_locked);
    expect_end(text, error);
}

/* The guest connects and opens the device. */
static void open_device(const struct vsp *vsp)
{
    struct guest_offer offers[GUEST_OFFERS_MAX];
    uint32_t count, i = 0;

    assert_true(guest_contact(&guest, V5_3, 1));
    count = guest_request_offers(&guest, offers);
    while (i < count && memcmp(&offers[i].type, &vsp->offer.type, sizeof(struct guid)) != 0) {
        i++;
    }
    assert_in_range(i, 0, count - 1);
    guest_open(&guest, &channel, &offers[i], RING_PAGES, 0);
}

/* The guest connects and opens the service of this type, which it negotiates. */
static void open_service(const struct ic *ic)
{
    uint8_t *body = packet.bytes + BODY;

    open_device(&ic->vsp);
    assert_true(guest_read(&channel, &packet));
    memmove(body + 12, body + 8 + 4 * get_u16(body), 4);
    put_u16(body, 1);
    put_u16(body + 2, 1);
    put_u16(packet.bytes + BODY_SIZE, 16);
    packet.bytes[FLAGS] = 5;
    assert_true(guest_send(&channel, 0, false, packet.bytes + 16, packet.length - 16));
    assert_int_equal(ic->state, IC_READY);
}

/* Takes the question that the command became, and answers it. */
static void expect_question(uint16_t type)
{
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(get_u16(packet.bytes + TYPE), type);
}

static void answer(uint32_t status)
{
    put_u32(packet.bytes + STATUS, status);
    packet.bytes[FLAGS] = 5;
    assert_true(guest_send(&channel, 0, false, packet.bytes + 16, packet.length - 16));
}

/* Puts ASCII as UTF-16, and its length where that stands. */
static void put_units(uint32_t at, uint32_t length_at, const char *text)
{
    put_u32(packet.bytes + BODY + length_at, 2 * ((uint32_t)strlen(text) + 1));
    for (uint32_t i = 0; i <= strlen(text); i++) {
        put_u16(packet.bytes + BODY + at + 2 * i, (uint8_t)text[i]);
    }
}

static void test_what_is_no_command(void **state)
{
    (void)state;
    expect("", "", "there is no such command; \"help\" lists them");
    expect("shutdownx", "", "there is no such command; \"help\" lists them");
    expect("freeze now", "", "nothing may follow this command");
    expect("shutdown later", "", "only \"force\" may follow");
    expect("kvp-list", "", "the pools are external, guest, auto, auto-external and auto-internal");
    expect("kvp-list autox", "", "the pools are external, guest, auto, auto-external and auto-internal");
    expect("kvp-set", "", "the key is missing");
    expect("kvp-set key", "", "the value is missing");
    expect("kvp-delete", "", "the key is missing");
}

static void test_help_lists_every_command(void **state)
{
    static const char *const commands[] = {
        "help",     "status",  "shutdown", "restart",    "power-button", "time",  "freeze",  "thaw",
        "kvp-list", "kvp-set", "type",     "scan-codes", "kvp-delete",   "mouse", "display", "screenshot"};

    (void)state;
    forget();
    worker_command(vm, "help");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        assert_non_null(strstr(guest.host->command_text, commands[i]));
    }
    assert_int_equal(guest.host->command_ends, 1);
}

static void test_nobody_listens(void **state)
{
    static const char *const commands[] = {"shutdown",       "restart force",     "freeze",        "thaw",
                                           "kvp-list guest", "kvp-set key value", "kvp-delete key"};

    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        expect(commands[i], "", NOBODY);
    }
    expect("time", "", "nobody in the guest listens");
    forget();
    worker_command(vm, "status");
    assert_ptr_equal(strstr(guest.host->command_text, "vmbus: version 0.0\nheartbeat: no contact\n"),
                     guest.host->command_text);
    assert_int_equal(guest.host->command_ends, 1);
}

static void test_status(void **state)
{
    (void)state;
    open_service(&vm->bus.heartbeat.ic);
    assert_true(guest_read(&channel, &packet));
    answer(0);
    forget();
    worker_command(vm, "status");
    assert_non_null(strstr(guest.host->command_text, "vmbus: version 5.3\nheartbeat: in contact\n"));
    assert_non_null(strstr(guest.host->command_text, ": heartbeat, open, 2 packets in, 2 out, "));
    assert_non_null(strstr(guest.host->command_text, ": shutdown, closed, 0 packets in, 0 out, "));
    assert_string_equal(guest.host->command_error, "");
}

static void test_shutdown(void **state)
{
    (void)state;
    open_service(&vm->bus.shutdown.ic);
    begin("restart force");
    expect_question(TYPE_SHUT);
    assert_int_equal(get_u32(packet.bytes + BODY + 8), 3);
    answer(0x80004005);
    expect_end("", "the guest refuses it, or cannot do it: status 0x80004005");
    begin("shutdown");
    expect_question(TYPE_SHUT);
    assert_int_equal(get_u32(packet.bytes + BODY + 8), 0);
    /* Another one has to wait, whatever it is. */
    worker_command(vm, "help");
    expect_end("", "an earlier command has not ended yet");
    forget();
    answer(0);
    expect_end("", "");
}

static void test_freeze(void **state)
{
    (void)state;
    open_service(&vm->bus.vss.ic);
    begin("freeze");
    expect_question(TYPE_VSS);
    assert_int_equal(packet.bytes[BODY], 5);
    answer(0);
    expect_end("", "");
    begin("thaw");
    expect_question(TYPE_VSS);
    assert_int_equal(packet.bytes[BODY], 6);
    /* The guest goes, and a new command may come. */
    guest_close(&channel);
    expect_end("", "the guest refuses it, or cannot do it: status 0x80004005");
    expect("thaw", "", NOBODY);
}

static void test_time(void **state)
{
    (void)state;
    open_service(&vm->bus.timesync.ic);
    assert_true(guest_read(&channel, &packet));
    answer(0);
    expect("time", "", "");
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.bytes[BODY + 24], 1);
}

static void answer_pair(const char *key, const char *value)
{
    expect_question(TYPE_KVP);
    assert_int_equal(packet.bytes[BODY], 3);
    put_u32(packet.bytes + BODY + 8, 1);
    put_units(20, 12, key);
    put_units(532, 16, value);
    answer(0);
}

static void test_kvp(void **state)
{
    (void)state;
    open_service(&vm->bus.kvp.ic);
    begin("kvp-list auto");
    answer_pair("OSName", "Debian GNU");
    answer_pair("OSVersion", "6.1");
    expect_question(TYPE_KVP);
    assert_int_equal(packet.bytes[BODY + 1], 2);
    assert_int_equal(get_u32(packet.bytes + BODY + 4), 2);
    answer(NO_MORE);
    expect_end("OSName=Debian GNU\nOSVersion=6.1\n", "");

    begin("kvp-set key a longer value");
    expect_question(TYPE_KVP);
    assert_int_equal(packet.bytes[BODY], 1);
    assert_int_equal(packet.bytes[BODY + 1], 0);
    assert_int_equal(get_u32(packet.bytes + BODY + 8), 2 * 4);
    assert_int_equal(get_u32(packet.bytes + BODY + 12), 2 * 15);
    answer(0);
    expect_end("", "");

    begin("kvp-delete key");
    expect_question(TYPE_KVP);
    assert_int_equal(packet.bytes[BODY], 2);
    answer(NO_MORE);
    expect_end("", "the guest refuses it, or cannot do it: status 0x80070103");
}

static void test_kvp_lengths(void **state)
{
    char command[1600] = "kvp-set ";

    (void)state;
    open_service(&vm->bus.kvp.ic);
    memset(command + 8, 'k', 1000);
    strcpy(command + 1008, " value");
    expect(command, "", "a key has at most 255 characters, a value 1023");
    strcpy(command, "kvp-set key ");
    memset(command + 12, 'v', 1024);
    expect(command, "", "a key has at most 255 characters, a value 1023");
    command[12 + 1023] = '\0';
    begin(command);
    expect_question(TYPE_KVP);
}

static void test_keyboard(void **state)
{
    uint8_t request[8] = {1, 0, 0, 0, 0, 0, 1, 0};
    uint32_t i = 0;

    (void)state;
    expect("type a", "", "nobody in the guest listens to the keyboard");
    open_device(&vm->bus.keyboard.vsp);
    assert_true(guest_send(&channel, 0, false, request, sizeof(request)));
    assert_true(guest_read(&channel, &packet));
    expect("type \xC3\xA9", "", "a character is on no key of the US layout");
    expect("type a b", "", "");
    for (i = 0; i < 6; i++) {
        assert_true(guest_read(&channel, &packet));
        assert_int_equal(get_u16(packet.bytes + 20), i < 2 ? 0x1E : i < 4 ? 0x39 : 0x30);
    }
    expect("scan-codes e0 53 e0 d3 1c", "", "");
    for (i = 0; i < 3; i++) {
        assert_true(guest_read(&channel, &packet));
        assert_int_equal(get_u16(packet.bytes + 20), i < 2 ? 0x53 : 0x1C);
        assert_int_equal(get_u32(packet.bytes + 24), i == 0 ? 4 : i == 1 ? 6 : 0);
    }
    assert_false(guest_read(&channel, &packet));
    static const char *const bad[] = {"scan-codes 1", "scan-codes 1cc", "scan-codes zz", "scan-codes 1c  9c"};
    for (i = 0; i < 4; i++) {
        expect(bad[i], "", "up to 64 codes are possible, each two hexadecimal digits: 1c 9c is Enter, down and up");
    }
}

static void test_mouse(void **state)
{
    static const char *const bad[] = {"mouse",           "mouse 1",          "mouse -1 1",      "mouse 32768 1",
                                      "mouse 1 -1",      "mouse 1 1 x",      "mouse 1 1 32",    "mouse 1 1 256",
                                      "mouse 1 1 -1 0",  "mouse 1  1",       "mouse 1 1 0 0 0", "mouse 1 1 0 32768",
                                      "mouse 1 1 0 --1", "mouse 1 00000001", "mouse 1 1 0x20"};
    uint8_t request[20] = {1, [4] = 12, [12] = 4, [18] = 2}, ack[17] = {1, [4] = 9, [8] = 3, [12] = 1};
    uint32_t i = 0;

    (void)state;
    expect("mouse 1 1", "", "nobody in the guest listens to the mouse");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(bad[i], "",
               "X and Y are 0 to 32767, BUTTONS 0 to 31 (1 left, 2 right, 4 middle), "
               "WHEEL steps up or, with -, down");
    }
    open_device(&vm->bus.mouse.vsp);
    assert_true(guest_send(&channel, 0, false, request, sizeof(request)));
    assert_true(guest_read(&channel, &packet) && guest_read(&channel, &packet));
    assert_true(guest_send(&channel, 0, false, ack, sizeof(ack)));
    expect("mouse 0 32767", "", "");
    expect("mouse 100 0x100 5 -3", "", "");
    assert_true(guest_read(&channel, &packet));
    assert_memory_equal(packet.bytes + 32, "\0\0\0\xFF\x7F\0\0", 7);
    assert_true(guest_read(&channel, &packet));
    assert_memory_equal(packet.bytes + 32, "\5\x64\0\0\1\xFD\xFF", 7);
    for (i = 0; i < 1000 && str_equal(guest.host->command_error, ""); i++) {
        forget();
        worker_command(vm, "mouse 1 1");
    }
    assert_string_equal(guest.host->command_error, "the guest has to take earlier movements first");
}

/* Sends a message of the video device, and takes the answer if it has one. */
static void send_video(uint8_t type, const uint8_t *body, uint32_t length, bool has_answer)
{
    uint8_t message[64] = {1};

    put_u32(message + 4, 8 + length);
    put_u32(message + 8, type);
    memcpy(message + 16, body, length);
    assert_true(guest_send(&channel, 0, false, message, 16 + length));
    assert_true(!has_answer || guest_read(&channel, &packet));
}

/* A picture of this size at 0xE0000000; returns its bytes. */
static uint8_t *show(uint8_t width, uint16_t height)
{
    uint8_t version[4] = {3, 0, 5}, location[17] = {[8] = 1, [12] = 0xE0}, output[27] = {[8] = 1, 1, [14] = 32};

    open_device(&vm->bus.video.vsp);
    send_video(1, version, sizeof(version), true);
    send_video(3, location, sizeof(location), true);
    output[15] = width;
    put_u16(output + 19, height);
    put_u16(output + 23, (uint16_t)(width * 4));
    send_video(5, output, sizeof(output), true);
    return guest.host->device_memory;
}

static void fill(uint8_t *pixels, uint32_t count, uint32_t colour)
{
    for (uint32_t i = 0; i < count; i++) {
        put_u32(pixels + 4 * i, colour);
    }
}

static void test_screenshot(void **state)
{
    uint8_t *pixels, pointer[10] = {1, 0, 5, [6] = 7}, dirt[18] = {[1] = 1, [2] = 1, [10] = 3, [14] = 1};

    (void)state;
    expect("screenshot", "", "the guest shows no picture");
    expect("display", "", "the guest shows no picture");
    pixels = show(200, 4);
    expect("display",
           "size: 200 4\npointer: hidden at 0 0, of 0 0\n"
           "changed since the last screenshot: 0 0 to 200 4\n",
           "");
    /* Two colours that take turns are said once; what is above red, green and blue does not count. */
    fill(pixels, 800, 0xFF123456);
    fill(pixels + 400 * 4 + 4 * 10, 1, 0x00ABCDEF);
    fill(pixels + 400 * 4 + 4 * 27, 17, 0x01ABCDEF);
    fill(pixels + 400 * 4 + 4 * 190, 10, 0xFF000000);
    expect("screenshot", "200 4\n123456sO\n\n123456QabcdefHhGhHpI000000Q\n123456sO\n", "");
    assert_true(guest_read(&channel, &packet));
    assert_int_equal(packet.bytes[24], 9);
    expect("display", "size: 200 4\npointer: hidden at 0 0, of 0 0\nchanged since the last screenshot: nothing\n", "");
    send_video(7, pointer, sizeof(pointer), false);
    send_video(10, dirt, sizeof(dirt), false);
    expect("display",
           "size: 200 4\npointer: visible at 5 7, of 0 0\n"
           "changed since the last screenshot: 1 0 to 3 1\n",
           "");
}

/* A long picture goes in turns, between which the guest goes on. */
static void test_screenshot_in_turns(void **state)
{
    char expected[400] = "1 200\n000000H\n";
    uint8_t dark[27] = {[8] = 1};

    (void)state;
    memset(expected + strlen(expected), '\n', 199);
    (void)show(1, 200);
    begin("screenshot");
    worker_command(vm, "help");
    assert_string_equal(guest.host->command_error, "an earlier command has not ended yet");
    guest.host->command_ends = 0;
    fake_host_advance(guest.host, 10000000);
    expect_end(expected, "");
    /* It ends when there is no picture any more. */
    begin("screenshot");
    send_video(5, dark, sizeof(dark), false);
    fake_host_advance(guest.host, 10000);
    assert_int_equal(guest.host->command_ends, 1);
    assert_string_equal(guest.host->command_error, "the picture became another one while it was sent");
    fake_host_advance(guest.host, 10000000);
    assert_int_equal(guest.host->command_ends, 1);
    /* The VM ends in the middle: teardown finds no timer. */
    (void)show(1, 200);
    begin("screenshot");
}

/* A guest that never says that there is no more is left at some time. */
static void test_kvp_without_end(void **state)
{
    uint32_t count = 0;

    (void)state;
    open_service(&vm->bus.kvp.ic);
    begin("kvp-list guest");
    while (guest.host->command_ends == 0) {
        assert_in_range(++count, 1, 4096);
        answer_pair("", "");
        guest.host->command_text[0] = '\0';
    }
    assert_int_equal(count, 4096);
    assert_string_equal(guest.host->command_error, "the guest goes on for ever");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_no_command, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help_lists_every_command, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shutdown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freeze, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kvp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kvp_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keyboard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mouse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_screenshot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_screenshot_in_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kvp_without_end, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
