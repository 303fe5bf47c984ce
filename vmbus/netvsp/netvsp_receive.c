/* SPDX-License-Identifier: MIT */
/*
 * What the guest gets: frames of the network and answers, each an RNDIS message in a section of the guest's receive
 * buffer, which is ours again when the guest has said that it has read it.
 */
#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/netvsp/netvsp.h"
#include "vmbus/netvsp/netvsp_parts.h"
#include "vmbus/proto/netvsp.h"
#include "vmbus/proto/rndis.h"

/* Frames that are looked at in one turn. */
#define TURN_FRAMES       256u
#define SECTIONS_MIN      (2 * NETVSP_SECTIONS_SPARE)
#define SECTION_ALIGNMENT 64u
#define INFO_COUNT_MAX    3u

/* One piece of per-packet information. */
struct info {
    struct rndis_packet_info head;
    uint32_t value;
};
_Static_assert(sizeof(struct info) == 16, "info");

/* What lies before a frame. */
struct frame_head {
    struct rndis_header header;
    struct rndis_packet packet;
    struct info infos[INFO_COUNT_MAX];
};

bool netvsp_use_receive_buffer(struct netvsp *adapter, struct gpadl *buffer, uint16_t id)
{
    uint32_t section_bytes =
        (uint32_t)align_up_u64(sizeof(struct frame_head) + NET_HEADER_BYTES + adapter->mtu, SECTION_ALIGNMENT);
    uint32_t count = min_u32(gpadl_length_bytes(buffer) / section_bytes, NETVSP_SECTIONS_MAX);

    if (count < SECTIONS_MIN) {
        return false;
    }
    adapter->receive_buffer = buffer;
    adapter->receive_buffer_id = id;
    adapter->section_bytes = section_bytes;
    adapter->free_section_count = count;
    memset(adapter->section_channels, 0, sizeof(adapter->section_channels));
    for (uint32_t i = 0; i < count; i++) {
        adapter->free_sections[i] = (uint16_t)(count - 1 - i);
    }
    return true;
}

void netvsp_drop_receive_buffer(struct netvsp *adapter)
{
    if (adapter->receive_buffer != NULL) {
        vsp_put_gpadl(&adapter->channels[0].vsp, adapter->receive_buffer);
        adapter->receive_buffer = NULL;
        adapter->free_section_count = 0;
        memset(adapter->section_channels, 0, sizeof(adapter->section_channels));
    }
}

static uint8_t owner_of(const struct netvsp_channel *channel)
{
    return (uint8_t)(channel - channel->adapter->channels + 1);
}

static void free_section(struct netvsp *adapter, uint32_t section)
{
    adapter->section_channels[section] = 0;
    adapter->free_sections[adapter->free_section_count++] = (uint16_t)section;
}

void netvsp_free_section(struct netvsp_channel *channel, uint64_t transaction_id)
{
    struct netvsp *adapter = channel->adapter;
    uint64_t section = transaction_id - 1;

    if (section < NETVSP_SECTIONS_MAX && adapter->section_channels[section] == owner_of(channel)) {
        free_section(adapter, (uint32_t)section);
    }
}

void netvsp_free_sections(struct netvsp_channel *channel)
{
    struct netvsp *adapter = channel->adapter;

    for (uint32_t section = 0; section < NETVSP_SECTIONS_MAX; section++) {
        if (adapter->section_channels[section] == owner_of(channel)) {
            free_section(adapter, section);
        }
    }
}

