/* SPDX-License-Identifier: MIT */
/* The list of processors, and what one asks of another. */
#include "hv/cpu/cpu.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu_init.h"
#include "hv/cpu/cpu_private.h"
#include "hv/debug/debug.h"
#include "hv/irq/irq.h"

static struct cpu *cpus[CPU_MAX]; /* [a] written before `count` covers the entry */
static _Atomic uint32_t count;

void cpu_register(struct cpu *cpu, uint32_t apic_id)
{
    uint32_t index = atomic_load(&count);

    ASSERT(index < CPU_MAX && cpu->index == index);
    cpu->apic_id = apic_id;
    cpus[index] = cpu;
    atomic_store(&count, index + 1);
}

uint32_t cpu_count(void)
{
    return atomic_load_explicit(&count, memory_order_acquire);
}

struct cpu *cpu_get(uint32_t index)
{
    return index < cpu_count() ? cpus[index] : NULL;
}

void cpu_note_kick(void)
{
    atomic_fetch_add(&cpu_machine(cpu_this())->kick_count, 1);
}

void cpu_kick(struct cpu *cpu)
{
    lapic_send_ipi(cpu->apic_id, IRQ_VECTOR_KICK);
}

/*
 * A processor has left guest mode since we looked if it no longer shows the space, or if it has taken a kick:
 * interrupts are taken outside guest mode only, and an entry after that one reads what the caller published.
 */
void cpu_quiesce_space(const void *space)
{
    uint32_t kicks_before[CPU_MAX];
    bool is_awaited[CPU_MAX] = {false};
    uint32_t processors = cpu_count();

    /*
     * The caller's change must be visible before guest_space is read; pairs with the same order reversed before an
     * entry.
     */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < processors; i++) {
        struct cpu *cpu = cpus[i];
        if (cpu == cpu_this()) {
            continue;
        }
        kicks_before[i] = atomic_load(&cpu_machine(cpu)->kick_count);
        is_awaited[i] = atomic_load(&cpu->guest_space) == space;
        if (is_awaited[i]) {
            cpu_kick(cpu);
        }
    }
    for (uint32_t i = 0; i < processors; i++) {
        while (is_awaited[i] && atomic_load(&cpus[i]->guest_space) == space &&
               atomic_load(&cpu_machine(cpus[i])->kick_count) == kicks_before[i]) {
            pause();
        }
    }
}

void cpu_idle(void)
{
    /* STI takes effect behind the next instruction, so an interrupt cannot slip in between it and HLT. */
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

void cpu_halt_forever(void)
{
    while (true) {
        __asm__ volatile("cli; hlt" : : : "memory");
    }
}
