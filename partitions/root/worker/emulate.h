/* SPDX-License-Identifier: MIT */
/* Executes one instruction of a suspended VP whose access belongs to the worker. */
#ifndef WORKER_EMULATE_H
#define WORKER_EMULATE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_intercept.h"
#include "hv/lib/compiler.h"
#include "vmbus/host.h"

struct vm;

/* What an intercept message says about the instruction. */
struct emulate_request {
    const struct hv_x64_intercept_message_header *header;
    const uint8_t *instruction_bytes;
    uint32_t instruction_byte_count; /* 0 when the message has none */
    bool has_address;                /* the two addresses below belong together */
    uint64_t gva;
    uint64_t gpa;
};

/*
 * Fetches what is missing, executes, and writes the registers back; a fault of
 * the instruction is injected. An instruction that it cannot execute ends the VM.
 * The caller holds the VM's lock.
 */
MUST_CHECK enum worker_outcome emulate_instruction(struct vm *vm, uint32_t vp_index,
                                                   const struct emulate_request *request);

/* Makes the VP begin its next dispatch with an exception that has no error code. Ends the VM if that fails. */
MUST_CHECK enum worker_outcome emulate_inject_exception(struct vm *vm, uint32_t vp_index, uint32_t vector);

/* The hypervisor refused `what`: logs it and ends the VM. */
enum worker_outcome emulate_host_failed(struct vm *vm, uint32_t vp_index, const char *what, hv_status_t status);

#endif
