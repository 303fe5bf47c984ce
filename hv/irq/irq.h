/* SPDX-License-Identifier: MIT */
#ifndef IRQ_IRQ_H
#define IRQ_IRQ_H

/* Physical interrupts: IDT, local APIC, IO-APIC discovery. The hypervisor takes every external interrupt. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/* Vectors. 0x20-0xEF belong to devices, 0xF0-0xFE to the hypervisor. */
enum irq_vector {
    IRQ_VECTOR_DEVICE_FIRST = 0x20,
    IRQ_VECTOR_DEVICE_LAST = 0xEF,
    IRQ_VECTOR_TIMER = 0xF0,
    IRQ_VECTOR_KICK = 0xF1,
    IRQ_VECTOR_PANIC = 0xF2, /* sent as NMI in fact; reserved */
    IRQ_VECTOR_SPURIOUS = 0xFF,
};

/* Prepares the local APIC of this processor (x2APIC where present, else the page). */
void lapic_init(void);

/* Physical end of interrupt. */
void lapic_eoi(void);

/* Sends a fixed-delivery IPI to a physical APIC id. */
void lapic_send_ipi(uint32_t apic_id, uint8_t vector);

/*
 * Sends an NMI, an INIT or a start-up IPI (`page`: physical page number of the real-mode entry) to a physical APIC id.
 */
void lapic_send_nmi(uint32_t apic_id);
void lapic_send_init(uint32_t apic_id);
void lapic_send_startup(uint32_t apic_id, uint8_t page);

/* APIC id of this processor: from the APIC, or (before lapic_init()) as CPUID tells it. */
uint32_t lapic_id(void);
uint32_t lapic_id_by_cpuid(void);

/*
 * Masks or unmasks the local interrupt pins of this processor. Pin 0 carries the 8259s (ExtINT) and pin 1 the NMI on
 * the boot processor; lapic_init() leaves both masked, everywhere.
 */
enum lapic_pin { LAPIC_PIN_EXTINT = 0, LAPIC_PIN_NMI = 1 };
void lapic_set_pin_mask(enum lapic_pin pin, bool is_masked);

/* Trigger mode of the interrupt that is in service with this vector: true if level. */
bool lapic_is_level(uint8_t vector);

/* Raw count register of the timer, for its calibration: starts it at the maximum, masked, and reads it. */
void lapic_timer_count_start(void);
uint32_t lapic_timer_count(void);

/* Tells how fast that register counts. Boot processor, once, before the first lapic_timer_set(). */
void lapic_timer_set_frequency(uint64_t hz);

/* Masks both 8259s, after moving their vectors away from the exceptions (spurious ones cannot be masked). */
void pic_disable(void);

/* Called by the entry code for every vector from 0x20 on, interrupts off. */
void interrupt_handle(uint64_t vector);

/* Arms the one-shot timer of this processor to fire at an absolute TSC value; 0 disarms. */
void lapic_timer_set(uint64_t deadline_tsc);

/* True if this processor's APIC runs in x2APIC mode. */
bool lapic_is_x2apic(void);

/*
 * Upward hook, defined by hv/partition: a device interrupt (0x20-0xEF) arrived on this processor. Called in interrupt
 * context, interrupts off; the hook (not the caller) does lapic_eoi(), at once for edge and at the root's virtual EOI
 * for level.
 */
void irq_deliver_device(uint8_t vector);

/* Upward hook, defined by hv/partition: an NMI arrived that the hypervisor did not ask for. */
void irq_deliver_nmi(void);

#endif
