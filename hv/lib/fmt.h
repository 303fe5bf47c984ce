/* SPDX-License-Identifier: MIT */
/*
 * Formatted output into memory. Conversions: %c %s %d %i %u %x %X %p %%; lengths
 * hh, h, l, ll and z; flags 0, -, +, space and #; width and precision as numbers
 * or as *. %p prints 0x and the address. A null string prints as (null). There is
 * no floating point, no octal and no %n: from a directive that it does not know
 * the rest of the format is printed as it stands.
 */
#ifndef LIB_FMT_H
#define LIB_FMT_H

#include <stdarg.h>
#include <stddef.h>

#include "hv/lib/compiler.h"

/*
 * Writes to buffer, which has room for `size` bytes with the terminator, and
 * terminates it always unless size is 0. Returns the length that the whole has:
 * a result of `size` or more means that it was cut.
 */
size_t fmt_vsnprintf(char *buffer, size_t size, const char *format, va_list arguments) PRINTF_LIKE(3, 0);

/* As fmt_vsnprintf. */
size_t fmt_snprintf(char *buffer, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
