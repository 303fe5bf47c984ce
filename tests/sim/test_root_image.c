/* SPDX-License-Identifier: MIT */
/* Loading the root's image: what it is given, what is moved out of its way, and every kind of broken image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/str.h"
#include "hv/mem/mem.h"
#include "hv/partition/pvh_format.h"
#include "hv/partition/root_image.h"
#include "hv/partition/root_memory.h"
#include "tests/machine/machine.h"

#define IMAGE_ADDRESS 0x00800000ull
#define TARGET        0x01000000ull
#define CODE_BYTES    5000

/* A file with two segments and a note. */
static struct {
    struct elf64_header header;
    struct elf64_program programs[3];
    struct {
        struct elf64_note header;
        char name[8];
        uint32_t content[2];
    } other_note;
    struct {
        struct elf64_note header;
        char name[4];
        uint32_t entry;
    } note;
    uint8_t code[CODE_BYTES];
} file;

static struct root_entry loaded;

static void make_file(void)
{
    memset(&file, 0, sizeof(file));
    file.header.magic = ELF_MAGIC;
    file.header.file_class = ELF_CLASS_64;
    file.header.data = ELF_DATA_LITTLE_ENDIAN;
    file.header.machine = ELF_MACHINE_X86_64;
    file.header.program_offset = offsetof(__typeof__(file), programs);
    file.header.program_entry_bytes = sizeof(struct elf64_program);
    file.header.program_count = 3;
    file.programs[0] = (struct elf64_program){.type = ELF_PT_LOAD,
                                              .offset = offsetof(__typeof__(file), code),
                                              .physical_address = TARGET,
                                              .file_bytes = CODE_BYTES,
                                              .memory_bytes = 3 * 4096};
    file.programs[1] =
        (struct elf64_program){.type = ELF_PT_LOAD, .physical_address = TARGET + 0x100000, .memory_bytes = 100};
    file.programs[2] = (struct elf64_program){.type = ELF_PT_NOTE,
                                              .offset = offsetof(__typeof__(file), other_note),
                                              .file_bytes = sizeof(file.other_note) + sizeof(file.note)};
    file.other_note.header = (struct elf64_note){.name_bytes = 6, .content_bytes = 8, .type = PVH_NOTE_PHYS32_ENTRY};
    memcpy(file.other_note.name, "Other", 6);
    file.note.header = (struct elf64_note){.name_bytes = 4, .content_bytes = 4, .type = PVH_NOTE_PHYS32_ENTRY};
    memcpy(file.note.name, "Xen", 4);
    file.note.entry = TARGET + 16;
    memset(file.code, 0xc0, sizeof(file.code));
}

static void put_module(uint32_t index, uint64_t address, const void *bytes, size_t size, const char *arguments)
{
    struct boot_module *module = &machine_boot_info()->modules[index];

    memcpy(mem_from_spa(spa(address)), bytes, size);
    module->start = spa(address);
    module->bytes = size;
    (void)str_copy(module->arguments, arguments, sizeof(module->arguments));
    if (machine_boot_info()->module_count <= index) {
        machine_boot_info()->module_count = index + 1;
    }
}

static int start(void **state)
{
    (void)state;
    (void)machine_reset();
    machine_set_log_echo(false);
    make_file();
    return 0;
}

static void load(void *argument)
{
    (void)argument;
    loaded = root_image_load();
}

static void assert_stops(const char *line)
{
    put_module(0, IMAGE_ADDRESS, &file, sizeof(file), "");
    assert_true(machine_panics(load, NULL));
    if (!machine_log_contains(line)) {
        fail_msg("the line does not say \"%s\": %s", line, machine_last_log_line());
    }
    (void)start(NULL);
}

static void test_no_module(void **state)
{
    (void)state;
    assert_true(machine_panics(load, NULL));
    assert_true(machine_log_contains("no root module"));
}

