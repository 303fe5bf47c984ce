/* SPDX-License-Identifier: MIT */
/* Clocks of a child: reference counter, reference TSC page if it is offered, frequencies, and their agreement. */
#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "partitions/child/lib/guest.h"

#define SAMPLES          2000u
#define WAIT             (50 * GUEST_CLOCK_100NS_PER_MS)
#define APIC_DIVIDE_BY_1 0xBu
#define LVT_MASKED       0x10000u

static struct hv_reference_tsc_page tsc_page ALIGNED(4096);

/* Ticks against a frequency: within two per cent, which an emulated machine keeps. */
static bool is_near(uint64_t ticks, uint64_t hz, uint64_t elapsed_100ns)
{
    uint64_t expected = hz / 10000 * elapsed_100ns / 1000;

    return ticks > expected - expected / 50 && ticks < expected + expected / 50;
}

static void check_counter(void)
{
    uint64_t last = guest_clock();
    uint32_t backward = 0;

    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t now = guest_clock();

        backward += now < last ? 1 : 0;
        last = now;
    }
    guest_check(backward == 0, "counter", "went back %u times", backward);
}

static void check_frequencies(void)
{
    uint64_t tsc_hz = rdmsr(HV_X64_MSR_TSC_FREQUENCY);
    uint64_t apic_hz = rdmsr(HV_X64_MSR_APIC_FREQUENCY);

    guest_apic_init();
    guest_apic_write(X86_MSR_X2APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
    guest_apic_write(X86_MSR_X2APIC_LVT_TIMER, LVT_MASKED);
    guest_apic_write(X86_MSR_X2APIC_TIMER_INITIAL, UINT32_MAX);

    uint64_t start = guest_clock();
    uint64_t start_tsc = rdtsc();
    uint64_t start_apic = guest_apic_read(X86_MSR_X2APIC_TIMER_CURRENT);

    guest_wait(WAIT);

    uint64_t elapsed = guest_clock() - start;
    uint64_t tsc = rdtsc() - start_tsc;
    uint64_t apic = start_apic - guest_apic_read(X86_MSR_X2APIC_TIMER_CURRENT);

    guest_check(is_near(tsc, tsc_hz, elapsed), "tsc-frequency", "%llu ticks in %llu x 100 ns, said to be %llu Hz",
                (unsigned long long)tsc, (unsigned long long)elapsed, (unsigned long long)tsc_hz);
    guest_check(is_near(apic, apic_hz, elapsed), "apic-frequency", "%llu ticks in %llu x 100 ns, said to be %llu Hz",
                (unsigned long long)apic, (unsigned long long)elapsed, (unsigned long long)apic_hz);
}

static uint64_t page_clock(void)
{
    return (uint64_t)((unsigned __int128)rdtsc() * tsc_page.tsc_scale >> 64) + (uint64_t)tsc_page.tsc_offset;
}

static void check_page(void)
{
    uint32_t disagreements = 0;

    wrmsr(HV_X64_MSR_REFERENCE_TSC, (uint64_t)&tsc_page | HV_X64_MSR_PAGE_ENABLE);
    guest_check(rdmsr(HV_X64_MSR_REFERENCE_TSC) == ((uint64_t)&tsc_page | HV_X64_MSR_PAGE_ENABLE), "page-enable",
                "%#llx", (unsigned long long)rdmsr(HV_X64_MSR_REFERENCE_TSC));
    if (((volatile struct hv_reference_tsc_page *)&tsc_page)->tsc_sequence == HV_REFERENCE_TSC_SEQUENCE_INVALID) {
        guest_print("the TSC page is not valid on this machine\n");
        return;
    }
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t before = page_clock();
        uint64_t counter = guest_clock();
        uint64_t after = page_clock();

        disagreements += counter + 1 < before || counter > after + 1 ? 1 : 0;
    }
    guest_check(disagreements == 0, "page", "%u disagreements with the counter", disagreements);
}

uint8_t guest_main(void)
{
    uint32_t leaf[4];

    cpuid(HV_CPUID_FEATURES, 0, leaf);
    check_counter();
    if ((leaf[0] & HV_ACCESS_FREQUENCY_REGS) != 0) {
        check_frequencies();
    }
    if ((leaf[0] & HV_ACCESS_PARTITION_REFERENCE_TSC) != 0) {
        check_page();
    }
    return guest_failures();
}
