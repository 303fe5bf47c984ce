/* SPDX-License-Identifier: MIT */
/* The processors: descriptor tables, exceptions and interrupts, local APICs (always x2APIC: the
 * hypervisor offers it on every machine), and the start of the others. An exception outside a probe is a fault of
 * minroot: it is printed, and everything stops. */
#include "partitions/root/kernel/cpu.h"

#include "hv/lib/acpi/acpi_tables.h"
#include "hv/lib/range.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/boot.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/memory.h"

#define FAULT_STACK_BYTES      4096
#define IST_FAULT              1
#define GATE_INTERRUPT_PRESENT UINT64_C(0x8E00)

/* One gate of the IDT. */
struct idt_gate {
    uint64_t low;
    uint64_t high;
};

/* Operand of LGDT and LIDT. */
struct table_pointer {
    uint16_t limit;
    uint64_t base;
} PACKED;

extern const uint8_t interrupt_entries[256][16];

static struct cpu cpus[KERNEL_CPU_MAX];
static uint8_t fault_stacks[KERNEL_CPU_MAX][FAULT_STACK_BYTES] ALIGNED(16); /* for #DF and NMI */
static struct idt_gate idt[256] ALIGNED(16);
static void (*handlers[256])(void);
static uint32_t is_dying;

uint32_t cpu_count(void)
{
    uint32_t count = 0;

    while (count < KERNEL_CPU_MAX && __atomic_load_n(&cpus[count].is_online, __ATOMIC_ACQUIRE) != 0) {
        count++;
    }
    return count;
}

struct cpu *cpu_get(uint32_t index)
{
    return &cpus[index];
}

static void build_idt(void)
{
    for (uint32_t vector = 0; vector < ARRAY_SIZE(idt); vector++) {
        uint64_t entry = (uint64_t)interrupt_entries[vector];
        uint64_t ist = vector == X86_VECTOR_DF || vector == X86_VECTOR_NMI ? IST_FAULT : 0;

        idt[vector].low = (entry & 0xFFFF) | ((uint64_t)KERNEL_CS << 16) | (ist << 32) |
                          (GATE_INTERRUPT_PRESENT << 32) | ((entry >> 16 & 0xFFFF) << 48);
        idt[vector].high = entry >> 32;
    }
}

void trap_init(uint32_t index)
{
    struct cpu *cpu = &cpus[index];
    uint64_t tss = (uint64_t)&cpu->tss;
    struct table_pointer gdt_pointer = {.limit = sizeof(cpu->gdt) - 1, .base = (uint64_t)cpu->gdt};
    struct table_pointer idt_pointer = {.limit = sizeof(idt) - 1, .base = (uint64_t)idt};

    cpu->self = cpu;
    cpu->index = index;
    cpu->tss.ist[IST_FAULT - 1] = (uint64_t)fault_stacks[index] + FAULT_STACK_BYTES;
    cpu->tss.io_map_base = sizeof(cpu->tss);
    cpu->gdt[KERNEL_CS / 8] = UINT64_C(0x00AF9B000000FFFF);
    cpu->gdt[KERNEL_DS / 8] = UINT64_C(0x00CF93000000FFFF);
    cpu->gdt[KERNEL_TSS / 8] =
        (sizeof(cpu->tss) - 1) | ((tss & 0xFFFFFF) << 16) | (UINT64_C(0x89) << 40) | ((tss >> 24 & 0xFF) << 56);
    cpu->gdt[KERNEL_TSS / 8 + 1] = tss >> 32;
    if (index == 0) {
        build_idt();
    }
    __asm__ volatile("lgdt %0; lidt %1" : : "m"(gdt_pointer), "m"(idt_pointer));
    __asm__ volatile("ltr %0" : : "r"((uint16_t)KERNEL_TSS));
    wrmsr(X86_MSR_GS_BASE, (uint64_t)cpu);
}

void trap_set_handler(uint8_t vector, void (*handler)(void))
{
    handlers[vector] = handler;
}

static NORETURN void die(const struct trap_frame *frame)
{
    uint64_t cr2;

    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    if (__atomic_exchange_n(&is_dying, 1u, __ATOMIC_ACQ_REL) != 0) {
        cpu_stop();
    }
    console_break_lock();
    console_error("minroot: exception %u, error %#llx, on processor %u: RIP %#llx RSP %#llx RFLAGS %#llx CR2 %#llx "
                  "RAX %#llx RBX %#llx RCX %#llx RDX %#llx RSI %#llx RDI %#llx RBP %#llx",
                  (unsigned)frame->vector, (unsigned long long)frame->error, cpu_this()->index,
                  (unsigned long long)frame->rip, (unsigned long long)frame->rsp, (unsigned long long)frame->rflags,
                  (unsigned long long)cr2, (unsigned long long)frame->rax, (unsigned long long)frame->rbx,
                  (unsigned long long)frame->rcx, (unsigned long long)frame->rdx, (unsigned long long)frame->rsi,
                  (unsigned long long)frame->rdi, (unsigned long long)frame->rbp);
    power_off();
}

