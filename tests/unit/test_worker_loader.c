/* SPDX-License-Identifier: MIT */
/* The kernel loaders: good images of each format, each corruption that has a name, and arbitrary damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/loader/loader.h"
#include "tests/unit/fake_host.h"

#define MEBIBYTE     UINT64_C(0x100000)
#define RAM_BYTES    (64 * MEBIBYTE)
#define RSDP_GPA     UINT64_C(0xE0000)
#define BOOT_GPA     LAYOUT_BOOT_PARAMETERS_GPA
#define INITRD_BYTES 5000u

/* An image that is being put together. The bytes are allocated with their exact size, for the sanitizer. */
struct image {
    uint8_t *bytes;
    size_t length;
};

/* One load and what came of it. */
struct bench {
    struct host_vm *host;
    struct loader_input input;
    struct loader_entry entry;
    struct loader_error error;
};

static struct bench bench;
static uint8_t initrd[INITRD_BYTES];

static int setup(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bench.host = fake_host_create(RAM_BYTES);
    for (size_t i = 0; i < sizeof(initrd); i++) {
        initrd[i] = (uint8_t)(i * 7 + 1);
    }
    memcpy(initrd, "070701", 6);
    bench.input = (struct loader_input){
        .host = bench.host,
        .memory_bytes = RAM_BYTES,
        .low_ram_bytes = RAM_BYTES,
        .rsdp_gpa = RSDP_GPA,
        .initrd = {.bytes = initrd, .length = sizeof(initrd)},
        .command_line = "console=ttyS0 quiet",
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_host_destroy(bench.host);
    return 0;
}

static struct image image_create(size_t length)
{
    struct image image = {.bytes = calloc(1, length == 0 ? 1 : length), .length = length};

    assert_non_null(image.bytes);
    return image;
}

static bool load(const struct image *image)
{
    bench.input.kernel = (struct blob){.bytes = image->bytes, .length = image->length};
    memset(&bench.error, 0, sizeof(bench.error));
    return loader_load(&bench.input, &bench.entry, &bench.error);
}

static void expect_loaded(const struct image *image)
{
    if (!load(image)) {
        char line[200];

        loader_describe_error(&bench.error, line, sizeof(line));
        fail_msg("not loaded: %s", line);
    }
}

/* The load fails for this reason, and the reason can be put into words that contain `words`. */
static void expect_failure(const struct image *image, enum loader_status status, const char *words)
{
    char line[200];

    assert_false(load(image));
    loader_describe_error(&bench.error, line, sizeof(line));
    if (bench.error.status != status || strstr(line, words) == NULL) {
        fail_msg("status %d instead of %d: %s", (int)bench.error.status, (int)status, line);
    }
}

static const uint8_t *ram(uint64_t gpa)
{
    return bench.host->ram + gpa;
}

/* Where an initrd of this length has to be in RAM of this size. */
static uint64_t initrd_gpa_for(uint64_t end_gpa)
{
    return (end_gpa - INITRD_BYTES) & ~UINT64_C(0xFFF);
}

/* ---- bzImage ------------------------------------------------------------ */

#define SETUP_SECTORS 3u
#define KERNEL_OFFSET ((SETUP_SECTORS + 1u) * 512u)
#define KERNEL_BYTES  0x3000u

static struct image make_bzimage(void)
{
    struct image image = image_create(KERNEL_OFFSET + KERNEL_BYTES + 100);

    for (size_t i = 0; i < KERNEL_BYTES; i++) {
        image.bytes[KERNEL_OFFSET + i] = (uint8_t)(i * 13 + 5);
    }
    memcpy(image.bytes, "MZ", 2);
    image.bytes[0x1F1] = SETUP_SECTORS;
    put_u32(image.bytes + 0x1F4, KERNEL_BYTES / 16);
    put_u16(image.bytes + 0x1FE, 0xAA55);
    image.bytes[0x200] = 0xEB;
    image.bytes[0x201] = 0x6A;
    memcpy(image.bytes + 0x202, "HdrS", 4);
    put_u16(image.bytes + 0x206, 0x020F);
    image.bytes[0x211] = 0x81;
    put_u32(image.bytes + 0x22C, 0x7FFFFFFF);
    put_u32(image.bytes + 0x230, 0x200000);
    image.bytes[0x234] = 1;
    put_u16(image.bytes + 0x236, 0x007F);
    put_u32(image.bytes + 0x238, 2047);
    put_u64(image.bytes + 0x258, 16 * MEBIBYTE);
    put_u32(image.bytes + 0x260, 0x500000);
    return image;
}

static void check_page_tables(void)
{
    uint64_t level4 = LAYOUT_PAGE_TABLES_GPA;

    assert_int_equal(get_u64(ram(level4)), (level4 + 0x1000) | 3);
    assert_int_equal(get_u64(ram(level4 + 8)), 0);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(get_u64(ram(level4 + 0x1000 + 8 * i)), (level4 + 0x2000 + 0x1000 * i) | 3);
    }
    assert_int_equal(get_u64(ram(level4 + 0x1000 + 32)), 0);
    for (uint64_t i = 0; i < 2048; i++) {
        assert_int_equal(get_u64(ram(level4 + 0x2000 + 8 * i)), (i << 21) | 0x83);
    }
}

