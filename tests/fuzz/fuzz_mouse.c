/* SPDX-License-Identifier: MIT */
/*
 * The mouse on a bus, under messages, sound and damaged, of a guest that reads late and starts anew. Holds: what it
 * sends has the form and the order that Linux's driver takes; movements come as they were made, none after a new start;
 * a completion for each packet that wants one, while the channel is open.
 */
#include <string.h>

#include "hv/lib/bytes.h"
#include "tests/fuzz/machine_device.h"
#include "vmbus/mouse/mouse.h"

#define OPERATIONS_MAX 200
#define TYPE           24u
#define BODY           FUZZ_DEVICE_BODY

static struct fuzz_device *device;
static struct mouse mouse;
static uint16_t next_x; /* of the movement that the guest has to read next, if it is of this start */
static uint16_t made_x;

/* Takes a packet of the host; false when there is none. */
static bool take(void)
{
    static struct guest_packet packet;

    if (!guest_read(&device->channel, &packet)) {
        return false;
    }
    if (packet.type == 11) {
        FUZZ_CHECK(packet.length == 16 && packet.transaction_id == 1);
        return true;
    }
    FUZZ_CHECK(packet.type == 6 && get_u32(packet.bytes + 16) == 1);
    FUZZ_CHECK(packet.length == (TYPE + get_u32(packet.bytes + 20) + 7) / 8 * 8);
    switch (get_u32(packet.bytes + TYPE)) {
    case 1:
        FUZZ_CHECK(get_u32(packet.bytes + 20) == 13 && packet.bytes[BODY + 4] <= 1);
        break;
    case 2:
        FUZZ_CHECK(get_u32(packet.bytes + 20) == 49u + get_u16(packet.bytes + BODY + 39));
        break;
    default:
        FUZZ_CHECK(get_u32(packet.bytes + TYPE) == 4 && get_u32(packet.bytes + 20) == 15);
        FUZZ_CHECK((int16_t)(get_u16(packet.bytes + BODY + 1) - next_x) >= 0);
        next_x = (uint16_t)(get_u16(packet.bytes + BODY + 1) + 1) & MOUSE_POSITION_MAX;
        break;
    }
    return true;
}

static void move(struct fuzz_input *input)
{
    struct mouse_position position = {.x = made_x, .buttons = fuzz_u8(input), .wheel = (int16_t)fuzz_u16(input)};
    enum mouse_state state = mouse.state;
    enum mouse_result result;

    host_vm_lock(device->guest.host);
    result = mouse_move(&mouse, &position);
    host_vm_unlock(device->guest.host);
    FUZZ_CHECK((position.buttons >= 0x20) == (result == MOUSE_NOT_THERE));
    FUZZ_CHECK(position.buttons >= 0x20 || (state != MOUSE_READY) == (result == MOUSE_NOT_READY));
    made_x = (made_x + (result == MOUSE_SENT)) & MOUSE_POSITION_MAX;
}

static void operate(struct fuzz_input *input)
{
    static const uint8_t nothing[1];
    uint8_t body[16];

    switch (fuzz_below(input, 7)) {
    case 0:
    case 1:
        for (uint32_t i = fuzz_u8(input); i != 0 && take(); i--) {
        }
        break;
    case 2:
        move(input);
        break;
    case 3:
        for (uint32_t i = 0; i < 100; i++) {
            move(&(struct fuzz_input){.bytes = nothing});
        }
        break;
    case 4:
        put_u32(body, 0x20000);
        fuzz_device_send(device, input, 0, body, 4);
        break;
    case 5:
        body[0] = 0;
        fuzz_device_send(device, input, 3, body, 1);
        break;
    default:
        fuzz_fill(input, body, sizeof(body));
        fuzz_device_send(device, input, fuzz_below(input, 8), body, fuzz_below(input, sizeof(body)));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};

    device = fuzz_device_create();
    mouse_init(&mouse);
    FUZZ_CHECK(vsp_offer(device->guest.bus, &mouse.vsp));
    next_x = 0;
    made_x = 0;
    fuzz_device_connect(device);
    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        operate(&input);
        fuzz_device_check(device);
        FUZZ_CHECK(mouse.count <= MOUSE_QUEUE_MAX && (mouse.count == 0 || mouse.state == MOUSE_READY));
    }
    while (take()) {
    }
    fuzz_device_destroy(device);
    FUZZ_CHECK(mouse.state == MOUSE_CLOSED);
    return 0;
}
