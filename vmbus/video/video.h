/* SPDX-License-Identifier: MIT */
#ifndef VIDEO_VIDEO_H
#define VIDEO_VIDEO_H

/*
 * The synthetic video device of a VM, with one output of 32 bits a pixel: what Linux's hyperv_drm and hyperv_fb speak
 * to. Its memory is the host's, and the guest says where it wants to see it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/proto/video.h"
#include "vmbus/vsp.h"

struct host_vm;

#define VIDEO_VRAM_MEGABYTES 8u
#define VIDEO_WIDTH_MAX      1920u
#define VIDEO_HEIGHT_MAX     1200u
#define VIDEO_PIXEL_BYTES    4u

/* The longest payload of a pipe, with its header and the packet's. */
#define VIDEO_RECEIVED_BYTES (16384u + sizeof(struct vmbus_pipe_header) + sizeof(struct vmbus_packet_header))

/* Where the guest may have the device's memory. */
struct video_config {
    struct host_vm *host;
    uint64_t window_gpa;
    uint64_t window_bytes;
};

/* The pointer that the guest wants to have drawn over the picture; its own picture is not kept. */
struct video_pointer {
    bool is_visible;
    int32_t x;
    int32_t y;
    uint32_t width;
    uint32_t height;
};

/* The video device of one VM. */
struct video {
    struct vsp vsp;
    struct video_config config;
    uint32_t version; /* agreed upon; 0: none */
    void GUEST *vram; /* null: the guest sees none */
    uint64_t vram_gpa;
    struct video_output output; /* is_active: there is a picture in vram */
    struct video_pointer pointer;
    bool is_watched;               /* somebody wants to know what changes */
    bool owes_feature_change;      /* the guest has not been told so yet */
    struct video_rectangle damage; /* around what has changed while it was watched; empty: left is right */
    uint64_t received[(VIDEO_RECEIVED_BYTES + 7) / 8];
};

/* Prepares it; vsp_offer() of video->vsp brings it to the guest. */
void video_init(struct video *video, const struct video_config *config);

/* The size of the picture. False: the guest shows none. */
MUST_CHECK bool video_get_size(const struct video *video, struct video_resolution *size);

/* Copies a row of the picture, which there is and has that row: VIDEO_PIXEL_BYTES for each pixel, blue first. */
void video_read_row(const struct video *video, uint32_t row, void *to);

/* Has the guest say from now on what it changes, which is nothing yet. */
void video_watch(struct video *video);

/* edid.c: what the monitor says of itself (VESA E-EDID Standard, release A2, EDID 1.4 data format). */
extern const uint8_t video_edid[VIDEO_EDID_BYTES];

#endif
