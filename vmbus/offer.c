/* SPDX-License-Identifier: MIT */
/*
 * Offers channels to the guest and takes them back. A guest must never hold two relids of the same type, instance and
 * sub-channel index, so an offer waits until an earlier one is released.
 */
#include "vmbus/offer.h"

#include "hv/lib/str.h"
#include "vmbus/bus.h"
#include "vmbus/vsp.h"

static bool is_same_device(const struct channel *a, const struct channel *b)
{
    return guid_equal(&a->type, &b->type) && guid_equal(&a->instance, &b->instance);
}

/* The guest holds another relid of the same identity. */
static bool is_identity_held(const struct vmbus *bus, const struct channel *channel)
{
    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        const struct channel *other = &bus->channels[i];

        if (other != channel && chan_is_held(other) && is_same_device(other, channel) &&
            other->sub_channel_index == channel->sub_channel_index) {
            return true;
        }
    }
    return false;
}

static void send_offer(struct channel *channel)
{
    const struct vsp_offer *offer = &channel->vsp->offer;
    bool is_first_version = channel->bus->connection.version < VMBUS_VERSION_WIN7;
    struct vmbus_offer_channel message;

    memset(&message, 0, sizeof(message));
    message.header.type = VMBUS_OFFER_CHANNEL;
    message.type = offer->type;
    message.instance = offer->instance;
    message.flags = offer->flags;
    message.mmio_megabytes = offer->mmio_megabytes;
    memcpy(message.user_data, offer->user_data, sizeof(message.user_data));
    message.sub_channel_index = offer->sub_channel_index;
    message.relid = channel->relid;
    message.monitor_id = VMBUS_MONITOR_NONE;
    message.is_dedicated_interrupt = 1;
    message.connection_id = chan_connection_id(channel->relid);
    channel->state = VMBUS_CHANNEL_CLOSED;
    outbox_post(channel->bus, &message,
                is_first_version ? VMBUS_OFFER_CHANNEL_BYTES_WS2008 : VMBUS_OFFER_CHANNEL_BYTES);
}

void offer_pending(struct vmbus *bus)
{
    if (bus->connection.state != CONNECTION_OFFERED) {
        return;
    }
    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        struct channel *channel = &bus->channels[i];

        if (channel->state == VMBUS_CHANNEL_HIDDEN && !channel->is_faulty && !is_identity_held(bus, channel)) {
            send_offer(channel);
        }
    }
}

void offer_detach(struct channel *channel)
{
    if (channel->vsp != NULL) {
        channel->vsp->channel = NULL;
        channel->vsp = NULL;
    }
    channel->is_detaching = false;
    if (!chan_is_held(channel)) {
        channel->state = VMBUS_CHANNEL_FREE;
    }
}

void offer_rescind(struct channel *channel, bool is_detaching)
{
    bool is_told = channel->is_rescinded || channel->bus->connection.state == CONNECTION_ENDING;

    channel->has_waiting_open = false;
    channel->is_detaching = channel->is_detaching || is_detaching;
    if (chan_is_held(channel) && !is_told) {
        struct vmbus_relid_message message = {
            .header.type = VMBUS_RESCIND_CHANNEL_OFFER,
            .relid = channel->relid,
        };

        channel->is_rescinded = true;
        outbox_post(channel->bus, &message, sizeof(message));
    }
    if (channel->state == VMBUS_CHANNEL_OPEN) {
        chan_stop(channel);
    } else if (channel->is_detaching && channel->state != VMBUS_CHANNEL_CLOSING) {
        offer_detach(channel);
    }
}

void offer_rescind_sub_channels(struct channel *channel)
{
    struct vmbus *bus = channel->bus;

    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        struct channel *other = &bus->channels[i];

        if (other->state != VMBUS_CHANNEL_FREE && other->sub_channel_index != 0 && is_same_device(other, channel)) {
            offer_rescind(other, true);
        }
    }
}

void offer_rescind_device(struct channel *channel)
{
    struct vmbus *bus = channel->bus;

    offer_rescind_sub_channels(channel);
    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        struct channel *other = &bus->channels[i];

        if (other->state != VMBUS_CHANNEL_FREE && other->sub_channel_index == 0 && is_same_device(other, channel)) {
            other->is_faulty = true;
            offer_rescind(other, false);
        }
    }
}

void offer_released(struct channel *channel)
{
    gpadl_free_all(&channel->bus->gpadls, channel->relid);
    channel->is_rescinded = false;
    channel->is_released = false;
    channel->has_waiting_open = false;
    channel->state = channel->vsp != NULL ? VMBUS_CHANNEL_HIDDEN : VMBUS_CHANNEL_FREE;
}

/* The primary channel of the device is open for this guest. */
static bool is_primary_open(const struct vmbus *bus, const struct vsp_offer *offer)
{
    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        const struct channel *channel = &bus->channels[i];

        if (channel->state == VMBUS_CHANNEL_OPEN && channel->sub_channel_index == 0 &&
            guid_equal(&channel->type, &offer->type) && guid_equal(&channel->instance, &offer->instance)) {
            return true;
        }
    }
    return false;
}

/* A provider has such a channel already, and has not given it up. */
static bool is_offered(const struct vmbus *bus, const struct vsp_offer *offer)
{
    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        const struct channel *channel = &bus->channels[i];

        if (channel->vsp != NULL && !channel->is_detaching && guid_equal(&channel->type, &offer->type) &&
            guid_equal(&channel->instance, &offer->instance) &&
            channel->sub_channel_index == offer->sub_channel_index) {
            return true;
        }
    }
    return false;
}

bool vsp_offer(struct vmbus *bus, struct vsp *vsp)
{
    struct channel *channel = NULL;

    if (vsp->channel != NULL || is_offered(bus, &vsp->offer) ||
        (vsp->offer.sub_channel_index != 0 && !is_primary_open(bus, &vsp->offer))) {
        return false;
    }
    for (uint32_t i = 0; i < VMBUS_CHANNELS_MAX && channel == NULL; i++) {
        if (bus->channels[i].state == VMBUS_CHANNEL_FREE) {
            channel = &bus->channels[i];
            *channel = (struct channel){.bus = bus, .relid = i + 1};
        }
    }
    if (channel == NULL) {
        return false;
    }
    channel->vsp = vsp;
    channel->state = VMBUS_CHANNEL_HIDDEN;
    channel->type = vsp->offer.type;
    channel->instance = vsp->offer.instance;
    channel->sub_channel_index = vsp->offer.sub_channel_index;
    vsp->channel = channel;
    offer_pending(bus);
    return true;
}

void vsp_rescind(struct vsp *vsp)
{
    if (vsp->channel == NULL) {
        return;
    }
    if (vsp->channel->sub_channel_index == 0) {
        offer_rescind_sub_channels(vsp->channel);
    }
    offer_rescind(vsp->channel, true);
}
