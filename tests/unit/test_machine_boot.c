/* SPDX-License-Identifier: MIT */
/* hv/boot: Multiboot information, memory maps and options, sound and corrupt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/boot/boot_option.h"
#include "hv/boot/memory_map.h"
#include "hv/boot/multiboot.h"
#include "hv/boot/multiboot_format.h"
#include "hv/lib/addr.h"

#define WINDOW_START 0x1000u
#define WINDOW_BYTES 0x20000u
#define INFO_AT      0x2000u
#define WHY_BYTES    160

/* Physical memory of one test, exactly as long as the window, so that the sanitizer sees reads beyond. */
struct world {
    uint8_t *memory;
    struct boot_window window;
    struct boot_info info;
    char why[WHY_BYTES];
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->memory = calloc(1, WINDOW_BYTES);
    world->window = (struct boot_window){.content = world->memory, .start = WINDOW_START, .bytes = WINDOW_BYTES};
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

static void put(struct world *world, uint32_t address, const void *bytes, size_t count)
{
    assert_true(address >= WINDOW_START && address - WINDOW_START + count <= WINDOW_BYTES);
    memcpy(world->memory + (address - WINDOW_START), bytes, count);
}

static void put_text(struct world *world, uint32_t address, const char *text)
{
    put(world, address, text, strlen(text) + 1);
}

static bool parse(struct world *world, uint32_t magic)
{
    world->why[0] = '\0';
    return multiboot_parse(&world->window, magic, INFO_AT, &world->info, world->why, sizeof(world->why));
}

static void assert_refused(struct world *world, uint32_t magic, const char *reason)
{
    assert_false(parse(world, magic));
    if (strstr(world->why, reason) == NULL) {
        fail_msg("refused with \"%s\", expected something with \"%s\"", world->why, reason);
    }
}

/* ---- Multiboot1 ---- */

#define MB1_MAP_AT     0x3000u
#define MB1_MODULES_AT 0x4000u
#define MB1_TEXT_AT    0x5000u

/* A sound information block, to be bent by the tests: 2 modules, 2 map entries. */
static struct mb1_info sound_mb1(struct world *world, const char *loader)
{
    const struct mb1_memory map[2] = {
        {.size = 20, .base_low = 0x100000, .bytes_low = 0x7f00000, .type = 1},
        {.size = 20, .base_low = 0, .bytes_low = 0x9fc00, .type = 1},
    };
    const struct mb1_module modules[2] = {
        {.start = 0x200000, .end = 0x201234, .string = MB1_TEXT_AT + 0x200},
        {.start = 0x300000, .end = 0x300000, .string = 0},
    };
    struct mb1_info info = {
        .flags = MB1_INFO_COMMAND_LINE | MB1_INFO_MODULES | MB1_INFO_MEMORY_MAP | MB1_INFO_LOADER_NAME,
        .command_line = MB1_TEXT_AT,
        .module_count = 2,
        .modules = MB1_MODULES_AT,
        .memory_map_bytes = sizeof(map),
        .memory_map = MB1_MAP_AT,
        .loader_name = MB1_TEXT_AT + 0x100,
    };

