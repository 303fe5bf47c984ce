/* SPDX-License-Identifier: MIT */
/* How events go into a VMCS and come back from one, the control registers that a guest shares with the hypervisor, and
 * the APIC that it lends to the processor, on a VMCS that is an array. SDM vol. 3, VM-Entry Controls for Event
 * Injection; Guest/Host Masks and Read Shadows; APIC Virtualization and Virtual Interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_intercept.h"
#include "hv/partition/partition.h"
#include "vmx/vmx.h"

#define vmcs_read      fake_read
#define vmcs_write     fake_write
#define vp_read_pdptes fake_read_pdptes

static uint64_t fake_read(enum vmcs_field field);
static void fake_write(enum vmcs_field field, uint64_t value);
static void fake_read_pdptes(struct vp *of, uint64_t cr3, uint64_t pdptes[4]);

#include "vmx/vmx_apic.c"
#include "vmx/vmx_cr.c"
#include "vmx/vmx_event.c"

#define FIELD_COUNT 0x8000u
#define VECTOR      0xedu
#define ERROR_CODE  0x1234u
#define RIP         0x1000u
#define LENGTH      3u
#define CR3         0x5000u
#define BITMAP      0x7000u
#define BITMAP_LENT 0x8000u
#define LENT        (VMX_CPU2_X2APIC | VMX_CPU2_APIC_REGISTERS | VMX_CPU2_INTERRUPTS)
#define PROTECTED   (X86_CR0_NE | X86_CR0_ET | X86_CR0_PE)

static uint64_t vmcs[FIELD_COUNT];
static uint64_t memory_pdptes[PDPTE_COUNT];
static uint32_t apic_page[PAGE_SIZE / sizeof(uint32_t)];
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

spa_t vmx_msr_bitmap(bool is_apic_virtual)
{
    return spa(is_apic_virtual ? BITMAP_LENT : BITMAP);
}

void vmx_flush(struct vp *of, enum vp_flush_scope scope)
{
    assert_ptr_equal(of, &vp);
    assert_int_equal(scope, VP_FLUSH_ALL);
    vp.flush_wanted++;
}

static int start(void **state)
{
    (void)state;
    memset(vmcs, 0, sizeof(vmcs));
    memset(&own, 0, sizeof(own));
    memset(&vp, 0, sizeof(vp));
    memset(apic_page, 0, sizeof(apic_page));
    own.apic_page = apic_page;
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

/* A software interrupt by an instruction of this length. */
static uint64_t software_interrupt(uint64_t length)
{
    return hv_pending_interruption(HV_X64_PENDING_SOFTWARE_INTERRUPT, VECTOR) |
           length << HV_PENDING_INTERRUPTION_INSTRUCTION_LENGTH_SHIFT;
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
    vp.regs.rip = RIP;
    (void)injected(software_interrupt(LENGTH));
    assert_int_equal(vp.regs.rip, RIP);
    assert_int_equal(vmcs[VMCS_ENTRY_INSN_LENGTH], LENGTH);
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

/* The guest has no instruction that would execute again: the root has set the event. */
static void test_an_injected_software_interrupt_is_injected_again(void **state)
{
    (void)state;
    for (uint64_t length = 0; length <= LENGTH; length += LENGTH) {
        vp.regs.rip = RIP;
        (void)injected(software_interrupt(length));
        assert_int_equal(collected(event_word(VMX_EVENT_SOFTWARE, VECTOR)), software_interrupt(length));
        assert_int_equal(vp.regs.rip, RIP);
    }
    /* The next one is the guest's. */
    (void)injected(0);
    assert_int_equal(collected(event_word(VMX_EVENT_SOFTWARE, VECTOR)), 0);
    assert_int_equal(vp.regs.rip, RIP);
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

/* A guest in x2APIC mode on a processor that virtualises all of it. */
static int start_apic(void **state)
{
    (void)start(state);
    vmx_limits.cpu2.may = LENT | VMX_CPU2_EPT;
    own.cpu2_controls = VMX_CPU2_EPT;
    vmcs[VMCS_CPU2_CONTROLS] = VMX_CPU2_EPT;
    vmcs[VMCS_MSR_BITMAP] = BITMAP;
    vp.apic.base = X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC;
    vp.apic.svr = APIC_SVR_ENABLE;
    return 0;
}

/* Prepares an entry: true when the processor gets the APIC for it. */
static bool enter(void)
{
    vmx_prepare_events(&vp);
    vmx_load_apic(&vp);
    assert_int_equal(vmcs[VMCS_CPU2_CONTROLS], own.cpu2_controls);
    assert_int_equal(vmcs[VMCS_MSR_BITMAP], own.cpu2_controls & LENT ? BITMAP_LENT : BITMAP);
    assert_true((own.cpu2_controls & LENT) == LENT || (own.cpu2_controls & LENT) == 0);
    assert_int_equal(own.cpu2_controls & ~LENT, VMX_CPU2_EPT);
    return (own.cpu2_controls & LENT) != 0;
}

static uint32_t *page_word(enum apic_register base, uint8_t vector)
{
    return &apic_page[(base + (vector / 32u) * 16u) / sizeof(uint32_t)];
}

static bool is_in_service(uint8_t vector)
{
    return (vp.apic.isr[vector / 32u] >> vector % 32u & 1u) != 0;
}

static void test_the_apic_is_lent_while_nothing_waits(void **state)
{
    (void)state;
    assert_true(enter());
    vmx_store_apic(&vp);
    /* It waits for the flag: a window instead. */
    vp.regs.rflags &= ~(uint64_t)X86_RFLAGS_IF;
    assert_true(apic_set_irr_no_wake(&vp, VECTOR, false));
    assert_false(enter());
    assert_int_equal(vmcs[VMCS_CPU_CONTROLS], VMX_CPU_INTERRUPT_WINDOW);
    vmx_store_apic(&vp);
    vp.regs.rflags |= X86_RFLAGS_IF;
    assert_true(enter());
    assert_int_equal(vmcs[VMCS_CPU_CONTROLS], 0);
    assert_int_equal(vmcs[VMCS_ENTRY_EVENT], event_word(VMX_EVENT_INTERRUPT, VECTOR));
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPT_STATUS], VECTOR << VMX_INTERRUPT_STATUS_SVI_SHIFT);
    vmx_store_apic(&vp);
    /* Behind the one in service, or below the task priority: EOI and threshold exit. */
    assert_true(apic_set_irr_no_wake(&vp, VECTOR - 1, false));
    assert_false(enter());
    vmx_store_apic(&vp);
    apic_eoi(&vp);
    vp.apic.tpr = 0xf0;
    assert_false(enter());
    assert_int_equal(vmcs[VMCS_TPR_THRESHOLD], (VECTOR - 1) >> 4);
    /* An interrupt that comes between the choice of the event and the entry. */
    vp.apic.irr[(VECTOR - 1) / 32] = 0;
    vmx_prepare_events(&vp);
    assert_true(apic_set_irr_no_wake(&vp, VECTOR, false));
    vmx_load_apic(&vp);
    assert_int_equal(own.cpu2_controls & LENT, 0);
}

