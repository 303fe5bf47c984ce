/* SPDX-License-Identifier: MIT */
/*
 * Reference time, the reference TSC page, and freezing. Timers that go by it are in stimer.c.
 * TLFS, Timers: Partition Reference Time; Partition Reference Time Enlightenment.
 */
#include "hv/partition/reftime.h"

#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/str.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/partition.h"
#include "hv/partition/stimer.h"
#include "hv/partition/vp.h"
#include "hv/time/time.h"

#define TSC_PER_UNIT_SHIFT 24

/* floor(10^7 * 2^64 / TSC frequency), by long division; the frequency is above 10 MHz. */
static uint64_t compute_scale(uint64_t hz)
{
    uint64_t remainder = HV_REFERENCE_TIME_HZ % hz;
    uint64_t quotient = 0;

    for (uint32_t bit = 0; bit < 64; bit++) {
        bool carry = (remainder >> 63) != 0;

        remainder <<= 1;
        quotient <<= 1;
        if (carry || remainder >= hz) {
            remainder -= hz;
            quotient |= 1;
        }
    }
    return quotient;
}

static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    return (uint64_t)(((wide_t)a * b) >> 64);
}

static bool uses_tsc(const struct reftime *reftime)
{
    return reftime->scale != 0;
}

/* What reference time would be with offset 0. */
static uint64_t base_now(const struct reftime *reftime)
{
    return uses_tsc(reftime) ? reftime_scaled_tsc(reftime) : time_100ns();
}

uint64_t reftime_now(struct partition *partition)
{
    const struct reftime *reftime = &partition->reftime;

    if (atomic_load_explicit(&reftime->is_frozen, memory_order_acquire)) {
        return atomic_load_explicit(&reftime->frozen_at, memory_order_relaxed);
    }
    return base_now(reftime) + atomic_load_explicit(&reftime->offset, memory_order_relaxed);
}

uint64_t reftime_from_ticks(uint64_t ticks)
{
    return multiply_high(ticks, compute_scale(time_tsc_hz()));
}

uint64_t reftime_to_tsc(struct partition *partition, uint64_t time)
{
    uint64_t now = reftime_now(partition);
    uint64_t tsc = time_tsc();
    wide_t distance;

    if (atomic_load_explicit(&partition->reftime.is_frozen, memory_order_relaxed)) {
        return UINT64_MAX;
    }
    if (time <= now) {
        return tsc;
    }
    /* Rounded up by more than what the scale loses: a timer that comes too early only has to be armed again. */
    distance = (((wide_t)(time - now) * ((time_tsc_hz() << TSC_PER_UNIT_SHIFT) / HV_REFERENCE_TIME_HZ)) >>
                TSC_PER_UNIT_SHIFT) +
               2;
    return distance > UINT64_MAX - tsc ? UINT64_MAX : tsc + (uint64_t)distance;
}

bool reftime_page_is_valid(struct partition *partition)
{
    const struct reftime *reftime = &partition->reftime;

    return uses_tsc(reftime) && !atomic_load_explicit(&reftime->is_tsc_divergent, memory_order_relaxed) &&
           !atomic_load_explicit(&reftime->is_frozen, memory_order_relaxed);
}

/*
 * Writes the page. Readers see sequence 0 (use the MSR instead) until all of it is there; a sequence that was published
 * is never published again with other contents before the counter wraps. Partition lock held.
 */
static void publish_locked(struct partition *partition)
{
    struct reftime *reftime = &partition->reftime;
    struct hv_reference_tsc_page *page = (struct hv_reference_tsc_page *)(void *)reftime->tsc_page.page;

    if (page == NULL) {
        return;
    }
    __atomic_store_n(&page->tsc_sequence, HV_REFERENCE_TSC_SEQUENCE_INVALID, __ATOMIC_SEQ_CST);
    if (!reftime_page_is_valid(partition)) {
        return;
    }
    do {
        reftime->sequence++;
    } while (reftime->sequence == HV_REFERENCE_TSC_SEQUENCE_INVALID ||
             reftime->sequence == HV_REFERENCE_TSC_SEQUENCE_AVOID);
    __atomic_store_n(&page->tsc_scale, reftime->scale, __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->tsc_offset, (int64_t)atomic_load_explicit(&reftime->offset, memory_order_relaxed),
                     __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->tsc_sequence, reftime->sequence, __ATOMIC_SEQ_CST);
}

/* Chooses the offset so that it is `time` now. Partition lock held. */
static void set_locked(struct partition *partition, uint64_t time)
{
    struct reftime *reftime = &partition->reftime;

    atomic_store_explicit(&reftime->frozen_at, time, memory_order_relaxed);
    atomic_store_explicit(&reftime->offset, time - base_now(reftime), memory_order_relaxed);
}

