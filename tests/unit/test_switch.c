/* SPDX-License-Identifier: MIT */
/* The switch: who gets a frame, VLANs, kinds, queues that are full, and senders and a receiver in several threads. */
#include "vmbus/switch.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"

#define PORTS         5u
#define THREADS       3u
#define THREAD_FRAMES 20000u

static struct net_switch bridge;
static struct switch_port *ports[PORTS];
static uint32_t arrivals[PORTS];

static void arrived(struct net_port *port)
{
    for (uint32_t i = 0; i < PORTS; i++) {
        if (port == &ports[i]->net) {
            __atomic_fetch_add(&arrivals[i], 1, __ATOMIC_SEQ_CST);
        }
    }
}

static bool connect(uint32_t index, enum switch_user user, uint16_t vlan, const uint64_t *trunk)
{
    const struct switch_port_config config = {.user = user, .vlan = vlan, .trunk = trunk};

    ports[index]->net.arrived = arrived;
    return switch_connect(&bridge, ports[index], &config);
}

static int setup(void **state)
{
    (void)state;
    switch_init(&bridge, SWITCH_EXTERNAL);
    memset(arrivals, 0, sizeof(arrivals));
    for (uint32_t i = 0; i < PORTS; i++) {
        ports[i] = calloc(1, sizeof(*ports[i]));
        assert_non_null(ports[i]);
        assert_true(connect(i, SWITCH_CHILD, 0, NULL));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PORTS; i++) {
        switch_disconnect(ports[i]);
        free(ports[i]);
    }
    return 0;
}

/* Sends a frame of `length` bytes from the station `from` at a port to `to`; stations are the last byte of an address.
 */
static bool send(uint32_t port, uint8_t to, uint8_t from, uint16_t tag, uint32_t length)
{
    uint8_t bytes[NET_FRAME_BYTES_MAX];
    const struct net_frame frame = {.bytes = bytes, .length_bytes = length, .tag = tag, .is_checksum_missing = true};

    for (uint32_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 3 + from);
    }
    memset(bytes, to == 0xFF ? 0xFF : 0x02, 6);
    memset(bytes + 6, 0x02, 6);
    bytes[5] = to;
    bytes[11] = from;
    return ports[port]->net.operations->send(&ports[port]->net, &frame);
}

static bool take(uint32_t port, struct net_frame *frame)
{
    return ports[port]->net.operations->take(&ports[port]->net, frame);
}

/* The ports that have just one frame, which `from` has sent, as bits; none has more. */
static uint32_t receivers(uint8_t from, uint32_t length)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < PORTS; i++) {
        struct net_frame frame;

        if (ports[i]->owner != NULL && take(i, &frame)) {
            bits |= 1u << i;
            assert_int_equal(frame.length_bytes, length);
            assert_int_equal(frame.bytes[11], from);
            assert_true(frame.is_checksum_missing);
            assert_false(frame.is_checksum_good);
            for (uint32_t k = 12; k < length; k++) {
                assert_int_equal(frame.bytes[k], (uint8_t)(k * 3 + from));
            }
            assert_false(take(i, &frame));
        }
    }
    return bits;
}

static void test_learning(void **state)
{
    (void)state;
    assert_true(send(0, 20, 10, 0, 100));
    assert_int_equal(receivers(10, 100), 0x1E);
    assert_true(send(1, 10, 20, 0, 60));
    assert_int_equal(receivers(20, 60), 0x01);
    assert_true(send(0, 20, 10, 0, 9014));
    assert_int_equal(receivers(10, 9014), 0x02);
    /* All, and not back. */
    assert_true(send(1, 0xFF, 20, 0, 14));
    assert_int_equal(receivers(20, 14), 0x1D);
    assert_true(send(1, 20, 21, 0, 60));
    assert_int_equal(receivers(21, 60), 0x00);
    /* A station that has moved is where it was seen last. */
    assert_true(send(3, 10, 20, 0, 60));
    assert_int_equal(receivers(20, 60), 0x01);
    assert_true(send(0, 20, 10, 0, 60));
    assert_int_equal(receivers(10, 60), 0x08);
    /* With its port it is forgotten. */
    switch_disconnect(ports[3]);
    assert_true(send(0, 20, 10, 0, 60));
    assert_int_equal(receivers(10, 60), 0x16);
    assert_true(connect(3, SWITCH_CHILD, 0, NULL));
    assert_int_equal(receivers(10, 60), 0x00);
}

