/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_PORT_H
#define PARTITION_PORT_H

/*
 * Ports (TLFS, Inter-Partition Communication, Ports): where messages and signals from another partition arrive. A port
 * belongs to the partition that receives; connections (connection.h) belong to the one that sends and name the port by
 * its id, so that a deleted port is simply not found any more.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"
#include "hv/lib/list.h"

struct connection;
struct partition;
struct port;
struct port_directory;
struct port_slab;
struct vp;

/* Port and connection ids have 24 bits. */
#define PORT_ID_MASK 0x00FFFFFFu

/* Most ports, and most connections, of one partition. */
#define PORT_COUNT_MAX 4096u

/*
 * Ports and connections of one partition; everything under the partition lock. Memory comes from the partition's
 * deposit, is kept until the partition goes, and is used again.
 */
struct port_table {
    struct port_directory *directory; /* hash heads, one page; null until the first object */
    struct port_slab *slabs;          /* pages that ports and connections are cut from */
    struct port *free_ports;
    struct connection *free_connections;
    struct list ring_waiting; /* doorbell ports whose event ring was full */
    uint32_t port_count;
    uint32_t connection_count;
};

/* Prepares an empty table. */
void port_table_init(struct port_table *table);

/* Frees all ports and connections of a partition; no VP of it runs. Takes the partition's lock. */
void port_table_destroy(struct partition *partition);

/*
 * HvCallCreatePort: makes port `port_id` of `partition`, to be connected from the partition with id
 * `connection_partition_id`. INVALID_PORT_ID: reserved bits or in use; INVALID_PARAMETER: type, SINT, flags;
 * INVALID_VP_INDEX: no such VP; INSUFFICIENT_MEMORY: deposit to `partition`; NO_RESOURCES: PORT_COUNT_MAX. No locks
 * held.
 */
MUST_CHECK hv_status_t port_create(struct partition *partition, uint32_t port_id, uint64_t connection_partition_id,
                                   const struct hv_port_info *info);

/* HvCallDeletePort: messages that wait for a slot are dropped. INVALID_PORT_ID. No locks held. */
MUST_CHECK hv_status_t port_delete(struct partition *partition, uint32_t port_id);

/* May a connection of this type be made to it from that partition? INVALID_PORT_ID otherwise. No locks held. */
MUST_CHECK hv_status_t port_check(struct partition *partition, uint32_t port_id, uint64_t connection_partition_id,
                                  uint32_t type);

/* Delivery at the receiving end; called by connection.c with no locks held. INVALID_PORT_ID when the port is gone. */
MUST_CHECK hv_status_t port_post_message(struct partition *partition, uint32_t port_id, uint32_t message_type,
                                         const void *payload, uint32_t size);
MUST_CHECK hv_status_t port_signal_event(struct partition *partition, uint32_t port_id, uint32_t flag);
MUST_CHECK hv_status_t port_ring_doorbell(struct partition *partition, uint32_t port_id);

/*
 * HvCallNotifyPortRingEmpty: the event ring of this SINT of the caller has room again; doorbells that did not fit are
 * put in. INVALID_PARAMETER: no such SINT. No locks held.
 */
MUST_CHECK hv_status_t port_notify_ring_empty(struct vp *caller, uint32_t sint);

/*
 * For connection.c: a zeroed connection (null: the status says why), giving one back, and the heads of the hash chains
 * that connections of an id or doorbells of an address are in (null while the partition has neither). Partition lock
 * held.
 */
struct connection *port_table_take_connection(struct partition *partition, hv_status_t *status);
void port_table_return_connection(struct partition *partition, struct connection *connection);
struct connection **port_table_connection_head(struct port_table *table, uint32_t connection_id);
struct connection **port_table_doorbell_head(struct port_table *table, uint64_t gpa);

#endif
