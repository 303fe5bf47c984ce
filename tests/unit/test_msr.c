/* SPDX-License-Identifier: MIT */
/* links: svm/svm_msr.c vmx/vmx_msr.c */
/* MSR policy: every synthetic MSR with and without its privilege, the hypercall page's state machine, the stored ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic.h"
#include "hv/partition/backend.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/msr.h"
#include "hv/time/time.h"
#include "svm/svm.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_backend.h"
#include "vmx/vmx.h"

#define CHILD_PAGES 300
#define PAGE_GPA    0x300000ull
#define OS_ID       0x8100060100000000ull

static uint64_t child_id;
static struct partition *child;
static struct vp *vp;

static struct cpuid_result processor(uint32_t leaf, uint32_t subleaf)
{
    (void)subleaf;
    if (leaf == 0) {
        return (struct cpuid_result){0x16, 0x68747541, 0, 0};
    }
    if (leaf == 0x80000000) {
        return (struct cpuid_result){0x80000008, 0, 0, 0};
    }
    return leaf == 0x80000008 ? (struct cpuid_result){0x3028, 0, 0, 0} : (struct cpuid_result){0, 0, 0, 0xffffffff};
}

static void use_amd(void)
{
    sim_set_msr_rules(&svm_state_msrs, &svm_child_msrs, &svm_root_msrs);
}

static void use_intel(void)
{
    sim_set_msr_rules(&vmx_state_msrs, &vmx_child_msrs, &vmx_root_msrs);
}

static int start(void **state)
{
    (void)state;
    cpuid_set_machine(processor);
    use_amd();
    sim_start(1);
    child_id = sim_create_child(CHILD_PAGES);
    child = sim_partition(child_id);
    vp = sim_create_vp(child_id, 0);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sim_stop();
    cpuid_set_machine(NULL);
    return 0;
}

static uint64_t read_of(struct vp *of, uint32_t msr)
{
    uint64_t value = 0xdead;

    if (msr_read(of, msr, &value) != MSR_OK) {
        fail_msg("MSR %x cannot be read", msr);
    }
    return value;
}

static uint64_t read_msr(uint32_t msr)
{
    return read_of(vp, msr);
}

static enum msr_result try_read(uint32_t msr)
{
    uint64_t value;

    return msr_read(vp, msr, &value);
}

static void assert_read_fails(uint32_t msr)
{
    if (try_read(msr) != MSR_FAULT) {
        fail_msg("MSR %x can be read", msr);
    }
}

static void write_msr(uint32_t msr, uint64_t value)
{
    if (msr_write(vp, msr, value) != MSR_OK) {
        fail_msg("MSR %x := %llx refused", msr, (unsigned long long)value);
    }
}

static void assert_write_fails(uint32_t msr, uint64_t value)
{
    if (msr_write(vp, msr, value) != MSR_FAULT) {
        fail_msg("MSR %x := %llx accepted", msr, (unsigned long long)value);
    }
}

/* As they can only be before the VP has run. */
static void set_privileges(uint64_t privileges)
{
    child->privileges = privileges;
    vp->msrs.permitted = 0;
}

/* The list of the specification: may be read, may be written (with this value), privileges. */
static const struct {
    uint32_t first, last;
    bool is_readable, is_writable;
    uint64_t value;
    uint64_t privileges;
} synthetic[] = {
    {0x40000000, 0x40000000, true, true, OS_ID, HV_ACCESS_HYPERCALL_MSRS},
    {0x40000001, 0x40000001, true, true, 0, HV_ACCESS_HYPERCALL_MSRS},
    {0x40000002, 0x40000002, true, false, 0, HV_ACCESS_VP_INDEX},
    {0x40000003, 0x40000003, true, true, 0, HV_ACCESS_RESET_REG},
    {0x40000010, 0x40000010, true, false, 0, HV_ACCESS_VP_RUN_TIME_REG},
    {0x40000020, 0x40000020, true, false, 0, HV_ACCESS_PARTITION_REFERENCE_COUNTER},
    {0x40000021, 0x40000021, true, true, 0, HV_ACCESS_PARTITION_REFERENCE_TSC},
    {0x40000022, 0x40000023, true, false, 0, HV_ACCESS_FREQUENCY_REGS},
    {0x40000070, 0x40000070, false, true, 0, HV_ACCESS_INTR_CTRL_REGS},
    {0x40000071, 0x40000073, true, true, 0, HV_ACCESS_INTR_CTRL_REGS},
    {0x40000080, 0x40000080, true, true, 0, HV_ACCESS_SYNIC_REGS},
    {0x40000081, 0x40000081, true, false, 0, HV_ACCESS_SYNIC_REGS},
    {0x40000082, 0x40000084, true, true, 0, HV_ACCESS_SYNIC_REGS},
    {0x40000085, 0x40000085, false, false, 0, HV_ACCESS_SYNIC_REGS},
    {0x40000090, 0x4000009f, true, true, 0x10000, HV_ACCESS_SYNIC_REGS},
    {0x400000b0, 0x400000b7, true, true, 0, HV_ACCESS_SYNTHETIC_TIMER_REGS | HV_ACCESS_SYNIC_REGS},
    {0x400000f0, 0x400000f0, true, false, 0, HV_ACCESS_GUEST_IDLE_REG},
    {0x40000100, 0x40000105, true, true, 0, 0},
    {0x40000106, 0x40000108, true, true, 0, HV_ACCESS_REENLIGHTENMENT_CONTROLS},
    {0x40000118, 0x40000118, true, true, 0, HV_ACCESS_TSC_INVARIANT_CONTROLS},
};

