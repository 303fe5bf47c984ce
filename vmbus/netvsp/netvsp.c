/* SPDX-License-Identifier: MIT */
/*
 * The adapter: its channels, NVSP messages, and whose turn it is. Frames are netvsp_transmit.c's and
 * netvsp_receive.c's, what is asked and set by RNDIS is rndis.c's and oid.c's.
 */
#include "vmbus/netvsp/netvsp.h"

#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/netvsp/netvsp_parts.h"
#include "vmbus/proto/netvsp.h"

/* Frames from one channel before those that others have sent are looked at. */
#define TURN_FRAMES       64u
#define MESSAGE_BYTES_MIN 8u
#define MDL_CHAIN_MAX     34u
#define VERSION_NONE      0xFFFFFFFFu

/* f8615163-df3e-46c5-913f-f2d2f965ed0e */
static const struct guid network_adapter_type = {
    0xF8615163,
    0xDF3E,
    0x46C5,
    {0x91, 0x3F, 0xF2, 0xD2, 0xF9, 0x65, 0xED, 0x0E},
};

static struct netvsp_channel *channel_of(struct vsp *vsp)
{
    return CONTAINER_OF(vsp, struct netvsp_channel, vsp);
}

/* The newest version that both have; 0: there is none. */
static uint32_t choose_version(uint32_t version_min, uint32_t version_max)
{
    static const uint32_t versions[] = {NVSP_VERSION_6_1, NVSP_VERSION_6, NVSP_VERSION_5,
                                        NVSP_VERSION_4,   NVSP_VERSION_2, NVSP_VERSION_1};

    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        if (versions[i] >= version_min && versions[i] <= version_max) {
            return versions[i];
        }
    }
    return 0;
}

static bool initialize(struct netvsp *adapter, const struct nvsp_message *message, struct nvsp_message *answer)
{
    if (adapter->version != 0) {
        return false;
    }
    adapter->version = choose_version(message->init.version_min, message->init.version_max);
    answer->type = NVSP_INIT_COMPLETE;
    answer->init_complete.version = adapter->version == NVSP_VERSION_1 ? NVSP_VERSION_1 : VERSION_NONE;
    answer->init_complete.mdl_chain_max = MDL_CHAIN_MAX;
    answer->init_complete.status = adapter->version != 0 ? NVSP_STATUS_SUCCESS : NVSP_STATUS_NONE;
    return true;
}

/* What the sections of the receive buffer have to hold follows from it, so it comes before that. */
static bool configure(struct netvsp *adapter, const struct nvsp_message *message)
{
    uint32_t frame_bytes = message->ndis_config.mtu_bytes;

    if (adapter->version < NVSP_VERSION_2 || adapter->receive_buffer != NULL) {
        return false;
    }
    if (frame_bytes >= NET_HEADER_BYTES + NET_MTU_DEFAULT) {
        adapter->mtu = min_u32(frame_bytes - NET_HEADER_BYTES, NET_MTU_MAX);
    }
    return true;
}

static bool take_receive_buffer(struct netvsp *adapter, const struct nvsp_message *message, struct nvsp_message *answer)
{
    struct vsp *vsp = &adapter->channels[0].vsp;
    struct gpadl *buffer;

    if (adapter->version == 0 || adapter->receive_buffer != NULL) {
        return false;
    }
    answer->type = NVSP_RECEIVE_BUFFER_COMPLETE;
    answer->receive_buffer_complete.status = NVSP_STATUS_FAIL;
    buffer = vsp_get_gpadl(vsp, message->buffer.gpadl_id);
    if (buffer == NULL) {
        return true;
    }
    if (!netvsp_use_receive_buffer(adapter, buffer, message->buffer.id)) {
        vsp_put_gpadl(vsp, buffer);
        return true;
    }
    answer->receive_buffer_complete.status = NVSP_STATUS_SUCCESS;
    answer->receive_buffer_complete.section_count = 1;
    answer->receive_buffer_complete.section_bytes = adapter->section_bytes;
    answer->receive_buffer_complete.sub_allocation_count = adapter->free_section_count;
    answer->receive_buffer_complete.end_offset_bytes = adapter->section_bytes * adapter->free_section_count;
    return true;
}

static bool take_send_buffer(struct netvsp *adapter, const struct nvsp_message *message, struct nvsp_message *answer)
{
    if (adapter->version == 0 || adapter->send_buffer != NULL) {
        return false;
    }
    adapter->send_buffer = vsp_get_gpadl(&adapter->channels[0].vsp, message->buffer.gpadl_id);
    answer->type = NVSP_SEND_BUFFER_COMPLETE;
    answer->send_buffer_complete.status = adapter->send_buffer != NULL ? NVSP_STATUS_SUCCESS : NVSP_STATUS_FAIL;
    answer->send_buffer_complete.section_bytes = NETVSP_SEND_SECTION_BYTES;
    return true;
}

