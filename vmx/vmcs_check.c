/* SPDX-License-Identifier: MIT */
/*
 * Our own judge of a VMCS: the checks of SDM vol. 3, chapter "VM Entries", in that order, in words. Here the controls
 * and the host state; guest state is vmcs_check_guest.c's and vmcs_check_segment.c's. Checks of features that no
 * control in vmcs.h turns on are left out, and so are those of what memory holds, but for the task priority. The
 * processor is in IA-32e mode and not in system-management mode.
 */
#include "vmx/vmcs_check.h"

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"
#include "vmx/vmcs_check_rules.h"

#define CR3_TARGETS_MAX     4
#define TPR_THRESHOLD_MASK  0xfu
#define TPR_CLASS_SHIFT     4
#define POSTED_VECTOR_LAST  0xffu
#define POSTED_BYTES        64u
#define MSR_ENTRY_BYTES     16u
#define ERROR_CODE_HIGH     0xffff0000u
#define EVENT_TYPE_RESERVED 1
#define SELECTOR_RPL_TI     7u

bool vmcs_not_canonical(const struct vmcs_state *s)
{
    return !linear_is_canonical(s->read(s->about), s->linear_bits);
}

static bool is_no_page(const struct vmcs_state *s, enum vmcs_field field)
{
    uint64_t address = s->read(field);

    return (address & PAGE_MASK) != 0 || vmcs_is_too_wide(s, address);
}

/* Execution controls. */

static bool pin_forbidden(const struct vmcs_state *s)
{
    return vmcs_is_forbidden(s->pin, s->limits->pin.must, s->limits->pin.may);
}

static bool cpu_forbidden(const struct vmcs_state *s)
{
    return vmcs_is_forbidden(s->cpu, s->limits->cpu.must, s->limits->cpu.may);
}

static bool cpu2_forbidden(const struct vmcs_state *s)
{
    return (s->cpu & VMX_CPU_SECONDARY) && vmcs_is_forbidden(s->cpu2, s->limits->cpu2.must, s->limits->cpu2.may);
}

static bool cr3_targets(const struct vmcs_state *s)
{
    return s->read(VMCS_CR3_TARGET_COUNT) > CR3_TARGETS_MAX;
}

static bool io_bitmap(const struct vmcs_state *s)
{
    return (s->cpu & VMX_CPU_IO_BITMAPS) && is_no_page(s, s->about);
}

static bool msr_bitmap(const struct vmcs_state *s)
{
    return (s->cpu & VMX_CPU_MSR_BITMAPS) && is_no_page(s, VMCS_MSR_BITMAP);
}

static bool virtual_apic(const struct vmcs_state *s)
{
    return (s->cpu & VMX_CPU_TPR_SHADOW) && is_no_page(s, VMCS_VIRTUAL_APIC);
}

static bool tpr_threshold(const struct vmcs_state *s)
{
    return (s->cpu & VMX_CPU_TPR_SHADOW) && !(s->cpu2 & VMX_CPU2_INTERRUPTS) &&
           (s->read(VMCS_TPR_THRESHOLD) & ~(uint64_t)TPR_THRESHOLD_MASK) != 0;
}

static bool tpr_below_threshold(const struct vmcs_state *s)
{
    return (s->cpu & VMX_CPU_TPR_SHADOW) && !(s->cpu2 & (VMX_CPU2_APIC_ACCESS | VMX_CPU2_INTERRUPTS)) &&
           (s->read(VMCS_TPR_THRESHOLD) & TPR_THRESHOLD_MASK) >
               (s->apic_page[VMX_VTPR_INDEX] >> TPR_CLASS_SHIFT & TPR_THRESHOLD_MASK);
}

static bool virtual_nmi_alone(const struct vmcs_state *s)
{
    return (s->pin & VMX_PIN_VIRTUAL_NMI) && !(s->pin & VMX_PIN_NMI);
}

static bool nmi_window_alone(const struct vmcs_state *s)
{
    return (s->cpu & VMX_CPU_NMI_WINDOW) && !(s->pin & VMX_PIN_VIRTUAL_NMI);
}

static bool apic_access(const struct vmcs_state *s)
{
    return (s->cpu2 & VMX_CPU2_APIC_ACCESS) && is_no_page(s, VMCS_APIC_ACCESS);
}

