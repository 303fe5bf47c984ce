/* SPDX-License-Identifier: MIT */
/* links: hv/hypercall/engine.c */
/*
 * The hypercall engine over a table, memory and VP of its own: every check in its order, both register conventions,
 * copies, batches, continuation, faults on parameter pages. The calls themselves are tested in tests/sim.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_hypercall.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/hypercall/engine.h"
#include "hv/hypercall/table.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/exit_record.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/intercept.h"
#include "hv/partition/partition.h"
#include "hv/partition/rcu.h"
#include "hv/partition/vp.h"

#define PAGES      8u
#define R8         8u
#define INPUT_GPA  0x1000u
#define OUTPUT_GPA 0x2000u

enum fake_code {
    FAKE_SIMPLE = 0x11,
    FAKE_FAST,
    FAKE_REP,
    FAKE_VARIABLE,
    FAKE_ROOT_ONLY,
    FAKE_PRIVILEGED,
    FAKE_REP_BARE,
    FAKE_OUTPUT_ONLY,
    FAKE_REP_FAST,
};

/* What the fake handler saw, and what it is to do. */
static struct {
    unsigned calls;
    uint8_t input[HYPERCALL_INPUT_MAX];
    uint32_t variable_count;
    uint64_t first_variable;
    uint32_t rep_first;
    uint32_t rep_count;
    uint64_t rep_inputs[16];
    hv_status_t status;
    uint32_t stop_after; /* elements to complete at most */
    bool skips_output;
    bool hides_output; /* makes the output page unreachable meanwhile */
} handler;

static struct partition partition;
static struct vp vp;
static uint8_t memory[PAGES][4096];
static enum gpa_state states[PAGES];
static bool read_only[PAGES];
static bool long_mode;
static bool xmm_advertised;
static uint64_t xmm[12];
static unsigned intercepts;
static unsigned undefined_exceptions;
static int rcu_depth;
static uint64_t traced_control;
static uint64_t traced_result;

static hv_status_t fake_handler(struct hypercall_context *call)
{
    assert_int_equal(rcu_depth, 1);
    assert_ptr_equal(call->vp, &vp);
    assert_ptr_equal(call->caller, &partition);
    assert_int_equal((uintptr_t)call->input % 8, 0);
    handler.calls++;
    memcpy(handler.input, call->input, call->row->input_size);
    handler.variable_count = call->variable_count;
    handler.first_variable = call->variable_count != 0 ? call->variable[0] : 0;
    handler.rep_first = call->rep_first;
    handler.rep_count = call->rep_count;
    call->skips_output = handler.skips_output;
    if (call->row->rep_batch == 0) {
        for (uint32_t i = 0; i < call->row->output_size; i++) {
            assert_int_equal(((uint8_t *)call->output)[i], 0);
        }
        memset(call->output, 0xAB, call->row->output_size);
    }
    for (uint32_t i = 0; i < call->rep_count && i < handler.stop_after; i++) {
        uint64_t element = 0;

        if (call->row->rep_input_size != 0) {
            memcpy(&element, (const uint8_t *)call->rep_input + i * call->row->rep_input_size, sizeof(element));
            handler.rep_inputs[call->rep_first + i] = element;
        }
        if (call->row->rep_output_size != 0) {
            uint32_t answer = (uint32_t)element + 1;

            memcpy((uint8_t *)call->output + i * sizeof(answer), &answer, sizeof(answer));
        }
        call->reps_done++;
    }
    if (handler.hides_output) {
        states[2] = GPA_NO_ACCESS;
    }
    return handler.status;
}

