/* SPDX-License-Identifier: MIT */
/*
 * Puts GPADLs together from the guest's messages, and copies from and to them. Answers to the guest, and when a GPADL
 * may go, are server.c's and channel.c's.
 *
 * Page numbers lie in blocks of equal size, so that any free block serves any GPADL, and nothing has to be moved.
 */
#include "vmbus/gpadl.h"

#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/proto/message.h"
#include "vmbus/proto/ring_format.h"
#include "vmbus/vsp.h"
#include "vmbus/window.h"

void gpadl_table_init(struct gpadl_table *table, struct host_vm *host)
{
    table->host = host;
    bitmap_zero(table->blocks_used, GPADL_BLOCK_COUNT);
    for (size_t i = 0; i < VMBUS_GPADLS_MAX; i++) {
        table->gpadls[i] = (struct gpadl){.table = table};
    }
}

static uint32_t block_count(const struct gpadl *gpadl)
{
    return (gpadl->page_count + GPADL_PAGES_PER_BLOCK - 1) / GPADL_PAGES_PER_BLOCK;
}

/* All blocks or none. */
static bool take_blocks(struct gpadl *gpadl)
{
    struct gpadl_table *table = gpadl->table;
    uint32_t count = block_count(gpadl);

    if (GPADL_BLOCK_COUNT - bitmap_count(table->blocks_used, GPADL_BLOCK_COUNT) < count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t block = bitmap_find_first_clear(table->blocks_used, GPADL_BLOCK_COUNT);

        bitmap_set(table->blocks_used, block);
        gpadl->blocks[i] = (uint16_t)block;
    }
    return true;
}

void gpadl_free(struct gpadl *gpadl)
{
    for (uint32_t i = 0; i < block_count(gpadl); i++) {
        bitmap_clear(gpadl->table->blocks_used, gpadl->blocks[i]);
    }
    gpadl->page_count = 0;
    gpadl->state = GPADL_FREE;
}

void gpadl_free_all(struct gpadl_table *table, uint32_t relid)
{
    for (size_t i = 0; i < VMBUS_GPADLS_MAX; i++) {
        if (table->gpadls[i].state != GPADL_FREE && table->gpadls[i].relid == relid) {
            gpadl_free(&table->gpadls[i]);
        }
    }
}

struct gpadl *gpadl_find(struct gpadl_table *table, uint32_t relid, uint32_t id)
{
    for (size_t i = 0; i < VMBUS_GPADLS_MAX; i++) {
        struct gpadl *gpadl = &table->gpadls[i];

        if ((gpadl->state == GPADL_READY || gpadl->state == GPADL_TEARING_DOWN) && gpadl->id == id &&
            gpadl->relid == relid) {
            return gpadl;
        }
    }
    return NULL;
}

/* One that waits for bodies, which have no relid: its id is its own in the whole VM. */
static struct gpadl *find_assembling(struct gpadl_table *table, uint32_t id)
{
    for (size_t i = 0; i < VMBUS_GPADLS_MAX; i++) {
        if (table->gpadls[i].state == GPADL_ASSEMBLING && table->gpadls[i].id == id) {
            return &table->gpadls[i];
        }
    }
    return NULL;
}

static struct gpadl *find_free(struct gpadl_table *table)
{
    for (size_t i = 0; i < VMBUS_GPADLS_MAX; i++) {
        if (table->gpadls[i].state == GPADL_FREE) {
            return &table->gpadls[i];
        }
    }
    return NULL;
}

/* Takes page numbers out of a message, as many as it has and the GPADL needs. */
static enum refusal take_pages(struct gpadl *gpadl, const uint8_t *bytes, size_t length_bytes)
{
    uint32_t count = (uint32_t)min_size(length_bytes / sizeof(uint64_t), gpadl->page_count - gpadl->pages_received);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = gpadl->pages_received;
        uint64_t page;

        memcpy(&page, bytes + i * sizeof(page), sizeof(page));
        if (window_page(gpadl->table->host, page) == NULL) {
            return REFUSE_GPADL_PAGE;
        }
        gpadl->table->pages[gpadl->blocks[index / GPADL_PAGES_PER_BLOCK]][index % GPADL_PAGES_PER_BLOCK] = page;
        gpadl->pages_received++;
    }
    if (gpadl->pages_received == gpadl->page_count) {
        gpadl->state = GPADL_READY;
    }
    return REFUSE_NONE;
}

/* The one range of a GPADL: its lengths agree with each other and with what the message announces. */
static enum refusal check_range(const struct vmbus_gpadl_header *header, const struct vmbus_range *range,
                                uint32_t *page_count)
{
    uint32_t end_bytes;

    if (header->range_count != 1 || range->byte_count == 0 || range->byte_offset >= PAGE_SIZE ||
        !range_add_u32(range->byte_offset, range->byte_count, &end_bytes)) {
        return REFUSE_GPADL_RANGES;
    }
    *page_count = (uint32_t)pages_from_bytes(end_bytes);
    if (header->ranges_bytes != sizeof(*range) + (uint64_t)*page_count * sizeof(uint64_t)) {
        return REFUSE_GPADL_RANGES;
    }
    return REFUSE_NONE;
}

