/* SPDX-License-Identifier: MIT */
/* Synthetic timers and reference time: the rules of TLFS, Timers, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/partition/apic.h"
#include "hv/partition/reftime.h"
#include "hv/partition/stimer.h"
#include "hv/partition/synic.h"
#include "hv/time/time.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES 300
#define CONFIG(n)   (HV_X64_MSR_STIMER0_CONFIG + 2 * (n))
#define COUNT(n)    (HV_X64_MSR_STIMER0_COUNT + 2 * (n))
#define SINT2       (2ull << 16)
#define DIRECT(v)   (HV_STIMER_DIRECT_MODE | (uint64_t)(v) << 4)
#define MILLISECOND 10000ull

static uint64_t child_id;
static struct partition *child;
static struct vp *vp;

static int start(void **state)
{
    (void)state;
    sim_start(1);
    child_id = sim_create_child(CHILD_PAGES);
    child = sim_partition(child_id);
    vp = sim_create_vp(child_id, 0);
    apic_write(vp, APIC_REG_SVR, 0x1ff);
    assert_true(synic_msr_write(vp, HV_X64_MSR_SIMP, 0x100001));
    assert_true(synic_msr_write(vp, HV_X64_MSR_SINT0 + 2, 0xf3));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sim_stop();
    return 0;
}

static void write_msr(uint32_t msr, uint64_t value)
{
    assert_true(stimer_msr_write(vp, msr, value));
}

static uint64_t read_msr(uint32_t msr)
{
    uint64_t value = UINT64_MAX;

    assert_true(stimer_msr_read(vp, msr, &value));
    return value;
}

static uint64_t now(void)
{
    return reftime_now(child);
}

static struct hv_message *slot(void)
{
    return &((struct hv_message_page *)(void *)vp->synic.message_page.page)->sint_message[2];
}

static const struct hv_timer_message_payload *payload(void)
{
    return (const void *)slot()->payload;
}

static bool take_vector(uint8_t vector)
{
    if (!apic_is_pending(vp, vector)) {
        return false;
    }
    apic_accept(vp, vector);
    apic_eoi(vp);
    return true;
}

/* The guest handles its message as it should. */
static bool take_message(void)
{
    bool is_there = slot()->header.message_type == HvMessageTypeTimerExpired;
    bool is_more = (slot()->header.message_flags & HV_MESSAGE_FLAG_PENDING) != 0;

    take_vector(0xf3);
    slot()->header.message_type = 0;
    if (is_more) {
        assert_true(synic_msr_write(vp, HV_X64_MSR_EOM, 0));
    }
    return is_there;
}

static void test_one_shot_message(void **state)
{
    uint64_t due = now() + 5 * MILLISECOND;

    (void)state;
    write_msr(COUNT(1), due);
    write_msr(CONFIG(1), HV_STIMER_ENABLED | SINT2);
    assert_int_equal(read_msr(CONFIG(1)), HV_STIMER_ENABLED | SINT2);
    machine_advance_100ns(5 * MILLISECOND - 10);
    assert_int_equal(slot()->header.message_type, 0);
    machine_advance_100ns(11);
    assert_int_equal(slot()->header.message_type, HvMessageTypeTimerExpired);
    assert_int_equal(slot()->header.payload_size_bytes, sizeof(struct hv_timer_message_payload));
    assert_int_equal(payload()->timer_index, 1);
    assert_int_equal(payload()->expiration_time, due);
    assert_in_range(payload()->delivery_time, due, due + 2); /* never early */
    assert_int_equal(read_msr(CONFIG(1)), SINT2);            /* enable is off, count stays */
    assert_int_equal(read_msr(COUNT(1)), due);
    assert_true(take_vector(0xf3));
    assert_true(take_message());
    machine_advance_100ns(100 * MILLISECOND);
    assert_false(take_message());
}

