/* SPDX-License-Identifier: MIT */
/*
 * What comes of exits whose instruction is fetched and looked at: accesses to the local APIC's page, doorbells,
 * XSETBV; and of those that are never an intercept message: the root's own, writes to overlays, interrupts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_msr.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"
#include "hv/partition/apic.h"
#include "hv/partition/connection.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES    200
#define RAM_PAGES      16u
#define CODE_GPA       0x1000ull
#define DATA_GPA       0x2000ull
#define TABLES_GPA     0x4000ull /* four levels, a page each */
#define HYPERCALL_GPA  0x9000ull
#define APIC_GPA       0xfee00000ull
#define DOORBELL_GPA   0xd0000000ull
#define DOORBELL_ID    20u
#define DOORBELL_VALUE 7u
#define PTE_PRESENT    0x3ull /* and writable */
#define PTE_ACCESSED   0x20ull
#define PF_WRITE       2u
#define TPR            0x80u

static uint64_t child_id;
static struct partition *child;
static struct vp *vp;
static uint64_t ram_page;

static int start(void **state)
{
    (void)state;
    sim_start(1);
    (void)sim_root_vp(0);
    sim_deposit(HV_PARTITION_ID_SELF, 40);
    child_id = sim_create_child(CHILD_PAGES);
    child = sim_partition(child_id);
    vp = sim_create_vp(child_id, 0);
    ram_page = sim_pages(RAM_PAGES, 1);
    sim_map(child_id, 0, ram_page, RAM_PAGES);
    vp->regs.rip = CODE_GPA;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    (void)sim_destroy_child(child_id);
    sim_stop();
    return 0;
}

/* The child's RAM as the root sees it. */
static void *ram(uint64_t address)
{
    return mem_from_spa(spa((ram_page << PAGE_SHIFT) + address));
}

static void set_code(const void *bytes, size_t count)
{
    memset(ram(CODE_GPA), 0xf4, 32);
    memcpy(ram(CODE_GPA), bytes, count);
}

static uint32_t pending_vector(void)
{
    assert_true(vp->pending_interruption & HV_PENDING_INTERRUPTION_PENDING);
    return hv_pending_interruption_vector(vp->pending_interruption);
}

static void assert_no_event(void)
{
    assert_int_equal(vp->pending_interruption, 0);
    assert_false(vp->is_intercept_suspended);
}

static enum exit_action access_gpa(uint64_t address, bool is_write)
{
    struct exit_memory access = {.gpa = gpa(address), .is_write = is_write};

    return exit_memory(vp, &access);
}

/* The guest's registers say where in the APIC's page it reads or writes. */
static void access_apic(const char *code, size_t count, uint32_t offset, bool is_write)
{
    set_code(code, count);
    vp->regs.rip = CODE_GPA;
    vp->regs.gpr[VP_RDI] = APIC_GPA + offset;
    vp->pending_interruption = 0;
    assert_int_equal(access_gpa(APIC_GPA + offset, is_write), EXIT_RESUME);
}

static void test_apic_registers_by_any_instruction(void **state)
{
    (void)state;
    vp->regs.gpr[VP_RAX] = 0x50;
    access_apic("\x89\x07", 2, TPR, true); /* mov [rdi], eax */
    assert_int_equal(vp->regs.rip, CODE_GPA + 2);
    assert_int_equal(apic_tpr(vp), 0x50);
    access_apic("\x80\x07\x10", 3, TPR, true); /* add byte [rdi], 16: no register access */
    assert_int_equal(vp->regs.rip, CODE_GPA + 3);
    assert_int_equal(apic_tpr(vp), 0x50);
    access_apic("\x81\x07\x10\0\0\0", 6, TPR, true); /* add dword [rdi], 16 */
    assert_int_equal(apic_tpr(vp), 0x60);
    access_apic("\x8b\x0f", 2, TPR, false); /* mov ecx, [rdi] */
    assert_int_equal(vp->regs.gpr[VP_RCX], 0x60);
    access_apic("\x8b\x0f", 2, TPR + 4, false); /* between two registers: zeros */
    assert_int_equal(vp->regs.gpr[VP_RCX], 0);
    assert_no_event();
}

