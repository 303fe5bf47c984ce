/* SPDX-License-Identifier: MIT */
/*
 * A network adapter on the bus and at a switch, under packets, sound and damaged, of several channels; frames from a
 * peer, a guest that takes its packets late or starts anew, a link and ports that come and go. Holds: each packet that
 * wants it has exactly one completion, of the right form, on its channel; a section of the receive buffer is in one
 * message at a time; messages are of a form that Linux takes; frames are what vmbus/net.h says; memory of the guest
 * that is not for us to write stays as it is; in the end nothing is under way.
 */
#include <stdlib.h>
#include <string.h>

#include "hv/lib/bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/netvsp_guest.h"
#include "vmbus/switch.h"

#define OPERATIONS_MAX  160u
#define RAM_PAGES       512u
#define FIRST_RING_PAGE 16u
#define RECEIVE_PAGES   32u
#define SEND_PAGES      4u
#define DATA_PAGE       400u
#define DATA_PAGES      24u
#define PAGE            4096u
#define CHANNELS        (1u + NIC_SUB_CHANNELS)
#define PACKETS_MAX     1024u
#define SECTIONS_MAX    128u
#define SECTION_BYTES   6144u

/* A packet that was sent; its transaction id is its index and 1. */
struct sent {
    uint32_t channel;
    bool is_due; /* its completion has yet to come */
};

/* A section of the receive buffer that the guest has. */
struct held {
    bool is_held;
    uint32_t channel;
};

static struct nic nic;
static struct net_switch bridge;
static struct switch_port port;
static struct switch_port peer;
static uint32_t channel_count; /* that are open */
static struct sent sent[PACKETS_MAX];
static uint32_t sent_count;
static struct held held[SECTIONS_MAX];
static bool is_set_up;
static bool has_lied; /* the guest gave sections back that it had not read: what is in them is its own fault */
static uint8_t shadow[(DATA_PAGES + SEND_PAGES) * PAGE];

static void arrived(struct net_port *net)
{
    FUZZ_CHECK(net == &port.net);
    netvsp_arrived(&nic.adapter);
}

static void peer_arrived(struct net_port *net)
{
    FUZZ_CHECK(net == &peer.net);
}

/* The guest has written there. */
static void remember(void)
{
    memcpy(shadow, nic.data, DATA_PAGES * PAGE);
    if (is_set_up) {
        memcpy(shadow + DATA_PAGES * PAGE, nic.send, SEND_PAGES * PAGE);
    }
}

static void connect_port(struct switch_port *to, uint8_t flags)
{
    static uint64_t trunk[BITMAP_WORDS(SWITCH_VLANS)];
    const struct switch_port_config config = {
        .user = to == &peer ? SWITCH_UP_LINK : SWITCH_CHILD,
        .vlan = (flags & 0x01) != 0 ? 5 : 0,
        .trunk = (flags & 0x02) != 0 ? trunk : NULL,
    };

    bitmap_set(trunk, 5);
    bitmap_set(trunk, 6);
    switch_disconnect(to);
    FUZZ_CHECK(switch_connect(&bridge, to, &config));
}

static void create(struct fuzz_input *input)
{
    struct netvsp_config config = {
        .port = &port.net,
        .name = "fuzz",
        .address = {2, [5] = NIC_ADDRESS},
        .sub_channels_max = NIC_SUB_CHANNELS,
    };
    uint8_t flags = fuzz_u8(input);

    if (nic.guest.host == NULL) {
        size_t units = (vmbus_storage_bytes() + VMBUS_STORAGE_ALIGNMENT - 1) / VMBUS_STORAGE_ALIGNMENT;

        nic.guest.host = fake_host_create(RAM_PAGES * PAGE);
        nic.guest.bus = aligned_alloc(VMBUS_STORAGE_ALIGNMENT, units * VMBUS_STORAGE_ALIGNMENT);
        FUZZ_CHECK(nic.guest.bus != NULL);
    }
    memset(nic.guest.host->ram + FIRST_RING_PAGE * PAGE, 0, (RAM_PAGES - FIRST_RING_PAGE) * PAGE);
    nic.guest.host->log[0] = '\0';
    nic.guest.host->log_lines = 0;
    fake_now_100ns = 5000000000;
    FUZZ_CHECK(vmbus_create(nic.guest.bus, nic.guest.host, GUEST_VPS) == nic.guest.bus);
    nic.data_page = DATA_PAGE;
    nic.data = nic.guest.host->ram + DATA_PAGE * PAGE;
    nic.receive_pages = RECEIVE_PAGES;
    nic.send_pages = SEND_PAGES;
    port.net.arrived = arrived;
    peer.net.arrived = peer_arrived;
    switch_init(&bridge, SWITCH_EXTERNAL);
    connect_port(&port, flags);
    connect_port(&peer, flags >> 2);
    config.may_change_address = (flags & 0x10) != 0;
    config.bus = nic.guest.bus;
    config.host = nic.guest.host;
    host_vm_lock(nic.guest.host);
    FUZZ_CHECK(netvsp_create(&nic.adapter, &config));
    host_vm_unlock(nic.guest.host);
}

