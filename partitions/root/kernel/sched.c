/* SPDX-License-Identifier: MIT */
/* The run queue and the dispatch loop. A blocked VP waits for a VP signal; since the signal may come before the
 * dispatch has returned, signals are counted, and a VP blocks only when all of them are used. */
#include "partitions/root/kernel/sched.h"

#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_register.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "vmbus/host.h"

/* A VP that waits for another one's answer spins for as long as that one waits for a processor: so not much longer. */
#define SLICE_100NS       (2 * CLOCK_100NS_PER_MS)
#define SLICE_ALONE_100NS (20 * CLOCK_100NS_PER_MS)

static struct spinlock lock;
static struct list queue = LIST_INITIALISER(queue); /* [lock] */
static uint32_t pending_events;                     /* atomic */

/* [lock] Wakes a processor for a VP that was queued: the one it ran on if that is idle, else any. False: none is idle.
 */
static bool wake_processor(uint32_t preferred)
{
    uint32_t count = cpu_count();

    for (uint32_t i = 0; i < count; i++) {
        struct cpu *cpu = cpu_get((preferred + i) % count);

        if (cpu->is_idle != 0) {
            cpu->is_idle = 0;
            if (cpu != cpu_this()) {
                lapic_send(cpu->apic_id, TRAP_VECTOR_WAKE);
            }
            return true;
        }
    }
    return false;
}

/* [lock] In front if its turn is not over, else behind, for a new turn. */
static void enqueue(struct child_vp *vp)
{
    bool is_first = vp->slice_left_tsc > 0;

    vp->state = CHILD_VP_QUEUED;
    if (is_first) {
        list_add_head(&queue, &vp->node);
    } else {
        vp->slice_left_tsc = (int64_t)clock_tsc_ticks(SLICE_100NS);
        list_add_tail(&queue, &vp->node);
    }
    vp->was_woken = !wake_processor(vp->last_cpu) && is_first;
}

void sched_add(struct child_vp *vp)
{
    bool were_on = spin_lock_irq(&lock);

    enqueue(vp);
    spin_unlock_irq(&lock, were_on);
}

bool sched_stop_vm(struct child_vp *vps, uint32_t count)
{
    bool were_on = spin_lock_irq(&lock);
    bool is_stopped = true;

    for (uint32_t i = 0; i < count; i++) {
        if (vps[i].state == CHILD_VP_QUEUED) {
            list_remove(&vps[i].node);
        }
        if (vps[i].state == CHILD_VP_RUNNING) {
            is_stopped = false;
        } else {
            vps[i].state = CHILD_VP_STOPPED;
        }
    }
    spin_unlock_irq(&lock, were_on);
    return is_stopped;
}

uint64_t sched_blocked_signals(const struct child_vp *vps, uint32_t count)
{
    bool were_on = spin_lock_irq(&lock);
    bool is_blocked = true;
    uint64_t signals = 1;

    for (uint32_t i = 0; i < count; i++) {
        is_blocked = is_blocked && vps[i].state == CHILD_VP_BLOCKED;
        signals += vps[i].signals_received;
    }
    spin_unlock_irq(&lock, were_on);
    return is_blocked ? signals : 0;
}

void sched_forget(struct host_vm **vm)
{
    bool were_on = spin_lock_irq(&lock);

    *vm = NULL;
    spin_unlock_irq(&lock, were_on);
}

/* [lock] */
static void signal_vp(struct child_vp *vp)
{
    vp->signals_received++;
    if (vp->state == CHILD_VP_BLOCKED) {
        vp->signals_used = vp->signals_received;
        enqueue(vp);
    }
}

void sched_signal(uint64_t partition_id, uint32_t vp_index)
{
    bool were_on = spin_lock_irq(&lock);
    struct child_vp *vp = vm_find_vp(partition_id, vp_index);

    if (vp != NULL) {
        signal_vp(vp);
    }
    spin_unlock_irq(&lock, were_on);
}

void sched_kick(struct child_vp *vp)
{
    bool were_on = spin_lock_irq(&lock);

    signal_vp(vp);
    if (vp->state == CHILD_VP_RUNNING) {
        for (uint32_t i = 0; i < cpu_count(); i++) {
            if (cpu_get(i)->running == vp && cpu_get(i) != cpu_this()) {
                lapic_send(cpu_get(i)->apic_id, TRAP_VECTOR_WAKE);
            }
        }
    }
    spin_unlock_irq(&lock, were_on);
}

void sched_raise(uint32_t events)
{
    (void)__atomic_fetch_or(&pending_events, events, __ATOMIC_SEQ_CST);
    if (cpu_this()->index != 0) {
        lapic_send(cpu_get(0)->apic_id, TRAP_VECTOR_WAKE);
    }
}

static void serve_events(void)
{
    if (cpu_this()->index == 0 && __atomic_load_n(&pending_events, __ATOMIC_RELAXED) != 0) {
        main_events(__atomic_exchange_n(&pending_events, 0u, __ATOMIC_SEQ_CST));
    }
}

/* [lock] The queued VP that fits this processor best, or null. */
static struct child_vp *choose(const struct cpu *cpu)
{
    struct list_node *first = list_first(&queue);

    LIST_FOR_EACH(node, &queue)
    {
        struct child_vp *vp = CONTAINER_OF(node, struct child_vp, node);

        if (vp->was_woken || vp->last_cpu == cpu->index) {
            return vp;
        }
    }
    return first == NULL ? NULL : CONTAINER_OF(first, struct child_vp, node);
}