static void check_e820(uint64_t high_bytes)
{
    const uint8_t *table = ram(BOOT_GPA + 0x2D0);
    uint32_t count = *ram(BOOT_GPA + 0x1E8);
    uint64_t end = 0;

    assert_int_equal(count, high_bytes == 0 ? 3 : 4);
    for (uint32_t i = 0; i < count; i++) {
        /* Sorted, without overlap. */
        assert_true(get_u64(table + 20 * i) >= end);
        end = get_u64(table + 20 * i) + get_u64(table + 20 * i + 8);
    }
    assert_int_equal(get_u64(table), 0);
    assert_int_equal(get_u64(table + 8), 0xA0000);
    assert_int_equal(get_u32(table + 16), 1);
    assert_int_equal(get_u64(table + 20), 0xE0000);
    assert_int_equal(get_u64(table + 28), 0x20000);
    assert_int_equal(get_u32(table + 36), 2);
    assert_int_equal(get_u64(table + 40), MEBIBYTE);
    assert_int_equal(get_u64(table + 48), bench.input.low_ram_bytes - MEBIBYTE);
    assert_int_equal(get_u32(table + 56), 1);
    if (high_bytes != 0) {
        assert_int_equal(get_u64(table + 60), UINT64_C(0x100000000));
        assert_int_equal(get_u64(table + 68), high_bytes);
        assert_int_equal(get_u32(table + 76), 1);
    }
}

static void test_bzimage(void **state)
{
    struct image image = make_bzimage();
    const uint8_t *parameters = ram(BOOT_GPA);

    (void)state;
    bench.host->is_ram_fragmented = true;
    memset(bench.host->ram + BOOT_GPA, 0xCC, 0x1000);
    expect_loaded(&image);
    assert_int_equal(bench.entry.mode, LOADER_MODE_64);
    assert_int_equal(bench.entry.rip, 16 * MEBIBYTE + 0x200);
    assert_int_equal(bench.entry.rsi, BOOT_GPA);
    assert_memory_equal(ram(16 * MEBIBYTE), image.bytes + KERNEL_OFFSET, KERNEL_BYTES);
    /* The header is copied, then filled in. */
    assert_int_equal(parameters[0x1F1], SETUP_SECTORS);
    assert_memory_equal(parameters + 0x200, image.bytes + 0x200, 0x10);
    assert_int_equal(parameters[0x210], 0xFF);
    assert_int_equal(parameters[0x211], 0x01);
    assert_int_equal(get_u32(parameters + 0x218), initrd_gpa_for(RAM_BYTES));
    assert_int_equal(get_u32(parameters + 0x21C), INITRD_BYTES);
    assert_memory_equal(ram(initrd_gpa_for(RAM_BYTES)), initrd, INITRD_BYTES);
    assert_int_equal(get_u32(parameters + 0x228), LAYOUT_COMMAND_LINE_GPA);
    assert_string_equal((const char *)ram(LAYOUT_COMMAND_LINE_GPA), "console=ttyS0 quiet");
    assert_int_equal(get_u32(parameters + 0x22C), 0x7FFFFFFF);
    assert_int_equal(get_u32(parameters + 0x260), 0x500000);
    /* Everything else is zero. */
    assert_int_equal(get_u64(parameters + 0x070), RSDP_GPA);
    assert_int_equal(get_u32(parameters + 0x0C0), 0);
    assert_int_equal(get_u32(parameters + 0x0C4), 0);
    assert_int_equal(get_u32(parameters + 0x0C8), 0);
    assert_int_equal(parameters[0x1EF], 0);
    assert_int_equal(get_u32(parameters), 0);
    assert_int_equal(get_u32(parameters + 0x290), 0);
    check_page_tables();
    check_e820(0);
    assert_int_equal(bench.host->log_lines, 0);
    free(image.bytes);
}

static void test_bzimage_without_initrd(void **state)
{
    struct image image = make_bzimage();

    (void)state;
    bench.input.initrd = (struct blob){0};
    bench.input.command_line = "";
    bench.input.high_ram_bytes = 5 * MEBIBYTE;
    image.bytes[0x1F1] = 0;
    /* Zero setup sectors mean four, so the kernel is one sector further on. */
    image.bytes = realloc(image.bytes, image.length + 512);
    assert_non_null(image.bytes);
    memmove(image.bytes + KERNEL_OFFSET + 512, image.bytes + KERNEL_OFFSET, KERNEL_BYTES);
    image.length += 512;
    expect_loaded(&image);
    assert_memory_equal(ram(16 * MEBIBYTE), image.bytes + KERNEL_OFFSET + 512, KERNEL_BYTES);
    assert_int_equal(get_u32(ram(BOOT_GPA + 0x218)), 0);
    assert_int_equal(get_u32(ram(BOOT_GPA + 0x21C)), 0);
    assert_int_equal(*ram(LAYOUT_COMMAND_LINE_GPA), 0);
    check_e820(5 * MEBIBYTE);
    free(image.bytes);
}