static void test_what_the_root_gets(void **state)
{
    const struct pvh_start_info *info;
    const struct pvh_memory *memory;
    const struct pvh_module *modules;
    const uint8_t *target = mem_from_spa(spa(TARGET));

    (void)state;
    memset(mem_from_spa(spa(TARGET)), 0xee, 3 * 4096);
    put_module(0, IMAGE_ADDRESS, &file, sizeof(file), "console=ttyS0 root");
    put_module(1, 0x02000000, "initrd", 6, "initrd arguments");
    put_module(2, 0x02001000, "guest", 5, "");
    machine_boot_info()->rsdp = spa(0xf0000);
    machine_boot_info()->rsdp_bytes = 36;
    load(NULL);
    assert_int_equal(loaded.entry, TARGET + 16);
    assert_int_equal(target[0], 0xc0);
    assert_int_equal(target[CODE_BYTES - 1], 0xc0);
    for (uint32_t i = CODE_BYTES; i < 3 * 4096; i++) {
        assert_int_equal(target[i], 0);
    }

    info = mem_from_spa(spa(loaded.start_info));
    assert_int_equal(info->magic, PVH_START_MAGIC);
    assert_int_equal(info->version, 1);
    assert_int_equal(info->rsdp_address, 0xf0000);
    assert_string_equal(mem_from_spa(spa(info->command_line_address)), "console=ttyS0 root");
    assert_int_equal(info->module_count, 2);
    modules = mem_from_spa(spa(info->module_list_address));
    assert_int_equal(modules[0].address, 0x02000000);
    assert_int_equal(modules[0].bytes, 6);
    assert_string_equal(mem_from_spa(spa(modules[0].command_line_address)), "initrd arguments");
    assert_int_equal(modules[1].bytes, 5);

    /* RAM, and behind it the hypervisor's range as reserved. */
    memory = mem_from_spa(spa(info->memory_map_address));
    assert_int_equal(info->memory_map_count, 2);
    assert_int_equal(memory[0].address, 0);
    assert_int_equal(memory[0].bytes, MACHINE_RESERVED_START);
    assert_int_equal(memory[0].type, BOOT_MEMORY_RAM);
    assert_int_equal(memory[1].address, MACHINE_RESERVED_START);
    assert_int_equal(memory[1].bytes, MACHINE_RAM_BYTES - MACHINE_RESERVED_START);
    assert_int_equal(memory[1].type, BOOT_MEMORY_RESERVED);
}

static void test_modules_move_out_of_the_way(void **state)
{
    const struct pvh_start_info *info;
    const struct pvh_module *modules;

    (void)state;
    /* The image lies where its own first segment goes, a module under the second. */
    put_module(0, TARGET + 0x800, &file, sizeof(file), "");
    put_module(1, TARGET + 0x100000 + 50, "in the way", 10, "one");
    put_module(2, TARGET + 0x200000, "elsewhere", 9, "two");
    load(NULL);
    assert_int_equal(((uint8_t *)mem_from_spa(spa(TARGET)))[CODE_BYTES - 1], 0xc0);
    info = mem_from_spa(spa(loaded.start_info));
    modules = mem_from_spa(spa(info->module_list_address));
    assert_int_not_equal(modules[0].address, TARGET + 0x100000 + 50);
    assert_true(mem_is_root_ram(spa(modules[0].address), modules[0].bytes));
    assert_memory_equal(mem_from_spa(spa(modules[0].address)), "in the way", 10);
    assert_int_equal(modules[1].address, TARGET + 0x200000);
    assert_memory_equal(mem_from_spa(spa(modules[1].address)), "elsewhere", 9);
}

