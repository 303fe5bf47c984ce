/* SPDX-License-Identifier: MIT */
#include "tests/unit/x86_stream.h"

#include <stdio.h>
#include <string.h>

#include "hv/lib/compiler.h"
#include "tests/unit/generated.h"

/*
 * Makes streams: an instruction of a random form, registers set by MOV in front of it so that its operands lie in the
 * data, and a look at what it leaves undefined.
 */

#define TARGET_FIRST   (STREAM_DATA_BASE + STREAM_DATA_SIZE / 4)
#define TARGET_SPAN    (STREAM_DATA_SIZE / 2)
#define CODE_BYTES_MAX 1500u
#define REPEAT_MAX     500u /* times 8 bytes: a quarter of the data */
#define MAKING_MAX     10000

/** Opcodes of one form: 0x0fxx is of the map 0F. */
struct form {
    uint16_t first;
    uint16_t last;
    uint8_t reg_mask; /* bit n: ModRM.reg may be n; 0: any */
    bool has_prefix;  /* 66, F2 and F3 choose the instruction */
};

static const struct form forms[] = {
    {0x00, 0x05, 0, false},     {0x08, 0x0d, 0, false},     {0x10, 0x15, 0, false},     {0x18, 0x1d, 0, false},
    {0x20, 0x25, 0, false},     {0x28, 0x2d, 0, false},     {0x30, 0x35, 0, false},     {0x38, 0x3d, 0, false},
    {0x50, 0x5f, 0, false},     {0x63, 0x63, 0, false},     {0x68, 0x6b, 0, false},     {0x6c, 0x6f, 0, false},
    {0x80, 0x81, 0, false},     {0x83, 0x83, 0, false},     {0x84, 0x8b, 0, false},     {0x8c, 0x8c, 0x3f, false},
    {0x8f, 0x8f, 0x01, false},  {0x90, 0x97, 0, false},     {0xa0, 0xa5, 0, false},     {0xa6, 0xa7, 0, false},
    {0xa8, 0xad, 0, false},     {0xae, 0xaf, 0, false},     {0xb0, 0xbf, 0, false},     {0xc0, 0xc1, 0, false},
    {0xc6, 0xc7, 0x01, false},  {0xd0, 0xd3, 0, false},     {0xe4, 0xe7, 0, false},     {0xec, 0xef, 0, false},
    {0xf6, 0xf7, 0, false},     {0xfe, 0xff, 0x03, false},  {0xff, 0xff, 0x40, false},  {0x0f40, 0x0f4f, 0, false},
    {0x0f90, 0x0f9f, 0, false}, {0x0fa3, 0x0fa5, 0, false}, {0x0fab, 0x0fad, 0, false}, {0x0faf, 0x0fb1, 0, false},
    {0x0fb3, 0x0fb3, 0, false}, {0x0fb6, 0x0fb7, 0, false}, {0x0fba, 0x0fba, 0, false}, {0x0fbb, 0x0fbb, 0, false},
    {0x0fbe, 0x0fbf, 0, false}, {0x0fc0, 0x0fc1, 0, false}, {0x0fc3, 0x0fc3, 0, false}, {0x0fc7, 0x0fc7, 0x02, false},
    {0x0f10, 0x0f13, 0, true},  {0x0f16, 0x0f17, 0, true},  {0x0f28, 0x0f2b, 0, true},  {0x0f6e, 0x0f6f, 0, true},
    {0x0f7e, 0x0f7f, 0, true},  {0x0fd6, 0x0fd6, 0, true},  {0x0fe7, 0x0fe7, 0, true},  {0x0ff0, 0x0ff0, 0, true},
    {0x40, 0x4f, 0, false}, /* none in 64-bit mode */
};

/** A stream while it is made. */
struct maker {
    struct generated random;
    struct stream *stream;
    stream_wrong_flags wrong_flags;
    uint64_t undefined;
};

