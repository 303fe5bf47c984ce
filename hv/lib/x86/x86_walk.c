/* SPDX-License-Identifier: MIT */
/*
 * The page-table walk of the processor, made by software. Judges rights and reserved bits as the processor does,
 * and sets accessed and dirty flags when asked to. Does not know what is behind a guest-physical address, and
 * caches nothing.
 */
#include "hv/lib/x86/x86_walk.h"

#include <stddef.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"

/* Levels of tables in 5-level paging. */
#define LEVEL_LIMIT 5

/* Walks begun again because an entry changed under us, before the caller is asked to come back later. */
#define ATTEMPT_LIMIT 8

#define NX_SHIFT             63
#define PROTECTION_KEY_SHIFT 59

/** The shape of the page tables in use. */
struct geometry {
    uint8_t level_count;
    uint8_t entry_size;
    uint8_t index_bits;
    bool is_pae;        /* 64-bit entries below 4 levels */
    bool has_nx;        /* the NX flag counts, else it is reserved */
    bool reports_fetch; /* page faults of fetches say so */
};

/** An entry that was used on the way. */
struct step {
    uint64_t gpa;
    uint64_t entry;
    bool has_accessed_flag;
};

/** One walk. */
struct walk {
    const struct x86_walk_context *context;
    struct geometry geometry;
    uint64_t gva;
    unsigned access;
    bool is_user;
    struct step steps[LEVEL_LIMIT];
    unsigned step_count;
    struct x86_walk_result *result;
};

static struct geometry find_geometry(const struct x86_walk_context *context)
{
    struct geometry geometry = {.level_count = 2, .entry_size = 4, .index_bits = 10};

    if ((context->cr4 & X86_CR4_PAE) != 0) {
        bool is_long = (context->efer & X86_EFER_LMA) != 0;

        geometry.level_count = is_long ? ((context->cr4 & X86_CR4_LA57) != 0 ? 5 : 4) : 3;
        geometry.entry_size = 8;
        geometry.index_bits = 9;
        geometry.is_pae = !is_long;
        geometry.has_nx = (context->efer & X86_EFER_NXE) != 0;
    }
    geometry.reports_fetch = geometry.has_nx || (context->cr4 & X86_CR4_SMEP) != 0;
    return geometry;
}

static enum x86_walk_status page_fault(struct walk *walk, uint32_t cause)
{
    bool is_fetch = (walk->access & X86_WALK_EXECUTE) != 0 && walk->geometry.reports_fetch;

    walk->result->error_code = cause | ((walk->access & X86_WALK_WRITE) != 0 ? X86_PF_WRITE : 0) |
                               (walk->is_user ? X86_PF_USER : 0) | (is_fetch ? X86_PF_FETCH : 0);
    return X86_WALK_PAGE_FAULT;
}

/* Bits from `low` to `high` inclusive. */
static uint64_t bit_range(unsigned low, unsigned high)
{
    return low > high ? 0 : (UINT64_MAX >> (63 - high)) & (UINT64_MAX << low);
}

/* The lowest bit of the linear address that an entry of `level` (1 is the last) does not translate. */
static unsigned level_shift(const struct geometry *geometry, unsigned level)
{
    return PAGE_SHIFT + geometry->index_bits * (level - 1u);
}

static bool is_page(const struct walk *walk, unsigned level, uint64_t entry)
{
    if (level == 1) {
        return true;
    }
    if ((entry & X86_PTE_PS) == 0) {
        return false;
    }
    if (walk->geometry.entry_size == 4) {
        return (walk->context->cr4 & X86_CR4_PSE) != 0;
    }
    return level == 2 || (level == 3 && !walk->geometry.is_pae && walk->context->has_1g_pages);
}

/* The bits that have to be clear in a present entry. */
static uint64_t reserved_bits(const struct walk *walk, unsigned level, bool is_leaf)
{
    const struct geometry *geometry = &walk->geometry;
    unsigned physical_bits = walk->context->physical_bits;
    uint64_t reserved;

    if (geometry->entry_size == 4) {
        /* Bits 13 to 20 of a 4 MiB page are address bits 32 to 39, as far as those exist. */
        unsigned high_bits = physical_bits > 40 ? 8 : physical_bits - 32u;

        return is_leaf && level == 2 ? bit_range(13 + high_bits, 21) : 0;
    }
    reserved = bit_range(physical_bits, geometry->is_pae ? 62 : 51);
    if (!geometry->has_nx) {
        reserved |= X86_PTE_NX;
    }
    if (is_leaf && level > 1) {
        reserved |= bit_range(PAGE_SHIFT + 1, level_shift(geometry, level) - 1);
    }
    if (geometry->is_pae && level == 3) {
        reserved |= X86_PTE_NX | bit_range(5, 8) | X86_PTE_W | X86_PTE_U;
    } else if (!is_leaf && level > 2) {
        /* There are no pages of this size. */
        reserved |= X86_PTE_PS;
    }
    return reserved;
}

