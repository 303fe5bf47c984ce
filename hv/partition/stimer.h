/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_STIMER_H
#define PARTITION_STIMER_H

/* The synthetic timers of a VP (TLFS, Timers, Synthetic Timers). "Own VP" as in apic.h. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_message.h"
#include "hv/abi/hv_status.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/compiler.h"
#include "hv/time/time.h"

struct partition;
struct vp;

#define STIMER_COUNT HV_SYNIC_STIMER_COUNT

/*
 * Shortest distance between two expiries of a periodic timer, in 100 ns (20 us): a guest can ask for less, but it must
 * not be able to keep a processor busy with its timers alone.
 */
#define STIMER_PERIOD_MIN_100NS UINT64_C(200)

/* One synthetic timer. Everything is protected by the VP's SynIC lock. */
struct stimer {
    uint64_t config;         /* as the MSR reads */
    uint64_t count;          /* as the MSR reads */
    uint64_t expiry;         /* nominal reference time of the next expiry, if is_running */
    uint64_t message_expiry; /* nominal time of the expiry whose message waits */
    bool is_running;
    bool is_message_waiting; /* expired, and its message is not in the slot yet */
    bool is_stalled;         /* periodic, and the expiry before the next has not been taken by the guest */
    uint8_t index;           /* [I] */
    struct vp *vp;           /* [I] */
    struct timer timer;
};

/* Prepares all timers of a new VP, and the SynIC lock that protects them; before synic_init(). */
void stimer_init(struct vp *vp);

/* Stops them and resets their registers. No lock of rank SynIC or higher held. */
void stimer_reset(struct vp *vp);

/* Stops them for good. No lock of rank SynIC or higher held. */
void stimer_destroy(struct vp *vp);

/* STIMERx_CONFIG and STIMERx_COUNT (0x400000B0 to B7). False: #GP(0), nothing changed. Own VP, no locks held. */
MUST_CHECK bool stimer_msr_read(struct vp *vp, uint32_t msr, uint64_t *value);
MUST_CHECK bool stimer_msr_write(struct vp *vp, uint32_t msr, uint64_t value);

/* Bit per timer with a message waiting for this SINT. SynIC lock held. */
uint32_t stimer_waiting(const struct vp *vp, uint32_t sint);

/* Composes the message of the first timer that waits for this SINT and starts its next period. SynIC lock held. */
bool stimer_take_message(struct vp *vp, uint32_t sint, struct hv_message *message);

/* A direct-mode vector was accepted: periodic timers that waited for that go on. Own VP, no lock of rank SynIC or
 * higher held. */
void stimer_accepted(struct vp *vp, uint8_t vector);

/* Reference time of the VP's partition jumped or goes on after a freeze: arms all running timers anew. */
void stimer_rearm_all(struct vp *vp);

/* VP state HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS. VP stopped, no lock of rank SynIC or higher held. */
void stimer_get_state(struct vp *vp, struct hv_synthetic_timers_state *state);
MUST_CHECK hv_status_t stimer_set_state(struct vp *vp, const struct hv_synthetic_timers_state *state);

#endif
