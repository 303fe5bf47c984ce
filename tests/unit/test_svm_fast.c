/* SPDX-License-Identifier: MIT */
/* links: svm/svm_fast.c */
/* Which exits are over at once on AMD-V, where the processor says how long the instruction is and where its bytes have
 * to be found again. What is answered: tests/sim/test_fast.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "svm/svm.h"

#define RIP     0x401000u
#define SUBLEAF 3u

bool svm_has_next_rip = true;

static struct vmcb vmcb;
static struct svm_vp own;
static struct partition partition;
static struct vp vp;

static int start(void **state)
{
    (void)state;
    memset(&vmcb, 0, sizeof(vmcb));
    memset(&own, 0, sizeof(own));
    memset(&vp, 0, sizeof(vp));
    memset(&partition, 0, sizeof(partition));
    own.vmcb = &vmcb;
    vp.backend = &own;
    vp.partition = &partition;
    svm_has_next_rip = true;
    return 0;
}

/* The VP has asked for leaf 0 before, and now executes a CPUID of two bytes. */
static void exit_by_cpuid(void)
{
    struct cpuid_answer *answer = cpuid_answer_of(&vp.cpuid, 0);

    *answer = (struct cpuid_answer){.subleaf = SUBLEAF, .kept_for = partition.vp_count + 1, .values = {5, 6, 7, 8}};
    vp.regs.gpr[VP_RAX] = UINT64_MAX; /* older than the VMCB's */
    vp.regs.gpr[VP_RCX] = SUBLEAF;
    vmcb.exit_code = VMCB_EXIT_CPUID;
    vmcb.rax = 0;
    vmcb.rip = RIP;
    vmcb.next_rip = RIP + 2;
    vmcb.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
    vmcb.interrupt_shadow = 0;
}

/* Whether the exit takes the fast path; if not, it has to find everything as it was. */
static bool is_fast(void)
{
    struct vmcb before = vmcb;
    uint64_t exits = vp.exit_count;
    uint64_t rcx = vp.regs.gpr[VP_RCX];
    bool is_over = svm_fast_exit(&vp);

    if (!is_over) {
        assert_memory_equal(&vmcb, &before, sizeof(vmcb));
        assert_int_equal(vp.regs.gpr[VP_RCX], rcx);
    }
    assert_int_equal(vp.exit_count, exits + (is_over ? 1 : 0));
    return is_over;
}

static void test_an_exit_is_over_at_once(void **state)
{
    (void)state;
    exit_by_cpuid();
    assert_true(is_fast());
    assert_int_equal(vmcb.rax, 5);
    assert_int_equal(vp.regs.gpr[VP_RBX], 6);
    assert_int_equal(vp.regs.gpr[VP_RCX], 7);
    assert_int_equal(vp.regs.gpr[VP_RDX], 8);
    assert_int_equal(vmcb.rip, RIP + 2);
    exit_by_cpuid();
    vmcb.exit_code = VMCB_EXIT_MSR;
    vp.index = 9;
    vp.regs.gpr[VP_RCX] = vp.msrs.permitted = HV_X64_MSR_VP_INDEX;
    assert_true(is_fast());
    assert_int_equal(vmcb.rax, 9);
    assert_int_equal(vp.regs.gpr[VP_RDX], 0);
    exit_by_cpuid();
    vmcb.exit_code = VMCB_EXIT_MSR;
    vmcb.exit_info1 = 1;
    vmcb.rax = HV_SINT_RESET_VALUE | 0x55;
    vp.regs.gpr[VP_RCX] = vp.msrs.permitted = HV_X64_MSR_SINT0 + 4;
    vp.synic.sints[4] = HV_SINT_RESET_VALUE;
    assert_true(is_fast());
    assert_int_equal(vp.synic.sints[4], HV_SINT_RESET_VALUE | 0x55);
    assert_int_equal(vmcb.rip, RIP + 2);
}

/* What RIP cannot simply be moved on for: a trap behind the instruction, a shadow, the end of 4 GiB, a length that
 * nobody knows; somebody who waits; an event of the last entry, or an IRET that ends a mask. */
static void test_the_unusual_takes_the_other_way(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 32; bit++) {
        exit_by_cpuid();
        vmcb.rflags ^= UINT64_C(1) << bit;
        assert_int_equal(is_fast(), bit != 8 && bit != 16);
        exit_by_cpuid();
        vp.requests = 1u << bit;
        assert_false(is_fast());
        vp.requests = 0;
    }
    exit_by_cpuid();
    vmcb.interrupt_shadow = 1;
    assert_false(is_fast());
    exit_by_cpuid();
    vmcb.rip = 0x1fffffffe;
    vmcb.next_rip = vmcb.rip + 2;
    assert_false(is_fast());
    exit_by_cpuid();
    svm_has_next_rip = false;
    assert_false(is_fast());
    svm_has_next_rip = true;
    own.has_event = true;
    assert_false(is_fast());
    own.has_event = false;
    own.awaits_iret = true;
    assert_false(is_fast());
    own.awaits_iret = false;
    assert_true(is_fast());
    vmcb.exit_code = VMCB_EXIT_HLT;
    assert_false(is_fast());
    vmcb.exit_code = UINT64_MAX;
    assert_false(is_fast());
}

