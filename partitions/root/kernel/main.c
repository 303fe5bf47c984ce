/* SPDX-License-Identifier: MIT */
/* The order of start-up, the events of processor 0, and the end. */
#include "hv/abi/hv_hypercall.h"
#include "hv/abi/hv_partition.h"
#include "hv/lib/str.h"
#include "partitions/root/kernel/boot.h"
#include "partitions/root/device/command.h"
#include "partitions/root/device/console.h"
#include "partitions/root/kernel/cpu.h"
#include "partitions/root/kernel/hypercall.h"
#include "partitions/root/kernel/memory.h"
#include "partitions/root/kernel/sched.h"
#include "partitions/root/kernel/vm.h"
#include "partitions/root/selftest/selftest.h"

#define HOUSEKEEPING_100NS (10 * CLOCK_100NS_PER_MS)
#define ERROR_BYTES        160u
#define SLEEP_TYPE_SHIFT   10
#define SLEEP_ENABLE       (1u << 13)

static struct options options;
static struct host_timer housekeeping;
static const struct boot_module *batch; /* whose children run; null: none yet */
static uint32_t batch_index;            /* of the next one */
static bool is_framed;
static bool must_poll;
static uint32_t may_run; /* atomic: the other processors may begin to serve the queue */

NORETURN void boot_main(uint64_t start_info);

void power_off(void)
{
    struct power_off power = acpi_power_off();
    struct hv_input_set_system_property property = {
        .property_id = HvSystemPropertySleepState,
        .sleep_state = HV_SLEEP_STATE_S5,
        .pm1a_slp_typ = power.pm1a_sleep_type,
        .pm1b_slp_typ = power.pm1b_sleep_type,
    };
    struct hv_input_enter_sleep_state enter = {.sleep_state = HV_SLEEP_STATE_S5};

    console_drain();
    if (cpu_this()->hypercall_input != NULL) {
        (void)!hypercall(NULL, HvCallSetSystemProperty, NULL, &property, sizeof(property), NULL, 0);
        (void)!hypercall(NULL, HvCallEnterSleepState, NULL, &enter, sizeof(enter), NULL, 0);
    }
    /* The hypervisor does not know how, or there is none. */
    if (power.pm1a_control != 0) {
        outw(power.pm1a_control, (uint16_t)((uint32_t)power.pm1a_sleep_type << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
        if (power.pm1b_control != 0) {
            outw(power.pm1b_control, (uint16_t)((uint32_t)power.pm1b_sleep_type << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
        }
    }
    cpu_stop();
}

static void keep_house(struct host_timer *timer)
{
    console_flush();
    if (must_poll) {
        console_poll();
    }
    host_timer_arm(timer, clock_now() + HOUSEKEEPING_100NS);
}

/* Null, or what is wrong with the options for this machine. */
static const char *check_machine(void)
{
    const struct hyperv_info *hyperv = hyperv_info();

    if (options.kernel == NULL && boot_module("kernel") == NULL) {
        return "no boot module is named \"kernel\": nothing to run in a child";
    }
    if (hyperv->vps_max != 0 && options.vp_count > hyperv->vps_max) {
        return "vps= is more than the hypervisor allows in a partition";
    }
    if (options.memory_bytes / PAGE_SIZE > memory_free_pages() / options.child_count) {
        return "memory= for all children together is more than this machine has free";
    }
    return NULL;
}

/* False: not one child could be started, which was said. */
static bool start_children(void)
{
    const char *wrong = check_machine();
    uint32_t started = 0;

    if (wrong != NULL) {
        console_error("minroot: %s", wrong);
        return false;
    }
    for (uint32_t i = 0; i < options.child_count; i++) {
        started += vm_start(i, &options) ? 1 : 0;
    }
    return started != 0;
}

/* The boot modules "batch" come one after the other, each with children of its own. False: no more could be started. */
static bool start_next_of_batch(void)
{
    char error[ERROR_BYTES];

    while ((batch = boot_next_module(batch, "batch")) != NULL) {
        console_text(CONSOLE_STREAM_BEGIN, 0, "%u", batch_index++);
        if (!options_parse(batch->words, &options, error, sizeof(error))) {
            console_error("minroot: %s", error);
            continue;
        }
        options.kernel = batch;
        if (start_children()) {
            return true;
        }
    }
    return false;
}

void main_events(uint32_t events)
{
    if ((events & SCHED_EVENT_TIMER) != 0) {
        clock_run_timers();
    }
    if ((events & SCHED_EVENT_INPUT) != 0) {
        vm_input();
        command_input();
    }
    if ((events & SCHED_EVENT_PORT) != 0) {
        port_deliver();
    }
    if ((events & SCHED_EVENT_DEVICE) != 0) {
        disks_serve();
    }
    if ((events & SCHED_EVENT_ENDED) != 0 && vm_reap() && !start_next_of_batch()) {
        power_off();
    }
}

static void start(void)
{
    if (!(boot_module("batch") != NULL ? start_next_of_batch() : start_children())) {
        power_off();
    }
    must_poll = console_start_input();
    host_timer_init(&housekeeping, NULL, keep_house);
    if (must_poll || is_framed) {
        host_timer_arm(&housekeeping, clock_now() + HOUSEKEEPING_100NS);
    }
    sched_raise(SCHED_EVENT_TIMER | SCHED_EVENT_INPUT);
}

void processor_main(void)
{
    /* Interrupts are taken meanwhile: the self-tests send some. */
    irq_enable();
    while (__atomic_load_n(&may_run, __ATOMIC_ACQUIRE) == 0) {
        irq_disable();
        if (__atomic_load_n(&may_run, __ATOMIC_ACQUIRE) == 0) {
            irq_wait();
        }
        irq_enable();
    }
    sched_run();
}

void boot_main(uint64_t start_info)
{
    char error[ERROR_BYTES];

    trap_init(0);
    console_init();
    if (!boot_read(start_info)) {
        cpu_stop();
    }

    bool options_are_good = options_parse(boot_info()->command_line, &options, error, sizeof(error));

    is_framed = options.is_framed || options.child_count > 1 || options.test[0] != '\0' || boot_module("batch") != NULL;
    console_set_framed(is_framed);
    memory_init(boot_info());
    acpi_init(boot_info()->rsdp);
    if (!options_are_good) {
        console_error("minroot: %s", error);
        power_off();
    }
    if (!hyperv_init()) {
        power_off();
    }
    lapic_init();
    hyperv_init_processor();
    __atomic_store_n(&cpu_this()->is_online, 1u, __ATOMIC_RELEASE);
    clock_init();
    port_init();
    smp_start();
    console_progress("minroot: %u processors, %llu MiB free", cpu_count(),
                     (unsigned long long)(memory_free_pages() >> 8));
    if (options.test[0] != '\0') {
        bool has_passed = selftest_run(options.test);

        console_text(CONSOLE_STREAM_EXIT, 0, "%d", has_passed ? 0 : 1);
        power_off();
    }
    start();
    __atomic_store_n(&may_run, 1u, __ATOMIC_RELEASE);
    for (uint32_t i = 1; i < cpu_count(); i++) {
        lapic_send(cpu_get(i)->apic_id, TRAP_VECTOR_WAKE);
    }
    sched_run();
}
