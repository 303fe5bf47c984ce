/* SPDX-License-Identifier: MIT */
/*
 * SPC-4, persistent reservations, and the older RESERVE and RELEASE. A unit has one initiator, the guest: it can only
 * be in its own way, by a wrong key. Nothing of this outlives the unit's power.
 */
#include "hv/lib/be.h"
#include "vmbus/storvsp/scsi_unit.h"

#define ACTION_MASK        0x1Fu
#define SCOPE_SHIFT        4
#define TYPE_MASK          0x0Fu
#define PARAMETER_BYTES    24u
#define UNSUPPORTED_FLAGS  0x09u /* other initiators' ports; persistence over power loss */
#define KEY_BYTES          8u
#define HEADER_BYTES       8u
#define RESERVATION_BYTES  16u
#define CAPABILITIES_BYTES 8u
#define TYPE_MASK_IS_VALID 0x80u
#define TYPES_ALLOWED      0xEA01u /* as REPORT CAPABILITIES has them */
#define TYPES_BY_NUMBER    0x01EAu /* 1, 3, 5, 6, 7 and 8 */

/* Service actions of PERSISTENT RESERVE IN. */
enum reserve_in {
    READ_KEYS,
    READ_RESERVATION,
    REPORT_CAPABILITIES,
};

/* Service actions of PERSISTENT RESERVE OUT. */
enum reserve_out {
    REGISTER,
    RESERVE,
    RELEASE,
    CLEAR,
    PREEMPT,
    REGISTER_AND_IGNORE_KEY = 6,
};

/* Ends the command with that status, which has no sense data. */
static enum scsi_step fail_conflict(struct scsi_command *command)
{
    command->status = SCSI_STATUS_RESERVATION_CONFLICT;
    command->transferred_bytes = 0;
    return SCSI_FINISHED;
}

enum scsi_step scsi_reserve_or_release(struct scsi_command *command)
{
    return command->unit->reservation.is_registered ? fail_conflict(command) : scsi_finish(command);
}

enum scsi_step scsi_persistent_reserve_in(struct scsi_command *command)
{
    const struct scsi_reservation *reservation = &command->unit->reservation;
    uint8_t data[HEADER_BYTES + RESERVATION_BYTES] = {0};
    uint32_t length = HEADER_BYTES;

    put_be32(data, reservation->generation);
    switch (command->cdb[1] & ACTION_MASK) {
    case READ_KEYS:
        if (reservation->is_registered) {
            put_be64(data + length, reservation->key);
            length += KEY_BYTES;
        }
        put_be32(data + 4, length - HEADER_BYTES);
        break;
    case READ_RESERVATION:
        if (reservation->type != 0) {
            put_be64(data + length, reservation->key);
            data[length + 13] = reservation->type;
            length += RESERVATION_BYTES;
        }
        put_be32(data + 4, length - HEADER_BYTES);
        break;
    case REPORT_CAPABILITIES:
        put_be16(data, CAPABILITIES_BYTES);
        data[2] = 0;
        data[3] = TYPE_MASK_IS_VALID;
        put_be16(data + 4, TYPES_ALLOWED);
        break;
    default:
        return scsi_fail_field(command);
    }
    return scsi_answer(command, data, length, get_be16(command->cdb + 7));
}

/* Registers the key, changes it, or with key 0 ends registration and reservation. */
static enum scsi_step set_key(struct scsi_command *command, uint64_t key)
{
    struct scsi_reservation *reservation = &command->unit->reservation;

    reservation->generation++;
    reservation->key = key;
    reservation->is_registered = key != 0;
    if (key == 0) {
        reservation->type = 0;
    }
    return scsi_finish(command);
}

/* RESERVE and PREEMPT: `may_replace` a reservation of another type. */
static enum scsi_step reserve(struct scsi_command *command, bool may_replace)
{
    struct scsi_reservation *reservation = &command->unit->reservation;
    uint8_t type = command->cdb[2] & TYPE_MASK;

    if (command->cdb[2] >> SCOPE_SHIFT != 0 || (TYPES_BY_NUMBER >> type & 1u) == 0) {
        return scsi_fail_field(command);
    }
    if (reservation->type != 0 && reservation->type != type && !may_replace) {
        return fail_conflict(command);
    }
    reservation->type = type;
    return scsi_finish(command);
}

static enum scsi_step release(struct scsi_command *command)
{
    struct scsi_reservation *reservation = &command->unit->reservation;

    if (reservation->type != 0 && reservation->type != command->cdb[2]) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_RELEASE);
    }
    reservation->type = 0;
    return scsi_finish(command);
}

/* Carries an action out, once its parameters are there and the key is right. */
static enum scsi_step act(struct scsi_command *command, uint64_t new_key)
{
    struct scsi_reservation *reservation = &command->unit->reservation;

    switch (command->cdb[1] & ACTION_MASK) {
    case REGISTER:
    case REGISTER_AND_IGNORE_KEY:
        return set_key(command, new_key);
    case RESERVE:
        return reserve(command, false);
    case RELEASE:
        return release(command);
    case CLEAR:
        return set_key(command, 0);
    case PREEMPT:
        /* Nobody else has a key. */
        if (new_key != reservation->key) {
            return fail_conflict(command);
        }
        reservation->generation++;
        return reserve(command, true);
    default:
        return scsi_fail_field(command);
    }
}

enum scsi_step scsi_persistent_reserve_out(struct scsi_command *command)
{
    const struct scsi_reservation *reservation = &command->unit->reservation;
    uint8_t action = command->cdb[1] & ACTION_MASK;
    uint8_t data[PARAMETER_BYTES];
    struct gpa_cursor cursor;
    bool is_key_right;

    if (get_be32(command->cdb + 5) != PARAMETER_BYTES || command->data_bytes < PARAMETER_BYTES) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
    }
    gpa_cursor_start(&cursor, &command->data);
    (void)gpa_cursor_read(&cursor, data, sizeof(data));
    if ((data[20] & UNSUPPORTED_FLAGS) != 0) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_PARAMETERS);
    }
    /* Who is not registered has key 0, and may only register. */
    is_key_right = get_be64(data) == reservation->key && (reservation->is_registered || action == REGISTER);
    if (!is_key_right && action != REGISTER_AND_IGNORE_KEY) {
        return fail_conflict(command);
    }
    command->transferred_bytes = PARAMETER_BYTES;
    return act(command, get_be64(data + 8));
}
