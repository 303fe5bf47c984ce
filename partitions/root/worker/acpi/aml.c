/* SPDX-License-Identifier: MIT */
/*
 * A writer of ACPI Machine Language (ACPI specification, ACPI Machine Language
 * Specification). Lengths of objects take two bytes always, which the encoding
 * allows and which is enough for objects below 4 KiB.
 */
#include "partitions/root/worker/acpi/aml.h"

#include "hv/lib/bytes.h"

#define OP_ZERO     0x00u
#define OP_ONE      0x01u
#define OP_NAME     0x08u
#define OP_BYTE     0x0Au
#define OP_WORD     0x0Bu
#define OP_DWORD    0x0Cu
#define OP_STRING   0x0Du
#define OP_SCOPE    0x10u
#define OP_BUFFER   0x11u
#define OP_PACKAGE  0x12u
#define OP_EXTENDED 0x5Bu
#define OP_DEVICE   0x82u

/* A length in two bytes: 4 bits and the number of further bytes in the first, 8 bits in the second. */
#define LENGTH_BYTES         2u
#define LENGTH_ONE_MORE_BYTE 0x40u
#define LENGTH_MAX           0xFFFu

#define RESOURCE_IO            0x47u
#define RESOURCE_IO_BYTES      8u
#define RESOURCE_IO_DECODE_16  0x01u
#define RESOURCE_IRQ_NO_FLAGS  0x22u
#define RESOURCE_IRQ_BYTES     3u
#define RESOURCE_DWORD_ADDRESS 0x87u
#define RESOURCE_DWORD_BYTES   26u
#define RESOURCE_LARGE_HEADER  3u /* not counted by a large descriptor's own length */
#define RESOURCE_TYPE_MEMORY   0u
#define RESOURCE_FIXED_WINDOW  0x0Cu /* producer, both ends fixed */
#define RESOURCE_READ_WRITE    0x01u
#define RESOURCE_END           0x79u
#define RESOURCE_END_BYTES     2u

static void put_byte(struct aml *aml, uint32_t byte)
{
    if (aml->length >= aml->capacity) {
        aml->has_overflowed = true;
        return;
    }
    aml->bytes[aml->length++] = (uint8_t)byte;
}

static void put_word(struct aml *aml, uint32_t word)
{
    put_byte(aml, word & 0xFFu);
    put_byte(aml, (word >> 8) & 0xFFu);
}

/* A path is written as it reads: names have four characters already. */
static void put_path(struct aml *aml, const char *path)
{
    for (; *path != '\0'; path++) {
        put_byte(aml, (uint8_t)*path);
    }
}

static void put_dword(struct aml *aml, uint32_t dword)
{
    put_word(aml, dword & 0xFFFFu);
    put_word(aml, dword >> 16);
}

static void put_integer(struct aml *aml, uint32_t value)
{
    if (value <= 1) {
        put_byte(aml, value == 0 ? OP_ZERO : OP_ONE);
    } else if (value <= UINT8_MAX) {
        put_byte(aml, OP_BYTE);
        put_byte(aml, value);
    } else if (value <= UINT16_MAX) {
        put_byte(aml, OP_WORD);
        put_word(aml, value);
    } else {
        put_byte(aml, OP_DWORD);
        put_dword(aml, value);
    }
}

static struct aml_mark begin_object(struct aml *aml)
{
    struct aml_mark mark = {.length_at = aml->length};

    put_word(aml, 0);
    return mark;
}

void aml_init(struct aml *aml, uint8_t *bytes, size_t capacity)
{
    *aml = (struct aml){.bytes = bytes, .capacity = capacity};
}

bool aml_is_complete(const struct aml *aml)
{
    return !aml->has_overflowed;
}

struct aml_mark aml_begin_scope(struct aml *aml, const char *path)
{
    put_byte(aml, OP_SCOPE);

    struct aml_mark mark = begin_object(aml);

    put_path(aml, path);
    return mark;
}

struct aml_mark aml_begin_device(struct aml *aml, const char *name)
{
    put_byte(aml, OP_EXTENDED);
    put_byte(aml, OP_DEVICE);

    struct aml_mark mark = begin_object(aml);

    put_path(aml, name);
    return mark;
}

