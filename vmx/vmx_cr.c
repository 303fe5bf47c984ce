/* SPDX-License-Identifier: MIT */
/*
 * Control registers. The guest owns all bits but a few: NE must be set, CD and NW are the machine's, and of CR4 what
 * nobody has thought about. Those are in the read shadows; a write that changes them exits and is completed here. SDM
 * vol. 3, Guest/Host Masks and Read Shadows for CR0 and CR4.
 */
#include "vmx/vmx.h"

#include "hv/lib/fmt.h"

#define CR_NUMBER_CR0 0u
#define CR_NUMBER_CR4 4u
#define CR0_HIGH_HALF 0xffffffff00000000ull
#define PDPTE_COUNT   4u

uint64_t vmx_get_cr0(struct vp *vp)
{
    return (vmcs_read(VMCS_GUEST_CR0) & ~VMX_CR0_HOST_OWNED) | (vmx_of(vp)->cr0_shadow & VMX_CR0_HOST_OWNED);
}

/* All but what VMX operation wants set: a bit that no guest has was set from outside, and the next entry fails. */
uint64_t vmx_get_cr4(void)
{
    return vmcs_read(VMCS_GUEST_CR4) & ~vmx_limits.cr4_must;
}

void vmx_set_cr0(struct vp *vp, uint64_t value)
{
    /* Unrestricted guests need neither PE nor PG. */
    uint64_t must = vmx_limits.cr0_must & ~(X86_CR0_PE | X86_CR0_PG);

    vmx_of(vp)->cr0_shadow = value;
    vmcs_write(VMCS_CR0_SHADOW, value);
    vmcs_write(VMCS_GUEST_CR0, (value & ~(X86_CR0_CD | X86_CR0_NW)) | must);
}

void vmx_set_cr4(uint64_t value)
{
    vmcs_write(VMCS_GUEST_CR4, value | vmx_limits.cr4_must);
}

void vmx_set_efer(uint64_t value)
{
    uint64_t controls = vmcs_read(VMCS_ENTRY_CONTROLS) & ~(uint64_t)VMX_ENTRY_GUEST_64;

    vmcs_write(VMCS_GUEST_EFER, value);
    vmcs_write(VMCS_ENTRY_CONTROLS, controls | (value & X86_EFER_LMA ? VMX_ENTRY_GUEST_64 : 0));
}

static void write_pdptes(const uint64_t pdptes[PDPTE_COUNT])
{
    for (unsigned i = 0; i < PDPTE_COUNT; i++) {
        vmcs_write((enum vmcs_field)(VMCS_GUEST_PDPTE0 + VMCS_PDPTE_STRIDE * i), pdptes[i]);
    }
}

void vmx_load_pdptes(struct vp *vp)
{
    uint64_t pdptes[PDPTE_COUNT];

    vmx_of(vp)->wants_pdptes = false;
    if ((vmcs_read(VMCS_GUEST_CR0) & X86_CR0_PG) && (vmcs_read(VMCS_GUEST_CR4) & X86_CR4_PAE) &&
        !(vmcs_read(VMCS_GUEST_EFER) & X86_EFER_LMA)) {
        vp_read_pdptes(vp, vmcs_read(VMCS_GUEST_CR3), pdptes);
        write_pdptes(pdptes);
    }
}

/* SDM vol. 2, MOV to/from Control Registers, for the bits that a write to CR0 may not combine. */
static bool cr0_is_valid(uint64_t value, uint64_t efer, uint64_t cr4)
{
    bool enables_long_mode = (value & X86_CR0_PG) && (efer & X86_EFER_LME);

    if ((value & CR0_HIGH_HALF) || ((value & X86_CR0_PG) && !(value & X86_CR0_PE)) ||
        ((value & X86_CR0_NW) && !(value & X86_CR0_CD))) {
        return false;
    }
    if (!(value & X86_CR0_PG) && (cr4 & X86_CR4_PCIDE)) {
        return false;
    }
    return !enables_long_mode || (cr4 & X86_CR4_PAE);
}

/* With PAE paging a write to CR0 loads the page-directory-pointer entries; false: one has a reserved bit. SDM vol. 3,
 * PDPTE Registers. */
static bool reload_pdptes(struct vp *vp)
{
    const uint64_t reserved = X86_PDPTE_RESERVED | ~((UINT64_C(1) << vmx_limits.physical_bits) - 1);
    uint64_t pdptes[PDPTE_COUNT];

    vp_read_pdptes(vp, vmcs_read(VMCS_GUEST_CR3), pdptes);
    for (unsigned i = 0; i < PDPTE_COUNT; i++) {
        if ((pdptes[i] & X86_PTE_P) && (pdptes[i] & reserved)) {
            return false;
        }
    }
    write_pdptes(pdptes);
    return true;
}

/* The guest's MOV to CR0 that the processor left to us. False: #GP. */
static bool write_cr0_for_guest(struct vp *vp, uint64_t value)
{
    uint64_t old = vmx_get_cr0(vp);
    uint64_t efer = vmcs_read(VMCS_GUEST_EFER);
    uint64_t cr4 = vmx_get_cr4();
    uint64_t changed = old ^ value;

    if (!cr0_is_valid(value, efer, cr4)) {
        return false;
    }
    if ((changed & X86_CR0_PG) && (efer & X86_EFER_LME)) {
        bool is_code_64 = (vmcs_read(VMCS_GUEST_CS_ACCESS) & X86_SEG_ATTR_L) != 0;

        if (is_code_64) {
            return false; /* neither entered nor left from 64-bit code */
        }
        vmx_set_efer(value & X86_CR0_PG ? efer | X86_EFER_LMA : efer & ~X86_EFER_LMA);
    }
    if ((value & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & X86_EFER_LME) && !reload_pdptes(vp)) {
        return false;
    }
    vmx_set_cr0(vp, value | X86_CR0_ET);
    if ((changed & (X86_CR0_PG | X86_CR0_WP)) != 0) {
        vmx_flush(vp, VP_FLUSH_ALL);
    }
    return true;
}

enum exit_action vmx_handle_cr(struct vp *vp, uint8_t insn_length)
{
    uint64_t info = vmcs_read(VMCS_EXIT_QUALIFICATION);
    uint32_t number = (uint32_t)info & VMX_CR_NUMBER_MASK;
    uint32_t source = ((uint32_t)info & VMX_CR_GPR_MASK) >> VMX_CR_GPR_SHIFT;
    char what[64];

    if ((info & VMX_CR_TYPE_MASK) >> VMX_CR_TYPE_SHIFT != VMX_CR_TYPE_TO ||
        (number != CR_NUMBER_CR0 && number != CR_NUMBER_CR4)) {
        fmt_snprintf(what, sizeof(what), "control-register access %lx", info);
        return exit_unexpected(vp, VMX_EXIT_CR_ACCESS, what);
    }
    /* Of CR4 only writes exit that set a bit which no guest has. */
    vp_read_state(vp, source == VP_RSP ? VP_UNREAD_RSP : 0);
    if (number == CR_NUMBER_CR4 || !write_cr0_for_guest(vp, vp->regs.gpr[source])) {
        vp_inject_gp(vp);
    } else {
        vp_advance(vp, insn_length);
    }
    return EXIT_RESUME;
}
