/* SPDX-License-Identifier: MIT */
/* Arithmetic on memory maps. Knows neither loaders nor page tables. */
#include "hv/boot/memory_map.h"

#include "hv/lib/addr.h"
#include "hv/lib/range.h"

/* How much a type forbids; where ranges overlap the highest wins. */
static uint32_t restriction(uint32_t type)
{
    switch (type) {
    case BOOT_MEMORY_RAM:
        return 1;
    case BOOT_MEMORY_ACPI:
        return 2;
    case BOOT_MEMORY_NVS:
        return 3;
    case BOOT_MEMORY_BAD:
        return 5;
    default:
        return 4;
    }
}

/* One past the end of a range, cut at the end of the address space. */
static uint64_t range_end(const struct boot_memory *range)
{
    return range_is_valid(range->start, range->bytes) && range->start + range->bytes >= range->start
               ? range->start + range->bytes
               : UINT64_MAX;
}

/* The lowest start or end of a range above `position` (or at it, the first time); UINT64_MAX if there is none. */
static uint64_t next_boundary(const struct boot_memory *raw, size_t raw_count, uint64_t position, bool may_equal)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < raw_count; i++) {
        const uint64_t edges[2] = {raw[i].start, range_end(&raw[i])};
        for (size_t edge = 0; edge < 2; edge++) {
            if (edges[edge] > position || (may_equal && edges[edge] == position)) {
                next = min_u64(next, edges[edge]);
            }
        }
    }
    return next;
}

/* The type that holds at `position`; 0 if no range covers it. */
static uint32_t type_at(const struct boot_memory *raw, size_t raw_count, uint64_t position)
{
    uint32_t type = 0;

    for (size_t i = 0; i < raw_count; i++) {
        bool covers = position >= raw[i].start && position < range_end(&raw[i]);
        if (covers && (type == 0 || restriction(raw[i].type) > restriction(type))) {
            type = raw[i].type;
        }
    }
    if (type != 0 && restriction(type) == restriction(BOOT_MEMORY_RESERVED)) {
        type = BOOT_MEMORY_RESERVED;
    }
    return type;
}

bool memory_map_normalise(const struct boot_memory *raw, size_t raw_count, struct boot_memory *map, size_t max,
                          uint32_t *count)
{
    uint32_t used = 0;
    uint64_t position = next_boundary(raw, raw_count, 0, true);

    while (position != UINT64_MAX) {
        uint64_t end = next_boundary(raw, raw_count, position, false);
        uint32_t type = type_at(raw, raw_count, position);

        if (type != 0 && used > 0 && map[used - 1].type == type && range_end(&map[used - 1]) == position) {
            map[used - 1].bytes += end - position;
        } else if (type != 0) {
            if (used == max) {
                return false;
            }
            map[used++] = (struct boot_memory){.start = position, .bytes = end - position, .type = type};
        }
        position = end;
    }
    *count = used;
    return true;
}

bool memory_map_is_ram(const struct boot_memory *map, size_t count, uint64_t start, uint64_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        /* Neighbours of one type are one range, so RAM is never split over two. */
        if (map[i].type == BOOT_MEMORY_RAM && range_contains(map[i].start, map[i].bytes, start, bytes)) {
            return true;
        }
    }
    return false;
}

uint64_t memory_map_ram_bytes(const struct boot_memory *map, size_t count)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        bytes += map[i].type == BOOT_MEMORY_RAM ? map[i].bytes : 0;
    }
    return bytes;
}

uint64_t memory_map_ram_end(const struct boot_memory *map, size_t count)
{
    uint64_t end = 0;

    for (size_t i = 0; i < count; i++) {
        end = map[i].type == BOOT_MEMORY_RAM ? range_end(&map[i]) : end;
    }
    return end;
}

/* The hole with the lowest start among those that [start, start + bytes) touches, or null. */
static const struct memory_map_hole *hole_in_the_way(const struct memory_map_hole *holes, size_t hole_count,
                                                     uint64_t start, uint64_t bytes)
{
    const struct memory_map_hole *lowest = NULL;

    for (size_t i = 0; i < hole_count; i++) {
        bool touches = range_is_valid(holes[i].start, holes[i].bytes) &&
                       range_overlaps(start, bytes, holes[i].start, holes[i].bytes);
        if (touches && (lowest == NULL || holes[i].start < lowest->start)) {
            lowest = &holes[i];
        }
    }
    return lowest;
}

bool memory_map_find_room(const struct boot_memory *map, size_t count, const struct memory_map_hole *holes,
                          size_t hole_count, uint64_t bytes, uint64_t alignment, uint64_t limit, uint64_t *start)
{
    for (size_t i = count; i-- > 0;) {
        if (map[i].type != BOOT_MEMORY_RAM) {
            continue;
        }
        uint64_t floor = max_u64(map[i].start, MIB(1));
        uint64_t end = min_u64(range_end(&map[i]), limit);

        while (end > floor && end - floor >= bytes) {
            uint64_t candidate = align_down_u64(end - bytes, alignment);
            if (candidate < floor) {
                break;
            }
            const struct memory_map_hole *hole = hole_in_the_way(holes, hole_count, candidate, bytes);
            if (hole == NULL) {
                *start = candidate;
                return true;
            }
            end = hole->start;
        }
    }
    return false;
}
