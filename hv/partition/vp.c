/* SPDX-License-Identifier: MIT */
#include "hv/partition/vp.h"

#include <stddef.h>

#include "hv/abi/hv_intercept.h"
#include "hv/boot/acpi.h"
#include "hv/cpu/asm.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace.h"
#include "hv/partition/deposit.h"
#include "hv/partition/intercept.h"
#include "hv/partition/partition.h"
#include "hv/partition/rcu.h"
#include "hv/partition/register_page.h"
#include "hv/partition/stats.h"
#include "hv/partition/vp_fpu.h"
#include "hv/partition/vp_signal.h"
#include "hv/partition/vp_state.h"

/*
 * The VP's life, who may touch it when, what wakes it, and its dispatch by the root scheduler. Not here: registers
 * (vp_regs.c), state pages (vp_state.c), events before entry (vp_event.c), the guest itself (the backend).
 *
 * `cpu` says who owns the [V] members: the processor in whose run loop the VP is, or that claimed it; null: nobody. It
 * changes under the VP lock only, so "blocked, and nobody runs it" and "has work now" cannot miss each other.
 */

#define SEGMENT_LIMIT_REAL_MODE           0xffffu
/* Type code, readable, accessed; non-system; present. */
#define SEGMENT_ATTRIBUTES_REAL_MODE_CODE 0x009bu

static void slice_ended(struct timer *timer)
{
    struct vp *vp = CONTAINER_OF(timer, struct vp, slice_timer);

    /* The interrupt that brought us here has ended guest mode; no kick is needed. */
    (void)atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_SLICE, memory_order_seq_cst);
}

static uint32_t initial_apic_id(const struct partition *partition, uint32_t index)
{
    return partition->is_root ? acpi_info()->apic_ids[index] : index;
}

static void vp_prepare(struct vp *vp, struct partition *partition, uint32_t index)
{
    vp->partition = partition;
    vp->space = &partition->space;
    vp->is_root = partition->is_root;
    vp->index = index;
    vp->trace_id = (index & 0xffffu) | ((uint32_t)partition->id << 16);
    vp->xcr0 = 1;
    spin_init(&vp->lock, LOCK_RANK_VP, "vp");
    list_node_init(&vp->signal_node);
    timer_init(&vp->slice_timer, slice_ended);
    apic_init(vp, initial_apic_id(partition, index));
    stimer_init(vp);
}

