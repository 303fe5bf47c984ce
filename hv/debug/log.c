/* SPDX-License-Identifier: MIT */
/* Log lines: to the port and into a ring. Which of them matter is decided elsewhere. */
#include "hv/debug/log.h"

#include <stdint.h>

#include "hv/debug/debug.h"
#include "hv/debug/uart.h"
#include "hv/debug/version.h"
#include "hv/lib/fmt.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/sync/spinlock.h"
#include "hv/time/time.h"

#define RING_BYTES         16384 /* a power of two */
#define LINE_PREFIX        "partita: "
#define GUEST_LINES_MAX    8
#define GUEST_PERIOD_100NS 10000000u /* one second */

static struct spinlock log_lock = SPINLOCK_INIT(LOCK_RANK_LOG, "log");
static char ring[RING_BYTES];  /* [log_lock] */
static uint64_t ring_position; /* [log_lock] bytes ever written */

/* How many lines that guests caused were printed in the current period. [log_lock] */
static struct {
    uint64_t period_start;
    uint32_t printed;
    uint32_t dropped;
} guest_lines;

static void put(char character)
{
    ring[ring_position % RING_BYTES] = character;
    ring_position++;
    if (character == '\n') {
        uart_put('\r');
    }
    uart_put(character);
}

static void put_string(const char *text)
{
    for (; *text != '\0'; text++) {
        /* Text may stem from firmware or a guest; it must not steer the terminal. */
        put(*text >= ' ' && *text <= '~' ? *text : '?');
    }
}

PRINTF_LIKE(1, 0) static void put_line(const char *format, va_list arguments)
{
    char line[LOG_LINE_MAX];

    (void)fmt_vsnprintf(line, sizeof(line), format, arguments);
    put_string(LINE_PREFIX);
    put_string(line);
    put('\n');
}

void log_init(void)
{
    uart_init();
    log_line("Partita %s", PARTITA_VERSION);
}

void log_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    spin_lock(&log_lock);
    put_line(format, arguments);
    spin_unlock(&log_lock);
    va_end(arguments);
}

void log_line_unlocked_list(const char *format, va_list arguments)
{
    put_line(format, arguments);
}

void log_line_unlocked(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    put_line(format, arguments);
    va_end(arguments);
}

/* A new period begins when the old one is over; says how many lines the old one lost. */
static uint32_t start_guest_period(void)
{
    uint64_t now = time_100ns();
    uint32_t dropped = 0;

    if (now - guest_lines.period_start >= GUEST_PERIOD_100NS) {
        dropped = guest_lines.dropped;
        guest_lines.period_start = now;
        guest_lines.printed = 0;
        guest_lines.dropped = 0;
    }
    return dropped;
}

void log_guest_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    spin_lock(&log_lock);
    uint32_t dropped = start_guest_period();
    if (dropped != 0) {
        log_line_unlocked("%u lines about guests were dropped", dropped);
    }
    if (guest_lines.printed < GUEST_LINES_MAX) {
        guest_lines.printed++;
        put_line(format, arguments);
    } else {
        guest_lines.dropped++;
    }
    spin_unlock(&log_lock);
    va_end(arguments);
}

size_t log_read(uint64_t *position, char *buffer, size_t size)
{
    size_t count = 0;

    spin_lock(&log_lock);
    uint64_t oldest = ring_position > RING_BYTES ? ring_position - RING_BYTES : 0;
    uint64_t at = min_u64(max_u64(*position, oldest), ring_position);
    for (; count < size && at < ring_position; at++) {
        buffer[count++] = ring[at % RING_BYTES];
    }
    *position = at;
    spin_unlock(&log_lock);
    return count;
}
