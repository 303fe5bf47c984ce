/* SPDX-License-Identifier: MIT */
/*
 * Walks over the ranges of a GPA-direct packet, which packet.c has checked. The ranges lie in a buffer of ours; only
 * the memory that they name is the guest's.
 */
#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/proto/ring_format.h"
#include "vmbus/vsp.h"
#include "vmbus/window.h"

void gpa_cursor_start(struct gpa_cursor *cursor, const struct gpa_ranges *ranges)
{
    *cursor = (struct gpa_cursor){.ranges = ranges};
}

static struct vmbus_range current_range(const struct gpa_cursor *cursor)
{
    struct vmbus_range range;

    memcpy(&range, cursor->ranges->bytes + cursor->range_at, sizeof(range));
    return range;
}

/* Number of page `index` of the current range. */
static uint64_t page_number(const struct gpa_cursor *cursor, uint32_t index)
{
    uint64_t page;

    memcpy(&page, cursor->ranges->bytes + cursor->range_at + sizeof(struct vmbus_range) + index * sizeof(page),
           sizeof(page));
    return page;
}

/* Bytes from `at` in the current range that lie in pages that follow each other, at most `max_bytes`. */
static uint32_t run_bytes(const struct gpa_cursor *cursor, uint32_t at, uint32_t max_bytes)
{
    uint32_t index = at >> PAGE_SHIFT;
    uint32_t bytes = (uint32_t)PAGE_SIZE - (at & (uint32_t)PAGE_MASK);

    while (bytes < max_bytes && page_number(cursor, index + 1) == page_number(cursor, index) + 1) {
        bytes += (uint32_t)PAGE_SIZE;
        index++;
    }
    return min_u32(bytes, max_bytes);
}

/* Goes on by `bytes`, which are not more than the current range has left. */
static void advance(struct gpa_cursor *cursor, const struct vmbus_range *range, uint32_t bytes)
{
    cursor->range_offset += bytes;
    if (cursor->range_offset == range->byte_count) {
        uint64_t pages = pages_from_bytes((uint64_t)range->byte_offset + range->byte_count);

        cursor->range_at += (uint32_t)(sizeof(*range) + pages * sizeof(uint64_t));
        cursor->range_index++;
        cursor->range_offset = 0;
    }
}

bool gpa_cursor_next(struct gpa_cursor *cursor, uint32_t max_bytes, struct gpa_piece *piece)
{
    struct vmbus_range range;
    uint32_t at;

    if (cursor->range_index == cursor->ranges->range_count) {
        return false;
    }
    range = current_range(cursor);
    at = range.byte_offset + cursor->range_offset;
    piece->gpa = (page_number(cursor, at >> PAGE_SHIFT) << PAGE_SHIFT) + (at & PAGE_MASK);
    piece->length_bytes = run_bytes(cursor, at, min_u32(max_bytes, range.byte_count - cursor->range_offset));
    piece->bytes = window_bytes(cursor->ranges->host, piece->gpa, piece->length_bytes);
    if (piece->bytes == NULL) {
        /* The pages follow each other for the guest, but not for us. */
        piece->length_bytes = min_u32(piece->length_bytes, (uint32_t)(PAGE_SIZE - (at & PAGE_MASK)));
        piece->bytes = window_bytes(cursor->ranges->host, piece->gpa, piece->length_bytes);
    }
    advance(cursor, &range, piece->length_bytes);
    return true;
}

/* Bytes that a copy may still ask for in one piece. */
static uint32_t piece_limit(uint64_t length_bytes)
{
    return (uint32_t)min_u64(length_bytes, UINT32_MAX);
}

uint64_t gpa_cursor_read(struct gpa_cursor *cursor, void *to, uint64_t length_bytes)
{
    uint8_t *bytes = to;
    uint64_t done = 0;
    struct gpa_piece piece;

    while (done < length_bytes && gpa_cursor_next(cursor, piece_limit(length_bytes - done), &piece)) {
        window_read(bytes + done, piece.bytes, piece.length_bytes);
        done += piece.length_bytes;
    }
    return done;
}

uint64_t gpa_cursor_write(struct gpa_cursor *cursor, const void *from, uint64_t length_bytes)
{
    const uint8_t *bytes = from;
    uint64_t done = 0;
    struct gpa_piece piece;

    while (done < length_bytes && gpa_cursor_next(cursor, piece_limit(length_bytes - done), &piece)) {
        window_write(piece.bytes, bytes + done, piece.length_bytes);
        done += piece.length_bytes;
    }
    return done;
}
