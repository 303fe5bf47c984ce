/* SPDX-License-Identifier: MIT */
/*
 * Interrupt messages between virtual APICs: who a destination names, and what each delivery mode does to a target.
 * Every loop is over the VPs of one partition.
 */
#include "hv/partition/apic_deliver.h"

#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/apic.h"
#include "hv/partition/partition.h"
#include "hv/partition/vp.h"

#define VECTOR_FIRST     16u
#define VECTOR_LAST      255u
#define XAPIC_BROADCAST  0xffu
#define X2APIC_BROADCAST 0xffffffffu
#define EXTINT_PENDING   0x100u
#define DFR_FLAT         0xfu

static struct vp *vp_at(const struct partition *partition, uint32_t index)
{
    return READ_ONCE(partition->vps[index]);
}

static bool matches_xapic(const struct apic *apic, bool is_logical, uint64_t destination)
{
    uint32_t model = atomic_load_explicit(&apic->dfr, memory_order_relaxed) >> 28;
    uint32_t logical_id = atomic_load_explicit(&apic->ldr, memory_order_relaxed) >> 24;

    if (destination == XAPIC_BROADCAST || destination == X2APIC_BROADCAST) {
        return true;
    }
    if (destination > XAPIC_BROADCAST) {
        return false;
    }
    if (!is_logical) {
        return destination == (apic->id & 0xffu);
    }
    if (model == DFR_FLAT) {
        return (destination & logical_id) != 0;
    }
    /* Cluster model: cluster in 7:4 (15 names all), members in 3:0. */
    return ((destination >> 4) == (logical_id >> 4) || (destination >> 4) == 0xf) &&
           (destination & logical_id & 0xf) != 0;
}

static bool matches_x2apic(const struct apic *apic, bool is_logical, uint64_t destination)
{
    uint32_t logical_id = atomic_load_explicit(&apic->ldr, memory_order_relaxed);

    if (destination == X2APIC_BROADCAST) {
        return true;
    }
    if (!is_logical) {
        return destination == apic->id;
    }
    return destination >> 16 == logical_id >> 16 && (destination & logical_id & 0xffff) != 0;
}

bool apic_matches(const struct vp *target, bool is_logical, uint64_t destination)
{
    uint64_t base = atomic_load_explicit(&target->apic.base, memory_order_relaxed);

    if (base & X86_APIC_BASE_X2APIC) {
        return matches_x2apic(&target->apic, is_logical, destination);
    }
    return matches_xapic(&target->apic, is_logical, destination);
}

/* Performs one delivery at one target. */
static void deliver_one(struct vp *target, uint32_t type, uint8_t vector, bool is_level)
{
    switch (type) {
    case HvX64InterruptTypeFixed:
    case HvX64InterruptTypeLowestPriority:
        (void)apic_set_irr(target, vector, is_level);
        break;
    case HvX64InterruptTypeNmi:
        vp_wake(target, VP_REQUEST_NMI);
        break;
    case HvX64InterruptTypeInit:
        vp_wake(target, VP_REQUEST_INIT);
        break;
    case HvX64InterruptTypeSipi:
        spin_lock(&target->lock);
        target->sipi_vector = vector;
        spin_unlock(&target->lock);
        vp_wake(target, VP_REQUEST_SIPI);
        break;
    case HvX64InterruptTypeExtInt:
        atomic_store_explicit(&target->apic.extint, EXTINT_PENDING | vector, memory_order_release);
        vp_wake(target, VP_REQUEST_INTERRUPT);
        break;
    default:
        break;
    }
}

struct vp *apic_find_vp(struct partition *partition, uint32_t apic_id)
{
    struct vp *vp;

    /* Ids of children are VP indexes, and those of most machines are in order too. */
    if (apic_id < PARTITION_VP_MAX) {
        vp = vp_at(partition, apic_id);
        if (vp != NULL && vp->apic.id == apic_id) {
            return vp;
        }
    }
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        vp = vp_at(partition, i);
        if (vp != NULL && vp->apic.id == apic_id) {
            return vp;
        }
    }
    return NULL;
}

/* True when a physical destination names at most one VP whatever its mode, and then that VP. */
static bool find_unicast(struct partition *partition, bool is_logical, uint64_t destination, struct vp **target)
{
    if (is_logical || destination >= XAPIC_BROADCAST) {
        return false;
    }
    *target = apic_find_vp(partition, (uint32_t)destination);
    return *target != NULL && apic_matches(*target, false, destination);
}

/*
 * Lowest-priority delivery goes to one of the targets; which one is the chipset's choice. It is chosen by vector, so
 * that one device's interrupts stay on one VP and different devices spread.
 */
