/* SPDX-License-Identifier: MIT */
/* Agrees on the one version there is, tells the guest what the mouse is, then sends movements as there is room. */
#include "vmbus/mouse/mouse.h"

#include "hv/lib/str.h"

/* The lengths of three fields and no more: a release, as real mice have it, and the version of the HID class. */
#define DEVICE_VERSION  0x0001u
#define HID_VERSION_BCD 0x0101u

/* Five buttons, an absolute position, a relative wheel (HID Usage Tables, Generic Desktop Page and Button Page). */
static const uint8_t report_descriptor[] = {
    0x05, 0x01,       /* usage page: generic desktop */
    0x09, 0x02,       /* usage: mouse */
    0xA1, 0x01,       /* collection: application */
    0x09, 0x01,       /* usage: pointer */
    0xA1, 0x00,       /* collection: physical */
    0x05, 0x09,       /* usage page: buttons */
    0x19, 0x01,       /* from the first */
    0x29, 0x05,       /* to the fifth */
    0x15, 0x00,       /* logical minimum 0 */
    0x25, 0x01,       /* logical maximum 1 */
    0x75, 0x01,       /* of 1 bit */
    0x95, 0x05,       /* 5 of them */
    0x81, 0x02,       /* input: absolute */
    0x75, 0x03,       /* of 3 bits */
    0x95, 0x01,       /* one */
    0x81, 0x01,       /* input: constant */
    0x05, 0x01,       /* usage page: generic desktop */
    0x09, 0x30,       /* usage: x */
    0x09, 0x31,       /* usage: y */
    0x26, 0xFF, 0x7F, /* logical maximum 32767 */
    0x75, 0x10,       /* of 16 bits */
    0x95, 0x02,       /* two of them */
    0x81, 0x02,       /* input: absolute */
    0x09, 0x38,       /* usage: wheel */
    0x16, 0x01, 0x80, /* logical minimum -32767 */
    0x95, 0x01,       /* one */
    0x81, 0x06,       /* input: relative */
    0xC0,             /* end of the collection */
    0xC0,             /* and of the outer one */
};

static struct mouse *mouse_of(struct vsp *vsp)
{
    return CONTAINER_OF(vsp, struct mouse, vsp);
}

static struct mouse_header header_of(uint32_t type, size_t message_bytes)
{
    uint32_t size_bytes = (uint32_t)(message_bytes - sizeof(struct mouse_header));

    return (struct mouse_header){
        .pipe = {.type = VMBUS_PIPE_TYPE_DATA,
                 .size_bytes = size_bytes + (uint32_t)(sizeof(struct mouse_header) - sizeof(struct vmbus_pipe_header))},
        .type = type,
        .size_bytes = size_bytes,
    };
}

/* False: there is no room. */
static bool write(struct mouse *mouse, const void *message, size_t message_bytes)
{
    const struct vsp_write write = {
        .type = VMBUS_PACKET_IN_BAND,
        .payload = message,
        .payload_bytes = (uint32_t)message_bytes,
    };

    return vsp_write_packet(&mouse->vsp, &write) == VSP_OK;
}

/* Sends what waits; what finds no room goes on waiting. */
static void flush(struct mouse *mouse)
{
    while (mouse->count != 0) {
        const struct mouse_position *position = &mouse->queue[mouse->head];
        const struct mouse_report report = {
            .header = header_of(MOUSE_INPUT_REPORT, sizeof(report)),
            .buttons = position->buttons,
            .x = position->x,
            .y = position->y,
            .wheel = position->wheel,
        };

        if (!write(mouse, &report, sizeof(report))) {
            return;
        }
        mouse->head = (mouse->head + 1) % MOUSE_QUEUE_MAX;
        mouse->count--;
    }
}

static bool describe(struct mouse *mouse)
{
    struct {
        struct mouse_device_info info;
        uint8_t report_descriptor[sizeof(report_descriptor)];
    } PACKED message = {
        .info =
            {
                .header = header_of(MOUSE_INITIAL_DEVICE_INFO, sizeof(message)),
                .attributes_bytes = MOUSE_ATTRIBUTES_BYTES,
                .vendor_id = MOUSE_VENDOR_ID,
                .product_id = MOUSE_PRODUCT_ID,
                .version = DEVICE_VERSION,
                .hid =
                    {
                        .length_bytes = sizeof(struct mouse_hid_descriptor),
                        .type = MOUSE_DESCRIPTOR_HID,
                        .version_bcd = HID_VERSION_BCD,
                        .descriptor_count = 1,
                        .report_type = MOUSE_DESCRIPTOR_REPORT,
                        .report_descriptor_bytes = sizeof(report_descriptor),
                    },
            },
    };

    memcpy(message.report_descriptor, report_descriptor, sizeof(report_descriptor));
    return write(mouse, &message, sizeof(message));
}

