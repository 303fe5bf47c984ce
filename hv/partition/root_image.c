/* SPDX-License-Identifier: MIT */
#include "hv/partition/root_image.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/boot/boot.h"
#include "hv/debug/debug.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/mem/mem.h"
#include "hv/partition/pvh_format.h"
#include "hv/partition/root_memory.h"

/*
 * The root's image: checks and loads the ELF file of boot module 0, moves modules out of its way, writes the PVH start
 * information. Not here: the VP that starts it (root.c). Everything read here comes from outside and is checked before
 * use; what is wrong with it is said in one line, and the machine stops.
 */

#define PROGRAM_MAX     32u
#define ENTRY_LIMIT     GIB(4)
#define NOTE_ALIGNMENT  4u
/* Modules that the root sees: all but its own image. */
#define ROOT_MODULE_MAX (BOOT_MODULE_MAX - 1)
/* The hypervisor's range splits at most one range of RAM into three. */
#define MEMORY_MAX      (BOOT_MEMORY_MAX + 2)

/* The image while it is being loaded, and where each module is by now. */
struct image {
    const uint8_t *bytes;
    uint64_t size;
    struct elf64_program programs[PROGRAM_MAX];
    uint32_t program_count;
    uint64_t entry;
    struct root_memory_hole modules[BOOT_MODULE_MAX]; /* [0] is the image itself */
    uint32_t module_count;
};

/* What the root gets, in one block of its RAM. */
struct start_block {
    struct pvh_start_info info;
    struct pvh_module modules[ROOT_MODULE_MAX];
    struct pvh_memory memory[MEMORY_MAX];
    char command_lines[BOOT_MODULE_MAX][BOOT_COMMAND_LINE_MAX]; /* [0] is the root's own */
};

static struct image image; /* boot processor, boot only */

static void read_programs(void)
{
    struct elf64_header header;

    if (image.size < sizeof(header)) {
        stop_machine("root image: %llu bytes are too few for an ELF file", (unsigned long long)image.size);
    }
    memcpy(&header, image.bytes, sizeof(header));
    if (header.magic != ELF_MAGIC || header.file_class != ELF_CLASS_64 || header.data != ELF_DATA_LITTLE_ENDIAN ||
        header.machine != ELF_MACHINE_X86_64) {
        stop_machine(
            "root image: not an ELF file for x86-64 (module 0 must be minroot.elf or an uncompressed vmlinux)");
    }
    if (header.program_entry_bytes != sizeof(image.programs[0]) || header.program_count == 0 ||
        header.program_count > PROGRAM_MAX ||
        !range_contains(0, image.size, header.program_offset,
                        (uint64_t)header.program_count * sizeof(image.programs[0]))) {
        stop_machine("root image: program headers are missing, too many, or beyond the end of the file");
    }
    memcpy(image.programs, image.bytes + header.program_offset, header.program_count * sizeof(image.programs[0]));
    image.program_count = header.program_count;
    for (uint32_t i = 0; i < image.program_count; i++) {
        const struct elf64_program *program = &image.programs[i];

        if (!range_contains(0, image.size, program->offset, program->file_bytes) ||
            (program->type == ELF_PT_LOAD && program->memory_bytes < program->file_bytes)) {
            stop_machine("root image: segment %u lies beyond the end of the file (truncated?)", i);
        }
    }
}

/* The 32-bit entry point that a note segment names; 0: it names none. */
static uint64_t entry_in_notes(const uint8_t *bytes, uint64_t size)
{
    uint64_t at = 0;

    while (size - at >= sizeof(struct elf64_note)) {
        struct elf64_note note;
        uint64_t name = at + sizeof(note);
        uint64_t content;
        uint32_t entry;

        memcpy(&note, bytes + at, sizeof(note));
        content = name + align_up_u64(note.name_bytes, NOTE_ALIGNMENT);
        if (content > size || note.content_bytes > size - content) {
            return 0;
        }
        if (note.type == PVH_NOTE_PHYS32_ENTRY && note.name_bytes == sizeof("Xen") &&
            memcmp(bytes + name, "Xen", sizeof("Xen")) == 0 && note.content_bytes >= sizeof(entry)) {
            memcpy(&entry, bytes + content, sizeof(entry));
            return entry;
        }
        at = min_u64(content + align_up_u64(note.content_bytes, NOTE_ALIGNMENT), size);
    }
    return 0;
}

