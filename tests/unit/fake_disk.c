/* SPDX-License-Identifier: MIT */
/* A disk whose answers the test decides on. */
#include "tests/unit/fake_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmbus/vsp.h"

#define UNMAPPED_BYTE 0x5A

static struct fake_disk *fake_of(struct block_disk *disk)
{
    return CONTAINER_OF(disk, struct fake_disk, disk);
}

static void set_bytes(struct fake_disk *disk, const struct block_request *request, int byte)
{
    memset(disk->bytes + request->offset_bytes, byte, request->length_bytes);
}

static void write_data(struct fake_disk *disk, const struct block_request *request, struct gpa_cursor *cursor)
{
    assert_false(disk->disk.is_read_only);
    assert_int_equal(gpa_cursor_read(cursor, disk->bytes + request->offset_bytes, request->length_bytes),
                     request->length_bytes);
    if (request->is_forced) {
        memcpy(disk->stable_bytes + request->offset_bytes, disk->bytes + request->offset_bytes, request->length_bytes);
    }
}

static void perform(struct fake_disk *disk, const struct block_request *request)
{
    struct gpa_cursor cursor;

    if (request->data != NULL) {
        gpa_cursor_start(&cursor, request->data);
    }
    switch (request->operation) {
    case BLOCK_READ:
        assert_int_equal(gpa_cursor_write(&cursor, disk->bytes + request->offset_bytes, request->length_bytes),
                         request->length_bytes);
        break;
    case BLOCK_WRITE:
        write_data(disk, request, &cursor);
        break;
    case BLOCK_FLUSH:
        memcpy(disk->stable_bytes, disk->bytes, disk->disk.byte_count);
        break;
    case BLOCK_VERIFY:
        break;
    case BLOCK_UNMAP:
        set_bytes(disk, request, disk->disk.is_zero_when_unmapped ? 0 : UNMAPPED_BYTE);
        break;
    case BLOCK_WRITE_ZEROES:
        set_bytes(disk, request, 0);
        break;
    }
}

/* What block.h promises to back-ends. */
static void check_request(const struct block_disk *disk, const struct block_request *request)
{
    bool has_data = request->operation == BLOCK_READ || request->operation == BLOCK_WRITE;

    assert_int_equal(request->offset_bytes % disk->block_bytes, 0);
    assert_int_equal(request->length_bytes % disk->block_bytes, 0);
    assert_true(request->length_bytes <= disk->byte_count);
    assert_true(request->offset_bytes <= disk->byte_count - request->length_bytes);
    assert_int_equal(request->length_bytes == 0, request->operation == BLOCK_FLUSH);
    assert_int_equal(request->data != NULL, has_data);
    assert_true(!has_data || request->data->total_bytes >= request->length_bytes);
    assert_true(!request->is_forced || (disk->can_force && request->operation == BLOCK_WRITE));
    assert_true(!disk->is_read_only || request->operation == BLOCK_READ || request->operation == BLOCK_VERIFY);
    assert_true(disk->can_verify || request->operation != BLOCK_VERIFY);
    assert_true(disk->can_unmap || request->operation != BLOCK_UNMAP);
    assert_true(disk->can_write_zeroes || request->operation != BLOCK_WRITE_ZEROES);
    assert_true(disk->has_write_cache || request->operation != BLOCK_FLUSH);
    assert_non_null(request->done);
}

static enum block_result submit(struct block_disk *block, struct block_request *request)
{
    struct fake_disk *disk = fake_of(block);

    check_request(block, request);
    disk->counts[request->operation]++;
    disk->last = request;
    if (disk->is_holding) {
        list_add_tail(&disk->pending, &request->link);
        disk->pending_count++;
        return BLOCK_PENDING;
    }
    if (disk->result == BLOCK_OK) {
        perform(disk, request);
    }
    return disk->result;
}

static bool cancel(struct block_disk *block, struct block_request *request)
{
    struct fake_disk *disk = fake_of(block);

    if (disk->is_stuck) {
        return false;
    }
    list_remove(&request->link);
    disk->pending_count--;
    disk->cancelled_count++;
    return true;
}

void fake_disk_create(struct fake_disk *disk, uint64_t byte_count, uint32_t block_bytes)
{
    static const struct block_operations operations = {.submit = submit, .cancel = cancel};

    *disk = (struct fake_disk){
        .disk =
            {
                .operations = &operations,
                .byte_count = byte_count,
                .block_bytes = block_bytes,
                .physical_block_bytes = 4096,
                .unmap_granule_bytes = 4096,
                .has_write_cache = true,
                .can_force = true,
                .can_verify = true,
                .can_unmap = true,
                .is_zero_when_unmapped = true,
                .can_write_zeroes = true,
            },
        .bytes = calloc(1, byte_count),
        .stable_bytes = calloc(1, byte_count),
    };
    list_init(&disk->pending);
    assert_non_null(disk->bytes);
    assert_non_null(disk->stable_bytes);
}

void fake_disk_destroy(struct fake_disk *disk)
{
    assert_int_equal(disk->pending_count, 0);
    free(disk->bytes);
    free(disk->stable_bytes);
}

bool fake_disk_complete(struct fake_disk *disk, enum block_result result)
{
    struct list_node *node = list_pop_head(&disk->pending);
    struct block_request *request;

    if (node == NULL) {
        return false;
    }
    request = CONTAINER_OF(node, struct block_request, link);
    disk->pending_count--;
    if (result == BLOCK_OK) {
        perform(disk, request);
    }
    request->done(request, result);
    return true;
}
