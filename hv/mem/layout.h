/* SPDX-License-Identifier: MIT */
#ifndef MEM_LAYOUT_H
#define MEM_LAYOUT_H

/* The hypervisor's virtual address space beside image and direct map (mem.h), and the image's own bounds. */

#include <stdint.h>

#define MEM_DIRECT_MAP_BYTES   0x0000400000000000ull /* 64 TiB: more RAM than that is left alone */
#define MEM_STACK_BASE         0xffffffffc0000000ull /* CPU_STACKS_STRIDE for each processor */
#define MEM_DEVICE_BASE        0xffffffffd0000000ull /* mem_map_device() */
#define MEM_DEVICE_END         0xffffffffe0000000ull
#define MEM_IMAGE_LOAD_ADDRESS 0x200000ull /* physical, where the boot loader puts the image */

/* From the linker script; all page-aligned. */
extern uint8_t image_start[];
extern uint8_t image_text_end[];
extern uint8_t image_rodata_end[];
extern uint8_t image_bss_start[];
extern uint8_t image_end[];

#endif
