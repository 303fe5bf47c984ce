/* SPDX-License-Identifier: MIT */
/* hv/sync/spinlock.c as it is: it needs nothing that a hosted program lacks. */
#include "hv/sync/spinlock.c"

#include <string.h>

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
