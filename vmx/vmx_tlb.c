/* SPDX-License-Identifier: MIT */
/*
 * Translations of a VP in the TLB of its processor, tagged with its VPID: giving out VPIDs, and flushing no more than
 * was asked for, as far as the processor can. When is vmx_run.c's business, and so are second-level entries. SDM vol.
 * 3, Caching Translation Information; INVVPID.
 */
#include "vmx/vmx.h"

#include "vmx/vmx_insn.h"

void vmx_renew_vpid(struct vmx_cpu *cpu, struct vmx_vp *own)
{
    if (cpu->next_vpid >= vmx_vpid_count) {
        cpu->next_vpid = 1;
        cpu->vpid_epoch++;
        vmx_invvpid(VMX_INVVPID_ALL, 0, 0);
    }
    own->vpid = cpu->next_vpid++;
    own->vpid_epoch = cpu->vpid_epoch;
    vmcs_write(VMCS_VPID, own->vpid);
}

/* Makes a set cover another one, too. */
static void widen(struct vp_flush_set *set, const struct vp_flush_set *by)
{
    if (by->scope == VP_FLUSH_NOTHING) {
        return;
    }
    if (set->scope == VP_FLUSH_NOTHING) {
        *set = *by;
    } else if (set->scope == VP_FLUSH_PAGES && by->scope == VP_FLUSH_PAGES &&
               by->page_count <= VP_FLUSH_PAGES_MAX - set->page_count) {
        for (uint32_t i = 0; i < by->page_count; i++) {
            set->pages[set->page_count++] = by->pages[i];
        }
    } else if (set->scope != VP_FLUSH_NON_GLOBAL || by->scope != VP_FLUSH_NON_GLOBAL) {
        set->scope = VP_FLUSH_ALL;
    }
}

void vmx_note_flush(struct vp *vp, const struct vp_flush_set *set)
{
    struct vmx_vp *own = vmx_of(vp);

    spin_lock(&own->flush_lock);
    widen(&own->flush, set);
    spin_unlock(&own->flush_lock);
}

void vmx_flush(struct vp *vp, enum vp_flush_scope scope)
{
    const struct vp_flush_set set = {.scope = scope};

    vp_flush(vp, &set);
}

/* Flushes what the set names, or the next wider that the processor can. */
static void flush_set(const struct vmx_vp *own, const struct vp_flush_set *set)
{
    switch (set->scope) {
    case VP_FLUSH_NOTHING:
        return;
    case VP_FLUSH_PAGES:
        if (vmx_limits.ept_vpid & VMX_CAP_INVVPID_ADDRESS) {
            for (uint32_t i = 0; i < set->page_count; i++) {
                vmx_invvpid(VMX_INVVPID_ADDRESS, own->vpid, set->pages[i]);
            }
            return;
        }
        break;
    case VP_FLUSH_NON_GLOBAL:
        if (vmx_limits.ept_vpid & VMX_CAP_INVVPID_NON_GLOBAL) {
            vmx_invvpid(VMX_INVVPID_NON_GLOBAL, own->vpid, 0);
            return;
        }
        break;
    case VP_FLUSH_ALL:
        break;
    }
    vmx_invvpid(VMX_INVVPID_SINGLE, own->vpid, 0);
}

void vmx_take_flush(struct vp *vp, bool is_fresh)
{
    struct vmx_vp *own = vmx_of(vp);
    struct vp_flush_set set;

    spin_lock(&own->flush_lock);
    set = own->flush;
    own->flush.scope = VP_FLUSH_NOTHING;
    spin_unlock(&own->flush_lock);
    if (!is_fresh) {
        flush_set(own, &set);
    }
}
