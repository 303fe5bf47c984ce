/* SPDX-License-Identifier: MIT */
/*
 * What a fresh VMCS holds: controls and bitmaps, the host state of a processor, and the guest's state after power-on
 * and INIT. SDM vol. 3, VM-Execution Control Fields; Processor State After Reset.
 */
#include "vmx/vmx.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"
#include "hv/time/time.h"

#define SEGMENT_ACCESS_CODE 0x09bu /* present, code, readable, accessed */
#define SEGMENT_ACCESS_DATA 0x093u /* present, data, writable, accessed */
#define SEGMENT_ACCESS_LDT  0x082u
#define SEGMENT_ACCESS_TSS  0x08bu
#define SEGMENT_LIMIT_RESET 0xffffu
#define RESET_CS_SELECTOR   0xf000u
#define RESET_CS_BASE       0xffff0000ull
#define RESET_RIP           0xfff0u
#define CPUID_VERSION       1u
/* No guest runs longer than this without an exit. */
#define FENCE_HZ            250u
#define LINK_NONE           UINT64_MAX
/* A loop of PAUSEs, which take up to 140 ticks each, has no longer way between two; it exits after some microseconds.
 */
#define PAUSE_GAP_TSC       512u
#define PAUSE_WINDOW_TSC    8192u

/* The word that asks for `wanted` and for what the processor insists on, without what it does not have. */
static uint32_t adjusted(uint32_t wanted, struct vmx_allowed allowed)
{
    return (wanted | allowed.must) & allowed.may;
}

static void init_execution_controls(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);
    uint32_t cpu2 = VMX_CPU2_EPT | VMX_CPU2_VPID | VMX_CPU2_UNRESTRICTED | VMX_CPU2_RDTSCP | VMX_CPU2_INVPCID;

    /*
     * Control registers exit only for bits that are not the guest's (vmx_cr.c). EFER is intercepted by the bitmap,
     * since its mode bits and the entry controls must agree.
     */
    own->cpu_controls = adjusted(VMX_CPU_TSC_OFFSET | VMX_CPU_HLT | VMX_CPU_MWAIT | VMX_CPU_RDPMC | VMX_CPU_TPR_SHADOW |
                                     VMX_CPU_IO_BITMAPS | VMX_CPU_MSR_BITMAPS | VMX_CPU_MONITOR | VMX_CPU_SECONDARY,
                                 vmx_limits.cpu);
    if (!vp->is_root) {
        cpu2 |= VMX_CPU2_WBINVD | VMX_CPU2_PAUSE_LOOP;
    }
    /*
     * The timer starts anew at each entry and its value is never saved: a fence, not a clock. External interrupts end
     * guest mode whatever the guest's interrupt flag says, but Bochs 2.7 forgets that for an entry with the flag clear.
     */
    vmcs_write(VMCS_PIN_CONTROLS,
               adjusted(VMX_PIN_INTERRUPT | VMX_PIN_NMI | VMX_PIN_VIRTUAL_NMI | VMX_PIN_TIMER, vmx_limits.pin));
    if (vmx_limits.pin.may & VMX_PIN_TIMER) {
        uint64_t shift = vmx_limits.misc & VMX_MISC_TIMER_SHIFT_MASK;

        vmcs_write(VMCS_GUEST_TIMER, min_u64((time_tsc_hz() / FENCE_HZ) >> shift, UINT32_MAX));
    }
    vmcs_write(VMCS_CPU_CONTROLS, own->cpu_controls);
    own->cpu2_controls = adjusted(cpu2, vmx_limits.cpu2);
    vmcs_write(VMCS_CPU2_CONTROLS, own->cpu2_controls);
    if (own->cpu2_controls & VMX_CPU2_PAUSE_LOOP) {
        vmcs_write(VMCS_PAUSE_GAP, PAUSE_GAP_TSC);
        vmcs_write(VMCS_PAUSE_WINDOW, PAUSE_WINDOW_TSC);
    }
    vmcs_write(VMCS_EXIT_CONTROLS, adjusted(VMX_EXIT_SAVE_DEBUG | VMX_EXIT_HOST_64 | VMX_EXIT_LOAD_PAT |
                                                VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER,
                                            vmx_limits.exit));
    vmcs_write(VMCS_ENTRY_CONTROLS,
               adjusted(VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER, vmx_limits.entry));
}

