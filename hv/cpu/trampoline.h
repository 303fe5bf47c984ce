/* SPDX-License-Identifier: MIT */
#ifndef CPU_TRAMPOLINE_H
#define CPU_TRAMPOLINE_H

/* What cpu_start.c and trampoline.S share. */

#ifndef __ASSEMBLER__

#include <stdint.h>

#include "hv/cpu/cpu.h"
#include "hv/lib/compiler.h"

/*
 * The words at the end of the trampoline. Those that are distances in the image become addresses by adding the page's.
 */
struct PACKED trampoline_words {
    uint32_t gdt_address;       /* distance */
    uint32_t long_mode_address; /* distance */
    uint16_t long_mode_selector;
    uint16_t rsvd;
    uint32_t provisional_root; /* physical */
    uint64_t root;             /* physical: the hypervisor's own tables */
    uint64_t stack;
    uint64_t cpu;  /* struct cpu * */
    uint64_t high; /* where to go on in the image */
};

extern const uint8_t trampoline_start[];
extern const uint8_t trampoline_words[];
extern const uint8_t trampoline_end[];

/* Where a started processor arrives in C, on its own stack. */
NORETURN void cpu_start_here(struct cpu *cpu);

#endif

#endif