/* The next VP for this processor; waits when there is none, and then returns null. */
static struct child_vp *pick(void)
{
    struct cpu *cpu = cpu_this();
    bool were_on = spin_lock_irq(&lock);
    struct child_vp *vp = choose(cpu);

    if (vp != NULL) {
        list_remove(&vp->node);
        vp->state = CHILD_VP_RUNNING;
        vp->last_cpu = cpu->index;
        cpu->running = vp;
    } else if (cpu->index != 0 || __atomic_load_n(&pending_events, __ATOMIC_SEQ_CST) == 0) {
        /* From here on whoever queues a VP sends an interrupt; one that comes before the wait is kept back and ends it.
         */
        cpu->is_idle = 1;
        spin_unlock(&lock);
        irq_wait();
        spin_lock(&lock);
        cpu->is_idle = 0;
    }
    spin_unlock_irq(&lock, were_on);
    return vp;
}

/* [lock] Takes the VP off this processor; its turn ends or would have ended at this time. */
static void take_off(struct child_vp *vp, enum child_vp_state state, uint64_t slice_end_tsc)
{
    cpu_this()->running = NULL;
    vp->state = state;
    vp->slice_left_tsc = (int64_t)(slice_end_tsc - rdtsc());
}

/* The VP has nothing to run. False: a signal has come already, it goes on. */
static bool block(struct child_vp *vp, uint64_t slice_end_tsc)
{
    bool were_on = spin_lock_irq(&lock);
    bool may_block = vp->signals_used == vp->signals_received;

    vp->signals_used = vp->signals_received;
    if (may_block) {
        take_off(vp, CHILD_VP_BLOCKED, slice_end_tsc);
    }
    spin_unlock_irq(&lock, were_on);
    return may_block;
}

/* Makes room for another VP if this one's turn is over, or if one was woken that has not used up its own. */
static bool yield(struct child_vp *vp, uint64_t slice_end_tsc)
{
    bool were_on = spin_lock_irq(&lock);
    struct list_node *first = list_first(&queue);
    struct child_vp *next = first == NULL ? NULL : CONTAINER_OF(first, struct child_vp, node);
    bool must_leave = next != NULL && (next->was_woken || rdtsc() >= slice_end_tsc);

    if (must_leave) {
        take_off(vp, CHILD_VP_QUEUED, slice_end_tsc);
        enqueue(vp);
        if (next->was_woken) {
            vp->was_woken = false;
            list_remove(&next->node);
            list_add_head(&queue, &next->node);
        }
    }
    spin_unlock_irq(&lock, were_on);
    return must_leave;
}

static void stop(struct child_vp *vp)
{
    bool were_on = spin_lock_irq(&lock);

    take_off(vp, CHILD_VP_STOPPED, 0);
    spin_unlock_irq(&lock, were_on);
    sched_raise(SCHED_EVENT_ENDED);
}

/* One dispatch and what follows from it; false: the VP has left this processor. */
static bool dispatch(struct child_vp *vp, uint64_t slice_end_tsc)
{
    struct hv_input_dispatch_vp input = {
        .partition_id = vm_partition_id(vp->vm),
        .vp_index = vp->index,
        .flags = vp->clear_intercept ? HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND : 0,
        .time_slice_100ns = list_is_empty(&queue) ? SLICE_ALONE_100NS : SLICE_100NS,
    };
    struct hv_output_dispatch_vp output;
    uint32_t interrupt_count = READ_ONCE(cpu_this()->interrupt_count);
    hv_status_t status = hypercall(NULL, HvCallDispatchVp, NULL, &input, sizeof(input), &output, sizeof(output));

    vp->clear_intercept = false;
    if (status != HV_STATUS_SUCCESS) {
        vm_fail(vp->vm, vp->index, "HvCallDispatchVp", status);
    } else if (output.dispatch_event == HV_VP_DISPATCH_EVENT_INTERCEPT) {
        vp->clear_intercept = vm_handle_intercept(vp);
    } else if (output.dispatch_event == HV_VP_DISPATCH_EVENT_SUSPEND) {
        uint32_t name = HvRegisterExplicitSuspend;
        union hv_register_value zero = {.reg64 = 0};

        status = host_set_vp_registers(vp->vm, vp->index, &name, &zero, 1);
        if (status != HV_STATUS_SUCCESS) {
            vm_fail(vp->vm, vp->index, "HvCallSetVpRegisters", status);
        }
    } else if (output.dispatch_state == HV_VP_DISPATCH_STATE_BLOCKED) {
        return !block(vp, slice_end_tsc);
    } else if (READ_ONCE(cpu_this()->interrupt_count) == interrupt_count) {
        slice_end_tsc = rdtsc(); /* not for our sake: it spins, and what it waits for may be another one's turn */
    }
    return !yield(vp, slice_end_tsc);
}

void sched_run(void)
{
    irq_enable();
    for (;;) {
        struct child_vp *vp = pick();
        uint64_t slice_end_tsc = rdtsc() + (vp == NULL ? 0 : (uint64_t)vp->slice_left_tsc);

        do {
            serve_events();
            if (vp != NULL && vm_has_ended(vp->vm)) {
                stop(vp);
                vp = NULL;
            }
        } while (vp != NULL && dispatch(vp, slice_end_tsc));
    }
}
