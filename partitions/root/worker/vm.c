/* SPDX-License-Identifier: MIT */
/*
 * The machine model "direct boot machine": puts the devices together, brings a
 * VM up and down, and holds the entry points that are not about intercepts.
 * Loading the kernel is loader/, the first registers are start.c.
 */
#include "partitions/root/worker/vm.h"

#include <stdarg.h>

#include "hv/abi/hv_register.h"
#include "hv/lib/addr.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/worker/acpi/tables.h"
#include "partitions/root/worker/dev/debug_exit.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/loader/loader.h"
#include "partitions/root/worker/start.h"

#define LOG_LINE_BYTES    160u
#define HALTED_LOOK_100NS UINT64_C(10000000)

_Static_assert(_Alignof(struct vm) <= WORKER_STORAGE_ALIGNMENT && VMBUS_STORAGE_ALIGNMENT <= WORKER_STORAGE_ALIGNMENT,
               "alignment of the worker's storage");

uint32_t worker_ram_layout(uint64_t memory_bytes, struct worker_ram_range *ranges)
{
    if (memory_bytes < WORKER_MEMORY_MIN_BYTES || memory_bytes > WORKER_MEMORY_MAX_BYTES ||
        !is_aligned_u64(memory_bytes, PAGE_SIZE)) {
        return 0;
    }
    ranges[0] = (struct worker_ram_range){.gpa = 0, .length_bytes = MIN(memory_bytes, LAYOUT_LOW_RAM_LIMIT)};
    if (memory_bytes <= LAYOUT_LOW_RAM_LIMIT) {
        return 1;
    }
    ranges[1] = (struct worker_ram_range){
        .gpa = LAYOUT_HIGH_RAM_BASE,
        .length_bytes = memory_bytes - LAYOUT_LOW_RAM_LIMIT,
    };
    return 2;
}

/* The bus lies behind the VM. */
static size_t bus_offset(void)
{
    return align_up_u64(sizeof(struct vm), VMBUS_STORAGE_ALIGNMENT);
}

size_t worker_storage_bytes(void)
{
    return bus_offset() + vmbus_storage_bytes();
}

bool worker_has_ended(const struct vm *vm)
{
    return __atomic_load_n(&vm->has_ended, __ATOMIC_ACQUIRE);
}

const char *worker_end_reason_text(enum host_vm_end reason)
{
    switch (reason) {
    case HOST_VM_POWER_OFF:
        return "power off";
    case HOST_VM_RESET:
        return "reset";
    case HOST_VM_EXIT:
        return "exit through the debug-exit port";
    case HOST_VM_TRIPLE_FAULT:
        return "triple fault";
    case HOST_VM_UNHANDLED_INTERCEPT:
        return "unhandled intercept";
    case HOST_VM_EMULATION_FAILED:
        return "instruction that cannot be emulated";
    case HOST_VM_HOST_FAILED:
        return "hypervisor call failed";
    case HOST_VM_HALTED:
        return "all VPs are halted with interrupts disabled: nothing can wake them";
    }
    return "unknown reason";
}

void vm_end(struct vm *vm, enum host_vm_end reason, uint32_t status)
{
    if (worker_has_ended(vm)) {
        return;
    }
    /* Pairs with worker_has_ended() in a dispatch loop that a kick has woken. */
    __atomic_store_n(&vm->has_ended, true, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < vm->vp_count; i++) {
        host_vp_kick(vm->host, i);
    }
    host_vm_ended(vm->host, reason, status);
}

void vm_log(struct vm *vm, enum host_log_level level, const char *format, ...)
{
    char line[LOG_LINE_BYTES];
    uint64_t now = host_monotonic_100ns();
    va_list arguments;

    if (now - vm->log_interval_start_100ns >= VM_LOG_INTERVAL_100NS) {
        if (vm->log_lines_dropped != 0) {
            fmt_snprintf(line, sizeof(line), "%u more lines were dropped", vm->log_lines_dropped);
            host_log(vm->host, HOST_LOG_WARNING, line);
        }
        vm->log_interval_start_100ns = now;
        vm->log_line_count = 0;
        vm->log_lines_dropped = 0;
    }
    if (vm->log_line_count >= VM_LOG_LINES_PER_INTERVAL) {
        vm->log_lines_dropped++;
        return;
    }
    vm->log_line_count++;
    va_start(arguments, format);
    fmt_vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    host_log(vm->host, level, line);
}

static void add_ports(struct vm *vm, uint16_t first_port, uint16_t port_count, uint32_t access_bytes_max, void *device,
                      pio_read_function read, pio_write_function write)
{
    pio_add_range(&vm->pio, &(struct pio_range){
                                .first_port = first_port,
                                .port_count = port_count,
                                .access_bytes_max = access_bytes_max,
                                .device = device,
                                .read = read,
                                .write = write,
                            });
}

