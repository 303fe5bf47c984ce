/* SPDX-License-Identifier: MIT */
/*
 * Bitmaps over 64-bit words, bit n being bit n % 64 of word n / 64. Functions
 * with `atomic` in the name may race with each other on one word; the others
 * want a lock or an owner. A bit number is always below the size: the caller
 * has checked it.
 */
#ifndef LIB_BITMAP_H
#define LIB_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_BITS_PER_WORD 64u
/* Words that hold `bits` bits; an integer constant expression for constant bits. */
#define BITMAP_WORDS(bits)   (((bits) + BITMAP_BITS_PER_WORD - 1u) / BITMAP_BITS_PER_WORD)
/* What the find functions return when there is no such bit. */
#define BITMAP_NONE          SIZE_MAX

static inline uint64_t bitmap_bit(size_t bit)
{
    return UINT64_C(1) << (bit % BITMAP_BITS_PER_WORD);
}

static inline bool bitmap_test(const uint64_t *words, size_t bit)
{
    return (words[bit / BITMAP_BITS_PER_WORD] & bitmap_bit(bit)) != 0;
}

static inline void bitmap_set(uint64_t *words, size_t bit)
{
    words[bit / BITMAP_BITS_PER_WORD] |= bitmap_bit(bit);
}

static inline void bitmap_clear(uint64_t *words, size_t bit)
{
    words[bit / BITMAP_BITS_PER_WORD] &= ~bitmap_bit(bit);
}

static inline void bitmap_assign(uint64_t *words, size_t bit, bool value)
{
    if (value) {
        bitmap_set(words, bit);
    } else {
        bitmap_clear(words, bit);
    }
}

/* Clears all bits of a bitmap of `size_bits`, the unused ones of the last word included. */
static inline void bitmap_zero(uint64_t *words, size_t size_bits)
{
    for (size_t i = 0; i < BITMAP_WORDS(size_bits); i++) {
        words[i] = 0;
    }
}

static inline void bitmap_set_range(uint64_t *words, size_t first_bit, size_t count)
{
    for (size_t bit = first_bit; bit - first_bit < count; bit++) {
        bitmap_set(words, bit);
    }
}

static inline void bitmap_clear_range(uint64_t *words, size_t first_bit, size_t count)
{
    for (size_t bit = first_bit; bit - first_bit < count; bit++) {
        bitmap_clear(words, bit);
    }
}

/* The bits of word `index` that belong to a bitmap of `size_bits`. */
static inline uint64_t bitmap_valid_bits(size_t index, size_t size_bits)
{
    size_t left = size_bits - index * BITMAP_BITS_PER_WORD;

    return left >= BITMAP_BITS_PER_WORD ? UINT64_MAX : (UINT64_C(1) << left) - 1;
}

/* The lowest bit at or above `from` that is set (`inverted` false) or clear (true), or BITMAP_NONE. */
static inline size_t bitmap_find_from(const uint64_t *words, size_t size_bits, size_t from, bool inverted)
{
    if (from >= size_bits) {
        return BITMAP_NONE;
    }

    size_t index = from / BITMAP_BITS_PER_WORD;
    uint64_t below_from = bitmap_bit(from) - 1;

    for (; index < BITMAP_WORDS(size_bits); index++) {
        uint64_t word = (inverted ? ~words[index] : words[index]) & bitmap_valid_bits(index, size_bits) & ~below_from;

        if (word != 0) {
            return index * BITMAP_BITS_PER_WORD + (size_t)__builtin_ctzll(word);
        }
        below_from = 0;
    }
    return BITMAP_NONE;
}

/* The lowest set bit, or BITMAP_NONE. */
static inline size_t bitmap_find_first(const uint64_t *words, size_t size_bits)
{
    return bitmap_find_from(words, size_bits, 0, false);
}

/* The lowest set bit at or above `from`, or BITMAP_NONE. */
static inline size_t bitmap_find_next(const uint64_t *words, size_t size_bits, size_t from)
{
    return bitmap_find_from(words, size_bits, from, false);
}

/* The lowest clear bit, or BITMAP_NONE. */
static inline size_t bitmap_find_first_clear(const uint64_t *words, size_t size_bits)
{
    return bitmap_find_from(words, size_bits, 0, true);
}

/* The highest set bit, or BITMAP_NONE. */
static inline size_t bitmap_find_last(const uint64_t *words, size_t size_bits)
{
    for (size_t index = BITMAP_WORDS(size_bits); index-- > 0;) {
        uint64_t word = words[index] & bitmap_valid_bits(index, size_bits);

        if (word != 0) {
            return index * BITMAP_BITS_PER_WORD + (BITMAP_BITS_PER_WORD - 1u) - (size_t)__builtin_clzll(word);
        }
    }
    return BITMAP_NONE;
}

/* Number of set bits. */
static inline size_t bitmap_count(const uint64_t *words, size_t size_bits)
{
    size_t count = 0;

    for (size_t index = 0; index < BITMAP_WORDS(size_bits); index++) {
        uint64_t word = words[index] & bitmap_valid_bits(index, size_bits);

        /* Not __builtin_popcountll: without the instruction it becomes a library call. */
        for (; word != 0; word &= word - 1) {
            count++;
        }
    }
    return count;
}

static inline bool bitmap_is_empty(const uint64_t *words, size_t size_bits)
{
    return bitmap_find_first(words, size_bits) == BITMAP_NONE;
}

/* Reads one bit; acquires what its setter released. */
static inline bool bitmap_atomic_test(const uint64_t *words, size_t bit)
{
    return (__atomic_load_n(&words[bit / BITMAP_BITS_PER_WORD], __ATOMIC_ACQUIRE) & bitmap_bit(bit)) != 0;
}

/* Sets the bit and returns its former value; a full barrier. */
static inline bool bitmap_atomic_test_and_set(uint64_t *words, size_t bit)
{
    uint64_t mask = bitmap_bit(bit);

    return (__atomic_fetch_or(&words[bit / BITMAP_BITS_PER_WORD], mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

/* Clears the bit and returns its former value; a full barrier. */
static inline bool bitmap_atomic_test_and_clear(uint64_t *words, size_t bit)
{
    uint64_t mask = bitmap_bit(bit);

    return (__atomic_fetch_and(&words[bit / BITMAP_BITS_PER_WORD], ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

static inline void bitmap_atomic_set(uint64_t *words, size_t bit)
{
    (void)bitmap_atomic_test_and_set(words, bit);
}

static inline void bitmap_atomic_clear(uint64_t *words, size_t bit)
{
    (void)bitmap_atomic_test_and_clear(words, bit);
}

/* Takes all bits of word `index`, leaving zero. */
static inline uint64_t bitmap_atomic_take_word(uint64_t *words, size_t index)
{
    return __atomic_exchange_n(&words[index], UINT64_C(0), __ATOMIC_SEQ_CST);
}

#endif
