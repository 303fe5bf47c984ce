/* SPDX-License-Identifier: MIT */
/*
 * Opens, closes, moves and releases channels as the guest asks for it, and gives their providers turns. Offers are
 * offer.c's, packets vsp.c's.
 */
#include "vmbus/channel.h"

#include "hv/lib/addr.h"
#include "vmbus/bus.h"
#include "vmbus/offer.h"
#include "vmbus/vsp.h"
#include "vmbus/window.h"

/* The channel that a message names, which the guest holds; refuses others. */
static struct channel *find_held(struct vmbus *bus, uint32_t relid)
{
    struct channel *channel = bus_find_channel(bus, relid);

    if (channel == NULL || !chan_is_held(channel)) {
        refuse(bus, REFUSE_RELID, relid);
        return NULL;
    }
    return channel;
}

static void answer_open(struct vmbus *bus, const struct vmbus_open_channel *open, uint32_t status)
{
    struct vmbus_open_channel_result message = {
        .header.type = VMBUS_OPEN_CHANNEL_RESULT,
        .relid = open->relid,
        .open_id = open->open_id,
        .status = status,
    };

    outbox_post(bus, &message, sizeof(message));
}

/* Makes the two rings out of the ring GPADL. */
static enum refusal open_rings(struct channel *channel, const struct gpadl *gpadl, uint32_t downstream_offset_pages)
{
    enum refusal cause;

    if (gpadl->byte_offset != 0 || !is_aligned_u64(gpadl->byte_count, PAGE_SIZE)) {
        return REFUSE_OPEN_GPADL;
    }
    if (downstream_offset_pages < 2 || gpadl->page_count < 2 || downstream_offset_pages > gpadl->page_count - 2) {
        return REFUSE_OPEN_OFFSET;
    }
    cause = ring_open_incoming(&channel->incoming, gpadl, 0, downstream_offset_pages);
    if (cause != REFUSE_NONE) {
        return cause;
    }
    return ring_open_outgoing(&channel->outgoing, gpadl, downstream_offset_pages,
                              gpadl->page_count - downstream_offset_pages);
}

/* All that can be wrong with an opening; makes the rings. */
static enum refusal prepare_open(struct channel *channel, const struct vmbus_open_channel *open, struct gpadl **gpadl)
{
    struct vmbus *bus = channel->bus;

    if (channel->state != VMBUS_CHANNEL_CLOSED || channel->is_faulty) {
        return REFUSE_CHANNEL_STATE;
    }
    if (bus->connection.version >= VMBUS_VERSION_WIN8 && open->target_vp >= bus->vp_count &&
        open->target_vp != VMBUS_VP_NONE) {
        return REFUSE_TARGET_VP;
    }
    *gpadl = gpadl_find(&bus->gpadls, channel->relid, open->gpadl_id);
    if (*gpadl == NULL || (*gpadl)->state != GPADL_READY) {
        return REFUSE_OPEN_GPADL;
    }
    return open_rings(channel, *gpadl, open->downstream_offset_pages);
}

/* Takes what the channel needs of the hypervisor and of the device, or nothing. */
static enum refusal take_connection_and_device(struct channel *channel, const struct vmbus_open_channel *open)
{
    uint32_t connection_id = chan_connection_id(channel->relid);

    if (host_open_event_connection(channel->bus->host, connection_id) != HV_STATUS_SUCCESS) {
        return REFUSE_OPEN_CONNECTION;
    }
    if (!channel->vsp->operations->open(channel->vsp, open->user_data)) {
        host_close_connection(channel->bus->host, connection_id);
        return REFUSE_OPEN_DEVICE;
    }
    return REFUSE_NONE;
}

/* Opens a channel and answers. */
static void start(struct channel *channel, const struct vmbus_open_channel *open)
{
    struct vmbus *bus = channel->bus;
    struct gpadl *gpadl;
    enum refusal cause = prepare_open(channel, open, &gpadl);

    if (cause == REFUSE_NONE) {
        cause = take_connection_and_device(channel, open);
    }
    if (cause != REFUSE_NONE) {
        refuse(bus, cause, channel->relid);
        answer_open(bus, open, VMBUS_STATUS_UNSUCCESSFUL);
        return;
    }
    gpadl->use_count++;
    channel->ring_gpadl = gpadl;
    channel->target_vp = bus->connection.version < VMBUS_VERSION_WIN8 ? 0 : open->target_vp;
    channel->state = VMBUS_CHANNEL_OPEN;
    channel->has_more = false;
    answer_open(bus, open, VMBUS_STATUS_SUCCESS);
    chan_run(channel);
}

void chan_open_message(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_open_channel *open = message;
    struct channel *channel = find_held(bus, open->relid);

    (void)length_bytes;
    if (channel == NULL) {
        answer_open(bus, open, VMBUS_STATUS_UNSUCCESSFUL);
    } else if (channel->is_rescinded) {
        return; /* The two crossed on their way; the guest learns from the rescission. */
    } else if (channel->state == VMBUS_CHANNEL_CLOSING && !channel->has_waiting_open) {
        channel->waiting_open = *open;
        channel->has_waiting_open = true;
    } else {
        start(channel, open);
    }
}

