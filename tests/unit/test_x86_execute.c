/* SPDX-License-Identifier: MIT */
/*
 * Tests of hv/lib/x86/x86_execute.c by hand: faults, repetitions that are interrupted, AVX, and what Unicorn is known
 * to get wrong. Everything else is compared with Unicorn by test_x86_streams.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/lib/x86/x86_execute.h"

#define DATA_BASE 0x4000u
#define DATA_SIZE 0x8000u
#define FS_BASE   0x1230u
#define GS_BASE   0x0550u

/** What is behind the callbacks of the executor. */
struct machine {
    uint8_t data[DATA_SIZE]; /* linear addresses from DATA_BASE on */
    struct x86_vector vectors[16];
    unsigned port_in_count;
    unsigned port_out_count;
    unsigned read_count;
    unsigned write_count;
    unsigned probe_count;
    /* The access with this number (from 1, counted per kind) is answered otherwise. */
    unsigned failing_read;
    unsigned failing_write;
    unsigned failing_probe;
    enum x86_access_status failure;
};

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
    struct machine *machine = context;

    (void)port, (void)size, (void)fault;
    machine->port_in_count++;
    *value = 0x5a;
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_port_out(void *context, uint16_t port, unsigned size, uint32_t value,
                                               struct x86_fault *fault)
{
    struct machine *machine = context;

    (void)port, (void)size, (void)value, (void)fault;
    machine->port_out_count++;
    return X86_ACCESS_OK;
}

static enum x86_access_status machine_read_vector(void *context, unsigned index, unsigned size,
                                                  struct x86_vector *value)
{
    struct machine *machine = context;

    memcpy(value, &machine->vectors[index], size);
    return X86_ACCESS_OK;
}

static void machine_write_vector(void *context, unsigned index, unsigned size, const struct x86_vector *value)
{
    struct machine *machine = context;

    memcpy(&machine->vectors[index], value, size);
}

static const struct x86_memory_ops machine_ops = {
    .read = machine_read,
    .write = machine_write,
    .probe_write = machine_probe_write,
    .port_in = machine_port_in,
    .port_out = machine_port_out,
    .read_vector = machine_read_vector,
    .write_vector = machine_write_vector,
};

/* A processor at CPL 0 with flat segments. */
static void cpu_reset(struct x86_cpu *cpu, enum x86_mode mode)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->cr0 = X86_CR0_PE;
    cpu->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXSAVE;
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
    bench->cpu.cr4 |= X86_CR4_LA57;
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
    assert_int_equal(bench_run(bench, "\x0f\xa2", 2), X86_EXECUTE_UNSUPPORTED);                 /* cpuid */
    assert_int_equal(bench_run(bench, "\xff\x13", 2), X86_EXECUTE_UNSUPPORTED);                 /* call [rbx] */
    assert_int_equal(bench_run(bench, "\x9c", 1), X86_EXECUTE_UNSUPPORTED);                     /* pushf */
    assert_int_equal(bench_run(bench, "\x8e\x1b", 2), X86_EXECUTE_UNSUPPORTED);                 /* mov ds, [rbx] */
    assert_int_equal(bench_run(bench, "\x0f\x6f\x03", 3), X86_EXECUTE_UNSUPPORTED);             /* movq mm0, [rbx] */
    assert_int_equal(bench_run(bench, "\x66\x0f\xef\x03", 4), X86_EXECUTE_UNSUPPORTED);         /* pxor xmm0, [rbx] */
    assert_int_equal(bench_run(bench, "\x62\xf1\x7c\x48\x10\x03", 6), X86_EXECUTE_UNSUPPORTED); /* vmovups zmm0 */
    assert_memory_equal(&bench->cpu, &before, sizeof(before));
    assert_int_equal(bench->machine.read_count + bench->machine.write_count + bench->machine.probe_count, 0);
    /* Without port callbacks there are no port instructions. */
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)"\xed", 1, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(x86_execute(&bench->cpu, &bench->insn, &no_ports, &bench->machine, &bench->fault),
                     X86_EXECUTE_UNSUPPORTED);
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)"\x6f", 1, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(x86_execute(&bench->cpu, &bench->insn, &no_ports, &bench->machine, &bench->fault),
                     X86_EXECUTE_UNSUPPORTED);
    /* Likewise vectors. */
    assert_int_equal(x86_decode(&bench->insn, (const uint8_t *)"\x0f\x10\x03", 3, X86_MODE_64), X86_DECODE_OK);
    assert_int_equal(x86_execute(&bench->cpu, &bench->insn, &no_ports, &bench->machine, &bench->fault),
                     X86_EXECUTE_UNSUPPORTED);
}

