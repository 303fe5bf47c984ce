/* SPDX-License-Identifier: MIT */
/*
 * Operands of the executor: registers, the checks that segmentation makes on the way to a linear address, and what
 * lies there. Paging and devices are the caller's, behind struct x86_memory_ops. Values pass between callbacks and
 * registers in host byte order, which is the guest's.
 */
#include <stddef.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_alu.h"
#include "hv/lib/x86/x86_run.h"

uint64_t x86_merge_register(uint64_t old, uint64_t value, unsigned size)
{
    uint64_t mask = size == 4 ? UINT64_MAX : x86_size_mask(size);

    return (old & ~mask) | (value & x86_size_mask(size));
}

static bool is_high_byte(const struct x86_insn *insn, unsigned reg, unsigned size)
{
    return size == 1 && reg >= 4 && reg < 8 && (insn->prefixes & X86_PREFIX_REX) == 0;
}

uint64_t x86_read_register(const struct x86_run *run, unsigned reg, unsigned size)
{
    if (is_high_byte(run->insn, reg, size)) {
        return (run->cpu->gpr[reg - 4] >> 8) & 0xff;
    }
    return run->cpu->gpr[reg] & x86_size_mask(size);
}

void x86_write_register(const struct x86_run *run, unsigned reg, unsigned size, uint64_t value)
{
    uint64_t *gpr = run->cpu->gpr;

    if (is_high_byte(run->insn, reg, size)) {
        gpr[reg - 4] = (gpr[reg - 4] & ~(uint64_t)0xff00) | ((value & 0xff) << 8);
    } else {
        gpr[reg] = x86_merge_register(gpr[reg], value, size);
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
    uint64_t mask = insn->mode == X86_MODE_64 ? UINT64_MAX : x86_size_mask(4);

    cpu->rip = (cpu->rip + insn->length) & mask;
    cpu->rflags &= ~X86_RFLAGS_RF;
}

enum x86_access_status x86_raise(const struct x86_run *run, uint8_t vector, bool has_error_code)
{
    *run->fault = (struct x86_fault){
        .vector = vector,
        .has_error_code = has_error_code && (run->cpu->cr0 & X86_CR0_PE) != 0, /* real mode pushes none */
    };
    return X86_ACCESS_FAULT;
}

/* #SS for the stack segment, #GP for the others. */
static bool raise_segment_fault(const struct x86_cpu *cpu, unsigned segment, struct x86_fault *fault)
{
    *fault = (struct x86_fault){
        .vector = segment == X86_SEG_SS ? X86_VECTOR_SS : X86_VECTOR_GP,
        .has_error_code = (cpu->cr0 & X86_CR0_PE) != 0,
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
    offset &= x86_size_mask(4);
    if (!is_segment_access_allowed(cpu, hidden, offset, size, is_write)) {
        return raise_segment_fault(cpu, segment, fault);
    }
    *linear = (hidden->base + offset) & x86_size_mask(4);
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
    return offset & x86_size_mask(insn->address_size);
}

bool x86_linear_address(const struct x86_cpu *cpu, const struct x86_insn *insn, unsigned size, bool is_write,
                        uint64_t *linear, struct x86_fault *fault)
{
    return x86_segment_linear(cpu, insn->mode, insn->memory.segment, effective_offset(cpu, insn, 0), size, is_write,
                              linear, fault);
}

enum x86_access_status x86_locate(struct x86_run *run, uint64_t extra, bool is_write)
{
    const struct x86_insn *insn = run->insn;
    bool is_allowed = !insn->has_memory || x86_segment_linear(run->cpu, insn->mode, insn->memory.segment,
                                                              effective_offset(run->cpu, insn, extra), insn->rm_size,
                                                              is_write, &run->linear, run->fault);

    return is_allowed ? X86_ACCESS_OK : X86_ACCESS_FAULT;
}

enum x86_access_status x86_probe(const struct x86_run *run, uint64_t linear, unsigned size)
{
    return run->ops->probe_write == NULL ? X86_ACCESS_OK
                                         : run->ops->probe_write(run->context, linear, size, run->fault);
}

enum x86_access_status x86_load(const struct x86_run *run, enum x86_operand operand, uint64_t *value)
{
    const struct x86_insn *insn = run->insn;

    *value = 0;
    switch (operand) {
    case X86_OPERAND_NONE:
    case X86_OPERAND_DX:     /* ports are execute_port()'s */
    case X86_OPERAND_VECTOR: /* x86_vector.c */
        return X86_ACCESS_OK;
    case X86_OPERAND_REG:
        *value = x86_read_register(run, insn->reg, insn->operand_size);
        return X86_ACCESS_OK;
    case X86_OPERAND_RM:
        if (insn->has_memory) {
            return run->ops->read(run->context, run->linear, insn->rm_size, value, run->fault);
        }
        *value = x86_read_register(run, insn->rm, insn->rm_size);
        return X86_ACCESS_OK;
    case X86_OPERAND_ACC:
        *value = x86_read_register(run, X86_GPR_RAX, insn->operand_size);
        return X86_ACCESS_OK;
    case X86_OPERAND_CL:
        *value = run->cpu->gpr[X86_GPR_RCX] & 0xff;
        return X86_ACCESS_OK;
    case X86_OPERAND_IMM:
        *value = (uint64_t)insn->immediate & x86_size_mask(insn->operand_size);
        return X86_ACCESS_OK;
    }
    UNREACHABLE();
}

enum x86_access_status x86_store(const struct x86_run *run, enum x86_operand operand, uint64_t value)
{
    const struct x86_insn *insn = run->insn;

    if (operand == X86_OPERAND_RM) {
        if (insn->has_memory) {
            return run->ops->write(run->context, run->linear, insn->rm_size, &value, run->fault);
        }
        x86_write_register(run, insn->rm, insn->rm_size, value);
    } else {
        x86_write_register(run, operand == X86_OPERAND_REG ? insn->reg : X86_GPR_RAX, insn->operand_size, value);
    }
    return X86_ACCESS_OK;
}
