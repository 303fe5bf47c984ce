/* SPDX-License-Identifier: MIT */
/*
 * Rules about guest state but for the segment registers: SDM vol. 3, "Checks on Guest Control Registers, Debug
 * Registers, and MSRs" and, from "Checks on Guest Descriptor-Table Registers" on, the rest of "Checks on the Guest
 * State Area".
 */
#include "vmx/vmcs_check_rules.h"

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"

#define HIGH_HALF        0xffffffff00000000ull
#define DEBUGCTL_DEFINED 0xffc7ull
#define TABLE_LIMIT_HIGH 0xffff0000ull
#define BLOCKED_DEFINED  0x1fu
#define BLOCKED_ONE_INSN (VMX_BLOCKED_STI | VMX_BLOCKED_MOV_SS)
#define PENDING_ENABLED  (1ull << 12) /* a breakpoint was met */
#define PENDING_BS       X86_DR6_BS
#define PENDING_RTM      (1ull << 16)
#define PENDING_RESERVED (~0x1ffffull | 0xa7f0ull)
#define LINK_NONE        UINT64_MAX
#define MTF_VECTOR       0u
#define ACTIVITY_LAST    VMX_WAIT_FOR_SIPI

/* Control registers, debug registers, MSRs. */

static bool cr0(const struct vmcs_state *s)
{
    uint64_t free = VMCS_CR0_UNCHECKED | (s->is_unrestricted ? X86_CR0_PE | X86_CR0_PG : 0);

    return vmcs_is_forbidden(s->cr0, s->limits->cr0_must & ~free, s->limits->cr0_may | VMCS_CR0_UNCHECKED);
}

static bool paging_without_pe(const struct vmcs_state *s)
{
    return (s->cr0 & X86_CR0_PG) && !(s->cr0 & X86_CR0_PE);
}

static bool cr4(const struct vmcs_state *s)
{
    return vmcs_is_forbidden(s->cr4, s->limits->cr4_must, s->limits->cr4_may);
}

static bool cet(const struct vmcs_state *s)
{
    return (s->cr4 & X86_CR4_CET) && !(s->cr0 & X86_CR0_WP);
}

static bool debugctl(const struct vmcs_state *s)
{
    return (s->entry & VMX_ENTRY_LOAD_DEBUG) && (s->read(VMCS_GUEST_DEBUGCTL) & ~DEBUGCTL_DEFINED);
}

static bool ia32e_without_paging(const struct vmcs_state *s)
{
    return s->is_ia32e && !(s->cr0 & X86_CR0_PG);
}

static bool ia32e_without_pae(const struct vmcs_state *s)
{
    return s->is_ia32e && !(s->cr4 & X86_CR4_PAE);
}

static bool pcide_outside(const struct vmcs_state *s)
{
    return !s->is_ia32e && (s->cr4 & X86_CR4_PCIDE);
}

static bool cr3(const struct vmcs_state *s)
{
    return vmcs_is_too_wide(s, s->read(VMCS_GUEST_CR3));
}

static bool dr7(const struct vmcs_state *s)
{
    return (s->entry & VMX_ENTRY_LOAD_DEBUG) && (s->read(VMCS_GUEST_DR7) & HIGH_HALF);
}

static bool pat(const struct vmcs_state *s)
{
    return (s->entry & VMX_ENTRY_LOAD_PAT) && vmcs_is_bad_pat(s->read(VMCS_GUEST_PAT));
}

static bool efer_reserved(const struct vmcs_state *s)
{
    return (s->entry & VMX_ENTRY_LOAD_EFER) && (s->read(VMCS_GUEST_EFER) & ~VMCS_EFER_DEFINED);
}

static bool efer_lma(const struct vmcs_state *s)
{
    return (s->entry & VMX_ENTRY_LOAD_EFER) && ((s->read(VMCS_GUEST_EFER) & X86_EFER_LMA) != 0) != s->is_ia32e;
}

static bool efer_lme(const struct vmcs_state *s)
{
    return (s->entry & VMX_ENTRY_LOAD_EFER) && (s->cr0 & X86_CR0_PG) &&
           ((s->read(VMCS_GUEST_EFER) & X86_EFER_LME) != 0) != s->is_ia32e;
}

