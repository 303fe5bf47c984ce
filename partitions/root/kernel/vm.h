/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_VM_H
#define KERNEL_VM_H

/* A child: its partition, its memory and VPs, and the worker that plays its machine. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_synic.h"
#include "hv/lib/addr.h"
#include "partitions/root/kernel/arch.h"
#include "partitions/root/kernel/boot.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/sched.h"
#include "vmbus/block_memory.h"
#include "vmbus/host.h"

#define VM_MAX           CONSOLE_CHILD_MAX
#define VM_VPS_MAX       256u
#define VM_DISKS_MAX     8u
#define VM_EVENTS_MAX    (HV_EVENT_FLAGS_COUNT / VM_MAX)
/* Exit status of children that did not give one themselves: this plus enum host_vm_end. */
#define VM_STATUS_FAILED 128u
/* As many pages fit into the input of one HvCallMapGpaPages. */
#define VM_MAP_PAGES_MAX 509u

/* One piece of its RAM, in one piece in the machine's as well. */
struct vm_ram {
    uint64_t gpa;
    uint64_t bytes;
    uint64_t address; /* ours */
};

/* One child. */
struct host_vm {
    uint32_t index; /* number of the child */
    uint32_t vp_count;
    struct child_vp *vps;
    struct vm *worker;
    void *storage;        /* of the worker */
    struct spinlock lock; /* the lock of vmbus/host.h */
    struct spinlock ram_lock;
    uint64_t *populated;                       /* [ram_lock] bit for each 2 MiB: zeroed, and mapped for the child */
    struct deposit deposit;                    /* its partition_id is the partition's; 0: none */
    struct host_timer message_retry;           /* armed while the hypervisor has no room for messages to the child */
    uint32_t event_connections[VM_EVENTS_MAX]; /* [lock] by event flag: the connection that has it; 0: none */
    uint32_t ram_count;
    struct vm_ram ram[WORKER_RAM_RANGES_MAX];
    struct vm_ram device; /* [lock] memory that is no RAM; its gpa is where it was last */
    uint32_t disk_count;
    uint32_t memory_disk_count; /* of those, in memory: the first ones */
    struct block_memory memory_disks[VM_DISKS_MAX];
    uint32_t has_ended; /* atomic; what follows was written before */
    enum host_vm_end end_reason;
    uint32_t end_status;
    char error[256]; /* why it could not be made */
};

/* Creates a partition with VPs and memory and fills `vm`. On failure it prints why and undoes everything. */
MUST_CHECK bool vm_create_partition(struct host_vm *vm, uint32_t index, uint64_t memory_bytes, uint32_t vp_count);

/* Takes it all down: finalise, unmap, withdraw, delete, free. False: pages are missing or a call failed (printed). */
bool vm_destroy_partition(struct host_vm *vm);

/* Makes the 2 MiB around an address present. False: not RAM of the child, or the hypervisor refuses. */
bool vm_populate(struct host_vm *vm, uint64_t gpa);

/* Makes a child, with the boot modules "kernel" and "initrd", and queues its VPs. False: printed why. */
MUST_CHECK bool vm_start(uint32_t index, const struct options *options);

/* After SCHED_EVENT_ENDED: takes down the children that have ended. True when none is left. */
bool vm_reap(void);

/* Console input to child 0. */
void vm_input(void);

/* The child of this number; null: there is none. Processor 0. */
struct host_vm *vm_get(uint32_t index);

/*
 * disk.c: makes the disks of a child, and fills `disks` with them (vm->disk_count of VM_DISKS_MAX elements). False:
 * vm->error says why; disks_destroy() is due all the same, which stops devices that use the child's memory.
 */
MUST_CHECK bool disks_create(struct host_vm *vm, const struct options *options, struct block_disk **disks);
void disks_destroy(struct host_vm *vm);

/*
 * HvCallMapGpaPages: maps `count` (at most VM_MAP_PAGES_MAX) pages from our `address` on at `gpa`, large ones if the
 * flags (HV_MAP_GPA_) say so; address 0: to nowhere, with HV_MAP_GPA_NO_ACCESS.
 */
hv_status_t vm_map_pages(struct host_vm *vm, uint32_t flags, uint64_t gpa, uint64_t address, uint32_t count);

/* device_memory.c: after the end of the partition's VPs, unmaps what may still be mapped. */
void device_memory_unmap(const struct host_vm *vm);

/* After SCHED_EVENT_DEVICE: ends requests that devices are done with. */
void disks_serve(void);

/* port.c: prepares processor 0, which calls this, to receive what children send; and, after SCHED_EVENT_PORT, hands on
 * what has come, with no lock held. */
void port_init(void);
void port_deliver(void);

#endif
