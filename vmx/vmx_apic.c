/* SPDX-License-Identifier: MIT */
/*
 * What the processor keeps of a VP's APIC in guest mode, in the virtual-APIC page: the task priority always; with
 * virtual-interrupt delivery also what is in service, and with that EOIs and interrupts that the guest sends itself.
 * Between entries all of it is common code's, and common code alone delivers what others send: it lends the APIC for an
 * entry only while nothing waits in it. What comes then kicks the processor and takes its way as without all this:
 * windows, the threshold, EOIs that exit. SDM vol. 3, APIC Virtualization and Virtual Interrupts.
 */
#include "vmx/vmx.h"

#include "hv/lib/fmt.h"

#define CONTROLS        (VMX_CPU2_X2APIC | VMX_CPU2_APIC_REGISTERS | VMX_CPU2_INTERRUPTS)
#define REGISTER_STRIDE 4u /* registers are 16 bytes apart */
#define BITS            32u

bool vmx_has_virtual_apic(void)
{
    return (vmx_limits.cpu2.may & CONTROLS) == CONTROLS;
}

static uint32_t *register_of(struct vmx_vp *own, enum apic_register offset)
{
    return &own->apic_page[offset / sizeof(uint32_t)];
}

static bool is_lent(const struct vmx_vp *own)
{
    return (own->cpu2_controls & VMX_CPU2_INTERRUPTS) != 0;
}

static void set_lent(struct vmx_vp *own, bool is_to_be_lent)
{
    if (is_lent(own) != is_to_be_lent) {
        own->cpu2_controls ^= CONTROLS;
        vmcs_write(VMCS_CPU2_CONTROLS, own->cpu2_controls);
        vmcs_write(VMCS_MSR_BITMAP, vmx_msr_bitmap(is_to_be_lent).value);
    }
}

/* Replaces `highest` if the word, of vectors from 32 * index on, has a higher one. Words come in ascending order. */
static void find_highest(uint32_t word, uint32_t index, uint32_t *highest)
{
    if (word != 0) {
        *highest = index * BITS + BITS - 1 - (uint32_t)__builtin_clz(word);
    }
}

static void load_eoi_exits(struct vp *vp, struct vmx_vp *own)
{
    uint64_t watched[APIC_QWORDS];

    apic_watched_eois(vp, watched);
    for (uint32_t i = 0; i < APIC_QWORDS; i++) {
        if (watched[i] != own->eoi_exits[i]) {
            own->eoi_exits[i] = watched[i];
            vmcs_write((enum vmcs_field)(VMCS_EOI_EXIT0 + VMCS_EOI_EXIT_STRIDE * i), watched[i]);
        }
    }
}

/* Nothing is requested: the page's IRR is empty but in guest mode. */
static void load_in_service(struct vp *vp, struct vmx_vp *own)
{
    uint32_t *in_service = register_of(own, APIC_REG_ISR);
    uint32_t highest = 0;

    for (uint32_t i = 0; i < APIC_WORDS; i++) {
        in_service[i * REGISTER_STRIDE] = vp->apic.isr[i];
        find_highest(vp->apic.isr[i], i, &highest);
    }
    if (own->interrupt_status != highest << VMX_INTERRUPT_STATUS_SVI_SHIFT) {
        own->interrupt_status = highest << VMX_INTERRUPT_STATUS_SVI_SHIFT;
        vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, own->interrupt_status);
    }
}

/* Out of line, like its counterpart: other entries and exits shall not pay for it. */
static NOINLINE void lend(struct vp *vp, struct vmx_vp *own)
{
    load_eoi_exits(vp, own);
    load_in_service(vp, own);
}

void vmx_load_apic(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);

    *register_of(own, APIC_REG_TPR) = apic_tpr(vp);
    if (!vmx_has_virtual_apic()) {
        return;
    }
    set_lent(own, apic_can_be_lent(vp));
    if (is_lent(own)) {
        lend(vp, own);
    }
}

static NOINLINE void take_back(struct vp *vp, struct vmx_vp *own)
{
    uint32_t *in_service = register_of(own, APIC_REG_ISR);
    uint32_t *requested = register_of(own, APIC_REG_IRR);
    uint32_t highest_in_service = 0;
    uint32_t highest_requested = 0;

    for (uint32_t i = 0; i < APIC_WORDS; i++, in_service += REGISTER_STRIDE, requested += REGISTER_STRIDE) {
        find_highest(*in_service, i, &highest_in_service);
        find_highest(*requested, i, &highest_requested);
        /* Mostly nothing has changed. */
        if (*requested != 0 || *in_service != vp->apic.isr[i]) {
            apic_take_back(vp, i, *in_service, *requested);
            *requested = 0;
        }
    }
    /* What the processor has made of the VMCS's field follows from the words: no need to read it. */
    own->interrupt_status = highest_in_service << VMX_INTERRUPT_STATUS_SVI_SHIFT | highest_requested;
}

void vmx_store_apic(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);
    uint8_t tpr = (uint8_t)*register_of(own, APIC_REG_TPR);

    if (tpr != apic_tpr(vp)) {
        apic_set_tpr(vp, tpr);
    }
    if (is_lent(own)) {
        take_back(vp, own);
    }
}

enum exit_action vmx_handle_virtual_eoi(struct vp *vp)
{
    apic_ended(vp, (uint8_t)vmcs_read(VMCS_EXIT_QUALIFICATION));
    return EXIT_RESUME;
}

enum exit_action vmx_handle_apic_write(struct vp *vp)
{
    uint64_t offset = vmcs_read(VMCS_EXIT_QUALIFICATION);
    char what[64];

    /* Of what does not exit as WRMSR, only self-IPIs with vectors that no APIC can deliver. */
    if (offset == APIC_REG_SELF_IPI &&
        apic_msr_write(vp, X86_MSR_X2APIC_SELF_IPI, *register_of(vmx_of(vp), APIC_REG_SELF_IPI))) {
        return EXIT_RESUME;
    }
    fmt_snprintf(what, sizeof(what), "write to APIC register %lx", offset);
    return exit_unexpected(vp, VMX_EXIT_APIC_WRITE, what);
}
