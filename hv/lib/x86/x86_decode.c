/* SPDX-License-Identifier: MIT */
/*
 * Turns instruction bytes into a struct x86_insn. Knows how prefixes, opcode maps, ModRM, displacements and
 * immediates follow each other; which opcode has what is in x86_tables.c, and what an instruction does is in
 * x86_execute.c. Reads no guest memory: the caller brings the bytes.
 */
#include "hv/lib/x86/x86_decode.h"

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_tables.h"

/** The bytes of one instruction while it is decoded. */
struct reader {
    const uint8_t *bytes;
    size_t byte_count;
    size_t position;
};

/* Of 0 bytes the value is 0. */
static int64_t sign_extend(uint64_t value, unsigned byte_count)
{
    unsigned shift = 64 - 8 * byte_count;

    return byte_count == 0 ? 0 : (int64_t)(value << shift) >> shift;
}

/* Takes up to 8 bytes, little-endian. Nothing is taken on failure. */
static enum x86_decode_status read_value(struct reader *reader, unsigned byte_count, uint64_t *value)
{
    uint64_t result = 0;

    /* Asked first: when the instruction is too long already, more bytes cannot help. */
    if (reader->position + byte_count > X86_INSN_LENGTH_MAX) {
        return X86_DECODE_TOO_LONG;
    }
    if (reader->position + byte_count > reader->byte_count) {
        return X86_DECODE_TRUNCATED;
    }
    for (unsigned index = 0; index < byte_count; index++) {
        result |= (uint64_t)reader->bytes[reader->position + index] << (8 * index);
    }
    reader->position += byte_count;
    *value = result;
    return X86_DECODE_OK;
}

static enum x86_decode_status read_byte(struct reader *reader, uint8_t *value)
{
    uint64_t result = 0;
    enum x86_decode_status status = read_value(reader, 1, &result);

    *value = (uint8_t)result;
    return status;
}

/* The byte after next, without taking it. */
static enum x86_decode_status peek_byte(const struct reader *reader, uint8_t *value)
{
    struct reader copy = *reader;

    return read_byte(&copy, value);
}

static void set_segment_override(struct x86_insn *insn, uint8_t segment)
{
    /* In 64-bit mode the other overrides do nothing, not even undo an earlier FS or GS. */
    if (insn->mode != X86_MODE_64 || segment >= X86_SEG_FS) {
        insn->segment_override = segment;
    }
}

/* Notes one legacy prefix; false if the byte is none. */
static bool take_legacy_prefix(struct x86_insn *insn, uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        set_segment_override(insn, (uint8_t)((byte >> 3) & 3));
        return true;
    case 0x64:
    case 0x65:
        set_segment_override(insn, (uint8_t)(byte & 7));
        return true;
    case 0x66:
        insn->prefixes |= X86_PREFIX_OPERAND_SIZE;
        return true;
    case 0x67:
        insn->prefixes |= X86_PREFIX_ADDRESS_SIZE;
        return true;
    case 0xf0:
        insn->prefixes |= X86_PREFIX_LOCK;
        return true;
    case 0xf2:
        insn->prefixes = (uint8_t)((insn->prefixes & ~X86_PREFIX_REP) | X86_PREFIX_REPNE);
        return true;
    case 0xf3:
        insn->prefixes = (uint8_t)((insn->prefixes & ~X86_PREFIX_REPNE) | X86_PREFIX_REP);
        return true;
    default:
        return false;
    }
}

/* Takes all prefixes and the first byte behind them. */
static enum x86_decode_status read_prefixes(struct reader *reader, struct x86_insn *insn, uint8_t *opcode)
{
    bool is_prefix = true;

    while (is_prefix) {
        enum x86_decode_status status = read_byte(reader, opcode);

        if (status != X86_DECODE_OK) {
            return status;
        }
        if (insn->mode == X86_MODE_64 && (*opcode & 0xf0) == 0x40) {
            insn->prefixes |= X86_PREFIX_REX;
            insn->rex = *opcode & 0xf;
        } else if (take_legacy_prefix(insn, *opcode)) {
            /* A REX that another prefix follows is void. */
            insn->prefixes &= (uint8_t)~X86_PREFIX_REX;
            insn->rex = 0;
        } else {
            is_prefix = false;
        }
    }
    return X86_DECODE_OK;
}

