/* SPDX-License-Identifier: MIT */
#include "tests/unit/generated.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define USUAL_SEED 0x0ddc0ffee0ddf00dull

void generated_begin(struct generated *generated, uint64_t seed)
{
    /* The xorshift generator must not begin at zero, and near seeds shall not give near numbers. */
    generated->state = (seed + 1) * 0x9e3779b97f4a7c15ull;
    generated->state ^= generated->state >> 31;
    if (generated->state == 0) {
        generated->state = USUAL_SEED;
    }
}

uint64_t generated_next(struct generated *generated)
{
    uint64_t state = generated->state;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    generated->state = state;
    return state * 0x2545f4914f6cdd1dull;
}

unsigned generated_below(struct generated *generated, unsigned limit)
{
    return (unsigned)((generated_next(generated) >> 33) % limit);
}

uint64_t generated_count(uint64_t usual)
{
    const char *text = getenv("PARTITA_COUNT");

    return text != NULL ? strtoull(text, NULL, 0) : usual;
}

uint64_t generated_seed(void)
{
    const char *text = getenv("PARTITA_SEED");
    uint64_t seed = USUAL_SEED;

    if (text != NULL) {
        seed = strtoull(text, NULL, 0);
    } else if (getenv("PARTITA_COUNT") != NULL && getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
        abort();
    }
    fprintf(stderr, "PARTITA_SEED=%#llx\n", (unsigned long long)seed);
    return seed;
}
