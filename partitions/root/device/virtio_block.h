/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_VIRTIO_BLOCK_H
#define DEVICE_VIRTIO_BLOCK_H

/*
 * A virtio block device as a disk of vmbus/block.h (Virtual I/O Device Version 1.1, Block Device). Data moves between
 * the device and the guest's memory without us. Under the lock of the VM that has the disk.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/list.h"
#include "partitions/root/device/virtio.h"
#include "vmbus/block.h"

#define VIRTIO_BLOCK_DEVICE_ID    0x1042u
#define VIRTIO_BLOCK_CONFIG_BYTES 60u
/* Requests that the device has at a time; others wait. */
#define VIRTIO_BLOCK_SLOTS        64u
/* Pieces of memory of one request: all that the longest packet of a guest can name. */
#define VIRTIO_BLOCK_PIECES       136u

/* What the device is to do. */
struct virtio_block_header {
    uint32_t type;
    uint32_t rsvd;
    uint64_t sector; /* of 512 bytes */
};
_Static_assert(sizeof(struct virtio_block_header) == 16, "struct virtio_blk_req");

/* What is to be erased. */
struct virtio_block_erase {
    uint64_t sector;
    uint32_t sector_count;
    uint32_t flags;
};
_Static_assert(sizeof(struct virtio_block_erase) == 16, "struct virtio_blk_discard_write_zeroes");

/* A request that the device has. */
struct virtio_block_slot {
    struct virtio_descriptor table[VIRTIO_BLOCK_PIECES + 2];
    struct virtio_block_header header;
    struct virtio_block_erase erase;
    struct block_request *request;
    uint32_t writable_bytes; /* for the device, its status among them */
    uint8_t status;          /* the device's */
};

/* A disk. */
struct virtio_block {
    struct block_disk disk;
    struct virtio_device device;
    bool is_gone;        /* it could not be brought up again */
    uint64_t free_slots; /* bit for each */
    struct list waiting; /* requests that have no slot yet */
    struct virtio_block_slot slots[VIRTIO_BLOCK_SLOTS] ALIGNED(16);
    struct virtio_queue queue;
};

/* Brings the device up that virtio_find() has found, and describes the disk. Null, or what is wrong with it. */
MUST_CHECK const char *virtio_block_start(struct virtio_block *block);

/* Stops it: no memory of anyone is in use by it any more. Requests under way are forgotten. */
void virtio_block_stop(struct virtio_block *block);

/* Ends the requests that the device is done with. One that has failed as a whole is brought up anew. */
void virtio_block_serve(struct virtio_block *block);

#endif