/* The POST code port: firmware and old drivers write to it for the delay. */
static uint32_t post_code_read(void *device, uint16_t offset, uint32_t size_bytes)
{
    (void)device;
    (void)offset;
    (void)size_bytes;
    return UINT32_MAX;
}

static bool post_code_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value)
{
    (void)device;
    (void)offset;
    (void)size_bytes;
    (void)value;
    return true;
}

static struct irq_line line_of(struct vm *vm, uint8_t pin)
{
    return (struct irq_line){.ioapic = &vm->ioapic, .pin = pin};
}

static void init_devices(struct vm *vm)
{
    struct uart16550 *com1 = &vm->uarts[HOST_STREAM_COM1];
    struct uart16550 *com2 = &vm->uarts[HOST_STREAM_COM2];

    vm->pio.counters = &vm->counters;
    vm->mmio.counters = &vm->counters;
    ioapic_init(&vm->ioapic, vm->host, &vm->counters);
    uart_init(com1, vm->host, HOST_STREAM_COM1, line_of(vm, LAYOUT_COM1_PIN));
    uart_init(com2, vm->host, HOST_STREAM_COM2, line_of(vm, LAYOUT_COM2_PIN));
    rtc_init(&vm->rtc, vm->host, line_of(vm, LAYOUT_RTC_PIN));
    acpi_pm_init(&vm->acpi_pm, vm, vm->host, line_of(vm, LAYOUT_SCI_PIN));

    /* In the order in which a guest uses them: the console makes nearly all accesses. */
    add_ports(vm, LAYOUT_COM1_PORT, LAYOUT_UART_PORTS, 1, com1, uart_read, uart_write);
    add_ports(vm, LAYOUT_POST_CODE_PORT, 1, 1, vm, post_code_read, post_code_write);
    add_ports(vm, LAYOUT_PM1_EVENT_PORT, LAYOUT_PM_PORTS, 4, &vm->acpi_pm, acpi_pm_read, acpi_pm_write);
    add_ports(vm, LAYOUT_COM2_PORT, LAYOUT_UART_PORTS, 1, com2, uart_read, uart_write);
    add_ports(vm, LAYOUT_RTC_PORT, LAYOUT_RTC_PORTS, 1, &vm->rtc, rtc_read, rtc_write);
    add_ports(vm, LAYOUT_RESET_PORT, 1, 1, &vm->acpi_pm, acpi_pm_reset_read, acpi_pm_reset_write);
    add_ports(vm, LAYOUT_DEBUG_EXIT_PORT, 1, 4, vm, debug_exit_read, debug_exit_write);
    mmio_add_range(&vm->mmio, &(struct mmio_range){
                                  .base_gpa = LAYOUT_IOAPIC_GPA,
                                  .length_bytes = LAYOUT_IOAPIC_BYTES,
                                  .device = &vm->ioapic,
                                  .read = ioapic_read,
                                  .write = ioapic_write,
                              });
}

/* Fills guest RAM and sets up VP 0. On failure `error` holds the reason. */
static bool prepare_guest(struct vm *vm, const struct worker_config *config, uint64_t low_ram_bytes, char *error,
                          size_t error_bytes)
{
    struct loader_input input = {
        .host = vm->host,
        .memory_bytes = config->memory_bytes,
        .low_ram_bytes = low_ram_bytes,
        .high_ram_bytes = config->memory_bytes - low_ram_bytes,
        .kernel = {.bytes = config->kernel, .length = config->kernel_bytes},
        .initrd = {.bytes = config->initrd, .length = config->initrd == NULL ? 0 : config->initrd_bytes},
        .command_line = config->command_line == NULL ? "" : config->command_line,
    };
    struct loader_entry entry;
    struct loader_error loader_error = {.status = LOADER_OK};
    uint32_t failed_name = 0;
    hv_status_t status;

    if (!acpi_write_tables(vm->host, vm->vp_count, config->has_vmbus, &input.rsdp_gpa)) {
        fmt_snprintf(error, error_bytes, "cannot write the firmware tables into guest memory");
        return false;
    }
    if (!loader_load(&input, &entry, &loader_error)) {
        loader_describe_error(&loader_error, error, error_bytes);
        return false;
    }
    start_enable_caches(vm->host, vm->vp_count);
    status = start_first_vp(vm->host, &entry, &failed_name);
    if (status != HV_STATUS_SUCCESS) {
        fmt_snprintf(error, error_bytes, "cannot set the registers of the first VP (from 0x%x): status 0x%x",
                     failed_name, (unsigned int)status);
        return false;
    }
    return true;
}

