/* SPDX-License-Identifier: MIT */
/*
 * ELF kernels with a PVH entry, such as an uncompressed Linux vmlinux (Xen
 * documentation, x86/HVM direct boot ABI): 32-bit entry, EBX points at
 * struct hvm_start_info.
 */
#include "hv/lib/bytes.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/loader/elf.h"
#include "partitions/root/worker/loader/loader.h"
#include "partitions/root/worker/loader/place.h"

/* struct hvm_start_info, version 1. */
#define START_MAGIC            0u
#define START_VERSION          4u
#define START_MODULE_COUNT     12u
#define START_MODULES          16u
#define START_COMMAND_LINE     24u
#define START_RSDP             32u
#define START_MEMORY_MAP       40u
#define START_MEMORY_MAP_COUNT 48u
#define START_BYTES            56u

#define START_MAGIC_VALUE 0x336EC578u
#define START_VERSION_1   1u

/* Module list entry: address, size, command line, reserved. */
#define MODULE_BYTES    32u
/* Memory map entry: address, size, type, reserved. */
#define MAP_ENTRY_BYTES 24u

/* One behind the other in the page of the boot parameters. */
#define MODULE_OFFSET 64u
#define MAP_OFFSET    128u

static bool write_memory_map(const struct loader_input *input, uint64_t gpa, uint32_t *count,
                             struct loader_error *error)
{
    struct memory_map_entry map[MEMORY_MAP_ENTRIES_MAX];

    *count = place_memory_map(input, map);
    for (uint32_t i = 0; i < *count; i++) {
        uint8_t entry[MAP_ENTRY_BYTES] = {0};

        put_u64(entry, map[i].gpa);
        put_u64(entry + 8, map[i].length_bytes);
        put_u32(entry + 16, map[i].type);
        if (!place_write(input, gpa + i * MAP_ENTRY_BYTES, entry, sizeof(entry), error)) {
            return false;
        }
    }
    return true;
}

static bool write_start_info(const struct loader_input *input, uint64_t initrd_gpa, struct loader_error *error)
{
    uint8_t start[START_BYTES] = {0};
    uint8_t module[MODULE_BYTES] = {0};
    uint32_t map_count = 0;

    if (!write_memory_map(input, LAYOUT_BOOT_PARAMETERS_GPA + MAP_OFFSET, &map_count, error)) {
        return false;
    }
    put_u32(start + START_MAGIC, START_MAGIC_VALUE);
    put_u32(start + START_VERSION, START_VERSION_1);
    put_u64(start + START_COMMAND_LINE, LAYOUT_COMMAND_LINE_GPA);
    put_u64(start + START_RSDP, input->rsdp_gpa);
    put_u64(start + START_MEMORY_MAP, LAYOUT_BOOT_PARAMETERS_GPA + MAP_OFFSET);
    put_u32(start + START_MEMORY_MAP_COUNT, map_count);
    if (initrd_gpa != 0) {
        put_u32(start + START_MODULE_COUNT, 1);
        put_u64(start + START_MODULES, LAYOUT_BOOT_PARAMETERS_GPA + MODULE_OFFSET);
        put_u64(module, initrd_gpa);
        put_u64(module + 8, input->initrd.length);
    }
    return place_write(input, LAYOUT_BOOT_PARAMETERS_GPA + MODULE_OFFSET, module, sizeof(module), error) &&
           place_write(input, LAYOUT_BOOT_PARAMETERS_GPA, start, sizeof(start), error);
}

bool loader_load_pvh(const struct loader_input *input, const struct elf_image *image, uint64_t entry_gpa,
                     struct loader_entry *entry, struct loader_error *error)
{
    uint64_t end_gpa = 0;
    uint64_t initrd_gpa = 0;

    if (!elf_has_code_at(&input->kernel, image, entry_gpa)) {
        return place_fail(error, LOADER_ENTRY_OUTSIDE, entry_gpa, 0);
    }
    if (!elf_load(input, image, &end_gpa, error) ||
        !place_initrd(input, end_gpa, LAYOUT_LOW_RAM_LIMIT, &initrd_gpa, error) ||
        !place_command_line(input, LAYOUT_COMMAND_LINE_BYTES_MAX - 1, error) ||
        !write_start_info(input, initrd_gpa, error)) {
        return false;
    }
    *entry = (struct loader_entry){
        .mode = LOADER_MODE_32,
        .rip = entry_gpa,
        .rbx = LAYOUT_BOOT_PARAMETERS_GPA,
    };
    return true;
}
