/* SPDX-License-Identifier: MIT */
/*
 * The timer of a virtual APIC. It counts at APIC_TIMER_HZ, derived from the TSC; nothing ticks: the current count is
 * computed from the TSC of the next expiry. A hypervisor timer is armed only while an expiry would be noticed (entry
 * unmasked), never more often than every 20 us, and for a periodic timer not before the guest has accepted the
 * interrupt of the last expiry: a guest that does not run, or asks for absurd periods, costs nothing.
 */
#include "hv/partition/apic_timer.h"

#include "hv/lib/compiler.h"
#include "hv/partition/apic.h"
#include "hv/partition/vp.h"
#include "hv/sync/spinlock.h"
#include "hv/time/time.h"

/* Shortest distance of two expiries: this many in a second. */
#define EXPIRIES_PER_SECOND_MAX UINT64_C(50000)

#define TICK_SCALE_SHIFT 32
#define TSC_SCALE_SHIFT  24

/* APIC timer input ticks in a number of TSC ticks, rounded down. */
static uint64_t ticks_from_tsc(uint64_t tsc)
{
    uint64_t scale = (APIC_TIMER_HZ << TICK_SCALE_SHIFT) / time_tsc_hz();

    return (uint64_t)(((wide_t)tsc * scale) >> TICK_SCALE_SHIFT);
}

/* TSC ticks after which at least this many input ticks have passed. */
static uint64_t tsc_from_ticks(uint64_t ticks)
{
    uint64_t scale = (time_tsc_hz() << TSC_SCALE_SHIFT) / APIC_TIMER_HZ;

    return (uint64_t)(((wide_t)ticks * scale) >> TSC_SCALE_SHIFT) + 1;
}

/* Intel SDM vol. 3, Divide Configuration Register: bits 3, 1, 0 choose 2, 4, ... 128, 1. */
static uint32_t divide_shift(const struct apic *apic)
{
    uint32_t code = ((apic->timer_divide >> 1) & 4u) | (apic->timer_divide & 3u);

    return (code + 1) & 7u;
}

static bool is_periodic(const struct apic *apic)
{
    return (apic->lvt[APIC_LVT_TIMER] & APIC_LVT_TIMER_PERIODIC) != 0;
}

static uint64_t period_ticks(const struct apic *apic)
{
    return (uint64_t)apic->timer_initial << divide_shift(apic);
}

static uint64_t period_tsc(const struct apic *apic)
{
    uint64_t ticks = period_ticks(apic);

    return ticks == 0 ? 1 : tsc_from_ticks(ticks);
}

/* Moves the expiry of a periodic timer behind now, by whole periods. */
static void skip_missed_periods(struct apic *apic, uint64_t now)
{
    uint64_t period = period_tsc(apic);

    if (now >= apic->timer_expiry_tsc) {
        apic->timer_expiry_tsc += ((now - apic->timer_expiry_tsc) / period + 1) * period;
    }
}

/* Arms for the next expiry if anybody would notice it. APIC lock held. */
static void arm_locked(struct apic *apic, uint64_t now)
{
    uint64_t deadline = apic->timer_expiry_tsc;
    uint64_t earliest = now + time_tsc_hz() / EXPIRIES_PER_SECOND_MAX;

    if (deadline == 0 || (apic->lvt[APIC_LVT_TIMER] & APIC_LVT_MASKED)) {
        return;
    }
    if (is_periodic(apic) && deadline < earliest) {
        deadline = earliest;
    }
    timer_arm(&apic->timer, deadline);
}

static uint32_t current_locked(const struct apic *apic, uint64_t now)
{
    uint32_t shift = divide_shift(apic);
    uint64_t left;
    uint64_t count;

    if (apic->timer_expiry_tsc == 0) {
        return 0;
    }
    if (now < apic->timer_expiry_tsc) {
        left = ticks_from_tsc(apic->timer_expiry_tsc - now);
    } else if (is_periodic(apic)) {
        left = period_ticks(apic) - ticks_from_tsc(now - apic->timer_expiry_tsc) % period_ticks(apic);
    } else {
        return 0;
    }
    count = (left + (UINT64_C(1) << shift) - 1) >> shift;
    return count < apic->timer_initial ? (uint32_t)count : apic->timer_initial;
}

