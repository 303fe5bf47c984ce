/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_MSR_H
#define PARTITION_MSR_H

/*
 * What RDMSR and WRMSR do in a partition: synthetic MSRs by privilege, virtual ones, those of the backend, and by
 * policy table the harmless rest; for the root also some of the machine's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_status.h"
#include "hv/cpu/mtrr.h"
#include "hv/lib/compiler.h"
#include "hv/partition/overlay.h"

struct partition;
struct vp;

/* What an access came to. */
enum msr_result {
    MSR_OK,        /* done; the instruction is complete */
    MSR_FAULT,     /* #GP(0); nothing changed */
    MSR_INTERCEPT, /* the root decides: intercept_msr() */
};

#define MSR_MTRR_VARIABLE_COUNT 8u

/* Guest MSR values that neither backend nor APIC keep, and the VP assist page. */
struct vp_msrs {
    uint64_t mtrr_def_type;                      /* [V] */
    uint64_t mtrr_base[MSR_MTRR_VARIABLE_COUNT]; /* [V] */
    uint64_t mtrr_mask[MSR_MTRR_VARIABLE_COUNT]; /* [V] */
    uint64_t mtrr_fixed[MTRR_FIXED_COUNT];       /* [V] */
    uint64_t stored;                             /* [V] of a child: the one MSR by MSR_RULE_STORED */
    uint32_t permitted;                          /* [V] synthetic MSR accessed last, for which the privileges suffice */
    uint64_t vp_assist;                          /* [V] VP_ASSIST_PAGE; in the root with the hypervisor's page number */
    struct overlay assist_page;
};

/* Makes the VP assist page and resets. INSUFFICIENT_MEMORY. */
MUST_CHECK hv_status_t msr_init(struct vp *vp);

/* Reset values; INIT (power_on false) changes nothing. VP stopped; no lock of rank GPA space or higher held. */
void msr_reset(struct vp *vp, bool power_on);

/* Frees the page; accepts a half-made one. */
void msr_destroy(struct vp *vp);

/* Makes the partition's hypercall page; at initialisation, after the backend is chosen. INSUFFICIENT_MEMORY. */
MUST_CHECK hv_status_t msr_partition_create(struct partition *partition);

/* Removes and frees the hypercall page; accepts a partition that has none. */
void msr_partition_destroy(struct partition *partition);

/* Clears OS id, hypercall MSR and crash MSRs. Partition reset. */
void msr_partition_reset(struct partition *partition);

/*
 * RDMSR and WRMSR. Own VP, in its exit, no locks held. Afterwards the VP may be waiting (vp->activity, guest idle) or
 * intercept-suspended (EOI of a level-triggered interrupt).
 */
MUST_CHECK enum msr_result msr_read(struct vp *vp, uint32_t msr, uint64_t *value);
MUST_CHECK enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value);

/*
 * The same state for the root's register calls: no privileges, no write-once rules, MTRRs and the like of a child only.
 * INVALID_PARAMETER: no MSR of ours; INVALID_REGISTER_VALUE. VP stopped; no lock of rank GPA space or higher held.
 */
MUST_CHECK hv_status_t msr_host_read(struct vp *vp, uint32_t msr, uint64_t *value);
MUST_CHECK hv_status_t msr_host_write(struct vp *vp, uint32_t msr, uint64_t value);

/* The MSR that a register name (hv_register.h) stands for, if msr_host_read() and msr_host_write() serve it. */
MUST_CHECK bool msr_from_register(uint32_t name, uint32_t *msr);

/* True when the guest has set the hypercall interface up. */
bool msr_hypercall_is_enabled(const struct partition *partition);

#endif
