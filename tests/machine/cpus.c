/* SPDX-License-Identifier: MIT */
/* The fake processors. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/safe.h"
#include "hv/debug/debug.h"
#include "hv/time/time.h"
#include "tests/machine/machine.h"
#include "tests/machine/private.h"

#define MSRS_MAX            64
#define QUIESCE_SECONDS_MAX 10

/* An MSR that exists. */
struct msr {
    uint32_t number;
    uint64_t value;
};

static struct cpu cpus[CPU_MAX];
static uint32_t count = MACHINE_CPUS_DEFAULT;
static _Atomic uint64_t kicks_sent[CPU_MAX];
static _Atomic uint64_t kicks_taken[CPU_MAX];
static _Thread_local uint32_t current;
static void (*kick_hook)(struct cpu *cpu);
static struct msr msrs[MSRS_MAX];
static uint32_t msr_count;

void machine_reset_cpus(void)
{
    memset(cpus, 0, sizeof(cpus));
    for (uint32_t i = 0; i < CPU_MAX; i++) {
        cpus[i].self = &cpus[i];
        cpus[i].index = i;
        /* Not the index, so that they are not mistaken for each other. */
        cpus[i].apic_id = 2 * i + 1;
        atomic_store(&kicks_sent[i], 0);
        atomic_store(&kicks_taken[i], 0);
    }
    count = MACHINE_CPUS_DEFAULT;
    current = 0;
    kick_hook = NULL;
    msr_count = 0;
}

void machine_set_cpu_count(uint32_t wanted)
{
    if (wanted == 0 || wanted > CPU_MAX) {
        abort();
    }
    count = wanted;
}

void machine_set_cpu(uint32_t index)
{
    if (index >= count) {
        abort();
    }
    current = index;
}

struct cpu *cpu_this(void)
{
    return &cpus[current];
}

uint32_t cpu_count(void)
{
    return count;
}

struct cpu *cpu_get(uint32_t index)
{
    return index < count ? &cpus[index] : NULL;
}

void cpu_kick(struct cpu *cpu)
{
    atomic_fetch_add(&kicks_sent[cpu->index], 1);
    if (kick_hook != NULL) {
        kick_hook(cpu);
    }
}

uint64_t machine_kick_count(uint32_t index)
{
    return atomic_load(&kicks_sent[index]);
}

void machine_set_kick_hook(void (*hook)(struct cpu *cpu))
{
    kick_hook = hook;
}

void machine_take_kicks(void)
{
    uint64_t sent = atomic_load(&kicks_sent[current]);

    if (atomic_exchange(&kicks_taken[current], sent) != sent) {
        cpus[current].interrupt_count++;
    }
}

void irq_window(void)
{
    machine_take_kicks();
}

/* As the real one, but it gives up: in a test nobody may be there to leave guest mode. */
void cpu_quiesce_space(const void *space)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i == current || atomic_load(&cpus[i].guest_space) != space) {
            continue;
        }
        uint64_t taken = atomic_load(&kicks_taken[i]);
        time_t give_up = time(NULL) + QUIESCE_SECONDS_MAX;
        cpu_kick(&cpus[i]);
        while (atomic_load(&cpus[i].guest_space) == space && atomic_load(&kicks_taken[i]) == taken) {
            if (time(NULL) > give_up) {
                panic("cpu_quiesce_space(): processor %u stays in guest mode; see machine_set_kick_hook()", i);
            }
            sched_yield();
        }
    }
}

/* Time passes until the next timer of this processor; without one there is nothing to wait for. */
void cpu_idle(void)
{
    uint64_t deadline = machine_timer_deadline(current);
    uint64_t before = cpus[current].interrupt_count;

    machine_take_kicks();
    if (cpus[current].interrupt_count == before && deadline != 0) {
        uint64_t now = time_tsc();
        uint64_t ticks_per_100ns = MACHINE_TSC_HZ / 10000000;
        machine_advance_100ns(deadline <= now ? 0 : (deadline - now + ticks_per_100ns - 1) / ticks_per_100ns);
    }
}

void cpu_halt_forever(void)
{
    panic("cpu_halt_forever() on processor %u", current);
}

void cpu_start_all(void)
{
}

void cpu_release_all(void)
{
}

void cpu_host_state(struct cpu_host_state *state)
{
    memset(state, 0, sizeof(*state));
}

void machine_set_msr(uint32_t msr, uint64_t value)
{
    for (uint32_t i = 0; i < msr_count; i++) {
        if (msrs[i].number == msr) {
            msrs[i].value = value;
            return;
        }
    }
    if (msr_count == MSRS_MAX) {
        abort();
    }
    msrs[msr_count++] = (struct msr){.number = msr, .value = value};
}

bool msr_read_safe(uint32_t msr, uint64_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < msr_count; i++) {
        if (msrs[i].number == msr) {
            *value = msrs[i].value;
            return true;
        }
    }
    return false;
}

bool msr_write_safe(uint32_t msr, uint64_t value)
{
    for (uint32_t i = 0; i < msr_count; i++) {
        if (msrs[i].number == msr) {
            msrs[i].value = value;
            return true;
        }
    }
    return false;
}