/* In interrupt context, on the processor that armed it; may come after the timer was changed, hence the checks. */
static void timer_fired(struct timer *timer)
{
    struct vp *vp = CONTAINER_OF(timer, struct vp, apic.timer);
    struct apic *apic = &vp->apic;
    uint64_t now = time_tsc();
    bool is_new = false;

    spin_lock(&apic->lock);
    if (apic->timer_expiry_tsc != 0 && now >= apic->timer_expiry_tsc &&
        !(apic->lvt[APIC_LVT_TIMER] & APIC_LVT_MASKED) && !apic->timer_is_stalled) {
        is_new = apic_set_irr_no_wake(vp, (uint8_t)apic->lvt[APIC_LVT_TIMER], false);
        if (!is_periodic(apic)) {
            apic->timer_expiry_tsc = 0;
        } else {
            skip_missed_periods(apic, now);
            apic->timer_is_stalled = !is_new;
            if (is_new) {
                arm_locked(apic, now);
            }
        }
    }
    spin_unlock(&apic->lock);
    if (is_new) {
        vp_wake(vp, VP_REQUEST_INTERRUPT);
    }
}

void apic_timer_init(struct vp *vp)
{
    timer_init(&vp->apic.timer, timer_fired);
}

void apic_timer_reset(struct vp *vp)
{
    struct apic *apic = &vp->apic;

    spin_lock(&apic->lock);
    apic->timer_initial = 0;
    apic->timer_divide = 0;
    apic->timer_expiry_tsc = 0;
    apic->timer_is_stalled = false;
    apic->lvt[APIC_LVT_TIMER] = APIC_LVT_MASKED;
    spin_unlock(&apic->lock);
}

void apic_timer_destroy(struct vp *vp)
{
    apic_timer_reset(vp);
    timer_cancel(&vp->apic.timer);
}

static void start_locked(struct apic *apic, uint32_t initial, uint32_t current)
{
    uint64_t now = time_tsc();

    apic->timer_initial = initial;
    apic->timer_is_stalled = false;
    apic->timer_expiry_tsc = 0;
    if (initial != 0 && current != 0) {
        apic->timer_expiry_tsc = now + tsc_from_ticks((uint64_t)current << divide_shift(apic));
        arm_locked(apic, now);
    }
}

void apic_timer_set_initial(struct vp *vp, uint32_t count)
{
    spin_lock(&vp->apic.lock);
    start_locked(&vp->apic, count, count);
    spin_unlock(&vp->apic.lock);
}

void apic_timer_restore(struct vp *vp, uint32_t initial, uint32_t current)
{
    spin_lock(&vp->apic.lock);
    start_locked(&vp->apic, initial, current < initial ? current : initial);
    spin_unlock(&vp->apic.lock);
}

uint32_t apic_timer_current(struct vp *vp)
{
    uint32_t count;

    spin_lock(&vp->apic.lock);
    count = current_locked(&vp->apic, time_tsc());
    spin_unlock(&vp->apic.lock);
    return count;
}

void apic_timer_set_divide(struct vp *vp, uint32_t value)
{
    struct apic *apic = &vp->apic;
    uint32_t current;

    spin_lock(&apic->lock);
    current = current_locked(apic, time_tsc());
    apic->timer_divide = value;
    if (current != 0) {
        start_locked(apic, apic->timer_initial, current);
    }
    spin_unlock(&apic->lock);
}

void apic_timer_set_lvt(struct vp *vp, uint32_t value)
{
    struct apic *apic = &vp->apic;
    uint64_t now = time_tsc();

    spin_lock(&apic->lock);
    if (apic->timer_expiry_tsc != 0 && now >= apic->timer_expiry_tsc) {
        /* It expired while masked: nothing is made up for. */
        if (is_periodic(apic)) {
            skip_missed_periods(apic, now);
        } else {
            apic->timer_expiry_tsc = 0;
        }
    }
    apic->lvt[APIC_LVT_TIMER] = value;
    apic->timer_is_stalled = false;
    arm_locked(apic, now);
    spin_unlock(&apic->lock);
}

void apic_timer_accepted(struct vp *vp)
{
    struct apic *apic = &vp->apic;

    spin_lock(&apic->lock);
    if (apic->timer_is_stalled) {
        uint64_t now = time_tsc();

        apic->timer_is_stalled = false;
        skip_missed_periods(apic, now);
        arm_locked(apic, now);
    }
    spin_unlock(&apic->lock);
}
