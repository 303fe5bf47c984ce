/* SPDX-License-Identifier: MIT */
/* Descriptor tables and control registers of one processor. Starting processors is cpu_start.c's business. */
#include "hv/cpu/cpu_init.h"
#include "hv/cpu/cpu_private.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/entry_sizes.h"
#include "hv/cpu/stacks.h"
#include "hv/debug/debug.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"

#define DESCRIPTOR_CODE64   0x00af9b000000ffffull
#define DESCRIPTOR_DATA     0x00cf93000000ffffull
#define DESCRIPTOR_TSS_TYPE 0x89ull /* present, available 64-bit TSS */
#define GATE_INTERRUPT      0x8e00u /* present, interrupts off */
#define IDT_ENTRIES         256
#define DR7_RESET           0x400

#define CPUID_FEATURES    1
#define CPUID_EDX_MCE     (1u << 7)
#define CPUID_ECX_XSAVE   (1u << 26)
#define CPUID_STRUCTURED  7
#define CPUID_EBX_SMEP    (1u << 7)
#define CPUID_EBX_SMAP    (1u << 20)
#define CPUID_EXTENDED    0x80000000
#define CPUID_BRAND_FIRST 0x80000002
#define CPUID_BRAND_LAST  0x80000004

/* An IDT entry. */
struct PACKED idt_gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t rsvd;
};

/* Operand of LGDT and LIDT. */
struct PACKED table_pointer {
    uint16_t limit;
    uint64_t base;
};

_Static_assert(sizeof(struct idt_gate) == 16, "64-bit IDT entry");
_Static_assert(sizeof(struct cpu_page) <= 4096, "a processor's structures fit a page");

/* From exception_entry.S. */
extern const uint8_t exception_stubs[];
extern const uint8_t interrupt_stubs[];

ALIGNED(4096) uint8_t boot_stacks[CPU_STACKS_BYTES] SECTION(".bss.pages");

static struct idt_gate idt[IDT_ENTRIES]; /* [I] after idt_init() */
static struct cpu_page boot_page;

struct cpu *cpu_boot(void)
{
    return &boot_page.cpu;
}

/* The stack table entry for a vector that must not trust the current stack. */
static uint8_t ist_of(uint32_t vector)
{
    switch (vector) {
    case X86_VECTOR_NMI:
        return IST_NMI;
    case X86_VECTOR_DF:
        return IST_FAULT;
    case X86_VECTOR_MC:
        return IST_CHECK;
    default:
        return 0;
    }
}

void idt_init(void)
{
    for (uint32_t vector = 0; vector < IDT_ENTRIES; vector++) {
        const uint8_t *stub = vector < EXCEPTION_STUB_COUNT
                                  ? exception_stubs + vector * EXCEPTION_STUB_BYTES
                                  : interrupt_stubs + (vector - EXCEPTION_STUB_COUNT) * INTERRUPT_STUB_BYTES;
        uint64_t offset = (uint64_t)stub;
        idt[vector] = (struct idt_gate){
            .offset_low = (uint16_t)offset,
            .selector = CPU_SELECTOR_CODE,
            .ist = ist_of(vector),
            .type = GATE_INTERRUPT >> 8,
            .offset_middle = (uint16_t)(offset >> 16),
            .offset_high = (uint32_t)(offset >> 32),
        };
    }
}

void cpu_prepare(struct cpu_page *page, uint32_t index, uint64_t stacks)
{
    struct cpu_machine *machine = &page->machine;
    uint64_t tss = (uint64_t)&machine->tss;
    uint64_t limit = sizeof(machine->tss) - 1;

    page->cpu.self = &page->cpu;
    page->cpu.index = index;
    page->cpu.machine = machine;
    machine->stacks = stacks;
    machine->gdt[CPU_SELECTOR_CODE / 8] = DESCRIPTOR_CODE64;
    machine->gdt[CPU_SELECTOR_DATA / 8] = DESCRIPTOR_DATA;
    machine->gdt[CPU_SELECTOR_TSS / 8] =
        limit | (tss & 0xffffff) << 16 | DESCRIPTOR_TSS_TYPE << 40 | (tss >> 24 & 0xff) << 56;
    machine->gdt[CPU_SELECTOR_TSS / 8 + 1] = tss >> 32;
    machine->tss.ist[IST_NMI - 1] = stacks + CPU_STACK_NMI_END;
    machine->tss.ist[IST_FAULT - 1] = stacks + CPU_STACK_FAULT_END;
    machine->tss.ist[IST_CHECK - 1] = stacks + CPU_STACK_CHECK_END;
    /* Beyond the limit: no port map. */
    machine->tss.io_map_offset = sizeof(machine->tss);
}

