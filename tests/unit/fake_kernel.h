/* SPDX-License-Identifier: MIT */
#ifndef UNIT_FAKE_KERNEL_H
#define UNIT_FAKE_KERNEL_H

/* A flat Multiboot1 image that starts right behind its header, for VMs that never run it. */

#include <stdint.h>

#define FAKE_KERNEL_BYTES     0x100u
#define FAKE_KERNEL_LOAD_GPA  UINT64_C(0x100000)
#define FAKE_KERNEL_ENTRY_GPA (FAKE_KERNEL_LOAD_GPA + 0x20)

const uint8_t *fake_kernel(void);

#endif
