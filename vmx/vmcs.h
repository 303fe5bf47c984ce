/* SPDX-License-Identifier: MIT */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

/*
 * The virtual-machine control structure: field encodings and the bits of its controls. SDM vol. 3, Appendix "Field
 * Encoding in VMCS", and the chapters "Virtual-Machine Control Structures" and "VM Exits". Reaching a field of the
 * current VMCS is one instruction each (vmcs_read, vmcs_write).
 */

#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"

/* Field encodings: bits 9:1 index, 11:10 type, 14:13 width. */
enum vmcs_field {
    VMCS_VPID = 0x0000,
    VMCS_POSTED_VECTOR = 0x0002,
    VMCS_GUEST_ES_SELECTOR = 0x0800,
    VMCS_GUEST_CS_SELECTOR = 0x0802,
    VMCS_GUEST_SS_SELECTOR = 0x0804,
    VMCS_GUEST_DS_SELECTOR = 0x0806,
    VMCS_GUEST_FS_SELECTOR = 0x0808,
    VMCS_GUEST_GS_SELECTOR = 0x080a,
    VMCS_GUEST_LDTR_SELECTOR = 0x080c,
    VMCS_GUEST_TR_SELECTOR = 0x080e,
    VMCS_GUEST_INTERRUPT_STATUS = 0x0810, /* VMX_INTERRUPT_STATUS_ */
    VMCS_HOST_ES_SELECTOR = 0x0c00,
    VMCS_HOST_CS_SELECTOR = 0x0c02,
    VMCS_HOST_SS_SELECTOR = 0x0c04,
    VMCS_HOST_DS_SELECTOR = 0x0c06,
    VMCS_HOST_FS_SELECTOR = 0x0c08,
    VMCS_HOST_GS_SELECTOR = 0x0c0a,
    VMCS_HOST_TR_SELECTOR = 0x0c0c,

    VMCS_IO_BITMAP_A = 0x2000,
    VMCS_IO_BITMAP_B = 0x2002,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_EXIT_MSR_STORE = 0x2006,
    VMCS_EXIT_MSR_LOAD = 0x2008,
    VMCS_ENTRY_MSR_LOAD = 0x200a,
    VMCS_PML_ADDRESS = 0x200e,
    VMCS_TSC_OFFSET = 0x2010,
    VMCS_VIRTUAL_APIC = 0x2012,
    VMCS_APIC_ACCESS = 0x2014,
    VMCS_POSTED_DESCRIPTOR = 0x2016,
    VMCS_EPT_POINTER = 0x201a,
    VMCS_EOI_EXIT0 = 0x201c, /* four, VMCS_EOI_EXIT_STRIDE apart: bit v, an EOI of vector v exits */
    VMCS_EXIT_GPA = 0x2400,
    VMCS_GUEST_LINK = 0x2800,
    VMCS_GUEST_DEBUGCTL = 0x2802,
    VMCS_GUEST_PAT = 0x2804,
    VMCS_GUEST_EFER = 0x2806,
    VMCS_GUEST_PDPTE0 = 0x280a, /* four, VMCS_PDPTE_STRIDE apart */
    VMCS_HOST_PAT = 0x2c00,
    VMCS_HOST_EFER = 0x2c02,

