/* SPDX-License-Identifier: MIT */
/*
 * What a network is to its users: adapters of VMs (vmbus/netvsp) and what an environment has of real networks (a TAP
 * device, a network card). A user is given a port; vmbus/switch.h has ports.
 *
 * A port goes between users with locks of their own, so frames wait in it: send() copies a frame and never waits for
 * those who get it; each of them takes the frames out when it can, and what finds no room is dropped and counted. Calls
 * of one port are made one at a time, under the lock of its user.
 */
#ifndef VMBUS_NET_H
#define VMBUS_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

struct net_port;

#define NET_ADDRESS_BYTES   6u
#define NET_HEADER_BYTES    14u /* two addresses and a type */
#define NET_MTU_DEFAULT     1500u
#define NET_MTU_MAX         9000u
#define NET_FRAME_BYTES_MAX (NET_HEADER_BYTES + NET_MTU_MAX)
#define NET_VLAN_MASK       0x0FFFu

/* A frame. */
struct net_frame {
    uint8_t *bytes;        /* without an 802.1Q tag and without check sequence */
    uint32_t length_bytes; /* NET_HEADER_BYTES to NET_FRAME_BYTES_MAX */
    uint16_t tag;          /* as 802.1Q has it: VLAN in bits 11:0, priority in 15:13; 0: none */
    /*
     * The checksum of TCP or UDP is not in it: the frame never left this machine, so the data is what was sent. Whoever
     * cannot go by that calls net_fill_checksum(). Never set for other protocols and for fragments.
     */
    bool is_checksum_missing;
    bool is_checksum_good; /* it is there, and was looked at */
};

/* What a network implements. */
struct net_operations {
    /* Sends a frame into the network. False: it was dropped, and that was counted. */
    bool (*send)(struct net_port *port, const struct net_frame *frame);
    /*
     * The next frame for the user, which may change it in place; it is the user's until take() or drop() of the same
     * port. False: there is none, and `arrived` will be called when there is.
     */
    bool (*take)(struct net_port *port, struct net_frame *frame);
};

/* A port. The members above the line are the user's, set before it is connected, and constant. */
struct net_port {
    /*
     * There are frames. Called by other users, with any locks held, at any time while the port is connected: it does no
     * more than to arm a timer, or to wake a thread.
     */
    void (*arrived)(struct net_port *port);
    /* ---- */
    const struct net_operations *operations; /* the network's; null: not connected */
};

/* What a frame carries, as far as it could be made out. */
struct net_layers {
    uint8_t version;            /* of IP: 4 or 6; 0: something else */
    uint8_t protocol;           /* NET_PROTOCOL_...; 0: neither of the two, or a fragment */
    uint32_t network_offset;    /* of the IP header; its fixed part is inside of the frame */
    uint32_t transport_offset;  /* of the TCP or UDP header; the same */
    uint32_t transport_bytes;   /* with its data, by the IP header: inside of the frame */
    uint32_t transport_headers; /* bytes up to the data of TCP or UDP, from the begin of the frame; inside of it */
};

#define NET_PROTOCOL_TCP 6u
#define NET_PROTOCOL_UDP 17u

/* Looks at a frame of `length_bytes`, or at its begin; lengths in IP headers count only if `is_whole`. */
void net_parse(const uint8_t *bytes, uint32_t length_bytes, bool is_whole, struct net_layers *layers);

/* Writes the checksum of TCP or UDP, and that of an IPv4 header. Nothing happens to what has none. */
void net_fill_checksum(uint8_t *bytes, const struct net_layers *layers);
void net_fill_ip_checksum(uint8_t *bytes, const struct net_layers *layers);

#endif
