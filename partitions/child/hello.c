/* SPDX-License-Identifier: MIT */
/* The smallest guest: says PASS on COM1, two lines on COM2, and ends with the status that the option status= names. */
#include "partitions/child/lib/guest.h"

uint8_t guest_main(void)
{
    static const char data[] = "data of hello\nline 2\n";

    guest_print("PASS hello\n");
    for (const char *at = data; *at != '\0'; at++) {
        outb(GUEST_COM2, (uint8_t)*at);
    }
    return (uint8_t)guest_option("status", 0);
}