/* A VP that waits for a start-up IPI has the flags of its reset. */
static bool has_interrupts_disabled(struct vm *vm, uint32_t vp_index)
{
    static const uint32_t name = HvX64RegisterRflags;
    union hv_register_value value;

    return host_get_vp_registers(vm->host, vp_index, &name, &value, 1) == HV_STATUS_SUCCESS &&
           (value.reg64 & X86_RFLAGS_IF) == 0;
}

/* Nothing can wake a VP: all are blocked with interrupts disabled, and no device has an NMI or INIT for them. */
static bool is_halted(struct vm *vm)
{
    bool is_halted = !ioapic_can_always_interrupt(&vm->ioapic);

    for (uint32_t i = 0; i < vm->vp_count && is_halted; i++) {
        is_halted = has_interrupts_disabled(vm, i);
    }
    return is_halted;
}

/* Ends a VM that was found halted twice, without a VP that ran in between: what was under way to one has come. */
static void look_for_halted(struct host_timer *timer)
{
    struct vm *vm = CONTAINER_OF(timer, struct vm, halted_look);
    uint64_t signals;

    host_vm_lock(vm->host);
    signals = host_blocked_signals(vm->host);
    if (signals != 0 && signals == vm->halted_signals) {
        vm_end(vm, HOST_VM_HALTED, 0);
    } else {
        vm->halted_signals = signals != 0 && is_halted(vm) ? signals : 0;
        host_timer_arm(timer, host_monotonic_100ns() + HALTED_LOOK_100NS);
    }
    host_vm_unlock(vm->host);
}

struct vm *worker_create(void *storage, struct host_vm *host, const struct worker_config *config, char *error,
                         size_t error_bytes)
{
    struct vm *vm = storage;
    struct worker_ram_range ranges[WORKER_RAM_RANGES_MAX];

    if (config->vp_count == 0 || config->vp_count > WORKER_VPS_MAX) {
        fmt_snprintf(error, error_bytes, "%u VPs are not possible: 1 to %u are", config->vp_count, WORKER_VPS_MAX);
        return NULL;
    }
    if (worker_ram_layout(config->memory_bytes, ranges) == 0) {
        fmt_snprintf(error, error_bytes, "%llu bytes of memory are not possible: 2 MiB to 1 TiB in pages of 4 KiB are",
                     (unsigned long long)config->memory_bytes);
        return NULL;
    }
    if (config->disk_count != 0 && !config->has_vmbus) {
        fmt_snprintf(error, error_bytes, "its disks need a VMBus, which is left out");
        return NULL;
    }
    memset(vm, 0, sizeof(*vm));
    vm->host = host;
    vm->vp_count = config->vp_count;
    vm->log_interval_start_100ns = host_monotonic_100ns();
    init_devices(vm);
    host_timer_init(&vm->halted_look, host, look_for_halted);
    screenshot_init(&vm->screenshot, host, &vm->bus.video, command_screenshot_sent);
    if (config->has_vmbus && !bus_create(&vm->bus, (uint8_t *)storage + bus_offset(), host, config)) {
        fmt_snprintf(error, error_bytes, "cannot make its VMBus");
        worker_destroy(vm);
        return NULL;
    }
    if (!prepare_guest(vm, config, ranges[0].length_bytes, error, error_bytes)) {
        worker_destroy(vm);
        return NULL;
    }
    host_timer_arm(&vm->halted_look, host_monotonic_100ns() + HALTED_LOOK_100NS);
    return vm;
}

void worker_destroy(struct vm *vm)
{
    host_timer_cancel(&vm->halted_look);
    screenshot_stop(&vm->screenshot);
    rtc_stop(&vm->rtc);
    acpi_pm_stop(&vm->acpi_pm);
    bus_destroy(&vm->bus, vm->host);
}

size_t worker_stream_input(struct vm *vm, enum host_stream stream, const void *bytes, size_t length_bytes)
{
    size_t taken = 0;

    if ((uint32_t)stream >= HOST_STREAM_COUNT) {
        return 0;
    }
    host_vm_lock(vm->host);
    taken = uart_input(&vm->uarts[stream], bytes, length_bytes);
    host_vm_unlock(vm->host);
    return taken;
}

void worker_stream_writable(struct vm *vm, enum host_stream stream)
{
    if ((uint32_t)stream >= HOST_STREAM_COUNT) {
        return;
    }
    host_vm_lock(vm->host);
    uart_stream_writable(&vm->uarts[stream]);
    host_vm_unlock(vm->host);
}

void worker_get_counters(struct vm *vm, struct worker_counters *counters)
{
    host_vm_lock(vm->host);
    *counters = vm->counters;
    host_vm_unlock(vm->host);
}
