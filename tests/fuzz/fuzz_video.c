/* SPDX-License-Identifier: MIT */
/*
 * The video device on a bus, under messages, sound and damaged, of a guest that reads late and starts anew, while
 * somebody watches. Holds: what it sends has the form that Linux's driver takes; the memory is mapped once, inside of
 * the window, and only while the channel is open; the picture lies in it; damage lies in the picture.
 */
#include <string.h>

#include "hv/lib/bytes.h"
#include "tests/fuzz/machine_device.h"
#include "vmbus/video/video.h"

#define OPERATIONS_MAX 200
#define TYPE           24u
#define WINDOW         UINT64_C(0xE0000000)
#define WINDOW_BYTES   UINT64_C(0x01800000)
#define VRAM_BYTES     UINT64_C(0x00800000)

static struct fuzz_device *device;
static struct video video;

/* Takes a packet of the host; false when there is none. */
static bool take(void)
{
    static const uint32_t body_bytes[] = {[2] = 6, [4] = 8, [6] = 8, [9] = 4, [14] = 387};
    static struct guest_packet packet;
    uint32_t type;

    if (!guest_read(&device->channel, &packet)) {
        return false;
    }
    if (packet.type == 11) {
        FUZZ_CHECK(packet.length == 16 && packet.transaction_id == 1);
        return true;
    }
    type = get_u32(packet.bytes + TYPE);
    FUZZ_CHECK(packet.type == 6 && get_u32(packet.bytes + 16) == 1);
    FUZZ_CHECK(type < sizeof(body_bytes) / sizeof(body_bytes[0]) && body_bytes[type] != 0);
    FUZZ_CHECK(get_u32(packet.bytes + 20) == 8 + body_bytes[type]);
    FUZZ_CHECK(packet.length == (FUZZ_DEVICE_BODY + body_bytes[type] + 7) / 8 * 8);
    return true;
}

static void send_version(struct fuzz_input *input)
{
    static const uint32_t versions[] = {0x00050003, 0x00020003, 0x00000003, 0x00040003};
    uint8_t body[4];

    put_u32(body, versions[fuzz_below(input, 4)]);
    fuzz_device_send(device, input, 1, body, sizeof(body));
}

static void send_location(struct fuzz_input *input)
{
    uint8_t body[17] = {1};

    body[8] = fuzz_below(input, 4) != 0;
    put_u64(body + 9, WINDOW + ((uint64_t)fuzz_below(input, 18) << 20));
    fuzz_device_send(device, input, 3, body, sizeof(body));
}

static void send_situation(struct fuzz_input *input)
{
    uint8_t body[27] = {[8] = 1, [9] = 1, [14] = 32};
    uint32_t width = 1u + fuzz_u8(input) * 8u;

    put_u32(body + 10, fuzz_u16(input) * 128u);
    put_u32(body + 15, width);
    put_u32(body + 19, 1u + fuzz_u8(input) * 5u);
    put_u32(body + 23, width * 4 + fuzz_u8(input));
    fuzz_device_send(device, input, 5, body, sizeof(body));
}

static void send_dirt(struct fuzz_input *input)
{
    uint8_t body[2 + 16 * 16] = {0};
    uint32_t count = fuzz_below(input, 17);

    body[1] = (uint8_t)count;
    for (uint32_t i = 0; i < 4 * count; i++) {
        put_u32(body + 2 + 4 * i, (uint32_t)(int16_t)fuzz_u16(input));
    }
    fuzz_device_send(device, input, 10, body, 2 + 16 * count);
}

/* Looks at the picture's edges. */
static void look(void)
{
    static uint8_t row[VIDEO_WIDTH_MAX * VIDEO_PIXEL_BYTES];
    struct video_resolution size;

    if (!video_get_size(&video, &size)) {
        return;
    }
    FUZZ_CHECK(size.width != 0 && size.width <= VIDEO_WIDTH_MAX && size.height != 0);
    video_read_row(&video, 0, row);
    video_read_row(&video, size.height - 1u, row);
}

static void operate(struct fuzz_input *input)
{
    uint8_t body[32];

    switch (fuzz_below(input, 10)) {
    case 0:
        for (uint32_t i = fuzz_u8(input); i != 0 && take(); i--) {
        }
        break;
    case 1:
        host_vm_lock(device->guest.host);
        video_watch(&video);
        host_vm_unlock(device->guest.host);
        break;
    case 2:
        look();
        break;
    case 3:
        device->guest.host->refuses_device_memory = fuzz_below(input, 16) == 15;
        break;
    case 4:
        send_version(input);
        break;
    case 5:
        send_location(input);
        break;
    case 6:
        send_situation(input);
        break;
    case 7:
        send_dirt(input);
        break;
    default:
        fuzz_fill(input, body, sizeof(body));
        fuzz_device_send(device, input, fuzz_below(input, 18), body, fuzz_below(input, sizeof(body)));
        break;
    }
}

static void check(void)
{
    const struct host_vm *host = device->guest.host;
    const struct video_output *output = &video.output;
    const struct video_rectangle *damage = &video.damage;

    fuzz_device_check(device);
    FUZZ_CHECK((video.vram != NULL) == (host->device_gpa != 0));
    FUZZ_CHECK(host->device_gpa == 0 ||
               (host->device_gpa >= WINDOW && host->device_gpa + VRAM_BYTES <= WINDOW + WINDOW_BYTES));
    FUZZ_CHECK(output->is_active == 0 ||
               output->vram_offset + (uint64_t)output->pitch_bytes * (output->height - 1) + output->width * 4 <=
                   VRAM_BYTES);
    FUZZ_CHECK(damage->left >= 0 && damage->top >= 0 && damage->left <= damage->right && damage->top <= damage->bottom);
    FUZZ_CHECK(damage->right <= (int32_t)VIDEO_WIDTH_MAX && damage->bottom <= (int32_t)VIDEO_HEIGHT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    struct video_config config = {.window_gpa = WINDOW, .window_bytes = WINDOW_BYTES};

    device = fuzz_device_create();
    config.host = device->guest.host;
    video_init(&video, &config);
    FUZZ_CHECK(vsp_offer(device->guest.bus, &video.vsp));
    fuzz_device_connect(device);
    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        operate(&input);
        check();
    }
    while (take()) {
    }
    fuzz_device_destroy(device);
    return 0;
}