static bool without_tpr_shadow(const struct vmcs_state *s)
{
    return (s->cpu2 & s->about) && !(s->cpu & VMX_CPU_TPR_SHADOW);
}

static bool two_apic_modes(const struct vmcs_state *s)
{
    return (s->cpu2 & VMX_CPU2_X2APIC) && (s->cpu2 & VMX_CPU2_APIC_ACCESS);
}

static bool delivery_alone(const struct vmcs_state *s)
{
    return (s->cpu2 & VMX_CPU2_INTERRUPTS) && !(s->pin & VMX_PIN_INTERRUPT);
}

static bool posted_without_delivery(const struct vmcs_state *s)
{
    return (s->pin & VMX_PIN_POSTED) && !(s->cpu2 & VMX_CPU2_INTERRUPTS);
}

static bool posted_without_acknowledge(const struct vmcs_state *s)
{
    return (s->pin & VMX_PIN_POSTED) && !(s->exit & VMX_EXIT_ACKNOWLEDGE);
}

static bool posted_vector(const struct vmcs_state *s)
{
    return (s->pin & VMX_PIN_POSTED) && s->read(VMCS_POSTED_VECTOR) > POSTED_VECTOR_LAST;
}

static bool posted_descriptor(const struct vmcs_state *s)
{
    return (s->pin & VMX_PIN_POSTED) && ((s->read(VMCS_POSTED_DESCRIPTOR) & (POSTED_BYTES - 1)) != 0 ||
                                         vmcs_is_too_wide(s, s->read(VMCS_POSTED_DESCRIPTOR)));
}

static bool vpid_zero(const struct vmcs_state *s)
{
    return (s->cpu2 & VMX_CPU2_VPID) && s->read(VMCS_VPID) == 0;
}

static bool ept_type(const struct vmcs_state *s)
{
    uint64_t type;

    if (!(s->cpu2 & VMX_CPU2_EPT)) {
        return false;
    }
    type = s->read(VMCS_EPT_POINTER) & VMX_EPTP_TYPE_MASK;
    return !(type == VMX_EPTP_UC && (s->limits->ept_vpid & VMX_CAP_EPT_UC)) &&
           !(type == VMX_EPTP_WB && (s->limits->ept_vpid & VMX_CAP_EPT_WB));
}

static bool ept_levels(const struct vmcs_state *s)
{
    return (s->cpu2 & VMX_CPU2_EPT) && (!(s->limits->ept_vpid & VMX_CAP_EPT_WALK_4) ||
                                        (s->read(VMCS_EPT_POINTER) & VMX_EPTP_LEVELS_MASK) != VMX_EPTP_LEVELS_4);
}

static bool ept_accessed(const struct vmcs_state *s)
{
    return (s->cpu2 & VMX_CPU2_EPT) && !(s->limits->ept_vpid & VMX_CAP_EPT_ACCESSED_DIRTY) &&
           (s->read(VMCS_EPT_POINTER) & VMX_EPTP_ACCESSED);
}

static bool ept_reserved(const struct vmcs_state *s)
{
    return (s->cpu2 & VMX_CPU2_EPT) &&
           ((s->read(VMCS_EPT_POINTER) & VMX_EPTP_RESERVED) || vmcs_is_too_wide(s, s->read(VMCS_EPT_POINTER)));
}

static bool without_ept(const struct vmcs_state *s)
{
    return (s->cpu2 & s->about) && !(s->cpu2 & VMX_CPU2_EPT);
}

static bool pml_address(const struct vmcs_state *s)
{
    return (s->cpu2 & VMX_CPU2_PML) && is_no_page(s, VMCS_PML_ADDRESS);
}

/* Exit and entry controls. */

static bool is_bad_area(const struct vmcs_state *s, enum vmcs_field address_field, enum vmcs_field count_field)
{
    uint64_t bytes = s->read(count_field) * MSR_ENTRY_BYTES;
    uint64_t address;

    if (bytes == 0) {
        return false;
    }
    address = s->read(address_field);
    return (address & (MSR_ENTRY_BYTES - 1)) != 0 || vmcs_is_too_wide(s, address) ||
           vmcs_is_too_wide(s, address + bytes - 1);
}

