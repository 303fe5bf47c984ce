/* SPDX-License-Identifier: MIT */
/*
 * RNDIS messages as they go through the buffers of a network adapter, and the NDIS structures that they carry. Offsets
 * in them count from behind the header of the message, unless said otherwise.
 */
#ifndef PROTO_RNDIS_H
#define PROTO_RNDIS_H

#include <stddef.h>
#include <stdint.h>

/* Types of messages; an answer has the top bit set. */
#define RNDIS_PACKET     1u
#define RNDIS_INITIALIZE 2u
#define RNDIS_HALT       3u
#define RNDIS_QUERY      4u
#define RNDIS_SET        5u
#define RNDIS_RESET      6u
#define RNDIS_INDICATE   7u
#define RNDIS_KEEPALIVE  8u
#define RNDIS_COMPLETE   0x80000000u

#define RNDIS_STATUS_SUCCESS          0x00000000u
#define RNDIS_STATUS_MEDIA_CONNECT    0x4001000Bu
#define RNDIS_STATUS_MEDIA_DISCONNECT 0x4001000Cu
#define RNDIS_STATUS_FAILURE          0xC0000001u
#define RNDIS_STATUS_NOT_SUPPORTED    0xC00000BBu
#define RNDIS_STATUS_INVALID_DATA     0xC0010015u

/* Begins each message. */
struct rndis_header {
    uint32_t type;
    uint32_t length_bytes; /* of the whole message, with padding */
};
_Static_assert(sizeof(struct rndis_header) == 8, "rndis_header");

/* PACKET. The per-packet information lies before the data. */
struct rndis_packet {
    uint32_t data_offset_bytes;
    uint32_t data_bytes;
    uint32_t out_of_band[3];
    uint32_t info_offset_bytes;
    uint32_t info_bytes;
    uint32_t rsvd[2];
};
_Static_assert(offsetof(struct rndis_packet, info_offset_bytes) == 20, "info_offset_bytes");
_Static_assert(sizeof(struct rndis_packet) == 36, "rndis_packet");

/* Per-packet information; behind it, at `offset_bytes` from its begin, a 32-bit value for all types used here. */
struct rndis_packet_info {
    uint32_t size_bytes; /* with the value */
    uint32_t type;       /* RNDIS_INFO_... */
    uint32_t offset_bytes;
};
_Static_assert(sizeof(struct rndis_packet_info) == 12, "rndis_packet_info");

#define RNDIS_INFO_CHECKSUM   0u
#define RNDIS_INFO_LARGE_SEND 2u
#define RNDIS_INFO_TAG        6u /* 802.1Q */
#define RNDIS_INFO_HASH       8u

/* RNDIS_INFO_CHECKSUM of packets from the guest: to be filled in. */
#define RNDIS_CHECKSUM_TCP      0x04u
#define RNDIS_CHECKSUM_UDP      0x08u
#define RNDIS_CHECKSUM_IP       0x10u
/* And to the guest: looked at, and right. */
#define RNDIS_CHECKSUM_TCP_GOOD 0x08u
#define RNDIS_CHECKSUM_UDP_GOOD 0x10u

/* RNDIS_INFO_LARGE_SEND: bytes of data in each segment; that it is of version 2, which leaves lengths to the host. */
#define RNDIS_LARGE_SEND_BYTES(value) ((value)&0xFFFFFu)
#define RNDIS_LARGE_SEND_V2           0x40000000u

/* RNDIS_INFO_TAG from and to the order of an 802.1Q tag: priority in bits 15:13, CFI in 12, VLAN in 11:0. */
#define RNDIS_TAG_TO_TCI(value)   ((((value)&0x7u) << 13) | (((value)&0x8u) << 9) | (((value) >> 4) & 0xFFFu))
#define RNDIS_TAG_FROM_TCI(value) (((value) >> 13) | (((value) >> 9) & 0x8u) | (((value)&0xFFFu) << 4))

