/* SPDX-License-Identifier: MIT */
#ifndef MEM_PAGING_H
#define MEM_PAGING_H

/* The hypervisor's own page tables: one set for all processors, growing only, changed only at boot. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

/* Allocates the empty top table. False: no memory. */
MUST_CHECK bool paging_create(void);

/*
 * Maps [address, address + bytes) to physical memory at `target`, all page-aligned, with the largest pages that fit if
 * `large` is set. `flags` are X86_PTE_ bits beside P. Nothing may be mapped there yet. False: no memory for tables.
 */
MUST_CHECK bool paging_map(uint64_t address, spa_t target, uint64_t bytes, uint64_t flags, bool large);

/* Physical address of the top table: what CR3 holds. */
spa_t paging_root(void);

#endif
