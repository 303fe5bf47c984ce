/* SPDX-License-Identifier: MIT */
/*
 * Messages between partitions and from the hypervisor (TLFS, Inter-Partition
 * Communication, SynIC Message Page; Message Types). Payloads of intercept
 * messages are in hv_intercept.h.
 */
#ifndef ABI_HV_MESSAGE_H
#define ABI_HV_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define HV_MESSAGE_SIZE                 256u
#define HV_MESSAGE_PAYLOAD_BYTE_COUNT   240u
#define HV_MESSAGE_PAYLOAD_QWORD_COUNT  30u
/* Types with this bit come from the hypervisor; a partition must not send them. */
#define HV_MESSAGE_TYPE_HYPERVISOR_MASK 0x80000000u

#define HvMessageTypeNone                         0x00000000u
#define HvMessageTypeUnmappedGpa                  0x80000000u
#define HvMessageTypeGpaIntercept                 0x80000001u
#define HvMessageTypeUnacceptedGpa                0x80000003u
#define HvMessageTypeGpaAttributeIntercept        0x80000004u
#define HvMessageTypeEnablePartitionVtlIntercept  0x80000005u
#define HvMessageTypeTimerExpired                 0x80000010u
#define HvMessageTypeInvalidVpRegisterValue       0x80000020u
#define HvMessageTypeUnrecoverableException       0x80000021u
#define HvMessageTypeUnsupportedFeature           0x80000022u
#define HvMessageTypeTlbPageSizeMismatch          0x80000023u
#define HvMessageTypeIommuFault                   0x80000024u
/* The real message is in the VP's intercept message page. */
#define HvMessageTypeOpaqueIntercept              0x8000003Fu
#define HvMessageTypeEventLogBufferComplete       0x80000040u
#define HvMessageTypeHypercallIntercept           0x80000050u
#define HvMessageTypeSynicEventIntercept          0x80000060u
#define HvMessageTypeSynicSintIntercept           0x80000061u
#define HvMessageTypeSynicSintDeliverable         0x80000062u
#define HvMessageTypeAsyncCallCompletion          0x80000070u
#define HvMessageTypeInsufficientMemory           0x80000071u
#define HvMessageTypeSchedulerVpSignalBitset      0x80000100u
#define HvMessageTypeSchedulerVpSignalPair        0x80000101u
#define HvMessageTypeX64IoPortIntercept           0x80010000u
#define HvMessageTypeX64MsrIntercept              0x80010001u
#define HvMessageTypeX64CpuidIntercept            0x80010002u
#define HvMessageTypeX64ExceptionIntercept        0x80010003u
#define HvMessageTypeX64ApicEoi                   0x80010004u
#define HvMessageTypeX64LegacyFpError             0x80010005u
#define HvMessageTypeX64RegisterIntercept         0x80010006u
#define HvMessageTypeX64Halt                      0x80010007u
#define HvMessageTypeX64InterruptionDeliverable   0x80010008u
#define HvMessageTypeX64SipiIntercept             0x80010009u
#define HvMessageTypeX64RdtscIntercept            0x8001000Au
#define HvMessageTypeX64ApicSmiIntercept          0x8001000Bu
#define HvMessageTypeX64ApicInitSipiIntercept     0x8001000Du
#define HvMessageTypeX64ApicWriteIntercept        0x8001000Eu
#define HvMessageTypeX64ProxyInterruptIntercept   0x8001000Fu
#define HvMessageTypeX64IsolationCtrlRegIntercept 0x80010010u
#define HvMessageTypeX64SnpGuestRequestIntercept  0x80010011u
#define HvMessageTypeX64ExceptionTrapIntercept    0x80010012u
#define HvMessageTypeX64SevVmgexitIntercept       0x80010013u
#define HvMessageTypeX64MsrListIntercept          0x80010015u

/* More messages wait behind this one: the guest writes EOM when it has freed the slot. */
#define HV_MESSAGE_FLAG_PENDING 0x01u

