/* SPDX-License-Identifier: MIT */
/* Decodes the exit in the current VMCS and hands it to common code; nothing is decided here that AMD-V would decide the
 * same way. SDM vol. 3, VM Exits. */
#include "vmx/vmx.h"

#include "hv/cpu/asm.h"
#include "hv/lib/fmt.h"

/* Length of the exiting instruction; valid for exits that an instruction caused. */
static uint8_t insn_length(const struct vp *vp)
{
    const struct vmx_vp *own = vp->backend;

    return own->is_kept ? own->insn_length : (uint8_t)vmcs_read(VMCS_EXIT_INSN_LENGTH);
}

/* An IRET has ended the blocking of NMIs, has faulted, and comes again. */
static void block_nmis_again(struct vp *vp)
{
    vp_read_state(vp, VP_UNREAD_BLOCKING);
    vp->nmi_masked = true;
}

static NOINLINE enum exit_action handle_io(struct vp *vp)
{
    uint64_t info = vmcs_read(VMCS_EXIT_QUALIFICATION);
    struct exit_io io = {
        .port = (uint16_t)(info >> VMX_IO_PORT_SHIFT),
        .size = (uint8_t)((info & VMX_IO_SIZE_MASK) + 1),
        .is_in = (info & VMX_IO_IN) != 0,
        .is_string = (info & VMX_IO_STRING) != 0,
        .has_rep = (info & VMX_IO_REP) != 0,
        .insn_length = insn_length(vp),
    };

    return exit_io(vp, &io);
}

static NOINLINE enum exit_action handle_ept_violation(struct vp *vp)
{
    uint64_t info = vmcs_read(VMCS_EXIT_QUALIFICATION);
    struct exit_memory access = {
        .gpa = gpa(vmcs_read(VMCS_EXIT_GPA)),
        .gva_valid = (info & VMX_EPT_GVA_VALID) != 0,
        .is_write = (info & VMX_EPT_WRITE) != 0,
        .is_execute = (info & VMX_EPT_FETCH) != 0,
        .in_page_walk = (info & VMX_EPT_GVA_VALID) != 0 && (info & VMX_EPT_GVA_TRANSLATED) == 0,
    };

    if (access.gva_valid) {
        access.gva = vmcs_read(VMCS_EXIT_GVA);
    }
    if ((info & VMX_EPT_NMI_UNBLOCK) && !(vmcs_read(VMCS_VECTORING_EVENT) & VMX_EVENT_VALID)) {
        block_nmis_again(vp);
    }
    vmx_collect_event(vp);
    return exit_memory(vp, &access);
}

/*
 * Before the exit of a debug exception the processor changes neither DR6 nor DR7; the qualification says what it has
 * seen. Done as the delivery would: the breakpoints are this exception's, DR6 keeps the rest until software clears it,
 * and the guard of the debug registers ends. Returns DR6. SDM vol. 3, Debug Status Register; Basic VM-Exit Information.
 */
static uint64_t update_debug_registers(struct vp *vp)
{
    uint64_t seen = vmcs_read(VMCS_EXIT_QUALIFICATION) & (X86_DR6_BREAKPOINTS | X86_DR6_BD | X86_DR6_BS);
    uint64_t dr6 = (vmx_get_live(vp, VMX_LIVE_DR6) & ~X86_DR6_BREAKPOINTS) | seen;
    uint64_t dr7 = vmcs_read(VMCS_GUEST_DR7);

    vmx_set_live(vp, VMX_LIVE_DR6, dr6);
    if (dr7 & X86_DR7_GD) {
        vmcs_write(VMCS_GUEST_DR7, dr7 & ~X86_DR7_GD);
    }
    return dr6;
}

static enum exit_action handle_exception(struct vp *vp, uint32_t info)
{
    uint8_t vector = (uint8_t)(info & VMX_EVENT_VECTOR_MASK);
    bool has_error = (info & VMX_EVENT_ERROR_VALID) != 0;
    uint32_t error = has_error ? (uint32_t)vmcs_read(VMCS_EXIT_EVENT_ERROR) : 0;
    uint64_t parameter = 0;

    if ((info & VMX_EVENT_NMI_UNBLOCK) && !(vmcs_read(VMCS_VECTORING_EVENT) & VMX_EVENT_VALID)) {
        block_nmis_again(vp);
    }
    if (vector == X86_VECTOR_PF) {
        parameter = vmcs_read(VMCS_EXIT_QUALIFICATION);
    } else if (vector == X86_VECTOR_DB) {
        parameter = update_debug_registers(vp);
        if ((info & VMX_EVENT_TYPE_MASK) >> VMX_EVENT_TYPE_SHIFT == VMX_EVENT_PRIVILEGED_SOFTWARE) {
            vp_advance(vp, insn_length(vp)); /* INT1 is a trap */
        }
    }
    vmx_collect_event(vp);
    return exit_exception(vp, vector, has_error, error, parameter);
}

