/* SPDX-License-Identifier: MIT */
/*
 * Virtual processor registers: names, and the formats of their values (TLFS,
 * Data Types, HV_REGISTER_NAME and HV_REGISTER_VALUE). Every value travels as 16
 * bytes; what is narrower is zero-extended.
 */
#ifndef ABI_HV_REGISTER_H
#define ABI_HV_REGISTER_H

#include <stddef.h>
#include <stdint.h>

/* Suspension and activity. */
#define HvRegisterExplicitSuspend           0x00000000u
#define HvRegisterInterceptSuspend          0x00000001u
#define HvRegisterInstructionEmulationHints 0x00000002u
#define HvRegisterDispatchSuspend           0x00000003u
#define HvRegisterInternalActivityState     0x00000004u

/* Version and feature leaves; the 128 bits are EAX, EBX, ECX, EDX. Read only. */
#define HvRegisterHypervisorVersion         0x00000100u
#define HvRegisterPrivilegesAndFeaturesInfo 0x00000200u
#define HvRegisterFeaturesInfo              0x00000201u
#define HvRegisterImplementationLimitsInfo  0x00000202u
#define HvRegisterHardwareFeaturesInfo      0x00000203u
#define HvRegisterCpuManagementFeaturesInfo 0x00000204u
#define HvRegisterPasidFeaturesInfo         0x00000205u
#define HvRegisterSkipLevelFeaturesInfo     0x00000206u
#define HvRegisterNestedVirtFeaturesInfo    0x00000207u
#define HvRegisterIptFeaturesInfo           0x00000208u
#define HvRegisterIsolationConfiguration    0x00000209u

/* Guest crash. */
#define HvRegisterGuestCrashP0  0x00000210u
#define HvRegisterGuestCrashP1  0x00000211u
#define HvRegisterGuestCrashP2  0x00000212u
#define HvRegisterGuestCrashP3  0x00000213u
#define HvRegisterGuestCrashP4  0x00000214u
#define HvRegisterGuestCrashCtl 0x00000215u

/* Frequencies in Hz. */
#define HvRegisterProcessorClockFrequency 0x00000240u
#define HvRegisterInterruptClockFrequency 0x00000241u

/* Guest idle and others. */
#define HvRegisterGuestIdle            0x00000250u
#define HvRegisterDebugDeviceOptions   0x00000260u
#define HvRegisterMemoryZeroingControl 0x00000270u

/* Interruption and event state. */
#define HvRegisterPendingInterruption            0x00010002u
#define HvRegisterInterruptState                 0x00010003u
#define HvRegisterPendingEvent0                  0x00010004u
#define HvRegisterPendingEvent1                  0x00010005u
#define HvX64RegisterDeliverabilityNotifications 0x00010006u
#define HvX64RegisterPendingDebugException       0x00010007u
#define HvRegisterPendingEvent2                  0x00010008u
#define HvRegisterPendingEvent3                  0x00010009u

/* General purpose, in the order of the instruction encoding. */
#define HvX64RegisterRax    0x00020000u
#define HvX64RegisterRcx    0x00020001u
#define HvX64RegisterRdx    0x00020002u
#define HvX64RegisterRbx    0x00020003u
#define HvX64RegisterRsp    0x00020004u
#define HvX64RegisterRbp    0x00020005u
#define HvX64RegisterRsi    0x00020006u
#define HvX64RegisterRdi    0x00020007u
#define HvX64RegisterR8     0x00020008u
#define HvX64RegisterR9     0x00020009u
#define HvX64RegisterR10    0x0002000Au
#define HvX64RegisterR11    0x0002000Bu
#define HvX64RegisterR12    0x0002000Cu
#define HvX64RegisterR13    0x0002000Du
#define HvX64RegisterR14    0x0002000Eu
#define HvX64RegisterR15    0x0002000Fu
#define HvX64RegisterRip    0x00020010u
#define HvX64RegisterRflags 0x00020011u

