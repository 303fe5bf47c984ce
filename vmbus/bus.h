/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_BUS_H
#define VMBUS_BUS_H

/* The bus of one VM, as the files of the channel layer share it. Everything in it is under the VM's lock. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmbus/channel.h"
#include "vmbus/gpadl.h"
#include "vmbus/host.h"
#include "vmbus/outbox.h"
#include "vmbus/proto/message.h"
#include "vmbus/refusal.h"
#include "vmbus/vmbus.h"

/* How far the guest's connection is. */
enum connection_state {
    CONNECTION_NONE,
    CONNECTION_CONTACTED, /* a version was agreed upon */
    CONNECTION_OFFERED,   /* the guest has asked for offers */
    CONNECTION_ENDING,    /* providers still use the guest's memory */
};

/* What is to be done once a connection has ended. */
enum connection_next {
    CONNECTION_NEXT_NOTHING,
    CONNECTION_NEXT_UNLOADED, /* answer UNLOAD */
    CONNECTION_NEXT_CONTACT,  /* answer the contact */
};

/* The guest's connection. */
struct connection {
    enum connection_state state;
    uint32_t version;
    uint32_t target_vp;                    /* of messages to the guest */
    uint8_t GUEST *interrupt_page;         /* before 2.4: bits of channels, to the guest and, behind 2 KiB, from it */
    enum connection_next next;             /* while ending */
    struct vmbus_initiate_contact contact; /* for CONNECTION_NEXT_CONTACT */
};

/* A VM's bus. Channel with relid n is channels[n - 1]. */
struct vmbus {
    struct host_vm *host;
    uint32_t vp_count;
    struct connection connection;
    struct host_timer call_back; /* for what cannot be done where it was found out */
    struct outbox outbox;
    struct refusals refusals;
    struct channel channels[VMBUS_CHANNELS_MAX];
    struct gpadl_table gpadls;
};

/* The channel that the guest knows by this relid, or null. */
struct channel *bus_find_channel(struct vmbus *bus, uint32_t relid);

/* Has faults, turns and overruns looked after, soon and from outside of whatever runs now. */
void bus_call_back(struct vmbus *bus);

/* A channel has closed: goes on with what waits for that. */
void bus_channel_closed(struct vmbus *bus);

/* Ends the guest's connection: closes all channels, forgets its memory, then does `next`. */
void bus_disconnect(struct vmbus *bus, enum connection_next next);

/* Takes a message of VMBus's type; `message` is aligned to 8 and of VMBUS_MESSAGE_BYTES_MAX bytes. */
void dispatch_message(struct vmbus *bus, const void *message, size_t length_bytes);

/* Takes INITIATE_CONTACT, REQUESTOFFERS and UNLOAD, whose lengths have been checked. */
void server_initiate_contact(struct vmbus *bus, const void *message, size_t length_bytes);
void server_request_offers(struct vmbus *bus, const void *message, size_t length_bytes);
void server_unload(struct vmbus *bus, const void *message, size_t length_bytes);

#endif
