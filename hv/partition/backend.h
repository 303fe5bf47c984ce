/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_BACKEND_H
#define PARTITION_BACKEND_H

/*
 * What a CPU backend (svm/, vmx/, tests/sim, tests/uc) provides. Exits go up by direct call from the backend's run loop
 * to hv/exit/exit.h; only cold state goes down through this table.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/abi/hv_register.h"
#include "hv/abi/hv_status.h"
#include "hv/lib/compiler.h"
#include "hv/lib/x86/x86_decode.h"
#include "hv/lib/x86/x86_regs.h"

struct vp;
struct gpa_format;

/* Why the run loop came back to its caller. */
enum vp_run_status {
    VP_RUN_INTERRUPT, /* a physical interrupt was taken; look for work and run again */
    VP_RUN_BLOCKED,   /* halted, guest idle or waiting for SIPI: nothing to run until something is pending */
    VP_RUN_INTERCEPT, /* a message lies in the intercept page; the VP is intercept-suspended */
    VP_RUN_SUSPENDED, /* an explicit or dispatch suspend was seen */
    VP_RUN_FAILED,    /* the backend cannot run this state any more; the partition is lost (already logged) */
};

/* What a backend says of a machine. */
enum backend_fit {
    BACKEND_ABSENT,   /* the processors do not have this kind of virtualisation at all */
    BACKEND_UNUSABLE, /* they have it, but something is missing */
    BACKEND_FITS,
};

/* How an MSR behaves. */
enum msr_rule_kind {
    MSR_RULE_REGISTER,   /* the backend's register `value` */
    MSR_RULE_ADDRESS,    /* the same, canonical addresses only */
    MSR_RULE_CONSTANT,   /* reads `value`, writes are dropped */
    MSR_RULE_READ_ONLY,  /* reads `value`, writes fault */
    MSR_RULE_WRITE_ONLY, /* reads fault, writes are dropped */
    MSR_RULE_STORED,     /* of a child, at most one MSR: bits `value` can be written, the others stay as at reset */
    /* Of the root, the processor's own register, which may fault: */
    MSR_RULE_MACHINE,           /* read and written */
    MSR_RULE_MACHINE_READ,      /* writes fault */
    MSR_RULE_MACHINE_READ_DROP, /* writes are dropped */
};

/* A range of MSRs with one behaviour. */
struct msr_rule {
    uint32_t first, last;
    enum msr_rule_kind kind;
    uint64_t value;
};

/* A table of them. */
struct msr_rules {
    const struct msr_rule *rules;
    size_t count;
};

/*
 * Exceptions that always exit: whose delivery can raise them again and again within the processor, which takes no
 * interrupt meanwhile. Those that the root did not ask for go back to the VP.
 */
#define BACKEND_EXCEPTIONS (1u << X86_VECTOR_DB | 1u << X86_VECTOR_AC)

/* Capabilities that common code asks for; never the vendor. */
struct backend_features {
    bool has_thread_count; /* CPUID leaf 0x80000008 gives the number of threads, and 0x80000001 says if it is not 1 */
    bool has_virtual_eoi;  /* EOIs need no exit while the APIC is in x2APIC mode and no SINT has AutoEOI */
};

/* The memory-management registers that a guest page walk needs. */
struct vp_paging_state {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint8_t cpl;
    uint64_t pae_pdpte[4]; /* valid when has_pdptes: the processor keeps them as registers; else they are in memory */
    bool has_pdptes;
};

/* What an address of 64-bit code means depends on these, beside the tables. */
struct vp_code_state {
    uint64_t cr0, cr3, cr4, efer;
    uint8_t cpl;
};

/* How the VP's code is decoded, and what it may do. */
struct vp_code_mode {
    uint8_t bits; /* 16, 32 or 64: default size of its code segment */
    uint8_t cpl;
    bool is_protected; /* protected or long mode, not virtual-8086 */
};

/* The same for the decoder. */
static inline enum x86_mode vp_decode_mode(const struct vp_code_mode *mode)
{
    return mode->bits == 64 ? X86_MODE_64 : mode->bits == 32 ? X86_MODE_32 : X86_MODE_16;
}

/* More pages than these are not flushed one by one. */
#define VP_FLUSH_PAGES_MAX 16u

/* Which of a VP's guest-virtual translations are flushed. */
enum vp_flush_scope {
    VP_FLUSH_NOTHING,
    VP_FLUSH_PAGES,      /* those of some pages, in all address spaces, global ones too */
    VP_FLUSH_NON_GLOBAL, /* all but global ones */
    VP_FLUSH_ALL,
};

