/* SPDX-License-Identifier: MIT */
/*
 * The way of a command: which handler, what speaks against it, back-end requests, status and sense data. What single
 * commands do is in scsi_*.c.
 */
#include "vmbus/storvsp/scsi.h"

#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/be.h"
#include "vmbus/storvsp/scsi_unit.h"

#define REQUEST_SENSE_DESCRIPTOR_FORMAT 0x01u
#define SENSE_LENGTH                    (SCSI_SENSE_BYTES - 1 - SCSI_SENSE_LENGTH_OFFSET)
#define KEY_OFFSET                      2u

/* A command that we know. */
struct row {
    enum scsi_step (*handler)(struct scsi_command *command);
    uint32_t flags;
};

#define ON_DISK          0x01u
#define ON_DVD           0x02u
#define NEEDS_MEDIUM     0x04u
#define NEEDS_NO_UNIT    0x08u /* is answered for an absent one too */
#define LEAVES_ATTENTION 0x10u /* is executed although a unit attention is due (SAM-5, unit attention conditions) */

static enum scsi_step test_unit_ready(struct scsi_command *command)
{
    return scsi_finish(command);
}

/* SPC-4, REQUEST SENSE command: the sense data is the answer. */
static enum scsi_step request_sense(struct scsi_command *command)
{
    struct scsi_unit *unit = command->unit;
    uint8_t sense[SCSI_SENSE_BYTES];

    if ((command->cdb[1] & REQUEST_SENSE_DESCRIPTOR_FORMAT) != 0) {
        return scsi_fail_field(command);
    }
    if (unit == NULL) {
        scsi_format_sense(sense, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_UNIT_NOT_SUPPORTED);
    } else if (unit->attention_asc != SCSI_ASC_NONE) {
        scsi_format_sense(sense, SCSI_KEY_UNIT_ATTENTION, unit->attention_asc);
        unit->attention_asc = SCSI_ASC_NONE;
    } else if (!scsi_has_medium(unit)) {
        scsi_format_sense(sense, SCSI_KEY_NOT_READY, SCSI_ASC_MEDIUM_NOT_PRESENT);
    } else {
        scsi_format_sense(sense, SCSI_KEY_NO_SENSE, SCSI_ASC_NONE);
    }
    return scsi_answer(command, sense, sizeof(sense), command->cdb[4]);
}

static const struct row rows[256] = {
    [SCSI_TEST_UNIT_READY] = {test_unit_ready, ON_DISK | ON_DVD | NEEDS_MEDIUM},
    [SCSI_REQUEST_SENSE] = {request_sense, ON_DISK | ON_DVD | NEEDS_NO_UNIT | LEAVES_ATTENTION},
    [SCSI_READ_6] = {scsi_read, ON_DISK | NEEDS_MEDIUM},
    [SCSI_WRITE_6] = {scsi_write, ON_DISK | NEEDS_MEDIUM},
    [SCSI_INQUIRY] = {scsi_inquiry, ON_DISK | ON_DVD | NEEDS_NO_UNIT | LEAVES_ATTENTION},
    [SCSI_RESERVE_6] = {scsi_reserve_or_release, ON_DISK | ON_DVD},
    [SCSI_RELEASE_6] = {scsi_reserve_or_release, ON_DISK | ON_DVD},
    [SCSI_MODE_SENSE_6] = {scsi_mode_sense, ON_DISK | ON_DVD},
    [SCSI_START_STOP_UNIT] = {scsi_start_stop, ON_DISK | ON_DVD},
    [SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL] = {scsi_prevent_allow, ON_DVD},
    [SCSI_READ_CAPACITY_10] = {scsi_read_capacity_10, ON_DISK | ON_DVD | NEEDS_MEDIUM},
    [SCSI_READ_10] = {scsi_read, ON_DISK | ON_DVD | NEEDS_MEDIUM},
    [SCSI_WRITE_10] = {scsi_write, ON_DISK | NEEDS_MEDIUM},
    [SCSI_VERIFY_10] = {scsi_verify, ON_DISK | ON_DVD | NEEDS_MEDIUM},
    [SCSI_SYNCHRONIZE_CACHE_10] = {scsi_synchronize_cache, ON_DISK | NEEDS_MEDIUM},
    [SCSI_WRITE_SAME_10] = {scsi_write_same, ON_DISK | NEEDS_MEDIUM},
    [SCSI_UNMAP] = {scsi_unmap, ON_DISK | NEEDS_MEDIUM},
    [SCSI_READ_TOC] = {scsi_read_toc, ON_DVD | NEEDS_MEDIUM},
    [SCSI_GET_CONFIGURATION] = {scsi_get_configuration, ON_DVD | LEAVES_ATTENTION},
    [SCSI_GET_EVENT_STATUS] = {scsi_get_event_status, ON_DVD | LEAVES_ATTENTION},
    [SCSI_MODE_SENSE_10] = {scsi_mode_sense, ON_DISK | ON_DVD},
    [SCSI_PERSISTENT_RESERVE_IN] = {scsi_persistent_reserve_in, ON_DISK},
    [SCSI_PERSISTENT_RESERVE_OUT] = {scsi_persistent_reserve_out, ON_DISK},
    [SCSI_READ_16] = {scsi_read, ON_DISK | NEEDS_MEDIUM},
    [SCSI_WRITE_16] = {scsi_write, ON_DISK | NEEDS_MEDIUM},
    [SCSI_VERIFY_16] = {scsi_verify, ON_DISK | NEEDS_MEDIUM},
    [SCSI_SYNCHRONIZE_CACHE_16] = {scsi_synchronize_cache, ON_DISK | NEEDS_MEDIUM},
    [SCSI_WRITE_SAME_16] = {scsi_write_same, ON_DISK | NEEDS_MEDIUM},
    [SCSI_SERVICE_ACTION_IN_16] = {scsi_service_action_in, ON_DISK | NEEDS_MEDIUM},
    [SCSI_REPORT_LUNS] = {scsi_report_luns, ON_DISK | ON_DVD | NEEDS_NO_UNIT | LEAVES_ATTENTION},
    [SCSI_READ_12] = {scsi_read, ON_DISK | ON_DVD | NEEDS_MEDIUM},
    [SCSI_WRITE_12] = {scsi_write, ON_DISK | NEEDS_MEDIUM},
};

