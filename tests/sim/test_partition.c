/* SPDX-License-Identifier: MIT */
/* Creating, initialising, finalising and deleting partitions and VPs; deposits and withdrawals to the page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/cpu.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"
#include "hv/partition/deposit.h"
#include "hv/partition/page_owner.h"
#include "hv/partition/root_memory.h"
#include "tests/sim/sim.h"

#define CHILD_PAGES    300
#define ROUNDS         100
/* What an idle child may take beside second-level tables and VPs. */
#define IDLE_BYTES_MAX (64 * 1024)

static int start(void **state)
{
    (void)state;
    sim_start(2);
    return 0;
}

static int boot(void **state)
{
    (void)state;
    sim_boot(2);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sim_stop();
    return 0;
}

static struct hv_input_create_partition create_input(void)
{
    return (struct hv_input_create_partition){
        .flags = HV_PARTITION_CREATION_FLAG_EXO_PARTITION | HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED,
        .compatibility_version = HV_COMPATIBILITY_21_H2,
    };
}

static hv_status_t on_partition(uint16_t code, uint64_t id)
{
    return sim_call(code, &id, sizeof(id), NULL, 0);
}

static hv_status_t create_vp(uint64_t id, uint32_t index)
{
    struct hv_input_create_vp input = {.partition_id = id, .vp_index = index};

    /* Padding is not the caller's to fill. */
    memset(input.padding, 0xff, sizeof(input.padding));
    return sim_call(HvCallCreateVp, &input, sizeof(input), NULL, 0);
}

static hv_status_t delete_vp(uint64_t id, uint32_t index)
{
    struct hv_input_delete_vp input = {.partition_id = id, .vp_index = index};

    return sim_call(HvCallDeleteVp, &input, sizeof(input), NULL, 0);
}

static uint64_t deposit_one(uint64_t id, uint64_t page)
{
    uint64_t input[2] = {id, page};

    return sim_rep_call(HvCallDepositMemory, 1, input, sizeof(input), NULL, 0);
}

static void test_root_starts_at_its_entry(void **state)
{
    struct vp *vp = sim_root_vp(0);
    union hv_register_value cs;

    (void)state;
    assert_int_equal(vp->regs.rip, 0x01000000);
    assert_int_not_equal(vp->regs.gpr[VP_RBX], 0);
    assert_int_equal(vp_get_register(vp, HvX64RegisterCs, &cs), HV_STATUS_SUCCESS);
    assert_int_equal(cs.segment.limit, 0xffffffff);
    assert_int_equal(cs.segment.attributes, 0xc09b);
    assert_int_equal(root_partition->vp_count, 2);
}

static void test_root_space_is_the_machine_without_us(void **state)
{
    struct gpa_space *space = &root_partition->space;
    struct gpa_mapping mapping = gpa_lookup(space, gpa(0x1234567));

    (void)state;
    assert_int_equal(mapping.state, GPA_MAPPED);
    assert_int_equal(mapping.address.value, 0x1234567);
    assert_int_equal(mapping.rights, GPA_ALL);
    assert_int_equal(gpa_lookup(space, gpa(0x8000000000)).level, GPA_LEVEL_1G);
    assert_int_equal(gpa_lookup(space, gpa(0xfed00000)).state, GPA_MAPPED);
    /* The local APIC's page, and it alone. */
    assert_int_equal(gpa_lookup(space, gpa(0xfee00000)).state, GPA_UNMAPPED);
    assert_int_equal(gpa_lookup(space, gpa(0xfee01000)).state, GPA_MAPPED);
    assert_int_equal(gpa_lookup(space, gpa(0xfedff000)).state, GPA_MAPPED);
    assert_int_equal(gpa_lookup(space, gpa(1ull << 40)).state, GPA_UNMAPPED);

    /* Of the hypervisor's range only the root's overlay pages are to be seen. */
    for (uint64_t at = MACHINE_RESERVED_START; at < MACHINE_RAM_BYTES; at += PAGE_SIZE) {
        mapping = gpa_lookup(space, gpa(at));
        if (mapping.state == GPA_MAPPED) {
            bool is_overlay = at == mem_to_spa(root_partition->reftime.tsc_page.page).value ||
                              at == mem_to_spa(root_partition->reftime.hypercall_page.page).value;

            for (uint32_t i = 0; i < root_partition->vp_count; i++) {
                struct vp *vp = root_partition->vps[i];

                is_overlay |= at == mem_to_spa(vp->msrs.assist_page.page).value ||
                              at == mem_to_spa(vp->synic.message_page.page).value ||
                              at == mem_to_spa(vp->synic.event_page.page).value ||
                              at == mem_to_spa(vp->synic.ring_page.page).value;
            }
            assert_true(is_overlay);
        }
    }
}