static void find_entry(void)
{
    for (uint32_t i = 0; i < image.program_count && image.entry == 0; i++) {
        const struct elf64_program *program = &image.programs[i];

        if (program->type == ELF_PT_NOTE) {
            image.entry = entry_in_notes(image.bytes + program->offset, program->file_bytes);
        }
    }
    if (image.entry == 0) {
        stop_machine("root image: no PVH entry point (ELF note \"Xen\", type 18)");
    }
}

static void check_segments(void)
{
    bool has_entry = false;

    for (uint32_t i = 0; i < image.program_count; i++) {
        const struct elf64_program *program = &image.programs[i];

        if (program->type != ELF_PT_LOAD || program->memory_bytes == 0) {
            continue;
        }
        if (!mem_is_root_ram(spa(program->physical_address), program->memory_bytes)) {
            stop_machine("root image: no free RAM for its segment at 0x%llx, %llu bytes",
                         (unsigned long long)program->physical_address, (unsigned long long)program->memory_bytes);
        }
        has_entry |= range_contains_address(program->physical_address, program->memory_bytes, image.entry);
    }
    if (!has_entry || image.entry >= ENTRY_LIMIT) {
        stop_machine("root image: its entry point 0x%llx is in none of its segments", (unsigned long long)image.entry);
    }
}

/* All of root RAM that is spoken for: the image's segments, the modules, the root pointer. */
static size_t collect_holes(struct root_memory_hole *holes)
{
    size_t count = 0;

    for (uint32_t i = 0; i < image.program_count; i++) {
        if (image.programs[i].type == ELF_PT_LOAD) {
            holes[count++] = (struct root_memory_hole){.start = image.programs[i].physical_address,
                                                       .bytes = image.programs[i].memory_bytes};
        }
    }
    for (uint32_t i = 0; i < image.module_count; i++) {
        holes[count++] = image.modules[i];
    }
    holes[count++] = (struct root_memory_hole){.start = boot_info()->rsdp.value, .bytes = boot_info()->rsdp_bytes};
    return count;
}

#define HOLE_MAX (PROGRAM_MAX + BOOT_MODULE_MAX + 1)

static bool is_in_the_way(const struct root_memory_hole *module)
{
    for (uint32_t i = 0; i < image.program_count; i++) {
        const struct elf64_program *program = &image.programs[i];

        if (program->type == ELF_PT_LOAD &&
            range_overlaps(program->physical_address, program->memory_bytes, module->start, module->bytes)) {
            return true;
        }
    }
    return false;
}

/* Moves every module that lies where the image is going to. */
static void move_modules(void)
{
    struct root_memory_hole holes[HOLE_MAX];

    for (uint32_t i = 0; i < image.module_count; i++) {
        struct root_memory_hole *module = &image.modules[i];
        uint64_t start;

        if (!is_in_the_way(module)) {
            continue;
        }
        if (!root_memory_find(holes, collect_holes(holes), module->bytes, &start)) {
            stop_machine("too little memory: no room to move module %u (%llu KiB) out of the root image's way", i,
                         (unsigned long long)(module->bytes >> 10));
        }
        memmove(mem_from_spa(spa(start)), mem_from_spa(spa(module->start)), module->bytes);
        module->start = start;
    }
    image.bytes = mem_from_spa(spa(image.modules[0].start));
}

static void load_segments(void)
{
    for (uint32_t i = 0; i < image.program_count; i++) {
        const struct elf64_program *program = &image.programs[i];

        if (program->type == ELF_PT_LOAD) {
            uint8_t *target = mem_from_spa(spa(program->physical_address));

            memcpy(target, image.bytes + program->offset, program->file_bytes);
            memset(target + program->file_bytes, 0, program->memory_bytes - program->file_bytes);
        }
    }
}