static void deliver_lowest(struct partition *partition, bool is_logical, uint64_t destination, uint8_t vector,
                           bool is_level)
{
    uint32_t count = 0;
    uint32_t chosen;

    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = vp_at(partition, i);

        count += vp != NULL && apic_matches(vp, is_logical, destination);
    }
    if (count == 0) {
        return;
    }
    chosen = vector % count;
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = vp_at(partition, i);

        if (vp != NULL && apic_matches(vp, is_logical, destination) && chosen-- == 0) {
            deliver_one(vp, HvX64InterruptTypeFixed, vector, is_level);
            return;
        }
    }
}

static void deliver(struct partition *partition, uint32_t type, bool is_logical, uint64_t destination, uint8_t vector,
                    bool is_level)
{
    struct vp *target;

    if (find_unicast(partition, is_logical, destination, &target)) {
        deliver_one(target, type, vector, is_level);
        return;
    }
    if (type == HvX64InterruptTypeLowestPriority) {
        deliver_lowest(partition, is_logical, destination, vector, is_level);
        return;
    }
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        target = vp_at(partition, i);
        if (target != NULL && apic_matches(target, is_logical, destination)) {
            deliver_one(target, type, vector, is_level);
        }
    }
}

hv_status_t apic_deliver(struct partition *partition, uint32_t type, bool is_logical, uint64_t destination,
                         uint32_t vector, bool is_level)
{
    switch (type) {
    case HvX64InterruptTypeFixed:
    case HvX64InterruptTypeLowestPriority:
        if (vector < VECTOR_FIRST || vector > VECTOR_LAST) {
            return HV_STATUS_INVALID_PARAMETER;
        }
        break;
    case HvX64InterruptTypeSipi:
    case HvX64InterruptTypeExtInt:
        if (vector > VECTOR_LAST) {
            return HV_STATUS_INVALID_PARAMETER;
        }
        break;
    case HvX64InterruptTypeNmi:
    case HvX64InterruptTypeInit:
        break;
    default:
        return HV_STATUS_INVALID_PARAMETER; /* no SMM, no remote read, no LINT pins in a partition */
    }
    deliver(partition, type, is_logical, destination, (uint8_t)vector, is_level);
    return HV_STATUS_SUCCESS;
}

/* ICR delivery modes that are sent on, as interrupt types; the encodings agree. */
static bool is_sendable(uint32_t mode)
{
    return mode == HvX64InterruptTypeFixed || mode == HvX64InterruptTypeLowestPriority ||
           mode == HvX64InterruptTypeNmi || mode == HvX64InterruptTypeInit || mode == HvX64InterruptTypeSipi;
}

void apic_send_ipi(struct vp *sender, uint32_t icr_low, uint32_t destination)
{
    uint32_t mode = (icr_low >> APIC_ICR_MODE_SHIFT) & APIC_ICR_MODE_MASK;
    uint32_t shorthand = icr_low & APIC_ICR_SHORTHAND_MASK;
    uint8_t vector = (uint8_t)(icr_low & APIC_ICR_VECTOR_MASK);

    /* INIT level de-assert synchronises arbitration ids on old processors and does nothing since. */
    if (!is_sendable(mode) ||
        (mode == HvX64InterruptTypeInit && (icr_low & (APIC_ICR_LEVEL | APIC_ICR_ASSERT)) == APIC_ICR_LEVEL)) {
        return;
    }
    if ((mode == HvX64InterruptTypeFixed || mode == HvX64InterruptTypeLowestPriority) && vector < VECTOR_FIRST) {
        apic_raise_error(sender, APIC_ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    if (shorthand == 0) {
        deliver(sender->partition, mode, (icr_low & APIC_ICR_LOGICAL) != 0, destination, vector, false);
        return;
    }
    if (shorthand == APIC_ICR_SHORTHAND_SELF) {
        if (mode == HvX64InterruptTypeFixed) { /* SDM: other modes to oneself are invalid */
            deliver_one(sender, mode, vector, false);
        }
        return;
    }
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *target = vp_at(sender->partition, i);

        if (target != NULL &&
            (target != sender || (shorthand == APIC_ICR_SHORTHAND_ALL && mode == HvX64InterruptTypeFixed))) {
            deliver_one(target, mode, vector, false);
        }
    }
}

void apic_clear_extint(struct partition *partition)
{
    for (uint32_t i = 0; i < PARTITION_VP_MAX; i++) {
        struct vp *vp = vp_at(partition, i);

        if (vp != NULL) {
            atomic_store_explicit(&vp->apic.extint, 0, memory_order_relaxed);
        }
    }
}