static void test_one_shot_in_the_past(void **state)
{
    (void)state;
    machine_advance_100ns(100);
    write_msr(COUNT(0), 1);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | DIRECT(0xed));
    assert_true(take_vector(0xed));
    assert_int_equal(read_msr(CONFIG(0)), DIRECT(0xed));
    write_msr(CONFIG(0), HV_STIMER_ENABLED | SINT2);
    assert_true(take_message());
}

static void test_config_rules(void **state)
{
    uint64_t value;

    (void)state;
    write_msr(CONFIG(0), HV_STIMER_ENABLED); /* message mode, SINT 0 */
    assert_int_equal(read_msr(CONFIG(0)), 0);
    write_msr(CONFIG(0), ~0ull & ~HV_STIMER_ENABLED);
    assert_int_equal(read_msr(CONFIG(0)), HV_STIMER_VALID_MASK & ~HV_STIMER_ENABLED); /* reserved bits do not stick */
    assert_false(stimer_msr_write(vp, CONFIG(4), 0));
    assert_false(stimer_msr_read(vp, CONFIG(4), &value));
    child->synthetic_features = 0x00400FFB & ~0x00400000ull; /* no direct timers granted */
    assert_false(stimer_msr_write(vp, CONFIG(0), DIRECT(0xed)));
    child->synthetic_features = 0;
    write_msr(CONFIG(0), DIRECT(0x05) | HV_STIMER_ENABLED | HV_STIMER_PERIODIC); /* a vector nobody can hear */
    write_msr(COUNT(0), MILLISECOND);
    machine_advance_100ns(100 * MILLISECOND);
    assert_int_equal(machine_timer_deadline(0), 0);
}

static void test_count_rules(void **state)
{
    (void)state;
    write_msr(CONFIG(0), HV_STIMER_AUTO_ENABLE | DIRECT(0xed));
    assert_int_equal(read_msr(CONFIG(0)) & HV_STIMER_ENABLED, 0);
    write_msr(COUNT(0), now() + MILLISECOND);
    assert_int_equal(read_msr(CONFIG(0)) & HV_STIMER_ENABLED, HV_STIMER_ENABLED);
    machine_advance_100ns(MILLISECOND + 1);
    assert_true(take_vector(0xed));
    write_msr(COUNT(0), now() + MILLISECOND);
    write_msr(COUNT(0), 0); /* stops and disables */
    assert_int_equal(read_msr(CONFIG(0)) & HV_STIMER_ENABLED, 0);
    machine_advance_100ns(2 * MILLISECOND);
    assert_false(take_vector(0xed));

    write_msr(CONFIG(1), DIRECT(0xee));
    write_msr(COUNT(1), now() + MILLISECOND); /* not enabled, no auto-enable: only stored */
    machine_advance_100ns(2 * MILLISECOND);
    assert_false(take_vector(0xee));

    /* Enabled before there is a count, with auto-enable: the count arms it. */
    write_msr(CONFIG(2), HV_STIMER_ENABLED | HV_STIMER_AUTO_ENABLE | DIRECT(0xef));
    write_msr(COUNT(2), now() + MILLISECOND);
    machine_advance_100ns(MILLISECOND + 1);
    assert_true(take_vector(0xef));
    /* Enabled, later the count, without auto-enable. */
    write_msr(CONFIG(3), HV_STIMER_ENABLED | DIRECT(0xe0));
    write_msr(COUNT(3), now() + MILLISECOND);
    machine_advance_100ns(MILLISECOND + 1);
    assert_true(take_vector(0xe0));
    /* Disabling stops; a message that nobody saw is gone. */
    write_msr(COUNT(3), now() + MILLISECOND);
    write_msr(CONFIG(3), HV_STIMER_ENABLED | DIRECT(0xe0));
    write_msr(CONFIG(3), DIRECT(0xe0));
    machine_advance_100ns(2 * MILLISECOND);
    assert_false(take_vector(0xe0));
}