uint32_t stream_port_in(struct stream_machine *machine, uint16_t port, unsigned size)
{
    uint64_t value = (machine->port_in_count + 1u) * 0x9e3779b97f4a7c15ull ^ port;

    machine->port_in_count++;
    machine->port_log = machine->port_log * 31 + port + size;
    return (uint32_t)((value >> 20) & (size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1));
}

void stream_port_out(struct stream_machine *machine, uint16_t port, unsigned size, uint32_t value)
{
    machine->port_log = machine->port_log * 0x100000001b3ull + value + ((uint64_t)port << 33) + ((uint64_t)size << 50);
}

static bool is_in_data(uint64_t linear, unsigned size)
{
    return linear >= STREAM_DATA_BASE && linear + size <= STREAM_DATA_BASE + STREAM_DATA_SIZE;
}

static enum x86_access_status machine_read(void *context, uint64_t linear, unsigned size, void *data,
                                           struct x86_fault *fault)
{
    struct stream_machine *machine = context;

    if (!is_in_data(linear, size)) {
        *fault = (struct x86_fault){.vector = X86_VECTOR_PF, .has_error_code = true, .cr2 = linear};
        return X86_ACCESS_FAULT;
    }
    memcpy(data, machine->data + (linear - STREAM_DATA_BASE), size);
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_write(void *context, uint64_t linear, unsigned size, const void *data,
                                            struct x86_fault *fault)
{
    struct stream_machine *machine = context;

    if (!is_in_data(linear, size)) {
        *fault = (struct x86_fault){
            .vector = X86_VECTOR_PF, .has_error_code = true, .error_code = X86_PF_WRITE, .cr2 = linear};
        return X86_ACCESS_FAULT;
    }
    memcpy(machine->data + (linear - STREAM_DATA_BASE), data, size);
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_port_in(void *context, uint16_t port, unsigned size, uint32_t *value,
                                              struct x86_fault *fault)
{
    (void)fault;
    *value = stream_port_in(context, port, size);
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_port_out(void *context, uint16_t port, unsigned size, uint32_t value,
                                               struct x86_fault *fault)
{
    (void)fault;
    stream_port_out(context, port, size, value);
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_read_vector(void *context, unsigned index, unsigned size,
                                                  struct x86_vector *value)
{
    struct stream_machine *machine = context;

    memcpy(value, &machine->vectors[index], size);
    return X86_ACCESS_OK;
}

static void machine_write_vector(void *context, unsigned index, unsigned size, const struct x86_vector *value)
{
    struct stream_machine *machine = context;

    memcpy(&machine->vectors[index], value, size);
}

const struct x86_memory_ops stream_ops = {
    .read = machine_read,
    .write = machine_write,
    .port_in = machine_port_in,
    .port_out = machine_port_out,
    .read_vector = machine_read_vector,
    .write_vector = machine_write_vector,
};

static uint64_t mask_of(unsigned size)
{
    return size == 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

static unsigned gpr_count(enum x86_mode mode)
{
    return mode == X86_MODE_64 ? 16 : 8;
}

static bool is_string(enum x86_op op)
{
    return op >= X86_OP_MOVS && op <= X86_OP_OUTS;
}

/* The operations that x86_execute() promises. */
static bool is_executed(enum x86_op op)
{
    return (op >= X86_OP_ADD && op <= X86_OP_OUT) || op == X86_OP_MOV_FROM_SEG;
}

/* A processor at CPL 0 with flat segments; real mode if it is the 16-bit one. */
static void reset_cpu(struct maker *maker, const uint16_t *selectors)
{
    struct x86_cpu *cpu = &maker->stream->before.cpu;
    enum x86_mode mode = maker->stream->mode;

    memset(cpu, 0, sizeof(*cpu));
    cpu->cr0 = mode == X86_MODE_16 ? 0 : X86_CR0_PE;
    cpu->cr4 = X86_CR4_OSFXSR;
    cpu->rflags = X86_RFLAGS_FIXED | (generated_next(&maker->random) & (X86_RFLAGS_STATUS | X86_RFLAGS_DF));
    for (size_t index = 0; index < X86_SEG_COUNT; index++) {
        cpu->segments[index] = (struct x86_segment){
            .limit = mode == X86_MODE_16 ? 0xffff : UINT32_MAX,
            .selector = selectors[index],
            .attributes = mode == X86_MODE_16 ? 0x93 : 0xc093,
        };
    }
    cpu->segments[X86_SEG_CS].attributes |= X86_SEG_TYPE_CODE;
    if (mode == X86_MODE_64) {
        cpu->efer = X86_EFER_LMA | X86_EFER_LME;
        cpu->segments[X86_SEG_CS].attributes ^= X86_SEG_ATTR_L | X86_SEG_ATTR_DB;
        cpu->segments[X86_SEG_FS].base = STREAM_FS_BASE;
        cpu->segments[X86_SEG_GS].base = STREAM_GS_BASE;
    }
    cpu->rip = mode == X86_MODE_16 ? 0 : STREAM_CODE_BASE;
    for (unsigned index = 0; index < gpr_count(mode); index++) {
        cpu->gpr[index] = generated_next(&maker->random) & (mode == X86_MODE_64 ? UINT64_MAX : UINT32_MAX);
    }
}

/* Prefixes, opcode and, at random, everything behind. */
static void make_code(struct maker *maker, uint8_t *code)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0x66, 0xf0};
    static const uint8_t overrides[] = {0x26, 0x3e, 0x64, 0x65};
    static const uint8_t mandatory[] = {0x3e, 0x66, 0xf2, 0xf3};
    struct generated *random = &maker->random;
    bool is_64 = maker->stream->mode == X86_MODE_64;
    const struct form *form = &forms[generated_below(random, ARRAY_SIZE(forms) - (is_64 ? 1 : 0))];
    unsigned opcode = form->first + generated_below(random, form->last - form->first + 1u);
    bool may_repeat = (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xaf);
    size_t at = 0;

