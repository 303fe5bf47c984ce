/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "hv/cpu/asm.h"
#include "hv/lib/addr.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/vp.h"
#include "hv/partition/vp_fpu.h"

/*
 * The saved image of extended state (SDM vol. 1, XSAVE Area; APM vol. 2, XSAVE/XRSTOR): registers by name, and the
 * compacted form that the root reads and writes. Not here: the instructions (vp_fpu.c). Whatever is put into the image
 * is checked, since XRSTOR of a bad one faults in the hypervisor.
 */

#define CPUID_FEATURES          1u
#define CPUID_ECX_XSAVE         (1u << 26)
#define CPUID_XSAVE             0xdu
#define CPUID_XSAVE_ECX_ALIGNED (1u << 1)

#define FP_REGISTER_COUNT        8u
#define XMM_REGISTER_COUNT       16u
#define COMPONENT_FIRST_EXTENDED 2u
#define COMPONENT_COUNT          63u
#define COMPONENT_ALIGNMENT      64u
#define XCOMP_COMPACTED          (UINT64_C(1) << 63)

#define FCW_RESET          0x037fu
#define MXCSR_RESET        0x1f80u
#define MXCSR_MASK_DEFAULT 0xffbfu

/* The first 576 bytes of every image. */
struct xsave_image {
    uint16_t fcw;
    uint16_t fsw;
    uint8_t ftw;
    uint8_t rsvd1;
    uint16_t fop;
    uint64_t rip;
    uint64_t rdp;
    uint32_t mxcsr;
    uint32_t mxcsr_mask;
    struct hv_u128 fp[FP_REGISTER_COUNT];
    struct hv_u128 xmm[XMM_REGISTER_COUNT];
    uint8_t rsvd2[96];
    uint64_t xstate_bv;
    uint64_t xcomp_bv;
    uint64_t rsvd3[6];
};
_Static_assert(offsetof(struct xsave_image, mxcsr) == 24, "MXCSR");
_Static_assert(offsetof(struct xsave_image, fp) == 32, "x87 registers");
_Static_assert(offsetof(struct xsave_image, xmm) == 160, "XMM registers");
_Static_assert(offsetof(struct xsave_image, xstate_bv) == 512, "XSAVE header");
_Static_assert(sizeof(struct xsave_image) == 576, "XSAVE image");

static bool has_xsave(void)
{
    return (cpuid(CPUID_FEATURES, 0).ecx & CPUID_ECX_XSAVE) != 0;
}

static uint64_t component_mask(const struct vp *vp)
{
    return cpuid_xcr0_mask(vp->partition) | X86_XCR0_X87 | X86_XCR0_SSE;
}

void vp_fpu_init_area(struct vp *vp)
{
    struct xsave_image *image = vp->fpu_area;

    memset(vp->fpu_area, 0, PAGE_SIZE);
    image->fcw = FCW_RESET;
    image->mxcsr = MXCSR_RESET;
}

/* Makes the image say by value what XSTATE_BV may say by a clear bit, and sets the bit. */
static void materialise(struct xsave_image *image, uint64_t component)
{
    if (!has_xsave() || (image->xstate_bv & component) != 0) {
        return;
    }
    if (component == X86_XCR0_X87) {
        image->fcw = FCW_RESET;
        image->fsw = 0;
        image->ftw = 0;
        image->fop = 0;
        image->rip = 0;
        image->rdp = 0;
        memset(image->fp, 0, sizeof(image->fp));
    } else {
        memset(image->xmm, 0, sizeof(image->xmm));
    }
    image->xstate_bv |= component;
}

static uint32_t mxcsr_mask(const struct xsave_image *image)
{
    return image->mxcsr_mask != 0 ? image->mxcsr_mask : MXCSR_MASK_DEFAULT;
}

