/* SPDX-License-Identifier: MIT */
/*
 * The disks of children: out of the boot modules "disk", of which each child has a copy of its own that goes with it
 * (a read-only disk is the module itself); and behind those the machine's virtio block devices, so many in a row for
 * each child.
 */
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "partitions/root/device/virtio_block.h"
#include "partitions/root/kernel/memory.h"
#include "partitions/root/kernel/vm.h"

#define READ_ONLY_WORDS  "ro disk"
#define BLOCK_BYTES      512u
#define VIRTIO_VENDOR_ID 0x1AF4u

/* A device, from its first use on; a child after another has it. */
struct disk_device {
    struct virtio_block *block; /* null: not looked for yet */
    struct host_vm *vm;         /* who has it; null: it is stopped */
};

static struct disk_device devices[VM_MAX * VM_DISKS_MAX];

/* The bytes of the next disk; null: vm->error says why there are none. */
static void *get_bytes(struct host_vm *vm, const struct boot_module *module, bool is_read_only)
{
    uint64_t address;

    if (vm->disk_count == VM_DISKS_MAX || module->bytes == 0 || module->bytes % BLOCK_BYTES != 0) {
        (void)fmt_snprintf(vm->error, sizeof(vm->error),
                           "disk %u of %llu bytes: at most %u disks of whole blocks of %u bytes are possible",
                           vm->disk_count, (unsigned long long)module->bytes, VM_DISKS_MAX, BLOCK_BYTES);
        return NULL;
    }
    if (is_read_only) {
        return (void *)module->start;
    }
    address = memory_alloc(pages_from_bytes(module->bytes), 1);
    if (address == 0) {
        (void)fmt_snprintf(
            vm->error, sizeof(vm->error), "no %llu KiB of memory in one piece for disk %u (%llu MiB are free)",
            (unsigned long long)(module->bytes >> 10), vm->disk_count, (unsigned long long)(memory_free_pages() >> 8));
        return NULL;
    }
    return memcpy((void *)address, (const void *)module->start, module->bytes);
}

static bool create_memory_disks(struct host_vm *vm, struct block_disk **disks)
{
    const struct boot_module *module = NULL;
    bool is_good = true;

    while (is_good && (module = boot_next_module(module, "disk")) != NULL) {
        bool is_read_only = str_equal(module->words, READ_ONLY_WORDS);
        struct block_memory *memory = &vm->memory_disks[vm->disk_count];
        void *bytes = get_bytes(vm, module, is_read_only);

        is_good = bytes != NULL && block_memory_init(memory, bytes, module->bytes, is_read_only);
        if (is_good) {
            disks[vm->disk_count++] = &memory->disk;
            vm->memory_disk_count++;
        }
    }
    return is_good;
}

/* Finds a device by its number, and starts it; null, or what is wrong. */
static const char *start_device(struct host_vm *vm, uint32_t index)
{
    struct disk_device *device = &devices[index];
    const char *wrong = NULL;
    uint16_t function;

    if (device->block == NULL) {
        if (!pci_find(VIRTIO_VENDOR_ID, VIRTIO_BLOCK_DEVICE_ID, index, &function)) {
            return "there are not so many in the machine";
        }
        device->block = memory_alloc_zeroed(sizeof(*device->block));
        wrong = virtio_find(&device->block->device, function, VIRTIO_BLOCK_CONFIG_BYTES);
        if (wrong != NULL) {
            memory_free_bytes(device->block, sizeof(*device->block));
            device->block = NULL;
            return wrong;
        }
    }
    wrong = virtio_block_start(device->block);
    device->vm = wrong == NULL ? vm : NULL;
    return wrong;
}

bool disks_create(struct host_vm *vm, const struct options *options, struct block_disk **disks)
{
    bool is_good = create_memory_disks(vm, disks);

    for (uint32_t i = 0; is_good && i < options->disk_count; i++) {
        uint32_t index = vm->index * (uint32_t)options->disk_count + i;
        const char *wrong = vm->disk_count == VM_DISKS_MAX ? "there are 8 disks already" : start_device(vm, index);

        is_good = wrong == NULL;
        if (is_good) {
            disks[vm->disk_count++] = &devices[index].block->disk;
        } else {
            (void)fmt_snprintf(vm->error, sizeof(vm->error), "disk %u, virtio block device %u: %s", vm->disk_count,
                               index, wrong);
        }
    }
    return is_good;
}

void disks_destroy(struct host_vm *vm)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(devices); i++) {
        if (devices[i].vm == vm) {
            virtio_block_stop(devices[i].block);
            devices[i].vm = NULL;
        }
    }
    for (uint32_t i = 0; i < vm->memory_disk_count; i++) {
        const struct block_memory *memory = &vm->memory_disks[i];

        if (!memory->disk.is_read_only) {
            memory_free_bytes(memory->bytes, memory->disk.byte_count);
        }
    }
}

void disks_serve(void)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(devices); i++) {
        struct host_vm *vm = devices[i].vm;

        if (vm != NULL) {
            host_vm_lock(vm);
            virtio_block_serve(devices[i].block);
            host_vm_unlock(vm);
        }
    }
}
