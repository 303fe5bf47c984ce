/* SPDX-License-Identifier: MIT */
#ifndef CPU_EXCEPTION_H
#define CPU_EXCEPTION_H

/* Exceptions taken by the hypervisor itself. Interrupts go to hv/irq. */

#include <stdint.h>

#include "hv/lib/compiler.h"

/* What exception_entry.S leaves on the stack, lowest address first. */
struct exception_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector;
    uint64_t error; /* 0 for exceptions without one */
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Called by exception_entry.S; returns to resume at frame->rip. */
void exception_handle(struct exception_frame *frame);

#endif
