/* SPDX-License-Identifier: MIT */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

/*
 * The static ACPI tables that the hypervisor itself needs; checked (signature, length, checksum) and copied out at
 * boot.
 */

#include "hv/lib/acpi/acpi_tables.h"

/*
 * Reads the tables; logs what is missing or broken. Boot processor, once, after boot_init(), while the provisional
 * direct map still reaches every address below 4 GiB.
 */
void acpi_init(void);

/* The one copy. [I] after boot */
const struct acpi_info *acpi_info(void);

#endif
