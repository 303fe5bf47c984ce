/* SPDX-License-Identifier: MIT */
#ifndef MACHINE_PRIVATE_H
#define MACHINE_PRIVATE_H

/* What the files of the fake machine do for each other. */

#include <stdint.h>

/* Each file's part of machine_reset(). */
uint64_t machine_reset_memory(void);
void machine_reset_cpus(void);
void machine_reset_time(void);
void machine_reset_boot(void);
void machine_reset_irq(void);
void machine_reset_debug(void);
void machine_reset_locks(void);
void machine_reset_mtrrs(void);

/* Takes the fake timer hardware's setting. */
void machine_timer_hardware_set(uint64_t deadline_tsc);

#endif
