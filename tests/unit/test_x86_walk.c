/* SPDX-License-Identifier: MIT */
/*
 * Tests of hv/lib/x86/x86_walk.c with page tables made by hand: each kind of paging, each cause of a page fault with
 * its error code, and the accessed and dirty flags.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/lib/x86/x86_walk.h"

#define TABLE_AREA 0x100000u

/** Guest-physical memory with tables in it, and the processor that walks them. */
struct tables {
    uint8_t memory[0x10000]; /* from TABLE_AREA on */
    struct x86_walk_context context;
    struct x86_walk_result result;
    unsigned exchange_count;
    unsigned changed_count; /* this many exchanges find the entry changed */
    bool is_read_only;
};

static bool tables_read(void *context, uint64_t gpa, unsigned size, uint64_t *entry)
{
    struct tables *tables = context;

    if (gpa < TABLE_AREA || gpa - TABLE_AREA > sizeof(tables->memory) - size) {
        return false;
    }
    assert_int_equal(gpa % size, 0);
    *entry = 0;
    memcpy(entry, tables->memory + (gpa - TABLE_AREA), size);
    return true;
}

static enum x86_walk_exchange tables_exchange(void *context, uint64_t gpa, unsigned size, uint64_t old_entry,
                                              uint64_t new_entry)
{
    struct tables *tables = context;
    uint64_t entry = 0;

    tables->exchange_count++;
    assert_true(tables_read(context, gpa, size, &entry));
    if (tables->is_read_only) {
        return X86_WALK_EXCHANGE_FAILED;
    }
    if (tables->changed_count > 0) {
        tables->changed_count--;
        return X86_WALK_EXCHANGE_CHANGED;
    }
    assert_int_equal(entry, old_entry);
    memcpy(tables->memory + (gpa - TABLE_AREA), &new_entry, size);
    return X86_WALK_EXCHANGE_DONE;
}

static void tables_set(struct tables *tables, uint64_t gpa, unsigned size, uint64_t entry)
{
    memcpy(tables->memory + (gpa - TABLE_AREA), &entry, size);
}

static uint64_t tables_get(struct tables *tables, uint64_t gpa, unsigned size)
{
    uint64_t entry = 0;

    assert_true(tables_read(tables, gpa, size, &entry));
    return entry;
}

#define RIGHTS_ALL (X86_PTE_P | X86_PTE_W | X86_PTE_U)

/* Addresses of the tables, and of the entries for GVA. Each index of GVA is another one. */
#define GVA   0x0000123456789abcull
#define PML5  (TABLE_AREA + 0x0000u)
#define PML4  (TABLE_AREA + 0x1000u)
#define PDPT  (TABLE_AREA + 0x2000u)
#define PD    (TABLE_AREA + 0x3000u)
#define PT    (TABLE_AREA + 0x4000u)
#define PML4E (PML4 + ((GVA >> 39) & 0x1ff) * 8)
#define PDPTE (PDPT + ((GVA >> 30) & 0x1ff) * 8)
#define PDE   (PD + ((GVA >> 21) & 0x1ff) * 8)
#define PTE   (PT + ((GVA >> 12) & 0x1ff) * 8)
#define PAGE  0x7654321000ull

/* 4-level tables that map GVA to PAGE with all rights. The processor is at CPL 0 with WP and NX on. */
static struct tables *tables_reset(void)
{
    static struct tables tables;

    memset(&tables, 0, sizeof(tables));
    tables.context = (struct x86_walk_context){
        .cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP,
        .cr3 = PML4 | X86_CR3_PWT,
        .cr4 = X86_CR4_PAE,
        .efer = X86_EFER_LMA | X86_EFER_LME | X86_EFER_NXE,
        .physical_bits = 40,
        .has_1g_pages = true,
        .callback_context = &tables,
        .read = tables_read,
    };
    tables_set(&tables, PML4E, 8, PDPT | RIGHTS_ALL);
    tables_set(&tables, PDPTE, 8, PD | RIGHTS_ALL);
    tables_set(&tables, PDE, 8, PT | RIGHTS_ALL);
    tables_set(&tables, PTE, 8, PAGE | RIGHTS_ALL);
    return &tables;
}

static void expect_page(struct tables *tables, uint64_t gva, unsigned access, uint64_t gpa, unsigned page_shift)
{
    assert_int_equal(x86_walk(&tables->context, gva, access, &tables->result), X86_WALK_OK);
    assert_int_equal(tables->result.gpa, gpa);
    assert_int_equal(tables->result.page_shift, page_shift);
}

