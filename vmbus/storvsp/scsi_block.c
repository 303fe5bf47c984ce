/* SPDX-License-Identifier: MIT */
/* SBC-3: how large a medium is, reading, writing, verifying, and the cache. */
#include "hv/lib/range.h"
#include "hv/lib/be.h"
#include "vmbus/storvsp/scsi_unit.h"

#define GROUP_SHIFT         5
#define GROUP_6_BYTES       0u
#define GROUP_16_BYTES      4u
#define GROUP_12_BYTES      5u
#define BLOCK_MASK_6        0x1FFFFFu
#define BLOCKS_OF_ZERO_6    256u
#define PROTECT_MASK        0xE0u
#define FORCE_UNIT_ACCESS   0x08u
#define BYTE_CHECK_MASK     0x06u
#define ACTION_MASK         0x1Fu
#define CAPACITY_10_BYTES   8u
#define CAPACITY_16_BYTES   32u
#define CAPACITY_IS_THIN    0x8000u
#define CAPACITY_READS_ZERO 0x4000u

struct scsi_extent scsi_extent(const uint8_t *cdb)
{
    uint8_t blocks_6 = cdb[4];

    switch (cdb[0] >> GROUP_SHIFT) {
    case GROUP_6_BYTES:
        return (struct scsi_extent){
            .block = get_be32(cdb) & BLOCK_MASK_6,
            .block_count = blocks_6 == 0 ? BLOCKS_OF_ZERO_6 : blocks_6,
        };
    case GROUP_12_BYTES:
        return (struct scsi_extent){.block = get_be32(cdb + 2), .block_count = get_be32(cdb + 6)};
    case GROUP_16_BYTES:
        return (struct scsi_extent){.block = get_be64(cdb + 2), .block_count = get_be32(cdb + 10)};
    default:
        return (struct scsi_extent){.block = get_be32(cdb + 2), .block_count = get_be16(cdb + 7)};
    }
}

bool scsi_is_inside(const struct scsi_unit *unit, const struct scsi_extent *extent)
{
    return range_contains(0, scsi_block_count(unit), extent->block, extent->block_count);
}

enum scsi_step scsi_read_capacity_10(struct scsi_command *command)
{
    uint64_t last = scsi_block_count(command->unit) - 1;
    uint8_t data[CAPACITY_10_BYTES];

    put_be32(data, (uint32_t)min_u64(last, UINT32_MAX));
    put_be32(data + 4, scsi_block_bytes(command->unit));
    return scsi_answer(command, data, sizeof(data), sizeof(data));
}

/* The logarithm of how many blocks make a physical one. */
static uint8_t physical_exponent(const struct block_disk *disk)
{
    uint8_t exponent = 0;

    while (disk->block_bytes << exponent < disk->physical_block_bytes) {
        exponent++;
    }
    return exponent;
}

/* READ CAPACITY(16). */
enum scsi_step scsi_service_action_in(struct scsi_command *command)
{
    const struct block_disk *disk = command->disk;
    uint8_t data[CAPACITY_16_BYTES] = {0};

    if ((command->cdb[1] & ACTION_MASK) != SCSI_ACTION_READ_CAPACITY_16) {
        return scsi_fail_field(command);
    }
    put_be64(data, scsi_block_count(command->unit) - 1);
    put_be32(data + 8, disk->block_bytes);
    data[13] = physical_exponent(disk);
    if (disk->can_unmap) {
        put_be16(data + 14, CAPACITY_IS_THIN | (disk->is_zero_when_unmapped ? CAPACITY_READS_ZERO : 0));
    }
    return scsi_answer(command, data, sizeof(data), get_be32(command->cdb + 10));
}

/* The CDB asks for protection information, which no unit has. */
static bool wants_protection(const uint8_t *cdb)
{
    return cdb[0] >> GROUP_SHIFT != GROUP_6_BYTES && (cdb[1] & PROTECT_MASK) != 0;
}

/* Checks the blocks of a read or write, and that the guest has given as much memory; then prepares the request. */
static enum scsi_step transfer(struct scsi_command *command, enum block_operation operation)
{
    struct scsi_extent extent = scsi_extent(command->cdb);
    uint32_t block_bytes = scsi_block_bytes(command->unit);

    if (wants_protection(command->cdb)) {
        return scsi_fail_field(command);
    }
    if (!scsi_is_inside(command->unit, &extent)) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    }
    if (extent.block_count > command->data_bytes / block_bytes) {
        return scsi_fail_field(command);
    }
    if (extent.block_count == 0) {
        return scsi_finish(command);
    }
    command->transferred_bytes = (uint32_t)extent.block_count * block_bytes;
    return scsi_submit(command, operation, extent.block * block_bytes, command->transferred_bytes);
}

enum scsi_step scsi_read(struct scsi_command *command)
{
    return transfer(command, BLOCK_READ);
}

enum scsi_step scsi_flush(struct scsi_command *command)
{
    if (!command->disk->has_write_cache || command->disk->is_read_only) {
        return scsi_finish(command);
    }
    command->next = NULL;
    return scsi_submit(command, BLOCK_FLUSH, 0, 0);
}

enum scsi_step scsi_write(struct scsi_command *command)
{
    const struct block_disk *disk = command->disk;
    bool is_forced = command->cdb[0] != SCSI_WRITE_6 && (command->cdb[1] & FORCE_UNIT_ACCESS) != 0;
    enum scsi_step step;

    if (disk->is_read_only) {
        return scsi_fail(command, SCSI_KEY_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
    }
    step = transfer(command, BLOCK_WRITE);
    if (step == SCSI_SUBMIT && is_forced && disk->has_write_cache) {
        command->block.is_forced = disk->can_force;
        command->next = disk->can_force ? NULL : scsi_flush;
    }
    return step;
}

enum scsi_step scsi_verify(struct scsi_command *command)
{
    struct scsi_extent extent = scsi_extent(command->cdb);
    uint32_t block_bytes = scsi_block_bytes(command->unit);

    if (!command->disk->can_verify) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPERATION_CODE);
    }
    if ((command->cdb[1] & (BYTE_CHECK_MASK | PROTECT_MASK)) != 0) {
        return scsi_fail_field(command);
    }
    if (!scsi_is_inside(command->unit, &extent)) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    }
    if (extent.block_count > SCSI_ERASE_BYTES_MAX / block_bytes) {
        return scsi_fail_field(command);
    }
    if (extent.block_count == 0) {
        return scsi_finish(command);
    }
    return scsi_submit(command, BLOCK_VERIFY, extent.block * block_bytes, extent.block_count * block_bytes);
}

/* Is done when everything is written, whether the guest wants to wait (IMMED) or not. */
enum scsi_step scsi_synchronize_cache(struct scsi_command *command)
{
    struct scsi_extent extent = scsi_extent(command->cdb);

    if (!scsi_is_inside(command->unit, &extent)) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
    }
    return scsi_flush(command);
}
