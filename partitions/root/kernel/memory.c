/* SPDX-License-Identifier: MIT */
/* The identity map and the page allocator: one bit for each page of RAM, set while it is free. Single pages come from
 * the bottom, blocks from the top, so that the blocks for guests stay in one piece. */
#include "partitions/root/kernel/memory.h"

#include "hv/lib/bitmap.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/boot.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/cpu.h"

#define TABLE_ENTRIES     512u
#define BOOT_MAPPED_BYTES GIB(4)
#define MAP_LIMIT_BYTES   GIB(512)
/* Interrupt controllers and firmware: the MTRRs say so, too, but not on every machine. */
#define UNCACHED_START    UINT64_C(0xFE000000)

extern uint64_t kernel_pdpt[TABLE_ENTRIES], kernel_pd[4 * TABLE_ENTRIES], image_pt[TABLE_ENTRIES];
extern uint8_t image_start[], image_text_end[], image_rodata_end[], image_end[];

static struct spinlock lock;
static uint64_t *free_map;    /* [lock] */
static uint64_t page_count;   /* bits in free_map */
static uint64_t free_count;   /* [lock] */
static uint64_t search_start; /* [lock] no page below is free */

static void protect_image(void)
{
    uint64_t base = (uint64_t)image_start;

    for (uint64_t i = 0; i < TABLE_ENTRIES; i++) {
        uint64_t address = base + i * PAGE_SIZE;

        image_pt[i] = address | X86_PTE_P |
                      (address < (uint64_t)image_text_end     ? 0
                       : address < (uint64_t)image_rodata_end ? X86_PTE_NX
                                                              : X86_PTE_NX | X86_PTE_W);
    }
    for (uint32_t cpu = 0; cpu < KERNEL_CPU_MAX; cpu++) {
        image_pt[((uint64_t)cpu_stacks[cpu] - base) / PAGE_SIZE] = 0;
    }
    for (uint64_t i = 0; i < ARRAY_SIZE(kernel_pd); i++) {
        kernel_pd[i] |= X86_PTE_NX | (i * LARGE_PAGE_SIZE >= UNCACHED_START ? X86_PTE_PCD | X86_PTE_PWT : 0);
    }
    kernel_pd[base / LARGE_PAGE_SIZE] = (uint64_t)image_pt | X86_PTE_P | X86_PTE_W;
    flush_tlb();
}

void memory_set_text_writable(const void *page, bool is_writable)
{
    image_pt[((uint64_t)page - (uint64_t)image_start) / PAGE_SIZE] =
        (uint64_t)page | X86_PTE_P | (is_writable ? X86_PTE_W | X86_PTE_NX : 0);
    flush_tlb();
}

bool memory_map(uint64_t address, uint64_t bytes, uint32_t flags)
{
    if (!range_contains(0, MAP_LIMIT_BYTES, address, bytes)) {
        return false;
    }
    for (uint64_t at = align_down_u64(address, LARGE_PAGE_SIZE); at < address + bytes; at += LARGE_PAGE_SIZE) {
        uint64_t *top = &kernel_pdpt[at / GIB(1)];

        if ((*top & X86_PTE_P) == 0) {
            *top = (uint64_t)memory_alloc_zeroed(PAGE_SIZE) | X86_PTE_P | X86_PTE_W;
        }

        uint64_t *entry = (uint64_t *)(*top & X86_PTE_ADDRESS) + at / LARGE_PAGE_SIZE % TABLE_ENTRIES;

        if (at != (uint64_t)image_start) {
            *entry =
                at | X86_PTE_P | X86_PTE_W | X86_PTE_PS | ((flags & MEMORY_EXECUTABLE) != 0 ? 0 : X86_PTE_NX) |
                ((flags & MEMORY_UNCACHED) != 0 ? X86_PTE_PCD | X86_PTE_PWT : *entry & (X86_PTE_PCD | X86_PTE_PWT));
        }
    }
    flush_tlb();
    return true;
}

/* [lock] Marks the pages that lie wholly (free) or partly (not free) in the range. */
static void mark(uint64_t start, uint64_t bytes, bool is_free)
{
    uint64_t end = min_u64(start + bytes, page_count * PAGE_SIZE);
    uint64_t last = is_free ? end / PAGE_SIZE : pages_from_bytes(end);

    for (uint64_t page = is_free ? pages_from_bytes(start) : start / PAGE_SIZE; page < last; page++) {
        free_count += (is_free ? UINT64_C(1) : 0) - (bitmap_test(free_map, page) ? 1 : 0);
        bitmap_assign(free_map, page, is_free);
    }
}

