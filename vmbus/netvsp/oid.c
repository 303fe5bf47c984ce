/* SPDX-License-Identifier: MIT */
/*
 * What can be asked of an adapter, and set: all that Linux and Windows ask for and can be had. Everything else is not
 * supported, which both take for an answer.
 */
#include "hv/lib/bytes.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/netvsp/netvsp.h"
#include "vmbus/netvsp/netvsp_parts.h"
#include "vmbus/proto/rndis.h"

#define LINK_BITS_PER_SECOND UINT64_C(10000000000)
#define LINK_UNIT_BITS       100u
#define LINK_CONNECTED       1u
#define LINK_DISCONNECTED    2u
#define LINK_FULL_DUPLEX     2u
#define NOT_CONNECTED        1u /* of OID_GEN_MEDIA_CONNECT_STATUS */
#define DRIVER_VERSION       0x0100u
#define VENDOR_ID            0xFFFFFFu /* none */
#define MAC_OPTIONS          0x0Du     /* data is copied, no loopback, and tags beside the packet are understood */
#define SEGMENTS_MIN         2u
#define ADDRESS_DIGITS       (2 * NET_ADDRESS_BYTES)

/* Answers of one number. */
enum number_kind {
    NUMBER_CONSTANT,
    NUMBER_MTU,        /* and so much more */
    NUMBER_MEMBER_U32, /* of struct netvsp, at that offset */
    NUMBER_MEMBER_U64,
    NUMBER_LISTED, /* none: another answer, below */
};

/* An object that can be asked for. */
struct object {
    uint32_t oid;
    enum number_kind kind;
    uint32_t value;
};

static const struct object objects[] = {
    {OID_GEN_SUPPORTED_LIST, NUMBER_LISTED, 0},
    {OID_GEN_HARDWARE_STATUS, NUMBER_CONSTANT, 0},
    {OID_GEN_MEDIA_SUPPORTED, NUMBER_CONSTANT, 0},
    {OID_GEN_MEDIA_IN_USE, NUMBER_CONSTANT, 0},
    {OID_GEN_MAXIMUM_LOOKAHEAD, NUMBER_MTU, 0},
    {OID_GEN_MAXIMUM_FRAME_SIZE, NUMBER_MTU, 0},
    {OID_GEN_LINK_SPEED, NUMBER_CONSTANT, (uint32_t)(LINK_BITS_PER_SECOND / LINK_UNIT_BITS)},
    {OID_GEN_TRANSMIT_BUFFER_SPACE, NUMBER_MTU, NET_HEADER_BYTES},
    {OID_GEN_RECEIVE_BUFFER_SPACE, NUMBER_MTU, NET_HEADER_BYTES},
    {OID_GEN_TRANSMIT_BLOCK_SIZE, NUMBER_MTU, NET_HEADER_BYTES},
    {OID_GEN_RECEIVE_BLOCK_SIZE, NUMBER_MTU, NET_HEADER_BYTES},
    {OID_GEN_VENDOR_ID, NUMBER_CONSTANT, VENDOR_ID},
    {OID_GEN_VENDOR_DESCRIPTION, NUMBER_LISTED, 0},
    {OID_GEN_CURRENT_PACKET_FILTER, NUMBER_MEMBER_U32, (uint32_t)offsetof(struct netvsp, filter)},
    {OID_GEN_CURRENT_LOOKAHEAD, NUMBER_MEMBER_U32, (uint32_t)offsetof(struct netvsp, lookahead_bytes)},
    {OID_GEN_DRIVER_VERSION, NUMBER_CONSTANT, DRIVER_VERSION},
    {OID_GEN_MAXIMUM_TOTAL_SIZE, NUMBER_MTU, NET_HEADER_BYTES},
    {OID_GEN_MAC_OPTIONS, NUMBER_CONSTANT, MAC_OPTIONS},
    {OID_GEN_MEDIA_CONNECT_STATUS, NUMBER_LISTED, 0},
    {OID_GEN_MAXIMUM_SEND_PACKETS, NUMBER_CONSTANT, 1},
    {OID_GEN_VENDOR_DRIVER_VERSION, NUMBER_CONSTANT, DRIVER_VERSION},
    {OID_GEN_RECEIVE_SCALE_CAPABILITIES, NUMBER_LISTED, 0},
    {OID_GEN_LINK_STATE, NUMBER_LISTED, 0},
    {OID_GEN_XMIT_OK, NUMBER_MEMBER_U64, (uint32_t)offsetof(struct netvsp, counts.sent)},
    {OID_GEN_RCV_OK, NUMBER_MEMBER_U64, (uint32_t)offsetof(struct netvsp, counts.received)},
    {OID_GEN_XMIT_ERROR, NUMBER_MEMBER_U64, (uint32_t)offsetof(struct netvsp, counts.send_errors)},
    {OID_GEN_RCV_ERROR, NUMBER_MEMBER_U64, (uint32_t)offsetof(struct netvsp, counts.receive_errors)},
    {OID_GEN_RCV_NO_BUFFER, NUMBER_MEMBER_U64, (uint32_t)offsetof(struct netvsp, counts.receive_drops)},
    {OID_GEN_FRIENDLY_NAME, NUMBER_LISTED, 0},
    {OID_802_3_PERMANENT_ADDRESS, NUMBER_LISTED, 0},
    {OID_802_3_CURRENT_ADDRESS, NUMBER_LISTED, 0},
    {OID_802_3_MULTICAST_LIST, NUMBER_LISTED, 0},
    {OID_802_3_MAXIMUM_LIST_SIZE, NUMBER_CONSTANT, NETVSP_MULTICAST_MAX},
    {OID_TCP_OFFLOAD_CURRENT_CONFIG, NUMBER_LISTED, 0},
    {OID_TCP_OFFLOAD_CAPABILITIES, NUMBER_LISTED, 0},
};

