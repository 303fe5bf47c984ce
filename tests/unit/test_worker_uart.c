/* SPDX-License-Identifier: MIT */
/* The serial port, register by register, with what Linux's 8250 driver does to find out what it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "partitions/root/worker/dev/uart16550.h"
#include "tests/unit/fake_host.h"

#define RBR 0
#define THR 0
#define DLL 0
#define IER 1
#define DLM 1
#define IIR 2
#define FCR 2
#define LCR 3
#define MCR 4
#define LSR 5
#define MSR 6
#define SCR 7

#define PIN    4
#define VECTOR 0x34

/* A port with its IO-APIC, pin 4 programmed as an edge. */
struct bench {
    struct host_vm *host;
    struct worker_counters counters;
    struct ioapic ioapic;
    struct uart16550 uart;
};

static uint32_t in(struct bench *bench, uint16_t offset)
{
    return uart_read(&bench->uart, offset, 1);
}

static void out(struct bench *bench, uint16_t offset, uint32_t value)
{
    assert_true(uart_write(&bench->uart, offset, 1, value));
}

static int setup(void **state)
{
    static struct bench bench;

    memset(&bench, 0, sizeof(bench));
    bench.host = fake_host_create(4096);
    ioapic_init(&bench.ioapic, bench.host, &bench.counters);
    ioapic_write(&bench.ioapic, 0x00, 4, 0x10 + 2 * PIN);
    ioapic_write(&bench.ioapic, 0x10, 4, VECTOR);
    uart_init(&bench.uart, bench.host, HOST_STREAM_COM1, (struct irq_line){.ioapic = &bench.ioapic, .pin = PIN});
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    fake_host_destroy(bench->host);
    return 0;
}

static void test_reset_state(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(in(bench, IER), 0);
    assert_int_equal(in(bench, IIR), 0x01);
    assert_int_equal(in(bench, LCR), 0);
    assert_int_equal(in(bench, MCR), 0);
    assert_int_equal(in(bench, LSR), 0x60);
    assert_int_equal(in(bench, MSR), 0xB0);
    assert_int_equal(in(bench, RBR), 0);
    assert_int_equal(bench->host->interrupt_count, 0);
}

static void test_scratch_and_divisor(void **state)
{
    struct bench *bench = *state;

    out(bench, SCR, 0xA5);
    assert_int_equal(in(bench, SCR), 0xA5);
    out(bench, LCR, 0x83);
    out(bench, DLL, 0x0C);
    out(bench, DLM, 0x01);
    assert_int_equal(in(bench, DLL), 0x0C);
    assert_int_equal(in(bench, DLM), 0x01);
    out(bench, LCR, 0x03);
    assert_int_equal(in(bench, IER), 0);
    assert_int_equal(in(bench, RBR), 0);
    assert_int_equal(bench->host->streams[0].count, 0);
    /* The status registers cannot be written. */
    out(bench, LSR, 0xFF);
    out(bench, MSR, 0xFF);
    assert_int_equal(in(bench, LSR), 0x60);
    assert_int_equal(in(bench, MSR), 0xB0);
}

