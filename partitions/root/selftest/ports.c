/* SPDX-License-Identifier: MIT */
/* Self-test: messages and events between us and a child, both ways, each side faster than the other takes them. The
 * child is the boot module "kernel", partitions/child/ports.c. */
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/boot.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/memory.h"
#include "partitions/root/kernel/vm.h"
#include "partitions/root/selftest/selftest.h"

/* The numbers are the child's (partitions/child/ports.c). */
#define MESSAGE_CONNECTION 0x10u
#define EVENT_CONNECTION   0x11u
#define EVENT_FLAGS        16u
#define MESSAGE_TYPE       1u
#define MESSAGES           200u
#define FIRST_FLAG         1u
#define LAST_FLAG          2047u

#define CHILD_MEMORY MIB(16)
#define SLICE_100NS  (20 * CLOCK_100NS_PER_MS)
#define LIMIT_100NS  (20000 * CLOCK_100NS_PER_MS)

static struct host_vm vm;
static bool is_handled; /* the child's last intercept */

/* Lets the child run for one slice, and serves it. False: it has ended, or the time is up. */
static bool run_child(uint64_t start_100ns)
{
    const struct hv_input_dispatch_vp input = {
        .partition_id = vm.deposit.partition_id,
        .flags = is_handled ? HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND : 0,
        .time_slice_100ns = SLICE_100NS,
    };
    struct hv_output_dispatch_vp output = {0};

    is_handled = false;
    if (hypercall(NULL, HvCallDispatchVp, NULL, &input, sizeof(input), &output, sizeof(output)) != HV_STATUS_SUCCESS) {
        return false;
    }
    if (output.dispatch_event == HV_VP_DISPATCH_EVENT_INTERCEPT) {
        is_handled = vm_handle_intercept(&vm.vps[0]);
    }
    return !vm_has_ended(&vm) && clock_now() - start_100ns < LIMIT_100NS;
}

/* The child sends all of its messages while this SINT is masked, so that nothing but the end of its time stops it. */
static const char *take_messages(uint64_t start_100ns)
{
    uint32_t number = 0;

    while (number < MESSAGES && run_child(start_100ns)) {
        while (selftest_slot()->header.message_type != HvMessageTypeNone) {
            struct hv_message message = *selftest_slot();

            selftest_free_slot();
            if (message.header.message_type != MESSAGE_TYPE || message.header.sender != MESSAGE_CONNECTION ||
                message.header.payload_size_bytes != sizeof(uint64_t) || message.payload[0] != number) {
                return "a message is wrong, or out of order";
            }
            number++;
        }
    }
    return number == MESSAGES ? NULL : "messages are missing";
}

static const char *send_messages(uint64_t start_100ns)
{
    struct hv_message message = {.header = {.message_type = MESSAGE_TYPE, .payload_size_bytes = sizeof(uint64_t)}};
    struct hv_input_post_message_direct input = {
        .partition_id = vm.deposit.partition_id,
        .sint_index = HV_SYNIC_SINT_VMBUS,
    };
    uint32_t refused_count = 0;

    while (message.payload[0] < MESSAGES) {
        hv_status_t status;

        memcpy(input.message, &message, sizeof(message));
        status = hypercall(NULL, HvCallPostMessageDirect, NULL, &input, sizeof(input), NULL, 0);
        if (status == HV_STATUS_SUCCESS) {
            message.payload[0]++;
        } else if (status != HV_STATUS_INSUFFICIENT_BUFFERS || !run_child(start_100ns)) {
            return "a message is refused";
        } else {
            refused_count++;
        }
    }
    return refused_count != 0 ? NULL : "all messages found room at once";
}

/* Signals a flag that is clear, and again; null, or what was wrong. */
static const char *signal_twice(uint16_t flag)
{
    const struct hv_input_signal_event_direct input = {
        .target_partition_id = vm.deposit.partition_id,
        .target_sint = HV_SYNIC_SINT_VMBUS,
        .flag_number = flag,
    };

    for (uint32_t wanted = 2; wanted-- != 0;) {
        struct hv_output_signal_event_direct output = {0};
        hv_status_t status =
            hypercall(NULL, HvCallSignalEventDirect, NULL, &input, sizeof(input), &output, sizeof(output));

        if (status != HV_STATUS_SUCCESS || output.newly_signaled != wanted) {
            return "an event is refused, or not new";
        }
    }
    return NULL;
}

static const char *exchange(void)
{
    uint64_t start_100ns = clock_now();
    uint64_t *flags = cpu_this()->events->sint_event_flags[SELFTEST_SINT].flags;
    const char *why = take_messages(start_100ns);

    why = why != NULL ? why : send_messages(start_100ns);
    why = why != NULL ? why : signal_twice(FIRST_FLAG);
    why = why != NULL ? why : signal_twice(LAST_FLAG);
    wrmsr(HV_X64_MSR_SINT0 + SELFTEST_SINT, TRAP_VECTOR_TEST);
    while (why == NULL && run_child(start_100ns)) {
    }
    if (why == NULL && (!vm_has_ended(&vm) || vm.end_reason != HOST_VM_EXIT || vm.end_status != 0)) {
        why = "the child failed";
    }
    return why != NULL || __atomic_exchange_n(flags, UINT64_C(0), __ATOMIC_ACQ_REL) == (UINT64_C(1) << EVENT_FLAGS) - 1
               ? why
               : "the child's events did not all come";
}

static const char *with_worker(void)
{
    const struct boot_module *kernel = boot_module("kernel");
    const struct worker_config config = {
        .memory_bytes = CHILD_MEMORY,
        .vp_count = 1,
        .kernel = (const void *)kernel->start,
        .kernel_bytes = kernel->bytes,
    };
    const char *why = vm.error;

    vm.storage = memory_alloc_zeroed(worker_storage_bytes());
    vm.worker = worker_create(vm.storage, &vm, &config, vm.error, sizeof(vm.error));
    if (vm.worker != NULL) {
        why = selftest_create_port(&vm.deposit, MESSAGE_CONNECTION, HV_PORT_TYPE_MESSAGE) != HV_STATUS_SUCCESS ||
                      selftest_create_port(&vm.deposit, EVENT_CONNECTION, HV_PORT_TYPE_EVENT) != HV_STATUS_SUCCESS
                  ? "no ports"
                  : exchange();
        if (selftest_delete_port(&vm.deposit, MESSAGE_CONNECTION) != HV_STATUS_SUCCESS ||
            selftest_delete_port(&vm.deposit, EVENT_CONNECTION) != HV_STATUS_SUCCESS) {
            why = "the ports cannot be deleted";
        }
        worker_destroy(vm.worker);
    }
    memory_free_bytes(vm.storage, worker_storage_bytes());
    return why;
}

bool selftest_ports(void)
{
    const char *why = "no module \"kernel\", or no partition";

    if (boot_module("kernel") != NULL && vm_create_partition(&vm, 0, CHILD_MEMORY, 1)) {
        why = with_worker();
        (void)sched_stop_vm(vm.vps, vm.vp_count);
        if (!vm_destroy_partition(&vm) && why == NULL) {
            why = "its partition cannot be taken down";
        }
    }
    wrmsr(HV_X64_MSR_SINT0 + SELFTEST_SINT, HV_SINT_RESET_VALUE);
    return selftest_report("ports", why == NULL ? NULL : "%s", why);
}
