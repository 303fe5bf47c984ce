/* SPDX-License-Identifier: MIT */
/*
 * Executes one decoded instruction: operands, results, flags, string repetitions, and the checks that segmentation
 * makes on the way to a linear address. Paging, devices and the delivery of exceptions are the caller's, behind
 * struct x86_memory_ops. Values pass between callbacks and registers in host byte order, which is the guest's.
 */
#include "hv/lib/x86/x86_execute.h"

#include <stddef.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

/** One x86_execute() call. */
struct run {
    struct x86_cpu *cpu;
    const struct x86_insn *insn;
    const struct x86_memory_ops *ops;
    void *context;
    struct x86_fault *fault;
    uint64_t linear; /* of the memory operand, once located */
};

static uint64_t size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;
}

static uint64_t sign_bit(unsigned size)
{
    return (uint64_t)1 << (8 * size - 1);
}

static int64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned shift = 64 - 8 * size;

    return (int64_t)(value << shift) >> shift;
}

/* Merges a result into a register of which `size` bytes are written; 32-bit results clear the upper half. */
static uint64_t merge_register(uint64_t old, uint64_t value, unsigned size)
{
    uint64_t mask = size == 4 ? UINT64_MAX : size_mask(size);

    return (old & ~mask) | (value & size_mask(size));
}

/* Without REX the byte registers 4 to 7 are AH, CH, DH and BH. */
static bool is_high_byte(const struct x86_insn *insn, unsigned reg, unsigned size)
{
    return size == 1 && reg >= 4 && reg < 8 && (insn->prefixes & X86_PREFIX_REX) == 0;
}

static uint64_t read_register(const struct run *run, unsigned reg, unsigned size)
{
    if (is_high_byte(run->insn, reg, size)) {
        return (run->cpu->gpr[reg - 4] >> 8) & 0xff;
    }
    return run->cpu->gpr[reg] & size_mask(size);
}

static void write_register(const struct run *run, unsigned reg, unsigned size, uint64_t value)
{
    uint64_t *gpr = run->cpu->gpr;

    if (is_high_byte(run->insn, reg, size)) {
        gpr[reg - 4] = (gpr[reg - 4] & ~(uint64_t)0xff00) | ((value & 0xff) << 8);
    } else {
        gpr[reg] = merge_register(gpr[reg], value, size);
    }
}

enum x86_mode x86_cpu_mode(const struct x86_cpu *cpu)
{
    uint32_t attributes = cpu->segments[X86_SEG_CS].attributes;

    if ((cpu->efer & X86_EFER_LMA) != 0 && (attributes & X86_SEG_ATTR_L) != 0) {
        return X86_MODE_64;
    }
    return (attributes & X86_SEG_ATTR_DB) != 0 ? X86_MODE_32 : X86_MODE_16;
}

void x86_advance_rip(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t mask = insn->mode == X86_MODE_64 ? UINT64_MAX : size_mask(4);

    cpu->rip = (cpu->rip + insn->length) & mask;
    cpu->rflags &= ~X86_RFLAGS_RF;
}

/* #SS for the stack segment, #GP for the others. */
static bool raise_segment_fault(const struct x86_cpu *cpu, unsigned segment, struct x86_fault *fault)
{
    *fault = (struct x86_fault){
        .vector = segment == X86_SEG_SS ? X86_VECTOR_SS : X86_VECTOR_GP,
        .has_error_code = (cpu->cr0 & X86_CR0_PE) != 0, /* real mode pushes none */
    };
    return false;
}

static bool is_canonical(const struct x86_cpu *cpu, uint64_t address)
{
    return linear_is_canonical(address, cpu->cr4 & X86_CR4_LA57 ? LINEAR_BITS_5_LEVEL : LINEAR_BITS_4_LEVEL);
}

