/* SPDX-License-Identifier: MIT */
#ifndef X86_X86_REGS_H
#define X86_X86_REGS_H

/*
 * Architectural names of the x86-64 processor: register numbers, control-register and flag bits,
 * segment attributes, exception vectors, page-fault error bits and model-specific registers.
 * Usable from assembly as well, hence plain macros without casts; 64-bit values carry X86_U64().
 */

#ifdef __ASSEMBLER__
#define X86_U64(value) value
#else
#define X86_U64(value) value##ull
#endif

/* General-purpose registers in encoding order. */
#define X86_GPR_RAX   0
#define X86_GPR_RCX   1
#define X86_GPR_RDX   2
#define X86_GPR_RBX   3
#define X86_GPR_RSP   4
#define X86_GPR_RBP   5
#define X86_GPR_RSI   6
#define X86_GPR_RDI   7
#define X86_GPR_R8    8
#define X86_GPR_R9    9
#define X86_GPR_R10   10
#define X86_GPR_R11   11
#define X86_GPR_R12   12
#define X86_GPR_R13   13
#define X86_GPR_R14   14
#define X86_GPR_R15   15
#define X86_GPR_COUNT 16

/* Segment registers in encoding order. */
#define X86_SEG_ES    0
#define X86_SEG_CS    1
#define X86_SEG_SS    2
#define X86_SEG_DS    3
#define X86_SEG_FS    4
#define X86_SEG_GS    5
#define X86_SEG_COUNT 6

/* RFLAGS. Bit 1 always reads as one. */
#define X86_RFLAGS_CF    X86_U64(0x000001)
#define X86_RFLAGS_FIXED X86_U64(0x000002)
#define X86_RFLAGS_PF    X86_U64(0x000004)
#define X86_RFLAGS_AF    X86_U64(0x000010)
#define X86_RFLAGS_ZF    X86_U64(0x000040)
#define X86_RFLAGS_SF    X86_U64(0x000080)
#define X86_RFLAGS_TF    X86_U64(0x000100)
#define X86_RFLAGS_IF    X86_U64(0x000200)
#define X86_RFLAGS_DF    X86_U64(0x000400)
#define X86_RFLAGS_OF    X86_U64(0x000800)
#define X86_RFLAGS_RF    X86_U64(0x010000)
#define X86_RFLAGS_VM    X86_U64(0x020000)
#define X86_RFLAGS_AC    X86_U64(0x040000)
#define X86_RFLAGS_STATUS                                                                                              \
    (X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_OF)
#define X86_RFLAGS_DEFINED X86_U64(0x3f7fd7)

/* CR0 */
#define X86_CR0_PE    X86_U64(0x00000001)
#define X86_CR0_MP    X86_U64(0x00000002)
#define X86_CR0_EM    X86_U64(0x00000004)
#define X86_CR0_TS    X86_U64(0x00000008)
#define X86_CR0_ET    X86_U64(0x00000010)
#define X86_CR0_NE    X86_U64(0x00000020)
#define X86_CR0_WP    X86_U64(0x00010000)
#define X86_CR0_AM    X86_U64(0x00040000)
#define X86_CR0_NW    X86_U64(0x20000000)
#define X86_CR0_CD    X86_U64(0x40000000)
#define X86_CR0_PG    X86_U64(0x80000000)
#define X86_CR0_RESET X86_U64(0x60000010)

/* CR3 */
#define X86_CR3_PWT            X86_U64(0x00000008)
#define X86_CR3_NO_FLUSH       X86_U64(0x8000000000000000)
#define X86_CR3_ADDRESS        X86_U64(0x000ffffffffff000)
#define X86_CR3_PAE_ADDRESS    X86_U64(0xffffffe0)
#define X86_CR3_LEGACY_ADDRESS X86_U64(0xfffff000)

