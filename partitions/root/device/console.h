/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_CONSOLE_H
#define DEVICE_CONSOLE_H

/*
 * COM1 of the machine. Input goes to the console of child 0. Raw output is that console, as it is. Framed: all output
 * is frames, byte 0x1E, "<stream> <child> <length>\n", then the bytes, so that no byte of a child can pass for
 * minroot's; and in the input, byte 0x1E begins a command, "<child> <command>\n", or stands for itself when it comes
 * twice.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

#define CONSOLE_CHILD_MAX 16u

/* Streams of frames. */
enum console_stream {
    CONSOLE_STREAM_CONSOLE = 'c',  /* the child's COM1 */
    CONSOLE_STREAM_DATA = 'd',     /* the child's COM2 */
    CONSOLE_STREAM_REPLY = 'r',    /* to a command, in parts */
    CONSOLE_STREAM_REPLIED = 'z',  /* that was all; what went wrong, or nothing */
    CONSOLE_STREAM_EXIT = 'x',     /* the child has ended: its status as a decimal number */
    CONSOLE_STREAM_BEGIN = 'b',    /* the children of the next boot module "batch" come: its number */
    CONSOLE_STREAM_PROGRESS = 'p', /* text of minroot */
    CONSOLE_STREAM_ERROR = 'e',    /* error text of minroot */
};

/* Sets up COM1. */
void console_init(void);
void console_set_framed(bool is_framed);

/* One line: a frame, or raw text with line end. Only errors are shown in raw mode. */
void console_text(enum console_stream stream, uint32_t child, const char *format, ...) PRINTF_LIKE(3, 4);
#define console_error(...)    console_text(CONSOLE_STREAM_ERROR, 0, __VA_ARGS__)
#define console_progress(...) console_text(CONSOLE_STREAM_PROGRESS, 0, __VA_ARGS__)

/* Bytes of a child's serial port, or of a reply; framed ones are collected and written at line ends and by
 * console_flush(). */
void console_write(enum console_stream stream, uint32_t child, const uint8_t *bytes, size_t count);
void console_flush(void);

/* Returns once the last byte has left the UART, which may take it along when the machine is switched off. */
void console_drain(void);

/* After a fault on a processor that may hold the lock. */
void console_break_lock(void);

/* Starts input by interrupt. True: there is none to be had, console_poll() has to be called every 10 ms. */
bool console_start_input(void);
void console_poll(void);

enum console_input {
    CONSOLE_INPUT_CHILD,
    CONSOLE_INPUT_COMMANDS, /* lines, without the byte that began them */
    CONSOLE_INPUT_COUNT,
};

/* Bytes that came in, in order; console_consume() takes `count` of those that console_peek() returned. Processor 0. */
size_t console_peek(enum console_input from, uint8_t *bytes, size_t size);
void console_consume(enum console_input from, size_t count);

#endif
