/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_OUTBOX_H
#define VMBUS_OUTBOX_H

/*
 * Messages to the guest, in the order in which they were made. Guests wait without a limit for most of them, so none
 * is ever left out.
 *
 * The queue has an end all the same. Two messages for each channel are the host's own (an offer and its rescission),
 * the rest answers requests. A guest that waits for its answers, one for each thread, does not come near the end; one
 * that goes on asking and takes no answers is disconnected as a whole, which it can see: a new contact is answered.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmbus/proto/message.h"
#include "vmbus/vmbus.h"

/* The longest message: an offer. */
#define OUTBOX_PAYLOAD_BYTES VMBUS_OFFER_CHANNEL_BYTES
#define OUTBOX_ANSWERS_MAX   128u
#define OUTBOX_MESSAGE_COUNT (2u * VMBUS_CHANNELS_MAX + OUTBOX_ANSWERS_MAX)

/* One message and where it goes. */
struct outbox_message {
    uint32_t vp_index;
    uint8_t sint;
    uint8_t length_bytes;
    uint8_t payload[OUTBOX_PAYLOAD_BYTES];
};

/* A queue; the oldest message is messages[first]. */
struct outbox {
    struct outbox_message messages[OUTBOX_MESSAGE_COUNT];
    uint32_t first;
    uint32_t count;
    bool is_overrun; /* takes nothing more until it is cleared */
};

/* Sends a message to the VP and SINT that the guest has chosen at its contact, behind all earlier ones. */
void outbox_post(struct vmbus *bus, const void *message, size_t length_bytes);

/* The same to another VP and SINT. */
void outbox_post_to(struct vmbus *bus, uint32_t vp_index, uint8_t sint, const void *message, size_t length_bytes);

/* Sends what the hypervisor takes now. */
void outbox_flush(struct vmbus *bus);

/* Forgets all messages: they are for a guest that is gone. */
void outbox_clear(struct vmbus *bus);

#endif