static void take_messages(void)
{
    nic.guest.host->synic.taken = nic.guest.host->synic.posted;
}

/* The guest begins as if it had just been loaded; `form` says how far it goes. */
static void connect(uint8_t form)
{
    static const uint32_t versions[] = {NIC_6_1, NIC_5, NIC_2, NIC_1};

    take_messages();
    nic.guest.next_page = FIRST_RING_PAGE;
    nic.next_id = 0x10000;
    sent_count = 0;
    is_set_up = false;
    has_lied = false;
    memset(held, 0, sizeof(held));
    nic_open(&nic);
    channel_count = 1;
    if ((form & 0x07) != 0) {
        uint32_t version = versions[form >> 3 & 3];

        nic_set_up(&nic, version, version != NIC_1 && (form & 0x20) != 0 ? 3000 : 1500);
        is_set_up = true;
    }
    if ((form & 0x06) != 0) {
        nic_start(&nic);
    }
    remember();
}

/* The completion is what the guest's driver can take. */
static void check_completion(const uint8_t *message, uint32_t length)
{
    uint32_t type = length == 0 ? 0 : get_u32(message);
    uint32_t status = length == 0 ? 0 : get_u32(message + 4);

    FUZZ_CHECK(length == 0 || length == 32 || length == 40);
    FUZZ_CHECK(length == 0 || type == 2 || type == 102 || type == 105 || type == 108 || type == 133);
    FUZZ_CHECK(type != 108 || status == 1 || status == 2 || status == 5);
    FUZZ_CHECK((type != 102 && type != 105 && type != 133) || status == 1 || status == 2);
}

/* A message in the receive buffer. */
static void check_message(const uint8_t *bytes, uint32_t length, bool is_control)
{
    const uint8_t *body = bytes + 8;
    const uint8_t *info;

    FUZZ_CHECK(length >= 8 && get_u32(bytes + 4) == length);
    FUZZ_CHECK((get_u32(bytes) == 1) == !is_control);
    if (is_control) {
        FUZZ_CHECK(get_u32(bytes) == 7 || (get_u32(bytes) & 0x80000000u) != 0);
        return;
    }
    FUZZ_CHECK(length >= 44 && get_u32(body) >= 36 && get_u32(body) <= length - 8);
    FUZZ_CHECK(get_u32(body + 4) >= 14 && get_u32(body + 4) == length - 8 - get_u32(body));
    FUZZ_CHECK(get_u32(body + 4) <= 14 + nic.adapter.mtu);
    info = body + get_u32(body + 20);
    for (uint32_t left = get_u32(body + 24); left != 0; left -= 16, info += 16) {
        FUZZ_CHECK(left >= 16 && get_u32(info) == 16 && get_u32(info + 8) == 12);
    }
    FUZZ_CHECK(get_u32(body + 24) == get_u32(body) - 36);
}

static void take_message(uint32_t channel, const struct guest_packet *packet)
{
    uint32_t section = get_u32(packet->bytes + 28) / nic.section_bytes;
    uint32_t length = get_u32(packet->bytes + 24);

    FUZZ_CHECK(packet->payload_offset == 32 && packet->flags == 1 && get_u32(packet->bytes + 20) == 1);
    FUZZ_CHECK(get_u32(packet->bytes + 28) % nic.section_bytes == 0 && section < nic.section_count);
    FUZZ_CHECK(section < SECTIONS_MAX && (!held[section].is_held || has_lied) && length <= nic.section_bytes);
    FUZZ_CHECK(packet->transaction_id == section + 1);
    FUZZ_CHECK(get_u32(packet->bytes + 32) == 107 && get_u32(packet->bytes + 40) == NIC_NONE);
    if (!has_lied) {
        check_message(nic.receive + section * nic.section_bytes, length, packet->bytes[36] == 1);
    }
    FUZZ_CHECK(packet->bytes[36] == 0 || channel == 0);
    held[section] = (struct held){.is_held = true, .channel = channel};
}