/* CR4 */
#define X86_CR4_VME        X86_U64(0x00000001)
#define X86_CR4_PVI        X86_U64(0x00000002)
#define X86_CR4_TSD        X86_U64(0x00000004)
#define X86_CR4_DE         X86_U64(0x00000008)
#define X86_CR4_PSE        X86_U64(0x00000010)
#define X86_CR4_PAE        X86_U64(0x00000020)
#define X86_CR4_MCE        X86_U64(0x00000040)
#define X86_CR4_PGE        X86_U64(0x00000080)
#define X86_CR4_PCE        X86_U64(0x00000100)
#define X86_CR4_OSFXSR     X86_U64(0x00000200)
#define X86_CR4_OSXMMEXCPT X86_U64(0x00000400)
#define X86_CR4_UMIP       X86_U64(0x00000800)
#define X86_CR4_LA57       X86_U64(0x00001000)
#define X86_CR4_VMXE       X86_U64(0x00002000)
#define X86_CR4_SMXE       X86_U64(0x00004000)
#define X86_CR4_FSGSBASE   X86_U64(0x00010000)
#define X86_CR4_PCIDE      X86_U64(0x00020000)
#define X86_CR4_OSXSAVE    X86_U64(0x00040000)
#define X86_CR4_SMEP       X86_U64(0x00100000)
#define X86_CR4_SMAP       X86_U64(0x00200000)
#define X86_CR4_PKE        X86_U64(0x00400000)
#define X86_CR4_CET        X86_U64(0x00800000)

/* EFER */
#define X86_EFER_SCE   X86_U64(0x0001)
#define X86_EFER_LME   X86_U64(0x0100)
#define X86_EFER_LMA   X86_U64(0x0400)
#define X86_EFER_NXE   X86_U64(0x0800)
#define X86_EFER_SVME  X86_U64(0x1000)
#define X86_EFER_LMSLE X86_U64(0x2000)
#define X86_EFER_FFXSR X86_U64(0x4000)
#define X86_EFER_TCE   X86_U64(0x8000)

/* XCR0 */
#define X86_XCR0_X87       X86_U64(0x001)
#define X86_XCR0_SSE       X86_U64(0x002)
#define X86_XCR0_AVX       X86_U64(0x004)
#define X86_XCR0_OPMASK    X86_U64(0x020)
#define X86_XCR0_ZMM_HI256 X86_U64(0x040)
#define X86_XCR0_HI16_ZMM  X86_U64(0x080)
#define X86_XCR0_PKRU      X86_U64(0x200)

/* DR6 and DR7 */
#define X86_DR6_B0          X86_U64(0x0001)
#define X86_DR6_BREAKPOINTS X86_U64(0x000f)
#define X86_DR6_BD          X86_U64(0x2000)
#define X86_DR6_BS          X86_U64(0x4000)
#define X86_DR6_RESET       X86_U64(0xffff0ff0)
#define X86_DR7_GD          X86_U64(0x2000)
#define X86_DR7_RESET       X86_U64(0x0400)

/* Segment attributes: the access-rights form of the VMCS; bits 0-15 are also those of the Hyper-V ABI. */
#define X86_SEG_ATTR_TYPE      0x0000fu
#define X86_SEG_ATTR_S         0x00010u
#define X86_SEG_ATTR_DPL       0x00060u
#define X86_SEG_ATTR_DPL_SHIFT 5
#define X86_SEG_ATTR_P         0x00080u
#define X86_SEG_ATTR_L         0x02000u
#define X86_SEG_ATTR_DB        0x04000u
#define X86_SEG_ATTR_G         0x08000u
#define X86_SEG_ATTR_UNUSABLE  0x10000u

/* Bits of the type field of a code or data segment. */
#define X86_SEG_TYPE_ACCESSED    0x1u
#define X86_SEG_TYPE_WRITABLE    0x2u /* data segments */
#define X86_SEG_TYPE_READABLE    0x2u /* code segments */
#define X86_SEG_TYPE_EXPAND_DOWN 0x4u /* data segments */
#define X86_SEG_TYPE_CONFORMING  0x4u /* code segments */
#define X86_SEG_TYPE_CODE        0x8u

/* Types of system segments. */
#define X86_SEG_TYPE_LDT        0x2u
#define X86_SEG_TYPE_TSS_BUSY   0xbu
#define X86_SEG_TYPE_TSS16_BUSY 0x3u

/* Exception vectors */
#define X86_VECTOR_DE              0
#define X86_VECTOR_DB              1
#define X86_VECTOR_NMI             2
#define X86_VECTOR_BP              3
#define X86_VECTOR_OF              4
#define X86_VECTOR_BR              5
#define X86_VECTOR_UD              6
#define X86_VECTOR_NM              7
#define X86_VECTOR_DF              8
#define X86_VECTOR_TS              10
#define X86_VECTOR_NP              11
#define X86_VECTOR_SS              12
#define X86_VECTOR_GP              13
#define X86_VECTOR_PF              14
#define X86_VECTOR_MF              16
#define X86_VECTOR_AC              17
#define X86_VECTOR_MC              18
#define X86_VECTOR_XM              19
#define X86_VECTOR_CP              21
#define X86_VECTOR_EXCEPTION_COUNT 32

