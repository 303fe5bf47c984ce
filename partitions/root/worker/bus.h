/* SPDX-License-Identifier: MIT */
/* The VMBus of a VM, with the services that every VM with a bus has, and its storage controller. */
#ifndef WORKER_BUS_H
#define WORKER_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/ic/heartbeat.h"
#include "vmbus/ic/kvp.h"
#include "vmbus/ic/shutdown.h"
#include "vmbus/ic/timesync.h"
#include "vmbus/ic/vss.h"
#include "vmbus/keyboard/keyboard.h"
#include "vmbus/mouse/mouse.h"
#include "vmbus/netvsp/netvsp.h"
#include "vmbus/storvsp/storvsp.h"
#include "vmbus/switch.h"
#include "vmbus/video/video.h"
#include "vmbus/vmbus.h"

struct worker_config;

/* The bus and what is on it. Protected by the VM's lock. */
struct bus {
    struct vmbus *vmbus; /* [I] null: the VM has no bus */
    struct heartbeat heartbeat;
    struct shutdown shutdown;
    struct timesync timesync;
    struct kvp kvp;
    struct vss vss;
    struct keyboard keyboard;
    struct mouse mouse;
    struct video video;
    bool has_storage; /* [I] */
    struct storvsp storage;
    uint32_t disk_count;                      /* [I] */
    struct block_disk *disks[SCSI_UNITS_MAX]; /* [I] element i is at LUN i, or is kept to be put there */
    struct netvsp adapter;                    /* its config.host is null: the VM has none */
    struct switch_port port;                  /* of it; has locks of its own */
};

/*
 * Makes the bus in `memory` (as vmbus_create() wants it), offers its services, a controller if there are disks,
 * and a network adapter if there is a network. False when the environment refuses the guest's connections, a controller
 * has no place for so many disks, or the switch no port left. The caller does not hold the lock.
 */
MUST_CHECK bool bus_create(struct bus *bus, void *memory, struct host_vm *host, const struct worker_config *config);

/* Puts a disk at its LUN, which is below disk_count. False: it is there already. The caller holds the lock. */
MUST_CHECK bool bus_add_disk(struct bus *bus, uint32_t lun);

/* Its end; harmless without a bus. The caller does not hold the lock. */
void bus_destroy(struct bus *bus, struct host_vm *host);

#endif
