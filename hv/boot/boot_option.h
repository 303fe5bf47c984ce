/* SPDX-License-Identifier: MIT */
#ifndef BOOT_BOOT_OPTION_H
#define BOOT_BOOT_OPTION_H

/* Options on a command line. Builds hosted. */

#include <stdbool.h>
#include <stddef.h>

#include "hv/lib/compiler.h"

/*
 * Copies the value of the last word "name=value" into `value` (size bytes, NUL-terminated). False if there is none, or
 * it does not fit.
 */
MUST_CHECK bool boot_option_find(const char *command_line, const char *name, char *value, size_t size);

#endif