static void test_some_apics_are_never_lent(void **state)
{
    (void)state;
    vp.apic.base = X86_APIC_BASE_ENABLE;
    assert_false(enter());
    vp.apic.base |= X86_APIC_BASE_X2APIC;
    vp.apic.svr = 0;
    assert_false(enter());
    vp.apic.svr = APIC_SVR_ENABLE;
    vp.synic.auto_eoi[VECTOR / 64] = UINT64_C(1) << VECTOR % 64;
    assert_false(enter());
    vp.synic.auto_eoi[VECTOR / 64] = 0;
    vp.regs.rflags &= ~(uint64_t)X86_RFLAGS_IF;
    vp.apic.extint = 0x100 | VECTOR;
    assert_false(enter());
    vp.apic.extint = 0;
    assert_true(enter());
    vmx_store_apic(&vp);
    vmx_limits.cpu2.may &= ~VMX_CPU2_APIC_REGISTERS;
    own.cpu2_controls = VMX_CPU2_EPT;
    vmcs[VMCS_CPU2_CONTROLS] = VMX_CPU2_EPT;
    vmcs[VMCS_MSR_BITMAP] = BITMAP;
    assert_false(enter());
}

/* Both directions: what common code put in service, and what the processor ended or took into service. */
static void test_what_is_in_service_goes_and_comes(void **state)
{
    (void)state;
    vp.apic.isr[1] = 1u << 3;
    vp.apic.isr[5] = 1u << 7;
    vp.apic.tpr = 0x24;
    assert_true(enter());
    assert_int_equal(*page_word(APIC_REG_ISR, 35), 1u << 3);
    assert_int_equal(*page_word(APIC_REG_ISR, 167), 1u << 7);
    assert_int_equal(*page_word(APIC_REG_TPR, 0), 0x24);
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPT_STATUS], 167u << VMX_INTERRUPT_STATUS_SVI_SHIFT);
    /* The guest ends the upper one, sets the task priority and sends itself two, of which one is delivered. */
    *page_word(APIC_REG_ISR, 167) = 0;
    *page_word(APIC_REG_TPR, 0) = 0x31;
    *page_word(APIC_REG_ISR, 200) = 1u << 200 % 32;
    *page_word(APIC_REG_IRR, 80) = 1u << 80 % 32;
    vmcs[VMCS_GUEST_INTERRUPT_STATUS] = 200u << VMX_INTERRUPT_STATUS_SVI_SHIFT | 80;
    vmx_store_apic(&vp);
    assert_true(is_in_service(35));
    assert_false(is_in_service(167));
    assert_true(is_in_service(200));
    assert_int_equal(apic_tpr(&vp), 0x31);
    assert_true(apic_is_pending(&vp, 80));
    assert_int_equal(*page_word(APIC_REG_IRR, 80), 0);
    /* What waits is common code's now; at the end of the upper one it is injected, and the APIC is lent again. */
    assert_false(enter());
    vmx_store_apic(&vp);
    apic_eoi(&vp);
    assert_true(enter());
    assert_int_equal(vmcs[VMCS_ENTRY_EVENT], event_word(VMX_EVENT_INTERRUPT, 80));
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPT_STATUS], 80u << VMX_INTERRUPT_STATUS_SVI_SHIFT);
}

