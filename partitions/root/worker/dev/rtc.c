/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock (Motorola MC146818A data sheet; PC: index at port 0x70,
 * data at 0x71, interrupt 8). The time is computed when it is read: seconds of
 * the wall clock at start plus the monotonic clock since. What a guest sets is
 * its own and moves nothing outside.
 *
 * Update-ended and alarm are watched by a timer only while one of their
 * interrupts is enabled; the periodic interrupt waits for the guest to read
 * register C, so that a guest which does not look costs nothing.
 */
#include "partitions/root/worker/dev/rtc.h"

#define PORT_INDEX 0u

#define REGISTER_SECONDS       0u
#define REGISTER_SECONDS_ALARM 1u
#define REGISTER_MINUTES       2u
#define REGISTER_MINUTES_ALARM 3u
#define REGISTER_HOURS         4u
#define REGISTER_HOURS_ALARM   5u
#define REGISTER_WEEKDAY       6u
#define REGISTER_DAY           7u
#define REGISTER_MONTH         8u
#define REGISTER_YEAR          9u
#define REGISTER_A             10u
#define REGISTER_B             11u
#define REGISTER_C             12u
#define REGISTER_D             13u

#define INDEX_MASK 0x7Fu

#define A_UPDATE_IN_PROGRESS 0x80u
#define A_DIVIDER            0x70u
#define A_DIVIDER_RUNNING    0x20u
#define A_RATE               0x0Fu
#define A_RATE_1024_HZ       0x06u

#define B_SET          0x80u
#define B_PERIODIC     0x40u
#define B_ALARM        0x20u
#define B_UPDATE_ENDED 0x10u
#define B_BINARY       0x04u
#define B_24_HOURS     0x02u

#define C_INTERRUPT    0x80u
#define C_PERIODIC     B_PERIODIC
#define C_ALARM        B_ALARM
#define C_UPDATE_ENDED B_UPDATE_ENDED

#define D_VALID 0x80u

#define HOURS_PM               0x80u
/* An alarm register with both of these bits matches everything. */
#define ALARM_ANY              0xC0u
/* So many seconds that nobody looked at are still compared with the alarm. */
#define ALARM_CATCH_UP_SECONDS 60u

#define SECOND_100NS         UINT64_C(10000000)
/* The update-in-progress flag is up for this long before each second. */
#define UPDATE_WARNING_100NS UINT64_C(2440)
/* Periodic rates divide this frequency by a power of two. */
#define BASE_HZ              32768u

/* A moment as the registers show it, in plain binary numbers. */
struct civil_time {
    int64_t year;
    uint32_t month; /* 1 to 12 */
    uint32_t day;   /* 1 to 31 */
    uint32_t hour;
    uint32_t minute;
    uint32_t second;
    uint32_t weekday; /* 1 is Sunday */
};

#define SECONDS_PER_DAY         86400
#define DAYS_PER_ERA            146097
#define DAYS_0000_03_01_TO_1970 719468

/* Days from 1970-01-01 to a date of the Gregorian calendar; years begin in March here, so leap days come last. */
static int64_t days_from_date(int64_t year, uint32_t month, uint32_t day)
{
    int64_t shifted_year = month <= 2 ? year - 1 : year;
    int64_t era = (shifted_year >= 0 ? shifted_year : shifted_year - 399) / 400;
    int64_t year_of_era = shifted_year - era * 400;
    int64_t shifted_month = (int64_t)(month + 9u) % 12;
    int64_t day_of_year = (153 * shifted_month + 2) / 5 + (int64_t)day - 1;

    return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           DAYS_0000_03_01_TO_1970;
}

/* The inverse of days_from_date, with the time of day. */
static void civil_from_seconds(int64_t seconds, struct civil_time *time)
{
    int64_t day_number = seconds / SECONDS_PER_DAY - (seconds % SECONDS_PER_DAY < 0 ? 1 : 0);
    uint32_t second_of_day = (uint32_t)(seconds - day_number * SECONDS_PER_DAY);
    int64_t days = day_number + DAYS_0000_03_01_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    /* 1970-01-01 was a Thursday, the fifth day of a week that begins with Sunday. */
    int64_t weekday = (day_number + 4) % 7;

    time->day = (uint32_t)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    time->month = (uint32_t)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    time->year = year_of_era + era * 400 + (time->month <= 2 ? 1 : 0);
    time->hour = second_of_day / 3600u;
    time->minute = second_of_day / 60u % 60u;
    time->second = second_of_day % 60u;
    time->weekday = (uint32_t)(weekday < 0 ? weekday + 7 : weekday) + 1u;
}

