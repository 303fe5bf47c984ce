/* SPDX-License-Identifier: MIT */
#ifndef MEM_MEM_INIT_H
#define MEM_MEM_INIT_H

/* Start-up of the hypervisor's memory. */

#include <stdint.h>

/*
 * Picks the reserved range, moves the image into it and switches to the final page tables. On return the code runs at
 * the same virtual address from its new place, and nothing outside the reserved range is the hypervisor's any more.
 * Stops with a line if there is too little memory. Boot processor, once, after boot_init() and acpi_init().
 */
void mem_init(void);

#endif