    VMCS_PIN_CONTROLS = 0x4000,
    VMCS_CPU_CONTROLS = 0x4002,
    VMCS_EXCEPTION_BITMAP = 0x4004,
    VMCS_PF_ERROR_MASK = 0x4006,
    VMCS_PF_ERROR_MATCH = 0x4008,
    VMCS_CR3_TARGET_COUNT = 0x400a,
    VMCS_EXIT_CONTROLS = 0x400c,
    VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
    VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
    VMCS_ENTRY_CONTROLS = 0x4012,
    VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
    VMCS_ENTRY_EVENT = 0x4016, /* VMX_EVENT_ */
    VMCS_ENTRY_EVENT_ERROR = 0x4018,
    VMCS_ENTRY_INSN_LENGTH = 0x401a,
    VMCS_TPR_THRESHOLD = 0x401c,
    VMCS_CPU2_CONTROLS = 0x401e,
    VMCS_PAUSE_GAP = 0x4020,
    VMCS_PAUSE_WINDOW = 0x4022,
    VMCS_INSN_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_EXIT_EVENT = 0x4404, /* VMX_EVENT_ */
    VMCS_EXIT_EVENT_ERROR = 0x4406,
    VMCS_VECTORING_EVENT = 0x4408, /* VMX_EVENT_ */
    VMCS_VECTORING_ERROR = 0x440a,
    VMCS_EXIT_INSN_LENGTH = 0x440c,
    VMCS_EXIT_INSN_INFO = 0x440e,
    VMCS_GUEST_ES_LIMIT = 0x4800,
    VMCS_GUEST_CS_LIMIT = 0x4802,
    VMCS_GUEST_SS_LIMIT = 0x4804,
    VMCS_GUEST_DS_LIMIT = 0x4806,
    VMCS_GUEST_FS_LIMIT = 0x4808,
    VMCS_GUEST_GS_LIMIT = 0x480a,
    VMCS_GUEST_LDTR_LIMIT = 0x480c,
    VMCS_GUEST_TR_LIMIT = 0x480e,
    VMCS_GUEST_GDTR_LIMIT = 0x4810,
    VMCS_GUEST_IDTR_LIMIT = 0x4812,
    VMCS_GUEST_ES_ACCESS = 0x4814,
    VMCS_GUEST_CS_ACCESS = 0x4816,
    VMCS_GUEST_SS_ACCESS = 0x4818,
    VMCS_GUEST_DS_ACCESS = 0x481a,
    VMCS_GUEST_FS_ACCESS = 0x481c,
    VMCS_GUEST_GS_ACCESS = 0x481e,
    VMCS_GUEST_LDTR_ACCESS = 0x4820,
    VMCS_GUEST_TR_ACCESS = 0x4822,
    VMCS_GUEST_INTERRUPTIBILITY = 0x4824, /* VMX_BLOCKED_ */
    VMCS_GUEST_ACTIVITY = 0x4826,
    VMCS_GUEST_SYSENTER_CS = 0x482a,
    VMCS_GUEST_TIMER = 0x482e,
    VMCS_HOST_SYSENTER_CS = 0x4c00,

    VMCS_CR0_MASK = 0x6000,
    VMCS_CR4_MASK = 0x6002,
    VMCS_CR0_SHADOW = 0x6004,
    VMCS_CR4_SHADOW = 0x6006,
    VMCS_EXIT_QUALIFICATION = 0x6400,
    VMCS_EXIT_GVA = 0x640a,
    VMCS_GUEST_CR0 = 0x6800,
    VMCS_GUEST_CR3 = 0x6802,
    VMCS_GUEST_CR4 = 0x6804,
    VMCS_GUEST_ES_BASE = 0x6806,
    VMCS_GUEST_CS_BASE = 0x6808,
    VMCS_GUEST_SS_BASE = 0x680a,
    VMCS_GUEST_DS_BASE = 0x680c,
    VMCS_GUEST_FS_BASE = 0x680e,
    VMCS_GUEST_GS_BASE = 0x6810,
    VMCS_GUEST_LDTR_BASE = 0x6812,
    VMCS_GUEST_TR_BASE = 0x6814,
    VMCS_GUEST_GDTR_BASE = 0x6816,
    VMCS_GUEST_IDTR_BASE = 0x6818,
    VMCS_GUEST_DR7 = 0x681a,
    VMCS_GUEST_RSP = 0x681c,
    VMCS_GUEST_RIP = 0x681e,
    VMCS_GUEST_RFLAGS = 0x6820,
    VMCS_GUEST_PENDING_DEBUG = 0x6822,
    VMCS_GUEST_SYSENTER_ESP = 0x6824,
    VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_HOST_CR0 = 0x6c00,
    VMCS_HOST_CR3 = 0x6c02,
    VMCS_HOST_CR4 = 0x6c04,
    VMCS_HOST_FS_BASE = 0x6c06,
    VMCS_HOST_GS_BASE = 0x6c08,
    VMCS_HOST_TR_BASE = 0x6c0a,
    VMCS_HOST_GDTR_BASE = 0x6c0c,
    VMCS_HOST_IDTR_BASE = 0x6c0e,
    VMCS_HOST_SYSENTER_ESP = 0x6c10,
    VMCS_HOST_SYSENTER_EIP = 0x6c12,
    VMCS_HOST_RSP = 0x6c14,
    VMCS_HOST_RIP = 0x6c16,
};

