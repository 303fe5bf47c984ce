/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_DEBUG_H
#define DEBUG_DEBUG_H

/* Log (COM2 and a ring that the root can read), panic, assertions. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/* One line into the log; "partita: " is put in front and a newline behind. */
PRINTF_LIKE(1, 2) void log_line(const char *format, ...);

/* The same for what a guest can cause: at most a few lines a second, then one line that counts what was dropped. */
PRINTF_LIKE(1, 2) void log_guest_line(const char *format, ...);

/* A broken hypervisor: prints cause, registers, symbolised stack and the last trace records, stops all processors. */
NORETURN PRINTF_LIKE(1, 2) void panic(const char *format, ...);

/* States an invariant of ours; never input checking. */
#define ASSERT(condition)                                                                                              \
    do {                                                                                                               \
        if (UNLIKELY(!(condition))) {                                                                                  \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition);                                      \
        }                                                                                                              \
    } while (0)

/*
 * Checks that cost time (lock ranks, VMCB and VMCS consistency) are done. A constant, so that the code is always
 * compiled.
 */
#ifdef NDEBUG
#define DEBUG_CHECKS false
#else
#define DEBUG_CHECKS true
#endif

/*
 * This machine cannot go on, and nobody here is at fault (no VT, too little memory, no root image): one line, then all
 * processors stop. With the option onstop=poweroff it also ends the emulator; see hv/debug/stop.h.
 */
NORETURN PRINTF_LIKE(1, 2) void stop_machine(const char *format, ...);

/*
 * The log ring: copies what was logged from byte number `position` on (counted since boot) into `buffer` and moves
 * `position` behind it. What was overwritten meanwhile is skipped. Returns the number of bytes copied.
 */
size_t log_read(uint64_t *position, char *buffer, size_t size);

#endif
