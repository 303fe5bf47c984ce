/* SPDX-License-Identifier: MIT */
#ifndef KEYBOARD_KEYBOARD_H
#define KEYBOARD_KEYBOARD_H

/* The synthetic keyboard of a VM: what Linux's hyperv_keyboard speaks to. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/proto/keyboard.h"
#include "vmbus/vsp.h"

/* Keystrokes that wait for room in the ring. */
#define KEYBOARD_QUEUE_MAX      1024u
/* A packet from the guest; a padded request is the longest. */
#define KEYBOARD_RECEIVED_BYTES 64u

/* A key goes down or up. */
struct key {
    uint8_t make_code; /* of scan code set 1 */
    uint8_t info;      /* KEYBOARD_INFO_... */
};

struct keyboard {
    struct vsp vsp;
    bool is_ready; /* the guest listens */
    uint32_t head; /* of the queue */
    uint32_t count;
    struct key queue[KEYBOARD_QUEUE_MAX];
    uint64_t received[KEYBOARD_RECEIVED_BYTES / sizeof(uint64_t)];
};

/* Prepares it; vsp_offer() of keyboard->vsp brings it to the guest. */
void keyboard_init(struct keyboard *keyboard);

/* What has become of keystrokes. */
enum keyboard_result {
    KEYBOARD_SENT,      /* or will be, as the guest takes them */
    KEYBOARD_NO_KEY,    /* the layout has none for a character: nothing was sent */
    KEYBOARD_NOT_READY, /* the guest does not listen */
    KEYBOARD_FULL       /* more than it has taken so far leaves room for: nothing was sent */
};

/* Sends keystrokes in order. */
MUST_CHECK enum keyboard_result keyboard_send(struct keyboard *keyboard, const struct key *keys, uint32_t count);

/*
 * Types a text of printable ASCII, newlines and tabs on a keyboard of the US layout, each key down and up, with Shift
 * where it needs that.
 */
MUST_CHECK enum keyboard_result keyboard_type(struct keyboard *keyboard, const char *text);

#endif
