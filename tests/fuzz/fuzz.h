/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

/*
 * What all fuzz targets share: reading an input piece by piece, and stating what has to hold. A target is one file
 * fuzz_<name>.c with LLVMFuzzerTestOneInput(); everything it does follows from the input alone, so that a file that
 * made it fail does so again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of an input. Behind its end it reads as zeros. */
struct fuzz_input {
    const uint8_t *bytes;
    size_t left;
};

uint8_t fuzz_u8(struct fuzz_input *input);
uint16_t fuzz_u16(struct fuzz_input *input);
uint32_t fuzz_u32(struct fuzz_input *input);
uint64_t fuzz_u64(struct fuzz_input *input);

/* A number below `limit`, which is 1 to 256; of one byte of input. */
uint32_t fuzz_below(struct fuzz_input *input, uint32_t limit);

/* Fills `size` bytes, with zeros where the input ends. */
void fuzz_fill(struct fuzz_input *input, void *to, size_t size);

/* Ends the program when `holds` is false; `text` and `line` say what was to hold. */
void fuzz_check(bool holds, const char *text, const char *file, int line);

/* States an invariant. */
#define FUZZ_CHECK(condition) fuzz_check((condition), #condition, __FILE__, __LINE__)

/* What libFuzzer calls for each input. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