static const void *row_of(uint32_t msr)
{
    for (size_t i = 0; i < sizeof(synthetic) / sizeof(synthetic[0]); i++) {
        if (msr >= synthetic[i].first && msr <= synthetic[i].last) {
            return &synthetic[i];
        }
    }
    return NULL;
}

static void test_synthetic_msrs_by_privilege(void **state)
{
    const uint64_t all = UINT32_MAX;

    (void)state;
    for (size_t i = 0; i < sizeof(synthetic) / sizeof(synthetic[0]); i++) {
        for (uint32_t msr = synthetic[i].first; msr <= synthetic[i].last; msr++) {
            set_privileges(all);
            assert_int_equal(try_read(msr), synthetic[i].is_readable ? MSR_OK : MSR_FAULT);
            assert_int_equal(msr_write(vp, msr, synthetic[i].value), synthetic[i].is_writable ? MSR_OK : MSR_FAULT);
            vp->activity = VP_ACTIVE;
            set_privileges(all & ~synthetic[i].privileges);
            if (synthetic[i].privileges != 0) {
                assert_read_fails(msr);
                assert_write_fails(msr, synthetic[i].value);
            }
            set_privileges(synthetic[i].privileges); /* these alone are enough */
            assert_int_equal(try_read(msr), synthetic[i].is_readable ? MSR_OK : MSR_FAULT);
            vp->activity = VP_ACTIVE;
        }
    }
    set_privileges(all);
    for (uint32_t msr = HV_X64_MSR_FIRST; msr <= HV_X64_MSR_LAST; msr++) {
        if (row_of(msr) == NULL) {
            assert_read_fails(msr);
            assert_write_fails(msr, 0);
        }
    }
}

static void test_unimplemented_msrs(void **state)
{
    static const uint32_t unknown[] = {0x3b,  0x48,       0x49,       0x6e0,      0xda0,
                                       0x480, 0x40000040, 0x400000e0, 0x4b564d00, 0xc0010117};

    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        child->unimplemented_msr_action = 0;
        assert_read_fails(unknown[i]);
        assert_write_fails(unknown[i], 0);
        child->unimplemented_msr_action = HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO;
        assert_int_equal(read_msr(unknown[i]), 0);
        write_msr(unknown[i], 1);
        child->intercepts_msr = true;
        assert_int_equal(try_read(unknown[i]), MSR_INTERCEPT);
        assert_int_equal(msr_write(vp, unknown[i], 1), MSR_INTERCEPT);
        child->intercepts_msr = false;
    }
    /* A missing privilege is a fault whatever the property says. */
    assert_read_fails(HV_X64_MSR_RESET);
    child->intercepts_msr = true;
    assert_int_equal(try_read(HV_X64_MSR_RESET), MSR_INTERCEPT);
    child->privileges |= HV_ACCESS_RESET_REG;
    assert_int_equal(msr_write(vp, HV_X64_MSR_RESET, 1), MSR_INTERCEPT);
}

static uint8_t guest_byte(uint64_t address)
{
    uint8_t byte = 0xee;

    assert_true(gpa_read(child, gpa(address), &byte, 1));
    return byte;
}

