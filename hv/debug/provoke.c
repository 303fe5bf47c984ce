/* SPDX-License-Identifier: MIT */
/* Breaks the hypervisor in the way that the option test= names. */
#include "hv/debug/provoke.h"

#include "hv/boot/boot.h"
#include "hv/cpu/asm.h"
#include "hv/debug/debug.h"
#include "hv/lib/str.h"
#include "hv/mem/layout.h"
#include "hv/sync/spinlock.h"
#include "hv/time/time.h"

#define OPTION_MAX           32
#define CANARY_BUFFER_BYTES  16
#define CANARY_OVERRUN_BYTES 64

static void provoke_panic(void)
{
    panic("asked for by test=panic");
}

static void provoke_assert(void)
{
    uint64_t end = (uint64_t)image_end;

    ASSERT(end == 0);
}

static void provoke_page_fault(void)
{
    /* Between the direct map and the image nothing is ever mapped. */
    volatile const uint64_t *unmapped = (volatile const uint64_t *)0xffffc00000000000ull;

    log_line("read %llx", (unsigned long long)*unmapped);
}

static void provoke_stack_overflow(void)
{
    __asm__ volatile("1: pushq $0\n\tjmp 1b" : : : "memory");
}

static void provoke_lock_rank(void)
{
    static struct spinlock high = SPINLOCK_INIT(LOCK_RANK_APIC, "test high");
    static struct spinlock low = SPINLOCK_INIT(LOCK_RANK_VP, "test low");

    spin_lock(&high);
    spin_lock(&low);
    log_line("the lock ranks are not checked in this build");
    spin_unlock(&low);
    spin_unlock(&high);
}

static void provoke_canary(void)
{
    uint8_t buffer[CANARY_BUFFER_BYTES];
    volatile uint8_t *byte = buffer;

    for (uint32_t i = 0; i < CANARY_OVERRUN_BYTES; i++) {
        byte[i] = 0xff;
    }
}

/* What test= can name. */
static const struct {
    const char *name;
    void (*provoke)(void);
} provocations[] = {
    {"panic", provoke_panic},          {"assert", provoke_assert},
    {"pagefault", provoke_page_fault}, {"stackoverflow", provoke_stack_overflow},
    {"lockrank", provoke_lock_rank},   {"canary", provoke_canary},
};

static void do_nothing(struct timer *timer)
{
    (void)timer;
}

/* Something for the trace, so that a panic has records to print. */
static void fill_trace(void)
{
    static struct timer timer;

    timer_init(&timer, do_nothing);
    timer_arm(&timer, time_tsc());
    while (timer_is_armed(&timer)) {
        irq_window();
    }
}

void provoke_if_wanted(void)
{
    char name[OPTION_MAX];

    if (!boot_option("test", name, sizeof(name))) {
        return;
    }
    fill_trace();
    for (size_t i = 0; i < ARRAY_SIZE(provocations); i++) {
        if (str_equal(name, provocations[i].name)) {
            provocations[i].provoke();
            return;
        }
    }
    stop_machine("option test=%s: no such test", name);
}