static void test_bzimage_places(void **state)
{
    struct image image = make_bzimage();

    (void)state;
    /* The preferred place is outside RAM: a lower one would not help, since the kernel moves up there. */
    bench.input.low_ram_bytes = 16 * MEBIBYTE;
    expect_failure(&image, LOADER_NO_ROOM, "does not fit in memory of 64 MiB");
    bench.input.memory_bytes = 20 * MEBIBYTE;
    expect_failure(&image, LOADER_NO_ROOM, "memory of 20 MiB: it needs 21 MiB");
    /* The initrd ends where the kernel says. */
    bench.input.low_ram_bytes = RAM_BYTES;
    put_u32(image.bytes + 0x22C, 0x1FFFFFF);
    expect_loaded(&image);
    assert_int_equal(get_u32(ram(BOOT_GPA + 0x218)), initrd_gpa_for(32 * MEBIBYTE));
    put_u32(image.bytes + 0x22C, 0x14FFFFF);
    expect_failure(&image, LOADER_INITRD_NO_ROOM, "initrd of 1 MiB does not fit");
    put_u32(image.bytes + 0x22C, 100);
    expect_failure(&image, LOADER_INITRD_NO_ROOM, "initrd");
    free(image.bytes);
}

static void test_bzimage_corrupt(void **state)
{
    struct image image = make_bzimage();
    size_t length = image.length;
    char long_line[2049];

    (void)state;
    put_u16(image.bytes + 0x206, 0x020B);
    expect_failure(&image, LOADER_OLD_PROTOCOL, "protocol 0x20b, needed is 0x20c");
    put_u16(image.bytes + 0x206, 0x020C);
    image.bytes[0x211] = 0x80;
    expect_failure(&image, LOADER_BAD_HEADER, "load flags");
    image.bytes[0x211] = 0x01;
    put_u16(image.bytes + 0x236, 0x007E);
    expect_failure(&image, LOADER_NO_64BIT_ENTRY, "no 64-bit entry");
    put_u16(image.bytes + 0x236, 0x0001);
    image.bytes[0x201] = 0x10;
    expect_failure(&image, LOADER_BAD_HEADER, "length of the bzImage header");
    image.bytes[0x201] = 0xFF;
    expect_failure(&image, LOADER_BAD_HEADER, "length of the bzImage header");
    image.bytes[0x201] = 0x8E;
    put_u32(image.bytes + 0x230, 0);
    expect_failure(&image, LOADER_BAD_HEADER, "alignment");
    put_u32(image.bytes + 0x230, 0x300000);
    expect_failure(&image, LOADER_BAD_HEADER, "alignment");
    put_u32(image.bytes + 0x230, 0x200000);
    put_u64(image.bytes + 0x258, UINT64_MAX - 5);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "at 0xfffffffffffffffa");
    put_u64(image.bytes + 0x258, 0x40000);
    put_u32(image.bytes + 0x260, 0);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "at 0x40000");
    put_u64(image.bytes + 0x258, 16 * MEBIBYTE);
    put_u32(image.bytes + 0x260, 0xFFFFFFFF);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "no usable RAM");
    put_u32(image.bytes + 0x260, 0);
    expect_loaded(&image);
    /* Sizes. */
    put_u32(image.bytes + 0x1F4, 0xFFFFFFFF);
    expect_failure(&image, LOADER_TRUNCATED, "truncated");
    put_u32(image.bytes + 0x1F4, 0x20);
    expect_failure(&image, LOADER_BAD_HEADER, "size of the kernel");
    put_u32(image.bytes + 0x1F4, KERNEL_BYTES / 16);
    image.length = KERNEL_OFFSET + KERNEL_BYTES - 1;
    expect_failure(&image, LOADER_TRUNCATED, "it has 14335 bytes and needs 14336");
    image.length = 0x263;
    expect_failure(&image, LOADER_TRUNCATED, "it has 611 bytes and needs 612");
    image.length = 0x100;
    expect_failure(&image, LOADER_TRUNCATED, "it has 256 bytes");
    image.length = 2;
    expect_failure(&image, LOADER_TRUNCATED, "it has 2 bytes");
    image.length = 1;
    expect_failure(&image, LOADER_UNKNOWN_FORMAT, "neither");
    image.length = 0;
    expect_failure(&image, LOADER_NO_KERNEL, "no kernel");
    image.length = length;
    image.bytes[0x202] = 'h';
    expect_failure(&image, LOADER_UNKNOWN_FORMAT, "neither a bzImage nor an ELF file nor a Multiboot image");
    image.bytes[0x202] = 'H';
    /* Command line and initrd. */
    memset(long_line, 'x', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';
    bench.input.command_line = long_line;
    expect_failure(&image, LOADER_COMMAND_LINE_TOO_LONG, "command line has 2048 bytes, the kernel takes 2047");
    bench.input.command_line = long_line + 1;
    expect_loaded(&image);
    bench.input.initrd.length = 0;
    expect_failure(&image, LOADER_INITRD_EMPTY, "initrd is empty");
    /* RAM that is not there although it should be. */
    bench.input.initrd = (struct blob){0};
    bench.host->ram_bytes = 16 * MEBIBYTE;
    expect_failure(&image, LOADER_MEMORY_FAILED, "0x1000000 cannot be written");
    bench.host->ram_bytes = RAM_BYTES;
    bench.input.kernel.bytes = NULL;
    assert_false(loader_load(&bench.input, &bench.entry, &bench.error));
    assert_int_equal(bench.error.status, LOADER_NO_KERNEL);
    free(image.bytes);
}

