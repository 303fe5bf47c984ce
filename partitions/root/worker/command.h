/* SPDX-License-Identifier: MIT */
/* Commands of whoever manages a VM: what it is asked, and who waits for the answer of its guest. */
#ifndef WORKER_COMMAND_H
#define WORKER_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/ic/kvp.h"
#include "vmbus/ic/shutdown.h"
#include "vmbus/ic/vss.h"

struct screenshot;
struct storvsp;

/* The command under way in a VM. Protected by the VM's lock. */
struct command {
    bool is_waiting; /* for the guest, for the rest of a picture, or for a disk that still has requests */
    bool is_list;    /* of the keys in a pool */
    uint8_t pool;
    uint32_t index; /* of the pair that was asked for */
};

/* What the services of the VM's bus call when the guest has answered. */
void command_shutdown_answered(struct shutdown *shutdown, uint32_t status);
void command_vss_answered(struct vss *vss, uint32_t status);
void command_kvp_answered(struct kvp *kvp, const struct kvp_answer *answer);

/* What the storage controller calls when a disk that was taken away has no requests any more. */
void command_disk_detached(struct storvsp *controller, uint32_t lun);

/* What the screenshot calls at its end. */
void command_screenshot_sent(struct screenshot *screenshot, const char *error);

#endif