/* The address that an entry holds: of the next table, or of a page of 1 << shift bytes. */
static uint64_t entry_address(const struct walk *walk, uint64_t entry, bool is_leaf, unsigned shift)
{
    uint64_t address = entry & X86_PTE_ADDRESS;

    if (!is_leaf) {
        return address;
    }
    if (walk->geometry.entry_size == 4 && shift != PAGE_SHIFT) {
        return (entry & bit_range(22, 31)) | ((entry & bit_range(13, 20)) << (32 - 13));
    }
    return address & ~bit_range(0, shift - 1);
}

static bool read_entry(const struct walk *walk, unsigned level, uint64_t gpa, uint64_t *entry)
{
    const struct x86_walk_context *context = walk->context;

    if (walk->geometry.is_pae && level == 3 && context->pdptes != NULL) {
        *entry = context->pdptes[(walk->gva >> 30) & 3];
        return true;
    }
    return context->read(context->callback_context, gpa, walk->geometry.entry_size, entry);
}

/* The rights of the page found, against the access asked for. */
static enum x86_walk_status check_rights(struct walk *walk, uint64_t leaf)
{
    const struct x86_walk_context *context = walk->context;
    const struct x86_walk_result *result = walk->result;
    bool is_write = (walk->access & X86_WALK_WRITE) != 0;
    bool is_fetch = (walk->access & X86_WALK_EXECUTE) != 0;
    bool has_ac = (context->rflags & X86_RFLAGS_AC) != 0 && (walk->access & X86_WALK_IMPLICIT) == 0;
    bool is_key_used = (context->cr4 & X86_CR4_PKE) != 0 && walk->geometry.level_count >= 4 && result->is_user;
    bool is_denied;

    if ((walk->access & X86_WALK_NO_RIGHTS) != 0) {
        return X86_WALK_OK;
    }
    if (walk->is_user) {
        is_denied = !result->is_user || (is_write && !result->is_writable);
    } else if (is_fetch) {
        is_denied = result->is_user && (context->cr4 & X86_CR4_SMEP) != 0;
    } else {
        is_denied = (is_write && !result->is_writable && (context->cr0 & X86_CR0_WP) != 0) ||
                    (result->is_user && (context->cr4 & X86_CR4_SMAP) != 0 && !has_ac);
    }
    if (is_denied || (is_fetch && !result->is_executable)) {
        return page_fault(walk, X86_PF_PRESENT);
    }
    if (is_key_used && !is_fetch) {
        unsigned key = (unsigned)(leaf >> PROTECTION_KEY_SHIFT) & 0xf;
        bool denies_access = ((context->pkru >> (2 * key)) & 1) != 0;
        bool denies_write =
            ((context->pkru >> (2 * key + 1)) & 1) != 0 && (walk->is_user || (context->cr0 & X86_CR0_WP) != 0);

        if (denies_access || (is_write && denies_write)) {
            return page_fault(walk, X86_PF_PRESENT | X86_PF_PROTECTION_KEY);
        }
    }
    return X86_WALK_OK;
}

static void set_page(struct walk *walk, uint64_t entry, unsigned shift)
{
    struct x86_walk_result *result = walk->result;
    uint64_t pat_flag = shift == PAGE_SHIFT ? X86_PTE_PAT : X86_PTE_LARGE_PAT;

    result->page_shift = (uint8_t)shift;
    result->gpa = entry_address(walk, entry, true, shift) | (walk->gva & bit_range(0, shift - 1));
    result->pat_index = (uint8_t)(((entry & pat_flag) != 0 ? 4 : 0) | ((entry & X86_PTE_PCD) != 0 ? 2 : 0) |
                                  ((entry & X86_PTE_PWT) != 0 ? 1 : 0));
}

