/* SPDX-License-Identifier: MIT */
/*
 * The synthetic interrupt controller and the pages that hypervisor and guest
 * share: event flags, messages, event ring, monitor page, synthetic timers,
 * reference TSC and VP assist (TLFS, Inter-Partition Communication; Timers;
 * Virtual Processors, Virtual Processor Assist Page).
 */
#ifndef ABI_HV_SYNIC_H
#define ABI_HV_SYNIC_H

#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_message.h"

#define HV_SYNIC_VERSION           UINT64_C(1)
#define HV_SYNIC_SINT_COUNT        16u
#define HV_SYNIC_STIMER_COUNT      4u
/* Use by convention. */
#define HV_SYNIC_SINT_INTERCEPTION 0u
#define HV_SYNIC_SINT_IOMMU_FAULT  1u
#define HV_SYNIC_SINT_VMBUS        2u
#define HV_SYNIC_SINT_DOORBELL     5u

#define HV_SCONTROL_ENABLE UINT64_C(1)
/* SIEFP, SIMP and SIRBP have the form of all page MSRs (hv_msr.h). */

#define HV_SINT_VECTOR_MASK  UINT64_C(0xFF)
#define HV_SINT_MASKED       (UINT64_C(1) << 16)
#define HV_SINT_AUTO_EOI     (UINT64_C(1) << 17)
#define HV_SINT_POLLING      (UINT64_C(1) << 18)
#define HV_SINT_AS_INTERCEPT (UINT64_C(1) << 19)
#define HV_SINT_PROXY        (UINT64_C(1) << 20)
/* Vectors below are not allowed in an unmasked SINT. */
#define HV_SINT_MIN_VECTOR   16u
#define HV_SINT_RESET_VALUE  HV_SINT_MASKED

/* SIM page: one slot per SINT. */
struct hv_message_page {
    struct hv_message sint_message[HV_SYNIC_SINT_COUNT];
};
_Static_assert(sizeof(struct hv_message_page) == 4096, "message page");

#define HV_EVENT_FLAGS_COUNT       2048u
#define HV_EVENT_FLAGS_BYTE_COUNT  256u
#define HV_EVENT_FLAGS_QWORD_COUNT 32u

/* The event flags of one SINT: a bitmap, flag n being bit n % 64 of quadword n / 64. */
struct hv_synic_event_flags {
    uint64_t flags[HV_EVENT_FLAGS_QWORD_COUNT];
};
_Static_assert(sizeof(struct hv_synic_event_flags) == HV_EVENT_FLAGS_BYTE_COUNT, "event flags");

/* SIEF page. */
struct hv_synic_event_flags_page {
    struct hv_synic_event_flags sint_event_flags[HV_SYNIC_SINT_COUNT];
};
_Static_assert(sizeof(struct hv_synic_event_flags_page) == 4096, "event flags page");

#define HV_SYNIC_EVENT_RING_MESSAGE_COUNT 63u

/* The event ring of one SINT (root): port ids, 0 meaning an empty entry. */
struct hv_synic_event_ring {
    uint8_t signal_masked;
    uint8_t ring_full;
    uint16_t rsvd;
    uint32_t data[HV_SYNIC_EVENT_RING_MESSAGE_COUNT];
};
_Static_assert(sizeof(struct hv_synic_event_ring) == 256, "event ring");

/* SIRB page (root). */
struct hv_synic_event_ring_page {
    struct hv_synic_event_ring sint_event_ring[HV_SYNIC_SINT_COUNT];
};
_Static_assert(sizeof(struct hv_synic_event_ring_page) == 4096, "event ring page");

#define HV_MONITOR_GROUP_COUNT        4u
#define HV_MONITOR_TRIGGERS_PER_GROUP 32u
#define HV_MONITOR_GROUP_ENABLE_MASK  0xFu

/* One group of 32 triggers. */
struct hv_monitor_trigger_group {
    uint32_t pending;
    uint32_t armed;
};
_Static_assert(sizeof(struct hv_monitor_trigger_group) == 8, "monitor trigger group");

/* What a trigger signals. */
struct hv_monitor_parameter {
    uint32_t connection_id;
    uint16_t flag_number;
    uint16_t rsvd;
};
_Static_assert(sizeof(struct hv_monitor_parameter) == 8, "monitor parameter");

/* Monitored notification: the guest sets pending bits, the other side polls. Latency in 100 ns. */
struct hv_monitor_page {
    uint32_t trigger_state;
    uint32_t rsvd1;
    struct hv_monitor_trigger_group trigger_group[HV_MONITOR_GROUP_COUNT];
    uint64_t rsvd2[3];
    uint32_t next_check_time[HV_MONITOR_GROUP_COUNT][HV_MONITOR_TRIGGERS_PER_GROUP];
    uint16_t latency[HV_MONITOR_GROUP_COUNT][HV_MONITOR_TRIGGERS_PER_GROUP];
    uint64_t rsvd3[32];
    struct hv_monitor_parameter parameter[HV_MONITOR_GROUP_COUNT][HV_MONITOR_TRIGGERS_PER_GROUP];
    uint8_t rsvd4[1984];
};
_Static_assert(sizeof(struct hv_monitor_page) == 4096, "monitor page");
_Static_assert(offsetof(struct hv_monitor_page, next_check_time) == 64, "monitor check times");
_Static_assert(offsetof(struct hv_monitor_page, latency) == 576, "monitor latencies");
_Static_assert(offsetof(struct hv_monitor_page, parameter) == 1088, "monitor parameters");

