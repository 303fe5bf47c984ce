/* SPDX-License-Identifier: MIT */
/* Asks for a reset of its machine through the reset port. */
#include "partitions/child/lib/guest.h"

#define RESET_PORT  0xCF9u
#define RESET_VALUE 0x06u

uint8_t guest_main(void)
{
    guest_print("reset follows\n");
    outb(RESET_PORT, RESET_VALUE);
    guest_print("FAIL reset: still here\n");
    return 1;
}
