/* SPDX-License-Identifier: MIT */
#ifndef IC_VSS_H
#define IC_VSS_H

/*
 * Freezing and thawing of the guest's file systems, so that a copy of its disks is consistent. In the guest a program
 * of its own does it (Linux: hv_vss_daemon); without one, every request fails after a while.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/ic/ic.h"

/* The service of one VM. */
struct vss {
    struct ic ic;
    void (*answered)(struct vss *vss, uint32_t status); /* [I] */
};

/*
 * Prepares it; vsp_offer() of vss->ic.vsp brings it to the guest. `answered` is called once for each request, with the
 * guest's status (HRESULT; 0: done), or IC_STATUS_FAILED when the guest has gone.
 */
void vss_init(struct vss *vss, struct host_vm *host, void (*answered)(struct vss *vss, uint32_t status));

/*
 * Freezes, or thaws: writes to the guest's file systems wait in between. Who has frozen thaws within minutes, whatever
 * happens. False when nobody listens in the guest, or it still owes an answer.
 */
MUST_CHECK bool vss_freeze(struct vss *vss, bool is_thaw);

#endif
