/* SPDX-License-Identifier: MIT */
/* How events go into a VMCS and come back from one, and the control registers that a guest shares with the hypervisor,
 * on a VMCS that is an array. SDM vol. 3, VM-Entry Controls for Event Injection; Guest/Host Masks and Read Shadows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "vmx/vmx.h"

#define vmcs_read      fake_read
#define vmcs_write     fake_write
#define vp_read_pdptes fake_read_pdptes

static uint64_t fake_read(enum vmcs_field field);
static void fake_write(enum vmcs_field field, uint64_t value);
static void fake_read_pdptes(struct vp *of, uint64_t cr3, uint64_t pdptes[4]);

#include "vmx/vmx_cr.c"
#include "vmx/vmx_event.c"

#define FIELD_COUNT 0x8000u
#define VECTOR      0xedu
#define ERROR_CODE  0x1234u
#define RIP         0x1000u
#define LENGTH      3u
#define CR3         0x5000u
#define PROTECTED   (X86_CR0_NE | X86_CR0_ET | X86_CR0_PE)

static uint64_t vmcs[FIELD_COUNT];
static uint64_t memory_pdptes[PDPTE_COUNT];
static struct vmx_vp own;
static struct vp vp;

struct vmx_limits vmx_limits;

static uint64_t fake_read(enum vmcs_field field)
{
    return vmcs[field];
}

static void fake_write(enum vmcs_field field, uint64_t value)
{
    vmcs[field] = value;
}

static void fake_read_pdptes(struct vp *of, uint64_t cr3, uint64_t pdptes[4])
{
    assert_ptr_equal(of, &vp);
    assert_int_equal(cr3, CR3);
    memcpy(pdptes, memory_pdptes, sizeof(memory_pdptes));
}

void vmx_select(struct vmx_vp *selected)
{
    assert_ptr_equal(selected, &own);
}

void vmx_read_rsp(struct vp *of)
{
    assert_ptr_equal(of, &vp);
}

static int start(void **state)
{
    (void)state;
    memset(vmcs, 0, sizeof(vmcs));
    memset(&own, 0, sizeof(own));
    memset(&vp, 0, sizeof(vp));
    vp.backend = &own;
    vp.regs.rip = RIP;
    vp.regs.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
    vmx_limits = (struct vmx_limits){
        .cr0_must = X86_CR0_PG | X86_CR0_NE | X86_CR0_PE, .cr4_must = X86_CR4_VMXE, .physical_bits = 40};
    vmx_set_cr0(&vp, PROTECTED);
    vmx_set_cr4(0);
    return 0;
}

static uint32_t event_word(enum vmx_event_type type, uint32_t vector)
{
    return VMX_EVENT_VALID | (uint32_t)type << VMX_EVENT_TYPE_SHIFT | vector;
}

static uint64_t exception(uint8_t vector)
{
    return hv_pending_interruption(HV_X64_PENDING_EXCEPTION, vector);
}

static uint64_t with_error(uint64_t interruption)
{
    return interruption | HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE |
           (uint64_t)ERROR_CODE << HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT;
}

/* What an entry with this pending event injects. */
static uint64_t injected(uint64_t interruption)
{
    vmcs[VMCS_ENTRY_EVENT] = 0;
    vp.pending_interruption = interruption;
    vmx_prepare_events(&vp);
    assert_int_equal(vp.pending_interruption, 0);
    return vmcs[VMCS_ENTRY_EVENT];
}

static void test_events_are_injected(void **state)
{
    (void)state;
    assert_int_equal(injected(0), 0);
    assert_int_equal(injected(hv_pending_interruption(HV_X64_PENDING_INTERRUPT, VECTOR)),
                     event_word(VMX_EVENT_INTERRUPT, VECTOR));
    assert_int_equal(injected(exception(X86_VECTOR_UD)), event_word(VMX_EVENT_EXCEPTION, X86_VECTOR_UD));
    assert_int_equal(injected(with_error(exception(X86_VECTOR_PF))),
                     event_word(VMX_EVENT_EXCEPTION, X86_VECTOR_PF) | VMX_EVENT_ERROR_VALID);
    assert_int_equal(vmcs[VMCS_ENTRY_EVENT_ERROR], ERROR_CODE);
}

/* The processor refuses anything else, whatever a root has set. */
static void test_error_codes_come_with_their_exceptions_only(void **state)
{
    (void)state;
    assert_int_equal(injected(exception(X86_VECTOR_GP)),
                     event_word(VMX_EVENT_EXCEPTION, X86_VECTOR_GP) | VMX_EVENT_ERROR_VALID);
    assert_int_equal(injected(with_error(exception(X86_VECTOR_UD))), event_word(VMX_EVENT_EXCEPTION, X86_VECTOR_UD));
    vmx_set_cr0(&vp, X86_CR0_RESET);
    assert_int_equal(injected(with_error(exception(X86_VECTOR_GP))), event_word(VMX_EVENT_EXCEPTION, X86_VECTOR_GP));
}

