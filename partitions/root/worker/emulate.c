/* SPDX-License-Identifier: MIT */
/*
 * Runs one instruction through hv/lib/x86 for accesses that reach a device:
 * memory-mapped registers, and string or odd forms of port instructions. The
 * plain IN and OUT never come here.
 *
 * Guest memory that the instruction reads or writes beside the device is
 * translated by the hypervisor and copied. A breakpoint by single-stepping
 * behind an emulated instruction is not raised.
 */
#include "partitions/root/worker/emulate.h"

#include "hv/abi/hv_register.h"
#include "hv/lib/addr.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/lib/x86/x86_execute.h"
#include "partitions/root/worker/guest_memory.h"
#include "partitions/root/worker/mmio.h"
#include "partitions/root/worker/pio.h"
#include "partitions/root/worker/vm.h"

#define INSTRUCTION_BYTES_MAX 15u
#define CPL_USER              3u

/* Registers that are read: what the instruction can see. */
#define REGISTER_COUNT    28u
#define REGISTER_RIP      16u
#define REGISTER_RFLAGS   17u
#define REGISTER_SEGMENTS 18u
#define REGISTER_CR0      24u
#define REGISTER_CR3      25u
#define REGISTER_CR4      26u
#define REGISTER_EFER     27u

/* Registers that are written back: the general ones, RIP, RFLAGS, a vector register, the interrupt state and an event.
 */
#define CHANGES_MAX 21u

/* An XMM register; YMM registers have no names in the ABI. */
#define VECTOR_BYTES 16u

/* Devices are accessed in at most this many bytes at a time. */
#define DEVICE_BYTES_MAX 8u

static const uint32_t register_names[REGISTER_COUNT] = {
    HvX64RegisterRax, HvX64RegisterRcx, HvX64RegisterRdx, HvX64RegisterRbx,  HvX64RegisterRsp, HvX64RegisterRbp,
    HvX64RegisterRsi, HvX64RegisterRdi, HvX64RegisterR8,  HvX64RegisterR9,   HvX64RegisterR10, HvX64RegisterR11,
    HvX64RegisterR12, HvX64RegisterR13, HvX64RegisterR14, HvX64RegisterR15,  HvX64RegisterRip, HvX64RegisterRflags,
    HvX64RegisterEs,  HvX64RegisterCs,  HvX64RegisterSs,  HvX64RegisterDs,   HvX64RegisterFs,  HvX64RegisterGs,
    HvX64RegisterCr0, HvX64RegisterCr3, HvX64RegisterCr4, HvX64RegisterEfer,
};

/* A page whose translation is known. */
struct known_page {
    bool is_valid;
    uint64_t gva_page;
    uint64_t gpa_page;
};

/* Registers to be written back. */
struct changes {
    uint32_t count;
    uint32_t names[CHANGES_MAX];
    union hv_register_value values[CHANGES_MAX];
};

/* One instruction on its way. */
struct emulation {
    struct vm *vm;
    uint32_t vp_index;
    struct x86_cpu cpu;
    struct known_page known_pages[2]; /* for reads, for writes */
    struct changes changes;
    bool is_stalled; /* a device wants the access later */
    bool has_failed; /* something happened that is no fault of the guest */
    const char *failed_what;
    hv_status_t failed_status;
};

enum worker_outcome emulate_host_failed(struct vm *vm, uint32_t vp_index, const char *what, hv_status_t status)
{
    vm_log(vm, HOST_LOG_ERROR, "VP %u: the hypervisor refused to %s: status 0x%x", vp_index, what,
           (unsigned int)status);
    vm_end(vm, HOST_VM_HOST_FAILED, status);
    return WORKER_ENDED;
}

/* ---- Registers ---------------------------------------------------------- */

