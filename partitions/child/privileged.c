/* SPDX-License-Identifier: MIT */
/* Instructions that a child must not have: they raise the exception that a processor without the feature raises. */
#include "partitions/child/lib/guest.h"

#define UD GUEST_FAULT(X86_VECTOR_UD)
#define GP GUEST_FAULT(X86_VECTOR_GP)
#define DB GUEST_FAULT(X86_VECTOR_DB)

/* What a bare guest runs with. */
#define CR0 (X86_CR0_PG | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE)
#define CR4 (X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

/* Where operands in memory may be. */
#define OPERAND UINT64_C(0x200000)

/* One instruction, what goes into RAX, RCX and RDX, and what has to come. */
struct instruction {
    const char *name;
    uint8_t bytes[6];
    uint8_t count;
    uint8_t fault;
    uint64_t rax, rcx, rdx;
};

static const struct instruction instructions[] = {
    {"vmrun", {0x0F, 0x01, 0xD8}, 3, UD, .rax = 0x1000},
    {"vmload", {0x0F, 0x01, 0xDA}, 3, UD, .rax = 0x1000},
    {"vmsave", {0x0F, 0x01, 0xDB}, 3, UD, .rax = 0x1000},
    {"stgi", {0x0F, 0x01, 0xDC}, 3, UD, .rax = 0},
    {"clgi", {0x0F, 0x01, 0xDD}, 3, UD, .rax = 0},
    {"skinit", {0x0F, 0x01, 0xDE}, 3, UD, .rax = 0x10000},
    {"invlpga", {0x0F, 0x01, 0xDF}, 3, UD, .rax = 0},
    {"vmlaunch", {0x0F, 0x01, 0xC2}, 3, UD, .rax = 0},
    {"vmresume", {0x0F, 0x01, 0xC3}, 3, UD, .rax = 0},
    {"vmxoff", {0x0F, 0x01, 0xC4}, 3, UD, .rax = 0},
    {"vmread", {0x0F, 0x78, 0xC1}, 3, UD, .rax = 0},
    {"vmwrite", {0x0F, 0x79, 0xC1}, 3, UD, .rax = 0},
    {"vmxon", {0xF3, 0x0F, 0xC7, 0x31}, 4, UD, .rcx = OPERAND},
    {"vmptrld", {0x0F, 0xC7, 0x31}, 3, UD, .rcx = OPERAND},
    {"vmptrst", {0x0F, 0xC7, 0x39}, 3, UD, .rcx = OPERAND},
    {"vmclear", {0x66, 0x0F, 0xC7, 0x31}, 4, UD, .rcx = OPERAND},
    {"invept", {0x66, 0x0F, 0x38, 0x80, 0x01}, 5, UD, .rcx = OPERAND},
    {"invvpid", {0x66, 0x0F, 0x38, 0x81, 0x01}, 5, UD, .rcx = OPERAND},
    {"vmfunc", {0x0F, 0x01, 0xD4}, 3, UD, .rax = 0},
    {"getsec", {0x0F, 0x37}, 2, UD, .rax = 0},
    {"rsm", {0x0F, 0xAA}, 2, UD, .rax = 0},
    {"xsetbv-reserved-register", {0x0F, 0x01, 0xD1}, 3, GP, .rax = 1, .rcx = 1},
    {"xsetbv-no-x87", {0x0F, 0x01, 0xD1}, 3, GP, .rax = 0},
    {"dr7-high", {0x0F, 0x23, 0xF8}, 3, GP, .rax = UINT64_C(0x100000400)},
};

/* Only with the option strict=1. QEMU's software CPU has no INT1, and for bits of CR4 that no guest has it ends guest
 * mode with the code of a refused entry. */
static const struct instruction strict[] = {
    {"int1", {0xF1}, 1, DB, .rax = 0}, /* exits, and comes back */
    {"cr4-vmxe", {0x0F, 0x22, 0xE0}, 3, GP, .rax = CR4 | X86_CR4_VMXE},
    {"cr4-smxe", {0x0F, 0x22, 0xE0}, 3, GP, .rax = CR4 | X86_CR4_SMXE},
};

/* Harmless ones, which must go through. */
static const struct instruction allowed[] = {
    {"wbinvd", {0x0F, 0x09}, 2, 0, .rax = 0},
    {"invd", {0x0F, 0x08}, 2, 0, .rax = 0},
    {"invlpg", {0x0F, 0x01, 0x39}, 3, 0, .rcx = 0x200000},
    {"clts", {0x0F, 0x06}, 2, 0, .rax = 0},
    {"rdtsc", {0x0F, 0x31}, 2, 0, .rax = 0},
    {"pause", {0xF3, 0x90}, 2, 0, .rax = 0},
    {"dr7", {0x0F, 0x23, 0xF8}, 3, 0, .rax = 0x400},
    {"cr0-cache-off", {0x0F, 0x22, 0xC0}, 3, 0, .rax = CR0 | X86_CR0_CD},
    {"cr0-cache-on", {0x0F, 0x22, 0xC0}, 3, 0, .rax = CR0},
};

static void run(const struct instruction *table, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct guest_registers registers = {.rax = table[i].rax, .rcx = table[i].rcx, .rdx = table[i].rdx};
        uint32_t fault;

        /* XSETBV needs its feature bit first. */
        __asm__ volatile("mov %%cr4, %%rax; or %0, %%rax; mov %%rax, %%cr4" : : "r"(X86_CR4_OSXSAVE) : "rax");
        fault = guest_try_bytes(table[i].bytes, table[i].count, &registers);
        guest_check(fault == table[i].fault, table[i].name, "fault %u, expected %u", fault, table[i].fault);
    }
}

/* The trap of a single step comes right behind an instruction that exits: the next one does not run. */
static void check_single_step(void)
{
    static const uint8_t code[] = {
        0x9C,                                     /* pushfq */
        0x81, 0x0C, 0x24, 0x00, 0x01, 0x00, 0x00, /* orl $TF, (%rsp) */
        0x9D,                                     /* popfq */
        0x0F, 0xA2,                               /* cpuid */
        0xC6, 0x07, 0x01,                         /* movb $1, (%rdi) */
    };
    static uint8_t has_run_on;
    struct guest_registers registers = {.rdi = (uint64_t)&has_run_on};
    uint32_t fault = guest_try(code, &registers);

    guest_check(fault == DB && READ_ONCE(has_run_on) == 0, "single-step", "fault %u, %s", fault,
                READ_ONCE(has_run_on) != 0 ? "late" : "in time");
}

uint8_t guest_main(void)
{
    check_single_step();
    run(instructions, ARRAY_SIZE(instructions));
    run(allowed, ARRAY_SIZE(allowed));
    if (guest_option("strict", 0) != 0) {
        run(strict, ARRAY_SIZE(strict));
    }
    return guest_failures();
}
