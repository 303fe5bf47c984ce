/* SPDX-License-Identifier: MIT */
/* GPA spaces of children: mapping, splitting, no-access, overlays, access states, copies, and whose pages may be
 * mapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/cpu.h"
#include "hv/mem/mem.h"
#include "hv/partition/deposit.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/page_owner.h"
#include "tests/sim/sim.h"

#define RWX           (HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE | HV_MAP_GPA_EXECUTABLE)
#define SUCCESS(reps) hv_hypercall_result(HV_STATUS_SUCCESS, reps)

static uint64_t child;
static struct partition *partition;

static int start(void **state)
{
    (void)state;
    sim_start(2);
    child = sim_create_child(400);
    partition = sim_partition(child);
    return 0;
}

/* Every test ends with nothing lost, whatever it mapped. */
static int stop(void **state)
{
    uint64_t pages = partition->deposit.total_count;

    (void)state;
    assert_int_equal(sim_destroy_child(child), pages);
    sim_stop();
    return 0;
}

static uint64_t map(uint64_t gpa_page, uint32_t flags, const uint64_t *pages, uint32_t count)
{
    uint64_t input[3 + 509] = {child, gpa_page, flags};

    memcpy(&input[3], pages, count * sizeof(pages[0]));
    return sim_rep_call(HvCallMapGpaPages, count, input, (3 + count) * sizeof(input[0]), NULL, 0);
}

static uint64_t map_one(uint64_t gpa_page, uint32_t flags, uint64_t page)
{
    return map(gpa_page, flags, &page, 1);
}

static uint64_t unmap(uint64_t gpa_page, uint32_t flags, uint32_t count)
{
    struct hv_input_unmap_gpa_pages input = {
        .target_partition_id = child, .target_gpa_base = gpa_page, .unmap_flags = flags};

    return sim_rep_call(HvCallUnmapGpaPages, count, &input, sizeof(input), NULL, 0);
}

static uint64_t access_states(uint64_t gpa_page, uint64_t flags, uint8_t *states, uint32_t count)
{
    struct hv_input_get_gpa_pages_access_state input = {
        .partition_id = child, .flags = flags, .gpa_page_number = gpa_page};

    return sim_rep_call(HvCallGetGpaPagesAccessState, count, &input, sizeof(input), states, count);
}

static struct gpa_mapping at(uint64_t gpa_page)
{
    return gpa_lookup(&partition->space, gpa_from_page(gpa_page));
}

static void test_map_and_unmap_small_pages(void **state)
{
    uint64_t first = sim_pages(509, 1);
    uint64_t pages[509];

    (void)state;
    for (uint32_t i = 0; i < 509; i++) {
        pages[i] = first + 508 - i;
    }
    assert_int_equal(map(0x123456, RWX, pages, 509), SUCCESS(509));
    assert_true(sim_continuations() > 0);
    for (uint32_t i = 0; i < 509; i++) {
        struct gpa_mapping mapping = at(0x123456 + i);

        assert_int_equal(mapping.state, GPA_MAPPED);
        assert_int_equal(mapping.level, GPA_LEVEL_4K);
        assert_int_equal(mapping.rights, GPA_ALL);
        assert_int_equal(spa_page(mapping.address), pages[i]);
        assert_int_equal(page_share_count(mapping.address), 1);
    }
    assert_int_equal(at(0x123456 + 509).state, GPA_UNMAPPED);
    assert_int_equal(unmap(0x123456, 0, 509), SUCCESS(509));
    for (uint32_t i = 0; i < 509; i++) {
        assert_int_equal(at(0x123456 + i).state, GPA_UNMAPPED);
        assert_int_equal(page_share_count(spa_from_page(pages[i])), 0);
    }
    /* Where nothing is mapped, unmapping is harmless. */
    assert_int_equal(unmap(0x123456, 0, 100), SUCCESS(100));
    assert_int_equal(unmap(0x40000, HV_UNMAP_GPA_LARGE_PAGE, 4), SUCCESS(4));
}

