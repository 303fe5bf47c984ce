/* SPDX-License-Identifier: MIT */
/*
 * Tests of hv/lib/x86/x86_decode.c. Lengths and memory operands are compared with Capstone's, over all opcodes
 * with all prefixes in all modes and over random bytes. Where the two disagree, the reason must be one of the
 * listed ones (enum verdict); anything else fails. Fixed vectors check what Capstone cannot.
 */
/* slow: 10000000 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Both libraries have a type of this name. */
#define x86_insn capstone_x86_insn
#include <capstone/capstone.h>
#undef x86_insn

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"
#include "tests/unit/generated.h"

#define USUAL_COUNT 1000000
#define BUFFER_SIZE 24

/** Why Capstone and the decoder may differ. VERDICT_UNEXPLAINED fails the test. */
enum verdict {
    VERDICT_AGREE_VALID,
    VERDICT_AGREE_INVALID,

    /* Both accept, the lengths differ. */
    VERDICT_UD_MODRM,        /* Capstone leaves out ModRM of UD0 and UD1 */
    VERDICT_BRANCH_16,       /* 66 on a near branch in 64-bit mode: Capstone as AMD, the decoder as Intel */
    VERDICT_REX_W_67,        /* Capstone takes 67 beside REX.W for 66 */
    VERDICT_RET_REX_W,       /* Capstone reads a 32-bit immediate for REX.W C2 with 66 or 67 */
    VERDICT_REP_HIDES_66,    /* Capstone drops 66 when F2 or F3 is there too */
    VERDICT_EVEX_ROUNDING,   /* Capstone takes the rounding mode of some EVEX instructions for an immediate */
    VERDICT_XOP_IMM_16,      /* Capstone reads a 16-bit immediate in XOP map 10 in 16-bit code */
    VERDICT_EXTRQ_AS_VMREAD, /* Capstone takes 66 0F 78 and F2 0F 78 for VMREAD in 16-bit code */

    /* The decoder accepts, Capstone refuses. */
    VERDICT_VECTOR_OPCODE,  /* which VEX, EVEX and XOP opcodes exist is not judged */
    VERDICT_SSE_PREFIX,     /* which prefix and operands an SSE instruction needs is not judged */
    VERDICT_X87_RESERVED,   /* likewise x87 */
    VERDICT_3DNOW_OPCODE,   /* likewise 3DNow! */
    VERDICT_HINT_REGISTER,  /* reserved hints (0F 0D, 0F 18-1F) with register operands */
    VERDICT_NEWER,          /* newer than this Capstone: in 0F 01, 0F AE, 0F 38 and 0F 3A */
    VERDICT_INVEPT_PREFIX,  /* Capstone refuses INVEPT, INVVPID and INVPCID in some combinations of 66 and mode */
    VERDICT_LOCK_CR8,       /* LOCK MOV CR0 is AMD's MOV CR8 */
    VERDICT_SEGMENT_REX_R,  /* REX.R does not count for segment registers */
    VERDICT_UD_REFUSED,     /* UD0 with prefixes */
    VERDICT_POPCNT_REFUSED, /* Capstone wants POPCNT's F3 right before 0F, and no POPCNT in 16-bit code */

    /* The decoder refuses, Capstone accepts. */
    VERDICT_LOCK,             /* LOCK where it raises #UD */
    VERDICT_MOV_TO_CS,        /* MOV to CS raises #UD */
    VERDICT_VECTOR_PREFIX,    /* 66, F2, F3, LOCK or REX before VEX, EVEX or XOP raises #UD */
    VERDICT_CONTROL_REGISTER, /* CR1, CR5-CR7, CR9-CR15 and DR8-DR15 raise #UD */
    VERDICT_VMREAD_PREFIX,    /* prefixed 0F 78 and 0F 79 are EXTRQ and INSERTQ, with registers only */
    VERDICT_PADLOCK,          /* 0F A6 and 0F A7: of one vendor whose processors have no nested paging */
    VERDICT_MOVNTI_PREFIX,    /* MOVNTI with 66, F2 or F3 */

    VERDICT_UNEXPLAINED,
    VERDICT_COUNT,
};

static const char *const verdict_names[VERDICT_COUNT] = {
    [VERDICT_AGREE_VALID] = "both accept, same length",
    [VERDICT_AGREE_INVALID] = "both refuse",
    [VERDICT_UD_MODRM] = "length: UD0, UD1 without ModRM",
    [VERDICT_BRANCH_16] = "length: 66 on a near branch in 64-bit mode",
    [VERDICT_REX_W_67] = "67 beside REX.W taken for 66",
    [VERDICT_RET_REX_W] = "length: RET with REX.W and 66 or 67",
    [VERDICT_REP_HIDES_66] = "66 beside F2 or F3",
    [VERDICT_EVEX_ROUNDING] = "length: EVEX with static rounding",
    [VERDICT_XOP_IMM_16] = "length: XOP map 10 in 16-bit code",
    [VERDICT_EXTRQ_AS_VMREAD] = "length: EXTRQ, INSERTQ taken for VMREAD",
    [VERDICT_VECTOR_OPCODE] = "only we: vector opcode not judged",
    [VERDICT_SSE_PREFIX] = "only we: SSE prefix or operand not judged",
    [VERDICT_X87_RESERVED] = "only we: reserved x87",
    [VERDICT_3DNOW_OPCODE] = "only we: 3DNow! opcode not judged",
    [VERDICT_HINT_REGISTER] = "only we: hint with a register",
    [VERDICT_NEWER] = "only we: newer instructions",
    [VERDICT_INVEPT_PREFIX] = "only we: INVEPT, INVVPID, INVPCID",
    [VERDICT_LOCK_CR8] = "only we: LOCK MOV CR0",
    [VERDICT_SEGMENT_REX_R] = "only we: segment register with REX.R",
    [VERDICT_UD_REFUSED] = "only we: prefixed UD0",
    [VERDICT_POPCNT_REFUSED] = "only we: POPCNT with more prefixes or in 16-bit code",
    [VERDICT_LOCK] = "only Capstone: LOCK not allowed",
    [VERDICT_MOV_TO_CS] = "only Capstone: MOV to CS",
    [VERDICT_VECTOR_PREFIX] = "only Capstone: prefix before VEX",
    [VERDICT_CONTROL_REGISTER] = "only Capstone: register does not exist",
    [VERDICT_VMREAD_PREFIX] = "only Capstone: prefixed VMREAD, VMWRITE",
    [VERDICT_PADLOCK] = "only Capstone: PadLock",
    [VERDICT_MOVNTI_PREFIX] = "only Capstone: prefixed MOVNTI",
    [VERDICT_UNEXPLAINED] = "UNEXPLAINED",
};

/** What both decoders said about one piece of code. */
struct outcome {
    const uint8_t *bytes;
    enum x86_mode mode;
    enum x86_decode_status status;
    size_t length;          /* ours; 0 if refused */
    size_t capstone_length; /* 0 if refused */
};

/** Prefixes and opcode, found without the decoder under test. */
struct outline {
    bool has_66;
    bool has_67;
    bool has_rep; /* F2 or F3 */
    bool has_lock;
    uint8_t rex; /* 0 if none counts */
    int map;     /* 0 one-byte, 1 0F, 2 0F38, 3 0F3A, 4 VEX, EVEX or XOP */
    uint8_t opcode;
    uint8_t modrm; /* the byte behind the opcode */
    bool is_evex_register;
    bool is_xop_10;
};

static struct generated numbers;

static unsigned random_below(unsigned limit)
{
    return generated_below(&numbers, limit);
}

static void outline_code(struct outline *outline, const uint8_t *bytes, enum x86_mode mode)
{
    size_t at = 0;

    memset(outline, 0, sizeof(*outline));
    for (bool is_prefix = true; is_prefix && at < X86_INSN_LENGTH_MAX; at += is_prefix) {
        uint8_t byte = bytes[at];
        bool is_rex = mode == X86_MODE_64 && byte >= 0x40 && byte <= 0x4f;

        outline->has_66 |= byte == 0x66;
        outline->has_67 |= byte == 0x67;
        outline->has_rep |= byte == 0xf2 || byte == 0xf3;
        outline->has_lock |= byte == 0xf0;
        is_prefix = is_rex || strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", byte) != NULL;
        if (is_prefix) {
            outline->rex = is_rex ? byte : 0;
        }
        is_prefix = is_prefix && byte != 0;
    }
    outline->opcode = bytes[at];
    outline->modrm = bytes[at + 1];
    if (bytes[at] == 0x0f) {
        bool is_long = bytes[at + 1] == 0x38 || bytes[at + 1] == 0x3a;

        outline->map = bytes[at + 1] == 0x38 ? 2 : (is_long ? 3 : 1);
        outline->opcode = bytes[at + 1 + is_long];
        outline->modrm = bytes[at + 2 + is_long];
    } else if (bytes[at] == 0x8f) {
        outline->map = (outline->modrm & 0x1f) >= 8 ? 4 : 0;
        outline->is_xop_10 = (outline->modrm & 0x1f) == 10;
    } else if (bytes[at] == 0x62 || bytes[at] == 0xc4 || bytes[at] == 0xc5) {
        outline->map = mode == X86_MODE_64 || outline->modrm >= 0xc0 ? 4 : 0;
        outline->is_evex_register = bytes[at] == 0x62 && bytes[at + 5] >= 0xc0;
    }
}

