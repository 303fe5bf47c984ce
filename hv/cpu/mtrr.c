/* SPDX-License-Identifier: MIT */
/*
 * Memory types by the MTRRs of the boot processor; the firmware sets them alike on all. Not here: the PAT, and what
 * AMD's SYSCFG and IORRs say beyond the MTRRs.
 */
#include "hv/cpu/mtrr.h"

#include "hv/cpu/asm.h"
#include "hv/debug/debug.h"
#include "hv/lib/compiler.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"

#define CPUID_FEATURES 1
#define CPUID_EDX_MTRR (1u << 12)

#define TYPE_MASK    UINT64_C(0xff)
#define TYPE_BITS    8u
#define TYPES_IN_ONE 8u
#define FIXED_END    MIB(1)

/* A stretch of fixed ranges of one size. */
struct fixed_part {
    uint32_t start;
    uint32_t shift;       /* size of a range */
    uint32_t first_range; /* in struct mtrr_map.fixed */
};

/* By descending address. */
static const struct fixed_part fixed_parts[] = {
    {0xc0000, 12, 24},
    {0x80000, 14, 8},
    {0x00000, 16, 0},
};

const uint32_t mtrr_fixed_msrs[MTRR_FIXED_COUNT] = {
    X86_MSR_MTRR_FIX64K_00000, X86_MSR_MTRR_FIX16K_80000, X86_MSR_MTRR_FIX16K_A0000, X86_MSR_MTRR_FIX4K_C0000,
    X86_MSR_MTRR_FIX4K_C8000,  X86_MSR_MTRR_FIX4K_D0000,  X86_MSR_MTRR_FIX4K_D8000,  X86_MSR_MTRR_FIX4K_E0000,
    X86_MSR_MTRR_FIX4K_E8000,  X86_MSR_MTRR_FIX4K_F0000,  X86_MSR_MTRR_FIX4K_F8000,
};

static struct mtrr_map machine_map = {.default_type = X86_MEMORY_TYPE_WB}; /* [I] after mtrr_init() */

void mtrr_parse(const struct mtrr_registers *registers, struct mtrr_map *map)
{
    uint32_t count = min_u32((uint32_t)(registers->capabilities & X86_MTRRCAP_COUNT), MTRR_VARIABLE_MAX);

    memset(map, 0, sizeof(*map));
    if ((registers->default_type & X86_MTRR_DEF_TYPE_ENABLE) == 0) {
        map->default_type = X86_MEMORY_TYPE_UC;
        return;
    }
    map->default_type = (uint8_t)(registers->default_type & X86_MTRR_DEF_TYPE_TYPE);
    map->has_fixed = (registers->capabilities & X86_MTRRCAP_FIXED) != 0 &&
                     (registers->default_type & X86_MTRR_DEF_TYPE_FIXED_ENABLE) != 0;
    for (uint32_t i = 0; i < MTRR_FIXED_RANGES; i++) {
        uint64_t types = registers->fixed[i / TYPES_IN_ONE];

        map->fixed[i] = (uint8_t)(types >> (i % TYPES_IN_ONE * TYPE_BITS) & TYPE_MASK);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t mask = registers->mask[i] & ~PAGE_MASK;

        if ((registers->mask[i] & X86_MTRR_PHYSMASK_VALID) != 0) {
            map->ranges[map->range_count++] = (struct mtrr_range){
                .base = registers->base[i] & mask, .mask = mask, .type = (uint8_t)(registers->base[i] & TYPE_MASK)};
        }
    }
}

static const struct fixed_part *fixed_part_of(uint64_t address)
{
    const struct fixed_part *part = fixed_parts;

    while (address < part->start) {
        part++;
    }
    return part;
}