static void set_address_size(struct x86_insn *insn)
{
    bool is_toggled = (insn->prefixes & X86_PREFIX_ADDRESS_SIZE) != 0;

    switch (insn->mode) {
    case X86_MODE_16:
        insn->address_size = is_toggled ? 4 : 2;
        break;
    case X86_MODE_32:
        insn->address_size = is_toggled ? 2 : 4;
        break;
    case X86_MODE_64:
        insn->address_size = is_toggled ? 4 : 8;
        break;
    }
}

static uint8_t operand_size_of(const struct x86_insn *insn, uint16_t layout)
{
    bool is_toggled = (insn->prefixes & X86_PREFIX_OPERAND_SIZE) != 0;
    bool is_64 = insn->mode == X86_MODE_64;

    if ((layout & X86_LAYOUT_BYTE) != 0) {
        return 1;
    }
    if (is_64 && ((layout & X86_LAYOUT_BRANCH) != 0 || (insn->rex & X86_REX_W) != 0)) {
        return 8;
    }
    if (is_64 && (layout & X86_LAYOUT_STACK) != 0) {
        return is_toggled ? 2 : 8;
    }
    return is_toggled == (insn->mode == X86_MODE_16) ? 4 : 2;
}

static enum x86_decode_status read_displacement(struct reader *reader, struct x86_insn *insn, uint8_t size)
{
    uint64_t value = 0;
    enum x86_decode_status status = read_value(reader, size, &value);

    if (status == X86_DECODE_OK) {
        insn->displacement_size = size;
        insn->memory.displacement = sign_extend(value, size);
    }
    return status;
}

/* The memory operand of a ModRM with 16-bit addresses. */
static enum x86_decode_status read_memory_16(struct reader *reader, struct x86_insn *insn)
{
    static const uint8_t bases[8] = {
        X86_GPR_RBX, X86_GPR_RBX, X86_GPR_RBP, X86_GPR_RBP, X86_GPR_RSI, X86_GPR_RDI, X86_GPR_RBP, X86_GPR_RBX,
    };
    static const uint8_t indexes[8] = {
        X86_GPR_RSI, X86_GPR_RDI, X86_GPR_RSI, X86_GPR_RDI, X86_REG_NONE, X86_REG_NONE, X86_REG_NONE, X86_REG_NONE,
    };
    struct x86_memory_operand *memory = &insn->memory;
    unsigned mod = insn->modrm >> 6;
    unsigned rm = insn->modrm & 7;

    if (mod == 0 && rm == 6) {
        return read_displacement(reader, insn, 2);
    }
    memory->base = bases[rm];
    memory->index = indexes[rm];
    if (memory->base == X86_GPR_RBP) {
        memory->segment = X86_SEG_SS;
    }
    return read_displacement(reader, insn, (uint8_t)mod);
}

/* The memory operand of a ModRM with 32-bit or 64-bit addresses. */
static enum x86_decode_status read_memory_32(struct reader *reader, struct x86_insn *insn)
{
    struct x86_memory_operand *memory = &insn->memory;
    unsigned mod = insn->modrm >> 6;
    unsigned base = insn->modrm & 7;
    uint8_t displacement_size = mod == 2 ? 4 : (uint8_t)mod;

    if (base == 4) {
        enum x86_decode_status status = read_byte(reader, &insn->sib);
        uint8_t index;

        if (status != X86_DECODE_OK) {
            return status;
        }
        insn->has_sib = true;
        base = insn->sib & 7;
        index = (uint8_t)(((insn->sib >> 3) & 7) | ((insn->rex & X86_REX_X) != 0 ? 8 : 0));
        /* RSP cannot be an index; R12 can. */
        if (index != X86_GPR_RSP) {
            memory->index = index;
            memory->scale_shift = insn->sib >> 6;
        }
        if (mod == 0 && base == 5) {
            return read_displacement(reader, insn, 4);
        }
    } else if (mod == 0 && base == 5) {
        memory->is_rip_relative = insn->mode == X86_MODE_64;
        return read_displacement(reader, insn, 4);
    }
    memory->base = (uint8_t)(base | ((insn->rex & X86_REX_B) != 0 ? 8 : 0));
    if (memory->base == X86_GPR_RSP || memory->base == X86_GPR_RBP) {
        memory->segment = X86_SEG_SS;
    }
    return read_displacement(reader, insn, displacement_size);
}

/* Takes ModRM and what belongs to it. `is_register`: ModRM.mod does not count. */
static enum x86_decode_status read_modrm(struct reader *reader, struct x86_insn *insn, bool is_register)
{
    enum x86_decode_status status = read_byte(reader, &insn->modrm);

