/* SPDX-License-Identifier: MIT */
/*
 * Tests of hv/lib/x86/x86_execute.c. Random instructions on random registers, flags and memory are executed by
 * Unicorn too, in 64-bit and in 32-bit mode, and everything has to come out the same. Faults and repetitions that
 * are interrupted are tested by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <unicorn/unicorn.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/lib/x86/x86_execute.h"

#define SEED           0x0ddc0ffee0ddf00dull
#define CASES_PER_MODE 25000

/* Low enough for 16-bit addresses, and in the middle of the data. */
#define DATA_BASE    0x4000u
#define DATA_SIZE    0x8000u
#define TARGET_FIRST 0x7000u
#define TARGET_SPAN  0x2000u
#define CODE_BASE    0x100000u
#define CODE_STRIDE  32u
#define CODE_SIZE    0x100000u
#define FS_BASE      0x1230u
#define GS_BASE      0x0550u

static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1dull;
}

static unsigned random_below(unsigned limit)
{
    return (unsigned)((random_next() >> 33) % limit);
}

/** What is behind the callbacks of the executor, and the ports of Unicorn. */
struct machine {
    uint8_t data[DATA_SIZE]; /* linear addresses from DATA_BASE on */
    unsigned port_in_count;
    uint64_t port_log; /* digest of all that was written to ports, and of the ports read */
    unsigned read_count;
    unsigned write_count;
    unsigned probe_count;
    /* The access with this number (from 1, counted per kind) is answered otherwise. */
    unsigned failing_read;
    unsigned failing_write;
    unsigned failing_probe;
    enum x86_access_status failure;
};

static uint32_t port_value(struct machine *machine, uint16_t port, unsigned size)
{
    uint64_t value = (machine->port_in_count + 1u) * 0x9e3779b97f4a7c15ull ^ port;

    machine->port_in_count++;
    machine->port_log = machine->port_log * 31 + port + size;
    return (uint32_t)((value >> 20) & (size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1));
}

static void port_write(struct machine *machine, uint16_t port, unsigned size, uint32_t value)
{
    machine->port_log = machine->port_log * 0x100000001b3ull + value + ((uint64_t)port << 33) + ((uint64_t)size << 50);
}

static enum x86_access_status fail_access(struct machine *machine, uint64_t linear, struct x86_fault *fault)
{
    if (machine->failure == X86_ACCESS_FAULT) {
        *fault = (struct x86_fault){
            .vector = X86_VECTOR_PF, .has_error_code = true, .error_code = X86_PF_USER, .cr2 = linear};
    }
    return machine->failure;
}

static enum x86_access_status machine_read(void *context, uint64_t linear, unsigned size, void *data,
                                           struct x86_fault *fault)
{
    struct machine *machine = context;

    machine->read_count++;
    if (machine->read_count == machine->failing_read) {
        return fail_access(machine, linear, fault);
    }
    assert_in_range(linear, DATA_BASE, DATA_BASE + DATA_SIZE - size);
    memcpy(data, machine->data + (linear - DATA_BASE), size);
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_write(void *context, uint64_t linear, unsigned size, const void *data,
                                            struct x86_fault *fault)
{
    struct machine *machine = context;

    machine->write_count++;
    if (machine->write_count == machine->failing_write) {
        return fail_access(machine, linear, fault);
    }
    assert_in_range(linear, DATA_BASE, DATA_BASE + DATA_SIZE - size);
    memcpy(machine->data + (linear - DATA_BASE), data, size);
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_probe_write(void *context, uint64_t linear, unsigned size,
                                                  struct x86_fault *fault)
{
    struct machine *machine = context;