/* Floating point and vector. XMM n is at Xmm0 + n, x87 register n at FpMmx0 + n. */
#define HvX64RegisterXmm0             0x00030000u
#define HvX64RegisterXmm1             0x00030001u
#define HvX64RegisterXmm2             0x00030002u
#define HvX64RegisterXmm3             0x00030003u
#define HvX64RegisterXmm4             0x00030004u
#define HvX64RegisterXmm5             0x00030005u
#define HvX64RegisterXmm6             0x00030006u
#define HvX64RegisterXmm7             0x00030007u
#define HvX64RegisterXmm8             0x00030008u
#define HvX64RegisterXmm9             0x00030009u
#define HvX64RegisterXmm10            0x0003000Au
#define HvX64RegisterXmm11            0x0003000Bu
#define HvX64RegisterXmm12            0x0003000Cu
#define HvX64RegisterXmm13            0x0003000Du
#define HvX64RegisterXmm14            0x0003000Eu
#define HvX64RegisterXmm15            0x0003000Fu
#define HvX64RegisterFpMmx0           0x00030010u
#define HvX64RegisterFpMmx1           0x00030011u
#define HvX64RegisterFpMmx2           0x00030012u
#define HvX64RegisterFpMmx3           0x00030013u
#define HvX64RegisterFpMmx4           0x00030014u
#define HvX64RegisterFpMmx5           0x00030015u
#define HvX64RegisterFpMmx6           0x00030016u
#define HvX64RegisterFpMmx7           0x00030017u
#define HvX64RegisterFpControlStatus  0x00030018u
#define HvX64RegisterXmmControlStatus 0x00030019u

/* Control registers. */
#define HvX64RegisterCr0             0x00040000u
#define HvX64RegisterCr2             0x00040001u
#define HvX64RegisterCr3             0x00040002u
#define HvX64RegisterCr4             0x00040003u
#define HvX64RegisterCr8             0x00040004u
#define HvX64RegisterXfem            0x00040005u
#define HvX64RegisterIntermediateCr0 0x00041000u
#define HvX64RegisterIntermediateCr3 0x00041002u
#define HvX64RegisterIntermediateCr4 0x00041003u
#define HvX64RegisterIntermediateCr8 0x00041004u

/* Debug registers. */
#define HvX64RegisterDr0 0x00050000u
#define HvX64RegisterDr1 0x00050001u
#define HvX64RegisterDr2 0x00050002u
#define HvX64RegisterDr3 0x00050003u
#define HvX64RegisterDr6 0x00050004u
#define HvX64RegisterDr7 0x00050005u

/* Segment and table registers. */
#define HvX64RegisterEs   0x00060000u
#define HvX64RegisterCs   0x00060001u
#define HvX64RegisterSs   0x00060002u
#define HvX64RegisterDs   0x00060003u
#define HvX64RegisterFs   0x00060004u
#define HvX64RegisterGs   0x00060005u
#define HvX64RegisterLdtr 0x00060006u
#define HvX64RegisterTr   0x00060007u
#define HvX64RegisterIdtr 0x00070000u
#define HvX64RegisterGdtr 0x00070001u