static void test_apic_and_ram_in_one_instruction(void **state)
{
    uint32_t value = 0x70;

    (void)state;
    memcpy(ram(DATA_GPA), &value, sizeof(value));
    vp->regs.gpr[VP_RSI] = DATA_GPA;
    access_apic("\xa5", 1, TPR, true); /* movsd */
    assert_int_equal(apic_tpr(vp), 0x70);
    assert_int_equal(vp->regs.gpr[VP_RSI], DATA_GPA + 4);
    /* The other way round, and then from and to memory that is not there any more: it is executed again. */
    vp->regs.gpr[VP_RSI] = APIC_GPA + TPR;
    set_code("\xa5", 1);
    vp->regs.rip = CODE_GPA;
    vp->regs.gpr[VP_RDI] = DATA_GPA + 8;
    assert_int_equal(access_gpa(APIC_GPA + TPR, false), EXIT_RESUME);
    assert_int_equal(((uint32_t *)ram(DATA_GPA))[2], 0x70);
    vp->regs.rip = CODE_GPA;
    vp->regs.gpr[VP_RDI] = RAM_PAGES << PAGE_SHIFT;
    assert_int_equal(access_gpa(APIC_GPA + TPR, false), EXIT_RESUME);
    assert_int_equal(vp->regs.rip, CODE_GPA);
    vp->regs.gpr[VP_RSI] = RAM_PAGES << PAGE_SHIFT;
    access_apic("\xa5", 1, TPR, true);
    assert_int_equal(vp->regs.rip, CODE_GPA);
    assert_no_event();
}

static void test_apic_by_what_cannot_be_emulated(void **state)
{
    (void)state;
    access_apic("\x0f\x01\xc1", 3, TPR, true); /* vmcall */
    assert_int_equal(pending_vector(), X86_VECTOR_UD);
    access_apic("\x0f\xff", 2, TPR, true); /* ud0 */
    assert_int_equal(pending_vector(), X86_VECTOR_UD);
    assert_int_equal(vp->regs.rip, CODE_GPA);
}

static void set_register(uint32_t name, uint64_t value)
{
    union hv_register_value full = {.reg64 = value};

    assert_int_equal(backend->set_register(vp, name, &full), HV_STATUS_SUCCESS);
}

/* Tables that map the code page and nothing else: what the instruction touches is gone by the time it is emulated. */
static void test_apic_page_is_not_mapped(void **state)
{
    union hv_register_value cr2;

    (void)state;
    for (uint64_t level = 0; level < 3; level++) {
        ((uint64_t *)ram(TABLES_GPA + level * PAGE_SIZE))[0] = (TABLES_GPA + (level + 1) * PAGE_SIZE) | PTE_PRESENT;
    }
    ((uint64_t *)ram(TABLES_GPA + 3 * PAGE_SIZE))[CODE_GPA >> PAGE_SHIFT] = CODE_GPA | PTE_PRESENT;
    set_register(HvX64RegisterCr0, X86_CR0_PE | X86_CR0_PG);
    set_register(HvX64RegisterCr3, TABLES_GPA);
    set_register(HvX64RegisterCr4, X86_CR4_PAE);
    access_apic("\x89\x07", 2, TPR, true);
    assert_int_equal(pending_vector(), X86_VECTOR_PF);
    assert_int_equal(vp->pending_interruption >> HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT, PF_WRITE);
    assert_int_equal(backend->get_register(vp, HvX64RegisterCr2, &cr2), HV_STATUS_SUCCESS);
    assert_int_equal(cr2.reg64, APIC_GPA + TPR);
    access_apic("\x8b\x07", 2, TPR, false);
    assert_int_equal(pending_vector(), X86_VECTOR_PF);
    assert_int_equal(vp->pending_interruption >> HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT, 0);
    assert_int_equal(vp->regs.rip, CODE_GPA);
    /* The walk has set the accessed bits on its way to the code. */
    assert_true(((uint64_t *)ram(TABLES_GPA))[0] & PTE_ACCESSED);
}

