/* SPDX-License-Identifier: MIT */
/* links: vmx/ept.c */
/* EPT entries: rights, and the memory type that the MTRRs give a page. SDM vol. 3, EPT and Memory Typing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/mtrr.h"
#include "tests/machine/machine.h"
#include "vmx/vmx.h"

#define TYPE(entry)  ((entry) >> 3 & 7)
#define WIDTH_BITS   39
#define LARGE        0x40000000ull
#define DIVIDED      (LARGE + LARGE_PAGE_SIZE)
#define UNCACHED_END (DIVIDED + 4 * PAGE_SIZE)

/* Write-back, but for four uncached pages at the start of a large one. */
static int setup(void **state)
{
    struct mtrr_registers registers = {
        .capabilities = 1,
        .default_type = X86_MTRR_DEF_TYPE_ENABLE | X86_MEMORY_TYPE_WB,
        .base[0] = DIVIDED | X86_MEMORY_TYPE_UC,
        .mask[0] = (~(4 * PAGE_SIZE - 1) & ((1ull << WIDTH_BITS) - 1)) | X86_MTRR_PHYSMASK_VALID,
    };

    (void)state;
    (void)machine_reset();
    machine_set_mtrrs(&registers);
    return 0;
}

static uint64_t leaf(uint64_t page, uint32_t rights, enum gpa_level level)
{
    uint64_t entry = vmx_gpa_format.make_leaf(spa(page), rights, level);

    assert_true(vmx_gpa_format.is_present(entry));
    assert_true(vmx_gpa_format.is_leaf(entry, level));
    assert_int_equal(vmx_gpa_format.address(entry).value, page);
    return entry;
}

static void test_types(void **state)
{
    (void)state;
    assert_int_equal(TYPE(leaf(LARGE, GPA_ALL, GPA_LEVEL_2M)), X86_MEMORY_TYPE_WB);
    assert_int_equal(TYPE(leaf(DIVIDED, GPA_ALL, GPA_LEVEL_4K)), X86_MEMORY_TYPE_UC);
    assert_int_equal(TYPE(leaf(UNCACHED_END, GPA_ALL, GPA_LEVEL_4K)), X86_MEMORY_TYPE_WB);
    assert_int_equal(TYPE(leaf(UNCACHED_END, GPA_ALL | GPA_UNCACHED, GPA_LEVEL_4K)), X86_MEMORY_TYPE_UC);
}

/* Its first page decides for none of the others. */
static void test_large_page_of_two_types(void **state)
{
    struct mtrr_registers registers = {
        .capabilities = 1,
        .default_type = X86_MTRR_DEF_TYPE_ENABLE | X86_MEMORY_TYPE_UC,
        .base[0] = DIVIDED | X86_MEMORY_TYPE_WB,
        .mask[0] = (~(4 * PAGE_SIZE - 1) & ((1ull << WIDTH_BITS) - 1)) | X86_MTRR_PHYSMASK_VALID,
    };

    (void)state;
    assert_int_equal(TYPE(leaf(DIVIDED, GPA_ALL, GPA_LEVEL_2M)), X86_MEMORY_TYPE_UC);
    machine_set_mtrrs(&registers);
    assert_int_equal(TYPE(leaf(DIVIDED, GPA_ALL, GPA_LEVEL_2M)), X86_MEMORY_TYPE_UC);
    assert_int_equal(TYPE(leaf(DIVIDED, GPA_ALL, GPA_LEVEL_4K)), X86_MEMORY_TYPE_WB);
}

static void test_rights(void **state)
{
    (void)state;
    for (uint32_t rights = 0; rights <= GPA_ALL; rights++) {
        assert_int_equal(vmx_gpa_format.rights(leaf(LARGE, rights, GPA_LEVEL_2M)), rights | GPA_READ);
    }
    assert_false(vmx_gpa_format.is_present(vmx_gpa_format.no_access_entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_types, setup),
        cmocka_unit_test_setup(test_large_page_of_two_types, setup),
        cmocka_unit_test_setup(test_rights, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
