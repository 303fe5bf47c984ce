/* SPDX-License-Identifier: MIT */
/* The real-time clock: formats, setting, and its three interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "partitions/root/worker/dev/rtc.h"
#include "tests/unit/fake_host.h"

#define SECOND 10000000u
#define VECTOR 0x38

/* A clock with its IO-APIC, pin 8 programmed as an edge. */
struct bench {
    struct host_vm *host;
    struct worker_counters counters;
    struct ioapic ioapic;
    struct rtc rtc;
};

static uint32_t get(struct bench *bench, uint8_t index)
{
    assert_true(rtc_write(&bench->rtc, 0, 1, index));
    return rtc_read(&bench->rtc, 1, 1);
}

static void set(struct bench *bench, uint8_t index, uint8_t value)
{
    assert_true(rtc_write(&bench->rtc, 0, 1, index));
    assert_true(rtc_write(&bench->rtc, 1, 1, value));
}

static void start_at(struct bench *bench, int64_t seconds)
{
    fake_wall_seconds = seconds;
    rtc_init(&bench->rtc, bench->host, (struct irq_line){.ioapic = &bench->ioapic, .pin = 8});
}

static int setup(void **state)
{
    static struct bench bench;

    memset(&bench, 0, sizeof(bench));
    bench.host = fake_host_create(4096);
    ioapic_init(&bench.ioapic, bench.host, &bench.counters);
    ioapic_write(&bench.ioapic, 0x00, 4, 0x10 + 2 * 8);
    ioapic_write(&bench.ioapic, 0x10, 4, VECTOR);
    /* 2024-02-29 23:59:58, a Thursday. */
    start_at(&bench, 1709251198);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    rtc_stop(&bench->rtc);
    assert_int_equal(fake_host_armed_timers(bench->host), 0);
    fake_host_destroy(bench->host);
    return 0;
}

static void test_bcd_time(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(get(bench, 0x0B), 0x02);
    assert_int_equal(get(bench, 0x0A), 0x26);
    assert_int_equal(get(bench, 0x0D), 0x80);
    assert_int_equal(get(bench, 0), 0x58);
    assert_int_equal(get(bench, 2), 0x59);
    assert_int_equal(get(bench, 4), 0x23);
    assert_int_equal(get(bench, 6), 5);
    assert_int_equal(get(bench, 7), 0x29);
    assert_int_equal(get(bench, 8), 0x02);
    assert_int_equal(get(bench, 9), 0x24);
    assert_int_equal(get(bench, RTC_CENTURY_INDEX), 0x20);
    fake_host_advance(bench->host, 2 * SECOND);
    assert_int_equal(get(bench, 0), 0);
    assert_int_equal(get(bench, 4), 0);
    assert_int_equal(get(bench, 6), 6);
    assert_int_equal(get(bench, 7), 1);
    assert_int_equal(get(bench, 8), 3);
    assert_int_equal(rtc_read(&bench->rtc, 0, 1), 0xFF);
}

static void test_binary_and_12_hours(void **state)
{
    struct bench *bench = *state;

    set(bench, 0x0B, 0x06);
    assert_int_equal(get(bench, 2), 59);
    assert_int_equal(get(bench, 4), 23);
    assert_int_equal(get(bench, RTC_CENTURY_INDEX), 20);
    set(bench, 0x0B, 0x04);
    assert_int_equal(get(bench, 4), 0x80 | 11);
    set(bench, 0x0B, 0x00);
    assert_int_equal(get(bench, 4), 0x80 | 0x11);
    fake_host_advance(bench->host, 2 * SECOND);
    assert_int_equal(get(bench, 4), 0x12);
}