/* Puts a message of two pieces, the second of which may be empty, into a section and tells the guest. */
static bool deliver(struct netvsp_channel *channel, uint32_t channel_type, const void *head, uint32_t head_bytes,
                    const void *data, uint32_t data_bytes)
{
    struct netvsp *adapter = channel->adapter;
    uint32_t spare = channel_type == NVSP_CHANNEL_TYPE_DATA ? NETVSP_SECTIONS_SPARE : 0;
    struct nvsp_message message = {
        .type = NVSP_SEND_RNDIS_PACKET,
        .rndis_packet = {.channel_type = channel_type, .section_index = NVSP_NO_SECTION},
    };
    struct {
        struct vmbus_transfer_pages_header header;
        struct vmbus_range range;
    } pages = {.header = {.page_set_id = adapter->receive_buffer_id, .range_count = 1}};
    struct vsp_write write = {
        .type = VMBUS_PACKET_TRANSFER_PAGES,
        .flags = VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
        .extension = &pages,
        .extension_bytes = sizeof(pages),
        .payload = &message,
        .payload_bytes = adapter->version < NVSP_VERSION_6_1 ? NVSP_MESSAGE_BYTES : NVSP_MESSAGE_6_1_BYTES,
    };
    uint32_t section;

    if (adapter->receive_buffer == NULL || adapter->free_section_count <= spare) {
        return false;
    }
    section = adapter->free_sections[adapter->free_section_count - 1];
    pages.range = (struct vmbus_range){head_bytes + data_bytes, section * adapter->section_bytes};
    write.transaction_id = section + 1;
    if (!gpadl_write(adapter->receive_buffer, pages.range.byte_offset, head, head_bytes) ||
        (data_bytes != 0 &&
         !gpadl_write(adapter->receive_buffer, pages.range.byte_offset + head_bytes, data, data_bytes)) ||
        vsp_write_packet(&channel->vsp, &write) != VSP_OK) {
        return false;
    }
    adapter->free_section_count--;
    adapter->section_channels[section] = owner_of(channel);
    return true;
}