void chan_stop(struct channel *channel)
{
    channel->state = VMBUS_CHANNEL_CLOSING;
    channel->has_more = false;
    if (channel->sub_channel_index == 0) {
        /* Guests wait for these before they go on to suspend; so they come before anything that follows. */
        offer_rescind_sub_channels(channel);
    }
    host_close_connection(channel->bus->host, chan_connection_id(channel->relid));
    channel->vsp->operations->close(channel->vsp);
}

void chan_close_message(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_relid_message *close = message;
    struct channel *channel = find_held(bus, close->relid);

    (void)length_bytes;
    if (channel == NULL || channel->is_rescinded) {
        return; /* A rescinded channel is closed, or on its way there. */
    }
    if (channel->state == VMBUS_CHANNEL_OPEN) {
        chan_stop(channel);
    } else if (channel->has_waiting_open) {
        channel->has_waiting_open = false;
        answer_open(bus, &channel->waiting_open, VMBUS_STATUS_UNSUCCESSFUL);
    } else {
        refuse(bus, REFUSE_CHANNEL_STATE, channel->relid);
    }
}

void vsp_closed(struct vsp *vsp)
{
    struct channel *channel = vsp->channel;
    struct vmbus *bus = channel->bus;

    chan_put_gpadl(bus, channel->ring_gpadl);
    channel->ring_gpadl = NULL;
    channel->state = VMBUS_CHANNEL_CLOSED;
    if (channel->is_detaching) {
        offer_detach(channel);
    }
    if (channel->is_released) {
        offer_released(channel);
        offer_pending(bus);
    } else if (channel->has_waiting_open) {
        channel->has_waiting_open = false;
        start(channel, &channel->waiting_open);
    }
    bus_channel_closed(bus);
}

void chan_modify_message(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_modify_channel *modify = message;
    struct channel *channel = find_held(bus, modify->relid);
    struct vmbus_modify_channel_response answer = {
        .header.type = VMBUS_MODIFY_CHANNEL_RESPONSE,
        .relid = modify->relid,
        .status = VMBUS_STATUS_UNSUCCESSFUL,
    };

    (void)length_bytes;
    if (channel != NULL && channel->state != VMBUS_CHANNEL_OPEN) {
        refuse(bus, REFUSE_CHANNEL_STATE, modify->relid);
    } else if (channel != NULL && modify->target_vp >= bus->vp_count) {
        refuse(bus, REFUSE_TARGET_VP, modify->target_vp);
    } else if (channel != NULL) {
        channel->target_vp = modify->target_vp;
        answer.status = VMBUS_STATUS_SUCCESS;
    }
    if (bus->connection.version >= VMBUS_VERSION_IRON) {
        outbox_post(bus, &answer, sizeof(answer));
    }
    if (answer.status == VMBUS_STATUS_SUCCESS) {
        /* A signal to the old VP may have come when that did not look at it any more. */
        chan_signal(channel);
    }
}

void chan_released_message(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_relid_message *released = message;
    struct channel *channel = find_held(bus, released->relid);

    (void)length_bytes;
    if (channel == NULL) {
        return;
    }
    if (channel->state == VMBUS_CHANNEL_CLOSED) {
        offer_released(channel);
        offer_pending(bus);
    } else if (channel->state == VMBUS_CHANNEL_CLOSING && !channel->is_released) {
        channel->is_released = true;
    } else {
        refuse(bus, REFUSE_CHANNEL_STATE, channel->relid);
    }
}

void chan_run(struct channel *channel)
{
    if (channel->state == VMBUS_CHANNEL_OPEN && !channel->is_faulty) {
        channel->has_more = false;
        channel->turn_packets = CHAN_TURN_PACKETS;
        channel->vsp->operations->signalled(channel->vsp);
    }
}

void chan_signal(struct channel *channel)
{
    struct vmbus *bus = channel->bus;
    uint32_t flag = channel->relid;
    hv_status_t status;

    if (channel->target_vp == VMBUS_VP_NONE) {
        return;
    }
    if (bus->connection.version < VMBUS_VERSION_WIN8) {
        /* The guest finds the channel by its bit in the page; the flag only says to look there. */
        window_set_bit(bus->connection.interrupt_page, channel->relid);
        flag = 0;
    }
    status = host_signal_event(bus->host, channel->target_vp, VMBUS_SINT, flag);
    /* A VP that takes none, because its SynIC is off, looks at its rings by itself when it is on again. */
    channel->signals_out += status == HV_STATUS_SUCCESS;
}

void chan_fault(struct channel *channel, enum refusal cause)
{
    if (!channel->is_faulty) {
        channel->is_faulty = true;
        refuse(channel->bus, cause, channel->relid);
        bus_call_back(channel->bus);
    }
}

void chan_put_gpadl(struct vmbus *bus, struct gpadl *gpadl)
{
    struct vmbus_gpadl_torndown message = {.header.type = VMBUS_GPADL_TORNDOWN, .gpadl_id = gpadl->id};

    gpadl->use_count--;
    if (gpadl->use_count == 0 && gpadl->state == GPADL_TEARING_DOWN) {
        gpadl_free(gpadl);
        outbox_post(bus, &message, sizeof(message));
    }
}
