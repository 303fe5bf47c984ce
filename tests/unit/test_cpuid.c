/* SPDX-License-Identifier: MIT */
/* CPUID policy: what is hidden, what is added, topology, XSAVE, the hypervisor's leaves, registered results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_features.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic.h"
#include "hv/partition/backend.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/deposit.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES 400
#define VPS         3u

static uint64_t child_id;
static struct partition *child;
static struct vp *vps[VPS];
static bool is_intel;

/* A processor that has everything, undefined bits included. */
static struct cpuid_result everything(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result ones = {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff};

    switch (leaf) {
    case 0:
        return is_intel ? (struct cpuid_result){0x23, 0x756e6547, 0x6c65746e, 0x49656e69}
                        : (struct cpuid_result){0x23, 0x68747541, 0x444d4163, 0x69746e65};
    case 0x80000000:
        return (struct cpuid_result){0x80000028, 0x68747541, 0x444d4163, 0x69746e65};
    case 0x80000008:
        return (struct cpuid_result){0x00303934, 0xffffffff, 0xffffffff, 0xffffffff};
    case 4:
    case 0x8000001d:
        return subleaf > 3
                   ? (struct cpuid_result){0, 0, 0, 0}
                   : (struct cpuid_result){0xfc000000 | 0x3ffc000 | 1 | (subleaf == 3 ? 3u : 1u) << 5, 0x3f, 0x3f, 0};
    case 0xd:
        if (subleaf == 0) {
            return (struct cpuid_result){0x606ff, 0, 0, 0};
        }
        if (subleaf == 1) {
            return ones;
        }
        switch (subleaf) {
        case 2:
            return (struct cpuid_result){256, 576, 0, 0};
        case 5:
            return (struct cpuid_result){64, 1088, 0, 0};
        case 6:
            return (struct cpuid_result){512, 1152, 0, 0};
        case 7:
            return (struct cpuid_result){1024, 1664, 0, 0};
        case 9:
            return (struct cpuid_result){8, 2688, 2, 0};
        case 18:
            return (struct cpuid_result){8192, 2816, 6, 0};
        default:
            return (struct cpuid_result){0, 0, 0, 0};
        }
    default:
        return ones;
    }
}

