/* SPDX-License-Identifier: MIT */
/* Time conversion, timer queues and lock ranks: the real ones, on the fake machine's clock. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/cpu.h"
#include "hv/lib/compiler.h"
#include "hv/sync/spinlock.h"
#include "hv/time/scale.h"
#include "hv/time/time.h"
#include "tests/machine/machine.h"

static int setup(void **state)
{
    (void)state;
    (void)machine_reset();
    machine_set_log_echo(false);
    return 0;
}

/* ---- Conversion ---- */

static void test_multiply_divide(void **state)
{
    (void)state;
    assert_int_equal(scale_multiply_divide(10, 20, 3), 66);
    assert_int_equal(scale_multiply_divide(0, 20, 3), 0);
    assert_int_equal(scale_multiply_divide(UINT64_MAX, UINT64_MAX, UINT64_MAX), UINT64_MAX);
    assert_int_equal(scale_multiply_divide(UINT64_MAX, 5000000000u, 10000000u), UINT64_MAX);
    assert_int_equal(scale_multiply_divide(UINT64_MAX, 10000000u, 5000000000u), UINT64_MAX / 500);
    assert_int_equal(scale_multiply_divide(UINT64_MAX, 1, 1), UINT64_MAX);
    assert_int_equal(scale_multiply_divide(1ull << 63, 2, 1), UINT64_MAX);
}

static void test_scale_round_trip(void **state)
{
    static const uint64_t speeds[] = {20000000, 49999952, 999999990, 2445430045, 5000000000};
    static const uint64_t times[] = {0, 1, 7, 9999999, 10000000, 123456789012, 3155760000000000 /* ten years */};
    (void)state;

    for (size_t s = 0; s < ARRAY_SIZE(speeds); s++) {
        const struct time_scale scale = {.base_tsc = 987654321, .hz = speeds[s]};
        assert_int_equal(scale_to_100ns(&scale, 0), 0);
        assert_int_equal(scale_to_100ns(&scale, scale.base_tsc), 0);
        assert_int_equal(scale_to_100ns(&scale, scale.base_tsc + speeds[s]), 10000000);
        assert_int_equal(scale_to_tsc(&scale, UINT64_MAX), UINT64_MAX);
        for (size_t t = 0; t < ARRAY_SIZE(times); t++) {
            uint64_t tsc = scale_to_tsc(&scale, times[t]);
            assert_int_equal(scale_to_100ns(&scale, tsc), times[t]);
            assert_true(times[t] == 0 || scale_to_100ns(&scale, tsc - 1) < times[t]);
        }
    }
}

static void test_scale_monotone_near_overflow(void **state)
{
    const struct time_scale scale = {.base_tsc = 5, .hz = 20000000};
    uint64_t last = 0;
    (void)state;

    for (uint64_t tsc = UINT64_MAX - 1000; tsc != 0; tsc++) {
        uint64_t now = scale_to_100ns(&scale, tsc);
        assert_true(now >= last);
        last = now;
    }
    assert_int_equal(scale_to_tsc(&scale, UINT64_MAX - 1), UINT64_MAX);
}

/* ---- Timers ---- */

/* A timer that notes what happened. */
struct probe {
    struct timer timer;
    uint32_t fired;
    uint32_t fired_on;
    uint64_t fired_at;
    uint64_t rearm_100ns; /* arms itself again for this much later; 0: not */
    struct timer *cancels;
    uint32_t order;
};

static uint32_t order_counter;

static void probe_fire(struct timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);

    assert_false(timer_is_armed(timer));
    probe->fired++;
    probe->fired_on = cpu_this()->index;
    probe->fired_at = time_100ns();
    probe->order = ++order_counter;
    if (probe->rearm_100ns != 0) {
        timer_arm(timer, time_100ns_to_tsc(time_100ns() + probe->rearm_100ns));
    }
    if (probe->cancels != NULL) {
        timer_cancel(probe->cancels);
    }
}

static void probe_init(struct probe *probe)
{
    memset(probe, 0, sizeof(*probe));
    timer_init(&probe->timer, probe_fire);
}

