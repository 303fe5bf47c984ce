/* SPDX-License-Identifier: MIT */
/* The machine's first 16550: output polled, input by interrupt or polled; frames. */
#include "partitions/root/device/console.h"

#include <stdarg.h>

#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/boot.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/sched.h"

#define UART_PORT              0x3F8u
#define UART_DATA              UART_PORT
#define UART_INTERRUPT_ENABLE  (UART_PORT + 1)
#define UART_FIFO_CONTROL      (UART_PORT + 2)
#define UART_LINE_CONTROL      (UART_PORT + 3)
#define UART_MODEM_CONTROL     (UART_PORT + 4)
#define UART_LINE_STATUS       (UART_PORT + 5)
#define UART_LINE_8N1          0x03u
#define UART_LINE_DIVISOR      0x80u
#define UART_DIVISOR_115200    1u
#define UART_FIFO_ENABLE_CLEAR 0x07u
#define UART_DTR_RTS_OUT2      0x0Bu
#define UART_RECEIVED          0x01u
#define UART_EMPTY             0x20u
#define UART_ALL_SENT          0x40u
#define UART_FIFO_BYTES        16u

#define FRAME_MARK    0x1E
#define LINE_BYTES    1024u
#define COLLECT_BYTES 512u
#define INPUT_BYTES   4096u

/* What a child has written to one of its ports and no frame has carried yet, or a reply. */
struct collector {
    uint32_t count;
    uint8_t bytes[COLLECT_BYTES];
};

/* What came in. */
struct input {
    uint8_t bytes[INPUT_BYTES]; /* ring: filled in interrupt context or by polling */
    uint32_t head;              /* atomic, written by the filler */
    uint32_t tail;              /* atomic, written by processor 0 */
};

static const enum console_stream collected[] = {CONSOLE_STREAM_CONSOLE, CONSOLE_STREAM_DATA, CONSOLE_STREAM_REPLY};

static struct spinlock lock;
static bool framed;
static char line[LINE_BYTES];                                                 /* [lock] */
static struct collector collectors[CONSOLE_CHILD_MAX][ARRAY_SIZE(collected)]; /* [lock] */
static uint32_t room; /* [lock] bytes that still fit into the UART's FIFO */
static struct input inputs[CONSOLE_INPUT_COUNT];
static bool is_marked;    /* of the filler: the last byte was the mark */
static bool is_commanded; /* of the filler: a command goes on */

void console_init(void)
{
    outb(UART_INTERRUPT_ENABLE, 0);
    outb(UART_LINE_CONTROL, UART_LINE_DIVISOR);
    outb(UART_DATA, UART_DIVISOR_115200);
    outb(UART_INTERRUPT_ENABLE, 0);
    outb(UART_LINE_CONTROL, UART_LINE_8N1);
    outb(UART_FIFO_CONTROL, UART_FIFO_ENABLE_CLEAR);
    outb(UART_MODEM_CONTROL, UART_DTR_RTS_OUT2);
}

void console_set_framed(bool is_framed)
{
    framed = is_framed;
}

/* [lock] */
static void put_bytes(const void *bytes, size_t count)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < count; i++) {
        while (room == 0) {
            room = (inb(UART_LINE_STATUS) & UART_EMPTY) != 0 ? UART_FIFO_BYTES : 0;
        }
        outb(UART_DATA, at[i]);
        room--;
    }
}

/* [lock] */
static void put_frame(enum console_stream stream, uint32_t child, const void *bytes, size_t count)
{
    char header[32];
    size_t length = fmt_snprintf(header, sizeof(header), "%c%c %u %zu\n", FRAME_MARK, (int)stream, child, count);

    put_bytes(header, length);
    put_bytes(bytes, count);
}

/* [lock] */
static void flush_child(uint32_t child)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(collected); i++) {
        struct collector *collector = &collectors[child][i];

        if (collector->count != 0) {
            put_frame(collected[i], child, collector->bytes, collector->count);
            collector->count = 0;
        }
    }
}

