/* SPDX-License-Identifier: MIT */
/*
 * Learns which addresses are behind which port, and copies frames into the queues of ports. A queue has many writers,
 * one at a time under the switch's lock, and one reader, which takes no lock. Records lie in it one behind the other,
 * none around its end.
 */
#include "vmbus/switch.h"

#include "hv/lib/bytes.h"
#include "hv/lib/str.h"

#define RECORD_ALIGNMENT 8u
#define RECORD_END       UINT32_MAX /* length: nothing more up to the queue's end */
#define VLAN_SHIFT       48u
#define ENTRY_VALID      (UINT64_C(1) << 63)
#define GROUP_BIT        UINT64_C(1) /* of the first byte of an address */
#define HASH_MULTIPLIER  UINT64_C(0x9E3779B97F4A7C15)
#define HASH_SHIFT       56u

/* Begins each frame in a queue. */
struct record {
    uint32_t length_bytes;
    uint16_t tag;
    uint8_t is_checksum_missing;
    uint8_t is_checksum_good;
};
_Static_assert(sizeof(struct record) == RECORD_ALIGNMENT, "record");
_Static_assert(SWITCH_ADDRESSES_MAX == 1u << (64 - HASH_SHIFT), "hash");

static void lock(struct net_switch *owner)
{
    while (__atomic_exchange_n(&owner->lock, 1, __ATOMIC_ACQUIRE) != 0) {
        __builtin_ia32_pause();
    }
}

static void unlock(struct net_switch *owner)
{
    __atomic_store_n(&owner->lock, 0, __ATOMIC_RELEASE);
}

static struct switch_port *port_of(struct net_port *net)
{
    return CONTAINER_OF(net, struct switch_port, net);
}

/* An address in a VLAN, as it is kept. */
static uint64_t make_entry(const uint8_t *address, uint32_t vlan)
{
    return get_u32(address) | (uint64_t)get_u16(address + 4) << 32 | (uint64_t)vlan << VLAN_SHIFT | ENTRY_VALID;
}

static uint64_t *place_of(struct switch_port *port, uint64_t entry)
{
    return &port->addresses[entry * HASH_MULTIPLIER >> HASH_SHIFT];
}

/* [lock] The address is behind this port, and no other. */
static void learn(struct switch_port *port, uint64_t entry)
{
    if (*place_of(port, entry) == entry) {
        return;
    }
    for (uint32_t i = 0; i < SWITCH_PORTS_MAX; i++) {
        struct switch_port *other = port->owner->ports[i];

        if (other != NULL && *place_of(other, entry) == entry) {
            *place_of(other, entry) = 0;
        }
    }
    *place_of(port, entry) = entry;
}

/* [lock] The port that the address is behind; null: it is not known. */
static struct switch_port *find(struct net_switch *owner, uint64_t entry)
{
    for (uint32_t i = 0; i < SWITCH_PORTS_MAX; i++) {
        if (owner->ports[i] != NULL && *place_of(owner->ports[i], entry) == entry) {
            return owner->ports[i];
        }
    }
    return NULL;
}

/* Where the next record of `bytes` is to be written; false when there is no room. */
static bool find_room(struct switch_port *port, uint32_t bytes, uint32_t *at)
{
    uint32_t read_index = __atomic_load_n(&port->read_index, __ATOMIC_ACQUIRE);
    uint32_t write_index = port->write_index;

    *at = write_index;
    if (write_index < read_index) {
        return bytes < read_index - write_index;
    }
    if (bytes <= SWITCH_QUEUE_BYTES - write_index) {
        /* A queue that is filled to the last byte would look empty. */
        return bytes < SWITCH_QUEUE_BYTES - write_index || read_index != 0;
    }
    *at = 0;
    return bytes < read_index;
}

/* [lock] Copies a frame into the queue of a port, and tells its user if that waits. */
static void queue_frame(struct switch_port *port, const struct net_frame *frame, uint16_t tag)
{
    const struct record record = {frame->length_bytes, tag, frame->is_checksum_missing, frame->is_checksum_good};
    const struct record end = {.length_bytes = RECORD_END};
    uint32_t bytes = ((uint32_t)sizeof(record) + frame->length_bytes + RECORD_ALIGNMENT - 1) & ~(RECORD_ALIGNMENT - 1);
    uint32_t at;

    if (!find_room(port, bytes, &at)) {
        port->dropped++;
        return;
    }
    if (at != port->write_index) {
        memcpy(port->queue + port->write_index, &end, sizeof(end));
    }
    memcpy(port->queue + at, &record, sizeof(record));
    memcpy(port->queue + at + sizeof(record), frame->bytes, frame->length_bytes);
    /* Pairs with take(): one of us sees what the other has written. */
    __atomic_store_n(&port->write_index, (at + bytes) % SWITCH_QUEUE_BYTES, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&port->is_waiting, 0, __ATOMIC_SEQ_CST) != 0) {
        port->net.arrived(&port->net);
    }
}

/* [lock] Gives a frame of a VLAN to a port, if that is in it. */
static void deliver(struct switch_port *port, const struct net_frame *frame, uint32_t vlan)
{
    if (vlan == port->vlan) {
        queue_frame(port, frame, 0);
    } else if (bitmap_test(port->trunk, vlan)) {
        queue_frame(port, frame, (uint16_t)((frame->tag & ~NET_VLAN_MASK) | vlan));
    }
}

