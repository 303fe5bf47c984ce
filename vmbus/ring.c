/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes rings, and decides when the guest is to be signalled. Both sides look at the other's index after
 * they have moved their own; without a full barrier in between both could miss what the other did, and a signal.
 */
#include "vmbus/ring.h"

#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "vmbus/gpadl.h"
#include "vmbus/packet.h"
#include "vmbus/vsp.h"
#include "vmbus/window.h"

static bool is_index(const struct ring *ring, uint32_t index)
{
    return index < ring->data_bytes && index % 8 == 0;
}

/* Bytes from one index up to another. */
static uint32_t distance(const struct ring *ring, uint32_t from, uint32_t to)
{
    return to >= from ? to - from : ring->data_bytes - from + to;
}

static uint32_t advance(const struct ring *ring, uint32_t index, uint32_t bytes)
{
    uint32_t to_end = ring->data_bytes - index;

    return bytes < to_end ? index + bytes : bytes - to_end;
}

static enum ring_result corrupt(struct ring *ring, enum refusal cause)
{
    ring->fault = cause;
    return RING_CORRUPT;
}

static void place(struct ring *ring, const struct gpadl *gpadl, uint32_t first_page, uint32_t page_count)
{
    *ring = (struct ring){
        .gpadl = gpadl,
        .header = GUEST_CAST(struct vmbus_ring_header GUEST *,
                             window_page(gpadl->table->host, gpadl_page(gpadl, first_page))),
        .data_offset_bytes = (first_page + 1) * (uint32_t)PAGE_SIZE,
        .data_bytes = (page_count - 1) * (uint32_t)PAGE_SIZE,
    };
}

enum refusal ring_open_incoming(struct ring *ring, const struct gpadl *gpadl, uint32_t first_page, uint32_t page_count)
{
    place(ring, gpadl, first_page, page_count);
    ring->index = window_load_u32(&ring->header->read_index);
    if (!is_index(ring, ring->index) || !is_index(ring, window_load_u32(&ring->header->write_index))) {
        return REFUSE_RING_INDEX;
    }
    window_store_u32(&ring->header->interrupt_mask, 0);
    return REFUSE_NONE;
}

enum refusal ring_open_outgoing(struct ring *ring, const struct gpadl *gpadl, uint32_t first_page, uint32_t page_count)
{
    place(ring, gpadl, first_page, page_count);
    ring->index = window_load_u32(&ring->header->write_index);
    if (!is_index(ring, ring->index) || !is_index(ring, window_load_u32(&ring->header->read_index))) {
        return REFUSE_RING_INDEX;
    }
    window_store_u32(&ring->header->pending_send_size, 0);
    window_store_u32(&ring->header->feature_bits, VMBUS_RING_FEATURE_PENDING_SEND_SIZE);
    return REFUSE_NONE;
}

/* Copies out of the data, around its end if need be. */
static void copy_in(const struct ring *ring, uint32_t index, void *to, uint32_t length_bytes)
{
    uint32_t first_bytes = min_u32(length_bytes, ring->data_bytes - index);

    gpadl_copy_in(ring->gpadl, ring->data_offset_bytes + index, to, first_bytes);
    gpadl_copy_in(ring->gpadl, ring->data_offset_bytes, (uint8_t *)to + first_bytes, length_bytes - first_bytes);
}

/* Copies into the data, and returns the index behind the copy. */
static uint32_t copy_out(const struct ring *ring, uint32_t index, const void *from, uint32_t length_bytes)
{
    uint32_t first_bytes = min_u32(length_bytes, ring->data_bytes - index);

    if (length_bytes == 0) {
        return index; /* then there may be no buffer */
    }
    gpadl_copy_out(ring->gpadl, ring->data_offset_bytes + index, from, first_bytes);
    gpadl_copy_out(ring->gpadl, ring->data_offset_bytes, (const uint8_t *)from + first_bytes,
                   length_bytes - first_bytes);
    return advance(ring, index, length_bytes);
}

/* Whether there is nothing to read, for good: when so, the guest signals the next packet. */
static bool is_empty(struct ring *ring, uint32_t *write_index)
{
    *write_index = window_load_u32(&ring->header->write_index);
    if (*write_index != ring->index) {
        return false;
    }
    if (ring->is_masked) {
        ring->is_masked = false;
        window_store_u32(&ring->header->interrupt_mask, 0);
        /* Pairs with the guest's barrier between its write_index and its look at the mask. */
        window_barrier();
        *write_index = window_load_u32(&ring->header->write_index);
    }
    return *write_index == ring->index;
}

/*
 * Moves our read index over a packet, and tells whether the guest waits for just that room: it wants to be signalled
 * once, when the free bytes go beyond the number that it has left.
 */
static bool consume(struct ring *ring, uint32_t packet_bytes)
{
    uint32_t old_index = ring->index;
    uint32_t wanted, write_index;

    ring->index = advance(ring, old_index, packet_bytes);
    window_store_u32(&ring->header->read_index, ring->index);
    if ((window_load_u32(&ring->header->feature_bits) & VMBUS_RING_FEATURE_PENDING_SEND_SIZE) == 0) {
        return false;
    }
    /* Pairs with the guest's barrier between pending_send_size and its second look at read_index. */
    window_barrier();
    wanted = window_load_u32(&ring->header->pending_send_size);
    if (wanted == 0) {
        return false;
    }
    write_index = window_load_u32(&ring->header->write_index);
    if (!is_index(ring, write_index)) {
        return false; /* the next read says so */
    }
    return ring->data_bytes - distance(ring, old_index, write_index) <= wanted &&
           ring->data_bytes - distance(ring, ring->index, write_index) > wanted;
}

