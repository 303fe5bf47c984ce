/* SPDX-License-Identifier: MIT */
#ifndef DEBUG_STOP_H
#define DEBUG_STOP_H

/*
 * How the machine comes to a stop. With the option onstop=poweroff, meant for tests in emulators, a stop ends the
 * emulator: QEMU by a write to the port of its isa-debug-exit device, Bochs by its shutdown port. Without it all
 * processors halt.
 */

#define STOP_QEMU_PORT  0xf4
#define STOP_BOCHS_PORT 0x8900

/* Values written to QEMU's port; the emulator's exit status is twice that plus one. */
#define STOP_CODE_STOPPED 0x10 /* stop_machine(): status 33 */
#define STOP_CODE_PANIC   0x11 /* panic(): status 35 */

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stdint.h>

#include "hv/lib/compiler.h"

/* Halts the other processors by NMI. */
void stop_other_processors(void);

/* True on a processor that got its NMI because the machine is stopping. */
bool stop_is_wanted(void);

/* Ends the emulator if wanted, else halts this processor for ever. */
NORETURN void stop_finally(uint8_t code);

#endif

#endif