/* Puts bytes into the answer; returns how many. */
static uint32_t put(uint8_t *out, const void *bytes, uint32_t length_bytes)
{
    memcpy(out, bytes, length_bytes);
    return length_bytes;
}

static uint32_t put_list(uint8_t *out)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(objects); i++) {
        put_u32(out + i * sizeof(uint32_t), objects[i].oid);
    }
    return (uint32_t)(ARRAY_SIZE(objects) * sizeof(uint32_t));
}

/* ASCII as UTF-16. */
static uint32_t put_name(uint8_t *out, const char *name)
{
    uint32_t length = (uint32_t)min_size(strlen(name), NETVSP_NAME_BYTES_MAX);

    for (uint32_t i = 0; i < length; i++) {
        put_u16(out + 2 * i, (uint8_t)name[i]);
    }
    return 2 * length;
}

/* Several channels are of use only to those who can set up how they are used. */
static uint32_t put_rss_capabilities(const struct netvsp *adapter, uint8_t *out)
{
    const struct ndis_rss_capabilities capabilities = {
        .header = {NDIS_OBJECT_RSS_CAPABILITIES, 2, NDIS_RSS_CAPABILITIES_BYTES},
        .capabilities = NDIS_HASH_TOEPLITZ | NDIS_RSS_CAN_TCP4 | NDIS_RSS_CAN_TCP6,
        .interrupt_count = adapter->config.sub_channels_max + 1,
        .queue_count = adapter->config.sub_channels_max + 1,
        .table_entries = NDIS_RSS_TABLE_ENTRIES,
    };

    return put(out, &capabilities, NDIS_RSS_CAPABILITIES_BYTES);
}

static uint32_t put_link_state(const struct netvsp *adapter, uint8_t *out)
{
    const struct ndis_link_state state = {
        .header = {NDIS_OBJECT_DEFAULT, 1, sizeof(state)},
        .connect_state = adapter->is_link_up ? LINK_CONNECTED : LINK_DISCONNECTED,
        .duplex_state = LINK_FULL_DUPLEX,
        .transmit_bits_per_second = LINK_BITS_PER_SECOND,
        .receive_bits_per_second = LINK_BITS_PER_SECOND,
    };

    return put(out, &state, sizeof(state));
}

/* In the revision that the guest names, with what it has room for. */
static uint32_t put_offload(uint8_t *out, const uint8_t *in, uint32_t in_bytes)
{
    static const uint32_t lengths[NDIS_OFFLOAD_REVISION_MAX] = {NDIS_OFFLOAD_1_BYTES, NDIS_OFFLOAD_2_BYTES,
                                                                sizeof(struct ndis_offload)};
    const struct ndis_checksum_ability ip4 = {NDIS_ENCAPSULATION_802_3, NDIS_CHECKSUM_IP | NDIS_CHECKSUM_IP_OPTIONS |
                                                                            NDIS_CHECKSUM_TCP | NDIS_CHECKSUM_UDP |
                                                                            NDIS_CHECKSUM_TCP_OPTIONS};
    const struct ndis_checksum_ability ip6 = {NDIS_ENCAPSULATION_802_3, NDIS_CHECKSUM_IP_OPTIONS | NDIS_CHECKSUM_TCP |
                                                                            NDIS_CHECKSUM_UDP |
                                                                            NDIS_CHECKSUM_TCP_OPTIONS};
    struct ndis_header asked = {.revision = 1};
    struct ndis_offload offload = {
        .checksum4 = {ip4, ip4},
        .checksum6 = {ip6, ip6},
        .large_send_v2 = {NDIS_ENCAPSULATION_802_3, NETVSP_LARGE_SEND_BYTES_MAX, SEGMENTS_MIN, NDIS_ENCAPSULATION_802_3,
                          NETVSP_LARGE_SEND_BYTES_MAX, SEGMENTS_MIN,
                          NDIS_CHECKSUM_IP_OPTIONS | NDIS_CHECKSUM_TCP_OPTIONS},
    };

    if (in_bytes >= sizeof(asked)) {
        memcpy(&asked, in, sizeof(asked));
    }
    asked.revision = (uint8_t)max_u32(1, min_u32(asked.revision, NDIS_OFFLOAD_REVISION_MAX));
    offload.header = (struct ndis_header){NDIS_OBJECT_OFFLOAD, asked.revision, (uint16_t)lengths[asked.revision - 1]};
    return put(out, &offload, offload.header.size_bytes);
}

