/* SPDX-License-Identifier: MIT */
/* The fake clock. The timers on it are the real ones (real_timer.c). */
#include <stdatomic.h>
#include <string.h>

#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/time/scale.h"
#include "hv/time/time.h"
#include "hv/time/timer_queue.h"
#include "tests/machine/machine.h"
#include "tests/machine/private.h"

static const struct time_scale scale = {.base_tsc = MACHINE_TSC_START, .hz = MACHINE_TSC_HZ};
static _Atomic uint64_t now_tsc = MACHINE_TSC_START;
static _Atomic uint64_t deadlines[CPU_MAX];
static bool is_synchronised = true;

void machine_reset_time(void)
{
    uint32_t current = cpu_this()->index;
    uint32_t count = cpu_count();

    atomic_store(&now_tsc, MACHINE_TSC_START);
    is_synchronised = true;
    machine_set_cpu_count(CPU_MAX);
    for (uint32_t i = 0; i < CPU_MAX; i++) {
        machine_set_cpu(i);
        timer_queue_init();
        atomic_store(&deadlines[i], 0);
    }
    machine_set_cpu(current);
    machine_set_cpu_count(count);
}

void machine_timer_hardware_set(uint64_t deadline_tsc)
{
    atomic_store(&deadlines[cpu_this()->index], deadline_tsc);
}

uint64_t machine_timer_deadline(uint32_t cpu_index)
{
    return atomic_load(&deadlines[cpu_index]);
}

/* The processor whose timer is due first, at or before `limit`; CPU_MAX if none is. */
static uint32_t first_due(uint64_t limit)
{
    uint32_t first = CPU_MAX;
    uint64_t earliest = limit;

    for (uint32_t i = 0; i < cpu_count(); i++) {
        uint64_t deadline = atomic_load(&deadlines[i]);
        if (deadline != 0 && deadline <= earliest && (first == CPU_MAX || deadline < earliest)) {
            first = i;
            earliest = deadline;
        }
    }
    return first;
}

void machine_advance_100ns(uint64_t time)
{
    uint64_t target = atomic_load(&now_tsc) + time * (MACHINE_TSC_HZ / 10000000);
    uint32_t self = cpu_this()->index;

    for (uint32_t due = first_due(target); due != CPU_MAX; due = first_due(target)) {
        uint64_t deadline = atomic_exchange(&deadlines[due], 0);
        if (deadline > atomic_load(&now_tsc)) {
            atomic_store(&now_tsc, deadline);
        }
        machine_set_cpu(due);
        cpu_this()->interrupt_count++;
        timer_queue_run();
    }
    machine_set_cpu(self);
    atomic_store(&now_tsc, target);
}

void machine_skip_100ns(uint64_t time)
{
    atomic_fetch_add(&now_tsc, time * (MACHINE_TSC_HZ / 10000000));
}

void machine_set_tsc_synchronised(bool value)
{
    is_synchronised = value;
}

bool time_tsc_is_synchronised(void)
{
    return is_synchronised;
}

void time_init(void)
{
}

uint64_t time_tsc_hz(void)
{
    return scale.hz;
}

uint64_t time_tsc(void)
{
    return atomic_load(&now_tsc);
}

uint64_t time_100ns(void)
{
    return scale_to_100ns(&scale, time_tsc());
}

uint64_t time_100ns_to_tsc(uint64_t time)
{
    return scale_to_tsc(&scale, time);
}

uint64_t time_tsc_to_100ns(uint64_t tsc)
{
    return scale_to_100ns(&scale, tsc);
}

void time_delay_us(uint32_t us)
{
    machine_skip_100ns(us * 10ull);
}
