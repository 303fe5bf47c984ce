/* SPDX-License-Identifier: MIT */
/*
 * The bus as a whole: its storage, the guest's connection from contact to unload, and what has to wait for a moment
 * of its own.
 */
#include "hv/lib/addr.h"
#include "hv/lib/str.h"
#include "vmbus/bus.h"
#include "vmbus/offer.h"
#include "vmbus/vsp.h"
#include "vmbus/window.h"

/* Version 0.13: where the guest's bits begin in the interrupt page, and how many there are. */
#define INTERRUPT_PAGE_FROM_GUEST 2048u

static const uint32_t versions[] = {
    VMBUS_VERSION_WS2008, VMBUS_VERSION_WIN7,    VMBUS_VERSION_WIN8,    VMBUS_VERSION_WIN8_1,
    VMBUS_VERSION_WIN10,  VMBUS_VERSION_WIN10_1, VMBUS_VERSION_WIN10_5, VMBUS_VERSION_RS4,
    VMBUS_VERSION_RS5,    VMBUS_VERSION_IRON,    VMBUS_VERSION_COPPER,
};

size_t vmbus_storage_bytes(void)
{
    return sizeof(struct vmbus);
}

struct channel *bus_find_channel(struct vmbus *bus, uint32_t relid)
{
    /* Relid 0 wraps around. */
    if (relid - 1 >= VMBUS_CHANNELS_MAX) {
        return NULL;
    }
    return &bus->channels[array_index_nospec(relid - 1, VMBUS_CHANNELS_MAX)];
}

void bus_call_back(struct vmbus *bus)
{
    host_timer_arm(&bus->call_back, host_monotonic_100ns());
}

static void call_back(struct host_timer *timer)
{
    struct vmbus *bus = CONTAINER_OF(timer, struct vmbus, call_back);

    host_vm_lock(bus->host);
    if (bus->outbox.is_overrun) {
        refuse(bus, REFUSE_MESSAGES_UNREAD, 0);
        outbox_clear(bus);
        bus_disconnect(bus, CONNECTION_NEXT_NOTHING);
    }
    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        struct channel *channel = &bus->channels[i];

        if (channel->is_faulty && chan_is_held(channel) && !channel->is_rescinded) {
            offer_rescind_device(channel);
        } else if (channel->has_more) {
            chan_run(channel);
        }
    }
    host_vm_unlock(bus->host);
}

struct vmbus *vmbus_create(void *storage, struct host_vm *host, uint32_t vp_count)
{
    struct vmbus *bus = storage;

    memset(bus, 0, sizeof(*bus));
    bus->host = host;
    bus->vp_count = vp_count;
    for (uint32_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        bus->channels[i] = (struct channel){.bus = bus, .relid = i + 1};
    }
    gpadl_table_init(&bus->gpadls, host);
    host_timer_init(&bus->call_back, host, call_back);
    if (host_open_message_connection(host, VMBUS_CONNECTION_MESSAGE) != HV_STATUS_SUCCESS) {
        goto refused;
    }
    if (host_open_message_connection(host, VMBUS_CONNECTION_MULTI_CLIENT) != HV_STATUS_SUCCESS) {
        goto undo_message_connection;
    }
    return bus;

undo_message_connection:
    host_close_connection(host, VMBUS_CONNECTION_MESSAGE);
refused:
    host_log(host, HOST_LOG_ERROR, "VMBus: the hypervisor gives no message connection; this VM has no VMBus");
    return NULL;
}

void vmbus_destroy(struct vmbus *bus)
{
    bus_disconnect(bus, CONNECTION_NEXT_NOTHING);
    host_close_connection(bus->host, VMBUS_CONNECTION_MESSAGE);
    host_close_connection(bus->host, VMBUS_CONNECTION_MULTI_CLIENT);
    host_timer_cancel(&bus->call_back);
}

void vmbus_reset(struct vmbus *bus)
{
    outbox_clear(bus);
    bus_disconnect(bus, CONNECTION_NEXT_NOTHING);
}

bool vmbus_is_quiet(const struct vmbus *bus)
{
    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        if (bus->channels[i].state == VMBUS_CHANNEL_OPEN || bus->channels[i].state == VMBUS_CHANNEL_CLOSING) {
            return false;
        }
    }
    return true;
}

