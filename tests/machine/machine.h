/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

/*
 * A machine for hosted programs: the functions of the machine's headers (hv/mem cpu irq time sync debug boot sched) on
 * plain memory and a clock that only moves when told. Several fake processors; a thread is one of them at a time.
 * Timers, locks, memory types and the parsers are the real ones.
 *
 * RAM: system physical addresses from 0 to MACHINE_RAM_BYTES, ordinary memory, all of it type 1 in the memory map. The
 * top of it is the hypervisor's reserved range; its pages exist only while they are allocated, each as a block of its
 * own, so that the address sanitizer sees accesses outside them and leaks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/boot/acpi.h"
#include "hv/boot/boot.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/mtrr.h"
#include "hv/debug/trace.h"

#define MACHINE_RAM_BYTES      (256ull << 20)
#define MACHINE_RESERVED_START (192ull << 20)
#define MACHINE_TSC_HZ         2000000000ull /* 200 ticks in 100 ns */
#define MACHINE_TSC_START      12345678ull   /* TSC at time 0: not 0, or it could be mistaken for time */
#define MACHINE_CPUS_DEFAULT   2

/*
 * Back to the start: two processors, this thread is processor 0, time 0, RAM zero, no options, no faked failures, empty
 * log. Pages still allocated are freed; returns how many those were, for tests that look for leaks.
 */
uint64_t machine_reset(void);

/* Processors. */
void machine_set_cpu_count(uint32_t count);
void machine_set_cpu(uint32_t index);        /* what this thread is from now on */
uint64_t machine_kick_count(uint32_t index); /* kicks sent to it since machine_reset() */
/*
 * Called for every kick, in the kicker's thread; a sim without threads takes the victim out of guest mode here. Null:
 * none.
 */
void machine_set_kick_hook(void (*hook)(struct cpu *cpu));
/* Marks the kicks of this thread's processor as taken, as irq_window() does too. */
void machine_take_kicks(void);

/*
 * Time: moves the clock, running what falls due on the processor that armed it, in order. 0 runs what is due already.
 */
void machine_advance_100ns(uint64_t time);
/* Moves the clock without running anything. */
void machine_skip_100ns(uint64_t time);
/* Deadline that the fake timer hardware of a processor is set for; 0: disarmed. */
uint64_t machine_timer_deadline(uint32_t cpu_index);
void machine_set_tsc_synchronised(bool is_synchronised);

/* Memory. */
uint64_t machine_pages_in_use(void);
/* From now on only `count` more pages can be had; UINT64_MAX: no limit. */
void machine_limit_pages(uint64_t count);

/* What the boot loader and the firmware say; may be changed before the code under test looks. */
struct boot_info *machine_boot_info(void);
struct acpi_info *machine_acpi_info(void);
void machine_set_command_line(const char *command_line);

/* What the MTRRs hold; after machine_reset() there are none. */
void machine_set_mtrrs(const struct mtrr_registers *registers);

/* MSRs of the fake processors: unknown ones fault in msr_read_safe() and msr_write_safe(). */
void machine_set_msr(uint32_t msr, uint64_t value);

/* Interrupts: end-of-interrupts and IPIs since machine_reset(). */
uint64_t machine_eoi_count(void);
void machine_set_level(uint8_t vector, bool is_level); /* what lapic_is_level() says */
struct machine_ipi {
    uint32_t apic_id;
    uint32_t vector; /* MACHINE_IPI_NMI, _INIT, _STARTUP, or the vector */
};
#define MACHINE_IPI_NMI     0x100u
#define MACHINE_IPI_INIT    0x200u
#define MACHINE_IPI_STARTUP 0x300u /* plus the page */
uint64_t machine_ipi_count(void);
struct machine_ipi machine_last_ipi(void);

/* Locks that any processor holds now. */
uint32_t machine_locks_held(void);

/*
 * Log: the newest line, without "partita: " (an empty string: none yet), and whether any line since the reset holds
 * `text`.
 */
const char *machine_last_log_line(void);
bool machine_log_contains(const char *text);
/* Log lines go to stderr as well; off for tests that provoke many. */
void machine_set_log_echo(bool is_on);

/* Trace records written since machine_reset(), and the newest of them with `event`; false if there is none. */
uint64_t machine_trace_count(void);
bool machine_trace_last(enum trace_event_id event, struct trace_record *record);

/*
 * Runs `function(argument)` and tells whether it ended in panic(), ASSERT() or stop_machine(); without this those
 * abort. Locks that it held stay held: machine_reset() afterwards.
 */
bool machine_panics(void (*function)(void *argument), void *argument);

#endif
