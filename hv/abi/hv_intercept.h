/* SPDX-License-Identifier: MIT */
/*
 * Payloads of intercept messages (TLFS, Intercepts, Intercept Messages; offsets
 * here count from the payload, 16 bytes into the message) and the parameters of
 * HvCallInstallIntercept (TLFS 2.0, Intercepts, HvInstallIntercept).
 */
#ifndef ABI_HV_INTERCEPT_H
#define ABI_HV_INTERCEPT_H

#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_message.h"
#include "hv/abi/hv_register.h"

/* Access type in intercept messages. */
#define HV_INTERCEPT_ACCESS_READ    0u
#define HV_INTERCEPT_ACCESS_WRITE   1u
#define HV_INTERCEPT_ACCESS_EXECUTE 2u

/* Access type mask of HvCallInstallIntercept. */
#define HV_INTERCEPT_ACCESS_MASK_NONE    0x00u
#define HV_INTERCEPT_ACCESS_MASK_READ    0x01u
#define HV_INTERCEPT_ACCESS_MASK_WRITE   0x02u
#define HV_INTERCEPT_ACCESS_MASK_EXECUTE 0x04u

/* Intercept types of HvCallInstallIntercept; CPUID is also that of HvCallRegisterInterceptResult. */
#define HvInterceptTypeX64IoPort                            0x00000000u
#define HvInterceptTypeX64Msr                               0x00000001u
#define HvInterceptTypeX64Cpuid                             0x00000002u
#define HvInterceptTypeException                            0x00000003u
#define HvInterceptTypeMmio                                 0x00000005u
#define HvInterceptTypeX64GlobalCpuid                       0x00000006u
#define HvInterceptTypeX64ApicSmi                           0x00000007u
#define HvInterceptTypeHypercall                            0x00000008u
#define HvInterceptTypeX64ApicInitSipi                      0x00000009u
#define HvInterceptTypeMcUpdatePatchLevelMsrRead            0x0000000Au
#define HvInterceptTypeX64ApicWrite                         0x0000000Bu
#define HvInterceptTypeX64MsrIndex                          0x0000000Cu
#define HvInterceptTypeUnknownSynicConnection               0x0000000Du
#define HvInterceptTypeX64ApicEoi                           0x0000000Eu
#define HvInterceptTypeRetargetInterruptWithUnknownDeviceId 0x0000000Fu
#define HvInterceptTypeX64IoPortRange                       0x00000011u

/* Memory type in memory intercepts and translations. */
#define HvCacheTypeX64Uncached       0u
#define HvCacheTypeX64WriteCombining 1u
#define HvCacheTypeX64WriteThrough   4u
#define HvCacheTypeX64WriteProtected 5u
#define HvCacheTypeX64WriteBack      6u

/* instruction_length_and_cr8 of the header. */
#define HV_X64_INTERCEPT_INSTRUCTION_LENGTH_MASK 0x0Fu
#define HV_X64_INTERCEPT_CR8_SHIFT               4

/* execution_state of the header. */
#define HV_X64_EXECUTION_STATE_CPL_MASK                    0x0003u
#define HV_X64_EXECUTION_STATE_CR0_PE                      (1u << 2)
#define HV_X64_EXECUTION_STATE_CR0_AM                      (1u << 3)
#define HV_X64_EXECUTION_STATE_EFER_LMA                    (1u << 4)
#define HV_X64_EXECUTION_STATE_DEBUG_ACTIVE                (1u << 5)
#define HV_X64_EXECUTION_STATE_INTERRUPTION_PENDING        (1u << 6)
#define HV_X64_EXECUTION_STATE_VTL_SHIFT                   7
#define HV_X64_EXECUTION_STATE_VTL_MASK                    (0xFu << 7)
#define HV_X64_EXECUTION_STATE_ENCLAVE_MODE                (1u << 11)
#define HV_X64_EXECUTION_STATE_INTERRUPT_SHADOW            (1u << 12)
#define HV_X64_EXECUTION_STATE_VIRTUALIZATION_FAULT_ACTIVE (1u << 13)

