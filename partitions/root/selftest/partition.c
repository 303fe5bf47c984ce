/* SPDX-License-Identifier: MIT */
/* Self-tests of what the root may not reach, and of making and unmaking partitions. */
#include "hv/abi/hv_msr.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/range.h"
#include "partitions/root/kernel/boot.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/memory.h"
#include "partitions/root/selftest/selftest.h"
#include "partitions/root/kernel/vm.h"

#define LIFECYCLE_ROUNDS 100u
#define LIFECYCLE_VPS    2u
#define CHILD_MEMORY     MIB(16)
#define LOG_PAGES        4096u
#define GIVEN_PER_CPU    6u

/* Pages that the hypervisor shows to the root on purpose, by processor. */
static const uint32_t given_msrs[GIVEN_PER_CPU] = {HV_X64_MSR_HYPERCALL, HV_X64_MSR_REFERENCE_TSC,
                                                   HV_X64_MSR_SIMP,      HV_X64_MSR_SIEFP,
                                                   HV_X64_MSR_SIRBP,     HV_X64_MSR_VP_ASSIST_PAGE};
static uint64_t given[KERNEL_CPU_MAX][GIVEN_PER_CPU];
static uint32_t noted_count; /* atomic */

/* Interrupt: each processor notes its own pages, since nobody else can read a running VP's registers. */
static void note_given(void)
{
    for (uint32_t i = 0; i < GIVEN_PER_CPU; i++) {
        given[cpu_this()->index][i] = rdmsr(given_msrs[i]) & HV_X64_MSR_PAGE_GPFN_MASK;
    }
    (void)__atomic_fetch_add(&noted_count, 1u, __ATOMIC_RELEASE);
}

static bool is_given(uint64_t page)
{
    for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
        for (uint32_t i = 0; i < GIVEN_PER_CPU; i++) {
            if (given[cpu][i] == page) {
                return true;
            }
        }
    }
    return false;
}

/* Null, or which access to the page did not fault. */
static const char *probe_page(uint64_t page)
{
    uint8_t value = 0;

    if (probe_read(page, &value) == 0 || probe_read(page + PAGE_SIZE - 1, &value) == 0) {
        return "read";
    }
    if (probe_write(page, value) == 0) {
        return "written";
    }
    return probe_execute(page) == 0 ? "executed" : NULL;
}

/* The reserved range of the memory map that holds the hypervisor; null: not found. */
static const struct boot_range *find_hypervisor(void)
{
    uint64_t page = rdmsr(HV_X64_MSR_HYPERCALL) & HV_X64_MSR_PAGE_GPFN_MASK;
    const struct boot_info *boot = boot_info();

    for (uint32_t i = 0; i < boot->range_count; i++) {
        if (boot->ranges[i].type != BOOT_RANGE_RAM &&
            range_contains_address(boot->ranges[i].start, boot->ranges[i].bytes, page)) {
            return &boot->ranges[i];
        }
    }
    return NULL;
}

static bool test_reserved(void)
{
    const struct boot_range *range = find_hypervisor();

    noted_count = 0;
    trap_set_handler(TRAP_VECTOR_TEST, note_given);
    for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
        lapic_send(cpu_get(cpu)->apic_id, TRAP_VECTOR_TEST);
    }
    if (!selftest_wait(&noted_count, cpu_count())) {
        return selftest_report("isolation-hypervisor", "%u processors of %u answer", noted_count, cpu_count());
    }
    if (range == NULL || !memory_map(range->start, range->bytes, MEMORY_EXECUTABLE)) {
        return selftest_report("isolation-hypervisor", "no reserved range holds the hypercall page");
    }
    for (uint64_t page = range->start; page < range->start + range->bytes; page += PAGE_SIZE) {
        const char *what = is_given(page) ? NULL : probe_page(page);

        if (what != NULL) {
            return selftest_report("isolation-hypervisor", "page %#llx of %#llx to %#llx can be %s",
                                   (unsigned long long)page, (unsigned long long)range->start,
                                   (unsigned long long)(range->start + range->bytes), what);
        }
    }
    return selftest_report("isolation-hypervisor", NULL);
}

/* A hypercall page that can be written would let the root change it under the hypervisor's feet. */
static bool test_hypercall_page(void)
{
    uint64_t page = rdmsr(HV_X64_MSR_HYPERCALL) & HV_X64_MSR_PAGE_GPFN_MASK;
    uint8_t value = 0;

    return selftest_report("isolation-hypercall-page", probe_read(page, &value) == 0 && probe_write(page, value) != 0
                                                           ? NULL
                                                           : "it is not readable, or it can be written");
}

/* A deposited page that the hypervisor shows to the root on purpose: a state page of one of the child's VPs. */
static bool is_state_page(const struct host_vm *vm, uint64_t page)
{
    for (uint32_t vp = 0; vp < vm->vp_count; vp++) {
        if ((uint64_t)vm->vps[vp].intercept == page || (uint64_t)vm->vps[vp].registers == page) {
            return true;
        }
    }
    return false;
}

/* Null, or what is wrong with a page that was deposited. */
static const char *check_deposited(uint64_t page)
{
    return memory_map(page, PAGE_SIZE, MEMORY_EXECUTABLE) ? probe_page(page) : "mapped nowhere";
}