static void test_hypercall_page(void **state)
{
    uint8_t own = 0x77;

    (void)state;
    sim_map(child_id, PAGE_GPA >> 12, sim_page(), 1);
    sim_map(child_id, (PAGE_GPA >> 12) + 1, sim_page(), 1);
    assert_true(gpa_write(child, gpa(PAGE_GPA), &own, 1));
    assert_true(gpa_write(child, gpa(PAGE_GPA + 0x1000), &own, 1));
    write_msr(HV_X64_MSR_HYPERCALL, PAGE_GPA | 1); /* no OS identity: no fault, no enable */
    assert_int_equal(read_msr(HV_X64_MSR_HYPERCALL), PAGE_GPA);
    assert_false(msr_hypercall_is_enabled(child));
    write_msr(HV_X64_MSR_GUEST_OS_ID, OS_ID);
    assert_int_equal(read_msr(HV_X64_MSR_GUEST_OS_ID), OS_ID);
    write_msr(HV_X64_MSR_HYPERCALL, PAGE_GPA | 1);
    assert_int_equal(read_msr(HV_X64_MSR_HYPERCALL), PAGE_GPA | 1);
    assert_true(msr_hypercall_is_enabled(child));
    assert_int_equal(guest_byte(PAGE_GPA), 0x0f);
    assert_int_equal(guest_byte(PAGE_GPA + 1), 0x01);
    assert_int_equal(guest_byte(PAGE_GPA + 2), 0xd9);
    assert_int_equal(guest_byte(PAGE_GPA + 3), 0xc3);
    assert_false(gpa_write(child, gpa(PAGE_GPA), &own, 1));
    write_msr(HV_X64_MSR_HYPERCALL, (PAGE_GPA + 0x1000) | 1); /* moved: what was below is back */
    assert_int_equal(guest_byte(PAGE_GPA), 0x77);
    assert_int_equal(guest_byte(PAGE_GPA + 0x1000), 0x0f);
    assert_write_fails(HV_X64_MSR_HYPERCALL, 1ull << 60 | 1);
    assert_int_equal(read_msr(HV_X64_MSR_HYPERCALL), (PAGE_GPA + 0x1000) | 1);
    write_msr(HV_X64_MSR_GUEST_OS_ID, OS_ID + 1); /* no effect on the page */
    assert_int_equal(guest_byte(PAGE_GPA + 0x1000), 0x0f);
    write_msr(HV_X64_MSR_GUEST_OS_ID, 0);
    assert_int_equal(read_msr(HV_X64_MSR_HYPERCALL), PAGE_GPA + 0x1000);
    assert_int_equal(guest_byte(PAGE_GPA + 0x1000), 0x77);
    write_msr(HV_X64_MSR_GUEST_OS_ID, OS_ID);
    write_msr(HV_X64_MSR_HYPERCALL, PAGE_GPA | 3); /* locked */
    assert_write_fails(HV_X64_MSR_HYPERCALL, 0);
    assert_write_fails(HV_X64_MSR_HYPERCALL, PAGE_GPA | 3);
    write_msr(HV_X64_MSR_GUEST_OS_ID, 0);
    assert_true(msr_hypercall_is_enabled(child));
    msr_partition_reset(child);
    assert_int_equal(read_msr(HV_X64_MSR_HYPERCALL), 0);
    assert_int_equal(guest_byte(PAGE_GPA), 0x77);
    write_msr(HV_X64_MSR_HYPERCALL, 0);
}

static void test_roots_pages(void **state)
{
    struct vp *root = sim_root_vp(0);
    static const uint32_t msrs[] = {HV_X64_MSR_HYPERCALL, HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_VP_ASSIST_PAGE};

    (void)state;
    assert_int_equal(msr_write(root, HV_X64_MSR_GUEST_OS_ID, OS_ID), MSR_OK);
    for (size_t i = 0; i < 3; i++) {
        uint64_t given = read_of(root, msrs[i]);
        uint8_t byte;

        assert_int_not_equal(given >> 12, 0);
        assert_true(gpa_read(root_partition, gpa(given & ~0xfffull), &byte, 1));
        assert_int_equal(msr_write(root, msrs[i], 0x5001), MSR_OK);
        assert_int_equal(read_of(root, msrs[i]), given | 1);
        assert_int_equal(msr_write(root, msrs[i], given), MSR_OK);
        assert_int_equal(read_of(root, msrs[i]), given);
    }
}

static void test_vp_assist_page(void **state)
{
    (void)state;
    write_msr(HV_X64_MSR_VP_ASSIST_PAGE, PAGE_GPA | 1);
    assert_int_equal(read_msr(HV_X64_MSR_VP_ASSIST_PAGE), PAGE_GPA | 1);
    for (uint32_t i = 0; i < 4096; i += 64) {
        assert_int_equal(guest_byte(PAGE_GPA + i), 0);
    }
    assert_write_fails(HV_X64_MSR_VP_ASSIST_PAGE, 1ull << 50 | 1);
    write_msr(HV_X64_MSR_VP_ASSIST_PAGE, PAGE_GPA);
    assert_false(gpa_is_writable(child, gpa(PAGE_GPA), 1));
}

