/* SPDX-License-Identifier: MIT */
/*
 * The one seam between the portable root-side code (VMBus, the VM worker) and
 * where it runs: minroot, Linux, or a test. It has two halves.
 *
 *   host_*    what the environment provides, implemented once per environment;
 *   worker_*  what the environment calls, implemented by partitions/root/worker.
 *
 * Rules of both halves:
 *
 * - Nothing blocks. A host_* function that cannot do its job now says so and
 *   calls back later.
 * - There is one lock per VM (host_vm_lock). Every worker_* entry point and
 *   every timer callback takes it itself, so the environment calls them without
 *   it. host_* functions are called with the lock held and must therefore never
 *   call a worker_* function or a timer callback from inside themselves.
 * - host_timer_arm() and host_timer_cancel() need no lock: a VM that has something
 *   for another one arms a timer of that.
 * - Pointers passed in are borrowed for the duration of the call, unless said
 *   otherwise.
 */
#ifndef VMBUS_HOST_H
#define VMBUS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"

struct block_disk;
struct hv_message;
struct net_switch;
union hv_register_value;

/* The environment's side of a VM: opaque to portable code. */
struct host_vm;

/* The worker's side of a VM: opaque to the environment. */
struct vm;

/* ---- What the environment provides ------------------------------------- */

/* How much a log line matters. */
enum host_log_level {
    HOST_LOG_ERROR,
    HOST_LOG_WARNING,
    HOST_LOG_INFO,
    HOST_LOG_DEBUG,
};

/*
 * Writes one line, without a line end of its own, and with a prefix that names
 * the VM. The caller has already limited the rate of what a guest can cause.
 */
void host_log(struct host_vm *host, enum host_log_level level, const char *line);

/*
 * Takes and releases the lock of this VM. Not recursive. Held for the length of
 * one device access or one short instruction, never while waiting.
 */
void host_vm_lock(struct host_vm *host);
void host_vm_unlock(struct host_vm *host);

/* A clock that never goes back, in units of 100 ns, from an arbitrary origin. */
uint64_t host_monotonic_100ns(void);

/* Wall clock: seconds since 1970-01-01 00:00 UTC. */
int64_t host_wall_clock_seconds(void);

/*
 * A one-shot timer inside an object of its user. The members above the line are
 * the user's, set by host_timer_init; those below belong to the environment.
 */
struct host_timer {
    void (*expired)(struct host_timer *timer);
    struct host_vm *host;
    /* ---- */
    uint64_t deadline_100ns;
    bool is_armed;
    uint64_t environment[4];
};

/* Prepares a timer that is not armed. `expired` is called without the VM's lock. */
static inline void host_timer_init(struct host_timer *timer, struct host_vm *host,
                                   void (*expired)(struct host_timer *timer))
{
    *timer = (struct host_timer){.expired = expired, .host = host};
}

/*
 * Calls timer->expired once when the monotonic clock reaches the deadline, at
 * once (but not from inside this call) when it has passed. Arming an armed timer
 * moves it. The callback may come although the timer is being cancelled or moved
 * at that moment on another processor: it looks at the clock and its own state.
 */
void host_timer_arm(struct host_timer *timer, uint64_t deadline_100ns);

/* Takes the timer back; harmless when it is not armed. */
void host_timer_cancel(struct host_timer *timer);

/*
 * The guest-memory window: a pointer, valid in the root's address space for as
 * long as the VM exists, to `length_bytes` of the child's RAM at `gpa`. Null when
 * a byte of it is not RAM, or when it does not lie in one piece in the root's
 * address space; a range inside one 4 KiB page is always in one piece. RAM
 * reads as zero before it is first written. Only
 * partitions/root/worker/guest_memory.c and vmbus/window.c use the pointer, and back-ends that a provider hands pieces
 * of it to (gpa_cursor_next in vmbus/vsp.h).
 */
void *host_guest_memory(struct host_vm *host, uint64_t gpa, uint64_t length_bytes);

/*
 * Shows the child memory of a device at `gpa`, `length_bytes` of it, both multiples of 4 KiB: readable and writable,
 * none of its RAM, where nothing else is. Returns where it is in the root's address space, valid until the next of
 * these calls; null when there is no memory, or the hypervisor refuses. A VM has one such memory: all calls say the
 * same length, it is zero at first, and keeps what is in it while it is not mapped.
 */