static void drop_send_buffer(struct netvsp *adapter)
{
    if (adapter->send_buffer != NULL) {
        vsp_put_gpadl(&adapter->channels[0].vsp, adapter->send_buffer);
        adapter->send_buffer = NULL;
    }
}

/* Offers `count` sub-channels; false, with none of them offered, when that cannot be. */
static bool offer_sub_channels(struct netvsp *adapter, uint32_t count)
{
    for (uint32_t i = 1; i <= count; i++) {
        struct vsp *vsp = &adapter->channels[i].vsp;

        if (vsp->channel != NULL || !vsp_offer(adapter->config.bus, vsp)) {
            while (--i != 0) {
                vsp_rescind(&adapter->channels[i].vsp);
            }
            return false;
        }
    }
    return true;
}

/* Linux waits for just as many channels as the answer says; once for each opening. */
static bool allocate_sub_channels(struct netvsp *adapter, const struct nvsp_message *message,
                                  struct nvsp_message *answer)
{
    uint32_t count = min_u32(message->sub_channel.count, adapter->config.sub_channels_max);

    if (adapter->version < NVSP_VERSION_5) {
        return false;
    }
    answer->type = NVSP_SUBCHANNEL;
    answer->sub_channel_complete.status = NVSP_STATUS_FAIL;
    if (message->sub_channel.operation == NVSP_SUBCHANNEL_ALLOCATE && count != 0 && adapter->sub_channel_count == 0 &&
        offer_sub_channels(adapter, count)) {
        adapter->sub_channel_count = count;
        adapter->is_table_due = true;
        answer->sub_channel_complete.status = NVSP_STATUS_SUCCESS;
        answer->sub_channel_complete.count = count;
    }
    return true;
}

/* Tells the guest how to spread what it sends, as soon as all channels are open and there is room. */
static void send_table(struct netvsp *adapter)
{
    struct nvsp_indirection_table table = {
        .type = NVSP_SEND_INDIRECTION_TABLE,
        .count = NVSP_INDIRECTION_COUNT,
        .offset_bytes = offsetof(struct nvsp_indirection_table, channels),
    };
    const struct vsp_write write = {
        .type = VMBUS_PACKET_IN_BAND,
        .payload = &table,
        .payload_bytes = sizeof(table),
    };

    for (uint32_t i = 0; i <= adapter->sub_channel_count; i++) {
        if (!adapter->is_table_due || !adapter->channels[i].is_open) {
            return;
        }
    }
    for (uint32_t i = 0; i < NVSP_INDIRECTION_COUNT; i++) {
        table.channels[i] = i % (adapter->sub_channel_count + 1);
    }
    adapter->is_table_due = vsp_write_packet(&adapter->channels[0].vsp, &write) == VSP_FULL;
}

/*
 * Takes a message; an answer that has a type goes to the guest if it wants one. False: the guest broke the protocol.
 * Messages that are not known are answered with nothing: they are about what was not agreed upon.
 */
static bool take_message(struct netvsp_channel *channel, const struct nvsp_message *message,
                         const struct gpa_ranges *ranges, struct nvsp_message *answer)
{
    struct netvsp *adapter = channel->adapter;

    if (message->type == NVSP_SEND_RNDIS_PACKET) {
        answer->type = NVSP_RNDIS_PACKET_COMPLETE;
        answer->status = netvsp_transmit(channel, message, ranges);
        return adapter->version != 0;
    }
    if (channel != &adapter->channels[0]) {
        return false;
    }
    switch (message->type) {
    case NVSP_INIT:
        return initialize(adapter, message, answer);
    case NVSP_SEND_NDIS_CONFIG:
        return configure(adapter, message);
    case NVSP_SEND_RECEIVE_BUFFER:
        return take_receive_buffer(adapter, message, answer);
    case NVSP_REVOKE_RECEIVE_BUFFER:
        netvsp_drop_receive_buffer(adapter);
        return true;
    case NVSP_SEND_SEND_BUFFER:
        return take_send_buffer(adapter, message, answer);
    case NVSP_REVOKE_SEND_BUFFER:
        drop_send_buffer(adapter);
        return true;
    case NVSP_SUBCHANNEL:
        return allocate_sub_channels(adapter, message, answer);
    default:
        return true;
    }
}

/* Puts a completion that waits into the ring; false when there is no room. A channel that closes takes it too. */
static bool send_completion(struct netvsp_channel *channel)
{
    if (channel->has_completion) {
        channel->has_completion = vsp_complete_packet(&channel->vsp, channel->completion_id, channel->completion,
                                                      channel->completion_bytes) == VSP_FULL;
    }
    return !channel->has_completion;
}

