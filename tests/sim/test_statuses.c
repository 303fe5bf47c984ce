/* SPDX-License-Identifier: MIT */
/* Statuses, and a few results, of calls that the tests of their families leave out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_intercept.h"
#include "hv/lib/compiler.h"
#include "hv/partition/apic.h"
#include "hv/partition/cpuid.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES       200
#define NOBODY            12345u
#define VTL1              (HV_INPUT_VTL_USE_TARGET | 1u)
#define CPUID_LEAF_XSAVE  0xdu
#define XSAVE_LEGACY_SIZE 576u
#define XCR0_X87_SSE_AVX  7u

static uint64_t child;
static struct vp *vp;

static int start(void **state)
{
    (void)state;
    sim_start(1);
    (void)sim_root_vp(0);
    /* Not its by itself: its own VPs need it not, and a child's are started by the root's other calls. */
    root_partition->privileges |= HV_START_VIRTUAL_PROCESSOR;
    child = sim_create_child(CHILD_PAGES);
    vp = sim_create_vp(child, 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    (void)sim_destroy_child(child);
    sim_stop();
    return 0;
}

/* Each call that names a VTL refuses another than 0. */
static void test_other_vtl(void **state)
{
    static const struct {
        uint16_t code;
        uint16_t offset; /* of the HV_INPUT_VTL byte */
        bool has_reps;
    } calls[] = {
        {HvCallGetVpRegisters, offsetof(struct hv_input_vp_registers, input_vtl), true},
        {HvCallSetVpRegisters, offsetof(struct hv_input_vp_registers, input_vtl), true},
        {HvCallStartVirtualProcessor, offsetof(struct hv_input_start_virtual_processor, target_vtl), false},
        {HvCallGetVpIndexFromApicId, offsetof(struct hv_input_get_vp_index_from_apic_id, target_vtl), true},
        {HvCallAssertVirtualInterrupt, offsetof(struct hv_input_assert_virtual_interrupt, target_vtl), false},
        {HvCallMapVpStatePage, offsetof(struct hv_input_map_vp_state_page, input_vtl), false},
        {HvCallUnmapVpStatePage, offsetof(struct hv_input_unmap_vp_state_page, input_vtl), false},
        {HvCallGetVpState, offsetof(struct hv_input_vp_state, input_vtl), false},
        {HvCallSetVpState, offsetof(struct hv_input_vp_state, input_vtl), false},
        {HvCallPostMessageDirect, offsetof(struct hv_input_post_message_direct, target_vtl), false},
        {HvCallSignalEventDirect, offsetof(struct hv_input_signal_event_direct, target_vtl), false},
    };
    uint8_t input[1024];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        memset(input, 0, sizeof(input));
        memcpy(input, &child, sizeof(child));
        input[calls[i].offset] = VTL1;
        assert_int_equal(
            hv_hypercall_result_status(sim_rep_call(calls[i].code, calls[i].has_reps, input, sizeof(input), NULL, 0)),
            HV_STATUS_INVALID_PARAMETER);
    }
}

static hv_status_t create_vp(uint64_t partition, uint8_t subnode_type, uint64_t flags)
{
    struct hv_input_create_vp input = {
        .partition_id = partition, .vp_index = 1, .subnode_type = subnode_type, .flags = flags};

    return sim_call(HvCallCreateVp, &input, sizeof(input), NULL, 0);
}

