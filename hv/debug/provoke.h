/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_PROVOKE_H
#define DEBUG_PROVOKE_H

/*
 * The option test=NAME makes the hypervisor break on purpose at the end of its start-up, so that tests see what it
 * prints then: panic, assert, pagefault, stackoverflow, lockrank, canary.
 */
void provoke_if_wanted(void);

#endif
