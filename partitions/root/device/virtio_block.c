/* SPDX-License-Identifier: MIT */
/* Requests become chains in a slot each, answers become results. What the device answers is checked against what it was
 * asked; one that answers what cannot be has its requests failed and is brought up anew. */
#include "partitions/root/device/virtio_block.h"

#include "hv/lib/addr.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "vmbus/vsp.h"

#define SECTOR_SHIFT    9
#define SECTOR_BYTES    (1u << SECTOR_SHIFT)
#define BLOCK_BYTES_MAX 4096u

#define FEATURE_MOST_PIECES  (UINT64_C(1) << 2)
#define FEATURE_READ_ONLY    (UINT64_C(1) << 5)
#define FEATURE_BLOCK_BYTES  (UINT64_C(1) << 6)
#define FEATURE_FLUSH        (UINT64_C(1) << 9)
#define FEATURE_TOPOLOGY     (UINT64_C(1) << 10)
#define FEATURE_DISCARD      (UINT64_C(1) << 13)
#define FEATURE_WRITE_ZEROES (UINT64_C(1) << 14)
#define FEATURES_WANTED                                                                                                \
    (FEATURE_MOST_PIECES | FEATURE_READ_ONLY | FEATURE_BLOCK_BYTES | FEATURE_FLUSH | FEATURE_TOPOLOGY |                \
     FEATURE_DISCARD | FEATURE_WRITE_ZEROES)

#define CONFIG_CAPACITY          0u
#define CONFIG_MOST_PIECES       12u
#define CONFIG_BLOCK_BYTES       20u
#define CONFIG_PHYSICAL_EXPONENT 24u
#define CONFIG_DISCARD_SECTORS   36u
#define CONFIG_DISCARD_ALIGNMENT 44u
#define CONFIG_ZEROES_SECTORS    48u
#define PHYSICAL_EXPONENT_MAX    8u
/* The longest erasure that providers ask for (SCSI_ERASE_BYTES_MAX); a device that wants shorter ones gets none. */
#define ERASE_SECTORS            (UINT32_C(16) << 20 >> SECTOR_SHIFT)

#define TYPE_READ         0u
#define TYPE_WRITE        1u
#define TYPE_FLUSH        4u
#define TYPE_DISCARD      11u
#define TYPE_WRITE_ZEROES 13u

#define STATUS_OK       0u
#define STATUS_IO_ERROR 1u
#define STATUS_NONE     0xFFu /* the device has written none */

/* In backend[0] of a request: it waits for a slot. */
#define IS_WAITING 1u

static bool has(const struct virtio_block *block, uint64_t feature)
{
    return (block->device.features & feature) != 0;
}

static uint64_t read_capacity(const struct virtio_block *block)
{
    return virtio_read_config(&block->device, CONFIG_CAPACITY, 4) |
           (uint64_t)virtio_read_config(&block->device, CONFIG_CAPACITY + 4, 4) << 32;
}

/* Whether erasures of a kind can be used, by the register that says how many sectors they may have. */
static bool can_erase(const struct virtio_block *block, uint64_t feature, uint32_t offset)
{
    return has(block, feature) && virtio_read_config(&block->device, offset, 4) >= ERASE_SECTORS;
}

/* Reads what the device says of the disk; null, or what is wrong. */
static const char *describe(struct virtio_block *block, struct block_disk *disk)
{
    uint32_t block_bytes =
        has(block, FEATURE_BLOCK_BYTES) ? virtio_read_config(&block->device, CONFIG_BLOCK_BYTES, 4) : SECTOR_BYTES;
    uint32_t exponent =
        has(block, FEATURE_TOPOLOGY) ? virtio_read_config(&block->device, CONFIG_PHYSICAL_EXPONENT, 1) : 0;
    uint64_t capacity = read_capacity(block);
    uint64_t granule;

    if (block_bytes < SECTOR_BYTES || block_bytes > BLOCK_BYTES_MAX || !is_power_of_two_u64(block_bytes) ||
        exponent > PHYSICAL_EXPONENT_MAX) {
        return "its blocks have a size that no disk has";
    }
    if (capacity > UINT64_MAX >> SECTOR_SHIFT || capacity << SECTOR_SHIFT < block_bytes) {
        return "it has no capacity, or too much";
    }
    if (has(block, FEATURE_MOST_PIECES) &&
        virtio_read_config(&block->device, CONFIG_MOST_PIECES, 4) < VIRTIO_BLOCK_PIECES) {
        return "it takes fewer pieces of memory than a request may have";
    }
    *disk = (struct block_disk){
        .byte_count = align_down_u64(capacity << SECTOR_SHIFT, block_bytes),
        .block_bytes = block_bytes,
        .physical_block_bytes = block_bytes << exponent,
        .is_read_only = has(block, FEATURE_READ_ONLY),
        .has_write_cache = has(block, FEATURE_FLUSH),
        .can_unmap = can_erase(block, FEATURE_DISCARD, CONFIG_DISCARD_SECTORS),
        .can_write_zeroes = can_erase(block, FEATURE_WRITE_ZEROES, CONFIG_ZEROES_SECTORS),
    };
    if (disk->can_unmap) {
        granule = (uint64_t)virtio_read_config(&block->device, CONFIG_DISCARD_ALIGNMENT, 4) << SECTOR_SHIFT;
        disk->unmap_granule_bytes =
            granule <= UINT32_MAX && granule % block_bytes == 0 && granule != 0 ? (uint32_t)granule : block_bytes;
    }
    return NULL;
}