static bool exit_forbidden(const struct vmcs_state *s)
{
    return vmcs_is_forbidden(s->exit, s->limits->exit.must, s->limits->exit.may);
}

static bool save_timer_alone(const struct vmcs_state *s)
{
    return (s->exit & VMX_EXIT_SAVE_TIMER) && !(s->pin & VMX_PIN_TIMER);
}

static bool exit_store_area(const struct vmcs_state *s)
{
    return is_bad_area(s, VMCS_EXIT_MSR_STORE, VMCS_EXIT_MSR_STORE_COUNT);
}

static bool exit_load_area(const struct vmcs_state *s)
{
    return is_bad_area(s, VMCS_EXIT_MSR_LOAD, VMCS_EXIT_MSR_LOAD_COUNT);
}

static bool entry_forbidden(const struct vmcs_state *s)
{
    return vmcs_is_forbidden(s->entry, s->limits->entry.must, s->limits->entry.may);
}

static bool event_type(const struct vmcs_state *s)
{
    return vmcs_has_event(s, EVENT_TYPE_RESERVED) ||
           (vmcs_has_event(s, VMX_EVENT_OTHER) && !(s->limits->cpu.may & VMX_CPU_MONITOR_TRAP));
}

static bool event_vector(const struct vmcs_state *s)
{
    uint32_t vector = vmcs_event_vector(s);

    return (vmcs_has_event(s, VMX_EVENT_NMI) && vector != X86_VECTOR_NMI) ||
           (vmcs_has_event(s, VMX_EVENT_EXCEPTION) && vector >= X86_VECTOR_EXCEPTION_COUNT) ||
           (vmcs_has_event(s, VMX_EVENT_OTHER) && vector != 0);
}

/* Real mode pushes no error codes. */
static bool can_have_error(const struct vmcs_state *s)
{
    return vmcs_has_event(s, VMX_EVENT_EXCEPTION) && vmcs_event_vector(s) < X86_VECTOR_EXCEPTION_COUNT &&
           (!s->is_unrestricted || (s->cr0 & X86_CR0_PE)) &&
           ((s->limits->basic & VMX_BASIC_ANY_ERROR) || (1u << vmcs_event_vector(s) & VMX_VECTORS_WITH_ERROR));
}

static bool event_error_missing(const struct vmcs_state *s)
{
    return !(s->event & VMX_EVENT_ERROR_VALID) && can_have_error(s) && !(s->limits->basic & VMX_BASIC_ANY_ERROR);
}

static bool event_error_impossible(const struct vmcs_state *s)
{
    return (s->event & VMX_EVENT_ERROR_VALID) && !can_have_error(s);
}

static bool event_reserved(const struct vmcs_state *s)
{
    return (s->event & VMX_EVENT_RESERVED) != 0;
}

static bool event_error_high(const struct vmcs_state *s)
{
    return (s->event & VMX_EVENT_ERROR_VALID) && (s->read(VMCS_ENTRY_EVENT_ERROR) & ERROR_CODE_HIGH);
}

static bool event_length(const struct vmcs_state *s)
{
    uint64_t length;

    if (!vmcs_has_event(s, VMX_EVENT_SOFTWARE) && !vmcs_has_event(s, VMX_EVENT_PRIVILEGED_SOFTWARE) &&
        !vmcs_has_event(s, VMX_EVENT_SOFTWARE_EXCEPTION)) {
        return false;
    }
    length = s->read(VMCS_ENTRY_INSN_LENGTH);
    return length > X86_INSN_LENGTH_MAX || (length == 0 && !(s->limits->misc & VMX_MISC_ZERO_LENGTH));
}

static bool entry_load_area(const struct vmcs_state *s)
{
    return is_bad_area(s, VMCS_ENTRY_MSR_LOAD, VMCS_ENTRY_MSR_LOAD_COUNT);
}

static bool entry_smm(const struct vmcs_state *s)
{
    return (s->entry & s->about) != 0;
}