    (void)size;
    machine->probe_count++;
    return machine->probe_count == machine->failing_probe ? fail_access(machine, linear, fault) : X86_ACCESS_OK;
}

static enum x86_access_status machine_port_in(void *context, uint16_t port, unsigned size, uint32_t *value,
                                              struct x86_fault *fault)
{
    (void)fault;
    *value = port_value(context, port, size);
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_port_out(void *context, uint16_t port, unsigned size, uint32_t value,
                                               struct x86_fault *fault)
{
    (void)fault;
    port_write(context, port, size, value);
    return X86_ACCESS_OK;
}

static const struct x86_memory_ops machine_ops = {
    .read = machine_read,
    .write = machine_write,
    .probe_write = machine_probe_write,
    .port_in = machine_port_in,
    .port_out = machine_port_out,
};

/* A processor at CPL 0 with flat segments. */
static void cpu_reset(struct x86_cpu *cpu, enum x86_mode mode)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->cr0 = X86_CR0_PE;
    cpu->rflags = X86_RFLAGS_FIXED;
    for (size_t index = 0; index < X86_SEG_COUNT; index++) {
        cpu->segments[index] = (struct x86_segment){.limit = UINT32_MAX, .selector = 0x10, .attributes = 0xc093};
    }
    cpu->segments[X86_SEG_CS].attributes = 0x809b;
    if (mode == X86_MODE_64) {
        cpu->efer = X86_EFER_LMA | X86_EFER_LME;
        cpu->segments[X86_SEG_CS].attributes |= X86_SEG_ATTR_L;
        cpu->segments[X86_SEG_FS].base = FS_BASE;
        cpu->segments[X86_SEG_GS].base = GS_BASE;
    } else if (mode == X86_MODE_32) {
        cpu->segments[X86_SEG_CS].attributes |= X86_SEG_ATTR_DB;
    }
}

/* --- Comparison with Unicorn --- */

/** Unicorn in one mode, beside the executor. */
struct rival {
    uc_engine *engine;
    enum x86_mode mode;
    struct machine machine; /* the ports of Unicorn; its memory is its own */
};

static const int unicorn_gprs[2][X86_GPR_COUNT] = {
    {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX, UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI,
     UC_X86_REG_EDI},
    {UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI,
     UC_X86_REG_RDI, UC_X86_REG_R8, UC_X86_REG_R9, UC_X86_REG_R10, UC_X86_REG_R11, UC_X86_REG_R12, UC_X86_REG_R13,
     UC_X86_REG_R14, UC_X86_REG_R15},
};

static uint32_t unicorn_in(uc_engine *engine, uint32_t port, int size, void *context)
{
    (void)engine;
    return port_value(context, (uint16_t)port, (unsigned)size);
}

static void unicorn_out(uc_engine *engine, uint32_t port, int size, uint32_t value, void *context)
{
    uint32_t mask = size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1;

    (void)engine;
    port_write(context, (uint16_t)port, (unsigned)size, value & mask);
}

static void rival_open(struct rival *rival, enum x86_mode mode)
{
    uc_hook hook;
    uint64_t fs_base = FS_BASE;
    uint64_t gs_base = GS_BASE;

    memset(rival, 0, sizeof(*rival));
    rival->mode = mode;
    assert_int_equal(uc_open(UC_ARCH_X86, mode == X86_MODE_64 ? UC_MODE_64 : UC_MODE_32, &rival->engine), UC_ERR_OK);
    assert_int_equal(uc_mem_map(rival->engine, DATA_BASE, DATA_SIZE, UC_PROT_READ | UC_PROT_WRITE), UC_ERR_OK);
    assert_int_equal(uc_mem_map(rival->engine, CODE_BASE, CODE_SIZE, UC_PROT_ALL), UC_ERR_OK);
    assert_int_equal(
        uc_hook_add(rival->engine, &hook, UC_HOOK_INSN, (void *)unicorn_in, &rival->machine, 1, 0, UC_X86_INS_IN),
        UC_ERR_OK);
    assert_int_equal(
        uc_hook_add(rival->engine, &hook, UC_HOOK_INSN, (void *)unicorn_out, &rival->machine, 1, 0, UC_X86_INS_OUT),
        UC_ERR_OK);
    if (mode == X86_MODE_64) {
        assert_int_equal(uc_reg_write(rival->engine, UC_X86_REG_FS_BASE, &fs_base), UC_ERR_OK);
        assert_int_equal(uc_reg_write(rival->engine, UC_X86_REG_GS_BASE, &gs_base), UC_ERR_OK);
    }
}

/** One random case. */
struct sample {
    uint8_t code[CODE_STRIDE];
    struct x86_insn insn;
    struct x86_cpu cpu;
};

/** Opcodes that are executed; ModRM.reg is random where `reg_mask` is 0, else one of its bits. */
struct form {
    uint16_t first; /* 0x0fxx: of the map 0F */
    uint16_t last;
    uint8_t reg_mask;
};

static const struct form forms[] = {
    {0x00, 0x05, 0},     {0x08, 0x0d, 0},     {0x10, 0x15, 0},     {0x18, 0x1d, 0},     {0x20, 0x25, 0},
    {0x28, 0x2d, 0},     {0x30, 0x35, 0},     {0x38, 0x3d, 0},     {0x63, 0x63, 0},     {0x6c, 0x6f, 0},
    {0x80, 0x81, 0},     {0x83, 0x83, 0},     {0x84, 0x8b, 0},     {0x90, 0x97, 0},     {0xa0, 0xa5, 0},
    {0xa8, 0xad, 0},     {0xb0, 0xbf, 0},     {0xc6, 0xc7, 0x01},  {0xe4, 0xe7, 0},     {0xec, 0xef, 0},
    {0xf6, 0xf7, 0x0d},  {0xfe, 0xff, 0x03},  {0x80, 0x83, 0},     {0x88, 0x8b, 0},     {0xc6, 0xc7, 0x01},
    {0x0fa3, 0x0fa3, 0}, {0x0fab, 0x0fab, 0}, {0x0fb3, 0x0fb3, 0}, {0x0fbb, 0x0fbb, 0}, {0x0fba, 0x0fba, 0xf0},
    {0x0fb6, 0x0fb7, 0}, {0x0fbe, 0x0fbf, 0}, {0x0fc3, 0x0fc3, 0}, {0xa4, 0xa5, 0},     {0xaa, 0xad, 0},
    {0x6c, 0x6f, 0},     {0x40, 0x4f, 0},
};

static bool is_string(enum x86_op op)
{
    return op == X86_OP_MOVS || op == X86_OP_STOS || op == X86_OP_LODS || op == X86_OP_INS || op == X86_OP_OUTS;
}

/* The operations that x86_execute() promises. */
static bool is_executed(enum x86_op op)
{
    return (op >= X86_OP_ADD && op <= X86_OP_XCHG) || is_string(op) || op == X86_OP_IN || op == X86_OP_OUT;
}

static void make_code(uint8_t *code, enum x86_mode mode)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0x66, 0xf0};
    static const uint8_t overrides[] = {0x26, 0x3e, 0x64, 0x65};
    /* The last form is none in 64-bit mode. */
    const struct form *form = &forms[random_below(ARRAY_SIZE(forms) - (mode == X86_MODE_64))];
    unsigned opcode = form->first + random_below(form->last - form->first + 1u);
    bool may_repeat = (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xad);
    size_t at = 0;
    uint8_t modrm;

