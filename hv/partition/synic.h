/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_SYNIC_H
#define PARTITION_SYNIC_H

/*
 * The synthetic interrupt controller of a VP (TLFS, Inter-Partition Communication): SINTs, message page with its
 * queues, event flags page, and for the root the event ring page. "Own VP" as in apic.h.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_message.h"
#include "hv/abi/hv_status.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/compiler.h"
#include "hv/lib/list.h"
#include "hv/partition/overlay.h"
#include "hv/sync/spinlock.h"

struct vp;

/* A message that waits for its slot. Owned by the pool it lies in; `vp` is null while it is free. */
struct synic_buffer {
    struct list_node node; /* [SynIC lock of vp] in a SINT's queue */
    _Atomic(struct vp *)
        vp;        /* [a] whose queue holds it; claimed by the pool's owner, given back under that VP's lock */
    uint32_t sint; /* [as node] which of its queues */
    struct hv_message message; /* [as node] */
};

#define SYNIC_POOL_BUFFERS 14u

/* One page of buffers: of a message port, or of a VP for what the hypervisor itself sends there. */
struct synic_pool {
    struct synic_buffer buffers[SYNIC_POOL_BUFFERS];
};
_Static_assert(sizeof(struct synic_pool) <= 4096, "a pool is one page");

/* SynIC of one VP. */
struct synic {
    struct spinlock lock;                    /* rank LOCK_RANK_SYNIC */
    uint64_t scontrol;                       /* [lock] */
    uint64_t siefp, simp, sirbp;             /* [lock] as written; in the root with the hypervisor's page numbers */
    uint64_t sints[HV_SYNIC_SINT_COUNT];     /* [lock] but for synic_write_masked() */
    uint64_t auto_eoi[4];                    /* [V] bit per vector: some SINT with this vector has AutoEOI */
    uint64_t vectors[4];                     /* [V] bit per vector: some SINT has this vector */
    struct overlay message_page;             /* SIM */
    struct overlay event_page;               /* SIEF */
    struct overlay ring_page;                /* SIRB; root only */
    struct synic_pool *pool;                 /* [I] buffers for messages of the hypervisor; free ones under the lock */
    struct list queues[HV_SYNIC_SINT_COUNT]; /* [lock] of struct synic_buffer */
    uint16_t waiting;                        /* [lock] bit per SINT: its queue is not empty */
    uint8_t ring_heads[HV_SYNIC_SINT_COUNT]; /* [lock] next event ring entry to write */
};

/* Makes the pages and the pool, then resets. INSUFFICIENT_MEMORY: synic_destroy() frees what is there. */
MUST_CHECK hv_status_t synic_init(struct vp *vp);

/* Reset values; queues emptied, pages zeroed and uncovered. VP stopped; no lock of rank GPA space or higher held. */
void synic_reset(struct vp *vp);

/*
 * Writes a SINT that is masked and stays so: whoever looks at it sees no more than that, so the lock is not needed.
 * False: it is not; nothing changed. Own VP.
 */
MUST_CHECK static inline bool synic_write_masked(struct synic *synic, uint32_t sint, uint64_t value)
{
    uint64_t *place = &synic->sints[array_index_nospec(sint, HV_SYNIC_SINT_COUNT)];

    if ((*place & value & HV_SINT_MASKED) == 0) {
        return false;
    }
    WRITE_ONCE(*place, value);
    return true;
}

/* Empties the queues and frees the pages; accepts a half-made one. */
void synic_destroy(struct vp *vp);

/*
 * SCONTROL, SVERSION, SIEFP, SIMP, EOM, SIRBP (root), SINT0-15. False: #GP(0), nothing changed. Privileges are the
 * caller's business. Own VP; no lock of rank GPA space or higher held.
 */
MUST_CHECK bool synic_msr_read(struct vp *vp, uint32_t msr, uint64_t *value);
MUST_CHECK bool synic_msr_write(struct vp *vp, uint32_t msr, uint64_t value);

/*
 * Sends a message to a SINT of a VP: into its slot at once, or into a buffer of the target's pool. INVALID_PARAMETER:
 * no such SINT, payload too long; INVALID_SYNIC_STATE: SynIC or message page disabled; INSUFFICIENT_BUFFERS. Any
 * context; no lock of rank VP or higher held.
 */
MUST_CHECK hv_status_t synic_post_message(struct vp *target, uint32_t sint, const struct hv_message *message);

/* The same with buffers of a pool of the caller's; the caller's lock serialises claims from that pool. */
MUST_CHECK hv_status_t synic_post_from_pool(struct vp *target, uint32_t sint, const struct hv_message *message,
                                            struct synic_pool *pool);

/*
 * The same for a message that the hypervisor composes. A scheduler pair signal joins one that still waits, so that a
 * burst needs few buffers.
 */
MUST_CHECK hv_status_t synic_post_hypervisor_message(struct vp *target, uint32_t sint, uint32_t type, uint64_t sender,
                                                     const void *payload, uint8_t size);

/*
 * Sets an event flag; interrupts on 0 to 1 unless polling. `newly_set` may be null. INVALID_PARAMETER: no such SINT or
 * flag; INVALID_SYNIC_STATE: SynIC or page disabled, SINT masked. Any context; no lock of rank VP or higher held.
 */
MUST_CHECK hv_status_t synic_signal_event(struct vp *target, uint32_t sint, uint32_t flag, bool *newly_set);

/* What an entry in an event ring came to. */
enum synic_ring_result {
    SYNIC_RING_DONE,     /* in the ring */
    SYNIC_RING_FULL,     /* the consumer will say when it is empty (HvCallNotifyPortRingEmpty) */
    SYNIC_RING_DISABLED, /* SynIC or ring page disabled */
};

/* Puts a port id (not 0) into the event ring of a SINT and lets the guest know unless it asked not to. Context as
 * above. */
enum synic_ring_result synic_ring_put(struct vp *target, uint32_t sint, uint32_t port_id);

/* EOM: tries all waiting messages, timers' included. Own VP, no lock of rank SynIC or higher held. */
void synic_eom(struct vp *vp);

/* The same from any context (VP_REQUEST_EOM, a dispatch begins); no lock of rank VP or higher held. */
void synic_retry(struct vp *vp);

/* An EOI for this vector happened: tries the SINTs that have it. Own VP. */
void synic_eoi(struct vp *vp, uint8_t vector);

/* True when interrupts on this vector are ended by their delivery. Own VP. */
bool synic_is_auto_eoi(const struct vp *vp, uint8_t vector);

/* True when there is such a vector. Own VP. */
bool synic_has_auto_eoi(const struct vp *vp);

/* Takes all buffers of a pool back from whatever queues they wait in; no posting from it may run meanwhile. */
void synic_pool_drain(struct synic_pool *pool);

/*
 * Tries one SINT's waiting messages. SynIC lock held; the return value is the vector to raise (apic_set_irr_no_wake()
 * and, once the lock is free, a wake), or -1.
 */
int synic_deliver_locked(struct vp *vp, uint32_t sint);

#endif