/* The same with the pages. */
struct vp_flush_set {
    enum vp_flush_scope scope;
    uint32_t page_count;                /* if the scope is VP_FLUSH_PAGES */
    uint64_t pages[VP_FLUSH_PAGES_MAX]; /* linear addresses, canonical, multiples of 4 KiB */
};

/* One CPU backend. All functions: interrupts off. "Own VP" means the VP is not in guest mode anywhere. */
struct cpu_backend {
    const char *name; /* "AMD-V", "VT-x", "sim" */
    struct gpa_format *gpa_format;
    struct backend_features *features;
    uint8_t hypercall_instruction[3];   /* VMMCALL or VMCALL */
    enum x86_op hypercall_op;           /* the same for the decoder */
    uint64_t processor_vendor;          /* HV_PROCESSOR_VENDOR_ */
    const struct msr_rules *state_msrs; /* MSRs of this vendor's processors, in every partition */
    const struct msr_rules *child_msrs; /* and in children: what operating systems read and write without asking */
    const struct msr_rules *root_msrs;  /* and in the root: none can reach memory or processors that are not its own */
    uint64_t stored_msr_reset;          /* of the child's MSR by MSR_RULE_STORED */

    /* Can this machine serve? If it is unusable, `why` gets one clear sentence naming what is missing. Boot processor,
     * once. */
    enum backend_fit (*probe)(char *why, size_t size);
    /* Boot processor, once, after probe(): shared tables. False: out of memory. */
    bool (*init)(void);
    /* Turns virtualisation on for this processor, before any VP is made or run on it. False: it cannot (logged). */
    bool (*enable_processor)(void);

    /* Makes the backend's part of a VP (vp->backend); pages come from the partition's deposit (part_page_alloc). */
    hv_status_t (*vp_create)(struct vp *vp);
    void (*vp_destroy)(struct vp *vp);
    /*
     * This processor is done with a VP that it had made, claimed or dispatched: another one may touch it next, so
     * nothing of it may stay here that only this processor can reach.
     */
    void (*vp_put)(struct vp *vp);
    /* Architectural reset state: power_on false means INIT (keeps FPU). vp->regs included. */
    void (*vp_reset)(struct vp *vp, bool power_on);

    /* Runs the VP on this processor until something in enum vp_run_status happens. */
    enum vp_run_status (*vp_run)(struct vp *vp);

    /*
     * Architectural registers that are not in vp->regs, by ABI name: CRs, DR6/7, segments, tables, EFER, SYSENTER,
     * STAR, LSTAR, CSTAR, SFMASK, KERNEL_GS, PAT, TSC, TSC_AUX, DEBUGCTL, ... HV_STATUS_INVALID_PARAMETER: not a name
     * of the backend's; HV_STATUS_INVALID_REGISTER_VALUE: value refused. Own VP.
     */
    hv_status_t (*get_register)(struct vp *vp, uint32_t name, union hv_register_value *value);
    hv_status_t (*set_register)(struct vp *vp, uint32_t name, const union hv_register_value *value);

    /*
     * Reads of what the last exit has left unread (vp->unread) at least `what`, VP_UNREAD_ bits: see vp_read_state().
     * Null if the backend leaves nothing unread. Own VP.
     */
    void (*read_state)(struct vp *vp, uint32_t what);

    /* Paging registers in one go. Own VP or from within its exit. */
    void (*get_paging)(struct vp *vp, struct vp_paging_state *state);
    /* Decided by fewer registers than that; for exits that need no more. Own VP or from within its exit. */
    void (*get_code_mode)(struct vp *vp, struct vp_code_mode *mode);
    /* True if the VP executes 64-bit code and get_paging() would give these registers. Within its exit. */
    bool (*is_code_state)(struct vp *vp, const struct vp_code_state *state);
    /*
     * Notes what the VP's next entry has to flush, beside what is noted already; vp->flush_wanted is raised behind it.
     * Null if the backend always flushes all. Any processor, whatever the VP does.
     */
    void (*note_flush)(struct vp *vp, const struct vp_flush_set *set);
    /* TSC that the guest would read now. */
    uint64_t (*guest_tsc)(struct vp *vp);
    /* The intercept maps of the VP's partition changed (exceptions, MSRs, ...); applied before its next entry. */
    void (*intercepts_changed)(struct vp *vp);
};

/* The backend this machine uses; null until backend_select() succeeded. */
extern const struct cpu_backend *backend;

/* A VP's state that was set from outside is checked before its next entry. Cleared by the option entrycheck=off, so
 * that the processor's own refusal can be seen. */
extern bool backend_checks_entries;

/* Picks and initialises the backend by CPUID and feature MSRs; false with a sentence in `why`. */
MUST_CHECK bool backend_select(char *why, size_t size);

#endif
