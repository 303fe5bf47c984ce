/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_PCI_H
#define DEVICE_PCI_H

/*
 * PCI functions as the firmware has left them: which there are, their capabilities, their registers, their interrupt
 * (PCI Local Bus Specification 3.0, Configuration Space; MSI-X Capability). Nothing that a function says is believed
 * without a look. Processor 0.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

#define PCI_CAPABILITY_VENDOR 0x09u
#define PCI_CAPABILITY_MSIX   0x11u

/* Registers of a function in the machine's memory. */
struct pci_region {
    uint64_t address;
    uint64_t bytes;
};

/* Function `index` of those with these identifiers, in the order of the buses. False: there are not so many. */
MUST_CHECK bool pci_find(uint16_t vendor_id, uint16_t device_id, uint32_t index, uint16_t *function);

/* Offset of the next capability of a kind behind the one at `before` (0: the first one); 0: there is none. */
uint32_t pci_find_capability(uint16_t function, uint32_t kind, uint32_t before);

/* `bytes` bytes at `offset` of base address register `bar`. False: they are not memory, not inside, or nowhere. */
MUST_CHECK bool pci_find_region(uint16_t function, uint32_t bar, uint64_t offset, uint64_t bytes,
                                struct pci_region *region);

/* Lets the function use our memory, or keeps it from that. */
void pci_set_master(uint16_t function, bool is_master);

/* Routes entry 0 of the function's MSI-X table to us and enables it. False: it has none, or one that cannot be. */
MUST_CHECK bool pci_enable_interrupt(uint16_t function);

#endif
