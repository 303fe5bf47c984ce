/* SPDX-License-Identifier: MIT */
/* The fast paths of exit.h answer as the exits do in whose place they are, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_msr.h"
#include "hv/cpu/cpu.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/partition.h"
#include "hv/partition/reftime.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES   200
#define RIP           0x1000u
#define HYPERCALL_GPA 0x9000ull
#define VECTOR        0x61u
#define UNKNOWN_CODE  0x7fffu
#define FAST_CODE(c)  ((c) | HV_HYPERCALL_FAST)
#define FILLING       UINT64_C(0xfedcba9876543210)

static uint64_t child_id;
static struct partition *child;
static struct vp *vp;

static int start(void **state)
{
    (void)state;
    sim_start(1);
    (void)sim_root_vp(0);
    sim_deposit(HV_PARTITION_ID_SELF, 40);
    child_id = sim_create_child(CHILD_PAGES);
    child = sim_partition(child_id);
    vp = sim_create_vp(child_id, 0);
    vp->regs.rip = RIP;
    return 0;
}

static int stop(void **state)
{
    (void)state;
    (void)sim_destroy_child(child_id);
    sim_stop();
    return 0;
}

static void set_registers(uint64_t rax, uint64_t rcx, uint64_t rdx)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(vp->regs.gpr); i++) {
        vp->regs.gpr[i] = FILLING + i;
    }
    vp->regs.gpr[VP_RAX] = rax;
    vp->regs.gpr[VP_RCX] = rcx;
    vp->regs.gpr[VP_RDX] = rdx;
}

/* A fast path that is refused changes no register. */
static bool is_taken(bool (*path)(struct vp *vp))
{
    struct vp_regs before = vp->regs;
    bool is_done = path(vp);

    if (!is_done) {
        assert_memory_equal(&vp->regs, &before, sizeof(before));
    }
    return is_done;
}

static void ask(uint32_t leaf, uint32_t subleaf)
{
    set_registers(FILLING << 32 | leaf, FILLING << 32 | subleaf, FILLING);
}

/* True if the fast path answers CPUID; then with what the exit would have. */
static bool is_cpuid_fast(uint32_t leaf, uint32_t subleaf)
{
    struct vp_regs slow;

    ask(leaf, subleaf);
    assert_int_equal(exit_cpuid(vp, 2), EXIT_RESUME);
    vp->regs.rip = RIP;
    slow = vp->regs;
    ask(leaf, subleaf);
    if (!is_taken(exit_fast_cpuid)) {
        return false;
    }
    assert_memory_equal(&vp->regs, &slow, sizeof(slow));
    return true;
}

static void test_cpuid(void **state)
{
    static const uint32_t leaves[] = {0,          2,          4,          6,          0xb,
                                      0x40000000, 0x40000001, 0x40000003, 0x40000004, 0x40000006,
                                      0x80000000, 0x80000002, 0x80000008, 0x12345};

    (void)state;
    ask(0, 0);
    assert_false(is_taken(exit_fast_cpuid));
    for (uint32_t i = 0; i < ARRAY_SIZE(leaves); i++) {
        for (uint32_t subleaf = 0; subleaf < 3; subleaf++) {
            assert_true(is_cpuid_fast(leaves[i], subleaf));
        }
    }
    /* These show bits of control registers, or of XCR0 and MSRs. */
    assert_false(is_cpuid_fast(1, 0));
    assert_false(is_cpuid_fast(7, 0));
    assert_false(is_cpuid_fast(0x80000001, 0));
    assert_false(is_cpuid_fast(0xd, 0));
    assert_false(is_cpuid_fast(0x80000007, 0));
}

