/* SPDX-License-Identifier: MIT */
/*
 * Takes Ethernet frames apart and writes checksums (RFC 791, 1071, 8200, 9293). Frames are copies of ours; nothing in
 * them is taken for true.
 */
#include "vmbus/net.h"

#include "hv/lib/be.h"

#define TYPE_OFFSET        12u
#define TYPE_IP4           0x0800u
#define TYPE_IP6           0x86DDu
#define IP4_BYTES          20u
#define IP4_LENGTH         2u
#define IP4_FRAGMENT       6u
#define IP4_FRAGMENT_MASK  0x3FFFu /* more fragments, and the offset */
#define IP4_PROTOCOL       9u
#define IP4_CHECKSUM       10u
#define IP4_ADDRESSES      12u
#define IP6_BYTES          40u
#define IP6_LENGTH         4u
#define IP6_NEXT_HEADER    6u
#define IP6_ADDRESSES      8u
#define IP6_EXTENSIONS_MAX 8u
#define EXTENSION_HOPS     0u
#define EXTENSION_OPTIONS  60u
#define TCP_BYTES          20u
#define TCP_DATA_OFFSET    12u
#define TCP_CHECKSUM       16u
#define UDP_BYTES          8u
#define UDP_CHECKSUM       6u

/* Adds big-endian 16-bit numbers; the last byte of an odd length counts as a high one. */
static uint64_t add(uint64_t sum, const uint8_t *bytes, uint32_t length_bytes)
{
    uint32_t i = 0;

    for (; i + 4 <= length_bytes; i += 4) {
        sum += get_be32(bytes + i);
    }
    for (; i + 2 <= length_bytes; i += 2) {
        sum += get_be16(bytes + i);
    }
    return i < length_bytes ? sum + ((uint64_t)bytes[i] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
    while (sum > UINT16_MAX) {
        sum = (sum >> 16) + (sum & UINT16_MAX);
    }
    return (uint16_t)~sum;
}

/*
 * The protocol that IPv6 carries, behind extensions; *at is moved behind them. 0 when that is not inside. A routing
 * header is no such extension here: with it the checksum goes by another address than the one in the IP header.
 */
static uint8_t skip_extensions(const uint8_t *bytes, uint32_t length_bytes, uint32_t *at)
{
    uint8_t protocol = bytes[*at - IP6_BYTES + IP6_NEXT_HEADER];

    for (uint32_t i = 0; i < IP6_EXTENSIONS_MAX; i++) {
        if (protocol != EXTENSION_HOPS && protocol != EXTENSION_OPTIONS) {
            return protocol;
        }
        if (length_bytes - *at < 8 || length_bytes - *at < (bytes[*at + 1] + 1u) * 8u) {
            return 0;
        }
        protocol = bytes[*at];
        *at += (bytes[*at + 1] + 1u) * 8u;
    }
    return 0;
}

/* The TCP or UDP header at `at`, of a packet that ends at `end` by its IP header. */
static void parse_transport(const uint8_t *bytes, uint32_t length_bytes, uint32_t at, uint32_t end, uint8_t protocol,
                            struct net_layers *layers)
{
    uint32_t header_bytes = protocol == NET_PROTOCOL_TCP ? TCP_BYTES : UDP_BYTES;

    if ((protocol != NET_PROTOCOL_TCP && protocol != NET_PROTOCOL_UDP) || at + header_bytes > length_bytes ||
        at + header_bytes > end) {
        return;
    }
    if (protocol == NET_PROTOCOL_TCP) {
        header_bytes = (uint32_t)(bytes[at + TCP_DATA_OFFSET] >> 4) * 4u;
        if (header_bytes < TCP_BYTES || at + header_bytes > length_bytes || at + header_bytes > end) {
            return;
        }
    }
    layers->protocol = protocol;
    layers->transport_offset = at;
    layers->transport_bytes = end - at;
    layers->transport_headers = at + header_bytes;
}

static void parse_ip4(const uint8_t *bytes, uint32_t length_bytes, bool is_whole, struct net_layers *layers)
{
    const uint8_t *header = bytes + NET_HEADER_BYTES;
    uint32_t header_bytes, end = length_bytes;

    if (length_bytes < NET_HEADER_BYTES + IP4_BYTES || header[0] >> 4 != 4) {
        return;
    }
    header_bytes = (header[0] & 0xFu) * 4u;
    if (is_whole) {
        end = NET_HEADER_BYTES + get_be16(header + IP4_LENGTH);
    }
    if (header_bytes < IP4_BYTES || NET_HEADER_BYTES + header_bytes > length_bytes || end > length_bytes) {
        return;
    }
    layers->version = 4;
    layers->network_offset = NET_HEADER_BYTES;
    if ((get_be16(header + IP4_FRAGMENT) & IP4_FRAGMENT_MASK) == 0) {
        parse_transport(bytes, length_bytes, NET_HEADER_BYTES + header_bytes, end, header[IP4_PROTOCOL], layers);
    }
}

static void parse_ip6(const uint8_t *bytes, uint32_t length_bytes, bool is_whole, struct net_layers *layers)
{
    const uint8_t *header = bytes + NET_HEADER_BYTES;
    uint32_t at = NET_HEADER_BYTES + IP6_BYTES, end = length_bytes;
    uint8_t protocol;

    if (length_bytes < at || header[0] >> 4 != 6) {
        return;
    }
    if (is_whole) {
        end = at + get_be16(header + IP6_LENGTH);
    }
    if (end > length_bytes) {
        return;
    }
    layers->version = 6;
    layers->network_offset = NET_HEADER_BYTES;
    protocol = skip_extensions(bytes, length_bytes, &at);
    parse_transport(bytes, length_bytes, at, end, protocol, layers);
}

void net_parse(const uint8_t *bytes, uint32_t length_bytes, bool is_whole, struct net_layers *layers)
{
    *layers = (struct net_layers){.version = 0};
    if (length_bytes < NET_HEADER_BYTES) {
        return;
    }
    if (get_be16(bytes + TYPE_OFFSET) == TYPE_IP4) {
        parse_ip4(bytes, length_bytes, is_whole, layers);
    } else if (get_be16(bytes + TYPE_OFFSET) == TYPE_IP6) {
        parse_ip6(bytes, length_bytes, is_whole, layers);
    }
}

void net_fill_checksum(uint8_t *bytes, const struct net_layers *layers)
{
    uint8_t *transport = bytes + layers->transport_offset;
    const uint8_t *network = bytes + layers->network_offset;
    bool is_udp = layers->protocol == NET_PROTOCOL_UDP;
    uint8_t *field = transport + (is_udp ? UDP_CHECKSUM : TCP_CHECKSUM);
    uint64_t sum = (uint64_t)layers->protocol + layers->transport_bytes;
    uint16_t checksum;

    if (layers->protocol == 0) {
        return;
    }
    sum = layers->version == 4 ? add(sum, network + IP4_ADDRESSES, 8) : add(sum, network + IP6_ADDRESSES, 32);
    put_be16(field, 0);
    checksum = fold(add(sum, transport, layers->transport_bytes));
    /* UDP says with 0 that there is none. */
    put_be16(field, is_udp && checksum == 0 ? UINT16_MAX : checksum);
}

void net_fill_ip_checksum(uint8_t *bytes, const struct net_layers *layers)
{
    uint8_t *header = bytes + layers->network_offset;

    if (layers->version == 4) {
        put_be16(header + IP4_CHECKSUM, 0);
        put_be16(header + IP4_CHECKSUM, fold(add(0, header, (header[0] & 0xFu) * 4u)));
    }
}
