/* SPDX-License-Identifier: MIT */
#ifndef UNIT_FAKE_VIRTIO_H
#define UNIT_FAKE_VIRTIO_H

/*
 * A machine with one PCI function behind partitions/root/device/machine.h: a virtio device at bus 0, device 3, function
 * 1, with registers as the standard has them. The test plays what it does with its queue.
 */

#include <stdbool.h>
#include <stdint.h>

#include "partitions/root/device/virtio.h"

#define FAKE_VIRTIO_FUNCTION 0x19u
#define FAKE_VIRTIO_DATA     0x4031u

/* The device; the members above the line are set by tests, behind fake_virtio_reset(). */
struct fake_virtio {
    uint8_t config_space[256];
    uint32_t bar_mask; /* bits of the memory register that can be written */
    uint64_t offered;  /* features */
    uint16_t queue_size;
    uint16_t notify_offset;
    uint8_t device_config[64];
    bool is_deaf; /* it cannot be reset */
    bool has_no_vector;
    bool refuses_features;
    /* ---- */
    uint8_t status;
    uint32_t feature_select;
    uint64_t accepted;
    uint64_t parts[3]; /* addresses of the queue */
    uint16_t queue_vector;
    bool is_enabled;
    uint32_t notify_count;
    uint32_t msix[4];
    uint16_t taken; /* of what is available */
};

extern struct fake_virtio fake_virtio;

/* A device of this kind that works. */
void fake_virtio_reset(uint16_t device_id);

/* The next chain that was made available, as the device finds it; false: there is none. */
bool fake_virtio_next(uint32_t *slot, const struct virtio_descriptor **descriptor);

/* Says that it is done with a slot. */
void fake_virtio_use(uint32_t slot, uint32_t length_bytes);

#endif
