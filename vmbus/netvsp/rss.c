/* SPDX-License-Identifier: MIT */
/* Checks the guest's settings, and hashes (Windows drivers, "RSS Hashing Functions"). */
#include "vmbus/netvsp/rss.h"

#include "hv/lib/be.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/net.h"

#define IP4_ADDRESSES 12u
#define IP6_ADDRESSES 8u
#define INPUT_BYTES   36u /* two addresses of IPv6, two ports */

/* Reads the table, whose entries are below `channel_count`. */
static bool take_table(struct rss *rss, const struct ndis_rss_parameters *parameters, const uint8_t *value,
                       uint32_t value_bytes, uint32_t channel_count)
{
    uint32_t entries = parameters->table_bytes / (uint32_t)sizeof(uint32_t);

    if (entries == 0 || entries > NDIS_RSS_TABLE_ENTRIES || (entries & (entries - 1)) != 0 ||
        !range_contains(0, value_bytes, parameters->table_offset_bytes, parameters->table_bytes)) {
        return false;
    }
    for (uint32_t i = 0; i < entries; i++) {
        uint32_t channel;

        memcpy(&channel, value + parameters->table_offset_bytes + i * sizeof(channel), sizeof(channel));
        if (channel >= channel_count) {
            return false;
        }
        rss->table[i] = (uint8_t)channel;
    }
    rss->table_entries = entries;
    return true;
}

static bool take_key(struct rss *rss, const struct ndis_rss_parameters *parameters, const uint8_t *value,
                     uint32_t value_bytes)
{
    if (parameters->key_bytes != sizeof(rss->key) ||
        !range_contains(0, value_bytes, parameters->key_offset_bytes, sizeof(rss->key))) {
        return false;
    }
    memcpy(rss->key, value + parameters->key_offset_bytes, sizeof(rss->key));
    return true;
}

bool rss_set(struct rss *rss, const uint8_t *value, uint32_t value_bytes, uint32_t channel_count)
{
    struct ndis_rss_parameters parameters;
    struct rss next = *rss;

    if (value_bytes < sizeof(parameters)) {
        return false;
    }
    memcpy(&parameters, value, sizeof(parameters));
    if (parameters.header.type != NDIS_OBJECT_RSS_PARAMETERS) {
        return false;
    }
    if ((parameters.flags & NDIS_RSS_DISABLED) != 0) {
        rss->is_enabled = false;
        return true;
    }
    if ((parameters.flags & NDIS_RSS_HASH_UNCHANGED) == 0) {
        next.hash = parameters.hash;
    }
    if ((parameters.flags & NDIS_RSS_TABLE_UNCHANGED) == 0 &&
        !take_table(&next, &parameters, value, value_bytes, channel_count)) {
        return false;
    }
    if ((parameters.flags & NDIS_RSS_KEY_UNCHANGED) == 0 && !take_key(&next, &parameters, value, value_bytes)) {
        return false;
    }
    next.is_enabled = next.table_entries != 0 && (next.hash & NDIS_HASH_TOEPLITZ) != 0;
    *rss = next;
    return true;
}

/* For each bit of the input that is set, the 32 bits of the key that begin there. */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *input, uint32_t input_bytes)
{
    uint32_t window = get_be32(key);
    uint32_t hash = 0;

    for (uint32_t i = 0; i < input_bytes; i++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            if ((input[i] >> (7 - bit) & 1) != 0) {
                hash ^= window;
            }
            window = window << 1 | (key[i + 4] >> (7 - bit) & 1u);
        }
    }
    return hash;
}

bool rss_hash(const struct rss *rss, const uint8_t *bytes, const struct net_layers *layers, uint32_t *hash)
{
    uint8_t input[INPUT_BYTES];
    bool is_4 = layers->version == 4;
    uint32_t address_bytes = is_4 ? 8 : 32;
    uint32_t input_bytes = address_bytes;

    if (!rss->is_enabled || layers->version == 0) {
        return false;
    }
    memcpy(input, bytes + layers->network_offset + (is_4 ? IP4_ADDRESSES : IP6_ADDRESSES), address_bytes);
    if (layers->protocol == NET_PROTOCOL_TCP && (rss->hash & (is_4 ? NDIS_HASH_TCP4 : NDIS_HASH_TCP6)) != 0) {
        memcpy(input + address_bytes, bytes + layers->transport_offset, 4);
        input_bytes += 4;
    } else if ((rss->hash & (is_4 ? NDIS_HASH_IP4 : NDIS_HASH_IP6)) == 0) {
        return false;
    }
    *hash = toeplitz(rss->key, input, input_bytes);
    return true;
}
