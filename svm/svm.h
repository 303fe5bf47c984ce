/* SPDX-License-Identifier: MIT */
#ifndef SVM_SVM_H
#define SVM_SVM_H

/* What the files of the AMD-V backend share. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/exit/exit.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"
#include "hv/partition/backend.h"
#include "hv/partition/gpa_space.h"
#include "hv/partition/vp.h"
#include "hv/time/time.h"
#include "svm/vmcb.h"

/* How often the instruction in a shadow is entered before the shadow is given up. */
#define SVM_SHADOW_TRIES_MAX 8u

/* The backend's part of a VP. */
struct svm_vp {
    struct vmcb *vmcb;        /* [V] */
    spa_t vmcb_spa;           /* [I] */
    struct svm_cpu *last_cpu; /* [V] processor whose ASID it holds */
    uint64_t asid_epoch;      /* [V] epoch of that ASID on last_cpu */
    uint64_t tsc_aux;         /* [V] while not loaded */
    bool is_over;             /* [V] svm_fast_exit() has done all that the exit asked for, but could not enter again */
    uint8_t insn_length;      /* [V] of the exiting instruction, as svm_fast_exit() has found it; 0: it did not look */
    bool needs_check;         /* [V] state was set from outside: vmcb_check() before the next entry */
    bool has_event;           /* [V] the VMCB has an event or a window from the last entry */
    bool injects_interrupt;   /* [V] this entry delivers an interrupt as a virtual one */
    uint64_t software_event;  /* [V] software interrupt that the last entry injected, or 0 */
    uint64_t software_rip;    /* [V] RIP that came with it */
    bool awaits_iret;         /* [V] IRET of an NMI handler seen, not completed */
    uint64_t iret_rip;        /* [V] where that IRET stands */
    uint64_t shadow_rip;      /* [V] the instruction behind an STI, entered so many times */
    uint32_t shadow_tries;    /* [V] 0: the last entry was not in a shadow */
    struct timer shadow_timer;
};

/* What one processor has for the backend; cpu->backend points to it. */
struct svm_cpu {
    struct vmcb *host_vmcb; /* [I] VMSAVE image of the hypervisor's own FS, GS, TR, LDTR and syscall MSRs */
    spa_t host_vmcb_spa;    /* [I] */
    uint32_t next_asid;     /* [C] */
    uint64_t asid_epoch;    /* [C] raised when ASIDs wrap; starts at 1 */
};

/* The backend's part of a VP. */
static inline struct svm_vp *svm_of(struct vp *vp)
{
    return vp->backend;
}

/* svm.c: what this processor can do. */
extern struct backend_features svm_features;
extern struct gpa_format svm_gpa_format;
extern uint32_t svm_asid_count;
/* Exits carry the next instruction's address; those for memory the instruction's bytes. */
extern bool svm_has_next_rip;
extern bool svm_has_decode_assist;
/* External interrupts go in as virtual interrupts instead of through EVENTINJ: a fault of QEMU's software CPU. */
extern bool svm_interrupts_are_virtual;
/* PAUSE exits after a number of them, not each time; with the threshold, of them in a row. */
extern bool svm_has_pause_filter;
extern bool svm_has_pause_threshold;

/* svm_entry.S: into the guest, until an exit that svm_fast_exit() leaves to the caller. Interrupts off before and
 * after; vp->regs all but RAX, RSP, RIP, RFLAGS (in the VMCB). */
void svm_enter(struct vp *vp, spa_t vmcb, spa_t host_vmcb);

/* Length of the exiting instruction where the processor says, else 0. KVM offers NextRIP to a nested hypervisor and
 * leaves it 0 on processors without. */
static inline uint8_t svm_told_length(const struct vmcb *vmcb)
{
    uint64_t length = vmcb->next_rip - vmcb->rip;

    return svm_has_next_rip && length <= X86_INSN_LENGTH_MAX ? (uint8_t)length : 0;
}

/* svm_fast.c: true if the exit is over, and the guest to be entered with the VMCB as it is. For svm_enter(). */
bool svm_fast_exit(struct vp *vp);

/* svm_run.c */
enum vp_run_status svm_vp_run(struct vp *vp);

/* svm_exit.c: decodes the exit in the VMCB and hands it up. */
enum exit_action svm_handle_exit(struct vp *vp);

/* svm_event.c: event injection before an entry, and what an exit interrupted. */
void svm_init_events(struct svm_vp *own);
void svm_put_events(struct vp *vp);
void svm_take_events(struct vp *vp);

/* After an exit: the next instruction is in an interrupt shadow, as the VMCB says or as svm_put_events() remembers. */
static inline bool svm_is_in_shadow(struct vp *vp)
{
    const struct svm_vp *own = svm_of(vp);
    bool is_kept =
        own->shadow_tries != 0 && own->shadow_tries < SVM_SHADOW_TRIES_MAX && own->shadow_rip == vp->regs.rip;

    return (own->vmcb->interrupt_shadow & 1) != 0 || is_kept;
}

/* Before an entry: what comes next, over what the last time has left there. A shadow is kept whether something is
 * pending or not. */
static inline void svm_prepare_events(struct vp *vp)
{
    if (svm_of(vp)->has_event || vp->interrupt_shadow || vp_has_event(vp)) {
        svm_put_events(vp);
    }
}

/* After an exit: what it has interrupted, and the end of an NMI handler. */
static inline void svm_collect_events(struct vp *vp)
{
    const struct svm_vp *own = svm_of(vp);

    if ((own->vmcb->exit_interrupt_info & VMCB_EVENT_VALID) || own->injects_interrupt || own->awaits_iret) {
        svm_take_events(vp);
    }
}

/* svm_regs.c */
hv_status_t svm_get_register(struct vp *vp, uint32_t name, union hv_register_value *value);
hv_status_t svm_set_register(struct vp *vp, uint32_t name, const union hv_register_value *value);
void svm_get_paging(struct vp *vp, struct vp_paging_state *state);
void svm_get_code_mode(struct vp *vp, struct vp_code_mode *mode);
bool svm_is_code_state(struct vp *vp, const struct vp_code_state *state);
static inline bool vmcb_is_code_state(const struct vmcb *vmcb, const struct vp_code_state *state)
{
    return (vmcb->cs.attributes & VMCB_SEGMENT_L) != 0 && vmcb->cr3 == state->cr3 && vmcb->cpl == state->cpl &&
           vmcb->efer == (state->efer | X86_EFER_SVME) && vmcb->cr0 == state->cr0 && vmcb->cr4 == state->cr4;
}
uint64_t svm_guest_tsc(struct vp *vp);

/* vmcb.c: control area of a fresh VP, and the architectural reset state. */
void vmcb_init_control(struct vp *vp);
void svm_vp_reset(struct vp *vp, bool power_on);
void svm_intercepts_changed(struct vp *vp);

/* svm_bitmap.c: permission maps, shared by all VPs of a kind. */
MUST_CHECK bool svm_bitmap_init(void);
spa_t svm_iopm(bool is_root);
spa_t svm_msrpm(bool is_root);

/* vmcb_check.c: the first rule of APM vol. 2, "Canonicalization and Consistency Checks", that the VMCB breaks, in
 * words; or null. */
const char *vmcb_check(const struct vmcb *vmcb);

/* svm_msr.c: the tables of struct cpu_backend. */
extern const struct msr_rules svm_state_msrs, svm_child_msrs, svm_root_msrs;
/* TscFreqSel: the TSC counts at the P0 frequency. */
#define SVM_HWCR_RESET (UINT64_C(1) << 24)

#endif
