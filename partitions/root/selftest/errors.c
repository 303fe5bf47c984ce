/* SPDX-License-Identifier: MIT */
/* Self-test: bad hypercalls and the statuses that they must have. */
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/addr.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/selftest/selftest.h"
#include "partitions/root/kernel/vm.h"

#define CHILD_MEMORY      MIB(16)
#define UNKNOWN_PARTITION UINT64_C(0x7777)
#define UNKNOWN_ID        0x00ABCDEFu
#define UNKNOWN_VP        200u
#define INPUT_QWORDS      9u

/* What input and output addresses a call is made with. */
enum parameters {
    PARAMETERS_GOOD,
    PARAMETERS_MISALIGNED, /* by four bytes */
    PARAMETERS_CROSSING,   /* input runs over the end of its page */
    PARAMETERS_OUTSIDE,    /* no address of this machine */
    PARAMETERS_FAST,       /* the first two quadwords in registers */
};

/* One bad call. */
struct bad_call {
    const char *name;
    uint16_t code;
    uint16_t status;
    enum parameters parameters;
    uint32_t header_qwords;
    uint32_t reps;
    uint32_t rep_start;
    uint64_t control_bits; /* added */
    uint64_t input[INPUT_QWORDS];
};

/* Stand for values that are known at run time only. */
#define CHILD           UINT64_C(0xC111D00000000001)
#define HYPERVISOR_PAGE UINT64_C(0xC111D00000000002)
#define SELF            HV_PARTITION_ID_SELF