static void test_interrupt_msrs(void **state)
{
    (void)state;
    apic_write(vp, APIC_REG_SVR, 0x1ff);
    assert_write_fails(HV_X64_MSR_EOI, 1ull << 32);
    assert_write_fails(HV_X64_MSR_TPR, 0x100);
    write_msr(HV_X64_MSR_TPR, 0x40);
    assert_int_equal(apic_read(vp, APIC_REG_TPR), 0x40);
    apic_write(vp, APIC_REG_TPR, 0);
    assert_int_equal(read_msr(HV_X64_MSR_TPR), 0);
    write_msr(HV_X64_MSR_ICR, 0x40000 | 0x45); /* to itself */
    assert_int_equal(apic_pending_vector(vp), 0x45);
    apic_accept(vp, 0x45);
    write_msr(HV_X64_MSR_EOI, 0xffffffff);
    assert_int_equal(apic_ppr(vp), 0);
    write_msr(HV_X64_MSR_ICR, 0x0500000000000046ull);
    assert_int_equal(read_msr(HV_X64_MSR_ICR), 0x0500000000000046ull);
    assert_int_equal(apic_read(vp, APIC_REG_ICR_HIGH), 0x05000000);
}

static void test_clocks(void **state)
{
    uint64_t time = read_msr(HV_X64_MSR_TIME_REF_COUNT);

    (void)state;
    machine_advance_100ns(777);
    assert_in_range(read_msr(HV_X64_MSR_TIME_REF_COUNT) - time, 776, 778);
    assert_int_equal(read_msr(HV_X64_MSR_TSC_FREQUENCY), MACHINE_TSC_HZ);
    assert_int_equal(read_msr(HV_X64_MSR_APIC_FREQUENCY), 200000000);
    vp->run_time_tsc = MACHINE_TSC_HZ;
    assert_in_range(read_msr(HV_X64_MSR_VP_RUNTIME), 9999999, 10000000);
    assert_int_equal(read_msr(X86_MSR_TSC), time_tsc());
}

static void test_guest_idle(void **state)
{
    (void)state;
    apic_write(vp, APIC_REG_SVR, 0x1ff);
    assert_int_equal(read_msr(HV_X64_MSR_GUEST_IDLE), 0);
    assert_int_equal(vp->activity, VP_IDLE);
    assert_int_equal(vp->requests & VP_REQUEST_SLICE, 0);
    assert_false(vp_has_work(vp));
    vp->regs.rflags &= ~0x200ull;
    apic_set_irr(vp, 0x50, false);
    assert_true(vp_has_work(vp)); /* although interrupts are off */
    assert_int_equal(read_msr(HV_X64_MSR_GUEST_IDLE), 0);
    assert_int_equal(vp->activity, VP_ACTIVE); /* one is there already */
    assert_int_equal(vp->requests & VP_REQUEST_SLICE, VP_REQUEST_SLICE);
}

static void test_crash_msrs(void **state)
{
    static const char text[] = "line one\nline\ttwo\033[0m";
    uint64_t page = sim_page();

    (void)state;
    sim_map(child_id, PAGE_GPA >> 12, page, 1);
    assert_true(gpa_write(child, gpa(PAGE_GPA), text, sizeof(text)));
    for (uint32_t i = 0; i < 5; i++) {
        write_msr(HV_X64_MSR_CRASH_P0 + i, 0x1000 + i);
        assert_int_equal(read_msr(HV_X64_MSR_CRASH_P0 + i), 0x1000 + i);
    }
    write_msr(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY);
    assert_true(machine_log_contains("1000 1001 1002 1003 1004"));
    assert_int_equal(read_msr(HV_X64_MSR_CRASH_CTL), HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_MESSAGE);
    write_msr(HV_X64_MSR_CRASH_P3, PAGE_GPA);
    write_msr(HV_X64_MSR_CRASH_P4, sizeof(text) - 1);
    write_msr(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_MESSAGE);
    assert_true(machine_log_contains("line one line two [0m")); /* no control characters */
    write_msr(HV_X64_MSR_CRASH_P3, UINT64_MAX - 3);
    write_msr(HV_X64_MSR_CRASH_P4, 4096);
    write_msr(HV_X64_MSR_CRASH_CTL, UINT64_MAX);
    write_msr(HV_X64_MSR_CRASH_P4, UINT64_MAX);
    write_msr(HV_X64_MSR_CRASH_CTL, UINT64_MAX);
}