    for (size_t index = 0; index < 24; index += 8) {
        uint64_t bytes = generated_next(random);

        memcpy(code + index, &bytes, sizeof(bytes));
    }
    while (at < 3 && generated_below(random, 4) == 0) {
        code[at++] = prefixes[generated_below(random, ARRAY_SIZE(prefixes))];
    }
    /* One at most: Unicorn lets an override that does not count in 64-bit mode undo an FS or GS. */
    if (generated_below(random, 4) == 0) {
        code[at++] = overrides[generated_below(random, ARRAY_SIZE(overrides))];
    }
    if (may_repeat && generated_below(random, 2) == 0) {
        code[at++] = (uint8_t)(0xf2 + generated_below(random, 2));
    }
    if (form->has_prefix && generated_below(random, 4) != 0) {
        code[at++] = mandatory[1 + generated_below(random, 3)];
    }
    if (is_64 && generated_below(random, 2) == 0) {
        code[at++] = (uint8_t)(0x40 + generated_below(random, 16));
    }
    if (opcode > 0xff) {
        code[at++] = 0x0f;
    }
    code[at++] = (uint8_t)opcode;
    while (form->reg_mask != 0 && ((form->reg_mask >> ((code[at] >> 3) & 7)) & 1) == 0) {
        code[at] = (uint8_t)generated_next(random);
    }
}

static unsigned target(struct maker *maker, unsigned alignment)
{
    return TARGET_FIRST + generated_below(&maker->random, TARGET_SPAN) / alignment * alignment;
}

/* Registers with which the memory operand of `insn` is at `linear`; false if there are none. */
static bool aim_operand(struct maker *maker, const struct x86_insn *insn, uint64_t linear, struct x86_cpu *cpu)
{
    const struct x86_memory_operand *memory = &insn->memory;
    uint64_t mask = mask_of(insn->address_size);
    bool is_bit_string = insn->op >= X86_OP_BT && insn->op <= X86_OP_BTC && insn->source == X86_OPERAND_REG;
    uint64_t rest = linear - cpu->segments[memory->segment].base;

    if ((insn->op == X86_OP_PUSH || insn->op == X86_OP_POP) && memory->base == X86_GPR_RSP) {
        return false; /* aim_stack() */
    }
    if (memory->base != X86_REG_NONE && memory->base == memory->index) {
        return false;
    }
    if (is_bit_string) {
        /* Keeps the bit within 256 bytes; what is above the operand size does not count. */
        uint64_t bit = (uint64_t)((int64_t)generated_below(&maker->random, 4096) - 2048);
        uint64_t operand_mask = mask_of(insn->operand_size);

        if (memory->base == insn->reg || memory->index == insn->reg) {
            return false;
        }
        cpu->gpr[insn->reg] = (cpu->gpr[insn->reg] & ~operand_mask) | (bit & operand_mask);
    }
    if (memory->index != X86_REG_NONE) {
        cpu->gpr[memory->index] = (cpu->gpr[memory->index] & ~mask) | generated_below(&maker->random, 256);
        rest -= cpu->gpr[memory->index] << memory->scale_shift;
    }
    if (memory->base != X86_REG_NONE) {
        cpu->gpr[memory->base] = (cpu->gpr[memory->base] & ~mask) | ((rest - (uint64_t)memory->displacement) & mask);
    }
    return true;
}

static void aim_string(struct maker *maker, const struct x86_insn *insn, struct x86_cpu *cpu)
{
    uint64_t mask = mask_of(insn->address_size);
    uint64_t source = target(maker, 1);

    if (insn->segment_override != X86_REG_NONE) {
        source -= cpu->segments[insn->segment_override].base;
    }
    cpu->gpr[X86_GPR_RSI] = (cpu->gpr[X86_GPR_RSI] & ~mask) | source;
    cpu->gpr[X86_GPR_RDI] = (cpu->gpr[X86_GPR_RDI] & ~mask) | target(maker, 1);
    /* Now and then more than one x86_execute() does. */
    cpu->gpr[X86_GPR_RCX] = (cpu->gpr[X86_GPR_RCX] & ~mask) |
                            generated_below(&maker->random, generated_below(&maker->random, 64) == 0 ? REPEAT_MAX : 12);
}

/* Dividends that mostly do not overflow, comparisons that are equal half of the time. */
static void aim_accumulator(struct maker *maker, const struct x86_insn *insn, uint64_t linear, struct x86_cpu *cpu)
{
    const uint8_t *bytes = maker->stream->after.machine.data + (linear - STREAM_DATA_BASE);
    bool is_addressed = insn->memory.base == X86_GPR_RAX || insn->memory.base == X86_GPR_RDX ||
                        insn->memory.index == X86_GPR_RAX || insn->memory.index == X86_GPR_RDX;

    if (is_addressed || generated_below(&maker->random, 8) == 0) {
        return;
    }
    if (insn->op == X86_OP_DIV || insn->op == X86_OP_IDIV) {
        bool is_negative =
            insn->op == X86_OP_IDIV && ((cpu->gpr[X86_GPR_RAX] >> (8 * insn->operand_size - 1)) & 1) != 0;

        cpu->gpr[X86_GPR_RDX] = is_negative ? mask_of(insn->operand_size) : 0;
    } else if (insn->has_memory && generated_below(&maker->random, 2) == 0) {
        unsigned half = insn->op == X86_OP_CMPXCHG ? insn->rm_size : insn->rm_size / 2u;

        memcpy(&cpu->gpr[X86_GPR_RAX], bytes, half);
        if (insn->op == X86_OP_CMPXCHG8B) {
            memcpy(&cpu->gpr[X86_GPR_RDX], bytes + half, half);
        }
    }
}

/* Whether the instruction can be made to work on the data; `cpu` gets the registers that it takes. */
static bool aim(struct maker *maker, const struct x86_insn *insn, uint64_t linear, struct x86_cpu *cpu)
{
    if (is_string(insn->op)) {
        aim_string(maker, insn, cpu);
        return true;
    }
    if (insn->has_memory && !aim_operand(maker, insn, linear, cpu)) {
        return false;
    }
    if (insn->op == X86_OP_PUSH || insn->op == X86_OP_POP) {
        uint64_t mask = maker->stream->mode == X86_MODE_16 ? 0xffff : UINT64_MAX;

        if (insn->memory.index == X86_GPR_RSP || insn->memory.base == X86_GPR_RSP) {
            return false;
        }
        cpu->gpr[X86_GPR_RSP] = (cpu->gpr[X86_GPR_RSP] & ~mask) | target(maker, 1);
    }
    if (insn->op == X86_OP_DIV || insn->op == X86_OP_IDIV || insn->op == X86_OP_CMPXCHG ||
        insn->op == X86_OP_CMPXCHG8B) {
        aim_accumulator(maker, insn, linear, cpu);
    }
    return true;
}

/* Status flags that the condition of a Jcc-like opcode looks at. */
static uint64_t condition_flags(uint8_t opcode)
{
    static const uint64_t flags[8] = {
        X86_RFLAGS_OF,
        X86_RFLAGS_CF,
        X86_RFLAGS_ZF,
        X86_RFLAGS_CF | X86_RFLAGS_ZF,
        X86_RFLAGS_SF,
        X86_RFLAGS_PF,
        X86_RFLAGS_SF | X86_RFLAGS_OF,
        X86_RFLAGS_SF | X86_RFLAGS_OF | X86_RFLAGS_ZF,
    };

    return flags[(opcode >> 1) & 7];
}

static uint64_t flags_read(const struct x86_insn *insn)
{
    switch ((unsigned)insn->op) {
    case X86_OP_ADC:
    case X86_OP_SBB:
    case X86_OP_RCL:
    case X86_OP_RCR:
        return X86_RFLAGS_CF;
    case X86_OP_SETCC:
    case X86_OP_CMOVCC:
        return condition_flags(insn->opcode);
    default:
        return 0;
    }
}

/** Status flags that an instruction writes, and those that it leaves undefined. */
struct flag_effect {
    uint64_t written;
    uint64_t undefined;
};

static struct flag_effect shift_effect(const struct x86_insn *insn, const struct x86_cpu *cpu)
{
    bool is_double = insn->op == X86_OP_SHLD || insn->op == X86_OP_SHRD;
    bool is_by_cl = is_double ? insn->immediate_size == 0 : insn->source == X86_OPERAND_CL;
    unsigned count =
        (unsigned)(is_by_cl ? cpu->gpr[X86_GPR_RCX] : (uint64_t)insn->immediate) & (insn->operand_size == 8 ? 63 : 31);
    unsigned bits = 8u * insn->operand_size;
    struct flag_effect effect = {0};

