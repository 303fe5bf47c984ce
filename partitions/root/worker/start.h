/* SPDX-License-Identifier: MIT */
/* The registers with which a VM begins. */
#ifndef WORKER_START_H
#define WORKER_START_H

#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"

struct host_vm;
struct loader_entry;

/*
 * Writes the descriptor table and sets all registers of VP 0 for the loaded
 * kernel. Returns the hypervisor's status; *first_name is then the first of the
 * registers of the call that failed.
 */
MUST_CHECK hv_status_t start_first_vp(struct host_vm *host, const struct loader_entry *entry, uint32_t *first_name);

/* Turns the caches on, as firmware does with the MTRRs, for all VPs. */
void start_enable_caches(struct host_vm *host, uint32_t vp_count);

#endif
