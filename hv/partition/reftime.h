/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_REFTIME_H
#define PARTITION_REFTIME_H

/*
 * A partition's reference time (100 ns units from its creation), its reference TSC page, and the controls of its
 * time-stamp counter (TLFS, Timers, Partition Reference Time).
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"
#include "hv/partition/overlay.h"
#include "hv/time/time.h"

struct partition;

/*
 * Reference time of a partition. While the processors' TSCs agree, it is computed from the guest's TSC in exactly the
 * way that guests compute it from the page, so that page and MSR never contradict each other.
 */
struct reftime {
    _Atomic uint64_t offset;       /* [a] reference time - (guest TSC * scale), or - time since boot */
    _Atomic uint64_t tsc_offset;   /* [a] guest TSC - machine TSC, as the page assumes it for all VPs */
    _Atomic bool is_frozen;        /* [a] property TimeFreeze */
    _Atomic bool is_tsc_divergent; /* [a] a VP has set its own TSC: the page says so, and time goes by the machine's */
    _Atomic uint64_t frozen_at;    /* [a] reference time while frozen */
    uint64_t scale;                /* [I] of the page; 0: the TSCs disagree, time goes by the machine's clock */
    uint64_t page_msr;             /* [partition lock] REFERENCE_TSC; in the root with the hypervisor's page number */
    uint32_t sequence;             /* [partition lock] last one published */
    uint64_t reenlightenment;      /* [partition lock] REENLIGHTENMENT_CONTROL */
    uint64_t tsc_emulation;        /* [partition lock] TSC_EMULATION_CONTROL */
    uint64_t tsc_invariant;        /* [partition lock] TSC_INVARIANT_CONTROL */
    struct overlay tsc_page;
    struct overlay
        hypercall_page; /* the hypercall MSR's page (msr.c); here because it is made and freed at the same places */
};

/* What reference time would be with offset 0 where it goes by the TSC, as guests compute it from the page. */
static inline uint64_t reftime_scaled_tsc(const struct reftime *reftime)
{
    uint64_t guest_tsc = time_tsc() + atomic_load_explicit(&reftime->tsc_offset, memory_order_relaxed);

    return (uint64_t)(((wide_t)guest_tsc * reftime->scale) >> 64);
}

/* reftime_now() without a call; false: time stands still, or goes by the machine's clock. */
MUST_CHECK static inline bool reftime_now_by_tsc(const struct reftime *reftime, uint64_t *now)
{
    if (atomic_load_explicit(&reftime->is_frozen, memory_order_acquire) || reftime->scale == 0) {
        return false;
    }
    *now = reftime_scaled_tsc(reftime) + atomic_load_explicit(&reftime->offset, memory_order_relaxed);
    return true;
}

/* Starts reference time at 0. Needs no memory; at partition creation. */
void reftime_init(struct partition *partition);

/* Makes the reference TSC page. INSUFFICIENT_MEMORY. At initialisation. */
MUST_CHECK hv_status_t reftime_create_page(struct partition *partition);

/* Frees the page; accepts a partition that has none. */
void reftime_destroy(struct partition *partition);

/* Back to the state after reftime_create_page(), except that time goes on. Partition reset. */
void reftime_reset(struct partition *partition);

/* Reference time now; never goes back, on any processor. Any context. */
uint64_t reftime_now(struct partition *partition);

/* Machine TSC at which reference time will be `time` (saturating; the past for a past time). UINT64_MAX while frozen.
 */
uint64_t reftime_to_tsc(struct partition *partition, uint64_t time);

/* A number of TSC ticks in 100 ns units. */
uint64_t reftime_from_ticks(uint64_t ticks);

/* REFERENCE_TSC MSR. False: #GP(0). No locks held. */
uint64_t reftime_page_msr(struct partition *partition);
MUST_CHECK bool reftime_set_page_msr(struct partition *partition, uint64_t value);

/* Stops reference time or lets it go on; timers follow (HvPartitionPropertyTimeFreeze). No locks held. */
void reftime_set_frozen(struct partition *partition, bool is_frozen);

/* Sets reference time (HvPartitionPropertyReferenceTime); timers follow. No locks held. */
void reftime_set(struct partition *partition, uint64_t time);

/*
 * The guest TSC of all VPs becomes machine TSC + `tsc_offset` (partition creation, restore). Reference time stays
 * continuous; the page is rewritten. No locks held.
 */
void reftime_set_tsc_offset(struct partition *partition, uint64_t tsc_offset);

/* One VP's TSC was set on its own: if it is not what the page assumes, the page is withdrawn for good. No locks held.
 */
void reftime_vp_tsc_changed(struct partition *partition, uint64_t guest_tsc, uint64_t machine_tsc);

/* True while a reference TSC page would be valid in this partition. */
bool reftime_page_is_valid(struct partition *partition);

#endif
