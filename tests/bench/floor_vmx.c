/* SPDX-License-Identifier: MIT */
/* The floor on VT-x. SDM vol. 3, Introduction to Virtual Machine Extensions. */
#include "tests/bench/floor.h"
#include "vmx/vmcs.h"

#define ACCESS_CODE      0xC09Bu
#define ACCESS_DATA      0xC093u
#define ACCESS_LDT       0x0082u
#define ACCESS_TSS       0x008Bu
#define EPT_TABLE        0x07u
#define EPT_WRITE_BACK   0x30u
#define CPUID_ECX_VMX    (1u << 5)
#define PORT_UNUSED      0x80u
#define PORT_PIC         0x21u
#define EXIT_STACK_BYTES 0x4000u
/* FS, GS, LDTR and TR are not used; TR of the host must not be the null selector. */
#define HOST_TR          GUEST_CS32

static uint8_t vmxon_region[4096] ALIGNED(4096);
static uint8_t vmcs_region[4096] ALIGNED(4096);
static uint8_t io_bitmaps[8192] ALIGNED(4096);
static uint8_t msr_bitmap[4096] ALIGNED(4096);
static uint8_t exit_stack[EXIT_STACK_BYTES] ALIGNED(16);

/* floor_entry.S. The first comes back only when the processor refuses. */
void floor_vmx_launch(void);
void floor_vmx_exit_point(void);
void floor_vmx_exit(void);
NORETURN void floor_vmx_refused(void);

/* Skips the exiting instruction. */
static void skip(uint64_t length)
{
    vmcs_write(VMCS_GUEST_RIP, vmcs_read(VMCS_GUEST_RIP) + length);
}

void floor_vmx_exit(void)
{
    uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
    uint64_t qualification;

    switch (reason) {
    case VMX_EXIT_CPUID:
        floor_cpuid(&floor_gpr[FLOOR_RAX]);
        skip(2);
        break;
    case VMX_EXIT_VMCALL:
        floor_gpr[FLOOR_RAX] = 0;
        skip(3);
        break;
    case VMX_EXIT_RDMSR:
        floor_rdmsr(&floor_gpr[FLOOR_RAX]);
        skip(2);
        break;
    case VMX_EXIT_WRMSR:
        floor_wrmsr(floor_gpr[FLOOR_RAX]);
        skip(2);
        break;
    case VMX_EXIT_IO:
        qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
        floor_out((uint16_t)(qualification >> VMX_IO_PORT_SHIFT), floor_gpr[FLOOR_RAX]);
        skip(vmcs_read(VMCS_EXIT_INSN_LENGTH));
        break;
    case VMX_EXIT_EPT_VIOLATION:
        floor_touch(vmcs_read(VMCS_EXIT_GPA));
        break;
    default:
        floor_unexpected(reason, vmcs_read(VMCS_GUEST_RIP));
    }
}

void floor_vmx_refused(void)
{
    floor_unexpected(vmcs_read(VMCS_INSN_ERROR), 0);
}

static void intercept_port(uint32_t port)
{
    io_bitmaps[port / 8] |= (uint8_t)(1u << port % 8);
}

/* The control word with `wanted` and what the processor insists on; its MSRs follow each other in two groups. */
static void write_controls(enum vmcs_field field, uint32_t wanted, uint32_t msr)
{
    uint64_t allowed = rdmsr(msr);

    vmcs_write(field, (wanted | (uint32_t)allowed) & (uint32_t)(allowed >> 32));
}

static uint64_t read_cr(uint32_t number)
{
    uint64_t value = 0;

    switch (number) {
    case 0:
        __asm__ volatile("mov %%cr0, %0" : "=r"(value));
        break;
    case 3:
        __asm__ volatile("mov %%cr3, %0" : "=r"(value));
        break;
    default:
        __asm__ volatile("mov %%cr4, %0" : "=r"(value));
        break;
    }
    return value;
}

/* Enters VMX operation with a current VMCS; false: the processor has none, or refuses. */
static bool enable(void)
{
    uint64_t vmxon = (uint64_t)vmxon_region;
    uint64_t vmcs = (uint64_t)vmcs_region;
    uint32_t revision;
    uint32_t leaf[4];
    bool is_bad;

    cpuid(1, 0, leaf);
    if ((leaf[2] & CPUID_ECX_VMX) == 0) {
        return false;
    }
    if ((rdmsr(X86_MSR_INTEL_FEATURE_CONTROL) & X86_FEATURE_CONTROL_LOCK) == 0) {
        wrmsr(X86_MSR_INTEL_FEATURE_CONTROL, X86_FEATURE_CONTROL_LOCK | X86_FEATURE_CONTROL_VMX_OUTSIDE_SMX);
    }
    __asm__ volatile("mov %0, %%cr0" : : "r"(read_cr(0) | rdmsr(X86_MSR_VMX_CR0_FIXED0)));
    __asm__ volatile("mov %0, %%cr4" : : "r"(read_cr(4) | rdmsr(X86_MSR_VMX_CR4_FIXED0)));
    revision = (uint32_t)(rdmsr(X86_MSR_VMX_BASIC) & VMX_BASIC_REVISION_MASK);
    *(volatile uint32_t *)vmxon_region = revision;
    *(volatile uint32_t *)vmcs_region = revision;
    __asm__ volatile("vmxon %1" : "=@ccbe"(is_bad) : "m"(vmxon) : "memory");
    if (!is_bad) {
        __asm__ volatile("vmclear %1" : "=@ccbe"(is_bad) : "m"(vmcs) : "memory");
    }
    if (!is_bad) {
        __asm__ volatile("vmptrld %1" : "=@ccbe"(is_bad) : "m"(vmcs) : "memory");
    }
    return !is_bad;
}

