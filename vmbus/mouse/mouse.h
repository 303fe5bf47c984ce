/* SPDX-License-Identifier: MIT */
#ifndef MOUSE_MOUSE_H
#define MOUSE_MOUSE_H

/* The synthetic mouse of a VM, a pointer with absolute positions: what Linux's hid_hyperv speaks to. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/proto/mouse.h"
#include "vmbus/vsp.h"

/* Movements that wait for room in the ring. */
#define MOUSE_QUEUE_MAX      64u
/* A packet from the guest; a padded request is the longest. */
#define MOUSE_RECEIVED_BYTES 64u

/* How far the guest and the mouse are. */
enum mouse_state {
    MOUSE_CLOSED, /* or no version is agreed upon */
    MOUSE_DESCRIBED,
    MOUSE_READY, /* the guest knows what the mouse is, and listens */
};

/* Where the mouse is, and what is done with it. */
struct mouse_position {
    uint16_t x; /* 0 to MOUSE_POSITION_MAX from left to right */
    uint16_t y; /* and from top to bottom */
    uint8_t buttons;
    int16_t wheel; /* steps away from the user */
};

/* The mouse of one VM. */
struct mouse {
    struct vsp vsp;
    enum mouse_state state;
    uint32_t head; /* of the queue */
    uint32_t count;
    struct mouse_position queue[MOUSE_QUEUE_MAX];
    uint64_t received[MOUSE_RECEIVED_BYTES / sizeof(uint64_t)];
};

/* Prepares it; vsp_offer() of mouse->vsp brings it to the guest. */
void mouse_init(struct mouse *mouse);

/* What has become of a movement. */
enum mouse_result {
    MOUSE_SENT,      /* or will be, as the guest takes them */
    MOUSE_NOT_THERE, /* the position or a button is none that a mouse has: nothing was sent */
    MOUSE_NOT_READY, /* the guest does not listen */
    MOUSE_FULL,      /* it has to take earlier ones first: nothing was sent */
};

/* Moves the mouse; all that is said of it is new. */
MUST_CHECK enum mouse_result mouse_move(struct mouse *mouse, const struct mouse_position *position);

#endif