/* Page-fault error code */
#define X86_PF_PRESENT        0x0001u
#define X86_PF_WRITE          0x0002u
#define X86_PF_USER           0x0004u
#define X86_PF_RESERVED       0x0008u
#define X86_PF_FETCH          0x0010u
#define X86_PF_PROTECTION_KEY 0x0020u

/* Page-table entries */
#define X86_PTE_P          X86_U64(0x0001)
#define X86_PTE_W          X86_U64(0x0002)
#define X86_PTE_U          X86_U64(0x0004)
#define X86_PTE_PWT        X86_U64(0x0008)
#define X86_PTE_PCD        X86_U64(0x0010)
#define X86_PTE_A          X86_U64(0x0020)
#define X86_PTE_D          X86_U64(0x0040)
#define X86_PTE_PS         X86_U64(0x0080) /* above the last level */
#define X86_PTE_PAT        X86_U64(0x0080) /* last level */
#define X86_PTE_LARGE_PAT  X86_U64(0x1000) /* with PS set */
#define X86_PTE_NX         X86_U64(0x8000000000000000)
/* Of a present page-directory-pointer entry of 32-bit PAE paging: 2:1 and 8:5. */
#define X86_PDPTE_RESERVED X86_U64(0x1e6)
#define X86_PTE_ADDRESS    X86_U64(0x000ffffffffff000)

/* Memory types as encoded in the PAT, the MTRRs and the EPT */
#define X86_MEMORY_TYPE_UC       0
#define X86_MEMORY_TYPE_WC       1
#define X86_MEMORY_TYPE_WT       4
#define X86_MEMORY_TYPE_WP       5
#define X86_MEMORY_TYPE_WB       6
#define X86_MEMORY_TYPE_UC_MINUS 7

/* Model-specific registers */
#define X86_MSR_P5_MC_ADDR           0x00000000
#define X86_MSR_P5_MC_TYPE           0x00000001
#define X86_MSR_TSC                  0x00000010
#define X86_MSR_APIC_BASE            0x0000001b
#define X86_MSR_SPEC_CTRL            0x00000048
#define X86_MSR_BIOS_SIGN_ID         0x0000008b
#define X86_MSR_MTRRCAP              0x000000fe
#define X86_MSR_SYSENTER_CS          0x00000174
#define X86_MSR_SYSENTER_ESP         0x00000175
#define X86_MSR_SYSENTER_EIP         0x00000176
#define X86_MSR_MCG_CAP              0x00000179
#define X86_MSR_MCG_STATUS           0x0000017a
#define X86_MSR_MCG_CTL              0x0000017b
#define X86_MSR_DEBUGCTL             0x000001d9
#define X86_MSR_LAST_BRANCH_FROM_IP  0x000001db
#define X86_MSR_LAST_INT_TO_IP       0x000001de
#define X86_MSR_MTRR_PHYSBASE0       0x00000200
#define X86_MSR_MTRR_PHYSMASK0       0x00000201
#define X86_MSR_MTRR_PHYSBASE(index) (X86_MSR_MTRR_PHYSBASE0 + 2 * (index))
#define X86_MSR_MTRR_PHYSMASK(index) (X86_MSR_MTRR_PHYSMASK0 + 2 * (index))
#define X86_MSR_MTRR_FIX64K_00000    0x00000250
#define X86_MSR_MTRR_FIX16K_80000    0x00000258
#define X86_MSR_MTRR_FIX16K_A0000    0x00000259
#define X86_MSR_MTRR_FIX4K_C0000     0x00000268
#define X86_MSR_MTRR_FIX4K_C8000     0x00000269
#define X86_MSR_MTRR_FIX4K_D0000     0x0000026a
#define X86_MSR_MTRR_FIX4K_D8000     0x0000026b
#define X86_MSR_MTRR_FIX4K_E0000     0x0000026c
#define X86_MSR_MTRR_FIX4K_E8000     0x0000026d
#define X86_MSR_MTRR_FIX4K_F0000     0x0000026e
#define X86_MSR_MTRR_FIX4K_F8000     0x0000026f
#define X86_MSR_PAT                  0x00000277
#define X86_MSR_MTRR_DEF_TYPE        0x000002ff
#define X86_MSR_MC0_CTL              0x00000400
#define X86_MSR_MC_LAST              0x0000047f
#define X86_MSR_TSC_DEADLINE         0x000006e0
#define X86_MSR_X2APIC_FIRST         0x00000800
#define X86_MSR_X2APIC_LAST          0x000008ff
#define X86_MSR_X2APIC_APIC_ID       0x00000802
#define X86_MSR_X2APIC_VERSION       0x00000803
#define X86_MSR_X2APIC_TPR           0x00000808
#define X86_MSR_X2APIC_PPR           0x0000080a
#define X86_MSR_X2APIC_EOI           0x0000080b
#define X86_MSR_X2APIC_SVR           0x0000080f
#define X86_MSR_X2APIC_ISR0          0x00000810
#define X86_MSR_X2APIC_IRR0          0x00000820
#define X86_MSR_X2APIC_ESR           0x00000828
#define X86_MSR_X2APIC_ICR           0x00000830
#define X86_MSR_X2APIC_LVT_TIMER     0x00000832
#define X86_MSR_X2APIC_TIMER_INITIAL 0x00000838
#define X86_MSR_X2APIC_TIMER_CURRENT 0x00000839
#define X86_MSR_X2APIC_TIMER_DIVIDE  0x0000083e
#define X86_MSR_X2APIC_SELF_IPI      0x0000083f
#define X86_MSR_XSS                  0x00000da0

