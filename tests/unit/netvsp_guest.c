/* SPDX-License-Identifier: MIT */
/* The guest's side of a network adapter, after Linux's hv_netvsc. */
#include "tests/unit/netvsp_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bytes.h"

#define VMBUS_5_3     0x00050003u
#define PAGE          4096u
#define MESSAGE_BYTES 40u
#define DATA_PAGES    32u
#define SEND_PAGES    16u
#define SEND_SECTION  6144u

static void arrived(struct net_port *port)
{
    struct fake_net *net = CONTAINER_OF(port, struct fake_net, port);

    netvsp_arrived(&CONTAINER_OF(net, struct nic, net)->adapter);
}

void nic_create(struct nic *nic, bool may_change)
{
    struct netvsp_config config = {
        .port = &nic->net.port,
        .instance = {.data1 = 0x77665544},
        .name = "Network Adapter",
        .address = {2, [5] = NIC_ADDRESS},
        .may_change_address = may_change,
        .sub_channels_max = NIC_SUB_CHANNELS,
    };

    memset(nic, 0, sizeof(*nic));
    guest_create(&nic->guest);
    config.bus = nic->guest.bus;
    config.host = nic->guest.host;
    nic->receive_pages = 256;
    nic->send_pages = SEND_PAGES;
    nic->data_page = guest_pages(&nic->guest, DATA_PAGES);
    nic->data = nic->guest.host->ram + nic->data_page * PAGE;
    nic->next_id = 0x100;
    fake_net_create(&nic->net, arrived);
    host_vm_lock(nic->guest.host);
    assert_true(netvsp_create(&nic->adapter, &config));
    host_vm_unlock(nic->guest.host);
}

void nic_destroy(struct nic *nic)
{
    host_vm_lock(nic->guest.host);
    netvsp_destroy(&nic->adapter);
    host_vm_unlock(nic->guest.host);
    guest_destroy(&nic->guest);
    assert_true(netvsp_is_quiet(&nic->adapter));
}

void nic_open(struct nic *nic)
{
    static const uint8_t type[16] = {0x63, 0x51, 0x61, 0xF8, 0x3E, 0xDF, 0xC5, 0x46,
                                     0x91, 0x3F, 0xF2, 0xD2, 0xF9, 0x65, 0xED, 0x0E};

    guest_connect(&nic->guest, VMBUS_5_3, &nic->offer);
    assert_memory_equal(&nic->offer.type, type, sizeof(type));
    guest_open(&nic->guest, &nic->channels[0], &nic->offer, NIC_RING_PAGES, 0);
}

uint32_t nic_call(struct nic *nic, const uint8_t *message, uint8_t *answer)
{
    struct guest_packet packet;
    uint64_t id = nic->next_id++;
    uint32_t length;

    assert_true(guest_send(&nic->channels[0], id, true, message, MESSAGE_BYTES));
    assert_true(guest_read(&nic->channels[0], &packet));
    assert_int_equal(packet.type, 11);
    assert_int_equal(packet.flags, 0);
    assert_int_equal(packet.transaction_id, id);
    length = packet.length - packet.payload_offset;
    assert_in_range(length, 0, MESSAGE_BYTES);
    memset(answer, 0, MESSAGE_BYTES);
    memcpy(answer, packet.bytes + packet.payload_offset, length);
    return length;
}

uint32_t nic_init(struct nic *nic, uint32_t version)
{
    uint8_t message[MESSAGE_BYTES] = {1}, answer[MESSAGE_BYTES];

    put_u32(message + 4, version);
    put_u32(message + 8, version);
    assert_int_equal(nic_call(nic, message, answer), version == NIC_6_1 ? 40 : 32);
    assert_int_equal(get_u32(answer), 2);
    return get_u32(answer + 12);
}

/* Makes a buffer of this many pages; returns its GPADL. */
static uint32_t make_buffer(struct nic *nic, uint32_t pages, uint8_t **bytes)
{
    uint64_t first = guest_pages(&nic->guest, pages);

    *bytes = nic->guest.host->ram + first * PAGE;
    return guest_make_gpadl(&nic->guest, nic->channels[0].relid, first, pages);
}

