/* SPDX-License-Identifier: MIT */
/* ACPI fixed hardware: PM1 registers, PM timer, and the reset register. */
#ifndef DEV_ACPI_PM_H
#define DEV_ACPI_PM_H

#include <stdbool.h>
#include <stdint.h>

#include "partitions/root/worker/dev/ioapic.h"
#include "vmbus/host.h"

/* SLP_TYPa of the \_S5 object. */
#define ACPI_PM_SLEEP_TYPE_S5 5u

/* State of the fixed hardware. Everything is protected by the VM's lock. */
struct acpi_pm {
    struct vm *vm;
    struct host_vm *host;
    struct irq_line sci;
    uint16_t status; /* PM1 status without the timer's bit */
    uint16_t enable;
    uint16_t control;
    uint8_t reset_control;
    uint64_t start_monotonic_100ns; /* the PM timer was zero */
    uint64_t acknowledged_halves;   /* half periods of the PM timer when its status bit was last cleared */
    bool is_timer_armed;
    struct host_timer timer;
};

/* Reset state, ACPI mode on. `vm` is told of power-off and reset. */
void acpi_pm_init(struct acpi_pm *pm, struct vm *vm, struct host_vm *host, struct irq_line sci);

/* Cancels the timer. */
void acpi_pm_stop(struct acpi_pm *pm);

/* Presses the power button. */
void acpi_pm_press_power_button(struct acpi_pm *pm);

/* Port handlers of the PM block: PM1 event at offset 0, PM1 control at 4, PM timer at 8. */
uint32_t acpi_pm_read(void *device, uint16_t offset, uint32_t size_bytes);
bool acpi_pm_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value);

/* Port handlers of the reset register. */
uint32_t acpi_pm_reset_read(void *device, uint16_t offset, uint32_t size_bytes);
bool acpi_pm_reset_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value);

#endif