    for (size_t index = 0; index < CODE_STRIDE; index++) {
        code[index] = (uint8_t)random_next();
    }
    while (at < 3 && random_below(3) == 0) {
        code[at++] = prefixes[random_below(ARRAY_SIZE(prefixes))];
    }
    /* One at most: Unicorn lets an override that does not count in 64-bit mode undo an FS or GS. */
    if (random_below(4) == 0) {
        code[at++] = overrides[random_below(ARRAY_SIZE(overrides))];
    }
    if (may_repeat && random_below(2) == 0) {
        code[at++] = (uint8_t)(0xf2 + random_below(2));
    }
    if (mode == X86_MODE_64 && random_below(2) == 0) {
        code[at++] = (uint8_t)(0x40 + random_below(16));
    }
    if (opcode > 0xff) {
        code[at++] = 0x0f;
    }
    code[at++] = (uint8_t)opcode;
    if (form->reg_mask != 0) {
        do {
            modrm = (uint8_t)random_next();
        } while (((form->reg_mask >> ((modrm >> 3) & 7)) & 1) == 0);
        code[at] = modrm;
    }
}

/* Puts `value` into the displacement of the code, which is in front of the immediates. */
static void patch_displacement(struct sample *sample, uint64_t value)
{
    const struct x86_insn *insn = &sample->insn;
    size_t at = insn->length - insn->immediate_size - insn->immediate2_size - insn->displacement_size;

    memcpy(sample->code + at, &value, insn->displacement_size);
}

/* Makes the memory operand be in the data; false if these registers cannot do that. */
static bool aim_operand(struct sample *sample, uint64_t target)
{
    struct x86_insn *insn = &sample->insn;
    const struct x86_memory_operand *memory = &insn->memory;
    uint64_t *gpr = sample->cpu.gpr;
    bool is_bit_string = insn->op >= X86_OP_BT && insn->op <= X86_OP_BTC && insn->source == X86_OPERAND_REG;
    uint64_t mask = insn->address_size == 8 ? UINT64_MAX : (1ull << (8 * insn->address_size)) - 1;
    uint64_t rest;

    if (memory->segment >= X86_SEG_FS) {
        target -= sample->cpu.segments[memory->segment].base;
    }
    if (memory->base != X86_REG_NONE && memory->base == memory->index) {
        return false;
    }
    if (is_bit_string) {
        /* Keeps the bit within 256 bytes; what is above the operand size does not count. */
        uint64_t garbage = insn->operand_size == 8 ? 0 : random_next() << (8 * insn->operand_size);
        uint64_t bit = (uint64_t)((int64_t)random_below(4096) - 2048);
        uint64_t operand_mask = insn->operand_size == 8 ? UINT64_MAX : (1ull << (8 * insn->operand_size)) - 1;

        if (memory->base == insn->reg || memory->index == insn->reg) {
            return false;
        }
        gpr[insn->reg] = garbage | (bit & operand_mask);
    }
    if (memory->index != X86_REG_NONE) {
        gpr[memory->index] = (gpr[memory->index] & ~mask) | random_below(256);
    }
    rest = target - (memory->index != X86_REG_NONE ? gpr[memory->index] << memory->scale_shift : 0);
    if (memory->base != X86_REG_NONE) {
        gpr[memory->base] = (gpr[memory->base] & ~mask) | ((rest - (uint64_t)memory->displacement) & mask);
        return true;
    }
    if (memory->is_rip_relative) {
        rest -= sample->cpu.rip + insn->length;
    }
    patch_displacement(sample, rest);
    return true;
}

static void aim_string(struct sample *sample)
{
    const struct x86_insn *insn = &sample->insn;
    uint64_t *gpr = sample->cpu.gpr;
    uint64_t mask = insn->address_size == 8 ? UINT64_MAX : (1ull << (8 * insn->address_size)) - 1;
    uint64_t source = TARGET_FIRST + random_below(TARGET_SPAN);

    if (insn->segment_override != X86_REG_NONE) {
        source -= sample->cpu.segments[insn->segment_override].base;
    }
    gpr[X86_GPR_RSI] = (gpr[X86_GPR_RSI] & ~mask) | source;
    gpr[X86_GPR_RDI] = (gpr[X86_GPR_RDI] & ~mask) | (TARGET_FIRST + random_below(TARGET_SPAN));
    /* Now and then more than one x86_execute() does. */
    gpr[X86_GPR_RCX] = (gpr[X86_GPR_RCX] & ~mask) | random_below(random_below(8) == 0 ? 600 : 20);
}

