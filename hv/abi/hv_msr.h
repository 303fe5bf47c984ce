/* SPDX-License-Identifier: MIT */
/*
 * Synthetic MSRs and their fields (TLFS, Virtual Processor Management, Virtual
 * MSRs, Timers, and Inter-Partition Communication). The fields of SynIC and
 * timer MSRs are in hv_synic.h.
 */
#ifndef ABI_HV_MSR_H
#define ABI_HV_MSR_H

#include <stdint.h>

#define HV_X64_MSR_GUEST_OS_ID                   0x40000000u
#define HV_X64_MSR_HYPERCALL                     0x40000001u
#define HV_X64_MSR_VP_INDEX                      0x40000002u
#define HV_X64_MSR_RESET                         0x40000003u
#define HV_X64_MSR_VP_RUNTIME                    0x40000010u
#define HV_X64_MSR_TIME_REF_COUNT                0x40000020u
#define HV_X64_MSR_REFERENCE_TSC                 0x40000021u
#define HV_X64_MSR_TSC_FREQUENCY                 0x40000022u
#define HV_X64_MSR_APIC_FREQUENCY                0x40000023u
#define HV_X64_MSR_NPIEP_CONFIG                  0x40000040u
#define HV_X64_MSR_EOI                           0x40000070u
#define HV_X64_MSR_ICR                           0x40000071u
#define HV_X64_MSR_TPR                           0x40000072u
#define HV_X64_MSR_VP_ASSIST_PAGE                0x40000073u
#define HV_X64_MSR_SCONTROL                      0x40000080u
#define HV_X64_MSR_SVERSION                      0x40000081u
#define HV_X64_MSR_SIEFP                         0x40000082u
#define HV_X64_MSR_SIMP                          0x40000083u
#define HV_X64_MSR_EOM                           0x40000084u
#define HV_X64_MSR_SIRBP                         0x40000085u
/* SINT n is at SINT0 + n. */
#define HV_X64_MSR_SINT0                         0x40000090u
#define HV_X64_MSR_SINT15                        0x4000009Fu
/* Timer n has its config at STIMER0_CONFIG + 2 n and its count at STIMER0_COUNT + 2 n. */
#define HV_X64_MSR_STIMER0_CONFIG                0x400000B0u
#define HV_X64_MSR_STIMER0_COUNT                 0x400000B1u
#define HV_X64_MSR_STIMER1_CONFIG                0x400000B2u
#define HV_X64_MSR_STIMER1_COUNT                 0x400000B3u
#define HV_X64_MSR_STIMER2_CONFIG                0x400000B4u
#define HV_X64_MSR_STIMER2_COUNT                 0x400000B5u
#define HV_X64_MSR_STIMER3_CONFIG                0x400000B6u
#define HV_X64_MSR_STIMER3_COUNT                 0x400000B7u
#define HV_X64_MSR_POWER_STATE_TRIGGER_C1        0x400000C1u
#define HV_X64_MSR_POWER_STATE_TRIGGER_C2        0x400000C2u
#define HV_X64_MSR_POWER_STATE_TRIGGER_C3        0x400000C3u
#define HV_X64_MSR_POWER_STATE_CONFIG_C1         0x400000D1u
#define HV_X64_MSR_POWER_STATE_CONFIG_C2         0x400000D2u
#define HV_X64_MSR_POWER_STATE_CONFIG_C3         0x400000D3u
#define HV_X64_MSR_STATS_PARTITION_RETAIL_PAGE   0x400000E0u
#define HV_X64_MSR_STATS_PARTITION_INTERNAL_PAGE 0x400000E1u
#define HV_X64_MSR_STATS_VP_RETAIL_PAGE          0x400000E2u
#define HV_X64_MSR_STATS_VP_INTERNAL_PAGE        0x400000E3u
#define HV_X64_MSR_GUEST_IDLE                    0x400000F0u
#define HV_X64_MSR_SYNDBG_CONTROL                0x400000F1u
#define HV_X64_MSR_SYNDBG_STATUS                 0x400000F2u
#define HV_X64_MSR_SYNDBG_SEND_BUFFER            0x400000F3u
#define HV_X64_MSR_SYNDBG_RECEIVE_BUFFER         0x400000F4u
#define HV_X64_MSR_SYNDBG_PENDING_BUFFER         0x400000F5u
#define HV_X64_MSR_SYNDBG_OPTIONS                0x400000FFu
/* Parameter n is at CRASH_P0 + n. */
#define HV_X64_MSR_CRASH_P0                      0x40000100u
#define HV_X64_MSR_CRASH_P1                      0x40000101u
#define HV_X64_MSR_CRASH_P2                      0x40000102u
#define HV_X64_MSR_CRASH_P3                      0x40000103u
#define HV_X64_MSR_CRASH_P4                      0x40000104u
#define HV_X64_MSR_CRASH_CTL                     0x40000105u
#define HV_CRASH_PARAMETER_COUNT                 5u
#define HV_X64_MSR_REENLIGHTENMENT_CONTROL       0x40000106u
#define HV_X64_MSR_TSC_EMULATION_CONTROL         0x40000107u
#define HV_X64_MSR_TSC_EMULATION_STATUS          0x40000108u
#define HV_X64_MSR_STIME_UNHALTED_TIMER_CONFIG   0x40000114u
#define HV_X64_MSR_STIME_UNHALTED_TIMER_COUNT    0x40000115u
#define HV_X64_MSR_TSC_INVARIANT_CONTROL         0x40000118u
#define HV_X64_MSR_NESTED_VP_INDEX               0x40001002u
#define HV_X64_MSR_NESTED_SCONTROL               0x40001080u
#define HV_X64_MSR_NESTED_SVERSION               0x40001081u
#define HV_X64_MSR_NESTED_SIEFP                  0x40001082u
#define HV_X64_MSR_NESTED_SIMP                   0x40001083u
#define HV_X64_MSR_NESTED_EOM                    0x40001084u
#define HV_X64_MSR_NESTED_SINT0                  0x40001090u
/* The whole block that the interface may use; a number in it without a meaning faults. */
#define HV_X64_MSR_FIRST                         0x40000000u
#define HV_X64_MSR_LAST                          0x40001FFFu