static void test_create_vp(void **state)
{
    (void)state;
    assert_int_equal(create_vp(child, 1, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(create_vp(child, 0, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(create_vp(NOBODY, 0, 0), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(create_vp(HV_PARTITION_ID_SELF, 0, 1), HV_STATUS_OPERATION_DENIED);
    assert_int_equal(create_vp(child, 0, 0), HV_STATUS_SUCCESS);
}

/* VPs of the root start by INIT and SIPI; for others the call needs somebody who waits. */
static void test_start_vp_of_others(void **state)
{
    struct hv_input_start_virtual_processor input = {.partition_id = HV_PARTITION_ID_SELF};

    (void)state;
    assert_int_equal(sim_call(HvCallStartVirtualProcessor, &input, sizeof(input), NULL, 0), HV_STATUS_ACCESS_DENIED);
    input.partition_id = NOBODY;
    assert_int_equal(sim_call(HvCallStartVirtualProcessor, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_PARTITION_ID);
    input.partition_id = child;
    vp->activity = VP_ACTIVE;
    assert_int_equal(sim_call(HvCallStartVirtualProcessor, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_VP_STATE);
}

static void test_external_interrupt_is_taken_back(void **state)
{
    struct hv_input_assert_virtual_interrupt interrupt = {
        .partition_id = child, .interrupt_type = HvX64InterruptTypeExtInt, .vector = 0x33};

    (void)state;
    assert_int_equal(sim_call(HvCallAssertVirtualInterrupt, &interrupt, sizeof(interrupt), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(apic_pending_vector(vp), 0x33);
    assert_int_equal(sim_call(HvCallClearVirtualInterrupt, &child, sizeof(child), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(apic_pending_vector(vp), -1);
}

/* The caller says for which components, instead of the VP's XCR0. */
static void test_xsave_size_of_the_callers_components(void **state)
{
    struct {
        struct hv_input_get_vp_cpuid_values header;
        struct hv_cpuid_leaf_info leaves[3];
    } input = {
        .header = {.partition_id = child},
        .leaves = {{.eax = CPUID_LEAF_XSAVE, .ecx = 0, .xfem = XCR0_X87_SSE_AVX},
                   {.eax = CPUID_LEAF_XSAVE, .ecx = 1, .xfem = 1, .xss = 2},
                   {.eax = CPUID_LEAF_XSAVE, .ecx = 2}},
    };
    struct hv_cpuid_result results[3] = {{0}};
    uint64_t offered = cpuid_xcr0_mask(sim_partition(child));

    (void)state;
    assert_int_equal(sim_rep_call(HvCallGetVpCpuidValues, 3, &input, sizeof(input), results, sizeof(results)),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 3));
    assert_int_equal(results[0].ebx, cpuid_xsave_size(XCR0_X87_SSE_AVX & offered, false));
    assert_in_range(results[0].ebx, XSAVE_LEGACY_SIZE, UINT32_MAX);
    assert_int_equal(results[1].ebx, cpuid_xsave_size(3 & offered, true));
}

static hv_status_t install(uint32_t type, uint32_t mask, uint64_t parameter)
{
    struct hv_input_install_intercept input = {child, mask, type, parameter};

    return sim_call(HvCallInstallIntercept, &input, sizeof(input), NULL, 0);
}

static void test_intercepts_that_are_always_there(void **state)
{
    static const uint32_t types[] = {HvInterceptTypeX64IoPort, HvInterceptTypeX64IoPortRange, HvInterceptTypeMmio};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_int_equal(install(types[i], HV_INTERCEPT_ACCESS_MASK_READ, 0), HV_STATUS_SUCCESS);
        assert_int_equal(install(types[i], HV_INTERCEPT_ACCESS_MASK_NONE, 0), HV_STATUS_OPERATION_DENIED);
    }
    assert_int_equal(install(HvInterceptTypeX64Cpuid, HV_INTERCEPT_ACCESS_MASK_READ, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(install(HvInterceptTypeX64Msr, HV_INTERCEPT_ACCESS_MASK_READ, 0), HV_STATUS_INVALID_PARAMETER);
}

/* The call needs a page of the partition for its time, and gives it back. */
static void test_xsave_state_without_memory(void **state)
{
    struct {
        struct hv_input_vp_state header;
        uint64_t page;
    } input = {.header = {.partition_id = child, .type = HV_GET_SET_VP_STATE_XSAVE, .xsave_states = 3},
               .page = sim_page()};

    (void)state;
    assert_int_equal(sim_variable_call(HvCallGetVpState, 1, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    (void)sim_withdraw_all(child);
    assert_int_equal(sim_variable_call(HvCallGetVpState, 1, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INSUFFICIENT_MEMORY);
    assert_int_equal(sim_variable_call(HvCallSetVpState, 1, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INSUFFICIENT_MEMORY);
    sim_deposit(child, 1);
    assert_int_equal(sim_variable_call(HvCallSetVpState, 1, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(part_page_count(sim_partition(child)), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_other_vtl, start, stop),
        cmocka_unit_test_setup_teardown(test_create_vp, start, stop),
        cmocka_unit_test_setup_teardown(test_start_vp_of_others, start, stop),
        cmocka_unit_test_setup_teardown(test_external_interrupt_is_taken_back, start, stop),
        cmocka_unit_test_setup_teardown(test_xsave_size_of_the_callers_components, start, stop),
        cmocka_unit_test_setup_teardown(test_intercepts_that_are_always_there, start, stop),
        cmocka_unit_test_setup_teardown(test_xsave_state_without_memory, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
