/* SPDX-License-Identifier: MIT */
/*
 * Synthetic timers: registers, expiry in message and direct mode, periodic catching up. A periodic timer is not armed
 * again before the guest has taken the expiry before, so timers of a VP that does not run cost nothing. TLFS, Timers,
 * Synthetic Timers.
 */
#include "hv/partition/stimer.h"

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_msr.h"
#include "hv/debug/trace.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/partition/apic.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/partition.h"
#include "hv/partition/reftime.h"
#include "hv/partition/synic.h"
#include "hv/partition/vp.h"

/* A periodic timer that is further behind than this many periods skips them, lazy or not. */
#define CATCH_UP_MAX 3u

#define VECTOR_FIRST 16u

static bool is_direct(const struct stimer *timer)
{
    return (timer->config & HV_STIMER_DIRECT_MODE) != 0;
}

static bool is_periodic(const struct stimer *timer)
{
    return (timer->config & HV_STIMER_PERIODIC) != 0;
}

/* Arms the machine's timer for the next expiry, not before `earliest` (reference time). SynIC lock held. */
static void schedule(struct stimer *timer, uint64_t earliest)
{
    uint64_t deadline;

    if (!timer->is_running || timer->is_stalled) {
        return;
    }
    deadline = reftime_to_tsc(timer->vp->partition, max_u64(timer->expiry, earliest));
    if (deadline != UINT64_MAX) {
        trace(TRACE_TIMER, timer->vp->trace_id, deadline, timer->index);
        timer_arm(&timer->timer, deadline);
    }
}

/* Moves the next expiry of a periodic timer on from one that is due. */
static void advance(struct stimer *timer, uint64_t now)
{
    uint64_t period = timer->count;
    uint64_t behind;

    if (!range_add_u64(timer->expiry, period, &timer->expiry)) {
        timer->expiry = UINT64_MAX;
    }
    if (timer->expiry > now) {
        return;
    }
    behind = (now - timer->expiry) / period + 1;
    if ((timer->config & HV_STIMER_LAZY) || behind > CATCH_UP_MAX) {
        timer->expiry += behind * period;
    }
}

/* A waiting periodic timer goes on: its next expiry is on its grid, in the future. SynIC lock held. */
static void resume(struct stimer *timer)
{
    uint64_t now = reftime_now(timer->vp->partition);

    timer->is_stalled = false;
    if (timer->expiry <= now) {
        timer->expiry += ((now - timer->expiry) / timer->count + 1) * timer->count;
    }
    schedule(timer, now + STIMER_PERIOD_MIN_100NS);
}

/* The timer has expired. SynIC lock held. Returns true when an interrupt became pending. */
static bool expire(struct stimer *timer, uint64_t now)
{
    struct vp *vp = timer->vp;
    uint64_t nominal = timer->expiry;
    bool is_raised = false;

    if (is_periodic(timer)) {
        advance(timer, now);
    } else {
        timer->is_running = false;
        timer->config &= ~HV_STIMER_ENABLED;
    }
    if (is_direct(timer)) {
        uint32_t vector = hv_stimer_vector(timer->config);

        /* Vectors that no APIC can deliver: the timer runs and nobody hears it. */
        is_raised = vector >= VECTOR_FIRST && apic_set_irr_no_wake(vp, (uint8_t)vector, false);
        timer->is_stalled = is_periodic(timer) && !is_raised;
    } else {
        int vector;

        timer->message_expiry = nominal;
        timer->is_message_waiting = true;
        timer->is_stalled = is_periodic(timer);
        vector = synic_deliver_locked(vp, hv_stimer_sint(timer->config)); /* may take the message and end the stall */
        is_raised = vector >= 0 && apic_set_irr_no_wake(vp, (uint8_t)vector, false);
    }
    if (is_periodic(timer)) {
        schedule(timer, now + STIMER_PERIOD_MIN_100NS);
    }
    return is_raised;
}