/* autoconfig() and autoconfig_16550a() of Linux 6.1: every probe must say 16550A and nothing better. */
static void test_linux_autoconfig(void **state)
{
    struct bench *bench = *state;

    out(bench, IER, 0);
    assert_int_equal(in(bench, IER) & 0x0F, 0);
    out(bench, IER, 0x0F);
    assert_int_equal(in(bench, IER) & 0x0F, 0x0F);
    out(bench, IER, 0);
    /* Loopback test. */
    out(bench, MCR, 0x10 | 0x0A);
    assert_int_equal(in(bench, MSR) & 0xF0, 0x90);
    out(bench, MCR, 0);
    /* FIFO. */
    out(bench, LCR, 0xBF);
    out(bench, 2, 0);
    out(bench, LCR, 0);
    out(bench, FCR, 0x01);
    assert_int_equal(in(bench, IIR) >> 6, 3);
    /* No EFR in either place. */
    out(bench, LCR, 0x80);
    assert_int_not_equal(in(bench, 2), 0);
    out(bench, LCR, 0xBF);
    assert_int_not_equal(in(bench, 2), 0);
    /* Not a National Semiconductor super chip: register 2 does not mirror MCR. */
    out(bench, LCR, 0);
    uint32_t mcr = in(bench, MCR);
    out(bench, LCR, 0xE0);
    uint32_t excr = in(bench, 2);
    assert_int_equal((excr ^ mcr) & 0x10, 0);
    out(bench, LCR, 0);
    out(bench, MCR, mcr ^ 0x10);
    out(bench, LCR, 0xE0);
    excr = in(bench, 2);
    out(bench, LCR, 0);
    out(bench, MCR, mcr);
    assert_int_equal((excr ^ mcr) & 0x10, 0);
    /* Not a TI 16750. */
    out(bench, FCR, 0x21);
    assert_int_equal(in(bench, IIR) >> 5, 6);
    out(bench, FCR, 0x01);
    out(bench, LCR, 0x80);
    out(bench, FCR, 0x21);
    assert_int_equal(in(bench, IIR) >> 5, 6);
    out(bench, FCR, 0x01);
    out(bench, LCR, 0);
    /* Not an XScale: bit 6 of IER does not stick. */
    out(bench, IER, 0x40);
    assert_int_equal(in(bench, IER) & 0x40, 0);
}

/* The two transmit-interrupt tests of serial8250_do_startup(). */
static void test_linux_startup(void **state)
{
    struct bench *bench = *state;

    out(bench, IER, 0x02);
    assert_int_equal(in(bench, IIR) & 0x01, 0);
    out(bench, IER, 0);
    out(bench, IER, 0x02);
    assert_int_equal(in(bench, IIR) & 0x01, 0);
    out(bench, IER, 0);
    out(bench, IER, 0x02);
    assert_int_equal(in(bench, LSR) & 0x40, 0x40);
    assert_int_equal(in(bench, IIR) & 0x01, 0);
    /* Reading has ended it. */
    assert_int_equal(in(bench, IIR), 0x01);
    out(bench, IER, 0);
}

static void test_transmit_polled(void **state)
{
    struct bench *bench = *state;
    static const char text[] = "hello, console";

    for (size_t i = 0; i < sizeof(text); i++) {
        assert_int_equal(in(bench, LSR) & 0x60, 0x60);
        out(bench, THR, (uint8_t)text[i]);
    }
    assert_int_equal(bench->host->streams[0].count, sizeof(text));
    assert_memory_equal(bench->host->streams[0].bytes, text, sizeof(text));
    assert_int_equal(bench->host->interrupt_count, 0);
}

static void test_transmit_interrupt(void **state)
{
    struct bench *bench = *state;

    out(bench, FCR, 0x01);
    out(bench, MCR, 0x08);
    out(bench, IER, 0x02);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_int_equal(bench->host->interrupts[0].vector, VECTOR);
    assert_false(bench->host->interrupts[0].is_level);
    /* What an interrupt handler does: identify, send a FIFO full, find the next cause. */
    assert_int_equal(in(bench, IIR), 0xC2);
    for (uint32_t i = 0; i < 16; i++) {
        out(bench, THR, 'a' + i);
    }
    assert_int_equal(bench->host->interrupt_count, 2);
    assert_int_equal(in(bench, IIR), 0xC2);
    assert_int_equal(in(bench, IIR), 0xC1);
    out(bench, IER, 0);
    assert_int_equal(bench->host->interrupt_count, 2);
    assert_int_equal(bench->host->streams[0].count, 16);
}

