/* SPDX-License-Identifier: MIT */
/*
 * Puts VMBus and its services together, and hands on what the guest sends: a VM
 * without a bus has opened no connection, so that nothing comes for it.
 */
#include "partitions/root/worker/bus.h"

#include "partitions/root/worker/command.h"
#include "partitions/root/worker/layout.h"
#include "partitions/root/worker/vm.h"

/* 5a1f0c6e-7d2b-4b0e-9c41-3e6d88f2a7b4 */
static const struct guid controller_instance = {
    0x5A1F0C6E,
    0x7D2B,
    0x4B0E,
    {0x9C, 0x41, 0x3E, 0x6D, 0x88, 0xF2, 0xA7, 0xB4},
};

bool bus_add_disk(struct bus *bus, uint32_t lun)
{
    struct guid identity = controller_instance;

    identity.data1 += 1 + lun;
    return storvsp_attach(&bus->storage, lun, SCSI_DISK, &identity, bus->disks[lun]);
}

static bool create_storage(struct bus *bus, struct host_vm *host, const struct worker_config *config)
{
    const struct storvsp_config storage = {
        .bus = bus->vmbus,
        .host = host,
        .instance = controller_instance,
        .sub_channels_max = STORVSP_SUB_CHANNELS_MAX,
        .detached = command_disk_detached,
    };

    if (config->disk_count > SCSI_UNITS_MAX) {
        return false;
    }
    bus->has_storage = storvsp_create(&bus->storage, &storage);
    for (uint32_t lun = 0; lun < config->disk_count && bus->has_storage; lun++) {
        bus->disks[lun] = config->disks[lun];
        bus->disk_count++;
        if ((config->spare_disks >> lun & 1) == 0 && !bus_add_disk(bus, lun)) {
            return false;
        }
    }
    return bus->has_storage;
}

/* Called by senders, with their locks. */
static void frames_arrived(struct net_port *port)
{
    struct switch_port *connected = CONTAINER_OF(port, struct switch_port, net);

    netvsp_arrived(&CONTAINER_OF(connected, struct bus, port)->adapter);
}

/* Offers a network adapter at a port of the switch. */
static bool add_adapter(struct bus *bus, struct host_vm *host, const struct worker_config *config)
{
    const struct switch_port_config port = {.user = SWITCH_CHILD};
    const struct netvsp_config adapter = {
        .bus = bus->vmbus,
        .host = host,
        .port = &bus->port.net,
        .instance = {0x5C1A3F6E, 0x2B7D, 0x4E0A, {0x9B, 0x41, 0x6D, 0x70, 0x61, 0x72, 0x74, 0x01}},
        .name = "Network Adapter",
        /* Locally administered, and the same for the same child of each run. */
        .address = {0x02, 0x50, 0x61, 0x72, 0x74, config->number},
        .sub_channels_max = MIN(config->vp_count - 1, NETVSP_SUB_CHANNELS_MAX),
    };

    bus->port.net.arrived = frames_arrived;
    return netvsp_create(&bus->adapter, &adapter) && switch_connect(config->network, &bus->port, &port);
}

bool bus_create(struct bus *bus, void *memory, struct host_vm *host, const struct worker_config *config)
{
    bool is_made;

    heartbeat_init(&bus->heartbeat, host);
    shutdown_init(&bus->shutdown, host, command_shutdown_answered);
    timesync_init(&bus->timesync, host);
    kvp_init(&bus->kvp, host, command_kvp_answered);
    vss_init(&bus->vss, host, command_vss_answered);
    keyboard_init(&bus->keyboard);
    mouse_init(&bus->mouse);
    video_init(&bus->video, &(struct video_config){
                                .host = host,
                                .window_gpa = LAYOUT_MMIO_WINDOW_GPA,
                                .window_bytes = LAYOUT_MMIO_WINDOW_BYTES,
                            });
    host_vm_lock(host);
    bus->vmbus = vmbus_create(memory, host, config->vp_count);
    is_made = bus->vmbus != NULL && vsp_offer(bus->vmbus, &bus->heartbeat.ic.vsp) &&
              vsp_offer(bus->vmbus, &bus->shutdown.ic.vsp) && vsp_offer(bus->vmbus, &bus->timesync.ic.vsp) &&
              vsp_offer(bus->vmbus, &bus->kvp.ic.vsp) && vsp_offer(bus->vmbus, &bus->vss.ic.vsp) &&
              vsp_offer(bus->vmbus, &bus->keyboard.vsp) && vsp_offer(bus->vmbus, &bus->mouse.vsp) &&
              vsp_offer(bus->vmbus, &bus->video.vsp) &&
              (config->disk_count == 0 || create_storage(bus, host, config)) &&
              (config->network == NULL || add_adapter(bus, host, config));
    host_vm_unlock(host);
    return is_made;
}

void bus_destroy(struct bus *bus, struct host_vm *host)
{
    if (bus->vmbus != NULL) {
        host_vm_lock(host);
        switch_disconnect(&bus->port);
        vmbus_destroy(bus->vmbus);
        if (bus->has_storage) {
            storvsp_destroy(&bus->storage);
        }
        if (bus->adapter.config.host != NULL) {
            netvsp_destroy(&bus->adapter);
        }
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