/* In interrupt context; may come after the timer was changed or a little early, hence the checks. */
static void timer_fired(struct timer *machine_timer)
{
    struct stimer *timer = CONTAINER_OF(machine_timer, struct stimer, timer);
    struct vp *vp = timer->vp;
    uint64_t now = reftime_now(vp->partition);
    bool is_raised = false;

    spin_lock(&vp->synic.lock);
    if (timer->is_running && !timer->is_stalled) {
        if (timer->expiry <= now) {
            is_raised = expire(timer, now);
        } else {
            schedule(timer, 0);
        }
    }
    spin_unlock(&vp->synic.lock);
    if (is_raised) {
        vp_wake(vp, VP_REQUEST_INTERRUPT);
    }
}

/* Stops the timer and forgets a message that nobody has seen. SynIC lock held. */
static void stop(struct stimer *timer)
{
    timer->is_running = false;
    timer->is_stalled = false;
    timer->is_message_waiting = false;
}

/* Starts an enabled timer with a count. SynIC lock held. Returns true when it expired at once and raised an interrupt.
 */
static bool start(struct stimer *timer)
{
    uint64_t now = reftime_now(timer->vp->partition);

    if (!(timer->config & HV_STIMER_ENABLED) || timer->count == 0) {
        return false;
    }
    timer->expiry = timer->count;
    if (is_periodic(timer) && !range_add_u64(now, timer->count, &timer->expiry)) {
        timer->expiry = UINT64_MAX;
    }
    timer->is_running = true;
    if (timer->expiry <= now) {
        return expire(timer, now);
    }
    schedule(timer, is_periodic(timer) ? now + STIMER_PERIOD_MIN_100NS : 0);
    return false;
}

/* SINT 0 belongs to the hypervisor: a timer in message mode cannot be enabled for it. */
static bool can_enable(const struct stimer *timer)
{
    return is_direct(timer) || hv_stimer_sint(timer->config) != 0;
}

static bool write_config(struct stimer *timer, uint64_t value)
{
    stop(timer);
    timer->config = value & HV_STIMER_VALID_MASK;
    if (!can_enable(timer)) {
        timer->config &= ~HV_STIMER_ENABLED;
    }
    return start(timer);
}

static bool write_count(struct stimer *timer, uint64_t value)
{
    stop(timer);
    timer->count = value;
    if (value == 0) {
        timer->config &= ~HV_STIMER_ENABLED;
    } else if ((timer->config & HV_STIMER_AUTO_ENABLE) && can_enable(timer)) {
        timer->config |= HV_STIMER_ENABLED;
    }
    return start(timer);
}

void stimer_init(struct vp *vp)
{
    spin_init(&vp->synic.lock, LOCK_RANK_SYNIC, "SynIC");
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        struct stimer *timer = &vp->stimers[i];

        timer->vp = vp;
        timer->index = (uint8_t)i;
        timer_init(&timer->timer, timer_fired);
    }
}

void stimer_reset(struct vp *vp)
{
    spin_lock(&vp->synic.lock);
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        stop(&vp->stimers[i]);
        vp->stimers[i].config = 0;
        vp->stimers[i].count = 0;
    }
    spin_unlock(&vp->synic.lock);
}

void stimer_destroy(struct vp *vp)
{
    stimer_reset(vp);
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        timer_cancel(&vp->stimers[i].timer);
    }
}

/* The timer that an MSR belongs to, or null. */
static struct stimer *timer_of_msr(struct vp *vp, uint32_t msr)
{
    uint32_t index = (msr - HV_X64_MSR_STIMER0_CONFIG) / 2;

    return msr >= HV_X64_MSR_STIMER0_CONFIG && index < STIMER_COUNT ? &vp->stimers[index] : NULL;
}

static bool is_count_msr(uint32_t msr)
{
    return ((msr - HV_X64_MSR_STIMER0_CONFIG) & 1) != 0;
}

bool stimer_msr_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    const struct stimer *timer = timer_of_msr(vp, msr);

    if (timer == NULL) {
        return false;
    }
    spin_lock(&vp->synic.lock);
    *value = is_count_msr(msr) ? timer->count : timer->config;
    spin_unlock(&vp->synic.lock);
    return true;
}

bool stimer_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    struct stimer *timer = timer_of_msr(vp, msr);
    bool is_raised;

    if (timer == NULL || (!is_count_msr(msr) && (value & HV_STIMER_DIRECT_MODE) &&
                          !(cpuid_synthetic_features(vp->partition) & HV_FEATURE_DIRECT_SYNTHETIC_TIMERS))) {
        return false;
    }
    spin_lock(&vp->synic.lock);
    is_raised = is_count_msr(msr) ? write_count(timer, value) : write_config(timer, value);
    spin_unlock(&vp->synic.lock);
    if (is_raised) {
        atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_INTERRUPT, memory_order_release);
    }
    return true;
}

