/* SPDX-License-Identifier: MIT */
/*
 * Messages of the integration services, in both directions alike: the host asks,
 * and the guest sends the message back with flags and contents changed.
 */
#ifndef PROTO_IC_FORMAT_H
#define PROTO_IC_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "vmbus/proto/ring_format.h"

/* A version of the framework or of a service's messages. */
struct ic_version {
    uint16_t major;
    uint16_t minor;
};
_Static_assert(sizeof(struct ic_version) == 4, "ic_version");

/* Begins each message; the body follows. */
struct ic_header {
    struct vmbus_pipe_header pipe;
    struct ic_version framework_version;
    uint16_t message_type; /* IC_MESSAGE_... */
    struct ic_version message_version;
    uint16_t body_bytes;
    uint32_t status; /* HRESULT */
    uint8_t transaction_id;
    uint8_t flags; /* IC_FLAG_... */
    uint16_t rsvd;
};
_Static_assert(offsetof(struct ic_header, message_type) == 12, "message_type");
_Static_assert(offsetof(struct ic_header, message_version) == 14, "message_version");
_Static_assert(offsetof(struct ic_header, status) == 20, "status");
_Static_assert(sizeof(struct ic_header) == 28, "ic_header");

#define IC_MESSAGE_NEGOTIATE 0u
#define IC_MESSAGE_HEARTBEAT 1u
#define IC_MESSAGE_KVP       2u
#define IC_MESSAGE_SHUTDOWN  3u
#define IC_MESSAGE_TIME_SYNC 4u
#define IC_MESSAGE_VSS       5u

/* HRESULTs of answers; 0 is good. */
#define IC_STATUS_FAILED  0x80004005u
#define IC_STATUS_NO_MORE 0x80070103u /* nothing has this index */

#define IC_FLAG_TRANSACTION 0x1u
#define IC_FLAG_REQUEST     0x2u
#define IC_FLAG_RESPONSE    0x4u

/* Body of IC_MESSAGE_NEGOTIATE; behind it the versions of the framework, then those of the messages. */
struct ic_negotiate {
    uint16_t framework_count;
    uint16_t message_count;
    uint32_t rsvd;
};
_Static_assert(sizeof(struct ic_negotiate) == 8, "ic_negotiate");

/* Body of IC_MESSAGE_HEARTBEAT. */
struct ic_heartbeat {
    uint64_t sequence;
    uint32_t application_state;
    uint32_t rsvd[7];
};
_Static_assert(sizeof(struct ic_heartbeat) == 40, "ic_heartbeat");

#define IC_SHUTDOWN_TEXT_BYTES 2048u

/* Body of IC_MESSAGE_SHUTDOWN. */
struct ic_shutdown {
    uint32_t reason;
    uint32_t timeout_seconds;
    uint32_t flags;                       /* IC_SHUTDOWN_... */
    uint8_t text[IC_SHUTDOWN_TEXT_BYTES]; /* for the user, UTF-16 */
};
_Static_assert(sizeof(struct ic_shutdown) == 2060, "ic_shutdown");

#define IC_SHUTDOWN_REASON_PLANNED 0x80000000u

#define IC_SHUTDOWN_FORCE   0x1u
#define IC_SHUTDOWN_RESTART 0x2u

/* Body of IC_MESSAGE_TIME_SYNC in the versions 1.0 and 3.0. */
struct ic_time_sync {
    uint64_t host_time; /* 100 ns since 1601-01-01 00:00 UTC */
    uint64_t child_time;
    uint64_t round_trip_time;
    uint8_t flags; /* IC_TIME_SYNC_... */
};
_Static_assert(offsetof(struct ic_time_sync, flags) == 24, "flags");
_Static_assert(sizeof(struct ic_time_sync) == 32, "ic_time_sync");
/* The compiler ends the struct at a multiple of 8. */
#define IC_TIME_SYNC_BYTES 25u

#define IC_TIME_SYNC_SYNC   0x1u /* set the clock */
#define IC_TIME_SYNC_SAMPLE 0x2u

#define IC_KVP_KEY_BYTES   512u
#define IC_KVP_VALUE_BYTES 2048u

/* Key and value; lengths are in bytes, with the terminator. */
struct ic_kvp_value {
    uint32_t type; /* IC_KVP_STRING, _U32, _U64 */
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint8_t key[IC_KVP_KEY_BYTES]; /* UTF-16, as strings are */
    uint8_t value[IC_KVP_VALUE_BYTES];
};
_Static_assert(sizeof(struct ic_kvp_value) == 2572, "ic_kvp_value");

/* Body of IC_MESSAGE_KVP. */
struct ic_kvp {
    uint8_t operation; /* IC_KVP_... */
    uint8_t pool;      /* IC_KVP_POOL_... */
    uint16_t rsvd;
    union {
        struct ic_kvp_value pair; /* SET */
        struct {
            uint32_t key_bytes;
            uint8_t key[IC_KVP_KEY_BYTES];
        } removal; /* DELETE */
        struct {
            uint32_t index;
            struct ic_kvp_value pair;
        } enumerate;
    };
};
_Static_assert(offsetof(struct ic_kvp, enumerate.pair) == 8, "pair");
_Static_assert(sizeof(struct ic_kvp) == 2580, "ic_kvp");

#define IC_KVP_SET       1u
#define IC_KVP_DELETE    2u
#define IC_KVP_ENUMERATE 3u

#define IC_KVP_POOL_EXTERNAL      0u /* the host writes, the guest reads */
#define IC_KVP_POOL_GUEST         1u /* the guest's own */
#define IC_KVP_POOL_AUTO          2u /* what the guest's system says of itself */
#define IC_KVP_POOL_AUTO_EXTERNAL 3u
#define IC_KVP_POOL_AUTO_INTERNAL 4u

#define IC_KVP_STRING 1u
#define IC_KVP_U32    4u
#define IC_KVP_U64    8u

/* Body of IC_MESSAGE_VSS. */
struct ic_vss {
    uint8_t operation; /* IC_VSS_... */
    uint8_t rsvd[7];
    uint32_t flags; /* IC_VSS_HOT_BACKUP's answer */
};
_Static_assert(sizeof(struct ic_vss) == 12, "ic_vss");

#define IC_VSS_HOT_BACKUP 2u /* can file systems be frozen? */
#define IC_VSS_FREEZE     5u
#define IC_VSS_THAW       6u

#endif
