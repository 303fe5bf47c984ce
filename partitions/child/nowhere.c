/* SPDX-License-Identifier: MIT */
/* Jumps to an address where there is no memory, without an interrupt table. Must end the VM, and only it. */
#include "partitions/child/lib/guest.h"

uint8_t guest_main(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } PACKED nothing = {0, 0};

    guest_print("jump into nowhere follows\n");
    __asm__ volatile("lidt %0; jmp *%1" : : "m"(nothing), "r"(GUEST_HOLE));
    guest_print("FAIL nowhere: still here\n");
    return 1;
}
