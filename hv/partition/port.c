/* SPDX-License-Identifier: MIT */
/*
 * Ports: the table of a partition's ports and connections, and delivery to a port's target. Which connection a sender
 * names is connection.c's business; how a message reaches a VP is synic.c's. TLFS, Inter-Partition Communication: Ports
 * and Connections.
 */
#include "hv/partition/port.h"

#include "hv/abi/hv_message.h"
#include "hv/abi/hv_synic.h"
#include "hv/cpu/cpu.h"
#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/partition/connection.h"
#include "hv/partition/deposit.h"
#include "hv/partition/partition.h"
#include "hv/partition/synic.h"
#include "hv/partition/vp.h"

/* Any VP of the partition (TLFS, Virtual Processors). */
#define ANY_VP 0xFFFFFFFFu

#define PORT_HEADS       256u
#define CONNECTION_HEADS 128u
#define DOORBELL_HEADS   128u

/* One port. */
struct port {
    struct port *next;                /* hash chain, or free list */
    struct list_node waiting;         /* in ring_waiting, while its doorbell found the ring full */
    uint64_t connection_partition_id; /* who may connect */
    struct synic_pool *pool;          /* message port: its buffers */
    uint32_t id;
    uint32_t type; /* HV_PORT_TYPE_* */
    uint32_t sint;
    uint32_t vp_index; /* or ANY_VP */
    uint16_t base_flag;
    uint16_t flag_count;
};

/* Hash heads; one page. */
struct port_directory {
    struct port *ports[PORT_HEADS];
    struct connection *connections[CONNECTION_HEADS];
    struct connection *doorbells[DOORBELL_HEADS];
};
_Static_assert(sizeof(struct port_directory) <= PAGE_SIZE, "the directory is one page");

/* A page of objects of one kind. */
struct port_slab {
    struct port_slab *next;
    union {
        struct port ports[(PAGE_SIZE - 8) / sizeof(struct port)];
        struct connection connections[(PAGE_SIZE - 8) / sizeof(struct connection)];
    };
};
_Static_assert(sizeof(struct port_slab) <= PAGE_SIZE, "a slab is one page");

void port_table_init(struct port_table *table)
{
    memset(table, 0, sizeof(*table));
    list_init(&table->ring_waiting);
}

/* A fresh page for objects, entered in the list of pages; null: none in the deposit. */
static struct port_slab *slab_create(struct partition *partition)
{
    struct port_slab *slab = part_page_alloc(partition);

    if (slab != NULL) {
        slab->next = partition->ports.slabs;
        partition->ports.slabs = slab;
    }
    return slab;
}

static hv_status_t directory_create(struct partition *partition)
{
    if (partition->ports.directory == NULL) {
        partition->ports.directory = part_page_alloc(partition);
    }
    return partition->ports.directory != NULL ? HV_STATUS_SUCCESS : HV_STATUS_INSUFFICIENT_MEMORY;
}

static struct port *take_port(struct partition *partition, hv_status_t *status)
{
    struct port_table *table = &partition->ports;
    struct port *port;

    if (table->port_count >= PORT_COUNT_MAX) {
        *status = HV_STATUS_NO_RESOURCES;
        return NULL;
    }
    *status = directory_create(partition);
    if (*status != HV_STATUS_SUCCESS) {
        return NULL;
    }
    if (table->free_ports == NULL) {
        struct port_slab *slab = slab_create(partition);

        for (uint32_t i = 0; slab != NULL && i < ARRAY_SIZE(slab->ports); i++) {
            slab->ports[i].next = table->free_ports;
            table->free_ports = &slab->ports[i];
        }
    }
    port = table->free_ports;
    if (port == NULL) {
        *status = HV_STATUS_INSUFFICIENT_MEMORY;
        return NULL;
    }
    table->free_ports = port->next;
    table->port_count++;
    memset(port, 0, sizeof(*port));
    return port;
}

static void return_port(struct partition *partition, struct port *port)
{
    port->next = partition->ports.free_ports;
    partition->ports.free_ports = port;
    partition->ports.port_count--;
}

