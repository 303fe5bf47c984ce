/* SPDX-License-Identifier: MIT */
#ifndef TIME_TIME_INIT_H
#define TIME_TIME_INIT_H

/* The start-up check of the processors' TSCs against each other. */

#include <stdint.h>

/*
 * Both processors of a pair call this at about the same time: the boot processor with the index of the other one, that
 * one with its own. Returns when both are through.
 */
void time_check_tsc_pair(uint32_t cpu_index);

/* Logs the outcome for all pairs. Boot processor. */
void time_report_tsc_check(void);

#endif