/* The opcodes of 0F whose meaning depends on a mandatory prefix. */
static bool is_sse(uint8_t opcode)
{
    return (opcode >= 0x10 && opcode <= 0x17) || (opcode >= 0x28 && opcode <= 0x2f) ||
           (opcode >= 0x50 && opcode <= 0x7f) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6) ||
           (opcode >= 0xd0 && opcode <= 0xfe);
}

static enum verdict explain_length(const struct outcome *outcome, const struct outline *outline)
{
    bool is_64 = outcome->mode == X86_MODE_64;
    bool has_w = (outline->rex & 8) != 0;
    bool is_branch = (outline->map == 0 && (outline->opcode == 0xe8 || outline->opcode == 0xe9)) ||
                     (outline->map == 1 && (outline->opcode & 0xf0) == 0x80);
    size_t shorter = outcome->length - outcome->capstone_length;
    size_t longer = outcome->capstone_length - outcome->length;

    if (outline->map == 1 && (outline->opcode == 0xff || outline->opcode == 0xb9) && shorter >= 1 && shorter <= 6) {
        return VERDICT_UD_MODRM;
    }
    if (is_64 && is_branch && outline->has_66 && shorter == 2) {
        return VERDICT_BRANCH_16;
    }
    if (has_w && outline->has_67 && outline->map == 0 && outline->opcode == 0xe8 && shorter == 2) {
        return VERDICT_REX_W_67;
    }
    if (has_w && outline->has_67 && outline->map == 1 && outline->opcode == 0x78 && longer == 2) {
        return VERDICT_REX_W_67;
    }
    if (is_64 && outline->map == 0 && outline->opcode == 0xc2 && (outline->has_66 || outline->has_67) && has_w &&
        longer == 2) {
        return VERDICT_RET_REX_W;
    }
    if (outline->map == 0 && outline->has_66 && outline->has_rep && longer == 2 &&
        (outline->opcode == 0xe8 || outline->opcode == 0x68)) {
        return VERDICT_REP_HIDES_66;
    }
    if (outline->map == 1 && outline->opcode == 0x78 && (outline->has_66 || outline->has_rep) && shorter == 2) {
        return VERDICT_EXTRQ_AS_VMREAD;
    }
    if (outline->map == 4 && outline->is_evex_register && longer == 1) {
        return VERDICT_EVEX_ROUNDING;
    }
    if (outline->is_xop_10 && outcome->mode == X86_MODE_16 && shorter == 2) {
        return VERDICT_XOP_IMM_16;
    }
    return VERDICT_UNEXPLAINED;
}

static enum verdict explain_only_ours(const struct outline *outline)
{
    uint8_t opcode = outline->opcode;
    bool is_register = outline->modrm >= 0xc0;

    if (outline->map == 4) {
        return VERDICT_VECTOR_OPCODE;
    }
    if (outline->map == 0) {
        if (opcode >= 0xd8 && opcode <= 0xdf) {
            return VERDICT_X87_RESERVED;
        }
        if ((opcode == 0x8c || opcode == 0x8e) && (outline->rex & 4) != 0) {
            return VERDICT_SEGMENT_REX_R;
        }
        if (opcode >= 0xa0 && opcode <= 0xa3 && outline->has_66 && outline->has_rep) {
            return VERDICT_REP_HIDES_66;
        }
        return VERDICT_UNEXPLAINED;
    }
    if (outline->map == 1) {
        if (opcode == 0x0f) {
            return VERDICT_3DNOW_OPCODE;
        }
        if (is_sse(opcode)) {
            return VERDICT_SSE_PREFIX;
        }
        if (opcode == 0x0d || (opcode >= 0x18 && opcode <= 0x1f)) {
            return VERDICT_HINT_REGISTER;
        }
        if ((opcode == 0x01 && (is_register || ((outline->modrm >> 3) & 7) == 5)) || opcode == 0xae) {
            return VERDICT_NEWER;
        }
        if ((opcode == 0x20 || opcode == 0x22) && outline->has_lock) {
            return VERDICT_LOCK_CR8;
        }
        if (opcode == 0xff) {
            return VERDICT_UD_REFUSED;
        }
        if (opcode == 0xb8 && outline->has_rep) {
            return VERDICT_POPCNT_REFUSED;
        }
        return VERDICT_UNEXPLAINED;
    }
    if (outline->map == 2 && opcode >= 0x80 && opcode <= 0x82) {
        return VERDICT_INVEPT_PREFIX;
    }
    if (outline->map == 2 && (opcode == 0xcf || opcode == 0xd8 || opcode >= 0xf5)) {
        return VERDICT_NEWER;
    }
    if (outline->map == 3 && (opcode == 0xce || opcode == 0xcf || opcode == 0xf0)) {
        return VERDICT_NEWER;
    }
    return VERDICT_SSE_PREFIX;
}

static enum verdict explain_only_capstone(const struct outcome *outcome, const struct outline *outline)
{
    uint8_t opcode = outline->opcode;
    bool has_simd_prefix = outline->has_66 || outline->has_rep;

    if (outcome->status != X86_DECODE_INVALID) {
        return VERDICT_UNEXPLAINED;
    }
    if (outline->map == 4) {
        bool has_prefix = has_simd_prefix || outline->has_lock || outline->rex != 0;

        return has_prefix ? VERDICT_VECTOR_PREFIX : VERDICT_UNEXPLAINED;
    }
    if (outline->map == 2 && opcode >= 0x80 && opcode <= 0x82 && (outline->rex & 8) != 0 && outline->has_67) {
        return VERDICT_REX_W_67;
    }
    if (outline->map == 0 && opcode == 0x8e && ((outline->modrm >> 3) & 7) == 1) {
        return VERDICT_MOV_TO_CS;
    }
    if (outline->map == 1) {
        if (opcode >= 0x20 && opcode <= 0x23) {
            return VERDICT_CONTROL_REGISTER;
        }
        if ((opcode == 0x78 || opcode == 0x79) && has_simd_prefix) {
            return VERDICT_VMREAD_PREFIX;
        }
        if (opcode == 0xa6 || opcode == 0xa7) {
            return VERDICT_PADLOCK;
        }
        if (opcode == 0xc3 && has_simd_prefix) {
            return VERDICT_MOVNTI_PREFIX;
        }
    }
    return outline->has_lock ? VERDICT_LOCK : VERDICT_UNEXPLAINED;
}

static enum verdict judge(const struct outcome *outcome)
{
    struct outline outline;

    if (outcome->length == 0 && outcome->capstone_length == 0) {
        return VERDICT_AGREE_INVALID;
    }
    if (outcome->length == outcome->capstone_length) {
        return VERDICT_AGREE_VALID;
    }
    outline_code(&outline, outcome->bytes, outcome->mode);
    if (outcome->length != 0 && outcome->capstone_length != 0) {
        return explain_length(outcome, &outline);
    }
    return outcome->length != 0 ? explain_only_ours(&outline) : explain_only_capstone(outcome, &outline);
}

/** How operands of one instruction compare. OPERAND_UNEXPLAINED fails the test. */
enum operand_verdict {
    OPERAND_NONE, /* nothing to compare: no operation of ours */
    OPERAND_AGREE,
    OPERAND_MOVSXD,  /* MOVSXD without REX.W has a 32-bit or 16-bit destination; with 66 it reads 16 bits (Intel) */
    OPERAND_XCHG_66, /* XCHG with the accumulator: Capstone names EAX when 66 is there, but not right in front */
    OPERAND_VECTOR_PREFIX, /* 66, F2 and F3 choose an SSE instruction wherever they are, and in 16-bit code too */
    OPERAND_REP_HIDES_66,  /* Capstone drops 66 when F2 or F3 is there too */
    OPERAND_REX_W_67,      /* Capstone takes 67 beside REX.W for 66 */
    OPERAND_PUSH_66_REX_W, /* PUSH and POP of memory: REX.W counts more than 66 */
    OPERAND_MOVQ_REX_W,    /* F3 0F 7E with REX.W loads XMM; Capstone takes it for a store of MMX, as without F3 */
    OPERAND_UNEXPLAINED,
    OPERAND_VERDICT_COUNT,
};