static int start(void **state)
{
    (void)state;
    is_intel = false;
    cpuid_set_machine(everything);
    sim_start(1);
    child_id = sim_create_child(CHILD_PAGES);
    child = sim_partition(child_id);
    for (uint32_t i = 0; i < VPS; i++) {
        vps[i] = sim_create_vp(child_id, i);
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sim_stop();
    cpuid_set_machine(NULL);
    return 0;
}

static struct cpuid_result ask(struct vp *vp, uint32_t leaf, uint32_t subleaf)
{
    uint32_t out[CPUID_REGISTER_COUNT] = {1, 2, 3, 4};

    cpuid_query(vp, leaf, subleaf, out);
    return (struct cpuid_result){
        .eax = out[CPUID_EAX], .ebx = out[CPUID_EBX], .ecx = out[CPUID_ECX], .edx = out[CPUID_EDX]};
}

/* Behind the back of the code: what VPs see is fixed before the first of them is made. */
static void change_features(uint64_t synthetic_features)
{
    child->synthetic_features = synthetic_features;
    child->privileges = cpuid_child_privileges(synthetic_features);
    cpuid_forget(vps[0]);
}

static void assert_zero(struct cpuid_result result)
{
    assert_int_equal(result.eax | result.ebx | result.ecx | result.edx, 0);
}

static void set_cr4(struct vp *vp, uint64_t value)
{
    union hv_register_value cr4 = {.reg64 = value};

    assert_int_equal(backend->set_register(vp, HvX64RegisterCr4, &cr4), HV_STATUS_SUCCESS);
}

static void check_hidden(struct vp *vp)
{
    static const uint32_t hidden[] = {
        3,          5,          8,          9,          0xa,        0xc,        0xf,        0x10,       0x11,
        0x12,       0x14,       0x17,       0x18,       0x19,       0x1a,       0x1b,       0x1c,       0x1d,
        0x1e,       0x20,       0x23,       0x8000000a, 0x8000001b, 0x8000001c, 0x8000001f, 0x80000020, 0x80000022,
        0x80000028, 0x90000000, 0xc0000000, 0xffffffff, 0x24,       0x7fffffff};

    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        assert_zero(ask(vp, hidden[i], 0));
    }
    assert_int_equal(ask(vp, 0, 0).eax, 0x1f);
    assert_int_equal(ask(vp, 0x80000000, 0).eax, 0x80000021);
    /* MONITOR VMX SMX EST PDCM TSC-deadline; DS ACPI TM */
    assert_int_equal(ask(vp, 1, 0).ecx & (1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 15 | 1u << 24), 0);
    assert_int_equal(ask(vp, 1, 0).edx & (1u << 21 | 1u << 22 | 1u << 29 | 1u << 31), 0);
    assert_true(ask(vp, 1, 0).ecx & 1u << 31);
    assert_true(ask(vp, 1, 0).ecx & 1u << 21);
    /* TSC_ADJUST SGX HLE RTM MPX PT; WAITPKG CET LA57; AMX, speculation controls */
    assert_int_equal(ask(vp, 7, 0).ebx & (1u << 1 | 1u << 2 | 1u << 4 | 1u << 11 | 1u << 14 | 1u << 25), 0);
    assert_int_equal(ask(vp, 7, 0).ecx & (1u << 5 | 1u << 7 | 1u << 16 | 1u << 29 | 1u << 31), 0);
    assert_int_equal(ask(vp, 7, 0).edx & (1u << 20 | 1u << 22 | 1u << 24 | 1u << 25 | 0xfc000000), 0);
    assert_int_equal(ask(vp, 7, 0).eax, 1);
    assert_zero(ask(vp, 7, 2));
    assert_int_equal(ask(vp, 0x80000001, 0).ecx & (1u << 2 | 1u << 10 | 1u << 12 | 1u << 13 | 1u << 15 | 1u << 29), 0);
    assert_int_equal(ask(vp, 0x80000008, 0).ebx & ~0x205u, 0);
    assert_int_equal(ask(vp, 0x80000008, 0).eax, 0x3030); /* 48 and 48: what the tables reach */
    assert_int_equal(ask(vp, 6, 0).eax, 4);
    assert_int_equal(ask(vp, 6, 0).ecx, 0);
    assert_int_equal(ask(vp, 0x80000007, 0).edx, 1u << 8);
    assert_int_equal(ask(vp, 0x80000007, 0).eax, 0);
}

static void test_hidden_features(void **state)
{
    (void)state;
    check_hidden(vps[0]);
    check_hidden(sim_root_vp(0));
    is_intel = true;
    check_hidden(vps[0]);
}

static void test_topology(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < VPS; i++) {
        assert_int_equal(ask(vps[i], 1, 0).ebx >> 24, i);
        assert_int_equal(ask(vps[i], 1, 0).ebx >> 16 & 0xff, VPS);
        assert_true(ask(vps[i], 1, 0).edx & 1u << 28);
        assert_int_equal(ask(vps[i], 0xb, 0).edx, i);
        assert_int_equal(ask(vps[i], 0xb, 0).ecx, 0x100);
        assert_int_equal(ask(vps[i], 0xb, 0).ebx, 1);
        assert_int_equal(ask(vps[i], 0xb, 1).eax, 2);
        assert_int_equal(ask(vps[i], 0xb, 1).ebx, VPS);
        assert_int_equal(ask(vps[i], 0xb, 1).ecx, 0x201);
        assert_int_equal(ask(vps[i], 0xb, 2).ebx, 0);
        assert_int_equal(ask(vps[i], 0xb, 2).ecx, 2);
        assert_int_equal(ask(vps[i], 0x1f, 1).edx, i);
        assert_int_equal(ask(vps[i], 0x8000001e, 0).eax, i);
        assert_int_equal(ask(vps[i], 0x8000001e, 0).ecx, 0);
        assert_int_equal(ask(vps[i], 0x80000008, 0).ecx, 0x2002);
        assert_true(ask(vps[i], 0x80000001, 0).ecx & 2);
    }
    assert_int_equal(ask(vps[0], 4, 1).eax >> 14 & 0xfff, 0); /* own first-level caches */
    assert_int_equal(ask(vps[0], 4, 3).eax >> 14 & 0xfff, 3); /* the third level is shared */
    assert_int_equal(ask(vps[0], 4, 3).eax >> 26, 3);
    assert_zero(ask(vps[0], 4, 4));
}