/* All running timers of the partition; no lock of rank SynIC or higher held. */
static void rearm_timers(struct partition *partition)
{
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        if (partition->vps[i] != NULL) {
            stimer_rearm_all(partition->vps[i]);
        }
    }
}

void reftime_init(struct partition *partition)
{
    struct reftime *reftime = &partition->reftime;

    memset(reftime, 0, sizeof(*reftime));
    /* Below 10 MHz the scale would not fit; processors that disagree cannot share a page. Then time goes by the
     * machine's clock. */
    if (time_tsc_is_synchronised() && time_tsc_hz() > HV_REFERENCE_TIME_HZ) {
        reftime->scale = compute_scale(time_tsc_hz());
    }
    set_locked(partition, 0);
}

hv_status_t reftime_create_page(struct partition *partition)
{
    struct reftime *reftime = &partition->reftime;
    hv_status_t status = overlay_create(partition, &reftime->tsc_page, GPA_READ);

    if (status == HV_STATUS_SUCCESS) {
        reftime_reset(partition);
    }
    return status;
}

void reftime_destroy(struct partition *partition)
{
    overlay_destroy(partition, &partition->reftime.tsc_page);
}

void reftime_reset(struct partition *partition)
{
    struct reftime *reftime = &partition->reftime;

    overlay_remove(partition, &reftime->tsc_page);
    spin_lock(&partition->lock);
    reftime->page_msr = partition->is_root ? hv_msr_page_value(overlay_root_page(&reftime->tsc_page), 0) : 0;
    reftime->reenlightenment = 0;
    reftime->tsc_emulation = 0;
    reftime->tsc_invariant = 0;
    publish_locked(partition);
    spin_unlock(&partition->lock);
}

uint64_t reftime_page_msr(struct partition *partition)
{
    return partition->reftime.page_msr;
}

bool reftime_set_page_msr(struct partition *partition, uint64_t value)
{
    struct reftime *reftime = &partition->reftime;

    if (reftime->tsc_page.page == NULL) {
        return false;
    }
    if (partition->is_root) {
        value = (value & ~HV_X64_MSR_PAGE_GPFN_MASK) | hv_msr_page_value(overlay_root_page(&reftime->tsc_page), 0);
    } else if (!(value & HV_X64_MSR_PAGE_ENABLE)) {
        overlay_remove(partition, &reftime->tsc_page);
    } else if (!overlay_place(partition, &reftime->tsc_page, hv_msr_page_gpfn(value))) {
        return false;
    }
    spin_lock(&partition->lock);
    reftime->page_msr = value;
    publish_locked(partition);
    spin_unlock(&partition->lock);
    return true;
}

void reftime_set_frozen(struct partition *partition, bool is_frozen)
{
    struct reftime *reftime = &partition->reftime;
    bool was_frozen;

    spin_lock(&partition->lock);
    was_frozen = atomic_load_explicit(&reftime->is_frozen, memory_order_relaxed);
    if (is_frozen && !was_frozen) {
        atomic_store_explicit(&reftime->frozen_at, reftime_now(partition), memory_order_relaxed);
    } else if (!is_frozen && was_frozen) {
        set_locked(partition, atomic_load_explicit(&reftime->frozen_at, memory_order_relaxed));
    }
    /* Release: whoever reads "frozen" reads since when (reftime_now). */
    atomic_store_explicit(&reftime->is_frozen, is_frozen, memory_order_release);
    publish_locked(partition);
    spin_unlock(&partition->lock);
    rearm_timers(partition);
}

void reftime_set(struct partition *partition, uint64_t time)
{
    spin_lock(&partition->lock);
    set_locked(partition, time);
    publish_locked(partition);
    spin_unlock(&partition->lock);
    rearm_timers(partition);
}

void reftime_set_tsc_offset(struct partition *partition, uint64_t tsc_offset)
{
    struct reftime *reftime = &partition->reftime;
    uint64_t now;

    spin_lock(&partition->lock);
    now = reftime_now(partition);
    atomic_store_explicit(&reftime->tsc_offset, tsc_offset, memory_order_relaxed);
    atomic_store_explicit(&reftime->is_tsc_divergent, false, memory_order_relaxed);
    set_locked(partition, now);
    publish_locked(partition);
    spin_unlock(&partition->lock);
}

void reftime_vp_tsc_changed(struct partition *partition, uint64_t guest_tsc, uint64_t machine_tsc)
{
    struct reftime *reftime = &partition->reftime;

    if (guest_tsc - machine_tsc == atomic_load_explicit(&reftime->tsc_offset, memory_order_relaxed)) {
        return;
    }
    spin_lock(&partition->lock);
    atomic_store_explicit(&reftime->is_tsc_divergent, true, memory_order_relaxed);
    publish_locked(partition);
    spin_unlock(&partition->lock);
}
