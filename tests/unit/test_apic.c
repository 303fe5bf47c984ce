/* SPDX-License-Identifier: MIT */
/* The virtual APIC: priority and nesting, destinations, modes, errors, timer, end of level-triggered interrupts, saved
 * state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_intercept.h"
#include "hv/irq/irq.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic.h"
#include "hv/partition/device_interrupt.h"
#include "tests/sim/sim.h"

#define VPS             4u
#define CHILD_PAGES     500
#define ICR_NMI         0x400u
#define ICR_INIT        0x500u
#define ICR_SIPI        0x600u
#define ICR_LOWEST      0x100u
#define ICR_LOGICAL     0x800u
#define ICR_SELF        0x40000u
#define ICR_ALL         0x80000u
#define ICR_OTHERS      0xc0000u
#define TICKS_PER_100NS 20u /* of the APIC timer's input clock */

static uint64_t child_id;
static struct vp *vps[VPS];

static int start(void **state)
{
    (void)state;
    sim_start(2);
    assert_true(device_interrupt_init());
    child_id = sim_create_child(CHILD_PAGES);
    for (uint32_t i = 0; i < VPS; i++) {
        vps[i] = sim_create_vp(child_id, i);
        apic_write(vps[i], APIC_REG_SVR, 0x1ff);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sim_stop();
    return 0;
}

/* Bit i: VP i has the vector pending; all are cleared. */
static uint32_t take_pending(uint8_t vector)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < VPS; i++) {
        if (apic_is_pending(vps[i], vector)) {
            bits |= 1u << i;
            apic_accept(vps[i], vector);
            apic_eoi(vps[i]);
        }
    }
    return bits;
}

static uint32_t take_requests(uint32_t request)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < VPS; i++) {
        bits |= (uint32_t)((atomic_fetch_and(&vps[i]->requests, ~request) & request) != 0) << i;
    }
    return bits;
}

static void enter_x2apic(struct vp *vp)
{
    uint64_t base;

    assert_true(apic_msr_read(vp, X86_MSR_APIC_BASE, &base));
    assert_true(apic_msr_write(vp, X86_MSR_APIC_BASE, base | X86_APIC_BASE_X2APIC));
}

static void test_reset_values(void **state)
{
    uint64_t base;

    (void)state;
    apic_reset(vps[2], true);
    assert_int_equal(apic_read(vps[2], APIC_REG_ID), 2u << 24);
    assert_int_equal(apic_read(vps[2], APIC_REG_VERSION), 0x50014);
    assert_int_equal(apic_read(vps[2], APIC_REG_SVR), 0xff);
    assert_int_equal(apic_read(vps[2], APIC_REG_DFR), 0xffffffff);
    for (uint32_t offset = APIC_REG_LVT_TIMER; offset <= APIC_REG_LVT_ERROR; offset += 16) {
        assert_int_equal(apic_read(vps[2], offset), 0x10000);
    }
    assert_true(apic_msr_read(vps[0], X86_MSR_APIC_BASE, &base));
    assert_int_equal(base, 0xfee00900);
    assert_true(apic_msr_read(vps[2], X86_MSR_APIC_BASE, &base));
    assert_int_equal(base, 0xfee00800);
    assert_true(apic_is_page(vps[2], gpa(0xfee00ff0)));
    assert_false(apic_is_page(vps[2], gpa(0xfee01000)));
}

static void test_priority_and_nesting(void **state)
{
    struct vp *vp = vps[0];

    (void)state;
    assert_int_equal(apic_pending_vector(vp), -1);
    assert_true(apic_set_irr(vp, 0x31, false));
    assert_false(apic_set_irr(vp, 0x31, false));
    assert_true(apic_set_irr(vp, 0x52, false));
    assert_int_equal(apic_pending_vector(vp), 0x52);
    apic_accept(vp, 0x52);
    assert_int_equal(apic_ppr(vp), 0x50);
    assert_int_equal(apic_read(vp, APIC_REG_ISR + 0x20), 1u << 0x12);
    assert_int_equal(apic_pending_vector(vp), -1);
    apic_set_irr(vp, 0x5f, false); /* same class: waits */
    assert_int_equal(apic_pending_vector(vp), -1);
    apic_set_irr(vp, 0x60, false);
    assert_int_equal(apic_pending_vector(vp), 0x60);
    apic_accept(vp, 0x60);
    assert_int_equal(apic_ppr(vp), 0x60);
    apic_eoi(vp); /* ends 0x60, the highest */
    assert_int_equal(apic_ppr(vp), 0x50);
    assert_int_equal(apic_pending_vector(vp), -1);
    apic_eoi(vp);
    assert_int_equal(apic_ppr(vp), 0);
    assert_int_equal(apic_pending_vector(vp), 0x5f);
    apic_accept(vp, 0x5f);
    apic_eoi(vp);
    apic_eoi(vp); /* nothing in service: no effect */
    assert_int_equal(apic_pending_vector(vp), 0x31);
    apic_set_tpr(vp, 0x30);
    assert_int_equal(apic_pending_vector(vp), -1);
    assert_int_equal(apic_blocked_vector(vp), 0x31);
    assert_int_equal(apic_read(vp, APIC_REG_PPR), 0x30);
    apic_set_tpr(vp, 0x2f);
    assert_int_equal(apic_pending_vector(vp), 0x31);
    assert_int_equal(apic_blocked_vector(vp), -1);
}

