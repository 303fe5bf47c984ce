/* SPDX-License-Identifier: MIT */
/* What self-tests do with a child whose VP they run themselves. */
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/vm.h"
#include "partitions/root/selftest/selftest.h"

#define CHILD_MEMORY MIB(16)
#define SLICE_100NS  UINT64_C(10000000)
#define CODE_ADDRESS UINT64_C(0x1000)
#define CODE_16      (X86_SEG_ATTR_P | X86_SEG_ATTR_S | X86_SEG_TYPE_CODE | X86_SEG_TYPE_READABLE | 1)

bool selftest_set_register(struct host_vm *vm, uint32_t name, union hv_register_value value)
{
    struct {
        struct hv_input_vp_registers header;
        struct hv_register_assoc element;
    } input = {.header.partition_id = vm->deposit.partition_id, .element = {.name = name, .value = value}};
    uint32_t reps = 1;

    return hypercall(&vm->deposit, HvCallSetVpRegisters, &reps, &input, sizeof(input), NULL, 0) == HV_STATUS_SUCCESS;
}

const char *selftest_set_code(struct host_vm *vm, const uint8_t *code, size_t bytes)
{
    union hv_register_value segment = {0};

    segment.segment.limit = UINT16_MAX;
    segment.segment.attributes = CODE_16;
    if (!vm_populate(vm, CODE_ADDRESS)) {
        return "its memory cannot be populated";
    }
    memcpy((uint8_t *)vm->ram[0].address + CODE_ADDRESS, code, bytes);
    return selftest_set_register(vm, HvX64RegisterCs, segment) &&
                   selftest_set_register(vm, HvX64RegisterRip, (union hv_register_value){.reg64 = CODE_ADDRESS})
               ? NULL
               : "its registers cannot be set";
}

bool selftest_dispatch(struct host_vm *vm, uint32_t message_type)
{
    const struct hv_input_dispatch_vp input = {.partition_id = vm->deposit.partition_id,
                                               .time_slice_100ns = SLICE_100NS};
    struct hv_output_dispatch_vp output = {0};

    return hypercall(NULL, HvCallDispatchVp, NULL, &input, sizeof(input), &output, sizeof(output)) ==
               HV_STATUS_SUCCESS &&
           output.dispatch_event == HV_VP_DISPATCH_EVENT_INTERCEPT &&
           vm->vps[0].intercept->header.message_type == message_type;
}

bool selftest_with_child(const char *name, const char *(*run)(struct host_vm *vm, const void *test), const void *test)
{
    static struct host_vm vm;
    const char *why;

    if (!vm_create_partition(&vm, 0, CHILD_MEMORY, 1)) {
        return selftest_report(name, "no partition");
    }
    why = run(&vm, test);
    if (!vm_destroy_partition(&vm)) {
        why = "its partition cannot be taken down";
    }
    return selftest_report(name, why == NULL ? NULL : "%s", why);
}
