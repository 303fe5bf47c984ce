/* SPDX-License-Identifier: MIT */
/* The IO-APIC: registers, edge and level delivery, both kinds of EOI. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "partitions/root/worker/dev/ioapic.h"
#include "tests/unit/fake_host.h"

#define MASKED     0x10000u
#define LEVEL      0x08000u
#define REMOTE_IRR 0x04000u
#define ACTIVE_LOW 0x02000u
#define LOGICAL    0x00800u

/* An IO-APIC and its host. */
struct bench {
    struct host_vm *host;
    struct worker_counters counters;
    struct ioapic ioapic;
};

static int setup(void **state)
{
    static struct bench bench;

    memset(&bench, 0, sizeof(bench));
    bench.host = fake_host_create(4096);
    ioapic_init(&bench.ioapic, bench.host, &bench.counters);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    fake_host_destroy(bench->host);
    return 0;
}

static uint32_t read_register(struct bench *bench, uint32_t index)
{
    ioapic_write(&bench->ioapic, 0x00, 4, index);
    return (uint32_t)ioapic_read(&bench->ioapic, 0x10, 4);
}

static void write_register(struct bench *bench, uint32_t index, uint32_t value)
{
    ioapic_write(&bench->ioapic, 0x00, 4, index);
    ioapic_write(&bench->ioapic, 0x10, 4, value);
}

static void program(struct bench *bench, uint32_t pin, uint32_t high, uint32_t low)
{
    write_register(bench, 0x11 + 2 * pin, high);
    write_register(bench, 0x10 + 2 * pin, low);
}

static void set_line(struct bench *bench, uint8_t pin, bool is_asserted)
{
    struct irq_line line = {.ioapic = &bench->ioapic, .pin = pin};

    ioapic_set_line(&line, is_asserted);
}

static void test_registers(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(read_register(bench, 0), 0);
    assert_int_equal(read_register(bench, 1), 0x00170020);
    write_register(bench, 0, 0xFFFFFFFF);
    assert_int_equal(read_register(bench, 0), 0x0F000000);
    assert_int_equal(read_register(bench, 2), 0x0F000000);
    write_register(bench, 1, 0);
    assert_int_equal(read_register(bench, 1), 0x00170020);
    for (uint32_t pin = 0; pin < 24; pin++) {
        assert_int_equal(read_register(bench, 0x10 + 2 * pin), MASKED);
        assert_int_equal(read_register(bench, 0x11 + 2 * pin), 0);
    }
    /* Status bits and reserved bits cannot be written. */
    program(bench, 23, 0xFFFFFFFF, 0xFFFFFFFF);
    assert_int_equal(read_register(bench, 0x3E), 0x0001AFFF);
    assert_int_equal(read_register(bench, 0x3F), 0xFF000000);
    /* Beyond the table there is nothing. */
    write_register(bench, 0x40, 0xFFFFFFFF);
    write_register(bench, 0xFF, 0xFFFFFFFF);
    assert_int_equal(read_register(bench, 0x40), 0);
    assert_int_equal(read_register(bench, 0xFF), 0);
    assert_int_equal(ioapic_read(&bench->ioapic, 0x00, 4), 0xFF);
    assert_int_equal(ioapic_read(&bench->ioapic, 0x20, 4), 0);
    assert_int_equal(ioapic_read(&bench->ioapic, 0xFFF, 1), 0);
    ioapic_write(&bench->ioapic, 0x20, 4, 0x1234);
    assert_int_equal(bench->host->interrupt_count, 0);
}

static void test_edge(void **state)
{
    struct bench *bench = *state;

    /* Masked: lost. */
    set_line(bench, 4, true);
    set_line(bench, 4, false);
    program(bench, 4, 0x03000000, 0x41);
    assert_int_equal(bench->host->interrupt_count, 0);
    set_line(bench, 4, true);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_int_equal(bench->host->interrupts[0].vector, 0x41);
    assert_int_equal(bench->host->interrupts[0].type, 0);
    assert_int_equal(bench->host->interrupts[0].apic_id, 3);
    assert_false(bench->host->interrupts[0].is_level);
    assert_false(bench->host->interrupts[0].is_logical);
    /* Only a new edge interrupts again, and an EOI is nothing to it. */
    set_line(bench, 4, true);
    ioapic_end_of_interrupt(&bench->ioapic, 0x41);
    assert_int_equal(bench->host->interrupt_count, 1);
    set_line(bench, 4, false);
    assert_int_equal(bench->host->interrupt_count, 1);
    set_line(bench, 4, true);
    assert_int_equal(bench->host->interrupt_count, 2);
    assert_int_equal(read_register(bench, 0x18) & REMOTE_IRR, 0);
    assert_int_equal(bench->counters.interrupts_asserted, 2);
}

