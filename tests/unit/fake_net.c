/* SPDX-License-Identifier: MIT */
/* The network of tests, and frames for it. */
#include "tests/unit/fake_net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/be.h"
#include "hv/lib/compiler.h"

static struct fake_net *net_of(struct net_port *port)
{
    return CONTAINER_OF(port, struct fake_net, port);
}

static void keep(struct fake_frame *kept, const struct net_frame *frame)
{
    assert_in_range(frame->length_bytes, NET_HEADER_BYTES, NET_FRAME_BYTES_MAX);
    kept->frame = *frame;
    kept->frame.bytes = kept->bytes;
    memcpy(kept->bytes, frame->bytes, frame->length_bytes);
}

static bool net_send(struct net_port *port, const struct net_frame *frame)
{
    struct fake_net *net = net_of(port);

    if (net->is_full) {
        return false;
    }
    keep(&net->frames[net->sent++ % FAKE_FRAMES_MAX], frame);
    return true;
}

static bool net_take(struct net_port *port, struct net_frame *frame)
{
    struct fake_net *net = net_of(port);

    if (net->taken == net->put) {
        return false;
    }
    *frame = net->queue[net->taken++ % FAKE_FRAMES_MAX].frame;
    return true;
}

void fake_net_create(struct fake_net *net, void (*arrived)(struct net_port *port))
{
    static const struct net_operations operations = {.send = net_send, .take = net_take};

    memset(net, 0, sizeof(*net));
    net->port.arrived = arrived;
    net->port.operations = &operations;
}

void fake_net_put(struct fake_net *net, const struct net_frame *frame)
{
    assert_in_range(net->put - net->taken, 0, FAKE_FRAMES_MAX - 1);
    keep(&net->queue[net->put++ % FAKE_FRAMES_MAX], frame);
    net->port.arrived(&net->port);
}

const struct net_frame *fake_net_sent(const struct fake_net *net, uint32_t index)
{
    assert_in_range(index, net->sent > FAKE_FRAMES_MAX ? net->sent - FAKE_FRAMES_MAX : 0, (uint64_t)net->sent - 1);
    return &net->frames[index % FAKE_FRAMES_MAX].frame;
}

uint32_t fake_frame_make(uint8_t *bytes, uint8_t version, uint8_t protocol, uint8_t to, uint8_t from,
                         uint32_t data_bytes)
{
    uint32_t network_bytes = version == 4 ? 20 : 40;
    uint32_t transport_bytes = (protocol == 6 ? 20 : 8) + data_bytes;
    uint8_t *network = bytes + 14;
    uint8_t *transport = network + network_bytes;

    memset(bytes, 0, 14 + network_bytes + transport_bytes);
    bytes[0] = 2;
    bytes[5] = to;
    bytes[6] = 2;
    bytes[11] = from;
    put_be16(bytes + 12, version == 4 ? 0x0800 : 0x86DD);
    if (version == 4) {
        network[0] = 0x45;
        put_be16(network + 2, network_bytes + transport_bytes);
        put_be16(network + 4, 0x1230);
        network[8] = 64;
        network[9] = protocol;
        put_be32(network + 12, 0x0A000000u + from);
        put_be32(network + 16, 0x0A000000u + to);
    } else {
        network[0] = 0x60;
        put_be16(network + 4, transport_bytes);
        network[6] = protocol;
        network[7] = 64;
        network[8] = 0xFD;
        network[23] = from;
        network[24] = 0xFD;
        network[39] = to;
    }
    put_be16(transport, 1000u + from);
    put_be16(transport + 2, 1000u + to);
    if (protocol == 6) {
        put_be32(transport + 4, 0x11223344);
        transport[12] = 0x50;
        transport[13] = 0x99; /* CWR, ACK, PUSH, FIN */
    } else {
        put_be16(transport + 4, transport_bytes);
    }
    for (uint32_t i = 0; i < data_bytes; i++) {
        transport[transport_bytes - data_bytes + i] = (uint8_t)(i * 7 + i / 256);
    }
    return 14 + network_bytes + transport_bytes;
}

/* Adds up as RFC 1071 says, number by number. */
static uint32_t sum_up(uint32_t sum, const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        sum += i % 2 == 0 ? bytes[i] * 256u : bytes[i];
        sum = sum % 65536 + sum / 65536;
    }
    return sum;
}

bool fake_frame_is_good(const uint8_t *bytes, uint32_t length_bytes)
{
    bool is_4 = bytes[12] == 0x08;
    uint32_t start = is_4 ? 34 : 54;
    uint8_t protocol = is_4 ? bytes[23] : bytes[20];
    uint32_t sum = sum_up(protocol + length_bytes - start, bytes + (is_4 ? 26 : 22), is_4 ? 8 : 32);

    return sum_up(sum, bytes + start, length_bytes - start) == 0xFFFF && (!is_4 || sum_up(0, bytes + 14, 20) == 0xFFFF);
}
