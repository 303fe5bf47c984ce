/* SPDX-License-Identifier: MIT */
/* What all loaders share: the memory map, placing things in guest RAM, and failing. */
#ifndef LOADER_PLACE_H
#define LOADER_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "partitions/root/worker/loader/loader.h"

/* Types of memory map entries, the same in e820, PVH and Multiboot maps. */
#define MEMORY_MAP_RAM         1u
#define MEMORY_MAP_RESERVED    2u
#define MEMORY_MAP_ENTRIES_MAX 4u

/* One range of the memory map. */
struct memory_map_entry {
    uint64_t gpa;
    uint64_t length_bytes;
    uint32_t type;
};

/* Fills the map of the machine, in ascending order, and returns the number of entries. */
uint32_t place_memory_map(const struct loader_input *input, struct memory_map_entry *entries);

/* Fills in *error and returns false. */
bool place_fail(struct loader_error *error, enum loader_status status, uint64_t value, uint64_t limit);

/* As place_fail, for LOADER_BAD_HEADER. */
bool place_fail_header(struct loader_error *error, const char *what, uint64_t value);

/* A piece of the kernel may lie at these addresses: in RAM, and not where the loaders put their own. */
MUST_CHECK bool place_check_piece(const struct loader_input *input, uint64_t gpa, uint64_t length_bytes,
                                  struct loader_error *error);

/* Copies to, or clears, guest RAM. */
MUST_CHECK bool place_write(const struct loader_input *input, uint64_t gpa, const void *bytes, uint64_t length_bytes,
                            struct loader_error *error);
MUST_CHECK bool place_zero(const struct loader_input *input, uint64_t gpa, uint64_t length_bytes,
                           struct loader_error *error);
MUST_CHECK bool place_write_u32(const struct loader_input *input, uint64_t gpa, uint32_t value,
                                struct loader_error *error);
MUST_CHECK bool place_write_u64(const struct loader_input *input, uint64_t gpa, uint64_t value,
                                struct loader_error *error);

/*
 * Copies the initrd to the highest page-aligned address in low RAM that ends at
 * or below `limit_gpa` and is not below `lowest_gpa`. Without an initrd *gpa
 * becomes 0.
 */
MUST_CHECK bool place_initrd(const struct loader_input *input, uint64_t lowest_gpa, uint64_t limit_gpa, uint64_t *gpa,
                             struct loader_error *error);

/* Copies the command line, with its terminator, to LAYOUT_COMMAND_LINE_GPA; at most `limit_bytes` without it. */
MUST_CHECK bool place_command_line(const struct loader_input *input, uint64_t limit_bytes, struct loader_error *error);

#endif
