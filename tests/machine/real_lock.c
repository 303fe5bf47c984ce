/* SPDX-License-Identifier: MIT */
/*
 * hv/sync/spinlock.c as it is, but for one thing: a host thread that waits gives its processor away, since the next
 * holder of a ticket lock may be waiting for one.
 */
#include <sched.h>
#include <string.h>

#include "hv/cpu/asm.h"

#define pause() ((void)sched_yield())
#include "hv/sync/spinlock.c"
#undef pause

#include "tests/machine/machine.h"
#include "tests/machine/private.h"

/* A test that ended in a panic may have left some held. */
void machine_reset_locks(void)
{
    memset(held, 0, sizeof(held));
}

uint32_t machine_locks_held(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < CPU_MAX; i++) {
        count += held[i].count;
    }
    return count;
}
