/* SPDX-License-Identifier: MIT */
#ifndef TIME_SCALE_H
#define TIME_SCALE_H

/* Conversions between clocks without overflow. Builds hosted. */

#include <stdint.h>

/* value * multiplier / divisor with a 128-bit product, rounded down; UINT64_MAX if that does not fit 64 bits. */
static inline uint64_t scale_multiply_divide(uint64_t value, uint64_t multiplier, uint64_t divisor)
{
    uint64_t low, high, quotient;

    __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(value), "rm"(multiplier) : "cc");
    if (high >= divisor) {
        return UINT64_MAX;
    }
    __asm__("divq %2" : "=a"(quotient), "+d"(high) : "rm"(divisor), "0"(low) : "cc");
    return quotient;
}

/* A TSC's relation to 100 ns units since boot. */
struct time_scale {
    uint64_t base_tsc; /* TSC at time 0 */
    uint64_t hz;
};

/* 100 ns units from base_tsc to `tsc`, rounded down; 0 for earlier ones, UINT64_MAX if it does not fit. */
uint64_t scale_to_100ns(const struct time_scale *scale, uint64_t tsc);

/* The first TSC value at which scale_to_100ns() is at least `time`; UINT64_MAX if it does not fit. */
uint64_t scale_to_tsc(const struct time_scale *scale, uint64_t time);

#endif