static const char *const operand_verdict_names[OPERAND_VERDICT_COUNT] = {
    [OPERAND_NONE] = "without operands of ours",
    [OPERAND_AGREE] = "the same operands",
    [OPERAND_MOVSXD] = "size: MOVSXD without REX.W",
    [OPERAND_XCHG_66] = "size: XCHG with the accumulator and 66",
    [OPERAND_VECTOR_PREFIX] = "SSE whose 66, F2 or F3 is not right in front, or in 16-bit code",
    [OPERAND_REP_HIDES_66] = "size: 66 beside F2 or F3",
    [OPERAND_REX_W_67] = "size: 67 beside REX.W",
    [OPERAND_PUSH_66_REX_W] = "size: PUSH or POP of memory with 66 and REX.W",
    [OPERAND_MOVQ_REX_W] = "register: MOVQ from memory with REX.W",
    [OPERAND_UNEXPLAINED] = "UNEXPLAINED OPERANDS",
};

/* Capstone's name of a general register; `rex`: SPL to DIL instead of AH to BH. */
static x86_reg gpr_name(unsigned reg, unsigned size, bool has_rex)
{
    static const x86_reg names[4][16] = {
        {X86_REG_AL, X86_REG_CL, X86_REG_DL, X86_REG_BL, X86_REG_SPL, X86_REG_BPL, X86_REG_SIL, X86_REG_DIL,
         X86_REG_R8B, X86_REG_R9B, X86_REG_R10B, X86_REG_R11B, X86_REG_R12B, X86_REG_R13B, X86_REG_R14B, X86_REG_R15B},
        {X86_REG_AX, X86_REG_CX, X86_REG_DX, X86_REG_BX, X86_REG_SP, X86_REG_BP, X86_REG_SI, X86_REG_DI, X86_REG_R8W,
         X86_REG_R9W, X86_REG_R10W, X86_REG_R11W, X86_REG_R12W, X86_REG_R13W, X86_REG_R14W, X86_REG_R15W},
        {X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX, X86_REG_ESP, X86_REG_EBP, X86_REG_ESI, X86_REG_EDI,
         X86_REG_R8D, X86_REG_R9D, X86_REG_R10D, X86_REG_R11D, X86_REG_R12D, X86_REG_R13D, X86_REG_R14D, X86_REG_R15D},
        {X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX, X86_REG_RSP, X86_REG_RBP, X86_REG_RSI, X86_REG_RDI,
         X86_REG_R8, X86_REG_R9, X86_REG_R10, X86_REG_R11, X86_REG_R12, X86_REG_R13, X86_REG_R14, X86_REG_R15},
    };
    static const x86_reg high_bytes[4] = {X86_REG_AH, X86_REG_CH, X86_REG_DH, X86_REG_BH};

    if (size == 1 && !has_rex && reg >= 4 && reg < 8) {
        return high_bytes[reg - 4];
    }
    return names[size == 8 ? 3 : size >> 1][reg];
}

static x86_reg base_name(unsigned reg, const struct x86_insn *insn)
{
    return reg == X86_REG_NONE ? X86_REG_INVALID : gpr_name(reg, insn->address_size, true);
}

static bool has_register(const cs_x86 *detail, x86_reg reg)
{
    for (size_t index = 0; index < detail->op_count; index++) {
        if (detail->operands[index].type == X86_OP_REG && detail->operands[index].reg == reg) {
            return true;
        }
    }
    return false;
}

static bool has_immediate(const cs_x86 *detail, const struct x86_insn *insn)
{
    uint64_t mask = insn->operand_size == 8 ? UINT64_MAX : (1ull << (8 * insn->operand_size)) - 1;

    for (size_t index = 0; index < detail->op_count; index++) {
        uint64_t value = (uint64_t)detail->operands[index].imm;

        /* Counts and bit numbers are bytes, which Capstone does not extend. */
        if (detail->operands[index].type == X86_OP_IMM &&
            (((value ^ (uint64_t)insn->immediate) & mask) == 0 ||
             (insn->immediate_size == 1 && ((value ^ (uint64_t)insn->immediate) & 0xff) == 0))) {
            return true;
        }
    }
    /* The 1 of D0 and D1 is not in the code. */
    return insn->immediate_size == 0;
}

static bool is_same_memory(const struct x86_insn *insn, const cs_x86 *detail, bool *is_same_size)
{
    static const x86_reg segments[X86_SEG_COUNT] = {X86_REG_ES, X86_REG_CS, X86_REG_SS,
                                                    X86_REG_DS, X86_REG_FS, X86_REG_GS};
    const struct x86_memory_operand *memory = &insn->memory;
    uint64_t mask = insn->address_size == 8 ? UINT64_MAX : (1ull << (8 * insn->address_size)) - 1;

    for (size_t index = 0; index < detail->op_count; index++) {
        const x86_op_mem *theirs = &detail->operands[index].mem;
        bool has_base = theirs->base == base_name(memory->base, insn);
        bool has_index = theirs->index == base_name(memory->index, insn) || theirs->index == X86_REG_EIZ ||
                         theirs->index == X86_REG_RIZ;
        bool has_segment;

        if (detail->operands[index].type != X86_OP_MEM) {
            continue;
        }
        if (memory->is_rip_relative) {
            has_base = theirs->base == X86_REG_RIP || theirs->base == X86_REG_EIP;
        }
        /* Capstone names a segment only if there was an override, and in 64-bit mode also one that does not count. */
        has_segment = theirs->segment == X86_REG_INVALID || theirs->segment == segments[memory->segment] ||
                      (insn->mode == X86_MODE_64 && theirs->segment != X86_REG_FS && theirs->segment != X86_REG_GS);
        *is_same_size = detail->operands[index].size == insn->rm_size;
        return has_base && has_index && has_segment && detail->addr_size == insn->address_size &&
               (memory->index == X86_REG_NONE || theirs->scale == 1 << memory->scale_shift) &&
               (((uint64_t)theirs->disp ^ (uint64_t)memory->displacement) & mask) == 0;
    }
    return false;
}

/* One operand; *is_same_size: whether only its size is another one. */
static bool is_same_operand(const struct x86_insn *insn, enum x86_operand operand, const cs_x86 *detail,
                            bool *is_same_size)
{
    bool has_rex = (insn->prefixes & X86_PREFIX_REX) != 0;
    x86_reg vector = insn->vector_size == 32 && insn->rm_size == 32 ? X86_REG_YMM0 : X86_REG_XMM0;

    switch (operand) {
    case X86_OPERAND_NONE:
    case X86_OPERAND_CL: /* Capstone leaves some of them out */
        return true;
    case X86_OPERAND_DX:
        return has_register(detail, X86_REG_DX);
    case X86_OPERAND_IMM:
        return has_immediate(detail, insn);
    case X86_OPERAND_VECTOR:
        return has_register(detail, vector + insn->reg);
    case X86_OPERAND_REG:
        *is_same_size = *is_same_size && has_register(detail, gpr_name(insn->reg, insn->operand_size, has_rex));
        return true;
    case X86_OPERAND_ACC:
        *is_same_size = *is_same_size && has_register(detail, gpr_name(X86_GPR_RAX, insn->operand_size, has_rex));
        return true;
    case X86_OPERAND_RM:
        if (!insn->has_memory) {
            *is_same_size = *is_same_size && has_register(detail, gpr_name(insn->rm, insn->rm_size, has_rex));
            return true;
        }
        return is_same_memory(insn, detail, is_same_size);
    }
    UNREACHABLE();
}

/* Whether Capstone sees the prefix that chooses the instruction: right in front of 0F or of REX, not in 16-bit code. */
static bool is_prefix_seen(const struct x86_insn *insn, const uint8_t *bytes)
{
    const uint8_t *at = memchr(bytes, 0x0f, insn->length);

    if ((insn->prefixes & X86_PREFIX_REX) != 0) {
        at--;
    }
    return insn->mode != X86_MODE_16 && at > bytes && (at[-1] == 0x66 || at[-1] == 0xf2 || at[-1] == 0xf3);
}

