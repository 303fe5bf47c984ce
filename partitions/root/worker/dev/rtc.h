/* SPDX-License-Identifier: MIT */
/* MC146818-like real-time clock with CMOS RAM. */
#ifndef DEV_RTC_H
#define DEV_RTC_H

#include <stdbool.h>
#include <stdint.h>

#include "partitions/root/worker/dev/ioapic.h"
#include "vmbus/host.h"

#define RTC_CMOS_BYTES    128u
/* Where the century is kept; the FADT says so. */
#define RTC_CENTURY_INDEX 0x32u

/* State of the clock. Everything is protected by the VM's lock. */
struct rtc {
    struct host_vm *host;
    struct irq_line irq;
    uint8_t index;
    uint8_t cmos[RTC_CMOS_BYTES];   /* registers and RAM; the time in it is valid only while it is being set */
    uint64_t epoch_monotonic_100ns; /* the clock showed epoch_seconds at this moment */
    int64_t epoch_seconds;          /* Unix time */
    uint64_t last_seen_second;      /* seconds since the epoch moment, when update-ended was last looked at */
    bool is_second_timer_armed;
    bool is_periodic_timer_armed;
    struct host_timer second_timer;
    struct host_timer periodic_timer;
};

/* Starts with the wall clock's time, 24-hour BCD as a PC's firmware leaves it. */
void rtc_init(struct rtc *rtc, struct host_vm *host, struct irq_line irq);

/* Cancels the timers. */
void rtc_stop(struct rtc *rtc);

/* Port handlers: index register at offset 0, data at 1. */
uint32_t rtc_read(void *device, uint16_t offset, uint32_t size_bytes);
bool rtc_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value);

#endif
