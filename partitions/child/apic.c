/* SPDX-License-Identifier: MIT */
/* The local APIC of one VP: HLT and timer, priorities, self-IPI, NMI, ISR and EOI. Option: ticks= (that a self-IPI with
 * its EOI may take in x2APIC mode; 0: any number). */
#include "hv/abi/hv_msr.h"
#include "partitions/child/lib/guest.h"

#define VECTOR_TIMER            0x40u
#define VECTOR_LOW              0x51u
#define VECTOR_HIGH             0x81u
#define LVT_PERIODIC            0x20000u
#define LVT_MASKED              0x10000u
#define DIVIDE_BY_1             0xBu
#define ICR_NMI                 0x4400u
#define ICR_FIXED               0x4000u
#define PERIODS                 20u
#define TICKS                   UINT64_C(1000000)
#define IPIS                    1000u
#define ESR_SEND_ILLEGAL_VECTOR 0x20u

static volatile uint32_t timer_count;
static volatile uint32_t low_count;
static volatile uint32_t high_count;
static volatile uint32_t nmi_count;
static volatile uint32_t isr_seen;
static volatile uint32_t high_inside_low;

static void on_timer(void)
{
    timer_count++;
    guest_apic_eoi();
}

static void on_low(void)
{
    low_count++;
    isr_seen = guest_apic_read(X86_MSR_X2APIC_ISR0 + VECTOR_LOW / 32);
    /* A higher one gets through while this one is in service, an equal one does not. */
    guest_apic_send(guest_apic_id(), ICR_FIXED | VECTOR_HIGH);
    irq_window();
    high_inside_low = high_count;
    guest_apic_eoi();
}

static void on_high(void)
{
    high_count++;
    guest_apic_eoi();
}

static void on_nmi(void)
{
    nmi_count++;
}