static void test_strange_initrd(void **state)
{
    struct image image = make_bzimage();

    (void)state;
    initrd[0] = 'X';
    expect_loaded(&image);
    assert_int_equal(bench.host->log_lines, 1);
    assert_non_null(strstr(bench.host->log, "initrd"));
    memcpy(initrd, "\x1F\x8B", 2);
    expect_loaded(&image);
    memcpy(initrd, "\x28\xB5\x2F\xFD", 4);
    expect_loaded(&image);
    assert_int_equal(bench.host->log_lines, 1);
    free(image.bytes);
}

/* ---- ELF with PVH entry ------------------------------------------------- */

#define ELF_TEXT_OFFSET 0x1000u
#define ELF_TEXT_BYTES  0x1800u
#define ELF_NOTE_OFFSET 0x400u
#define ELF_LENGTH      0x2C00u

/* Writes program header `index` of either class. */
static void put_segment(const struct image *image, uint32_t index, uint32_t type, uint64_t offset, uint64_t address,
                        uint64_t file_bytes, uint64_t memory_bytes)
{
    bool is_64 = image->bytes[4] == 2;
    uint8_t *header = image->bytes + (is_64 ? 64 + 56 * index : 52 + 32 * index);

    put_u32(header, type);
    if (is_64) {
        put_u64(header + 8, offset);
        put_u64(header + 16, address + UINT64_C(0xFFFFFFFF80000000));
        put_u64(header + 24, address);
        put_u64(header + 32, file_bytes);
        put_u64(header + 40, memory_bytes);
    } else {
        put_u32(header + 4, (uint32_t)offset);
        put_u32(header + 8, (uint32_t)address);
        put_u32(header + 12, (uint32_t)address);
        put_u32(header + 16, (uint32_t)file_bytes);
        put_u32(header + 20, (uint32_t)memory_bytes);
    }
}

static void put_note(uint8_t *note, const char *owner, uint32_t owner_bytes, uint32_t type, uint64_t value,
                     uint32_t value_bytes)
{
    put_u32(note, owner_bytes);
    put_u32(note + 4, value_bytes);
    put_u32(note + 8, type);
    memcpy(note + 12, owner, owner_bytes);
    put_u32(note + 12 + ((owner_bytes + 3) & ~3u), (uint32_t)value);
    if (value_bytes == 8) {
        put_u32(note + 16 + ((owner_bytes + 3) & ~3u), (uint32_t)(value >> 32));
    }
}

/* Text at 16 MiB with a BSS behind it, data in the next megabyte, and a note segment; three program headers. */
static struct image make_elf(bool is_64)
{
    struct image image = image_create(ELF_LENGTH);
    uint8_t *bytes = image.bytes;

    for (size_t i = ELF_TEXT_OFFSET; i < ELF_LENGTH; i++) {
        bytes[i] = (uint8_t)(i * 11 + 3);
    }
    memcpy(bytes,
           "\x7F"
           "ELF",
           4);
    bytes[4] = is_64 ? 2 : 1;
    bytes[5] = 1;
    bytes[6] = 1;
    put_u16(bytes + 16, 2);
    put_u16(bytes + 18, is_64 ? 62 : 3);
    if (is_64) {
        put_u64(bytes + 24, 16 * MEBIBYTE + 0x20 + UINT64_C(0xFFFFFFFF80000000));
        put_u64(bytes + 32, 64);
        put_u16(bytes + 54, 56);
        put_u16(bytes + 56, 3);
    } else {
        put_u32(bytes + 24, 16 * MEBIBYTE + 0x20);
        put_u32(bytes + 28, 52);
        put_u16(bytes + 42, 32);
        put_u16(bytes + 44, 3);
    }
    put_segment(&image, 0, 1, ELF_TEXT_OFFSET, 16 * MEBIBYTE, ELF_TEXT_BYTES, ELF_TEXT_BYTES + 0x5000);
    put_segment(&image, 1, 1, ELF_TEXT_OFFSET + ELF_TEXT_BYTES, 17 * MEBIBYTE, 0x400, 0x400);
    put_segment(&image, 2, 4, ELF_NOTE_OFFSET, 0, 0x68, 0x68);
    /* A foreign note, one of Xen with another type, and the entry. */
    put_note(bytes + ELF_NOTE_OFFSET, "GNU", 4, 18, 0x1111, 4);
    put_note(bytes + ELF_NOTE_OFFSET + 0x14, "Xen", 4, 6, 0x2222, 4);
    put_note(bytes + ELF_NOTE_OFFSET + 0x28, "Linux", 6, 257, 0x3333, 4);
    put_note(bytes + ELF_NOTE_OFFSET + 0x40, "Xen", 4, 18, 16 * MEBIBYTE + 0x40, is_64 ? 8 : 4);
    return image;
}

static void check_segments(const struct image *image)
{
    static const uint8_t zeroes[0x5000];

    assert_memory_equal(ram(16 * MEBIBYTE), image->bytes + ELF_TEXT_OFFSET, ELF_TEXT_BYTES);
    assert_memory_equal(ram(16 * MEBIBYTE + ELF_TEXT_BYTES), zeroes, sizeof(zeroes));
    assert_memory_equal(ram(17 * MEBIBYTE), image->bytes + ELF_TEXT_OFFSET + ELF_TEXT_BYTES, 0x400);
}

