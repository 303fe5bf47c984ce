/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_LOG_H
#define DEBUG_LOG_H

/* The log's start-up and its way around the lock; ordinary use is in debug.h. */

#include <stdarg.h>

#include "hv/lib/compiler.h"

#define LOG_LINE_MAX 512

/* Prepares the port and prints the banner. Boot processor, first of all. */
void log_init(void);

/* log_line() without taking the lock, for a panic. */
PRINTF_LIKE(1, 2) void log_line_unlocked(const char *format, ...);
PRINTF_LIKE(1, 0) void log_line_unlocked_list(const char *format, va_list arguments);

#endif
