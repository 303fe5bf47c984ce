/* SPDX-License-Identifier: MIT */
/* Reads inputs of fuzz targets, and stops at what does not hold. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the address sanitizer asks for its options at the start: little memory for freed blocks, since runs are many. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=16";
}

void fuzz_fill(struct fuzz_input *input, void *to, size_t size)
{
    size_t count = size < input->left ? size : input->left;

    memset(to, 0, size);
    if (count != 0) {
        memcpy(to, input->bytes, count);
    }
    input->bytes += count;
    input->left -= count;
}

uint8_t fuzz_u8(struct fuzz_input *input)
{
    uint8_t value;

    fuzz_fill(input, &value, sizeof(value));
    return value;
}

uint16_t fuzz_u16(struct fuzz_input *input)
{
    uint16_t value;

    fuzz_fill(input, &value, sizeof(value));
    return value;
}

uint32_t fuzz_u32(struct fuzz_input *input)
{
    uint32_t value;

    fuzz_fill(input, &value, sizeof(value));
    return value;
}

uint64_t fuzz_u64(struct fuzz_input *input)
{
    uint64_t value;

    fuzz_fill(input, &value, sizeof(value));
    return value;
}

uint32_t fuzz_below(struct fuzz_input *input, uint32_t limit)
{
    return fuzz_u8(input) % limit;
}

void fuzz_check(bool holds, const char *text, const char *file, int line)
{
    if (!holds) {
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, text);
        abort();
    }
}