hv_status_t vp_create(struct partition *partition, uint32_t index, struct vp **created)
{
    struct vp *vp = part_page_alloc(partition);
    hv_status_t status;

    _Static_assert(sizeof(struct vp) <= PAGE_SIZE, "a VP is one page");
    if (vp == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    vp_prepare(vp, partition, index);
    vp->fpu_area = part_page_alloc(partition);
    status = vp->fpu_area == NULL ? HV_STATUS_INSUFFICIENT_MEMORY : backend->vp_create(vp);
    if (status == HV_STATUS_SUCCESS) {
        status = synic_init(vp);
    }
    if (status == HV_STATUS_SUCCESS) {
        status = msr_init(vp);
    }
    if (status != HV_STATUS_SUCCESS) {
        vp_destroy(vp);
        return status;
    }
    vp_reset(vp, true);
    backend->vp_put(vp);
    vp->is_created = true;
    *created = vp;
    return HV_STATUS_SUCCESS;
}

void vp_destroy(struct vp *vp)
{
    struct partition *partition = vp->partition;

    timer_cancel(&vp->slice_timer);
    stimer_destroy(vp);
    apic_destroy(vp);
    synic_destroy(vp);
    vp_signal_forget(vp);
    msr_destroy(vp);
    cpuid_destroy(vp);
    vp_state_destroy(vp);
    if (vp->backend != NULL) {
        backend->vp_destroy(vp);
    }
    part_page_free(partition, vp->fpu_area);
    part_page_free(partition, vp);
}

void vp_reset(struct vp *vp, bool power_on)
{
    backend->vp_reset(vp, power_on);
    apic_reset(vp, power_on);
    msr_reset(vp, power_on);
    if (power_on) {
        synic_reset(vp);
        stimer_reset(vp);
        vp_fpu_reset(vp);
        vp->xcr0 = 1;
        for (uint32_t i = 0; i < 4; i++) {
            vp->debug_addresses[i] = 0;
        }
    }
    vp->pending_interruption = 0;
    vp->interrupt_shadow = false;
    vp->nmi_masked = false;
    vp->activity = vp->index == 0 ? VP_ACTIVE : VP_WAIT_FOR_SIPI;
}

bool vp_has_work(struct vp *vp)
{
    uint32_t requests = atomic_load_explicit(&vp->requests, memory_order_seq_cst);

    switch (vp->activity) {
    case VP_ACTIVE:
        return true;
    case VP_WAIT_FOR_SIPI:
        return (requests & VP_REQUEST_SIPI) != 0;
    case VP_HALTED:
    case VP_IDLE:
        if ((requests & (VP_REQUEST_NMI | VP_REQUEST_INIT)) != 0 ||
            (vp->pending_interruption & HV_PENDING_INTERRUPTION_PENDING) != 0) {
            return true;
        }
        if (vp->activity == VP_HALTED && (vp->regs.rflags & X86_RFLAGS_IF) == 0) {
            return false;
        }
        return apic_pending_vector(vp) >= 0;
    }
    return true;
}

static bool is_suspended(const struct vp *vp)
{
    return READ_ONCE(vp->is_explicitly_suspended) || READ_ONCE(vp->is_dispatch_suspended);
}

bool vp_can_run_locked(struct vp *vp)
{
    return !is_suspended(vp) && !vp->is_intercept_suspended && vp_has_work(vp);
}

/* A blocked VP that can run again is told to the root exactly once: true means that the caller sends the signal. */
static bool unblock_locked(struct vp *vp)
{
    if (!vp->is_blocked || atomic_load_explicit(&vp->cpu, memory_order_relaxed) != NULL || !vp_can_run_locked(vp)) {
        return false;
    }
    vp->is_blocked = false;
    (void)atomic_fetch_add_explicit(&vp->root_signal_count, 1, memory_order_relaxed);
    return true;
}

void vp_wake(struct vp *vp, uint32_t requests)
{
    struct cpu *self = cpu_this();
    struct cpu *cpu;
    bool has_signal;

    (void)atomic_fetch_or_explicit(&vp->requests, requests, memory_order_seq_cst);
    spin_lock(&vp->lock);
    cpu = vp->is_claimed ? NULL : atomic_load_explicit(&vp->cpu, memory_order_relaxed);
    has_signal = unblock_locked(vp);
    spin_unlock(&vp->lock);

    if (has_signal) {
        vp_signal_send(vp);
    }
    if (cpu != NULL && cpu != self) {
        cpu_kick(cpu);
    } else if (cpu != NULL && self->current_vp != NULL && self->current_vp != vp) {
        /* The root VP of this processor has work while its child runs here: the child's dispatch returns. */
        struct vp *child = self->current_vp;

        (void)atomic_fetch_or_explicit(&child->requests, VP_REQUEST_SLICE, memory_order_seq_cst);
    }
}

bool vp_claim(struct vp *vp)
{
    bool is_free;

    spin_lock(&vp->lock);
    is_free = atomic_load_explicit(&vp->cpu, memory_order_relaxed) == NULL;
    if (is_free) {
        atomic_store_explicit(&vp->cpu, cpu_this(), memory_order_relaxed);
        vp->is_claimed = true;
    }
    spin_unlock(&vp->lock);
    return is_free;
}

void vp_release(struct vp *vp)
{
    bool has_signal;

    spin_lock(&vp->lock);
    backend->vp_put(vp);
    vp->is_claimed = false;
    atomic_store_explicit(&vp->cpu, NULL, memory_order_release);
    has_signal = unblock_locked(vp);
    spin_unlock(&vp->lock);
    if (has_signal) {
        vp_signal_send(vp);
    }
}

void vp_wait_stopped(struct vp *vp)
{
    struct cpu *cpu = atomic_load_explicit(&vp->cpu, memory_order_seq_cst);

    /* Nobody can wait for himself, and a root VP never stops. */
    ASSERT(cpu != cpu_this() && !vp->is_root);
    if (cpu != NULL) {
        cpu_kick(cpu);
    }
    /* Pairs with the release in vp_dispatch() and vp_release(). Ends in bounded time: exits and claims are bounded. */
    while (atomic_load_explicit(&vp->cpu, memory_order_acquire) != NULL) {
        pause();
    }
}

void vp_set_suspended(struct vp *vp, bool *flag, bool is_set)
{
    bool has_signal = false;

    spin_lock(&vp->lock);
    WRITE_ONCE(*flag, is_set);
    if (!is_set) {
        has_signal = unblock_locked(vp);
    }
    spin_unlock(&vp->lock);
    if (has_signal) {
        vp_signal_send(vp);
    }
    if (is_set) {
        (void)atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_SUSPEND, memory_order_seq_cst);
        vp_wait_stopped(vp);
    }
}