static void test_cpuid_that_has_changed(void **state)
{
    struct hv_input_register_intercept_result_cpuid result = {.input_eax = 4, .eax = 0x1234, .eax_mask = UINT32_MAX};

    (void)state;
    assert_true(is_cpuid_fast(4, 0));
    (void)sim_create_vp(child_id, 1);
    ask(4, 0);
    assert_false(is_taken(exit_fast_cpuid));
    assert_true(is_cpuid_fast(4, 0));
    assert_int_equal(cpuid_register(vp, &result), HV_STATUS_SUCCESS);
    ask(4, 0);
    assert_false(is_taken(exit_fast_cpuid));
    assert_true(is_cpuid_fast(4, 0));
    assert_int_equal(vp->regs.gpr[VP_RAX], 0x1234);
    child->intercepts_cpuid_all = true;
    ask(4, 0);
    assert_false(is_taken(exit_fast_cpuid));
}

/* The MSR as the exit reads it. */
static uint64_t read_slowly(uint32_t msr)
{
    set_registers(FILLING, FILLING << 32 | msr, FILLING);
    assert_int_equal(exit_rdmsr(vp, 2), EXIT_RESUME);
    vp->regs.rip = RIP;
    return vp->regs.gpr[VP_RAX] | vp->regs.gpr[VP_RDX] << 32;
}

static bool is_read_fast(uint32_t msr)
{
    set_registers(FILLING, FILLING << 32 | msr, FILLING);
    return is_taken(exit_fast_rdmsr);
}

static bool is_written_fast(uint32_t msr, uint64_t value)
{
    set_registers(FILLING << 32 | (uint32_t)value, FILLING << 32 | msr, FILLING << 32 | value >> 32);
    return is_taken(exit_fast_wrmsr);
}

static void test_rdmsr(void **state)
{
    uint64_t time;

    (void)state;
    assert_false(is_read_fast(HV_X64_MSR_VP_INDEX));
    assert_int_equal(read_slowly(HV_X64_MSR_VP_INDEX), 0);
    assert_false(is_read_fast(HV_X64_MSR_TIME_REF_COUNT));
    assert_true(is_read_fast(HV_X64_MSR_VP_INDEX));
    assert_int_equal(vp->regs.gpr[VP_RAX], 0);
    assert_int_equal(vp->regs.gpr[VP_RDX], 0);
    assert_int_equal(vp->regs.gpr[VP_RBX], FILLING + VP_RBX);
    machine_advance_100ns(UINT64_C(1) << 33);
    time = read_slowly(HV_X64_MSR_TIME_REF_COUNT);
    assert_true(time > UINT32_MAX);
    assert_true(is_read_fast(HV_X64_MSR_TIME_REF_COUNT));
    assert_int_equal(vp->regs.gpr[VP_RAX], (uint32_t)time);
    assert_int_equal(vp->regs.gpr[VP_RDX], time >> 32);
    reftime_set_frozen(child, true);
    assert_false(is_read_fast(HV_X64_MSR_TIME_REF_COUNT));
    /* Others are for the exit, whatever was accessed last. */
    (void)read_slowly(HV_X64_MSR_TSC_FREQUENCY);
    assert_false(is_read_fast(HV_X64_MSR_TSC_FREQUENCY));
    assert_false(is_read_fast(0));
}

static void test_rdmsr_without_the_privilege(void **state)
{
    (void)state;
    child->privileges &= ~HV_ACCESS_VP_INDEX;
    (void)read_slowly(HV_X64_MSR_VP_INDEX);
    assert_int_equal(hv_pending_interruption_vector(vp->pending_interruption), X86_VECTOR_GP);
    assert_false(is_read_fast(HV_X64_MSR_VP_INDEX));
}

