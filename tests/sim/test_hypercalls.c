/* SPDX-License-Identifier: MIT */
/*
 * Calls of the families that other sim tests do not need for themselves: registers and who may touch them, flushes,
 * IPIs, system properties, processors, device interrupts' targets, intercepts, direct messages and events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_register.h"
#include "hv/lib/compiler.h"
#include "hv/mem/mem.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES 300
#define NOBODY      12345u

static uint64_t child;
static struct vp *child_vps[2];

static int start(void **state)
{
    (void)state;
    sim_start(2);
    (void)sim_root_vp(0);
    child = sim_create_child(CHILD_PAGES);
    child_vps[0] = sim_create_vp(child, 0);
    child_vps[1] = sim_create_vp(child, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    (void)sim_destroy_child(child);
    sim_stop();
    return 0;
}

/* A fast call of any VP; the status. */
static hv_status_t fast(struct vp *vp, uint16_t code, uint64_t first, uint64_t second)
{
    return hv_hypercall_result_status(sim_hypercall(vp, code | HV_HYPERCALL_FAST, first, second));
}

static uint64_t get_register_result(uint64_t partition, uint32_t vp, uint32_t name, union hv_register_value *value)
{
    struct {
        struct hv_input_vp_registers header;
        uint32_t name;
    } input = {.header = {.partition_id = partition, .vp_index = vp}, .name = name};

    return sim_rep_call(HvCallGetVpRegisters, 1, &input, sizeof(input), value, sizeof(*value));
}

static hv_status_t set_register(uint64_t partition, uint32_t vp, uint32_t name, uint64_t value)
{
    struct {
        struct hv_input_vp_registers header;
        struct hv_register_assoc element;
    } input = {.header = {.partition_id = partition, .vp_index = vp}, .element = {.name = name, .value.reg64 = value}};

    return hv_hypercall_result_status(sim_rep_call(HvCallSetVpRegisters, 1, &input, sizeof(input), NULL, 0));
}

