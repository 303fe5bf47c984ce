/* SPDX-License-Identifier: MIT */
/* Memory types out of MTRRs: precedence, fixed ranges, and blocks of one type. SDM vol. 3, MTRR Precedences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/mtrr.h"
#include "hv/lib/x86/x86_regs.h"
#include "tests/machine/machine.h"

#define UC X86_MEMORY_TYPE_UC
#define WC X86_MEMORY_TYPE_WC
#define WT X86_MEMORY_TYPE_WT
#define WP X86_MEMORY_TYPE_WP
#define WB X86_MEMORY_TYPE_WB

#define WIDTH_BITS 39

static struct mtrr_registers registers;
static struct mtrr_map map;

/* Enabled, no variable range, all fixed ranges write-back and off. */
static void start(uint8_t default_type)
{
    memset(&registers, 0, sizeof(registers));
    registers.capabilities = X86_MTRRCAP_FIXED | X86_MTRRCAP_WC;
    registers.default_type = X86_MTRR_DEF_TYPE_ENABLE | default_type;
    memset(registers.fixed, WB, sizeof(registers.fixed));
    mtrr_parse(&registers, &map);
}

static void add(uint64_t base, uint64_t bytes, uint8_t type)
{
    uint32_t index = (uint32_t)(registers.capabilities++ & X86_MTRRCAP_COUNT);

    registers.base[index] = base | type;
    registers.mask[index] = (~(bytes - 1) & ((1ull << WIDTH_BITS) - 1)) | X86_MTRR_PHYSMASK_VALID;
    mtrr_parse(&registers, &map);
}

static uint8_t type(uint64_t address)
{
    return mtrr_map_type(&map, spa(address));
}

static bool is_uniform(uint64_t address, uint64_t bytes)
{
    return mtrr_map_is_uniform(&map, spa(address), bytes);
}

static void test_without_mtrrs_all_is_write_back(void **state)
{
    (void)state;
    (void)machine_reset();
    assert_int_equal(mtrr_type(spa(0xfee00000)), WB);
    assert_true(mtrr_is_uniform(spa(0), 1ull << 39));
    start(UC);
    machine_set_mtrrs(&registers);
    assert_int_equal(mtrr_type(spa(0x1000)), UC);
    (void)machine_reset();
    assert_int_equal(mtrr_type(spa(0x1000)), WB);
}

static void test_disabled_means_uncached(void **state)
{
    (void)state;
    start(WB);
    add(0, GIB(1), WB);
    registers.default_type &= ~X86_MTRR_DEF_TYPE_ENABLE;
    registers.default_type |= X86_MTRR_DEF_TYPE_FIXED_ENABLE;
    mtrr_parse(&registers, &map);
    assert_int_equal(type(0), UC);
    assert_int_equal(type(MIB(16)), UC);
    assert_int_equal(type(GIB(8)), UC);
    assert_true(is_uniform(0, GIB(512)));
}

static void test_the_default_is_for_what_no_range_has(void **state)
{
    (void)state;
    start(WT);
    assert_int_equal(type(0), WT);
    assert_int_equal(type(GIB(500)), WT);
    add(GIB(2), GIB(1), WP);
    assert_int_equal(type(GIB(2) - 1), WT);
    assert_int_equal(type(GIB(2)), WP);
    assert_int_equal(type(GIB(3) - 1), WP);
    assert_int_equal(type(GIB(3)), WT);
    registers.mask[0] &= ~X86_MTRR_PHYSMASK_VALID;
    mtrr_parse(&registers, &map);
    assert_int_equal(type(GIB(2)), WT);
    /* Ranges beyond the count are not there. */
    registers.mask[0] |= X86_MTRR_PHYSMASK_VALID;
    registers.capabilities &= ~X86_MTRRCAP_COUNT;
    mtrr_parse(&registers, &map);
    assert_int_equal(type(GIB(2)), WT);
    /* More than have numbers are not read. */
    registers.capabilities |= X86_MTRRCAP_COUNT;
    mtrr_parse(&registers, &map);
    assert_int_equal(type(GIB(2)), WP);
}

