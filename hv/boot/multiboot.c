/* SPDX-License-Identifier: MIT */
/*
 * Parsers of Multiboot1 and Multiboot2 information ("Boot information format" in both specifications). All of it lies
 * in RAM that will be the root's, so everything is copied. Whether a module makes sense is not decided here.
 */
#include "hv/boot/multiboot.h"

#include <stdarg.h>

#include "hv/boot/memory_map.h"
#include "hv/boot/multiboot_format.h"
#include "hv/lib/addr.h"
#include "hv/lib/bytes.h"
#include "hv/lib/fmt.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"

#define RAW_MEMORY_MAX       256
#define MB2_INFORMATION_MAX  MIB(16)
#define RSDP_OLD_BYTES       20
#define RSDP_ALIGNMENT       16
#define RSDP_REVISION_OFFSET 15
#define EBDA_SEGMENT_POINTER 0x40e
#define EBDA_SCAN_BYTES      1024
#define BIOS_SCAN_START      0xe0000
#define BIOS_SCAN_BYTES      0x20000

/* What one parse works on. */
struct parse {
    const struct boot_window *window;
    struct boot_info *info;
    char *why;
    size_t why_size;
    size_t raw_count;
    bool has_memory_map;
};

/* The memory map as reported. Only the boot processor parses, so one is enough. */
static struct boot_memory raw_memory[RAW_MEMORY_MAX];

const void *boot_window_at(const struct boot_window *window, uint64_t address, uint64_t bytes)
{
    if (!range_contains(window->start, window->bytes, address, bytes)) {
        return NULL;
    }
    return window->content + (address - window->start);
}

PRINTF_LIKE(2, 3) static bool fail(const struct parse *parse, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)fmt_vsnprintf(parse->why, parse->why_size, format, arguments);
    va_end(arguments);
    return false;
}

/* Copies a NUL-terminated string of at most `limit` bytes at `address`. */
static bool copy_string(const struct parse *parse, uint64_t address, uint64_t limit, char *out, size_t out_size,
                        const char *name)
{
    if (!range_contains_address(parse->window->start, parse->window->bytes, address)) {
        return fail(parse, "the boot loader's %s lies at 0x%llx, outside memory", name, (unsigned long long)address);
    }
    uint64_t available = parse->window->bytes - (address - parse->window->start);
    uint64_t readable = min_u64(min_u64(limit, available), out_size);
    const char *source = boot_window_at(parse->window, address, readable);
    size_t length = source == NULL ? 0 : str_length_max(source, readable);

    if (length == readable) {
        return fail(parse, "the boot loader's %s is longer than %llu bytes or has no end", name,
                    (unsigned long long)(readable - (readable > 0)));
    }
    memcpy(out, source, length + 1);
    return true;
}

static bool add_memory(struct parse *parse, uint64_t start, uint64_t bytes, uint32_t type)
{
    if (bytes == 0) {
        return true;
    }
    if (parse->raw_count == RAW_MEMORY_MAX) {
        return fail(parse, "the boot loader's memory map has more than %u entries", RAW_MEMORY_MAX);
    }
    raw_memory[parse->raw_count++] = (struct boot_memory){.start = start, .bytes = bytes, .type = type};
    return true;
}

/* The next free module, its range filled in. */
static struct boot_module *add_module(const struct parse *parse, uint32_t start, uint32_t end)
{
    struct boot_info *info = parse->info;

    if (info->module_count == BOOT_MODULE_MAX) {
        (void)fail(parse, "more than %u boot modules", BOOT_MODULE_MAX);
        return NULL;
    }
    if (end < start) {
        (void)fail(parse, "boot module %u ends at 0x%x, before its start at 0x%x", info->module_count, end, start);
        return NULL;
    }
    struct boot_module *module = &info->modules[info->module_count++];
    module->start = spa(start);
    module->bytes = end - start;
    return module;
}

