/* SPDX-License-Identifier: MIT */
/*
 * Starts the other processors, one after the other, through a trampoline in low RAM whose content is saved and given
 * back. What a processor loads into itself is cpu_setup.c's business.
 */
#include "hv/cpu/cpu.h"

#include "hv/boot/acpi.h"
#include "hv/boot/boot.h"
#include "hv/boot/memory_map.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/cpu_private.h"
#include "hv/cpu/stacks.h"
#include "hv/cpu/trampoline.h"
#include "hv/debug/debug.h"
#include "hv/debug/trace_read.h"
#include "hv/irq/irq.h"
#include "hv/lib/str.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/layout.h"
#include "hv/mem/mem.h"
#include "hv/mem/paging.h"
#include "hv/sched/sched.h"
#include "hv/time/time.h"
#include "hv/time/time_init.h"
#include "hv/time/timer_queue.h"

/* Low pages: code, then three levels of provisional tables. */
#define LOW_PAGES        4
#define LOW_FIRST_CHOICE 0x8000
#define LOW_START        0x1000
#define LOW_END          0xa0000
#define TABLE_ENTRIES    512
#define UPPER_HALF       256

#define INIT_DELAY_US    10000
#define STARTUP_DELAY_US 200
#define ANSWER_STEP_US   100
#define ANSWER_STEPS     30000 /* 3 seconds: an emulator on a loaded machine may need much of it */

/* The low pages while the trampoline is in them. */
struct low_memory {
    uint8_t *pages; /* in the direct map */
    uint8_t *saved; /* their content */
    spa_t address;
};

static _Atomic bool is_released;

static bool find_low_pages(struct low_memory *low)
{
    const struct boot_info *info = boot_info();
    static const uint32_t first_choices[] = {LOW_FIRST_CHOICE, LOW_START};

    for (uint32_t choice = 0; choice < ARRAY_SIZE(first_choices); choice++) {
        for (uint64_t start = first_choices[choice]; start + LOW_PAGES * PAGE_SIZE <= LOW_END; start += PAGE_SIZE) {
            if (memory_map_is_ram(info->memory, info->memory_count, start, LOW_PAGES * PAGE_SIZE)) {
                low->address = spa(start);
                low->pages = mem_from_spa(low->address);
                return true;
            }
        }
    }
    return false;
}

/* Provisional tables: the low pages where they are, and the hypervisor's upper half. */
static void fill_low_tables(const struct low_memory *low)
{
    uint64_t *tables[3];
    const uint64_t *own = mem_from_spa(paging_root());

    for (uint32_t i = 0; i < ARRAY_SIZE(tables); i++) {
        tables[i] = (uint64_t *)(low->pages + (i + 1) * PAGE_SIZE);
        memset(tables[i], 0, PAGE_SIZE);
    }
    tables[0][0] = (low->address.value + 2 * PAGE_SIZE) | X86_PTE_P | X86_PTE_W;
    tables[1][0] = (low->address.value + 3 * PAGE_SIZE) | X86_PTE_P | X86_PTE_W;
    tables[2][0] = X86_PTE_P | X86_PTE_W | X86_PTE_PS;
    for (uint32_t i = UPPER_HALF; i < TABLE_ENTRIES; i++) {
        tables[0][i] = own[i];
    }
}

