/* SPDX-License-Identifier: MIT */
#ifndef ACPI_ACPI_TABLES_H
#define ACPI_ACPI_TABLES_H

/*
 * Reads the static ACPI tables into a struct acpi_info, for the hypervisor and for a root that has no interpreter of
 * AML. Trusts no length, count or pointer in them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

#define ACPI_CPU_MAX      64
#define ACPI_IOAPIC_MAX   16
#define ACPI_OVERRIDE_MAX 24
#define ACPI_TABLE_MAX    48

/* Flags of an override (MPS INTI flags). */
#define ACPI_POLARITY_MASK 0x3u
#define ACPI_POLARITY_LOW  0x3u
#define ACPI_TRIGGER_MASK  0xCu
#define ACPI_TRIGGER_LEVEL 0xCu

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

/* What was found. */
struct acpi_info {
    uint32_t cpu_count;
    uint32_t apic_ids[ACPI_CPU_MAX]; /* enabled processors, in MADT order, boot processor moved first */
    uint32_t cpu_ignored_count;      /* enabled ones beyond ACPI_CPU_MAX */
    uint32_t ioapic_count;
    struct acpi_ioapic ioapics[ACPI_IOAPIC_MAX];
    uint32_t override_count;
    struct acpi_override overrides[ACPI_OVERRIDE_MAX];
    uint64_t dsdt;              /* its address; 0: none */
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

/* How the parser reaches physical memory, and whom it tells what is wrong there. */
struct acpi_memory {
    /* Pointer to `bytes` readable bytes at a physical address; null if they cannot be reached. Stays valid. */
    const void *(*at)(void *context, uint64_t address, size_t bytes);
    void *context;
    void (*log)(const char *line); /* one line without its end */
};

/* What holds on a machine whose tables say nothing: one processor, the APIC where it is after reset. */
void acpi_set_defaults(struct acpi_info *info, uint32_t boot_apic_id);

/*
 * Fills `info` from the root pointer (`rsdp`, 20 or 36 bytes). A broken table is logged and left out; defaults hold
 * then. False, with one line logged, if the root pointer or the root table itself is unusable.
 */
MUST_CHECK bool acpi_parse(const struct acpi_memory *memory, const uint8_t *rsdp, size_t rsdp_bytes,
                           uint32_t boot_apic_id, struct acpi_info *info);

/*
 * The sleep types of S5 for the two PM1 control registers, out of the DSDT. That is not interpreted: \_S5_ is a package
 * of constants in every known firmware, found by its name and shape. False: there is none.
 */
MUST_CHECK bool acpi_find_sleep_types(const struct acpi_memory *memory, const struct acpi_info *info, uint8_t *pm1a,
                                      uint8_t *pm1b);

#endif
