/* SPDX-License-Identifier: MIT */
/* The machine that a worker serves: its devices, and the services that they share. */
#ifndef WORKER_VM_H
#define WORKER_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "partitions/root/worker/bus.h"
#include "partitions/root/worker/command.h"
#include "partitions/root/worker/dev/acpi_pm.h"
#include "partitions/root/worker/dev/ioapic.h"
#include "partitions/root/worker/dev/rtc.h"
#include "partitions/root/worker/dev/uart16550.h"
#include "partitions/root/worker/mmio.h"
#include "partitions/root/worker/pio.h"
#include "partitions/root/worker/screenshot.h"
#include "vmbus/host.h"

/* Log lines that a guest may cause per VM and interval. */
#define VM_LOG_LINES_PER_INTERVAL 10u
#define VM_LOG_INTERVAL_100NS     UINT64_C(100000000)

/* One VM of the model "direct boot machine". Protected by the VM's lock where nothing else is said. */
struct vm {
    struct host_vm *host;    /* [I] */
    uint32_t vp_count;       /* [I] */
    bool has_ended;          /* [a] */
    uint32_t log_line_count; /* in the interval that began at log_interval_start_100ns */
    uint32_t log_lines_dropped;
    uint64_t log_interval_start_100ns;
    struct pio_space pio;   /* [I] */
    struct mmio_space mmio; /* [I] */
    struct ioapic ioapic;
    struct uart16550 uarts[HOST_STREAM_COUNT];
    struct rtc rtc;
    struct acpi_pm acpi_pm;
    struct host_timer halted_look;
    uint64_t halted_signals; /* host_blocked_signals() when the VM was last found halted; 0: it was not */
    struct bus bus;
    struct command command;
    struct screenshot screenshot;
    struct worker_counters counters;
};

/*
 * Ends the VM, unless it has ended already: kicks its VPs and tells the host.
 * The caller holds the lock and has logged what people need to know.
 */
void vm_end(struct vm *vm, enum host_vm_end reason, uint32_t status);

/* Logs a line that a guest caused, if not too many came before. The caller holds the lock. */
void vm_log(struct vm *vm, enum host_log_level level, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
