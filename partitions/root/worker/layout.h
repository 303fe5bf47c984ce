/* SPDX-License-Identifier: MIT */
/*
 * The fixed addresses of the machine model "direct boot machine": RAM, the
 * pieces of low memory that the loaders fill, devices, ports and interrupt pins.
 */
#ifndef WORKER_LAYOUT_H
#define WORKER_LAYOUT_H

#include "hv/lib/addr.h"

/* RAM is 0 to at most this, and goes on at 4 GiB. Devices live in between. */
#define LAYOUT_LOW_RAM_LIMIT GIB(3)
#define LAYOUT_HIGH_RAM_BASE GIB(4)

/* Conventional memory; from its end to 1 MiB is reserved for firmware. */
#define LAYOUT_LOW_MEMORY_END       UINT64_C(0xA0000)
#define LAYOUT_EXTENDED_MEMORY_BASE MIB(1)

/* What the loaders put into conventional memory. Kernels may not be loaded below LAYOUT_BOOT_END. */
#define LAYOUT_GDT_GPA                UINT64_C(0x6000)
#define LAYOUT_BOOT_PARAMETERS_GPA    UINT64_C(0x7000)
#define LAYOUT_PAGE_TABLES_GPA        UINT64_C(0x8000)
#define LAYOUT_COMMAND_LINE_GPA       UINT64_C(0x20000)
#define LAYOUT_COMMAND_LINE_BYTES_MAX UINT64_C(0x8000)
#define LAYOUT_BOOT_END               UINT64_C(0x30000)

/* Firmware tables, where a kernel that gets no pointer searches for the RSDP. */
#define LAYOUT_ACPI_GPA   UINT64_C(0xE0000)
#define LAYOUT_ACPI_BYTES UINT64_C(0x20000)

/* Where VMBus devices place their memory: nothing else is there. */
#define LAYOUT_MMIO_WINDOW_GPA   UINT64_C(0xE0000000)
#define LAYOUT_MMIO_WINDOW_BYTES UINT64_C(0x1EC00000)

#define LAYOUT_IOAPIC_GPA     UINT64_C(0xFEC00000)
#define LAYOUT_IOAPIC_BYTES   UINT64_C(0x1000)
#define LAYOUT_LOCAL_APIC_GPA UINT64_C(0xFEE00000)
_Static_assert(LAYOUT_MMIO_WINDOW_GPA >= LAYOUT_LOW_RAM_LIMIT &&
                   LAYOUT_MMIO_WINDOW_GPA + LAYOUT_MMIO_WINDOW_BYTES <= LAYOUT_IOAPIC_GPA,
               "the window lies between RAM and the devices");

/* Ports. */
#define LAYOUT_COM1_PORT        0x3F8u
#define LAYOUT_COM2_PORT        0x2F8u
#define LAYOUT_UART_PORTS       8u
#define LAYOUT_RTC_PORT         0x70u
#define LAYOUT_RTC_PORTS        2u
#define LAYOUT_POST_CODE_PORT   0x80u
#define LAYOUT_DEBUG_EXIT_PORT  0xF4u
#define LAYOUT_PM1_EVENT_PORT   0x600u
#define LAYOUT_PM1_CONTROL_PORT 0x604u
#define LAYOUT_PM_TIMER_PORT    0x608u
#define LAYOUT_PM_PORTS         12u
#define LAYOUT_RESET_PORT       0xCF9u
#define LAYOUT_RESET_VALUE      0x06u

/* Pins of the IO-APIC, which are the global system interrupts. */
#define LAYOUT_COM2_PIN    3u
#define LAYOUT_COM1_PIN    4u
#define LAYOUT_RTC_PIN     8u
#define LAYOUT_SCI_PIN     9u
#define LAYOUT_IOAPIC_PINS 24u

#endif
