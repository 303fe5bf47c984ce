/* SPDX-License-Identifier: MIT */
#include "tests/unit/fake_kernel.h"

#include "hv/lib/bytes.h"

/* Multiboot Specification version 0.6.96, The layout of Multiboot header. */
#define HEADER_MAGIC     0x1BADB002u
#define ADDRESSES_FOLLOW 0x00010000u

const uint8_t *fake_kernel(void)
{
    static uint8_t kernel[FAKE_KERNEL_BYTES];

    put_u32(kernel, HEADER_MAGIC);
    put_u32(kernel + 4, ADDRESSES_FOLLOW);
    put_u32(kernel + 8, -(HEADER_MAGIC + ADDRESSES_FOLLOW));
    put_u32(kernel + 12, (uint32_t)FAKE_KERNEL_LOAD_GPA);
    put_u32(kernel + 16, (uint32_t)FAKE_KERNEL_LOAD_GPA);
    put_u32(kernel + 28, (uint32_t)FAKE_KERNEL_ENTRY_GPA);
    return kernel;
}