static void expect_page_fault(struct tables *tables, uint64_t gva, unsigned access, uint32_t error_code)
{
    assert_int_equal(x86_walk(&tables->context, gva, access, &tables->result), X86_WALK_PAGE_FAULT);
    assert_int_equal(tables->result.error_code, error_code);
}

static void test_walk_shapes(void **state)
{
    struct tables *tables = tables_reset();

    (void)state;
    expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
    assert_true(tables->result.is_writable && tables->result.is_user && tables->result.is_executable);
    assert_int_equal(tables->result.table_gpa, PTE);
    /* 5 levels; bit 56 is the sign then. */
    tables->context.cr4 |= X86_CR4_LA57;
    tables->context.cr3 = PML5;
    tables_set(tables, PML5 + 0x1ff * 8, 8, PML4 | RIGHTS_ALL);
    expect_page(tables, 0xffff000000000000 | GVA, 0, PAGE | 0xabc, 12);
    assert_int_equal(x86_walk(&tables->context, 0x0100000000000000, 0, &tables->result), X86_WALK_NON_CANONICAL);
    /* Pages of 2 MiB and 1 GiB, with memory types. */
    tables = tables_reset();
    tables_set(tables, PDE, 8, 0x7654200000 | RIGHTS_ALL | X86_PTE_PS | X86_PTE_LARGE_PAT | X86_PTE_PWT);
    expect_page(tables, GVA, 0, 0x7654200000 | (GVA & 0x1fffff), 21);
    assert_int_equal(tables->result.pat_index, 5);
    tables_set(tables, PDPTE, 8, 0x7640000000 | RIGHTS_ALL | X86_PTE_PS | X86_PTE_PCD);
    expect_page(tables, GVA, 0, 0x7640000000 | (GVA & 0x3fffffff), 30);
    assert_int_equal(tables->result.pat_index, 2);
    /* No paging. */
    tables->context.cr0 = X86_CR0_PE;
    expect_page(tables, 0x12345678, X86_WALK_WRITE, 0x12345678, 12);
    /* Not canonical; a table that cannot be read. */
    tables = tables_reset();
    assert_int_equal(x86_walk(&tables->context, 0x0000800000000000, 0, &tables->result), X86_WALK_NON_CANONICAL);
    tables_set(tables, PDE, 8, 0x5000 | RIGHTS_ALL);
    assert_int_equal(x86_walk(&tables->context, GVA, 0, &tables->result), X86_WALK_NO_TABLE);
    assert_int_equal(tables->result.table_gpa, 0x5000 + ((GVA >> 12) & 0x1ff) * 8);
}

static void test_walk_32_bit(void **state)
{
    struct tables *tables = tables_reset();
    uint64_t gva = 0x56789abc;
    uint64_t pde = PD + (gva >> 22) * 4;
    uint64_t pte = PT + ((gva >> 12) & 0x3ff) * 4;

    (void)state;
    tables->context.cr4 = 0;
    tables->context.efer = 0;
    tables->context.cr3 = PD | 0xfff;
    tables_set(tables, pde, 4, PT | RIGHTS_ALL | X86_PTE_PS); /* PS does not count without CR4.PSE */
    tables_set(tables, pte, 4, 0xfffff000 | X86_PTE_P);
    expect_page(tables, gva, 0, 0xfffffabc, 12);
    expect_page_fault(tables, gva, X86_WALK_WRITE, X86_PF_PRESENT | X86_PF_WRITE);
    /* Without NX and SMEP a fetch is not told from a read. */
    tables_set(tables, pte, 4, 0);
    expect_page_fault(tables, gva, X86_WALK_EXECUTE, 0);
    tables->context.cr4 = X86_CR4_SMEP;
    expect_page_fault(tables, gva, X86_WALK_EXECUTE, X86_PF_FETCH);
    /* 4 MiB page: bits 13 to 20 are address bits 32 to 39. */
    tables->context.cr4 = X86_CR4_PSE;
    tables_set(tables, pde, 4, 0x80400000 | (0x21u << 13) | RIGHTS_ALL | X86_PTE_PS);
    expect_page(tables, gva, 0, 0x2180400000 | (gva & 0x3fffff), 22);
    tables_set(tables, pde, 4, 0x80400000 | (0xa1u << 13) | RIGHTS_ALL | X86_PTE_PS);
    expect_page(tables, gva, 0, 0xa180400000 | (gva & 0x3fffff), 22);
    tables->context.physical_bits = 52;
    expect_page(tables, gva, 0, 0xa180400000 | (gva & 0x3fffff), 22);
    tables_set(tables, pde, 4, 0x80400000 | (0x21u << 13) | RIGHTS_ALL | X86_PTE_PS);
    tables->context.physical_bits = 36;
    expect_page_fault(tables, gva, 0, X86_PF_PRESENT | X86_PF_RESERVED);
    tables_set(tables, pde, 4, 0x80400000 | (1u << 21) | RIGHTS_ALL | X86_PTE_PS);
    tables->context.physical_bits = 40;
    expect_page_fault(tables, gva, 0, X86_PF_PRESENT | X86_PF_RESERVED);
}

