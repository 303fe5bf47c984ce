/* SPDX-License-Identifier: MIT */
#ifndef CHILD_BENCH_H
#define CHILD_BENCH_H

/* What the bench guest (bench.c) asks of whoever loads it: 64 MiB of RAM of which these ranges are not there before the
 * first touch. */

#define BENCH_MEMORY_BYTES (64u << 20)
/* Backed page by page of 4 KiB. */
#define BENCH_SMALL_START  (16u << 20)
#define BENCH_SMALL_END    (18u << 20)
/* Backed by pages of 2 MiB. */
#define BENCH_LARGE_START  (32u << 20)
#define BENCH_LARGE_END    (56u << 20)

#endif
