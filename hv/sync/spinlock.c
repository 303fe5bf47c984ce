/* SPDX-License-Identifier: MIT */
/*
 * Ticket locks, and in debug builds the check of their ranks. What protects what is written in docs/locking.md, not
 * here.
 */
#include "hv/sync/spinlock.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"

#define HELD_MAX 12

/* The locks that one processor holds, in the order taken. [C] */
struct ALIGNED(64) held_locks {
    uint32_t count;
    const struct spinlock *locks[HELD_MAX];
};

static struct held_locks held[CPU_MAX];

void spin_init(struct spinlock *lock, enum lock_rank rank, const char *name)
{
    *lock = (struct spinlock)SPINLOCK_INIT(rank, name);
}

/* Before waiting: the last one held has the highest rank, since each was checked when it was taken. */
static void check_before_lock(const struct spinlock *lock)
{
    const struct held_locks *mine = &held[cpu_this()->index];

    for (uint32_t i = 0; i < mine->count; i++) {
        if (UNLIKELY(mine->locks[i]->rank >= lock->rank)) {
            panic("lock \"%s\" (rank %u) wanted while \"%s\" (rank %u) is held", lock->name, lock->rank,
                  mine->locks[i]->name, mine->locks[i]->rank);
        }
    }
    if (UNLIKELY(mine->count == HELD_MAX)) {
        panic("lock \"%s\" wanted while %u others are held", lock->name, mine->count);
    }
}

static void note_locked(const struct spinlock *lock)
{
    struct held_locks *mine = &held[cpu_this()->index];

    mine->locks[mine->count] = lock;
    mine->count++;
}

/* Locks need not be released in reverse order. */
static void note_unlocking(const struct spinlock *lock)
{
    struct held_locks *mine = &held[cpu_this()->index];
    uint32_t at = mine->count;

    while (at > 0 && mine->locks[at - 1] != lock) {
        at--;
    }
    if (UNLIKELY(at == 0)) {
        panic("lock \"%s\" released by a processor that does not hold it", lock->name);
    }
    for (; at < mine->count; at++) {
        mine->locks[at - 1] = mine->locks[at];
    }
    mine->count--;
}

void spin_lock(struct spinlock *lock)
{
    if (DEBUG_CHECKS) {
        check_before_lock(lock);
    }
    uint32_t ticket = atomic_fetch_add_explicit(&lock->next, 1, memory_order_relaxed);
    /* Pairs with the release in spin_unlock(). */
    while (atomic_load_explicit(&lock->serving, memory_order_acquire) != ticket) {
        pause();
    }
    if (DEBUG_CHECKS) {
        note_locked(lock);
    }
}

void spin_unlock(struct spinlock *lock)
{
    if (DEBUG_CHECKS) {
        note_unlocking(lock);
    }
    uint32_t serving = atomic_load_explicit(&lock->serving, memory_order_relaxed);
    /* Pairs with the acquire in spin_lock(). */
    atomic_store_explicit(&lock->serving, serving + 1, memory_order_release);
}