static const struct hypercall_row rows[] = {
    {.code = FAKE_SIMPLE, .handler = fake_handler, .input_size = 12, .output_size = 8},
    {.code = FAKE_FAST, .handler = fake_handler, .input_size = 16, .allows_fast = true},
    {.code = FAKE_REP,
     .handler = fake_handler,
     .input_size = 8,
     .rep_input_size = 8,
     .rep_output_size = 4,
     .rep_batch = 4},
    {.code = FAKE_VARIABLE, .handler = fake_handler, .input_size = 24, .variable_max = 10, .allows_fast = true},
    {.code = FAKE_ROOT_ONLY, .handler = fake_handler, .input_size = 8, .is_root_only = true},
    {.code = FAKE_PRIVILEGED,
     .handler = fake_handler,
     .input_size = 8,
     .privileges = HV_POST_MESSAGES | HV_SIGNAL_EVENTS},
    {.code = FAKE_REP_BARE, .handler = fake_handler, .input_size = 8, .rep_batch = 4},
    {.code = FAKE_OUTPUT_ONLY, .handler = fake_handler, .output_size = 8, .allows_fast = true},
    {.code = FAKE_REP_FAST,
     .handler = fake_handler,
     .input_size = 24,
     .rep_input_size = 8,
     .rep_batch = 4,
     .allows_fast = true},
};

const struct hypercall_row *hypercall_find(uint16_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool reach(gpa_t address, size_t bytes, bool is_write)
{
    for (uint64_t page = address.value >> 12; bytes != 0 && page <= (address.value + bytes - 1) >> 12; page++) {
        if (page >= PAGES || states[page] != GPA_MAPPED || (is_write && read_only[page])) {
            return false;
        }
    }
    return true;
}

bool gpa_read(struct partition *from, gpa_t address, void *to, size_t bytes)
{
    assert_ptr_equal(from, &partition);
    if (!reach(address, bytes, false)) {
        return false;
    }
    memcpy(to, &memory[0][0] + address.value, bytes);
    return true;
}

bool gpa_write(struct partition *to, gpa_t address, const void *from, size_t bytes)
{
    assert_ptr_equal(to, &partition);
    if (!reach(address, bytes, true)) {
        return false;
    }
    memcpy(&memory[0][0] + address.value, from, bytes);
    return true;
}

bool gpa_is_writable(struct partition *of, gpa_t address, size_t bytes)
{
    assert_ptr_equal(of, &partition);
    return reach(address, bytes, true);
}

struct gpa_mapping gpa_lookup(struct gpa_space *space, gpa_t address)
{
    assert_ptr_equal(space, &partition.space);
    return (struct gpa_mapping){.state = address.value >> 12 < PAGES ? states[address.value >> 12] : GPA_UNMAPPED};
}

bool vp_is_long_mode(struct vp *of)
{
    assert_ptr_equal(of, &vp);
    return long_mode;
}

hv_status_t vp_get_register(struct vp *of, uint32_t name, union hv_register_value *value)
{
    assert_ptr_equal(of, &vp);
    assert_in_range(name, HvX64RegisterXmm0, HvX64RegisterXmm0 + 5);
    value->reg128.low_part = xmm[2 * (name - HvX64RegisterXmm0)];
    value->reg128.high_part = xmm[2 * (name - HvX64RegisterXmm0) + 1];
    return HV_STATUS_SUCCESS;
}

void vp_inject_exception(struct vp *of, uint8_t vector, bool has_error, uint32_t error)
{
    assert_ptr_equal(of, &vp);
    assert_int_equal(vector, X86_VECTOR_UD);
    assert_false(has_error);
    assert_int_equal(error, 0);
    undefined_exceptions++;
}

void cpuid_query(struct vp *of, uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT])
{
    assert_ptr_equal(of, &vp);
    assert_int_equal(leaf, HV_CPUID_FEATURES);
    assert_int_equal(subleaf, 0);
    memset(out, 0, CPUID_REGISTER_COUNT * sizeof(*out));
    out[CPUID_EDX] = xmm_advertised ? HV_FEATURE_XMM_HYPERCALL_INPUT : 0;
}

void intercept_memory(struct vp *of, const struct exit_memory *access, bool is_unmapped)
{
    assert_ptr_equal(of, &vp);
    assert_false(is_unmapped);
    assert_int_equal(states[access->gpa.value >> 12], GPA_NO_ACCESS);
    intercepts++;
}

void rcu_enter(void)
{
    rcu_depth++;
}

void rcu_leave(void)
{
    rcu_depth--;
}

