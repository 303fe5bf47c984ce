/* SPDX-License-Identifier: MIT */
/* hv/lib/acpi: sound and corrupt tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/debug/debug.h"
#include "hv/lib/acpi/acpi_format.h"
#include "hv/lib/acpi/acpi_tables.h"
#include "tests/machine/machine.h"

#define MEMORY_START 0x7fe00000u
#define MEMORY_BYTES 0x10000u
#define BOOT_APIC_ID 3
#define TABLES_MAX   64

/* Firmware memory of one test and the tables in it. */
struct world {
    uint8_t *memory;
    struct acpi_memory access;
    uint32_t used;
    uint64_t tables[TABLES_MAX];
    uint32_t table_count;
    uint8_t rsdp[36];
    struct acpi_info info;
};

static const void *at(void *context, uint64_t address, size_t bytes)
{
    const struct world *world = context;

    if (address < MEMORY_START || address - MEMORY_START > MEMORY_BYTES ||
        bytes > MEMORY_BYTES - (address - MEMORY_START)) {
        return NULL;
    }
    return world->memory + (address - MEMORY_START);
}

static void log_text(const char *line)
{
    log_line("%s", line);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    (void)machine_reset();
    machine_set_log_echo(false);
    world->memory = calloc(1, MEMORY_BYTES);
    world->access = (struct acpi_memory){.at = at, .context = world, .log = log_text};
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    free(world->memory);
    free(world);
    return 0;
}

static void fix_checksum(uint8_t *bytes, size_t count, size_t position)
{
    uint32_t sum = 0;

    bytes[position] = 0;
    for (size_t i = 0; i < count; i++) {
        sum += bytes[i];
    }
    bytes[position] = (uint8_t)(0u - sum);
}

/* Puts a table (header and what follows) into memory, with length and checksum; returns its address. */
static uint64_t put_table(struct world *world, const char *signature, void *table, uint32_t bytes)
{
    struct acpi_header *header = table;
    uint8_t *target = world->memory + world->used;

    memcpy(header->signature, signature, 4);
    header->bytes = bytes;
    assert_true(world->used + bytes <= MEMORY_BYTES);
    memcpy(target, table, bytes);
    fix_checksum(target, bytes, offsetof(struct acpi_header, checksum));
    world->used += (bytes + 15) / 16 * 16;
    return MEMORY_START + (uint64_t)(target - world->memory);
}

static uint8_t *table_at(struct world *world, uint64_t address)
{
    return world->memory + (address - MEMORY_START);
}

static void list_table(struct world *world, uint64_t address)
{
    assert_true(world->table_count < TABLES_MAX);
    world->tables[world->table_count++] = address;
}

/* Writes the root table and the root pointer for all listed tables. */
static void put_root(struct world *world, bool as_xsdt)
{
    uint8_t table[sizeof(struct acpi_header) + TABLES_MAX * 8] = {0};
    struct acpi_rsdp rsdp = {.revision = as_xsdt ? 2 : 0, .bytes = 36};
    uint32_t step = as_xsdt ? 8 : 4;

    for (uint32_t i = 0; i < world->table_count; i++) {
        memcpy(table + sizeof(struct acpi_header) + i * step, &world->tables[i], step);
    }
    uint64_t root = put_table(world, as_xsdt ? "XSDT" : "RSDT", table,
                              (uint32_t)sizeof(struct acpi_header) + world->table_count * step);
    memcpy(rsdp.signature, "RSD PTR ", 8);
    if (as_xsdt) {
        rsdp.xsdt = root;
    } else {
        rsdp.rsdt = (uint32_t)root;
    }
    memcpy(world->rsdp, &rsdp, sizeof(rsdp));
    fix_checksum(world->rsdp, 20, offsetof(struct acpi_rsdp, checksum));
    fix_checksum(world->rsdp, 36, offsetof(struct acpi_rsdp, extended_checksum));
}

static bool parse(struct world *world)
{
    return acpi_parse(&world->access, world->rsdp, sizeof(world->rsdp), BOOT_APIC_ID, &world->info);
}