static bool port_send(struct net_port *net, const struct net_frame *frame)
{
    struct switch_port *port = port_of(net);
    struct net_switch *owner = port->owner;
    uint32_t vlan = frame->tag & NET_VLAN_MASK;
    struct switch_port *target = NULL;

    if (vlan != 0 && !bitmap_test(port->trunk, vlan)) {
        port->refused++;
        return false;
    }
    vlan = vlan != 0 ? vlan : port->vlan;
    port->sent++;
    lock(owner);
    if ((frame->bytes[NET_ADDRESS_BYTES] & GROUP_BIT) == 0) {
        learn(port, make_entry(frame->bytes + NET_ADDRESS_BYTES, vlan));
    }
    if ((frame->bytes[0] & GROUP_BIT) == 0) {
        target = find(owner, make_entry(frame->bytes, vlan));
    }
    for (uint32_t i = 0; i < SWITCH_PORTS_MAX; i++) {
        struct switch_port *other = owner->ports[i];

        if (other != NULL && other != port && (target == NULL || target == other)) {
            deliver(other, frame, vlan);
        }
    }
    unlock(owner);
    return true;
}

/* There is a record at the index to read from; steps over the queue's end. */
static bool find_record(struct switch_port *port, struct record *record)
{
    uint32_t at = port->read_index;

    if (at == __atomic_load_n(&port->write_index, __ATOMIC_SEQ_CST)) {
        return false;
    }
    memcpy(record, port->queue + at, sizeof(*record));
    if (record->length_bytes == RECORD_END) {
        /* Its writer has put a record at the begin before it moved its index. */
        __atomic_store_n(&port->read_index, 0, __ATOMIC_RELEASE);
        memcpy(record, port->queue, sizeof(*record));
    }
    return true;
}

static bool port_take(struct net_port *net, struct net_frame *frame)
{
    struct switch_port *port = port_of(net);
    struct record record;

    __atomic_store_n(&port->read_index, port->next_index, __ATOMIC_RELEASE);
    if (!find_record(port, &record)) {
        __atomic_store_n(&port->is_waiting, 1, __ATOMIC_SEQ_CST);
        if (!find_record(port, &record)) {
            return false;
        }
        __atomic_store_n(&port->is_waiting, 0, __ATOMIC_SEQ_CST);
    }
    *frame = (struct net_frame){
        .bytes = port->queue + port->read_index + sizeof(record),
        .length_bytes = record.length_bytes,
        .tag = record.tag,
        .is_checksum_missing = record.is_checksum_missing != 0,
        .is_checksum_good = record.is_checksum_good != 0,
    };
    port->next_index = (port->read_index + (uint32_t)sizeof(record) + record.length_bytes + RECORD_ALIGNMENT - 1) &
                       ~(RECORD_ALIGNMENT - 1);
    port->next_index %= SWITCH_QUEUE_BYTES;
    return true;
}

void switch_init(struct net_switch *owner, enum switch_kind kind)
{
    *owner = (struct net_switch){.kind = kind};
}

/* [lock] A place for such a user; null: there is none. */
static struct switch_port **find_place(struct net_switch *owner, enum switch_user user)
{
    struct switch_port **place = NULL;

    if ((user == SWITCH_ROOT && owner->kind == SWITCH_PRIVATE) ||
        (user == SWITCH_UP_LINK && owner->kind != SWITCH_EXTERNAL)) {
        return NULL;
    }
    for (uint32_t i = SWITCH_PORTS_MAX; i-- != 0;) {
        if (owner->ports[i] == NULL) {
            place = &owner->ports[i];
        } else if (user == SWITCH_UP_LINK && owner->ports[i]->user == user) {
            return NULL;
        }
    }
    return place;
}

bool switch_connect(struct net_switch *owner, struct switch_port *port, const struct switch_port_config *config)
{
    static const struct net_operations operations = {.send = port_send, .take = port_take};
    void (*arrived)(struct net_port * net) = port->net.arrived;
    struct switch_port **place;

    if (config->vlan >= SWITCH_VLANS - 1) {
        return false;
    }
    memset(port, 0, sizeof(*port));
    port->net.arrived = arrived;
    port->user = config->user;
    port->vlan = config->vlan;
    port->is_waiting = 1;
    if (config->trunk != NULL) {
        memcpy(port->trunk, config->trunk, sizeof(port->trunk));
    }
    lock(owner);
    place = find_place(owner, config->user);
    if (place != NULL) {
        *place = port;
        port->owner = owner;
        port->net.operations = &operations;
    }
    unlock(owner);
    return place != NULL;
}

void switch_disconnect(struct switch_port *port)
{
    struct net_switch *owner = port->owner;

    if (owner == NULL) {
        return;
    }
    lock(owner);
    for (uint32_t i = 0; i < SWITCH_PORTS_MAX; i++) {
        if (owner->ports[i] == port) {
            owner->ports[i] = NULL;
        }
    }
    unlock(owner);
    port->owner = NULL;
    port->net.operations = NULL;
}
