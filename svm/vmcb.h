/* SPDX-License-Identifier: MIT */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

/* The virtual machine control block. APM vol. 2, Appendix "Layout of VMCB". */

#include <stddef.h>
#include <stdint.h>

/* Segment register as the VMCB holds it; attributes are descriptor bits 55:52 and 47:40 packed into 12 bits. */
struct vmcb_segment {
    uint16_t selector;
    uint16_t attributes;
    uint32_t limit;
    uint64_t base;
};

/* Control area and state save area, one page. */
struct vmcb {
    uint16_t intercept_cr_read; /* 0x000 */
    uint16_t intercept_cr_write;
    uint16_t intercept_dr_read;
    uint16_t intercept_dr_write;
    uint32_t intercept_exceptions; /* 0x008 */
    uint32_t intercept_misc1;      /* 0x00c VMCB_MISC1_ */
    uint32_t intercept_misc2;      /* 0x010 VMCB_MISC2_ */
    uint8_t rsvd0[0x3c - 0x14];
    uint16_t pause_filter_threshold; /* 0x03c */
    uint16_t pause_filter_count;
    uint64_t iopm_base;  /* 0x040 */
    uint64_t msrpm_base; /* 0x048 */
    uint64_t tsc_offset; /* 0x050 */
    uint32_t asid;       /* 0x058 */
    uint8_t tlb_control; /* 0x05c VMCB_TLB_ */
    uint8_t rsvd1[3];
    uint64_t interrupt_control;   /* 0x060 VMCB_INT_ */
    uint64_t interrupt_shadow;    /* 0x068 bit 0 */
    uint64_t exit_code;           /* 0x070 */
    uint64_t exit_info1;          /* 0x078 */
    uint64_t exit_info2;          /* 0x080 */
    uint64_t exit_interrupt_info; /* 0x088 VMCB_EVENT_ */
    uint64_t nested_control;      /* 0x090 bit 0: nested paging */
    uint8_t rsvd2[0xa8 - 0x98];
    uint64_t event_injection; /* 0x0a8 VMCB_EVENT_ */
    uint64_t nested_cr3;      /* 0x0b0 */
    uint64_t lbr_control;     /* 0x0b8 */
    uint32_t clean_bits;      /* 0x0c0 */
    uint32_t rsvd3;
    uint64_t next_rip;          /* 0x0c8 */
    uint8_t fetched_byte_count; /* 0x0d0 */
    uint8_t fetched_bytes[15];
    uint8_t rsvd4[0x400 - 0xe0];

    struct vmcb_segment es, cs, ss, ds, fs, gs; /* 0x400 */
    struct vmcb_segment gdtr, ldtr, idtr, tr;   /* 0x460 */
    uint8_t rsvd5[0x4cb - 0x4a0];
    uint8_t cpl; /* 0x4cb */
    uint32_t rsvd6;
    uint64_t efer; /* 0x4d0 */
    uint8_t rsvd7[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6; /* 0x548 */
    uint64_t rflags, rip;             /* 0x570 */
    uint8_t rsvd8[0x5d8 - 0x580];
    uint64_t rsp; /* 0x5d8 */
    uint64_t s_cet, ssp, isst_addr;
    uint64_t rax;                                        /* 0x5f8 */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base; /* 0x600 */
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;    /* 0x628 */
    uint64_t cr2;                                        /* 0x640 */
    uint8_t rsvd9[0x668 - 0x648];
    uint64_t pat;      /* 0x668 */
    uint64_t debugctl; /* 0x670 */
    uint8_t rsvd10[0x1000 - 0x678];
};

_Static_assert(offsetof(struct vmcb, pause_filter_threshold) == 0x03c, "VMCB layout");
_Static_assert(offsetof(struct vmcb, asid) == 0x058, "VMCB layout");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x070, "VMCB layout");
_Static_assert(offsetof(struct vmcb, event_injection) == 0x0a8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, fetched_byte_count) == 0x0d0, "VMCB layout");
_Static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB layout");
_Static_assert(offsetof(struct vmcb, tr) == 0x490, "VMCB layout");
_Static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB layout");
_Static_assert(offsetof(struct vmcb, efer) == 0x4d0, "VMCB layout");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548, "VMCB layout");
_Static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, rax) == 0x5f8, "VMCB layout");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "VMCB layout");
_Static_assert(offsetof(struct vmcb, pat) == 0x668, "VMCB layout");
_Static_assert(sizeof(struct vmcb) == 0x1000, "VMCB layout");

/* The state save area, as far as it is defined here. */
#define VMCB_STATE_BYTES (offsetof(struct vmcb, rsvd10) - offsetof(struct vmcb, es))

static inline void *vmcb_state(struct vmcb *vmcb)
{
    return (uint8_t *)vmcb + offsetof(struct vmcb, es);
}

/* Attributes of a code segment. */
#define VMCB_SEGMENT_L  (1u << 9)
#define VMCB_SEGMENT_DB (1u << 10)

#define VMCB_CR_WRITE_CR8 (1u << 8)

#define VMCB_MISC1_INTR     (1u << 0)
#define VMCB_MISC1_NMI      (1u << 1)
#define VMCB_MISC1_VINTR    (1u << 4)
#define VMCB_MISC1_RDPMC    (1u << 15)
#define VMCB_MISC1_CPUID    (1u << 18)
#define VMCB_MISC1_IRET     (1u << 20)
#define VMCB_MISC1_INVD     (1u << 22)
#define VMCB_MISC1_PAUSE    (1u << 23)
#define VMCB_MISC1_HLT      (1u << 24)
#define VMCB_MISC1_INVLPGA  (1u << 26)
#define VMCB_MISC1_IOIO     (1u << 27)
#define VMCB_MISC1_MSR      (1u << 28)
#define VMCB_MISC1_SHUTDOWN (1u << 31)

