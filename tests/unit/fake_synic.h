/* SPDX-License-Identifier: MIT */
#ifndef UNIT_FAKE_SYNIC_H
#define UNIT_FAKE_SYNIC_H

/* The messages and events of vmbus/host.h for unit tests: recorded, and refused as tests want it. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"

#define FAKE_MESSAGES_MAX    512u
#define FAKE_MESSAGE_BYTES   240u
#define FAKE_CONNECTIONS_MAX 160u
#define FAKE_FLAGS           2048u

/* A message that was posted to the child. */
struct fake_message {
    uint32_t vp_index;
    uint32_t sint;
    uint32_t type;
    uint32_t length_bytes;
    uint8_t payload[FAKE_MESSAGE_BYTES];
};

/* What a child's SynIC got, and the connections that lead out of it. */
struct fake_synic {
    struct fake_message messages[FAKE_MESSAGES_MAX]; /* in order, those from `taken` on not looked at yet */
    uint32_t posted;
    uint32_t taken;
    uint32_t room;               /* that is left for messages; all the room there is when UINT32_MAX */
    uint32_t events[FAKE_FLAGS]; /* signals of each flag */
    uint32_t event_vp;           /* of the last signal */
    hv_status_t event_status;    /* of all signals */
    uint32_t connections[FAKE_CONNECTIONS_MAX];
    uint32_t connection_count;
    uint32_t connections_allowed; /* more are refused; no limit when 0 */
};

#endif
