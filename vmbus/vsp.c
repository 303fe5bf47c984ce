/* SPDX-License-Identifier: MIT */
/* What providers do with an open channel: packets, GPADLs, faults. */
#include "vmbus/vsp.h"

#include "vmbus/bus.h"
#include "vmbus/packet.h"

/* The provider's channel when it serves; else null. */
static struct channel *serving(const struct vsp *vsp)
{
    struct channel *channel = vsp->channel;

    return channel != NULL && channel->state == VMBUS_CHANNEL_OPEN && !channel->is_faulty ? channel : NULL;
}

enum vsp_result vsp_read_packet(struct vsp *vsp, void *buffer, uint32_t buffer_bytes, struct vsp_packet *packet)
{
    struct channel *channel = serving(vsp);
    bool is_signal_due = false;
    enum refusal cause;

    if (channel == NULL) {
        return VSP_CLOSED;
    }
    if (channel->turn_packets == 0) {
        channel->has_more = true;
        bus_call_back(channel->bus);
        return VSP_EMPTY;
    }
    switch (ring_read(&channel->incoming, buffer, buffer_bytes, &is_signal_due)) {
    case RING_OK:
        break;
    case RING_EMPTY:
    case RING_FULL:
        return VSP_EMPTY;
    case RING_CORRUPT:
        chan_fault(channel, channel->incoming.fault);
        return VSP_CLOSED;
    }
    channel->turn_packets--;
    channel->packets_in++;
    if (is_signal_due) {
        chan_signal(channel);
    }
    cause = packet_parse(channel->bus->host, buffer, packet);
    if (cause != REFUSE_NONE) {
        chan_fault(channel, cause);
        return VSP_CLOSED;
    }
    return VSP_OK;
}

enum vsp_result vsp_write_packet(struct vsp *vsp, const struct vsp_write *write)
{
    struct channel *channel = serving(vsp);
    bool is_signal_due = false;

    if (channel == NULL) {
        return VSP_CLOSED;
    }
    switch (ring_write(&channel->outgoing, write, &is_signal_due)) {
    case RING_OK:
        break;
    case RING_EMPTY:
    case RING_FULL:
        return VSP_FULL;
    case RING_CORRUPT:
        chan_fault(channel, channel->outgoing.fault);
        return VSP_CLOSED;
    }
    channel->packets_out++;
    if (is_signal_due) {
        chan_signal(channel);
    }
    return VSP_OK;
}

enum vsp_result vsp_complete_packet(struct vsp *vsp, uint64_t transaction_id, const void *payload,
                                    uint32_t payload_bytes)
{
    const struct vsp_write write = {
        .type = VMBUS_PACKET_COMPLETION,
        .transaction_id = transaction_id,
        .payload = payload,
        .payload_bytes = payload_bytes,
    };

    return vsp_write_packet(vsp, &write);
}

void vsp_fault(struct vsp *vsp)
{
    struct channel *channel = serving(vsp);

    if (channel != NULL) {
        chan_fault(channel, REFUSE_DEVICE_PROTOCOL);
    }
}

struct gpadl *vsp_get_gpadl(struct vsp *vsp, uint32_t gpadl_id)
{
    struct channel *channel = serving(vsp);
    struct gpadl *gpadl = channel == NULL ? NULL : gpadl_find(&channel->bus->gpadls, channel->relid, gpadl_id);

    if (gpadl == NULL || gpadl->state != GPADL_READY) {
        return NULL;
    }
    gpadl->use_count++;
    return gpadl;
}

void vsp_put_gpadl(struct vsp *vsp, struct gpadl *gpadl)
{
    chan_put_gpadl(vsp->channel->bus, gpadl);
}