static void test_timer_fires_once_in_order(void **state)
{
    struct probe early, late, same;
    (void)state;

    probe_init(&early);
    probe_init(&late);
    probe_init(&same);
    timer_arm(&late.timer, time_100ns_to_tsc(300));
    assert_int_equal(machine_timer_deadline(0), time_100ns_to_tsc(300));
    timer_arm(&early.timer, time_100ns_to_tsc(100));
    timer_arm(&same.timer, time_100ns_to_tsc(100));
    assert_int_equal(machine_timer_deadline(0), time_100ns_to_tsc(100));
    machine_advance_100ns(99);
    assert_int_equal(early.fired, 0);
    machine_advance_100ns(1);
    assert_int_equal(early.fired, 1);
    assert_int_equal(early.fired_at, 100);
    assert_int_equal(same.fired, 1);
    assert_true(same.order > early.order);
    assert_int_equal(late.fired, 0);
    assert_true(timer_is_armed(&late.timer));
    assert_int_equal(machine_timer_deadline(0), time_100ns_to_tsc(300));
    machine_advance_100ns(1000);
    assert_int_equal(late.fired, 1);
    assert_int_equal(late.fired_at, 300);
    assert_int_equal(early.fired, 1);
    assert_int_equal(machine_timer_deadline(0), 0);
}

static void test_timer_past_and_zero(void **state)
{
    struct probe probe;
    (void)state;

    probe_init(&probe);
    machine_skip_100ns(50);
    timer_arm(&probe.timer, time_100ns_to_tsc(10));
    assert_int_equal(probe.fired, 0);
    machine_advance_100ns(0);
    assert_int_equal(probe.fired, 1);
    timer_arm(&probe.timer, 0);
    assert_int_not_equal(machine_timer_deadline(0), 0);
    machine_advance_100ns(0);
    assert_int_equal(probe.fired, 2);
    timer_arm(&probe.timer, UINT64_MAX);
    machine_advance_100ns(1000000);
    assert_int_equal(probe.fired, 2);
    timer_cancel(&probe.timer);
    assert_false(timer_is_armed(&probe.timer));
}

static void test_timer_move_and_cancel(void **state)
{
    struct probe probe;
    (void)state;

    probe_init(&probe);
    timer_cancel(&probe.timer);
    timer_arm(&probe.timer, time_100ns_to_tsc(10));
    timer_arm(&probe.timer, time_100ns_to_tsc(20));
    machine_advance_100ns(15);
    assert_int_equal(probe.fired, 0);
    machine_set_cpu(1);
    timer_arm(&probe.timer, time_100ns_to_tsc(30));
    machine_advance_100ns(10);
    assert_int_equal(probe.fired, 0);
    machine_set_cpu(0);
    machine_advance_100ns(10);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(probe.fired_on, 1);
    assert_int_equal(probe.fired_at, 30);

    machine_set_cpu(1);
    timer_arm(&probe.timer, time_100ns_to_tsc(100));
    machine_set_cpu(0);
    timer_cancel(&probe.timer);
    machine_advance_100ns(1000);
    assert_int_equal(probe.fired, 1);
}

static void test_timer_rearms_itself(void **state)
{
    struct probe probe;
    (void)state;

    probe_init(&probe);
    probe.rearm_100ns = 10;
    timer_arm(&probe.timer, time_100ns_to_tsc(10));
    machine_advance_100ns(100);
    assert_int_equal(probe.fired, 10);
    assert_int_equal(probe.fired_at, 100);
    timer_cancel(&probe.timer);
    machine_advance_100ns(100);
    assert_int_equal(probe.fired, 10);
}

static void test_timer_cancels_in_function(void **state)
{
    struct probe first, second;
    (void)state;

    probe_init(&first);
    probe_init(&second);
    first.cancels = &second.timer;
    timer_arm(&first.timer, time_100ns_to_tsc(10));
    timer_arm(&second.timer, time_100ns_to_tsc(10));
    machine_advance_100ns(100);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);

    /* Its own: does not wait for itself, and undoes the arming. */
    first.cancels = &first.timer;
    first.rearm_100ns = 5;
    timer_arm(&first.timer, time_tsc());
    machine_advance_100ns(100);
    assert_int_equal(first.fired, 2);
    assert_false(timer_is_armed(&first.timer));
}