/* GUEST_OS_ID, bit 63 clear: a proprietary system. */
#define HV_GUEST_OS_ID_BUILD_MASK            UINT64_C(0xFFFF)
#define HV_GUEST_OS_ID_SERVICE_VERSION_SHIFT 16
#define HV_GUEST_OS_ID_MINOR_VERSION_SHIFT   24
#define HV_GUEST_OS_ID_MAJOR_VERSION_SHIFT   32
#define HV_GUEST_OS_ID_OS_SHIFT              40
#define HV_GUEST_OS_ID_VENDOR_SHIFT          48
#define HV_GUEST_OS_ID_VENDOR_MASK           (UINT64_C(0x7FFF) << 48)
/* GUEST_OS_ID, bit 63 set: an open system. */
#define HV_GUEST_OS_ID_OPEN_SOURCE           (UINT64_C(1) << 63)
#define HV_GUEST_OS_ID_OPEN_VERSION_SHIFT    16
#define HV_GUEST_OS_ID_OPEN_VERSION_MASK     (UINT64_C(0xFFFFFFFF) << 16)
#define HV_GUEST_OS_ID_OPEN_OS_SHIFT         48
#define HV_GUEST_OS_ID_OPEN_TYPE_SHIFT       56
#define HV_GUEST_OS_ID_OPEN_TYPE_MASK        (UINT64_C(0x7F) << 56)
#define HV_GUEST_OS_TYPE_LINUX               1u
#define HV_GUEST_OS_TYPE_FREEBSD             2u
#define HV_GUEST_OS_TYPE_XEN                 3u
#define HV_GUEST_OS_TYPE_ILLUMOS             4u