uint64_t trace_mask = UINT64_MAX;

void trace_write(enum trace_event_id event, uint32_t id, uint64_t a, uint64_t b)
{
    assert_int_equal(event, TRACE_HYPERCALL);
    assert_int_equal(id, vp.trace_id);
    traced_control = a;
    traced_result = b;
}

void panic(const char *format, ...)
{
    fail_msg("panic: %s", format);
    abort();
}

static int setup(void **state)
{
    (void)state;
    memset(&partition, 0, sizeof(partition));
    memset(&vp, 0, sizeof(vp));
    memset(&handler, 0, sizeof(handler));
    memset(memory, 0, sizeof(memory));
    memset(read_only, 0, sizeof(read_only));
    memset(xmm, 0, sizeof(xmm));
    for (size_t i = 0; i < PAGES; i++) {
        states[i] = GPA_MAPPED;
    }
    partition.id = 2;
    partition.privileges = UINT64_MAX;
    partition.space.limit = UINT64_C(1) << 48;
    vp.partition = &partition;
    vp.trace_id = 0x20001;
    handler.stop_after = UINT32_MAX;
    long_mode = true;
    xmm_advertised = true;
    intercepts = 0;
    undefined_exceptions = 0;
    rcu_depth = 0;
    traced_control = traced_result = 0;
    return 0;
}

static void be_root(void)
{
    partition.is_root = true;
    vp.is_root = true;
}

static void load(uint64_t control, uint64_t input, uint64_t output)
{
    vp.regs.gpr[VP_RCX] = control;
    vp.regs.gpr[VP_RDX] = input;
    vp.regs.gpr[R8] = output;
    vp.regs.gpr[VP_RAX] = UINT64_C(0x5555555555555555);
}

/* Executes and expects completion with this result word. */
static void expect(uint64_t control, uint64_t input, uint64_t output, hv_status_t status, uint32_t reps)
{
    load(control, input, output);
    assert_true(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RAX], (uint64_t)status | (uint64_t)reps << 32);
    assert_int_equal(rcu_depth, 0);
}

/* Executes and expects a refusal before the handler. */
static void refuse(uint64_t control, uint64_t input, uint64_t output, hv_status_t status)
{
    unsigned calls = handler.calls;

    expect(control, input, output, status, 0);
    assert_int_equal(handler.calls, calls);
}

static uint64_t rep(uint16_t code, uint32_t count, uint32_t start)
{
    return hv_hypercall_control(code, 0, count, start);
}

static void put64(uint64_t address, uint64_t value)
{
    memcpy(&memory[0][0] + address, &value, sizeof(value));
}

static uint32_t get32(uint64_t address)
{
    uint32_t value;

    memcpy(&value, &memory[0][0] + address, sizeof(value));
    return value;
}

static void test_unknown_code_comes_first(void **state)
{
    (void)state;
    refuse(0x10, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_CODE);
    /* Reserved bits do not matter then. */
    refuse(0x10 | UINT64_C(1) << 60 | UINT64_C(1) << 27, 1, 1, HV_STATUS_INVALID_HYPERCALL_CODE);
    assert_int_equal(traced_result, HV_STATUS_INVALID_HYPERCALL_CODE);
}

static void test_rights_come_before_the_control_word(void **state)
{
    (void)state;
    refuse(FAKE_ROOT_ONLY | UINT64_C(1) << 60, INPUT_GPA, 0, HV_STATUS_ACCESS_DENIED);
    partition.privileges = HV_POST_MESSAGES; /* one of two is not enough */
    refuse(FAKE_PRIVILEGED | UINT64_C(1) << 60, INPUT_GPA, 0, HV_STATUS_ACCESS_DENIED);
    partition.privileges |= HV_SIGNAL_EVENTS;
    expect(FAKE_PRIVILEGED, INPUT_GPA, 0, HV_STATUS_SUCCESS, 0);
    be_root();
    expect(FAKE_ROOT_ONLY, INPUT_GPA, 0, HV_STATUS_SUCCESS, 0);
}

