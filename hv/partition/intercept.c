/* SPDX-License-Identifier: MIT */
/*
 * Composes intercept messages in the ABI's layouts. Each is built in a zeroed local and copied into the shared page
 * once, so that no byte of another message or of the hypervisor is seen. TLFS, Intercepts: Intercept Message Types.
 */
#include "hv/partition/intercept.h"

#include "hv/abi/hv_intercept.h"
#include "hv/debug/trace.h"
#include "hv/partition/exit_record.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic.h"
#include "hv/partition/backend.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"

static struct hv_x64_segment_register segment(struct vp *vp, uint32_t name)
{
    union hv_register_value value = {0};

    (void)backend->get_register(vp, name, &value);
    return value.segment;
}

static void fill_header(struct vp *vp, struct hv_x64_intercept_message_header *header, uint8_t access,
                        uint8_t insn_length)
{
    struct vp_paging_state paging;
    uint32_t state;

    vp_read_state(vp, VP_UNREAD_BLOCKING);
    backend->get_paging(vp, &paging);
    state = paging.cpl & HV_X64_EXECUTION_STATE_CPL_MASK;
    state |= paging.cr0 & X86_CR0_PE ? HV_X64_EXECUTION_STATE_CR0_PE : 0;
    state |= paging.cr0 & X86_CR0_AM ? HV_X64_EXECUTION_STATE_CR0_AM : 0;
    state |= paging.efer & X86_EFER_LMA ? HV_X64_EXECUTION_STATE_EFER_LMA : 0;
    state |=
        vp->pending_interruption & HV_PENDING_INTERRUPTION_PENDING ? HV_X64_EXECUTION_STATE_INTERRUPTION_PENDING : 0;
    state |= vp->interrupt_shadow ? HV_X64_EXECUTION_STATE_INTERRUPT_SHADOW : 0;
    header->vp_index = vp->index;
    header->instruction_length_and_cr8 = hv_x64_intercept_length_and_cr8(insn_length, apic_tpr(vp) >> 4);
    header->intercept_access_type = access;
    header->execution_state = (uint16_t)state;
    header->cs_segment = segment(vp, HvX64RegisterCs);
    header->rip = vp->regs.rip;
    header->rflags = vp->regs.rflags;
}

/* Hands the message over: from now on the root has it and the VP does not run. */
static void deliver(struct vp *vp, uint32_t type, const void *payload, uint8_t size)
{
    struct hv_message message = {
        .header = {.message_type = type, .payload_size_bytes = size, .sender = vp->partition->id},
    };

    memcpy(message.payload, payload, size);
    spin_lock(&vp->lock);
    if (vp->intercept_page != NULL) {
        memcpy(vp->intercept_page, &message, sizeof(message));
    }
    vp->is_intercept_suspended = true;
    spin_unlock(&vp->lock);
    vp->run_status = VP_RUN_INTERCEPT;
    trace(TRACE_INTERCEPT, vp->trace_id, type, vp->regs.rip);
}

/* Traces what the message has of the intercepted instruction. */
static NOINLINE void trace_instruction(const struct vp *vp, const struct hv_x64_intercept_message_header *header,
                                       const uint8_t *bytes, uint8_t count)
{
    uint64_t words[2] = {0};
    uint64_t size = 0;

    if (count == 0) {
        return;
    }
    if ((header->execution_state & HV_X64_EXECUTION_STATE_EFER_LMA) != 0 &&
        (header->cs_segment.attributes & X86_SEG_ATTR_L) != 0) {
        size = 2;
    } else if ((header->cs_segment.attributes & X86_SEG_ATTR_DB) != 0) {
        size = 1;
    }
    count = (uint8_t)min_u64(count, TRACE_INSTRUCTION_BYTES);
    memcpy(words, bytes, count);
    words[1] |= size << TRACE_INSTRUCTION_SIZE_SHIFT | (uint64_t)count << TRACE_INSTRUCTION_COUNT_SHIFT;
    trace_write(TRACE_INSTRUCTION, vp->trace_id, words[0], words[1]);
}

/* Bytes at RIP: those the processor gave, else fetched through the guest's tables. Returns their number, 0 if there are
 * none. */
static uint8_t instruction_bytes(struct vp *vp, const struct exit_memory *access, uint8_t *bytes)
{
    if (access != NULL && access->byte_count != 0 && access->byte_count <= HV_X64_MAX_INSTRUCTION_BYTES) {
        memcpy(bytes, access->bytes, access->byte_count);
        return access->byte_count;
    }
    return (uint8_t)vp_fetch_instruction(vp, bytes, X86_INSN_LENGTH_MAX);
}

void intercept_io_port(struct vp *vp, const struct exit_io *io)
{
    struct hv_x64_io_port_intercept_message message = {0};

    fill_header(vp, &message.header, (uint8_t)(io->is_in ? HV_INTERCEPT_ACCESS_READ : HV_INTERCEPT_ACCESS_WRITE),
                io->insn_length);
    message.port_number = io->port;
    message.access_info =
        (uint8_t)((io->size & HV_X64_IO_PORT_ACCESS_SIZE_MASK) | (io->is_string ? HV_X64_IO_PORT_STRING_OP : 0) |
                  (io->has_rep ? HV_X64_IO_PORT_REP_PREFIX : 0));
    message.rax = vp->regs.gpr[VP_RAX];
    if (io->is_string) {
        /* Only string forms have operands in memory, and perhaps a segment prefix that the root must see. */
        message.instruction_byte_count = instruction_bytes(vp, NULL, message.instruction_bytes);
    }
    message.ds_segment = segment(vp, HvX64RegisterDs);
    message.es_segment = segment(vp, HvX64RegisterEs);
    message.rcx = vp->regs.gpr[VP_RCX];
    message.rsi = vp->regs.gpr[VP_RSI];
    message.rdi = vp->regs.gpr[VP_RDI];
    deliver(vp, HvMessageTypeX64IoPortIntercept, &message, sizeof(message));
    if (trace_is_enabled(TRACE_INSTRUCTION)) {
        trace_instruction(vp, &message.header, message.instruction_bytes, message.instruction_byte_count);
    }
}

