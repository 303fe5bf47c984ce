/* SPDX-License-Identifier: MIT */
/*
 * Linux bzImage through its 64-bit entry (Linux kernel documentation, The
 * Linux/x86 Boot Protocol). The real-mode part of the image is used for its
 * header only.
 */
#include "hv/lib/addr.h"
#include "hv/lib/bytes.h"
#include "hv/lib/str.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/loader/loader.h"
#include "partitions/root/worker/loader/place.h"

/* Offsets in the file, and in struct boot_params for the copied header. */
#define HEADER_SETUP_SECTORS       0x1F1u
#define HEADER_KERNEL_PARAGRAPHS   0x1F4u
#define HEADER_BOOT_FLAG           0x1FEu
#define HEADER_JUMP_DISTANCE       0x201u
#define HEADER_MAGIC               0x202u
#define HEADER_VERSION             0x206u
#define HEADER_LOADER_TYPE         0x210u
#define HEADER_LOAD_FLAGS          0x211u
#define HEADER_INITRD_ADDRESS      0x218u
#define HEADER_INITRD_BYTES        0x21Cu
#define HEADER_COMMAND_LINE        0x228u
#define HEADER_INITRD_LAST_ADDRESS 0x22Cu
#define HEADER_ALIGNMENT           0x230u
#define HEADER_X_LOAD_FLAGS        0x236u
#define HEADER_COMMAND_LINE_BYTES  0x238u
#define HEADER_PREFERRED_ADDRESS   0x258u
#define HEADER_INIT_BYTES          0x260u
/* Behind the last field that is read. */
#define HEADER_END                 0x264u
/* The header must not grow into what follows it in struct boot_params. */
#define HEADER_END_MAX             0x290u

/* Fields of struct boot_params outside the header. */
#define PARAMETERS_RSDP       0x070u
#define PARAMETERS_E820_COUNT 0x1E8u
#define PARAMETERS_E820_TABLE 0x2D0u
#define PARAMETERS_BYTES      0x1000u
#define E820_ENTRY_BYTES      20u

#define BOOT_FLAG              0xAA55u
#define MAGIC_BYTES            4u
#define VERSION_LOWEST         0x020Cu
#define LOAD_FLAG_HIGH         0x01u
#define LOAD_FLAG_CAN_USE_HEAP 0x80u
#define X_LOAD_FLAG_64         0x0001u
#define LOADER_TYPE_UNDEFINED  0xFFu
#define SECTOR_BYTES           512u
#define PARAGRAPH_BYTES        16u
/* What 0 means. */
#define SETUP_SECTORS_DEFAULT  4u
#define ENTRY_64_OFFSET        0x200u

/* Identity map of the low 4 GiB: one page of level 4, one of level 3, four of level 2 with 2 MiB pages. */
#define IDENTITY_DIRECTORIES   4u
#define TABLE_ENTRIES          512u
#define ENTRY_PRESENT_WRITABLE UINT64_C(0x03)
#define ENTRY_LARGE            UINT64_C(0x80)

/* The file taken apart. */
struct bzimage {
    const uint8_t *header; /* the file's first bytes */
    uint64_t header_end;   /* of what is copied to boot_params */
    uint64_t kernel_offset;
    uint64_t kernel_bytes;
    uint64_t load_gpa;
    uint64_t end_gpa; /* behind the memory that the kernel needs before it knows the memory map */
};

static bool has_magic(const struct blob *kernel)
{
    return blob_has(kernel, HEADER_MAGIC, MAGIC_BYTES) &&
           memcmp(kernel->bytes + HEADER_MAGIC, "HdrS", MAGIC_BYTES) == 0;
}

bool loader_is_bzimage(const struct blob *kernel)
{
    /* A bzImage that was cut inside its header still begins as its EFI stub does. */
    bool is_cut = kernel->length < HEADER_END && blob_has(kernel, 0, 2) && memcmp(kernel->bytes, "MZ", 2) == 0;

    return is_cut || (has_magic(kernel) && get_u16(kernel->bytes + HEADER_BOOT_FLAG) == BOOT_FLAG);
}

