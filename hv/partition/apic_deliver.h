/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_APIC_DELIVER_H
#define PARTITION_APIC_DELIVER_H

/* What apic.c and apic_deliver.c share: the interrupt command register, errors. */

#include <stdint.h>

struct vp;

/* Interrupt command register, low half. */
#define APIC_ICR_VECTOR_MASK      0xffu
#define APIC_ICR_MODE_SHIFT       8
#define APIC_ICR_MODE_MASK        0x7u
#define APIC_ICR_LOGICAL          (1u << 11)
#define APIC_ICR_DELIVERY_STATUS  (1u << 12)
#define APIC_ICR_ASSERT           (1u << 14)
#define APIC_ICR_LEVEL            (1u << 15)
#define APIC_ICR_SHORTHAND_SHIFT  18
#define APIC_ICR_SHORTHAND_SELF   (1u << 18)
#define APIC_ICR_SHORTHAND_ALL    (2u << 18)
#define APIC_ICR_SHORTHAND_OTHERS (3u << 18)
#define APIC_ICR_SHORTHAND_MASK   (3u << 18)
#define APIC_ICR_VALID                                                                                                 \
    (APIC_ICR_VECTOR_MASK | APIC_ICR_MODE_MASK << APIC_ICR_MODE_SHIFT | APIC_ICR_LOGICAL | APIC_ICR_ASSERT |           \
     APIC_ICR_LEVEL | APIC_ICR_SHORTHAND_MASK)

/* Sends what the low half of an ICR says to a destination in the sender's mode. Own VP, no lock of rank VP or higher
 * held. */
void apic_send_ipi(struct vp *sender, uint32_t icr_low, uint32_t destination);

/* Notes an error for the ESR and raises the error interrupt if its entry is unmasked. Any context; does not wake. */
void apic_raise_error(struct vp *vp, uint32_t error);

#endif
