/* SPDX-License-Identifier: MIT */
/*
 * Connections: finds what a sender's connection id, or the address of a child's write, leads to, and hands over to the
 * port. Sender's and receiver's locks have one rank and are never held together: a connection is copied out first.
 */
#include "hv/partition/connection.h"

#include "hv/abi/hv_message.h"
#include "hv/lib/addr.h"
#include "hv/partition/partition.h"
#include "hv/partition/port.h"

/* Flag bits of a doorbell that have a meaning. */
#define DOORBELL_FLAGS_VALID (HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK | HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE)

/* Where a connection leads. */
struct destination {
    uint64_t partition_id;
    uint32_t port_id;
};

/* Width in bytes that a doorbell waits for, 0 for any. */
static uint32_t trigger_bytes(const struct connection *connection)
{
    switch (connection->doorbell_flags & HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK) {
    case HV_DOORBELL_FLAG_TRIGGER_SIZE_BYTE:
        return 1;
    case HV_DOORBELL_FLAG_TRIGGER_SIZE_WORD:
        return 2;
    case HV_DOORBELL_FLAG_TRIGGER_SIZE_DWORD:
        return 4;
    case HV_DOORBELL_FLAG_TRIGGER_SIZE_QWORD:
        return 8;
    default:
        return 0;
    }
}

/* The link that leads to a connection, or null. Partition lock held. */
static struct connection **find_link(struct partition *partition, uint32_t connection_id)
{
    struct connection **link = port_table_connection_head(&partition->ports, connection_id);

    for (; link != NULL && *link != NULL; link = &(*link)->next) {
        if ((*link)->id == connection_id) {
            return link;
        }
    }
    return NULL;
}

static hv_status_t check_info(const struct partition *partition, const struct hv_connection_info *info)
{
    if (info->port_type != HV_PORT_TYPE_DOORBELL) {
        return HV_STATUS_SUCCESS;
    }
    if ((info->doorbell_flags & ~DOORBELL_FLAGS_VALID) != 0 ||
        (info->doorbell_flags & HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK) > HV_DOORBELL_FLAG_TRIGGER_SIZE_QWORD ||
        info->gpa >= partition->space.limit) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    return HV_STATUS_SUCCESS;
}