static void test_overlaps(void **state)
{
    static const struct {
        uint8_t a, b, result;
    } pairs[] = {
        {UC, UC, UC}, {UC, WC, UC}, {UC, WT, UC}, {UC, WP, UC}, {UC, WB, UC}, {WT, WB, WT}, {WT, WT, WT}, {WB, WB, WB},
        {WC, WC, WC}, {WP, WP, WP}, {WC, WB, UC}, {WC, WT, UC}, {WP, WB, UC}, {WP, WT, UC}, {WC, WP, UC},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        start(WB);
        add(GIB(1), GIB(1), pairs[i].a);
        add(GIB(1), MIB(2), pairs[i].b);
        assert_int_equal(type(GIB(1)), pairs[i].result);
        assert_int_equal(type(GIB(1) + MIB(2)), pairs[i].a);
        start(WB);
        add(GIB(1), MIB(2), pairs[i].b);
        add(GIB(1), GIB(1), pairs[i].a);
        assert_int_equal(type(GIB(1)), pairs[i].result);
    }
    /* Three at a time. */
    start(UC);
    add(0, GIB(1), WB);
    add(0, MIB(2), WT);
    add(0, KIB(4), WB);
    assert_int_equal(type(0), WT);
    add(0, KIB(4), UC);
    assert_int_equal(type(0), UC);
    assert_int_equal(type(KIB(4)), WT);
}

static void test_fixed_ranges_come_first_below_1_mib(void **state)
{
    static const struct {
        uint32_t index, start, bytes;
    } parts[MTRR_FIXED_COUNT] = {
        {0, 0x00000, 0x10000}, {1, 0x80000, 0x4000}, {2, 0xa0000, 0x4000},  {3, 0xc0000, 0x1000},
        {4, 0xc8000, 0x1000},  {5, 0xd0000, 0x1000}, {6, 0xd8000, 0x1000},  {7, 0xe0000, 0x1000},
        {8, 0xe8000, 0x1000},  {9, 0xf0000, 0x1000}, {10, 0xf8000, 0x1000},
    };
    static const uint8_t types[8] = {UC, WC, WT, WP, WB, WT, WC, WP};

    (void)state;
    start(WB);
    add(0, GIB(1), UC);
    for (uint32_t i = 0; i < MTRR_FIXED_COUNT; i++) {
        memcpy(&registers.fixed[i], types, sizeof(types));
    }
    mtrr_parse(&registers, &map);
    assert_int_equal(type(0xa4000), UC); /* not enabled */
    registers.default_type |= X86_MTRR_DEF_TYPE_FIXED_ENABLE;
    mtrr_parse(&registers, &map);
    for (uint32_t i = 0; i < MTRR_FIXED_COUNT; i++) {
        for (uint32_t j = 0; j < 8; j++) {
            uint64_t at = parts[i].start + j * parts[i].bytes;

            assert_int_equal(type(at), types[j]);
            assert_int_equal(type(at + parts[i].bytes - 1), types[j]);
            assert_true(is_uniform(at, parts[i].bytes));
            assert_false(is_uniform(at & ~(2ull * parts[i].bytes - 1), 2ull * parts[i].bytes));
        }
    }
    assert_int_equal(type(MIB(1)), UC);
    registers.capabilities &= ~X86_MTRRCAP_FIXED;
    mtrr_parse(&registers, &map);
    assert_int_equal(type(0xa4000), UC); /* there are none */
}

static void test_blocks_with_one_boundary_inside(void **state)
{
    (void)state;
    start(UC);
    add(0, GIB(2), WB);
    add(GIB(2), GIB(1), WB);
    add(GIB(3), MIB(256), WB);
    assert_true(is_uniform(0, GIB(2)));
    assert_true(is_uniform(GIB(2), GIB(1)));
    assert_false(is_uniform(GIB(2), GIB(2)));
    assert_false(is_uniform(GIB(3), GIB(1)));
    assert_true(is_uniform(GIB(3), MIB(256)));
    assert_true(is_uniform(GIB(3) + MIB(256), MIB(256)));
    assert_true(is_uniform(GIB(3) + MIB(512), MIB(512)));
    assert_true(is_uniform(GIB(4), GIB(4)));
    /* One page in the middle, and the last page of all. */
    add(GIB(1) + KIB(8), KIB(4), UC);
    assert_false(is_uniform(GIB(1), GIB(1)));
    assert_false(is_uniform(GIB(1), MIB(2)));
    assert_true(is_uniform(GIB(1), KIB(8)));
    assert_true(is_uniform(GIB(1) + KIB(8), KIB(4)));
    assert_false(is_uniform(GIB(1) + KIB(8), KIB(8)));
    assert_true(is_uniform(GIB(1) + MIB(2), MIB(2)));
    add(GIB(8) - KIB(4), KIB(4), WC);
    assert_false(is_uniform(GIB(4), GIB(4)));
    assert_true(is_uniform(GIB(4), GIB(2)));
}

