/* SPDX-License-Identifier: MIT */
/* Messages and events between us and children: the part of vmbus/host.h that is ports and connections. All of them
 * arrive on one SINT of processor 0, whose interrupt only leaves an event for it. Messages stay with the hypervisor
 * until they are taken one by one, so a child that sends faster than its worker works is told so by the status of its
 * call, and nothing is lost. */
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_message.h"
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_partition.h"
#include "hv/abi/hv_synic.h"
#include "hv/lib/bitmap.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/sched.h"
#include "partitions/root/kernel/vm.h"

/* A port has the number of its connection, and above that the number of the child. */
#define PORT_CHILD_SHIFT   20
#define CONNECTION_ID_MASK ((1u << PORT_CHILD_SHIFT) - 1)
_Static_assert(VM_MAX << PORT_CHILD_SHIFT <= 1u << 24, "port ids have 24 bits");
#define MESSAGES_AT_A_TIME 256u /* about a millisecond's work */
#define RETRY_100NS        CLOCK_100NS_PER_MS

static void receive(void)
{
    sched_raise(SCHED_EVENT_PORT);
}

void port_init(void)
{
    trap_set_handler(TRAP_VECTOR_PORT, receive);
    wrmsr(HV_X64_MSR_SINT0 + HV_SYNIC_SINT_VMBUS, TRAP_VECTOR_PORT);
}

/* The event flag of a connection, of 0 a free one; VM_EVENTS_MAX: there is none. */
static uint32_t find_event(const struct host_vm *vm, uint32_t connection_id)
{
    uint32_t flag = 0;

    while (flag < VM_EVENTS_MAX && vm->event_connections[flag] != connection_id) {
        flag++;
    }
    return flag;
}

static hv_status_t open_connection(struct host_vm *vm, uint32_t connection_id, uint32_t type)
{
    uint32_t flag = find_event(vm, 0);
    struct hv_input_create_port create = {
        .port_partition_id = HV_PARTITION_ID_SELF,
        .port_id = vm->index << PORT_CHILD_SHIFT | connection_id,
        .connection_partition_id = vm->deposit.partition_id,
        .port_info = {.port_type = type,
                      .target_sint = HV_SYNIC_SINT_VMBUS,
                      .target_vp = cpu_get(0)->vp_index,
                      .base_flag_number = (uint16_t)(vm->index * VM_EVENTS_MAX + flag),
                      .flag_count = 1},
    };
    struct hv_input_connect_port connect = {
        .connection_partition_id = vm->deposit.partition_id,
        .connection_id = connection_id,
        .port_partition_id = HV_PARTITION_ID_SELF,
        .port_id = create.port_id,
        .connection_info.port_type = type,
    };
    hv_status_t status;

    if (connection_id > CONNECTION_ID_MASK || (type == HV_PORT_TYPE_EVENT && flag == VM_EVENTS_MAX)) {
        return HV_STATUS_NO_RESOURCES;
    }
    status = hypercall(&root_deposit, HvCallCreatePort, NULL, &create, sizeof(create), NULL, 0);
    if (status == HV_STATUS_SUCCESS) {
        status = hypercall(&vm->deposit, HvCallConnectPort, NULL, &connect, sizeof(connect), NULL, 0);
        if (status != HV_STATUS_SUCCESS) {
            (void)!hypercall_fast(HvCallDeletePort, HV_PARTITION_ID_SELF, create.port_id);
        } else if (type == HV_PORT_TYPE_EVENT) {
            vm->event_connections[flag] = connection_id;
        }
    }
    return status;
}

hv_status_t host_open_message_connection(struct host_vm *host, uint32_t connection_id)
{
    return open_connection(host, connection_id, HV_PORT_TYPE_MESSAGE);
}

hv_status_t host_open_event_connection(struct host_vm *host, uint32_t connection_id)
{
    return open_connection(host, connection_id, HV_PORT_TYPE_EVENT);
}

