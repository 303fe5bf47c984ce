/* SPDX-License-Identifier: MIT */
#ifndef HYPERCALL_TABLE_H
#define HYPERCALL_TABLE_H

/* The hypercall table: what the engine knows of each call. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"

struct hypercall_context;

/* Serves one entry of a call. Runs as an RCU reader (rcu.h), own VP, no locks held. Statuses as the call's. */
typedef hv_status_t (*hypercall_handler)(struct hypercall_context *call);

/* One call. Sizes in bytes. */
struct hypercall_row {
    const char *name;
    hypercall_handler handler;
    uint64_t privileges; /* HV_* bits that the caller's privilege mask must all have */
    uint16_t code;
    uint16_t input_size;    /* fixed part */
    uint16_t output_size;   /* simple call */
    uint16_t variable_max;  /* most qwords of variable header; 0: the call has none */
    uint16_t rep_batch;     /* rep call: most elements of one entry; 0: a simple call */
    uint8_t rep_input_size; /* one element; 0: the list has no input elements */
    uint8_t rep_output_size;
    bool allows_fast; /* the input may come in registers where it fits */
    bool is_root_only;
};

/* The row of a call code; null if there is no such call. */
const struct hypercall_row *hypercall_find(uint16_t code);

#endif
