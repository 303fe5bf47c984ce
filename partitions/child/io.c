/* SPDX-License-Identifier: MIT */
/* Port instructions: all sizes, to ports with and without device, string forms with REP, both directions, count zero.
 */
#include "hv/lib/str.h"
#include "partitions/child/lib/guest.h"

#define NO_DEVICE 0x4F0u
#define SCRATCH   (GUEST_COM2 + 7)
#define POST_CODE 0x80u
#define BYTES     37u

static uint8_t buffer[BYTES + 8];

static void check_plain(void)
{
    guest_check(inb(NO_DEVICE) == 0xFF && inw(NO_DEVICE) == 0xFFFF && inl(NO_DEVICE) == 0xFFFFFFFF, "no-device-read",
                "%#x %#x %#x", inb(NO_DEVICE), inw(NO_DEVICE), inl(NO_DEVICE));
    outb(NO_DEVICE, 1);
    outw(NO_DEVICE, 2);
    outl(NO_DEVICE, 3);
    outb(SCRATCH, 0x5A);
    guest_check(inb(SCRATCH) == 0x5A, "scratch", "%#x", inb(SCRATCH));

    /* The immediate form, and a size that leaves the rest of RAX alone. */
    uint64_t value = UINT64_C(0x1122334455667788);

    __asm__ volatile("inb $0x80, %%al" : "+a"(value));
    guest_check(value >> 8 == UINT64_C(0x11223344556677), "in-keeps-rest", "RAX %#llx", (unsigned long long)value);
    value = UINT64_C(0x1122334455667788);
    __asm__ volatile("inl %%dx, %%eax" : "+a"(value) : "d"(NO_DEVICE));
    guest_check(value == 0xFFFFFFFF, "in-32-clears-top", "RAX %#llx", (unsigned long long)value);
}

static void check_out_string(void)
{
    const uint8_t *source = buffer;
    uint64_t count = BYTES;

    for (uint32_t i = 0; i < BYTES; i++) {
        buffer[i] = (uint8_t)(i * 7 + 1);
    }
    __asm__ volatile("rep outsb" : "+S"(source), "+c"(count) : "d"(SCRATCH) : "memory");
    guest_check(count == 0 && source == buffer + BYTES, "rep-outsb-registers", "RCX %llu, RSI moved by %lld",
                (unsigned long long)count, (long long)(source - buffer));
    guest_check(inb(SCRATCH) == buffer[BYTES - 1], "rep-outsb", "%#x", inb(SCRATCH));
    source = buffer + BYTES - 1;
    count = BYTES;
    __asm__ volatile("std; rep outsb; cld" : "+S"(source), "+c"(count) : "d"(SCRATCH) : "memory");
    guest_check(count == 0 && source + 1 == buffer && inb(SCRATCH) == buffer[0], "rep-outsb-down",
                "RCX %llu, RSI moved by %lld, %#x", (unsigned long long)count, (long long)(source - buffer),
                inb(SCRATCH));
    source = buffer;
    count = 5;
    __asm__ volatile("rep outsw" : "+S"(source), "+c"(count) : "d"(NO_DEVICE) : "memory");
    guest_check(source == buffer + 10, "rep-outsw", "RSI moved by %lld", (long long)(source - buffer));
    __asm__ volatile("outsl" : "+S"(source) : "d"(NO_DEVICE) : "memory");
    guest_check(source == buffer + 14, "outsl", "RSI moved by %lld", (long long)(source - buffer));
}

static void check_in_string(void)
{
    uint8_t *target = buffer;
    uint64_t count = BYTES;
    uint32_t wrong = 0;

    memset(buffer, 0, sizeof(buffer));
    outb(SCRATCH, 0xC3);
    __asm__ volatile("rep insb" : "+D"(target), "+c"(count) : "d"(SCRATCH) : "memory");
    for (uint32_t i = 0; i < sizeof(buffer); i++) {
        wrong += buffer[i] != (i < BYTES ? 0xC3 : 0) ? 1 : 0;
    }
    guest_check(wrong == 0 && count == 0 && target == buffer + BYTES, "rep-insb", "%u bytes wrong, RCX %llu", wrong,
                (unsigned long long)count);
    target = buffer;
    count = 3;
    memset(buffer, 0, sizeof(buffer));
    __asm__ volatile("rep insl" : "+D"(target), "+c"(count) : "d"(NO_DEVICE) : "memory");
    guest_check(buffer[11] == 0xFF && buffer[12] == 0 && target == buffer + 12, "rep-insl", "%#x %#x", buffer[11],
                buffer[12]);
    target = buffer;
    count = 0;
    __asm__ volatile("rep insb" : "+D"(target), "+c"(count) : "d"(SCRATCH) : "memory");
    guest_check(target == buffer && count == 0, "rep-count-zero", "RDI moved by %lld", (long long)(target - buffer));
}

uint8_t guest_main(void)
{
    check_plain();
    check_out_string();
    check_in_string();
    return guest_failures();
}