/* Startup IPI: real mode at the vector's page. Ignored by a VP that does not wait for one. */
static void start_at_sipi(struct vp *vp)
{
    union hv_register_value cs = {0};
    hv_status_t status;

    if (vp->activity != VP_WAIT_FOR_SIPI) {
        return;
    }
    cs.segment.base = (uint64_t)vp->sipi_vector << PAGE_SHIFT;
    cs.segment.selector = (uint16_t)((uint32_t)vp->sipi_vector << 8);
    cs.segment.limit = SEGMENT_LIMIT_REAL_MODE;
    cs.segment.attributes = SEGMENT_ATTRIBUTES_REAL_MODE_CODE;
    status = backend->set_register(vp, HvX64RegisterCs, &cs);
    ASSERT(status == HV_STATUS_SUCCESS);
    vp->regs.rip = 0;
    vp->activity = VP_ACTIVE;
}

/* Reasons of the partition's or the root's why this VP must not run now; true: none. */
static bool may_run(struct vp *vp)
{
    if (is_suspended(vp)) {
        return vp_leave(vp, VP_RUN_SUSPENDED);
    }
    if (atomic_load_explicit(&vp->partition->stop_count, memory_order_seq_cst) != 0) {
        return vp_leave(vp, VP_RUN_INTERRUPT);
    }
    if (READ_ONCE(vp->partition->is_failed) && !vp->is_intercept_suspended && !vp->is_root) {
        intercept_unrecoverable(vp);
    }
    if (vp->is_intercept_suspended) {
        return vp_leave(vp, VP_RUN_INTERCEPT);
    }
    return true;
}

/*
 * INIT and SIPI among the requests. A SIPI may follow at any moment: one that is there when the VP has come to wait for
 * it counts, and one that comes later is left to the next look, which is certain, since a waiting VP leaves its run
 * loop with it pending.
 */
static void handle_startup(struct vp *vp, uint32_t requests)
{
    if ((requests & VP_REQUEST_INIT) != 0) {
        trace(TRACE_VP_STATE, vp->trace_id, vp->activity, VP_WAIT_FOR_SIPI);
        vp_reset(vp, false);
        requests |= atomic_fetch_and_explicit(&vp->requests, ~VP_REQUEST_SIPI, memory_order_seq_cst);
    }
    if ((requests & VP_REQUEST_SIPI) != 0) {
        start_at_sipi(vp);
    }
}

bool vp_handle_requests(struct vp *vp)
{
    const uint32_t handled = VP_REQUEST_INIT | VP_REQUEST_SIPI | VP_REQUEST_SUSPEND | VP_REQUEST_INTERCEPTS |
                             VP_REQUEST_SLICE | VP_REQUEST_EOM;
    uint32_t requests = atomic_fetch_and_explicit(&vp->requests, ~handled, memory_order_seq_cst) & handled;

    if ((requests & VP_REQUEST_INTERCEPTS) != 0) {
        backend->intercepts_changed(vp);
    }
    if ((requests & VP_REQUEST_EOM) != 0) {
        synic_retry(vp);
        if (vp->is_root) {
            vp_signal_retry();
        }
    }
    handle_startup(vp, requests);
    if (!may_run(vp)) {
        return false;
    }
    if ((requests & VP_REQUEST_SLICE) != 0 && !vp->is_root) {
        return vp_leave(vp, VP_RUN_INTERRUPT);
    }
    if (vp->activity == VP_WAIT_FOR_SIPI || !vp_has_work(vp)) {
        return vp_leave(vp, VP_RUN_BLOCKED);
    }
    vp->activity = VP_ACTIVE;
    return true;
}

/* Runs a VP that this processor owns, for at most the slice. */
static enum vp_run_status run_slice(struct vp *vp, uint64_t slice_100ns)
{
    uint64_t start_tsc = time_tsc();
    enum vp_run_status status;
    unsigned int depth = rcu_suspend();

