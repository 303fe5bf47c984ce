/* SPDX-License-Identifier: MIT */
/*
 * The hypercall engine with every call of its table: sequences of calls by two root VPs and by the VPs of two children
 * inside their dispatches, memory and fast forms, rep lists from any start, parameters that change as soon as they were
 * read, time in between.
 *
 * Holds after each call: the status is one that the call may return, reps are within the list, output is written only
 * where the call has completed output, RIP stays, no lock is held. At the end every partition can be finalised, emptied
 * and deleted, gives back each page that was deposited, and what the hypervisor owns of RAM is what the deposits count.
 */
#include <stdio.h>
#include <string.h>

#include "hv/abi/hv_msr.h"
#include "hv/hypercall/engine.h"
#include "hv/hypercall/table.h"
#include "hv/lib/compiler.h"
#include "hv/lib/range.h"
#include "hv/mem/mem.h"
#include "hv/partition/device_interrupt.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/page_owner.h"
#include "tests/fuzz/call_status.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hostile_page.h"
#include "tests/sim/sim.h"

#define CODE_MAX           0x200u
#define OPERATIONS_MAX     40u
#define STEPS_MAX          4u
#define CPUS               2u
#define CHILDREN           2u
#define CHILD_VPS          2u
#define CHILD_PAGES        110u
#define CHILD_RAM_PAGES    16u
#define CHILD_INPUT_GPA    0x3000ull
#define CHILD_OUTPUT_GPA   0x4000ull
#define ENTRIES_MAX        100000u
#define OUTPUT_FILL        0xccu
#define ADVANCE_SHIFT_MAX  20u
#define VMMCALL_BYTES      3u
#define PARTITION_ID_LIMIT 64u /* more than one input can create */

static uint16_t codes[CODE_MAX];
static uint32_t code_count;
static struct fuzz_input *the_input;

static void list_codes(void)
{
    code_count = 0;
    for (uint16_t code = 0; code < CODE_MAX; code++) {
        if (hypercall_find(code) != NULL) {
            codes[code_count++] = code;
        }
    }
}

/* Numbers that mean something to some call: ids, indexes, pages, flags. */
static uint64_t pick_number(struct fuzz_input *input)
{
    switch (fuzz_below(input, 10)) {
    case 0:
        return 0;
    case 1:
        return fuzz_u8(input);
    case 2:
        return fuzz_u16(input);
    case 3:
        return fuzz_below(input, 2) == 0 ? HV_PARTITION_ID_SELF : 1 + fuzz_below(input, 4);
    case 4:
        return (SIM_FREE_GPA >> PAGE_SHIFT) + fuzz_u16(input) % 1024;
    case 5:
        return 2 + fuzz_below(input, 2);
    case 6:
        return fuzz_u8(input) | (uint64_t)fuzz_u8(input) << 32;
    case 7:
        return UINT64_C(1) << fuzz_below(input, 64);
    case 8:
        return fuzz_u32(input);
    default:
        return fuzz_u64(input);
    }
}

/* The qword at a place of the parameters: mostly a partition in front, then a VP of it or a flag. */
static uint64_t pick_parameter(struct fuzz_input *input, uint32_t index)
{
    uint32_t kind = fuzz_below(input, 8);

    if (index == 0 && kind < 6) {
        return kind == 0 ? HV_PARTITION_ID_SELF : 1 + kind % 3;
    }
    if (index == 1 && kind < 4) {
        return kind;
    }
    return pick_number(input);
}

/* One call as its caller's registers have it. */
struct call {
    uint64_t control;
    uint64_t input;
    uint64_t output;
    uint8_t parameters[PAGE_SIZE];
};