static void test_create_statuses(void **state)
{
    struct hv_input_create_partition input = create_input();
    uint64_t id = 0;

    (void)state;
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, 8), HV_STATUS_INSUFFICIENT_MEMORY);
    sim_deposit(HV_PARTITION_ID_SELF, 1);

    input.flags = HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED;
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, 8), HV_STATUS_OPERATION_DENIED);
    input = create_input();
    input.flags |= 1ull << 63;
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, 8), HV_STATUS_INVALID_PARAMETER);
    input = create_input();
    input.flags |= HV_PARTITION_CREATION_FLAG_NESTED_VIRTUALIZATION_CAPABLE;
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, 8),
                     HV_STATUS_PROCESSOR_FEATURE_NOT_SUPPORTED);
    input = create_input();
    input.isolation_properties = 1;
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, 8), HV_STATUS_OPERATION_DENIED);

    input = create_input();
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, 8), HV_STATUS_SUCCESS);
    assert_int_equal(id, 2);
    assert_int_equal(on_partition(HvCallFinalizePartition, id), HV_STATUS_SUCCESS);
    assert_int_equal(on_partition(HvCallDeletePartition, id), HV_STATUS_SUCCESS);

    /* The page is the root's again, and the id is not used again. */
    assert_int_equal(part_page_count(root_partition), 1);
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, 8), HV_STATUS_SUCCESS);
    assert_int_equal(id, 3);
}

static void test_lifecycle_statuses(void **state)
{
    struct hv_input_create_partition input = create_input();
    uint64_t id = 0;

    (void)state;
    sim_deposit(HV_PARTITION_ID_SELF, 1);
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, 8), HV_STATUS_SUCCESS);
    assert_int_equal(on_partition(HvCallInitializePartition, 77), HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(on_partition(HvCallInitializePartition, HV_PARTITION_ID_SELF), HV_STATUS_OPERATION_DENIED);
    assert_int_equal(on_partition(HvCallFinalizePartition, HV_PARTITION_ID_SELF), HV_STATUS_OPERATION_DENIED);
    assert_int_equal(on_partition(HvCallDeletePartition, HV_PARTITION_ID_SELF), HV_STATUS_OPERATION_DENIED);
    assert_int_equal(create_vp(id, 0), HV_STATUS_INVALID_PARTITION_STATE);
    assert_int_equal(on_partition(HvCallDeletePartition, id), HV_STATUS_INVALID_PARTITION_STATE);

    /* Initialising asks for one page after the other and leaves nothing behind when it fails. */
    for (uint32_t pages = 0;; pages++) {
        hv_status_t status = on_partition(HvCallInitializePartition, id);

        if (status == HV_STATUS_SUCCESS) {
            assert_true(pages > 2);
            break;
        }
        assert_int_equal(status, HV_STATUS_INSUFFICIENT_MEMORY);
        assert_int_equal(part_page_count(sim_partition(id)), pages);
        assert_true(pages < 50);
        sim_deposit(id, 1);
    }
    assert_int_equal(on_partition(HvCallInitializePartition, id), HV_STATUS_INVALID_PARTITION_STATE);
    assert_int_equal(on_partition(HvCallFinalizePartition, id), HV_STATUS_SUCCESS);
    assert_int_equal(on_partition(HvCallFinalizePartition, id), HV_STATUS_INVALID_PARTITION_STATE);
    assert_int_equal(on_partition(HvCallInitializePartition, id), HV_STATUS_INVALID_PARTITION_STATE);
    assert_int_equal(create_vp(id, 0), HV_STATUS_INVALID_PARTITION_STATE);
    assert_int_equal(on_partition(HvCallDeletePartition, id), HV_STATUS_SUCCESS);
    assert_int_equal(on_partition(HvCallDeletePartition, id), HV_STATUS_INVALID_PARTITION_ID);
}