#define HV_X64_MAX_INSTRUCTION_BYTES 16u

/* The beginning of nearly every intercept payload; RIP is that of the intercepted instruction. */
struct hv_x64_intercept_message_header {
    uint32_t vp_index;
    uint8_t instruction_length_and_cr8;
    uint8_t intercept_access_type;
    uint16_t execution_state;
    struct hv_x64_segment_register cs_segment;
    uint64_t rip;
    uint64_t rflags;
};
_Static_assert(sizeof(struct hv_x64_intercept_message_header) == 40, "intercept header");
_Static_assert(offsetof(struct hv_x64_intercept_message_header, rip) == 24, "intercept RIP");

/* Length of the intercepted instruction; 0 when it is not known. */
static inline uint8_t hv_x64_intercept_instruction_length(const struct hv_x64_intercept_message_header *header)
{
    return (uint8_t)(header->instruction_length_and_cr8 & HV_X64_INTERCEPT_INSTRUCTION_LENGTH_MASK);
}

/* The header byte for a length of 0 to 15 and a CR8 of 0 to 15. */
static inline uint8_t hv_x64_intercept_length_and_cr8(uint32_t instruction_length, uint32_t cr8)
{
    return (uint8_t)((instruction_length & HV_X64_INTERCEPT_INSTRUCTION_LENGTH_MASK) |
                     ((cr8 & 0xFu) << HV_X64_INTERCEPT_CR8_SHIFT));
}

/* memory_access_info. */
#define HV_X64_MEMORY_ACCESS_GVA_VALID                0x01u
#define HV_X64_MEMORY_ACCESS_GVA_GPA_VALID            0x02u
#define HV_X64_MEMORY_ACCESS_HYPERCALL_OUTPUT_PENDING 0x04u
#define HV_X64_MEMORY_ACCESS_TLB_LOCKED               0x08u
#define HV_X64_MEMORY_ACCESS_SUPERVISOR_SHADOW_STACK  0x10u

/* HvMessageTypeUnmappedGpa, HvMessageTypeGpaIntercept. */
struct hv_x64_memory_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint32_t cache_type;
    uint8_t instruction_byte_count;
    uint8_t memory_access_info;
    uint8_t tpr_priority;
    uint8_t rsvd;
    uint64_t guest_virtual_address;
    uint64_t guest_physical_address;
    uint8_t instruction_bytes[HV_X64_MAX_INSTRUCTION_BYTES];
};
_Static_assert(sizeof(struct hv_x64_memory_intercept_message) == 80, "memory intercept");
_Static_assert(offsetof(struct hv_x64_memory_intercept_message, guest_physical_address) == 56, "memory intercept GPA");
_Static_assert(offsetof(struct hv_x64_memory_intercept_message, instruction_bytes) == 64, "memory intercept bytes");

/* access_info of port intercepts. */
#define HV_X64_IO_PORT_ACCESS_SIZE_MASK 0x07u
#define HV_X64_IO_PORT_STRING_OP        0x08u
#define HV_X64_IO_PORT_REP_PREFIX       0x10u

/* HvMessageTypeX64IoPortIntercept. */
struct hv_x64_io_port_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint16_t port_number;
    uint8_t access_info;
    uint8_t instruction_byte_count;
    uint32_t rsvd;
    uint64_t rax;
    uint8_t instruction_bytes[HV_X64_MAX_INSTRUCTION_BYTES];
    struct hv_x64_segment_register ds_segment;
    struct hv_x64_segment_register es_segment;
    uint64_t rcx;
    uint64_t rsi;
    uint64_t rdi;
};
_Static_assert(sizeof(struct hv_x64_io_port_intercept_message) == 128, "port intercept");
_Static_assert(offsetof(struct hv_x64_io_port_intercept_message, rax) == 48, "port intercept RAX");
_Static_assert(offsetof(struct hv_x64_io_port_intercept_message, rcx) == 104, "port intercept RCX");