    if (status != X86_DECODE_OK) {
        return status;
    }
    insn->has_modrm = true;
    insn->reg = (uint8_t)(((insn->modrm >> 3) & 7) | ((insn->rex & X86_REX_R) != 0 ? 8 : 0));
    if (is_register || (insn->modrm & 0xc0) == 0xc0) {
        insn->rm = (uint8_t)((insn->modrm & 7) | ((insn->rex & X86_REX_B) != 0 ? 8 : 0));
        return X86_DECODE_OK;
    }
    insn->has_memory = true;
    status = insn->address_size == 2 ? read_memory_16(reader, insn) : read_memory_32(reader, insn);
    if (insn->segment_override != X86_REG_NONE) {
        insn->memory.segment = insn->segment_override;
    }
    return status;
}

static enum x86_decode_status read_immediate(struct reader *reader, struct x86_insn *insn, uint8_t size)
{
    uint64_t value = 0;
    enum x86_decode_status status = read_value(reader, size, &value);

    if (status == X86_DECODE_OK) {
        insn->immediate_size = size;
        insn->immediate = sign_extend(value, size);
    }
    return status;
}

static enum x86_decode_status read_immediate2(struct reader *reader, struct x86_insn *insn, uint8_t size)
{
    uint64_t value = 0;
    enum x86_decode_status status = read_value(reader, size, &value);

    if (status == X86_DECODE_OK) {
        insn->immediate2_size = size;
        insn->immediate2 = (uint16_t)value;
    }
    return status;
}

static enum x86_decode_status read_moffs(struct reader *reader, struct x86_insn *insn)
{
    uint64_t value = 0;
    enum x86_decode_status status = read_value(reader, insn->address_size, &value);

    if (status == X86_DECODE_OK) {
        insn->has_memory = true;
        insn->displacement_size = insn->address_size;
        insn->memory.displacement = (int64_t)value;
        if (insn->segment_override != X86_REG_NONE) {
            insn->memory.segment = insn->segment_override;
        }
    }
    return status;
}

/* Takes everything behind ModRM that the layout asks for. */
static enum x86_decode_status read_trailer(struct reader *reader, struct x86_insn *insn, uint16_t layout)
{
    uint8_t size = insn->operand_size;
    enum x86_decode_status status = X86_DECODE_OK;

    if ((layout & X86_LAYOUT_MOFFS) != 0) {
        return read_moffs(reader, insn);
    }
    if ((layout & X86_LAYOUT_IMMZ) != 0) {
        return read_immediate(reader, insn, size == 8 ? 4 : size);
    }
    if ((layout & X86_LAYOUT_IMMV) != 0) {
        return read_immediate(reader, insn, size);
    }
    if ((layout & X86_LAYOUT_FAR) != 0) {
        status = read_immediate(reader, insn, size);
        return status == X86_DECODE_OK ? read_immediate2(reader, insn, 2) : status;
    }
    if ((layout & X86_LAYOUT_IMM16) != 0) {
        status = read_immediate(reader, insn, 2);
        if (status == X86_DECODE_OK && (layout & X86_LAYOUT_IMM8) != 0) {
            status = read_immediate2(reader, insn, 1);
        }
        return status;
    }
    if ((layout & X86_LAYOUT_IMM8) != 0) {
        status = read_immediate(reader, insn, 1);
    }
    return status;
}

/* Replaces operation and layout by what ModRM.reg selects; false if that is nothing. */
static bool apply_group(struct x86_insn *insn, uint16_t *layout)
{
    const struct x86_group *group = x86_table_find_group((uint8_t)insn->map, insn->opcode);
    unsigned selector = (insn->modrm >> 3) & 7;
    unsigned valid;

    if (group == NULL) {
        return false;
    }
    valid = insn->has_memory ? group->memory_valid : group->register_valid;
    if (((valid >> selector) & 1) == 0) {
        return false;
    }
    insn->op = (enum x86_op)group->op[selector];
    if (insn->map == X86_MAP_0F && insn->opcode == 0x01 && !insn->has_memory) {
        insn->op = (enum x86_op)x86_table_0f01(insn->modrm);
    } else if (insn->map == X86_MAP_0F && insn->opcode == 0xc7) {
        if (!insn->has_memory) {
            insn->op = X86_OP_OTHER; /* RDRAND, RDSEED, RDPID */
        } else if (insn->op == X86_OP_VMPTRLD && (insn->prefixes & X86_PREFIX_REP) != 0) {
            insn->op = X86_OP_VMXON;
        } else if (insn->op == X86_OP_VMPTRLD && (insn->prefixes & X86_PREFIX_OPERAND_SIZE) != 0) {
            insn->op = X86_OP_VMCLEAR;
        }
    } else if (insn->map == X86_MAP_ONE_BYTE && (insn->opcode & 0xfe) == 0xf6 && insn->op == X86_OP_TEST) {
        *layout |= insn->opcode == 0xf6 ? X86_LAYOUT_IMM8 : X86_LAYOUT_IMMZ;
        insn->source = X86_OPERAND_IMM;
    } else if (insn->map == X86_MAP_ONE_BYTE && (insn->opcode & 0xfe) == 0xc6 && selector == 7) {
        return insn->modrm == 0xf8; /* XABORT, XBEGIN */
    }
    return true;
}

