/* SPDX-License-Identifier: MIT */
/*
 * The kernel loaders (bzImage, PVH ELF, Multiboot1) on any file. Holds: a file that is loaded has its entry in RAM, and
 * the loaders keep out of the places of the firmware tables; one that is refused is refused with a reason that can be
 * told, and no VP was touched.
 */
#include <stdlib.h>
#include <string.h>

#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/loader/loader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_host.h"

/* Room for the small kernels of the corpus, and with GUARD bytes behind it that no loader may touch. */
#define RAM_BYTES   MIB(4)
#define GUARD_BYTES 4096u
#define GUARD       0x5au
#define LINE_BYTES  256

static const char *const command_lines[] = {"", "console=ttyS0", "a \"b c\" d", "x"};

static void check_untouched(const uint8_t *bytes, size_t count)
{
    FUZZ_CHECK(bytes[0] == GUARD && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static void check_refusal(const struct loader_error *error)
{
    char line[LINE_BYTES];

    FUZZ_CHECK(error->status > LOADER_OK && error->status <= LOADER_MEMORY_FAILED);
    memset(line, 'x', sizeof(line));
    loader_describe_error(error, line, sizeof(line));
    FUZZ_CHECK(memchr(line, '\0', sizeof(line)) != NULL && line[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    struct host_vm *host = fake_host_create(RAM_BYTES + GUARD_BYTES);
    const char *command_line = command_lines[fuzz_below(&input, sizeof(command_lines) / sizeof(command_lines[0]))];
    bool has_initrd = fuzz_below(&input, 2) != 0;
    struct loader_entry entry = {0};
    struct loader_error error = {0};
    /* A copy of its own, so that the sanitizer sees each byte that is read beyond the file. */
    uint8_t *file = malloc(input.left == 0 ? 1 : input.left);
    struct loader_input load = {
        .host = host,
        .memory_bytes = RAM_BYTES,
        .low_ram_bytes = RAM_BYTES,
        .rsdp_gpa = LAYOUT_ACPI_GPA,
        .kernel = {.bytes = file, .length = input.left},
        .initrd = {.bytes = has_initrd ? file : NULL, .length = has_initrd ? input.left : 0},
        .command_line = command_line,
    };

    FUZZ_CHECK(file != NULL);
    fuzz_fill(&input, file, load.kernel.length);
    memset(host->ram + LAYOUT_ACPI_GPA, GUARD, LAYOUT_ACPI_BYTES);
    memset(host->ram + RAM_BYTES, GUARD, GUARD_BYTES);
    host->is_ram_fragmented = size % 2 != 0;
    if (loader_load(&load, &entry, &error)) {
        FUZZ_CHECK(entry.mode == LOADER_MODE_64 || entry.mode == LOADER_MODE_32);
        FUZZ_CHECK(entry.rip < RAM_BYTES);
        FUZZ_CHECK(entry.rsi < RAM_BYTES && entry.rbx < RAM_BYTES);
        FUZZ_CHECK(strcmp((const char *)host->ram + LAYOUT_COMMAND_LINE_GPA, command_line) == 0);
    } else {
        check_refusal(&error);
    }
    check_untouched(host->ram + LAYOUT_ACPI_GPA, LAYOUT_ACPI_BYTES);
    check_untouched(host->ram + RAM_BYTES, GUARD_BYTES);
    FUZZ_CHECK(host->vps[0].count == 0 && host->ended_count == 0);
    free(file);
    fake_host_destroy(host);
    return 0;
}