/* Model-specific registers of long mode */
#define X86_MSR_EFER           0xc0000080
#define X86_MSR_STAR           0xc0000081
#define X86_MSR_LSTAR          0xc0000082
#define X86_MSR_CSTAR          0xc0000083
#define X86_MSR_SFMASK         0xc0000084
#define X86_MSR_FS_BASE        0xc0000100
#define X86_MSR_GS_BASE        0xc0000101
#define X86_MSR_KERNEL_GS_BASE 0xc0000102
#define X86_MSR_TSC_AUX        0xc0000103

/* Model-specific registers of Intel processors */
#define X86_MSR_INTEL_PLATFORM_ID          0x00000017
#define X86_MSR_INTEL_EBL_CR_POWERON       0x0000002a
#define X86_MSR_INTEL_FEATURE_CONTROL      0x0000003a
#define X86_MSR_INTEL_BIOS_UPDT_TRIG       0x00000079
#define X86_MSR_INTEL_SMBASE               0x0000009e
#define X86_MSR_INTEL_FSB_FREQ             0x000000cd
#define X86_MSR_INTEL_PLATFORM_INFO        0x000000ce
#define X86_MSR_INTEL_PERF_STATUS          0x00000198
#define X86_MSR_INTEL_PERF_CTL             0x00000199
#define X86_MSR_INTEL_THERM_STATUS         0x0000019c
#define X86_MSR_INTEL_MISC_ENABLE          0x000001a0
#define X86_MSR_INTEL_TEMPERATURE_TARGET   0x000001a2
#define X86_MSR_INTEL_ENERGY_PERF_BIAS     0x000001b0
#define X86_MSR_INTEL_PACKAGE_THERM_STATUS 0x000001b1
#define X86_MSR_INTEL_MC0_CTL2             0x00000280
#define X86_MSR_VMX_BASIC                  0x00000480
#define X86_MSR_VMX_PINBASED_CTLS          0x00000481
#define X86_MSR_VMX_PROCBASED_CTLS         0x00000482
#define X86_MSR_VMX_EXIT_CTLS              0x00000483
#define X86_MSR_VMX_ENTRY_CTLS             0x00000484
#define X86_MSR_VMX_MISC                   0x00000485
#define X86_MSR_VMX_CR0_FIXED0             0x00000486
#define X86_MSR_VMX_CR0_FIXED1             0x00000487
#define X86_MSR_VMX_CR4_FIXED0             0x00000488
#define X86_MSR_VMX_CR4_FIXED1             0x00000489
#define X86_MSR_VMX_PROCBASED_CTLS2        0x0000048b
#define X86_MSR_VMX_EPT_VPID_CAP           0x0000048c
#define X86_MSR_VMX_TRUE_PINBASED_CTLS     0x0000048d
#define X86_MSR_VMX_TRUE_PROCBASED_CTLS    0x0000048e
#define X86_MSR_VMX_TRUE_EXIT_CTLS         0x0000048f
#define X86_MSR_VMX_TRUE_ENTRY_CTLS        0x00000490
#define X86_MSR_INTEL_DS_AREA              0x00000600
#define X86_MSR_INTEL_RAPL_POWER_UNIT      0x00000606
#define X86_MSR_INTEL_PM_ENABLE            0x00000770

