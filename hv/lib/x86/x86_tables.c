/* SPDX-License-Identifier: MIT */
/*
 * The opcode tables of the x86 decoder: layout, operation and operands of each opcode. How a layout turns into
 * bytes is x86_decode.c's business. Every row is written out, since a row left out would read "nothing follows".
 */
#include "hv/lib/x86/x86_tables.h"

#include <stddef.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"

/* Short names, so that a row fits a line. */
enum {
    MODRM = X86_LAYOUT_MODRM,
    IMM8 = X86_LAYOUT_IMM8,
    IMM16 = X86_LAYOUT_IMM16,
    IMMZ = X86_LAYOUT_IMMZ,
    IMMV = X86_LAYOUT_IMMV,
    MOFFS = X86_LAYOUT_MOFFS,
    FAR = X86_LAYOUT_FAR,
    BYTE = X86_LAYOUT_BYTE,
    STACK = X86_LAYOUT_STACK,
    BRANCH = X86_LAYOUT_BRANCH,
    NOT64 = X86_LAYOUT_NOT_64,
    GROUP = X86_LAYOUT_GROUP,
    INVALID = X86_LAYOUT_INVALID,
    MEMONLY = X86_LAYOUT_MEMORY_ONLY,
    REGISTER = X86_LAYOUT_REGISTER,
    OPREG = X86_LAYOUT_OPCODE_REG,
};
enum {
    NONE = X86_OPERAND_NONE,
    REG = X86_OPERAND_REG,
    RM = X86_OPERAND_RM,
    ACC = X86_OPERAND_ACC,
    IMM = X86_OPERAND_IMM,
    DX = X86_OPERAND_DX,
    CL = X86_OPERAND_CL,
};

