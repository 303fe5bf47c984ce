/* SPDX-License-Identifier: MIT */
/*
 * Messages of the VMBus control plane: the payload of SynIC messages of type
 * VMBUS_MESSAGE_TYPE. Lengths from guests are minima: they may send more, which
 * counts for nothing.
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "hv/lib/guid.h"

/* Where the two sides meet. */
#define VMBUS_SINT                    2u
#define VMBUS_MESSAGE_TYPE            1u
#define VMBUS_MESSAGE_BYTES_MAX       240u
#define VMBUS_CONNECTION_MESSAGE      1u /* the guest's messages up to version 4.1 */
#define VMBUS_CONNECTION_EVENT        2u /* the guest's signals of version 0.13 */
#define VMBUS_CONNECTION_MULTI_CLIENT 4u /* the guest's messages since 5.0 */

/* Versions: major in the high half. */
#define VMBUS_VERSION_WS2008  0x0000000Du
#define VMBUS_VERSION_WIN7    0x00010001u
#define VMBUS_VERSION_WIN8    0x00020004u
#define VMBUS_VERSION_WIN8_1  0x00030000u
#define VMBUS_VERSION_WIN10   0x00040000u
#define VMBUS_VERSION_WIN10_1 0x00040001u
#define VMBUS_VERSION_WIN10_5 0x00050000u
#define VMBUS_VERSION_RS4     0x00050001u
#define VMBUS_VERSION_RS5     0x00050002u
#define VMBUS_VERSION_IRON    0x00050003u
#define VMBUS_VERSION_COPPER  0x00060000u

/* Message types. */
enum vmbus_message_type {
    VMBUS_OFFER_CHANNEL = 1,
    VMBUS_RESCIND_CHANNEL_OFFER = 2,
    VMBUS_REQUEST_OFFERS = 3,
    VMBUS_ALL_OFFERS_DELIVERED = 4,
    VMBUS_OPEN_CHANNEL = 5,
    VMBUS_OPEN_CHANNEL_RESULT = 6,
    VMBUS_CLOSE_CHANNEL = 7,
    VMBUS_GPADL_HEADER = 8,
    VMBUS_GPADL_BODY = 9,
    VMBUS_GPADL_CREATED = 10,
    VMBUS_GPADL_TEARDOWN = 11,
    VMBUS_GPADL_TORNDOWN = 12,
    VMBUS_RELID_RELEASED = 13,
    VMBUS_INITIATE_CONTACT = 14,
    VMBUS_VERSION_RESPONSE = 15,
    VMBUS_UNLOAD = 16,
    VMBUS_UNLOAD_RESPONSE = 17,
    VMBUS_OPEN_RESERVED_CHANNEL = 18,
    VMBUS_CLOSE_RESERVED_CHANNEL = 19,
    VMBUS_CLOSE_RESERVED_RESPONSE = 20,
    VMBUS_TL_CONNECT_REQUEST = 21,
    VMBUS_MODIFY_CHANNEL = 22,
    VMBUS_TL_CONNECT_RESULT = 23,
    VMBUS_MODIFY_CHANNEL_RESPONSE = 24,
};

/* Statuses in answers, NTSTATUS. */
#define VMBUS_STATUS_SUCCESS            0x00000000u
#define VMBUS_STATUS_UNSUCCESSFUL       0xC0000001u
#define VMBUS_STATUS_CONNECTION_REFUSED 0xC0000236u

/* Begins each message. */
struct vmbus_message_header {
    uint32_t type;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct vmbus_message_header) == 8, "vmbus_message_header");

/* Messages that have no more than their type: REQUESTOFFERS, ALLOFFERS_DELIVERED, UNLOAD, UNLOAD_RESPONSE. */

#define VMBUS_OFFER_USER_DATA_BYTES 120u