/* Architectural MSRs. */
#define HvX64RegisterTsc                   0x00080000u
#define HvX64RegisterEfer                  0x00080001u
#define HvX64RegisterKernelGsBase          0x00080002u
#define HvX64RegisterApicBase              0x00080003u
#define HvX64RegisterPat                   0x00080004u
#define HvX64RegisterSysenterCs            0x00080005u
#define HvX64RegisterSysenterEip           0x00080006u
#define HvX64RegisterSysenterEsp           0x00080007u
#define HvX64RegisterStar                  0x00080008u
#define HvX64RegisterLstar                 0x00080009u
#define HvX64RegisterCstar                 0x0008000Au
#define HvX64RegisterSfmask                0x0008000Bu
#define HvX64RegisterInitialApicId         0x0008000Cu
#define HvX64RegisterMsrMtrrCap            0x0008000Du
#define HvX64RegisterMsrMtrrDefType        0x0008000Eu
#define HvX64RegisterMsrMtrrPhysBase0      0x00080010u
#define HvX64RegisterMsrMtrrPhysBase1      0x00080011u
#define HvX64RegisterMsrMtrrPhysBase2      0x00080012u
#define HvX64RegisterMsrMtrrPhysBase3      0x00080013u
#define HvX64RegisterMsrMtrrPhysBase4      0x00080014u
#define HvX64RegisterMsrMtrrPhysBase5      0x00080015u
#define HvX64RegisterMsrMtrrPhysBase6      0x00080016u
#define HvX64RegisterMsrMtrrPhysBase7      0x00080017u
#define HvX64RegisterMsrMtrrPhysBase8      0x00080018u
#define HvX64RegisterMsrMtrrPhysBase9      0x00080019u
#define HvX64RegisterMsrMtrrPhysBaseA      0x0008001Au
#define HvX64RegisterMsrMtrrPhysBaseB      0x0008001Bu
#define HvX64RegisterMsrMtrrPhysBaseC      0x0008001Cu
#define HvX64RegisterMsrMtrrPhysBaseD      0x0008001Du
#define HvX64RegisterMsrMtrrPhysBaseE      0x0008001Eu
#define HvX64RegisterMsrMtrrPhysBaseF      0x0008001Fu
#define HvX64RegisterMsrMtrrPhysMask0      0x00080040u
#define HvX64RegisterMsrMtrrPhysMask1      0x00080041u
#define HvX64RegisterMsrMtrrPhysMask2      0x00080042u
#define HvX64RegisterMsrMtrrPhysMask3      0x00080043u
#define HvX64RegisterMsrMtrrPhysMask4      0x00080044u
#define HvX64RegisterMsrMtrrPhysMask5      0x00080045u
#define HvX64RegisterMsrMtrrPhysMask6      0x00080046u
#define HvX64RegisterMsrMtrrPhysMask7      0x00080047u
#define HvX64RegisterMsrMtrrPhysMask8      0x00080048u
#define HvX64RegisterMsrMtrrPhysMask9      0x00080049u
#define HvX64RegisterMsrMtrrPhysMaskA      0x0008004Au
#define HvX64RegisterMsrMtrrPhysMaskB      0x0008004Bu
#define HvX64RegisterMsrMtrrPhysMaskC      0x0008004Cu
#define HvX64RegisterMsrMtrrPhysMaskD      0x0008004Du
#define HvX64RegisterMsrMtrrPhysMaskE      0x0008004Eu
#define HvX64RegisterMsrMtrrPhysMaskF      0x0008004Fu
#define HvX64RegisterMsrMtrrFix64k00000    0x00080070u
#define HvX64RegisterMsrMtrrFix16k80000    0x00080071u
#define HvX64RegisterMsrMtrrFix16kA0000    0x00080072u
#define HvX64RegisterMsrMtrrFix4kC0000     0x00080073u
#define HvX64RegisterMsrMtrrFix4kC8000     0x00080074u
#define HvX64RegisterMsrMtrrFix4kD0000     0x00080075u
#define HvX64RegisterMsrMtrrFix4kD8000     0x00080076u
#define HvX64RegisterMsrMtrrFix4kE0000     0x00080077u
#define HvX64RegisterMsrMtrrFix4kE8000     0x00080078u
#define HvX64RegisterMsrMtrrFix4kF0000     0x00080079u
#define HvX64RegisterMsrMtrrFix4kF8000     0x0008007Au
#define HvX64RegisterTscAux                0x0008007Bu
#define HvX64RegisterBndcfgs               0x0008007Cu
#define HvX64RegisterDebugCtl              0x0008007Du
#define HvX64RegisterMCount                0x0008007Eu
#define HvX64RegisterACount                0x0008007Fu
#define HvX64RegisterSgxLaunchControl0     0x00080080u
#define HvX64RegisterSgxLaunchControl1     0x00080081u
#define HvX64RegisterSgxLaunchControl2     0x00080082u
#define HvX64RegisterSgxLaunchControl3     0x00080083u
#define HvX64RegisterSpecCtrl              0x00080084u
#define HvX64RegisterPredCmd               0x00080085u
#define HvX64RegisterVirtSpecCtrl          0x00080086u
#define HvX64RegisterTscVirtualOffset      0x00080087u
#define HvX64RegisterTsxCtrl               0x00080088u
#define HvX64RegisterMsrMcUpdatePatchLevel 0x00080089u
#define HvX64RegisterXss                   0x0008008Bu
#define HvX64RegisterUCet                  0x0008008Cu
#define HvX64RegisterSCet                  0x0008008Du
#define HvX64RegisterSsp                   0x0008008Eu
#define HvX64RegisterPl0Ssp                0x0008008Fu
#define HvX64RegisterPl1Ssp                0x00080090u
#define HvX64RegisterPl2Ssp                0x00080091u
#define HvX64RegisterPl3Ssp                0x00080092u
#define HvX64RegisterInterruptSspTableAddr 0x00080093u
#define HvX64RegisterTscVirtualMultiplier  0x00080094u
#define HvX64RegisterTscDeadline           0x00080095u
#define HvX64RegisterTscAdjust             0x00080096u
#define HvX64RegisterPasid                 0x00080097u
#define HvX64RegisterUmwaitControl         0x00080098u
#define HvX64RegisterXfd                   0x00080099u
#define HvX64RegisterXfdErr                0x0008009Au
#define HvX64RegisterMsrIa32MiscEnable     0x000800A0u
#define HvX64RegisterIa32FeatureControl    0x000800A1u
#define HvX64RegisterIa32VmxBasic          0x000800A2u
#define HvX64RegisterMsrSvmHsavePa         0x000800B3u
#define HvX64RegisterMsrVmCr               0x000800B4u