void aml_end(struct aml *aml, struct aml_mark mark)
{
    size_t length = aml->length - mark.length_at;

    if (aml->has_overflowed || length > LENGTH_MAX) {
        aml->has_overflowed = true;
        return;
    }
    aml->bytes[mark.length_at] = (uint8_t)(LENGTH_ONE_MORE_BYTE | (length & 0xFu));
    aml->bytes[mark.length_at + 1] = (uint8_t)(length >> 4);
}

void aml_name_integer(struct aml *aml, const char *path, uint32_t value)
{
    put_byte(aml, OP_NAME);
    put_path(aml, path);
    put_integer(aml, value);
}

static uint32_t hex_digit(char digit)
{
    return digit <= '9' ? (uint32_t)(digit - '0') : (uint32_t)(digit - 'A') + 10u;
}

void aml_name_hardware_id(struct aml *aml, const char *id)
{
    /* Letters count from the character before A, in five bits each; the most significant byte comes first. */
    uint32_t letters = ((uint32_t)(id[0] - '@') << 10) | ((uint32_t)(id[1] - '@') << 5) | (uint32_t)(id[2] - '@');
    uint32_t high_digits = (hex_digit(id[3]) << 4) | hex_digit(id[4]);
    uint32_t low_digits = (hex_digit(id[5]) << 4) | hex_digit(id[6]);

    aml_name_integer(aml, "_HID", (letters >> 8) | ((letters & 0xFFu) << 8) | (high_digits << 16) | (low_digits << 24));
}

void aml_name_byte_package(struct aml *aml, const char *path, const uint8_t *values, uint8_t count)
{
    put_byte(aml, OP_NAME);
    put_path(aml, path);
    put_byte(aml, OP_PACKAGE);

    struct aml_mark mark = begin_object(aml);

    put_byte(aml, count);
    for (uint32_t i = 0; i < count; i++) {
        put_integer(aml, values[i]);
    }
    aml_end(aml, mark);
}

void aml_name_string(struct aml *aml, const char *path, const char *text)
{
    put_byte(aml, OP_NAME);
    put_path(aml, path);
    put_byte(aml, OP_STRING);
    put_path(aml, text);
    put_byte(aml, 0);
}

/* Name(_CRS, Buffer) for descriptors of this many bytes, which follow, and the end tag. */
static struct aml_mark begin_resources(struct aml *aml, uint32_t descriptor_bytes)
{
    put_byte(aml, OP_NAME);
    put_path(aml, "_CRS");
    put_byte(aml, OP_BUFFER);

    struct aml_mark mark = begin_object(aml);

    put_integer(aml, descriptor_bytes + RESOURCE_END_BYTES);
    return mark;
}

static void end_resources(struct aml *aml, struct aml_mark mark)
{
    put_byte(aml, RESOURCE_END);
    /* A checksum of zero means that there is none. */
    put_byte(aml, 0);
    aml_end(aml, mark);
}

void aml_name_port_and_irq(struct aml *aml, uint16_t first_port, uint8_t port_count, uint8_t irq)
{
    struct aml_mark mark = begin_resources(aml, RESOURCE_IO_BYTES + RESOURCE_IRQ_BYTES);

    put_byte(aml, RESOURCE_IO);
    put_byte(aml, RESOURCE_IO_DECODE_16);
    put_word(aml, first_port);
    put_word(aml, first_port);
    put_byte(aml, 1);
    put_byte(aml, port_count);
    put_byte(aml, RESOURCE_IRQ_NO_FLAGS);
    put_word(aml, 1u << irq);
    end_resources(aml, mark);
}

void aml_name_no_resources(struct aml *aml)
{
    end_resources(aml, begin_resources(aml, 0));
}

void aml_name_memory_window(struct aml *aml, uint32_t base, uint32_t length_bytes)
{
    struct aml_mark mark = begin_resources(aml, RESOURCE_DWORD_BYTES);

    put_byte(aml, RESOURCE_DWORD_ADDRESS);
    put_word(aml, RESOURCE_DWORD_BYTES - RESOURCE_LARGE_HEADER);
    put_byte(aml, RESOURCE_TYPE_MEMORY);
    put_byte(aml, RESOURCE_FIXED_WINDOW);
    put_byte(aml, RESOURCE_READ_WRITE);
    put_dword(aml, 0); /* granularity */
    put_dword(aml, base);
    put_dword(aml, base + length_bytes - 1);
    put_dword(aml, 0); /* translation */
    put_dword(aml, length_bytes);
    end_resources(aml, mark);
}