/* Whether segmentation outside 64-bit mode lets an access through. */
static bool is_segment_access_allowed(const struct x86_cpu *cpu, const struct x86_segment *segment, uint64_t offset,
                                      unsigned size, bool is_write)
{
    bool is_protected = (cpu->cr0 & X86_CR0_PE) != 0 && (cpu->rflags & X86_RFLAGS_VM) == 0;
    uint32_t attributes = segment->attributes;
    bool is_code = (attributes & X86_SEG_TYPE_CODE) != 0;
    uint64_t last = offset + size - 1;

    if (is_protected) {
        /* The same bit makes data writable and code readable. */
        bool has_right = is_code ? !is_write && (attributes & X86_SEG_TYPE_READABLE) != 0
                                 : !is_write || (attributes & X86_SEG_TYPE_WRITABLE) != 0;

        if ((attributes & X86_SEG_ATTR_UNUSABLE) != 0 || (attributes & X86_SEG_ATTR_P) == 0 || !has_right) {
            return false;
        }
        if (!is_code && (attributes & X86_SEG_TYPE_EXPAND_DOWN) != 0) {
            uint64_t top = (attributes & X86_SEG_ATTR_DB) != 0 ? UINT32_MAX : UINT16_MAX;

            return offset > segment->limit && last <= top;
        }
    }
    return last <= segment->limit;
}

bool x86_segment_linear(const struct x86_cpu *cpu, enum x86_mode mode, unsigned segment, uint64_t offset, unsigned size,
                        bool is_write, uint64_t *linear, struct x86_fault *fault)
{
    const struct x86_segment *hidden = &cpu->segments[segment];

    if (mode == X86_MODE_64) {
        uint64_t first = offset + (segment >= X86_SEG_FS ? hidden->base : 0);
        uint64_t last = first + size - 1;

        if (!is_canonical(cpu, first) || !is_canonical(cpu, last) || last < first) {
            return raise_segment_fault(cpu, segment, fault);
        }
        *linear = first;
        return true;
    }
    offset &= size_mask(4);
    if (!is_segment_access_allowed(cpu, hidden, offset, size, is_write)) {
        return raise_segment_fault(cpu, segment, fault);
    }
    *linear = (hidden->base + offset) & size_mask(4);
    return true;
}

/* Base + index * scale + displacement + `extra`, cut to the address size. */
static uint64_t effective_offset(const struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t extra)
{
    const struct x86_memory_operand *memory = &insn->memory;
    uint64_t offset = (uint64_t)memory->displacement + extra;

    if (memory->is_rip_relative) {
        offset += cpu->rip + insn->length;
    }
    if (memory->base != X86_REG_NONE) {
        offset += cpu->gpr[memory->base];
    }
    if (memory->index != X86_REG_NONE) {
        offset += cpu->gpr[memory->index] << memory->scale_shift;
    }
    return offset & size_mask(insn->address_size);
}

bool x86_linear_address(const struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size, bool is_write,
                        uint64_t *linear, struct x86_fault *fault)
{
    return x86_segment_linear(cpu, insn->mode, insn->memory.segment, effective_offset(cpu, insn, 0), size, is_write,
                              linear, fault);
}

/* Whether the destination is written: not by CMP, TEST and BT. */
static bool is_destination_written(enum x86_op op)
{
    return op != X86_OP_CMP && op != X86_OP_TEST && op != X86_OP_BT;
}

/*
 * How far from its operand a BT of a bit given by a register reaches into memory: that number is signed and not
 * cut to the operand size.
 */
static uint64_t bit_string_displacement(const struct run *run)
{
    unsigned size = run->insn->operand_size;
    int64_t bit = sign_extend(read_register(run, run->insn->reg, size), size);
    unsigned shift = size == 8 ? 6 : (size == 4 ? 5 : 4);

    return (uint64_t)(bit >> shift) * size;
}

