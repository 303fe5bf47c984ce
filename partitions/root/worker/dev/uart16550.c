/* SPDX-License-Identifier: MIT */
/*
 * The serial port (National Semiconductor PC16550D data sheet). Time does not
 * exist on this wire: a byte is sent the moment it is written if the stream
 * takes it, and received bytes below the FIFO's trigger count as timed out at
 * once. As on PC boards, OUT2 gates the interrupt.
 *
 * No byte is lost: when the stream is full the transmitter reports itself busy,
 * and a guest that writes all the same is held at the instruction. Clearing the
 * transmit FIFO does not take back what was written.
 */
#include "partitions/root/worker/dev/uart16550.h"

/* Registers; the first two are the divisor while LINE_CONTROL_DIVISOR is set. */
#define REGISTER_DATA                     0u
#define REGISTER_INTERRUPT_ENABLE         1u
#define REGISTER_INTERRUPT_IDENTIFICATION 2u
#define REGISTER_FIFO_CONTROL             2u
#define REGISTER_LINE_CONTROL             3u
#define REGISTER_MODEM_CONTROL            4u
#define REGISTER_LINE_STATUS              5u
#define REGISTER_MODEM_STATUS             6u
#define REGISTER_SCRATCH                  7u

#define INTERRUPT_ENABLE_RECEIVE  0x01u
#define INTERRUPT_ENABLE_TRANSMIT 0x02u
#define INTERRUPT_ENABLE_LINE     0x04u
#define INTERRUPT_ENABLE_MODEM    0x08u
#define INTERRUPT_ENABLE_ALL      0x0Fu

#define IDENTIFICATION_NONE     0x01u
#define IDENTIFICATION_MODEM    0x00u
#define IDENTIFICATION_TRANSMIT 0x02u
#define IDENTIFICATION_RECEIVE  0x04u
#define IDENTIFICATION_LINE     0x06u
#define IDENTIFICATION_TIMEOUT  0x0Cu
#define IDENTIFICATION_FIFO     0xC0u

#define FIFO_CONTROL_ENABLE        0x01u
#define FIFO_CONTROL_CLEAR_RECEIVE 0x02u
#define FIFO_CONTROL_TRIGGER_SHIFT 6
#define FIFO_CONTROL_KEPT          0xC9u

#define LINE_CONTROL_DIVISOR 0x80u

#define MODEM_CONTROL_DTR  0x01u
#define MODEM_CONTROL_RTS  0x02u
#define MODEM_CONTROL_OUT1 0x04u
#define MODEM_CONTROL_OUT2 0x08u
#define MODEM_CONTROL_LOOP 0x10u
#define MODEM_CONTROL_ALL  0x1Fu

#define LINE_STATUS_DATA          0x01u
#define LINE_STATUS_OVERRUN       0x02u
#define LINE_STATUS_HOLDING_EMPTY 0x20u
#define LINE_STATUS_EMPTY         0x40u

#define MODEM_STATUS_CTS          0x10u
#define MODEM_STATUS_DSR          0x20u
#define MODEM_STATUS_RI           0x40u
#define MODEM_STATUS_DCD          0x80u
#define MODEM_STATUS_INPUTS       0xF0u
#define MODEM_STATUS_CHANGES      0x0Fu
#define MODEM_STATUS_RI_ENDED     0x04u
#define MODEM_STATUS_CHANGE_SHIFT 4
/* A partner that is there and ready. */
#define MODEM_STATUS_CONNECTED    (MODEM_STATUS_CTS | MODEM_STATUS_DSR | MODEM_STATUS_DCD)

static const uint8_t receive_triggers[4] = {1, 4, 8, 14};

static bool is_fifo_enabled(const struct uart16550 *uart)
{
    return (uart->fifo_control & FIFO_CONTROL_ENABLE) != 0;
}

static bool is_loopback(const struct uart16550 *uart)
{
    return (uart->modem_control & MODEM_CONTROL_LOOP) != 0;
}

