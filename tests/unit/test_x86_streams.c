/* SPDX-License-Identifier: MIT */
/*
 * Generated streams of instructions, executed by hv/lib/x86 and by Unicorn: general and vector registers, flags,
 * memory and ports have to come out the same. In 64-bit, in 32-bit and in real mode. What Unicorn is known to get wrong
 * is in one list with its reason; what the manual leaves undefined is tracked by the streams.
 */
/* slow: 10000000 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <unicorn/unicorn.h>

#include "hv/lib/compiler.h"
#include "tests/unit/generated.h"
#include "tests/unit/x86_stream.h"

#define USUAL_COUNT   1000000
/* Instructions of one process: Unicorn can take the process with it. */
#define PROCESS_COUNT 200000
#define REPORTS_MAX   5

/** An instruction that Unicorn 2.0.1 (QEMU 5.0.1 underneath) executes otherwise than processors do. */
struct known_difference {
    const char *reason;
    bool (*applies)(const struct x86_insn *insn);
    uint64_t flags; /* the status flags that it gets wrong; STREAM_LEFT_OUT: more than that */
};

static bool has_lock(const struct x86_insn *insn)
{
    return (insn->prefixes & X86_PREFIX_LOCK) != 0;
}

static bool is_locked_neg(const struct x86_insn *insn)
{
    return insn->op == X86_OP_NEG && has_lock(insn);
}

static bool is_move_immediate_with_rex_r(const struct x86_insn *insn)
{
    return insn->map == X86_MAP_ONE_BYTE && (insn->opcode & 0xfe) == 0xc6 && (insn->rex & X86_REX_R) != 0;
}

static bool is_test_alias(const struct x86_insn *insn)
{
    bool is_group = insn->map == X86_MAP_ONE_BYTE && (insn->opcode & 0xfe) == 0xf6;

    return is_group && insn->op == X86_OP_TEST && (insn->modrm & 0x38) == 0x08;
}

static bool is_vector_with_two_prefixes(const struct x86_insn *insn)
{
    bool has_66 = (insn->prefixes & X86_PREFIX_OPERAND_SIZE) != 0;
    bool has_rep = (insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE)) != 0;

    return insn->op >= X86_OP_MOV_VECTOR && insn->op <= X86_OP_MOV_VECTOR_HIGH && has_66 && has_rep;
}

static bool is_shift_double_by_rip(const struct x86_insn *insn)
{
    return (insn->op == X86_OP_SHLD || insn->op == X86_OP_SHRD) && insn->immediate_size != 0 &&
           insn->memory.is_rip_relative;
}

static bool is_compare_exchange_32(const struct x86_insn *insn)
{
    return insn->op == X86_OP_CMPXCHG && insn->operand_size == 4 && insn->mode == X86_MODE_64;
}

static bool is_compare_exchange_double(const struct x86_insn *insn)
{
    return insn->op == X86_OP_CMPXCHG8B;
}

static const struct known_difference known_differences[] = {
    {"LOCK NEG: the flags are those of another operation", is_locked_neg, STREAM_LEFT_OUT},
    {"C6 and C7 with REX.R, which does not count: refused", is_move_immediate_with_rex_r, STREAM_LEFT_OUT},
    {"F6 and F7 with ModRM.reg 1, another way to write TEST: refused", is_test_alias, STREAM_LEFT_OUT},
    {"SSE with 66 beside F2 or F3: 66 chooses the instruction", is_vector_with_two_prefixes, STREAM_LEFT_OUT},
    {"SHLD and SHRD by an immediate, RIP-relative: the immediate is left out of RIP", is_shift_double_by_rip,
     STREAM_LEFT_OUT},
    {"CMPXCHG of 32 bits in 64-bit mode: clears upper halves of registers that are not written", is_compare_exchange_32,
     STREAM_LEFT_OUT},
    {"CMPXCHG8B and CMPXCHG16B: flags beside ZF that were not needed before are lost", is_compare_exchange_double,
     X86_RFLAGS_STATUS & ~X86_RFLAGS_ZF},
};

static uint64_t wrong_flags(const struct x86_insn *insn)
{
    uint64_t flags = 0;

    for (size_t index = 0; index < ARRAY_SIZE(known_differences); index++) {
        flags |= known_differences[index].applies(insn) ? known_differences[index].flags : 0;
    }
    return flags;
}

/** Unicorn in one mode. */
struct rival {
    uc_engine *engine;
    enum x86_mode mode;
    uc_context *initial; /* without an exception from before, which would make the next one a double fault */
    uint64_t code_base;  /* what RIP counts from, linear */
    uint16_t selectors[X86_SEG_COUNT];
    struct stream_machine machine; /* its data is this memory itself */
    uint32_t exception;            /* raised by the last run; EXCEPTION_NONE */
};