static const struct vmcs_rule control_rules[] = {
    {pin_forbidden, 0, "pin-based controls: reserved bits"},
    {cpu_forbidden, 0, "primary processor-based controls: reserved bits"},
    {cpu2_forbidden, 0, "secondary processor-based controls: reserved bits"},
    {cr3_targets, 0, "CR3-target count: more than four"},
    {io_bitmap, VMCS_IO_BITMAP_A, "I/O bitmap A: not the address of a page"},
    {io_bitmap, VMCS_IO_BITMAP_B, "I/O bitmap B: not the address of a page"},
    {msr_bitmap, 0, "MSR bitmap: not the address of a page"},
    {virtual_apic, 0, "virtual APIC: not the address of a page"},
    {tpr_threshold, 0, "TPR threshold: bits 31:4 are not zero"},
    {tpr_below_threshold, 0, "TPR threshold: above the class of the task priority"},
    {virtual_nmi_alone, 0, "pin-based controls: virtual NMIs without NMI exiting"},
    {nmi_window_alone, 0, "primary processor-based controls: NMI-window exiting without virtual NMIs"},
    {apic_access, 0, "APIC-access address: not the address of a page"},
    {without_tpr_shadow, VMX_CPU2_X2APIC, "secondary processor-based controls: x2APIC mode without a TPR shadow"},
    {without_tpr_shadow, VMX_CPU2_APIC_REGISTERS,
     "secondary processor-based controls: APIC-register virtualization without a TPR shadow"},
    {without_tpr_shadow, VMX_CPU2_INTERRUPTS,
     "secondary processor-based controls: virtual-interrupt delivery without a TPR shadow"},
    {two_apic_modes, 0, "secondary processor-based controls: x2APIC mode together with APIC accesses"},
    {delivery_alone, 0, "secondary processor-based controls: virtual-interrupt delivery without interrupt exiting"},
    {posted_without_delivery, 0, "pin-based controls: posted interrupts without virtual-interrupt delivery"},
    {posted_without_acknowledge, 0, "pin-based controls: posted interrupts without acknowledging on exit"},
    {posted_vector, 0, "posted-interrupt notification vector: above 255"},
    {posted_descriptor, 0, "posted-interrupt descriptor: misplaced"},
    {vpid_zero, 0, "VPID: zero"},
    {ept_type, 0, "EPT pointer: the memory type is not supported"},
    {ept_levels, 0, "EPT pointer: the page walk is not of four levels"},
    {ept_accessed, 0, "EPT pointer: accessed and dirty flags are not supported"},
    {ept_reserved, 0, "EPT pointer: reserved bits"},
    {without_ept, VMX_CPU2_PML, "secondary processor-based controls: page-modification logging without EPT"},
    {pml_address, 0, "PML address: not the address of a page"},
    {without_ept, VMX_CPU2_UNRESTRICTED, "secondary processor-based controls: unrestricted guest without EPT"},
    {exit_forbidden, 0, "exit controls: reserved bits"},
    {save_timer_alone, 0, "exit controls: the timer is saved but not on"},
    {exit_store_area, 0, "exit MSR-store area: misplaced"},
    {exit_load_area, 0, "exit MSR-load area: misplaced"},
    {entry_forbidden, 0, "entry controls: reserved bits"},
    {event_type, 0, "entry event: the type is reserved"},
    {event_vector, 0, "entry event: the type has no such vector"},
    {event_error_missing, 0, "entry event: the error code is missing"},
    {event_error_impossible, 0, "entry event: an error code where there can be none"},
    {event_reserved, 0, "entry event: reserved bits"},
    {event_error_high, 0, "entry event: error-code bits 31:16 are not zero"},
    {event_length, 0, "entry event: the instruction length is impossible"},
    {entry_load_area, 0, "entry MSR-load area: misplaced"},
    {entry_smm, VMX_ENTRY_SMM, "entry controls: entry to SMM outside SMM"},
    {entry_smm, VMX_ENTRY_DUAL_SMM, "entry controls: the dual-monitor treatment ends outside SMM"},
};

const struct vmcs_rule_table vmcs_control_rules = {control_rules, ARRAY_SIZE(control_rules)};

/* Host state. */

static bool host_cr0(const struct vmcs_state *s)
{
    return vmcs_is_forbidden(s->read(VMCS_HOST_CR0), s->limits->cr0_must & ~VMCS_CR0_UNCHECKED,
                             s->limits->cr0_may | VMCS_CR0_UNCHECKED);
}

static bool host_cr4(const struct vmcs_state *s)
{
    return vmcs_is_forbidden(s->read(VMCS_HOST_CR4), s->limits->cr4_must, s->limits->cr4_may);
}

