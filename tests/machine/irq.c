/* SPDX-License-Identifier: MIT */
/* The fake local APICs: they remember what they were told. */
#include <stdatomic.h>
#include <string.h>

#include "hv/cpu/cpu.h"
#include "hv/irq/irq.h"
#include "tests/machine/machine.h"
#include "tests/machine/private.h"

static _Atomic uint64_t eoi_count;
static _Atomic uint64_t ipi_count;
static struct machine_ipi last_ipi;
static bool level[256];

void machine_reset_irq(void)
{
    atomic_store(&eoi_count, 0);
    atomic_store(&ipi_count, 0);
    memset(&last_ipi, 0, sizeof(last_ipi));
    memset(level, 0, sizeof(level));
}

uint64_t machine_eoi_count(void)
{
    return atomic_load(&eoi_count);
}

uint64_t machine_ipi_count(void)
{
    return atomic_load(&ipi_count);
}

struct machine_ipi machine_last_ipi(void)
{
    return last_ipi;
}

void machine_set_level(uint8_t vector, bool is_level)
{
    level[vector] = is_level;
}

static void note_ipi(uint32_t apic_id, uint32_t vector)
{
    last_ipi = (struct machine_ipi){.apic_id = apic_id, .vector = vector};
    atomic_fetch_add(&ipi_count, 1);
}

void lapic_init(void)
{
}

void lapic_eoi(void)
{
    atomic_fetch_add(&eoi_count, 1);
}

void lapic_send_ipi(uint32_t apic_id, uint8_t vector)
{
    note_ipi(apic_id, vector);
}

void lapic_send_nmi(uint32_t apic_id)
{
    note_ipi(apic_id, MACHINE_IPI_NMI);
}

void lapic_send_init(uint32_t apic_id)
{
    note_ipi(apic_id, MACHINE_IPI_INIT);
}

void lapic_send_startup(uint32_t apic_id, uint8_t page)
{
    note_ipi(apic_id, MACHINE_IPI_STARTUP + page);
}

void lapic_timer_set(uint64_t deadline_tsc)
{
    machine_timer_hardware_set(deadline_tsc);
}

bool lapic_is_x2apic(void)
{
    return false;
}

uint32_t lapic_id(void)
{
    return cpu_this()->apic_id;
}

uint32_t lapic_id_by_cpuid(void)
{
    return cpu_this()->apic_id;
}

void lapic_set_pin_mask(enum lapic_pin pin, bool is_masked)
{
    (void)pin;
    (void)is_masked;
}

bool lapic_is_level(uint8_t vector)
{
    return level[vector];
}

void pic_disable(void)
{
}
