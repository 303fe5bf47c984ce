/* SPDX-License-Identifier: MIT */
#ifndef UC_GUESTS_H
#define UC_GUESTS_H

/* Guests of a few instructions, for the child's RAM at any address: position-independent 64-bit code (guests.S). */

#define UC_GUEST_MAGIC     0x01234567
#define UC_GUEST_EXIT_PORT 0xf4

#ifndef __ASSEMBLER__
#include <stdint.h>

/*
 * Calls RAX, which makes the hypercall in RCX, RDX and R8 that starts uc_smp_other; waits until that has written
 * UC_GUEST_MAGIC to where RBX points, and ends with the low byte of the call's result.
 */
extern const uint8_t uc_smp_guest[];
/* Pushes UC_GUEST_MAGIC and halts. */
extern const uint8_t uc_smp_other[], uc_smp_end[];

/* Uses the device memory at RBX in many ways, with 16 bytes of RAM at RSI; ends with 0. */
extern const uint8_t uc_mmio_guest[], uc_mmio_end[];
#endif

#endif
