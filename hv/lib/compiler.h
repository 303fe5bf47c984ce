/* SPDX-License-Identifier: MIT */
/*
 * Compiler attributes and builtins under names of ours. Everything that is not
 * plain C and not inline assembly of one processor comes from here, so that a
 * compiler change is a change of one file.
 */
#ifndef LIB_COMPILER_H
#define LIB_COMPILER_H

#include <stddef.h>
#include <stdint.h>

/* Products of two 64-bit numbers. */
__extension__ typedef unsigned __int128 wide_t;

/* The caller has to look at the result. */
#define MUST_CHECK                             __attribute__((warn_unused_result))
#define NORETURN                               __attribute__((noreturn))
#define PACKED                                 __attribute__((packed))
#define ALIGNED(bytes)                         __attribute__((aligned(bytes)))
/* May stay unused without a warning. */
#define UNUSED                                 __attribute__((unused))
/* Is kept by the compiler although nothing in C refers to it. */
#define USED                                   __attribute__((used))
#define WEAK                                   __attribute__((weak))
#define NOINLINE                               __attribute__((noinline))
#define ALWAYS_INLINE                          inline __attribute__((always_inline))
#define SECTION(name)                          __attribute__((section(name)))
#define COLD                                   __attribute__((cold))
/* Argument number `format_index` is a printf format, its values begin at `first_index`. */
#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#define FALLTHROUGH                            __attribute__((fallthrough))

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define UNREACHABLE()       __builtin_unreachable()

/*
 * Marks a pointer into guest memory. clang refuses to dereference it; gcc has
 * no such notion and checks nothing. Use GUEST_CAST to enter or leave it.
 */
#if defined(__clang__)
#define GUEST __attribute__((noderef, address_space(1)))
#else
#define GUEST
#endif
/* Convert between guest and ordinary pointers; only the guest copy files may. */
#define GUEST_CAST(type, pointer) ((type)(uintptr_t)(pointer))

/* Keeps the compiler from moving memory accesses across; no instruction is emitted. */
#define COMPILER_BARRIER() __asm__ __volatile__("" ::: "memory")

/* One access, neither repeated nor left out by the compiler; no ordering is implied. */
#define READ_ONCE(object)             (*(const volatile __typeof__(object) *)&(object))
#define WRITE_ONCE(object, new_value) (*(volatile __typeof__(object) *)&(object) = (new_value))

#define ARRAY_SIZE(array)                                                                                              \
    (sizeof(array) / sizeof((array)[0]) +                                                                              \
     0 * sizeof(char[1 - 2 * __builtin_types_compatible_p(__typeof__(array), __typeof__(&(array)[0]))]))

#define MEMBER_SIZE(type, member) sizeof(((type *)0)->member)

/* The struct of `type` whose member `member` is at `pointer` (not const). */
#define CONTAINER_OF(pointer, type, member)                                                                            \
    ((type *)(void *)((char *)(1 ? (pointer) : (__typeof__(((type *)0)->member) *)0) - offsetof(type, member)))

/* Evaluate their arguments twice: not for expressions with effects. Typed functions are in range.h. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/*
 * All ones when index < size, else zero, computed without a branch, so that no
 * speculated execution sees another answer.
 */
static inline size_t array_index_mask_nospec(size_t index, size_t size)
{
    size_t mask;

    __asm__ __volatile__("cmp %2, %1; sbb %0, %0" : "=r"(mask) : "r"(index), "r"(size) : "cc");
    return mask;
}

/*
 * An index that came from outside, to be called behind the bounds check: returns
 * the index itself when it is below size, and 0 on a mispredicted path.
 */
static inline size_t array_index_nospec(size_t index, size_t size)
{
    return index & array_index_mask_nospec(index, size);
}

#endif