/* The answers that are no number. */
static uint32_t put_listed(const struct netvsp *adapter, uint32_t oid, const uint8_t *in, uint32_t in_bytes,
                           uint8_t *out)
{
    switch (oid) {
    case OID_GEN_SUPPORTED_LIST:
        return put_list(out);
    case OID_GEN_VENDOR_DESCRIPTION:
        return put(out, "Partita", sizeof("Partita"));
    case OID_GEN_MEDIA_CONNECT_STATUS:
        put_u32(out, adapter->is_link_up ? 0 : NOT_CONNECTED);
        return sizeof(uint32_t);
    case OID_GEN_RECEIVE_SCALE_CAPABILITIES:
        return put_rss_capabilities(adapter, out);
    case OID_GEN_LINK_STATE:
        return put_link_state(adapter, out);
    case OID_GEN_FRIENDLY_NAME:
        return put_name(out, adapter->config.name);
    case OID_802_3_PERMANENT_ADDRESS:
        return put(out, adapter->config.address, NET_ADDRESS_BYTES);
    case OID_802_3_CURRENT_ADDRESS:
        return put(out, adapter->address, NET_ADDRESS_BYTES);
    case OID_802_3_MULTICAST_LIST:
        return put(out, adapter->multicast, adapter->multicast_count * NET_ADDRESS_BYTES);
    default: /* OID_TCP_OFFLOAD_..., both: what there is cannot be taken away */
        return put_offload(out, in, in_bytes);
    }
}

/* A member of the adapter. */
static uint32_t put_member(const struct netvsp *adapter, const struct object *object, uint8_t *out)
{
    uint32_t bytes = object->kind == NUMBER_MEMBER_U32 ? sizeof(uint32_t) : sizeof(uint64_t);

    return put(out, (const uint8_t *)adapter + object->value, bytes);
}

uint32_t netvsp_query(struct netvsp *adapter, uint32_t oid, const uint8_t *in, uint32_t in_bytes, uint8_t *out,
                      uint32_t *out_bytes)
{
    const struct object *object = objects;

    while (object->oid != oid) {
        object++;
        if (object == objects + ARRAY_SIZE(objects)) {
            return RNDIS_STATUS_NOT_SUPPORTED;
        }
    }
    *out_bytes = sizeof(uint32_t);
    switch (object->kind) {
    case NUMBER_CONSTANT:
        put_u32(out, object->value);
        break;
    case NUMBER_MTU:
        put_u32(out, adapter->mtu + object->value);
        break;
    case NUMBER_MEMBER_U32:
    case NUMBER_MEMBER_U64:
        *out_bytes = put_member(adapter, object, out);
        break;
    case NUMBER_LISTED:
        *out_bytes = put_listed(adapter, oid, in, in_bytes, out);
        break;
    }
    return RNDIS_STATUS_SUCCESS;
}

static uint32_t set_number(uint32_t *member, const uint8_t *value, uint32_t value_bytes)
{
    if (value_bytes < sizeof(*member)) {
        return RNDIS_STATUS_INVALID_DATA;
    }
    *member = get_u32(value);
    return RNDIS_STATUS_SUCCESS;
}

static uint32_t set_multicast(struct netvsp *adapter, const uint8_t *value, uint32_t value_bytes)
{
    if (value_bytes % NET_ADDRESS_BYTES != 0 || value_bytes > sizeof(adapter->multicast)) {
        return RNDIS_STATUS_INVALID_DATA;
    }
    memcpy(adapter->multicast, value, value_bytes);
    adapter->multicast_count = value_bytes / NET_ADDRESS_BYTES;
    return RNDIS_STATUS_SUCCESS;
}

