/* SPDX-License-Identifier: MIT */
/*
 * Memory and string functions. Those under names of the C library have its
 * prototypes, since the compiler emits calls to them: freestanding images get
 * them from hv/lib/mem.c, hosted programs from their C library. The str_
 * functions come from hv/lib/str.c everywhere.
 */
#ifndef LIB_STR_H
#define LIB_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

void *memcpy(void *restrict destination, const void *restrict source, size_t size_bytes);
void *memmove(void *destination, const void *source, size_t size_bytes);
void *memset(void *destination, int byte, size_t size_bytes);
int memcmp(const void *a, const void *b, size_t size_bytes);
size_t strlen(const char *string);
size_t strnlen(const char *string, size_t limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t limit);

/* strlen under this header's prefix. */
static inline size_t str_length(const char *string)
{
    return strlen(string);
}

/* Reads no further than `limit` bytes. */
static inline size_t str_length_max(const char *string, size_t limit)
{
    return strnlen(string, limit);
}

/* As strncmp. */
static inline int str_compare_max(const char *a, const char *b, size_t limit)
{
    return strncmp(a, b, limit);
}

/* The strings are the same. */
bool str_equal(const char *a, const char *b);

/* The string begins with prefix. */
bool str_starts_with(const char *string, const char *prefix);

/* First occurrence of the character, or null. */
const char *str_find_char(const char *string, char wanted);

/*
 * Copies source to destination, which has room for `size` bytes with the
 * terminator, and terminates it always unless size is 0. Returns the length of
 * source: a result of `size` or more means that it was cut.
 */
size_t str_copy(char *destination, const char *source, size_t size);

/*
 * Appends like str_copy, `size` being the room of the whole destination; returns
 * the length that the whole would have had. A destination without terminator
 * within `size` stays as it is.
 */
size_t str_append(char *destination, const char *source, size_t size);

/*
 * Parses the whole string as an unsigned number: decimal, or hexadecimal after
 * 0x. False, with *out alone, when it is empty, has another character, or does
 * not fit.
 */
MUST_CHECK bool str_parse_u64(const char *string, uint64_t *out);

/* As str_parse_u64, with an optional last letter K, M, G or T (either case) for powers of 1024. */
MUST_CHECK bool str_parse_size(const char *string, uint64_t *out);

#endif
