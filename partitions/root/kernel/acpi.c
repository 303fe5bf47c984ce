/* SPDX-License-Identifier: MIT */
/* What minroot needs of the ACPI tables: processors, the first UART's interrupt, the way to switch off. Reading them is
 * the business of hv/lib/acpi. */
#include "hv/lib/acpi/acpi_tables.h"

#include "partitions/root/kernel/arch.h"
#include "partitions/root/kernel/boot.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/memory.h"

#define RSDP_BYTES     36u
#define ISA_UART_IRQ   4u
#define CPUID_FEATURES 1u
#define CPUID_TOPOLOGY 0xBu

_Static_assert(ACPI_CPU_MAX == KERNEL_CPU_MAX, "all processors of the tables are started");

static const void *mapped_at(void *context, uint64_t address, size_t bytes)
{
    (void)context;
    return memory_map(address, bytes, 0) ? (const void *)address : NULL;
}

static void log_text(const char *line)
{
    console_progress("minroot: %s", line);
}

static const struct acpi_memory memory = {.at = mapped_at, .log = log_text};
static struct acpi_info info;
static struct power_off power;

static uint32_t own_apic_id(void)
{
    if (cpuid(0).eax >= CPUID_TOPOLOGY && cpuid(CPUID_TOPOLOGY).ebx != 0) {
        return cpuid(CPUID_TOPOLOGY).edx;
    }
    return cpuid(CPUID_FEATURES).ebx >> 24;
}

void acpi_init(uint64_t rsdp)
{
    const uint8_t *pointer = rsdp == 0 ? NULL : mapped_at(NULL, rsdp, RSDP_BYTES);

    acpi_set_defaults(&info, own_apic_id());
    if (pointer != NULL && acpi_parse(&memory, pointer, RSDP_BYTES, own_apic_id(), &info) &&
        acpi_find_sleep_types(&memory, &info, &power.pm1a_sleep_type, &power.pm1b_sleep_type)) {
        power.pm1a_control = info.pm1a_control_port;
        power.pm1b_control = info.pm1b_control_port;
    }
}

const struct acpi_info *acpi_info(void)
{
    return &info;
}

struct power_off acpi_power_off(void)
{
    return power;
}

struct uart_route acpi_uart_route(void)
{
    struct uart_route route = {0};
    uint32_t gsi = ISA_UART_IRQ;
    uint32_t base = 0;

    for (uint32_t i = 0; i < info.override_count; i++) {
        const struct acpi_override *override = &info.overrides[i];

        if (override->source == ISA_UART_IRQ) {
            gsi = override->gsi;
            route.is_active_low = (override->flags & ACPI_POLARITY_MASK) == ACPI_POLARITY_LOW;
            route.is_level = (override->flags & ACPI_TRIGGER_MASK) == ACPI_TRIGGER_LEVEL;
        }
    }
    for (uint32_t i = 0; i < info.ioapic_count; i++) {
        const struct acpi_ioapic *ioapic = &info.ioapics[i];

        if (ioapic->gsi_base <= gsi && ioapic->gsi_base >= base) {
            base = ioapic->gsi_base;
            route.ioapic = ioapic->address;
            route.ioapic_id = ioapic->id;
            route.pin = gsi - base;
        }
    }
    return route;
}
