/* SPDX-License-Identifier: MIT */
/*
 * GUIDs in the form in which they lie in memory and on the wire: three
 * little-endian numbers and eight bytes.
 */
#ifndef LIB_GUID_H
#define LIB_GUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/* Characters of the printed form, without and with the terminator. */
#define GUID_STRING_LENGTH 36
#define GUID_STRING_SIZE   (GUID_STRING_LENGTH + 1)

/* A GUID, 16 bytes. */
struct guid {
    uint32_t data1;
    uint16_t data2;
    uint16_t data3;
    uint8_t data4[8];
};
_Static_assert(sizeof(struct guid) == 16, "guid");
_Static_assert(offsetof(struct guid, data4) == 8, "guid data4");

/* Parses 01234567-89ab-cdef-0123-456789abcdef, in either case, with or without braces; false for anything else. */
MUST_CHECK bool guid_parse(const char *string, struct guid *out);

/* Writes the printed form, in lower case without braces, terminated. */
void guid_format(const struct guid *guid, char out[GUID_STRING_SIZE]);

/* All 16 bytes are the same. */
bool guid_equal(const struct guid *a, const struct guid *b);

/* All 16 bytes are zero. */
bool guid_is_zero(const struct guid *guid);

#endif
