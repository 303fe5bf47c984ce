/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_DEPOSIT_H
#define PARTITION_DEPOSIT_H

/*
 * The pages that the root has given to a partition (HvCallDepositMemory): everything the hypervisor keeps for a
 * partition is made of them. The list of free ones runs through the pages themselves, which the root cannot reach any
 * more.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/sync/spinlock.h"

struct partition;
struct gpa_batch;

/* A partition's deposit. */
struct deposit {
    struct spinlock lock; /* rank LOCK_RANK_DEPOSIT */
    void *free_pages;     /* [lock] each page's first 8 bytes point to the next */
    uint64_t free_count;  /* [lock] pages in that list */
    uint64_t total_count; /* [lock] deposited minus withdrawn, free or in use */
};

/* Prepares an empty deposit. */
void deposit_init(struct deposit *deposit);

/*
 * Claims one page of the root's for a deposit and removes it from the root's GPA space (the batch is of that space). It
 * counts only with deposit_commit(). INVALID_PARAMETER: not RAM of the root's, or mapped into a child.
 */
MUST_CHECK hv_status_t deposit_claim(uint64_t page, struct gpa_batch *batch);

/* Counts a claimed page that no processor can reach any more (after gpa_batch_finish()) into the deposit. */
void deposit_commit(struct partition *target, uint64_t page);

/*
 * Takes one free page out of the deposit, zeroes it, and maps it back into the root's GPA space. NO_RESOURCES: none is
 * free.
 */
MUST_CHECK hv_status_t deposit_withdraw(struct partition *target, uint64_t *page, struct gpa_batch *batch);

/* Moves what is left to the root's own deposit; returns the number of pages. For a partition that is going away. */
uint64_t deposit_abandon(struct partition *target);

/* One zeroed page of the partition's deposit; null when none is free (answer INSUFFICIENT_MEMORY). Any context. */
MUST_CHECK void *part_page_alloc(struct partition *partition);

/* Gives a page back to the deposit it came from. The page must be out of reach of every processor. Null is allowed. */
void part_page_free(struct partition *partition, void *page);

/* Free pages now; for the "all or nothing" checks of calls that need several. */
uint64_t part_page_count(struct partition *partition);

/* Makes a page of a deposit readable and writable by the root at its own address (state and statistics pages), or ends
 * that. */
MUST_CHECK bool part_page_share(void *page);
void part_page_unshare(void *page);

#endif
