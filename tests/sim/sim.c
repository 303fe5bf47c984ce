/* SPDX-License-Identifier: MIT */
#include "tests/sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/cpu.h"
#include "hv/hypercall/engine.h"
#include "hv/mem/mem.h"
#include "hv/partition/deposit.h"
#include "hv/partition/pvh_format.h"
#include "hv/time/time.h"
#include "tests/sim/sim_backend.h"

/*
 * The sim's machine and root partition, and the root's calls in short form.
 */

#define IMAGE_ADDRESS       0x00400000ull
#define IMAGE_TARGET        0x01000000ull
#define CALL_ENTRIES_MAX    10000000u
/* Each processor has its own two pages for parameters. */
#define SIM_PARAMETER_BYTES (2 * PAGE_SIZE)

static uint64_t next_page;
/* Withdrawn pages, to be deposited again. */
static uint64_t returned[MACHINE_RAM_BYTES / PAGE_SIZE];
static uint32_t returned_count;
static _Thread_local uint32_t continuations;

/* A root image of one segment, which never runs. */
struct tiny_image {
    struct elf64_header header;
    struct elf64_program programs[2];
    struct elf64_note note;
    char note_name[4];
    uint32_t note_entry;
    uint8_t code[16];
};

static void make_image(void)
{
    struct tiny_image *image = mem_from_spa(spa(IMAGE_ADDRESS));

    *image = (struct tiny_image){
        .header = {.magic = ELF_MAGIC,
                   .file_class = ELF_CLASS_64,
                   .data = ELF_DATA_LITTLE_ENDIAN,
                   .machine = ELF_MACHINE_X86_64,
                   .program_offset = offsetof(struct tiny_image, programs),
                   .program_entry_bytes = sizeof(struct elf64_program),
                   .program_count = 2},
        .programs = {{.type = ELF_PT_LOAD,
                      .offset = offsetof(struct tiny_image, code),
                      .physical_address = IMAGE_TARGET,
                      .file_bytes = sizeof(image->code),
                      .memory_bytes = 4096},
                     {.type = ELF_PT_NOTE,
                      .offset = offsetof(struct tiny_image, note),
                      .file_bytes = sizeof(image->note) + sizeof(image->note_name) + sizeof(image->note_entry)}},
        .note = {.name_bytes = 4, .content_bytes = 4, .type = PVH_NOTE_PHYS32_ENTRY},
        .note_name = "Xen",
        .note_entry = IMAGE_TARGET,
    };
    machine_boot_info()->module_count = 1;
    machine_boot_info()->modules[0].start = spa(IMAGE_ADDRESS);
    machine_boot_info()->modules[0].bytes = sizeof(*image);
}

void sim_boot(uint32_t cpus)
{
    (void)machine_reset();
    machine_set_log_echo(false);
    machine_set_cpu_count(cpus);
    machine_acpi_info()->cpu_count = cpus;
    for (uint32_t i = 0; i < cpus; i++) {
        machine_acpi_info()->apic_ids[i] = cpu_get(i)->apic_id;
    }
    make_image();
    next_page = SIM_FREE_GPA >> PAGE_SHIFT;
    returned_count = 0;
    backend = &sim_backend;
    partition_init_root();
    for (uint32_t i = 0; i < cpus; i++) {
        struct vp *vp = root_partition->vps[i];

        cpu_get(i)->root_vp = vp;
        cpu_get(i)->current_vp = vp;
        atomic_store(&vp->cpu, cpu_get(i));
        vp->activity = VP_ACTIVE;
    }
}

void sim_start(uint32_t cpus)
{
    sim_boot(cpus);
    for (uint32_t i = 0; i < cpus; i++) {
        /* As a 64-bit kernel would have it by now. */
        backend->vp_reset(root_partition->vps[i], true);
    }
}

void sim_stop(void)
{
    (void)machine_reset();
}

struct vp *sim_root_vp(uint32_t index)
{
    machine_set_cpu(index);
    return root_partition->vps[index];
}