static void test_control_word(void **state)
{
    static const unsigned reserved[] = {27, 28, 29, 30, 31, 44, 45, 46, 47, 60, 61, 62, 63};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        /* Before alignment. */
        refuse(FAKE_SIMPLE | UINT64_C(1) << reserved[i], 1, 1, HV_STATUS_INVALID_HYPERCALL_INPUT);
    }
    refuse(rep(FAKE_SIMPLE, 1, 0), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(rep(FAKE_SIMPLE, 0, 1), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(rep(FAKE_REP, 0, 0), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(rep(FAKE_REP, 3, 3), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(rep(FAKE_REP, 3, 4), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(hv_hypercall_control(FAKE_SIMPLE, 1, 0, 0), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(hv_hypercall_control(FAKE_VARIABLE, 11, 0, 0), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(hv_hypercall_control(FAKE_VARIABLE, 0x3FF, 0, 0), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    /* No fast form; output in registers; too long for registers. */
    refuse(FAKE_SIMPLE | HV_HYPERCALL_FAST, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(FAKE_OUTPUT_ONLY | HV_HYPERCALL_FAST, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    refuse(rep(FAKE_REP_FAST, 12, 0) | HV_HYPERCALL_FAST, 0, 0, HV_STATUS_INVALID_HYPERCALL_INPUT);
}

static void test_addresses(void **state)
{
    (void)state;
    refuse(FAKE_SIMPLE, INPUT_GPA + 4, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT);
    refuse(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA + 1, HV_STATUS_INVALID_ALIGNMENT);
    refuse(FAKE_SIMPLE, 0x1FF8, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT); /* 12 bytes do not fit */
    expect(FAKE_SIMPLE, 0x1FF0, 0x2FF8, HV_STATUS_SUCCESS, 0);
    /* The whole list counts, not only what this entry would copy. */
    refuse(rep(FAKE_REP, 511, 0), INPUT_GPA + 8, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT);
    refuse(rep(FAKE_REP, 4095, 0), INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT);
    refuse(hv_hypercall_control(FAKE_VARIABLE, 10, 0, 0), 0x1FA0, 0, HV_STATUS_INVALID_ALIGNMENT);
    expect(hv_hypercall_control(FAKE_VARIABLE, 10, 0, 0), 0x1F98, 0, HV_STATUS_SUCCESS, 0);
    /* Beyond the space. */
    refuse(FAKE_SIMPLE, UINT64_C(1) << 48, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT);
    refuse(FAKE_SIMPLE, INPUT_GPA, UINT64_MAX - 7, HV_STATUS_INVALID_ALIGNMENT);
    /* Lists that do not exist: any address. */
    expect(FAKE_OUTPUT_ONLY, 0x123, OUTPUT_GPA, HV_STATUS_SUCCESS, 0);
    expect(FAKE_FAST, INPUT_GPA, 0x123, HV_STATUS_SUCCESS, 0);
}

static void test_simple_call_copies_in_and_out(void **state)
{
    (void)state;
    put64(INPUT_GPA, UINT64_C(0x1122334455667788));
    put64(INPUT_GPA + 8, UINT64_C(0x99AABBCC));
    put64(OUTPUT_GPA + 8, UINT64_C(0x7777777777777777));
    expect(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_SUCCESS, 0);
    assert_memory_equal(handler.input, memory[1], 12);
    assert_int_equal(get32(OUTPUT_GPA), 0xABABABABu);
    assert_int_equal(get32(OUTPUT_GPA + 8), 0x77777777u); /* nothing behind the output */
    assert_int_equal(traced_control, FAKE_SIMPLE);
    assert_int_equal(traced_result, 0);
}

static void test_failed_simple_call_writes_no_output(void **state)
{
    (void)state;
    handler.status = HV_STATUS_INVALID_PARAMETER;
    expect(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_PARAMETER, 0);
    assert_int_equal(get32(OUTPUT_GPA), 0);
    handler.status = HV_STATUS_SUCCESS;
    handler.skips_output = true;
    expect(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_SUCCESS, 0);
    assert_int_equal(get32(OUTPUT_GPA), 0);
}

static void test_simple_call_that_times_out_is_left_alone(void **state)
{
    (void)state;
    handler.status = HV_STATUS_TIME_OUT;
    load(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA);
    assert_false(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RCX], FAKE_SIMPLE);
    assert_int_equal(vp.regs.gpr[VP_RAX], UINT64_C(0x5555555555555555));
    assert_int_equal(get32(OUTPUT_GPA), 0);
}

static void test_variable_header(void **state)
{
    (void)state;
    put64(INPUT_GPA + 24, UINT64_C(0xFEED));
    expect(hv_hypercall_control(FAKE_VARIABLE, 3, 0, 0), INPUT_GPA, 0, HV_STATUS_SUCCESS, 0);
    assert_int_equal(handler.variable_count, 3);
    assert_int_equal(handler.first_variable, 0xFEED);
}

/* Runs a rep call until it completes; returns the number of entries. */
static unsigned run_to_end(uint64_t control)
{
    unsigned entries = 1;

    load(control, INPUT_GPA, OUTPUT_GPA);
    while (!hypercall_execute(&vp, vp_is_long_mode(&vp))) {
        entries++;
        assert_in_range(entries, 0, 100);
    }
    return entries;
}

static void fill_list(void)
{
    for (uint64_t i = 0; i < 16; i++) {
        put64(INPUT_GPA + 8 + 8 * i, 100 + i);
    }
}

static void test_rep_call_in_batches(void **state)
{
    (void)state;
    fill_list();
    memory[2][40] = 0xEE;
    load(rep(FAKE_REP, 10, 0), INPUT_GPA, OUTPUT_GPA);
    assert_false(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RCX], rep(FAKE_REP, 10, 4));
    assert_int_equal(get32(OUTPUT_GPA + 12), 104);
    assert_int_equal(get32(OUTPUT_GPA + 16), 0); /* completed ones only */
    assert_int_equal(run_to_end(rep(FAKE_REP, 10, 0)), 3);
    assert_int_equal(vp.regs.gpr[VP_RAX], UINT64_C(10) << 32);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(handler.rep_inputs[i], 100 + i);
        assert_int_equal(get32(OUTPUT_GPA + 4 * i), 101 + i);
    }
    assert_int_equal(memory[2][40], 0xEE);
    assert_int_equal(handler.rep_first, 8);
    assert_int_equal(handler.rep_count, 2);
}

static void test_rep_call_starts_where_told(void **state)
{
    (void)state;
    fill_list();
    expect(rep(FAKE_REP, 5, 3), INPUT_GPA, OUTPUT_GPA, HV_STATUS_SUCCESS, 5);
    assert_int_equal(get32(OUTPUT_GPA), 0);
    assert_int_equal(get32(OUTPUT_GPA + 12), 104);
    assert_int_equal(get32(OUTPUT_GPA + 16), 105);
}

static void test_rep_call_that_stops_early_goes_on(void **state)
{
    (void)state;
    fill_list();
    handler.stop_after = 1;
    assert_int_equal(run_to_end(rep(FAKE_REP, 5, 0)), 5);
    assert_int_equal(vp.regs.gpr[VP_RAX], UINT64_C(5) << 32);
    assert_int_equal(get32(OUTPUT_GPA + 16), 105);
    handler.status = HV_STATUS_TIME_OUT;
    load(rep(FAKE_REP, 5, 0), INPUT_GPA, OUTPUT_GPA);
    assert_false(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RCX], rep(FAKE_REP, 5, 1));
}

static void test_failed_rep_call_counts_from_the_list_start(void **state)
{
    (void)state;
    fill_list();
    handler.status = HV_STATUS_NO_RESOURCES;
    handler.stop_after = 2;
    expect(rep(FAKE_REP, 10, 5), INPUT_GPA, OUTPUT_GPA, HV_STATUS_NO_RESOURCES, 7);
    assert_int_equal(get32(OUTPUT_GPA + 20), 106);
    assert_int_equal(get32(OUTPUT_GPA + 24), 107);
    assert_int_equal(get32(OUTPUT_GPA + 28), 0);
    /* A check that fails in a later entry does not forget what was done. */
    expect(rep(FAKE_REP, 10, 5), INPUT_GPA + 4, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT, 5);
}

static void test_rep_call_without_elements(void **state)
{
    (void)state;
    /* 4095 elements without any bytes do not cross a page. */
    load(rep(FAKE_REP_BARE, 4095, 4093), 0x1FF8, 0);
    assert_true(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RAX], UINT64_C(4095) << 32);
    assert_int_equal(handler.rep_first, 4093);
    assert_int_equal(handler.rep_count, 2);
}

static void test_fast_input(void **state)
{
    const uint64_t expected[] = {0x1111, 0x2222};

    (void)state;
    /* No address is looked at. */
    expect(FAKE_FAST | HV_HYPERCALL_FAST, 0x1111, 0x2222, HV_STATUS_SUCCESS, 0);
    assert_memory_equal(handler.input, expected, sizeof(expected));
}

static void test_xmm_fast_input(void **state)
{
    uint64_t expected[] = {0x1111, 0x2222, 0x3333};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(xmm); i++) {
        xmm[i] = 0x3333 + i;
    }
    expect(hv_hypercall_control(FAKE_VARIABLE, 2, 0, 0) | HV_HYPERCALL_FAST, 0x1111, 0x2222, HV_STATUS_SUCCESS, 0);
    assert_memory_equal(handler.input, expected, sizeof(expected));
    assert_int_equal(handler.first_variable, 0x3334);
    /* Elements, over two entries. */
    assert_int_equal(run_to_end(rep(FAKE_REP_FAST, 6, 0) | HV_HYPERCALL_FAST), 2);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(handler.rep_inputs[i], 0x3334 + i);
    }
    assert_int_equal(vp.regs.gpr[VP_RAX], UINT64_C(6) << 32);
    /* All 112 bytes; what is not advertised is an undefined instruction. */
    expect(rep(FAKE_REP_FAST, 11, 10) | HV_HYPERCALL_FAST, 0, 0, HV_STATUS_SUCCESS, 11);
    assert_int_equal(handler.rep_inputs[10], 0x333E);
    xmm_advertised = false;
    load(FAKE_VARIABLE | HV_HYPERCALL_FAST, 0, 0);
    assert_false(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(undefined_exceptions, 1);
    assert_int_equal(vp.regs.gpr[VP_RAX], UINT64_C(0x5555555555555555));
}

static void load_32bit(uint64_t control, uint64_t input, uint64_t output)
{
    const uint64_t junk = UINT64_C(0xDEADBEEF00000000);

    long_mode = false;
    vp.regs.gpr[VP_RDX] = junk | control >> 32;
    vp.regs.gpr[VP_RAX] = junk | (control & UINT32_MAX);
    vp.regs.gpr[VP_RBX] = junk | input >> 32;
    vp.regs.gpr[VP_RCX] = junk | (input & UINT32_MAX);
    vp.regs.gpr[VP_RDI] = junk | output >> 32;
    vp.regs.gpr[VP_RSI] = junk | (output & UINT32_MAX);
}

static void test_32bit_convention(void **state)
{
    const uint64_t expected[] = {UINT64_C(0x1111222233334444), UINT64_C(0x5555666677778888)};

    (void)state;
    load_32bit(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA);
    assert_true(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RAX], 0);
    assert_int_equal(vp.regs.gpr[VP_RDX], 0);
    assert_int_equal(get32(OUTPUT_GPA), 0xABABABABu);

    load_32bit(FAKE_FAST | HV_HYPERCALL_FAST, expected[0], expected[1]);
    assert_true(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_memory_equal(handler.input, expected, sizeof(expected));

    /* Registers hold 16 bytes and no more. */
    load_32bit(FAKE_VARIABLE | HV_HYPERCALL_FAST, 0, 0);
    assert_true(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RAX], HV_STATUS_INVALID_HYPERCALL_INPUT);

    fill_list();
    load_32bit(rep(FAKE_REP, 6, 0), INPUT_GPA, OUTPUT_GPA);
    assert_false(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RDX], rep(FAKE_REP, 6, 4) >> 32);
    assert_int_equal(vp.regs.gpr[VP_RAX], FAKE_REP);
    assert_true(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RDX], 6);
    assert_int_equal(vp.regs.gpr[VP_RAX], 0);
}

