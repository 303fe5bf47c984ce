/* SPDX-License-Identifier: MIT */
/*
 * NVSP, what a network adapter and the guest's driver say in packets of their channels: versions, buffers, and where
 * RNDIS messages (rndis.h) lie. Reserved and unused bytes of messages to the guest are zero.
 */
#ifndef PROTO_NETVSP_H
#define PROTO_NETVSP_H

#include <stddef.h>
#include <stdint.h>

/* Versions, oldest first: their numbers grow. */
#define NVSP_VERSION_1   0x00000002u
#define NVSP_VERSION_2   0x00030002u
#define NVSP_VERSION_4   0x00040000u
#define NVSP_VERSION_5   0x00050000u
#define NVSP_VERSION_6   0x00060000u
#define NVSP_VERSION_6_1 0x00060001u

/* Types. Those named COMPLETE, and SUBCHANNEL of the host, answer a packet as its completion. */
#define NVSP_INIT                    1u
#define NVSP_INIT_COMPLETE           2u
#define NVSP_SEND_NDIS_VERSION       100u
#define NVSP_SEND_RECEIVE_BUFFER     101u
#define NVSP_RECEIVE_BUFFER_COMPLETE 102u
#define NVSP_REVOKE_RECEIVE_BUFFER   103u
#define NVSP_SEND_SEND_BUFFER        104u
#define NVSP_SEND_BUFFER_COMPLETE    105u
#define NVSP_REVOKE_SEND_BUFFER      106u
#define NVSP_SEND_RNDIS_PACKET       107u
#define NVSP_RNDIS_PACKET_COMPLETE   108u
#define NVSP_SEND_NDIS_CONFIG        125u
#define NVSP_SUBCHANNEL              133u
#define NVSP_SEND_INDIRECTION_TABLE  134u

#define NVSP_STATUS_NONE          0u
#define NVSP_STATUS_SUCCESS       1u
#define NVSP_STATUS_FAIL          2u
#define NVSP_STATUS_INVALID_RNDIS 5u

/* The host's page set in VMBUS_PACKET_TRANSFER_PAGES is the guest's receive buffer, by the id that it gave. */
#define NVSP_NO_SECTION           0xFFFFFFFFu
#define NVSP_CHANNEL_TYPE_DATA    0u
#define NVSP_CHANNEL_TYPE_CONTROL 1u
#define NVSP_SUBCHANNEL_ALLOCATE  1u

#define NVSP_MESSAGE_BYTES     28u /* of the host's messages before 6.1 */
#define NVSP_MESSAGE_6_1_BYTES 40u
#define NVSP_INDIRECTION_COUNT 16u

/* A message; all have the length that the version says, but for the indirection table. */
struct nvsp_message {
    uint32_t type;
    union {
        struct {
            uint32_t version_min;
            uint32_t version_max;
        } init;
        struct {
            uint32_t version; /* NVSP_VERSION_1 for that, else all ones */
            uint32_t mdl_chain_max;
            uint32_t status;
        } init_complete;
        struct {
            uint32_t major;
            uint32_t minor;
        } ndis_version;
        struct {
            uint32_t gpadl_id;
            uint16_t id;
            uint16_t rsvd;
        } buffer;
        struct {
            uint32_t status;
            uint32_t section_count; /* of what follows: 1 */
            uint32_t offset_bytes;
            uint32_t section_bytes;
            uint32_t sub_allocation_count;
            uint32_t end_offset_bytes;
        } receive_buffer_complete;
        struct {
            uint32_t status;
            uint32_t section_bytes;
        } send_buffer_complete;
        uint16_t revoked_id;
        struct {
            uint32_t channel_type;  /* NVSP_CHANNEL_TYPE_... */
            uint32_t section_index; /* of the send buffer, or NVSP_NO_SECTION */
            uint32_t section_bytes; /* that are used */
        } rndis_packet;
        uint32_t status; /* RNDIS_PACKET_COMPLETE */
        struct {
            uint32_t mtu_bytes; /* with the Ethernet header */
            uint32_t rsvd;
            uint32_t capabilities[2];
        } ndis_config;
        struct {
            uint32_t operation;
            uint32_t count;
        } sub_channel;
        struct {
            uint32_t status;
            uint32_t count;
        } sub_channel_complete;
        uint32_t words[9];
    };
};
_Static_assert(offsetof(struct nvsp_message, init.version_max) == 8, "version_max");
_Static_assert(offsetof(struct nvsp_message, init_complete.status) == 12, "init_complete.status");
_Static_assert(offsetof(struct nvsp_message, buffer.id) == 8, "buffer.id");
_Static_assert(offsetof(struct nvsp_message, receive_buffer_complete.sub_allocation_count) == 20,
               "sub_allocation_count");
_Static_assert(offsetof(struct nvsp_message, send_buffer_complete.section_bytes) == 8, "send section_bytes");
_Static_assert(offsetof(struct nvsp_message, rndis_packet.section_bytes) == 12, "section_bytes");
_Static_assert(offsetof(struct nvsp_message, ndis_config.capabilities) == 12, "capabilities");
_Static_assert(sizeof(struct nvsp_message) == NVSP_MESSAGE_6_1_BYTES, "nvsp_message");

/* SEND_INDIRECTION_TABLE: which channel the guest is to send on, by its hash. */
struct nvsp_indirection_table {
    uint32_t type;
    uint32_t count;
    uint32_t offset_bytes; /* of the table, from the message's begin */
    uint32_t channels[NVSP_INDIRECTION_COUNT];
};
_Static_assert(offsetof(struct nvsp_indirection_table, channels) == 12, "channels");
_Static_assert(sizeof(struct nvsp_indirection_table) == 76, "nvsp_indirection_table");

#endif
