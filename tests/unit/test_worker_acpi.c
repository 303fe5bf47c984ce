/* SPDX-License-Identifier: MIT */
/* ACPI: the tables as a kernel would read them, the AML writer, and the fixed hardware through a VM's ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "partitions/root/worker/acpi/aml.h"
#include "partitions/root/worker/acpi/tables.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/vm.h"
#include "tests/unit/fake_host.h"

#define RAM_BYTES   UINT64_C(0x200000)
#define TICKS_SHIFT 31
#define SCI_VECTOR  0x39

/* ---- Tables ------------------------------------------------------------- */

static uint8_t sum_of(const uint8_t *bytes, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    return sum;
}

/* The table at an address, after checking what all tables have in common. */
static const uint8_t *check_table(const struct host_vm *host, uint64_t gpa, const char *signature)
{
    const uint8_t *table = host->ram + gpa;
    uint32_t length = get_u32(table + 4);

    assert_in_range(gpa, LAYOUT_ACPI_GPA, LAYOUT_ACPI_GPA + LAYOUT_ACPI_BYTES - 36);
    assert_memory_equal(table, signature, 4);
    assert_in_range(length, 36, LAYOUT_ACPI_GPA + LAYOUT_ACPI_BYTES - gpa);
    assert_int_equal(sum_of(table, length), 0);
    return table;
}

/* What the tests look at. */
struct tables {
    const uint8_t *fadt;
    const uint8_t *madt;
    const uint8_t *dsdt;
    const uint8_t *facs;
};

static struct tables read_tables(const struct host_vm *host, uint64_t rsdp_gpa)
{
    const uint8_t *rsdp = host->ram + rsdp_gpa;
    const uint8_t *xsdt;
    const uint8_t *rsdt;
    struct tables tables;

    assert_int_equal(rsdp_gpa % 16, 0);
    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(sum_of(rsdp, 20), 0);
    assert_int_equal(sum_of(rsdp, 36), 0);
    assert_int_equal(rsdp[15], 2);
    xsdt = check_table(host, get_u64(rsdp + 24), "XSDT");
    rsdt = check_table(host, get_u32(rsdp + 16), "RSDT");
    assert_int_equal(get_u32(xsdt + 4), 36 + 2 * 8);
    assert_int_equal(get_u32(rsdt + 4), 36 + 2 * 4);
    assert_int_equal(get_u64(xsdt + 36), get_u32(rsdt + 36));
    assert_int_equal(get_u64(xsdt + 44), get_u32(rsdt + 40));
    tables.fadt = check_table(host, get_u64(xsdt + 36), "FACP");
    tables.madt = check_table(host, get_u64(xsdt + 44), "APIC");
    tables.dsdt = check_table(host, get_u64(tables.fadt + 140), "DSDT");
    assert_int_equal(get_u32(tables.fadt + 40), get_u64(tables.fadt + 140));
    tables.facs = host->ram + get_u32(tables.fadt + 36);
    return tables;
}

static void test_fadt(void **state)
{
    struct host_vm *host = fake_host_create(RAM_BYTES);
    uint64_t rsdp_gpa = 0;
    struct tables tables;

    (void)state;
    assert_true(acpi_write_tables(host, 2, false, &rsdp_gpa));
    tables = read_tables(host, rsdp_gpa);
    assert_int_equal(get_u32(tables.fadt + 4), 276);
    assert_int_equal(tables.fadt[8], 6);
    assert_memory_equal(tables.facs, "FACS", 4);
    assert_int_equal(get_u32(tables.facs + 4), 64);
    assert_int_equal(get_u32(tables.fadt + 36) % 64, 0);
    assert_int_equal(get_u16(tables.fadt + 46), 9);
    /* No SMI command port: ACPI mode from the start. */
    assert_int_equal(get_u32(tables.fadt + 48), 0);
    assert_int_equal(get_u32(tables.fadt + 56), 0x600);
    assert_int_equal(get_u32(tables.fadt + 64), 0x604);
    assert_int_equal(get_u32(tables.fadt + 76), 0x608);
    assert_int_equal(tables.fadt[88], 4);
    assert_int_equal(tables.fadt[89], 2);
    assert_int_equal(tables.fadt[91], 4);
    assert_int_equal(tables.fadt[108], 0x32);
    /* Legacy devices, no VGA; no 8042, and a CMOS clock that is there. */
    assert_int_equal(get_u16(tables.fadt + 109), 0x0005);
    /* Not hardware-reduced, fixed power button, 32-bit timer, reset register. */
    assert_int_equal(get_u32(tables.fadt + 112) & ((1u << 20) | (1u << 10) | (1u << 8) | (1u << 5) | (1u << 4)),
                     (1u << 10) | (1u << 8) | (1u << 5));
    assert_memory_equal(tables.fadt + 116, "\x01\x08\x00\x01\xF9\x0C\x00\x00\x00\x00\x00\x00\x06", 13);
    assert_memory_equal(tables.fadt + 148, "\x01\x20\x00\x02\x00\x06\x00\x00\x00\x00\x00\x00", 12);
    assert_memory_equal(tables.fadt + 172, "\x01\x10\x00\x02\x04\x06\x00\x00\x00\x00\x00\x00", 12);
    assert_memory_equal(tables.fadt + 208, "\x01\x20\x00\x03\x08\x06\x00\x00\x00\x00\x00\x00", 12);
    fake_host_destroy(host);
}