static void test_apic_address_is_not_canonical(void **state)
{
    (void)state;
    set_code("\x89\x07", 2);
    vp->regs.gpr[VP_RDI] = UINT64_C(0x800000000000);
    assert_int_equal(access_gpa(APIC_GPA + TPR, true), EXIT_RESUME);
    assert_int_equal(pending_vector(), X86_VECTOR_GP);
}

/* A doorbell that DOORBELL_VALUE in four bytes rings; the root listens through an event ring. */
static void make_doorbell(void)
{
    struct hv_port_info port = {.port_type = HV_PORT_TYPE_DOORBELL, .target_sint = 5, .target_vp = HV_ANY_VP};
    struct hv_connection_info connection = {
        .port_type = HV_PORT_TYPE_DOORBELL,
        .gpa = DOORBELL_GPA,
        .trigger_value = DOORBELL_VALUE,
        .doorbell_flags = HV_DOORBELL_FLAG_TRIGGER_SIZE_DWORD,
    };
    struct vp *root = sim_root_vp(0);
    uint64_t ring;

    assert_true(synic_msr_read(root, HV_X64_MSR_SIRBP, &ring));
    assert_true(synic_msr_write(root, HV_X64_MSR_SIRBP, ring | 1));
    assert_true(synic_msr_write(root, HV_X64_MSR_SINT0 + 5, 0xf3));
    assert_int_equal(port_create(root_partition, DOORBELL_ID, child_id, &port), HV_STATUS_SUCCESS);
    assert_int_equal(connection_connect(child, DOORBELL_ID, root_partition, DOORBELL_ID, &connection),
                     HV_STATUS_SUCCESS);
}

/* What the root found in its ring first; 0: nothing. */
static uint32_t rung(void)
{
    const struct hv_synic_event_ring_page *page = (const void *)sim_root_vp(0)->synic.ring_page.page;

    return page->sint_event_ring[5].data[0];
}

static void test_doorbell(void **state)
{
    (void)state;
    make_doorbell();
    vp->regs.gpr[VP_RDI] = DOORBELL_GPA;
    vp->regs.gpr[VP_RAX] = DOORBELL_VALUE;
    set_code("\x89\x07", 2);
    assert_int_equal(access_gpa(DOORBELL_GPA, true), EXIT_RESUME);
    assert_int_equal(vp->regs.rip, CODE_GPA + 2);
    assert_int_equal(rung(), DOORBELL_ID);
    assert_no_event();
}

/* Another value, another size, an instruction that reads as well, a read: all are the root's. */
static void test_no_doorbell(void **state)
{
    static const char code[][4] = {"\x89\x07", "\x66\x89\x07", "\x01\x07", "\x8b\x07"};

    (void)state;
    make_doorbell();
    for (uint32_t i = 0; i < 4; i++) {
        vp->regs.rip = CODE_GPA;
        vp->regs.gpr[VP_RDI] = DOORBELL_GPA;
        vp->regs.gpr[VP_RAX] = i == 0 ? DOORBELL_VALUE + 1 : DOORBELL_VALUE;
        set_code(code[i], sizeof(code[i]));
        assert_int_equal(access_gpa(DOORBELL_GPA, i != 3), EXIT_LEAVE);
        assert_int_equal(vp->run_status, VP_RUN_INTERCEPT);
        assert_int_equal(vp->intercept_page->header.message_type, HvMessageTypeUnmappedGpa);
        assert_int_equal(vp->regs.rip, CODE_GPA);
        assert_int_equal(rung(), 0);
    }
}

