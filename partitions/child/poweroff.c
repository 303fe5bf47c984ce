/* SPDX-License-Identifier: MIT */
/* Switches its machine off the ACPI way. */
#include "partitions/child/lib/guest.h"

#define PM1_CONTROL_PORT 0x604u
#define SLEEP_ENABLE     (1u << 13)
#define SLEEP_TYPE_SHIFT 10

uint8_t guest_main(void)
{
    guest_print("PASS poweroff\n");
    /* Which sleep type is S5 stands in the ACPI tables; the others do nothing. */
    for (uint32_t type = 0; type < 8; type++) {
        outw(PM1_CONTROL_PORT, (uint16_t)(type << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
    }
    guest_print("FAIL poweroff: still here\n");
    return 1;
}