static void test_walk_pae(void **state)
{
    struct tables *tables = tables_reset();
    uint64_t gva = 0xc0789abc;
    uint64_t pdpte = PDPT + 0x20 + 3 * 8;
    uint64_t pde = PD + ((gva >> 21) & 0x1ff) * 8;
    uint64_t pte = PT + ((gva >> 12) & 0x1ff) * 8;
    uint64_t held[4] = {0, 0, 0, PD | X86_PTE_P};

    (void)state;
    tables->context.efer = X86_EFER_NXE;
    tables->context.cr3 = PDPT + 0x20; /* aligned to 32 bytes only */
    tables_set(tables, pdpte, 8, PD | X86_PTE_P);
    tables_set(tables, pde, 8, PT | RIGHTS_ALL);
    tables_set(tables, pte, 8, PAGE | RIGHTS_ALL | X86_PTE_NX);
    tables->context.cpl = 3;
    expect_page(tables, gva, X86_WALK_WRITE, PAGE | 0xabc, 12);
    expect_page_fault(tables, gva, X86_WALK_EXECUTE, X86_PF_PRESENT | X86_PF_USER | X86_PF_FETCH);
    /* R/W and U/S are reserved in the uppermost entries. */
    tables_set(tables, pdpte, 8, PD | X86_PTE_P | X86_PTE_W);
    expect_page_fault(tables, gva, 0, X86_PF_PRESENT | X86_PF_USER | X86_PF_RESERVED);
    /* Those the processor holds win over those in memory. */
    tables->context.pdptes = held;
    expect_page(tables, gva, 0, PAGE | 0xabc, 12);
    held[3] = 0;
    expect_page_fault(tables, gva, 0, X86_PF_USER);
    /* Bits 52 to 62 are reserved with PAE, ignored in long mode. */
    held[3] = PD | X86_PTE_P;
    tables_set(tables, pte, 8, PAGE | RIGHTS_ALL | (1ull << 55));
    expect_page_fault(tables, gva, 0, X86_PF_PRESENT | X86_PF_USER | X86_PF_RESERVED);
    tables_set(tables, pde, 8, 0x200000 | RIGHTS_ALL | X86_PTE_PS);
    expect_page(tables, gva, 0, 0x200000 | (gva & 0x1fffff), 21);
    /* The uppermost entries have no accessed flag: that bit is reserved. */
    tables->context.pdptes = NULL;
    tables->context.exchange = tables_exchange;
    tables_set(tables, pdpte, 8, PD | X86_PTE_P);
    expect_page(tables, gva, 0, 0x200000 | (gva & 0x1fffff), 21);
    assert_int_equal(tables_get(tables, pdpte, 8), PD | X86_PTE_P);
    assert_int_equal(tables_get(tables, pde, 8), 0x200000 | RIGHTS_ALL | X86_PTE_PS | X86_PTE_A);
}

static void test_walk_not_present(void **state)
{
    static const uint64_t entries[] = {PML4E, PDPTE, PDE, PTE};

    (void)state;
    for (size_t index = 0; index < ARRAY_SIZE(entries); index++) {
        struct tables *tables = tables_reset();

        tables_set(tables, entries[index], 8, tables_get(tables, entries[index], 8) & ~X86_PTE_P);
        expect_page_fault(tables, GVA, 0, 0);
        assert_int_equal(tables->result.table_gpa, entries[index]);
        expect_page_fault(tables, GVA, X86_WALK_WRITE, X86_PF_WRITE);
        expect_page_fault(tables, GVA, X86_WALK_EXECUTE, X86_PF_FETCH);
        expect_page_fault(tables, GVA, X86_WALK_NO_RIGHTS, 0);
        tables->context.cpl = 3;
        expect_page_fault(tables, GVA, 0, X86_PF_USER);
        expect_page_fault(tables, GVA, X86_WALK_WRITE | X86_WALK_IMPLICIT, X86_PF_WRITE);
    }
}