static void test_rights(void **state)
{
    uint64_t page = sim_page();

    (void)state;
    assert_int_equal(map_one(1, HV_MAP_GPA_READABLE, page), SUCCESS(1));
    assert_int_equal(at(1).rights, GPA_READ);
    assert_int_equal(map_one(1, HV_MAP_GPA_READABLE | HV_MAP_GPA_WRITABLE, page), SUCCESS(1));
    assert_int_equal(at(1).rights, GPA_READ | GPA_WRITE);
    assert_int_equal(map_one(1, HV_MAP_GPA_READABLE | HV_MAP_GPA_KERNEL_EXECUTABLE, page), SUCCESS(1));
    assert_int_equal(at(1).rights, GPA_READ | GPA_EXECUTE);
    assert_int_equal(map_one(1, RWX | HV_MAP_GPA_ADJUSTABLE, page), SUCCESS(1));
    assert_int_equal(page_share_count(spa_from_page(page)), 1);
    /* The same page twice in one partition counts twice. */
    assert_int_equal(map_one(2, RWX, page), SUCCESS(1));
    assert_int_equal(page_share_count(spa_from_page(page)), 2);
}

static void test_map_statuses(void **state)
{
    const uint64_t bad = hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 0);
    uint64_t input[4] = {777, 0, RWX, sim_page()};
    uint64_t page = sim_page();
    uint64_t list[3] = {page, MACHINE_RESERVED_START >> PAGE_SHIFT, page};

    (void)state;
    assert_int_equal(sim_rep_call(HvCallMapGpaPages, 1, input, sizeof(input), NULL, 0),
                     hv_hypercall_result(HV_STATUS_INVALID_PARTITION_ID, 0));
    input[0] = HV_PARTITION_ID_SELF;
    assert_int_equal(sim_rep_call(HvCallMapGpaPages, 1, input, sizeof(input), NULL, 0),
                     hv_hypercall_result(HV_STATUS_ACCESS_DENIED, 0));
    assert_int_equal(map_one(1, RWX | 0x10, page), bad);
    assert_int_equal(map_one(1, RWX | HV_MAP_GPA_NO_ACCESS, page), bad);
    /* Whose page: the hypervisor's, a deposited one, the local APIC's, beyond any machine. */
    assert_int_equal(map_one(1, RWX, MACHINE_RESERVED_START >> PAGE_SHIFT), bad);
    assert_int_equal(map_one(1, RWX, spa_page(mem_to_spa(partition))), bad);
    assert_int_equal(map_one(1, RWX, 0xfee00), bad);
    assert_int_equal(map_one(1, RWX, UINT64_MAX), bad);
    /* Where: beyond the space, wrapping, large and not aligned on either side. */
    assert_int_equal(map_one(partition->space.limit >> PAGE_SHIFT, RWX, page), bad);
    assert_int_equal(map_one(UINT64_MAX, RWX, page), bad);
    assert_int_equal(map_one(1, RWX | HV_MAP_GPA_LARGE_PAGE, sim_pages(512, 512)), bad);
    assert_int_equal(map_one(512, RWX | HV_MAP_GPA_LARGE_PAGE, sim_pages(513, 512) + 1), bad);
    assert_int_equal(at(1).state, GPA_UNMAPPED);
    assert_int_equal(unmap(1, 0x80, 1), bad);
    assert_int_equal(unmap(1, HV_UNMAP_GPA_LARGE_PAGE, 1), bad);

    /* The reps before the bad one stay done. */
    assert_int_equal(map(10, RWX, list, 3), hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 1));
    assert_int_equal(at(10).state, GPA_MAPPED);
    assert_int_equal(at(11).state, GPA_UNMAPPED);
    assert_int_equal(page_share_count(spa_from_page(page)), 1);
    /* A device that is not the hypervisor's own may be mapped. */
    assert_int_equal(map_one(20, RWX | HV_MAP_GPA_NOT_CACHED, 0xfd000), SUCCESS(1));
    assert_int_equal(at(20).rights, GPA_ALL | GPA_UNCACHED);
}

static void test_a_shared_page_is_not_mapped(void **state)
{
    struct vp *vp = sim_create_vp(child, 0);

    (void)state;
    assert_int_equal(page_owner_of(mem_to_spa(vp->intercept_page)), PAGE_OWNER_SHARED);
    assert_int_equal(gpa_lookup(&root_partition->space, gpa(mem_to_spa(vp->intercept_page).value)).rights,
                     GPA_READ | GPA_WRITE);
    assert_int_equal(map_one(1, RWX, spa_page(mem_to_spa(vp->intercept_page))),
                     hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 0));
}

