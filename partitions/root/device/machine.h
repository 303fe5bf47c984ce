/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_MACHINE_H
#define DEVICE_MACHINE_H

/*
 * The one way to the machine's PCI devices, so that drivers can be tested against devices of a test's own. Memory that
 * a device is to read or write is named by its address, which is the same for us and for the device. Processor 0, but
 * for machine_write().
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/* Configuration space of a function (bus in bits 15:8, device in 7:3, function in 2:0): the 32 bits at `offset`, a
 * multiple of 4 below 256. Where there is nothing, all bits are set. */
uint32_t machine_pci_read(uint16_t function, uint32_t offset);
void machine_pci_write(uint16_t function, uint32_t offset, uint32_t value);

/* Makes the registers of a device usable. False: they lie where we cannot reach. */
MUST_CHECK bool machine_map(uint64_t address, uint64_t bytes);

/* One access to a register of 1, 2 or 4 bytes. */
uint32_t machine_read(uint64_t address, uint32_t width_bytes);
void machine_write(uint64_t address, uint32_t width_bytes, uint32_t value);

/* What a function has to write where so that devices_deliver() is called. False: the hypervisor refuses. */
MUST_CHECK bool machine_map_interrupt(uint16_t function, uint32_t *address, uint32_t *data);

#endif
