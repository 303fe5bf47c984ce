/* SPDX-License-Identifier: MIT */
/*
 * MOVS, STOS, LODS, CMPS, SCAS, INS and OUTS with their repetitions. One iteration happens as a whole or not at all;
 * the registers between two iterations are those that the processor would show.
 */
#include <stddef.h>

#include "hv/lib/x86/x86_alu.h"
#include "hv/lib/x86/x86_run.h"

/** What an iteration reads and writes beside the accumulator and ports. */
struct string_shape {
    bool reads_rsi;
    bool reads_rdi;
    bool writes_rdi;
};

static struct string_shape shape_of(enum x86_op op)
{
    return (struct string_shape){
        .reads_rsi = op == X86_OP_MOVS || op == X86_OP_LODS || op == X86_OP_OUTS || op == X86_OP_CMPS,
        .reads_rdi = op == X86_OP_CMPS || op == X86_OP_SCAS,
        .writes_rdi = op == X86_OP_MOVS || op == X86_OP_STOS || op == X86_OP_INS,
    };
}

/* The linear address of one element: by RSI in DS or its override, by RDI in ES. */
static enum x86_access_status locate_element(const struct x86_run *run, unsigned reg, bool is_write, uint64_t *linear)
{
    const struct x86_insn *insn = run->insn;
    unsigned segment = insn->segment_override != X86_REG_NONE ? insn->segment_override : X86_SEG_DS;
    uint64_t offset = run->cpu->gpr[reg] & x86_size_mask(insn->address_size);
    bool is_allowed = x86_segment_linear(run->cpu, insn->mode, reg == X86_GPR_RDI ? X86_SEG_ES : segment, offset,
                                         insn->operand_size, is_write, linear, run->fault);

    return is_allowed ? X86_ACCESS_OK : X86_ACCESS_FAULT;
}

static void step_register(const struct x86_run *run, unsigned reg, uint64_t step)
{
    uint64_t *gpr = &run->cpu->gpr[reg];

    *gpr = x86_merge_register(*gpr, *gpr + step, run->insn->address_size);
}

static enum x86_access_status read_source(const struct x86_run *run, uint64_t linear, uint64_t *value)
{
    const struct x86_insn *insn = run->insn;
    enum x86_access_status status;
    uint32_t port_value = 0;

    *value = 0;
    switch ((unsigned)insn->op) {
    case X86_OP_INS:
        status = run->ops->port_in(run->context, (uint16_t)run->cpu->gpr[X86_GPR_RDX], insn->operand_size, &port_value,
                                   run->fault);
        *value = port_value;
        return status;
    case X86_OP_STOS:
    case X86_OP_SCAS:
        *value = x86_read_register(run, X86_GPR_RAX, insn->operand_size);
        return X86_ACCESS_OK;
    default:
        return run->ops->read(run->context, linear, insn->operand_size, value, run->fault);
    }
}

static enum x86_access_status compare(const struct x86_run *run, uint64_t linear, uint64_t value)
{
    uint64_t flags = 0;
    uint64_t other = 0;
    enum x86_access_status status = run->ops->read(run->context, linear, run->insn->operand_size, &other, run->fault);

    if (status == X86_ACCESS_OK) {
        (void)x86_alu(X86_OP_CMP, value, other, run->insn->operand_size, &flags);
        run->cpu->rflags = (run->cpu->rflags & ~X86_RFLAGS_STATUS) | flags;
    }
    return status;
}

static enum x86_access_status use_value(const struct x86_run *run, uint64_t linear, uint64_t value)
{
    const struct x86_insn *insn = run->insn;

    switch ((unsigned)insn->op) {
    case X86_OP_OUTS:
        return run->ops->port_out(run->context, (uint16_t)run->cpu->gpr[X86_GPR_RDX], insn->operand_size,
                                  (uint32_t)value, run->fault);
    case X86_OP_LODS:
        x86_write_register(run, X86_GPR_RAX, insn->operand_size, value);
        return X86_ACCESS_OK;
    case X86_OP_CMPS:
    case X86_OP_SCAS:
        return compare(run, linear, value);
    default:
        return run->ops->write(run->context, linear, insn->operand_size, &value, run->fault);
    }
}

/* One iteration; registers change only if all of it succeeds. */
static enum x86_access_status execute_iteration(const struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    struct string_shape shape = shape_of(insn->op);
    uint64_t step = (run->cpu->rflags & X86_RFLAGS_DF) != 0 ? 0 - (uint64_t)insn->operand_size : insn->operand_size;
    uint64_t source = 0;
    uint64_t destination = 0;
    uint64_t value = 0;
    enum x86_access_status status = X86_ACCESS_OK;

    if (shape.reads_rsi) {
        status = locate_element(run, X86_GPR_RSI, false, &source);
    }
    if (status == X86_ACCESS_OK && (shape.reads_rdi || shape.writes_rdi)) {
        status = locate_element(run, X86_GPR_RDI, shape.writes_rdi, &destination);
    }
    if (status == X86_ACCESS_OK && shape.writes_rdi && insn->op != X86_OP_STOS) {
        status = x86_probe(run, destination, insn->operand_size);
    }
    if (status == X86_ACCESS_OK) {
        status = read_source(run, source, &value);
    }
    if (status == X86_ACCESS_OK) {
        status = use_value(run, destination, value);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    if (shape.reads_rsi) {
        step_register(run, X86_GPR_RSI, step);
    }
    if (shape.reads_rdi || shape.writes_rdi) {
        step_register(run, X86_GPR_RDI, step);
    }
    return X86_ACCESS_OK;
}

/* REPE and REPNE end CMPS and SCAS by ZF. */
static bool ends_repetition(const struct x86_run *run)
{
    bool is_equal = (run->cpu->rflags & X86_RFLAGS_ZF) != 0;
    bool goes_on_while_equal = (run->insn->prefixes & X86_PREFIX_REP) != 0;

    return shape_of(run->insn->op).reads_rdi && is_equal != goes_on_while_equal;
}

enum x86_access_status x86_execute_string(const struct x86_run *run, bool *is_complete)
{
    const struct x86_insn *insn = run->insn;
    bool is_repeated = (insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE)) != 0;
    const uint64_t *count = &run->cpu->gpr[X86_GPR_RCX];

    *is_complete = true;
    if (!is_repeated) {
        return execute_iteration(run);
    }
    for (unsigned iteration = 0; (*count & x86_size_mask(insn->address_size)) != 0; iteration++) {
        enum x86_access_status status;

        if (iteration == X86_EXECUTE_ITERATION_LIMIT) {
            *is_complete = false;
            break;
        }
        status = execute_iteration(run);
        if (status != X86_ACCESS_OK) {
            return status;
        }
        step_register(run, X86_GPR_RCX, UINT64_MAX);
        if (ends_repetition(run)) {
            break;
        }
    }
    return X86_ACCESS_OK;
}