/* Local APIC, at ApicFirst plus the x2APIC register number. */
#define HvX64RegisterApicFirst        0x00084800u
#define HvX64RegisterApicId           0x00084802u
#define HvX64RegisterApicVersion      0x00084803u
#define HvX64RegisterApicTpr          0x00084808u
#define HvX64RegisterApicPpr          0x0008480Au
#define HvX64RegisterApicEoi          0x0008480Bu
#define HvX64RegisterApicLdr          0x0008480Du
#define HvX64RegisterApicSpurious     0x0008480Fu
#define HvX64RegisterApicIsr0         0x00084810u
#define HvX64RegisterApicTmr0         0x00084818u
#define HvX64RegisterApicIrr0         0x00084820u
#define HvX64RegisterApicEse          0x00084828u
#define HvX64RegisterApicIcr          0x00084830u
#define HvX64RegisterApicLvtTimer     0x00084832u
#define HvX64RegisterApicLvtThermal   0x00084833u
#define HvX64RegisterApicLvtPerfmon   0x00084834u
#define HvX64RegisterApicLvtLint0     0x00084835u
#define HvX64RegisterApicLvtLint1     0x00084836u
#define HvX64RegisterApicLvtError     0x00084837u
#define HvX64RegisterApicInitCount    0x00084838u
#define HvX64RegisterApicCurrentCount 0x00084839u
#define HvX64RegisterApicDivide       0x0008483Eu
#define HvX64RegisterApicSelfIpi      0x0008483Fu
#define HvX64RegisterApicLast         0x0008483Fu

/* Synthetic MSRs. */
#define HvRegisterVpRuntime               0x00090000u
#define HvX64RegisterHypercall            0x00090001u
#define HvRegisterGuestOsId               0x00090002u
#define HvRegisterVpIndex                 0x00090003u
#define HvRegisterTimeRefCount            0x00090004u
#define HvRegisterCpuManagementVersion    0x00090007u
#define HvX64RegisterEoi                  0x00090010u
#define HvX64RegisterIcr                  0x00090011u
#define HvX64RegisterTpr                  0x00090012u
#define HvRegisterVpAssistPage            0x00090013u
#define HvRegisterVpRootSignalCount       0x00090014u
#define HvRegisterReferenceTsc            0x00090017u
#define HvRegisterVpConfig                0x00090018u
#define HvRegisterGhcb                    0x00090019u
#define HvRegisterReferenceTscSequence    0x0009001Au
#define HvRegisterGuestSchedulerEvent     0x0009001Bu
#define HvX64RegisterRegisterPage         0x0009001Cu
#define HvRegisterStatsPartitionRetail    0x00090020u
#define HvRegisterStatsVpRetail           0x00090022u
#define HvX64RegisterEmulatedTimerPeriod  0x00090030u
#define HvX64RegisterEmulatedTimerControl 0x00090031u
#define HvX64RegisterPmTimerAssist        0x00090032u
#define HvX64RegisterSevControl           0x00090040u
#define HvX64RegisterSevGhcbGpa           0x00090041u
#define HvX64RegisterSevAvicGpa           0x00090043u
#define HvRegisterNestedVpIndex           0x00091003u

