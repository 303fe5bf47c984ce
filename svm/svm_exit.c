/* SPDX-License-Identifier: MIT */
/* Decodes the exit in the VMCB and hands it to common code; nothing is decided here that VT-x would decide the same
 * way. */
#include "svm/svm.h"

#include "hv/cpu/asm.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/lib/x86/x86_regs.h"

#define CR8_NUMBER        8u
#define CR8_PRIORITY_MASK 0xfull
#define CR8_TPR_SHIFT     4

/* Length of the exiting instruction where the processor says or svm_fast_exit() has found out, else 0. */
static uint8_t insn_length(struct vp *vp)
{
    uint8_t told = svm_told_length(svm_of(vp)->vmcb);

    return told != 0 ? told : svm_of(vp)->insn_length;
}

static NOINLINE enum exit_action handle_io(struct vp *vp, const struct vmcb *vmcb)
{
    uint64_t info = vmcb->exit_info1;
    struct exit_io io = {
        .port = (uint16_t)(info >> VMCB_IO_PORT_SHIFT),
        .size = (uint8_t)((info & VMCB_IO_SIZE_MASK) >> VMCB_IO_SIZE_SHIFT),
        .is_in = (info & VMCB_IO_IN) != 0,
        .is_string = (info & VMCB_IO_STRING) != 0,
        .has_rep = (info & VMCB_IO_REP) != 0,
        /* EXITINFO2 holds the next instruction pointer on every AMD-V processor. */
        .insn_length = (uint8_t)((vmcb->exit_info2 - vp->regs.rip) & X86_INSN_LENGTH_MAX),
    };

    return exit_io(vp, &io);
}

static NOINLINE enum exit_action handle_nested_fault(struct vp *vp, const struct vmcb *vmcb)
{
    struct exit_memory access = {
        .gpa = gpa(vmcb->exit_info2),
        .is_write = (vmcb->exit_info1 & VMCB_NPF_WRITE) != 0,
        .is_execute = (vmcb->exit_info1 & VMCB_NPF_EXECUTE) != 0,
        .in_page_walk = (vmcb->exit_info1 & VMCB_NPF_PAGE_WALK) != 0,
    };

    if (svm_has_decode_assist && vmcb->fetched_byte_count <= sizeof(vmcb->fetched_bytes)) {
        access.byte_count = vmcb->fetched_byte_count;
        memcpy(access.bytes, vmcb->fetched_bytes, access.byte_count);
    }
    return exit_memory(vp, &access);
}

static NOINLINE enum exit_action handle_exception(struct vp *vp, const struct vmcb *vmcb)
{
    uint8_t vector = (uint8_t)(vmcb->exit_code - VMCB_EXIT_EXCEPTION_FIRST);
    bool has_error = vector == X86_VECTOR_DF || (vector >= X86_VECTOR_TS && vector <= X86_VECTOR_PF) ||
                     vector == X86_VECTOR_AC || vector == X86_VECTOR_CP;
    uint64_t parameter = vector == X86_VECTOR_PF ? vmcb->exit_info2 : vector == X86_VECTOR_DB ? vmcb->dr6 : 0;

    return exit_exception(vp, vector, has_error, (uint32_t)vmcb->exit_info1, parameter);
}

static NOINLINE enum exit_action handle_interrupt(struct vp *vp)
{
    irq_window();
    return exit_interrupt(vp);
}

/* MOV to CR8 while an interrupt waits for a lower task priority (svm_put_events()). */
static NOINLINE enum exit_action handle_cr8_write(struct vp *vp)
{
    uint8_t bytes[X86_INSN_LENGTH_MAX];
    size_t count = vp_fetch_instruction(vp, bytes, sizeof(bytes));
    struct vp_code_mode mode;
    struct x86_insn insn;
    uint64_t value;

    svm_get_code_mode(vp, &mode);
    if (x86_decode(&insn, bytes, count, vp_decode_mode(&mode)) != X86_DECODE_OK || insn.op != X86_OP_MOV_TO_CR ||
        insn.reg != CR8_NUMBER) {
        return EXIT_RESUME; /* changed by another VP since */
    }
    value = vp->regs.gpr[insn.rm];
    if (value & ~CR8_PRIORITY_MASK) {
        vp_inject_gp(vp);
        return EXIT_RESUME;
    }
    apic_set_tpr(vp, (uint8_t)(value << CR8_TPR_SHIFT));
    vp_advance(vp, insn.length);
    return EXIT_RESUME;
}

