/* SPDX-License-Identifier: MIT */
#include "hv/partition/gpa_space.h"

#include "hv/abi/hv_partition.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/lib/str.h"
#include "hv/mem/mem.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/deposit.h"
#include "hv/partition/overlay.h"
#include "hv/partition/page_owner.h"
#include "hv/partition/partition.h"

/*
 * Second-level tables: the radix walk, mapping, splitting, flushing, and the count of child mappings that page_owner.c
 * keeps. Not here: entry formats (the backend's), overlay pages (overlay.c), copies (gpa_access.c).
 *
 * Processors walk the tables while they change, so every entry is replaced by one atomic exchange; the lock is against
 * other changers only. A page counts as unmapped when the flush that follows is over: until then it stays in the batch.
 */

#define ENTRIES_PER_TABLE 512u

/* Units of struct gpa_batch.work. */
#define WORK_ENTRY       3u
#define WORK_TABLE       100u
#define WORK_SHARE_LARGE 50u

static _Atomic uint64_t next_id = 1;

static bool is_root_space(const struct gpa_space *space)
{
    return space->partition->is_root;
}

static uint64_t level_pages(enum gpa_level level)
{
    return gpa_level_bytes(level) >> PAGE_SHIFT;
}

static uint32_t entry_index(gpa_t address, enum gpa_level level)
{
    return (uint32_t)(address.value >> (PAGE_SHIFT + GPA_INDEX_BITS * ((uint32_t)level - 1))) & (ENTRIES_PER_TABLE - 1);
}

