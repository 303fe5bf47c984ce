/* SPDX-License-Identifier: MIT */
/*
 * For several children at once: child 0 misbehaves as the option bad= says (1 triple fault, 2 jump into nowhere, 3 spin
 * with interrupts off for ms= milliseconds, 4 flood of hypercalls, 5 touches of memory that is not there, 6 VMRUN or
 * VMLAUNCH, 7 writes to all ports, 8 messages to VMBus without a pause), the others count timer interrupts and must get
 * through in spite of it.
 */
#include "hv/abi/hv_hypercall.h"
#include "partitions/child/lib/guest.h"

#define CPUID_EBX_INTEL  0x756E6547u /* "Genu" */
#define VMBUS_CONNECTION 4u

#define MS           GUEST_CLOCK_100NS_PER_MS
#define VECTOR_TIMER 0x40u
#define DIVIDE_BY_1  0xBu
#define TIMER_COUNT  1000000u
#define TICKS        100u
#define TICKS_LIMIT  (60000 * MS)

/* What child 0 does. */
enum misbehaviour {
    BAD_TRIPLE_FAULT = 1,
    BAD_NOWHERE,
    BAD_SPIN,
    BAD_FLOOD,
    BAD_TOUCH,
    BAD_VMRUN,
    BAD_PORTS,
    BAD_MESSAGES,
};

static uint8_t page[4096] ALIGNED(4096);
static uint64_t parameters[512] ALIGNED(4096);
static volatile uint32_t ticks;

static void on_timer(void)
{
    ticks++;
    guest_apic_eoi();
}

static void forget_interrupts(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } PACKED nothing = {0, 0};

    __asm__ volatile("lidt %0" : : "m"(nothing));
}

/* The kinds that last until the time is over; one round of one kind. */
static void misbehave_once(enum misbehaviour kind, uint32_t round)
{
    switch (kind) {
    case BAD_FLOOD:
        parameters[0] = HV_PARTITION_ID_SELF;
        (void)guest_hypercall(round % 0x140 == HvCallNotifyLongSpinWait ? 0 : round % 0x140, (uint64_t)parameters,
                              (uint64_t)parameters);
        return;
    case BAD_MESSAGES:
        *(struct hv_input_post_message *)parameters = (struct hv_input_post_message){
            .connection_id = VMBUS_CONNECTION, .message_type = 1, .payload_size_bytes = 240, .payload = {round % 32}};
        (void)guest_hypercall(HvCallPostMessage, (uint64_t)parameters, 0);
        return;
    case BAD_TOUCH:
        *(volatile uint32_t *)(GUEST_HOLE + round % 0x2000 * 4096) = round;
        return;
    case BAD_PORTS:
        /* Not the ports that end a machine. */
        if (round % 0x10000 < 0x80 || round % 0x10000 > 0xFFF) {
            outb((uint16_t)round, 0);
        }
        return;
    default:
        for (volatile uint32_t i = 0; i < 10000; i++) {
        }
        return;
    }
}

/* By the instruction of this processor's own extension, which exits. */
static void enter_guest_mode(void)
{
    uint32_t leaf[4];

    cpuid(0, 0, leaf);
    if (leaf[1] == CPUID_EBX_INTEL) {
        __asm__ volatile("vmlaunch" : : : "cc");
    } else {
        __asm__ volatile("vmrun %%rax" : : "a"(page));
    }
}

static uint8_t misbehave(enum misbehaviour kind)
{
    uint64_t end = guest_clock() + guest_option("ms", 2000) * MS;

    guest_print("misbehaving\n");
    switch (kind) {
    case BAD_TRIPLE_FAULT:
        forget_interrupts();
        __asm__ volatile("ud2");
        return 1;
    case BAD_NOWHERE:
        forget_interrupts();
        __asm__ volatile("jmp *%0" : : "r"(GUEST_HOLE));
        return 1;
    case BAD_VMRUN:
        enter_guest_mode();
        return 1;
    default:
        break;
    }
    if ((kind == BAD_FLOOD || kind == BAD_MESSAGES) && !guest_enable_hypercalls(page)) {
        return 1;
    }
    irq_disable();
    for (uint32_t round = 0; guest_clock() < end; round++) {
        for (uint32_t i = 0; i < 64; i++) {
            misbehave_once(kind, round * 64 + i);
        }
    }
    guest_print("PASS misbehaved\n");
    return 0;
}

static uint8_t behave(void)
{
    uint64_t start = guest_clock();

    guest_apic_init();
    guest_set_handler(VECTOR_TIMER, on_timer);
    guest_apic_write(X86_MSR_X2APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    guest_apic_write(X86_MSR_X2APIC_LVT_TIMER, VECTOR_TIMER);
    for (uint32_t i = 0; i < TICKS; i++) {
        guest_apic_write(X86_MSR_X2APIC_TIMER_INITIAL, TIMER_COUNT);
        while (ticks <= i) {
            irq_wait();
        }
    }
    guest_check(guest_clock() - start < TICKS_LIMIT, "sibling", "%u ticks took %llu ms", TICKS,
                (unsigned long long)((guest_clock() - start) / MS));
    /* Both partitions are as old; so this one has run while the other one misbehaved, not behind that. */
    guest_check(guest_clock() < guest_option("ms", 60000) * MS, "meanwhile", "%llu ms after its creation",
                (unsigned long long)(guest_clock() / MS));
    return guest_failures();
}

uint8_t guest_main(void)
{
    return guest_option("partita.child", 0) == 0 ? misbehave((enum misbehaviour)guest_option("bad", 0)) : behave();
}
