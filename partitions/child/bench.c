/* SPDX-License-Identifier: MIT */
/*
 * Prices operations in ticks of the time-stamp counter, which counts instructions on the emulated CPUs that the bench
 * runs on (tests/bench): prints "BENCH <operation> <least ticks>" for each. The same program runs under every
 * hypervisor that is compared. Options, all 1 without them: apic= (there is a virtual local APIC), pic= (the hypervisor
 * itself serves the PIC's ports), small= (the memory from BENCH_SMALL_START on is backed by pages of 4 KiB).
 */
#include "partitions/child/bench.h"

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "partitions/child/lib/guest.h"

#define ROUNDS           400u
#define VECTOR_IPI       0x61u
#define VECTOR_TIMER     0x62u
#define VECTOR_STIMER    0x63u
#define PORT_UNUSED      0x80u
#define PORT_PIC         0x21u
#define PIC_MASK_ALL     0xFFu
#define ICR_SELF         0x44000u /* fixed, asserted, to itself */
#define APIC_DIVIDE_BY_1 0xBu
#define XAPIC_PAGE       UINT64_C(0xFEE00000)
#define XAPIC(msr)       (*(volatile uint32_t *)(XAPIC_PAGE + (((msr)-X86_MSR_X2APIC_FIRST) << 4)))
#define XEN_VERSION      17u
#define XENVER_VERSION   0u
#define XENVER_FEATURES  6u
#define XEN_UNKNOWN      63u
#define NOPS             100u
#define SMALL_STEP       0x1000u
#define LARGE_STEP       0x200000u
#define UNKNOWN_CALL     0x7FFFu

/* One operation: done between two readings of the counter. */
struct operation {
    const char *name;
    void (*run)(void);
};

static uint8_t hypercall_page[4096] ALIGNED(4096);
static struct hv_input_send_synthetic_cluster_ipi nobody ALIGNED(16);
static uint64_t xen_features; /* argument and result of that call */
static volatile uint32_t interrupt_count;
static uint64_t overhead;
static uint64_t touch_address;

static void do_nothing(void)
{
}

static void do_nops(void)
{
    __asm__ volatile(".rept %c0; nop; .endr" : : "i"(NOPS));
}

static void do_cpuid(void)
{
    uint32_t out[4];

    cpuid(0, 0, out);
}

/* A call that does nothing: an interrupt for no processor. */
static void do_call_memory(void)
{
    (void)guest_hypercall(HvCallSendSyntheticClusterIpi, (uint64_t)&nobody, 0);
}

static void do_call_fast(void)
{
    (void)guest_hypercall(HvCallSendSyntheticClusterIpi | HV_HYPERCALL_FAST, VECTOR_IPI, 0);
}

static void do_call_unknown(void)
{
    (void)guest_hypercall(UNKNOWN_CALL | HV_HYPERCALL_FAST, 0, 0);
}

static void do_xen_fast(void)
{
    (void)guest_xen_call(XEN_VERSION, XENVER_VERSION, 0);
}

static void do_xen_memory(void)
{
    (void)guest_xen_call(XEN_VERSION, XENVER_FEATURES, (uint64_t)&xen_features);
}

static void do_xen_unknown(void)
{
    (void)guest_xen_call(XEN_UNKNOWN, 0, 0);
}

static void do_rdmsr(void)
{
    (void)rdmsr(HV_X64_MSR_VP_INDEX);
}

static void do_rdmsr_counter(void)
{
    (void)rdmsr(HV_X64_MSR_TIME_REF_COUNT);
}

static void do_wrmsr(void)
{
    wrmsr(HV_X64_MSR_SINT0 + 5, HV_SINT_RESET_VALUE);
}

static void do_port(void)
{
    outb(PORT_UNUSED, 0);
}

static void do_port_inside(void)
{
    outb(PORT_PIC, PIC_MASK_ALL);
}

static void do_xapic_read(void)
{
    (void)XAPIC(X86_MSR_X2APIC_TPR);
}

static void do_xapic_write(void)
{
    XAPIC(X86_MSR_X2APIC_TPR) = 0;
}

static void do_x2apic_read(void)
{
    (void)rdmsr(X86_MSR_X2APIC_TPR);
}

static void do_x2apic_write(void)
{
    wrmsr(X86_MSR_X2APIC_TPR, 0);
}

static void wait_interrupt(uint32_t before)
{
    while (interrupt_count == before) {
    }
}

static void do_xapic_ipi(void)
{
    uint32_t before = interrupt_count;

    XAPIC(X86_MSR_X2APIC_ICR) = ICR_SELF | VECTOR_IPI;
    wait_interrupt(before);
}

static void do_x2apic_ipi(void)
{
    uint32_t before = interrupt_count;

    wrmsr(X86_MSR_X2APIC_SELF_IPI, VECTOR_IPI);
    wait_interrupt(before);
}

/* The shortest time there is. */
static void do_apic_timer(void)
{
    uint32_t before = interrupt_count;

    guest_apic_write(X86_MSR_X2APIC_TIMER_INITIAL, 1);
    wait_interrupt(before);
}

/* A time that has passed. */
static void do_stimer(void)
{
    uint32_t before = interrupt_count;

    wrmsr(HV_X64_MSR_STIMER0_COUNT, 1);
    wait_interrupt(before);
}

static void do_touch(void)
{
    *(volatile uint64_t *)touch_address = 1;
}

/* An interrupt without its EOI would be the last one. */
static void on_xapic(void)
{
    interrupt_count++;
    XAPIC(X86_MSR_X2APIC_EOI) = 0;
}

static void on_x2apic(void)
{
    interrupt_count++;
    wrmsr(X86_MSR_X2APIC_EOI, 0);
}