hv_status_t vp_fpu_get_register(struct vp *vp, uint32_t name, union hv_register_value *value)
{
    struct xsave_image *image = vp->fpu_area;

    *value = (union hv_register_value){0};
    if (name >= HvX64RegisterXmm0 && name <= HvX64RegisterXmm15) {
        materialise(image, X86_XCR0_SSE);
        value->reg128 = image->xmm[name - HvX64RegisterXmm0];
    } else if (name >= HvX64RegisterFpMmx0 && name <= HvX64RegisterFpMmx7) {
        materialise(image, X86_XCR0_X87);
        value->reg128 = image->fp[name - HvX64RegisterFpMmx0];
    } else if (name == HvX64RegisterFpControlStatus) {
        materialise(image, X86_XCR0_X87);
        value->fp_control_status.fp_control = image->fcw;
        value->fp_control_status.fp_status = image->fsw;
        value->fp_control_status.fp_tag = image->ftw;
        value->fp_control_status.last_fp_op = image->fop;
        value->fp_control_status.last_fp_rip = image->rip;
    } else if (name == HvX64RegisterXmmControlStatus) {
        materialise(image, X86_XCR0_X87);
        value->xmm_control_status.last_fp_rdp = image->rdp;
        value->xmm_control_status.xmm_status_control = image->mxcsr;
        value->xmm_control_status.xmm_status_control_mask = mxcsr_mask(image);
    } else {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t vp_fpu_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    struct xsave_image *image = vp->fpu_area;

    if (name >= HvX64RegisterXmm0 && name <= HvX64RegisterXmm15) {
        materialise(image, X86_XCR0_SSE);
        image->xmm[name - HvX64RegisterXmm0] = value->reg128;
    } else if (name >= HvX64RegisterFpMmx0 && name <= HvX64RegisterFpMmx7) {
        materialise(image, X86_XCR0_X87);
        image->fp[name - HvX64RegisterFpMmx0].low_part = value->fp.mantissa;
        image->fp[name - HvX64RegisterFpMmx0].high_part = value->fp.sign_and_exponent;
    } else if (name == HvX64RegisterFpControlStatus) {
        materialise(image, X86_XCR0_X87);
        image->fcw = value->fp_control_status.fp_control;
        image->fsw = value->fp_control_status.fp_status;
        image->ftw = value->fp_control_status.fp_tag;
        image->fop = value->fp_control_status.last_fp_op;
        image->rip = value->fp_control_status.last_fp_rip;
    } else if (name == HvX64RegisterXmmControlStatus) {
        if ((value->xmm_control_status.xmm_status_control & ~mxcsr_mask(image)) != 0) {
            return HV_STATUS_INVALID_REGISTER_VALUE;
        }
        materialise(image, X86_XCR0_X87);
        materialise(image, X86_XCR0_SSE);
        image->rdp = value->xmm_control_status.last_fp_rdp;
        image->mxcsr = value->xmm_control_status.xmm_status_control;
    } else {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

/* Where a component lies in a compacted image, and how far the image then reaches; false: it does not fit in a page. */
static bool compacted_place(struct cpuid_result info, uint32_t *at, uint32_t *offset)
{
    uint32_t place = *at;

    if ((info.ecx & CPUID_XSAVE_ECX_ALIGNED) != 0) {
        place = (uint32_t)align_up_u64(place, COMPONENT_ALIGNMENT);
    }
    if (place > PAGE_SIZE || info.eax > PAGE_SIZE - place || info.ebx > PAGE_SIZE || info.eax > PAGE_SIZE - info.ebx) {
        return false;
    }
    *offset = place;
    *at = place + info.eax;
    return true;
}

/* Copies the extended components of `states` between a standard and a compacted image. */
static bool copy_components(uint8_t *standard, uint8_t *compacted, uint64_t states, uint64_t in_use, bool to_compacted)
{
    uint32_t at = sizeof(struct xsave_image);

    for (uint32_t i = COMPONENT_FIRST_EXTENDED; i < COMPONENT_COUNT; i++) {
        uint32_t offset;

        if ((states >> i & 1) == 0) {
            continue;
        }

        struct cpuid_result info = cpuid(CPUID_XSAVE, i);

        if (!compacted_place(info, &at, &offset)) {
            return false;
        }
        if ((in_use >> i & 1) == 0) {
            continue;
        }
        if (to_compacted) {
            memcpy(compacted + offset, standard + info.ebx, info.eax);
        } else {
            memcpy(standard + info.ebx, compacted + offset, info.eax);
        }
    }
    return true;
}

void vp_fpu_get_compacted(struct vp *vp, uint64_t states, void *page)
{
    struct xsave_image *image = vp->fpu_area;
    struct xsave_image *out = page;
    uint64_t wanted = (states | X86_XCR0_X87 | X86_XCR0_SSE) & component_mask(vp);

    materialise(image, X86_XCR0_X87);
    materialise(image, X86_XCR0_SSE);
    memset(page, 0, PAGE_SIZE);
    memcpy(page, image, offsetof(struct xsave_image, xstate_bv));
    out->mxcsr_mask = mxcsr_mask(image);
    out->xstate_bv = (image->xstate_bv | X86_XCR0_X87 | X86_XCR0_SSE) & wanted;
    out->xcomp_bv = XCOMP_COMPACTED | wanted;
    (void)copy_components(vp->fpu_area, page, wanted, out->xstate_bv, true);
}

hv_status_t vp_fpu_set_compacted(struct vp *vp, uint64_t states, const void *page)
{
    struct xsave_image *image = vp->fpu_area;
    struct xsave_image in;
    uint64_t there;

    memcpy(&in, page, sizeof(in));
    there = in.xcomp_bv & ~XCOMP_COMPACTED;
    if ((in.xcomp_bv & XCOMP_COMPACTED) == 0 || (there & ~(component_mask(vp) & (states | 3u))) != 0 ||
        (in.xstate_bv & ~there) != 0 || (in.mxcsr & ~mxcsr_mask(image)) != 0) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    for (uint32_t i = 0; i < sizeof(in.rsvd3) / sizeof(in.rsvd3[0]); i++) {
        if (in.rsvd3[i] != 0) {
            return HV_STATUS_INVALID_PARAMETER;
        }
    }
    in.mxcsr_mask = image->mxcsr_mask;
    vp_fpu_init_area(vp);
    memcpy(image, &in, offsetof(struct xsave_image, xstate_bv));
    image->xstate_bv = in.xstate_bv;

    /* The copy only reads from the page. */
    union {
        const void *from;
        void *page;
    } compacted = {.from = page};

    return copy_components(vp->fpu_area, compacted.page, there, in.xstate_bv, false) ? HV_STATUS_SUCCESS
                                                                                     : HV_STATUS_INVALID_PARAMETER;
}
