/* SPDX-License-Identifier: MIT */
/*
 * I/O and MSR bitmaps, never changed after boot. A set bit intercepts. The root owns the ports; for a child every port
 * is the root's business. MSRs are the same for both, but depend on how much of the APIC the processor keeps. SDM vol.
 * 3, I/O-Bitmap Addresses, MSR-Bitmap Address.
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
static uint8_t *msr_bitmap[2]; /* by is_apic_virtual */

/* MSRs that need no exit. */
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

/* A range of x2APIC registers that the processor keeps. What is not readable, or not writable, faults: software's. */
struct apic_grant {
    uint32_t first, last;
    bool allows_read, allows_write;
};

static const struct apic_grant apic_grants[] = {
    {X86_MSR_X2APIC_TPR, X86_MSR_X2APIC_TPR, true, true},
    {X86_MSR_X2APIC_PPR, X86_MSR_X2APIC_PPR, true, false},
    {X86_MSR_X2APIC_EOI, X86_MSR_X2APIC_EOI, false, true},
    {X86_MSR_X2APIC_ISR0, X86_MSR_X2APIC_ISR0 + APIC_WORDS - 1, true, false},
    {X86_MSR_X2APIC_IRR0, X86_MSR_X2APIC_IRR0 + APIC_WORDS - 1, true, false},
    {X86_MSR_X2APIC_SELF_IPI, X86_MSR_X2APIC_SELF_IPI, false, true},
};

static void allow(uint8_t *map, uint32_t msr)
{
    uint32_t index = msr & MSR_RANGE_MASK;

    map += msr >= MSR_HIGH_FIRST ? MSR_BITMAP_HIGH_BYTES : 0;
    map[index / 8] &= (uint8_t) ~(1u << index % 8);
}

static uint8_t *make_msr_bitmap(bool is_apic_virtual)
{
    uint8_t *map = page_alloc();

    if (map == NULL) {
        return NULL;
    }
    memset(map, 0xff, PAGE_SIZE);
    for (size_t i = 0; i < ARRAY_SIZE(grants); i++) {
        allow(map, grants[i].msr);
        if (grants[i].allows_write) {
            allow(map + MSR_BITMAP_WRITE_BYTES, grants[i].msr);
        }
    }
    for (size_t i = 0; is_apic_virtual && i < ARRAY_SIZE(apic_grants); i++) {
        const struct apic_grant *grant = &apic_grants[i];

        for (uint32_t msr = grant->first; msr <= grant->last; msr++) {
            if (grant->allows_read) {
                allow(map, msr);
            }
            if (grant->allows_write) {
                allow(map + MSR_BITMAP_WRITE_BYTES, msr);
            }
        }
    }
    return map;
}

bool vmx_bitmap_init(void)
{
    for (int is_root = 0; is_root <= 1; is_root++) {
        io_bitmap[is_root] = page_alloc_contiguous(IO_BITMAP_PAGES);
        if (io_bitmap[is_root] == NULL) {
            return false;
        }
        memset(io_bitmap[is_root], is_root ? 0 : 0xff, IO_BITMAP_PAGES * PAGE_SIZE);
    }
    for (int is_apic_virtual = 0; is_apic_virtual <= 1; is_apic_virtual++) {
        msr_bitmap[is_apic_virtual] = make_msr_bitmap(is_apic_virtual != 0);
        if (msr_bitmap[is_apic_virtual] == NULL) {
            return false;
        }
    }
    return true;
}

spa_t vmx_io_bitmap(bool is_root, unsigned half)
{
    return spa_add(mem_to_spa(io_bitmap[is_root]), half * PAGE_SIZE);
}

spa_t vmx_msr_bitmap(bool is_apic_virtual)
{
    return mem_to_spa(msr_bitmap[is_apic_virtual]);
}