static void add_memory(struct start_block *block, uint64_t start, uint64_t end, uint32_t type)
{
    if (start < end) {
        block->memory[block->info.memory_map_count++] =
            (struct pvh_memory){.address = start, .bytes = end - start, .type = type};
    }
}

/* The machine's memory map, with the hypervisor's range as reserved. */
static void fill_memory_map(struct start_block *block)
{
    const struct boot_info *info = boot_info();
    uint64_t from = mem_reserved_range().start.value;
    uint64_t to = from + mem_reserved_range().bytes;

    for (uint32_t i = 0; i < info->memory_count; i++) {
        const struct boot_memory *memory = &info->memory[i];
        uint64_t end = memory->start + memory->bytes;

        if (memory->type != BOOT_MEMORY_RAM || !range_overlaps(memory->start, memory->bytes, from, to - from)) {
            add_memory(block, memory->start, end, memory->type);
            continue;
        }
        add_memory(block, memory->start, max_u64(memory->start, from), BOOT_MEMORY_RAM);
        add_memory(block, max_u64(memory->start, from), min_u64(end, to), BOOT_MEMORY_RESERVED);
        add_memory(block, min_u64(end, to), end, BOOT_MEMORY_RAM);
    }
}

static uint64_t write_start_info(void)
{
    const struct boot_info *info = boot_info();
    struct root_memory_hole holes[HOLE_MAX];
    struct start_block *block;
    uint64_t start;

    if (!root_memory_find(holes, collect_holes(holes), sizeof(*block), &start)) {
        stop_machine("too little memory: no room for the root's start information");
    }
    block = mem_from_spa(spa(start));
    memset(block, 0, sizeof(*block));
    block->info.magic = PVH_START_MAGIC;
    block->info.version = PVH_START_VERSION;
    block->info.module_list_address = start + offsetof(struct start_block, modules);
    block->info.command_line_address = start + offsetof(struct start_block, command_lines);
    block->info.rsdp_address = info->rsdp.value;
    block->info.memory_map_address = start + offsetof(struct start_block, memory);
    for (uint32_t i = 0; i < image.module_count; i++) {
        (void)str_copy(block->command_lines[i], info->modules[i].arguments, BOOT_COMMAND_LINE_MAX);
        if (i != 0) {
            block->modules[i - 1] = (struct pvh_module){
                .address = image.modules[i].start,
                .bytes = image.modules[i].bytes,
                .command_line_address = start + offsetof(struct start_block, command_lines) + i * BOOT_COMMAND_LINE_MAX,
            };
            block->info.module_count++;
        }
    }
    fill_memory_map(block);
    return start;
}

struct root_entry root_image_load(void)
{
    const struct boot_info *info = boot_info();
    uint64_t start_info;

    if (info->module_count == 0) {
        stop_machine("no root module: give the boot loader a root image as the first module");
    }
    image = (struct image){.module_count = info->module_count};
    for (uint32_t i = 0; i < info->module_count; i++) {
        image.modules[i] =
            (struct root_memory_hole){.start = info->modules[i].start.value, .bytes = info->modules[i].bytes};
        if (info->modules[i].bytes != 0 && !mem_is_root_ram(info->modules[i].start, info->modules[i].bytes)) {
            stop_machine("boot module %u lies outside of usable RAM", i);
        }
    }
    image.bytes = mem_from_spa(spa(image.modules[0].start));
    image.size = image.modules[0].bytes;
    read_programs();
    find_entry();
    check_segments();
    move_modules();
    load_segments();
    start_info = write_start_info();
    log_line("root: image of %llu KiB, entry 0x%llx, %u further modules", (unsigned long long)(image.size >> 10),
             (unsigned long long)image.entry, image.module_count - 1);
    return (struct root_entry){.entry = (uint32_t)image.entry, .start_info = (uint32_t)start_info};
}