/* A flood of addresses from one port takes no place of others. */
static void test_address_flood(void **state)
{
    uint8_t bytes[60] = {2};
    const struct net_frame frame = {.bytes = bytes, .length_bytes = sizeof(bytes)};

    (void)state;
    assert_true(send(1, 0xFF, 20, 0, 60));
    (void)receivers(20, 60);
    for (uint32_t i = 0; i < 100000; i++) {
        struct net_frame taken;

        put_u32(bytes + 7, i);
        assert_true(ports[2]->net.operations->send(&ports[2]->net, &frame));
        for (uint32_t k = 0; k < PORTS; k++) {
            while (take(k, &taken)) {
            }
        }
    }
    assert_true(send(0, 20, 10, 0, 60));
    assert_int_equal(receivers(10, 60), 0x02);
    /* The source of no frame is a group. */
    assert_true(send(3, 0xFF, 30, 0, 60));
    (void)receivers(30, 60);
    memset(bytes, 0xFF, 12);
    assert_true(ports[2]->net.operations->send(&ports[2]->net, &frame));
    for (uint32_t i = 0; i < SWITCH_ADDRESSES_MAX; i++) {
        assert_int_equal(ports[2]->addresses[i] & 1, 0);
    }
}

/* The tag with which a port gets its next frame; 0x10000: there is none. */
static uint32_t next_tag(uint32_t port)
{
    struct net_frame frame;

    return take(port, &frame) ? frame.tag : 0x10000;
}

static void test_vlans(void **state)
{
    uint64_t trunk[BITMAP_WORDS(SWITCH_VLANS)] = {0};

    (void)state;
    bitmap_set(trunk, 5);
    bitmap_set(trunk, 6);
    for (uint32_t i = 0; i < PORTS; i++) {
        switch_disconnect(ports[i]);
    }
    assert_true(connect(0, SWITCH_CHILD, 5, NULL));
    assert_true(connect(1, SWITCH_CHILD, 5, NULL));
    assert_true(connect(2, SWITCH_CHILD, 6, NULL));
    assert_true(connect(3, SWITCH_CHILD, 0, NULL));
    assert_true(connect(4, SWITCH_UP_LINK, 0, trunk));
    /* From 5 to 5 without a tag, to the trunk with one; nobody else gets it. */
    assert_true(send(0, 0xFF, 10, 0xE000, 60));
    assert_int_equal(next_tag(1), 0);
    assert_int_equal(next_tag(2), 0x10000);
    assert_int_equal(next_tag(3), 0x10000);
    assert_int_equal(next_tag(4), 0xE005);
    /* And back. */
    assert_true(send(4, 10, 40, 0x6005, 60));
    assert_int_equal(next_tag(0), 0);
    assert_int_equal(next_tag(1), 0x10000);
    /* Addresses are known in their VLAN only: one in another is another. */
    assert_true(send(4, 10, 40, 0x0006, 60));
    assert_int_equal(next_tag(0), 0x10000);
    assert_int_equal(next_tag(2), 0);
    /* Without a tag: the trunk's own VLAN. */
    assert_true(send(4, 0xFF, 40, 0, 60));
    assert_int_equal(next_tag(3), 0);
    assert_int_equal(next_tag(0), 0x10000);
    /* VLANs that are not theirs. */
    assert_false(send(0, 0xFF, 10, 6, 60));
    assert_false(send(0, 0xFF, 10, 5, 60));
    assert_false(send(4, 0xFF, 40, 7, 60));
    assert_false(send(4, 0xFF, 40, 0x0FFF, 60));
    assert_int_equal(ports[0]->refused, 2);
    assert_int_equal(ports[0]->sent, 1);
    for (uint32_t i = 0; i < PORTS; i++) {
        assert_int_equal(next_tag(i), 0x10000);
    }
}

static void test_kinds(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < PORTS; i++) {
        switch_disconnect(ports[i]);
    }
    switch_init(&bridge, SWITCH_PRIVATE);
    assert_true(connect(0, SWITCH_CHILD, 0, NULL));
    assert_false(connect(1, SWITCH_ROOT, 0, NULL));
    assert_false(connect(1, SWITCH_UP_LINK, 0, NULL));
    assert_null(ports[1]->net.operations);
    switch_init(&bridge, SWITCH_INTERNAL);
    assert_true(connect(1, SWITCH_ROOT, 0, NULL));
    assert_false(connect(2, SWITCH_UP_LINK, 0, NULL));
    switch_init(&bridge, SWITCH_EXTERNAL);
    assert_true(connect(2, SWITCH_UP_LINK, 0, NULL));
    assert_false(connect(3, SWITCH_UP_LINK, 0, NULL));
    assert_true(connect(3, SWITCH_ROOT, 4094, NULL));
    assert_false(connect(4, SWITCH_CHILD, 4095, NULL));
    assert_true(connect(4, SWITCH_CHILD, 4094, NULL));
}