static void test_mirrored_bits(void **state)
{
    (void)state;
    assert_int_equal(ask(vps[0], 1, 0).ecx & 1u << 27, 0);
    assert_int_equal(ask(vps[0], 7, 0).ecx & 1u << 4, 0);
    set_cr4(vps[0], X86_CR4_OSXSAVE | X86_CR4_PKE);
    assert_true(ask(vps[0], 1, 0).ecx & 1u << 27);
    assert_true(ask(vps[0], 7, 0).ecx & 1u << 4);
    assert_true(ask(vps[0], 1, 0).edx & 1u << 9);
    assert_true(apic_msr_write(vps[0], X86_MSR_APIC_BASE, 0xfee00100));
    assert_int_equal(ask(vps[0], 1, 0).edx & 1u << 9, 0);
    assert_int_equal(ask(vps[0], 0x80000001, 0).edx & 1u << 9, 0);
}

static void test_xsave(void **state)
{
    (void)state;
    assert_int_equal(cpuid_xcr0_mask(child), 0x2e7);
    assert_int_equal(ask(vps[0], 0xd, 0).eax, 0x2e7);
    assert_int_equal(ask(vps[0], 0xd, 0).ebx, 576);
    assert_int_equal(ask(vps[0], 0xd, 0).ecx, 2696);
    assert_int_equal(ask(vps[0], 0xd, 1).eax, 7); /* no XSAVES */
    assert_int_equal(ask(vps[0], 0xd, 1).ebx, 576);
    assert_int_equal(ask(vps[0], 0xd, 1).ecx | ask(vps[0], 0xd, 1).edx, 0);
    vps[0]->xcr0 = 7;
    assert_int_equal(ask(vps[0], 0xd, 0).ebx, 832);
    vps[0]->xcr0 = 0x207;
    assert_int_equal(ask(vps[0], 0xd, 0).ebx, 2696);
    assert_int_equal(ask(vps[0], 0xd, 1).ebx, 832 + 8);
    assert_int_equal(ask(vps[0], 0xd, 2).ebx, 576);
    assert_int_equal(ask(vps[0], 0xd, 9).ecx, 2);
    assert_zero(ask(vps[0], 0xd, 3));
    assert_zero(ask(vps[0], 0xd, 18));
    assert_zero(ask(vps[0], 0xd, 63));
    assert_zero(ask(vps[0], 0xd, 200));
    assert_true(cpuid_xsave_size_max() <= 4096);

    assert_true(cpuid_xcr0_is_valid(vps[0], 1));
    assert_true(cpuid_xcr0_is_valid(vps[0], 7));
    assert_true(cpuid_xcr0_is_valid(vps[0], 0x2e7));
    assert_false(cpuid_xcr0_is_valid(vps[0], 0));
    assert_false(cpuid_xcr0_is_valid(vps[0], 6));
    assert_false(cpuid_xcr0_is_valid(vps[0], 5));
    assert_false(cpuid_xcr0_is_valid(vps[0], 0x27));
    assert_false(cpuid_xcr0_is_valid(vps[0], 0xe3));
    assert_false(cpuid_xcr0_is_valid(vps[0], 0x1f));
    assert_false(cpuid_xcr0_is_valid(vps[0], 0x40007));
}

