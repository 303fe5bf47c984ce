/* SPDX-License-Identifier: MIT */
/* Keeps the one copy of what the ACPI tables say. Reading them is the business of hv/lib/acpi. */
#include "hv/boot/acpi.h"

#include "hv/boot/boot.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/irq/irq.h"
#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/mem/mem.h"

#define NAMES_MAX 200

_Static_assert(ACPI_CPU_MAX == CPU_MAX, "all processors of the tables are started");

static struct acpi_info the_info; /* [I] after acpi_init() */

/*
 * Through the provisional direct map. Tables above 4 GiB exist only on paper: firmware keeps them where 32 bits reach.
 */
static const void *provisional_at(void *context, uint64_t address, size_t bytes)
{
    (void)context;
    return range_contains(0, GIB(4), address, bytes) ? mem_from_spa(spa(address)) : NULL;
}

static void log_text(const char *line)
{
    log_line("%s", line);
}

static void log_tables(void)
{
    char names[NAMES_MAX] = "";

    for (uint32_t i = 0; i < the_info.table_count; i++) {
        (void)str_append(names, " ", sizeof(names));
        (void)str_append(names, the_info.tables[i].signature, sizeof(names));
    }
    log_line("ACPI: %s with%s; %u processors, %u IO-APICs", the_info.root_table_is_xsdt ? "XSDT" : "RSDT", names,
             the_info.cpu_count + the_info.cpu_ignored_count, the_info.ioapic_count);
}

void acpi_init(void)
{
    static const struct acpi_memory memory = {.at = provisional_at, .log = log_text};
    const struct boot_info *boot = boot_info();
    uint32_t boot_apic_id = lapic_id_by_cpuid();

    if (boot->rsdp_bytes == 0 || !acpi_parse(&memory, boot->rsdp_copy, boot->rsdp_bytes, boot_apic_id, &the_info)) {
        acpi_set_defaults(&the_info, boot_apic_id);
        log_line("ACPI: no tables; using one processor");
        return;
    }
    log_tables();
    if (the_info.cpu_ignored_count != 0) {
        log_line("ACPI: %u processors beyond %u are left out", the_info.cpu_ignored_count, CPU_MAX);
    }
}

const struct acpi_info *acpi_info(void)
{
    return &the_info;
}