static void test_eois_that_others_wait_for_exit(void **state)
{
    static struct partition partition;
    static struct hv_message message;
    const uint8_t level = 0x71;
    const uint8_t sint = 0xf3;

    (void)state;
    assert_true(enter());
    assert_int_equal(vmcs[VMCS_EOI_EXIT0 + VMCS_EOI_EXIT_STRIDE], 0);
    vmx_store_apic(&vp);
    vp.synic.vectors[sint / 64] = UINT64_C(1) << sint % 64;
    assert_true(apic_set_irr_no_wake(&vp, level, true));
    assert_true(enter());
    assert_int_equal(vmcs[VMCS_EOI_EXIT0], 0);
    assert_int_equal(vmcs[VMCS_EOI_EXIT0 + VMCS_EOI_EXIT_STRIDE], UINT64_C(1) << level % 64);
    assert_int_equal(vmcs[VMCS_EOI_EXIT0 + 2 * VMCS_EOI_EXIT_STRIDE], 0);
    assert_int_equal(vmcs[VMCS_EOI_EXIT0 + 3 * VMCS_EOI_EXIT_STRIDE], UINT64_C(1) << sint % 64);
    vmx_store_apic(&vp);
    vp.partition = &partition;
    vp.intercept_page = &message;
    *page_word(APIC_REG_ISR, level) = 0;
    vmcs[VMCS_EXIT_QUALIFICATION] = level;
    assert_int_equal(vmx_handle_virtual_eoi(&vp), EXIT_RESUME);
    assert_int_equal(message.header.message_type, HvMessageTypeX64ApicEoi);
    assert_int_equal(((struct hv_x64_apic_eoi_message *)(void *)message.payload)->interrupt_vector, level);
    assert_int_equal(vp.requests & VP_REQUEST_SUSPEND, VP_REQUEST_SUSPEND);
    /* The next one with this vector is an edge. */
    vp.apic.isr[level / 32u] = 0;
    assert_true(apic_set_irr_no_wake(&vp, level, false));
    assert_true(enter());
    assert_int_equal(vmcs[VMCS_EOI_EXIT0 + VMCS_EOI_EXIT_STRIDE], 0);
}

static void test_a_self_ipi_without_a_vector_is_an_error(void **state)
{
    (void)state;
    assert_true(enter());
    *page_word(APIC_REG_SELF_IPI, 0) = 5;
    vmcs[VMCS_EXIT_QUALIFICATION] = APIC_REG_SELF_IPI;
    vmx_store_apic(&vp);
    assert_int_equal(vmx_handle_apic_write(&vp), EXIT_RESUME);
    assert_int_equal(vp.apic.esr_pending, APIC_ESR_SEND_ILLEGAL_VECTOR);
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
        cmocka_unit_test_setup(test_an_injected_software_interrupt_is_injected_again, start),
        cmocka_unit_test_setup(test_the_cache_bits_are_the_guest_s_to_see_only, start),
        cmocka_unit_test_setup(test_bad_values_fault, start),
        cmocka_unit_test_setup(test_paging_enters_and_leaves_long_mode, start),
        cmocka_unit_test_setup(test_pae_tables_are_checked, start),
        cmocka_unit_test_setup(test_the_apic_is_lent_while_nothing_waits, start_apic),
        cmocka_unit_test_setup(test_some_apics_are_never_lent, start_apic),
        cmocka_unit_test_setup(test_what_is_in_service_goes_and_comes, start_apic),
        cmocka_unit_test_setup(test_eois_that_others_wait_for_exit, start_apic),
        cmocka_unit_test_setup(test_a_self_ipi_without_a_vector_is_an_error, start_apic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
