/* SPDX-License-Identifier: MIT */
/* Self-test: what HvCallInstallIntercept adds for a child, each by one instruction that the child runs in real mode,
 * and what the messages say. */
#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/vm.h"
#include "partitions/root/selftest/selftest.h"

#define STACK_POINTER UINT64_C(0x345670)
#define CODE_BYTES    2u
#define NOP           0x90

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

/* The VP at that code, in real mode. */
static bool prepare(struct host_vm *vm, const struct intercept *intercept)
{
    bool is_step = intercept->type == HvInterceptTypeException && intercept->parameter == X86_VECTOR_DB;
    union hv_register_value flags = {.reg64 = X86_RFLAGS_FIXED | (is_step ? X86_RFLAGS_TF : 0)};

    return selftest_set_code(vm, intercept->code, CODE_BYTES) == NULL &&
           selftest_set_register(vm, HvX64RegisterRflags, flags) &&
           selftest_set_register(vm, HvX64RegisterRcx, (union hv_register_value){.reg64 = UINT32_MAX}) &&
           selftest_set_register(vm, HvX64RegisterRsp, (union hv_register_value){.reg64 = STACK_POINTER});
}

static const char *run(struct host_vm *vm, const void *test)
{
    const struct intercept *intercept = test;
    const struct hv_x64_exception_intercept_message *exception = (const void *)vm->vps[0].intercept->payload;
    const struct hv_input_install_intercept install = {
        .partition_id = vm->deposit.partition_id,
        .access_type_mask = intercept->mask,
        .intercept_type = intercept->type,
        .intercept_parameter = intercept->parameter,
    };

    if (!prepare(vm, intercept)) {
        return "its VP cannot be prepared";
    }
    if (hypercall(NULL, HvCallInstallIntercept, NULL, &install, sizeof(install), NULL, 0) != HV_STATUS_SUCCESS) {
        return "it cannot be installed";
    }
    if (!selftest_dispatch(vm, intercept->message_type)) {
        return "its message did not come";
    }
    if (intercept->type == HvInterceptTypeException && exception->exception_vector != intercept->parameter) {
        return "it has another vector";
    }
    if (intercept->type == HvInterceptTypeException && exception->gp_registers[4] != STACK_POINTER) {
        return "it has another stack pointer";
    }
    return NULL;
}

bool selftest_intercepts(void)
{
    bool has_passed = true;

    for (uint32_t i = 0; i < ARRAY_SIZE(intercepts); i++) {
        has_passed &= selftest_with_child(intercepts[i].name, run, &intercepts[i]);
    }
    return has_passed;
}