static hv_status_t load_cpu(struct emulation *emulation, uint32_t cpl)
{
    struct x86_cpu *cpu = &emulation->cpu;
    union hv_register_value values[REGISTER_COUNT];
    hv_status_t status =
        host_get_vp_registers(emulation->vm->host, emulation->vp_index, register_names, values, REGISTER_COUNT);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    for (uint32_t i = 0; i < X86_GPR_COUNT; i++) {
        cpu->gpr[i] = values[i].reg64;
    }
    cpu->rip = values[REGISTER_RIP].reg64;
    cpu->rflags = values[REGISTER_RFLAGS].reg64;
    for (uint32_t i = 0; i < X86_SEG_COUNT; i++) {
        const struct hv_x64_segment_register *segment = &values[REGISTER_SEGMENTS + i].segment;

        cpu->segments[i] = (struct x86_segment){
            .base = segment->base,
            .limit = segment->limit,
            .selector = segment->selector,
            .attributes = segment->attributes,
        };
        if ((segment->attributes & HV_X64_SEGMENT_PRESENT) == 0) {
            cpu->segments[i].attributes |= X86_SEG_ATTR_UNUSABLE;
        }
    }
    cpu->cr0 = values[REGISTER_CR0].reg64;
    cpu->cr3 = values[REGISTER_CR3].reg64;
    cpu->cr4 = values[REGISTER_CR4].reg64;
    cpu->efer = values[REGISTER_EFER].reg64;
    cpu->cpl = (uint8_t)cpl;
    return HV_STATUS_SUCCESS;
}

static union hv_register_value *add_change(struct changes *changes, uint32_t name)
{
    uint32_t at = changes->count++;

    changes->names[at] = name;
    changes->values[at].reg128 = (struct hv_u128){0, 0};
    return &changes->values[at];
}

static void collect_changes(const struct x86_cpu *before, const struct x86_cpu *after, struct changes *changes)
{
    for (uint32_t i = 0; i < X86_GPR_COUNT; i++) {
        if (before->gpr[i] != after->gpr[i]) {
            add_change(changes, register_names[i])->reg64 = after->gpr[i];
        }
    }
    if (before->rip != after->rip) {
        add_change(changes, HvX64RegisterRip)->reg64 = after->rip;
    }
    if (before->rflags != after->rflags) {
        add_change(changes, HvX64RegisterRflags)->reg64 = after->rflags;
    }
}

/* An instruction was completed: the shadow of the STI or MOV SS before it ends. */
static hv_status_t end_interrupt_shadow(const struct emulation *emulation, uint32_t execution_state,
                                        struct changes *changes)
{
    static const uint32_t name = HvRegisterInterruptState;
    union hv_register_value value;
    hv_status_t status;

    if ((execution_state & HV_X64_EXECUTION_STATE_INTERRUPT_SHADOW) == 0) {
        return HV_STATUS_SUCCESS;
    }
    status = host_get_vp_registers(emulation->vm->host, emulation->vp_index, &name, &value, 1);
    if (status == HV_STATUS_SUCCESS) {
        add_change(changes, name)->reg64 = value.reg64 & ~HV_INTERRUPT_STATE_INTERRUPT_SHADOW;
    }
    return status;
}

static void add_exception(struct changes *changes, const struct x86_fault *fault)
{
    union hv_register_value *event = add_change(changes, HvRegisterPendingEvent0);

    event->reg128.low_part = hv_pending_exception_event(fault->vector);
    if (fault->has_error_code) {
        event->reg128.low_part |=
            HV_PENDING_EVENT_DELIVER_ERROR_CODE | ((uint64_t)fault->error_code << HV_PENDING_EVENT_ERROR_CODE_SHIFT);
    }
    event->reg128.high_part = fault->vector == X86_VECTOR_PF ? fault->cr2 : 0;
}

enum worker_outcome emulate_inject_exception(struct vm *vm, uint32_t vp_index, uint32_t vector)
{
    struct x86_fault fault = {.vector = (uint8_t)vector};
    struct changes changes = {.count = 0};
    hv_status_t status;

    add_exception(&changes, &fault);
    vm->counters.exceptions_injected++;
    status = host_set_vp_registers(vm->host, vp_index, changes.names, changes.values, changes.count);
    if (status != HV_STATUS_SUCCESS) {
        return emulate_host_failed(vm, vp_index, "inject an exception", status);
    }
    return WORKER_RESUME;
}