/* OFFERCHANNEL; up to version 0.13 it ends with monitor_id. */
struct vmbus_offer_channel {
    struct vmbus_message_header header;
    struct guid type;
    struct guid instance;
    uint64_t rsvd[2];
    uint16_t flags; /* VMBUS_OFFER_... */
    uint16_t mmio_megabytes;
    uint8_t user_data[VMBUS_OFFER_USER_DATA_BYTES];
    uint16_t sub_channel_index;
    uint16_t mmio_megabytes_optional;
    uint32_t relid;
    uint8_t monitor_id;
    uint8_t monitor_allocated;
    uint16_t is_dedicated_interrupt;
    uint32_t connection_id; /* for HvCallSignalEvent */
};
_Static_assert(offsetof(struct vmbus_offer_channel, flags) == 56, "flags");
_Static_assert(offsetof(struct vmbus_offer_channel, user_data) == 60, "user_data");
_Static_assert(offsetof(struct vmbus_offer_channel, sub_channel_index) == 180, "sub_channel_index");
_Static_assert(offsetof(struct vmbus_offer_channel, relid) == 184, "relid");
_Static_assert(offsetof(struct vmbus_offer_channel, connection_id) == 192, "connection_id");
/* The compiler ends it at a multiple of 8. */
#define VMBUS_OFFER_CHANNEL_BYTES        196u
#define VMBUS_OFFER_CHANNEL_BYTES_WS2008 189u
_Static_assert(sizeof(struct vmbus_offer_channel) == 200, "vmbus_offer_channel");

#define VMBUS_MONITOR_NONE 0xFFu

/* Flags of offers. */
#define VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE 0x0001u
#define VMBUS_OFFER_NAMED_PIPE_MODE            0x0010u
#define VMBUS_OFFER_TLNPI_PROVIDER             0x2000u

/* Modes of pipes, the first four bytes of an offer's user data. */
#define VMBUS_PIPE_MODE_BYTE    0u
#define VMBUS_PIPE_MODE_MESSAGE 4u

/* RESCIND_CHANNELOFFER, CLOSECHANNEL and RELID_RELEASED. */
struct vmbus_relid_message {
    struct vmbus_message_header header;
    uint32_t relid;
};
_Static_assert(sizeof(struct vmbus_relid_message) == 12, "vmbus_relid_message");

#define VMBUS_OPEN_USER_DATA_BYTES 120u
/* As target VP: no interrupts. */
#define VMBUS_VP_NONE              0xFFFFFFFFu

/* OPENCHANNEL. The ring GPADL holds the guest's ring and, from downstream_offset_pages on, the host's. */
struct vmbus_open_channel {
    struct vmbus_message_header header;
    uint32_t relid;
    uint32_t open_id;
    uint32_t gpadl_id;
    uint32_t target_vp;
    uint32_t downstream_offset_pages;
    uint8_t user_data[VMBUS_OPEN_USER_DATA_BYTES];
};
_Static_assert(offsetof(struct vmbus_open_channel, user_data) == 28, "user_data");
_Static_assert(sizeof(struct vmbus_open_channel) == 148, "vmbus_open_channel");

/* OPENCHANNEL_RESULT. */
struct vmbus_open_channel_result {
    struct vmbus_message_header header;
    uint32_t relid;
    uint32_t open_id;
    uint32_t status;
};
_Static_assert(sizeof(struct vmbus_open_channel_result) == 20, "vmbus_open_channel_result");

/* GPADL_HEADER. One range and up to 26 page numbers follow; the rest comes in bodies. */
struct vmbus_gpadl_header {
    struct vmbus_message_header header;
    uint32_t relid;
    uint32_t gpadl_id;
    uint16_t ranges_bytes; /* of all ranges and page numbers, those in bodies too */
    uint16_t range_count;
};
_Static_assert(sizeof(struct vmbus_gpadl_header) == 20, "vmbus_gpadl_header");

/* GPADL_BODY; page numbers follow. */
struct vmbus_gpadl_body {
    struct vmbus_message_header header;
    uint32_t message_number; /* guests leave it 0 */
    uint32_t gpadl_id;
};
_Static_assert(sizeof(struct vmbus_gpadl_body) == 16, "vmbus_gpadl_body");