/* Takes a packet of the host; false when there is none. */
static bool take(uint32_t channel)
{
    static struct guest_packet packet;
    struct sent *answered;

    if (!guest_read(&nic.channels[channel], &packet)) {
        return false;
    }
    if (packet.type == 7) {
        take_message(channel, &packet);
    } else if (packet.type == 6) {
        FUZZ_CHECK(channel == 0 && packet.length == 16 + 80 && get_u32(packet.bytes + 16) == 134);
    } else {
        FUZZ_CHECK(packet.type == 11 && packet.flags == 0 && packet.transaction_id - 1 < sent_count);
        answered = &sent[packet.transaction_id - 1];
        FUZZ_CHECK(answered->is_due && answered->channel == channel);
        answered->is_due = false;
        check_completion(packet.bytes + packet.payload_offset, packet.length - packet.payload_offset);
    }
    return true;
}

/* Gives sections back: those whose bit is set, of which there are 64 for all. */
static void give_back(uint64_t bits)
{
    const uint8_t message[8] = {108, [4] = 1};

    for (uint32_t i = 0; i < SECTIONS_MAX; i++) {
        if ((bits >> i % 64 & 1) != 0 && held[i].is_held) {
            held[i].is_held = !guest_write(&nic.channels[held[i].channel], 11, 0, i + 1, NULL, 0, message, 8);
        }
    }
}

/* Writes one RNDIS packet; returns its length. */
static uint32_t make_packet(struct fuzz_input *input, uint8_t *to)
{
    static const uint16_t sizes[] = {0, 1, 64, 500, 1460, 3000, 9000, 30000};
    static const uint32_t types[] = {0, 2, 6, 0, 2, 2, 9, 8};
    static uint8_t frame[65536];
    uint8_t form = fuzz_u8(input);
    uint8_t version = (form & 0x01) != 0 ? 6 : 4;
    uint8_t protocol = (form & 0x02) != 0 ? 17 : 6;
    uint32_t info_types[3], values[3], count = fuzz_below(input, 4);
    uint32_t frame_bytes =
        fake_frame_make(frame, version, protocol, fuzz_u8(input), NIC_ADDRESS, sizes[fuzz_below(input, 8)]);

    for (uint32_t i = 0; i < count; i++) {
        info_types[i] = types[fuzz_below(input, 8)];
        values[i] = info_types[i] == 2   ? (fuzz_u8(input) * 8u + 60u) | (version == 4 ? 34u : 54u) << 20 | 1u << 30
                    : info_types[i] == 0 ? fuzz_u8(input)
                                         : fuzz_u16(input);
    }
    for (uint32_t i = 0; i < (form >> 2 & 3); i++) {
        uint32_t at = fuzz_u8(input) % 100;

        frame[at] = fuzz_u8(input);
    }
    return nic_pack(to, frame, frame_bytes, info_types, values, count);
}

/* Writes a request; returns its length. */
static uint32_t make_request(struct fuzz_input *input, uint8_t *to)
{
    static const uint32_t oids[] = {0x0001010E, 0x0001010F, 0x01010103, 0xFC01020C, 0x00010204, 0x0001021B,
                                    0x00010101, 0x00010114, 0x00010203, 0x00010207, 0x00020216, 0xFC01020D,
                                    0x01010101, 0x00020101, 0x00010106, 0x00FFFFFF};
    uint8_t form = fuzz_u8(input);
    uint32_t length = 28 + fuzz_below(input, 200);

    memset(to, 0, length);
    fuzz_fill(input, to + 28, length - 28 < 64 ? length - 28 : 64);
    put_u32(to, (form & 0x0F) == 0 ? fuzz_u8(input) : 2u + form % 7);
    put_u32(to + 4, (form & 0x30) == 0x30 ? fuzz_u8(input) : length);
    put_u32(to + 8, form);
    put_u32(to + 12, oids[fuzz_below(input, 16)]);
    put_u32(to + 16, (form & 0x40) != 0 ? fuzz_u8(input) : length - 28);
    put_u32(to + 20, (form & 0x80) != 0 ? fuzz_u8(input) : 20);
    return (length + 7) / 8 * 8;
}

