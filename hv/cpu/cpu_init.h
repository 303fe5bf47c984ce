/* SPDX-License-Identifier: MIT */
#ifndef CPU_CPU_INIT_H
#define CPU_CPU_INIT_H

/* Start-up of the boot processor. */

/* Gives the boot processor its descriptor tables, so that cpu_this(), locks and panics work. First of all. */
void cpu_init_boot(void);

/* Logs what processor this is. */
void cpu_log_machine(void);

/* Called by interrupt_handle() for IRQ_VECTOR_KICK. */
void cpu_note_kick(void);

#endif