static void test_periodic_keeps_its_grid(void **state)
{
    uint64_t first;
    uint32_t ticks = 0;

    (void)state;
    write_msr(COUNT(0), MILLISECOND);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | HV_STIMER_PERIODIC | SINT2);
    first = now();
    for (uint32_t i = 0; i < 1000; i++) {
        machine_advance_100ns(MILLISECOND);
        if (slot()->header.message_type != 0) {
            assert_int_equal((payload()->expiration_time - first) % MILLISECOND, 0);
            assert_true(payload()->delivery_time >= payload()->expiration_time);
        }
        ticks += take_message();
    }
    assert_in_range(ticks, 999, 1000);
    write_msr(CONFIG(0), 0);
    machine_advance_100ns(10 * MILLISECOND);
    assert_false(take_message());
}

static void test_periodic_catches_up_or_skips(void **state)
{
    uint32_t late;

    (void)state;
    write_msr(COUNT(0), MILLISECOND);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | HV_STIMER_PERIODIC | DIRECT(0xed));
    machine_skip_100ns(3 * MILLISECOND + 5000); /* the processor was not there */
    machine_advance_100ns(0);
    late = take_vector(0xed);
    machine_advance_100ns(1000);
    late += take_vector(0xed);
    machine_advance_100ns(1000);
    late += take_vector(0xed);
    assert_in_range(late, 2, 3); /* shortened intervals make up for what was missed */
    write_msr(CONFIG(0), HV_STIMER_ENABLED | HV_STIMER_PERIODIC | HV_STIMER_LAZY | DIRECT(0xed));
    machine_skip_100ns(3 * MILLISECOND + 5000);
    machine_advance_100ns(0);
    assert_true(take_vector(0xed));
    machine_advance_100ns(4000);
    assert_false(take_vector(0xed)); /* one late expiry, then the grid */
    machine_advance_100ns(2000);
    assert_true(take_vector(0xed));
    write_msr(CONFIG(0), HV_STIMER_ENABLED | HV_STIMER_PERIODIC | DIRECT(0xed));
    machine_skip_100ns(500 * MILLISECOND); /* too many: skipped */
    machine_advance_100ns(0);
    assert_true(take_vector(0xed));
    late = 0;
    for (uint32_t i = 0; i < 100; i++) {
        machine_advance_100ns(100);
        late += take_vector(0xed);
    }
    assert_in_range(late, 0, 2);
}

static void test_a_busy_slot(void **state)
{
    (void)state;
    slot()->header.message_type = 5; /* the guest still has another message */
    write_msr(COUNT(0), now() + MILLISECOND);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | SINT2);
    write_msr(COUNT(1), MILLISECOND);
    write_msr(CONFIG(1), HV_STIMER_ENABLED | HV_STIMER_PERIODIC | SINT2);
    machine_advance_100ns(10 * MILLISECOND + 10);
    assert_int_equal(slot()->header.message_type, 5);
    assert_int_equal(slot()->header.message_flags, HV_MESSAGE_FLAG_PENDING);
    assert_false(take_vector(0xf3));
    assert_int_equal(machine_timer_deadline(0), 0); /* a guest that does not look costs nothing */
    slot()->header.message_type = 0;
    assert_int_equal(slot()->header.message_type, 0);
    assert_true(synic_msr_write(vp, HV_X64_MSR_EOM, 0));
    assert_int_equal(payload()->timer_index, 0);
    assert_int_equal(slot()->header.message_flags, HV_MESSAGE_FLAG_PENDING);
    assert_true(payload()->delivery_time - payload()->expiration_time >= 9 * MILLISECOND);
    assert_true(take_message());
    assert_int_equal(payload()->timer_index, 1); /* one outstanding message; the others were merged */
    assert_int_equal(slot()->header.message_flags, 0);
    assert_true(take_message());
    machine_advance_100ns(MILLISECOND);
    assert_true(take_message());
}

