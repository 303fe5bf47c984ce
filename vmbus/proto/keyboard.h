/* SPDX-License-Identifier: MIT */
/* Messages of the synthetic keyboard, without pipe framing. */
#ifndef PROTO_KEYBOARD_H
#define PROTO_KEYBOARD_H

#include <stddef.h>
#include <stdint.h>

#define KEYBOARD_VERSION 0x00010000u

#define KEYBOARD_PROTOCOL_REQUEST  1u /* value: the version */
#define KEYBOARD_PROTOCOL_RESPONSE 2u /* value: KEYBOARD_ACCEPTED or 0 */
#define KEYBOARD_EVENT             3u
#define KEYBOARD_LEDS              4u /* from guests that have some: nothing to do */

#define KEYBOARD_ACCEPTED 0x1u

/* All messages but events. */
struct keyboard_message {
    uint32_t type;
    uint32_t value;
};
_Static_assert(sizeof(struct keyboard_message) == 8, "keyboard_message");

/* A key goes down or up. */
struct keyboard_event {
    uint32_t type;
    uint16_t make_code; /* of scan code set 1 */
    uint16_t rsvd;
    uint32_t info; /* KEYBOARD_INFO_... */
};
_Static_assert(offsetof(struct keyboard_event, info) == 8, "info");
_Static_assert(sizeof(struct keyboard_event) == 12, "keyboard_event");

#define KEYBOARD_INFO_BREAK 0x2u /* up */
#define KEYBOARD_INFO_E0    0x4u /* the code's prefix */

#endif
