/* SPDX-License-Identifier: MIT */
/* One function's configuration space and registers. */
#include "tests/unit/fake_virtio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "partitions/root/device/machine.h"

#define BAR           0xE0000000u
#define BAR_BYTES     0x4000u
#define COMMON_AT     0x0000u
#define CONFIG_AT     0x1000u
#define NOTIFY_AT     0x2000u
#define MSIX_AT       0x3000u
#define BAR_REGISTER  0x20u
#define NEEDS_NOTHING 0xFFFFFFFFu
#define FEATURES_OK   0x08u

struct fake_virtio fake_virtio;

static void put32(uint32_t at, uint32_t value)
{
    memcpy(fake_virtio.config_space + at, &value, sizeof(value));
}

/* A capability of the transport in BAR 4. */
static void put_capability(uint32_t at, uint32_t next, uint32_t kind, uint32_t offset, uint32_t bytes)
{
    put32(at, 0x09 | next << 8 | 20u << 16 | kind << 24);
    put32(at + 4, 4);
    put32(at + 8, offset);
    put32(at + 12, bytes);
}

void fake_virtio_reset(uint16_t device_id)
{
    memset(&fake_virtio, 0, sizeof(fake_virtio));
    fake_virtio.bar_mask = ~(BAR_BYTES - 1);
    fake_virtio.offered = VIRTIO_FEATURE_VERSION_1 | VIRTIO_FEATURE_INDIRECT;
    fake_virtio.queue_size = VIRTIO_QUEUE_SLOTS;
    put32(0, (uint32_t)device_id << 16 | 0x1AF4);
    put32(4, 1u << 20);
    put32(BAR_REGISTER, BAR);
    put32(0x34, 0x40);
    put_capability(0x40, 0x54, 1, COMMON_AT, 56);
    put_capability(0x54, 0x68, 4, CONFIG_AT, 64);
    put_capability(0x68, 0x7C, 2, NOTIFY_AT, 0x100);
    put32(0x78, 4);
    put32(0x7C, 0x11);
    put32(0x80, MSIX_AT | 4);
}

uint32_t machine_pci_read(uint16_t function, uint32_t offset)
{
    uint32_t value = NEEDS_NOTHING;

    assert_true(offset % 4 == 0 && offset < 256);
    if (function == FAKE_VIRTIO_FUNCTION) {
        memcpy(&value, fake_virtio.config_space + offset, sizeof(value));
    } else if (function == (FAKE_VIRTIO_FUNCTION & ~7u)) {
        value = offset == 0x0C ? 1u << 23 : 0x12345678;
    }
    return value;
}

void machine_pci_write(uint16_t function, uint32_t offset, uint32_t value)
{
    assert_int_equal(function, FAKE_VIRTIO_FUNCTION);
    if (offset == BAR_REGISTER) {
        value &= fake_virtio.bar_mask;
    } else if (offset == 4) {
        value = (value & 0xFFFF) | 1u << 20;
    } else if (offset != 0x7C) {
        value = 0; /* other base address registers are not there */
    }
    put32(offset, value);
}

bool machine_map(uint64_t address, uint64_t bytes)
{
    return address >= BAR && address + bytes <= BAR + BAR_BYTES;
}

bool machine_map_interrupt(uint16_t function, uint32_t *address, uint32_t *data)
{
    assert_int_equal(function, FAKE_VIRTIO_FUNCTION);
    *address = 0xFEE00000;
    *data = FAKE_VIRTIO_DATA;
    return true;
}

static uint32_t read_common(uint32_t at)
{
    switch (at) {
    case 4:
        return (uint32_t)(fake_virtio.offered >> (fake_virtio.feature_select * 32));
    case 20:
        return fake_virtio.status;
    case 24:
        return fake_virtio.queue_size;
    case 26:
        return fake_virtio.has_no_vector ? 0xFFFF : fake_virtio.queue_vector;
    case 30:
        return fake_virtio.notify_offset;
    default:
        fail_msg("register %u is read", at);
        return 0;
    }
}

uint32_t machine_read(uint64_t address, uint32_t width_bytes)
{
    uint32_t at = (uint32_t)(address - BAR);
    uint32_t value = 0;

    if (at >= CONFIG_AT && at < CONFIG_AT + sizeof(fake_virtio.device_config)) {
        memcpy(&value, fake_virtio.device_config + (at - CONFIG_AT), width_bytes);
        return value;
    }
    return read_common(at);
}

static void set_status(uint8_t status)
{
    if (status == 0 && fake_virtio.is_deaf) {
        return;
    }
    if (status == 0) {
        fake_virtio.taken = 0;
        fake_virtio.is_enabled = false;
    }
    fake_virtio.status = fake_virtio.refuses_features ? status & (uint8_t)~FEATURES_OK : status;
}

static void write_common(uint32_t at, uint32_t value)
{
    uint64_t *part = &fake_virtio.parts[(at - 32) / 8 % 3];

    switch (at) {
    case 0:
    case 8:
        fake_virtio.feature_select = value;
        fake_virtio.accepted = at == 8 && value == 0 ? 0 : fake_virtio.accepted;
        break;
    case 12:
        fake_virtio.accepted |= (uint64_t)value << (fake_virtio.feature_select * 32);
        break;
    case 16:
    case 22:
        assert_int_equal(value, 0);
        break;
    case 20:
        set_status((uint8_t)value);
        break;
    case 24:
        assert_int_equal(value, VIRTIO_QUEUE_SLOTS);
        break;
    case 26:
        fake_virtio.queue_vector = (uint16_t)value;
        break;
    case 28:
        fake_virtio.is_enabled = value == 1;
        break;
    default:
        assert_in_range(at, 32, 55);
        *part = at % 8 == 0 ? value : (*part & UINT32_MAX) | (uint64_t)value << 32;
        break;
    }
}

void machine_write(uint64_t address, uint32_t width_bytes, uint32_t value)
{
    uint32_t at = (uint32_t)(address - BAR);

    if (at >= MSIX_AT && at < MSIX_AT + 16) {
        fake_virtio.msix[(at - MSIX_AT) / 4] = value;
    } else if (at >= NOTIFY_AT && at < NOTIFY_AT + 0x100) {
        assert_int_equal(at, NOTIFY_AT + fake_virtio.notify_offset * 4);
        assert_int_equal(width_bytes, 2);
        fake_virtio.notify_count++;
    } else {
        write_common(at, value);
    }
}

bool fake_virtio_next(uint32_t *slot, const struct virtio_descriptor **descriptor)
{
    const uint16_t *available = (const uint16_t *)fake_virtio.parts[1];

    if (!fake_virtio.is_enabled || available[1] == fake_virtio.taken) {
        return false;
    }
    *slot = available[2 + fake_virtio.taken++ % VIRTIO_QUEUE_SLOTS];
    *descriptor = (const struct virtio_descriptor *)fake_virtio.parts[0] + *slot;
    return true;
}

void fake_virtio_use(uint32_t slot, uint32_t length_bytes)
{
    uint16_t *used = (uint16_t *)fake_virtio.parts[2];
    struct virtio_used *entries = (struct virtio_used *)(used + 2);

    entries[used[1] % VIRTIO_QUEUE_SLOTS] = (struct virtio_used){.slot = slot, .length_bytes = length_bytes};
    used[1]++;
}
