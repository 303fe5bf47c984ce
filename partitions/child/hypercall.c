/* SPDX-License-Identifier: MIT */
/* The hypercall page as an overlay over the child's memory, and statuses of calls that a child makes. */
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_msr.h"
#include "hv/lib/str.h"
#include "partitions/child/lib/guest.h"

#define PATTERN            0x3Cu
#define UNKNOWN_CONNECTION 0x00ABCDEFu
#define SPIN_COUNT         0x1000u

static uint8_t pages[2][4096] ALIGNED(4096);
static uint8_t parameters[4096] ALIGNED(4096);

static bool has_pattern(const uint8_t *page)
{
    for (uint32_t i = 0; i < 4096; i++) {
        if (((const volatile uint8_t *)page)[i] != PATTERN) {
            return false;
        }
    }
    return true;
}

static void check_overlay(void)
{
    memset(pages, PATTERN, sizeof(pages));
    wrmsr(HV_X64_MSR_HYPERCALL, (uint64_t)pages[0] | HV_X64_MSR_HYPERCALL_ENABLE);
    guest_check((rdmsr(HV_X64_MSR_HYPERCALL) & HV_X64_MSR_HYPERCALL_ENABLE) == 0 && has_pattern(pages[0]),
                "needs-identity", "enabled without an OS id");
    guest_check(guest_enable_hypercalls(pages[0]), "enable", "MSR is %#llx",
                (unsigned long long)rdmsr(HV_X64_MSR_HYPERCALL));
    guest_check(!has_pattern(pages[0]), "appears", "the page is as before");

    struct guest_registers registers = {.rdi = (uint64_t)pages[0], .rax = 1};
    static const uint8_t store[] = {0x88, 0x07}; /* mov %al, (%rdi) */
    uint32_t fault = guest_try_bytes(store, sizeof(store), &registers);

    guest_check(fault == GUEST_FAULT(X86_VECTOR_GP), "read-only", "fault %u", fault);
    guest_check(guest_enable_hypercalls(pages[1]) && has_pattern(pages[0]) && !has_pattern(pages[1]), "moves",
                "the old page is not as it was");
    guest_check(hv_hypercall_result_status(guest_hypercall(0x7FFF, 0, 0)) == HV_STATUS_INVALID_HYPERCALL_CODE,
                "works-after-move", "no status 2");
    wrmsr(HV_X64_MSR_HYPERCALL, (uint64_t)pages[1]);
    guest_check(has_pattern(pages[1]), "restores", "the page is not as it was");
    guest_check(guest_enable_hypercalls(pages[1]), "enable-again", "refused");
    wrmsr(HV_X64_MSR_GUEST_OS_ID, 0);
    guest_check((rdmsr(HV_X64_MSR_HYPERCALL) & HV_X64_MSR_HYPERCALL_ENABLE) == 0 && has_pattern(pages[1]),
                "identity-gone", "still enabled");
}

static void check_bare_instruction(void)
{
    static const uint8_t vmmcall[] = {0x0F, 0x01, 0xD9};
    static const uint8_t vmcall[] = {0x0F, 0x01, 0xC1};
    struct guest_registers registers = {.rcx = HvCallNotifyLongSpinWait | HV_HYPERCALL_FAST, .rdx = 1};
    uint32_t fault = guest_try_bytes(vmmcall, sizeof(vmmcall), &registers);

    guest_check(fault == GUEST_FAULT(X86_VECTOR_UD), "vmmcall-disabled", "fault %u", fault);
    registers = (struct guest_registers){.rcx = HvCallNotifyLongSpinWait | HV_HYPERCALL_FAST, .rdx = 1};
    fault = guest_try_bytes(vmcall, sizeof(vmcall), &registers);
    guest_check(fault == GUEST_FAULT(X86_VECTOR_UD), "vmcall-disabled", "fault %u", fault);
}

static void check_status(const char *name, uint64_t control, uint64_t input, uint16_t wanted)
{
    uint16_t status = hv_hypercall_result_status(guest_hypercall(control, input, 0));

    guest_check(status == wanted, name, "status %#x, expected %#x", status, wanted);
}

static void check_calls(void)
{
    struct hv_input_post_message *post = (struct hv_input_post_message *)parameters;
    uint64_t *words = (uint64_t *)parameters;

    check_status("spin-wait", HvCallNotifyLongSpinWait | HV_HYPERCALL_FAST, SPIN_COUNT, HV_STATUS_SUCCESS);
    check_status("unknown", 0x7FFF, 0, HV_STATUS_INVALID_HYPERCALL_CODE);
    check_status("reserved-bits", HvCallNotifyLongSpinWait | UINT64_C(1) << 28, (uint64_t)parameters,
                 HV_STATUS_INVALID_HYPERCALL_INPUT);
    check_status("misaligned", HvCallPostMessage, (uint64_t)parameters + 4, HV_STATUS_INVALID_ALIGNMENT);
    check_status("crosses-page", HvCallPostMessage, (uint64_t)parameters + 4096 - 8, HV_STATUS_INVALID_ALIGNMENT);
    *post =
        (struct hv_input_post_message){.connection_id = UNKNOWN_CONNECTION, .message_type = 1, .payload_size_bytes = 8};
    check_status("unknown-connection", HvCallPostMessage, (uint64_t)parameters, HV_STATUS_INVALID_CONNECTION_ID);
    /* Calls of a parent. */
    memset(parameters, 0, sizeof(parameters));
    check_status("create-partition", HvCallCreatePartition, (uint64_t)parameters, HV_STATUS_ACCESS_DENIED);
    words[0] = HV_PARTITION_ID_SELF;
    check_status("create-vp", HvCallCreateVp, (uint64_t)parameters, HV_STATUS_ACCESS_DENIED);
    check_status("deposit", hv_hypercall_control(HvCallDepositMemory, 0, 1, 0), (uint64_t)parameters,
                 HV_STATUS_ACCESS_DENIED);
    check_status("map-pages", hv_hypercall_control(HvCallMapGpaPages, 0, 1, 0), (uint64_t)parameters,
                 HV_STATUS_ACCESS_DENIED);
    check_status("dispatch", HvCallDispatchVp, (uint64_t)parameters, HV_STATUS_ACCESS_DENIED);
}

uint8_t guest_main(void)
{
    check_overlay();
    check_bare_instruction();
    guest_check(guest_enable_hypercalls(pages[0]), "enable-for-calls", "refused");
    check_calls();
    return guest_failures();
}