/* Unicorn's flags of LOCK NEG are not those of NEG, and it refuses C6 and C7 with a REX.R that does not matter. */
static bool is_wrong_in_unicorn(const struct x86_insn *insn)
{
    bool is_locked = (insn->prefixes & X86_PREFIX_LOCK) != 0;
    bool is_move_immediate = insn->map == X86_MAP_ONE_BYTE && (insn->opcode & 0xfe) == 0xc6;

    return (insn->op == X86_OP_NEG && is_locked) || (is_move_immediate && (insn->rex & X86_REX_R) != 0);
}

/* Code, registers and flags of one case at `rip`. */
static void make_sample(struct sample *sample, enum x86_mode mode, uint64_t rip)
{
    bool is_usable = false;

    while (!is_usable) {
        struct x86_insn *insn = &sample->insn;

        cpu_reset(&sample->cpu, mode);
        sample->cpu.rip = rip;
        sample->cpu.rflags |= random_next() & (X86_RFLAGS_STATUS | X86_RFLAGS_DF);
        for (size_t index = 0; index < (mode == X86_MODE_64 ? 16 : 8); index++) {
            sample->cpu.gpr[index] = mode == X86_MODE_64 ? random_next() : (uint32_t)random_next();
        }
        make_code(sample->code, mode);
        if (x86_decode(insn, sample->code, CODE_STRIDE, mode) != X86_DECODE_OK || !is_executed(insn->op) ||
            is_wrong_in_unicorn(insn)) {
            continue;
        }
        is_usable = true;
        if (is_string(insn->op)) {
            aim_string(sample);
        } else if (insn->has_memory) {
            is_usable = aim_operand(sample, TARGET_FIRST + random_below(TARGET_SPAN));
        }
        assert_int_equal(x86_decode(insn, sample->code, CODE_STRIDE, mode), X86_DECODE_OK);
    }
}

static void fail_sample(const struct sample *sample, const char *what, uint64_t ours, uint64_t theirs)
{
    fprintf(stderr, "mode %d, operation %d, code", 16 << sample->insn.mode, (int)sample->insn.op);
    for (size_t index = 0; index < sample->insn.length; index++) {
        fprintf(stderr, " %02x", sample->code[index]);
    }
    fprintf(stderr, "\n");
    fail_msg("%s: ours %#llx, Unicorn's %#llx", what, (unsigned long long)ours, (unsigned long long)theirs);
}

static void unicorn_run(struct rival *rival, const struct sample *sample)
{
    const int *gprs = unicorn_gprs[rival->mode == X86_MODE_64];
    size_t gpr_count = rival->mode == X86_MODE_64 ? 16 : 8;
    uint64_t flags = sample->cpu.rflags;
    uc_err error;

    for (size_t index = 0; index < gpr_count; index++) {
        uint64_t value = sample->cpu.gpr[index];

        assert_int_equal(uc_reg_write(rival->engine, gprs[index], &value), UC_ERR_OK);
    }
    assert_int_equal(uc_reg_write(rival->engine, UC_X86_REG_EFLAGS, &flags), UC_ERR_OK);
    assert_int_equal(uc_mem_write(rival->engine, sample->cpu.rip, sample->code, CODE_STRIDE), UC_ERR_OK);
    error = uc_emu_start(rival->engine, sample->cpu.rip, sample->cpu.rip + sample->insn.length, 0, 0);
    if (error != UC_ERR_OK) {
        fail_sample(sample, uc_strerror(error), X86_EXECUTE_DONE, error);
    }
}

/* The flags that the manual leaves undefined are not compared. */
static uint64_t defined_flags(enum x86_op op)
{
    switch ((unsigned)op) {
    case X86_OP_BT:
    case X86_OP_BTS:
    case X86_OP_BTR:
    case X86_OP_BTC:
        return X86_RFLAGS_CF | X86_RFLAGS_ZF;
    case X86_OP_AND:
    case X86_OP_OR:
    case X86_OP_XOR:
    case X86_OP_TEST:
        return X86_RFLAGS_STATUS & ~X86_RFLAGS_AF;
    default:
        return X86_RFLAGS_STATUS;
    }
}

