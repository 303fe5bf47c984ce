/* SPDX-License-Identifier: MIT */
#ifndef MEM_PAGE_POOL_H
#define MEM_PAGE_POOL_H

/* The page pool's start-up; its use is in mem.h. */

#include <stdint.h>

#include "hv/lib/addr.h"

/*
 * Gives the pool its pages: `bytes` from `start` on, page-aligned, reachable through the direct map. The first of them
 * become the pool's own bitmap. Boot processor, once.
 */
void page_pool_init(spa_t start, uint64_t bytes);

/* Pages that the pool was given beside its bitmap. */
uint64_t page_pool_size(void);

#endif
