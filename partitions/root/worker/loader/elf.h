/* SPDX-License-Identifier: MIT */
/* ELF executables of 32 and 64 bits for x86: headers, segments, notes. */
#ifndef LOADER_ELF_H
#define LOADER_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "partitions/root/worker/loader/loader.h"

/* Program headers that are looked at. Kernels have fewer than ten. */
#define ELF_SEGMENTS_MAX 64u

/* What the file header says, checked against the file's length. */
struct elf_image {
    bool is_64;
    uint64_t entry;
    uint64_t headers_offset;
    uint32_t header_bytes; /* distance between program headers */
    uint32_t header_count;
};

/* One program header. */
struct elf_segment {
    uint32_t type;
    uint64_t file_offset;
    uint64_t virtual_address;
    uint64_t physical_address;
    uint64_t file_bytes;
    uint64_t memory_bytes;
};

bool elf_is_elf(const struct blob *file);

/* Reads the file header. */
MUST_CHECK bool elf_parse(const struct blob *file, struct elf_image *image, struct loader_error *error);

/*
 * Looks for a note by owner and type in the note segments; false when there is
 * none. *value is its first 4 or 8 bytes.
 */
MUST_CHECK bool elf_find_note(const struct blob *file, const struct elf_image *image, const char *owner, uint32_t type,
                              uint64_t *value);

/*
 * Checks all loadable segments and then copies them to guest RAM. *end_gpa is
 * behind the highest byte in use.
 */
MUST_CHECK bool elf_load(const struct loader_input *input, const struct elf_image *image, uint64_t *end_gpa,
                         struct loader_error *error);

/* The physical address is inside a loadable segment's file bytes. */
bool elf_has_code_at(const struct blob *file, const struct elf_image *image, uint64_t gpa);

/* The physical address of a virtual one in a loadable segment; the address itself when it is in none. */
uint64_t elf_physical_address(const struct blob *file, const struct elf_image *image, uint64_t virtual_address);

#endif
