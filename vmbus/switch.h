/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_SWITCH_H
#define VMBUS_SWITCH_H

/*
 * A network that is a learning switch with VLANs. It lies in memory of whoever makes it, and so do its ports; it has no
 * thread and no timer of its own. Its lock is taken under locks of users, for as long as it takes to copy one frame
 * into the queues of those who get it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/bitmap.h"
#include "hv/lib/compiler.h"
#include "vmbus/net.h"

#define SWITCH_PORTS_MAX     64u
/* Frames that wait for one port: about 340 of the usual length. */
#define SWITCH_QUEUE_BYTES   (512u * 1024u)
/* Places for addresses behind one port; nobody takes those of others. */
#define SWITCH_ADDRESSES_MAX 256u
#define SWITCH_VLANS         4096u

/* What a switch joins, as in the Hyper-V role. */
enum switch_kind {
    SWITCH_PRIVATE,  /* children */
    SWITCH_INTERNAL, /* and the root */
    SWITCH_EXTERNAL, /* and a real network */
};

/* Who is at a port. */
enum switch_user {
    SWITCH_CHILD,
    SWITCH_ROOT,    /* not at a private switch */
    SWITCH_UP_LINK, /* at an external switch, and one only */
};

/* What a port is to be. */
struct switch_port_config {
    enum switch_user user;
    uint16_t vlan;         /* of frames without a tag, both ways; below SWITCH_VLANS - 1 */
    const uint64_t *trunk; /* bit for each VLAN whose frames pass with a tag; null: none does. Copied. */
};

/* A port; `net` is what its user gets, and sets `arrived` of. The rest is the switch's. */
struct switch_port {
    struct net_port net;
    struct net_switch *owner; /* null: not connected */
    enum switch_user user;
    uint16_t vlan;
    uint64_t trunk[BITMAP_WORDS(SWITCH_VLANS)];
    uint64_t sent;                            /* frames that the switch took from the user */
    uint64_t refused;                         /* and did not: of VLANs that are not the port's */
    uint64_t dropped;                         /* [lock] frames for the user for which there was no room */
    uint64_t addresses[SWITCH_ADDRESSES_MAX]; /* [lock] with their VLANs; 0: free */
    uint32_t is_waiting;                      /* [a] the user wants to be told of the next frame */
    uint32_t write_index;                     /* [a] written under the lock */
    uint32_t read_index;                      /* [a] written by the user's calls */
    uint32_t next_index;                      /* behind the frame that the user has */
    uint8_t queue[SWITCH_QUEUE_BYTES] ALIGNED(8);
};

/* A switch; one of zeros is private and without ports. */
struct net_switch {
    enum switch_kind kind;
    uint32_t lock;                               /* [a] not 0: taken */
    struct switch_port *ports[SWITCH_PORTS_MAX]; /* [lock] */
};

/* A switch without ports. */
void switch_init(struct net_switch *owner, enum switch_kind kind);

/*
 * Connects a port, whose net.arrived is set; everything else in it is overwritten. False: such a user has no place at
 * this switch, there are SWITCH_PORTS_MAX already, or the VLAN is none.
 */
MUST_CHECK bool switch_connect(struct net_switch *owner, struct switch_port *port,
                               const struct switch_port_config *config);

/* Takes a port away: it is the caller's when this returns, and `arrived` is not called any more. Harmless twice. */
void switch_disconnect(struct switch_port *port);

#endif