static void test_disabled_apic(void **state)
{
    struct vp *vp = vps[1];

    (void)state;
    apic_set_irr(vp, 0x40, false);
    apic_write(vp, APIC_REG_LVT_LINT0, 0x700);
    apic_write(vp, APIC_REG_SVR, 0xff);
    assert_int_equal(apic_read(vp, APIC_REG_LVT_LINT0), 0x10700);
    apic_write(vp, APIC_REG_LVT_LINT0, 0x700); /* cannot be unmasked now */
    assert_int_equal(apic_read(vp, APIC_REG_LVT_LINT0), 0x10700);
    assert_false(apic_set_irr(vp, 0x50, false));
    assert_int_equal(apic_pending_vector(vp), 0x40); /* what was there is held */
    assert_true(apic_msr_write(vp, X86_MSR_APIC_BASE, 0xfee00000));
    assert_int_equal(apic_pending_vector(vp), -1);
    assert_false(apic_is_page(vp, gpa(0xfee00000)));
    assert_true(apic_msr_write(vp, X86_MSR_APIC_BASE, 0xfee00800));
    assert_int_equal(apic_read(vp, APIC_REG_SVR), 0xff);
}

static void test_mode_transitions(void **state)
{
    static const struct {
        uint64_t from, to;
        bool is_allowed;
    } table[] = {
        {0x800, 0xc00, true},  {0xc00, 0x800, false}, {0xc00, 0x000, true},       {0x000, 0xc00, false},
        {0x800, 0x400, false}, {0x000, 0x400, false}, {0x000, 0x800, true},       {0x800, 0x000, true},
        {0x800, 0x801, false}, {0x800, 0xa00, false}, {0x800, 1ull << 52, false},
    };
    struct vp *vp = vps[1];
    uint64_t base;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_true(apic_set_base(vp, 0xfee00000 | table[i].from));
        assert_int_equal(apic_msr_write(vp, X86_MSR_APIC_BASE, 0xfee00000 | table[i].to), table[i].is_allowed);
        assert_true(apic_msr_read(vp, X86_MSR_APIC_BASE, &base));
        assert_int_equal(base, 0xfee00000 | (table[i].is_allowed ? table[i].to : table[i].from));
    }
    assert_false(apic_set_base(vp, 0xfee00400));
    assert_true(apic_set_base(vp, 0xfee00800));
    assert_true(apic_msr_write(vp, X86_MSR_APIC_BASE, 0x80000800 | X86_APIC_BASE_BSP));
    assert_true(apic_msr_read(vp, X86_MSR_APIC_BASE, &base));
    assert_int_equal(base, 0x80000800); /* moved; the boot processor's bit is not the guest's */
    assert_true(apic_is_page(vp, gpa(0x80000000)));
}

