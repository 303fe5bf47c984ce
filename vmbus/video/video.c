/* SPDX-License-Identifier: MIT */
/*
 * Speaks to the guest's driver: versions, resolutions, where the memory is, what it shows, and what has changed in it.
 * Who looks at the picture is the worker's business.
 */
#include "vmbus/video/video.h"

#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/host.h"
#include "vmbus/window.h"

#define VRAM_BYTES MIB(VIDEO_VRAM_MEGABYTES)
#define DEPTH_BITS (8 * VIDEO_PIXEL_BYTES)

static const uint32_t versions[] = {VIDEO_VERSION(3, 0), VIDEO_VERSION(3, 2), VIDEO_VERSION(3, 5)};

/* The one that the monitor prefers is DEFAULT_INDEX. */
static const struct video_resolution resolutions[] = {
    {1024, 768}, {640, 480}, {800, 600}, {1280, 720}, {1280, 1024}, {1600, 1200}, {VIDEO_WIDTH_MAX, 1080},
};
#define DEFAULT_INDEX 0u

/* The body of a message, in a copy. */
struct body {
    const uint8_t *bytes;
    uint32_t length_bytes;
};

/* One kind of message; `take` is false when the guest has broken the protocol. */
struct message_type {
    uint32_t body_bytes_min;
    bool (*take)(struct video *video, const struct body *body);
};

static struct video *video_of(struct vsp *vsp)
{
    return CONTAINER_OF(vsp, struct video, vsp);
}

/* False: there is no room. */
static bool write(struct video *video, uint32_t type, const void *body, uint32_t body_bytes)
{
    struct {
        struct video_header header;
        uint8_t body[sizeof(struct video_resolution_response)];
    } message = {
        .header =
            {
                .pipe = {.type = VMBUS_PIPE_TYPE_DATA,
                         .size_bytes = (uint32_t)(sizeof(message.header) - sizeof(message.header.pipe)) + body_bytes},
                .type = type,
                .size_bytes = (uint32_t)(sizeof(message.header) - sizeof(message.header.pipe)) + body_bytes,
            },
    };
    const struct vsp_write write = {
        .type = VMBUS_PACKET_IN_BAND,
        .payload = &message,
        .payload_bytes = (uint32_t)sizeof(message.header) + body_bytes,
    };

    memcpy(message.body, body, body_bytes);
    return vsp_write_packet(&video->vsp, &write) == VSP_OK;
}

static bool acknowledge(struct video *video, uint32_t type, uint64_t context)
{
    const struct video_ack ack = {.context = context};

    return write(video, type, &ack, sizeof(ack));
}

/* Takes the memory out of the guest's sight. */
static void unmap_vram(struct video *video)
{
    if (video->vram != NULL) {
        host_unmap_device_memory(video->config.host);
        video->vram = NULL;
    }
}

/* As at an opening. Who watches goes on watching. */
static void forget(struct video *video)
{
    unmap_vram(video);
    video->version = 0;
    video->output = (struct video_output){0};
    video->pointer = (struct video_pointer){0};
    video->owes_feature_change = false;
}

static void damage_all(struct video *video)
{
    video->damage = (struct video_rectangle){
        .right = (int32_t)video->output.width,
        .bottom = (int32_t)video->output.height,
    };
}

/* Tells the guest once, and again when there is room. */
static void flush(struct video *video)
{
    static const struct video_feature_change change = {
        .wants_dirt = 1,
        .wants_pointer_position = 1,
        .wants_pointer_shape = 1,
        .wants_situation = 1,
    };

    if (video->owes_feature_change && write(video, VIDEO_FEATURE_CHANGE, &change, sizeof(change))) {
        video->owes_feature_change = false;
    }
}

static bool take_version(struct video *video, const struct body *body)
{
    struct video_version_request request;
    struct video_version_response response = {.output_count = 1};

    memcpy(&request, body->bytes, sizeof(request));
    forget(video);
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        if (request.version == versions[i]) {
            video->version = request.version;
            response.is_accepted = 1;
        }
    }
    response.version = request.version;
    return write(video, VIDEO_VERSION_RESPONSE, &response, sizeof(response));
}

static bool take_resolution_request(struct video *video, const struct body *body)
{
    struct video_resolution_request request;
    struct video_resolution_response response = {.default_index = DEFAULT_INDEX};

    memcpy(&request, body->bytes, sizeof(request));
    response.count = (uint8_t)MIN(request.count_max, ARRAY_SIZE(resolutions));
    memcpy(response.edid, video_edid, sizeof(video_edid));
    memcpy(response.resolutions, resolutions, response.count * sizeof(resolutions[0]));
    return write(video, VIDEO_RESOLUTION_RESPONSE, &response, sizeof(response));
}

