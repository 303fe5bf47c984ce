/* SPDX-License-Identifier: MIT */
/*
 * Dispatch of memory accesses to devices, after intercept.c has found out what
 * the instruction does. Where no device is, a PC reads all ones and drops writes.
 */
#include "partitions/root/worker/mmio.h"

#include <stddef.h>

#include "hv/lib/range.h"
#include "vmbus/host.h"

static uint64_t size_mask(uint32_t size_bytes)
{
    return size_bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << (8u * size_bytes)) - 1u;
}

static const struct mmio_range *find_range(const struct mmio_space *space, uint64_t gpa, uint32_t size_bytes)
{
    for (uint32_t i = 0; i < space->range_count; i++) {
        const struct mmio_range *range = &space->ranges[i];

        if (range_contains(range->base_gpa, range->length_bytes, gpa, size_bytes)) {
            return range;
        }
    }
    return NULL;
}

void mmio_add_range(struct mmio_space *space, const struct mmio_range *range)
{
    if (space->range_count < MMIO_RANGES_MAX) {
        space->ranges[space->range_count++] = *range;
    }
}

uint64_t mmio_read(struct mmio_space *space, uint64_t gpa, uint32_t size_bytes)
{
    const struct mmio_range *range = find_range(space, gpa, size_bytes);

    space->counters->mmio_accesses++;
    if (range == NULL) {
        space->counters->unhandled_mmio_accesses++;
        return size_mask(size_bytes);
    }
    return range->read(range->device, gpa - range->base_gpa, size_bytes) & size_mask(size_bytes);
}

void mmio_write(struct mmio_space *space, uint64_t gpa, uint32_t size_bytes, uint64_t value)
{
    const struct mmio_range *range = find_range(space, gpa, size_bytes);

    space->counters->mmio_accesses++;
    if (range == NULL) {
        space->counters->unhandled_mmio_accesses++;
        return;
    }
    range->write(range->device, gpa - range->base_gpa, size_bytes, value & size_mask(size_bytes));
}