const struct x86_opcode x86_table_one_byte[256] = {
    [0x00] = {MODRM | BYTE, X86_OP_ADD, RM, REG, 0},
    [0x01] = {MODRM, X86_OP_ADD, RM, REG, 0},
    [0x02] = {MODRM | BYTE, X86_OP_ADD, REG, RM, 0},
    [0x03] = {MODRM, X86_OP_ADD, REG, RM, 0},
    [0x04] = {IMM8 | BYTE, X86_OP_ADD, ACC, IMM, 0},
    [0x05] = {IMMZ, X86_OP_ADD, ACC, IMM, 0},
    [0x06 ... 0x07] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x08] = {MODRM | BYTE, X86_OP_OR, RM, REG, 0},
    [0x09] = {MODRM, X86_OP_OR, RM, REG, 0},
    [0x0a] = {MODRM | BYTE, X86_OP_OR, REG, RM, 0},
    [0x0b] = {MODRM, X86_OP_OR, REG, RM, 0},
    [0x0c] = {IMM8 | BYTE, X86_OP_OR, ACC, IMM, 0},
    [0x0d] = {IMMZ, X86_OP_OR, ACC, IMM, 0},
    [0x0e] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x0f] = {INVALID, X86_OP_OTHER, NONE, NONE, 0}, /* escape, taken before the table is asked */
    [0x10] = {MODRM | BYTE, X86_OP_ADC, RM, REG, 0},
    [0x11] = {MODRM, X86_OP_ADC, RM, REG, 0},
    [0x12] = {MODRM | BYTE, X86_OP_ADC, REG, RM, 0},
    [0x13] = {MODRM, X86_OP_ADC, REG, RM, 0},
    [0x14] = {IMM8 | BYTE, X86_OP_ADC, ACC, IMM, 0},
    [0x15] = {IMMZ, X86_OP_ADC, ACC, IMM, 0},
    [0x16 ... 0x17] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x18] = {MODRM | BYTE, X86_OP_SBB, RM, REG, 0},
    [0x19] = {MODRM, X86_OP_SBB, RM, REG, 0},
    [0x1a] = {MODRM | BYTE, X86_OP_SBB, REG, RM, 0},
    [0x1b] = {MODRM, X86_OP_SBB, REG, RM, 0},
    [0x1c] = {IMM8 | BYTE, X86_OP_SBB, ACC, IMM, 0},
    [0x1d] = {IMMZ, X86_OP_SBB, ACC, IMM, 0},
    [0x1e ... 0x1f] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x20] = {MODRM | BYTE, X86_OP_AND, RM, REG, 0},
    [0x21] = {MODRM, X86_OP_AND, RM, REG, 0},
    [0x22] = {MODRM | BYTE, X86_OP_AND, REG, RM, 0},
    [0x23] = {MODRM, X86_OP_AND, REG, RM, 0},
    [0x24] = {IMM8 | BYTE, X86_OP_AND, ACC, IMM, 0},
    [0x25] = {IMMZ, X86_OP_AND, ACC, IMM, 0},
    [0x26] = {INVALID, X86_OP_OTHER, NONE, NONE, 0}, /* prefix */
    [0x27] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x28] = {MODRM | BYTE, X86_OP_SUB, RM, REG, 0},
    [0x29] = {MODRM, X86_OP_SUB, RM, REG, 0},
    [0x2a] = {MODRM | BYTE, X86_OP_SUB, REG, RM, 0},
    [0x2b] = {MODRM, X86_OP_SUB, REG, RM, 0},
    [0x2c] = {IMM8 | BYTE, X86_OP_SUB, ACC, IMM, 0},
    [0x2d] = {IMMZ, X86_OP_SUB, ACC, IMM, 0},
    [0x2e] = {INVALID, X86_OP_OTHER, NONE, NONE, 0}, /* prefix */
    [0x2f] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x30] = {MODRM | BYTE, X86_OP_XOR, RM, REG, 0},
    [0x31] = {MODRM, X86_OP_XOR, RM, REG, 0},
    [0x32] = {MODRM | BYTE, X86_OP_XOR, REG, RM, 0},
    [0x33] = {MODRM, X86_OP_XOR, REG, RM, 0},
    [0x34] = {IMM8 | BYTE, X86_OP_XOR, ACC, IMM, 0},
    [0x35] = {IMMZ, X86_OP_XOR, ACC, IMM, 0},
    [0x36] = {INVALID, X86_OP_OTHER, NONE, NONE, 0}, /* prefix */
    [0x37] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x38] = {MODRM | BYTE, X86_OP_CMP, RM, REG, 0},
    [0x39] = {MODRM, X86_OP_CMP, RM, REG, 0},
    [0x3a] = {MODRM | BYTE, X86_OP_CMP, REG, RM, 0},
    [0x3b] = {MODRM, X86_OP_CMP, REG, RM, 0},
    [0x3c] = {IMM8 | BYTE, X86_OP_CMP, ACC, IMM, 0},
    [0x3d] = {IMMZ, X86_OP_CMP, ACC, IMM, 0},
    [0x3e] = {INVALID, X86_OP_OTHER, NONE, NONE, 0}, /* prefix */
    [0x3f] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x40 ... 0x47] = {NOT64 | OPREG, X86_OP_INC, RM, NONE, 0},
    [0x48 ... 0x4f] = {NOT64 | OPREG, X86_OP_DEC, RM, NONE, 0},
    [0x50 ... 0x57] = {OPREG | STACK, X86_OP_PUSH, NONE, RM, 0},
    [0x58 ... 0x5f] = {OPREG | STACK, X86_OP_POP, RM, NONE, 0},
    [0x60 ... 0x61] = {NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x62] = {MODRM | NOT64 | MEMONLY, X86_OP_OTHER, NONE, NONE, 0}, /* BOUND; EVEX is taken before */
    [0x63] = {MODRM, X86_OP_MOVSX, REG, RM, 4},                      /* MOVSXD; outside 64-bit mode ARPL */
    [0x64 ... 0x67] = {INVALID, X86_OP_OTHER, NONE, NONE, 0},        /* prefixes */
    [0x68] = {IMMZ | STACK, X86_OP_PUSH, NONE, IMM, 0},
    [0x69] = {MODRM | IMMZ, X86_OP_IMUL, REG, RM, 0},
    [0x6a] = {IMM8 | STACK, X86_OP_PUSH, NONE, IMM, 0},
    [0x6b] = {MODRM | IMM8, X86_OP_IMUL, REG, RM, 0},
    [0x6c] = {BYTE, X86_OP_INS, NONE, NONE, 0},
    [0x6d] = {0, X86_OP_INS, NONE, NONE, 0},
    [0x6e] = {BYTE, X86_OP_OUTS, NONE, NONE, 0},
    [0x6f] = {0, X86_OP_OUTS, NONE, NONE, 0},
    [0x70 ... 0x7f] = {IMM8 | BRANCH, X86_OP_OTHER, NONE, NONE, 0},
    [0x80] = {MODRM | GROUP | IMM8 | BYTE, X86_OP_OTHER, RM, IMM, 0},
    [0x81] = {MODRM | GROUP | IMMZ, X86_OP_OTHER, RM, IMM, 0},
    [0x82] = {MODRM | GROUP | IMM8 | BYTE | NOT64, X86_OP_OTHER, RM, IMM, 0},
    [0x83] = {MODRM | GROUP | IMM8, X86_OP_OTHER, RM, IMM, 0},
    [0x84] = {MODRM | BYTE, X86_OP_TEST, RM, REG, 0},
    [0x85] = {MODRM, X86_OP_TEST, RM, REG, 0},
    [0x86] = {MODRM | BYTE, X86_OP_XCHG, RM, REG, 0},
    [0x87] = {MODRM, X86_OP_XCHG, RM, REG, 0},
    [0x88] = {MODRM | BYTE, X86_OP_MOV, RM, REG, 0},
    [0x89] = {MODRM, X86_OP_MOV, RM, REG, 0},
    [0x8a] = {MODRM | BYTE, X86_OP_MOV, REG, RM, 0},
    [0x8b] = {MODRM, X86_OP_MOV, REG, RM, 0},
    [0x8c] = {MODRM | GROUP, X86_OP_MOV_FROM_SEG, RM, NONE, 0},
    [0x8d] = {MODRM | MEMONLY, X86_OP_OTHER, NONE, NONE, 0}, /* LEA */
    [0x8e] = {MODRM | GROUP, X86_OP_MOV_TO_SEG, NONE, NONE, 0},
    [0x8f] = {MODRM | GROUP | STACK, X86_OP_OTHER, RM, NONE, 0}, /* POP; XOP is taken before */
    [0x90 ... 0x97] = {OPREG, X86_OP_XCHG, RM, ACC, 0},          /* 0x90: also NOP and PAUSE */
    [0x98 ... 0x99] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0x9a] = {FAR | NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0x9b] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0x9c] = {STACK, X86_OP_PUSHF, NONE, NONE, 0},
    [0x9d] = {STACK, X86_OP_POPF, NONE, NONE, 0},
    [0x9e ... 0x9f] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0xa0] = {MOFFS | BYTE, X86_OP_MOV, ACC, RM, 0},
    [0xa1] = {MOFFS, X86_OP_MOV, ACC, RM, 0},
    [0xa2] = {MOFFS | BYTE, X86_OP_MOV, RM, ACC, 0},
    [0xa3] = {MOFFS, X86_OP_MOV, RM, ACC, 0},
    [0xa4] = {BYTE, X86_OP_MOVS, NONE, NONE, 0},
    [0xa5] = {0, X86_OP_MOVS, NONE, NONE, 0},
    [0xa6] = {BYTE, X86_OP_CMPS, NONE, NONE, 0},
    [0xa7] = {0, X86_OP_CMPS, NONE, NONE, 0},
    [0xa8] = {IMM8 | BYTE, X86_OP_TEST, ACC, IMM, 0},
    [0xa9] = {IMMZ, X86_OP_TEST, ACC, IMM, 0},
    [0xaa] = {BYTE, X86_OP_STOS, NONE, NONE, 0},
    [0xab] = {0, X86_OP_STOS, NONE, NONE, 0},
    [0xac] = {BYTE, X86_OP_LODS, NONE, NONE, 0},
    [0xad] = {0, X86_OP_LODS, NONE, NONE, 0},
    [0xae] = {BYTE, X86_OP_SCAS, NONE, NONE, 0},
    [0xaf] = {0, X86_OP_SCAS, NONE, NONE, 0},
    [0xb0 ... 0xb7] = {OPREG | IMM8 | BYTE, X86_OP_MOV, RM, IMM, 0},
    [0xb8 ... 0xbf] = {OPREG | IMMV, X86_OP_MOV, RM, IMM, 0},
    [0xc0] = {MODRM | GROUP | IMM8 | BYTE, X86_OP_OTHER, RM, IMM, 0},
    [0xc1] = {MODRM | GROUP | IMM8, X86_OP_OTHER, RM, IMM, 0},
    [0xc2] = {IMM16 | BRANCH, X86_OP_OTHER, NONE, NONE, 0},
    [0xc3] = {BRANCH, X86_OP_OTHER, NONE, NONE, 0},
    [0xc4 ... 0xc5] = {MODRM | NOT64 | MEMONLY, X86_OP_OTHER, NONE, NONE, 0}, /* LES, LDS; VEX is taken before */
    [0xc6] = {MODRM | GROUP | IMM8 | BYTE, X86_OP_OTHER, RM, IMM, 0},
    [0xc7] = {MODRM | GROUP | IMMZ, X86_OP_OTHER, RM, IMM, 0},
    [0xc8] = {IMM16 | IMM8 | STACK, X86_OP_OTHER, NONE, NONE, 0}, /* ENTER */
    [0xc9] = {STACK, X86_OP_OTHER, NONE, NONE, 0},
    [0xca] = {IMM16, X86_OP_OTHER, NONE, NONE, 0},
    [0xcb] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0xcc] = {0, X86_OP_INT3, NONE, NONE, 0},
    [0xcd] = {IMM8, X86_OP_INT, NONE, NONE, 0},
    [0xce] = {NOT64, X86_OP_INTO, NONE, NONE, 0},
    [0xcf] = {0, X86_OP_IRET, NONE, NONE, 0},
    [0xd0] = {MODRM | GROUP | BYTE, X86_OP_OTHER, RM, IMM, 0}, /* an immediate of 1 that is not in the code */
    [0xd1] = {MODRM | GROUP, X86_OP_OTHER, RM, IMM, 0},
    [0xd2] = {MODRM | GROUP | BYTE, X86_OP_OTHER, RM, CL, 0},
    [0xd3] = {MODRM | GROUP, X86_OP_OTHER, RM, CL, 0},
    [0xd4 ... 0xd5] = {IMM8 | NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0xd6] = {NOT64, X86_OP_OTHER, NONE, NONE, 0}, /* SALC */
    [0xd7] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0xd8 ... 0xdf] = {MODRM, X86_OP_OTHER, NONE, NONE, 0}, /* x87 */
    [0xe0 ... 0xe3] = {IMM8 | BRANCH, X86_OP_OTHER, NONE, NONE, 0},
    [0xe4] = {IMM8 | BYTE, X86_OP_IN, ACC, IMM, 0},
    [0xe5] = {IMM8, X86_OP_IN, ACC, IMM, 0},
    [0xe6] = {IMM8 | BYTE, X86_OP_OUT, IMM, ACC, 0},
    [0xe7] = {IMM8, X86_OP_OUT, IMM, ACC, 0},
    [0xe8 ... 0xe9] = {IMMZ | BRANCH, X86_OP_OTHER, NONE, NONE, 0},
    [0xea] = {FAR | NOT64, X86_OP_OTHER, NONE, NONE, 0},
    [0xeb] = {IMM8 | BRANCH, X86_OP_OTHER, NONE, NONE, 0},
    [0xec] = {BYTE, X86_OP_IN, ACC, DX, 0},
    [0xed] = {0, X86_OP_IN, ACC, DX, 0},
    [0xee] = {BYTE, X86_OP_OUT, DX, ACC, 0},
    [0xef] = {0, X86_OP_OUT, DX, ACC, 0},
    [0xf0] = {INVALID, X86_OP_OTHER, NONE, NONE, 0}, /* prefix */
    [0xf1] = {0, X86_OP_ICEBP, NONE, NONE, 0},
    [0xf2 ... 0xf3] = {INVALID, X86_OP_OTHER, NONE, NONE, 0}, /* prefixes */
    [0xf4] = {0, X86_OP_HLT, NONE, NONE, 0},
    [0xf5] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0xf6] = {MODRM | GROUP | BYTE, X86_OP_OTHER, RM, NONE, 0}, /* TEST also has an immediate */
    [0xf7] = {MODRM | GROUP, X86_OP_OTHER, RM, NONE, 0},
    [0xf8 ... 0xf9] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0xfa] = {0, X86_OP_CLI, NONE, NONE, 0},
    [0xfb] = {0, X86_OP_STI, NONE, NONE, 0},
    [0xfc ... 0xfd] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0xfe] = {MODRM | GROUP | BYTE, X86_OP_OTHER, RM, NONE, 0},
    [0xff] = {MODRM | GROUP, X86_OP_OTHER, RM, NONE, 0},
};

