/* SPDX-License-Identifier: MIT */
/* Device memory of a VM: which device answers at which guest physical address. */
#ifndef WORKER_MMIO_H
#define WORKER_MMIO_H

#include <stdint.h>

struct worker_counters;

#define MMIO_RANGES_MAX 4u

/* Handlers of a range: `offset` counts from its base, the access lies inside it and is 1, 2, 4 or 8 bytes. */
typedef uint64_t (*mmio_read_function)(void *device, uint64_t offset, uint32_t size_bytes);
typedef void (*mmio_write_function)(void *device, uint64_t offset, uint32_t size_bytes, uint64_t value);

/* Consecutive addresses of one device. */
struct mmio_range {
    uint64_t base_gpa;
    uint64_t length_bytes;
    void *device;
    mmio_read_function read;
    mmio_write_function write;
};

/* All ranges of a VM. Immutable once the VM runs. */
struct mmio_space {
    struct worker_counters *counters;
    uint32_t range_count;
    struct mmio_range ranges[MMIO_RANGES_MAX];
};

/* Adds a range; the machine model has room for all of its own. */
void mmio_add_range(struct mmio_space *space, const struct mmio_range *range);

/* A read of 1, 2, 4 or 8 bytes; where no device is it gives all ones. Bits above the size are zero. */
uint64_t mmio_read(struct mmio_space *space, uint64_t gpa, uint32_t size_bytes);

/* A write of 1, 2, 4 or 8 bytes; ignored where no device is. */
void mmio_write(struct mmio_space *space, uint64_t gpa, uint32_t size_bytes, uint64_t value);

#endif