    if (count == 0) {
        return effect;
    }
    effect.undefined = count == 1 ? 0 : X86_RFLAGS_OF;
    if (insn->op >= X86_OP_ROL && insn->op <= X86_OP_RCR) {
        effect.written = X86_RFLAGS_CF | X86_RFLAGS_OF;
        if ((insn->op == X86_OP_RCL || insn->op == X86_OP_RCR) && count % (bits + 1) == 0) {
            effect = (struct flag_effect){0, X86_RFLAGS_OF};
        }
        return effect;
    }
    effect.written = X86_RFLAGS_STATUS;
    effect.undefined |= X86_RFLAGS_AF;
    if (is_double && count > bits) {
        effect.undefined = X86_RFLAGS_STATUS;
    } else if (!is_double && count >= bits && insn->op != X86_OP_SAR) {
        effect.undefined |= X86_RFLAGS_CF;
    }
    return effect;
}

/* By the manual, with the registers before the instruction. */
static struct flag_effect effect_on_flags(const struct x86_insn *insn, const struct x86_cpu *cpu)
{
    bool is_repeated = (insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE)) != 0;
    bool is_empty = is_repeated && (cpu->gpr[X86_GPR_RCX] & mask_of(insn->address_size)) == 0;

    switch ((unsigned)insn->op) {
    case X86_OP_AND:
    case X86_OP_OR:
    case X86_OP_XOR:
    case X86_OP_TEST:
        return (struct flag_effect){X86_RFLAGS_STATUS, X86_RFLAGS_AF};
    case X86_OP_ADD:
    case X86_OP_ADC:
    case X86_OP_SBB:
    case X86_OP_SUB:
    case X86_OP_CMP:
    case X86_OP_NEG:
    case X86_OP_XADD:
    case X86_OP_CMPXCHG:
        return (struct flag_effect){X86_RFLAGS_STATUS, 0};
    case X86_OP_INC:
    case X86_OP_DEC:
        return (struct flag_effect){X86_RFLAGS_STATUS & ~X86_RFLAGS_CF, 0};
    case X86_OP_BT ... X86_OP_BTC:
        return (struct flag_effect){X86_RFLAGS_CF, X86_RFLAGS_STATUS & ~(X86_RFLAGS_CF | X86_RFLAGS_ZF)};
    case X86_OP_ROL ... X86_OP_SHRD:
        return shift_effect(insn, cpu);
    case X86_OP_MUL:
    case X86_OP_IMUL:
        return (struct flag_effect){X86_RFLAGS_STATUS, X86_RFLAGS_STATUS & ~(X86_RFLAGS_CF | X86_RFLAGS_OF)};
    case X86_OP_DIV:
    case X86_OP_IDIV:
        return (struct flag_effect){X86_RFLAGS_STATUS, X86_RFLAGS_STATUS};
    case X86_OP_CMPXCHG8B:
        return (struct flag_effect){X86_RFLAGS_ZF, 0};
    case X86_OP_CMPS:
    case X86_OP_SCAS:
        return (struct flag_effect){is_empty ? 0 : X86_RFLAGS_STATUS, 0};
    default:
        return (struct flag_effect){0, 0};
    }
}

enum x86_execute_status stream_execute(const struct stream *stream, uint32_t index, struct stream_state *state)
{
    struct x86_fault fault = {0};
    enum x86_execute_status status;

