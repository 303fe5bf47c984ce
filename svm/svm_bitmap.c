/* SPDX-License-Identifier: MIT */
/*
 * I/O and MSR permission maps: one pair for the root, one for all children, never changed after boot. A set bit
 * intercepts. The root owns the ports; for a child every port is the root's business. APM vol. 2, I/O and MSR
 * Intercepts.
 */
#include "svm/svm.h"

#include "hv/lib/bitmap.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"

#define IOPM_PAGES        3
#define MSRPM_PAGES       2
#define MSRPM_RANGE_BYTES 0x800u /* each of the three MSR ranges takes 2 KiB, two bits an MSR */
#define MSRPM_HIGH_FIRST  0xc0000000u

static uint8_t *iopm[2];
static uint8_t *msrpm[2];

/* MSRs that VMRUN, VMLOAD or VMSAVE swap: the guest may own them. */
static const uint32_t passthrough_msrs[] = {
    X86_MSR_FS_BASE, X86_MSR_GS_BASE, X86_MSR_KERNEL_GS_BASE, X86_MSR_STAR,         X86_MSR_LSTAR,
    X86_MSR_CSTAR,   X86_MSR_SFMASK,  X86_MSR_SYSENTER_CS,    X86_MSR_SYSENTER_ESP, X86_MSR_SYSENTER_EIP,
};

static void msrpm_allow(uint8_t *map, uint32_t msr)
{
    uint32_t range = msr >= MSRPM_HIGH_FIRST ? MSRPM_RANGE_BYTES : 0;
    uint32_t index = msr & (MSRPM_RANGE_BYTES * 4 - 1);

    map[range + index / 4] &= (uint8_t) ~(3u << (index % 4 * 2));
}

bool svm_bitmap_init(void)
{
    for (int is_root = 0; is_root <= 1; is_root++) {
        iopm[is_root] = page_alloc_contiguous(IOPM_PAGES);
        msrpm[is_root] = page_alloc_contiguous(MSRPM_PAGES);
        if (iopm[is_root] == NULL || msrpm[is_root] == NULL) {
            return false;
        }
        memset(iopm[is_root], is_root ? 0 : 0xff, IOPM_PAGES * PAGE_SIZE);
        memset(msrpm[is_root], 0xff, MSRPM_PAGES * PAGE_SIZE);
        for (size_t i = 0; i < ARRAY_SIZE(passthrough_msrs); i++) {
            msrpm_allow(msrpm[is_root], passthrough_msrs[i]);
        }
    }
    return true;
}

spa_t svm_iopm(bool is_root)
{
    return mem_to_spa(iopm[is_root]);
}

spa_t svm_msrpm(bool is_root)
{
    return mem_to_spa(msrpm[is_root]);
}
