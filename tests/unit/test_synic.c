/* SPDX-License-Identifier: MIT */
/* The SynIC: registers, the message delivery state machine, event flags, buffers, as TLFS and its tests have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/bitmap.h"
#include "hv/partition/apic.h"
#include "hv/partition/synic.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES  300
#define SIM_GPA_PAGE 0x100u
#define SIEF_GPA     0x101u

static uint64_t child_id;
static struct vp *vp;

static int start(void **state)
{
    (void)state;
    sim_start(1);
    child_id = sim_create_child(CHILD_PAGES);
    vp = sim_create_vp(child_id, 0);
    apic_write(vp, APIC_REG_SVR, 0x1ff);
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
    assert_true(synic_msr_write(vp, msr, value));
}

static uint64_t read_msr(uint32_t msr)
{
    uint64_t value = UINT64_MAX;

    assert_true(synic_msr_read(vp, msr, &value));
    return value;
}

static void enable_pages(void)
{
    write_msr(HV_X64_MSR_SCONTROL, 1);
    write_msr(HV_X64_MSR_SIMP, SIM_GPA_PAGE << 12 | 1);
    write_msr(HV_X64_MSR_SIEFP, SIEF_GPA << 12 | 1);
}

static struct hv_message *slot(uint32_t sint)
{
    return &((struct hv_message_page *)(void *)vp->synic.message_page.page)->sint_message[sint];
}

static hv_status_t post(uint32_t sint, uint32_t type, uint8_t size, uint8_t fill)
{
    struct hv_message message = {.header = {.message_type = type, .payload_size_bytes = size, .sender = 7}};

    memset(message.payload, fill, sizeof(message.payload));
    return synic_post_message(vp, sint, &message);
}

/* The interrupt that is pending, accepted and ended as a guest does; -1: none. */
static int take_interrupt(void)
{
    int vector = apic_pending_vector(vp);

    if (vector >= 0) {
        apic_accept(vp, (uint8_t)vector);
        apic_eoi(vp);
    }
    return vector;
}

/* The guest's part of the protocol, without EOM. */
static uint32_t take_message(uint32_t sint)
{
    uint32_t type = slot(sint)->header.message_type;

    slot(sint)->header.message_type = 0;
    return type;
}

static void test_reset_values(void **state)
{
    uint64_t value;

    (void)state;
    assert_int_equal(read_msr(HV_X64_MSR_SCONTROL), 1);
    assert_int_equal(read_msr(HV_X64_MSR_SVERSION), 1);
    assert_int_equal(read_msr(HV_X64_MSR_SIMP), 0);
    assert_int_equal(read_msr(HV_X64_MSR_SIEFP), 0);
    assert_int_equal(read_msr(HV_X64_MSR_EOM), 0);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(read_msr(HV_X64_MSR_SINT0 + i), 0x10000);
    }
    assert_false(synic_msr_write(vp, HV_X64_MSR_SVERSION, 1));
    assert_false(synic_msr_read(vp, HV_X64_MSR_SIRBP, &value)); /* the root's */
    assert_false(synic_msr_write(vp, HV_X64_MSR_SIRBP, 0));
    assert_false(synic_msr_read(vp, 0x40000086, &value));
}

static void test_root_pages_are_given(void **state)
{
    struct vp *root = sim_root_vp(0);
    static const uint32_t msrs[] = {HV_X64_MSR_SIMP, HV_X64_MSR_SIEFP, HV_X64_MSR_SIRBP};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint64_t given, value;

        assert_true(synic_msr_read(root, msrs[i], &given));
        assert_int_not_equal(given >> 12, 0);
        assert_int_equal(given & 1, 0);
        assert_true(synic_msr_write(root, msrs[i], given | 1));
        assert_true(synic_msr_read(root, msrs[i], &value));
        assert_int_equal(value, given | 1);
        assert_true(synic_msr_write(root, msrs[i], 0x1235001)); /* not the root's to choose */
        assert_true(synic_msr_read(root, msrs[i], &value));
        assert_int_equal(value, given | 1);
        assert_true(synic_msr_write(root, msrs[i], 0));
        assert_true(synic_msr_read(root, msrs[i], &value));
        assert_int_equal(value, given);
    }
}