/* The first 16 bytes of a message slot. */
struct hv_message_header {
    uint32_t message_type;
    uint8_t payload_size_bytes;
    uint8_t message_flags;
    uint16_t rsvd;
    /* Sending partition for hypervisor messages, port id otherwise. */
    uint64_t sender;
};
_Static_assert(sizeof(struct hv_message_header) == 16, "message header");
_Static_assert(offsetof(struct hv_message_header, sender) == 8, "message sender");

/* One message: a slot of the SIM page, the intercept message page, or a queued copy. */
struct hv_message {
    struct hv_message_header header;
    uint64_t payload[HV_MESSAGE_PAYLOAD_QWORD_COUNT];
};
_Static_assert(sizeof(struct hv_message) == HV_MESSAGE_SIZE, "message");
_Static_assert(offsetof(struct hv_message, payload) == 16, "message payload");

/* Payload of HvMessageTypeTimerExpired; times in 100 ns of reference time. */
struct hv_timer_message_payload {
    uint32_t timer_index;
    uint32_t rsvd;
    uint64_t expiration_time;
    uint64_t delivery_time;
};
_Static_assert(sizeof(struct hv_timer_message_payload) == 24, "timer message");

/* Payload of HvMessageTypeSynicSintIntercept: a SINT in as-intercept mode has work. */
struct hv_notification_message_payload {
    uint32_t sint_index;
};
_Static_assert(sizeof(struct hv_notification_message_payload) == 4, "notification message");

/* Payload of HvMessageTypeOpaqueIntercept; the sender of the header is the partition. */
struct hv_opaque_intercept_message {
    uint32_t vp_index;
};
_Static_assert(sizeof(struct hv_opaque_intercept_message) == 4, "opaque intercept message");

/* Payload of HvMessageTypeAsyncCallCompletion. */
struct hv_async_completion_message_payload {
    uint64_t partition_id;
    uint32_t status;
    uint32_t completion_count;
    uint64_t sub_status;
};
_Static_assert(sizeof(struct hv_async_completion_message_payload) == 24, "async completion message");

/* VPs of one partition that a bitset message can name. */
#define HV_ROOT_SCHEDULER_MAX_VPS_PER_CHILD_PARTITION 1024u
#define HV_SCHEDULER_BITSET_BANK_COUNT                16u

/*
 * Payload of HvMessageTypeSchedulerVpSignalBitset: VPs of one partition became
 * runnable. The set is in the form of struct hv_vp_set (format, mask, banks of
 * set mask bits only, without gaps).
 */
struct hv_vp_signal_bitset_scheduler_message {
    uint64_t partition_id;
    uint32_t overflow_count;
    uint16_t vp_count;
    uint16_t rsvd;
    uint64_t vp_set_format;
    uint64_t vp_set_valid_bank_mask;
    uint64_t vp_set_banks[HV_SCHEDULER_BITSET_BANK_COUNT];
};
_Static_assert(sizeof(struct hv_vp_signal_bitset_scheduler_message) == 160, "bitset scheduler message");
_Static_assert(offsetof(struct hv_vp_signal_bitset_scheduler_message, vp_set_format) == 16, "bitset set");

#define HV_MESSAGE_MAX_PARTITION_VP_PAIR_COUNT 19u

/* Payload of HvMessageTypeSchedulerVpSignalPair: VPs of several partitions became runnable. */
struct hv_vp_signal_pair_scheduler_message {
    uint32_t overflow_count;
    uint8_t vp_count;
    uint8_t rsvd1[3];
    uint64_t partition_ids[HV_MESSAGE_MAX_PARTITION_VP_PAIR_COUNT];
    uint32_t vp_indexes[HV_MESSAGE_MAX_PARTITION_VP_PAIR_COUNT];
    uint8_t rsvd2[4];
};
_Static_assert(sizeof(struct hv_vp_signal_pair_scheduler_message) == HV_MESSAGE_PAYLOAD_BYTE_COUNT, "pair message");
_Static_assert(offsetof(struct hv_vp_signal_pair_scheduler_message, vp_indexes) == 160, "pair vp indexes");

#endif
