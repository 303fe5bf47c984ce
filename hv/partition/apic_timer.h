/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_APIC_TIMER_H
#define PARTITION_APIC_TIMER_H

/* The timer of a virtual APIC, for apic.c only. Each function takes the APIC lock itself. */

#include <stdbool.h>
#include <stdint.h>

struct vp;

/* Prepares the timer of a new VP. */
void apic_timer_init(struct vp *vp);

/* Stops it; all registers zero, LVT masked. */
void apic_timer_reset(struct vp *vp);

/* Stops it for good. No lock of rank APIC or higher held. */
void apic_timer_destroy(struct vp *vp);

/* Initial count register: starts, restarts or (0) stops. */
void apic_timer_set_initial(struct vp *vp, uint32_t count);

/* Restores a count in progress, with divide register and LVT already set. */
void apic_timer_restore(struct vp *vp, uint32_t initial, uint32_t current);

/* Current count register. */
uint32_t apic_timer_current(struct vp *vp);

/* Divide configuration register: the count goes on at the new rate. */
void apic_timer_set_divide(struct vp *vp, uint32_t value);

/* LVT entry: vector, mask, periodic. */
void apic_timer_set_lvt(struct vp *vp, uint32_t value);

/* The timer's vector was accepted: a periodic expiry that waited for that is armed. Own VP, after the IRR bit was
 * cleared. */
void apic_timer_accepted(struct vp *vp);

#endif
