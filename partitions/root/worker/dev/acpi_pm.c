/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware (ACPI specification, ACPI Hardware Specification, Fixed
 * Hardware Features): power button, S5, 32-bit PM timer at 3.579545 MHz. There
 * is no SMI port and no legacy mode, so SCI_EN always reads as one. The reset
 * register is the one of PC chip sets at port 0xCF9.
 */
#include "partitions/root/worker/dev/acpi_pm.h"

#include "partitions/root/worker/vm.h"

/* Byte offsets in the block. */
#define OFFSET_STATUS  0u
#define OFFSET_ENABLE  2u
#define OFFSET_CONTROL 4u
#define OFFSET_TIMER   8u

/* PM1 status and enable. */
#define PM1_TIMER        0x0001u
#define PM1_GLOBAL       0x0020u
#define PM1_POWER_BUTTON 0x0100u
/* Never set, but drivers expect its enable bit to stick. */
#define PM1_RTC          0x0400u
#define PM1_ENABLE_ALL   (PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC)

/* PM1 control. */
#define CONTROL_SCI_ENABLE       0x0001u
#define CONTROL_SLEEP_TYPE_SHIFT 10
#define CONTROL_SLEEP_TYPE_MASK  7u
#define CONTROL_SLEEP_ENABLE     0x2000u
/* Bus-master reload and the sleep type are kept; the rest is write-only or reserved. */
#define CONTROL_KEPT             0x1C02u

#define TIMER_HZ         UINT64_C(3579545)
#define SECOND_100NS     UINT64_C(10000000)
/* The timer's status is set whenever this bit of the count changes. */
#define TIMER_HALF_SHIFT 31

#define RESET_CPU 0x04u

/* Ticks of the PM timer since it was zero, not cut to its width. */
static uint64_t timer_ticks(const struct acpi_pm *pm)
{
    uint64_t elapsed = host_monotonic_100ns() - pm->start_monotonic_100ns;

    /* In two parts, since the product of a long time and the frequency does not fit. */
    return elapsed / SECOND_100NS * TIMER_HZ + elapsed % SECOND_100NS * TIMER_HZ / SECOND_100NS;
}

static uint32_t current_status(const struct acpi_pm *pm)
{
    bool is_timer_set = timer_ticks(pm) >> TIMER_HALF_SHIFT != pm->acknowledged_halves;

    return pm->status | (is_timer_set ? PM1_TIMER : 0u);
}

/* Sets the SCI, and the timer for the next change of the PM timer's high bit. */
static void update_sci(struct acpi_pm *pm)
{
    uint32_t status = current_status(pm);
    bool is_timer_wanted = (pm->enable & PM1_TIMER) != 0 && (status & PM1_TIMER) == 0;

    ioapic_set_line(&pm->sci, (status & pm->enable) != 0);
    if (is_timer_wanted && !pm->is_timer_armed) {
        uint64_t ticks = (pm->acknowledged_halves + 1) << TIMER_HALF_SHIFT;
        /* Rounded up, so that the bit has changed when the timer comes. */
        uint64_t delay = ticks / TIMER_HZ * SECOND_100NS + (ticks % TIMER_HZ * SECOND_100NS) / TIMER_HZ + 1;

        host_timer_arm(&pm->timer, pm->start_monotonic_100ns + delay);
    } else if (!is_timer_wanted && pm->is_timer_armed) {
        host_timer_cancel(&pm->timer);
    }
    pm->is_timer_armed = is_timer_wanted;
}

static void timer_expired(struct host_timer *timer)
{
    struct acpi_pm *pm = CONTAINER_OF(timer, struct acpi_pm, timer);

    host_vm_lock(pm->host);
    pm->is_timer_armed = false;
    update_sci(pm);
    host_vm_unlock(pm->host);
}

static void write_control(struct acpi_pm *pm, uint16_t value)
{
    pm->control = value & CONTROL_KEPT;
    if ((value & CONTROL_SLEEP_ENABLE) == 0) {
        return;
    }

    uint32_t sleep_type = ((uint32_t)value >> CONTROL_SLEEP_TYPE_SHIFT) & CONTROL_SLEEP_TYPE_MASK;

    if (sleep_type == ACPI_PM_SLEEP_TYPE_S5) {
        vm_end(pm->vm, HOST_VM_POWER_OFF, 0);
    }
    /* Other types are not in the tables: nothing happens. */
}