static bool is_setting(const struct rtc *rtc)
{
    return (rtc->cmos[REGISTER_B] & B_SET) != 0;
}

/* The clock counts: nobody is setting it, and its divider is not held. */
static bool is_running(const struct rtc *rtc)
{
    return !is_setting(rtc) && (rtc->cmos[REGISTER_A] & A_DIVIDER) == A_DIVIDER_RUNNING;
}

static uint64_t elapsed_100ns(const struct rtc *rtc)
{
    return host_monotonic_100ns() - rtc->epoch_monotonic_100ns;
}

static int64_t current_seconds(const struct rtc *rtc)
{
    return rtc->epoch_seconds + (int64_t)(elapsed_100ns(rtc) / SECOND_100NS);
}

static uint8_t encode(const struct rtc *rtc, uint32_t value)
{
    if ((rtc->cmos[REGISTER_B] & B_BINARY) != 0) {
        return (uint8_t)value;
    }
    return (uint8_t)(((value / 10u) << 4) | value % 10u);
}

static uint32_t decode(const struct rtc *rtc, uint8_t value)
{
    if ((rtc->cmos[REGISTER_B] & B_BINARY) != 0) {
        return value;
    }
    return (value >> 4) * 10u + (value & 0xFu);
}

static uint8_t encode_hour(const struct rtc *rtc, uint32_t hour)
{
    if ((rtc->cmos[REGISTER_B] & B_24_HOURS) != 0) {
        return encode(rtc, hour);
    }

    uint32_t hour12 = hour % 12u == 0 ? 12u : hour % 12u;

    return (uint8_t)(encode(rtc, hour12) | (hour >= 12 ? HOURS_PM : 0u));
}

static uint32_t decode_hour(const struct rtc *rtc, uint8_t value)
{
    if ((rtc->cmos[REGISTER_B] & B_24_HOURS) != 0) {
        return decode(rtc, value);
    }

    uint32_t hour12 = decode(rtc, value & (uint8_t)~HOURS_PM) % 12u;

    return hour12 + ((value & HOURS_PM) != 0 ? 12u : 0u);
}

/* Writes a time into the registers. */
static void store_seconds(struct rtc *rtc, int64_t seconds)
{
    struct civil_time time;

    civil_from_seconds(seconds, &time);
    rtc->cmos[REGISTER_SECONDS] = encode(rtc, time.second);
    rtc->cmos[REGISTER_MINUTES] = encode(rtc, time.minute);
    rtc->cmos[REGISTER_HOURS] = encode_hour(rtc, time.hour);
    rtc->cmos[REGISTER_WEEKDAY] = encode(rtc, time.weekday);
    rtc->cmos[REGISTER_DAY] = encode(rtc, time.day);
    rtc->cmos[REGISTER_MONTH] = encode(rtc, time.month);
    rtc->cmos[REGISTER_YEAR] = encode(rtc, (uint32_t)(time.year % 100));
    rtc->cmos[RTC_CENTURY_INDEX] = encode(rtc, (uint32_t)(time.year / 100 % 100));
}

/* Writes the current time into the registers. */
static void store_time(struct rtc *rtc)
{
    store_seconds(rtc, current_seconds(rtc));
}

/* Makes the time in the registers the current one. Numbers that are no date are taken to the nearest one. */
static void load_time(struct rtc *rtc)
{
    uint32_t month = decode(rtc, rtc->cmos[REGISTER_MONTH]);
    uint32_t day = decode(rtc, rtc->cmos[REGISTER_DAY]);
    uint32_t hour = decode_hour(rtc, rtc->cmos[REGISTER_HOURS]);
    uint32_t minute = decode(rtc, rtc->cmos[REGISTER_MINUTES]);
    uint32_t second = decode(rtc, rtc->cmos[REGISTER_SECONDS]);
    int64_t year = (int64_t)decode(rtc, rtc->cmos[RTC_CENTURY_INDEX]) * 100 + decode(rtc, rtc->cmos[REGISTER_YEAR]);

    month = MIN(MAX(month, 1u), 12u);
    day = MIN(MAX(day, 1u), 31u);
    rtc->epoch_seconds = days_from_date(year, month, day) * SECONDS_PER_DAY + (int64_t)MIN(hour, 23u) * 3600 +
                         (int64_t)MIN(minute, 59u) * 60 + (int64_t)MIN(second, 59u);
    rtc->epoch_monotonic_100ns = host_monotonic_100ns();
    rtc->last_seen_second = 0;
}