static NOINLINE enum exit_action handle_exception_or_nmi(struct vp *vp)
{
    uint32_t info = (uint32_t)vmcs_read(VMCS_EXIT_EVENT);

    if ((info & VMX_EVENT_TYPE_MASK) >> VMX_EVENT_TYPE_SHIFT == VMX_EVENT_NMI) {
        /* The exit has taken it and blocks further ones until the handler's IRET. */
        call_nmi_handler();
        return exit_interrupt(vp);
    }
    return handle_exception(vp, info);
}

static enum exit_action unexpected(struct vp *vp, uint32_t reason, const char *name)
{
    char what[96];

    fmt_snprintf(what, sizeof(what), "VT-x exit %u%s%s, qualification %lx, at GPA %lx", reason,
                 name != NULL ? ", " : "", name != NULL ? name : "", vmcs_read(VMCS_EXIT_QUALIFICATION),
                 vmcs_read(VMCS_EXIT_GPA));
    return exit_unexpected(vp, reason, what);
}

/* Exits that are neither an instruction of this guest's business nor frequent. */
static NOINLINE enum exit_action handle_rare(struct vp *vp, uint32_t reason)
{
    switch (reason) {
    case VMX_EXIT_TRIPLE_FAULT:
        return exit_shutdown(vp);
    case VMX_EXIT_INIT:
    case VMX_EXIT_SIPI:
    case VMX_EXIT_IO_SMI:
    case VMX_EXIT_OTHER_SMI:
        return EXIT_RESUME;
    case VMX_EXIT_RDPMC:
        vp_inject_gp(vp);
        return EXIT_RESUME;
    case VMX_EXIT_GETSEC:
    case VMX_EXIT_RSM:
    case VMX_EXIT_VMCLEAR:
    case VMX_EXIT_VMLAUNCH:
    case VMX_EXIT_VMPTRLD:
    case VMX_EXIT_VMPTRST:
    case VMX_EXIT_VMREAD:
    case VMX_EXIT_VMRESUME:
    case VMX_EXIT_VMWRITE:
    case VMX_EXIT_VMXOFF:
    case VMX_EXIT_VMXON:
    case VMX_EXIT_INVEPT:
    case VMX_EXIT_INVVPID:
    case VMX_EXIT_VMFUNC:
    case VMX_EXIT_ENCLS:
    case VMX_EXIT_MONITOR:
    case VMX_EXIT_MWAIT:
    case VMX_EXIT_UMWAIT:
    case VMX_EXIT_TPAUSE:
    case VMX_EXIT_XSAVES:
    case VMX_EXIT_XRSTORS:
        return exit_undefined(vp);
    case VMX_EXIT_TASK_SWITCH:
        return unexpected(vp, reason, "hardware task switch");
    case VMX_EXIT_EPT_MISCONFIGURATION:
        return unexpected(vp, reason, "EPT misconfiguration");
    default:
        return unexpected(vp, reason, NULL);
    }
}

static NOINLINE enum exit_action handle_interrupt(struct vp *vp)
{
    irq_window();
    return exit_interrupt(vp);
}

enum exit_action vmx_handle_exit(struct vp *vp, uint32_t reason)
{
    switch (reason) {
    case VMX_EXIT_EXCEPTION_NMI:
        return handle_exception_or_nmi(vp);
    case VMX_EXIT_INTERRUPT:
    case VMX_EXIT_TIMER:
        return handle_interrupt(vp);
    case VMX_EXIT_INTERRUPT_WINDOW:
    case VMX_EXIT_NMI_WINDOW:
    case VMX_EXIT_TPR_BELOW_THRESHOLD:
        return EXIT_RESUME; /* vmx_prepare_events() injects */
    case VMX_EXIT_VIRTUAL_EOI:
        return vmx_handle_virtual_eoi(vp);
    case VMX_EXIT_APIC_WRITE:
        return vmx_handle_apic_write(vp);
    case VMX_EXIT_CPUID:
        return exit_cpuid(vp, insn_length(vp));
    case VMX_EXIT_VMCALL:
        return exit_hypercall(vp, insn_length(vp));
    case VMX_EXIT_RDMSR:
        return exit_rdmsr(vp, insn_length(vp));
    case VMX_EXIT_WRMSR:
        return exit_wrmsr(vp, insn_length(vp));
    case VMX_EXIT_IO:
        return handle_io(vp);
    case VMX_EXIT_EPT_VIOLATION:
        return handle_ept_violation(vp);
    case VMX_EXIT_HLT:
        return exit_halt(vp, insn_length(vp));
    case VMX_EXIT_PAUSE:
        return exit_pause(vp, insn_length(vp));
    case VMX_EXIT_XSETBV:
        return exit_xsetbv(vp, insn_length(vp));
    case VMX_EXIT_INVD:
    case VMX_EXIT_WBINVD:
        return exit_cache_flush(vp, insn_length(vp));
    case VMX_EXIT_CR_ACCESS:
        return vmx_handle_cr(vp, insn_length(vp));
    default:
        return handle_rare(vp, reason);
    }
}
