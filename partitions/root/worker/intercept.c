/* SPDX-License-Identifier: MIT */
/*
 * The entry point for intercepts: finds out what a VP was stopped for and who
 * deals with it. Plain IN and OUT are done here on the message's contents; what
 * needs an instruction executed goes to emulate.c.
 */
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_register.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/worker/emulate.h"
#include "partitions/root/worker/pio.h"
#include "partitions/root/worker/vm.h"

/* RIP, RAX, RFLAGS, interrupt state. */
#define PORT_CHANGES_MAX 4u

/* RIP behind the instruction: 32 bits wide outside 64-bit mode. */
static uint64_t next_rip(const struct hv_x64_intercept_message_header *header)
{
    uint64_t rip = header->rip + hv_x64_intercept_instruction_length(header);
    bool is_64 = (header->execution_state & HV_X64_EXECUTION_STATE_EFER_LMA) != 0 &&
                 (header->cs_segment.attributes & HV_X64_SEGMENT_LONG) != 0;

    return is_64 ? rip : (uint32_t)rip;
}

/* RAX after an IN of this size. */
static uint64_t merge_result(uint64_t rax, uint32_t value, uint32_t size_bytes)
{
    switch (size_bytes) {
    case 1:
        return (rax & ~UINT64_C(0xFF)) | value;
    case 2:
        return (rax & ~UINT64_C(0xFFFF)) | value;
    default:
        return value;
    }
}

/* Completes a port instruction: moves on, with RAX changed if `rax` is not null. */
static enum worker_outcome complete_port(struct vm *vm, uint32_t vp_index,
                                         const struct hv_x64_intercept_message_header *header, const uint64_t *rax)
{
    uint32_t names[PORT_CHANGES_MAX];
    union hv_register_value values[PORT_CHANGES_MAX] = {{.reg128 = {0, 0}}};
    uint32_t count = 0;
    hv_status_t status;

    names[count] = HvX64RegisterRip;
    values[count++].reg64 = next_rip(header);
    if (rax != NULL) {
        names[count] = HvX64RegisterRax;
        values[count++].reg64 = *rax;
    }
    if ((header->rflags & X86_RFLAGS_RF) != 0) {
        names[count] = HvX64RegisterRflags;
        values[count++].reg64 = header->rflags & ~X86_RFLAGS_RF;
    }
    if ((header->execution_state & HV_X64_EXECUTION_STATE_INTERRUPT_SHADOW) != 0) {
        static const uint32_t name = HvRegisterInterruptState;

        names[count] = name;
        status = host_get_vp_registers(vm->host, vp_index, &name, &values[count], 1);
        if (status != HV_STATUS_SUCCESS) {
            return emulate_host_failed(vm, vp_index, "read the interrupt state", status);
        }
        values[count++].reg64 &= ~HV_INTERRUPT_STATE_INTERRUPT_SHADOW;
    }
    status = host_set_vp_registers(vm->host, vp_index, names, values, count);
    if (status != HV_STATUS_SUCCESS) {
        return emulate_host_failed(vm, vp_index, "complete a port instruction", status);
    }
    return WORKER_RESUME;
}

static enum worker_outcome handle_port(struct vm *vm, uint32_t vp_index,
                                       const struct hv_x64_io_port_intercept_message *message)
{
    const struct hv_x64_intercept_message_header *header = &message->header;
    uint32_t size_bytes = message->access_info & HV_X64_IO_PORT_ACCESS_SIZE_MASK;
    bool is_string = (message->access_info & HV_X64_IO_PORT_STRING_OP) != 0;

    if (is_string || hv_x64_intercept_instruction_length(header) == 0 ||
        (size_bytes != 1 && size_bytes != 2 && size_bytes != 4)) {
        struct emulate_request request = {
            .header = header,
            .instruction_bytes = message->instruction_bytes,
            .instruction_byte_count = message->instruction_byte_count,
        };

        vm->counters.port_strings++;
        return emulate_instruction(vm, vp_index, &request);
    }
    if (header->intercept_access_type == HV_INTERCEPT_ACCESS_WRITE) {
        vm->counters.port_writes++;
        if (!pio_write(&vm->pio, message->port_number, size_bytes, (uint32_t)message->rax)) {
            return WORKER_STALLED;
        }
        if (worker_has_ended(vm)) {
            return WORKER_ENDED;
        }
        return complete_port(vm, vp_index, header, NULL);
    }
    vm->counters.port_reads++;

    uint64_t rax = merge_result(message->rax, pio_read(&vm->pio, message->port_number, size_bytes), size_bytes);

    return complete_port(vm, vp_index, header, &rax);
}