static void test_disabled_features(void **state)
{
    (void)state;
    assert_true(cpuid_feature_bank(child, 0) & HV_PROC_FEATURE_AES);
    child->disabled_features[0] = HV_PROC_FEATURE_AES | HV_PROC_FEATURE_SMEP | HV_PROC_FEATURE_RDTSCP;
    child->disabled_features[1] = HV_PROC_FEATURE1_CMPCCXADD;
    child->disabled_xsave = HV_XSAVE_FEATURE_AVX;
    assert_int_equal(ask(vps[0], 1, 0).ecx & 1u << 25, 0);
    assert_int_equal(ask(vps[0], 7, 0).ebx & 1u << 7, 0);
    assert_int_equal(ask(vps[0], 7, 1).eax & 1u << 7, 0);
    assert_int_equal(ask(vps[0], 0x80000001, 0).edx & 1u << 27, 0);
    assert_int_equal(ask(vps[0], 1, 0).ecx & 1u << 28, 0);
    assert_int_equal(cpuid_xcr0_mask(child), 0x203);
    assert_false(cpuid_xcr0_is_valid(vps[0], 7));
    assert_int_equal(cpuid_feature_bank(child, 0) & HV_PROC_FEATURE_AES, 0);
    assert_true(cpuid_feature_bank(root_partition, 0) & HV_PROC_FEATURE_AES);
    assert_int_equal(cpuid_feature_bank(child, 2), 0);
    assert_int_equal(cpuid_feature_bank(child, 0) & HV_PROC_FEATURE_IBRS, 0);
    child->disabled_xsave = HV_XSAVE_FEATURE_XSAVE;
    cpuid_forget(vps[0]);
    assert_int_equal(cpuid_xcr0_mask(child), 0);
    assert_zero(ask(vps[0], 0xd, 0));
}

static void test_invariant_tsc_control(void **state)
{
    (void)state;
    child->privileges |= HV_ACCESS_TSC_INVARIANT_CONTROLS;
    assert_int_equal(ask(vps[0], 0x80000007, 0).edx, 0);
    child->reftime.tsc_invariant = 1;
    assert_int_equal(ask(vps[0], 0x80000007, 0).edx, 1u << 8);
}

static void test_hypervisor_leaves(void **state)
{
    struct cpuid_result leaf = ask(vps[0], 0x40000000, 0);

    (void)state;
    assert_in_range(leaf.eax, 0x40000005, 0x4000ffff);
    assert_int_equal(leaf.ebx, 0x7263694d);
    assert_int_equal(leaf.ecx, 0x666f736f);
    assert_int_equal(leaf.edx, 0x76482074);
    leaf = ask(vps[0], 0x40000001, 0);
    assert_int_equal(leaf.eax, 0x31237648);
    assert_int_equal(leaf.ebx | leaf.ecx | leaf.edx, 0);
    assert_in_range(ask(vps[0], 0x40000002, 0).eax, 27744, 27751);
    leaf = ask(vps[0], 0x40000003, 0);
    assert_int_equal(leaf.eax, 0xe7f); /* no reset, no statistics, no debugger */
    assert_int_equal(leaf.ebx, 0x30);
    assert_int_equal(leaf.ecx, 0);
    assert_int_equal(leaf.edx, 1u << 4 | 1u << 5 | 1u << 8 | 1u << 10 | 1u << 17 | 1u << 18 | 1u << 19);
    leaf = ask(vps[0], 0x40000004, 0);
    assert_int_equal(leaf.eax, 0x20);
    assert_int_equal(leaf.ebx, 0xffffffff);
    assert_int_equal(leaf.ecx, 48);
    assert_int_equal(leaf.edx, 0);
    leaf = ask(vps[0], 0x40000005, 0);
    assert_int_equal(leaf.eax, PARTITION_VP_MAX);
    assert_int_equal(leaf.ecx | leaf.edx, 0);
    assert_int_equal(ask(vps[0], 0x40000006, 0).eax, 0xa);
    for (uint32_t i = 0x40000007; i <= 0x400000ff; i++) {
        assert_zero(ask(vps[0], i, 0));
        assert_zero(ask(sim_root_vp(0), i, 0));
    }
    for (uint32_t i = 0x40000000; i <= 0x400000ff; i++) { /* all VPs see the same */
        struct cpuid_result a = ask(vps[0], i, 0), b = ask(vps[2], i, 5);

        assert_memory_equal(&a, &b, sizeof(a));
    }
    leaf = ask(sim_root_vp(0), 0x40000003, 0);
    assert_int_equal(leaf.ebx & (1u | 1u << 1 | 1u << 2 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 12),
                     1u | 1u << 1 | 1u << 2 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 12);
    assert_int_equal(leaf.ebx & 1u << 22, 0);
}

