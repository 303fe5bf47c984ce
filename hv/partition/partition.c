/* SPDX-License-Identifier: MIT */
#include "hv/partition/partition.h"

#include <stddef.h>

#include "hv/cpu/asm.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/mem/mem.h"
#include "hv/partition/rcu.h"
#include "hv/partition/stats.h"

/*
 * The table of partitions and a child's life: created, initialised, finalised, deleted. Not here: the root's (root.c),
 * properties (partition_property.c), what a partition is made of.
 *
 * Calls that change what a partition consists of (its VPs, its end) take turns by `is_busy`; a second one is told to
 * try again and is then simply executed again.
 */

/* Units of about 100 instructions that one call may spend on taking a GPA space apart. */
#define TEAR_DOWN_BUDGET 120u

struct partition *root_partition;

/* Here and not beside backend_select(), so that a program with a backend of its own needs no list of them. */
const struct cpu_backend *backend;
bool backend_checks_entries = true;

/* Partitions but the root, and the next id; ids are never used again, so that no handle can name a later partition. */
static struct spinlock table_lock = SPINLOCK_INIT(LOCK_RANK_PARTITION_TABLE, "partition table");
static struct list table = LIST_INITIALISER(table); /* [table_lock] */
static uint64_t next_id = PARTITION_ID_ROOT + 1;    /* [table_lock] */

void partition_table_init(void)
{
    list_init(&table);
    next_id = PARTITION_ID_ROOT + 1;
}

struct partition *partition_find(struct partition *caller, uint64_t id)
{
    struct partition *found = NULL;

    if (id == HV_PARTITION_ID_SELF || id == caller->id) {
        (void)atomic_fetch_add_explicit(&caller->reference_count, 1, memory_order_relaxed);
        return caller;
    }
    if (!caller->is_root) {
        return NULL;
    }
    spin_lock(&table_lock);
    LIST_FOR_EACH(node, &table)
    {
        struct partition *partition = CONTAINER_OF(node, struct partition, node);

        if (partition->id == id) {
            (void)atomic_fetch_add_explicit(&partition->reference_count, 1, memory_order_relaxed);
            found = partition;
            break;
        }
    }
    spin_unlock(&table_lock);
    return found;
}

void partition_put(struct partition *partition)
{
    if (atomic_fetch_sub_explicit(&partition->reference_count, 1, memory_order_acq_rel) != 1) {
        return;
    }
    /* Out of the table and torn down: what is left of the deposit, and then the partition itself, become the root's
     * deposit. */
    uint64_t pages = deposit_abandon(partition);

    if (pages != 0) {
        trace(TRACE_ABANDON, (uint32_t)partition->id << 16, partition->id, pages);
    }
    part_page_free(root_partition, partition);
    stats_count(STATS_PARTITIONS, -1);
}

