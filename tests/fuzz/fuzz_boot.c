/* SPDX-License-Identifier: MIT */
/*
 * What the hypervisor itself reads at boot: Multiboot information, the RSDP and the tables behind it, options, MTRRs,
 * and the root's image. Holds: what is accepted is consistent (sorted memory map, modules in RAM, terminated strings,
 * counts within their arrays), what is refused is refused with a sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/boot/boot_option.h"
#include "hv/boot/memory_map.h"
#include "hv/boot/multiboot.h"
#include "hv/boot/multiboot_format.h"
#include "hv/cpu/mtrr.h"
#include "hv/lib/acpi/acpi_tables.h"
#include "hv/lib/range.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"
#include "hv/partition/root_image.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim.h"

#define WINDOW_BYTES_MAX 65536u
#define WHY_BYTES        200
#define TEXT_BYTES       64

/* Physical memory that holds the input, from an address of the input's choice. */
static struct boot_window window;

static void read_window(struct fuzz_input *input)
{
    uint8_t *content;

    window.start = (uint64_t)fuzz_u8(input) << 12;
    window.bytes = input->left < WINDOW_BYTES_MAX ? input->left : WINDOW_BYTES_MAX;
    /* A block of its own, so that the sanitizer sees each byte that is read beyond it. */
    content = malloc(window.bytes == 0 ? 1 : window.bytes);
    FUZZ_CHECK(content != NULL);
    fuzz_fill(input, content, window.bytes);
    window.content = content;
}