static void test_synthetic_features(void **state)
{
    uint64_t minimal = HV_SYNTH_FEATURE_HYPERVISOR_PRESENT | HV_SYNTH_FEATURE_HV1 |
                       HV_SYNTH_FEATURE_ACCESS_HYPERCALL_REGS | HV_SYNTH_FEATURE_ACCESS_VP_INDEX;

    (void)state;
    assert_int_equal(0x06400FFBull & ~cpuid_assignable_features(), 0); /* what QEMU asks for */
    assert_int_equal(cpuid_assignable_features() & HV_SYNTH_FEATURE_ENLIGHTENED_VMCS, 0);
    change_features(minimal);
    assert_int_equal(ask(vps[0], 0x40000003, 0).eax, 0x60);
    assert_int_equal(ask(vps[0], 0x40000003, 0).ebx, 0);
    assert_int_equal(ask(vps[0], 0x40000003, 0).edx, 1u << 4 | 1u << 10 | 1u << 18);
    change_features(0x06400FFBull);
    assert_int_equal(ask(vps[0], 0x40000003, 0).eax, 0xe7e);
    assert_int_equal(ask(vps[0], 0x40000003, 0).ebx, 0x30);
    assert_int_equal(ask(vps[0], 0x40000004, 0).eax, 0x424);
    assert_int_equal(ask(vps[0], 0x40000005, 0).eax, 64); /* flushes name VPs in one word */
    change_features(0x06400FFBull | HV_SYNTH_FEATURE_EXTENDED_PROCESSOR_MASKS | HV_SYNTH_FEATURE_NOTIFY_LONG_SPIN_WAIT);
    assert_int_equal(ask(vps[0], 0x40000004, 0).eax, 0xc24);
    assert_int_equal(ask(vps[0], 0x40000004, 0).ebx, 0xfff);
    backend->features->has_virtual_eoi = true;
    cpuid_forget(vps[0]);
    assert_int_equal(ask(vps[0], 0x40000004, 0).eax, 0xe24); /* AutoEOI is no gain there */
    backend->features->has_virtual_eoi = false;
    assert_int_equal(ask(vps[0], 0x40000005, 0).eax, PARTITION_VP_MAX);
}

/* What has been answered once need not be worked out again, but for what can change. */
static void test_kept_answers(void **state)
{
    struct cpuid_result first = ask(vps[0], 4, 3);
    struct cpuid_result again;

    (void)state;
    cpuid_set_machine(NULL); /* the build machine's own */
    again = ask(vps[0], 4, 3);
    assert_memory_equal(&again, &first, sizeof(first));
    cpuid_forget(vps[0]);
    cpuid_set_machine(everything);
    assert_int_equal(ask(vps[0], 0xb, 1).ebx, VPS);
    (void)sim_create_vp(child_id, VPS);
    assert_int_equal(ask(vps[0], 0xb, 1).ebx, VPS + 1);
    assert_int_equal(ask(vps[0], 0xb, 0).ebx, 1); /* the subleaf counts */
    assert_int_equal(ask(vps[0], 0x40000000, 0).ebx, 0x7263694d);
    assert_int_equal(ask(vps[0], 0, 0).eax, 0x1f); /* as does the whole leaf */
    assert_int_equal(ask(vps[0], 0xd, 0).ebx, 576);
    vps[0]->xcr0 |= 6;
    assert_int_equal(ask(vps[0], 0xd, 0).ebx, 832);
}

static struct cpuid_result zeros(uint32_t leaf, uint32_t subleaf)
{
    (void)leaf, (void)subleaf;
    return (struct cpuid_result){0, 0, 0, 0};
}