void console_text(enum console_stream stream, uint32_t child, const char *format, ...)
{
    bool were_on = spin_lock_irq(&lock);
    va_list arguments;

    va_start(arguments, format);

    size_t length = fmt_vsnprintf(line, sizeof(line), format, arguments);

    va_end(arguments);
    length = length < sizeof(line) ? length : sizeof(line) - 1;
    if (framed) {
        flush_child(child);
        put_frame(stream, child, line, length);
    } else if (stream == CONSOLE_STREAM_ERROR) {
        put_bytes(line, length);
        put_bytes("\r\n", 2);
    }
    spin_unlock_irq(&lock, were_on);
}

void console_write(enum console_stream stream, uint32_t child, const uint8_t *bytes, size_t count)
{
    bool were_on = spin_lock_irq(&lock);
    struct collector *collector = collectors[child];

    for (uint32_t i = 0; collected[i] != stream; i++) {
        collector++;
    }
    if (!framed && stream == CONSOLE_STREAM_CONSOLE) {
        put_bytes(bytes, count);
    }
    for (size_t i = 0; framed && i < count; i++) {
        collector->bytes[collector->count++] = bytes[i];
        if (collector->count == COLLECT_BYTES || bytes[i] == '\n') {
            put_frame(stream, child, collector->bytes, collector->count);
            collector->count = 0;
        }
    }
    spin_unlock_irq(&lock, were_on);
}

void console_flush(void)
{
    bool were_on = spin_lock_irq(&lock);

    for (uint32_t child = 0; child < CONSOLE_CHILD_MAX; child++) {
        flush_child(child);
    }
    spin_unlock_irq(&lock, were_on);
}

void console_drain(void)
{
    console_flush();
    while ((inb(UART_LINE_STATUS) & UART_ALL_SENT) == 0) {
        cpu_relax();
    }
}

void console_break_lock(void)
{
    spin_unlock(&lock);
}

/* What does not fit is lost, as on every UART. */
static void store(struct input *input, uint8_t byte)
{
    if (input->head - __atomic_load_n(&input->tail, __ATOMIC_ACQUIRE) < INPUT_BYTES) {
        input->bytes[input->head % INPUT_BYTES] = byte;
        __atomic_store_n(&input->head, input->head + 1, __ATOMIC_RELEASE);
    }
}

static void take(uint8_t byte)
{
    if (framed && byte == FRAME_MARK && !is_marked && !is_commanded) {
        is_marked = true;
        return;
    }
    is_commanded = is_commanded || (is_marked && byte != FRAME_MARK);
    is_marked = false;
    store(&inputs[is_commanded ? CONSOLE_INPUT_COMMANDS : CONSOLE_INPUT_CHILD], byte);
    is_commanded = is_commanded && byte != '\n';
}

void console_poll(void)
{
    while ((inb(UART_LINE_STATUS) & UART_RECEIVED) != 0) {
        take(inb(UART_DATA));
        sched_raise(SCHED_EVENT_INPUT);
    }
}

bool console_start_input(void)
{
    struct uart_route route = acpi_uart_route();

    trap_set_handler(TRAP_VECTOR_UART, console_poll);
    if (route.ioapic == 0 || !hypercall_map_uart(&route, TRAP_VECTOR_UART)) {
        return true;
    }
    outb(UART_INTERRUPT_ENABLE, UART_RECEIVED);
    return false;
}

size_t console_peek(enum console_input from, uint8_t *bytes, size_t size)
{
    const struct input *input = &inputs[from];
    size_t count = 0;

    while (count < size && input->tail + count != __atomic_load_n(&input->head, __ATOMIC_ACQUIRE)) {
        bytes[count] = input->bytes[(input->tail + count) % INPUT_BYTES];
        count++;
    }
    return count;
}

void console_consume(enum console_input from, size_t count)
{
    __atomic_store_n(&inputs[from].tail, inputs[from].tail + (uint32_t)count, __ATOMIC_RELEASE);
}