/* STIMERx_CONFIG. STIMERx_COUNT is an absolute time, or a period, in 100 ns. */
#define HV_STIMER_ENABLED        UINT64_C(1)
#define HV_STIMER_PERIODIC       (UINT64_C(1) << 1)
#define HV_STIMER_LAZY           (UINT64_C(1) << 2)
#define HV_STIMER_AUTO_ENABLE    (UINT64_C(1) << 3)
#define HV_STIMER_VECTOR_SHIFT   4
#define HV_STIMER_VECTOR_MASK    (UINT64_C(0xFF) << 4)
#define HV_STIMER_DIRECT_MODE    (UINT64_C(1) << 12)
#define HV_STIMER_RSVDZ_LOW_MASK (UINT64_C(7) << 13)
#define HV_STIMER_SINT_SHIFT     16
#define HV_STIMER_SINT_MASK      (UINT64_C(0xF) << 16)
#define HV_STIMER_VALID_MASK     UINT64_C(0xF1FFF)

static inline uint32_t hv_stimer_vector(uint64_t config)
{
    return (uint32_t)((config & HV_STIMER_VECTOR_MASK) >> HV_STIMER_VECTOR_SHIFT);
}

static inline uint32_t hv_stimer_sint(uint64_t config)
{
    return (uint32_t)((config & HV_STIMER_SINT_MASK) >> HV_STIMER_SINT_SHIFT);
}

/* One timer in HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS. */
struct hv_stimer_state {
    /* Bit 0: an expired message waits for its slot. */
    uint32_t undelivered_message_pending;
    uint32_t rsvd;
    uint64_t config;
    uint64_t count;
    uint64_t adjustment;
    uint64_t undelivered_expiration_time;
};
_Static_assert(sizeof(struct hv_stimer_state) == 40, "timer state");

/* VP state of type 4: all timers of a VP. */
struct hv_synthetic_timers_state {
    struct hv_stimer_state timers[HV_SYNIC_STIMER_COUNT];
    uint64_t rsvd[5];
};
_Static_assert(sizeof(struct hv_synthetic_timers_state) == 200, "timers state");

/* Reference time counts units of 100 ns. */
#define HV_REFERENCE_TIME_HZ              UINT64_C(10000000)
#define HV_REFERENCE_TSC_SEQUENCE_INVALID 0u
/* Also taken as invalid by some guests: never to be published. */
#define HV_REFERENCE_TSC_SEQUENCE_AVOID   0xFFFFFFFFu

/* Reference time = high 64 bits of (TSC * scale) + offset, while sequence is valid and unchanged. */
struct hv_reference_tsc_page {
    uint32_t tsc_sequence;
    uint32_t rsvd1;
    uint64_t tsc_scale;
    int64_t tsc_offset;
    uint64_t rsvd2[509];
};
_Static_assert(sizeof(struct hv_reference_tsc_page) == 4096, "reference TSC page");
_Static_assert(offsetof(struct hv_reference_tsc_page, tsc_offset) == 16, "reference TSC offset");

/* VP assist page, apic_assist. */
#define HV_APIC_ASSIST_NO_EOI_REQUIRED 1u
/* VP assist page, vtl_entry_reason. */
#define HV_VTL_ENTRY_VTL_CALL          1u
#define HV_VTL_ENTRY_INTERRUPT         2u
#define HV_VTL_ENTRY_INTERCEPT         3u

/* VP assist page. */
struct hv_vp_assist_page {
    uint32_t apic_assist;
    uint32_t rsvd1;
    uint32_t vtl_entry_reason;
    uint8_t vina_asserted;
    uint8_t rsvd2[3];
    uint64_t vtl_return_rax;
    uint64_t vtl_return_rcx;
    uint32_t nested_enlightenment_features;
    uint32_t nested_hypercall_controls;
    uint8_t enlightened_vm_entry;
    uint8_t rsvd3[7];
    uint64_t current_nested_vmcs;
    uint8_t time_unhalted_timer_expired;
    uint8_t rsvd4[7];
    uint8_t virtualization_fault_information[40];
    uint64_t rsvd5;
    struct hv_message intercept_message;
    uint8_t vtl_return_actions[256];
    uint8_t rsvd6[3472];
};
_Static_assert(sizeof(struct hv_vp_assist_page) == 4096, "VP assist page");
_Static_assert(offsetof(struct hv_vp_assist_page, nested_enlightenment_features) == 32, "nested features");
_Static_assert(offsetof(struct hv_vp_assist_page, current_nested_vmcs) == 48, "nested VMCS");
_Static_assert(offsetof(struct hv_vp_assist_page, intercept_message) == 112, "intercept message");
_Static_assert(offsetof(struct hv_vp_assist_page, vtl_return_actions) == 368, "VTL return actions");

#endif