/* The root's ids are those of the processor that a VP runs on, and no other's answer may stay. */
static void test_answers_of_the_root(void **state)
{
    struct vp *root = sim_root_vp(0);

    (void)state;
    cpu_this()->current_vp = NULL;
    assert_int_equal(ask(root, 1, 0).ebx, everything(1, 0).ebx);
    cpuid_set_machine(zeros);
    assert_int_equal(ask(root, 1, 0).ebx, 0);
    cpu_this()->current_vp = root;
    assert_int_equal(ask(root, 1, 0).ebx, 0);
    cpuid_set_machine(everything);
    assert_int_equal(ask(root, 1, 0).ebx, 0); /* kept by now */
    cpu_this()->current_vp = NULL;
}

static void test_registered_results(void **state)
{
    struct hv_input_register_intercept_result_cpuid input = {
        .input_eax = 7,
        .input_ecx = 0,
        .subleaf_specific = 1,
        .eax = 0x11,
        .eax_mask = 0xff,
        .ebx = 0,
        .ebx_mask = 0xffffffff,
    };
    uint64_t before = part_page_count(child);

    (void)state;
    assert_int_equal(cpuid_register(vps[1], &input), HV_STATUS_SUCCESS);
    assert_int_equal(ask(vps[1], 7, 0).eax, 0x11);
    assert_int_equal(ask(vps[1], 7, 0).ebx, 0);
    assert_int_not_equal(ask(vps[1], 7, 0).edx, 0); /* mask 0: the hypervisor's */
    assert_int_not_equal(ask(vps[1], 7, 1).eax, 0x11);
    assert_int_not_equal(ask(vps[0], 7, 0).ebx, 0); /* another VP */
    input.eax = 0x22;
    assert_int_equal(cpuid_register(vps[1], &input), HV_STATUS_SUCCESS); /* replaced, not added */
    assert_int_equal(ask(vps[1], 7, 0).eax, 0x22);
    assert_int_equal(vps[1]->cpuid.count, 1);
    /* OSXSAVE follows CR4 in a registered leaf 1, too. */
    input = (struct hv_input_register_intercept_result_cpuid){.input_eax = 1, .ecx = 3u << 26, .ecx_mask = 0xffffffff};
    assert_int_equal(cpuid_register(vps[1], &input), HV_STATUS_SUCCESS);
    assert_int_equal(ask(vps[1], 1, 7).ecx, 1u << 26);
    set_cr4(vps[1], X86_CR4_OSXSAVE);
    assert_int_equal(ask(vps[1], 1, 0).ecx, 3u << 26);
    input.input_eax = 0x40000003;
    assert_int_equal(cpuid_register(vps[1], &input), HV_STATUS_INVALID_PARAMETER);
    for (uint32_t i = 2; i < 128; i++) {
        input.input_eax = 0x1000 + i;
        assert_int_equal(cpuid_register(vps[1], &input), HV_STATUS_SUCCESS);
    }
    assert_int_equal(part_page_count(child), before - 2);
    hv_status_t status = HV_STATUS_SUCCESS;
    for (uint32_t i = 0; i < 1000 && status == HV_STATUS_SUCCESS; i++) {
        input.input_eax = 0x2000 + i;
        status = cpuid_register(vps[1], &input);
    }
    assert_int_equal(status, HV_STATUS_NO_RESOURCES);
    cpuid_destroy(vps[1]);
    assert_int_equal(part_page_count(child), before);
    while (part_page_count(child) != 0) {
        (void)!part_page_alloc(child);
    }
    assert_int_equal(cpuid_register(vps[1], &input), HV_STATUS_INSUFFICIENT_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hidden_features, start, stop),
        cmocka_unit_test_setup_teardown(test_topology, start, stop),
        cmocka_unit_test_setup_teardown(test_mirrored_bits, start, stop),
        cmocka_unit_test_setup_teardown(test_xsave, start, stop),
        cmocka_unit_test_setup_teardown(test_disabled_features, start, stop),
        cmocka_unit_test_setup_teardown(test_invariant_tsc_control, start, stop),
        cmocka_unit_test_setup_teardown(test_hypervisor_leaves, start, stop),
        cmocka_unit_test_setup_teardown(test_synthetic_features, start, stop),
        cmocka_unit_test_setup_teardown(test_kept_answers, start, stop),
        cmocka_unit_test_setup_teardown(test_answers_of_the_root, start, stop),
        cmocka_unit_test_setup_teardown(test_registered_results, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