/* Mostly well formed by its row, so that the handler is reached; sometimes anything. */
static uint64_t pick_control(struct fuzz_input *input)
{
    uint16_t code = codes[fuzz_u8(input) % code_count];
    const struct hypercall_row *row = hypercall_find(code);
    uint32_t kind = fuzz_below(input, 16);
    uint32_t variable;
    uint32_t reps;
    uint64_t control;

    if (kind == 0) {
        return fuzz_u64(input);
    }
    if (kind == 1) {
        return (fuzz_u64(input) & ~HV_HYPERCALL_RESULT_STATUS_MASK) | code;
    }
    variable = row->variable_max != 0 ? fuzz_u8(input) % (row->variable_max + 1u) : 0;
    reps = row->rep_batch != 0 ? 1 + fuzz_u16(input) % 512u : 0;
    control = hv_hypercall_control(code, variable, reps, 0);
    if (row->rep_batch != 0 && kind < 4) {
        control = hv_hypercall_with_rep_start(control, fuzz_below(input, hv_hypercall_rep_count(control) % 256 + 1));
    }
    return control | (kind >= 12 && row->allows_fast ? HV_HYPERCALL_FAST : 0);
}

static void pick_call(struct fuzz_input *input, struct call *call, uint64_t input_gpa, uint64_t output_gpa)
{
    uint32_t kind = fuzz_below(input, 16);
    uint32_t numbers = fuzz_below(input, 32);

    memset(call, 0, sizeof(*call));
    call->control = pick_control(input);
    for (uint32_t i = 0; i < numbers; i++) {
        uint64_t number = pick_parameter(input, i);

        memcpy(call->parameters + i * sizeof(number), &number, sizeof(number));
    }
    call->input = input_gpa + (kind == 0 ? fuzz_u16(input) : 0);
    call->output = kind == 1 ? call->input : output_gpa + (kind == 2 ? fuzz_u16(input) : 0);
    if ((call->control & HV_HYPERCALL_FAST) != 0) {
        memcpy(&call->input, call->parameters, sizeof(call->input));
        memcpy(&call->output, call->parameters + sizeof(call->input), sizeof(call->output));
    } else if (kind == 3) {
        call->input = pick_number(input);
        call->output = pick_number(input);
    }
}

/* Puts the parameters where the caller has them; it may have lost the page meanwhile. */
static void write_parameters(struct partition *caller, const struct call *call, uint64_t input_gpa, uint64_t output_gpa)
{
    uint8_t fill[PAGE_SIZE];

    memset(fill, OUTPUT_FILL, sizeof(fill));
    (void)!gpa_write(caller, gpa(output_gpa), fill, sizeof(fill));
    (void)!gpa_write(caller, gpa(input_gpa), call->parameters, sizeof(call->parameters));
}

/* Bytes of output that a call with this result may have written; simple calls write all or nothing. */
static uint32_t output_bytes(const struct hypercall_row *row, uint64_t result)
{
    if (row == NULL) {
        return 0;
    }
    if (row->rep_batch != 0) {
        return hv_hypercall_result_reps(result) * row->rep_output_size;
    }
    return hv_hypercall_result_status(result) == HV_STATUS_SUCCESS ? row->output_size : 0;
}

static void check_output(struct partition *caller, const struct call *call, uint64_t result, uint64_t output_gpa)
{
    const struct hypercall_row *row = hypercall_find(hv_hypercall_code(call->control));
    uint8_t page[PAGE_SIZE];
    uint32_t written = (call->control & HV_HYPERCALL_FAST) != 0 ? 0 : output_bytes(row, result);

    hostile_page_set(0);
    /* Where the output had another place, or the call itself has to do with this page, nothing can be said. */
    if ((call->control & HV_HYPERCALL_FAST) == 0 &&
        (call->output != output_gpa || call->input / PAGE_SIZE == output_gpa / PAGE_SIZE)) {
        return;
    }
    if (!gpa_read(caller, gpa(output_gpa), page, sizeof(page))) {
        return;
    }
    for (uint32_t i = written; i < sizeof(page); i++) {
        FUZZ_CHECK(page[i] == OUTPUT_FILL);
    }
}