static void check_timer(void)
{
    /* Less a hundredth, for rounding between the two clocks. */
    uint64_t expected = TICKS * GUEST_CLOCK_100NS_PER_MS * 1000 / rdmsr(HV_X64_MSR_APIC_FREQUENCY) * 99 / 100;
    uint64_t start = guest_clock();
    uint64_t elapsed;

    guest_apic_write(X86_MSR_X2APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    guest_apic_write(X86_MSR_X2APIC_LVT_TIMER, VECTOR_TIMER);
    guest_apic_write(X86_MSR_X2APIC_TIMER_INITIAL, TICKS);
    while (timer_count == 0) {
        irq_wait();
    }
    elapsed = guest_clock() - start;
    guest_check(timer_count == 1 && guest_apic_read(X86_MSR_X2APIC_TIMER_CURRENT) == 0 && elapsed >= expected,
                "one-shot", "%u interrupts, in %llu instead of %llu", timer_count, (unsigned long long)elapsed,
                (unsigned long long)expected);
    /* The same count as a period must not take less each time, however late single ones are. */
    timer_count = 0;
    start = guest_clock();
    guest_apic_write(X86_MSR_X2APIC_LVT_TIMER, VECTOR_TIMER | LVT_PERIODIC);
    guest_apic_write(X86_MSR_X2APIC_TIMER_INITIAL, TICKS);
    while (timer_count < PERIODS) {
        irq_wait();
    }

    uint64_t periods = guest_clock() - start;

    guest_apic_write(X86_MSR_X2APIC_LVT_TIMER, LVT_MASKED);
    guest_check(periods >= PERIODS * expected, "periodic", "%u periods in %llu, each should take %llu", PERIODS,
                (unsigned long long)periods, (unsigned long long)expected);
}

static void check_priorities(void)
{
    guest_apic_send(guest_apic_id(), ICR_FIXED | VECTOR_LOW);
    irq_window();
    guest_check(low_count == 1 && high_count == 1 && high_inside_low == 1, "nesting", "low %u, high %u, inside %u",
                low_count, high_count, high_inside_low);
    guest_check((isr_seen & 1u << VECTOR_LOW % 32) != 0, "isr", "%#x", isr_seen);
    guest_check(guest_apic_read(X86_MSR_X2APIC_ISR0 + VECTOR_LOW / 32) == 0, "eoi", "still in service");
    /* With the task priority at its class it waits in the IRR. */
    guest_apic_write(X86_MSR_X2APIC_TPR, 0x50);
    guest_apic_send(guest_apic_id(), ICR_FIXED | VECTOR_LOW);
    irq_window();

    uint32_t irr = guest_apic_read(X86_MSR_X2APIC_IRR0 + VECTOR_LOW / 32);

    guest_check(low_count == 1 && (irr & 1u << VECTOR_LOW % 32) != 0, "tpr-holds", "low %u, IRR %#x", low_count, irr);
    __asm__ volatile("mov %0, %%cr8" : : "r"(UINT64_C(0)));
    irq_window();
    guest_check(low_count == 2 && guest_apic_read(X86_MSR_X2APIC_TPR) == 0, "cr8-releases", "low %u, TPR %#x",
                low_count, guest_apic_read(X86_MSR_X2APIC_TPR));
}

static void check_self_ipi_register(void)
{
    wrmsr(X86_MSR_X2APIC_SELF_IPI, VECTOR_HIGH);
    irq_window();
    guest_check(high_count == 3, "self-ipi-register", "high %u", high_count);
    /* One that waits for the interrupt flag behind another that is in service, and one below the task priority. */
    high_count = low_count = 0;
    guest_apic_write(X86_MSR_X2APIC_TPR, 0x50);
    wrmsr(X86_MSR_X2APIC_SELF_IPI, VECTOR_LOW);
    wrmsr(X86_MSR_X2APIC_SELF_IPI, VECTOR_HIGH);

    uint32_t irr_low = guest_apic_read(X86_MSR_X2APIC_IRR0 + VECTOR_LOW / 32);
    uint32_t irr_high = guest_apic_read(X86_MSR_X2APIC_IRR0 + VECTOR_HIGH / 32);

    guest_check(high_count == 0 && irr_low == 1u << VECTOR_LOW % 32 && irr_high == 1u << VECTOR_HIGH % 32,
                "self-ipi-waits", "high %u, IRR %#x and %#x", high_count, irr_low, irr_high);
    irq_window();
    guest_check(high_count == 1 && low_count == 0, "self-ipi-priority", "high %u, low %u", high_count, low_count);
    guest_check(guest_apic_read(X86_MSR_X2APIC_PPR) == 0x50, "ppr", "%#x", guest_apic_read(X86_MSR_X2APIC_PPR));
    guest_apic_write(X86_MSR_X2APIC_TPR, 0);
    irq_window();
    guest_check(low_count == 1 && high_inside_low == 2, "self-ipi-tpr", "low %u, high %u", low_count, high_inside_low);
    guest_check(guest_try_wrmsr(X86_MSR_X2APIC_EOI, 1) == GUEST_FAULT(X86_VECTOR_GP), "eoi-nonzero", "no #GP");
    guest_check(guest_try_wrmsr(X86_MSR_X2APIC_VERSION, 0) == GUEST_FAULT(X86_VECTOR_GP), "read-only-register",
                "no #GP");
    guest_check(guest_try_wrmsr(X86_MSR_X2APIC_SELF_IPI, 0x100) == GUEST_FAULT(X86_VECTOR_GP), "self-ipi-wide",
                "no #GP");
    guest_apic_write(X86_MSR_X2APIC_ESR, 0);
    wrmsr(X86_MSR_X2APIC_SELF_IPI, 5);
    guest_apic_write(X86_MSR_X2APIC_ESR, 0);
    guest_check(guest_apic_read(X86_MSR_X2APIC_ESR) == ESR_SEND_ILLEGAL_VECTOR, "self-ipi-vector", "ESR %#x",
                guest_apic_read(X86_MSR_X2APIC_ESR));
}

static void check_cost(void)
{
    uint64_t limit = guest_option("ticks", 0);
    uint64_t least = UINT64_MAX;

    high_count = 0;
    irq_enable();
    for (uint32_t i = 0; i < IPIS; i++) {
        uint64_t start = rdtsc();

        wrmsr(X86_MSR_X2APIC_SELF_IPI, VECTOR_HIGH);
        while (high_count != i + 1) {
            __asm__ volatile("nop");
        }

        uint64_t ticks = rdtsc() - start;

        least = ticks < least ? ticks : least;
    }
    irq_disable();
    guest_print("a self-IPI with its EOI takes %llu ticks\n", (unsigned long long)least);
    guest_check(limit == 0 || least <= limit, "cost", "more than %llu ticks", (unsigned long long)limit);
}

uint8_t guest_main(void)
{
    guest_apic_init();
    guest_set_handler(VECTOR_TIMER, on_timer);
    guest_set_handler(VECTOR_LOW, on_low);
    guest_set_handler(VECTOR_HIGH, on_high);
    guest_set_handler(X86_VECTOR_NMI, on_nmi);
    check_timer();
    check_priorities();
    guest_apic_send(guest_apic_id(), ICR_NMI);
    __asm__ volatile("nop; nop; nop");
    guest_check(nmi_count == 1, "nmi", "%u came", nmi_count);
    if (guest_apic_is_x2()) {
        check_self_ipi_register();
        check_cost();
    }
    return guest_failures();
}
