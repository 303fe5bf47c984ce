/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PVH_FORMAT_H
#define PARTITION_PVH_FORMAT_H

/*
 * The PVH direct boot protocol: the ELF note that names the entry point and the start information that EBX points to
 * (Xen, docs/misc/pvh; public header start_info.h), and the parts of ELF64 that a loader reads (System V gABI, Object
 * Files).
 */

#include <stddef.h>
#include <stdint.h>

#define ELF_MAGIC              0x464c457fu
#define ELF_CLASS_64           2u
#define ELF_DATA_LITTLE_ENDIAN 1u
#define ELF_MACHINE_X86_64     62u
#define ELF_PT_LOAD            1u
#define ELF_PT_NOTE            4u

/* ELF64 file header. */
struct elf64_header {
    uint32_t magic;
    uint8_t file_class;
    uint8_t data;
    uint8_t version;
    uint8_t rsvd[9];
    uint16_t type;
    uint16_t machine;
    uint32_t version2;
    uint64_t entry;
    uint64_t program_offset;
    uint64_t section_offset;
    uint32_t flags;
    uint16_t header_bytes;
    uint16_t program_entry_bytes;
    uint16_t program_count;
    uint16_t section_entry_bytes;
    uint16_t section_count;
    uint16_t section_names;
};
_Static_assert(sizeof(struct elf64_header) == 64, "ELF header");

/* ELF64 program header. */
struct elf64_program {
    uint32_t type;
    uint32_t flags;
    uint64_t offset;
    uint64_t virtual_address;
    uint64_t physical_address;
    uint64_t file_bytes;
    uint64_t memory_bytes;
    uint64_t alignment;
};
_Static_assert(sizeof(struct elf64_program) == 56, "ELF program header");

/* ELF note header; name and contents follow, each padded to 4 bytes. */
struct elf64_note {
    uint32_t name_bytes;
    uint32_t content_bytes;
    uint32_t type;
};
_Static_assert(sizeof(struct elf64_note) == 12, "ELF note");

#define PVH_NOTE_PHYS32_ENTRY 18u
#define PVH_START_MAGIC       0x336ec578u
#define PVH_START_VERSION     1u

/* What EBX points to. */
struct pvh_start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t module_list_address;
    uint64_t command_line_address;
    uint64_t rsdp_address;
    uint64_t memory_map_address;
    uint32_t memory_map_count;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct pvh_start_info) == 56, "PVH start info");
_Static_assert(offsetof(struct pvh_start_info, memory_map_address) == 40, "PVH memory map");

/* One module. */
struct pvh_module {
    uint64_t address;
    uint64_t bytes;
    uint64_t command_line_address;
    uint64_t rsvd;
};
_Static_assert(sizeof(struct pvh_module) == 32, "PVH module");

/* One range of the memory map; types as in E820. */
struct pvh_memory {
    uint64_t address;
    uint64_t bytes;
    uint32_t type;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct pvh_memory) == 24, "PVH memory map entry");

#endif
