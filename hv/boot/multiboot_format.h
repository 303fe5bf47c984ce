/* SPDX-License-Identifier: MIT */
#ifndef BOOT_MULTIBOOT_FORMAT_H
#define BOOT_MULTIBOOT_FORMAT_H

/*
 * Numbers and layouts of the Multiboot specification 0.6.96 and the Multiboot2 specification 2.0; usable from assembly.
 */

#define MB1_HEADER_MAGIC       0x1badb002
#define MB1_HEADER_PAGE_ALIGN  0x00001    /* modules on page boundaries */
#define MB1_HEADER_MEMORY_INFO 0x00002    /* memory map wanted */
#define MB1_HEADER_ADDRESSES   0x10000    /* address fields are valid */
#define MB1_LOADER_MAGIC       0x2badb002 /* in EAX at entry */

#define MB1_INFO_COMMAND_LINE 0x004
#define MB1_INFO_MODULES      0x008
#define MB1_INFO_MEMORY_MAP   0x040
#define MB1_INFO_LOADER_NAME  0x200

#define MB2_HEADER_MAGIC            0xe85250d6
#define MB2_HEADER_I386             0
#define MB2_HEADER_TAG_END          0
#define MB2_HEADER_TAG_REQUEST      1
#define MB2_HEADER_TAG_MODULE_ALIGN 6
#define MB2_HEADER_TAG_OPTIONAL     1
#define MB2_LOADER_MAGIC            0x36d76289 /* in EAX at entry */

#define MB2_TAG_END          0
#define MB2_TAG_COMMAND_LINE 1
#define MB2_TAG_LOADER_NAME  2
#define MB2_TAG_MODULE       3
#define MB2_TAG_MEMORY_MAP   6
#define MB2_TAG_ACPI_OLD     14
#define MB2_TAG_ACPI_NEW     15

#ifndef __ASSEMBLER__

#include <stdint.h>

/* Multiboot1 information, up to the last field that is used here. */
struct mb1_info {
    uint32_t flags;
    uint32_t memory_lower_kib;
    uint32_t memory_upper_kib;
    uint32_t boot_device;
    uint32_t command_line;
    uint32_t module_count;
    uint32_t modules;
    uint32_t symbols[4];
    uint32_t memory_map_bytes;
    uint32_t memory_map;
    uint32_t drives_bytes;
    uint32_t drives;
    uint32_t config_table;
    uint32_t loader_name;
};

/* Multiboot1 module entry. */
struct mb1_module {
    uint32_t start;
    uint32_t end;
    uint32_t string;
    uint32_t rsvd;
};

/* Multiboot1 memory-map entry; the next one is size + 4 bytes on. */
struct mb1_memory {
    uint32_t size;
    uint32_t base_low, base_high;
    uint32_t bytes_low, bytes_high;
    uint32_t type;
};

/* Start of the Multiboot2 information. */
struct mb2_info {
    uint32_t total_bytes;
    uint32_t rsvd;
};

/* Start of a Multiboot2 tag; `bytes` includes this. The next tag is at the next multiple of 8. */
struct mb2_tag {
    uint32_t type;
    uint32_t bytes;
};

/* Start of a module tag's payload; a string follows. */
struct mb2_module {
    uint32_t start;
    uint32_t end;
};

/* Start of a memory-map tag's payload; entries of entry_bytes follow. */
struct mb2_memory_map {
    uint32_t entry_bytes;
    uint32_t entry_version;
};

/* A memory-map entry. */
struct mb2_memory {
    uint64_t base;
    uint64_t bytes;
    uint32_t type;
    uint32_t rsvd;
};

_Static_assert(sizeof(struct mb1_info) == 68, "Multiboot1 information");
_Static_assert(sizeof(struct mb1_memory) == 24, "Multiboot1 memory-map entry");
_Static_assert(sizeof(struct mb2_memory) == 24, "Multiboot2 memory-map entry");

#endif

#endif