static void test_port_count(void **state)
{
    static struct switch_port more[SWITCH_PORTS_MAX];
    const struct switch_port_config config = {.user = SWITCH_CHILD};
    uint32_t count = PORTS;

    (void)state;
    while (switch_connect(&bridge, &more[count - PORTS], &config)) {
        count++;
    }
    assert_int_equal(count, SWITCH_PORTS_MAX);
    for (uint32_t i = 0; i < count - PORTS; i++) {
        switch_disconnect(&more[i]);
    }
}

/* Who does not take its frames loses some, and nobody else does; those that it has are whole and in order. */
static void test_slow_receiver(void **state)
{
    struct net_frame frame;
    uint32_t sent = 0, taken = 0;

    (void)state;
    while (ports[1]->dropped < 100) {
        assert_true(send(0, 0xFF, (uint8_t)(sent % 200), 0, 1000));
        assert_true(take(2, &frame));
        assert_int_equal(frame.length_bytes, 1000);
        assert_int_equal(frame.bytes[11], (uint8_t)(sent % 200));
        sent++;
    }
    assert_int_equal(ports[2]->dropped, 0);
    /* Told of the first only: it has not looked since. */
    assert_int_equal(arrivals[1], 1);
    while (take(1, &frame)) {
        assert_int_equal(frame.bytes[11], (uint8_t)(taken % 200));
        taken++;
    }
    assert_int_equal(taken, sent - 100);
    assert_in_range(taken, SWITCH_QUEUE_BYTES / 1008 - 2, SWITCH_QUEUE_BYTES / 1008);
    assert_true(send(0, 0xFF, 1, 0, 60));
    assert_int_equal(arrivals[1], 2);
}

/* Every fill of the queue at every place of its end. */
static void test_queue_ends(void **state)
{
    struct net_frame frame;
    uint32_t next = 0, expected = 0;

    (void)state;
    for (uint32_t round = 0; round < 3000; round++) {
        uint64_t dropped = ports[1]->dropped;

        for (uint32_t i = 0; i < 1 + round % 70 && ports[1]->dropped == dropped; i++) {
            assert_true(send(0, 0xFF, 1, 0, 14 + next % 9001));
            next++;
        }
        next -= (uint32_t)(ports[1]->dropped - dropped);
        for (uint32_t i = 0; i < round % 67 && take(1, &frame); i++) {
            assert_int_equal(frame.length_bytes, 14 + expected % 9001);
            assert_int_equal(frame.bytes[frame.length_bytes - 1],
                             frame.length_bytes > 14 ? (uint8_t)((frame.length_bytes - 1) * 3 + 1) : frame.bytes[13]);
            expected++;
        }
    }
    assert_true(ports[1]->dropped != 0);
}

static void *send_many(void *argument)
{
    uint32_t port = *(const uint32_t *)argument;

    for (uint32_t i = 0; i < THREAD_FRAMES; i++) {
        uint8_t bytes[64] = {2, 2, 2, 2, 2, 99, 2, 2, 2, 2, 2, (uint8_t)port};
        const struct net_frame frame = {.bytes = bytes, .length_bytes = 18 + i % 46};

        put_u32(bytes + 14, i);
        (void)ports[port]->net.operations->send(&ports[port]->net, &frame);
        if (i % 64 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* Frames of several threads come whole, in the order of each, and none is forgotten: the receiver looks only when told.
 */
static void test_threads(void **state)
{
    static uint32_t numbers[THREADS] = {0, 1, 2};
    pthread_t threads[THREADS];
    uint32_t next[THREADS] = {0};
    uint64_t count = 0;
    uint32_t told = 0;

    (void)state;
    switch_disconnect(ports[4]);
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &numbers[i]), 0);
    }
    while (count + __atomic_load_n(&ports[3]->dropped, __ATOMIC_SEQ_CST) < THREADS * THREAD_FRAMES) {
        uint32_t now = __atomic_load_n(&arrivals[3], __ATOMIC_SEQ_CST);
        struct net_frame frame;

        if (now == told) {
            sched_yield();
            continue;
        }
        told = now;
        while (take(3, &frame)) {
            uint32_t from = frame.bytes[11];
            uint32_t number = get_u32(frame.bytes + 14);

            assert_in_range(from, 0, THREADS - 1);
            assert_in_range(number, next[from], THREAD_FRAMES - 1);
            assert_int_equal(frame.length_bytes, 18 + number % 46);
            next[from] = number + 1;
            count++;
        }
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_in_range(count, 1, THREADS * THREAD_FRAMES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_learning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vlans, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_receiver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