static void check_result(struct vp *vp, const struct call *call, uint64_t result)
{
    uint16_t code = hv_hypercall_code(call->control);
    const struct hypercall_row *row = hypercall_find(code);
    uint32_t reps = hv_hypercall_result_reps(result);
    hv_status_t status = hv_hypercall_result_status(result);

    if (!call_status_is_expected(code, status)) {
        fprintf(stderr, "call 0x%x (%s) returns status 0x%x\n", code, row == NULL ? "none" : row->name, status);
    }
    FUZZ_CHECK(call_status_is_expected(code, status));
    FUZZ_CHECK((result & ~(HV_HYPERCALL_RESULT_STATUS_MASK | HV_HYPERCALL_RESULT_REPS_MASK)) == 0);
    if (row == NULL || row->rep_batch == 0) {
        FUZZ_CHECK(reps == 0 || status != HV_STATUS_SUCCESS);
    } else {
        FUZZ_CHECK(reps <= hv_hypercall_rep_count(call->control) || status != HV_STATUS_SUCCESS);
        FUZZ_CHECK(status != HV_STATUS_SUCCESS || reps == hv_hypercall_rep_count(call->control));
    }
    FUZZ_CHECK(vp->is_root || row == NULL || !row->is_root_only || status == HV_STATUS_ACCESS_DENIED);
}

static void load_registers(struct vp *vp, const struct call *call)
{
    vp->regs.gpr[VP_RCX] = call->control;
    vp->regs.gpr[VP_RDX] = call->input;
    vp->regs.gpr[8] = call->output;
}

/* A root VP makes the call, until it is complete or an exception came instead. */
static void root_call(struct fuzz_input *input)
{
    struct vp *vp = sim_root_vp(fuzz_below(input, CPUS));
    uint64_t input_gpa = SIM_INPUT_GPA + vp->index * 2 * PAGE_SIZE;
    uint64_t output_gpa = input_gpa + PAGE_SIZE;
    uint64_t rip = vp->regs.rip;
    bool is_complete = false;
    struct call call;

    pick_call(input, &call, input_gpa, output_gpa);
    hostile_page_set(0);
    write_parameters(root_partition, &call, input_gpa, output_gpa);
    hostile_page_set(fuzz_below(input, 4) == 0 ? fuzz_u8(input) : 0);
    load_registers(vp, &call);
    for (uint32_t i = 0; !is_complete && vp->pending_interruption == 0; i++) {
        FUZZ_CHECK(i < ENTRIES_MAX);
        is_complete = hypercall_execute(vp, true);
        FUZZ_CHECK(vp->regs.rip == rip && machine_locks_held() == 0);
    }
    if (is_complete) {
        check_result(vp, &call, vp->regs.gpr[VP_RAX]);
        check_output(root_partition, &call, vp->regs.gpr[VP_RAX], output_gpa);
    }
    vp->pending_interruption = 0;
}

/* One hypercall instruction of a child in its run loop. */
static enum exit_action child_step(struct vp *vp, void *context)
{
    struct fuzz_input *input = the_input;
    uint64_t rip = vp->regs.rip;
    enum exit_action action = EXIT_RESUME;
    struct call call;

    /* The root may have set its registers to other modes, where the call is in other registers. */
    bool is_64 = vp_is_long_mode(vp);

    (void)context;
    pick_call(input, &call, CHILD_INPUT_GPA, CHILD_OUTPUT_GPA);
    hostile_page_set(0);
    write_parameters(vp->partition, &call, CHILD_INPUT_GPA, CHILD_OUTPUT_GPA);
    hostile_page_set(fuzz_below(input, 4) == 0 ? fuzz_u8(input) : 0);
    load_registers(vp, &call);
    for (uint32_t i = 0; action == EXIT_RESUME && vp->regs.rip == rip && vp->pending_interruption == 0 &&
                         !vp->is_intercept_suspended && (vp->requests & VP_REQUEST_SUSPEND) == 0;
         i++) {
        FUZZ_CHECK(i < ENTRIES_MAX);
        action = exit_hypercall(vp, VMMCALL_BYTES);
        FUZZ_CHECK(machine_locks_held() == 0);
    }
    if (vp->regs.rip != rip && is_64) {
        FUZZ_CHECK(vp->regs.rip == rip + VMMCALL_BYTES);
        check_result(vp, &call, vp->regs.gpr[VP_RAX]);
        check_output(vp->partition, &call, vp->regs.gpr[VP_RAX], CHILD_OUTPUT_GPA);
    }
    hostile_page_set(0);
    return action;
}

static struct vp *find_vp(uint64_t partition_id, uint32_t index)
{
    struct partition *partition = sim_partition(partition_id);

