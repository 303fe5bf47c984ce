/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

/* The root's virtual processors, seen from inside: descriptor tables, exceptions and interrupts, local APIC, start-up.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_synic.h"
#include "hv/lib/compiler.h"
#include "partitions/root/kernel/arch.h"
#include "partitions/root/kernel/layout.h"

struct child_vp;

/* Vectors that minroot uses; exceptions lie below. */
enum trap_vector {
    TRAP_VECTOR_UART = 0x30,
    TRAP_VECTOR_DEVICE = 0x31, /* of any PCI device */
    TRAP_VECTOR_TEST = 0x41,
    TRAP_VECTOR_TEST_TIMER = 0x42,
    TRAP_VECTOR_WAKE = 0xE0, /* another processor has work for this one */
    TRAP_VECTOR_TIMER = 0xED,
    TRAP_VECTOR_PORT = 0xF2,
    TRAP_VECTOR_SYNIC = 0xF3,
    TRAP_VECTOR_SPURIOUS = 0xFF,
};

/* Task state segment: only the stacks matter. */
struct tss {
    uint32_t rsvd1;
    uint64_t rsp[3];
    uint64_t rsvd2;
    uint64_t ist[7];
    uint64_t rsvd3;
    uint16_t rsvd4;
    uint16_t io_map_base;
} PACKED;
_Static_assert(sizeof(struct tss) == 104, "TSS");

/* One processor; reached through GS on itself. */
struct cpu {
    struct cpu *self;   /* at GS:0 */
    uint64_t probe_rip; /* nonzero: an exception continues there, with the stack below (self-tests) */
    uint64_t probe_rsp;
    uint32_t probe_vector; /* of that exception, plus 1 */
    uint32_t index;        /* order of start; 0 is the boot processor */
    uint32_t vp_index;     /* HV_X64_MSR_VP_INDEX */
    uint32_t apic_id;
    uint32_t interrupt_count; /* taken here, but for spurious ones */
    uint32_t is_online;       /* atomic */
    uint32_t is_idle;         /* [run queue lock] halted, or about to be */
    void *hypercall_input;    /* a page each; not for interrupt handlers; null without Hyper-V */
    void *hypercall_output;
    struct hv_message_page *messages;         /* SIM page */
    struct hv_synic_event_flags_page *events; /* SIEF page */
    struct child_vp *running;                 /* [run queue lock] the child VP it dispatches */
    uint64_t gdt[6];
    struct tss tss;
};
_Static_assert(offsetof(struct cpu, probe_rip) == CPU_PROBE_RIP, "used by assembly");
_Static_assert(offsetof(struct cpu, probe_rsp) == CPU_PROBE_RSP, "used by assembly");
_Static_assert(offsetof(struct cpu, probe_vector) == CPU_PROBE_VECTOR, "used by assembly");

/* What interrupts and exceptions leave on the stack, lowest address first. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* From entry.S: each processor's stack, above a guard page. */
extern uint8_t cpu_stacks[KERNEL_CPU_MAX][KERNEL_STACK_STRIDE];

/* The processor this runs on. */
static inline struct cpu *cpu_this(void)
{
    struct cpu *self;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(self));
    return self;
}

/* Processors that run, and each of them by order of start. */
uint32_t cpu_count(void);
struct cpu *cpu_get(uint32_t index);

/* Gives this processor its tables and makes cpu_this() work; the boot processor (index 0) also builds the IDT. */
void trap_init(uint32_t index);

/* From now on `handler` is called for interrupts of this vector, interrupts off; EOI follows behind it. */
void trap_set_handler(uint8_t vector, void (*handler)(void));

/* Called by entry.S. */
void trap_handle(struct trap_frame *frame);

/* Enables the local APIC of this processor. */
void lapic_init(void);

/* Sends a fixed interrupt to an APIC id. */
void lapic_send(uint32_t apic_id, uint8_t vector);

/* Starts the processors that ACPI lists by INIT and start-up IPIs; stops if one does not come. */
void smp_start(void);

/* Time in units of 100 ns (the partition's reference time). */
#define CLOCK_HZ           UINT64_C(10000000)
#define CLOCK_100NS_PER_MS UINT64_C(10000)

/* Prepares clock and timers; the timers of vmbus/host.h fire on processor 0, which calls this. */
void clock_init(void);

/* Never goes back. */
uint64_t clock_now(void);

/* Spins. */
void clock_wait(uint64_t duration_100ns);

/* TSC ticks in a time. */
uint64_t clock_tsc_ticks(uint64_t duration_100ns);

/* Calls what has expired and sets the hardware for what comes next. Processor 0, no lock held. */
void clock_run_timers(void);

/* First C code of another processor, called by entry.S; and what it does then, in main.c. */
NORETURN void ap_main(struct cpu *cpu);
NORETURN void processor_main(void);

/* Writes what is left to the console and switches the machine off (main.c); stops if it stays on. */
NORETURN void power_off(void);

#endif
