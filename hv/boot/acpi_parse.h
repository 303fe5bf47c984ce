/* SPDX-License-Identifier: MIT */
#ifndef BOOT_ACPI_PARSE_H
#define BOOT_ACPI_PARSE_H

/* Reads the static ACPI tables into a struct acpi_info. Trusts no length, count or pointer in them. Builds hosted. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/boot/acpi.h"
#include "hv/lib/compiler.h"

/* How the parser reaches physical memory. */
struct acpi_memory {
    /* Pointer to `bytes` readable bytes at a physical address; null if they cannot be reached. Stays valid. */
    const void *(*at)(void *context, uint64_t address, size_t bytes);
    void *context;
};

/* What holds on a machine whose tables say nothing: one processor, the APIC where it is after reset. */
void acpi_set_defaults(struct acpi_info *info, uint32_t boot_apic_id);

/*
 * Fills `info` from the root pointer (`rsdp`, 20 or 36 bytes). A broken table is logged and left out; defaults hold
 * then. False, with one line logged, if the root pointer or the root table itself is unusable.
 */
MUST_CHECK bool acpi_parse(const struct acpi_memory *memory, const uint8_t *rsdp, size_t rsdp_bytes,
                           uint32_t boot_apic_id, struct acpi_info *info);

#endif