/* Registers, flags, memory and ports of both after the same instruction. */
static void compare_results(struct rival *rival, const struct sample *before, const struct x86_cpu *cpu,
                            const struct machine *machine)
{
    static uint8_t memory[DATA_SIZE];
    const int *gprs = unicorn_gprs[rival->mode == X86_MODE_64];
    size_t gpr_count = rival->mode == X86_MODE_64 ? 16 : 8;
    uint64_t mask = rival->mode == X86_MODE_64 ? UINT64_MAX : UINT32_MAX;
    uint64_t flag_mask = defined_flags(before->insn.op) | X86_RFLAGS_DF;
    uint64_t value = 0;

    for (size_t index = 0; index < gpr_count; index++) {
        value = 0;
        assert_int_equal(uc_reg_read(rival->engine, gprs[index], &value), UC_ERR_OK);
        if ((cpu->gpr[index] & mask) != value) {
            fail_sample(before, "general register", cpu->gpr[index], value);
        }
    }
    value = 0;
    uc_reg_read(rival->engine, rival->mode == X86_MODE_64 ? UC_X86_REG_RIP : UC_X86_REG_EIP, &value);
    if (cpu->rip != value) {
        fail_sample(before, "instruction pointer", cpu->rip, value);
    }
    value = 0;
    uc_reg_read(rival->engine, UC_X86_REG_EFLAGS, &value);
    if (((cpu->rflags ^ value) & flag_mask) != 0) {
        fail_sample(before, "flags", cpu->rflags, value);
    }
    assert_int_equal(uc_mem_read(rival->engine, DATA_BASE, memory, DATA_SIZE), UC_ERR_OK);
    for (size_t index = 0; memcmp(memory, machine->data, DATA_SIZE) != 0 && index < DATA_SIZE; index++) {
        if (memory[index] != machine->data[index]) {
            fail_sample(before, "memory", machine->data[index], memory[index]);
        }
    }
    if (machine->port_log != rival->machine.port_log) {
        fail_sample(before, "ports", machine->port_log, rival->machine.port_log);
    }
}

static void compare_mode(enum x86_mode mode)
{
    static struct rival rivals[3]; /* static, so that a failing comparison is not reported as a leak too */
    static struct machine machine;
    struct rival *rival = &rivals[mode];
    unsigned again_count = 0;
    unsigned op_counts[X86_OP_OUT + 1] = {0};

    random_state = SEED + mode;
    fprintf(stderr, "seed %#llx\n", (unsigned long long)random_state);
    memset(&machine, 0, sizeof(machine));
    rival_open(rival, mode);
    for (size_t index = 0; index < DATA_SIZE; index++) {
        machine.data[index] = (uint8_t)random_next();
    }
    assert_int_equal(uc_mem_write(rival->engine, DATA_BASE, machine.data, DATA_SIZE), UC_ERR_OK);
    for (unsigned round = 0; round < CASES_PER_MODE; round++) {
        struct sample sample;
        struct x86_cpu cpu;
        struct x86_fault fault;
        enum x86_execute_status status;

        make_sample(&sample, mode, CODE_BASE + round * CODE_STRIDE);
        cpu = sample.cpu;
        assert_int_equal(x86_cpu_mode(&cpu), mode);
        do {
            status = x86_execute(&cpu, &sample.insn, &machine_ops, &machine, &fault);
            again_count += status == X86_EXECUTE_AGAIN;
        } while (status == X86_EXECUTE_AGAIN);
        if (status != X86_EXECUTE_DONE) {
            fail_sample(&sample, "status", status, 0);
        }
        unicorn_run(rival, &sample);
        compare_results(rival, &sample, &cpu, &machine);
        op_counts[sample.insn.op]++;
    }
    assert_int_equal(uc_close(rival->engine), UC_ERR_OK);
    /* Every operation had its turn. */
    for (size_t op = X86_OP_ADD; op <= X86_OP_OUT; op++) {
        assert_true(op_counts[op] > 0 || !is_executed((enum x86_op)op));
    }
    assert_true(again_count > 0);
    fprintf(stderr, "%u instructions compared, %u continued\n", CASES_PER_MODE, again_count);
}

static void test_against_unicorn_64(void **state)
{
    (void)state;
    compare_mode(X86_MODE_64);
}

static void test_against_unicorn_32(void **state)
{
    (void)state;
    compare_mode(X86_MODE_32);
}

/* --- By hand --- */

/** One processor and machine for the tests below. */
struct bench {
    struct x86_cpu cpu;
    struct x86_insn insn;
    struct x86_fault fault;
    struct machine machine;
};

static struct bench *bench_reset(enum x86_mode mode)
{
    static struct bench bench;

    memset(&bench, 0, sizeof(bench));
    cpu_reset(&bench.cpu, mode);
    for (size_t index = 0; index < DATA_SIZE; index++) {
        bench.machine.data[index] = (uint8_t)index;
    }
    bench.machine.failure = X86_ACCESS_FAULT;
    return &bench;
}

static enum x86_execute_status bench_run(struct bench *bench, const char *code, size_t code_size)
{
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)code, code_size, x86_cpu_mode(&bench->cpu)),
                     X86_DECODE_OK);
    assert_int_equal(bench->insn.length, code_size);
    return x86_execute(&bench->cpu, &bench->insn, &machine_ops, &bench->machine, &bench->fault);
}

static void expect_fault(const struct bench *bench, enum x86_execute_status status, uint8_t vector, bool has_error_code)
{
    assert_int_equal(status, X86_EXECUTE_FAULT);
    assert_int_equal(bench->fault.vector, vector);
    assert_int_equal(bench->fault.has_error_code, has_error_code);
    assert_int_equal(bench->fault.error_code, 0);
    assert_int_equal(bench->cpu.rip, 0);
    assert_int_equal(bench->machine.read_count + bench->machine.write_count, 0);
}

