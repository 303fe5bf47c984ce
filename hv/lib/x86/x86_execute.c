/* SPDX-License-Identifier: MIT */
/*
 * Executes one decoded instruction: reads operands, lets x86_alu.c compute, writes results, so that a fault on the way
 * leaves nothing half done. Strings and vectors are x86_string.c's and x86_vector.c's. Paging, devices and the delivery
 * of exceptions are the caller's, behind struct x86_memory_ops.
 */
#include "hv/lib/x86/x86_execute.h"

#include <stddef.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_alu.h"
#include "hv/lib/x86/x86_run.h"

static void set_status_flags(const struct x86_run *run, uint64_t flags)
{
    run->cpu->rflags = (run->cpu->rflags & ~X86_RFLAGS_STATUS) | flags;
}

/* Finds the memory operand of an instruction that reads before it writes, and asks beforehand about the write. */
static enum x86_access_status locate_and_probe(struct x86_run *run, uint64_t extra)
{
    enum x86_access_status status = x86_locate(run, extra, true);

    if (status == X86_ACCESS_OK && run->insn->has_memory) {
        status = x86_probe(run, run->linear, run->insn->rm_size);
    }
    return status;
}

/* Both operands. */
static enum x86_access_status load_both(const struct x86_run *run, uint64_t *destination, uint64_t *source)
{
    enum x86_access_status status = x86_load(run, run->insn->source, source);

    return status == X86_ACCESS_OK ? x86_load(run, run->insn->destination, destination) : status;
}

/*
 * How far from its operand a BT of a bit given by a register reaches into memory: that number is signed and not
 * cut to the operand size.
 */
static uint64_t bit_string_displacement(const struct x86_run *run)
{
    unsigned size = run->insn->operand_size;
    int64_t bit = x86_sign_extend(x86_read_register(run, run->insn->reg, size), size);
    unsigned shift = size == 8 ? 6 : (size == 4 ? 5 : 4);

    return (uint64_t)(bit >> shift) * size;
}

