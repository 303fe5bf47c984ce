/* SPDX-License-Identifier: MIT */
/* Checks packets from the guest and takes them apart, ranges of guest memory included. */
#include "vmbus/packet.h"

#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/vsp.h"
#include "vmbus/window.h"

enum refusal packet_check_header(const struct vmbus_packet_header *header, uint32_t available_bytes)
{
    uint32_t least8 = sizeof(*header) / 8;

    if (header->type == VMBUS_PACKET_GPA_DIRECT) {
        least8 += sizeof(struct vmbus_gpa_direct_header) / 8;
    } else if (header->type != VMBUS_PACKET_IN_BAND && header->type != VMBUS_PACKET_COMPLETION) {
        return REFUSE_PACKET_TYPE;
    }
    if ((header->flags & ~VMBUS_PACKET_FLAG_COMPLETION_REQUESTED) != 0) {
        return REFUSE_PACKET_TYPE;
    }
    if (header->offset8 < least8 || header->length8 < header->offset8 || packet_ring_bytes(header) > available_bytes) {
        return REFUSE_PACKET_LENGTH;
    }
    return REFUSE_NONE;
}

/* All pages of a range are the guest's RAM. `numbers` are its page numbers, not aligned. */
static bool are_pages_ram(struct host_vm *host, const uint8_t *numbers, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t page;

        memcpy(&page, numbers + i * sizeof(page), sizeof(page));
        if (window_page(host, page) == NULL) {
            return false;
        }
    }
    return true;
}

/* The ranges between `bytes` and `bytes + length_bytes`, whose number the guest claims to be ranges->range_count. */
static bool check_ranges(struct gpa_ranges *ranges, uint32_t length_bytes)
{
    uint32_t at = 0;

    ranges->total_bytes = 0;
    for (uint32_t i = 0; i < ranges->range_count; i++) {
        struct vmbus_range range;
        uint32_t end_bytes;
        uint64_t page_count;

        if (!range_contains(0, length_bytes, at, sizeof(range))) {
            return false;
        }
        memcpy(&range, ranges->bytes + at, sizeof(range));
        at += (uint32_t)sizeof(range);
        if (range.byte_count == 0 || range.byte_offset >= PAGE_SIZE ||
            !range_add_u32(range.byte_offset, range.byte_count, &end_bytes)) {
            return false;
        }
        page_count = pages_from_bytes(end_bytes);
        if (!range_contains(0, length_bytes, at, page_count * sizeof(uint64_t)) ||
            !are_pages_ram(ranges->host, ranges->bytes + at, page_count)) {
            return false;
        }
        at += (uint32_t)(page_count * sizeof(uint64_t));
        ranges->total_bytes += range.byte_count;
    }
    return ranges->range_count != 0;
}

enum refusal packet_parse(struct host_vm *host, const void *buffer, struct vsp_packet *packet)
{
    const uint8_t *bytes = buffer;
    struct vmbus_packet_header header;
    uint32_t offset_bytes;

    memcpy(&header, bytes, sizeof(header));
    offset_bytes = header.offset8 * 8u;
    *packet = (struct vsp_packet){
        .type = header.type,
        /* Real hosts answer no packet with id 0, whatever its flags are. */
        .wants_completion = (header.flags & VMBUS_PACKET_FLAG_COMPLETION_REQUESTED) != 0 && header.transaction_id != 0,
        .transaction_id = header.transaction_id,
        .payload = bytes + offset_bytes,
        .payload_bytes = header.length8 * 8u - offset_bytes,
        .ranges = {.host = host},
    };
    if (header.type == VMBUS_PACKET_GPA_DIRECT) {
        struct vmbus_gpa_direct_header direct;
        uint32_t before_ranges = (uint32_t)(sizeof(header) + sizeof(direct));

        memcpy(&direct, bytes + sizeof(header), sizeof(direct));
        packet->ranges.bytes = bytes + before_ranges;
        packet->ranges.range_count = direct.range_count;
        if (!check_ranges(&packet->ranges, offset_bytes - before_ranges)) {
            return REFUSE_PACKET_RANGES;
        }
    }
    return REFUSE_NONE;
}