static void test_walk_reserved(void **state)
{
    static const struct {
        uint64_t entry_gpa;
        uint64_t bits;
    } cases[] = {
        {PML4E, X86_PTE_PS},
        {PML4E, 1ull << 40},
        {PDPTE, 1ull << 51},
        {PDE, 1ull << 45},
        {PTE, 1ull << 40},
        {PDPTE, X86_PTE_PS | (1ull << 13)},
        {PDPTE, X86_PTE_PS | (1ull << 29)},
        {PDE, X86_PTE_PS | (1ull << 13)},
        {PDE, X86_PTE_PS | (1ull << 20)},
    };
    struct tables *tables;

    (void)state;
    for (size_t index = 0; index < ARRAY_SIZE(cases); index++) {
        tables = tables_reset();
        tables_set(tables, cases[index].entry_gpa, 8, RIGHTS_ALL | cases[index].bits);
        expect_page_fault(tables, GVA, X86_WALK_WRITE, X86_PF_PRESENT | X86_PF_WRITE | X86_PF_RESERVED);
        assert_int_equal(tables->result.table_gpa, cases[index].entry_gpa);
    }
    /* Ignored bits are no reserved ones. */
    tables = tables_reset();
    tables_set(tables, PTE, 8, PAGE | RIGHTS_ALL | (0x7ffull << 52) | (7u << 9));
    expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
    /* NX without EFER.NXE, and 1 GiB pages that the processor has not. */
    tables_set(tables, PTE, 8, PAGE | RIGHTS_ALL | X86_PTE_NX);
    tables->context.efer = X86_EFER_LMA;
    expect_page_fault(tables, GVA, 0, X86_PF_PRESENT | X86_PF_RESERVED);
    tables = tables_reset();
    tables->context.has_1g_pages = false;
    tables_set(tables, PDPTE, 8, 0x40000000 | RIGHTS_ALL | X86_PTE_PS);
    expect_page_fault(tables, GVA, 0, X86_PF_PRESENT | X86_PF_RESERVED);
}

static void test_walk_rights(void **state)
{
    static const uint64_t entries[] = {PML4E, PDPTE, PDE, PTE};
    const uint32_t denied = X86_PF_PRESENT;

    (void)state;
    /* A right missing on any level is missing. */
    for (size_t index = 0; index < ARRAY_SIZE(entries); index++) {
        struct tables *tables = tables_reset();
        uint64_t entry = tables_get(tables, entries[index], 8);

        tables_set(tables, entries[index], 8, entry & ~X86_PTE_W);
        expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
        assert_false(tables->result.is_writable);
        expect_page_fault(tables, GVA, X86_WALK_WRITE, denied | X86_PF_WRITE);
        expect_page(tables, GVA, X86_WALK_WRITE | X86_WALK_NO_RIGHTS, PAGE | 0xabc, 12);
        tables->context.cr0 &= ~X86_CR0_WP;
        expect_page(tables, GVA, X86_WALK_WRITE, PAGE | 0xabc, 12);
        tables->context.cpl = 3;
        expect_page_fault(tables, GVA, X86_WALK_WRITE, denied | X86_PF_WRITE | X86_PF_USER);

        tables_set(tables, entries[index], 8, entry & ~X86_PTE_U);
        expect_page_fault(tables, GVA, 0, denied | X86_PF_USER);
        expect_page(tables, GVA, X86_WALK_IMPLICIT, PAGE | 0xabc, 12);
        tables->context.cpl = 2;
        expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
        assert_false(tables->result.is_user);

        tables_set(tables, entries[index], 8, entry | X86_PTE_NX);
        expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
        assert_false(tables->result.is_executable);
        expect_page_fault(tables, GVA, X86_WALK_EXECUTE, denied | X86_PF_FETCH);
    }
}

