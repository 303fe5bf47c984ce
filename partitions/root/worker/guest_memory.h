/* SPDX-License-Identifier: MIT */
/* Copies between the worker and the RAM of its VM. */
#ifndef WORKER_GUEST_MEMORY_H
#define WORKER_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

struct host_vm;

/*
 * Each copies or clears `length_bytes` bytes of guest RAM at `gpa` and returns
 * false when a byte of the range is not RAM; the part in front of it may have
 * been done by then. A length of zero succeeds.
 */
MUST_CHECK bool guest_memory_read(struct host_vm *host, uint64_t gpa, void *destination, uint64_t length_bytes);
MUST_CHECK bool guest_memory_write(struct host_vm *host, uint64_t gpa, const void *source, uint64_t length_bytes);
MUST_CHECK bool guest_memory_zero(struct host_vm *host, uint64_t gpa, uint64_t length_bytes);

#endif