    (void)atomic_fetch_and_explicit(&vp->requests, ~VP_REQUEST_SLICE, memory_order_seq_cst);
    if (!vp_handle_requests(vp)) {
        status = vp->run_status;
    } else {
        if (slice_100ns != 0) {
            uint64_t now = time_100ns();
            uint64_t end = slice_100ns > UINT64_MAX - now ? UINT64_MAX : now + slice_100ns;

            timer_arm(&vp->slice_timer, time_100ns_to_tsc(end));
        }
        status = backend->vp_run(vp);
        timer_cancel(&vp->slice_timer);
        vp_save_fpu(vp);
    }
    if (status == VP_RUN_FAILED) {
        partition_fail(vp->partition, "its state cannot be run");
        intercept_unrecoverable(vp);
        status = VP_RUN_INTERCEPT;
    }
    vp->run_time_tsc += time_tsc() - start_tsc;
    rcu_resume(depth);
    return status;
}

/* What a dispatch tells the root. VP lock held. */
static void fill_output_locked(struct vp *vp, enum vp_run_status status, struct hv_output_dispatch_vp *output)
{
    output->dispatch_state = HV_VP_DISPATCH_STATE_READY;
    output->dispatch_event = HV_VP_DISPATCH_EVENT_NONE;
    switch (status) {
    case VP_RUN_INTERRUPT:
        break;
    case VP_RUN_INTERCEPT:
    case VP_RUN_FAILED:
        output->dispatch_event = HV_VP_DISPATCH_EVENT_INTERCEPT;
        break;
    case VP_RUN_BLOCKED:
    case VP_RUN_SUSPENDED:
        /* Work that came after the run loop's last look makes this a plain return: no signal is due. */
        if (!vp_can_run_locked(vp)) {
            vp->is_blocked = true;
            output->dispatch_state = HV_VP_DISPATCH_STATE_BLOCKED;
            output->dispatch_event =
                status == VP_RUN_SUSPENDED ? HV_VP_DISPATCH_EVENT_SUSPEND : HV_VP_DISPATCH_EVENT_NONE;
        }
        break;
    }
}

hv_status_t vp_dispatch(struct vp *vp, uint32_t flags, uint64_t slice_100ns, struct hv_output_dispatch_vp *output)
{
    struct cpu *cpu = cpu_this();
    const struct vp *caller = cpu->root_vp;
    enum vp_run_status status;

    if (vp->is_root || READ_ONCE(vp->partition->state) != PARTITION_ACTIVE) {
        return HV_STATUS_INVALID_PARTITION_STATE;
    }
    spin_lock(&vp->lock);
    if (atomic_load_explicit(&vp->cpu, memory_order_relaxed) != NULL) {
        spin_unlock(&vp->lock);
        return HV_STATUS_INVALID_VP_STATE;
    }
    atomic_store_explicit(&vp->cpu, cpu, memory_order_seq_cst);
    vp->is_blocked = false;
    vp->last_root_vp = caller != NULL ? caller->index : 0;
    if ((flags & HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND) != 0) {
        vp->is_intercept_suspended = false;
    }
    register_page_load(vp);
    spin_unlock(&vp->lock);

    status = run_slice(vp, slice_100ns);

    spin_lock(&vp->lock);
    fill_output_locked(vp, status, output);
    if (output->dispatch_event == HV_VP_DISPATCH_EVENT_INTERCEPT) {
        register_page_store(vp);
    }
    stats_update_vp(vp);
    backend->vp_put(vp);
    /* Last: whoever sees null may take the VP apart. Pairs with the loads in vp_wait_stopped(). */
    atomic_store_explicit(&vp->cpu, NULL, memory_order_release);
    spin_unlock(&vp->lock);
    trace(TRACE_DISPATCH, vp->trace_id, vp->partition->id,
          output->dispatch_state | ((uint64_t)output->dispatch_event << 32));
    return HV_STATUS_SUCCESS;
}

void *vp_page_alloc(struct vp *vp)
{
    return part_page_alloc(vp->partition);
}

void vp_page_free(struct vp *vp, void *page)
{
    part_page_free(vp->partition, page);
}

uint32_t vp_exception_intercepts(struct vp *vp)
{
    return (uint32_t)READ_ONCE(vp->partition->exception_intercepts);
}

uint8_t vp_cpl(struct vp *vp)
{
    struct vp_code_mode mode;

    backend->get_code_mode(vp, &mode);
    return mode.cpl;
}

bool vp_is_long_mode(struct vp *vp)
{
    struct vp_code_mode mode;

    backend->get_code_mode(vp, &mode);
    return mode.bits == 64;
}
