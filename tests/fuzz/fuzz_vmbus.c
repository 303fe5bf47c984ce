/* SPDX-License-Identifier: MIT */
/*
 * The VMBus control plane under sequences of messages, sound and damaged, signals, and providers that come, go, close
 * late and use GPADLs. Holds, beside fuzz_bus_check(): one message has at most one answer, but for those that ask for
 * offers; whoever was opened is closed as often.
 */
#include <string.h>

#include "hv/lib/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/machine_bus.h"

#define OPERATIONS_MAX 200
#define RELIDS         16u
#define GPADL_IDS      8u
#define PAGES_MAX      200u

static const uint32_t versions[] = {0x0000000D, 0x00010001, 0x00020004, 0x00030000, 0x00040000, 0x00040001,
                                    0x00050000, 0x00050001, 0x00050002, 0x00050003, 0x00060000, 0x12345678};

/* Any bytes, of any type that is known and length that fits. */
static uint32_t make_any(struct fuzz_input *input, uint8_t *message)
{
    uint32_t length = fuzz_u8(input) % 241;

    fuzz_fill(input, message, length);
    if (length >= 4) {
        put_u32(message, fuzz_below(input, 32));
    }
    return length;
}

static uint32_t make_contact(struct fuzz_input *input, uint8_t *message)
{
    uint32_t version = versions[fuzz_below(input, sizeof(versions) / sizeof(versions[0]))];
    uint8_t odd = fuzz_u8(input);

    put_u32(message, 14);
    put_u32(message + 8, version);
    put_u32(message + 12, fuzz_below(input, FUZZ_BUS_VPS + 1));
    put_u64(message + 16, version >= 0x00050000 ? 2 : 0x5000);
    if (odd == 1) {
        put_u64(message + 16, fuzz_u64(input));
    }
    put_u64(message + 24, odd == 2 ? 0x6000 : 0);
    return 40;
}

/* A GPADL of some pages in a row, which a page that is no RAM may follow, its bodies left to make_body(). */
static uint32_t make_gpadl(struct fuzz_input *input, uint8_t *message)
{
    uint32_t pages = 1 + fuzz_u8(input) % PAGES_MAX;
    uint64_t first = fuzz_u8(input) % 140;
    uint32_t offset = fuzz_below(input, 8) == 0 ? fuzz_u16(input) : 0;
    uint32_t present = pages < 26 ? pages : 26;

    put_u32(message, 8);
    put_u32(message + 8, fuzz_below(input, RELIDS));
    put_u32(message + 12, fuzz_below(input, GPADL_IDS));
    put_u16(message + 16, (uint16_t)(8 + 8 * pages));
    put_u16(message + 18, 1);
    put_u32(message + 20, pages * 4096 - offset);
    put_u32(message + 24, offset);
    for (uint32_t i = 0; i < present; i++) {
        put_u64(message + 28 + 8 * i, first + i);
    }
    return 28 + 8 * present;
}

static uint32_t make_body(struct fuzz_input *input, uint8_t *message)
{
    uint32_t pages = 1 + fuzz_below(input, 28);

    put_u32(message, 9);
    put_u32(message + 12, fuzz_below(input, GPADL_IDS));
    for (uint32_t i = 0; i < pages; i++) {
        put_u64(message + 16 + 8 * i, i);
    }
    return 16 + 8 * pages;
}

static uint32_t make_open(struct fuzz_input *input, uint8_t *message)
{
    put_u32(message, 5);
    put_u32(message + 8, fuzz_below(input, RELIDS));
    put_u32(message + 12, fuzz_u8(input));
    put_u32(message + 16, fuzz_below(input, GPADL_IDS));
    put_u32(message + 20, fuzz_below(input, FUZZ_BUS_VPS + 1) - 1u);
    put_u32(message + 24, fuzz_u8(input));
    return 148;
}

/* Messages that are a type and one or two numbers. */
static uint32_t make_small(struct fuzz_input *input, uint8_t *message)
{
    static const uint8_t types[] = {3, 7, 11, 13, 16, 18, 21, 22};

    put_u32(message, types[fuzz_below(input, sizeof(types))]);
    put_u32(message + 8, fuzz_below(input, RELIDS));
    put_u32(message + 12, fuzz_below(input, GPADL_IDS));
    return 40;
}