/* Control registers 0, 2, 3, 4 and 8 and debug registers 0 to 7 exist. */
static bool adjust_special_register(struct x86_insn *insn)
{
    bool is_control = insn->op == X86_OP_MOV_FROM_CR || insn->op == X86_OP_MOV_TO_CR;

    insn->operand_size = insn->mode == X86_MODE_64 ? 8 : 4;
    if (!is_control) {
        return insn->reg < 8;
    }
    /* AMD processors: LOCK MOV CR0 is CR8, so that 32-bit code reaches it. */
    if ((insn->prefixes & X86_PREFIX_LOCK) != 0 && insn->reg == 0) {
        insn->reg = 8;
    }
    return insn->reg == 0 || (insn->reg >= 2 && insn->reg <= 4) || insn->reg == 8;
}

/* What the tables cannot say of the one-byte map. */
static bool adjust_one_byte(struct x86_insn *insn)
{
    switch (insn->opcode) {
    case 0x63:
        if (insn->mode != X86_MODE_64) {
            insn->op = X86_OP_OTHER; /* ARPL */
        } else if (insn->operand_size == 2) {
            insn->rm_size = 2;
        }
        return true;
    case 0x8c:
    case 0x8e:
        insn->reg &= 7; /* REX.R does not extend segment registers */
        insn->rm_size = insn->opcode == 0x8c && insn->has_memory ? 2 : 0;
        return true;
    case 0x6d:
    case 0x6f:
    case 0xe5:
    case 0xe7:
    case 0xed:
    case 0xef:
        /* Ports are at most 32 bits wide; REX.W does nothing. */
        if (insn->operand_size == 8) {
            insn->operand_size = 4;
        }
        return true;
    case 0xd0:
    case 0xd1:
        insn->immediate = 1;
        return true;
    case 0xff:
        if (insn->op == X86_OP_PUSH) {
            insn->operand_size = operand_size_of(insn, X86_LAYOUT_STACK);
            insn->source = X86_OPERAND_RM;
            insn->destination = X86_OPERAND_NONE;
        }
        return true;
    case 0x90:
        /* With REX.B it exchanges R8. */
        if (insn->rm == X86_GPR_RAX) {
            insn->op = (insn->prefixes & X86_PREFIX_REP) != 0 ? X86_OP_PAUSE : X86_OP_NOP;
            insn->destination = X86_OPERAND_NONE;
            insn->source = X86_OPERAND_NONE;
        }
        return true;
    default:
        return true;
    }
}

/* What the tables cannot say of the map 0F; false if the instruction is invalid after all. */
static bool adjust_0f(struct x86_insn *insn, uint16_t *layout)
{
    unsigned simd_prefixes = insn->prefixes & (X86_PREFIX_OPERAND_SIZE | X86_PREFIX_REP | X86_PREFIX_REPNE);

    switch (insn->opcode) {
    case 0x20:
    case 0x21:
    case 0x22:
    case 0x23:
        return adjust_special_register(insn);
    case 0x78:
    case 0x79:
        if ((simd_prefixes & X86_PREFIX_REP) != 0) {
            return false;
        }
        if (simd_prefixes != 0) {
            /* EXTRQ and INSERTQ; the forms under 78 carry two immediates. */
            insn->op = X86_OP_OTHER;
            *layout |= insn->opcode == 0x78 ? X86_LAYOUT_IMM8 : 0;
            return !insn->has_memory;
        }
        return true;
    case 0xb8:
        return (simd_prefixes & X86_PREFIX_REP) != 0;
    case 0xc3:
        /* MOVNTI has no 16-bit form. */
        insn->operand_size = insn->operand_size == 8 ? 8 : 4;
        return simd_prefixes == 0;
    case 0xc7:
        if (insn->op == X86_OP_CMPXCHG8B) {
            insn->operand_size = insn->operand_size == 8 ? 8 : 4;
            insn->rm_size = (uint8_t)(2 * insn->operand_size);
        } else {
            insn->destination = X86_OPERAND_NONE;
        }
        return true;
    default:
        return true;
    }
}

