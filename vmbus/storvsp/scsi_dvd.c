/* SPDX-License-Identifier: MIT */
/*
 * MMC-6: the commands of a DVD drive with a data disc of one track, beside those for reading; and START STOP UNIT,
 * which disks have too.
 */
#include "hv/lib/str.h"
#include "hv/lib/be.h"
#include "vmbus/storvsp/scsi_unit.h"

#define START_STOP_START           0x01u
#define START_STOP_LOAD_EJECT      0x02u
#define START_STOP_POWER_MASK      0xF0u
#define PREVENT                    0x01u
#define TOC_MSF                    0x02u
#define TOC_FORMAT_MASK            0x0Fu
#define TOC_FORMAT_TRACKS          0u
#define TOC_FORMAT_SESSIONS        1u
#define TOC_HEADER_BYTES           4u
#define TOC_TRACK_BYTES            8u
#define TOC_DATA_TRACK             0x14u /* ADR 1, data, recorded uninterrupted */
#define TOC_LEAD_OUT               0xAAu
#define FRAMES_PER_SECOND          75u
#define SECONDS_PER_MINUTE         60u
#define FRAMES_OF_LEAD_IN          150u
#define EVENT_POLLED               0x01u
#define EVENT_CLASS_MEDIA          4u
#define EVENT_NONE_AVAILABLE       0x80u
#define EVENT_MEDIUM_PRESENT       0x02u
#define EVENT_TRAY_OPEN            0x01u
#define CONFIGURATION_TYPE_MASK    0x03u
#define CONFIGURATION_TYPE_ONE     2u
#define CONFIGURATION_TYPE_INVALID 3u
#define CONFIGURATION_BYTES_MAX    64u
#define PROFILE_DVD_ROM            0x0010u

/* Ejects the disc or loads it again; without LOEJ there is nothing to do, since nothing turns. */
static enum scsi_step start_stop_dvd(struct scsi_command *command, bool is_start)
{
    struct scsi_unit *unit = command->unit;

    if ((command->cdb[4] & START_STOP_LOAD_EJECT) == 0) {
        return scsi_finish(command);
    }
    if (!is_start && unit->is_removal_prevented) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_REMOVAL_PREVENTED);
    }
    if (unit->is_tray_open == is_start && unit->disk != NULL) {
        unit->media_event = is_start ? SCSI_MEDIA_EVENT_NEW_MEDIA : SCSI_MEDIA_EVENT_MEDIA_REMOVAL;
    }
    unit->is_tray_open = !is_start;
    return scsi_finish(command);
}

enum scsi_step scsi_start_stop(struct scsi_command *command)
{
    bool is_start = (command->cdb[4] & START_STOP_START) != 0;

    if ((command->cdb[4] & START_STOP_POWER_MASK) != 0) {
        return scsi_fail_field(command);
    }
    if (command->unit->kind == SCSI_DVD) {
        return start_stop_dvd(command, is_start);
    }
    if ((command->cdb[4] & START_STOP_LOAD_EJECT) != 0) {
        return scsi_fail_field(command);
    }
    /* A disk that stops has written everything (SBC-3, START STOP UNIT command). */
    return is_start ? scsi_finish(command) : scsi_flush(command);
}

enum scsi_step scsi_prevent_allow(struct scsi_command *command)
{
    command->unit->is_removal_prevented = (command->cdb[4] & PREVENT) != 0;
    return scsi_finish(command);
}

/* An address on the disc, as a number of a block or in minutes, seconds and frames. */
static void put_address(uint8_t *to, uint32_t block, bool is_msf)
{
    uint32_t frames = block + FRAMES_OF_LEAD_IN;

    if (!is_msf) {
        put_be32(to, block);
        return;
    }
    to[0] = 0;
    to[1] = (uint8_t)(frames / FRAMES_PER_SECOND / SECONDS_PER_MINUTE);
    to[2] = (uint8_t)(frames / FRAMES_PER_SECOND % SECONDS_PER_MINUTE);
    to[3] = (uint8_t)(frames % FRAMES_PER_SECOND);
}

enum scsi_step scsi_read_toc(struct scsi_command *command)
{
    const uint8_t *cdb = command->cdb;
    uint8_t format = cdb[2] & TOC_FORMAT_MASK;
    bool is_msf = (cdb[1] & TOC_MSF) != 0;
    uint8_t data[TOC_HEADER_BYTES + 2 * TOC_TRACK_BYTES] = {0};
    uint32_t length = TOC_HEADER_BYTES;

