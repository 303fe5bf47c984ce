/* SPDX-License-Identifier: MIT */
/*
 * Sends the wall clock to the guest: once to be set, when the guest begins to listen or has missed time, and then
 * every five seconds as a sample, with which it does what it likes.
 *
 * Version 4.0 wants the child's reference counter beside the time, which is not to be had through host.h. In 3.0 and
 * 1.0 the guest takes the time of arrival instead.
 */
#include "vmbus/ic/timesync.h"

#include "hv/lib/str.h"

#define INTERVAL_100NS   UINT64_C(50000000)
#define SECOND_100NS     UINT64_C(10000000)
/* From 1601-01-01 to 1970-01-01. */
#define UNIX_EPOCH_100NS UINT64_C(116444736000000000)

static struct timesync *timesync_of(struct ic *ic)
{
    return CONTAINER_OF(ic, struct timesync, ic);
}

static void send_time(struct ic *ic)
{
    struct timesync *timesync = timesync_of(ic);
    struct ic_time_sync body;

    memset(&body, 0, sizeof(body));
    body.host_time = UNIX_EPOCH_100NS + (uint64_t)host_wall_clock_seconds() * SECOND_100NS;
    body.flags = timesync->is_step_due ? IC_TIME_SYNC_SYNC : IC_TIME_SYNC_SAMPLE;
    if (ic_ask(ic, &body, IC_TIME_SYNC_BYTES)) {
        timesync->is_step_due = false;
    }
    ic_set_timer(ic, INTERVAL_100NS);
}

static void begin(struct ic *ic)
{
    timesync_of(ic)->is_step_due = true;
    send_time(ic);
}

static void answered(struct ic *ic, const struct ic_header *header, const uint8_t *body, uint32_t body_bytes)
{
    struct timesync *timesync = timesync_of(ic);

    (void)header;
    (void)body;
    (void)body_bytes;
    timesync->answer_count++;
    if (timesync->is_step_due) {
        send_time(ic);
    }
}

void timesync_init(struct timesync *timesync, struct host_vm *host)
{
    static const struct ic_version versions[] = {{3, 0}, {1, 0}};
    static const struct ic_service service = {
        .name = "time synchronisation",
        .type = {0x9527E630, 0xD0AE, 0x497B, {0xAD, 0xCE, 0xE8, 0x0A, 0xB0, 0x17, 0x5C, 0xAF}},
        .instance = {0x2DD1CE17, 0x079E, 0x403C, {0xB3, 0x52, 0xA1, 0x92, 0x1E, 0xE2, 0x07, 0xEE}},
        .message_type = IC_MESSAGE_TIME_SYNC,
        .versions = versions,
        .version_count = ARRAY_SIZE(versions),
        .ready = begin,
        .answered = answered,
        .expired = send_time,
    };

    memset(timesync, 0, sizeof(*timesync));
    ic_init(&timesync->ic, host, &service);
}

void timesync_step(struct timesync *timesync)
{
    timesync->is_step_due = true;
    if (timesync->ic.state == IC_READY) {
        send_time(&timesync->ic);
    }
}
