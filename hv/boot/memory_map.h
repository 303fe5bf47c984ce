/* SPDX-License-Identifier: MIT */
#ifndef BOOT_MEMORY_MAP_H
#define BOOT_MEMORY_MAP_H

/* The machine's memory map as arithmetic: sorting what a loader reported, and finding room in it. Builds hosted. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/boot/boot.h"
#include "hv/lib/compiler.h"

/*
 * Turns `raw_count` reported ranges in any order, overlapping or not, into sorted ones of known types that do not
 * overlap; where they did, the most restrictive type wins. Neighbours of one type become one. False: more than `max`
 * result.
 */
MUST_CHECK bool memory_map_normalise(const struct boot_memory *raw, size_t raw_count, struct boot_memory *map,
                                     size_t max, uint32_t *count);

/* All of [start, start + bytes) is RAM. The map is sorted. */
bool memory_map_is_ram(const struct boot_memory *map, size_t count, uint64_t start, uint64_t bytes);

/* Bytes of RAM in the map. */
uint64_t memory_map_ram_bytes(const struct boot_memory *map, size_t count);

/* One past the highest RAM address; 0 if there is none. */
uint64_t memory_map_ram_end(const struct boot_memory *map, size_t count);

/* A range that memory_map_find_room() must leave alone. */
struct memory_map_hole {
    uint64_t start;
    uint64_t bytes;
};

/*
 * The highest `alignment`-aligned RAM of `bytes` that ends at or below `limit`, begins at or above 1 MiB, and touches
 * none of the holes. False: there is none.
 */
MUST_CHECK bool memory_map_find_room(const struct boot_memory *map, size_t count, const struct memory_map_hole *holes,
                                     size_t hole_count, uint64_t bytes, uint64_t alignment, uint64_t limit,
                                     uint64_t *start);

#endif
