/* SPDX-License-Identifier: MIT */
/* What all loaders share. The formats themselves are in the other files. */
#include "partitions/root/worker/loader/place.h"

#include "hv/lib/addr.h"
#include "hv/lib/bytes.h"
#include "hv/lib/str.h"
#include "partitions/root/worker/guest_memory.h"
#include "partitions/root/worker/layout.h"

uint32_t place_memory_map(const struct loader_input *input, struct memory_map_entry *entries)
{
    uint32_t count = 0;

    entries[count++] = (struct memory_map_entry){
        .gpa = 0,
        .length_bytes = LAYOUT_LOW_MEMORY_END,
        .type = MEMORY_MAP_RAM,
    };
    entries[count++] = (struct memory_map_entry){
        .gpa = LAYOUT_ACPI_GPA,
        .length_bytes = LAYOUT_ACPI_BYTES,
        .type = MEMORY_MAP_RESERVED,
    };
    entries[count++] = (struct memory_map_entry){
        .gpa = LAYOUT_EXTENDED_MEMORY_BASE,
        .length_bytes = input->low_ram_bytes - LAYOUT_EXTENDED_MEMORY_BASE,
        .type = MEMORY_MAP_RAM,
    };
    if (input->high_ram_bytes != 0) {
        entries[count++] = (struct memory_map_entry){
            .gpa = LAYOUT_HIGH_RAM_BASE,
            .length_bytes = input->high_ram_bytes,
            .type = MEMORY_MAP_RAM,
        };
    }
    return count;
}

bool place_fail(struct loader_error *error, enum loader_status status, uint64_t value, uint64_t limit)
{
    *error = (struct loader_error){.status = status, .value = value, .limit = limit};
    return false;
}

bool place_fail_header(struct loader_error *error, const char *what, uint64_t value)
{
    *error = (struct loader_error){.status = LOADER_BAD_HEADER, .what = what, .value = value};
    return false;
}

bool place_check_piece(const struct loader_input *input, uint64_t gpa, uint64_t length_bytes,
                       struct loader_error *error)
{
    uint64_t low_bytes = LAYOUT_LOW_MEMORY_END - LAYOUT_BOOT_END;
    uint64_t extended_bytes = input->low_ram_bytes - LAYOUT_EXTENDED_MEMORY_BASE;

    if (range_contains(LAYOUT_BOOT_END, low_bytes, gpa, length_bytes) ||
        range_contains(LAYOUT_EXTENDED_MEMORY_BASE, extended_bytes, gpa, length_bytes)) {
        return true;
    }
    /* More memory would help if there could be RAM at these addresses at all. */
    if (range_contains(LAYOUT_EXTENDED_MEMORY_BASE, LAYOUT_LOW_RAM_LIMIT - LAYOUT_EXTENDED_MEMORY_BASE, gpa,
                       length_bytes)) {
        return place_fail(error, LOADER_NO_ROOM, gpa + length_bytes, input->memory_bytes);
    }
    return place_fail(error, LOADER_SEGMENT_OUTSIDE_RAM, gpa, length_bytes);
}

bool place_write(const struct loader_input *input, uint64_t gpa, const void *bytes, uint64_t length_bytes,
                 struct loader_error *error)
{
    return guest_memory_write(input->host, gpa, bytes, length_bytes) || place_fail(error, LOADER_MEMORY_FAILED, gpa, 0);
}

bool place_zero(const struct loader_input *input, uint64_t gpa, uint64_t length_bytes, struct loader_error *error)
{
    return guest_memory_zero(input->host, gpa, length_bytes) || place_fail(error, LOADER_MEMORY_FAILED, gpa, 0);
}

bool place_write_u32(const struct loader_input *input, uint64_t gpa, uint32_t value, struct loader_error *error)
{
    uint8_t bytes[4];

    put_u32(bytes, value);
    return place_write(input, gpa, bytes, sizeof(bytes), error);
}

bool place_write_u64(const struct loader_input *input, uint64_t gpa, uint64_t value, struct loader_error *error)
{
    uint8_t bytes[8];

    put_u64(bytes, value);
    return place_write(input, gpa, bytes, sizeof(bytes), error);
}

bool place_initrd(const struct loader_input *input, uint64_t lowest_gpa, uint64_t limit_gpa, uint64_t *gpa,
                  struct loader_error *error)
{
    uint64_t length_bytes = input->initrd.length;
    uint64_t end_gpa = MIN(limit_gpa, input->low_ram_bytes);
    uint64_t start_gpa;

    *gpa = 0;
    if (input->initrd.bytes == NULL) {
        return true;
    }
    if (length_bytes == 0) {
        return place_fail(error, LOADER_INITRD_EMPTY, 0, 0);
    }
    if (!range_sub_u64(end_gpa, length_bytes, &start_gpa)) {
        return place_fail(error, LOADER_INITRD_NO_ROOM, length_bytes, input->memory_bytes);
    }
    start_gpa = align_down_u64(start_gpa, PAGE_SIZE);
    if (start_gpa < lowest_gpa) {
        return place_fail(error, LOADER_INITRD_NO_ROOM, length_bytes, input->memory_bytes);
    }
    *gpa = start_gpa;
    return place_write(input, start_gpa, input->initrd.bytes, length_bytes, error);
}

bool place_command_line(const struct loader_input *input, uint64_t limit_bytes, struct loader_error *error)
{
    uint64_t limit = MIN(limit_bytes, LAYOUT_COMMAND_LINE_BYTES_MAX - 1);
    uint64_t length = str_length(input->command_line);

    if (length > limit) {
        return place_fail(error, LOADER_COMMAND_LINE_TOO_LONG, length, limit);
    }
    return place_write(input, LAYOUT_COMMAND_LINE_GPA, input->command_line, length + 1, error);
}