static void test_x2apic_registers(void **state)
{
    static const struct {
        uint32_t msr;
        uint64_t value;
        bool is_allowed;
    } writes[] = {
        {0x802, 0, false},       {0x803, 0, false},        {0x808, 0x20, true},     {0x808, 0x120, false},
        {0x80a, 0, false},       {0x80b, 0, true},         {0x80b, 1, false},       {0x80d, 0, false},
        {0x80e, 0, false},       {0x80f, 0x1ff, true},     {0x80f, 0x1000, false},  {0x810, 0, false},
        {0x828, 0, true},        {0x828, 1, false},        {0x82f, 0x10000, false}, {0x830, 0x4 << 8, true},
        {0x830, 1 << 13, false}, {0x830, 1u << 20, false}, {0x831, 0, false},       {0x832, 0x20031, true},
        {0x832, 0x40031, false}, {0x835, 0x700, true},     {0x837, 0x200ff, false}, {0x838, 0x100000000, false},
        {0x838, 5, true},        {0x839, 0, false},        {0x83e, 0xb, true},      {0x83e, 4, false},
        {0x83f, 0x40, true},     {0x83f, 0x140, false},    {0x840, 0, false},       {0x8ff, 0, false},
    };
    struct vp *vp = vps[3];
    uint64_t value;

    (void)state;
    assert_false(apic_msr_read(vp, 0x802, &value)); /* xAPIC mode has no such MSRs */
    assert_false(apic_msr_write(vp, 0x80b, 0));
    enter_x2apic(vp);
    assert_false(apic_is_page(vp, gpa(0xfee00000)));
    assert_true(apic_msr_read(vp, 0x802, &value));
    assert_int_equal(value, 3);
    assert_true(apic_msr_read(vp, 0x80d, &value));
    assert_int_equal(value, 1u << 3);
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        if (apic_msr_write(vp, writes[i].msr, writes[i].value) != writes[i].is_allowed) {
            fail_msg("MSR %x := %llx", writes[i].msr, (unsigned long long)writes[i].value);
        }
    }
    assert_true(apic_is_pending(vp, 0x40));
    assert_false(apic_msr_read(vp, 0x80b, &value));
    assert_false(apic_msr_read(vp, 0x80e, &value));
    assert_false(apic_msr_read(vp, 0x831, &value));
    assert_false(apic_msr_read(vp, 0x83f, &value));
    assert_true(apic_msr_read(vp, 0x822, &value));
    assert_int_equal(value, 1);
    assert_true(apic_msr_write(vp, 0x830, 0x12345678000000fdull));
    assert_true(apic_msr_read(vp, 0x830, &value));
    assert_int_equal(value, 0x12345678000000fdull);
}

/* Sends by the xAPIC's two registers. */
static void send(uint32_t from, uint32_t low, uint32_t destination)
{
    apic_write(vps[from], APIC_REG_ICR_HIGH, destination << 24);
    apic_write(vps[from], APIC_REG_ICR_LOW, low);
}

static void test_xapic_destinations(void **state)
{
    (void)state;
    send(0, 0x41, 2);
    assert_int_equal(take_pending(0x41), 1u << 2);
    send(0, 0x41, 0);
    assert_int_equal(take_pending(0x41), 1u << 0);
    send(0, 0x41, 0x77);
    assert_int_equal(take_pending(0x41), 0);
    send(0, 0x41, 0xff);
    assert_int_equal(take_pending(0x41), 0xf);
    send(1, 0x41 | ICR_SELF, 0);
    assert_int_equal(take_pending(0x41), 1u << 1);
    send(1, 0x41 | ICR_ALL, 0);
    assert_int_equal(take_pending(0x41), 0xf);
    send(1, 0x41 | ICR_OTHERS, 0);
    assert_int_equal(take_pending(0x41), 0xd);

    for (uint32_t i = 0; i < VPS; i++) {
        apic_write(vps[i], APIC_REG_LDR, 1u << (24 + i));
    }
    send(0, 0x41 | ICR_LOGICAL, 0x0a);
    assert_int_equal(take_pending(0x41), 0xa);
    send(0, 0x41 | ICR_LOGICAL, 0x10);
    assert_int_equal(take_pending(0x41), 0);
    send(0, 0x41 | ICR_LOGICAL, 0xff);
    assert_int_equal(take_pending(0x41), 0xf);

    for (uint32_t i = 0; i < VPS; i++) { /* two clusters of two */
        apic_write(vps[i], APIC_REG_DFR, 0x0fffffff);
        apic_write(vps[i], APIC_REG_LDR, ((i / 2) << 28) | 1u << (24 + i % 2));
    }
    send(0, 0x41 | ICR_LOGICAL, 0x13);
    assert_int_equal(take_pending(0x41), 0xc);
    send(0, 0x41 | ICR_LOGICAL, 0x02);
    assert_int_equal(take_pending(0x41), 0x2);
    send(0, 0x41 | ICR_LOGICAL, 0xf1);
    assert_int_equal(take_pending(0x41), 0x5);
}