static void post(struct fuzz_bus *fuzz, struct fuzz_input *input)
{
    static uint32_t (*const makers[])(struct fuzz_input *, uint8_t *) = {
        make_any, make_contact, make_gpadl, make_body, make_open, make_small, make_small,
    };
    uint8_t message[240] = {0};
    uint32_t before = fuzz->host->synic.posted + fuzz->bus->outbox.count;
    uint32_t maker = fuzz_below(input, sizeof(makers) / sizeof(makers[0]));
    uint32_t length = makers[maker](input, message);
    uint32_t type;

    fuzz_bus_post(fuzz, fuzz_below(input, 4) == 0 ? 1 : 4, message, length);
    type = get_u32(message);
    /* Requests for offers and releases bring offers, closing and unloading bring rescissions; a contact forgets. */
    if (type != 3 && type != 7 && type != 13 && type != 16 && type != 14) {
        FUZZ_CHECK(fuzz->host->synic.posted + fuzz->bus->outbox.count - before <= 1);
    }
}

/* A provider does something on its own. */
static void provide(struct fuzz_bus *fuzz, struct fuzz_input *input)
{
    uint32_t index = fuzz_below(input, FUZZ_BUS_RECORDERS);
    struct recorder *recorder = &fuzz->recorders[index];
    struct vsp *vsp = &recorder->vsp;
    bool is_closing = vsp->channel != NULL && vsp->channel->state == VMBUS_CHANNEL_CLOSING;

    host_vm_lock(fuzz->host);
    switch (fuzz_below(input, 8)) {
    case 0:
    case 1:
        (void)!vsp_offer(fuzz->bus, vsp);
        break;
    case 2:
        vsp_rescind(vsp);
        break;
    case 3:
        vsp_fault(vsp);
        break;
    case 4:
        recorder->closes_later = true;
        break;
    case 5:
        if (fuzz->held[index] == NULL) {
            /* Whoever uses memory lets go of it before it closes. */
            fuzz->held[index] = vsp_get_gpadl(vsp, fuzz_below(input, GPADL_IDS));
            recorder->closes_later = recorder->closes_later || fuzz->held[index] != NULL;
        }
        break;
    default:
        if (fuzz->held[index] != NULL) {
            vsp_put_gpadl(vsp, fuzz->held[index]);
            fuzz->held[index] = NULL;
        }
        if (is_closing) {
            vsp_closed(vsp);
        }
        break;
    }
    host_vm_unlock(fuzz->host);
}

static void operate(struct fuzz_bus *fuzz, struct fuzz_input *input)
{
    switch (fuzz_below(input, 12)) {
    case 0:
    case 1:
        provide(fuzz, input);
        break;
    case 2:
        fuzz->host->synic.room = fuzz_below(input, 4) == 0 ? UINT32_MAX : fuzz_below(input, 32);
        host_vm_lock(fuzz->host);
        vmbus_messages_wanted(fuzz->bus);
        host_vm_unlock(fuzz->host);
        break;
    case 3:
        host_vm_lock(fuzz->host);
        vmbus_event(fuzz->bus, fuzz_below(input, 8) == 0 ? fuzz_u32(input) : 0x2000 + fuzz_below(input, RELIDS));
        host_vm_unlock(fuzz->host);
        break;
    case 4:
        fake_host_advance(fuzz->host, fuzz_u8(input));
        break;
    case 5:
        if (fuzz_below(input, 16) == 0) {
            host_vm_lock(fuzz->host);
            vmbus_reset(fuzz->bus);
            host_vm_unlock(fuzz->host);
        }
        break;
    default:
        post(fuzz, input);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    struct fuzz_bus *fuzz = fuzz_bus_create();

    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        operate(fuzz, &input);
        fuzz_bus_check(fuzz);
        for (uint32_t k = 0; k < FUZZ_BUS_RECORDERS; k++) {
            const struct recorder *recorder = &fuzz->recorders[k];
            bool is_open = recorder->vsp.channel != NULL && recorder->vsp.channel->state == VMBUS_CHANNEL_OPEN;

            FUZZ_CHECK(recorder->opens == recorder->closes + is_open);
        }
    }
    fuzz_bus_destroy(fuzz);
    return 0;
}
