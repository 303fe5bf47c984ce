/* SPDX-License-Identifier: MIT */
#include "hv/partition/root_memory.h"

#include "hv/boot/acpi.h"
#include "hv/boot/boot.h"
#include "hv/cpu/mtrr.h"
#include "hv/debug/debug.h"
#include "hv/lib/range.h"
#include "hv/mem/mem.h"
#include "hv/partition/backend.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/partition.h"

/*
 * The root's GPA space: the machine at its own addresses, in the largest pages that fit and have one memory type (an
 * entry of some backends carries the type). Not here: pages that leave it and come back (deposit.c), what lies in it
 * (root_image.c).
 */

/* Reach of the identity mapping: devices above RAM lie below 1 TiB on the machines we know. */
#define WINDOW_BYTES_HUGE  (UINT64_C(1) << 40)
#define WINDOW_BYTES_LARGE GIB(64)
#define TOP_TABLE_REACH    GIB(512)
/* The tables that leaving out the local APIC's page splits, and as many again to spare. */
#define SPARE_TABLES       4u
#define ROOT_RAM_LOWEST    MIB(1)
#define ROOT_RAM_BELOW     GIB(4)

static uint64_t window_bytes(void)
{
    uint64_t reach = backend->gpa_format->has_1g_pages ? WINDOW_BYTES_HUGE : WINDOW_BYTES_LARGE;

    return align_up_u64(max_u64(reach, mem_ram_end()), HUGE_PAGE_SIZE);
}

/* Tables below pages that would hold more than one memory type; those of RAM are counted twice. */
static uint64_t tables_for_types(uint64_t window)
{
    uint64_t count = 0;

    for (uint64_t huge = 0; huge < window; huge += HUGE_PAGE_SIZE) {
        if (mtrr_is_uniform(spa(huge), HUGE_PAGE_SIZE)) {
            continue;
        }
        count++;
        for (uint64_t large = huge; large < huge + HUGE_PAGE_SIZE; large += LARGE_PAGE_SIZE) {
            count += mtrr_is_uniform(spa(large), LARGE_PAGE_SIZE) ? 0 : 1;
        }
    }
    return count;
}

/* Tables to map the window, and all RAM in it at 4 KiB. */
static uint64_t tables_needed(uint64_t window)
{
    uint64_t ram = align_up_u64(mem_ram_end(), HUGE_PAGE_SIZE);
    uint64_t middle = backend->gpa_format->has_1g_pages ? max_u64(ram, GIB(4)) : window;

    return 1 + align_up_u64(window, TOP_TABLE_REACH) / TOP_TABLE_REACH + middle / HUGE_PAGE_SIZE +
           ram / LARGE_PAGE_SIZE + tables_for_types(window) + SPARE_TABLES;
}

static uint64_t lapic_page(void)
{
    return acpi_info()->lapic_address & ~PAGE_MASK;
}

static bool is_left_out(uint64_t address, uint64_t bytes)
{
    struct mem_range reserved = mem_reserved_range();

    return range_overlaps(address, bytes, reserved.start.value, reserved.bytes) ||
           range_overlaps(address, bytes, lapic_page(), PAGE_SIZE);
}

/* A page of this size can begin at `address`: it holds nothing that is left out, and only one memory type. */
static bool fits(uint64_t address, uint64_t bytes)
{
    return is_aligned_u64(address, bytes) && !is_left_out(address, bytes) && mtrr_is_uniform(spa(address), bytes);
}

/* The largest page that can begin at `address`; 4 KiB even where that one is left out. */
static enum gpa_level best_level(uint64_t address)
{
    if (backend->gpa_format->has_1g_pages && fits(address, HUGE_PAGE_SIZE)) {
        return GPA_LEVEL_1G;
    }
    return fits(address, LARGE_PAGE_SIZE) ? GPA_LEVEL_2M : GPA_LEVEL_4K;
}

static uint64_t level_size(enum gpa_level level)
{
    return level == GPA_LEVEL_1G ? HUGE_PAGE_SIZE : level == GPA_LEVEL_2M ? LARGE_PAGE_SIZE : PAGE_SIZE;
}

void root_memory_init(struct partition *root)
{
    uint64_t window = window_bytes();
    struct mem_range reserved = mem_reserved_range();
    struct gpa_batch batch;
    hv_status_t status = HV_STATUS_SUCCESS;

    spin_init(&root->space.lock, LOCK_RANK_GPA_SPACE, "gpa_space");
    for (uint64_t i = tables_needed(window); i != 0; i--) {
        void *page = page_alloc();

        if (page == NULL) {
            stop_machine("too little hypervisor memory for the root's second-level tables (option hvmem=)");
        }
        gpa_space_add_reserve(&root->space, page);
    }
    status = gpa_space_init(&root->space, root, backend->gpa_format, window);
    gpa_batch_start(&batch, &root->space);
    for (uint64_t address = 0; address < window && status == HV_STATUS_SUCCESS;) {
        enum gpa_level level = best_level(address);

        if (range_contains(reserved.start.value, reserved.bytes, address, LARGE_PAGE_SIZE)) {
            address += LARGE_PAGE_SIZE;
            continue;
        }
        if (!is_left_out(address, level_size(level))) {
            status = gpa_map(&batch, gpa(address), level, spa(address), GPA_ALL);
        }
        address += level_size(level);
    }
    ASSERT(status == HV_STATUS_SUCCESS);
    gpa_batch_finish(&batch);
}

/* Moves `start` below every hole that it touches; false: nothing is left above `lowest`. */
static bool move_below_holes(const struct root_memory_hole *holes, size_t hole_count, uint64_t bytes, uint64_t lowest,
                             uint64_t *start)
{
    for (size_t i = 0; i < hole_count;) {
        if (!range_overlaps(*start, bytes, holes[i].start, holes[i].bytes)) {
            i++;
            continue;
        }
        if (holes[i].start < bytes || align_down_u64(holes[i].start - bytes, PAGE_SIZE) < lowest) {
            return false;
        }
        *start = align_down_u64(holes[i].start - bytes, PAGE_SIZE);
        i = 0;
    }
    return true;
}

bool root_memory_find(const struct root_memory_hole *holes, size_t hole_count, uint64_t bytes, uint64_t *start)
{
    const struct boot_info *info = boot_info();
    struct mem_range reserved = mem_reserved_range();
    const struct root_memory_hole own = {.start = reserved.start.value, .bytes = reserved.bytes};

    for (uint32_t i = info->memory_count; i-- > 0;) {
        const struct boot_memory *memory = &info->memory[i];
        uint64_t lowest = align_up_u64(max_u64(memory->start, ROOT_RAM_LOWEST), PAGE_SIZE);
        uint64_t end = min_u64(memory->start + memory->bytes, ROOT_RAM_BELOW);
        uint64_t at;

        if (memory->type != BOOT_MEMORY_RAM || end < lowest || end - lowest < bytes) {
            continue;
        }
        at = align_down_u64(end - bytes, PAGE_SIZE);
        /* The hypervisor's own range first; then, since moving below a hole may meet it again, both until nothing
         * moves. */
        for (;;) {
            uint64_t before = at;

            if (at < lowest || !move_below_holes(&own, 1, bytes, lowest, &at) ||
                !move_below_holes(holes, hole_count, bytes, lowest, &at)) {
                break;
            }
            if (at == before) {
                *start = at;
                return true;
            }
        }
    }
    return false;
}