static void test_time_controls(void **state)
{
    (void)state;
    child->privileges |= HV_ACCESS_REENLIGHTENMENT_CONTROLS | HV_ACCESS_TSC_INVARIANT_CONTROLS;
    write_msr(HV_X64_MSR_REENLIGHTENMENT_CONTROL, 0x00000003000100eeull);
    assert_int_equal(read_msr(HV_X64_MSR_REENLIGHTENMENT_CONTROL), 0x00000003000100eeull);
    write_msr(HV_X64_MSR_TSC_EMULATION_CONTROL, 1);
    assert_int_equal(read_msr(HV_X64_MSR_TSC_EMULATION_CONTROL), 1);
    assert_write_fails(HV_X64_MSR_TSC_EMULATION_STATUS, 1);
    write_msr(HV_X64_MSR_TSC_EMULATION_STATUS, 0);
    assert_write_fails(HV_X64_MSR_TSC_INVARIANT_CONTROL, 2);
    write_msr(HV_X64_MSR_TSC_INVARIANT_CONTROL, 0);
    write_msr(HV_X64_MSR_TSC_INVARIANT_CONTROL, 1);
    assert_write_fails(HV_X64_MSR_TSC_INVARIANT_CONTROL, 0);
    assert_int_equal(read_msr(HV_X64_MSR_TSC_INVARIANT_CONTROL), 1);
}

static void test_processor_state(void **state)
{
    static const uint32_t addresses[] = {X86_MSR_SYSENTER_ESP,   X86_MSR_SYSENTER_EIP, X86_MSR_LSTAR,  X86_MSR_CSTAR,
                                         X86_MSR_KERNEL_GS_BASE, X86_MSR_FS_BASE,      X86_MSR_GS_BASE};
    union hv_register_value cr0 = {.reg64 = X86_CR0_PE | X86_CR0_PG};

    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        write_msr(addresses[i], 0xffff800000001000ull);
        assert_int_equal(read_msr(addresses[i]), 0xffff800000001000ull);
        assert_write_fails(addresses[i], 0x0000800000000000ull);
        assert_int_equal(read_msr(addresses[i]), 0xffff800000001000ull);
    }
    write_msr(X86_MSR_STAR, 0x1234567800000000ull);
    assert_int_equal(read_msr(X86_MSR_STAR), 0x1234567800000000ull);
    write_msr(X86_MSR_PAT, 0x0001040506070006ull);
    assert_write_fails(X86_MSR_PAT, 2);
    assert_write_fails(X86_MSR_PAT, 0x0800000000000000ull);
    write_msr(X86_MSR_EFER, X86_EFER_LME | X86_EFER_NXE | X86_EFER_SCE);
    assert_int_equal(read_msr(X86_MSR_EFER), X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE);
    assert_write_fails(X86_MSR_EFER, X86_EFER_SVME);
    assert_write_fails(X86_MSR_EFER, 1ull << 20);
    assert_int_equal(backend->set_register(vp, HvX64RegisterCr0, &cr0), HV_STATUS_SUCCESS);
    assert_write_fails(X86_MSR_EFER, X86_EFER_NXE); /* LME while paging */
    write_msr(X86_MSR_EFER, X86_EFER_LME);
    write_msr(X86_MSR_DEBUGCTL, X86_DEBUGCTL_BTF);
    assert_write_fails(X86_MSR_DEBUGCTL, 1u << 7);
    assert_int_equal(read_msr(X86_MSR_APIC_BASE), 0xfee00900);
    assert_read_fails(0x802);
    write_msr(X86_MSR_TSC, 5); /* page and VP no longer agree */
    assert_false(reftime_page_is_valid(child));
}

static void test_mtrrs(void **state)
{
    (void)state;
    assert_int_equal(read_msr(X86_MSR_MTRRCAP), 0x508);
    assert_write_fails(X86_MSR_MTRRCAP, 0x508);
    write_msr(X86_MSR_MTRR_DEF_TYPE, 0x806);
    assert_int_equal(read_msr(X86_MSR_MTRR_DEF_TYPE), 0x806);
    assert_write_fails(X86_MSR_MTRR_DEF_TYPE, 0x802);
    assert_write_fails(X86_MSR_MTRR_DEF_TYPE, 0x1806);
    for (uint32_t i = 0; i < 8; i++) {
        write_msr(X86_MSR_MTRR_PHYSBASE(i), 0x80000000ull + (i << 12) + 6);
        write_msr(X86_MSR_MTRR_PHYSMASK(i), 0xff80000800ull);
    }
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(read_msr(X86_MSR_MTRR_PHYSBASE(i)), 0x80000000ull + (i << 12) + 6);
        assert_int_equal(read_msr(X86_MSR_MTRR_PHYSMASK(i)), 0xff80000800ull);
    }
    assert_write_fails(X86_MSR_MTRR_PHYSBASE(0), 0x107);
    assert_write_fails(X86_MSR_MTRR_PHYSBASE(0), 7);
    assert_write_fails(X86_MSR_MTRR_PHYSBASE(0), 1ull << 40); /* 40 address bits */
    assert_write_fails(X86_MSR_MTRR_PHYSMASK(0), 0x400);
    assert_read_fails(X86_MSR_MTRR_PHYSBASE(8));
    for (uint32_t i = 0; i < 8; i++) {
        write_msr(X86_MSR_MTRR_FIX4K_C0000 + i, 0x0606060606060606ull - i % 2);
        assert_int_equal(read_msr(X86_MSR_MTRR_FIX4K_C0000 + i), 0x0606060606060606ull - i % 2);
    }
    write_msr(X86_MSR_MTRR_FIX64K_00000, 0);
    write_msr(X86_MSR_MTRR_FIX16K_A0000, 0x0101010101010101ull);
    assert_write_fails(X86_MSR_MTRR_FIX16K_80000, 0x0200000000000000ull);
    msr_reset(vp, false);
    assert_int_equal(read_msr(X86_MSR_MTRR_DEF_TYPE), 0x806); /* INIT keeps them */
    msr_reset(vp, true);
    assert_int_equal(read_msr(X86_MSR_MTRR_DEF_TYPE), 0);
}

