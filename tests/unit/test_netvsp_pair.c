/* SPDX-License-Identifier: MIT */
/* Two guests of two VMs at one switch: what one sends arrives at the other, under its own lock, and is said to be good.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "tests/unit/netvsp_guest.h"
#include "vmbus/switch.h"

#define INFO_CHECKSUM 0u
#define INFO_LARGE    2u
#define TCP           6u

static struct net_switch network;
static struct nic nics[2];
static struct switch_port *ports[2];
static uint8_t frame[65536];

static void arrived(struct net_port *port)
{
    netvsp_arrived(&nics[port == &ports[0]->net ? 0 : 1].adapter);
}

static int setup(void **state)
{
    const struct switch_port_config config = {.user = SWITCH_CHILD};

    (void)state;
    switch_init(&network, SWITCH_PRIVATE);
    for (uint32_t i = 0; i < 2; i++) {
        ports[i] = calloc(1, sizeof(*ports[i]));
        assert_non_null(ports[i]);
        ports[i]->net.arrived = arrived;
        assert_true(switch_connect(&network, ports[i], &config));
        nic_create(&nics[i], true);
        nics[i].adapter.config.port = &ports[i]->net;
        nic_open(&nics[i]);
        nic_set_up(&nics[i], NIC_6_1, 1500);
        nic_start(&nics[i]);
        nics[i].adapter.address[5] = (uint8_t)(1 + i);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        switch_disconnect(ports[i]);
        nic_destroy(&nics[i]);
        free(ports[i]);
    }
    return 0;
}

/* The next frame at a guest, taken and given back; its length, or 0. */
static uint32_t take(uint32_t to, struct nic_frame *got)
{
    if (!nic_take_frame(&nics[to], &nics[to].channels[0], got)) {
        return 0;
    }
    nic_done(&nics[to].channels[0], got->id);
    return got->length;
}

static void test_both_ways(void **state)
{
    struct nic_frame got;

    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t from = i % 2, to = 1 - from;
        uint32_t length = fake_frame_make(frame, 4, TCP, (uint8_t)(1 + to), (uint8_t)(1 + from), 10 * i);

        nic_send(&nics[from], frame, length, NULL, NULL, 0);
        /* It waits in the queue until the receiver's own time comes. */
        assert_int_equal(take(to, &got), 0);
        fake_host_advance(nics[to].guest.host, 0);
        assert_int_equal(take(to, &got), length);
        assert_memory_equal(got.bytes, frame, length);
        assert_int_equal(got.infos[INFO_CHECKSUM], NIC_NONE);
        fake_host_advance(nics[from].guest.host, 0);
        assert_int_equal(take(from, &got), 0);
    }
}

/* A large send arrives in pieces, whose checksums nobody has computed. */
static void test_large_send(void **state)
{
    static const uint32_t type = INFO_LARGE;
    uint32_t value = 1460 | 34u << 20 | 1u << 30;
    uint32_t length = fake_frame_make(frame, 4, TCP, 2, 1, 60000);
    uint32_t done = 0;
    struct nic_frame got;

    (void)state;
    nic_send(&nics[0], frame, length, &type, &value, 1);
    fake_host_advance(nics[1].guest.host, 0);
    for (uint32_t bytes = take(1, &got); bytes != 0; bytes = take(1, &got)) {
        assert_int_equal(got.infos[INFO_CHECKSUM], 0x08);
        assert_memory_equal(got.bytes + 54, frame + 54 + done, bytes - 54);
        done += bytes - 54;
    }
    assert_int_equal(done, 60000);
}

/* One that takes nothing loses what does not fit, and the sender goes on. */
static void test_slow_receiver(void **state)
{
    uint32_t length = fake_frame_make(frame, 4, TCP, 2, 1, 1400);

    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        nic_send(&nics[0], frame, length, NULL, NULL, 0);
    }
    assert_int_equal(nics[0].adapter.counts.sent, 2000);
    assert_in_range(ports[1]->dropped, 1000, 1999);
    for (uint32_t i = 0; i < 10; i++) {
        fake_host_advance(nics[1].guest.host, 0);
    }
    assert_int_equal(nics[1].adapter.counts.received + nics[1].adapter.counts.receive_drops + ports[1]->dropped, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_send, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_receiver, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
