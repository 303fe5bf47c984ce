/* SPDX-License-Identifier: MIT */
#ifndef PARTITION_CPUID_POLICY_H
#define PARTITION_CPUID_POLICY_H

/* The policy tables behind cpuid.c: which bits of the machine's CPUID a partition may see, and what names them in the
 * ABI. */

#include <stdbool.h>
#include <stdint.h>

#include "hv/partition/cpuid.h"

#define CPUID_LEAF_FEATURES            0x00000001u
#define CPUID_LEAF_CACHE               0x00000004u
#define CPUID_LEAF_POWER               0x00000006u
#define CPUID_LEAF_STRUCTURED_FEATURES 0x00000007u
#define CPUID_LEAF_TOPOLOGY            0x0000000bu
#define CPUID_LEAF_XSAVE               0x0000000du
#define CPUID_LEAF_TOPOLOGY_V2         0x0000001fu
#define CPUID_LEAF_BASIC_MAX           0x0000001fu
#define CPUID_LEAF_EXTENDED_FIRST      0x80000000u
#define CPUID_LEAF_EXTENDED_FEATURES   0x80000001u
#define CPUID_LEAF_EXTENDED_POWER      0x80000007u
#define CPUID_LEAF_EXTENDED_SIZES      0x80000008u
#define CPUID_LEAF_EXTENDED_CACHE      0x8000001du
#define CPUID_LEAF_EXTENDED_TOPOLOGY   0x8000001eu
#define CPUID_LEAF_EXTENDED_MAX        0x80000021u

#define CPUID_1_ECX_X2APIC                 (1u << 21)
#define CPUID_1_ECX_XSAVE                  (1u << 26)
#define CPUID_1_ECX_OSXSAVE                (1u << 27)
#define CPUID_1_ECX_HYPERVISOR             (1u << 31)
#define CPUID_1_EDX_APIC                   (1u << 9)
#define CPUID_1_EDX_HTT                    (1u << 28)
#define CPUID_6_EAX_ARAT                   (1u << 2)
#define CPUID_7_ECX_PKU                    (1u << 3)
#define CPUID_7_ECX_OSPKE                  (1u << 4)
#define CPUID_EXTENDED_EDX_APIC            (1u << 9)
#define CPUID_EXTENDED_ECX_CMP_LEGACY      (1u << 1)
#define CPUID_EXTENDED_POWER_INVARIANT_TSC (1u << 8)

/*
 * Bits of a leaf that a partition may see of the machine's, in `out`; all zero for a leaf that is hidden. The rest of
 * the leaf's contents (topology, dynamic bits) is cpuid.c's.
 */
void cpuid_policy_mask(uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT]);

/* Clears in a leaf's registers the features that a child's creator has taken away. */
void cpuid_policy_disable(const uint64_t disabled_features[2], uint64_t disabled_xsave, uint32_t leaf, uint32_t subleaf,
                          uint32_t registers[CPUID_REGISTER_COUNT]);

/* The machine's CPUID, cut down by the policy. */
void cpuid_policy_machine(uint32_t leaf, uint32_t subleaf, uint32_t out[CPUID_REGISTER_COUNT]);

/* The same uncut. */
struct cpuid_result cpuid_machine(uint32_t leaf, uint32_t subleaf);

/* What the machine has, cut by the policy, of a processor feature bank or of the XSAVE features, by ABI bit. */
uint64_t cpuid_policy_bank(uint32_t bank);
uint64_t cpuid_policy_xsave(void);

#endif