static void test_what_kernels_touch(void **state)
{
    static const uint32_t amd[] = {0xc0010010, 0xc0010015, 0xc001001a, 0xc001001d, 0xc001001f, 0xc0010055, 0xc0010058,
                                   0xc0010112, 0xc0010113, 0xc0010114, 0xc0010140, 0xc0010141, 0xc0011004, 0xc0011005,
                                   0xc0011020, 0xc0011021, 0xc0011022, 0xc0011029, 0xc001102a};
    static const uint32_t intel[] = {0x17, 0x2a, 0x3a, 0xcd, 0xce, 0x198, 0x199, 0x1a0};

    (void)state;
    assert_int_equal(read_msr(X86_MSR_MCG_CAP), 0);
    assert_int_equal(read_msr(X86_MSR_BIOS_SIGN_ID), 0);
    assert_read_fails(X86_MSR_MC0_CTL);
    for (size_t i = 0; i < sizeof(amd) / sizeof(amd[0]); i++) {
        use_amd();
        (void)read_msr(amd[i]);
        use_intel();
        assert_read_fails(amd[i]);
    }
    for (size_t i = 0; i < sizeof(intel) / sizeof(intel[0]); i++) {
        use_intel();
        (void)read_msr(intel[i]);
        use_amd();
        assert_read_fails(intel[i]);
    }
    assert_int_equal(read_msr(X86_MSR_AMD_DE_CFG) & 2, 2);
    write_msr(X86_MSR_AMD_HWCR, 1 | 1u << 18);
    assert_int_equal(read_msr(X86_MSR_AMD_HWCR), 1u << 18 | 1u << 24);
    assert_int_equal(read_msr(X86_MSR_AMD_VM_CR), X86_VM_CR_SVMDIS | X86_VM_CR_LOCK);
    assert_write_fails(X86_MSR_AMD_VM_CR, 0);
}

static void test_root_and_hardware(void **state)
{
    static const uint32_t denied[] = {
        X86_MSR_AMD_VM_HSAVE_PA, X86_MSR_AMD_SMM_CTL,  X86_MSR_VMX_BASIC, X86_MSR_INTEL_DS_AREA, 0x570,
        X86_MSR_SPEC_CTRL,       X86_MSR_TSC_DEADLINE, X86_MSR_XSS,       X86_MSR_AMD_GHCB,      0xc0011030,
        X86_MSR_SVM_LOCK_KEY};
    struct vp *root = sim_root_vp(0);
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        machine_set_msr(denied[i], 1);
        assert_int_equal(msr_read(root, denied[i], &value), MSR_FAULT);
        assert_int_equal(msr_write(root, denied[i], 0), MSR_FAULT);
    }
    machine_set_msr(X86_MSR_MTRR_DEF_TYPE, 0xc06);
    assert_int_equal(read_of(root, X86_MSR_MTRR_DEF_TYPE), 0xc06);
    assert_int_equal(msr_write(root, X86_MSR_MTRR_DEF_TYPE, 0xc00), MSR_OK);
    assert_int_equal(read_of(root, X86_MSR_MTRR_DEF_TYPE), 0xc00);
    assert_int_equal(msr_read(root, X86_MSR_MCG_CTL, &value), MSR_FAULT); /* the machine's own answer */
    machine_set_msr(X86_MSR_AMD_TOP_MEM, 0x80000000);
    assert_int_equal(read_of(root, X86_MSR_AMD_TOP_MEM), 0x80000000);
    assert_int_equal(msr_write(root, X86_MSR_AMD_TOP_MEM, 0), MSR_FAULT); /* would move the hypervisor's memory */
    machine_set_msr(X86_MSR_AMD_SYSCFG, 0x160600);
    assert_int_equal(msr_write(root, X86_MSR_AMD_SYSCFG, 0), MSR_OK);
    assert_int_equal(read_of(root, X86_MSR_AMD_SYSCFG), 0x160600);
    assert_int_equal(msr_write(root, X86_MSR_AMD_PATCH_LOADER, 0x1000), MSR_OK);
    root_partition->unimplemented_msr_action = 1;
    assert_int_equal(msr_read(root, 0x12345, &value), MSR_FAULT);
}

