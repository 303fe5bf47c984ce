/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_MSR_ARCH_H
#define PARTITION_MSR_ARCH_H

/* Architectural and model-specific MSRs, for msr.c only: what is not synthetic and not the APIC's. */

#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/partition/msr.h"

/* MSR_INTERCEPT here means "no MSR of this partition": msr.c decides what that comes to. Own VP. */
MUST_CHECK enum msr_result msr_arch_read(struct vp *vp, uint32_t msr, uint64_t *value);
MUST_CHECK enum msr_result msr_arch_write(struct vp *vp, uint32_t msr, uint64_t value);

/* Sets a VP's TSC on the root's behalf: VPs whose TSCs the root sets to about the same keep exactly the same. VP
 * stopped. */
void msr_set_tsc_for_root(struct vp *vp, uint64_t value);

/* Reset values of the stored ones. */
void msr_arch_reset(struct vp *vp);

#endif
