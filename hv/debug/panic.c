/* SPDX-License-Identifier: MIT */
/*
 * The end of a broken hypervisor. Takes no lock, allocates nothing, and trusts nothing that it follows: the state it
 * prints may be what broke.
 */
#include "hv/debug/panic.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/stack_find.h"
#include "hv/debug/debug.h"
#include "hv/debug/log.h"
#include "hv/debug/stop.h"
#include "hv/debug/symbols.h"
#include "hv/debug/trace.h"
#include "hv/debug/trace_read.h"

#define STACK_DEPTH_MAX 24
#define TRACE_RECORDS   16
/* Long enough for other processors to take their NMI and finish a character. */
#define SETTLE_ROUNDS   200000

/* The compiler's check of stack canaries ends here. */
NORETURN void __stack_chk_fail(void);

static _Atomic uint32_t panic_depth;

/*
 * `distance` is 1 for return addresses: one behind a call that never returns may already be in the next function, so
 * the call is looked up.
 */
static void print_address(const char *what, uint64_t address, uint64_t distance)
{
    uint64_t offset;
    const char *name = symbol_find(address - distance, &offset);

    if (name != NULL) {
        log_line_unlocked("  %s %016llx %s+0x%llx", what, (unsigned long long)address, name,
                          (unsigned long long)(offset + distance));
    } else {
        log_line_unlocked("  %s %016llx", what, (unsigned long long)address);
    }
}

/* Follows the chain of frame pointers as long as it stays on one of our stacks and goes up. */
static void print_stack(uint64_t frame_pointer)
{
    for (uint32_t depth = 0; depth < STACK_DEPTH_MAX; depth++) {
        if (!stack_holds(frame_pointer, 2 * sizeof(uint64_t))) {
            return;
        }
        const uint64_t *frame = (const uint64_t *)frame_pointer;
        if (frame[1] == 0) {
            return;
        }
        print_address("from", frame[1], 1);
        if (frame[0] <= frame_pointer) {
            return;
        }
        frame_pointer = frame[0];
    }
}

static void print_registers(const struct exception_frame *f)
{
    static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8 ",
                                        "r9 ", "r10", "r11", "r12", "r13", "r14", "r15", "rsp"};
    const uint64_t values[] = {f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp, f->r8,
                               f->r9,  f->r10, f->r11, f->r12, f->r13, f->r14, f->r15, f->rsp};

    for (uint32_t i = 0; i < ARRAY_SIZE(names); i += 4) {
        log_line_unlocked("  %s %016llx  %s %016llx  %s %016llx  %s %016llx", names[i], (unsigned long long)values[i],
                          names[i + 1], (unsigned long long)values[i + 1], names[i + 2],
                          (unsigned long long)values[i + 2], names[i + 3], (unsigned long long)values[i + 3]);
    }
    log_line_unlocked("  rflags %llx  cs %llx  ss %llx  vector %llu  error %llx", (unsigned long long)f->rflags,
                      (unsigned long long)f->cs, (unsigned long long)f->ss, (unsigned long long)f->vector,
                      (unsigned long long)f->error);
}

static void print_trace(void)
{
    struct trace_record records[TRACE_RECORDS];
    uint32_t count = trace_read_last(records, TRACE_RECORDS);

    if (count == 0) {
        log_line_unlocked("  no trace records");
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct trace_record *record = &records[i];
        log_line_unlocked("  trace %llu %s vp %x:%x %llx %llx", (unsigned long long)record->tsc,
                          trace_event_name(record->event), record->vp >> 16, record->vp & 0xffff,
                          (unsigned long long)record->a, (unsigned long long)record->b);
    }
}

/* Only the first processor to get here prints; a panic within a panic just stops. */
static void enter_panic(void)
{
    irq_disable();
    uint32_t depth = atomic_fetch_add(&panic_depth, 1);

    if (depth != 0) {
        if (depth == 1) {
            log_line_unlocked("panic: another one while printing this, or on another processor");
        }
        cpu_halt_forever();
    }
    stop_other_processors();
    for (volatile uint32_t i = 0; i < SETTLE_ROUNDS; i++) {
        pause();
    }
}

NORETURN static void finish_panic(void)
{
    log_line_unlocked("  cr0 %llx  cr2 %llx  cr3 %llx  cr4 %llx", (unsigned long long)read_cr0(),
                      (unsigned long long)read_cr2(), (unsigned long long)read_cr3(), (unsigned long long)read_cr4());
    print_trace();
    log_line_unlocked("panic: stopped");
    stop_finally(STOP_CODE_PANIC);
}

PRINTF_LIKE(1, 0) static void print_cause(const char *format, va_list arguments)
{
    log_line_unlocked("panic on CPU %u:", cpu_this()->index);
    log_line_unlocked_list(format, arguments);
}

void panic(const char *format, ...)
{
    va_list arguments;

    enter_panic();
    va_start(arguments, format);
    print_cause(format, arguments);
    va_end(arguments);
    print_stack((uint64_t)__builtin_frame_address(0));
    finish_panic();
}

void panic_at(const struct exception_frame *frame, const char *format, ...)
{
    va_list arguments;

    enter_panic();
    va_start(arguments, format);
    print_cause(format, arguments);
    va_end(arguments);
    print_registers(frame);
    print_address("at  ", frame->rip, 0);
    print_stack(frame->rbp);
    finish_panic();
}

void __stack_chk_fail(void)
{
    panic("a stack canary was overwritten");
}
