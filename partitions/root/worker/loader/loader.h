/* SPDX-License-Identifier: MIT */
/*
 * Loads a kernel into the RAM of a new VM. The image files are hostile: every
 * length and offset in them is checked before it is used.
 */
#ifndef LOADER_LOADER_H
#define LOADER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/range.h"

struct host_vm;

/* A file in the root's memory. */
struct blob {
    const uint8_t *bytes;
    uint64_t length;
};

/* The blob has `length` bytes at `offset`. */
static inline bool blob_has(const struct blob *blob, uint64_t offset, uint64_t length)
{
    return range_contains(0, blob->length, offset, length);
}

/* What is to be loaded, and into which machine. */
struct loader_input {
    struct host_vm *host;
    uint64_t memory_bytes;   /* as configured, for messages */
    uint64_t low_ram_bytes;  /* RAM from 0 */
    uint64_t high_ram_bytes; /* RAM from 4 GiB */
    uint64_t rsdp_gpa;
    struct blob kernel;
    struct blob initrd; /* bytes null when there is none */
    const char *command_line;
};

/* How the first VP begins. */
enum loader_mode {
    LOADER_MODE_64, /* long mode, the page tables of LAYOUT_PAGE_TABLES_GPA */
    LOADER_MODE_32, /* flat protected mode without paging */
};

/* Registers of the first VP; those not named here are zero. */
struct loader_entry {
    enum loader_mode mode;
    uint64_t rip;
    uint64_t rax;
    uint64_t rbx;
    uint64_t rsi;
};

/* Why a kernel cannot be loaded. The comments say what the numbers of struct loader_error are. */
enum loader_status {
    LOADER_OK,
    LOADER_NO_KERNEL,             /* no bytes at all */
    LOADER_UNKNOWN_FORMAT,        /* no magic number of a format that is known */
    LOADER_TRUNCATED,             /* file bytes that there have to be, file bytes that there are */
    LOADER_BAD_HEADER,            /* `what` makes no sense; its value */
    LOADER_OLD_PROTOCOL,          /* boot protocol version of the image, lowest that is served */
    LOADER_NO_64BIT_ENTRY,        /* the bzImage has only a 32-bit entry */
    LOADER_NO_ENTRY,              /* an ELF with neither a PVH note nor a Multiboot header */
    LOADER_ENTRY_OUTSIDE,         /* entry address outside all segments */
    LOADER_UNSUPPORTED_FLAGS,     /* Multiboot flags that ask for what does not exist here */
    LOADER_TOO_MANY_SEGMENTS,     /* program headers, most that are served */
    LOADER_SEGMENTS_OVERLAP,      /* address where two segments meet */
    LOADER_SEGMENT_OUTSIDE_RAM,   /* address and bytes of the segment */
    LOADER_NO_ROOM,               /* address behind the last byte that the kernel needs, bytes of memory */
    LOADER_INITRD_EMPTY,          /* an initrd without bytes */
    LOADER_INITRD_NO_ROOM,        /* its bytes, bytes of memory */
    LOADER_COMMAND_LINE_TOO_LONG, /* its bytes, most that the kernel takes */
    LOADER_MEMORY_FAILED,         /* guest RAM is not where it should be; its address */
};

/* A failure, with what is needed to explain it. */
struct loader_error {
    enum loader_status status;
    const char *what;
    uint64_t value;
    uint64_t limit;
};

/* Loads the kernel, whatever its format is. On failure *error says why and guest RAM holds anything. */
MUST_CHECK bool loader_load(const struct loader_input *input, struct loader_entry *entry, struct loader_error *error);

/* Writes one line for people; always terminated. */
void loader_describe_error(const struct loader_error *error, char *line, size_t line_bytes);

/* The formats. `loader_is_...` look at magic numbers only; the others assume that these said yes. */
bool loader_is_bzimage(const struct blob *kernel);
MUST_CHECK bool loader_load_bzimage(const struct loader_input *input, struct loader_entry *entry,
                                    struct loader_error *error);
struct elf_image;
MUST_CHECK bool loader_load_pvh(const struct loader_input *input, const struct elf_image *image, uint64_t entry_gpa,
                                struct loader_entry *entry, struct loader_error *error);
bool loader_is_multiboot1(const struct blob *kernel);
MUST_CHECK bool loader_load_multiboot1(const struct loader_input *input, struct loader_entry *entry,
                                       struct loader_error *error);

#endif
