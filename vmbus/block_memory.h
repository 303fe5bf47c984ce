/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_BLOCK_MEMORY_H
#define VMBUS_BLOCK_MEMORY_H

/* A disk in the root's own memory: an image that was loaded with the machine. What is written is lost with it. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/block.h"

/* The disk; `disk` goes to providers. */
struct block_memory {
    struct block_disk disk;
    uint8_t *bytes;
};

/*
 * Makes a disk of 512-byte blocks of the `byte_count` bytes at `bytes`, which are the disk's from now on; a piece of a
 * block at the end is left out. False when there is not one block.
 */
MUST_CHECK bool block_memory_init(struct block_memory *memory, void *bytes, uint64_t byte_count, bool is_read_only);

#endif