/* Takes the low pages. False: no such RAM, or no memory to save it. */
static bool prepare_low_memory(struct low_memory *low)
{
    if (!find_low_pages(low)) {
        log_line("no RAM below 640 KiB to start processors from; using one");
        return false;
    }
    low->saved = page_alloc_contiguous(LOW_PAGES);
    if (low->saved == NULL) {
        log_line("no memory to start processors with; using one");
        return false;
    }
    memcpy(low->saved, low->pages, LOW_PAGES * PAGE_SIZE);
    memcpy(low->pages, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    fill_low_tables(low);
    return true;
}

static void give_back_low_memory(const struct low_memory *low)
{
    memcpy(low->pages, low->saved, LOW_PAGES * PAGE_SIZE);
    for (uint32_t i = 0; i < LOW_PAGES; i++) {
        page_free(low->saved + i * PAGE_SIZE);
    }
}

static void fill_words(const struct low_memory *low, const struct cpu *cpu)
{
    size_t at = (size_t)(trampoline_words - trampoline_start);
    struct trampoline_words words;

    memcpy(&words, trampoline_words, sizeof(words));
    words.gdt_address += (uint32_t)low->address.value;
    words.long_mode_address += (uint32_t)low->address.value;
    words.provisional_root = (uint32_t)(low->address.value + PAGE_SIZE);
    words.root = paging_root().value;
    words.stack = cpu_machine(cpu)->stacks + CPU_STACK_MAIN_END;
    words.cpu = (uint64_t)cpu;
    memcpy(low->pages + at, &words, sizeof(words));
}

/* Maps the stacks of processor `index`. False: no memory. */
static bool map_stacks(uint32_t index, uint64_t base)
{
    for (uint64_t offset = 0; offset < CPU_STACKS_BYTES; offset += PAGE_SIZE) {
        if (cpu_stack_is_guard(offset)) {
            continue;
        }
        void *page = page_alloc();
        if (page == NULL || !paging_map(base + offset, mem_to_spa(page), PAGE_SIZE, X86_PTE_W | X86_PTE_NX, false)) {
            return false;
        }
    }
    return trace_init_processor(index);
}

/*
 * Structures for the processor with the next index; null: no memory. What an abandoned processor used stays with it: it
 * may still be running there.
 */
static struct cpu *make_cpu(uint32_t index, uint32_t attempt)
{
    uint64_t stacks = MEM_STACK_BASE + (uint64_t)attempt * CPU_STACKS_STRIDE;
    struct cpu_page *page = page_alloc();

    if (page == NULL || !map_stacks(index, stacks)) {
        return NULL;
    }
    cpu_prepare(page, index, stacks);
    return &page->cpu;
}

static bool has_answered(const struct cpu *cpu)
{
    return atomic_load(&cpu_machine(cpu)->state) == CPU_STATE_ONLINE;
}

/* Start-up IPIs until the processor answers or its time is over. It has had its INIT. */
static bool start_one(const struct low_memory *low, struct cpu *cpu, uint32_t apic_id)
{
    uint8_t page = (uint8_t)(low->address.value / PAGE_SIZE);
    uint32_t expected = CPU_STATE_STARTING;

    fill_words(low, cpu);
    lapic_send_startup(apic_id, page);
    time_delay_us(STARTUP_DELAY_US);
    if (!has_answered(cpu)) {
        lapic_send_startup(apic_id, page);
    }
    for (uint32_t i = 0; i < ANSWER_STEPS && !has_answered(cpu); i++) {
        time_delay_us(ANSWER_STEP_US);
    }
    if (atomic_compare_exchange_strong(&cpu_machine(cpu)->state, &expected, CPU_STATE_ABANDONED)) {
        /* Back to waiting, so that it does not come late and find another one's words. */
        lapic_send_init(apic_id);
        return false;
    }
    return true;
}

void cpu_start_all(void)
{
    const struct acpi_info *acpi = acpi_info();
    struct low_memory low;

    if (acpi->cpu_count > 1 && prepare_low_memory(&low)) {
        for (uint32_t i = 1; i < acpi->cpu_count; i++) {
            lapic_send_init(acpi->apic_ids[i]);
        }
        time_delay_us(INIT_DELAY_US);
        for (uint32_t i = 1; i < acpi->cpu_count; i++) {
            struct cpu *cpu = make_cpu(cpu_count(), i);
            if (cpu == NULL) {
                log_line("processor with APIC id %u is left out: no memory for it (option hvmem=)", acpi->apic_ids[i]);
            } else if (!start_one(&low, cpu, acpi->apic_ids[i])) {
                log_line("processor with APIC id %u is left out: it does not answer", acpi->apic_ids[i]);
            } else {
                cpu_register(cpu, acpi->apic_ids[i]);
                time_check_tsc_pair(cpu->index);
            }
        }
        give_back_low_memory(&low);
    }
    time_report_tsc_check();
    log_line("processors: %u of %u started", cpu_count(), acpi->cpu_count + acpi->cpu_ignored_count);
}

void cpu_release_all(void)
{
    atomic_store(&is_released, true);
}

void cpu_start_here(struct cpu *cpu)
{
    uint32_t expected = CPU_STATE_STARTING;

    cpu_load(cpu);
    lapic_init();
    timer_queue_init();
    if (!atomic_compare_exchange_strong(&cpu_machine(cpu)->state, &expected, CPU_STATE_ONLINE)) {
        cpu_halt_forever();
    }
    time_check_tsc_pair(cpu->index);
    while (!atomic_load(&is_released)) {
        pause();
    }
    sched_processor_start();
}