/* The memory stays what it was when it moves. */
static bool map_vram(struct video *video, uint64_t gpa)
{
    if (video->vram != NULL && video->vram_gpa == gpa) {
        return true;
    }
    unmap_vram(video);
    if (!is_aligned_u64(gpa, PAGE_SIZE) ||
        !range_contains(video->config.window_gpa, video->config.window_bytes, gpa, VRAM_BYTES)) {
        return false;
    }
    video->vram = window_map_device(video->config.host, gpa, VRAM_BYTES);
    video->vram_gpa = gpa;
    return video->vram != NULL;
}

static bool take_vram_location(struct video *video, const struct body *body)
{
    struct video_vram_location location;

    memcpy(&location, body->bytes, sizeof(location));
    if (location.is_specified == 0) {
        unmap_vram(video);
    } else if (!map_vram(video, location.gpa)) {
        return false;
    }
    if (!acknowledge(video, VIDEO_VRAM_LOCATION_ACK, location.context)) {
        return false;
    }
    video->owes_feature_change = video->is_watched;
    return true;
}

/* All of the picture lies in the memory, in rows that do not overlap. */
static bool is_possible(const struct video_output *output)
{
    uint64_t row_bytes = (uint64_t)output->width * VIDEO_PIXEL_BYTES;

    return output->depth_bits == DEPTH_BITS && output->width != 0 && output->width <= VIDEO_WIDTH_MAX &&
           output->height != 0 && output->height <= VIDEO_HEIGHT_MAX && output->pitch_bytes >= row_bytes &&
           output->vram_offset + (uint64_t)output->pitch_bytes * (output->height - 1) + row_bytes <= VRAM_BYTES;
}

static bool take_situation(struct video *video, const struct body *body)
{
    struct video_situation_update update;

    memcpy(&update, body->bytes, sizeof(update));
    if (update.output_count != 1 || (update.output.is_active != 0 && !is_possible(&update.output))) {
        return false;
    }
    video->output = update.output.is_active != 0 ? update.output : (struct video_output){0};
    damage_all(video);
    return acknowledge(video, VIDEO_SITUATION_UPDATE_ACK, update.context);
}

static bool take_pointer_position(struct video *video, const struct body *body)
{
    struct video_pointer_position position;

    memcpy(&position, body->bytes, sizeof(position));
    if (position.output != 0) {
        return false;
    }
    video->pointer.is_visible = position.is_visible != 0;
    video->pointer.x = position.x;
    video->pointer.y = position.y;
    return true;
}

static bool take_pointer_shape(struct video *video, const struct body *body)
{
    struct video_pointer_shape shape;

    memcpy(&shape, body->bytes, sizeof(shape));
    if (shape.width > VIDEO_POINTER_SIDE_MAX || shape.height > VIDEO_POINTER_SIDE_MAX) {
        return false;
    }
    video->pointer.width = shape.width;
    video->pointer.height = shape.height;
    return true;
}

/* Makes the damage large enough for what of the rectangle is in the picture. */
static void add_damage(struct video *video, const struct video_rectangle *dirt)
{
    struct video_rectangle *damage = &video->damage;
    const struct video_rectangle inside = {
        .left = MAX(dirt->left, 0),
        .top = MAX(dirt->top, 0),
        .right = MIN(dirt->right, (int32_t)video->output.width),
        .bottom = MIN(dirt->bottom, (int32_t)video->output.height),
    };

    if (inside.left >= inside.right || inside.top >= inside.bottom) {
        return;
    }
    if (damage->left == damage->right) {
        *damage = inside;
        return;
    }
    damage->left = MIN(damage->left, inside.left);
    damage->top = MIN(damage->top, inside.top);
    damage->right = MAX(damage->right, inside.right);
    damage->bottom = MAX(damage->bottom, inside.bottom);
}

static bool take_dirt(struct video *video, const struct body *body)
{
    struct video_dirt dirt;

    memcpy(&dirt, body->bytes, sizeof(dirt));
    if (dirt.output != 0 || body->length_bytes < sizeof(dirt) + dirt.rectangle_count * sizeof(struct video_rectangle)) {
        return false;
    }
    for (uint32_t i = 0; i < dirt.rectangle_count; i++) {
        struct video_rectangle rectangle;

        memcpy(&rectangle, body->bytes + sizeof(dirt) + i * sizeof(rectangle), sizeof(rectangle));
        add_damage(video, &rectangle);
    }
    return true;
}

