/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_VP_SIGNAL_H
#define PARTITION_VP_SIGNAL_H

/*
 * VP signals of the root scheduler: the message that tells the root that a blocked VP can run again
 * (HvMessageTypeSchedulerVpSignalPair). Each is sent exactly once, or waits until the root has room for it.
 */

struct vp;

/* Empties the list of those that wait. Boot, once. */
void vp_signal_init(void);

/* Sends the signal for a VP whose is_blocked was just cleared (the caller has counted it). No locks of rank SYNIC or
 * higher. */
void vp_signal_send(struct vp *vp);

/* Forgets a signal that still waits; for a VP that goes away. */
void vp_signal_forget(struct vp *vp);

/* Tries again to send what waits. Called for root VPs that freed a message slot. */
void vp_signal_retry(void);

#endif
