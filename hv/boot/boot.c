/* SPDX-License-Identifier: MIT */
/*
 * Keeps the one copy of what the boot loader said. The formats are multiboot.c's business. Runs before hv/mem has built
 * the final tables, so it sees the low 4 GiB through the provisional direct map.
 */
#include "hv/boot/boot.h"

#include "hv/boot/boot_option.h"
#include "hv/boot/memory_map.h"
#include "hv/boot/multiboot.h"
#include "hv/debug/debug.h"
#include "hv/mem/mem.h"

#define WHY_MAX 160

static struct boot_info the_info; /* [I] after boot_init() */

void boot_init(uint32_t magic, uint32_t information)
{
    const struct boot_window window = {.content = mem_from_spa(spa(0)), .start = 0, .bytes = GIB(4)};
    char why[WHY_MAX];

    if (!multiboot_parse(&window, magic, information, &the_info, why, sizeof(why))) {
        /* Options that were not reached yet are unknown: onstop= works only if the command line was read. */
        stop_machine("cannot boot: %s", why);
    }
    log_line("loader: %s, %u modules, options \"%s\"", the_info.loader, the_info.module_count, the_info.command_line);
    if (the_info.rsdp_bytes == 0 && !multiboot_scan_rsdp(&window, &the_info)) {
        log_line("no ACPI root pointer found");
    }
}

const struct boot_info *boot_info(void)
{
    return &the_info;
}

bool boot_option(const char *name, char *value, size_t size)
{
    return boot_option_find(the_info.command_line, name, value, size);
}