/* GPADL_CREATED. */
struct vmbus_gpadl_created {
    struct vmbus_message_header header;
    uint32_t relid;
    uint32_t gpadl_id;
    uint32_t status;
};
_Static_assert(sizeof(struct vmbus_gpadl_created) == 20, "vmbus_gpadl_created");

/* GPADL_TEARDOWN. */
struct vmbus_gpadl_teardown {
    struct vmbus_message_header header;
    uint32_t relid;
    uint32_t gpadl_id;
};
_Static_assert(sizeof(struct vmbus_gpadl_teardown) == 16, "vmbus_gpadl_teardown");

/* GPADL_TORNDOWN. */
struct vmbus_gpadl_torndown {
    struct vmbus_message_header header;
    uint32_t gpadl_id;
};
_Static_assert(sizeof(struct vmbus_gpadl_torndown) == 12, "vmbus_gpadl_torndown");

/* INITIATE_CONTACT. */
struct vmbus_initiate_contact {
    struct vmbus_message_header header;
    uint32_t version;
    uint32_t target_vp; /* for messages, since 3.0 */
    /* Up to 4.1 the GPA of the interrupt page. Since 5.0: SINT in bits 7:0, VTL in 15:8, and in 63:32 feature flags. */
    uint64_t interrupt_page_or_target;
    uint64_t parent_to_child_monitor_page_gpa;
    uint64_t child_to_parent_monitor_page_gpa;
};
_Static_assert(offsetof(struct vmbus_initiate_contact, interrupt_page_or_target) == 16, "interrupt_page_or_target");
_Static_assert(sizeof(struct vmbus_initiate_contact) == 40, "vmbus_initiate_contact");

/* States of a connection in VERSION_RESPONSE. */
#define VMBUS_CONNECTION_STATE_SUCCESS         0u
#define VMBUS_CONNECTION_STATE_UNKNOWN_FAILURE 2u

/* VERSION_RESPONSE; supported_features is sent since 6.0 only. */
struct vmbus_version_response {
    struct vmbus_message_header header;
    uint8_t is_supported;
    uint8_t connection_state;
    uint16_t rsvd;
    uint32_t version_or_connection_id; /* since 5.0 the connection for all further messages */
    uint32_t supported_features;
};
_Static_assert(offsetof(struct vmbus_version_response, version_or_connection_id) == 12, "version_or_connection_id");
_Static_assert(sizeof(struct vmbus_version_response) == 20, "vmbus_version_response");
#define VMBUS_VERSION_RESPONSE_BYTES 16u

/* OPEN_RESERVED_CHANNEL. */
struct vmbus_open_reserved_channel {
    struct vmbus_message_header header;
    uint32_t relid;
    uint32_t target_vp;
    uint32_t target_sint;
    uint32_t gpadl_id;
    uint32_t downstream_offset_pages;
};
_Static_assert(sizeof(struct vmbus_open_reserved_channel) == 28, "vmbus_open_reserved_channel");

/* TL_CONNECT_REQUEST: a socket of the guest wants to reach a service of the host. */
struct vmbus_tl_connect_request {
    struct vmbus_message_header header;
    struct guid endpoint;
    struct guid service;
};
_Static_assert(sizeof(struct vmbus_tl_connect_request) == 40, "vmbus_tl_connect_request");

/* TL_CONNECT_RESULT. */
struct vmbus_tl_connect_result {
    struct vmbus_message_header header;
    struct guid endpoint;
    struct guid service;
    uint32_t status;
};
_Static_assert(sizeof(struct vmbus_tl_connect_result) == 44, "vmbus_tl_connect_result");

/* MODIFYCHANNEL. */
struct vmbus_modify_channel {
    struct vmbus_message_header header;
    uint32_t relid;
    uint32_t target_vp;
};
_Static_assert(sizeof(struct vmbus_modify_channel) == 16, "vmbus_modify_channel");

/* MODIFYCHANNEL_RESPONSE. */
struct vmbus_modify_channel_response {
    struct vmbus_message_header header;
    uint32_t relid;
    uint32_t status;
};
_Static_assert(sizeof(struct vmbus_modify_channel_response) == 16, "vmbus_modify_channel_response");

#endif
