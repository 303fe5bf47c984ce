/* SPDX-License-Identifier: MIT */
#ifndef VMX_VMX_H
#define VMX_VMX_H

/* What the files of the VT-x backend share. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cpu/cpu.h"
#include "hv/exit/exit.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/partition/backend.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/vp.h"
#include "hv/sync/spinlock.h"
#include "vmx/vmcs.h"
#include "vmx/vmcs_check.h"

/* Bits of CR0 and CR4 that the guest does not own: writes that would change what it reads there exit. */
#define VMX_CR0_HOST_OWNED (X86_CR0_NE | X86_CR0_NW | X86_CR0_CD)
#define VMX_CR4_GUEST_OWNED                                                                                            \
    (X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE |    \
     X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | X86_CR4_FSGSBASE | X86_CR4_PCIDE |             \
     X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE)

/* Segment registers in the order of their VMCS fields. */
enum vmx_segment {
    VMX_SEGMENT_ES,
    VMX_SEGMENT_CS,
    VMX_SEGMENT_SS,
    VMX_SEGMENT_DS,
    VMX_SEGMENT_FS,
    VMX_SEGMENT_GS,
    VMX_SEGMENT_LDTR,
    VMX_SEGMENT_TR,
};

/*
 * MSRs that neither VM entry nor exit swaps and that the hypervisor itself does not use. Guests write them with an
 * exit, so the VP's values are always known; the processor gets them when a VP comes that has others.
 */
enum vmx_msr {
    VMX_MSR_STAR,
    VMX_MSR_LSTAR,
    VMX_MSR_CSTAR,
    VMX_MSR_SFMASK,
    VMX_MSR_TSC_AUX,
    VMX_MSR_COUNT,
};

/* Registers that guests change without an exit and that no VMCS holds: in the processor while their VP runs. */
enum vmx_live {
    VMX_LIVE_CR2,
    VMX_LIVE_DR6,
    VMX_LIVE_KERNEL_GS_BASE,
    VMX_LIVE_COUNT,
};

struct vmx_vp;

/* What one processor has for the backend; cpu->backend points to it. */
struct vmx_cpu {
    struct vmx_vp *current;       /* [C] whose VMCS VMREAD and VMWRITE reach, or null */
    uint64_t msrs[VMX_MSR_COUNT]; /* [C] what the processor's registers hold */
    uint32_t next_vpid;           /* [C] */
    uint64_t vpid_epoch;          /* [C] raised when VPIDs wrap; starts at 1 */
};

/*
 * The backend's part of a VP. Its VMCS is active on a processor only while that one runs or has claimed the VP: the
 * first access makes it so (vmx_select), vmx_vp_put() ends it. So no processor ever has to ask another one for a VMCS.
 */
