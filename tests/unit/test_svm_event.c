/* SPDX-License-Identifier: MIT */
/* links: svm/svm_event.c svm/vmcb.c */
/* How events go into a VMCB and come back from one, and what makes PAUSE exit. APM vol. 2, Event Injection; Pause
 * Intercept Filtering. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_register.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"
#include "hv/partition/apic.h"
#include "hv/partition/partition.h"
#include "svm/svm.h"
#include "tests/sim/sim.h"

#define VECTOR     0xedu
#define ERROR_CODE 6u
#define RIP        0x1000u
#define LENGTH     2u

bool svm_has_next_rip;
bool svm_interrupts_are_virtual;
bool svm_has_pause_filter;
bool svm_has_pause_threshold;

static struct vmcb vmcb;
static struct svm_vp own;
static struct vp vp;

static int start(void **state)
{
    (void)state;
    memset(&vmcb, 0, sizeof(vmcb));
    memset(&own, 0, sizeof(own));
    memset(&vp, 0, sizeof(vp));
    own.vmcb = &vmcb;
    vp.backend = &own;
    vp.regs.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
    svm_interrupts_are_virtual = false;
    return 0;
}

spa_t svm_iopm(bool is_root)
{
    return spa(is_root ? 0x1000 : 0x2000);
}

spa_t svm_msrpm(bool is_root)
{
    return spa(is_root ? 0x3000 : 0x4000);
}

/* PAUSE exits from a fresh VMCB of such a VP. */
static bool pause_exits(bool is_root, bool has_filter)
{
    static struct partition partition;
    static struct gpa_space space;

    space.root_table = page_alloc();
    assert_non_null(space.root_table);
    memset(&vmcb, 0, sizeof(vmcb));
    vp.partition = &partition;
    vp.space = &space;
    vp.is_root = is_root;
    svm_has_pause_filter = has_filter;
    vmcb_init_control(&vp);
    page_free(space.root_table);
    return (vmcb.intercept_misc1 & VMCB_MISC1_PAUSE) != 0;
}

/* Without a filter, the first PAUSE of any loop would exit. */
static void test_pauses_of_children_exit_where_they_are_counted(void **state)
{
    (void)state;
    assert_true(pause_exits(false, true));
    assert_true(vmcb.pause_filter_count > 1);
    assert_int_equal(vmcb.pause_filter_threshold, 0);
    svm_has_pause_threshold = true;
    assert_true(pause_exits(false, true));
    assert_int_not_equal(vmcb.pause_filter_threshold, 0);
    assert_false(pause_exits(false, false));
    assert_false(pause_exits(true, true));
}

static uint64_t event(enum vmcb_event_type type, uint32_t vector)
{
    return VMCB_EVENT_VALID | (uint64_t)type << VMCB_EVENT_TYPE_SHIFT | vector;
}

/* What is pending after an exit that interrupted the delivery of an event. */
static uint64_t collect(uint64_t info)
{
    vp.pending_interruption = 0;
    vmcb.exit_interrupt_info = info;
    svm_collect_events(&vp);
    return vp.pending_interruption;
}

static void test_an_interrupt_is_injected(void **state)
{
    (void)state;
    vp.pending_interruption = hv_pending_interruption(HV_X64_PENDING_INTERRUPT, VECTOR);
    svm_prepare_events(&vp);
    assert_int_equal(vmcb.event_injection, event(VMCB_EVENT_INTERRUPT, VECTOR));
    assert_int_equal(vmcb.interrupt_control & VMCB_INT_IRQ, 0);
}

static void test_an_interrupt_is_virtual_where_it_has_to_be(void **state)
{
    (void)state;
    svm_interrupts_are_virtual = true;
    vp.pending_interruption = hv_pending_interruption(HV_X64_PENDING_INTERRUPT, VECTOR);
    svm_prepare_events(&vp);
    assert_int_equal(vmcb.event_injection, 0);
    assert_int_equal(vmcb.interrupt_control,
                     VMCB_INT_IRQ | VMCB_INT_IGNORE_TPR | (uint64_t)VECTOR << VMCB_INT_VECTOR_SHIFT);
    /* Guest mode ended before it was taken. */
    assert_int_equal(collect(0), hv_pending_interruption(HV_X64_PENDING_INTERRUPT, VECTOR));
    /* It was taken. */
    vmcb.interrupt_control &= ~VMCB_INT_IRQ;
    assert_int_equal(collect(0), 0);
}

static void test_an_interrupted_delivery_is_done_again(void **state)
{
    uint64_t fault = hv_pending_interruption(HV_X64_PENDING_EXCEPTION, X86_VECTOR_PF) |
                     HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE |
                     (uint64_t)ERROR_CODE << HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT;

    (void)state;
    assert_int_equal(collect(0), 0);
    assert_int_equal(collect(event(VMCB_EVENT_INTERRUPT, VECTOR)),
                     hv_pending_interruption(HV_X64_PENDING_INTERRUPT, VECTOR));
    assert_int_equal(collect(event(VMCB_EVENT_NMI, X86_VECTOR_NMI)),
                     hv_pending_interruption(HV_X64_PENDING_NMI, X86_VECTOR_NMI));
    assert_int_equal(collect(event(VMCB_EVENT_EXCEPTION, X86_VECTOR_PF) | VMCB_EVENT_ERROR_VALID |
                             (uint64_t)ERROR_CODE << VMCB_EVENT_ERROR_SHIFT),
                     fault);
    /* Their instructions execute again. */
    assert_int_equal(collect(event(VMCB_EVENT_EXCEPTION, X86_VECTOR_BP)), 0);
    assert_int_equal(collect(event(VMCB_EVENT_SOFTWARE, VECTOR)), 0);
}