const struct x86_opcode x86_table_0f[256] = {
    [0x00 ... 0x01] = {MODRM | GROUP, X86_OP_OTHER, NONE, NONE, 0},
    [0x02 ... 0x03] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0x04] = {INVALID, X86_OP_OTHER, NONE, NONE, 0},
    [0x05] = {0, X86_OP_SYSCALL, NONE, NONE, 0},
    [0x06] = {0, X86_OP_CLTS, NONE, NONE, 0},
    [0x07] = {0, X86_OP_SYSRET, NONE, NONE, 0},
    [0x08] = {0, X86_OP_INVD, NONE, NONE, 0},
    [0x09] = {0, X86_OP_WBINVD, NONE, NONE, 0},
    [0x0a] = {INVALID, X86_OP_OTHER, NONE, NONE, 0},
    [0x0b] = {0, X86_OP_UD, NONE, NONE, 0},
    [0x0c] = {INVALID, X86_OP_OTHER, NONE, NONE, 0},
    [0x0d] = {MODRM, X86_OP_NOP, NONE, NONE, 0},          /* PREFETCH */
    [0x0e] = {0, X86_OP_OTHER, NONE, NONE, 0},            /* FEMMS */
    [0x0f] = {MODRM | IMM8, X86_OP_OTHER, NONE, NONE, 0}, /* 3DNow!: the immediate is the opcode */
    [0x10 ... 0x17] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0x18 ... 0x1f] = {MODRM, X86_OP_NOP, NONE, NONE, 0}, /* prefetches and reserved hints */
    [0x20] = {MODRM | REGISTER, X86_OP_MOV_FROM_CR, NONE, NONE, 0},
    [0x21] = {MODRM | REGISTER, X86_OP_MOV_FROM_DR, NONE, NONE, 0},
    [0x22] = {MODRM | REGISTER, X86_OP_MOV_TO_CR, NONE, NONE, 0},
    [0x23] = {MODRM | REGISTER, X86_OP_MOV_TO_DR, NONE, NONE, 0},
    [0x24 ... 0x27] = {INVALID, X86_OP_OTHER, NONE, NONE, 0},
    [0x28 ... 0x2f] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0x30] = {0, X86_OP_WRMSR, NONE, NONE, 0},
    [0x31] = {0, X86_OP_RDTSC, NONE, NONE, 0},
    [0x32] = {0, X86_OP_RDMSR, NONE, NONE, 0},
    [0x33] = {0, X86_OP_RDPMC, NONE, NONE, 0},
    [0x34] = {0, X86_OP_SYSENTER, NONE, NONE, 0},
    [0x35] = {0, X86_OP_SYSEXIT, NONE, NONE, 0},
    [0x36] = {INVALID, X86_OP_OTHER, NONE, NONE, 0},
    [0x37] = {0, X86_OP_OTHER, NONE, NONE, 0},
    [0x38 ... 0x3f] = {INVALID, X86_OP_OTHER, NONE, NONE, 0}, /* 38 and 3A: escapes, taken before */
    [0x40 ... 0x4f] = {MODRM, X86_OP_CMOVCC, REG, RM, 0},
    [0x50 ... 0x6f] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0x70] = {MODRM | IMM8, X86_OP_OTHER, NONE, NONE, 0},
    [0x71 ... 0x73] = {MODRM | GROUP | IMM8, X86_OP_OTHER, NONE, NONE, 0},
    [0x74 ... 0x76] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0x77] = {0, X86_OP_OTHER, NONE, NONE, 0},                /* EMMS */
    [0x78] = {MODRM | BRANCH, X86_OP_VMREAD, NONE, NONE, 0},  /* or EXTRQ, INSERTQ */
    [0x79] = {MODRM | BRANCH, X86_OP_VMWRITE, NONE, NONE, 0}, /* or EXTRQ, INSERTQ */
    [0x7a ... 0x7b] = {INVALID, X86_OP_OTHER, NONE, NONE, 0},
    [0x7c ... 0x7f] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0x80 ... 0x8f] = {IMMZ | BRANCH, X86_OP_OTHER, NONE, NONE, 0},
    [0x90 ... 0x9f] = {MODRM | BYTE, X86_OP_SETCC, RM, NONE, 0},
    [0xa0 ... 0xa1] = {STACK, X86_OP_OTHER, NONE, NONE, 0},
    [0xa2] = {0, X86_OP_CPUID, NONE, NONE, 0},
    [0xa3] = {MODRM, X86_OP_BT, RM, REG, 0},
    [0xa4] = {MODRM | IMM8, X86_OP_SHLD, RM, REG, 0},
    [0xa5] = {MODRM, X86_OP_SHLD, RM, REG, 0},
    [0xa6 ... 0xa7] = {INVALID, X86_OP_OTHER, NONE, NONE, 0},
    [0xa8 ... 0xa9] = {STACK, X86_OP_OTHER, NONE, NONE, 0},
    [0xaa] = {0, X86_OP_RSM, NONE, NONE, 0},
    [0xab] = {MODRM, X86_OP_BTS, RM, REG, 0},
    [0xac] = {MODRM | IMM8, X86_OP_SHRD, RM, REG, 0},
    [0xad] = {MODRM, X86_OP_SHRD, RM, REG, 0},
    [0xae] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0xaf] = {MODRM, X86_OP_IMUL, REG, RM, 0},
    [0xb0] = {MODRM | BYTE, X86_OP_CMPXCHG, RM, REG, 0},
    [0xb1] = {MODRM, X86_OP_CMPXCHG, RM, REG, 0},
    [0xb2] = {MODRM | MEMONLY, X86_OP_OTHER, NONE, NONE, 0}, /* LSS */
    [0xb3] = {MODRM, X86_OP_BTR, RM, REG, 0},
    [0xb4 ... 0xb5] = {MODRM | MEMONLY, X86_OP_OTHER, NONE, NONE, 0}, /* LFS, LGS */
    [0xb6] = {MODRM, X86_OP_MOVZX, REG, RM, 1},
    [0xb7] = {MODRM, X86_OP_MOVZX, REG, RM, 2},
    [0xb8] = {MODRM, X86_OP_OTHER, NONE, NONE, 0}, /* POPCNT, only with F3 */
    [0xb9] = {MODRM, X86_OP_UD, NONE, NONE, 0},
    [0xba] = {MODRM | GROUP | IMM8, X86_OP_OTHER, RM, IMM, 0},
    [0xbb] = {MODRM, X86_OP_BTC, RM, REG, 0},
    [0xbc ... 0xbd] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0xbe] = {MODRM, X86_OP_MOVSX, REG, RM, 1},
    [0xbf] = {MODRM, X86_OP_MOVSX, REG, RM, 2},
    [0xc0] = {MODRM | BYTE, X86_OP_XADD, RM, REG, 0},
    [0xc1] = {MODRM, X86_OP_XADD, RM, REG, 0},
    [0xc2] = {MODRM | IMM8, X86_OP_OTHER, NONE, NONE, 0},
    [0xc3] = {MODRM | MEMONLY, X86_OP_MOV, RM, REG, 0}, /* MOVNTI */
    [0xc4 ... 0xc6] = {MODRM | IMM8, X86_OP_OTHER, NONE, NONE, 0},
    [0xc7] = {MODRM | GROUP, X86_OP_OTHER, RM, NONE, 0},
    [0xc8 ... 0xcf] = {OPREG, X86_OP_OTHER, NONE, NONE, 0}, /* BSWAP */
    [0xd0 ... 0xfe] = {MODRM, X86_OP_OTHER, NONE, NONE, 0},
    [0xff] = {MODRM, X86_OP_UD, NONE, NONE, 0},
};

