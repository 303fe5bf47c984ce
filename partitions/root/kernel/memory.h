/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_MEMORY_H
#define KERNEL_MEMORY_H

/* Physical memory, which is mapped at its own address: a page is named by its address everywhere. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

struct boot_info;

#define MEMORY_EXECUTABLE 0x1u
#define MEMORY_UNCACHED   0x2u /* registers of devices */

/* Takes over the page tables (rights of the own image, guard pages) and frees all RAM that nobody uses. Boot, once. */
void memory_init(const struct boot_info *boot);

/* Makes physical memory usable at its address; whole 2 MiB pages, of cached data without flags. False: beyond 512 GiB.
 */
bool memory_map(uint64_t address, uint64_t bytes, uint32_t flags);

/* Makes one page of the image's text writable, or executable again. */
void memory_set_text_writable(const void *page, bool is_writable);

/* `count` pages in one piece, aligned to `alignment` pages (a power of two); not zeroed; 0: there are none. */
MUST_CHECK uint64_t memory_alloc(uint64_t count, uint64_t alignment);

/* Zeroed pages for own use, in bytes: stops with an error line when there are none. */
void *memory_alloc_zeroed(uint64_t bytes);

/* Takes back what memory_alloc gave, in any pieces; or memory_alloc_zeroed, by its bytes (null is allowed). */
void memory_free(uint64_t address, uint64_t count);
void memory_free_bytes(const void *memory, uint64_t bytes);

/* Pages that are free. */
uint64_t memory_free_pages(void);

#endif