/* The common part of the maps with a table row per opcode. */
static enum x86_decode_status decode_row(struct reader *reader, struct x86_insn *insn, const struct x86_opcode *row)
{
    uint16_t layout = row->layout;
    bool is_valid;
    enum x86_decode_status status;

    if ((layout & X86_LAYOUT_INVALID) != 0 || ((layout & X86_LAYOUT_NOT_64) != 0 && insn->mode == X86_MODE_64)) {
        return X86_DECODE_INVALID;
    }
    insn->op = (enum x86_op)row->op;
    insn->destination = (enum x86_operand)row->destination;
    insn->source = (enum x86_operand)row->source;
    insn->operand_size = operand_size_of(insn, layout);
    insn->rm_size = row->rm_size;
    if ((layout & X86_LAYOUT_OPCODE_REG) != 0) {
        insn->rm = (uint8_t)((insn->opcode & 7) | ((insn->rex & X86_REX_B) != 0 ? 8 : 0));
    }
    if ((layout & X86_LAYOUT_MODRM) != 0) {
        status = read_modrm(reader, insn, (layout & X86_LAYOUT_REGISTER) != 0);
        if (status != X86_DECODE_OK) {
            return status;
        }
        if ((layout & X86_LAYOUT_MEMORY_ONLY) != 0 && !insn->has_memory) {
            return X86_DECODE_INVALID;
        }
        if ((layout & X86_LAYOUT_GROUP) != 0 && !apply_group(insn, &layout)) {
            return X86_DECODE_INVALID;
        }
    }
    is_valid = insn->map == X86_MAP_ONE_BYTE ? adjust_one_byte(insn) : adjust_0f(insn, &layout);
    if (!is_valid) {
        return X86_DECODE_INVALID;
    }
    status = read_trailer(reader, insn, layout);
    if (status == X86_DECODE_OK && insn->map == X86_MAP_0F && insn->opcode == 0x78 && insn->immediate_size != 0) {
        status = read_immediate2(reader, insn, 1);
    }
    return status;
}

/* If the instruction moves a vector register from or to memory, says so; false if it is a form that raises #UD. */
static bool set_vector_move(struct x86_insn *insn, uint8_t map, uint8_t prefix)
{
    const struct x86_vector_move *move = x86_table_find_vector_move(map, insn->opcode, prefix);
    bool is_vex = insn->encoding == X86_ENCODING_VEX;
    bool is_load_of_half;

    if (move == NULL || !insn->has_memory) {
        return true;
    }
    insn->op = (enum x86_op)move->op;
    insn->destination = move->is_store ? X86_OPERAND_RM : X86_OPERAND_VECTOR;
    insn->source = move->is_store ? X86_OPERAND_VECTOR : X86_OPERAND_RM;
    if (move->size == X86_VECTOR_WHOLE) {
        insn->rm_size = insn->vector_size;
    } else if (move->size == X86_VECTOR_GENERAL) {
        insn->rm_size = (insn->rex & X86_REX_W) != 0 ? 8 : 4;
    } else {
        insn->rm_size = move->size;
    }
    is_load_of_half = !move->is_store && (move->op == X86_OP_MOV_VECTOR_LOW || move->op == X86_OP_MOV_VECTOR_HIGH);
    if (is_vex && insn->vector_source != 0 && !is_load_of_half) {
        return false;
    }
    /* Of the moves of a part, MOVSS and MOVSD alone do not look at the length. */
    return insn->vector_size == 16 || move->size == X86_VECTOR_WHOLE || (insn->opcode & 0xfe) == 0x10;
}

/* The legacy prefix that takes part in the opcode, as VEX.pp. */
static uint8_t mandatory_prefix(const struct x86_insn *insn)
{
    if ((insn->prefixes & X86_PREFIX_REPNE) != 0) {
        return 3;
    }
    if ((insn->prefixes & X86_PREFIX_REP) != 0) {
        return 2;
    }
    return (insn->prefixes & X86_PREFIX_OPERAND_SIZE) != 0 ? 1 : 0;
}

