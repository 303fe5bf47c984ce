/* SPDX-License-Identifier: MIT */
#ifndef LIB_GUEST_H
#define LIB_GUEST_H

/*
 * What bare guests are made of. Each defines guest_main(), prints PASS and FAIL lines on COM1 and ends with the number
 * of failures as its exit status. Memory is mapped at its own address up to 4 GiB, writable and executable.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/child/lib/layout.h"

#define GUEST_COM1               0x3F8u
#define GUEST_COM2               0x2F8u
#define GUEST_EXIT_PORT          0xF4u
/* GPA space of the machine model that neither RAM nor a device uses. */
#define GUEST_HOLE               UINT64_C(0xD0000000)
#define GUEST_CLOCK_100NS_PER_MS UINT64_C(10000)

struct hv_message_page;
struct hv_synic_event_flags_page;

/* What interrupts and exceptions leave on the stack, lowest address first. */
struct guest_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Registers of guest_try(). */
struct guest_registers {
    uint64_t rax, rcx, rdx, rbx, rsi, rdi;
};

/* The guest itself; its result is the exit status. */
uint8_t guest_main(void);

/* Text on COM1. */
void guest_print(const char *format, ...) PRINTF_LIKE(1, 2);

/* Prints "PASS name" or "FAIL name: ..." and counts failures; returns `condition`. */
bool guest_check(bool condition, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);

/* Failures so far, for guest_main() to return. */
uint8_t guest_failures(void);

/* Ends the VM. */
NORETURN void guest_exit(uint8_t status);

/* Value of name=value on the command line, or `otherwise`. */
uint64_t guest_option(const char *name, uint64_t otherwise);

/* A boot module: where it lies, and the address of its words. */
struct guest_module {
    uint64_t start;
    uint32_t bytes;
    uint64_t words;
};

/* The boot module of this number; false: there are fewer. */
bool guest_find_module(uint32_t index, struct guest_module *module);

/* Interrupts of this vector call `handler`, which has to do the EOI. */
void guest_set_handler(uint8_t vector, void (*handler)(void));

/* Runs code that may fault: 0, or vector + 1. Boot VP only. */
uint32_t guest_try(const void *code, struct guest_registers *registers);

/* As guest_try for one instruction given by its bytes (at most 15), registers as they come. */
uint32_t guest_try_bytes(const uint8_t *bytes, size_t count, struct guest_registers *registers);
uint32_t guest_try_rdmsr(uint32_t msr, uint64_t *value);
uint32_t guest_try_wrmsr(uint32_t msr, uint64_t value);
#define GUEST_FAULT(vector) ((vector) + 1u)

/* Local APIC, x2APIC where CPUID offers it. Registers by their x2APIC MSR numbers. */
void guest_apic_init(void);
bool guest_apic_is_x2(void);
uint32_t guest_apic_read(uint32_t msr);
void guest_apic_write(uint32_t msr, uint32_t value);
uint32_t guest_apic_id(void);
void guest_apic_eoi(void);
/* Writes the ICR: command in its low half. */
void guest_apic_send(uint32_t apic_id, uint32_t command);

/* Starts all other VPs, which run `function` with their number (1, 2, ...); returns how many came within the time. */
uint32_t guest_start_others(void (*function)(uint32_t number), uint32_t wanted, uint64_t limit_100ns);

/* Reference counter of the hypervisor, in 100 ns. */
uint64_t guest_clock(void);
void guest_wait(uint64_t duration_100ns);

/* Enables the SynIC with its two pages, and one SINT with an interrupt of this vector. */
void guest_synic_init(struct hv_message_page *messages, struct hv_synic_event_flags_page *events, uint32_t sint,
                      uint8_t vector);

/* Sets the guest's identity and enables the hypercall page at `page`; false: the MSR does not take it. */
bool guest_enable_hypercalls(void *page);
/* Calls through that page; result word. */
uint64_t guest_hypercall(uint64_t control, uint64_t input, uint64_t output);

/* True as a guest of Xen, which begins here by its PVH entry: the text goes to its debug port, and there is no
 * Multiboot information. Its hypercalls: number, two arguments; result. */
bool guest_is_xen(void);
uint64_t guest_xen_call(uint64_t number, uint64_t first, uint64_t second);

/* Called by start.S. */
NORETURN void guest_begin(uint64_t start_information);
void guest_ap_begin(uint64_t number);
void guest_interrupt(struct guest_frame *frame);

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return ((uint64_t)high << 32) | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return ((uint64_t)high << 32) | low;
}

/* CPUID: EAX, EBX, ECX, EDX. */
static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

static inline void irq_enable(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void irq_disable(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/*
 * Lets pending interrupts in. Not with PAUSE in between: QEMU's software CPU carries the interrupt shadow of STI over
 * it.
 */
static inline void irq_window(void)
{
    __asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/* Interrupts on, wait for one, interrupts off. */
static inline void irq_wait(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

#endif
