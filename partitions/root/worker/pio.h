/* SPDX-License-Identifier: MIT */
/* Port space of a VM: which device answers at which port. */
#ifndef WORKER_PIO_H
#define WORKER_PIO_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

struct worker_counters;

#define PIO_RANGES_MAX 12u

/*
 * Handlers of a range: `offset` counts from its first port, the access lies
 * inside the range and is 1, 2 or 4 bytes, at most what the range allows. Bits
 * above the size are ignored. A write returns false when it cannot be done now
 * and is to be repeated; nothing has changed then.
 */
typedef uint32_t (*pio_read_function)(void *device, uint16_t offset, uint32_t size_bytes);
typedef bool (*pio_write_function)(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value);

/* Consecutive ports of one device. */
struct pio_range {
    uint16_t first_port;
    uint16_t port_count;
    uint32_t access_bytes_max; /* wider accesses are split into bytes */
    void *device;
    pio_read_function read;
    pio_write_function write;
};

/* All ranges of a VM, those used most in front. Immutable once the VM runs. */
struct pio_space {
    struct worker_counters *counters;
    uint32_t range_count;
    struct pio_range ranges[PIO_RANGES_MAX];
};

/* Adds a range; the machine model has room for all of its own. */
void pio_add_range(struct pio_space *space, const struct pio_range *range);

/* A read of 1, 2 or 4 bytes; ports without a device give all ones. Bits above the size are zero. */
uint32_t pio_read(struct pio_space *space, uint16_t port, uint32_t size_bytes);

/* A write of 1, 2 or 4 bytes; false when it has to be repeated later. Ports without a device ignore it. */
MUST_CHECK bool pio_write(struct pio_space *space, uint16_t port, uint32_t size_bytes, uint32_t value);

#endif
