/* SPDX-License-Identifier: MIT */
/*
 * The x86 instruction decoder: the length of every instruction in all modes, and for the ones that a hypervisor
 * emulates also the operation and its operands. Freestanding, without state, without allocation.
 */
#ifndef X86_X86_DECODE_H
#define X86_X86_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"

/** How the code segment makes the processor decode. Real and virtual-8086 mode decode as X86_MODE_16. */
enum x86_mode {
    X86_MODE_16,
    X86_MODE_32,
    X86_MODE_64,
};

/** Result of x86_decode(). */
enum x86_decode_status {
    X86_DECODE_OK,
    X86_DECODE_TRUNCATED, /* more bytes are needed */
    X86_DECODE_INVALID,   /* raises #UD, or its length is not known */
    X86_DECODE_TOO_LONG,  /* longer than 15 bytes: raises #GP */
};

/** The opcode map an instruction's opcode byte belongs to. */
enum x86_map {
    X86_MAP_ONE_BYTE,
    X86_MAP_0F,
    X86_MAP_0F38,
    X86_MAP_0F3A,
    X86_MAP_3DNOW,  /* the opcode byte is the one behind the operands */
    X86_MAP_VECTOR, /* VEX, EVEX or XOP: the map number is in x86_insn.vector_map */
};

/** How an instruction is encoded: with legacy prefixes, or with one of the vector prefixes. */
enum x86_encoding {
    X86_ENCODING_LEGACY,
    X86_ENCODING_VEX,
    X86_ENCODING_EVEX,
    X86_ENCODING_XOP,
};

