/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that can be had again, for tests on generated input, and how many of them a run makes.
 */
#ifndef UNIT_GENERATED_H
#define UNIT_GENERATED_H

#include <stdint.h>

/** A generator; the same seed gives the same numbers on every machine. */
struct generated {
    uint64_t state;
};

/** Begins at `seed`, any number. */
void generated_begin(struct generated *generated, uint64_t seed);

/** The next 64 bits. */
uint64_t generated_next(struct generated *generated);

/** A number below `limit`, which is not 0. */
unsigned generated_below(struct generated *generated, unsigned limit);

/** How many cases to make: what PARTITA_COUNT in the environment says, else `usual`. */
uint64_t generated_count(uint64_t usual);

/**
 * The seed of this run, printed: what PARTITA_SEED in the environment says. Without it a new one if PARTITA_COUNT is
 * there, else always the same.
 */
uint64_t generated_seed(void);

#endif