static uint32_t receive_capacity(const struct uart16550 *uart)
{
    return is_fifo_enabled(uart) ? UART_RECEIVE_FIFO_BYTES : 1u;
}

/* The interrupt with the highest priority, as the identification register shows it. */
static uint32_t pending_interrupt(const struct uart16550 *uart)
{
    uint32_t enabled = uart->interrupt_enable;

    if ((enabled & INTERRUPT_ENABLE_LINE) != 0 && uart->line_errors != 0) {
        return IDENTIFICATION_LINE;
    }
    if ((enabled & INTERRUPT_ENABLE_RECEIVE) != 0 && uart->receive_count != 0) {
        if (!is_fifo_enabled(uart) ||
            uart->receive_count >= receive_triggers[uart->fifo_control >> FIFO_CONTROL_TRIGGER_SHIFT]) {
            return IDENTIFICATION_RECEIVE;
        }
        return IDENTIFICATION_TIMEOUT;
    }
    if ((enabled & INTERRUPT_ENABLE_TRANSMIT) != 0 && uart->is_transmit_interrupt) {
        return IDENTIFICATION_TRANSMIT;
    }
    if ((enabled & INTERRUPT_ENABLE_MODEM) != 0 && (uart->modem_status & MODEM_STATUS_CHANGES) != 0) {
        return IDENTIFICATION_MODEM;
    }
    return IDENTIFICATION_NONE;
}

static void update_irq(struct uart16550 *uart)
{
    bool is_gate_open = (uart->modem_control & (MODEM_CONTROL_OUT2 | MODEM_CONTROL_LOOP)) == MODEM_CONTROL_OUT2;

    ioapic_set_line(&uart->irq, is_gate_open && pending_interrupt(uart) != IDENTIFICATION_NONE);
}

/* Gives the stream what waits for it; tells the guest when nothing is left. */
static void flush_transmitter(struct uart16550 *uart)
{
    while (uart->transmit_count != 0) {
        uint32_t first = uart->transmit_first;
        uint32_t piece = MIN((uint32_t)uart->transmit_count, UART_TRANSMIT_BYTES - first);
        size_t taken = host_stream_write(uart->host, uart->stream, &uart->transmitting[first], piece);

        taken = MIN(taken, (size_t)piece);
        uart->transmit_first = (uint8_t)((first + taken) % UART_TRANSMIT_BYTES);
        uart->transmit_count = (uint8_t)(uart->transmit_count - taken);
        if (taken < piece) {
            return;
        }
    }
    uart->is_transmit_interrupt = true;
}

/* A byte arrives in the receiver. False when it has no room. */
static bool receive_byte(struct uart16550 *uart, uint8_t byte)
{
    if (uart->receive_count >= receive_capacity(uart)) {
        return false;
    }
    uart->received[(uart->receive_first + uart->receive_count) % UART_RECEIVE_FIFO_BYTES] = byte;
    uart->receive_count++;
    return true;
}

/* The receiver has room, or listens to the wire again: asks for input that was refused. */
static void ask_for_input(struct uart16550 *uart)
{
    if (uart->is_input_refused && !is_loopback(uart) && uart->receive_count < receive_capacity(uart)) {
        uart->is_input_refused = false;
        host_stream_input_wanted(uart->host, uart->stream);
    }
}

/* Levels of the modem inputs, in loopback taken from our own outputs. */
static uint8_t modem_inputs(const struct uart16550 *uart)
{
    uint8_t control = uart->modem_control;
    uint8_t inputs = 0;

    if (!is_loopback(uart)) {
        return MODEM_STATUS_CONNECTED;
    }
    inputs |= (control & MODEM_CONTROL_RTS) != 0 ? MODEM_STATUS_CTS : 0;
    inputs |= (control & MODEM_CONTROL_DTR) != 0 ? MODEM_STATUS_DSR : 0;
    inputs |= (control & MODEM_CONTROL_OUT1) != 0 ? MODEM_STATUS_RI : 0;
    inputs |= (control & MODEM_CONTROL_OUT2) != 0 ? MODEM_STATUS_DCD : 0;
    return inputs;
}

