/* SPDX-License-Identifier: MIT */
/* links: svm/vmcb_check.c */
/* The rules that name what is wrong with a VMCB, one broken at a time. APM vol. 2, Canonicalization and Consistency
 * Checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/x86/x86_regs.h"
#include "svm/svm.h"

/* A guest in real mode, as after reset. */
static struct vmcb good(void)
{
    struct vmcb vmcb;

    memset(&vmcb, 0, sizeof(vmcb));
    vmcb.efer = X86_EFER_SVME;
    vmcb.intercept_misc2 = VMCB_MISC2_VMRUN;
    vmcb.asid = 1;
    return vmcb;
}

static void test_a_good_one_passes(void **state)
{
    struct vmcb vmcb = good();

    (void)state;
    assert_null(vmcb_check(&vmcb));
    vmcb.asid = 0; /* not chosen yet: no entry was refused */
    assert_null(vmcb_check(&vmcb));
}

static void test_the_broken_rule_is_named(void **state)
{
    struct vmcb vmcb = good();

    (void)state;
    vmcb.efer = 0;
    assert_string_equal(vmcb_check(&vmcb), "EFER.SVME is clear");
    vmcb = good();
    vmcb.cr0 = X86_CR0_PG;
    assert_string_equal(vmcb_check(&vmcb), "CR0.PG is set but CR0.PE is clear");
    vmcb = good();
    vmcb.dr7 = 1ull << 32;
    assert_string_equal(vmcb_check(&vmcb), "DR6 or DR7 bits 63:32 are not zero");
    vmcb = good();
    vmcb.cr0 = X86_CR0_NW;
    assert_string_equal(vmcb_check(&vmcb), "CR0.CD is clear while CR0.NW is set");
    vmcb = good();
    vmcb.cr0 = 1ull << 32;
    assert_string_equal(vmcb_check(&vmcb), "CR0 bits 63:32 are not zero");
    vmcb = good();
    vmcb.efer |= X86_EFER_LMA;
    vmcb.cr3 = 1ull << 63;
    assert_string_equal(vmcb_check(&vmcb), "CR3 has reserved bits set");
    vmcb = good();
    vmcb.cr4 = 1ull << 32;
    assert_string_equal(vmcb_check(&vmcb), "CR4 has reserved bits set");
    vmcb = good();
    vmcb.efer |= 1ull << 63;
    assert_string_equal(vmcb_check(&vmcb), "EFER has reserved bits set");
    vmcb = good();
    vmcb.efer |= X86_EFER_LME;
    vmcb.cr0 = X86_CR0_PG | X86_CR0_PE;
    assert_string_equal(vmcb_check(&vmcb), "EFER.LME and CR0.PG are set but CR4.PAE is clear");
    vmcb.cr4 = X86_CR4_PAE;
    assert_null(vmcb_check(&vmcb));
    vmcb.cs.attributes = 1u << 9 | 1u << 10; /* L and D/B */
    assert_string_equal(vmcb_check(&vmcb), "CS has both L and D set in long mode");
    vmcb.cs.attributes = 0;
    vmcb.cr0 = X86_CR0_PG;
    assert_string_equal(vmcb_check(&vmcb), "EFER.LME and CR0.PG are set but CR0.PE is clear");
    vmcb = good();
    vmcb.intercept_misc2 = 0;
    assert_string_equal(vmcb_check(&vmcb), "VMRUN is not intercepted");
    vmcb = good();
    vmcb.event_injection = VMCB_EVENT_VALID | (uint64_t)VMCB_EVENT_EXCEPTION << VMCB_EVENT_TYPE_SHIFT | X86_VECTOR_NMI;
    assert_string_equal(vmcb_check(&vmcb), "the injected event has a reserved type or an impossible vector");
}

static void test_a_refusal_is_known_by_its_low_half(void **state)
{
    struct vmcb vmcb = good();

    (void)state;
    vmcb.asid = 0;
    vmcb.exit_code = UINT64_MAX; /* a processor's */
    assert_string_equal(vmcb_check(&vmcb), "the ASID is zero");
    vmcb.exit_code = UINT32_MAX; /* KVM's */
    assert_string_equal(vmcb_check(&vmcb), "the ASID is zero");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_one_passes),
        cmocka_unit_test(test_the_broken_rule_is_named),
        cmocka_unit_test(test_a_refusal_is_known_by_its_low_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