static const struct vmcs_rule register_rules[] = {
    {cr0, 0, "guest CR0: bits that VMX operation does not allow"},
    {paging_without_pe, 0, "guest CR0: PG is set but PE is clear"},
    {cr4, 0, "guest CR4: bits that VMX operation does not allow"},
    {cet, 0, "guest CR4: CET is set but CR0.WP is clear"},
    {debugctl, 0, "guest DEBUGCTL: reserved bits"},
    {ia32e_without_paging, 0, "guest CR0: PG is clear in IA-32e mode"},
    {ia32e_without_pae, 0, "guest CR4: PAE is clear in IA-32e mode"},
    {pcide_outside, 0, "guest CR4: PCIDE is set outside IA-32e mode"},
    {cr3, 0, "guest CR3: reserved bits"},
    {dr7, 0, "guest DR7: bits 63:32 are not zero"},
    {vmcs_not_canonical, VMCS_GUEST_SYSENTER_ESP, "guest SYSENTER_ESP: not canonical"},
    {vmcs_not_canonical, VMCS_GUEST_SYSENTER_EIP, "guest SYSENTER_EIP: not canonical"},
    {pat, 0, "guest PAT: a reserved memory type"},
    {efer_reserved, 0, "guest EFER: reserved bits"},
    {efer_lma, 0, "guest EFER: LMA is not the entry control IA-32e mode"},
    {efer_lme, 0, "guest EFER: LME is not LMA while CR0.PG is set"},
};

const struct vmcs_rule_table vmcs_register_rules = {register_rules, ARRAY_SIZE(register_rules)};

/* Descriptor tables, RIP, RFLAGS. */

static bool table_limit(const struct vmcs_state *s)
{
    return (s->read(s->about) & TABLE_LIMIT_HIGH) != 0;
}

static bool is_64_bit(const struct vmcs_state *s)
{
    return s->is_ia32e && (s->segments[X86_SEG_CS].access & X86_SEG_ATTR_L);
}

static bool rip_high(const struct vmcs_state *s)
{
    return !is_64_bit(s) && (s->read(VMCS_GUEST_RIP) & HIGH_HALF);
}

/* Not quite "canonical": the highest bit of a linear address may differ from those above it. */
static bool rip_wide(const struct vmcs_state *s)
{
    return is_64_bit(s) && !linear_is_canonical(s->read(VMCS_GUEST_RIP), s->linear_bits + 1);
}

static bool rflags_reserved(const struct vmcs_state *s)
{
    return vmcs_is_forbidden(s->rflags, X86_RFLAGS_FIXED, X86_RFLAGS_DEFINED);
}

static bool vm_in_ia32e(const struct vmcs_state *s)
{
    return s->is_virtual_8086 && s->is_ia32e;
}

static bool vm_without_pe(const struct vmcs_state *s)
{
    return s->is_virtual_8086 && !(s->cr0 & X86_CR0_PE);
}

static bool interrupts_off(const struct vmcs_state *s)
{
    return vmcs_has_event(s, VMX_EVENT_INTERRUPT) && !(s->rflags & X86_RFLAGS_IF);
}

/* Non-register state. */

static bool activity_unknown(const struct vmcs_state *s)
{
    return s->activity > ACTIVITY_LAST ||
           (s->activity != VMX_ACTIVE && !(s->limits->misc & VMX_MISC_HLT << (s->activity - VMX_HLT)));
}

static bool halted_dpl(const struct vmcs_state *s)
{
    return s->activity == VMX_HLT && (s->segments[X86_SEG_SS].access & X86_SEG_ATTR_DPL);
}

static bool inactive_blocked(const struct vmcs_state *s)
{
    return s->activity != VMX_ACTIVE && (s->blocked & BLOCKED_ONE_INSN);
}

static bool is_exception(const struct vmcs_state *s, uint32_t vector)
{
    return vmcs_has_event(s, VMX_EVENT_EXCEPTION) && vmcs_event_vector(s) == vector;
}

static bool halted_event(const struct vmcs_state *s)
{
    return s->activity == VMX_HLT && s->event != 0 && !vmcs_has_event(s, VMX_EVENT_INTERRUPT) &&
           !vmcs_has_event(s, VMX_EVENT_NMI) && !is_exception(s, X86_VECTOR_DB) && !is_exception(s, X86_VECTOR_MC) &&
           !(vmcs_has_event(s, VMX_EVENT_OTHER) && vmcs_event_vector(s) == MTF_VECTOR);
}