static void test_walk_smep_smap_keys(void **state)
{
    struct tables *tables = tables_reset();
    const uint32_t key_fault = X86_PF_PRESENT | X86_PF_PROTECTION_KEY;

    (void)state;
    tables->context.cr4 |= X86_CR4_SMEP;
    expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
    expect_page_fault(tables, GVA, X86_WALK_EXECUTE, X86_PF_PRESENT | X86_PF_FETCH);
    tables->context.cr4 |= X86_CR4_SMAP;
    expect_page_fault(tables, GVA, 0, X86_PF_PRESENT);
    tables->context.rflags = X86_RFLAGS_AC;
    expect_page(tables, GVA, X86_WALK_WRITE, PAGE | 0xabc, 12);
    expect_page_fault(tables, GVA, X86_WALK_IMPLICIT, X86_PF_PRESENT);
    /* Neither is about user accesses, nor about supervisor pages. */
    tables->context.cpl = 3;
    tables->context.rflags = 0;
    expect_page(tables, GVA, X86_WALK_EXECUTE, PAGE | 0xabc, 12);
    tables->context.cpl = 0;
    tables_set(tables, PTE, 8, PAGE | X86_PTE_P | X86_PTE_W);
    expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
    expect_page(tables, GVA, X86_WALK_EXECUTE, PAGE | 0xabc, 12);

    /* Protection key 3: writes denied, then all but fetches. */
    tables = tables_reset();
    tables->context.cr4 |= X86_CR4_PKE;
    tables->context.cpl = 3;
    tables->context.pkru = 2u << 6;
    tables_set(tables, PTE, 8, PAGE | RIGHTS_ALL | (3ull << 59));
    expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
    expect_page_fault(tables, GVA, X86_WALK_WRITE, key_fault | X86_PF_WRITE | X86_PF_USER);
    tables->context.cpl = 0;
    expect_page_fault(tables, GVA, X86_WALK_WRITE, key_fault | X86_PF_WRITE);
    tables->context.cr0 &= ~X86_CR0_WP;
    expect_page(tables, GVA, X86_WALK_WRITE, PAGE | 0xabc, 12);
    tables->context.pkru = 1u << 6;
    expect_page_fault(tables, GVA, 0, key_fault);
    expect_page(tables, GVA, X86_WALK_EXECUTE, PAGE | 0xabc, 12);
    tables->context.cr4 &= ~X86_CR4_PKE;
    expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
}

static void test_walk_flags(void **state)
{
    struct tables *tables = tables_reset();

    (void)state;
    tables->context.exchange = tables_exchange;
    /* A refused access sets nothing. */
    tables_set(tables, PTE, 8, PAGE | X86_PTE_P);
    expect_page_fault(tables, GVA, X86_WALK_WRITE, X86_PF_PRESENT | X86_PF_WRITE);
    assert_int_equal(tables->exchange_count, 0);
    tables_set(tables, PTE, 8, PAGE | RIGHTS_ALL);
    expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
    assert_int_equal(tables->exchange_count, 4);
    assert_int_equal(tables_get(tables, PML4E, 8), PDPT | RIGHTS_ALL | X86_PTE_A);
    assert_int_equal(tables_get(tables, PDPTE, 8), PD | RIGHTS_ALL | X86_PTE_A);
    assert_int_equal(tables_get(tables, PDE, 8), PT | RIGHTS_ALL | X86_PTE_A);
    assert_int_equal(tables_get(tables, PTE, 8), PAGE | RIGHTS_ALL | X86_PTE_A);
    /* Dirty on the last level only; flags that are set are not written again. */
    expect_page(tables, GVA, X86_WALK_WRITE, PAGE | 0xabc, 12);
    assert_int_equal(tables->exchange_count, 5);
    assert_int_equal(tables_get(tables, PDE, 8), PT | RIGHTS_ALL | X86_PTE_A);
    assert_int_equal(tables_get(tables, PTE, 8), PAGE | RIGHTS_ALL | X86_PTE_A | X86_PTE_D);
    expect_page(tables, GVA, X86_WALK_WRITE, PAGE | 0xabc, 12);
    assert_int_equal(tables->exchange_count, 5);
    /* An entry that another processor changes is read again, but not for ever. */
    tables_set(tables, PTE, 8, PAGE | RIGHTS_ALL);
    tables->changed_count = 3;
    expect_page(tables, GVA, 0, PAGE | 0xabc, 12);
    tables_set(tables, PTE, 8, PAGE | RIGHTS_ALL);
    tables->changed_count = 1000;
    assert_int_equal(x86_walk(&tables->context, GVA, 0, &tables->result), X86_WALK_RETRY);
    assert_true(tables->changed_count > 900);
    tables->is_read_only = true;
    assert_int_equal(x86_walk(&tables->context, GVA, 0, &tables->result), X86_WALK_NO_TABLE);
    assert_int_equal(tables->result.table_gpa, PTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk_shapes),
        cmocka_unit_test(test_walk_32_bit),
        cmocka_unit_test(test_walk_pae),
        cmocka_unit_test(test_walk_not_present),
        cmocka_unit_test(test_walk_reserved),
        cmocka_unit_test(test_walk_rights),
        cmocka_unit_test(test_walk_smep_smap_keys),
        cmocka_unit_test(test_walk_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