void nic_set_up(struct nic *nic, uint32_t version, uint32_t mtu)
{
    uint8_t message[MESSAGE_BYTES] = {0}, answer[MESSAGE_BYTES];

    assert_int_equal(nic_init(nic, version), 1);
    if (version >= NIC_2) {
        message[0] = 125;
        put_u32(message + 4, mtu + 14);
        message[12] = 8;
        assert_true(guest_send(&nic->channels[0], nic->next_id++, false, message, MESSAGE_BYTES));
    }
    memset(message, 0, sizeof(message));
    message[0] = 100;
    message[4] = 6;
    message[8] = version >= NIC_5 ? 0x1E : 1;
    assert_true(guest_send(&nic->channels[0], nic->next_id++, false, message, MESSAGE_BYTES));

    nic->receive_gpadl = make_buffer(nic, nic->receive_pages, &nic->receive);
    memset(message, 0, sizeof(message));
    message[0] = 101;
    put_u32(message + 4, nic->receive_gpadl);
    put_u16(message + 8, NIC_RECEIVE_ID);
    (void)nic_call(nic, message, answer);
    assert_int_equal(get_u32(answer), 102);
    assert_int_equal(get_u32(answer + 4), 1);
    assert_int_equal(get_u32(answer + 8), 1);
    assert_int_equal(get_u32(answer + 12), 0);
    nic->section_bytes = get_u32(answer + 16);
    nic->section_count = get_u32(answer + 20);
    assert_in_range(nic->section_bytes, mtu + 14 + 44, 16384);
    assert_in_range(nic->section_count, 32, nic->receive_pages * PAGE / nic->section_bytes);

    nic->send_gpadl = make_buffer(nic, nic->send_pages, &nic->send);
    message[0] = 104;
    put_u32(message + 4, nic->send_gpadl);
    put_u16(message + 8, 0);
    (void)nic_call(nic, message, answer);
    assert_int_equal(get_u32(answer), 105);
    assert_int_equal(get_u32(answer + 4), 1);
    assert_int_equal(get_u32(answer + 8), SEND_SECTION);
}

/* NVSP 107; section NIC_NONE: none. */
static void make_107(uint8_t *message, bool is_control, uint32_t section, uint32_t length)
{
    memset(message, 0, MESSAGE_BYTES);
    message[0] = 107;
    message[4] = is_control;
    put_u32(message + 8, section);
    put_u32(message + 12, length);
}

/* Posts the data pages from the first on, as one range. */
static bool post_pages(struct nic *nic, struct guest_channel *channel, uint64_t id, bool is_control, uint32_t length)
{
    uint8_t message[MESSAGE_BYTES], ranges[16 + 8 * DATA_PAGES] = {0};
    uint32_t pages = (length + PAGE - 1) / PAGE;

    make_107(message, is_control, NIC_NONE, 0);
    put_u32(ranges + 4, 1);
    put_u32(ranges + 8, length);
    for (uint32_t i = 0; i < pages; i++) {
        put_u64(ranges + 16 + 8 * i, nic->data_page + i);
    }
    return guest_write(channel, 9, 1, id, ranges, 16 + 8 * pages, message, MESSAGE_BYTES);
}

bool nic_post_data(struct nic *nic, struct guest_channel *channel, uint64_t id, uint32_t length)
{
    return post_pages(nic, channel, id, false, length);
}

bool nic_post_section(struct nic *nic, struct guest_channel *channel, uint64_t id, uint32_t section, uint32_t length)
{
    uint8_t message[MESSAGE_BYTES];

    (void)nic;
    make_107(message, false, section, length);
    return guest_send(channel, id, true, message, MESSAGE_BYTES);
}

uint32_t nic_expect_sent(struct guest_channel *channel, uint64_t id)
{
    struct guest_packet packet;

    assert_true(guest_read(channel, &packet));
    assert_int_equal(packet.type, 11);
    assert_int_equal(packet.transaction_id, id);
    assert_int_equal(get_u32(packet.bytes + packet.payload_offset), 108);
    return get_u32(packet.bytes + packet.payload_offset + 4);
}

void nic_post_request(struct nic *nic, uint32_t type, const uint8_t *body, uint32_t body_bytes, uint32_t status)
{
    uint64_t id = nic->next_id++;

    put_u32(nic->data, type);
    put_u32(nic->data + 4, 8 + body_bytes);
    memcpy(nic->data + 8, body, body_bytes);
    assert_true(post_pages(nic, &nic->channels[0], id, true, 8 + body_bytes));
    assert_int_equal(nic_expect_sent(&nic->channels[0], id), status);
}