void *host_map_device_memory(struct host_vm *host, uint64_t gpa, uint64_t length_bytes);

/* Takes it out of the child's sight; it was there. */
void host_unmap_device_memory(struct host_vm *host);

/*
 * Reads or writes `count` registers of a VP that does not run (suspended by an
 * intercept, or never started). names[i] is a register name of the ABI
 * (HvX64Register...), values[i] its value; elements are applied in order and the
 * call stops at the first that fails, whose status it returns. `count` is at
 * most HOST_VP_REGISTERS_MAX.
 */
#define HOST_VP_REGISTERS_MAX 48u
MUST_CHECK hv_status_t host_get_vp_registers(struct host_vm *host, uint32_t vp_index, const uint32_t *names,
                                             union hv_register_value *values, uint32_t count);
MUST_CHECK hv_status_t host_set_vp_registers(struct host_vm *host, uint32_t vp_index, const uint32_t *names,
                                             const union hv_register_value *values, uint32_t count);

/*
 * While all VPs are blocked, one more than the wake-ups that they ever had; else 0.
 * None of them has run between two calls with the same answer but 0.
 */
uint64_t host_blocked_signals(struct host_vm *host);

/* Makes a running or blocked VP come back to its dispatch loop soon. */
void host_vp_kick(struct host_vm *host, uint32_t vp_index);

/*
 * HvCallAssertVirtualInterrupt. `type` is the ABI's interrupt type (0 fixed, 1
 * lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT), `apic_id` the destination in
 * physical mode or the logical destination when `is_logical`. Whether it is
 * level-triggered decides if an APIC EOI message comes back.
 */
MUST_CHECK hv_status_t host_assert_interrupt(struct host_vm *host, uint32_t type, bool is_level, bool is_logical,
                                             uint64_t apic_id, uint32_t vector);

/*
 * Lets the child reach us by HvCallPostMessage (messages) or HvCallSignalEvent
 * (events) on `connection_id`, 24 bits, of its own partition: a port of ours and
 * the connection to it. What comes is handed to worker_message() or
 * worker_event(). Statuses are those of HvCallCreatePort and HvCallConnectPort, and
 * NO_RESOURCES when the environment has no room (minroot: ids of 20 bits, and 128
 * event connections of a child at a time).
 */
MUST_CHECK hv_status_t host_open_message_connection(struct host_vm *host, uint32_t connection_id);
MUST_CHECK hv_status_t host_open_event_connection(struct host_vm *host, uint32_t connection_id);

/* Takes a connection back; what was under way on it may still arrive once. */
void host_close_connection(struct host_vm *host, uint32_t connection_id);

/*
 * HvCallPostMessageDirect: a message of `length_bytes` (at most 240) for a SINT of
 * a VP of the child. A status other than success means that it was not queued;
 * with HV_STATUS_INSUFFICIENT_BUFFERS the caller keeps it and tries again when
 * worker_messages_wanted() is called.
 */
MUST_CHECK hv_status_t host_post_message(struct host_vm *host, uint32_t vp_index, uint32_t sint, uint32_t message_type,
                                         const void *payload, size_t length_bytes);

/* HvCallSignalEventDirect: sets an event flag of a SINT of a VP of the child, and interrupts it if it was clear. */
MUST_CHECK hv_status_t host_signal_event(struct host_vm *host, uint32_t vp_index, uint32_t sint, uint32_t flag);

/* What HvCallTranslateVirtualAddress is to check; the numbers are the ABI's. */
#define HOST_TRANSLATE_READ    0x1u
#define HOST_TRANSLATE_WRITE   0x2u
#define HOST_TRANSLATE_EXECUTE 0x4u

/* Its answer; the numbers are those of the ABI's result codes. */
enum host_translate_result {
    HOST_TRANSLATE_OK = 0,
    HOST_TRANSLATE_NOT_PRESENT = 1,
    HOST_TRANSLATE_PRIVILEGE = 2,
    HOST_TRANSLATE_BAD_FLAGS = 3,
    HOST_TRANSLATE_GPA_UNMAPPED = 4,
    HOST_TRANSLATE_GPA_NO_READ = 5,
    HOST_TRANSLATE_GPA_NO_WRITE = 6,
    HOST_TRANSLATE_OVERLAY = 7,
    HOST_TRANSLATE_INTERCEPT = 8,
};

