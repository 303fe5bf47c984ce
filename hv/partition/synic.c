/* SPDX-License-Identifier: MIT */
/*
 * The synthetic interrupt controller: its MSRs, message slots with their queues, event flags, event rings. Who may send
 * is decided by ports and connections; timers compose their messages themselves (stimer.c). The shared pages are
 * written with single accesses and never trusted: the guest may change them at any moment. TLFS, Inter-Partition
 * Communication: SynIC; SynIC Message Page; SynIC Event Flags Page.
 */
#include "hv/partition/synic.h"

#include "hv/abi/hv_msr.h"
#include "hv/debug/trace.h"
#include "hv/lib/bitmap.h"
#include "hv/lib/str.h"
#include "hv/partition/apic.h"
#include "hv/partition/deposit.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/partition.h"
#include "hv/partition/stimer.h"
#include "hv/partition/vp.h"

#define NO_VECTOR (-1)

/*
 * At reset SCONTROL enables: some guests never set it, and one that does sees no difference.
 */
#define SCONTROL_RESET HV_SCONTROL_ENABLE

static struct hv_message *slot_of(struct synic *synic, uint32_t sint)
{
    struct hv_message_page *page = (struct hv_message_page *)(void *)synic->message_page.page;

    return &page->sint_message[sint];
}

static struct hv_synic_event_ring *ring_of(struct synic *synic, uint32_t sint)
{
    struct hv_synic_event_ring_page *page = (struct hv_synic_event_ring_page *)(void *)synic->ring_page.page;

    return &page->sint_event_ring[sint];
}

static bool has_messages_enabled(const struct synic *synic)
{
    return (synic->scontrol & HV_SCONTROL_ENABLE) && (synic->simp & HV_X64_MSR_PAGE_ENABLE);
}

/* Vector that a SINT's interrupt request has now, or NO_VECTOR when it makes none. */
static int request_vector(const struct synic *synic, uint32_t sint)
{
    uint64_t value = synic->sints[sint];

    return value & (HV_SINT_MASKED | HV_SINT_POLLING) ? NO_VECTOR : (int)(value & HV_SINT_VECTOR_MASK);
}

/* Recomputes the per-vector bits that EOI and acceptance look at. */
static void update_vectors(struct synic *synic)
{
    memset(synic->auto_eoi, 0, sizeof(synic->auto_eoi));
    memset(synic->vectors, 0, sizeof(synic->vectors));
    for (uint32_t sint = 0; sint < HV_SYNIC_SINT_COUNT; sint++) {
        uint8_t vector = (uint8_t)(synic->sints[sint] & HV_SINT_VECTOR_MASK);

        if (synic->sints[sint] & HV_SINT_MASKED) {
            continue;
        }
        bitmap_set(synic->vectors, vector);
        if (synic->sints[sint] & HV_SINT_AUTO_EOI) {
            bitmap_set(synic->auto_eoi, vector);
        }
    }
}

static struct synic_buffer *buffer_of(struct list_node *node)
{
    return CONTAINER_OF(node, struct synic_buffer, node);
}

/* Gives a queued buffer back to its pool. SynIC lock of its VP held. */
static void buffer_release(struct synic *synic, struct synic_buffer *buffer)
{
    uint32_t sint = buffer->sint;

    list_remove(&buffer->node);
    if (list_is_empty(&synic->queues[sint])) {
        synic->waiting &= (uint16_t) ~(1u << sint);
    }
    /* Release: the pool's owner claims it (buffer_claim) only after we are done with it. */
    atomic_store_explicit(&buffer->vp, NULL, memory_order_release);
}

/* Finds a free buffer and marks it as the VP's; null: all are in use. The pool's claims are serialised by its owner's
 * lock. */
static struct synic_buffer *buffer_claim(struct synic_pool *pool, struct vp *vp)
{
    for (uint32_t i = 0; i < SYNIC_POOL_BUFFERS; i++) {
        struct synic_buffer *buffer = &pool->buffers[i];

        if (atomic_load_explicit(&buffer->vp, memory_order_acquire) == NULL) {
            atomic_store_explicit(&buffer->vp, vp, memory_order_relaxed);
            return buffer;
        }
    }
    return NULL;
}