struct connection *port_table_take_connection(struct partition *partition, hv_status_t *status)
{
    struct port_table *table = &partition->ports;
    struct connection *connection;

    if (table->connection_count >= PORT_COUNT_MAX) {
        *status = HV_STATUS_NO_RESOURCES;
        return NULL;
    }
    *status = directory_create(partition);
    if (*status != HV_STATUS_SUCCESS) {
        return NULL;
    }
    if (table->free_connections == NULL) {
        struct port_slab *slab = slab_create(partition);

        for (uint32_t i = 0; slab != NULL && i < ARRAY_SIZE(slab->connections); i++) {
            slab->connections[i].next = table->free_connections;
            table->free_connections = &slab->connections[i];
        }
    }
    connection = table->free_connections;
    if (connection == NULL) {
        *status = HV_STATUS_INSUFFICIENT_MEMORY;
        return NULL;
    }
    table->free_connections = connection->next;
    table->connection_count++;
    memset(connection, 0, sizeof(*connection));
    return connection;
}

void port_table_return_connection(struct partition *partition, struct connection *connection)
{
    connection->next = partition->ports.free_connections;
    partition->ports.free_connections = connection;
    partition->ports.connection_count--;
}

struct connection **port_table_connection_head(struct port_table *table, uint32_t connection_id)
{
    return table->directory == NULL ? NULL : &table->directory->connections[connection_id % CONNECTION_HEADS];
}

struct connection **port_table_doorbell_head(struct port_table *table, uint64_t gpa)
{
    /* Doorbells of one device are a few bytes apart, those of different devices pages. */
    return table->directory == NULL ? NULL : &table->directory->doorbells[(gpa ^ (gpa >> PAGE_SHIFT)) % DOORBELL_HEADS];
}

/* The link that leads to a port, or null. Partition lock held. */
static struct port **find_link(struct port_table *table, uint32_t port_id)
{
    struct port **link;

    if (table->directory == NULL) {
        return NULL;
    }
    for (link = &table->directory->ports[port_id % PORT_HEADS]; *link != NULL; link = &(*link)->next) {
        if ((*link)->id == port_id) {
            return link;
        }
    }
    return NULL;
}

static struct port *find(struct port_table *table, uint32_t port_id)
{
    struct port **link = find_link(table, port_id);

    return link == NULL ? NULL : *link;
}

