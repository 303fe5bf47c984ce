/* SPDX-License-Identifier: MIT */
#include "hv/partition/stats.h"

#include <stddef.h>

#include "hv/cpu/cpu.h"
#include "hv/mem/mem.h"
#include "hv/partition/deposit.h"
#include "hv/partition/partition.h"
#include "hv/partition/reftime.h"

/*
 * Statistics pages and the little that is in them so far: what clients act upon, and run times. Every other counter
 * reads zero.
 */

/* First counter of a VP page: time that the VP ran, in 100 ns. */
#define STATS_VP_RUN_TIME 1u

/* Pages of the machine's objects. All pages, also those of partitions and VPs, are of the root's deposit. */
static struct spinlock stats_lock = SPINLOCK_INIT(LOCK_RANK_PARTITION, "stats");
static uint64_t *hypervisor_page;                     /* [stats_lock] */
static uint64_t *lp_pages[CPU_MAX];                   /* [stats_lock] */
static uint64_t idle_ticks[CPU_MAX];                  /* [C] */
static _Atomic int64_t counters[STATS_COUNTER_COUNT]; /* [a] */

/* Where they stand in the hypervisor's page: partitions, pages, virtual processors, behind the logical processors. */
#define STATS_HYPERVISOR_FIRST 2u

void stats_init(void)
{
    hypervisor_page = NULL;
    for (uint32_t i = 0; i < CPU_MAX; i++) {
        lp_pages[i] = NULL;
        idle_ticks[i] = 0;
    }
    for (uint32_t i = 0; i < STATS_COUNTER_COUNT; i++) {
        atomic_store_explicit(&counters[i], 0, memory_order_relaxed);
    }
}

void stats_count(enum stats_counter counter, int64_t change)
{
    int64_t value = atomic_fetch_add_explicit(&counters[counter], change, memory_order_relaxed) + change;
    uint64_t *page = READ_ONCE(hypervisor_page);

    if (page != NULL) {
        WRITE_ONCE(page[STATS_HYPERVISOR_FIRST + (uint32_t)counter], (uint64_t)value);
    }
}

/* The place of an object's page, and what it belongs to. */
struct stats_object {
    struct partition *partition; /* a reference is held; null: the machine's */
    struct spinlock *lock;
    uint64_t **slot;
    struct vp *vp;
};

static hv_status_t find_child_object(struct partition *caller, const struct hv_input_stats_page *input,
                                     struct stats_object *object)
{
    object->partition = partition_find(caller, input->object_id);
    if (object->partition == NULL) {
        return HV_STATUS_INVALID_PARTITION_ID;
    }
    object->lock = &object->partition->lock;
    object->slot = &object->partition->stats_page;
    if (input->object_type == HvStatsObjectVp) {
        object->vp = partition_vp(object->partition, input->vp_index, NULL);
        if (object->vp == NULL) {
            partition_put(object->partition);
            return HV_STATUS_INVALID_VP_INDEX;
        }
        object->slot = &object->vp->stats_page;
    }
    return HV_STATUS_SUCCESS;
}

static hv_status_t find_object(struct partition *caller, const struct hv_input_stats_page *input,
                               struct stats_object *object)
{
    *object = (struct stats_object){.lock = &stats_lock};
    if (input->stats_area_type != HV_STATS_AREA_SELF) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    switch (input->object_type) {
    case HvStatsObjectHypervisor:
        object->slot = &hypervisor_page;
        break;
    case HvStatsObjectLogicalProcessor:
        if (input->object_id >= cpu_count()) {
            return HV_STATUS_INVALID_LP_INDEX;
        }
        object->slot = &lp_pages[input->object_id];
        break;
    case HvStatsObjectPartition:
    case HvStatsObjectVp:
        return find_child_object(caller, input, object);
    default:
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

static void put_object(const struct stats_object *object)
{
    if (object->partition != NULL) {
        partition_put(object->partition);
    }
}

void stats_free_page(uint64_t *page)
{
    if (page != NULL) {
        part_page_unshare(page);
        part_page_free(root_partition, page);
    }
}

static void fill_page(const struct stats_object *object, const struct hv_input_stats_page *input, uint64_t *page)
{
    if (input->object_type == HvStatsObjectHypervisor) {
        page[HV_STATS_HYPERVISOR_LOGICAL_PROCESSORS] = cpu_count();
        for (uint32_t i = 0; i < STATS_COUNTER_COUNT; i++) {
            page[STATS_HYPERVISOR_FIRST + i] = (uint64_t)atomic_load_explicit(&counters[i], memory_order_relaxed);
        }
    }
    if (object->vp != NULL) {
        page[HV_STATS_VP_ROOT_DISPATCH_THREAD_BLOCKED] = 0;
    }
}

hv_status_t stats_map_page(struct partition *caller, const struct hv_input_stats_page *input, uint64_t *page)
{
    struct stats_object object;
    hv_status_t status = find_object(caller, input, &object);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    if (object.partition != NULL && object.partition->state == PARTITION_FINALIZED) {
        put_object(&object);
        return HV_STATUS_INVALID_PARTITION_STATE;
    }
    spin_lock(object.lock);
    if (*object.slot == NULL) {
        uint64_t *memory = part_page_alloc(root_partition);

        if (memory == NULL) {
            status = HV_STATUS_INSUFFICIENT_MEMORY;
        } else if (!part_page_share(memory)) {
            part_page_free(root_partition, memory);
            status = HV_STATUS_OPERATION_FAILED;
        } else {
            fill_page(&object, input, memory);
            *object.slot = memory;
        }
    }
    if (status == HV_STATUS_SUCCESS) {
        *page = spa_page(mem_to_spa(*object.slot));
    }
    spin_unlock(object.lock);
    put_object(&object);
    return status;
}

hv_status_t stats_unmap_page(struct partition *caller, const struct hv_input_stats_page *input)
{
    struct stats_object object;
    hv_status_t status = find_object(caller, input, &object);
    uint64_t *page;

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    spin_lock(object.lock);
    page = *object.slot;
    *object.slot = NULL;
    spin_unlock(object.lock);
    if (page == NULL) {
        status = HV_STATUS_NOT_FOUND;
    } else {
        stats_free_page(page);
    }
    put_object(&object);
    return status;
}

void stats_update_vp(struct vp *vp)
{
    uint64_t *page = READ_ONCE(vp->stats_page);

    if (page != NULL) {
        WRITE_ONCE(page[STATS_VP_RUN_TIME], reftime_from_ticks(vp->run_time_tsc));
    }
}

void stats_add_idle(uint64_t ticks)
{
    uint64_t *counter = &idle_ticks[cpu_this()->index];

    WRITE_ONCE(*counter, *counter + ticks);
}

uint64_t stats_lp_run_time(uint32_t lp_index)
{
    uint64_t idle = lp_index < CPU_MAX ? reftime_from_ticks(READ_ONCE(idle_ticks[lp_index])) : 0;
    uint64_t now = time_100ns();

    return now > idle ? now - idle : 0;
}