static void test_sint_rules(void **state)
{
    (void)state;
    assert_false(synic_msr_write(vp, HV_X64_MSR_SINT0 + 2, 0x0f));
    assert_false(synic_msr_write(vp, HV_X64_MSR_SINT0 + 2, 0));
    write_msr(HV_X64_MSR_SINT0 + 2, 0x10);
    write_msr(HV_X64_MSR_SINT0 + 2, 0x10000);
    write_msr(HV_X64_MSR_SINT0 + 2, 0x40000 | 0x05); /* polled: no vector needed */
    write_msr(HV_X64_MSR_SINT0 + 2, 0x200f3);
    assert_int_equal(read_msr(HV_X64_MSR_SINT0 + 2), 0x200f3);
    assert_true(synic_is_auto_eoi(vp, 0xf3));
    write_msr(HV_X64_MSR_SINT0 + 3, 0xf3); /* one AutoEOI makes the vector AutoEOI */
    assert_true(synic_is_auto_eoi(vp, 0xf3));
    write_msr(HV_X64_MSR_SINT0 + 2, 0x300f3);
    assert_false(synic_is_auto_eoi(vp, 0xf3));
}

static void test_message_needs_enables(void **state)
{
    (void)state;
    assert_int_equal(post(2, 1, 8, 1), HV_STATUS_INVALID_SYNIC_STATE);
    enable_pages();
    write_msr(HV_X64_MSR_SCONTROL, 0);
    assert_int_equal(post(2, 1, 8, 1), HV_STATUS_INVALID_SYNIC_STATE);
    write_msr(HV_X64_MSR_SCONTROL, 1);
    assert_int_equal(post(16, 1, 8, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(post(2, 1, 241, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(post(2, 1, 240, 1), HV_STATUS_SUCCESS);
}

static void test_delivery(void **state)
{
    (void)state;
    enable_pages();
    write_msr(HV_X64_MSR_SINT0 + 2, 0xf3);
    memset(slot(2)->payload, 0x55, 240);
    assert_int_equal(post(2, 1, 5, 0xaa), HV_STATUS_SUCCESS);
    assert_int_equal(slot(2)->header.message_type, 1);
    assert_int_equal(slot(2)->header.payload_size_bytes, 5);
    assert_int_equal(slot(2)->header.message_flags, 0);
    assert_int_equal(slot(2)->header.sender, 7);
    assert_int_equal(((uint8_t *)slot(2)->payload)[4], 0xaa);
    assert_int_equal(((uint8_t *)slot(2)->payload)[8], 0x55); /* beyond the payload nothing was written */
    assert_int_equal(take_interrupt(), 0xf3);

    /* A busy slot: pending is set, nothing else is touched, no interrupt. */
    assert_int_equal(post(2, 2, 8, 0xbb), HV_STATUS_SUCCESS);
    assert_int_equal(post(2, 3, 8, 0xcc), HV_STATUS_SUCCESS);
    assert_int_equal(slot(2)->header.message_type, 1);
    assert_int_equal(slot(2)->header.message_flags, HV_MESSAGE_FLAG_PENDING);
    assert_int_equal(((uint8_t *)slot(2)->payload)[0], 0xaa);
    assert_int_equal(take_interrupt(), -1);
    write_msr(HV_X64_MSR_EOM, 0); /* slot still busy */
    assert_int_equal(slot(2)->header.message_type, 1);

    assert_int_equal(take_message(2), 1);
    write_msr(HV_X64_MSR_EOM, 0);
    assert_int_equal(slot(2)->header.message_type, 2);
    assert_int_equal(slot(2)->header.message_flags, HV_MESSAGE_FLAG_PENDING); /* one more waits */
    assert_int_equal(take_interrupt(), 0xf3);
    assert_int_equal(take_message(2), 2);
    write_msr(HV_X64_MSR_EOM, 0);
    assert_int_equal(slot(2)->header.message_type, 3);
    assert_int_equal(slot(2)->header.message_flags, 0);
    assert_int_equal(take_message(2), 3);
    write_msr(HV_X64_MSR_EOM, 0); /* nothing left: no effect */
    assert_int_equal(slot(2)->header.message_type, 0);
    assert_int_equal(take_interrupt(), 0xf3);
    assert_int_equal(take_interrupt(), -1);
}

static void test_eoi_and_new_messages_retry(void **state)
{
    (void)state;
    enable_pages();
    write_msr(HV_X64_MSR_SINT0 + 4, 0x60);
    assert_int_equal(post(4, 1, 8, 1), HV_STATUS_SUCCESS);
    assert_int_equal(post(4, 2, 8, 2), HV_STATUS_SUCCESS);
    apic_accept(vp, 0x60);
    assert_int_equal(take_message(4), 1);
    apic_eoi(vp); /* without EOM */
    assert_int_equal(slot(4)->header.message_type, 2);
    assert_int_equal(post(4, 3, 8, 3), HV_STATUS_SUCCESS);
    assert_int_equal(take_message(4), 2);
    assert_int_equal(post(4, 4, 8, 4), HV_STATUS_SUCCESS); /* a new one rescans, in order */
    assert_int_equal(slot(4)->header.message_type, 3);
    assert_int_equal(take_message(4), 3);
    synic_retry(vp);
    assert_int_equal(slot(4)->header.message_type, 4);
}

static void test_auto_eoi(void **state)
{
    (void)state;
    enable_pages();
    write_msr(HV_X64_MSR_SINT0 + 2, 0x200f3);
    assert_int_equal(post(2, 1, 8, 1), HV_STATUS_SUCCESS);
    assert_int_equal(post(2, 2, 8, 2), HV_STATUS_SUCCESS);
    assert_int_equal(apic_pending_vector(vp), 0xf3);
    assert_int_equal(take_message(2), 1);
    apic_accept(vp, 0xf3);
    assert_int_equal(apic_ppr(vp), 0);                 /* never in service */
    assert_int_equal(slot(2)->header.message_type, 2); /* its delivery was its EOI */
    assert_int_equal(apic_pending_vector(vp), 0xf3);
}

static void test_masked_and_polled(void **state)
{
    (void)state;
    enable_pages();
    assert_int_equal(post(2, 1, 8, 1), HV_STATUS_SUCCESS); /* masked: written, no interrupt */
    assert_int_equal(slot(2)->header.message_type, 1);
    assert_int_equal(apic_pending_vector(vp), -1);
    assert_int_equal(post(2, 2, 8, 2), HV_STATUS_SUCCESS);
    assert_int_equal(take_message(2), 1);
    write_msr(HV_X64_MSR_EOM, 0); /* drains although masked */
    assert_int_equal(take_message(2), 2);
    write_msr(HV_X64_MSR_SINT0 + 2, 0x400f3);
    assert_int_equal(post(2, 3, 8, 3), HV_STATUS_SUCCESS);
    assert_int_equal(take_message(2), 3);
    assert_int_equal(apic_pending_vector(vp), -1);
}

static void test_all_sints(void **state)
{
    (void)state;
    enable_pages();
    for (uint32_t i = 0; i < 16; i++) {
        write_msr(HV_X64_MSR_SINT0 + i, (0x50 + i) | (i % 2 ? 0x20000 : 0));
    }
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal(post(i, 100 + i, 8, 1), HV_STATUS_SUCCESS);
    }
    for (int i = 15; i >= 0; i--) {
        int vector = apic_pending_vector(vp);

        assert_int_equal(vector, 0x50 + i);
        apic_accept(vp, (uint8_t)vector);
        if (i % 2 == 0) {
            apic_eoi(vp);
        }
        assert_int_equal(take_message((uint32_t)i), 100 + (uint32_t)i);
    }
    assert_int_equal(apic_pending_vector(vp), -1);
}

static void test_disabled_page_keeps_the_queue(void **state)
{
    (void)state;
    enable_pages();
    write_msr(HV_X64_MSR_SINT0 + 2, 0xf3);
    assert_int_equal(post(2, 1, 8, 1), HV_STATUS_SUCCESS);
    assert_int_equal(post(2, 2, 8, 2), HV_STATUS_SUCCESS);
    write_msr(HV_X64_MSR_SIMP, 0);
    take_message(2);
    write_msr(HV_X64_MSR_EOM, 0);
    assert_int_equal(slot(2)->header.message_type, 0);
    write_msr(HV_X64_MSR_SIMP, 0x200001); /* elsewhere: content moves along, what waited comes */
    assert_int_equal(slot(2)->header.message_type, 2);
    assert_int_equal(read_msr(HV_X64_MSR_SIMP), 0x200001);
    write_msr(HV_X64_MSR_SIMP, 0xfffffffffffff001); /* beyond the space: accepted, out of reach */
    assert_int_equal(read_msr(HV_X64_MSR_SIMP), 0xfffffffffffff001);
    assert_int_equal(take_message(2), 2);
    assert_int_equal(post(2, 3, 8, 3), HV_STATUS_SUCCESS);
}

static void test_buffers(void **state)
{
    (void)state;
    enable_pages();
    assert_int_equal(post(1, 99, 8, 0), HV_STATUS_SUCCESS);
    for (uint32_t i = 0; i < SYNIC_POOL_BUFFERS; i++) {
        assert_int_equal(post(1 + i % 2, 1 + i, 8, 0), HV_STATUS_SUCCESS);
        if (i == 1) {
            assert_int_equal(slot(2)->header.message_type, 2);
        }
    }
    /* One of them went into SINT 2's free slot. */
    assert_int_equal(post(1, 50, 8, 0), HV_STATUS_SUCCESS);
    assert_int_equal(post(1, 51, 8, 0), HV_STATUS_INSUFFICIENT_BUFFERS);
    take_message(1);
    write_msr(HV_X64_MSR_EOM, 0);
    assert_int_equal(slot(1)->header.message_type, 1);
    assert_int_equal(post(1, 51, 8, 0), HV_STATUS_SUCCESS);
    assert_int_equal(post(1, 52, 8, 0), HV_STATUS_INSUFFICIENT_BUFFERS);
    synic_reset(vp);
    assert_int_equal(slot(1)->header.message_type, 0);
    enable_pages();
    assert_int_equal(post(1, 53, 8, 0), HV_STATUS_SUCCESS);
    assert_int_equal(slot(1)->header.message_type, 53);
    assert_int_equal(slot(1)->header.message_flags, 0);
}

static void test_signal_pairs_join(void **state)
{
    struct hv_vp_signal_pair_scheduler_message pair = {.vp_count = 1};
    const struct hv_vp_signal_pair_scheduler_message *seen = (const void *)slot(0)->payload;
    uint32_t next = 0;

    (void)state;
    enable_pages();
    for (uint32_t i = 0; i < 100; i++) {
        pair.partition_ids[0] = 1000 + i;
        pair.vp_indexes[0] = i;
        assert_int_equal(
            synic_post_hypervisor_message(vp, 0, HvMessageTypeSchedulerVpSignalPair, 1, &pair, sizeof(pair)),
            HV_STATUS_SUCCESS);
    }
    while (slot(0)->header.message_type != 0) {
        assert_int_equal(slot(0)->header.message_type, HvMessageTypeSchedulerVpSignalPair);
        assert_in_range(seen->vp_count, 1, HV_MESSAGE_MAX_PARTITION_VP_PAIR_COUNT);
        for (uint32_t i = 0; i < seen->vp_count; i++, next++) {
            assert_int_equal(seen->partition_ids[i], 1000 + next);
            assert_int_equal(seen->vp_indexes[i], next);
        }
        take_message(0);
        write_msr(HV_X64_MSR_EOM, 0);
    }
    assert_int_equal(next, 100);
}

static void test_events(void **state)
{
    struct hv_synic_event_flags_page *page = (void *)vp->synic.event_page.page;
    bool is_new;

    (void)state;
    assert_int_equal(synic_signal_event(vp, 2, 0, NULL), HV_STATUS_INVALID_SYNIC_STATE);
    enable_pages();
    assert_int_equal(synic_signal_event(vp, 2, 0, NULL), HV_STATUS_INVALID_SYNIC_STATE); /* masked */
    write_msr(HV_X64_MSR_SINT0 + 2, 0xf3);
    assert_int_equal(synic_signal_event(vp, 16, 0, NULL), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(synic_signal_event(vp, 2, 2048, NULL), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(synic_signal_event(vp, 2, 2047, &is_new), HV_STATUS_SUCCESS);
    assert_true(is_new);
    assert_int_equal(page->sint_event_flags[2].flags[31], 1ull << 63);
    assert_int_equal(take_interrupt(), 0xf3);
    assert_int_equal(synic_signal_event(vp, 2, 2047, &is_new), HV_STATUS_SUCCESS);
    assert_false(is_new);
    assert_int_equal(take_interrupt(), -1); /* only 0 to 1 interrupts */
    assert_true(bitmap_atomic_test_and_clear(page->sint_event_flags[2].flags, 2047));
    assert_int_equal(synic_signal_event(vp, 2, 2047, &is_new), HV_STATUS_SUCCESS);
    assert_int_equal(take_interrupt(), 0xf3);
    write_msr(HV_X64_MSR_SINT0 + 2, 0x400f3);
    assert_int_equal(synic_signal_event(vp, 2, 5, NULL), HV_STATUS_SUCCESS);
    assert_int_equal(take_interrupt(), -1); /* polled */
    assert_true(bitmap_atomic_test(page->sint_event_flags[2].flags, 5));
    write_msr(HV_X64_MSR_SIEFP, 0);
    assert_int_equal(synic_signal_event(vp, 2, 6, NULL), HV_STATUS_INVALID_SYNIC_STATE);
    synic_reset(vp);
    assert_int_equal(page->sint_event_flags[2].flags[31], 0);
}

static void test_a_halted_vp_is_signalled(void **state)
{
    struct vp *root = sim_root_vp(0);
    uint64_t simp;

    (void)state;
    assert_true(synic_msr_read(root, HV_X64_MSR_SIMP, &simp));
    assert_true(synic_msr_write(root, HV_X64_MSR_SIMP, simp | 1));
    enable_pages();
    write_msr(HV_X64_MSR_SINT0 + 2, 0xf3);
    vp->regs.rflags |= 0x200;
    sim_script_add(vp, sim_exit_halt, NULL);
    assert_int_equal(sim_dispatch(child_id, 0, 0).dispatch_state, HV_VP_DISPATCH_STATE_BLOCKED);
    assert_int_equal(atomic_load(&vp->root_signal_count), 0);
    assert_int_equal(post(2, 1, 8, 1), HV_STATUS_SUCCESS);
    assert_int_equal(atomic_load(&vp->root_signal_count), 1);
    assert_int_equal(((struct hv_message *)(void *)root->synic.message_page.page)->header.message_type,
                     HvMessageTypeSchedulerVpSignalPair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reset_values, start, stop),
        cmocka_unit_test_setup_teardown(test_root_pages_are_given, start, stop),
        cmocka_unit_test_setup_teardown(test_sint_rules, start, stop),
        cmocka_unit_test_setup_teardown(test_message_needs_enables, start, stop),
        cmocka_unit_test_setup_teardown(test_delivery, start, stop),
        cmocka_unit_test_setup_teardown(test_eoi_and_new_messages_retry, start, stop),
        cmocka_unit_test_setup_teardown(test_auto_eoi, start, stop),
        cmocka_unit_test_setup_teardown(test_masked_and_polled, start, stop),
        cmocka_unit_test_setup_teardown(test_all_sints, start, stop),
        cmocka_unit_test_setup_teardown(test_disabled_page_keeps_the_queue, start, stop),
        cmocka_unit_test_setup_teardown(test_buffers, start, stop),
        cmocka_unit_test_setup_teardown(test_signal_pairs_join, start, stop),
        cmocka_unit_test_setup_teardown(test_events, start, stop),
        cmocka_unit_test_setup_teardown(test_a_halted_vp_is_signalled, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