static void test_pvh(void **state)
{
    (void)state;
    for (uint32_t is_64 = 0; is_64 < 2; is_64++) {
        struct image image = make_elf(is_64 != 0);
        const uint8_t *start = ram(BOOT_GPA);
        const uint8_t *module;
        const uint8_t *map;

        memset(bench.host->ram + 16 * MEBIBYTE, 0xCC, MEBIBYTE);
        bench.input.high_ram_bytes = 7 * MEBIBYTE;
        expect_loaded(&image);
        assert_int_equal(bench.entry.mode, LOADER_MODE_32);
        assert_int_equal(bench.entry.rip, 16 * MEBIBYTE + 0x40);
        assert_int_equal(bench.entry.rbx, BOOT_GPA);
        check_segments(&image);
        assert_int_equal(get_u32(start), 0x336EC578);
        assert_int_equal(get_u32(start + 4), 1);
        assert_int_equal(get_u32(start + 8), 0);
        assert_int_equal(get_u32(start + 12), 1);
        module = ram(get_u64(start + 16));
        assert_int_equal(get_u64(module), initrd_gpa_for(RAM_BYTES));
        assert_int_equal(get_u64(module + 8), INITRD_BYTES);
        assert_int_equal(get_u64(module + 16), 0);
        assert_memory_equal(ram(get_u64(module)), initrd, INITRD_BYTES);
        assert_string_equal((const char *)ram(get_u64(start + 24)), "console=ttyS0 quiet");
        assert_int_equal(get_u64(start + 32), RSDP_GPA);
        map = ram(get_u64(start + 40));
        assert_int_equal(get_u32(start + 48), 4);
        assert_int_equal(get_u64(map + 72), UINT64_C(0x100000000));
        assert_int_equal(get_u64(map + 80), 7 * MEBIBYTE);
        assert_int_equal(get_u32(map + 88), 1);
        assert_int_equal(get_u32(map + 40), 2);
        free(image.bytes);
    }
}

static void test_pvh_without_initrd(void **state)
{
    struct image image = make_elf(true);

    (void)state;
    bench.input.initrd = (struct blob){0};
    expect_loaded(&image);
    assert_int_equal(get_u32(ram(BOOT_GPA + 12)), 0);
    assert_int_equal(get_u64(ram(BOOT_GPA + 16)), 0);
    free(image.bytes);
}

static void test_elf_corrupt_header(void **state)
{
    struct image image = make_elf(true);

    (void)state;
    image.bytes[4] = 3;
    expect_failure(&image, LOADER_BAD_HEADER, "ELF class is 3");
    image.bytes[4] = 2;
    image.bytes[5] = 2;
    expect_failure(&image, LOADER_BAD_HEADER, "byte order");
    image.bytes[5] = 1;
    put_u16(image.bytes + 18, 183);
    expect_failure(&image, LOADER_BAD_HEADER, "machine is 183");
    put_u16(image.bytes + 18, 62);
    put_u16(image.bytes + 56, 0);
    expect_failure(&image, LOADER_BAD_HEADER, "number of ELF program headers");
    put_u16(image.bytes + 56, 65);
    expect_failure(&image, LOADER_TOO_MANY_SEGMENTS, "65 program headers");
    put_u16(image.bytes + 56, 3);
    put_u16(image.bytes + 54, 55);
    expect_failure(&image, LOADER_BAD_HEADER, "size of an ELF program header");
    put_u16(image.bytes + 54, 0xFFFF);
    expect_failure(&image, LOADER_TRUNCATED, "truncated");
    put_u16(image.bytes + 54, 56);
    put_u64(image.bytes + 32, ELF_LENGTH - 56 * 3 + 1);
    expect_failure(&image, LOADER_TRUNCATED, "needs 11265");
    put_u64(image.bytes + 32, UINT64_MAX - 3);
    expect_failure(&image, LOADER_BAD_HEADER, "offset of the ELF program headers");
    put_u64(image.bytes + 32, 64);
    image.length = 63;
    expect_failure(&image, LOADER_TRUNCATED, "needs 64");
    image.length = 10;
    expect_failure(&image, LOADER_TRUNCATED, "it has 10 bytes");
    image.length = 3;
    expect_failure(&image, LOADER_UNKNOWN_FORMAT, "neither");
    image.length = ELF_LENGTH;
    expect_loaded(&image);
    free(image.bytes);
}