/* Where ranges overlap, uncached wins, and write-through over write-back; nothing else may overlap. */
static uint8_t combine(uint8_t a, uint8_t b)
{
    bool is_cached =
        (a == X86_MEMORY_TYPE_WT || a == X86_MEMORY_TYPE_WB) && (b == X86_MEMORY_TYPE_WT || b == X86_MEMORY_TYPE_WB);

    if (a == b) {
        return a;
    }
    return is_cached ? X86_MEMORY_TYPE_WT : X86_MEMORY_TYPE_UC;
}

uint8_t mtrr_map_type(const struct mtrr_map *map, spa_t address)
{
    bool is_found = false;
    uint8_t type = map->default_type;

    if (map->has_fixed && address.value < FIXED_END) {
        const struct fixed_part *part = fixed_part_of(address.value);

        return map->fixed[part->first_range + ((address.value - part->start) >> part->shift)];
    }
    for (uint32_t i = 0; i < map->range_count; i++) {
        if ((address.value & map->ranges[i].mask) == map->ranges[i].base) {
            type = is_found ? combine(type, map->ranges[i].type) : map->ranges[i].type;
            is_found = true;
        }
    }
    return type;
}

/* Every range holds all of this aligned block or nothing of it. */
static bool is_undivided(const struct mtrr_map *map, uint64_t address, uint64_t bytes)
{
    uint64_t inside = bytes - 1;

    if (bytes == PAGE_SIZE) {
        return true;
    }
    if (map->has_fixed && address < FIXED_END) {
        /* A block is never larger than its own address is aligned, so it does not reach out of its part. */
        return bytes <= UINT64_C(1) << fixed_part_of(address)->shift;
    }
    for (uint32_t i = 0; i < map->range_count; i++) {
        const struct mtrr_range *range = &map->ranges[i];

        if ((range->mask & inside) != 0 && ((address ^ range->base) & range->mask & ~inside) == 0) {
            return false;
        }
    }
    return true;
}

bool mtrr_map_is_uniform(const struct mtrr_map *map, spa_t address, uint64_t bytes)
{
    uint8_t type = mtrr_map_type(map, address);
    uint64_t size = bytes;

    ASSERT(is_power_of_two_u64(bytes) && bytes >= PAGE_SIZE && is_aligned_u64(address.value, bytes));
    for (uint64_t offset = 0; offset < bytes; offset += size) {
        /* The largest block that begins here and ends inside; then smaller until no range divides it. */
        size = offset == 0 ? bytes : offset & -offset;
        while (!is_undivided(map, address.value + offset, size)) {
            size /= 2;
        }
        if (mtrr_map_type(map, spa_add(address, offset)) != type) {
            return false;
        }
    }
    return true;
}

void mtrr_init(void)
{
    struct mtrr_registers registers;

    if ((cpuid(CPUID_FEATURES, 0).edx & CPUID_EDX_MTRR) == 0) {
        return;
    }
    memset(&registers, 0, sizeof(registers));
    registers.capabilities = rdmsr(X86_MSR_MTRRCAP);
    registers.default_type = rdmsr(X86_MSR_MTRR_DEF_TYPE);
    for (uint32_t i = 0; i < MTRR_FIXED_COUNT && (registers.capabilities & X86_MTRRCAP_FIXED) != 0; i++) {
        registers.fixed[i] = rdmsr(mtrr_fixed_msrs[i]);
    }
    for (uint32_t i = 0; i < min_u32((uint32_t)(registers.capabilities & X86_MTRRCAP_COUNT), MTRR_VARIABLE_MAX); i++) {
        registers.base[i] = rdmsr(X86_MSR_MTRR_PHYSBASE(i));
        registers.mask[i] = rdmsr(X86_MSR_MTRR_PHYSMASK(i));
    }
    mtrr_parse(&registers, &machine_map);
}

uint8_t mtrr_type(spa_t address)
{
    return mtrr_map_type(&machine_map, address);
}

bool mtrr_is_uniform(spa_t address, uint64_t bytes)
{
    return mtrr_map_is_uniform(&machine_map, address, bytes);
}