static void test_disabled_synic_holds_the_message(void **state)
{
    (void)state;
    assert_true(synic_msr_write(vp, HV_X64_MSR_SCONTROL, 0));
    write_msr(COUNT(0), now() + MILLISECOND);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | SINT2);
    machine_advance_100ns(2 * MILLISECOND);
    assert_int_equal(slot()->header.message_type, 0);
    assert_true(synic_msr_write(vp, HV_X64_MSR_SCONTROL, 1));
    assert_true(take_message());
}

static void test_short_periods_are_bounded(void **state)
{
    uint32_t ticks = 0;

    (void)state;
    write_msr(COUNT(0), 1);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | HV_STIMER_PERIODIC | DIRECT(0xed));
    for (uint32_t i = 0; i < 10000; i++) {
        machine_advance_100ns(1);
        ticks += take_vector(0xed);
    }
    assert_in_range(ticks, 40, 51);
    machine_advance_100ns(10000); /* nobody accepts */
    assert_int_equal(machine_timer_deadline(0), 0);
    write_msr(COUNT(0), UINT64_MAX); /* never, and no overflow */
    machine_advance_100ns(10000);
    (void)take_vector(0xed);
    machine_advance_100ns(10000);
    assert_false(take_vector(0xed));
}

static void test_direct_periodic_waits_for_acceptance(void **state)
{
    (void)state;
    write_msr(COUNT(0), MILLISECOND);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | HV_STIMER_PERIODIC | DIRECT(0xed));
    machine_advance_100ns(50 * MILLISECOND + 500);
    assert_int_equal(machine_timer_deadline(0), 0);
    assert_true(take_vector(0xed));
    assert_int_not_equal(machine_timer_deadline(0), 0);
    machine_advance_100ns(400);
    assert_false(take_vector(0xed));
    machine_advance_100ns(9200);
    assert_true(take_vector(0xed));
}

static void test_saved_state(void **state)
{
    struct hv_synthetic_timers_state saved, again;
    uint64_t due = now() + 20 * MILLISECOND;

    (void)state;
    slot()->header.message_type = 5;
    write_msr(COUNT(0), now() + MILLISECOND);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | SINT2);
    write_msr(COUNT(1), due);
    write_msr(CONFIG(1), HV_STIMER_ENABLED | DIRECT(0xee));
    write_msr(COUNT(2), 3 * MILLISECOND);
    write_msr(CONFIG(2), HV_STIMER_ENABLED | HV_STIMER_PERIODIC | DIRECT(0xef));
    machine_advance_100ns(2 * MILLISECOND);
    stimer_get_state(vp, &saved);
    assert_int_equal(saved.timers[0].undelivered_message_pending, 1);
    assert_int_not_equal(saved.timers[0].undelivered_expiration_time, 0);
    assert_int_equal(saved.timers[1].count, due);
    stimer_reset(vp);
    assert_int_equal(read_msr(CONFIG(1)), 0);
    assert_int_equal(read_msr(COUNT(1)), 0);
    assert_int_equal(stimer_set_state(vp, &saved), HV_STATUS_SUCCESS);
    stimer_get_state(vp, &again);
    assert_memory_equal(&saved, &again, sizeof(saved));
    slot()->header.message_type = 0;
    assert_true(synic_msr_write(vp, HV_X64_MSR_EOM, 0));
    assert_true(take_message());
    machine_advance_100ns(MILLISECOND + 1);
    assert_true(take_vector(0xef)); /* on its old grid */
    machine_advance_100ns(due - now() + 1);
    assert_true(take_vector(0xee));
    saved.timers[3].config = 1ull << 40;
    assert_int_equal(stimer_set_state(vp, &saved), HV_STATUS_INVALID_PARAMETER);
}