static void test_missing_tables_are_asked_for(void **state)
{
    uint64_t page = sim_page();
    uint32_t asked = 0;

    (void)state;
    (void)sim_withdraw_all(child);
    for (;; asked++) {
        uint64_t result = map_one(0x7000000, RWX, page);

        if (result == SUCCESS(1)) {
            break;
        }
        assert_int_equal(result, hv_hypercall_result(HV_STATUS_INSUFFICIENT_MEMORY, 0));
        assert_int_equal(page_share_count(spa_from_page(page)), 0);
        assert_true(asked < 4);
        sim_deposit(child, 1);
    }
    assert_int_equal(asked, 3);
    /* A large page needs its split page at once. */
    assert_int_equal(map_one(0x7000200, RWX | HV_MAP_GPA_LARGE_PAGE, sim_pages(512, 512)),
                     hv_hypercall_result(HV_STATUS_INSUFFICIENT_MEMORY, 0));
    sim_deposit(child, 1);
    assert_int_equal(map_one(0x7000200, RWX | HV_MAP_GPA_LARGE_PAGE, sim_pages(512, 512)), SUCCESS(1));
    assert_int_equal(part_page_count(partition), 0);
    /* So that splitting it needs nothing. */
    assert_int_equal(map_one(0x7000205, HV_MAP_GPA_NO_ACCESS, 0), SUCCESS(1));
    assert_int_equal(at(0x7000205).state, GPA_NO_ACCESS);
    assert_int_equal(at(0x7000204).state, GPA_MAPPED);
    assert_int_equal(at(0x7000204).level, GPA_LEVEL_4K);
}

static void test_large_pages_split_and_join(void **state)
{
    uint64_t large = sim_pages(512, 512);
    uint64_t free_pages = part_page_count(partition);

    (void)state;
    assert_int_equal(map_one(0x400, RWX | HV_MAP_GPA_LARGE_PAGE, large), SUCCESS(1));
    assert_int_equal(at(0x400 + 77).level, GPA_LEVEL_2M);
    assert_int_equal(spa_page(at(0x400 + 77).address), large + 77);
    assert_int_equal(page_share_count(spa_from_page(large + 511)), 1);

    /* One page out of it, then the rest as it was. */
    assert_int_equal(unmap(0x400 + 5, 0, 1), SUCCESS(1));
    assert_int_equal(at(0x400 + 5).state, GPA_UNMAPPED);
    assert_int_equal(spa_page(at(0x400 + 6).address), large + 6);
    assert_int_equal(at(0x400 + 6).level, GPA_LEVEL_4K);
    assert_int_equal(at(0x400 + 6).rights, GPA_ALL);
    assert_int_equal(page_share_count(spa_from_page(large + 5)), 0);
    assert_int_equal(page_share_count(spa_from_page(large + 6)), 1);

    /* Mapped large again: one count each. */
    assert_int_equal(map_one(0x400, RWX | HV_MAP_GPA_LARGE_PAGE, large), SUCCESS(1));
    assert_int_equal(at(0x400 + 5).level, GPA_LEVEL_2M);
    for (uint32_t i = 0; i < 512; i++) {
        assert_int_equal(page_share_count(spa_from_page(large + i)), 1);
    }
    assert_int_equal(map_one(0x400, HV_MAP_GPA_READABLE | HV_MAP_GPA_LARGE_PAGE, large), SUCCESS(1));
    assert_int_equal(at(0x400).rights, GPA_READ);

    /* No access over all of it. */
    assert_int_equal(map_one(0x400, HV_MAP_GPA_NO_ACCESS | HV_MAP_GPA_LARGE_PAGE, 0), SUCCESS(1));
    assert_int_equal(at(0x400 + 5).state, GPA_NO_ACCESS);
    assert_int_equal(page_share_count(spa_from_page(large)), 0);
    /* And a page into that. */
    assert_int_equal(map_one(0x400 + 9, RWX, large), SUCCESS(1));
    assert_int_equal(at(0x400 + 9).state, GPA_MAPPED);
    assert_int_equal(at(0x400 + 8).state, GPA_NO_ACCESS);
    assert_int_equal(unmap(0x400, HV_UNMAP_GPA_LARGE_PAGE, 1), SUCCESS(1));
    assert_int_equal(at(0x400 + 9).state, GPA_UNMAPPED);
    /* Tables above it remain, at most three. */
    assert_in_range(part_page_count(partition), free_pages - 3, free_pages);
}