/* Sets the interrupt line as registers B and C want it. */
static void update_irq(struct rtc *rtc)
{
    uint8_t causes = rtc->cmos[REGISTER_C] & rtc->cmos[REGISTER_B] & (C_PERIODIC | C_ALARM | C_UPDATE_ENDED);

    if (causes != 0) {
        rtc->cmos[REGISTER_C] |= C_INTERRUPT;
    } else {
        rtc->cmos[REGISTER_C] &= (uint8_t)~C_INTERRUPT;
    }
    ioapic_set_line(&rtc->irq, causes != 0);
}

static bool field_matches(const struct rtc *rtc, uint32_t alarm_index, uint32_t time_index)
{
    uint8_t alarm = rtc->cmos[alarm_index];

    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == rtc->cmos[time_index];
}

/* The time in the registers is that of the alarm. */
static bool alarm_matches(const struct rtc *rtc)
{
    return field_matches(rtc, REGISTER_SECONDS_ALARM, REGISTER_SECONDS) &&
           field_matches(rtc, REGISTER_MINUTES_ALARM, REGISTER_MINUTES) &&
           field_matches(rtc, REGISTER_HOURS_ALARM, REGISTER_HOURS);
}

/* Notices seconds that have passed since it last looked; a late timer must not miss an alarm. */
static void check_seconds(struct rtc *rtc)
{
    uint64_t now = elapsed_100ns(rtc) / SECOND_100NS;
    uint64_t second = rtc->last_seen_second;

    if (!is_running(rtc) || now <= second) {
        return;
    }
    rtc->last_seen_second = now;
    rtc->cmos[REGISTER_C] |= C_UPDATE_ENDED;
    if (now - second > ALARM_CATCH_UP_SECONDS) {
        second = now - ALARM_CATCH_UP_SECONDS;
    }
    while (second < now) {
        second++;
        store_seconds(rtc, rtc->epoch_seconds + (int64_t)second);
        if (alarm_matches(rtc)) {
            rtc->cmos[REGISTER_C] |= C_ALARM;
        }
    }
}

/* Arms the timer for the next second if an interrupt can come of it. */
static void update_second_timer(struct rtc *rtc)
{
    bool is_wanted = is_running(rtc) && (rtc->cmos[REGISTER_B] & (B_ALARM | B_UPDATE_ENDED)) != 0;

    if (is_wanted && !rtc->is_second_timer_armed) {
        uint64_t next_second = elapsed_100ns(rtc) / SECOND_100NS + 1;

        host_timer_arm(&rtc->second_timer, rtc->epoch_monotonic_100ns + next_second * SECOND_100NS);
    } else if (!is_wanted && rtc->is_second_timer_armed) {
        host_timer_cancel(&rtc->second_timer);
    }
    rtc->is_second_timer_armed = is_wanted;
}

/* Units of 100 ns between periodic interrupts; 0 when the rate is off. */
static uint64_t periodic_100ns(const struct rtc *rtc)
{
    uint32_t rate = rtc->cmos[REGISTER_A] & A_RATE;

    if (rate == 0) {
        return 0;
    }
    /* The two highest rates are those of 8 and 9 with this time base. */
    rate = rate <= 2 ? rate + 7u : rate;
    return (SECOND_100NS << (rate - 1u)) / BASE_HZ;
}

/* Arms the periodic timer if the guest has seen the last period. */
static void update_periodic_timer(struct rtc *rtc)
{
    uint64_t period = periodic_100ns(rtc);
    bool is_wanted =
        period != 0 && (rtc->cmos[REGISTER_B] & B_PERIODIC) != 0 && (rtc->cmos[REGISTER_C] & C_PERIODIC) == 0;

    if (is_wanted && !rtc->is_periodic_timer_armed) {
        host_timer_arm(&rtc->periodic_timer, host_monotonic_100ns() + period);
    } else if (!is_wanted && rtc->is_periodic_timer_armed) {
        host_timer_cancel(&rtc->periodic_timer);
    }
    rtc->is_periodic_timer_armed = is_wanted;
}

static void second_expired(struct host_timer *timer)
{
    struct rtc *rtc = CONTAINER_OF(timer, struct rtc, second_timer);

    host_vm_lock(rtc->host);
    if (rtc->is_second_timer_armed) {
        rtc->is_second_timer_armed = false;
        check_seconds(rtc);
        update_irq(rtc);
        update_second_timer(rtc);
    }
    host_vm_unlock(rtc->host);
}

static void periodic_expired(struct host_timer *timer)
{
    struct rtc *rtc = CONTAINER_OF(timer, struct rtc, periodic_timer);

    host_vm_lock(rtc->host);
    if (rtc->is_periodic_timer_armed) {
        rtc->is_periodic_timer_armed = false;
        rtc->cmos[REGISTER_C] |= C_PERIODIC;
        update_irq(rtc);
    }
    host_vm_unlock(rtc->host);
}

