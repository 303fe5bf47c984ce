/* SPDX-License-Identifier: MIT */
/*
 * Walks a guest's page tables: linear to guest-physical address with all rights checks, for no paging, 32-bit,
 * PAE, 4-level and 5-level paging. Freestanding, without state, without recursion; guest memory is behind callbacks.
 */
#ifndef X86_X86_WALK_H
#define X86_X86_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/** Result of x86_walk(). */
enum x86_walk_status {
    X86_WALK_OK,
    X86_WALK_PAGE_FAULT,    /* x86_walk_result.error_code says which */
    X86_WALK_NON_CANONICAL, /* in 64-bit mode #GP or #SS instead of a page fault */
    X86_WALK_NO_TABLE,      /* a callback could not reach the entry at x86_walk_result.table_gpa */
    X86_WALK_RETRY,         /* another processor kept changing an entry whose flags were to be set */
};

/** Answer of the callback that sets accessed and dirty flags. */
enum x86_walk_exchange {
    X86_WALK_EXCHANGE_DONE,
    X86_WALK_EXCHANGE_CHANGED, /* the entry was not `old` any more */
    X86_WALK_EXCHANGE_FAILED,  /* it cannot be written */
};

/** Bits of `access`. Reading is what is left when neither of the first two is set. */
#define X86_WALK_WRITE     0x01u
#define X86_WALK_EXECUTE   0x02u
#define X86_WALK_IMPLICIT  0x04u /* descriptor tables and the like: supervisor whatever the CPL; AC does not help */
#define X86_WALK_NO_RIGHTS 0x08u /* find the page, whatever its rights */

/** The paging state of a processor, and how to reach page tables. */
struct x86_walk_context {
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t efer;
    uint64_t rflags;
    uint32_t pkru; /* counts only with CR4.PKE */
    uint8_t cpl;
    uint8_t physical_bits;  /* width of guest-physical addresses: 32 to 52; entry bits above it are reserved */
    bool has_1g_pages;      /* else PS is reserved in a page-directory-pointer entry */
    const uint64_t *pdptes; /* PAE paging: the four entries that the processor holds; null: read them by CR3 */
    void *callback_context;
    /* Reads the entry of `size` (4 or 8) bytes, naturally aligned, in one access; false if nothing is there. */
    bool (*read)(void *callback_context, uint64_t gpa, unsigned size, uint64_t *entry);
    /* Replaces the entry atomically. Null: accessed and dirty flags stay as they are. */
    enum x86_walk_exchange (*exchange)(void *callback_context, uint64_t gpa, unsigned size, uint64_t old_entry,
                                       uint64_t new_entry);
};

/** What a walk found. After X86_WALK_OK all but error_code and table_gpa is valid. */
struct x86_walk_result {
    uint64_t gpa;
    uint8_t page_shift; /* size of the page: 12, 21, 22 or 30; without paging 12 */
    uint8_t pat_index;  /* which field of the PAT gives the memory type: PAT * 4 + PCD * 2 + PWT */
    bool is_writable;   /* the R/W flags of all levels; likewise U/S and (inverted) NX */
    bool is_user;
    bool is_executable;
    uint32_t error_code; /* X86_PF_*, after X86_WALK_PAGE_FAULT */
    uint64_t table_gpa;  /* the entry last looked at */
};

/**
 * Translates `gva` for an access (X86_WALK_*) by the processor in `context`. Flags are set only when the access is
 * allowed: accessed on each level, dirty on the last one for a write. In 32-bit modes the caller passes a linear
 * address below 4 GiB. Not modelled: protection keys for supervisor pages, shadow-stack accesses.
 */
MUST_CHECK enum x86_walk_status x86_walk(const struct x86_walk_context *context, uint64_t gva, unsigned access,
                                         struct x86_walk_result *result);

#endif
