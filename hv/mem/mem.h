/* SPDX-License-Identifier: MIT */
#ifndef MEM_MEM_H
#define MEM_MEM_H

/*
 * The hypervisor's own memory: where it is mapped, the reserved range, and the page pool inside it.
 *
 * Virtual layout: the image at MEM_IMAGE_BASE (text RX, rodata R, data RW/NX), and all RAM at MEM_DIRECT_MAP_BASE
 * (supervisor, RW, never executable). The hypervisor moves itself into one reserved physical range at boot; that range
 * is removed from the root's memory map and from its GPA space.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

#define MEM_IMAGE_BASE      0xffffffff80000000ull
#define MEM_DIRECT_MAP_BASE 0xffff800000000000ull

/* A physical range, [start, start + bytes). */
struct mem_range {
    spa_t start;
    uint64_t bytes;
};

/* Virtual address of a RAM page in the direct map. */
void *mem_from_spa(spa_t address);

/* Physical address of a direct-map or image address. */
spa_t mem_to_spa(const void *address);

/* Maps a device's physical range (uncached, RW, NX) and returns its virtual address; lasts for ever. Null: no room. */
MUST_CHECK void *mem_map_device(spa_t address, size_t bytes);

/* The hypervisor's reserved physical range (2 MiB aligned). */
struct mem_range mem_reserved_range(void);

/* One past the highest RAM address of the machine (what the direct map covers). */
uint64_t mem_ram_end(void);

/* True when the whole range is RAM (E820 type 1) that does not belong to the hypervisor's reserved range. */
bool mem_is_root_ram(spa_t address, uint64_t bytes);

/* Takes one zeroed page from the pool; null when the pool is empty. Callable on every processor. */
MUST_CHECK void *page_alloc(void);

/* Gives a page back to the pool. */
void page_free(void *page);

/* Takes `count` contiguous zeroed pages; for hardware structures, at boot and per processor only. Null: no such run. */
MUST_CHECK void *page_alloc_contiguous(size_t count);

/* Pages in the pool now. */
uint64_t page_free_count(void);

#endif