static void test_a_region_without_access_is_filled_page_by_page(void **state)
{
    uint64_t zeros[509] = {0};
    uint64_t page = sim_page();

    (void)state;
    assert_int_equal(map(0, HV_MAP_GPA_NO_ACCESS, zeros, 509), SUCCESS(509));
    assert_int_equal(map(509, HV_MAP_GPA_NO_ACCESS, zeros, 509), SUCCESS(509));
    assert_int_equal(at(1000).state, GPA_NO_ACCESS);
    assert_int_equal(map_one(1000, RWX, page), SUCCESS(1));
    assert_int_equal(at(1000).state, GPA_MAPPED);
    assert_int_equal(at(999).state, GPA_NO_ACCESS);
    assert_int_equal(map_one(1000, HV_MAP_GPA_NO_ACCESS, 0), SUCCESS(1));
    assert_int_equal(at(1000).state, GPA_NO_ACCESS);
    assert_int_equal(page_share_count(spa_from_page(page)), 0);
    /* Mapping a large page over such leftovers is accepted. */
    assert_int_equal(map_one(0, RWX | HV_MAP_GPA_LARGE_PAGE, sim_pages(512, 512)), SUCCESS(1));
    assert_int_equal(at(100).level, GPA_LEVEL_2M);
}

static void test_overlay_hides_and_uncovers(void **state)
{
    struct overlay *overlay = &partition->reftime.hypercall_page;
    uint64_t page = sim_page();
    uint64_t other = sim_page();
    uint8_t *memory = mem_from_spa(spa_from_page(page));
    uint8_t byte;

    (void)state;
    memset(memory, 0x11, PAGE_SIZE);
    overlay->page[0] = 0x22;
    sim_map(child, 50, page, 1);
    assert_true(overlay_place(partition, overlay, 50));
    assert_true(overlay_covers(partition, gpa_from_page(50)));
    assert_int_equal(at(50).rights, GPA_READ | GPA_EXECUTE);
    assert_true(gpa_read(partition, gpa_from_page(50), &byte, 1));
    assert_int_equal(byte, 0x22);
    /* Not the guest's to write, and the RAM below keeps its content and its count. */
    assert_false(gpa_write(partition, gpa_from_page(50), &byte, 1));
    assert_int_equal(memory[0], 0x11);
    assert_int_equal(page_share_count(spa_from_page(page)), 1);

    /* What is mapped meanwhile goes below. */
    assert_int_equal(map_one(50, RWX, other), SUCCESS(1));
    assert_true(spa_equal(at(50).address, mem_to_spa(overlay->page)));
    assert_int_equal(page_share_count(spa_from_page(page)), 0);
    assert_int_equal(page_share_count(spa_from_page(other)), 1);

    /* Moved: uncovered there, over a hole here. */
    assert_true(overlay_place(partition, overlay, 0x9999999));
    assert_int_equal(spa_page(at(50).address), other);
    assert_true(gpa_read(partition, gpa_from_page(0x9999999), &byte, 1));
    assert_int_equal(byte, 0x22);
    overlay_remove(partition, overlay);
    assert_int_equal(at(0x9999999).state, GPA_UNMAPPED);
    assert_false(overlay_covers(partition, gpa_from_page(0x9999999)));
    assert_false(overlay_place(partition, overlay, partition->space.limit >> PAGE_SHIFT));
    assert_false(overlay_place(partition, overlay, UINT64_MAX >> PAGE_SHIFT));
}

static void test_overlay_over_large_pages(void **state)
{
    struct overlay *overlay = &partition->reftime.hypercall_page;
    uint64_t large = sim_pages(512, 512);
    uint64_t second = sim_pages(512, 512);

    (void)state;
    assert_int_equal(map_one(0x200, RWX | HV_MAP_GPA_LARGE_PAGE, large), SUCCESS(1));
    assert_true(overlay_place(partition, overlay, 0x200 + 3));
    assert_true(spa_equal(at(0x200 + 3).address, mem_to_spa(overlay->page)));
    assert_int_equal(spa_page(at(0x200 + 4).address), large + 4);
    /* Another large page below it: everything changes but the overlay. */
    assert_int_equal(map_one(0x200, RWX | HV_MAP_GPA_LARGE_PAGE, second), SUCCESS(1));
    assert_true(spa_equal(at(0x200 + 3).address, mem_to_spa(overlay->page)));
    assert_int_equal(spa_page(at(0x200 + 4).address), second + 4);
    assert_int_equal(page_share_count(spa_from_page(large + 3)), 0);
    assert_int_equal(page_share_count(spa_from_page(second + 3)), 1);
    overlay_remove(partition, overlay);
    assert_int_equal(spa_page(at(0x200 + 3).address), second + 3);
    assert_int_equal(unmap(0x200, HV_UNMAP_GPA_LARGE_PAGE, 1), SUCCESS(1));
    assert_int_equal(page_share_count(spa_from_page(second + 3)), 0);
}

