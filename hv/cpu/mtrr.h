/* SPDX-License-Identifier: MIT */
#ifndef CPU_MTRR_H
#define CPU_MTRR_H

/*
 * The machine's memory types as the firmware set them in the memory type range registers. SDM vol. 3, "Memory Type
 * Range Registers (MTRRs)"; APM vol. 2, "Memory-Type Range Registers". Types are X86_MEMORY_TYPE_*.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/addr.h"

#define MTRR_FIXED_COUNT  11u
#define MTRR_VARIABLE_MAX 16u /* as many as have an MSR number */
#define MTRR_FIXED_RANGES (MTRR_FIXED_COUNT * 8u)

/* The fixed ranges' registers, in the order of their addresses. */
extern const uint32_t mtrr_fixed_msrs[MTRR_FIXED_COUNT];

/* The registers as they are read. */
struct mtrr_registers {
    uint64_t capabilities;
    uint64_t default_type;
    uint64_t fixed[MTRR_FIXED_COUNT]; /* in the order of their addresses; ignored where there are none */
    uint64_t base[MTRR_VARIABLE_MAX];
    uint64_t mask[MTRR_VARIABLE_MAX];
};

/* One variable range that is in use: all addresses that agree with `base` in the bits of `mask`. */
struct mtrr_range {
    uint64_t base;
    uint64_t mask;
    uint8_t type;
};

/* What the registers say. */
struct mtrr_map {
    uint8_t default_type;
    bool has_fixed;
    uint8_t fixed[MTRR_FIXED_RANGES];
    uint32_t range_count;
    struct mtrr_range ranges[MTRR_VARIABLE_MAX];
};

/* Makes a map of what was read. */
void mtrr_parse(const struct mtrr_registers *registers, struct mtrr_map *map);

/* The memory type of one address in a map. Ranges that must not overlap make it uncached. */
uint8_t mtrr_map_type(const struct mtrr_map *map, spa_t address);

/* All `bytes` at `address` have one type in a map; `bytes` is a power of two, at least a page, `address` aligned to it.
 */
bool mtrr_map_is_uniform(const struct mtrr_map *map, spa_t address, uint64_t bytes);

/* Reads the processor's MTRRs; boot processor, once. Before that, and without MTRRs, everything is write-back. */
void mtrr_init(void);

/* The same two questions about the machine. */
uint8_t mtrr_type(spa_t address);
bool mtrr_is_uniform(spa_t address, uint64_t bytes);

#endif
