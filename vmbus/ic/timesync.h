/* SPDX-License-Identifier: MIT */
#ifndef IC_TIMESYNC_H
#define IC_TIMESYNC_H

/* Time synchronisation: tells the guest the host's wall clock, to the second, as host.h has it. */

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/ic/ic.h"

/* The time synchronisation of one VM. */
struct timesync {
    struct ic ic;
    bool is_step_due; /* the next message has the guest set its clock */
    uint64_t answer_count;
};

/* Prepares it; vsp_offer() of timesync->ic.vsp brings it to the guest. */
void timesync_init(struct timesync *timesync, struct host_vm *host);

/* The guest has missed time (a pause, a restored state): it is to set its clock, at once or as soon as it listens. */
void timesync_step(struct timesync *timesync);

#endif