/* Goes down the tables without changing anything. */
static enum x86_walk_status descend(struct walk *walk)
{
    const struct geometry *geometry = &walk->geometry;
    struct x86_walk_result *result = walk->result;
    uint64_t table = walk->context->cr3 & (geometry->entry_size == 4 ? X86_CR3_LEGACY_ADDRESS
                                           : geometry->is_pae        ? X86_CR3_PAE_ADDRESS
                                                                     : X86_CR3_ADDRESS);

    result->is_writable = true;
    result->is_user = true;
    result->is_executable = true;
    walk->step_count = 0;
    for (unsigned level = geometry->level_count; level > 0; level--) {
        unsigned shift = level_shift(geometry, level);
        uint64_t index = (walk->gva >> shift) & bit_range(0, geometry->index_bits - 1u);
        bool is_pdpte = geometry->is_pae && level == 3;
        uint64_t entry = 0;
        bool is_leaf;

        result->table_gpa = table + index * geometry->entry_size;
        if (!read_entry(walk, level, result->table_gpa, &entry)) {
            return X86_WALK_NO_TABLE;
        }
        if ((entry & X86_PTE_P) == 0) {
            return page_fault(walk, 0);
        }
        is_leaf = is_page(walk, level, entry);
        if ((entry & reserved_bits(walk, level, is_leaf)) != 0) {
            return page_fault(walk, X86_PF_PRESENT | X86_PF_RESERVED);
        }
        walk->steps[walk->step_count] = (struct step){result->table_gpa, entry, !is_pdpte};
        walk->step_count++;
        if (!is_pdpte) {
            result->is_writable = result->is_writable && (entry & X86_PTE_W) != 0;
            result->is_user = result->is_user && (entry & X86_PTE_U) != 0;
        }
        if (geometry->has_nx && (entry >> NX_SHIFT) != 0) {
            result->is_executable = false;
        }
        if (is_leaf) {
            set_page(walk, entry, shift);
            return check_rights(walk, entry);
        }
        table = entry_address(walk, entry, false, shift);
    }
    UNREACHABLE();
}

/* Sets the flags in the entries that descend() went through. */
static enum x86_walk_exchange set_flags(struct walk *walk)
{
    const struct x86_walk_context *context = walk->context;

    for (unsigned index = 0; index < walk->step_count; index++) {
        const struct step *step = &walk->steps[index];
        bool is_dirtied = index + 1 == walk->step_count && (walk->access & X86_WALK_WRITE) != 0;
        uint64_t wanted = step->entry | X86_PTE_A | (is_dirtied ? X86_PTE_D : 0);
        enum x86_walk_exchange answer;

        if (!step->has_accessed_flag || wanted == step->entry) {
            continue;
        }
        walk->result->table_gpa = step->gpa;
        answer =
            context->exchange(context->callback_context, step->gpa, walk->geometry.entry_size, step->entry, wanted);
        if (answer != X86_WALK_EXCHANGE_DONE) {
            return answer;
        }
    }
    return X86_WALK_EXCHANGE_DONE;
}

enum x86_walk_status x86_walk(const struct x86_walk_context *context, uint64_t gva, unsigned access,
                              struct x86_walk_result *result)
{
    struct walk walk = {.context = context, .gva = gva, .access = access, .result = result};

    *result = (struct x86_walk_result){0};
    if ((context->cr0 & X86_CR0_PG) == 0) {
        result->gpa = gva;
        result->page_shift = PAGE_SHIFT;
        result->is_writable = true;
        result->is_user = true;
        result->is_executable = true;
        return X86_WALK_OK;
    }
    walk.geometry = find_geometry(context);
    walk.is_user = context->cpl == 3 && (access & X86_WALK_IMPLICIT) == 0;
    if (walk.geometry.level_count >= 4 && !linear_is_canonical(gva, PAGE_SHIFT + 9u * walk.geometry.level_count)) {
        return X86_WALK_NON_CANONICAL;
    }
    for (unsigned attempt = 0; attempt < ATTEMPT_LIMIT; attempt++) {
        enum x86_walk_status status = descend(&walk);

        if (status != X86_WALK_OK || context->exchange == NULL) {
            return status;
        }
        switch (set_flags(&walk)) {
        case X86_WALK_EXCHANGE_DONE:
            return X86_WALK_OK;
        case X86_WALK_EXCHANGE_FAILED:
            return X86_WALK_NO_TABLE;
        case X86_WALK_EXCHANGE_CHANGED:
            break;
        }
    }
    return X86_WALK_RETRY;
}
