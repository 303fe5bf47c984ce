/* SPDX-License-Identifier: MIT */
#ifndef CPU_STACK_FIND_H
#define CPU_STACK_FIND_H

/* Which stack an address belongs to; for panics. */

#include <stdbool.h>
#include <stdint.h>

/* True if `bytes` at `address` lie on a mapped part of some processor's stacks. */
bool stack_holds(uint64_t address, uint64_t bytes);

/* True if `address` is in a guard page; *cpu_index is then the processor whose stack lies above it. */
bool stack_guard_find(uint64_t address, uint32_t *cpu_index);

#endif
