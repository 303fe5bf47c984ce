/* SPDX-License-Identifier: MIT */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

/*
 * Where the machine hands its processors to the floor above. The root scheduler (HvCallDispatchVp) needs no queue here.
 */

#include "hv/lib/compiler.h"

/*
 * Upward hook, defined by hv/partition: this processor is up (own stack, IDT, APIC, GS); run the root VP on it for
 * ever.
 */
NORETURN void sched_processor_start(void);

#endif