static void test_level(void **state)
{
    struct bench *bench = *state;

    program(bench, 9, 0x01000000, LEVEL | LOGICAL | ACTIVE_LOW | 0x100 | 0x51);
    set_line(bench, 9, true);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_true(bench->host->interrupts[0].is_level);
    assert_true(bench->host->interrupts[0].is_logical);
    assert_int_equal(bench->host->interrupts[0].type, 1);
    assert_int_equal(read_register(bench, 0x22) & REMOTE_IRR, REMOTE_IRR);
    /* Another vector's EOI, or a change of the line, does not repeat it. */
    ioapic_end_of_interrupt(&bench->ioapic, 0x52);
    set_line(bench, 9, false);
    set_line(bench, 9, true);
    assert_int_equal(bench->host->interrupt_count, 1);
    /* EOI by message: still asserted, so again. */
    ioapic_end_of_interrupt(&bench->ioapic, 0x51);
    assert_int_equal(bench->host->interrupt_count, 2);
    assert_int_equal(read_register(bench, 0x22) & REMOTE_IRR, REMOTE_IRR);
    /* EOI by register, released meanwhile. */
    set_line(bench, 9, false);
    ioapic_write(&bench->ioapic, 0x40, 4, 0x51);
    assert_int_equal(bench->host->interrupt_count, 2);
    assert_int_equal(read_register(bench, 0x22) & REMOTE_IRR, 0);
    set_line(bench, 9, true);
    assert_int_equal(bench->host->interrupt_count, 3);
}

static void test_level_mask_and_unmask(void **state)
{
    struct bench *bench = *state;

    set_line(bench, 9, true);
    program(bench, 9, 0, LEVEL | MASKED | 0x51);
    assert_int_equal(bench->host->interrupt_count, 0);
    write_register(bench, 0x22, LEVEL | 0x51);
    assert_int_equal(bench->host->interrupt_count, 1);
    /* Masking keeps remote IRR; unmasking does not repeat it. */
    write_register(bench, 0x22, LEVEL | MASKED | 0x51);
    assert_int_equal(read_register(bench, 0x22) & REMOTE_IRR, REMOTE_IRR);
    write_register(bench, 0x22, LEVEL | 0x51);
    assert_int_equal(bench->host->interrupt_count, 1);
    /* EOI while masked: nothing until unmasked. */
    write_register(bench, 0x22, LEVEL | MASKED | 0x51);
    ioapic_end_of_interrupt(&bench->ioapic, 0x51);
    assert_int_equal(bench->host->interrupt_count, 1);
    write_register(bench, 0x22, LEVEL | 0x51);
    assert_int_equal(bench->host->interrupt_count, 2);
    /* The way drivers of old IO-APICs do an EOI: to edge, masked, and back. */
    write_register(bench, 0x22, MASKED | 0x51);
    assert_int_equal(read_register(bench, 0x22) & REMOTE_IRR, 0);
    write_register(bench, 0x22, LEVEL | 0x51);
    assert_int_equal(bench->host->interrupt_count, 3);
}

static void test_shared_vector(void **state)
{
    struct bench *bench = *state;

    program(bench, 10, 0, LEVEL | 0x60);
    program(bench, 11, 0, LEVEL | 0x60);
    set_line(bench, 10, true);
    set_line(bench, 11, true);
    assert_int_equal(bench->host->interrupt_count, 2);
    set_line(bench, 10, false);
    ioapic_end_of_interrupt(&bench->ioapic, 0x60);
    assert_int_equal(bench->host->interrupt_count, 3);
    assert_int_equal(read_register(bench, 0x24) & REMOTE_IRR, 0);
    assert_int_equal(read_register(bench, 0x26) & REMOTE_IRR, REMOTE_IRR);
}

static void test_delivery_modes(void **state)
{
    struct bench *bench = *state;
    static const uint32_t refused[] = {0x200, 0x300, 0x600, 0x700};

    /* NMI and INIT are edges even where the entry says level. */
    program(bench, 1, 0x02000000, LEVEL | 0x400);
    set_line(bench, 1, true);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_int_equal(bench->host->interrupts[0].type, 4);
    assert_false(bench->host->interrupts[0].is_level);
    assert_int_equal(read_register(bench, 0x12) & REMOTE_IRR, 0);
    set_line(bench, 1, false);
    program(bench, 1, 0x02000000, 0x500);
    set_line(bench, 1, true);
    assert_int_equal(bench->host->interrupts[1].type, 5);
    /* SMI, ExtINT, reserved modes, and vectors of exceptions go nowhere. */
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        program(bench, 2, 0, refused[i] | 0x40);
        set_line(bench, 2, true);
        set_line(bench, 2, false);
    }
    program(bench, 2, 0, 0x0F);
    set_line(bench, 2, true);
    assert_int_equal(bench->host->interrupt_count, 2);
    assert_int_equal(bench->counters.interrupts_failed, 5);
}

static void test_refused_by_hypervisor(void **state)
{
    struct bench *bench = *state;

    bench->host->assert_status = HV_STATUS_INVALID_PARAMETER;
    program(bench, 9, 0, LEVEL | 0x51);
    set_line(bench, 9, true);
    assert_int_equal(bench->counters.interrupts_failed, 1);
    /* Not delivered, so nobody will send an EOI. */
    assert_int_equal(read_register(bench, 0x22) & REMOTE_IRR, 0);
    bench->host->assert_status = HV_STATUS_SUCCESS;
    write_register(bench, 0x22, LEVEL | 0x51);
    assert_int_equal(bench->host->interrupt_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_level_mask_and_unmask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared_vector, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delivery_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_by_hypervisor, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
