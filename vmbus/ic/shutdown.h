/* SPDX-License-Identifier: MIT */
#ifndef IC_SHUTDOWN_H
#define IC_SHUTDOWN_H

/* Shutdown: the host asks the guest to power off or restart in an orderly way. */

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/ic/ic.h"

/* What has become of the last request. */
enum shutdown_state {
    SHUTDOWN_IDLE, /* none since the guest opened the service */
    SHUTDOWN_ASKED,
    SHUTDOWN_ACCEPTED, /* the guest is on its way down */
    SHUTDOWN_REFUSED,  /* shutdown->status says why */
};

/* The shutdown service of one VM. */
struct shutdown {
    struct ic ic;
    enum shutdown_state state;
    uint32_t status; /* HRESULT of the guest's answer */
};

/* Prepares it; vsp_offer() of shutdown->ic.vsp brings it to the guest. */
void shutdown_init(struct shutdown *shutdown, struct host_vm *host);

/*
 * Asks the guest to power off, or restart; by force if programs may lose data. False when nobody listens in the guest,
 * or an earlier request has no answer yet.
 */
MUST_CHECK bool shutdown_request(struct shutdown *shutdown, bool is_restart, bool is_forced);

#endif
