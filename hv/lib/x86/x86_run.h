/* SPDX-License-Identifier: MIT */
/*
 * What the files of the executor share; for x86_execute.c, x86_operand.c, x86_string.c and x86_vector.c only.
 */
#ifndef X86_X86_RUN_H
#define X86_X86_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/x86/x86_execute.h"

/** One x86_execute() call. */
struct x86_run {
    struct x86_cpu *cpu;
    const struct x86_insn *insn;
    const struct x86_memory_ops *ops;
    void *context;
    struct x86_fault *fault;
    uint64_t linear; /* of the memory operand, once located */
};

/** Merges a result into a register of which `size` bytes are written; 32-bit results clear the upper half. */
uint64_t x86_merge_register(uint64_t old, uint64_t value, unsigned size);

/** General register `reg` as an operand of `size` bytes: without REX the byte registers 4 to 7 are AH to BH. */
uint64_t x86_read_register(const struct x86_run *run, unsigned reg, unsigned size);
void x86_write_register(const struct x86_run *run, unsigned reg, unsigned size, uint64_t value);

/** Fills in run->fault for an exception without, or with an error code of 0. Answers X86_ACCESS_FAULT. */
enum x86_access_status x86_raise(const struct x86_run *run, uint8_t vector, bool has_error_code);

/**
 * Finds the linear address of the memory operand, `extra` bytes away from where the instruction says. Does nothing
 * without a memory operand.
 */
enum x86_access_status x86_locate(struct x86_run *run, uint64_t extra, bool is_write);

/** Asks whether `size` bytes at a linear address can be written, if the caller can say so. */
enum x86_access_status x86_probe(const struct x86_run *run, uint64_t linear, unsigned size);

/** Reads an operand of up to 8 bytes; of memory, the one that was located. */
enum x86_access_status x86_load(const struct x86_run *run, enum x86_operand operand, uint64_t *value);

/** Writes a general register or the located memory; the other kinds are no destinations. */
enum x86_access_status x86_store(const struct x86_run *run, enum x86_operand operand, uint64_t value);

/** Moves of vector registers. */
enum x86_access_status x86_execute_vector(struct x86_run *run);

/** String instructions with their repetitions. *is_complete: false if iterations are left. */
enum x86_access_status x86_execute_string(const struct x86_run *run, bool *is_complete);

#endif
