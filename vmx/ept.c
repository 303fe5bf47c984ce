/* SPDX-License-Identifier: MIT */
/*
 * Extended page table entries: the format only; hv/partition/gpa_space.c walks and edits. A leaf carries the memory
 * type that the machine's MTRRs give its page; the guest's PAT still counts. SDM vol. 3, The Extended Page Table
 * Mechanism (EPT).
 */
#include "vmx/vmx.h"

#include "hv/cpu/mtrr.h"
#include "hv/lib/x86/x86_regs.h"

#define EPT_READ               (1ull << 0)
#define EPT_WRITE              (1ull << 1)
#define EPT_EXECUTE            (1ull << 2)
#define EPT_PRESENT            (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_TYPE_SHIFT         3
#define EPT_TYPE_MASK          (7ull << EPT_TYPE_SHIFT)
#define EPT_LARGE              (1ull << 7)
#define EPT_ACCESSED           (1ull << 8)
#define EPT_DIRTY              (1ull << 9)
/* Ignored by the processor: on an entry that is not present it marks "mapped without access". */
#define EPT_SOFTWARE_NO_ACCESS (1ull << 11)
#define EPT_ADDRESS            0x000ffffffffff000ull

static uint64_t ept_make_table(spa_t table)
{
    return table.value | EPT_PRESENT;
}

static uint64_t ept_make_leaf(spa_t page, uint32_t rights, enum gpa_level level)
{
    /* Of a large page that the MTRRs divide one type is right for all parts. */
    bool is_uncached = (rights & GPA_UNCACHED) != 0 || !mtrr_is_uniform(page, gpa_level_bytes(level));
    uint64_t type = is_uncached ? X86_MEMORY_TYPE_UC : mtrr_type(page);
    /* Always readable: writable without readable is a misconfiguration, and NPT cannot do without either. */
    uint64_t entry = page.value | EPT_READ | type << EPT_TYPE_SHIFT;

    if (rights & GPA_WRITE) {
        entry |= EPT_WRITE;
    }
    if (rights & GPA_EXECUTE) {
        entry |= EPT_EXECUTE;
    }
    if (level != GPA_LEVEL_4K) {
        entry |= EPT_LARGE;
    }
    return entry;
}

static bool ept_is_present(uint64_t entry)
{
    return (entry & EPT_PRESENT) != 0;
}

static bool ept_is_leaf(uint64_t entry, enum gpa_level level)
{
    return level == GPA_LEVEL_4K || (entry & EPT_LARGE) != 0;
}

static spa_t ept_address(uint64_t entry)
{
    return spa(entry & EPT_ADDRESS);
}

static uint32_t ept_rights(uint64_t entry)
{
    uint32_t rights = GPA_READ;

    if (entry & EPT_WRITE) {
        rights |= GPA_WRITE;
    }
    if (entry & EPT_EXECUTE) {
        rights |= GPA_EXECUTE;
    }
    if ((entry & EPT_TYPE_MASK) == (uint64_t)X86_MEMORY_TYPE_UC << EPT_TYPE_SHIFT) {
        rights |= GPA_UNCACHED;
    }
    return rights;
}

struct gpa_format vmx_gpa_format = {
    .make_table = ept_make_table,
    .make_leaf = ept_make_leaf,
    .no_access_entry = EPT_SOFTWARE_NO_ACCESS,
    .is_present = ept_is_present,
    .is_leaf = ept_is_leaf,
    .address = ept_address,
    .rights = ept_rights,
    /* The bits, and whether there are pages of 1 GiB, are set by vmx_probe(). */
};

void ept_use_accessed_dirty(void)
{
    vmx_gpa_format.accessed_bit = EPT_ACCESSED;
    vmx_gpa_format.dirty_bit = EPT_DIRTY;
}