/* Begins all other messages behind the header, and their answers. */
struct rndis_request {
    uint32_t request_id;
    union {
        uint32_t oid;    /* of QUERY and SET */
        uint32_t status; /* of answers, RNDIS_STATUS_... */
    };
    uint32_t buffer_bytes;        /* of QUERY and SET, and of the answer to QUERY */
    uint32_t buffer_offset_bytes; /* from request_id */
    uint32_t rsvd;                /* not in the answer to QUERY */
};
_Static_assert(offsetof(struct rndis_request, buffer_offset_bytes) == 12, "buffer_offset_bytes");
_Static_assert(sizeof(struct rndis_request) == 20, "rndis_request");

#define RNDIS_QUERY_COMPLETE_BYTES     16u
#define RNDIS_SET_COMPLETE_BYTES       8u
#define RNDIS_KEEPALIVE_COMPLETE_BYTES 8u

/* The answer to INITIALIZE. */
struct rndis_initialize_complete {
    uint32_t request_id;
    uint32_t status;
    uint32_t major;
    uint32_t minor;
    uint32_t device_flags; /* 1: connectionless */
    uint32_t medium;       /* 0: 802.3 */
    uint32_t packets_per_message_max;
    uint32_t transfer_bytes_max;
    uint32_t alignment_log2;
    uint32_t rsvd[2];
};
_Static_assert(sizeof(struct rndis_initialize_complete) == 44, "rndis_initialize_complete");

/* INDICATE. */
struct rndis_indicate {
    uint32_t status;
    uint32_t buffer_bytes;
    uint32_t buffer_offset_bytes;
};
_Static_assert(sizeof(struct rndis_indicate) == 12, "rndis_indicate");

/* The answer to RESET. */
struct rndis_reset_complete {
    uint32_t status;
    uint32_t is_addressing_reset;
};
_Static_assert(sizeof(struct rndis_reset_complete) == 8, "rndis_reset_complete");

/* Names of objects that QUERY and SET are about. */
#define OID_GEN_SUPPORTED_LIST             0x00010101u
#define OID_GEN_HARDWARE_STATUS            0x00010102u
#define OID_GEN_MEDIA_SUPPORTED            0x00010103u
#define OID_GEN_MEDIA_IN_USE               0x00010104u
#define OID_GEN_MAXIMUM_LOOKAHEAD          0x00010105u
#define OID_GEN_MAXIMUM_FRAME_SIZE         0x00010106u
#define OID_GEN_LINK_SPEED                 0x00010107u
#define OID_GEN_TRANSMIT_BUFFER_SPACE      0x00010108u
#define OID_GEN_RECEIVE_BUFFER_SPACE       0x00010109u
#define OID_GEN_TRANSMIT_BLOCK_SIZE        0x0001010Au
#define OID_GEN_RECEIVE_BLOCK_SIZE         0x0001010Bu
#define OID_GEN_VENDOR_ID                  0x0001010Cu
#define OID_GEN_VENDOR_DESCRIPTION         0x0001010Du
#define OID_GEN_CURRENT_PACKET_FILTER      0x0001010Eu
#define OID_GEN_CURRENT_LOOKAHEAD          0x0001010Fu
#define OID_GEN_DRIVER_VERSION             0x00010110u
#define OID_GEN_MAXIMUM_TOTAL_SIZE         0x00010111u
#define OID_GEN_MAC_OPTIONS                0x00010113u
#define OID_GEN_MEDIA_CONNECT_STATUS       0x00010114u
#define OID_GEN_MAXIMUM_SEND_PACKETS       0x00010115u
#define OID_GEN_VENDOR_DRIVER_VERSION      0x00010116u
#define OID_GEN_NETWORK_LAYER_ADDRESSES    0x00010118u
#define OID_GEN_RECEIVE_SCALE_CAPABILITIES 0x00010203u
#define OID_GEN_RECEIVE_SCALE_PARAMETERS   0x00010204u
#define OID_GEN_LINK_STATE                 0x00010207u
#define OID_GEN_RNDIS_CONFIG_PARAMETER     0x0001021Bu
#define OID_GEN_XMIT_OK                    0x00020101u
#define OID_GEN_RCV_OK                     0x00020102u
#define OID_GEN_XMIT_ERROR                 0x00020103u
#define OID_GEN_RCV_ERROR                  0x00020104u
#define OID_GEN_RCV_NO_BUFFER              0x00020105u
#define OID_GEN_FRIENDLY_NAME              0x00020216u
#define OID_802_3_PERMANENT_ADDRESS        0x01010101u
#define OID_802_3_CURRENT_ADDRESS          0x01010102u
#define OID_802_3_MULTICAST_LIST           0x01010103u
#define OID_802_3_MAXIMUM_LIST_SIZE        0x01010104u
#define OID_OFFLOAD_ENCAPSULATION          0x0101010Au
#define OID_TCP_OFFLOAD_CURRENT_CONFIG     0xFC01020Bu
#define OID_TCP_OFFLOAD_PARAMETERS         0xFC01020Cu
#define OID_TCP_OFFLOAD_CAPABILITIES       0xFC01020Du

