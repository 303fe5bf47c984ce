/* SPDX-License-Identifier: MIT */
/* Executes CPUID, reads where there is no memory and makes a hypercall, again and again, to be found in the trace.
 * Option: ms= (200, 0: for ever). */
#include "hv/abi/hv_hypercall.h"
#include "partitions/child/lib/guest.h"

static uint8_t page[4096] ALIGNED(4096);

uint8_t guest_main(void)
{
    uint64_t limit_ms = guest_option("ms", 200);
    uint64_t deadline = guest_clock() + limit_ms * GUEST_CLOCK_100NS_PER_MS;
    uint64_t status = HV_STATUS_SUCCESS;

    if (!guest_check(guest_enable_hypercalls(page), "enable", "refused")) {
        return guest_failures();
    }
    while (status == HV_STATUS_SUCCESS && (limit_ms == 0 || guest_clock() < deadline)) {
        uint32_t registers[4];

        cpuid(0, 0, registers);
        __asm__ volatile("movl (%1), %0" : "=a"(registers[0]) : "b"(GUEST_HOLE));
        status = hv_hypercall_result_status(guest_hypercall(HvCallNotifyLongSpinWait | HV_HYPERCALL_FAST, 1, 0));
    }
    guest_check(status == HV_STATUS_SUCCESS, "call", "%llu", (unsigned long long)status);
    return guest_failures();
}