static hv_status_t check_info(struct partition *partition, uint32_t port_id, const struct hv_port_info *info)
{
    if ((port_id & ~PORT_ID_MASK) != 0) {
        return HV_STATUS_INVALID_PORT_ID;
    }
    if (info->port_type != HV_PORT_TYPE_MESSAGE && info->port_type != HV_PORT_TYPE_EVENT &&
        info->port_type != HV_PORT_TYPE_DOORBELL) {
        return HV_STATUS_INVALID_PARAMETER; /* monitor ports are not implemented */
    }
    if (info->port_type == HV_PORT_TYPE_DOORBELL && port_id == 0) {
        return HV_STATUS_INVALID_PORT_ID; /* 0 is an empty entry of an event ring */
    }
    if (info->target_sint >= HV_SYNIC_SINT_COUNT) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (info->port_type == HV_PORT_TYPE_EVENT &&
        (info->flag_count == 0 || info->base_flag_number + info->flag_count > (int)HV_EVENT_FLAGS_COUNT)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (info->target_vp != ANY_VP && (info->target_vp >= PARTITION_VP_MAX || partition->vps[info->target_vp] == NULL)) {
        return HV_STATUS_INVALID_VP_INDEX;
    }
    return HV_STATUS_SUCCESS;
}

/* The body of port_create() behind the checks. Partition lock held. */
static hv_status_t create_locked(struct partition *partition, uint32_t port_id, uint64_t connection_partition_id,
                                 const struct hv_port_info *info)
{
    hv_status_t status;
    struct port **head;
    struct port *port;

    if (find(&partition->ports, port_id) != NULL) {
        return HV_STATUS_INVALID_PORT_ID;
    }
    port = take_port(partition, &status);
    if (port == NULL) {
        return status;
    }
    if (info->port_type == HV_PORT_TYPE_MESSAGE) {
        port->pool = part_page_alloc(partition);
        if (port->pool == NULL) {
            return_port(partition, port);
            return HV_STATUS_INSUFFICIENT_MEMORY;
        }
    }
    list_node_init(&port->waiting);
    port->id = port_id;
    port->type = info->port_type;
    port->sint = info->target_sint;
    port->vp_index = info->target_vp;
    port->base_flag = info->base_flag_number;
    port->flag_count = info->flag_count;
    port->connection_partition_id = connection_partition_id;
    head = &partition->ports.directory->ports[port_id % PORT_HEADS];
    port->next = *head;
    *head = port;
    return HV_STATUS_SUCCESS;
}

hv_status_t port_create(struct partition *partition, uint32_t port_id, uint64_t connection_partition_id,
                        const struct hv_port_info *info)
{
    hv_status_t status;

    spin_lock(&partition->lock);
    status = check_info(partition, port_id, info);
    if (status == HV_STATUS_SUCCESS) {
        status = create_locked(partition, port_id, connection_partition_id, info);
    }
    spin_unlock(&partition->lock);
    return status;
}

/* Frees what a port has; it is in no chain any more. Partition lock held. */
static void dismantle(struct partition *partition, struct port *port)
{
    if (list_node_is_linked(&port->waiting)) {
        list_remove(&port->waiting);
    }
    if (port->pool != NULL) {
        synic_pool_drain(port->pool);
        part_page_free(partition, port->pool);
    }
    return_port(partition, port);
}

hv_status_t port_delete(struct partition *partition, uint32_t port_id)
{
    struct port **link;
    struct port *port;

    spin_lock(&partition->lock);
    link = find_link(&partition->ports, port_id);
    if (link == NULL) {
        spin_unlock(&partition->lock);
        return HV_STATUS_INVALID_PORT_ID;
    }
    port = *link;
    *link = port->next;
    dismantle(partition, port);
    spin_unlock(&partition->lock);
    return HV_STATUS_SUCCESS;
}

void port_table_destroy(struct partition *partition)
{
    struct port_table *table = &partition->ports;

    spin_lock(&partition->lock);
    for (uint32_t i = 0; table->directory != NULL && i < PORT_HEADS; i++) {
        while (table->directory->ports[i] != NULL) {
            struct port *port = table->directory->ports[i];

            table->directory->ports[i] = port->next;
            dismantle(partition, port);
        }
    }
    while (table->slabs != NULL) {
        struct port_slab *slab = table->slabs;

        table->slabs = slab->next;
        part_page_free(partition, slab);
    }
    part_page_free(partition, table->directory);
    port_table_init(table);
    spin_unlock(&partition->lock);
}

hv_status_t port_check(struct partition *partition, uint32_t port_id, uint64_t connection_partition_id, uint32_t type)
{
    const struct port *port;
    hv_status_t status = HV_STATUS_SUCCESS;

    spin_lock(&partition->lock);
    port = find(&partition->ports, port_id);
    if (port == NULL || port->connection_partition_id != connection_partition_id || port->type != type) {
        status = HV_STATUS_INVALID_PORT_ID;
    }
    spin_unlock(&partition->lock);
    return status;
}

/*
 * The VP that a port's message or signal goes to now. "Any": in the root the processor that this code runs on, which
 * takes the interrupt soonest; elsewhere the first VP whose SynIC is on. Partition lock held.
 */
static struct vp *target_of(struct partition *partition, const struct port *port)
{
    struct vp *first = NULL;

    if (port->vp_index != ANY_VP) {
        return partition->vps[port->vp_index];
    }
    if (partition->is_root && cpu_this()->root_vp != NULL) {
        return cpu_this()->root_vp;
    }
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = partition->vps[i];

        if (vp == NULL) {
            continue;
        }
        if (READ_ONCE(vp->synic.scontrol) & HV_SCONTROL_ENABLE) {
            return vp;
        }
        if (first == NULL) {
            first = vp;
        }
    }
    return first;
}

