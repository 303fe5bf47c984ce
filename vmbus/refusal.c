/* SPDX-License-Identifier: MIT */
/* Says, once for each cause, what a guest did wrong. What follows from it is the caller's business. */
#include "vmbus/refusal.h"

#include "hv/lib/fmt.h"
#include "vmbus/bus.h"
#include "vmbus/host.h"

#define LINE_BYTES 128

static const char *const texts[REFUSAL_COUNT] = {
    [REFUSE_NONE] = "nothing",
    [REFUSE_MESSAGE_TYPE] = "message of unknown type",
    [REFUSE_MESSAGE_SHORT] = "message too short for its type",
    [REFUSE_NOT_CONNECTED] = "message without a contact",
    [REFUSE_CONTACT] = "contact with a bad VP, SINT, VTL or monitor page",
    [REFUSE_OFFERS_TWICE] = "second request for offers",
    [REFUSE_RELID] = "no such channel",
    [REFUSE_CHANNEL_STATE] = "not in this state of the channel",
    [REFUSE_TARGET_VP] = "no such target VP",
    [REFUSE_OPEN_GPADL] = "ring GPADL is missing or not of whole pages",
    [REFUSE_OPEN_OFFSET] = "ring without data pages",
    [REFUSE_OPEN_CONNECTION] = "the hypervisor gives no event connection",
    [REFUSE_OPEN_DEVICE] = "the device cannot be opened",
    [REFUSE_RESERVED_CHANNEL] = "reserved channels are not supported",
    [REFUSE_MESSAGES_UNREAD] = "the guest takes no messages; disconnected",
    [REFUSE_GPADL_RANGES] = "malformed range of a GPADL",
    [REFUSE_GPADL_ID] = "GPADL id in use or unknown",
    [REFUSE_GPADL_PAGE] = "GPADL page is not RAM",
    [REFUSE_GPADL_QUOTA] = "too many GPADLs or pages",
    [REFUSE_GPADL_STATE] = "not in this state of the GPADL",
    [REFUSE_RING_INDEX] = "ring index out of range",
    [REFUSE_RING_SIZE] = "ring too small for the device",
    [REFUSE_PACKET_LENGTH] = "bad packet length",
    [REFUSE_PACKET_TYPE] = "bad packet type or flags",
    [REFUSE_PACKET_RANGES] = "bad ranges of a GPA-direct packet",
    [REFUSE_DEVICE_PROTOCOL] = "the device's protocol was broken",
};

void refuse(struct vmbus *bus, enum refusal cause, uint32_t number)
{
    char line[LINE_BYTES];

    if (bus->refusals.counts[cause]++ != 0) {
        return;
    }
    fmt_snprintf(line, sizeof(line), "VMBus: refused: %s (0x%x); said once", texts[cause], number);
    host_log(bus->host, HOST_LOG_WARNING, line);
}