/* The flags that the manual defines are compared with Unicorn; these are the registers that it gets wrong. */
static void test_compare_exchange(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);

    (void)state;
    /* cmpxchg [rbx], ecx: equal, so RAX is not written, nor is its upper half cleared. */
    bench->cpu.gpr[X86_GPR_RBX] = 0x7000;
    bench->cpu.gpr[X86_GPR_RAX] = 0xffffffff03020100;
    bench->cpu.gpr[X86_GPR_RCX] = 0x11223344;
    assert_int_equal(bench_run(bench, "\x0f\xb1\x0b", 3), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 0xffffffff03020100);
    assert_memory_equal(bench->machine.data + 0x3000, "\x44\x33\x22\x11\x04", 5);
    assert_int_equal(bench->cpu.rflags & X86_RFLAGS_ZF, X86_RFLAGS_ZF);
    /* Not equal: RAX is, and memory is written all the same. */
    bench->cpu.gpr[X86_GPR_RAX] = 0xffffffff00000000;
    assert_int_equal(bench_run(bench, "\x0f\xb1\x0b", 3), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 0x11223344);
    assert_int_equal(bench->machine.write_count, 2);
    assert_int_equal(bench->cpu.rflags & X86_RFLAGS_ZF, 0);
    /* cmpxchg r8d, ecx, not equal: R8 stays as a whole. */
    bench->cpu.gpr[X86_GPR_R8] = 0xeeeeeeee00000001;
    assert_int_equal(bench_run(bench, "\x41\x0f\xb1\xc8", 4), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_R8], 0xeeeeeeee00000001);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 1);
    /* cmpxchg16b [rbx]: has to be aligned. */
    bench = bench_reset(X86_MODE_64);
    bench->cpu.gpr[X86_GPR_RBX] = 0x7008;
    expect_fault(bench, bench_run(bench, "\x48\x0f\xc7\x0b", 4), X86_VECTOR_GP, true);
    bench->cpu.gpr[X86_GPR_RBX] = 0x7000;
    bench->machine.failing_probe = 1;
    assert_int_equal(bench_run(bench, "\x48\x0f\xc7\x0b", 4), X86_EXECUTE_FAULT);
    assert_int_equal(bench->machine.read_count, 0);
    assert_int_equal(bench_run(bench, "\x48\x0f\xc7\x0b", 4), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 0x0706050403020100);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RDX], 0x0f0e0d0c0b0a0908);
}

static void test_stack(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);
    struct x86_cpu before;

    (void)state;
    /* pop [rsp + 8]: the address is that of the stack pointer behind the pop. */
    bench->cpu.gpr[X86_GPR_RSP] = 0x7000;
    assert_int_equal(bench_run(bench, "\x8f\x44\x24\x08", 4), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RSP], 0x7008);
    assert_memory_equal(bench->machine.data + 0x3010, "\x00\x01\x02\x03\x04\x05\x06\x07", 8);
    /* push [rsp + 8]: here it is that in front of it. */
    assert_int_equal(bench_run(bench, "\xff\x74\x24\x08", 4), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RSP], 0x7000);
    assert_memory_equal(bench->machine.data + 0x3000, "\x00\x01\x02\x03\x04\x05\x06\x07", 8);
    /* push rsp, pop rsp: the old value, and the value popped. */
    assert_int_equal(bench_run(bench, "\x54", 1), X86_EXECUTE_DONE);
    assert_int_equal(bench_run(bench, "\x5c", 1), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RSP], 0x7000);
    /* pop [rbx] to where nothing can be written: the stack pointer stays. */
    bench->cpu.gpr[X86_GPR_RBX] = 0x8000;
    bench->machine.failing_write = bench->machine.write_count + 1;
    before = bench->cpu;
    assert_int_equal(bench_run(bench, "\x8f\x03", 2), X86_EXECUTE_FAULT);
    assert_memory_equal(&bench->cpu, &before, sizeof(before));
    /* push [rbx] with no room on the stack: what may be a device is not read. */
    bench->machine.failing_probe = bench->machine.probe_count + 1;
    bench->machine.read_count = 0;
    assert_int_equal(bench_run(bench, "\xff\x33", 2), X86_EXECUTE_FAULT);
    assert_int_equal(bench->machine.read_count, 0);
    /* A stack pointer that is not canonical, and a stack segment that is too small: #SS. */
    bench = bench_reset(X86_MODE_64);
    bench->cpu.gpr[X86_GPR_RSP] = 0x0000800000000008;
    expect_fault(bench, bench_run(bench, "\x50", 1), X86_VECTOR_SS, true);
    bench = bench_reset(X86_MODE_32);
    bench->cpu.gpr[X86_GPR_RSP] = 0x7004;
    bench->cpu.segments[X86_SEG_SS].limit = 0x7002;
    expect_fault(bench, bench_run(bench, "\x50", 1), X86_VECTOR_SS, true);
    /* A 16-bit stack of 32-bit code: 16 bits of the stack pointer count and change. */
    bench->cpu.segments[X86_SEG_SS] = (struct x86_segment){.limit = 0xffff, .attributes = 0x8093};
    bench->cpu.gpr[X86_GPR_RSP] = 0x12347004;
    assert_int_equal(bench_run(bench, "\x50", 1), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RSP], 0x12347000);
}

