/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_VP_STATE_H
#define PARTITION_VP_STATE_H

/* VP state pages, which the root shares with the hypervisor, and VP state as the root reads and writes it in one piece.
 */

#include <stdint.h>

#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"

struct partition;
struct vp;

/*
 * HvCallMapVpStatePage: the register page (HV_VP_STATE_PAGE_REGISTERS) or the intercept message page of a child VP, in
 * a page of its partition's deposit, readable and writable by the root at the page number returned. A page that is
 * mapped already is returned again. INVALID_PARAMETER: another type; INSUFFICIENT_MEMORY: deposit to the VP's
 * partition. No locks held.
 */
MUST_CHECK hv_status_t vp_state_map_page(struct vp *vp, uint32_t type, uint64_t *page);

/* HvCallUnmapVpStatePage. INVALID_PARAMETER: another type; NOT_FOUND: not mapped. The VP must be claimed or its own. */
MUST_CHECK hv_status_t vp_state_unmap_page(struct vp *vp, uint32_t type);

/* Frees the VP's state and statistics pages. */
void vp_state_destroy(struct vp *vp);

/*
 * HvCallGetVpState and HvCallSetVpState for the types that travel in pages: `pages` are page numbers of `caller`. The
 * VP is claimed or its own. INVALID_PARAMETER: unknown type, too few pages, or (set) contents that no VP can have;
 * INVALID_ALIGNMENT: a page that the caller cannot reach; INSUFFICIENT_MEMORY: deposit to the VP's partition. No locks
 * held.
 */
MUST_CHECK hv_status_t vp_state_get(struct vp *vp, struct partition *caller, const struct hv_input_vp_state *input,
                                    const uint64_t *pages, uint32_t page_count);
MUST_CHECK hv_status_t vp_state_set(struct vp *vp, struct partition *caller, const struct hv_input_vp_state *input,
                                    const uint64_t *pages, uint32_t page_count);

#endif