/* What a machine has of another vendor's numbers is not what they mean there. */
static void test_root_and_the_vendors_hardware(void **state)
{
    static const uint32_t amd[] = {0xc0000408, 0xc0002000, 0xc0010010, 0xc0010015, 0xc001001a, 0xc001001d,
                                   0xc001001f, 0xc0010044, 0xc0010055, 0xc0010058, 0xc0010061, 0xc0010112,
                                   0xc0010140, 0xc0010299, 0xc00102b4, 0xc0011005, 0xc001102a};
    static const uint32_t intel[] = {0x17, 0x2a, 0xcd, 0xe2, 0x198, 0x19c, 0x1a2, 0x1b0, 0x280, 0x606, 0x64f, 0x777};
    struct vp *root = sim_root_vp(0);
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof(amd) / sizeof(amd[0]); i++) {
        machine_set_msr(amd[i], i);
        use_amd();
        assert_int_equal(read_of(root, amd[i]), i);
        use_intel();
        assert_int_equal(msr_read(root, amd[i], &value), MSR_FAULT);
        assert_int_equal(msr_write(root, amd[i], 0), MSR_FAULT);
    }
    for (size_t i = 0; i < sizeof(intel) / sizeof(intel[0]); i++) {
        machine_set_msr(intel[i], i);
        use_intel();
        assert_int_equal(read_of(root, intel[i]), i);
        use_amd();
        assert_int_equal(msr_read(root, intel[i], &value), MSR_FAULT);
        assert_int_equal(msr_write(root, intel[i], 0), MSR_FAULT);
    }
    use_intel();
    machine_set_msr(X86_MSR_INTEL_MISC_ENABLE, 0x850089);
    assert_int_equal(msr_write(root, X86_MSR_INTEL_MISC_ENABLE, 0), MSR_OK);
    assert_int_equal(read_of(root, X86_MSR_INTEL_MISC_ENABLE), 0x850089);
    assert_int_equal(msr_write(root, X86_MSR_INTEL_ENERGY_PERF_BIAS, 6), MSR_OK);
    assert_int_equal(read_of(root, X86_MSR_INTEL_ENERGY_PERF_BIAS), 6);
    assert_int_equal(msr_write(root, X86_MSR_INTEL_PLATFORM_INFO, 0), MSR_FAULT);
}

