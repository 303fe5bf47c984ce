/* SPDX-License-Identifier: MIT */
#ifndef CPU_STACKS_H
#define CPU_STACKS_H

/*
 * The stacks of one processor, each with an unmapped guard page below: main, and one each for NMI, double fault and
 * machine check, which must work when the main one does not. Distances from the start of the block; usable from
 * assembly.
 */

#define CPU_STACK_GUARD_BYTES 0x1000
#define CPU_STACK_MAIN_END    0x9000  /* 32 KiB above the guard at 0 */
#define CPU_STACK_NMI_END     0xc000  /* 8 KiB above the guard at 0x9000 */
#define CPU_STACK_FAULT_END   0xf000  /* 8 KiB above the guard at 0xc000 */
#define CPU_STACK_CHECK_END   0x12000 /* 8 KiB above the guard at 0xf000 */
#define CPU_STACKS_BYTES      CPU_STACK_CHECK_END

/* Distance between two processors' blocks in the stack region of the address space. */
#define CPU_STACKS_STRIDE 0x20000

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stdint.h>

/* True if the page at this distance from the start of a block is a guard. */
static inline bool cpu_stack_is_guard(uint64_t offset)
{
    uint64_t page = offset & ~(uint64_t)(CPU_STACK_GUARD_BYTES - 1);

    return page == 0 || page == CPU_STACK_MAIN_END || page == CPU_STACK_NMI_END || page == CPU_STACK_FAULT_END;
}

/*
 * The boot processor's block lies in the image, since its main stack is in use before there is any memory to allocate.
 */
extern uint8_t boot_stacks[CPU_STACKS_BYTES];

#endif

#endif