/* The guest has no instruction that would execute again: the root has set the event. */
static void test_an_injected_software_interrupt_is_injected_again(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t length = i / 2 * LENGTH;
        uint64_t interruption = hv_pending_interruption(HV_X64_PENDING_SOFTWARE_INTERRUPT, VECTOR) |
                                length << HV_PENDING_INTERRUPTION_INSTRUCTION_LENGTH_SHIFT;

        svm_has_next_rip = i % 2 != 0;
        vp.regs.rip = RIP;
        vp.pending_interruption = interruption;
        svm_prepare_events(&vp);
        assert_int_equal(vmcb.event_injection, event(VMCB_EVENT_SOFTWARE, VECTOR));
        assert_int_equal(vmcb.next_rip, RIP + length);
        assert_int_equal(vp.regs.rip, svm_has_next_rip ? RIP : RIP + length);
        assert_int_equal(collect(event(VMCB_EVENT_SOFTWARE, VECTOR)), interruption);
        assert_int_equal(vp.regs.rip, RIP);
    }
    /* The next one is the guest's. */
    vp.pending_interruption = 0;
    svm_prepare_events(&vp);
    assert_int_equal(collect(event(VMCB_EVENT_SOFTWARE, VECTOR)), 0);
}

/* QEMU's software CPU says "exception" of a virtual interrupt; injected as one, it would be refused. */
static void test_no_exception_has_the_vector_of_an_interrupt(void **state)
{
    (void)state;
    assert_int_equal(collect(event(VMCB_EVENT_EXCEPTION, VECTOR)),
                     hv_pending_interruption(HV_X64_PENDING_INTERRUPT, VECTOR));
    assert_int_equal(collect(event(VMCB_EVENT_EXCEPTION, X86_VECTOR_EXCEPTION_COUNT)),
                     hv_pending_interruption(HV_X64_PENDING_INTERRUPT, X86_VECTOR_EXCEPTION_COUNT));
    /* There the virtual interrupt is still pending, too: it is one and the same. */
    own.injects_interrupt = true;
    vmcb.interrupt_control = VMCB_INT_IRQ | (uint64_t)VECTOR << VMCB_INT_VECTOR_SHIFT;
    assert_int_equal(collect(event(VMCB_EVENT_EXCEPTION, VECTOR)),
                     hv_pending_interruption(HV_X64_PENDING_INTERRUPT, VECTOR));
    vmcb.event_injection = 0;
    svm_prepare_events(&vp);
    assert_int_equal(vmcb.event_injection, event(VMCB_EVENT_INTERRUPT, VECTOR));
    assert_int_equal(vmcb.interrupt_control & VMCB_INT_IRQ, 0);
}

/* VMRUN of QEMU's software CPU would forget the shadow and deliver the interrupt behind STI. */
static void test_no_window_opens_in_a_shadow(void **state)
{
    (void)state;
    sim_start(1);
    atomic_store(&vp.apic.base, X86_APIC_BASE_ENABLE);
    atomic_store(&vp.apic.svr, APIC_SVR_ENABLE);
    assert_true(apic_set_irr_no_wake(&vp, VECTOR, false));
    svm_init_events(&own);
    vp.interrupt_shadow = true;
    svm_prepare_events(&vp);
    assert_int_equal(vmcb.event_injection, 0);
    assert_int_equal(vmcb.interrupt_control & VMCB_INT_IRQ, 0);
    assert_true(timer_is_armed(&own.shadow_timer)); /* the exit behind the shadow */
    vp.interrupt_shadow = false;
    vp.regs.rflags &= ~X86_RFLAGS_IF;
    svm_prepare_events(&vp);
    assert_int_equal(vmcb.interrupt_control & VMCB_INT_IRQ, VMCB_INT_IRQ);
    vp.regs.rflags |= X86_RFLAGS_IF;
    svm_prepare_events(&vp);
    assert_int_equal(vmcb.event_injection, event(VMCB_EVENT_INTERRUPT, VECTOR));
    timer_cancel(&own.shadow_timer);
    sim_stop();
}

/* An exit that came before the instruction behind STI: the VMCB does not say so. */
static void test_a_shadow_lasts_until_rip_moves(void **state)
{
    (void)state;
    assert_false(svm_is_in_shadow(&vp));
    vp.interrupt_shadow = true;
    svm_prepare_events(&vp); /* nothing is pending yet */
    assert_true(svm_is_in_shadow(&vp));
    vp.regs.rip++;
    assert_false(svm_is_in_shadow(&vp));
    vp.regs.rip--;
    /* A jump to itself does not move it: that is not taken for a shadow for ever. */
    for (uint32_t i = 0; i < 100 && svm_is_in_shadow(&vp); i++) {
        svm_prepare_events(&vp);
    }
    assert_false(svm_is_in_shadow(&vp));
    vp.interrupt_shadow = false;
    svm_prepare_events(&vp);
    assert_int_equal(own.shadow_tries, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pauses_of_children_exit_where_they_are_counted, start),
        cmocka_unit_test_setup(test_an_interrupt_is_injected, start),
        cmocka_unit_test_setup(test_an_interrupt_is_virtual_where_it_has_to_be, start),
        cmocka_unit_test_setup(test_an_interrupted_delivery_is_done_again, start),
        cmocka_unit_test_setup(test_an_injected_software_interrupt_is_injected_again, start),
        cmocka_unit_test_setup(test_no_exception_has_the_vector_of_an_interrupt, start),
        cmocka_unit_test_setup(test_no_window_opens_in_a_shadow, start),
        cmocka_unit_test_setup(test_a_shadow_lasts_until_rip_moves, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
