/* SPDX-License-Identifier: MIT */
/* Ports, registers and message-signalled interrupts of the machine that we are the root of. */
#include "partitions/root/device/machine.h"

#include "hv/lib/addr.h"
#include "partitions/root/kernel/arch.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/memory.h"
#include "partitions/root/kernel/sched.h"

#define PCI_ADDRESS_PORT   0xCF8u
#define PCI_DATA_PORT      0xCFCu
#define PCI_ADDRESS_ENABLE 0x80000000u
#define PCI_FUNCTION_SHIFT 8

static void select(uint16_t function, uint32_t offset)
{
    outl(PCI_ADDRESS_PORT, PCI_ADDRESS_ENABLE | (uint32_t)function << PCI_FUNCTION_SHIFT | offset);
}

uint32_t machine_pci_read(uint16_t function, uint32_t offset)
{
    select(function, offset);
    return inl(PCI_DATA_PORT);
}

void machine_pci_write(uint16_t function, uint32_t offset, uint32_t value)
{
    select(function, offset);
    outl(PCI_DATA_PORT, value);
}

bool machine_map(uint64_t address, uint64_t bytes)
{
    return memory_map(address, bytes, MEMORY_UNCACHED);
}

uint32_t machine_read(uint64_t address, uint32_t width_bytes)
{
    switch (width_bytes) {
    case 1:
        return *(const volatile uint8_t *)address;
    case 2:
        return *(const volatile uint16_t *)address;
    default:
        return *(const volatile uint32_t *)address;
    }
}

void machine_write(uint64_t address, uint32_t width_bytes, uint32_t value)
{
    switch (width_bytes) {
    case 1:
        *(volatile uint8_t *)address = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)address = (uint16_t)value;
        break;
    default:
        *(volatile uint32_t *)address = value;
        break;
    }
}

/* Of any device: there are too many to ask them all here. */
static void interrupted(void)
{
    sched_raise(SCHED_EVENT_DEVICE);
}

bool machine_map_interrupt(uint16_t function, uint32_t *address, uint32_t *data)
{
    trap_set_handler(TRAP_VECTOR_DEVICE, interrupted);
    return hypercall_map_msi(function, TRAP_VECTOR_DEVICE, address, data);
}