static void test_an_nmi_blocks_by_itself(void **state)
{
    (void)state;
    vp.nmi_masked = true;
    assert_int_equal(injected(hv_pending_interruption(HV_X64_PENDING_NMI, X86_VECTOR_NMI)),
                     event_word(VMX_EVENT_NMI, X86_VECTOR_NMI));
    assert_false(vp.nmi_masked);
}

static void test_a_software_interrupt_returns_behind_itself(void **state)
{
    (void)state;
    assert_int_equal(injected(hv_pending_interruption(HV_X64_PENDING_SOFTWARE_INTERRUPT, VECTOR)),
                     event_word(VMX_EVENT_SOFTWARE, VECTOR));
    assert_int_equal(vp.regs.rip + vmcs[VMCS_ENTRY_INSN_LENGTH], RIP);
}

static void test_a_waiting_nmi_opens_a_window(void **state)
{
    (void)state;
    vp.nmi_masked = true;
    vp.requests = VP_REQUEST_NMI;
    vmx_prepare_events(&vp);
    assert_int_equal(vmcs[VMCS_CPU_CONTROLS], VMX_CPU_NMI_WINDOW);
    own.blocked = VMX_BLOCKED_STI;
    vmx_prepare_events(&vp);
    assert_int_equal(vmcs[VMCS_CPU_CONTROLS], VMX_CPU_INTERRUPT_WINDOW);
    own.blocked = 0;
    vp.nmi_masked = false;
    vmx_prepare_events(&vp);
    assert_int_equal(vmcs[VMCS_CPU_CONTROLS], 0);
    assert_int_equal(vmcs[VMCS_ENTRY_EVENT], event_word(VMX_EVENT_NMI, X86_VECTOR_NMI));
}

/* What is pending after an exit that interrupted the delivery of this event. */
static uint64_t collected(uint32_t word)
{
    vp.pending_interruption = 0;
    vmcs[VMCS_VECTORING_EVENT] = word;
    vmcs[VMCS_VECTORING_ERROR] = ERROR_CODE;
    vmx_collect_event(&vp);
    return vp.pending_interruption;
}

static void test_an_interrupted_delivery_is_done_again(void **state)
{
    (void)state;
    assert_int_equal(collected(0), 0);
    assert_int_equal(collected(event_word(VMX_EVENT_INTERRUPT, VECTOR)),
                     hv_pending_interruption(HV_X64_PENDING_INTERRUPT, VECTOR));
    assert_int_equal(collected(event_word(VMX_EVENT_EXCEPTION, X86_VECTOR_UD)), exception(X86_VECTOR_UD));
    assert_int_equal(collected(event_word(VMX_EVENT_EXCEPTION, X86_VECTOR_PF) | VMX_EVENT_ERROR_VALID),
                     with_error(exception(X86_VECTOR_PF)));
    vp.nmi_masked = true;
    assert_int_equal(collected(event_word(VMX_EVENT_NMI, X86_VECTOR_NMI)),
                     hv_pending_interruption(HV_X64_PENDING_NMI, X86_VECTOR_NMI));
    assert_false(vp.nmi_masked);
    /* Their instructions execute again. */
    assert_int_equal(collected(event_word(VMX_EVENT_SOFTWARE, VECTOR)), 0);
    assert_int_equal(collected(event_word(VMX_EVENT_PRIVILEGED_SOFTWARE, X86_VECTOR_DB)), 0);
    assert_int_equal(collected(event_word(VMX_EVENT_SOFTWARE_EXCEPTION, X86_VECTOR_BP)), 0);
}

/* The guest's MOV of this value, from RCX, to a control register. */
static void move_to_cr(uint32_t number, uint64_t value)
{
    vp.pending_interruption = 0;
    vp.regs.rip = RIP;
    vp.regs.gpr[VP_RCX] = value;
    vmcs[VMCS_EXIT_QUALIFICATION] = number | VP_RCX << VMX_CR_GPR_SHIFT;
    assert_int_equal(vmx_handle_cr(&vp, LENGTH), EXIT_RESUME);
}

static bool has_faulted(void)
{
    bool is_gp = vp.pending_interruption == (exception(X86_VECTOR_GP) | HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE);

    assert_int_equal(vp.regs.rip, is_gp ? RIP : RIP + LENGTH);
    return is_gp;
}

