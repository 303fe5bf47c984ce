/* SPDX-License-Identifier: MIT */
#ifndef UNIT_FAKE_DISK_H
#define UNIT_FAKE_DISK_H

/*
 * A disk of vmbus/block.h in memory for tests, with a write cache: what was written is on stable storage after a flush
 * or when it was forced. It checks that requests are as block.h promises, and does what the test says with them.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/list.h"
#include "vmbus/block.h"

#define FAKE_DISK_OPERATIONS 6u

/* A disk; the members above the line are set by tests. */
struct fake_disk {
    struct block_disk disk;
    bool is_holding;          /* requests are pending until fake_disk_complete() */
    bool is_stuck;            /* pending requests cannot be cancelled */
    enum block_result result; /* of requests that are not held; BLOCK_OK does them */
    /* ---- */
    uint8_t *bytes;
    uint8_t *stable_bytes;
    struct list pending;
    uint32_t pending_count;
    uint32_t cancelled_count;
    uint32_t counts[FAKE_DISK_OPERATIONS]; /* of requests, by operation */
    struct block_request *last;            /* the last that was submitted */
};

/* A disk of zeros that can do everything, with blocks of `block_bytes`. */
void fake_disk_create(struct fake_disk *disk, uint64_t byte_count, uint32_t block_bytes);
void fake_disk_destroy(struct fake_disk *disk);

/* Ends the request that is pending for the longest time; false when there is none. The VM's lock is held. */
bool fake_disk_complete(struct fake_disk *disk, enum block_result result);

#endif
