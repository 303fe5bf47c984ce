/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_ROOT_MEMORY_H
#define PARTITION_ROOT_MEMORY_H

/* The root's GPA space at boot, and finding room in its RAM. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

struct partition;

/*
 * Maps the machine into the root: everything at its own address, up to 1 TiB (64 GiB or the end of RAM without 1 GiB
 * pages), but for the hypervisor's range and the local APIC's page; and reserves the tables for all later splits. Stops
 * the machine when the pool is too small. Boot, once.
 */
void root_memory_init(struct partition *root);

/* A range of root RAM that must not be given out. */
struct root_memory_hole {
    uint64_t start;
    uint64_t bytes;
};

/*
 * The highest page-aligned place below 4 GiB for `bytes` in root RAM above 1 MiB that touches no hole. False: there is
 * none.
 */
MUST_CHECK bool root_memory_find(const struct root_memory_hole *holes, size_t hole_count, uint64_t bytes,
                                 uint64_t *start);

#endif