/* NVSP but for packets. */
static void make_message(struct fuzz_input *input, uint8_t *message)
{
    static const uint8_t types[] = {1, 100, 101, 103, 104, 106, 125, 129, 131, 133, 135, 250};

    message[0] = types[fuzz_below(input, sizeof(types))];
    fuzz_fill(input, message + 4, 8);
}

static void send(struct fuzz_input *input)
{
    uint8_t message[40] = {107}, ranges[16 + 8 * DATA_PAGES] = {0};
    uint32_t channel = fuzz_below(input, channel_count);
    uint8_t form = fuzz_u8(input);
    uint32_t length = 0, of_section = 0, ranges_bytes = 0;
    bool is_due = (form & 0x0F) != 0;

    if (sent_count == PACKETS_MAX) {
        return;
    }
    put_u32(message + 8, NIC_NONE);
    if ((form & 0xF0) == 0xF0) {
        make_message(input, message);
    } else {
        for (uint32_t i = 0; i < 1u + (form >> 6); i++) {
            if (length > PAGE) {
                break;
            }
            length +=
                (form & 0x30) == 0 ? make_request(input, nic.data + length) : make_packet(input, nic.data + length);
        }
        if (fuzz_below(input, 4) == 0) {
            nic.data[fuzz_u8(input) % length] ^= fuzz_u8(input);
        }
        if (is_set_up && (form & 0x10) != 0) {
            of_section = length < 128 || length > SECTION_BYTES ? 44 : length;
            put_u32(message + 8, fuzz_below(input, 16) == 0 ? fuzz_u8(input) : 1);
            put_u32(message + 12, of_section);
            memcpy(nic.send + SECTION_BYTES, nic.data, of_section);
            memmove(nic.data, nic.data + of_section, length - of_section);
        }
        length -= of_section;
        if (length != 0) {
            put_u32(ranges + 4, 1);
            put_u32(ranges + 8, length);
            for (uint32_t i = 0; i < (length + PAGE - 1) / PAGE; i++) {
                put_u64(ranges + 16 + 8 * i, DATA_PAGE + i);
            }
            ranges_bytes = 16 + 8 * ((length + PAGE - 1) / PAGE);
        }
        remember();
    }
    sent[sent_count] = (struct sent){.channel = channel, .is_due = is_due};
    sent_count++;
    if (!guest_write(&nic.channels[channel], ranges_bytes != 0 ? 9 : 6, is_due, sent_count, ranges, ranges_bytes,
                     message, sizeof(message))) {
        sent_count--;
    }
}

/* The peer sends a frame, to the guest, to all, or to somebody. */
static void peer_send(struct fuzz_input *input)
{
    static const uint16_t sizes[] = {0, 1, 6, 64, 500, 1460, 3000, 8900};
    static uint8_t bytes[NET_FRAME_BYTES_MAX];
    struct net_frame frame = {.bytes = bytes};
    uint8_t form = fuzz_u8(input);
    struct net_layers layers;

    frame.length_bytes =
        fake_frame_make(bytes, (form & 0x01) != 0 ? 6 : 4, (form & 0x02) != 0 ? 17 : 6,
                        (form & 0x0C) != 0 ? NIC_ADDRESS : fuzz_u8(input), 2, sizes[fuzz_below(input, 8)]);
    if ((form & 0x10) != 0) {
        memset(bytes, fuzz_u8(input), 6);
    }
    if ((form & 0x20) != 0) {
        bytes[fuzz_u8(input) % 60] = fuzz_u8(input);
    }
    frame.tag = (form & 0xC0) == 0 ? fuzz_u16(input) : 0;
    net_parse(bytes, frame.length_bytes, true, &layers);
    frame.is_checksum_missing = (form & 0x40) != 0 && layers.protocol != 0;
    frame.is_checksum_good = (form & 0x80) != 0;
    for (uint32_t i = 0; i < 1 + fuzz_below(input, 64); i++) {
        (void)peer.net.operations->send(&peer.net, &frame);
    }
}

