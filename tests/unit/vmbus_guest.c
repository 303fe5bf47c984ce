/* SPDX-License-Identifier: MIT */
/* The simulated guest of the VMBus tests, after the behaviour of Linux's hv_vmbus. */
#include "tests/unit/vmbus_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"
#include "vmbus/bus.h"

#define PAGE               4096u
#define HEADER_PFNS_MAX    26u
#define BODY_PFNS_MAX      28u
#define FIRST_GPADL_ID     0xE1E10u
#define FIRST_FREE_PAGE    256u
#define FIRST_VERSION_5    0x00050000u
#define FIRST_VERSION_2_4  0x00020004u
#define INTERRUPT_PAGE_GPA 0x5000u

void guest_create(struct guest *guest)
{
    size_t bytes = (vmbus_storage_bytes() + VMBUS_STORAGE_ALIGNMENT - 1) / VMBUS_STORAGE_ALIGNMENT;
    void *storage = aligned_alloc(VMBUS_STORAGE_ALIGNMENT, bytes * VMBUS_STORAGE_ALIGNMENT);

    assert_non_null(storage);
    *guest = (struct guest){
        .host = fake_host_create(GUEST_RAM_BYTES),
        .message_connection = 1,
        .next_gpadl_id = FIRST_GPADL_ID,
        .next_page = FIRST_FREE_PAGE,
    };
    guest->bus = vmbus_create(storage, guest->host, GUEST_VPS);
    assert_ptr_equal(guest->bus, storage);
}

void guest_destroy(struct guest *guest)
{
    host_vm_lock(guest->host);
    vmbus_destroy(guest->bus);
    host_vm_unlock(guest->host);
    assert_int_equal(fake_host_armed_timers(guest->host), 0);
    assert_int_equal(guest->host->synic.connection_count, 0);
    fake_host_destroy(guest->host);
    free(guest->bus);
}

static struct recorder *recorder_of(struct vsp *vsp)
{
    return CONTAINER_OF(vsp, struct recorder, vsp);
}

static bool record_open(struct vsp *vsp, const uint8_t *user_data)
{
    struct recorder *recorder = recorder_of(vsp);

    assert_non_null(user_data);
    recorder->opens++;
    return !recorder->refuses_open;
}

static void record_close(struct vsp *vsp)
{
    struct recorder *recorder = recorder_of(vsp);

    recorder->closes++;
    if (!recorder->closes_later) {
        vsp_closed(vsp);
    }
}

static void record_signal(struct vsp *vsp)
{
    struct recorder *recorder = recorder_of(vsp);

    recorder->signals++;
    while (recorder->reads) {
        recorder->last_result = vsp_read_packet(vsp, recorder->buffer, recorder->buffer_bytes, &recorder->last);
        if (recorder->last_result != VSP_OK) {
            return;
        }
        recorder->packets++;
        if (recorder->echoes && recorder->last.wants_completion) {
            assert_int_equal(vsp_complete_packet(vsp, recorder->last.transaction_id, recorder->last.payload,
                                                 recorder->last.payload_bytes),
                             VSP_OK);
        }
    }
}

void recorder_init(struct recorder *recorder, uint8_t number)
{
    static const struct vsp_operations operations = {
        .open = record_open,
        .close = record_close,
        .signalled = record_signal,
    };

    memset(recorder, 0, sizeof(*recorder));
    recorder->vsp.operations = &operations;
    recorder->vsp.name = "recorder";
    recorder->vsp.offer.type = (struct guid){.data1 = 0xBA6163D9, .data2 = 0x04A1, .data3 = 0x4D29};
    recorder->vsp.offer.instance = (struct guid){.data1 = 0x11223344, .data4[7] = number};
    recorder->reads = true;
    recorder->buffer_bytes = sizeof(recorder->buffer);
}

void recorder_offer(struct guest *guest, struct recorder *recorder)
{
    host_vm_lock(guest->host);
    assert_true(vsp_offer(guest->bus, &recorder->vsp));
    host_vm_unlock(guest->host);
}

void guest_post(struct guest *guest, const void *bytes, size_t length)
{
    /* On the heap and of just that length, so that a read behind it is seen. */
    uint8_t *copy = malloc(length + 1);

    assert_non_null(copy);
    memcpy(copy + 1, bytes, length);
    host_vm_lock(guest->host);
    vmbus_message(guest->bus, guest->message_connection, 1, copy + 1, length);
    host_vm_unlock(guest->host);
    free(copy);
}