static void test_reference_time(void **state)
{
    struct hv_reference_tsc_page *page = (void *)child->reftime.tsc_page.page;
    uint64_t before = now();
    uint64_t value, tsc;
    uint32_t sequence;

    (void)state;
    machine_advance_100ns(12345);
    assert_in_range(now() - before, 12344, 12346);
    assert_true(reftime_set_page_msr(child, 0x200ff1));
    assert_int_equal(reftime_page_msr(child), 0x200ff1);
    sequence = page->tsc_sequence;
    assert_int_not_equal(sequence, 0);
    assert_int_not_equal(sequence, 0xffffffff);
    for (uint32_t i = 0; i < 1000; i++) { /* page and MSR are one clock */
        machine_advance_100ns(i);
        tsc = backend->guest_tsc(vp);
        value = (uint64_t)(((__uint128_t)tsc * page->tsc_scale) >> 64) + (uint64_t)page->tsc_offset;
        assert_int_equal(value, now());
    }
    assert_false(reftime_set_page_msr(child, 0x7ffffffffff001));
    assert_int_equal(reftime_page_msr(child), 0x200ff1);
    assert_true(reftime_set_page_msr(child, 0x200ff0));
    assert_int_equal(reftime_page_msr(child), 0x200ff0);

    write_msr(COUNT(0), now() + MILLISECOND);
    write_msr(CONFIG(0), HV_STIMER_ENABLED | DIRECT(0xed));
    value = now();
    reftime_set_frozen(child, true);
    assert_int_equal(page->tsc_sequence, 0);
    machine_advance_100ns(50 * MILLISECOND);
    assert_int_equal(now(), value);
    assert_false(take_vector(0xed));
    reftime_set_frozen(child, false);
    assert_in_range(now(), value, value + 1);
    assert_int_not_equal(page->tsc_sequence, 0);
    assert_int_not_equal(page->tsc_sequence, sequence);
    machine_advance_100ns(MILLISECOND - 10);
    assert_false(take_vector(0xed));
    machine_advance_100ns(11);
    assert_true(take_vector(0xed));

    value = now();
    reftime_set_tsc_offset(child, 0 - time_tsc());
    assert_in_range(now(), value, value + 1); /* a new TSC, the same time */
    reftime_vp_tsc_changed(child, time_tsc() + 5, time_tsc());
    assert_int_equal(page->tsc_sequence, 0);
    assert_false(reftime_page_is_valid(child));
    reftime_set(child, 1000000);
    assert_in_range(now(), 1000000, 1000001);
}

static void test_time_without_agreeing_tscs(void **state)
{
    struct hv_reference_tsc_page *page;
    uint64_t before;

    (void)state;
    machine_set_tsc_synchronised(false);
    child_id = sim_create_child(CHILD_PAGES);
    child = sim_partition(child_id);
    page = (void *)child->reftime.tsc_page.page;
    assert_true(reftime_set_page_msr(child, 0x200001));
    assert_int_equal(page->tsc_sequence, 0);
    before = now();
    machine_advance_100ns(5000);
    assert_in_range(now() - before, 4999, 5001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_shot_message, start, stop),
        cmocka_unit_test_setup_teardown(test_one_shot_in_the_past, start, stop),
        cmocka_unit_test_setup_teardown(test_config_rules, start, stop),
        cmocka_unit_test_setup_teardown(test_count_rules, start, stop),
        cmocka_unit_test_setup_teardown(test_periodic_keeps_its_grid, start, stop),
        cmocka_unit_test_setup_teardown(test_periodic_catches_up_or_skips, start, stop),
        cmocka_unit_test_setup_teardown(test_a_busy_slot, start, stop),
        cmocka_unit_test_setup_teardown(test_disabled_synic_holds_the_message, start, stop),
        cmocka_unit_test_setup_teardown(test_short_periods_are_bounded, start, stop),
        cmocka_unit_test_setup_teardown(test_direct_periodic_waits_for_acceptance, start, stop),
        cmocka_unit_test_setup_teardown(test_saved_state, start, stop),
        cmocka_unit_test_setup_teardown(test_reference_time, start, stop),
        cmocka_unit_test_setup_teardown(test_time_without_agreeing_tscs, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
