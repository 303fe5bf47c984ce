/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_PANIC_H
#define DEBUG_PANIC_H

/* A panic that knows the registers at the fault; panic() itself is in debug.h. */

#include "hv/cpu/exception.h"
#include "hv/lib/compiler.h"

/* Like panic(), with the registers and the stack of an exception. */
NORETURN PRINTF_LIKE(2, 3) void panic_at(const struct exception_frame *frame, const char *format, ...);

#endif
