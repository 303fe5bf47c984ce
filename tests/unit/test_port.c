/* SPDX-License-Identifier: MIT */
/* Ports, connections and doorbells between the root and a child: statuses, delivery both ways, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/bitmap.h"
#include "hv/partition/apic.h"
#include "hv/partition/connection.h"
#include "hv/partition/deposit.h"
#include "hv/partition/port.h"
#include "hv/partition/synic.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES 400
#define ANY_VP      0xffffffffu

static uint64_t child_id;
static struct partition *child;
static struct vp *vp;
static struct vp *root;

static void set_up_synic(struct vp *target)
{
    uint64_t simp, siefp;

    apic_write(target, APIC_REG_SVR, 0x1ff);
    assert_true(synic_msr_read(target, HV_X64_MSR_SIMP, &simp));
    assert_true(synic_msr_read(target, HV_X64_MSR_SIEFP, &siefp));
    assert_true(synic_msr_write(target, HV_X64_MSR_SIMP, target->is_root ? simp | 1 : 0x100001));
    assert_true(synic_msr_write(target, HV_X64_MSR_SIEFP, target->is_root ? siefp | 1 : 0x101001));
    assert_true(synic_msr_write(target, HV_X64_MSR_SINT0 + 2, 0xf3));
}

static int start(void **state)
{
    (void)state;
    sim_start(2);
    sim_deposit(HV_PARTITION_ID_SELF, 40);
    child_id = sim_create_child(CHILD_PAGES);
    child = sim_partition(child_id);
    vp = sim_create_vp(child_id, 0);
    (void)sim_create_vp(child_id, 1);
    root = sim_root_vp(0);
    set_up_synic(vp);
    set_up_synic(root);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sim_stop();
    return 0;
}

static struct hv_port_info port_info(uint32_t type, uint32_t sint, uint32_t target)
{
    return (struct hv_port_info){.port_type = type, .target_sint = sint, .target_vp = target, .flag_count = 16};
}

static struct hv_message *slot(struct vp *of, uint32_t sint)
{
    return &((struct hv_message_page *)(void *)of->synic.message_page.page)->sint_message[sint];
}

static struct hv_synic_event_ring *ring(void)
{
    return &((struct hv_synic_event_ring_page *)(void *)root->synic.ring_page.page)->sint_event_ring[5];
}

static void test_port_statuses(void **state)
{
    struct hv_port_info info = port_info(HV_PORT_TYPE_MESSAGE, 2, ANY_VP);

    (void)state;
    assert_int_equal(port_create(child, 0x01000000, 1, &info), HV_STATUS_INVALID_PORT_ID);
    info.port_type = HV_PORT_TYPE_MONITOR;
    assert_int_equal(port_create(child, 1, 1, &info), HV_STATUS_INVALID_PARAMETER);
    info = port_info(HV_PORT_TYPE_MESSAGE, 16, ANY_VP);
    assert_int_equal(port_create(child, 1, 1, &info), HV_STATUS_INVALID_PARAMETER);
    info = port_info(HV_PORT_TYPE_MESSAGE, 2, 2);
    assert_int_equal(port_create(child, 1, 1, &info), HV_STATUS_INVALID_VP_INDEX);
    info = port_info(HV_PORT_TYPE_MESSAGE, 2, 4000);
    assert_int_equal(port_create(child, 1, 1, &info), HV_STATUS_INVALID_VP_INDEX);
    info = port_info(HV_PORT_TYPE_EVENT, 2, 0);
    info.base_flag_number = 2040;
    assert_int_equal(port_create(child, 1, 1, &info), HV_STATUS_INVALID_PARAMETER);
    info.flag_count = 0;
    assert_int_equal(port_create(child, 1, 1, &info), HV_STATUS_INVALID_PARAMETER);
    info = port_info(HV_PORT_TYPE_DOORBELL, 5, ANY_VP);
    assert_int_equal(port_create(root_partition, 0, child_id, &info), HV_STATUS_INVALID_PORT_ID);
    info = port_info(HV_PORT_TYPE_MESSAGE, 2, 0);
    assert_int_equal(port_create(child, 1, 1, &info), HV_STATUS_SUCCESS);
    assert_int_equal(port_create(child, 1, 1, &info), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(port_delete(child, 2), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(port_delete(child, 1), HV_STATUS_SUCCESS);
    assert_int_equal(port_delete(child, 1), HV_STATUS_INVALID_PORT_ID);
}

static void test_connection_statuses(void **state)
{
    struct hv_port_info info = port_info(HV_PORT_TYPE_MESSAGE, 2, 0);
    struct hv_connection_info message = {.port_type = HV_PORT_TYPE_MESSAGE};
    struct hv_connection_info event = {.port_type = HV_PORT_TYPE_EVENT};

    (void)state;
    assert_int_equal(port_create(root_partition, 7, child_id, &info), HV_STATUS_SUCCESS);
    assert_int_equal(connection_connect(child, 0x01000001, root_partition, 7, &message),
                     HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connection_connect(child, 1, root_partition, 8, &message), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(connection_connect(child, 1, root_partition, 7, &event), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(connection_connect(root_partition, 1, root_partition, 7, &message), HV_STATUS_INVALID_PORT_ID);
    assert_int_equal(connection_connect(child, 1, root_partition, 7, &message), HV_STATUS_SUCCESS);
    assert_int_equal(connection_connect(child, 1, root_partition, 7, &message), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connection_disconnect(child, 2, false), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connection_disconnect(child, 1, true), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connection_disconnect(child, 1, false), HV_STATUS_SUCCESS);
    assert_int_equal(connection_disconnect(child, 1, false), HV_STATUS_INVALID_CONNECTION_ID);
}

static void test_messages(void **state)
{
    struct hv_port_info info = port_info(HV_PORT_TYPE_MESSAGE, 2, ANY_VP);
    struct hv_connection_info connection = {.port_type = HV_PORT_TYPE_MESSAGE};
    uint8_t payload[240];

    (void)state;
    memset(payload, 0x3c, sizeof(payload));
    assert_int_equal(connection_post_message(child, 4, 1, payload, 8), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(port_create(root_partition, 9, child_id, &info), HV_STATUS_SUCCESS);
    assert_int_equal(connection_connect(child, 4, root_partition, 9, &connection), HV_STATUS_SUCCESS);
    assert_int_equal(connection_post_message(child, 4, 0, payload, 8), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(connection_post_message(child, 4, 0x80000001, payload, 8), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(connection_post_message(child, 4, 1, payload, 241), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(connection_post_message(child, 0x01000004, 1, payload, 8), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connection_signal_event(child, 4, 0), HV_STATUS_INVALID_CONNECTION_ID); /* another type */
    assert_int_equal(connection_post_message(child, 4, 1, payload, 240), HV_STATUS_SUCCESS);
    assert_int_equal(slot(root, 2)->header.message_type, 1);
    assert_int_equal(slot(root, 2)->header.sender, 9);
    assert_int_equal(slot(root, 2)->header.payload_size_bytes, 240);
    assert_memory_equal(slot(root, 2)->payload, payload, 240);
    assert_true(apic_is_pending(root, 0xf3));
    /* The port's own buffers are what one sender can fill; the hypervisor's signals still get through. */
    for (uint32_t i = 0; i < SYNIC_POOL_BUFFERS; i++) {
        assert_int_equal(connection_post_message(child, 4, 2 + i, payload, 8), HV_STATUS_SUCCESS);
    }
    assert_int_equal(connection_post_message(child, 4, 99, payload, 8), HV_STATUS_INSUFFICIENT_BUFFERS);
    assert_int_equal(synic_post_hypervisor_message(root, 2, 0x80000100, 1, payload, 8), HV_STATUS_SUCCESS);
    /* A deleted port takes its messages along, and only those. */
    assert_int_equal(port_delete(root_partition, 9), HV_STATUS_SUCCESS);
    assert_int_equal(connection_post_message(child, 4, 1, payload, 8), HV_STATUS_INVALID_PORT_ID);
    slot(root, 2)->header.message_type = 0;
    synic_eom(root);
    assert_int_equal(slot(root, 2)->header.message_type, 0x80000100);
    assert_int_equal(slot(root, 2)->header.message_flags, 0);
    /* Root to child, to one VP that listens and one that does not. */
    info = port_info(HV_PORT_TYPE_MESSAGE, 2, 1);
    assert_int_equal(port_create(child, 1, PARTITION_ID_ROOT, &info), HV_STATUS_SUCCESS);
    assert_int_equal(connection_connect(root_partition, 100, child, 1, &connection), HV_STATUS_SUCCESS);
    assert_int_equal(connection_post_message(root_partition, 100, 1, payload, 8), HV_STATUS_INVALID_SYNIC_STATE);
    set_up_synic(child->vps[1]);
    assert_int_equal(connection_post_message(root_partition, 100, 1, payload, 8), HV_STATUS_SUCCESS);
    assert_int_equal(slot(child->vps[1], 2)->header.sender, 1);
}