static enum worker_outcome handle_memory(struct vm *vm, uint32_t vp_index,
                                         const struct hv_x64_memory_intercept_message *message)
{
    const struct hv_x64_intercept_message_header *header = &message->header;
    uint32_t known = HV_X64_MEMORY_ACCESS_GVA_VALID | HV_X64_MEMORY_ACCESS_GVA_GPA_VALID;
    struct emulate_request request = {
        .header = header,
        .instruction_bytes = message->instruction_bytes,
        .instruction_byte_count = message->instruction_byte_count,
        .has_address = (message->memory_access_info & known) == known,
        .gva = message->guest_virtual_address,
        .gpa = message->guest_physical_address,
    };

    if ((header->execution_state & HV_X64_EXECUTION_STATE_INTERRUPTION_PENDING) != 0) {
        /* The access is not the instruction's: descriptor tables or a stack that are not RAM. */
        vm_log(vm, HOST_LOG_ERROR, "VP %u: access to 0x%llx, which is not RAM, during interrupt delivery at RIP 0x%llx",
               vp_index, (unsigned long long)message->guest_physical_address, (unsigned long long)header->rip);
        vm_end(vm, HOST_VM_EMULATION_FAILED, 0);
        return WORKER_ENDED;
    }
    if (header->intercept_access_type == HV_INTERCEPT_ACCESS_EXECUTE) {
        /* Where nothing is, code reads as all ones, and that is no instruction. */
        vm_log(vm, HOST_LOG_WARNING, "VP %u: code at 0x%llx (RIP 0x%llx), which is not RAM", vp_index,
               (unsigned long long)message->guest_physical_address, (unsigned long long)header->rip);
        vm->counters.unhandled_mmio_accesses++;
        return emulate_inject_exception(vm, vp_index, X86_VECTOR_UD);
    }
    return emulate_instruction(vm, vp_index, &request);
}

static enum worker_outcome handle_triple_fault(struct vm *vm, uint32_t vp_index,
                                               const struct hv_x64_unrecoverable_exception_message *message)
{
    vm_log(vm, HOST_LOG_ERROR, "VP %u: triple fault at RIP 0x%llx (CS 0x%x)", vp_index,
           (unsigned long long)message->header.rip, message->header.cs_segment.selector);
    vm_end(vm, HOST_VM_TRIPLE_FAULT, 0);
    return WORKER_ENDED;
}

static const char *message_type_text(uint32_t type)
{
    switch (type) {
    case HvMessageTypeInvalidVpRegisterValue:
        return "invalid VP register value";
    case HvMessageTypeUnsupportedFeature:
        return "unsupported feature";
    case HvMessageTypeX64MsrIntercept:
        return "MSR";
    case HvMessageTypeX64CpuidIntercept:
        return "CPUID";
    case HvMessageTypeX64ExceptionIntercept:
        return "exception";
    case HvMessageTypeHypercallIntercept:
        return "hypercall";
    default:
        return "unknown";
    }
}

static enum worker_outcome handle_unknown(struct vm *vm, uint32_t vp_index, uint32_t type)
{
    vm_log(vm, HOST_LOG_ERROR, "VP %u: intercept message 0x%x (%s) is not handled", vp_index, type,
           message_type_text(type));
    vm_end(vm, HOST_VM_UNHANDLED_INTERCEPT, type);
    return WORKER_ENDED;
}

/* The payload of a message as the struct of its type, all of which fit. */
static const void *payload_of(const struct hv_message *message)
{
    return message->payload;
}

static enum worker_outcome handle_locked(struct vm *vm, uint32_t vp_index, const struct hv_message *message)
{
    const struct hv_x64_apic_eoi_message *eoi = payload_of(message);
    uint32_t type = message->header.message_type;

    switch (type) {
    case HvMessageTypeX64IoPortIntercept:
        return handle_port(vm, vp_index, payload_of(message));
    case HvMessageTypeUnmappedGpa:
    case HvMessageTypeGpaIntercept:
        return handle_memory(vm, vp_index, payload_of(message));
    case HvMessageTypeX64ApicEoi:
        vm->counters.apic_eois++;
        ioapic_end_of_interrupt(&vm->ioapic, (uint8_t)eoi->interrupt_vector);
        return WORKER_RESUME;
    case HvMessageTypeX64Halt:
        return WORKER_HALTED;
    case HvMessageTypeUnrecoverableException:
        return handle_triple_fault(vm, vp_index, payload_of(message));
    default:
        return handle_unknown(vm, vp_index, type);
    }
}

enum worker_outcome worker_handle_intercept(struct vm *vm, uint32_t vp_index, const struct hv_message *message)
{
    enum worker_outcome outcome;

    host_vm_lock(vm->host);
    outcome = worker_has_ended(vm) ? WORKER_ENDED : handle_locked(vm, vp_index, message);
    host_vm_unlock(vm->host);
    return outcome;
}