/* Finds port and target; the partition lock is held on success only. */
static hv_status_t lock_target(struct partition *partition, uint32_t port_id, uint32_t type, struct port **port,
                               struct vp **target)
{
    hv_status_t status = HV_STATUS_SUCCESS;

    spin_lock(&partition->lock);
    *port = find(&partition->ports, port_id);
    if (*port == NULL || (*port)->type != type) {
        status = HV_STATUS_INVALID_PORT_ID;
    } else {
        *target = target_of(partition, *port);
        if (*target == NULL) {
            status = HV_STATUS_INVALID_VP_INDEX;
        }
    }
    if (status != HV_STATUS_SUCCESS) {
        spin_unlock(&partition->lock);
    }
    return status;
}

hv_status_t port_post_message(struct partition *partition, uint32_t port_id, uint32_t message_type, const void *payload,
                              uint32_t size)
{
    struct hv_message message = {
        .header = {.message_type = message_type, .payload_size_bytes = (uint8_t)size, .sender = port_id},
    };
    struct port *port;
    struct vp *target;
    hv_status_t status;

    if (size > HV_MESSAGE_PAYLOAD_BYTE_COUNT) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    memcpy(message.payload, payload, size);
    status = lock_target(partition, port_id, HV_PORT_TYPE_MESSAGE, &port, &target);
    if (status == HV_STATUS_SUCCESS) {
        status = synic_post_from_pool(target, port->sint, &message, port->pool);
        spin_unlock(&partition->lock);
    }
    return status;
}

hv_status_t port_signal_event(struct partition *partition, uint32_t port_id, uint32_t flag)
{
    struct port *port;
    struct vp *target;
    hv_status_t status = lock_target(partition, port_id, HV_PORT_TYPE_EVENT, &port, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    if (flag >= port->flag_count) {
        status = HV_STATUS_INVALID_PARAMETER;
    } else {
        status = synic_signal_event(target, port->sint, port->base_flag + flag, NULL);
    }
    spin_unlock(&partition->lock);
    return status;
}

/* Puts a port into its event ring, or into the list of those that wait for room. Partition lock held. */
static enum synic_ring_result ring(struct partition *partition, struct port *port, struct vp *target)
{
    enum synic_ring_result result;

    if (list_node_is_linked(&port->waiting)) {
        return SYNIC_RING_FULL; /* it will be put in; one entry says all */
    }
    result = synic_ring_put(target, port->sint, port->id);
    if (result == SYNIC_RING_FULL) {
        list_add_tail(&partition->ports.ring_waiting, &port->waiting);
    }
    return result;
}

hv_status_t port_ring_doorbell(struct partition *partition, uint32_t port_id)
{
    struct port *port;
    struct vp *target;
    hv_status_t status = lock_target(partition, port_id, HV_PORT_TYPE_DOORBELL, &port, &target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    if (ring(partition, port, target) == SYNIC_RING_DISABLED) {
        status = HV_STATUS_INVALID_SYNIC_STATE;
    }
    spin_unlock(&partition->lock);
    return status;
}

hv_status_t port_notify_ring_empty(struct vp *caller, uint32_t sint)
{
    struct partition *partition = caller->partition;

    if (sint >= HV_SYNIC_SINT_COUNT) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    spin_lock(&partition->lock);
    /* At most one ring's worth: what does not fit goes back to the end of the list and waits for the next call. */
    for (uint32_t i = 0; i < HV_SYNIC_EVENT_RING_MESSAGE_COUNT && !list_is_empty(&partition->ports.ring_waiting); i++) {
        struct port *port = CONTAINER_OF(list_pop_head(&partition->ports.ring_waiting), struct port, waiting);

        if (port->sint != sint) {
            list_add_tail(&partition->ports.ring_waiting, &port->waiting);
        } else if (ring(partition, port, port->vp_index == ANY_VP ? caller : target_of(partition, port)) ==
                   SYNIC_RING_FULL) {
            break;
        }
    }
    spin_unlock(&partition->lock);
    return HV_STATUS_SUCCESS;
}