static bool is_in_list(const struct netvsp *adapter, const uint8_t *address)
{
    for (uint32_t i = 0; i < adapter->multicast_count; i++) {
        if (memcmp(adapter->multicast[i], address, NET_ADDRESS_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* The guest wants frames to this address. */
static bool is_wanted(const struct netvsp *adapter, const uint8_t *address)
{
    static const uint8_t broadcast[NET_ADDRESS_BYTES] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    uint32_t filter = adapter->filter;

    if ((filter & NDIS_FILTER_PROMISCUOUS) != 0) {
        return true;
    }
    if (memcmp(address, broadcast, sizeof(broadcast)) == 0) {
        return (filter & NDIS_FILTER_BROADCAST) != 0;
    }
    if ((address[0] & 1) != 0) {
        return (filter & NDIS_FILTER_ALL_MULTICAST) != 0 ||
               ((filter & NDIS_FILTER_MULTICAST) != 0 && is_in_list(adapter, address));
    }
    return (filter & NDIS_FILTER_DIRECTED) != 0 && memcmp(address, adapter->address, NET_ADDRESS_BYTES) == 0;
}

/* Adds a piece of information; behind the last one the data begins. */
static void add_info(struct frame_head *head, uint32_t type, uint32_t value)
{
    uint32_t index = head->packet.info_bytes / (uint32_t)sizeof(struct info);

    head->packet.info_offset_bytes = sizeof(head->packet);
    head->packet.info_bytes += (uint32_t)sizeof(struct info);
    head->infos[index] = (struct info){{sizeof(struct info), type, sizeof(struct rndis_packet_info)}, value};
}

/*
 * Says of the checksum that it is good, where it is and the guest goes by that; else writes what is missing, so that
 * the guest can look itself.
 */
static void settle_checksum(const struct netvsp *adapter, const struct net_frame *frame,
                            const struct net_layers *layers, struct frame_head *head)
{
    bool is_tcp = layers->protocol == NET_PROTOCOL_TCP;
    uint32_t bit = (is_tcp ? NETVSP_RECEIVE_TCP4 : NETVSP_RECEIVE_UDP4) << (layers->version == 6 ? 2 : 0);

    if (layers->protocol != 0 && (adapter->receive_checksums & bit) != 0) {
        if (frame->is_checksum_missing || frame->is_checksum_good) {
            add_info(head, RNDIS_INFO_CHECKSUM, is_tcp ? RNDIS_CHECKSUM_TCP_GOOD : RNDIS_CHECKSUM_UDP_GOOD);
        }
    } else if (frame->is_checksum_missing) {
        net_fill_checksum(frame->bytes, layers);
    }
}

/* The channel for a frame. */
static struct netvsp_channel *choose_channel(struct netvsp *adapter, const struct net_frame *frame,
                                             const struct net_layers *layers, struct frame_head *head)
{
    struct netvsp_channel *channel = &adapter->channels[0];
    uint32_t hash;

    if (rss_hash(&adapter->rss, frame->bytes, layers, &hash)) {
        add_info(head, RNDIS_INFO_HASH, hash);
        channel = &adapter->channels[adapter->rss.table[hash & (adapter->rss.table_entries - 1)]];
    }
    return channel->is_open ? channel : &adapter->channels[0];
}

static void receive_frame(struct netvsp *adapter, const struct net_frame *frame)
{
    struct frame_head head = {.header.type = RNDIS_PACKET};
    struct netvsp_channel *channel;
    struct net_layers layers;
    uint32_t head_bytes;

    if (!adapter->is_initialized || !adapter->is_link_up || !is_wanted(adapter, frame->bytes)) {
        return;
    }
    if (frame->length_bytes > NET_HEADER_BYTES + adapter->mtu) {
        adapter->counts.receive_errors++;
        return;
    }
    net_parse(frame->bytes, frame->length_bytes, true, &layers);
    settle_checksum(adapter, frame, &layers, &head);
    channel = choose_channel(adapter, frame, &layers, &head);
    if (frame->tag != 0) {
        add_info(&head, RNDIS_INFO_TAG, RNDIS_TAG_FROM_TCI((uint32_t)frame->tag));
    }
    head_bytes = (uint32_t)(sizeof(head.header) + sizeof(head.packet)) + head.packet.info_bytes;
    head.packet.data_offset_bytes = head_bytes - (uint32_t)sizeof(head.header);
    head.packet.data_bytes = frame->length_bytes;
    head.header.length_bytes = head_bytes + frame->length_bytes;
    if (deliver(channel, NVSP_CHANNEL_TYPE_DATA, &head, head_bytes, frame->bytes, frame->length_bytes)) {
        adapter->counts.received++;
    } else {
        adapter->counts.receive_drops++;
    }
}

bool netvsp_receive(struct netvsp *adapter)
{
    struct net_port *port = adapter->config.port;
    struct net_frame frame;

    for (uint32_t i = 0; i < TURN_FRAMES; i++) {
        if (port->operations == NULL || !port->operations->take(port, &frame)) {
            return false;
        }
        receive_frame(adapter, &frame);
    }
    return true;
}

struct netvsp_answer *netvsp_new_answer(struct netvsp *adapter)
{
    struct netvsp_answer *answer = &adapter->answers[adapter->answer_count];

    if (adapter->answer_count == NETVSP_ANSWERS_MAX) {
        return NULL;
    }
    adapter->answer_count++;
    memset(answer, 0, sizeof(*answer));
    return answer;
}

/* Has the guest told of the link, if it does not know. */
static void tell_link(struct netvsp *adapter)
{
    const struct rndis_header header = {RNDIS_INDICATE, sizeof(header) + sizeof(struct rndis_indicate)};
    const struct rndis_indicate indicate = {
        .status = adapter->is_link_up ? RNDIS_STATUS_MEDIA_CONNECT : RNDIS_STATUS_MEDIA_DISCONNECT,
    };
    struct netvsp_answer *answer;

    if (!adapter->is_initialized || adapter->is_link_told == adapter->is_link_up) {
        return;
    }
    answer = netvsp_new_answer(adapter);
    if (answer != NULL) {
        adapter->is_link_told = adapter->is_link_up;
        memcpy(answer->bytes, &header, sizeof(header));
        memcpy(answer->bytes + sizeof(header), &indicate, sizeof(indicate));
        answer->length_bytes = header.length_bytes;
    }
}

void netvsp_send_answers(struct netvsp *adapter)
{
    uint32_t sent = 0;

    tell_link(adapter);
    while (sent < adapter->answer_count &&
           deliver(&adapter->channels[0], NVSP_CHANNEL_TYPE_CONTROL, adapter->answers[sent].bytes,
                   adapter->answers[sent].length_bytes, NULL, 0)) {
        sent++;
    }
    adapter->answer_count -= sent;
    memmove(adapter->answers, adapter->answers + sent, adapter->answer_count * sizeof(adapter->answers[0]));
}
