/* SPDX-License-Identifier: MIT */
#ifndef NETVSP_RSS_H
#define NETVSP_RSS_H

/* Receive-side scaling: a hash of a frame's addresses and ports says on which channel it goes to the guest. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/proto/rndis.h"

struct net_layers;

/* What the guest has set. */
struct rss {
    bool is_enabled;
    uint32_t hash; /* NDIS_HASH_... */
    uint32_t table_entries;
    uint8_t table[NDIS_RSS_TABLE_ENTRIES]; /* channel numbers */
    uint8_t key[NDIS_RSS_KEY_BYTES];
};

/*
 * Takes the value of OID_GEN_RECEIVE_SCALE_PARAMETERS. False, and nothing changes, when it is malformed or names
 * channels from `channel_count` up.
 */
MUST_CHECK bool rss_set(struct rss *rss, const uint8_t *value, uint32_t value_bytes, uint32_t channel_count);

/* The hash of a frame. False: it has none by what the guest has set. */
MUST_CHECK bool rss_hash(const struct rss *rss, const uint8_t *bytes, const struct net_layers *layers, uint32_t *hash);

#endif