/* Counts the entries of each type, and checks that they fill the table exactly. */
static void count_madt(const uint8_t *madt, uint32_t counts[16])
{
    uint32_t length = get_u32(madt + 4);
    uint32_t at = 44;

    memset(counts, 0, 16 * sizeof(counts[0]));
    while (at < length) {
        assert_in_range(madt[at], 0, 15);
        assert_in_range(madt[at + 1], 2, length - at);
        counts[madt[at]]++;
        at += madt[at + 1];
    }
    assert_int_equal(at, length);
}

static void test_madt(void **state)
{
    static const uint32_t vp_counts[] = {1, 2, 255, 256, WORKER_VPS_MAX};
    uint32_t counts[16];

    (void)state;
    for (size_t i = 0; i < sizeof(vp_counts) / sizeof(vp_counts[0]); i++) {
        struct host_vm *host = fake_host_create(RAM_BYTES);
        uint32_t vp_count = vp_counts[i];
        uint32_t xapic_count = vp_count < 255 ? vp_count : 255;
        uint64_t rsdp_gpa = 0;
        struct tables tables;

        host->is_ram_fragmented = true;
        assert_true(acpi_write_tables(host, vp_count, false, &rsdp_gpa));
        tables = read_tables(host, rsdp_gpa);
        assert_int_equal(get_u32(tables.madt + 36), 0xFEE00000);
        assert_int_equal(get_u32(tables.madt + 40), 0);
        count_madt(tables.madt, counts);
        assert_int_equal(counts[0], xapic_count);
        assert_int_equal(counts[9], vp_count - xapic_count);
        assert_int_equal(counts[1], 1);
        assert_int_equal(counts[2], 1);
        assert_int_equal(counts[4], 1);
        assert_int_equal(counts[10], vp_count > 255 ? 1 : 0);
        assert_memory_equal(tables.madt + 44, "\x00\x08\x00\x00\x01\x00\x00\x00", 8);
        if (vp_count > 255) {
            assert_memory_equal(tables.madt + 44 + 255 * 8,
                                "\x09\x10\x00\x00\xFF\x00\x00\x00\x01\x00\x00\x00\xFF\x00\x00\x00", 16);
        } else {
            const uint8_t *next = tables.madt + 44 + vp_count * 8;

            assert_memory_equal(next, "\x01\x0C\x00\x00\x00\x00\xC0\xFE\x00\x00\x00\x00", 12);
            /* The SCI is level-triggered, active high. */
            assert_memory_equal(next + 12, "\x02\x0A\x00\x09\x09\x00\x00\x00\x0D\x00", 10);
            assert_memory_equal(next + 22, "\x04\x06\xFF\x00\x00\x01", 6);
        }
        fake_host_destroy(host);
    }
}

