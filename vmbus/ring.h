/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_RING_H
#define VMBUS_RING_H

/*
 * The two rings of a channel, from the host's side. Each object is one direction. Our own index is kept here and only
 * written to the guest; what the guest may change is read once and checked each time.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/proto/ring_format.h"
#include "vmbus/refusal.h"

struct gpadl;
struct vsp_write;

/* What became of an access to a ring. */
enum ring_result {
    RING_OK,
    RING_EMPTY,   /* and the guest signals when that changes */
    RING_FULL,    /* and the guest signals when there is room */
    RING_CORRUPT, /* ring->fault says what the guest did */
};

/* One direction of a channel. */
struct ring {
    const struct gpadl *gpadl;
    struct vmbus_ring_header GUEST *header;
    uint32_t data_offset_bytes; /* in the GPADL */
    uint32_t data_bytes;
    uint32_t index;         /* ours: where the next packet is read, or written */
    bool is_masked;         /* incoming: the guest does not signal */
    bool is_room_asked_for; /* outgoing: pending_send_size is set */
    enum refusal fault;
};

/*
 * Takes over the ring at pages [first_page, first_page + page_count) of the GPADL, which begins and ends with a page.
 * There may be packets in it already. Not REFUSE_NONE when its indices are no such; page_count is at least 2.
 */
MUST_CHECK enum refusal ring_open_incoming(struct ring *ring, const struct gpadl *gpadl, uint32_t first_page,
                                           uint32_t page_count);
MUST_CHECK enum refusal ring_open_outgoing(struct ring *ring, const struct gpadl *gpadl, uint32_t first_page,
                                           uint32_t page_count);

/*
 * Copies the next packet, without its trailer, to `buffer` and takes it out of the ring; packet_parse() can take it.
 * One that is longer than the buffer is a fault. *is_signal_due is set when the guest waits for the room, and never
 * cleared.
 */
MUST_CHECK enum ring_result ring_read(struct ring *ring, void *buffer, uint32_t buffer_bytes, bool *is_signal_due);

/* Writes a packet. *is_signal_due is set when the guest is to be told, and never cleared. */
MUST_CHECK enum ring_result ring_write(struct ring *ring, const struct vsp_write *write, bool *is_signal_due);

#endif
