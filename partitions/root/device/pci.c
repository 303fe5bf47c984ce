/* SPDX-License-Identifier: MIT */
/* Configuration space: the 256 bytes that ports reach, which is where all of this lies. */
#include "partitions/root/device/pci.h"

#include "hv/lib/range.h"
#include "partitions/root/device/machine.h"

#define FUNCTIONS_MAX         0x10000u
#define FUNCTIONS_OF_A_DEVICE 8u

#define CONFIG_IDENTIFIERS      0x00u
#define CONFIG_COMMAND          0x04u
#define CONFIG_HEADER           0x0Cu
#define CONFIG_BARS             0x10u
#define CONFIG_CAPABILITIES     0x34u
#define CONFIG_FIRST_CAPABILITY 0x40u

#define IDENTIFIERS_NONE         0xFFFFFFFFu
#define COMMAND_MASK             0xFFFFu /* above it is the status, whose bits are cleared by writing them */
#define COMMAND_MEMORY           0x0002u
#define COMMAND_MASTER           0x0004u
#define COMMAND_NO_INTX          0x0400u
#define STATUS_HAS_CAPABILITIES  (1u << 20)
#define HEADER_IS_MULTI_FUNCTION (1u << 23)
#define HEADER_TYPE_MASK         (0x7Fu << 16)
#define CAPABILITY_OFFSET_MASK   0xFCu
#define CAPABILITY_NEXT_SHIFT    8
#define CAPABILITY_KIND_MASK     0xFFu
#define CAPABILITIES_MAX         48u /* as many as fit */

#define BARS_MAX         6u
#define BAR_IS_PORTS     0x1u
#define BAR_TYPE_MASK    0x6u
#define BAR_TYPE_64      0x4u
#define BAR_FLAGS        UINT64_C(0xF)
#define BAR_ALL          0xFFFFFFFFu
#define BAR_32_HIGH_PART (UINT64_C(0xFFFFFFFF) << 32)

#define MSIX_ENABLE        (1u << 31)
#define MSIX_MASK_ALL      (1u << 30)
#define MSIX_TABLE         4u
#define MSIX_BAR_MASK      0x7u
#define MSIX_ENTRY_BYTES   16u
#define MSIX_ENTRY_ADDRESS 0u
#define MSIX_ENTRY_HIGH    4u
#define MSIX_ENTRY_DATA    8u
#define MSIX_ENTRY_CONTROL 12u

bool pci_find(uint16_t vendor_id, uint16_t device_id, uint32_t index, uint16_t *function)
{
    uint32_t wanted = (uint32_t)device_id << 16 | vendor_id;
    bool is_multi_function = false;

    for (uint32_t at = 0; at < FUNCTIONS_MAX; at++) {
        uint32_t identifiers;

        if (at % FUNCTIONS_OF_A_DEVICE != 0 && !is_multi_function) {
            continue;
        }
        identifiers = machine_pci_read((uint16_t)at, CONFIG_IDENTIFIERS);
        if (at % FUNCTIONS_OF_A_DEVICE == 0) {
            is_multi_function = identifiers != IDENTIFIERS_NONE &&
                                (machine_pci_read((uint16_t)at, CONFIG_HEADER) & HEADER_IS_MULTI_FUNCTION) != 0;
        }
        if (identifiers == wanted && index-- == 0) {
            *function = (uint16_t)at;
            return (machine_pci_read((uint16_t)at, CONFIG_HEADER) & HEADER_TYPE_MASK) == 0;
        }
    }
    return false;
}