static uint64_t entry_load(const uint64_t *entry)
{
    return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static uint64_t entry_exchange(uint64_t *entry, uint64_t value)
{
    return __atomic_exchange_n(entry, value, __ATOMIC_SEQ_CST);
}

static bool is_table(const struct gpa_space *space, uint64_t entry, enum gpa_level level)
{
    return level > GPA_LEVEL_4K && space->format->is_present(entry) && !space->format->is_leaf(entry, level);
}

static uint64_t *table_of(const struct gpa_space *space, uint64_t entry)
{
    return mem_from_spa(space->format->address(entry));
}

/* The entry for `address` at level `wanted`, or the higher one where the walk ends. */
static uint64_t *find_entry(struct gpa_space *space, gpa_t address, enum gpa_level wanted, enum gpa_level *found)
{
    uint64_t *table = space->root_table;

    for (enum gpa_level level = GPA_LEVEL_512G;; level--) {
        uint64_t *entry = &table[entry_index(address, level)];
        uint64_t value = entry_load(entry);

        if (level == wanted || !is_table(space, value, level)) {
            *found = level;
            return entry;
        }
        table = table_of(space, value);
    }
}

static void *reserve_pop(struct gpa_space *space)
{
    void **page = space->reserve;

    if (page == NULL) {
        return NULL;
    }
    space->reserve = *page;
    space->reserve_count--;
    *page = NULL;
    return page;
}

/* The page must be zero but for its first 8 bytes. */
static void reserve_push(struct gpa_space *space, void *page)
{
    *(void **)page = space->reserve;
    space->reserve = page;
    space->reserve_count++;
}

void gpa_space_add_reserve(struct gpa_space *space, void *page)
{
    spin_lock(&space->lock);
    reserve_push(space, page);
    spin_unlock(&space->lock);
}

static void *table_alloc(struct gpa_space *space)
{
    return is_root_space(space) ? reserve_pop(space) : part_page_alloc(space->partition);
}

static void table_free(struct gpa_space *space, void *table)
{
    if (is_root_space(space)) {
        memset(table, 0, PAGE_SIZE);
        reserve_push(space, table);
    } else {
        part_page_free(space->partition, table);
    }
}

hv_status_t gpa_space_init(struct gpa_space *space, struct partition *partition, const struct gpa_format *format,
                           uint64_t limit)
{
    spin_init(&space->lock, LOCK_RANK_GPA_SPACE, "gpa_space");
    space->partition = partition;
    space->format = format;
    space->limit = limit;
    space->physical_bits = cpuid_physical_bits();
    space->is_closed = false;
    atomic_init(&space->generation, 1);
    space->id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
    space->root_table = table_alloc(space);
    if (space->root_table == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    space->table_page_count = 1;
    return HV_STATUS_SUCCESS;
}

void gpa_flush(struct gpa_space *space)
{
    /* Pairs with the load of the generation before guest entry, behind the store of cpu->guest_space. */
    (void)atomic_fetch_add_explicit(&space->generation, 1, memory_order_seq_cst);
    cpu_quiesce_space(space);
}

void gpa_batch_start(struct gpa_batch *batch, struct gpa_space *space)
{
    batch->space = space;
    batch->needs_flush = false;
    batch->work = 0;
    batch->released_count = 0;
}

void gpa_batch_finish(struct gpa_batch *batch)
{
    if (batch->needs_flush) {
        gpa_flush(batch->space);
        batch->needs_flush = false;
    }
    for (uint32_t i = 0; i < batch->released_count; i++) {
        page_unshare(batch->released[i].first, batch->released[i].count);
    }
    batch->released_count = 0;
}

/* A child's leaf is gone: its pages are let go of after the flush. */
static void release_leaf(struct gpa_batch *batch, uint64_t entry, enum gpa_level level)
{
    struct gpa_space *space = batch->space;

    if (is_root_space(space)) {
        return;
    }
    if (batch->released_count == GPA_BATCH_RELEASED_MAX) {
        batch->needs_flush = true;
        gpa_batch_finish(batch);
    }
    batch->work += level == GPA_LEVEL_4K ? 0 : WORK_SHARE_LARGE;
    batch->released[batch->released_count].first = space->format->address(entry);
    batch->released[batch->released_count].count = level_pages(level);
    batch->released_count++;
}

/*
 * Replaces the non-table entry at `level` by a table of the next lower level that says the same. Splitting a present
 * leaf uses the reserve; anything else a new page, from `spare` if that is given.
 */
static bool deepen(struct gpa_space *space, uint64_t *entry, enum gpa_level level, void **spare)
{
    const struct gpa_format *format = space->format;
    uint64_t old = entry_load(entry);
    bool is_leaf = format->is_present(old);
    uint64_t *table = NULL;

    if (is_leaf) {
        table = reserve_pop(space);
        ASSERT(table != NULL);
    } else {
        for (uint32_t i = 0; spare != NULL && i < 3 && table == NULL; i++) {
            table = spare[i];
            spare[i] = NULL;
        }
        if (table == NULL) {
            table = table_alloc(space);
        }
        if (table == NULL) {
            return false;
        }
    }

    uint64_t kept_bits = format->accessed_bit | format->dirty_bit;
    uint64_t step = gpa_level_bytes(level - 1);

    for (uint32_t i = 0; i < ENTRIES_PER_TABLE; i++) {
        if (is_leaf) {
            spa_t page = spa_add(format->address(old), i * step);

            table[i] = format->make_leaf(page, format->rights(old), level - 1) & ~kept_bits;
            table[i] |= old & kept_bits;
        } else {
            table[i] = old;
        }
    }

    uint64_t last = entry_exchange(entry, format->make_table(mem_to_spa(table)));
    uint64_t late_bits = is_leaf ? last & ~old & kept_bits : 0;

    /* The processor may have set accessed or dirty between our read and the exchange. */
    for (uint32_t i = 0; late_bits != 0 && i < ENTRIES_PER_TABLE; i++) {
        (void)__atomic_fetch_or(&table[i], late_bits, __ATOMIC_SEQ_CST);
    }
    space->table_page_count++;
    return true;
}

/* Makes tables down to `level`; null when a page is missing. */
static uint64_t *make_path(struct gpa_space *space, gpa_t address, enum gpa_level level, void **spare)
{
    enum gpa_level found;
    uint64_t *entry = find_entry(space, address, level, &found);

    while (found > level) {
        if (!deepen(space, entry, found, spare)) {
            return NULL;
        }
        entry = find_entry(space, address, level, &found);
    }
    return entry;
}

static bool is_overlay_entry(const struct gpa_space *space, uint64_t entry)
{
    return space->format->is_present(entry) && page_owner_of(space->format->address(entry)) != PAGE_OWNER_ROOT &&
           page_owner_of(space->format->address(entry)) != PAGE_OWNER_NOT_RAM;
}

/* Changes what lies under the overlays at a page; returns the old entry from below. */
static uint64_t replace_below_overlay(struct gpa_space *space, uint64_t gpa_page, uint64_t value)
{
    uint64_t old = 0;

    LIST_FOR_EACH(node, &space->partition->overlays.placed)
    {
        struct overlay *overlay = CONTAINER_OF(node, struct overlay, node);

        if (overlay->gpa_page == gpa_page) {
            old = overlay->saved_entry;
            overlay->saved_entry = value;
        }
    }
    return old;
}

/* Replaces one 4 KiB entry, or what its overlay hides. */
static void replace_small(struct gpa_batch *batch, uint64_t *entry, gpa_t address, uint64_t value)
{
    struct gpa_space *space = batch->space;
    uint64_t old = entry_load(entry);

    batch->work += WORK_ENTRY;
    if (!is_root_space(space) && is_overlay_entry(space, old)) {
        old = replace_below_overlay(space, gpa_page(address), value);
    } else {
        old = entry_exchange(entry, value);
        batch->needs_flush |= space->format->is_present(old);
    }
    if (space->format->is_present(old)) {
        release_leaf(batch, old, GPA_LEVEL_4K);
    }
}

static uint64_t make_entry(const struct gpa_format *format, spa_t page, uint32_t rights, enum gpa_level level,
                           bool unmap)
{
    if (unmap) {
        return 0;
    }
    return rights == 0 ? format->no_access_entry : format->make_leaf(page, rights, level);
}

static bool table_has_overlay(const struct gpa_space *space, const uint64_t *table)
{
    if (is_root_space(space) || space->partition->overlays.placed_count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < ENTRIES_PER_TABLE; i++) {
        if (is_overlay_entry(space, entry_load(&table[i]))) {
            return true;
        }
    }
    return false;
}

/* A table of 4 KiB entries was cut off: flushes, then lets go of all that it mapped. */
static void drop_small_table(struct gpa_batch *batch, uint64_t *table, bool keep_as_reserve)
{
    struct gpa_space *space = batch->space;

    batch->needs_flush = true;
    gpa_batch_finish(batch);
    batch->work += WORK_TABLE;
    for (uint32_t i = 0; i < ENTRIES_PER_TABLE; i++) {
        if (!is_root_space(space) && space->format->is_present(table[i])) {
            page_unshare(space->format->address(table[i]), 1);
        }
    }
    space->table_page_count--;
    if (keep_as_reserve) {
        memset(table, 0, PAGE_SIZE);
        reserve_push(space, table);
    } else {
        table_free(space, table);
    }
}

/* Replaces one 2 MiB entry (or, in the root at boot, 1 GiB) by a leaf, a no-access entry or nothing. */
static hv_status_t replace_large(struct gpa_batch *batch, uint64_t *entry, gpa_t address, enum gpa_level level,
                                 uint64_t value)
{
    struct gpa_space *space = batch->space;
    uint64_t old = entry_load(entry);
    bool was_table = is_table(space, old, level);
    bool was_leaf = !was_table && space->format->is_present(old);
    bool is_leaf = space->format->is_present(value);
    bool counts_reserve = !is_root_space(space);

    /* Only 2 MiB tables of 4 KiB entries are ever replaced whole; larger ones are built once, at boot. */
    ASSERT(!was_table || level == GPA_LEVEL_2M);
    if (counts_reserve && is_leaf && !was_leaf && !was_table) {
        void *page = part_page_alloc(space->partition);

        if (page == NULL) {
            return HV_STATUS_INSUFFICIENT_MEMORY;
        }
        reserve_push(space, page);
    }
    batch->work += WORK_ENTRY;
    if (was_table && table_has_overlay(space, table_of(space, old))) {
        uint64_t *table = table_of(space, old);

        for (uint32_t i = 0; i < ENTRIES_PER_TABLE; i++) {
            uint64_t small = value;

            if (is_leaf) {
                spa_t page = spa_add(space->format->address(value), i * PAGE_SIZE);

                small = space->format->make_leaf(page, space->format->rights(value), GPA_LEVEL_4K);
            }
            replace_small(batch, &table[i], gpa_add(address, i * PAGE_SIZE), small);
        }
        return HV_STATUS_SUCCESS;
    }

    old = entry_exchange(entry, value);
    if (was_table) {
        drop_small_table(batch, table_of(space, old), counts_reserve && is_leaf);
    } else if (was_leaf) {
        batch->needs_flush = true;
        release_leaf(batch, old, level);
        if (counts_reserve && !is_leaf) {
            part_page_free(space->partition, reserve_pop(space));
        }
    }
    return HV_STATUS_SUCCESS;
}

static hv_status_t change(struct gpa_batch *batch, gpa_t address, enum gpa_level level, spa_t page, uint32_t rights,
                          bool unmap)
{
    struct gpa_space *space = batch->space;
    hv_status_t status = HV_STATUS_SUCCESS;
    enum gpa_level found;
    uint64_t *entry;

    if (address.value >= space->limit || space->limit - address.value < gpa_level_bytes(level) ||
        !is_aligned_u64(address.value, gpa_level_bytes(level)) ||
        (rights != 0 && !is_aligned_u64(page.value, gpa_level_bytes(level)))) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (!unmap && rights != 0 && !is_root_space(space)) {
        if (!page_share(page, level_pages(level))) {
            return HV_STATUS_INVALID_PARAMETER;
        }
        batch->work += level == GPA_LEVEL_4K ? 1 : WORK_SHARE_LARGE;
    }

    spin_lock(&space->lock);
    entry = space->is_closed ? NULL : find_entry(space, address, level, &found);
    if (entry != NULL && found > level && rights == 0 &&
        entry_load(entry) == make_entry(space->format, page, 0, level, unmap)) {
        /* A larger entry says it already. */
        spin_unlock(&space->lock);
        return HV_STATUS_SUCCESS;
    }
    if (entry != NULL && found > level) {
        batch->work += WORK_TABLE;
        entry = make_path(space, address, level, NULL);
    }
    if (entry == NULL) {
        status = space->is_closed ? HV_STATUS_INVALID_PARTITION_STATE : HV_STATUS_INSUFFICIENT_MEMORY;
    } else if (level == GPA_LEVEL_4K) {
        replace_small(batch, entry, address, make_entry(space->format, page, rights, level, unmap));
    } else {
        status = replace_large(batch, entry, address, level, make_entry(space->format, page, rights, level, unmap));
    }
    spin_unlock(&space->lock);

    if (status != HV_STATUS_SUCCESS && !unmap && rights != 0 && !is_root_space(space)) {
        page_unshare(page, level_pages(level));
    }
    return status;
}

hv_status_t gpa_map(struct gpa_batch *batch, gpa_t address, enum gpa_level level, spa_t page, uint32_t rights)
{
    return change(batch, address, level, page, rights, false);
}

hv_status_t gpa_unmap(struct gpa_batch *batch, gpa_t address, enum gpa_level level)
{
    return change(batch, address, level, spa(0), 0, true);
}

struct gpa_mapping gpa_lookup_locked(struct gpa_space *space, gpa_t address)
{
    struct gpa_mapping mapping = {.state = GPA_UNMAPPED, .level = GPA_LEVEL_512G};

    if (address.value >= space->limit || space->is_closed) {
        return mapping;
    }

    uint64_t value = entry_load(find_entry(space, address, GPA_LEVEL_4K, &mapping.level));

    if (space->format->is_present(value)) {
        uint64_t offset = address.value & (gpa_level_bytes(mapping.level) - 1);

        mapping.state = GPA_MAPPED;
        mapping.rights = space->format->rights(value);
        mapping.address = spa_add(space->format->address(value), offset);
    } else if (value == space->format->no_access_entry) {
        mapping.state = GPA_NO_ACCESS;
    }
    return mapping;
}

struct gpa_mapping gpa_lookup(struct gpa_space *space, gpa_t address)
{
    struct gpa_mapping mapping;

    spin_lock(&space->lock);
    mapping = gpa_lookup_locked(space, address);
    spin_unlock(&space->lock);
    return mapping;
}

static uint8_t access_state_of(const struct gpa_space *space, uint64_t entry)
{
    if (!space->format->is_present(entry)) {
        return 0;
    }
    return (uint8_t)(((entry & space->format->accessed_bit) != 0 ? HV_GPA_PAGE_ACCESSED : 0) |
                     ((entry & space->format->dirty_bit) != 0 ? HV_GPA_PAGE_DIRTY : 0));
}

hv_status_t gpa_access_state(struct gpa_batch *batch, gpa_t address, uint64_t flags, uint8_t *state)
{
    struct gpa_space *space = batch->space;
    uint64_t accessed = space->format->accessed_bit;
    uint64_t dirty = space->format->dirty_bit;
    uint64_t clear = ((flags & HV_GPA_ACCESS_STATE_CLEAR_ACCESSED) != 0 ? accessed : 0) |
                     ((flags & HV_GPA_ACCESS_STATE_CLEAR_DIRTY) != 0 ? dirty : 0);
    uint64_t set = ((flags & HV_GPA_ACCESS_STATE_SET_ACCESSED) != 0 ? accessed : 0) |
                   ((flags & HV_GPA_ACCESS_STATE_SET_DIRTY) != 0 ? dirty : 0);
    enum gpa_level found;

    *state = 0;
    if (address.value >= space->limit) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    spin_lock(&space->lock);
    if (space->is_closed) {
        spin_unlock(&space->lock);
        return HV_STATUS_INVALID_PARTITION_STATE;
    }

    uint64_t *entry = find_entry(space, address, GPA_LEVEL_4K, &found);
    uint64_t old = entry_load(entry);

    if (!is_root_space(space) && is_overlay_entry(space, old)) {
        /* The state of the page below; it is as old as the overlay. */
        old = replace_below_overlay(space, gpa_page(address), 0);
        (void)replace_below_overlay(space, gpa_page(address),
                                    space->format->is_present(old) ? (old & ~clear) | set : old);
        *state = access_state_of(space, old);
    } else if (space->format->is_present(old)) {
        /* One bit stands for a whole large page: taking it away from one page must not take it from the others. */
        if (found > GPA_LEVEL_4K && (old & clear) != 0) {
            batch->work += WORK_TABLE;
            entry = make_path(space, address, GPA_LEVEL_4K, NULL);
            ASSERT(entry != NULL);
        }
        if (clear != 0) {
            old = __atomic_fetch_and(entry, ~clear, __ATOMIC_SEQ_CST);
            batch->needs_flush |= (old & clear) != 0;
        }
        if (set != 0) {
            old |= __atomic_fetch_or(entry, set, __ATOMIC_SEQ_CST);
        }
        *state = access_state_of(space, old);
    }
    batch->work += WORK_ENTRY;
    spin_unlock(&space->lock);
    return HV_STATUS_SUCCESS;
}

uint64_t *gpa_entry_prepare_locked(struct gpa_space *space, gpa_t address, void *spare[3])
{
    return make_path(space, address, GPA_LEVEL_4K, spare);
}

/* True when every entry is the same and none is present. */
static bool table_says_one_thing(const struct gpa_space *space, const uint64_t *table, uint64_t *value)
{
    *value = table[0];
    if (space->format->is_present(table[0])) {
        return false;
    }
    for (uint32_t i = 1; i < ENTRIES_PER_TABLE; i++) {
        if (table[i] != table[0]) {
            return false;
        }
    }
    return true;
}

void gpa_entry_collapse_locked(struct gpa_space *space, gpa_t address, void *spare[3])
{
    for (enum gpa_level level = GPA_LEVEL_2M; level <= GPA_LEVEL_512G; level++) {
        enum gpa_level found;
        uint64_t *entry = find_entry(space, address, level, &found);
        uint64_t value = entry_load(entry);
        uint64_t content;

        if (found != level || !is_table(space, value, level)) {
            continue;
        }

        uint64_t *table = table_of(space, value);
        uint32_t slot = 0;

        while (slot < 3 && spare[slot] != NULL) {
            slot++;
        }
        if (slot == 3 || !table_says_one_thing(space, table, &content)) {
            return;
        }
        (void)entry_exchange(entry, content);
        space->table_page_count--;
        spare[slot] = table;
    }
}

/* The lowest table on the way to the first lower table there is; *parent_entry leads to it (null: it is the top one).
 */
static uint64_t *first_lowest_table(struct gpa_space *space, uint64_t **parent_entry, enum gpa_level *level)
{
    uint64_t *table = space->root_table;

    *parent_entry = NULL;
    for (enum gpa_level at = GPA_LEVEL_512G;; at--) {
        uint64_t *lower = NULL;

        for (uint32_t i = 0; i < ENTRIES_PER_TABLE && lower == NULL; i++) {
            if (is_table(space, table[i], at)) {
                *parent_entry = &table[i];
                lower = table_of(space, table[i]);
            }
        }
        if (lower == NULL) {
            *level = at;
            return table;
        }
        table = lower;
    }
}

/* Clears the leaves of a table while the budget lasts; true when none is left. */
static bool clear_leaves(struct gpa_space *space, uint64_t *table, enum gpa_level level, int64_t *budget)
{
    *budget -= ENTRIES_PER_TABLE / 32;
    for (uint32_t i = 0; i < ENTRIES_PER_TABLE; i++) {
        if (*budget <= 0) {
            return false;
        }
        if (space->format->is_present(table[i])) {
            page_unshare(space->format->address(table[i]), level_pages(level));
            *budget -= level == GPA_LEVEL_4K ? 1 : WORK_SHARE_LARGE;
        }
        table[i] = 0;
    }
    return true;
}

bool gpa_space_destroy(struct gpa_space *space, uint32_t budget)
{
    int64_t left = budget;

    if (space->root_table == NULL && space->reserve == NULL) {
        return true;
    }
    /* From here on nobody else touches the tables; who copies from a page is waited for. */
    spin_lock(&space->lock);
    if (!space->is_closed) {
        space->is_closed = true;
        gpa_flush(space);
    }
    spin_unlock(&space->lock);
    while (space->root_table != NULL) {
        uint64_t *parent;
        enum gpa_level level;
        uint64_t *table = first_lowest_table(space, &parent, &level);

        left -= ENTRIES_PER_TABLE / 16;
        if (!clear_leaves(space, table, level, &left)) {
            return false;
        }
        space->table_page_count--;
        table_free(space, table);
        if (parent == NULL) {
            space->root_table = NULL;
        } else {
            *parent = 0;
        }
    }
    while (space->reserve != NULL) {
        if (left-- <= 0) {
            return false;
        }
        part_page_free(space->partition, reserve_pop(space));
    }
    return true;
}
