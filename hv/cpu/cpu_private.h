/* SPDX-License-Identifier: MIT */
#ifndef CPU_CPU_PRIVATE_H
#define CPU_CPU_PRIVATE_H

/* What hv/cpu keeps for each processor behind struct cpu's `machine`. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/cpu/cpu.h"
#include "hv/lib/compiler.h"

#define GDT_ENTRIES 5 /* null, code, data, TSS (two) */
#define IST_NMI     1
#define IST_FAULT   2
#define IST_CHECK   3

/* 64-bit task state segment. */
struct PACKED cpu_tss {
    uint32_t rsvd0;
    uint64_t rsp[3];
    uint64_t rsvd1;
    uint64_t ist[7];
    uint64_t rsvd2;
    uint16_t rsvd3;
    uint16_t io_map_offset;
};

_Static_assert(sizeof(struct cpu_tss) == 104, "64-bit TSS");

/* How far a processor has come. */
enum cpu_state {
    CPU_STATE_STARTING,
    CPU_STATE_ONLINE,
    CPU_STATE_ABANDONED, /* did not answer in time */
};

/* One processor's private part. */
struct cpu_machine {
    uint64_t gdt[GDT_ENTRIES];     /* [I] */
    struct cpu_tss tss ALIGNED(8); /* [I] */
    uint64_t stacks;               /* [I] address of its block of stacks */
    _Atomic uint32_t kick_count;   /* [a] kick interrupts taken */
    _Atomic uint32_t state;        /* [a] enum cpu_state */
};

/* Both parts in one page. */
struct cpu_page {
    struct cpu cpu;
    struct cpu_machine machine;
};

static inline struct cpu_machine *cpu_machine(const struct cpu *cpu)
{
    return cpu->machine;
}

/* Makes a processor known under the next index; its stacks must be mapped. */
void cpu_register(struct cpu *cpu, uint32_t apic_id);

/* Fills both parts; nothing is loaded into the processor. */
void cpu_prepare(struct cpu_page *page, uint32_t index, uint64_t stacks);

/* Loads GDT, TSS, IDT, GS and control registers of the processor that this runs on. */
void cpu_load(struct cpu *cpu);

/* Fills the IDT. Once. */
void idt_init(void);

/* The boot processor's structures. */
struct cpu *cpu_boot(void);

#endif
