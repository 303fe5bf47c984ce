/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of the executor: pure functions of operands and flags. Knows neither where operands come from nor where
 * results go.
 */
#include "hv/lib/x86/x86_alu.h"

#include "hv/lib/x86/x86_regs.h"

#define LARGE_PRODUCT (X86_RFLAGS_CF | X86_RFLAGS_OF)

static uint64_t sign_bit(unsigned size)
{
    return (uint64_t)1 << (8 * size - 1);
}

static uint64_t flag_if(bool condition, uint64_t flag)
{
    return condition ? flag : 0;
}

/* Sign, zero and parity of a result. */
static uint64_t result_flags(uint64_t result, unsigned size)
{
    return flag_if((result & x86_size_mask(size)) == 0, X86_RFLAGS_ZF) |
           flag_if((result & sign_bit(size)) != 0, X86_RFLAGS_SF) |
           flag_if(__builtin_parity((unsigned)(result & 0xff)) == 0, X86_RFLAGS_PF);
}

static uint64_t add(uint64_t a, uint64_t b, bool carry, unsigned size, uint64_t *flags)
{
    uint64_t result = (a + b + (carry ? 1 : 0)) & x86_size_mask(size);

    *flags = result_flags(result, size) | flag_if(carry ? result <= a : result < a, X86_RFLAGS_CF) |
             flag_if(((a ^ result) & (b ^ result) & sign_bit(size)) != 0, X86_RFLAGS_OF) |
             ((a ^ b ^ result) & X86_RFLAGS_AF);
    return result;
}

static uint64_t subtract(uint64_t a, uint64_t b, bool borrow, unsigned size, uint64_t *flags)
{
    uint64_t result = (a - b - (borrow ? 1 : 0)) & x86_size_mask(size);

    *flags = result_flags(result, size) | flag_if(borrow ? a <= b : a < b, X86_RFLAGS_CF) |
             flag_if(((a ^ b) & (a ^ result) & sign_bit(size)) != 0, X86_RFLAGS_OF) |
             ((a ^ b ^ result) & X86_RFLAGS_AF);
    return result;
}

static uint64_t logic(uint64_t result, unsigned size, uint64_t *flags)
{
    *flags = result_flags(result, size);
    return result;
}

/* BT, BTS, BTR, BTC: only CF changes. */
static uint64_t test_bit(enum x86_op op, uint64_t value, uint64_t index, unsigned size, uint64_t *flags)
{
    uint64_t bit = (uint64_t)1 << (index & (8 * size - 1));

    *flags = (*flags & ~X86_RFLAGS_CF) | flag_if((value & bit) != 0, X86_RFLAGS_CF);
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

/* One bit further, the carry being what falls out. Flags: CF only. */
static uint64_t rotate_once(enum x86_op op, uint64_t value, unsigned size, uint64_t *flags)
{
    bool old_carry = (*flags & X86_RFLAGS_CF) != 0;
    bool is_left = op == X86_OP_ROL || op == X86_OP_RCL;
    bool out = (value & (is_left ? sign_bit(size) : 1)) != 0;
    bool in = op == X86_OP_ROL || op == X86_OP_ROR ? out : old_carry;

    *flags = (*flags & ~X86_RFLAGS_CF) | flag_if(out, X86_RFLAGS_CF);
    return is_left ? ((value << 1) & x86_size_mask(size)) | (in ? 1 : 0) : (value >> 1) | (in ? sign_bit(size) : 0);
}

static uint64_t rotate(enum x86_op op, uint64_t value, unsigned count, unsigned size, uint64_t *flags)
{
    bool is_through_carry = op == X86_OP_RCL || op == X86_OP_RCR;
    bool is_left = op == X86_OP_ROL || op == X86_OP_RCL;
    uint64_t result = value;
    bool overflow;

    if (is_through_carry) {
        count %= 8 * size + 1;
    }
    if (count == 0) {
        return value;
    }
    for (unsigned step = 0; step < count; step++) {
        result = rotate_once(op, result, size, flags);
    }
    /* What one step would say: the sign has changed (RCL, RCR), or what is in the top bit and what fell out differ. */
    overflow = ((result ^ (is_through_carry ? value
                           : is_left        ? flag_if((*flags & X86_RFLAGS_CF) != 0, sign_bit(size))
                                            : result << 1)) &
                sign_bit(size)) != 0;
    *flags = (*flags & ~X86_RFLAGS_OF) | flag_if(overflow, X86_RFLAGS_OF);
    return result;
}

/* SHL, SHR and SAR by less than 64. */
static uint64_t shift_value(enum x86_op op, uint64_t value, unsigned count, unsigned size)
{
    if (op == X86_OP_SHR) {
        return value >> count;
    }
    if (op == X86_OP_SAR) {
        return (uint64_t)(x86_sign_extend(value, size) >> count) & x86_size_mask(size);
    }
    return (value << count) & x86_size_mask(size);
}

static uint64_t shift(enum x86_op op, uint64_t value, unsigned count, unsigned size, uint64_t *flags)
{
    uint64_t before; /* the last step */
    uint64_t result;
    uint64_t out_bit = op == X86_OP_SHL ? sign_bit(size) : 1;

    if (count == 0) {
        return value;
    }
    before = shift_value(op, value, count - 1, size);
    result = shift_value(op, before, 1, size);
    *flags = result_flags(result, size) | flag_if((before & out_bit) != 0, X86_RFLAGS_CF) |
             flag_if(((before ^ result) & sign_bit(size)) != 0, X86_RFLAGS_OF);
    return result;
}

/* The count that the processor takes. */
static unsigned shift_count(uint64_t count, unsigned size)
{
    return (unsigned)count & (size == 8 ? 63 : 31);
}

uint64_t x86_alu(enum x86_op op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
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
        return ~a & x86_size_mask(size);
    case X86_OP_NEG:
        return subtract(0, a, false, size, flags);
    case X86_OP_INC:
    case X86_OP_DEC:
        result = op == X86_OP_INC ? add(a, 1, false, size, flags) : subtract(a, 1, false, size, flags);
        /* They leave the carry alone. */
        *flags = (*flags & ~X86_RFLAGS_CF) | flag_if(carry, X86_RFLAGS_CF);
        return result;
    case X86_OP_ROL:
    case X86_OP_ROR:
    case X86_OP_RCL:
    case X86_OP_RCR:
        return rotate(op, a, shift_count(b, size), size, flags);
    case X86_OP_SHL:
    case X86_OP_SHR:
    case X86_OP_SAR:
        return shift(op, a, shift_count(b, size), size, flags);
    default:
        return test_bit(op, a, b, size, flags);
    }
}