static bool shutdown_event(const struct vmcs_state *s)
{
    return s->activity == VMX_SHUTDOWN && s->event != 0 && !vmcs_has_event(s, VMX_EVENT_NMI) &&
           !is_exception(s, X86_VECTOR_MC);
}

static bool sipi_event(const struct vmcs_state *s)
{
    return s->activity == VMX_WAIT_FOR_SIPI && s->event != 0;
}

static bool blocked_reserved(const struct vmcs_state *s)
{
    return (s->blocked & ~BLOCKED_DEFINED) != 0;
}

static bool blocked_twice(const struct vmcs_state *s)
{
    return (s->blocked & BLOCKED_ONE_INSN) == BLOCKED_ONE_INSN;
}

static bool sti_without_if(const struct vmcs_state *s)
{
    return (s->blocked & VMX_BLOCKED_STI) && !(s->rflags & X86_RFLAGS_IF);
}

static bool interrupt_blocked(const struct vmcs_state *s)
{
    return vmcs_has_event(s, VMX_EVENT_INTERRUPT) && (s->blocked & BLOCKED_ONE_INSN);
}

static bool nmi_blocked(const struct vmcs_state *s)
{
    return vmcs_has_event(s, VMX_EVENT_NMI) && (s->blocked & s->about);
}

static bool smi_blocked(const struct vmcs_state *s)
{
    return (s->blocked & VMX_BLOCKED_SMI) != 0;
}

static bool nmi_in_nmi(const struct vmcs_state *s)
{
    return (s->pin & VMX_PIN_VIRTUAL_NMI) && nmi_blocked(s);
}

static bool enclave_mov_ss(const struct vmcs_state *s)
{
    return (s->blocked & VMX_IN_ENCLAVE) && (s->blocked & VMX_BLOCKED_MOV_SS);
}

static bool enclave_without_sgx(const struct vmcs_state *s)
{
    return (s->blocked & VMX_IN_ENCLAVE) && !s->limits->has_sgx;
}

static bool pending_reserved(const struct vmcs_state *s)
{
    return (s->read(VMCS_GUEST_PENDING_DEBUG) & PENDING_RESERVED) != 0;
}

/* A single step is pending behind an instruction whose trap was held back, if there is one at all. */
static bool is_trap_held(const struct vmcs_state *s)
{
    return (s->blocked & BLOCKED_ONE_INSN) || s->activity == VMX_HLT;
}

static bool is_single_step(const struct vmcs_state *s)
{
    return (s->rflags & X86_RFLAGS_TF) && !(s->read(VMCS_GUEST_DEBUGCTL) & X86_DEBUGCTL_BTF);
}

static bool step_missing(const struct vmcs_state *s)
{
    return is_trap_held(s) && is_single_step(s) && !(s->read(VMCS_GUEST_PENDING_DEBUG) & PENDING_BS);
}

static bool step_unwanted(const struct vmcs_state *s)
{
    return is_trap_held(s) && !is_single_step(s) && (s->read(VMCS_GUEST_PENDING_DEBUG) & PENDING_BS);
}

static bool pending_rtm(const struct vmcs_state *s)
{
    uint64_t pending = s->read(VMCS_GUEST_PENDING_DEBUG);

    return (pending & PENDING_RTM) && pending != (PENDING_RTM | PENDING_ENABLED);
}

static bool pending_without_rtm(const struct vmcs_state *s)
{
    return !s->limits->has_rtm && (s->read(VMCS_GUEST_PENDING_DEBUG) & PENDING_RTM);
}

static bool pending_rtm_mov_ss(const struct vmcs_state *s)
{
    return (s->blocked & VMX_BLOCKED_MOV_SS) && (s->read(VMCS_GUEST_PENDING_DEBUG) & PENDING_RTM);
}

/* Another value may be the address of a shadow VMCS or of one of system-management mode; we have neither. */
static bool link_pointer(const struct vmcs_state *s)
{
    return s->read(VMCS_GUEST_LINK) != LINK_NONE;
}

