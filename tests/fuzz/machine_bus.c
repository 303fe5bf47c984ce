/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/machine_bus.h"

#include <stdlib.h>
#include <string.h>

#include "hv/lib/bytes.h"
#include "tests/fuzz/fuzz.h"

/* Makes the bus and states what always holds of it. Not here: what is done to it (the targets). */

/* Channels that can ever be in use: each recorder and service, and as many that the guest has not released yet. */
#define CHANNELS_USED 16u
/* Of so many checks one looks at all GPADLs. */
#define GPADL_CHECKS  16u

static struct fuzz_bus fuzz_bus;
static uint32_t checks;

static void take_answer(uint32_t status)
{
    (void)status;
    FUZZ_CHECK(fuzz_bus.host->is_locked && fuzz_bus.owed_answers != 0);
    fuzz_bus.owed_answers--;
}

static void take_shutdown(struct shutdown *shutdown, uint32_t status)
{
    (void)shutdown;
    take_answer(status);
}

static void take_kvp(struct kvp *kvp, const struct kvp_answer *answer)
{
    (void)kvp;
    FUZZ_CHECK(strlen(answer->key) < KVP_KEY_BYTES_MAX && strlen(answer->value) < KVP_VALUE_BYTES_MAX);
    take_answer(answer->status);
}

static void take_vss(struct vss *vss, uint32_t status)
{
    (void)vss;
    take_answer(status);
}

struct fuzz_bus *fuzz_bus_create(void)
{
    struct fuzz_bus *fuzz = &fuzz_bus;
    size_t units = (vmbus_storage_bytes() + VMBUS_STORAGE_ALIGNMENT - 1) / VMBUS_STORAGE_ALIGNMENT;

    if (fuzz->host == NULL) {
        fuzz->host = fake_host_create(FUZZ_BUS_RAM_BYTES);
        fuzz->bus = aligned_alloc(VMBUS_STORAGE_ALIGNMENT, units * VMBUS_STORAGE_ALIGNMENT);
        FUZZ_CHECK(fuzz->bus != NULL);
    }
    memset(fuzz->host->ram, 0, FUZZ_BUS_RAM_BYTES);
    fuzz->host->log[0] = '\0';
    fuzz->host->log_lines = 0;
    fuzz->host->synic.room = UINT32_MAX;
    fuzz->host->synic.connections_allowed = 0;
    fake_now_100ns = 5000000000;
    FUZZ_CHECK(vmbus_create(fuzz->bus, fuzz->host, FUZZ_BUS_VPS) == fuzz->bus);
    memset(fuzz->held, 0, sizeof(fuzz->held));
    checks = 0;
    for (uint8_t i = 0; i < FUZZ_BUS_RECORDERS; i++) {
        recorder_init(&fuzz->recorders[i], i < 4 ? i : 0);
        fuzz->recorders[i].vsp.offer.sub_channel_index = i < 4 ? 0 : i - 3u;
    }
    heartbeat_init(&fuzz->heartbeat, fuzz->host);
    fuzz->owed_answers = 0;
    shutdown_init(&fuzz->shutdown, fuzz->host, take_shutdown);
    timesync_init(&fuzz->timesync, fuzz->host);
    kvp_init(&fuzz->kvp, fuzz->host, take_kvp);
    vss_init(&fuzz->vss, fuzz->host, take_vss);
    keyboard_init(&fuzz->keyboard);
    mouse_init(&fuzz->mouse);
    video_init(&fuzz->video, &(struct video_config){
                                 .host = fuzz->host,
                                 .window_gpa = FUZZ_BUS_WINDOW,
                                 .window_bytes = FUZZ_BUS_WINDOW_BYTES,
                             });
    return fuzz;
}

void fuzz_bus_post(struct fuzz_bus *fuzz, uint32_t connection_id, const uint8_t *bytes, uint32_t length_bytes)
{
    /* Of just that length, so that a read behind it is seen. */
    uint8_t *copy = malloc(length_bytes == 0 ? 1 : length_bytes);

    FUZZ_CHECK(copy != NULL);
    memcpy(copy, bytes, length_bytes);
    host_vm_lock(fuzz->host);
    vmbus_message(fuzz->bus, connection_id, VMBUS_MESSAGE_TYPE, copy, length_bytes);
    host_vm_unlock(fuzz->host);
    free(copy);
}

/* Uses of a GPADL that we know of. */
static uint32_t known_uses(const struct fuzz_bus *fuzz, const struct gpadl *gpadl)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < CHANNELS_USED; i++) {
        count += fuzz->bus->channels[i].ring_gpadl == gpadl;
    }
    for (uint32_t i = 0; i < FUZZ_BUS_RECORDERS; i++) {
        count += fuzz->held[i] == gpadl;
    }
    return count;
}

static void check_gpadls(const struct fuzz_bus *fuzz)
{
    struct gpadl_table *table = &fuzz->bus->gpadls;
    size_t blocks = 0;

    for (uint32_t i = 0; i < VMBUS_GPADLS_MAX; i++) {
        const struct gpadl *gpadl = &table->gpadls[i];

        if (gpadl->state == GPADL_FREE) {
            continue;
        }
        blocks += (gpadl->page_count + GPADL_PAGES_PER_BLOCK - 1) / GPADL_PAGES_PER_BLOCK;
        FUZZ_CHECK(gpadl->pages_received <= gpadl->page_count);
        FUZZ_CHECK((gpadl->pages_received == gpadl->page_count) == (gpadl->state != GPADL_ASSEMBLING));
        FUZZ_CHECK(chan_is_held(&fuzz->bus->channels[gpadl->relid - 1]));
        FUZZ_CHECK(gpadl->use_count == known_uses(fuzz, gpadl));
        FUZZ_CHECK(gpadl->state != GPADL_TEARING_DOWN || gpadl->use_count != 0);
    }
    FUZZ_CHECK(bitmap_count(table->blocks_used, GPADL_BLOCK_COUNT) == blocks);
}

