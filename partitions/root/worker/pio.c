/* SPDX-License-Identifier: MIT */
/*
 * Dispatch of port accesses to devices. An access belongs to the device at its
 * first port; where no device is, a PC reads all ones and drops writes.
 */
#include "partitions/root/worker/pio.h"

#include <stddef.h>

#include "vmbus/host.h"

static uint32_t size_mask(uint32_t size_bytes)
{
    return size_bytes >= 4 ? UINT32_MAX : (UINT32_C(1) << (8u * size_bytes)) - 1u;
}

static const struct pio_range *find_range(const struct pio_space *space, uint16_t port)
{
    for (uint32_t i = 0; i < space->range_count; i++) {
        const struct pio_range *range = &space->ranges[i];

        if ((uint32_t)(port - range->first_port) < range->port_count && port >= range->first_port) {
            return range;
        }
    }
    return NULL;
}

/* The device takes the access as it is. */
static bool is_whole(const struct pio_range *range, uint16_t offset, uint32_t size_bytes)
{
    return size_bytes <= range->access_bytes_max && offset + size_bytes <= range->port_count;
}

void pio_add_range(struct pio_space *space, const struct pio_range *range)
{
    if (space->range_count < PIO_RANGES_MAX) {
        space->ranges[space->range_count++] = *range;
    }
}

uint32_t pio_read(struct pio_space *space, uint16_t port, uint32_t size_bytes)
{
    const struct pio_range *range = find_range(space, port);

    if (range == NULL) {
        space->counters->unhandled_port_accesses++;
        return size_mask(size_bytes);
    }

    uint16_t offset = (uint16_t)(port - range->first_port);

    if (is_whole(range, offset, size_bytes)) {
        return range->read(range->device, offset, size_bytes) & size_mask(size_bytes);
    }

    uint32_t value = 0;

    for (uint32_t i = 0; i < size_bytes; i++) {
        uint32_t byte = offset + i < range->port_count ? range->read(range->device, (uint16_t)(offset + i), 1) : 0xFFu;

        value |= (byte & 0xFFu) << (8u * i);
    }
    return value;
}

bool pio_write(struct pio_space *space, uint16_t port, uint32_t size_bytes, uint32_t value)
{
    const struct pio_range *range = find_range(space, port);

    if (range == NULL) {
        space->counters->unhandled_port_accesses++;
        return true;
    }

    uint16_t offset = (uint16_t)(port - range->first_port);

    if (is_whole(range, offset, size_bytes)) {
        return range->write(range->device, offset, size_bytes, value & size_mask(size_bytes));
    }
    for (uint32_t i = 0; i < size_bytes && offset + i < range->port_count; i++) {
        if (!range->write(range->device, (uint16_t)(offset + i), 1, (value >> (8u * i)) & 0xFFu) && i == 0) {
            return false;
        }
        /* A later byte that has no room is lost: repeating the access would repeat the earlier ones. */
    }
    return true;
}
