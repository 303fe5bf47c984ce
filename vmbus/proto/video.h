/* SPDX-License-Identifier: MIT */
/* Messages of the synthetic video device, in a pipe. Guests do not agree on what size_bytes counts: it is not read. */
#ifndef PROTO_VIDEO_H
#define PROTO_VIDEO_H

#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/proto/ring_format.h"

#define VIDEO_VERSION(major, minor) ((uint32_t)(minor) << 16 | (major))

#define VIDEO_VERSION_REQUEST      1u
#define VIDEO_VERSION_RESPONSE     2u
#define VIDEO_VRAM_LOCATION        3u
#define VIDEO_VRAM_LOCATION_ACK    4u
#define VIDEO_SITUATION_UPDATE     5u
#define VIDEO_SITUATION_UPDATE_ACK 6u
#define VIDEO_POINTER_POSITION     7u
#define VIDEO_POINTER_SHAPE        8u
#define VIDEO_FEATURE_CHANGE       9u
#define VIDEO_DIRT                 10u
#define VIDEO_RESOLUTION_REQUEST   13u
#define VIDEO_RESOLUTION_RESPONSE  14u

/* Begins each message. */
struct video_header {
    struct vmbus_pipe_header pipe;
    uint32_t type;
    uint32_t size_bytes; /* of type, this and what follows, as Linux counts */
};
_Static_assert(sizeof(struct video_header) == 16, "video_header");

/* VERSION_REQUEST. */
struct video_version_request {
    uint32_t version;
};
_Static_assert(sizeof(struct video_version_request) == 4, "video_version_request");

/* VERSION_RESPONSE. */
struct video_version_response {
    uint32_t version;
    uint8_t is_accepted;
    uint8_t output_count;
} PACKED;
_Static_assert(sizeof(struct video_version_response) == 6, "video_version_response");

/* VRAM_LOCATION: where the guest wants the device's memory. */
struct video_vram_location {
    uint64_t context;
    uint8_t is_specified; /* 0: nowhere */
    uint64_t gpa;
} PACKED;
_Static_assert(sizeof(struct video_vram_location) == 17, "video_vram_location");

/* VRAM_LOCATION_ACK and SITUATION_UPDATE_ACK. */
struct video_ack {
    uint64_t context; /* of the request */
};
_Static_assert(sizeof(struct video_ack) == 8, "video_ack");

/* What an output shows. */
struct video_output {
    uint8_t is_active;
    uint32_t vram_offset;
    uint8_t depth_bits;
    uint32_t width;
    uint32_t height;
    uint32_t pitch_bytes;
} PACKED;
_Static_assert(sizeof(struct video_output) == 18, "video_output");

/* SITUATION_UPDATE; output_count outputs follow, of which there is one here. */
struct video_situation_update {
    uint64_t context;
    uint8_t output_count;
    struct video_output output;
} PACKED;
_Static_assert(sizeof(struct video_situation_update) == 27, "video_situation_update");

/* POINTER_POSITION. */
struct video_pointer_position {
    uint8_t is_visible;
    uint8_t output;
    int32_t x;
    int32_t y;
} PACKED;
_Static_assert(sizeof(struct video_pointer_position) == 10, "video_pointer_position");

/* POINTER_SHAPE; the picture, or a part of it, follows. */
struct video_pointer_shape {
    uint8_t part; /* VIDEO_POINTER_PART_LAST ends the picture */
    uint8_t has_alpha;
    uint32_t width;
    uint32_t height;
    uint32_t hot_x;
    uint32_t hot_y;
} PACKED;
_Static_assert(sizeof(struct video_pointer_shape) == 18, "video_pointer_shape");

#define VIDEO_POINTER_SIDE_MAX 96u

/* FEATURE_CHANGE: what the host wants to be told. */
struct video_feature_change {
    uint8_t wants_dirt;
    uint8_t wants_pointer_position;
    uint8_t wants_pointer_shape;
    uint8_t wants_situation;
};
_Static_assert(sizeof(struct video_feature_change) == 4, "video_feature_change");

/* DIRT; rectangle_count rectangles follow. */
struct video_dirt {
    uint8_t output;
    uint8_t rectangle_count;
};
_Static_assert(sizeof(struct video_dirt) == 2, "video_dirt");

/* A piece of the picture, without its right and lower edges. */
struct video_rectangle {
    int32_t left;
    int32_t top;
    int32_t right;
    int32_t bottom;
};
_Static_assert(sizeof(struct video_rectangle) == 16, "video_rectangle");

/* RESOLUTION_REQUEST. */
struct video_resolution_request {
    uint8_t count_max;
};
_Static_assert(sizeof(struct video_resolution_request) == 1, "video_resolution_request");

/* Width and height of a picture in pixels. */
struct video_resolution {
    uint16_t width;
    uint16_t height;
};
_Static_assert(sizeof(struct video_resolution) == 4, "video_resolution");

#define VIDEO_EDID_BYTES      128u
#define VIDEO_RESOLUTIONS_MAX 64u

/* RESOLUTION_RESPONSE, sent whole: drivers read behind the resolutions that there are. */
struct video_resolution_response {
    uint8_t edid[VIDEO_EDID_BYTES];
    uint8_t count;
    uint8_t default_index;
    uint8_t is_standard;
    struct video_resolution resolutions[VIDEO_RESOLUTIONS_MAX];
} PACKED;
_Static_assert(offsetof(struct video_resolution_response, resolutions) == 131, "resolutions");
_Static_assert(sizeof(struct video_resolution_response) == 387, "video_resolution_response");

#endif
