/* SPDX-License-Identifier: MIT */
#ifndef IC_HEARTBEAT_H
#define IC_HEARTBEAT_H

/* Heartbeat: whether the guest's kernel is alive. */

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/ic/ic.h"

/* The heartbeat of one VM. */
struct heartbeat {
    struct ic ic;
    uint64_t sequence;          /* of the last question */
    uint64_t answer_count;      /* since the guest opened the service */
    uint64_t answer_time_100ns; /* of the last one */
};

/* Prepares it; vsp_offer() of heartbeat->ic.vsp brings it to the guest. */
void heartbeat_init(struct heartbeat *heartbeat, struct host_vm *host);

/* The guest has answered within the last HEARTBEAT_PATIENCE_100NS. */
#define HEARTBEAT_PATIENCE_100NS UINT64_C(100000000)
bool heartbeat_is_in_contact(const struct heartbeat *heartbeat);

#endif
