/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_HYPERCALL_H
#define KERNEL_HYPERCALL_H

/* The hypervisor underneath: what it offers, and its calls. Calls are not for interrupt handlers: their parameters go
 * through pages of the processor. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/compiler.h"
#include "partitions/root/kernel/boot.h"

struct hv_message;

/* What the CPUID leaves say. */
struct hyperv_info {
    uint64_t privileges; /* leaf 0x40000003, EAX and EBX: HV_ACCESS_..., HV_CREATE_PARTITIONS, ... */
    uint32_t vps_max;    /* of a partition */
};

/* Pages given to a partition for the hypervisor's use, and got back. */
struct deposit {
    uint64_t partition_id;
    uint64_t deposited_count;
    uint64_t withdrawn_count;
};

/* The deposit of the root itself, for calls that create partitions. */
extern struct deposit root_deposit;

/* A page that was deposited, and to whom. */
struct deposit_record {
    uint64_t address;
    const struct deposit *deposit;
};

/* Tests: where a record of each deposited page goes, and for how many more there is room. */
extern struct deposit_record *deposit_log;
extern uint64_t deposit_log_room;

/* Our executable copy of the hypercall page (entry.S). */
extern uint8_t hypercall_page[4096];

const struct hyperv_info *hyperv_info(void);

/* Looks for the hypervisor and what a root needs of it; enables hypercalls. False: one line says what is missing. */
MUST_CHECK bool hyperv_init(void);

/* The part of each processor: VP index, SynIC with messages on SINT 0. */
void hyperv_init_processor(void);

/* Ends a message of this processor's, so that the next one comes. */
void hyperv_free_slot(struct hv_message *slot);

/* Enables a page that the hypervisor gives through an MSR, and maps it; returns its address, 0 if it has none. */
uint64_t hyperv_enable_page(uint32_t msr);

/* The bare instruction: control word, input and output addresses or values; result word. */
uint64_t hypercall_raw(uint64_t control, uint64_t input, uint64_t output);

/* A call whose input is one or two quadwords in registers. */
MUST_CHECK hv_status_t hypercall_fast(uint16_t code, uint64_t first, uint64_t second);

/*
 * A simple call, or a rep call with `*reps` elements (input is header and list together), which goes on behind
 * completed reps and leaves their number in *reps. Output is copied whatever the status is. When memory is short, pages
 * are deposited and the call is repeated; without `deposit` the status is returned as it is.
 */
MUST_CHECK hv_status_t hypercall(struct deposit *deposit, uint16_t code, uint32_t *reps, const void *input,
                                 size_t input_bytes, void *output, size_t output_bytes);

/* Gets pages back until there are none. */
MUST_CHECK hv_status_t hypercall_withdraw(struct deposit *deposit);

/* Routes the UART's interrupt to a vector of this processor. False: the hypervisor refuses. */
MUST_CHECK bool hypercall_map_uart(const struct uart_route *route, uint8_t vector);

/*
 * Routes the interrupt of a PCI function (bus in bits 15:8, device in 7:3, function in 2:0) to a vector of this
 * processor: what its MSI-X table needs, the upper half of the address being 0. False: the hypervisor refuses.
 */
MUST_CHECK bool hypercall_map_msi(uint16_t function, uint8_t vector, uint32_t *address, uint32_t *data);

#endif
