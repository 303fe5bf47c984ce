/* SPDX-License-Identifier: MIT */
/* SPC-4, MODE SENSE(6) and MODE SENSE(10) commands: pages that say how a unit works. Nothing can be changed. */
#include "hv/lib/range.h"
#include "hv/lib/be.h"
#include "vmbus/storvsp/scsi_unit.h"

#define HEADER_6_BYTES     4u
#define HEADER_10_BYTES    8u
#define MODE_BYTES_MAX     64u
#define WRITE_PROTECTED    0x80u /* device-specific parameter (SBC-3) */
#define HONOURS_FUA        0x10u
#define CONTROL_SHIFT      6
#define CONTROL_CHANGEABLE 1u
#define CONTROL_SAVED      3u
#define PAGE_MASK_6BIT     0x3Fu
#define SUBPAGE_ALL        0xFFu
#define PAGE_HEADER_BYTES  2u

/* SBC-3, Caching mode page. */
static uint32_t write_caching(const struct scsi_unit *unit, uint8_t *to)
{
    enum { WRITE_CACHE_ENABLED = 0x04, PAGE_BYTES = 18 };

    to[2] = unit->disk->has_write_cache && !unit->disk->is_read_only ? WRITE_CACHE_ENABLED : 0;
    return PAGE_BYTES;
}

/* SPC-4, Control mode page. */
static uint32_t write_control(uint8_t *to)
{
    enum { UNRESTRICTED_REORDERING = 0x10, PAGE_BYTES = 10 };

    to[3] = UNRESTRICTED_REORDERING;
    return PAGE_BYTES;
}

/* MMC-6, MM Capabilities and Mechanical Status Page. */
static uint32_t write_capabilities(uint8_t *to)
{
    enum { READS_DVD_ROM = 0x08, LOADS_BY_TRAY_AND_EJECTS = 0x29, PAGE_BYTES = 18 };

    to[2] = READS_DVD_ROM;
    to[6] = LOADS_BY_TRAY_AND_EJECTS;
    return PAGE_BYTES;
}

/* Writes a page if the unit has it, and returns its length. In the mask of what can be changed nothing is set. */
static uint32_t write_page(const struct scsi_unit *unit, uint8_t page, bool is_mask, uint8_t *to)
{
    uint8_t discarded[MODE_BYTES_MAX] = {0};
    uint8_t *values = is_mask ? discarded : to;
    uint32_t length;

    if (page == SCSI_MODE_PAGE_CACHING && unit->kind == SCSI_DISK) {
        length = write_caching(unit, values);
    } else if (page == SCSI_MODE_PAGE_CONTROL) {
        length = write_control(values);
    } else if (page == SCSI_MODE_PAGE_CAPABILITIES && unit->kind == SCSI_DVD) {
        length = write_capabilities(values);
    } else {
        return 0;
    }
    to[0] = page;
    to[1] = (uint8_t)length;
    return PAGE_HEADER_BYTES + length;
}

enum scsi_step scsi_mode_sense(struct scsi_command *command)
{
    static const uint8_t pages[] = {SCSI_MODE_PAGE_CACHING, SCSI_MODE_PAGE_CONTROL, SCSI_MODE_PAGE_CAPABILITIES};
    const struct scsi_unit *unit = command->unit;
    bool is_short = command->cdb[0] == SCSI_MODE_SENSE_6;
    uint32_t header_bytes = is_short ? HEADER_6_BYTES : HEADER_10_BYTES;
    uint32_t length = header_bytes;
    uint8_t page = command->cdb[2] & PAGE_MASK_6BIT;
    uint8_t control = command->cdb[2] >> CONTROL_SHIFT;
    uint8_t data[MODE_BYTES_MAX] = {0};
    uint8_t parameter = 0;

    if (control == CONTROL_SAVED) {
        return scsi_fail(command, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_SAVING_NOT_SUPPORTED);
    }
    if (command->cdb[3] != 0 && command->cdb[3] != SUBPAGE_ALL) {
        return scsi_fail_field(command);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(pages); i++) {
        if (page == pages[i] || page == SCSI_MODE_PAGE_ALL) {
            length += write_page(unit, pages[i], control == CONTROL_CHANGEABLE, data + length);
        }
    }
    if (length == header_bytes) {
        return scsi_fail_field(command);
    }
    if (unit->kind == SCSI_DISK) {
        parameter = HONOURS_FUA | (unit->disk->is_read_only ? WRITE_PROTECTED : 0);
    }
    if (is_short) {
        data[0] = (uint8_t)(length - 1);
        data[2] = parameter;
        return scsi_answer(command, data, length, command->cdb[4]);
    }
    put_be16(data, length - 2);
    data[3] = parameter;
    return scsi_answer(command, data, length, get_be16(command->cdb + 7));
}
