/* SPDX-License-Identifier: MIT */
#ifndef BOOT_START_H
#define BOOT_START_H

/* Where entry.S goes on in C. */

#include <stdint.h>

#include "hv/lib/compiler.h"

/*
 * `magic` and `information` are what the boot loader left in EAX and EBX. Runs on the boot processor's main stack under
 * provisional page tables, interrupts off.
 */
NORETURN void hypervisor_main(uint32_t magic, uint32_t information);

#endif
