/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_LAYOUT_H
#define KERNEL_LAYOUT_H

/* Numbers that C and assembly share. */

#define KERNEL_CPU_MAX      64
#define KERNEL_STACK_STRIDE 0x5000 /* guard page and four pages */

/* Segment selectors; the TSS descriptor takes two entries. */
#define KERNEL_CS   0x08
#define KERNEL_DS   0x10
#define KERNEL_CS32 0x18
#define KERNEL_TSS  0x20

/* Offsets in struct cpu (cpu.h asserts them). */
#define CPU_PROBE_RIP    8
#define CPU_PROBE_RSP    16
#define CPU_PROBE_VECTOR 24

#endif