/* 0F 38 and 0F 3A, behind the opcode. */
static enum x86_decode_status decode_three_byte(struct reader *reader, struct x86_insn *insn)
{
    enum x86_decode_status status;
    bool is_0f38 = insn->map == X86_MAP_0F38;

    if (!(is_0f38 ? x86_table_0f38_is_defined(insn->opcode) : x86_table_0f3a_is_defined(insn->opcode))) {
        return X86_DECODE_INVALID;
    }
    insn->operand_size = operand_size_of(insn, 0);
    status = read_modrm(reader, insn, false);
    if (status != X86_DECODE_OK) {
        return status;
    }
    if (!is_0f38) {
        return read_immediate(reader, insn, 1);
    }
    if (insn->opcode >= 0x80 && insn->opcode <= 0x82) {
        static const enum x86_op ops[3] = {X86_OP_INVEPT, X86_OP_INVVPID, X86_OP_INVPCID};

        if (!insn->has_memory || (insn->prefixes & X86_PREFIX_OPERAND_SIZE) == 0) {
            return X86_DECODE_INVALID;
        }
        insn->op = ops[insn->opcode - 0x80];
        insn->operand_size = insn->mode == X86_MODE_64 ? 8 : 4;
        return X86_DECODE_OK;
    }
    insn->vector_size = 16;
    return set_vector_move(insn, 2, mandatory_prefix(insn)) ? X86_DECODE_OK : X86_DECODE_INVALID;
}

/* Behind 0F. */
static enum x86_decode_status decode_0f(struct reader *reader, struct x86_insn *insn)
{
    enum x86_decode_status status = read_byte(reader, &insn->opcode);

    if (status != X86_DECODE_OK) {
        return status;
    }
    if (insn->opcode == 0x38 || insn->opcode == 0x3a) {
        insn->map = insn->opcode == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
        status = read_byte(reader, &insn->opcode);
        return status == X86_DECODE_OK ? decode_three_byte(reader, insn) : status;
    }
    insn->map = X86_MAP_0F;
    status = decode_row(reader, insn, &x86_table_0f[insn->opcode]);
    if (status == X86_DECODE_OK && insn->op == X86_OP_OTHER) {
        insn->vector_size = 16;
        status = set_vector_move(insn, 1, mandatory_prefix(insn)) ? X86_DECODE_OK : X86_DECODE_INVALID;
    }
    if (status == X86_DECODE_OK && insn->opcode == 0x0f) {
        insn->map = X86_MAP_3DNOW;
        insn->opcode = (uint8_t)insn->immediate;
        insn->immediate = 0;
        insn->immediate_size = 0;
    }
    return status;
}

/* Bytes of immediate that a vector instruction has, or -1 if its map does not exist. */
static int vector_immediate_size(const struct x86_insn *insn)
{
    switch (insn->vector_map) {
    case 1:
        return (insn->opcode >= 0x70 && insn->opcode <= 0x73) || insn->opcode == 0xc2 ||
               (insn->opcode >= 0xc4 && insn->opcode <= 0xc6);
    case 2:
        return 0;
    case 3:
        return 1;
    case 5:
    case 6:
        return insn->encoding == X86_ENCODING_EVEX ? 0 : -1;
    case 8:
        return insn->encoding == X86_ENCODING_XOP ? 1 : -1;
    case 9:
        return insn->encoding == X86_ENCODING_XOP ? 0 : -1;
    case 10:
        return insn->encoding == X86_ENCODING_XOP ? 4 : -1;
    default:
        return -1;
    }
}

/* R, X and B, stored inverted in the top bits of the first payload byte; they have no meaning below 64-bit mode. */
static void set_vector_rex(struct x86_insn *insn, uint8_t payload)
{
    if (insn->mode == X86_MODE_64) {
        insn->rex = (uint8_t)((~(unsigned)payload >> 5) & (X86_REX_R | X86_REX_X | X86_REX_B));
    }
}

/* Takes the rest of a VEX, EVEX or XOP prefix; the first byte is insn->opcode. */
static enum x86_decode_status read_vector_prefix(struct reader *reader, struct x86_insn *insn)
{
    uint8_t payload[3] = {0};
    unsigned payload_count = insn->encoding == X86_ENCODING_EVEX ? 3 : (insn->opcode == 0xc5 ? 1 : 2);
    uint8_t last;

