/* SPDX-License-Identifier: MIT */
#ifndef CPU_CPU_H
#define CPU_CPU_H

/*
 * The logical processors and what each one owns. The hypervisor runs with interrupts off, except in irq_window() and
 * idle.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

#define CPU_MAX 64

/* Segment selectors of every processor's GDT; a backend needs them for its host state. */
#define CPU_SELECTOR_CODE 0x08
#define CPU_SELECTOR_DATA 0x10
#define CPU_SELECTOR_TSS  0x18

/* One logical processor; reached by GS on itself (cpu_this). The opaque pointers belong to the floors above. */
struct cpu {
    struct cpu *self; /* [I] at GS:0 */
    uint32_t index;   /* [I] LP index; the boot processor is 0 */
    uint32_t apic_id; /* [I] */
    void *root_vp;    /* [C] struct vp of the root that lives on this LP */
    void *current_vp; /* [C] struct vp being run (root or dispatched child), null before start */
    _Atomic(const void *)
        guest_space;           /* [a] GPA space in guest mode on this LP now, or null; see cpu_quiesce_space() */
    void *backend;             /* [C] the CPU backend's per-processor data */
    uint32_t backend_accesses; /* [C] instructions that reached the backend's VP state; counted in debug builds */
    void *fpu_owner;           /* [C] struct vp whose extended state is in the registers */
    uint64_t interrupt_count;  /* [C] physical interrupts taken */
    void *machine;             /* [I] private to hv/cpu (TSS, GDT, stacks) */
};

/* Linear addresses that a backend writes into its host state. */
struct cpu_host_state {
    uint64_t gdt_base;
    uint64_t idt_base;
    uint64_t tss_base;
    uint64_t gs_base;
};

/* The processor this code runs on. The first member of what lies at GS is its own address. */
#if __STDC_HOSTED__
struct cpu *cpu_this(void); /* of the machine's stand-in */
#else
static inline struct cpu *cpu_this(void)
{
    struct cpu *cpu;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}
#endif

/* Number of processors started (indexes 0 to count - 1). */
uint32_t cpu_count(void);

/* Processor by index; null if there is none. */
struct cpu *cpu_get(uint32_t index);

/*
 * Makes a processor leave guest mode (an IPI whose handler does nothing more). Harmless when it is not in guest mode.
 */
void cpu_kick(struct cpu *cpu);

/*
 * Returns when no processor but this one is still in guest mode on `space` under an entry made before the call. The
 * caller has first published its change (for example raised the space's TLB generation), which each processor reads
 * after it has set guest_space and before it enters. Waits for hardware only, never for a guest; callable with locks
 * held.
 */
void cpu_quiesce_space(const void *space);

/*
 * Starts all processors that the MADT lists and checks their TSCs against each other. They wait then; cpu_release_all()
 * lets each go on to sched_processor_start(). One that does not answer is named in the log and left out. Both are
 * called once on the boot processor.
 */
void cpu_start_all(void);
void cpu_release_all(void);

/* Addresses of this processor's tables. */
void cpu_host_state(struct cpu_host_state *state);

/* Waits with interrupts on until one was taken, then returns with interrupts off ("sti; hlt; cli"). */
void cpu_idle(void);

/* Stops this processor for ever. */
NORETURN void cpu_halt_forever(void);

#endif
