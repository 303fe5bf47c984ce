/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of each processor: as x2APIC where CPUID offers it, else through its page. Its timer serves hv/time;
 * whose interrupt a vector is, is interrupt.c's and hv/partition's business.
 */
#include "hv/irq/irq.h"

#include <stddef.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/lib/addr.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"
#include "hv/time/scale.h"
#include "hv/time/time.h"

/* Register distances in the page; x2APIC MSR numbers are those divided by 16, above 0x800. */
#define LAPIC_ID            0x020
#define LAPIC_VERSION       0x030
#define LAPIC_TPR           0x080
#define LAPIC_EOI           0x0b0
#define LAPIC_SVR           0x0f0
#define LAPIC_ISR           0x100
#define LAPIC_TMR           0x180
#define LAPIC_ESR           0x280
#define LAPIC_ICR           0x300
#define LAPIC_ICR_HIGH      0x310
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_LVT_THERMAL   0x330
#define LAPIC_LVT_PERF      0x340
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_LVT_LINT1     0x360
#define LAPIC_LVT_ERROR     0x370
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE  0x3e0
#define LAPIC_REGISTER_STEP 0x10
#define LAPIC_PAGE_BYTES    0x1000

#define SVR_ENABLE                   0x100u
#define LVT_MASKED                   0x10000u
#define LVT_EXTINT                   0x700u
#define LVT_NMI                      0x400u
#define LVT_TIMER_DEADLINE           0x40000u
#define VERSION_LVT_SHIFT            16
#define DIVIDE_BY_1                  0xbu
#define ICR_FIXED                    0x0000u
#define ICR_NMI                      0x0400u
#define ICR_INIT                     0x0500u
#define ICR_STARTUP                  0x0600u
#define ICR_ASSERT                   0x4000u
#define ICR_PENDING                  0x1000u
#define ICR_XAPIC_DESTINATION_SHIFT  24
#define ICR_X2APIC_DESTINATION_SHIFT 32
#define ICR_WAIT_ROUNDS              1000000
#define XAPIC_ID_MAX                 0xffu
#define WORDS_256_BITS               8

#define CPUID_FEATURES     1
#define CPUID_ECX_X2APIC   (1u << 21)
#define CPUID_ECX_DEADLINE (1u << 24)
#define CPUID_TOPOLOGY     0xb

static bool is_x2apic; /* [I] after the boot processor's lapic_init(), like the next ones */
static bool has_deadline;
static volatile uint8_t *registers; /* the page; null in x2APIC mode */
static uint64_t timer_hz;           /* [I] after lapic_timer_set_frequency() */

static uint32_t lapic_read(uint32_t reg)
{
    if (is_x2apic) {
        return (uint32_t)rdmsr(X86_MSR_X2APIC_FIRST + reg / LAPIC_REGISTER_STEP);
    }
    return *(volatile uint32_t *)(registers + reg);
}

static void lapic_write(uint32_t reg, uint32_t value)
{
    if (is_x2apic) {
        wrmsr(X86_MSR_X2APIC_FIRST + reg / LAPIC_REGISTER_STEP, value);
    } else {
        *(volatile uint32_t *)(registers + reg) = value;
    }
}

uint32_t lapic_id_by_cpuid(void)
{
    if (cpuid(0, 0).eax >= CPUID_TOPOLOGY && cpuid(CPUID_TOPOLOGY, 0).ebx != 0) {
        return cpuid(CPUID_TOPOLOGY, 0).edx;
    }
    return cpuid(CPUID_FEATURES, 0).ebx >> 24;
}

uint32_t lapic_id(void)
{
    return is_x2apic ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> ICR_XAPIC_DESTINATION_SHIFT;
}

bool lapic_is_x2apic(void)
{
    return is_x2apic;
}

/* Finds out how to reach the APICs. Boot processor, once. */
static void choose_mode(void)
{
    uint32_t features = cpuid(CPUID_FEATURES, 0).ecx;

    is_x2apic = (features & CPUID_ECX_X2APIC) != 0;
    has_deadline = (features & CPUID_ECX_DEADLINE) != 0;
    if (is_x2apic) {
        return;
    }
    uint64_t address = rdmsr(X86_MSR_APIC_BASE) & X86_APIC_BASE_ADDRESS;
    registers = mem_map_device(spa(address), LAPIC_PAGE_BYTES);
    if (registers == NULL) {
        stop_machine("too little memory to map the local APIC");
    }
}

/* Turns the APIC on in the chosen mode. Firmware may have left x2APIC mode, which is fine if that is ours. */
static void enable(void)
{
    uint64_t base = rdmsr(X86_MSR_APIC_BASE) | X86_APIC_BASE_ENABLE;

    /* Two steps: there is no way from "off" to x2APIC mode in one. */
    wrmsr(X86_MSR_APIC_BASE, base);
    if (is_x2apic) {
        wrmsr(X86_MSR_APIC_BASE, base | X86_APIC_BASE_X2APIC);
    }
}

