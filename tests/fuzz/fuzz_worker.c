/* SPDX-License-Identifier: MIT */
/*
 * Intercept messages of any content at the worker: ports, memory, halts, EOIs, faults, and what it does not know; with
 * any registers, any instruction, pages that do not translate, and calls that the hypervisor refuses. Holds, beside
 * fuzz_vm_check(): the outcome is one of those that host.h names, a VM that has ended stays so, a completed port access
 * moves RIP by the length of its instruction, and nothing outside of guest RAM is written.
 */
#include <string.h>

#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_register.h"
#include "hv/lib/compiler.h"
#include "partitions/root/worker/layout.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/machine_vm.h"

#define MESSAGES_MAX 16
#define CODE_GPA     UINT64_C(0x180000)

static const uint32_t general[] = {
    HvX64RegisterRax, HvX64RegisterRcx, HvX64RegisterRdx, HvX64RegisterRbx,
    HvX64RegisterRsi, HvX64RegisterRdi, HvX64RegisterRbp, HvX64RegisterRsp,
};

/* Addresses that matter: RAM, its end, the IO-APIC, the local APIC, nowhere, not canonical. */
static const uint64_t addresses[] = {
    0x190000,
    FUZZ_VM_RAM_BYTES - 2,
    LAYOUT_IOAPIC_GPA,
    LAYOUT_IOAPIC_GPA + 0x10,
    UINT64_C(0xFEE00000),
    UINT64_C(0xD0000000),
    UINT64_C(0x800000000000),
    UINT64_MAX - 3,
};

static uint64_t pick_address(struct fuzz_input *input)
{
    return addresses[fuzz_below(input, ARRAY_SIZE(addresses))] + fuzz_below(input, 8);
}

/* Code of 16, 32 or 64 bits with flat segments, at CODE_GPA. */
static void set_registers(struct host_vm *host, struct fuzz_input *input, uint32_t vp)
{
    static const uint16_t code_attributes[] = {0x009B, 0xC09B, 0xA09B};
    uint32_t mode = fuzz_below(input, ARRAY_SIZE(code_attributes));
    union hv_register_value segment = {.segment = {.limit = UINT32_MAX, .attributes = 0xC093}};
    static const uint32_t data[] = {HvX64RegisterEs, HvX64RegisterSs, HvX64RegisterDs, HvX64RegisterFs,
                                    HvX64RegisterGs};
    static const uint32_t code = HvX64RegisterCs;
    hv_status_t status = HV_STATUS_SUCCESS;

    for (uint32_t i = 0; i < ARRAY_SIZE(data); i++) {
        status |= host_set_vp_registers(host, vp, &data[i], &segment, 1);
    }
    segment.segment.attributes = code_attributes[mode];
    status |= host_set_vp_registers(host, vp, &code, &segment, 1);
    FUZZ_CHECK(status == HV_STATUS_SUCCESS);
    for (uint32_t i = 0; i < ARRAY_SIZE(general); i++) {
        uint64_t value = fuzz_below(input, 2) == 0 ? fuzz_u16(input) : pick_address(input);

        fake_host_set_register(host, vp, general[i], value);
    }
    fake_host_set_register(host, vp, HvX64RegisterRip, CODE_GPA);
    fake_host_set_register(host, vp, HvX64RegisterRflags, (fuzz_u16(input) & 0x10cd5u) | 2);
    fake_host_set_register(host, vp, HvX64RegisterCr0, mode == 0 ? 0x10 : 0x80000011);
    fake_host_set_register(host, vp, HvX64RegisterEfer, mode == 2 ? 0x500 : 0);
}

static void set_host(struct host_vm *host, struct fuzz_input *input)
{
    uint8_t bits = fuzz_u8(input);

    host->is_ram_fragmented = (bits & 1) != 0;
    host->set_status = (bits & 0x0e) == 0x02 ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_SUCCESS;
    host->get_status = (bits & 0x0e) == 0x04 ? HV_STATUS_INVALID_VP_STATE : HV_STATUS_SUCCESS;
    host->assert_status = (bits & 0x10) != 0 ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_SUCCESS;
    host->streams[HOST_STREAM_COM1].room = (bits & 0x20) != 0 ? 0 : SIZE_MAX;
    host->translation_count = (bits & 0x40) != 0;
    host->translations[0] = (struct fake_translation){
        .gva_page = pick_address(input) / PAGE_SIZE,
        .result = (enum host_translate_result)fuzz_below(input, HOST_TRANSLATE_INTERCEPT + 1),
        .gpa_page = pick_address(input) / PAGE_SIZE,
    };
}

static void fill_header(const struct host_vm *host, struct fuzz_input *input,
                        struct hv_x64_intercept_message_header *header, uint32_t vp)
{
    header->vp_index = vp;
    header->instruction_length_and_cr8 = fuzz_u8(input);
    header->intercept_access_type = (uint8_t)fuzz_below(input, 3);
    header->execution_state = fuzz_u16(input);
    header->cs_segment = fake_host_register(host, vp, HvX64RegisterCs).segment;
    header->rip = fake_host_register(host, vp, HvX64RegisterRip).reg64;
    header->rflags = fake_host_register(host, vp, HvX64RegisterRflags).reg64;
}