static bool parse_mb1_memory(struct parse *parse, uint32_t address, uint32_t bytes)
{
    uint32_t offset = 0;

    while (bytes - offset >= sizeof(struct mb1_memory)) {
        struct mb1_memory entry;
        const void *source = boot_window_at(parse->window, (uint64_t)address + offset, sizeof(entry));
        if (source == NULL) {
            return fail(parse, "the boot loader's memory map lies at 0x%x, outside memory", address);
        }
        memcpy(&entry, source, sizeof(entry));
        uint32_t step;
        if (entry.size < sizeof(entry) - sizeof(entry.size) || !range_add_u32(entry.size, sizeof(entry.size), &step)) {
            return fail(parse, "an entry of the boot loader's memory map has size %u", entry.size);
        }
        if (!add_memory(parse, (uint64_t)entry.base_high << 32 | entry.base_low,
                        (uint64_t)entry.bytes_high << 32 | entry.bytes_low, entry.type)) {
            return false;
        }
        offset = step > bytes - offset ? bytes : offset + step;
    }
    parse->has_memory_map = true;
    return true;
}

static bool parse_mb1_modules(const struct parse *parse, uint32_t address, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct mb1_module entry;
        const void *source = boot_window_at(parse->window, (uint64_t)address + i * sizeof(entry), sizeof(entry));
        if (source == NULL) {
            return fail(parse, "the boot loader's module list lies at 0x%x, outside memory", address);
        }
        memcpy(&entry, source, sizeof(entry));
        struct boot_module *module = add_module(parse, entry.start, entry.end);
        if (module == NULL) {
            return false;
        }
        if (entry.string != 0 && !copy_string(parse, entry.string, UINT64_MAX, module->arguments,
                                              sizeof(module->arguments), "module argument string")) {
            return false;
        }
    }
    return true;
}

static bool parse_mb1(struct parse *parse, uint32_t information)
{
    struct mb1_info header;
    const void *source = boot_window_at(parse->window, information, sizeof(header));

    if (source == NULL) {
        return fail(parse, "the Multiboot information lies at 0x%x, outside memory", information);
    }
    memcpy(&header, source, sizeof(header));

    if ((header.flags & MB1_INFO_LOADER_NAME) != 0 &&
        !copy_string(parse, header.loader_name, UINT64_MAX, parse->info->loader, sizeof(parse->info->loader), "name")) {
        return false;
    }
    if ((header.flags & MB1_INFO_COMMAND_LINE) != 0 &&
        !copy_string(parse, header.command_line, UINT64_MAX, parse->info->command_line,
                     sizeof(parse->info->command_line), "command line")) {
        return false;
    }
    if ((header.flags & MB1_INFO_MODULES) != 0 && !parse_mb1_modules(parse, header.modules, header.module_count)) {
        return false;
    }
    return (header.flags & MB1_INFO_MEMORY_MAP) == 0 ||
           parse_mb1_memory(parse, header.memory_map, header.memory_map_bytes);
}

static bool parse_mb2_memory(struct parse *parse, uint64_t address, uint64_t bytes)
{
    struct mb2_memory_map header;
    const void *source = bytes < sizeof(header) ? NULL : boot_window_at(parse->window, address, sizeof(header));

    if (source == NULL) {
        return fail(parse, "the boot loader's memory-map tag is too short");
    }
    memcpy(&header, source, sizeof(header));
    if (header.entry_bytes < sizeof(struct mb2_memory)) {
        return fail(parse, "the boot loader's memory map has entries of %u bytes", header.entry_bytes);
    }
    for (uint64_t offset = sizeof(header); bytes - offset >= header.entry_bytes; offset += header.entry_bytes) {
        struct mb2_memory entry;
        source = boot_window_at(parse->window, address + offset, sizeof(entry));
        if (source == NULL) {
            return fail(parse, "the boot loader's memory map lies outside memory");
        }
        memcpy(&entry, source, sizeof(entry));
        if (!add_memory(parse, entry.base, entry.bytes, entry.type)) {
            return false;
        }
    }
    parse->has_memory_map = true;
    return true;
}