static void mask_local_vectors(void)
{
    uint32_t last_lvt = lapic_read(LAPIC_VERSION) >> VERSION_LVT_SHIFT & 0xff;

    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | IRQ_VECTOR_TIMER);
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED | LVT_EXTINT);
    lapic_write(LAPIC_LVT_LINT1, LVT_MASKED | LVT_NMI);
    lapic_write(LAPIC_LVT_ERROR, LVT_MASKED | IRQ_VECTOR_SPURIOUS);
    if (last_lvt >= 4) {
        lapic_write(LAPIC_LVT_PERF, LVT_MASKED | IRQ_VECTOR_SPURIOUS);
    }
    if (last_lvt >= 5) {
        lapic_write(LAPIC_LVT_THERMAL, LVT_MASKED | IRQ_VECTOR_SPURIOUS);
    }
}

/* What firmware left in service would block everything of its priority and below. */
static void end_leftover_interrupts(void)
{
    for (uint32_t word = 0; word < WORDS_256_BITS; word++) {
        uint32_t in_service = lapic_read(LAPIC_ISR + word * LAPIC_REGISTER_STEP);
        for (; in_service != 0; in_service &= in_service - 1) {
            lapic_eoi();
        }
    }
}

void lapic_init(void)
{
    struct cpu *cpu = cpu_this();

    if (cpu->index == 0) {
        choose_mode();
    }
    enable();
    lapic_write(LAPIC_SVR, SVR_ENABLE | IRQ_VECTOR_SPURIOUS);
    lapic_write(LAPIC_TPR, 0);
    mask_local_vectors();
    end_leftover_interrupts();
    lapic_write(LAPIC_ESR, 0);
    lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
    if (has_deadline) {
        lapic_write(LAPIC_LVT_TIMER, LVT_TIMER_DEADLINE | IRQ_VECTOR_TIMER);
        /* Through the page the mode change is a memory write, which a WRMSR to the deadline could overtake. */
        __asm__ volatile("mfence" : : : "memory");
    } else {
        lapic_write(LAPIC_LVT_TIMER, IRQ_VECTOR_TIMER);
    }
    cpu->apic_id = lapic_id();
}

void lapic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

static void send(uint32_t apic_id, uint32_t command)
{
    if (is_x2apic) {
        /* This WRMSR is not serialising: what the receiver shall see must be out before it. */
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(X86_MSR_X2APIC_ICR, (uint64_t)apic_id << ICR_X2APIC_DESTINATION_SHIFT | command);
        return;
    }
    ASSERT(apic_id <= XAPIC_ID_MAX);
    for (uint32_t i = 0; i < ICR_WAIT_ROUNDS && (lapic_read(LAPIC_ICR) & ICR_PENDING) != 0; i++) {
        pause();
    }
    lapic_write(LAPIC_ICR_HIGH, apic_id << ICR_XAPIC_DESTINATION_SHIFT);
    lapic_write(LAPIC_ICR, command);
}

void lapic_send_ipi(uint32_t apic_id, uint8_t vector)
{
    send(apic_id, ICR_FIXED | ICR_ASSERT | vector);
}

void lapic_send_nmi(uint32_t apic_id)
{
    send(apic_id, ICR_NMI | ICR_ASSERT);
}

void lapic_send_init(uint32_t apic_id)
{
    send(apic_id, ICR_INIT | ICR_ASSERT);
}

void lapic_send_startup(uint32_t apic_id, uint8_t page)
{
    send(apic_id, ICR_STARTUP | ICR_ASSERT | page);
}

void lapic_set_pin_mask(enum lapic_pin pin, bool is_masked)
{
    uint32_t mask = is_masked ? LVT_MASKED : 0;

    switch (pin) {
    case LAPIC_PIN_EXTINT:
        lapic_write(LAPIC_LVT_LINT0, LVT_EXTINT | mask);
        break;
    case LAPIC_PIN_NMI:
        lapic_write(LAPIC_LVT_LINT1, LVT_NMI | mask);
        break;
    }
}

bool lapic_is_level(uint8_t vector)
{
    return (lapic_read(LAPIC_TMR + vector / 32u * LAPIC_REGISTER_STEP) >> vector % 32u & 1) != 0;
}

void lapic_timer_count_start(void)
{
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | IRQ_VECTOR_TIMER);
    lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
}

uint32_t lapic_timer_count(void)
{
    return lapic_read(LAPIC_TIMER_CURRENT);
}

void lapic_timer_set_frequency(uint64_t hz)
{
    timer_hz = hz;
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    lapic_write(LAPIC_LVT_TIMER, has_deadline ? LVT_TIMER_DEADLINE | IRQ_VECTOR_TIMER : IRQ_VECTOR_TIMER);
    __asm__ volatile("mfence" : : : "memory");
}

void lapic_timer_set(uint64_t deadline_tsc)
{
    if (has_deadline) {
        wrmsr(X86_MSR_TSC_DEADLINE, deadline_tsc);
        return;
    }
    uint64_t count = 0;
    if (deadline_tsc != 0) {
        uint64_t now = rdtsc();
        uint64_t ticks = deadline_tsc > now ? deadline_tsc - now : 0;
        count = scale_multiply_divide(ticks, timer_hz, time_tsc_hz());
        /*
         * Never 0, which would disarm; rounded up, so that it does not fire early; a far one fires early and is set
         * again.
         */
        count = count < UINT32_MAX - 1 ? count + 1 : UINT32_MAX;
    }
    lapic_write(LAPIC_TIMER_INITIAL, (uint32_t)count);
}
