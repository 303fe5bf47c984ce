/* SPDX-License-Identifier: MIT */
/* Says whose a physical interrupt is. */
#include "hv/cpu/cpu.h"
#include "hv/cpu/cpu_init.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/irq/irq.h"
#include "hv/time/timer_queue.h"

void interrupt_handle(uint64_t vector)
{
    struct cpu *cpu = cpu_this();

    cpu->interrupt_count++;
    trace(TRACE_INTERRUPT, 0, vector, 0);
    if (vector <= IRQ_VECTOR_DEVICE_LAST) {
        irq_deliver_device((uint8_t)vector);
        return;
    }
    switch (vector) {
    case IRQ_VECTOR_TIMER:
        lapic_eoi();
        timer_queue_run();
        break;
    case IRQ_VECTOR_KICK:
        lapic_eoi();
        cpu_note_kick();
        break;
    case IRQ_VECTOR_SPURIOUS:
        /* Not in service: an EOI would end somebody else's interrupt. */
        break;
    default:
        lapic_eoi();
        log_guest_line("CPU %u: interrupt 0x%x, which nothing sends", cpu->index, (uint32_t)vector);
        break;
    }
}