#define EXCEPTION_NONE UINT32_MAX

static const int gprs_64[X86_GPR_COUNT] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
    UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};
static const int gprs_32[] = {
    UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
    UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI,
};

static const int *gpr_names(const struct rival *rival)
{
    return rival->mode == X86_MODE_64 ? gprs_64 : gprs_32;
}

static unsigned register_count(const struct rival *rival)
{
    return rival->mode == X86_MODE_64 ? 16 : 8;
}

static int rip_name(const struct rival *rival)
{
    return rival->mode == X86_MODE_64 ? UC_X86_REG_RIP : UC_X86_REG_EIP;
}

/* A step of preparation, which has to work. */
static void must(uc_err error)
{
    if (error != UC_ERR_OK) {
        fprintf(stderr, "Unicorn: %s\n", uc_strerror(error));
        exit(EXIT_FAILURE);
    }
}

static uint32_t unicorn_in(uc_engine *engine, uint32_t port, int size, void *context)
{
    (void)engine;
    return stream_port_in(context, (uint16_t)port, (unsigned)size);
}

static void unicorn_out(uc_engine *engine, uint32_t port, int size, uint32_t value, void *context)
{
    uint32_t mask = size == 4 ? UINT32_MAX : (1u << (8 * size)) - 1;

    (void)engine;
    stream_port_out(context, (uint16_t)port, (unsigned)size, value & mask);
}

static void unicorn_exception(uc_engine *engine, uint32_t number, void *context)
{
    struct rival *rival = context;

    rival->exception = number;
    uc_emu_stop(engine);
}

static void rival_open(struct rival *rival, enum x86_mode mode)
{
    static const uc_mode modes[] = {UC_MODE_16, UC_MODE_32, UC_MODE_64};
    static const int selectors[] = {UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS,
                                    UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS};
    uint64_t fs_base = STREAM_FS_BASE;
    uint64_t gs_base = STREAM_GS_BASE;
    uint64_t cr4 = 0;
    uc_hook hook;

    memset(rival, 0, sizeof(*rival));
    rival->mode = mode;
    rival->code_base = mode == X86_MODE_16 ? STREAM_CODE_BASE : 0;
    must(uc_open(UC_ARCH_X86, modes[mode], &rival->engine));
    must(uc_mem_map_ptr(rival->engine, STREAM_DATA_BASE, STREAM_DATA_SIZE, UC_PROT_READ | UC_PROT_WRITE,
                        rival->machine.data));
    must(uc_mem_map(rival->engine, STREAM_CODE_BASE, STREAM_CODE_SIZE, UC_PROT_ALL));
    must(uc_hook_add(rival->engine, &hook, UC_HOOK_INSN, (void *)unicorn_in, &rival->machine, 1, 0, UC_X86_INS_IN));
    must(uc_hook_add(rival->engine, &hook, UC_HOOK_INSN, (void *)unicorn_out, &rival->machine, 1, 0, UC_X86_INS_OUT));
    must(uc_hook_add(rival->engine, &hook, UC_HOOK_INTR, (void *)unicorn_exception, rival, 1, 0));
    if (mode == X86_MODE_64) {
        must(uc_reg_write(rival->engine, UC_X86_REG_FS_BASE, &fs_base));
        must(uc_reg_write(rival->engine, UC_X86_REG_GS_BASE, &gs_base));
    } else if (mode == X86_MODE_16) {
        uint16_t cs = STREAM_CODE_BASE >> 4;

        must(uc_reg_write(rival->engine, UC_X86_REG_CS, &cs));
    }
    /* MOV CR4 by the processor itself: written from outside it would not switch SSE on. */
    must(uc_reg_read(rival->engine, UC_X86_REG_CR4, &cr4));
    cr4 |= X86_CR4_OSFXSR;
    must(uc_reg_write(rival->engine, gpr_names(rival)[X86_GPR_RAX], &cr4));
    must(uc_mem_write(rival->engine, STREAM_CODE_BASE, "\x0f\x22\xe0", 3));
    must(uc_emu_start(rival->engine, STREAM_CODE_BASE, STREAM_CODE_BASE + 3, 0, 0));
    for (size_t index = 0; index < X86_SEG_COUNT; index++) {
        must(uc_reg_read(rival->engine, selectors[index], &rival->selectors[index]));
    }
    must(uc_context_alloc(rival->engine, &rival->initial));
    must(uc_context_save(rival->engine, rival->initial));
}

