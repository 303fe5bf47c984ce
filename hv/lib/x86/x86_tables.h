/* SPDX-License-Identifier: MIT */
/*
 * The opcode tables of the x86 decoder; for x86_decode.c only.
 */
#ifndef X86_X86_TABLES_H
#define X86_X86_TABLES_H

#include <stdbool.h>
#include <stdint.h>

/** What follows an opcode and how its sizes are found: bits of x86_opcode.layout. */
#define X86_LAYOUT_MODRM       0x0001u
#define X86_LAYOUT_IMM8        0x0002u /* may stand beside IMM16: ENTER */
#define X86_LAYOUT_IMM16       0x0004u
#define X86_LAYOUT_IMMZ        0x0008u /* 2 bytes with 16-bit operands, else 4 */
#define X86_LAYOUT_IMMV        0x0010u /* as wide as the operands */
#define X86_LAYOUT_MOFFS       0x0020u /* an absolute address as wide as addresses */
#define X86_LAYOUT_FAR         0x0040u /* offset as wide as the operands, then a selector */
#define X86_LAYOUT_BYTE        0x0080u /* operands are bytes */
#define X86_LAYOUT_STACK       0x0100u /* operands are 64-bit by default in 64-bit mode */
#define X86_LAYOUT_BRANCH      0x0200u /* in 64-bit mode operands are 64-bit whatever the prefixes */
#define X86_LAYOUT_NOT_64      0x0400u /* invalid in 64-bit mode */
#define X86_LAYOUT_GROUP       0x0800u /* ModRM.reg selects the operation */
#define X86_LAYOUT_INVALID     0x1000u
#define X86_LAYOUT_MEMORY_ONLY 0x2000u /* invalid with a register in ModRM.rm */
#define X86_LAYOUT_REGISTER    0x4000u /* ModRM.rm is a register whatever ModRM.mod says */
#define X86_LAYOUT_OPCODE_REG  0x8000u /* the low three bits of the opcode are a register: x86_insn.rm */

/** One row of an opcode table. */
struct x86_opcode {
    uint16_t layout;     /* X86_LAYOUT_* */
    uint8_t op;          /* enum x86_op */
    uint8_t destination; /* enum x86_operand */
    uint8_t source;      /* enum x86_operand */
    uint8_t rm_size;     /* bytes of the operand X86_OPERAND_RM if not the operand size */
};

/** One opcode whose operation is selected by ModRM.reg. */
struct x86_group {
    uint8_t map;    /* enum x86_map */
    uint8_t opcode; /* the first of the opcodes that share this row */
    uint8_t opcode_count;
    uint8_t memory_valid;   /* bit n: ModRM.reg n is defined with a memory operand */
    uint8_t register_valid; /* bit n: ModRM.reg n is defined with a register operand */
    uint8_t op[8];          /* enum x86_op by ModRM.reg; with a register see also x86_table_0f01() */
};

/** One way to move a vector register from or to memory: legacy in the map 0F, or VEX in map 1. */
struct x86_vector_move {
    uint8_t opcode;
    uint8_t prefixes; /* bit n: with VEX.pp n or the legacy prefix that stands for it */
    uint8_t op;       /* enum x86_op */
    uint8_t size;     /* bytes in memory; X86_VECTOR_WHOLE, X86_VECTOR_GENERAL */
    bool is_store;
};

/** In place of a size: the vector's; 8 with W, else 4. */
#define X86_VECTOR_WHOLE   0
#define X86_VECTOR_GENERAL 1

extern const struct x86_opcode x86_table_one_byte[256];
extern const struct x86_opcode x86_table_0f[256];

/** The row of groups for an opcode, or a null pointer. */
const struct x86_group *x86_table_find_group(uint8_t map, uint8_t opcode);

/** The operation (enum x86_op) of 0F 01 with a register form `modrm` (0xc0 to 0xff). */
uint8_t x86_table_0f01(uint8_t modrm);

/** The vector move of a map (1: 0F, 2: 0F 38), or a null pointer. `prefix`: as VEX.pp. */
const struct x86_vector_move *x86_table_find_vector_move(uint8_t map, uint8_t opcode, uint8_t prefix);

/** Whether an opcode is defined in the map 0F 38 (all of which have ModRM and no immediate). */
bool x86_table_0f38_is_defined(uint8_t opcode);

/** Whether an opcode is defined in the map 0F 3A (all of which have ModRM and an 8-bit immediate). */
bool x86_table_0f3a_is_defined(uint8_t opcode);

#endif
