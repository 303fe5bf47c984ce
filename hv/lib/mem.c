/* SPDX-License-Identifier: MIT */
/*
 * The functions of the C library that freestanding images need because the
 * compiler emits calls to them, and the few string functions beside them. Left
 * out of hosted builds. Bulk work is done by string instructions: short, fast on
 * processors, and nothing that the compiler could turn back into a call of the
 * very function. The direction flag is clear by the ABI; it is never set here,
 * so an interrupt in the middle finds it clear too.
 */
#include "hv/lib/str.h"

#include "hv/lib/compiler.h"

/* Hides a value from the compiler, so that it does not recognise a loop as the library function it implements. */
#define OPAQUE(variable) __asm__ __volatile__("" : "+r"(variable))

/* A quadword of whatever type lies there, at any address. */
typedef uint64_t __attribute__((may_alias, aligned(1))) unaligned_qword;

void *memcpy(void *restrict destination, const void *restrict source, size_t size_bytes)
{
    void *to = destination;
    const void *from = source;
    size_t qwords = size_bytes / sizeof(uint64_t);
    size_t tail_bytes = size_bytes % sizeof(uint64_t);

    __asm__ __volatile__("rep movsq" : "+D"(to), "+S"(from), "+c"(qwords) : : "memory");
    __asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(tail_bytes) : : "memory");
    return destination;
}

void *memmove(void *destination, const void *source, size_t size_bytes)
{
    unsigned char *to = destination;
    const unsigned char *from = source;
    size_t left = size_bytes;

    /* Upwards is right unless the destination begins inside the source. */
    if ((uintptr_t)destination - (uintptr_t)source >= size_bytes) {
        return memcpy(destination, source, size_bytes);
    }
    while (left % sizeof(uint64_t) != 0) {
        left--;
        to[left] = from[left];
        OPAQUE(left);
    }
    while (left != 0) {
        left -= sizeof(uint64_t);
        OPAQUE(left);
        *(unaligned_qword *)(void *)(to + left) = *(const unaligned_qword *)(const void *)(from + left);
    }
    return destination;
}

void *memset(void *destination, int byte, size_t size_bytes)
{
    void *to = destination;
    uint64_t pattern = (uint64_t)(unsigned char)byte * UINT64_C(0x0101010101010101);
    size_t qwords = size_bytes / sizeof(uint64_t);
    size_t tail_bytes = size_bytes % sizeof(uint64_t);

    __asm__ __volatile__("rep stosq" : "+D"(to), "+c"(qwords) : "a"(pattern) : "memory");
    __asm__ __volatile__("rep stosb" : "+D"(to), "+c"(tail_bytes) : "a"(pattern) : "memory");
    return destination;
}

int memcmp(const void *a, const void *b, size_t size_bytes)
{
    const unsigned char *left = a;
    const unsigned char *right = b;

    for (size_t i = 0; i < size_bytes; i++) {
        if (left[i] != right[i]) {
            return (int)left[i] - (int)right[i];
        }
        OPAQUE(i);
    }
    return 0;
}

size_t strlen(const char *string)
{
    size_t length = 0;

    while (string[length] != '\0') {
        length++;
        OPAQUE(length);
    }
    return length;
}

size_t strnlen(const char *string, size_t limit)
{
    size_t length = 0;

    while (length < limit && string[length] != '\0') {
        length++;
        OPAQUE(length);
    }
    return length;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t limit)
{
    for (size_t i = 0; i < limit; i++) {
        unsigned char left = (unsigned char)a[i];
        unsigned char right = (unsigned char)b[i];

        if (left != right || left == '\0') {
            return (int)left - (int)right;
        }
        OPAQUE(i);
    }
    return 0;
}
