/* SPDX-License-Identifier: MIT */
/*
 * Hands each message of the guest to who serves it, once its length, its version and the connection's state allow it.
 * Serves the messages of GPADLs and of what is not there: reserved channels and sockets.
 */
#include "hv/lib/compiler.h"
#include "hv/lib/guid.h"
#include "vmbus/bus.h"

#define SINT_COUNT 16u

static void answer_gpadl(struct vmbus *bus, uint32_t relid, uint32_t gpadl_id, enum refusal cause)
{
    struct vmbus_gpadl_created message = {
        .header.type = VMBUS_GPADL_CREATED,
        .relid = relid,
        .gpadl_id = gpadl_id,
        .status = cause == REFUSE_NONE ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_UNSUCCESSFUL,
    };

    if (cause != REFUSE_NONE) {
        refuse(bus, cause, gpadl_id);
    }
    outbox_post(bus, &message, sizeof(message));
}

static void take_gpadl_header(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_gpadl_header *header = message;
    const struct channel *channel = bus_find_channel(bus, header->relid);
    struct gpadl *gpadl = NULL;
    enum refusal cause = REFUSE_RELID;

    if (channel != NULL && chan_is_held(channel)) {
        cause = channel->is_rescinded ? REFUSE_CHANNEL_STATE : gpadl_begin(&bus->gpadls, message, length_bytes, &gpadl);
    }
    if (cause != REFUSE_NONE || gpadl->state == GPADL_READY) {
        answer_gpadl(bus, header->relid, header->gpadl_id, cause);
    }
}

static void take_gpadl_body(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_gpadl_body *body = message;
    struct gpadl *gpadl;
    enum refusal cause = gpadl_continue(&bus->gpadls, message, length_bytes, &gpadl);

    if (gpadl == NULL) {
        refuse(bus, cause, body->gpadl_id);
    } else if (cause != REFUSE_NONE || gpadl->state == GPADL_READY) {
        answer_gpadl(bus, gpadl->relid, gpadl->id, cause);
    }
}

static void take_gpadl_teardown(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_gpadl_teardown *teardown = message;
    struct gpadl *gpadl = gpadl_find(&bus->gpadls, teardown->relid, teardown->gpadl_id);

    (void)length_bytes;
    if (gpadl == NULL) {
        refuse(bus, REFUSE_GPADL_ID, teardown->gpadl_id);
    } else if (gpadl->state == GPADL_TEARING_DOWN) {
        refuse(bus, REFUSE_GPADL_STATE, teardown->gpadl_id);
    } else {
        /* Whoever puts it back last answers; that may be us. */
        gpadl->state = GPADL_TEARING_DOWN;
        gpadl->use_count++;
        chan_put_gpadl(bus, gpadl);
    }
}

/* No device of ours serves a reserved channel, which only dumps of Windows use. */
static void refuse_reserved_open(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_open_reserved_channel *open = message;
    struct vmbus_open_channel_result answer = {
        .header.type = VMBUS_OPEN_CHANNEL_RESULT,
        .relid = open->relid,
        .status = VMBUS_STATUS_UNSUCCESSFUL,
    };

    (void)length_bytes;
    refuse(bus, REFUSE_RESERVED_CHANNEL, open->relid);
    if (open->target_vp < bus->vp_count && open->target_sint < SINT_COUNT) {
        outbox_post_to(bus, open->target_vp, (uint8_t)open->target_sint, &answer, sizeof(answer));
    }
}

static void refuse_reserved_close(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_relid_message *close = message;

    (void)length_bytes;
    refuse(bus, REFUSE_RESERVED_CHANNEL, close->relid);
}

/* Nobody listens for sockets of the guest. */
static void refuse_socket(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_tl_connect_request *request = message;
    struct vmbus_tl_connect_result answer = {
        .header.type = VMBUS_TL_CONNECT_RESULT,
        .endpoint = request->endpoint,
        .service = request->service,
        .status = VMBUS_STATUS_CONNECTION_REFUSED,
    };

    (void)length_bytes;
    if (bus->connection.version >= VMBUS_VERSION_WIN10_1) {
        outbox_post(bus, &answer, sizeof(answer));
    }
}

/* A type of message that guests send. */
struct message_type {
    void (*take)(struct vmbus *bus, const void *message, size_t length_bytes);
    size_t least_bytes;
    uint32_t least_version;
};

static const struct message_type message_types[] = {
    [VMBUS_REQUEST_OFFERS] = {server_request_offers, sizeof(struct vmbus_message_header), 0},
    [VMBUS_OPEN_CHANNEL] = {chan_open_message, sizeof(struct vmbus_open_channel), 0},
    [VMBUS_CLOSE_CHANNEL] = {chan_close_message, sizeof(struct vmbus_relid_message), 0},
    [VMBUS_GPADL_HEADER] = {take_gpadl_header, sizeof(struct vmbus_gpadl_header), 0},
    [VMBUS_GPADL_BODY] = {take_gpadl_body, sizeof(struct vmbus_gpadl_body), 0},
    [VMBUS_GPADL_TEARDOWN] = {take_gpadl_teardown, sizeof(struct vmbus_gpadl_teardown), 0},
    [VMBUS_RELID_RELEASED] = {chan_released_message, sizeof(struct vmbus_relid_message), 0},
    [VMBUS_INITIATE_CONTACT] = {server_initiate_contact, sizeof(struct vmbus_initiate_contact), 0},
    [VMBUS_UNLOAD] = {server_unload, sizeof(struct vmbus_message_header), 0},
    [VMBUS_OPEN_RESERVED_CHANNEL] = {refuse_reserved_open, sizeof(struct vmbus_open_reserved_channel),
                                     VMBUS_VERSION_WIN10},
    [VMBUS_CLOSE_RESERVED_CHANNEL] = {refuse_reserved_close, sizeof(struct vmbus_relid_message), VMBUS_VERSION_WIN10},
    [VMBUS_TL_CONNECT_REQUEST] = {refuse_socket, sizeof(struct vmbus_tl_connect_request), VMBUS_VERSION_WIN10},
    [VMBUS_MODIFY_CHANNEL] = {chan_modify_message, sizeof(struct vmbus_modify_channel), VMBUS_VERSION_WIN10_1},
};

void dispatch_message(struct vmbus *bus, const void *message, size_t length_bytes)
{
    const struct vmbus_message_header *header = message;
    const struct message_type *type;
    bool is_connected = bus->connection.state == CONNECTION_CONTACTED || bus->connection.state == CONNECTION_OFFERED;

    if (length_bytes < sizeof(*header)) {
        refuse(bus, REFUSE_MESSAGE_SHORT, (uint32_t)length_bytes);
        return;
    }
    if (header->type >= ARRAY_SIZE(message_types) ||
        message_types[array_index_nospec(header->type, ARRAY_SIZE(message_types))].take == NULL) {
        refuse(bus, REFUSE_MESSAGE_TYPE, header->type);
        return;
    }
    type = &message_types[header->type];
    if (length_bytes < type->least_bytes) {
        refuse(bus, REFUSE_MESSAGE_SHORT, header->type);
    } else if (!is_connected && header->type != VMBUS_INITIATE_CONTACT) {
        refuse(bus, REFUSE_NOT_CONNECTED, header->type);
    } else if (is_connected && bus->connection.version < type->least_version) {
        refuse(bus, REFUSE_MESSAGE_TYPE, header->type);
    } else {
        type->take(bus, message, length_bytes);
    }
}
