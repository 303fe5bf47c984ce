/* SPDX-License-Identifier: MIT */
/*
 * What the guest sends: finds the RNDIS messages of a packet, reads each once, and gives frames to the network. Large
 * sends are cut into frames here, since no receiver takes them whole.
 */
#include "hv/lib/be.h"
#include "hv/lib/bytes.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/netvsp/netvsp.h"
#include "vmbus/netvsp/netvsp_parts.h"
#include "vmbus/proto/netvsp.h"
#include "vmbus/proto/rndis.h"

#define TYPE_OFFSET       12u
#define TYPE_TAG          0x8100u
#define TAG_BYTES         4u
/* A packet may be cut into about a thousand frames. */
#define SEGMENT_BYTES_MIN 64u
#define IP4_LENGTH        2u
#define IP4_ID            4u
#define IP6_LENGTH        4u
#define IP6_BYTES         40u
#define TCP_BYTES         20u
#define TCP_SEQUENCE      4u
#define TCP_DATA_OFFSET   12u
#define TCP_FLAGS         13u
#define TCP_FIN_PUSH      0x09u
#define TCP_CWR           0x80u

/* Where the bytes of a packet lie: in the send buffer, then in ranges of memory. */
struct source {
    const struct gpadl *buffer;
    uint32_t buffer_at;
    uint32_t buffer_left;
    struct gpa_cursor cursor;
    uint64_t ranges_left;
};

/* What the guest says of a frame beside its bytes. */
struct frame_info {
    uint32_t checksums;  /* RNDIS_CHECKSUM_... */
    uint32_t large_send; /* RNDIS_LARGE_SEND_...; 0: none */
    uint32_t tag;        /* RNDIS_INFO_TAG; 0: none */
};

/* False when the section that the message names is not inside of the send buffer. */
static bool open_source(const struct netvsp *adapter, const struct nvsp_message *message,
                        const struct gpa_ranges *ranges, struct source *source)
{
    uint32_t index = message->rndis_packet.section_index;

    *source = (struct source){.buffer = adapter->send_buffer, .ranges_left = ranges->total_bytes};
    gpa_cursor_start(&source->cursor, ranges);
    if (index == NVSP_NO_SECTION) {
        return true;
    }
    if (adapter->send_buffer == NULL || message->rndis_packet.section_bytes > NETVSP_SEND_SECTION_BYTES ||
        !range_mul_u32(index, NETVSP_SEND_SECTION_BYTES, &source->buffer_at)) {
        return false;
    }
    source->buffer_left = message->rndis_packet.section_bytes;
    return range_contains(0, gpadl_length_bytes(adapter->send_buffer), source->buffer_at, source->buffer_left);
}

static uint64_t left(const struct source *source)
{
    return source->buffer_left + source->ranges_left;
}

/* Copies the next bytes, which are there. */
static void read(struct source *source, void *to, uint32_t length_bytes)
{
    uint32_t of_buffer = min_u32(length_bytes, source->buffer_left);

    if (of_buffer != 0 && gpadl_read(source->buffer, source->buffer_at, to, of_buffer)) {
        source->buffer_at += of_buffer;
        source->buffer_left -= of_buffer;
    }
    source->ranges_left -= gpa_cursor_read(&source->cursor, (uint8_t *)to + of_buffer, length_bytes - of_buffer);
}

/* Passes over the next bytes, which are there. */
static void skip(struct source *source, uint64_t length_bytes)
{
    uint32_t of_buffer = (uint32_t)min_u64(length_bytes, source->buffer_left);
    uint64_t of_ranges = length_bytes - of_buffer;
    struct gpa_piece piece;

    source->buffer_at += of_buffer;
    source->buffer_left -= of_buffer;
    while (of_ranges != 0 && gpa_cursor_next(&source->cursor, (uint32_t)min_u64(of_ranges, UINT32_MAX), &piece)) {
        of_ranges -= piece.length_bytes;
        source->ranges_left -= piece.length_bytes;
    }
}

/* Reads the per-packet information; false when it is malformed. */
static bool parse_info(const uint8_t *bytes, uint32_t length_bytes, struct frame_info *info)
{
    while (length_bytes != 0) {
        struct rndis_packet_info head;
        uint32_t value;

        if (length_bytes < sizeof(head) + sizeof(value)) {
            return false;
        }
        memcpy(&head, bytes, sizeof(head));
        if (head.size_bytes > length_bytes || head.offset_bytes < sizeof(head) ||
            !range_contains(0, head.size_bytes, head.offset_bytes, sizeof(value))) {
            return false;
        }
        value = get_u32(bytes + head.offset_bytes);
        if (head.type == RNDIS_INFO_CHECKSUM) {
            info->checksums = value;
        } else if (head.type == RNDIS_INFO_LARGE_SEND) {
            info->large_send = value;
        } else if (head.type == RNDIS_INFO_TAG) {
            info->tag = value;
        }
        bytes += head.size_bytes;
        length_bytes -= head.size_bytes;
    }
    return true;
}

