/* SPDX-License-Identifier: MIT */
/* Finds the stack, and the processor, that an address belongs to. Believes no address. */
#include "hv/cpu/stack_find.h"

#include "hv/cpu/cpu_private.h"
#include "hv/cpu/stacks.h"
#include "hv/lib/range.h"

/* The block of stacks that holds `address`: processor and distance from its start. */
static bool find_block(uint64_t address, uint32_t *cpu_index, uint64_t *offset)
{
    for (uint32_t i = 0; i < cpu_count(); i++) {
        uint64_t stacks = cpu_machine(cpu_get(i))->stacks;
        if (range_contains_address(stacks, CPU_STACKS_BYTES, address)) {
            *cpu_index = i;
            *offset = address - stacks;
            return true;
        }
    }
    return false;
}

bool stack_holds(uint64_t address, uint64_t bytes)
{
    uint32_t first_cpu, last_cpu;
    uint64_t first, last;

    return range_is_valid(address, bytes) && bytes != 0 && find_block(address, &first_cpu, &first) &&
           find_block(address + bytes - 1, &last_cpu, &last) && first_cpu == last_cpu && !cpu_stack_is_guard(first) &&
           !cpu_stack_is_guard(last);
}

bool stack_guard_find(uint64_t address, uint32_t *cpu_index)
{
    uint64_t offset;

    return find_block(address, cpu_index, &offset) && cpu_stack_is_guard(offset);
}