    put_text(world, MB1_TEXT_AT, "/partita.elf a=1 b=2");
    put_text(world, MB1_TEXT_AT + 0x100, loader);
    put_text(world, MB1_TEXT_AT + 0x200, "/root.elf console=1");
    put(world, MB1_MAP_AT, map, sizeof(map));
    put(world, MB1_MODULES_AT, modules, sizeof(modules));
    put(world, INFO_AT, &info, sizeof(info));
    return info;
}

static void test_mb1_sound(void **state)
{
    struct world *world = *state;

    (void)sound_mb1(world, "other");
    assert_true(parse(world, MB1_LOADER_MAGIC));
    assert_string_equal(world->info.loader, "other");
    assert_string_equal(world->info.command_line, "/partita.elf a=1 b=2");
    assert_int_equal(world->info.module_count, 2);
    assert_int_equal(world->info.modules[0].start.value, 0x200000);
    assert_int_equal(world->info.modules[0].bytes, 0x1234);
    assert_string_equal(world->info.modules[0].arguments, "/root.elf console=1");
    assert_int_equal(world->info.modules[1].bytes, 0);
    assert_string_equal(world->info.modules[1].arguments, "");
    assert_int_equal(world->info.memory_count, 2);
    assert_int_equal(world->info.memory[0].start, 0);
    assert_int_equal(world->info.memory[1].start, 0x100000);
    assert_int_equal(world->info.rsdp_bytes, 0);
}

static void test_mb1_qemu_names_are_dropped(void **state)
{
    struct world *world = *state;

    (void)sound_mb1(world, "qemu");
    assert_true(parse(world, MB1_LOADER_MAGIC));
    assert_string_equal(world->info.command_line, "a=1 b=2");
    assert_string_equal(world->info.modules[0].arguments, "console=1");
    assert_string_equal(world->info.modules[1].arguments, "");
}

static void test_mb1_larger_map_entries(void **state)
{
    struct world *world = *state;
    struct mb1_info info = sound_mb1(world, "x");
    struct mb1_memory entry = {.size = 28, .base_low = 0x100000, .bytes_low = 0x7f00000, .type = 1};

    put(world, MB1_MAP_AT, &entry, sizeof(entry));
    entry.base_low = 0x8000000;
    entry.type = 3;
    put(world, MB1_MAP_AT + 32, &entry, sizeof(entry));
    info.memory_map_bytes = 64;
    put(world, INFO_AT, &info, sizeof(info));
    assert_true(parse(world, MB1_LOADER_MAGIC));
    assert_int_equal(world->info.memory_count, 2);
    assert_int_equal(world->info.memory[1].type, BOOT_MEMORY_ACPI);
}

static void test_mb1_corrupt(void **state)
{
    struct world *world = *state;
    const struct mb1_info sound = sound_mb1(world, "x");
    struct mb1_info bent = sound;

    assert_refused(world, 0x12345678, "magic");

    bent.flags &= ~(uint32_t)MB1_INFO_MEMORY_MAP;
    put(world, INFO_AT, &bent, sizeof(bent));
    assert_refused(world, MB1_LOADER_MAGIC, "no memory map");

    bent = sound;
    bent.memory_map = 0xfffffff0;
    put(world, INFO_AT, &bent, sizeof(bent));
    assert_refused(world, MB1_LOADER_MAGIC, "memory map");

    bent = sound;
    bent.memory_map_bytes = 0xffffffff;
    put(world, INFO_AT, &bent, sizeof(bent));
    assert_refused(world, MB1_LOADER_MAGIC, "size 0");

    bent = sound;
    bent.modules = 0x20ff8;
    put(world, INFO_AT, &bent, sizeof(bent));
    assert_refused(world, MB1_LOADER_MAGIC, "module list");

    bent = sound;
    bent.module_count = 0xffffffff;
    bent.modules = WINDOW_START;
    put(world, INFO_AT, &bent, sizeof(bent));
    assert_refused(world, MB1_LOADER_MAGIC, "more than 32 boot modules");

    bent = sound;
    bent.command_line = 0x10;
    put(world, INFO_AT, &bent, sizeof(bent));
    assert_refused(world, MB1_LOADER_MAGIC, "command line");

    bent = sound;
    bent.loader_name = 0xffffffff;
    put(world, INFO_AT, &bent, sizeof(bent));
    assert_refused(world, MB1_LOADER_MAGIC, "name");

    world->window.bytes = INFO_AT - WINDOW_START + 8;
    assert_refused(world, MB1_LOADER_MAGIC, "outside memory");
}

static void test_mb1_bad_modules(void **state)
{
    struct world *world = *state;
    struct mb1_module module = {.start = 0x300000, .end = 0x2fffff};

    (void)sound_mb1(world, "x");
    put(world, MB1_MODULES_AT + sizeof(module), &module, sizeof(module));
    assert_refused(world, MB1_LOADER_MAGIC, "before its start");

    module = (struct mb1_module){.start = 0xf0000000, .end = 0xf0001000};
    put(world, MB1_MODULES_AT + sizeof(module), &module, sizeof(module));
    assert_refused(world, MB1_LOADER_MAGIC, "boot module 1 (0xf0000000, 4096 bytes) does not lie in RAM");

    module = (struct mb1_module){.start = 0x300000, .end = 0x301000, .string = WINDOW_START + WINDOW_BYTES - 4};
    memset(world->memory + WINDOW_BYTES - 4, 'a', 4);
    put(world, MB1_MODULES_AT + sizeof(module), &module, sizeof(module));
    assert_refused(world, MB1_LOADER_MAGIC, "no end");
}

static void test_mb1_map_entry_sizes(void **state)
{
    struct world *world = *state;
    const uint32_t bad[] = {0, 19, 0xffffffff, 0xfffffffc};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)sound_mb1(world, "x");
        put(world, MB1_MAP_AT, &bad[i], sizeof(bad[i]));
        assert_refused(world, MB1_LOADER_MAGIC, "has size");
    }
}