/* Gives a frame to the network. */
static void send(struct netvsp *adapter, const struct net_frame *frame)
{
    struct net_port *port = adapter->config.port;

    adapter->frames_left -= adapter->frames_left != 0;
    if (adapter->is_link_up && port->operations != NULL && port->operations->send(port, frame)) {
        adapter->counts.sent++;
    } else {
        adapter->counts.send_drops++;
    }
}

/* Takes the tag of a frame from its bytes, unless it came beside them. */
static void take_tag(struct net_frame *frame, const struct frame_info *info)
{
    frame->tag = (uint16_t)RNDIS_TAG_TO_TCI(info->tag);
    if (info->tag == 0 && frame->length_bytes >= NET_HEADER_BYTES + TAG_BYTES &&
        get_be16(frame->bytes + TYPE_OFFSET) == TYPE_TAG) {
        frame->tag = get_be16(frame->bytes + NET_HEADER_BYTES);
        memmove(frame->bytes + TAG_BYTES, frame->bytes, TYPE_OFFSET);
        frame->bytes += TAG_BYTES;
        frame->length_bytes -= TAG_BYTES;
    }
}

/* The guest may send from this address: its own, unless others are allowed, and never that of a group. */
static bool is_source_allowed(const struct netvsp *adapter, const struct net_frame *frame)
{
    const uint8_t *address = frame->bytes + NET_ADDRESS_BYTES;

    return (address[0] & 1) == 0 &&
           (adapter->config.may_change_address || memcmp(address, adapter->config.address, NET_ADDRESS_BYTES) == 0);
}

/* Sends a frame that goes as it is; false when that cannot be. */
static bool send_frame(struct netvsp *adapter, struct source *source, uint32_t length_bytes,
                       const struct frame_info *info)
{
    struct net_frame frame = {.bytes = adapter->message, .length_bytes = length_bytes};
    struct net_layers layers;
    uint32_t transport = info->checksums & (RNDIS_CHECKSUM_TCP | RNDIS_CHECKSUM_UDP);

    if (length_bytes < NET_HEADER_BYTES || length_bytes > NET_HEADER_BYTES + TAG_BYTES + adapter->mtu) {
        return false;
    }
    read(source, frame.bytes, length_bytes);
    take_tag(&frame, info);
    if (frame.length_bytes > NET_HEADER_BYTES + adapter->mtu || !is_source_allowed(adapter, &frame)) {
        return false;
    }
    net_parse(frame.bytes, frame.length_bytes, true, &layers);
    if ((info->checksums & RNDIS_CHECKSUM_IP) != 0) {
        net_fill_ip_checksum(frame.bytes, &layers);
    }
    if (transport != 0) {
        if (layers.protocol != (transport == RNDIS_CHECKSUM_TCP ? NET_PROTOCOL_TCP : NET_PROTOCOL_UDP)) {
            return false;
        }
        frame.is_checksum_missing = true;
    }
    send(adapter, &frame);
    return true;
}

/* Writes into the headers of a segment what is different from those of the whole. */
static void write_headers(uint8_t *bytes, const struct net_layers *layers, uint32_t length_bytes, uint32_t sequence,
                          uint32_t id, uint8_t flags)
{
    uint8_t *network = bytes + layers->network_offset;

    if (layers->version == 4) {
        put_be16(network + IP4_LENGTH, length_bytes - layers->network_offset);
        put_be16(network + IP4_ID, id);
        net_fill_ip_checksum(bytes, layers);
    } else {
        put_be16(network + IP6_LENGTH, length_bytes - layers->network_offset - IP6_BYTES);
    }
    put_be32(bytes + layers->transport_offset + TCP_SEQUENCE, sequence);
    bytes[layers->transport_offset + TCP_FLAGS] = flags;
}

/* Sends the data, of which the first segment has all headers, in frames of `segment_bytes` of data. */
static void send_segments(struct netvsp *adapter, struct source *source, struct net_frame *frame,
                          const struct net_layers *layers, uint32_t data_bytes, uint32_t segment_bytes)
{
    uint8_t *transport = frame->bytes + layers->transport_offset;
    uint32_t header_bytes = layers->transport_headers;
    uint32_t sequence = get_be32(transport + TCP_SEQUENCE);
    uint32_t id = get_be16(frame->bytes + layers->network_offset + IP4_ID);
    uint8_t flags = transport[TCP_FLAGS];

    for (uint32_t done = 0; done < data_bytes; done += segment_bytes) {
        uint32_t now_bytes = min_u32(segment_bytes, data_bytes - done);
        uint8_t not_here =
            (uint8_t)((done != 0 ? TCP_CWR : 0) | (data_bytes - done > segment_bytes ? TCP_FIN_PUSH : 0));

        read(source, frame->bytes + header_bytes, now_bytes);
        frame->length_bytes = header_bytes + now_bytes;
        write_headers(frame->bytes, layers, frame->length_bytes, sequence + done, id++, (uint8_t)(flags & ~not_here));
        send(adapter, frame);
    }
}