/* A place for the bitmap that overlaps nothing that is in use. */
static uint64_t find_place(const struct boot_info *boot, uint64_t bytes)
{
    for (uint32_t i = 0; i < boot->range_count; i++) {
        const struct boot_range *range = &boot->ranges[i];
        uint64_t at = max_u64(align_up_u64(range->start, PAGE_SIZE), (uint64_t)image_end);

        for (uint32_t m = 0; m < boot->module_count; m++) {
            if (range_overlaps(at, bytes, boot->modules[m].start, boot->modules[m].bytes)) {
                at = align_up_u64(boot->modules[m].start + boot->modules[m].bytes, PAGE_SIZE);
                m = UINT32_MAX; /* begin again: the modules are in no order */
            }
        }
        if (range->type == BOOT_RANGE_RAM && range_contains(range->start, range->bytes, at, bytes) &&
            at + bytes <= BOOT_MAPPED_BYTES) {
            return at;
        }
    }
    console_error("minroot: no %llu KiB of free RAM below 4 GiB for the page map", (unsigned long long)(bytes >> 10));
    power_off();
}

void memory_init(const struct boot_info *boot)
{
    uint64_t end = 0;
    uint64_t map_bytes;

    protect_image();
    for (uint32_t i = 0; i < boot->range_count; i++) {
        if (boot->ranges[i].type == BOOT_RANGE_RAM) {
            end = max_u64(end, min_u64(boot->ranges[i].start + boot->ranges[i].bytes, MAP_LIMIT_BYTES));
        }
    }
    page_count = end / PAGE_SIZE;
    map_bytes = align_up_u64(BITMAP_WORDS(page_count) * sizeof(uint64_t), PAGE_SIZE);
    free_map = (uint64_t *)find_place(boot, map_bytes);
    memset(free_map, 0, map_bytes);
    /* RAM above what is mapped is of use only once it is mapped, for which pages below are needed: two rounds. */
    for (uint32_t is_above = 0; is_above < 2; is_above++) {
        for (uint32_t i = 0; i < boot->range_count; i++) {
            const struct boot_range *range = &boot->ranges[i];

            if (range->type == BOOT_RANGE_RAM && (range->start >= BOOT_MAPPED_BYTES) == is_above &&
                (is_above == 0 || memory_map(range->start, range->bytes, 0))) {
                mark(range->start, range->bytes, true);
            }
        }
        for (uint32_t i = 0; i < boot->range_count; i++) {
            if (boot->ranges[i].type != BOOT_RANGE_RAM) {
                mark(boot->ranges[i].start, boot->ranges[i].bytes, false);
            }
        }
        for (uint32_t m = 0; m < boot->module_count; m++) {
            mark(boot->modules[m].start, boot->modules[m].bytes, false);
        }
        mark(0, MIB(1), false);
        mark((uint64_t)image_start, (uint64_t)(image_end - image_start), false);
        mark((uint64_t)free_map, map_bytes, false);
    }
}

/* [lock] First page of a block, or 0. */
static uint64_t find_block(uint64_t count, uint64_t alignment)
{
    size_t limit = page_count;

    while (count <= limit) {
        uint64_t at = align_down_u64(limit - count, alignment);
        size_t used = bitmap_find_from(free_map, at + count, at, true);

        if (used == BITMAP_NONE) {
            return at;
        }
        limit = used;
    }
    return 0;
}

uint64_t memory_alloc(uint64_t count, uint64_t alignment)
{
    bool were_on = spin_lock_irq(&lock);
    uint64_t page = 0;

    if (count == 1 && alignment == 1) {
        size_t found = bitmap_find_next(free_map, page_count, search_start);

        page = found == BITMAP_NONE ? 0 : found;
        search_start = found == BITMAP_NONE ? page_count : found + 1;
    } else if (count != 0) {
        page = find_block(count, alignment);
    }
    if (page != 0) {
        mark(page * PAGE_SIZE, count * PAGE_SIZE, false);
    }
    spin_unlock_irq(&lock, were_on);
    return page * PAGE_SIZE;
}

void *memory_alloc_zeroed(uint64_t bytes)
{
    uint64_t count = pages_from_bytes(bytes);
    uint64_t address = memory_alloc(count, 1);

    if (address == 0) {
        console_error("minroot: out of memory (%llu KiB wanted)", (unsigned long long)(count * PAGE_SIZE >> 10));
        power_off();
    }
    return memset((void *)address, 0, count * PAGE_SIZE);
}

void memory_free(uint64_t address, uint64_t count)
{
    bool were_on = spin_lock_irq(&lock);

    mark(address, count * PAGE_SIZE, true);
    search_start = min_u64(search_start, address / PAGE_SIZE);
    spin_unlock_irq(&lock, were_on);
}

void memory_free_bytes(const void *memory, uint64_t bytes)
{
    if (memory != NULL) {
        memory_free((uint64_t)memory, pages_from_bytes(bytes));
    }
}

uint64_t memory_free_pages(void)
{
    return READ_ONCE(free_count);
}
