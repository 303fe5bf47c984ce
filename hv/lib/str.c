/* SPDX-License-Identifier: MIT */
/*
 * String helpers beside those that bear names of the C library (mem.c): bounded
 * copies and the parsing of numbers. Works on bytes; knows no character sets.
 */
#include "hv/lib/str.h"

#include "hv/lib/range.h"

bool str_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

bool str_starts_with(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}

const char *str_find_char(const char *string, char wanted)
{
    for (; *string != wanted; string++) {
        if (*string == '\0') {
            return NULL;
        }
    }
    return string;
}

size_t str_copy(char *destination, const char *source, size_t size)
{
    size_t length = strlen(source);

    if (size != 0) {
        size_t copied = min_size(length, size - 1);

        memcpy(destination, source, copied);
        destination[copied] = '\0';
    }
    return length;
}

size_t str_append(char *destination, const char *source, size_t size)
{
    size_t used = strnlen(destination, size);

    return used + str_copy(destination + used, source, size - used);
}

/* The value of a digit in the base, or -1. */
static int digit_value(char character, unsigned int base)
{
    int value = -1;

    if (character >= '0' && character <= '9') {
        value = character - '0';
    } else if (character >= 'a' && character <= 'f') {
        value = character - 'a' + 10;
    } else if (character >= 'A' && character <= 'F') {
        value = character - 'A' + 10;
    }
    return value < (int)base ? value : -1;
}

/* Parses digits up to the first other character, which is returned; null when there is no digit or no room. */
static const char *parse_digits(const char *string, uint64_t *out)
{
    unsigned int base = 10;
    uint64_t value = 0;

    if (string[0] == '0' && (string[1] == 'x' || string[1] == 'X')) {
        base = 16;
        string += 2;
    }
    if (digit_value(*string, base) < 0) {
        return NULL;
    }
    for (; digit_value(*string, base) >= 0; string++) {
        if (!range_mul_u64(value, base, &value) ||
            !range_add_u64(value, (uint64_t)digit_value(*string, base), &value)) {
            return NULL;
        }
    }
    *out = value;
    return string;
}

bool str_parse_u64(const char *string, uint64_t *out)
{
    uint64_t value;
    const char *end = parse_digits(string, &value);

    if (end == NULL || *end != '\0') {
        return false;
    }
    *out = value;
    return true;
}

bool str_parse_size(const char *string, uint64_t *out)
{
    uint64_t value;
    unsigned int shift = 0;
    const char *end = parse_digits(string, &value);

    if (end == NULL) {
        return false;
    }
    switch (*end) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        shift = 30;
        break;
    case 't':
    case 'T':
        shift = 40;
        break;
    default:
        break;
    }
    if (shift != 0) {
        end++;
    }
    if (*end != '\0' || !range_mul_u64(value, UINT64_C(1) << shift, &value)) {
        return false;
    }
    *out = value;
    return true;
}
