/* SPDX-License-Identifier: MIT */
/*
 * The IO-APIC (Intel 82093AA I/O Advanced Programmable Interrupt Controller; the
 * EOI register is that of version 0x20). It turns lines of devices into calls of
 * host_assert_interrupt(); the local APICs are the hypervisor's.
 *
 * The polarity bit is kept but has no effect: a line is asserted or not. An edge
 * on a masked pin is lost, as on the real part.
 */
#include "partitions/root/worker/dev/ioapic.h"

#include <stddef.h>

#include "vmbus/host.h"

/* Offsets in the window. */
#define IOAPIC_SELECT 0x00u
#define IOAPIC_WINDOW 0x10u
#define IOAPIC_EOI    0x40u

/* Registers behind the window. */
#define IOAPIC_REGISTER_ID          0x00u
#define IOAPIC_REGISTER_VERSION     0x01u
#define IOAPIC_REGISTER_ARBITRATION 0x02u
#define IOAPIC_REGISTER_TABLE       0x10u

#define IOAPIC_VERSION         0x20u
#define IOAPIC_MAX_ENTRY_SHIFT 16
#define IOAPIC_ID_MASK         0x0F000000u

/* Redirection entry. */
#define ENTRY_VECTOR            UINT64_C(0xFF)
#define ENTRY_DELIVERY_SHIFT    8
#define ENTRY_DELIVERY_MASK     UINT64_C(0x7)
#define ENTRY_LOGICAL           (UINT64_C(1) << 11)
#define ENTRY_DELIVERY_STATUS   (UINT64_C(1) << 12)
#define ENTRY_REMOTE_IRR        (UINT64_C(1) << 14)
#define ENTRY_LEVEL             (UINT64_C(1) << 15)
#define ENTRY_MASKED            (UINT64_C(1) << 16)
#define ENTRY_DESTINATION_SHIFT 56
#define ENTRY_READ_ONLY         (ENTRY_DELIVERY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE          (UINT64_C(0xFF0000000001FFFF) & ~ENTRY_READ_ONLY)

/* Delivery modes of an entry, which are the ABI's interrupt types as well. */
#define DELIVERY_FIXED           0u
#define DELIVERY_LOWEST_PRIORITY 1u
#define DELIVERY_NMI             4u
#define DELIVERY_INIT            5u

/* Lower vectors belong to exceptions; a local APIC refuses them. */
#define VECTOR_FIRST 16u

static uint32_t pin_bit(uint32_t pin)
{
    return UINT32_C(1) << pin;
}

static uint32_t delivery_mode(uint64_t entry)
{
    return (uint32_t)((entry >> ENTRY_DELIVERY_SHIFT) & ENTRY_DELIVERY_MASK);
}

/* Sends the interrupt of a pin if its entry allows it. */
static void deliver(struct ioapic *ioapic, uint32_t pin)
{
    uint64_t entry = ioapic->entries[pin];
    uint32_t type = delivery_mode(entry);
    uint32_t vector = (uint32_t)(entry & ENTRY_VECTOR);
    bool is_vectored = type == DELIVERY_FIXED || type == DELIVERY_LOWEST_PRIORITY;
    /* NMI and INIT are edges whatever the entry says. */
    bool is_level = is_vectored && (entry & ENTRY_LEVEL) != 0;

    if ((entry & ENTRY_MASKED) != 0 || (is_level && (entry & ENTRY_REMOTE_IRR) != 0)) {
        return;
    }
    if (is_vectored ? vector < VECTOR_FIRST : type != DELIVERY_NMI && type != DELIVERY_INIT) {
        /* No SMM, no 8259 behind ExtINT, and two encodings are reserved. */
        ioapic->counters->interrupts_failed++;
        return;
    }
    if (host_assert_interrupt(ioapic->host, type, is_level, (entry & ENTRY_LOGICAL) != 0,
                              entry >> ENTRY_DESTINATION_SHIFT, vector) != HV_STATUS_SUCCESS) {
        ioapic->counters->interrupts_failed++;
        return;
    }
    ioapic->counters->interrupts_asserted++;
    if (is_level) {
        ioapic->entries[pin] |= ENTRY_REMOTE_IRR;
    }
}

/* After a change of the entry or an EOI: a level line that is still asserted interrupts again. */
static void deliver_if_level_asserted(struct ioapic *ioapic, uint32_t pin)
{
    if ((ioapic->entries[pin] & ENTRY_LEVEL) != 0 && (ioapic->asserted_lines & pin_bit(pin)) != 0) {
        deliver(ioapic, pin);
    }
}

