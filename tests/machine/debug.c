/* SPDX-License-Identifier: MIT */
/* Log, trace and panic of the fake machine, and machine_reset(). */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/debug/uart.h"
#include "hv/time/time.h"
#include "tests/machine/machine.h"
#include "tests/machine/private.h"

#define LOG_BYTES     65536
#define LINE_BYTES    512
#define TRACE_RECORDS 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[LOG_BYTES]; /* lines with newlines; stops growing when full */
static size_t log_length;
static char last_line[LINE_BYTES];
static bool is_echoing = true;
static struct trace_record records[TRACE_RECORDS];
static uint64_t record_count;
static _Thread_local jmp_buf *panic_target;

uint64_t trace_mask = UINT64_MAX;

void machine_reset_debug(void)
{
    log_length = 0;
    log_text[0] = '\0';
    last_line[0] = '\0';
    is_echoing = true;
    record_count = 0;
    trace_mask = UINT64_MAX;
}

uint64_t machine_reset(void)
{
    uint64_t leaked = machine_reset_memory();

    machine_reset_debug();
    machine_reset_cpus();
    machine_reset_locks();
    machine_reset_mtrrs();
    machine_reset_time();
    machine_reset_boot();
    machine_reset_irq();
    return leaked;
}

/* Programs that forget machine_reset() still get a machine. */
__attribute__((constructor)) static void reset_at_start(void)
{
    (void)machine_reset();
}

static void log_list(const char *format, va_list arguments)
{
    char line[LINE_BYTES];

    vsnprintf(line, sizeof(line), format, arguments);
    pthread_mutex_lock(&lock);
    strcpy(last_line, line);
    size_t length = strlen(line);
    if (log_length + length + 2 <= LOG_BYTES) {
        memcpy(log_text + log_length, line, length);
        log_length += length;
        log_text[log_length++] = '\n';
        log_text[log_length] = '\0';
    }
    if (is_echoing) {
        fprintf(stderr, "partita: %s\n", line);
    }
    pthread_mutex_unlock(&lock);
}

void log_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_list(format, arguments);
    va_end(arguments);
}

void log_guest_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_list(format, arguments);
    va_end(arguments);
}

size_t log_read(uint64_t *position, char *buffer, size_t size)
{
    size_t at = *position < log_length ? (size_t)*position : log_length;
    size_t bytes = log_length - at < size ? log_length - at : size;

    memcpy(buffer, log_text + at, bytes);
    *position = at + bytes;
    return bytes;
}

const char *machine_last_log_line(void)
{
    return last_line;
}

bool machine_log_contains(const char *text)
{
    return strstr(log_text, text) != NULL;
}

void machine_set_log_echo(bool is_on)
{
    is_echoing = is_on;
}

NORETURN static void end(void)
{
    if (panic_target != NULL) {
        longjmp(*panic_target, 1);
    }
    if (!is_echoing) {
        fprintf(stderr, "partita: %s\n", last_line);
    }
    abort();
}

void panic(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_list(format, arguments);
    va_end(arguments);
    end();
}

void stop_machine(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_list(format, arguments);
    va_end(arguments);
    end();
}

void uart_drain(void)
{
}

bool machine_panics(void (*function)(void *argument), void *argument)
{
    jmp_buf here;
    jmp_buf *volatile outer = panic_target;
    volatile bool did_panic = true;

    if (setjmp(here) == 0) {
        panic_target = &here;
        function(argument);
        did_panic = false;
    }
    panic_target = outer;
    return did_panic;
}

void trace_write(enum trace_event_id event, uint32_t vp, uint64_t a, uint64_t b)
{
    pthread_mutex_lock(&lock);
    records[record_count % TRACE_RECORDS] =
        (struct trace_record){.tsc = time_tsc(), .event = event, .vp = vp, .a = a, .b = b};
    record_count++;
    pthread_mutex_unlock(&lock);
}

uint64_t machine_trace_count(void)
{
    return record_count;
}

bool machine_trace_last(enum trace_event_id event, struct trace_record *record)
{
    uint64_t kept = record_count < TRACE_RECORDS ? record_count : TRACE_RECORDS;

    for (uint64_t i = 1; i <= kept; i++) {
        const struct trace_record *candidate = &records[(record_count - i) % TRACE_RECORDS];
        if (candidate->event == event) {
            *record = *candidate;
            return true;
        }
    }
    return false;
}