/* ---- Memory and ports --------------------------------------------------- */

/* Remembers a failure that is not the guest's; the instruction stops and the VM ends. */
static enum x86_access_status fail_access(struct emulation *emulation, const char *what, hv_status_t status)
{
    emulation->has_failed = true;
    emulation->failed_what = what;
    emulation->failed_status = status;
    return X86_ACCESS_RETRY;
}

/* Whether page faults tell fetches from reads: where the two can have different rights. */
static bool reports_fetch(const struct x86_cpu *cpu)
{
    bool has_nx = (cpu->cr4 & X86_CR4_PAE) != 0 && (cpu->efer & X86_EFER_NXE) != 0;

    return has_nx || (cpu->cr4 & X86_CR4_SMEP) != 0;
}

static enum x86_access_status page_fault(const struct emulation *emulation, uint64_t linear, uint32_t access,
                                         enum host_translate_result result, struct x86_fault *fault)
{
    uint32_t error_code = 0;

    if (result != HOST_TRANSLATE_NOT_PRESENT) {
        error_code |= X86_PF_PRESENT;
    }
    if (result == HOST_TRANSLATE_BAD_FLAGS) {
        error_code |= X86_PF_RESERVED;
    }
    if (access == HOST_TRANSLATE_WRITE) {
        error_code |= X86_PF_WRITE;
    }
    if (emulation->cpu.cpl == CPL_USER) {
        error_code |= X86_PF_USER;
    }
    if (access == HOST_TRANSLATE_EXECUTE && reports_fetch(&emulation->cpu)) {
        error_code |= X86_PF_FETCH;
    }
    *fault = (struct x86_fault){
        .vector = X86_VECTOR_PF,
        .has_error_code = true,
        .error_code = error_code,
        .cr2 = linear,
    };
    return X86_ACCESS_FAULT;
}

/* The guest physical address of a linear one for an access inside one page. */
static enum x86_access_status translate(struct emulation *emulation, uint64_t linear, uint32_t access, uint64_t *gpa,
                                        struct x86_fault *fault)
{
    struct known_page *known = &emulation->known_pages[access == HOST_TRANSLATE_WRITE ? 1 : 0];
    enum host_translate_result result = HOST_TRANSLATE_OK;
    hv_status_t status;

    if (known->is_valid && access != HOST_TRANSLATE_EXECUTE && known->gva_page == linear >> PAGE_SHIFT) {
        *gpa = (known->gpa_page << PAGE_SHIFT) | (linear & PAGE_MASK);
        return X86_ACCESS_OK;
    }
    status = host_translate_gva(emulation->vm->host, emulation->vp_index, linear, access, &result, gpa);
    if (status != HV_STATUS_SUCCESS) {
        return fail_access(emulation, "translate an address", status);
    }
    switch (result) {
    case HOST_TRANSLATE_NOT_PRESENT:
    case HOST_TRANSLATE_PRIVILEGE:
    case HOST_TRANSLATE_BAD_FLAGS:
        return page_fault(emulation, linear, access, result, fault);
    case HOST_TRANSLATE_OVERLAY:
    case HOST_TRANSLATE_INTERCEPT:
        return fail_access(emulation, "give access to an overlay page", HV_STATUS_ACCESS_DENIED);
    case HOST_TRANSLATE_OK:
    case HOST_TRANSLATE_GPA_UNMAPPED:
    case HOST_TRANSLATE_GPA_NO_READ:
    case HOST_TRANSLATE_GPA_NO_WRITE:
        break;
    }
    if (access != HOST_TRANSLATE_EXECUTE) {
        *known = (struct known_page){
            .is_valid = true,
            .gva_page = linear >> PAGE_SHIFT,
            .gpa_page = *gpa >> PAGE_SHIFT,
        };
    }
    return X86_ACCESS_OK;
}

/* An access cut into the parts that lie in one page each. */
struct split_access {
    uint64_t gpa[2];
    uint32_t bytes[2];
};