static const struct bad_call bad_calls[] = {
    {"unknown code", 0x7FFF, HV_STATUS_INVALID_HYPERCALL_CODE, .reps = 0},
    {"code zero", 0, HV_STATUS_INVALID_HYPERCALL_CODE, .reps = 0},
    {"simple call with reps", HvCallGetPartitionId, HV_STATUS_INVALID_HYPERCALL_INPUT, .reps = 1},
    {"simple call with rep start", HvCallGetPartitionId, HV_STATUS_INVALID_HYPERCALL_INPUT, .rep_start = 1},
    {"simple call with header", HvCallGetPartitionId, HV_STATUS_INVALID_HYPERCALL_INPUT, .header_qwords = 1},
    {"reserved bits 30:27", HvCallGetPartitionId, HV_STATUS_INVALID_HYPERCALL_INPUT, .control_bits = UINT64_C(1) << 27},
    {"reserved bits 47:44", HvCallGetPartitionId, HV_STATUS_INVALID_HYPERCALL_INPUT, .control_bits = UINT64_C(1) << 44},
    {"reserved bits 63:60", HvCallGetPartitionId, HV_STATUS_INVALID_HYPERCALL_INPUT, .control_bits = UINT64_C(1) << 60},
    {"rep call without reps", HvCallDepositMemory, HV_STATUS_INVALID_HYPERCALL_INPUT, .input = {SELF}},
    {"rep start beyond count", HvCallDepositMemory, HV_STATUS_INVALID_HYPERCALL_INPUT, .reps = 2, .rep_start = 2,
     .input = {SELF}},
    {"misaligned input", HvCallGetPartitionProperty, HV_STATUS_INVALID_ALIGNMENT, .parameters = PARAMETERS_MISALIGNED},
    {"input crosses page", HvCallGetPartitionProperty, HV_STATUS_INVALID_ALIGNMENT, .parameters = PARAMETERS_CROSSING},
    {"input outside memory", HvCallGetPartitionProperty, HV_STATUS_INVALID_ALIGNMENT, .parameters = PARAMETERS_OUTSIDE},
    {"list longer than a page", HvCallDepositMemory, HV_STATUS_INVALID_ALIGNMENT, .reps = 600, .input = {SELF}},
    {"fast call with long input", HvCallCreatePartition, HV_STATUS_INVALID_HYPERCALL_INPUT,
     .parameters = PARAMETERS_FAST},
    {"create without EXO", HvCallCreatePartition, HV_STATUS_OPERATION_DENIED, .input = {0, 0, HV_COMPATIBILITY_21_H2}},
    {"initialize unknown partition", HvCallInitializePartition, HV_STATUS_INVALID_PARTITION_ID,
     .input = {UNKNOWN_PARTITION}},
    {"finalize unknown partition", HvCallFinalizePartition, HV_STATUS_INVALID_PARTITION_ID,
     .input = {UNKNOWN_PARTITION}},
    {"delete unknown partition", HvCallDeletePartition, HV_STATUS_INVALID_PARTITION_ID, .input = {UNKNOWN_PARTITION}},
    {"delete active partition", HvCallDeletePartition, HV_STATUS_INVALID_PARTITION_STATE, .input = {CHILD}},
    {"initialize twice", HvCallInitializePartition, HV_STATUS_INVALID_PARTITION_STATE, .input = {CHILD}},
    {"unknown property", HvCallGetPartitionProperty, HV_STATUS_UNKNOWN_PROPERTY, .input = {CHILD, 0x00FFFFFF}},
    {"property of unknown partition", HvCallGetPartitionProperty, HV_STATUS_INVALID_PARTITION_ID,
     .input = {UNKNOWN_PARTITION, HvPartitionPropertyProcessorVendor}},
    {"set unknown property", HvCallSetPartitionProperty, HV_STATUS_UNKNOWN_PROPERTY, .input = {CHILD, 0x00FFFFFF, 1}},
    {"deposit to unknown partition", HvCallDepositMemory, HV_STATUS_INVALID_PARTITION_ID, .reps = 1,
     .input = {UNKNOWN_PARTITION, 0x1000}},
    {"deposit of hypervisor's page", HvCallDepositMemory, HV_STATUS_INVALID_PARAMETER, .reps = 1,
     .input = {SELF, HYPERVISOR_PAGE}},
    {"withdraw from unknown partition", HvCallWithdrawMemory, HV_STATUS_INVALID_PARTITION_ID, .reps = 1,
     .input = {UNKNOWN_PARTITION}},
    {"VP of unknown partition", HvCallCreateVp, HV_STATUS_INVALID_PARTITION_ID, .input = {UNKNOWN_PARTITION}},
    {"VP that exists", HvCallCreateVp, HV_STATUS_INVALID_VP_INDEX, .input = {CHILD, 0}},
    {"VP index too large", HvCallCreateVp, HV_STATUS_INVALID_VP_INDEX, .input = {CHILD, 0x10000}},
    {"map hypervisor's page", HvCallMapGpaPages, HV_STATUS_INVALID_PARAMETER, .reps = 1,
     .input = {CHILD, 0x100000, HV_MAP_GPA_READABLE, HYPERVISOR_PAGE}},
    {"map with unknown flags", HvCallMapGpaPages, HV_STATUS_INVALID_PARAMETER, .reps = 1,
     .input = {CHILD, 0x100000, 0x400, 0x1000}},
    {"map into unknown partition", HvCallMapGpaPages, HV_STATUS_INVALID_PARTITION_ID, .reps = 1,
     .input = {UNKNOWN_PARTITION, 0x100000, HV_MAP_GPA_READABLE, 0x1000}},
    {"registers of unknown VP", HvCallGetVpRegisters, HV_STATUS_INVALID_VP_INDEX, .reps = 1,
     .input = {CHILD, UNKNOWN_VP, HvX64RegisterRip}},
    {"unknown register", HvCallGetVpRegisters, HV_STATUS_INVALID_PARAMETER, .reps = 1, .input = {CHILD, 0, 0x00FFFFF0}},
    {"translate for unknown VP", HvCallTranslateVirtualAddress, HV_STATUS_INVALID_VP_INDEX,
     .input = {CHILD, UNKNOWN_VP}},
    {"dispatch in unknown partition", HvCallDispatchVp, HV_STATUS_INVALID_PARTITION_ID, .input = {UNKNOWN_PARTITION}},
    {"dispatch unknown VP", HvCallDispatchVp, HV_STATUS_INVALID_VP_INDEX, .input = {CHILD, UNKNOWN_VP}},
    {"dispatch with unknown flags", HvCallDispatchVp, HV_STATUS_INVALID_PARAMETER,
     .input = {CHILD, UINT64_C(0x80000000) << 32}},
    {"state page of unknown VP", HvCallMapVpStatePage, HV_STATUS_INVALID_VP_INDEX, .input = {CHILD, UNKNOWN_VP}},
    {"state page of unknown type", HvCallMapVpStatePage, HV_STATUS_INVALID_PARAMETER,
     .input = {CHILD, UINT64_C(9) << 32}},
    {"interrupt in unknown partition", HvCallAssertVirtualInterrupt, HV_STATUS_INVALID_PARTITION_ID,
     .input = {UNKNOWN_PARTITION, 0, 0, 0x40}},
    {"interrupt of unknown type", HvCallAssertVirtualInterrupt, HV_STATUS_INVALID_PARAMETER,
     .input = {CHILD, 0x55, 0, 0x40}},
    {"message to unknown connection", HvCallPostMessage, HV_STATUS_INVALID_CONNECTION_ID,
     .input = {UNKNOWN_ID, 1 | UINT64_C(8) << 32}},
    {"event to unknown connection", HvCallSignalEvent, HV_STATUS_INVALID_CONNECTION_ID, .input = {UNKNOWN_ID}},
    {"delete unknown port", HvCallDeletePort, HV_STATUS_INVALID_PORT_ID, .input = {SELF, UNKNOWN_ID}},
    {"unknown system property", HvCallGetSystemProperty, HV_STATUS_UNKNOWN_PROPERTY, .input = {0x00FFFFFF}},
};