enum ring_result ring_read(struct ring *ring, void *buffer, uint32_t buffer_bytes, bool *is_signal_due)
{
    struct vmbus_packet_header header;
    uint32_t write_index, available_bytes, packet_bytes;
    enum refusal cause;

    if (is_empty(ring, &write_index)) {
        return RING_EMPTY;
    }
    if (!ring->is_masked) {
        ring->is_masked = true;
        window_store_u32(&ring->header->interrupt_mask, 1);
    }
    if (!is_index(ring, write_index)) {
        return corrupt(ring, REFUSE_RING_INDEX);
    }
    available_bytes = distance(ring, ring->index, write_index);
    if (available_bytes < sizeof(header) + sizeof(struct vmbus_packet_trailer)) {
        return corrupt(ring, REFUSE_PACKET_LENGTH);
    }
    copy_in(ring, ring->index, &header, sizeof(header));
    cause = packet_check_header(&header, available_bytes);
    if (cause != REFUSE_NONE) {
        return corrupt(ring, cause);
    }
    packet_bytes = header.length8 * 8u;
    if (packet_bytes > buffer_bytes) {
        return corrupt(ring, REFUSE_PACKET_LENGTH);
    }
    /* The header is the one that was checked, whatever is in the ring by now. */
    *(struct vmbus_packet_header *)buffer = header;
    copy_in(ring, advance(ring, ring->index, sizeof(header)), (uint8_t *)buffer + sizeof(header),
            packet_bytes - (uint32_t)sizeof(header));
    if (consume(ring, packet_ring_bytes(&header))) {
        *is_signal_due = true;
    }
    return RING_OK;
}

/* Whether `needed_bytes` are free with some to spare: a ring that is filled to the last byte would look empty. */
static bool has_room(struct ring *ring, uint32_t needed_bytes, bool *is_broken)
{
    uint32_t read_index = window_load_u32(&ring->header->read_index);

    *is_broken = !is_index(ring, read_index);
    return !*is_broken && distance(ring, read_index, ring->index) + needed_bytes < ring->data_bytes;
}

/* As has_room(), and if there is none, the guest is asked to say when there is. */
static enum ring_result reserve(struct ring *ring, uint32_t needed_bytes)
{
    bool is_broken;

    if (has_room(ring, needed_bytes, &is_broken)) {
        return RING_OK;
    }
    if (!is_broken) {
        window_store_u32(&ring->header->pending_send_size, needed_bytes);
        ring->is_room_asked_for = true;
        /* Pairs with the guest's barrier between its read_index and its look at pending_send_size. */
        window_barrier();
        if (has_room(ring, needed_bytes, &is_broken)) {
            return RING_OK;
        }
    }
    return is_broken ? corrupt(ring, REFUSE_RING_INDEX) : RING_FULL;
}

enum ring_result ring_write(struct ring *ring, const struct vsp_write *write, bool *is_signal_due)
{
    static const uint8_t zeros[8];
    uint32_t header_bytes = (uint32_t)sizeof(struct vmbus_packet_header) + write->extension_bytes;
    uint32_t padding_bytes = -write->payload_bytes % 8;
    uint32_t packet_bytes = header_bytes + write->payload_bytes + padding_bytes;
    uint32_t ring_bytes = packet_bytes + (uint32_t)sizeof(struct vmbus_packet_trailer);
    struct vmbus_packet_header header = {
        .type = write->type,
        .offset8 = (uint16_t)(header_bytes / 8),
        .length8 = (uint16_t)(packet_bytes / 8),
        .flags = write->flags,
        .transaction_id = write->transaction_id,
    };
    struct vmbus_packet_trailer trailer = {.start_index = ring->index};
    uint32_t start_index = ring->index;
    uint32_t index = start_index;
    enum ring_result result;

    if (ring_bytes >= ring->data_bytes || packet_bytes / 8 > UINT16_MAX) {
        return corrupt(ring, REFUSE_RING_SIZE);
    }
    result = reserve(ring, ring_bytes);
    if (result != RING_OK) {
        return result;
    }
    index = copy_out(ring, index, &header, sizeof(header));
    index = copy_out(ring, index, write->extension, write->extension_bytes);
    index = copy_out(ring, index, write->payload, write->payload_bytes);
    index = copy_out(ring, index, zeros, padding_bytes);
    index = copy_out(ring, index, &trailer, sizeof(trailer));
    ring->index = index;
    window_store_u32(&ring->header->write_index, index);
    if (ring->is_room_asked_for) {
        ring->is_room_asked_for = false;
        window_store_u32(&ring->header->pending_send_size, 0);
    }
    /* Pairs with the guest's barrier between unmasking, and its read_index, and its second look at write_index. */
    window_barrier();
    if (window_load_u32(&ring->header->interrupt_mask) == 0 &&
        window_load_u32(&ring->header->read_index) == start_index) {
        *is_signal_due = true;
    }
    return RING_OK;
}