static enum operand_verdict judge_operands(const struct x86_insn *insn, const uint8_t *bytes, const cs_x86 *detail)
{
    bool has_66 = (insn->prefixes & X86_PREFIX_OPERAND_SIZE) != 0;
    bool has_rep = (insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE)) != 0;
    bool has_67 = (insn->prefixes & X86_PREFIX_ADDRESS_SIZE) != 0;
    bool is_vector = insn->op >= X86_OP_MOV_VECTOR && insn->op <= X86_OP_MOV_VECTOR_HIGH;
    bool is_same_size = true;
    bool is_same;

    if (insn->rm_size == 0) {
        return OPERAND_NONE;
    }
    is_same = is_same_operand(insn, insn->destination, detail, &is_same_size) &&
              is_same_operand(insn, insn->source, detail, &is_same_size);
    if (is_same && is_same_size) {
        return OPERAND_AGREE;
    }
    if (is_vector && insn->encoding == X86_ENCODING_LEGACY && (has_66 || has_rep) && !is_prefix_seen(insn, bytes)) {
        return OPERAND_VECTOR_PREFIX;
    }
    if (is_vector && insn->map == X86_MAP_0F && insn->opcode == 0x7e && insn->destination == X86_OPERAND_VECTOR &&
        (insn->rex & X86_REX_W) != 0) {
        return OPERAND_MOVQ_REX_W;
    }
    if (!is_same) {
        return OPERAND_UNEXPLAINED;
    }
    if (insn->op == X86_OP_XCHG && insn->source == X86_OPERAND_ACC && has_66) {
        return OPERAND_XCHG_66;
    }
    if (insn->map == X86_MAP_ONE_BYTE && insn->opcode == 0x63 && (insn->rex & X86_REX_W) == 0) {
        return OPERAND_MOVSXD;
    }
    if ((insn->op == X86_OP_PUSH || insn->op == X86_OP_POP) && has_66 && (insn->rex & X86_REX_W) != 0) {
        return OPERAND_PUSH_66_REX_W;
    }
    if (has_66 && has_rep) {
        return OPERAND_REP_HIDES_66;
    }
    return has_67 && (insn->rex & X86_REX_W) != 0 ? OPERAND_REX_W_67 : OPERAND_UNEXPLAINED;
}

/** Capstone in each mode, and how often each verdict was given. */
struct comparison {
    csh handles[3];
    cs_insn *insn;
    unsigned long counts[VERDICT_COUNT];
    unsigned long operand_counts[OPERAND_VERDICT_COUNT];
    unsigned long total;
};

static void print_outcome(const struct outcome *outcome)
{
    fprintf(stderr, "mode %d, ours %zu (status %d), Capstone %zu:", 16 << outcome->mode, outcome->length,
            (int)outcome->status, outcome->capstone_length);
    for (size_t index = 0; index < X86_INSN_LENGTH_MAX; index++) {
        fprintf(stderr, " %02x", outcome->bytes[index]);
    }
    fprintf(stderr, "\n");
}

static int comparison_open(void **state)
{
    static const cs_mode modes[3] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    static struct comparison comparison;

    memset(&comparison, 0, sizeof(comparison));
    for (size_t index = 0; index < ARRAY_SIZE(modes); index++) {
        if (cs_open(CS_ARCH_X86, modes[index], &comparison.handles[index]) != CS_ERR_OK) {
            return -1;
        }
        cs_option(comparison.handles[index], CS_OPT_DETAIL, CS_OPT_ON);
    }
    generated_begin(&numbers, generated_seed());
    *state = &comparison;
    return 0;
}

static int comparison_close(void **state)
{
    struct comparison *comparison = *state;

    for (size_t index = 0; index < ARRAY_SIZE(comparison->handles); index++) {
        cs_close(&comparison->handles[index]);
    }
    return 0;
}

/* Lets both decoders see `bytes` (BUFFER_SIZE of them, of which 15 count). */
static void compare_code(struct comparison *comparison, const uint8_t *bytes, enum x86_mode mode)
{
    struct outcome outcome = {.bytes = bytes, .mode = mode};
    struct x86_insn insn;
    const uint8_t *code = bytes;
    size_t code_size = X86_INSN_LENGTH_MAX;
    uint64_t address = 0;
    enum verdict verdict;

    outcome.status = x86_decode(&insn, bytes, X86_INSN_LENGTH_MAX, mode);
    outcome.length = outcome.status == X86_DECODE_OK ? insn.length : 0;
    if (cs_disasm_iter(comparison->handles[mode], &code, &code_size, &address, comparison->insn)) {
        outcome.capstone_length = comparison->insn->size;
    }
    verdict = judge(&outcome);
    comparison->counts[verdict]++;
    comparison->total++;
    if (verdict == VERDICT_UNEXPLAINED && comparison->counts[verdict] <= 20) {
        print_outcome(&outcome);
    }
    if (verdict == VERDICT_AGREE_VALID) {
        enum operand_verdict operands = judge_operands(&insn, bytes, &comparison->insn->detail->x86);

        comparison->operand_counts[operands]++;
        if (operands == OPERAND_UNEXPLAINED && comparison->operand_counts[operands] <= 20) {
            fprintf(stderr, "%s %s: ", comparison->insn->mnemonic, comparison->insn->op_str);
            print_outcome(&outcome);
        }
    }
}

static void comparison_begin(struct comparison *comparison)
{
    memset(comparison->counts, 0, sizeof(comparison->counts));
    memset(comparison->operand_counts, 0, sizeof(comparison->operand_counts));
    comparison->total = 0;
    comparison->insn = cs_malloc(comparison->handles[0]);
    assert_non_null(comparison->insn);
}

/* Of all comparisons at least one in `valid_divisor` must have been of code that both accept. */
static void comparison_end(struct comparison *comparison, unsigned valid_divisor)
{
    cs_free(comparison->insn, 1);
    fprintf(stderr, "%lu compared\n", comparison->total);
    for (size_t index = 0; index < VERDICT_COUNT; index++) {
        if (comparison->counts[index] != 0) {
            fprintf(stderr, "%9lu  %s\n", comparison->counts[index], verdict_names[index]);
        }
    }
    for (size_t index = 0; index < OPERAND_VERDICT_COUNT; index++) {
        if (comparison->operand_counts[index] != 0) {
            fprintf(stderr, "%9lu  %s\n", comparison->operand_counts[index], operand_verdict_names[index]);
        }
    }
    assert_true(comparison->counts[VERDICT_AGREE_VALID] > comparison->total / valid_divisor);
    assert_int_equal(comparison->counts[VERDICT_UNEXPLAINED], 0);
    assert_int_equal(comparison->operand_counts[OPERAND_UNEXPLAINED], 0);
}

/* All opcodes of the four legacy maps, each with the sets of prefixes and the kinds of ModRM that matter. */
static void test_all_opcodes(void **state)
{
    static const char *const prefixes[] = {
        "",         "\x66", "\x67",     "\xf2",     "\xf3",         "\xf0",     "\x66\x67", "\x64",
        "\x2e\x65", "\x48", "\x66\x48", "\x48\x66", "\xf3\x66\x4f", "\xf2\x45", "\x67\x42", "\x41",
    };
    static const char *const maps[] = {"", "\x0f", "\x0f\x38", "\x0f\x3a"};
    static const uint8_t modrms[] = {0x00, 0x04, 0x05, 0x06, 0x44, 0x46, 0x84, 0x87, 0xc0, 0xc1, 0xc4, 0xc7};
    struct comparison *comparison = *state;

    comparison_begin(comparison);
    for (unsigned sequence = 0; sequence < 3 * 4 * 256 * 8; sequence++) {
        enum x86_mode mode = (enum x86_mode)(sequence / (4 * 256 * 8));
        const char *map = maps[sequence / (256 * 8) % 4];
        uint8_t opcode = (uint8_t)(sequence / 8);
        uint8_t reg = sequence % 8;

        for (size_t variant = 0; variant < ARRAY_SIZE(prefixes) * ARRAY_SIZE(modrms); variant++) {
            const char *prefix = prefixes[variant / ARRAY_SIZE(modrms)];
            uint8_t bytes[BUFFER_SIZE];
            size_t at = 0;

            memset(bytes, 0x25, sizeof(bytes));
            memcpy(bytes, prefix, strlen(prefix));
            at += strlen(prefix);
            memcpy(bytes + at, map, strlen(map));
            at += strlen(map);
            bytes[at] = opcode;
            bytes[at + 1] = modrms[variant % ARRAY_SIZE(modrms)] | (uint8_t)(reg << 3);
            compare_code(comparison, bytes, mode);
        }
    }
    comparison_end(comparison, 2);
}

