/* SPDX-License-Identifier: MIT */
#ifndef SELFTEST_SELFTEST_H
#define SELFTEST_SELFTEST_H

/* The hypervisor as the root sees it, tested from inside (test= on the command line). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_register.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"

struct deposit;
struct host_vm;
struct hv_message;

/* Messages and events of self-tests come through this SINT. */
#define SELFTEST_SINT 3u

/* Runs the test group of this name, or "all"; results are progress lines. True: everything passed. Called by minroot.
 */
MUST_CHECK bool selftest_run(const char *name);

/* Prints "PASS name", or "FAIL name: why" if the format is not null; returns true for PASS. */
bool selftest_report(const char *name, const char *why, ...) PRINTF_LIKE(2, 3);

/* Waits until *counter has reached `wanted`; false after ten seconds. */
MUST_CHECK bool selftest_wait(const uint32_t *counter, uint32_t wanted);

/* Checks a timer of one millisecond that counts its interrupts since `start`; reports. */
bool selftest_check_period(const char *name, const uint32_t *counter, uint64_t start_100ns);

/* Sets a register of the VP 0 of a child that does not run. */
MUST_CHECK bool selftest_set_register(struct host_vm *vm, uint32_t name, union hv_register_value value);

/* Runs the VP 0 of a child for a second at most. True: an intercept message of this type came. */
MUST_CHECK bool selftest_dispatch(struct host_vm *vm, uint32_t message_type);

/* Makes a child of 16 MiB and one VP, gives it and the case to `run`, takes it down, and reports what `run` said. */
bool selftest_with_child(const char *name, const char *(*run)(struct host_vm *vm, const void *test), const void *test);

/* The message slot of SELFTEST_SINT on this processor; and its end, after which the next message comes. */
struct hv_message *selftest_slot(void);
void selftest_free_slot(void);

/* A port of the root's own (type HV_PORT_TYPE_*) on SELFTEST_SINT of this processor, with a connection of the same
 * number in the partition of `from`; and its end. */
MUST_CHECK hv_status_t selftest_create_port(struct deposit *from, uint32_t id, uint32_t type);
MUST_CHECK hv_status_t selftest_delete_port(const struct deposit *from, uint32_t id);

/* Puts up to 16 bytes of real-mode code into a child's memory and its VP 0 at it; null, or what went wrong. */
const char *selftest_set_code(struct host_vm *vm, const uint8_t *code, size_t bytes);

/* Accesses that may fault (probe.S): 0, or the vector of the exception that was raised, plus 1. */
uint32_t probe_read(uint64_t address, uint8_t *value);
uint32_t probe_write(uint64_t address, uint8_t value);
uint32_t probe_execute(uint64_t address);

/* The groups; each reports its tests. */
bool selftest_memory(void);
bool selftest_interrupts(void);
bool selftest_timers(void);
bool selftest_apic_timer(void);
bool selftest_console(void);
bool selftest_synic(void);
bool selftest_ports(void);
bool selftest_isolation(void);
bool selftest_lifecycle(void);
bool selftest_hypercall_errors(void);
bool selftest_bad_state(void);
bool selftest_intercepts(void);
bool selftest_bench(void);

#endif