    return partition == NULL ? NULL : partition_vp(partition, index, NULL);
}

/* The root dispatches a child, which makes a few calls. */
static void child_calls(struct fuzz_input *input)
{
    uint64_t partition_id = 2 + fuzz_below(input, CHILDREN);
    uint32_t index = fuzz_below(input, CHILD_VPS);
    uint32_t steps = 1 + fuzz_below(input, STEPS_MAX);
    struct hv_input_dispatch_vp dispatch = {.partition_id = partition_id, .vp_index = index};
    struct vp *root = sim_root_vp(fuzz_below(input, CPUS));
    struct vp *vp = find_vp(partition_id, index);

    if (vp == NULL) {
        return;
    }
    hostile_page_set(0);
    vp_set_suspended(vp, &vp->is_explicitly_suspended, false);
    vp_set_suspended(vp, &vp->is_intercept_suspended, false);
    if (vp_claim(vp)) {
        sim_script_clear(vp);
        vp->activity = VP_ACTIVE;
        vp->pending_interruption = 0;
        for (uint32_t i = 0; i < steps; i++) {
            sim_script_add(vp, child_step, NULL);
        }
        vp_release(vp);
    }
    if (!gpa_write(root_partition, gpa(SIM_INPUT_GPA), &dispatch, sizeof(dispatch))) {
        return;
    }
    load_registers(root, &(struct call){.control = HvCallDispatchVp, .input = SIM_INPUT_GPA, .output = SIM_OUTPUT_GPA});
    for (uint32_t i = 0; i < ENTRIES_MAX && !hypercall_execute(root, true); i++) {
    }
    root->pending_interruption = 0;
    vp = find_vp(partition_id, index);
    if (vp != NULL) {
        sim_script_clear(vp);
    }
}

static void set_msr(struct vp *vp, uint32_t msr, uint64_t value)
{
    FUZZ_CHECK(msr_host_write(vp, msr, value) == HV_STATUS_SUCCESS);
}

/*
 * The children have some RAM, whose pages 3 and 4 are for parameters, and their guests have set up the hypercall
 * interface and a SINT. The second child has every privilege: what it may not do is only what is the root's alone.
 */
static void make_child(bool is_privileged)
{
    uint64_t id = sim_create_child(CHILD_PAGES);
    struct partition *partition = sim_partition(id);

    partition->privileges = is_privileged ? UINT64_MAX : partition->privileges;
    sim_map(id, 0, sim_pages(CHILD_RAM_PAGES, 1), CHILD_RAM_PAGES);
    for (uint32_t i = 0; i < CHILD_VPS; i++) {
        struct vp *vp = sim_create_vp(id, i);

        set_msr(vp, HV_X64_MSR_GUEST_OS_ID, 1);
        set_msr(vp, HV_X64_MSR_HYPERCALL, 0x5001);
        set_msr(vp, HV_X64_MSR_SIMP, 0x6001 + i * 2 * PAGE_SIZE);
        set_msr(vp, HV_X64_MSR_SIEFP, 0x7001 + i * 2 * PAGE_SIZE);
        set_msr(vp, HV_X64_MSR_SINT0 + 2, 0x50);
        backend->vp_put(vp);
    }
}

/* A call of the root that no input has chosen, through a page that is certainly its own; reps count from the list. */
static uint64_t plain_call(uint64_t control, const void *parameters, size_t size)
{
    struct vp *vp = sim_root_vp(0);
    uint64_t input_gpa = sim_page() << PAGE_SHIFT;

    for (uint64_t output_gpa = sim_page() << PAGE_SHIFT;;) {
        if (gpa_write(root_partition, gpa(input_gpa), parameters, size) &&
            gpa_is_writable(root_partition, gpa(output_gpa), PAGE_SIZE)) {
            load_registers(vp, &(struct call){.control = control, .input = input_gpa, .output = output_gpa});
            break;
        }
        input_gpa = sim_page() << PAGE_SHIFT;
        output_gpa = sim_page() << PAGE_SHIFT;
    }
    for (uint32_t i = 0; !hypercall_execute(vp, true); i++) {
        FUZZ_CHECK(i < ENTRIES_MAX);
    }
    return vp->regs.gpr[VP_RAX];
}

