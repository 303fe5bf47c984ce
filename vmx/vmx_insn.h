/* SPDX-License-Identifier: MIT */
#ifndef VMX_VMX_INSN_H
#define VMX_VMX_INSN_H

/*
 * The VMX instructions that take an operand in memory. None of them fails unless the hypervisor is wrong: a failure
 * panics. SDM vol. 3, VMX Instruction Reference.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hv/debug/debug.h"
#include "hv/lib/addr.h"
#include "hv/lib/compiler.h"

/* Scopes of INVEPT and INVVPID. */
enum vmx_invept {
    VMX_INVEPT_SINGLE = 1,
    VMX_INVEPT_ALL = 2,
};

enum vmx_invvpid {
    VMX_INVVPID_ADDRESS = 0, /* of one VPID */
    VMX_INVVPID_SINGLE = 1,
    VMX_INVVPID_ALL = 2,
    VMX_INVVPID_NON_GLOBAL = 3, /* of one VPID */
};

/* Enters VMX operation; false: refused. */
MUST_CHECK static inline bool vmx_vmxon(spa_t region)
{
    bool is_failed;
    __asm__ volatile("vmxon %1" : "=@ccbe"(is_failed) : "m"(region.value) : "memory");
    return !is_failed;
}

static inline void vmx_vmclear(spa_t vmcs)
{
    bool is_failed;
    __asm__ volatile("vmclear %1" : "=@ccbe"(is_failed) : "m"(vmcs.value) : "memory");
    ASSERT(!is_failed);
}

static inline void vmx_vmptrld(spa_t vmcs)
{
    bool is_failed;
    __asm__ volatile("vmptrld %1" : "=@ccbe"(is_failed) : "m"(vmcs.value) : "memory");
    ASSERT(!is_failed);
}

/* Operand of INVEPT (EPT pointer) and INVVPID (VPID, linear address). */
struct vmx_invalidation {
    uint64_t tag;
    uint64_t address;
};

static inline void vmx_invept(enum vmx_invept scope, uint64_t eptp)
{
    const struct vmx_invalidation operand = {.tag = eptp};
    bool is_failed;
    __asm__ volatile("invept %1, %2" : "=@ccbe"(is_failed) : "m"(operand), "r"((uint64_t)scope) : "memory");
    ASSERT(!is_failed);
}

/* The address counts for VMX_INVVPID_ADDRESS only, and must be canonical then. */
static inline void vmx_invvpid(enum vmx_invvpid scope, uint32_t vpid, uint64_t address)
{
    const struct vmx_invalidation operand = {.tag = vpid, .address = address};
    bool is_failed;
    __asm__ volatile("invvpid %1, %2" : "=@ccbe"(is_failed) : "m"(operand), "r"((uint64_t)scope) : "memory");
    ASSERT(!is_failed);
}

#endif
