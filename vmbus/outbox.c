/* SPDX-License-Identifier: MIT */
/* Keeps messages to the guest until the hypervisor has taken them. */
#include "vmbus/outbox.h"

#include "hv/lib/str.h"
#include "vmbus/bus.h"
#include "vmbus/host.h"

void outbox_post_to(struct vmbus *bus, uint32_t vp_index, uint8_t sint, const void *message, size_t length_bytes)
{
    struct outbox *outbox = &bus->outbox;
    struct outbox_message *slot;

    if (outbox->is_overrun) {
        return;
    }
    if (outbox->count == OUTBOX_MESSAGE_COUNT) {
        outbox->is_overrun = true;
        bus_call_back(bus);
        return;
    }
    slot = &outbox->messages[(outbox->first + outbox->count) % OUTBOX_MESSAGE_COUNT];
    *slot = (struct outbox_message){.vp_index = vp_index, .sint = sint, .length_bytes = (uint8_t)length_bytes};
    memcpy(slot->payload, message, length_bytes);
    outbox->count++;
    outbox_flush(bus);
}

void outbox_post(struct vmbus *bus, const void *message, size_t length_bytes)
{
    outbox_post_to(bus, bus->connection.target_vp, VMBUS_SINT, message, length_bytes);
}

void outbox_flush(struct vmbus *bus)
{
    struct outbox *outbox = &bus->outbox;

    while (outbox->count != 0) {
        const struct outbox_message *message = &outbox->messages[outbox->first];

        /* Whatever the reason for a refusal, such as a SINT that the guest has masked: it may be gone the next time. */
        if (host_post_message(bus->host, message->vp_index, message->sint, VMBUS_MESSAGE_TYPE, message->payload,
                              message->length_bytes) != HV_STATUS_SUCCESS) {
            return;
        }
        outbox->first = (outbox->first + 1) % OUTBOX_MESSAGE_COUNT;
        outbox->count--;
    }
}

void outbox_clear(struct vmbus *bus)
{
    bus->outbox.first = 0;
    bus->outbox.count = 0;
    bus->outbox.is_overrun = false;
}