static void test_vp_statuses(void **state)
{
    uint64_t id = sim_create_child(0 + 20);
    uint32_t pages = 0;

    (void)state;
    (void)sim_withdraw_all(id);
    assert_int_equal(create_vp(id, PARTITION_VP_MAX), HV_STATUS_INVALID_VP_INDEX);
    for (;; pages++) {
        hv_status_t status = create_vp(id, 3);

        if (status == HV_STATUS_SUCCESS) {
            break;
        }
        assert_int_equal(status, HV_STATUS_INSUFFICIENT_MEMORY);
        assert_int_equal(part_page_count(sim_partition(id)), pages);
        assert_true(pages < 90);
        sim_deposit(id, 1);
    }
    assert_int_equal(create_vp(id, 3), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(sim_partition(id)->vp_count, 1);
    assert_int_equal(sim_partition(id)->vps[3]->activity, VP_WAIT_FOR_SIPI);
    assert_int_equal(delete_vp(id, 2), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(delete_vp(id, 3), HV_STATUS_SUCCESS);
    assert_int_equal(delete_vp(id, 3), HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(part_page_count(sim_partition(id)), pages);
    assert_int_equal(sim_partition(id)->vp_count, 0);
}

static void test_deposit_statuses(void **state)
{
    uint64_t id = sim_create_child(50);
    uint64_t page = sim_page();
    uint64_t list[4] = {id, sim_page(), MACHINE_RESERVED_START >> PAGE_SHIFT, sim_page()};
    const uint64_t bad = hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 0);

    (void)state;
    assert_int_equal(deposit_one(999, page), hv_hypercall_result(HV_STATUS_INVALID_PARTITION_ID, 0));
    assert_int_equal(deposit_one(id, page), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    /* Twice; the hypervisor's; beyond RAM; absurd. */
    assert_int_equal(deposit_one(id, page), bad);
    assert_int_equal(deposit_one(id, MACHINE_RESERVED_START >> PAGE_SHIFT), bad);
    assert_int_equal(deposit_one(id, MACHINE_RAM_BYTES >> PAGE_SHIFT), bad);
    assert_int_equal(deposit_one(id, UINT64_MAX), bad);
    assert_int_equal(deposit_one(id, 0xfee00), bad);

    /* A bad page in the list: what comes before it counts, what comes behind it does not. */
    assert_int_equal(sim_rep_call(HvCallDepositMemory, 3, list, sizeof(list), NULL, 0),
                     hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 1));
    assert_int_equal(page_owner_of(spa_from_page(list[1])), PAGE_OWNER_HYPERVISOR);
    assert_int_equal(page_owner_of(spa_from_page(list[3])), PAGE_OWNER_ROOT);
    assert_int_equal(gpa_lookup(&root_partition->space, gpa_from_page(list[1])).state, GPA_NO_ACCESS);
    assert_int_equal(gpa_lookup(&root_partition->space, gpa_from_page(list[3])).state, GPA_MAPPED);
    (void)sim_destroy_child(id);
}

static void test_a_page_mapped_into_a_child_cannot_be_deposited(void **state)
{
    uint64_t id = sim_create_child(50);
    uint64_t page = sim_page();
    struct hv_input_unmap_gpa_pages unmap = {.target_partition_id = id, .target_gpa_base = 5};

    (void)state;
    sim_map(id, 5, page, 1);
    assert_int_equal(page_share_count(spa_from_page(page)), 1);
    assert_int_equal(deposit_one(id, page), hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 0));
    assert_int_equal(gpa_lookup(&root_partition->space, gpa_from_page(page)).state, GPA_MAPPED);
    assert_int_equal(sim_rep_call(HvCallUnmapGpaPages, 1, &unmap, sizeof(unmap), NULL, 0),
                     hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    assert_int_equal(deposit_one(id, page), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    (void)sim_destroy_child(id);
}

static void test_a_withdrawn_page_is_zero_and_the_roots(void **state)
{
    uint64_t id = sim_create_child(50);
    uint64_t page = sim_page();
    uint8_t *memory = mem_from_spa(spa_from_page(page));

    (void)state;
    memset(memory, 0x5a, PAGE_SIZE);
    assert_int_equal(deposit_one(id, page), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    memory[100] = 0x77;
    assert_int_equal(gpa_lookup(&root_partition->space, gpa_from_page(page)).state, GPA_NO_ACCESS);
    (void)sim_destroy_child(id);
    assert_int_equal(gpa_lookup(&root_partition->space, gpa_from_page(page)).state, GPA_MAPPED);
    assert_int_equal(page_owner_of(spa_from_page(page)), PAGE_OWNER_ROOT);
    for (uint32_t i = 0; i < PAGE_SIZE; i++) {
        assert_int_equal(memory[i], 0);
    }
}

static void test_withdraw_gives_back_exactly_what_was_deposited(void **state)
{
    uint64_t first = sim_pages(0, 1);
    uint64_t id = sim_create_child(CHILD_PAGES);
    struct hv_input_withdraw_memory input = {.partition_id = id};
    uint64_t pages[512];
    uint64_t result;
    uint64_t left;

    (void)state;
    (void)sim_create_vp(id, 0);
    left = part_page_count(sim_partition(id));
    assert_true(left < CHILD_PAGES);
    result = sim_rep_call(HvCallWithdrawMemory, 512, &input, sizeof(input), pages, sizeof(pages));
    assert_int_equal(result, hv_hypercall_result(HV_STATUS_NO_RESOURCES, (uint32_t)left));
    assert_true(sim_continuations() > 0);
    for (uint64_t i = 0; i < left; i++) {
        assert_in_range(pages[i], first, first + CHILD_PAGES + 1);
        for (uint64_t j = 0; j < i; j++) {
            assert_int_not_equal(pages[i], pages[j]);
        }
    }
    /* Nothing behind the list is written. */
    assert_int_equal(pages[left], 0xccccccccccccccccull);
    assert_int_equal(sim_withdraw_all(id), 0);
    assert_int_equal(sim_destroy_child(id) + left, CHILD_PAGES);
    input.partition_id = 1234;
    assert_int_equal(sim_rep_call(HvCallWithdrawMemory, 1, &input, sizeof(input), NULL, 0),
                     hv_hypercall_result(HV_STATUS_INVALID_PARTITION_ID, 0));
}

static void test_an_idle_child_takes_little(void **state)
{
    uint64_t id = sim_create_child(CHILD_PAGES);
    /* Its own page comes from the root's deposit; the top second-level table is counted here too. */
    uint64_t taken = 1 + CHILD_PAGES - part_page_count(sim_partition(id));

    (void)state;
    print_message("an idle child without VPs takes %u KiB\n", (unsigned)(taken * PAGE_SIZE / 1024));
    assert_in_range(taken * PAGE_SIZE, PAGE_SIZE, IDLE_BYTES_MAX);
    assert_int_equal(sim_destroy_child(id), CHILD_PAGES);
}

static void test_hundred_rounds_lose_no_page(void **state)
{
    uint64_t pool = 0;
    uint64_t reserve = 0;
    uint64_t own = 0;

    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t id = sim_create_child(CHILD_PAGES);
        uint64_t ram = sim_pages(16, 1);

        (void)sim_create_vp(id, 0);
        (void)sim_create_vp(id, 1);
        sim_map(id, 0x100, ram, 16);
        assert_int_equal(sim_dispatch(id, 0, 0).dispatch_state, HV_VP_DISPATCH_STATE_READY);
        if (round % 2 != 0) {
            assert_int_equal(delete_vp(id, 1), HV_STATUS_SUCCESS);
        }
        assert_int_equal(sim_destroy_child(id), CHILD_PAGES);
        assert_int_equal(page_share_count(spa_from_page(ram)), 0);
        assert_null(sim_partition(id));
        if (round == 0) {
            pool = page_free_count();
            reserve = root_partition->space.reserve_count + root_partition->space.table_page_count;
            own = part_page_count(root_partition);
        }
        assert_int_equal(page_free_count(), pool);
        assert_int_equal(root_partition->space.reserve_count + root_partition->space.table_page_count, reserve);
        assert_int_equal(part_page_count(root_partition), own);
    }
}

static void test_deleting_without_withdrawing_leaves_the_pages_with_the_root(void **state)
{
    uint64_t id = sim_create_child(CHILD_PAGES);
    uint64_t before = part_page_count(root_partition);

    (void)state;
    assert_int_equal(on_partition(HvCallFinalizePartition, id), HV_STATUS_SUCCESS);
    assert_int_equal(on_partition(HvCallDeletePartition, id), HV_STATUS_SUCCESS);
    assert_int_equal(part_page_count(root_partition), before + CHILD_PAGES + 1);
    assert_int_equal(root_partition->deposit.total_count, CHILD_PAGES + 1);
}

static void test_every_root_page_can_be_split(void **state)
{
    uint64_t id = sim_create_child(50);

    (void)state;
    /* One page of each 2 MiB of RAM: as many tables as there can ever be. */
    for (uint64_t address = SIM_FREE_GPA + LARGE_PAGE_SIZE; address < MACHINE_RESERVED_START;
         address += LARGE_PAGE_SIZE) {
        assert_int_equal(deposit_one(id, address >> PAGE_SHIFT), hv_hypercall_result(HV_STATUS_SUCCESS, 1));
    }
    (void)sim_destroy_child(id);
}

static uint64_t mask_of(uint64_t bytes)
{
    return (~(bytes - 1) & 0x0000ffffffffffffull) | X86_MTRR_PHYSMASK_VALID;
}

static void test_no_root_page_has_two_memory_types(void **state)
{
    static struct partition root;
    struct gpa_space *space = &root.space;
    uint64_t device = GIB(515) + LARGE_PAGE_SIZE + PAGE_SIZE;
    uint64_t whole_count = 0;
    struct mtrr_registers registers = {
        .capabilities = X86_MTRRCAP_FIXED | 2,
        .default_type = X86_MTRR_DEF_TYPE_ENABLE | X86_MTRR_DEF_TYPE_FIXED_ENABLE | X86_MEMORY_TYPE_WB,
        .base = {0xe0000000 | X86_MEMORY_TYPE_UC, device | X86_MEMORY_TYPE_UC},
        .mask = {mask_of(MIB(512)), mask_of(PAGE_SIZE)},
    };

    (void)state;
    for (uint32_t i = 0; i < MTRR_FIXED_COUNT; i++) {
        registers.fixed[i] = i == 2 ? 0 : 0x0606060606060606ull; /* the VGA's memory is uncached */
    }
    machine_set_mtrrs(&registers);
    memset(&root, 0, sizeof(root));
    root.is_root = true;
    root_memory_init(&root);
    for (uint64_t at = 0; at < LARGE_PAGE_SIZE; at += PAGE_SIZE) {
        assert_int_equal(gpa_lookup(space, gpa(at)).level, GPA_LEVEL_4K);
    }
    assert_int_equal(gpa_lookup(space, gpa(LARGE_PAGE_SIZE)).level, GPA_LEVEL_2M);
    assert_int_equal(gpa_lookup(space, gpa(GIB(1))).level, GPA_LEVEL_1G);
    assert_int_equal(gpa_lookup(space, gpa(GIB(3))).level, GPA_LEVEL_2M);
    assert_int_equal(gpa_lookup(space, gpa(0xe0000000)).level, GPA_LEVEL_2M);
    assert_int_equal(gpa_lookup(space, gpa(GIB(4))).level, GPA_LEVEL_1G);
    assert_int_equal(gpa_lookup(space, gpa(device)).level, GPA_LEVEL_4K);
    assert_int_equal(gpa_lookup(space, gpa(device)).address.value, device);
    assert_int_equal(gpa_lookup(space, gpa(GIB(515))).level, GPA_LEVEL_2M);
    assert_int_equal(gpa_lookup(space, gpa(GIB(516))).level, GPA_LEVEL_1G);

    /* The splits were not taken from what RAM needs. */
    for (uint64_t at = 0; at < MACHINE_RAM_BYTES; at += LARGE_PAGE_SIZE) {
        whole_count += gpa_lookup(space, gpa(at)).level == GPA_LEVEL_4K ? 0 : 1;
    }
    assert_true(space->reserve_count >= whole_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_root_starts_at_its_entry, boot, stop),
        cmocka_unit_test_setup_teardown(test_root_space_is_the_machine_without_us, start, stop),
        cmocka_unit_test_setup_teardown(test_create_statuses, start, stop),
        cmocka_unit_test_setup_teardown(test_lifecycle_statuses, start, stop),
        cmocka_unit_test_setup_teardown(test_vp_statuses, start, stop),
        cmocka_unit_test_setup_teardown(test_deposit_statuses, start, stop),
        cmocka_unit_test_setup_teardown(test_a_page_mapped_into_a_child_cannot_be_deposited, start, stop),
        cmocka_unit_test_setup_teardown(test_a_withdrawn_page_is_zero_and_the_roots, start, stop),
        cmocka_unit_test_setup_teardown(test_withdraw_gives_back_exactly_what_was_deposited, start, stop),
        cmocka_unit_test_setup_teardown(test_an_idle_child_takes_little, start, stop),
        cmocka_unit_test_setup_teardown(test_hundred_rounds_lose_no_page, start, stop),
        cmocka_unit_test_setup_teardown(test_deleting_without_withdrawing_leaves_the_pages_with_the_root, start, stop),
        cmocka_unit_test_setup_teardown(test_every_root_page_can_be_split, start, stop),
        cmocka_unit_test_setup_teardown(test_no_root_page_has_two_memory_types, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
