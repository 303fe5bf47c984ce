/* SPDX-License-Identifier: MIT */
/*
 * What a provider of a synthetic device (virtualisation service provider) gives to
 * the bus, and what it gets from it. A provider embeds one struct vsp for each of
 * its channels. docs/vmbus.md tells how a channel lives.
 *
 * Everything here is called with the VM's lock held, in both directions, and nothing
 * blocks. What a provider finishes later (a disk read, say) it answers later, from a
 * callback of its back-end that takes the lock.
 *
 * Guest memory is reached in three ways only, each checked: packets, which are copied
 * once into a buffer of the provider; GPADLs, by offset; and the ranges of a
 * GPA-direct packet, through a cursor, also without a copy.
 */
#ifndef VMBUS_VSP_H
#define VMBUS_VSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/guid.h"
#include "vmbus/proto/message.h"
#include "vmbus/proto/ring_format.h"

struct channel;
struct gpadl;
struct host_vm;
struct vmbus;
struct vsp;

/* What the guest is told of a channel; all but sub-channels are offered again to each guest that connects. */
struct vsp_offer {
    struct guid type;           /* of the device class */
    struct guid instance;       /* of this device: the same over restarts, since guests name devices after it */
    uint16_t flags;             /* VMBUS_OFFER_... */
    uint16_t mmio_megabytes;    /* that the guest is to set aside for the device */
    uint16_t sub_channel_index; /* 0: the device's primary channel; else 1 and up, and type and instance are its own */
    /* With VMBUS_OFFER_NAMED_PIPE_MODE the first four bytes are the pipe's mode, VMBUS_PIPE_MODE_... */
    uint8_t user_data[VMBUS_OFFER_USER_DATA_BYTES];
};

/* What the bus calls. */
struct vsp_operations {
    /*
     * The guest opens the channel. The device's protocol starts from its beginning, however the last opening ended.
     * `user_data` are the VMBUS_OPEN_USER_DATA_BYTES bytes of the guest's request. Packets may be read and written from
     * the call of `signalled` on that follows this one, once the guest has its answer. False: the device cannot be
     * opened now; the guest is told so.
     */
    bool (*open)(struct vsp *vsp, const uint8_t *user_data);
    /*
     * The channel is to close, because the guest, a fault or vsp_rescind() wants it; packets cannot be read or written
     * any more. The provider stops using guest memory, puts its GPADLs back and then calls vsp_closed(), from inside
     * this call or later.
     */
    void (*close)(struct vsp *vsp);
    /*
     * There may be packets to read, or room to write after VSP_FULL; or the channel has just been opened. The provider
     * reads until VSP_EMPTY, or leaves packets where they are and reads on by itself when it can.
     */
    void (*signalled)(struct vsp *vsp);
};

/* One channel of a provider. The members above the line are the provider's, set before vsp_offer() and constant. */
struct vsp {
    const struct vsp_operations *operations;
    const char *name; /* for people: "heartbeat" */
    struct vsp_offer offer;
    /* ---- */
    struct channel *channel; /* null: not offered */
};

/*
 * Offers a channel to this guest and to each one that connects later; at once, or as soon as the guest has released
 * an earlier channel of the same type, instance and sub-channel index. A sub-channel is offered only to the present
 * guest and goes away with the opening of its primary: then, with its close done, it can be offered anew. False when
 * all VMBUS_CHANNELS_MAX are in use, such a channel is offered already, or the primary of a sub-channel is not open.
 */
MUST_CHECK bool vsp_offer(struct vmbus *bus, struct vsp *vsp);

/*
 * Takes the device away from the guest, its sub-channels first. A channel that is open is closed: vsp_operations.close
 * is called, from inside this call, and the struct vsp is the bus's until vsp_closed(). Else it is free at once.
 * Harmless when it is not offered.
 */
void vsp_rescind(struct vsp *vsp);

/* Says that the close is done: nothing of the guest's memory is in use by this channel. */
void vsp_closed(struct vsp *vsp);

/* What becomes of an attempt to read or write. */
enum vsp_result {
    VSP_OK,
    VSP_EMPTY,  /* nothing to read, or enough for one turn: `signalled` will be called */
    VSP_FULL,   /* no room: `signalled` will be called when there is */
    VSP_CLOSED, /* the channel is not open, or is to close because of a fault, now or earlier: `close` has been or will
                   be called; nothing was read or written */
};

/*
 * The ranges of a GPA-direct packet: checked, their pages are the guest's RAM. They refer to the buffer that the packet
 * was read into, and stay valid as long as that does.
 */
