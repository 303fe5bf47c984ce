/* SPDX-License-Identifier: MIT */
/* One device on a bus: how it comes, and what holds for all of them. What its messages are is the targets' business. */
#include "tests/fuzz/machine_device.h"

#include <stdlib.h>
#include <string.h>

#include "hv/lib/bytes.h"
#include "vmbus/refusal.h"

#define PAGE            4096u
#define RAM_PAGES       64u
#define FIRST_RING_PAGE 16u
#define RING_PAGES      2u
#define V5_3            0x00050003u
#define HEADER_BYTES    16u
#define BODY_BYTES_MAX  1024u

static struct fuzz_device device;

struct fuzz_device *fuzz_device_create(void)
{
    struct guest *guest = &device.guest;

    if (guest->host == NULL) {
        size_t units = (vmbus_storage_bytes() + VMBUS_STORAGE_ALIGNMENT - 1) / VMBUS_STORAGE_ALIGNMENT;

        guest->host = fake_host_create(RAM_PAGES * PAGE);
        guest->bus = aligned_alloc(VMBUS_STORAGE_ALIGNMENT, units * VMBUS_STORAGE_ALIGNMENT);
        FUZZ_CHECK(guest->bus != NULL);
    }
    memset(guest->host->ram, 0, RAM_PAGES * PAGE);
    guest->host->log[0] = '\0';
    guest->host->log_lines = 0;
    guest->host->refuses_device_memory = false;
    fake_now_100ns = 5000000000;
    FUZZ_CHECK(vmbus_create(guest->bus, guest->host, GUEST_VPS) == guest->bus);
    return &device;
}

void fuzz_device_connect(struct fuzz_device *from)
{
    struct guest *guest = &from->guest;
    struct guest_offer offer;

    guest->host->synic.taken = guest->host->synic.posted;
    guest->next_page = FIRST_RING_PAGE;
    guest->next_gpadl_id = 1;
    memset(guest->host->ram + FIRST_RING_PAGE * PAGE, 0, 2 * RING_PAGES * PAGE);
    guest_connect(guest, V5_3, &offer);
    guest_open(guest, &from->channel, &offer, RING_PAGES, 0);
}

void fuzz_device_send(struct fuzz_device *from, struct fuzz_input *input, uint32_t type, uint8_t *body,
                      uint32_t body_bytes)
{
    static const uint16_t packets[] = {6, 6, 6, 6, 6, 6, 9, 11};
    uint8_t message[HEADER_BYTES + BODY_BYTES_MAX] = {1};
    uint8_t form = fuzz_u8(input);

    FUZZ_CHECK(body_bytes <= BODY_BYTES_MAX);
    put_u32(message + 4, 8 + body_bytes);
    put_u32(message + 8, type);
    put_u32(message + 12, body_bytes);
    memcpy(message + HEADER_BYTES, body, body_bytes);
    if ((form & 0x10) != 0) {
        message[fuzz_below(input, HEADER_BYTES)] ^= fuzz_u8(input);
    }
    if ((form & 0x20) != 0 && body_bytes != 0) {
        message[HEADER_BYTES + fuzz_u8(input) % body_bytes] ^= fuzz_u8(input);
    }
    body_bytes = (form & 0x40) != 0 ? fuzz_u8(input) % (HEADER_BYTES + body_bytes) : HEADER_BYTES + body_bytes;
    (void)guest_write(&from->channel, (form & 0x80) != 0 ? packets[form & 7] : 6, (form & 0x08) != 0, 1, NULL, 0,
                      message, body_bytes);
}

void fuzz_device_check(struct fuzz_device *from)
{
    struct guest *guest = &from->guest;

    FUZZ_CHECK(!guest->host->is_locked);
    guest_let_call_back(guest);
    /* One line for each cause at most. */
    FUZZ_CHECK(guest->host->log_lines < REFUSAL_COUNT);
    if (guest_channel_state(guest, from->channel.relid) != VMBUS_CHANNEL_OPEN) {
        FUZZ_CHECK(guest->host->device_gpa == 0);
        fuzz_device_connect(from);
    }
}

void fuzz_device_destroy(struct fuzz_device *from)
{
    struct guest *guest = &from->guest;

    host_vm_lock(guest->host);
    vmbus_destroy(guest->bus);
    host_vm_unlock(guest->host);
    FUZZ_CHECK(guest->host->synic.connection_count == 0 && fake_host_armed_timers(guest->host) == 0);
    FUZZ_CHECK(guest->host->device_gpa == 0);
}