static void test_long_command_line(void **state)
{
    struct world *world = *state;
    struct mb1_info info = sound_mb1(world, "x");

    info.command_line = 0x8000;
    put(world, INFO_AT, &info, sizeof(info));
    memset(world->memory + 0x8000 - WINDOW_START, 'a', BOOT_COMMAND_LINE_MAX - 1);
    assert_true(parse(world, MB1_LOADER_MAGIC));
    assert_int_equal(strlen(world->info.command_line), BOOT_COMMAND_LINE_MAX - 1);
    memset(world->memory + 0x8000 - WINDOW_START, 'a', BOOT_COMMAND_LINE_MAX);
    assert_refused(world, MB1_LOADER_MAGIC, "command line is longer than 2047 bytes");
}

/* ---- Multiboot2 ---- */

/* Appends a tag to the information, whose length is kept in its first word. */
static uint32_t add_tag(struct world *world, uint32_t type, const void *payload, uint32_t bytes)
{
    struct mb2_info header;
    memcpy(&header, world->memory + (INFO_AT - WINDOW_START), sizeof(header));
    uint32_t at = INFO_AT + header.total_bytes;
    const struct mb2_tag tag = {.type = type, .bytes = (uint32_t)sizeof(tag) + bytes};

    put(world, at, &tag, sizeof(tag));
    put(world, at + (uint32_t)sizeof(tag), payload, bytes);
    header.total_bytes += (uint32_t)align_up_u64(tag.bytes, 8);
    put(world, INFO_AT, &header, sizeof(header));
    return at;
}

static void start_mb2(struct world *world)
{
    const struct mb2_info header = {.total_bytes = sizeof(header)};

    memset(world->memory, 0, WINDOW_BYTES);
    put(world, INFO_AT, &header, sizeof(header));
}

static void add_mb2_memory(struct world *world)
{
    const struct {
        struct mb2_memory_map header;
        struct mb2_memory entries[2];
    } map = {
        .header = {.entry_bytes = sizeof(struct mb2_memory)},
        .entries = {{.base = 0, .bytes = 0xa0000, .type = 1}, {.base = 0x100000, .bytes = 0x7f00000, .type = 1}},
    };

    (void)add_tag(world, MB2_TAG_MEMORY_MAP, &map, sizeof(map));
}

static void add_mb2_module(struct world *world, uint32_t start, uint32_t end, const char *text)
{
    uint8_t payload[256];
    const struct mb2_module module = {.start = start, .end = end};

    memcpy(payload, &module, sizeof(module));
    memcpy(payload + sizeof(module), text, strlen(text) + 1);
    (void)add_tag(world, MB2_TAG_MODULE, payload, (uint32_t)(sizeof(module) + strlen(text) + 1));
}