/* clang-format off */
/* The DSDT behind its header, byte by byte; a disassembler reads it as intended. */
static const uint8_t expected_aml[] = {
    /* Name (_S5, Package (4) {5, 0, 0, 0}) and Scope (_SB) */
    0x08, '\\', '_', 'S', '5', '_', 0x12, 0x48, 0x00, 0x04, 0x0A, 0x05, 0x00, 0x00, 0x00,
    0x10, 0x4F, 0x08, '\\', '_', 'S', 'B', '_',
    /* Device (COM1) */
    0x5B, 0x82, 0x4D, 0x02, 'C', 'O', 'M', '1',
    0x08, '_', 'H', 'I', 'D', 0x0C, 0x41, 0xD0, 0x05, 0x01, 0x08, '_', 'U', 'I', 'D', 0x01,
    0x08, '_', 'C', 'R', 'S', 0x11, 0x41, 0x01, 0x0A, 0x0D,
    0x47, 0x01, 0xF8, 0x03, 0xF8, 0x03, 0x01, 0x08, 0x22, 0x10, 0x00, 0x79, 0x00,
    /* Device (COM2) */
    0x5B, 0x82, 0x4E, 0x02, 'C', 'O', 'M', '2',
    0x08, '_', 'H', 'I', 'D', 0x0C, 0x41, 0xD0, 0x05, 0x01, 0x08, '_', 'U', 'I', 'D', 0x0A, 0x02,
    0x08, '_', 'C', 'R', 'S', 0x11, 0x41, 0x01, 0x0A, 0x0D,
    0x47, 0x01, 0xF8, 0x02, 0xF8, 0x02, 0x01, 0x08, 0x22, 0x08, 0x00, 0x79, 0x00,
    /* Device (RTC0) */
    0x5B, 0x82, 0x47, 0x02, 'R', 'T', 'C', '0',
    0x08, '_', 'H', 'I', 'D', 0x0C, 0x41, 0xD0, 0x0B, 0x00,
    0x08, '_', 'C', 'R', 'S', 0x11, 0x41, 0x01, 0x0A, 0x0D,
    0x47, 0x01, 0x70, 0x00, 0x70, 0x00, 0x01, 0x02, 0x22, 0x00, 0x01, 0x79, 0x00,
};
/* Device (VMOD) with one DWordMemory, and Device (VMBS) below it */
static const uint8_t expected_vmbus_aml[] = {
    0x5B, 0x82, 0x43, 0x07, 'V', 'M', 'O', 'D',
    0x08, '_', 'H', 'I', 'D', 0x0D, 'A', 'C', 'P', 'I', '0', '0', '0', '4', 0x00, 0x08, '_', 'U', 'I', 'D', 0x00,
    0x08, '_', 'C', 'R', 'S', 0x11, 0x40, 0x02, 0x0A, 0x1C,
    0x87, 0x17, 0x00, 0x00, 0x0C, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xE0, 0xFF, 0xFF, 0xBF, 0xFE,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x1E, 0x79, 0x00,
    0x5B, 0x82, 0x40, 0x03, 'V', 'M', 'B', 'S',
    0x08, '_', 'H', 'I', 'D', 0x0D, 'V', 'M', 'B', 'u', 's', 0x00,
    0x08, '_', 'D', 'D', 'N', 0x0D, 'V', 'M', 'B', 'U', 'S', 0x00, 0x08, '_', 'U', 'I', 'D', 0x00,
    0x08, '_', 'C', 'R', 'S', 0x11, 0x46, 0x00, 0x0A, 0x02, 0x79, 0x00,
};
/* clang-format on */

static void test_dsdt_with_vmbus(void **state)
{
    struct host_vm *host = fake_host_create(RAM_BYTES);
    uint64_t rsdp_gpa = 0;
    struct tables tables;

    (void)state;
    assert_true(acpi_write_tables(host, 1, true, &rsdp_gpa));
    tables = read_tables(host, rsdp_gpa);
    assert_int_equal(get_u32(tables.dsdt + 4), 36 + sizeof(expected_aml) + sizeof(expected_vmbus_aml));
    assert_memory_equal(tables.dsdt + 36 + sizeof(expected_aml), expected_vmbus_aml, sizeof(expected_vmbus_aml));
    fake_host_destroy(host);
}

static void test_dsdt(void **state)
{
    struct host_vm *host = fake_host_create(RAM_BYTES);
    uint64_t rsdp_gpa = 0;
    struct tables tables;

    (void)state;
    assert_true(acpi_write_tables(host, 1, false, &rsdp_gpa));
    tables = read_tables(host, rsdp_gpa);
    assert_int_equal(get_u32(tables.dsdt + 4), 36 + sizeof(expected_aml));
    assert_memory_equal(tables.dsdt + 36, expected_aml, sizeof(expected_aml));
    fake_host_destroy(host);
}

static void test_tables_without_ram(void **state)
{
    struct host_vm *host = fake_host_create(0x80000);
    uint64_t rsdp_gpa = 0;

    (void)state;
    assert_false(acpi_write_tables(host, 1, false, &rsdp_gpa));
    fake_host_destroy(host);
}

