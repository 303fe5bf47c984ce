/* SPDX-License-Identifier: MIT */
#ifndef STORVSP_STORVSP_H
#define STORVSP_STORVSP_H

/*
 * A SCSI controller of a VM: the provider that speaks to Linux's hv_storvsc, with disks and DVD drives of
 * vmbus/block.h behind it. Everything is under the VM's lock, but for the timer, which takes it. docs/storvsp.md tells
 * how it works.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "hv/lib/guid.h"
#include "hv/lib/list.h"
#include "vmbus/host.h"
#include "vmbus/proto/storvsp.h"
#include "vmbus/storvsp/scsi.h"
#include "vmbus/vsp.h"

struct storvsp;
struct vmbus;

#define STORVSP_SUB_CHANNELS_MAX 15u
#define STORVSP_CHANNELS_MAX     (1u + STORVSP_SUB_CHANNELS_MAX)
/* Requests that a controller has under way; the others wait in the rings. */
#define STORVSP_REQUESTS_MAX     64u
/* Of those, so many are used only while a disk does not answer in time: for the other disks, and to say so. */
#define STORVSP_REQUESTS_SPARE   8u
/*
 * The longest packet: descriptors, what SCSI_TRANSFER_BYTES_MAX may lie in, which is one page more than it fills, with
 * a range for each page, and the packet of the protocol.
 */
#define STORVSP_PACKET_BYTES_MAX (24u + (SCSI_TRANSFER_BYTES_MAX / 4096u + 1u) * 16u + 64u)

/* A channel of the controller. */
struct storvsp_channel {
    struct vsp vsp;
    struct storvsp *controller;
    struct list answers; /* requests that are finished, whose answers wait for room in the ring */
    uint32_t request_count;
    bool is_open;
    bool is_closing; /* requests still use guest memory */
    bool is_waiting; /* there may be packets to read, and no request was free */
};

/* What a request does. */
enum storvsp_request_state {
    STORVSP_REQUEST_FREE,
    STORVSP_REQUEST_ACTIVE,    /* being executed */
    STORVSP_REQUEST_RESETTING, /* a reset that waits for commands to end */
    STORVSP_REQUEST_ANSWERING, /* its answer waits for room in the ring */
};

/* A packet of the guest, from when it was read until its answer is in the ring. */
struct storvsp_request {
    struct list_node link; /* free, or among its channel's answers */
    struct storvsp_channel *channel;
    enum storvsp_request_state state;
    bool wants_completion;
    uint64_t transaction_id;
    uint64_t deadline_100ns;
    uint32_t answer_bytes;
    struct storvsp_packet packet; /* as it came, then as it is answered */
    struct scsi_command command;
    uint8_t buffer[STORVSP_PACKET_BYTES_MAX] ALIGNED(8);
};

/* How far the guest is with its set-up; in this order. */
enum storvsp_state {
    STORVSP_STATE_OPENED,
    STORVSP_STATE_BEGUN,
    STORVSP_STATE_VERSIONED,
    STORVSP_STATE_QUERIED, /* it knows the properties */
    STORVSP_STATE_READY,
};

/* What a controller is to be. Constant. */
struct storvsp_config {
    struct vmbus *bus;
    struct host_vm *host;
    struct guid instance;      /* the same over restarts */
    uint32_t sub_channels_max; /* that the guest may ask for; up to STORVSP_SUB_CHANNELS_MAX */
    /* A unit's back-end is out of use (storvsp_detach()). Null when nothing is ever detached. */
    void (*detached)(struct storvsp *controller, uint32_t lun);
};

/* A controller; its members are its own. */
struct storvsp {
    struct storvsp_config config;
    struct scsi_target target;
    enum storvsp_state state;
    uint32_t sub_channel_count; /* that were offered in this opening */
    uint32_t free_count;        /* requests in the state FREE */
    uint32_t active_count;      /* and in the state ACTIVE */
    uint32_t resetting_count;   /* and in the state RESETTING */
    uint32_t leaving_count;     /* units that leave */
    uint32_t closing_count;     /* channels that close */
    bool is_enumeration_due;    /* the guest is to be told that units came or went */
    bool is_settling;           /* storvsp.c, settle() is under way */
    bool is_timer_armed;
    struct host_timer timer; /* looks for commands that take too long */
    struct list free_requests;
    uint32_t next_channel; /* whose turn it is when a request becomes free */
    struct storvsp_channel channels[STORVSP_CHANNELS_MAX];
    struct storvsp_request requests[STORVSP_REQUESTS_MAX];
};

/* Makes a controller without units, and offers it. False when the bus has no room. */
MUST_CHECK bool storvsp_create(struct storvsp *controller, const struct storvsp_config *config);

/*
 * The end, behind vmbus_destroy() or with the controller not offered any more: no request is under way. Cancels the
 * timer.
 */
void storvsp_destroy(struct storvsp *controller);

/* Takes the whole controller away from the guest. It may go when storvsp_is_quiet(). */
void storvsp_rescind(struct storvsp *controller);

/* No channel is open, and no back-end has requests. */
bool storvsp_is_quiet(const struct storvsp *controller);

/*
 * Puts a disk, or a DVD drive with or without (null) a disc, at `lun` of the controller, and has the guest look for it.
 * False when the place is taken or there is no such. A disc has byte_count in multiples of SCSI_DVD_BLOCK_BYTES.
 */
MUST_CHECK bool storvsp_attach(struct storvsp *controller, uint32_t lun, enum scsi_kind kind,
                               const struct guid *identity, struct block_disk *disk);

/* Whether there is a unit at `lun`; one that leaves counts until its back-end is out of use. */
MUST_CHECK bool storvsp_has_unit(const struct storvsp *controller, uint32_t lun);

/*
 * Takes a unit away. True: the back-end is out of use; false: it still has requests, and config.detached will be
 * called. Until then the place is taken.
 */
MUST_CHECK bool storvsp_detach(struct storvsp *controller, uint32_t lun);

/*
 * Changes the disc of a DVD drive; null takes it out. False, and nothing changes, when the back-end of the disc has
 * requests: try again later.
 */
MUST_CHECK bool storvsp_set_disc(struct storvsp *controller, uint32_t lun, struct block_disk *disc);

/* The byte_count of a disk has changed. */
void storvsp_disk_resized(struct storvsp *controller, uint32_t lun);

#endif