/* Finds the linear address of the memory operand and asks beforehand whether it can be written. */
static enum x86_access_status locate_memory(struct run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_written = insn->destination == X86_OPERAND_RM && is_destination_written(insn->op);
    bool is_bit_string = insn->op >= X86_OP_BT && insn->op <= X86_OP_BTC && insn->source == X86_OPERAND_REG;
    uint64_t offset = effective_offset(run->cpu, insn, is_bit_string ? bit_string_displacement(run) : 0);

    if (!x86_segment_linear(run->cpu, insn->mode, insn->memory.segment, offset, insn->rm_size, is_written, &run->linear,
                            run->fault)) {
        return X86_ACCESS_FAULT;
    }
    if (is_written && insn->op != X86_OP_MOV && run->ops->probe_write != NULL) {
        return run->ops->probe_write(run->context, run->linear, insn->rm_size, run->fault);
    }
    return X86_ACCESS_OK;
}

static enum x86_access_status load_operand(const struct run *run, enum x86_operand operand, uint64_t *value)
{
    const struct x86_insn *insn = run->insn;

    *value = 0;
    switch (operand) {
    case X86_OPERAND_NONE:
    case X86_OPERAND_DX: /* ports are execute_port()'s */
        return X86_ACCESS_OK;
    case X86_OPERAND_REG:
        *value = read_register(run, insn->reg, insn->operand_size);
        return X86_ACCESS_OK;
    case X86_OPERAND_RM:
        if (insn->has_memory) {
            return run->ops->read(run->context, run->linear, insn->rm_size, value, run->fault);
        }
        *value = read_register(run, insn->rm, insn->rm_size);
        return X86_ACCESS_OK;
    case X86_OPERAND_ACC:
        *value = read_register(run, X86_GPR_RAX, insn->operand_size);
        return X86_ACCESS_OK;
    case X86_OPERAND_IMM:
        *value = (uint64_t)insn->immediate & size_mask(insn->operand_size);
        return X86_ACCESS_OK;
    }
    UNREACHABLE();
}

/* To a general register or to memory; the other kinds are no destinations of what is executed here. */
static enum x86_access_status store_operand(const struct run *run, enum x86_operand operand, uint64_t value)
{
    const struct x86_insn *insn = run->insn;

    if (operand == X86_OPERAND_RM) {
        if (insn->has_memory) {
            return run->ops->write(run->context, run->linear, insn->rm_size, &value, run->fault);
        }
        write_register(run, insn->rm, insn->rm_size, value);
    } else {
        write_register(run, operand == X86_OPERAND_REG ? insn->reg : X86_GPR_RAX, insn->operand_size, value);
    }
    return X86_ACCESS_OK;
}

/* Sign, zero and parity of a result. */
static uint64_t result_flags(uint64_t result, unsigned size)
{
    uint64_t flags = 0;

    flags |= (result & size_mask(size)) == 0 ? X86_RFLAGS_ZF : 0;
    flags |= (result & sign_bit(size)) != 0 ? X86_RFLAGS_SF : 0;
    flags |= __builtin_parity((unsigned)(result & 0xff)) == 0 ? X86_RFLAGS_PF : 0;
    return flags;
}

static uint64_t add(uint64_t a, uint64_t b, bool carry, unsigned size, uint64_t *flags)
{
    uint64_t result = (a + b + (carry ? 1 : 0)) & size_mask(size);

    *flags = result_flags(result, size);
    *flags |= (carry ? result <= a : result < a) ? X86_RFLAGS_CF : 0;
    *flags |= ((a ^ result) & (b ^ result) & sign_bit(size)) != 0 ? X86_RFLAGS_OF : 0;
    *flags |= (a ^ b ^ result) & X86_RFLAGS_AF;
    return result;
}

static uint64_t subtract(uint64_t a, uint64_t b, bool borrow, unsigned size, uint64_t *flags)
{
    uint64_t result = (a - b - (borrow ? 1 : 0)) & size_mask(size);

    *flags = result_flags(result, size);
    *flags |= (borrow ? a <= b : a < b) ? X86_RFLAGS_CF : 0;
    *flags |= ((a ^ b) & (a ^ result) & sign_bit(size)) != 0 ? X86_RFLAGS_OF : 0;
    *flags |= (a ^ b ^ result) & X86_RFLAGS_AF;
    return result;
}

static uint64_t logic(uint64_t result, unsigned size, uint64_t *flags)
{
    *flags = result_flags(result, size);
    return result;
}

