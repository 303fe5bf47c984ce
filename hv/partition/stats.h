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
 * Maps the SELF page of an object: the hypervisor, an LP, a partition, a VP. Its page comes from the deposit of the partition
 * concerned (the root's own for the first two). Mapping again gives the same page. INVALID_PARAMETER: unknown object type, or
 * another area than SELF (clients then use SELF for both); INVALID_LP_INDEX; INVALID_PARTITION_ID; INVALID_VP_INDEX;
 * INSUFFICIENT_MEMORY: deposit to *owner, a partition id. No locks held.
 */
MUST_CHECK hv_status_t stats_map_page(struct partition *caller, const struct hv_input_stats_page *input, uint64_t *page);

/* HvCallUnmapStatsPage: statuses as above; NOT_FOUND: not mapped. No locks held. */
MUST_CHECK hv_status_t stats_unmap_page(struct partition *caller, const struct hv_input_stats_page *input);

/* Brings a VP's mapped counters up to date. VP lock held, or its own processor. */
void stats_update_vp(struct vp *vp);

/* Counts TSC ticks that this processor has spent waiting for work. */
void stats_add_idle(uint64_t ticks);

/* 100 ns units since boot that a processor was not waiting for work (HvCallGetLogicalProcessorRunTime). */
uint64_t stats_lp_run_time(uint32_t lp_index);

#endif
