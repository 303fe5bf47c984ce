/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PARTITION_H
#define PARTITION_PARTITION_H

/* The partition object, its lifecycle and its table. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"
#include "hv/lib/list.h"
#include "hv/partition/deposit.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/overlay.h"
#include "hv/partition/port.h"
#include "hv/partition/reftime.h"
#include "hv/partition/vp.h"
#include "hv/sync/spinlock.h"

#define PARTITION_VP_MAX          256
#define PARTITION_ID_ROOT         1
/* First GPA that no child can have: what a level-4 table reaches. */
#define PARTITION_CHILD_GPA_LIMIT (UINT64_C(1) << 48)

/* Lifecycle: created, initialised (VPs, memory, running), finalised (nothing runs, mappings dropped), then deleted. */
enum partition_state {
    PARTITION_CREATED,
    PARTITION_ACTIVE,
    PARTITION_FINALIZED,
};

/* One partition. Its own page(s) come from the creator's deposit; everything below it from its own. */
struct partition {
    struct list_node node;            /* [table] */
    uint64_t id;                      /* [I] root 1, children from 2 on, never reused */
    uint64_t flags;                   /* [I] HV_PARTITION_CREATION_FLAG_* */
    uint64_t privileges;              /* [I] TLFS privilege mask: CPUID leaf 0x40000003 EAX | EBX << 32 */
    bool is_root;                     /* [I] */
    _Atomic uint32_t reference_count; /* [a] partition_find() takes one */
    _Atomic enum partition_state
        state;                   /* [lock] to change; FINALIZED once seen by an RCU reader lets it touch nothing more */
    bool is_busy;                /* [lock] creating or deleting a VP, initialising or finalising: others try again */
    bool is_torn_down;           /* [lock] finalising is complete: only deposited pages are left */
    _Atomic uint32_t stop_count; /* [a] while nonzero no VP of it may be in its run loop */
    struct spinlock lock;        /* rank LOCK_RANK_PARTITION */
    struct deposit deposit;      /* pages that the root gave to it */
    struct gpa_space space;
    struct overlay_set overlays; /* [space lock] */
    struct reftime reftime;
    struct port_table ports;          /* [lock] ports this partition owns, and its connections */
    uint32_t vp_count;                /* [lock] */
    struct vp *vps[PARTITION_VP_MAX]; /* [lock] to change; read with a reference held */

    uint64_t guest_os_id;              /* [lock] */
    uint64_t hypercall_msr;            /* [lock] */
    uint64_t crash_parameters[5];      /* [lock] */
    uint64_t crash_control;            /* [lock] */
    uint64_t tsc_offset;               /* [lock] guest TSC - machine TSC */
    uint64_t synthetic_features;       /* [lock] property 0x10001 */
    uint64_t disabled_features[2];     /* [I] processor feature banks taken away */
    uint64_t disabled_xsave;           /* [I] */
    uint64_t *stats_page;              /* [lock] shared with the root while mapped, or null */
    uint64_t exception_intercepts;     /* [lock] bit per vector (HvCallInstallIntercept) */
    uint32_t unimplemented_msr_action; /* [lock] property 0x50017: 0 #GP, 1 ignore writes and read zero */
    bool is_time_frozen;               /* [lock] property 0x30003 */
    bool tracks_access;                /* [lock] property 0x50005 */
    bool intercepts_cpuid_all;         /* [lock] */
    bool intercepts_msr;               /* [lock] unknown MSRs become intercepts */
    bool is_failed;                    /* [lock] lost by exit_unexpected() */
};

/* The root partition; exists from partition_init_root() on. */
extern struct partition *root_partition;

/* Empties the table of children. Boot, once. */
void partition_table_init(void);

/* Fills in the members that need no memory, of a zeroed partition. */
void partition_prepare(struct partition *partition, uint64_t id);

/* Creates the root partition and its VPs (one for each processor), maps its GPA space, loads its image. Boot, once. */
void partition_init_root(void);

/*
 * Finds a partition and takes a reference; HV_PARTITION_ID_SELF means `caller`. Null: no such partition. Only the root
 * finds others than itself.
 */
MUST_CHECK struct partition *partition_find(struct partition *caller, uint64_t id);
void partition_put(struct partition *partition);

/*
 * HvCallCreatePartition and its kin; statuses as those calls. Finalising does a bounded part of its work and answers
 * TIME_OUT until all is done. The caller of partition_delete() keeps its reference, and puts it as always.
 */
MUST_CHECK hv_status_t partition_create(struct partition *creator, const struct hv_input_create_partition *input,
                                        uint64_t *id);
MUST_CHECK hv_status_t partition_initialize(struct partition *partition);
MUST_CHECK hv_status_t partition_finalize(struct partition *partition);
MUST_CHECK hv_status_t partition_delete(struct partition *partition);

/* HvCallCreateVp and HvCallDeleteVp; TIME_OUT: another such call is under way, try again. */
MUST_CHECK hv_status_t partition_create_vp(struct partition *partition, uint32_t index);
MUST_CHECK hv_status_t partition_delete_vp(struct partition *partition, uint32_t index);

/* Takes every VP of the partition out of its run loop and keeps it out until partition_resume(). No locks held. */
void partition_stop(struct partition *partition);
void partition_resume(struct partition *partition);

/* Makes every VP of the partition take over changed intercept maps before its next entry. No lock of rank VP or higher
 * held. */
void partition_intercepts_changed(struct partition *partition);

/* True when the guest may make hypercalls: it has set up the interface. */
static inline bool hypercall_is_enabled(const struct partition *partition)
{
    return msr_hypercall_is_enabled(partition);
}

/* Properties by code (partition_property.c). */
MUST_CHECK hv_status_t partition_get_property(struct partition *partition, uint32_t code, uint64_t *value);
MUST_CHECK hv_status_t partition_set_property(struct partition *partition, uint32_t code, uint64_t value);

/*
 * VP by index, HV_VP_INDEX_SELF allowed when `self` is not null; null if there is none. The VP lives on until the
 * hypercall or exit in which it was looked up is over (rcu.h).
 */
struct vp *partition_vp(struct partition *partition, uint32_t index, struct vp *self);

/* Marks a partition as lost after a fault of its own: its VPs stop with an unrecoverable-exception intercept. */
void partition_fail(struct partition *partition, const char *why);

#endif