/* A guest that asks again begins again. False: it has left no room for the answer. */
static bool take_request(struct mouse *mouse, uint32_t version)
{
    const struct mouse_response response = {
        .header = header_of(MOUSE_PROTOCOL_RESPONSE, MOUSE_RESPONSE_BYTES),
        .version = version,
        .is_accepted = version == MOUSE_VERSION,
    };

    mouse->state = MOUSE_CLOSED;
    mouse->count = 0;
    if (!write(mouse, &response, MOUSE_RESPONSE_BYTES)) {
        return false;
    }
    if (version != MOUSE_VERSION) {
        return true;
    }
    mouse->state = MOUSE_DESCRIBED;
    return describe(mouse);
}

/* False: the guest has broken the protocol. */
static bool take_packet(struct mouse *mouse, const struct vsp_packet *packet)
{
    struct mouse_request request = {0};
    const struct mouse_header *header = &request.header;

    if (packet->type != VMBUS_PACKET_IN_BAND || packet->payload_bytes < sizeof(*header)) {
        return false;
    }
    memcpy(&request, packet->payload, MIN(packet->payload_bytes, sizeof(request)));
    if (header->pipe.type != VMBUS_PIPE_TYPE_DATA) {
        return false;
    }
    /* A guest that has not read the few packets before its request reads none. */
    if (packet->wants_completion && vsp_complete_packet(&mouse->vsp, packet->transaction_id, NULL, 0) != VSP_OK) {
        return false;
    }
    if (header->type == MOUSE_PROTOCOL_REQUEST) {
        return packet->payload_bytes >= sizeof(request) && take_request(mouse, request.version);
    }
    if (header->type == MOUSE_DEVICE_INFO_ACK && mouse->state == MOUSE_DESCRIBED) {
        mouse->state = MOUSE_READY;
        return true;
    }
    return false;
}

static void forget(struct mouse *mouse)
{
    mouse->state = MOUSE_CLOSED;
    mouse->count = 0;
}

static bool mouse_open(struct vsp *vsp, const uint8_t *user_data)
{
    (void)user_data;
    forget(mouse_of(vsp));
    return true;
}

static void mouse_close(struct vsp *vsp)
{
    forget(mouse_of(vsp));
    vsp_closed(vsp);
}

static void mouse_signalled(struct vsp *vsp)
{
    struct mouse *mouse = mouse_of(vsp);
    struct vsp_packet packet;

    while (vsp_read_packet(vsp, mouse->received, sizeof(mouse->received), &packet) == VSP_OK) {
        if (!take_packet(mouse, &packet)) {
            vsp_fault(vsp);
        }
    }
    flush(mouse);
}

void mouse_init(struct mouse *mouse)
{
    static const struct vsp_operations operations = {
        .open = mouse_open,
        .close = mouse_close,
        .signalled = mouse_signalled,
    };

    memset(mouse, 0, sizeof(*mouse));
    mouse->vsp.operations = &operations;
    mouse->vsp.name = "mouse";
    mouse->vsp.offer.type = (struct guid){0xCFA8B69E, 0x5B4A, 0x4CC0, {0xB9, 0x8B, 0x8B, 0xA1, 0xA1, 0xF3, 0xF9, 0x5A}};
    mouse->vsp.offer.instance =
        (struct guid){0x58F75A6D, 0xD949, 0x4320, {0x99, 0xE1, 0xA2, 0xA2, 0x57, 0x6D, 0x58, 0x1C}};
    mouse->vsp.offer.flags = VMBUS_OFFER_NAMED_PIPE_MODE;
    mouse->vsp.offer.user_data[0] = VMBUS_PIPE_MODE_MESSAGE;
}

enum mouse_result mouse_move(struct mouse *mouse, const struct mouse_position *position)
{
    if (position->x > MOUSE_POSITION_MAX || position->y > MOUSE_POSITION_MAX ||
        position->buttons >> MOUSE_BUTTON_COUNT != 0) {
        return MOUSE_NOT_THERE;
    }
    if (mouse->state != MOUSE_READY) {
        return MOUSE_NOT_READY;
    }
    if (mouse->count == MOUSE_QUEUE_MAX) {
        return MOUSE_FULL;
    }
    mouse->queue[(mouse->head + mouse->count++) % MOUSE_QUEUE_MAX] = *position;
    flush(mouse);
    return MOUSE_SENT;
}