void vmcs_init_controls(struct vp *vp)
{
    struct vmx_vp *own = vmx_of(vp);
    vmx_select(own);
    init_execution_controls(vp);
    own->eptp = mem_to_spa(vp->space->root_table).value | VMX_EPTP_WB | VMX_EPTP_LEVELS_4 |
                (vmx_gpa_format.accessed_bit != 0 ? VMX_EPTP_ACCESSED : 0);
    vmcs_write(VMCS_EPT_POINTER, own->eptp);
    vmcs_write(VMCS_IO_BITMAP_A, vmx_io_bitmap(vp->is_root, 0).value);
    vmcs_write(VMCS_IO_BITMAP_B, vmx_io_bitmap(vp->is_root, 1).value);
    vmcs_write(VMCS_MSR_BITMAP, vmx_msr_bitmap(false).value);
    vmcs_write(VMCS_VIRTUAL_APIC, mem_to_spa(own->apic_page).value);
    vmcs_write(VMCS_GUEST_LINK, LINK_NONE);
    vmcs_write(VMCS_PF_ERROR_MASK, 0);
    vmcs_write(VMCS_PF_ERROR_MATCH, 0);
    vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
    vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
    vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    vmcs_write(VMCS_ENTRY_EVENT, 0);
    vmcs_write(VMCS_TPR_THRESHOLD, 0);
    if (vmx_has_virtual_apic()) {
        vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, 0);
        for (unsigned i = 0; i < APIC_QWORDS; i++) {
            vmcs_write((enum vmcs_field)(VMCS_EOI_EXIT0 + VMCS_EOI_EXIT_STRIDE * i), 0);
        }
    }
    vmcs_write(VMCS_TSC_OFFSET, 0);
    vmcs_write(VMCS_VPID, 0);
    vmcs_write(VMCS_GUEST_RSP, 0);
    vmcs_write(VMCS_GUEST_RIP, 0);
    vmcs_write(VMCS_GUEST_RFLAGS, 0);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_CR0_MASK, VMX_CR0_HOST_OWNED);
    vmcs_write(VMCS_CR4_MASK, ~VMX_CR4_GUEST_OWNED);
    vmcs_write(VMCS_CR4_SHADOW, 0);
    vmx_intercepts_changed(vp);
}

void vmx_intercepts_changed(struct vp *vp)
{
    vmx_select(vmx_of(vp));
    vmcs_write(VMCS_EXCEPTION_BITMAP, vp_exception_intercepts(vp) | BACKEND_EXCEPTIONS);
}

void vmcs_set_host_state(void)
{
    struct cpu_host_state state;

    cpu_host_state(&state);
    vmcs_write(VMCS_HOST_CR0, read_cr0());
    vmcs_write(VMCS_HOST_CR3, read_cr3());
    vmcs_write(VMCS_HOST_CR4, read_cr4());
    vmcs_write(VMCS_HOST_EFER, rdmsr(X86_MSR_EFER));
    vmcs_write(VMCS_HOST_PAT, rdmsr(X86_MSR_PAT));
    vmcs_write(VMCS_HOST_CS_SELECTOR, CPU_SELECTOR_CODE);
    vmcs_write(VMCS_HOST_SS_SELECTOR, CPU_SELECTOR_DATA);
    vmcs_write(VMCS_HOST_DS_SELECTOR, CPU_SELECTOR_DATA);
    vmcs_write(VMCS_HOST_ES_SELECTOR, CPU_SELECTOR_DATA);
    vmcs_write(VMCS_HOST_FS_SELECTOR, 0);
    vmcs_write(VMCS_HOST_GS_SELECTOR, 0);
    vmcs_write(VMCS_HOST_TR_SELECTOR, CPU_SELECTOR_TSS);
    vmcs_write(VMCS_HOST_FS_BASE, 0);
    vmcs_write(VMCS_HOST_GS_BASE, state.gs_base);
    vmcs_write(VMCS_HOST_TR_BASE, state.tss_base);
    vmcs_write(VMCS_HOST_GDTR_BASE, state.gdt_base);
    vmcs_write(VMCS_HOST_IDTR_BASE, state.idt_base);
    vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
    vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_HOST_RIP, (uint64_t)vmx_exit_point);
}