static void test_elf_corrupt_segments(void **state)
{
    struct image image = make_elf(true);

    (void)state;
    put_segment(&image, 1, 1, ELF_LENGTH, 17 * MEBIBYTE, 1, 1);
    expect_failure(&image, LOADER_TRUNCATED, "truncated");
    put_segment(&image, 1, 1, UINT64_MAX, 17 * MEBIBYTE, 2, 2);
    expect_failure(&image, LOADER_BAD_HEADER, "file offset");
    put_segment(&image, 1, 1, 0, 17 * MEBIBYTE, 0x20, 0x10);
    expect_failure(&image, LOADER_BAD_HEADER, "file size");
    put_segment(&image, 1, 1, 0, 16 * MEBIBYTE + ELF_TEXT_BYTES + 0x4FFF, 0x10, 0x10);
    expect_failure(&image, LOADER_SEGMENTS_OVERLAP, "overlap at 0x10067ff");
    put_segment(&image, 1, 1, 0, 16 * MEBIBYTE + ELF_TEXT_BYTES + 0x5000, 0x10, 0x10);
    expect_loaded(&image);
    /* Of the loader's own, the firmware's, no RAM yet, no RAM ever, around the end of the address space. */
    put_segment(&image, 1, 1, 0, 0x2FFFF, 0x10, 0x10);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "at 0x2ffff");
    put_segment(&image, 1, 1, 0, 0x9FFF8, 0x10, 0x10);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "at 0x9fff8");
    put_segment(&image, 1, 1, 0, 0x30000, 0x10, 0x70000);
    expect_loaded(&image);
    put_segment(&image, 1, 1, 0, RAM_BYTES - 8, 0x10, 0x10);
    expect_failure(&image, LOADER_NO_ROOM, "memory of 64 MiB: it needs 65 MiB");
    put_segment(&image, 1, 1, 0, UINT64_C(0xBFFFFFF8), 0x10, 0x10);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "no usable RAM");
    put_segment(&image, 1, 1, 0, UINT64_MAX - 7, 0x10, 0x10);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "no usable RAM");
    put_segment(&image, 1, 1, 0, 17 * MEBIBYTE, 0x10, UINT64_MAX);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "no usable RAM");
    /* A kernel that fills the memory leaves no place for the initrd. */
    put_segment(&image, 1, 1, 0, RAM_BYTES - 0x1000, 0x10, 0x1000);
    expect_failure(&image, LOADER_INITRD_NO_ROOM, "initrd");
    bench.input.initrd.length = UINT64_MAX;
    expect_failure(&image, LOADER_INITRD_NO_ROOM, "initrd");
    bench.input.initrd = (struct blob){0};
    expect_loaded(&image);
    /* Nothing to load. */
    put_segment(&image, 0, 1, 0, 16 * MEBIBYTE, 0, 0);
    put_segment(&image, 1, 6, 0, 17 * MEBIBYTE, 0x10, 0x10);
    expect_failure(&image, LOADER_ENTRY_OUTSIDE, "entry 0x1000040");
    free(image.bytes);
}

static void test_elf_corrupt_notes(void **state)
{
    struct image image = make_elf(true);
    uint8_t *entry_note = image.bytes + ELF_NOTE_OFFSET + 0x40;

    (void)state;
    put_u64(entry_note + 16, 18 * MEBIBYTE);
    expect_failure(&image, LOADER_ENTRY_OUTSIDE, "entry 0x1200000");
    put_u64(entry_note + 16, UINT64_MAX);
    expect_failure(&image, LOADER_ENTRY_OUTSIDE, "entry 0xffffffffffffffff");
    put_u64(entry_note + 16, 16 * MEBIBYTE + ELF_TEXT_BYTES);
    expect_failure(&image, LOADER_ENTRY_OUTSIDE, "outside its segments");
    put_u64(entry_note + 16, 16 * MEBIBYTE);
    expect_loaded(&image);
    /* Lengths that lead out of the segment, or are no address. */
    put_u32(entry_note + 4, 16);
    expect_failure(&image, LOADER_NO_ENTRY, "neither a PVH entry nor a Multiboot header");
    put_u32(entry_note + 4, 9);
    expect_failure(&image, LOADER_NO_ENTRY, "PVH");
    put_u32(entry_note + 4, 0xFFFFFFFF);
    expect_failure(&image, LOADER_NO_ENTRY, "PVH");
    put_u32(entry_note + 4, 8);
    put_u32(entry_note, 0xFFFFFFFF);
    expect_failure(&image, LOADER_NO_ENTRY, "PVH");
    put_u32(entry_note, 4);
    put_u32(image.bytes + ELF_NOTE_OFFSET, 0xFFFFFFFD);
    expect_failure(&image, LOADER_NO_ENTRY, "PVH");
    put_u32(image.bytes + ELF_NOTE_OFFSET, 4);
    put_segment(&image, 2, 4, ELF_NOTE_OFFSET, 0, 0x57, 0x57);
    expect_failure(&image, LOADER_NO_ENTRY, "PVH");
    put_segment(&image, 2, 4, ELF_NOTE_OFFSET, 0, 0x58, 0x58);
    expect_loaded(&image);
    put_segment(&image, 2, 4, ELF_LENGTH - 4, 0, 0x58, 0x58);
    expect_failure(&image, LOADER_NO_ENTRY, "PVH");
    put_segment(&image, 2, 4, UINT64_MAX, 0, UINT64_MAX, 0);
    expect_failure(&image, LOADER_NO_ENTRY, "PVH");
    free(image.bytes);
}

/* ---- Multiboot ---------------------------------------------------------- */

#define FLAT_HEADER_OFFSET 0x40u
#define FLAT_LENGTH        0x900u
#define FLAT_LOAD_GPA      MEBIBYTE

static void put_multiboot_header(uint8_t *header, uint32_t flags)
{
    put_u32(header, 0x1BADB002);
    put_u32(header + 4, flags);
    put_u32(header + 8, (uint32_t) - (0x1BADB002 + flags));
}

/* A flat image: the file from 0x20 on goes to 1 MiB, with a BSS. */
static struct image make_flat(void)
{
    struct image image = image_create(FLAT_LENGTH);
    uint8_t *header = image.bytes + FLAT_HEADER_OFFSET;