/* Translates all of an access, so that nothing is done when the second page faults. */
static enum x86_access_status split(struct emulation *emulation, uint64_t linear, unsigned size, uint32_t access,
                                    struct split_access *parts, struct x86_fault *fault)
{
    uint32_t in_first = (uint32_t)MIN((uint64_t)size, PAGE_SIZE - (linear & PAGE_MASK));
    enum x86_access_status status = translate(emulation, linear, access, &parts->gpa[0], fault);

    parts->bytes[0] = in_first;
    parts->bytes[1] = (uint32_t)size - in_first;
    if (status == X86_ACCESS_OK && parts->bytes[1] != 0) {
        status = translate(emulation, linear + in_first, access, &parts->gpa[1], fault);
    }
    return status;
}

/* Devices are accessed in the instruction's size, vectors in halves or quarters, and in bytes what a page has cut. */
static uint32_t device_piece(uint32_t bytes)
{
    bool is_natural = bytes == 1 || bytes == 2 || bytes == 4;

    return is_natural ? bytes : bytes % DEVICE_BYTES_MAX == 0 ? DEVICE_BYTES_MAX : 1;
}

static void read_gpa(struct emulation *emulation, uint64_t gpa, uint8_t *data, uint32_t bytes)
{
    struct vm *vm = emulation->vm;
    uint32_t piece = device_piece(bytes);

    if (guest_memory_read(vm->host, gpa, data, bytes)) {
        return;
    }
    for (uint32_t at = 0; at < bytes; at += piece) {
        uint64_t value = mmio_read(&vm->mmio, gpa + at, piece);

        memcpy(data + at, &value, piece);
    }
}

static void write_gpa(struct emulation *emulation, uint64_t gpa, const uint8_t *data, uint32_t bytes)
{
    struct vm *vm = emulation->vm;
    uint32_t piece = device_piece(bytes);

    if (guest_memory_write(vm->host, gpa, data, bytes)) {
        return;
    }
    for (uint32_t at = 0; at < bytes; at += piece) {
        uint64_t value = 0;

        memcpy(&value, data + at, piece);
        mmio_write(&vm->mmio, gpa + at, piece, value);
    }
}

static enum x86_access_status read_memory(void *context, uint64_t linear, unsigned size, void *data,
                                          struct x86_fault *fault)
{
    struct emulation *emulation = context;
    struct split_access parts;
    enum x86_access_status status = split(emulation, linear, size, HOST_TRANSLATE_READ, &parts, fault);
    uint8_t *bytes = data;

    if (status == X86_ACCESS_OK) {
        read_gpa(emulation, parts.gpa[0], bytes, parts.bytes[0]);
        if (parts.bytes[1] != 0) {
            read_gpa(emulation, parts.gpa[1], bytes + parts.bytes[0], parts.bytes[1]);
        }
    }
    return status;
}

static enum x86_access_status write_memory(void *context, uint64_t linear, unsigned size, const void *data,
                                           struct x86_fault *fault)
{
    struct emulation *emulation = context;
    struct split_access parts;
    enum x86_access_status status = split(emulation, linear, size, HOST_TRANSLATE_WRITE, &parts, fault);
    const uint8_t *bytes = data;

    if (status == X86_ACCESS_OK) {
        write_gpa(emulation, parts.gpa[0], bytes, parts.bytes[0]);
        if (parts.bytes[1] != 0) {
            write_gpa(emulation, parts.gpa[1], bytes + parts.bytes[0], parts.bytes[1]);
        }
    }
    return status;
}

static enum x86_access_status probe_write(void *context, uint64_t linear, unsigned size, struct x86_fault *fault)
{
    struct split_access parts;

    return split(context, linear, size, HOST_TRANSLATE_WRITE, &parts, fault);
}

static enum x86_access_status port_in(void *context, uint16_t port, unsigned size, uint32_t *value,
                                      struct x86_fault *fault)
{
    struct emulation *emulation = context;

    (void)fault;
    *value = pio_read(&emulation->vm->pio, port, size);
    return X86_ACCESS_OK;
}