/* All opcodes of the vector maps, each with every pp, W and length. */
static void test_vector_opcodes(void **state)
{
    static const uint8_t modrms[] = {0x00, 0x04, 0x05, 0x06, 0x44, 0x46, 0x84, 0x87, 0xc1, 0xcc, 0xd8, 0xe4, 0xff};
    struct comparison *comparison = *state;

    comparison_begin(comparison);
    for (unsigned sequence = 0; sequence < 3 * 10 * 256 * 16; sequence++) {
        enum x86_mode mode = (enum x86_mode)(sequence / (10 * 256 * 16));
        unsigned kind = sequence / (256 * 16) % 10; /* VEX2, VEX maps 1-3, EVEX maps 1-3, XOP maps 8-10 */
        uint8_t opcode = (uint8_t)(sequence / 16);
        uint8_t pp = sequence & 3;
        uint8_t length = (sequence >> 2) & 1;
        uint8_t w = (uint8_t)(((sequence >> 3) & 1) << 7);

        for (size_t variant = 0; variant < ARRAY_SIZE(modrms); variant++) {
            uint8_t bytes[BUFFER_SIZE];
            size_t at = 0;

            memset(bytes, 0x25, sizeof(bytes));
            if (kind == 0) {
                bytes[at++] = 0xc5;
                bytes[at++] = (uint8_t)(0xf8 | (length << 2) | pp);
            } else if (kind < 4 || kind >= 7) {
                bytes[at++] = kind < 4 ? 0xc4 : 0x8f;
                bytes[at++] = (uint8_t)(0xe0 | (kind < 4 ? kind : kind + 1));
                bytes[at++] = (uint8_t)(w | 0x78 | (length << 2) | pp);
            } else {
                bytes[at++] = 0x62;
                bytes[at++] = (uint8_t)(0xf0 | (kind - 3));
                bytes[at++] = (uint8_t)(w | 0x7c | pp);
                bytes[at++] = (uint8_t)(0x08 | (length << 6));
            }
            bytes[at++] = opcode;
            bytes[at++] = modrms[variant];
            compare_code(comparison, bytes, mode);
        }
    }
    comparison_end(comparison, 20);
}

/* Random prefixes, an opcode of a random map, random bytes behind. */
static void make_random_code(uint8_t *bytes, enum x86_mode mode)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf0, 0x66};
    size_t at = 0;
    unsigned map = random_below(16);

    for (size_t index = 0; index < BUFFER_SIZE; index += 8) {
        uint64_t value = generated_next(&numbers);

        memcpy(bytes + index, &value, 8);
    }
    while (at < 8 && random_below(3) == 0) {
        bool is_rex = mode == X86_MODE_64 && random_below(2) == 0;

        bytes[at] = is_rex ? (uint8_t)(0x40 + random_below(16)) : prefixes[random_below(ARRAY_SIZE(prefixes))];
        at++;
    }
    if (map < 5) {
        bytes[at] = 0x0f;
        at++;
    }
    if (map < 2) {
        bytes[at] = map == 0 ? 0x38 : 0x3a;
    } else if (map == 5) {
        bytes[at] = (uint8_t)(0xc4 + random_below(2));
    } else if (map == 6) {
        bytes[at] = 0x62;
    }
}

static void test_random_code(void **state)
{
    uint64_t count = generated_count(USUAL_COUNT);
    struct comparison *comparison = *state;

    comparison_begin(comparison);
    for (uint64_t round = 0; round < count; round++) {
        enum x86_mode mode = (enum x86_mode)(round % 3);
        uint8_t bytes[BUFFER_SIZE];

        make_random_code(bytes, mode);
        compare_code(comparison, bytes, mode);
    }
    comparison_end(comparison, 2);
}

/* A decoder that is wrong by a byte, or that refuses or accepts too much, must be noticed by judge(). */
static void test_comparison_sees_faults(void **state)
{
    static const struct {
        enum x86_mode mode;
        size_t length;
        const char *bytes;
    } samples[] = {
        {X86_MODE_64, 7, "\x48\x8b\x05\x11\x22\x33\x44"},
        {X86_MODE_32, 6, "\x81\xc0\x11\x22\x33\x44"},
        {X86_MODE_16, 3, "\xb8\x11\x22"},
        {X86_MODE_64, 10, "\x48\xb8\x11\x22\x33\x44\x55\x66\x77\x11"},
        {X86_MODE_64, 4, "\x0f\xba\xe0\x11"},
        {X86_MODE_64, 5, "\xc4\xe2\x71\x00\xc2"},
        {X86_MODE_64, 5, "\xe8\x11\x22\x33\x44"},
        {X86_MODE_32, 4, "\x66\xe8\x11\x22"},
    };

    (void)state;
    for (size_t index = 0; index < ARRAY_SIZE(samples); index++) {
        uint8_t bytes[BUFFER_SIZE] = {0};
        struct outcome outcome = {.bytes = bytes, .mode = samples[index].mode, .status = X86_DECODE_OK};

        memcpy(bytes, samples[index].bytes, samples[index].length);
        outcome.capstone_length = samples[index].length;
        outcome.length = samples[index].length;
        assert_int_equal(judge(&outcome), VERDICT_AGREE_VALID);
        outcome.length = samples[index].length + 1;
        assert_int_equal(judge(&outcome), VERDICT_UNEXPLAINED);
        outcome.length = samples[index].length - 1;
        assert_int_equal(judge(&outcome), VERDICT_UNEXPLAINED);
        outcome.length = 0;
        outcome.status = X86_DECODE_INVALID;
        assert_int_equal(judge(&outcome), VERDICT_UNEXPLAINED);
        outcome.status = X86_DECODE_TRUNCATED;
        assert_int_equal(judge(&outcome), VERDICT_UNEXPLAINED);
    }
    {
        /* Undefined for both: accepting it is an error. */
        static const uint8_t bytes[BUFFER_SIZE] = {0x0f, 0x04};
        struct outcome outcome = {.bytes = bytes, .mode = X86_MODE_64, .length = 2};

        assert_int_equal(judge(&outcome), VERDICT_UNEXPLAINED);
    }
}

/* A decoder that is wrong about an operand, its size or its address must be noticed by judge_operands(). */
static void test_comparison_sees_wrong_operands(void **state)
{
    /* add dword fs:[rbx + rcx*4 + 0x10], 0x11223344, and vmovdqu [rbx + 0x10], ymm1 */
    static const uint8_t samples[2][BUFFER_SIZE] = {
        {0x64, 0x81, 0x44, 0x8b, 0x10, 0x44, 0x33, 0x22, 0x11},
        {0xc5, 0xfe, 0x7f, 0x4b, 0x10},
    };
    struct comparison *comparison = *state;

    comparison_begin(comparison);
    for (size_t index = 0; index < ARRAY_SIZE(samples); index++) {
        const uint8_t *bytes = samples[index];
        const uint8_t *code = bytes;
        size_t code_size = BUFFER_SIZE;
        uint64_t address = 0;
        const cs_x86 *detail;
        struct x86_insn insn;
        struct x86_insn wrong;

        assert_int_equal(x86_decode(&insn, bytes, BUFFER_SIZE, X86_MODE_64), X86_DECODE_OK);
        assert_true(cs_disasm_iter(comparison->handles[X86_MODE_64], &code, &code_size, &address, comparison->insn));
        detail = &comparison->insn->detail->x86;
        assert_int_equal(judge_operands(&insn, bytes, detail), OPERAND_AGREE);
        wrong = insn;
        wrong.rm_size = 8;
        assert_int_equal(judge_operands(&wrong, bytes, detail), OPERAND_UNEXPLAINED);
        wrong = insn;
        wrong.memory.base = X86_GPR_R11;
        assert_int_equal(judge_operands(&wrong, bytes, detail), OPERAND_UNEXPLAINED);
        wrong = insn;
        wrong.memory.displacement++;
        assert_int_equal(judge_operands(&wrong, bytes, detail), OPERAND_UNEXPLAINED);
        wrong = insn;
        wrong.address_size = 4;
        assert_int_equal(judge_operands(&wrong, bytes, detail), OPERAND_UNEXPLAINED);
        wrong = insn;
        if (insn.source == X86_OPERAND_IMM) {
            wrong.immediate ^= 0x100;
        } else {
            wrong.reg ^= 1;
        }
        assert_int_equal(judge_operands(&wrong, bytes, detail), OPERAND_UNEXPLAINED);
        wrong = insn;
        wrong.memory.segment = X86_SEG_GS;
        if (insn.segment_override != X86_REG_NONE) {
            assert_int_equal(judge_operands(&wrong, bytes, detail), OPERAND_UNEXPLAINED);
        }
    }
    cs_free(comparison->insn, 1);
}