static void test_events(void **state)
{
    struct hv_port_info info = port_info(HV_PORT_TYPE_EVENT, 2, 0);
    struct hv_connection_info connection = {.port_type = HV_PORT_TYPE_EVENT};
    struct hv_synic_event_flags_page *page = (void *)vp->synic.event_page.page;

    (void)state;
    info.base_flag_number = 100;
    assert_int_equal(port_create(child, 3, PARTITION_ID_ROOT, &info), HV_STATUS_SUCCESS);
    assert_int_equal(connection_connect(root_partition, 5, child, 3, &connection), HV_STATUS_SUCCESS);
    assert_int_equal(connection_signal_event(root_partition, 6, 0), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connection_signal_event(root_partition, 5, 16), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(connection_signal_event(root_partition, 5, 15), HV_STATUS_SUCCESS);
    assert_true(bitmap_atomic_test(page->sint_event_flags[2].flags, 115));
    assert_true(apic_is_pending(vp, 0xf3));
    assert_int_equal(connection_signal_event(root_partition, 5, 15), HV_STATUS_SUCCESS);
    assert_true(synic_msr_write(vp, HV_X64_MSR_SINT0 + 2, 0x10000));
    assert_int_equal(connection_signal_event(root_partition, 5, 0), HV_STATUS_INVALID_SYNIC_STATE);
}

static void set_up_ring(void)
{
    uint64_t sirbp;

    assert_true(synic_msr_read(root, HV_X64_MSR_SIRBP, &sirbp));
    assert_true(synic_msr_write(root, HV_X64_MSR_SIRBP, sirbp | 1));
    assert_true(synic_msr_write(root, HV_X64_MSR_SINT0, 0xf3));
    assert_true(synic_msr_write(root, HV_X64_MSR_SINT0 + 5, 0xf3 | HV_SINT_AS_INTERCEPT));
}

static hv_status_t doorbell(uint32_t id, uint64_t address, uint64_t value, uint64_t flags)
{
    struct hv_port_info info = port_info(HV_PORT_TYPE_DOORBELL, 5, ANY_VP);
    struct hv_connection_info connection = {
        .port_type = HV_PORT_TYPE_DOORBELL, .gpa = address, .trigger_value = value, .doorbell_flags = flags};
    hv_status_t status = port_create(root_partition, id, child_id, &info);

    return status == HV_STATUS_SUCCESS ? connection_connect(child, id, root_partition, id, &connection) : status;
}

static void test_doorbells(void **state)
{
    const struct hv_notification_message_payload *payload = (const void *)slot(root, 0)->payload;

    (void)state;
    assert_false(connection_has_doorbell(child, gpa(0xfebf0000)));
    assert_int_equal(doorbell(20, 0xfebf0000, 7, HV_DOORBELL_FLAG_TRIGGER_SIZE_WORD), HV_STATUS_SUCCESS);
    assert_int_equal(doorbell(21, 0xfebf0000, 0, HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE | 3), HV_STATUS_SUCCESS);
    assert_int_equal(doorbell(22, 0xfebf0004, 0, HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE), HV_STATUS_SUCCESS);
    assert_int_equal(doorbell(23, 0xfebf0008, 0, 5), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(doorbell(24, 0xfebf0008, 0, 8), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(doorbell(25, 1ull << 60, 0, 0), HV_STATUS_INVALID_PARAMETER);
    assert_true(connection_has_doorbell(child, gpa(0xfebf0000)));
    assert_false(connection_doorbell(child, gpa(0xfebf0000), 2, 7)); /* the root does not listen: its business */
    set_up_ring();
    assert_true(connection_doorbell(child, gpa(0xfebf0000), 2, 7));
    assert_int_equal(ring()->data[0], 20);
    assert_int_equal(ring()->signal_masked, 1);
    assert_int_equal(slot(root, 0)->header.message_type, HvMessageTypeSynicSintIntercept);
    assert_int_equal(payload->sint_index, 5);
    slot(root, 0)->header.message_type = 0;
    assert_false(connection_doorbell(child, gpa(0xfebf0000), 2, 8));
    assert_false(connection_doorbell(child, gpa(0xfebf0000), 1, 7));
    assert_true(connection_doorbell(child, gpa(0xfebf0000), 4, 12345));
    assert_true(connection_doorbell(child, gpa(0xfebf0004), 1, 1));
    assert_true(connection_doorbell(child, gpa(0xfebf0004), 8, 1));
    assert_false(connection_doorbell(child, gpa(0xfebf0005), 1, 1));
    assert_int_equal(ring()->data[1], 21);
    assert_int_equal(ring()->data[2], 22);
    assert_int_equal(ring()->data[3], 22);
    assert_int_equal(slot(root, 0)->header.message_type, 0); /* masked: not told again */
    ring()->signal_masked = 0;
    assert_true(connection_doorbell(child, gpa(0xfebf0004), 8, 1));
    assert_int_equal(slot(root, 0)->header.message_type, HvMessageTypeSynicSintIntercept);
    assert_int_equal(connection_disconnect(child, 20, false), HV_STATUS_INVALID_CONNECTION_ID);
    assert_int_equal(connection_disconnect(child, 20, true), HV_STATUS_SUCCESS);
    assert_false(connection_doorbell(child, gpa(0xfebf0000), 2, 7));
    assert_true(connection_doorbell(child, gpa(0xfebf0000), 4, 7));
    assert_int_equal(port_delete(root_partition, 21), HV_STATUS_SUCCESS);
    assert_false(connection_doorbell(child, gpa(0xfebf0000), 4, 7));
}

static void test_full_ring(void **state)
{
    uint32_t seen = 0;

    (void)state;
    set_up_ring();
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(doorbell(30 + i, 0xfebf0000 + 8 * i, 0, HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE),
                         HV_STATUS_SUCCESS);
    }
    for (uint32_t i = 0; i < HV_SYNIC_EVENT_RING_MESSAGE_COUNT; i++) {
        assert_true(connection_doorbell(child, gpa(0xfebf0000), 4, i));
    }
    assert_int_equal(ring()->ring_full, 0);
    assert_true(connection_doorbell(child, gpa(0xfebf0008), 4, 0));
    assert_true(connection_doorbell(child, gpa(0xfebf0010), 4, 0));
    assert_true(connection_doorbell(child, gpa(0xfebf0010), 4, 0)); /* once is enough */
    assert_int_equal(ring()->ring_full, 1);
    for (uint32_t i = 0; i < HV_SYNIC_EVENT_RING_MESSAGE_COUNT; i++) { /* the consumer */
        assert_int_equal(ring()->data[i], 30);
        ring()->data[i] = 0;
    }
    ring()->ring_full = 0;
    assert_int_equal(port_notify_ring_empty(root, 16), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(port_notify_ring_empty(root, 4), HV_STATUS_SUCCESS); /* another SINT's */
    assert_int_equal(ring()->data[0], 0);
    assert_int_equal(port_notify_ring_empty(root, 5), HV_STATUS_SUCCESS);
    for (uint32_t i = 0; i < HV_SYNIC_EVENT_RING_MESSAGE_COUNT; i++) {
        seen += ring()->data[i] == 31 || ring()->data[i] == 32;
    }
    assert_int_equal(seen, 2);
    assert_true(connection_doorbell(child, gpa(0xfebf0008), 4, 0));
    assert_int_equal(ring()->data[2], 31);
}

static void test_memory_is_given_back(void **state)
{
    struct hv_port_info info = port_info(HV_PORT_TYPE_MESSAGE, 2, 0);
    struct hv_connection_info connection = {.port_type = HV_PORT_TYPE_MESSAGE};
    uint64_t before = part_page_count(child);
    hv_status_t status = HV_STATUS_SUCCESS;
    uint32_t count;

    (void)state;
    for (count = 1; status == HV_STATUS_SUCCESS; count++) {
        status = port_create(child, count, PARTITION_ID_ROOT, &info);
    }
    assert_int_equal(status, HV_STATUS_INSUFFICIENT_MEMORY);
    assert_int_equal(part_page_count(child), 0);
    count -= 2; /* the last one failed */
    assert_int_equal(port_delete(child, count), HV_STATUS_SUCCESS);
    assert_int_equal(port_create(child, count, PARTITION_ID_ROOT, &info), HV_STATUS_SUCCESS);
    port_table_destroy(child);
    assert_int_equal(part_page_count(child), before);
    info = port_info(HV_PORT_TYPE_MESSAGE, 2, ANY_VP);
    assert_int_equal(port_create(root_partition, 1, child_id, &info), HV_STATUS_SUCCESS);
    status = HV_STATUS_SUCCESS;
    for (count = 0; status == HV_STATUS_SUCCESS; count++) {
        status = connection_connect(child, count, root_partition, 1, &connection);
    }
    assert_int_equal(status, HV_STATUS_NO_RESOURCES);
    assert_int_equal(count, PORT_COUNT_MAX + 1);
    assert_int_equal(connection_disconnect(child, 77, false), HV_STATUS_SUCCESS);
    assert_int_equal(connection_connect(child, 0xffffff, root_partition, 1, &connection), HV_STATUS_SUCCESS);
    port_table_destroy(child);
    assert_int_equal(part_page_count(child), before);
}

/* Nothing is lost when a partition goes while messages wait. */
static void test_destroying_a_child(void **state)
{
    struct hv_port_info info = port_info(HV_PORT_TYPE_MESSAGE, 2, 0);
    struct hv_connection_info connection = {.port_type = HV_PORT_TYPE_MESSAGE};

    (void)state;
    assert_int_equal(port_create(child, 1, PARTITION_ID_ROOT, &info), HV_STATUS_SUCCESS);
    assert_int_equal(connection_connect(root_partition, 5, child, 1, &connection), HV_STATUS_SUCCESS);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(connection_post_message(root_partition, 5, 1, &i, sizeof(i)), HV_STATUS_SUCCESS);
    }
    assert_int_equal(sim_destroy_child(child_id), CHILD_PAGES);
    assert_int_equal(connection_post_message(root_partition, 5, 1, &info, 8), HV_STATUS_INVALID_PORT_ID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_port_statuses, start, stop),
        cmocka_unit_test_setup_teardown(test_connection_statuses, start, stop),
        cmocka_unit_test_setup_teardown(test_messages, start, stop),
        cmocka_unit_test_setup_teardown(test_events, start, stop),
        cmocka_unit_test_setup_teardown(test_doorbells, start, stop),
        cmocka_unit_test_setup_teardown(test_full_ring, start, stop),
        cmocka_unit_test_setup_teardown(test_memory_is_given_back, start, stop),
        cmocka_unit_test_setup_teardown(test_destroying_a_child, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
