/* SPDX-License-Identifier: MIT */
#ifndef LIB_LAYOUT_H
#define LIB_LAYOUT_H

/* Numbers that C and assembly of the bare guests share. */

#define GUEST_CPU_MAX     16
#define GUEST_STACK_BYTES 0x4000
#define GUEST_TRAMPOLINE  0x4000 /* page for start-up IPIs; the loader's tables begin above */

#define GUEST_CS   0x08
#define GUEST_DS   0x10
#define GUEST_CS32 0x18

#endif
