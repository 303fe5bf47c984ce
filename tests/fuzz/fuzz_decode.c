/* SPDX-License-Identifier: MIT */
/*
 * The instruction decoder and executor on any bytes in any mode. Holds: lengths are consistent with the bytes given, a
 * decoded length does not depend on what follows, an instruction that is not executed changes nothing, one that is
 * stays within its operands.
 */
#include <string.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/lib/x86/x86_execute.h"
#include "tests/fuzz/fuzz.h"

#define MEMORY_BYTES     256u
#define ACCESS_BYTES_MAX 32u /* the widest vector register that is moved */

/* Memory and ports of the instruction. Everything is at every address. */
struct machine {
    uint8_t memory[MEMORY_BYTES];
    struct fuzz_input *input;
    uint32_t writes;
    uint32_t accesses;
};

/* What a callback answers: mostly yes. */
static enum x86_access_status answer(struct machine *machine, uint64_t linear, struct x86_fault *fault)
{
    machine->accesses++;
    switch (fuzz_u8(machine->input)) {
    case 1:
        *fault = (struct x86_fault){.vector = X86_VECTOR_PF, .has_error_code = true, .error_code = 2, .cr2 = linear};
        return X86_ACCESS_FAULT;
    case 2:
        return X86_ACCESS_RETRY;
    default:
        return X86_ACCESS_OK;
    }
}

static enum x86_access_status read_memory(void *context, uint64_t linear, unsigned size, void *data,
                                          struct x86_fault *fault)
{
    struct machine *machine = context;
    enum x86_access_status status = answer(machine, linear, fault);

    FUZZ_CHECK(size != 0 && size <= ACCESS_BYTES_MAX);
    for (unsigned i = 0; status == X86_ACCESS_OK && i < size; i++) {
        ((uint8_t *)data)[i] = machine->memory[(linear + i) % MEMORY_BYTES];
    }
    return status;
}

static enum x86_access_status write_memory(void *context, uint64_t linear, unsigned size, const void *data,
                                           struct x86_fault *fault)
{
    struct machine *machine = context;
    enum x86_access_status status = answer(machine, linear, fault);

    FUZZ_CHECK(size != 0 && size <= ACCESS_BYTES_MAX);
    for (unsigned i = 0; status == X86_ACCESS_OK && i < size; i++) {
        machine->memory[(linear + i) % MEMORY_BYTES] = ((const uint8_t *)data)[i];
    }
    machine->writes += status == X86_ACCESS_OK;
    return status;
}

static enum x86_access_status probe_memory(void *context, uint64_t linear, unsigned size, struct x86_fault *fault)
{
    FUZZ_CHECK(size != 0);
    return answer(context, linear, fault);
}

static enum x86_access_status read_port(void *context, uint16_t port, unsigned size, uint32_t *value,
                                        struct x86_fault *fault)
{
    FUZZ_CHECK(size == 1 || size == 2 || size == 4);
    *value = port * 0x01010101u;
    return answer(context, port, fault);
}

static enum x86_access_status write_port(void *context, uint16_t port, unsigned size, uint32_t value,
                                         struct x86_fault *fault)
{
    (void)value;
    FUZZ_CHECK(size == 1 || size == 2 || size == 4);
    return answer(context, port, fault);
}

static const struct x86_memory_ops ops = {
    .read = read_memory,
    .write = write_memory,
    .probe_write = probe_memory,
    .port_in = read_port,
    .port_out = write_port,
};

/* The same instruction cut short, followed by other bytes, and recognised by its operation. */
static void check_lengths(const struct x86_insn *insn, const uint8_t *bytes, size_t count, enum x86_mode mode)
{
    uint8_t other[X86_INSN_LENGTH_MAX + 1];
    struct x86_insn again;

    FUZZ_CHECK(insn->length >= 1 && insn->length <= X86_INSN_LENGTH_MAX && insn->length <= count);
    FUZZ_CHECK(insn->operand_size <= 8 && insn->address_size <= 8);
    for (size_t i = 0; i < insn->length; i++) {
        FUZZ_CHECK(x86_decode(&again, bytes, i, mode) == X86_DECODE_TRUNCATED);
    }
    memcpy(other, bytes, insn->length);
    memset(other + insn->length, 0xff, sizeof(other) - insn->length);
    FUZZ_CHECK(x86_decode(&again, other, sizeof(other), mode) == X86_DECODE_OK);
    FUZZ_CHECK(again.length == insn->length && again.op == insn->op && again.immediate == insn->immediate);
    FUZZ_CHECK(x86_insn_length_of(insn->op, bytes, count, mode) == insn->length);
}