static enum x86_access_status port_out(void *context, uint16_t port, unsigned size, uint32_t value,
                                       struct x86_fault *fault)
{
    struct emulation *emulation = context;

    (void)fault;
    if (!pio_write(&emulation->vm->pio, port, size, value)) {
        emulation->is_stalled = true;
        return X86_ACCESS_RETRY;
    }
    if (worker_has_ended(emulation->vm)) {
        /* A repeated OUTS must not go on writing to a machine that is off. */
        return X86_ACCESS_RETRY;
    }
    return X86_ACCESS_OK;
}

static enum x86_access_status read_vector(void *context, unsigned index, unsigned size, struct x86_vector *value)
{
    struct emulation *emulation = context;
    const uint32_t name = HvX64RegisterXmm0 + index;
    union hv_register_value xmm;
    hv_status_t status;

    if (size > VECTOR_BYTES) {
        return X86_ACCESS_UNSUPPORTED;
    }
    status = host_get_vp_registers(emulation->vm->host, emulation->vp_index, &name, &xmm, 1);
    if (status != HV_STATUS_SUCCESS) {
        return fail_access(emulation, "read a vector register", status);
    }
    value->qwords[0] = xmm.reg128.low_part;
    value->qwords[1] = xmm.reg128.high_part;
    return X86_ACCESS_OK;
}

static void write_vector(void *context, unsigned index, unsigned size, const struct x86_vector *value)
{
    struct emulation *emulation = context;

    (void)size; /* as it was read */
    add_change(&emulation->changes, HvX64RegisterXmm0 + index)->reg128 =
        (struct hv_u128){value->qwords[0], value->qwords[1]};
}

static const struct x86_memory_ops memory_ops = {
    .read = read_memory,
    .write = write_memory,
    .probe_write = probe_write,
    .port_in = port_in,
    .port_out = port_out,
    .read_vector = read_vector,
    .write_vector = write_vector,
};

/* ---- The instruction ---------------------------------------------------- */

/*
 * Reads the instruction from guest memory, up to the first page that is not there; *fault says why it is not. The
 * instruction may end before that.
 */
static uint32_t fetch(struct emulation *emulation, uint8_t *bytes, struct x86_fault *fault)
{
    const struct x86_cpu *cpu = &emulation->cpu;
    bool is_64 = x86_cpu_mode(cpu) == X86_MODE_64;
    uint64_t linear = is_64 ? cpu->rip : (uint32_t)(cpu->segments[X86_SEG_CS].base + cpu->rip);
    uint32_t count = 0;

    while (count < INSTRUCTION_BYTES_MAX) {
        uint64_t at = linear + count;
        uint32_t piece = (uint32_t)MIN((uint64_t)(INSTRUCTION_BYTES_MAX - count), PAGE_SIZE - (at & PAGE_MASK));
        uint64_t gpa = 0;

        if (translate(emulation, at, HOST_TRANSLATE_EXECUTE, &gpa, fault) != X86_ACCESS_OK) {
            break;
        }
        if (!guest_memory_read(emulation->vm->host, gpa, bytes + count, piece)) {
            *fault = (struct x86_fault){.vector = X86_VECTOR_UD};
            break;
        }
        count += piece;
    }
    return count;
}

/*
 * Decodes from the message's bytes, or from memory if those are missing or too few. The processor got past decoding:
 * if there is no instruction now, another VP has changed the code since, and it faults as if it had not.
 */
static bool decode(struct emulation *emulation, const struct emulate_request *request, struct x86_insn *insn,
                   struct x86_fault *fault)
{
    enum x86_mode mode = x86_cpu_mode(&emulation->cpu);
    uint8_t bytes[INSTRUCTION_BYTES_MAX + 1] = {0};
    uint32_t count = MIN(request->instruction_byte_count, INSTRUCTION_BYTES_MAX);
    enum x86_decode_status result;

