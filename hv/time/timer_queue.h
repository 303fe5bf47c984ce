/* SPDX-License-Identifier: MIT */
#ifndef TIME_TIMER_QUEUE_H
#define TIME_TIMER_QUEUE_H

/* The interrupt side of the timers; their use is in time.h. */

/* Prepares this processor's queue. */
void timer_queue_init(void);

/*
 * Runs what is due on this processor and sets the hardware for the next. Called by the timer interrupt, interrupts off.
 */
void timer_queue_run(void);

#endif