/* The registers of the block as bytes, since they may be accessed in pieces of any size. */
static uint8_t read_byte(const struct acpi_pm *pm, uint32_t offset, uint32_t status, uint32_t ticks)
{
    uint32_t word = 0;

    if (offset >= OFFSET_TIMER) {
        return (uint8_t)(ticks >> (8u * (offset - OFFSET_TIMER)));
    }
    if (offset < OFFSET_ENABLE) {
        word = status;
    } else if (offset < OFFSET_CONTROL) {
        word = pm->enable;
    } else if (offset < OFFSET_CONTROL + 2u) {
        word = pm->control | CONTROL_SCI_ENABLE;
    }
    return (uint8_t)(word >> (8u * (offset & 1u)));
}

uint32_t acpi_pm_read(void *device, uint16_t offset, uint32_t size_bytes)
{
    const struct acpi_pm *pm = device;
    uint32_t ticks = (uint32_t)timer_ticks(pm);

    if (offset == OFFSET_TIMER && size_bytes == 4) {
        return ticks;
    }

    uint32_t status = current_status(pm);
    uint32_t value = 0;

    for (uint32_t i = 0; i < size_bytes; i++) {
        value |= (uint32_t)read_byte(pm, offset + i, status, ticks) << (8u * i);
    }
    return value;
}

bool acpi_pm_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value)
{
    struct acpi_pm *pm = device;
    /* All of the block's registers at once: the bytes that this access covers, and what they are to become. */
    uint64_t mask = (size_bytes >= 4 ? UINT64_C(0xFFFFFFFF) : (UINT64_C(1) << (8u * size_bytes)) - 1u);
    uint64_t shifted_value;

    if (offset >= OFFSET_TIMER) {
        /* The PM timer is read-only. */
        return true;
    }
    mask <<= 8u * offset;
    shifted_value = (uint64_t)value << (8u * offset);
    /* Ones written to the status clear it. */
    pm->status &= (uint16_t) ~(shifted_value & mask);
    if ((shifted_value & mask & PM1_TIMER) != 0) {
        pm->acknowledged_halves = timer_ticks(pm) >> TIMER_HALF_SHIFT;
    }

    uint16_t enable_mask = (uint16_t)(mask >> (8u * OFFSET_ENABLE));
    uint16_t enable = (uint16_t)(shifted_value >> (8u * OFFSET_ENABLE));

    pm->enable = (uint16_t)((pm->enable & ~enable_mask) | (enable & enable_mask & PM1_ENABLE_ALL));

    uint16_t control_mask = (uint16_t)(mask >> (8u * OFFSET_CONTROL));
    uint16_t control = (uint16_t)(shifted_value >> (8u * OFFSET_CONTROL));

    if (control_mask != 0) {
        write_control(pm, (uint16_t)((pm->control & ~control_mask) | (control & control_mask)));
    }
    update_sci(pm);
    return true;
}

uint32_t acpi_pm_reset_read(void *device, uint16_t offset, uint32_t size_bytes)
{
    const struct acpi_pm *pm = device;

    (void)offset;
    (void)size_bytes;
    return pm->reset_control;
}

bool acpi_pm_reset_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value)
{
    struct acpi_pm *pm = device;

    (void)offset;
    (void)size_bytes;
    pm->reset_control = (uint8_t)value & (uint8_t)~RESET_CPU;
    if ((value & RESET_CPU) != 0) {
        vm_end(pm->vm, HOST_VM_RESET, 0);
    }
    return true;
}

void acpi_pm_press_power_button(struct acpi_pm *pm)
{
    pm->status |= PM1_POWER_BUTTON;
    update_sci(pm);
}

void acpi_pm_stop(struct acpi_pm *pm)
{
    host_timer_cancel(&pm->timer);
    pm->is_timer_armed = false;
}

void acpi_pm_init(struct acpi_pm *pm, struct vm *vm, struct host_vm *host, struct irq_line sci)
{
    *pm = (struct acpi_pm){.vm = vm, .host = host, .sci = sci};
    pm->start_monotonic_100ns = host_monotonic_100ns();
    host_timer_init(&pm->timer, host, timer_expired);
}