static void write_modem_control(struct uart16550 *uart, uint8_t value)
{
    uint8_t old = uart->modem_status & MODEM_STATUS_INPUTS;

    uart->modem_control = value & MODEM_CONTROL_ALL;

    uint8_t inputs = modem_inputs(uart);
    uint8_t changes = (uint8_t)((old ^ inputs) >> MODEM_STATUS_CHANGE_SHIFT);

    if ((inputs & MODEM_STATUS_RI) != 0) {
        /* The ring indicator reports only its end. */
        changes &= (uint8_t)~MODEM_STATUS_RI_ENDED;
    }
    uart->modem_status = (uint8_t)(inputs | (uart->modem_status & MODEM_STATUS_CHANGES) | changes);
    ask_for_input(uart);
}

static void write_fifo_control(struct uart16550 *uart, uint8_t value)
{
    bool is_switched = ((value ^ uart->fifo_control) & FIFO_CONTROL_ENABLE) != 0;

    if ((value & FIFO_CONTROL_ENABLE) == 0) {
        /* The other bits count only together with this one. */
        value = 0;
    }
    if (is_switched || (value & FIFO_CONTROL_CLEAR_RECEIVE) != 0) {
        uart->receive_count = 0;
    }
    uart->fifo_control = value & FIFO_CONTROL_KEPT;
    ask_for_input(uart);
}

static void write_interrupt_enable(struct uart16550 *uart, uint8_t value)
{
    uint8_t enabled = (uint8_t)(value & ~uart->interrupt_enable);

    if ((enabled & INTERRUPT_ENABLE_TRANSMIT) != 0 && uart->transmit_count == 0) {
        /* Enabling it with an empty transmitter interrupts; drivers start sending that way. */
        uart->is_transmit_interrupt = true;
    }
    uart->interrupt_enable = value & INTERRUPT_ENABLE_ALL;
}

/* Sends a byte. False when it has no room. */
static bool write_data(struct uart16550 *uart, uint8_t value)
{
    if (is_loopback(uart)) {
        if (!receive_byte(uart, value)) {
            uart->line_errors |= LINE_STATUS_OVERRUN;
        }
        uart->is_transmit_interrupt = uart->transmit_count == 0;
        return true;
    }
    if (uart->transmit_count == 0 && host_stream_write(uart->host, uart->stream, &value, 1) == 1) {
        uart->is_transmit_interrupt = true;
        return true;
    }
    if (uart->transmit_count == UART_TRANSMIT_BYTES) {
        return false;
    }
    uart->transmitting[(uart->transmit_first + uart->transmit_count) % UART_TRANSMIT_BYTES] = value;
    uart->transmit_count++;
    uart->is_transmit_interrupt = false;
    return true;
}

bool uart_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value)
{
    struct uart16550 *uart = device;
    uint8_t byte = (uint8_t)value;
    bool is_divisor = (uart->line_control & LINE_CONTROL_DIVISOR) != 0;

    (void)size_bytes;
    switch (offset) {
    case REGISTER_DATA:
        if (is_divisor) {
            uart->divisor = (uint16_t)((uart->divisor & 0xFF00u) | byte);
            return true;
        }
        if (!write_data(uart, byte)) {
            return false;
        }
        break;
    case REGISTER_INTERRUPT_ENABLE:
        if (is_divisor) {
            uart->divisor = (uint16_t)((uart->divisor & 0x00FFu) | (uint32_t)(byte << 8));
            return true;
        }
        write_interrupt_enable(uart, byte);
        break;
    case REGISTER_FIFO_CONTROL:
        write_fifo_control(uart, byte);
        break;
    case REGISTER_LINE_CONTROL:
        uart->line_control = byte;
        return true;
    case REGISTER_MODEM_CONTROL:
        write_modem_control(uart, byte);
        break;
    case REGISTER_SCRATCH:
        uart->scratch = byte;
        return true;
    default:
        /* The status registers are read-only. */
        return true;
    }
    update_irq(uart);
    return true;
}

