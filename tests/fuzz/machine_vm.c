/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/machine_vm.h"

#include <stdlib.h>

#include "hv/lib/bytes.h"
#include "partitions/root/worker/layout.h"
#include "tests/fuzz/fuzz.h"

/* Makes the VM and states what always holds of it. Not here: what is done to it (the targets). */

#define KERNEL_BYTES    64u
#define ENTRY_GPA       (LAYOUT_EXTENDED_MEMORY_BASE + 0x20)
#define MULTIBOOT_MAGIC 0x1BADB002u
#define MULTIBOOT_FLAGS 0x00010000u /* the address fields count */
#define ERROR_BYTES     200
#define IOAPIC_LINES    ((1u << LAYOUT_IOAPIC_PINS) - 1)

static void *storage;

struct vm *fuzz_vm_create(void)
{
    static uint8_t kernel[KERNEL_BYTES];
    struct worker_config config = {
        .memory_bytes = FUZZ_VM_RAM_BYTES,
        .vp_count = FUZZ_VM_VPS,
        .kernel = kernel,
        .kernel_bytes = sizeof(kernel),
    };
    char error[ERROR_BYTES];
    struct vm *vm;

    /* A flat Multiboot1 kernel of no code. */
    put_u32(kernel, MULTIBOOT_MAGIC);
    put_u32(kernel + 4, MULTIBOOT_FLAGS);
    put_u32(kernel + 8, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS));
    put_u32(kernel + 12, (uint32_t)LAYOUT_EXTENDED_MEMORY_BASE);
    put_u32(kernel + 16, (uint32_t)LAYOUT_EXTENDED_MEMORY_BASE);
    put_u32(kernel + 28, (uint32_t)ENTRY_GPA);
    storage = aligned_alloc(WORKER_STORAGE_ALIGNMENT, align_up_u64(worker_storage_bytes(), WORKER_STORAGE_ALIGNMENT));
    vm = worker_create(storage, fake_host_create(FUZZ_VM_RAM_BYTES), &config, error, sizeof(error));
    FUZZ_CHECK(vm != NULL);
    return vm;
}

/* What the identification register would say, read from a copy whose interrupt leads nowhere. */
static bool is_interrupting(const struct vm *vm, const struct uart16550 *uart)
{
    struct worker_counters counters = {0};
    struct uart16550 copy = *uart;
    struct ioapic nowhere;

    ioapic_init(&nowhere, vm->host, &counters);
    copy.irq.ioapic = &nowhere;
    return (uart_read(&copy, 2, 1) & 1) == 0;
}

/* TI PC16550D, Interrupt Identification Register; on PCs OUT2 is the gate, and loopback closes it. */
static void check_uart(const struct vm *vm, const struct uart16550 *uart)
{
    bool is_gate_open = (uart->modem_control & 0x18) == 0x08;
    bool is_asserted = (vm->ioapic.asserted_lines & 1u << uart->irq.pin) != 0;

    FUZZ_CHECK(uart->receive_count <= UART_RECEIVE_FIFO_BYTES && uart->receive_first < UART_RECEIVE_FIFO_BYTES);
    FUZZ_CHECK(uart->transmit_count <= UART_TRANSMIT_BYTES);
    FUZZ_CHECK(is_asserted == (is_gate_open && is_interrupting(vm, uart)));
}

static void check_ioapic(const struct vm *vm)
{
    const struct ioapic *ioapic = &vm->ioapic;

    FUZZ_CHECK((ioapic->asserted_lines & ~IOAPIC_LINES) == 0);
    for (uint32_t i = 0; i < vm->host->interrupt_count; i++) {
        const struct fake_interrupt *interrupt = &vm->host->interrupts[i];
        bool is_vectored = interrupt->type <= 1;

        FUZZ_CHECK(is_vectored || interrupt->type == 4 || interrupt->type == 5);
        FUZZ_CHECK(!is_vectored || (interrupt->vector >= 16 && interrupt->vector <= 255));
        FUZZ_CHECK(is_vectored || !interrupt->is_level);
        FUZZ_CHECK(interrupt->apic_id <= 255);
    }
}

void fuzz_vm_check(const struct vm *vm)
{
    FUZZ_CHECK(!vm->host->is_locked);
    FUZZ_CHECK(vm->host->ended_count == worker_has_ended(vm));
    FUZZ_CHECK(fake_host_armed_timers(vm->host) <= 3);
    for (uint32_t i = 0; i < HOST_STREAM_COUNT; i++) {
        check_uart(vm, &vm->uarts[i]);
    }
    check_ioapic(vm);
}

void fuzz_vm_destroy(struct vm *vm)
{
    struct host_vm *host = vm->host;

    worker_destroy(vm);
    FUZZ_CHECK(fake_host_armed_timers(host) == 0);
    fake_host_destroy(host);
    free(storage);
}