static bool host_cet(const struct vmcs_state *s)
{
    return (s->read(VMCS_HOST_CR4) & X86_CR4_CET) && !(s->read(VMCS_HOST_CR0) & X86_CR0_WP);
}

static bool host_cr3(const struct vmcs_state *s)
{
    return vmcs_is_too_wide(s, s->read(VMCS_HOST_CR3));
}

static bool host_pat(const struct vmcs_state *s)
{
    return (s->exit & VMX_EXIT_LOAD_PAT) && vmcs_is_bad_pat(s->read(VMCS_HOST_PAT));
}

static bool host_efer_reserved(const struct vmcs_state *s)
{
    return (s->exit & VMX_EXIT_LOAD_EFER) && (s->read(VMCS_HOST_EFER) & ~VMCS_EFER_DEFINED);
}

static bool host_efer_mode(const struct vmcs_state *s)
{
    uint64_t mode = X86_EFER_LMA | X86_EFER_LME;

    return (s->exit & VMX_EXIT_LOAD_EFER) &&
           (s->read(VMCS_HOST_EFER) & mode) != ((s->exit & VMX_EXIT_HOST_64) ? mode : 0);
}

static bool host_selector(const struct vmcs_state *s)
{
    return (s->read(s->about) & SELECTOR_RPL_TI) != 0;
}

static bool host_null(const struct vmcs_state *s)
{
    return s->read(s->about) == 0;
}

static bool host_ss_null(const struct vmcs_state *s)
{
    return !(s->exit & VMX_EXIT_HOST_64) && s->read(VMCS_HOST_SS_SELECTOR) == 0;
}

/* We are in IA-32e mode; the rules for hosts of 32 bits follow from this one never being broken. */
static bool host_not_64(const struct vmcs_state *s)
{
    return !(s->exit & VMX_EXIT_HOST_64);
}

static bool host_pae(const struct vmcs_state *s)
{
    return !(s->read(VMCS_HOST_CR4) & X86_CR4_PAE);
}

static bool host_rip(const struct vmcs_state *s)
{
    bool has_5_levels = (s->read(VMCS_HOST_CR4) & X86_CR4_LA57) != 0;

    return !linear_is_canonical(s->read(VMCS_HOST_RIP), has_5_levels ? LINEAR_BITS_5_LEVEL : LINEAR_BITS_4_LEVEL);
}

static const struct vmcs_rule host_rules[] = {
    {host_cr0, 0, "host CR0: bits that VMX operation does not allow"},
    {host_cr4, 0, "host CR4: bits that VMX operation does not allow"},
    {host_cet, 0, "host CR4: CET is set but CR0.WP is clear"},
    {host_cr3, 0, "host CR3: reserved bits"},
    {vmcs_not_canonical, VMCS_HOST_SYSENTER_ESP, "host SYSENTER_ESP: not canonical"},
    {vmcs_not_canonical, VMCS_HOST_SYSENTER_EIP, "host SYSENTER_EIP: not canonical"},
    {host_pat, 0, "host PAT: a reserved memory type"},
    {host_efer_reserved, 0, "host EFER: reserved bits"},
    {host_efer_mode, 0, "host EFER: LMA or LME is not the host's address-space size"},
    {host_selector, VMCS_HOST_CS_SELECTOR, "host CS: RPL or TI is not zero"},
    {host_selector, VMCS_HOST_SS_SELECTOR, "host SS: RPL or TI is not zero"},
    {host_selector, VMCS_HOST_DS_SELECTOR, "host DS: RPL or TI is not zero"},
    {host_selector, VMCS_HOST_ES_SELECTOR, "host ES: RPL or TI is not zero"},
    {host_selector, VMCS_HOST_FS_SELECTOR, "host FS: RPL or TI is not zero"},
    {host_selector, VMCS_HOST_GS_SELECTOR, "host GS: RPL or TI is not zero"},
    {host_selector, VMCS_HOST_TR_SELECTOR, "host TR: RPL or TI is not zero"},
    {host_null, VMCS_HOST_CS_SELECTOR, "host CS: null"},
    {host_null, VMCS_HOST_TR_SELECTOR, "host TR: null"},
    {host_ss_null, 0, "host SS: null outside 64-bit mode"},
    {vmcs_not_canonical, VMCS_HOST_FS_BASE, "host FS: the base is not canonical"},
    {vmcs_not_canonical, VMCS_HOST_GS_BASE, "host GS: the base is not canonical"},
    {vmcs_not_canonical, VMCS_HOST_GDTR_BASE, "host GDTR: the base is not canonical"},
    {vmcs_not_canonical, VMCS_HOST_IDTR_BASE, "host IDTR: the base is not canonical"},
    {vmcs_not_canonical, VMCS_HOST_TR_BASE, "host TR: the base is not canonical"},
    {host_not_64, 0, "exit controls: the host's address space is not of 64 bits"},
    {host_pae, 0, "host CR4: PAE is clear"},
    {host_rip, 0, "host RIP: not canonical"},
};

