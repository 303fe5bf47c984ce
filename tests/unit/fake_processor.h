/* SPDX-License-Identifier: MIT */
#ifndef UNIT_FAKE_PROCESSOR_H
#define UNIT_FAKE_PROCESSOR_H

/*
 * Registers of the processor for a test that includes sources of vmx/ and does not care about them: reads give 0,
 * writes are dropped. To be included before those. The VMCS is the test's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/safe.h"

#define rdmsr                 fake_rdmsr
#define wrmsr                 fake_wrmsr
#define read_cr2              fake_read_register
#define write_cr2             fake_write_register
#define read_dr6              fake_read_register
#define write_dr6             fake_write_register
#define read_debug_addresses  fake_debug_addresses
#define write_debug_addresses fake_debug_addresses
#define msr_read_safe         fake_read_safe
#define msr_write_safe        fake_write_safe

static uint64_t fake_rdmsr(uint32_t msr)
{
    (void)msr;
    return 0;
}

static void fake_wrmsr(uint32_t msr, uint64_t value)
{
    (void)msr;
    (void)value;
}

static uint64_t fake_read_register(void)
{
    return 0;
}

static void fake_write_register(uint64_t value)
{
    (void)value;
}

static void fake_debug_addresses(uint64_t addresses[4])
{
    (void)addresses;
}

static bool fake_read_safe(uint32_t msr, uint64_t *value)
{
    (void)msr;
    *value = 0;
    return true;
}

static bool fake_write_safe(uint32_t msr, uint64_t value)
{
    (void)msr;
    (void)value;
    return true;
}

#endif
