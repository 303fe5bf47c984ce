/* SPDX-License-Identifier: MIT */
#ifndef UNIT_NETVSP_GUEST_H
#define UNIT_NETVSP_GUEST_H

/*
 * The guest of the network tests: what Linux's hv_netvsc sends, over the real bus. Like vmbus_guest.h it writes bytes
 * at offsets and knows nothing of vmbus/proto.
 */

#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/fake_net.h"
#include "tests/unit/vmbus_guest.h"
#include "vmbus/netvsp/netvsp.h"

#define NIC_1            0x00000002u
#define NIC_2            0x00030002u
#define NIC_5            0x00050000u
#define NIC_6_1          0x00060001u
#define NIC_RECEIVE_ID   0xCAFEu
#define NIC_RING_PAGES   8u
#define NIC_SUB_CHANNELS 3u
#define NIC_ADDRESS      7u /* last byte of the adapter's address */
#define NIC_INFOS_MAX    4u
#define NIC_NONE         0xFFFFFFFFu

/* A guest with an adapter at a network that records. */
struct nic {
    struct guest guest;
    struct netvsp adapter;
    struct fake_net net;
    struct guest_offer offer;
    struct guest_channel channels[1 + NIC_SUB_CHANNELS];
    uint32_t receive_gpadl;
    uint32_t send_gpadl;
    uint8_t *receive;
    uint8_t *send;
    uint32_t receive_pages;
    uint32_t send_pages;
    uint32_t section_bytes; /* of the receive buffer */
    uint32_t section_count;
    uint64_t data_page; /* the first of 32 */
    uint8_t *data;
    uint32_t request_id;
    uint64_t next_id;
};

/* An RNDIS message that the guest got. */
struct nic_message {
    uint64_t id; /* to be completed with */
    bool is_control;
    uint32_t type;
    uint32_t length;
    const uint8_t *body; /* behind its header, in the receive buffer */
};

/* A frame that it got. */
struct nic_frame {
    uint64_t id;
    const uint8_t *bytes;
    uint32_t length;
    uint32_t infos[16]; /* by type; NIC_NONE: not there */
};

/* Makes guest, bus and adapter, not connected; and their end. The guest may change its address if `may_change`. */
void nic_create(struct nic *nic, bool may_change);
void nic_destroy(struct nic *nic);

/* Connects and opens the primary channel. */
void nic_open(struct nic *nic);

/* Sends an NVSP message of 40 bytes that wants an answer, and takes that: `answer` has 40 bytes; returns its length. */
uint32_t nic_call(struct nic *nic, const uint8_t *message, uint8_t *answer);

/* INIT with this version alone; its status. */
uint32_t nic_init(struct nic *nic, uint32_t version);

/* All of NVSP as Linux does it; `mtu` without the Ethernet header. */
void nic_set_up(struct nic *nic, uint32_t version, uint32_t mtu);

/* Sends an RNDIS request, takes the completion, which must have this status. */
void nic_post_request(struct nic *nic, uint32_t type, const uint8_t *body, uint32_t body_bytes, uint32_t status);

/* The next message on a channel, if there is one; and its end. */
bool nic_take(struct nic *nic, struct guest_channel *channel, struct nic_message *message);
void nic_done(struct guest_channel *channel, uint64_t id);

/* Asks for an object: the status; the value goes to `value`, of 256 bytes. */
uint32_t nic_query(struct nic *nic, uint32_t oid, const uint8_t *in, uint32_t in_bytes, uint8_t *value,
                   uint32_t *value_bytes);
uint32_t nic_query_u32(struct nic *nic, uint32_t oid);

/* Sets an object: the status. */
uint32_t nic_set(struct nic *nic, uint32_t oid, const uint8_t *value, uint32_t value_bytes);

/* INITIALIZE, offloads, and a filter for all that Linux wants: the interface is up. */
void nic_start(struct nic *nic);

/* Asks for sub-channels and opens them. */
void nic_open_sub_channels(struct nic *nic, uint32_t count);

/*
 * Writes an RNDIS packet with a frame and per-packet information (`types` and `values`) to `to`; returns its length, a
 * multiple of 8.
 */
uint32_t nic_pack(uint8_t *to, const uint8_t *frame, uint32_t frame_bytes, const uint32_t *types,
                  const uint32_t *values, uint32_t info_count);

/* Sends what is in the data pages, `length` bytes; or `length` bytes of a section of the send buffer. */
bool nic_post_data(struct nic *nic, struct guest_channel *channel, uint64_t id, uint32_t length);
bool nic_post_section(struct nic *nic, struct guest_channel *channel, uint64_t id, uint32_t section, uint32_t length);

/* Takes a completion of 108 and returns its status. */
uint32_t nic_expect_sent(struct guest_channel *channel, uint64_t id);

/* Both: packs a frame into the data pages, sends it, and it is done with status 1. */
void nic_send(struct nic *nic, const uint8_t *frame, uint32_t frame_bytes, const uint32_t *types,
              const uint32_t *values, uint32_t info_count);

/* Lets the network give a frame to the adapter. */
void nic_arrive(struct nic *nic, const struct net_frame *frame);

/* The next frame on a channel, if there is one. */
bool nic_take_frame(struct nic *nic, struct guest_channel *channel, struct nic_frame *frame);

#endif
