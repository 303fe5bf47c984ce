/* SPDX-License-Identifier: MIT */
/* Interrupts whose frame is the first thing that touches its memory: delivery itself is interrupted by the exit for
 * that page, and has to be done again, once, as the interrupt that it was. Option: mb= (its memory, 16). */
#include "partitions/child/lib/guest.h"

#define VECTOR      0xEDu
#define ICR_FIXED   0x4000u
#define FIRST_STACK UINT64_C(0x800000)
#define REGION      UINT64_C(0x200000) /* what the root populates at a time */

static volatile uint32_t count;

static void on_interrupt(void)
{
    count++;
    guest_apic_eoi();
}

/* Lets pending interrupts in while the stack is there. */
static void take_interrupts_on(uint64_t stack_end)
{
    __asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; sti; nop; nop; cli; mov %%rbx, %%rsp"
                     :
                     : "r"(stack_end)
                     : "rbx", "memory", "cc");
}

uint8_t guest_main(void)
{
    uint64_t ram_end = guest_option("mb", 16) << 20;
    uint32_t sent = 0;
    uint32_t wrong = 0;

    guest_apic_init();
    guest_set_handler(VECTOR, on_interrupt);
    for (uint64_t at = FIRST_STACK; at + REGION <= ram_end; at += REGION) {
        guest_apic_send(guest_apic_id(), ICR_FIXED | VECTOR);
        sent++;
        take_interrupts_on(at + REGION);
        wrong += count != sent ? 1 : 0;
    }
    guest_check(sent > 0 && wrong == 0, "untouched-stack", "%u of %u interrupts came at a wrong time or not once",
                wrong, sent);
    return guest_failures();
}