static void test_vector_faults(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);

    (void)state;
    bench->cpu.gpr[X86_GPR_RBX] = 0x7008;
    expect_fault(bench, bench_run(bench, "\x0f\x28\x03", 3), X86_VECTOR_GP, true);     /* movaps xmm0, [rbx] */
    expect_fault(bench, bench_run(bench, "\x66\x0f\xe7\x03", 4), X86_VECTOR_GP, true); /* movntdq [rbx], xmm0 */
    bench->cpu.gpr[X86_GPR_RBX] = 0x7010;
    expect_fault(bench, bench_run(bench, "\xc5\xfd\x6f\x03", 4), X86_VECTOR_GP, true); /* vmovdqa ymm0, [rbx] */
    bench->cpu.cr0 |= X86_CR0_TS;
    expect_fault(bench, bench_run(bench, "\x0f\x10\x03", 3), X86_VECTOR_NM, false);
    bench->cpu.cr0 = X86_CR0_PE | X86_CR0_EM;
    expect_fault(bench, bench_run(bench, "\x0f\x10\x03", 3), X86_VECTOR_UD, false);
    bench->cpu.cr0 = X86_CR0_PE;
    bench->cpu.cr4 = X86_CR4_OSXSAVE;
    expect_fault(bench, bench_run(bench, "\x0f\x10\x03", 3), X86_VECTOR_UD, false);
    bench->cpu.cr4 = X86_CR4_OSFXSR;
    expect_fault(bench, bench_run(bench, "\xc5\xf8\x10\x03", 4), X86_VECTOR_UD, false);
    /* mov [rbx], xmm0 to where nothing can be written; a fault of a load leaves the register. */
    bench->machine.failing_write = 1;
    assert_int_equal(bench_run(bench, "\x0f\x11\x03", 3), X86_EXECUTE_FAULT);
    bench->machine.failing_read = 1;
    bench->machine.vectors[0].qwords[0] = 7;
    assert_int_equal(bench_run(bench, "\x0f\x10\x03", 3), X86_EXECUTE_FAULT);
    assert_int_equal(bench->machine.vectors[0].qwords[0], 7);
    assert_int_equal(bench->cpu.rip, 0);
}

/** An AVX move and what it does to YMM 1 or to memory at 0x7000. */
struct avx_vector {
    const char *text;
    const char *code;
    uint8_t size;
    uint8_t stored_bytes; /* of YMM 1 from `stored_first` on; 0: it is a load */
    uint8_t stored_first;
    uint64_t loaded[4];
};

/* Memory holds its own addresses' low bytes; YMM 1 holds 0x11.., YMM 2 0x22... in all bytes. */
#define M0 0x0706050403020100
#define M1 0x0f0e0d0c0b0a0908
#define M2 0x1716151413121110
#define M3 0x1f1e1d1c1b1a1918
#define V2 0x2222222222222222