/* Registers, flags, memory and code as the stream begins. */
static void rival_load(struct rival *rival, const struct stream *stream)
{
    const struct stream_state *state = &stream->before;

    must(uc_context_restore(rival->engine, rival->initial));
    for (unsigned index = 0; index < register_count(rival); index++) {
        must(uc_reg_write(rival->engine, gpr_names(rival)[index], &state->cpu.gpr[index]));
        must(uc_reg_write(rival->engine, UC_X86_REG_XMM0 + (int)index, &state->machine.vectors[index]));
    }
    must(uc_reg_write(rival->engine, UC_X86_REG_EFLAGS, &state->cpu.rflags));
    rival->machine = state->machine;
    must(uc_mem_write(rival->engine, STREAM_CODE_BASE, stream->code, stream->code_bytes));
    must(uc_ctl_remove_cache(rival->engine, STREAM_CODE_BASE, STREAM_CODE_BASE + STREAM_CODE_SIZE));
}

/* The processor's registers into `state`, its memory and port log with them. */
static void rival_save(const struct rival *rival, struct stream_state *state)
{
    state->machine = rival->machine;
    memset(&state->cpu, 0, sizeof(state->cpu));
    for (unsigned index = 0; index < register_count(rival); index++) {
        must(uc_reg_read(rival->engine, gpr_names(rival)[index], &state->cpu.gpr[index]));
        must(uc_reg_read(rival->engine, UC_X86_REG_XMM0 + (int)index, &state->machine.vectors[index]));
    }
    must(uc_reg_read(rival->engine, UC_X86_REG_EFLAGS, &state->cpu.rflags));
    must(uc_reg_read(rival->engine, rip_name(rival), &state->cpu.rip));
}

/* What differs between two states, or a null pointer. `undefined`: flags that may. */
static const char *find_difference(const struct stream_state *ours, const struct stream_state *theirs, uint64_t mask,
                                   uint64_t undefined)
{
    for (unsigned index = 0; index < X86_GPR_COUNT; index++) {
        if ((ours->cpu.gpr[index] & mask) != theirs->cpu.gpr[index]) {
            return "general register";
        }
    }
    if (ours->cpu.rip != theirs->cpu.rip) {
        return "instruction pointer";
    }
    if (((ours->cpu.rflags ^ theirs->cpu.rflags) & X86_RFLAGS_STATUS & ~undefined) != 0) {
        return "flags";
    }
    if (memcmp(ours->machine.vectors, theirs->machine.vectors, sizeof(ours->machine.vectors)) != 0) {
        return "vector register";
    }
    if (memcmp(ours->machine.data, theirs->machine.data, sizeof(ours->machine.data)) != 0) {
        return "memory";
    }
    return ours->machine.port_log != theirs->machine.port_log ? "ports" : NULL;
}

static const char *compare_states(const struct rival *rival, const struct stream_state *ours, uint64_t undefined)
{
    static struct stream_state theirs;

    rival_save(rival, &theirs);
    return find_difference(ours, &theirs, rival->mode == X86_MODE_64 ? UINT64_MAX : UINT32_MAX, undefined);
}

static void print_difference(const struct rival *rival, const struct stream_state *ours)
{
    static struct stream_state theirs;

    rival_save(rival, &theirs);
    for (unsigned index = 0; index < register_count(rival); index++) {
        if (ours->cpu.gpr[index] != theirs.cpu.gpr[index]) {
            fprintf(stderr, "  register %u: ours %#llx, Unicorn's %#llx\n", index,
                    (unsigned long long)ours->cpu.gpr[index], (unsigned long long)theirs.cpu.gpr[index]);
        }
    }
    fprintf(stderr, "  flags: ours %#llx, Unicorn's %#llx; instruction pointer: ours %#llx, Unicorn's %#llx\n",
            (unsigned long long)ours->cpu.rflags, (unsigned long long)theirs.cpu.rflags,
            (unsigned long long)ours->cpu.rip, (unsigned long long)theirs.cpu.rip);
    for (unsigned at = 0, count = 0; at < STREAM_DATA_SIZE && count < 4; at++) {
        if (ours->machine.data[at] != theirs.machine.data[at]) {
            fprintf(stderr, "  memory at %#x: ours %02x, Unicorn's %02x\n", STREAM_DATA_BASE + at,
                    ours->machine.data[at], theirs.machine.data[at]);
            count++;
        }
    }
}