/* Creation flags that have a meaning here; the others of the ABI are features that children do not have. */
static hv_status_t check_creation(const struct hv_input_create_partition *input)
{
    const uint64_t required = HV_PARTITION_CREATION_FLAG_EXO_PARTITION;
    const uint64_t allowed =
        required | HV_PARTITION_CREATION_FLAG_SMT_ENABLED_GUEST | HV_PARTITION_CREATION_FLAG_GPA_SUPER_PAGES_ENABLED |
        HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED | HV_PARTITION_CREATION_FLAG_INTERCEPT_MESSAGE_PAGE_ENABLED |
        HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE;

    if ((input->flags & HV_PARTITION_CREATION_FLAG_NESTED_VIRTUALIZATION_CAPABLE) != 0) {
        return HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED;
    }
    if ((input->flags & ~allowed) != 0 || input->rsvd != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if ((input->flags & required) != required || input->isolation_properties != 0) {
        return HV_STATUS_OPERATION_DENIED;
    }
    return HV_STATUS_SUCCESS;
}

void partition_prepare(struct partition *partition, uint64_t id)
{
    partition->id = id;
    partition->is_root = id == PARTITION_ID_ROOT;
    partition->state = PARTITION_CREATED;
    atomic_init(&partition->reference_count, 1);
    atomic_init(&partition->stop_count, 0);
    list_node_init(&partition->node);
    spin_init(&partition->lock, LOCK_RANK_PARTITION, "partition");
    deposit_init(&partition->deposit);
    overlay_set_init(&partition->overlays);
    port_table_init(&partition->ports);
}

hv_status_t partition_create(struct partition *creator, const struct hv_input_create_partition *input, uint64_t *id)
{
    hv_status_t status = check_creation(input);
    struct partition *partition;

    _Static_assert(sizeof(struct partition) <= PAGE_SIZE, "a partition is one page");
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    partition = part_page_alloc(creator);
    if (partition == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    spin_lock(&table_lock);
    partition_prepare(partition, next_id++);
    spin_unlock(&table_lock);
    partition->flags = input->flags;
    partition->privileges = cpuid_child_privileges(0);
    partition->disabled_features[0] = input->disabled_processor_features[0];
    partition->disabled_features[1] = input->disabled_processor_features[1];
    partition->disabled_xsave = input->disabled_xsave_features;
    reftime_init(partition);
    stats_count(STATS_PARTITIONS, 1);
    *id = partition->id;

    spin_lock(&table_lock);
    list_add_tail(&table, &partition->node);
    spin_unlock(&table_lock);
    trace(TRACE_PARTITION, (uint32_t)partition->id << 16, partition->id, PARTITION_CREATED);
    return HV_STATUS_SUCCESS;
}

/* Takes the partition's turn of changes if it is in one of the states; TIME_OUT: another call has it. */
static hv_status_t begin_change(struct partition *partition, enum partition_state first, enum partition_state last)
{
    hv_status_t status = HV_STATUS_SUCCESS;

    spin_lock(&partition->lock);
    if (partition->state < first || partition->state > last) {
        status = HV_STATUS_INVALID_PARTITION_STATE;
    } else if (partition->is_busy) {
        status = HV_STATUS_TIME_OUT;
    } else {
        partition->is_busy = true;
    }
    spin_unlock(&partition->lock);
    return status;
}

static void end_change(struct partition *partition, enum partition_state state)
{
    spin_lock(&partition->lock);
    if (partition->state != state) {
        partition->state = state;
        trace(TRACE_PARTITION, (uint32_t)partition->id << 16, partition->id, state);
    }
    partition->is_busy = false;
    spin_unlock(&partition->lock);
}

/* Frees what partition_initialize() makes; accepts half of it. True when all is done. */
static bool tear_down_memory(struct partition *partition)
{
    msr_partition_destroy(partition);
    reftime_destroy(partition);
    return gpa_space_destroy(&partition->space, TEAR_DOWN_BUDGET);
}

hv_status_t partition_initialize(struct partition *partition)
{
    hv_status_t status;

    if (partition->is_root) {
        return HV_STATUS_OPERATION_DENIED;
    }
    status = begin_change(partition, PARTITION_CREATED, PARTITION_CREATED);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    status = gpa_space_init(&partition->space, partition, backend->gpa_format, PARTITION_CHILD_GPA_LIMIT);
    if (status == HV_STATUS_SUCCESS) {
        status = msr_partition_create(partition);
    }
    if (status == HV_STATUS_SUCCESS) {
        status = reftime_create_page(partition);
    }
    if (status != HV_STATUS_SUCCESS) {
        bool is_done = tear_down_memory(partition);

        /* Nothing is mapped yet: one round is enough. */
        ASSERT(is_done);
        end_change(partition, PARTITION_CREATED);
        return status;
    }
    end_change(partition, PARTITION_ACTIVE);
    return HV_STATUS_SUCCESS;
}

void partition_stop(struct partition *partition)
{
    /* Pairs with the load in vp_handle_requests(), which comes behind the store of vp->cpu. */
    (void)atomic_fetch_add_explicit(&partition->stop_count, 1, memory_order_seq_cst);
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = partition->vps[i];

        if (vp != NULL && atomic_load_explicit(&vp->cpu, memory_order_seq_cst) != NULL) {
            (void)atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_SUSPEND, memory_order_seq_cst);
            vp_wait_stopped(vp);
        }
    }
}

void partition_resume(struct partition *partition)
{
    (void)atomic_fetch_sub_explicit(&partition->stop_count, 1, memory_order_release);
}

/* Makes a VP unfindable and frees it. It is stopped and cannot start again: no dispatch finds it any more. */
static void remove_vp(struct partition *partition, struct vp *vp)
{
    spin_lock(&partition->lock);
    __atomic_store_n(&partition->vps[vp->index], NULL, __ATOMIC_RELEASE);
    partition->vp_count--;
    spin_unlock(&partition->lock);
    /* Who found it before is a reader, then perhaps owns it, then is a reader again until its hypercall ends. */
    rcu_wait();
    vp_wait_stopped(vp);
    rcu_wait();
    vp_destroy(vp);
    stats_count(STATS_VPS, -1);
}

/* The lowest VP there is, or null. */
static struct vp *first_vp(const struct partition *partition)
{
    for (uint32_t i = 0; partition->vp_count != 0 && i < PARTITION_VP_MAX; i++) {
        if (partition->vps[i] != NULL) {
            return partition->vps[i];
        }
    }
    return NULL;
}

/*
 * No call that begins from here on finds the partition active, no VP of it runs again, and whoever looked before is
 * through: what is left belongs to the finalising call alone.
 */