static void test_canonical(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);
    uint64_t linear = 0;

    (void)state;
    bench->cpu.gpr[X86_GPR_RAX] = 0x0000800000000000;
    expect_fault(bench, bench_run(bench, "\x8b\x00", 2), X86_VECTOR_GP, true);
    bench->cpu.gpr[X86_GPR_RAX] = 0x00007ffffffffffd; /* the last byte is outside */
    expect_fault(bench, bench_run(bench, "\x8b\x00", 2), X86_VECTOR_GP, true);
    bench->cpu.gpr[X86_GPR_RBP] = 0x8000000000000000;
    expect_fault(bench, bench_run(bench, "\x8b\x45\x00", 3), X86_VECTOR_SS, true);
    /* With 5-level paging the first address is canonical. */
    bench->cpu.cr4 = X86_CR4_LA57;
    assert_true(
        x86_segment_linear(&bench->cpu, X86_MODE_64, X86_SEG_DS, 0x0000800000000000, 8, false, &linear, &bench->fault));
    assert_int_equal(linear, 0x0000800000000000);
    /* Bases count for FS and GS only. */
    bench->cpu.segments[X86_SEG_DS].base = 0x5000;
    assert_true(x86_segment_linear(&bench->cpu, X86_MODE_64, X86_SEG_DS, 0x10, 8, false, &linear, &bench->fault));
    assert_int_equal(linear, 0x10);
    assert_true(x86_segment_linear(&bench->cpu, X86_MODE_64, X86_SEG_GS, 0x10, 8, false, &linear, &bench->fault));
    assert_int_equal(linear, GS_BASE + 0x10);
}

static void test_linear_address(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);
    uint64_t linear = 0;

    (void)state;
    /* mov rax, [rip + 0x10]: from behind the instruction, also when addresses have 32 bits. */
    bench->cpu.rip = 0xffffffff80001000;
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)"\x48\x8b\x05\x10\x00\x00\x00", 7, X86_MODE_64),
                     X86_DECODE_OK);
    assert_true(x86_linear_address(&bench->cpu, &bench->insn, 8, false, &linear, &bench->fault));
    assert_int_equal(linear, 0xffffffff80001017);
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)"\x67\x8b\x05\x10\x00\x00\x00", 7, X86_MODE_64),
                     X86_DECODE_OK);
    assert_true(x86_linear_address(&bench->cpu, &bench->insn, 4, false, &linear, &bench->fault));
    assert_int_equal(linear, 0x80001017);
    /* invlpg gs:[rcx + rdx*8 - 1]: for callers that only want the address. */
    bench->cpu.gpr[X86_GPR_RCX] = 0x100;
    bench->cpu.gpr[X86_GPR_RDX] = 0x20;
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)"\x65\x0f\x01\x7c\xd1\xff", 6, X86_MODE_64),
                     X86_DECODE_OK);
    assert_true(x86_linear_address(&bench->cpu, &bench->insn, 1, false, &linear, &bench->fault));
    assert_int_equal(linear, GS_BASE + 0x1ff);
    bench->cpu.gpr[X86_GPR_RCX] = 1ull << 62;
    assert_false(x86_linear_address(&bench->cpu, &bench->insn, 1, false, &linear, &bench->fault));
    assert_int_equal(bench->fault.vector, X86_VECTOR_GP);
}

static void test_segment_limits(void **state)
{
    static const struct {
        uint32_t limit;
        uint32_t attributes;
        uint32_t offset;
        bool is_write;
        bool is_allowed;
    } cases[] = {
        {0x7003, 0xc093, 0x7000, false, true},          /* the last doubleword */
        {0x7002, 0xc093, 0x7000, false, false},         /* one byte too few */
        {0xffffffff, 0xc093, 0xfffffffd, false, false}, /* around the end */
        {0xffffffff, 0xc091, 0x7000, false, true},      /* read-only data */
        {0xffffffff, 0xc091, 0x7000, true, false},
        {0xffffffff, 0xc09b, 0x7000, false, true}, /* readable code */
        {0xffffffff, 0xc09b, 0x7000, true, false},
        {0xffffffff, 0xc099, 0x7000, false, false},  /* execute-only code */
        {0xffffffff, 0xc013, 0x7000, false, false},  /* not present */
        {0xffffffff, 0x1c093, 0x7000, false, false}, /* unusable */
        {0x6fff, 0xc097, 0x7000, true, true},        /* expand-down: above the limit */
        {0x7000, 0xc097, 0x7000, true, false},
        {0x6fff, 0x8097, 0xfffd, true, false}, /* 16-bit expand-down ends at 64 KiB */
        {0x6fff, 0xc097, 0xfffd, true, true},
    };

    (void)state;
    for (size_t index = 0; index < ARRAY_SIZE(cases); index++) {
        for (unsigned segment = X86_SEG_SS; segment <= X86_SEG_DS; segment++) {
            struct bench *bench = bench_reset(X86_MODE_32);
            uint64_t linear = 0;
            bool is_allowed;

            bench->cpu.segments[segment].limit = cases[index].limit;
            bench->cpu.segments[segment].attributes = cases[index].attributes;
            bench->cpu.segments[segment].base = 0xfffff000;
            is_allowed = x86_segment_linear(&bench->cpu, X86_MODE_32, segment, cases[index].offset, 4,
                                            cases[index].is_write, &linear, &bench->fault);
            if (is_allowed != cases[index].is_allowed) {
                fail_msg("case %zu, segment %u", index, segment);
            }
            if (is_allowed) {
                assert_int_equal(linear, (uint32_t)(cases[index].offset + 0xfffff000));
            } else {
                assert_int_equal(bench->fault.vector, segment == X86_SEG_SS ? X86_VECTOR_SS : X86_VECTOR_GP);
                assert_true(bench->fault.has_error_code);
            }
        }
    }
}