/* Distance of the fields of neighbouring segment registers, ES CS SS DS FS GS LDTR TR. */
#define VMCS_SEGMENT_STRIDE  2u
#define VMCS_PDPTE_STRIDE    2u
#define VMCS_EOI_EXIT_STRIDE 2u

/* Pin-based controls. */
#define VMX_PIN_INTERRUPT   (1u << 0)
#define VMX_PIN_NMI         (1u << 3)
#define VMX_PIN_VIRTUAL_NMI (1u << 5)
#define VMX_PIN_TIMER       (1u << 6)
#define VMX_PIN_POSTED      (1u << 7)

/* Primary processor-based controls. */
#define VMX_CPU_INTERRUPT_WINDOW (1u << 2)
#define VMX_CPU_TSC_OFFSET       (1u << 3)
#define VMX_CPU_HLT              (1u << 7)
#define VMX_CPU_MWAIT            (1u << 10)
#define VMX_CPU_RDPMC            (1u << 11)
#define VMX_CPU_CR3_LOAD         (1u << 15)
#define VMX_CPU_CR3_STORE        (1u << 16)
#define VMX_CPU_TPR_SHADOW       (1u << 21)
#define VMX_CPU_NMI_WINDOW       (1u << 22)
#define VMX_CPU_IO_BITMAPS       (1u << 25)
#define VMX_CPU_MONITOR_TRAP     (1u << 27)
#define VMX_CPU_MSR_BITMAPS      (1u << 28)
#define VMX_CPU_MONITOR          (1u << 29)
#define VMX_CPU_SECONDARY        (1u << 31)

/* Secondary processor-based controls. */
#define VMX_CPU2_APIC_ACCESS    (1u << 0)
#define VMX_CPU2_EPT            (1u << 1)
#define VMX_CPU2_RDTSCP         (1u << 3)
#define VMX_CPU2_X2APIC         (1u << 4)
#define VMX_CPU2_VPID           (1u << 5)
#define VMX_CPU2_WBINVD         (1u << 6)
#define VMX_CPU2_UNRESTRICTED   (1u << 7)
#define VMX_CPU2_APIC_REGISTERS (1u << 8)
#define VMX_CPU2_INTERRUPTS     (1u << 9)
#define VMX_CPU2_PAUSE_LOOP     (1u << 10)
#define VMX_CPU2_INVPCID        (1u << 12)
#define VMX_CPU2_PML            (1u << 17)

/* Exit controls. */
#define VMX_EXIT_SAVE_DEBUG  (1u << 2)
#define VMX_EXIT_HOST_64     (1u << 9)
#define VMX_EXIT_ACKNOWLEDGE (1u << 15)
#define VMX_EXIT_SAVE_PAT    (1u << 18)
#define VMX_EXIT_LOAD_PAT    (1u << 19)
#define VMX_EXIT_SAVE_EFER   (1u << 20)
#define VMX_EXIT_LOAD_EFER   (1u << 21)
#define VMX_EXIT_SAVE_TIMER  (1u << 22)