static enum exit_action handle_iret(struct vp *vp, struct vmcb *vmcb)
{
    struct svm_vp *own = svm_of(vp);

    vmcb->intercept_misc1 &= ~VMCB_MISC1_IRET;
    own->awaits_iret = true;
    own->iret_rip = vp->regs.rip;
    return EXIT_RESUME;
}

static NOINLINE enum exit_action unexpected(struct vp *vp, const struct vmcb *vmcb)
{
    char what[64];

    fmt_snprintf(what, sizeof(what), "AMD-V exit %lx, info %lx %lx", vmcb->exit_code, vmcb->exit_info1,
                 vmcb->exit_info2);
    return exit_unexpected(vp, vmcb->exit_code, what);
}

enum exit_action svm_handle_exit(struct vp *vp)
{
    struct vmcb *vmcb = svm_of(vp)->vmcb;
    uint8_t length = insn_length(vp);

    if (svm_of(vp)->is_over) {
        svm_of(vp)->is_over = false;
        return EXIT_RESUME;
    }
    switch (vmcb->exit_code) {
    case VMCB_EXIT_INTR:
    case VMCB_EXIT_NMI:
    case VMCB_EXIT_SMI:
        return handle_interrupt(vp);
    case VMCB_EXIT_VINTR:
        return EXIT_RESUME; /* the window is open: svm_prepare_events() injects */
    case VMCB_EXIT_CPUID:
        return exit_cpuid(vp, length);
    case VMCB_EXIT_VMMCALL:
        return exit_hypercall(vp, length);
    case VMCB_EXIT_MSR:
        return vmcb->exit_info1 & 1 ? exit_wrmsr(vp, length) : exit_rdmsr(vp, length);
    case VMCB_EXIT_IOIO:
        return handle_io(vp, vmcb);
    case VMCB_EXIT_NPF:
        return handle_nested_fault(vp, vmcb);
    case VMCB_EXIT_HLT:
        return exit_halt(vp, length);
    case VMCB_EXIT_PAUSE:
        return exit_pause(vp, length);
    case VMCB_EXIT_XSETBV:
        return exit_xsetbv(vp, length);
    case VMCB_EXIT_INVD:
    case VMCB_EXIT_WBINVD:
        return exit_cache_flush(vp, length);
    case VMCB_EXIT_CR8_WRITE:
        return handle_cr8_write(vp);
    case VMCB_EXIT_IRET:
        return handle_iret(vp, vmcb);
    case VMCB_EXIT_SHUTDOWN:
        return exit_shutdown(vp);
    case VMCB_EXIT_RDPMC:
        vp_inject_gp(vp);
        return EXIT_RESUME;
    case VMCB_EXIT_VMRUN:
    case VMCB_EXIT_VMLOAD:
    case VMCB_EXIT_VMSAVE:
    case VMCB_EXIT_STGI:
    case VMCB_EXIT_CLGI:
    case VMCB_EXIT_SKINIT:
    case VMCB_EXIT_INVLPGA:
    case VMCB_EXIT_MONITOR:
    case VMCB_EXIT_MWAIT:
    case VMCB_EXIT_MWAIT_ARMED:
        return exit_undefined(vp);
    default:
        if (vmcb->exit_code >= VMCB_EXIT_EXCEPTION_FIRST && vmcb->exit_code <= VMCB_EXIT_EXCEPTION_LAST) {
            return handle_exception(vp, vmcb);
        }
        return unexpected(vp, vmcb);
    }
}