static void compose_port(const struct host_vm *host, struct fuzz_input *input, struct hv_message *message, uint32_t vp)
{
    static const uint8_t sizes[] = {1, 2, 4};
    static const uint16_t ports[] = {LAYOUT_COM1_PORT, LAYOUT_RTC_PORT, LAYOUT_PM1_EVENT_PORT, LAYOUT_DEBUG_EXIT_PORT,
                                     0x1234};
    struct hv_x64_io_port_intercept_message *port = (void *)message->payload;

    message->header.message_type = HvMessageTypeX64IoPortIntercept;
    fill_header(host, input, &port->header, vp);
    port->header.intercept_access_type &= 1;
    port->port_number = (uint16_t)(ports[fuzz_below(input, ARRAY_SIZE(ports))] + fuzz_below(input, 8));
    port->access_info = (uint8_t)(sizes[fuzz_below(input, ARRAY_SIZE(sizes))] | (fuzz_u8(input) & 0x18));
    port->rax = fake_host_register(host, vp, HvX64RegisterRax).reg64;
    port->instruction_byte_count = (uint8_t)fuzz_below(input, HV_X64_MAX_INSTRUCTION_BYTES);
    fuzz_fill(input, port->instruction_bytes, port->instruction_byte_count);
}

static void compose_memory(const struct host_vm *host, struct fuzz_input *input, struct hv_message *message,
                           uint32_t vp)
{
    struct hv_x64_memory_intercept_message *memory = (void *)message->payload;

    message->header.message_type = fuzz_below(input, 2) == 0 ? HvMessageTypeUnmappedGpa : HvMessageTypeGpaIntercept;
    fill_header(host, input, &memory->header, vp);
    memory->memory_access_info = fuzz_u8(input) & 3;
    memory->guest_virtual_address = pick_address(input);
    memory->guest_physical_address = memory->guest_virtual_address;
    memory->instruction_byte_count = (uint8_t)fuzz_below(input, HV_X64_MAX_INSTRUCTION_BYTES);
    fuzz_fill(input, memory->instruction_bytes, memory->instruction_byte_count);
}

static void compose(const struct host_vm *host, struct fuzz_input *input, struct hv_message *message, uint32_t vp)
{
    static const uint32_t others[] = {
        HvMessageTypeX64ApicEoi,      HvMessageTypeX64Halt,           HvMessageTypeUnrecoverableException,
        HvMessageTypeX64MsrIntercept, HvMessageTypeX64CpuidIntercept, 0x12345678,
    };

    memset(message, 0, sizeof(*message));
    switch (fuzz_below(input, 4)) {
    case 0:
        compose_port(host, input, message, vp);
        break;
    case 1:
    case 2:
        compose_memory(host, input, message, vp);
        break;
    default:
        message->header.message_type = others[fuzz_below(input, ARRAY_SIZE(others))];
        fuzz_fill(input, message->payload, sizeof(struct hv_x64_intercept_message_header));
        break;
    }
}

/* What has to hold of the VP after a plain port access that is complete. */
static void check_port(const struct host_vm *host, const struct hv_message *message, uint32_t vp)
{
    const struct hv_x64_io_port_intercept_message *port = (const void *)message->payload;
    bool is_64 = (port->header.execution_state & HV_X64_EXECUTION_STATE_EFER_LMA) != 0 &&
                 (port->header.cs_segment.attributes & HV_X64_SEGMENT_LONG) != 0;
    uint64_t rip = port->header.rip + hv_x64_intercept_instruction_length(&port->header);

    /* String forms, and those of unknown length, are executed by their bytes. */
    if ((port->access_info & HV_X64_IO_PORT_STRING_OP) == 0 &&
        hv_x64_intercept_instruction_length(&port->header) != 0) {
        FUZZ_CHECK(fake_host_register(host, vp, HvX64RegisterRip).reg64 == (is_64 ? rip : (uint32_t)rip));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    struct vm *vm = fuzz_vm_create();

    for (uint32_t i = 0; i < MESSAGES_MAX && input.left != 0; i++) {
        uint32_t vp = fuzz_below(&input, FUZZ_VM_VPS);
        bool had_ended = worker_has_ended(vm);
        enum worker_outcome outcome;
        struct hv_message message;

        set_registers(vm->host, &input, vp);
        compose(vm->host, &input, &message, vp);
        set_host(vm->host, &input);
        outcome = worker_handle_intercept(vm, vp, &message);
        FUZZ_CHECK(outcome >= WORKER_RESUME && outcome <= WORKER_ENDED);
        FUZZ_CHECK((outcome == WORKER_ENDED) == worker_has_ended(vm) && (!had_ended || outcome == WORKER_ENDED));
        if (outcome == WORKER_RESUME && message.header.message_type == HvMessageTypeX64IoPortIntercept) {
            check_port(vm->host, &message, vp);
        }
        fuzz_vm_check(vm);
        vm->host->set_status = HV_STATUS_SUCCESS;
        vm->host->interrupt_count = 0;
        vm->host->streams[HOST_STREAM_COM1].count = 0;
        vm->host->streams[HOST_STREAM_COM2].count = 0;
        fake_host_advance(vm->host, fuzz_u8(&input));
    }
    fuzz_vm_destroy(vm);
    return 0;
}