static void load_tables(const struct cpu_machine *machine)
{
    const struct table_pointer gdtr = {.limit = sizeof(machine->gdt) - 1, .base = (uint64_t)machine->gdt};
    const struct table_pointer idtr = {.limit = sizeof(idt) - 1, .base = (uint64_t)idt};

    __asm__ volatile("lgdt %[gdtr]\n\t"
                     "pushq %[code]\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "mov %[data], %%ds\n\t"
                     "mov %[data], %%es\n\t"
                     "mov %[data], %%ss\n\t"
                     "mov %[null], %%fs\n\t"
                     "mov %[null], %%gs\n\t"
                     "lidt %[idtr]\n\t"
                     "ltr %[tss]"
                     :
                     : [gdtr] "m"(gdtr), [idtr] "m"(idtr), [code] "i"(CPU_SELECTOR_CODE), [data] "r"(CPU_SELECTOR_DATA),
                       [null] "r"(0), [tss] "r"((uint16_t)CPU_SELECTOR_TSS)
                     : "rax", "memory");
}

/* What this processor has of the optional bits; the others are part of 64-bit mode. */
static uint64_t wanted_cr4(void)
{
    struct cpuid_result features = cpuid(CPUID_FEATURES, 0);
    uint64_t cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;

    cr4 |= (features.edx & CPUID_EDX_MCE) != 0 ? X86_CR4_MCE : 0;
    cr4 |= (features.ecx & CPUID_ECX_XSAVE) != 0 ? X86_CR4_OSXSAVE : 0;
    if (cpuid(0, 0).eax >= CPUID_STRUCTURED) {
        uint32_t structured = cpuid(CPUID_STRUCTURED, 0).ebx;
        cr4 |= (structured & CPUID_EBX_SMEP) != 0 ? X86_CR4_SMEP : 0;
        cr4 |= (structured & CPUID_EBX_SMAP) != 0 ? X86_CR4_SMAP : 0;
    }
    return cr4;
}

void cpu_load(struct cpu *cpu)
{
    load_tables(cpu_machine(cpu));
    wrmsr(X86_MSR_GS_BASE, (uint64_t)cpu);
    wrmsr(X86_MSR_FS_BASE, 0);
    wrmsr(X86_MSR_KERNEL_GS_BASE, 0);
    wrmsr(X86_MSR_PAT, X86_PAT_RESET);
    write_cr0(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE);
    write_cr4(wanted_cr4());
    __asm__ volatile("mov %0, %%dr7" : : "r"((uint64_t)DR7_RESET));
}

void cpu_init_boot(void)
{
    idt_init();
    cpu_prepare(&boot_page, 0, (uint64_t)boot_stacks);
    cpu_load(&boot_page.cpu);
    cpu_register(&boot_page.cpu, 0);
    atomic_store(&boot_page.machine.state, CPU_STATE_ONLINE);
}

void cpu_host_state(struct cpu_host_state *state)
{
    struct cpu *cpu = cpu_this();

    state->gdt_base = (uint64_t)cpu_machine(cpu)->gdt;
    state->idt_base = (uint64_t)idt;
    state->tss_base = (uint64_t)&cpu_machine(cpu)->tss;
    state->gs_base = (uint64_t)cpu;
}

void cpu_log_machine(void)
{
    struct cpuid_result vendor = cpuid(0, 0);
    uint32_t vendor_words[4] = {vendor.ebx, vendor.edx, vendor.ecx, 0};
    uint32_t brand[13] = {0};
    char vendor_text[sizeof(vendor_words)];
    char brand_text[sizeof(brand)];

    if (cpuid(CPUID_EXTENDED, 0).eax >= CPUID_BRAND_LAST) {
        for (uint32_t i = 0; i <= CPUID_BRAND_LAST - CPUID_BRAND_FIRST; i++) {
            struct cpuid_result part = cpuid(CPUID_BRAND_FIRST + i, 0);
            const uint32_t words[4] = {part.eax, part.ebx, part.ecx, part.edx};
            memcpy(&brand[i * 4], words, sizeof(words));
        }
    }
    memcpy(vendor_text, vendor_words, sizeof(vendor_text));
    memcpy(brand_text, brand, sizeof(brand_text));
    const char *name = brand_text;
    while (*name == ' ') {
        name++;
    }
    log_line("machine: %s, %s", vendor_text, *name == '\0' ? "no brand name" : name);
}
