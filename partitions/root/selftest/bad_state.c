/* SPDX-License-Identifier: MIT */
/*
 * Self-test: VP states that no processor enters. Each costs a partition, and only that; the hypervisor's log says in
 * words which rule was broken, which the system test checks.
 */
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/vm.h"
#include "partitions/root/selftest/selftest.h"

#define CHILD_MEMORY MIB(16)
#define CODE_64      (X86_SEG_ATTR_P | X86_SEG_ATTR_S | X86_SEG_ATTR_L | X86_SEG_TYPE_CODE | X86_SEG_TYPE_READABLE | 1)
#define BIT_60       (UINT64_C(1) << 60)
#define STATE_MAX    5u

/* Registers that are set beside the reset state. */
struct bad_state {
    const char *name;
    struct {
        uint32_t name;
        uint64_t value; /* of CS: its attributes */
    } registers[STATE_MAX];
};

/* 64-bit mode, but for what makes it bad. */
#define LONG_MODE(cr0, cr3, cr4, efer, cs)                                                                             \
    {                                                                                                                  \
        {HvX64RegisterCr0, cr0}, {HvX64RegisterCr3, cr3}, {HvX64RegisterCr4, cr4}, {HvX64RegisterEfer, efer},          \
        {                                                                                                              \
            HvX64RegisterCs, cs                                                                                        \
        }                                                                                                              \
    }
#define PAGING    (X86_CR0_PG | X86_CR0_NE | X86_CR0_ET | X86_CR0_PE)
#define LONG_EFER (X86_EFER_LME | X86_EFER_LMA)

static const struct bad_state bad_states[] = {
    {"paging-without-protection", {{HvX64RegisterCr0, X86_CR0_PG | X86_CR0_ET}}},
    {"cr4-reserved", {{HvX64RegisterCr4, BIT_60}}},
    {"efer-reserved", {{HvX64RegisterEfer, BIT_60}}},
    {"dr7-high", {{HvX64RegisterDr7, BIT_60}}},
    {"long-mode-without-pae", LONG_MODE(PAGING, 0, 0, LONG_EFER, CODE_64)},
    {"cr3-reserved", LONG_MODE(PAGING, BIT_60, X86_CR4_PAE, LONG_EFER, CODE_64)},
    {"code-segment-64-and-32", LONG_MODE(PAGING, 0, X86_CR4_PAE, LONG_EFER, CODE_64 | X86_SEG_ATTR_DB)},
};

/* Sets the state; false: a call failed. */
static bool set_state(struct host_vm *vm, const struct bad_state *state)
{
    for (uint32_t i = 0; i < STATE_MAX && state->registers[i].name != 0; i++) {
        struct {
            struct hv_input_vp_registers header;
            struct hv_register_assoc element;
        } input = {.header.partition_id = vm->deposit.partition_id, .element.name = state->registers[i].name};
        uint32_t reps = 1;

        input.element.value.reg64 = state->registers[i].value;
        if (input.element.name == HvX64RegisterCs) {
            input.element.value = (union hv_register_value){0};
            input.element.value.segment.attributes = (uint16_t)state->registers[i].value;
            input.element.value.segment.limit = UINT32_MAX;
        }
        if (hypercall(&vm->deposit, HvCallSetVpRegisters, &reps, &input, sizeof(input), NULL, 0) != HV_STATUS_SUCCESS) {
            return false;
        }
    }
    return true;
}

/* One partition with that state, run once; null, or what went wrong. */
static const char *run_state(struct host_vm *vm, const struct bad_state *state)
{
    struct hv_input_dispatch_vp input = {.partition_id = vm->deposit.partition_id};
    struct hv_output_dispatch_vp output = {0};

    if (!set_state(vm, state)) {
        return "its registers cannot be set";
    }
    if (hypercall(NULL, HvCallDispatchVp, NULL, &input, sizeof(input), &output, sizeof(output)) != HV_STATUS_SUCCESS) {
        return "it cannot be dispatched";
    }
    if (output.dispatch_event != HV_VP_DISPATCH_EVENT_INTERCEPT ||
        vm->vps[0].intercept->header.message_type != HvMessageTypeUnrecoverableException) {
        return "it was not refused";
    }
    return NULL;
}

bool selftest_bad_state(void)
{
    static struct host_vm vm;
    bool has_passed = true;

    for (uint32_t i = 0; i < ARRAY_SIZE(bad_states); i++) {
        const char *why;

        if (!vm_create_partition(&vm, 0, CHILD_MEMORY, 1)) {
            return selftest_report(bad_states[i].name, "no partition");
        }
        why = run_state(&vm, &bad_states[i]);
        if (!vm_destroy_partition(&vm)) {
            why = "its partition cannot be taken down";
        }
        has_passed &= selftest_report(bad_states[i].name, why == NULL ? NULL : "%s", why);
    }
    return has_passed;
}