/* Reads the headers of a large send into the frame, as far as the guest says that they go; false when they do not. */
static bool read_headers(struct source *source, uint32_t length_bytes, uint32_t large_send, struct net_frame *frame)
{
    uint32_t fixed_bytes = (large_send >> 20 & 0x3FFu) + TCP_BYTES;
    uint32_t all_bytes;

    if (fixed_bytes > NETVSP_HEADERS_BYTES_MAX || fixed_bytes > length_bytes) {
        return false;
    }
    read(source, frame->bytes, fixed_bytes);
    all_bytes = fixed_bytes - TCP_BYTES + (uint32_t)(frame->bytes[fixed_bytes - TCP_BYTES + TCP_DATA_OFFSET] >> 4) * 4;
    if (all_bytes < fixed_bytes || all_bytes > length_bytes) {
        return false;
    }
    read(source, frame->bytes + fixed_bytes, all_bytes - fixed_bytes);
    frame->length_bytes = all_bytes;
    return true;
}

/* Cuts a frame and sends the pieces; false when that cannot be. */
static bool send_large(struct netvsp *adapter, struct source *source, uint32_t length_bytes,
                       const struct frame_info *info)
{
    struct net_frame frame = {.bytes = adapter->message, .is_checksum_missing = true};
    uint32_t segment_bytes = RNDIS_LARGE_SEND_BYTES(info->large_send);
    struct net_layers layers;
    uint32_t data_bytes;

    if ((info->large_send & RNDIS_LARGE_SEND_V2) == 0 || segment_bytes < SEGMENT_BYTES_MIN ||
        segment_bytes > adapter->mtu || length_bytes > NETVSP_LARGE_SEND_BYTES_MAX + NETVSP_HEADERS_BYTES_MAX ||
        !read_headers(source, length_bytes, info->large_send, &frame)) {
        return false;
    }
    data_bytes = length_bytes - frame.length_bytes;
    take_tag(&frame, info);
    net_parse(frame.bytes, frame.length_bytes, false, &layers);
    if (layers.protocol != NET_PROTOCOL_TCP || layers.transport_headers != frame.length_bytes || data_bytes == 0 ||
        frame.length_bytes + segment_bytes > NET_HEADER_BYTES + adapter->mtu || !is_source_allowed(adapter, &frame)) {
        return false;
    }
    send_segments(adapter, source, &frame, &layers, data_bytes, segment_bytes);
    return true;
}

/* Takes a message with a frame, of `body_bytes` behind its header; false when it is malformed. */
static bool take_packet(struct netvsp *adapter, struct source *source, uint32_t body_bytes)
{
    uint8_t head[NETVSP_HEAD_BYTES_MAX];
    struct rndis_packet packet;
    struct frame_info info = {0};

    if (body_bytes < sizeof(packet)) {
        return false;
    }
    read(source, head, sizeof(packet));
    memcpy(&packet, head, sizeof(packet));
    if (packet.data_offset_bytes < sizeof(packet) || packet.data_offset_bytes > sizeof(head) ||
        !range_contains(0, body_bytes, packet.data_offset_bytes, packet.data_bytes)) {
        return false;
    }
    read(source, head + sizeof(packet), packet.data_offset_bytes - (uint32_t)sizeof(packet));
    if (!range_contains(0, packet.data_offset_bytes, packet.info_offset_bytes, packet.info_bytes) ||
        !parse_info(head + packet.info_offset_bytes, packet.info_bytes, &info)) {
        return false;
    }
    if (info.large_send != 0 ? !send_large(adapter, source, packet.data_bytes, &info)
                             : !send_frame(adapter, source, packet.data_bytes, &info)) {
        adapter->counts.send_errors++;
    }
    return true;
}

/* Takes the next message, whole. False: it is malformed, or not for this channel. */
static bool take_message(struct netvsp_channel *channel, struct source *source)
{
    struct netvsp *adapter = channel->adapter;
    struct rndis_header header;
    uint32_t body_bytes;
    uint64_t behind;
    bool is_good;

    if (left(source) < sizeof(header)) {
        return false;
    }
    read(source, &header, sizeof(header));
    if (header.length_bytes < sizeof(header) || header.length_bytes - sizeof(header) > left(source)) {
        return false;
    }
    body_bytes = header.length_bytes - (uint32_t)sizeof(header);
    behind = left(source) - body_bytes;
    if (header.type == RNDIS_PACKET) {
        is_good = adapter->is_initialized && take_packet(adapter, source, body_bytes);
    } else {
        is_good = channel == &adapter->channels[0] && body_bytes <= sizeof(adapter->request);
        if (is_good) {
            read(source, adapter->request, body_bytes);
            is_good = netvsp_request(adapter, header.type, body_bytes);
        }
    }
    skip(source, left(source) - behind);
    return is_good;
}

uint32_t netvsp_transmit(struct netvsp_channel *channel, const struct nvsp_message *message,
                         const struct gpa_ranges *ranges)
{
    struct source source;
    uint32_t count = 0;

    if (!open_source(channel->adapter, message, ranges, &source)) {
        return NVSP_STATUS_FAIL;
    }
    do {
        if (count++ == NETVSP_MESSAGES_MAX || !take_message(channel, &source)) {
            return NVSP_STATUS_INVALID_RNDIS;
        }
    } while (left(&source) != 0);
    return NVSP_STATUS_SUCCESS;
}
