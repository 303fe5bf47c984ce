/* SPDX-License-Identifier: MIT */
#ifndef UNIT_VMBUS_GUEST_H
#define UNIT_VMBUS_GUEST_H

/*
 * A guest for tests of the VMBus side, which does what Linux's hv_vmbus does: contact, offers, GPADLs with bodies,
 * rings with its rules for signals. It knows nothing of vmbus/proto: it writes bytes at offsets, so that a wrong layout
 * there does not agree with itself. And a provider that records what it is called with.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/fake_host.h"
#include "vmbus/vmbus.h"
#include "vmbus/vsp.h"

#define GUEST_RAM_BYTES    (UINT64_C(64) << 20)
#define GUEST_VPS          4u
#define GUEST_OFFERS_MAX   160u
#define GUEST_PACKET_BYTES 4096u
#define GUEST_EVENT_NONE   UINT32_MAX

/* A guest and the bus that it talks to. */
struct guest {
    struct host_vm *host;
    struct vmbus *bus;
    uint32_t message_connection;
    uint32_t target_vp;
    uint32_t next_gpadl_id;
    uint64_t next_page; /* of RAM that nobody uses */
};

/* What the guest remembers of an offer. */
struct guest_offer {
    struct guid type;
    struct guid instance;
    uint16_t flags;
    uint16_t sub_channel_index;
    uint32_t relid;
    uint32_t connection_id;
    uint8_t user_data[120];
};

/* An open channel. `out` is the ring that the guest writes. */
struct guest_channel {
    struct guest *guest;
    uint32_t relid;
    uint32_t connection_id;
    uint32_t gpadl_id;
    uint32_t pages; /* of each ring, with its control page */
    uint8_t *out;
    uint8_t *in;
    uint32_t signals; /* that the guest has sent */
};

/* A packet as the guest has read it. */
struct guest_packet {
    uint16_t type;
    uint16_t flags;
    uint64_t transaction_id;
    uint32_t payload_offset; /* in bytes */
    uint32_t length;         /* of the whole without trailer */
    uint8_t bytes[GUEST_PACKET_BYTES];
};

/* A provider that records; its members are set by tests. */
struct recorder {
    struct vsp vsp;
    bool refuses_open;
    bool closes_later; /* the test calls vsp_closed() */
    bool reads;        /* reads all packets when it is signalled */
    bool echoes;       /* answers each packet that wants it with its payload */
    uint32_t opens;
    uint32_t closes;
    uint32_t signals;
    uint32_t packets;
    uint32_t buffer_bytes;
    enum vsp_result last_result;
    struct vsp_packet last;
    uint64_t buffer[1024];
};

/* A guest with RAM and a bus, not connected; and its end, with the bus gone. */
void guest_create(struct guest *guest);
void guest_destroy(struct guest *guest);

/* A provider of a device of its own, made from `number`. */
void recorder_init(struct recorder *recorder, uint8_t number);
void recorder_offer(struct guest *guest, struct recorder *recorder);

/* Posts a message, and signals. */
void guest_post(struct guest *guest, const void *bytes, size_t length);
void guest_post_relid(struct guest *guest, uint32_t type, uint32_t relid);
void guest_signal(struct guest *guest, uint32_t connection_id);

/* The next message that came, or null. */
const struct fake_message *guest_take(struct guest *guest);

/* The next message, which must be of this type and at least this length, for the guest's VP and SINT 2. */
const uint8_t *guest_expect(struct guest *guest, uint32_t type, uint32_t length);
void guest_expect_nothing(struct guest *guest);

/* Sends INITIATE_CONTACT and takes the answer; true when the version is supported. */
bool guest_contact(struct guest *guest, uint32_t version, uint32_t vp);

/* Requests the offers and takes them all; returns how many. */
uint32_t guest_request_offers(struct guest *guest, struct guest_offer *offers);

/* Takes one offer. */
void guest_expect_offer(struct guest *guest, struct guest_offer *offer);

/* Connects with the version and finds the one channel that is offered. */
void guest_connect(struct guest *guest, uint32_t version, struct guest_offer *offer);

/* Pages of RAM that nobody uses; the number of the first. */
uint64_t guest_pages(struct guest *guest, uint32_t count);

/* Posts the messages of a GPADL of these pages, as Linux does, and returns its id. The answer is not taken. */
uint32_t guest_post_gpadl(struct guest *guest, uint32_t relid, uint64_t first_page, uint32_t count);

/* The same; takes the answer, which must be good. */
uint32_t guest_make_gpadl(struct guest *guest, uint32_t relid, uint64_t first_page, uint32_t count);

/* Posts OPENCHANNEL; takes nothing. */
void guest_post_open(struct guest *guest, uint32_t relid, uint32_t gpadl_id, uint32_t vp, uint32_t offset);

/* The status of the open result that must be next. */
uint32_t guest_expect_open_result(struct guest *guest, uint32_t relid);

/* Makes rings of `pages` pages each and opens the channel. */
void guest_open(struct guest *guest, struct guest_channel *channel, const struct guest_offer *offer, uint32_t pages,
                uint32_t vp);

/* Closes the channel and tears the ring GPADL down, which must be answered at once. */
void guest_close(struct guest_channel *channel);

/* Writes a packet and signals if the rules say so. False when there is no room. */
bool guest_write(struct guest_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction_id,
                 const void *extension, uint32_t extension_bytes, const void *payload, uint32_t payload_bytes);

/* The same as in-band data. */
bool guest_send(struct guest_channel *channel, uint64_t transaction_id, bool wants_completion, const void *payload,
                uint32_t payload_bytes);

/* Reads a packet and signals if the host waits for the room. False when there is none. */
bool guest_read(struct guest_channel *channel, struct guest_packet *packet);

/* Runs what the bus put off. */
void guest_let_call_back(struct guest *guest);

/* State of a channel. */
enum vmbus_channel_state guest_channel_state(const struct guest *guest, uint32_t relid);

/* How often the guest was refused for a cause. */
uint32_t guest_refusals(const struct guest *guest, uint32_t cause);

#endif