/* Runs code from one RIP to another; false if Unicorn gives up. An exception ends it too. */
static bool rival_run(struct rival *rival, uint64_t first, uint64_t end)
{
    uc_err error;

    rival->exception = EXCEPTION_NONE;
    error = uc_emu_start(rival->engine, rival->code_base + first, rival->code_base + end, 0, 0);
    if (error != UC_ERR_OK) {
        fprintf(stderr, "Unicorn: %s\n", uc_strerror(error));
    }
    return error == UC_ERR_OK;
}

/* Lets Unicorn run the first `count` instructions; null if `ours` is where it gets, else what differs. */
static const char *find_disagreement(struct rival *rival, const struct stream *stream, uint32_t count,
                                     const struct stream_state *ours)
{
    const struct stream_insn *last = &stream->insns[count - 1];
    bool is_fault = stream->ends_with_fault && count == stream->insn_count;

    rival_load(rival, stream);
    if (!rival_run(rival, stream->insns[0].rip, last->rip + last->insn.length)) {
        return "end";
    }
    if (rival->exception != (is_fault ? (uint32_t)X86_VECTOR_DE : EXCEPTION_NONE)) {
        return "exception";
    }
    return compare_states(rival, ours, last->undefined);
}

static void print_code(const struct stream *stream, uint32_t index)
{
    const struct stream_insn *entry = &stream->insns[index];

    fprintf(stderr, "  %u: mode %d, operation %d, code", index, 16 << stream->mode, (int)entry->insn.op);
    for (uint32_t at = 0; at < entry->insn.length; at++) {
        fprintf(stderr, " %02x", stream->code[entry->rip - stream->insns[0].rip + at]);
    }
    fprintf(stderr, "\n");
}

/*
 * Lets Unicorn run more and more of a stream whose end differs, always from the beginning, since what it translates as
 * a whole can differ from single steps; prints the first instruction behind which something does.
 */
static void print_culprit(struct rival *rival, const struct stream *stream)
{
    static struct stream_state state;

    state = stream->before;
    for (uint32_t index = 0; index < stream->insn_count; index++) {
        const char *what;

        (void)stream_execute(stream, index, &state);
        what = find_disagreement(rival, stream, index + 1, &state);
        if (what == NULL) {
            continue;
        }
        fprintf(stderr, "%s differs; exception %d\n", what, (int)rival->exception);
        for (uint32_t before = index < 3 ? 0 : index - 3; before <= index; before++) {
            print_code(stream, before);
        }
        print_difference(rival, &state);
        return;
    }
    fprintf(stderr, "no part of it differs\n");
}

/* Instructions of one mode in one process, at least `count` beside those that set registers; how many differed. */
static unsigned compare_streams(enum x86_mode mode, uint64_t seed, uint64_t count)
{
    static struct rival rival;
    static struct stream stream;
    static uint64_t op_counts[X86_OP_MOV_FROM_SEG + 1];
    unsigned failures = 0;
    uint64_t done = 0;

    rival_open(&rival, mode);
    for (uint64_t number = 0; done < count && failures < REPORTS_MAX; number++) {
        if (!stream_make(&stream, mode, seed + number, rival.selectors, wrong_flags)) {
            fprintf(stderr, "stream %#llx\n", (unsigned long long)(seed + number));
            return 1;
        }
        if (find_disagreement(&rival, &stream, stream.insn_count, &stream.after) != NULL) {
            fprintf(stderr, "stream %#llx: ", (unsigned long long)(seed + number));
            print_culprit(&rival, &stream);
            failures++;
        }
        for (uint32_t index = 0; index < stream.insn_count; index++) {
            op_counts[stream.insns[index].insn.op]++;
        }
        done += stream.insn_count - stream.move_count;
    }
    for (size_t op = X86_OP_ADD; op <= X86_OP_MOV_FROM_SEG && count >= PROCESS_COUNT; op++) {
        if (op_counts[op] == 0) {
            fprintf(stderr, "operation %zu never came\n", op);
            failures++;
        }
    }
    uc_context_free(rival.initial);
    uc_close(rival.engine);
    return failures;
}