/* TLFS, Establishing the Hypercall Interface: a write to the page raises #GP. */
static void test_overlay_is_read_only(void **state)
{
    (void)state;
    assert_int_equal(msr_host_write(vp, HV_X64_MSR_GUEST_OS_ID, 1), HV_STATUS_SUCCESS);
    assert_int_equal(msr_host_write(vp, HV_X64_MSR_HYPERCALL, HYPERCALL_GPA | 1), HV_STATUS_SUCCESS);
    assert_int_equal(access_gpa(HYPERCALL_GPA, true), EXIT_RESUME);
    assert_int_equal(pending_vector(), X86_VECTOR_GP);
    assert_false(vp->is_intercept_suspended);
    vp->pending_interruption = 0;
    assert_int_equal(access_gpa(HYPERCALL_GPA, false), EXIT_RESUME);
    assert_no_event();
}

/* The root touches what it has deposited, and a port beyond the last one: its own fault, never a message. */
static void test_root_is_refused(void **state)
{
    struct exit_memory access = {.gpa = gpa(MACHINE_RESERVED_START), .is_write = true};
    struct exit_io io = {.port = 0xffff, .size = 4, .insn_length = 1};

    (void)state;
    vp = sim_root_vp(0);
    assert_int_equal(exit_memory(vp, &access), EXIT_RESUME);
    assert_int_equal(pending_vector(), X86_VECTOR_GP);
    vp->pending_interruption = 0;
    assert_int_equal(exit_io(vp, &io), EXIT_RESUME);
    assert_int_equal(pending_vector(), X86_VECTOR_GP);
    assert_false(vp->is_intercept_suspended);
    vp->pending_interruption = 0;
}

static void test_xsetbv(void **state)
{
    (void)state;
    set_code("\x0f\x01\xd1", 3);
    vp->regs.gpr[VP_RCX] = 0;
    vp->regs.gpr[VP_RAX] = X86_XCR0_X87 | X86_XCR0_SSE;
    assert_int_equal(exit_xsetbv(vp, 0), EXIT_RESUME);
    assert_int_equal(vp->xcr0, X86_XCR0_X87 | X86_XCR0_SSE);
    assert_int_equal(vp->regs.rip, CODE_GPA + 3);
    /* No such register; SSE without x87; not in the kernel. */
    for (uint32_t i = 0; i < 3; i++) {
        union hv_register_value ss = {.segment = {.attributes = HV_X64_SEGMENT_DPL_MASK}};

        vp->regs.rip = CODE_GPA;
        vp->pending_interruption = 0;
        vp->regs.gpr[VP_RCX] = i == 0;
        vp->regs.gpr[VP_RAX] = i == 1 ? X86_XCR0_SSE : X86_XCR0_X87;
        if (i == 2) {
            assert_int_equal(backend->set_register(vp, HvX64RegisterSs, &ss), HV_STATUS_SUCCESS);
        }
        assert_int_equal(exit_xsetbv(vp, 3), EXIT_RESUME);
        assert_int_equal(pending_vector(), X86_VECTOR_GP);
        assert_int_equal(vp->xcr0, X86_XCR0_X87 | X86_XCR0_SSE);
        assert_int_equal(vp->regs.rip, CODE_GPA);
    }
}