/* BT, BTS, BTR, BTC of bit `index` (taken modulo the size): only CF changes. */
static uint64_t test_bit(enum x86_op op, uint64_t value, uint64_t index, unsigned size, uint64_t *flags)
{
    uint64_t bit = (uint64_t)1 << (index & (8 * size - 1));

    *flags = (*flags & ~X86_RFLAGS_CF) | ((value & bit) != 0 ? X86_RFLAGS_CF : 0);
    switch ((unsigned)op) {
    case X86_OP_BTS:
        return value | bit;
    case X86_OP_BTR:
        return value & ~bit;
    case X86_OP_BTC:
        return value ^ bit;
    default:
        return value;
    }
}

/* The result of an arithmetic or logic operation. `flags`: all status flags, before and after. */
static uint64_t compute(enum x86_op op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
{
    bool carry = (*flags & X86_RFLAGS_CF) != 0;
    uint64_t result;

    switch ((unsigned)op) {
    case X86_OP_ADD:
        return add(a, b, false, size, flags);
    case X86_OP_ADC:
        return add(a, b, carry, size, flags);
    case X86_OP_SUB:
    case X86_OP_CMP:
        return subtract(a, b, false, size, flags);
    case X86_OP_SBB:
        return subtract(a, b, carry, size, flags);
    case X86_OP_OR:
        return logic(a | b, size, flags);
    case X86_OP_AND:
    case X86_OP_TEST:
        return logic(a & b, size, flags);
    case X86_OP_XOR:
        return logic(a ^ b, size, flags);
    case X86_OP_NOT:
        return ~a & size_mask(size);
    case X86_OP_NEG:
        return subtract(0, a, false, size, flags);
    case X86_OP_INC:
        result = add(a, 1, false, size, flags);
        break;
    case X86_OP_DEC:
        result = subtract(a, 1, false, size, flags);
        break;
    default:
        return test_bit(op, a, b, size, flags);
    }
    /* INC and DEC leave the carry alone. */
    *flags = (*flags & ~X86_RFLAGS_CF) | (carry ? X86_RFLAGS_CF : 0);
    return result;
}

static enum x86_access_status execute_arithmetic(const struct run *run)
{
    const struct x86_insn *insn = run->insn;
    uint64_t flags = run->cpu->rflags & X86_RFLAGS_STATUS;
    uint64_t a;
    uint64_t b;
    uint64_t result;
    enum x86_access_status status = load_operand(run, insn->source, &b);

    if (status == X86_ACCESS_OK) {
        status = load_operand(run, insn->destination, &a);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    result = compute(insn->op, a, b, insn->operand_size, &flags);
    if (is_destination_written(insn->op)) {
        status = store_operand(run, insn->destination, result);
    }
    if (status == X86_ACCESS_OK) {
        run->cpu->rflags = (run->cpu->rflags & ~X86_RFLAGS_STATUS) | flags;
    }
    return status;
}

static enum x86_access_status execute_move(const struct run *run)
{
    uint64_t value;
    enum x86_access_status status = load_operand(run, run->insn->source, &value);

    if (status != X86_ACCESS_OK) {
        return status;
    }
    if (run->insn->op == X86_OP_MOVSX) {
        value = (uint64_t)sign_extend(value, run->insn->rm_size);
    }
    return store_operand(run, run->insn->destination, value);
}

static enum x86_access_status execute_exchange(const struct run *run)
{
    const struct x86_insn *insn = run->insn;
    uint64_t ours;
    uint64_t theirs;
    enum x86_access_status status = load_operand(run, insn->source, &ours);

    if (status == X86_ACCESS_OK) {
        status = load_operand(run, insn->destination, &theirs);
    }
    if (status == X86_ACCESS_OK) {
        status = store_operand(run, insn->destination, ours);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    return store_operand(run, insn->source, theirs);
}

/* The instructions with up to two operands of which one may be in memory. */
static enum x86_access_status execute_operands(struct run *run)
{
    const struct x86_insn *insn = run->insn;

    if (insn->has_memory) {
        enum x86_access_status status = locate_memory(run);

        if (status != X86_ACCESS_OK) {
            return status;
        }
    }
    if (insn->op == X86_OP_XCHG) {
        return execute_exchange(run);
    }
    if (insn->op == X86_OP_MOV || insn->op == X86_OP_MOVZX || insn->op == X86_OP_MOVSX) {
        return execute_move(run);
    }
    return execute_arithmetic(run);
}

static enum x86_access_status execute_port(const struct run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_in = insn->op == X86_OP_IN;
    enum x86_operand where = is_in ? insn->source : insn->destination;
    uint16_t port = where == X86_OPERAND_IMM ? (uint8_t)insn->immediate : (uint16_t)run->cpu->gpr[X86_GPR_RDX];
    uint32_t value = 0;
    enum x86_access_status status;

    if (!is_in) {
        value = (uint32_t)read_register(run, X86_GPR_RAX, insn->operand_size);
        return run->ops->port_out(run->context, port, insn->operand_size, value, run->fault);
    }
    status = run->ops->port_in(run->context, port, insn->operand_size, &value, run->fault);
    if (status == X86_ACCESS_OK) {
        write_register(run, X86_GPR_RAX, insn->operand_size, value);
    }
    return status;
}

/* The linear address of one element of a string: by RSI in DS or its override, by RDI in ES. */
static enum x86_access_status locate_element(const struct run *run, unsigned reg, uint64_t *linear)
{
    const struct x86_insn *insn = run->insn;
    bool is_destination = reg == X86_GPR_RDI;
    unsigned segment = insn->segment_override != X86_REG_NONE ? insn->segment_override : X86_SEG_DS;
    uint64_t offset = run->cpu->gpr[reg] & size_mask(insn->address_size);
    bool is_allowed = x86_segment_linear(run->cpu, insn->mode, is_destination ? X86_SEG_ES : segment, offset,
                                         insn->operand_size, is_destination, linear, run->fault);

    return is_allowed ? X86_ACCESS_OK : X86_ACCESS_FAULT;
}

static void step_register(const struct run *run, unsigned reg, uint64_t step)
{
    uint64_t *gpr = &run->cpu->gpr[reg];

    *gpr = merge_register(*gpr, *gpr + step, run->insn->address_size);
}

static enum x86_access_status read_source(const struct run *run, uint64_t linear, uint64_t *value)
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
        *value = read_register(run, X86_GPR_RAX, insn->operand_size);
        return X86_ACCESS_OK;
    default:
        return run->ops->read(run->context, linear, insn->operand_size, value, run->fault);
    }
}

static enum x86_access_status write_destination(const struct run *run, uint64_t linear, uint64_t value)
{
    const struct x86_insn *insn = run->insn;

    switch ((unsigned)insn->op) {
    case X86_OP_OUTS:
        return run->ops->port_out(run->context, (uint16_t)run->cpu->gpr[X86_GPR_RDX], insn->operand_size,
                                  (uint32_t)value, run->fault);
    case X86_OP_LODS:
        write_register(run, X86_GPR_RAX, insn->operand_size, value);
        return X86_ACCESS_OK;
    default:
        return run->ops->write(run->context, linear, insn->operand_size, &value, run->fault);
    }
}

/* One iteration of a string instruction; registers change only if all of it succeeds. */
static enum x86_access_status execute_iteration(const struct run *run)
{
    const struct x86_insn *insn = run->insn;
    bool has_source = insn->op == X86_OP_MOVS || insn->op == X86_OP_LODS || insn->op == X86_OP_OUTS;
    bool has_destination = insn->op == X86_OP_MOVS || insn->op == X86_OP_STOS || insn->op == X86_OP_INS;
    uint64_t step = insn->operand_size;
    uint64_t source = 0;
    uint64_t destination = 0;
    uint64_t value;
    enum x86_access_status status = X86_ACCESS_OK;

    if (has_source) {
        status = locate_element(run, X86_GPR_RSI, &source);
    }
    if (status == X86_ACCESS_OK && has_destination) {
        status = locate_element(run, X86_GPR_RDI, &destination);
    }
    if (status == X86_ACCESS_OK && has_destination && insn->op != X86_OP_STOS && run->ops->probe_write != NULL) {
        status = run->ops->probe_write(run->context, destination, insn->operand_size, run->fault);
    }
    if (status == X86_ACCESS_OK) {
        status = read_source(run, source, &value);
    }
    if (status == X86_ACCESS_OK) {
        status = write_destination(run, destination, value);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    if ((run->cpu->rflags & X86_RFLAGS_DF) != 0) {
        step = 0 - step;
    }
    if (has_source) {
        step_register(run, X86_GPR_RSI, step);
    }
    if (has_destination) {
        step_register(run, X86_GPR_RDI, step);
    }
    return X86_ACCESS_OK;
}

static enum x86_execute_status finish(const struct run *run, enum x86_access_status status)
{
    switch (status) {
    case X86_ACCESS_OK:
        x86_advance_rip(run->cpu, run->insn);
        return X86_EXECUTE_DONE;
    case X86_ACCESS_FAULT:
        return X86_EXECUTE_FAULT;
    case X86_ACCESS_RETRY:
        return X86_EXECUTE_AGAIN;
    }
    UNREACHABLE();
}

static enum x86_execute_status execute_string(const struct run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_repeated = (insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE)) != 0;

    if (!is_repeated) {
        return finish(run, execute_iteration(run));
    }
    for (unsigned iteration = 0; iteration <= X86_EXECUTE_ITERATION_LIMIT; iteration++) {
        enum x86_access_status status;

        if ((run->cpu->gpr[X86_GPR_RCX] & size_mask(insn->address_size)) == 0) {
            return finish(run, X86_ACCESS_OK);
        }
        if (iteration == X86_EXECUTE_ITERATION_LIMIT) {
            break;
        }
        status = execute_iteration(run);
        if (status != X86_ACCESS_OK) {
            return finish(run, status);
        }
        step_register(run, X86_GPR_RCX, UINT64_MAX);
    }
    return X86_EXECUTE_AGAIN;
}

enum x86_execute_status x86_execute(struct x86_cpu *cpu, const struct x86_insn *insn, const struct x86_memory_ops *ops,
                                    void *context, struct x86_fault *fault)
{
    struct run run = {.cpu = cpu, .insn = insn, .ops = ops, .context = context, .fault = fault};
    bool is_in = insn->op == X86_OP_IN || insn->op == X86_OP_INS;
    bool is_out = insn->op == X86_OP_OUT || insn->op == X86_OP_OUTS;

    if ((is_in && ops->port_in == NULL) || (is_out && ops->port_out == NULL)) {
        return X86_EXECUTE_UNSUPPORTED;
    }
    switch ((unsigned)insn->op) {
    case X86_OP_ADD:
    case X86_OP_OR:
    case X86_OP_ADC:
    case X86_OP_SBB:
    case X86_OP_AND:
    case X86_OP_SUB:
    case X86_OP_XOR:
    case X86_OP_CMP:
    case X86_OP_TEST:
    case X86_OP_INC:
    case X86_OP_DEC:
    case X86_OP_NOT:
    case X86_OP_NEG:
    case X86_OP_BT:
    case X86_OP_BTS:
    case X86_OP_BTR:
    case X86_OP_BTC:
    case X86_OP_MOV:
    case X86_OP_MOVZX:
    case X86_OP_MOVSX:
    case X86_OP_XCHG:
        return finish(&run, execute_operands(&run));
    case X86_OP_IN:
    case X86_OP_OUT:
        return finish(&run, execute_port(&run));
    case X86_OP_MOVS:
    case X86_OP_STOS:
    case X86_OP_LODS:
    case X86_OP_INS:
    case X86_OP_OUTS:
        return execute_string(&run);
    default:
        return X86_EXECUTE_UNSUPPORTED;
    }
}