bool nic_take(struct nic *nic, struct guest_channel *channel, struct nic_message *message)
{
    struct guest_packet packet;
    uint32_t length, offset;

    if (!guest_read(channel, &packet)) {
        return false;
    }
    assert_int_equal(packet.type, 7);
    assert_int_equal(packet.flags, 1);
    assert_int_equal(packet.payload_offset, 32);
    assert_in_range(packet.length, 32 + 28, 32 + 40);
    assert_int_equal(get_u16(packet.bytes + 16), NIC_RECEIVE_ID);
    assert_int_equal(get_u32(packet.bytes + 20), 1);
    length = get_u32(packet.bytes + 24);
    offset = get_u32(packet.bytes + 28);
    assert_in_range(length, 8, nic->section_bytes);
    assert_int_equal(offset % nic->section_bytes, 0);
    assert_in_range(offset / nic->section_bytes, 0, nic->section_count - 1);
    assert_int_equal(get_u32(packet.bytes + 32), 107);
    assert_in_range(get_u32(packet.bytes + 36), 0, 1);
    assert_int_equal(get_u32(packet.bytes + 40), NIC_NONE);
    *message = (struct nic_message){
        .id = packet.transaction_id,
        .is_control = packet.bytes[36] == 1,
        .type = get_u32(nic->receive + offset),
        .length = length,
        .body = nic->receive + offset + 8,
    };
    assert_int_equal(get_u32(nic->receive + offset + 4), length);
    assert_int_not_equal(message->id, 0);
    return true;
}

void nic_done(struct guest_channel *channel, uint64_t id)
{
    const uint8_t message[8] = {108, [4] = 1};

    assert_true(guest_write(channel, 11, 0, id, NULL, 0, message, sizeof(message)));
}

/* Sends a request whose first word is an id, and takes the answer, which must be of its type; its body. */
static const uint8_t *request(struct nic *nic, uint32_t type, uint8_t *body, uint32_t body_bytes, uint32_t *length)
{
    struct nic_message message;

    put_u32(body, ++nic->request_id);
    nic_post_request(nic, type, body, body_bytes, 1);
    assert_true(nic_take(nic, &nic->channels[0], &message));
    assert_true(message.is_control);
    assert_int_equal(message.type, 0x80000000u | type);
    assert_int_equal(get_u32(message.body), nic->request_id);
    *length = message.length - 8;
    nic_done(&nic->channels[0], message.id);
    return message.body;
}

uint32_t nic_query(struct nic *nic, uint32_t oid, const uint8_t *in, uint32_t in_bytes, uint8_t *value,
                   uint32_t *value_bytes)
{
    uint8_t body[64] = {0};
    const uint8_t *answer;
    uint32_t length;

    put_u32(body + 4, oid);
    put_u32(body + 8, in_bytes);
    put_u32(body + 12, 20);
    if (in_bytes != 0) {
        memcpy(body + 20, in, in_bytes);
    }
    answer = request(nic, 4, body, 20 + in_bytes, &length);
    *value_bytes = get_u32(answer + 8);
    assert_int_equal(length, 16 + *value_bytes);
    assert_in_range(*value_bytes, 0, 256);
    if (*value_bytes != 0) {
        assert_int_equal(get_u32(answer + 12), 16);
        memcpy(value, answer + 16, *value_bytes);
    }
    return get_u32(answer + 4);
}

uint32_t nic_query_u32(struct nic *nic, uint32_t oid)
{
    uint8_t value[256];
    uint32_t length;

    assert_int_equal(nic_query(nic, oid, NULL, 0, value, &length), 0);
    assert_int_equal(length, 4);
    return get_u32(value);
}

uint32_t nic_set(struct nic *nic, uint32_t oid, const uint8_t *value, uint32_t value_bytes)
{
    uint8_t body[1024] = {0};
    const uint8_t *answer;
    uint32_t length;

    put_u32(body + 4, oid);
    put_u32(body + 8, value_bytes);
    put_u32(body + 12, 20);
    memcpy(body + 20, value, value_bytes);
    answer = request(nic, 5, body, 20 + value_bytes, &length);
    assert_int_equal(length, 8);
    return get_u32(answer + 4);
}