void scsi_init(struct scsi_target *target)
{
    memset(target, 0, sizeof(*target));
}

struct scsi_unit *scsi_find_unit(struct scsi_target *target, uint32_t lun)
{
    struct scsi_unit *unit = lun < SCSI_UNITS_MAX ? &target->units[lun] : NULL;

    return unit != NULL && unit->kind != SCSI_ABSENT && !unit->is_leaving ? unit : NULL;
}

void scsi_format_sense(uint8_t *sense, uint8_t sense_key, uint16_t asc)
{
    memset(sense, 0, SCSI_SENSE_BYTES);
    sense[0] = SCSI_SENSE_CURRENT;
    sense[KEY_OFFSET] = sense_key;
    sense[SCSI_SENSE_LENGTH_OFFSET] = SENSE_LENGTH;
    put_be16(sense + SCSI_SENSE_ASC_OFFSET, asc);
}

enum scsi_step scsi_finish(struct scsi_command *command)
{
    command->status = SCSI_STATUS_GOOD;
    return SCSI_FINISHED;
}

enum scsi_step scsi_fail(struct scsi_command *command, uint8_t sense_key, uint16_t asc)
{
    command->status = SCSI_STATUS_CHECK_CONDITION;
    command->transferred_bytes = 0;
    scsi_format_sense(command->sense, sense_key, asc);
    return SCSI_FINISHED;
}

enum scsi_step scsi_fail_field(struct scsi_command *command)
{
    return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

enum scsi_step scsi_answer(struct scsi_command *command, const void *bytes, uint32_t length_bytes,
                           uint32_t allocation_bytes)
{
    uint32_t wanted_bytes = min_u32(min_u32(length_bytes, allocation_bytes), command->data_bytes);
    struct gpa_cursor cursor;

    gpa_cursor_start(&cursor, &command->data);
    command->transferred_bytes = (uint32_t)gpa_cursor_write(&cursor, bytes, wanted_bytes);
    return scsi_finish(command);
}

enum scsi_step scsi_submit(struct scsi_command *command, enum block_operation operation, uint64_t offset_bytes,
                           uint64_t length_bytes)
{
    bool has_data = operation == BLOCK_READ || operation == BLOCK_WRITE;

    command->block.operation = operation;
    command->block.is_forced = false;
    command->block.offset_bytes = offset_bytes;
    command->block.length_bytes = length_bytes;
    command->block.data = has_data ? &command->data : NULL;
    return SCSI_SUBMIT;
}

uint32_t scsi_block_bytes(const struct scsi_unit *unit)
{
    return unit->kind == SCSI_DVD ? SCSI_DVD_BLOCK_BYTES : unit->disk->block_bytes;
}

uint64_t scsi_block_count(const struct scsi_unit *unit)
{
    return unit->disk->byte_count / scsi_block_bytes(unit);
}

bool scsi_has_medium(const struct scsi_unit *unit)
{
    return unit->disk != NULL && !unit->is_tray_open;
}

/* The back-end could not do it; the guest is told what is known of the cause. */
static enum scsi_step fail_block(struct scsi_command *command, enum block_result result)
{
    switch (result) {
    case BLOCK_MEDIUM_ERROR:
        return scsi_fail(command, SCSI_KEY_MEDIUM_ERROR,
                         command->block.operation == BLOCK_READ || command->block.operation == BLOCK_VERIFY
                             ? SCSI_ASC_UNRECOVERED_READ_ERROR
                             : SCSI_ASC_WRITE_ERROR);
    case BLOCK_NO_SPACE:
        return scsi_fail(command, SCSI_KEY_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED);
    case BLOCK_GONE:
        return scsi_fail(command, SCSI_KEY_NOT_READY, SCSI_ASC_MANUAL_INTERVENTION_REQUIRED);
    case BLOCK_OK:
    case BLOCK_PENDING:
    case BLOCK_FAILED:
        break;
    }
    return scsi_fail(command, SCSI_KEY_HARDWARE_ERROR, SCSI_ASC_INTERNAL_TARGET_FAILURE);
}

/* It was given up before all was done. */
static enum scsi_step fail_abort(struct scsi_command *command)
{
    command->is_aborted = true;
    return scsi_fail(command, SCSI_KEY_ABORTED_COMMAND,
                     command->abort == SCSI_ABORT_TIMEOUT ? SCSI_ASC_TIMEOUT_DURING_PROCESSING : SCSI_ASC_NONE);
}

/* Goes on behind a request. */
static enum scsi_step continue_command(struct scsi_command *command, enum block_result result)
{
    if (result != BLOCK_OK) {
        return fail_block(command, result);
    }
    if (command->next == NULL) {
        return scsi_finish(command);
    }
    return command->abort != SCSI_ABORT_NONE ? fail_abort(command) : command->next(command);
}

/* Has the back-end do requests until the command is finished (true) or one is pending. */
static bool run(struct scsi_command *command, enum scsi_step step)
{
    while (step == SCSI_SUBMIT) {
        enum block_result result = command->disk->operations->submit(command->disk, &command->block);

        if (result == BLOCK_PENDING) {
            command->is_pending = true;
            command->unit->pending_count++;
            return false;
        }
        step = continue_command(command, result);
    }
    return true;
}

/* The back-end does not have the request any more. */
static void end_pending(struct scsi_command *command)
{
    command->is_pending = false;
    command->unit->pending_count--;
    if (command->is_overdue) {
        command->is_overdue = false;
        command->unit->overdue_count--;
        command->target->overdue_count--;
    }
}

static void request_done(struct block_request *request, enum block_result result)
{
    struct scsi_command *command = CONTAINER_OF(request, struct scsi_command, block);

    end_pending(command);
    if (run(command, continue_command(command, result))) {
        command->finished(command);
    }
}

/* What speaks against the command; SCSI_SUBMIT when nothing does. */
static enum scsi_step check(struct scsi_command *command, const struct row *row)
{
    struct scsi_unit *unit = command->unit;

