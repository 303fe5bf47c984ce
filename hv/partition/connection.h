/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CONNECTION_H
#define PARTITION_CONNECTION_H

/* Connections: the sending end of a port, and doorbells, which a child's memory write rings. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

struct partition;

/* One connection. Protected by the lock of the partition that owns it (the sender). */
struct connection {
    struct connection *next;          /* same hash chain of ids, or free list */
    struct connection *next_doorbell; /* same hash chain of addresses */
    uint64_t port_partition_id;
    uint64_t gpa; /* doorbell: address */
    uint64_t trigger_value;
    uint64_t doorbell_flags; /* HV_DOORBELL_FLAG_* */
    uint32_t id;
    uint32_t port_id;
    uint32_t type; /* HV_PORT_TYPE_* */
};

/*
 * HvCallConnectPort: connection `connection_id` of `partition` leads to a port of `port_partition`.
 * INVALID_CONNECTION_ID: reserved bits or in use; INVALID_PORT_ID: no such port, or not for this partition and type;
 * INVALID_PARAMETER: doorbell size, address or flags; INSUFFICIENT_MEMORY: deposit to `partition`; NO_RESOURCES. No
 * locks held.
 */
MUST_CHECK hv_status_t connection_connect(struct partition *partition, uint32_t connection_id,
                                          struct partition *port_partition, uint32_t port_id,
                                          const struct hv_connection_info *info);

/* HvCallDisconnectPort. INVALID_CONNECTION_ID: none of that number, or not a doorbell (or one) as `is_doorbell` says.
 */
MUST_CHECK hv_status_t connection_disconnect(struct partition *partition, uint32_t connection_id, bool is_doorbell);

/*
 * HvCallPostMessage: INVALID_PARAMETER: type 0 or of the hypervisor's range, size; INVALID_CONNECTION_ID;
 * INVALID_PORT_ID: the port is gone; INVALID_VP_INDEX, INVALID_SYNIC_STATE, INSUFFICIENT_BUFFERS at the target. No
 * locks held.
 */
MUST_CHECK hv_status_t connection_post_message(struct partition *sender, uint32_t connection_id, uint32_t message_type,
                                               const void *payload, uint32_t size);

/* HvCallSignalEvent; `flag` counts from the port's first. INVALID_PARAMETER: beyond its last. Otherwise as above. */
MUST_CHECK hv_status_t connection_signal_event(struct partition *sender, uint32_t connection_id, uint32_t flag);

/*
 * A write of `size` bytes by a child to an address that is not mapped: rings the doorbell that waits for it. False:
 * there is none, the write is the root's business. No locks held.
 */
MUST_CHECK bool connection_doorbell(struct partition *child, gpa_t address, uint32_t size, uint64_t value);

/* True when some doorbell waits at this address: worth decoding the instruction for its value. No locks held. */
MUST_CHECK bool connection_has_doorbell(struct partition *child, gpa_t address);

#endif
