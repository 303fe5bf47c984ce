/* SPDX-License-Identifier: MIT */
/*
 * Moves between memory and XMM or YMM registers, by SSE and by VEX. No arithmetic; registers are behind callbacks,
 * since most instructions that are executed have none of them.
 */
#include <stddef.h>

#include "hv/lib/x86/x86_run.h"

#define LEGACY_BYTES 16u
#define VEX_BYTES    32u /* a VEX load writes all of the register */

/* Whether the processor has these instructions switched on; else #UD, or #NM for a kernel that saves lazily. */
static enum x86_access_status check_enabled(const struct x86_run *run)
{
    const struct x86_cpu *cpu = run->cpu;
    bool is_protected = (cpu->cr0 & X86_CR0_PE) != 0 && (cpu->rflags & X86_RFLAGS_VM) == 0;
    bool is_on = run->insn->encoding == X86_ENCODING_VEX
                     ? is_protected && (cpu->cr4 & X86_CR4_OSXSAVE) != 0
                     : (cpu->cr0 & X86_CR0_EM) == 0 && (cpu->cr4 & X86_CR4_OSFXSR) != 0;

    if (!is_on) {
        return x86_raise(run, X86_VECTOR_UD, false);
    }
    return (cpu->cr0 & X86_CR0_TS) != 0 ? x86_raise(run, X86_VECTOR_NM, false) : X86_ACCESS_OK;
}

static enum x86_access_status store(const struct x86_run *run, unsigned register_bytes)
{
    const struct x86_insn *insn = run->insn;
    unsigned first = insn->op == X86_OP_MOV_VECTOR_HIGH ? 1 : 0;
    struct x86_vector value = {0};
    enum x86_access_status status = run->ops->read_vector(run->context, insn->reg, register_bytes, &value);

    if (status != X86_ACCESS_OK) {
        return status;
    }
    return run->ops->write(run->context, run->linear, insn->rm_size, &value.qwords[first], run->fault);
}

static enum x86_access_status load(const struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_vex = insn->encoding == X86_ENCODING_VEX;
    unsigned register_bytes = is_vex ? VEX_BYTES : LEGACY_BYTES;
    bool is_half = insn->op == X86_OP_MOV_VECTOR_LOW || insn->op == X86_OP_MOV_VECTOR_HIGH;
    unsigned first = insn->op == X86_OP_MOV_VECTOR_HIGH ? 1 : 0;
    struct x86_vector value = {0};
    struct x86_vector old = {0};
    /* Also tells beforehand whether the register can be written. */
    enum x86_access_status status = run->ops->read_vector(run->context, insn->reg, register_bytes, &old);

    if (status == X86_ACCESS_OK && is_half && is_vex) {
        status = run->ops->read_vector(run->context, insn->vector_source, LEGACY_BYTES, &old);
    }
    if (status == X86_ACCESS_OK) {
        status = run->ops->read(run->context, run->linear, insn->rm_size, &value.qwords[first], run->fault);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    if (is_half) {
        value.qwords[1 - first] = old.qwords[1 - first];
    }
    run->ops->write_vector(run->context, insn->reg, register_bytes, &value);
    return X86_ACCESS_OK;
}

enum x86_access_status x86_execute_vector(struct x86_run *run)
{
    const struct x86_insn *insn = run->insn;
    bool is_store = insn->destination == X86_OPERAND_RM;
    enum x86_access_status status;

    if (run->ops->read_vector == NULL) {
        return X86_ACCESS_UNSUPPORTED;
    }
    status = check_enabled(run);
    if (status != X86_ACCESS_OK) {
        return status;
    }
    status = x86_locate(run, 0, is_store);
    if (status == X86_ACCESS_OK && insn->op == X86_OP_MOV_VECTOR_ALIGNED && run->linear % insn->rm_size != 0) {
        return x86_raise(run, X86_VECTOR_GP, true);
    }
    if (status != X86_ACCESS_OK) {
        return status;
    }
    return is_store ? store(run, insn->rm_size <= LEGACY_BYTES ? LEGACY_BYTES : VEX_BYTES) : load(run);
}
