/* SPDX-License-Identifier: MIT */
#ifndef UNIT_FAKE_NET_H
#define UNIT_FAKE_NET_H

/* A network for tests of adapters: it remembers what was sent into its port, and gives out what the test puts there. */

#include <stdbool.h>
#include <stdint.h>

#include "vmbus/net.h"

#define FAKE_FRAMES_MAX 64u

/* A frame with its bytes. */
struct fake_frame {
    struct net_frame frame;
    uint8_t bytes[NET_FRAME_BYTES_MAX];
};

/* A network of one port. */
struct fake_net {
    struct net_port port;
    bool is_full;  /* takes no frames */
    uint32_t sent; /* frames that it got; the last FAKE_FRAMES_MAX are there */
    uint32_t put;  /* frames for the user, and how many it has taken */
    uint32_t taken;
    struct fake_frame frames[FAKE_FRAMES_MAX];
    struct fake_frame queue[FAKE_FRAMES_MAX];
};

/* Connects the port; `arrived` is the user's. */
void fake_net_create(struct fake_net *net, void (*arrived)(struct net_port *port));

/* Puts a frame there for the user, and says so. */
void fake_net_put(struct fake_net *net, const struct net_frame *frame);

/* A frame that was sent; 0 is the first. */
const struct net_frame *fake_net_sent(const struct fake_net *net, uint32_t index);

/*
 * Makes a frame of IP version `version` with TCP or UDP, `data_bytes` of data that differ, and no checksums; returns
 * its length. From address 02:00:00:00:00:`from` to 02:00:00:00:00:`to`, and IP addresses and ports that end likewise.
 */
uint32_t fake_frame_make(uint8_t *bytes, uint8_t version, uint8_t protocol, uint8_t to, uint8_t from,
                         uint32_t data_bytes);

/* The checksums of the frame are right; looked at with code of its own. */
bool fake_frame_is_good(const uint8_t *bytes, uint32_t length_bytes);

#endif