/* Null, or what is wrong with a page after its child is gone: the child's are ours again and hold nothing, those that
 * were deposited to the root itself are the hypervisor's as before. */
static const char *check_after(const struct deposit_record *record)
{
    const uint64_t *words = (const uint64_t *)record->address;
    uint64_t any = 0;
    uint8_t value;

    if (record->deposit == &root_deposit) {
        return check_deposited(record->address);
    }
    if (probe_read(record->address, &value) != 0) {
        return "not read";
    }
    for (uint32_t i = 0; i < PAGE_SIZE / sizeof(*words); i++) {
        any |= words[i];
    }
    return any == 0 ? NULL : "read, and is not zero";
}

static bool test_deposited(void)
{
    static struct host_vm vm;
    static struct deposit_record log[LOG_PAGES];
    uint64_t root_count = root_deposit.deposited_count;
    uint64_t child_count;
    uint64_t count;

    deposit_log = log;
    deposit_log_room = LOG_PAGES;
    if (!vm_create_partition(&vm, 0, CHILD_MEMORY, LIFECYCLE_VPS) || !vm_populate(&vm, 0)) {
        return selftest_report("isolation-deposited", "no partition");
    }
    count = LOG_PAGES - deposit_log_room;
    deposit_log_room = 0;
    root_count = root_deposit.deposited_count - root_count;
    child_count = vm.deposit.deposited_count;
    if (root_count == 0 || child_count == 0 || root_count + child_count != count) {
        return selftest_report("isolation-deposited", "%llu pages of the root and %llu of the child, %llu recorded",
                               (unsigned long long)root_count, (unsigned long long)child_count,
                               (unsigned long long)count);
    }
    for (uint64_t i = 0; i < count; i++) {
        const char *what = is_state_page(&vm, log[i].address) ? NULL : check_deposited(log[i].address);

        if (what != NULL) {
            return selftest_report("isolation-deposited", "page %#llx (%llu of %llu) can be %s",
                                   (unsigned long long)log[i].address, (unsigned long long)i, (unsigned long long)count,
                                   what);
        }
    }
    if (!vm_destroy_partition(&vm)) {
        return selftest_report("isolation-deposited", "the partition cannot be destroyed");
    }
    for (uint64_t i = 0; i < count; i++) {
        const char *what = check_after(&log[i]);

        if (what != NULL) {
            return selftest_report("isolation-withdrawn", "page %#llx (%llu of %llu) can be %s",
                                   (unsigned long long)log[i].address, (unsigned long long)i, (unsigned long long)count,
                                   what);
        }
    }
    return selftest_report("isolation-deposited", NULL);
}

bool selftest_isolation(void)
{
    bool has_passed = test_reserved();

    has_passed &= test_hypercall_page();
    has_passed &= test_deposited();
    return has_passed;
}

/* The hypervisor's own statistics page; null if it gives none. */
static const volatile struct hv_stats_page *map_hypervisor_stats(void)
{
    struct hv_input_stats_page input = {.object_type = HvStatsObjectHypervisor};
    struct hv_output_map_stats_page output;
    hv_status_t status =
        hypercall(&root_deposit, HvCallMapStatsPage, NULL, &input, sizeof(input), &output, sizeof(output));

    return status == HV_STATUS_SUCCESS ? (const volatile struct hv_stats_page *)(output.map_location << PAGE_SHIFT)
                                       : NULL;
}

bool selftest_lifecycle(void)
{
    static struct host_vm vm;
    const volatile struct hv_stats_page *stats = map_hypervisor_stats();
    uint64_t free_pages = 0;
    uint64_t root_pages = 0;
    uint64_t counters[HV_STATS_PAGE_COUNTERS];

    if (stats == NULL) {
        return selftest_report("lifecycle", "the hypervisor gives no statistics");
    }
    for (uint32_t round = 0; round <= LIFECYCLE_ROUNDS; round++) {
        if (!vm_create_partition(&vm, 0, CHILD_MEMORY, LIFECYCLE_VPS) || !vm_populate(&vm, 0) ||
            !vm_populate(&vm, CHILD_MEMORY - 1) || !vm_destroy_partition(&vm)) {
            return selftest_report("lifecycle", "round %u failed", round);
        }
        if (round == 0) {
            /* From the first round on nothing may grow. */
            free_pages = memory_free_pages();
            root_pages = root_deposit.deposited_count;
            for (uint32_t i = 0; i < ARRAY_SIZE(counters); i++) {
                counters[i] = stats->counters[i];
            }
        }
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(counters); i++) {
        if (stats->counters[i] != counters[i]) {
            return selftest_report("lifecycle", "statistics counter %u was %llu, is %llu", i,
                                   (unsigned long long)counters[i], (unsigned long long)stats->counters[i]);
        }
    }
    return selftest_report("lifecycle",
                           free_pages == memory_free_pages() && root_pages == root_deposit.deposited_count
                               ? NULL
                               : "free pages %llu, now %llu; root's deposit %llu, now %llu",
                           (unsigned long long)free_pages, (unsigned long long)memory_free_pages(),
                           (unsigned long long)root_pages, (unsigned long long)root_deposit.deposited_count);
}