void guest_post_relid(struct guest *guest, uint32_t type, uint32_t relid)
{
    uint8_t message[12] = {0};

    put_u32(message, type);
    put_u32(message + 8, relid);
    guest_post(guest, message, sizeof(message));
}

void guest_signal(struct guest *guest, uint32_t connection_id)
{
    host_vm_lock(guest->host);
    vmbus_event(guest->bus, connection_id);
    host_vm_unlock(guest->host);
}

const struct fake_message *guest_take(struct guest *guest)
{
    struct fake_synic *synic = &guest->host->synic;

    if (synic->taken == synic->posted) {
        return NULL;
    }
    return &synic->messages[synic->taken++ % FAKE_MESSAGES_MAX];
}

const uint8_t *guest_expect(struct guest *guest, uint32_t type, uint32_t length)
{
    const struct fake_message *message = guest_take(guest);

    if (message == NULL) {
        fail_msg("no message, expected type %u", type);
    }
    assert_int_equal(message->type, 1);
    assert_int_equal(message->vp_index, guest->target_vp);
    assert_int_equal(message->sint, 2);
    assert_int_equal(get_u32(message->payload), type);
    assert_int_equal(get_u32(message->payload + 4), 0);
    assert_in_range(message->length_bytes, length, length + 7);
    return message->payload;
}

void guest_expect_nothing(struct guest *guest)
{
    const struct fake_message *message = guest_take(guest);

    if (message != NULL) {
        fail_msg("a message of type %u, expected none", get_u32(message->payload));
    }
}

bool guest_contact(struct guest *guest, uint32_t version, uint32_t vp)
{
    uint8_t message[40] = {0};
    const uint8_t *answer;
    bool is_supported;

    put_u32(message, 14);
    put_u32(message + 8, version);
    put_u32(message + 12, vp);
    if (version >= FIRST_VERSION_5) {
        message[16] = 2;
    } else {
        put_u64(message + 16, INTERRUPT_PAGE_GPA);
    }
    put_u64(message + 24, 0x6000);
    put_u64(message + 32, 0x7000);
    guest->message_connection = version >= FIRST_VERSION_5 ? 4 : 1;
    guest->target_vp = version >= 0x00030000u && vp < GUEST_VPS ? vp : 0;
    guest_post(guest, message, sizeof(message));
    is_supported = version >= 0x00060000u && guest->host->synic.posted != guest->host->synic.taken &&
                   guest->host->synic.messages[guest->host->synic.taken % FAKE_MESSAGES_MAX].payload[8] == 1;
    answer = guest_expect(guest, 15, is_supported ? 20 : 16);
    is_supported = answer[8] == 1;
    if (is_supported && version >= FIRST_VERSION_5) {
        guest->message_connection = get_u32(answer + 12);
    }
    return is_supported && answer[9] == 0;
}

static void parse_offer(const uint8_t *message, struct guest_offer *offer)
{
    memcpy(&offer->type, message + 8, 16);
    memcpy(&offer->instance, message + 24, 16);
    offer->flags = get_u16(message + 56);
    memcpy(offer->user_data, message + 60, sizeof(offer->user_data));
    offer->sub_channel_index = get_u16(message + 180);
    offer->relid = get_u32(message + 184);
    assert_in_range(offer->relid, 1, 2047);
    assert_int_equal(message[188], 0xFF);
    assert_int_equal(message[189], 0);
    assert_int_equal(get_u16(message + 190), 1);
    offer->connection_id = get_u32(message + 192);
}

void guest_expect_offer(struct guest *guest, struct guest_offer *offer)
{
    parse_offer(guest_expect(guest, 1, 196), offer);
}

uint32_t guest_request_offers(struct guest *guest, struct guest_offer *offers)
{
    uint8_t message[8] = {3};
    const struct fake_message *answer;
    uint32_t count = 0;

    guest_post(guest, message, sizeof(message));
    for (answer = guest_take(guest); answer != NULL && answer->payload[0] == 1; answer = guest_take(guest)) {
        assert_in_range(count, 0, GUEST_OFFERS_MAX - 1);
        assert_int_equal(answer->length_bytes, 196);
        parse_offer(answer->payload, &offers[count++]);
    }
    assert_non_null(answer);
    assert_int_equal(answer->payload[0], 4);
    guest_expect_nothing(guest);
    return count;
}

