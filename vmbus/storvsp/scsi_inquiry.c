/* SPDX-License-Identifier: MIT */
/* What units there are and what they are: SPC-4, INQUIRY and REPORT LUNS commands, and the vital product data. */
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "hv/lib/be.h"
#include "vmbus/storvsp/scsi_unit.h"

#define VENDOR                 "Msft    "
#define PRODUCT_DISK           "Virtual Disk    "
#define PRODUCT_DVD            "Virtual DVD-ROM "
#define REVISION               "1.0 "
#define STANDARD_BYTES         36u
#define STANDARD_REMOVABLE     0x80u
#define STANDARD_VERSION_SPC4  0x06u
#define STANDARD_FORMAT        0x02u
#define STANDARD_COMMAND_QUEUE 0x02u
#define ENABLE_VPD             0x01u
#define VPD_HEADER_BYTES       4u
#define VPD_BYTES_MAX          128u
#define LUN_LIST_HEADER_BYTES  8u
#define LUN_BYTES              8u
#define REPORT_WELL_KNOWN      0x01u
#define REPORT_ALL             0x02u

/* SPC-4, Standard INQUIRY data. */
static enum scsi_step inquire_standard(struct scsi_command *command)
{
    const struct scsi_unit *unit = command->unit;
    uint8_t data[STANDARD_BYTES] = {0};

    if (unit == NULL) {
        data[0] = SCSI_TYPE_ABSENT;
    } else {
        data[0] = unit->kind == SCSI_DVD ? SCSI_TYPE_CD_DVD : SCSI_TYPE_DISK;
        data[1] = unit->kind == SCSI_DVD ? STANDARD_REMOVABLE : 0;
    }
    data[2] = STANDARD_VERSION_SPC4;
    data[3] = STANDARD_FORMAT;
    data[4] = STANDARD_BYTES - 5;
    data[7] = STANDARD_COMMAND_QUEUE;
    memcpy(data + 8, VENDOR, 8);
    memcpy(data + 16, unit != NULL && unit->kind == SCSI_DVD ? PRODUCT_DVD : PRODUCT_DISK, 16);
    memcpy(data + 32, REVISION, 4);
    return scsi_answer(command, data, sizeof(data), get_be16(command->cdb + 3));
}

/* The unit's identity in 32 hexadecimal digits. */
static uint32_t write_serial_number(const struct scsi_unit *unit, uint8_t *to)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[sizeof(unit->identity)];

    memcpy(bytes, &unit->identity, sizeof(bytes));
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        to[2 * i] = (uint8_t)digits[bytes[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[bytes[i] & 0xF];
    }
    return 2 * sizeof(bytes);
}

/*
 * SPC-4, Device Identification VPD page: one designator after the vendor with the whole identity, and one of the
 * locally assigned kind of NAA, made of it.
 */
static uint32_t write_identification(const struct scsi_unit *unit, uint8_t *to)
{
    enum { CODE_SET_BINARY = 1, CODE_SET_ASCII = 2, TYPE_VENDOR = 1, TYPE_NAA = 3, NAA_LOCAL = 0x30, NAA_BYTES = 8 };
    uint8_t bytes[sizeof(unit->identity)];
    uint8_t *naa;
    uint32_t length = 8;

    to[0] = CODE_SET_ASCII;
    to[1] = TYPE_VENDOR;
    memcpy(to + 4, VENDOR, 8);
    length += write_serial_number(unit, to + 4 + length);
    to[3] = (uint8_t)length;
    naa = to + 4 + length;
    naa[0] = CODE_SET_BINARY;
    naa[1] = TYPE_NAA;
    naa[3] = NAA_BYTES;
    memcpy(bytes, &unit->identity, sizeof(bytes));
    for (uint32_t i = 0; i < NAA_BYTES; i++) {
        naa[4 + i] = bytes[i] ^ bytes[NAA_BYTES + i];
    }
    naa[4] = NAA_LOCAL | (naa[4] & 0xF);
    return 4 + length + 4 + NAA_BYTES;
}

/* SBC-3, Block Limits VPD page; offsets here and below are behind the page's header. */
static uint32_t write_block_limits(const struct scsi_unit *unit, uint8_t *to)
{
    enum { WRITE_SAME_NOT_ZERO = 0x01, PAGE_BYTES = 0x3C };
    const struct block_disk *disk = unit->disk;
    uint32_t erase_blocks = SCSI_ERASE_BYTES_MAX / disk->block_bytes;

    to[0] = WRITE_SAME_NOT_ZERO;
    put_be16(to + 2, disk->physical_block_bytes / disk->block_bytes);
    put_be32(to + 4, SCSI_TRANSFER_BYTES_MAX / disk->block_bytes);
    if (disk->can_unmap) {
        put_be32(to + 16, erase_blocks);
        put_be32(to + 20, SCSI_UNMAP_DESCRIPTORS_MAX);
        put_be32(to + 24, disk->unmap_granule_bytes / disk->block_bytes);
    }
    if (disk->can_write_zeroes) {
        put_be64(to + 32, erase_blocks);
    }
    return PAGE_BYTES;
}

