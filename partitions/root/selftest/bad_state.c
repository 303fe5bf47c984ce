/* SPDX-License-Identifier: MIT */
/*
 * Self-test: VP states that no processor enters. Each costs a partition, and only that; the hypervisor's log says in
 * words which rule was broken, which the system test checks.
 */
#include "hv/abi/hv_message.h"
#include "hv/lib/x86/x86_regs.h"
#include "partitions/root/selftest/selftest.h"

#define CODE_64   (X86_SEG_ATTR_P | X86_SEG_ATTR_S | X86_SEG_ATTR_L | X86_SEG_TYPE_CODE | X86_SEG_TYPE_READABLE | 1)
#define BIT_60    (UINT64_C(1) << 60)
#define STATE_MAX 5u

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
    {"long-mode-without-protection", LONG_MODE(PAGING & ~X86_CR0_PE, 0, X86_CR4_PAE, LONG_EFER, CODE_64)},
    {"cr4-reserved", {{HvX64RegisterCr4, BIT_60}}},
    {"efer-reserved", {{HvX64RegisterEfer, BIT_60}}},
    {"dr7-high", {{HvX64RegisterDr7, BIT_60}}},
    {"long-mode-without-pae", LONG_MODE(PAGING, 0, 0, LONG_EFER, CODE_64)},
    {"cr3-reserved", LONG_MODE(PAGING, BIT_60, X86_CR4_PAE, LONG_EFER, CODE_64)},
    {"code-segment-64-and-32", LONG_MODE(PAGING, 0, X86_CR4_PAE, LONG_EFER, CODE_64 | X86_SEG_ATTR_DB)},
};

/* One partition with that state, run once; null, or what went wrong. */
static const char *run_state(struct host_vm *vm, const void *test)
{
    const struct bad_state *state = test;

    for (uint32_t i = 0; i < STATE_MAX && state->registers[i].name != 0; i++) {
        union hv_register_value value = {.reg64 = state->registers[i].value};

        if (state->registers[i].name == HvX64RegisterCs) {
            value = (union hv_register_value){0};
            value.segment.attributes = (uint16_t)state->registers[i].value;
            value.segment.limit = UINT32_MAX;
        }
        if (!selftest_set_register(vm, state->registers[i].name, value)) {
            return "its registers cannot be set";
        }
    }
    return selftest_dispatch(vm, HvMessageTypeUnrecoverableException) ? NULL : "it was not refused";
}

bool selftest_bad_state(void)
{
    bool has_passed = true;

    for (uint32_t i = 0; i < ARRAY_SIZE(bad_states); i++) {
        has_passed &= selftest_with_child(bad_states[i].name, run_state, &bad_states[i]);
    }
    return has_passed;
}