static void take_packet(struct netvsp_channel *channel, const struct vsp_packet *packet)
{
    struct netvsp *adapter = channel->adapter;
    struct nvsp_message message = {0}, answer = {0};

    if (packet->type == VMBUS_PACKET_COMPLETION) {
        netvsp_free_section(channel, packet->transaction_id);
        return;
    }
    memcpy(&message, packet->payload, min_u32(packet->payload_bytes, sizeof(message)));
    if (packet->payload_bytes < MESSAGE_BYTES_MIN || !take_message(channel, &message, &packet->ranges, &answer)) {
        vsp_fault(&channel->vsp);
        return;
    }
    if (packet->wants_completion) {
        channel->has_completion = true;
        channel->completion_id = packet->transaction_id;
        channel->completion_bytes = adapter->version < NVSP_VERSION_6_1 ? NVSP_MESSAGE_BYTES : NVSP_MESSAGE_6_1_BYTES;
        if (answer.type == 0) {
            channel->completion_bytes = 0;
        }
        memcpy(channel->completion, &answer, sizeof(answer));
    }
}

/* Reads packets while there are any, and the turn lasts. */
static void serve_channel(struct netvsp_channel *channel)
{
    struct netvsp *adapter = channel->adapter;
    struct vsp_packet packet;

    channel->is_waiting = false;
    adapter->frames_left = TURN_FRAMES;
    /* A completion that waits keeps us from reading: there is a signal when there is room. */
    while (channel->is_open && send_completion(channel)) {
        netvsp_send_answers(adapter);
        if (adapter->frames_left == 0) {
            channel->is_waiting = true;
            host_timer_arm(&adapter->timer, host_monotonic_100ns());
            return;
        }
        if (vsp_read_packet(&channel->vsp, adapter->packet, sizeof(adapter->packet), &packet) != VSP_OK) {
            return;
        }
        take_packet(channel, &packet);
    }
}

/* There are packets, or room. */
static void channel_signalled(struct vsp *vsp)
{
    struct netvsp_channel *channel = channel_of(vsp);

    serve_channel(channel);
    send_table(channel->adapter);
}

static void timer_expired(struct host_timer *timer)
{
    struct netvsp *adapter = CONTAINER_OF(timer, struct netvsp, timer);

    host_vm_lock(timer->host);
    if (netvsp_receive(adapter)) {
        host_timer_arm(timer, host_monotonic_100ns());
    }
    for (uint32_t i = 0; i < NETVSP_CHANNELS_MAX; i++) {
        if (adapter->channels[i].is_waiting) {
            channel_signalled(&adapter->channels[i].vsp);
        }
    }
    host_vm_unlock(timer->host);
}

static bool open_channel(struct vsp *vsp, const uint8_t *user_data)
{
    struct netvsp_channel *channel = channel_of(vsp);
    struct netvsp *adapter = channel->adapter;

    (void)user_data;
    channel->is_open = true;
    if (channel == &adapter->channels[0]) {
        adapter->version = 0;
        adapter->mtu = NET_MTU_DEFAULT;
        adapter->sub_channel_count = 0;
        adapter->is_table_due = false;
        adapter->answer_count = 0;
        netvsp_halt(adapter);
    }
    return true;
}

static void close_channel(struct vsp *vsp)
{
    struct netvsp_channel *channel = channel_of(vsp);
    struct netvsp *adapter = channel->adapter;

    channel->is_open = false;
    channel->is_waiting = false;
    channel->has_completion = false;
    netvsp_free_sections(channel);
    if (channel == &adapter->channels[0]) {
        netvsp_drop_receive_buffer(adapter);
        drop_send_buffer(adapter);
        netvsp_halt(adapter);
    }
    vsp_closed(vsp);
}

bool netvsp_create(struct netvsp *adapter, const struct netvsp_config *config)
{
    static const struct vsp_operations operations = {
        .open = open_channel,
        .close = close_channel,
        .signalled = channel_signalled,
    };

    memset(adapter, 0, sizeof(*adapter));
    adapter->config = *config;
    adapter->is_link_up = true;
    host_timer_init(&adapter->timer, config->host, timer_expired);
    for (uint32_t i = 0; i < NETVSP_CHANNELS_MAX; i++) {
        struct netvsp_channel *channel = &adapter->channels[i];

        channel->adapter = adapter;
        channel->vsp.operations = &operations;
        channel->vsp.name = "netvsp";
        channel->vsp.offer.type = network_adapter_type;
        channel->vsp.offer.instance = config->instance;
        channel->vsp.offer.sub_channel_index = (uint16_t)i;
    }
    return vsp_offer(config->bus, &adapter->channels[0].vsp);
}

void netvsp_destroy(struct netvsp *adapter)
{
    host_timer_cancel(&adapter->timer);
}

void netvsp_rescind(struct netvsp *adapter)
{
    vsp_rescind(&adapter->channels[0].vsp);
}

bool netvsp_is_quiet(const struct netvsp *adapter)
{
    for (uint32_t i = 0; i < NETVSP_CHANNELS_MAX; i++) {
        if (adapter->channels[i].is_open) {
            return false;
        }
    }
    return true;
}

void netvsp_arrived(struct netvsp *adapter)
{
    host_timer_arm(&adapter->timer, host_monotonic_100ns());
}

void netvsp_set_link(struct netvsp *adapter, bool is_up)
{
    adapter->is_link_up = is_up;
    netvsp_send_answers(adapter);
}