static const struct x86_group groups[] = {
    {X86_MAP_ONE_BYTE,
     0x80,
     4,
     0xff,
     0xff,
     {X86_OP_ADD, X86_OP_OR, X86_OP_ADC, X86_OP_SBB, X86_OP_AND, X86_OP_SUB, X86_OP_XOR, X86_OP_CMP}},
    {X86_MAP_ONE_BYTE,
     0x8c,
     1,
     0x3f,
     0x3f,
     {X86_OP_MOV_FROM_SEG, X86_OP_MOV_FROM_SEG, X86_OP_MOV_FROM_SEG, X86_OP_MOV_FROM_SEG, X86_OP_MOV_FROM_SEG,
      X86_OP_MOV_FROM_SEG}},
    {X86_MAP_ONE_BYTE,
     0x8e,
     1,
     0x3d,
     0x3d, /* CS cannot be loaded */
     {X86_OP_MOV_TO_SEG, X86_OP_OTHER, X86_OP_MOV_TO_SEG, X86_OP_MOV_TO_SEG, X86_OP_MOV_TO_SEG, X86_OP_MOV_TO_SEG}},
    {X86_MAP_ONE_BYTE, 0x8f, 1, 0x01, 0x01, {X86_OP_POP}},
    {X86_MAP_ONE_BYTE,
     0xc0,
     2,
     0xff,
     0xff,
     {X86_OP_ROL, X86_OP_ROR, X86_OP_RCL, X86_OP_RCR, X86_OP_SHL, X86_OP_SHR, X86_OP_SHL, X86_OP_SAR}},
    {X86_MAP_ONE_BYTE,
     0xd0,
     4,
     0xff,
     0xff,
     {X86_OP_ROL, X86_OP_ROR, X86_OP_RCL, X86_OP_RCR, X86_OP_SHL, X86_OP_SHR, X86_OP_SHL, X86_OP_SAR}},
    {X86_MAP_ONE_BYTE, 0xc6, 2, 0x01, 0x81, {X86_OP_MOV}}, /* 7 with a register: XABORT, XBEGIN */
    {X86_MAP_ONE_BYTE,
     0xf6,
     2,
     0xff,
     0xff,
     {X86_OP_TEST, X86_OP_TEST, X86_OP_NOT, X86_OP_NEG, X86_OP_MUL, X86_OP_IMUL, X86_OP_DIV, X86_OP_IDIV}},
    {X86_MAP_ONE_BYTE, 0xfe, 1, 0x03, 0x03, {X86_OP_INC, X86_OP_DEC}},
    {X86_MAP_ONE_BYTE, 0xff, 1, 0x7f, 0x57, {X86_OP_INC, X86_OP_DEC, [6] = X86_OP_PUSH}},
    {X86_MAP_0F, 0x00, 1, 0x3f, 0x3f, {X86_OP_SLDT, X86_OP_STR, X86_OP_LLDT, X86_OP_LTR}},
    {X86_MAP_0F,
     0x01,
     1,
     0xff,
     0xff,
     {X86_OP_SGDT, X86_OP_SIDT, X86_OP_LGDT, X86_OP_LIDT, X86_OP_SMSW, X86_OP_OTHER, X86_OP_LMSW, X86_OP_INVLPG}},
    {X86_MAP_0F, 0x71, 2, 0x00, 0x54, {X86_OP_OTHER}},
    {X86_MAP_0F, 0x73, 1, 0x00, 0xcc, {X86_OP_OTHER}},
    {X86_MAP_0F,
     0xba,
     1,
     0xf0,
     0xf0,
     {X86_OP_OTHER, X86_OP_OTHER, X86_OP_OTHER, X86_OP_OTHER, X86_OP_BT, X86_OP_BTS, X86_OP_BTR, X86_OP_BTC}},
    {X86_MAP_0F,
     0xc7,
     1,
     0xfa,
     0xc0,
     {X86_OP_OTHER, X86_OP_CMPXCHG8B, X86_OP_OTHER, X86_OP_OTHER, X86_OP_OTHER, X86_OP_OTHER, X86_OP_VMPTRLD,
      X86_OP_VMPTRST}},
};