/* Without EPT the entries are in memory. */
static bool pdpte(const struct vmcs_state *s)
{
    uint64_t entry;

    if (s->is_ia32e || !(s->cr0 & X86_CR0_PG) || !(s->cr4 & X86_CR4_PAE) || !(s->cpu2 & VMX_CPU2_EPT)) {
        return false;
    }
    entry = s->read(s->about);
    return (entry & X86_PTE_P) && ((entry & X86_PDPTE_RESERVED) || vmcs_is_too_wide(s, entry));
}

static const struct vmcs_rule rest_rules[] = {
    {vmcs_not_canonical, VMCS_GUEST_GDTR_BASE, "guest GDTR: the base is not canonical"},
    {vmcs_not_canonical, VMCS_GUEST_IDTR_BASE, "guest IDTR: the base is not canonical"},
    {table_limit, VMCS_GUEST_GDTR_LIMIT, "guest GDTR: limit bits 31:16 are not zero"},
    {table_limit, VMCS_GUEST_IDTR_LIMIT, "guest IDTR: limit bits 31:16 are not zero"},
    {rip_high, 0, "guest RIP: bits 63:32 are not zero outside 64-bit mode"},
    {rip_wide, 0, "guest RIP: wider than a linear address"},
    {rflags_reserved, 0, "guest RFLAGS: reserved bits"},
    {vm_in_ia32e, 0, "guest RFLAGS: VM is set in IA-32e mode"},
    {vm_without_pe, 0, "guest RFLAGS: VM is set but CR0.PE is clear"},
    {interrupts_off, 0, "guest RFLAGS: IF is clear but an external interrupt is injected"},
    {activity_unknown, 0, "guest activity state: not supported"},
    {halted_dpl, 0, "guest activity state: halted but the SS DPL is not zero"},
    {inactive_blocked, 0, "guest activity state: not active while STI or MOV SS blocks"},
    {halted_event, 0, "guest activity state: halted with an event that does not end it"},
    {shutdown_event, 0, "guest activity state: shut down with an event that does not end it"},
    {sipi_event, 0, "guest activity state: waiting for SIPI with an event"},
    {blocked_reserved, 0, "guest interruptibility: reserved bits"},
    {blocked_twice, 0, "guest interruptibility: STI and MOV SS both block"},
    {sti_without_if, 0, "guest interruptibility: STI blocks but RFLAGS.IF is clear"},
    {interrupt_blocked, 0, "guest interruptibility: an external interrupt is injected while STI or MOV SS blocks"},
    {nmi_blocked, VMX_BLOCKED_MOV_SS, "guest interruptibility: an NMI is injected while MOV SS blocks"},
    {smi_blocked, 0, "guest interruptibility: SMIs are blocked outside SMM"},
    /* Processors may do without this one. */
    {nmi_blocked, VMX_BLOCKED_STI, "guest interruptibility: an NMI is injected while STI blocks"},
    {nmi_in_nmi, VMX_BLOCKED_NMI, "guest interruptibility: an NMI is injected while NMIs are blocked"},
    {enclave_mov_ss, 0, "guest interruptibility: MOV SS blocks in an enclave"},
    {enclave_without_sgx, 0, "guest interruptibility: in an enclave, which the processor does not have"},
    {pending_reserved, 0, "guest pending debug exceptions: reserved bits"},
    {step_missing, 0, "guest pending debug exceptions: BS is clear but a single step was held back"},
    {step_unwanted, 0, "guest pending debug exceptions: BS is set but no single step was held back"},
    {pending_rtm, 0, "guest pending debug exceptions: RTM goes with a breakpoint and nothing else"},
    {pending_without_rtm, 0, "guest pending debug exceptions: RTM is set, which the processor does not have"},
    {pending_rtm_mov_ss, 0, "guest pending debug exceptions: RTM is set while MOV SS blocks"},
    {link_pointer, 0, "VMCS link pointer: bits are clear"},
    {pdpte, VMCS_GUEST_PDPTE0, "guest PDPTE 0: reserved bits"},
    {pdpte, VMCS_GUEST_PDPTE0 + 2, "guest PDPTE 1: reserved bits"},
    {pdpte, VMCS_GUEST_PDPTE0 + 4, "guest PDPTE 2: reserved bits"},
    {pdpte, VMCS_GUEST_PDPTE0 + 6, "guest PDPTE 3: reserved bits"},
};

const struct vmcs_rule_table vmcs_rest_rules = {rest_rules, ARRAY_SIZE(rest_rules)};
