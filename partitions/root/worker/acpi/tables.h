/* SPDX-License-Identifier: MIT */
/* The ACPI tables of the machine model "direct boot machine". */
#ifndef ACPI_TABLES_H
#define ACPI_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

struct host_vm;

/*
 * Writes RSDP, RSDT, XSDT, FADT, FACS, MADT and DSDT for `vp_count` processors
 * (at most WORKER_VPS_MAX), with or without VMBus, to the firmware area of guest
 * RAM. *rsdp_gpa is where a kernel is to look. False when the area is not RAM.
 */
MUST_CHECK bool acpi_write_tables(struct host_vm *host, uint32_t vp_count, bool has_vmbus, uint64_t *rsdp_gpa);

#endif