/* Operations of 0F 01 with a register in ModRM.rm, by ModRM - 0xc0. Undefined ones decode as OTHER. */
static const uint8_t ops_0f01[64] = {
    [0x01] = X86_OP_VMCALL,  [0x02] = X86_OP_VMLAUNCH,      [0x03] = X86_OP_VMRESUME,      [0x04] = X86_OP_VMXOFF,
    [0x08] = X86_OP_MONITOR, [0x09] = X86_OP_MWAIT,         [0x10] = X86_OP_XGETBV,        [0x11] = X86_OP_XSETBV,
    [0x14] = X86_OP_VMFUNC,  [0x18] = X86_OP_VMRUN,         [0x19] = X86_OP_VMMCALL,       [0x1a] = X86_OP_VMLOAD,
    [0x1b] = X86_OP_VMSAVE,  [0x1c] = X86_OP_STGI,          [0x1d] = X86_OP_CLGI,          [0x1e] = X86_OP_SKINIT,
    [0x1f] = X86_OP_INVLPGA, [0x20 ... 0x27] = X86_OP_SMSW, [0x30 ... 0x37] = X86_OP_LMSW, [0x38] = X86_OP_SWAPGS,
    [0x39] = X86_OP_RDTSCP,  [0x3a] = X86_OP_MONITORX,      [0x3b] = X86_OP_MWAITX,        [0x3d] = X86_OP_RDPRU,
    [0x3e] = X86_OP_INVLPGB, [0x3f] = X86_OP_TLBSYNC,
};

