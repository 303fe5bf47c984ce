/* SPDX-License-Identifier: MIT */
/*
 * Multiboot kernels (Multiboot Specification version 0.6.96): by the address
 * fields of the header, or as ELF. The initrd becomes the one module.
 */
#include "hv/lib/addr.h"
#include "hv/lib/bytes.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/loader/elf.h"
#include "partitions/root/worker/loader/loader.h"
#include "partitions/root/worker/loader/place.h"

/* The header lies in the first bytes of the file, aligned. */
#define HEADER_SEARCH_BYTES 8192u
#define HEADER_ALIGNMENT    4u
#define HEADER_FLAGS        4u
#define HEADER_CHECKSUM     8u
#define HEADER_SHORT_BYTES  12u
#define HEADER_ADDRESS      12u
#define HEADER_LOAD_ADDRESS 16u
#define HEADER_LOAD_END     20u
#define HEADER_BSS_END      24u
#define HEADER_ENTRY        28u
#define HEADER_LONG_BYTES   32u

#define HEADER_MAGIC 0x1BADB002u
#define LOADER_MAGIC 0x2BADB002u

#define FLAG_PAGE_ALIGN_MODULES (1u << 0)
#define FLAG_MEMORY_INFO        (1u << 1)
#define FLAG_ADDRESS_FIELDS     (1u << 16)
/* Bits that a loader has to understand; those above are hints. */
#define FLAGS_REQUIRED          0x0000FFFFu
#define FLAGS_KNOWN             (FLAG_PAGE_ALIGN_MODULES | FLAG_MEMORY_INFO)

/* Multiboot information. */
#define INFO_FLAGS        0u
#define INFO_MEMORY_LOWER 4u
#define INFO_MEMORY_UPPER 8u
#define INFO_COMMAND_LINE 16u
#define INFO_MODULE_COUNT 20u
#define INFO_MODULES      24u
#define INFO_MAP_BYTES    44u
#define INFO_MAP          48u
#define INFO_LOADER_NAME  64u
#define INFO_BYTES        88u

#define INFO_FLAG_MEMORY       (1u << 0)
#define INFO_FLAG_COMMAND_LINE (1u << 2)
#define INFO_FLAG_MODULES      (1u << 3)
#define INFO_FLAG_MAP          (1u << 6)
#define INFO_FLAG_LOADER_NAME  (1u << 9)

/* Module: start, end, string, reserved. */
#define MODULE_BYTES              16u
/* Map entry: bytes that follow, address, length, type. */
#define MAP_ENTRY_BYTES           24u
#define MAP_ENTRY_FOLLOWING_BYTES 20u

/* One behind the other in the page of the boot parameters. */
#define MODULE_OFFSET      128u
#define MAP_OFFSET         256u
#define LOADER_NAME_OFFSET 512u

/* The loader's name, and an empty string behind it for the module. */
static const char loader_name[] = "Partita\0";
#define EMPTY_STRING_OFFSET (LOADER_NAME_OFFSET + sizeof(loader_name) - 1)

/* Where a piece of the file goes. */
struct flat_image {
    uint64_t file_offset;
    uint64_t file_bytes;
    uint64_t load_gpa;
    uint64_t memory_bytes;
};

/* Offset of the header in the file; false when there is none. */
static bool find_header(const struct blob *kernel, uint64_t *offset)
{
    uint64_t end = MIN(kernel->length, (uint64_t)HEADER_SEARCH_BYTES);

    for (uint64_t at = 0; at + HEADER_SHORT_BYTES <= end; at += HEADER_ALIGNMENT) {
        const uint8_t *header = kernel->bytes + at;

        if (get_u32(header) == HEADER_MAGIC &&
            (uint32_t)(HEADER_MAGIC + get_u32(header + HEADER_FLAGS) + get_u32(header + HEADER_CHECKSUM)) == 0) {
            *offset = at;
            return true;
        }
    }
    return false;
}

bool loader_is_multiboot1(const struct blob *kernel)
{
    uint64_t offset;

    return find_header(kernel, &offset);
}

/* Works out what the address fields say. */
static bool parse_address_fields(const struct loader_input *input, uint64_t offset, struct flat_image *flat,
                                 struct loader_error *error)
{
    const uint8_t *header = input->kernel.bytes + offset;