    if (format > TOC_FORMAT_SESSIONS || (format == TOC_FORMAT_TRACKS && cdb[6] > 1 && cdb[6] != TOC_LEAD_OUT)) {
        return scsi_fail_field(command);
    }
    data[2] = 1;
    data[3] = 1;
    if (format == TOC_FORMAT_SESSIONS || cdb[6] <= 1) {
        data[length + 1] = TOC_DATA_TRACK;
        data[length + 2] = 1;
        put_address(data + length + 4, 0, is_msf);
        length += TOC_TRACK_BYTES;
    }
    if (format == TOC_FORMAT_TRACKS) {
        data[length + 1] = TOC_DATA_TRACK;
        data[length + 2] = TOC_LEAD_OUT;
        put_address(data + length + 4, (uint32_t)scsi_block_count(command->unit), is_msf);
        length += TOC_TRACK_BYTES;
    }
    put_be16(data, length - 2);
    return scsi_answer(command, data, length, get_be16(cdb + 7));
}

/* A feature of the drive (MMC-6, Features and Profiles), all with their data in this form. */
struct feature {
    uint16_t code;
    uint8_t flags; /* version in bits 5:2, persistent in bit 1, current in bit 0 */
    uint8_t data_bytes;
    uint8_t data[8];
};

#define FEATURE_CURRENT    0x01u
#define FEATURE_PERSISTENT 0x02u
#define FEATURE_VERSION_2  0x08u

static const struct feature features[] = {
    /* Profile List: DVD-ROM. */
    {0x0000, FEATURE_PERSISTENT | FEATURE_CURRENT, 4, {0x00, 0x10, 0x00}},
    /* Core: SCSI. */
    {0x0001, FEATURE_VERSION_2 | FEATURE_PERSISTENT | FEATURE_CURRENT, 8, {0, 0, 0, 1}},
    /* Removable Medium: tray, eject, lock. */
    {0x0003, FEATURE_PERSISTENT | FEATURE_CURRENT, 4, {0x29}},
    /* Random Readable: blocks of 2048 bytes, one at a time. */
    {0x0010, 0, 8, {0x00, 0x00, 0x08, 0x00, 0x00, 0x01}},
    /* DVD Read. */
    {0x001F, 0, 4, {0}},
};

/* Profile and features that depend on the disc are current with one. */
enum scsi_step scsi_get_configuration(struct scsi_command *command)
{
    uint8_t type = command->cdb[1] & CONFIGURATION_TYPE_MASK;
    uint16_t first = get_be16(command->cdb + 2);
    bool has_medium = scsi_has_medium(command->unit);
    uint8_t data[CONFIGURATION_BYTES_MAX] = {0};
    uint32_t length = 8;

    if (type == CONFIGURATION_TYPE_INVALID) {
        return scsi_fail_field(command);
    }
    put_be16(data + 6, has_medium ? PROFILE_DVD_ROM : 0);
    for (uint32_t i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *feature = &features[i];
        uint8_t current = (feature->flags & FEATURE_CURRENT) != 0 || has_medium ? FEATURE_CURRENT : 0;
        bool is_wanted = type == CONFIGURATION_TYPE_ONE ? feature->code == first : feature->code >= first;

        if (!is_wanted || (type == 1 && current == 0)) {
            continue;
        }
        put_be16(data + length, feature->code);
        data[length + 2] = feature->flags | current;
        data[length + 3] = feature->data_bytes;
        memcpy(data + length + 4, feature->data, feature->data_bytes);
        if (feature->code == 0) {
            data[length + 6] = has_medium ? FEATURE_CURRENT : 0;
        }
        length += 4u + feature->data_bytes;
    }
    put_be32(data, length - 4);
    return scsi_answer(command, data, length, get_be16(command->cdb + 7));
}

/* Media events; others do not happen. */
enum scsi_step scsi_get_event_status(struct scsi_command *command)
{
    struct scsi_unit *unit = command->unit;
    uint8_t data[8] = {0};

    if ((command->cdb[1] & EVENT_POLLED) == 0) {
        return scsi_fail_field(command);
    }
    data[3] = 1u << EVENT_CLASS_MEDIA;
    if ((command->cdb[4] & 1u << EVENT_CLASS_MEDIA) == 0) {
        put_be16(data, 2);
        data[2] = EVENT_NONE_AVAILABLE;
        return scsi_answer(command, data, 4, get_be16(command->cdb + 7));
    }
    put_be16(data, sizeof(data) - 2);
    data[2] = EVENT_CLASS_MEDIA;
    data[4] = unit->media_event;
    data[5] = (scsi_has_medium(unit) ? EVENT_MEDIUM_PRESENT : 0) | (unit->is_tray_open ? EVENT_TRAY_OPEN : 0);
    if (get_be16(command->cdb + 7) >= sizeof(data)) {
        unit->media_event = SCSI_MEDIA_EVENT_NONE;
    }
    return scsi_answer(command, data, sizeof(data), get_be16(command->cdb + 7));
}
