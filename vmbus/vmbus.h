/* SPDX-License-Identifier: MIT */
/*
 * The VMBus of one VM as its worker sees it: it hands over what the child sends,
 * and providers (vmbus/vsp.h) offer their channels on it.
 *
 * All functions are called with the VM's lock held, none blocks, and none calls a
 * worker_* function. The bus allocates nothing: all it ever needs is in the
 * storage that the worker gives it. A worker that creates no bus has a VM
 * without VMBus.
 */
#ifndef VMBUS_VMBUS_H
#define VMBUS_VMBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/guid.h"

struct host_vm;
struct vmbus;

#define VMBUS_STORAGE_ALIGNMENT 64u

/*
 * Quotas of one VM; all storage follows from them (about 700 KiB).
 *
 * Channels: a network adapter or a disk controller with many queues has up to 16, everything else has one; a rescinded
 * channel keeps its place until the guest has released it.
 */
#define VMBUS_CHANNELS_MAX    128u
/* Buffers that the guest shares: one for the rings of each channel, two more for a network adapter. */
#define VMBUS_GPADLS_MAX      384u
/*
 * Pages in all those buffers. They come in blocks, so a buffer of one page takes as much as one of 128. A network
 * adapter has up to 31 MiB of receive buffer, 16 MiB of send buffer and 1 MiB of rings: 12 288 pages. Five such fit.
 */
#define VMBUS_GPADL_PAGES_MAX 65536u

/* Bytes of storage that vmbus_create() needs. */
size_t vmbus_storage_bytes(void);

/*
 * Makes the bus of a VM with `vp_count` VPs in `storage` (vmbus_storage_bytes() bytes, aligned to
 * VMBUS_STORAGE_ALIGNMENT, kept until vmbus_destroy()), without channels, and opens the connections for the guest's
 * messages. Returns null, with a line in the log, when the environment refuses those.
 */
MUST_CHECK struct vmbus *vmbus_create(void *storage, struct host_vm *host, uint32_t vp_count);

/*
 * The end of the VM: closes what is open (vsp_operations.close is called, its completion is not waited for), closes all
 * connections and cancels the bus's timer. No VP runs, and back-ends have stopped using guest memory. Providers may go
 * afterwards.
 */
void vmbus_destroy(struct vmbus *bus);

/*
 * The VM is being reset: forgets the guest's connection as if the guest had sent UNLOAD, without an answer. Guest
 * memory may be in use until vmbus_is_quiet(); a new guest's contact is answered only after that.
 */
void vmbus_reset(struct vmbus *bus);

/* No channel is open or closing: no provider uses guest memory. */
bool vmbus_is_quiet(const struct vmbus *bus);

/*
 * The worker_message() of the connections that vmbus_create() opened; others are ignored, and messages of other types
 * than VMBus's are refused.
 */
void vmbus_message(struct vmbus *bus, uint32_t connection_id, uint32_t message_type, const void *payload,
                   size_t length_bytes);

/* The worker_event() of connections that the bus opens and closes with its channels; others are ignored. */
void vmbus_event(struct vmbus *bus, uint32_t connection_id);

/* The worker_messages_wanted(): there may be room for messages to the guest. */
void vmbus_messages_wanted(struct vmbus *bus);

/* Where a channel is on its way; docs/vmbus.md draws the way. */
enum vmbus_channel_state {
    VMBUS_CHANNEL_FREE,    /* no channel has this id */
    VMBUS_CHANNEL_HIDDEN,  /* a provider has it, the guest has not been told */
    VMBUS_CHANNEL_CLOSED,  /* offered, or opened and closed again */
    VMBUS_CHANNEL_OPEN,    /* rings in use */
    VMBUS_CHANNEL_CLOSING, /* the provider still uses guest memory */
};

/* A channel, for people and for tests. */
struct vmbus_channel_info {
    enum vmbus_channel_state state;
    bool is_rescinded; /* the guest has yet to release it */
    const char *name;  /* of its provider; null when that is gone */
    struct guid type;
    struct guid instance;
    uint16_t sub_channel_index;
    uint32_t target_vp;
    uint64_t packets_in;
    uint64_t packets_out;
    uint64_t signals_in;
    uint64_t signals_out;
};

/* Channel `relid`, from 1 to VMBUS_CHANNELS_MAX; its state is VMBUS_CHANNEL_FREE when there is none. */
void vmbus_get_channel(const struct vmbus *bus, uint32_t relid, struct vmbus_channel_info *info);

/* Version that the guest has negotiated, major in the high half; 0 while it is not connected. */
uint32_t vmbus_version(const struct vmbus *bus);

#endif
