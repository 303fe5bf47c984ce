/* SPDX-License-Identifier: MIT */
/*
 * The part of the bench that only a root can do (test=bench): prints "BENCH <operation> <least ticks>", in ticks of the
 * time-stamp counter, which tests/bench has count instructions. What a child does is in partitions/child/bench.c.
 */
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/range.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/vm.h"
#include "partitions/root/selftest/selftest.h"

#define ROUNDS       200u
#define LIFE_ROUNDS  8u
#define CHILD_MEMORY MIB(16)
#define TOUCH_START  MIB(4)
#define TOUCH_PAGES  16u
#define SLICE_100NS  UINT64_C(10000000)
#define BENCH_PORT   0x79u
#define DATA_16      (X86_SEG_ATTR_P | X86_SEG_ATTR_S | X86_SEG_TYPE_WRITABLE | 1)

/* One operation on what `object` is; false: it failed. */
typedef bool (*operation)(void *object);

static uint32_t interrupt_count; /* atomic */
static struct hv_synic_event_flags_page *event_flags;

static void count_interrupt(void)
{
    (void)__atomic_fetch_add(&interrupt_count, 1u, __ATOMIC_RELEASE);
}

/* Prints the least time of so many rounds; false: one of them failed. */
static bool price(const char *name, operation run, void *object, uint32_t rounds)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t round = 0; round < rounds; round++) {
        uint64_t start = rdtsc();

        if (!run(object)) {
            return selftest_report(name, "round %u failed", round);
        }

        uint64_t time = rdtsc() - start;

        least = time < least ? time : least;
    }
    console_progress("BENCH %s %llu", name, (unsigned long long)least);
    return true;
}

/* Until it has been posted, has come with its interrupt, and its slot is free again. */
static bool post_message(void *object)
{
    static const struct hv_input_post_message post = {
        .connection_id = BENCH_PORT, .message_type = 1, .payload_size_bytes = 16};

    (void)object;
    interrupt_count = 0;
    if (hypercall(NULL, HvCallPostMessage, NULL, &post, sizeof(post), NULL, 0) != HV_STATUS_SUCCESS ||
        !selftest_wait(&interrupt_count, 1) || selftest_slot()->header.message_type != 1) {
        return false;
    }
    selftest_free_slot();
    return true;
}

/* Until it has been signalled, has come with its interrupt, and its flag is taken. */
static bool signal_event(void *object)
{
    (void)object;
    interrupt_count = 0;
    return hypercall_fast(HvCallSignalEvent, BENCH_PORT, 0) == HV_STATUS_SUCCESS &&
           selftest_wait(&interrupt_count, 1) &&
           __atomic_exchange_n(&event_flags->sint_event_flags[SELFTEST_SINT].flags[0], UINT64_C(0), __ATOMIC_ACQ_REL) ==
               1;
}

static bool bench_port(const char *name, uint32_t type, operation run)
{
    bool is_good =
        selftest_create_port(&root_deposit, BENCH_PORT, type) == HV_STATUS_SUCCESS && price(name, run, NULL, ROUNDS);

    return selftest_delete_port(&root_deposit, BENCH_PORT) == HV_STATUS_SUCCESS && is_good;
}

static bool bench_synic(void)
{
    bool is_good;

    trap_set_handler(TRAP_VECTOR_TEST, count_interrupt);
    event_flags = (struct hv_synic_event_flags_page *)(rdmsr(HV_X64_MSR_SIEFP) & HV_X64_MSR_PAGE_GPFN_MASK);
    wrmsr(HV_X64_MSR_SINT0 + SELFTEST_SINT, TRAP_VECTOR_TEST);
    is_good = bench_port("message", HV_PORT_TYPE_MESSAGE, post_message);
    is_good &= bench_port("event", HV_PORT_TYPE_EVENT, signal_event);
    wrmsr(HV_X64_MSR_SINT0 + SELFTEST_SINT, HV_SINT_RESET_VALUE);
    return is_good;
}

/* The child's VP goes on from its last intercept to the next one. */
static bool dispatch(void *object)
{
    const struct host_vm *vm = object;
    const struct hv_input_dispatch_vp input = {
        .partition_id = vm->deposit.partition_id,
        .flags = HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND,
        .time_slice_100ns = SLICE_100NS,
    };
    struct hv_output_dispatch_vp output = {0};

    return hypercall(NULL, HvCallDispatchVp, NULL, &input, sizeof(input), &output, sizeof(output)) ==
               HV_STATUS_SUCCESS &&
           output.dispatch_event == HV_VP_DISPATCH_EVENT_INTERCEPT;
}

/* A child that executes the same OUT again each time. */
static const char *run_dispatch(struct host_vm *vm, const void *test)
{
    static const uint8_t out[] = {0xE6, 0x80};
    const char *why = selftest_set_code(vm, out, sizeof(out));

    (void)test;
    return why != NULL || price("dispatch", dispatch, vm, ROUNDS) ? why : "dispatch failed";
}

/* Maps the page that the child has touched, and lets it touch the next one. */
static bool touch(void *object)
{
    struct host_vm *vm = object;
    const struct hv_x64_memory_intercept_message *message = (const void *)vm->vps[0].intercept->payload;
    struct {
        struct hv_input_map_gpa_pages header;
        uint64_t page;
    } input = {
        .header.target_partition_id = vm->deposit.partition_id,
        .header.target_gpa_base = message->guest_physical_address >> PAGE_SHIFT,
        .header.map_flags = HV_MAP_GPA_ADJUSTABLE | HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE,
        .page = (vm->ram[0].address + message->guest_physical_address) >> PAGE_SHIFT,
    };
    uint32_t count = 1;

    return vm->vps[0].intercept->header.message_type == HvMessageTypeGpaIntercept &&
           hypercall(&vm->deposit, HvCallMapGpaPages, &count, &input, sizeof(input), NULL, 0) == HV_STATUS_SUCCESS &&
           dispatch(vm);
}

/* A child that writes to one page after the other. */
static const char *run_touch(struct host_vm *vm, const void *test)
{
    /* mov %al, (%bx); add $0x1000, %bx; jmp to the first */
    static const uint8_t walk[] = {0x88, 0x07, 0x81, 0xC3, 0x00, 0x10, 0xEB, 0xF8};
    union hv_register_value data = {0};
    const char *why = selftest_set_code(vm, walk, sizeof(walk));

    (void)test;
    data.segment.base = TOUCH_START;
    data.segment.limit = UINT16_MAX;
    data.segment.attributes = DATA_16;
    if (why != NULL || !selftest_set_register(vm, HvX64RegisterDs, data) || !dispatch(vm)) {
        return "its VP cannot be prepared";
    }
    return price("touch-4k", touch, vm, TOUCH_PAGES - 1) ? NULL : "touching failed";
}

/* From nothing to the child's first intercept, and back to nothing. */
static bool live(void *object)
{
    static const uint8_t out[] = {0xE6, 0x80};
    struct host_vm *vm = object;

    if (!vm_create_partition(vm, 0, CHILD_MEMORY, 1)) {
        return false;
    }
    if (selftest_set_code(vm, out, sizeof(out)) != NULL || !dispatch(vm)) {
        (void)vm_destroy_partition(vm);
        return false;
    }
    return vm_destroy_partition(vm);
}

bool selftest_bench(void)
{
    static struct host_vm vm;
    bool is_good = bench_synic();

    is_good &= selftest_with_child("bench-dispatch", run_dispatch, NULL);
    is_good &= selftest_with_child("bench-touch", run_touch, NULL);
    is_good &= price("lifecycle", live, &vm, LIFE_ROUNDS);
    return is_good;
}
