/* SPDX-License-Identifier: MIT */
/*
 * Nested page table entries: the format only; hv/partition/gpa_space.c walks and edits. The processor walks nested
 * tables as user accesses, so every entry carries the user bit. APM vol. 2, Nested Paging.
 */
#include "svm/svm.h"

#define NPT_PRESENT            (1ull << 0)
#define NPT_WRITE              (1ull << 1)
#define NPT_USER               (1ull << 2)
#define NPT_WRITE_THROUGH      (1ull << 3)
#define NPT_CACHE_DISABLE      (1ull << 4)
#define NPT_ACCESSED           (1ull << 5)
#define NPT_DIRTY              (1ull << 6)
#define NPT_LARGE              (1ull << 7)
/* Ignored by the processor: on an entry that is not present it marks "mapped without access". */
#define NPT_SOFTWARE_NO_ACCESS (1ull << 9)
#define NPT_NO_EXECUTE         (1ull << 63)
#define NPT_ADDRESS            0x000ffffffffff000ull

static uint64_t npt_make_table(spa_t table)
{
    return table.value | NPT_PRESENT | NPT_WRITE | NPT_USER;
}

static uint64_t npt_make_leaf(spa_t page, uint32_t rights, enum gpa_level level)
{
    /* A present NPT entry is always readable; the dirty bit stays clear so that dirty tracking sees the first write. */
    uint64_t entry = page.value | NPT_PRESENT | NPT_USER;

    if (rights & GPA_WRITE) {
        entry |= NPT_WRITE;
    }
    if (!(rights & GPA_EXECUTE)) {
        entry |= NPT_NO_EXECUTE;
    }
    if (rights & GPA_UNCACHED) {
        entry |= NPT_CACHE_DISABLE | NPT_WRITE_THROUGH;
    }
    if (level != GPA_LEVEL_4K) {
        entry |= NPT_LARGE;
    }
    return entry;
}

static bool npt_is_present(uint64_t entry)
{
    return (entry & NPT_PRESENT) != 0;
}

static bool npt_is_leaf(uint64_t entry, enum gpa_level level)
{
    return level == GPA_LEVEL_4K || (entry & NPT_LARGE) != 0;
}

static spa_t npt_address(uint64_t entry)
{
    return spa(entry & NPT_ADDRESS);
}

static uint32_t npt_rights(uint64_t entry)
{
    uint32_t rights = GPA_READ;

    if (entry & NPT_WRITE) {
        rights |= GPA_WRITE;
    }
    if (!(entry & NPT_NO_EXECUTE)) {
        rights |= GPA_EXECUTE;
    }
    if (entry & NPT_CACHE_DISABLE) {
        rights |= GPA_UNCACHED;
    }
    return rights;
}

struct gpa_format svm_gpa_format = {
    .make_table = npt_make_table,
    .make_leaf = npt_make_leaf,
    .no_access_entry = NPT_SOFTWARE_NO_ACCESS,
    .is_present = npt_is_present,
    .is_leaf = npt_is_leaf,
    .address = npt_address,
    .rights = npt_rights,
    .accessed_bit = NPT_ACCESSED,
    .dirty_bit = NPT_DIRTY,
    .has_1g_pages = false, /* set by svm_probe() */
};
