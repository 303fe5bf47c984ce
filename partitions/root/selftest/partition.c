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

static bool test_deposited(void)
{
    static struct host_vm vm;
    uint64_t *log = memory_alloc_zeroed(LOG_PAGES * sizeof(*log));
    const char *what = NULL;
    uint64_t page = 0;
    uint64_t count;

    deposit_log = log;
    deposit_log_room = LOG_PAGES;
    if (!vm_create_partition(&vm, 0, CHILD_MEMORY, LIFECYCLE_VPS) || !vm_populate(&vm, 0)) {
        return selftest_report("isolation-deposited", "no partition");
    }
    deposit_log_room = 0;
    count = min_u64(vm.deposit.deposited_count, LOG_PAGES);
    for (uint64_t i = 0; i < count && what == NULL; i++) {
        page = log[i] << PAGE_SHIFT;

        bool is_shared = false;

        for (uint32_t vp = 0; vp < vm.vp_count; vp++) {
            is_shared |= (uint64_t)vm.vps[vp].intercept == page || (uint64_t)vm.vps[vp].registers == page;
        }
        if (!is_shared && memory_map(page, PAGE_SIZE, MEMORY_EXECUTABLE)) {
            what = probe_page(page);
        }
    }
    if (!vm_destroy_partition(&vm) || what != NULL || count == 0) {
        return selftest_report("isolation-deposited", "page %#llx can be %s (%llu pages)", (unsigned long long)page,
                               what == NULL ? "?" : what, (unsigned long long)count);
    }
    /* Given back, they are ours again, and hold nothing. */
    for (uint64_t i = 0; i < count; i++) {
        uint8_t value = 1;
        uint32_t fault = probe_read(log[i] << PAGE_SHIFT, &value);

        if (fault != 0 || value != 0) {
            return selftest_report("isolation-withdrawn", "page %#llx (%llu of %llu): fault %u, first byte %#x",
                                   (unsigned long long)(log[i] << PAGE_SHIFT), (unsigned long long)i,
                                   (unsigned long long)count, fault, value);
        }
    }
    memory_free((uint64_t)log, pages_from_bytes(LOG_PAGES * sizeof(*log)));
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
