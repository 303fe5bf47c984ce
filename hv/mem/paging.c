/* SPDX-License-Identifier: MIT */
/*
 * Builds the hypervisor's page tables out of pages from the pool. Who gets which rights is mem.c's decision. No
 * unmapping, so no other processor ever has to flush.
 */
#include "hv/mem/paging.h"

#include "hv/cpu/asm.h"
#include "hv/debug/debug.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"

#define TABLE_ENTRIES           512
#define LEVEL_BITS              9
#define TOP_LEVEL               3 /* levels count from 0, the 4 KiB pages */
#define CPUID_EXTENDED_FEATURES 0x80000001
#define CPUID_EDX_HUGE_PAGES    (1u << 26)

static uint64_t *top_table; /* [I] after paging_create() */
static uint32_t largest_page_level;

bool paging_create(void)
{
    bool has_huge_pages = (cpuid(CPUID_EXTENDED_FEATURES, 0).edx & CPUID_EDX_HUGE_PAGES) != 0;

    largest_page_level = has_huge_pages ? 2 : 1;
    top_table = page_alloc();
    return top_table != NULL;
}

spa_t paging_root(void)
{
    return mem_to_spa(top_table);
}

static uint64_t level_bytes(uint32_t level)
{
    return PAGE_SIZE << (LEVEL_BITS * level);
}

/* The entry for `address` in a table of `level`. */
static uint64_t *entry_in(uint64_t *table, uint64_t address, uint32_t level)
{
    return &table[(address >> (PAGE_SHIFT + LEVEL_BITS * level)) % TABLE_ENTRIES];
}

/* The entry of `level` for `address`, with tables made on the way; null: no memory. */
static uint64_t *make_entry(uint64_t address, uint32_t level)
{
    uint64_t *table = top_table;

    for (uint32_t at = TOP_LEVEL; at > level; at--) {
        uint64_t *entry = entry_in(table, address, at);
        if ((*entry & X86_PTE_P) == 0) {
            uint64_t *next = page_alloc();
            if (next == NULL) {
                return NULL;
            }
            *entry = mem_to_spa(next).value | X86_PTE_P | X86_PTE_W;
        }
        ASSERT((*entry & X86_PTE_PS) == 0);
        table = mem_from_spa(spa(*entry & X86_PTE_ADDRESS));
    }
    return entry_in(table, address, level);
}

bool paging_map(uint64_t address, spa_t target, uint64_t bytes, uint64_t flags, bool large)
{
    ASSERT(((address | target.value | bytes) & PAGE_MASK) == 0);
    while (bytes != 0) {
        uint32_t level = large ? largest_page_level : 0;
        while (((address | target.value) & (level_bytes(level) - 1)) != 0 || bytes < level_bytes(level)) {
            level--;
        }
        uint64_t *entry = make_entry(address, level);
        if (entry == NULL) {
            return false;
        }
        ASSERT(*entry == 0);
        *entry = target.value | flags | X86_PTE_P | X86_PTE_A | X86_PTE_D | (level > 0 ? X86_PTE_PS : 0);
        address += level_bytes(level);
        target = spa_add(target, level_bytes(level));
        bytes -= level_bytes(level);
    }
    return true;
}
