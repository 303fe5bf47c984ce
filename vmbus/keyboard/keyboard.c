/* SPDX-License-Identifier: MIT */
/* Agrees on the one version there is, then sends keys as there is room. */
#include "vmbus/keyboard/keyboard.h"

#include "hv/lib/str.h"

static struct keyboard *keyboard_of(struct vsp *vsp)
{
    return CONTAINER_OF(vsp, struct keyboard, vsp);
}

/* Sends what waits; what finds no room goes on waiting. */
static void flush(struct keyboard *keyboard)
{
    while (keyboard->count != 0) {
        const struct key *key = &keyboard->queue[keyboard->head];
        const struct keyboard_event event = {
            .type = KEYBOARD_EVENT,
            .make_code = key->make_code,
            .info = key->info,
        };
        const struct vsp_write write = {
            .type = VMBUS_PACKET_IN_BAND,
            .payload = &event,
            .payload_bytes = sizeof(event),
        };

        if (vsp_write_packet(&keyboard->vsp, &write) != VSP_OK) {
            return;
        }
        keyboard->head = (keyboard->head + 1) % KEYBOARD_QUEUE_MAX;
        keyboard->count--;
    }
}

static void take_request(struct keyboard *keyboard, uint32_t version)
{
    const struct keyboard_message response = {
        .type = KEYBOARD_PROTOCOL_RESPONSE,
        .value = version == KEYBOARD_VERSION ? KEYBOARD_ACCEPTED : 0,
    };
    const struct vsp_write write = {
        .type = VMBUS_PACKET_IN_BAND,
        .payload = &response,
        .payload_bytes = sizeof(response),
    };

    keyboard->is_ready = vsp_write_packet(&keyboard->vsp, &write) == VSP_OK && response.value != 0;
}

static void take_packet(struct keyboard *keyboard, const struct vsp_packet *packet)
{
    struct keyboard_message message;

    if (packet->type != VMBUS_PACKET_IN_BAND || packet->payload_bytes < sizeof(message)) {
        vsp_fault(&keyboard->vsp);
        return;
    }
    memcpy(&message, packet->payload, sizeof(message));
    if (packet->wants_completion && vsp_complete_packet(&keyboard->vsp, packet->transaction_id, NULL, 0) != VSP_OK) {
        /* A guest that has not read the few packets before its request reads none. */
        vsp_fault(&keyboard->vsp);
        return;
    }
    if (message.type == KEYBOARD_PROTOCOL_REQUEST) {
        take_request(keyboard, message.value);
    } else if (message.type != KEYBOARD_LEDS) {
        vsp_fault(&keyboard->vsp);
    }
}

static void forget(struct keyboard *keyboard)
{
    keyboard->is_ready = false;
    keyboard->count = 0;
}

static bool keyboard_open(struct vsp *vsp, const uint8_t *user_data)
{
    (void)user_data;
    forget(keyboard_of(vsp));
    return true;
}

static void keyboard_close(struct vsp *vsp)
{
    forget(keyboard_of(vsp));
    vsp_closed(vsp);
}

static void keyboard_signalled(struct vsp *vsp)
{
    struct keyboard *keyboard = keyboard_of(vsp);
    struct vsp_packet packet;

    while (vsp_read_packet(vsp, keyboard->received, sizeof(keyboard->received), &packet) == VSP_OK) {
        take_packet(keyboard, &packet);
    }
    flush(keyboard);
}

void keyboard_init(struct keyboard *keyboard)
{
    static const struct vsp_operations operations = {
        .open = keyboard_open,
        .close = keyboard_close,
        .signalled = keyboard_signalled,
    };

    memset(keyboard, 0, sizeof(*keyboard));
    keyboard->vsp.operations = &operations;
    keyboard->vsp.name = "keyboard";
    keyboard->vsp.offer.type =
        (struct guid){0xF912AD6D, 0x2B17, 0x48EA, {0xBD, 0x65, 0xF9, 0x27, 0xA6, 0x1C, 0x76, 0x84}};
    keyboard->vsp.offer.instance =
        (struct guid){0xD34B2567, 0xB9B6, 0x42B9, {0x87, 0x78, 0x0A, 0x4E, 0xC0, 0xB9, 0x55, 0xBF}};
}

enum keyboard_result keyboard_send(struct keyboard *keyboard, const struct key *keys, uint32_t count)
{
    if (!keyboard->is_ready) {
        return KEYBOARD_NOT_READY;
    }
    if (count > KEYBOARD_QUEUE_MAX - keyboard->count) {
        return KEYBOARD_FULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        keyboard->queue[(keyboard->head + keyboard->count++) % KEYBOARD_QUEUE_MAX] = keys[i];
    }
    flush(keyboard);
    return KEYBOARD_SENT;
}