static void answer_contact(struct vmbus *bus, bool is_supported, uint8_t connection_state, uint8_t sint)
{
    uint32_t version = bus->connection.contact.version;
    bool has_features = is_supported && version >= VMBUS_VERSION_COPPER;
    struct vmbus_version_response message = {
        .header.type = VMBUS_VERSION_RESPONSE,
        .is_supported = is_supported,
        .connection_state = connection_state,
        .version_or_connection_id = version >= VMBUS_VERSION_WIN10_5 ? VMBUS_CONNECTION_MULTI_CLIENT : version,
    };

    outbox_post_to(bus, bus->connection.target_vp, sint, &message,
                   has_features ? sizeof(message) : VMBUS_VERSION_RESPONSE_BYTES);
}

static bool is_known_version(uint32_t version)
{
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        if (versions[i] == version) {
            return true;
        }
    }
    return false;
}

/* Before 2.4 the interrupt page is needed; and in 0.13 the guest signals through it. */
static bool connect_interrupt_page(struct vmbus *bus, const struct vmbus_initiate_contact *contact)
{
    uint64_t gpa = contact->interrupt_page_or_target;

    bus->connection.interrupt_page = NULL;
    if (contact->version >= VMBUS_VERSION_WIN8) {
        return true;
    }
    if (!is_aligned_u64(gpa, PAGE_SIZE)) {
        return false;
    }
    bus->connection.interrupt_page = GUEST_CAST(uint8_t GUEST *, window_page(bus->host, gpa >> PAGE_SHIFT));
    return bus->connection.interrupt_page != NULL &&
           (contact->version >= VMBUS_VERSION_WIN7 ||
            host_open_event_connection(bus->host, VMBUS_CONNECTION_EVENT) == HV_STATUS_SUCCESS);
}

/* Answers the contact in bus->connection, while there is no connection. */
static void contact(struct vmbus *bus)
{
    struct connection *connection = &bus->connection;
    const struct vmbus_initiate_contact *request = &connection->contact;
    uint32_t vp_index = request->version >= VMBUS_VERSION_WIN8_1 ? request->target_vp : 0;
    bool has_target = request->version >= VMBUS_VERSION_WIN10_5;
    uint8_t sint = has_target ? (uint8_t)request->interrupt_page_or_target : (uint8_t)VMBUS_SINT;
    uint8_t vtl = has_target ? (uint8_t)(request->interrupt_page_or_target >> 8) : 0;
    bool has_one_monitor_page =
        (request->parent_to_child_monitor_page_gpa == 0) != (request->child_to_parent_monitor_page_gpa == 0);

    connection->target_vp = vp_index < bus->vp_count ? vp_index : 0;
    if (!is_known_version(request->version)) {
        answer_contact(bus, false, VMBUS_CONNECTION_STATE_SUCCESS, VMBUS_SINT);
        return;
    }
    if (vp_index >= bus->vp_count || sint != VMBUS_SINT || vtl != 0) {
        refuse(bus, REFUSE_CONTACT, request->version);
        answer_contact(bus, false, VMBUS_CONNECTION_STATE_SUCCESS, sint % 16);
        return;
    }
    if (has_one_monitor_page || !connect_interrupt_page(bus, request)) {
        refuse(bus, REFUSE_CONTACT, request->version);
        answer_contact(bus, true, VMBUS_CONNECTION_STATE_UNKNOWN_FAILURE, VMBUS_SINT);
        return;
    }
    connection->version = request->version;
    connection->state = CONNECTION_CONTACTED;
    answer_contact(bus, true, VMBUS_CONNECTION_STATE_SUCCESS, VMBUS_SINT);
}

/* Nothing of the guest's is in use any more: forgets what it knew and shared. */
static void finish_disconnect(struct vmbus *bus)
{
    struct vmbus_message_header unloaded = {.type = VMBUS_UNLOAD_RESPONSE};
    enum connection_next next = bus->connection.next;

    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        struct channel *channel = &bus->channels[i];

        if (channel->state == VMBUS_CHANNEL_FREE) {
            continue;
        }
        if (channel->sub_channel_index != 0) {
            offer_detach(channel);
        }
        offer_released(channel);
        channel->is_faulty = false;
    }
    if (bus->connection.version < VMBUS_VERSION_WIN7) {
        host_close_connection(bus->host, VMBUS_CONNECTION_EVENT);
    }
    bus->connection.state = CONNECTION_NONE;
    if (next == CONNECTION_NEXT_UNLOADED && bus->connection.version >= VMBUS_VERSION_WIN7) {
        outbox_post(bus, &unloaded, sizeof(unloaded));
    }
    bus->connection.version = 0;
    bus->connection.interrupt_page = NULL;
    if (next == CONNECTION_NEXT_CONTACT) {
        contact(bus);
    }
}

void bus_channel_closed(struct vmbus *bus)
{
    if (bus->connection.state == CONNECTION_ENDING && vmbus_is_quiet(bus)) {
        finish_disconnect(bus);
    }
}

