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
    vmcb.intercept_misc2 = 0;
    assert_string_equal(vmcb_check(&vmcb), "VMRUN is not intercepted");
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