static void test_mb2_sound(void **state)
{
    struct world *world = *state;
    uint8_t rsdp[36] = "RSD PTR ";

    start_mb2(world);
    (void)add_tag(world, MB2_TAG_COMMAND_LINE, "one=1 two", 10);
    (void)add_tag(world, MB2_TAG_LOADER_NAME, "GRUB", 5);
    add_mb2_module(world, 0x400000, 0x400801, "console=ttyS0");
    (void)add_tag(world, 4711, "unknown", 7);
    add_mb2_memory(world);
    (void)add_tag(world, MB2_TAG_ACPI_NEW, rsdp, sizeof(rsdp));
    (void)add_tag(world, MB2_TAG_ACPI_OLD, rsdp, 20);
    (void)add_tag(world, MB2_TAG_END, "", 0);
    assert_true(parse(world, MB2_LOADER_MAGIC));
    assert_string_equal(world->info.command_line, "one=1 two");
    assert_string_equal(world->info.loader, "GRUB");
    assert_int_equal(world->info.module_count, 1);
    assert_int_equal(world->info.modules[0].bytes, 0x801);
    assert_string_equal(world->info.modules[0].arguments, "console=ttyS0");
    assert_int_equal(world->info.memory_count, 2);
    assert_int_equal(world->info.rsdp_bytes, 36);
    assert_memory_equal(world->info.rsdp_copy, rsdp, sizeof(rsdp));
}

static void test_mb2_corrupt_total(void **state)
{
    struct world *world = *state;
    const uint32_t bad[] = {0, 7, WINDOW_BYTES, 0xffffffff};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        start_mb2(world);
        put(world, INFO_AT, &bad[i], sizeof(bad[i]));
        assert_refused(world, MB2_LOADER_MAGIC, "has a size of");
    }
    start_mb2(world);
    assert_refused(world, MB2_LOADER_MAGIC, "no end tag");
    world->window.bytes = INFO_AT - WINDOW_START + 4;
    assert_refused(world, MB2_LOADER_MAGIC, "outside memory");
}

static void test_mb2_corrupt_tags(void **state)
{
    struct world *world = *state;
    const uint32_t bad_sizes[] = {0, 7, 0x10000, 0xffffffff};
    const struct mb2_memory_map tiny_entries = {.entry_bytes = 8};

    for (size_t i = 0; i < sizeof(bad_sizes) / sizeof(bad_sizes[0]); i++) {
        start_mb2(world);
        uint32_t at = add_tag(world, MB2_TAG_COMMAND_LINE, "x", 2);
        (void)add_tag(world, MB2_TAG_END, "", 0);
        put(world, at + 4, &bad_sizes[i], sizeof(bad_sizes[i]));
        assert_refused(world, MB2_LOADER_MAGIC, "Multiboot2 tag 1 has a size of");
    }
    start_mb2(world);
    (void)add_tag(world, MB2_TAG_COMMAND_LINE, "abc", 3);
    (void)add_tag(world, MB2_TAG_END, "", 0);
    assert_refused(world, MB2_LOADER_MAGIC, "no end");

    start_mb2(world);
    (void)add_tag(world, MB2_TAG_MEMORY_MAP, &tiny_entries, sizeof(tiny_entries));
    assert_refused(world, MB2_LOADER_MAGIC, "entries of 8 bytes");

    start_mb2(world);
    (void)add_tag(world, MB2_TAG_MEMORY_MAP, &tiny_entries, 4);
    assert_refused(world, MB2_LOADER_MAGIC, "too short");

    start_mb2(world);
    (void)add_tag(world, MB2_TAG_MODULE, &tiny_entries, 4);
    assert_refused(world, MB2_LOADER_MAGIC, "boot module 0 is too short");

    start_mb2(world);
    (void)add_tag(world, MB2_TAG_ACPI_OLD, "RSD PTR ", 8);
    assert_refused(world, MB2_LOADER_MAGIC, "8 bytes");

    start_mb2(world);
    (void)add_tag(world, MB2_TAG_END, "", 0);
    assert_refused(world, MB2_LOADER_MAGIC, "no memory map");
}

static void test_mb2_too_many(void **state)
{
    struct world *world = *state;

    start_mb2(world);
    for (uint32_t i = 0; i <= BOOT_MODULE_MAX; i++) {
        add_mb2_module(world, 0x200000, 0x200000, "m");
    }
    assert_refused(world, MB2_LOADER_MAGIC, "more than 32 boot modules");
}

