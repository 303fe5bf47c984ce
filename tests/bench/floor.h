/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

/*
 * The floor: the least that a hypervisor can do for the bench guest. It swaps the general registers, does what the exit
 * asks for, skips the instruction and enters again; it checks nothing and keeps nothing. What any hypervisor costs
 * above it buys something.
 */

#include <stdint.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_msr.h"
#include "hv/lib/compiler.h"
#include "partitions/child/lib/guest.h"

/* Second-level table entries that differ between the vendors. */
struct floor_format {
    uint64_t table; /* bits of an entry that leads to a table */
    uint64_t leaf;  /* bits of a page of 4 KiB */
};
#define FLOOR_LARGE 0x80u /* what a page of 2 MiB has beside */

/* General registers of the guest in encoding order (x86_gpr.h); RAX where the vendor leaves it there. */
enum { FLOOR_RAX, FLOOR_RCX, FLOOR_RDX, FLOOR_RBX };
extern uint64_t floor_gpr[16];

/* The three bytes of the hypercall instruction. */
extern const uint8_t *floor_hypercall_instruction;

/* The way into the guest: its entry point in 32-bit protected mode, and its Multiboot information. */
struct floor_entry {
    uint64_t rip;
    uint64_t information;
    uint64_t second_level; /* address of the root table */
};

/* Builds the identity map of 4 GiB without what the guest is to touch first; returns the root table's address. */
uint64_t floor_build_tables(struct floor_format format);

/* Puts the page in that the guest has touched. */
void floor_touch(uint64_t gpa);

/* The guest has ended. */
NORETURN void floor_end(uint8_t status);

/* An exit that the floor does not know. */
NORETURN void floor_unexpected(uint64_t code, uint64_t rip);

/* Give up when the processor has it not. */
NORETURN void floor_svm_run(const struct floor_entry *entry);
NORETURN void floor_vmx_run(const struct floor_entry *entry);

/* What a Hyper-V interface begins with, so that the guest takes the floor for one. */
static inline void floor_cpuid(uint64_t *rax)
{
    uint32_t leaf = (uint32_t)*rax;
    uint32_t out[4] = {0};

    if (leaf >> 28 != HV_CPUID_VENDOR_AND_MAX_FUNCTION >> 28) {
        cpuid(leaf, (uint32_t)floor_gpr[FLOOR_RCX], out);
    }
    *rax = out[0];
    floor_gpr[FLOOR_RBX] = out[1];
    floor_gpr[FLOOR_RCX] = out[2];
    floor_gpr[FLOOR_RDX] = out[3];
}

static inline void floor_rdmsr(uint64_t *rax)
{
    extern uint64_t floor_hypercall_msr;

    *rax = floor_gpr[FLOOR_RCX] == HV_X64_MSR_HYPERCALL ? (uint32_t)floor_hypercall_msr : 0;
    floor_gpr[FLOOR_RDX] = 0;
}

void floor_set_hypercall_page(uint64_t value);

static inline void floor_wrmsr(uint64_t rax)
{
    if (floor_gpr[FLOOR_RCX] == HV_X64_MSR_HYPERCALL) {
        floor_set_hypercall_page((uint32_t)rax | floor_gpr[FLOOR_RDX] << 32);
    }
}

/* Ports that exit are the guest's end and one that nobody has. */
static inline void floor_out(uint16_t port, uint64_t rax)
{
    if (port == GUEST_EXIT_PORT) {
        floor_end((uint8_t)rax);
    }
}

#endif