static void test_x2apic_destinations(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < VPS; i++) {
        enter_x2apic(vps[i]);
    }
    assert_true(apic_msr_write(vps[0], 0x830, 3ull << 32 | 0x42));
    assert_int_equal(take_pending(0x42), 1u << 3);
    assert_true(apic_msr_write(vps[0], 0x830, 0xffffffffull << 32 | 0x42));
    assert_int_equal(take_pending(0x42), 0xf);
    assert_true(apic_msr_write(vps[0], 0x830, 0xffull << 32 | 0x42)); /* no broadcast here */
    assert_int_equal(take_pending(0x42), 0);
    assert_true(apic_msr_write(vps[0], 0x830, 0x6ull << 32 | ICR_LOGICAL | 0x42));
    assert_int_equal(take_pending(0x42), 0x6);
    assert_true(apic_msr_write(vps[0], 0x830, 0x10006ull << 32 | ICR_LOGICAL | 0x42));
    assert_int_equal(take_pending(0x42), 0);
    assert_true(apic_msr_write(vps[2], 0x83f, 0x42));
    assert_int_equal(take_pending(0x42), 1u << 2);
    apic_write_icr(vps[1], 2ull << 32 | 0x42); /* the hypervisor's MSR */
    assert_int_equal(take_pending(0x42), 1u << 2);
}