/* Entry controls. */
#define VMX_ENTRY_LOAD_DEBUG (1u << 2)
#define VMX_ENTRY_GUEST_64   (1u << 9)
#define VMX_ENTRY_SMM        (1u << 10)
#define VMX_ENTRY_DUAL_SMM   (1u << 11)
#define VMX_ENTRY_LOAD_PAT   (1u << 14)
#define VMX_ENTRY_LOAD_EFER  (1u << 15)

/* Event words: entry interruption, exit interruption and IDT-vectoring information. */
#define VMX_EVENT_VECTOR_MASK 0xffu
#define VMX_EVENT_TYPE_SHIFT  8
#define VMX_EVENT_TYPE_MASK   (7u << VMX_EVENT_TYPE_SHIFT)
#define VMX_EVENT_ERROR_VALID (1u << 11)
#define VMX_EVENT_NMI_UNBLOCK (1u << 12) /* exit information: NMI unblocking by IRET */
#define VMX_EVENT_RESERVED    0x7ffff000u
#define VMX_EVENT_VALID       (1u << 31)

/* Exceptions that push an error code. SDM vol. 3, Exceptions and Interrupts Summary. */
#define VMX_VECTORS_WITH_ERROR                                                                                         \
    (1u << X86_VECTOR_DF | 1u << X86_VECTOR_TS | 1u << X86_VECTOR_NP | 1u << X86_VECTOR_SS | 1u << X86_VECTOR_GP |     \
     1u << X86_VECTOR_PF | 1u << X86_VECTOR_AC)

/* Types in event words. */
enum vmx_event_type {
    VMX_EVENT_INTERRUPT = 0,
    VMX_EVENT_NMI = 2,
    VMX_EVENT_EXCEPTION = 3,
    VMX_EVENT_SOFTWARE = 4,
    VMX_EVENT_PRIVILEGED_SOFTWARE = 5,
    VMX_EVENT_SOFTWARE_EXCEPTION = 6,
    VMX_EVENT_OTHER = 7,
};

/* Interruptibility state. */
#define VMX_BLOCKED_STI    (1u << 0)
#define VMX_BLOCKED_MOV_SS (1u << 1)
#define VMX_BLOCKED_SMI    (1u << 2)
#define VMX_BLOCKED_NMI    (1u << 3)
#define VMX_IN_ENCLAVE     (1u << 4) /* the exit came out of an enclave */

/* Activity states. */
enum vmx_activity {
    VMX_ACTIVE = 0,
    VMX_HLT = 1,
    VMX_SHUTDOWN = 2,
    VMX_WAIT_FOR_SIPI = 3,
};

/* Guest interrupt status: highest vectors requested (RVI, low byte) and in service (SVI), as the processor has them. */
#define VMX_INTERRUPT_STATUS_SVI_SHIFT 8

/* Where the virtual-APIC page has the task priority, in doublewords. */
#define VMX_VTPR_INDEX (0x80u / sizeof(uint32_t))

/* A segment's access rights: the descriptor's bytes 5 and 6, as in the ABI, and "unusable". */
#define VMX_SEGMENT_UNUSABLE (1u << 16)

