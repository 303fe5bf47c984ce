/* SPDX-License-Identifier: MIT */
/* The list of self-tests, and those of the machine: memory, interrupts, APIC timer, console. */
#include "partitions/root/selftest/selftest.h"

#include <stdarg.h>

#include "hv/abi/hv_msr.h"
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/memory.h"

#define WAIT_100NS         (10000 * CLOCK_100NS_PER_MS)
#define TOUCH_STEP         KIB(64)
#define PERIODS            50u /* of a millisecond each */
#define APIC_DIVIDE_BY_1   0xBu
#define APIC_LVT_PERIODIC  0x20000u
#define APIC_LVT_MASKED    0x10000u
#define UART_PORT          0x3F8u
#define UART_MODEM_CONTROL (UART_PORT + 4)
#define UART_LINE_STATUS   (UART_PORT + 5)
#define UART_IDLE          0x40u
#define UART_RECEIVED      0x01u
#define UART_LOOPBACK      0x1Bu
#define UART_NORMAL        0x0Bu

/* One group of tests. */
struct group {
    const char *name;
    bool (*run)(void);
};

static const struct group groups[] = {
    {"memory", selftest_memory},         {"interrupts", selftest_interrupts},
    {"apic-timer", selftest_apic_timer}, {"console", selftest_console},
    {"timers", selftest_timers},         {"synic", selftest_synic},
    {"ports", selftest_ports},           {"hypercall-errors", selftest_hypercall_errors},
    {"isolation", selftest_isolation},   {"lifecycle", selftest_lifecycle},
    {"bad-state", selftest_bad_state},   {"intercepts", selftest_intercepts},
    {"bench", selftest_bench},
};

static uint32_t interrupt_count; /* atomic */
static uint32_t answer_count;    /* atomic */

bool selftest_report(const char *name, const char *why, ...)
{
    char text[200];
    va_list arguments;

    if (why == NULL) {
        console_progress("PASS %s", name);
        return true;
    }
    va_start(arguments, why);
    (void)fmt_vsnprintf(text, sizeof(text), why, arguments);
    va_end(arguments);
    console_progress("FAIL %s: %s", name, text);
    return false;
}

bool selftest_wait(const uint32_t *counter, uint32_t wanted)
{
    uint64_t start = clock_now();

    while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < wanted) {
        if (clock_now() - start > WAIT_100NS) {
            return false;
        }
        cpu_relax();
    }
    return true;
}

bool selftest_run(const char *name)
{
    bool is_known = false;
    bool has_passed = true;

    irq_enable();
    for (uint32_t i = 0; i < ARRAY_SIZE(groups); i++) {
        if (str_equal(name, "all") || str_equal(name, groups[i].name)) {
            is_known = true;
            has_passed &= groups[i].run();
        }
    }
    return is_known ? has_passed : selftest_report(name, "there is no such test");
}

/* What a sample of a page must hold; differs for every address. */
static uint64_t pattern(uint64_t address)
{
    return address * UINT64_C(0x9E3779B97F4A7C15) ^ address;
}

bool selftest_memory(void)
{
    uint64_t blocks = 0;
    uint64_t bad = 0;
    uint64_t next = 0;

    /* All 2 MiB blocks there are, chained through their first words. */
    for (uint64_t block = memory_alloc(PAGES_PER_LARGE_PAGE, PAGES_PER_LARGE_PAGE); block != 0;
         block = memory_alloc(PAGES_PER_LARGE_PAGE, PAGES_PER_LARGE_PAGE)) {
        *(uint64_t *)block = next;
        next = block;
        blocks++;
        for (uint64_t at = block + TOUCH_STEP - 8; at < block + LARGE_PAGE_SIZE; at += TOUCH_STEP) {
            *(volatile uint64_t *)at = pattern(at);
        }
    }
    while (next != 0) {
        uint64_t block = next;

        next = *(uint64_t *)block;
        for (uint64_t at = block + TOUCH_STEP - 8; at < block + LARGE_PAGE_SIZE; at += TOUCH_STEP) {
            bad += *(volatile uint64_t *)at != pattern(at) ? 1 : 0;
        }
        memory_free(block, PAGES_PER_LARGE_PAGE);
    }
    if (blocks == 0 || bad != 0) {
        return selftest_report("memory", "%llu of %llu MiB: %llu samples changed", (unsigned long long)bad,
                               (unsigned long long)blocks * 2, (unsigned long long)bad);
    }
    return selftest_report("memory", NULL);
}