    if (!blob_has(&input->kernel, offset, HEADER_LONG_BYTES)) {
        return place_fail(error, LOADER_TRUNCATED, offset + HEADER_LONG_BYTES, input->kernel.length);
    }

    uint64_t header_gpa = get_u32(header + HEADER_ADDRESS);
    uint64_t load_gpa = get_u32(header + HEADER_LOAD_ADDRESS);
    uint64_t load_end_gpa = get_u32(header + HEADER_LOAD_END);
    uint64_t bss_end_gpa = get_u32(header + HEADER_BSS_END);

    if (load_gpa > header_gpa || header_gpa - load_gpa > offset) {
        return place_fail_header(error, "the load address of the Multiboot header", load_gpa);
    }
    flat->load_gpa = load_gpa;
    flat->file_offset = offset - (header_gpa - load_gpa);
    flat->file_bytes = load_end_gpa == 0 ? input->kernel.length - flat->file_offset : load_end_gpa - load_gpa;
    if (load_end_gpa != 0 && load_end_gpa <= load_gpa) {
        return place_fail_header(error, "the load end address of the Multiboot header", load_end_gpa);
    }
    if (!blob_has(&input->kernel, flat->file_offset, flat->file_bytes)) {
        return place_fail(error, LOADER_TRUNCATED, flat->file_offset + flat->file_bytes, input->kernel.length);
    }
    flat->memory_bytes = flat->file_bytes;
    if (bss_end_gpa != 0) {
        if (bss_end_gpa < load_gpa + flat->file_bytes) {
            return place_fail_header(error, "the BSS end address of the Multiboot header", bss_end_gpa);
        }
        flat->memory_bytes = bss_end_gpa - load_gpa;
    }
    return true;
}

/* Loads by the address fields of the header. */
static bool load_flat(const struct loader_input *input, uint64_t offset, uint64_t *entry_gpa, uint64_t *end_gpa,
                      struct loader_error *error)
{
    struct flat_image flat = {0};

    if (!parse_address_fields(input, offset, &flat, error) ||
        !place_check_piece(input, flat.load_gpa, flat.memory_bytes, error)) {
        return false;
    }
    *entry_gpa = get_u32(input->kernel.bytes + offset + HEADER_ENTRY);
    *end_gpa = flat.load_gpa + flat.memory_bytes;
    if (!range_contains_address(flat.load_gpa, flat.file_bytes, *entry_gpa)) {
        return place_fail(error, LOADER_ENTRY_OUTSIDE, *entry_gpa, 0);
    }
    return place_write(input, flat.load_gpa, input->kernel.bytes + flat.file_offset, flat.file_bytes, error) &&
           place_zero(input, flat.load_gpa + flat.file_bytes, flat.memory_bytes - flat.file_bytes, error);
}

/* Loads as ELF. */
static bool load_elf(const struct loader_input *input, uint64_t *entry_gpa, uint64_t *end_gpa,
                     struct loader_error *error)
{
    struct elf_image image;

    if (!elf_is_elf(&input->kernel)) {
        return place_fail_header(error, "the format of a Multiboot image without address fields", 0);
    }
    if (!elf_parse(&input->kernel, &image, error)) {
        return false;
    }
    *entry_gpa = elf_physical_address(&input->kernel, &image, image.entry);
    if (!elf_has_code_at(&input->kernel, &image, *entry_gpa)) {
        return place_fail(error, LOADER_ENTRY_OUTSIDE, *entry_gpa, 0);
    }
    return elf_load(input, &image, end_gpa, error);
}

static bool write_memory_map(const struct loader_input *input, uint64_t gpa, uint32_t *map_bytes,
                             struct loader_error *error)
{
    struct memory_map_entry map[MEMORY_MAP_ENTRIES_MAX];
    uint32_t count = place_memory_map(input, map);

    *map_bytes = count * MAP_ENTRY_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t entry[MAP_ENTRY_BYTES];

        put_u32(entry, MAP_ENTRY_FOLLOWING_BYTES);
        put_u64(entry + 4, map[i].gpa);
        put_u64(entry + 12, map[i].length_bytes);
        put_u32(entry + 20, map[i].type);
        if (!place_write(input, gpa + i * MAP_ENTRY_BYTES, entry, sizeof(entry), error)) {
            return false;
        }
    }
    return true;
}

