/* SPDX-License-Identifier: MIT */
/* A 16550A serial port whose wire is a byte stream of the environment. */
#ifndef DEV_UART16550_H
#define DEV_UART16550_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "partitions/root/worker/dev/ioapic.h"
#include "vmbus/host.h"

#define UART_RECEIVE_FIFO_BYTES 16u
/* More than a transmit FIFO, since a guest may stop waiting for room after a while. A power of two. */
#define UART_TRANSMIT_BYTES     64u

/* State of one port. Everything is protected by the VM's lock. */
struct uart16550 {
    struct host_vm *host;
    enum host_stream stream;
    struct irq_line irq;
    uint16_t divisor;
    uint8_t interrupt_enable;
    uint8_t fifo_control;
    uint8_t line_control;
    uint8_t modem_control;
    uint8_t line_errors;  /* error bits of the line status, until it is read */
    uint8_t modem_status; /* inputs and their change bits */
    uint8_t scratch;
    bool is_transmit_interrupt; /* the transmitter became empty and nobody was told */
    bool is_input_refused;      /* the environment holds input back */
    uint8_t received[UART_RECEIVE_FIFO_BYTES];
    uint8_t receive_first;
    uint8_t receive_count;
    uint8_t transmitting[UART_TRANSMIT_BYTES]; /* what the stream has not taken yet */
    uint8_t transmit_first;
    uint8_t transmit_count;
};

/* Reset state. */
void uart_init(struct uart16550 *uart, struct host_vm *host, enum host_stream stream, struct irq_line irq);

/* Port handlers: offset 0 to 7, one byte. A write returns false when the byte has no room: it has to be repeated. */
uint32_t uart_read(void *device, uint16_t offset, uint32_t size_bytes);
bool uart_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value);

/* Bytes from the wire; returns how many the receiver took. */
size_t uart_input(struct uart16550 *uart, const uint8_t *bytes, size_t length_bytes);

/* The stream takes bytes again. */
void uart_stream_writable(struct uart16550 *uart);

#endif