void guest_connect(struct guest *guest, uint32_t version, struct guest_offer *offer)
{
    struct guest_offer offers[GUEST_OFFERS_MAX];

    assert_true(guest_contact(guest, version, 1));
    assert_int_equal(guest_request_offers(guest, offers), 1);
    *offer = offers[0];
}

uint64_t guest_pages(struct guest *guest, uint32_t count)
{
    uint64_t first = guest->next_page;

    guest->next_page += count;
    assert_in_range(guest->next_page, 0, GUEST_RAM_BYTES / PAGE);
    return first;
}

static void put_pages(uint8_t *bytes, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put_u64(bytes + 8 * i, first + i);
    }
}

uint32_t guest_post_gpadl(struct guest *guest, uint32_t relid, uint64_t first_page, uint32_t count)
{
    uint8_t message[240] = {0};
    uint32_t id = guest->next_gpadl_id++;
    uint32_t done = count < HEADER_PFNS_MAX ? count : HEADER_PFNS_MAX;

    put_u32(message, 8);
    put_u32(message + 8, relid);
    put_u32(message + 12, id);
    put_u16(message + 16, (uint16_t)(8 + 8 * count));
    put_u16(message + 18, 1);
    put_u32(message + 20, count * PAGE);
    put_pages(message + 28, first_page, done);
    guest_post(guest, message, 28 + 8 * done);
    while (done < count) {
        uint32_t more = count - done < BODY_PFNS_MAX ? count - done : BODY_PFNS_MAX;

        memset(message, 0, sizeof(message));
        put_u32(message, 9);
        put_u32(message + 12, id);
        put_pages(message + 16, first_page + done, more);
        guest_post(guest, message, 16 + 8 * more);
        done += more;
    }
    return id;
}

uint32_t guest_make_gpadl(struct guest *guest, uint32_t relid, uint64_t first_page, uint32_t count)
{
    uint32_t id = guest_post_gpadl(guest, relid, first_page, count);
    const uint8_t *answer = guest_expect(guest, 10, 20);

    assert_int_equal(get_u32(answer + 8), relid);
    assert_int_equal(get_u32(answer + 12), id);
    assert_int_equal(get_u32(answer + 16), 0);
    return id;
}

void guest_post_open(struct guest *guest, uint32_t relid, uint32_t gpadl_id, uint32_t vp, uint32_t offset)
{
    uint8_t message[148] = {0};

    put_u32(message, 5);
    put_u32(message + 8, relid);
    put_u32(message + 12, relid);
    put_u32(message + 16, gpadl_id);
    put_u32(message + 20, vp);
    put_u32(message + 24, offset);
    guest_post(guest, message, sizeof(message));
}

uint32_t guest_expect_open_result(struct guest *guest, uint32_t relid)
{
    const uint8_t *answer = guest_expect(guest, 6, 20);

    assert_int_equal(get_u32(answer + 8), relid);
    assert_int_equal(get_u32(answer + 12), relid);
    return get_u32(answer + 16);
}

void guest_open(struct guest *guest, struct guest_channel *channel, const struct guest_offer *offer, uint32_t pages,
                uint32_t vp)
{
    uint64_t first = guest_pages(guest, 2 * pages);

    *channel = (struct guest_channel){
        .guest = guest,
        .relid = offer->relid,
        .connection_id = offer->connection_id,
        .pages = pages,
        .out = guest->host->ram + first * PAGE,
        .in = guest->host->ram + (first + pages) * PAGE,
    };
    memset(channel->out, 0, 2 * pages * PAGE);
    put_u32(channel->out + 0x40, 1);
    put_u32(channel->in + 0x40, 1);
    channel->gpadl_id = guest_make_gpadl(guest, offer->relid, first, 2 * pages);
    guest_post_open(guest, offer->relid, channel->gpadl_id, vp, pages);
    assert_int_equal(guest_expect_open_result(guest, offer->relid), 0);
}

void guest_close(struct guest_channel *channel)
{
    uint8_t message[16] = {11};
    const uint8_t *answer;

    guest_post_relid(channel->guest, 7, channel->relid);
    put_u32(message + 8, channel->relid);
    put_u32(message + 12, channel->gpadl_id);
    guest_post(channel->guest, message, sizeof(message));
    answer = guest_expect(channel->guest, 12, 12);
    assert_int_equal(get_u32(answer + 8), channel->gpadl_id);
}

static uint32_t data_bytes(const struct guest_channel *channel)
{
    return (channel->pages - 1) * PAGE;
}