static bool parse_mb2_module(const struct parse *parse, uint64_t address, uint64_t bytes)
{
    struct mb2_module entry;
    const void *source = bytes < sizeof(entry) ? NULL : boot_window_at(parse->window, address, sizeof(entry));

    if (source == NULL) {
        return fail(parse, "the tag of boot module %u is too short", parse->info->module_count);
    }
    memcpy(&entry, source, sizeof(entry));
    struct boot_module *module = add_module(parse, entry.start, entry.end);
    return module != NULL && copy_string(parse, address + sizeof(entry), bytes - sizeof(entry), module->arguments,
                                         sizeof(module->arguments), "module argument string");
}

static bool parse_mb2_rsdp(const struct parse *parse, uint64_t address, uint64_t bytes)
{
    uint32_t wanted = bytes >= BOOT_RSDP_MAX ? BOOT_RSDP_MAX : RSDP_OLD_BYTES;
    const void *source = bytes < wanted ? NULL : boot_window_at(parse->window, address, wanted);

    if (source == NULL) {
        return fail(parse, "the boot loader's copy of the ACPI root pointer has only %llu bytes",
                    (unsigned long long)bytes);
    }
    /* Both kinds may be there; the longer one says more. */
    if (wanted > parse->info->rsdp_bytes) {
        memcpy(parse->info->rsdp_copy, source, wanted);
        parse->info->rsdp_bytes = wanted;
        parse->info->rsdp = spa(address);
    }
    return true;
}

/* One tag with its payload at `address`. */
static bool parse_mb2_tag(struct parse *parse, uint32_t type, uint64_t address, uint64_t bytes)
{
    struct boot_info *info = parse->info;

    switch (type) {
    case MB2_TAG_COMMAND_LINE:
        return copy_string(parse, address, bytes, info->command_line, sizeof(info->command_line), "command line");
    case MB2_TAG_LOADER_NAME:
        return copy_string(parse, address, bytes, info->loader, sizeof(info->loader), "name");
    case MB2_TAG_MODULE:
        return parse_mb2_module(parse, address, bytes);
    case MB2_TAG_MEMORY_MAP:
        return parse_mb2_memory(parse, address, bytes);
    case MB2_TAG_ACPI_OLD:
    case MB2_TAG_ACPI_NEW:
        return parse_mb2_rsdp(parse, address, bytes);
    default:
        return true;
    }
}

static bool parse_mb2(struct parse *parse, uint32_t information)
{
    struct mb2_info header;
    const void *source = boot_window_at(parse->window, information, sizeof(header));

    if (source == NULL) {
        return fail(parse, "the Multiboot2 information lies at 0x%x, outside memory", information);
    }
    memcpy(&header, source, sizeof(header));
    if (header.total_bytes < sizeof(header) || header.total_bytes > MB2_INFORMATION_MAX ||
        boot_window_at(parse->window, information, header.total_bytes) == NULL) {
        return fail(parse, "the Multiboot2 information has a size of %u bytes", header.total_bytes);
    }

    uint64_t offset = sizeof(header);
    while (header.total_bytes - offset >= sizeof(struct mb2_tag)) {
        struct mb2_tag tag;
        memcpy(&tag, boot_window_at(parse->window, information + offset, sizeof(tag)), sizeof(tag));
        if (tag.bytes < sizeof(tag) || tag.bytes > header.total_bytes - offset) {
            return fail(parse, "Multiboot2 tag %u has a size of %u bytes", tag.type, tag.bytes);
        }
        if (tag.type == MB2_TAG_END) {
            return true;
        }
        if (!parse_mb2_tag(parse, tag.type, information + offset + sizeof(tag), tag.bytes - sizeof(tag))) {
            return false;
        }
        offset = min_u64(offset + align_up_u64(tag.bytes, 8), header.total_bytes);
    }
    return fail(parse, "the Multiboot2 information has no end tag");
}

