/* SPDX-License-Identifier: MIT */
/*
 * Rings between two threads: the guest is on a processor of its own. Each side sleeps until the other signals, and
 * signals only when the rules ask for it, so a signal that one of them misses is the end of the test.
 */
/* slow: 500000 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <pthread.h>
#include <sched.h>

#include <cmocka.h>

#include "tests/unit/generated.h"
#include "tests/unit/vmbus_guest.h"

#define V5_3           0x00050003u
#define PAGE           4096u
#define RING_PAGES     2u
#define DATA           ((RING_PAGES - 1) * PAGE)
#define PACKETS        20000u
#define PATIENCE_S     60
/* Looks at an event in a row, so that the other thread may be met while both run. */
#define SPINS          4096u
/* Indices of words in a control page. */
#define WRITE_INDEX    0u
#define READ_INDEX     1u
#define INTERRUPT_MASK 2u
#define PENDING_SIZE   3u
/* The longest packet: more than a quarter of the ring, so that it is full often. */
#define PAYLOAD_BYTES  1200u

static struct guest guest;
static struct recorder recorder;
static struct guest_offer offer;
static struct guest_channel channel;
static uint64_t packets;
/* Set by the guest to wake the host. */
static uint32_t host_event;

static uint32_t load(const uint8_t *ring, uint32_t word)
{
    return __atomic_load_n((const uint32_t *)(const void *)ring + word, __ATOMIC_ACQUIRE);
}

static void store(uint8_t *ring, uint32_t word, uint32_t value)
{
    __atomic_store_n((uint32_t *)(void *)ring + word, value, __ATOMIC_RELEASE);
}

static void barrier(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Sleeps until the other side has signalled. False when it never does. */
static bool await(uint32_t *event)
{
    time_t end = time(NULL) + PATIENCE_S;

    for (uint32_t i = 1; __atomic_exchange_n(event, 0, __ATOMIC_SEQ_CST) == 0; i++) {
        if (i % SPINS == 0) {
            sched_yield();
            if (time(NULL) > end) {
                return false;
            }
        }
    }
    return true;
}

static void wake_host(void)
{
    __atomic_store_n(&host_event, 1, __ATOMIC_SEQ_CST);
}

static uint32_t used_bytes(const uint8_t *ring)
{
    return (load(ring, WRITE_INDEX) + DATA - load(ring, READ_INDEX)) % DATA;
}

/* The guest as producer: waits by pending_send_size when there is no room. */
static void *produce(void *failed)
{
    uint8_t *ring = channel.out;
    uint32_t *guest_event = &guest.host->synic.events[offer.relid];

    for (uint64_t i = 0; i < packets; i++) {
        uint32_t length8 = 2 + (uint32_t)(i * 37 % (PAYLOAD_BYTES / 8));
        uint32_t index = load(ring, WRITE_INDEX), old_index = index;
        uint64_t words[2] = {(uint64_t)length8 << 32 | 2 << 16 | 6, i};

        while (DATA - used_bytes(ring) <= length8 * 8 + 8) {
            store(ring, PENDING_SIZE, length8 * 8 + 8);
            barrier();
            if (DATA - used_bytes(ring) <= length8 * 8 + 8 && !await(guest_event)) {
                *(bool *)failed = true;
                return NULL;
            }
        }
        store(ring, PENDING_SIZE, 0);
        for (uint32_t word = 0; word < length8 + 1; word++) {
            memcpy(ring + PAGE + (index + word * 8) % DATA, word < 2 ? &words[word] : &i, 8);
        }
        store(ring, WRITE_INDEX, (index + length8 * 8 + 8) % DATA);
        barrier();
        if (load(ring, INTERRUPT_MASK) == 0 && load(ring, READ_INDEX) == old_index) {
            wake_host();
        }
    }
    return NULL;
}

/* The guest as consumer: masks, drains, unmasks and looks again; tells a host that waits for room. */
static void *consume(void *failed)
{
    uint8_t *ring = channel.in;
    uint32_t *guest_event = &guest.host->synic.events[offer.relid];

    for (uint64_t i = 0; i < packets;) {
        uint32_t index = load(ring, READ_INDEX), free_before, free_now, pending, length;
        uint16_t length8;
        uint64_t id;

        if (used_bytes(ring) == 0) {
            store(ring, INTERRUPT_MASK, 0);
            barrier();
            if (used_bytes(ring) == 0 && !await(guest_event)) {
                *(bool *)failed = true;
                return NULL;
            }
            store(ring, INTERRUPT_MASK, 1);
            continue;
        }
        memcpy(&length8, ring + PAGE + index + 4, sizeof(length8));
        memcpy(&id, ring + PAGE + (index + 8) % DATA, sizeof(id));
        length = length8 * 8u + 8;
        *(bool *)failed = *(bool *)failed || id != i++;
        store(ring, READ_INDEX, (index + length) % DATA);
        barrier();
        pending = load(ring, PENDING_SIZE);
        free_now = DATA - used_bytes(ring);
        free_before = free_now - length;
        if (pending != 0 && free_before <= pending && free_now > pending) {
            wake_host();
        }
    }
    return NULL;
}

static void start(void)
{
    guest_create(&guest);
    recorder_init(&recorder, 1);
    recorder_offer(&guest, &recorder);
    guest_connect(&guest, V5_3, &offer);
    guest_open(&guest, &channel, &offer, RING_PAGES, 0);
    packets = generated_count(PACKETS);
    host_event = 0;
}

static void test_guest_to_host(void **state)
{
    pthread_t thread;
    bool has_failed = false;

    (void)state;
    start();
    assert_int_equal(pthread_create(&thread, NULL, produce, &has_failed), 0);
    while (recorder.packets < packets) {
        assert_true(await(&host_event));
        guest_signal(&guest, offer.connection_id);
        while (fake_host_armed_timers(guest.host) != 0) {
            guest_let_call_back(&guest);
        }
        assert_int_equal(recorder.last_result, VSP_EMPTY);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(has_failed);
    assert_int_equal(recorder.last.transaction_id, packets - 1);
    guest_destroy(&guest);
}

static void test_host_to_guest(void **state)
{
    static uint8_t bytes[PAYLOAD_BYTES];
    pthread_t thread;
    bool has_failed = false;

    (void)state;
    start();
    assert_int_equal(pthread_create(&thread, NULL, consume, &has_failed), 0);
    for (uint64_t i = 0; i < packets;) {
        const struct vsp_write write = {
            .type = 6, .transaction_id = i, .payload = bytes, .payload_bytes = (uint32_t)(i * 37 % PAYLOAD_BYTES)};
        enum vsp_result result = vsp_write_packet(&recorder.vsp, &write);

        if (result == VSP_FULL) {
            assert_true(await(&host_event));
        } else {
            assert_int_equal(result, VSP_OK);
            i++;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(has_failed);
    guest_destroy(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guest_to_host),
        cmocka_unit_test(test_host_to_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