/* Basic exit reasons; bit 31 of the field: the entry failed. SDM vol. 3, Appendix "VMX Basic Exit Reasons". */
enum vmx_exit {
    VMX_EXIT_EXCEPTION_NMI = 0,
    VMX_EXIT_INTERRUPT = 1,
    VMX_EXIT_TRIPLE_FAULT = 2,
    VMX_EXIT_INIT = 3,
    VMX_EXIT_SIPI = 4,
    VMX_EXIT_IO_SMI = 5,
    VMX_EXIT_OTHER_SMI = 6,
    VMX_EXIT_INTERRUPT_WINDOW = 7,
    VMX_EXIT_NMI_WINDOW = 8,
    VMX_EXIT_TASK_SWITCH = 9,
    VMX_EXIT_CPUID = 10,
    VMX_EXIT_GETSEC = 11,
    VMX_EXIT_HLT = 12,
    VMX_EXIT_INVD = 13,
    VMX_EXIT_INVLPG = 14,
    VMX_EXIT_RDPMC = 15,
    VMX_EXIT_RDTSC = 16,
    VMX_EXIT_RSM = 17,
    VMX_EXIT_VMCALL = 18,
    VMX_EXIT_VMCLEAR = 19,
    VMX_EXIT_VMLAUNCH = 20,
    VMX_EXIT_VMPTRLD = 21,
    VMX_EXIT_VMPTRST = 22,
    VMX_EXIT_VMREAD = 23,
    VMX_EXIT_VMRESUME = 24,
    VMX_EXIT_VMWRITE = 25,
    VMX_EXIT_VMXOFF = 26,
    VMX_EXIT_VMXON = 27,
    VMX_EXIT_CR_ACCESS = 28,
    VMX_EXIT_MOV_DR = 29,
    VMX_EXIT_IO = 30,
    VMX_EXIT_RDMSR = 31,
    VMX_EXIT_WRMSR = 32,
    VMX_EXIT_BAD_GUEST_STATE = 33,
    VMX_EXIT_BAD_MSR_LOAD = 34,
    VMX_EXIT_MWAIT = 36,
    VMX_EXIT_MONITOR_TRAP = 37,
    VMX_EXIT_MONITOR = 39,
    VMX_EXIT_PAUSE = 40,
    VMX_EXIT_MACHINE_CHECK = 41,
    VMX_EXIT_TPR_BELOW_THRESHOLD = 43,
    VMX_EXIT_APIC_ACCESS = 44,
    VMX_EXIT_VIRTUAL_EOI = 45,
    VMX_EXIT_GDTR_IDTR = 46,
    VMX_EXIT_LDTR_TR = 47,
    VMX_EXIT_EPT_VIOLATION = 48,
    VMX_EXIT_EPT_MISCONFIGURATION = 49,
    VMX_EXIT_INVEPT = 50,
    VMX_EXIT_RDTSCP = 51,
    VMX_EXIT_TIMER = 52,
    VMX_EXIT_INVVPID = 53,
    VMX_EXIT_WBINVD = 54,
    VMX_EXIT_XSETBV = 55,
    VMX_EXIT_APIC_WRITE = 56,
    VMX_EXIT_RDRAND = 57,
    VMX_EXIT_INVPCID = 58,
    VMX_EXIT_VMFUNC = 59,
    VMX_EXIT_ENCLS = 60,
    VMX_EXIT_RDSEED = 61,
    VMX_EXIT_PML_FULL = 62,
    VMX_EXIT_XSAVES = 63,
    VMX_EXIT_XRSTORS = 64,
    VMX_EXIT_UMWAIT = 67,
    VMX_EXIT_TPAUSE = 68,
};

#define VMX_EXIT_REASON_MASK  0xffffu
#define VMX_EXIT_ENTRY_FAILED (1u << 31)

/* Exit qualification of control-register accesses. */
#define VMX_CR_NUMBER_MASK 0xfu
#define VMX_CR_TYPE_SHIFT  4
#define VMX_CR_TYPE_MASK   (3u << VMX_CR_TYPE_SHIFT)
#define VMX_CR_TYPE_TO     0u
#define VMX_CR_GPR_SHIFT   8
#define VMX_CR_GPR_MASK    (0xfu << VMX_CR_GPR_SHIFT)

/* Exit qualification of I/O instructions. */
#define VMX_IO_SIZE_MASK  7u /* bytes minus 1 */
#define VMX_IO_IN         (1u << 3)
#define VMX_IO_STRING     (1u << 4)
#define VMX_IO_REP        (1u << 5)
#define VMX_IO_PORT_SHIFT 16

