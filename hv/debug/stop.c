/* SPDX-License-Identifier: MIT */
/* Brings the machine to a stop. Why it stops, and what is printed before, is the caller's business. */
#include "hv/debug/stop.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include "hv/boot/boot.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/debug/log.h"
#include "hv/debug/uart.h"
#include "hv/irq/irq.h"
#include "hv/lib/str.h"

#define OPTION_MAX 32

static _Atomic bool is_stopping;

void stop_other_processors(void)
{
    atomic_store(&is_stopping, true);
    for (uint32_t i = 0; i < cpu_count(); i++) {
        const struct cpu *cpu = cpu_get(i);
        if (cpu != cpu_this()) {
            lapic_send_nmi(cpu->apic_id);
        }
    }
}

bool stop_is_wanted(void)
{
    return atomic_load(&is_stopping);
}

void stop_finally(uint8_t code)
{
    static const char bochs_word[] = "Shutdown";
    char value[OPTION_MAX];

    uart_drain();
    if (boot_option("onstop", value, sizeof(value)) && str_equal(value, "poweroff")) {
        outb(STOP_QEMU_PORT, code);
        for (const char *letter = bochs_word; *letter != '\0'; letter++) {
            outb(STOP_BOCHS_PORT, (uint8_t)*letter);
        }
    }
    cpu_halt_forever();
}

void stop_machine(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    irq_disable();
    stop_other_processors();
    log_line_unlocked_list(format, arguments);
    va_end(arguments);
    stop_finally(STOP_CODE_STOPPED);
}
