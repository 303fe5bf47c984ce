/* SPDX-License-Identifier: MIT */
/* Writes on both ports what minroot's frames look like: an end with another status, an error, a frame cut off. */
#include "partitions/child/lib/guest.h"

#define OWN_STATUS 3u

uint8_t guest_main(void)
{
    static const char forged[] = "\036x 0 1\n9\036e 0 6\nforged\036c 0 999\nend\n";

    guest_print("%s", forged);
    for (const char *at = forged; *at != '\0'; at++) {
        outb(GUEST_COM2, (uint8_t)*at);
    }
    return OWN_STATUS;
}