    for (size_t i = 0; i < FLAT_LENGTH; i++) {
        image.bytes[i] = (uint8_t)(i * 3 + 1);
    }
    put_multiboot_header(header, 0x00010003);
    put_u32(header + 12, (uint32_t)FLAT_LOAD_GPA + 0x20);
    put_u32(header + 16, (uint32_t)FLAT_LOAD_GPA);
    put_u32(header + 20, (uint32_t)FLAT_LOAD_GPA + 0x800);
    put_u32(header + 24, (uint32_t)FLAT_LOAD_GPA + 0x2000);
    put_u32(header + 28, (uint32_t)FLAT_LOAD_GPA + 0x100);
    return image;
}

static void check_multiboot_info(void)
{
    const uint8_t *info = ram(BOOT_GPA);
    const uint8_t *module = ram(get_u32(info + 24));
    const uint8_t *map = ram(get_u32(info + 48));

    assert_int_equal(get_u32(info), 0x24D);
    assert_int_equal(get_u32(info + 4), 640);
    assert_int_equal(get_u32(info + 8), (RAM_BYTES - MEBIBYTE) / 1024);
    assert_string_equal((const char *)ram(get_u32(info + 16)), "console=ttyS0 quiet");
    assert_int_equal(get_u32(info + 20), 1);
    assert_int_equal(get_u32(module), initrd_gpa_for(RAM_BYTES));
    assert_int_equal(get_u32(module + 4), initrd_gpa_for(RAM_BYTES) + INITRD_BYTES);
    assert_string_equal((const char *)ram(get_u32(module + 8)), "");
    assert_memory_equal(ram(get_u32(module)), initrd, INITRD_BYTES);
    assert_int_equal(get_u32(info + 44), 3 * 24);
    assert_int_equal(get_u32(map), 20);
    assert_int_equal(get_u64(map + 4), 0);
    assert_int_equal(get_u64(map + 12), 0xA0000);
    assert_int_equal(get_u32(map + 20), 1);
    assert_int_equal(get_u64(map + 48 + 4), MEBIBYTE);
    assert_string_equal((const char *)ram(get_u32(info + 64)), "Partita");
}

static void test_multiboot_flat(void **state)
{
    struct image image = make_flat();
    static const uint8_t zeroes[0x1800];

    (void)state;
    memset(bench.host->ram + FLAT_LOAD_GPA, 0xCC, 0x3000);
    expect_loaded(&image);
    assert_int_equal(bench.entry.mode, LOADER_MODE_32);
    assert_int_equal(bench.entry.rip, FLAT_LOAD_GPA + 0x100);
    assert_int_equal(bench.entry.rax, 0x2BADB002);
    assert_int_equal(bench.entry.rbx, BOOT_GPA);
    assert_memory_equal(ram(FLAT_LOAD_GPA), image.bytes + 0x20, 0x800);
    assert_memory_equal(ram(FLAT_LOAD_GPA + 0x800), zeroes, sizeof(zeroes));
    assert_int_equal(*ram(FLAT_LOAD_GPA + 0x2000), 0xCC);
    check_multiboot_info();
    /* Without ends: the whole file, and no BSS. */
    put_u32(image.bytes + FLAT_HEADER_OFFSET + 20, 0);
    put_u32(image.bytes + FLAT_HEADER_OFFSET + 24, 0);
    bench.input.initrd = (struct blob){0};
    expect_loaded(&image);
    assert_memory_equal(ram(FLAT_LOAD_GPA), image.bytes + 0x20, FLAT_LENGTH - 0x20);
    assert_int_equal(get_u32(ram(BOOT_GPA)), 0x245);
    assert_int_equal(get_u32(ram(BOOT_GPA + 20)), 0);
    free(image.bytes);
}

static void test_multiboot_elf(void **state)
{
    (void)state;
    for (uint32_t is_64 = 0; is_64 < 2; is_64++) {
        struct image image = make_elf(is_64 != 0);

        put_segment(&image, 2, 0, 0, 0, 0, 0);
        put_multiboot_header(image.bytes + 0x600, 0x00000003);
        expect_loaded(&image);
        /* The entry is a virtual address. */
        assert_int_equal(bench.entry.rip, 16 * MEBIBYTE + 0x20);
        assert_int_equal(bench.entry.rax, 0x2BADB002);
        check_segments(&image);
        check_multiboot_info();
        put_u32(image.bytes + 24, 0x12345678);
        expect_failure(&image, LOADER_ENTRY_OUTSIDE, "outside its segments");
        free(image.bytes);
    }
}

