/* SPDX-License-Identifier: MIT */
#include "hv/partition/vp_fpu.h"

#include <stddef.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/lib/addr.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"

/*
 * Swapping extended state in and out of the processor. The hypervisor itself uses no such register, so the state of the
 * VP that ran last stays loaded until another one needs the registers. Not here: what the saved image says
 * (vp_xsave.c).
 *
 * While state is swapped, XCR0 holds every component that guests may have: a guest that has switched a component off
 * must find its contents again when it switches it on.
 */

#define CPUID_FEATURES  1u
#define CPUID_ECX_XSAVE (1u << 26)

static uint64_t swap_mask; /* [I] after the first processor; 0: FXSAVE only */

void vp_fpu_enable_processor(void)
{
    bool has_xsave = (cpuid(CPUID_FEATURES, 0).ecx & CPUID_ECX_XSAVE) != 0;

    write_cr0(read_cr0() & ~(X86_CR0_EM | X86_CR0_TS));
    write_cr4(read_cr4() | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | (has_xsave ? X86_CR4_OSXSAVE : 0));
    if (has_xsave) {
        swap_mask = cpuid_xcr0_mask(root_partition) | X86_XCR0_X87 | X86_XCR0_SSE;
        ASSERT(cpuid_xsave_size(swap_mask, false) <= PAGE_SIZE);
        xsetbv(0, swap_mask);
    }
}

uint64_t vp_fpu_xcr0(struct vp *vp)
{
    if (swap_mask == 0 || cpu_this()->fpu_owner != vp) {
        return vp->xcr0;
    }
    /* Read back, not remembered: QEMU's software CPU loads XCR0 without the exit that XSETBV should be. */
    return xgetbv(0) & swap_mask;
}

static void save(struct vp *vp)
{
    if (swap_mask == 0) {
        __asm__ volatile("fxsave64 (%0)" : : "r"(vp->fpu_area) : "memory");
        return;
    }
    vp->xcr0 = vp_fpu_xcr0(vp);
    if (vp->xcr0 != swap_mask) {
        xsetbv(0, swap_mask);
    }
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(vp->fpu_area), "a"((uint32_t)swap_mask), "d"((uint32_t)(swap_mask >> 32))
                     : "memory");
}

/* XCR0 holds the swap mask: since the processor was enabled, or since the former owner was saved. */
static void load(struct vp *vp)
{
    if (swap_mask == 0) {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(vp->fpu_area) : "memory");
        return;
    }
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(vp->fpu_area), "a"((uint32_t)swap_mask), "d"((uint32_t)(swap_mask >> 32))
                     : "memory");
    if (vp->xcr0 != swap_mask) {
        xsetbv(0, vp->xcr0);
    }
}

void vp_load_fpu(struct vp *vp)
{
    struct cpu *cpu = cpu_this();
    struct vp *owner = cpu->fpu_owner;

    if (owner == vp) {
        return;
    }
    if (owner != NULL) {
        save(owner);
    }
    load(vp);
    cpu->fpu_owner = vp;
}

void vp_save_fpu(struct vp *vp)
{
    struct cpu *cpu = cpu_this();

    if (cpu->fpu_owner == vp) {
        save(vp);
        cpu->fpu_owner = NULL;
    }
}

void vp_fpu_reset(struct vp *vp)
{
    struct cpu *cpu = cpu_this();

    if (cpu->fpu_owner == vp) {
        cpu->fpu_owner = NULL;
        if (swap_mask != 0) {
            xsetbv(0, swap_mask);
        }
    }
    vp_fpu_init_area(vp);
}

void vp_fpu_set_xcr0(struct vp *vp, uint64_t value)
{
    vp->xcr0 = value;
    if (cpu_this()->fpu_owner == vp && swap_mask != 0) {
        xsetbv(0, value);
    }
}