/** What an instruction does. The order of ADD to CMP is that of the encoding. */
enum x86_op {
    X86_OP_OTHER, /* decoded for its length only */
    X86_OP_ADD,
    X86_OP_OR,
    X86_OP_ADC,
    X86_OP_SBB,
    X86_OP_AND,
    X86_OP_SUB,
    X86_OP_XOR,
    X86_OP_CMP,
    X86_OP_TEST,
    X86_OP_INC,
    X86_OP_DEC,
    X86_OP_NOT,
    X86_OP_NEG,
    X86_OP_BT, /* BT to BTC likewise in the order of the encoding */
    X86_OP_BTS,
    X86_OP_BTR,
    X86_OP_BTC,
    X86_OP_ROL, /* ROL to SAR likewise; SAL is SHL */
    X86_OP_ROR,
    X86_OP_RCL,
    X86_OP_RCR,
    X86_OP_SHL,
    X86_OP_SHR,
    X86_OP_SAR,
    X86_OP_SHLD,
    X86_OP_SHRD,
    X86_OP_MUL,
    X86_OP_IMUL, /* with X86_OPERAND_RM as the destination: the form whose result is in RDX:RAX */
    X86_OP_DIV,
    X86_OP_IDIV,
    X86_OP_SETCC,
    X86_OP_CMOVCC,
    X86_OP_MOV,
    X86_OP_MOVZX,
    X86_OP_MOVSX, /* and MOVSXD */
    X86_OP_XCHG,
    X86_OP_XADD,
    X86_OP_CMPXCHG,
    X86_OP_CMPXCHG8B, /* and CMPXCHG16B */
    X86_OP_PUSH,
    X86_OP_POP,
    X86_OP_MOV_VECTOR,         /* between memory and an XMM or YMM register; a load clears the rest of the register */
    X86_OP_MOV_VECTOR_ALIGNED, /* the same with an operand that has to be aligned */
    X86_OP_MOV_VECTOR_LOW,     /* bytes 0 to 7 of a register; a load leaves bytes 8 to 15 alone (VEX: takes vvvv's) */
    X86_OP_MOV_VECTOR_HIGH,    /* bytes 8 to 15, likewise */
    X86_OP_MOVS,
    X86_OP_STOS,
    X86_OP_LODS,
    X86_OP_CMPS,
    X86_OP_SCAS,
    X86_OP_INS,
    X86_OP_OUTS,
    X86_OP_IN,
    X86_OP_OUT,
    X86_OP_MOV_FROM_SEG,
    X86_OP_MOV_TO_SEG,
    X86_OP_MOV_FROM_CR,
    X86_OP_MOV_TO_CR,
    X86_OP_MOV_FROM_DR,
    X86_OP_MOV_TO_DR,
    X86_OP_CLTS,
    X86_OP_LMSW,
    X86_OP_SMSW,
    X86_OP_PUSHF,
    X86_OP_POPF,
    X86_OP_IRET,
    X86_OP_INT,
    X86_OP_INT3,
    X86_OP_INTO,
    X86_OP_ICEBP,
    X86_OP_UD, /* UD0, UD1, UD2 */
    X86_OP_NOP,
    X86_OP_PAUSE,
    X86_OP_HLT,
    X86_OP_CLI,
    X86_OP_STI,
    X86_OP_CPUID,
    X86_OP_RDMSR,
    X86_OP_WRMSR,
    X86_OP_RDTSC,
    X86_OP_RDTSCP,
    X86_OP_RDPMC,
    X86_OP_RDPRU,
    X86_OP_INVD,
    X86_OP_WBINVD, /* and WBNOINVD */
    X86_OP_INVLPG,
    X86_OP_INVLPGA,
    X86_OP_INVLPGB,
    X86_OP_TLBSYNC,
    X86_OP_INVPCID,
    X86_OP_XGETBV,
    X86_OP_XSETBV,
    X86_OP_MONITOR,
    X86_OP_MWAIT,
    X86_OP_MONITORX,
    X86_OP_MWAITX,
    X86_OP_RSM,
    X86_OP_SYSCALL,
    X86_OP_SYSRET,
    X86_OP_SYSENTER,
    X86_OP_SYSEXIT,
    X86_OP_SWAPGS,
    X86_OP_LGDT,
    X86_OP_LIDT,
    X86_OP_SGDT,
    X86_OP_SIDT,
    X86_OP_LLDT,
    X86_OP_LTR,
    X86_OP_SLDT,
    X86_OP_STR,
    X86_OP_VMMCALL,
    X86_OP_VMRUN,
    X86_OP_VMLOAD,
    X86_OP_VMSAVE,
    X86_OP_STGI,
    X86_OP_CLGI,
    X86_OP_SKINIT,
    X86_OP_VMCALL,
    X86_OP_VMLAUNCH,
    X86_OP_VMRESUME,
    X86_OP_VMXOFF,
    X86_OP_VMXON,
    X86_OP_VMPTRLD,
    X86_OP_VMPTRST,
    X86_OP_VMCLEAR,
    X86_OP_VMREAD,
    X86_OP_VMWRITE,
    X86_OP_VMFUNC,
    X86_OP_INVEPT,
    X86_OP_INVVPID,
};

/** Where an operand of an emulatable instruction is. */
enum x86_operand {
    X86_OPERAND_NONE,
    X86_OPERAND_REG, /* general register x86_insn.reg */
    X86_OPERAND_RM,  /* the memory operand if there is one, else general register x86_insn.rm */
    X86_OPERAND_ACC, /* AL, AX, EAX or RAX */
    X86_OPERAND_IMM, /* x86_insn.immediate */
    X86_OPERAND_DX,  /* the port number in DX */
    X86_OPERAND_CL,
    X86_OPERAND_VECTOR, /* XMM or YMM register x86_insn.reg */
};

/** Bits of x86_insn.prefixes. Of REP and REPNE only the last one written is set. */
#define X86_PREFIX_LOCK         0x01u
#define X86_PREFIX_REP          0x02u
#define X86_PREFIX_REPNE        0x04u
#define X86_PREFIX_OPERAND_SIZE 0x08u
#define X86_PREFIX_ADDRESS_SIZE 0x10u
#define X86_PREFIX_REX          0x20u /* a REX that counts: right before the opcode */

