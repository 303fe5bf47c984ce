/* SPDX-License-Identifier: MIT */
/*
 * Reads ELF executables (System V ABI, Object Files). Sections, symbols and
 * relocations do not matter to a loader.
 */
#include "partitions/root/worker/loader/elf.h"

#include "hv/lib/bytes.h"
#include "hv/lib/str.h"
#include "partitions/root/worker/loader/place.h"

/* File header; the offsets behind the entry differ with the class. */
#define ELF_CLASS          4u
#define ELF_DATA           5u
#define ELF_MACHINE        18u
#define ELF_ENTRY          24u
#define ELF_CLASS_32       1u
#define ELF_CLASS_64       2u
#define ELF_LITTLE_ENDIAN  1u
#define ELF_MACHINE_386    3u
#define ELF_MACHINE_X86_64 62u
#define ELF_IDENT_BYTES    16u

#define ELF32_PROGRAM_HEADERS 28u
#define ELF32_HEADER_SIZE     42u
#define ELF32_HEADER_COUNT    44u
#define ELF32_BYTES           52u
#define ELF32_SEGMENT_BYTES   32u

#define ELF64_PROGRAM_HEADERS 32u
#define ELF64_HEADER_SIZE     54u
#define ELF64_HEADER_COUNT    56u
#define ELF64_BYTES           64u
#define ELF64_SEGMENT_BYTES   56u

#define SEGMENT_LOAD 1u
#define SEGMENT_NOTE 4u

/* Note header: lengths of owner and value, type; owner and value are each padded to 4 bytes. */
#define NOTE_OWNER_BYTES  0u
#define NOTE_VALUE_BYTES  4u
#define NOTE_TYPE         8u
#define NOTE_HEADER_BYTES 12u
#define NOTE_ALIGNMENT    4u

static const uint8_t elf_magic[4] = {0x7F, 'E', 'L', 'F'};

bool elf_is_elf(const struct blob *file)
{
    return blob_has(file, 0, sizeof(elf_magic)) && memcmp(file->bytes, elf_magic, sizeof(elf_magic)) == 0;
}

static bool check_image(const struct blob *file, const struct elf_image *image, struct loader_error *error)
{
    uint32_t least = image->is_64 ? ELF64_SEGMENT_BYTES : ELF32_SEGMENT_BYTES;
    uint64_t headers_bytes = (uint64_t)image->header_count * image->header_bytes;

    if (image->header_count == 0) {
        return place_fail_header(error, "the number of ELF program headers", 0);
    }
    if (image->header_bytes < least) {
        return place_fail_header(error, "the size of an ELF program header", image->header_bytes);
    }
    if (image->header_count > ELF_SEGMENTS_MAX) {
        return place_fail(error, LOADER_TOO_MANY_SEGMENTS, image->header_count, ELF_SEGMENTS_MAX);
    }
    if (!blob_has(file, image->headers_offset, headers_bytes)) {
        uint64_t needed = image->headers_offset;

        if (!range_add_u64(needed, headers_bytes, &needed)) {
            return place_fail_header(error, "the offset of the ELF program headers", image->headers_offset);
        }
        return place_fail(error, LOADER_TRUNCATED, needed, file->length);
    }
    return true;
}