    for (unsigned index = 0; index < payload_count; index++) {
        enum x86_decode_status status = read_byte(reader, &payload[index]);

        if (status != X86_DECODE_OK) {
            return status;
        }
    }
    last = payload_count == 1 ? payload[0] : payload[1];
    set_vector_rex(insn, payload_count == 1 ? payload[0] | 0x60 : payload[0]);
    insn->vector_prefix = last & 3;
    if (insn->encoding == X86_ENCODING_VEX) {
        insn->vector_size = (last & 0x04) != 0 ? 32 : 16;
        insn->vector_source = (uint8_t)((~(unsigned)last >> 3) & (insn->mode == X86_MODE_64 ? 0xf : 7));
    }
    if (payload_count == 1) {
        insn->vector_map = 1;
        return X86_DECODE_OK;
    }
    if ((last & 0x80) != 0 && insn->mode == X86_MODE_64) {
        insn->rex |= X86_REX_W;
    }
    if (insn->encoding != X86_ENCODING_EVEX) {
        insn->vector_map = payload[0] & 0x1f;
        return X86_DECODE_OK;
    }
    insn->vector_map = payload[0] & 7;
    /* Two bits of EVEX are fixed. */
    return (payload[0] & 0x08) == 0 && (payload[1] & 0x04) != 0 ? X86_DECODE_OK : X86_DECODE_INVALID;
}

static enum x86_decode_status decode_vector(struct reader *reader, struct x86_insn *insn)
{
    const unsigned forbidden =
        X86_PREFIX_LOCK | X86_PREFIX_REP | X86_PREFIX_REPNE | X86_PREFIX_OPERAND_SIZE | X86_PREFIX_REX;
    enum x86_decode_status status;
    int immediate_size;

    if ((insn->prefixes & forbidden) != 0) {
        return X86_DECODE_INVALID;
    }
    status = read_vector_prefix(reader, insn);
    if (status == X86_DECODE_OK) {
        status = read_byte(reader, &insn->opcode);
    }
    if (status != X86_DECODE_OK) {
        return status;
    }
    insn->map = X86_MAP_VECTOR;
    insn->operand_size = (insn->rex & X86_REX_W) != 0 ? 8 : 4;
    immediate_size = vector_immediate_size(insn);
    if (immediate_size < 0) {
        return X86_DECODE_INVALID;
    }
    /* VZEROUPPER and VZEROALL are the only vector instructions without ModRM. */
    if (insn->encoding == X86_ENCODING_VEX && insn->vector_map == 1 && insn->opcode == 0x77) {
        return X86_DECODE_OK;
    }
    status = read_modrm(reader, insn, false);
    if (status == X86_DECODE_OK && insn->encoding == X86_ENCODING_VEX &&
        !set_vector_move(insn, insn->vector_map, insn->vector_prefix)) {
        return X86_DECODE_INVALID;
    }
    return status == X86_DECODE_OK ? read_immediate(reader, insn, (uint8_t)immediate_size) : status;
}

/* Whether the opcode byte just taken begins a VEX, EVEX or XOP prefix; sets insn->encoding. */
static enum x86_decode_status find_encoding(const struct reader *reader, struct x86_insn *insn)
{
    uint8_t next;
    enum x86_decode_status status;

    if (insn->opcode != 0x62 && insn->opcode != 0xc4 && insn->opcode != 0xc5 && insn->opcode != 0x8f) {
        return X86_DECODE_OK;
    }
    status = peek_byte(reader, &next);
    if (status != X86_DECODE_OK) {
        return status;
    }
    if (insn->opcode == 0x8f) {
        /* POP has ModRM.reg 0, which reads as a map number below 8. */
        insn->encoding = (next & 0x1f) >= 8 ? X86_ENCODING_XOP : X86_ENCODING_LEGACY;
    } else if (insn->mode == X86_MODE_64 || (next & 0xc0) == 0xc0) {
        /* Below 64-bit mode these are BOUND, LES and LDS, which have no register form. */
        insn->encoding = insn->opcode == 0x62 ? X86_ENCODING_EVEX : X86_ENCODING_VEX;
    }
    return X86_DECODE_OK;
}

/* The size of the operand in ModRM.rm, where the instruction is one that has it as an operand of ours. */
static void set_rm_size(struct x86_insn *insn)
{
    if (insn->op == X86_OP_OTHER) {
        insn->destination = X86_OPERAND_NONE;
        insn->source = X86_OPERAND_NONE;
    }
    if (insn->destination != X86_OPERAND_RM && insn->source != X86_OPERAND_RM) {
        insn->rm_size = 0;
    } else if (insn->rm_size == 0) {
        insn->rm_size = insn->operand_size;
    }
}

