/* SPDX-License-Identifier: MIT */
/* Messages and events for unit tests of the VMBus side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake_host.h"

static hv_status_t open_connection(struct fake_synic *synic, uint32_t connection_id)
{
    for (uint32_t i = 0; i < synic->connection_count; i++) {
        assert_int_not_equal(synic->connections[i], connection_id);
    }
    if (synic->connections_allowed != 0 && synic->connection_count >= synic->connections_allowed) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    assert_in_range(synic->connection_count, 0, FAKE_CONNECTIONS_MAX - 1);
    synic->connections[synic->connection_count++] = connection_id;
    return HV_STATUS_SUCCESS;
}

hv_status_t host_open_message_connection(struct host_vm *host, uint32_t connection_id)
{
    return open_connection(&host->synic, connection_id);
}

hv_status_t host_open_event_connection(struct host_vm *host, uint32_t connection_id)
{
    return open_connection(&host->synic, connection_id);
}

void host_close_connection(struct host_vm *host, uint32_t connection_id)
{
    struct fake_synic *synic = &host->synic;

    for (uint32_t i = 0; i < synic->connection_count; i++) {
        if (synic->connections[i] == connection_id) {
            synic->connections[i] = synic->connections[--synic->connection_count];
            return;
        }
    }
    fail_msg("connection 0x%x is not open", connection_id);
}

hv_status_t host_post_message(struct host_vm *host, uint32_t vp_index, uint32_t sint, uint32_t message_type,
                              const void *payload, size_t length_bytes)
{
    struct fake_synic *synic = &host->synic;
    struct fake_message *message = &synic->messages[synic->posted % FAKE_MESSAGES_MAX];

    if (synic->room == 0) {
        return HV_STATUS_INSUFFICIENT_BUFFERS;
    }
    if (synic->room != UINT32_MAX) {
        synic->room--;
    }
    assert_in_range(synic->posted - synic->taken, 0, FAKE_MESSAGES_MAX - 1);
    assert_in_range(length_bytes, 0, FAKE_MESSAGE_BYTES);
    *message = (struct fake_message){
        .vp_index = vp_index, .sint = sint, .type = message_type, .length_bytes = (uint32_t)length_bytes};
    memcpy(message->payload, payload, length_bytes);
    synic->posted++;
    return HV_STATUS_SUCCESS;
}

hv_status_t host_signal_event(struct host_vm *host, uint32_t vp_index, uint32_t sint, uint32_t flag)
{
    struct fake_synic *synic = &host->synic;

    assert_int_equal(sint, 2);
    assert_in_range(flag, 0, FAKE_FLAGS - 1);
    if (synic->event_status == HV_STATUS_SUCCESS) {
        synic->events[flag]++;
        synic->event_vp = vp_index;
    }
    return synic->event_status;
}