static bool is_time_register(uint8_t index)
{
    return index == REGISTER_SECONDS || index == REGISTER_MINUTES || index == REGISTER_HOURS ||
           (index >= REGISTER_WEEKDAY && index <= REGISTER_YEAR) || index == RTC_CENTURY_INDEX;
}

static uint8_t read_register_a(const struct rtc *rtc)
{
    uint8_t value = rtc->cmos[REGISTER_A] & (uint8_t)~A_UPDATE_IN_PROGRESS;

    if (is_running(rtc) && elapsed_100ns(rtc) % SECOND_100NS >= SECOND_100NS - UPDATE_WARNING_100NS) {
        value |= A_UPDATE_IN_PROGRESS;
    }
    return value;
}

static uint8_t read_register_c(struct rtc *rtc)
{
    check_seconds(rtc);
    update_irq(rtc);

    uint8_t value = rtc->cmos[REGISTER_C];

    rtc->cmos[REGISTER_C] = 0;
    update_irq(rtc);
    update_periodic_timer(rtc);
    return value;
}

uint32_t rtc_read(void *device, uint16_t offset, uint32_t size_bytes)
{
    struct rtc *rtc = device;

    (void)size_bytes;
    if (offset == PORT_INDEX) {
        /* The index is write-only on a PC. */
        return 0xFF;
    }
    if (rtc->index == REGISTER_A) {
        return read_register_a(rtc);
    }
    if (rtc->index == REGISTER_C) {
        return read_register_c(rtc);
    }
    if (rtc->index == REGISTER_D) {
        return D_VALID;
    }
    if (is_time_register(rtc->index) && is_running(rtc)) {
        store_time(rtc);
    }
    return rtc->cmos[rtc->index];
}

static void cancel_second_timer(struct rtc *rtc)
{
    host_timer_cancel(&rtc->second_timer);
    rtc->is_second_timer_armed = false;
}

/* A or B change; the time stands still in its registers while either of them holds the clock. */
static void write_control(struct rtc *rtc, uint8_t index, uint8_t value)
{
    bool was_running = is_running(rtc);

    if (was_running) {
        check_seconds(rtc);
        store_time(rtc);
    }
    rtc->cmos[index] = index == REGISTER_A ? value & (uint8_t)~A_UPDATE_IN_PROGRESS : value;
    if (!was_running && is_running(rtc)) {
        load_time(rtc);
    }
    if (was_running != is_running(rtc)) {
        /* The second that the timer waits for is no longer one of the clock's. */
        cancel_second_timer(rtc);
    }
    if (index == REGISTER_A && rtc->is_periodic_timer_armed) {
        host_timer_cancel(&rtc->periodic_timer);
        rtc->is_periodic_timer_armed = false;
    }
    update_irq(rtc);
    update_second_timer(rtc);
    update_periodic_timer(rtc);
}

bool rtc_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value)
{
    struct rtc *rtc = device;
    uint8_t byte = (uint8_t)value;

    (void)size_bytes;
    if (offset == PORT_INDEX) {
        rtc->index = byte & INDEX_MASK;
        return true;
    }
    if (rtc->index == REGISTER_A || rtc->index == REGISTER_B) {
        write_control(rtc, rtc->index, byte);
    } else if (is_time_register(rtc->index) && is_running(rtc)) {
        store_time(rtc);
        rtc->cmos[rtc->index] = byte;
        load_time(rtc);
        cancel_second_timer(rtc);
        update_second_timer(rtc);
    } else if (rtc->index != REGISTER_C && rtc->index != REGISTER_D) {
        rtc->cmos[rtc->index] = byte;
    }
    return true;
}

void rtc_stop(struct rtc *rtc)
{
    host_timer_cancel(&rtc->second_timer);
    host_timer_cancel(&rtc->periodic_timer);
    rtc->is_second_timer_armed = false;
    rtc->is_periodic_timer_armed = false;
}

void rtc_init(struct rtc *rtc, struct host_vm *host, struct irq_line irq)
{
    *rtc = (struct rtc){.host = host, .irq = irq};
    rtc->epoch_seconds = host_wall_clock_seconds();
    rtc->epoch_monotonic_100ns = host_monotonic_100ns();
    rtc->cmos[REGISTER_A] = A_DIVIDER_RUNNING | A_RATE_1024_HZ;
    rtc->cmos[REGISTER_B] = B_24_HOURS;
    host_timer_init(&rtc->second_timer, host, second_expired);
    host_timer_init(&rtc->periodic_timer, host, periodic_expired);
}