static void test_broken_files(void **state)
{
    (void)state;
    file.header.magic = 0x12345678;
    assert_stops("not an ELF file for x86-64");
    file.header.file_class = 1;
    assert_stops("not an ELF file for x86-64");
    file.header.machine = 3;
    assert_stops("not an ELF file for x86-64");
    file.header.program_count = 0;
    assert_stops("program headers are missing");
    file.header.program_count = 33;
    assert_stops("program headers are missing");
    file.header.program_offset = sizeof(file) - 100;
    assert_stops("program headers are missing");
    file.header.program_offset = UINT64_MAX - 8;
    assert_stops("program headers are missing");
    file.programs[0].offset = UINT64_MAX - 5;
    assert_stops("segment 0 lies beyond the end of the file");
    file.programs[0].file_bytes = sizeof(file);
    assert_stops("segment 0 lies beyond the end of the file");
    file.programs[1].file_bytes = 101;
    assert_stops("segment 1 lies beyond the end of the file");
    file.programs[2].file_bytes = 40; /* the note that counts is cut off */
    assert_stops("no PVH entry point");
    file.note.header.type = 7;
    assert_stops("no PVH entry point");
    file.note.header.content_bytes = 0x7fffffff;
    assert_stops("no PVH entry point");
    file.other_note.header.name_bytes = UINT32_MAX;
    assert_stops("no PVH entry point");
    file.note.entry = TARGET - 1;
    assert_stops("is in none of its segments");
    file.note.entry = 0x7fffff00;
    assert_stops("is in none of its segments");
    file.programs[0].physical_address = MACHINE_RESERVED_START - 4096;
    assert_stops("no free RAM for its segment");
    file.programs[0].physical_address = UINT64_MAX - 4095;
    assert_stops("no free RAM for its segment");
    file.programs[1].memory_bytes = UINT64_MAX;
    assert_stops("no free RAM for its segment");
}

static void test_truncated_files(void **state)
{
    (void)state;
    /* Whatever is cut off is missed, up to the last byte of the first segment. */
    for (size_t size = 0; size < sizeof(file); size += 7) {
        (void)start(NULL);
        put_module(0, IMAGE_ADDRESS, &file, size, "");
        assert_true(machine_panics(load, NULL));
        assert_true(machine_log_contains("root image:"));
    }
}

static void test_too_little_memory(void **state)
{
    struct boot_info *info = machine_boot_info();

    (void)state;
    /* All of RAM that there is lies below the first megabyte or under the image. */
    info->memory_count = 2;
    info->memory[0] = (struct boot_memory){.start = 0, .bytes = 0xa0000, .type = BOOT_MEMORY_RAM};
    info->memory[1] = (struct boot_memory){.start = TARGET, .bytes = 3 * 4096, .type = BOOT_MEMORY_RAM};
    assert_stops("no room for the root's start information");
}

static void test_finding_room(void **state)
{
    struct root_memory_hole holes[2] = {{.start = MACHINE_RESERVED_START - 0x10000, .bytes = 0x10000},
                                        {.start = MACHINE_RESERVED_START - 0x30000, .bytes = 0x1000}};
    uint64_t at;

    (void)state;
    assert_true(root_memory_find(NULL, 0, 0x3000, &at));
    assert_int_equal(at, MACHINE_RESERVED_START - 0x3000);
    assert_true(root_memory_find(holes, 2, 0x1f000, &at));
    assert_int_equal(at, MACHINE_RESERVED_START - 0x2f000);
    assert_true(root_memory_find(holes, 2, 0x1f001, &at));
    assert_true(at + 0x1f001 <= holes[1].start);
    assert_true(root_memory_find(holes, 2, MACHINE_RESERVED_START - 0x100000 - 0x30000, &at));
    assert_int_equal(at, 0x100000);
    assert_false(root_memory_find(holes, 2, MACHINE_RESERVED_START - 0x100000 - 0x2f000, &at));
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_module),    TEST(test_what_the_root_gets), TEST(test_modules_move_out_of_the_way),
        TEST(test_broken_files), TEST(test_truncated_files),    TEST(test_too_little_memory),
        TEST(test_finding_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