void nic_start(struct nic *nic)
{
    uint8_t body[16] = {0}, filter[4] = {0x0D};
    const uint8_t offloads[28] = {0x80, 3, 28, 0, 1, 4, 4, 4, 4, 0, 0, 2, 2};
    const uint8_t *answer;
    uint32_t length;

    put_u32(body + 4, 1);
    put_u32(body + 12, 0x4000);
    answer = request(nic, 2, body, sizeof(body), &length);
    assert_int_equal(length, 44);
    assert_int_equal(get_u32(answer + 4), 0);
    assert_int_equal(get_u32(answer + 8), 1);
    assert_int_equal(get_u32(answer + 12), 0);
    assert_int_equal(get_u32(answer + 16), 1);
    assert_int_equal(get_u32(answer + 24), 8);
    assert_int_equal(get_u32(answer + 32), 3);
    assert_int_equal(nic_set(nic, 0xFC01020C, offloads, sizeof(offloads)), 0);
    assert_int_equal(nic_set(nic, 0x0001010E, filter, sizeof(filter)), 0);
}

void nic_open_sub_channels(struct nic *nic, uint32_t count)
{
    uint8_t message[MESSAGE_BYTES] = {133}, answer[MESSAGE_BYTES];
    struct guest_offer offers[NIC_SUB_CHANNELS];

    message[4] = 1;
    message[8] = (uint8_t)count;
    (void)nic_call(nic, message, answer);
    assert_int_equal(get_u32(answer), 133);
    assert_int_equal(get_u32(answer + 4), 1);
    assert_int_equal(get_u32(answer + 8), count);
    for (uint32_t i = 0; i < count; i++) {
        guest_expect_offer(&nic->guest, &offers[i]);
        assert_int_equal(offers[i].sub_channel_index, i + 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        guest_open(&nic->guest, &nic->channels[1 + i], &offers[i], NIC_RING_PAGES, i);
    }
}

uint32_t nic_pack(uint8_t *to, const uint8_t *frame, uint32_t frame_bytes, const uint32_t *types,
                  const uint32_t *values, uint32_t info_count)
{
    uint32_t info_bytes = 16 * info_count;
    uint32_t length = (8 + 36 + info_bytes + frame_bytes + 7) / 8 * 8;

    memset(to, 0, length);
    put_u32(to, 1);
    put_u32(to + 4, length);
    put_u32(to + 8, 36 + info_bytes);
    put_u32(to + 12, frame_bytes);
    put_u32(to + 28, info_count != 0 ? 36 : 0);
    put_u32(to + 32, info_bytes);
    for (uint32_t i = 0; i < info_count; i++) {
        put_u32(to + 44 + 16 * i, 16);
        put_u32(to + 48 + 16 * i, types[i]);
        put_u32(to + 52 + 16 * i, 12);
        put_u32(to + 56 + 16 * i, values[i]);
    }
    memcpy(to + 44 + info_bytes, frame, frame_bytes);
    return length;
}

void nic_send(struct nic *nic, const uint8_t *frame, uint32_t frame_bytes, const uint32_t *types,
              const uint32_t *values, uint32_t info_count)
{
    uint64_t id = nic->next_id++;
    uint32_t length = nic_pack(nic->data, frame, frame_bytes, types, values, info_count);

    assert_true(nic_post_data(nic, &nic->channels[0], id, length));
    assert_int_equal(nic_expect_sent(&nic->channels[0], id), 1);
}

void nic_arrive(struct nic *nic, const struct net_frame *frame)
{
    fake_net_put(&nic->net, frame);
    fake_host_advance(nic->guest.host, 0);
}

bool nic_take_frame(struct nic *nic, struct guest_channel *channel, struct nic_frame *frame)
{
    struct nic_message message;
    const uint8_t *info;
    uint32_t left;

    if (!nic_take(nic, channel, &message)) {
        return false;
    }
    assert_false(message.is_control);
    assert_int_equal(message.type, 1);
    memset(frame->infos, 0xFF, sizeof(frame->infos));
    frame->id = message.id;
    frame->bytes = message.body + get_u32(message.body);
    frame->length = get_u32(message.body + 4);
    assert_in_range(get_u32(message.body), 36, message.length - 8 - frame->length);
    info = message.body + get_u32(message.body + 20);
    /* Linux goes on for ever when one is longer than what is left. */
    for (left = get_u32(message.body + 24); left != 0; left -= get_u32(info), info += get_u32(info)) {
        assert_in_range(left, 16, 16 * NIC_INFOS_MAX);
        assert_int_equal(get_u32(info), 16);
        assert_int_equal(get_u32(info + 8), 12);
        assert_in_range(get_u32(info + 4), 0, 15);
        frame->infos[get_u32(info + 4)] = get_u32(info + 12);
    }
    return true;
}
