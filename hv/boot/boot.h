/* SPDX-License-Identifier: MIT */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

/*
 * What the boot loader gave us, in one form for Multiboot1 and Multiboot2; copied before the root's memory is handed
 * out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

#define BOOT_MEMORY_MAX       128
#define BOOT_MODULE_MAX       32
#define BOOT_COMMAND_LINE_MAX 2048
#define BOOT_LOADER_MAX       64
#define BOOT_RSDP_MAX         36

/* Memory types as in E820. */
enum boot_memory_type {
    BOOT_MEMORY_RAM = 1,
    BOOT_MEMORY_RESERVED = 2,
    BOOT_MEMORY_ACPI = 3,
    BOOT_MEMORY_NVS = 4,
    BOOT_MEMORY_BAD = 5,
};

/* One range of the machine's memory map. */
struct boot_memory {
    uint64_t start;
    uint64_t bytes;
    uint32_t type; /* enum boot_memory_type */
};

/*
 * One boot module: where it lies (root RAM) and its argument string, without a file name: QEMU, which passes one in
 * front, has its first word taken away; GRUB passes none.
 */
struct boot_module {
    spa_t start;
    uint64_t bytes;
    char arguments[BOOT_COMMAND_LINE_MAX];
};

/* Everything the loader said. [I] after boot */
struct boot_info {
    char loader[BOOT_LOADER_MAX];
    char command_line[BOOT_COMMAND_LINE_MAX]; /* without a file name, like module arguments */
    uint32_t memory_count;
    struct boot_memory memory[BOOT_MEMORY_MAX]; /* sorted, not overlapping */
    uint32_t module_count;
    struct boot_module modules[BOOT_MODULE_MAX];
    spa_t rsdp;          /* where it lay: firmware memory, or a copy of the loader's in root RAM; 0: none found */
    uint32_t rsdp_bytes; /* 20 or 36; 0: none found */
    uint8_t rsdp_copy[BOOT_RSDP_MAX]; /* its content; not checked yet */
};

/* The one copy. */
const struct boot_info *boot_info(void);

/*
 * Copies what the loader handed over; stops with a line if it is unusable. Boot processor, first, with provisional
 * tables.
 */
void boot_init(uint32_t magic, uint32_t information);

/* Value of "name=value" on the hypervisor's command line into `value` (size bytes, NUL-terminated); false if absent. */
MUST_CHECK bool boot_option(const char *name, char *value, size_t size);

#endif