/** Bits of x86_insn.rex, also filled in from VEX and EVEX. */
#define X86_REX_B 0x1u
#define X86_REX_X 0x2u
#define X86_REX_R 0x4u
#define X86_REX_W 0x8u

/** In place of a register number: none. */
#define X86_REG_NONE 0xffu

/** A memory operand: segment:[base + index * (1 << scale_shift) + displacement], cut to the address size. */
struct x86_memory_operand {
    uint8_t segment; /* X86_SEG_*: the override, else the default one */
    uint8_t base;    /* X86_GPR_* or X86_REG_NONE */
    uint8_t index;   /* X86_GPR_* or X86_REG_NONE */
    uint8_t scale_shift;
    bool is_rip_relative; /* the base is the address of the next instruction */
    int64_t displacement; /* sign-extended; of a moffs operand the whole address */
};

/** One decoded instruction. */
struct x86_insn {
    uint8_t length; /* bytes, 1 to 15 */
    uint8_t opcode;
    enum x86_mode mode;
    enum x86_map map;
    enum x86_op op;
    enum x86_encoding encoding;
    uint8_t vector_map;       /* map number inside the VEX, EVEX or XOP prefix */
    uint8_t vector_prefix;    /* its pp field: 0 none, 1 66, 2 F3, 3 F2 */
    uint8_t vector_size;      /* bytes of a whole vector register: VEX 16 or 32, legacy 16; EVEX and XOP 0 */
    uint8_t vector_source;    /* the register in VEX.vvvv */
    uint8_t prefixes;         /* X86_PREFIX_* */
    uint8_t rex;              /* X86_REX_* */
    uint8_t segment_override; /* X86_SEG_*, or X86_REG_NONE; ES, CS, SS and DS do not count in 64-bit mode */
    uint8_t operand_size;     /* bytes: 1, 2, 4 or 8; of MOVZX and MOVSX that of the destination */
    uint8_t address_size;     /* bytes: 2, 4 or 8 */
    uint8_t rm_size;          /* bytes of the operand X86_OPERAND_RM, up to 32; 0 if neither operand is that */
    bool has_modrm;
    bool has_sib;
    bool has_memory;
    uint8_t modrm;
    uint8_t sib;
    uint8_t reg; /* ModRM.reg with its extension: a general, segment, control or debug register */
    uint8_t rm;  /* register in ModRM.rm or in the opcode, with its extension; valid without a memory operand */
    uint8_t displacement_size; /* bytes: 0, 1, 2, 4 or 8 */
    uint8_t immediate_size;    /* bytes of the first immediate: 0, 1, 2, 4 or 8; also of a branch distance */
    uint8_t immediate2_size;   /* ENTER: 1; far pointer: 2 (the selector); EXTRQ, INSERTQ: 1 */
    enum x86_operand destination;
    enum x86_operand source;
    uint16_t immediate2;
    int64_t immediate; /* sign-extended */
    struct x86_memory_operand memory;
};

/**
 * Decodes the instruction at the start of `bytes`, of which `byte_count` are there. Fills in all of `insn` when
 * the result is X86_DECODE_OK; otherwise its content means nothing.
 *
 * An OK says that the length is right, not that the processor would execute the instruction: which prefixes and
 * operands an SSE, AVX or x87 instruction without an operation here needs is not judged, nor which features the
 * processor has. As on Intel
 * processors, near branches in 64-bit mode have 32-bit distances whatever the operand-size prefix says.
 */
MUST_CHECK enum x86_decode_status x86_decode(struct x86_insn *insn, const uint8_t *bytes, size_t byte_count,
                                             enum x86_mode mode);

/**
 * The length of the instruction at `bytes` if it is an `expected`, else 0: also when the bytes are too few.
 * The plain encodings of what is intercepted most are compared directly, without decoding.
 */
MUST_CHECK size_t x86_insn_length_of(enum x86_op expected, const uint8_t *bytes, size_t byte_count, enum x86_mode mode);

#endif
