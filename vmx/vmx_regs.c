/* SPDX-License-Identifier: MIT */
/*
 * Registers by ABI name that live in the VMCS or beside it. Values are stored as given (a client sets registers in any
 * order); what the processor would refuse is found by vmcs_check() before the next entry.
 */
#include "vmx/vmx.h"

#include "hv/cpu/asm.h"

/* Access rights that the ABI has too: the descriptor's bytes 5 and 6. */
#define ACCESS_ABI_MASK 0xf0ffu

/* A register that is a VMCS field. */
struct field_register {
    uint32_t name;
    enum vmcs_field field;
};

static const struct field_register fields[] = {
    {HvX64RegisterCr3, VMCS_GUEST_CR3},
    {HvX64RegisterDr7, VMCS_GUEST_DR7},
    {HvX64RegisterEfer, VMCS_GUEST_EFER},
    {HvX64RegisterPat, VMCS_GUEST_PAT},
    {HvX64RegisterSysenterCs, VMCS_GUEST_SYSENTER_CS},
    {HvX64RegisterSysenterEip, VMCS_GUEST_SYSENTER_EIP},
    {HvX64RegisterSysenterEsp, VMCS_GUEST_SYSENTER_ESP},
    {HvX64RegisterDebugCtl, VMCS_GUEST_DEBUGCTL},
};

static const struct field_register *field_of(uint32_t name)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (fields[i].name == name) {
            return &fields[i];
        }
    }
    return NULL;
}

/* Index in vmx_vp.msrs of a register, or VMX_MSR_COUNT. */
static enum vmx_msr msr_of(uint32_t name)
{
    switch (name) {
    case HvX64RegisterStar:
        return VMX_MSR_STAR;
    case HvX64RegisterLstar:
        return VMX_MSR_LSTAR;
    case HvX64RegisterCstar:
        return VMX_MSR_CSTAR;
    case HvX64RegisterSfmask:
        return VMX_MSR_SFMASK;
    case HvX64RegisterTscAux:
        return VMX_MSR_TSC_AUX;
    default:
        return VMX_MSR_COUNT;
    }
}

/* Index in vmx_vp.live of a register, or VMX_LIVE_COUNT. */
static enum vmx_live live_of(uint32_t name)
{
    switch (name) {
    case HvX64RegisterCr2:
        return VMX_LIVE_CR2;
    case HvX64RegisterDr6:
        return VMX_LIVE_DR6;
    case HvX64RegisterKernelGsBase:
        return VMX_LIVE_KERNEL_GS_BASE;
    default:
        return VMX_LIVE_COUNT;
    }
}

static bool is_segment(uint32_t name)
{
    return name >= HvX64RegisterEs && name <= HvX64RegisterTr;
}

/* The field of a segment register; `first` is the same of ES. The ABI numbers them as the VMCS does. */
static enum vmcs_field segment_field(enum vmcs_field first, uint32_t name)
{
    return (enum vmcs_field)(first + (name - HvX64RegisterEs) * VMCS_SEGMENT_STRIDE);
}

static void get_segment(uint32_t name, struct hv_x64_segment_register *segment)
{
    uint32_t access = (uint32_t)vmcs_read(segment_field(VMCS_GUEST_ES_ACCESS, name));

    segment->base = vmcs_read(segment_field(VMCS_GUEST_ES_BASE, name));
    segment->limit = (uint32_t)vmcs_read(segment_field(VMCS_GUEST_ES_LIMIT, name));
    segment->selector = (uint16_t)vmcs_read(segment_field(VMCS_GUEST_ES_SELECTOR, name));
    segment->attributes = (uint16_t)(access & ACCESS_ABI_MASK);
    if (access & VMX_SEGMENT_UNUSABLE) {
        segment->attributes &= (uint16_t)~X86_SEG_ATTR_P;
    }
}

static void set_segment(uint32_t name, const struct hv_x64_segment_register *segment)
{
    uint32_t access = segment->attributes & ACCESS_ABI_MASK;

    if (!(access & X86_SEG_ATTR_P)) {
        access |= VMX_SEGMENT_UNUSABLE;
    }
    vmcs_write(segment_field(VMCS_GUEST_ES_BASE, name), segment->base);
    vmcs_write(segment_field(VMCS_GUEST_ES_LIMIT, name), segment->limit);
    vmcs_write(segment_field(VMCS_GUEST_ES_SELECTOR, name), segment->selector);
    vmcs_write(segment_field(VMCS_GUEST_ES_ACCESS, name), access);
}

