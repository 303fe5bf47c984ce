/* SPDX-License-Identifier: MIT */
/* Running child VPs: dispatch, intercepts, blocking and VP signals, suspension, events at entry, and VPs that run
 * elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_intercept.h"
#include "hv/abi/hv_msr.h"
#include "hv/cpu/cpu.h"
#include "hv/mem/mem.h"
#include "hv/partition/deposit.h"
#include "hv/partition/rcu.h"
#include "hv/partition/synic.h"
#include "hv/partition/vp_signal.h"
#include "tests/sim/sim.h"

#define BLOCKED     HV_VP_DISPATCH_STATE_BLOCKED
#define READY       HV_VP_DISPATCH_STATE_READY
#define ROOT_VECTOR 0xf3u

static uint64_t child;
static struct vp *vp0;
static struct vp *vp1;

/* The root listens on SINT0 as the mshv driver does. */
static void enable_root_synic(uint32_t index)
{
    struct vp *vp = root_partition->vps[index];

    assert_true(synic_msr_write(vp, HV_X64_MSR_SIMP, 1));
    assert_true(synic_msr_write(vp, HV_X64_MSR_SINT0, ROOT_VECTOR));
    assert_true(synic_msr_write(vp, HV_X64_MSR_SCONTROL, 1));
}

