/* SPDX-License-Identifier: MIT */
/*
 * I/O and MSR bitmaps: one set for the root, one for all children, never changed after boot. A set bit intercepts. The
 * root owns the ports; for a child every port is the root's business. SDM vol. 3, I/O-Bitmap Addresses, MSR-Bitmap
 * Address.
 */
#include "vmx/vmx.h"

#include "hv/lib/bitmap.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"

#define IO_BITMAP_PAGES        2
/* The MSR bitmap: reads of low and high MSRs, then writes of both; one bit an MSR. */
#define MSR_BITMAP_HIGH_BYTES  0x400u
#define MSR_BITMAP_WRITE_BYTES 0x800u
#define MSR_HIGH_FIRST         0xc0000000u
#define MSR_RANGE_MASK         0x1fffu

static uint8_t *io_bitmap[2];
static uint8_t *msr_bitmap[2];

/* An MSR that needs no exit. */
struct msr_grant {
    uint32_t msr;
    bool allows_write;
};

/* State that VM entry and exit swap is the guest's; of what is swapped with the VP only reads are. */
static const struct msr_grant grants[] = {
    {X86_MSR_FS_BASE, true},     {X86_MSR_GS_BASE, true},      {X86_MSR_KERNEL_GS_BASE, true},
    {X86_MSR_SYSENTER_CS, true}, {X86_MSR_SYSENTER_ESP, true}, {X86_MSR_SYSENTER_EIP, true},
    {X86_MSR_STAR, false},       {X86_MSR_LSTAR, false},       {X86_MSR_CSTAR, false},
    {X86_MSR_SFMASK, false},
};

static void allow(uint8_t *map, uint32_t msr)
{
    uint32_t index = msr & MSR_RANGE_MASK;

    map += msr >= MSR_HIGH_FIRST ? MSR_BITMAP_HIGH_BYTES : 0;
    map[index / 8] &= (uint8_t) ~(1u << index % 8);
}

bool vmx_bitmap_init(void)
{
    for (int is_root = 0; is_root <= 1; is_root++) {
        io_bitmap[is_root] = page_alloc_contiguous(IO_BITMAP_PAGES);
        msr_bitmap[is_root] = page_alloc();
        if (io_bitmap[is_root] == NULL || msr_bitmap[is_root] == NULL) {
            return false;
        }
        memset(io_bitmap[is_root], is_root ? 0 : 0xff, IO_BITMAP_PAGES * PAGE_SIZE);
        memset(msr_bitmap[is_root], 0xff, PAGE_SIZE);
        for (size_t i = 0; i < ARRAY_SIZE(grants); i++) {
            allow(msr_bitmap[is_root], grants[i].msr);
            if (grants[i].allows_write) {
                allow(msr_bitmap[is_root] + MSR_BITMAP_WRITE_BYTES, grants[i].msr);
            }
        }
    }
    return true;
}

spa_t vmx_io_bitmap(bool is_root, unsigned half)
{
    return spa_add(mem_to_spa(io_bitmap[is_root]), half * PAGE_SIZE);
}

spa_t vmx_msr_bitmap(bool is_root)
{
    return mem_to_spa(msr_bitmap[is_root]);
}
