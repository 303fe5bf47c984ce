/* SPDX-License-Identifier: MIT */
#ifndef SYNC_SPINLOCK_H
#define SYNC_SPINLOCK_H

/*
 * Ticket spin locks with ranks. Interrupts are always off when the hypervisor holds one. A lock may be taken only while
 * every lock held by this processor has a lower rank; docs/locking.md lists the ranks. Debug builds check.
 */

#include <stdatomic.h>
#include <stdint.h>

/* Ranks, lowest first: what may be taken while holding what. */
enum lock_rank {
    LOCK_RANK_PARTITION_TABLE = 10, /* the list of partitions and their lifecycle */
    LOCK_RANK_PARTITION = 20,       /* one partition's objects */
    LOCK_RANK_GPA_SPACE = 30,       /* second-level tables and overlays */
    LOCK_RANK_VP = 40,              /* one VP's run state */
    LOCK_RANK_SYNIC = 50,           /* one VP's message queues and event flags */
    LOCK_RANK_APIC = 60,            /* one virtual APIC */
    LOCK_RANK_FLUSH = 65,           /* what is to be flushed of one VP */
    LOCK_RANK_DEPOSIT = 70,         /* one partition's deposited pages */
    LOCK_RANK_TIMER = 80,           /* one processor's timer queue */
    LOCK_RANK_IRQ = 85,             /* device vector tables */
    LOCK_RANK_PAGE_POOL = 90,
    LOCK_RANK_LOG = 100,
};

/* A ticket lock. Initialise with SPINLOCK_INIT(rank, name) or spin_init(). */
struct spinlock {
    _Atomic uint32_t next;    /* [a] next ticket to hand out */
    _Atomic uint32_t serving; /* [a] ticket that holds the lock */
    uint32_t rank;            /* [I] enum lock_rank */
    const char *name;         /* [I] */
};

#define SPINLOCK_INIT(rank_value, name_text)                                                                           \
    {                                                                                                                  \
        .next = 0, .serving = 0, .rank = (rank_value), .name = (name_text)                                             \
    }

/* Makes a lock in memory that is not statically initialised. */
void spin_init(struct spinlock *lock, enum lock_rank rank, const char *name);

/* Takes the lock; waits by spinning. */
void spin_lock(struct spinlock *lock);

/* Releases it. */
void spin_unlock(struct spinlock *lock);

#endif
