/* SPDX-License-Identifier: MIT */
#ifndef ACPI_ACPI_FORMAT_H
#define ACPI_ACPI_FORMAT_H

/* Layouts of the ACPI specification, chapter "ACPI Software Programming Model"; only tables that are read here. */

#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO     1

#define ACPI_FADT_TIMER_32BIT 0x100u

#define ACPI_MADT_PC_AT 0x1u

#define ACPI_MADT_LAPIC         0
#define ACPI_MADT_IOAPIC        1
#define ACPI_MADT_OVERRIDE      2
#define ACPI_MADT_LAPIC_ADDRESS 5
#define ACPI_MADT_X2APIC        9
#define ACPI_MADT_CPU_ENABLED   0x1u

/* Root pointer; revision 0 ends after rsdt. */
struct PACKED acpi_rsdp {
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t bytes;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t rsvd[3];
};

/* Start of every other table. */
struct PACKED acpi_header {
    char signature[4];
    uint32_t bytes;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    uint32_t creator_id;
    uint32_t creator_revision;
};

/* Generic address. */
struct PACKED acpi_address {
    uint8_t space;
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size;
    uint64_t address;
};

/* FADT, as far as it is read; old ones end at `flags`. */
struct PACKED acpi_fadt {
    struct acpi_header header;
    uint32_t facs;
    uint32_t dsdt;
    uint8_t rsvd0;
    uint8_t profile;
    uint16_t sci;
    uint32_t smi_command;
    uint8_t acpi_enable, acpi_disable, s4bios, pstate_control;
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
    uint8_t pm1_event_bytes, pm1_control_bytes, pm2_control_bytes, pm_timer_bytes;
    uint8_t gpe0_bytes, gpe1_bytes, gpe1_base, cstate_control;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_flags;
    uint8_t rsvd1;
    uint32_t flags;
    struct acpi_address reset;
    uint8_t reset_value;
    uint16_t arm_flags;
    uint8_t minor_revision;
    uint64_t x_facs, x_dsdt;
    struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer;
};

/* MADT; entries follow. */
struct PACKED acpi_madt {
    struct acpi_header header;
    uint32_t lapic_address;
    uint32_t flags;
};

/* Start of a MADT entry. */
struct PACKED acpi_madt_entry {
    uint8_t type;
    uint8_t bytes;
};

struct PACKED acpi_madt_lapic {
    struct acpi_madt_entry entry;
    uint8_t processor_uid;
    uint8_t apic_id;
    uint32_t flags;
};

struct PACKED acpi_madt_ioapic {
    struct acpi_madt_entry entry;
    uint8_t id;
    uint8_t rsvd;
    uint32_t address;
    uint32_t gsi_base;
};

struct PACKED acpi_madt_override {
    struct acpi_madt_entry entry;
    uint8_t bus;
    uint8_t source;
    uint32_t gsi;
    uint16_t flags;
};

struct PACKED acpi_madt_lapic_address {
    struct acpi_madt_entry entry;
    uint16_t rsvd;
    uint64_t address;
};

struct PACKED acpi_madt_x2apic {
    struct acpi_madt_entry entry;
    uint16_t rsvd;
    uint32_t apic_id;
    uint32_t flags;
    uint32_t processor_uid;
};

struct PACKED acpi_hpet {
    struct acpi_header header;
    uint32_t block_id;
    struct acpi_address base;
    uint8_t number;
    uint16_t minimum_tick;
    uint8_t attributes;
};

_Static_assert(sizeof(struct acpi_rsdp) == 36, "root pointer");
_Static_assert(sizeof(struct acpi_header) == 36, "table header");
_Static_assert(offsetof(struct acpi_fadt, sci) == 46, "FADT");
_Static_assert(offsetof(struct acpi_fadt, pm_timer) == 76, "FADT");
_Static_assert(offsetof(struct acpi_fadt, pm_timer_bytes) == 91, "FADT");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "FADT");
_Static_assert(offsetof(struct acpi_fadt, x_pm_timer) == 208, "FADT");
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");
_Static_assert(sizeof(struct acpi_madt_x2apic) == 16, "MADT x2APIC entry");
_Static_assert(offsetof(struct acpi_hpet, base) == 40, "HPET");

#endif