static int start(void **state)
{
    (void)state;
    sim_start(2);
    for (uint32_t i = 0; i < 2; i++) {
        apic_write(root_partition->vps[i], APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
        enable_root_synic(i);
    }
    child = sim_create_child(400);
    vp0 = sim_create_vp(child, 0);
    vp1 = sim_create_vp(child, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    machine_set_kick_hook(NULL);
    (void)sim_root_vp(0);
    if (sim_partition(child) != NULL) {
        (void)sim_destroy_child(child);
    }
    sim_stop();
    return 0;
}

static hv_status_t dispatch_status(uint64_t id, uint32_t index, uint32_t flags)
{
    struct hv_input_dispatch_vp input = {.partition_id = id, .vp_index = index, .flags = flags};
    struct hv_output_dispatch_vp output;

    return sim_call(HvCallDispatchVp, &input, sizeof(input), &output, sizeof(output));
}

static void assert_dispatch(struct vp *vp, uint32_t flags, uint32_t dispatch_state, uint32_t event)
{
    struct hv_output_dispatch_vp output = sim_dispatch(child, vp->index, flags);

    assert_int_equal(output.dispatch_state, dispatch_state);
    assert_int_equal(output.dispatch_event, event);
}

static hv_status_t assert_interrupt(uint32_t type, uint64_t destination, uint32_t vector)
{
    struct hv_input_assert_virtual_interrupt input = {
        .partition_id = child, .interrupt_type = type, .destination_address = destination, .vector = vector};

    return sim_call(HvCallAssertVirtualInterrupt, &input, sizeof(input), NULL, 0);
}

static uint64_t set_register(uint32_t index, uint32_t name, uint64_t value)
{
    struct {
        struct hv_input_vp_registers header;
        struct hv_register_assoc element;
    } input = {.header = {.partition_id = child, .vp_index = index}, .element = {.name = name, .value.reg64 = value}};

    return sim_rep_call(HvCallSetVpRegisters, 1, &input, sizeof(input), NULL, 0);
}

static uint64_t get_register(uint32_t index, uint32_t name, uint64_t *value)
{
    struct {
        struct hv_input_vp_registers header;
        uint32_t name;
    } input = {.header = {.partition_id = child, .vp_index = index}, .name = name};
    union hv_register_value out = {0};
    uint64_t result =
        sim_rep_call(HvCallGetVpRegisters, 1, &input, sizeof(input.header) + sizeof(name), &out, sizeof(out));

    *value = out.reg64;
    return result;
}

/* The message in slot 0 of a root VP, which is then free again. */
static struct hv_message take_root_message(uint32_t index)
{
    struct vp *vp = root_partition->vps[index];
    struct hv_message *slot = (struct hv_message *)(void *)vp->synic.message_page.page;
    struct hv_message message = *slot;

    slot->header.message_type = HvMessageTypeNone;
    synic_eom(vp);
    return message;
}

static void assert_signal(uint32_t root_vp, uint32_t vp_index)
{
    struct hv_message message = take_root_message(root_vp);
    struct hv_vp_signal_pair_scheduler_message pair;

    memcpy(&pair, message.payload, sizeof(pair));
    assert_int_equal(message.header.message_type, HvMessageTypeSchedulerVpSignalPair);
    assert_int_equal(message.header.payload_size_bytes, sizeof(pair));
    assert_int_equal(pair.vp_count, 1);
    assert_int_equal(pair.partition_ids[0], child);
    assert_int_equal(pair.vp_indexes[0], vp_index);
}

static void assert_no_message(uint32_t root_vp)
{
    assert_int_equal(take_root_message(root_vp).header.message_type, HvMessageTypeNone);
}

static void test_dispatch_statuses(void **state)
{
    uint64_t fresh = sim_create_child(100);

    (void)state;
    assert_int_equal(dispatch_status(4711, 0, 0), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(dispatch_status(child, 7, 0), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(dispatch_status(child, PARTITION_VP_MAX, 0), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(dispatch_status(fresh, 0, 0), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(dispatch_status(child, 0, 0x80), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(dispatch_status(HV_PARTITION_ID_SELF, 0, 0), HV_STATUS_ACCESS_DENIED);
    atomic_store(&vp0->cpu, cpu_get(1));
    assert_int_equal(dispatch_status(child, 0, 0), HV_STATUS_INVALID_VP_STATE);
    atomic_store(&vp0->cpu, NULL);
    assert_int_equal(dispatch_status(child, 0, 0), HV_STATUS_SUCCESS);
    (void)sim_destroy_child(fresh);
}

static void test_an_interrupt_ends_a_dispatch(void **state)
{
    (void)state;
    sim_script_add(vp0, sim_exit_nothing, NULL);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(vp0->exit_count, 1);
    assert_null(atomic_load(&vp0->cpu));
    assert_ptr_equal(cpu_this()->current_vp, root_partition->vps[0]);
}

static void test_an_intercept_waits_for_its_answer(void **state)
{
    struct hv_x64_io_port_intercept_message message;

    (void)state;
    sim_script_add(vp0, sim_exit_out, NULL);
    sim_script_add(vp0, sim_exit_nothing, NULL);
    vp0->regs.gpr[VP_RAX] = 'A';
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    assert_int_equal(vp0->intercept_page->header.message_type, HvMessageTypeX64IoPortIntercept);
    assert_int_equal(vp0->intercept_page->header.sender, child);
    memcpy(&message, vp0->intercept_page->payload, sizeof(message));
    assert_int_equal(message.port_number, 0x3f8);
    assert_int_equal(message.rax, 'A');
    /* Unanswered: the same again, and the guest does not go on. */
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    assert_int_equal(vp0->exit_count, 1);
    assert_dispatch(vp0, HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(vp0->exit_count, 2);
}

/* What the guest's instruction at RIP does to the local APIC's page, at its version register; the event it gets. */
static uint64_t touch_apic(uint64_t code_page, uint64_t rip, const char *code, size_t size)
{
    static uint64_t version_gpa = 0xfee00030;
    uint32_t events = sim_event_count(vp0);

    memcpy((uint8_t *)mem_from_spa(spa(code_page << PAGE_SHIFT)) + (rip & PAGE_MASK), code, size);
    vp0->regs.rip = rip;
    vp0->regs.gpr[VP_RBX] = version_gpa;
    vp0->regs.gpr[VP_RAX] = 0x1234;
    sim_script_add(vp0, sim_exit_read, &version_gpa);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    return sim_event_count(vp0) == events ? 0 : sim_last_event(vp0);
}

static void test_the_apic_page_is_emulated(void **state)
{
    static const char too_long[] = "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66";
    uint64_t page = sim_page();

    (void)state;
    sim_map(child, 0x10, page, 1);
    assert_int_equal(touch_apic(page, 0x10000, "\x8b\x03", 2), 0); /* mov eax, [rbx] */
    assert_int_equal(vp0->regs.gpr[VP_RAX], apic_read(vp0, 0x30));
    assert_int_equal(vp0->regs.rip, 0x10002);
    /* Changed since: no instruction any more, too long a one, one that runs into a page that is not there. */
    assert_int_equal(touch_apic(page, 0x10000, "\x06\x90", 2),
                     hv_pending_interruption(HV_X64_PENDING_EXCEPTION, X86_VECTOR_UD));
    assert_int_equal(touch_apic(page, 0x10000, too_long, 15) & UINT32_MAX,
                     hv_pending_interruption(HV_X64_PENDING_EXCEPTION, X86_VECTOR_GP) |
                         HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE);
    assert_int_equal(touch_apic(page, 0x10ffe, "\x48\x8b", 2), 0);
    assert_int_equal(vp0->regs.rip, 0x10ffe);
    assert_int_equal(vp0->regs.gpr[VP_RAX], 0x1234);
}

static void test_memory_intercepts_say_hole_or_no_access(void **state)
{
    uint64_t input[4] = {child, 6, HV_MAP_GPA_NO_ACCESS, 0};
    uint64_t hole = 0x5123;
    uint64_t forbidden = 0x6456;
    struct hv_x64_memory_intercept_message message;

    (void)state;
    assert_int_equal(sim_rep_call(HvCallMapGpaPages, 1, input, sizeof(input), NULL, 0),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    sim_script_add(vp0, sim_exit_read, &hole);
    sim_script_add(vp0, sim_exit_write, &forbidden);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    assert_int_equal(vp0->intercept_page->header.message_type, HvMessageTypeUnmappedGpa);
    memcpy(&message, vp0->intercept_page->payload, sizeof(message));
    assert_int_equal(message.guest_physical_address, hole);
    assert_int_equal(message.header.intercept_access_type, HV_INTERCEPT_ACCESS_READ);
    assert_dispatch(vp0, HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND, READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    assert_int_equal(vp0->intercept_page->header.message_type, HvMessageTypeGpaIntercept);
    memcpy(&message, vp0->intercept_page->payload, sizeof(message));
    assert_int_equal(message.guest_physical_address, forbidden);
    assert_int_equal(message.header.intercept_access_type, HV_INTERCEPT_ACCESS_WRITE);
}

static void test_halt_blocks_and_an_interrupt_signals_once(void **state)
{
    uint64_t count;

    (void)state;
    apic_write(vp0, APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
    vp0->regs.rflags |= X86_RFLAGS_IF;
    sim_script_add(vp0, sim_exit_halt, NULL);
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);
    assert_no_message(0);
    /* Still blocked when dispatched without need. */
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);

    assert_int_equal(assert_interrupt(HvX64InterruptTypeFixed, 0, 0x55), HV_STATUS_SUCCESS);
    assert_signal(0, 0);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeFixed, 0, 0x56), HV_STATUS_SUCCESS);
    assert_no_message(0);
    assert_int_equal(get_register(0, HvRegisterVpRootSignalCount, &count), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_int_equal(count, 1);

    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(vp0->activity, VP_ACTIVE);
    assert_int_equal(hv_pending_interruption_vector(sim_last_event(vp0)), 0x56);
    assert_int_equal(atomic_load(&vp0->root_signal_count), 1);
}

static void test_the_signal_goes_to_the_root_vp_that_dispatched(void **state)
{
    (void)state;
    apic_write(vp0, APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
    vp0->regs.rflags |= X86_RFLAGS_IF;
    (void)sim_root_vp(1);
    sim_script_add(vp0, sim_exit_halt, NULL);
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);
    (void)sim_root_vp(0);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeFixed, 0, 0x55), HV_STATUS_SUCCESS);
    assert_no_message(0);
    assert_signal(1, 0);
    /* That processor is woken for it. */
    assert_true(machine_kick_count(1) > 0);
}

static void test_halt_with_interrupts_off_waits_for_an_nmi(void **state)
{
    (void)state;
    apic_write(vp0, APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
    vp0->regs.rflags &= ~X86_RFLAGS_IF;
    sim_script_add(vp0, sim_exit_halt, NULL);
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeFixed, 0, 0x55), HV_STATUS_SUCCESS);
    assert_no_message(0);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeNmi, 0, 0), HV_STATUS_SUCCESS);
    assert_signal(0, 0);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(hv_pending_interruption_type(sim_last_event(vp0)), HV_X64_PENDING_NMI);
}

static void test_work_before_the_halt_prevents_blocking(void **state)
{
    (void)state;
    apic_write(vp0, APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
    vp0->regs.rflags |= X86_RFLAGS_IF;
    assert_int_equal(assert_interrupt(HvX64InterruptTypeFixed, 0, 0x55), HV_STATUS_SUCCESS);
    vp0->regs.rflags &= ~X86_RFLAGS_IF;
    sim_script_add(vp0, sim_exit_nothing, NULL);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(sim_event_count(vp0), 0);
    vp0->regs.rflags |= X86_RFLAGS_IF;
    sim_script_add(vp0, sim_exit_halt, NULL);
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(sim_event_count(vp0), 1);
    assert_no_message(0);
}

static void test_a_signal_waits_for_room(void **state)
{
    struct vp *root = root_partition->vps[0];

    (void)state;
    apic_write(vp0, APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
    vp0->regs.rflags |= X86_RFLAGS_IF;
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(synic_msr_write(root_partition->vps[i], HV_X64_MSR_SCONTROL, 0));
    }
    sim_script_add(vp0, sim_exit_halt, NULL);
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeFixed, 0, 0x55), HV_STATUS_SUCCESS);
    assert_int_equal(atomic_load(&vp0->root_signal_count), 1);
    assert_true((atomic_load(&root->requests) & VP_REQUEST_EOM) != 0);
    assert_true(synic_msr_write(root, HV_X64_MSR_SCONTROL, 1));
    /* The root VP's next entry sends it. */
    assert_true(vp_handle_requests(root));
    assert_signal(0, 0);
    assert_int_equal(atomic_load(&root->requests) & VP_REQUEST_EOM, 0);
}

static void test_a_waiting_signal_is_forgotten_with_its_vp(void **state)
{
    (void)state;
    apic_write(vp0, APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
    vp0->regs.rflags |= X86_RFLAGS_IF;
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(synic_msr_write(root_partition->vps[i], HV_X64_MSR_SCONTROL, 0));
    }
    sim_script_add(vp0, sim_exit_halt, NULL);
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeFixed, 0, 0x55), HV_STATUS_SUCCESS);
    (void)sim_destroy_child(child);
    assert_true(synic_msr_write(root_partition->vps[0], HV_X64_MSR_SCONTROL, 1));
    vp_signal_retry();
    assert_no_message(0);
}