static void test_parameter_pages_that_are_not_there(void **state)
{
    (void)state;
    states[1] = GPA_UNMAPPED;
    refuse(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    states[1] = GPA_MAPPED;
    states[2] = GPA_UNMAPPED;
    refuse(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT);
    states[2] = GPA_MAPPED;
    read_only[2] = true;
    refuse(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT);
    refuse(FAKE_SIMPLE, 0x100000, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_int_equal(intercepts, 0);
}

static void test_pages_without_access_are_the_roots_business(void **state)
{
    (void)state;
    for (unsigned page = 1; page <= 2; page++) {
        states[page] = GPA_NO_ACCESS;
        load(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA);
        assert_false(hypercall_execute(&vp, vp_is_long_mode(&vp)));
        assert_int_equal(intercepts, page);
        assert_int_equal(handler.calls, 0);
        assert_int_equal(vp.requests, VP_REQUEST_SUSPEND);
        assert_int_equal(vp.regs.gpr[VP_RCX], FAKE_SIMPLE);
        assert_int_equal(vp.regs.gpr[VP_RAX], UINT64_C(0x5555555555555555));
        states[page] = GPA_MAPPED;
    }
    /* The root has nobody to ask: its pages without access are the hypervisor's. */
    be_root();
    states[1] = GPA_NO_ACCESS;
    refuse(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_HYPERCALL_INPUT);
    states[1] = GPA_MAPPED;
    states[2] = GPA_NO_ACCESS;
    refuse(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT);
    assert_int_equal(intercepts, 2);
}

static void test_output_page_that_goes_away_meanwhile(void **state)
{
    (void)state;
    handler.hides_output = true;
    load(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA);
    assert_false(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(vp.regs.gpr[VP_RCX], FAKE_SIMPLE);
    /* Again: now it is an intercept. */
    assert_false(hypercall_execute(&vp, vp_is_long_mode(&vp)));
    assert_int_equal(intercepts, 1);
    assert_int_equal(handler.calls, 1);

    be_root();
    states[2] = GPA_MAPPED;
    expect(FAKE_SIMPLE, INPUT_GPA, OUTPUT_GPA, HV_STATUS_INVALID_ALIGNMENT, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_unknown_code_comes_first, setup),
        cmocka_unit_test_setup(test_rights_come_before_the_control_word, setup),
        cmocka_unit_test_setup(test_control_word, setup),
        cmocka_unit_test_setup(test_addresses, setup),
        cmocka_unit_test_setup(test_simple_call_copies_in_and_out, setup),
        cmocka_unit_test_setup(test_failed_simple_call_writes_no_output, setup),
        cmocka_unit_test_setup(test_simple_call_that_times_out_is_left_alone, setup),
        cmocka_unit_test_setup(test_variable_header, setup),
        cmocka_unit_test_setup(test_rep_call_in_batches, setup),
        cmocka_unit_test_setup(test_rep_call_starts_where_told, setup),
        cmocka_unit_test_setup(test_rep_call_that_stops_early_goes_on, setup),
        cmocka_unit_test_setup(test_failed_rep_call_counts_from_the_list_start, setup),
        cmocka_unit_test_setup(test_rep_call_without_elements, setup),
        cmocka_unit_test_setup(test_fast_input, setup),
        cmocka_unit_test_setup(test_xmm_fast_input, setup),
        cmocka_unit_test_setup(test_32bit_convention, setup),
        cmocka_unit_test_setup(test_parameter_pages_that_are_not_there, setup),
        cmocka_unit_test_setup(test_pages_without_access_are_the_roots_business, setup),
        cmocka_unit_test_setup(test_output_page_that_goes_away_meanwhile, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
