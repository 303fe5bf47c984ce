/* SPDX-License-Identifier: MIT */
/* Asks the guest every two seconds whether it is there. One question at a time: a guest that stands still owes one. */
#include "vmbus/ic/heartbeat.h"

#include "hv/lib/str.h"

#define INTERVAL_100NS UINT64_C(20000000)

static struct heartbeat *heartbeat_of(struct ic *ic)
{
    return CONTAINER_OF(ic, struct heartbeat, ic);
}

static void beat(struct ic *ic)
{
    struct heartbeat *heartbeat = heartbeat_of(ic);
    struct ic_heartbeat body = {.sequence = heartbeat->sequence + 1};

    if (ic_ask(ic, &body, sizeof(body))) {
        heartbeat->sequence = body.sequence;
    }
    ic_set_timer(ic, INTERVAL_100NS);
}

static void begin(struct ic *ic)
{
    heartbeat_of(ic)->answer_count = 0;
    beat(ic);
}

static void answered(struct ic *ic, const struct ic_header *header, const uint8_t *body, uint32_t body_bytes)
{
    struct heartbeat *heartbeat = heartbeat_of(ic);

    (void)header;
    (void)body;
    (void)body_bytes;
    heartbeat->answer_count++;
    heartbeat->answer_time_100ns = host_monotonic_100ns();
}

void heartbeat_init(struct heartbeat *heartbeat, struct host_vm *host)
{
    static const struct ic_version versions[] = {{3, 0}, {1, 0}};
    static const struct ic_service service = {
        .name = "heartbeat",
        .type = {0x57164F39, 0x9115, 0x4E78, {0xAB, 0x55, 0x38, 0x2F, 0x3B, 0xD5, 0x42, 0x2D}},
        .instance = {0xFD149E91, 0x82E0, 0x4A7D, {0xAF, 0xA6, 0x2A, 0x41, 0x66, 0xCB, 0xD7, 0xC0}},
        .message_type = IC_MESSAGE_HEARTBEAT,
        .versions = versions,
        .version_count = ARRAY_SIZE(versions),
        .ready = begin,
        .answered = answered,
        .expired = beat,
    };

    memset(heartbeat, 0, sizeof(*heartbeat));
    ic_init(&heartbeat->ic, host, &service);
}

bool heartbeat_is_in_contact(const struct heartbeat *heartbeat)
{
    return heartbeat->ic.state == IC_READY && heartbeat->answer_count != 0 &&
           host_monotonic_100ns() - heartbeat->answer_time_100ns <= HEARTBEAT_PATIENCE_100NS;
}
