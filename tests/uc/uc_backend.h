/* SPDX-License-Identifier: MIT */
#ifndef UC_UC_BACKEND_H
#define UC_UC_BACKEND_H

/*
 * A CPU backend whose guests are real code: the sim (tests/sim) with Unicorn as the processor of child VPs. Guests
 * begin and stay in 64-bit mode at CPL 0, with every linear address its own guest physical one: Unicorn's paging is
 * off.
 */

#include <stdint.h>

struct vp;

/* Replaces the sim's backend after sim_start(). uc_stop() ends every VP's Unicorn, before sim_stop(). */
void uc_start(void);
void uc_stop(void);

/* Instructions that the VP has executed since uc_start(), the intercepted ones included. */
uint64_t uc_insn_count(const struct vp *vp);

/* The guest's table of segment descriptors, for its IRET; nothing else looks at it. */
void uc_set_gdt(struct vp *vp, uint64_t base, uint32_t limit);

#endif
