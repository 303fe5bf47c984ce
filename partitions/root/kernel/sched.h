/* SPDX-License-Identifier: MIT */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

/*
 * Which child VP runs on which processor. All VPs of all children are in one queue; a VP is dispatched by one processor
 * at a time. Events are work for processor 0 that may be noticed anywhere, also in interrupt handlers.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"
#include "hv/lib/list.h"

struct host_vm;
struct hv_message;

/* Work for processor 0. */
#define SCHED_EVENT_TIMER  0x1u  /* a timer has expired, or another one is the next now */
#define SCHED_EVENT_INPUT  0x2u  /* console input, or a child has room for it */
#define SCHED_EVENT_ENDED  0x4u  /* a child has ended, or one of its VPs has left the queue for good */
#define SCHED_EVENT_PORT   0x8u  /* messages or events of children */
#define SCHED_EVENT_DEVICE 0x10u /* a PCI device has interrupted */

/* Where a child VP is. */
enum child_vp_state {
    CHILD_VP_BLOCKED, /* until a signal comes */
    CHILD_VP_QUEUED,
    CHILD_VP_RUNNING,
    CHILD_VP_STOPPED, /* for ever */
};

/* One VP of a child. */
struct child_vp {
    struct list_node node;     /* [run queue lock] */
    struct host_vm *vm;        /* [I] */
    uint32_t index;            /* [I] */
    uint32_t last_cpu;         /* [run queue lock] */
    enum child_vp_state state; /* [run queue lock] */
    uint32_t signals_received; /* [run queue lock] VP signal messages, and kicks */
    uint32_t signals_used;     /* [run queue lock] those that have ended a blocked state, or came before it */
    bool was_woken;            /* [run queue lock] queued to go in front of what runs now */
    int64_t slice_left_tsc;    /* [run queue lock] of its turn; not more than 0: at its next wake it has to queue up */
    bool clear_intercept;      /* its dispatcher only: the intercept was handled */
    const struct hv_message *intercept;    /* [I] intercept message page */
    struct hv_vp_register_page *registers; /* [I] register page */
};

/* Adds a VP that has not run. */
void sched_add(struct child_vp *vp);

/* Ends all VPs of a child that do not run; true when none of them runs any more. */
bool sched_stop_vm(struct child_vp *vps, uint32_t count);

/* host_blocked_signals() of these VPs. */
uint64_t sched_blocked_signals(const struct child_vp *vps, uint32_t count);

/* Clears the pointer by which vm_find_vp() finds a child. */
void sched_forget(struct host_vm **vm);

/* Makes a VP come back to its dispatcher, or run if it is blocked. */
void sched_kick(struct child_vp *vp);

/* A VP signal of the hypervisor: partition id and VP index, unknown ones ignored. Any context. */
void sched_signal(uint64_t partition_id, uint32_t vp_index);

/* Leaves an event for processor 0. Any context. */
void sched_raise(uint32_t events);

/* Serves events and runs child VPs, for ever. Each processor. */
NORETURN void sched_run(void);

/* Upward hooks (main.c, vm.c). Processor 0 with events to handle; a VP's intercept (false: the VM has ended); failed
 * call. */
void main_events(uint32_t events);
bool vm_handle_intercept(struct child_vp *vp);
void vm_fail(struct host_vm *vm, uint32_t vp_index, const char *name, hv_status_t status);

/* A child's VP by partition id; null: unknown. [run queue lock] */
struct child_vp *vm_find_vp(uint64_t partition_id, uint32_t vp_index);
uint64_t vm_partition_id(const struct host_vm *vm);
bool vm_has_ended(const struct host_vm *vm);

#endif