/* Exit qualification of EPT violations. */
#define VMX_EPT_WRITE          (1u << 1)
#define VMX_EPT_FETCH          (1u << 2)
#define VMX_EPT_GVA_VALID      (1u << 7)
#define VMX_EPT_GVA_TRANSLATED (1u << 8) /* else the access was to a guest page table */
#define VMX_EPT_NMI_UNBLOCK    (1u << 12)

/* EPT pointer. */
#define VMX_EPTP_UC          0u
#define VMX_EPTP_WB          6u
#define VMX_EPTP_TYPE_MASK   7u
#define VMX_EPTP_LEVELS_4    (3u << 3)
#define VMX_EPTP_LEVELS_MASK (7u << 3)
#define VMX_EPTP_ACCESSED    (1u << 6)
#define VMX_EPTP_RESERVED    0xf80u

/* IA32_VMX_BASIC. */
#define VMX_BASIC_REVISION_MASK 0x7fffffffull
#define VMX_BASIC_TRUE_CONTROLS (1ull << 55)
#define VMX_BASIC_ANY_ERROR     (1ull << 56) /* any exception may be injected with or without an error code */

/* IA32_VMX_MISC. The preemption timer counts when TSC bit VMX_MISC_TIMER_SHIFT_MASK changes. Activity state `state`
 * exists: VMX_MISC_HLT << (state - VMX_HLT). */
#define VMX_MISC_TIMER_SHIFT_MASK 0x1full
#define VMX_MISC_HLT              (1ull << 6)
#define VMX_MISC_ZERO_LENGTH      (1ull << 30) /* software events may be injected with instruction length 0 */

/* IA32_VMX_EPT_VPID_CAP. */
#define VMX_CAP_EPT_WALK_4         (1ull << 6)
#define VMX_CAP_EPT_UC             (1ull << 8)
#define VMX_CAP_EPT_WB             (1ull << 14)
#define VMX_CAP_EPT_2M             (1ull << 16)
#define VMX_CAP_EPT_1G             (1ull << 17)
#define VMX_CAP_INVEPT             (1ull << 20)
#define VMX_CAP_EPT_ACCESSED_DIRTY (1ull << 21)
#define VMX_CAP_INVEPT_SINGLE      (1ull << 25)
#define VMX_CAP_INVVPID            (1ull << 32)
#define VMX_CAP_INVVPID_ADDRESS    (1ull << 40)
#define VMX_CAP_INVVPID_SINGLE     (1ull << 41)
#define VMX_CAP_INVVPID_ALL        (1ull << 42)
#define VMX_CAP_INVVPID_NON_GLOBAL (1ull << 43)

/* Counts accesses on this processor. Where they have gone is seen in the trace of exits. */
static inline void vmcs_count_accesses(uint32_t count)
{
    if (DEBUG_CHECKS) {
        __asm__ volatile("addl %1, %%gs:%c0"
                         :
                         : "i"(offsetof(struct cpu, backend_accesses)), "ri"(count)
                         : "cc", "memory");
    }
}

/* The current VMCS's fields. A field that the processor does not have fails; only fields whose control exists are used.
 */
static inline uint64_t vmcs_read_uncounted(enum vmcs_field field)
{
    uint64_t value;
    __asm__ volatile("vmread %1, %0" : "=rm"(value) : "r"((uint64_t)field) : "cc");
    return value;
}

static inline void vmcs_write_uncounted(enum vmcs_field field, uint64_t value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "rm"(value) : "cc");
}

static inline uint64_t vmcs_read(enum vmcs_field field)
{
    vmcs_count_accesses(1);
    return vmcs_read_uncounted(field);
}

static inline void vmcs_write(enum vmcs_field field, uint64_t value)
{
    vmcs_count_accesses(1);
    vmcs_write_uncounted(field, value);
}

#endif