static void count_interrupt(void)
{
    if (cpu_this()->index == 0) {
        (void)__atomic_fetch_add(&interrupt_count, 1u, __ATOMIC_RELEASE);
    } else {
        (void)__atomic_fetch_add(&answer_count, 1u, __ATOMIC_RELEASE);
        lapic_send(cpu_get(0)->apic_id, TRAP_VECTOR_TEST);
    }
}

bool selftest_interrupts(void)
{
    bool has_passed;

    interrupt_count = 0;
    answer_count = 0;
    trap_set_handler(TRAP_VECTOR_TEST, count_interrupt);
    lapic_send(cpu_this()->apic_id, TRAP_VECTOR_TEST);
    has_passed = selftest_report("interrupts-self", selftest_wait(&interrupt_count, 1) ? NULL : "no interrupt came");
    for (uint32_t i = 1; i < cpu_count(); i++) {
        interrupt_count = 0;
        answer_count = 0;
        lapic_send(cpu_get(i)->apic_id, TRAP_VECTOR_TEST);

        bool is_answered = selftest_wait(&interrupt_count, 1);

        has_passed &= selftest_report("interrupts-other",
                                      is_answered && answer_count == 1 ? NULL : "processor %u: %u there, %u back", i,
                                      answer_count, interrupt_count);
    }
    return has_passed;
}

bool selftest_check_period(const char *name, const uint32_t *counter, uint64_t start_100ns)
{
    /* Periods may be late, and some left out, while the machine does something else; none may be early. */
    bool has_come = selftest_wait(counter, PERIODS);
    uint64_t elapsed = clock_now() - start_100ns;

    return selftest_report(name,
                           has_come && elapsed >= (PERIODS - 1) * CLOCK_100NS_PER_MS ? NULL : "%u in %llu x 100 ns",
                           *counter, (unsigned long long)elapsed);
}

bool selftest_apic_timer(void)
{
    uint64_t start = clock_now();
    bool has_passed;

    interrupt_count = 0;
    trap_set_handler(TRAP_VECTOR_TEST_TIMER, count_interrupt);
    wrmsr(X86_MSR_X2APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
    wrmsr(X86_MSR_X2APIC_LVT_TIMER, TRAP_VECTOR_TEST_TIMER | APIC_LVT_PERIODIC);
    wrmsr(X86_MSR_X2APIC_TIMER_INITIAL, rdmsr(HV_X64_MSR_APIC_FREQUENCY) / 1000);
    has_passed = selftest_check_period("apic-timer", &interrupt_count, start);
    wrmsr(X86_MSR_X2APIC_LVT_TIMER, APIC_LVT_MASKED);
    wrmsr(X86_MSR_X2APIC_TIMER_INITIAL, 0);
    return has_passed;
}

bool selftest_console(void)
{
    uint8_t received = 0;
    bool has_received;

    /* In a loop-back, with nothing else under way: what was written comes back. */
    console_flush();
    while ((inb(UART_LINE_STATUS) & UART_IDLE) == 0) {
        cpu_relax();
    }
    outb(UART_MODEM_CONTROL, UART_LOOPBACK);
    outb(UART_PORT, 0xA5);

    uint64_t start = clock_now();

    do {
        has_received = (inb(UART_LINE_STATUS) & UART_RECEIVED) != 0;
    } while (!has_received && clock_now() - start < WAIT_100NS);
    received = has_received ? inb(UART_PORT) : 0;
    outb(UART_MODEM_CONTROL, UART_NORMAL);
    return selftest_report("console", received == 0xA5 ? NULL : "loop-back gave %#x", received);
}
