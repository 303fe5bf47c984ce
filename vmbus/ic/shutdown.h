/* SPDX-License-Identifier: MIT */
#ifndef IC_SHUTDOWN_H
#define IC_SHUTDOWN_H

/* Shutdown: the host asks the guest to power off or restart in an orderly way. */

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/ic/ic.h"

/* The shutdown service of one VM. */
struct shutdown {
    struct ic ic;
    void (*answered)(struct shutdown *shutdown, uint32_t status); /* [I] */
};

/*
 * Prepares it; vsp_offer() of shutdown->ic.vsp brings it to the guest. `answered` is called once for each request, with
 * the guest's status (HRESULT; 0: it is on its way down), or IC_STATUS_FAILED when it has closed the service.
 */
void shutdown_init(struct shutdown *shutdown, struct host_vm *host,
                   void (*answered)(struct shutdown *shutdown, uint32_t status));

/*
 * Asks the guest to power off, or restart; by force if programs may lose data. False when nobody listens in the guest,
 * or an earlier request has no answer yet.
 */
MUST_CHECK bool shutdown_request(struct shutdown *shutdown, bool is_restart, bool is_forced);

#endif
