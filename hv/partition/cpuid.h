/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CPUID_H
#define PARTITION_CPUID_H

/*
 * What CPUID answers in a partition: the machine's features cut down by const policy tables, topology of the partition,
 * the hypervisor's own leaves, and results that the root has registered for a VP.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_status.h"
#include "hv/cpu/asm.h"
#include "hv/lib/compiler.h"

struct cpuid_page;
struct partition;
struct vp;

/* Registers of a CPUID result, in the order of cpuid_query(). */
enum cpuid_register {
    CPUID_EAX,
    CPUID_EBX,
    CPUID_ECX,
    CPUID_EDX,
    CPUID_REGISTER_COUNT,
};

#define CPUID_PAGE_MAX 4u
#define CPUID_ANSWERS  8u

/* A leaf that was asked for, complete but for the bits that mirror control registers. */
struct ALIGNED(8) cpuid_answer {
    uint32_t leaf;
    uint32_t subleaf;
    uint32_t kept_for; /* 1 + the partition's number of VPs then, which the topology shows; 0: nothing is kept */
    bool is_mirrored;  /* such bits are to be filled in */
    uint32_t values[CPUID_REGISTER_COUNT];
};

/* What a VP answers beside the policy: registered results (HvCallRegisterInterceptResult); and what it has answered. */
struct vp_cpuid {
    struct cpuid_page *pages[CPUID_PAGE_MAX];   /* [VP lock] from the deposit on first use */
    uint32_t count;                             /* [VP lock] entries used */
    struct cpuid_answer answers[CPUID_ANSWERS]; /* [V] by leaf */
};

/* Where the answer to a leaf is kept; the three kinds of leaves differ in the uppermost bits. */
static inline struct cpuid_answer *cpuid_answer_of(struct vp_cpuid *cpuid, uint32_t leaf)
{
    return &cpuid->answers[(leaf ^ leaf >> 29) % CPUID_ANSWERS];
}

/* The answer is that to this leaf in a partition of so many VPs. */
static inline bool cpuid_answers(const struct cpuid_answer *answer, uint32_t leaf, uint32_t subleaf, uint32_t vp_count)
{
    return answer->leaf == leaf && answer->subleaf == subleaf && answer->kept_for == vp_count + 1;
}

/* Answers CPUID for a VP: out is EAX, EBX, ECX, EDX. Own VP. */
void cpuid_query(struct vp *vp, uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT]);

/*
 * Registers a result (replacing one for the same leaf and subleaf). INVALID_PARAMETER: a hypervisor leaf; NO_RESOURCES:
 * the table is full; INSUFFICIENT_MEMORY: deposit to the partition. VP not running.
 */
MUST_CHECK hv_status_t cpuid_register(struct vp *vp, const struct hv_input_register_intercept_result_cpuid *input);

/* Has every leaf computed anew: something has changed of what was immutable. Own VP. */
void cpuid_forget(struct vp *vp);

/* Frees the registered results. */
void cpuid_destroy(struct vp *vp);

/* May the VP load this into XCR0? */
MUST_CHECK bool cpuid_xcr0_is_valid(const struct vp *vp, uint64_t value);

/* XCR0 components that a partition has; the property XsaveStates. */
uint64_t cpuid_xcr0_mask(const struct partition *partition);

/* Bytes of the XSAVE area for a set of components, standard and compacted form. */
uint32_t cpuid_xsave_size(uint64_t components, bool is_compacted);

/* Bytes that an XSAVE area of any VP needs at most (for vp->fpu_area), standard form. */
uint32_t cpuid_xsave_size_max(void);

/* Physical address bits that partitions are told. */
uint8_t cpuid_physical_bits(void);

/* Processor feature banks of a partition (HV_PROC_FEATURE_*, HV_PROC_FEATURE1_*): what the machine has and it may use.
 */
uint64_t cpuid_feature_bank(const struct partition *partition, uint32_t bank);

/* XSAVE features (HV_XSAVE_FEATURE_*) likewise. */
uint64_t cpuid_xsave_features(const struct partition *partition);

/* The privilege mask of the root, and of a child with these synthetic features (property 0x10001; 0: the default set).
 */
uint64_t cpuid_root_privileges(void);
uint64_t cpuid_child_privileges(uint64_t synthetic_features);

/* Synthetic features that a child can be given; the others are refused. */
uint64_t cpuid_assignable_features(void);

/* Leaf 0x40000003 EDX of a partition (HV_FEATURE_*): what its synthetic MSRs and calls can do. */
uint32_t cpuid_synthetic_features(const struct partition *partition);

/* Replaces the source of the machine's CPUID (tests on hosts); null: the instruction. */
void cpuid_set_machine(struct cpuid_result (*read)(uint32_t leaf, uint32_t subleaf));

#endif