void synic_pool_drain(struct synic_pool *pool)
{
    for (uint32_t i = 0; i < SYNIC_POOL_BUFFERS; i++) {
        struct synic_buffer *buffer = &pool->buffers[i];
        struct vp *vp = atomic_load_explicit(&buffer->vp, memory_order_acquire);

        if (vp == NULL) {
            continue;
        }
        spin_lock(&vp->synic.lock);
        if (atomic_load_explicit(&buffer->vp, memory_order_relaxed) == vp) {
            buffer_release(&vp->synic, buffer);
        }
        spin_unlock(&vp->synic.lock);
    }
}

/*
 * Is the slot free? If not, the guest is told that more is waiting; it may have freed the slot just before it could see
 * that, hence the second look.
 */
static bool slot_take(struct hv_message *slot)
{
    if (__atomic_load_n(&slot->header.message_type, __ATOMIC_ACQUIRE) == HvMessageTypeNone) {
        return true;
    }
    __atomic_fetch_or(&slot->header.message_flags, HV_MESSAGE_FLAG_PENDING, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&slot->header.message_type, __ATOMIC_SEQ_CST) == HvMessageTypeNone;
}

/* Writes a message into a free slot, its type last: from then on it is the guest's. */
static void slot_write(struct hv_message *slot, const struct hv_message *message, bool more_waiting)
{
    uint32_t qwords = (message->header.payload_size_bytes + 7u) / 8u;

    for (uint32_t i = 0; i < qwords; i++) {
        WRITE_ONCE(slot->payload[i], message->payload[i]);
    }
    WRITE_ONCE(slot->header.payload_size_bytes, message->header.payload_size_bytes);
    WRITE_ONCE(slot->header.rsvd, 0);
    WRITE_ONCE(slot->header.sender, message->header.sender);
    WRITE_ONCE(slot->header.message_flags, more_waiting ? HV_MESSAGE_FLAG_PENDING : 0);
    __atomic_store_n(&slot->header.message_type, message->header.message_type, __ATOMIC_RELEASE);
}

/* Something more waits for this SINT behind what is being delivered. */
static bool has_waiting(const struct vp *vp, uint32_t sint)
{
    return (vp->synic.waiting & (1u << sint)) != 0 || stimer_waiting(vp, sint) != 0;
}

int synic_deliver_locked(struct vp *vp, uint32_t sint)
{
    struct synic *synic = &vp->synic;
    struct hv_message *slot = slot_of(synic, sint);
    struct hv_message timer_message;

    if (!has_messages_enabled(synic) || !has_waiting(vp, sint) || !slot_take(slot)) {
        return NO_VECTOR;
    }
    if (synic->waiting & (1u << sint)) {
        struct synic_buffer *buffer = buffer_of(list_first(&synic->queues[sint]));
        struct hv_message message = buffer->message;

        buffer_release(synic, buffer);
        slot_write(slot, &message, has_waiting(vp, sint));
        trace(TRACE_MESSAGE, vp->trace_id, message.header.message_type, sint);
    } else if (stimer_take_message(vp, sint, &timer_message)) {
        slot_write(slot, &timer_message, has_waiting(vp, sint));
        trace(TRACE_MESSAGE, vp->trace_id, timer_message.header.message_type, sint);
    } else {
        return NO_VECTOR;
    }
    return request_vector(synic, sint);
}

/* Makes a SINT's interrupt pending; true if the VP has to be woken for it. SynIC lock may be held. */
static bool raise_vector(struct vp *vp, int vector)
{
    return vector != NO_VECTOR && apic_set_irr_no_wake(vp, (uint8_t)vector, false);
}

/* Tries all SINTs. Returns true when an interrupt became pending. */
static bool deliver_all(struct vp *vp)
{
    bool is_raised = false;

    spin_lock(&vp->synic.lock);
    for (uint32_t sint = 0; sint < HV_SYNIC_SINT_COUNT; sint++) {
        is_raised |= raise_vector(vp, synic_deliver_locked(vp, sint));
    }
    spin_unlock(&vp->synic.lock);
    return is_raised;
}