/* A MADT with one entry of each kind and `extra` bytes of further entries. */
static uint64_t put_madt(struct world *world, const void *extra, size_t extra_bytes)
{
    uint8_t table[2048] = {0};
    struct acpi_madt madt = {.lapic_address = 0xfee00000, .flags = ACPI_MADT_PC_AT};
    size_t used = sizeof(madt);
    const struct acpi_madt_lapic lapics[3] = {
        {.entry = {ACPI_MADT_LAPIC, 8}, .apic_id = 0, .flags = 1},
        {.entry = {ACPI_MADT_LAPIC, 8}, .apic_id = BOOT_APIC_ID, .flags = 1},
        {.entry = {ACPI_MADT_LAPIC, 8}, .apic_id = 9, .flags = 0},
    };
    const struct acpi_madt_x2apic x2apic = {.entry = {ACPI_MADT_X2APIC, 16}, .apic_id = 300, .flags = 1};
    const struct acpi_madt_ioapic ioapic = {
        .entry = {ACPI_MADT_IOAPIC, 12}, .id = 5, .address = 0xfec00000, .gsi_base = 24};
    const struct acpi_madt_override override = {.entry = {ACPI_MADT_OVERRIDE, 10}, .source = 0, .gsi = 2, .flags = 0xd};
    const struct acpi_madt_lapic_address address = {.entry = {ACPI_MADT_LAPIC_ADDRESS, 12}, .address = 0xfee01000};

    memcpy(table, &madt, sizeof(madt));
    memcpy(table + used, lapics, sizeof(lapics));
    used += sizeof(lapics);
    memcpy(table + used, &x2apic, sizeof(x2apic));
    used += sizeof(x2apic);
    memcpy(table + used, &ioapic, sizeof(ioapic));
    used += sizeof(ioapic);
    memcpy(table + used, &override, sizeof(override));
    used += sizeof(override);
    memcpy(table + used, &address, sizeof(address));
    used += sizeof(address);
    if (extra_bytes != 0) {
        memcpy(table + used, extra, extra_bytes);
    }
    return put_table(world, "APIC", table, (uint32_t)(used + extra_bytes));
}

static uint64_t put_fadt_with_dsdt(struct world *world, uint64_t dsdt, uint64_t x_dsdt)
{
    struct acpi_fadt fadt = {
        .sci = 9, .pm1a_control = 0x604, .pm_timer = 0x608, .pm_timer_bytes = 4, .flags = ACPI_FADT_TIMER_32BIT};

    fadt.dsdt = (uint32_t)dsdt;
    fadt.x_dsdt = x_dsdt;
    fadt.x_pm1b_control = (struct acpi_address){.space = ACPI_SPACE_IO, .address = 0x704};
    return put_table(world, "FACP", &fadt, sizeof(fadt));
}

static uint64_t put_fadt(struct world *world)
{
    return put_fadt_with_dsdt(world, 0, 0);
}

static void assert_sound(const struct world *world)
{
    const struct acpi_info *info = &world->info;

    assert_int_equal(info->cpu_count, 3);
    assert_int_equal(info->apic_ids[0], BOOT_APIC_ID);
    assert_int_equal(info->apic_ids[1], 0);
    assert_int_equal(info->apic_ids[2], 300);
    assert_int_equal(info->ioapic_count, 1);
    assert_int_equal(info->ioapics[0].id, 5);
    assert_int_equal(info->ioapics[0].address, 0xfec00000);
    assert_int_equal(info->ioapics[0].gsi_base, 24);
    assert_int_equal(info->override_count, 1);
    assert_int_equal(info->overrides[0].gsi, 2);
    assert_int_equal(info->overrides[0].flags, 0xd);
    assert_int_equal(info->lapic_address, 0xfee01000);
    assert_true(info->has_8259);
}