static void get_table(uint32_t name, struct hv_x64_table_register *table)
{
    bool is_gdtr = name == HvX64RegisterGdtr;

    table->base = vmcs_read(is_gdtr ? VMCS_GUEST_GDTR_BASE : VMCS_GUEST_IDTR_BASE);
    table->limit = (uint16_t)vmcs_read(is_gdtr ? VMCS_GUEST_GDTR_LIMIT : VMCS_GUEST_IDTR_LIMIT);
}

static void set_table(uint32_t name, const struct hv_x64_table_register *table)
{
    bool is_gdtr = name == HvX64RegisterGdtr;

    vmcs_write(is_gdtr ? VMCS_GUEST_GDTR_BASE : VMCS_GUEST_IDTR_BASE, table->base);
    vmcs_write(is_gdtr ? VMCS_GUEST_GDTR_LIMIT : VMCS_GUEST_IDTR_LIMIT, table->limit);
}

hv_status_t vmx_get_register(struct vp *vp, uint32_t name, union hv_register_value *value)
{
    struct vmx_vp *own = vmx_of(vp);
    const struct field_register *field = field_of(name);

    *value = (union hv_register_value){0};
    vmx_select(own);
    if (field != NULL) {
        value->reg64 = vmcs_read(field->field);
    } else if (is_segment(name)) {
        get_segment(name, &value->segment);
    } else if (name == HvX64RegisterGdtr || name == HvX64RegisterIdtr) {
        get_table(name, &value->table);
    } else if (msr_of(name) != VMX_MSR_COUNT) {
        value->reg64 = own->msrs[msr_of(name)];
    } else if (live_of(name) != VMX_LIVE_COUNT) {
        value->reg64 = vmx_get_live(vp, live_of(name));
    } else if (name == HvX64RegisterCr0) {
        value->reg64 = vmx_get_cr0(vp);
    } else if (name == HvX64RegisterCr4) {
        value->reg64 = vmx_get_cr4();
    } else if (name == HvX64RegisterTsc) {
        value->reg64 = vmx_guest_tsc(vp);
    } else if (name == HvX64RegisterTscVirtualOffset) {
        value->reg64 = own->tsc_offset;
    } else {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

/* After paging registers were set from outside, the processor has not seen the load that would have flushed this. */
static void paging_changed(struct vp *vp, enum vp_flush_scope scope)
{
    vmx_of(vp)->wants_pdptes = true;
    vmx_flush(vp, scope);
}

static void set_tsc_offset(struct vmx_vp *own, uint64_t offset)
{
    own->tsc_offset = offset;
    vmcs_write(VMCS_TSC_OFFSET, offset);
}

/* Registers that are loaded by instructions, which fault on what no guest could have put there. */
static bool is_loadable(uint32_t name, uint64_t value)
{
    switch (name) {
    case HvX64RegisterLstar:
    case HvX64RegisterCstar:
    case HvX64RegisterKernelGsBase:
        return linear_is_canonical(value, LINEAR_BITS_4_LEVEL);
    case HvX64RegisterSfmask:
    case HvX64RegisterTscAux:
    case HvX64RegisterDr6:
        return value <= UINT32_MAX;
    default:
        return true;
    }
}

/* Registers that are no part of what an entry checks. False: it is another one. */
static bool set_unchecked(struct vp *vp, uint32_t name, uint64_t value)
{
    if (msr_of(name) != VMX_MSR_COUNT) {
        vmx_set_msr(vp, msr_of(name), value);
    } else if (live_of(name) != VMX_LIVE_COUNT) {
        vmx_set_live(vp, live_of(name), value);
    } else if (name == HvX64RegisterTsc) {
        set_tsc_offset(vmx_of(vp), value - rdtsc());
    } else if (name == HvX64RegisterTscVirtualOffset) {
        set_tsc_offset(vmx_of(vp), value);
    } else if (name == HvX64RegisterSysenterCs) {
        vmcs_write(VMCS_GUEST_SYSENTER_CS, value);
    } else {
        return false;
    }
    return true;
}

hv_status_t vmx_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    struct vmx_vp *own = vmx_of(vp);
    const struct field_register *field = field_of(name);

    if (!is_loadable(name, value->reg64)) {
        return HV_STATUS_INVALID_REGISTER_VALUE;
    }
    vmx_select(own);
    if (set_unchecked(vp, name, value->reg64)) {
        return HV_STATUS_SUCCESS;
    }
    own->needs_check = true;
    if (name == HvX64RegisterEfer) {
        vmx_set_efer(value->reg64);
        paging_changed(vp, VP_FLUSH_ALL);
    } else if (field != NULL) {
        vmcs_write(field->field, value->reg64);
        if (name == HvX64RegisterCr3) {
            paging_changed(vp, VP_FLUSH_NON_GLOBAL);
        }
    } else if (is_segment(name)) {
        set_segment(name, &value->segment);
    } else if (name == HvX64RegisterGdtr || name == HvX64RegisterIdtr) {
        set_table(name, &value->table);
    } else if (name == HvX64RegisterCr0) {
        vmx_set_cr0(vp, value->reg64);
        paging_changed(vp, VP_FLUSH_ALL);
    } else if (name == HvX64RegisterCr4) {
        vmx_set_cr4(value->reg64);
        paging_changed(vp, VP_FLUSH_ALL);
    } else {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

void vmx_get_paging(struct vp *vp, struct vp_paging_state *state)
{
    vmx_select(vmx_of(vp));
    *state = (struct vp_paging_state){
        .cr0 = vmx_get_cr0(vp),
        .cr3 = vmcs_read(VMCS_GUEST_CR3),
        .cr4 = vmx_get_cr4(),
        .efer = vmcs_read(VMCS_GUEST_EFER),
        .rflags = vp->regs.rflags,
    };
    if (state->cr0 & X86_CR0_PE) {
        uint64_t access = vmcs_read(VMCS_GUEST_SS_ACCESS);

        state->cpl = (uint8_t)((access & X86_SEG_ATTR_DPL) >> X86_SEG_ATTR_DPL_SHIFT);
    }
    if ((state->cr0 & X86_CR0_PG) && (state->cr4 & X86_CR4_PAE) && !(state->efer & X86_EFER_LMA) &&
        !vmx_of(vp)->wants_pdptes) {
        state->has_pdptes = true;
        for (unsigned i = 0; i < ARRAY_SIZE(state->pae_pdpte); i++) {
            state->pae_pdpte[i] = vmcs_read((enum vmcs_field)(VMCS_GUEST_PDPTE0 + VMCS_PDPTE_STRIDE * i));
        }
    }
}

void vmx_get_code_mode(struct vp *vp, struct vp_code_mode *mode)
{
    bool is_virtual_8086 = (vp->regs.rflags & X86_RFLAGS_VM) != 0;
    bool is_ia32e;

    vmx_select(vmx_of(vp));
    is_ia32e = (vmcs_read(VMCS_GUEST_EFER) & X86_EFER_LMA) != 0;
    mode->is_protected = is_ia32e || (!is_virtual_8086 && (vmcs_read(VMCS_GUEST_CR0) & X86_CR0_PE));
    mode->bits = 16;
    mode->cpl = is_virtual_8086 ? 3 : 0;
    if (mode->is_protected) {
        uint64_t code = vmcs_read(VMCS_GUEST_CS_ACCESS);
        uint64_t stack = vmcs_read(VMCS_GUEST_SS_ACCESS);

        mode->bits = is_ia32e && (code & X86_SEG_ATTR_L) ? 64 : code & X86_SEG_ATTR_DB ? 32 : 16;
        mode->cpl = (uint8_t)((stack & X86_SEG_ATTR_DPL) >> X86_SEG_ATTR_DPL_SHIFT);
    }
}

bool vmx_is_code_state(struct vp *vp, const struct vp_code_state *state)
{
    vmx_select(vmx_of(vp));
    return vmcs_read(VMCS_GUEST_CR3) == state->cr3 && vmcs_read(VMCS_GUEST_EFER) == state->efer &&
           (vmcs_read(VMCS_GUEST_CS_ACCESS) & X86_SEG_ATTR_L) != 0 &&
           (vmcs_read(VMCS_GUEST_SS_ACCESS) & X86_SEG_ATTR_DPL) >> X86_SEG_ATTR_DPL_SHIFT == state->cpl &&
           vmx_get_cr0(vp) == state->cr0 && vmx_get_cr4() == state->cr4;
}

uint64_t vmx_guest_tsc(struct vp *vp)
{
    return rdtsc() + vmx_of(vp)->tsc_offset;
}
