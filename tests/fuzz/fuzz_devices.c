/* SPDX-License-Identifier: MIT */
/*
 * The device models (16550, RTC, IO-APIC, ACPI fixed hardware, debug-exit port) under sequences of port and memory
 * accesses, time, input and streams that are full. Holds, beside fuzz_vm_check(): no transmitted byte is lost, repeated
 * or invented, values fit their size, the PM timer does not go back.
 */
#include <string.h>

#include "partitions/root/worker/layout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/machine_vm.h"

#define OPERATIONS_MAX     200
#define ADVANCE_SHIFT_MAX  24u
#define INPUT_BYTES_MAX    32u
#define LINE_CONTROL       3u
#define DIVISOR_LATCH      0x80u
#define MODEM_CONTROL_LOOP 0x10u

static const uint16_t ports[] = {
    LAYOUT_COM1_PORT,        LAYOUT_COM2_PORT,     LAYOUT_RTC_PORT,   LAYOUT_POST_CODE_PORT,  LAYOUT_PM1_EVENT_PORT,
    LAYOUT_PM1_CONTROL_PORT, LAYOUT_PM_TIMER_PORT, LAYOUT_RESET_PORT, LAYOUT_DEBUG_EXIT_PORT, 0xFFFF,
};

/* Bytes that the guest gave to each transmitter, one by an operation at most, and how many of them its stream got. */
static uint8_t sent[HOST_STREAM_COUNT][OPERATIONS_MAX];
static uint32_t accepted[HOST_STREAM_COUNT];
static uint32_t emitted[HOST_STREAM_COUNT];

/* The UART that takes a byte written to this port as one to send; null if it is no such write. */
static struct uart16550 *transmitter(struct vm *vm, uint16_t port, uint32_t size)
{
    struct uart16550 *uart = port == LAYOUT_COM1_PORT   ? &vm->uarts[HOST_STREAM_COM1]
                             : port == LAYOUT_COM2_PORT ? &vm->uarts[HOST_STREAM_COM2]
                                                        : NULL;

    if (uart == NULL || size != 1 || (uart->line_control & DIVISOR_LATCH) != 0 ||
        (uart->modem_control & MODEM_CONTROL_LOOP) != 0) {
        return NULL;
    }
    return uart;
}

static uint16_t pick_port(struct fuzz_input *input)
{
    uint16_t first = ports[fuzz_below(input, sizeof(ports) / sizeof(ports[0]))];

    return (uint16_t)(first + fuzz_below(input, 8));
}

static void write_port(struct vm *vm, struct fuzz_input *input)
{
    uint16_t port = pick_port(input);
    /* At the serial ports wider writes fall apart into bytes for several registers, which could not be counted. */
    uint32_t size = port < LAYOUT_PM1_EVENT_PORT ? 1 : 1u << fuzz_below(input, 3);
    uint32_t value = fuzz_u32(input);
    struct uart16550 *uart = transmitter(vm, port, size);

    if (pio_write(&vm->pio, port, size, value) && uart != NULL) {
        sent[uart->stream][accepted[uart->stream]++] = (uint8_t)value;
    } else if (uart != NULL) {
        FUZZ_CHECK(uart->transmit_count == UART_TRANSMIT_BYTES);
    }
}

static void read_port(struct vm *vm, struct fuzz_input *input)
{
    uint16_t port = pick_port(input);
    uint32_t size = 1u << fuzz_below(input, 3);
    uint32_t value = pio_read(&vm->pio, port, size);

    FUZZ_CHECK(size == 4 || value >> (8 * size) == 0);
}

static void access_ioapic(struct vm *vm, struct fuzz_input *input)
{
    static const uint64_t offsets[] = {0x00, 0x10, 0x40, 0x04, 0xFF8};
    uint64_t gpa = LAYOUT_IOAPIC_GPA + offsets[fuzz_below(input, sizeof(offsets) / sizeof(offsets[0]))];
    uint32_t size = 1u << fuzz_below(input, 4);

    if (fuzz_below(input, 2) == 0) {
        uint64_t value = mmio_read(&vm->mmio, gpa, size);

        FUZZ_CHECK(size == 8 || value >> (8 * size) == 0);
    } else {
        mmio_write(&vm->mmio, gpa, size, fuzz_u32(input));
    }
}

/* ACPI, Power Management Timer: counts up at 3.579545 MHz, 24 or 32 bits wide. */
static void advance(struct vm *vm, struct fuzz_input *input)
{
    uint64_t time = UINT64_C(1) << fuzz_below(input, ADVANCE_SHIFT_MAX);
    uint32_t before = pio_read(&vm->pio, LAYOUT_PM_TIMER_PORT, 4);
    uint64_t ticks = time * 3579545 / 10000000;
    uint32_t passed;

    fake_host_advance(vm->host, time);
    passed = pio_read(&vm->pio, LAYOUT_PM_TIMER_PORT, 4) - before;
    FUZZ_CHECK((passed & 0xFFFFFF) - (ticks & 0xFFFFFF) + 1 <= 2 || (ticks & 0xFFFFFF) >= 0xFFFFFE);
}

static void give_input(struct vm *vm, struct fuzz_input *input)
{
    uint8_t bytes[INPUT_BYTES_MAX];
    enum host_stream stream = (enum host_stream)fuzz_below(input, HOST_STREAM_COUNT);
    size_t count = fuzz_below(input, sizeof(bytes) + 1);

    fuzz_fill(input, bytes, count);
    FUZZ_CHECK(worker_stream_input(vm, stream, bytes, count) <= count);
}

static void make_room(struct vm *vm, struct fuzz_input *input)
{
    enum host_stream stream = (enum host_stream)fuzz_below(input, HOST_STREAM_COUNT);
    uint8_t room = fuzz_u8(input);

    vm->host->streams[stream].room = room == 0xFF ? SIZE_MAX : room;
    worker_stream_writable(vm, stream);
}

static void operate(struct vm *vm, struct fuzz_input *input)
{
    switch (fuzz_below(input, 9)) {
    case 0:
    case 1:
        write_port(vm, input);
        break;
    case 2:
        read_port(vm, input);
        break;
    case 3:
        access_ioapic(vm, input);
        break;
    case 4:
        advance(vm, input);
        break;
    case 5:
        give_input(vm, input);
        break;
    case 6:
        make_room(vm, input);
        break;
    case 7:
        worker_command(vm, "power-button");
        break;
    default:
        ioapic_end_of_interrupt(&vm->ioapic, fuzz_u8(input));
        break;
    }
}

static void check_streams(struct vm *vm)
{
    for (uint32_t i = 0; i < HOST_STREAM_COUNT; i++) {
        struct fake_stream *stream = &vm->host->streams[i];

        FUZZ_CHECK(accepted[i] == emitted[i] + stream->count + vm->uarts[i].transmit_count);
        FUZZ_CHECK(memcmp(stream->bytes, sent[i] + emitted[i], stream->count) == 0);
        emitted[i] += (uint32_t)stream->count;
        stream->count = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    struct vm *vm = fuzz_vm_create();

    memset(accepted, 0, sizeof(accepted));
    memset(emitted, 0, sizeof(emitted));
    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        operate(vm, &input);
        check_streams(vm);
        fuzz_vm_check(vm);
        vm->host->interrupt_count = 0;
    }
    fuzz_vm_destroy(vm);
    return 0;
}