/* The peer takes what the guest has sent. */
static void peer_take(void)
{
    struct net_frame frame;

    while (peer.net.operations->take(&peer.net, &frame)) {
        struct net_layers layers;

        FUZZ_CHECK(frame.length_bytes >= 14 && frame.length_bytes <= 14 + 3000);
        FUZZ_CHECK((frame.bytes[6] & 1) == 0);
        FUZZ_CHECK(nic.adapter.config.may_change_address || (frame.bytes[6] == 2 && frame.bytes[11] == NIC_ADDRESS));
        net_parse(frame.bytes, frame.length_bytes, true, &layers);
        FUZZ_CHECK(!frame.is_checksum_missing || layers.protocol != 0);
        net_fill_checksum(frame.bytes, &layers);
    }
}

static void open_sub_channels(void)
{
    if (nic.adapter.version >= NIC_5 && nic.adapter.sub_channel_count == 0 && channel_count == 1) {
        while (take(0)) {
        }
        take_messages();
        nic_open_sub_channels(&nic, NIC_SUB_CHANNELS);
        channel_count = CHANNELS;
    }
}

static void operate(struct fuzz_input *input)
{
    uint32_t count;

    switch (fuzz_below(input, 16)) {
    case 0:
        peer_send(input);
        break;
    case 1:
        fake_host_advance(nic.guest.host, fuzz_u8(input));
        break;
    case 2:
    case 3:
        count = fuzz_below(input, 64);
        for (uint32_t i = 0; i < channel_count; i++) {
            for (uint32_t k = 0; k < count && take(i); k++) {
            }
        }
        break;
    case 4:
        give_back(fuzz_u64(input));
        break;
    case 5:
        connect(fuzz_u8(input));
        break;
    case 6:
        open_sub_channels();
        break;
    case 7:
        host_vm_lock(nic.guest.host);
        netvsp_set_link(&nic.adapter, fuzz_below(input, 4) != 0);
        host_vm_unlock(nic.guest.host);
        break;
    case 8:
        count = fuzz_u8(input);
        connect_port((count & 0x80) != 0 ? &port : &peer, (uint8_t)count);
        break;
    case 9:
        (void)guest_write(&nic.channels[0], 11, 0, fuzz_u8(input), NULL, 0, "l\0\0\0\1\0\0\0", 8);
        has_lied = true;
        break;
    default:
        send(input);
        break;
    }
    peer_take();
    guest_let_call_back(&nic.guest);
    /* Whoever broke the protocol has lost the device until it connects again. */
    if (guest_channel_state(&nic.guest, nic.channels[0].relid) != VMBUS_CHANNEL_OPEN) {
        connect(fuzz_u8(input));
    }
}

/* Sections are where they are counted, and memory is as the guest has left it. */
static void check(void)
{
    const struct netvsp *adapter = &nic.adapter;
    uint32_t used = 0;

    FUZZ_CHECK(!nic.guest.host->is_locked && bridge.lock == 0);
    for (uint32_t i = 0; i < NETVSP_SECTIONS_MAX; i++) {
        used += adapter->section_channels[i] != 0;
    }
    FUZZ_CHECK(adapter->receive_buffer != NULL ? used + adapter->free_section_count == nic.section_count
                                               : used + adapter->free_section_count == 0);
    FUZZ_CHECK(memcmp(shadow, nic.data, DATA_PAGES * PAGE) == 0);
    FUZZ_CHECK(!is_set_up || memcmp(shadow + DATA_PAGES * PAGE, nic.send, SEND_PAGES * PAGE) == 0);
}

/* Everything that is due is answered, and nothing is left. */
static void finish(void)
{
    bool is_going = true;

    while (is_going) {
        is_going = false;
        fake_host_advance(nic.guest.host, 0);
        for (uint32_t i = 0; i < channel_count; i++) {
            while (take(i)) {
                is_going = true;
            }
        }
        give_back(UINT64_MAX);
    }
    if (guest_channel_state(&nic.guest, nic.channels[0].relid) == VMBUS_CHANNEL_OPEN) {
        for (uint32_t i = 0; i < sent_count; i++) {
            FUZZ_CHECK(!sent[i].is_due);
        }
    }
    check();
    switch_disconnect(&port);
    switch_disconnect(&peer);
    host_vm_lock(nic.guest.host);
    vmbus_destroy(nic.guest.bus);
    netvsp_destroy(&nic.adapter);
    host_vm_unlock(nic.guest.host);
    FUZZ_CHECK(netvsp_is_quiet(&nic.adapter));
    FUZZ_CHECK(fake_host_armed_timers(nic.guest.host) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};

    create(&input);
    connect(fuzz_u8(&input));
    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        operate(&input);
        check();
    }
    finish();
    return 0;
}