static void test_transmit_back_pressure(void **state)
{
    struct bench *bench = *state;
    struct fake_stream *stream = &bench->host->streams[0];

    stream->room = 2;
    out(bench, FCR, 0x01);
    out(bench, MCR, 0x08);
    out(bench, IER, 0x02);
    assert_int_equal(in(bench, IIR), 0xC2);
    out(bench, THR, 'A');
    out(bench, THR, 'B');
    assert_int_equal(in(bench, LSR) & 0x60, 0x60);
    assert_int_equal(in(bench, IIR), 0xC2);
    /* The stream is full: the transmitter is busy, and holds what it is given. */
    for (uint32_t i = 0; i < UART_TRANSMIT_BYTES; i++) {
        out(bench, THR, '0' + i % 10);
    }
    assert_int_equal(in(bench, LSR) & 0x60, 0);
    assert_int_equal(in(bench, IIR), 0xC1);
    assert_false(uart_write(&bench->uart, THR, 1, 'X'));
    assert_int_equal(stream->count, 2);
    uint32_t interrupts = bench->host->interrupt_count;
    /* A little room: still busy. Clearing the FIFO takes nothing back. */
    stream->room = 10;
    uart_stream_writable(&bench->uart);
    out(bench, FCR, 0x05);
    assert_int_equal(stream->count, 12);
    assert_int_equal(in(bench, LSR) & 0x60, 0);
    assert_int_equal(bench->host->interrupt_count, interrupts);
    out(bench, THR, 'Y');
    stream->room = SIZE_MAX;
    uart_stream_writable(&bench->uart);
    assert_int_equal(in(bench, LSR) & 0x60, 0x60);
    assert_int_equal(bench->host->interrupt_count, interrupts + 1);
    assert_int_equal(stream->count, 2 + UART_TRANSMIT_BYTES + 1);
    assert_memory_equal(stream->bytes, "AB0123456789", 12);
    assert_int_equal(stream->bytes[2 + UART_TRANSMIT_BYTES - 1], '0' + (UART_TRANSMIT_BYTES - 1) % 10);
    assert_int_equal(stream->bytes[2 + UART_TRANSMIT_BYTES], 'Y');
    /* A second notice without anything waiting does nothing. */
    uart_stream_writable(&bench->uart);
    assert_int_equal(bench->host->interrupt_count, interrupts + 1);
}

static void test_receive(void **state)
{
    struct bench *bench = *state;

    out(bench, FCR, 0x41);
    out(bench, MCR, 0x08);
    out(bench, IER, 0x01);
    assert_int_equal(uart_input(&bench->uart, (const uint8_t *)"ab", 2), 2);
    assert_int_equal(bench->host->interrupt_count, 1);
    /* Below the trigger of four bytes: timed out. */
    assert_int_equal(in(bench, IIR), 0xCC);
    assert_int_equal(uart_input(&bench->uart, (const uint8_t *)"cd", 2), 2);
    assert_int_equal(in(bench, IIR), 0xC4);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_int_equal(in(bench, LSR), 0x61);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(in(bench, RBR), 'a' + i);
    }
    assert_int_equal(in(bench, LSR), 0x60);
    assert_int_equal(in(bench, IIR), 0xC1);
    assert_int_equal(uart_input(&bench->uart, (const uint8_t *)"e", 1), 1);
    assert_int_equal(bench->host->interrupt_count, 2);
}

static void test_receive_flow_control(void **state)
{
    struct bench *bench = *state;
    static const uint8_t text[] = "0123456789abcdefXYZ";

    /* Without FIFO there is room for one byte. */
    assert_int_equal(uart_input(&bench->uart, text, 3), 1);
    assert_int_equal(bench->host->streams[0].input_wanted, 0);
    assert_int_equal(in(bench, RBR), '0');
    assert_int_equal(bench->host->streams[0].input_wanted, 1);
    out(bench, FCR, 0x01);
    assert_int_equal(uart_input(&bench->uart, text, 19), 16);
    assert_int_equal(uart_input(&bench->uart, text + 16, 3), 0);
    assert_int_equal(bench->host->streams[0].input_wanted, 1);
    assert_int_equal(in(bench, RBR), '0');
    assert_int_equal(bench->host->streams[0].input_wanted, 2);
    assert_int_equal(in(bench, RBR), '1');
    assert_int_equal(bench->host->streams[0].input_wanted, 2);
    assert_int_equal(uart_input(&bench->uart, text + 16, 3), 2);
    /* Clearing the receive FIFO makes room. */
    out(bench, FCR, 0x03);
    assert_int_equal(bench->host->streams[0].input_wanted, 3);
    assert_int_equal(in(bench, LSR), 0x60);
    /* All of it was taken: nothing to ask for. */
    assert_int_equal(uart_input(&bench->uart, text, 1), 1);
    assert_int_equal(in(bench, RBR), '0');
    assert_int_equal(bench->host->streams[0].input_wanted, 3);
    /* Disabling the FIFO empties it as well. */
    assert_int_equal(uart_input(&bench->uart, text, 2), 2);
    out(bench, FCR, 0x00);
    assert_int_equal(in(bench, LSR), 0x60);
}