/* ---- A cancel waits for a function that runs elsewhere ---- */

static _Atomic bool is_in_function;
static _Atomic bool may_leave_function;
static _Atomic bool has_cancelled;

static void slow_fire(struct timer *timer)
{
    (void)timer;
    atomic_store(&is_in_function, true);
    while (!atomic_load(&may_leave_function)) {
    }
    assert_false(atomic_load(&has_cancelled));
}

static void *run_timers_on_cpu_1(void *argument)
{
    struct timer *timer = argument;

    machine_set_cpu(1);
    timer_arm(timer, time_tsc());
    machine_advance_100ns(0);
    return NULL;
}

static void *cancel_on_cpu_0(void *argument)
{
    machine_set_cpu(0);
    timer_cancel(argument);
    atomic_store(&has_cancelled, true);
    return NULL;
}

static void test_cancel_waits(void **state)
{
    struct timer timer;
    pthread_t runner, canceller;
    (void)state;

    timer_init(&timer, slow_fire);
    assert_int_equal(pthread_create(&runner, NULL, run_timers_on_cpu_1, &timer), 0);
    while (!atomic_load(&is_in_function)) {
    }
    assert_int_equal(pthread_create(&canceller, NULL, cancel_on_cpu_0, &timer), 0);
    for (volatile uint32_t i = 0; i < 20000000; i++) {
    }
    assert_false(atomic_load(&has_cancelled));
    atomic_store(&may_leave_function, true);
    pthread_join(runner, NULL);
    pthread_join(canceller, NULL);
    assert_true(atomic_load(&has_cancelled));
}

/* ---- Locks ---- */

static struct spinlock low = SPINLOCK_INIT(LOCK_RANK_VP, "low");
static struct spinlock high = SPINLOCK_INIT(LOCK_RANK_SYNIC, "high");

static void take_in_wrong_order(void *argument)
{
    (void)argument;
    spin_lock(&high);
    spin_lock(&low);
}

static void release_not_held(void *argument)
{
    (void)argument;
    spin_unlock(&low);
}

static void test_lock_ranks(void **state)
{
    (void)state;
    spin_lock(&low);
    spin_lock(&high);
    spin_unlock(&low);
    spin_unlock(&high);
    spin_lock(&low);
    spin_unlock(&low);
    assert_true(machine_panics(take_in_wrong_order, NULL));
    assert_true(machine_log_contains("lock \"low\" (rank 40) wanted while \"high\" (rank 50) is held"));
    spin_init(&high, LOCK_RANK_SYNIC, "high");
    (void)machine_reset();
    machine_set_log_echo(false);
    assert_true(machine_panics(release_not_held, NULL));
    assert_true(machine_log_contains("does not hold it"));
}

#define THREADS 2
#define ROUNDS  20000

static struct spinlock shared = SPINLOCK_INIT(LOCK_RANK_VP, "shared");
static volatile uint64_t shared_count;

static void *count_under_lock(void *argument)
{
    machine_set_cpu(*(const uint32_t *)argument);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        spin_lock(&shared);
        shared_count = shared_count + 1;
        spin_unlock(&shared);
    }
    return NULL;
}

static void test_lock_excludes(void **state)
{
    static const uint32_t indexes[THREADS] = {0, 1};
    pthread_t threads[THREADS];
    (void)state;

    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_under_lock, (void *)(uintptr_t)&indexes[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(shared_count, THREADS * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_multiply_divide, setup),
        cmocka_unit_test_setup(test_scale_round_trip, setup),
        cmocka_unit_test_setup(test_scale_monotone_near_overflow, setup),
        cmocka_unit_test_setup(test_timer_fires_once_in_order, setup),
        cmocka_unit_test_setup(test_timer_past_and_zero, setup),
        cmocka_unit_test_setup(test_timer_move_and_cancel, setup),
        cmocka_unit_test_setup(test_timer_rearms_itself, setup),
        cmocka_unit_test_setup(test_timer_cancels_in_function, setup),
        cmocka_unit_test_setup(test_cancel_waits, setup),
        cmocka_unit_test_setup(test_lock_ranks, setup),
        cmocka_unit_test_setup(test_lock_excludes, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