static const struct avx_vector avx_vectors[] = {
    {"vmovups xmm1, [rbx]", "\xc5\xf8\x10\x0b", 4, 0, 0, {M0, M1}},
    {"vmovups ymm1, [rbx]", "\xc5\xfc\x10\x0b", 4, 0, 0, {M0, M1, M2, M3}},
    {"vmovupd ymm1, [rbx]", "\xc5\xfd\x10\x0b", 4, 0, 0, {M0, M1, M2, M3}},
    {"vmovss xmm1, [rbx]", "\xc5\xfa\x10\x0b", 4, 0, 0, {0x03020100}},
    {"vmovsd xmm1, [rbx]", "\xc5\xfb\x10\x0b", 4, 0, 0, {M0}},
    {"vmovups [rbx], ymm1", "\xc5\xfc\x11\x0b", 4, 32, 0, {0}},
    {"vmovss [rbx], xmm1", "\xc5\xfa\x11\x0b", 4, 4, 0, {0}},
    {"vmovlps xmm1, xmm2, [rbx]", "\xc5\xe8\x12\x0b", 4, 0, 0, {M0, V2}},
    {"vmovlps [rbx], xmm1", "\xc5\xf8\x13\x0b", 4, 8, 0, {0}},
    {"vmovhpd xmm1, xmm2, [rbx]", "\xc5\xe9\x16\x0b", 4, 0, 0, {V2, M0}},
    {"vmovhps [rbx], xmm1", "\xc5\xf8\x17\x0b", 4, 8, 8, {0}},
    {"vmovaps ymm1, [rbx]", "\xc5\xfc\x28\x0b", 4, 0, 0, {M0, M1, M2, M3}},
    {"vmovapd [rbx], xmm1", "\xc5\xf9\x29\x0b", 4, 16, 0, {0}},
    {"vmovntps [rbx], ymm1", "\xc5\xfc\x2b\x0b", 4, 32, 0, {0}},
    {"vmovd xmm1, [rbx]", "\xc5\xf9\x6e\x0b", 4, 0, 0, {0x03020100}},
    {"vmovq xmm1, [rbx] by W", "\xc4\xe1\xf9\x6e\x0b", 5, 0, 0, {M0}},
    {"vmovdqa ymm1, [rbx]", "\xc5\xfd\x6f\x0b", 4, 0, 0, {M0, M1, M2, M3}},
    {"vmovdqu xmm1, [rbx]", "\xc5\xfa\x6f\x0b", 4, 0, 0, {M0, M1}},
    {"vmovd [rbx], xmm1", "\xc5\xf9\x7e\x0b", 4, 4, 0, {0}},
    {"vmovq xmm1, [rbx]", "\xc5\xfa\x7e\x0b", 4, 0, 0, {M0}},
    {"vmovdqu [rbx], ymm1", "\xc5\xfe\x7f\x0b", 4, 32, 0, {0}},
    {"vmovq [rbx], xmm1", "\xc5\xf9\xd6\x0b", 4, 8, 0, {0}},
    {"vmovntdq [rbx], ymm1", "\xc5\xfd\xe7\x0b", 4, 32, 0, {0}},
    {"vlddqu ymm1, [rbx]", "\xc5\xff\xf0\x0b", 4, 0, 0, {M0, M1, M2, M3}},
    {"vmovntdqa ymm1, [rbx]", "\xc4\xe2\x7d\x2a\x0b", 5, 0, 0, {M0, M1, M2, M3}},
    {"vmovntdqa xmm1, [rbx]", "\xc4\xe2\x79\x2a\x0b", 5, 0, 0, {M0, M1}},
};