/* SynIC. SINT n is at Sint0 + n. */
#define HvRegisterSint0          0x000A0000u
#define HvRegisterSint1          0x000A0001u
#define HvRegisterSint2          0x000A0002u
#define HvRegisterSint3          0x000A0003u
#define HvRegisterSint4          0x000A0004u
#define HvRegisterSint5          0x000A0005u
#define HvRegisterSint6          0x000A0006u
#define HvRegisterSint7          0x000A0007u
#define HvRegisterSint8          0x000A0008u
#define HvRegisterSint9          0x000A0009u
#define HvRegisterSint10         0x000A000Au
#define HvRegisterSint11         0x000A000Bu
#define HvRegisterSint12         0x000A000Cu
#define HvRegisterSint13         0x000A000Du
#define HvRegisterSint14         0x000A000Eu
#define HvRegisterSint15         0x000A000Fu
#define HvRegisterScontrol       0x000A0010u
#define HvRegisterSversion       0x000A0011u
#define HvRegisterSiefp          0x000A0012u
#define HvRegisterSimp           0x000A0013u
#define HvRegisterEom            0x000A0014u
#define HvRegisterSirbp          0x000A0015u
#define HvRegisterNestedSint0    0x000A1000u
#define HvRegisterNestedScontrol 0x000A1010u
#define HvRegisterNestedSversion 0x000A1011u
#define HvRegisterNestedSiefp    0x000A1012u
#define HvRegisterNestedSimp     0x000A1013u
#define HvRegisterNestedEom      0x000A1014u
#define HvRegisterNestedSirbp    0x000A1015u

/* Synthetic timers. */
#define HvRegisterStimer0Config            0x000B0000u
#define HvRegisterStimer0Count             0x000B0001u
#define HvRegisterStimer1Config            0x000B0002u
#define HvRegisterStimer1Count             0x000B0003u
#define HvRegisterStimer2Config            0x000B0004u
#define HvRegisterStimer2Count             0x000B0005u
#define HvRegisterStimer3Config            0x000B0006u
#define HvRegisterStimer3Count             0x000B0007u
#define HvRegisterStimeUnhaltedTimerConfig 0x000B0100u
#define HvRegisterStimeUnhaltedTimerCount  0x000B0101u

/* Virtual secure mode. */
#define HvRegisterVsmCodePageOffsets               0x000D0002u
#define HvRegisterVsmVpStatus                      0x000D0003u
#define HvRegisterVsmPartitionStatus               0x000D0004u
#define HvRegisterVsmVina                          0x000D0005u
#define HvRegisterVsmCapabilities                  0x000D0006u
#define HvRegisterVsmPartitionConfig               0x000D0007u
#define HvRegisterGuestVsmPartitionConfig          0x000D0008u
#define HvRegisterVsmVpSecureConfigVtl0            0x000D0010u
#define HvRegisterVsmVpWaitForTlbLock              0x000D0020u
#define HvRegisterIsolationCapabilities            0x000D0100u
#define HvX64RegisterCrInterceptControl            0x000E0000u
#define HvX64RegisterCrInterceptCr0Mask            0x000E0001u
#define HvX64RegisterCrInterceptCr4Mask            0x000E0002u
#define HvX64RegisterCrInterceptIa32MiscEnableMask 0x000E0003u

/* ExplicitSuspend, InterceptSuspend, DispatchSuspend. */
#define HV_SUSPEND_SUSPENDED                   UINT64_C(1)
/* InterceptSuspend: the TLB stays locked while the intercept is handled. */
#define HV_INTERCEPT_SUSPEND_TLB_FLUSH_INHIBIT (UINT64_C(1) << 1)

/* InternalActivityState. */
#define HV_ACTIVITY_STARTUP_SUSPEND UINT64_C(1)
#define HV_ACTIVITY_HALT_SUSPEND    (UINT64_C(1) << 1)
#define HV_ACTIVITY_IDLE_SUSPEND    (UINT64_C(1) << 2)
#define HV_ACTIVITY_VALID_MASK      UINT64_C(7)

/* InstructionEmulationHints. */
#define HV_EMULATION_HINT_PARTITION_SECURE_VTL_ENABLED UINT64_C(1)
#define HV_EMULATION_HINT_MBEC_USER_EXECUTE_CONTROL    (UINT64_C(1) << 1)

/* InterruptState. */
#define HV_INTERRUPT_STATE_INTERRUPT_SHADOW UINT64_C(1)
#define HV_INTERRUPT_STATE_NMI_MASKED       (UINT64_C(1) << 1)
#define HV_INTERRUPT_STATE_VALID_MASK       UINT64_C(3)