static bool parse_header(const struct blob *kernel, struct bzimage *image, struct loader_error *error)
{
    const uint8_t *header = kernel->bytes;

    if (!blob_has(kernel, 0, HEADER_END)) {
        return place_fail(error, LOADER_TRUNCATED, HEADER_END, kernel->length);
    }

    uint32_t version = get_u16(header + HEADER_VERSION);
    uint32_t setup_sectors = header[HEADER_SETUP_SECTORS] == 0 ? SETUP_SECTORS_DEFAULT : header[HEADER_SETUP_SECTORS];
    uint64_t needed_bytes;

    if (version < VERSION_LOWEST) {
        return place_fail(error, LOADER_OLD_PROTOCOL, version, VERSION_LOWEST);
    }
    if ((header[HEADER_LOAD_FLAGS] & LOAD_FLAG_HIGH) == 0) {
        return place_fail_header(error, "the load flags of the bzImage", header[HEADER_LOAD_FLAGS]);
    }
    if ((get_u16(header + HEADER_X_LOAD_FLAGS) & X_LOAD_FLAG_64) == 0) {
        return place_fail(error, LOADER_NO_64BIT_ENTRY, 0, 0);
    }
    image->header = header;
    image->header_end = HEADER_MAGIC + (uint64_t)header[HEADER_JUMP_DISTANCE];
    image->kernel_offset = (setup_sectors + 1u) * SECTOR_BYTES;
    image->kernel_bytes = (uint64_t)get_u32(header + HEADER_KERNEL_PARAGRAPHS) * PARAGRAPH_BYTES;
    needed_bytes = image->kernel_offset + image->kernel_bytes;
    if (image->header_end < HEADER_END || image->header_end > HEADER_END_MAX) {
        return place_fail_header(error, "the length of the bzImage header", image->header_end);
    }
    if (image->kernel_bytes <= ENTRY_64_OFFSET) {
        return place_fail_header(error, "the size of the kernel in the bzImage", image->kernel_bytes);
    }
    if (!blob_has(kernel, image->kernel_offset, image->kernel_bytes)) {
        return place_fail(error, LOADER_TRUNCATED, needed_bytes, kernel->length);
    }
    return true;
}

/* The kernel goes where it wants to be: one that is below moves up there before it unpacks, and needs that memory too.
 */
static bool choose_address(const struct loader_input *input, struct bzimage *image, struct loader_error *error)
{
    uint64_t alignment = get_u32(image->header + HEADER_ALIGNMENT);
    uint64_t needed = MAX((uint64_t)get_u32(image->header + HEADER_INIT_BYTES), image->kernel_bytes);

    if (!is_power_of_two_u64(alignment)) {
        return place_fail_header(error, "the kernel alignment of the bzImage", alignment);
    }
    image->load_gpa = get_u64(image->header + HEADER_PREFERRED_ADDRESS);
    if (!place_check_piece(input, image->load_gpa, needed, error)) {
        return false;
    }
    if (image->load_gpa < LAYOUT_EXTENDED_MEMORY_BASE) {
        return place_fail(error, LOADER_SEGMENT_OUTSIDE_RAM, image->load_gpa, needed);
    }
    image->end_gpa = image->load_gpa + needed;
    return true;
}

static bool write_e820(const struct loader_input *input, struct loader_error *error)
{
    struct memory_map_entry map[MEMORY_MAP_ENTRIES_MAX];
    uint32_t count = place_memory_map(input, map);
    uint8_t count_byte = (uint8_t)count;

    for (uint32_t i = 0; i < count; i++) {
        uint8_t entry[E820_ENTRY_BYTES];

        put_u64(entry, map[i].gpa);
        put_u64(entry + 8, map[i].length_bytes);
        put_u32(entry + 16, map[i].type);
        if (!place_write(input, LAYOUT_BOOT_PARAMETERS_GPA + PARAMETERS_E820_TABLE + i * E820_ENTRY_BYTES, entry,
                         sizeof(entry), error)) {
            return false;
        }
    }
    return place_write(input, LAYOUT_BOOT_PARAMETERS_GPA + PARAMETERS_E820_COUNT, &count_byte, 1, error);
}

