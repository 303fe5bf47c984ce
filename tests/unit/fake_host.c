/* SPDX-License-Identifier: MIT */
/* vmbus/host.h for unit tests of the worker. */
#include "tests/unit/fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

uint64_t fake_now_100ns;
int64_t fake_wall_seconds;

struct host_vm *fake_host_create(uint64_t ram_bytes)
{
    struct host_vm *host = calloc(1, sizeof(*host));

    assert_non_null(host);
    host->ram = calloc(1, ram_bytes == 0 ? 1 : ram_bytes);
    assert_non_null(host->ram);
    host->ram_bytes = ram_bytes;
    for (size_t i = 0; i < HOST_STREAM_COUNT; i++) {
        host->streams[i].room = SIZE_MAX;
    }
    host->synic.room = UINT32_MAX;
    fake_now_100ns = 5000000000;
    fake_wall_seconds = 1700000000;
    return host;
}

void fake_host_destroy(struct host_vm *host)
{
    assert_false(host->is_locked);
    free(host->ram);
    free(host->device_memory);
    free(host);
}

static union hv_register_value *find_register(const struct host_vm *host, uint32_t vp_index, uint32_t name)
{
    const struct fake_vp *vp = &host->vps[vp_index];

    for (uint32_t i = 0; i < vp->count; i++) {
        if (vp->names[i] == name) {
            return (union hv_register_value *)(uintptr_t)&vp->values[i];
        }
    }
    return NULL;
}

static void store_register(struct host_vm *host, uint32_t vp_index, uint32_t name, const union hv_register_value *value)
{
    union hv_register_value *slot = find_register(host, vp_index, name);
    struct fake_vp *vp = &host->vps[vp_index];

    if (slot == NULL) {
        assert_in_range(vp->count, 0, FAKE_REGISTERS_MAX - 1);
        vp->names[vp->count] = name;
        slot = &vp->values[vp->count++];
    }
    *slot = *value;
}

union hv_register_value fake_host_register(const struct host_vm *host, uint32_t vp_index, uint32_t name)
{
    const union hv_register_value *slot = find_register(host, vp_index, name);

    if (slot == NULL) {
        fail_msg("register 0x%x of VP %u was never set", name, vp_index);
    }
    return *slot;
}

void fake_host_set_register(struct host_vm *host, uint32_t vp_index, uint32_t name, uint64_t value)
{
    union hv_register_value full = {.reg128 = {value, 0}};

    store_register(host, vp_index, name, &full);
}

void host_log(struct host_vm *host, enum host_log_level level, const char *line)
{
    size_t used = strlen(host->log);

    (void)level;
    host->log_lines++;
    snprintf(host->log + used, sizeof(host->log) - used, "%s\n", line);
}

void host_vm_lock(struct host_vm *host)
{
    assert_false(host->is_locked);
    host->is_locked = true;
}

void host_vm_unlock(struct host_vm *host)
{
    assert_true(host->is_locked);
    host->is_locked = false;
}

uint64_t host_monotonic_100ns(void)
{
    return fake_now_100ns;
}

int64_t host_wall_clock_seconds(void)
{
    return fake_wall_seconds;
}

void host_timer_arm(struct host_timer *timer, uint64_t deadline_100ns)
{
    struct host_vm *host = timer->host;
    size_t free_slot = FAKE_TIMERS_MAX;

    for (size_t i = 0; i < FAKE_TIMERS_MAX; i++) {
        if (host->timers[i] == timer) {
            free_slot = i;
            break;
        }
        if (host->timers[i] == NULL && free_slot == FAKE_TIMERS_MAX) {
            free_slot = i;
        }
    }
    assert_in_range(free_slot, 0, FAKE_TIMERS_MAX - 1);
    host->timers[free_slot] = timer;
    timer->deadline_100ns = deadline_100ns;
    timer->is_armed = true;
}

void host_timer_cancel(struct host_timer *timer)
{
    for (size_t i = 0; i < FAKE_TIMERS_MAX; i++) {
        if (timer->host->timers[i] == timer) {
            timer->host->timers[i] = NULL;
        }
    }
    timer->is_armed = false;
}

uint32_t fake_host_armed_timers(const struct host_vm *host)
{
    uint32_t count = 0;

    for (size_t i = 0; i < FAKE_TIMERS_MAX; i++) {
        count += host->timers[i] != NULL;
    }
    return count;
}

void fake_host_advance(struct host_vm *host, uint64_t duration_100ns)
{
    uint64_t end = fake_now_100ns + duration_100ns;

    for (;;) {
        struct host_timer *next = NULL;

        for (size_t i = 0; i < FAKE_TIMERS_MAX; i++) {
            struct host_timer *timer = host->timers[i];

            if (timer != NULL && timer->deadline_100ns <= end &&
                (next == NULL || timer->deadline_100ns < next->deadline_100ns)) {
                next = timer;
            }
        }
        if (next == NULL) {
            break;
        }
        if (next->deadline_100ns > fake_now_100ns) {
            fake_now_100ns = next->deadline_100ns;
        }
        host_timer_cancel(next);
        next->expired(next);
    }
    fake_now_100ns = end;
}

