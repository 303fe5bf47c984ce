/* SPDX-License-Identifier: MIT */
#include "hv/partition/vp_signal.h"

#include <stddef.h>

#include "hv/abi/hv_message.h"
#include "hv/lib/list.h"
#include "hv/partition/partition.h"
#include "hv/partition/synic.h"

/*
 * Signals of the root scheduler on their way to the root. A VP stands in the list while its signal is not in a message
 * yet; the lock is held while a message is posted, so that a VP that goes away is either in the list or done with. Not
 * here: when a signal is due (vp.c).
 */

/* Above the locks under which a VP is woken, below the VP and SynIC locks that posting takes. */
#define LOCK_RANK_SIGNAL (LOCK_RANK_GPA_SPACE + 5)
#define SIGNAL_SINT      0u

static struct spinlock signal_lock = SPINLOCK_INIT(LOCK_RANK_SIGNAL, "vp signals");
static struct list waiting = LIST_INITIALISER(waiting); /* [signal_lock] of struct vp.signal_node */

void vp_signal_init(void)
{
    list_init(&waiting);
}

static bool post_to(const struct vp *vp, uint32_t root_index)
{
    struct hv_vp_signal_pair_scheduler_message pair = {.vp_count = 1};
    struct vp *target = root_partition->vps[root_index];

    pair.partition_ids[0] = vp->partition->id;
    pair.vp_indexes[0] = vp->index;
    if (synic_post_hypervisor_message(target, SIGNAL_SINT, HvMessageTypeSchedulerVpSignalPair, HV_PARTITION_ID_ROOT,
                                      &pair, sizeof(pair)) == HV_STATUS_SUCCESS) {
        return true;
    }
    /* No room there: that VP tries again when it has freed a slot. */
    (void)atomic_fetch_or_explicit(&target->requests, VP_REQUEST_EOM, memory_order_seq_cst);
    return false;
}

/* Posts one VP's signal to the root VP that dispatched it last, or if that one does not listen to VP 0. */
static bool post_locked(const struct vp *vp)
{
    return post_to(vp, vp->last_root_vp) || (vp->last_root_vp != 0 && post_to(vp, 0));
}

static void send_waiting_locked(void)
{
    struct list_node *node;

    while ((node = list_first(&waiting)) != NULL) {
        if (!post_locked(CONTAINER_OF(node, struct vp, signal_node))) {
            return;
        }
        list_remove(node);
    }
}

void vp_signal_send(struct vp *vp)
{
    spin_lock(&signal_lock);
    if (!list_node_is_linked(&vp->signal_node)) {
        list_add_tail(&waiting, &vp->signal_node);
    }
    send_waiting_locked();
    spin_unlock(&signal_lock);
}

void vp_signal_forget(struct vp *vp)
{
    spin_lock(&signal_lock);
    if (list_node_is_linked(&vp->signal_node)) {
        list_remove(&vp->signal_node);
    }
    spin_unlock(&signal_lock);
}

void vp_signal_retry(void)
{
    spin_lock(&signal_lock);
    send_waiting_locked();
    spin_unlock(&signal_lock);
}