const struct vmcs_rule_table vmcs_host_rules = {host_rules, ARRAY_SIZE(host_rules)};

const struct vmcs_rule_table *const vmcs_rule_tables[VMCS_RULE_TABLE_COUNT] = {
    &vmcs_control_rules, &vmcs_host_rules, &vmcs_register_rules, &vmcs_segment_rules, &vmcs_rest_rules,
};

void vmcs_read_state(struct vmcs_state *s, uint64_t (*read)(enum vmcs_field field), const struct vmx_limits *limits,
                     const uint32_t *apic_page)
{
    s->read = read;
    s->limits = limits;
    s->apic_page = apic_page;
    s->pin = (uint32_t)read(VMCS_PIN_CONTROLS);
    s->cpu = (uint32_t)read(VMCS_CPU_CONTROLS);
    s->cpu2 = (s->cpu & VMX_CPU_SECONDARY) ? (uint32_t)read(VMCS_CPU2_CONTROLS) : 0;
    s->exit = (uint32_t)read(VMCS_EXIT_CONTROLS);
    s->entry = (uint32_t)read(VMCS_ENTRY_CONTROLS);
    s->event = (uint32_t)read(VMCS_ENTRY_EVENT);
    s->event = (s->event & VMX_EVENT_VALID) ? s->event : 0;
    s->blocked = (uint32_t)read(VMCS_GUEST_INTERRUPTIBILITY);
    s->activity = (uint32_t)read(VMCS_GUEST_ACTIVITY);
    s->cr0 = read(VMCS_GUEST_CR0);
    s->cr4 = read(VMCS_GUEST_CR4);
    s->rflags = read(VMCS_GUEST_RFLAGS);
    s->is_unrestricted = (s->cpu2 & VMX_CPU2_UNRESTRICTED) != 0;
    s->is_ia32e = (s->entry & VMX_ENTRY_GUEST_64) != 0;
    s->is_virtual_8086 = (s->rflags & X86_RFLAGS_VM) != 0;
    s->linear_bits = (limits->cr4_may & X86_CR4_LA57) ? LINEAR_BITS_5_LEVEL : LINEAR_BITS_4_LEVEL;
    for (uint32_t i = 0; i < VMCS_SEGMENT_COUNT; i++) {
        uint32_t offset = i * VMCS_SEGMENT_STRIDE;

        s->segments[i] = (struct vmcs_segment){
            .base = read(VMCS_GUEST_ES_BASE + offset),
            .limit = (uint32_t)read(VMCS_GUEST_ES_LIMIT + offset),
            .access = (uint32_t)read(VMCS_GUEST_ES_ACCESS + offset),
            .selector = (uint16_t)read(VMCS_GUEST_ES_SELECTOR + offset),
        };
    }
}

const char *vmcs_check(uint64_t (*read)(enum vmcs_field field), const struct vmx_limits *limits,
                       const uint32_t *apic_page)
{
    struct vmcs_state state;

    vmcs_read_state(&state, read, limits, apic_page);
    for (uint32_t i = 0; i < VMCS_RULE_TABLE_COUNT; i++) {
        for (size_t j = 0; j < vmcs_rule_tables[i]->count; j++) {
            const struct vmcs_rule *rule = &vmcs_rule_tables[i]->rules[j];

            state.about = rule->about;
            if (rule->is_broken(&state)) {
                return rule->text;
            }
        }
    }
    return NULL;
}