/* Writes one segment register, of 64 KiB. */
static void set_segment(unsigned index, uint16_t selector, uint64_t base, uint32_t access)
{
    unsigned offset = index * VMCS_SEGMENT_STRIDE;

    vmcs_write(VMCS_GUEST_ES_SELECTOR + offset, selector);
    vmcs_write(VMCS_GUEST_ES_BASE + offset, base);
    vmcs_write(VMCS_GUEST_ES_LIMIT + offset, SEGMENT_LIMIT_RESET);
    vmcs_write(VMCS_GUEST_ES_ACCESS + offset, access);
}

static void reset_segments(void)
{
    for (unsigned index = VMX_SEGMENT_ES; index <= VMX_SEGMENT_GS; index++) {
        if (index == VMX_SEGMENT_CS) {
            set_segment(index, RESET_CS_SELECTOR, RESET_CS_BASE, SEGMENT_ACCESS_CODE);
        } else {
            set_segment(index, 0, 0, SEGMENT_ACCESS_DATA);
        }
    }
    set_segment(VMX_SEGMENT_LDTR, 0, 0, SEGMENT_ACCESS_LDT);
    set_segment(VMX_SEGMENT_TR, 0, 0, SEGMENT_ACCESS_TSS);
    vmcs_write(VMCS_GUEST_GDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, SEGMENT_LIMIT_RESET);
    vmcs_write(VMCS_GUEST_IDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, SEGMENT_LIMIT_RESET);
}

/* State that INIT leaves alone. */
static void reset_msrs(struct vp *vp)
{
    vmcs_write(VMCS_GUEST_PAT, X86_PAT_RESET);
    vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
    for (unsigned index = 0; index < VMX_MSR_COUNT; index++) {
        vmx_set_msr(vp, (enum vmx_msr)index, 0);
    }
    vmx_set_live(vp, VMX_LIVE_KERNEL_GS_BASE, 0);
}

void vmx_vp_reset(struct vp *vp, bool power_on)
{
    struct vmx_vp *own = vmx_of(vp);
    uint64_t cr0;

    vmx_select(own);
    /* INIT keeps the cache bits. */
    cr0 = power_on ? X86_CR0_RESET : (vmx_get_cr0(vp) & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
    memset(&vp->regs, 0, sizeof(vp->regs));
    vp->regs.gpr[VP_RDX] = cpuid(CPUID_VERSION, 0).eax;
    vp->regs.rip = RESET_RIP;
    vp->regs.rflags = X86_RFLAGS_FIXED;
    vp->unread = 0;
    own->rsp = 0;
    vmcs_write(VMCS_GUEST_RSP, 0);
    own->blocked = 0;
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vp->interrupt_shadow = false;
    vp->nmi_masked = false;

    reset_segments();
    vmx_set_efer(0);
    vmx_set_cr0(vp, cr0);
    vmx_set_cr4(0);
    vmcs_write(VMCS_GUEST_CR3, 0);
    vmcs_write(VMCS_GUEST_DR7, X86_DR7_RESET);
    vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, VMX_ACTIVE);
    vmcs_write(VMCS_ENTRY_EVENT, 0);
    vmx_set_live(vp, VMX_LIVE_CR2, 0);
    vmx_set_live(vp, VMX_LIVE_DR6, X86_DR6_RESET);
    if (power_on) {
        reset_msrs(vp);
    }
    own->needs_check = true;
}
