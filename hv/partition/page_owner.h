/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PAGE_OWNER_H
#define PARTITION_PAGE_OWNER_H

/*
 * Who owns each page of the machine's RAM, and how many child mappings lead to it: 16 bits a page, reserved at boot. It
 * is what makes "a page the hypervisor uses is never seen by a partition" checkable in O(1): a page can be mapped into
 * a child only while it is the root's, and can be deposited only while it is the root's and no child mapping leads to
 * it. Both changes are single compare-and-exchanges, so neither needs a lock against the other.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

/* State of a RAM page. */
enum page_owner {
    PAGE_OWNER_NOT_RAM,    /* hole, device or firmware range; the root's if anyone's */
    PAGE_OWNER_ROOT,       /* the root's; may be mapped into children */
    PAGE_OWNER_HYPERVISOR, /* the reserved range, or deposited */
    PAGE_OWNER_SHARED,     /* deposited, but mapped back into the root (statistics and VP state pages) */
};

/* Builds the table for all RAM of the machine. Boot, once; false: the pool has no room. */
MUST_CHECK bool page_owner_init(void);

/* State of the page at an address; NOT_RAM beyond the end of RAM. */
enum page_owner page_owner_of(spa_t address);

/* Moves one page from state `from` to `to`; false when it is in another state, or is the root's and mapped into a
 * child. */
MUST_CHECK bool page_owner_change(spa_t address, enum page_owner from, enum page_owner to);

/*
 * Counts child mappings of `count` pages from `first`. False (and nothing is counted) when one of them is not the
 * root's, is a device that the hypervisor drives itself, or has too many mappings. Pages outside RAM are allowed and
 * not counted.
 */
MUST_CHECK bool page_share(spa_t first, uint64_t count);

/* Undoes page_share(); call it only when no processor can use the mapping any more. */
void page_unshare(spa_t first, uint64_t count);

/* Child mappings that lead to a page now; for tests and statistics. */
uint32_t page_share_count(spa_t address);

#endif
