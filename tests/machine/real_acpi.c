/* SPDX-License-Identifier: MIT */
/* hv/boot/acpi_parse.c as it is: it needs nothing that a hosted program lacks. */
#include "hv/boot/acpi_parse.c"
