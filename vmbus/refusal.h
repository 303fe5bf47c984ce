/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_REFUSAL_H
#define VMBUS_REFUSAL_H

/*
 * What a guest can do wrong. Each cause is logged once in the life of a VM and counted for ever, so that no guest can
 * flood the log.
 */

#include <stdint.h>

struct vmbus;

/* Why something of the guest's was refused. */
enum refusal {
    REFUSE_NONE,
    /* Messages */
    REFUSE_MESSAGE_TYPE,     /* not VMBus's, unknown, or not for the version */
    REFUSE_MESSAGE_SHORT,    /* shorter than its type needs */
    REFUSE_NOT_CONNECTED,    /* before a contact */
    REFUSE_CONTACT,          /* VP, SINT, VTL or monitor pages of a contact */
    REFUSE_OFFERS_TWICE,     /* a second request for offers */
    REFUSE_RELID,            /* no such channel */
    REFUSE_CHANNEL_STATE,    /* the channel's state does not allow that */
    REFUSE_TARGET_VP,        /* no such VP */
    REFUSE_OPEN_GPADL,       /* the ring GPADL does not exist, or is no whole pages */
    REFUSE_OPEN_OFFSET,      /* a ring without data */
    REFUSE_OPEN_CONNECTION,  /* the hypervisor gives no connection for the channel's signals */
    REFUSE_OPEN_DEVICE,      /* the device cannot be opened now */
    REFUSE_RESERVED_CHANNEL, /* no channel can be reserved */
    REFUSE_MESSAGES_UNREAD,  /* the guest asks on and on and takes no answer */
    /* GPADLs */
    REFUSE_GPADL_RANGES, /* not one range, or lengths that do not agree */
    REFUSE_GPADL_ID,     /* in use, or unknown */
    REFUSE_GPADL_PAGE,   /* not the guest's RAM */
    REFUSE_GPADL_QUOTA,  /* no place for so many */
    REFUSE_GPADL_STATE,  /* a body for a whole one, a teardown of one that is not */
    /* Rings and packets */
    REFUSE_RING_INDEX,      /* outside of the ring, or not at a multiple of 8 */
    REFUSE_RING_SIZE,       /* too small for what the device has to say */
    REFUSE_PACKET_LENGTH,   /* parts that do not fit each other, the ring or the device's protocol */
    REFUSE_PACKET_TYPE,     /* that no guest sends, or flags that no packet has */
    REFUSE_PACKET_RANGES,   /* malformed, or not the guest's RAM */
    REFUSE_DEVICE_PROTOCOL, /* vsp_fault(): the device's own protocol */
    REFUSAL_COUNT,
};

/* How often each cause was seen. */
struct refusals {
    uint32_t counts[REFUSAL_COUNT];
};

/* Counts a refusal, and logs it if it is the first of its cause. `number` says of what: a relid, GPADL id or type. */
void refuse(struct vmbus *bus, enum refusal cause, uint32_t number);

#endif
