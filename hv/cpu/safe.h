/* SPDX-License-Identifier: MIT */
#ifndef CPU_SAFE_H
#define CPU_SAFE_H

/* MSR accesses that may fault: an exception-table fixup turns #GP into false. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/* Reads an MSR; false if the processor raised #GP (value is then 0). */
MUST_CHECK bool msr_read_safe(uint32_t msr, uint64_t *value);

/* Writes an MSR; false if the processor raised #GP. */
MUST_CHECK bool msr_write_safe(uint32_t msr, uint64_t value);

#endif
