/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_CHANNEL_H
#define VMBUS_CHANNEL_H

/* Channels: from the place that an offer takes to the rings of an open one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/guid.h"
#include "vmbus/proto/message.h"
#include "vmbus/refusal.h"
#include "vmbus/ring.h"
#include "vmbus/vmbus.h"

struct gpadl;
struct vsp;

/* Packets that a provider may read from one channel before others get their turn. */
#define CHAN_TURN_PACKETS 128u

/* The connection on which the guest signals a channel: as real hosts number them, with the SINT in bits 15:12. */
static inline uint32_t chan_connection_id(uint32_t relid)
{
    return VMBUS_SINT << 12 | relid;
}

/* A place for a channel. The identity stays when the provider has gone, until the guest lets go of the relid. */
struct channel {
    struct vmbus *bus;
    uint32_t relid;
    struct vsp *vsp; /* null: gone */
    enum vmbus_channel_state state;
    struct guid type;
    struct guid instance;
    uint16_t sub_channel_index;

    bool is_rescinded; /* the guest was told to let go, and has not */
    bool is_released;  /* the guest let go while the channel was closing */
    bool is_detaching; /* the provider gets its struct vsp back when the channel is closed */
    bool is_faulty;    /* no service any more for this guest */
    bool has_more;     /* its turn was over before its packets were */

    /* An opening that came while the channel was closing. */
    bool has_waiting_open;
    struct vmbus_open_channel waiting_open;

    /* While open or closing. */
    struct gpadl *ring_gpadl;
    uint32_t target_vp;
    uint32_t turn_packets; /* that may still be read in this turn */
    struct ring incoming;
    struct ring outgoing;

    uint64_t packets_in;
    uint64_t packets_out;
    uint64_t signals_in;
    uint64_t signals_out;
};

/* The guest holds the relid. */
static inline bool chan_is_held(const struct channel *channel)
{
    return channel->state != VMBUS_CHANNEL_FREE && channel->state != VMBUS_CHANNEL_HIDDEN;
}

/* Take the guest's messages of these names, whose lengths have been checked. */
void chan_open_message(struct vmbus *bus, const void *message, size_t length_bytes);
void chan_close_message(struct vmbus *bus, const void *message, size_t length_bytes);
void chan_modify_message(struct vmbus *bus, const void *message, size_t length_bytes);
void chan_released_message(struct vmbus *bus, const void *message, size_t length_bytes);

/* Closes an open channel, and rescinds its sub-channels. */
void chan_stop(struct channel *channel);

/* Gives the provider a turn: there may be packets or room. */
void chan_run(struct channel *channel);

/* Interrupts the guest for this channel. */
void chan_signal(struct channel *channel);

/* The guest broke a rule: no service for this channel any more, and soon it is rescinded. */
void chan_fault(struct channel *channel, enum refusal cause);

/* A GPADL is used once less; a teardown that waits for that is answered. */
void chan_put_gpadl(struct vmbus *bus, struct gpadl *gpadl);

#endif