uint32_t pci_find_capability(uint16_t function, uint32_t kind, uint32_t before)
{
    uint32_t at = before;

    if (before == 0 && (machine_pci_read(function, CONFIG_COMMAND) & STATUS_HAS_CAPABILITIES) == 0) {
        return 0;
    }
    for (uint32_t count = 0; count < CAPABILITIES_MAX; count++) {
        at = at == 0 ? machine_pci_read(function, CONFIG_CAPABILITIES)
                     : machine_pci_read(function, at) >> CAPABILITY_NEXT_SHIFT;
        at &= CAPABILITY_OFFSET_MASK;
        if (at < CONFIG_FIRST_CAPABILITY) {
            return 0;
        }
        if ((machine_pci_read(function, at) & CAPABILITY_KIND_MASK) == kind) {
            return at;
        }
    }
    return 0; /* They go in a circle. */
}

/* Changes bits of the command register. */
static void set_command(uint16_t function, uint32_t bits, bool is_set)
{
    uint32_t command = machine_pci_read(function, CONFIG_COMMAND) & COMMAND_MASK;

    machine_pci_write(function, CONFIG_COMMAND, is_set ? command | bits : command & ~bits);
}

/* What of a base address register can be written: bits that are not tell its size. It is put back. */
static uint32_t probe_bar(uint16_t function, uint32_t offset)
{
    uint32_t value = machine_pci_read(function, offset);
    uint32_t writable;

    machine_pci_write(function, offset, BAR_ALL);
    writable = machine_pci_read(function, offset);
    machine_pci_write(function, offset, value);
    return writable;
}

bool pci_find_region(uint16_t function, uint32_t bar, uint64_t offset, uint64_t bytes, struct pci_region *region)
{
    uint32_t at = CONFIG_BARS + bar * 4;
    uint32_t low = bar < BARS_MAX ? machine_pci_read(function, at) : BAR_IS_PORTS;
    bool is_64_bit = (low & BAR_TYPE_MASK) == BAR_TYPE_64;
    uint64_t address = low & ~BAR_FLAGS;
    uint64_t mask = BAR_32_HIGH_PART;
    uint64_t end;

    if ((low & BAR_IS_PORTS) != 0 || (is_64_bit && bar == BARS_MAX - 1)) {
        return false;
    }
    set_command(function, COMMAND_MEMORY, false); /* Nobody is to see it where it lies meanwhile. */
    mask |= probe_bar(function, at);
    if (is_64_bit) {
        address |= (uint64_t)machine_pci_read(function, at + 4) << 32;
        mask = (mask & BAR_ALL) | (uint64_t)probe_bar(function, at + 4) << 32;
    }
    set_command(function, COMMAND_MEMORY, true);
    *region = (struct pci_region){.address = address + offset, .bytes = bytes};
    return address != 0 && range_add_u64(address, -(mask & ~BAR_FLAGS), &end) &&
           range_contains(0, end - address, offset, bytes);
}

void pci_set_master(uint16_t function, bool is_master)
{
    set_command(function, COMMAND_MASTER | COMMAND_NO_INTX, is_master);
}

bool pci_enable_interrupt(uint16_t function)
{
    uint32_t capability = pci_find_capability(function, PCI_CAPABILITY_MSIX, 0);
    struct pci_region entry;
    uint32_t address;
    uint32_t data;
    uint32_t table;

    if (capability == 0) {
        return false;
    }
    table = machine_pci_read(function, capability + MSIX_TABLE);
    if (!pci_find_region(function, table & MSIX_BAR_MASK, table & ~MSIX_BAR_MASK, MSIX_ENTRY_BYTES, &entry) ||
        !machine_map(entry.address, entry.bytes) || !machine_map_interrupt(function, &address, &data)) {
        return false;
    }
    machine_write(entry.address + MSIX_ENTRY_ADDRESS, 4, address);
    machine_write(entry.address + MSIX_ENTRY_HIGH, 4, 0);
    machine_write(entry.address + MSIX_ENTRY_DATA, 4, data);
    machine_write(entry.address + MSIX_ENTRY_CONTROL, 4, 0);
    machine_pci_write(function, capability, (machine_pci_read(function, capability) & ~MSIX_MASK_ALL) | MSIX_ENABLE);
    return true;
}
