/* SPDX-License-Identifier: MIT */
/*
 * Numbers of SCSI that a disk or DVD drive knows: SPC-4 (commands of all devices), SBC-3 (of disks), MMC-6 (of DVD
 * drives), SAM-5 (statuses). Fields of commands and data are bytes at offsets, numbers big-endian.
 */
#ifndef PROTO_SCSI_H
#define PROTO_SCSI_H

/* Operation codes. */
#define SCSI_TEST_UNIT_READY              0x00u
#define SCSI_REQUEST_SENSE                0x03u
#define SCSI_READ_6                       0x08u
#define SCSI_WRITE_6                      0x0Au
#define SCSI_INQUIRY                      0x12u
#define SCSI_RESERVE_6                    0x16u
#define SCSI_RELEASE_6                    0x17u
#define SCSI_MODE_SENSE_6                 0x1Au
#define SCSI_START_STOP_UNIT              0x1Bu
#define SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL 0x1Eu
#define SCSI_READ_CAPACITY_10             0x25u
#define SCSI_READ_10                      0x28u
#define SCSI_WRITE_10                     0x2Au
#define SCSI_VERIFY_10                    0x2Fu
#define SCSI_SYNCHRONIZE_CACHE_10         0x35u
#define SCSI_WRITE_SAME_10                0x41u
#define SCSI_UNMAP                        0x42u
#define SCSI_READ_TOC                     0x43u
#define SCSI_GET_CONFIGURATION            0x46u
#define SCSI_GET_EVENT_STATUS             0x4Au
#define SCSI_MODE_SENSE_10                0x5Au
#define SCSI_PERSISTENT_RESERVE_IN        0x5Eu
#define SCSI_PERSISTENT_RESERVE_OUT       0x5Fu
#define SCSI_READ_16                      0x88u
#define SCSI_WRITE_16                     0x8Au
#define SCSI_VERIFY_16                    0x8Fu
#define SCSI_SYNCHRONIZE_CACHE_16         0x91u
#define SCSI_WRITE_SAME_16                0x93u
#define SCSI_SERVICE_ACTION_IN_16         0x9Eu
#define SCSI_REPORT_LUNS                  0xA0u
#define SCSI_READ_12                      0xA8u
#define SCSI_WRITE_12                     0xAAu

/* Service action of SCSI_SERVICE_ACTION_IN_16, in bits 4:0 of byte 1. */
#define SCSI_ACTION_READ_CAPACITY_16 0x10u

/* Statuses of commands. */
#define SCSI_STATUS_GOOD                 0x00u
#define SCSI_STATUS_CHECK_CONDITION      0x02u
#define SCSI_STATUS_RESERVATION_CONFLICT 0x18u

/* Sense keys. */
#define SCSI_KEY_NO_SENSE        0x0u
#define SCSI_KEY_NOT_READY       0x2u
#define SCSI_KEY_MEDIUM_ERROR    0x3u
#define SCSI_KEY_HARDWARE_ERROR  0x4u
#define SCSI_KEY_ILLEGAL_REQUEST 0x5u
#define SCSI_KEY_UNIT_ATTENTION  0x6u
#define SCSI_KEY_DATA_PROTECT    0x7u
#define SCSI_KEY_ABORTED_COMMAND 0xBu

/* Additional sense codes: ASC in the high byte, qualifier in the low one. */
#define SCSI_ASC_NONE                         0x0000u
#define SCSI_ASC_MANUAL_INTERVENTION_REQUIRED 0x0403u /* logical unit not ready, ... */
#define SCSI_ASC_OPERATION_IN_PROGRESS        0x0407u /* logical unit not ready, ... */
#define SCSI_ASC_WRITE_ERROR                  0x0C00u
#define SCSI_ASC_UNRECOVERED_READ_ERROR       0x1100u
#define SCSI_ASC_PARAMETER_LIST_LENGTH        0x1A00u
#define SCSI_ASC_INVALID_OPERATION_CODE       0x2000u
#define SCSI_ASC_LBA_OUT_OF_RANGE             0x2100u
#define SCSI_ASC_INVALID_FIELD_IN_CDB         0x2400u
#define SCSI_ASC_UNIT_NOT_SUPPORTED           0x2500u
#define SCSI_ASC_INVALID_FIELD_IN_PARAMETERS  0x2600u
#define SCSI_ASC_INVALID_RELEASE              0x2604u /* of persistent reservation */
#define SCSI_ASC_WRITE_PROTECTED              0x2700u
#define SCSI_ASC_SPACE_ALLOCATION_FAILED      0x2707u
#define SCSI_ASC_MEDIUM_MAY_HAVE_CHANGED      0x2800u
#define SCSI_ASC_RESET_OCCURRED               0x2900u
#define SCSI_ASC_CAPACITY_CHANGED             0x2A09u
#define SCSI_ASC_TIMEOUT_DURING_PROCESSING    0x2E02u
#define SCSI_ASC_SAVING_NOT_SUPPORTED         0x3900u
#define SCSI_ASC_MEDIUM_NOT_PRESENT           0x3A00u
#define SCSI_ASC_INTERNAL_TARGET_FAILURE      0x4400u
#define SCSI_ASC_REMOVAL_PREVENTED            0x5302u

/* Fixed-format sense data (SPC-4, Fixed format sense data). */
#define SCSI_SENSE_BYTES         18u
#define SCSI_SENSE_CURRENT       0x70u
#define SCSI_SENSE_LENGTH_OFFSET 7u
#define SCSI_SENSE_ASC_OFFSET    12u

/* Peripheral device types of INQUIRY, and the answer of a unit that is not there. */
#define SCSI_TYPE_DISK   0x00u
#define SCSI_TYPE_CD_DVD 0x05u
#define SCSI_TYPE_ABSENT 0x7Fu

/* Vital product data pages. */
#define SCSI_VPD_SUPPORTED_PAGES       0x00u
#define SCSI_VPD_SERIAL_NUMBER         0x80u
#define SCSI_VPD_IDENTIFICATION        0x83u
#define SCSI_VPD_BLOCK_LIMITS          0xB0u
#define SCSI_VPD_BLOCK_CHARACTERISTICS 0xB1u
#define SCSI_VPD_PROVISIONING          0xB2u

/* Mode pages. */
#define SCSI_MODE_PAGE_CACHING      0x08u
#define SCSI_MODE_PAGE_CONTROL      0x0Au
#define SCSI_MODE_PAGE_CAPABILITIES 0x2Au /* of DVD drives */
#define SCSI_MODE_PAGE_ALL          0x3Fu

#endif