static void test_sound_xsdt(void **state)
{
    struct world *world = *state;
    struct acpi_hpet hpet = {.base = {.space = ACPI_SPACE_MEMORY, .address = 0xfed00000}};
    struct acpi_header empty = {.revision = 1};

    list_table(world, put_fadt(world));
    list_table(world, 0);
    list_table(world, put_madt(world, NULL, 0));
    list_table(world, put_table(world, "HPET", &hpet, sizeof(hpet)));
    list_table(world, put_table(world, "MCFG", &empty, sizeof(empty)));
    list_table(world, put_table(world, "DMAR", &empty, sizeof(empty)));
    put_root(world, true);
    assert_true(parse(world));
    assert_sound(world);
    assert_int_equal(world->info.sci, 9);
    assert_int_equal(world->info.pm1a_control_port, 0x604);
    assert_int_equal(world->info.pm1b_control_port, 0x704);
    assert_int_equal(world->info.pm_timer_port, 0x608);
    assert_true(world->info.pm_timer_is_32bit);
    assert_true(world->info.has_hpet);
    assert_int_equal(world->info.hpet_address, 0xfed00000);
    assert_true(world->info.has_mcfg);
    assert_true(world->info.has_iommu);
    assert_true(world->info.root_table_is_xsdt);
    assert_int_equal(world->info.table_count, 5);
    assert_string_equal(world->info.tables[1].signature, "APIC");
}

static void test_sound_rsdt(void **state)
{
    struct world *world = *state;

    list_table(world, put_madt(world, NULL, 0));
    put_root(world, false);
    assert_true(acpi_parse(&world->access, world->rsdp, 20, BOOT_APIC_ID, &world->info));
    assert_sound(world);
    assert_false(world->info.root_table_is_xsdt);
    assert_int_equal(world->info.pm_timer_port, 0);
    assert_false(world->info.has_hpet);
}

static void test_broken_root(void **state)
{
    struct world *world = *state;

    list_table(world, put_madt(world, NULL, 0));
    put_root(world, true);
    assert_false(acpi_parse(&world->access, world->rsdp, 19, BOOT_APIC_ID, &world->info));
    assert_true(machine_log_contains("only 19 bytes"));

    world->rsdp[0] = 'X';
    assert_false(parse(world));
    world->rsdp[0] = 'R';
    world->rsdp[9] ^= 1;
    assert_false(parse(world));
    assert_true(machine_log_contains("wrong signature or checksum"));
    world->rsdp[9] ^= 1;

    /* A wrong extended checksum: the XSDT is not believed, and there is no RSDT. */
    world->rsdp[33] ^= 1;
    assert_false(parse(world));
    assert_true(machine_log_contains("names no root table"));
    assert_int_equal(world->info.cpu_count, 1);
    assert_int_equal(world->info.apic_ids[0], BOOT_APIC_ID);
    assert_int_equal(world->info.lapic_address, 0xfee00000);
}

static void test_broken_root_table(void **state)
{
    struct world *world = *state;

    list_table(world, put_madt(world, NULL, 0));
    put_root(world, true);
    const struct acpi_rsdp *rsdp = (const void *)world->rsdp;
    uint8_t *root = table_at(world, rsdp->xsdt);

    root[0] = 'Y';
    fix_checksum(root, sizeof(struct acpi_header) + 8, 9);
    assert_false(parse(world));
    assert_true(machine_log_contains("no usable root table"));
    root[0] = 'X';
    assert_false(parse(world));
    assert_true(machine_log_contains("wrong checksum"));

    struct acpi_rsdp far = *rsdp;
    far.xsdt = 0x123456789000;
    memcpy(world->rsdp, &far, sizeof(far));
    fix_checksum(world->rsdp, 36, offsetof(struct acpi_rsdp, extended_checksum));
    assert_false(parse(world));
    assert_true(machine_log_contains("cannot be reached"));
}

/* Each broken table is left out, the others still count. */
static void test_broken_tables(void **state)
{
    struct world *world = *state;
    struct acpi_hpet hpet = {.base = {.space = ACPI_SPACE_IO, .address = 0x1000}};
    uint64_t fadt = put_fadt(world);
    uint64_t short_hpet = put_table(world, "HPET", &hpet, sizeof(struct acpi_header));
    const uint32_t tiny = 35;
    const uint32_t huge = 0xffffffff;
    const uint32_t beyond = MEMORY_BYTES + 1;

    list_table(world, 0xfffffffffffffff0);
    list_table(world, fadt);
    list_table(world, short_hpet);
    list_table(world, put_table(world, "HPET", &hpet, sizeof(hpet)));
    list_table(world, put_madt(world, NULL, 0));
    put_root(world, true);

    table_at(world, fadt)[100] ^= 1;
    assert_true(parse(world));
    assert_sound(world);
    assert_int_equal(world->info.sci, 0);
    assert_false(world->info.has_hpet);
    assert_true(machine_log_contains("FACP has a wrong checksum"));
    assert_true(machine_log_contains("HPET is cut short"));
    assert_true(machine_log_contains("cannot be reached"));

    memcpy(table_at(world, fadt) + 4, &tiny, sizeof(tiny));
    assert_true(parse(world));
    assert_sound(world);
    assert_true(machine_log_contains("length of 35 bytes"));
    memcpy(table_at(world, fadt) + 4, &huge, sizeof(huge));
    assert_true(parse(world));
    assert_sound(world);
    memcpy(table_at(world, fadt) + 4, &beyond, sizeof(beyond));
    assert_true(parse(world));
    assert_sound(world);
    assert_true(machine_log_contains("FACP is cut short (65537 bytes)"));
}