static void test_loopback(void **state)
{
    struct bench *bench = *state;

    out(bench, FCR, 0x01);
    out(bench, MCR, 0x1F);
    assert_int_equal(in(bench, MSR) & 0xF0, 0xF0);
    out(bench, MCR, 0x10);
    assert_int_equal(in(bench, MSR), 0x0F);
    assert_int_equal(in(bench, MSR), 0x00);
    /* Nothing goes out, and the wire is not heard. */
    out(bench, THR, 'L');
    assert_int_equal(bench->host->streams[0].count, 0);
    assert_int_equal(uart_input(&bench->uart, (const uint8_t *)"w", 1), 0);
    assert_int_equal(in(bench, LSR), 0x61);
    assert_int_equal(in(bench, RBR), 'L');
    assert_int_equal(bench->host->streams[0].input_wanted, 0);
    for (uint32_t i = 0; i < 17; i++) {
        out(bench, THR, i);
    }
    assert_int_equal(in(bench, LSR), 0x63);
    assert_int_equal(in(bench, LSR), 0x61);
    out(bench, FCR, 0x03);
    assert_int_equal(bench->host->streams[0].input_wanted, 0);
    out(bench, MCR, 0);
    assert_int_equal(bench->host->streams[0].input_wanted, 1);
    assert_int_equal(in(bench, MSR) & 0xF0, 0xB0);
}

static void test_interrupt_gate_and_priority(void **state)
{
    struct bench *bench = *state;

    out(bench, IER, 0x0F);
    /* Pending, but OUT2 is off. */
    assert_int_equal(bench->host->interrupt_count, 0);
    out(bench, MCR, 0x10);
    out(bench, THR, 1);
    out(bench, THR, 2);
    out(bench, MCR, 0x08);
    assert_int_equal(bench->host->interrupt_count, 1);
    /* Overrun, then data, then transmitter, then modem. */
    assert_int_equal(in(bench, IIR), 0x06);
    assert_int_equal(in(bench, LSR), 0x63);
    assert_int_equal(in(bench, IIR), 0x04);
    assert_int_equal(in(bench, RBR), 1);
    assert_int_equal(in(bench, IIR), 0x02);
    assert_int_equal(in(bench, IIR), 0x00);
    assert_int_not_equal(in(bench, MSR) & 0x0F, 0);
    assert_int_equal(in(bench, IIR), 0x01);
    assert_int_equal(bench->host->interrupt_count, 1);
    /* A byte sent in loopback empties the transmitter as well. */
    out(bench, IER, 0x02);
    assert_int_equal(in(bench, IIR), 0x01);
    out(bench, MCR, 0x18);
    out(bench, THR, 3);
    assert_int_equal(in(bench, IIR), 0x02);
}

/* Any order of any writes: the sanitizers watch, and the state stays inside its bounds. */
static void test_random_accesses(void **state)
{
    struct bench *bench = *state;
    uint32_t random = 12345;

    for (uint32_t i = 0; i < 200000; i++) {
        random = random * 1664525 + 1013904223;
        uint32_t value = random >> 24;

        bench->host->streams[0].room = random & 0x100 ? 3 : 0;
        bench->host->streams[0].count = 0;
        bench->host->interrupt_count = 0;
        if ((random & 0x200) != 0) {
            (void)uart_write(&bench->uart, (random >> 10) & 7, 1, value);
        } else {
            uint32_t read = in(bench, (random >> 10) & 7);

            assert_in_range(read, 0, 0xFF);
        }
        if ((random & 0xE000) == 0) {
            uint8_t byte = (uint8_t)value;

            (void)uart_input(&bench->uart, &byte, 1);
            uart_stream_writable(&bench->uart);
        }
        assert_in_range(bench->uart.receive_count, 0, UART_RECEIVE_FIFO_BYTES);
        assert_in_range(bench->uart.transmit_count, 0, UART_TRANSMIT_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reset_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scratch_and_divisor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linux_autoconfig, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linux_startup, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transmit_polled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transmit_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transmit_back_pressure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_receive_flow_control, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loopback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt_gate_and_priority, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_accesses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
