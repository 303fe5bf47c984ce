/* SPDX-License-Identifier: MIT */
#include "hv/hypercall/hc.h"

#include "hv/lib/bitmap.h"
#include "hv/partition/vp.h"

/* What the handlers share: finding partitions and VPs, taking VPs, VP sets. Not here: any call. */

hv_status_t hc_find(struct hypercall_context *call, uint64_t partition_id, struct hc_target *target)
{
    target->vp = NULL;
    target->partition = partition_find(call->caller, partition_id);
    return target->partition != NULL ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARTITION_ID;
}

hv_status_t hc_find_active(struct hypercall_context *call, uint64_t partition_id, struct hc_target *target)
{
    hv_status_t status = hc_find(call, partition_id, target);
    enum partition_state state;

    if (status != HV_STATUS_SUCCESS || target->partition->is_root) {
        return status;
    }
    spin_lock(&target->partition->lock);
    state = target->partition->state;
    spin_unlock(&target->partition->lock);
    if (state != PARTITION_ACTIVE) {
        hc_put(target);
        return HV_STATUS_INVALID_PARTITION_STATE;
    }
    return HV_STATUS_SUCCESS;
}

hv_status_t hc_find_active_child(struct hypercall_context *call, uint64_t partition_id, struct hc_target *target)
{
    hv_status_t status = hc_find_active(call, partition_id, target);

    if (status == HV_STATUS_SUCCESS && target->partition->is_root) {
        hc_put(target);
        return HV_STATUS_ACCESS_DENIED;
    }
    return status;
}

hv_status_t hc_find_vp(struct hypercall_context *call, uint64_t partition_id, uint32_t vp_index,
                       struct hc_target *target)
{
    hv_status_t status = hc_find(call, partition_id, target);

    if (status != HV_STATUS_SUCCESS) {
        return status;
    }
    target->vp = partition_vp(target->partition, vp_index, target->partition == call->caller ? call->vp : NULL);
    if (target->vp == NULL) {
        hc_put(target);
        return HV_STATUS_INVALID_VP_INDEX;
    }
    return HV_STATUS_SUCCESS;
}

void hc_put(struct hc_target *target)
{
    if (target->partition != NULL) {
        partition_put(target->partition);
        target->partition = NULL;
        target->vp = NULL;
    }
}

hv_status_t hc_claim(const struct hypercall_context *call, struct vp *vp)
{
    return vp == call->vp || vp_claim(vp) ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_VP_STATE;
}

void hc_release(const struct hypercall_context *call, struct vp *vp)
{
    if (vp != call->vp) {
        vp_release(vp);
    }
}

bool hc_is_vtl0(uint8_t input_vtl)
{
    return (input_vtl & (HV_INPUT_VTL_TARGET_MASK | HV_INPUT_VTL_RSVDZ_MASK)) == 0;
}

static uint32_t count_bits(uint64_t word)
{
    return (uint32_t)bitmap_count(&word, BITMAP_BITS_PER_WORD);
}

hv_status_t hc_read_vp_set(uint64_t format, uint64_t valid_bank_mask, const uint64_t *banks, uint32_t bank_count,
                           struct hc_vp_mask *mask)
{
    uint32_t bank = 0;

    if (format == HV_GENERIC_SET_ALL) {
        for (uint32_t i = 0; i < ARRAY_SIZE(mask->words); i++) {
            mask->words[i] = UINT64_MAX;
        }
        return HV_STATUS_SUCCESS;
    }
    if (format != HV_GENERIC_SET_SPARSE_4K) {
        return HV_STATUS_INVALID_PARAMETER;
    }
    if (count_bits(valid_bank_mask) != bank_count) {
        return HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(mask->words); i++) {
        mask->words[i] = ((valid_bank_mask >> i) & 1u) != 0 ? banks[bank++] : 0;
    }
    return HV_STATUS_SUCCESS;
}