/* Model-specific registers of AMD processors */
#define X86_MSR_AMD_SYSCFG             0xc0010010
#define X86_MSR_AMD_HWCR               0xc0010015
#define X86_MSR_AMD_IORR_BASE0         0xc0010016
#define X86_MSR_AMD_TOP_MEM            0xc001001a
#define X86_MSR_AMD_NB_CFG             0xc001001f
#define X86_MSR_AMD_PATCH_LOADER       0xc0010020
#define X86_MSR_AMD_TOP_MEM2           0xc001001d
#define X86_MSR_AMD_MC0_CTL_MASK       0xc0010044
#define X86_MSR_AMD_INT_PENDING        0xc0010055
#define X86_MSR_AMD_MMIO_CONF_BASE     0xc0010058
#define X86_MSR_AMD_PSTATE_LIMIT       0xc0010061
#define X86_MSR_AMD_SMM_ADDR           0xc0010112
#define X86_MSR_AMD_SMM_MASK           0xc0010113
#define X86_MSR_AMD_VM_CR              0xc0010114
#define X86_MSR_AMD_SMM_CTL            0xc0010116
#define X86_MSR_AMD_VM_HSAVE_PA        0xc0010117
#define X86_MSR_SVM_LOCK_KEY           0xc0010118
#define X86_MSR_AMD_GHCB               0xc0010130
#define X86_MSR_AMD_OSVW_ID_LENGTH     0xc0010140
#define X86_MSR_AMD_OSVW_STATUS        0xc0010141
#define X86_MSR_AMD_CPUID_FEATURES_7   0xc0011002
#define X86_MSR_AMD_CPUID_EXT_FEATURES 0xc0011005
#define X86_MSR_AMD_LS_CFG             0xc0011020
#define X86_MSR_AMD_DC_CFG             0xc0011022
#define X86_MSR_AMD_BU_CFG2            0xc001102a
#define X86_MSR_AMD_DE_CFG             0xc0011029

/* Fields of model-specific registers */
#define X86_APIC_BASE_BSP     X86_U64(0x100)
#define X86_APIC_BASE_X2APIC  X86_U64(0x400)
#define X86_APIC_BASE_ENABLE  X86_U64(0x800)
#define X86_APIC_BASE_ADDRESS X86_U64(0x000ffffffffff000)
#define X86_APIC_BASE_DEFAULT X86_U64(0xfee00000)

#define X86_FEATURE_CONTROL_LOCK            X86_U64(0x1)
#define X86_FEATURE_CONTROL_VMX_OUTSIDE_SMX X86_U64(0x4)

#define X86_VM_CR_LOCK   X86_U64(0x08)
#define X86_VM_CR_SVMDIS X86_U64(0x10)

#define X86_MTRRCAP_COUNT              X86_U64(0x0ff)
#define X86_MTRRCAP_FIXED              X86_U64(0x100)
#define X86_MTRRCAP_WC                 X86_U64(0x400)
#define X86_MTRR_DEF_TYPE_TYPE         X86_U64(0x0ff)
#define X86_MTRR_DEF_TYPE_FIXED_ENABLE X86_U64(0x400)
#define X86_MTRR_DEF_TYPE_ENABLE       X86_U64(0x800)
#define X86_MTRR_PHYSMASK_VALID        X86_U64(0x800)
#define X86_PAT_RESET                  X86_U64(0x0007040600070406)

#define X86_DEBUGCTL_LBR X86_U64(0x1)
#define X86_DEBUGCTL_BTF X86_U64(0x2)

#define X86_MISC_ENABLE_FAST_STRINGS     X86_U64(0x00000001)
#define X86_MISC_ENABLE_BTS_UNAVAILABLE  X86_U64(0x00000800)
#define X86_MISC_ENABLE_PEBS_UNAVAILABLE X86_U64(0x00001000)

/* Longest instruction the processor accepts. */
#define X86_INSN_LENGTH_MAX 15

#endif
