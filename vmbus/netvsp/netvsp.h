/* SPDX-License-Identifier: MIT */
#ifndef NETVSP_NETVSP_H
#define NETVSP_NETVSP_H

/*
 * A network adapter of a VM: the provider that speaks to Linux's hv_netvsc, with a port of a network (vmbus/net.h)
 * behind it. Everything is under the VM's lock, but for the timer, which takes it. docs/netvsp.md tells how it works.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/guid.h"
#include "vmbus/host.h"
#include "vmbus/net.h"
#include "vmbus/netvsp/rss.h"
#include "vmbus/vsp.h"

struct gpadl;
struct netvsp;
struct vmbus;

#define NETVSP_SUB_CHANNELS_MAX   15u
#define NETVSP_CHANNELS_MAX       (1u + NETVSP_SUB_CHANNELS_MAX)
/* Sections of the receive buffer that are used; of those, so many only for answers and indications. */
#define NETVSP_SECTIONS_MAX       2048u
#define NETVSP_SECTIONS_SPARE     16u
/* Of the send buffer, which is as long as the guest likes. */
#define NETVSP_SEND_SECTION_BYTES 6144u
/* The longest packet: descriptors, 64 KiB in as many ranges as there can be page fragments and more, and a message. */
#define NETVSP_PACKET_BYTES_MAX   2048u
#define NETVSP_MULTICAST_MAX      32u
/* RNDIS messages in one packet; the guest is told so. */
#define NETVSP_MESSAGES_MAX       8u
/* The longest RNDIS request, and answer, of more than packets; and answers that wait for the guest. */
#define NETVSP_REQUEST_BYTES_MAX  1024u
#define NETVSP_ANSWER_BYTES_MAX   256u
#define NETVSP_ANSWERS_MAX        8u
#define NETVSP_NAME_BYTES_MAX     64u
/* What lies before the data of an RNDIS packet; and before the data of a frame that is to be cut. */
#define NETVSP_HEAD_BYTES_MAX     512u
#define NETVSP_HEADERS_BYTES_MAX  256u

/* A channel of the adapter. */
struct netvsp_channel {
    struct vsp vsp;
    struct netvsp *adapter;
    bool is_open;
    bool is_waiting;        /* there may be packets to read, and the turn was over */
    bool has_completion;    /* one that waits for room in the ring; no packet is read meanwhile */
    uint64_t completion_id; /* the packet's */
    uint32_t completion_bytes;
    uint32_t completion[10]; /* an NVSP message */
};

/* An RNDIS message that waits for room in the receive buffer or in the ring. */
struct netvsp_answer {
    uint32_t length_bytes;
    uint8_t bytes[NETVSP_ANSWER_BYTES_MAX] ALIGNED(8);
};

/* What has been counted since the adapter was made. */
struct netvsp_counts {
    uint64_t sent;
    uint64_t send_errors; /* malformed, or not to be sent */
    uint64_t send_drops;  /* that the network did not take */
    uint64_t received;
    uint64_t receive_errors; /* longer than the guest's MTU */
    uint64_t receive_drops;  /* for which the guest had no room */
};

/* What an adapter is to be. Constant. */
struct netvsp_config {
    struct vmbus *bus;
    struct host_vm *host;
    struct net_port *port; /* connected by the caller, with netvsp_arrived() behind `arrived` */
    struct guid instance;  /* the same over restarts */
    const char *name;      /* for people, ASCII, up to NETVSP_NAME_BYTES_MAX characters */
    uint8_t address[NET_ADDRESS_BYTES];
    bool may_change_address;   /* the guest may send from other addresses than this one */
    uint32_t sub_channels_max; /* that the guest may ask for; up to NETVSP_SUB_CHANNELS_MAX */
};

/* An adapter; its members are its own. */
struct netvsp {
    struct netvsp_config config;
    struct host_timer timer; /* for frames that came, and turns that were over */
    bool is_link_up;
    struct netvsp_counts counts;

    /* From the opening of the primary channel on. */
    uint32_t version;           /* NVSP_VERSION_...; 0: none yet */
    uint32_t mtu;               /* bytes behind the Ethernet header */
    bool is_initialized;        /* RNDIS */
    bool is_link_told;          /* what the guest knows of the link */
    bool is_table_due;          /* the indirection table is to be sent when the sub-channels are open */
    uint32_t sub_channel_count; /* that were offered */

    /* Buffers of the guest; null: none. */
    struct gpadl *send_buffer;
    struct gpadl *receive_buffer;
    uint16_t receive_buffer_id;
    uint32_t section_bytes; /* of the receive buffer */
    uint32_t free_section_count;
    uint16_t free_sections[NETVSP_SECTIONS_MAX];
    uint8_t section_channels[NETVSP_SECTIONS_MAX]; /* index of the channel that has it, and 1; 0: free */

    /* What the guest has set. */
    uint8_t address[NET_ADDRESS_BYTES];
    uint32_t filter; /* NDIS_FILTER_... */
    uint32_t lookahead_bytes;
    uint32_t multicast_count;
    uint8_t multicast[NETVSP_MULTICAST_MAX][NET_ADDRESS_BYTES];
    uint32_t receive_checksums; /* NETVSP_RECEIVE_...: the guest goes by what we say of these */
    struct rss rss;

    uint32_t answer_count;
    struct netvsp_answer answers[NETVSP_ANSWERS_MAX];

    uint32_t frames_left; /* that may be sent in this turn */
    struct netvsp_channel channels[NETVSP_CHANNELS_MAX];
    uint8_t packet[NETVSP_PACKET_BYTES_MAX] ALIGNED(8);
    uint8_t request[NETVSP_REQUEST_BYTES_MAX] ALIGNED(8);
    uint8_t message[NET_FRAME_BYTES_MAX + NETVSP_HEAD_BYTES_MAX] ALIGNED(8); /* a frame from or to the guest */
};

/* Makes an adapter with its link up, and offers it. False when the bus has no room. */
MUST_CHECK bool netvsp_create(struct netvsp *adapter, const struct netvsp_config *config);

/*
 * The end, behind vmbus_destroy() or with the adapter not offered any more, and with the port disconnected. Cancels the
 * timer.
 */
void netvsp_destroy(struct netvsp *adapter);

/* Takes the adapter away from the guest. */
void netvsp_rescind(struct netvsp *adapter);

/* No channel is open: nothing of the guest's memory is in use. */
bool netvsp_is_quiet(const struct netvsp *adapter);

/* What the port's `arrived` calls: needs no lock. */
void netvsp_arrived(struct netvsp *adapter);

/* Plugs the cable in or out. Frames go neither way while it is out. */
void netvsp_set_link(struct netvsp *adapter, bool is_up);

#endif