/* With fewer bytes than the instruction has, more are asked for; bytes behind it do not matter. */
static void test_truncation(void **state)
{
    unsigned long checked = 0;

    (void)state;
    for (unsigned round = 0; round < 60000; round++) {
        enum x86_mode mode = (enum x86_mode)(round % 3);
        uint8_t bytes[BUFFER_SIZE];
        struct x86_insn whole;
        struct x86_insn again;

        make_random_code(bytes, mode);
        if (x86_decode(&whole, bytes, X86_INSN_LENGTH_MAX, mode) != X86_DECODE_OK) {
            continue;
        }
        for (size_t count = 0; count < whole.length; count++) {
            assert_int_equal(x86_decode(&again, bytes, count, mode), X86_DECODE_TRUNCATED);
        }
        assert_int_equal(x86_decode(&again, bytes, whole.length, mode), X86_DECODE_OK);
        assert_int_equal(again.length, whole.length);
        assert_int_equal(again.op, whole.op);
        checked++;
    }
    assert_true(checked > 20000);
}

static void test_too_long(void **state)
{
    uint8_t bytes[BUFFER_SIZE];
    struct x86_insn insn;

    (void)state;
    memset(bytes, 0x66, sizeof(bytes));
    assert_int_equal(x86_decode(&insn, bytes, sizeof(bytes), X86_MODE_64), X86_DECODE_TOO_LONG);
    assert_int_equal(x86_decode(&insn, bytes, 15, X86_MODE_64), X86_DECODE_TOO_LONG);
    assert_int_equal(x86_decode(&insn, bytes, 14, X86_MODE_64), X86_DECODE_TRUNCATED);
    bytes[14] = 0x90;
    assert_int_equal(x86_decode(&insn, bytes, sizeof(bytes), X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(insn.length, 15);
    /* The immediate would end at byte 16. */
    bytes[14] = 0xb0;
    assert_int_equal(x86_decode(&insn, bytes, sizeof(bytes), X86_MODE_64), X86_DECODE_TOO_LONG);
}

/** One instruction with everything that is known about it. */
struct vector {
    const char *text; /* what it is, for the message */
    const char *bytes;
    uint8_t length;
    enum x86_mode mode;
    enum x86_op op;
    uint8_t operand_size;
    uint8_t address_size;
};

static const struct vector vectors[] = {
    {"cpuid", "\x0f\xa2", 2, X86_MODE_64, X86_OP_CPUID, 4, 8},
    {"rdmsr", "\x0f\x32", 2, X86_MODE_32, X86_OP_RDMSR, 4, 4},
    {"wrmsr", "\x0f\x30", 2, X86_MODE_16, X86_OP_WRMSR, 2, 2},
    {"hlt", "\xf4", 1, X86_MODE_64, X86_OP_HLT, 4, 8},
    {"vmmcall", "\x0f\x01\xd9", 3, X86_MODE_64, X86_OP_VMMCALL, 4, 8},
    {"vmcall", "\x0f\x01\xc1", 3, X86_MODE_64, X86_OP_VMCALL, 4, 8},
    {"vmrun eax", "\x67\x0f\x01\xd8", 4, X86_MODE_64, X86_OP_VMRUN, 4, 4},
    {"vmload", "\x0f\x01\xda", 3, X86_MODE_64, X86_OP_VMLOAD, 4, 8},
    {"vmsave", "\x0f\x01\xdb", 3, X86_MODE_64, X86_OP_VMSAVE, 4, 8},
    {"stgi", "\x0f\x01\xdc", 3, X86_MODE_64, X86_OP_STGI, 4, 8},
    {"clgi", "\x0f\x01\xdd", 3, X86_MODE_64, X86_OP_CLGI, 4, 8},
    {"skinit", "\x0f\x01\xde", 3, X86_MODE_64, X86_OP_SKINIT, 4, 8},
    {"invlpga", "\x0f\x01\xdf", 3, X86_MODE_64, X86_OP_INVLPGA, 4, 8},
    {"rdtsc", "\x0f\x31", 2, X86_MODE_64, X86_OP_RDTSC, 4, 8},
    {"rdtscp", "\x0f\x01\xf9", 3, X86_MODE_64, X86_OP_RDTSCP, 4, 8},
    {"rdpmc", "\x0f\x33", 2, X86_MODE_64, X86_OP_RDPMC, 4, 8},
    {"invlpg [rax]", "\x0f\x01\x38", 3, X86_MODE_64, X86_OP_INVLPG, 4, 8},
    {"invlpg [bx+si+1]", "\x0f\x01\x78\x01", 4, X86_MODE_16, X86_OP_INVLPG, 2, 2},
    {"invd", "\x0f\x08", 2, X86_MODE_64, X86_OP_INVD, 4, 8},
    {"wbinvd", "\x0f\x09", 2, X86_MODE_64, X86_OP_WBINVD, 4, 8},
    {"wbnoinvd", "\xf3\x0f\x09", 3, X86_MODE_64, X86_OP_WBINVD, 4, 8},
    {"xsetbv", "\x0f\x01\xd1", 3, X86_MODE_64, X86_OP_XSETBV, 4, 8},
    {"xgetbv", "\x0f\x01\xd0", 3, X86_MODE_64, X86_OP_XGETBV, 4, 8},
    {"monitor", "\x0f\x01\xc8", 3, X86_MODE_64, X86_OP_MONITOR, 4, 8},
    {"mwait", "\x0f\x01\xc9", 3, X86_MODE_64, X86_OP_MWAIT, 4, 8},
    {"monitorx", "\x0f\x01\xfa", 3, X86_MODE_64, X86_OP_MONITORX, 4, 8},
    {"mwaitx", "\x0f\x01\xfb", 3, X86_MODE_64, X86_OP_MWAITX, 4, 8},
    {"rdpru", "\x0f\x01\xfd", 3, X86_MODE_64, X86_OP_RDPRU, 4, 8},
    {"invlpgb", "\x0f\x01\xfe", 3, X86_MODE_64, X86_OP_INVLPGB, 4, 8},
    {"tlbsync", "\x0f\x01\xff", 3, X86_MODE_64, X86_OP_TLBSYNC, 4, 8},
    {"mov cr0, eax", "\x0f\x22\xc0", 3, X86_MODE_32, X86_OP_MOV_TO_CR, 4, 4},
    {"mov cr3, rax; mod is not looked at", "\x0f\x22\x1c", 3, X86_MODE_64, X86_OP_MOV_TO_CR, 8, 8},
    {"mov eax, cr0 in 16-bit code", "\x0f\x20\xc0", 3, X86_MODE_16, X86_OP_MOV_FROM_CR, 4, 2},
    {"mov r8, cr8", "\x45\x0f\x20\xc0", 4, X86_MODE_64, X86_OP_MOV_FROM_CR, 8, 8},
    {"mov dr7, rax", "\x0f\x23\xf8", 3, X86_MODE_64, X86_OP_MOV_TO_DR, 8, 8},
    {"mov rax, dr6", "\x0f\x21\xf0", 3, X86_MODE_64, X86_OP_MOV_FROM_DR, 8, 8},
    {"clts", "\x0f\x06", 2, X86_MODE_64, X86_OP_CLTS, 4, 8},
    {"lmsw ax", "\x0f\x01\xf0", 3, X86_MODE_32, X86_OP_LMSW, 4, 4},
    {"lmsw [eax]", "\x0f\x01\x30", 3, X86_MODE_32, X86_OP_LMSW, 4, 4},
    {"smsw eax", "\x0f\x01\xe0", 3, X86_MODE_32, X86_OP_SMSW, 4, 4},
    {"lgdt [rip]", "\x0f\x01\x15\x00\x00\x00\x00", 7, X86_MODE_64, X86_OP_LGDT, 4, 8},
    {"sidt [rax]", "\x0f\x01\x08", 3, X86_MODE_64, X86_OP_SIDT, 4, 8},
    {"ltr ax", "\x0f\x00\xd8", 3, X86_MODE_64, X86_OP_LTR, 4, 8},
    {"pause", "\xf3\x90", 2, X86_MODE_64, X86_OP_PAUSE, 4, 8},
    {"nop", "\x90", 1, X86_MODE_64, X86_OP_NOP, 4, 8},
    {"xchg r8, rax", "\x49\x90", 2, X86_MODE_64, X86_OP_XCHG, 8, 8},
    {"pushf", "\x9c", 1, X86_MODE_64, X86_OP_PUSHF, 8, 8},
    {"pushfw", "\x66\x9c", 2, X86_MODE_64, X86_OP_PUSHF, 2, 8},
    {"popf", "\x9d", 1, X86_MODE_32, X86_OP_POPF, 4, 4},
    {"iretq", "\x48\xcf", 2, X86_MODE_64, X86_OP_IRET, 8, 8},
    {"int 0x80", "\xcd\x80", 2, X86_MODE_32, X86_OP_INT, 4, 4},
    {"int3", "\xcc", 1, X86_MODE_32, X86_OP_INT3, 4, 4},
    {"icebp", "\xf1", 1, X86_MODE_32, X86_OP_ICEBP, 4, 4},
    {"rsm", "\x0f\xaa", 2, X86_MODE_16, X86_OP_RSM, 2, 2},
    {"vmxon [rax]", "\xf3\x0f\xc7\x30", 4, X86_MODE_64, X86_OP_VMXON, 4, 8},
    {"vmclear [rax]", "\x66\x0f\xc7\x30", 4, X86_MODE_64, X86_OP_VMCLEAR, 2, 8},
    {"vmptrld [rax]", "\x0f\xc7\x30", 3, X86_MODE_64, X86_OP_VMPTRLD, 4, 8},
    {"vmptrst [rax]", "\x0f\xc7\x38", 3, X86_MODE_64, X86_OP_VMPTRST, 4, 8},
    {"vmread rax, rcx", "\x0f\x78\xc8", 3, X86_MODE_64, X86_OP_VMREAD, 8, 8},
    {"vmwrite rcx, rax", "\x0f\x79\xc8", 3, X86_MODE_64, X86_OP_VMWRITE, 8, 8},
    {"vmxoff", "\x0f\x01\xc4", 3, X86_MODE_64, X86_OP_VMXOFF, 4, 8},
    {"invept rax, [rcx]", "\x66\x0f\x38\x80\x01", 5, X86_MODE_64, X86_OP_INVEPT, 8, 8},
    {"invvpid rax, [rcx]", "\x66\x0f\x38\x81\x01", 5, X86_MODE_64, X86_OP_INVVPID, 8, 8},
    {"invpcid rax, [rcx]", "\x66\x0f\x38\x82\x01", 5, X86_MODE_64, X86_OP_INVPCID, 8, 8},
    {"cmpxchg8b [rax]", "\xf0\x0f\xc7\x08", 4, X86_MODE_64, X86_OP_CMPXCHG8B, 4, 8},
    {"rdrand eax", "\x0f\xc7\xf0", 3, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"insd", "\x6d", 1, X86_MODE_64, X86_OP_INS, 4, 8},
    {"rep insd with REX.W", "\xf3\x48\x6d", 3, X86_MODE_64, X86_OP_INS, 4, 8},
    {"outsb", "\x6e", 1, X86_MODE_16, X86_OP_OUTS, 1, 2},
    {"in eax, dx with REX.W", "\x48\xed", 2, X86_MODE_64, X86_OP_IN, 4, 8},
    {"REX is void before 66: mov ax, imm16", "\x48\x66\xb8\x11\x22", 5, X86_MODE_64, X86_OP_MOV, 2, 8},
    {"66 before REX.W: mov rax, imm64", "\x66\x48\xb8\x11\x22\x33\x44\x55\x66\x77\x11", 11, X86_MODE_64, X86_OP_MOV, 8,
     8},
    {"the last of two REX counts: mov eax, imm32", "\x48\x40\xb8\x11\x22\x33\x44", 7, X86_MODE_64, X86_OP_MOV, 4, 8},
    {"mov al, moffs64", "\xa0\x11\x22\x33\x44\x55\x66\x77\x11", 9, X86_MODE_64, X86_OP_MOV, 1, 8},
    {"mov eax, moffs32", "\x67\xa1\x11\x22\x33\x44", 6, X86_MODE_64, X86_OP_MOV, 4, 4},
    {"mov moffs16, ax", "\xa3\x11\x22", 3, X86_MODE_16, X86_OP_MOV, 2, 2},
    {"enter", "\xc8\x11\x22\x03", 4, X86_MODE_64, X86_OP_OTHER, 8, 8},
    {"call far 16:32", "\x9a\x11\x22\x33\x44\x55\x66", 7, X86_MODE_32, X86_OP_OTHER, 4, 4},
    {"jmp far 16:16", "\xea\x11\x22\x33\x44", 5, X86_MODE_16, X86_OP_OTHER, 2, 2},
    {"test dword [rax], imm32", "\xf7\x00\x11\x22\x33\x44", 6, X86_MODE_64, X86_OP_TEST, 4, 8},
    {"test byte [rax], imm8 by its alias", "\xf6\x08\x11", 3, X86_MODE_64, X86_OP_TEST, 1, 8},
    {"not dword [rax]", "\xf7\x10", 2, X86_MODE_64, X86_OP_NOT, 4, 8},
    {"push [rax]", "\xff\x30", 2, X86_MODE_64, X86_OP_PUSH, 8, 8},
    {"push [rax] of 16 bits", "\x66\xff\x30", 3, X86_MODE_64, X86_OP_PUSH, 2, 8},
    {"pop [eax]", "\x8f\x00", 2, X86_MODE_32, X86_OP_POP, 4, 4},
    {"sar dword [rax], cl", "\xd3\x38", 2, X86_MODE_64, X86_OP_SAR, 4, 8},
    {"sal, the alias of shl", "\xc0\x30\x03", 3, X86_MODE_64, X86_OP_SHL, 1, 8},
    {"imul eax, [rax], 0x11", "\x6b\x00\x11", 3, X86_MODE_64, X86_OP_IMUL, 4, 8},
    {"movups xmm0, [rax]", "\x0f\x10\x00", 3, X86_MODE_64, X86_OP_MOV_VECTOR, 4, 8},
    {"movaps xmm0, [rax]", "\x0f\x28\x00", 3, X86_MODE_64, X86_OP_MOV_VECTOR_ALIGNED, 4, 8},
    {"movaps xmm0, xmm0: no memory", "\x0f\x28\xc0", 3, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"vmovntdq [rax], ymm0", "\xc5\xfd\xe7\x00", 4, X86_MODE_64, X86_OP_MOV_VECTOR_ALIGNED, 4, 8},
    {"vmovhps xmm0, xmm15, [rax]", "\xc5\x80\x16\x00", 4, X86_MODE_64, X86_OP_MOV_VECTOR_HIGH, 4, 8},
    {"movq mm0, [rax]: not an operation here", "\x0f\x6f\x00", 3, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"mul dword [rax]", "\xf7\x20", 2, X86_MODE_64, X86_OP_MUL, 4, 8},
    {"near call with 66 has 32 bits", "\x66\xe8\x11\x22\x33\x44", 6, X86_MODE_64, X86_OP_OTHER, 8, 8},
    {"xbegin", "\xc7\xf8\x11\x22\x33\x44", 6, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"extrq xmm0, 1, 2", "\x66\x0f\x78\xc0\x01\x02", 6, X86_MODE_64, X86_OP_OTHER, 8, 8},
    {"3DNow! pfadd", "\x0f\x0f\xc1\x9e", 4, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"vzeroupper", "\xc5\xf8\x77", 3, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"vpalignr", "\xc4\xe3\x71\x0f\xc2\x05", 6, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"EVEX with disp8", "\x62\xf1\x7c\x48\x28\x40\x01", 7, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"XOP with imm32 (bextr)", "\x8f\xea\x78\x10\xc0\x11\x22\x33\x44", 9, X86_MODE_64, X86_OP_OTHER, 4, 8},
    {"les eax, [eax]", "\xc4\x00", 2, X86_MODE_32, X86_OP_OTHER, 4, 4},
    {"bound eax, [eax]", "\x62\x00", 2, X86_MODE_32, X86_OP_OTHER, 4, 4},
    {"movsxd rax, [rcx]", "\x48\x63\x01", 3, X86_MODE_64, X86_OP_MOVSX, 8, 8},
    {"arpl [ecx], ax", "\x63\x01", 2, X86_MODE_32, X86_OP_OTHER, 4, 4},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_SIZE(vectors); index++) {
        const struct vector *vector = &vectors[index];
        struct x86_insn insn;
        enum x86_decode_status status = x86_decode(&insn, (const uint8_t *)vector->bytes, vector->length, vector->mode);

        if (status != X86_DECODE_OK || insn.length != vector->length || insn.op != vector->op ||
            insn.operand_size != vector->operand_size || insn.address_size != vector->address_size) {
            fail_msg("%s: status %d, length %u, op %d, sizes %u and %u", vector->text, (int)status, insn.length,
                     (int)insn.op, insn.operand_size, insn.address_size);
        }
    }
}

static void test_invalid(void **state)
{
    static const struct {
        const char *text;
        const char *bytes;
        uint8_t byte_count;
        enum x86_mode mode;
    } samples[] = {
        {"push es in 64-bit mode", "\x06", 1, X86_MODE_64},
        {"group 1 by its alias 82 in 64-bit mode", "\x82\xc0\x01", 3, X86_MODE_64},
        {"far call in 64-bit mode", "\x9a\x11\x22\x33\x44\x55\x66", 7, X86_MODE_64},
        {"lea with a register", "\x8d\xc0", 2, X86_MODE_64},
        {"ff /7", "\xff\xf8", 2, X86_MODE_64},
        {"far jmp with a register", "\xff\xe8", 2, X86_MODE_64},
        {"fe /2", "\xfe\x10", 2, X86_MODE_64},
        {"XOP map 11", "\x8f\xeb\x78\x10\xc0\x11", 6, X86_MODE_32},
        {"c6 /1", "\xc6\x08\x00", 3, X86_MODE_64},
        {"c7 /7 that is no xbegin", "\xc7\xf9\x00\x00\x00\x00", 6, X86_MODE_64},
        {"0f ba /0", "\x0f\xba\x00\x01", 4, X86_MODE_64},
        {"0f 04", "\x0f\x04", 2, X86_MODE_64},
        {"lock mov", "\xf0\x89\x00", 3, X86_MODE_64},
        {"lock add with a register", "\xf0\x01\xc0", 3, X86_MODE_64},
        {"mov cr1", "\x0f\x20\xc8", 3, X86_MODE_64},
        {"mov dr8", "\x44\x0f\x21\xc0", 4, X86_MODE_64},
        {"mov to cs", "\x8e\xc8", 2, X86_MODE_64},
        {"mov from segment 6", "\x8c\xf0", 2, X86_MODE_64},
        {"66 before VEX", "\x66\xc5\xf8\x77", 4, X86_MODE_64},
        {"vmovups with a vvvv", "\xc5\xf0\x10\x00", 4, X86_MODE_64},
        {"vmovlps of 32 bytes", "\xc5\xf4\x12\x00", 4, X86_MODE_64},
        {"vmovd of 32 bytes", "\xc5\xfd\x6e\x00", 4, X86_MODE_64},
        {"lock movups", "\xf0\x0f\x10\x00", 4, X86_MODE_64},
        {"lock shl", "\xf0\xd1\x20", 3, X86_MODE_64},
        {"REX before VEX", "\x40\xc5\xf8\x77", 4, X86_MODE_64},
        {"VEX map 0", "\xc4\xe0\x71\x0f\xc2", 5, X86_MODE_64},
        {"EVEX with its fixed bit clear", "\x62\xf1\x78\x48\x28\xc0", 6, X86_MODE_64},
        {"jmpe", "\x0f\xb8\x00\x00\x00\x00", 6, X86_MODE_64},
    };

    (void)state;
    for (size_t index = 0; index < ARRAY_SIZE(samples); index++) {
        struct x86_insn insn;
        enum x86_decode_status status =
            x86_decode(&insn, (const uint8_t *)samples[index].bytes, samples[index].byte_count, samples[index].mode);

        if (status != X86_DECODE_INVALID) {
            fail_msg("%s: status %d", samples[index].text, (int)status);
        }
    }
}

static void test_fields(void **state)
{
    struct x86_insn insn;

    (void)state;
    /* mov dword fs:[r12 + r13*4 - 2], 0x80000001 */
    assert_int_equal(x86_decode(&insn, (const uint8_t *)"\x64\x43\xc7\x44\xac\xfe\x01\x00\x00\x80", 10, X86_MODE_64),
                     X86_DECODE_OK);
    assert_int_equal(insn.op, X86_OP_MOV);
    assert_int_equal(insn.destination, X86_OPERAND_RM);
    assert_int_equal(insn.source, X86_OPERAND_IMM);
    assert_int_equal(insn.memory.segment, X86_SEG_FS);
    assert_int_equal(insn.memory.base, X86_GPR_R12);
    assert_int_equal(insn.memory.index, X86_GPR_R13);
    assert_int_equal(insn.memory.scale_shift, 2);
    assert_int_equal(insn.memory.displacement, -2);
    assert_int_equal(insn.immediate, (int64_t)(int32_t)0x80000001);
    assert_int_equal(insn.rm_size, 4);
    /* In 64-bit mode the DS prefix does nothing, not even to an FS before it. */
    assert_int_equal(x86_decode(&insn, (const uint8_t *)"\x64\x3e\x8b\x45\x00", 5, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(insn.memory.segment, X86_SEG_FS);
    assert_int_equal(x86_decode(&insn, (const uint8_t *)"\x3e\x8b\x45\x00", 4, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(insn.memory.segment, X86_SEG_SS);
    assert_int_equal(x86_decode(&insn, (const uint8_t *)"\x3e\x8b\x45\x00", 4, X86_MODE_32), X86_DECODE_OK);
    assert_int_equal(insn.memory.segment, X86_SEG_DS);
    /* R13 as a base is not RBP: the default segment is DS. */
    assert_int_equal(x86_decode(&insn, (const uint8_t *)"\x41\x8b\x45\x00", 4, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(insn.memory.segment, X86_SEG_DS);
    /* Of F2 and F3 the last one counts. */
    assert_int_equal(x86_decode(&insn, (const uint8_t *)"\xf2\xf3\xa4", 3, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(insn.prefixes, X86_PREFIX_REP);
    /* LOCK MOV CR0 names CR8. */
    assert_int_equal(x86_decode(&insn, (const uint8_t *)"\xf0\x0f\x22\xc0", 4, X86_MODE_32), X86_DECODE_OK);
    assert_int_equal(insn.reg, 8);
}

static void test_length_of(void **state)
{
    const uint8_t *cpuid = (const uint8_t *)"\x0f\xa2";
    const uint8_t *prefixed_cpuid = (const uint8_t *)"\x66\x48\x0f\xa2";

    (void)state;
    assert_int_equal(x86_insn_length_of(X86_OP_CPUID, cpuid, 2, X86_MODE_64), 2);
    assert_int_equal(x86_insn_length_of(X86_OP_CPUID, cpuid, 1, X86_MODE_64), 0);
    assert_int_equal(x86_insn_length_of(X86_OP_CPUID, cpuid, 0, X86_MODE_64), 0);
    assert_int_equal(x86_insn_length_of(X86_OP_RDMSR, cpuid, 2, X86_MODE_64), 0);
    assert_int_equal(x86_insn_length_of(X86_OP_CPUID, prefixed_cpuid, 4, X86_MODE_64), 4);
    assert_int_equal(x86_insn_length_of(X86_OP_CPUID, prefixed_cpuid, 3, X86_MODE_64), 0);
    /* In 32-bit code that is DEC EAX. */
    assert_int_equal(x86_insn_length_of(X86_OP_CPUID, prefixed_cpuid, 4, X86_MODE_32), 0);
    /* Every vector, with the operation it has and with another one. */
    for (size_t index = 0; index < ARRAY_SIZE(vectors); index++) {
        const struct vector *vector = &vectors[index];
        const uint8_t *bytes = (const uint8_t *)vector->bytes;
        enum x86_op other = vector->op == X86_OP_HLT ? X86_OP_CPUID : X86_OP_HLT;

        assert_int_equal(x86_insn_length_of(vector->op, bytes, vector->length, vector->mode), vector->length);
        assert_int_equal(x86_insn_length_of(other, bytes, vector->length, vector->mode), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comparison_sees_faults),
        cmocka_unit_test(test_comparison_sees_wrong_operands),
        cmocka_unit_test(test_all_opcodes),
        cmocka_unit_test(test_vector_opcodes),
        cmocka_unit_test(test_random_code),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_length_of),
    };

    return cmocka_run_group_tests(tests, comparison_open, comparison_close);
}
