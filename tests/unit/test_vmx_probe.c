/* SPDX-License-Identifier: MIT */
/* Which processors the VT-x backend takes, and what it says about the others, on MSRs that are a table. SDM vol. 3, VMX
 * Capability Reporting Facility; Enabling and Entering VMX Operation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/asm.h"
#include "tests/machine/machine.h"

#define rdmsr fake_rdmsr
#define cpuid fake_cpuid

static uint64_t fake_rdmsr(uint32_t msr);
static struct cpuid_result fake_cpuid(uint32_t leaf, uint32_t subleaf);

#include "vmx/vmx_probe.c"

struct gpa_format vmx_gpa_format;

/* The processor: what it has, but for what a test takes away. */
static bool has_vmx;
static uint64_t basic;
static uint32_t pin, cpu, cpu2, exit_controls, entry; /* allowed-1 settings */
static uint32_t cpu_must;
static uint64_t ept_vpid;
static bool uses_accessed_dirty;
static uint32_t structured; /* EBX of CPUID leaf 7 */

static uint64_t allowed(uint32_t may, uint32_t must)
{
    return (uint64_t)may << 32 | must;
}

/* The MSRs that the "true" ones replace say that nothing is allowed. */
static uint64_t fake_rdmsr(uint32_t msr)
{
    switch (msr) {
    case X86_MSR_VMX_BASIC:
        return basic;
    case X86_MSR_VMX_TRUE_PINBASED_CTLS:
        return allowed(pin, 0);
    case X86_MSR_VMX_TRUE_PROCBASED_CTLS:
        return allowed(cpu, cpu_must);
    case X86_MSR_VMX_TRUE_EXIT_CTLS:
        return allowed(exit_controls, 0);
    case X86_MSR_VMX_TRUE_ENTRY_CTLS:
        return allowed(entry, 0);
    case X86_MSR_VMX_PROCBASED_CTLS2:
        assert_true(cpu & VMX_CPU_SECONDARY);
        return allowed(cpu2, 0);
    case X86_MSR_VMX_EPT_VPID_CAP:
        assert_true(cpu2 & (VMX_CPU2_EPT | VMX_CPU2_VPID));
        return ept_vpid;
    default:
        return 0;
    }
}

static struct cpuid_result fake_cpuid(uint32_t leaf, uint32_t subleaf)
{
    (void)subleaf;
    if (leaf == 0) {
        return (struct cpuid_result){.eax = structured != 0 ? CPUID_STRUCTURED : 1};
    }
    if (leaf == CPUID_STRUCTURED) {
        return (struct cpuid_result){.ebx = structured};
    }
    return (struct cpuid_result){.eax = leaf == CPUID_ADDRESS_SIZES ? 46 : 0,
                                 .ecx = has_vmx ? CPUID_FEATURES_ECX_VMX : 0};
}

bool vmx_has_virtual_apic(void)
{
    return true;
}

void ept_use_accessed_dirty(void)
{
    uses_accessed_dirty = true;
}

static int start(void **state)
{
    (void)state;
    (void)machine_reset();
    machine_set_msr(X86_MSR_INTEL_FEATURE_CONTROL, X86_FEATURE_CONTROL_LOCK | X86_FEATURE_CONTROL_VMX_OUTSIDE_SMX);
    has_vmx = true;
    basic = VMX_BASIC_TRUE_CONTROLS;
    pin = cpu = cpu2 = exit_controls = entry = ~0u;
    cpu_must = 0;
    ept_vpid = ~0ull;
    uses_accessed_dirty = false;
    structured = 0;
    return 0;
}