/* OID_GEN_CURRENT_PACKET_FILTER. */
#define NDIS_FILTER_DIRECTED      0x01u
#define NDIS_FILTER_MULTICAST     0x02u
#define NDIS_FILTER_ALL_MULTICAST 0x04u
#define NDIS_FILTER_BROADCAST     0x08u
#define NDIS_FILTER_PROMISCUOUS   0x20u

/* Begins the NDIS structures. */
struct ndis_header {
    uint8_t type; /* NDIS_OBJECT_... */
    uint8_t revision;
    uint16_t size_bytes;
};
_Static_assert(sizeof(struct ndis_header) == 4, "ndis_header");

#define NDIS_OBJECT_DEFAULT          0x80u
#define NDIS_OBJECT_RSS_CAPABILITIES 0x88u
#define NDIS_OBJECT_RSS_PARAMETERS   0x89u
#define NDIS_OBJECT_OFFLOAD          0xA7u

/* What checksums one side can deal with in packets of one IP version, in one direction. */
struct ndis_checksum_ability {
    uint32_t encapsulation; /* NDIS_ENCAPSULATION_... */
    uint32_t checksums;     /* NDIS_CHECKSUM_... */
};
_Static_assert(sizeof(struct ndis_checksum_ability) == 8, "ndis_checksum_ability");

#define NDIS_ENCAPSULATION_802_3  0x2u
#define NDIS_CHECKSUM_IP_OPTIONS  0x001u /* and extension headers of IPv6 */
#define NDIS_CHECKSUM_TCP_OPTIONS 0x004u
#define NDIS_CHECKSUM_TCP         0x010u
#define NDIS_CHECKSUM_UDP         0x040u
#define NDIS_CHECKSUM_IP          0x100u

/* The offloads of an adapter. */
struct ndis_offload {
    struct ndis_header header;
    struct ndis_checksum_ability checksum4[2]; /* sent, received */
    struct ndis_checksum_ability checksum6[2];
    uint32_t large_send_v1[4];
    uint32_t ipsec_v1[7];
    struct {
        uint32_t encapsulation4;
        uint32_t bytes_max4;
        uint32_t segments_min4;
        uint32_t encapsulation6;
        uint32_t bytes_max6;
        uint32_t segments_min6;
        uint32_t options6; /* NDIS_CHECKSUM_IP_OPTIONS, NDIS_CHECKSUM_TCP_OPTIONS */
    } large_send_v2;
    uint32_t rsvd0;       /* the end of revision 1 */
    uint32_t ipsec_v2[8]; /* and 2 */
    uint8_t rsvd1[12];    /* and 3: receive coalescing, further encapsulation; none */
};
_Static_assert(offsetof(struct ndis_offload, checksum6) == 20, "checksum6");
_Static_assert(offsetof(struct ndis_offload, ipsec_v1) == 52, "ipsec_v1");
_Static_assert(offsetof(struct ndis_offload, large_send_v2) == 80, "large_send_v2");
_Static_assert(offsetof(struct ndis_offload, ipsec_v2) == 112, "ipsec_v2");
_Static_assert(sizeof(struct ndis_offload) == 156, "ndis_offload");

#define NDIS_OFFLOAD_REVISION_MAX 3u
#define NDIS_OFFLOAD_1_BYTES      112u
#define NDIS_OFFLOAD_2_BYTES      144u