void intercept_memory(struct vp *vp, const struct exit_memory *access, bool is_unmapped)
{
    struct hv_x64_memory_intercept_message message = {0};
    uint8_t type = access->is_write     ? HV_INTERCEPT_ACCESS_WRITE
                   : access->is_execute ? HV_INTERCEPT_ACCESS_EXECUTE
                                        : HV_INTERCEPT_ACCESS_READ;

    fill_header(vp, &message.header, type, 0);
    message.cache_type = HvCacheTypeX64WriteBack;
    if (!access->is_execute) {
        message.instruction_byte_count = instruction_bytes(vp, access, message.instruction_bytes);
    }
    message.memory_access_info =
        access->gva_valid
            ? (HV_X64_MEMORY_ACCESS_GVA_VALID | (access->in_page_walk ? 0 : HV_X64_MEMORY_ACCESS_GVA_GPA_VALID))
            : 0;
    message.tpr_priority = apic_tpr(vp) >> 4;
    message.guest_virtual_address = access->gva_valid ? access->gva : 0;
    message.guest_physical_address = access->gpa.value;
    deliver(vp, is_unmapped ? HvMessageTypeUnmappedGpa : HvMessageTypeGpaIntercept, &message, sizeof(message));
    if (trace_is_enabled(TRACE_INSTRUCTION)) {
        trace_instruction(vp, &message.header, message.instruction_bytes, message.instruction_byte_count);
    }
}

void intercept_msr(struct vp *vp, bool is_write, uint8_t insn_length)
{
    struct hv_x64_msr_intercept_message message = {0};

    fill_header(vp, &message.header, is_write ? HV_INTERCEPT_ACCESS_WRITE : HV_INTERCEPT_ACCESS_READ, insn_length);
    message.msr_number = (uint32_t)vp->regs.gpr[VP_RCX];
    message.rdx = vp->regs.gpr[VP_RDX];
    message.rax = vp->regs.gpr[VP_RAX];
    deliver(vp, HvMessageTypeX64MsrIntercept, &message, sizeof(message));
}

void intercept_cpuid(struct vp *vp, uint8_t insn_length)
{
    struct hv_x64_cpuid_intercept_message message = {0};
    uint32_t results[CPUID_REGISTER_COUNT];

    cpuid_query(vp, (uint32_t)vp->regs.gpr[VP_RAX], (uint32_t)vp->regs.gpr[VP_RCX], results);
    fill_header(vp, &message.header, HV_INTERCEPT_ACCESS_EXECUTE, insn_length);
    message.rax = vp->regs.gpr[VP_RAX];
    message.rcx = vp->regs.gpr[VP_RCX];
    message.rdx = vp->regs.gpr[VP_RDX];
    message.rbx = vp->regs.gpr[VP_RBX];
    message.default_result_rax = results[CPUID_EAX];
    message.default_result_rcx = results[CPUID_ECX];
    message.default_result_rdx = results[CPUID_EDX];
    message.default_result_rbx = results[CPUID_EBX];
    deliver(vp, HvMessageTypeX64CpuidIntercept, &message, sizeof(message));
}

void intercept_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error, uint64_t parameter)
{
    struct hv_x64_exception_intercept_message message = {0};

    fill_header(vp, &message.header, HV_INTERCEPT_ACCESS_EXECUTE, 0);
    message.exception_vector = vector;
    message.exception_info = has_error ? HV_X64_EXCEPTION_ERROR_CODE_VALID : 0;
    message.error_code = has_error ? error : 0;
    message.exception_parameter = parameter;
    message.instruction_byte_count = instruction_bytes(vp, NULL, message.instruction_bytes);
    message.ds_segment = segment(vp, HvX64RegisterDs);
    message.ss_segment = segment(vp, HvX64RegisterSs);
    vp_read_state(vp, VP_UNREAD_RSP);
    memcpy(message.gp_registers, vp->regs.gpr, sizeof(message.gp_registers));
    deliver(vp, HvMessageTypeX64ExceptionIntercept, &message, sizeof(message));
    if (trace_is_enabled(TRACE_INSTRUCTION)) {
        trace_instruction(vp, &message.header, message.instruction_bytes, message.instruction_byte_count);
    }
}

void intercept_unrecoverable(struct vp *vp)
{
    struct hv_x64_unrecoverable_exception_message message = {0};

    fill_header(vp, &message.header, HV_INTERCEPT_ACCESS_EXECUTE, 0);
    deliver(vp, HvMessageTypeUnrecoverableException, &message, sizeof(message));
}

void intercept_halt(struct vp *vp, uint8_t insn_length)
{
    struct hv_x64_halt_message message = {0};

    fill_header(vp, &message.header, HV_INTERCEPT_ACCESS_EXECUTE, insn_length);
    deliver(vp, HvMessageTypeX64Halt, &message, sizeof(message));
}

void intercept_apic_eoi(struct vp *vp, uint8_t vector)
{
    struct hv_x64_apic_eoi_message message = {.vp_index = vp->index, .interrupt_vector = vector};

    deliver(vp, HvMessageTypeX64ApicEoi, &message, sizeof(message));
    /* The exit that led here completes its instruction and resumes: this makes the run loop look before it enters
     * again. */
    atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_SUSPEND, memory_order_release);
}
