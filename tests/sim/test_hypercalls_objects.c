/* SPDX-License-Identifier: MIT */
/* Calls that lead to objects with tests of their own: that each arrives there, and what it answers before it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/compiler.h"
#include "hv/mem/mem.h"
#include "hv/partition/device_interrupt.h"
#include "hv/partition/partition.h"
#include "hv/partition/port.h"
#include "hv/partition/vp.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES 300
#define NOBODY      12345u
#define PORT        77u

static uint64_t child;
static struct vp *child_vps[2];

static int start(void **state)
{
    (void)state;
    sim_start(2);
    (void)sim_root_vp(0);
    sim_deposit(HV_PARTITION_ID_SELF, 8);
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

static hv_status_t fast(struct vp *vp, uint16_t code, uint64_t first, uint64_t second)
{
    return hv_hypercall_result_status(sim_hypercall(vp, code | HV_HYPERCALL_FAST, first, second));
}

static void test_partition_id(void **state)
{
    struct partition *partition = sim_partition(child);
    uint64_t page = sim_page();
    uint64_t id = 0;

    (void)state;
    assert_int_equal(sim_call(HvCallGetPartitionId, NULL, 0, &id, sizeof(id)), HV_STATUS_SUCCESS);
    assert_int_equal(id, HV_PARTITION_ID_ROOT);
    sim_map(child, 0x10, page, 1);
    partition->privileges &= ~HV_ACCESS_PARTITION_ID;
    assert_int_equal(sim_hypercall(child_vps[0], HvCallGetPartitionId, 0, 0x10000), HV_STATUS_ACCESS_DENIED);
    partition->privileges |= HV_ACCESS_PARTITION_ID;
    assert_int_equal(sim_hypercall(child_vps[0], HvCallGetPartitionId, 0, 0x10000), HV_STATUS_SUCCESS);
    memcpy(&id, mem_from_spa(spa_from_page(page)), sizeof(id));
    assert_int_equal(id, child);
}

static void test_properties(void **state)
{
    struct hv_input_get_partition_property get = {.partition_id = child,
                                                  .property_code = HvPartitionPropertyUnimplementedMsrAction};
    struct hv_input_set_partition_property set = {.partition_id = child,
                                                  .property_code = HvPartitionPropertyUnimplementedMsrAction,
                                                  .property_value = HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO};
    struct hv_input_get_partition_property_ex ex = {.partition_id = child,
                                                    .property_code = HvPartitionPropertyVmmCapabilities};
    struct hv_partition_property_vmm_capabilities capabilities = {0};
    uint64_t value = 99;

    (void)state;
    assert_int_equal(sim_call(HvCallGetPartitionProperty, &get, sizeof(get), &value, sizeof(value)), HV_STATUS_SUCCESS);
    assert_int_equal(value, HV_UNIMPLEMENTED_MSR_ACTION_FAULT);
    assert_int_equal(sim_call(HvCallSetPartitionProperty, &set, sizeof(set), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_call(HvCallGetPartitionProperty, &get, sizeof(get), &value, sizeof(value)), HV_STATUS_SUCCESS);
    assert_int_equal(value, HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO);
    get.property_code = set.property_code = 0xFFFFFFFF;
    assert_int_equal(sim_call(HvCallGetPartitionProperty, &get, sizeof(get), &value, sizeof(value)),
                     HV_STATUS_UNKNOWN_PROPERTY);
    assert_int_equal(sim_call(HvCallSetPartitionProperty, &set, sizeof(set), NULL, 0), HV_STATUS_UNKNOWN_PROPERTY);
    get.partition_id = set.partition_id = NOBODY;
    assert_int_equal(sim_call(HvCallGetPartitionProperty, &get, sizeof(get), &value, sizeof(value)),
                     HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(sim_call(HvCallSetPartitionProperty, &set, sizeof(set), NULL, 0), HV_STATUS_INVALID_PARTITION_ID);

    assert_int_equal(sim_call(HvCallGetPartitionPropertyEx, &ex, sizeof(ex), &capabilities, sizeof(capabilities)),
                     HV_STATUS_SUCCESS);
    assert_int_equal(capabilities.bank_count, 1);
    assert_int_equal(capabilities.bank[0], HV_VMM_CAPABILITY_ASSIGNABLE_SYNTHETIC_PROC_FEATURES);
    ex.property_code = 0xFFFFFFFF;
    assert_int_equal(sim_call(HvCallGetPartitionPropertyEx, &ex, sizeof(ex), &capabilities, sizeof(capabilities)),
                     HV_STATUS_UNKNOWN_PROPERTY);
    ex.partition_id = NOBODY;
    assert_int_equal(sim_call(HvCallGetPartitionPropertyEx, &ex, sizeof(ex), &capabilities, sizeof(capabilities)),
                     HV_STATUS_INVALID_PARTITION_ID);
}

static void test_translate(void **state)
{
    struct hv_input_translate_virtual_address input = {.partition_id = child,
                                                       .control_flags = HV_TRANSLATE_GVA_VALIDATE_READ};
    struct hv_output_translate_virtual_address output = {0};
    const uint16_t code = HvCallTranslateVirtualAddress;

    (void)state;
    input.control_flags = UINT64_C(1) << 40;
    assert_int_equal(sim_call(code, &input, sizeof(input), &output, sizeof(output)), HV_STATUS_INVALID_PARAMETER);
    input.control_flags = UINT64_C(0x11) << HV_TRANSLATE_GVA_INPUT_VTL_SHIFT;
    assert_int_equal(sim_call(code, &input, sizeof(input), &output, sizeof(output)), HV_STATUS_INVALID_PARAMETER);
    input.control_flags = HV_TRANSLATE_GVA_VALIDATE_READ;
    assert_int_equal(sim_call(code, &input, sizeof(input), &output, sizeof(output)), HV_STATUS_SUCCESS);
    input.vp_index = 5;
    assert_int_equal(sim_call(code, &input, sizeof(input), &output, sizeof(output)), HV_STATUS_INVALID_VP_INDEX);
    input.vp_index = 0;
    assert_true(vp_claim(child_vps[0]));
    assert_int_equal(sim_call(code, &input, sizeof(input), &output, sizeof(output)), HV_STATUS_INVALID_VP_STATE);
    vp_release(child_vps[0]);
}

static struct hv_input_create_port event_port(void)
{
    return (struct hv_input_create_port){
        .port_partition_id = HV_PARTITION_ID_SELF,
        .port_id = PORT,
        .connection_partition_id = child,
        .port_info = {.port_type = HV_PORT_TYPE_EVENT, .target_sint = 3, .flag_count = 4},
    };
}

static struct hv_input_connect_port event_connection(void)
{
    return (struct hv_input_connect_port){
        .connection_partition_id = child,
        .connection_id = PORT,
        .port_partition_id = HV_PARTITION_ID_SELF,
        .port_id = PORT,
        .connection_info = {.port_type = HV_PORT_TYPE_EVENT},
    };
}

static void test_port_and_connection(void **state)
{
    struct hv_input_create_port port = event_port();
    struct hv_input_connect_port connection = event_connection();
    struct vp *root = sim_root_vp(0);

    (void)state;
    assert_int_equal(sim_call(HvCallConnectPort, &connection, sizeof(connection), NULL, 0), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(sim_call(HvCallCreatePort, &port, sizeof(port), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_call(HvCallCreatePort, &port, sizeof(port), NULL, 0), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(fast(child_vps[0], HvCallSignalEvent, PORT, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(sim_call(HvCallConnectPort, &connection, sizeof(connection), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_call(HvCallConnectPort, &connection, sizeof(connection), NULL, 0),
                     HV_STATUS_INVALID_CONNECTION_ID);
    /* The root's SynIC is off; a flag that the port does not have is refused before. */
    assert_int_equal(fast(child_vps[0], HvCallSignalEvent, PORT, 0), HV_STATUS_INVALID_SYNIC_STATE);
    assert_int_equal(fast(child_vps[0], HvCallSignalEvent, PORT | UINT64_C(4) << 32, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(fast(root, HvCallDisconnectPort, child, PORT | UINT64_C(2) << 32), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(fast(root, HvCallDisconnectPort, child, PORT), HV_STATUS_SUCCESS);
    assert_int_equal(fast(root, HvCallDisconnectPort, child, PORT), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(fast(root, HvCallDeletePort, HV_PARTITION_ID_SELF, PORT), HV_STATUS_SUCCESS);
    assert_int_equal(fast(root, HvCallDeletePort, HV_PARTITION_ID_SELF, PORT), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(fast(root, HvCallNotifyPortRingEmpty, 16, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(fast(root, HvCallNotifyPortRingEmpty, 5, 0), HV_STATUS_SUCCESS);
}

static void test_ports_of_nobody(void **state)
{
    struct hv_input_create_port port = event_port();
    struct hv_input_connect_port connection = event_connection();
    struct hv_input_post_message message = {.connection_id = PORT, .message_type = 1};
    struct vp *root = sim_root_vp(0);

    (void)state;
    port.connection_partition_id = NOBODY;
    assert_int_equal(sim_call(HvCallCreatePort, &port, sizeof(port), NULL, 0), HV_STATUS_INVALID_PARTITION_ID);
    port = event_port();
    port.port_partition_id = NOBODY;
    assert_int_equal(sim_call(HvCallCreatePort, &port, sizeof(port), NULL, 0), HV_STATUS_INVALID_PARTITION_ID);
    port = event_port();
    port.port_vtl = 1;
    assert_int_equal(sim_call(HvCallCreatePort, &port, sizeof(port), NULL, 0), HV_STATUS_INVALID_PARAMETER);
    connection.port_partition_id = NOBODY;
    assert_int_equal(sim_call(HvCallConnectPort, &connection, sizeof(connection), NULL, 0),
                     HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(fast(root, HvCallDeletePort, NOBODY, PORT), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(fast(root, HvCallDisconnectPort, NOBODY, PORT), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(sim_call(HvCallPostMessage, &message, sizeof(message), NULL, 0), HV_STATUS_INVALID_CONNECTION_ID);
    message.payload_size_bytes = 241;
    assert_int_equal(sim_call(HvCallPostMessage, &message, sizeof(message), NULL, 0), HV_STATUS_INVALID_PARAMETER);
}

static void test_statistics_pages(void **state)
{
    struct hv_input_stats_page input = {.object_type = HvStatsObjectHypervisor};
    uint64_t page = 0;
    const uint64_t *counters;

    (void)state;
    assert_int_equal(sim_call(HvCallMapStatsPage, &input, sizeof(input), &page, sizeof(page)), HV_STATUS_SUCCESS);
    counters = mem_from_spa(spa_from_page(page));
    assert_int_equal(counters[HV_STATS_HYPERVISOR_LOGICAL_PROCESSORS], 2);
    assert_int_equal(sim_call(HvCallUnmapStatsPage, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_call(HvCallUnmapStatsPage, &input, sizeof(input), NULL, 0), HV_STATUS_NOT_FOUND);
    input = (struct hv_input_stats_page){.object_type = HvStatsObjectVp, .object_id = child, .vp_index = 1};
    assert_int_equal(sim_call(HvCallMapStatsPage, &input, sizeof(input), &page, sizeof(page)), HV_STATUS_SUCCESS);
    input.stats_area_type = HV_STATS_AREA_PARENT;
    assert_int_equal(sim_call(HvCallMapStatsPage, &input, sizeof(input), &page, sizeof(page)),
                     HV_STATUS_INVALID_PARAMETER);
    input.stats_area_type = HV_STATS_AREA_SELF;
    input.vp_index = 3;
    assert_int_equal(sim_call(HvCallMapStatsPage, &input, sizeof(input), &page, sizeof(page)),
                     HV_STATUS_INVALID_VP_INDEX);
    input.object_id = NOBODY;
    assert_int_equal(sim_call(HvCallMapStatsPage, &input, sizeof(input), &page, sizeof(page)),
                     HV_STATUS_INVALID_PARTITION_ID);
}

static void test_finalised_partition_gets_nothing_new(void **state)
{
    struct hv_input_stats_page stats = {.object_type = HvStatsObjectPartition};
    struct hv_input_connect_port connection = event_connection();
    struct hv_input_create_port port = event_port();
    uint64_t gone = sim_create_child(50);
    uint64_t page;

    (void)state;
    assert_int_equal(sim_call(HvCallFinalizePartition, &gone, sizeof(gone), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_call(HvCallCreatePort, &port, sizeof(port), NULL, 0), HV_STATUS_SUCCESS);
    connection.connection_partition_id = gone;
    assert_int_equal(sim_call(HvCallConnectPort, &connection, sizeof(connection), NULL, 0),
                     HV_STATUS_INVALID_PARTITION_STATE);
    port.port_partition_id = gone;
    assert_int_equal(sim_call(HvCallCreatePort, &port, sizeof(port), NULL, 0), HV_STATUS_INVALID_PARTITION_STATE);
    stats.object_id = gone;
    assert_int_equal(sim_call(HvCallMapStatsPage, &stats, sizeof(stats), &page, sizeof(page)),
                     HV_STATUS_INVALID_PARTITION_STATE);
    assert_int_equal(sim_withdraw_all(gone), 50);
    assert_int_equal(sim_call(HvCallDeletePartition, &gone, sizeof(gone), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(fast(sim_root_vp(0), HvCallDeletePort, HV_PARTITION_ID_SELF, PORT), HV_STATUS_SUCCESS);
}

static void test_state_pages(void **state)
{
    struct hv_input_map_vp_state_page map = {.partition_id = child, .type = HV_VP_STATE_PAGE_GHCB};
    struct hv_input_unmap_vp_state_page unmap = {.partition_id = child, .type = HV_VP_STATE_PAGE_REGISTERS};
    uint64_t page;

    (void)state;
    assert_int_equal(sim_call(HvCallMapVpStatePage, &map, sizeof(map), &page, sizeof(page)),
                     HV_STATUS_INVALID_PARAMETER);
    map.type = HV_VP_STATE_PAGE_REGISTERS;
    map.flags = HV_MAP_VP_STATE_PAGE_LOCATION_PROVIDED;
    assert_int_equal(sim_call(HvCallMapVpStatePage, &map, sizeof(map), &page, sizeof(page)),
                     HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(sim_call(HvCallUnmapVpStatePage, &unmap, sizeof(unmap), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_call(HvCallUnmapVpStatePage, &unmap, sizeof(unmap), NULL, 0), HV_STATUS_NOT_FOUND);
    unmap.partition_id = HV_PARTITION_ID_SELF;
    assert_int_equal(sim_call(HvCallUnmapVpStatePage, &unmap, sizeof(unmap), NULL, 0), HV_STATUS_ACCESS_DENIED);
}

static void test_vp_state(void **state)
{
    struct {
        struct hv_input_vp_state header;
        uint64_t page;
    } input = {.header = {.partition_id = child, .vp_index = 1, .type = HV_GET_SET_VP_STATE_LAPIC_STATE},
               .page = sim_page()};
    struct {
        struct hv_input_vp_state header;
        struct hv_synthetic_timers_state timers;
    } timers = {.header = {.partition_id = child, .type = HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS}};
    struct hv_x64_interrupt_controller_state *apic = mem_from_spa(spa_from_page(input.page));
    uint64_t output = 0;

    (void)state;
    assert_int_equal(sim_variable_call(HvCallGetVpState, 1, &input, sizeof(input), &output, sizeof(output)),
                     HV_STATUS_SUCCESS);
    assert_int_equal(apic->apic_id >> 24, child_vps[1]->apic.id); /* as the xAPIC page has it */
    assert_int_equal(output, UINT64_C(0xCCCCCCCCCCCCCCCC));       /* as it was: this type has no output but the pages */
    apic->apic_spurious = APIC_SVR_ENABLE | 0xFFu;                /* without it the processor masks all entries */
    apic->apic_lvt_lint0 = 0x700;
    assert_int_equal(sim_variable_call(HvCallSetVpState, 1, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(child_vps[1]->apic.lvt[APIC_LVT_LINT0], 0x700);
    assert_int_equal(sim_variable_call(HvCallGetVpState, 0, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);

    assert_int_equal(sim_variable_call(HvCallGetVpState, 0, &timers.header, sizeof(timers.header), &timers.timers,
                                       sizeof(timers.timers)),
                     HV_STATUS_SUCCESS);
    assert_int_equal(timers.timers.timers[0].config, 0);
    assert_int_equal(sim_variable_call(HvCallSetVpState, sizeof(timers.timers) / 8, &timers, sizeof(timers), NULL, 0),
                     HV_STATUS_SUCCESS);
    assert_int_equal(sim_variable_call(HvCallSetVpState, 3, &timers, sizeof(timers), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
    input.header.type = 0x77;
    assert_int_equal(sim_variable_call(HvCallSetVpState, 1, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
    input.header.input_vtl = 1;
    assert_int_equal(sim_variable_call(HvCallGetVpState, 1, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
}

static void test_ipi_to_a_set(void **state)
{
    struct {
        struct hv_input_send_synthetic_cluster_ipi_ex header;
        uint64_t bank;
    } input = {.header = {.vector = 0x61, .vp_set = {.valid_bank_mask = 1}}, .bank = 2};
    struct vp *target = root_partition->vps[1];

    (void)state;
    atomic_store(&target->apic.svr, APIC_SVR_ENABLE | 0xFFu);
    assert_int_equal(sim_variable_call(HvCallSendSyntheticClusterIpiEx, 0, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_false(apic_is_pending(target, 0x61));
    assert_int_equal(sim_variable_call(HvCallSendSyntheticClusterIpiEx, 1, &input, sizeof(input), NULL, 0),
                     HV_STATUS_SUCCESS);
    assert_true(apic_is_pending(target, 0x61));
    input.header.rsvd[1] = 1;
    assert_int_equal(sim_variable_call(HvCallSendSyntheticClusterIpiEx, 1, &input, sizeof(input), NULL, 0),
                     HV_STATUS_INVALID_PARAMETER);
}

static void test_device_interrupt(void **state)
{
    struct {
        struct hv_input_map_device_interrupt header;
        uint64_t set[2];
    } map = {.header = {.partition_id = HV_PARTITION_ID_SELF,
                        .device_id = (uint64_t)HV_DEVICE_TYPE_PCI << HV_DEVICE_TYPE_SHIFT | 0x18,
                        .vector_count = 1,
                        .target = {.vector = 0x40, .flags = HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET}},
             .set = {1, 2}};
    struct hv_input_unmap_device_interrupt unmap = {.partition_id = HV_PARTITION_ID_SELF,
                                                    .device_id = map.header.device_id};
    struct hv_output_map_device_interrupt output = {0};

    (void)state;
    assert_true(device_interrupt_init());
    assert_int_equal(sim_variable_call(HvCallMapDeviceInterrupt, 2, &map, sizeof(map), &output, sizeof(output)),
                     HV_STATUS_SUCCESS);
    assert_int_equal(output.interrupt_entry.source, HvInterruptSourceMsi);
    assert_int_equal(output.interrupt_entry.data_low >> 12 & 0xFF, machine_acpi_info()->apic_ids[1]);
    unmap.interrupt_entry = output.interrupt_entry;
    assert_int_equal(sim_call(HvCallUnmapDeviceInterrupt, &unmap, sizeof(unmap), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_call(HvCallUnmapDeviceInterrupt, &unmap, sizeof(unmap), NULL, 0), HV_STATUS_NOT_FOUND);
    unmap.partition_id = child;
    assert_int_equal(sim_call(HvCallUnmapDeviceInterrupt, &unmap, sizeof(unmap), NULL, 0), HV_STATUS_ACCESS_DENIED);
    unmap.partition_id = NOBODY;
    assert_int_equal(sim_call(HvCallUnmapDeviceInterrupt, &unmap, sizeof(unmap), NULL, 0),
                     HV_STATUS_INVALID_PARTITION_ID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_partition_id, start, stop),
        cmocka_unit_test_setup_teardown(test_properties, start, stop),
        cmocka_unit_test_setup_teardown(test_translate, start, stop),
        cmocka_unit_test_setup_teardown(test_port_and_connection, start, stop),
        cmocka_unit_test_setup_teardown(test_ports_of_nobody, start, stop),
        cmocka_unit_test_setup_teardown(test_statistics_pages, start, stop),
        cmocka_unit_test_setup_teardown(test_finalised_partition_gets_nothing_new, start, stop),
        cmocka_unit_test_setup_teardown(test_state_pages, start, stop),
        cmocka_unit_test_setup_teardown(test_vp_state, start, stop),
        cmocka_unit_test_setup_teardown(test_ipi_to_a_set, start, stop),
        cmocka_unit_test_setup_teardown(test_device_interrupt, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