/* Takes the first word and the blanks behind it away. */
static void drop_first_word(char *string)
{
    const char *blank = str_find_char(string, ' ');
    size_t skip = blank == NULL ? str_length(string) : (size_t)(blank - string) + 1;

    memmove(string, string + skip, str_length(string + skip) + 1);
}

/* All that concerns the whole rather than one field. */
static bool finish(const struct parse *parse)
{
    struct boot_info *info = parse->info;

    if (!parse->has_memory_map) {
        return fail(parse, "the boot loader gave no memory map");
    }
    if (!memory_map_normalise(raw_memory, parse->raw_count, info->memory, BOOT_MEMORY_MAX, &info->memory_count)) {
        return fail(parse, "the memory map has more than %u ranges", BOOT_MEMORY_MAX);
    }
    for (uint32_t i = 0; i < info->module_count; i++) {
        const struct boot_module *module = &info->modules[i];
        if (module->bytes != 0 &&
            !memory_map_is_ram(info->memory, info->memory_count, module->start.value, module->bytes)) {
            return fail(parse, "boot module %u (0x%llx, %llu bytes) does not lie in RAM", i,
                        (unsigned long long)module->start.value, (unsigned long long)module->bytes);
        }
    }
    if (str_equal(info->loader, "qemu")) {
        drop_first_word(info->command_line);
        for (uint32_t i = 0; i < info->module_count; i++) {
            drop_first_word(info->modules[i].arguments);
        }
    }
    return true;
}

bool multiboot_parse(const struct boot_window *window, uint32_t magic, uint32_t information, struct boot_info *info,
                     char *why, size_t why_size)
{
    struct parse parse = {.window = window, .info = info, .why = why, .why_size = why_size};
    bool is_parsed;

    memset(info, 0, sizeof(*info));
    (void)str_copy(info->loader, "a boot loader without a name", sizeof(info->loader));
    switch (magic) {
    case MB1_LOADER_MAGIC:
        is_parsed = parse_mb1(&parse, information);
        break;
    case MB2_LOADER_MAGIC:
        is_parsed = parse_mb2(&parse, information);
        break;
    default:
        is_parsed = fail(&parse, "not started by a Multiboot loader (magic number 0x%x)", magic);
        break;
    }
    return is_parsed && finish(&parse);
}

static bool scan_area(const struct boot_window *window, uint64_t start, uint64_t bytes, struct boot_info *info)
{
    for (uint64_t address = start; address - start + RSDP_OLD_BYTES <= bytes; address += RSDP_ALIGNMENT) {
        const uint8_t *found = boot_window_at(window, address, RSDP_OLD_BYTES);
        if (found == NULL || memcmp(found, "RSD PTR ", 8) != 0 || byte_sum(found, RSDP_OLD_BYTES) != 0) {
            continue;
        }
        bool is_long = found[RSDP_REVISION_OFFSET] >= 2 && boot_window_at(window, address, BOOT_RSDP_MAX) != NULL;
        info->rsdp = spa(address);
        info->rsdp_bytes = is_long ? BOOT_RSDP_MAX : RSDP_OLD_BYTES;
        memcpy(info->rsdp_copy, found, info->rsdp_bytes);
        return true;
    }
    return false;
}

bool multiboot_scan_rsdp(const struct boot_window *window, struct boot_info *info)
{
    const void *pointer = boot_window_at(window, EBDA_SEGMENT_POINTER, sizeof(uint16_t));

    if (pointer != NULL) {
        uint16_t segment;
        memcpy(&segment, pointer, sizeof(segment));
        if (segment != 0 && scan_area(window, (uint64_t)segment << 4, EBDA_SCAN_BYTES, info)) {
            return true;
        }
    }
    return scan_area(window, BIOS_SCAN_START, BIOS_SCAN_BYTES, info);
}