static void load_registers(struct x86_cpu *cpu, struct fuzz_input *input, enum x86_mode mode)
{
    memset(cpu, 0, sizeof(*cpu));
    fuzz_fill(input, cpu->gpr, sizeof(cpu->gpr));
    cpu->rip = fuzz_u64(input);
    cpu->rflags = fuzz_u16(input) | 2;
    cpu->cpl = fuzz_u8(input) & 3;
    cpu->cr0 = fuzz_u8(input) & 1 ? X86_CR0_PE : 0;
    for (unsigned i = 0; i < ARRAY_SIZE(cpu->segments); i++) {
        cpu->segments[i].base = fuzz_u16(input) & 0xfff0u;
        cpu->segments[i].limit = fuzz_u8(input) & 1 ? UINT32_MAX : 0xffff;
        cpu->segments[i].attributes = 0x93;
    }
    cpu->segments[X86_SEG_CS].attributes = 0x9b;
    if (mode != X86_MODE_16) {
        cpu->cr0 |= X86_CR0_PE;
    }
    if (mode == X86_MODE_64) {
        cpu->efer = X86_EFER_LME | X86_EFER_LMA;
        cpu->segments[X86_SEG_CS].attributes |= X86_SEG_ATTR_L;
    } else if (mode == X86_MODE_32) {
        cpu->segments[X86_SEG_CS].attributes |= X86_SEG_ATTR_DB;
    }
}

static void execute(const struct x86_insn *insn, struct fuzz_input *input, enum x86_mode mode)
{
    struct x86_cpu cpu;
    struct x86_cpu before;
    struct machine machine = {.input = input};
    struct x86_fault fault = {0};
    enum x86_execute_status status;

    load_registers(&cpu, input, mode);
    fuzz_fill(input, machine.memory, sizeof(machine.memory));
    if (x86_cpu_mode(&cpu) != mode) {
        return;
    }
    before = cpu;
    status = x86_execute(&cpu, insn, &ops, &machine, &fault);
    FUZZ_CHECK(memcmp(cpu.segments, before.segments, sizeof(cpu.segments)) == 0);
    FUZZ_CHECK(machine.accesses <= 4 * X86_EXECUTE_ITERATION_LIMIT);
    switch (status) {
    case X86_EXECUTE_DONE:
        x86_advance_rip(&before, insn);
        FUZZ_CHECK(cpu.rip == before.rip);
        break;
    case X86_EXECUTE_AGAIN:
        FUZZ_CHECK(cpu.rip == before.rip);
        break;
    case X86_EXECUTE_FAULT:
        FUZZ_CHECK(cpu.rip == before.rip && fault.vector < 32);
        break;
    case X86_EXECUTE_UNSUPPORTED:
        FUZZ_CHECK(memcmp(&cpu, &before, sizeof(cpu)) == 0 && machine.accesses == 0);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    enum x86_mode mode = (enum x86_mode)fuzz_below(&input, 3);
    uint8_t code[X86_INSN_LENGTH_MAX + 1];
    size_t count = fuzz_below(&input, sizeof(code) + 1);
    struct x86_insn insn;

    fuzz_fill(&input, code, count);
    switch (x86_decode(&insn, code, count, mode)) {
    case X86_DECODE_OK:
        check_lengths(&insn, code, count, mode);
        execute(&insn, &input, mode);
        break;
    case X86_DECODE_TRUNCATED:
        FUZZ_CHECK(count < X86_INSN_LENGTH_MAX);
        break;
    case X86_DECODE_TOO_LONG:
        /* Whatever follows. */
        memset(code + count, 0xff, sizeof(code) - count);
        FUZZ_CHECK(x86_decode(&insn, code, sizeof(code), mode) == X86_DECODE_TOO_LONG);
        break;
    case X86_DECODE_INVALID:
        break;
    }
    return 0;
}