#define CR3        0x9000u
#define GENERATION 7u
#define LEVELS     4u

static uint8_t code_page[PAGE_SIZE];
static uint64_t tables[LEVELS];

/* A CPUID with a prefix was fetched at this RIP before, through these tables. */
static void exit_by_noted_cpuid(uint64_t rip)
{
    static const uint8_t bytes[] = {0x48, 0x0f, 0xa2};
    struct vp_code_trail *trail;
    struct vp_code_note *note;

    exit_by_cpuid();
    svm_has_next_rip = false;
    vmcb.rip = vp.regs.rip = rip;
    vmcb.cs.attributes = VMCB_SEGMENT_L;
    vmcb.efer = X86_EFER_LMA | X86_EFER_SVME;
    vmcb.cr3 = CR3;
    vmcb.cr0 = vmcb.cr4 = 0;
    vmcb.cpl = 0;
    memset(code_page, 0xff, sizeof(code_page));
    memcpy(code_page + rip % PAGE_SIZE, bytes, sizeof(bytes));
    note = vp_code_note(&vp);
    *note = (struct vp_code_note){.rip = rip, .op = X86_OP_CPUID, .length = sizeof(bytes)};
    memcpy(&note->code, bytes, sizeof(bytes));
    trail = vp_code_trail(&vp);
    trail->page = rip / PAGE_SIZE;
    trail->state = (struct vp_code_state){.cr3 = CR3, .efer = X86_EFER_LMA};
    trail->trail = (struct gpa_trail){
        .generation = GENERATION, .count = LEVELS, .page = GUEST_CAST(const uint8_t GUEST *, code_page)};
    for (uint32_t i = 0; i < LEVELS; i++) {
        tables[i] = 0x1000u * i;
        trail->trail.words[i].place = GUEST_CAST(const uint64_t GUEST *, &tables[i]);
        trail->trail.words[i].value = tables[i];
    }
    vp.space_generation = GENERATION;
}

/* The exit is not over at once after a change of what the length was found by. */
#define ASSERT_NOT_AFTER(change)                                                                                       \
    do {                                                                                                               \
        exit_by_noted_cpuid(RIP);                                                                                      \
        change;                                                                                                        \
        assert_false(is_fast());                                                                                       \
    } while (false)

static void test_bytes_are_found_again(void **state)
{
    (void)state;
    exit_by_noted_cpuid(RIP);
    assert_true(is_fast());
    assert_int_equal(vmcb.rip, RIP + 3);
    assert_int_equal(own.insn_length, 3);
    for (uint32_t i = 0; i < LEVELS; i++) {
        ASSERT_NOT_AFTER(tables[i]++);
    }
    for (uint32_t i = 0; i < 3; i++) {
        ASSERT_NOT_AFTER(code_page[RIP % PAGE_SIZE + i]++);
    }
    ASSERT_NOT_AFTER(vp.space_generation++);
    ASSERT_NOT_AFTER(vmcb.cr3++);
    ASSERT_NOT_AFTER(vmcb.cr0++);
    ASSERT_NOT_AFTER(vmcb.cr4++);
    ASSERT_NOT_AFTER(vmcb.cpl = 3);
    ASSERT_NOT_AFTER(vmcb.efer = X86_EFER_SVME);
    ASSERT_NOT_AFTER(vmcb.cs.attributes = VMCB_SEGMENT_DB);
    ASSERT_NOT_AFTER(vmcb.rip += PAGE_SIZE);
    ASSERT_NOT_AFTER(vmcb.rip++);
    ASSERT_NOT_AFTER(vp_code_note(&vp)->op = X86_OP_RDMSR);
    ASSERT_NOT_AFTER(vp_code_note(&vp)->length = 0);
    ASSERT_NOT_AFTER(vp_code_trail(&vp)->trail.page = NULL);
    ASSERT_NOT_AFTER(vp_code_trail(&vp)->trail.count = GPA_TRAIL_WORDS + 1);
    assert_int_equal(own.insn_length, 0);
    /* NextRIP is offered and not there, as in KVM on a processor without: the bytes say it, or nobody. */
    exit_by_noted_cpuid(RIP);
    svm_has_next_rip = true;
    vmcb.next_rip = 0;
    assert_true(is_fast());
    assert_int_equal(vmcb.rip, RIP + 3);
    exit_by_cpuid();
    vmcb.next_rip = 0;
    vp_code_note(&vp)->length = 0;
    assert_false(is_fast());
    vmcb.next_rip = RIP + X86_INSN_LENGTH_MAX + 1;
    assert_false(is_fast());
    exit_by_noted_cpuid(RIP - RIP % PAGE_SIZE + PAGE_SIZE - 8);
    assert_true(is_fast());
    exit_by_noted_cpuid(RIP - RIP % PAGE_SIZE + PAGE_SIZE - 7);
    assert_false(is_fast());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_exit_is_over_at_once, start),
        cmocka_unit_test_setup(test_the_unusual_takes_the_other_way, start),
        cmocka_unit_test_setup(test_bytes_are_found_again, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