/* Resets the device and gives it an empty queue; null, or what is wrong. */
static const char *bring_up(struct virtio_block *block, struct block_disk *disk)
{
    const char *wrong = virtio_begin(&block->device, FEATURES_WANTED, VIRTIO_FEATURE_INDIRECT);

    if (wrong == NULL) {
        wrong = describe(block, disk);
    }
    if (wrong == NULL) {
        wrong = virtio_set_queue(&block->device, &block->queue, 0);
    }
    if (wrong == NULL) {
        block->free_slots = UINT64_MAX;
        virtio_go(&block->device);
    } else {
        virtio_stop(&block->device);
    }
    return wrong;
}

static uint32_t type_of(const struct block_request *request)
{
    static const uint32_t types[] = {
        [BLOCK_READ] = TYPE_READ,
        [BLOCK_WRITE] = TYPE_WRITE,
        [BLOCK_FLUSH] = TYPE_FLUSH,
        [BLOCK_UNMAP] = TYPE_DISCARD,
        [BLOCK_WRITE_ZEROES] = TYPE_WRITE_ZEROES,
    };

    return types[request->operation];
}

/* Adds a piece to the chain of a slot. */
static void add_piece(struct virtio_block_slot *slot, uint32_t *count, uint64_t address, uint32_t length_bytes,
                      uint16_t flags)
{
    slot->table[*count] = (struct virtio_descriptor){
        .address = address,
        .length_bytes = length_bytes,
        .flags = flags | VIRTIO_NEXT,
        .next = (uint16_t)(*count + 1),
    };
    slot->writable_bytes += (flags & VIRTIO_WRITE) != 0 ? length_bytes : 0;
    ++*count;
}

/* Adds the guest's memory. False: there are too many pieces of it, or one is out of reach. */
static bool add_data(struct virtio_block_slot *slot, uint32_t *count, const struct block_request *request)
{
    uint16_t flags = request->operation == BLOCK_READ ? VIRTIO_WRITE : 0;
    uint64_t left = request->length_bytes;
    struct gpa_cursor cursor;
    struct gpa_piece piece;

    gpa_cursor_start(&cursor, request->data);
    while (left != 0) {
        if (*count > VIRTIO_BLOCK_PIECES || !gpa_cursor_next(&cursor, (uint32_t)min_u64(left, UINT32_MAX), &piece) ||
            piece.bytes == NULL) {
            return false;
        }
        add_piece(slot, count, (uint64_t)(uintptr_t)piece.bytes, piece.length_bytes, flags);
        left -= piece.length_bytes;
    }
    return true;
}

/* Makes the chain of a request. Returns how many pieces it has; 0: it cannot be. */
static uint32_t fill_slot(struct virtio_block_slot *slot, struct block_request *request)
{
    uint32_t count = 0;

    slot->header = (struct virtio_block_header){
        .type = type_of(request),
        .sector = request->length_bytes == 0 ? 0 : request->offset_bytes >> SECTOR_SHIFT,
    };
    slot->request = request;
    slot->status = STATUS_NONE;
    slot->writable_bytes = 0;
    add_piece(slot, &count, (uint64_t)&slot->header, sizeof(slot->header), 0);
    if (request->operation == BLOCK_UNMAP || request->operation == BLOCK_WRITE_ZEROES) {
        slot->header.sector = 0;
        slot->erase = (struct virtio_block_erase){
            .sector = request->offset_bytes >> SECTOR_SHIFT,
            .sector_count = (uint32_t)(request->length_bytes >> SECTOR_SHIFT),
        };
        add_piece(slot, &count, (uint64_t)&slot->erase, sizeof(slot->erase), 0);
    } else if (!add_data(slot, &count, request)) {
        return 0;
    }
    add_piece(slot, &count, (uint64_t)&slot->status, sizeof(slot->status), VIRTIO_WRITE);
    slot->table[count - 1].flags = VIRTIO_WRITE;
    return count;
}

static void free_slot(struct virtio_block *block, uint32_t index)
{
    block->free_slots |= UINT64_C(1) << index;
}

