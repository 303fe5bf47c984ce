/* SPDX-License-Identifier: MIT */
/*
 * The page pool. Pages never used yet are taken from `next_fresh` upwards; pages given back are chained through their
 * first word. Contiguous runs come from the fresh part only, which is why they are for boot. A bitmap of pages in use
 * catches a page given back twice. Deposited pages are not here: they belong to hv/partition.
 */
#include "hv/mem/page_pool.h"

#include "hv/debug/debug.h"
#include "hv/lib/bitmap.h"
#include "hv/lib/str.h"
#include "hv/mem/mem.h"
#include "hv/sync/spinlock.h"

/* A page that was given back. */
struct free_page {
    struct free_page *next;
};

/* The pool. */
static struct {
    struct spinlock lock;
    uint8_t *base;           /* [I] first page, in the direct map */
    uint64_t page_count;     /* [I] */
    uint64_t *in_use;        /* [lock] bitmap */
    uint64_t next_fresh;     /* [lock] index of the first page never used */
    uint64_t free_count;     /* [lock] */
    struct free_page *freed; /* [lock] */
} pool = {.lock = SPINLOCK_INIT(LOCK_RANK_PAGE_POOL, "page pool")};

void page_pool_init(spa_t start, uint64_t bytes)
{
    uint64_t all = bytes / PAGE_SIZE;
    uint64_t bitmap_bytes = align_up_u64(BITMAP_WORDS(all) * sizeof(uint64_t), PAGE_SIZE);

    pool.in_use = mem_from_spa(start);
    memset(pool.in_use, 0, bitmap_bytes);
    pool.base = (uint8_t *)pool.in_use + bitmap_bytes;
    pool.page_count = all - bitmap_bytes / PAGE_SIZE;
    pool.free_count = pool.page_count;
}

uint64_t page_pool_size(void)
{
    return pool.page_count;
}

static uint64_t page_index(const void *page)
{
    return (uint64_t)((const uint8_t *)page - pool.base) / PAGE_SIZE;
}

void *page_alloc(void)
{
    void *page = NULL;

    spin_lock(&pool.lock);
    if (pool.freed != NULL) {
        page = pool.freed;
        pool.freed = pool.freed->next;
    } else if (pool.next_fresh < pool.page_count) {
        page = pool.base + pool.next_fresh * PAGE_SIZE;
        pool.next_fresh++;
    }
    if (page != NULL) {
        ASSERT(!bitmap_test(pool.in_use, page_index(page)));
        bitmap_set(pool.in_use, page_index(page));
        pool.free_count--;
    }
    spin_unlock(&pool.lock);

    if (page != NULL) {
        memset(page, 0, PAGE_SIZE);
    }
    return page;
}

void page_free(void *page)
{
    const uint8_t *address = page;

    ASSERT(address >= pool.base && address < pool.base + pool.page_count * PAGE_SIZE);
    ASSERT(((uintptr_t)page & PAGE_MASK) == 0);

    spin_lock(&pool.lock);
    ASSERT(bitmap_test(pool.in_use, page_index(page)));
    bitmap_clear(pool.in_use, page_index(page));
    struct free_page *freed = page;
    freed->next = pool.freed;
    pool.freed = freed;
    pool.free_count++;
    spin_unlock(&pool.lock);
}

void *page_alloc_contiguous(size_t count)
{
    uint8_t *pages = NULL;

    spin_lock(&pool.lock);
    if (count != 0 && count <= pool.page_count - pool.next_fresh) {
        pages = pool.base + pool.next_fresh * PAGE_SIZE;
        bitmap_set_range(pool.in_use, pool.next_fresh, count);
        pool.next_fresh += count;
        pool.free_count -= count;
    }
    spin_unlock(&pool.lock);

    if (pages != NULL) {
        memset(pages, 0, count * PAGE_SIZE);
    }
    return pages;
}

uint64_t page_free_count(void)
{
    spin_lock(&pool.lock);
    uint64_t count = pool.free_count;
    spin_unlock(&pool.lock);
    return count;
}
