/* SPDX-License-Identifier: MIT */
/* The ordered list of start-up steps. Each step is somebody else's; only the order is decided here. */
#include "hv/boot/acpi.h"
#include "hv/boot/boot.h"
#include "hv/boot/start.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/cpu_init.h"
#include "hv/cpu/mtrr.h"
#include "hv/debug/debug.h"
#include "hv/debug/log.h"
#include "hv/debug/provoke.h"
#include "hv/debug/trace_read.h"
#include "hv/irq/irq.h"
#include "hv/lib/str.h"
#include "hv/mem/mem_init.h"
#include "hv/partition/backend.h"
#include "hv/partition/partition.h"
#include "hv/sched/sched.h"
#include "hv/time/time.h"

#define WHY_MAX    200
#define OPTION_MAX 8

/* What entry.S handed over. */
static uint32_t loader_magic;
static uint32_t loader_information;

static void start_loader(void)
{
    boot_init(loader_magic, loader_information);
}

static void start_trace(void)
{
    if (!trace_init_processor(0)) {
        stop_machine("too little memory for the trace of the boot processor");
    }
    trace_init();
}

static void start_backend(void)
{
    char why[WHY_MAX] = "";
    char check[OPTION_MAX];

    if (boot_option("entrycheck", check, sizeof(check))) {
        backend_checks_entries = !str_equal(check, "off");
        log_line("option entrycheck=%s: VP states are %s", check,
                 backend_checks_entries ? "checked before an entry" : "checked by the processor alone");
    }
    if (!backend_select(why, sizeof(why))) {
        stop_machine("cannot run partitions: %s", why);
    }
    log_line("backend: %s", backend->name);
    trace_describe(backend->name);
    /* The others follow in sched_processor_start(); this one makes the root's VPs before that. */
    if (!backend->enable_processor()) {
        stop_machine("the boot processor cannot run virtual processors");
    }
}

/* One step; `name` is for whoever reads this list. */
struct start_step {
    const char *name;
    void (*run)(void);
};

static const struct start_step steps[] = {
    {"descriptor tables", cpu_init_boot}, /* first: locks and panics need cpu_this() */
    {"log", log_init},
    {"boot loader", start_loader},
    {"machine", cpu_log_machine},
    {"memory types", mtrr_init}, /* before the root partition is mapped by them */
    {"ACPI", acpi_init},         /* before the memory: it says how many processors there are */
    {"memory", mem_init},
    {"trace", start_trace},
    {"8259s", pic_disable},
    {"local APIC", lapic_init},
    {"time", time_init}, /* the local APIC's timer is calibrated too */
    {"processors", cpu_start_all},
    {"option test=", provoke_if_wanted},
    {"backend", start_backend},
    {"root partition", partition_init_root},
};

void hypervisor_main(uint32_t magic, uint32_t information)
{
    loader_magic = magic;
    loader_information = information;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        steps[i].run();
    }
    log_line("ready");
    cpu_release_all();
    sched_processor_start();
}