/* HvMessageTypeX64MsrIntercept. */
struct hv_x64_msr_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint32_t msr_number;
    uint32_t rsvd;
    uint64_t rdx;
    uint64_t rax;
};
_Static_assert(sizeof(struct hv_x64_msr_intercept_message) == 64, "MSR intercept");

/* HvMessageTypeX64CpuidIntercept; the defaults are what the hypervisor would answer. */
struct hv_x64_cpuid_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint64_t rax;
    uint64_t rcx;
    uint64_t rdx;
    uint64_t rbx;
    uint64_t default_result_rax;
    uint64_t default_result_rcx;
    uint64_t default_result_rdx;
    uint64_t default_result_rbx;
};
_Static_assert(sizeof(struct hv_x64_cpuid_intercept_message) == 104, "CPUID intercept");

/* exception_info. */
#define HV_X64_EXCEPTION_ERROR_CODE_VALID 0x01u
#define HV_X64_EXCEPTION_SOFTWARE         0x02u

/* HvMessageTypeX64ExceptionIntercept; the parameter is CR2 for a page fault, DR6 for a debug exception. */
struct hv_x64_exception_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint16_t exception_vector;
    uint8_t exception_info;
    uint8_t instruction_byte_count;
    uint32_t error_code;
    uint64_t exception_parameter;
    uint64_t rsvd;
    uint8_t instruction_bytes[HV_X64_MAX_INSTRUCTION_BYTES];
    struct hv_x64_segment_register ds_segment;
    struct hv_x64_segment_register ss_segment;
    /* RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15. */
    uint64_t gp_registers[16];
};
_Static_assert(sizeof(struct hv_x64_exception_intercept_message) == 240, "exception intercept");
_Static_assert(offsetof(struct hv_x64_exception_intercept_message, instruction_bytes) == 64, "exception bytes");
_Static_assert(offsetof(struct hv_x64_exception_intercept_message, gp_registers) == 112, "exception registers");

/* HvMessageTypeX64ApicEoi; it has no common header. */
struct hv_x64_apic_eoi_message {
    uint32_t vp_index;
    uint32_t interrupt_vector;
};
_Static_assert(sizeof(struct hv_x64_apic_eoi_message) == 8, "APIC EOI message");

/* HvMessageTypeUnrecoverableException. */
struct hv_x64_unrecoverable_exception_message {
    struct hv_x64_intercept_message_header header;
};
_Static_assert(sizeof(struct hv_x64_unrecoverable_exception_message) == 40, "unrecoverable exception");

/* HvMessageTypeX64Halt. */
struct hv_x64_halt_message {
    struct hv_x64_intercept_message_header header;
};
_Static_assert(sizeof(struct hv_x64_halt_message) == 40, "halt message");

#define HV_UNSUPPORTED_FEATURE_INTERCEPT       1u
#define HV_UNSUPPORTED_FEATURE_TASK_SWITCH_TSS 2u

/* HvMessageTypeUnsupportedFeature; it has no common header. */
struct hv_x64_unsupported_feature_message {
    uint32_t vp_index;
    uint32_t feature_code;
    uint64_t feature_parameter;
};
_Static_assert(sizeof(struct hv_x64_unsupported_feature_message) == 16, "unsupported feature");

/* HvMessageTypeInvalidVpRegisterValue; it has no common header. */
struct hv_x64_invalid_vp_register_message {
    uint32_t vp_index;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct hv_x64_invalid_vp_register_message) == 8, "invalid register");

#define HV_X64_HYPERCALL_INTERCEPT_ISOLATED 1u

