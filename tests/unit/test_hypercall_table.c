/* SPDX-License-Identifier: MIT */
/*
 * The hypercall table against numbers that clients have compiled in, stated here a second time (codes, sizes, forms),
 * and against the engine's buffers. What the handlers do is tested in tests/sim.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/hypercall/engine.h"
#include "hv/hypercall/table.h"
#include "hv/lib/compiler.h"

/* One call as the specification and the clients have it. */
struct expected_row {
    const char *name;
    uint16_t code;
    uint16_t input_size;
    uint16_t output_size;
    uint16_t variable_max;
    uint8_t rep_input_size;
    uint8_t rep_output_size;
    bool is_rep;
    bool allows_fast;
    bool is_root_only;
};

static const struct expected_row expected_rows[] = {
    {"HvCallFlushVirtualAddressSpace", 0x0002, 24, 0, 0, 0, 0, false, true, false},
    {"HvCallFlushVirtualAddressList", 0x0003, 24, 0, 0, 8, 0, true, true, false},
    {"HvCallGetLogicalProcessorRunTime", 0x0004, 4, 32, 0, 0, 0, false, false, true},
    {"HvCallNotifyLongSpinWait", 0x0008, 8, 0, 0, 0, 0, false, true, false},
    {"HvCallSendSyntheticClusterIpi", 0x000B, 16, 0, 0, 0, 0, false, true, false},
    {"HvCallFlushVirtualAddressSpaceEx", 0x0013, 32, 0, 64, 0, 0, false, true, false},
    {"HvCallFlushVirtualAddressListEx", 0x0014, 32, 0, 64, 8, 0, true, true, false},
    {"HvCallSendSyntheticClusterIpiEx", 0x0015, 24, 0, 64, 0, 0, false, true, false},
    {"HvCallCreatePartition", 0x0040, 56, 8, 0, 0, 0, false, false, true},
    {"HvCallInitializePartition", 0x0041, 8, 0, 0, 0, 0, false, true, true},
    {"HvCallFinalizePartition", 0x0042, 8, 0, 0, 0, 0, false, true, true},
    {"HvCallDeletePartition", 0x0043, 8, 0, 0, 0, 0, false, true, true},
    {"HvCallGetPartitionProperty", 0x0044, 16, 8, 0, 0, 0, false, false, true},
    {"HvCallSetPartitionProperty", 0x0045, 24, 0, 0, 0, 0, false, false, true},
    {"HvCallGetPartitionId", 0x0046, 0, 8, 0, 0, 0, false, false, false},
    {"HvCallDepositMemory", 0x0048, 8, 0, 0, 8, 0, true, false, true},
    {"HvCallWithdrawMemory", 0x0049, 16, 0, 0, 0, 8, true, false, true},
    {"HvCallMapGpaPages", 0x004B, 24, 0, 0, 8, 0, true, false, true},
    {"HvCallUnmapGpaPages", 0x004C, 24, 0, 0, 0, 0, true, false, true},
    {"HvCallInstallIntercept", 0x004D, 24, 0, 0, 0, 0, false, false, true},
    {"HvCallCreateVp", 0x004E, 40, 0, 0, 0, 0, false, false, true},
    {"HvCallDeleteVp", 0x004F, 16, 0, 0, 0, 0, false, true, true},
    {"HvCallGetVpRegisters", 0x0050, 16, 0, 0, 4, 16, true, false, false},
    {"HvCallSetVpRegisters", 0x0051, 16, 0, 0, 32, 0, true, true, false},
    {"HvCallTranslateVirtualAddress", 0x0052, 32, 16, 0, 0, 0, false, false, true},
    {"HvCallClearVirtualInterrupt", 0x0056, 8, 0, 0, 0, 0, false, true, true},
    {"HvCallDeletePort", 0x0058, 16, 0, 0, 0, 0, false, true, true},
    {"HvCallDisconnectPort", 0x005B, 16, 0, 0, 0, 0, false, true, true},
    {"HvCallPostMessage", 0x005C, 256, 0, 0, 0, 0, false, false, false},
    {"HvCallSignalEvent", 0x005D, 8, 0, 0, 0, 0, false, true, false},
    {"HvCallMapStatsPage", 0x006C, 24, 8, 0, 0, 0, false, false, true},
    {"HvCallUnmapStatsPage", 0x006D, 24, 0, 0, 0, 0, false, false, true},
    {"HvCallSetSystemProperty", 0x006F, 72, 0, 0, 0, 0, false, false, true},
    {"HvCallGetSystemProperty", 0x007B, 16, 8, 0, 0, 0, false, false, true},
    {"HvCallMapDeviceInterrupt", 0x007C, 72, 56, 65, 0, 0, false, false, true},
    {"HvCallUnmapDeviceInterrupt", 0x007D, 36, 0, 0, 0, 0, false, false, true},
    {"HvCallEnterSleepState", 0x0084, 4, 0, 0, 0, 0, false, true, true},
    {"HvCallNotifyPartitionEvent", 0x0087, 8, 0, 0, 0, 0, false, true, true},
    {"HvCallNotifyPortRingEmpty", 0x008B, 8, 0, 0, 0, 0, false, true, true},
    {"HvCallRegisterInterceptResult", 0x0091, 60, 0, 0, 0, 0, false, false, true},
    {"HvCallAssertVirtualInterrupt", 0x0094, 32, 0, 0, 0, 0, false, false, true},
    {"HvCallCreatePort", 0x0095, 56, 0, 0, 0, 0, false, false, true},
    {"HvCallConnectPort", 0x0096, 72, 0, 0, 0, 0, false, false, true},
    {"HvCallStartVirtualProcessor", 0x0099, 240, 0, 0, 0, 0, false, false, false},
    {"HvCallGetVpIndexFromApicId", 0x009A, 16, 0, 0, 4, 4, true, false, false},
    {"HvCallSignalEventDirect", 0x00C0, 16, 8, 0, 0, 0, false, false, true},
    {"HvCallPostMessageDirect", 0x00C1, 280, 0, 0, 0, 0, false, false, true},
    {"HvCallDispatchVp", 0x00C2, 32, 8, 0, 0, 0, false, false, true},
    {"HvCallGetGpaPagesAccessState", 0x00C9, 24, 0, 0, 0, 1, true, false, true},
    {"HvCallMapVpStatePage", 0x00E1, 24, 8, 0, 0, 0, false, false, true},
    {"HvCallUnmapVpStatePage", 0x00E2, 16, 0, 0, 0, 0, false, false, true},
    {"HvCallGetVpState", 0x00E3, 40, 200, 25, 0, 0, false, false, true},
    {"HvCallSetVpState", 0x00E4, 40, 0, 25, 0, 0, false, false, true},
    {"HvCallGetVpCpuidValues", 0x00F4, 24, 0, 0, 24, 16, true, false, true},
    {"HvCallGetPartitionPropertyEx", 0x0101, 24, 16, 0, 0, 0, false, false, true},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected_rows); i++) {
        const struct expected_row *expected = &expected_rows[i];
        const struct hypercall_row *row = hypercall_find(expected->code);

        if (row == NULL) {
            fail_msg("%s: no row", expected->name);
            continue;
        }
        assert_string_equal(row->name, expected->name);
        assert_int_equal(row->code, expected->code);
        assert_int_equal(row->input_size, expected->input_size);
        assert_int_equal(row->output_size, expected->output_size);
        assert_int_equal(row->variable_max, expected->variable_max);
        assert_int_equal(row->rep_input_size, expected->rep_input_size);
        assert_int_equal(row->rep_output_size, expected->rep_output_size);
        assert_int_equal(row->rep_batch != 0, expected->is_rep);
        assert_int_equal(row->allows_fast, expected->allows_fast);
        assert_int_equal(row->is_root_only, expected->is_root_only);
    }
}

