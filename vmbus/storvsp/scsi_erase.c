/* SPDX-License-Identifier: MIT */
/* SBC-3, UNMAP and WRITE SAME commands: one request of the back-end for each run of blocks. */
#include "hv/lib/range.h"
#include "hv/lib/be.h"
#include "vmbus/storvsp/scsi_unit.h"

#define UNMAP_ANCHOR            0x01u
#define UNMAP_HEADER_BYTES      8u
#define UNMAP_DESCRIPTOR_BYTES  16u
#define WRITE_SAME_PROTECT_MASK 0xE0u
#define WRITE_SAME_ANCHOR       0x10u
#define WRITE_SAME_UNMAP        0x08u
#define WRITE_SAME_NO_DATA      0x01u
#define CHUNK_BYTES             256u

/* Most blocks that a command may name at once. */
static uint64_t erase_blocks_max(const struct scsi_command *command)
{
    return SCSI_ERASE_BYTES_MAX / command->disk->block_bytes;
}

static struct scsi_extent unmap_extent(const struct scsi_command *command, uint32_t index)
{
    const uint8_t *descriptor = command->unmap_descriptors + (size_t)index * UNMAP_DESCRIPTOR_BYTES;

    return (struct scsi_extent){.block = get_be64(descriptor), .block_count = get_be32(descriptor + 8)};
}

/* The next descriptor that names any blocks. */
static enum scsi_step unmap_next(struct scsi_command *command)
{
    uint32_t block_bytes = command->disk->block_bytes;

    while (command->unmap_index < command->unmap_count) {
        struct scsi_extent extent = unmap_extent(command, command->unmap_index++);

        if (extent.block_count != 0) {
            command->next = unmap_next;
            return scsi_submit(command, BLOCK_UNMAP, extent.block * block_bytes, extent.block_count * block_bytes);
        }
    }
    return scsi_finish(command);
}

/* Copies the descriptors of the parameter list; SCSI_SUBMIT when they are good. */
static enum scsi_step read_descriptors(struct scsi_command *command, uint32_t list_bytes)
{
    uint8_t header[UNMAP_HEADER_BYTES];
    struct gpa_cursor cursor;
    uint32_t count;

    gpa_cursor_start(&cursor, &command->data);
    (void)gpa_cursor_read(&cursor, header, sizeof(header));
    count = min_u32(get_be16(header + 2), list_bytes - UNMAP_HEADER_BYTES) / UNMAP_DESCRIPTOR_BYTES;
    if (count > SCSI_UNMAP_DESCRIPTORS_MAX) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_PARAMETERS);
    }
    (void)gpa_cursor_read(&cursor, command->unmap_descriptors, count * UNMAP_DESCRIPTOR_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        struct scsi_extent extent = unmap_extent(command, i);

        if (!scsi_is_inside(command->unit, &extent)) {
            return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
        }
        if (extent.block_count > erase_blocks_max(command)) {
            return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_PARAMETERS);
        }
    }
    command->unmap_count = count;
    command->unmap_index = 0;
    return SCSI_SUBMIT;
}

enum scsi_step scsi_unmap(struct scsi_command *command)
{
    uint32_t list_bytes = get_be16(command->cdb + 7);

    if (!command->disk->can_unmap) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPERATION_CODE);
    }
    if (command->disk->is_read_only) {
        return scsi_fail(command, SCSI_KEY_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
    }
    if ((command->cdb[1] & UNMAP_ANCHOR) != 0 || list_bytes > command->data_bytes) {
        return scsi_fail_field(command);
    }
    if (list_bytes == 0) {
        return scsi_finish(command);
    }
    if (list_bytes < UNMAP_HEADER_BYTES) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
    }
    command->transferred_bytes = list_bytes;
    return read_descriptors(command, list_bytes) == SCSI_SUBMIT ? unmap_next(command) : SCSI_FINISHED;
}

/* The block that is to be repeated has nothing but zeros. */
static bool is_zero(const struct scsi_command *command)
{
    uint32_t left = command->disk->block_bytes;
    struct gpa_cursor cursor;

    gpa_cursor_start(&cursor, &command->data);
    while (left != 0) {
        uint8_t chunk[CHUNK_BYTES];
        uint32_t bytes = min_u32(left, sizeof(chunk));

        (void)gpa_cursor_read(&cursor, chunk, bytes);
        for (uint32_t i = 0; i < bytes; i++) {
            if (chunk[i] != 0) {
                return false;
            }
        }
        left -= bytes;
    }
    return true;
}

/* Writes the block to the next place, until the last is written. */
static enum scsi_step repeat_next(struct scsi_command *command)
{
    struct scsi_extent extent = scsi_extent(command->cdb);
    uint32_t block_bytes = command->disk->block_bytes;
    uint64_t at = command->block.offset_bytes + block_bytes;

    if (at == (extent.block + extent.block_count) * block_bytes) {
        return scsi_finish(command);
    }
    return scsi_submit(command, BLOCK_WRITE, at, block_bytes);
}

/* What speaks against a WRITE SAME; SCSI_SUBMIT when nothing does. */
static enum scsi_step check_write_same(struct scsi_command *command, const struct scsi_extent *extent, bool has_data)
{
    if (!command->disk->can_write_zeroes) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPERATION_CODE);
    }
    if (command->disk->is_read_only) {
        return scsi_fail(command, SCSI_KEY_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
    }
    if ((command->cdb[1] & (WRITE_SAME_PROTECT_MASK | WRITE_SAME_ANCHOR)) != 0 ||
        (has_data && command->data_bytes < command->disk->block_bytes)) {
        return scsi_fail_field(command);
    }
    if (!scsi_is_inside(command->unit, extent)) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    }
    if (extent->block_count == 0 || extent->block_count > erase_blocks_max(command)) {
        return scsi_fail_field(command);
    }
    return SCSI_SUBMIT;
}

enum scsi_step scsi_write_same(struct scsi_command *command)
{
    const struct block_disk *disk = command->disk;
    struct scsi_extent extent = scsi_extent(command->cdb);
    bool has_data = command->cdb[0] == SCSI_WRITE_SAME_10 || (command->cdb[1] & WRITE_SAME_NO_DATA) == 0;
    bool may_unmap = (command->cdb[1] & WRITE_SAME_UNMAP) != 0 && disk->can_unmap && disk->is_zero_when_unmapped;

    if (check_write_same(command, &extent, has_data) == SCSI_FINISHED) {
        return SCSI_FINISHED;
    }
    command->transferred_bytes = has_data ? disk->block_bytes : 0;
    if (has_data && !is_zero(command)) {
        command->next = repeat_next;
        return scsi_submit(command, BLOCK_WRITE, extent.block * disk->block_bytes, disk->block_bytes);
    }
    return scsi_submit(command, may_unmap ? BLOCK_UNMAP : BLOCK_WRITE_ZEROES, extent.block * disk->block_bytes,
                       extent.block_count * disk->block_bytes);
}
