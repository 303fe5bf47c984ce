/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_DEVICE_INTERRUPT_H
#define PARTITION_DEVICE_INTERRUPT_H

/*
 * Device interrupts of the root: vectors on logical processors, their translation to the root's vectors, and their
 * physical end of interrupt. Defines the machine's hooks irq_deliver_device() and irq_deliver_nmi().
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"

struct vp;

/* Reserves the tables of all processors. Boot, after cpu_start_all(), before the root runs. False: no memory. */
MUST_CHECK bool device_interrupt_init(void);

/*
 * HvCallMapDeviceInterrupt of the root, after its VP set was read: `target_vp` is the processor chosen from it. Fills
 * in the entry that the root writes into the device. INVALID_DEVICE_ID: neither PCI nor IO-APIC; INVALID_PARAMETER:
 * vector count, type, trigger mode, vector; INVALID_VP_INDEX; NO_RESOURCES: all vectors of that processor are taken.
 * Never needs memory.
 */
MUST_CHECK hv_status_t device_interrupt_map(uint64_t device_id, uint32_t interrupt_type, uint32_t trigger_mode,
                                            uint32_t vector, uint32_t target_vp, struct hv_interrupt_entry *entry);

/*
 * HvCallUnmapDeviceInterrupt: `entry` as it was returned. INVALID_DEVICE_ID: wrong kind of device; NOT_FOUND: nothing
 * is mapped there.
 */
MUST_CHECK hv_status_t device_interrupt_unmap(uint64_t device_id, const struct hv_interrupt_entry *entry);

/* The root VP of this processor has ended level-triggered vector `vector`: does the physical EOI that waits for it. */
void device_interrupt_eoi(struct vp *root_vp, uint8_t vector);

#endif