static void test_real_mode(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_16);

    (void)state;
    bench->cpu.cr0 = 0;
    for (size_t index = 0; index < X86_SEG_COUNT; index++) {
        bench->cpu.segments[index] = (struct x86_segment){.limit = 0xffff, .attributes = 0x93};
    }
    bench->cpu.segments[X86_SEG_CS].attributes = 0x9b;
    /* mov ax, [bx+si+0x10]: the offset wraps at 64 KiB. */
    bench->cpu.segments[X86_SEG_DS].base = 0x6000;
    bench->cpu.gpr[X86_GPR_RBX] = 0xfff0;
    bench->cpu.gpr[X86_GPR_RSI] = 0x0234;
    assert_int_equal(bench_run(bench, "\x8b\x40\x10", 3), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 0x3534);
    assert_int_equal(bench->cpu.rip, 3);
    /* A word at 0xffff is beyond the limit; real mode has no error codes. */
    bench->machine.read_count = 0;
    bench->cpu.rip = 0;
    expect_fault(bench, bench_run(bench, "\xa1\xff\xff", 3), X86_VECTOR_GP, false);
    /* Real mode does not look at types: a write through CS. */
    bench->cpu.segments[X86_SEG_CS].base = 0x4000;
    bench->cpu.gpr[X86_GPR_RAX] = 0xabcd;
    assert_int_equal(bench_run(bench, "\x2e\xa3\x00\x10", 4), X86_EXECUTE_DONE);
    assert_memory_equal(bench->machine.data + 0x1000, "\xcd\xab", 2);
    /* Virtual-8086 mode neither, but its faults have error codes. */
    bench->cpu.cr0 = X86_CR0_PE;
    bench->cpu.rflags |= X86_RFLAGS_VM;
    bench->cpu.rip = 0;
    assert_int_equal(bench_run(bench, "\x2e\xa3\x02\x10", 4), X86_EXECUTE_DONE);
    bench->cpu.rip = 0;
    bench->machine.read_count = bench->machine.write_count = 0;
    expect_fault(bench, bench_run(bench, "\xa1\xff\xff", 3), X86_VECTOR_GP, true);
}

static void test_callback_fault(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);
    struct x86_cpu before;

    (void)state;
    bench->cpu.gpr[X86_GPR_RBX] = 0x7000;
    bench->cpu.gpr[X86_GPR_RAX] = 0x1111;
    before = bench->cpu;
    /* add [rbx], eax: fault of the read, of the probe, of the write; nothing changes. */
    bench->machine.failing_read = 1;
    assert_int_equal(bench_run(bench, "\x01\x03", 2), X86_EXECUTE_FAULT);
    assert_int_equal(bench->fault.vector, X86_VECTOR_PF);
    assert_int_equal(bench->fault.error_code, X86_PF_USER);
    assert_int_equal(bench->fault.cr2, 0x7000);
    assert_memory_equal(&bench->cpu, &before, sizeof(before));
    bench->machine.failing_probe = 2;
    assert_int_equal(bench_run(bench, "\x01\x03", 2), X86_EXECUTE_FAULT);
    assert_int_equal(bench->machine.read_count, 1);
    bench->machine.failing_write = 1;
    assert_int_equal(bench_run(bench, "\x01\x03", 2), X86_EXECUTE_FAULT);
    assert_memory_equal(&bench->cpu, &before, sizeof(before));
    /* xchg [rbx], eax: the register stays too. */
    bench->machine.failing_write = 2;
    assert_int_equal(bench_run(bench, "\x87\x03", 2), X86_EXECUTE_FAULT);
    assert_memory_equal(&bench->cpu, &before, sizeof(before));
    /* Retry: as if nothing had happened, then the whole instruction. */
    bench->machine.failure = X86_ACCESS_RETRY;
    bench->machine.failing_write = 3;
    assert_int_equal(bench_run(bench, "\x87\x03", 2), X86_EXECUTE_AGAIN);
    assert_memory_equal(&bench->cpu, &before, sizeof(before));
    assert_int_equal(bench_run(bench, "\x87\x03", 2), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.rip, 2);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 0x03020100);
}

