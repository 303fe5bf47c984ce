/* SPDX-License-Identifier: MIT */
/* Arithmetic between TSC values and time. Which TSC, and how fast, others know. */
#include "hv/time/scale.h"

#include "hv/lib/range.h"

#define UNITS_PER_SECOND 10000000u /* of 100 ns */

uint64_t scale_to_100ns(const struct time_scale *scale, uint64_t tsc)
{
    return tsc <= scale->base_tsc ? 0 : scale_multiply_divide(tsc - scale->base_tsc, UNITS_PER_SECOND, scale->hz);
}

uint64_t scale_to_tsc(const struct time_scale *scale, uint64_t time)
{
    uint64_t ticks = scale_multiply_divide(time, scale->hz, UNITS_PER_SECOND);
    uint64_t tsc;

    /* Rounded down it may lie one tick before the wanted time. */
    if (ticks != UINT64_MAX && scale_multiply_divide(ticks, UNITS_PER_SECOND, scale->hz) < time) {
        ticks++;
    }
    return ticks != UINT64_MAX && range_add_u64(scale->base_tsc, ticks, &tsc) ? tsc : UINT64_MAX;
}