void host_close_connection(struct host_vm *host, uint32_t connection_id)
{
    uint32_t flag = find_event(host, connection_id);

    (void)!hypercall_fast(HvCallDisconnectPort, host->deposit.partition_id, connection_id);
    (void)!hypercall_fast(HvCallDeletePort, HV_PARTITION_ID_SELF, host->index << PORT_CHILD_SHIFT | connection_id);
    if (flag != VM_EVENTS_MAX) {
        host->event_connections[flag] = 0;
    }
}

static void deliver_events(void)
{
    uint64_t *flags = cpu_this()->events->sint_event_flags[HV_SYNIC_SINT_VMBUS].flags;

    for (uint32_t word = 0; word < HV_EVENT_FLAGS_QWORD_COUNT; word++) {
        uint64_t taken = READ_ONCE(flags[word]) == 0 ? 0 : bitmap_atomic_take_word(flags, word);

        for (; taken != 0; taken &= taken - 1) {
            uint32_t flag = word * BITMAP_BITS_PER_WORD + (uint32_t)__builtin_ctzll(taken);
            struct host_vm *vm = vm_get(flag / VM_EVENTS_MAX);

            if (vm != NULL) {
                worker_event(vm->worker, READ_ONCE(vm->event_connections[flag % VM_EVENTS_MAX]));
            }
        }
    }
}

/* Takes what waits; of a child that sends on and on, the rest after all else there is to do. */
static void deliver_messages(void)
{
    struct hv_message *slot = &cpu_this()->messages->sint_message[HV_SYNIC_SINT_VMBUS];

    for (uint32_t i = 0; __atomic_load_n(&slot->header.message_type, __ATOMIC_ACQUIRE) != HvMessageTypeNone; i++) {
        if (i == MESSAGES_AT_A_TIME) {
            sched_raise(SCHED_EVENT_PORT);
            return;
        }

        struct hv_message message = *slot;
        struct host_vm *vm = vm_get((uint32_t)message.header.sender >> PORT_CHILD_SHIFT);

        hyperv_free_slot(slot);
        if (vm != NULL) {
            worker_message(vm->worker, (uint32_t)message.header.sender & CONNECTION_ID_MASK,
                           message.header.message_type, message.payload, message.header.payload_size_bytes);
        }
    }
}

void port_deliver(void)
{
    deliver_events();
    deliver_messages();
}

hv_status_t host_post_message(struct host_vm *host, uint32_t vp_index, uint32_t sint, uint32_t message_type,
                              const void *payload, size_t length_bytes)
{
    struct hv_input_post_message_direct input = {
        .partition_id = host->deposit.partition_id, .vp_index = vp_index, .sint_index = sint};
    struct hv_message message = {.header = {.message_type = message_type, .payload_size_bytes = (uint8_t)length_bytes}};
    hv_status_t status;

    if (length_bytes > sizeof(message.payload)) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    memcpy(message.payload, payload, length_bytes);
    memcpy(input.message, &message, sizeof(message));
    status = hypercall(NULL, HvCallPostMessageDirect, NULL, &input, sizeof(input), NULL, 0);
    /* Nobody tells us when the child has taken one. */
    if (status == HV_STATUS_INSUFFICIENT_BUFFERS && !host->message_retry.is_armed) {
        host_timer_arm(&host->message_retry, clock_now() + RETRY_100NS);
    }
    return status;
}

hv_status_t host_signal_event(struct host_vm *host, uint32_t vp_index, uint32_t sint, uint32_t flag)
{
    struct hv_input_signal_event_direct input = {
        .target_partition_id = host->deposit.partition_id,
        .target_vp = vp_index,
        .target_sint = (uint8_t)sint,
        .flag_number = (uint16_t)flag,
    };

    return hypercall(NULL, HvCallSignalEventDirect, NULL, &input, sizeof(input), NULL, 0);
}