static void begin_finalizing(struct partition *partition)
{
    spin_lock(&partition->lock);
    partition->state = PARTITION_FINALIZED;
    spin_unlock(&partition->lock);
    trace(TRACE_PARTITION, (uint32_t)partition->id << 16, partition->id, PARTITION_FINALIZED);
    partition_stop(partition);
    rcu_wait();
    port_table_destroy(partition);
}

hv_status_t partition_finalize(struct partition *partition)
{
    hv_status_t status;
    struct vp *vp;

    if (partition->is_root) {
        return HV_STATUS_OPERATION_DENIED;
    }
    if (partition->is_torn_down) {
        return HV_STATUS_INVALID_PARTITION_STATE;
    }
    status = begin_change(partition, PARTITION_CREATED, PARTITION_FINALIZED);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    if (partition->state != PARTITION_FINALIZED) {
        begin_finalizing(partition);
    }
    vp = first_vp(partition);
    if (vp != NULL) {
        remove_vp(partition, vp);
        status = HV_STATUS_TIME_OUT;
    } else if (!tear_down_memory(partition)) {
        status = HV_STATUS_TIME_OUT;
    } else {
        stats_free_page(partition->stats_page);
        partition->stats_page = NULL;
        partition->is_torn_down = true;
    }
    end_change(partition, PARTITION_FINALIZED);
    return status;
}

hv_status_t partition_delete(struct partition *partition)
{
    bool is_ready;

    if (partition->is_root) {
        return HV_STATUS_OPERATION_DENIED;
    }
    spin_lock(&table_lock);
    is_ready = partition->is_torn_down && list_node_is_linked(&partition->node);
    if (is_ready) {
        list_remove(&partition->node);
    }
    spin_unlock(&table_lock);
    if (!is_ready) {
        return HV_STATUS_INVALID_PARTITION_STATE;
    }
    /* The table's reference. */
    partition_put(partition);
    return HV_STATUS_SUCCESS;
}

hv_status_t partition_create_vp(struct partition *partition, uint32_t index)
{
    struct vp *vp;
    hv_status_t status;

    if (index >= PARTITION_VP_MAX) {
        return HV_STATUS_INVALID_VP_INDEX;
    }
    if (partition->is_root) {
        return HV_STATUS_OPERATION_DENIED;
    }
    status = begin_change(partition, PARTITION_ACTIVE, PARTITION_ACTIVE);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    if (partition->vps[index] != NULL) {
        status = HV_STATUS_INVALID_VP_INDEX;
    } else {
        status = vp_create(partition, index, &vp);
    }
    if (status == HV_STATUS_SUCCESS) {
        spin_lock(&partition->lock);
        /* Pairs with the load in partition_vp(): who finds it finds it complete. */
        __atomic_store_n(&partition->vps[index], vp, __ATOMIC_RELEASE);
        partition->vp_count++;
        spin_unlock(&partition->lock);
        stats_count(STATS_VPS, 1);
    }
    end_change(partition, PARTITION_ACTIVE);
    return status;
}

hv_status_t partition_delete_vp(struct partition *partition, uint32_t index)
{
    hv_status_t status;

    if (partition->is_root) {
        return HV_STATUS_OPERATION_DENIED;
    }
    status = begin_change(partition, PARTITION_ACTIVE, PARTITION_ACTIVE);
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    if (index >= PARTITION_VP_MAX || partition->vps[index] == NULL) {
        status = HV_STATUS_INVALID_VP_INDEX;
    } else {
        /* Its siblings may be looking at it in their exits: none runs while it goes. */
        partition_stop(partition);
        remove_vp(partition, partition->vps[index]);
        partition_resume(partition);
    }
    end_change(partition, PARTITION_ACTIVE);
    return status;
}

struct vp *partition_vp(struct partition *partition, uint32_t index, struct vp *self)
{
    if (index == HV_VP_INDEX_SELF) {
        return self;
    }
    if (index >= PARTITION_VP_MAX) {
        return NULL;
    }
    return __atomic_load_n(&partition->vps[array_index_nospec(index, PARTITION_VP_MAX)], __ATOMIC_ACQUIRE);
}

void partition_intercepts_changed(struct partition *partition)
{
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = partition_vp(partition, i, NULL);

        if (vp != NULL) {
            vp_wake(vp, VP_REQUEST_INTERCEPTS);
        }
    }
}

void partition_fail(struct partition *partition, const char *why)
{
    if (partition->is_root) {
        panic("the root partition is lost: %s", why);
    }
    if (!READ_ONCE(partition->is_failed)) {
        log_guest_line("partition %llu is lost: %s", (unsigned long long)partition->id, why);
        WRITE_ONCE(partition->is_failed, true);
    }
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = partition_vp(partition, i, NULL);

        if (vp != NULL) {
            vp_wake(vp, VP_REQUEST_SUSPEND);
        }
    }
}