static void test_suspended_vps_do_not_run(void **state)
{
    uint64_t value;

    (void)state;
    assert_int_equal(set_register(0, HvRegisterExplicitSuspend, 1), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_int_equal(get_register(0, HvRegisterExplicitSuspend, &value), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_int_equal(value, 1);
    sim_script_add(vp0, sim_exit_nothing, NULL);
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_SUSPEND);
    assert_int_equal(vp0->exit_count, 0);
    /* Runnable again: one signal. */
    assert_int_equal(set_register(0, HvRegisterExplicitSuspend, 0), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_signal(0, 0);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(vp0->exit_count, 1);

    assert_int_equal(set_register(0, HvRegisterDispatchSuspend, 1), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_dispatch(vp0, 0, BLOCKED, HV_VP_DISPATCH_EVENT_SUSPEND);
    /* Suspended VPs are not signalled. */
    apic_write(vp0, APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeFixed, 0, 0x55), HV_STATUS_SUCCESS);
    assert_no_message(0);
}

static void leave_guest_mode(struct cpu *cpu)
{
    /* What processor 1 does when it is kicked out of VP 0. */
    if (atomic_load(&vp0->cpu) == cpu) {
        atomic_store(&vp0->cpu, NULL);
    }
}

static void test_suspending_waits_until_the_vp_has_stopped(void **state)
{
    (void)state;
    atomic_store(&vp0->cpu, cpu_get(1));
    machine_set_kick_hook(leave_guest_mode);
    assert_int_equal(set_register(0, HvRegisterExplicitSuspend, 1), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_null(atomic_load(&vp0->cpu));
    assert_true(machine_kick_count(1) > 0);
}

static void test_a_running_vp_is_not_touched(void **state)
{
    uint64_t value;

    (void)state;
    atomic_store(&vp0->cpu, cpu_get(1));
    assert_int_equal(get_register(0, HvX64RegisterRip, &value), hv_hypercall_result(HV_STATUS_INVALID_VP_STATE, 0));
    assert_int_equal(set_register(0, HvX64RegisterRip, 5), hv_hypercall_result(HV_STATUS_INVALID_VP_STATE, 0));
    assert_int_equal(get_register(0, HvRegisterVpRootSignalCount, &value), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    atomic_store(&vp0->cpu, NULL);
    assert_int_equal(set_register(0, HvX64RegisterRip, 5), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_int_equal(vp0->regs.rip, 5);
}

static void test_finalising_stops_what_runs(void **state)
{
    (void)state;
    atomic_store(&vp0->cpu, cpu_get(1));
    machine_set_kick_hook(leave_guest_mode);
    assert_int_equal(sim_call(HvCallFinalizePartition, &child, sizeof(child), NULL, 0), HV_STATUS_SUCCESS);
    assert_true(machine_kick_count(1) > 0);
    assert_int_equal(dispatch_status(child, 0, 0), HV_STATUS_INVALID_PARTITION_STATE);
    assert_int_equal(sim_partition(child)->vp_count, 0);
    assert_int_equal(sim_withdraw_all(child), 400);
    assert_int_equal(sim_call(HvCallDeletePartition, &child, sizeof(child), NULL, 0), HV_STATUS_SUCCESS);
}

static enum exit_action pause_once(struct vp *vp, void *context)
{
    (void)context;
    return exit_pause(vp, 2);
}

/* Exits in a dispatch of a VP 0 that spins; its script has one more. */
static uint64_t exits_until_it_gives_way(void)
{
    uint64_t before = vp0->exit_count;
    uint64_t rip = vp0->regs.rip;

    sim_script_clear(vp0);
    sim_script_add(vp0, pause_once, NULL);
    sim_script_add(vp0, sim_exit_nothing, NULL);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(vp0->regs.rip, rip + 2);
    return vp0->exit_count - before;
}

static void test_a_vp_that_spins_gives_way_to_a_sibling(void **state)
{
    (void)state;
    assert_int_equal(exits_until_it_gives_way(), 2); /* VP 1 waits for its start */
    vp1->activity = VP_ACTIVE;
    assert_int_equal(exits_until_it_gives_way(), 1);
    atomic_store(&vp1->cpu, cpu_get(1));
    assert_int_equal(exits_until_it_gives_way(), 2); /* it runs */
    atomic_store(&vp1->cpu, NULL);
    vp1->is_intercept_suspended = true;
    assert_int_equal(exits_until_it_gives_way(), 2); /* its root is not done with it */
}

static void test_application_processors_wait_for_sipi(void **state)
{
    union hv_register_value cs;
    uint64_t activity;

    (void)state;
    sim_script_add(vp1, sim_exit_nothing, NULL);
    assert_dispatch(vp1, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(get_register(1, HvRegisterInternalActivityState, &activity),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_int_equal(activity, HV_ACTIVITY_STARTUP_SUSPEND);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeInit, 1, 0), HV_STATUS_SUCCESS);
    assert_no_message(0);
    assert_int_equal(assert_interrupt(HvX64InterruptTypeSipi, 1, 0x9a), HV_STATUS_SUCCESS);
    assert_signal(0, 1);
    assert_dispatch(vp1, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(vp1->exit_count, 1);
    assert_int_equal(vp1->regs.rip, 0);
    assert_int_equal(vp_get_register(vp1, HvX64RegisterCs, &cs), HV_STATUS_SUCCESS);
    assert_int_equal(cs.segment.selector, 0x9a00);
    assert_int_equal(cs.segment.base, 0x9a000);
    /* A second SIPI means nothing to a VP that runs. */
    vp1->regs.rip = 0x1234;
    assert_int_equal(assert_interrupt(HvX64InterruptTypeSipi, 1, 0x10), HV_STATUS_SUCCESS);
    assert_dispatch(vp1, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(vp1->regs.rip, 0x1234);
    /* INIT brings it back. */
    assert_int_equal(assert_interrupt(HvX64InterruptTypeInit, 1, 0), HV_STATUS_SUCCESS);
    assert_dispatch(vp1, 0, BLOCKED, HV_VP_DISPATCH_EVENT_NONE);
}

static void send_sipi(struct vp *vp)
{
    vp->sipi_vector = 0x42;
    (void)atomic_fetch_or(&vp->requests, VP_REQUEST_SIPI);
}

/* The SIPI comes while the INIT is still being handled: it must neither be lost nor start the VP anywhere else. */
static void test_sipi_right_behind_init(void **state)
{
    union hv_register_value cs;

    (void)state;
    vp1->activity = VP_ACTIVE;
    assert_int_equal(assert_interrupt(HvX64InterruptTypeInit, 1, 0), HV_STATUS_SUCCESS);
    sim_set_reset_hook(send_sipi);
    assert_true(vp_handle_requests(vp1));
    sim_set_reset_hook(NULL);
    assert_int_equal(vp1->activity, VP_ACTIVE);
    assert_int_equal(vp_get_register(vp1, HvX64RegisterCs, &cs), HV_STATUS_SUCCESS);
    assert_int_equal(cs.segment.base, 0x42000);
    assert_int_equal(vp1->regs.rip, 0);
    /* And one that is there before the look, but not seen by it, is left for the next. */
    assert_int_equal(assert_interrupt(HvX64InterruptTypeInit, 1, 0), HV_STATUS_SUCCESS);
    assert_false(vp_handle_requests(vp1));
    assert_int_equal(vp1->run_status, VP_RUN_BLOCKED);
    send_sipi(vp1);
    assert_true(vp_has_work(vp1));
    assert_true(vp_handle_requests(vp1));
    assert_int_equal(vp1->regs.rip, 0);
}

static enum exit_action let_time_pass(struct vp *vp, void *context)
{
    (void)vp;
    (void)context;
    machine_advance_100ns(600);
    return EXIT_RESUME;
}

static void test_a_slice_ends(void **state)
{
    struct hv_input_dispatch_vp input = {.partition_id = child, .vp_index = 0, .time_slice_100ns = 1000};
    struct hv_output_dispatch_vp output;

    (void)state;
    for (uint32_t i = 0; i < 10; i++) {
        sim_script_add(vp0, let_time_pass, NULL);
    }
    assert_int_equal(sim_call(HvCallDispatchVp, &input, sizeof(input), &output, sizeof(output)), HV_STATUS_SUCCESS);
    assert_int_equal(output.dispatch_state, READY);
    assert_int_equal(vp0->exit_count, 2);
    /* The next one has its whole slice again. */
    assert_int_equal(sim_call(HvCallDispatchVp, &input, sizeof(input), &output, sizeof(output)), HV_STATUS_SUCCESS);
    assert_int_equal(vp0->exit_count, 4);
    /* None is armed when no dispatch is under way. */
    machine_advance_100ns(100000);
    assert_int_equal(atomic_load(&vp0->requests) & VP_REQUEST_SLICE, 0);
    assert_true(vp0->run_time_tsc >= 2400 * (MACHINE_TSC_HZ / 10000000));
    assert_int_equal(vp0->stats_page == NULL, true);
}

static enum exit_action signal_root(struct vp *vp, void *context)
{
    (void)vp;
    (void)context;
    (void)apic_set_irr(root_partition->vps[0], 0x44, false);
    return EXIT_RESUME;
}

static void test_work_for_the_root_on_this_processor_ends_a_dispatch(void **state)
{
    (void)state;
    sim_script_add(vp0, sim_exit_nothing, NULL);
    sim_script_add(vp0, signal_root, NULL);
    for (uint32_t i = 0; i < 5; i++) {
        sim_script_add(vp0, sim_exit_nothing, NULL);
    }
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_NONE);
    assert_int_equal(vp0->exit_count, 2);
}

static void test_a_triple_fault_is_an_intercept(void **state)
{
    (void)state;
    sim_script_add(vp0, sim_exit_shutdown, NULL);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    assert_int_equal(vp0->intercept_page->header.message_type, HvMessageTypeUnrecoverableException);
}

static enum exit_action break_down(struct vp *vp, void *context)
{
    (void)context;
    return exit_unexpected(vp, 0x77, "a test");
}

static void test_a_lost_partition_stops_everywhere(void **state)
{
    uint64_t other = sim_create_child(200);
    struct vp *sibling = sim_create_vp(other, 0);

    (void)state;
    sim_script_add(vp0, break_down, NULL);
    assert_dispatch(vp0, 0, READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    assert_int_equal(vp0->intercept_page->header.message_type, HvMessageTypeUnrecoverableException);
    vp1->activity = VP_ACTIVE;
    sim_script_add(vp1, sim_exit_nothing, NULL);
    assert_dispatch(vp1, 0, READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    assert_int_equal(vp1->exit_count, 0);
    assert_int_equal(vp1->intercept_page->header.message_type, HvMessageTypeUnrecoverableException);
    assert_dispatch(vp0, HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND, READY, HV_VP_DISPATCH_EVENT_INTERCEPT);
    /* Its sibling partition goes on. */
    sim_script_add(sibling, sim_exit_nothing, NULL);
    assert_int_equal(sim_dispatch(other, 0, 0).dispatch_event, HV_VP_DISPATCH_EVENT_NONE);
    (void)sim_destroy_child(other);
}

static void assert_pending(uint64_t event, uint32_t vector, bool has_error, uint32_t error)
{
    assert_true((event & HV_PENDING_INTERRUPTION_PENDING) != 0);
    assert_int_equal(hv_pending_interruption_vector(event), vector);
    assert_int_equal((event & HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE) != 0, has_error);
    assert_int_equal(hv_pending_interruption_error_code(event), error);
}

static void test_exceptions_merge(void **state)
{
    union hv_register_value cr2;

    (void)state;
    vp_inject_gp(vp0);
    assert_pending(vp0->pending_interruption, X86_VECTOR_GP, true, 0);
    vp_inject_exception(vp0, X86_VECTOR_UD, false, 0); /* benign behind contributory: the later one */
    assert_pending(vp0->pending_interruption, X86_VECTOR_UD, false, 0);
    vp_inject_page_fault(vp0, 0x123456, 6);
    assert_pending(vp0->pending_interruption, X86_VECTOR_PF, true, 6);
    assert_int_equal(vp_get_register(vp0, HvX64RegisterCr2, &cr2), HV_STATUS_SUCCESS);
    assert_int_equal(cr2.reg64, 0x123456);
    vp_inject_gp(vp0);
    assert_pending(vp0->pending_interruption, X86_VECTOR_DF, true, 0);
    vp_inject_gp(vp0);
    assert_true(vp0->is_intercept_suspended);
    assert_int_equal(vp0->intercept_page->header.message_type, HvMessageTypeUnrecoverableException);
}

static void test_events_at_entry_by_severity(void **state)
{
    struct vp_event event;

    (void)state;
    apic_write(vp0, APIC_REG_SVR, APIC_SVR_ENABLE | 0xff);
    vp0->regs.rflags |= X86_RFLAGS_IF;
    (void)apic_set_irr(vp0, 0x61, false);
    (void)apic_set_irr(vp0, 0x92, false);
    vp_wake(vp0, VP_REQUEST_NMI);
    vp_inject_gp(vp0);
    event = vp_next_event(vp0);
    assert_true(event.inject);
    assert_pending(event.interruption, X86_VECTOR_GP, true, 0);
    assert_true(event.want_nmi_window);
    assert_true(event.want_interrupt_window);
    assert_int_equal(event.window_priority, 9);
    assert_int_equal(vp0->pending_interruption, 0);

    event = vp_next_event(vp0);
    assert_int_equal(hv_pending_interruption_type(event.interruption), HV_X64_PENDING_NMI);
    assert_true(vp0->nmi_masked);
    /* A second NMI waits for the end of the first. */
    vp_wake(vp0, VP_REQUEST_NMI);
    event = vp_next_event(vp0);
    assert_int_equal(hv_pending_interruption_vector(event.interruption), 0x92);
    assert_true(event.want_nmi_window);
    /* The lower one is held back by the one in service. */
    event = vp_next_event(vp0);
    assert_false(event.inject);
    assert_false(event.want_interrupt_window);
    apic_eoi(vp0);
    vp0->interrupt_shadow = true;
    event = vp_next_event(vp0);
    assert_false(event.inject);
    assert_true(event.want_interrupt_window);
    vp0->interrupt_shadow = false;
    vp0->regs.rflags &= ~X86_RFLAGS_IF;
    event = vp_next_event(vp0);
    assert_false(event.inject);
    assert_int_equal(event.window_priority, 6);
}

static void test_advancing(void **state)
{
    union hv_register_value cs = {0};
    union hv_register_value zero = {0};

    (void)state;
    vp0->regs.rip = 0xffffffff;
    vp0->interrupt_shadow = true;
    vp0->regs.rflags |= X86_RFLAGS_RF;
    vp_advance(vp0, 2);
    assert_true(vp0->regs.rip == 0x100000001);
    assert_false(vp0->interrupt_shadow);
    assert_int_equal(vp0->regs.rflags & X86_RFLAGS_RF, 0);
    assert_int_equal(backend->set_register(vp0, HvX64RegisterCs, &cs), HV_STATUS_SUCCESS);
    assert_int_equal(backend->set_register(vp0, HvX64RegisterEfer, &zero), HV_STATUS_SUCCESS);
    vp0->regs.rip = 0xffffffff;
    vp_advance(vp0, 2);
    assert_true(vp0->regs.rip == 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dispatch_statuses),
        TEST(test_an_interrupt_ends_a_dispatch),
        TEST(test_an_intercept_waits_for_its_answer),
        TEST(test_the_apic_page_is_emulated),
        TEST(test_memory_intercepts_say_hole_or_no_access),
        TEST(test_halt_blocks_and_an_interrupt_signals_once),
        TEST(test_the_signal_goes_to_the_root_vp_that_dispatched),
        TEST(test_halt_with_interrupts_off_waits_for_an_nmi),
        TEST(test_work_before_the_halt_prevents_blocking),
        TEST(test_a_signal_waits_for_room),
        TEST(test_a_waiting_signal_is_forgotten_with_its_vp),
        TEST(test_suspended_vps_do_not_run),
        TEST(test_suspending_waits_until_the_vp_has_stopped),
        TEST(test_a_running_vp_is_not_touched),
        TEST(test_finalising_stops_what_runs),
        TEST(test_a_vp_that_spins_gives_way_to_a_sibling),
        TEST(test_application_processors_wait_for_sipi),
        TEST(test_sipi_right_behind_init),
        TEST(test_a_slice_ends),
        TEST(test_work_for_the_root_on_this_processor_ends_a_dispatch),
        TEST(test_a_triple_fault_is_an_intercept),
        TEST(test_a_lost_partition_stops_everywhere),
        TEST(test_exceptions_merge),
        TEST(test_events_at_entry_by_severity),
        TEST(test_advancing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
