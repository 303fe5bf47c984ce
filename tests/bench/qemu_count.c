/* SPDX-License-Identifier: MIT */
/*
 * A plugin of QEMU's software CPU that counts what its time-stamp counter does not show, without a change to what runs:
 * all instructions (by translated block), and how often an operation of the bench guest makes the hypervisor enter a
 * guest, access a VMCB or an MSR, or send an IPI. Arguments: out=FILE, and for each function of the guest that is an
 * operation NAME=ADDRESS (hexadecimal). An operation lasts until the next one, whatever processor begins that; all
 * processors take turns in one thread. Until the first one nothing is slowed down: a Linux that boots would miss its
 * timer.
 *
 * A VMCB is known by its fields: a page of the direct map of which EXITCODE, RFLAGS, RIP, RSP and RAX are accessed
 * between two VMRUNs, and not much more: who clears a page touches them, too.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "svm/vmcb.h"
#include "tests/bench/qemu_plugin.h"

#define HYPERVISOR_FIRST UINT64_C(0xffff800000000000)
#define IMAGE_FIRST      UINT64_C(0xffffffff80000000) /* image, stacks and devices, beyond the direct map */
#define PAGE_SHIFT       12
#define PAGE_MASK        UINT64_C(0xfff)
#define OPERATIONS_MAX   64
#define PAGES_MAX        64 /* that the hypervisor touches between two VMRUNs; more are not looked at */
#define VMCBS_MAX        8
#define ACCESSES_MAX     256u
#define FIELDS_ALL       0x1fu
#define APIC_ICR         UINT64_C(0xFEE00300)

enum counter { VMRUNS, VMCB_ACCESSES, MSR_ACCESSES, STATE_SWITCHES, IPIS, COUNTER_COUNT };

/* A function of the guest, and what it has cost: the least, and all rounds together. */
struct operation {
    char name[32];
    uint64_t address;
    uint64_t least[COUNTER_COUNT];
    uint64_t total[COUNTER_COUNT];
    uint64_t rounds;
};

/* A page since the last VMRUN: which of the fields were accessed. */
struct page {
    uint64_t number;
    uint64_t accesses;
    uint32_t fields;
};

int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static struct operation operations[OPERATIONS_MAX];
static unsigned operation_count;
static struct operation *current; /* that runs now; null: none yet */
static uint64_t counters[COUNTER_COUNT];
static struct page pages[PAGES_MAX];
static unsigned page_count;
static uint64_t vmcbs[VMCBS_MAX];
static unsigned vmcb_count;
static uint64_t instruction_count;
static const char *out_name;
static uint64_t plugin_id;
static bool is_counting; /* more than instructions: the first operation has begun */

static void begin(uint64_t id);

static bool is_vmcb(uint64_t number)
{
    for (unsigned i = 0; i < vmcb_count; i++) {
        if (vmcbs[i] == number) {
            return true;
        }
    }
    return false;
}

static uint32_t field_at(uint64_t offset)
{
    switch (offset) {
    case offsetof(struct vmcb, exit_code):
        return 1u << 0;
    case offsetof(struct vmcb, rflags):
        return 1u << 1;
    case offsetof(struct vmcb, rip):
        return 1u << 2;
    case offsetof(struct vmcb, rsp):
        return 1u << 3;
    case offsetof(struct vmcb, rax):
        return 1u << 4;
    default:
        return 0;
    }
}

static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *data)
{
    uint64_t number = address >> PAGE_SHIFT;
    unsigned i = 0;

    (void)cpu;
    (void)data;
    if ((address & PAGE_MASK) == (APIC_ICR & PAGE_MASK) && qemu_plugin_mem_is_store(info)) {
        const struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, address);

        if (where != NULL && qemu_plugin_hwaddr_is_io(where) && qemu_plugin_hwaddr_phys_addr(where) == APIC_ICR) {
            counters[IPIS]++;
        }
    }
    if (is_vmcb(number)) {
        counters[VMCB_ACCESSES]++;
        return;
    }
    if (address >= IMAGE_FIRST) {
        return;
    }
    while (i < page_count && pages[i].number != number) {
        i++;
    }
    if (i == page_count) {
        if (page_count == PAGES_MAX) {
            return;
        }
        pages[page_count++] = (struct page){.number = number};
    }
    pages[i].accesses++;
    pages[i].fields |= field_at(address & PAGE_MASK);
}

static void on_vmrun(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    counters[VMRUNS]++;
    for (unsigned i = 0; i < page_count && vmcb_count < VMCBS_MAX; i++) {
        if (pages[i].fields == FIELDS_ALL && pages[i].accesses <= ACCESSES_MAX) {
            vmcbs[vmcb_count++] = pages[i].number;
            current = NULL; /* was not counted in full */
        }
    }
    page_count = 0;
}