/* Any bytes at all: nothing may be read outside the window, whatever the answer. */
static void test_random_bytes(void **state)
{
    struct world *world = *state;
    uint64_t seed = 88172645463325252u;

    for (uint32_t round = 0; round < 4000; round++) {
        start_mb2(world);
        add_mb2_module(world, 0x400000, 0x400801, "console=ttyS0");
        add_mb2_memory(world);
        (void)add_tag(world, MB2_TAG_END, "", 0);
        (void)sound_mb1(world, "qemu");
        if (round % 2 == 0) {
            start_mb2(world);
            add_mb2_module(world, 0x400000, 0x400801, "console=ttyS0");
            add_mb2_memory(world);
            (void)add_tag(world, MB2_TAG_END, "", 0);
        }
        for (uint32_t i = 0; i < 6; i++) {
            static const uint32_t bases[] = {INFO_AT, MB1_MAP_AT, MB1_MODULES_AT, INFO_AT};
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            world->memory[bases[seed % 4] - WINDOW_START + (seed >> 8) % 160] = (uint8_t)(seed >> 32);
        }
        if (parse(world, round % 2 == 0 ? MB2_LOADER_MAGIC : MB1_LOADER_MAGIC)) {
            assert_true(world->info.module_count <= BOOT_MODULE_MAX);
            assert_true(world->info.memory_count <= BOOT_MEMORY_MAX);
        } else {
            assert_true(world->why[0] != '\0');
        }
    }
}

/* ---- ACPI root pointer by scanning ---- */

#define BIOS_BYTES 0x100000u

static void write_rsdp(uint8_t *at, uint8_t revision)
{
    uint32_t sum = 0;

    memcpy(at, "RSD PTR ", 8);
    at[15] = revision;
    at[8] = 0;
    for (size_t i = 0; i < 20; i++) {
        sum += at[i];
    }
    at[8] = (uint8_t)(0u - sum);
}

static void test_rsdp_scan(void **state)
{
    struct world *world = *state;
    uint8_t *memory = calloc(1, BIOS_BYTES);
    const struct boot_window window = {.content = memory, .start = 0, .bytes = BIOS_BYTES};
    const uint16_t segment = 0x9fc0;

    assert_false(multiboot_scan_rsdp(&window, &world->info));
    write_rsdp(memory + 0xfffe0, 2); /* its last 4 bytes would lie beyond */
    assert_true(multiboot_scan_rsdp(&window, &world->info));
    assert_int_equal(world->info.rsdp.value, 0xfffe0);
    assert_int_equal(world->info.rsdp_bytes, 20);

    write_rsdp(memory + 0xf5450, 2);
    assert_true(multiboot_scan_rsdp(&window, &world->info));
    assert_int_equal(world->info.rsdp.value, 0xf5450);
    assert_int_equal(world->info.rsdp_bytes, 36);

    memory[0xf5450 + 9] ^= 1;
    assert_true(multiboot_scan_rsdp(&window, &world->info));
    assert_int_equal(world->info.rsdp.value, 0xfffe0);

    memcpy(memory + 0x40e, &segment, sizeof(segment));
    write_rsdp(memory + 0x9fc00 + 0x3e0, 0);
    assert_true(multiboot_scan_rsdp(&window, &world->info));
    assert_int_equal(world->info.rsdp.value, 0x9fc00 + 0x3e0);
    assert_int_equal(world->info.rsdp_bytes, 20);
    free(memory);
}

/* ---- Memory maps ---- */

static void test_map_overlaps(void **state)
{
    (void)state;
    const struct boot_memory raw[] = {
        {.start = 0x100000, .bytes = 0x700000, .type = BOOT_MEMORY_RAM},
        {.start = 0x300000, .bytes = 0x1000, .type = BOOT_MEMORY_NVS},
        {.start = 0x0, .bytes = 0xa0000, .type = BOOT_MEMORY_RAM},
        {.start = 0x300800, .bytes = 0x1000, .type = 77},
        {.start = 0x800000, .bytes = 0x100000, .type = BOOT_MEMORY_RAM},
        {.start = UINT64_MAX - 0xfff, .bytes = 0x100000, .type = BOOT_MEMORY_RESERVED},
    };
    struct boot_memory map[8];
    uint32_t count;

    assert_true(memory_map_normalise(raw, 6, map, 8, &count));
    assert_int_equal(count, 6);
    assert_int_equal(map[1].start, 0x100000);
    assert_int_equal(map[1].bytes, 0x200000);
    assert_int_equal(map[2].type, BOOT_MEMORY_NVS);
    assert_int_equal(map[2].bytes, 0x800);
    assert_int_equal(map[3].type, BOOT_MEMORY_RESERVED);
    assert_int_equal(map[3].bytes, 0x1000);
    assert_int_equal(map[4].start, 0x301800);
    assert_int_equal(map[4].start + map[4].bytes, 0x900000);
    assert_int_equal(map[5].start, UINT64_MAX - 0xfff);
    assert_false(memory_map_normalise(raw, 6, map, 5, &count));
    assert_true(memory_map_is_ram(map, 6, 0x400000, 0x500000));
    assert_false(memory_map_is_ram(map, 6, 0x400000, 0x500001));
    assert_int_equal(memory_map_ram_end(map, 6), 0x900000);
    assert_int_equal(memory_map_ram_bytes(map, 6), 0xa0000 + 0x800000 - 0x1800);
}