static void test_avx(void **state)
{
    (void)state;
    for (size_t index = 0; index < ARRAY_SIZE(avx_vectors); index++) {
        const struct avx_vector *vector = &avx_vectors[index];
        struct bench *bench = bench_reset(X86_MODE_64);
        uint8_t expected[DATA_SIZE];

        memcpy(expected, bench->machine.data, sizeof(expected));
        for (unsigned byte = 0; byte < 32; byte++) {
            ((uint8_t *)&bench->machine.vectors[1])[byte] = (uint8_t)(0x80 + byte);
        }
        memset(&bench->machine.vectors[2], 0x22, 32);
        bench->cpu.gpr[X86_GPR_RBX] = 0x7000;
        if (bench_run(bench, vector->code, vector->size) != X86_EXECUTE_DONE) {
            fail_msg("%s: not executed", vector->text);
        }
        for (unsigned byte = 0; byte < vector->stored_bytes; byte++) {
            expected[0x7000 - DATA_BASE + byte] = (uint8_t)(0x80 + vector->stored_first + byte);
        }
        if (memcmp(expected, bench->machine.data, sizeof(expected)) != 0) {
            fail_msg("%s: memory", vector->text);
        }
        if (vector->stored_bytes == 0 &&
            memcmp(&bench->machine.vectors[1], vector->loaded, sizeof(vector->loaded)) != 0) {
            fail_msg("%s: register", vector->text);
        }
    }
    {
        /* movups xmm1, [rbx]: without VEX the upper half of YMM 1 stays. */
        struct bench *bench = bench_reset(X86_MODE_64);

        bench->machine.vectors[1].qwords[2] = 5;
        bench->cpu.gpr[X86_GPR_RBX] = 0x7000;
        assert_int_equal(bench_run(bench, "\x0f\x10\x0b", 3), X86_EXECUTE_DONE);
        assert_int_equal(bench->machine.vectors[1].qwords[1], M1);
        assert_int_equal(bench->machine.vectors[1].qwords[2], 5);
    }
}

/* Of divisions Unicorn sees many; here the ones at the edges. */
static void test_division(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);

    (void)state;
    /* idiv rcx: the most negative quotient fits, its opposite does not. */
    bench->cpu.gpr[X86_GPR_RDX] = UINT64_MAX;
    bench->cpu.gpr[X86_GPR_RAX] = 1ull << 63;
    bench->cpu.gpr[X86_GPR_RCX] = 1;
    assert_int_equal(bench_run(bench, "\x48\xf7\xf9", 3), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 1ull << 63);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RDX], 0);
    bench = bench_reset(X86_MODE_64);
    bench->cpu.gpr[X86_GPR_RDX] = UINT64_MAX;
    bench->cpu.gpr[X86_GPR_RAX] = 1ull << 63;
    bench->cpu.gpr[X86_GPR_RCX] = UINT64_MAX;
    expect_fault(bench, bench_run(bench, "\x48\xf7\xf9", 3), X86_VECTOR_DE, false);
    bench->cpu.gpr[X86_GPR_RCX] = 0;
    expect_fault(bench, bench_run(bench, "\x48\xf7\xf1", 3), X86_VECTOR_DE, false);
    /* div rcx with a dividend of 128 bits. */
    bench->cpu.gpr[X86_GPR_RDX] = 0x123456789abcdef0;
    bench->cpu.gpr[X86_GPR_RAX] = 0x0fedcba987654321;
    bench->cpu.gpr[X86_GPR_RCX] = UINT64_MAX;
    assert_int_equal(bench_run(bench, "\x48\xf7\xf1", 3), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 0x123456789abcdef0);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RDX], 0x2222222222222211);
}

/* A segment register has 16 bits in memory; as a register operand it is extended with zeros. */
static void test_segment_store(void **state)
{
    struct bench *bench = bench_reset(X86_MODE_64);

    (void)state;
    bench->cpu.gpr[X86_GPR_RBX] = 0x7000;
    bench->cpu.segments[X86_SEG_GS].selector = 0xabcd;
    assert_int_equal(bench_run(bench, "\x48\x8c\x2b", 3), X86_EXECUTE_DONE);
    assert_memory_equal(bench->machine.data + 0x3000, "\xcd\xab\x02\x03", 4);
    bench->cpu.gpr[X86_GPR_RAX] = UINT64_MAX;
    assert_int_equal(bench_run(bench, "\x8c\xe8", 2), X86_EXECUTE_DONE);
    assert_int_equal(bench->cpu.gpr[X86_GPR_RAX], 0xabcd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_linear_address),
        cmocka_unit_test(test_segment_limits),
        cmocka_unit_test(test_real_mode),
        cmocka_unit_test(test_callback_fault),
        cmocka_unit_test(test_repetition),
        cmocka_unit_test(test_completion),
        cmocka_unit_test(test_compare_exchange),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_vector_faults),
        cmocka_unit_test(test_avx),
        cmocka_unit_test(test_division),
        cmocka_unit_test(test_segment_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