/* The "zero page": all zero but the header of the image and what a loader has to fill in. */
static bool write_parameters(const struct loader_input *input, const struct bzimage *image, uint64_t initrd_gpa,
                             struct loader_error *error)
{
    uint64_t base = LAYOUT_BOOT_PARAMETERS_GPA;
    uint8_t loader[2] = {
        LOADER_TYPE_UNDEFINED,
        /* The heap is for the real-mode code, which does not run. */
        image->header[HEADER_LOAD_FLAGS] & (uint8_t)~LOAD_FLAG_CAN_USE_HEAP,
    };

    /* Addresses are below 4 GiB, so the ext_ fields for their upper halves stay zero. */
    return place_zero(input, base, PARAMETERS_BYTES, error) &&
           place_write(input, base + HEADER_SETUP_SECTORS, image->header + HEADER_SETUP_SECTORS,
                       image->header_end - HEADER_SETUP_SECTORS, error) &&
           place_write(input, base + HEADER_LOADER_TYPE, loader, sizeof(loader), error) &&
           place_write_u32(input, base + HEADER_INITRD_ADDRESS, (uint32_t)initrd_gpa, error) &&
           place_write_u32(input, base + HEADER_INITRD_BYTES, (uint32_t)input->initrd.length, error) &&
           place_write_u32(input, base + HEADER_COMMAND_LINE, (uint32_t)LAYOUT_COMMAND_LINE_GPA, error) &&
           place_write_u64(input, base + PARAMETERS_RSDP, input->rsdp_gpa, error) && write_e820(input, error);
}

/* Writes `count` page-table entries: the first is `first`, each further one is `step` more. */
static bool write_entries(const struct loader_input *input, uint64_t gpa, uint64_t first, uint64_t step, uint32_t count,
                          struct loader_error *error)
{
    uint8_t entries[64 * 8];
    uint32_t done = 0;

    while (done < count) {
        uint32_t piece = MIN(count - done, 64u);

        for (uint32_t i = 0; i < piece; i++) {
            put_u64(entries + 8u * i, first + step * (done + i));
        }
        if (!place_write(input, gpa + 8u * (uint64_t)done, entries, 8u * (uint64_t)piece, error)) {
            return false;
        }
        done += piece;
    }
    return true;
}

static bool write_page_tables(const struct loader_input *input, struct loader_error *error)
{
    uint64_t level4 = LAYOUT_PAGE_TABLES_GPA;
    uint64_t level3 = level4 + PAGE_SIZE;
    uint64_t level2 = level3 + PAGE_SIZE;

    return place_zero(input, level4, 2 * PAGE_SIZE, error) &&
           write_entries(input, level4, level3 | ENTRY_PRESENT_WRITABLE, 0, 1, error) &&
           write_entries(input, level3, level2 | ENTRY_PRESENT_WRITABLE, PAGE_SIZE, IDENTITY_DIRECTORIES, error) &&
           write_entries(input, level2, ENTRY_LARGE | ENTRY_PRESENT_WRITABLE, LARGE_PAGE_SIZE,
                         IDENTITY_DIRECTORIES * TABLE_ENTRIES, error);
}

bool loader_load_bzimage(const struct loader_input *input, struct loader_entry *entry, struct loader_error *error)
{
    struct bzimage image = {0};
    uint64_t initrd_gpa;

    if (!parse_header(&input->kernel, &image, error) || !choose_address(input, &image, error)) {
        return false;
    }

    uint64_t initrd_limit = (uint64_t)get_u32(image.header + HEADER_INITRD_LAST_ADDRESS) + 1;
    uint32_t command_line_limit = get_u32(image.header + HEADER_COMMAND_LINE_BYTES);

    if (!place_write(input, image.load_gpa, input->kernel.bytes + image.kernel_offset, image.kernel_bytes, error) ||
        !place_initrd(input, image.end_gpa, initrd_limit, &initrd_gpa, error) ||
        !place_command_line(input, command_line_limit, error) || !write_parameters(input, &image, initrd_gpa, error) ||
        !write_page_tables(input, error)) {
        return false;
    }
    *entry = (struct loader_entry){
        .mode = LOADER_MODE_64,
        .rip = image.load_gpa + ENTRY_64_OFFSET,
        .rsi = LAYOUT_BOOT_PARAMETERS_GPA,
    };
    return true;
}