    do {
        status = x86_execute(&state->cpu, &stream->insns[index].insn, &stream_ops, &state->machine, &fault);
    } while (status == X86_EXECUTE_AGAIN);
    return status == X86_EXECUTE_FAULT && fault.vector != X86_VECTOR_DE ? X86_EXECUTE_UNSUPPORTED : status;
}

/* Takes the code of one instruction into the stream and executes it; false if that goes wrong. */
static bool append(struct maker *maker, const uint8_t *code, const struct x86_insn *insn)
{
    struct stream *stream = maker->stream;
    struct stream_insn *entry = &stream->insns[stream->insn_count];
    struct flag_effect effect = effect_on_flags(insn, &stream->after.cpu);
    enum x86_execute_status status;

    memcpy(stream->code + stream->code_bytes, code, insn->length);
    stream->code_bytes += insn->length;
    *entry = (struct stream_insn){.rip = stream->after.cpu.rip, .insn = *insn};
    status = stream_execute(stream, stream->insn_count, &stream->after);
    stream->insn_count++;
    if (status == X86_EXECUTE_FAULT) {
        stream->ends_with_fault = true;
    } else if (status != X86_EXECUTE_DONE) {
        fprintf(stderr, "status %d of operation %d\n", (int)status, (int)insn->op);
        return false;
    } else {
        maker->undefined = (maker->undefined & ~effect.written) | effect.undefined | maker->wrong_flags(insn);
    }
    entry->undefined = maker->undefined;
    return true;
}

/* MOV of a whole register. */
static bool append_move(struct maker *maker, unsigned reg, uint64_t value)
{
    enum x86_mode mode = maker->stream->mode;
    uint8_t code[16];
    struct x86_insn insn;
    size_t at = 0;

    if (mode == X86_MODE_64) {
        code[at++] = (uint8_t)(0x48 | (reg >> 3));
    } else if (mode == X86_MODE_16) {
        code[at++] = 0x66;
    }
    code[at++] = (uint8_t)(0xb8 | (reg & 7));
    memcpy(code + at, &value, sizeof(value));
    maker->stream->move_count++;
    return x86_decode(&insn, code, at + sizeof(value), mode) == X86_DECODE_OK && append(maker, code, &insn);
}

/* Puts what is left of the address into the displacement, which is in front of the immediates. */
static void patch_displacement(const struct maker *maker, struct x86_insn *insn, uint8_t *code, uint64_t linear)
{
    const struct x86_cpu *cpu = &maker->stream->after.cpu;
    const struct x86_memory_operand *memory = &insn->memory;
    uint64_t rest = linear - cpu->segments[memory->segment].base;
    size_t at = insn->length - insn->immediate_size - insn->immediate2_size - insn->displacement_size;

    if (memory->index != X86_REG_NONE) {
        rest -= cpu->gpr[memory->index] << memory->scale_shift;
    }
    if (memory->is_rip_relative) {
        rest -= cpu->rip + insn->length;
    }
    memcpy(code + at, &rest, insn->displacement_size);
}

/* One instruction with what it needs in front; *is_made: false if this one could not be made, and nothing was. */
static bool append_random(struct maker *maker, bool *is_made)
{
    struct stream *stream = maker->stream;
    uint8_t code[24];
    struct x86_insn insn;
    struct x86_cpu wanted = stream->after.cpu;
    uint64_t linear;
    bool needs_alignment;

    *is_made = false;
    make_code(maker, code);
    if (x86_decode(&insn, code, sizeof(code), stream->mode) != X86_DECODE_OK || !is_executed(insn.op) ||
        maker->wrong_flags(&insn) == STREAM_LEFT_OUT || (flags_read(&insn) & maker->undefined) != 0) {
        return true;
    }
    needs_alignment = insn.op == X86_OP_MOV_VECTOR_ALIGNED || (insn.op == X86_OP_CMPXCHG8B && insn.rm_size == 16);
    linear = target(maker, needs_alignment ? 16 : 1);
    if (!aim(maker, &insn, linear, &wanted)) {
        return true;
    }
    *is_made = true;
    for (unsigned reg = 0; reg < gpr_count(stream->mode); reg++) {
        if (wanted.gpr[reg] != stream->after.cpu.gpr[reg] && !append_move(maker, reg, wanted.gpr[reg])) {
            return false;
        }
    }
    if (insn.has_memory && insn.memory.base == X86_REG_NONE) {
        patch_displacement(maker, &insn, code, linear);
    }
    return x86_decode(&insn, code, sizeof(code), stream->mode) == X86_DECODE_OK && append(maker, code, &insn);
}

bool stream_make(struct stream *stream, enum x86_mode mode, uint64_t seed, const uint16_t selectors[X86_SEG_COUNT],
                 stream_wrong_flags wrong_flags)
{
    struct maker maker = {.stream = stream, .wrong_flags = wrong_flags};
    bool is_good = true;

    generated_begin(&maker.random, seed);
    stream->mode = mode;
    stream->code_bytes = 0;
    stream->insn_count = 0;
    stream->move_count = 0;
    stream->ends_with_fault = false;
    memset(&stream->before.machine, 0, sizeof(stream->before.machine));
    reset_cpu(&maker, selectors);
    for (size_t at = 0; at < STREAM_DATA_SIZE; at += 8) {
        uint64_t bytes = generated_next(&maker.random);

        memcpy(stream->before.machine.data + at, &bytes, sizeof(bytes));
    }
    for (size_t index = 0; index < gpr_count(mode); index++) {
        stream->before.machine.vectors[index].qwords[0] = generated_next(&maker.random);
        stream->before.machine.vectors[index].qwords[1] = generated_next(&maker.random);
    }
    stream->after = stream->before;
    /* Room is left for the moves in front of an instruction. */
    for (unsigned tries = 0; is_good && tries < MAKING_MAX && !stream->ends_with_fault &&
                             stream->code_bytes < CODE_BYTES_MAX && stream->insn_count < STREAM_INSN_MAX - 8;
         tries++) {
        bool is_made;

        is_good = append_random(&maker, &is_made);
    }
    return is_good;
}