static bool is_waiting_for(const struct stimer *timer, uint32_t sint)
{
    return timer->is_message_waiting && hv_stimer_sint(timer->config) == sint;
}

uint32_t stimer_waiting(const struct vp *vp, uint32_t sint)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        bits |= (uint32_t)is_waiting_for(&vp->stimers[i], sint) << i;
    }
    return bits;
}

bool stimer_take_message(struct vp *vp, uint32_t sint, struct hv_message *message)
{
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        struct stimer *timer = &vp->stimers[i];
        struct hv_timer_message_payload payload = {.timer_index = i};

        if (!is_waiting_for(timer, sint)) {
            continue;
        }
        payload.expiration_time = timer->message_expiry;
        payload.delivery_time = reftime_now(vp->partition);
        memset(message, 0, sizeof(*message));
        message->header.message_type = HvMessageTypeTimerExpired;
        message->header.payload_size_bytes = sizeof(payload);
        memcpy(message->payload, &payload, sizeof(payload));
        timer->is_message_waiting = false;
        if (timer->is_stalled) {
            resume(timer);
        }
        return true;
    }
    return false;
}

void stimer_accepted(struct vp *vp, uint8_t vector)
{
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        struct stimer *timer = &vp->stimers[i];

        /* Only the VP itself changes these bits of the configuration. */
        if (!is_direct(timer) || !is_periodic(timer) || hv_stimer_vector(timer->config) != vector) {
            continue;
        }
        spin_lock(&vp->synic.lock);
        if (timer->is_stalled) {
            resume(timer);
        }
        spin_unlock(&vp->synic.lock);
    }
}

void stimer_rearm_all(struct vp *vp)
{
    spin_lock(&vp->synic.lock);
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        schedule(&vp->stimers[i], 0);
    }
    spin_unlock(&vp->synic.lock);
}

void stimer_get_state(struct vp *vp, struct hv_synthetic_timers_state *state)
{
    memset(state, 0, sizeof(*state));
    spin_lock(&vp->synic.lock);
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        const struct stimer *timer = &vp->stimers[i];
        struct hv_stimer_state *saved = &state->timers[i];

        saved->undelivered_message_pending = timer->is_message_waiting;
        saved->config = timer->config;
        saved->count = timer->count;
        /* A periodic timer's next expiry, which its count does not tell. */
        saved->adjustment = timer->is_running && is_periodic(timer) ? timer->expiry : 0;
        saved->undelivered_expiration_time = timer->is_message_waiting ? timer->message_expiry : 0;
    }
    spin_unlock(&vp->synic.lock);
}

hv_status_t stimer_set_state(struct vp *vp, const struct hv_synthetic_timers_state *state)
{
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        if ((state->timers[i].config & ~HV_STIMER_VALID_MASK) != 0 ||
            (state->timers[i].undelivered_message_pending & ~1u) != 0) {
            return HV_STATUS_INVALID_PARAMETER;
        }
    }
    spin_lock(&vp->synic.lock);
    for (uint32_t i = 0; i < STIMER_COUNT; i++) {
        const struct hv_stimer_state *saved = &state->timers[i];
        struct stimer *timer = &vp->stimers[i];

        stop(timer);
        timer->config = saved->config;
        timer->count = saved->count;
        if (!can_enable(timer)) {
            timer->config &= ~HV_STIMER_ENABLED;
        }
        timer->is_message_waiting = saved->undelivered_message_pending != 0;
        timer->message_expiry = saved->undelivered_expiration_time;
        if ((timer->config & HV_STIMER_ENABLED) && timer->count != 0) {
            timer->is_running = true;
            timer->expiry = is_periodic(timer) && saved->adjustment != 0 ? saved->adjustment : timer->count;
            timer->is_stalled = is_periodic(timer) && timer->is_message_waiting;
            schedule(timer, 0); /* a past expiry comes with the next timer interrupt */
        }
    }
    spin_unlock(&vp->synic.lock);
    synic_retry(vp);
    return HV_STATUS_SUCCESS;
}
