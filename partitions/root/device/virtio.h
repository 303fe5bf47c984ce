/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_H
#define DEVICE_VIRTIO_H

/*
 * Devices that speak virtio over PCI, and their queues (Virtual I/O Device Version 1.1: Basic Facilities of a Virtio
 * Device; Virtio Over PCI Bus). Only the modern transport, with one interrupt for all queues, and split queues. What is
 * in a queue is one descriptor for each slot: whoever needs more pieces has a table of its own behind it
 * (VIRTIO_INDIRECT). A queue is under a lock of its user.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/bitmap.h"
#include "hv/lib/compiler.h"
#include "partitions/root/device/pci.h"

#define VIRTIO_FEATURE_INDIRECT  (UINT64_C(1) << 28)
#define VIRTIO_FEATURE_VERSION_1 (UINT64_C(1) << 32)

/* Slots of a queue; and no chain may be longer. */
#define VIRTIO_QUEUE_SLOTS 256u

/* A piece of memory for the device. */
struct virtio_descriptor {
    uint64_t address;
    uint32_t length_bytes;
    uint16_t flags; /* VIRTIO_NEXT and others */
    uint16_t next;
};
_Static_assert(sizeof(struct virtio_descriptor) == 16, "struct virtq_desc");

#define VIRTIO_NEXT     0x1u /* `next` goes on */
#define VIRTIO_WRITE    0x2u /* for the device to write; else to read */
#define VIRTIO_INDIRECT 0x4u /* a table of descriptors */

/* A slot that the device is done with. */
struct virtio_used {
    uint32_t slot;
    uint32_t length_bytes; /* that it says it has written */
};

/* The three parts of a queue, as the device sees them. */
struct virtio_ring {
    struct virtio_descriptor descriptors[VIRTIO_QUEUE_SLOTS];
    uint16_t available_flags;
    uint16_t available_index;
    uint16_t available[VIRTIO_QUEUE_SLOTS];
    uint16_t available_event;
    uint16_t rsvd;
    uint16_t used_flags; /* the device's from here on */
    uint16_t used_index;
    struct virtio_used used[VIRTIO_QUEUE_SLOTS];
};
_Static_assert(offsetof(struct virtio_ring, available_flags) == 4096, "struct virtq_avail");
_Static_assert(offsetof(struct virtio_ring, used_flags) == 4616, "struct virtq_used");

/* A queue. */
struct virtio_queue {
    struct virtio_ring ring ALIGNED(16);
    uint64_t given[BITMAP_WORDS(VIRTIO_QUEUE_SLOTS)]; /* slots that the device has */
    uint16_t next_used;
    uint16_t index;
    uint64_t doorbell; /* address of its register */
};

/* A device. */
struct virtio_device {
    uint16_t function;
    struct pci_region common;
    struct pci_region notify;
    struct pci_region config; /* of its kind */
    uint32_t notify_multiplier;
    uint64_t features; /* agreed upon */
};

/*
 * Finds the registers of a function, config_bytes of its kind at least, and routes its interrupt. Null, or what is
 * wrong with it.
 */
MUST_CHECK const char *virtio_find(struct virtio_device *device, uint16_t function, uint32_t config_bytes);

/*
 * Brings a device up as far as its queues: resets it and agrees upon those features of `wanted` that it has, which must
 * have all of `needed`. Null, or what is wrong.
 */
MUST_CHECK const char *virtio_begin(struct virtio_device *device, uint64_t wanted, uint64_t needed);

/* Empties a queue and makes it queue `index` of the device. Null, or what is wrong. */
MUST_CHECK const char *virtio_set_queue(const struct virtio_device *device, struct virtio_queue *queue, uint16_t index);

/* The device may begin. */
void virtio_go(const struct virtio_device *device);

/* The device has no more of our memory when this returns, and forgets what it was doing. Needs virtio_find(). */
void virtio_stop(const struct virtio_device *device);

/* It has asked for a reset, or is not there any more. */
bool virtio_has_failed(const struct virtio_device *device);

/* A register of its kind, of 1, 2 or 4 bytes. */
uint32_t virtio_read_config(const struct virtio_device *device, uint32_t offset, uint32_t width_bytes);

/* Gives a slot that the device does not have to it. It looks for it after virtio_notify(). */
void virtio_give(struct virtio_queue *queue, uint32_t slot, uint64_t address, uint32_t length_bytes, uint16_t flags);
void virtio_notify(struct virtio_queue *queue);

enum virtio_result {
    VIRTIO_OK,
    VIRTIO_EMPTY,   /* it is not done with another one */
    VIRTIO_CORRUPT, /* it says what cannot be: to be stopped */
};

/* Takes a slot back that the device is done with. The length that it says is not checked. */
MUST_CHECK enum virtio_result virtio_take(struct virtio_queue *queue, struct virtio_used *used);

#endif