/* The clock against the C library, over centuries and leap years. */
static void test_dates(void **state)
{
    struct bench *bench = *state;

    for (int64_t seconds = -2208988800; seconds < 7258118400; seconds += 8640000 + 12345) {
        time_t clock = (time_t)seconds;
        struct tm date;

        assert_non_null(gmtime_r(&clock, &date));
        start_at(bench, seconds);
        set(bench, 0x0B, 0x06);
        assert_int_equal(get(bench, 0), date.tm_sec);
        assert_int_equal(get(bench, 2), date.tm_min);
        assert_int_equal(get(bench, 4), date.tm_hour);
        assert_int_equal(get(bench, 6), date.tm_wday + 1);
        assert_int_equal(get(bench, 7), date.tm_mday);
        assert_int_equal(get(bench, 8), date.tm_mon + 1);
        assert_int_equal(get(bench, RTC_CENTURY_INDEX) * 100 + get(bench, 9), date.tm_year + 1900);
        /* Setting what it shows changes nothing. */
        set(bench, 0x0B, 0x86);
        set(bench, 0x0B, 0x06);
        assert_int_equal(get(bench, 0), date.tm_sec);
        assert_int_equal(get(bench, 4), date.tm_hour);
        assert_int_equal(get(bench, 6), date.tm_wday + 1);
        assert_int_equal(get(bench, 7), date.tm_mday);
        assert_int_equal(get(bench, RTC_CENTURY_INDEX) * 100 + get(bench, 9), date.tm_year + 1900);
    }
}

static void test_setting(void **state)
{
    struct bench *bench = *state;

    set(bench, 0x0B, 0x82);
    /* It stands still meanwhile. */
    fake_host_advance(bench->host, 5 * SECOND);
    assert_int_equal(get(bench, 0), 0x58);
    assert_int_equal(get(bench, 0x0A) & 0x80, 0);
    set(bench, 9, 0x31);
    set(bench, 8, 0x12);
    set(bench, 7, 0x31);
    set(bench, 4, 0x06);
    set(bench, 2, 0x07);
    set(bench, 0, 0x08);
    set(bench, 0x0B, 0x02);
    fake_host_advance(bench->host, 1 * SECOND);
    assert_int_equal(get(bench, 0), 0x09);
    assert_int_equal(get(bench, 2), 0x07);
    assert_int_equal(get(bench, 4), 0x06);
    assert_int_equal(get(bench, 7), 0x31);
    assert_int_equal(get(bench, 8), 0x12);
    assert_int_equal(get(bench, 9), 0x31);
    /* 2031-12-31 was a Wednesday. */
    assert_int_equal(get(bench, 6), 4);
    /* A running clock can be set as well. */
    set(bench, 2, 0x30);
    assert_int_equal(get(bench, 2), 0x30);
    assert_int_equal(get(bench, 0), 0x09);
}

/* Numbers that are no time at all must not upset anything. */
static void test_setting_nonsense(void **state)
{
    struct bench *bench = *state;

    for (uint32_t mode = 0; mode < 8; mode += 2) {
        for (uint32_t value = 0; value < 256; value += 5) {
            set(bench, 0x0B, 0x80 | (uint8_t)mode);
            for (uint8_t index = 0; index < 10; index++) {
                set(bench, index, (uint8_t)value);
            }
            set(bench, RTC_CENTURY_INDEX, (uint8_t)value);
            set(bench, 0x0B, (uint8_t)mode);
            assert_in_range(get(bench, 8), 1, 0x12);
        }
    }
}

static void test_ram(void **state)
{
    struct bench *bench = *state;

    for (uint8_t index = 0x0E; index < 0x80; index++) {
        if (index != RTC_CENTURY_INDEX) {
            set(bench, index, index ^ 0x5A);
        }
    }
    for (uint8_t index = 0x0E; index < 0x80; index++) {
        if (index != RTC_CENTURY_INDEX) {
            assert_int_equal(get(bench, index), index ^ 0x5A);
        }
    }
    /* The highest bit of the index masks NMIs. */
    assert_int_equal(get(bench, 0x80 | 0x0E), 0x0E ^ 0x5A);
    /* Read-only registers. */
    set(bench, 0x0C, 0xFF);
    set(bench, 0x0D, 0x00);
    assert_int_equal(get(bench, 0x0C), 0);
    assert_int_equal(get(bench, 0x0D), 0x80);
}

static void test_update_in_progress(void **state)
{
    struct bench *bench = *state;

    assert_int_equal(get(bench, 0x0A), 0x26);
    fake_host_advance(bench->host, SECOND - 2000);
    assert_int_equal(get(bench, 0x0A), 0xA6);
    assert_int_equal(get(bench, 0), 0x58);
    fake_host_advance(bench->host, 2000);
    assert_int_equal(get(bench, 0x0A), 0x26);
    assert_int_equal(get(bench, 0), 0x59);
    /* A held divider stops the clock. */
    set(bench, 0x0A, 0x76);
    fake_host_advance(bench->host, 3 * SECOND - 1000);
    assert_int_equal(get(bench, 0x0A), 0x76);
    assert_int_equal(get(bench, 0), 0x59);
}