static void test_map_touching_end_of_address_space(void **state)
{
    (void)state;
    const struct boot_memory raw = {.start = 0x1000, .bytes = UINT64_MAX - 0xfff, .type = BOOT_MEMORY_RAM};
    struct boot_memory map[2];
    uint32_t count;

    assert_true(memory_map_normalise(&raw, 1, map, 2, &count));
    assert_int_equal(count, 1);
    assert_int_equal(map[0].start, 0x1000);
    assert_true(map[0].bytes >= UINT64_MAX - 0x1fff);
}

static void test_find_room(void **state)
{
    (void)state;
    const struct boot_memory map[] = {
        {.start = 0, .bytes = 0xa0000, .type = BOOT_MEMORY_RAM},
        {.start = 0x100000, .bytes = MIB(127), .type = BOOT_MEMORY_RAM},
        {.start = GIB(4), .bytes = GIB(1), .type = BOOT_MEMORY_RAM},
    };
    const struct memory_map_hole holes[] = {{.start = MIB(100), .bytes = MIB(20)}, {.start = MIB(90), .bytes = 5}};
    uint64_t start;

    assert_true(memory_map_find_room(map, 3, NULL, 0, MIB(4), MIB(2), GIB(4), &start));
    assert_int_equal(start, MIB(124));
    assert_true(memory_map_find_room(map, 3, holes, 2, MIB(8), MIB(2), GIB(4), &start));
    assert_int_equal(start, MIB(120));
    assert_true(memory_map_find_room(map, 3, holes, 2, MIB(10), MIB(2), GIB(4), &start));
    assert_int_equal(start, MIB(80));
    assert_true(memory_map_find_room(map, 3, holes, 2, MIB(88), MIB(2), GIB(4), &start));
    assert_int_equal(start, MIB(2));
    assert_false(memory_map_find_room(map, 3, holes, 2, MIB(90), MIB(2), GIB(4), &start));
    assert_true(memory_map_find_room(map, 3, holes, 2, MIB(90), MIB(2), GIB(512), &start));
    assert_int_equal(start, GIB(5) - MIB(90));
}

/* ---- Options ---- */

static void test_options(void **state)
{
    (void)state;
    const char *line = "a=1  hvmem=16M xhvmem=3 empty= hvmem=32M word long=123456789";
    char value[8];

    assert_true(boot_option_find(line, "a", value, sizeof(value)));
    assert_string_equal(value, "1");
    assert_true(boot_option_find(line, "hvmem", value, sizeof(value)));
    assert_string_equal(value, "32M");
    assert_true(boot_option_find(line, "empty", value, sizeof(value)));
    assert_string_equal(value, "");
    assert_false(boot_option_find(line, "word", value, sizeof(value)));
    assert_false(boot_option_find(line, "hvme", value, sizeof(value)));
    assert_false(boot_option_find(line, "long", value, sizeof(value)));
    assert_false(boot_option_find("", "a", value, sizeof(value)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mb1_sound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb1_qemu_names_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb1_larger_map_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb1_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb1_bad_modules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb1_map_entry_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_command_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb2_sound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb2_corrupt_total, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb2_corrupt_tags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb2_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rsdp_scan, setup, teardown),
        cmocka_unit_test(test_map_overlaps),
        cmocka_unit_test(test_map_touching_end_of_address_space),
        cmocka_unit_test(test_find_room),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