static void test_registers_are_set_and_got(void **state)
{
    union hv_register_value value = {0};

    (void)state;
    assert_int_equal(set_register(child, 1, HvX64RegisterRbx, UINT64_C(0x1122334455667788)), HV_STATUS_SUCCESS);
    assert_int_equal(get_register_result(child, 1, HvX64RegisterRbx, &value),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_int_equal(value.reg64, UINT64_C(0x1122334455667788));
    assert_int_equal(child_vps[1]->regs.gpr[VP_RBX], UINT64_C(0x1122334455667788));
    assert_null(atomic_load(&child_vps[1]->cpu));
}

static void test_registers_of_nobody(void **state)
{
    struct hv_input_vp_registers vtl = {.partition_id = child, .input_vtl = HV_INPUT_VTL_USE_TARGET | 1};
    union hv_register_value value;
    uint64_t input[3] = {0};

    (void)state;
    assert_int_equal(get_register_result(NOBODY, 0, HvX64RegisterRbx, &value), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(get_register_result(child, 2, HvX64RegisterRbx, &value), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(get_register_result(child, HV_VP_INDEX_SELF, HvX64RegisterRbx, &value),
                     HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(get_register_result(child, 0, 0xFFFFFFFF, &value), HV_STATUS_INVALID_PARAMETER);
    memcpy(input, &vtl, sizeof(vtl));
    assert_int_equal(sim_rep_call(HvCallGetVpRegisters, 1, input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
}

static void test_register_list_counts_what_was_done(void **state)
{
    struct {
        struct hv_input_vp_registers header;
        uint32_t names[20];
    } input = {.header = {.partition_id = child}};
    union hv_register_value values[20];

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(input.names); i++) {
        input.names[i] = HvX64RegisterRax + i % 16;
    }
    assert_int_equal(sim_rep_call(HvCallGetVpRegisters, 20, &input, sizeof(input), values, sizeof(values)),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 20));
    assert_int_equal(sim_continuations(), 1);
    input.names[17] = 0xFFFFFFFF;
    assert_int_equal(sim_rep_call(HvCallGetVpRegisters, 20, &input, sizeof(input), values, sizeof(values)),
                     hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 17));
}

static void test_running_vp_keeps_its_registers(void **state)
{
    union hv_register_value value;

    (void)state;
    assert_true(vp_claim(child_vps[0])); /* as a dispatch elsewhere would */
    assert_int_equal(get_register_result(child, 0, HvX64RegisterRbx, &value), HV_STATUS_INVALID_VP_STATE);
    assert_int_equal(set_register(child, 0, HvX64RegisterRbx, 1), HV_STATUS_INVALID_VP_STATE);
    assert_int_equal(get_register_result(child, 0, HvRegisterVpRootSignalCount, &value),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    vp_release(child_vps[0]);
}

static void test_suspending_is_for_children(void **state)
{
    union hv_register_value value = {0};

    (void)state;
    assert_int_equal(set_register(child, 0, HvRegisterExplicitSuspend, 1), HV_STATUS_SUCCESS);
    assert_true(child_vps[0]->is_explicitly_suspended);
    assert_int_equal(get_register_result(child, 0, HvRegisterExplicitSuspend, &value),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_int_equal(value.reg64, 1);
    assert_int_equal(set_register(child, 0, HvRegisterExplicitSuspend, 0), HV_STATUS_SUCCESS);
    /* A root VP would be waited for in vain. */
    assert_int_equal(set_register(HV_PARTITION_ID_SELF, HV_VP_INDEX_SELF, HvRegisterExplicitSuspend, 1),
                     HV_STATUS_ACCESS_DENIED);
    assert_int_equal(set_register(HV_PARTITION_ID_SELF, 1, HvRegisterExplicitSuspend, 1), HV_STATUS_ACCESS_DENIED);
}

static void test_child_touches_its_own_registers_only(void **state)
{
    struct partition *partition = sim_partition(child);
    uint64_t control = hv_hypercall_control(HvCallSetVpRegisters, 0, 1, 0) | HV_HYPERCALL_FAST;

    (void)state;
    /* Fast: partition and VP in registers; the element (name 0, an all-zero explicit suspend) comes from XMM registers.
     */
    assert_int_equal(sim_hypercall(child_vps[0], control, HV_PARTITION_ID_SELF, 1), HV_STATUS_ACCESS_DENIED);
    partition->privileges |= HV_ACCESS_VP_REGISTERS;
    assert_int_equal(sim_hypercall(child_vps[0], control, HV_PARTITION_ID_SELF, 1), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(sim_hypercall(child_vps[0], control, HV_PARTITION_ID_SELF, HV_VP_INDEX_SELF),
                     HV_STATUS_ACCESS_DENIED);
    assert_int_equal(sim_hypercall(child_vps[0], control, HV_PARTITION_ID_ROOT, 0), HV_STATUS_INVALID_PARTITION_ID);
}

static void test_child_has_no_calls_of_the_root(void **state)
{
    (void)state;
    assert_int_equal(fast(child_vps[0], HvCallDeletePartition, HV_PARTITION_ID_SELF, 0), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(fast(child_vps[0], HvCallEnterSleepState, HV_SLEEP_STATE_S5, 0), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(fast(child_vps[0], HvCallClearVirtualInterrupt, HV_PARTITION_ID_SELF, 0), HV_STATUS_ACCESS_DENIED);
    assert_int_equal(fast(child_vps[0], 0x7FFF, 0, 0), HV_STATUS_INVALID_HYPERCALL_CODE);
}

static uint64_t flushes(uint32_t index)
{
    return atomic_load(&child_vps[index]->flush_wanted);
}

/* Executes a flush of the child's VP 0 with this header; the status. XMM registers hold what does not fit otherwise. */
static hv_status_t flush(uint64_t flags, uint64_t mask)
{
    struct hv_input_flush_virtual_address input = {.flags = flags, .processor_mask = mask};
    uint64_t page = sim_page();

    sim_map(child, 0x10, page, 1);
    memcpy(mem_from_spa(spa_from_page(page)), &input, sizeof(input));
    return hv_hypercall_result_status(sim_hypercall(child_vps[0], HvCallFlushVirtualAddressSpace, 0x10000, 0));
}

static void test_flush(void **state)
{
    uint64_t before[2] = {flushes(0), flushes(1)};

    (void)state;
    assert_int_equal(flush(0, 2), HV_STATUS_SUCCESS);
    assert_int_equal(flushes(0), before[0]);
    assert_int_equal(flushes(1), before[1] + 1);
    assert_int_equal(sim_last_flush(child_vps[1]).scope, VP_FLUSH_ALL);
    /* No processor means all; VPs that do not exist are ignored. */
    assert_int_equal(flush(0, 0), HV_STATUS_SUCCESS);
    assert_int_equal(flushes(0), before[0] + 1);
    assert_int_equal(flush(HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES, 0), HV_STATUS_SUCCESS);
    assert_int_equal(flush(HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY, UINT64_C(0x8000000000000001)), HV_STATUS_SUCCESS);
    assert_int_equal(flushes(0), before[0] + 3);
    assert_int_equal(flushes(1), before[1] + 3);
    assert_int_equal(sim_last_flush(child_vps[0]).scope, VP_FLUSH_NON_GLOBAL);
    assert_int_equal(sim_last_flush(child_vps[1]).scope, VP_FLUSH_ALL);
    assert_int_equal(flush(0x20, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(flush(UINT64_C(1) << HV_FLUSH_TARGET_VTL_SHIFT, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(flush(HV_FLUSH_USE_EXTENDED_RANGE_FORMAT, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(flushes(0), before[0] + 3);
}

static void test_flush_list(void **state)
{
    struct {
        struct hv_input_flush_virtual_address header;
        uint64_t ranges[300];
    } input = {.header = {.processor_mask = 2}};
    uint64_t before = atomic_load(&root_partition->vps[1]->flush_wanted);

    (void)state;
    assert_int_equal(sim_rep_call(HvCallFlushVirtualAddressList, 300, &input, sizeof(input), NULL, 0),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 300));
    assert_true(atomic_load(&root_partition->vps[1]->flush_wanted) > before);
    input.header.flags = HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY;
    assert_int_equal(sim_rep_call(HvCallFlushVirtualAddressList, 300, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
}

/* What is flushed of the root's VP 1 for these ranges. */
static struct vp_flush_set flushed(uint64_t flags, uint64_t first, uint64_t second)
{
    const struct {
        struct hv_input_flush_virtual_address header;
        uint64_t ranges[2];
    } input = {.header = {.flags = flags, .processor_mask = 2}, .ranges = {first, second}};

    assert_int_equal(sim_rep_call(HvCallFlushVirtualAddressList, 2, &input, sizeof(input), NULL, 0),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 2));
    return sim_last_flush(root_partition->vps[1]);
}

static void test_a_few_pages_are_flushed_alone(void **state)
{
    const uint64_t kernel = UINT64_C(0xffff888000000000);
    struct vp_flush_set set = flushed(0, 0x5000 | 1, kernel);

    (void)state;
    assert_int_equal(set.scope, VP_FLUSH_PAGES);
    assert_int_equal(set.page_count, 3);
    assert_int_equal(set.pages[0], 0x5000);
    assert_int_equal(set.pages[1], 0x6000);
    assert_int_equal(set.pages[2], kernel);
    /* As many as there is room for, and one more; the most that a range can have. */
    set = flushed(0, 0x5000 | (VP_FLUSH_PAGES_MAX - 2), kernel);
    assert_int_equal(set.page_count, VP_FLUSH_PAGES_MAX);
    assert_int_equal(set.scope, VP_FLUSH_PAGES);
    assert_int_equal(flushed(0, 0x5000 | (VP_FLUSH_PAGES_MAX - 1), kernel).scope, VP_FLUSH_ALL);
    assert_int_equal(flushed(0, 0x5000, kernel | 0xfff).scope, VP_FLUSH_ALL);
    /* Not canonical: ignored. */
    set = flushed(0, UINT64_C(0x800000000000), 0x5000);
    assert_int_equal(set.scope, VP_FLUSH_PAGES);
    assert_int_equal(set.page_count, 1);
    assert_int_equal(set.pages[0], 0x5000);
    root_partition->privileges |= HV_ENABLE_EXTENDED_GVA_RANGES_FLUSH_VA_LIST;
    set = flushed(HV_FLUSH_USE_EXTENDED_RANGE_FORMAT, 0x5000, 0x7000);
    assert_int_equal(set.scope, VP_FLUSH_PAGES);
    assert_int_equal(set.page_count, 2);
    assert_int_equal(flushed(HV_FLUSH_USE_EXTENDED_RANGE_FORMAT, 0x5000, 0x200000 | HV_GVA_RANGE_EXTENDED_LARGE).scope,
                     VP_FLUSH_ALL);
}

static void test_flush_by_set(void **state)
{
    struct {
        struct hv_input_flush_virtual_address_ex header;
        uint64_t banks[2];
    } input = {.header = {.vp_set = {.valid_bank_mask = UINT64_C(0x8000000000000001)}}, .banks = {2, UINT64_MAX}};
    uint64_t before[2] = {atomic_load(&root_partition->vps[0]->flush_wanted),
                          atomic_load(&root_partition->vps[1]->flush_wanted)};
    const uint16_t code = HvCallFlushVirtualAddressSpaceEx;

    (void)state;
    assert_int_equal(sim_variable_call(code, 2, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(atomic_load(&root_partition->vps[0]->flush_wanted), before[0]);
    assert_int_equal(atomic_load(&root_partition->vps[1]->flush_wanted), before[1] + 1);
    /* As many banks as the mask says. */
    assert_int_equal(sim_variable_call(code, 1, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_int_equal(sim_variable_call(code, 3, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
    input.header.vp_set.format = 2;
    assert_int_equal(sim_variable_call(code, 2, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.header.vp_set.format = HV_GENERIC_SET_ALL;
    assert_int_equal(sim_variable_call(code, 0, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(atomic_load(&root_partition->vps[0]->flush_wanted), before[0] + 1);
    input.header.vp_set = (struct hv_vp_set){.format = HV_GENERIC_SET_SPARSE_4K};
    assert_int_equal(sim_variable_call(code, 0, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(atomic_load(&root_partition->vps[0]->flush_wanted), before[0] + 1);
}

static void enable_apics(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        atomic_store(&child_vps[i]->apic.svr, APIC_SVR_ENABLE | 0xFFu);
    }
}

static void test_ipi(void **state)
{
    (void)state;
    enable_apics();
    assert_int_equal(fast(child_vps[0], HvCallSendSyntheticClusterIpi, 0x41, 2), HV_STATUS_SUCCESS);
    assert_false(apic_is_pending(child_vps[0], 0x41));
    assert_true(apic_is_pending(child_vps[1], 0x41));
    assert_int_equal(fast(child_vps[0], HvCallSendSyntheticClusterIpi, 0x42, UINT64_MAX), HV_STATUS_SUCCESS);
    assert_true(apic_is_pending(child_vps[0], 0x42));
    assert_int_equal(fast(child_vps[0], HvCallSendSyntheticClusterIpi, 0x0F, 2), HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_int_equal(fast(child_vps[0], HvCallSendSyntheticClusterIpi, 0x100, 2), HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_int_equal(fast(child_vps[0], HvCallSendSyntheticClusterIpi, UINT64_C(0x100000041), 2),
                     HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(fast(child_vps[0], HvCallSendSyntheticClusterIpi, UINT64_C(0x10000000041), 2),
                     HV_STATUS_INVALID_PARAMETER);
}

static void test_assert_virtual_interrupt(void **state)
{
    struct hv_input_assert_virtual_interrupt input = {.partition_id = child, .destination_address = 1, .vector = 0x51};

    (void)state;
    enable_apics();
    assert_int_equal(sim_call(HvCallAssertVirtualInterrupt, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_true(apic_is_pending(child_vps[1], 0x51));
    input.control_flags = 4;
    assert_int_equal(sim_call(HvCallAssertVirtualInterrupt, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
    input.control_flags = 0;
    input.interrupt_type = 99;
    assert_int_equal(sim_call(HvCallAssertVirtualInterrupt, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
    input.partition_id = HV_PARTITION_ID_SELF;
    assert_int_equal(sim_call(HvCallAssertVirtualInterrupt, &input, sizeof(input), NULL, 0), HV_STATUS_ACCESS_DENIED);
}

static void test_spin_wait_ends_the_slice_of_a_child(void **state)
{
    (void)state;
    atomic_store(&child_vps[0]->requests, 0);
    assert_int_equal(fast(child_vps[0], HvCallNotifyLongSpinWait, 1, 0), HV_STATUS_SUCCESS);
    assert_int_equal(atomic_load(&child_vps[0]->requests), VP_REQUEST_SLICE);
}

static void test_system_properties(void **state)
{
    struct hv_input_get_system_property get = {.property_id = HvSystemPropertySchedulerType};
    struct hv_input_set_system_property set = {
        .property_id = HvSystemPropertySleepState, .sleep_state = 5, .pm1a_slp_typ = 5};
    uint64_t value = 0;

    (void)state;
    assert_int_equal(sim_call(HvCallGetSystemProperty, &get, sizeof(get), &value, sizeof(value)), HV_STATUS_SUCCESS);
    assert_int_equal(value, HvSchedulerTypeRoot);
    get.property_id = HvSystemPropertyCrashdumpArea;
    assert_int_equal(sim_call(HvCallGetSystemProperty, &get, sizeof(get), &value, sizeof(value)),
                     HV_STATUS_UNKNOWN_PROPERTY);
    assert_int_equal(sim_call(HvCallSetSystemProperty, &set, sizeof(set), NULL, 0), HV_STATUS_SUCCESS);
    set.pm1a_slp_typ = 8;
    assert_int_equal(sim_call(HvCallSetSystemProperty, &set, sizeof(set), NULL, 0),
                     HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
    set.pm1a_slp_typ = 1;
    set.sleep_state = 7;
    assert_int_equal(sim_call(HvCallSetSystemProperty, &set, sizeof(set), NULL, 0),
                     HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
    set.sleep_state = 0;
    assert_int_equal(sim_call(HvCallSetSystemProperty, &set, sizeof(set), NULL, 0),
                     HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
    set.property_id = HvSystemPropertySchedulerType;
    assert_int_equal(sim_call(HvCallSetSystemProperty, &set, sizeof(set), NULL, 0), HV_STATUS_UNKNOWN_PROPERTY);
}

static void test_sleep_states_that_are_refused(void **state)
{
    struct hv_input_set_system_property set = {.property_id = HvSystemPropertySleepState,
                                               .sleep_state = HV_SLEEP_STATE_S3};
    struct vp *root = sim_root_vp(0);

    (void)state;
    assert_int_equal(fast(root, HvCallEnterSleepState, 0, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(fast(root, HvCallEnterSleepState, HV_SLEEP_STATE_LOCK, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(fast(root, HvCallEnterSleepState, HV_SLEEP_STATE_S4, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(sim_call(HvCallSetSystemProperty, &set, sizeof(set), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(fast(root, HvCallEnterSleepState, HV_SLEEP_STATE_S3, 0), HV_STATUS_OPERATION_DENIED);
    /* Without a port there is no way to switch the machine off. */
    machine_acpi_info()->pm1a_control_port = 0;
    set.sleep_state = HV_SLEEP_STATE_S5;
    assert_int_equal(sim_call(HvCallSetSystemProperty, &set, sizeof(set), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(fast(root, HvCallEnterSleepState, HV_SLEEP_STATE_S5, 0), HV_STATUS_OPERATION_DENIED);
}

static void test_processors(void **state)
{
    struct hv_output_get_logical_processor_run_time time = {0};
    uint32_t lp = 1;
    struct vp *root = sim_root_vp(0);

    (void)state;
    machine_advance_100ns(1000);
    assert_int_equal(sim_call(HvCallGetLogicalProcessorRunTime, &lp, sizeof(lp), &time, sizeof(time)),
                     HV_STATUS_SUCCESS);
    assert_true(time.global_time >= 1000);
    lp = 2;
    assert_int_equal(sim_call(HvCallGetLogicalProcessorRunTime, &lp, sizeof(lp), &time, sizeof(time)),
                     HV_STATUS_INVALID_LP_INDEX);
    assert_int_equal(fast(root, HvCallNotifyPartitionEvent, HvPartitionEventAllLogicalProcessorsStarted, 0),
                     HV_STATUS_SUCCESS);
    assert_int_equal(fast(root, HvCallNotifyPartitionEvent, HvPartitionEventRootCrashdump, 0),
                     HV_STATUS_OPERATION_DENIED);
    assert_int_equal(fast(root, HvCallNotifyPartitionEvent, 99, 0), HV_STATUS_INVALID_PARAMETER);
}

static void test_install_intercept(void **state)
{
    struct hv_input_install_intercept input = {.partition_id = child,
                                               .intercept_type = HvInterceptTypeException,
                                               .access_type_mask = HV_INTERCEPT_ACCESS_MASK_EXECUTE,
                                               .intercept_parameter = 6};
    const uint16_t code = HvCallInstallIntercept;
    struct partition *partition = sim_partition(child);

    (void)state;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(partition->exception_intercepts, 1u << 6);
    assert_true((atomic_load(&child_vps[1]->requests) & VP_REQUEST_INTERCEPTS) != 0);
    input.access_type_mask = HV_INTERCEPT_ACCESS_MASK_NONE;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(partition->exception_intercepts, 0);
    input.intercept_parameter = 32;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.intercept_parameter = 2;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.intercept_type = HvInterceptTypeX64Msr;
    input.access_type_mask = HV_INTERCEPT_ACCESS_MASK_READ;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.access_type_mask = HV_INTERCEPT_ACCESS_MASK_READ | HV_INTERCEPT_ACCESS_MASK_WRITE;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_true(partition->intercepts_msr);
    input.intercept_type = HvInterceptTypeX64IoPort;
    input.access_type_mask = HV_INTERCEPT_ACCESS_MASK_NONE;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_OPERATION_DENIED);
    input.intercept_type = HvInterceptTypeHypercall;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.partition_id = HV_PARTITION_ID_SELF;
    assert_int_equal(sim_call(code, &input, sizeof(input), NULL, 0), HV_STATUS_ACCESS_DENIED);
}

static void test_vp_index_from_apic_id(void **state)
{
    struct {
        struct hv_input_get_vp_index_from_apic_id header;
        uint32_t ids[3];
    } input = {.header = {.partition_id = child}, .ids = {1, 0, 77}};
    uint32_t indexes[3] = {99, 99, 99};

    (void)state;
    assert_int_equal(sim_rep_call(HvCallGetVpIndexFromApicId, 3, &input, sizeof(input), indexes, sizeof(indexes)),
                     hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 2));
    assert_int_equal(indexes[0], 1);
    assert_int_equal(indexes[1], 0);
}

static void test_start_virtual_processor(void **state)
{
    struct hv_input_start_virtual_processor input = {.partition_id = HV_PARTITION_ID_SELF, .vp_index = 1};
    struct partition *partition = sim_partition(child);
    uint64_t page = sim_page();

    (void)state;
    sim_map(child, 0x10, page, 1);
    input.vp_context.rip = 0x1234;
    memcpy(mem_from_spa(spa_from_page(page)), &input, sizeof(input));
    assert_int_equal(sim_hypercall(child_vps[0], HvCallStartVirtualProcessor, 0x10000, 0), HV_STATUS_ACCESS_DENIED);
    partition->privileges |= HV_START_VIRTUAL_PROCESSOR;
    assert_int_equal(child_vps[1]->activity, VP_WAIT_FOR_SIPI);
    assert_int_equal(sim_hypercall(child_vps[0], HvCallStartVirtualProcessor, 0x10000, 0), HV_STATUS_SUCCESS);
    assert_int_equal(child_vps[1]->activity, VP_ACTIVE);
    assert_int_equal(child_vps[1]->regs.rip, 0x1234);
    assert_int_equal(sim_hypercall(child_vps[0], HvCallStartVirtualProcessor, 0x10000, 0), HV_STATUS_INVALID_VP_STATE);
}

static void test_device_interrupt_targets(void **state)
{
    struct {
        struct hv_input_map_device_interrupt header;
        uint64_t set[2];
    } input = {.header = {.partition_id = HV_PARTITION_ID_SELF,
                          .device_id = (uint64_t)HV_DEVICE_TYPE_PCI << HV_DEVICE_TYPE_SHIFT | 0x18,
                          .vector_count = 1,
                          .target = {.vector = 0x40, .flags = HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET}},
               .set = {1, 2}};
    const uint16_t code = HvCallMapDeviceInterrupt;

    (void)state;
    assert_int_equal(sim_variable_call(code, 0, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_int_equal(sim_variable_call(code, 1, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
    input.set[1] = 0;
    assert_int_equal(sim_variable_call(code, 2, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.set[1] = 2;
    input.header.vector_count = 2;
    assert_int_equal(sim_variable_call(code, 2, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.header.vector_count = 1;
    input.header.target.flags = HV_DEVICE_INTERRUPT_TARGET_MULTICAST;
    assert_int_equal(sim_variable_call(code, 2, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.header.target.flags = HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET;
    input.header.partition_id = child;
    assert_int_equal(sim_variable_call(code, 2, &input, sizeof(input), NULL, 0), HV_STATUS_ACCESS_DENIED);
}

static void test_dispatch_is_refused(void **state)
{
    struct hv_input_dispatch_vp input = {.partition_id = child, .vp_index = 7};

    (void)state;
    assert_int_equal(sim_call(HvCallDispatchVp, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_VP_INDEX);
    input.vp_index = 0;
    input.flags = 0x80;
    assert_int_equal(sim_call(HvCallDispatchVp, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    input.flags = 0;
    input.partition_id = HV_PARTITION_ID_SELF;
    assert_int_equal(sim_call(HvCallDispatchVp, &input, sizeof(input), NULL, 0), HV_STATUS_ACCESS_DENIED);
    input.partition_id = NOBODY;
    assert_int_equal(sim_call(HvCallDispatchVp, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_PARTITION_ID);
    input.partition_id = child;
    assert_true(vp_claim(child_vps[0]));
    assert_int_equal(sim_call(HvCallDispatchVp, &input, sizeof(input), NULL, 0), HV_STATUS_INVALID_VP_STATE);
    vp_release(child_vps[0]);
}

static void test_cpuid_values(void **state)
{
    struct {
        struct hv_input_get_vp_cpuid_values header;
        struct hv_cpuid_leaf_info leaves[2];
    } input = {.header = {.partition_id = child, .flags = HV_GET_VP_CPUID_APPLY_REGISTERED_VALUES},
               .leaves = {{.eax = HV_CPUID_VENDOR_AND_MAX_FUNCTION}, {.eax = 7}}};
    struct hv_input_register_intercept_result_cpuid result = {.partition_id = child,
                                                              .intercept_type = HvInterceptTypeX64Cpuid,
                                                              .input_eax = 7,
                                                              .ebx = 0x12345678,
                                                              .ebx_mask = UINT32_MAX};
    struct hv_cpuid_result values[2];

    (void)state;
    assert_int_equal(sim_call(HvCallRegisterInterceptResult, &result, sizeof(result), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_rep_call(HvCallGetVpCpuidValues, 2, &input, sizeof(input), values, sizeof(values)),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 2));
    assert_int_equal(values[0].ebx, HV_CPUID_VENDOR_EBX);
    assert_int_equal(values[1].ebx, 0x12345678);
    input.header.flags = 0;
    assert_int_equal(sim_rep_call(HvCallGetVpCpuidValues, 2, &input, sizeof(input), values, sizeof(values)),
                     HV_STATUS_INVALID_PARAMETER);
    result.intercept_type = HvInterceptTypeX64Msr;
    assert_int_equal(sim_call(HvCallRegisterInterceptResult, &result, sizeof(result), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
}

static void test_direct_messages_and_events(void **state)
{
    struct hv_input_post_message_direct message = {.partition_id = child, .sint_index = 2};
    struct hv_input_signal_event_direct event = {.target_partition_id = child, .target_vp = 1, .target_sint = 16};
    uint64_t output;

    (void)state;
    assert_int_equal(sim_call(HvCallPostMessageDirect, &message, sizeof(message), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
    message.message[0] = 1; /* message type */
    assert_int_equal(sim_call(HvCallPostMessageDirect, &message, sizeof(message), NULL, 0),
                     HV_STATUS_INVALID_SYNIC_STATE);
    message.message[4] = 241; /* payload size */
    assert_int_equal(sim_call(HvCallPostMessageDirect, &message, sizeof(message), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(sim_call(HvCallSignalEventDirect, &event, sizeof(event), &output, sizeof(output)),
                     HV_STATUS_INVALID_PARAMETER);
    event.target_sint = 2;
    assert_int_equal(sim_call(HvCallSignalEventDirect, &event, sizeof(event), &output, sizeof(output)),
                     HV_STATUS_INVALID_SYNIC_STATE);
    event.target_vp = 9;
    assert_int_equal(sim_call(HvCallSignalEventDirect, &event, sizeof(event), &output, sizeof(output)),
                     HV_STATUS_INVALID_VP_INDEX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_registers_are_set_and_got, start, stop),
        cmocka_unit_test_setup_teardown(test_registers_of_nobody, start, stop),
        cmocka_unit_test_setup_teardown(test_register_list_counts_what_was_done, start, stop),
        cmocka_unit_test_setup_teardown(test_running_vp_keeps_its_registers, start, stop),
        cmocka_unit_test_setup_teardown(test_suspending_is_for_children, start, stop),
        cmocka_unit_test_setup_teardown(test_child_touches_its_own_registers_only, start, stop),
        cmocka_unit_test_setup_teardown(test_child_has_no_calls_of_the_root, start, stop),
        cmocka_unit_test_setup_teardown(test_flush, start, stop),
        cmocka_unit_test_setup_teardown(test_flush_list, start, stop),
        cmocka_unit_test_setup_teardown(test_a_few_pages_are_flushed_alone, start, stop),
        cmocka_unit_test_setup_teardown(test_flush_by_set, start, stop),
        cmocka_unit_test_setup_teardown(test_ipi, start, stop),
        cmocka_unit_test_setup_teardown(test_assert_virtual_interrupt, start, stop),
        cmocka_unit_test_setup_teardown(test_spin_wait_ends_the_slice_of_a_child, start, stop),
        cmocka_unit_test_setup_teardown(test_system_properties, start, stop),
        cmocka_unit_test_setup_teardown(test_sleep_states_that_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(test_processors, start, stop),
        cmocka_unit_test_setup_teardown(test_install_intercept, start, stop),
        cmocka_unit_test_setup_teardown(test_vp_index_from_apic_id, start, stop),
        cmocka_unit_test_setup_teardown(test_start_virtual_processor, start, stop),
        cmocka_unit_test_setup_teardown(test_device_interrupt_targets, start, stop),
        cmocka_unit_test_setup_teardown(test_dispatch_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(test_cpuid_values, start, stop),
        cmocka_unit_test_setup_teardown(test_direct_messages_and_events, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
