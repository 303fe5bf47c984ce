/* SPDX-License-Identifier: MIT */
/*
 * The debug-exit port, for test guests: writing a byte ends the VM with that
 * byte as its exit status. Reads give all ones, as if nothing were there.
 */
#include "partitions/root/worker/dev/debug_exit.h"

#include "partitions/root/worker/vm.h"

uint32_t debug_exit_read(void *device, uint16_t offset, uint32_t size_bytes)
{
    (void)device;
    (void)offset;
    (void)size_bytes;
    return UINT32_MAX;
}

bool debug_exit_write(void *device, uint16_t offset, uint32_t size_bytes, uint32_t value)
{
    (void)offset;
    (void)size_bytes;
    vm_end(device, HOST_VM_EXIT, value & 0xFFu);
    return true;
}