static uint8_t read_data(struct uart16550 *uart)
{
    uint8_t byte = 0;

    if (uart->receive_count != 0) {
        byte = uart->received[uart->receive_first];
        uart->receive_first = (uint8_t)((uart->receive_first + 1u) % UART_RECEIVE_FIFO_BYTES);
        uart->receive_count--;
        ask_for_input(uart);
        update_irq(uart);
    }
    return byte;
}

static uint8_t read_identification(struct uart16550 *uart)
{
    uint32_t pending = pending_interrupt(uart);

    if (pending == IDENTIFICATION_TRANSMIT) {
        /* Having been read ends this one; the others end with their cause. */
        uart->is_transmit_interrupt = false;
        update_irq(uart);
    }
    return (uint8_t)(pending | (is_fifo_enabled(uart) ? IDENTIFICATION_FIFO : 0u));
}

static uint8_t read_line_status(struct uart16550 *uart)
{
    uint32_t status = uart->receive_count != 0 ? LINE_STATUS_DATA : 0u;

    if (uart->transmit_count == 0) {
        status |= LINE_STATUS_HOLDING_EMPTY | LINE_STATUS_EMPTY;
    }
    if (uart->line_errors != 0) {
        status |= uart->line_errors;
        uart->line_errors = 0;
        update_irq(uart);
    }
    return (uint8_t)status;
}

static uint8_t read_modem_status(struct uart16550 *uart)
{
    uint8_t status = uart->modem_status;

    uart->modem_status &= MODEM_STATUS_INPUTS;
    update_irq(uart);
    return status;
}

uint32_t uart_read(void *device, uint16_t offset, uint32_t size_bytes)
{
    struct uart16550 *uart = device;
    bool is_divisor = (uart->line_control & LINE_CONTROL_DIVISOR) != 0;

    (void)size_bytes;
    switch (offset) {
    case REGISTER_DATA:
        return is_divisor ? uart->divisor & 0xFFu : read_data(uart);
    case REGISTER_INTERRUPT_ENABLE:
        return is_divisor ? (uint32_t)uart->divisor >> 8 : uart->interrupt_enable;
    case REGISTER_INTERRUPT_IDENTIFICATION:
        return read_identification(uart);
    case REGISTER_LINE_CONTROL:
        return uart->line_control;
    case REGISTER_MODEM_CONTROL:
        return uart->modem_control;
    case REGISTER_LINE_STATUS:
        return read_line_status(uart);
    case REGISTER_MODEM_STATUS:
        return read_modem_status(uart);
    default:
        return uart->scratch;
    }
}

size_t uart_input(struct uart16550 *uart, const uint8_t *bytes, size_t length_bytes)
{
    size_t taken = 0;

    if (!is_loopback(uart)) {
        while (taken < length_bytes && receive_byte(uart, bytes[taken])) {
            taken++;
        }
    }
    uart->is_input_refused = taken < length_bytes;
    update_irq(uart);
    return taken;
}

void uart_stream_writable(struct uart16550 *uart)
{
    if (uart->transmit_count != 0) {
        flush_transmitter(uart);
        update_irq(uart);
    }
}

void uart_init(struct uart16550 *uart, struct host_vm *host, enum host_stream stream, struct irq_line irq)
{
    *uart = (struct uart16550){
        .host = host,
        .stream = stream,
        .irq = irq,
        .divisor = 1,
        .modem_status = MODEM_STATUS_CONNECTED,
        /* A transmitter that is empty from the start. */
        .is_transmit_interrupt = true,
    };
}
