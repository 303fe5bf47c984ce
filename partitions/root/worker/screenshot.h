/* SPDX-License-Identifier: MIT */
/* The picture of a VM's screen, sent as text to whoever gave a command for it. */
#ifndef WORKER_SCREENSHOT_H
#define WORKER_SCREENSHOT_H

#include <stdint.h>

#include "vmbus/host.h"
#include "vmbus/video/video.h"

/* A picture on its way. Protected by the VM's lock. */
struct screenshot {
    struct host_timer timer; /* of the next turn */
    const struct video *video;
    void (*ended)(struct screenshot *screenshot, const char *error);
    struct video_resolution size;
    uint32_t row;                                           /* that comes next */
    uint8_t pixels[2][VIDEO_WIDTH_MAX * VIDEO_PIXEL_BYTES]; /* of the row before, and of the one that is sent */
};

/* Prepares one; `ended` is called with the lock when a picture has been sent, or with what went wrong. */
void screenshot_init(struct screenshot *screenshot, struct host_vm *host, const struct video *video,
                     void (*ended)(struct screenshot *screenshot, const char *error));

/* Sends the picture, which there is and has this size: some rows at a time, with the lock released in between. */
void screenshot_send(struct screenshot *screenshot, const struct video_resolution *size);

/* Sends no more; harmless when nothing is on its way. */
void screenshot_stop(struct screenshot *screenshot);

#endif
