/* SPDX-License-Identifier: MIT */
#include "hv/partition/rcu.h"

#include <stdatomic.h>
#include <stdint.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"

/*
 * Grace periods for objects that are looked up without a lock. Readers are bounded (a hypercall or a part of one), so
 * waiting for them is too; a processor that waits is no reader itself, so two that wait never wait for each other.
 */

/* One processor's reading: odd while it reads. */
struct rcu_cpu {
    _Atomic uint64_t sequence; /* [a] */
    unsigned int depth;        /* [C] */
    uint8_t padding[48];       /* one cache line each */
};

static struct rcu_cpu readers[CPU_MAX];

static struct rcu_cpu *this_reader(void)
{
    return &readers[cpu_this()->index];
}

static void step(struct rcu_cpu *reader)
{
    /* Pairs with the loads in rcu_wait(): the reader's lookups come behind, its unlinking writers before. */
    (void)atomic_fetch_add_explicit(&reader->sequence, 1, memory_order_seq_cst);
}

void rcu_enter(void)
{
    struct rcu_cpu *reader = this_reader();

    if (reader->depth++ == 0) {
        step(reader);
    }
}

void rcu_leave(void)
{
    struct rcu_cpu *reader = this_reader();

    if (--reader->depth == 0) {
        step(reader);
    }
}

unsigned int rcu_suspend(void)
{
    struct rcu_cpu *reader = this_reader();
    unsigned int depth = reader->depth;

    if (depth != 0) {
        reader->depth = 0;
        step(reader);
    }
    return depth;
}

void rcu_resume(unsigned int depth)
{
    struct rcu_cpu *reader = this_reader();

    if (depth != 0) {
        reader->depth = depth;
        step(reader);
    }
}

void rcu_wait(void)
{
    unsigned int depth = rcu_suspend();
    uint32_t self = cpu_this()->index;

    for (uint32_t i = 0; i < cpu_count(); i++) {
        uint64_t seen = atomic_load_explicit(&readers[i].sequence, memory_order_seq_cst);

        while (i != self && (seen & 1) != 0 &&
               atomic_load_explicit(&readers[i].sequence, memory_order_seq_cst) == seen) {
            pause();
        }
    }
    rcu_resume(depth);
}