static void check_channel(const struct fuzz_bus *fuzz, const struct channel *channel)
{
    bool is_running = channel->state == VMBUS_CHANNEL_OPEN || channel->state == VMBUS_CHANNEL_CLOSING;

    FUZZ_CHECK(is_running == (channel->ring_gpadl != NULL));
    FUZZ_CHECK(!is_running || channel->vsp != NULL);
    FUZZ_CHECK(channel->state != VMBUS_CHANNEL_FREE || channel->vsp == NULL);
    FUZZ_CHECK(channel->state != VMBUS_CHANNEL_HIDDEN || channel->vsp != NULL);
    FUZZ_CHECK(channel->vsp == NULL || channel->vsp->channel == channel);
    /* A guest that is being disconnected is not told any more, and cannot ask. */
    FUZZ_CHECK(channel->state != VMBUS_CHANNEL_CLOSED || channel->vsp != NULL || channel->is_rescinded ||
               fuzz->bus->connection.state == CONNECTION_ENDING);
    FUZZ_CHECK(!chan_is_held(channel) || fuzz->bus->connection.state != CONNECTION_NONE);
    FUZZ_CHECK(!channel->has_waiting_open || channel->state == VMBUS_CHANNEL_CLOSING);
    for (const struct channel *other = fuzz->bus->channels; other < channel; other++) {
        FUZZ_CHECK(!chan_is_held(channel) || !chan_is_held(other) || !guid_equal(&channel->type, &other->type) ||
                   !guid_equal(&channel->instance, &other->instance) ||
                   channel->sub_channel_index != other->sub_channel_index);
    }
}

/* What the guest got is what hosts send, in full length, and with nothing but zeros where nothing was said. */
static void check_message(const struct fake_message *message)
{
    static const uint32_t lengths[] = {
        [2] = 12, [4] = 8, [6] = 20, [10] = 20, [12] = 12, [17] = 8, [23] = 44, [24] = 16};
    uint32_t type = get_u32(message->payload);

    FUZZ_CHECK(message->vp_index < FUZZ_BUS_VPS && message->sint < 16 && message->type == 1);
    FUZZ_CHECK(get_u32(message->payload + 4) == 0);
    if (type == 1) {
        FUZZ_CHECK(message->length_bytes == 196 || message->length_bytes == 189);
    } else if (type == 15) {
        FUZZ_CHECK(message->length_bytes == 16 || message->length_bytes == 20);
        FUZZ_CHECK(get_u32(message->payload + 12) != 0 || message->payload[8] == 0);
    } else {
        FUZZ_CHECK(type < sizeof(lengths) / sizeof(lengths[0]) && lengths[type] != 0);
        FUZZ_CHECK(message->length_bytes == lengths[type]);
    }
}

void fuzz_bus_check(struct fuzz_bus *fuzz)
{
    struct fake_synic *synic = &fuzz->host->synic;
    const struct connection *connection = &fuzz->bus->connection;
    uint32_t open = 0;

    FUZZ_CHECK(!fuzz->host->is_locked);
    for (uint32_t i = 0; i < CHANNELS_USED; i++) {
        check_channel(fuzz, &fuzz->bus->channels[i]);
        open += fuzz->bus->channels[i].state == VMBUS_CHANNEL_OPEN;
    }
    FUZZ_CHECK(fuzz->bus->channels[CHANNELS_USED].state == VMBUS_CHANNEL_FREE);
    if (checks++ % GPADL_CHECKS == 0) {
        check_gpadls(fuzz);
    }
    open += connection->state != CONNECTION_NONE && connection->version == VMBUS_VERSION_WS2008;
    FUZZ_CHECK(synic->connection_count == 2 + open);
    for (; synic->taken != synic->posted; synic->taken++) {
        check_message(&synic->messages[synic->taken % FAKE_MESSAGES_MAX]);
    }
    /* One line for each cause at most. */
    FUZZ_CHECK(fuzz->host->log_lines < REFUSAL_COUNT);
}

void fuzz_bus_destroy(struct fuzz_bus *fuzz)
{
    host_vm_lock(fuzz->host);
    vmbus_reset(fuzz->bus);
    for (uint32_t i = 0; i < FUZZ_BUS_RECORDERS; i++) {
        struct vsp *vsp = &fuzz->recorders[i].vsp;

        if (fuzz->held[i] != NULL) {
            vsp_put_gpadl(vsp, fuzz->held[i]);
            fuzz->held[i] = NULL;
        }
        if (vsp->channel != NULL && vsp->channel->state == VMBUS_CHANNEL_CLOSING) {
            vsp_closed(vsp);
        }
    }
    host_vm_unlock(fuzz->host);
    fuzz_bus_check(fuzz);
    FUZZ_CHECK(vmbus_is_quiet(fuzz->bus) && fuzz->owed_answers == 0);
    FUZZ_CHECK(fuzz->bus->connection.state == CONNECTION_NONE);
    FUZZ_CHECK(bitmap_is_empty(fuzz->bus->gpadls.blocks_used, GPADL_BLOCK_COUNT));
    host_vm_lock(fuzz->host);
    vmbus_destroy(fuzz->bus);
    host_vm_unlock(fuzz->host);
    FUZZ_CHECK(fuzz->host->synic.connection_count == 0);
    FUZZ_CHECK(fake_host_armed_timers(fuzz->host) == 0);
}