static const struct message_type types[] = {
    [VIDEO_VERSION_REQUEST] = {sizeof(struct video_version_request), take_version},
    [VIDEO_VRAM_LOCATION] = {sizeof(struct video_vram_location), take_vram_location},
    [VIDEO_SITUATION_UPDATE] = {sizeof(struct video_situation_update), take_situation},
    [VIDEO_POINTER_POSITION] = {sizeof(struct video_pointer_position), take_pointer_position},
    [VIDEO_POINTER_SHAPE] = {sizeof(struct video_pointer_shape), take_pointer_shape},
    [VIDEO_DIRT] = {sizeof(struct video_dirt), take_dirt},
    [VIDEO_RESOLUTION_REQUEST] = {sizeof(struct video_resolution_request), take_resolution_request},
};

/* False: the guest has broken the protocol, or reads no answers. */
static bool take_packet(struct video *video, const struct vsp_packet *packet)
{
    const uint8_t *payload = packet->payload;
    struct video_header header;
    struct body body;

    if (packet->type != VMBUS_PACKET_IN_BAND || packet->payload_bytes < sizeof(header)) {
        return false;
    }
    memcpy(&header, payload, sizeof(header));
    body = (struct body){.bytes = payload + sizeof(header),
                         .length_bytes = packet->payload_bytes - (uint32_t)sizeof(header)};
    if (header.pipe.type != VMBUS_PIPE_TYPE_DATA || header.type >= ARRAY_SIZE(types) ||
        types[header.type].take == NULL || body.length_bytes < types[header.type].body_bytes_min ||
        (video->version == 0 && header.type != VIDEO_VERSION_REQUEST)) {
        return false;
    }
    if (packet->wants_completion && vsp_complete_packet(&video->vsp, packet->transaction_id, NULL, 0) != VSP_OK) {
        return false;
    }
    return types[header.type].take(video, &body);
}

static bool video_open(struct vsp *vsp, const uint8_t *user_data)
{
    (void)user_data;
    forget(video_of(vsp));
    return true;
}

static void video_close(struct vsp *vsp)
{
    forget(video_of(vsp));
    vsp_closed(vsp);
}

static void video_signalled(struct vsp *vsp)
{
    struct video *video = video_of(vsp);
    struct vsp_packet packet;

    while (vsp_read_packet(vsp, video->received, sizeof(video->received), &packet) == VSP_OK) {
        if (!take_packet(video, &packet)) {
            vsp_fault(vsp);
        }
    }
    flush(video);
}

void video_init(struct video *video, const struct video_config *config)
{
    static const struct vsp_operations operations = {
        .open = video_open,
        .close = video_close,
        .signalled = video_signalled,
    };

    memset(video, 0, sizeof(*video));
    video->config = *config;
    video->vsp.operations = &operations;
    video->vsp.name = "video";
    video->vsp.offer.type = (struct guid){0xDA0A7802, 0xE377, 0x4AAC, {0x8E, 0x77, 0x05, 0x58, 0xEB, 0x10, 0x73, 0xF8}};
    video->vsp.offer.instance =
        (struct guid){0x5620E0C7, 0x8062, 0x4DCE, {0xAE, 0xB7, 0x52, 0x0C, 0x7E, 0xF7, 0x61, 0x71}};
    video->vsp.offer.flags = VMBUS_OFFER_NAMED_PIPE_MODE;
    video->vsp.offer.mmio_megabytes = VIDEO_VRAM_MEGABYTES;
    video->vsp.offer.user_data[0] = VMBUS_PIPE_MODE_MESSAGE;
}

bool video_get_size(const struct video *video, struct video_resolution *size)
{
    *size = (struct video_resolution){.width = (uint16_t)video->output.width, .height = (uint16_t)video->output.height};
    return video->output.is_active != 0 && video->vram != NULL;
}

void video_read_row(const struct video *video, uint32_t row, void *to)
{
    const uint8_t GUEST *from = (const uint8_t GUEST *)video->vram + video->output.vram_offset;

    window_read(to, from + (size_t)row * video->output.pitch_bytes, (size_t)video->output.width * VIDEO_PIXEL_BYTES);
}

void video_watch(struct video *video)
{
    video->owes_feature_change = !video->is_watched && video->vram != NULL;
    video->is_watched = true;
    video->damage = (struct video_rectangle){0};
    flush(video);
}