/*
 * Translates a virtual address of a suspended VP through its current paging
 * mode. *result and *gpa (with the offset in the page) are set only when the
 * status is success; *gpa is meaningful for OK and GPA_UNMAPPED, which an
 * environment may use alike for addresses of devices.
 */
MUST_CHECK hv_status_t host_translate_gva(struct host_vm *host, uint32_t vp_index, uint64_t gva, uint32_t flags,
                                          enum host_translate_result *result, uint64_t *gpa);

/* Byte streams of a VM: where the data of its serial ports goes. */
enum host_stream {
    HOST_STREAM_COM1,
    HOST_STREAM_COM2,
    HOST_STREAM_COUNT,
};

/*
 * Offers `length_bytes` bytes to a stream and returns how many it took, 0 to
 * all. After it has taken fewer than offered the environment calls
 * worker_stream_writable() once there is room again. A stream that leads nowhere
 * takes everything.
 */
size_t host_stream_write(struct host_vm *host, enum host_stream stream, const void *bytes, size_t length_bytes);

/*
 * worker_stream_input() took fewer bytes than it was given, and the guest has
 * made room since: the environment is to offer the rest again, from outside this
 * call.
 */
void host_stream_input_wanted(struct host_vm *host, enum host_stream stream);

/* Why a VM has ended. worker_end_reason_text() names them for people. */
enum host_vm_end {
    HOST_VM_POWER_OFF,           /* the guest entered ACPI S5 */
    HOST_VM_RESET,               /* the guest asked for a reset */
    HOST_VM_EXIT,                /* the guest wrote its exit status to the debug-exit port */
    HOST_VM_TRIPLE_FAULT,        /* a VP could not deliver a double fault */
    HOST_VM_UNHANDLED_INTERCEPT, /* an intercept that the worker does not know, status is its message type */
    HOST_VM_EMULATION_FAILED,    /* an instruction that the worker cannot execute for the guest */
    HOST_VM_HOST_FAILED,         /* a call of the worker to the hypervisor failed, status is its result */
    HOST_VM_HALTED,              /* all VPs are halted with interrupts disabled, and no device has an NMI for them */
};

/*
 * The VM has ended, said once per VM. `status` is the exit status for
 * HOST_VM_EXIT and as described at the reason otherwise, else 0. The worker has
 * logged the details and kicked all VPs; the environment dispatches none of them
 * again.
 */
void host_vm_ended(struct host_vm *host, enum host_vm_end reason, uint32_t status);

/*
 * The answer to a command: parts of a text, lines ending with a newline, and then its end, with what went wrong in a
 * few words, or null. Guests have a hand in the text: control characters in it are theirs.
 */
void host_command_write(struct host_vm *host, const char *text);
void host_command_ended(struct host_vm *host, const char *error);

/* ---- What the environment calls ---------------------------------------- */

/* Limits of the machine model "direct boot machine". */
#define WORKER_VPS_MAX           1024u
#define WORKER_MEMORY_MIN_BYTES  UINT64_C(0x200000)
#define WORKER_MEMORY_MAX_BYTES  UINT64_C(0x10000000000)
#define WORKER_RAM_RANGES_MAX    2u
#define WORKER_STORAGE_ALIGNMENT 64u

/* One piece of the child's RAM: guest physical, page-aligned. */
struct worker_ram_range {
    uint64_t gpa;
    uint64_t length_bytes;
};

/*
 * Where the machine model wants `memory_bytes` of RAM: 0 to 3 GiB, the rest from
 * 4 GiB up. Fills up to WORKER_RAM_RANGES_MAX elements and returns how many. The
 * environment maps them, readable, writable and executable, before
 * worker_create(). Returns 0 when the size is not a multiple of 4 KiB or is
 * outside the limits above.
 */
uint32_t worker_ram_layout(uint64_t memory_bytes, struct worker_ram_range *ranges);