enum refusal gpadl_begin(struct gpadl_table *table, const void *message, size_t length_bytes, struct gpadl **gpadl)
{
    const uint8_t *bytes = message;
    struct vmbus_gpadl_header header;
    struct vmbus_range range;
    struct gpadl *made = find_free(table);
    uint32_t page_count;
    enum refusal cause;

    memcpy(&header, bytes, sizeof(header));
    if (length_bytes < sizeof(header) + sizeof(range)) {
        return REFUSE_MESSAGE_SHORT;
    }
    memcpy(&range, bytes + sizeof(header), sizeof(range));
    cause = check_range(&header, &range, &page_count);
    if (cause != REFUSE_NONE) {
        return cause;
    }
    if (find_assembling(table, header.gpadl_id) != NULL || gpadl_find(table, header.relid, header.gpadl_id) != NULL) {
        return REFUSE_GPADL_ID;
    }
    if (made == NULL) {
        return REFUSE_GPADL_QUOTA;
    }
    made->id = header.gpadl_id;
    made->relid = header.relid;
    made->byte_count = range.byte_count;
    made->byte_offset = range.byte_offset;
    made->page_count = page_count;
    made->pages_received = 0;
    made->use_count = 0;
    if (!take_blocks(made)) {
        made->page_count = 0;
        return REFUSE_GPADL_QUOTA;
    }
    made->state = GPADL_ASSEMBLING;
    cause = take_pages(made, bytes + sizeof(header) + sizeof(range), length_bytes - sizeof(header) - sizeof(range));
    if (cause != REFUSE_NONE) {
        gpadl_free(made);
        return cause;
    }
    *gpadl = made;
    return REFUSE_NONE;
}

enum refusal gpadl_continue(struct gpadl_table *table, const void *message, size_t length_bytes, struct gpadl **gpadl)
{
    const uint8_t *bytes = message;
    struct vmbus_gpadl_body body;
    enum refusal cause;

    memcpy(&body, bytes, sizeof(body));
    *gpadl = find_assembling(table, body.gpadl_id);
    if (*gpadl == NULL) {
        return REFUSE_GPADL_ID;
    }
    cause = take_pages(*gpadl, bytes + sizeof(body), length_bytes - sizeof(body));
    if (cause != REFUSE_NONE) {
        gpadl_free(*gpadl);
    }
    return cause;
}

uint64_t gpadl_page(const struct gpadl *gpadl, uint32_t index)
{
    return gpadl->table->pages[gpadl->blocks[index / GPADL_PAGES_PER_BLOCK]][index % GPADL_PAGES_PER_BLOCK];
}

/* The bytes from `offset_bytes` to the end of their page, or `length_bytes`; *piece_bytes is their number. */
static uint8_t GUEST *piece(const struct gpadl *gpadl, uint32_t offset_bytes, uint32_t length_bytes,
                            uint32_t *piece_bytes)
{
    uint32_t at = gpadl->byte_offset + offset_bytes;
    uint32_t in_page = at & (uint32_t)PAGE_MASK;
    uint8_t GUEST *page = window_page(gpadl->table->host, gpadl_page(gpadl, at >> PAGE_SHIFT));

    *piece_bytes = min_u32(length_bytes, (uint32_t)PAGE_SIZE - in_page);
    return page + in_page;
}

void gpadl_copy_in(const struct gpadl *gpadl, uint32_t offset_bytes, void *to, uint32_t length_bytes)
{
    uint8_t *bytes = to;

    while (length_bytes != 0) {
        uint32_t piece_bytes;
        const uint8_t GUEST *from = piece(gpadl, offset_bytes, length_bytes, &piece_bytes);

        window_read(bytes, from, piece_bytes);
        bytes += piece_bytes;
        offset_bytes += piece_bytes;
        length_bytes -= piece_bytes;
    }
}

void gpadl_copy_out(const struct gpadl *gpadl, uint32_t offset_bytes, const void *from, uint32_t length_bytes)
{
    const uint8_t *bytes = from;

    while (length_bytes != 0) {
        uint32_t piece_bytes;
        uint8_t GUEST *to = piece(gpadl, offset_bytes, length_bytes, &piece_bytes);

        window_write(to, bytes, piece_bytes);
        bytes += piece_bytes;
        offset_bytes += piece_bytes;
        length_bytes -= piece_bytes;
    }
}

uint32_t gpadl_length_bytes(const struct gpadl *gpadl)
{
    return gpadl->byte_count;
}

bool gpadl_read(const struct gpadl *gpadl, uint32_t offset_bytes, void *to, uint32_t length_bytes)
{
    if (!range_contains(0, gpadl->byte_count, offset_bytes, length_bytes)) {
        return false;
    }
    gpadl_copy_in(gpadl, offset_bytes, to, length_bytes);
    return true;
}

bool gpadl_write(const struct gpadl *gpadl, uint32_t offset_bytes, const void *from, uint32_t length_bytes)
{
    if (!range_contains(0, gpadl->byte_count, offset_bytes, length_bytes)) {
        return false;
    }
    gpadl_copy_out(gpadl, offset_bytes, from, length_bytes);
    return true;
}
