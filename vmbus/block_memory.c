/* SPDX-License-Identifier: MIT */
/* Answers each request at once. Memory has no cache that could be lost before it is, and gives nothing up. */
#include "vmbus/block_memory.h"

#include "hv/lib/addr.h"
#include "hv/lib/str.h"
#include "vmbus/vsp.h"

#define BLOCK_BYTES 512u

static enum block_result submit(struct block_disk *disk, struct block_request *request)
{
    struct block_memory *memory = CONTAINER_OF(disk, struct block_memory, disk);
    uint8_t *bytes = memory->bytes + request->offset_bytes;
    struct gpa_cursor cursor;

    switch (request->operation) {
    case BLOCK_READ:
        gpa_cursor_start(&cursor, request->data);
        (void)gpa_cursor_write(&cursor, bytes, request->length_bytes);
        break;
    case BLOCK_WRITE:
        gpa_cursor_start(&cursor, request->data);
        (void)gpa_cursor_read(&cursor, bytes, request->length_bytes);
        break;
    case BLOCK_WRITE_ZEROES:
        memset(bytes, 0, request->length_bytes);
        break;
    case BLOCK_VERIFY:
        break;
    case BLOCK_FLUSH:
    case BLOCK_UNMAP:
        return BLOCK_FAILED; /* The disk does not say that it has these. */
    }
    return BLOCK_OK;
}

/* No request is ever pending. */
static bool cancel(struct block_disk *disk, struct block_request *request)
{
    (void)disk;
    (void)request;
    return false;
}

bool block_memory_init(struct block_memory *memory, void *bytes, uint64_t byte_count, bool is_read_only)
{
    static const struct block_operations operations = {.submit = submit, .cancel = cancel};

    *memory = (struct block_memory){
        .disk =
            {
                .operations = &operations,
                .byte_count = align_down_u64(byte_count, BLOCK_BYTES),
                .block_bytes = BLOCK_BYTES,
                .physical_block_bytes = BLOCK_BYTES,
                .is_read_only = is_read_only,
                .can_verify = true,
                .can_write_zeroes = true,
            },
        .bytes = bytes,
    };
    return memory->disk.byte_count != 0;
}
