/* SPDX-License-Identifier: MIT */
/* Memory of a device that a child sees: allocated when it is first mapped, and the child's until that goes. */
#include "hv/abi/hv_partition.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/memory.h"
#include "partitions/root/kernel/vm.h"

static hv_status_t unmap_pages(const struct host_vm *host, uint64_t gpa, uint64_t length_bytes)
{
    struct hv_input_unmap_gpa_pages input = {
        .target_partition_id = host->deposit.partition_id,
        .target_gpa_base = gpa >> PAGE_SHIFT,
    };
    uint32_t count = (uint32_t)(length_bytes / PAGE_SIZE);

    return hypercall(NULL, HvCallUnmapGpaPages, &count, &input, sizeof(input), NULL, 0);
}

/* Says what failed; the VM ends, since nobody knows what the child sees. */
static void fail(struct host_vm *host, const char *name, hv_status_t status)
{
    console_text(CONSOLE_STREAM_ERROR, host->index, "minroot: child %u: %s for a device failed with status %#x",
                 host->index, name, status);
    host_vm_ended(host, HOST_VM_HOST_FAILED, status);
}

void *host_map_device_memory(struct host_vm *host, uint64_t gpa, uint64_t length_bytes)
{
    struct vm_ram *device = &host->device;

    if (device->address == 0) {
        device->address = memory_alloc(length_bytes / PAGE_SIZE, 1);
        device->bytes = length_bytes;
        if (device->address == 0) {
            console_text(CONSOLE_STREAM_ERROR, host->index, "minroot: child %u: no %llu KiB of memory for a device",
                         host->index, (unsigned long long)(length_bytes >> 10));
            return NULL;
        }
        memset((void *)device->address, 0, length_bytes);
    }
    device->gpa = gpa;
    for (uint64_t at = 0; at < length_bytes; at += VM_MAP_PAGES_MAX * PAGE_SIZE) {
        uint32_t count = (uint32_t)min_u64((length_bytes - at) / PAGE_SIZE, VM_MAP_PAGES_MAX);
        hv_status_t status =
            vm_map_pages(host, HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE, gpa + at, device->address + at, count);

        if (status != HV_STATUS_SUCCESS) {
            fail(host, "HvCallMapGpaPages", status);
            return NULL;
        }
    }
    return (void *)device->address;
}

void host_unmap_device_memory(struct host_vm *host)
{
    hv_status_t status = unmap_pages(host, host->device.gpa, host->device.bytes);

    if (status != HV_STATUS_SUCCESS) {
        fail(host, "HvCallUnmapGpaPages", status);
    }
}

void device_memory_unmap(const struct host_vm *vm)
{
    if (vm->device.gpa != 0) {
        (void)!unmap_pages(vm, vm->device.gpa, vm->device.bytes);
    }
}
