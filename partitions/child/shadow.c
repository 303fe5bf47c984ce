/* SPDX-License-Identifier: MIT */
/* The instruction behind STI is not interrupted: an interrupt that becomes pending while STI and CLI take turns has to
 * wait for their end, and comes then, once. */
#include "partitions/child/lib/guest.h"

#define VECTOR      0x40u
#define DIVIDE_BY_1 0xBu
#define ROUNDS      200u
#define TURNS       20000u
#define TICKS_STEP  1013u /* the timer's expiry moves through the turns */

static volatile bool is_open; /* interrupts may come now */
static volatile uint32_t count;
static volatile uint32_t early_count;

static void on_timer(void)
{
    count++;
    early_count += is_open ? 0 : 1;
    guest_apic_eoi();
}

/* Interrupts are on only in shadows. */
static void take_turns(void)
{
    uint32_t left = TURNS;

    __asm__ volatile("1: sti; cli; dec %0; jnz 1b" : "+r"(left) : : "memory", "cc");
}

uint8_t guest_main(void)
{
    uint32_t wrong = 0;

    guest_apic_init();
    guest_set_handler(VECTOR, on_timer);
    guest_apic_write(X86_MSR_X2APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    guest_apic_write(X86_MSR_X2APIC_LVT_TIMER, VECTOR);
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        guest_apic_write(X86_MSR_X2APIC_TIMER_INITIAL, 1 + i * TICKS_STEP % (100 * TICKS_STEP));
        take_turns();
        is_open = true;
        while (count < i) {
            irq_window();
        }
        is_open = false;
        wrong += count != i ? 1 : 0;
    }
    guest_check(early_count == 0, "no-interrupt-in-shadow", "%u of %u came in the shadow of STI", early_count, ROUNDS);
    guest_check(wrong == 0, "once", "%u of %u did not come once", wrong, ROUNDS);
    return guest_failures();
}