static void test_two_overlays_on_one_page(void **state)
{
    struct overlay *first = &partition->reftime.hypercall_page;
    struct overlay *second = &partition->reftime.tsc_page;
    uint64_t page = sim_page();
    uint64_t other = sim_page();

    (void)state;
    sim_map(child, 7, page, 1);
    assert_true(overlay_place(partition, first, 7));
    assert_true(overlay_place(partition, second, 7));
    assert_true(spa_equal(at(7).address, mem_to_spa(second->page)));
    assert_int_equal(map_one(7, RWX, other), SUCCESS(1));
    overlay_remove(partition, second);
    assert_true(spa_equal(at(7).address, mem_to_spa(first->page)));
    assert_true(overlay_place(partition, second, 7));
    /* The lower one goes: the upper one stays what is seen. */
    overlay_remove(partition, first);
    assert_true(spa_equal(at(7).address, mem_to_spa(second->page)));
    overlay_remove(partition, second);
    assert_int_equal(spa_page(at(7).address), other);
    assert_int_equal(page_share_count(spa_from_page(page)), 0);
}

static void test_overlays_need_no_memory_to_move(void **state)
{
    struct overlay *overlay = &partition->reftime.hypercall_page;

    (void)state;
    (void)sim_withdraw_all(child);
    assert_int_equal(part_page_count(partition), 0);
    /* Holes far apart: each needs three tables, and gives them back. */
    for (uint64_t i = 0; i < 200; i++) {
        assert_true(overlay_place(partition, overlay, (i * 0x123456789ull) % (partition->space.limit >> PAGE_SHIFT)));
    }
    overlay_remove(partition, overlay);
    assert_int_equal(partition->space.table_page_count, 1);
}

static void test_access_states(void **state)
{
    uint64_t large = sim_pages(512, 512);
    uint8_t states[512];
    struct gpa_batch batch;

    (void)state;
    assert_int_equal(map_one(0x200, RWX | HV_MAP_GPA_LARGE_PAGE, large), SUCCESS(1));
    assert_int_equal(access_states(0x200, 0, states, 512), SUCCESS(512));
    for (uint32_t i = 0; i < 512; i++) {
        assert_int_equal(states[i], 0);
    }
    assert_int_equal(access_states(0x205, HV_GPA_ACCESS_STATE_SET_DIRTY | HV_GPA_ACCESS_STATE_SET_ACCESSED, states, 1),
                     SUCCESS(1));
    /* A large page has one state for all. */
    assert_int_equal(access_states(0x200, 0, states, 2), SUCCESS(2));
    assert_int_equal(states[1], HV_GPA_PAGE_ACCESSED | HV_GPA_PAGE_DIRTY);
    /* Clearing one of it splits it, and takes it from nobody else. */
    assert_int_equal(access_states(0x206, HV_GPA_ACCESS_STATE_CLEAR_DIRTY, states, 1), SUCCESS(1));
    assert_int_equal(states[0], HV_GPA_PAGE_ACCESSED | HV_GPA_PAGE_DIRTY);
    assert_int_equal(access_states(0x205, 0, states, 3), SUCCESS(3));
    assert_int_equal(states[0], HV_GPA_PAGE_ACCESSED | HV_GPA_PAGE_DIRTY);
    assert_int_equal(states[1], HV_GPA_PAGE_ACCESSED);
    assert_int_equal(states[2], HV_GPA_PAGE_ACCESSED | HV_GPA_PAGE_DIRTY);
    /* A hole has neither; beyond the space and unknown flags are errors. */
    assert_int_equal(access_states(0x100000, 0, states, 1), SUCCESS(1));
    assert_int_equal(states[0], 0);
    assert_int_equal(access_states(partition->space.limit >> PAGE_SHIFT, 0, states, 1),
                     hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 0));
    assert_int_equal(access_states(0x200, 0x10, states, 1), hv_hypercall_result(HV_STATUS_INVALID_PARAMETER, 0));
    gpa_batch_start(&batch, &partition->space);
    gpa_batch_finish(&batch);
}