/* SBC-3, Block Device Characteristics VPD page. */
static uint32_t write_characteristics(uint8_t *to)
{
    enum { NOT_ROTATING = 1, PAGE_BYTES = 0x3C };

    put_be16(to, NOT_ROTATING);
    return PAGE_BYTES;
}

/* SBC-3, Logical Block Provisioning VPD page. */
static uint32_t write_provisioning(const struct scsi_unit *unit, uint8_t *to)
{
    enum { BY_UNMAP = 0x80, BY_WRITE_SAME = 0x60, READS_ZERO = 0x04, THIN = 2, PAGE_BYTES = 4 };

    to[1] = BY_UNMAP;
    if (unit->disk->can_write_zeroes) {
        to[1] |= BY_WRITE_SAME;
    }
    if (unit->disk->is_zero_when_unmapped) {
        to[1] |= READS_ZERO;
    }
    to[2] = THIN;
    return PAGE_BYTES;
}

/* The page is there for this unit. */
static bool has_page(const struct scsi_unit *unit, uint8_t page)
{
    switch (page) {
    case SCSI_VPD_SUPPORTED_PAGES:
    case SCSI_VPD_SERIAL_NUMBER:
    case SCSI_VPD_IDENTIFICATION:
        return true;
    case SCSI_VPD_BLOCK_LIMITS:
    case SCSI_VPD_BLOCK_CHARACTERISTICS:
        return unit->kind == SCSI_DISK;
    case SCSI_VPD_PROVISIONING:
        return unit->kind == SCSI_DISK && unit->disk->can_unmap;
    default:
        return false;
    }
}

/* In ascending order. */
static uint32_t write_supported_pages(const struct scsi_unit *unit, uint8_t *to)
{
    static const uint8_t pages[] = {
        SCSI_VPD_SUPPORTED_PAGES, SCSI_VPD_SERIAL_NUMBER,         SCSI_VPD_IDENTIFICATION,
        SCSI_VPD_BLOCK_LIMITS,    SCSI_VPD_BLOCK_CHARACTERISTICS, SCSI_VPD_PROVISIONING,
    };
    uint32_t count = 0;

    for (uint32_t i = 0; i < ARRAY_SIZE(pages); i++) {
        if (has_page(unit, pages[i])) {
            to[count++] = pages[i];
        }
    }
    return count;
}

static uint32_t write_page(const struct scsi_unit *unit, uint8_t page, uint8_t *to)
{
    switch (page) {
    case SCSI_VPD_SERIAL_NUMBER:
        return write_serial_number(unit, to);
    case SCSI_VPD_IDENTIFICATION:
        return write_identification(unit, to);
    case SCSI_VPD_BLOCK_LIMITS:
        return write_block_limits(unit, to);
    case SCSI_VPD_BLOCK_CHARACTERISTICS:
        return write_characteristics(to);
    case SCSI_VPD_PROVISIONING:
        return write_provisioning(unit, to);
    default:
        return write_supported_pages(unit, to);
    }
}

enum scsi_step scsi_inquiry(struct scsi_command *command)
{
    const struct scsi_unit *unit = command->unit;
    uint8_t page = command->cdb[2];
    uint8_t data[VPD_BYTES_MAX] = {0};
    uint32_t length;

    if ((command->cdb[1] & ~ENABLE_VPD) != 0) {
        return scsi_fail_field(command);
    }
    if ((command->cdb[1] & ENABLE_VPD) == 0) {
        return page == 0 ? inquire_standard(command) : scsi_fail_field(command);
    }
    if (unit == NULL || !has_page(unit, page)) {
        return scsi_fail_field(command);
    }
    data[0] = unit->kind == SCSI_DVD ? SCSI_TYPE_CD_DVD : SCSI_TYPE_DISK;
    data[1] = page;
    length = write_page(unit, page, data + VPD_HEADER_BYTES);
    put_be16(data + 2, length);
    return scsi_answer(command, data, VPD_HEADER_BYTES + length, get_be16(command->cdb + 3));
}

enum scsi_step scsi_report_luns(struct scsi_command *command)
{
    uint8_t data[LUN_LIST_HEADER_BYTES + SCSI_UNITS_MAX * LUN_BYTES] = {0};
    uint32_t length = LUN_LIST_HEADER_BYTES;

    bool has_units = command->cdb[2] != REPORT_WELL_KNOWN && command->lun < SCSI_UNITS_MAX;

    if (command->cdb[2] > REPORT_ALL) {
        return scsi_fail_field(command);
    }
    for (uint32_t lun = 0; lun < SCSI_UNITS_MAX && has_units; lun++) {
        if (scsi_find_unit(command->target, lun) != NULL) {
            data[length + 1] = (uint8_t)lun;
            length += LUN_BYTES;
        }
    }
    put_be32(data, length - LUN_LIST_HEADER_BYTES);
    return scsi_answer(command, data, length, get_be32(command->cdb + 6));
}