static void test_wrmsr(void **state)
{
    uint64_t masked = HV_SINT_RESET_VALUE | UINT64_C(1) << 40;

    (void)state;
    assert_false(is_written_fast(HV_X64_MSR_SINT15, masked));
    assert_int_equal(read_slowly(HV_X64_MSR_SINT15), HV_SINT_RESET_VALUE);
    assert_true(is_written_fast(HV_X64_MSR_SINT15, masked));
    assert_int_equal(read_slowly(HV_X64_MSR_SINT15), masked);
    assert_false(is_written_fast(HV_X64_MSR_SINT15, VECTOR));
    assert_int_equal(exit_wrmsr(vp, 2), EXIT_RESUME);
    vp->regs.rip = RIP;
    assert_int_equal(read_slowly(HV_X64_MSR_SINT15), VECTOR);
    assert_false(is_written_fast(HV_X64_MSR_SINT15, masked));
    (void)read_slowly(HV_X64_MSR_SINT15 + 1);
    assert_false(is_written_fast(HV_X64_MSR_SINT15 + 1, masked));
    assert_false(is_written_fast(HV_X64_MSR_SINT0 - 1, masked));
    (void)read_slowly(HV_X64_MSR_TIME_REF_COUNT);
    assert_false(is_written_fast(HV_X64_MSR_TIME_REF_COUNT, masked));
}

static void enable_hypercalls(void)
{
    assert_int_equal(msr_host_write(vp, HV_X64_MSR_HYPERCALL, HYPERCALL_GPA | 1), HV_STATUS_SUCCESS);
}

/* A call by RCX, RDX and R8; true if the fast path has made it, with the result that the engine then has, too. */
static bool is_call_fast(uint64_t control, uint64_t first, uint64_t second)
{
    struct vp_regs after;

    set_registers(FILLING, control, first);
    vp->regs.gpr[8] = second;
    atomic_store(&cpu_this()->guest_space, vp->space);
    if (!is_taken(exit_fast_hypercall)) {
        return false;
    }
    assert_ptr_equal(atomic_load(&cpu_this()->guest_space), vp->space);
    atomic_store(&cpu_this()->guest_space, NULL);
    after = vp->regs;
    assert_int_equal(sim_hypercall(vp, control, first, second), after.gpr[VP_RAX]);
    assert_memory_equal(&vp->regs, &after, sizeof(after));
    return true;
}

static void test_hypercalls(void **state)
{
    (void)state;
    assert_false(is_call_fast(FAST_CODE(UNKNOWN_CODE), 0, 0));
    enable_hypercalls();
    assert_true(is_call_fast(FAST_CODE(UNKNOWN_CODE), 0, 0));
    assert_int_equal(vp->regs.gpr[VP_RAX], HV_STATUS_INVALID_HYPERCALL_CODE);
    assert_true(is_call_fast(FAST_CODE(HvCallSendSyntheticClusterIpi), VECTOR, 0));
    assert_int_equal(vp->regs.gpr[VP_RAX], HV_STATUS_SUCCESS);
    assert_true(is_call_fast(FAST_CODE(HvCallSendSyntheticClusterIpi), 1, 0));
    assert_int_equal(vp->regs.gpr[VP_RAX], HV_STATUS_INVALID_HYPERCALL_INPUT);
    assert_true(is_call_fast(FAST_CODE(HvCallSendSyntheticClusterIpi), VECTOR | UINT64_C(1) << 32, 0));
    assert_int_equal(vp->regs.gpr[VP_RAX], HV_STATUS_INVALID_PARAMETER);
    assert_true(is_call_fast(FAST_CODE(HvCallSignalEvent), 0x123, 0));
    assert_int_equal(vp->regs.gpr[VP_RAX], HV_STATUS_INVALID_CONNECTION_ID);
    /* With lists, output, more input than two registers; not for children. */
    assert_false(is_call_fast(FAST_CODE(HvCallFlushVirtualAddressSpace), 0, 0));
    assert_false(is_call_fast(FAST_CODE(HvCallFlushVirtualAddressList), 0, 0));
    assert_false(is_call_fast(FAST_CODE(HvCallGetVpRegisters), 0, 0));
    assert_false(is_call_fast(FAST_CODE(HvCallPostMessage), 0, 0));
    assert_false(is_call_fast(FAST_CODE(HvCallDeletePartition), 0, 0));
    child->privileges &= ~HV_SIGNAL_EVENTS;
    assert_false(is_call_fast(FAST_CODE(HvCallSignalEvent), 0x123, 0));
    /* What a backend asks before. */
    assert_true(hypercall_is_short(FAST_CODE(HvCallSignalEvent)));
    assert_false(hypercall_is_short(HvCallSignalEvent));
    for (uint32_t bit = 17; bit < 64; bit++) {
        assert_false(hypercall_is_short(FAST_CODE(HvCallSignalEvent) | UINT64_C(1) << bit));
    }
}