static void test_update_interrupt(void **state)
{
    struct bench *bench = *state;

    /* No alarm at midnight, which is near. */
    set(bench, 5, 0x05);
    /* Polled without interrupts: the flag alone, and no timer. */
    assert_int_equal(get(bench, 0x0C), 0);
    fake_host_advance(bench->host, SECOND);
    assert_int_equal(fake_host_armed_timers(bench->host), 0);
    assert_int_equal(get(bench, 0x0C), 0x10);
    assert_int_equal(get(bench, 0x0C), 0);
    set(bench, 0x0B, 0x12);
    assert_int_equal(fake_host_armed_timers(bench->host), 1);
    fake_host_advance(bench->host, SECOND);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_int_equal(bench->host->interrupts[0].vector, VECTOR);
    /* Not read yet: the line stays up, no second edge. */
    fake_host_advance(bench->host, 3 * SECOND);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_int_equal(get(bench, 0x0C), 0x90);
    fake_host_advance(bench->host, SECOND);
    assert_int_equal(bench->host->interrupt_count, 2);
    set(bench, 0x0B, 0x02);
    assert_int_equal(fake_host_armed_timers(bench->host), 0);
}

static void test_alarm(void **state)
{
    struct bench *bench = *state;

    /* 23:59:58 now; at any hour, any minute, second 1. */
    set(bench, 1, 0x01);
    set(bench, 3, 0xC0);
    set(bench, 5, 0xFF);
    set(bench, 0x0B, 0x22);
    fake_host_advance(bench->host, 2 * SECOND);
    assert_int_equal(bench->host->interrupt_count, 0);
    fake_host_advance(bench->host, SECOND);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_int_equal(get(bench, 0x0C), 0xB0);
    fake_host_advance(bench->host, 59 * SECOND);
    assert_int_equal(bench->host->interrupt_count, 1);
    /* The timer comes late: the alarm is found all the same. */
    fake_now_100ns += 10 * SECOND;
    fake_host_advance(bench->host, 0);
    assert_int_equal(bench->host->interrupt_count, 2);
    assert_int_equal(get(bench, 0x0C), 0xB0);
    /* A day later than anybody looked: bounded work. */
    fake_now_100ns += (uint64_t)86400 * SECOND;
    fake_host_advance(bench->host, 0);
    assert_int_equal(get(bench, 0x0C) & 0x10, 0x10);
}

static void test_periodic(void **state)
{
    struct bench *bench = *state;

    /* 1024 Hz. */
    set(bench, 0x0B, 0x42);
    fake_host_advance(bench->host, 9765);
    assert_int_equal(bench->host->interrupt_count, 1);
    /* It waits for the guest. */
    assert_int_equal(fake_host_armed_timers(bench->host), 0);
    fake_host_advance(bench->host, SECOND / 2);
    assert_int_equal(bench->host->interrupt_count, 1);
    assert_int_equal(get(bench, 0x0C), 0xC0);
    fake_host_advance(bench->host, 9765);
    assert_int_equal(bench->host->interrupt_count, 2);
    assert_int_equal(get(bench, 0x0C), 0xC0);
    /* 2 Hz. */
    set(bench, 0x0A, 0x2F);
    fake_host_advance(bench->host, SECOND / 2 - 1);
    assert_int_equal(bench->host->interrupt_count, 2);
    fake_host_advance(bench->host, 1);
    assert_int_equal(bench->host->interrupt_count, 3);
    (void)get(bench, 0x0C);
    /* Off by the rate, and off by the bit. */
    set(bench, 0x0A, 0x20);
    assert_int_equal(fake_host_armed_timers(bench->host), 0);
    set(bench, 0x0A, 0x21);
    assert_int_equal(fake_host_armed_timers(bench->host), 1);
    set(bench, 0x0B, 0x02);
    assert_int_equal(fake_host_armed_timers(bench->host), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bcd_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_binary_and_12_hours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_setting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_setting_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update_in_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alarm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_periodic, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