/* No row that is not listed above, and none that the engine's buffers cannot hold. */
static void test_no_other_rows(void **state)
{
    size_t count = 0;

    (void)state;
    for (uint32_t code = 0; code <= UINT16_MAX; code++) {
        const struct hypercall_row *row = hypercall_find((uint16_t)code);

        if (row == NULL) {
            continue;
        }
        count++;
        assert_int_equal(row->code, code);
        assert_true(row->output_size <= HYPERCALL_OUTPUT_MAX);
        assert_true(row->input_size + row->variable_max * 8u + row->rep_input_size <= HYPERCALL_INPUT_MAX);
        assert_true(row->rep_batch != 0 || (row->rep_input_size == 0 && row->rep_output_size == 0));
    }
    assert_int_equal(count, ARRAY_SIZE(expected_rows));
}

/* A child's privilege mask never has these, whatever else it is given: the row must ask for one or be the root's alone.
 */
static void test_calls_that_change_partitions_are_the_roots(void **state)
{
    (void)state;
    for (uint16_t code = 0x40; code < 0x102; code++) {
        const struct hypercall_row *row = hypercall_find(code);

        if (row != NULL && !row->is_root_only && row->privileges == 0) {
            assert_string_equal(row->name, "HvCallGetVpIndexFromApicId");
        }
    }
}

/* Each call has a handler of its own. */
static void test_handlers_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(expected_rows); i++) {
        for (size_t k = 0; k < i; k++) {
            assert_ptr_not_equal((void *)hypercall_find(expected_rows[i].code)->handler,
                                 (void *)hypercall_find(expected_rows[k].code)->handler);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_no_other_rows),
        cmocka_unit_test(test_calls_that_change_partitions_are_the_roots),
        cmocka_unit_test(test_handlers_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
