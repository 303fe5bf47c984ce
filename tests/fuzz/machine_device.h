/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_MACHINE_DEVICE_H
#define FUZZ_MACHINE_DEVICE_H

/* A guest and a bus with one device that sends in a pipe, on the fake host, for the targets of such devices. */

#include <stdbool.h>
#include <stdint.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/vmbus_guest.h"

/* Bytes of a packet in front of the body: its descriptor, the pipe's header, the device's. */
#define FUZZ_DEVICE_BODY 32u

/* The guest, and the channel of its device. */
struct fuzz_device {
    struct guest guest;
    struct guest_channel channel;
};

/* Makes the bus; its RAM is zero, and the same on each call. The device is offered next. */
struct fuzz_device *fuzz_device_create(void);

/* The guest begins anew, and opens the channel. */
void fuzz_device_connect(struct fuzz_device *device);

/* Sends a message with up to `body_bytes_max` bytes of body, in a packet as drivers write it, or nearly so. */
void fuzz_device_send(struct fuzz_device *device, struct fuzz_input *input, uint32_t type, uint8_t *body,
                      uint32_t body_bytes);

/* What holds between any two entries. A guest that has lost the device connects again. */
void fuzz_device_check(struct fuzz_device *device);

/* Ends the bus: nothing is left of it. */
void fuzz_device_destroy(struct fuzz_device *device);

#endif