struct vmx_vp {
    void *vmcs;                      /* [I] */
    uint32_t *apic_page;             /* [I] virtual-APIC page: what the processor keeps of the APIC in guest mode */
    struct vmx_cpu *active_on;       /* [V] processor that holds the VMCS, or null */
    struct vmx_cpu *last_cpu;        /* [V] processor whose host state and VPID it has */
    uint64_t vpid_epoch;             /* [V] epoch of that VPID on last_cpu */
    struct spinlock flush_lock;      /* rank LOCK_RANK_FLUSH */
    struct vp_flush_set flush;       /* [flush_lock] what the next entry has to flush */
    bool is_launched;                /* [V] VMRESUME instead of VMLAUNCH */
    bool needs_check;                /* [V] state was set from outside: vmcs_check() before the next entry */
    bool is_loaded;                  /* [V] `live` is in the processor's registers */
    bool wants_pdptes;               /* [V] paging registers were set from outside: PDPTEs may be older than them */
    uint32_t vpid;                   /* [V] as in the VMCS */
    bool is_kept;                    /* [V] vmx_fast_exit() has read rip, rflags, blocked and insn_length in vain */
    uint8_t insn_length;             /* [V] of the last exit, if is_kept */
    uint32_t exit_reason;            /* [V] of the last exit */
    bool is_over;                    /* [V] vmx_fast_exit() has done all that the exit asked for, but could not enter */
    bool has_event;                  /* [V] the VMCS has an event or a window from the last entry */
    uint64_t software_event;         /* [V] software interrupt that the last entry injected, or 0 */
    uint32_t cpu_controls;           /* [V] as in the VMCS */
    uint32_t cpu2_controls;          /* [V] as in the VMCS */
    uint32_t interrupt_status;       /* [V] as in the VMCS */
    uint64_t eoi_exits[APIC_QWORDS]; /* [V] as in the VMCS */
    uint32_t tpr_threshold;          /* [V] as in the VMCS */
    uint32_t blocked;                /* [V] as in the VMCS: interruptibility state */
    uint64_t host_rsp;               /* [V] as in the VMCS; the entry assembly compares */
    uint64_t rsp, rip, rflags;       /* [V] as in the VMCS */
    uint64_t cr0_shadow;             /* [V] what the guest reads in the bits of CR0 that are not its own */
    uint64_t tsc_offset;             /* [V] as in the VMCS */
    uint64_t eptp;                   /* [I] */
    uint64_t live[VMX_LIVE_COUNT];   /* [V] while not loaded */
    uint64_t msrs[VMX_MSR_COUNT];    /* [V] */
};

/* The backend's part of a VP. */
static inline struct vmx_vp *vmx_of(struct vp *vp)
{
    return vp->backend;
}

/* vmx_probe.c: what this processor can do and must have. */
extern struct backend_features vmx_features;
extern uint32_t vmx_vpid_count; /* one more than the highest VPID in use */
extern struct gpa_format vmx_gpa_format;
extern struct vmx_limits vmx_limits;
enum backend_fit vmx_probe(char *why, size_t size);
/* VMX outside of SMX is switched off on this processor, and the switch is locked. */
bool vmx_is_locked_off(void);

/* ept.c: the processor keeps accessed and dirty bits. */
void ept_use_accessed_dirty(void);

/* vmx_entry.S: into the guest with the current VMCS, until an exit that vmx_fast_exit() leaves to the caller.
 * Interrupts off before and after; vp->regs all but RSP, RIP, RFLAGS (in the VMCS). False: the instruction failed, see
 * VMCS_INSN_ERROR. */
MUST_CHECK bool vmx_enter(struct vp *vp, uint64_t *host_rsp, bool is_launched);
/* Where VM exits land; for the host state only. */
extern const uint8_t vmx_exit_point[];

/* vmx_fast.c: true if the exit is over, and the guest to be entered with the VMCS as it is. For vmx_enter(). */
bool vmx_fast_exit(struct vp *vp);

/* vmx_run.c: the run loop, and which of its state is in the processor */
/* Makes the VP's VMCS the current one of this processor. The VP is claimed by it or in its run loop. */
void vmx_select(struct vmx_vp *own);
void vmx_vp_put(struct vp *vp);
enum vp_run_status vmx_vp_run(struct vp *vp);
/* Reads what exits leave unread. */
void vmx_read_state(struct vp *vp, uint32_t what);
/* Fills in what a processor's registers hold when it is enabled. */
void vmx_read_msrs(struct vmx_cpu *cpu);
/* Sets an entry of msrs, or of live, wherever it is now. */
void vmx_set_msr(struct vp *vp, enum vmx_msr index, uint64_t value);
void vmx_set_live(struct vp *vp, enum vmx_live index, uint64_t value);
uint64_t vmx_get_live(struct vp *vp, enum vmx_live index);

