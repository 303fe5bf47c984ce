/* SPDX-License-Identifier: MIT */
/* The disks of children, out of the boot modules "disk". Each child has a copy of its own, which goes with it; a
 * read-only disk is the module itself. */
#include "hv/lib/fmt.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/memory.h"
#include "partitions/root/kernel/vm.h"

#define READ_ONLY_WORDS "ro disk"
#define BLOCK_BYTES     512u

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

bool disks_create(struct host_vm *vm, struct block_disk **disks)
{
    const struct boot_module *module = NULL;
    bool is_good = true;

    while (is_good && (module = boot_next_module(module, "disk")) != NULL) {
        bool is_read_only = str_equal(module->words, READ_ONLY_WORDS);
        void *bytes = get_bytes(vm, module, is_read_only);

        is_good = bytes != NULL && block_memory_init(&vm->disks[vm->disk_count], bytes, module->bytes, is_read_only);
        if (is_good) {
            disks[vm->disk_count] = &vm->disks[vm->disk_count].disk;
            vm->disk_count++;
        }
    }
    return is_good;
}

void disks_destroy(struct host_vm *vm)
{
    for (uint32_t i = 0; i < vm->disk_count; i++) {
        const struct block_memory *memory = &vm->disks[i];

        if (!memory->disk.is_read_only) {
            memory_free_bytes(memory->bytes, memory->disk.byte_count);
        }
    }
}
