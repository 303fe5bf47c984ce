/* SPDX-License-Identifier: MIT */
/*
 * Checked arithmetic on addresses, sizes and counts from outside. Every function
 * that can overflow returns false then and leaves *out alone. A range is a base
 * and a length; the empty range contains nothing and overlaps nothing.
 */
#ifndef LIB_RANGE_H
#define LIB_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/* *out = a + b unless that overflows. */
MUST_CHECK static inline bool range_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;

    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

/* *out = a - b unless that is negative. */
MUST_CHECK static inline bool range_sub_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    if (b > a) {
        return false;
    }
    *out = a - b;
    return true;
}

/* *out = a * b unless that overflows. */
MUST_CHECK static inline bool range_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;

    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

/* *out = a + b in 32 bits unless that overflows. */
MUST_CHECK static inline bool range_add_u32(uint32_t a, uint32_t b, uint32_t *out)
{
    uint32_t sum;

    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

/* *out = a * b in 32 bits unless that overflows. */
MUST_CHECK static inline bool range_mul_u32(uint32_t a, uint32_t b, uint32_t *out)
{
    uint32_t product;

    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

/* *out = a + b in size_t unless that overflows. */
MUST_CHECK static inline bool range_add_size(size_t a, size_t b, size_t *out)
{
    size_t sum;

    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

/* *out = a * b in size_t unless that overflows. */
MUST_CHECK static inline bool range_mul_size(size_t a, size_t b, size_t *out)
{
    size_t product;

    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

/* *out = value rounded up to `alignment`, a power of two, unless that overflows. */
MUST_CHECK static inline bool range_align_up_u64(uint64_t value, uint64_t alignment, uint64_t *out)
{
    uint64_t sum;

    if (__builtin_add_overflow(value, alignment - 1, &sum)) {
        return false;
    }
    *out = sum & ~(alignment - 1);
    return true;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Base and length describe bytes that exist: the last one is at most UINT64_MAX. */
static inline bool range_is_valid(uint64_t base, uint64_t length)
{
    return length == 0 || base <= UINT64_MAX - (length - 1);
}

/* The `length` bytes at `at` lie inside the `size` bytes at `base`; an empty piece lies where its address does. */
static inline bool range_contains(uint64_t base, uint64_t size, uint64_t at, uint64_t length)
{
    return at >= base && at - base <= size && length <= size - (at - base);
}

/* The address lies inside the `size` bytes at `base`. */
static inline bool range_contains_address(uint64_t base, uint64_t size, uint64_t at)
{
    return at >= base && at - base < size;
}

/* The two ranges have a byte in common. Neither may wrap (range_is_valid). */
static inline bool range_overlaps(uint64_t a_base, uint64_t a_size, uint64_t b_base, uint64_t b_size)
{
    if (a_size == 0 || b_size == 0) {
        return false;
    }
    return a_base <= b_base ? b_base - a_base < a_size : a_base - b_base < b_size;
}

#endif