static void test_copies_cross_pages_and_stop_at_holes(void **state)
{
    uint64_t first = sim_page();
    uint64_t second;
    uint8_t out[64];
    uint8_t in[64];
    bool exchanged;
    uint64_t value = 5;

    (void)state;
    (void)sim_page();
    second = sim_page();
    sim_map(child, 10, first, 1);
    sim_map(child, 11, second, 1);
    for (uint32_t i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t)(i + 1);
    }
    assert_true(gpa_write(partition, gpa(11 * PAGE_SIZE - 20), out, sizeof(out)));
    assert_memory_equal((uint8_t *)mem_from_spa(spa_from_page(first)) + PAGE_SIZE - 20, out, 20);
    assert_memory_equal(mem_from_spa(spa_from_page(second)), out + 20, sizeof(out) - 20);
    assert_true(gpa_read(partition, gpa(11 * PAGE_SIZE - 20), in, sizeof(in)));
    assert_memory_equal(in, out, sizeof(in));
    assert_false(gpa_read(partition, gpa(12 * PAGE_SIZE - 20), in, sizeof(in)));
    assert_false(gpa_is_writable(partition, gpa(12 * PAGE_SIZE - 20), sizeof(in)));
    assert_false(gpa_read(partition, gpa(UINT64_MAX - 5), in, sizeof(in)));
    assert_false(gpa_read(partition, gpa(partition->space.limit), in, 1));
    assert_true(gpa_read(partition, gpa(partition->space.limit), in, 0));

    assert_true(gpa_write(partition, gpa(10 * PAGE_SIZE), &value, sizeof(value)));
    assert_true(gpa_compare_exchange(partition, gpa(10 * PAGE_SIZE), 8, 5, 6, &exchanged));
    assert_true(exchanged);
    assert_true(gpa_compare_exchange(partition, gpa(10 * PAGE_SIZE), 8, 5, 7, &exchanged));
    assert_false(exchanged);
    assert_true(gpa_compare_exchange(partition, gpa(10 * PAGE_SIZE), 4, 6, 9, &exchanged));
    assert_true(exchanged);
    assert_false(gpa_compare_exchange(partition, gpa(10 * PAGE_SIZE + 4), 8, 5, 7, &exchanged));
    assert_false(gpa_compare_exchange(partition, gpa(13 * PAGE_SIZE), 8, 5, 7, &exchanged));
    assert_null(cpu_this()->guest_space);
}

/* The root's own copies: devices and what is not its own are refused. */
static void test_root_copies_reach_root_ram_only(void **state)
{
    uint64_t page = sim_page();
    uint8_t byte = 1;

    (void)state;
    assert_true(gpa_write(root_partition, gpa_from_page(page), &byte, 1));
    assert_false(gpa_read(root_partition, gpa(0xfed00000), &byte, 1));
    assert_false(gpa_read(root_partition, gpa(MACHINE_RESERVED_START + 0x3ff0000), &byte, 1));
    assert_false(gpa_read(root_partition, gpa(mem_to_spa(partition).value), &byte, 1));
    sim_deposit(child, 0);
}

static void test_changes_are_flushed_before_pages_are_free(void **state)
{
    uint64_t page = sim_page();
    uint64_t before;

    (void)state;
    sim_map(child, 3, page, 1);
    before = atomic_load(&partition->space.generation);
    assert_int_equal(unmap(3, 0, 1), SUCCESS(1));
    assert_true(atomic_load(&partition->space.generation) > before);
    /* Nothing was there: nothing to flush. */
    before = atomic_load(&partition->space.generation);
    assert_int_equal(map_one(3, RWX, page), SUCCESS(1));
    assert_int_equal(atomic_load(&partition->space.generation), before);
    before = atomic_load(&root_partition->space.generation);
    sim_deposit(child, 1);
    assert_true(atomic_load(&root_partition->space.generation) > before);
}

/* The first byte at GPA page 20 of a child, read twice; -1: it cannot be read. */
static int byte_at_20(struct partition *owner)
{
    uint8_t byte = 0;
    uint8_t again = 0;
    bool is_there = gpa_read(owner, gpa_from_page(20), &byte, 1);

    assert_int_equal(gpa_read(owner, gpa_from_page(20), &again, 1), is_there);
    assert_int_equal(byte, again);
    return is_there ? byte : -1;
}

