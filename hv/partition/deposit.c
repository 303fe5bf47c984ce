/* SPDX-License-Identifier: MIT */
#include "hv/partition/deposit.h"

#include <stddef.h>

#include "hv/debug/debug.h"
#include "hv/lib/str.h"
#include "hv/mem/mem.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/page_owner.h"
#include "hv/partition/partition.h"
#include "hv/partition/stats.h"

/*
 * Deposited pages: taking them from the root, handing them out inside the hypervisor, giving them back. Not here: who
 * owns which page of the machine (page_owner.c). The order is what keeps the root out: a page leaves the root's tables
 * and every processor's TLB before it is counted, and comes back zeroed.
 */

/* Units of struct gpa_batch.work. */
#define WORK_ZERO_PAGE  5u
/* The root has all rights in its own RAM. */
#define ROOT_RAM_RIGHTS GPA_ALL

void deposit_init(struct deposit *deposit)
{
    spin_init(&deposit->lock, LOCK_RANK_DEPOSIT, "deposit");
    deposit->free_pages = NULL;
    deposit->free_count = 0;
    deposit->total_count = 0;
}

static void push(struct deposit *deposit, void *page)
{
    spin_lock(&deposit->lock);
    *(void **)page = deposit->free_pages;
    deposit->free_pages = page;
    deposit->free_count++;
    spin_unlock(&deposit->lock);
}

static void *pop(struct deposit *deposit)
{
    void **page;

    spin_lock(&deposit->lock);
    page = deposit->free_pages;
    if (page != NULL) {
        deposit->free_pages = *page;
        deposit->free_count--;
    }
    spin_unlock(&deposit->lock);
    return page;
}

hv_status_t deposit_claim(uint64_t page, struct gpa_batch *batch)
{
    hv_status_t status;

    if (page >= batch->space->limit >> PAGE_SHIFT) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (!page_owner_change(spa_from_page(page), PAGE_OWNER_ROOT, PAGE_OWNER_HYPERVISOR)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    status = gpa_map(batch, gpa_from_page(page), GPA_LEVEL_4K, spa(0), 0);
    /* The root's tables come from its boot-time reserve, which covers all of its RAM. */
    ASSERT(status == HV_STATUS_SUCCESS);
    return HV_STATUS_SUCCESS;
}

void deposit_commit(struct partition *target, uint64_t page)
{
    push(&target->deposit, mem_from_spa(spa_from_page(page)));
    spin_lock(&target->deposit.lock);
    target->deposit.total_count++;
    spin_unlock(&target->deposit.lock);
    stats_count(STATS_PAGES, 1);
}

hv_status_t deposit_withdraw(struct partition *target, uint64_t *page, struct gpa_batch *batch)
{
    void *memory = pop(&target->deposit);
    hv_status_t status;

    if (memory == NULL) {
        return HV_STATUS_NO_RESOURCES;
    }
    spin_lock(&target->deposit.lock);
    target->deposit.total_count--;
    spin_unlock(&target->deposit.lock);
    stats_count(STATS_PAGES, -1);

    memset(memory, 0, PAGE_SIZE);
    *page = spa_page(mem_to_spa(memory));
    bool changed = page_owner_change(spa_from_page(*page), PAGE_OWNER_HYPERVISOR, PAGE_OWNER_ROOT);
    ASSERT(changed);
    status = gpa_map(batch, gpa_from_page(*page), GPA_LEVEL_4K, spa_from_page(*page), ROOT_RAM_RIGHTS);
    ASSERT(status == HV_STATUS_SUCCESS);
    batch->needs_flush = true;
    batch->work += WORK_ZERO_PAGE;
    return HV_STATUS_SUCCESS;
}

uint64_t deposit_abandon(struct partition *target)
{
    uint64_t count = 0;

    for (void *page = pop(&target->deposit); page != NULL; page = pop(&target->deposit)) {
        deposit_commit(root_partition, spa_page(mem_to_spa(page)));
        count++;
    }
    stats_count(STATS_PAGES, -(int64_t)count);
    spin_lock(&target->deposit.lock);
    target->deposit.total_count -= count;
    spin_unlock(&target->deposit.lock);
    return count;
}

void *part_page_alloc(struct partition *partition)
{
    void *page = pop(&partition->deposit);

    if (page == NULL && partition->is_root && partition->state == PARTITION_CREATED) {
        /* Boot: the root has deposited nothing yet. */
        return page_alloc();
    }
    if (page != NULL) {
        memset(page, 0, PAGE_SIZE);
    }
    return page;
}

void part_page_free(struct partition *partition, void *page)
{
    if (page != NULL) {
        push(&partition->deposit, page);
    }
}

uint64_t part_page_count(struct partition *partition)
{
    uint64_t count;

    spin_lock(&partition->deposit.lock);
    count = partition->deposit.free_count;
    spin_unlock(&partition->deposit.lock);
    return count;
}

bool part_page_share(void *page)
{
    spa_t address = mem_to_spa(page);
    struct gpa_batch batch;
    hv_status_t status;

    if (!page_owner_change(address, PAGE_OWNER_HYPERVISOR, PAGE_OWNER_SHARED)) {
        return false;
    }
    gpa_batch_start(&batch, &root_partition->space);
    status = gpa_map(&batch, gpa(address.value), GPA_LEVEL_4K, address, GPA_READ | GPA_WRITE);
    gpa_batch_finish(&batch);
    return status == HV_STATUS_SUCCESS;
}

void part_page_unshare(void *page)
{
    spa_t address = mem_to_spa(page);
    struct gpa_batch batch;
    hv_status_t status;

    gpa_batch_start(&batch, &root_partition->space);
    status = gpa_map(&batch, gpa(address.value), GPA_LEVEL_4K, spa(0), 0);
    ASSERT(status == HV_STATUS_SUCCESS);
    gpa_batch_finish(&batch);

    bool changed = page_owner_change(address, PAGE_OWNER_SHARED, PAGE_OWNER_HYPERVISOR);
    ASSERT(changed);
}