void ioapic_init(struct ioapic *ioapic, struct host_vm *host, struct worker_counters *counters)
{
    *ioapic = (struct ioapic){.host = host, .counters = counters};
    for (uint32_t pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++) {
        ioapic->entries[pin] = ENTRY_MASKED;
    }
}

void ioapic_set_line(const struct irq_line *line, bool is_asserted)
{
    struct ioapic *ioapic = line->ioapic;
    uint32_t bit = pin_bit(line->pin);

    if (is_asserted == ((ioapic->asserted_lines & bit) != 0)) {
        return;
    }
    ioapic->asserted_lines ^= bit;
    if (is_asserted) {
        deliver(ioapic, line->pin);
    }
}

bool ioapic_can_always_interrupt(const struct ioapic *ioapic)
{
    for (uint32_t pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++) {
        uint64_t entry = ioapic->entries[pin];
        uint32_t mode = delivery_mode(entry);

        if ((entry & ENTRY_MASKED) == 0 && (mode == DELIVERY_NMI || mode == DELIVERY_INIT)) {
            return true;
        }
    }
    return false;
}

void ioapic_end_of_interrupt(struct ioapic *ioapic, uint8_t vector)
{
    for (uint32_t pin = 0; pin < LAYOUT_IOAPIC_PINS; pin++) {
        uint64_t entry = ioapic->entries[pin];

        if ((entry & ENTRY_VECTOR) == vector && (entry & ENTRY_REMOTE_IRR) != 0) {
            ioapic->entries[pin] &= ~ENTRY_REMOTE_IRR;
            deliver_if_level_asserted(ioapic, pin);
        }
    }
}

static uint32_t read_register(const struct ioapic *ioapic)
{
    uint32_t index = ioapic->selected;

    if (index == IOAPIC_REGISTER_ID || index == IOAPIC_REGISTER_ARBITRATION) {
        return ioapic->id;
    }
    if (index == IOAPIC_REGISTER_VERSION) {
        return IOAPIC_VERSION | ((LAYOUT_IOAPIC_PINS - 1u) << IOAPIC_MAX_ENTRY_SHIFT);
    }
    if (index >= IOAPIC_REGISTER_TABLE && index < IOAPIC_REGISTER_TABLE + 2u * LAYOUT_IOAPIC_PINS) {
        uint64_t entry = ioapic->entries[(index - IOAPIC_REGISTER_TABLE) / 2u];

        return (index & 1u) != 0 ? (uint32_t)(entry >> 32) : (uint32_t)entry;
    }
    return 0;
}

static void write_entry(struct ioapic *ioapic, uint32_t pin, bool is_high_half, uint32_t value)
{
    uint64_t old = ioapic->entries[pin];
    uint64_t wanted =
        is_high_half ? (old & UINT32_MAX) | ((uint64_t)value << 32) : (old & ~(uint64_t)UINT32_MAX) | value;
    uint64_t entry = (wanted & ENTRY_WRITABLE) | (old & ENTRY_READ_ONLY);

    if ((entry & ENTRY_LEVEL) == 0) {
        /* Drivers clear a stuck remote IRR by making the entry edge-triggered for a moment. */
        entry &= ~ENTRY_REMOTE_IRR;
    }
    ioapic->entries[pin] = entry;
    deliver_if_level_asserted(ioapic, pin);
}

static void write_register(struct ioapic *ioapic, uint32_t value)
{
    uint32_t index = ioapic->selected;

    if (index == IOAPIC_REGISTER_ID) {
        ioapic->id = value & IOAPIC_ID_MASK;
    } else if (index >= IOAPIC_REGISTER_TABLE && index < IOAPIC_REGISTER_TABLE + 2u * LAYOUT_IOAPIC_PINS) {
        write_entry(ioapic, (index - IOAPIC_REGISTER_TABLE) / 2u, (index & 1u) != 0, value);
    }
}

uint64_t ioapic_read(void *device, uint64_t offset, uint32_t size_bytes)
{
    const struct ioapic *ioapic = device;

    (void)size_bytes;
    if (offset == IOAPIC_SELECT) {
        return ioapic->selected;
    }
    return offset == IOAPIC_WINDOW ? read_register(ioapic) : 0;
}

void ioapic_write(void *device, uint64_t offset, uint32_t size_bytes, uint64_t value)
{
    struct ioapic *ioapic = device;

    (void)size_bytes;
    if (offset == IOAPIC_SELECT) {
        ioapic->selected = (uint8_t)value;
    } else if (offset == IOAPIC_WINDOW) {
        write_register(ioapic, (uint32_t)value);
    } else if (offset == IOAPIC_EOI) {
        ioapic_end_of_interrupt(ioapic, (uint8_t)value);
    }
}
