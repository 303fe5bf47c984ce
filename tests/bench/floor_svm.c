/* SPDX-License-Identifier: MIT */
/* The floor on AMD-V. APM vol. 2, Secure Virtual Machine. */
#include "svm/vmcb.h"
#include "tests/bench/floor.h"

#define ATTRIBUTES_CODE 0xC9Bu
#define ATTRIBUTES_DATA 0xC93u
#define ATTRIBUTES_TSS  0x08Bu
#define NPT_TABLE       (X86_PTE_P | X86_PTE_W | X86_PTE_U)
#define IOPM_BYTES      0x3000u
#define MSRPM_BYTES     0x2000u
#define PORT_UNUSED     0x80u
#define PORT_PIC        0x21u

struct vmcb floor_vmcb ALIGNED(4096);
static uint8_t host_save[4096] ALIGNED(4096);
static uint8_t iopm[IOPM_BYTES] ALIGNED(4096);
static uint8_t msrpm[MSRPM_BYTES] ALIGNED(4096);

/* floor_entry.S: enters for ever, with one call of floor_svm_exit() in between. */
NORETURN void floor_svm_loop(void);
void floor_svm_exit(void);

void floor_svm_exit(void)
{
    struct vmcb *vmcb = &floor_vmcb;

    switch (vmcb->exit_code) {
    case VMCB_EXIT_CPUID:
        floor_cpuid(&vmcb->rax);
        vmcb->rip += 2;
        break;
    case VMCB_EXIT_VMMCALL:
        vmcb->rax = 0;
        vmcb->rip += 3;
        break;
    case VMCB_EXIT_MSR:
        if (vmcb->exit_info1 & 1) {
            floor_wrmsr(vmcb->rax);
        } else {
            floor_rdmsr(&vmcb->rax);
        }
        vmcb->rip += 2;
        break;
    case VMCB_EXIT_IOIO:
        floor_out((uint16_t)(vmcb->exit_info1 >> VMCB_IO_PORT_SHIFT), vmcb->rax);
        vmcb->rip = vmcb->exit_info2;
        break;
    case VMCB_EXIT_NPF:
        floor_touch(vmcb->exit_info2);
        break;
    default:
        floor_unexpected(vmcb->exit_code, vmcb->rip);
    }
}

static void intercept_port(uint32_t port)
{
    iopm[port / 8] |= (uint8_t)(1u << port % 8);
}

/* The state in which Multiboot starts a kernel. */
static void set_state(struct vmcb *vmcb, const struct floor_entry *entry)
{
    const struct vmcb_segment data = {.selector = GUEST_DS, .attributes = ATTRIBUTES_DATA, .limit = UINT32_MAX};

    vmcb->es = vmcb->ss = vmcb->ds = vmcb->fs = vmcb->gs = data;
    vmcb->cs = (struct vmcb_segment){.selector = GUEST_CS, .attributes = ATTRIBUTES_CODE, .limit = UINT32_MAX};
    vmcb->tr = (struct vmcb_segment){.attributes = ATTRIBUTES_TSS, .limit = UINT16_MAX};
    vmcb->efer = X86_EFER_SVME;
    vmcb->cr0 = X86_CR0_ET | X86_CR0_PE;
    vmcb->dr6 = X86_DR6_RESET;
    vmcb->dr7 = X86_DR7_RESET;
    vmcb->rflags = X86_RFLAGS_FIXED;
    vmcb->pat = X86_PAT_RESET;
    vmcb->rip = entry->rip;
    floor_gpr[FLOOR_RBX] = entry->information;
}

void floor_svm_run(const struct floor_entry *entry)
{
    static const uint8_t vmmcall[] = {0x0F, 0x01, 0xD9};
    struct vmcb *vmcb = &floor_vmcb;

    floor_hypercall_instruction = vmmcall;
    wrmsr(X86_MSR_EFER, rdmsr(X86_MSR_EFER) | X86_EFER_SVME);
    wrmsr(X86_MSR_AMD_VM_HSAVE_PA, (uint64_t)host_save);
    intercept_port(PORT_UNUSED);
    intercept_port(PORT_PIC);
    intercept_port(GUEST_EXIT_PORT);
    vmcb->intercept_misc1 = VMCB_MISC1_CPUID | VMCB_MISC1_IOIO | VMCB_MISC1_MSR | VMCB_MISC1_SHUTDOWN;
    vmcb->intercept_misc2 = VMCB_MISC2_VMRUN | VMCB_MISC2_VMMCALL;
    vmcb->iopm_base = (uint64_t)iopm;
    vmcb->msrpm_base = (uint64_t)msrpm;
    vmcb->asid = 1;
    vmcb->nested_control = 1;
    vmcb->nested_cr3 = floor_build_tables((struct floor_format){.table = NPT_TABLE, .leaf = NPT_TABLE});
    set_state(vmcb, entry);
    floor_svm_loop();
}
