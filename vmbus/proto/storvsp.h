/* SPDX-License-Identifier: MIT */
/*
 * Packets between a storage controller and the guest's driver: a header and a body whose meaning depends on the
 * operation. All are of one length.
 */
#ifndef PROTO_STORVSP_H
#define PROTO_STORVSP_H

#include <stddef.h>
#include <stdint.h>

/* Operations. The host sends COMPLETE_IO, for each packet of the guest, REMOVE_DEVICE and ENUMERATE_BUS. */
#define STORVSP_COMPLETE_IO            1u
#define STORVSP_EXECUTE_SRB            3u
#define STORVSP_RESET_LUN              4u
#define STORVSP_RESET_ADAPTER          5u
#define STORVSP_RESET_BUS              6u
#define STORVSP_BEGIN_INITIALIZATION   7u
#define STORVSP_END_INITIALIZATION     8u
#define STORVSP_QUERY_PROTOCOL_VERSION 9u
#define STORVSP_QUERY_PROPERTIES       10u
#define STORVSP_ENUMERATE_BUS          11u
#define STORVSP_CREATE_SUB_CHANNELS    13u

/* Versions, major in the high byte. */
#define STORVSP_VERSION_WIN8   0x0501u
#define STORVSP_VERSION_WIN8_1 0x0600u
#define STORVSP_VERSION_WIN10  0x0602u

/* NTSTATUS values of answers. */
#define STORVSP_STATUS_SUCCESS                0x00000000u
#define STORVSP_STATUS_INVALID_PARAMETER      0xC000000Du
#define STORVSP_STATUS_INVALID_DEVICE_REQUEST 0xC0000010u
#define STORVSP_STATUS_REVISION_MISMATCH      0xC0000059u
#define STORVSP_STATUS_INSUFFICIENT_RESOURCES 0xC000009Au
#define STORVSP_STATUS_INVALID_DEVICE_STATE   0xC0000184u

/* What became of an SRB. */
#define STORVSP_SRB_SUCCESS         0x01u
#define STORVSP_SRB_ERROR           0x04u
#define STORVSP_SRB_INVALID_REQUEST 0x06u
#define STORVSP_SRB_BUS_RESET       0x0Eu
#define STORVSP_SRB_INVALID_LUN     0x20u
/* Beside it: there is sense data. */
#define STORVSP_SRB_AUTOSENSE_VALID 0x80u

#define STORVSP_CDB_BYTES   16u
#define STORVSP_SENSE_BYTES 20u

/* A SCSI request. */
struct storvsp_srb {
    uint16_t length;
    uint8_t srb_status;  /* of answers */
    uint8_t scsi_status; /* of answers */
    uint8_t port;
    uint8_t path;
    uint8_t target;
    uint8_t lun;
    uint8_t cdb_bytes;
    uint8_t sense_bytes; /* room for sense data; of answers, how many there are */
    uint8_t data_in;
    uint8_t rsvd0;
    uint32_t transfer_bytes;                   /* of answers, how many were moved */
    uint8_t cdb_or_sense[STORVSP_SENSE_BYTES]; /* the command, of STORVSP_CDB_BYTES; of answers, sense data */
    uint16_t rsvd1;
    uint8_t queue_tag;
    uint8_t queue_action;
    uint32_t srb_flags;
    uint32_t timeout_seconds;
    uint32_t queue_sort_key;
};
_Static_assert(offsetof(struct storvsp_srb, lun) == 7, "lun");
_Static_assert(offsetof(struct storvsp_srb, transfer_bytes) == 12, "transfer_bytes");
_Static_assert(offsetof(struct storvsp_srb, cdb_or_sense) == 16, "cdb_or_sense");
_Static_assert(offsetof(struct storvsp_srb, timeout_seconds) == 44, "timeout_seconds");
_Static_assert(sizeof(struct storvsp_srb) == 52, "storvsp_srb");

/* QUERY_PROTOCOL_VERSION. */
struct storvsp_protocol_version {
    uint16_t version; /* STORVSP_VERSION_... */
    uint16_t revision;
};
_Static_assert(sizeof(struct storvsp_protocol_version) == 4, "storvsp_protocol_version");

/* Answer to QUERY_PROPERTIES. */
struct storvsp_properties {
    uint32_t rsvd0;
    uint16_t sub_channels_max;
    uint16_t rsvd1;
    uint32_t flags; /* STORVSP_PROPERTY_... */
    uint32_t transfer_bytes_max;
    uint32_t rsvd2[2];
};
_Static_assert(offsetof(struct storvsp_properties, sub_channels_max) == 4, "sub_channels_max");
_Static_assert(offsetof(struct storvsp_properties, transfer_bytes_max) == 12, "transfer_bytes_max");
_Static_assert(sizeof(struct storvsp_properties) == 24, "storvsp_properties");

/* The controller has sub-channels. */
#define STORVSP_PROPERTY_MULTI_CHANNEL 0x1u

/* A packet. */
struct storvsp_packet {
    uint32_t operation;
    uint32_t flags;
    uint32_t status; /* of answers, STORVSP_STATUS_... */
    union {
        struct storvsp_srb srb;
        struct storvsp_protocol_version version;
        struct storvsp_properties properties;
        uint16_t sub_channel_count;
    };
};
_Static_assert(offsetof(struct storvsp_packet, srb) == 12, "srb");
_Static_assert(sizeof(struct storvsp_packet) == 64, "storvsp_packet");

#endif
