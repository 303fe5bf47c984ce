/* SPDX-License-Identifier: MIT */
/* What a fresh VMCB holds: intercepts and permission maps, and the state after power-on and INIT. APM vol. 2, Processor
 * Initialization State. */
#include "svm/svm.h"

#include "hv/cpu/asm.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"

#define SEGMENT_ATTRIBUTES_CODE 0x09b /* present, code, readable, accessed */
#define SEGMENT_ATTRIBUTES_DATA 0x093 /* present, data, writable, accessed */
#define SEGMENT_ATTRIBUTES_LDT  0x082
#define SEGMENT_ATTRIBUTES_TSS  0x08b
#define SEGMENT_LIMIT_RESET     0xffffu
#define RESET_CS_SELECTOR       0xf000u
#define RESET_CS_BASE           0xffff0000ull
#define RESET_RIP               0xfff0u
#define CPUID_VERSION           1u
/* So many PAUSEs, with no longer way between two, are a loop. With up to 64 ticks each that is some microseconds. */
#define PAUSE_COUNT             128u
#define PAUSE_GAP_CYCLES        512u

void vmcb_init_control(struct vp *vp)
{
    struct vmcb *vmcb = svm_of(vp)->vmcb;

    /*
     * No intercept of control-register writes: with nested paging the guest owns CR0, CR3 and CR4, and the processor
     * checks them. EFER is intercepted by the permission map, since SVME must stay set and hidden.
     */
    vmcb->intercept_misc1 = VMCB_MISC1_INTR | VMCB_MISC1_NMI | VMCB_MISC1_RDPMC | VMCB_MISC1_CPUID | VMCB_MISC1_INVD |
                            VMCB_MISC1_HLT | VMCB_MISC1_INVLPGA | VMCB_MISC1_IOIO | VMCB_MISC1_MSR |
                            VMCB_MISC1_SHUTDOWN;
    vmcb->intercept_misc2 = VMCB_MISC2_VMRUN | VMCB_MISC2_VMMCALL | VMCB_MISC2_VMLOAD | VMCB_MISC2_VMSAVE |
                            VMCB_MISC2_STGI | VMCB_MISC2_CLGI | VMCB_MISC2_SKINIT | VMCB_MISC2_MONITOR |
                            VMCB_MISC2_MWAIT | VMCB_MISC2_MWAIT_ARMED | VMCB_MISC2_XSETBV;
    if (!vp->is_root) {
        vmcb->intercept_misc2 |= VMCB_MISC2_WBINVD;
    }
    if (!vp->is_root && svm_has_pause_filter) {
        vmcb->intercept_misc1 |= VMCB_MISC1_PAUSE;
        vmcb->pause_filter_count = PAUSE_COUNT;
        vmcb->pause_filter_threshold = svm_has_pause_threshold ? PAUSE_GAP_CYCLES : 0;
    }
    vmcb->iopm_base = svm_iopm(vp->is_root).value;
    vmcb->msrpm_base = svm_msrpm(vp->is_root).value;
    vmcb->interrupt_control = VMCB_INT_MASKING;
    vmcb->nested_control = 1;
    vmcb->nested_cr3 = mem_to_spa(vp->space->root_table).value;
    svm_intercepts_changed(vp);
}

void svm_intercepts_changed(struct vp *vp)
{
    svm_of(vp)->vmcb->intercept_exceptions = vp_exception_intercepts(vp) | BACKEND_EXCEPTIONS;
}

static struct vmcb_segment segment(uint16_t selector, uint16_t attributes, uint64_t base)
{
    return (struct vmcb_segment){
        .selector = selector, .attributes = attributes, .limit = SEGMENT_LIMIT_RESET, .base = base};
}

void svm_vp_reset(struct vp *vp, bool power_on)
{
    struct svm_vp *own = svm_of(vp);
    struct vmcb *vmcb = own->vmcb;

    memset(&vp->regs, 0, sizeof(vp->regs));
    vp->regs.gpr[VP_RDX] = cpuid(CPUID_VERSION, 0).eax;
    vp->regs.rip = RESET_RIP;
    vp->regs.rflags = X86_RFLAGS_FIXED;
    vp->interrupt_shadow = false;
    vp->nmi_masked = false;
    own->awaits_iret = false;
    vmcb->intercept_misc1 &= ~VMCB_MISC1_IRET;
    vmcb->event_injection = 0;
    vmcb->exit_interrupt_info = 0;

    vmcb->es = vmcb->ss = vmcb->ds = vmcb->fs = vmcb->gs = segment(0, SEGMENT_ATTRIBUTES_DATA, 0);
    vmcb->cs = segment(RESET_CS_SELECTOR, SEGMENT_ATTRIBUTES_CODE, RESET_CS_BASE);
    vmcb->gdtr = vmcb->idtr = segment(0, 0, 0);
    vmcb->ldtr = segment(0, SEGMENT_ATTRIBUTES_LDT, 0);
    vmcb->tr = segment(0, SEGMENT_ATTRIBUTES_TSS, 0);
    vmcb->cpl = 0;
    vmcb->efer = X86_EFER_SVME;
    vmcb->cr0 =
        power_on ? X86_CR0_RESET : (vmcb->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET; /* INIT keeps the cache bits */
    vmcb->cr2 = vmcb->cr3 = vmcb->cr4 = 0;
    vmcb->dr6 = X86_DR6_RESET;
    vmcb->dr7 = X86_DR7_RESET;
    vmcb->debugctl = 0;
    if (power_on) {
        vmcb->pat = X86_PAT_RESET;
        vmcb->star = vmcb->lstar = vmcb->cstar = vmcb->sfmask = vmcb->kernel_gs_base = 0;
        vmcb->sysenter_cs = vmcb->sysenter_esp = vmcb->sysenter_eip = 0;
        own->tsc_aux = 0;
    }
    own->needs_check = true;
}
