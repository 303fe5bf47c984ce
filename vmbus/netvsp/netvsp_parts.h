/* SPDX-License-Identifier: MIT */
#ifndef NETVSP_NETVSP_PARTS_H
#define NETVSP_NETVSP_PARTS_H

/* What the files of the adapter have for each other. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

struct gpa_ranges;
struct gpadl;
struct netvsp;
struct netvsp_answer;
struct netvsp_channel;
struct nvsp_message;

/* Checksums of received packets that the guest lets us vouch for. */
#define NETVSP_RECEIVE_TCP4 0x1u
#define NETVSP_RECEIVE_UDP4 0x2u
#define NETVSP_RECEIVE_TCP6 0x4u
#define NETVSP_RECEIVE_UDP6 0x8u

/* Data bytes of the largest send, as Windows has it. */
#define NETVSP_LARGE_SEND_BYTES_MAX 0xF53Cu

/* netvsp_transmit.c: takes the RNDIS messages of a packet of the guest; returns NVSP_STATUS_... for its completion. */
uint32_t netvsp_transmit(struct netvsp_channel *channel, const struct nvsp_message *message,
                         const struct gpa_ranges *ranges);

/* netvsp_receive.c */

/* Takes the guest's receive buffer; false when it is too short. It is the adapter's from then on. */
MUST_CHECK bool netvsp_use_receive_buffer(struct netvsp *adapter, struct gpadl *buffer, uint16_t id);

/* Puts it back; harmless without one. */
void netvsp_drop_receive_buffer(struct netvsp *adapter);

/* The guest has read the message with this transaction id; what is not one of the channel is ignored. */
void netvsp_free_section(struct netvsp_channel *channel, uint64_t transaction_id);

/* The channel is gone: so are its sections. */
void netvsp_free_sections(struct netvsp_channel *channel);

/* Hands frames of the port to the guest, some at a time; true when there are more. */
MUST_CHECK bool netvsp_receive(struct netvsp *adapter);

/* A place for an answer, behind the others, zeroed; null: none is free. */
struct netvsp_answer *netvsp_new_answer(struct netvsp *adapter);

/* Sends the answers that wait, and what there is to say of the link, as far as there is room. */
void netvsp_send_answers(struct netvsp *adapter);

/* rndis.c: a request in adapter->request, `body_bytes` behind the header. False: it is none, or the guest takes no
 * answers. */
MUST_CHECK bool netvsp_request(struct netvsp *adapter, uint32_t type, uint32_t body_bytes);

/* Forgets what the guest has set by RNDIS. */
void netvsp_halt(struct netvsp *adapter);

/*
 * oid.c: return RNDIS_STATUS_.... The value of an object goes to `out`, of NETVSP_ANSWER_BYTES_MAX bytes less than the
 * head of an answer, or comes from `value`; `in` is what the guest has sent with its query.
 */
uint32_t netvsp_query(struct netvsp *adapter, uint32_t oid, const uint8_t *in, uint32_t in_bytes, uint8_t *out,
                      uint32_t *out_bytes);
uint32_t netvsp_set(struct netvsp *adapter, uint32_t oid, const uint8_t *value, uint32_t value_bytes);

#endif
