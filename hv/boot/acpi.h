/* SPDX-License-Identifier: MIT */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

/*
 * The static ACPI tables that the hypervisor itself needs; checked (signature, length, checksum) and copied out at
 * boot.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/cpu/cpu.h"

#define ACPI_IOAPIC_MAX   16
#define ACPI_OVERRIDE_MAX 24
#define ACPI_TABLE_MAX    48

/* An IO-APIC of the MADT. */
struct acpi_ioapic {
    uint32_t id;
    uint64_t address;
    uint32_t gsi_base;
};

/* An interrupt source override of the MADT. */
struct acpi_override {
    uint8_t source;
    uint32_t gsi;
    uint16_t flags;
};

/* A table that the root pointer leads to; not checked unless it is one of those read here. */
struct acpi_table {
    char signature[5]; /* NUL-terminated */
    uint64_t address;
    uint32_t bytes;
};

/* What was found. [I] after boot */
struct acpi_info {
    uint32_t cpu_count;
    uint32_t apic_ids[CPU_MAX]; /* enabled processors, in MADT order, boot processor moved first */
    uint32_t cpu_ignored_count; /* enabled ones beyond CPU_MAX */
    uint32_t ioapic_count;
    struct acpi_ioapic ioapics[ACPI_IOAPIC_MAX];
    uint32_t override_count;
    struct acpi_override overrides[ACPI_OVERRIDE_MAX];
    uint16_t pm1a_control_port; /* 0: none */
    uint16_t pm1b_control_port;
    uint16_t pm_timer_port; /* 0: none */
    bool pm_timer_is_32bit;
    uint16_t sci;
    bool has_hpet;
    uint64_t hpet_address;
    bool has_iommu; /* DMAR or IVRS present */
    bool has_mcfg;
    bool has_8259; /* the MADT says that there are two 8259s (true without a MADT) */
    uint64_t lapic_address;
    uint64_t root_table; /* XSDT or RSDT; 0: none */
    bool root_table_is_xsdt;
    uint32_t table_count;
    struct acpi_table tables[ACPI_TABLE_MAX]; /* in the root table's order */
};

/*
 * Reads the tables; logs what is missing or broken. Boot processor, once, after boot_init(), while the provisional
 * direct map still reaches every address below 4 GiB.
 */
void acpi_init(void);

/* The one copy. */
const struct acpi_info *acpi_info(void);

#endif