static void destroy_partition(struct partition *partition)
{
    struct hv_input_withdraw_memory withdraw = {.partition_id = partition->id};
    hv_status_t status;
    uint64_t result;

    status = hv_hypercall_result_status(plain_call(HvCallFinalizePartition, &partition->id, sizeof(partition->id)));
    FUZZ_CHECK(status == HV_STATUS_SUCCESS || (status == HV_STATUS_INVALID_PARTITION_STATE && partition->is_torn_down));
    do {
        result = plain_call(hv_hypercall_control(HvCallWithdrawMemory, 0, 512, 0), &withdraw, sizeof(withdraw));
    } while (hv_hypercall_result_status(result) == HV_STATUS_SUCCESS);
    FUZZ_CHECK(hv_hypercall_result_status(result) == HV_STATUS_NO_RESOURCES);
    FUZZ_CHECK(partition->deposit.total_count == 0 && partition->deposit.free_count == 0);
    FUZZ_CHECK(partition->vp_count == 0 && partition->reference_count == 1);
    status = hv_hypercall_result_status(plain_call(HvCallDeletePartition, &partition->id, sizeof(partition->id)));
    FUZZ_CHECK(status == HV_STATUS_SUCCESS);
}

/* Pages of the root's RAM that are the hypervisor's by the owner table; no child mapping may lead to any page. */
static uint64_t owned_pages(void)
{
    uint64_t count = 0;

    for (uint64_t page = 0; page < MACHINE_RESERVED_START >> PAGE_SHIFT; page++) {
        enum page_owner owner = page_owner_of(spa_from_page(page));

        count += owner == PAGE_OWNER_HYPERVISOR || owner == PAGE_OWNER_SHARED;
        FUZZ_CHECK(page_share_count(spa_from_page(page)) == 0);
    }
    return count;
}

/* Statistics pages of what never goes away; those of partitions and VPs go with them. */
static void unmap_stats_pages(void)
{
    struct hv_input_stats_page object = {.object_type = HvStatsObjectHypervisor};
    uint64_t result = plain_call(HvCallUnmapStatsPage, &object, sizeof(object));

    FUZZ_CHECK(result == HV_STATUS_SUCCESS || result == HV_STATUS_NOT_FOUND);
    object.object_type = HvStatsObjectLogicalProcessor;
    for (; object.object_id < CPUS; object.object_id++) {
        result = plain_call(HvCallUnmapStatsPage, &object, sizeof(object));
        FUZZ_CHECK(result == HV_STATUS_SUCCESS || result == HV_STATUS_NOT_FOUND);
    }
}

static void check_end(uint64_t reserved_pages)
{
    hostile_page_set(0);
    unmap_stats_pages();
    for (uint64_t id = 2; id < PARTITION_ID_LIMIT; id++) {
        struct partition *partition = sim_partition(id);

        if (partition != NULL) {
            destroy_partition(partition);
        }
    }
    FUZZ_CHECK(owned_pages() == root_partition->deposit.total_count);
    FUZZ_CHECK(root_partition->deposit.free_count <= root_partition->deposit.total_count);
    FUZZ_CHECK(machine_pages_in_use() == reserved_pages);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {.bytes = bytes, .left = size};
    uint64_t reserved_pages;

    list_codes();
    the_input = &input;
    sim_start(CPUS);
    FUZZ_CHECK(device_interrupt_init());
    reserved_pages = machine_pages_in_use();
    (void)sim_root_vp(0);
    for (uint32_t i = 0; i < CHILDREN; i++) {
        make_child(i == 1);
    }
    for (uint32_t i = 0; i < OPERATIONS_MAX && input.left != 0; i++) {
        switch (fuzz_below(&input, 8)) {
        case 0:
        case 1:
            child_calls(&input);
            break;
        case 2:
            machine_advance_100ns(UINT64_C(1) << fuzz_below(&input, ADVANCE_SHIFT_MAX));
            break;
        default:
            root_call(&input);
            break;
        }
    }
    check_end(reserved_pages);
    sim_stop();
    return 0;
}