/* One bit per opcode: low nibble n of row h is bit n. */
static const uint16_t defined_0f38[16] = {
    [0x0] = 0x0fff, [0x1] = 0x70b1, [0x2] = 0x0f3f, [0x3] = 0xffbf, [0x4] = 0x0003,
    [0x8] = 0x0007, [0xc] = 0xbf00, [0xd] = 0xf900, [0xf] = 0x1f63,
};
static const uint16_t defined_0f3a[16] = {
    [0x0] = 0xff00, [0x1] = 0x00f0, [0x2] = 0x0007, [0x4] = 0x0017,
    [0x6] = 0x000f, [0xc] = 0xd000, [0xd] = 0x8000, [0xf] = 0x0001,
};

/* Bits of x86_vector_move.prefixes. */
#define NO  0x1
#define P66 0x2
#define PF3 0x4
#define PF2 0x8

static const struct x86_vector_move vector_moves[] = {
    {0x10, NO | P66, X86_OP_MOV_VECTOR, X86_VECTOR_WHOLE, false}, /* MOVUPS, MOVUPD */
    {0x10, PF3, X86_OP_MOV_VECTOR, 4, false},                     /* MOVSS */
    {0x10, PF2, X86_OP_MOV_VECTOR, 8, false},                     /* MOVSD */
    {0x11, NO | P66, X86_OP_MOV_VECTOR, X86_VECTOR_WHOLE, true},
    {0x11, PF3, X86_OP_MOV_VECTOR, 4, true},
    {0x11, PF2, X86_OP_MOV_VECTOR, 8, true},
    {0x12, NO | P66, X86_OP_MOV_VECTOR_LOW, 8, false}, /* MOVLPS, MOVLPD */
    {0x13, NO | P66, X86_OP_MOV_VECTOR_LOW, 8, true},
    {0x16, NO | P66, X86_OP_MOV_VECTOR_HIGH, 8, false}, /* MOVHPS, MOVHPD */
    {0x17, NO | P66, X86_OP_MOV_VECTOR_HIGH, 8, true},
    {0x28, NO | P66, X86_OP_MOV_VECTOR_ALIGNED, X86_VECTOR_WHOLE, false}, /* MOVAPS, MOVAPD */
    {0x29, NO | P66, X86_OP_MOV_VECTOR_ALIGNED, X86_VECTOR_WHOLE, true},
    {0x2b, NO | P66, X86_OP_MOV_VECTOR_ALIGNED, X86_VECTOR_WHOLE, true}, /* MOVNTPS, MOVNTPD */
    {0x6e, P66, X86_OP_MOV_VECTOR, X86_VECTOR_GENERAL, false},           /* MOVD, MOVQ */
    {0x6f, P66, X86_OP_MOV_VECTOR_ALIGNED, X86_VECTOR_WHOLE, false},     /* MOVDQA */
    {0x6f, PF3, X86_OP_MOV_VECTOR, X86_VECTOR_WHOLE, false},             /* MOVDQU */
    {0x7e, P66, X86_OP_MOV_VECTOR, X86_VECTOR_GENERAL, true},
    {0x7e, PF3, X86_OP_MOV_VECTOR, 8, false}, /* MOVQ */
    {0x7f, P66, X86_OP_MOV_VECTOR_ALIGNED, X86_VECTOR_WHOLE, true},
    {0x7f, PF3, X86_OP_MOV_VECTOR, X86_VECTOR_WHOLE, true},
    {0xd6, P66, X86_OP_MOV_VECTOR, 8, true},                        /* MOVQ */
    {0xe7, P66, X86_OP_MOV_VECTOR_ALIGNED, X86_VECTOR_WHOLE, true}, /* MOVNTDQ */
    {0xf0, PF2, X86_OP_MOV_VECTOR, X86_VECTOR_WHOLE, false},        /* LDDQU */
};