static void test_aml_overflow(void **state)
{
    uint8_t bytes[4200];
    struct aml aml;
    struct aml_mark mark;

    (void)state;
    for (size_t capacity = 0; capacity < 40; capacity++) {
        memset(bytes, 0xEE, sizeof(bytes));
        aml_init(&aml, bytes, capacity);
        mark = aml_begin_device(&aml, "DEV0");
        aml_name_port_and_irq(&aml, 0x60, 1, 1);
        aml_end(&aml, mark);
        assert_int_equal(bytes[capacity], 0xEE);
        assert_int_equal(aml_is_complete(&aml), capacity >= 31);
    }
    /* An object that is too long for its length. */
    aml_init(&aml, bytes, sizeof(bytes));
    mark = aml_begin_scope(&aml, "\\_SB_");
    for (uint32_t i = 0; i < 410; i++) {
        aml_name_integer(&aml, "ABCD", 0x12345678);
    }
    assert_true(aml_is_complete(&aml));
    aml_end(&aml, mark);
    assert_false(aml_is_complete(&aml));
}

static void test_aml_integers(void **state)
{
    uint8_t bytes[64];
    struct aml aml;

    (void)state;
    aml_init(&aml, bytes, sizeof(bytes));
    aml_name_integer(&aml, "AAAA", 0);
    aml_name_integer(&aml, "AAAA", 0xFF);
    aml_name_integer(&aml, "AAAA", 0x100);
    aml_name_integer(&aml, "AAAA", 0x10000);
    assert_true(aml_is_complete(&aml));
    assert_memory_equal(bytes,
                        "\x08"
                        "AAAA\x00"
                        "\x08"
                        "AAAA\x0A\xFF"
                        "\x08"
                        "AAAA\x0B\x00\x01"
                        "\x08"
                        "AAAA\x0C\x00\x00\x01\x00",
                        6 + 7 + 8 + 10);
}

/* ---- Fixed hardware ----------------------------------------------------- */

static struct host_vm *bench_host;
static struct vm bench_vm;

static int setup(void **state)
{
    (void)state;
    bench_host = fake_host_create(4096);
    memset(&bench_vm, 0, sizeof(bench_vm));
    bench_vm.host = bench_host;
    bench_vm.vp_count = 2;
    ioapic_init(&bench_vm.ioapic, bench_host, &bench_vm.counters);
    ioapic_write(&bench_vm.ioapic, 0x00, 4, 0x10 + 2 * 9);
    ioapic_write(&bench_vm.ioapic, 0x10, 4, 0x8000 | SCI_VECTOR);
    acpi_pm_init(&bench_vm.acpi_pm, &bench_vm, bench_host, (struct irq_line){.ioapic = &bench_vm.ioapic, .pin = 9});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    acpi_pm_stop(&bench_vm.acpi_pm);
    assert_int_equal(fake_host_armed_timers(bench_host), 0);
    fake_host_destroy(bench_host);
    return 0;
}

static uint32_t pm_read(uint16_t offset, uint32_t size_bytes)
{
    return acpi_pm_read(&bench_vm.acpi_pm, offset, size_bytes);
}

static void pm_write(uint16_t offset, uint32_t size_bytes, uint32_t value)
{
    assert_true(acpi_pm_write(&bench_vm.acpi_pm, offset, size_bytes, value));
}

static void test_pm_timer(void **state)
{
    (void)state;
    assert_int_equal(pm_read(8, 4), 0);
    fake_now_100ns += 10000000;
    assert_int_equal(pm_read(8, 4), 3579545);
    assert_int_equal(pm_read(8, 2), 3579545 & 0xFFFF);
    assert_int_equal(pm_read(10, 1), 3579545 >> 16);
    pm_write(8, 4, 0);
    assert_int_equal(pm_read(8, 4), 3579545);
    /* A hundred days: the product with the frequency must not overflow, and 32 bits wrap. */
    fake_now_100ns += UINT64_C(8640000) * 10000000;
    assert_int_equal(pm_read(8, 4), (uint32_t)(UINT64_C(8640001) * 3579545));
}