/* ADD to CMP, TEST, INC to NEG, BT to BTC, ROL to SAR. */
static enum x86_access_status execute_arithmetic(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_written = insn->op != X86_OP_CMP && insn->op != X86_OP_TEST && insn->op != X86_OP_BT;
    bool is_bit_string = insn->op >= X86_OP_BT && insn->op <= X86_OP_BTC && insn->source == X86_OPERAND_REG;
    uint64_t extra = is_bit_string ? bit_string_displacement(run) : 0;
    uint64_t flags = run->cpu->rflags & X86_RFLAGS_STATUS;
    uint64_t a;
    uint64_t b;
    enum x86_access_status status = is_written && insn->destination == X86_OPERAND_RM ? locate_and_probe(run, extra)
                                                                                      : x86_locate(run, extra, false);

    if (status == X86_ACCESS_OK) {
        status = load_both(run, &a, &b);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    a = x86_alu(insn->op, a, b, insn->operand_size, &flags);
    if (is_written) {
        status = x86_store(run, insn->destination, a);
    }
    if (status == X86_ACCESS_OK) {
        set_status_flags(run, flags);
    }
    return status;
}

static enum x86_access_status execute_shift_double(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    unsigned count = insn->immediate_size != 0 ? (uint8_t)insn->immediate : (uint8_t)run->cpu->gpr[X86_GPR_RCX];
    uint64_t flags = run->cpu->rflags & X86_RFLAGS_STATUS;
    uint64_t a;
    uint64_t b;
    enum x86_access_status status = locate_and_probe(run, 0);

    if (status == X86_ACCESS_OK) {
        status = load_both(run, &a, &b);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    a = x86_alu_shift_double(insn->op == X86_OP_SHLD, a, b, count, insn->operand_size, &flags);
    status = x86_store(run, X86_OPERAND_RM, a);
    if (status == X86_ACCESS_OK) {
        set_status_flags(run, flags);
    }
    return status;
}

/* The accumulator and its upper half: AH:AL, DX:AX, EDX:EAX or RDX:RAX. */
static void read_double(const struct x86_run *run, uint64_t *high, uint64_t *low)
{
    unsigned size = run->insn->operand_size;
    const uint64_t *gpr = run->cpu->gpr;

    *low = gpr[X86_GPR_RAX] & x86_size_mask(size);
    *high = size == 1 ? (gpr[X86_GPR_RAX] >> 8) & 0xff : gpr[X86_GPR_RDX] & x86_size_mask(size);
}

static void write_double(const struct x86_run *run, uint64_t high, uint64_t low)
{
    unsigned size = run->insn->operand_size;
    uint64_t *gpr = run->cpu->gpr;

    if (size == 1) {
        gpr[X86_GPR_RAX] = x86_merge_register(gpr[X86_GPR_RAX], (high << 8) | low, 2);
    } else {
        gpr[X86_GPR_RAX] = x86_merge_register(gpr[X86_GPR_RAX], low, size);
        gpr[X86_GPR_RDX] = x86_merge_register(gpr[X86_GPR_RDX], high, size);
    }
}

/* MUL and the three forms of IMUL. */
static enum x86_access_status execute_multiply(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_wide = insn->destination == X86_OPERAND_RM;
    enum x86_operand other = insn->immediate_size != 0 ? X86_OPERAND_IMM : is_wide ? X86_OPERAND_ACC : X86_OPERAND_REG;
    uint64_t flags = 0;
    uint64_t high;
    uint64_t a;
    uint64_t b;
    enum x86_access_status status = x86_locate(run, 0, false);

    if (status == X86_ACCESS_OK) {
        status = x86_load(run, X86_OPERAND_RM, &a);
    }
    if (status == X86_ACCESS_OK) {
        status = x86_load(run, other, &b);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    a = x86_alu_multiply(insn->op == X86_OP_IMUL, a, b, insn->operand_size, &high, &flags);
    set_status_flags(run, flags);
    if (is_wide) {
        write_double(run, high, a);
        return X86_ACCESS_OK;
    }
    return x86_store(run, X86_OPERAND_REG, a);
}

static enum x86_access_status execute_divide(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    uint64_t divisor;
    uint64_t high;
    uint64_t low;
    enum x86_access_status status = x86_locate(run, 0, false);

    if (status == X86_ACCESS_OK) {
        status = x86_load(run, X86_OPERAND_RM, &divisor);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    read_double(run, &high, &low);
    if (!x86_alu_divide(insn->op == X86_OP_IDIV, divisor, insn->operand_size, &high, &low)) {
        return x86_raise(run, X86_VECTOR_DE, false);
    }
    write_double(run, high, low);
    return X86_ACCESS_OK;
}

/* Everything that reads one operand and writes another one. */
static enum x86_access_status execute_move(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    bool holds = x86_alu_condition(insn->opcode, run->cpu->rflags);
    uint64_t value;
    enum x86_access_status status = x86_locate(run, 0, insn->destination == X86_OPERAND_RM);

    if (status == X86_ACCESS_OK) {
        status = x86_load(run, insn->source, &value);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    switch ((unsigned)insn->op) {
    case X86_OP_MOVSX:
        value = (uint64_t)x86_sign_extend(value, insn->rm_size);
        break;
    case X86_OP_SETCC:
        value = holds ? 1 : 0;
        break;
    case X86_OP_CMOVCC:
        /* The operand is read, and the upper half of a 64-bit register cleared, whether the condition holds or not. */
        value = holds ? value : x86_read_register(run, insn->reg, insn->operand_size);
        break;
    case X86_OP_MOV_FROM_SEG:
        value = run->cpu->segments[insn->reg].selector;
        break;
    default:
        break;
    }
    return x86_store(run, insn->destination, value);
}

/* XCHG and XADD: the destination may be in memory and is written first, since that may fail. */
static enum x86_access_status execute_exchange(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_add = insn->op == X86_OP_XADD;
    uint64_t flags = run->cpu->rflags & X86_RFLAGS_STATUS;
    uint64_t theirs;
    uint64_t ours;
    enum x86_access_status status = locate_and_probe(run, 0);

    if (status == X86_ACCESS_OK) {
        status = load_both(run, &theirs, &ours);
    }
    if (status == X86_ACCESS_OK && is_add) {
        ours = x86_alu(X86_OP_ADD, theirs, ours, insn->operand_size, &flags);
    }
    if (status == X86_ACCESS_OK) {
        status = x86_store(run, insn->destination, ours);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    set_status_flags(run, flags);
    if (is_add && !insn->has_memory && insn->reg == insn->rm) {
        return X86_ACCESS_OK; /* the sum stays */
    }
    return x86_store(run, insn->source, theirs);
}

static enum x86_access_status execute_compare_exchange(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    uint64_t flags = run->cpu->rflags & X86_RFLAGS_STATUS;
    uint64_t accumulator = x86_read_register(run, X86_GPR_RAX, insn->operand_size);
    uint64_t old;
    uint64_t new;
    bool is_equal;
    enum x86_access_status status = locate_and_probe(run, 0);

    if (status == X86_ACCESS_OK) {
        status = load_both(run, &old, &new);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    (void)x86_alu(X86_OP_CMP, accumulator, old, insn->operand_size, &flags);
    is_equal = accumulator == old;
    if (is_equal || insn->has_memory) {
        /* Memory is written in any case. */
        status = x86_store(run, X86_OPERAND_RM, is_equal ? new : old);
    }
    if (status == X86_ACCESS_OK) {
        set_status_flags(run, flags);
        if (!is_equal) {
            x86_write_register(run, X86_GPR_RAX, insn->operand_size, old);
        }
    }
    return status;
}

/* The value of two registers as CMPXCHG8B and CMPXCHG16B have it in memory. */
static struct x86_vector join(const struct x86_run *run, unsigned high, unsigned low)
{
    const uint64_t *gpr = run->cpu->gpr;

    if (run->insn->operand_size == 8) {
        return (struct x86_vector){.qwords = {gpr[low], gpr[high]}};
    }
    return (struct x86_vector){.qwords = {(gpr[high] << 32) | (uint32_t)gpr[low]}};
}

static enum x86_access_status execute_compare_exchange_double(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    struct x86_vector expected = join(run, X86_GPR_RDX, X86_GPR_RAX);
    struct x86_vector new = join(run, X86_GPR_RCX, X86_GPR_RBX);
    struct x86_vector old = {0};
    bool is_equal;
    enum x86_access_status status = x86_locate(run, 0, true);

    if (status == X86_ACCESS_OK && insn->rm_size == 16 && run->linear % 16 != 0) {
        return x86_raise(run, X86_VECTOR_GP, true);
    }
    if (status == X86_ACCESS_OK) {
        status = x86_probe(run, run->linear, insn->rm_size);
    }
    if (status == X86_ACCESS_OK) {
        status = run->ops->read(run->context, run->linear, insn->rm_size, old.qwords, run->fault);
    }
    is_equal = old.qwords[0] == expected.qwords[0] && old.qwords[1] == expected.qwords[1];
    if (status == X86_ACCESS_OK) {
        status =
            run->ops->write(run->context, run->linear, insn->rm_size, is_equal ? new.qwords : old.qwords, run->fault);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    run->cpu->rflags = (run->cpu->rflags & ~X86_RFLAGS_ZF) | (is_equal ? X86_RFLAGS_ZF : 0);
    if (!is_equal) {
        write_double(run, insn->operand_size == 8 ? old.qwords[1] : old.qwords[0] >> 32,
                     old.qwords[0] & x86_size_mask(insn->operand_size));
    }
    return X86_ACCESS_OK;
}

/* Bytes of the stack pointer that count. */
static unsigned stack_address_size(const struct x86_run *run)
{
    if (run->insn->mode == X86_MODE_64) {
        return 8;
    }
    return (run->cpu->segments[X86_SEG_SS].attributes & X86_SEG_ATTR_DB) != 0 ? 4 : 2;
}

static bool locate_stack(const struct x86_run *run, uint64_t pointer, bool is_write, uint64_t *linear)
{
    return x86_segment_linear(run->cpu, run->insn->mode, X86_SEG_SS, pointer & x86_size_mask(stack_address_size(run)),
                              run->insn->operand_size, is_write, linear, run->fault);
}

static enum x86_access_status execute_push(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    uint64_t *pointer = &run->cpu->gpr[X86_GPR_RSP];
    uint64_t top = *pointer - insn->operand_size;
    uint64_t linear = 0;
    uint64_t value;
    enum x86_access_status status = x86_locate(run, 0, false);

    if (status == X86_ACCESS_OK && !locate_stack(run, top, true, &linear)) {
        return X86_ACCESS_FAULT;
    }
    if (status == X86_ACCESS_OK && insn->has_memory) {
        status = x86_probe(run, linear, insn->operand_size);
    }
    if (status == X86_ACCESS_OK) {
        status = x86_load(run, insn->source, &value);
    }
    if (status == X86_ACCESS_OK) {
        status = run->ops->write(run->context, linear, insn->operand_size, &value, run->fault);
    }
    if (status == X86_ACCESS_OK) {
        *pointer = x86_merge_register(*pointer, top, stack_address_size(run));
    }
    return status;
}

static enum x86_access_status execute_pop(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    uint64_t *pointer = &run->cpu->gpr[X86_GPR_RSP];
    uint64_t before = *pointer;
    uint64_t linear = 0;
    uint64_t value = 0;
    enum x86_access_status status;

    if (!locate_stack(run, before, false, &linear)) {
        return X86_ACCESS_FAULT;
    }
    status = run->ops->read(run->context, linear, insn->operand_size, &value, run->fault);
    if (status != X86_ACCESS_OK) {
        return status;
    }
    /* A destination addressed by the stack pointer, or that is it, goes by the new one. */
    *pointer = x86_merge_register(before, before + insn->operand_size, stack_address_size(run));
    status = x86_locate(run, 0, true);
    if (status == X86_ACCESS_OK) {
        status = x86_store(run, insn->destination, value);
    }
    if (status != X86_ACCESS_OK) {
        *pointer = before;
    }
    return status;
}

static enum x86_access_status execute_port(const struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_in = insn->op == X86_OP_IN;
    enum x86_operand where = is_in ? insn->source : insn->destination;
    uint16_t port = where == X86_OPERAND_IMM ? (uint8_t)insn->immediate : (uint16_t)run->cpu->gpr[X86_GPR_RDX];
    uint32_t value = 0;
    enum x86_access_status status;

    if (!is_in) {
        value = (uint32_t)x86_read_register(run, X86_GPR_RAX, insn->operand_size);
        return run->ops->port_out(run->context, port, insn->operand_size, value, run->fault);
    }
    status = run->ops->port_in(run->context, port, insn->operand_size, &value, run->fault);
    if (status == X86_ACCESS_OK) {
        x86_write_register(run, X86_GPR_RAX, insn->operand_size, value);
    }
    return status;
}

static enum x86_access_status execute(struct x86_run *run, bool *is_complete)
{
    switch ((unsigned)run->insn->op) {
    case X86_OP_ADD ... X86_OP_SAR:
        return execute_arithmetic(run);
    case X86_OP_SHLD:
    case X86_OP_SHRD:
        return execute_shift_double(run);
    case X86_OP_MUL:
    case X86_OP_IMUL:
        return execute_multiply(run);
    case X86_OP_DIV:
    case X86_OP_IDIV:
        return execute_divide(run);
    case X86_OP_MOV:
    case X86_OP_MOVZX:
    case X86_OP_MOVSX:
    case X86_OP_SETCC:
    case X86_OP_CMOVCC:
    case X86_OP_MOV_FROM_SEG:
        return execute_move(run);
    case X86_OP_XCHG:
    case X86_OP_XADD:
        return execute_exchange(run);
    case X86_OP_CMPXCHG:
        return execute_compare_exchange(run);
    case X86_OP_CMPXCHG8B:
        return execute_compare_exchange_double(run);
    case X86_OP_PUSH:
        return execute_push(run);
    case X86_OP_POP:
        return execute_pop(run);
    case X86_OP_MOV_VECTOR ... X86_OP_MOV_VECTOR_HIGH:
        return x86_execute_vector(run);
    case X86_OP_IN:
    case X86_OP_OUT:
        return execute_port(run);
    case X86_OP_MOVS ... X86_OP_OUTS:
        return x86_execute_string(run, is_complete);
    default:
        return X86_ACCESS_UNSUPPORTED;
    }
}

enum x86_execute_status x86_execute(struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_memory_ops *ops,
                                    void *context, struct x86_fault *fault)
{
    struct x86_run run = {.cpu = cpu, .insn = insn, .ops = ops, .context = context, .fault = fault};
    bool is_in = insn->op == X86_OP_IN || insn->op == X86_OP_INS;
    bool is_out = insn->op == X86_OP_OUT || insn->op == X86_OP_OUTS;
    bool is_complete = true;

    if ((is_in && ops->port_in == NULL) || (is_out && ops->port_out == NULL)) {
        return X86_EXECUTE_UNSUPPORTED;
    }
    switch (execute(&run, &is_complete)) {
    case X86_ACCESS_OK:
        break;
    case X86_ACCESS_FAULT:
        return X86_EXECUTE_FAULT;
    case X86_ACCESS_RETRY:
        return X86_EXECUTE_AGAIN;
    case X86_ACCESS_UNSUPPORTED:
        return X86_EXECUTE_UNSUPPORTED;
    }
    if (!is_complete) {
        return X86_EXECUTE_AGAIN;
    }
    x86_advance_rip(cpu, insn);
    return X86_EXECUTE_DONE;
}