static bool write_info(const struct loader_input *input, uint64_t initrd_gpa, struct loader_error *error)
{
    uint64_t base = LAYOUT_BOOT_PARAMETERS_GPA;
    uint32_t flags = INFO_FLAG_MEMORY | INFO_FLAG_COMMAND_LINE | INFO_FLAG_MAP | INFO_FLAG_LOADER_NAME;
    uint8_t info[INFO_BYTES] = {0};
    uint8_t module[MODULE_BYTES] = {0};
    uint32_t map_bytes = 0;

    if (!write_memory_map(input, base + MAP_OFFSET, &map_bytes, error) ||
        !place_write(input, base + LOADER_NAME_OFFSET, loader_name, sizeof(loader_name), error)) {
        return false;
    }
    if (initrd_gpa != 0) {
        flags |= INFO_FLAG_MODULES;
        put_u32(info + INFO_MODULE_COUNT, 1);
        put_u32(info + INFO_MODULES, (uint32_t)(base + MODULE_OFFSET));
        put_u32(module, (uint32_t)initrd_gpa);
        put_u32(module + 4, (uint32_t)(initrd_gpa + input->initrd.length));
        put_u32(module + 8, (uint32_t)(base + EMPTY_STRING_OFFSET));
    }
    put_u32(info + INFO_FLAGS, flags);
    put_u32(info + INFO_MEMORY_LOWER, (uint32_t)(LAYOUT_LOW_MEMORY_END / KIB(1)));
    put_u32(info + INFO_MEMORY_UPPER, (uint32_t)((input->low_ram_bytes - LAYOUT_EXTENDED_MEMORY_BASE) / KIB(1)));
    put_u32(info + INFO_COMMAND_LINE, (uint32_t)LAYOUT_COMMAND_LINE_GPA);
    put_u32(info + INFO_MAP_BYTES, map_bytes);
    put_u32(info + INFO_MAP, (uint32_t)(base + MAP_OFFSET));
    put_u32(info + INFO_LOADER_NAME, (uint32_t)(base + LOADER_NAME_OFFSET));
    return place_write(input, base + MODULE_OFFSET, module, sizeof(module), error) &&
           place_write(input, base, info, sizeof(info), error);
}

bool loader_load_multiboot1(const struct loader_input *input, struct loader_entry *entry, struct loader_error *error)
{
    uint64_t offset = 0;
    uint64_t entry_gpa = 0;
    uint64_t end_gpa = 0;
    uint64_t initrd_gpa = 0;

    if (!find_header(&input->kernel, &offset)) {
        return place_fail(error, LOADER_UNKNOWN_FORMAT, 0, 0);
    }

    uint32_t flags = get_u32(input->kernel.bytes + offset + HEADER_FLAGS);

    if ((flags & FLAGS_REQUIRED & ~FLAGS_KNOWN) != 0) {
        return place_fail(error, LOADER_UNSUPPORTED_FLAGS, flags & FLAGS_REQUIRED & ~FLAGS_KNOWN, 0);
    }
    if ((flags & FLAG_ADDRESS_FIELDS) != 0 ? !load_flat(input, offset, &entry_gpa, &end_gpa, error)
                                           : !load_elf(input, &entry_gpa, &end_gpa, error)) {
        return false;
    }
    /* A module never shares the megabyte of the BIOS with a kernel that was loaded into conventional memory. */
    end_gpa = MAX(end_gpa, LAYOUT_EXTENDED_MEMORY_BASE);
    if (!place_initrd(input, end_gpa, LAYOUT_LOW_RAM_LIMIT, &initrd_gpa, error) ||
        !place_command_line(input, LAYOUT_COMMAND_LINE_BYTES_MAX - 1, error) || !write_info(input, initrd_gpa, error)) {
        return false;
    }
    *entry = (struct loader_entry){
        .mode = LOADER_MODE_32,
        .rip = entry_gpa,
        .rax = LOADER_MAGIC,
        .rbx = LAYOUT_BOOT_PARAMETERS_GPA,
    };
    return true;
}
