/* SPDX-License-Identifier: MIT */
#ifndef IC_IC_H
#define IC_IC_H

/*
 * What all integration services share: a message pipe on which the host asks and the guest answers, one question at a
 * time, after both have agreed on versions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/compiler.h"
#include "vmbus/host.h"
#include "vmbus/proto/ic_format.h"
#include "vmbus/vsp.h"

struct ic;

/* The longest body of a service: a key with its value. */
#define IC_BODY_BYTES_MAX    sizeof(struct ic_kvp)
#define IC_PACKET_BYTES_MAX  (sizeof(struct vmbus_packet_header) + sizeof(struct ic_header) + IC_BODY_BYTES_MAX)
/* In units of 8 bytes. */
#define IC_PACKET_QWORDS_MAX ((IC_PACKET_BYTES_MAX + 7) / 8)

/* What makes a service; constant. */
struct ic_service {
    const char *name;
    struct guid type;
    struct guid instance;
    uint16_t message_type;
    const struct ic_version *versions; /* best first */
    uint16_t version_count;
    /* The guest is there and agrees on versions: questions may be asked. Null: nothing has to be done then. */
    void (*ready)(struct ic *ic);
    /* The guest has answered the question: header, and `body_bytes` bytes of body, valid during the call. */
    void (*answered)(struct ic *ic, const struct ic_header *header, const uint8_t *body, uint32_t body_bytes);
    /* The service's timer has expired while questions may be asked; null without one. */
    void (*expired)(struct ic *ic);
    /* The guest has closed the service and owed an answer; null: nobody waits for it. */
    void (*left)(struct ic *ic);
};

/* How far the guest and a service are. */
enum ic_state {
    IC_CLOSED,
    IC_OPENED,      /* versions are to be offered */
    IC_NEGOTIATING, /* versions were offered */
    IC_READY,
    IC_NO_VERSION, /* the guest knows none of ours */
};

/* One service of one VM. */
struct ic {
    struct vsp vsp;
    const struct ic_service *service;
    struct host_vm *host;
    struct host_timer timer; /* of the service; runs only while IC_READY */
    enum ic_state state;
    struct ic_version framework_version;
    struct ic_version message_version;
    uint8_t transaction_id; /* of the last question */
    bool is_waiting;        /* for its answer */
    uint64_t received[IC_PACKET_QWORDS_MAX];
    uint8_t sent[sizeof(struct ic_header) + IC_BODY_BYTES_MAX];
};

/* Prepares a service; vsp_offer() of ic->vsp brings it to the guest. */
void ic_init(struct ic *ic, struct host_vm *host, const struct ic_service *service);

/*
 * Asks the guest: a body of `body_bytes` bytes, at most IC_BODY_BYTES_MAX. False, and nothing is sent, when the guest
 * is not ready, still owes an answer, or has no room.
 */
MUST_CHECK bool ic_ask(struct ic *ic, const void *body, uint32_t body_bytes);

/* Calls `expired` of the service once, so much from now. */
void ic_set_timer(struct ic *ic, uint64_t delay_100ns);

#endif