    memcpy(bytes, request->instruction_bytes, count);
    result = x86_decode(insn, bytes, count, mode);
    if (result == X86_DECODE_TRUNCATED) {
        count = fetch(emulation, bytes, fault);
        result = x86_decode(insn, bytes, count, mode);
    }
    switch (result) {
    case X86_DECODE_OK:
        return true;
    case X86_DECODE_TRUNCATED:
        return false; /* with the fault of the page that is missing */
    case X86_DECODE_INVALID:
        *fault = (struct x86_fault){.vector = X86_VECTOR_UD};
        return false;
    case X86_DECODE_TOO_LONG:
        *fault = (struct x86_fault){
            .vector = X86_VECTOR_GP,
            .has_error_code = (emulation->cpu.cr0 & X86_CR0_PE) != 0, /* real mode pushes none */
        };
        return false;
    }
    UNREACHABLE();
}

static enum worker_outcome end_unsupported(struct emulation *emulation, const struct x86_insn *insn)
{
    vm_log(emulation->vm, HOST_LOG_ERROR,
           "VP %u: cannot emulate the instruction at 0x%llx (map %u, opcode 0x%x, %u bytes) that accesses a device",
           emulation->vp_index, (unsigned long long)emulation->cpu.rip, (unsigned int)insn->map, insn->opcode,
           insn->length);
    vm_end(emulation->vm, HOST_VM_EMULATION_FAILED, 0);
    return WORKER_ENDED;
}

/* Writes back what has changed and says how the VP goes on. */
static enum worker_outcome finish(struct emulation *emulation, const struct x86_cpu *before,
                                  const struct emulate_request *request, enum x86_execute_status result,
                                  const struct x86_fault *fault)
{
    struct vm *vm = emulation->vm;
    struct changes *changes = &emulation->changes;
    hv_status_t status = HV_STATUS_SUCCESS;

    if (emulation->has_failed) {
        return emulate_host_failed(vm, emulation->vp_index, emulation->failed_what, emulation->failed_status);
    }
    collect_changes(before, &emulation->cpu, changes);
    if (result == X86_EXECUTE_DONE) {
        status = end_interrupt_shadow(emulation, request->header->execution_state, changes);
    } else if (result == X86_EXECUTE_FAULT) {
        vm->counters.exceptions_injected++;
        add_exception(changes, fault);
    }
    if (status == HV_STATUS_SUCCESS && changes->count != 0) {
        status = host_set_vp_registers(vm->host, emulation->vp_index, changes->names, changes->values, changes->count);
    }
    if (status != HV_STATUS_SUCCESS) {
        return emulate_host_failed(vm, emulation->vp_index, "change registers", status);
    }
    if (worker_has_ended(vm)) {
        return WORKER_ENDED;
    }
    return emulation->is_stalled ? WORKER_STALLED : WORKER_RESUME;
}

enum worker_outcome emulate_instruction(struct vm *vm, uint32_t vp_index, const struct emulate_request *request)
{
    struct emulation emulation = {.vm = vm, .vp_index = vp_index};
    struct x86_cpu before;
    struct x86_insn insn;
    struct x86_fault fault = {0};
    enum x86_execute_status result = X86_EXECUTE_FAULT;
    uint32_t cpl = request->header->execution_state & HV_X64_EXECUTION_STATE_CPL_MASK;
    hv_status_t status = load_cpu(&emulation, cpl);

    if (status != HV_STATUS_SUCCESS) {
        return emulate_host_failed(vm, vp_index, "read registers", status);
    }
    if (request->has_address) {
        struct known_page *known =
            &emulation.known_pages[request->header->intercept_access_type == HV_INTERCEPT_ACCESS_WRITE ? 1 : 0];

        *known = (struct known_page){
            .is_valid = true,
            .gva_page = request->gva >> PAGE_SHIFT,
            .gpa_page = request->gpa >> PAGE_SHIFT,
        };
    }
    before = emulation.cpu;
    if (decode(&emulation, request, &insn, &fault)) {
        result = x86_execute(&emulation.cpu, &insn, &memory_ops, &emulation, &fault);
        if (result == X86_EXECUTE_UNSUPPORTED) {
            return end_unsupported(&emulation, &insn);
        }
    }
    return finish(&emulation, &before, request, result, &fault);
}