    if (unit == NULL) {
        return (row->flags & NEEDS_NO_UNIT) != 0
                   ? SCSI_SUBMIT
                   : scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_UNIT_NOT_SUPPORTED);
    }
    if ((row->flags & (unit->kind == SCSI_DISK ? ON_DISK : ON_DVD)) == 0) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPERATION_CODE);
    }
    if (unit->attention_asc != SCSI_ASC_NONE && (row->flags & LEAVES_ATTENTION) == 0) {
        uint16_t asc = unit->attention_asc;

        unit->attention_asc = SCSI_ASC_NONE;
        return scsi_fail(command, SCSI_KEY_UNIT_ATTENTION, asc);
    }
    if ((row->flags & NEEDS_MEDIUM) != 0 && !scsi_has_medium(unit)) {
        return scsi_fail(command, SCSI_KEY_NOT_READY, SCSI_ASC_MEDIUM_NOT_PRESENT);
    }
    if ((row->flags & NEEDS_MEDIUM) != 0 && unit->overdue_count != 0) {
        return scsi_fail(command, SCSI_KEY_NOT_READY, SCSI_ASC_OPERATION_IN_PROGRESS);
    }
    return SCSI_SUBMIT;
}

bool scsi_execute(struct scsi_command *command)
{
    const struct row *row = &rows[command->cdb[0]];

    command->unit = scsi_find_unit(command->target, command->lun);
    command->disk = command->unit != NULL ? command->unit->disk : NULL;
    command->transferred_bytes = 0;
    command->is_pending = false;
    command->is_overdue = false;
    command->is_aborted = false;
    command->abort = SCSI_ABORT_NONE;
    command->next = NULL;
    command->block.done = request_done;
    if (check(command, row) == SCSI_FINISHED) {
        return true;
    }
    return run(command, row->handler(command));
}

bool scsi_abort(struct scsi_command *command, enum scsi_abort cause)
{
    if (command->disk->operations->cancel(command->disk, &command->block)) {
        end_pending(command);
        command->abort = cause;
        (void)fail_abort(command);
        return true;
    }
    if (cause != SCSI_ABORT_TIMEOUT || command->abort == SCSI_ABORT_NONE) {
        command->abort = cause;
    }
    if (cause == SCSI_ABORT_TIMEOUT && !command->is_overdue) {
        command->is_overdue = true;
        command->unit->overdue_count++;
        command->target->overdue_count++;
    }
    return false;
}

void scsi_set_attention(struct scsi_unit *unit, uint16_t asc)
{
    unit->attention_asc = asc;
}

void scsi_reset_unit(struct scsi_unit *unit)
{
    unit->is_removal_prevented = false;
    scsi_set_attention(unit, SCSI_ASC_RESET_OCCURRED);
}
