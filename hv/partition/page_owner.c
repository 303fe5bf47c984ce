/* SPDX-License-Identifier: MIT */
#include "hv/partition/page_owner.h"

#include <stdatomic.h>
#include <stddef.h>

#include "hv/boot/acpi.h"
#include "hv/debug/debug.h"
#include "hv/lib/range.h"
#include "hv/mem/mem.h"

/*
 * The owner of every RAM page and its number of child mappings. Not here: the tables that map pages (gpa_space.c) and
 * the lists of deposited pages (deposit.c), which keep this table true.
 */

/* Bits 15:14 are the owner, 13:0 the number of child mappings. */
#define OWNER_SHIFT 14
#define SHARE_MASK  0x3fffu

/* What a device page of the hypervisor's own is: mapping it into a child would let the child drive it. */
#define LAPIC_WINDOW_BASE  UINT64_C(0xfee00000)
#define LAPIC_WINDOW_BYTES MIB(1)
#define IOAPIC_BYTES       PAGE_SIZE

static _Atomic uint16_t *owners; /* [I] pointer; [a] entries */
static uint64_t owner_count;     /* [I] pages */

static void mark(uint64_t first, uint64_t count, enum page_owner owner)
{
    for (uint64_t i = first; i < first + count && i < owner_count; i++) {
        atomic_store_explicit(&owners[i], (uint16_t)((uint32_t)owner << OWNER_SHIFT), memory_order_relaxed);
    }
}

bool page_owner_init(void)
{
    struct mem_range reserved = mem_reserved_range();

    owner_count = pages_from_bytes(mem_ram_end());
    owners = page_alloc_contiguous((size_t)pages_from_bytes(owner_count * sizeof(owners[0])));
    if (owners == NULL) {
        owner_count = 0;
        return false;
    }
    for (uint64_t page = 0; page < owner_count; page += PAGES_PER_LARGE_PAGE) {
        if (mem_is_root_ram(spa_from_page(page), LARGE_PAGE_SIZE)) {
            mark(page, PAGES_PER_LARGE_PAGE, PAGE_OWNER_ROOT);
            continue;
        }
        for (uint64_t i = page; i < page + PAGES_PER_LARGE_PAGE; i++) {
            mark(i, 1, mem_is_root_ram(spa_from_page(i), PAGE_SIZE) ? PAGE_OWNER_ROOT : PAGE_OWNER_NOT_RAM);
        }
    }
    mark(spa_page(reserved.start), pages_from_bytes(reserved.bytes), PAGE_OWNER_HYPERVISOR);
    return true;
}

enum page_owner page_owner_of(spa_t address)
{
    uint64_t page = spa_page(address);

    if (page >= owner_count) {
        return PAGE_OWNER_NOT_RAM;
    }
    return (enum page_owner)(atomic_load_explicit(&owners[page], memory_order_acquire) >> OWNER_SHIFT);
}

bool page_owner_change(spa_t address, enum page_owner from, enum page_owner to)
{
    uint64_t page = spa_page(address);
    uint16_t expected = (uint16_t)((uint32_t)from << OWNER_SHIFT);

    if (page >= owner_count) {
        return false;
    }
    return atomic_compare_exchange_strong_explicit(&owners[page], &expected, (uint16_t)((uint32_t)to << OWNER_SHIFT),
                                                   memory_order_acq_rel, memory_order_relaxed);
}

static bool is_hypervisor_device(uint64_t first, uint64_t count)
{
    const struct acpi_info *acpi = acpi_info();
    uint64_t base = first << PAGE_SHIFT;
    uint64_t bytes = count << PAGE_SHIFT;

    if (range_overlaps(base, bytes, LAPIC_WINDOW_BASE, LAPIC_WINDOW_BYTES)) {
        return true;
    }
    for (uint32_t i = 0; i < acpi->ioapic_count; i++) {
        if (range_overlaps(base, bytes, acpi->ioapics[i].address, IOAPIC_BYTES)) {
            return true;
        }
    }
    return false;
}

static bool share_one(uint64_t page)
{
    uint16_t old = atomic_load_explicit(&owners[page], memory_order_relaxed);

    do {
        enum page_owner owner = (enum page_owner)(old >> OWNER_SHIFT);

        if (owner == PAGE_OWNER_NOT_RAM) {
            return !is_hypervisor_device(page, 1);
        }
        if (owner != PAGE_OWNER_ROOT || (old & SHARE_MASK) == SHARE_MASK) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&owners[page], &old, (uint16_t)(old + 1u), memory_order_acq_rel,
                                                    memory_order_relaxed));
    return true;
}

bool page_share(spa_t first, uint64_t count)
{
    uint64_t page = spa_page(first);
    uint64_t end;

    if (!range_add_u64(page, count, &end)) {
        return false;
    }
    for (uint64_t i = page; i < end && i < owner_count; i++) {
        if (!share_one(i)) {
            page_unshare(first, i - page);
            return false;
        }
    }
    if (end > owner_count) {
        uint64_t beyond = max_u64(page, owner_count);

        if (is_hypervisor_device(beyond, end - beyond)) {
            page_unshare(first, end - page);
            return false;
        }
    }
    return true;
}

void page_unshare(spa_t first, uint64_t count)
{
    uint64_t page = spa_page(first);

    for (uint64_t i = page; i < page + count && i < owner_count; i++) {
        uint16_t old = atomic_load_explicit(&owners[i], memory_order_relaxed);

        if ((old >> OWNER_SHIFT) == PAGE_OWNER_NOT_RAM) {
            continue;
        }
        ASSERT((old & SHARE_MASK) != 0);
        (void)atomic_fetch_sub_explicit(&owners[i], 1, memory_order_acq_rel);
    }
}

uint32_t page_share_count(spa_t address)
{
    uint64_t page = spa_page(address);

    return page >= owner_count ? 0 : atomic_load_explicit(&owners[page], memory_order_acquire) & SHARE_MASK;
}
