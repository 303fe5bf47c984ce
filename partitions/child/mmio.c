/* SPDX-License-Identifier: MIT */
/* Memory that is no RAM: holes read as all ones and swallow writes, whatever instruction touches them; a device
 * answers. */
#include "hv/lib/str.h"
#include "partitions/child/lib/guest.h"

#define IOAPIC             UINT64_C(0xFEC00000)
#define IOAPIC_WINDOW      0x10u
#define IOAPIC_ID          0u
#define IOAPIC_VERSION     1u
#define IOAPIC_REDIRECTION 0x10u

static uint8_t buffer[64];

static void check_sizes(void)
{
    volatile uint8_t *hole = (volatile uint8_t *)GUEST_HOLE;
    uint64_t value = 0;

    guest_check(*hole == 0xFF && *(volatile uint16_t *)(hole + 2) == 0xFFFF &&
                    *(volatile uint32_t *)(hole + 4) == 0xFFFFFFFF && *(volatile uint64_t *)(hole + 8) == UINT64_MAX,
                "hole-reads", "not all ones");
    *hole = 1;
    *(volatile uint16_t *)(hole + 2) = 2;
    *(volatile uint32_t *)(hole + 4) = 3;
    *(volatile uint64_t *)(hole + 8) = 4;
    guest_check(*hole == 0xFF, "hole-writes", "a write was kept");
    __asm__ volatile("movzbl (%1), %k0" : "=r"(value) : "r"(hole));
    guest_check(value == 0xFF, "movzx", "%#llx", (unsigned long long)value);
    __asm__ volatile("movswq (%1), %0" : "=r"(value) : "r"(hole));
    guest_check(value == UINT64_MAX, "movsx", "%#llx", (unsigned long long)value);
    __asm__ volatile("movslq (%1), %0" : "=r"(value) : "r"(hole));
    guest_check(value == UINT64_MAX, "movsxd", "%#llx", (unsigned long long)value);
    __asm__ volatile("movb (%1), %%ah; movzbl %%ah, %%eax" : "=a"(value) : "c"(hole), "0"(0));
    guest_check(value == 0xFF, "high-byte-register", "%#llx", (unsigned long long)value);
    __asm__ volatile("movl $0x12345678, (%0)" : : "r"(hole) : "memory");
    __asm__ volatile("movl %%fs:0x10(%1,%2,4), %k0" : "=r"(value) : "r"(hole), "r"(UINT64_C(3)));
    guest_check(value == 0xFFFFFFFF, "address-forms", "%#llx", (unsigned long long)value);
}

static void check_strings(void)
{
    uint8_t *target = buffer;
    const uint8_t *source = (const uint8_t *)GUEST_HOLE;
    uint64_t count = 20;
    uint32_t wrong = 0;

    memset(buffer, 0, sizeof(buffer));
    __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
    for (uint32_t i = 0; i < sizeof(buffer); i++) {
        wrong += buffer[i] != (i < 20 ? 0xFF : 0) ? 1 : 0;
    }
    guest_check(wrong == 0 && count == 0, "movs-from-hole", "%u bytes wrong, RCX %llu", wrong,
                (unsigned long long)count);
    target = (uint8_t *)GUEST_HOLE;
    source = buffer;
    count = 4;
    __asm__ volatile("rep movsq" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
    guest_check(count == 0 && target == (uint8_t *)GUEST_HOLE + 32 && source == buffer + 32, "movs-to-hole", "RCX %llu",
                (unsigned long long)count);
    count = 16;
    __asm__ volatile("rep stosl" : "+D"(target), "+c"(count) : "a"(7) : "memory");
    guest_check(count == 0 && target == (uint8_t *)GUEST_HOLE + 96, "stos", "RCX %llu", (unsigned long long)count);
    source = (const uint8_t *)GUEST_HOLE;
    __asm__ volatile("lodsb" : "+S"(source), "=a"(count));
    guest_check((count & 0xFF) == 0xFF && source == (const uint8_t *)GUEST_HOLE + 1, "lods", "AL %#x",
                (unsigned)(count & 0xFF));
}

static void check_arithmetic(void)
{
    uint64_t value = 0x0F;
    uint8_t is_equal;

    __asm__ volatile("andl (%1), %k0" : "+r"(value) : "r"(GUEST_HOLE) : "cc");
    guest_check(value == 0x0F, "and", "%#llx", (unsigned long long)value);
    __asm__ volatile("cmpl $-1, (%1); sete %0" : "=r"(is_equal) : "r"(GUEST_HOLE) : "cc");
    guest_check(is_equal == 1, "cmp", "not equal");
    __asm__ volatile("testb $0x80, (%1); setnz %0" : "=r"(is_equal) : "r"(GUEST_HOLE) : "cc");
    guest_check(is_equal == 1, "test", "bit clear");
    __asm__ volatile("orl $1, (%0)" : : "r"(GUEST_HOLE) : "cc", "memory");
    value = 5;
    __asm__ volatile("xchgl %k0, (%1)" : "+r"(value) : "r"(GUEST_HOLE) : "memory");
    guest_check(value == 0xFFFFFFFF, "xchg", "%#llx", (unsigned long long)value);
}

static uint32_t ioapic_read(uint32_t index)
{
    *(volatile uint32_t *)IOAPIC = index;
    return *(volatile uint32_t *)(IOAPIC + IOAPIC_WINDOW);
}

static void ioapic_write(uint32_t index, uint32_t value)
{
    *(volatile uint32_t *)IOAPIC = index;
    *(volatile uint32_t *)(IOAPIC + IOAPIC_WINDOW) = value;
}

static void check_device(void)
{
    uint32_t version = ioapic_read(IOAPIC_VERSION);

    guest_check((version & 0xFF) >= 0x11 && (version >> 16 & 0xFF) == 23, "ioapic-version", "%#x", version);
    ioapic_write(IOAPIC_REDIRECTION + 2 * 5 + 1, 0);
    ioapic_write(IOAPIC_REDIRECTION + 2 * 5, 0x10055);
    guest_check(ioapic_read(IOAPIC_REDIRECTION + 2 * 5) == 0x10055, "ioapic-entry", "%#x",
                ioapic_read(IOAPIC_REDIRECTION + 2 * 5));
}

uint8_t guest_main(void)
{
    check_sizes();
    check_strings();
    check_arithmetic();
    check_device();
    return guest_failures();
}