/* HvMessageTypeHypercallIntercept. */
struct hv_x64_hypercall_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint64_t rax;
    uint64_t rbx;
    uint64_t rcx;
    uint64_t rdx;
    uint64_t r8;
    uint64_t rsi;
    uint64_t rdi;
    struct hv_u128 xmm_registers[6];
    uint32_t flags;
    uint32_t rsvd[3];
};
_Static_assert(sizeof(struct hv_x64_hypercall_intercept_message) == 208, "hypercall intercept");
_Static_assert(offsetof(struct hv_x64_hypercall_intercept_message, xmm_registers) == 96, "hypercall intercept XMM");

/* HvMessageTypeX64InterruptionDeliverable; the type is one of HV_X64_PENDING_*. */
struct hv_x64_interruption_deliverable_message {
    struct hv_x64_intercept_message_header header;
    uint8_t deliverable_type;
    uint8_t rsvd1[3];
    uint32_t rsvd2;
};
_Static_assert(sizeof(struct hv_x64_interruption_deliverable_message) == 48, "interruption deliverable");

/* HvMessageTypeX64SipiIntercept. */
struct hv_x64_sipi_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint32_t target_vp_index;
    uint32_t interrupt_vector;
};
_Static_assert(sizeof(struct hv_x64_sipi_intercept_message) == 48, "SIPI intercept");

/* HvMessageTypeSynicSintDeliverable. */
struct hv_x64_sint_deliverable_message {
    struct hv_x64_intercept_message_header header;
    uint16_t deliverable_sints;
    uint16_t rsvd1;
    uint32_t rsvd2;
};
_Static_assert(sizeof(struct hv_x64_sint_deliverable_message) == 48, "SINT deliverable");

#define HV_X64_REGISTER_INTERCEPT_MEMORY_OPERAND 0x01u

/* HvMessageTypeX64RegisterIntercept. */
struct hv_x64_register_intercept_message {
    struct hv_x64_intercept_message_header header;
    uint8_t flags;
    uint8_t rsvd1;
    uint16_t rsvd2;
    uint32_t register_name;
    union hv_register_value access_info;
};
_Static_assert(sizeof(struct hv_x64_register_intercept_message) == 64, "register intercept");
_Static_assert(offsetof(struct hv_x64_register_intercept_message, access_info) == 48, "register intercept value");

/*
 * HvCallInstallIntercept (input). The parameter is by type: the port in 15:0;
 * for a port range the first in 15:0 and the last in 31:16; the CPUID leaf in
 * 31:0; the exception vector in 15:0; the MSR number in 31:0; the APIC write
 * mask in 31:0. Layout: public mshv headers, hv_input_install_intercept.
 */
struct hv_input_install_intercept {
    uint64_t partition_id;
    uint32_t access_type_mask;
    uint32_t intercept_type;
    uint64_t intercept_parameter;
};
_Static_assert(sizeof(struct hv_input_install_intercept) == 24, "install intercept");

/*
 * HvCallRegisterInterceptResult (input) for HvInterceptTypeX64Cpuid. Bits that a
 * mask names come from the registered value, the others from the hypervisor.
 * The wire ends with the last mask and has no tail padding.
 */
struct hv_input_register_intercept_result_cpuid {
    uint64_t partition_id;
    uint32_t vp_index;
    uint32_t intercept_type;
    uint32_t input_eax;
    uint32_t input_ecx;
    uint8_t subleaf_specific;
    uint8_t always_override;
    uint16_t rsvd;
    uint32_t eax;
    uint32_t eax_mask;
    uint32_t ebx;
    uint32_t ebx_mask;
    uint32_t ecx;
    uint32_t ecx_mask;
    uint32_t edx;
    uint32_t edx_mask;
} __attribute__((packed));
_Static_assert(sizeof(struct hv_input_register_intercept_result_cpuid) == 60, "register CPUID result");
_Static_assert(offsetof(struct hv_input_register_intercept_result_cpuid, eax) == 28, "registered EAX");

#endif