void trap_handle(struct trap_frame *frame)
{
    struct cpu *cpu = cpu_this();

    if (frame->vector < X86_VECTOR_EXCEPTION_COUNT) {
        if (cpu->probe_rip == 0) {
            die(frame);
        }
        cpu->probe_vector = (uint32_t)frame->vector + 1;
        frame->rip = cpu->probe_rip;
        frame->rsp = cpu->probe_rsp;
        cpu->probe_rip = 0;
    } else if (frame->vector != TRAP_VECTOR_SPURIOUS) {
        cpu->interrupt_count++;
        if (handlers[frame->vector] != NULL) {
            handlers[frame->vector]();
        }
        wrmsr(X86_MSR_X2APIC_EOI, 0);
    }
}

#define SPURIOUS_ENABLE  0x100u
#define ICR_FIXED        0x4000u
#define ICR_INIT         0x4500u
#define ICR_STARTUP      0x4600u
#define PIC_MASTER_MASK  0x21u
#define PIC_SLAVE_MASK   0xA1u
#define LOW_MEMORY_END   UINT64_C(0xA0000)
#define INIT_WAIT_100NS  (1 * CLOCK_100NS_PER_MS)
#define START_WAIT_100NS (2000 * CLOCK_100NS_PER_MS) /* software CPUs share processors */

extern const uint8_t trampoline_start[], trampoline_end[];
extern uint64_t ap_stack, ap_cpu;

void lapic_init(void)
{
    /* The 8259s are not used; firmware has left their timer interrupt on, at an exception's vector. */
    outb(PIC_MASTER_MASK, 0xFF);
    outb(PIC_SLAVE_MASK, 0xFF);
    wrmsr(X86_MSR_APIC_BASE, rdmsr(X86_MSR_APIC_BASE) | X86_APIC_BASE_ENABLE);
    wrmsr(X86_MSR_APIC_BASE, rdmsr(X86_MSR_APIC_BASE) | X86_APIC_BASE_X2APIC);
    wrmsr(X86_MSR_X2APIC_TPR, 0);
    wrmsr(X86_MSR_X2APIC_SVR, SPURIOUS_ENABLE | TRAP_VECTOR_SPURIOUS);
    cpu_this()->apic_id = (uint32_t)rdmsr(X86_MSR_X2APIC_APIC_ID);
}

static void send(uint32_t apic_id, uint32_t command)
{
    wrmsr(X86_MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
}

void lapic_send(uint32_t apic_id, uint8_t vector)
{
    send(apic_id, ICR_FIXED | vector);
}

/* The range is RAM, and no module lies on it. */
static bool is_free(const struct boot_info *boot, uint64_t start, uint64_t bytes)
{
    bool is_ram = false;

    for (uint32_t i = 0; i < boot->range_count; i++) {
        is_ram |= boot->ranges[i].type == BOOT_RANGE_RAM &&
                  range_contains(boot->ranges[i].start, boot->ranges[i].bytes, start, bytes);
    }
    for (uint32_t i = 0; i < boot->module_count; i++) {
        is_ram &= !range_overlaps(boot->modules[i].start, boot->modules[i].bytes, start, bytes);
    }
    return is_ram;
}

static bool wait_online(const struct cpu *cpu, uint64_t limit_100ns)
{
    uint64_t start = clock_now();

    while (__atomic_load_n(&cpu->is_online, __ATOMIC_ACQUIRE) == 0 && clock_now() - start < limit_100ns) {
        cpu_relax();
    }
    return cpu->is_online != 0;
}

void smp_start(void)
{
    const struct acpi_info *acpi = acpi_info();
    uint64_t trampoline = LOW_MEMORY_END - PAGE_SIZE;
    uint32_t index = 1;

    while (trampoline != 0 && !is_free(boot_info(), trampoline, PAGE_SIZE)) {
        trampoline -= PAGE_SIZE;
    }
    if (acpi->cpu_count > 1 && trampoline == 0) {
        console_error("minroot: no free page below 640 KiB to start processors with");
        power_off();
    }
    for (uint32_t i = 0; i < acpi->cpu_count; i++) {
        struct cpu *cpu = cpu_get(index);

        if (acpi->apic_ids[i] == cpu_this()->apic_id) {
            continue;
        }
        memcpy((void *)trampoline, trampoline_start, (size_t)(trampoline_end - trampoline_start));
        cpu->index = index;
        ap_cpu = (uint64_t)cpu;
        ap_stack = (uint64_t)cpu_stacks[index] + KERNEL_STACK_STRIDE;
        send(acpi->apic_ids[i], ICR_INIT);
        clock_wait(INIT_WAIT_100NS);
        send(acpi->apic_ids[i], ICR_STARTUP | (uint32_t)(trampoline >> PAGE_SHIFT));
        if (!wait_online(cpu, START_WAIT_100NS)) {
            console_error("minroot: the processor with APIC id %u does not start", acpi->apic_ids[i]);
            power_off();
        }
        index++;
    }
    if (acpi->cpu_ignored_count != 0) {
        console_error("minroot: %u processors beyond %u are not used", acpi->cpu_ignored_count, KERNEL_CPU_MAX);
    }
}

void ap_main(struct cpu *cpu)
{
    trap_init(cpu->index);
    lapic_init();
    hyperv_init_processor();
    __atomic_store_n(&cpu->is_online, 1u, __ATOMIC_RELEASE);
    processor_main();
}
