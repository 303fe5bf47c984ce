/* SPDX-License-Identifier: MIT */
/*
 * hv/debug/trace.c on the fake machine. `test_machine_trace FILE COUNT` writes a ring with COUNT hypercalls for the
 * tests of the decoder (tests/system/test_trace.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The fake machine has a trace of its own. */
#define trace_mask  real_trace_mask
#define trace_write real_trace_write
#include "hv/cpu/asm.h"
#include "tests/machine/machine.h"

/* Time stands still but when told. */
#define rdtsc time_tsc
#include "hv/debug/trace.c"

#define VP_ID (2u << 16 | 1u)

static void start(void)
{
    (void)machine_reset();
    machine_set_log_echo(false);
    assert_true(trace_init_processor(0));
    trace_init();
    trace_describe("AMD-V");
}

static int setup(void **state)
{
    (void)state;
    start();
    return 0;
}

static void write_calls(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        machine_advance_100ns(1);
        trace(TRACE_HYPERCALL, VP_ID, 0x5c, i);
    }
}

static void test_last_records_come_oldest_first(void **state)
{
    struct trace_record records[4];
    (void)state;

    assert_int_equal(trace_read_last(records, 4), 0);
    write_calls(2);
    assert_int_equal(trace_read_last(records, 4), 2);
    assert_int_equal(records[0].b, 0);
    assert_int_equal(records[1].b, 1);
    write_calls(TRACE_RING_RECORDS);
    assert_int_equal(trace_read_last(records, 4), 4);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(records[i].event, TRACE_HYPERCALL);
        assert_int_equal(records[i].vp, VP_ID);
        assert_int_equal(records[i].b, TRACE_RING_RECORDS - 4 + i);
    }
}

static void test_a_masked_event_leaves_no_record(void **state)
{
    (void)state;
    trace_mask = ~(UINT64_C(1) << TRACE_HYPERCALL);
    write_calls(1);
    trace(TRACE_MSR, VP_ID, 0x1b, 7);
    assert_int_equal(rings[0]->written, 1);
    assert_int_equal(rings[0]->records[0].event, TRACE_MSR);
}

static void test_every_event_has_a_name(void **state)
{
    (void)state;
    for (uint32_t event = 0; event < TRACE_EVENT_COUNT; event++) {
        assert_non_null(trace_event_name(event));
    }
    assert_string_equal(trace_event_name(TRACE_EVENT_COUNT), "unknown");
}

/* One event of each kind, then COUNT hypercalls. */
static int write_dump(const char *path, uint64_t count)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL) {
        return EXIT_FAILURE;
    }
    start();
    for (uint32_t event = TRACE_NONE + 1; event < TRACE_EVENT_COUNT; event++) {
        trace(event, VP_ID, 1, 2);
    }
    write_calls(count);
    bool is_written = fwrite(rings[0], sizeof(*rings[0]), 1, file) == 1;
    return fclose(file) == 0 && is_written ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argument_count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_last_records_come_oldest_first, setup),
        cmocka_unit_test_setup(test_a_masked_event_leaves_no_record, setup),
        cmocka_unit_test_setup(test_every_event_has_a_name, setup),
    };

    if (argument_count == 3) {
        return write_dump(arguments[1], strtoull(arguments[2], NULL, 10));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