uint64_t sim_pages(uint64_t count, uint64_t alignment)
{
    uint64_t first = align_up_u64(next_page, alignment);

    next_page = first + count;
    assert_true(next_page <= MACHINE_RESERVED_START >> PAGE_SHIFT);
    return first;
}

uint64_t sim_page(void)
{
    return sim_pages(1, 1);
}

uint64_t sim_hypercall(struct vp *vp, uint64_t control, uint64_t input, uint64_t output)
{
    uint64_t rip = vp->regs.rip;
    uint32_t events = 0;

    vp->regs.gpr[VP_RCX] = control;
    vp->regs.gpr[VP_RDX] = input;
    vp->regs.gpr[8] = output;
    for (continuations = 0; continuations < CALL_ENTRIES_MAX; continuations++) {
        if (hypercall_execute(vp, vp_is_long_mode(vp))) {
            assert_int_equal(vp->regs.rip, rip);
            return vp->regs.gpr[VP_RAX];
        }
        assert_int_equal(vp->regs.rip, rip);
        if ((vp->pending_interruption & HV_PENDING_INTERRUPTION_PENDING) != 0 && ++events == 1) {
            return UINT64_MAX; /* an exception in place of a result */
        }
    }
    fail_msg("call 0x%llx does not end", (unsigned long long)control);
    return 0;
}

uint32_t sim_continuations(void)
{
    return continuations;
}

static uint64_t call(uint64_t control, const void *input, size_t input_size, void *output, size_t output_size)
{
    struct vp *vp = root_partition->vps[cpu_this()->index];
    spa_t in = spa(SIM_INPUT_GPA + vp->index * SIM_PARAMETER_BYTES);
    spa_t out = spa(SIM_OUTPUT_GPA + vp->index * SIM_PARAMETER_BYTES);
    uint64_t result;

    memset(mem_from_spa(out), 0xcc, PAGE_SIZE);
    if (input_size != 0) {
        memcpy(mem_from_spa(in), input, input_size);
    }
    result = sim_hypercall(vp, control, in.value, out.value);
    if (output_size != 0) {
        memcpy(output, mem_from_spa(out), output_size);
    }
    return result;
}

hv_status_t sim_call(uint16_t code, const void *input, size_t input_size, void *output, size_t output_size)
{
    return hv_hypercall_result_status(
        call(hv_hypercall_control(code, 0, 0, 0), input, input_size, output, output_size));
}

uint64_t sim_rep_call(uint16_t code, uint32_t reps, const void *input, size_t input_size, void *output,
                      size_t output_size)
{
    return call(hv_hypercall_control(code, 0, reps, 0), input, input_size, output, output_size);
}

hv_status_t sim_variable_call(uint16_t code, uint32_t qwords, const void *input, size_t input_size, void *output,
                              size_t output_size)
{
    return hv_hypercall_result_status(
        call(hv_hypercall_control(code, qwords, 0, 0), input, input_size, output, output_size));
}

void sim_deposit(uint64_t partition_id, uint32_t count)
{
    while (count != 0) {
        uint64_t input[1 + 511];
        uint32_t reps = count < 511 ? count : 511;
        uint64_t result;

        input[0] = partition_id;
        for (uint32_t i = 0; i < reps; i++) {
            input[1 + i] = returned_count != 0 ? returned[--returned_count] : sim_page();
        }
        result = sim_rep_call(HvCallDepositMemory, reps, input, (1 + reps) * sizeof(input[0]), NULL, 0);
        assert_int_equal(result, hv_hypercall_result(HV_STATUS_SUCCESS, reps));
        count -= reps;
    }
}

