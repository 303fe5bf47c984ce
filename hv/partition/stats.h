/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_STATS_H
#define PARTITION_STATS_H

/* Statistics pages (HvCallMapStatsPage): counters that the root reads in place. */

#include <stdint.h>

#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"

struct partition;
struct vp;

/* Forgets all pages of the machine's objects. Boot, once. */
void stats_init(void);

/*
 * Maps the SELF page of an object: the hypervisor, an LP, a partition, a VP. Its page comes from the deposit of the
 * caller, the root, whatever the object: that is where clients deposit when they are told to. Mapping again gives the
 * same page. INVALID_PARAMETER: unknown object type, or another area than SELF (clients then use SELF for both);
 * INVALID_LP_INDEX; INVALID_PARTITION_ID; INVALID_VP_INDEX; INVALID_PARTITION_STATE: finalised; INSUFFICIENT_MEMORY:
 * deposit to the caller. No locks held.
 */
MUST_CHECK hv_status_t stats_map_page(struct partition *caller, const struct hv_input_stats_page *input,
                                      uint64_t *page);

/* HvCallUnmapStatsPage: statuses as above; NOT_FOUND: not mapped. No locks held. */
MUST_CHECK hv_status_t stats_unmap_page(struct partition *caller, const struct hv_input_stats_page *input);

/* What the hypervisor's page counts, beside the processors. */
enum stats_counter {
    STATS_PARTITIONS, /* children; each from creation to the end of its last reference */
    STATS_PAGES,      /* deposited minus withdrawn, of all partitions */
    STATS_VPS,        /* of children */
    STATS_COUNTER_COUNT,
};

/* Adds to a counter. Any context. */
void stats_count(enum stats_counter counter, int64_t change);

/* Takes a mapped page back from an object that goes away; null is allowed. No locks of rank GPA space or higher held.
 */
void stats_free_page(uint64_t *page);

/* Brings a VP's mapped counters up to date. VP lock held, or its own processor. */
void stats_update_vp(struct vp *vp);

/* Counts TSC ticks that this processor has spent waiting for work. */
void stats_add_idle(uint64_t ticks);

/* 100 ns units since boot that a processor was not waiting for work (HvCallGetLogicalProcessorRunTime). */
uint64_t stats_lp_run_time(uint32_t lp_index);

#endif