bool elf_parse(const struct blob *file, struct elf_image *image, struct loader_error *error)
{
    const uint8_t *bytes = file->bytes;

    if (!blob_has(file, 0, ELF_IDENT_BYTES)) {
        return place_fail(error, LOADER_TRUNCATED, ELF32_BYTES, file->length);
    }
    if (bytes[ELF_CLASS] != ELF_CLASS_32 && bytes[ELF_CLASS] != ELF_CLASS_64) {
        return place_fail_header(error, "the ELF class", bytes[ELF_CLASS]);
    }
    if (bytes[ELF_DATA] != ELF_LITTLE_ENDIAN) {
        return place_fail_header(error, "the ELF byte order", bytes[ELF_DATA]);
    }

    bool is_64 = bytes[ELF_CLASS] == ELF_CLASS_64;

    if (!blob_has(file, 0, is_64 ? ELF64_BYTES : ELF32_BYTES)) {
        return place_fail(error, LOADER_TRUNCATED, is_64 ? ELF64_BYTES : ELF32_BYTES, file->length);
    }

    uint32_t machine = get_u16(bytes + ELF_MACHINE);

    if (machine != ELF_MACHINE_386 && machine != ELF_MACHINE_X86_64) {
        return place_fail_header(error, "the ELF machine", machine);
    }
    *image = (struct elf_image){
        .is_64 = is_64,
        .entry = is_64 ? get_u64(bytes + ELF_ENTRY) : get_u32(bytes + ELF_ENTRY),
        .headers_offset = is_64 ? get_u64(bytes + ELF64_PROGRAM_HEADERS) : get_u32(bytes + ELF32_PROGRAM_HEADERS),
        .header_bytes = get_u16(bytes + (is_64 ? ELF64_HEADER_SIZE : ELF32_HEADER_SIZE)),
        .header_count = get_u16(bytes + (is_64 ? ELF64_HEADER_COUNT : ELF32_HEADER_COUNT)),
    };
    return check_image(file, image, error);
}

/* Program header `index`, which elf_parse has found to be inside the file. */
static struct elf_segment read_segment(const struct blob *file, const struct elf_image *image, uint32_t index)
{
    const uint8_t *header = file->bytes + image->headers_offset + (uint64_t)index * image->header_bytes;

    if (image->is_64) {
        return (struct elf_segment){
            .type = get_u32(header),
            .file_offset = get_u64(header + 8),
            .virtual_address = get_u64(header + 16),
            .physical_address = get_u64(header + 24),
            .file_bytes = get_u64(header + 32),
            .memory_bytes = get_u64(header + 40),
        };
    }
    return (struct elf_segment){
        .type = get_u32(header),
        .file_offset = get_u32(header + 4),
        .virtual_address = get_u32(header + 8),
        .physical_address = get_u32(header + 12),
        .file_bytes = get_u32(header + 16),
        .memory_bytes = get_u32(header + 20),
    };
}

static bool is_loadable(const struct elf_segment *segment)
{
    return segment->type == SEGMENT_LOAD && segment->memory_bytes != 0;
}

/* Looks for a note in one segment whose bytes are in the file. */
static bool find_note_in(const uint8_t *notes, uint64_t notes_bytes, const char *owner, uint32_t type, uint64_t *value)
{
    uint64_t owner_bytes_wanted = str_length(owner) + 1;
    uint64_t at = 0;

    /* Each turn moves on by a header at least. */
    while (notes_bytes - at >= NOTE_HEADER_BYTES) {
        uint64_t owner_bytes = get_u32(notes + at + NOTE_OWNER_BYTES);
        uint64_t value_bytes = get_u32(notes + at + NOTE_VALUE_BYTES);
        uint64_t padded_owner = (owner_bytes + NOTE_ALIGNMENT - 1) & ~(uint64_t)(NOTE_ALIGNMENT - 1);
        uint64_t padded_value = (value_bytes + NOTE_ALIGNMENT - 1) & ~(uint64_t)(NOTE_ALIGNMENT - 1);
        uint64_t owner_at = at + NOTE_HEADER_BYTES;
        uint64_t value_at = owner_at + padded_owner;

        if (!range_contains(0, notes_bytes, value_at, value_bytes)) {
            return false;
        }
        if (owner_bytes == owner_bytes_wanted && memcmp(notes + owner_at, owner, owner_bytes_wanted) == 0 &&
            get_u32(notes + at + NOTE_TYPE) == type && (value_bytes == 4 || value_bytes == 8)) {
            *value = value_bytes == 8 ? get_u64(notes + value_at) : get_u32(notes + value_at);
            return true;
        }
        at = MIN(value_at + padded_value, notes_bytes);
    }
    return false;
}