/* PendingInterruption: an event whose delivery was cut off, or one to inject. */
#define HV_PENDING_INTERRUPTION_PENDING                  UINT64_C(1)
#define HV_PENDING_INTERRUPTION_TYPE_SHIFT               1
#define HV_PENDING_INTERRUPTION_TYPE_MASK                (UINT64_C(7) << 1)
#define HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE       (UINT64_C(1) << 4)
#define HV_PENDING_INTERRUPTION_INSTRUCTION_LENGTH_SHIFT 5
#define HV_PENDING_INTERRUPTION_INSTRUCTION_LENGTH_MASK  (UINT64_C(0xF) << 5)
#define HV_PENDING_INTERRUPTION_NESTED_EVENT             (UINT64_C(1) << 9)
#define HV_PENDING_INTERRUPTION_RSVDZ_MASK               (UINT64_C(0x3F) << 10)
#define HV_PENDING_INTERRUPTION_VECTOR_SHIFT             16
#define HV_PENDING_INTERRUPTION_VECTOR_MASK              (UINT64_C(0xFFFF) << 16)
#define HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT         32
#define HV_X64_PENDING_INTERRUPT                         0u
#define HV_X64_PENDING_NMI                               2u
#define HV_X64_PENDING_EXCEPTION                         3u
#define HV_X64_PENDING_SOFTWARE_INTERRUPT                4u
#define HV_X64_PENDING_PRIVILEGED_SOFTWARE_EXCEPTION     5u
#define HV_X64_PENDING_SOFTWARE_EXCEPTION                6u

/* The PendingInterruption value without instruction length; type is one of HV_X64_PENDING_*. */
static inline uint64_t hv_pending_interruption(uint32_t type, uint32_t vector)
{
    return HV_PENDING_INTERRUPTION_PENDING | ((uint64_t)type << HV_PENDING_INTERRUPTION_TYPE_SHIFT) |
           ((uint64_t)vector << HV_PENDING_INTERRUPTION_VECTOR_SHIFT);
}

static inline uint32_t hv_pending_interruption_type(uint64_t value)
{
    return (uint32_t)((value & HV_PENDING_INTERRUPTION_TYPE_MASK) >> HV_PENDING_INTERRUPTION_TYPE_SHIFT);
}

static inline uint32_t hv_pending_interruption_vector(uint64_t value)
{
    return (uint32_t)((value & HV_PENDING_INTERRUPTION_VECTOR_MASK) >> HV_PENDING_INTERRUPTION_VECTOR_SHIFT);
}

/* Of a software interrupt: the length of the instruction, at which RIP is then; with 0, RIP is behind it. */
static inline uint32_t hv_pending_interruption_insn_length(uint64_t value)
{
    return (uint32_t)((value & HV_PENDING_INTERRUPTION_INSTRUCTION_LENGTH_MASK) >>
                      HV_PENDING_INTERRUPTION_INSTRUCTION_LENGTH_SHIFT);
}

static inline uint32_t hv_pending_interruption_error_code(uint64_t value)
{
    return (uint32_t)(value >> HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT);
}

/* PendingEvent0-3, low quadword of the first register. */
#define HV_PENDING_EVENT_PENDING                     UINT64_C(1)
#define HV_PENDING_EVENT_TYPE_SHIFT                  1
#define HV_PENDING_EVENT_TYPE_MASK                   (UINT64_C(7) << 1)
#define HV_X64_PENDING_EVENT_EXCEPTION               0u
#define HV_X64_PENDING_EVENT_MEMORY_INTERCEPT        1u
#define HV_X64_PENDING_EVENT_NESTED_MEMORY_INTERCEPT 2u
#define HV_X64_PENDING_EVENT_VIRTUALIZATION_FAULT    3u
#define HV_X64_PENDING_EVENT_HYPERCALL_OUTPUT        4u
#define HV_X64_PENDING_EVENT_EXT_INT                 5u
#define HV_X64_PENDING_EVENT_SHADOW_IPT              6u
/* Type exception: the high quadword is the parameter (CR2, DR6 and the like). */
#define HV_PENDING_EVENT_DELIVER_ERROR_CODE          (UINT64_C(1) << 8)
#define HV_PENDING_EVENT_VECTOR_SHIFT                16
#define HV_PENDING_EVENT_VECTOR_MASK                 (UINT64_C(0xFFFF) << 16)
#define HV_PENDING_EVENT_ERROR_CODE_SHIFT            32
/* Type hypercall output. */
#define HV_PENDING_EVENT_HYPERCALL_RETIRED           (UINT64_C(1) << 8)
#define HV_PENDING_EVENT_HYPERCALL_SIZE_SHIFT        32
/* Type external interrupt. */
#define HV_PENDING_EVENT_EXT_INT_VECTOR_SHIFT        8
#define HV_PENDING_EVENT_EXT_INT_VECTOR_MASK         (UINT64_C(0xFF) << 8)

