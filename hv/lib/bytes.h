/* SPDX-License-Identifier: MIT */
/*
 * Little-endian numbers at any address, for formats that are described by byte
 * offsets: firmware tables, boot protocols and file headers. Alignment does not
 * matter, and the caller has checked that the bytes are there.
 */
#ifndef LIB_BYTES_H
#define LIB_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint16_t get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (uint16_t)(bytes[1] << 8));
}

static inline uint32_t get_u32(const uint8_t *bytes)
{
    return (uint32_t)get_u16(bytes) | ((uint32_t)get_u16(bytes + 2) << 16);
}

static inline uint64_t get_u64(const uint8_t *bytes)
{
    return (uint64_t)get_u32(bytes) | ((uint64_t)get_u32(bytes + 4) << 32);
}

static inline void put_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static inline void put_u32(uint8_t *bytes, uint32_t value)
{
    put_u16(bytes, (uint16_t)value);
    put_u16(bytes + 2, (uint16_t)(value >> 16));
}

static inline void put_u64(uint8_t *bytes, uint64_t value)
{
    put_u32(bytes, (uint32_t)value);
    put_u32(bytes + 4, (uint32_t)(value >> 32));
}

/* Sum modulo 256; 0 of a firmware table that is whole. */
static inline uint8_t byte_sum(const uint8_t *bytes, size_t count)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    return sum;
}

#endif
