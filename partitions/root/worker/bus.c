/* SPDX-License-Identifier: MIT */
/*
 * Puts VMBus and its services together, and hands on what the guest sends: a VM
 * without a bus has opened no connection, so that nothing comes for it.
 */
#include "partitions/root/worker/bus.h"

#include "partitions/root/worker/vm.h"

bool bus_create(struct bus *bus, void *storage, struct host_vm *host, uint32_t vp_count)
{
    bool is_made;

    heartbeat_init(&bus->heartbeat, host);
    shutdown_init(&bus->shutdown, host);
    timesync_init(&bus->timesync, host);
    host_vm_lock(host);
    bus->vmbus = vmbus_create(storage, host, vp_count);
    is_made = bus->vmbus != NULL && vsp_offer(bus->vmbus, &bus->heartbeat.ic.vsp) &&
              vsp_offer(bus->vmbus, &bus->shutdown.ic.vsp) && vsp_offer(bus->vmbus, &bus->timesync.ic.vsp);
    host_vm_unlock(host);
    return is_made;
}

void bus_destroy(struct bus *bus, struct host_vm *host)
{
    if (bus->vmbus != NULL) {
        host_vm_lock(host);
        vmbus_destroy(bus->vmbus);
        host_vm_unlock(host);
    }
}

void worker_message(struct vm *vm, uint32_t connection_id, uint32_t message_type, const void *payload,
                    size_t length_bytes)
{
    if (vm->bus.vmbus != NULL) {
        host_vm_lock(vm->host);
        vmbus_message(vm->bus.vmbus, connection_id, message_type, payload, length_bytes);
        host_vm_unlock(vm->host);
    }
}

void worker_event(struct vm *vm, uint32_t connection_id)
{
    if (vm->bus.vmbus != NULL) {
        host_vm_lock(vm->host);
        vmbus_event(vm->bus.vmbus, connection_id);
        host_vm_unlock(vm->host);
    }
}

void worker_messages_wanted(struct vm *vm)
{
    if (vm->bus.vmbus != NULL) {
        host_vm_lock(vm->host);
        vmbus_messages_wanted(vm->bus.vmbus);
        host_vm_unlock(vm->host);
    }
}