#define VMCB_MISC2_VMRUN       (1u << 0)
#define VMCB_MISC2_VMMCALL     (1u << 1)
#define VMCB_MISC2_VMLOAD      (1u << 2)
#define VMCB_MISC2_VMSAVE      (1u << 3)
#define VMCB_MISC2_STGI        (1u << 4)
#define VMCB_MISC2_CLGI        (1u << 5)
#define VMCB_MISC2_SKINIT      (1u << 6)
#define VMCB_MISC2_WBINVD      (1u << 9)
#define VMCB_MISC2_MONITOR     (1u << 10)
#define VMCB_MISC2_MWAIT       (1u << 11)
#define VMCB_MISC2_MWAIT_ARMED (1u << 12)
#define VMCB_MISC2_XSETBV      (1u << 13)

#define VMCB_TLB_NONE      0u
#define VMCB_TLB_FLUSH_ALL 1u

#define VMCB_INT_TPR_MASK       0xffull
#define VMCB_INT_IRQ            (1ull << 8)
#define VMCB_INT_PRIORITY_SHIFT 16
#define VMCB_INT_PRIORITY_MASK  (0xfull << VMCB_INT_PRIORITY_SHIFT)
#define VMCB_INT_IGNORE_TPR     (1ull << 20)
#define VMCB_INT_MASKING        (1ull << 24)
#define VMCB_INT_VECTOR_SHIFT   32
#define VMCB_INT_VECTOR_MASK    (0xffull << VMCB_INT_VECTOR_SHIFT)

#define VMCB_EVENT_VECTOR_MASK 0xffull
#define VMCB_EVENT_TYPE_SHIFT  8
#define VMCB_EVENT_TYPE_MASK   (7ull << VMCB_EVENT_TYPE_SHIFT)
#define VMCB_EVENT_ERROR_VALID (1ull << 11)
#define VMCB_EVENT_VALID       (1ull << 31)
#define VMCB_EVENT_ERROR_SHIFT 32

/* Event types. APM vol. 2, Event Injection. */
enum vmcb_event_type {
    VMCB_EVENT_INTERRUPT = 0,
    VMCB_EVENT_NMI = 2,
    VMCB_EVENT_EXCEPTION = 3,
    VMCB_EVENT_SOFTWARE = 4,
};

/* Exit codes. APM vol. 2, Appendix "SVM Intercept Exit Codes". */
enum vmcb_exit {
    VMCB_EXIT_CR0_READ = 0x000,
    VMCB_EXIT_CR8_WRITE = 0x018,
    VMCB_EXIT_DR0_READ = 0x020,
    VMCB_EXIT_EXCEPTION_FIRST = 0x040,
    VMCB_EXIT_EXCEPTION_LAST = 0x05f,
    VMCB_EXIT_INTR = 0x060,
    VMCB_EXIT_NMI = 0x061,
    VMCB_EXIT_SMI = 0x062,
    VMCB_EXIT_INIT = 0x063,
    VMCB_EXIT_VINTR = 0x064,
    VMCB_EXIT_RDPMC = 0x06f,
    VMCB_EXIT_CPUID = 0x072,
    VMCB_EXIT_IRET = 0x074,
    VMCB_EXIT_INVD = 0x076,
    VMCB_EXIT_PAUSE = 0x077,
    VMCB_EXIT_HLT = 0x078,
    VMCB_EXIT_INVLPGA = 0x07a,
    VMCB_EXIT_IOIO = 0x07b,
    VMCB_EXIT_MSR = 0x07c,
    VMCB_EXIT_SHUTDOWN = 0x07f,
    VMCB_EXIT_VMRUN = 0x080,
    VMCB_EXIT_VMMCALL = 0x081,
    VMCB_EXIT_VMLOAD = 0x082,
    VMCB_EXIT_VMSAVE = 0x083,
    VMCB_EXIT_STGI = 0x084,
    VMCB_EXIT_CLGI = 0x085,
    VMCB_EXIT_SKINIT = 0x086,
    VMCB_EXIT_WBINVD = 0x089,
    VMCB_EXIT_MONITOR = 0x08a,
    VMCB_EXIT_MWAIT = 0x08b,
    VMCB_EXIT_MWAIT_ARMED = 0x08c,
    VMCB_EXIT_XSETBV = 0x08d,
    VMCB_EXIT_NPF = 0x400,
};

/* The processor writes -1 in 64 bits, KVM as an outer hypervisor in the low 32 only: compare those. */
#define VMCB_EXIT_INVALID UINT32_MAX

/* EXITINFO1 of VMCB_EXIT_IOIO. */
#define VMCB_IO_IN         (1u << 0)
#define VMCB_IO_STRING     (1u << 2)
#define VMCB_IO_REP        (1u << 3)
#define VMCB_IO_SIZE_SHIFT 4
#define VMCB_IO_SIZE_MASK  (7u << VMCB_IO_SIZE_SHIFT)
#define VMCB_IO_PORT_SHIFT 16

/* EXITINFO1 of VMCB_EXIT_NPF: a page-fault error code and where the access came from. */
#define VMCB_NPF_WRITE     (1ull << 1)
#define VMCB_NPF_EXECUTE   (1ull << 4)
#define VMCB_NPF_PAGE_WALK (1ull << 33)

#endif
