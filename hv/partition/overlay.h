/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_OVERLAY_H
#define PARTITION_OVERLAY_H

/*
 * Overlay pages (TLFS, Partitions and GPA space: GPA Overlay Pages): a hypervisor-owned page that lies over a page of
 * the guest's choice and hides, but never changes, what is below. In the root the hypervisor chooses: each overlay of
 * the root is mapped for ever at its own system address, and a guest's page number is ignored.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/lib/list.h"

struct partition;

/* The overlays placed in a GPA space; the newest first. Protected by the space's lock. */
struct overlay_set {
    struct list placed;
    uint32_t placed_count;
};

/*
 * One overlay page. Its content outlives placing, moving and removing. `page` may be read and written by the hypervisor
 * at any time, with single atomic accesses where the guest may do so too.
 */
struct overlay {
    struct list_node node; /* [space lock] */
    uint8_t *page;         /* [I] after overlay_create(); 4096 bytes */
    uint64_t gpa_page;     /* [space lock] where it lies, if is_placed; in the root fixed from the start */
    uint64_t saved_entry;  /* [space lock] table entry of what it hides */
    uint32_t rights;       /* [I] GPA_READ ... of the guest */
    bool is_placed;        /* [space lock] */
    void *tables[3];       /* [space lock] table pages reserved so that placing never fails */
};

/* Prepares an empty set. */
void overlay_set_init(struct overlay_set *set);

/*
 * Makes a zeroed overlay page with the guest rights `rights` (GPA_READ, GPA_WRITE, GPA_EXECUTE) and reserves the tables
 * that placing it may need. It is not placed, except in the root, where it is reachable at once. INSUFFICIENT_MEMORY:
 * deposit.
 */
MUST_CHECK hv_status_t overlay_create(struct partition *partition, struct overlay *overlay, uint32_t rights);

/* Removes and frees it; accepts one that overlay_create() never made or that was destroyed (all zero). */
void overlay_destroy(struct partition *partition, struct overlay *overlay);

/*
 * Lays the page over GPA page `gpa_page`, moving it if it lies elsewhere; effective on every VP when it returns. Never
 * needs memory. False: beyond the GPA space (nothing changed). In the root: true, nothing happens.
 */
MUST_CHECK bool overlay_place(struct partition *partition, struct overlay *overlay, uint64_t gpa_page);

/* Uncovers what is below. Harmless if it is not placed. In the root: nothing happens. */
void overlay_remove(struct partition *partition, struct overlay *overlay);

/* True when some overlay lies over the page of this address (never in the root). No locks held. */
bool overlay_covers(struct partition *partition, gpa_t address);

/* Page number that the root finds this overlay at (its MSR reads it even while disabled). */
uint64_t overlay_root_page(const struct overlay *overlay);

#endif