/* What a VM is made of. Nothing of it is kept after worker_create() but what is said to be. */
struct worker_config {
    uint64_t memory_bytes;
    uint32_t vp_count; /* VP i has APIC id i */
    bool has_vmbus;    /* the guest finds a VMBus */
    uint8_t number;    /* of the VM among those that share a switch: its address follows from it */
    /* With a VMBus: where its network adapter is connected, kept until worker_destroy(); null: it has none. */
    struct net_switch *network;
    const void *kernel; /* bzImage, ELF with PVH entry, or Multiboot1 image */
    uint64_t kernel_bytes;
    const void *initrd; /* null when there is none */
    uint64_t initrd_bytes;
    const char *command_line; /* null counts as empty */
    /* Element i is the disk at LUN i of a storage controller on the VMBus; the VM's until worker_destroy(). */
    struct block_disk *const *disks;
    uint32_t disk_count;  /* 0: the VM has no controller */
    uint64_t spare_disks; /* bit i: disk i is not there before the command "disk-add" puts it there */
};

/* Bytes of storage that worker_create() needs. */
size_t worker_storage_bytes(void);

/*
 * Builds the machine in `storage` (worker_storage_bytes() bytes, aligned to
 * WORKER_STORAGE_ALIGNMENT, kept until worker_destroy()): writes firmware tables
 * and kernel into guest RAM and sets the registers of VP 0; the other VPs stay as
 * they were created, waiting for a start-up IPI. All VPs exist already and have
 * not run. Returns null on bad input and then has written one line that says
 * what was wrong to `error` (of `error_bytes` bytes, always terminated).
 */
MUST_CHECK struct vm *worker_create(void *storage, struct host_vm *host, const struct worker_config *config,
                                    char *error, size_t error_bytes);

/* Cancels timers. No VP runs, and no other worker_* call is under way or follows. */
void worker_destroy(struct vm *vm);

/* What to do with a VP whose intercept was handled. */
enum worker_outcome {
    WORKER_RESUME,  /* clear the intercept suspension and run it */
    WORKER_HALTED,  /* as resume, but there is nothing to run until an interrupt for it arrives */
    WORKER_STALLED, /* a stream takes no more bytes: dispatch it again when the stream has room; dispatching earlier
                       only repeats the intercept */
    WORKER_ENDED,   /* the VM has ended: do not run it again */
};

/*
 * Handles an intercept of a VP. The message is the hypervisor's, the VP stays
 * suspended during the call, and its instruction pointer and registers have been
 * updated when it returns. Several VPs may call at once.
 */
MUST_CHECK enum worker_outcome worker_handle_intercept(struct vm *vm, uint32_t vp_index,
                                                       const struct hv_message *message);

/* Input for a stream; returns how many bytes were taken (see host_stream_input_wanted). */
size_t worker_stream_input(struct vm *vm, enum host_stream stream, const void *bytes, size_t length_bytes);

/*
 * A message that the child posted on a connection, in the order in which they
 * were posted: `length_bytes` bytes, at most 240, copied out of the child's reach.
 */
void worker_message(struct vm *vm, uint32_t connection_id, uint32_t message_type, const void *payload,
                    size_t length_bytes);

/* The child has signalled an event connection, once or more since the last call. */
void worker_event(struct vm *vm, uint32_t connection_id);

/* The hypervisor may have room for messages that host_post_message() refused. */
void worker_messages_wanted(struct vm *vm);

/* A stream that had refused bytes has room again. */
void worker_stream_writable(struct vm *vm, enum host_stream stream);

/*
 * A command of whoever manages the VM, such as "shutdown"; "help" lists them. The answer comes through
 * host_command_write() and host_command_ended(), from inside this call or later: when the guest has answered or left.
 * One at a time: another one before that is refused, and a VM that ends answers no more.
 */
void worker_command(struct vm *vm, const char *command);

/* The VM has ended, and host_vm_ended() was called. Needs no lock. */
bool worker_has_ended(const struct vm *vm);

/* A few words for people, such as "power off". */
const char *worker_end_reason_text(enum host_vm_end reason);

/* Counters of a VM, for statistics and tests. */
struct worker_counters {
    uint64_t port_reads;
    uint64_t port_writes;
    uint64_t port_strings;
    uint64_t mmio_accesses;
    uint64_t unhandled_port_accesses;
    uint64_t unhandled_mmio_accesses;
    uint64_t interrupts_asserted;
    uint64_t interrupts_failed;
    uint64_t apic_eois;
    uint64_t exceptions_injected;
};

/* A copy of the counters as they are now. */
void worker_get_counters(struct vm *vm, struct worker_counters *counters);

#endif