/* Gives a request to the device; there is a free slot. BLOCK_PENDING, or its result. */
static enum block_result give(struct virtio_block *block, struct block_request *request)
{
    uint32_t index = (uint32_t)__builtin_ctzll(block->free_slots);
    struct virtio_block_slot *slot = &block->slots[index];
    uint32_t count = fill_slot(slot, request);

    request->backend[0] = 0;
    if (count == 0) {
        return BLOCK_FAILED;
    }
    block->free_slots &= ~(UINT64_C(1) << index);
    virtio_give(&block->queue, index, (uint64_t)slot->table, count * (uint32_t)sizeof(slot->table[0]), VIRTIO_INDIRECT);
    virtio_notify(&block->queue);
    return BLOCK_PENDING;
}

static enum block_result submit(struct block_disk *disk, struct block_request *request)
{
    struct virtio_block *block = CONTAINER_OF(disk, struct virtio_block, disk);

    if (block->is_gone) {
        return BLOCK_GONE;
    }
    if (request->operation == BLOCK_VERIFY || request->length_bytes >> SECTOR_SHIFT > UINT32_MAX) {
        return BLOCK_FAILED; /* The disk does not say that it has these. */
    }
    if (block->free_slots != 0 && list_is_empty(&block->waiting)) {
        return give(block, request);
    }
    request->backend[0] = IS_WAITING;
    list_add_tail(&block->waiting, &request->link);
    return BLOCK_PENDING;
}

/* What the device has is its own until it answers. */
static bool cancel(struct block_disk *disk, struct block_request *request)
{
    (void)disk;
    if (request->backend[0] != IS_WAITING) {
        return false;
    }
    list_remove(&request->link);
    return true;
}

/* Gives those who wait what has become free. */
static void give_waiting(struct virtio_block *block)
{
    while (block->free_slots != 0 && !list_is_empty(&block->waiting)) {
        struct block_request *request = CONTAINER_OF(list_pop_head(&block->waiting), struct block_request, link);
        enum block_result result = give(block, request);

        if (result != BLOCK_PENDING) {
            request->done(request, result);
        }
    }
}

/* The result of a slot that the device says it is done with. */
static enum block_result result_of(const struct virtio_block_slot *slot, uint32_t length_bytes)
{
    uint8_t status = READ_ONCE(slot->status);

    if (status == STATUS_IO_ERROR) {
        return BLOCK_MEDIUM_ERROR;
    }
    return status == STATUS_OK && length_bytes == slot->writable_bytes ? BLOCK_OK : BLOCK_FAILED;
}

/* Brings the device up anew, and fails what it had and what has waited for it. */
static void restart(struct virtio_block *block)
{
    uint64_t given = ~block->free_slots;
    struct block_disk disk;
    struct list failed;

    list_init(&failed);
    virtio_stop(&block->device);
    for (; given != 0; given &= given - 1) {
        list_add_tail(&failed, &block->slots[__builtin_ctzll(given)].request->link);
    }
    while (!list_is_empty(&block->waiting)) {
        struct list_node *node = list_pop_head(&block->waiting);

        CONTAINER_OF(node, struct block_request, link)->backend[0] = 0;
        list_add_tail(&failed, node);
    }
    block->is_gone = bring_up(block, &disk) != NULL || disk.byte_count != block->disk.byte_count ||
                     disk.block_bytes != block->disk.block_bytes || disk.is_read_only != block->disk.is_read_only;
    while (!list_is_empty(&failed)) {
        struct block_request *request = CONTAINER_OF(list_pop_head(&failed), struct block_request, link);

        request->done(request, block->is_gone ? BLOCK_GONE : BLOCK_FAILED);
    }
}

void virtio_block_serve(struct virtio_block *block)
{
    enum virtio_result result;
    struct virtio_used used;

    if (block->is_gone) {
        return;
    }
    if (virtio_has_failed(&block->device)) {
        restart(block);
        return;
    }
    while ((result = virtio_take(&block->queue, &used)) == VIRTIO_OK) {
        struct virtio_block_slot *slot = &block->slots[used.slot];
        struct block_request *request = slot->request;

        free_slot(block, used.slot);
        request->done(request, result_of(slot, used.length_bytes));
    }
    if (result == VIRTIO_CORRUPT) {
        restart(block);
    } else {
        give_waiting(block);
    }
}

const char *virtio_block_start(struct virtio_block *block)
{
    static const struct block_operations operations = {.submit = submit, .cancel = cancel};
    const char *wrong;

    list_init(&block->waiting);
    wrong = bring_up(block, &block->disk);
    block->disk.operations = &operations;
    block->is_gone = wrong != NULL;
    return wrong;
}

void virtio_block_stop(struct virtio_block *block)
{
    virtio_stop(&block->device);
    list_init(&block->waiting);
}
