/* SPDX-License-Identifier: MIT */
/* vmbus/host.h for unit tests of the worker: everything is recorded, nothing happens by itself. */
#ifndef UNIT_FAKE_HOST_H
#define UNIT_FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_register.h"
#include "tests/unit/fake_synic.h"
#include "vmbus/host.h"

#define FAKE_VPS_MAX          4u
#define FAKE_REGISTERS_MAX    96u
#define FAKE_STREAM_BYTES     4096u
#define FAKE_INTERRUPTS_MAX   64u
#define FAKE_TIMERS_MAX       8u
#define FAKE_LOG_BYTES        4096u
#define FAKE_TRANSLATIONS_MAX 4u

/* One call of host_assert_interrupt. */
struct fake_interrupt {
    uint32_t type;
    bool is_level;
    bool is_logical;
    uint64_t apic_id;
    uint32_t vector;
};

/* The registers of one VP that were ever set. */
struct fake_vp {
    uint32_t count;
    uint32_t names[FAKE_REGISTERS_MAX];
    union hv_register_value values[FAKE_REGISTERS_MAX];
    uint32_t kicks;
};

/* What came out of one stream, and how much it may still take. */
struct fake_stream {
    uint8_t bytes[FAKE_STREAM_BYTES];
    size_t count;
    size_t room;
    uint32_t input_wanted;
};

/* A page that does not translate to itself. */
struct fake_translation {
    uint64_t gva_page;
    enum host_translate_result result;
    uint64_t gpa_page;
};

/* The environment of one VM. */
struct host_vm {
    uint8_t *ram;
    uint64_t ram_bytes;
    uint8_t *device_memory; /* null: there was none yet */
    uint64_t device_gpa;    /* where it is; 0: nowhere */
    uint64_t device_bytes;
    bool refuses_device_memory;
    bool is_ram_fragmented; /* no window crosses a page */
    bool is_locked;
    struct fake_vp vps[FAKE_VPS_MAX];
    hv_status_t set_status; /* of all host_set_vp_registers */
    hv_status_t get_status;
    uint32_t refused_name; /* setting this register fails, when not 0 */
    hv_status_t assert_status;
    uint64_t blocked_signals;
    struct fake_interrupt interrupts[FAKE_INTERRUPTS_MAX];
    uint32_t interrupt_count;
    struct fake_stream streams[HOST_STREAM_COUNT];
    struct fake_translation translations[FAKE_TRANSLATIONS_MAX];
    uint32_t translation_count;
    uint32_t translate_calls;
    struct host_timer *timers[FAKE_TIMERS_MAX];
    struct fake_synic synic;
    char command_text[FAKE_LOG_BYTES];  /* of all answers */
    char command_error[FAKE_LOG_BYTES]; /* of the last end */
    uint32_t command_ends;
    char log[FAKE_LOG_BYTES];
    uint32_t log_lines;
    uint32_t ended_count;
    enum host_vm_end end_reason;
    uint32_t end_status;
};

/* The clocks; tests set them. */
extern uint64_t fake_now_100ns;
extern int64_t fake_wall_seconds;

/* A host with `ram_bytes` of zeroed RAM from address 0, streams without end, and an unlocked lock. */
struct host_vm *fake_host_create(uint64_t ram_bytes);
void fake_host_destroy(struct host_vm *host);

/* The value of a register; fails the test when it was never set. */
union hv_register_value fake_host_register(const struct host_vm *host, uint32_t vp_index, uint32_t name);

/* Sets a register as if the guest had. */
void fake_host_set_register(struct host_vm *host, uint32_t vp_index, uint32_t name, uint64_t value);

/* Moves the monotonic clock and calls the timers that expire on the way. */
void fake_host_advance(struct host_vm *host, uint64_t duration_100ns);

/* Timers that are armed. */
uint32_t fake_host_armed_timers(const struct host_vm *host);

#endif
