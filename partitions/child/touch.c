/* SPDX-License-Identifier: MIT */
/* Touches memory that is not there all over the address space, and all pages of its RAM once. Option: mb= (its memory,
 * 16). */
#include "partitions/child/lib/guest.h"

#define STEP      UINT64_C(0x1003000)
#define HOLE_END  UINT64_C(0xFEC00000)
#define RAM_START UINT64_C(0x200000)

uint8_t guest_main(void)
{
    uint64_t ram_end = guest_option("mb", 16) << 20;
    uint32_t wrong = 0;

    for (uint64_t at = GUEST_HOLE; at < HOLE_END; at += STEP) {
        wrong += *(volatile uint32_t *)at != UINT32_MAX ? 1 : 0;
        *(volatile uint32_t *)at = 0;
    }
    guest_check(wrong == 0, "holes", "%u did not read as all ones", wrong);
    wrong = 0;
    for (uint64_t at = RAM_START; at < ram_end; at += 4096) {
        wrong += *(volatile uint64_t *)at != 0 ? 1 : 0;
        *(volatile uint64_t *)at = at;
    }
    guest_check(wrong == 0, "ram-is-zero", "%u pages were not", wrong);
    wrong = 0;
    for (uint64_t at = RAM_START; at < ram_end; at += 4096) {
        wrong += *(volatile uint64_t *)at != at ? 1 : 0;
    }
    guest_check(wrong == 0, "ram-keeps", "%u pages changed", wrong);
    return guest_failures();
}