static void test_pm_timer_interrupt(void **state)
{
    /* Half the range of 32 bits, in 100 ns, rounded up. */
    uint64_t half = (UINT64_C(1) << TICKS_SHIFT) * 10000000 / 3579545 + 1;

    (void)state;
    pm_write(2, 2, 0x0001);
    assert_int_equal(fake_host_armed_timers(bench_host), 1);
    fake_host_advance(bench_host, half - 10);
    assert_int_equal(pm_read(0, 2), 0);
    fake_host_advance(bench_host, 20);
    assert_int_equal(pm_read(0, 2), 1);
    assert_int_equal(bench_host->interrupt_count, 1);
    assert_int_equal(bench_host->interrupts[0].vector, SCI_VECTOR);
    assert_true(bench_host->interrupts[0].is_level);
    assert_int_equal(fake_host_armed_timers(bench_host), 0);
    pm_write(0, 2, 0x0001);
    assert_int_equal(pm_read(0, 2), 0);
    assert_int_equal(fake_host_armed_timers(bench_host), 1);
    ioapic_end_of_interrupt(&bench_vm.ioapic, SCI_VECTOR);
    assert_int_equal(bench_host->interrupt_count, 1);
    fake_host_advance(bench_host, half);
    assert_int_equal(bench_host->interrupt_count, 2);
    pm_write(2, 2, 0);
    assert_int_equal(fake_host_armed_timers(bench_host), 0);
    assert_int_equal(pm_read(0, 2), 1);
}

static void test_power_button(void **state)
{
    (void)state;
    acpi_pm_press_power_button(&bench_vm.acpi_pm);
    assert_int_equal(pm_read(0, 2), 0x0100);
    assert_int_equal(bench_host->interrupt_count, 0);
    /* Enabled in one 32-bit access whose status half clears nothing. */
    pm_write(0, 4, 0x01000000);
    assert_int_equal(pm_read(0, 4), 0x01000100);
    assert_int_equal(bench_host->interrupt_count, 1);
    /* Cleared by a byte access. */
    pm_write(1, 1, 0x01);
    assert_int_equal(pm_read(0, 4), 0x01000000);
    pm_write(2, 2, 0xFFFF);
    assert_int_equal(pm_read(2, 2), 0x0521);
}

static void test_power_off(void **state)
{
    (void)state;
    assert_int_equal(pm_read(4, 2), 0x0001);
    /* Linux writes the type first, then type and enable. */
    pm_write(4, 2, (5u << 10) | 1u);
    assert_int_equal(pm_read(4, 2), (5u << 10) | 1u);
    assert_int_equal(bench_host->ended_count, 0);
    pm_write(4, 2, (3u << 10) | 0x2001u);
    assert_int_equal(bench_host->ended_count, 0);
    pm_write(4, 2, (5u << 10) | 0x2001u);
    assert_int_equal(bench_host->ended_count, 1);
    assert_int_equal(bench_host->end_reason, HOST_VM_POWER_OFF);
    assert_int_equal(bench_host->vps[0].kicks, 1);
    assert_int_equal(bench_host->vps[1].kicks, 1);
    /* The enable bit is write-only, and a VM ends once. */
    assert_int_equal(pm_read(4, 2) & 0x2000, 0);
    pm_write(4, 2, (5u << 10) | 0x2001u);
    assert_int_equal(bench_host->ended_count, 1);
}

static void test_reset_register(void **state)
{
    struct acpi_pm *pm = &bench_vm.acpi_pm;

    (void)state;
    assert_true(acpi_pm_reset_write(pm, 0, 1, 0x02));
    assert_int_equal(acpi_pm_reset_read(pm, 0, 1), 0x02);
    assert_int_equal(bench_host->ended_count, 0);
    assert_true(acpi_pm_reset_write(pm, 0, 1, 0x06));
    assert_int_equal(bench_host->ended_count, 1);
    assert_int_equal(bench_host->end_reason, HOST_VM_RESET);
}

static void test_random_accesses(void **state)
{
    uint32_t random = 99;

    (void)state;
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t size_bytes = 1u << (random >> 30) % 3;
        uint16_t offset = (uint16_t)((random >> 20) % (LAYOUT_PM_PORTS - size_bytes + 1));

        random = random * 1664525 + 1013904223;
        bench_host->interrupt_count = 0;
        (void)pm_read(offset, size_bytes);
        pm_write(offset, size_bytes, random);
        fake_now_100ns += random;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fadt),
        cmocka_unit_test(test_madt),
        cmocka_unit_test(test_dsdt),
        cmocka_unit_test(test_dsdt_with_vmbus),
        cmocka_unit_test(test_tables_without_ram),
        cmocka_unit_test(test_aml_overflow),
        cmocka_unit_test(test_aml_integers),
        cmocka_unit_test_setup_teardown(test_pm_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pm_timer_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_button, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset_register, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_accesses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