static void test_broken_madt_entries(void **state)
{
    struct world *world = *state;
    /* A LAPIC entry of 4 bytes, an entry of 1 byte that ends the walk, and a processor that is not reached. */
    const uint8_t extra[] = {0, 4, 0, 0, 99, 1, 0, 8, 0, 77, 1, 0, 0, 0};

    list_table(world, put_madt(world, extra, sizeof(extra)));
    put_root(world, true);
    assert_true(parse(world));
    assert_sound(world);
    assert_true(machine_log_contains("MADT entry of type 0 has only 4 bytes"));
    assert_true(machine_log_contains("MADT entry of type 99 has a length of 1 bytes"));
}

static void test_madt_entry_beyond_end(void **state)
{
    struct world *world = *state;
    const uint8_t extra[] = {0, 8, 0, 77};

    list_table(world, put_madt(world, extra, sizeof(extra)));
    put_root(world, true);
    assert_true(parse(world));
    assert_sound(world);
    assert_true(machine_log_contains("MADT entry of type 0 has a length of 8 bytes"));
}

static void test_too_many(void **state)
{
    struct world *world = *state;
    struct acpi_madt_x2apic extra[ACPI_CPU_MAX + 5];
    struct acpi_header empty = {.revision = 1};

    for (uint32_t i = 0; i < ACPI_CPU_MAX + 5; i++) {
        extra[i] = (struct acpi_madt_x2apic){.entry = {ACPI_MADT_X2APIC, 16}, .apic_id = 1000 + i, .flags = 1};
    }
    list_table(world, put_madt(world, extra, sizeof(extra)));
    while (world->table_count < TABLES_MAX) {
        list_table(world, put_table(world, "TEST", &empty, sizeof(empty)));
    }
    put_root(world, true);
    assert_true(parse(world));
    assert_int_equal(world->info.cpu_count, ACPI_CPU_MAX);
    assert_int_equal(world->info.cpu_ignored_count, 8);
    assert_int_equal(world->info.apic_ids[0], BOOT_APIC_ID);
    assert_int_equal(world->info.table_count, ACPI_TABLE_MAX);
}

/* A DSDT with these bytes of AML; its address. */
static uint64_t put_dsdt(struct world *world, const uint8_t *aml, size_t bytes)
{
    uint8_t table[256] = {0};

    memcpy(table + sizeof(struct acpi_header), aml, bytes);
    return put_table(world, "DSDT", table, (uint32_t)(sizeof(struct acpi_header) + bytes));
}

/* Parses tables with this DSDT alone; the answer of acpi_find_sleep_types(). */
static bool find_sleep_types(struct world *world, const uint8_t *aml, size_t bytes, uint8_t *pm1a, uint8_t *pm1b)
{
    world->used = 0;
    world->table_count = 0;
    list_table(world, put_fadt_with_dsdt(world, put_dsdt(world, aml, bytes), 0));
    put_root(world, true);
    assert_true(parse(world));
    return acpi_find_sleep_types(&world->access, &world->info, pm1a, pm1b);
}