/* The VP itself looks at its APIC before its next entry; only the request bit is needed. */
static void request_self(struct vp *vp)
{
    atomic_fetch_or_explicit(&vp->requests, VP_REQUEST_INTERRUPT, memory_order_release);
}

void synic_eom(struct vp *vp)
{
    if (deliver_all(vp)) {
        request_self(vp);
    }
}

void synic_retry(struct vp *vp)
{
    if (deliver_all(vp)) {
        vp_wake(vp, VP_REQUEST_INTERRUPT);
    }
}

void synic_eoi(struct vp *vp, uint8_t vector)
{
    if (bitmap_test(vp->synic.vectors, vector)) {
        synic_eom(vp);
    }
}

bool synic_is_auto_eoi(const struct vp *vp, uint8_t vector)
{
    return bitmap_test(vp->synic.auto_eoi, vector);
}

bool synic_has_auto_eoi(const struct vp *vp)
{
    const uint64_t *words = vp->synic.auto_eoi;

    return (words[0] | words[1] | words[2] | words[3]) != 0;
}

/* Queues a message in a buffer of the pool and delivers what can be delivered. */
static hv_status_t post(struct vp *target, uint32_t sint, const struct hv_message *message, struct synic_pool *pool)
{
    struct synic *synic = &target->synic;
    struct synic_buffer *buffer;
    bool is_raised;

    if (sint >= HV_SYNIC_SINT_COUNT || message->header.payload_size_bytes > HV_MESSAGE_PAYLOAD_BYTE_COUNT) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    spin_lock(&synic->lock);
    if (!has_messages_enabled(synic)) {
        spin_unlock(&synic->lock);
        return HV_STATUS_INVALID_SYNIC_STATE;
    }
    buffer = buffer_claim(pool, target);
    if (buffer == NULL) {
        spin_unlock(&synic->lock);
        return HV_STATUS_INSUFFICIENT_BUFFERS;
    }
    buffer->message = *message;
    buffer->sint = sint;
    list_add_tail(&synic->queues[sint], &buffer->node);
    synic->waiting |= (uint16_t)(1u << sint);
    is_raised = raise_vector(target, synic_deliver_locked(target, sint));
    spin_unlock(&synic->lock);
    if (is_raised) {
        vp_wake(target, VP_REQUEST_INTERRUPT);
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t synic_post_message(struct vp *target, uint32_t sint, const struct hv_message *message)
{
    return post(target, sint, message, target->synic.pool);
}

hv_status_t synic_post_from_pool(struct vp *target, uint32_t sint, const struct hv_message *message,
                                 struct synic_pool *pool)
{
    return post(target, sint, message, pool);
}

/*
 * Appends the pairs of a scheduler signal to one that still waits in the queue; false: there is none with room. Like
 * any new message it is a reason to look at the slot again.
 */
static bool merge_signal_pairs(struct vp *target, uint32_t sint,
                               const struct hv_vp_signal_pair_scheduler_message *added)
{
    struct synic *synic = &target->synic;
    struct hv_vp_signal_pair_scheduler_message *waiting;
    struct list_node *node;
    bool is_merged = false;
    bool is_raised = false;

    spin_lock(&synic->lock);
    node = list_last(&synic->queues[sint]);
    if (node != NULL && buffer_of(node)->message.header.message_type == HvMessageTypeSchedulerVpSignalPair) {
        waiting = (struct hv_vp_signal_pair_scheduler_message *)(void *)buffer_of(node)->message.payload;
        if (waiting->vp_count + added->vp_count <= (int)HV_MESSAGE_MAX_PARTITION_VP_PAIR_COUNT) {
            for (uint32_t i = 0; i < added->vp_count; i++) {
                waiting->partition_ids[waiting->vp_count] = added->partition_ids[i];
                waiting->vp_indexes[waiting->vp_count] = added->vp_indexes[i];
                waiting->vp_count++;
            }
            is_merged = true;
            is_raised = raise_vector(target, synic_deliver_locked(target, sint));
        }
    }
    spin_unlock(&synic->lock);
    if (is_raised) {
        vp_wake(target, VP_REQUEST_INTERRUPT);
    }
    return is_merged;
}

hv_status_t synic_post_hypervisor_message(struct vp *target, uint32_t sint, uint32_t type, uint64_t sender,
                                          const void *payload, uint8_t size)
{
    struct hv_message message = {
        .header = {.message_type = type, .payload_size_bytes = size, .sender = sender},
    };

    if (sint >= HV_SYNIC_SINT_COUNT || size > HV_MESSAGE_PAYLOAD_BYTE_COUNT) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    memcpy(message.payload, payload, size);
    if (type == HvMessageTypeSchedulerVpSignalPair && size == sizeof(struct hv_vp_signal_pair_scheduler_message) &&
        merge_signal_pairs(target, sint, (const void *)message.payload)) {
        return HV_STATUS_SUCCESS;
    }
    return post(target, sint, &message, target->synic.pool);
}

hv_status_t synic_signal_event(struct vp *target, uint32_t sint, uint32_t flag, bool *newly_set)
{
    struct synic *synic = &target->synic;
    struct hv_synic_event_flags_page *page;
    bool was_set;
    bool is_raised = false;

    if (newly_set != NULL) {
        *newly_set = false;
    }
    if (sint >= HV_SYNIC_SINT_COUNT || flag >= HV_EVENT_FLAGS_COUNT) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    spin_lock(&synic->lock);
    if (!(synic->scontrol & HV_SCONTROL_ENABLE) || !(synic->siefp & HV_X64_MSR_PAGE_ENABLE) ||
        (synic->sints[sint] & HV_SINT_MASKED)) {
        spin_unlock(&synic->lock);
        return HV_STATUS_INVALID_SYNIC_STATE;
    }
    page = (struct hv_synic_event_flags_page *)(void *)synic->event_page.page;
    was_set = bitmap_atomic_test_and_set(page->sint_event_flags[sint].flags, flag);
    if (!was_set) {
        is_raised = raise_vector(target, request_vector(synic, sint));
    }
    spin_unlock(&synic->lock);
    trace(TRACE_EVENT, target->trace_id, flag, sint);
    if (newly_set != NULL) {
        *newly_set = !was_set;
    }
    if (is_raised) {
        vp_wake(target, VP_REQUEST_INTERRUPT);
    }
    return HV_STATUS_SUCCESS;
}

/* Lets the guest know that an event ring has entries: a message to the interception SINT, or the SINT's own interrupt.
 */
static void ring_notify(struct vp *target, uint32_t sint, struct hv_synic_event_ring *ring, uint64_t sint_value)
{
    struct hv_notification_message_payload payload = {.sint_index = sint};

    if (__atomic_exchange_n(&ring->signal_masked, 1, __ATOMIC_SEQ_CST) != 0) {
        return;
    }
    if (!(sint_value & HV_SINT_AS_INTERCEPT)) {
        if (!(sint_value & (HV_SINT_MASKED | HV_SINT_POLLING))) {
            (void)apic_set_irr(target, (uint8_t)(sint_value & HV_SINT_VECTOR_MASK), false);
        }
    } else if (synic_post_hypervisor_message(target, HV_SYNIC_SINT_INTERCEPTION, HvMessageTypeSynicSintIntercept,
                                             target->partition->id, &payload, sizeof(payload)) != HV_STATUS_SUCCESS) {
        /* Not told: the next entry tries again. */
        __atomic_store_n(&ring->signal_masked, 0, __ATOMIC_SEQ_CST);
    }
}

enum synic_ring_result synic_ring_put(struct vp *target, uint32_t sint, uint32_t port_id)
{
    struct synic *synic = &target->synic;
    struct hv_synic_event_ring *ring;
    uint64_t sint_value;
    bool is_full;

    spin_lock(&synic->lock);
    if (synic->ring_page.page == NULL || !(synic->scontrol & HV_SCONTROL_ENABLE) ||
        !(synic->sirbp & HV_X64_MSR_PAGE_ENABLE)) {
        spin_unlock(&synic->lock);
        return SYNIC_RING_DISABLED;
    }
    ring = ring_of(synic, sint);
    sint_value = synic->sints[sint];
    is_full = __atomic_load_n(&ring->data[synic->ring_heads[sint]], __ATOMIC_ACQUIRE) != 0;
    if (is_full) {
        __atomic_store_n(&ring->ring_full, 1, __ATOMIC_SEQ_CST);
        /* The consumer may have emptied the ring before it could see that. */
        is_full = __atomic_load_n(&ring->data[synic->ring_heads[sint]], __ATOMIC_SEQ_CST) != 0;
    }
    if (!is_full) {
        __atomic_store_n(&ring->data[synic->ring_heads[sint]], port_id, __ATOMIC_SEQ_CST);
        synic->ring_heads[sint] = (uint8_t)((synic->ring_heads[sint] + 1u) % HV_SYNIC_EVENT_RING_MESSAGE_COUNT);
    }
    spin_unlock(&synic->lock);
    ring_notify(target, sint, ring, sint_value);
    return is_full ? SYNIC_RING_FULL : SYNIC_RING_DONE;
}

bool synic_msr_read(struct vp *vp, uint32_t msr, uint64_t *value)
{
    const struct synic *synic = &vp->synic;

    if (msr >= HV_X64_MSR_SINT0 && msr <= HV_X64_MSR_SINT15) {
        *value = synic->sints[msr - HV_X64_MSR_SINT0];
        return true;
    }
    switch (msr) {
    case HV_X64_MSR_SCONTROL:
        *value = synic->scontrol;
        return true;
    case HV_X64_MSR_SVERSION:
        *value = HV_SYNIC_VERSION;
        return true;
    case HV_X64_MSR_SIEFP:
        *value = synic->siefp;
        return true;
    case HV_X64_MSR_SIMP:
        *value = synic->simp;
        return true;
    case HV_X64_MSR_SIRBP:
        *value = synic->sirbp;
        return vp->is_root;
    case HV_X64_MSR_EOM:
        *value = 0; /* write-only in the specification, but guests read it */
        return true;
    default:
        return false;
    }
}

/* TLFS, SINT Registers: an unmasked SINT needs a vector that the APIC can deliver, unless it is only polled. */
static bool write_sint(struct vp *vp, uint32_t sint, uint64_t value)
{
    struct synic *synic = &vp->synic;

    if ((value & HV_SINT_VECTOR_MASK) < HV_SINT_MIN_VECTOR && !(value & (HV_SINT_MASKED | HV_SINT_POLLING))) {
        return false;
    }
    if (synic_write_masked(synic, sint, value)) {
        return true;
    }
    spin_lock(&synic->lock);
    WRITE_ONCE(synic->sints[sint], value);
    update_vectors(synic);
    spin_unlock(&synic->lock);
    return true;
}

/*
 * SIMP, SIEFP, SIRBP: a page beyond the GPA space is accepted and simply out of the guest's reach. In the root the page
 * number is the hypervisor's and only the rest is kept.
 */
static void write_page(struct vp *vp, uint64_t *msr, struct overlay *overlay, uint64_t value)
{
    if (vp->is_root) {
        value = (value & ~HV_X64_MSR_PAGE_GPFN_MASK) | hv_msr_page_value(overlay_root_page(overlay), 0);
    } else if (value & HV_X64_MSR_PAGE_ENABLE) {
        if (!overlay_place(vp->partition, overlay, hv_msr_page_gpfn(value))) {
            overlay_remove(vp->partition, overlay);
        }
    } else {
        overlay_remove(vp->partition, overlay);
    }
    spin_lock(&vp->synic.lock);
    *msr = value;
    spin_unlock(&vp->synic.lock);
}

bool synic_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
    struct synic *synic = &vp->synic;

    if (msr >= HV_X64_MSR_SINT0 && msr <= HV_X64_MSR_SINT15) {
        return write_sint(vp, msr - HV_X64_MSR_SINT0, value);
    }
    switch (msr) {
    case HV_X64_MSR_SCONTROL:
        spin_lock(&synic->lock);
        synic->scontrol = value;
        spin_unlock(&synic->lock);
        break;
    case HV_X64_MSR_SIEFP:
        write_page(vp, &synic->siefp, &synic->event_page, value);
        break;
    case HV_X64_MSR_SIMP:
        write_page(vp, &synic->simp, &synic->message_page, value);
        break;
    case HV_X64_MSR_SIRBP:
        if (!vp->is_root) {
            return false;
        }
        write_page(vp, &synic->sirbp, &synic->ring_page, value);
        break;
    case HV_X64_MSR_EOM:
        break;
    default:
        return false; /* SVERSION among them */
    }
    /* EOM, or what waited for one of the enables. */
    synic_eom(vp);
    return true;
}

/* Empties all queues. SynIC lock held, or the VP is going away. */
static void drop_messages(struct synic *synic)
{
    for (uint32_t sint = 0; sint < HV_SYNIC_SINT_COUNT; sint++) {
        while (!list_is_empty(&synic->queues[sint])) {
            buffer_release(synic, buffer_of(list_first(&synic->queues[sint])));
        }
    }
}

static uint64_t page_reset_value(const struct vp *vp, const struct overlay *overlay)
{
    return vp->is_root && overlay->page != NULL ? hv_msr_page_value(overlay_root_page(overlay), 0) : 0;
}

void synic_reset(struct vp *vp)
{
    struct synic *synic = &vp->synic;

    overlay_remove(vp->partition, &synic->message_page);
    overlay_remove(vp->partition, &synic->event_page);
    if (vp->is_root) {
        overlay_remove(vp->partition, &synic->ring_page);
        memset(synic->ring_page.page, 0, PAGE_SIZE);
    }
    spin_lock(&synic->lock);
    drop_messages(synic);
    memset(synic->message_page.page, 0, PAGE_SIZE);
    memset(synic->event_page.page, 0, PAGE_SIZE);
    memset(synic->ring_heads, 0, sizeof(synic->ring_heads));
    synic->scontrol = SCONTROL_RESET;
    synic->simp = page_reset_value(vp, &synic->message_page);
    synic->siefp = page_reset_value(vp, &synic->event_page);
    synic->sirbp = page_reset_value(vp, &synic->ring_page);
    for (uint32_t sint = 0; sint < HV_SYNIC_SINT_COUNT; sint++) {
        synic->sints[sint] = HV_SINT_RESET_VALUE;
    }
    update_vectors(synic);
    spin_unlock(&synic->lock);
}

hv_status_t synic_init(struct vp *vp)
{
    struct synic *synic = &vp->synic;
    hv_status_t status;

    for (uint32_t sint = 0; sint < HV_SYNIC_SINT_COUNT; sint++) {
        list_init(&synic->queues[sint]);
    }
    synic->pool = part_page_alloc(vp->partition);
    if (synic->pool == NULL) {
        return HV_STATUS_INSUFFICIENT_MEMORY;
    }
    status = overlay_create(vp->partition, &synic->message_page, GPA_READ | GPA_WRITE);
    if (status == HV_STATUS_SUCCESS) {
        status = overlay_create(vp->partition, &synic->event_page, GPA_READ | GPA_WRITE);
    }
    if (status == HV_STATUS_SUCCESS && vp->is_root) {
        status = overlay_create(vp->partition, &synic->ring_page, GPA_READ | GPA_WRITE);
    }
    if (status == HV_STATUS_SUCCESS) {
        synic_reset(vp);
    }
    return status;
}

void synic_destroy(struct vp *vp)
{
    struct synic *synic = &vp->synic;

    if (synic->queues[0].head.next != NULL) { /* synic_init() has begun */
        spin_lock(&synic->lock);
        drop_messages(synic);
        synic->scontrol = 0; /* nobody posts any more */
        spin_unlock(&synic->lock);
    }
    overlay_destroy(vp->partition, &synic->ring_page);
    overlay_destroy(vp->partition, &synic->event_page);
    overlay_destroy(vp->partition, &synic->message_page);
    part_page_free(vp->partition, synic->pool);
    synic->pool = NULL;
}