/* Low quadword of PendingEvent0 for an exception. */
static inline uint64_t hv_pending_exception_event(uint32_t vector)
{
    return HV_PENDING_EVENT_PENDING | ((uint64_t)HV_X64_PENDING_EVENT_EXCEPTION << HV_PENDING_EVENT_TYPE_SHIFT) |
           ((uint64_t)vector << HV_PENDING_EVENT_VECTOR_SHIFT);
}

static inline uint32_t hv_pending_event_type(uint64_t low)
{
    return (uint32_t)((low & HV_PENDING_EVENT_TYPE_MASK) >> HV_PENDING_EVENT_TYPE_SHIFT);
}

/* Type memory intercept: spans two registers. */
struct hv_x64_pending_event_memory_intercept {
    uint8_t event_header;
    uint8_t target_vtl;
    uint8_t access_type;
    /* Bit 0: the linear address is valid; bit 1: a GPA access, not a table walk. */
    uint8_t access_flags;
    uint32_t rsvd1;
    uint64_t guest_linear_address;
    uint64_t guest_physical_address;
    uint64_t rsvd2;
};
_Static_assert(sizeof(struct hv_x64_pending_event_memory_intercept) == 32, "pending memory intercept");

/* DeliverabilityNotifications; one-shot. */
#define HV_DELIVERABILITY_NMI            UINT64_C(1)
#define HV_DELIVERABILITY_INTERRUPT      (UINT64_C(1) << 1)
#define HV_DELIVERABILITY_PRIORITY_SHIFT 2
#define HV_DELIVERABILITY_PRIORITY_MASK  (UINT64_C(0xF) << 2)
#define HV_DELIVERABILITY_SINTS_SHIFT    48

/* VsmVpStatus, VsmVina and the other VSM registers; VTL 0 alone exists without VSM. */
#define HV_VSM_VP_STATUS_ACTIVE_VTL_MASK             UINT64_C(0xF)
#define HV_VSM_VP_STATUS_ENABLED_VTL_SET_SHIFT       16
#define HV_VSM_PARTITION_STATUS_ENABLED_VTL_SET_MASK UINT64_C(0xFFFF)
#define HV_VSM_PARTITION_STATUS_MAXIMUM_VTL_SHIFT    16
#define HV_VSM_CODE_PAGE_VTL_CALL_MASK               UINT64_C(0xFFF)
#define HV_VSM_CODE_PAGE_VTL_RETURN_SHIFT            12

/* PmTimerAssist. */
#define HV_PM_TIMER_PORT_MASK UINT64_C(0xFFFF)
#define HV_PM_TIMER_WIDTH_24  (UINT64_C(1) << 16)
#define HV_PM_TIMER_ENABLED   (UINT64_C(1) << 17)

/* Segment attributes. */
#define HV_X64_SEGMENT_TYPE_MASK   0x000Fu
#define HV_X64_SEGMENT_NON_SYSTEM  (1u << 4)
#define HV_X64_SEGMENT_DPL_SHIFT   5
#define HV_X64_SEGMENT_DPL_MASK    (3u << 5)
#define HV_X64_SEGMENT_PRESENT     (1u << 7)
#define HV_X64_SEGMENT_RSVDZ_MASK  (0xFu << 8)
#define HV_X64_SEGMENT_AVAILABLE   (1u << 12)
#define HV_X64_SEGMENT_LONG        (1u << 13)
#define HV_X64_SEGMENT_DEFAULT_BIG (1u << 14)
#define HV_X64_SEGMENT_GRANULARITY (1u << 15)