static void test_sleep_types(void **state)
{
    struct world *world = *state;
    const uint8_t absolute[] = {1, 2, 3, 0x08, '\\', '_', 'S', '5', '_', 0x12, 6, 4, 0x0A, 5, 0x0A, 7, 0, 0};
    const uint8_t relative[] = {0x08, '_', 'S', '5', '_', 0x12, 0x46, 0, 4, 1, 0, 0, 0, 9};
    const uint8_t *hidden = absolute + 5; /* no name operator in front */
    uint8_t large[sizeof(absolute)];
    uint8_t pm1a = 9;
    uint8_t pm1b = 9;

    assert_true(find_sleep_types(world, absolute, sizeof(absolute), &pm1a, &pm1b));
    assert_int_equal(pm1a, 5);
    assert_int_equal(pm1b, 7);
    assert_true(find_sleep_types(world, relative, sizeof(relative), &pm1a, &pm1b));
    assert_int_equal(pm1a, 1);
    assert_int_equal(pm1b, 0);
    assert_false(find_sleep_types(world, hidden, sizeof(absolute) - 5, &pm1a, &pm1b));
    memcpy(large, absolute, sizeof(absolute));
    large[13] = 8;
    assert_false(find_sleep_types(world, large, sizeof(large), &pm1a, &pm1b));
    large[13] = 5;
    large[14] = 2; /* neither zero, one nor a byte */
    assert_false(find_sleep_types(world, large, sizeof(large), &pm1a, &pm1b));
    for (size_t bytes = 0; bytes < 16; bytes++) {
        assert_false(find_sleep_types(world, absolute, bytes, &pm1a, &pm1b));
    }
}

static void test_broken_dsdt(void **state)
{
    struct world *world = *state;
    const uint8_t aml[] = {0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0A, 5, 0x0A, 5, 0, 0};
    uint64_t dsdt = put_dsdt(world, aml, sizeof(aml));
    uint8_t pm1a;
    uint8_t pm1b;

    /* The long address counts where there is one. */
    list_table(world, put_fadt_with_dsdt(world, 0x1000, dsdt));
    put_root(world, true);
    assert_true(parse(world));
    assert_true(acpi_find_sleep_types(&world->access, &world->info, &pm1a, &pm1b));
    table_at(world, dsdt)[40] ^= 1;
    assert_false(acpi_find_sleep_types(&world->access, &world->info, &pm1a, &pm1b));
    assert_true(machine_log_contains("DSDT has a wrong checksum"));
    world->info.dsdt = 0x1000;
    assert_false(acpi_find_sleep_types(&world->access, &world->info, &pm1a, &pm1b));
    assert_true(machine_log_contains("0x1000 cannot be reached"));
    world->info.dsdt = 0;
    assert_false(acpi_find_sleep_types(&world->access, &world->info, &pm1a, &pm1b));
}

/*
 * Any bytes at all: nothing outside the memory may be read (the block is exactly as large), and counts stay in bounds.
 */
static void test_random_bytes(void **state)
{
    struct world *world = *state;
    uint64_t seed = 88172645463325252u;

    list_table(world, put_fadt(world));
    list_table(world, put_madt(world, NULL, 0));
    put_root(world, true);
    uint8_t *sound = malloc(MEMORY_BYTES);
    memcpy(sound, world->memory, MEMORY_BYTES);
    for (uint32_t round = 0; round < 3000; round++) {
        uint64_t root = ((const struct acpi_rsdp *)(const void *)world->rsdp)->xsdt;
        memcpy(world->memory, sound, world->used);
        for (uint32_t i = 0; i < 4; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            world->memory[(seed >> 8) % world->used] = (uint8_t)(seed >> 40);
        }
        /* With checksums right the parser goes deeper. */
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t bytes;
            memcpy(&bytes, table_at(world, world->tables[i]) + 4, sizeof(bytes));
            if (bytes <= 400) {
                fix_checksum(table_at(world, world->tables[i]), bytes, 9);
            }
        }
        fix_checksum(table_at(world, root), sizeof(struct acpi_header) + 16, 9);
        (void)parse(world);
        assert_in_range(world->info.cpu_count, 1, ACPI_CPU_MAX);
        assert_true(world->info.ioapic_count <= ACPI_IOAPIC_MAX);
        assert_true(world->info.override_count <= ACPI_OVERRIDE_MAX);
    }
    free(sound);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sound_xsdt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sound_rsdt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_root, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_root_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_madt_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_madt_entry_beyond_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sleep_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_dsdt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