/* LOCK is for read-modify-write instructions with a memory destination, and for AMD's way to name CR8. */
static bool is_lock_valid(const struct x86_insn *insn)
{
    switch ((unsigned)insn->op) {
    case X86_OP_ADD:
    case X86_OP_OR:
    case X86_OP_ADC:
    case X86_OP_SBB:
    case X86_OP_AND:
    case X86_OP_SUB:
    case X86_OP_XOR:
    case X86_OP_INC:
    case X86_OP_DEC:
    case X86_OP_NOT:
    case X86_OP_NEG:
    case X86_OP_BTS:
    case X86_OP_BTR:
    case X86_OP_BTC:
    case X86_OP_XCHG:
    case X86_OP_XADD:
    case X86_OP_CMPXCHG:
        return insn->has_memory && insn->destination == X86_OPERAND_RM;
    case X86_OP_CMPXCHG8B:
        return true;
    case X86_OP_MOV_FROM_CR:
    case X86_OP_MOV_TO_CR:
        return insn->reg == 8;
    default:
        return false;
    }
}

enum x86_decode_status x86_decode(struct x86_insn *insn, const uint8_t *bytes, size_t byte_count, enum x86_mode mode)
{
    struct reader reader = {.bytes = bytes, .byte_count = byte_count};
    enum x86_decode_status status;

    *insn = (struct x86_insn){
        .mode = mode,
        .segment_override = X86_REG_NONE,
        .memory = {.segment = X86_SEG_DS, .base = X86_REG_NONE, .index = X86_REG_NONE},
    };
    status = read_prefixes(&reader, insn, &insn->opcode);
    if (status != X86_DECODE_OK) {
        return status;
    }
    set_address_size(insn);
    if (insn->opcode == 0x0f) {
        status = decode_0f(&reader, insn);
    } else {
        status = find_encoding(&reader, insn);
        if (status == X86_DECODE_OK) {
            status = insn->encoding != X86_ENCODING_LEGACY
                         ? decode_vector(&reader, insn)
                         : decode_row(&reader, insn, &x86_table_one_byte[insn->opcode]);
        }
    }
    if (status == X86_DECODE_OK && (insn->prefixes & X86_PREFIX_LOCK) != 0 && !is_lock_valid(insn)) {
        status = X86_DECODE_INVALID;
    }
    if (status == X86_DECODE_OK) {
        insn->length = (uint8_t)reader.position;
        set_rm_size(insn);
    }
    return status;
}

/* The length of `op` if the bytes are its plain two-byte or three-byte encoding, else 0. */
static size_t match_common(enum x86_op expected, const uint8_t *bytes, size_t byte_count)
{
    /** One encoding without prefixes. */
    static const struct {
        uint8_t op;
        uint8_t byte_count;
        uint8_t bytes[3];
    } common[] = {
        {X86_OP_CPUID, 2, {0x0f, 0xa2}},         {X86_OP_RDMSR, 2, {0x0f, 0x32}}, {X86_OP_WRMSR, 2, {0x0f, 0x30}},
        {X86_OP_VMMCALL, 3, {0x0f, 0x01, 0xd9}}, {X86_OP_HLT, 1, {0xf4}},         {X86_OP_RDTSC, 2, {0x0f, 0x31}},
        {X86_OP_VMCALL, 3, {0x0f, 0x01, 0xc1}},
    };

    for (size_t index = 0; index < ARRAY_SIZE(common); index++) {
        if (common[index].op == expected) {
            size_t length = common[index].byte_count;
            bool is_equal = byte_count >= length && bytes[0] == common[index].bytes[0] &&
                            (length < 2 || bytes[1] == common[index].bytes[1]) &&
                            (length < 3 || bytes[2] == common[index].bytes[2]);

            return is_equal ? length : 0;
        }
    }
    return 0;
}

size_t x86_insn_length_of(enum x86_op expected, const uint8_t *bytes, size_t byte_count, enum x86_mode mode)
{
    struct x86_insn insn;
    size_t length = match_common(expected, bytes, byte_count);

    if (length != 0) {
        return length;
    }
    if (x86_decode(&insn, bytes, byte_count, mode) != X86_DECODE_OK || insn.op != expected) {
        return 0;
    }
    return insn.length;
}
