/* SPDX-License-Identifier: MIT */
/* VPs that halt with interrupts disabled: as long as another one may send an NMI the VM lives; when all have done so it
 * must end. Option: vps= (how many there are, 2). */
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "partitions/child/lib/guest.h"

#define ICR_NMI     0x4400u
#define LIMIT       (20000 * GUEST_CLOCK_100NS_PER_MS)
#define QUIET       (4000 * GUEST_CLOCK_100NS_PER_MS) /* longer than minroot takes to find a halted VM */
#define VECTOR_TICK 0x60u

static uint32_t nmi_count; /* atomic */

static void halt(void)
{
    __asm__ volatile("hlt" : : : "memory");
}

static void on_nmi(void)
{
    (void)__atomic_fetch_add(&nmi_count, 1u, __ATOMIC_RELEASE);
}

static void other_main(uint32_t number)
{
    (void)number;
    for (;;) {
        halt();
    }
}

/* Halted as the others are, but with interrupts enabled, for its timer's. */
static void sleep_quietly(void)
{
    wrmsr(HV_X64_MSR_STIMER0_CONFIG,
          HV_STIMER_AUTO_ENABLE | HV_STIMER_DIRECT_MODE | (uint64_t)VECTOR_TICK << HV_STIMER_VECTOR_SHIFT);
    wrmsr(HV_X64_MSR_STIMER0_COUNT, guest_clock() + QUIET);
    irq_wait();
}

uint8_t guest_main(void)
{
    uint32_t others = (uint32_t)guest_option("vps", 2) - 1;

    guest_apic_init();
    guest_set_handler(X86_VECTOR_NMI, on_nmi);
    guest_set_handler(VECTOR_TICK, guest_apic_eoi);
    guest_check(guest_start_others(other_main, others, LIMIT) == others, "start", "not all VPs");
    sleep_quietly();
    for (uint32_t i = 1; i <= others; i++) {
        guest_apic_send(i, ICR_NMI);
    }
    for (uint64_t start = guest_clock(); nmi_count < others && guest_clock() - start < LIMIT;) {
        cpu_relax();
    }
    guest_check(nmi_count == others, "nmi", "%u of %u VPs woke", nmi_count, others);
    halt();
    guest_print("FAIL halt: something woke the VP\n");
    return 1;
}
