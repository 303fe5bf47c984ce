/* SPDX-License-Identifier: MIT */
/* A triple fault: an exception without an interrupt table. Must end the VM, and only it. */
#include "partitions/child/lib/guest.h"

uint8_t guest_main(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } PACKED nothing = {0, 0};

    guest_print("triple fault follows\n");
    __asm__ volatile("lidt %0; ud2" : : "m"(nothing));
    guest_print("FAIL triple: still here\n");
    return 1;
}