static void test_boundaries_without_a_change_divide_nothing(void **state)
{
    (void)state;
    start(UC);
    add(0, MIB(512), WB);
    add(MIB(512), MIB(256), WB);
    add(MIB(768), MIB(256), WB);
    assert_true(is_uniform(0, GIB(1)));
    add(MIB(2), MIB(2), WB);
    assert_true(is_uniform(0, GIB(1)));
    add(MIB(2), MIB(2), WT);
    assert_false(is_uniform(0, GIB(1)));
    /* A hole that another range fills again with the type of the default. */
    add(GIB(4), KIB(4), UC);
    assert_true(is_uniform(GIB(4), GIB(4)));
    /* Fixed ranges that say what the range around them says. */
    registers.default_type |= X86_MTRR_DEF_TYPE_FIXED_ENABLE;
    mtrr_parse(&registers, &map);
    assert_true(is_uniform(0, MIB(2)));
    registers.fixed[10] = 0x0506060606060606ull;
    mtrr_parse(&registers, &map);
    assert_false(is_uniform(0, MIB(2)));
    assert_false(is_uniform(0, MIB(1)));
    assert_true(is_uniform(0, KIB(512)));
}

/* A mask with a gap makes a range that comes again and again. */
static void test_masks_with_gaps(void **state)
{
    (void)state;
    start(WB);
    add(0, GIB(1), UC);
    registers.mask[0] &= ~GIB(4);
    mtrr_parse(&registers, &map);
    assert_int_equal(type(0), UC);
    assert_int_equal(type(GIB(4)), UC);
    assert_int_equal(type(GIB(1)), WB);
    assert_int_equal(type(GIB(8)), WB);
    assert_false(is_uniform(GIB(4), GIB(4)));
    assert_true(is_uniform(GIB(4), GIB(1)));
    assert_false(is_uniform(0, GIB(512)));
}

static void test_every_block_as_its_pages_say(void **state)
{
    (void)state;
    start(WB);
    registers.default_type |= X86_MTRR_DEF_TYPE_FIXED_ENABLE;
    registers.fixed[2] = 0;
    registers.fixed[5] = 0x0505050500000000ull;
    add(MIB(4), MIB(4), UC);
    add(MIB(4), MIB(2), UC);
    add(MIB(10), KIB(8), WT);
    add(MIB(10) + KIB(4), KIB(4), WB);
    add(MIB(12), KIB(4), WB);
    add(MIB(13), MIB(1), WC);
    for (uint64_t bytes = PAGE_SIZE; bytes <= MIB(16); bytes *= 2) {
        for (uint64_t at = 0; at < MIB(16); at += bytes) {
            bool is_one = true;

            for (uint64_t page = at; page < at + bytes; page += PAGE_SIZE) {
                is_one &= type(page) == type(at);
            }
            assert_int_equal(is_uniform(at, bytes), is_one);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_mtrrs_all_is_write_back),
        cmocka_unit_test(test_disabled_means_uncached),
        cmocka_unit_test(test_the_default_is_for_what_no_range_has),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_fixed_ranges_come_first_below_1_mib),
        cmocka_unit_test(test_blocks_with_one_boundary_inside),
        cmocka_unit_test(test_boundaries_without_a_change_divide_nothing),
        cmocka_unit_test(test_masks_with_gaps),
        cmocka_unit_test(test_every_block_as_its_pages_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