static void on_msr(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    counters[MSR_ACCESSES]++;
}

static void on_state_switch(unsigned cpu, void *data)
{
    (void)cpu;
    (void)data;
    counters[STATE_SWITCHES]++;
}

/* The operation before has ended, whatever lies in between. */
static void on_operation(unsigned cpu, void *data)
{
    (void)cpu;
    if (!is_counting) {
        is_counting = true;
        qemu_plugin_reset(plugin_id, begin);
        return;
    }
    for (unsigned i = 0; i < COUNTER_COUNT && current != NULL; i++) {
        if (current->rounds == 0 || counters[i] < current->least[i]) {
            current->least[i] = counters[i];
        }
        current->total[i] += counters[i];
    }
    if (current != NULL) {
        current->rounds++;
    }
    current = data;
    memset(counters, 0, sizeof(counters));
}

static void watch_hypervisor(struct qemu_plugin_insn *insn)
{
    static const uint8_t vmrun[] = {0x0F, 0x01, 0xD8}, vmload[] = {0x0F, 0x01, 0xDA}, vmsave[] = {0x0F, 0x01, 0xDB};
    static const uint8_t wrmsr[] = {0x0F, 0x30}, rdmsr[] = {0x0F, 0x32};
    const void *bytes = qemu_plugin_insn_data(insn);
    size_t size = qemu_plugin_insn_size(insn);

    qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
    if (size == sizeof(vmrun) && memcmp(bytes, vmrun, size) == 0) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_vmrun, QEMU_PLUGIN_NO_REGS, NULL);
    } else if (size == sizeof(vmload) && (memcmp(bytes, vmload, size) == 0 || memcmp(bytes, vmsave, size) == 0)) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_state_switch, QEMU_PLUGIN_NO_REGS, NULL);
    } else if (size == sizeof(wrmsr) && (memcmp(bytes, wrmsr, size) == 0 || memcmp(bytes, rdmsr, size) == 0)) {
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_msr, QEMU_PLUGIN_NO_REGS, NULL);
    }
}

static void watch_guest(struct qemu_plugin_insn *insn)
{
    for (unsigned i = 0; i < operation_count; i++) {
        if (operations[i].address == qemu_plugin_insn_vaddr(insn)) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_operation, QEMU_PLUGIN_NO_REGS, &operations[i]);
        }
    }
}

static void on_end(uint64_t id, void *data)
{
    FILE *file = fopen(out_name, "w");

    (void)id;
    (void)data;
    if (file == NULL) {
        perror(out_name);
        return;
    }
    fprintf(file, "INSTRUCTIONS %" PRIu64 "\nVMCBS %u\n", instruction_count, vmcb_count);
    for (unsigned i = 0; i < operation_count; i++) {
        const struct operation *operation = &operations[i];

        if (operation->rounds != 0) {
            fprintf(file, "COUNT %s %" PRIu64, operation->name, operation->rounds);
            for (unsigned k = 0; k < COUNTER_COUNT; k++) {
                fprintf(file, " %" PRIu64 " %" PRIu64, operation->least[k], operation->total[k]);
            }
            (void)fputc('\n', file);
        }
    }
    (void)fclose(file);
}

static void on_translation(uint64_t id, struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);

    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_ADD_U64, &instruction_count, count);
    for (size_t i = 0; i < count && operation_count != 0; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

        if (qemu_plugin_insn_vaddr(insn) < HYPERVISOR_FIRST) {
            watch_guest(insn);
        } else if (is_counting) {
            watch_hypervisor(insn);
        }
    }
}

static void begin(uint64_t id)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
}

int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int count, char **arguments)
{
    (void)info;
    for (int i = 0; i < count; i++) {
        char *value = strchr(arguments[i], '=');

        if (value == NULL || operation_count == OPERATIONS_MAX) {
            fprintf(stderr, "qemu_count: argument %s\n", arguments[i]);
            return 1;
        }
        *value++ = '\0';
        if (strcmp(arguments[i], "out") == 0) {
            out_name = strdup(value);
        } else {
            struct operation *operation = &operations[operation_count++];

            snprintf(operation->name, sizeof(operation->name), "%s", arguments[i]);
            operation->address = strtoull(value, NULL, 16);
        }
    }
    if (out_name == NULL) {
        fprintf(stderr, "qemu_count: out= is missing\n");
        return 1;
    }
    plugin_id = id;
    begin(id);
    return 0;
}