static void test_delivery_modes(void **state)
{
    struct partition *child = sim_partition(child_id);
    uint32_t first;

    (void)state;
    take_requests(UINT32_MAX);
    send(0, ICR_NMI, 1);
    assert_int_equal(take_requests(VP_REQUEST_NMI), 1u << 1);
    send(0, ICR_INIT | 0x4000, 2);
    assert_int_equal(take_requests(VP_REQUEST_INIT), 1u << 2);
    send(0, ICR_INIT | 0x8000, 0xff); /* level de-assert */
    assert_int_equal(take_requests(VP_REQUEST_INIT), 0);
    send(0, ICR_SIPI | 0x9a | ICR_OTHERS, 0);
    assert_int_equal(take_requests(VP_REQUEST_SIPI), 0xe);
    assert_int_equal(vps[3]->sipi_vector, 0x9a);
    send(0, 0x200, 1); /* SMI: there is none */
    send(0, 0x300, 1);
    send(0, 0x700, 1);
    assert_int_equal(take_requests(UINT32_MAX), 0);

    for (uint32_t vector = 0x50; vector < 0x58; vector++) {
        send(0, ICR_LOWEST | vector, 0xff);
        first = take_pending((uint8_t)vector);
        assert_int_equal(__builtin_popcount(first), 1);
        send(0, ICR_LOWEST | vector, 0xff);
        assert_int_equal(take_pending((uint8_t)vector), first);
    }

    assert_int_equal(apic_deliver(child, HvX64InterruptTypeFixed, false, 3, 0x60, true), HV_STATUS_SUCCESS);
    assert_int_equal(apic_read(vps[3], APIC_REG_TMR + 0x30), 1);
    assert_int_equal(take_pending(0x60), 1u << 3);
    assert_int_equal(apic_deliver(child, HvX64InterruptTypeFixed, false, 200, 0x60, true), HV_STATUS_SUCCESS);
    assert_int_equal(apic_deliver(child, HvX64InterruptTypeFixed, false, 3, 15, true), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(apic_deliver(child, HvX64InterruptTypeFixed, false, 3, 256, true), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(apic_deliver(child, HvX64InterruptTypeSmi, false, 3, 0x60, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(apic_deliver(child, 99, false, 3, 0x60, false), HV_STATUS_INVALID_PARAMETER);
    assert_ptr_equal(apic_find_vp(child, 3), vps[3]);
    assert_null(apic_find_vp(child, 4));
}

static void test_extint(void **state)
{
    struct partition *child = sim_partition(child_id);

    (void)state;
    assert_int_equal(apic_deliver(child, HvX64InterruptTypeExtInt, false, 0, 0x08, false), HV_STATUS_SUCCESS);
    apic_set_irr(vps[0], 0x80, false);
    assert_int_equal(apic_pending_vector(vps[0]), 8);
    apic_accept(vps[0], 8);
    assert_int_equal(apic_ppr(vps[0]), 0); /* not in service */
    assert_int_equal(apic_pending_vector(vps[0]), 0x80);
    assert_int_equal(apic_deliver(child, HvX64InterruptTypeExtInt, false, 0, 0x09, false), HV_STATUS_SUCCESS);
    apic_clear_extint(child);
    assert_int_equal(apic_pending_vector(vps[0]), 0x80);
}

static void test_errors(void **state)
{
    struct vp *vp = vps[0];

    (void)state;
    apic_write(vp, APIC_REG_LVT_ERROR, 0xe1);
    send(0, 0x0f, 1);
    assert_int_equal(apic_read(vp, APIC_REG_ESR), 0); /* not before it is written */
    apic_write(vp, APIC_REG_ESR, 0);
    assert_int_equal(apic_read(vp, APIC_REG_ESR), APIC_ESR_SEND_ILLEGAL_VECTOR);
    assert_true(apic_is_pending(vp, 0xe1));
    assert_false(apic_set_irr(vp, 5, false));
    assert_int_equal(apic_read(vp, 0x3a0), 0);
    apic_write(vp, 0x3a0, 1);
    apic_write(vp, APIC_REG_ESR, 0);
    assert_int_equal(apic_read(vp, APIC_REG_ESR), APIC_ESR_RECEIVE_ILLEGAL_VECTOR | APIC_ESR_ILLEGAL_REGISTER);
    apic_write(vp, APIC_REG_ESR, 0);
    assert_int_equal(apic_read(vp, APIC_REG_ESR), 0);
}

static void test_timer_one_shot(void **state)
{
    static const struct {
        uint32_t code, divisor;
    } divides[] = {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
    struct vp *vp = vps[0];

    (void)state;
    apic_write(vp, APIC_REG_LVT_TIMER, 0xec);
    for (size_t i = 0; i < sizeof(divides) / sizeof(divides[0]); i++) {
        uint32_t divisor = divides[i].divisor;
        uint32_t count = 1000 * TICKS_PER_100NS;

        apic_write(vp, APIC_REG_DIVIDE, divides[i].code);
        apic_write(vp, APIC_REG_INITIAL_COUNT, count);
        assert_in_range(apic_read(vp, APIC_REG_CURRENT_COUNT), count - 1, count);
        machine_advance_100ns(500 * divisor);
        assert_in_range(apic_read(vp, APIC_REG_CURRENT_COUNT), count / 2 - 1, count / 2 + 1);
        machine_advance_100ns(499 * divisor);
        assert_false(apic_is_pending(vp, 0xec));
        machine_advance_100ns(2 * divisor);
        assert_int_equal(take_pending(0xec), 1);
        assert_int_equal(apic_read(vp, APIC_REG_CURRENT_COUNT), 0);
        assert_int_equal(apic_read(vp, APIC_REG_INITIAL_COUNT), count);
        machine_advance_100ns(5000 * divisor);
        assert_int_equal(take_pending(0xec), 0);
    }
    apic_write(vp, APIC_REG_INITIAL_COUNT, 2000 * TICKS_PER_100NS);
    apic_write(vp, APIC_REG_INITIAL_COUNT, 0);
    machine_advance_100ns(10000);
    assert_int_equal(take_pending(0xec), 0);
    /* Masked: counts, and says nothing; not made up for. */
    apic_write(vp, APIC_REG_LVT_TIMER, 0x100ec);
    apic_write(vp, APIC_REG_INITIAL_COUNT, 2000 * TICKS_PER_100NS);
    machine_advance_100ns(1000);
    assert_in_range(apic_read(vp, APIC_REG_CURRENT_COUNT), 1000 * TICKS_PER_100NS - 1, 1000 * TICKS_PER_100NS + 1);
    machine_advance_100ns(2000);
    apic_write(vp, APIC_REG_LVT_TIMER, 0xec);
    machine_advance_100ns(5000);
    assert_int_equal(take_pending(0xec), 0);
    /* The divide register changes the rate of the count in progress. */
    apic_write(vp, APIC_REG_DIVIDE, 0xb);
    apic_write(vp, APIC_REG_INITIAL_COUNT, 2000 * TICKS_PER_100NS);
    machine_advance_100ns(1000);
    apic_write(vp, APIC_REG_DIVIDE, 0x0);
    assert_in_range(apic_read(vp, APIC_REG_CURRENT_COUNT), 1000 * TICKS_PER_100NS - 1, 1000 * TICKS_PER_100NS + 1);
    machine_advance_100ns(1990);
    assert_int_equal(take_pending(0xec), 0);
    machine_advance_100ns(20);
    assert_int_equal(take_pending(0xec), 1);
}

static void test_timer_periodic(void **state)
{
    struct vp *vp = vps[0];
    uint32_t count = 0;

    (void)state;
    apic_write(vp, APIC_REG_DIVIDE, 0xb);
    apic_write(vp, APIC_REG_LVT_TIMER, 0x200ec);
    apic_write(vp, APIC_REG_INITIAL_COUNT, 10000 * TICKS_PER_100NS); /* 1 ms */
    for (uint32_t i = 0; i < 1000; i++) {
        machine_advance_100ns(10000);
        count += take_pending(0xec);
    }
    assert_in_range(count, 999, 1000);
    /* Nobody accepts: one interrupt, then the machine's timer rests. */
    machine_advance_100ns(100000);
    assert_int_equal(machine_timer_deadline(0), 0);
    assert_int_equal(take_pending(0xec), 1); /* goes on, on its grid */
    assert_int_not_equal(machine_timer_deadline(0), 0);
    machine_advance_100ns(10001);
    assert_int_equal(take_pending(0xec), 1);
    /* An absurd period is served every 20 us at most. */
    apic_write(vp, APIC_REG_INITIAL_COUNT, 1);
    count = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        machine_advance_100ns(1);
        count += take_pending(0xec);
    }
    assert_in_range(count, 40, 50);
    /* A vector that no APIC takes does not keep the timer busy. */
    apic_write(vp, APIC_REG_LVT_TIMER, 0x20003);
    machine_advance_100ns(10000);
    assert_int_equal(machine_timer_deadline(0), 0);
    /* Neither does an APIC that is switched off. */
    apic_write(vp, APIC_REG_LVT_TIMER, 0x200ec);
    apic_write(vp, APIC_REG_INITIAL_COUNT, 1000 * TICKS_PER_100NS);
    apic_write(vp, APIC_REG_SVR, 0xff);
    machine_advance_100ns(10000);
    assert_int_equal(machine_timer_deadline(0), 0);
    assert_in_range(apic_read(vp, APIC_REG_CURRENT_COUNT), 1, 1000 * TICKS_PER_100NS);
}

static void test_level_eoi_of_child(void **state)
{
    struct vp *vp = vps[1];
    struct hv_x64_apic_eoi_message *payload = (void *)vp->intercept_page->payload;

    (void)state;
    apic_set_irr(vp, 0x70, false);
    apic_accept(vp, 0x70);
    apic_eoi(vp);
    assert_false(vp->is_intercept_suspended);
    apic_set_irr(vp, 0x70, true);
    apic_accept(vp, 0x70);
    assert_false(vp->is_intercept_suspended);
    apic_write(vp, APIC_REG_EOI, 0);
    assert_true(vp->is_intercept_suspended);
    assert_int_equal(vp->run_status, VP_RUN_INTERCEPT);
    assert_int_equal(vp->intercept_page->header.message_type, HvMessageTypeX64ApicEoi);
    assert_int_equal(vp->intercept_page->header.sender, child_id);
    assert_int_equal(vp->intercept_page->header.payload_size_bytes, sizeof(*payload));
    assert_int_equal(payload->vp_index, 1);
    assert_int_equal(payload->interrupt_vector, 0x70);
    assert_int_equal(apic_ppr(vp), 0);
    assert_true(atomic_load(&vp->requests) & VP_REQUEST_SUSPEND);
    assert_false(vp_handle_requests(vp));
    assert_int_equal(vp->run_status, VP_RUN_INTERCEPT);
}

static void test_root_device_interrupts(void **state)
{
    struct vp *root = sim_root_vp(0);
    struct hv_interrupt_entry entry;
    uint64_t msi = (uint64_t)HV_DEVICE_TYPE_PCI << HV_DEVICE_TYPE_SHIFT | 0x18;
    uint64_t ioapic = (uint64_t)HV_DEVICE_TYPE_IOAPIC << HV_DEVICE_TYPE_SHIFT;
    uint64_t eois = machine_eoi_count();

    (void)state;
    apic_write(root, APIC_REG_SVR, 0x1ff);
    /* Not mapped: the same number; an edge is ended at once. */
    irq_deliver_device(0x41);
    assert_true(apic_is_pending(root, 0x41));
    assert_int_equal(machine_eoi_count(), eois + 1);
    apic_accept(root, 0x41);
    apic_eoi(root);
    assert_int_equal(machine_eoi_count(), eois + 1);
    /* Level: at the root's EOI, not before. */
    machine_set_level(0x51, true);
    machine_set_level(0x61, true);
    irq_deliver_device(0x51);
    assert_int_equal(machine_eoi_count(), eois + 1);
    apic_accept(root, 0x51);
    irq_deliver_device(0x61); /* comes in between, and is ended first by the processor */
    apic_accept(root, 0x61);
    assert_int_equal(machine_eoi_count(), eois + 1);
    apic_eoi(root);
    assert_int_equal(machine_eoi_count(), eois + 2);
    apic_eoi(root);
    assert_int_equal(machine_eoi_count(), eois + 3);

    assert_int_equal(device_interrupt_map(ioapic, 0, HV_INTERRUPT_TRIGGER_MODE_LEVEL, 0x51, 0, &entry),
                     HV_STATUS_SUCCESS);
    assert_int_equal(entry.source, HvInterruptSourceIoApic);
    assert_int_equal(entry.data_low, 0x8051);
    assert_int_equal(entry.data_high >> 24, cpu_get(0)->apic_id);
    assert_int_equal(device_interrupt_map(msi, 0, 0, 0x51, 0, &entry),
                     HV_STATUS_SUCCESS); /* another one, same vector */
    assert_int_equal(entry.source, HvInterruptSourceMsi);
    assert_int_equal(entry.data_low, 0xfee00000 | cpu_get(0)->apic_id << 12);
    assert_int_equal(entry.data_high, IRQ_VECTOR_DEVICE_LAST);
    irq_deliver_device((uint8_t)entry.data_high);
    assert_true(apic_is_pending(root, 0x51));
    apic_accept(root, 0x51);
    apic_eoi(root);
    /* Physical order 0x51 < 0xef, the root ends the lower one first: its EOI waits for the other's. */
    machine_set_level((uint8_t)entry.data_high, true);
    eois = machine_eoi_count();
    assert_int_equal(device_interrupt_unmap(msi, &entry), HV_STATUS_SUCCESS);
    assert_int_equal(device_interrupt_unmap(msi, &entry), HV_STATUS_NOT_FOUND);
    irq_deliver_device(0x51);
    irq_deliver_device(0xef);
    apic_accept(root, 0xef);
    device_interrupt_eoi(root, 0x51);
    assert_int_equal(machine_eoi_count(), eois);
    apic_eoi(root);
    assert_int_equal(machine_eoi_count(), eois + 2);

    assert_int_equal(device_interrupt_map(3ull << 62, 0, 0, 0x51, 0, &entry), HV_STATUS_INVALID_DEVICE_ID);
    assert_int_equal(device_interrupt_map(msi, 0, 0, 0x0f, 0, &entry), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(device_interrupt_map(msi, 0, 1, 0x51, 0, &entry), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(device_interrupt_map(msi, 1, 0, 0x51, 0, &entry), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(device_interrupt_map(msi, 0, 0, 0x51, 7, &entry), HV_STATUS_INVALID_VP_INDEX);
    for (uint32_t i = IRQ_VECTOR_DEVICE_FIRST; i < IRQ_VECTOR_DEVICE_LAST; i++) {
        assert_int_equal(device_interrupt_map(msi, 0, 0, 0x51, 0, &entry), HV_STATUS_SUCCESS);
    }
    assert_int_equal(device_interrupt_map(msi, 0, 0, 0x51, 0, &entry), HV_STATUS_NO_RESOURCES);
    /* A root whose APIC is off takes nothing: the interrupt is ended for it. */
    apic_reset(root, true);
    eois = machine_eoi_count();
    machine_set_level(0x51, true);
    irq_deliver_device(0x51);
    assert_int_equal(machine_eoi_count(), eois + 1);
    irq_deliver_nmi();
    assert_true(atomic_load(&root->requests) & VP_REQUEST_NMI);
}

static void test_saved_state(void **state)
{
    struct hv_x64_interrupt_controller_state saved, again;

    (void)state;
    apic_write(vps[0], APIC_REG_LDR, 0x01000000);
    apic_write(vps[0], APIC_REG_LVT_TIMER, 0x200ec);
    apic_write(vps[0], APIC_REG_LVT_LINT0, 0x700);
    apic_write(vps[0], APIC_REG_DIVIDE, 0xb);
    apic_write(vps[0], APIC_REG_INITIAL_COUNT, 1000 * TICKS_PER_100NS);
    apic_set_irr(vps[0], 0x91, true);
    apic_set_irr(vps[0], 0x42, false);
    apic_accept(vps[0], 0x91);
    send(0, 0x00, 0);
    machine_advance_100ns(600);
    apic_get_state(vps[0], &saved);
    assert_int_equal(saved.apic_isr[4], 1u << 17);
    assert_int_equal(saved.apic_tmr[4], 1u << 17);
    assert_int_equal(saved.apic_irr[2], 1u << 2);
    assert_int_equal(saved.apic_error_status, APIC_ESR_SEND_ILLEGAL_VECTOR);
    assert_in_range(saved.apic_counter_value, 400 * TICKS_PER_100NS - 1, 400 * TICKS_PER_100NS + 1);
    apic_reset(vps[0], true);
    assert_int_equal(apic_set_state(vps[0], &saved), HV_STATUS_SUCCESS);
    apic_get_state(vps[0], &again);
    assert_memory_equal(&saved, &again, sizeof(saved));
    machine_advance_100ns(401);
    assert_true(apic_is_pending(vps[0], 0xec));
    saved.apic_spurious = 0x1000;
    assert_int_equal(apic_set_state(vps[0], &saved), HV_STATUS_INVALID_PARAMETER);
    memset(&saved, 0xff, sizeof(saved));
    saved.apic_spurious = 0x1ff;
    saved.apic_divide_configuration = 0;
    assert_int_equal(apic_set_state(vps[0], &saved), HV_STATUS_SUCCESS);
    assert_int_equal(apic_read(vps[0], APIC_REG_ISR), 0xffff0000); /* vectors that cannot be, are not */
}

/* Whatever a guest does to its APIC, it is only its own that suffers. */
static void test_random_accesses(void **state)
{
    (void)state;
    srand(1);
    for (uint32_t i = 0; i < 200000; i++) {
        struct vp *vp = vps[rand() % (int)VPS];
        uint32_t value = (uint32_t)rand() << 16 ^ (uint32_t)rand();
        uint32_t msr = (uint32_t)rand() % 0x48 + 0x800;
        uint64_t read;

        switch (rand() % 8) {
        case 0:
            apic_write(vp, (uint32_t)rand() % 0x100 * 16, value);
            break;
        case 1:
            (void)!apic_msr_write(vp, msr, rand() % 2 ? value & 0xfff : value | (uint64_t)rand() << 32);
            break;
        case 2:
            (void)!apic_msr_write(vp, X86_MSR_APIC_BASE, 0xfee00000 | (value & 0xc00));
            break;
        case 3:
            (void)!apic_msr_read(vp, msr, &read);
            break;
        case 4:
            machine_advance_100ns((uint64_t)rand() % 300);
            break;
        case 5:
            if (apic_pending_vector(vp) >= 0) {
                apic_accept(vp, (uint8_t)apic_pending_vector(vp));
            }
            break;
        default:
            apic_read(vp, (uint32_t)rand() % 0x100 * 16);
            break;
        }
        assert_true(apic_pending_vector(vp) < 256);
        vp->is_intercept_suspended = false;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reset_values, start, stop),
        cmocka_unit_test_setup_teardown(test_priority_and_nesting, start, stop),
        cmocka_unit_test_setup_teardown(test_disabled_apic, start, stop),
        cmocka_unit_test_setup_teardown(test_mode_transitions, start, stop),
        cmocka_unit_test_setup_teardown(test_x2apic_registers, start, stop),
        cmocka_unit_test_setup_teardown(test_xapic_destinations, start, stop),
        cmocka_unit_test_setup_teardown(test_x2apic_destinations, start, stop),
        cmocka_unit_test_setup_teardown(test_delivery_modes, start, stop),
        cmocka_unit_test_setup_teardown(test_extint, start, stop),
        cmocka_unit_test_setup_teardown(test_errors, start, stop),
        cmocka_unit_test_setup_teardown(test_timer_one_shot, start, stop),
        cmocka_unit_test_setup_teardown(test_timer_periodic, start, stop),
        cmocka_unit_test_setup_teardown(test_level_eoi_of_child, start, stop),
        cmocka_unit_test_setup_teardown(test_root_device_interrupts, start, stop),
        cmocka_unit_test_setup_teardown(test_saved_state, start, stop),
        cmocka_unit_test_setup_teardown(test_random_accesses, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
