/* SPDX-License-Identifier: MIT */
/*
 * Per-processor queues of one-shot timers, sorted by deadline. A timer is in at most one queue: the one that its `cpu`
 * names. Functions run without the queue's lock, so they may arm and cancel timers, their own included. Builds hosted.
 */
#include "hv/time/time.h"

#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/irq/irq.h"
#include "hv/sync/spinlock.h"
#include "hv/time/timer_queue.h"

/*
 * A function that keeps re-arming for the past must not hold its processor for ever; the rest fires with the next
 * interrupt.
 */
#define RUN_MAX 64

/* One processor's timers. */
struct ALIGNED(64) timer_queue {
    struct spinlock lock;
    struct list timers;          /* [lock] by deadline */
    const struct timer *running; /* [C] whose function runs on this processor now, or null */
};

static struct timer_queue queues[CPU_MAX];

void timer_queue_init(void)
{
    struct timer_queue *queue = &queues[cpu_this()->index];

    spin_init(&queue->lock, LOCK_RANK_TIMER, "timer queue");
    list_init(&queue->timers);
    queue->running = NULL;
}

static struct timer *timer_of(struct list_node *node)
{
    return CONTAINER_OF(node, struct timer, node);
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    list_node_init(&timer->node);
    timer->deadline_tsc = 0;
    timer->fire = fire;
    atomic_init(&timer->cpu, NULL);
    atomic_init(&timer->running_count, 0);
}

bool timer_is_armed(const struct timer *timer)
{
    return atomic_load(&timer->cpu) != NULL;
}

/* Sets this processor's hardware for the first of its queue. */
static void set_hardware_locked(const struct timer_queue *queue)
{
    struct list_node *first = list_first(&queue->timers);
    uint64_t deadline = first == NULL ? 0 : timer_of(first)->deadline_tsc;

    /* 0 would disarm. */
    lapic_timer_set(first != NULL && deadline == 0 ? 1 : deadline);
}

/* Takes the timer out of whatever queue it is in. Another processor's hardware may fire once for nothing. */
static void take_out(struct timer *timer)
{
    struct cpu *cpu = atomic_load(&timer->cpu);

    while (cpu != NULL) {
        struct timer_queue *queue = &queues[cpu->index];
        spin_lock(&queue->lock);
        if (atomic_load(&timer->cpu) == cpu) {
            list_remove(&timer->node);
            atomic_store(&timer->cpu, NULL);
        }
        spin_unlock(&queue->lock);
        cpu = atomic_load(&timer->cpu);
    }
}

static void insert_locked(struct timer_queue *queue, struct timer *timer)
{
    struct list_node *position = list_first(&queue->timers);

    while (position != NULL && timer_of(position)->deadline_tsc <= timer->deadline_tsc) {
        position = list_next(&queue->timers, position);
    }
    if (position == NULL) {
        list_add_tail(&queue->timers, &timer->node);
    } else {
        list_add_before(position, &timer->node);
    }
}

void timer_arm(struct timer *timer, uint64_t deadline_tsc)
{
    struct cpu *cpu = cpu_this();
    struct timer_queue *queue = &queues[cpu->index];
    bool is_mine = false;

    while (!is_mine) {
        struct cpu *nobody = NULL;
        take_out(timer);
        spin_lock(&queue->lock);
        /* Fails if another processor has armed it since: then it is taken from there again. */
        is_mine = atomic_compare_exchange_strong(&timer->cpu, &nobody, cpu);
        if (is_mine) {
            timer->deadline_tsc = deadline_tsc;
            insert_locked(queue, timer);
            if (list_first(&queue->timers) == &timer->node) {
                set_hardware_locked(queue);
            }
        }
        spin_unlock(&queue->lock);
    }
    trace(TRACE_TIMER, 0, deadline_tsc, 0);
}

void timer_cancel(struct timer *timer)
{
    take_out(timer);
    /* In its own function this processor counts for one. */
    uint32_t own = queues[cpu_this()->index].running == timer ? 1 : 0;
    /* Pairs with the release in timer_queue_run(): what the function wrote is visible then. */
    while (atomic_load_explicit(&timer->running_count, memory_order_acquire) > own) {
        __builtin_ia32_pause();
    }
}

/* Takes the first timer out if it is due; null otherwise. It counts as running from then on. */
static struct timer *take_due(struct timer_queue *queue)
{
    struct timer *timer = NULL;

    spin_lock(&queue->lock);
    struct list_node *first = list_first(&queue->timers);
    if (first != NULL && timer_of(first)->deadline_tsc <= time_tsc()) {
        timer = timer_of(first);
        list_remove(first);
        /* Before `cpu` says that it is in no queue: a cancel looks at them in this order. */
        atomic_fetch_add(&timer->running_count, 1);
        atomic_store(&timer->cpu, NULL);
    }
    spin_unlock(&queue->lock);
    return timer;
}

void timer_queue_run(void)
{
    struct timer_queue *queue = &queues[cpu_this()->index];

    for (uint32_t i = 0; i < RUN_MAX; i++) {
        struct timer *timer = take_due(queue);
        if (timer == NULL) {
            break;
        }
        queue->running = timer;
        timer->fire(timer);
        queue->running = NULL;
        /* The last touch: a canceller that waited may free it now. */
        atomic_fetch_sub_explicit(&timer->running_count, 1, memory_order_release);
    }
    spin_lock(&queue->lock);
    set_hardware_locked(queue);
    spin_unlock(&queue->lock);
}
