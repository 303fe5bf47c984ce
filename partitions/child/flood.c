/* SPDX-License-Identifier: MIT */
/* A flood of hypercalls with all codes and random parameters. Statuses do not matter; nobody else may suffer. Option:
 * ms= (1000). */
#include "hv/abi/hv_hypercall.h"
#include "partitions/child/lib/guest.h"

#define CODES 0x140u

static uint8_t page[4096] ALIGNED(4096);
static uint64_t parameters[2][512] ALIGNED(4096);
static uint64_t state = UINT64_C(0x9E3779B97F4A7C15);

/* xorshift. */
static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* An address: usually a good one, sometimes any. */
static uint64_t any_address(uint32_t which)
{
    return next_random() % 4 != 0 ? (uint64_t)parameters[which] : next_random();
}

/* Calls that rightly change the caller, or take time on purpose. */
static bool changes_caller(uint32_t code)
{
    return code == HvCallNotifyLongSpinWait || code == HvCallSwitchVirtualAddressSpace ||
           code == HvCallSetVpRegisters || code == HvCallStartVirtualProcessor || code == HvCallVtlCall ||
           code == HvCallVtlReturn;
}

uint8_t guest_main(void)
{
    uint64_t end = guest_clock() + guest_option("ms", 1000) * GUEST_CLOCK_100NS_PER_MS;
    uint64_t call_count = 0;
    uint64_t success_count = 0;

    if (!guest_check(guest_enable_hypercalls(page), "enable", "refused")) {
        return guest_failures();
    }
    while (guest_clock() < end) {
        for (uint32_t code = 0; code < CODES; code++) {
            uint64_t control = code;

            if (changes_caller(code)) {
                continue;
            }
            if (next_random() % 2 != 0) {
                control |= (next_random() % 8) << HV_HYPERCALL_REP_COUNT_SHIFT;
            }
            if (next_random() % 4 == 0) {
                control |= next_random() & ~HV_HYPERCALL_CODE_MASK;
            }
            for (uint32_t i = 0; i < 16; i++) {
                parameters[0][i] = next_random() % 3 != 0 ? next_random() % 16 : next_random();
            }
            parameters[0][0] = next_random() % 2 != 0 ? HV_PARTITION_ID_SELF : next_random() % 4;
            success_count += hv_hypercall_result_status(guest_hypercall(control, any_address(0), any_address(1))) ==
                                     HV_STATUS_SUCCESS
                                 ? 1
                                 : 0;
            call_count++;
        }
    }
    guest_print("%llu calls, %llu successes\n", (unsigned long long)call_count, (unsigned long long)success_count);
    guest_print("PASS flood\n");
    return 0;
}
