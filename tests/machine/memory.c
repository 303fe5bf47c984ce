/* SPDX-License-Identifier: MIT */
/* RAM and the page pool of the fake machine. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hv/debug/debug.h"
#include "hv/lib/range.h"
#include "hv/mem/mem.h"
#include "tests/machine/machine.h"
#include "tests/machine/private.h"

#define POOL_PAGES  ((MACHINE_RAM_BYTES - MACHINE_RESERVED_START) / PAGE_SIZE)
#define HASH_SLOTS  (POOL_PAGES * 4)
#define DEVICES_MAX 16

/* A run of pages that was allocated at once. */
struct block {
    void *memory;
    uint64_t pages_left; /* not freed yet */
};

/* A device range that was mapped. */
struct device {
    uint64_t address;
    void *memory;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *ram;
static struct block *page_blocks[POOL_PAGES]; /* by page of the reserved range; null: free */
static uint8_t *page_memory[POOL_PAGES];
static uint32_t page_by_hash[HASH_SLOTS]; /* page number + 1; 0: empty, so a probe ends; UINT32_MAX: was used */
static uint64_t next_page;
static uint64_t in_use;
static uint64_t page_limit = UINT64_MAX;
static struct device devices[DEVICES_MAX];
static uint32_t device_count;

static uint8_t *ram_base(void)
{
    if (ram == NULL) {
        ram = mmap(NULL, MACHINE_RESERVED_START, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
        if (ram == MAP_FAILED) {
            perror("mmap of the fake machine's RAM");
            abort();
        }
    }
    return ram;
}

static uint64_t hash(uint64_t address)
{
    return (address / PAGE_SIZE * 0x9e3779b97f4a7c15ull) % HASH_SLOTS;
}

/* The pool page that holds this host address; POOL_PAGES if none does. */
static uint64_t find_page(uint64_t address)
{
    uint64_t base = address & ~PAGE_MASK;

    for (uint64_t slot = hash(base);; slot = (slot + 1) % HASH_SLOTS) {
        uint32_t entry = page_by_hash[slot];
        if (entry == 0) {
            return POOL_PAGES;
        }
        if (entry != UINT32_MAX && (uint64_t)(uintptr_t)page_memory[entry - 1] == base) {
            return entry - 1;
        }
    }
}

static void remember_page(uint64_t page, struct block *block, uint8_t *memory)
{
    uint64_t slot = hash((uintptr_t)memory);

    while (page_by_hash[slot] != 0 && page_by_hash[slot] != UINT32_MAX) {
        slot = (slot + 1) % HASH_SLOTS;
    }
    page_by_hash[slot] = (uint32_t)page + 1;
    page_blocks[page] = block;
    page_memory[page] = memory;
    in_use++;
}

/* Rebuilds the table: entries that were used only make it slower, and in the end full. */
static void rebuild_hash(void)
{
    memset(page_by_hash, 0, sizeof(page_by_hash));
    for (uint64_t page = 0; page < POOL_PAGES; page++) {
        if (page_blocks[page] == NULL) {
            continue;
        }
        uint64_t slot = hash((uintptr_t)page_memory[page]);
        while (page_by_hash[slot] != 0) {
            slot = (slot + 1) % HASH_SLOTS;
        }
        page_by_hash[slot] = (uint32_t)page + 1;
    }
}

static void forget_page(uint64_t page)
{
    static uint64_t forgotten;
    struct block *block = page_blocks[page];

    for (uint64_t slot = hash((uintptr_t)page_memory[page]);; slot = (slot + 1) % HASH_SLOTS) {
        if (page_by_hash[slot] == page + 1) {
            page_by_hash[slot] = UINT32_MAX;
            break;
        }
    }
    page_blocks[page] = NULL;
    page_memory[page] = NULL;
    in_use--;
    block->pages_left--;
    if (block->pages_left == 0) {
        free(block->memory);
        free(block);
    }
    forgotten++;
    if (forgotten % POOL_PAGES == 0) {
        rebuild_hash();
    }
}

/*
 * The first of `count` free pages in a row; POOL_PAGES if there are none. Begins behind the last one, so numbers are
 * not reused soon.
 */
static uint64_t find_run(uint64_t count)
{
    for (uint64_t tried = 0; tried < POOL_PAGES; tried++) {
        uint64_t first = (next_page + tried) % POOL_PAGES;
        uint64_t length = 0;
        while (length < count && first + length < POOL_PAGES && page_blocks[first + length] == NULL) {
            length++;
        }
        if (length == count) {
            next_page = first + count;
            return first;
        }
    }
    return POOL_PAGES;
}

static void *allocate(uint64_t count)
{
    uint8_t *memory = NULL;

    pthread_mutex_lock(&lock);
    uint64_t first = count == 0 || count > page_limit ? POOL_PAGES : find_run(count);
    if (first != POOL_PAGES) {
        struct block *block = calloc(1, sizeof(*block));
        memory = aligned_alloc(PAGE_SIZE, count * PAGE_SIZE);
        if (block == NULL || memory == NULL) {
            abort();
        }
        memset(memory, 0, count * PAGE_SIZE);
        *block = (struct block){.memory = memory, .pages_left = count};
        for (uint64_t i = 0; i < count; i++) {
            remember_page(first + i, block, memory + i * PAGE_SIZE);
        }
        page_limit -= page_limit == UINT64_MAX ? 0 : count;
    }
    pthread_mutex_unlock(&lock);
    return memory;
}

void *page_alloc(void)
{
    return allocate(1);
}

void *page_alloc_contiguous(size_t count)
{
    return allocate(count);
}

void page_free(void *page)
{
    pthread_mutex_lock(&lock);
    uint64_t found = find_page((uintptr_t)page);
    bool is_good = found != POOL_PAGES && page_memory[found] == page;
    if (is_good) {
        forget_page(found);
    }
    pthread_mutex_unlock(&lock);
    if (!is_good) {
        panic("page_free(%p): not an allocated page", page);
    }
}

uint64_t page_free_count(void)
{
    pthread_mutex_lock(&lock);
    uint64_t count = min_u64(POOL_PAGES - in_use, page_limit);
    pthread_mutex_unlock(&lock);
    return count;
}

uint64_t machine_pages_in_use(void)
{
    pthread_mutex_lock(&lock);
    uint64_t count = in_use;
    pthread_mutex_unlock(&lock);
    return count;
}

void machine_limit_pages(uint64_t count)
{
    pthread_mutex_lock(&lock);
    page_limit = count;
    pthread_mutex_unlock(&lock);
}

void *mem_from_spa(spa_t address)
{
    if (address.value < MACHINE_RESERVED_START) {
        return ram_base() + address.value;
    }
    uint64_t page = (address.value - MACHINE_RESERVED_START) / PAGE_SIZE;
    pthread_mutex_lock(&lock);
    uint8_t *memory = page < POOL_PAGES ? page_memory[page] : NULL;
    pthread_mutex_unlock(&lock);
    if (memory == NULL) {
        panic("mem_from_spa(0x%llx): neither RAM nor an allocated page", (unsigned long long)address.value);
    }
    return memory + (address.value & PAGE_MASK);
}

spa_t mem_to_spa(const void *address)
{
    uint64_t value = (uintptr_t)address;
    uint64_t base = (uintptr_t)ram_base();

    if (range_contains_address(base, MACHINE_RESERVED_START, value)) {
        return spa(value - base);
    }
    pthread_mutex_lock(&lock);
    uint64_t page = find_page(value);
    pthread_mutex_unlock(&lock);
    if (page == POOL_PAGES) {
        panic("mem_to_spa(%p): neither RAM nor an allocated page", address);
    }
    return spa(MACHINE_RESERVED_START + page * PAGE_SIZE + (value & PAGE_MASK));
}

/* Plain zeroed memory; the same for the same address until the next reset. */
void *mem_map_device(spa_t address, size_t bytes)
{
    for (uint32_t i = 0; i < device_count; i++) {
        if (devices[i].address == address.value) {
            return devices[i].memory;
        }
    }
    if (device_count == DEVICES_MAX) {
        return NULL;
    }
    devices[device_count] = (struct device){.address = address.value, .memory = calloc(1, bytes)};
    return devices[device_count++].memory;
}

struct mem_range mem_reserved_range(void)
{
    return (struct mem_range){.start = spa(MACHINE_RESERVED_START),
                              .bytes = MACHINE_RAM_BYTES - MACHINE_RESERVED_START};
}

uint64_t mem_ram_end(void)
{
    return MACHINE_RAM_BYTES;
}

bool mem_is_root_ram(spa_t address, uint64_t bytes)
{
    return range_contains(0, MACHINE_RESERVED_START, address.value, bytes);
}

uint64_t machine_reset_memory(void)
{
    uint64_t leaked = machine_pages_in_use();

    for (uint64_t page = 0; page < POOL_PAGES; page++) {
        if (page_blocks[page] != NULL) {
            forget_page(page);
        }
    }
    memset(page_by_hash, 0, sizeof(page_by_hash));
    next_page = 0;
    page_limit = UINT64_MAX;
    for (uint32_t i = 0; i < device_count; i++) {
        free(devices[i].memory);
    }
    device_count = 0;
    if (ram != NULL && madvise(ram, MACHINE_RESERVED_START, MADV_DONTNEED) != 0) {
        abort();
    }
    return leaked;
}