/* vmx_tlb.c: translations by VPID; INVVPID at the narrowest scope. */
/* Gives the VP a VPID that nothing in this processor's TLB is tagged with. */
void vmx_renew_vpid(struct vmx_cpu *cpu, struct vmx_vp *own);
/* Adds to what the next entry flushes; the same for all, with vp->flush_wanted raised. */
void vmx_note_flush(struct vp *vp, const struct vp_flush_set *set);
void vmx_flush(struct vp *vp, enum vp_flush_scope scope);
/* Before an entry: does what was noted. `is_fresh`: nothing is tagged with the VPID yet, or the entry flushes all. */
void vmx_take_flush(struct vp *vp, bool is_fresh);

/* vmx_exit.c: decodes the exit in the current VMCS and hands it up. */
enum exit_action vmx_handle_exit(struct vp *vp, uint32_t reason);

/* vmx_cr.c: control registers, of which the guest owns most bits. All with the VP's VMCS selected. */
enum exit_action vmx_handle_cr(struct vp *vp, uint8_t insn_length);
uint64_t vmx_get_cr0(struct vp *vp);
uint64_t vmx_get_cr4(void);
void vmx_set_cr0(struct vp *vp, uint64_t value);
void vmx_set_cr4(uint64_t value);
/* Writes EFER, and the mode that follows from it into the entry controls. */
void vmx_set_efer(uint64_t value);
/* Before an entry: reads the PDPTEs of a PAE guest whose paging registers were set from outside. */
void vmx_load_pdptes(struct vp *vp);

/* vmx_event.c: event injection before an entry, and the event whose delivery an exit interrupted. */
void vmx_put_events(struct vp *vp);
void vmx_collect_event(struct vp *vp);

/* Before an entry, with the VP's VMCS selected: what comes next, over what the last time has left there. */
static inline void vmx_prepare_events(struct vp *vp)
{
    if (vmx_of(vp)->has_event || vp_has_event(vp)) {
        vmx_put_events(vp);
    }
}

/* vmx_apic.c: what the processor keeps of the APIC while the VP is in guest mode. */
/* The processor can do all that this file wants; else it only keeps the task priority. */
bool vmx_has_virtual_apic(void);
/* Before an entry, after vmx_prepare_events(), with the VP's VMCS selected; after the exit. */
void vmx_load_apic(struct vp *vp);
void vmx_store_apic(struct vp *vp);
/* Exits: an EOI that somebody has to hear of; a register written that the processor did not complete. */
enum exit_action vmx_handle_virtual_eoi(struct vp *vp);
enum exit_action vmx_handle_apic_write(struct vp *vp);

/* vmx_regs.c */
hv_status_t vmx_get_register(struct vp *vp, uint32_t name, union hv_register_value *value);
hv_status_t vmx_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value);
void vmx_get_paging(struct vp *vp, struct vp_paging_state *state);
void vmx_get_code_mode(struct vp *vp, struct vp_code_mode *mode);
bool vmx_is_code_state(struct vp *vp, const struct vp_code_state *state);
uint64_t vmx_guest_tsc(struct vp *vp);

/* vmcs.c: controls of a fresh VP, host state of this processor, and the architectural reset state. */
void vmcs_init_controls(struct vp *vp);
void vmcs_set_host_state(void);
void vmx_vp_reset(struct vp *vp, bool power_on);
void vmx_intercepts_changed(struct vp *vp);

/* vmx_bitmap.c: permission maps, shared by VPs. */
MUST_CHECK bool vmx_bitmap_init(void);
spa_t vmx_io_bitmap(bool is_root, unsigned half);
/* With a virtual APIC, accesses to what the processor keeps of it do not exit. */
spa_t vmx_msr_bitmap(bool is_apic_virtual);

/* vmx_msr.c: the tables of struct cpu_backend. */
extern const struct msr_rules vmx_state_msrs, vmx_child_msrs, vmx_root_msrs;
#define VMX_MISC_ENABLE_RESET                                                                                          \
    (X86_MISC_ENABLE_FAST_STRINGS | X86_MISC_ENABLE_BTS_UNAVAILABLE | X86_MISC_ENABLE_PEBS_UNAVAILABLE)

#endif