/* The only one of the map 0F 38: MOVNTDQA. */
static const struct x86_vector_move streaming_load = {0x2a, P66, X86_OP_MOV_VECTOR_ALIGNED, X86_VECTOR_WHOLE, false};

const struct x86_vector_move *x86_table_find_vector_move(uint8_t map, uint8_t opcode, uint8_t prefix)
{
    if (map == 2) {
        return opcode == streaming_load.opcode && streaming_load.prefixes == 1u << prefix ? &streaming_load : NULL;
    }
    for (size_t index = 0; map == 1 && index < ARRAY_SIZE(vector_moves); index++) {
        if (vector_moves[index].opcode == opcode && ((vector_moves[index].prefixes >> prefix) & 1) != 0) {
            return &vector_moves[index];
        }
    }
    return NULL;
}

const struct x86_group *x86_table_find_group(uint8_t map, uint8_t opcode)
{
    for (size_t index = 0; index < ARRAY_SIZE(groups); index++) {
        const struct x86_group *group = &groups[index];

        if (group->map == map && opcode >= group->opcode && opcode < group->opcode + group->opcode_count) {
            return group;
        }
    }
    return NULL;
}

uint8_t x86_table_0f01(uint8_t modrm)
{
    return ops_0f01[modrm & 0x3f];
}

bool x86_table_0f38_is_defined(uint8_t opcode)
{
    return ((defined_0f38[opcode >> 4] >> (opcode & 0xf)) & 1) != 0;
}

bool x86_table_0f3a_is_defined(uint8_t opcode)
{
    return ((defined_0f3a[opcode >> 4] >> (opcode & 0xf)) & 1) != 0;
}
