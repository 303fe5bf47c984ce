/* SPDX-License-Identifier: MIT */
#ifndef CPU_ENTRY_SIZES_H
#define CPU_ENTRY_SIZES_H

/* How exception_entry.S lays its stubs out; usable from assembly. */

#define EXCEPTION_STUB_BYTES 16
#define EXCEPTION_STUB_COUNT 32
#define INTERRUPT_STUB_BYTES 8
#define INTERRUPT_STUB_COUNT 224

#endif