static void set_controls(void)
{
    uint64_t root = floor_build_tables((struct floor_format){.table = EPT_TABLE, .leaf = EPT_TABLE | EPT_WRITE_BACK});

    write_controls(VMCS_PIN_CONTROLS, 0, X86_MSR_VMX_TRUE_PINBASED_CTLS);
    write_controls(VMCS_CPU_CONTROLS, VMX_CPU_IO_BITMAPS | VMX_CPU_MSR_BITMAPS | VMX_CPU_SECONDARY,
                   X86_MSR_VMX_TRUE_PROCBASED_CTLS);
    write_controls(VMCS_CPU2_CONTROLS, VMX_CPU2_EPT | VMX_CPU2_VPID | VMX_CPU2_UNRESTRICTED,
                   X86_MSR_VMX_PROCBASED_CTLS2);
    write_controls(VMCS_EXIT_CONTROLS, VMX_EXIT_HOST_64 | VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER,
                   X86_MSR_VMX_TRUE_EXIT_CTLS);
    write_controls(VMCS_ENTRY_CONTROLS, VMX_ENTRY_LOAD_EFER, X86_MSR_VMX_TRUE_ENTRY_CTLS);
    vmcs_write(VMCS_VPID, 1);
    vmcs_write(VMCS_EPT_POINTER, root | VMX_EPTP_WB | VMX_EPTP_LEVELS_4);
    vmcs_write(VMCS_IO_BITMAP_A, (uint64_t)io_bitmaps);
    vmcs_write(VMCS_IO_BITMAP_B, (uint64_t)io_bitmaps + sizeof(io_bitmaps) / 2);
    vmcs_write(VMCS_MSR_BITMAP, (uint64_t)msr_bitmap);
    vmcs_write(VMCS_GUEST_LINK, UINT64_MAX);
    vmcs_write(VMCS_CR4_MASK, X86_CR4_VMXE);
    intercept_port(PORT_UNUSED);
    intercept_port(PORT_PIC);
    intercept_port(GUEST_EXIT_PORT);
}

static void set_host_state(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } PACKED table;

    vmcs_write(VMCS_HOST_CR0, read_cr(0));
    vmcs_write(VMCS_HOST_CR3, read_cr(3));
    vmcs_write(VMCS_HOST_CR4, read_cr(4));
    vmcs_write(VMCS_HOST_EFER, rdmsr(X86_MSR_EFER));
    vmcs_write(VMCS_HOST_CS_SELECTOR, GUEST_CS);
    vmcs_write(VMCS_HOST_SS_SELECTOR, GUEST_DS);
    vmcs_write(VMCS_HOST_TR_SELECTOR, HOST_TR);
    __asm__ volatile("sgdt %0" : "=m"(table));
    vmcs_write(VMCS_HOST_GDTR_BASE, table.base);
    __asm__ volatile("sidt %0" : "=m"(table));
    vmcs_write(VMCS_HOST_IDTR_BASE, table.base);
    vmcs_write(VMCS_HOST_RSP, (uint64_t)exit_stack + sizeof(exit_stack));
    vmcs_write(VMCS_HOST_RIP, (uint64_t)floor_vmx_exit_point);
}

static void set_segment(unsigned index, uint16_t selector, uint32_t limit, uint32_t access)
{
    unsigned offset = index * VMCS_SEGMENT_STRIDE;

    vmcs_write(VMCS_GUEST_ES_SELECTOR + offset, selector);
    vmcs_write(VMCS_GUEST_ES_LIMIT + offset, limit);
    vmcs_write(VMCS_GUEST_ES_ACCESS + offset, access);
}

/* The state in which Multiboot starts a kernel. */
static void set_guest_state(const struct floor_entry *entry)
{
    static const uint32_t access[] = {ACCESS_DATA, ACCESS_CODE, ACCESS_DATA, ACCESS_DATA, ACCESS_DATA, ACCESS_DATA};

    for (unsigned index = 0; index < ARRAY_SIZE(access); index++) {
        set_segment(index, access[index] == ACCESS_CODE ? GUEST_CS : GUEST_DS, UINT32_MAX, access[index]);
    }
    set_segment(ARRAY_SIZE(access), 0, UINT16_MAX, ACCESS_LDT);
    set_segment(ARRAY_SIZE(access) + 1, 0, UINT16_MAX, ACCESS_TSS);
    vmcs_write(VMCS_GUEST_CR0, X86_CR0_NE | X86_CR0_ET | X86_CR0_PE);
    vmcs_write(VMCS_GUEST_CR4, rdmsr(X86_MSR_VMX_CR4_FIXED0));
    vmcs_write(VMCS_GUEST_EFER, 0);
    vmcs_write(VMCS_GUEST_DR7, X86_DR7_RESET);
    vmcs_write(VMCS_GUEST_RFLAGS, X86_RFLAGS_FIXED);
    vmcs_write(VMCS_GUEST_RIP, entry->rip);
    floor_gpr[FLOOR_RBX] = entry->information;
}

void floor_vmx_run(const struct floor_entry *entry)
{
    static const uint8_t vmcall[] = {0x0F, 0x01, 0xC1};

    floor_hypercall_instruction = vmcall;
    if (!enable()) {
        guest_print("FAIL floor: the processor has neither AMD-V nor VT-x\n");
        floor_end(UINT8_MAX);
    }
    set_controls();
    set_host_state();
    set_guest_state(entry);
    floor_vmx_launch();
    floor_vmx_refused();
}