/* Value of a segment register, LDTR or TR. */
struct hv_x64_segment_register {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t attributes;
};
_Static_assert(sizeof(struct hv_x64_segment_register) == 16, "segment register");
_Static_assert(offsetof(struct hv_x64_segment_register, attributes) == 14, "segment attributes");

/* Value of IDTR or GDTR. */
struct hv_x64_table_register {
    uint16_t rsvd[3];
    uint16_t limit;
    uint64_t base;
};
_Static_assert(sizeof(struct hv_x64_table_register) == 16, "table register");
_Static_assert(offsetof(struct hv_x64_table_register, limit) == 6, "table limit");

/* Value of an x87 register: the 80-bit extended format. */
struct hv_x64_fp_register {
    uint64_t mantissa;
    /* Bits 14:0 biased exponent, bit 15 sign. */
    uint16_t sign_and_exponent;
    uint16_t rsvd1;
    uint32_t rsvd2;
};
_Static_assert(sizeof(struct hv_x64_fp_register) == 16, "x87 register");

/* Value of FpControlStatus. */
struct hv_x64_fp_control_status_register {
    uint16_t fp_control;
    uint16_t fp_status;
    /* Abridged: one bit per register, set when it is in use. */
    uint8_t fp_tag;
    uint8_t rsvd;
    uint16_t last_fp_op;
    /* 64-bit form; the 32-bit form is EIP in 31:0 and CS in 47:32. */
    uint64_t last_fp_rip;
};
_Static_assert(sizeof(struct hv_x64_fp_control_status_register) == 16, "x87 control and status");
_Static_assert(offsetof(struct hv_x64_fp_control_status_register, last_fp_rip) == 8, "x87 last instruction");

/* Value of XmmControlStatus. */
struct hv_x64_xmm_control_status_register {
    /* 64-bit form; the 32-bit form is the offset in 31:0 and DS in 47:32. */
    uint64_t last_fp_rdp;
    uint32_t xmm_status_control;
    uint32_t xmm_status_control_mask;
};
_Static_assert(sizeof(struct hv_x64_xmm_control_status_register) == 16, "MXCSR");

/* 128 bits in two halves. */
struct hv_u128 {
    uint64_t low_part;
    uint64_t high_part;
};
_Static_assert(sizeof(struct hv_u128) == 16, "128 bits");

/* Any register's value. Set reg128 to zero first, then the member in question. */
union hv_register_value {
    struct hv_u128 reg128;
    uint64_t reg64;
    uint32_t reg32;
    uint16_t reg16;
    uint8_t reg8;
    struct hv_x64_segment_register segment;
    struct hv_x64_table_register table;
    struct hv_x64_fp_register fp;
    struct hv_x64_fp_control_status_register fp_control_status;
    struct hv_x64_xmm_control_status_register xmm_control_status;
    uint8_t bytes[16];
};
_Static_assert(sizeof(union hv_register_value) == 16, "register value");

/* Name and value: the list element of HvCallSetVpRegisters. */
struct hv_register_assoc {
    uint32_t name;
    uint32_t rsvd1;
    uint64_t rsvd2;
    union hv_register_value value;
};
_Static_assert(sizeof(struct hv_register_assoc) == 32, "register with value");
_Static_assert(offsetof(struct hv_register_assoc, value) == 16, "register value offset");

/* What a VP begins with (HvCallStartVirtualProcessor, HvCallEnableVpVtl). */
struct hv_initial_vp_context {
    uint64_t rip;
    uint64_t rsp;
    uint64_t rflags;
    struct hv_x64_segment_register cs;
    struct hv_x64_segment_register ds;
    struct hv_x64_segment_register es;
    struct hv_x64_segment_register fs;
    struct hv_x64_segment_register gs;
    struct hv_x64_segment_register ss;
    struct hv_x64_segment_register tr;
    struct hv_x64_segment_register ldtr;
    struct hv_x64_table_register idtr;
    struct hv_x64_table_register gdtr;
    uint64_t efer;
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t msr_cr_pat;
};
_Static_assert(sizeof(struct hv_initial_vp_context) == 224, "initial VP context");
_Static_assert(offsetof(struct hv_initial_vp_context, idtr) == 152, "initial IDTR");
_Static_assert(offsetof(struct hv_initial_vp_context, efer) == 184, "initial EFER");

#endif
