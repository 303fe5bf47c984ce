/* SPDX-License-Identifier: MIT */
/* Asks the guest to end. Whether it does, the machine's power management shows; here is only its answer. */
#include "vmbus/ic/shutdown.h"

#include "hv/lib/str.h"

/* How long a user of the guest may take to save his work. */
#define TIMEOUT_SECONDS 300u

static struct shutdown *shutdown_of(struct ic *ic)
{
    return CONTAINER_OF(ic, struct shutdown, ic);
}

static void answered(struct ic *ic, const struct ic_header *header, const uint8_t *body, uint32_t body_bytes)
{
    (void)body;
    (void)body_bytes;
    shutdown_of(ic)->answered(shutdown_of(ic), header->status);
}

static void left(struct ic *ic)
{
    shutdown_of(ic)->answered(shutdown_of(ic), IC_STATUS_FAILED);
}

void shutdown_init(struct shutdown *shutdown, struct host_vm *host,
                   void (*on_answer)(struct shutdown *shutdown, uint32_t status))
{
    static const struct ic_version versions[] = {{3, 2}, {3, 1}, {3, 0}, {1, 0}};
    static const struct ic_service service = {
        .name = "shutdown",
        .type = {0x0E0B6031, 0x5213, 0x4934, {0x81, 0x8B, 0x38, 0xD9, 0x0C, 0xED, 0x39, 0xDB}},
        .instance = {0xB6650FF7, 0x33BC, 0x4840, {0x80, 0x48, 0xE0, 0x67, 0x67, 0x86, 0xF3, 0x93}},
        .message_type = IC_MESSAGE_SHUTDOWN,
        .versions = versions,
        .version_count = ARRAY_SIZE(versions),
        .answered = answered,
        .left = left,
    };

    memset(shutdown, 0, sizeof(*shutdown));
    shutdown->answered = on_answer;
    ic_init(&shutdown->ic, host, &service);
}

bool shutdown_request(struct shutdown *shutdown, bool is_restart, bool is_forced)
{
    struct ic_shutdown body = {
        .reason = IC_SHUTDOWN_REASON_PLANNED,
        .timeout_seconds = TIMEOUT_SECONDS,
        .flags = (is_restart ? IC_SHUTDOWN_RESTART : 0) | (is_forced ? IC_SHUTDOWN_FORCE : 0),
    };

    return ic_ask(&shutdown->ic, &body, sizeof(body));
}
