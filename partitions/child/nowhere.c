/* SPDX-License-Identifier: MIT */
/* Jumps to an address where there is no memory. Must end the VM, and only it. */
#include "partitions/child/lib/guest.h"

uint8_t guest_main(void)
{
    guest_print("jump into nowhere follows\n");
    __asm__ volatile("jmp *%0" : : "r"(GUEST_HOLE));
    guest_print("FAIL nowhere: still here\n");
    return 1;
}
