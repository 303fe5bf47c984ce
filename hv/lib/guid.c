/* SPDX-License-Identifier: MIT */
/*
 * GUIDs: parsing, printing, comparing. Makes none: those that matter are fixed
 * by the protocols.
 */
#include "hv/lib/guid.h"

#include "hv/lib/str.h"

/* The printed form is 16 bytes as pairs of digits; these positions hold dashes. */
static bool is_dash_position(size_t position)
{
    return position == 8 || position == 13 || position == 18 || position == 23;
}

static int hex_value(char character)
{
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    if (character >= 'a' && character <= 'f') {
        return character - 'a' + 10;
    }
    if (character >= 'A' && character <= 'F') {
        return character - 'A' + 10;
    }
    return -1;
}

/* The 16 bytes in printed order. */
static void guid_from_bytes(struct guid *guid, const uint8_t bytes[16])
{
    guid->data1 = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    guid->data2 = (uint16_t)(bytes[4] << 8 | bytes[5]);
    guid->data3 = (uint16_t)(bytes[6] << 8 | bytes[7]);
    memcpy(guid->data4, bytes + 8, sizeof(guid->data4));
}

static void guid_to_bytes(const struct guid *guid, uint8_t bytes[16])
{
    bytes[0] = (uint8_t)(guid->data1 >> 24);
    bytes[1] = (uint8_t)(guid->data1 >> 16);
    bytes[2] = (uint8_t)(guid->data1 >> 8);
    bytes[3] = (uint8_t)guid->data1;
    bytes[4] = (uint8_t)(guid->data2 >> 8);
    bytes[5] = (uint8_t)guid->data2;
    bytes[6] = (uint8_t)(guid->data3 >> 8);
    bytes[7] = (uint8_t)guid->data3;
    memcpy(bytes + 8, guid->data4, sizeof(guid->data4));
}

bool guid_parse(const char *string, struct guid *out)
{
    uint8_t bytes[16];
    size_t digit_count = 0;
    bool has_braces = string[0] == '{';

    string += has_braces ? 1 : 0;
    memset(bytes, 0, sizeof(bytes));
    for (size_t position = 0; position < GUID_STRING_LENGTH; position++) {
        if (is_dash_position(position)) {
            if (string[position] != '-') {
                return false;
            }
            continue;
        }

        /* The terminator is no digit, so nothing behind it is read. */
        int value = hex_value(string[position]);

        if (value < 0) {
            return false;
        }
        bytes[digit_count / 2] = (uint8_t)(bytes[digit_count / 2] << 4 | value);
        digit_count++;
    }
    string += GUID_STRING_LENGTH;
    if (has_braces && *string++ != '}') {
        return false;
    }
    if (*string != '\0') {
        return false;
    }
    guid_from_bytes(out, bytes);
    return true;
}

void guid_format(const struct guid *guid, char out[GUID_STRING_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[16];
    size_t digit_count = 0;

    guid_to_bytes(guid, bytes);
    for (size_t position = 0; position < GUID_STRING_LENGTH; position++) {
        if (is_dash_position(position)) {
            out[position] = '-';
            continue;
        }

        unsigned int byte = bytes[digit_count / 2];

        out[position] = digits[digit_count % 2 == 0 ? byte >> 4 : byte & 0xFu];
        digit_count++;
    }
    out[GUID_STRING_LENGTH] = '\0';
}

bool guid_equal(const struct guid *a, const struct guid *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool guid_is_zero(const struct guid *guid)
{
    static const struct guid zero;

    return guid_equal(guid, &zero);
}