/* The same in a process of its own, for Unicorn can abort. */
static bool compare_in_child(enum x86_mode mode, uint64_t seed, uint64_t count)
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        _exit(compare_streams(mode, seed, count) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "signal %d; mode %d, streams from %#llx on\n", WTERMSIG(status), 16 << mode,
                (unsigned long long)seed);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static void test_against_unicorn(void **state)
{
    uint64_t count = generated_count(USUAL_COUNT);
    uint64_t seed = generated_seed();
    uint64_t done = 0;

    (void)state;
    for (unsigned part = 0; done < count; part++) {
        enum x86_mode mode = (enum x86_mode)(part % 3);

        /* Streams of one part have seeds in a row, far from those of the others. */
        assert_true(compare_in_child(mode, seed + ((uint64_t)part << 32), PROCESS_COUNT));
        done += PROCESS_COUNT;
    }
    fprintf(stderr, "%llu instructions compared; left out:\n", (unsigned long long)done);
    for (size_t index = 0; index < ARRAY_SIZE(known_differences); index++) {
        fprintf(stderr, "  %s\n", known_differences[index].reason);
    }
}

/* A stream whose end has all flags defined, and Unicorn that agrees with it. */
static void prepare_planting(struct rival *rival, struct stream *stream)
{
    uint64_t seed = 0;

    rival_open(rival, X86_MODE_64);
    do {
        seed++;
        assert_true(stream_make(stream, X86_MODE_64, seed, rival->selectors, wrong_flags));
    } while (stream->ends_with_fault || stream->insns[stream->insn_count - 1].undefined != 0);
    assert_null(find_disagreement(rival, stream, stream->insn_count, &stream->after));
}

static void expect_difference(struct rival *rival, struct stream *stream, const char *what)
{
    const char *found = find_disagreement(rival, stream, stream->insn_count, &stream->after);

    assert_non_null(found);
    assert_string_equal(found, what);
}

/* A result that is wrong by a bit, of each kind. */
static void test_sees_wrong_results(void **state)
{
    static struct rival rival;
    static struct stream stream;
    static struct stream planted;

    (void)state;
    prepare_planting(&rival, &stream);
    planted = stream;
    planted.after.cpu.gpr[X86_GPR_R15] ^= 1ull << 63;
    expect_difference(&rival, &planted, "general register");
    planted = stream;
    planted.after.cpu.rip++;
    expect_difference(&rival, &planted, "instruction pointer");
    for (uint64_t flag = 1; flag <= X86_RFLAGS_OF; flag <<= 1) {
        planted = stream;
        planted.after.cpu.rflags ^= flag & X86_RFLAGS_STATUS;
        if ((flag & X86_RFLAGS_STATUS) != 0) {
            expect_difference(&rival, &planted, "flags");
        }
    }
    planted = stream;
    planted.after.machine.vectors[15].qwords[1] ^= 1;
    expect_difference(&rival, &planted, "vector register");
    planted = stream;
    planted.after.machine.data[STREAM_DATA_SIZE - 1] ^= 1;
    expect_difference(&rival, &planted, "memory");
    planted = stream;
    planted.after.machine.port_log ^= 1;
    expect_difference(&rival, &planted, "ports");
    uc_context_free(rival.initial);
    uc_close(rival.engine);
}

/* A byte of the code that one of the two has not seen changing, and an exception that only one of them raises. */
static void test_sees_stale_code(void **state)
{
    static struct rival rival;
    static struct stream stream;
    static struct stream planted;
    const struct stream_insn *last;
    uint32_t index = 0;

    (void)state;
    prepare_planting(&rival, &stream);
    /* The last instruction that loads a register with an immediate, and nothing behind it. */
    for (uint32_t at = 0; at < stream.insn_count; at++) {
        const struct x86_insn *insn = &stream.insns[at].insn;

        index = insn->op == X86_OP_MOV && insn->immediate_size == 8 ? at : index;
    }
    assert_true(index > 0);
    planted = stream;
    planted.insn_count = index + 1;
    planted.after = planted.before;
    for (uint32_t at = 0; at <= index; at++) {
        assert_int_equal(stream_execute(&planted, at, &planted.after), X86_EXECUTE_DONE);
    }
    assert_null(find_disagreement(&rival, &planted, planted.insn_count, &planted.after));
    last = &planted.insns[index];
    planted.code[last->rip - planted.insns[0].rip + last->insn.length - 1] ^= 1;
    expect_difference(&rival, &planted, "general register");
    /* UD2, and a division by zero (div rcx behind xor ecx, ecx), in place of the MOV of ten bytes. */
    memcpy(&planted.code[last->rip - planted.insns[0].rip], "\x0f\x0b", 2);
    expect_difference(&rival, &planted, "end");
    memcpy(&planted.code[last->rip - planted.insns[0].rip], "\x31\xc9\x48\xf7\xf1", 5);
    expect_difference(&rival, &planted, "exception");
    uc_context_free(rival.initial);
    uc_close(rival.engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sees_wrong_results),
        cmocka_unit_test(test_sees_stale_code),
        cmocka_unit_test(test_against_unicorn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