static void test_exception_goes_to_who_asked(void **state)
{
    struct hv_input_install_intercept install = {
        .partition_id = child_id,
        .access_type_mask = HV_INTERCEPT_ACCESS_MASK_EXECUTE,
        .intercept_type = HvInterceptTypeException,
        .intercept_parameter = X86_VECTOR_BP,
    };
    const struct hv_x64_exception_intercept_message *message = (const void *)vp->intercept_page->payload;

    (void)state;
    assert_int_equal(sim_call(HvCallInstallIntercept, &install, sizeof(install), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(exit_exception(vp, X86_VECTOR_AC, true, 0, 0), EXIT_RESUME);
    assert_int_equal(pending_vector(), X86_VECTOR_AC);
    vp->pending_interruption = 0;
    set_code("\xcc", 1);
    assert_int_equal(exit_exception(vp, X86_VECTOR_BP, false, 0, 0x1234), EXIT_LEAVE);
    assert_int_equal(vp->intercept_page->header.message_type, HvMessageTypeX64ExceptionIntercept);
    assert_int_equal(message->exception_vector, X86_VECTOR_BP);
    assert_int_equal(message->exception_info & HV_X64_EXCEPTION_ERROR_CODE_VALID, 0);
    assert_int_equal(message->exception_parameter, 0x1234);
    assert_int_equal(message->instruction_bytes[0], 0xcc);
    assert_true(vp->is_intercept_suspended);
}

static void test_halt_with_an_interrupt_waiting(void **state)
{
    (void)state;
    apic_write(vp, APIC_REG_SVR, 0x1ff);
    set_code("\xf4", 1);
    vp->regs.rflags |= X86_RFLAGS_IF;
    (void)apic_set_irr(vp, 0x40, false);
    assert_int_equal(exit_halt(vp, 0), EXIT_RESUME);
    assert_int_equal(vp->activity, VP_ACTIVE);
    assert_int_equal(vp->regs.rip, CODE_GPA + 1);
    vp->regs.rflags &= ~X86_RFLAGS_IF;
    assert_int_equal(exit_halt(vp, 1), EXIT_LEAVE);
    assert_int_equal(vp->run_status, VP_RUN_BLOCKED);
}

/* A physical interrupt ends the child's turn only if it was for the root VP of this processor. */
static void test_interrupt(void **state)
{
    struct vp *root = sim_root_vp(0);

    (void)state;
    atomic_store(&root->requests, 0);
    assert_int_equal(exit_interrupt(vp), EXIT_RESUME);
    atomic_store(&root->requests, VP_REQUEST_INTERRUPT);
    assert_int_equal(exit_interrupt(root), EXIT_RESUME);
    assert_int_equal(exit_interrupt(vp), EXIT_LEAVE);
    assert_int_equal(vp->run_status, VP_RUN_INTERRUPT);
    atomic_store(&root->requests, 0);
}

static void root_triple_fault(void *argument)
{
    (void)argument;
    (void)exit_shutdown(sim_root_vp(0));
}

static void root_unexpected(void *argument)
{
    (void)argument;
    (void)exit_unexpected(sim_root_vp(0), 0x77, "a test");
}

/* Faults of a child cost the child, those of the root the machine. */
static void test_who_is_lost(void **state)
{
    (void)state;
    assert_int_equal(exit_unexpected(vp, 0x77, "a test"), EXIT_LEAVE);
    assert_true(child->is_failed);
    assert_int_equal(vp->intercept_page->header.message_type, HvMessageTypeUnrecoverableException);
    assert_true(machine_log_contains("cannot go on: a test (exit 77)"));
    assert_true(machine_panics(root_triple_fault, NULL));
    assert_non_null(strstr(machine_last_log_line(), "took a triple fault"));
    assert_true(machine_panics(root_unexpected, NULL));
    assert_non_null(strstr(machine_last_log_line(), "the root partition cannot go on: a test"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_apic_registers_by_any_instruction, start, stop),
        cmocka_unit_test_setup_teardown(test_apic_and_ram_in_one_instruction, start, stop),
        cmocka_unit_test_setup_teardown(test_apic_by_what_cannot_be_emulated, start, stop),
        cmocka_unit_test_setup_teardown(test_apic_page_is_not_mapped, start, stop),
        cmocka_unit_test_setup_teardown(test_apic_address_is_not_canonical, start, stop),
        cmocka_unit_test_setup_teardown(test_doorbell, start, stop),
        cmocka_unit_test_setup_teardown(test_no_doorbell, start, stop),
        cmocka_unit_test_setup_teardown(test_overlay_is_read_only, start, stop),
        cmocka_unit_test_setup_teardown(test_root_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(test_xsetbv, start, stop),
        cmocka_unit_test_setup_teardown(test_exception_goes_to_who_asked, start, stop),
        cmocka_unit_test_setup_teardown(test_halt_with_an_interrupt_waiting, start, stop),
        cmocka_unit_test_setup_teardown(test_interrupt, start, stop),
        cmocka_unit_test_setup_teardown(test_who_is_lost, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