void *host_guest_memory(struct host_vm *host, uint64_t gpa, uint64_t length_bytes)
{
    if (gpa > host->ram_bytes || length_bytes > host->ram_bytes - gpa) {
        return NULL;
    }
    if (host->is_ram_fragmented && length_bytes != 0 && gpa / 4096 != (gpa + length_bytes - 1) / 4096) {
        return NULL;
    }
    return host->ram + gpa;
}

void *host_map_device_memory(struct host_vm *host, uint64_t gpa, uint64_t length_bytes)
{
    assert_true(host->is_locked);
    assert_int_equal(host->device_gpa, 0);
    assert_true(gpa >= host->ram_bytes && gpa % 4096 == 0 && length_bytes % 4096 == 0);
    assert_true(host->device_memory == NULL || host->device_bytes == length_bytes);
    if (host->refuses_device_memory) {
        return NULL;
    }
    if (host->device_memory == NULL) {
        host->device_memory = calloc(1, length_bytes);
    }
    host->device_gpa = gpa;
    host->device_bytes = length_bytes;
    return host->device_memory;
}

void host_unmap_device_memory(struct host_vm *host)
{
    assert_true(host->is_locked);
    assert_int_not_equal(host->device_gpa, 0);
    host->device_gpa = 0;
}

hv_status_t host_get_vp_registers(struct host_vm *host, uint32_t vp_index, const uint32_t *names,
                                  union hv_register_value *values, uint32_t count)
{
    assert_in_range(count, 1, HOST_VP_REGISTERS_MAX);
    if (host->get_status != HV_STATUS_SUCCESS) {
        return host->get_status;
    }
    for (uint32_t i = 0; i < count; i++) {
        const union hv_register_value *slot = find_register(host, vp_index, names[i]);

        values[i] = slot != NULL ? *slot : (union hv_register_value){.reg128 = {0, 0}};
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t host_set_vp_registers(struct host_vm *host, uint32_t vp_index, const uint32_t *names,
                                  const union hv_register_value *values, uint32_t count)
{
    assert_in_range(count, 1, HOST_VP_REGISTERS_MAX);
    if (host->set_status != HV_STATUS_SUCCESS) {
        return host->set_status;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (host->refused_name != 0 && names[i] == host->refused_name) {
            return HV_STATUS_INVALID_PARAMETER;
        }
        store_register(host, vp_index, names[i], &values[i]);
    }
    return HV_STATUS_SUCCESS;
}

uint64_t host_blocked_signals(struct host_vm *host)
{
    return host->blocked_signals;
}

void host_vp_kick(struct host_vm *host, uint32_t vp_index)
{
    assert_in_range(vp_index, 0, FAKE_VPS_MAX - 1);
    host->vps[vp_index].kicks++;
}

hv_status_t host_assert_interrupt(struct host_vm *host, uint32_t type, bool is_level, bool is_logical, uint64_t apic_id,
                                  uint32_t vector)
{
    if (host->assert_status != HV_STATUS_SUCCESS) {
        return host->assert_status;
    }
    assert_in_range(host->interrupt_count, 0, FAKE_INTERRUPTS_MAX - 1);
    host->interrupts[host->interrupt_count++] = (struct fake_interrupt){
        .type = type,
        .is_level = is_level,
        .is_logical = is_logical,
        .apic_id = apic_id,
        .vector = vector,
    };
    return HV_STATUS_SUCCESS;
}

hv_status_t host_translate_gva(struct host_vm *host, uint32_t vp_index, uint64_t gva, uint32_t flags,
                               enum host_translate_result *result, uint64_t *gpa)
{
    (void)vp_index;
    (void)flags;
    host->translate_calls++;
    *result = HOST_TRANSLATE_OK;
    *gpa = gva;
    for (uint32_t i = 0; i < host->translation_count; i++) {
        const struct fake_translation *translation = &host->translations[i];

        if (translation->gva_page == gva / 4096) {
            *result = translation->result;
            *gpa = translation->gpa_page * 4096 + gva % 4096;
        }
    }
    return HV_STATUS_SUCCESS;
}

size_t host_stream_write(struct host_vm *host, enum host_stream stream, const void *bytes, size_t length_bytes)
{
    struct fake_stream *out = &host->streams[stream];
    size_t taken = length_bytes < out->room ? length_bytes : out->room;

    assert_in_range(out->count + taken, 0, FAKE_STREAM_BYTES);
    memcpy(out->bytes + out->count, bytes, taken);
    out->count += taken;
    if (out->room != SIZE_MAX) {
        out->room -= taken;
    }
    return taken;
}

void host_stream_input_wanted(struct host_vm *host, enum host_stream stream)
{
    host->streams[stream].input_wanted++;
}

void host_command_write(struct host_vm *host, const char *text)
{
    assert_true(host->is_locked);
    assert_in_range(strlen(host->command_text) + strlen(text), 0, sizeof(host->command_text) - 1);
    strcat(host->command_text, text);
}

void host_command_ended(struct host_vm *host, const char *error)
{
    assert_true(host->is_locked);
    host->command_ends++;
    strcpy(host->command_error, error == NULL ? "" : error);
}

void host_vm_ended(struct host_vm *host, enum host_vm_end reason, uint32_t status)
{
    host->ended_count++;
    host->end_reason = reason;
    host->end_status = status;
}
