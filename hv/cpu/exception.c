/* SPDX-License-Identifier: MIT */
/* Decides what an exception in the hypervisor means: a fixup, an NMI for somebody, or the end. */
#include "hv/cpu/exception.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/stack_find.h"
#include "hv/debug/panic.h"
#include "hv/debug/stop.h"
#include "hv/irq/irq.h"
#include "hv/lib/x86/x86_regs.h"

/* An instruction that may fault and where to go on then. */
struct exception_fixup {
    uint64_t instruction;
    uint64_t fixup;
};

/* From the linker script. */
extern const struct exception_fixup exception_fixups_start[];
extern const struct exception_fixup exception_fixups_end[];

static const char *const exception_names[X86_VECTOR_EXCEPTION_COUNT] = {
    [X86_VECTOR_DE] = "divide error",
    [X86_VECTOR_DB] = "debug exception",
    [X86_VECTOR_NMI] = "NMI",
    [X86_VECTOR_BP] = "breakpoint",
    [X86_VECTOR_OF] = "overflow",
    [X86_VECTOR_BR] = "bound range exceeded",
    [X86_VECTOR_UD] = "invalid opcode",
    [X86_VECTOR_NM] = "device not available",
    [X86_VECTOR_DF] = "double fault",
    [X86_VECTOR_TS] = "invalid TSS",
    [X86_VECTOR_NP] = "segment not present",
    [X86_VECTOR_SS] = "stack fault",
    [X86_VECTOR_GP] = "general protection fault",
    [X86_VECTOR_PF] = "page fault",
    [X86_VECTOR_MF] = "x87 error",
    [X86_VECTOR_AC] = "alignment check",
    [X86_VECTOR_MC] = "machine check",
    [X86_VECTOR_XM] = "SIMD error",
};

static bool apply_fixup(struct exception_frame *frame)
{
    for (const struct exception_fixup *entry = exception_fixups_start; entry < exception_fixups_end; entry++) {
        if (entry->instruction == frame->rip) {
            frame->rip = entry->fixup;
            return true;
        }
    }
    return false;
}

/* What a page fault was about, in words. */
static const char *page_fault_kind(uint64_t error)
{
    if ((error & X86_PF_FETCH) != 0) {
        return "executing";
    }
    return (error & X86_PF_WRITE) != 0 ? "writing" : "reading";
}

void exception_handle(struct exception_frame *frame)
{
    uint64_t address = read_cr2();
    uint32_t stack_owner;

    if (frame->vector == X86_VECTOR_NMI) {
        if (stop_is_wanted()) {
            cpu_halt_forever();
        }
        irq_deliver_nmi();
        return;
    }
    if (frame->vector == X86_VECTOR_GP && apply_fixup(frame)) {
        return;
    }
    /* A push into a guard page ends as a double fault, since the page fault has no stack to go to either. */
    if ((frame->vector == X86_VECTOR_PF || frame->vector == X86_VECTOR_DF) && stack_guard_find(address, &stack_owner)) {
        panic_at(frame, "stack overflow of CPU %u (at 0x%llx)", stack_owner, (unsigned long long)address);
    }
    if (frame->vector == X86_VECTOR_PF) {
        panic_at(frame, "page fault %s 0x%llx (%s page, error 0x%llx)", page_fault_kind(frame->error),
                 (unsigned long long)address, (frame->error & X86_PF_PRESENT) != 0 ? "protected" : "unmapped",
                 (unsigned long long)frame->error);
    }
    const char *name = frame->vector < ARRAY_SIZE(exception_names) ? exception_names[frame->vector] : NULL;
    panic_at(frame, "%s (vector %llu, error 0x%llx)", name == NULL ? "unknown exception" : name,
             (unsigned long long)frame->vector, (unsigned long long)frame->error);
}
