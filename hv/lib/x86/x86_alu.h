/* SPDX-License-Identifier: MIT */
/*
 * Results and status flags of the arithmetic, logic, shift and bit instructions; for the executor.
 */
#ifndef X86_X86_ALU_H
#define X86_X86_ALU_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"

/** The bits of an operand of 1 to 8 bytes. */
static inline uint64_t x86_size_mask(unsigned size)
{
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;
}

/** Of an operand of 1 to 8 bytes. */
static inline int64_t x86_sign_extend(uint64_t value, unsigned size)
{
    unsigned shift = 64 - 8 * size;

    return (int64_t)(value << shift) >> shift;
}

/**
 * The result of `op`, one of ADD to CMP, TEST, INC to NEG, BT to BTC (b: the bit's number, modulo the operand's bits)
 * and ROL to SAR (b: the count, of which the processor's bits count). Operands have `size` bytes (1, 2, 4, 8) and
 * nothing above; CMP, TEST and BT give a result too, which no one stores. `flags`: the status flags, before and after.
 * Flags that the manual leaves undefined are cleared, or what shifting bit by bit would leave.
 */
uint64_t x86_alu(enum x86_op op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags);

/**
 * SHLD (`is_left`) or SHRD: shifts `a` by `count` and fills up from `b`. A count above the operand's bits, which the
 * manual leaves undefined for 16-bit operands, goes on with `a` itself.
 */
uint64_t x86_alu_shift_double(bool is_left, uint64_t a, uint64_t b, unsigned count, unsigned size, uint64_t *flags);

/** The low half of a product; *high is the other one. Carry and overflow say whether the high half is needed. */
uint64_t x86_alu_multiply(bool is_signed, uint64_t a, uint64_t b, unsigned size, uint64_t *high, uint64_t *flags);

/**
 * Divides *high:*low: *low becomes the quotient and *high the remainder. False: division by zero, or a quotient that
 * does not fit (#DE); nothing has changed.
 */
MUST_CHECK bool x86_alu_divide(bool is_signed, uint64_t divisor, unsigned size, uint64_t *high, uint64_t *low);

/** Whether the condition in the low four bits of a Jcc, SETcc or CMOVcc opcode holds. */
bool x86_alu_condition(uint8_t opcode, uint64_t flags);

#endif