static void test_the_cache_bits_are_the_guest_s_to_see_only(void **state)
{
    (void)state;
    move_to_cr(0, PROTECTED | X86_CR0_CD | X86_CR0_NW);
    assert_false(has_faulted());
    assert_int_equal(vmx_get_cr0(&vp), PROTECTED | X86_CR0_CD | X86_CR0_NW);
    assert_int_equal(vmcs[VMCS_GUEST_CR0], PROTECTED);
    /* NE stays set whatever the guest reads. */
    move_to_cr(0, X86_CR0_PE | X86_CR0_ET);
    assert_int_equal(vmx_get_cr0(&vp), X86_CR0_PE | X86_CR0_ET);
    assert_int_equal(vmcs[VMCS_GUEST_CR0], PROTECTED);
}

static void test_bad_values_fault(void **state)
{
    (void)state;
    move_to_cr(0, PROTECTED | X86_CR0_NW);
    assert_true(has_faulted());
    move_to_cr(0, X86_CR0_PG | X86_CR0_CD);
    assert_true(has_faulted());
    move_to_cr(0, PROTECTED | UINT64_C(1) << 32);
    assert_true(has_faulted());
    vmx_set_cr4(X86_CR4_PCIDE);
    move_to_cr(0, PROTECTED | X86_CR0_CD);
    assert_true(has_faulted());
    move_to_cr(4, X86_CR4_VMXE);
    assert_true(has_faulted());
    assert_int_equal(vmx_get_cr0(&vp), PROTECTED);
}

static void test_paging_enters_and_leaves_long_mode(void **state)
{
    uint64_t flushes = vp.flush_wanted;

    (void)state;
    vmx_set_efer(X86_EFER_LME);
    move_to_cr(0, PROTECTED | X86_CR0_CD | X86_CR0_PG);
    assert_true(has_faulted()); /* no PAE */
    vmx_set_cr4(X86_CR4_PAE);
    move_to_cr(0, PROTECTED | X86_CR0_CD | X86_CR0_PG);
    assert_false(has_faulted());
    assert_int_equal(vmcs[VMCS_GUEST_EFER], X86_EFER_LME | X86_EFER_LMA);
    assert_int_equal(vmcs[VMCS_ENTRY_CONTROLS], VMX_ENTRY_GUEST_64);
    assert_int_equal(vp.flush_wanted, flushes + 1);
    vmcs[VMCS_GUEST_CS_ACCESS] = X86_SEG_ATTR_L;
    move_to_cr(0, PROTECTED);
    assert_true(has_faulted()); /* from 64-bit code */
    vmcs[VMCS_GUEST_CS_ACCESS] = 0;
    move_to_cr(0, PROTECTED);
    assert_false(has_faulted());
    assert_int_equal(vmcs[VMCS_GUEST_EFER], X86_EFER_LME);
    assert_int_equal(vmcs[VMCS_ENTRY_CONTROLS], 0);
}

/* What the entry would refuse, and end the partition, is the guest's fault. */
static void test_pae_tables_are_checked(void **state)
{
    static const uint64_t bad[] = {X86_PDPTE_RESERVED & 2, X86_PDPTE_RESERVED & 0x100, UINT64_C(1) << 40};

    (void)state;
    vmcs[VMCS_GUEST_CR3] = CR3;
    vmx_set_cr4(X86_CR4_PAE);
    memory_pdptes[1] = 0x6000 | X86_PTE_P;
    memory_pdptes[2] = UINT64_MAX & ~(uint64_t)X86_PTE_P; /* not present: anything goes */
    move_to_cr(0, PROTECTED | X86_CR0_CD | X86_CR0_PG);
    assert_false(has_faulted());
    assert_int_equal(vmcs[VMCS_GUEST_PDPTE0 + VMCS_PDPTE_STRIDE], memory_pdptes[1]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        memory_pdptes[3] = bad[i] | X86_PTE_P;
        move_to_cr(0, PROTECTED | X86_CR0_PG);
        assert_true(has_faulted());
        assert_int_equal(vmx_get_cr0(&vp), PROTECTED | X86_CR0_CD | X86_CR0_PG);
    }
    /* Without PAE, and in long mode, there are none. */
    vmx_set_cr4(0);
    move_to_cr(0, PROTECTED | X86_CR0_PG);
    assert_false(has_faulted());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_events_are_injected, start),
        cmocka_unit_test_setup(test_error_codes_come_with_their_exceptions_only, start),
        cmocka_unit_test_setup(test_an_nmi_blocks_by_itself, start),
        cmocka_unit_test_setup(test_a_software_interrupt_returns_behind_itself, start),
        cmocka_unit_test_setup(test_a_waiting_nmi_opens_a_window, start),
        cmocka_unit_test_setup(test_an_interrupted_delivery_is_done_again, start),
        cmocka_unit_test_setup(test_the_cache_bits_are_the_guest_s_to_see_only, start),
        cmocka_unit_test_setup(test_bad_values_fault, start),
        cmocka_unit_test_setup(test_paging_enters_and_leaves_long_mode, start),
        cmocka_unit_test_setup(test_pae_tables_are_checked, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