/* What we may vouch for; of what the guest sends, each packet says by itself what is to be done. */
static uint32_t set_offload(struct netvsp *adapter, const uint8_t *value, uint32_t value_bytes)
{
    struct ndis_offload_parameters parameters;

    if (value_bytes < sizeof(parameters)) {
        return RNDIS_STATUS_INVALID_DATA;
    }
    memcpy(&parameters, value, sizeof(parameters));

    const struct {
        uint8_t wish;
        uint32_t bit;
    } wishes[] = {
        {parameters.tcp4, NETVSP_RECEIVE_TCP4},
        {parameters.udp4, NETVSP_RECEIVE_UDP4},
        {parameters.tcp6, NETVSP_RECEIVE_TCP6},
        {parameters.udp6, NETVSP_RECEIVE_UDP6},
    };
    for (uint32_t i = 0; i < ARRAY_SIZE(wishes); i++) {
        if (wishes[i].wish == NDIS_OFFLOAD_RECEIVE || wishes[i].wish == NDIS_OFFLOAD_BOTH) {
            adapter->receive_checksums |= wishes[i].bit;
        } else if (wishes[i].wish != NDIS_OFFLOAD_NO_CHANGE) {
            adapter->receive_checksums &= ~wishes[i].bit;
        }
    }
    return RNDIS_STATUS_SUCCESS;
}

/* Reads an address in twelve digits of UTF-16. */
static bool parse_address(const uint8_t *digits, uint8_t *address)
{
    for (uint32_t i = 0; i < ADDRESS_DIGITS; i++) {
        uint32_t digit = get_u16(digits + 2 * i);

        if (digit >= '0' && digit <= '9') {
            digit -= '0';
        } else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f') {
            digit = (digit | 0x20) - 'a' + 10;
        } else {
            return false;
        }
        address[i / 2] = (uint8_t)((uint32_t)address[i / 2] << 4 | digit);
    }
    return (address[0] & 1) == 0;
}

/* "NetworkAddress" is the one parameter that there is. */
static uint32_t set_parameter(struct netvsp *adapter, const uint8_t *value, uint32_t value_bytes)
{
    static const char name[] = "NetworkAddress";
    struct rndis_config_parameter parameter;
    uint8_t address[NET_ADDRESS_BYTES] = {0};
    uint8_t expected[2 * sizeof(name)];

    if (value_bytes < sizeof(parameter)) {
        return RNDIS_STATUS_INVALID_DATA;
    }
    memcpy(&parameter, value, sizeof(parameter));
    if (!range_contains(0, value_bytes, parameter.name_offset_bytes, parameter.name_bytes) ||
        !range_contains(0, value_bytes, parameter.value_offset_bytes, parameter.value_bytes)) {
        return RNDIS_STATUS_INVALID_DATA;
    }
    if (parameter.name_bytes != put_name(expected, name) ||
        memcmp(value + parameter.name_offset_bytes, expected, parameter.name_bytes) != 0) {
        return RNDIS_STATUS_NOT_SUPPORTED;
    }
    if (parameter.type != RNDIS_CONFIG_STRING || parameter.value_bytes != 2 * ADDRESS_DIGITS ||
        !parse_address(value + parameter.value_offset_bytes, address)) {
        return RNDIS_STATUS_INVALID_DATA;
    }
    if (!adapter->config.may_change_address && memcmp(address, adapter->config.address, sizeof(address)) != 0) {
        return RNDIS_STATUS_FAILURE;
    }
    memcpy(adapter->address, address, sizeof(address));
    return RNDIS_STATUS_SUCCESS;
}

uint32_t netvsp_set(struct netvsp *adapter, uint32_t oid, const uint8_t *value, uint32_t value_bytes)
{
    switch (oid) {
    case OID_GEN_CURRENT_PACKET_FILTER:
        return set_number(&adapter->filter, value, value_bytes);
    case OID_GEN_CURRENT_LOOKAHEAD:
        return set_number(&adapter->lookahead_bytes, value, value_bytes);
    case OID_802_3_MULTICAST_LIST:
        return set_multicast(adapter, value, value_bytes);
    case OID_TCP_OFFLOAD_PARAMETERS:
        return set_offload(adapter, value, value_bytes);
    case OID_GEN_RECEIVE_SCALE_PARAMETERS:
        return rss_set(&adapter->rss, value, value_bytes, adapter->sub_channel_count + 1) ? RNDIS_STATUS_SUCCESS
                                                                                          : RNDIS_STATUS_INVALID_DATA;
    case OID_GEN_RNDIS_CONFIG_PARAMETER:
        return set_parameter(adapter, value, value_bytes);
    case OID_GEN_NETWORK_LAYER_ADDRESSES:
    case OID_OFFLOAD_ENCAPSULATION:
        return RNDIS_STATUS_SUCCESS; /* for the adapter's information */
    default:
        return RNDIS_STATUS_NOT_SUPPORTED;
    }
}
