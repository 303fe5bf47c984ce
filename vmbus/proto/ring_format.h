/* SPDX-License-Identifier: MIT */
/*
 * Layout of rings and packets, shared with the guest: a control page and a number
 * of data pages each, written around their end. Everything in them may change at
 * any time.
 */
#ifndef PROTO_RING_FORMAT_H
#define PROTO_RING_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* The control page of a ring. Indices are bytes in the data pages. */
struct vmbus_ring_header {
    uint32_t write_index;       /* the producer's; a multiple of 8, below the data's length */
    uint32_t read_index;        /* the consumer's */
    uint32_t interrupt_mask;    /* the consumer's: not 0, do not signal me */
    uint32_t pending_send_size; /* the producer's: waits until more than so many bytes are free; 0, it does not wait */
    uint32_t rsvd[12];
    uint32_t feature_bits; /* the producer's, VMBUS_RING_FEATURE_... */
};
_Static_assert(sizeof(struct vmbus_ring_header) == 0x44, "vmbus_ring_header");
_Static_assert(offsetof(struct vmbus_ring_header, pending_send_size) == 0x0C, "pending_send_size");
_Static_assert(offsetof(struct vmbus_ring_header, feature_bits) == 0x40, "feature_bits");

/* The producer sets pending_send_size and wants a signal for it. */
#define VMBUS_RING_FEATURE_PENDING_SEND_SIZE 0x1u

/* Begins each packet. Behind the packet are 8 bytes more: 0, and the index at which it began. */
struct vmbus_packet_header {
    uint16_t type;    /* VMBUS_PACKET_... */
    uint16_t offset8; /* where the payload begins, in units of 8 bytes */
    uint16_t length8; /* of the whole without the trailer, in units of 8 bytes */
    uint16_t flags;   /* VMBUS_PACKET_FLAG_... */
    uint64_t transaction_id;
};
_Static_assert(sizeof(struct vmbus_packet_header) == 16, "vmbus_packet_header");
_Static_assert(offsetof(struct vmbus_packet_header, transaction_id) == 8, "transaction_id");

#define VMBUS_PACKET_IN_BAND        6u
#define VMBUS_PACKET_TRANSFER_PAGES 7u
#define VMBUS_PACKET_GPA_DIRECT     9u
#define VMBUS_PACKET_COMPLETION     11u

/* The sender waits for a completion. */
#define VMBUS_PACKET_FLAG_COMPLETION_REQUESTED 0x1u

/* Behind each packet. */
struct vmbus_packet_trailer {
    uint32_t rsvd;
    uint32_t start_index;
};
_Static_assert(sizeof(struct vmbus_packet_trailer) == 8, "vmbus_packet_trailer");

/* Follows the header of VMBUS_PACKET_GPA_DIRECT; the ranges follow, each with its page numbers. */
struct vmbus_gpa_direct_header {
    uint32_t rsvd; /* guests leave anything here */
    uint32_t range_count;
};
_Static_assert(sizeof(struct vmbus_gpa_direct_header) == 8, "vmbus_gpa_direct_header");

/* Follows the header of VMBUS_PACKET_TRANSFER_PAGES; then ranges without pages, whose offsets are in the page set. */
struct vmbus_transfer_pages_header {
    uint16_t page_set_id;
    uint8_t is_owned_by_sender;
    uint8_t rsvd;
    uint32_t range_count;
};
_Static_assert(sizeof(struct vmbus_transfer_pages_header) == 8, "vmbus_transfer_pages_header");

/* A range of guest memory; behind it 64-bit page numbers of all pages that it touches. */
struct vmbus_range {
    uint32_t byte_count;
    uint32_t byte_offset; /* in the first page */
};
_Static_assert(sizeof(struct vmbus_range) == 8, "vmbus_range");

/* Begins the payload of pipes. */
struct vmbus_pipe_header {
    uint32_t type;       /* VMBUS_PIPE_TYPE_... */
    uint32_t size_bytes; /* of what follows */
};
_Static_assert(sizeof(struct vmbus_pipe_header) == 8, "vmbus_pipe_header");

#define VMBUS_PIPE_TYPE_DATA 1u

#endif