uint64_t sim_withdraw_all(uint64_t partition_id)
{
    uint64_t total = 0;
    uint64_t result;

    do {
        struct hv_input_withdraw_memory input = {.partition_id = partition_id};
        uint64_t pages[512];

        result = sim_rep_call(HvCallWithdrawMemory, 512, &input, sizeof(input), pages, sizeof(pages));
        total += hv_hypercall_result_reps(result);
        for (uint32_t i = 0; i < hv_hypercall_result_reps(result); i++) {
            returned[returned_count++] = pages[i];
        }
    } while (hv_hypercall_result_status(result) == HV_STATUS_SUCCESS);
    assert_int_equal(hv_hypercall_result_status(result), HV_STATUS_NO_RESOURCES);
    return total;
}

uint64_t sim_create_child(uint32_t pages)
{
    struct hv_input_create_partition input = {
        .flags = HV_PARTITION_CREATION_FLAG_EXO_PARTITION | HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED |
                 HV_PARTITION_CREATION_FLAG_INTERCEPT_MESSAGE_PAGE_ENABLED | HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE |
                 HV_PARTITION_CREATION_FLAG_GPA_SUPER_PAGES_ENABLED,
        .compatibility_version = HV_COMPATIBILITY_21_H2,
    };
    uint64_t id = 0;

    if (part_page_count(root_partition) == 0) {
        sim_deposit(HV_PARTITION_ID_SELF, 1);
    }
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, sizeof(id)), HV_STATUS_SUCCESS);
    sim_deposit(id, pages);
    assert_int_equal(sim_call(HvCallInitializePartition, &id, sizeof(id), NULL, 0), HV_STATUS_SUCCESS);
    return id;
}

uint64_t sim_destroy_child(uint64_t partition_id)
{
    uint64_t pages;

    assert_int_equal(sim_call(HvCallFinalizePartition, &partition_id, sizeof(partition_id), NULL, 0),
                     HV_STATUS_SUCCESS);
    pages = sim_withdraw_all(partition_id);
    assert_int_equal(sim_call(HvCallDeletePartition, &partition_id, sizeof(partition_id), NULL, 0), HV_STATUS_SUCCESS);
    return pages;
}

struct partition *sim_partition(uint64_t partition_id)
{
    struct partition *partition = partition_find(root_partition, partition_id);

    if (partition != NULL) {
        partition_put(partition);
    }
    return partition;
}

struct vp *sim_create_vp(uint64_t partition_id, uint32_t index)
{
    struct hv_input_create_vp input = {.partition_id = partition_id, .vp_index = index};

    assert_int_equal(sim_call(HvCallCreateVp, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    for (uint16_t type = 0; type < 2; type++) {
        struct hv_input_map_vp_state_page map = {.partition_id = partition_id, .vp_index = index, .type = type};
        uint64_t page = 0;

        assert_int_equal(sim_call(HvCallMapVpStatePage, &map, sizeof(map), &page, sizeof(page)), HV_STATUS_SUCCESS);
        assert_int_not_equal(page, 0);
    }
    return sim_partition(partition_id)->vps[index];
}

void sim_map(uint64_t partition_id, uint64_t gpa_page, uint64_t root_page, uint32_t count)
{
    uint64_t input[3 + 509] = {partition_id, gpa_page,
                               HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE | HV_MAP_GPA_EXECUTABLE};

    assert_true(count <= 509);
    for (uint32_t i = 0; i < count; i++) {
        input[3 + i] = root_page + i;
    }
    assert_int_equal(sim_rep_call(HvCallMapGpaPages, count, input, (3 + count) * sizeof(input[0]), NULL, 0),
                     hv_hypercall_result(HV_STATUS_SUCCESS, count));
}

struct hv_output_dispatch_vp sim_dispatch(uint64_t partition_id, uint32_t index, uint32_t flags)
{
    struct hv_input_dispatch_vp input = {.partition_id = partition_id, .vp_index = index, .flags = flags};
    struct hv_output_dispatch_vp output = {0};

    assert_int_equal(sim_call(HvCallDispatchVp, &input, sizeof(input), &output, sizeof(output)), HV_STATUS_SUCCESS);
    return output;
}