/* Never a copy of its own for one operation: what is around the operation must be the same for all. */
static NOINLINE uint64_t ticks(void (*volatile run)(void))
{
    uint64_t start = rdtsc();

    run();
    return rdtsc() - start;
}

static uint64_t least(void (*run)(void))
{
    uint64_t result = UINT64_MAX;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t time = ticks(run);

        result = time < result ? time : result;
    }
    return result;
}

static void report(const char *name, uint64_t time)
{
    guest_print("BENCH %s %llu\n", name, (unsigned long long)(time - overhead));
}

static void price(const struct operation *operations, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        report(operations[i].name, least(operations[i].run));
    }
}

/* The least time of the first access to one piece of memory after the other. */
static void price_touch(const char *name, uint64_t start, uint64_t end, uint64_t step)
{
    uint64_t result = UINT64_MAX;

    for (touch_address = start; touch_address < end; touch_address += step) {
        uint64_t time = ticks(do_touch);

        result = time < result ? time : result;
    }
    report(name, result);
}

static void price_xapic(void)
{
    static const struct operation operations[] = {
        {"apic-page-read", do_xapic_read},
        {"apic-page-write", do_xapic_write},
        {"self-ipi-page", do_xapic_ipi},
    };

    wrmsr(X86_MSR_APIC_BASE, rdmsr(X86_MSR_APIC_BASE) | X86_APIC_BASE_ENABLE);
    XAPIC(X86_MSR_X2APIC_TPR) = 0;
    XAPIC(X86_MSR_X2APIC_SVR) = 0x1FF;
    guest_set_handler(VECTOR_IPI, on_xapic);
    irq_enable();
    price(operations, ARRAY_SIZE(operations));
    irq_disable();
}

static void price_x2apic(void)
{
    static const struct operation operations[] = {
        {"apic-msr-read", do_x2apic_read},
        {"apic-msr-write", do_x2apic_write},
        {"self-ipi-msr", do_x2apic_ipi},
        {"apic-timer", do_apic_timer},
    };

    guest_apic_init();
    if (!guest_apic_is_x2()) {
        return;
    }
    guest_set_handler(VECTOR_IPI, on_x2apic);
    guest_set_handler(VECTOR_TIMER, on_x2apic);
    guest_apic_write(X86_MSR_X2APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
    guest_apic_write(X86_MSR_X2APIC_LVT_TIMER, VECTOR_TIMER);
    irq_enable();
    price(operations, ARRAY_SIZE(operations));
    irq_disable();
}

static void price_stimer(void)
{
    static const struct operation operations[] = {{"stimer", do_stimer}};
    uint32_t leaf[4];

    cpuid(HV_CPUID_FEATURES, 0, leaf);
    if ((leaf[3] & HV_FEATURE_DIRECT_SYNTHETIC_TIMERS) == 0) {
        return;
    }
    guest_set_handler(VECTOR_STIMER, on_x2apic);
    wrmsr(HV_X64_MSR_STIMER0_CONFIG,
          HV_STIMER_AUTO_ENABLE | HV_STIMER_DIRECT_MODE | (uint64_t)VECTOR_STIMER << HV_STIMER_VECTOR_SHIFT);
    irq_enable();
    price(operations, ARRAY_SIZE(operations));
    irq_disable();
}

/* Hyper-V's interface, whoever offers it. */
static void price_hyperv(void)
{
    static const struct operation operations[] = {
        {"hypercall-memory", do_call_memory},
        {"hypercall-fast", do_call_fast},
        {"hypercall-unknown", do_call_unknown},
        {"rdmsr", do_rdmsr},
        {"rdmsr-counter", do_rdmsr_counter},
        {"wrmsr", do_wrmsr},
        {"port", do_port},
    };

    guest_check(guest_enable_hypercalls(hypercall_page), "hypercall-page", "refused");
    price(operations, ARRAY_SIZE(operations));
}

/* Xen's: the calls that are nearest to those. Xen leaves port 0x80 to its guests. */
static void price_xen(void)
{
    static const struct operation operations[] = {
        {"hypercall-memory", do_xen_memory},
        {"hypercall-fast", do_xen_fast},
        {"hypercall-unknown", do_xen_unknown},
    };

    price(operations, ARRAY_SIZE(operations));
}

static void price_common(void)
{
    static const struct operation operations[] = {{"nops", do_nops}, {"cpuid", do_cpuid}};
    static const struct operation inside[] = {{"port-inside", do_port_inside}};

    price(operations, ARRAY_SIZE(operations));
    if (guest_option("pic", 1) != 0) {
        price(inside, ARRAY_SIZE(inside));
    }
}

static void price_memory(void)
{
    if (guest_option("small", 1) != 0) {
        price_touch("touch-4k", BENCH_SMALL_START, BENCH_SMALL_END, SMALL_STEP);
    }
    price_touch("touch-2m", BENCH_LARGE_START, BENCH_LARGE_END, LARGE_STEP);
}

uint8_t guest_main(void)
{
    bool is_xen = guest_is_xen();

    nobody.vector = VECTOR_IPI;
    overhead = least(do_nothing);
    price_common();
    if (is_xen) {
        price_xen();
    } else {
        price_hyperv();
    }
    if (guest_option("apic", 1) != 0) {
        price_xapic();
        price_x2apic();
    }
    if (guest_option("apic", 1) != 0 && !is_xen) {
        price_stimer();
    }
    /* All memory of Xen's guest is there before it starts. */
    if (!is_xen) {
        price_memory();
    }
    guest_print("BENCH-END %u\n", guest_failures());
    return guest_failures();
}
