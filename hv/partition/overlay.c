/* SPDX-License-Identifier: MIT */
#include "hv/partition/overlay.h"

#include <stddef.h>

#include "hv/debug/debug.h"
#include "hv/mem/mem.h"
#include "hv/partition/deposit.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/partition.h"

/*
 * Overlay pages: which one lies where, and what it hides. Not here: their contents (synic.c, reftime.c, msr.c, ...) and
 * changes to what is hidden while it is hidden (gpa_space.c, which updates saved_entry).
 */

#define TABLES_PER_OVERLAY 3u

void overlay_set_init(struct overlay_set *set)
{
    list_init(&set->placed);
    set->placed_count = 0;
}

static uint64_t overlay_entry(const struct gpa_space *space, const struct overlay *overlay)
{
    return space->format->make_leaf(mem_to_spa(overlay->page), overlay->rights, GPA_LEVEL_4K);
}

static hv_status_t create_in_root(struct partition *partition, struct overlay *overlay)
{
    spa_t address = mem_to_spa(overlay->page);
    struct gpa_batch batch;
    hv_status_t status;

    gpa_batch_start(&batch, &partition->space);
    status = gpa_map(&batch, gpa(address.value), GPA_LEVEL_4K, address, overlay->rights);
    gpa_batch_finish(&batch);
    overlay->gpa_page = spa_page(address);
    overlay->is_placed = true;
    return status;
}

hv_status_t overlay_create(struct partition *partition, struct overlay *overlay, uint32_t rights)
{
    overlay->rights = rights;
    overlay->is_placed = false;
    list_node_init(&overlay->node);
    overlay->page = part_page_alloc(partition);
    if (overlay->page == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    if (partition->is_root) {
        return create_in_root(partition, overlay);
    }
    for (uint32_t i = 0; i < TABLES_PER_OVERLAY; i++) {
        overlay->tables[i] = part_page_alloc(partition);
        if (overlay->tables[i] == NULL) {
            overlay_destroy(partition, overlay);
            return HV_STATUS_INSUFFICIENT_MEMORY;
        }
    }
    return HV_STATUS_SUCCESS;
}

void overlay_destroy(struct partition *partition, struct overlay *overlay)
{
    if (overlay->page == NULL) {
        return;
    }
    ASSERT(!partition->is_root);
    overlay_remove(partition, overlay);
    for (uint32_t i = 0; i < TABLES_PER_OVERLAY; i++) {
        part_page_free(partition, overlay->tables[i]);
        overlay->tables[i] = NULL;
    }
    part_page_free(partition, overlay->page);
    overlay->page = NULL;
}

/* The newest overlay placed at a page, other than `except`. */
static struct overlay *find_other(struct overlay_set *set, uint64_t gpa_page, const struct overlay *except)
{
    LIST_FOR_EACH(node, &set->placed)
    {
        struct overlay *overlay = CONTAINER_OF(node, struct overlay, node);

        if (overlay != except && overlay->gpa_page == gpa_page) {
            return overlay;
        }
    }
    return NULL;
}

/* Fills empty table slots from the deposit, for what mappings have taken over since. */
static void refill_tables(struct partition *partition, struct overlay *overlay)
{
    for (uint32_t i = 0; i < TABLES_PER_OVERLAY; i++) {
        if (overlay->tables[i] == NULL) {
            overlay->tables[i] = part_page_alloc(partition);
        }
    }
}

static bool cover_locked(struct partition *partition, struct overlay *overlay, uint64_t gpa_page)
{
    struct overlay *below = find_other(&partition->overlays, gpa_page, overlay);
    uint64_t *entry;
    uint64_t old;

    refill_tables(partition, overlay);
    entry = gpa_entry_prepare_locked(&partition->space, gpa_from_page(gpa_page), overlay->tables);
    if (entry == NULL) {
        return false;
    }
    overlay->gpa_page = gpa_page;
    overlay->is_placed = true;
    list_add_head(&partition->overlays.placed, &overlay->node);
    partition->overlays.placed_count++;
    old = __atomic_exchange_n(entry, overlay_entry(&partition->space, overlay), __ATOMIC_SEQ_CST);
    overlay->saved_entry = below != NULL ? below->saved_entry : old;
    return true;
}

static void uncover_locked(struct partition *partition, struct overlay *overlay)
{
    gpa_t address = gpa_from_page(overlay->gpa_page);
    struct overlay *next = find_other(&partition->overlays, overlay->gpa_page, overlay);
    bool was_top = true;
    uint64_t *entry = gpa_entry_prepare_locked(&partition->space, address, overlay->tables);
    uint64_t own = overlay_entry(&partition->space, overlay);

    /* The table is there: this overlay lies in it. The processor may have set accessed and dirty since. */
    ASSERT(entry != NULL);
    was_top = spa_equal(partition->space.format->address(*entry), partition->space.format->address(own));
    if (was_top) {
        uint64_t value = next != NULL ? overlay_entry(&partition->space, next) : overlay->saved_entry;

        (void)__atomic_exchange_n(entry, value, __ATOMIC_SEQ_CST);
    }
    list_remove(&overlay->node);
    partition->overlays.placed_count--;
    overlay->is_placed = false;
    if (next == NULL) {
        gpa_entry_collapse_locked(&partition->space, address, overlay->tables);
    }
}

bool overlay_place(struct partition *partition, struct overlay *overlay, uint64_t gpa_page)
{
    struct gpa_space *space = &partition->space;
    bool done = true;

    if (partition->is_root) {
        return true;
    }
    if (gpa_page >= space->limit >> PAGE_SHIFT) {
        return false;
    }
    spin_lock(&space->lock);
    if (!overlay->is_placed || overlay->gpa_page != gpa_page) {
        if (overlay->is_placed) {
            uncover_locked(partition, overlay);
            /* Tables that collapsed are about to be used again: nobody may walk them as what they were. */
            gpa_flush(space);
        }
        done = cover_locked(partition, overlay, gpa_page);
        gpa_flush(space);
    }
    spin_unlock(&space->lock);
    return done;
}

void overlay_remove(struct partition *partition, struct overlay *overlay)
{
    struct gpa_space *space = &partition->space;

    if (partition->is_root || overlay->page == NULL) {
        return;
    }
    spin_lock(&space->lock);
    if (overlay->is_placed) {
        uncover_locked(partition, overlay);
        gpa_flush(space);
    }
    spin_unlock(&space->lock);
}

bool overlay_covers(struct partition *partition, gpa_t address)
{
    bool is_covered;

    if (partition->is_root) {
        return false;
    }
    spin_lock(&partition->space.lock);
    is_covered = find_other(&partition->overlays, gpa_page(address), NULL) != NULL;
    spin_unlock(&partition->space.lock);
    return is_covered;
}

uint64_t overlay_root_page(const struct overlay *overlay)
{
    return overlay->gpa_page;
}
