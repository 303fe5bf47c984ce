/* SPDX-License-Identifier: MIT */
/* From UTF-8 to UTF-16 and back. */
#include "vmbus/utf16.h"

#include <stdbool.h>

#include "hv/lib/bytes.h"

#define REPLACEMENT     0xFFFDu
#define SURROGATE_FIRST 0xD800u
#define SURROGATE_LOW   0xDC00u
#define SURROGATE_END   0xE000u
#define PLANE_1         0x10000u
#define CODE_END        0x110000u
#define TAIL_BITS       6u

static bool is_tail(char byte)
{
    return ((uint8_t)byte & 0xC0) == 0x80;
}

/* Takes one character; *at is not at the end. */
static uint32_t take_utf8(const char **at)
{
    /* Of characters with 1, 2, 3 and 4 bytes: how the first byte begins, and the least code that needs so many. */
    static const struct {
        uint8_t mask, begin;
        uint32_t least;
    } lengths[] = {{0x80, 0x00, 0}, {0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, PLANE_1}};
    uint8_t first = (uint8_t) * (*at)++;

    for (uint32_t tails = 0; tails < sizeof(lengths) / sizeof(lengths[0]); tails++) {
        if ((first & lengths[tails].mask) == lengths[tails].begin) {
            uint32_t code = first & (uint8_t)~lengths[tails].mask;
            uint32_t taken = 0;

            for (; taken < tails && is_tail(**at); taken++) {
                code = code << TAIL_BITS | ((uint8_t) * (*at)++ & 0x3Fu);
            }
            bool is_good = taken == tails && code >= lengths[tails].least && code < CODE_END &&
                           (code < SURROGATE_FIRST || code >= SURROGATE_END);

            return is_good ? code : REPLACEMENT;
        }
    }
    return REPLACEMENT;
}

size_t utf16_from_utf8(uint8_t *units, size_t size_bytes, const char *text)
{
    size_t at = 0;

    while (*text != '\0') {
        uint32_t code = take_utf8(&text);
        size_t needed = code < PLANE_1 ? 2 : 4;

        if (size_bytes < 2 || size_bytes - 2 < at + needed) {
            return 0;
        }
        if (code < PLANE_1) {
            put_u16(units + at, (uint16_t)code);
        } else {
            put_u16(units + at, (uint16_t)(SURROGATE_FIRST + ((code - PLANE_1) >> 10)));
            put_u16(units + at + 2, (uint16_t)(SURROGATE_LOW + (code & 0x3FF)));
        }
        at += needed;
    }
    if (size_bytes < 2) {
        return 0;
    }
    put_u16(units + at, 0);
    return at + 2;
}

/* Takes one character of at least one unit. */
static uint32_t take_utf16(const uint8_t *units, size_t count, size_t *at)
{
    uint32_t unit = get_u16(units + 2 * (*at)++);
    uint32_t low = *at < count ? get_u16(units + 2 * *at) : 0;

    if (unit < SURROGATE_FIRST || unit >= SURROGATE_END) {
        return unit;
    }
    if (unit >= SURROGATE_LOW || low < SURROGATE_LOW || low >= SURROGATE_END) {
        return REPLACEMENT;
    }
    (*at)++;
    return PLANE_1 + ((unit - SURROGATE_FIRST) << 10) + (low - SURROGATE_LOW);
}

/* The bytes of a character; returns how many. */
static size_t encode_utf8(uint32_t code, char bytes[4])
{
    static const uint8_t begins[] = {0, 0xC0, 0xE0, 0xF0};
    uint32_t tails = code < 0x80 ? 0 : code < 0x800 ? 1 : code < PLANE_1 ? 2 : 3;

    for (uint32_t i = tails; i > 0; i--) {
        bytes[i] = (char)(0x80 | (code & 0x3F));
        code >>= TAIL_BITS;
    }
    bytes[0] = (char)(begins[tails] | code);
    return tails + 1;
}

void utf16_to_utf8(char *text, size_t size, const uint8_t *units, size_t unit_bytes)
{
    size_t count = unit_bytes / 2;
    size_t length = 0;

    for (size_t at = 0; at < count && get_u16(units + 2 * at) != 0;) {
        char bytes[4];
        size_t byte_count = encode_utf8(take_utf16(units, count, &at), bytes);

        if (byte_count >= size - length) {
            break;
        }
        for (size_t i = 0; i < byte_count; i++) {
            text[length++] = bytes[i];
        }
    }
    text[length] = '\0';
}