/*
 * The page MSRs (HYPERCALL, REFERENCE_TSC, VP_ASSIST_PAGE, SIEFP, SIMP, SIRBP)
 * have one form: bit 0 enables, bits 63:12 are the guest page number. The bits
 * between are kept as written.
 */
#define HV_X64_MSR_PAGE_ENABLE      UINT64_C(1)
#define HV_X64_MSR_PAGE_GPFN_SHIFT  12
#define HV_X64_MSR_PAGE_GPFN_MASK   (~UINT64_C(0xFFF))
/* HYPERCALL only: no change until reset. */
#define HV_X64_MSR_HYPERCALL_ENABLE UINT64_C(1)
#define HV_X64_MSR_HYPERCALL_LOCKED (UINT64_C(1) << 1)

/* The page number that a page MSR holds. */
static inline uint64_t hv_msr_page_gpfn(uint64_t value)
{
    return value >> HV_X64_MSR_PAGE_GPFN_SHIFT;
}

/* A page MSR's value for a page number and the enable bit (0 or 1). */
static inline uint64_t hv_msr_page_value(uint64_t gpfn, uint64_t enable)
{
    return (gpfn << HV_X64_MSR_PAGE_GPFN_SHIFT) | (enable & HV_X64_MSR_PAGE_ENABLE);
}

#define HV_X64_MSR_RESET_SYSTEM UINT64_C(1)

/* EOI: bits 31:0 are ignored, the others reserved zero. */
#define HV_X64_MSR_EOI_RSVDZ_MASK (UINT64_C(0xFFFFFFFF) << 32)
/* ICR: the xAPIC's low register in 31:0, its high register in 63:32. */
#define HV_X64_MSR_ICR_LOW_MASK   UINT64_C(0xFFFFFFFF)
#define HV_X64_MSR_ICR_HIGH_SHIFT 32
#define HV_X64_MSR_TPR_MASK       UINT64_C(0xFF)

#define HV_CRASH_CTL_PRE_OS_ID_SHIFT 58
#define HV_CRASH_CTL_PRE_OS_ID_MASK  (UINT64_C(7) << 58)
#define HV_CRASH_CTL_NO_CRASH_DUMP   (UINT64_C(1) << 61)
#define HV_CRASH_CTL_CRASH_MESSAGE   (UINT64_C(1) << 62)
#define HV_CRASH_CTL_CRASH_NOTIFY    (UINT64_C(1) << 63)
/* Longest text that P4 may announce. */
#define HV_CRASH_MESSAGE_MAX_BYTES   4096u

#define HV_REENLIGHTENMENT_VECTOR_MASK      UINT64_C(0xFF)
#define HV_REENLIGHTENMENT_ENABLED          (UINT64_C(1) << 16)
#define HV_REENLIGHTENMENT_TARGET_VP_SHIFT  32
#define HV_TSC_EMULATION_CONTROL_ENABLED    UINT64_C(1)
#define HV_TSC_EMULATION_STATUS_IN_PROGRESS UINT64_C(1)
#define HV_TSC_INVARIANT_CONTROL_EXPOSE     UINT64_C(1)

#define HV_SYNDBG_CONTROL_SEND           UINT64_C(1)
#define HV_SYNDBG_CONTROL_RECEIVE        (UINT64_C(1) << 1)
#define HV_SYNDBG_CONTROL_SIZE_SHIFT     16
#define HV_SYNDBG_STATUS_SEND_DONE       UINT64_C(1)
#define HV_SYNDBG_STATUS_RECEIVE_DONE    (UINT64_C(1) << 2)
#define HV_SYNDBG_STATUS_RESET           (UINT64_C(1) << 3)
#define HV_SYNDBG_OPTIONS_USE_HYPERCALLS (UINT64_C(1) << 2)

/* STIME_UNHALTED_TIMER_CONFIG. */
#define HV_STIME_UNHALTED_VECTOR_MASK UINT64_C(0xFF)
#define HV_STIME_UNHALTED_ENABLED     (UINT64_C(1) << 8)

#endif