static void test_repetition(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);

    (void)state;
    /* rep movsb: the third write faults; two iterations are done, the third has left no trace. */
    bench->cpu.gpr[X86_GPR_RSI] = 0x7000;
    bench->cpu.gpr[X86_GPR_RDI] = 0x8000;
    bench->cpu.gpr[X86_GPR_RCX] = 5;
    bench->machine.failing_write = 3;
    assert_int_equal(bench_run(bench, "\xf3\xa4", 2), X86_EXECUTE_FAULT);
    assert_int_equal(bench->fault.cr2, 0x8002);
    assert_int_equal(bench->cpu.rip, 0);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RCX], 3);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RSI], 0x7002);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RDI], 0x8002);
    assert_int_equal(bench_run(bench, "\xf3\xa4", 2), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.rip, 2);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RCX], 0);
    assert_memory_equal(bench->machine.data + 0x4000, bench->machine.data + 0x3000, 5);

    /* rep stosb: not more than the limit in one call; exactly the limit needs no second one. */
    bench = bench_reset(X86_MODE_64);
    bench->cpu.gpr[X86_GPR_RDI] = 0x7000;
    bench->cpu.gpr[X86_GPR_RCX] = 2 * X86_EXECUTE_ITERATION_LIMIT;
    assert_int_equal(bench_run(bench, "\xf3\xaa", 2), X86_EXECUTE_AGAIN);
    assert_int_equal(bench->cpu.rip, 0);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RCX], X86_EXECUTE_ITERATION_LIMIT);
    assert_int_equal(bench->machine.write_count, X86_EXECUTE_ITERATION_LIMIT);
    assert_int_equal(bench_run(bench, "\xf3\xaa", 2), X86_EXECUTE_DONE);
    assert_int_equal(bench->machine.write_count, 2 * X86_EXECUTE_ITERATION_LIMIT);

    /* rep insb: the destination is asked first, so that nothing is lost from the port. */
    bench = bench_reset(X86_MODE_32);
    bench->cpu.gpr[X86_GPR_RDI] = 0x7000;
    bench->cpu.gpr[X86_GPR_RCX] = 4;
    bench->machine.failing_probe = 3;
    assert_int_equal(bench_run(bench, "\xf3\x6c", 2), X86_EXECUTE_FAULT);
    assert_int_equal(bench->machine.port_in_count, 2);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RCX], 2);
    /* Likewise the segment. */
    bench = bench_reset(X86_MODE_32);
    bench->cpu.gpr[X86_GPR_RDI] = 0x7000;
    bench->cpu.segments[X86_SEG_ES].attributes = 0xc091;
    expect_fault(bench, bench_run(bench, "\x6c", 1), X86_VECTOR_GP, true);
    assert_int_equal(bench->machine.port_in_count, 0);
}

static void test_completion(void **state)
{
    static const struct x86_memory_ops no_ports = {.read = machine_read, .write = machine_write};
    struct bench *bench = bench_reset(X86_MODE_64);
    struct x86_cpu before;

    (void)state;
    /* Completing an instruction ends RF. */
    bench->cpu.rflags |= X86_RFLAGS_RF;
    assert_int_equal(bench_run(bench, "\x89\xc8", 2), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.rflags, X86_RFLAGS_FIXED);
    /* Below 64-bit mode the instruction pointer has 32 bits. */
    bench = bench_reset(X86_MODE_32);
    bench->cpu.rip = 0xffffffff;
    assert_int_equal(bench_run(bench, "\x89\xc8", 2), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.rip, 1);
    /* What is not executed changes nothing and touches nothing. */
    bench = bench_reset(X86_MODE_64);
    bench->cpu.gpr[X86_GPR_RBX] = 0x0000800000000000; /* not even checked */
    before = bench->cpu;
    assert_int_equal(bench_run(bench, "\x0f\xc1\x03", 3), X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(bench_run(bench, "\x0f\xb1\x03", 3), X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(bench_run(bench, "\xf3\xa6", 2), X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(bench_run(bench, "\xae", 1), X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(bench_run(bench, "\x0f\xa2", 2), X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(bench_run(bench, "\xd1\x23", 2), X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(bench_run(bench, "\xff\x33", 2), X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(bench_run(bench, "\x8c\x1b", 2), X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(bench_run(bench, "\x0f\x10\x03", 3), X86_EXECUTE_UNSUPPORTED);
    assert_memory_equal(&bench->cpu, &before, sizeof(before));
    assert_int_equal(bench->machine.read_count + bench->machine.write_count + bench->machine.probe_count, 0);
    /* Without port callbacks there are no port instructions. */
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)"\xed", 1, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(x86_execute(&bench->cpu, &bench->insn, &no_ports, &bench->machine, &bench->fault),
                     X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)"\x6f", 1, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(x86_execute(&bench->cpu, &bench->insn, &no_ports, &bench->machine, &bench->fault),
                     X86_EXECUTE_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_unicorn_64), cmocka_unit_test(test_against_unicorn_32),
        cmocka_unit_test(test_canonical),          cmocka_unit_test(test_linear_address),
        cmocka_unit_test(test_segment_limits),     cmocka_unit_test(test_real_mode),
        cmocka_unit_test(test_callback_fault),     cmocka_unit_test(test_repetition),
        cmocka_unit_test(test_completion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