/* Whatever a call, or somebody else meanwhile, wants of the next entry. */
static void test_calls_after_which_the_entry_is_another(void **state)
{
    (void)state;
    enable_hypercalls();
    vp->requests = 0;
    vp->space_generation = vp->space->generation;
    assert_true(exit_fast_may_enter(vp));
    assert_true(is_call_fast(FAST_CODE(HvCallNotifyLongSpinWait), 1, 0));
    assert_int_equal(vp->requests, VP_REQUEST_SLICE);
    assert_false(exit_fast_may_enter(vp));
    vp->requests = 0;
    vp->space->generation++;
    assert_false(exit_fast_may_enter(vp));
    vp->space_generation++;
    vp->flush_wanted++;
    assert_false(exit_fast_may_enter(vp));
    vp->flush_done++;
    assert_true(exit_fast_may_enter(vp));
    vp_inject_gp(vp);
    assert_false(exit_fast_may_enter(vp));
    vp->pending_interruption = 0;
    apic_write(vp, APIC_REG_SVR, APIC_SVR_ENABLE | UINT8_MAX);
    assert_true(is_call_fast(FAST_CODE(HvCallSendSyntheticClusterIpi), VECTOR, 1));
    assert_true(apic_is_pending(vp, VECTOR));
    assert_false(exit_fast_may_enter(vp));
    vp->requests = 0;
    assert_false(exit_fast_may_enter(vp));
}

/* The records are those of the exits. */
static void test_traces(void **state)
{
    struct trace_record record;

    (void)state;
    set_registers(5, HV_X64_MSR_VP_INDEX, 6);
    assert_true(exit_fast_end(vp, X86_OP_WRMSR, 0x7c, RIP));
    assert_true(machine_trace_last(TRACE_EXIT, &record));
    assert_int_equal(record.vp, vp->trace_id);
    assert_int_equal(record.a, 0x7c);
    assert_int_equal(record.b, RIP);
    assert_true(machine_trace_last(TRACE_MSR, &record));
    assert_int_equal(record.a, HV_X64_MSR_VP_INDEX | TRACE_MSR_WRITE);
    assert_int_equal(record.b, UINT64_C(6) << 32 | 5);
    assert_true(exit_fast_end(vp, X86_OP_RDMSR, 0x7c, RIP));
    assert_true(machine_trace_last(TRACE_MSR, &record));
    assert_int_equal(record.a, HV_X64_MSR_VP_INDEX);
    assert_true(exit_fast_end(vp, backend->hypercall_op, 0x81, RIP));
    assert_true(machine_trace_last(TRACE_HYPERCALL, &record));
    assert_int_equal(record.a, HV_X64_MSR_VP_INDEX);
    assert_int_equal(record.b, 5);
    assert_int_equal(vp->exit_count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_cpuid, start, stop),
        cmocka_unit_test_setup_teardown(test_cpuid_that_has_changed, start, stop),
        cmocka_unit_test_setup_teardown(test_rdmsr, start, stop),
        cmocka_unit_test_setup_teardown(test_rdmsr_without_the_privilege, start, stop),
        cmocka_unit_test_setup_teardown(test_wrmsr, start, stop),
        cmocka_unit_test_setup_teardown(test_hypercalls, start, stop),
        cmocka_unit_test_setup_teardown(test_calls_after_which_the_entry_is_another, start, stop),
        cmocka_unit_test_setup_teardown(test_traces, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