static void assert_refused(const char *words)
{
    char why[256] = "";

    assert_int_equal(vmx_probe(why, sizeof(why)), BACKEND_UNUSABLE);
    if (strstr(why, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", why, words);
    }
}

static void assert_taken(void)
{
    char why[256];

    assert_int_equal(vmx_probe(why, sizeof(why)), BACKEND_FITS);
}

static void test_a_processor_without_vmx_is_somebody_elses(void **state)
{
    char why[256];

    (void)state;
    has_vmx = false;
    assert_int_equal(vmx_probe(why, sizeof(why)), BACKEND_ABSENT);
}

static void test_a_lock_of_the_firmware_is_named(void **state)
{
    (void)state;
    machine_set_msr(X86_MSR_INTEL_FEATURE_CONTROL, X86_FEATURE_CONTROL_LOCK);
    assert_true(vmx_is_locked_off());
    assert_refused("disabled by the firmware");
    /* Not locked: the hypervisor switches it on itself. */
    machine_set_msr(X86_MSR_INTEL_FEATURE_CONTROL, 0);
    assert_false(vmx_is_locked_off());
    assert_taken();
    /* Emulators have processors without the MSR. */
    (void)machine_reset();
    assert_taken();
}

static void test_each_missing_control_is_named(void **state)
{
    const struct {
        uint32_t *word;
        uint32_t bit;
        const char *words;
    } missing[] = {
        {&cpu, VMX_CPU_SECONDARY, "no secondary processor-based controls"},
        {&cpu2, VMX_CPU2_EPT, "no extended page tables"},
        {&cpu2, VMX_CPU2_UNRESTRICTED, "no unrestricted guest"},
        {&cpu, VMX_CPU_TPR_SHADOW, "no TPR shadow"},
        {&cpu, VMX_CPU_MSR_BITMAPS, "no MSR or I/O bitmaps"},
        {&cpu, VMX_CPU_IO_BITMAPS, "no MSR or I/O bitmaps"},
        {&pin, VMX_PIN_VIRTUAL_NMI, "no virtual NMIs"},
        {&exit_controls, VMX_EXIT_HOST_64, "at VM exits"},
        {&exit_controls, VMX_EXIT_LOAD_EFER, "at VM exits"},
        {&entry, VMX_ENTRY_LOAD_PAT, "at VM entries"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
        start(state);
        *missing[i].word &= ~missing[i].bit;
        assert_refused(missing[i].words);
    }
}

static void test_exits_at_every_access_to_cr3_are_not_taken(void **state)
{
    (void)state;
    cpu_must = VMX_CPU_CR3_LOAD;
    assert_refused("every access to CR3 exits");
    /* A processor without the "true" MSRs says so of all of them. */
    start(state);
    basic = 0;
    assert_refused("the processor has VT-x but");
}

static void test_page_tables_must_have_what_is_used(void **state)
{
    const uint64_t needed[] = {VMX_CAP_EPT_WALK_4, VMX_CAP_EPT_WB, VMX_CAP_EPT_2M, VMX_CAP_INVEPT,
                               VMX_CAP_INVEPT_SINGLE};

    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        start(state);
        ept_vpid &= ~needed[i];
        assert_refused("extended page tables lack");
    }
}

static void test_what_is_optional_is_found(void **state)
{
    (void)state;
    assert_taken();
    assert_true(uses_accessed_dirty && vmx_gpa_format.has_1g_pages && vmx_features.has_virtual_eoi);
    assert_int_equal(vmx_vpid_count, VPID_COUNT);
    assert_int_equal(vmx_limits.physical_bits, 46);
    assert_false(vmx_limits.has_sgx || vmx_limits.has_rtm);
    start(state);
    ept_vpid &= ~(VMX_CAP_EPT_1G | VMX_CAP_EPT_ACCESSED_DIRTY);
    assert_taken();
    assert_false(uses_accessed_dirty || vmx_gpa_format.has_1g_pages);
    structured = CPUID_STRUCTURED_SGX;
    assert_taken();
    assert_true(vmx_limits.has_sgx && !vmx_limits.has_rtm);
    structured = CPUID_STRUCTURED_RTM;
    assert_taken();
    assert_true(vmx_limits.has_rtm && !vmx_limits.has_sgx);
}

/* Tags that cannot be flushed are worse than none. */
static void test_vpids_are_not_used_without_their_flushes(void **state)
{
    const uint64_t needed[] = {VMX_CAP_INVVPID, VMX_CAP_INVVPID_SINGLE, VMX_CAP_INVVPID_ALL};

    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        start(state);
        ept_vpid &= ~needed[i];
        assert_taken();
        assert_int_equal(vmx_vpid_count, 1);
        assert_false(vmx_limits.cpu2.may & VMX_CPU2_VPID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_processor_without_vmx_is_somebody_elses, start),
        cmocka_unit_test_setup(test_a_lock_of_the_firmware_is_named, start),
        cmocka_unit_test_setup(test_each_missing_control_is_named, start),
        cmocka_unit_test_setup(test_exits_at_every_access_to_cr3_are_not_taken, start),
        cmocka_unit_test_setup(test_page_tables_must_have_what_is_used, start),
        cmocka_unit_test_setup(test_what_is_optional_is_found, start),
        cmocka_unit_test_setup(test_vpids_are_not_used_without_their_flushes, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
