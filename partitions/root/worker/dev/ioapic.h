/* SPDX-License-Identifier: MIT */
/* The 82093-like IO-APIC: 24 pins, register window, EOI register. */
#ifndef DEV_IOAPIC_H
#define DEV_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "partitions/root/worker/layout.h"

struct host_vm;
struct worker_counters;

/* State of the IO-APIC. Everything is protected by the VM's lock. */
struct ioapic {
    struct host_vm *host;
    struct worker_counters *counters;
    uint32_t id;                          /* as in the ID register, bits 27:24 */
    uint8_t selected;                     /* IOREGSEL */
    uint32_t asserted_lines;              /* one bit per pin: its device asserts it */
    uint64_t entries[LAYOUT_IOAPIC_PINS]; /* redirection table, remote IRR included */
};

/* One input of the IO-APIC, as its device holds it. */
struct irq_line {
    struct ioapic *ioapic;
    uint8_t pin;
};

/* Reset state: all pins masked, no line asserted. */
void ioapic_init(struct ioapic *ioapic, struct host_vm *host, struct worker_counters *counters);

/* The device asserts or releases its pin. Saying the same again changes nothing. */
void ioapic_set_line(const struct irq_line *line, bool is_asserted);

/* A local APIC has seen the end of a level-triggered interrupt with this vector. */
void ioapic_end_of_interrupt(struct ioapic *ioapic, uint8_t vector);

/* A pin is programmed to interrupt VPs that have interrupts disabled, by NMI or INIT. */
bool ioapic_can_always_interrupt(const struct ioapic *ioapic);

/* Register window: `offset` from its base, size 1, 2, 4 or 8. */
uint64_t ioapic_read(void *device, uint64_t offset, uint32_t size_bytes);
void ioapic_write(void *device, uint64_t offset, uint32_t size_bytes, uint64_t value);

#endif
