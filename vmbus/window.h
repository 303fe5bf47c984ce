/* SPDX-License-Identifier: MIT */
#ifndef VMBUS_WINDOW_H
#define VMBUS_WINDOW_H

/*
 * Accesses to guest memory of the VMBus side: single words and copies. The guest may change it at any time, so each
 * byte is read once, into a local, and only that is looked at.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

struct host_vm;

/* Page numbers at and above have no address. */
#define WINDOW_PAGES_MAX (UINT64_C(1) << (64 - PAGE_SHIFT))

/* The page as the root sees it, for as long as the VM exists; null when it is not the child's RAM. */
void GUEST *window_page(struct host_vm *host, uint64_t page_number);

/* `length_bytes` bytes at `gpa`, when they are RAM and one piece in the root's address space; else null. */
void GUEST *window_bytes(struct host_vm *host, uint64_t gpa, uint64_t length_bytes);

/* Memory of a device, which the guest sees at `gpa`, as host_map_device_memory() says. */
void GUEST *window_map_device(struct host_vm *host, uint64_t gpa, uint64_t length_bytes);

/* Copies out of, and into, one piece of guest memory. */
void window_read(void *to, const void GUEST *from, size_t length_bytes);
void window_write(void GUEST *to, const void *from, size_t length_bytes);

/* One access to a naturally aligned word. Acquires what the guest released with it. */
uint32_t window_load_u32(const uint32_t GUEST *word);

/* Releases all earlier accesses to the guest. */
void window_store_u32(uint32_t GUEST *word, uint32_t value);

/* Sets, or clears and returns, bit `bit` of the bytes at `bits`; a full barrier. */
void window_set_bit(uint8_t GUEST *bits, uint32_t bit);
bool window_take_bit(uint8_t GUEST *bits, uint32_t bit);

/* Orders earlier stores before later loads, which acquire and release do not. */
void window_barrier(void);

#endif