/* OID_TCP_OFFLOAD_PARAMETERS, as far as it is looked at. For each: 0, no change; 1, off; 3 and 4, on for receiving. */
struct ndis_offload_parameters {
    struct ndis_header header;
    uint8_t ip4;
    uint8_t tcp4;
    uint8_t udp4;
    uint8_t tcp6;
    uint8_t udp6;
    uint8_t rsvd[3];
};
_Static_assert(offsetof(struct ndis_offload_parameters, udp6) == 8, "udp6");
_Static_assert(sizeof(struct ndis_offload_parameters) == 12, "ndis_offload_parameters");

#define NDIS_OFFLOAD_NO_CHANGE 0u
#define NDIS_OFFLOAD_RECEIVE   3u
#define NDIS_OFFLOAD_BOTH      4u

/* The answer to OID_GEN_RECEIVE_SCALE_CAPABILITIES; 18 of its bytes are sent. */
struct ndis_rss_capabilities {
    struct ndis_header header;
    uint32_t capabilities; /* NDIS_HASH_TOEPLITZ and NDIS_RSS_CAN_... */
    uint32_t interrupt_count;
    uint32_t queue_count;
    uint16_t table_entries;
    uint16_t rsvd;
};
_Static_assert(offsetof(struct ndis_rss_capabilities, table_entries) == 16, "table_entries");
_Static_assert(sizeof(struct ndis_rss_capabilities) == 20, "ndis_rss_capabilities");

#define NDIS_RSS_CAPABILITIES_BYTES 18u
#define NDIS_RSS_CAN_TCP4           0x100u
#define NDIS_RSS_CAN_TCP6           0x200u

/* OID_GEN_RECEIVE_SCALE_PARAMETERS; table and key lie behind it, at offsets from its begin. */
struct ndis_rss_parameters {
    struct ndis_header header;
    uint16_t flags; /* NDIS_RSS_... */
    uint16_t base_vp;
    uint32_t hash; /* NDIS_HASH_... */
    uint16_t table_bytes;
    uint16_t rsvd0;
    uint32_t table_offset_bytes;
    uint16_t key_bytes;
    uint16_t rsvd1;
    uint32_t key_offset_bytes;
    uint32_t masks[3];
};
_Static_assert(offsetof(struct ndis_rss_parameters, table_offset_bytes) == 16, "table_offset_bytes");
_Static_assert(offsetof(struct ndis_rss_parameters, key_offset_bytes) == 24, "key_offset_bytes");
_Static_assert(sizeof(struct ndis_rss_parameters) == 40, "ndis_rss_parameters");

#define NDIS_RSS_HASH_UNCHANGED  0x2u
#define NDIS_RSS_TABLE_UNCHANGED 0x4u
#define NDIS_RSS_KEY_UNCHANGED   0x8u
#define NDIS_RSS_DISABLED        0x10u

#define NDIS_HASH_TOEPLITZ     0x0001u
#define NDIS_HASH_IP4          0x0100u
#define NDIS_HASH_TCP4         0x0200u
#define NDIS_HASH_IP6          0x0400u
#define NDIS_HASH_TCP6         0x1000u
#define NDIS_RSS_TABLE_ENTRIES 128u
#define NDIS_RSS_KEY_BYTES     40u

/* OID_GEN_LINK_STATE. */
struct ndis_link_state {
    struct ndis_header header;
    uint32_t connect_state; /* 1: connected, 2: not */
    uint32_t duplex_state;  /* 2: full */
    uint32_t rsvd;
    uint64_t transmit_bits_per_second;
    uint64_t receive_bits_per_second;
    uint32_t pause;
    uint32_t negotiation;
};
_Static_assert(offsetof(struct ndis_link_state, transmit_bits_per_second) == 16, "transmit_bits_per_second");
_Static_assert(sizeof(struct ndis_link_state) == 40, "ndis_link_state");

/* OID_GEN_RNDIS_CONFIG_PARAMETER: name and value are UTF-16, at offsets from its begin. */
struct rndis_config_parameter {
    uint32_t name_offset_bytes;
    uint32_t name_bytes;
    uint32_t type; /* RNDIS_CONFIG_STRING */
    uint32_t value_offset_bytes;
    uint32_t value_bytes;
};
_Static_assert(sizeof(struct rndis_config_parameter) == 20, "rndis_config_parameter");

#define RNDIS_CONFIG_STRING 2u

#endif
