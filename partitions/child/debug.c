/* SPDX-License-Identifier: MIT */
/* Debug exceptions: what DR6 and DR7 hold afterwards, single steps behind instructions that hold interrupts back, and
 * none too many. SDM vol. 3, Debug Registers; APM vol. 2, Debug Registers. Option: strict=1. */
#include "partitions/child/lib/guest.h"

#define DB GUEST_FAULT(X86_VECTOR_DB)

/* A breakpoint by DR0 on writes of one byte. */
#define DR7_WRITES_TO_DR0 (X86_DR7_RESET | UINT64_C(0x1) | UINT64_C(0x10000))

#define SET_TF                                                                                                         \
    0x9C,                                         /* pushfq */                                                         \
        0x81, 0x0C, 0x24, 0x00, 0x01, 0x00, 0x00, /* orl $TF, (%rsp) */                                                \
        0x9D                                      /* popfq */

static const uint8_t set_dr7[] = {0x0F, 0x23, 0xF8}; /* mov %rax, %dr7 */
static const uint8_t get_dr7[] = {0x0F, 0x21, 0xF8}; /* mov %dr7, %rax */
static uint8_t has_run_on;

static uint64_t get_dr6(void)
{
    uint64_t value;
    __asm__ volatile("mov %%dr6, %0" : "=r"(value));
    return value;
}

static void set_dr6(uint64_t value)
{
    __asm__ volatile("mov %0, %%dr6" : : "r"(value));
}

static uint32_t try_set_dr7(uint64_t value)
{
    struct guest_registers registers = {.rax = value};

    return guest_try_bytes(set_dr7, sizeof(set_dr7), &registers);
}

static uint32_t try_get_dr7(uint64_t *value)
{
    struct guest_registers registers = {0};
    uint32_t fault = guest_try_bytes(get_dr7, sizeof(get_dr7), &registers);

    *value = registers.rax;
    return fault;
}

/* Runs code that ends, if nothing stops it, with a write to has_run_on. */
static uint32_t try_step(const uint8_t *code)
{
    struct guest_registers registers = {.rdi = (uint64_t)&has_run_on};

    set_dr6(X86_DR6_RESET);
    WRITE_ONCE(has_run_on, 0);
    return guest_try(code, &registers);
}

/* Bits of earlier exceptions stay until software clears them. */
static void check_sticky(void)
{
    static const uint8_t store[] = {0xC6, 0x07, 0x01}; /* movb $1, (%rdi) */
    struct guest_registers registers = {.rdi = (uint64_t)&has_run_on};
    uint32_t fault;

    set_dr6(X86_DR6_RESET | X86_DR6_BS);
    __asm__ volatile("mov %0, %%dr0" : : "r"((uint64_t)&has_run_on));
    (void)try_set_dr7(DR7_WRITES_TO_DR0);
    fault = guest_try_bytes(store, sizeof(store), &registers);
    guest_check(fault == DB, "breakpoint", "fault %u", fault);
    guest_check(get_dr6() == (X86_DR6_RESET | X86_DR6_BS | X86_DR6_B0), "dr6-sticky", "DR6 %llx",
                (unsigned long long)get_dr6());
    (void)try_set_dr7(X86_DR7_RESET);
}

/* An access to a guarded register faults once: the handler itself may use them. Only with the option strict=1: QEMU's
 * software CPU guards nothing. */
static void check_guard(void)
{
    uint64_t value = 0;
    uint32_t fault;

    set_dr6(X86_DR6_RESET);
    guest_check(try_set_dr7(X86_DR7_RESET | X86_DR7_GD) == 0, "guard-set", "fault");
    fault = try_get_dr7(&value);
    guest_check(fault == DB && get_dr6() == (X86_DR6_RESET | X86_DR6_BD), "guard", "fault %u, DR6 %llx", fault,
                (unsigned long long)get_dr6());
    fault = try_get_dr7(&value);
    guest_check(fault == 0 && value == X86_DR7_RESET, "guard-cleared", "fault %u, DR7 %llx", fault,
                (unsigned long long)value);
}

/* Any debug exception ends the guard, and the hypervisor makes the one behind CPUID. */
static void check_guard_at_step(void)
{
    static const uint8_t step[] = {SET_TF, 0x0F, 0xA2, 0xC3}; /* cpuid; ret */
    struct guest_registers registers = {0};
    uint64_t value = 0;
    uint32_t fault;

    (void)try_set_dr7(X86_DR7_RESET | X86_DR7_GD);
    fault = guest_try(step, &registers);
    guest_check(fault == DB, "guard-step", "fault %u", fault);
    fault = try_get_dr7(&value);
    guest_check(fault == 0 && value == X86_DR7_RESET, "guard-step-cleared", "fault %u, DR7 %llx", fault,
                (unsigned long long)value);
}

/* STI and MOV SS hold interrupts back for one instruction; the trap comes all the same, once. */
static void check_shadows(void)
{
    static const uint8_t sti[] = {
        SET_TF, 0xFB,       /* sti */
        0x90,               /* nop */
        0xC6,   0x07, 0x01, /* movb $1, (%rdi) */
        0xC3,               /* ret */
    };
    static const uint8_t mov_ss[] = {
        0x8C,   0xD0,       /* mov %ss, %eax */
        SET_TF,             /* */
        0x8E,   0xD0,       /* mov %eax, %ss */
        0x0F,   0xA2,       /* cpuid */
        0xC6,   0x07, 0x01, /* movb $1, (%rdi) */
        0xC3,               /* ret */
    };
    static const uint8_t store[] = {0xC6, 0x07, 0x01, 0xC3}; /* movb $1, (%rdi); ret */
    uint32_t fault = try_step(sti);

    irq_disable();
    guest_check(fault == DB && READ_ONCE(has_run_on) == 0, "sti-step", "fault %u, %s", fault,
                READ_ONCE(has_run_on) != 0 ? "late" : "in time");
    fault = try_step(mov_ss);
    guest_check(fault == DB && READ_ONCE(has_run_on) == 0, "mov-ss-step", "fault %u, %s", fault,
                READ_ONCE(has_run_on) != 0 ? "late" : "in time");
    fault = try_step(store);
    guest_check(fault == 0 && READ_ONCE(has_run_on) == 1, "step-once", "fault %u", fault);
}

uint8_t guest_main(void)
{
    check_sticky();
    check_guard_at_step();
    check_shadows();
    if (guest_option("strict", 0) != 0) {
        check_guard();
    }
    return guest_failures();
}
