/* SPDX-License-Identifier: MIT */
/* Self-test: what HvCallInstallIntercept adds for a child, each by one instruction that the child runs in real mode,
 * and what the messages say. */
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/vm.h"
#include "partitions/root/selftest/selftest.h"

#define CHILD_MEMORY  MIB(16)
#define CODE_ADDRESS  UINT64_C(0x1000)
#define STACK_POINTER UINT64_C(0x345670)
#define CODE_16       (X86_SEG_ATTR_P | X86_SEG_ATTR_S | X86_SEG_TYPE_CODE | X86_SEG_TYPE_READABLE | 1)
#define CODE_BYTES    2u
#define NOP           0x90
#define SLICE_100NS   UINT64_C(10000000)

/* One intercept, the instruction that must cause it, and its message. */
struct intercept {
    const char *name;
    uint32_t type;
    uint32_t mask;
    uint64_t parameter;
    uint8_t code[CODE_BYTES];
    uint32_t message_type;
};

static const struct intercept intercepts[] = {
    {"exception-ud",
     HvInterceptTypeException,
     HV_INTERCEPT_ACCESS_MASK_EXECUTE,
     X86_VECTOR_UD,
     {0x0F, 0x0B},
     HvMessageTypeX64ExceptionIntercept},
    {"exception-db",
     HvInterceptTypeException,
     HV_INTERCEPT_ACCESS_MASK_EXECUTE,
     X86_VECTOR_DB,
     {NOP, NOP},
     HvMessageTypeX64ExceptionIntercept},
    {"cpuid",
     HvInterceptTypeX64Cpuid,
     HV_INTERCEPT_ACCESS_MASK_EXECUTE,
     0,
     {0x0F, 0xA2},
     HvMessageTypeX64CpuidIntercept},
    {"rdmsr",
     HvInterceptTypeX64Msr,
     HV_INTERCEPT_ACCESS_MASK_READ | HV_INTERCEPT_ACCESS_MASK_WRITE,
     0,
     {0x0F, 0x32},
     HvMessageTypeX64MsrIntercept},
};

static bool set_register(struct host_vm *vm, uint32_t name, union hv_register_value value)
{
    struct {
        struct hv_input_vp_registers header;
        struct hv_register_assoc element;
    } input = {.header.partition_id = vm->deposit.partition_id, .element = {.name = name, .value = value}};
    uint32_t reps = 1;

    return hypercall(&vm->deposit, HvCallSetVpRegisters, &reps, &input, sizeof(input), NULL, 0) == HV_STATUS_SUCCESS;
}

/* The VP at that code, in real mode. */
static bool prepare(struct host_vm *vm, const struct intercept *intercept)
{
    bool is_step = intercept->type == HvInterceptTypeException && intercept->parameter == X86_VECTOR_DB;
    union hv_register_value segment = {0};
    union hv_register_value flags = {.reg64 = X86_RFLAGS_FIXED | (is_step ? X86_RFLAGS_TF : 0)};

    segment.segment.limit = UINT16_MAX;
    segment.segment.attributes = CODE_16;
    if (!vm_populate(vm, CODE_ADDRESS)) {
        return false;
    }
    memcpy((uint8_t *)vm->ram[0].address + CODE_ADDRESS, intercept->code, CODE_BYTES);
    return set_register(vm, HvX64RegisterCs, segment) && set_register(vm, HvX64RegisterRflags, flags) &&
           set_register(vm, HvX64RegisterRip, (union hv_register_value){.reg64 = CODE_ADDRESS}) &&
           set_register(vm, HvX64RegisterRcx, (union hv_register_value){.reg64 = UINT32_MAX}) &&
           set_register(vm, HvX64RegisterRsp, (union hv_register_value){.reg64 = STACK_POINTER});
}

/* Null, or what is wrong with the message that a dispatch has left. */
static const char *check(const struct host_vm *vm, const struct intercept *intercept)
{
    const struct hv_message *message = vm->vps[0].intercept;
    const struct hv_x64_exception_intercept_message *exception = (const void *)message->payload;

    if (message->header.message_type != intercept->message_type) {
        return "another message came";
    }
    if (intercept->type == HvInterceptTypeException && exception->exception_vector != intercept->parameter) {
        return "it has another vector";
    }
    if (intercept->type == HvInterceptTypeException && exception->gp_registers[4] != STACK_POINTER) {
        return "it has another stack pointer";
    }
    return NULL;
}

static const char *run(struct host_vm *vm, const struct intercept *intercept)
{
    const struct hv_input_install_intercept install = {
        .partition_id = vm->deposit.partition_id,
        .access_type_mask = intercept->mask,
        .intercept_type = intercept->type,
        .intercept_parameter = intercept->parameter,
    };
    const struct hv_input_dispatch_vp dispatch = {.partition_id = vm->deposit.partition_id,
                                                  .time_slice_100ns = SLICE_100NS};
    struct hv_output_dispatch_vp output = {0};

    if (!prepare(vm, intercept)) {
        return "its VP cannot be prepared";
    }
    if (hypercall(NULL, HvCallInstallIntercept, NULL, &install, sizeof(install), NULL, 0) != HV_STATUS_SUCCESS) {
        return "it cannot be installed";
    }
    if (hypercall(NULL, HvCallDispatchVp, NULL, &dispatch, sizeof(dispatch), &output, sizeof(output)) !=
            HV_STATUS_SUCCESS ||
        output.dispatch_event != HV_VP_DISPATCH_EVENT_INTERCEPT) {
        return "nothing was intercepted";
    }
    return check(vm, intercept);
}

bool selftest_intercepts(void)
{
    static struct host_vm vm;
    bool has_passed = true;

    for (uint32_t i = 0; i < ARRAY_SIZE(intercepts); i++) {
        const char *why;

        if (!vm_create_partition(&vm, 0, CHILD_MEMORY, 1)) {
            return selftest_report(intercepts[i].name, "no partition");
        }
        why = run(&vm, &intercepts[i]);
        if (!vm_destroy_partition(&vm)) {
            why = "its partition cannot be taken down";
        }
        has_passed &= selftest_report(intercepts[i].name, why == NULL ? NULL : "%s", why);
    }
    return has_passed;
}
