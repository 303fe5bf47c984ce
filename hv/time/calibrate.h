/* SPDX-License-Identifier: MIT */
#ifndef TIME_CALIBRATE_H
#define TIME_CALIBRATE_H

/* How fast the TSC and the local APIC timer count. */

#include <stdint.h>

/*
 * Measures both over at least 100 ms against every one of PIT, ACPI PM timer and HPET that is there, and compares
 * those. Stops with a line if there is none. Boot processor, once, interrupts off, after acpi_init() and lapic_init().
 */
void calibrate(uint64_t *tsc_hz, uint64_t *lapic_timer_hz);

#endif