struct gpa_ranges {
    struct host_vm *host;
    const uint8_t *bytes; /* struct vmbus_range and page numbers, range_count times */
    uint32_t range_count;
    uint64_t total_bytes;
};

/* A packet from the guest, in a buffer of the provider. */
struct vsp_packet {
    uint16_t type;            /* VMBUS_PACKET_IN_BAND, VMBUS_PACKET_GPA_DIRECT or VMBUS_PACKET_COMPLETION */
    bool wants_completion;    /* exactly one is owed then, else none */
    uint64_t transaction_id;  /* opaque */
    const void *payload;      /* aligned to 8 */
    uint32_t payload_bytes;   /* a multiple of 8: what the guest sends is padded */
    struct gpa_ranges ranges; /* of a GPA-direct packet; else empty */
};

/*
 * Reads the next packet into `buffer` (of `buffer_bytes`, aligned to 8), whole, with its descriptors: size it for the
 * longest that the protocol has. A packet that is longer or malformed is a fault, and the channel closes.
 */
MUST_CHECK enum vsp_result vsp_read_packet(struct vsp *vsp, void *buffer, uint32_t buffer_bytes,
                                           struct vsp_packet *packet);

/* A packet to the guest. Its whole length with padding must fit what the guest's driver can take. */
struct vsp_write {
    uint16_t type;  /* VMBUS_PACKET_... */
    uint16_t flags; /* VMBUS_PACKET_FLAG_... */
    uint64_t transaction_id;
    const void *extension;    /* what follows the descriptor for this type; null with extension_bytes 0 */
    uint32_t extension_bytes; /* a multiple of 8 */
    const void *payload;
    uint32_t payload_bytes;
};

/* Writes a packet and signals the guest if the rules ask for it. */
MUST_CHECK enum vsp_result vsp_write_packet(struct vsp *vsp, const struct vsp_write *write);

/* Answers a packet that wanted a completion, with the transaction id of that. */
MUST_CHECK enum vsp_result vsp_complete_packet(struct vsp *vsp, uint64_t transaction_id, const void *payload,
                                               uint32_t payload_bytes);

/*
 * The guest broke the device's protocol: the channel, and all others of the device, are closed and rescinded, from
 * outside this call. The device is offered again to the next guest that connects.
 */
void vsp_fault(struct vsp *vsp);

/*
 * The GPADL `gpadl_id` that the guest has made for this channel, held until vsp_put_gpadl(): the guest's wish to take
 * it back waits so long. Null when there is none, or it is being torn down.
 */
struct gpadl *vsp_get_gpadl(struct vsp *vsp, uint32_t gpadl_id);
void vsp_put_gpadl(struct vsp *vsp, struct gpadl *gpadl);

/* Length of a GPADL in bytes. */
uint32_t gpadl_length_bytes(const struct gpadl *gpadl);

/* Copy from and to a GPADL; false, and nothing is copied, when the range is not inside of it. */
MUST_CHECK bool gpadl_read(const struct gpadl *gpadl, uint32_t offset_bytes, void *to, uint32_t length_bytes);
MUST_CHECK bool gpadl_write(const struct gpadl *gpadl, uint32_t offset_bytes, const void *from, uint32_t length_bytes);

/* A place in the ranges of a packet. */
struct gpa_cursor {
    const struct gpa_ranges *ranges;
    uint32_t range_index;  /* range_count at the end */
    uint32_t range_at;     /* byte in ranges->bytes where that range begins */
    uint32_t range_offset; /* bytes of that range that are behind us */
};

/* A piece of guest memory that is one piece in the root's address space too. The guest may change it at any time. */
struct gpa_piece {
    uint64_t gpa;
    void GUEST *bytes;
    uint32_t length_bytes;
};

/* At the first byte. */
void gpa_cursor_start(struct gpa_cursor *cursor, const struct gpa_ranges *ranges);

/* The next piece, of at most `max_bytes` (not 0), for a back-end that moves the data itself; false at the end. */
MUST_CHECK bool gpa_cursor_next(struct gpa_cursor *cursor, uint32_t max_bytes, struct gpa_piece *piece);

/* Copy the next `length_bytes` bytes, fewer at the end; return how many. */
uint64_t gpa_cursor_read(struct gpa_cursor *cursor, void *to, uint64_t length_bytes);
uint64_t gpa_cursor_write(struct gpa_cursor *cursor, const void *from, uint64_t length_bytes);

#endif
