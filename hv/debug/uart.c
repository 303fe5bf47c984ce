/* SPDX-License-Identifier: MIT */
/* A 16550 at COM2. Knows nothing of lines or locks. */
#include "hv/debug/uart.h"

#include <stdbool.h>
#include <stdint.h>

#include "hv/cpu/asm.h"

#define COM2                  0x2f8
#define UART_DATA             COM2
#define UART_INTERRUPT_ENABLE (COM2 + 1)
#define UART_FIFO_CONTROL     (COM2 + 2)
#define UART_LINE_CONTROL     (COM2 + 3)
#define UART_MODEM_CONTROL    (COM2 + 4)
#define UART_LINE_STATUS      (COM2 + 5)
#define UART_SCRATCH          (COM2 + 7)

#define UART_FIFO_ENABLE_AND_CLEAR 0x07
#define UART_FIFO_BYTES            16
#define UART_DIVISOR_ACCESS        0x80
#define UART_8N1                   0x03
#define UART_DIVISOR_115200        1
#define UART_DTR_RTS               0x03
#define UART_STATUS_EMPTY          0x20
#define UART_STATUS_ALL_SENT       0x40
#define UART_ABSENT                0xff
#define SCRATCH_PATTERN            0x5a
#define WAIT_ROUNDS                200000

static bool is_present;
static uint32_t room; /* bytes that the FIFO surely takes */

void uart_init(void)
{
    outb(UART_SCRATCH, SCRATCH_PATTERN);
    is_present = inb(UART_SCRATCH) == SCRATCH_PATTERN && inb(UART_LINE_STATUS) != UART_ABSENT;
    if (!is_present) {
        return;
    }
    outb(UART_INTERRUPT_ENABLE, 0);
    outb(UART_LINE_CONTROL, UART_DIVISOR_ACCESS);
    outb(UART_DATA, UART_DIVISOR_115200);
    outb(UART_INTERRUPT_ENABLE, 0);
    outb(UART_LINE_CONTROL, UART_8N1);
    outb(UART_FIFO_CONTROL, UART_FIFO_ENABLE_AND_CLEAR);
    outb(UART_MODEM_CONTROL, UART_DTR_RTS);
}

void uart_put(char character)
{
    if (!is_present) {
        return;
    }
    for (uint32_t i = 0; i < WAIT_ROUNDS && room == 0; i++) {
        room = (inb(UART_LINE_STATUS) & UART_STATUS_EMPTY) != 0 ? UART_FIFO_BYTES : 0;
    }
    /* A port that never gets empty (flow stopped on the other side) loses characters rather than time. */
    if (room > 0) {
        outb(UART_DATA, (uint8_t)character);
        room--;
    }
}

void uart_drain(void)
{
    for (uint32_t i = 0; is_present && i < WAIT_ROUNDS; i++) {
        if ((inb(UART_LINE_STATUS) & UART_STATUS_ALL_SENT) != 0) {
            return;
        }
    }
}
