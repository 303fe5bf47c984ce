/* SPDX-License-Identifier: MIT */
#ifndef VMX_VMCS_CHECK_H
#define VMX_VMCS_CHECK_H

/* Our own judge of a VMCS: the checks that a VM entry makes, in the manual's order, in words. */

#include <stdbool.h>
#include <stdint.h>

#include "vmx/vmcs.h"

/* Bits of a control word that must be one, and that may be one. */
struct vmx_allowed {
    uint32_t must;
    uint32_t may;
};

/* What this processor allows in a VMCS; read from its capability MSRs once. */
struct vmx_limits {
    struct vmx_allowed pin, cpu, cpu2, exit, entry;
    uint64_t cr0_must, cr0_may; /* IA32_VMX_CR0_FIXED0 and FIXED1 */
    uint64_t cr4_must, cr4_may;
    uint64_t ept_vpid; /* VMX_CAP_ */
    uint64_t basic;    /* IA32_VMX_BASIC, VMX_BASIC_ */
    uint64_t misc;     /* IA32_VMX_MISC, VMX_MISC_ */
    uint8_t physical_bits;
    bool has_sgx, has_rtm; /* enclaves; transactions whose debug exceptions are special */
};

/*
 * The first rule of SDM vol. 3, "Checks on VMX Controls and Host-State Area" and "Checking and Loading Guest State"
 * that the VMCS behind `read` breaks, in words; null if it breaks none. Only fields whose controls exist on the
 * processor are read. Of memory only the virtual-APIC page is looked at, which is `apic_page` whatever its field says.
 */
const char *vmcs_check(uint64_t (*read)(enum vmcs_field field), const struct vmx_limits *limits,
                       const uint32_t *apic_page);

#endif