static uint64_t make_call(const struct bad_call *call, uint64_t child)
{
    uint64_t hypervisor_page = (rdmsr(HV_X64_MSR_HYPERCALL) & HV_X64_MSR_PAGE_GPFN_MASK) >> PAGE_SHIFT;
    uint64_t *page = cpu_this()->hypercall_input;
    uint64_t input = (uint64_t)page;
    uint64_t output = (uint64_t)cpu_this()->hypercall_output;
    uint64_t control =
        hv_hypercall_control(call->code, call->header_qwords, call->reps, call->rep_start) | call->control_bits;

    memset(page, 0, PAGE_SIZE);
    for (uint32_t i = 0; i < INPUT_QWORDS; i++) {
        page[i] = call->input[i] == CHILD             ? child
                  : call->input[i] == HYPERVISOR_PAGE ? hypervisor_page
                                                      : call->input[i];
    }
    switch (call->parameters) {
    case PARAMETERS_GOOD:
        break;
    case PARAMETERS_MISALIGNED:
        input += 4;
        break;
    case PARAMETERS_CROSSING:
        input += PAGE_SIZE - 8;
        break;
    case PARAMETERS_OUTSIDE:
        input = UINT64_C(1) << 51;
        break;
    case PARAMETERS_FAST:
        return hypercall_raw(control | HV_HYPERCALL_FAST, page[0], page[1]);
    }
    return hypercall_raw(control, input, output);
}

bool selftest_hypercall_errors(void)
{
    static struct host_vm vm;
    bool has_passed = true;

    if (!vm_create_partition(&vm, 0, CHILD_MEMORY, 1)) {
        return selftest_report("hypercall-errors", "no partition");
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(bad_calls); i++) {
        const struct bad_call *call = &bad_calls[i];
        hv_status_t status = hv_hypercall_result_status(make_call(call, vm.deposit.partition_id));

        if (status != call->status) {
            has_passed =
                selftest_report("hypercall-errors", "%s: status %#x, expected %#x", call->name, status, call->status);
        }
    }
    has_passed &= vm_destroy_partition(&vm);
    return has_passed && selftest_report("hypercall-errors", NULL);
}