/* Pages are found again without a look at the tables, but never after a change. */
static void test_copies_see_what_has_changed(void **state)
{
    uint64_t pages[2] = {sim_page(), sim_page()};
    uint8_t byte = 0;
    uint64_t other;

    (void)state;
    for (uint8_t i = 0; i < 2; i++) {
        *(uint8_t *)mem_from_spa(spa_from_page(pages[i])) = (uint8_t)(i + 1);
    }
    assert_int_equal(byte_at_20(partition), -1);
    assert_int_equal(map_one(20, RWX, pages[0]), SUCCESS(1));
    assert_int_equal(byte_at_20(partition), 1);
    assert_int_equal(map_one(20, RWX, pages[1]), SUCCESS(1));
    assert_int_equal(byte_at_20(partition), 2);
    assert_true(gpa_write(partition, gpa_from_page(20), &(uint8_t){2}, 1));
    assert_int_equal(map_one(20, HV_MAP_GPA_READABLE, pages[1]), SUCCESS(1));
    assert_int_equal(byte_at_20(partition), 2);
    assert_false(gpa_write(partition, gpa_from_page(20), &byte, 1));
    assert_int_equal(unmap(20, 0, 1), SUCCESS(1));
    assert_int_equal(byte_at_20(partition), -1);
    assert_int_equal(map_one(20, RWX, pages[0]), SUCCESS(1));
    assert_int_equal(byte_at_20(partition), 1);
    /* Other spaces, which may lie where the one before did; so many that they meet in what a processor remembers. */
    for (uint8_t i = 0; i < 16; i++) {
        other = sim_create_child(100);
        assert_int_equal(byte_at_20(sim_partition(other)), -1);
        sim_map(other, 20, pages[i % 2], 1);
        assert_int_equal(byte_at_20(sim_partition(other)), i % 2 + 1);
        assert_int_equal(byte_at_20(partition), 1);
        assert_int_equal(sim_destroy_child(other), 100);
    }
}

static void test_a_finalised_space_maps_nothing(void **state)
{
    uint64_t other = sim_create_child(100);
    uint64_t input[4] = {other, 1, RWX, sim_page()};
    struct gpa_batch batch;

    (void)state;
    sim_map(other, 1, sim_page(), 1);
    assert_int_equal(sim_call(HvCallFinalizePartition, &other, sizeof(other), NULL, 0), HV_STATUS_SUCCESS);
    assert_int_equal(sim_rep_call(HvCallMapGpaPages, 1, input, sizeof(input), NULL, 0),
                     hv_hypercall_result(HV_STATUS_INVALID_PARTITION_STATE, 0));
    gpa_batch_start(&batch, &sim_partition(other)->space);
    assert_int_equal(gpa_map(&batch, gpa(0x1000), GPA_LEVEL_4K, spa_from_page(input[3]), GPA_ALL),
                     HV_STATUS_INVALID_PARTITION_STATE);
    assert_int_equal(gpa_lookup(&sim_partition(other)->space, gpa(0x1000)).state, GPA_UNMAPPED);
    assert_int_equal(page_share_count(spa_from_page(input[3])), 0);
    (void)sim_withdraw_all(other);
    assert_int_equal(sim_call(HvCallDeletePartition, &other, sizeof(other), NULL, 0), HV_STATUS_SUCCESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_map_and_unmap_small_pages),
        TEST(test_rights),
        TEST(test_map_statuses),
        TEST(test_a_shared_page_is_not_mapped),
        TEST(test_missing_tables_are_asked_for),
        TEST(test_large_pages_split_and_join),
        TEST(test_a_region_without_access_is_filled_page_by_page),
        TEST(test_overlay_hides_and_uncovers),
        TEST(test_overlay_over_large_pages),
        TEST(test_two_overlays_on_one_page),
        TEST(test_overlays_need_no_memory_to_move),
        TEST(test_access_states),
        TEST(test_copies_cross_pages_and_stop_at_holes),
        TEST(test_root_copies_reach_root_ram_only),
        TEST(test_changes_are_flushed_before_pages_are_free),
        TEST(test_copies_see_what_has_changed),
        TEST(test_a_finalised_space_maps_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