static void test_register_names(void **state)
{
    static const struct {
        uint32_t name, msr;
    } names[] = {
        {HvX64RegisterApicBase, X86_MSR_APIC_BASE},
        {HvX64RegisterMsrMtrrPhysBase7, X86_MSR_MTRR_PHYSBASE(7)},
        {HvX64RegisterMsrMtrrPhysMask0, X86_MSR_MTRR_PHYSMASK(0)},
        {HvX64RegisterMsrMtrrFix16kA0000, X86_MSR_MTRR_FIX16K_A0000},
        {HvX64RegisterMsrMtrrFix4kF8000, X86_MSR_MTRR_FIX4K_F8000},
        {HvX64RegisterHypercall, HV_X64_MSR_HYPERCALL},
        {HvRegisterVpAssistPage, HV_X64_MSR_VP_ASSIST_PAGE},
        {HvRegisterSint15, HV_X64_MSR_SINT15},
        {HvRegisterSiefp, HV_X64_MSR_SIEFP},
        {HvRegisterSirbp, HV_X64_MSR_SIRBP},
        {HvRegisterStimer3Count, HV_X64_MSR_STIMER3_COUNT},
        {HvRegisterGuestCrashP4, HV_X64_MSR_CRASH_P4},
    };
    uint64_t value;
    uint32_t msr;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(msr_from_register(names[i].name, &msr));
        assert_int_equal(msr, names[i].msr);
    }
    assert_false(msr_from_register(HvX64RegisterMsrMtrrPhysBase8, &msr));
    assert_false(msr_from_register(HvX64RegisterRax, &msr));
    /* What a VMM writes at start, in its order. */
    assert_int_equal(msr_host_write(vp, X86_MSR_MTRR_DEF_TYPE, 0x806), HV_STATUS_SUCCESS);
    assert_int_equal(msr_host_write(vp, X86_MSR_APIC_BASE, 0xfee00d00), HV_STATUS_SUCCESS);
    assert_int_equal(msr_host_write(vp, X86_MSR_APIC_BASE, 0xfee00900), HV_STATUS_SUCCESS);
    assert_int_equal(msr_host_write(vp, HV_X64_MSR_HYPERCALL, PAGE_GPA | 1), HV_STATUS_SUCCESS); /* before the OS id */
    assert_true(msr_hypercall_is_enabled(child));
    assert_int_equal(msr_host_write(vp, HV_X64_MSR_GUEST_OS_ID, OS_ID), HV_STATUS_SUCCESS);
    assert_int_equal(msr_host_write(vp, HV_X64_MSR_HYPERCALL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(msr_host_write(vp, HV_X64_MSR_VP_INDEX, 0), HV_STATUS_OPERATION_DENIED);
    assert_int_equal(msr_host_write(vp, X86_MSR_MTRR_DEF_TYPE, 2), HV_STATUS_INVALID_REGISTER_VALUE);
    assert_int_equal(msr_host_write(vp, 0x12345, 2), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(msr_host_read(vp, 0x12345, &value), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(msr_host_write(vp, HV_X64_MSR_CRASH_CTL, 5), HV_STATUS_SUCCESS);
    assert_int_equal(msr_host_read(vp, HV_X64_MSR_CRASH_CTL, &value), HV_STATUS_SUCCESS);
    assert_int_equal(value, 5);
}

static void test_tsc_set_by_the_root(void **state)
{
    uint64_t time = read_msr(HV_X64_MSR_TIME_REF_COUNT);
    uint64_t offset;

    (void)state;
    machine_skip_100ns(100000000);
    time += 100000000;
    assert_int_equal(msr_host_write(vp, X86_MSR_TSC, 0), HV_STATUS_SUCCESS);
    offset = child->reftime.tsc_offset;
    assert_int_equal(offset, 0 - time_tsc());
    machine_skip_100ns(500); /* the next VP, a little later */
    assert_int_equal(msr_host_write(vp, X86_MSR_TSC, 0), HV_STATUS_SUCCESS);
    assert_int_equal(child->reftime.tsc_offset, offset);
    assert_true(reftime_page_is_valid(child));
    assert_in_range(read_msr(HV_X64_MSR_TIME_REF_COUNT), time + 499, time + 502);
}

/* No number and no value may do more than fault. */
static void test_random_accesses(void **state)
{
    static const uint32_t bases[] = {0,          0x200,      0x400,      0x800,     0x40000000,
                                     0x40000100, 0xc0000080, 0xc0010000, 0xc0011000};

    (void)state;
    srand(2);
    machine_set_log_echo(false);
    child->privileges = UINT32_MAX;
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t msr = bases[rand() % 9] + (uint32_t)rand() % 0x130;
        uint64_t value = (uint64_t)rand() << (rand() % 40) ^ (uint64_t)rand();

        if (rand() % 3 == 0) {
            (void)!msr_read(vp, msr, &value);
        } else {
            (void)!msr_write(vp, msr, value);
        }
        if (rand() % 16 == 0) {
            machine_advance_100ns(50);
        }
        if (apic_pending_vector(vp) >= 0) {
            apic_accept(vp, (uint8_t)apic_pending_vector(vp));
        }
        vp->activity = VP_ACTIVE;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_synthetic_msrs_by_privilege, start, stop),
        cmocka_unit_test_setup_teardown(test_unimplemented_msrs, start, stop),
        cmocka_unit_test_setup_teardown(test_hypercall_page, start, stop),
        cmocka_unit_test_setup_teardown(test_roots_pages, start, stop),
        cmocka_unit_test_setup_teardown(test_vp_assist_page, start, stop),
        cmocka_unit_test_setup_teardown(test_interrupt_msrs, start, stop),
        cmocka_unit_test_setup_teardown(test_clocks, start, stop),
        cmocka_unit_test_setup_teardown(test_guest_idle, start, stop),
        cmocka_unit_test_setup_teardown(test_crash_msrs, start, stop),
        cmocka_unit_test_setup_teardown(test_time_controls, start, stop),
        cmocka_unit_test_setup_teardown(test_processor_state, start, stop),
        cmocka_unit_test_setup_teardown(test_mtrrs, start, stop),
        cmocka_unit_test_setup_teardown(test_what_kernels_touch, start, stop),
        cmocka_unit_test_setup_teardown(test_root_and_hardware, start, stop),
        cmocka_unit_test_setup_teardown(test_root_and_the_vendors_hardware, start, stop),
        cmocka_unit_test_setup_teardown(test_register_names, start, stop),
        cmocka_unit_test_setup_teardown(test_tsc_set_by_the_root, start, stop),
        cmocka_unit_test_setup_teardown(test_random_accesses, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
