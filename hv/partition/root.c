/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "hv/boot/acpi.h"
#include "hv/cpu/cpu.h"
#include "hv/debug/debug.h"
#include "hv/mem/mem.h"
#include "hv/partition/backend.h"
#include "hv/partition/device_interrupt.h"
#include "hv/partition/page_owner.h"
#include "hv/partition/partition.h"
#include "hv/partition/root_image.h"
#include "hv/partition/root_memory.h"
#include "hv/partition/stats.h"
#include "hv/partition/vp_fpu.h"
#include "hv/partition/vp_signal.h"
#include "hv/sched/sched.h"

/*
 * The root partition: made at boot, one VP for each processor, run for ever. Not here: its memory (root_memory.c), its
 * image (root_image.c).
 */

/* Flat 32-bit segments: accessed, non-system, present, 32-bit, 4 KiB granularity. */
#define FLAT_LIMIT           0xffffffffu
#define FLAT_CODE_ATTRIBUTES 0xc09bu
#define FLAT_DATA_ATTRIBUTES 0xc093u
#define FLAT_CODE_SELECTOR   0x08u
#define FLAT_DATA_SELECTOR   0x10u
#define TSS_LIMIT            0x67u
#define TSS_ATTRIBUTES       0x008bu

static void set_register(struct vp *vp, uint32_t name, const union hv_register_value *value)
{
    hv_status_t status = backend->set_register(vp, name, value);

    ASSERT(status == HV_STATUS_SUCCESS);
}

static void set_segment(struct vp *vp, uint32_t name, uint32_t limit, uint16_t selector, uint16_t attributes)
{
    union hv_register_value value = {0};

    value.segment.limit = limit;
    value.segment.selector = selector;
    value.segment.attributes = attributes;
    set_register(vp, name, &value);
}

/* PVH: 32-bit protected mode, flat segments, paging and interrupts off, EBX = start information. */
static void enter_at(struct vp *vp, struct root_entry entry)
{
    union hv_register_value value = {0};

    for (uint32_t i = 0; i < 16; i++) {
        vp->regs.gpr[i] = 0;
    }
    vp->regs.gpr[VP_RBX] = entry.start_info;
    vp->regs.rip = entry.entry;
    vp->regs.rflags = X86_RFLAGS_FIXED;
    value.reg64 = X86_CR0_PE | X86_CR0_ET;
    set_register(vp, HvX64RegisterCr0, &value);
    value.reg64 = 0;
    set_register(vp, HvX64RegisterCr4, &value);
    set_register(vp, HvX64RegisterEfer, &value);
    set_segment(vp, HvX64RegisterCs, FLAT_LIMIT, FLAT_CODE_SELECTOR, FLAT_CODE_ATTRIBUTES);
    for (uint32_t name = HvX64RegisterEs; name <= HvX64RegisterGs; name++) {
        if (name != HvX64RegisterCs) {
            set_segment(vp, name, FLAT_LIMIT, FLAT_DATA_SELECTOR, FLAT_DATA_ATTRIBUTES);
        }
    }
    set_segment(vp, HvX64RegisterTr, TSS_LIMIT, 0, TSS_ATTRIBUTES);
}

static void create_vps(struct partition *root)
{
    for (uint32_t i = 0; i < acpi_info()->cpu_count; i++) {
        struct vp *vp;

        if (vp_create(root, i, &vp) != HV_STATUS_SUCCESS) {
            stop_machine("too little hypervisor memory for the root's VP %u (option hvmem=)", i);
        }
        root->vps[i] = vp;
        root->vp_count++;
    }
}

void partition_init_root(void)
{
    struct partition *root;

    partition_table_init();
    vp_signal_init();
    stats_init();
    if (!page_owner_init()) {
        stop_machine("too little hypervisor memory for the table of page owners (option hvmem=)");
    }
    if (!device_interrupt_init()) {
        stop_machine("too little hypervisor memory for the tables of device interrupts (option hvmem=)");
    }
    root = page_alloc();
    if (root == NULL) {
        stop_machine("too little hypervisor memory for the root partition (option hvmem=)");
    }
    partition_prepare(root, PARTITION_ID_ROOT);
    root->privileges = cpuid_root_privileges();
    root_partition = root;
    reftime_init(root);
    root_memory_init(root);
    if (msr_partition_create(root) != HV_STATUS_SUCCESS || reftime_create_page(root) != HV_STATUS_SUCCESS) {
        stop_machine("too little hypervisor memory for the root's pages (option hvmem=)");
    }
    create_vps(root);
    enter_at(root->vps[0], root_image_load());
    /* From here on the root pays for what it makes. */
    root->state = PARTITION_ACTIVE;
    log_line("root: %u VPs, %llu table pages in reserve, %llu hypervisor pages free", root->vp_count,
             (unsigned long long)root->space.reserve_count, (unsigned long long)page_free_count());
}

/* Runs the root VP of this processor once; false: it waits for something. */
static bool run_root(struct vp *vp)
{
    enum vp_run_status status = vp_handle_requests(vp) ? backend->vp_run(vp) : vp->run_status;

    switch (status) {
    case VP_RUN_INTERRUPT:
        return true;
    case VP_RUN_BLOCKED:
        return false;
    case VP_RUN_INTERCEPT:
        /* The root has no parent to answer; its own faults are delivered to it as exceptions. */
        vp->is_intercept_suspended = false;
        return true;
    case VP_RUN_SUSPENDED:
        return false;
    case VP_RUN_FAILED:
        panic("root VP %u cannot go on", vp->index);
    }
    return true;
}

void sched_processor_start(void)
{
    struct cpu *cpu = cpu_this();
    struct vp *vp = cpu->index < root_partition->vp_count ? root_partition->vps[cpu->index] : NULL;

    if (vp == NULL || (cpu->index != 0 && !backend->enable_processor())) {
        log_line("processor %u cannot run virtual processors and stays idle", cpu->index);
        cpu_halt_forever();
    }
    vp_fpu_enable_processor();
    cpu->root_vp = vp;
    atomic_store_explicit(&vp->cpu, cpu, memory_order_release);
    for (;;) {
        if (run_root(vp)) {
            continue;
        }
        /* Interrupts are off since the VP's wake-up was last looked for: one that comes now ends the wait. */
        if (!vp_has_work(vp)) {
            uint64_t start_tsc = time_tsc();

            cpu_idle();
            stats_add_idle(time_tsc() - start_tsc);
        }
    }
}
