/* SPDX-License-Identifier: MIT */
/* The debug-exit port: a byte written ends the VM with that status. */
#ifndef DEV_DEBUG_EXIT_H
#define DEV_DEBUG_EXIT_H

#include <stdbool.h>
#include <stdint.h>

/* Port handlers; the device is the struct vm. */
uint32_t debug_exit_read(void *device, uint16_t offset, uint32_t size_bytes);
bool debug_exit_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value);

#endif