static void test_multiboot_corrupt(void **state)
{
    struct image image = make_flat();
    uint8_t *header = image.bytes + FLAT_HEADER_OFFSET;
    struct image tail;

    (void)state;
    put_u32(header + 8, get_u32(header + 8) + 1);
    expect_failure(&image, LOADER_UNKNOWN_FORMAT, "neither");
    put_multiboot_header(header, 0x00010007);
    expect_failure(&image, LOADER_UNSUPPORTED_FLAGS, "flags 0x4");
    put_multiboot_header(header, 0x00018000);
    expect_failure(&image, LOADER_UNSUPPORTED_FLAGS, "flags 0x8000");
    put_multiboot_header(header, 0x00000003);
    expect_failure(&image, LOADER_BAD_HEADER, "without address fields");
    /* Hints in the high half are allowed. */
    put_multiboot_header(header, 0xFFFF0003);
    expect_loaded(&image);
    put_u32(header + 16, (uint32_t)FLAT_LOAD_GPA + 0x24);
    expect_failure(&image, LOADER_BAD_HEADER, "load address");
    put_u32(header + 16, (uint32_t)FLAT_LOAD_GPA - 0x24);
    expect_failure(&image, LOADER_BAD_HEADER, "load address");
    put_u32(header + 16, (uint32_t)FLAT_LOAD_GPA);
    put_u32(header + 20, (uint32_t)FLAT_LOAD_GPA);
    expect_failure(&image, LOADER_BAD_HEADER, "load end address");
    put_u32(header + 20, 0xFFFFFFFF);
    expect_failure(&image, LOADER_TRUNCATED, "truncated");
    put_u32(header + 20, (uint32_t)FLAT_LOAD_GPA + FLAT_LENGTH - 0x20 + 1);
    expect_failure(&image, LOADER_TRUNCATED, "needs 2305");
    put_u32(header + 20, (uint32_t)FLAT_LOAD_GPA + 0x800);
    put_u32(header + 24, (uint32_t)FLAT_LOAD_GPA + 0x7FF);
    expect_failure(&image, LOADER_BAD_HEADER, "BSS end address");
    put_u32(header + 24, 0x40000001);
    expect_failure(&image, LOADER_NO_ROOM, "needs 1025 MiB");
    put_u32(header + 24, 0xFFFFFFFF);
    expect_failure(&image, LOADER_SEGMENT_OUTSIDE_RAM, "no usable RAM");
    put_u32(header + 24, 0);
    put_u32(header + 28, (uint32_t)FLAT_LOAD_GPA - 1);
    expect_failure(&image, LOADER_ENTRY_OUTSIDE, "outside its segments");
    put_u32(header + 28, (uint32_t)FLAT_LOAD_GPA + 0x800);
    expect_failure(&image, LOADER_ENTRY_OUTSIDE, "outside its segments");
    /* A header whose address fields are cut off. */
    tail = image_create(FLAT_HEADER_OFFSET + 31);
    memcpy(tail.bytes, image.bytes, tail.length);
    expect_failure(&tail, LOADER_TRUNCATED, "needs 96");
    free(tail.bytes);
    /* Too far into the file, or not aligned: no header. */
    tail = image_create(8192 + 64);
    put_multiboot_header(tail.bytes + 8192 - 8, 0x00010003);
    expect_failure(&tail, LOADER_UNKNOWN_FORMAT, "neither");
    memset(tail.bytes, 0, tail.length);
    put_multiboot_header(tail.bytes + 2, 0x00010003);
    expect_failure(&tail, LOADER_UNKNOWN_FORMAT, "neither");
    free(tail.bytes);
    free(image.bytes);
}

/* ---- Arbitrary damage --------------------------------------------------- */

/* Every length, and bytes changed at random: loaded or refused, but never out of bounds. */
static void damage(const struct image *good)
{
    uint32_t random = 4711;
    char line[200];

    for (size_t length = 0; length < good->length; length += length < 0x700 ? 1 : 97) {
        struct image cut = image_create(length);

        memcpy(cut.bytes, good->bytes, length);
        if (!load(&cut)) {
            assert_int_not_equal(bench.error.status, LOADER_OK);
            loader_describe_error(&bench.error, line, sizeof(line));
        }
        free(cut.bytes);
    }
    for (uint32_t round = 0; round < 3000; round++) {
        struct image bad = image_create(good->length);

        memcpy(bad.bytes, good->bytes, good->length);
        for (uint32_t i = 0; i < 1 + round % 5; i++) {
            random = random * 1664525 + 1013904223;
            /* Where the headers are. */
            bad.bytes[(random >> 8) % 0x480] = (uint8_t)random >> (random >> 30);
        }
        if (!load(&bad)) {
            assert_int_not_equal(bench.error.status, LOADER_OK);
            loader_describe_error(&bench.error, line, sizeof(line));
        }
        free(bad.bytes);
    }
}

static void test_damage(void **state)
{
    struct image images[] = {make_bzimage(), make_elf(true), make_elf(false), make_flat()};

    (void)state;
    bench.input.low_ram_bytes = 20 * MEBIBYTE;
    for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
        damage(&images[i]);
        free(images[i].bytes);
    }
}

static void test_describe_is_bounded(void **state)
{
    struct loader_error error = {.status = LOADER_TRUNCATED, .value = UINT64_MAX, .limit = UINT64_MAX};
    char line[8] = "xxxxxxx";

    (void)state;
    loader_describe_error(&error, line, 5);
    assert_int_equal(line[4], '\0');
    assert_int_equal(line[5], 'x');
    for (int status = LOADER_OK; status <= LOADER_MEMORY_FAILED; status++) {
        char full[200] = "";

        error.status = (enum loader_status)status;
        error.what = "this";
        loader_describe_error(&error, full, sizeof(full));
        assert_in_range(strlen(full), 5, sizeof(full) - 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bzimage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bzimage_without_initrd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bzimage_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bzimage_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strange_initrd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pvh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pvh_without_initrd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elf_corrupt_header, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elf_corrupt_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elf_corrupt_notes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_multiboot_flat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_multiboot_elf, setup, teardown),
        cmocka_unit_test_setup_teardown(test_multiboot_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test(test_describe_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