static uint32_t used_bytes(const struct guest_channel *channel, uint32_t read_index, uint32_t write_index)
{
    return write_index >= read_index ? write_index - read_index : data_bytes(channel) - read_index + write_index;
}

static uint32_t put_bytes(const struct guest_channel *channel, uint32_t index, const void *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        channel->out[PAGE + (index + i) % data_bytes(channel)] = ((const uint8_t *)bytes)[i];
    }
    return (index + count) % data_bytes(channel);
}

bool guest_write(struct guest_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction_id,
                 const void *extension, uint32_t extension_bytes, const void *payload, uint32_t payload_bytes)
{
    static const uint8_t zeros[8];
    uint32_t padding = -payload_bytes % 8;
    uint32_t length = 16 + extension_bytes + payload_bytes + padding;
    uint32_t write_index = get_u32(channel->out);
    uint32_t old_index = write_index;
    uint8_t header[16], trailer[8] = {0};

    if (data_bytes(channel) - used_bytes(channel, get_u32(channel->out + 4), write_index) <= length + 8) {
        return false;
    }
    put_u16(header, type);
    put_u16(header + 2, (uint16_t)((16 + extension_bytes) / 8));
    put_u16(header + 4, (uint16_t)(length / 8));
    put_u16(header + 6, flags);
    put_u64(header + 8, transaction_id);
    put_u32(trailer + 4, old_index);
    write_index = put_bytes(channel, write_index, header, 16);
    write_index = put_bytes(channel, write_index, extension, extension_bytes);
    write_index = put_bytes(channel, write_index, payload, payload_bytes);
    write_index = put_bytes(channel, write_index, zeros, padding);
    write_index = put_bytes(channel, write_index, trailer, 8);
    put_u32(channel->out, write_index);
    if (get_u32(channel->out + 8) == 0 && get_u32(channel->out + 4) == old_index) {
        channel->signals++;
        guest_signal(channel->guest, channel->connection_id);
    }
    return true;
}

bool guest_send(struct guest_channel *channel, uint64_t transaction_id, bool wants_completion, const void *payload,
                uint32_t payload_bytes)
{
    return guest_write(channel, 6, wants_completion ? 1 : 0, transaction_id, NULL, 0, payload, payload_bytes);
}

bool guest_read(struct guest_channel *channel, struct guest_packet *packet)
{
    uint32_t write_index = get_u32(channel->in);
    uint32_t read_index = get_u32(channel->in + 4);
    uint32_t used = used_bytes(channel, read_index, write_index);
    uint32_t pending, free_before, free_now;

    if (used == 0) {
        return false;
    }
    for (uint32_t i = 0; i < used && i < sizeof(packet->bytes); i++) {
        packet->bytes[i] = channel->in[PAGE + (read_index + i) % data_bytes(channel)];
    }
    packet->type = get_u16(packet->bytes);
    packet->payload_offset = get_u16(packet->bytes + 2) * 8u;
    packet->length = get_u16(packet->bytes + 4) * 8u;
    packet->flags = get_u16(packet->bytes + 6);
    packet->transaction_id = get_u64(packet->bytes + 8);
    assert_in_range(packet->length + 8, 24, used);
    assert_in_range(packet->length + 8, 24, sizeof(packet->bytes));
    assert_int_equal(get_u32(packet->bytes + packet->length), 0);
    assert_int_equal(get_u32(packet->bytes + packet->length + 4), read_index);
    put_u32(channel->in + 4, (read_index + packet->length + 8) % data_bytes(channel));
    assert_int_equal(get_u32(channel->in + 0x40) & 1, 1);
    pending = get_u32(channel->in + 0x0C);
    free_before = data_bytes(channel) - used;
    free_now = free_before + packet->length + 8;
    if (pending != 0 && free_before <= pending && free_now > pending) {
        channel->signals++;
        guest_signal(channel->guest, channel->connection_id);
    }
    return true;
}

void guest_let_call_back(struct guest *guest)
{
    fake_host_advance(guest->host, 0);
}

enum vmbus_channel_state guest_channel_state(const struct guest *guest, uint32_t relid)
{
    struct vmbus_channel_info info;

    vmbus_get_channel(guest->bus, relid, &info);
    return info.state;
}

uint32_t guest_refusals(const struct guest *guest, uint32_t cause)
{
    return guest->bus->refusals.counts[cause];
}
