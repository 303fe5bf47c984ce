/* SPDX-License-Identifier: MIT */
/* The VMBus of a VM, with the services that every VM with a bus has. */
#ifndef WORKER_BUS_H
#define WORKER_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/ic/heartbeat.h"
#include "vmbus/ic/shutdown.h"
#include "vmbus/ic/timesync.h"
#include "vmbus/vmbus.h"

/* The bus and what is on it. Protected by the VM's lock. */
struct bus {
    struct vmbus *vmbus; /* [I] null: the VM has no bus */
    struct heartbeat heartbeat;
    struct shutdown shutdown;
    struct timesync timesync;
};

/*
 * Makes the bus in `storage` (as vmbus_create() wants it) and offers its services. False when the environment refuses
 * the guest's connections. The caller does not hold the lock.
 */
MUST_CHECK bool bus_create(struct bus *bus, void *storage, struct host_vm *host, uint32_t vp_count);

/* Its end; harmless without a bus. The caller does not hold the lock. */
void bus_destroy(struct bus *bus, struct host_vm *host);

#endif