/* The body of connection_connect() behind the checks. Partition lock held. */
static hv_status_t connect_locked(struct partition *partition, uint32_t connection_id,
                                  const struct partition *port_partition, uint32_t port_id,
                                  const struct hv_connection_info *info)
{
    struct connection **head;
    struct connection *connection;
    hv_status_t status;

    if (find_link(partition, connection_id) != NULL) {
        return HV_STATUS_INVALID_CONNECTION_ID;
    }
    connection = port_table_take_connection(partition, &status);
    if (connection == NULL) {
        return status;
    }
    connection->id = connection_id;
    connection->port_partition_id = port_partition->id;
    connection->port_id = port_id;
    connection->type = info->port_type;
    head = port_table_connection_head(&partition->ports, connection_id);
    connection->next = *head;
    *head = connection;
    if (info->port_type == HV_PORT_TYPE_DOORBELL) {
        connection->gpa = info->gpa;
        connection->trigger_value = info->trigger_value;
        connection->doorbell_flags = info->doorbell_flags;
        head = port_table_doorbell_head(&partition->ports, info->gpa);
        connection->next_doorbell = *head;
        *head = connection;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t connection_connect(struct partition *partition, uint32_t connection_id, struct partition *port_partition,
                               uint32_t port_id, const struct hv_connection_info *info)
{
    hv_status_t status;

    if ((connection_id & ~PORT_ID_MASK) != 0) {
        return HV_STATUS_INVALID_CONNECTION_ID;
    }
    status = check_info(partition, info);
    if (status == HV_STATUS_SUCCESS) {
        status = port_check(port_partition, port_id, partition->id, info->port_type);
    }
    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    /* Should the port go away from here on, the connection finds it gone when it is used. */
    spin_lock(&partition->lock);
    status = connect_locked(partition, connection_id, port_partition, port_id, info);
    spin_unlock(&partition->lock);
    return status;
}

static void unlink_doorbell(struct partition *partition, const struct connection *connection)
{
    struct connection **link = port_table_doorbell_head(&partition->ports, connection->gpa);

    while (*link != connection) {
        link = &(*link)->next_doorbell;
    }
    *link = connection->next_doorbell;
}

hv_status_t connection_disconnect(struct partition *partition, uint32_t connection_id, bool is_doorbell)
{
    struct connection **link;
    struct connection *connection;

    spin_lock(&partition->lock);
    link = find_link(partition, connection_id);
    if (link == NULL || ((*link)->type == HV_PORT_TYPE_DOORBELL) != is_doorbell) {
        spin_unlock(&partition->lock);
        return HV_STATUS_INVALID_CONNECTION_ID;
    }
    connection = *link;
    *link = connection->next;
    if (is_doorbell) {
        unlink_doorbell(partition, connection);
    }
    port_table_return_connection(partition, connection);
    spin_unlock(&partition->lock);
    return HV_STATUS_SUCCESS;
}

/* Where a sender's connection of this type leads; false: it has no such connection. */
static bool look_up(struct partition *sender, uint32_t connection_id, uint32_t type, struct destination *destination)
{
    struct connection **link;
    bool is_found;

    if ((connection_id & ~PORT_ID_MASK) != 0) {
        return false;
    }
    spin_lock(&sender->lock);
    link = find_link(sender, connection_id);
    is_found = link != NULL && (*link)->type == type;
    if (is_found) {
        *destination = (struct destination){.partition_id = (*link)->port_partition_id, .port_id = (*link)->port_id};
    }
    spin_unlock(&sender->lock);
    return is_found;
}

/* The receiving partition with a reference; null: it is gone. The root, the commonest, needs no search. */
static struct partition *take_partition(uint64_t partition_id)
{
    return partition_id == PARTITION_ID_ROOT ? root_partition : partition_find(root_partition, partition_id);
}

static void give_back_partition(struct partition *partition)
{
    if (partition != root_partition) {
        partition_put(partition);
    }
}

hv_status_t connection_post_message(struct partition *sender, uint32_t connection_id, uint32_t message_type,
                                    const void *payload, uint32_t size)
{
    struct destination destination;
    struct partition *receiver;
    hv_status_t status;

    if (message_type == HvMessageTypeNone || (message_type & HV_MESSAGE_TYPE_HYPERVISOR_MASK) ||
        size > HV_MESSAGE_PAYLOAD_BYTE_COUNT) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (!look_up(sender, connection_id, HV_PORT_TYPE_MESSAGE, &destination)) {
        return HV_STATUS_INVALID_CONNECTION_ID;
    }
    receiver = take_partition(destination.partition_id);
    if (receiver == NULL) {
        return HV_STATUS_INVALID_PORT_ID;
    }
    status = port_post_message(receiver, destination.port_id, message_type, payload, size);
    give_back_partition(receiver);
    return status;
}

hv_status_t connection_signal_event(struct partition *sender, uint32_t connection_id, uint32_t flag)
{
    struct destination destination;
    struct partition *receiver;
    hv_status_t status;

    if (!look_up(sender, connection_id, HV_PORT_TYPE_EVENT, &destination)) {
        return HV_STATUS_INVALID_CONNECTION_ID;
    }
    receiver = take_partition(destination.partition_id);
    if (receiver == NULL) {
        return HV_STATUS_INVALID_PORT_ID;
    }
    status = port_signal_event(receiver, destination.port_id, flag);
    give_back_partition(receiver);
    return status;
}

static bool is_rung_by(const struct connection *connection, uint32_t size, uint64_t value)
{
    uint64_t mask = size >= sizeof(uint64_t) ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;

    if (trigger_bytes(connection) != 0 && trigger_bytes(connection) != size) {
        return false;
    }
    return (connection->doorbell_flags & HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE) ||
           ((connection->trigger_value ^ value) & mask) == 0;
}

bool connection_doorbell(struct partition *child, gpa_t address, uint32_t size, uint64_t value)
{
    struct destination destination = {0};
    struct partition *receiver;
    struct connection **link;
    bool is_found = false;
    bool is_rung = false;

    spin_lock(&child->lock);
    link = port_table_doorbell_head(&child->ports, address.value);
    for (; link != NULL && *link != NULL && !is_found; link = &(*link)->next_doorbell) {
        if ((*link)->gpa == address.value && is_rung_by(*link, size, value)) {
            destination.partition_id = (*link)->port_partition_id;
            destination.port_id = (*link)->port_id;
            is_found = true;
        }
    }
    spin_unlock(&child->lock);
    receiver = is_found ? take_partition(destination.partition_id) : NULL;
    if (receiver != NULL) {
        is_rung = port_ring_doorbell(receiver, destination.port_id) == HV_STATUS_SUCCESS;
        give_back_partition(receiver);
    }
    return is_rung;
}

bool connection_has_doorbell(struct partition *child, gpa_t address)
{
    struct connection **link;
    bool is_found = false;

    if (READ_ONCE(child->ports.directory) == NULL) {
        return false;
    }
    spin_lock(&child->lock);
    link = port_table_doorbell_head(&child->ports, address.value);
    for (; link != NULL && *link != NULL && !is_found; link = &(*link)->next_doorbell) {
        is_found = (*link)->gpa == address.value;
    }
    spin_unlock(&child->lock);
    return is_found;
}
