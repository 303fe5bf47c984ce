/* SPDX-License-Identifier: MIT */
/*
 * What a disk is to the providers that show it to a guest, and what an environment
 * implements for each kind of storage that it has: RAM, a file, a device of its own.
 *
 * Everything here is called with the VM's lock held, in both directions, and nothing
 * blocks. Data moves between the disk and the guest's memory without a copy in between:
 * a request names the ranges of a packet, and the back-end walks them with a cursor
 * (vmbus/vsp.h).
 *
 * Requests under way at the same time may be done in any order; a caller that wants one
 * behind another waits for the first.
 */
#ifndef VMBUS_BLOCK_H
#define VMBUS_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/list.h"

struct block_disk;
struct gpa_ranges;

/* What is to be done with the bytes of a request. */
enum block_operation {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH,        /* of no bytes: everything that was written before is on stable storage when it is done */
    BLOCK_VERIFY,       /* they can be read; needs can_verify */
    BLOCK_UNMAP,        /* their storage may be given up; needs can_unmap */
    BLOCK_WRITE_ZEROES, /* needs can_write_zeroes */
};

/* What became of a request. After a failure none, some or all of the bytes may have been moved. */
enum block_result {
    BLOCK_OK,
    BLOCK_PENDING,      /* of submit: `done` will be called */
    BLOCK_MEDIUM_ERROR, /* these bytes cannot be read or written; others may */
    BLOCK_NO_SPACE,     /* what lies below has no room for the write */
    BLOCK_FAILED,       /* what lies below failed; the same request may succeed later */
    BLOCK_GONE,         /* what lies below is not there any more */
};

/*
 * A request. The members above the line are the submitter's and constant until it is done; those below are the
 * back-end's from submit until then. While it is under way the back-end may use the memory that `data` names.
 */
struct block_request {
    enum block_operation operation;
    bool is_forced;        /* of a write: done only when it is on stable storage; needs can_force */
    uint64_t offset_bytes; /* multiples of block_bytes, inside of the disk */
    uint64_t length_bytes;
    const struct gpa_ranges *data; /* of reads and writes: their first length_bytes bytes; else null */
    /* Called once after submit returned BLOCK_PENDING, from outside of submit and cancel; never with BLOCK_PENDING. */
    void (*done)(struct block_request *request, enum block_result result);
    /* ---- */
    struct list_node link;
    uint64_t backend[2];
};

/* What a back-end implements. */
struct block_operations {
    /*
     * Takes any number of requests. A result other than BLOCK_PENDING is final, and `done` is not called; it is the
     * quick way for a back-end that has no need to wait.
     */
    enum block_result (*submit)(struct block_disk *disk, struct block_request *request);
    /*
     * Gives a pending request up. True: its memory is out of use, and `done` is not called. False: it cannot be
     * stopped, and `done` will be called.
     */
    bool (*cancel)(struct block_disk *disk, struct block_request *request);
};

/* A disk; the back-end embeds it. Constant while a provider has it, except for byte_count (storvsp_disk_resized()). */
struct block_disk {
    const struct block_operations *operations;
    uint64_t byte_count;           /* a multiple of block_bytes, not 0 */
    uint32_t block_bytes;          /* 512 to 4096, a power of two: the smallest piece that can be written */
    uint32_t physical_block_bytes; /* that and what lies below is best written in; a multiple by a power of two */
    uint32_t unmap_granule_bytes;  /* of unmap: the smallest piece that has an effect; a multiple of block_bytes */
    bool is_read_only;             /* never gets anything but reads and BLOCK_VERIFY */
    bool has_write_cache;          /* a write that is done may be lost before a flush; else it gets no flush */
    bool can_force;                /* honours is_forced */
    bool can_verify;               /* BLOCK_VERIFY */
    bool can_unmap;                /* BLOCK_UNMAP */
    bool is_zero_when_unmapped;    /* unmapped bytes read as zero, exactly those asked for */
    bool can_write_zeroes;         /* BLOCK_WRITE_ZEROES */
};

#endif