void bus_disconnect(struct vmbus *bus, enum connection_next next)
{
    bool is_ending = bus->connection.state == CONNECTION_ENDING;

    bus->connection.next = next;
    if (is_ending) {
        return; /* only the last wish counts */
    }
    if (bus->connection.state == CONNECTION_NONE) {
        if (next == CONNECTION_NEXT_CONTACT) {
            contact(bus);
        }
        return;
    }
    bus->connection.state = CONNECTION_ENDING;
    for (size_t i = 0; i < VMBUS_CHANNELS_MAX; i++) {
        bus->channels[i].has_waiting_open = false;
        if (bus->channels[i].state == VMBUS_CHANNEL_OPEN) {
            chan_stop(&bus->channels[i]);
        }
    }
    bus_channel_closed(bus);
}

void server_initiate_contact(struct vmbus *bus, const void *message, size_t length_bytes)
{
    (void)length_bytes;
    bus->connection.contact = *(const struct vmbus_initiate_contact *)message;
    /* Messages of an earlier connection mean nothing to whoever makes a new one, and could be taken for its own. */
    outbox_clear(bus);
    bus_disconnect(bus, CONNECTION_NEXT_CONTACT);
}

void server_request_offers(struct vmbus *bus, const void *message, size_t length_bytes)
{
    struct vmbus_message_header delivered = {.type = VMBUS_ALL_OFFERS_DELIVERED};

    (void)message;
    (void)length_bytes;
    if (bus->connection.state == CONNECTION_OFFERED) {
        refuse(bus, REFUSE_OFFERS_TWICE, 0);
        return;
    }
    bus->connection.state = CONNECTION_OFFERED;
    offer_pending(bus);
    outbox_post(bus, &delivered, sizeof(delivered));
}

void server_unload(struct vmbus *bus, const void *message, size_t length_bytes)
{
    (void)message;
    (void)length_bytes;
    bus_disconnect(bus, CONNECTION_NEXT_UNLOADED);
}

void vmbus_message(struct vmbus *bus, uint32_t connection_id, uint32_t message_type, const void *payload,
                   size_t length_bytes)
{
    uint64_t copy[VMBUS_MESSAGE_BYTES_MAX / sizeof(uint64_t)] = {0};

    if (connection_id != VMBUS_CONNECTION_MESSAGE && connection_id != VMBUS_CONNECTION_MULTI_CLIENT) {
        return;
    }
    if (message_type != VMBUS_MESSAGE_TYPE || length_bytes > sizeof(copy)) {
        refuse(bus, REFUSE_MESSAGE_TYPE, message_type);
        return;
    }
    memcpy(copy, payload, length_bytes);
    dispatch_message(bus, copy, length_bytes);
    /* The guest may have switched on what earlier messages could not get through. */
    outbox_flush(bus);
}

/* Version 0.13: runs all channels whose bits the guest has set. */
static void take_interrupt_page(struct vmbus *bus)
{
    for (uint32_t relid = 1; relid <= VMBUS_CHANNELS_MAX; relid++) {
        if (bus->connection.interrupt_page != NULL &&
            window_take_bit(bus->connection.interrupt_page + INTERRUPT_PAGE_FROM_GUEST, relid)) {
            bus->channels[relid - 1].signals_in++;
            chan_run(&bus->channels[relid - 1]);
        }
    }
}

void vmbus_event(struct vmbus *bus, uint32_t connection_id)
{
    struct channel *channel = bus_find_channel(bus, connection_id - chan_connection_id(0));

    if (connection_id == VMBUS_CONNECTION_EVENT) {
        take_interrupt_page(bus);
    } else if (channel != NULL) {
        channel->signals_in++;
        chan_run(channel);
    }
}

void vmbus_messages_wanted(struct vmbus *bus)
{
    outbox_flush(bus);
}

void vmbus_get_channel(const struct vmbus *bus, uint32_t relid, struct vmbus_channel_info *info)
{
    const struct channel *channel = &bus->channels[relid - 1];

    *info = (struct vmbus_channel_info){
        .state = channel->state,
        .is_rescinded = channel->is_rescinded,
        .name = channel->vsp != NULL ? channel->vsp->name : NULL,
        .type = channel->type,
        .instance = channel->instance,
        .sub_channel_index = channel->sub_channel_index,
        .target_vp = channel->target_vp,
        .packets_in = channel->packets_in,
        .packets_out = channel->packets_out,
        .signals_in = channel->signals_in,
        .signals_out = channel->signals_out,
    };
}

uint32_t vmbus_version(const struct vmbus *bus)
{
    return bus->connection.version;
}
