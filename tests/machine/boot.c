/* SPDX-License-Identifier: MIT */
/* What the fake machine's loader and firmware say. */
#include <stdlib.h>
#include <string.h>

#include "hv/boot/boot_option.h"
#include "hv/lib/str.h"
#include "tests/machine/machine.h"
#include "tests/machine/private.h"

static struct boot_info the_boot_info;
static struct acpi_info the_acpi_info;

void machine_reset_boot(void)
{
    memset(&the_boot_info, 0, sizeof(the_boot_info));
    (void)str_copy(the_boot_info.loader, "test", sizeof(the_boot_info.loader));
    the_boot_info.memory_count = 1;
    the_boot_info.memory[0] = (struct boot_memory){.start = 0, .bytes = MACHINE_RAM_BYTES, .type = BOOT_MEMORY_RAM};
    acpi_set_defaults(&the_acpi_info, 1);
}

struct boot_info *machine_boot_info(void)
{
    return &the_boot_info;
}

struct acpi_info *machine_acpi_info(void)
{
    return &the_acpi_info;
}

void machine_set_command_line(const char *command_line)
{
    if (str_copy(the_boot_info.command_line, command_line, sizeof(the_boot_info.command_line)) >=
        sizeof(the_boot_info.command_line)) {
        abort();
    }
}

const struct boot_info *boot_info(void)
{
    return &the_boot_info;
}

bool boot_option(const char *name, char *value, size_t size)
{
    return boot_option_find(the_boot_info.command_line, name, value, size);
}

const struct acpi_info *acpi_info(void)
{
    return &the_acpi_info;
}
