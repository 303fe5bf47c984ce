/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_VP_FPU_H
#define PARTITION_VP_FPU_H

/*
 * Extended processor state (x87, SSE, AVX and what else XSAVE covers). Each VP has one page in the standard XSAVE
 * format; on the processor that runs it the registers are ahead of the page until vp_save_fpu().
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_register.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"

struct vp;

/* Lets this processor execute FPU and XSAVE instructions. Each processor, before it runs a VP. */
void vp_fpu_enable_processor(void);

/* Power-on state; registers that this processor holds for the VP are dropped. Own VP. */
void vp_fpu_reset(struct vp *vp);

/* Writes the power-on state into the saved page (vp_xsave.c). */
void vp_fpu_init_area(struct vp *vp);

/* Changes XCR0 of a VP; the value is valid (cpuid_xcr0_is_valid()). Own VP. */
void vp_fpu_set_xcr0(struct vp *vp, uint64_t value);

/*
 * XMM, x87 and their control registers by ABI name, in the saved page: the caller has had it saved (vp_save_fpu()).
 * INVALID_PARAMETER: another name; INVALID_REGISTER_VALUE: reserved MXCSR bits.
 */
MUST_CHECK hv_status_t vp_fpu_get_register(struct vp *vp, uint32_t name, union hv_register_value *value);
MUST_CHECK hv_status_t vp_fpu_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value);

/*
 * The whole state in the compacted XSAVE format, in a page; `states` are the components to be there. Own VP.
 * Set: INVALID_PARAMETER for an image that the processor would refuse.
 */
void vp_fpu_get_compacted(struct vp *vp, uint64_t states, void *page);
MUST_CHECK hv_status_t vp_fpu_set_compacted(struct vp *vp, uint64_t states, const void *page);

/* XCR0 as the guest has it now. Own VP or claimed. */
uint64_t vp_fpu_xcr0(struct vp *vp);

#endif