static bool is_terminated(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static void check_boot_info(const struct boot_info *info)
{
    uint64_t end = 0;

    FUZZ_CHECK(is_terminated(info->loader, sizeof(info->loader)));
    FUZZ_CHECK(is_terminated(info->command_line, sizeof(info->command_line)));
    FUZZ_CHECK(info->memory_count <= BOOT_MEMORY_MAX && info->module_count <= BOOT_MODULE_MAX);
    for (uint32_t i = 0; i < info->memory_count; i++) {
        FUZZ_CHECK(info->memory[i].bytes != 0 && info->memory[i].start >= end);
        FUZZ_CHECK(info->memory[i].type >= BOOT_MEMORY_RAM && info->memory[i].type <= BOOT_MEMORY_BAD);
        end = info->memory[i].start + info->memory[i].bytes;
    }
    for (uint32_t i = 0; i < info->module_count; i++) {
        const struct boot_module *module = &info->modules[i];

        FUZZ_CHECK(is_terminated(module->arguments, sizeof(module->arguments)));
        FUZZ_CHECK(module->bytes == 0 ||
                   memory_map_is_ram(info->memory, info->memory_count, module->start.value, module->bytes));
    }
    FUZZ_CHECK(info->rsdp_bytes == 0 || info->rsdp_bytes == 20 || info->rsdp_bytes == BOOT_RSDP_MAX);
}

static void fuzz_multiboot(struct fuzz_input *input)
{
    static struct boot_info info;
    uint32_t magic = fuzz_below(input, 2) == 0 ? MB1_LOADER_MAGIC : MB2_LOADER_MAGIC;
    uint32_t information = fuzz_u32(input);
    char why[WHY_BYTES];

    read_window(input);
    memset(why, 'x', sizeof(why));
    if (multiboot_parse(&window, magic, information, &info, why, sizeof(why))) {
        check_boot_info(&info);
    } else {
        FUZZ_CHECK(is_terminated(why, sizeof(why)) && why[0] != '\0');
    }
}

static const void *window_at(void *context, uint64_t address, size_t bytes)
{
    return boot_window_at(context, address, bytes);
}

static void check_line(const char *line)
{
    FUZZ_CHECK(line[0] != '\0');
}

static void check_acpi_info(const struct acpi_info *info)
{
    FUZZ_CHECK(info->cpu_count >= 1 && info->cpu_count <= CPU_MAX);
    FUZZ_CHECK(info->ioapic_count <= ACPI_IOAPIC_MAX && info->override_count <= ACPI_OVERRIDE_MAX);
    FUZZ_CHECK(info->table_count <= ACPI_TABLE_MAX);
    for (uint32_t i = 0; i < info->table_count; i++) {
        FUZZ_CHECK(is_terminated(info->tables[i].signature, sizeof(info->tables[i].signature)));
    }
}

static void fuzz_acpi(struct fuzz_input *input)
{
    struct acpi_memory memory = {.at = window_at, .context = &window, .log = check_line};
    uint32_t boot_apic_id = fuzz_u8(input);
    struct boot_info found = {0};
    struct acpi_info info;
    uint8_t pm1a = 0;
    uint8_t pm1b = 0;

    read_window(input);
    acpi_set_defaults(&info, boot_apic_id);
    if (multiboot_scan_rsdp(&window, &found)) {
        FUZZ_CHECK(found.rsdp_bytes == 20 || found.rsdp_bytes == BOOT_RSDP_MAX);
        (void)!acpi_parse(&memory, found.rsdp_copy, found.rsdp_bytes, boot_apic_id, &info);
        check_acpi_info(&info);
        FUZZ_CHECK(info.apic_ids[0] == boot_apic_id);
        if (acpi_find_sleep_types(&memory, &info, &pm1a, &pm1b)) {
            FUZZ_CHECK(pm1a < 8 && pm1b < 8);
        }
    }
}

static void fuzz_option(struct fuzz_input *input)
{
    char line[TEXT_BYTES + 1] = {0};
    char name[9] = {0};
    char value[TEXT_BYTES / 2];
    size_t size = 1 + fuzz_below(input, sizeof(value));

    fuzz_fill(input, name, sizeof(name) - 1);
    fuzz_fill(input, line, sizeof(line) - 1);
    memset(value, 'x', sizeof(value));
    if (boot_option_find(line, name, value, size)) {
        FUZZ_CHECK(is_terminated(value, size) && strchr(value, ' ') == NULL);
        FUZZ_CHECK(strstr(line, name) != NULL && strstr(line, value) != NULL);
    }
    for (size_t i = size; i < sizeof(value); i++) {
        FUZZ_CHECK(value[i] == 'x');
    }
}

static void fuzz_mtrr(struct fuzz_input *input)
{
    struct mtrr_registers registers;
    struct mtrr_map map;

    fuzz_fill(input, &registers, sizeof(registers));
    mtrr_parse(&registers, &map);
    FUZZ_CHECK(map.range_count <= MTRR_VARIABLE_MAX);
    for (uint32_t i = 0; i < 8; i++) {
        uint64_t bytes = PAGE_SIZE << (fuzz_below(input, 3) * 9);
        uint64_t address = fuzz_u64(input) & ((UINT64_C(1) << 48) - bytes);
        uint64_t offset = fuzz_u32(input) % bytes;

        /* Where a range is said to have one type, any two addresses of it have the same. */
        FUZZ_CHECK(!mtrr_map_is_uniform(&map, spa(address), bytes) ||
                   mtrr_map_type(&map, spa(address)) == mtrr_map_type(&map, spa(address + offset)));
    }
}

#define IMAGE_ADDRESS UINT64_C(0x00400000)

static struct root_entry loaded;

static void load_root_image(void *argument)
{
    (void)argument;
    loaded = root_image_load();
}

static void fuzz_root_image(struct fuzz_input *input)
{
    struct boot_module *module = &machine_boot_info()->modules[0];

    sim_boot(1);
    module->bytes = input->left;
    fuzz_fill(input, mem_from_spa(spa(IMAGE_ADDRESS)), input->left);
    if (!machine_panics(load_root_image, NULL)) {
        FUZZ_CHECK(loaded.entry != 0 && mem_is_root_ram(spa(loaded.start_info), PAGE_SIZE));
        FUZZ_CHECK(loaded.entry < MACHINE_RESERVED_START);
    } else {
        FUZZ_CHECK(machine_last_log_line()[0] != '\0');
    }
    sim_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const kinds[])(struct fuzz_input *) = {fuzz_multiboot, fuzz_acpi, fuzz_option, fuzz_mtrr,
                                                         fuzz_root_image};
    struct fuzz_input input = {.bytes = bytes, .left = size};

    machine_set_log_echo(false);
    kinds[fuzz_below(&input, sizeof(kinds) / sizeof(kinds[0]))](&input);
    free((void *)(uintptr_t)window.content);
    window.content = NULL;
    return 0;
}
