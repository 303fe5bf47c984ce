/* SPDX-License-Identifier: MIT */
/* links: svm/svm_exit.c svm/svm_regs.c */
/* Exits that only AMD-V has: MOV to CR8, which VT-x watches by a threshold. What comes of all others:
 * tests/sim/test_exits.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/mem/mem.h"
#include "hv/partition/apic.h"
#include "svm/svm.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_backend.h"

#define CHILD_PAGES 200
#define CODE_GPA    0x1000u

bool svm_has_next_rip;
bool svm_has_decode_assist;

static struct vmcb vmcb;
static struct svm_vp own = {.vmcb = &vmcb};
static struct cpu_backend svm_registers;
static const struct cpu_backend *sims;
static void *sims_part;
static struct vp *vp;
static uint8_t *code;

/* A child of the sim whose registers are those of a VMCB: 64-bit code, without paging. */
static int start(void **state)
{
    uint64_t child_id;
    uint64_t page;

    (void)state;
    sim_start(1);
    child_id = sim_create_child(CHILD_PAGES);
    vp = sim_create_vp(child_id, 0);
    page = sim_page();
    sim_map(child_id, CODE_GPA >> PAGE_SHIFT, page, 1);
    code = mem_from_spa(spa(page << PAGE_SHIFT));
    sims = backend;
    sims_part = vp->backend;
    svm_registers = *sims;
    svm_registers.get_paging = svm_get_paging;
    svm_registers.get_code_mode = svm_get_code_mode;
    svm_registers.is_code_state = svm_is_code_state;
    svm_registers.get_register = svm_get_register;
    backend = &svm_registers;
    vp->backend = &own;
    memset(&vmcb, 0, sizeof(vmcb));
    vmcb.cr0 = X86_CR0_PE;
    vmcb.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SVME;
    vmcb.cs.attributes = VMCB_SEGMENT_L;
    vmcb.exit_code = VMCB_EXIT_CR8_WRITE;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    vp->backend = sims_part;
    backend = sims;
    sim_stop();
    return 0;
}

static void execute(const char *bytes, size_t count, uint64_t rax)
{
    memset(code, 0xf4, 16);
    memcpy(code, bytes, count);
    vp->regs.rip = CODE_GPA;
    vp->regs.gpr[VP_RAX] = rax;
    assert_int_equal(svm_handle_exit(vp), EXIT_RESUME);
}

static void test_cr8(void **state)
{
    (void)state;
    execute("\x44\x0f\x22\xc0", 4, 9); /* mov cr8, rax */
    assert_int_equal(apic_tpr(vp), 0x90);
    assert_int_equal(vp->regs.rip, CODE_GPA + 4);
    execute("\x44\x0f\x22\xc0", 4, 16);
    assert_int_equal(hv_pending_interruption_vector(vp->pending_interruption), X86_VECTOR_GP);
    assert_int_equal(vp->regs.rip, CODE_GPA);
    assert_int_equal(apic_tpr(vp), 0x90);
}

/* APM vol. 3, MOV CRn: with a LOCK prefix, CR0 is CR8, which 32-bit code cannot name otherwise. */
static void test_cr8_of_32_bit_code(void **state)
{
    (void)state;
    vmcb.cs.attributes = VMCB_SEGMENT_DB;
    execute("\xf0\x0f\x22\xc0", 4, 5); /* lock mov cr0, eax */
    assert_int_equal(apic_tpr(vp), 0x50);
    assert_int_equal(vp->regs.rip, CODE_GPA + 4);
}

/* Another VP has rewritten the instruction meanwhile: whatever is there now is executed. */
static void test_another_instruction(void **state)
{
    (void)state;
    execute("\x90", 1, 9);
    assert_int_equal(vp->regs.rip, CODE_GPA);
    assert_int_equal(vp->pending_interruption, 0);
    execute("\x0f\x22\xc0", 3, 9); /* mov cr0, rax */
    assert_int_equal(vp->regs.rip, CODE_GPA);
    assert_int_equal(apic_tpr(vp), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cr8, start, stop),
        cmocka_unit_test_setup_teardown(test_cr8_of_32_bit_code, start, stop),
        cmocka_unit_test_setup_teardown(test_another_instruction, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