bool elf_find_note(const struct blob *file, const struct elf_image *image, const char *owner, uint32_t type,
                   uint64_t *value)
{
    for (uint32_t i = 0; i < image->header_count; i++) {
        struct elf_segment segment = read_segment(file, image, i);

        if (segment.type == SEGMENT_NOTE && blob_has(file, segment.file_offset, segment.file_bytes) &&
            find_note_in(file->bytes + segment.file_offset, segment.file_bytes, owner, type, value)) {
            return true;
        }
    }
    return false;
}

static bool check_segment(const struct loader_input *input, const struct elf_segment *segment,
                          struct loader_error *error)
{
    if (segment->file_bytes > segment->memory_bytes) {
        return place_fail_header(error, "the file size of an ELF segment", segment->file_bytes);
    }
    if (!blob_has(&input->kernel, segment->file_offset, segment->file_bytes)) {
        uint64_t needed = segment->file_offset;

        if (!range_add_u64(needed, segment->file_bytes, &needed)) {
            return place_fail_header(error, "the file offset of an ELF segment", segment->file_offset);
        }
        return place_fail(error, LOADER_TRUNCATED, needed, input->kernel.length);
    }
    return place_check_piece(input, segment->physical_address, segment->memory_bytes, error);
}

/* Checks each segment, and each pair of segments. */
static bool check_segments(const struct loader_input *input, const struct elf_image *image, uint64_t *end_gpa,
                           struct loader_error *error)
{
    *end_gpa = 0;
    for (uint32_t i = 0; i < image->header_count; i++) {
        struct elf_segment segment = read_segment(&input->kernel, image, i);

        if (!is_loadable(&segment)) {
            continue;
        }
        if (!check_segment(input, &segment, error)) {
            return false;
        }
        *end_gpa = MAX(*end_gpa, segment.physical_address + segment.memory_bytes);
        for (uint32_t j = 0; j < i; j++) {
            struct elf_segment other = read_segment(&input->kernel, image, j);

            if (is_loadable(&other) && range_overlaps(segment.physical_address, segment.memory_bytes,
                                                      other.physical_address, other.memory_bytes)) {
                return place_fail(error, LOADER_SEGMENTS_OVERLAP, MAX(segment.physical_address, other.physical_address),
                                  0);
            }
        }
    }
    if (*end_gpa == 0) {
        return place_fail_header(error, "the number of loadable ELF segments", 0);
    }
    return true;
}

bool elf_load(const struct loader_input *input, const struct elf_image *image, uint64_t *end_gpa,
              struct loader_error *error)
{
    if (!check_segments(input, image, end_gpa, error)) {
        return false;
    }
    for (uint32_t i = 0; i < image->header_count; i++) {
        struct elf_segment segment = read_segment(&input->kernel, image, i);

        if (!is_loadable(&segment)) {
            continue;
        }
        if (!place_write(input, segment.physical_address, input->kernel.bytes + segment.file_offset, segment.file_bytes,
                         error) ||
            !place_zero(input, segment.physical_address + segment.file_bytes, segment.memory_bytes - segment.file_bytes,
                        error)) {
            return false;
        }
    }
    return true;
}

bool elf_has_code_at(const struct blob *file, const struct elf_image *image, uint64_t gpa)
{
    for (uint32_t i = 0; i < image->header_count; i++) {
        struct elf_segment segment = read_segment(file, image, i);

        if (is_loadable(&segment) && range_contains_address(segment.physical_address, segment.file_bytes, gpa)) {
            return true;
        }
    }
    return false;
}

uint64_t elf_physical_address(const struct blob *file, const struct elf_image *image, uint64_t virtual_address)
{
    for (uint32_t i = 0; i < image->header_count; i++) {
        struct elf_segment segment = read_segment(file, image, i);

        if (is_loadable(&segment) &&
            range_contains_address(segment.virtual_address, segment.memory_bytes, virtual_address)) {
            return virtual_address - segment.virtual_address + segment.physical_address;
        }
    }
    return virtual_address;
}