uint64_t x86_alu_shift_double(bool is_left, uint64_t a, uint64_t b, unsigned count, unsigned size, uint64_t *flags)
{
    uint64_t before = a;
    uint64_t result = a;
    bool out = false;

    count = shift_count(count, size);
    if (count == 0) {
        return a;
    }
    for (unsigned step = 0; step < count; step++) {
        uint64_t top = sign_bit(size);
        uint64_t in = is_left ? flag_if((b & top) != 0, 1) : flag_if((b & 1) != 0, top);

        before = result;
        out = (result & (is_left ? top : 1)) != 0;
        result = is_left ? ((result << 1) & x86_size_mask(size)) | in : (result >> 1) | in;
        b = is_left ? (b << 1) | flag_if((a & (top >> step % (8 * size))) != 0, 1)
                    : (b >> 1) | flag_if((a & ((uint64_t)1 << step % (8 * size))) != 0, top);
    }
    *flags = result_flags(result, size) | flag_if(out, X86_RFLAGS_CF) |
             flag_if(((before ^ result) & sign_bit(size)) != 0, X86_RFLAGS_OF);
    return result;
}

uint64_t x86_alu_multiply(bool is_signed, uint64_t a, uint64_t b, unsigned size, uint64_t *high, uint64_t *flags)
{
    unsigned __int128 product = is_signed
                                    ? (unsigned __int128)((__int128)x86_sign_extend(a, size) * x86_sign_extend(b, size))
                                    : (unsigned __int128)a * b;
    uint64_t low = (uint64_t)product & x86_size_mask(size);
    bool is_large;

    *high = (uint64_t)(product >> (8 * size)) & x86_size_mask(size);
    is_large = *high != (is_signed && (low & sign_bit(size)) != 0 ? x86_size_mask(size) : 0);
    *flags = result_flags(low, size) | flag_if(is_large, LARGE_PRODUCT);
    return low;
}

/* Bit by bit: a compiler's division of 128 bits would want its run-time library. */
static void divide_unsigned(uint64_t divisor, unsigned size, uint64_t *high, uint64_t *low)
{
    for (unsigned bit = 0; bit < 8 * size; bit++) {
        bool carry = (*high & sign_bit(size)) != 0;

        *high = ((*high << 1) & x86_size_mask(size)) | flag_if((*low & sign_bit(size)) != 0, 1);
        *low = (*low << 1) & x86_size_mask(size);
        if (carry || *high >= divisor) {
            *high = (*high - divisor) & x86_size_mask(size);
            *low |= 1;
        }
    }
}

bool x86_alu_divide(bool is_signed, uint64_t divisor, unsigned size, uint64_t *high, uint64_t *low)
{
    uint64_t mask = x86_size_mask(size);
    bool is_dividend_negative = is_signed && (*high & sign_bit(size)) != 0;
    bool is_divisor_negative = is_signed && (divisor & sign_bit(size)) != 0;
    bool is_quotient_negative = is_dividend_negative != is_divisor_negative;
    uint64_t remainder = *high;
    uint64_t quotient = *low;

    if (is_dividend_negative) {
        quotient = (0 - quotient) & mask;
        remainder = (~remainder + (quotient == 0 ? 1 : 0)) & mask;
    }
    if (is_divisor_negative) {
        divisor = (0 - divisor) & mask;
    }
    if (remainder >= divisor) {
        return false; /* also a divisor of zero */
    }
    divide_unsigned(divisor, size, &remainder, &quotient);
    if (is_signed && quotient >= sign_bit(size) + (is_quotient_negative ? 1 : 0)) {
        return false;
    }
    *low = is_quotient_negative ? (0 - quotient) & mask : quotient;
    *high = is_dividend_negative ? (0 - remainder) & mask : remainder;
    return true;
}

bool x86_alu_condition(uint8_t opcode, uint64_t flags)
{
    bool is_less = ((flags & X86_RFLAGS_SF) != 0) != ((flags & X86_RFLAGS_OF) != 0);
    bool holds = false;

    switch ((opcode >> 1) & 7) {
    case 0:
        holds = (flags & X86_RFLAGS_OF) != 0;
        break;
    case 1:
        holds = (flags & X86_RFLAGS_CF) != 0;
        break;
    case 2:
        holds = (flags & X86_RFLAGS_ZF) != 0;
        break;
    case 3:
        holds = (flags & (X86_RFLAGS_CF | X86_RFLAGS_ZF)) != 0;
        break;
    case 4:
        holds = (flags & X86_RFLAGS_SF) != 0;
        break;
    case 5:
        holds = (flags & X86_RFLAGS_PF) != 0;
        break;
    case 6:
        holds = is_less;
        break;
    default:
        holds = is_less || (flags & X86_RFLAGS_ZF) != 0;
        break;
    }
    return holds != ((opcode & 1) != 0);
}
