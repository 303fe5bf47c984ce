/* SPDX-License-Identifier: MIT */
/* Two processors at once: dispatching and touching VPs and partitions while they come and go. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/cpu.h"
#include "hv/partition/deposit.h"
#include "hv/partition/page_owner.h"
#include "tests/sim/sim.h"

#define ROUNDS      1000
#define CHILD_PAGES 300

/* What the second processor does until it is told to stop. */
struct worker {
    pthread_t thread;
    uint64_t (*step)(struct worker *worker); /* result word of its call */
    _Atomic uint64_t child;
    _Atomic bool is_stopping;
    uint64_t page;
    _Atomic uint64_t done;  /* calls that succeeded */
    hv_status_t unexpected; /* a status that no order of events explains */
};

static bool is_explained(hv_status_t status)
{
    switch (status) {
    case HV_STATUS_SUCCESS:
    case HV_STATUS_INVALID_VP_INDEX:
    case HV_STATUS_INVALID_VP_STATE:
    case HV_STATUS_INVALID_PARTITION_ID:
    case HV_STATUS_INVALID_PARTITION_STATE:
    case HV_STATUS_INSUFFICIENT_MEMORY:
    case HV_STATUS_INVALID_PARAMETER:
        return true;
    default:
        return false;
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;

    (void)sim_root_vp(1);
    while (!atomic_load(&worker->is_stopping)) {
        hv_status_t status = hv_hypercall_result_status(worker->step(worker));

        atomic_fetch_add(&worker->done, status == HV_STATUS_SUCCESS);
        if (!is_explained(status)) {
            worker->unexpected = status;
            break;
        }
    }
    return NULL;
}

static void begin(struct worker *worker, uint64_t (*step)(struct worker *worker), uint64_t child)
{
    memset(worker, 0, sizeof(*worker));
    worker->step = step;
    worker->page = sim_page();
    atomic_store(&worker->child, child);
    assert_int_equal(pthread_create(&worker->thread, NULL, work, worker), 0);
}

static void end(struct worker *worker)
{
    atomic_store(&worker->is_stopping, true);
    pthread_join(worker->thread, NULL);
    assert_int_equal(worker->unexpected, 0);
    assert_true(atomic_load(&worker->done) > 0);
}

static int start(void **state)
{
    (void)state;
    sim_start(2);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sim_stop();
    return 0;
}

static uint64_t step_dispatch(struct worker *worker)
{
    struct hv_input_dispatch_vp input = {.partition_id = atomic_load(&worker->child), .vp_index = 0};
    struct hv_output_dispatch_vp output;

    return sim_call(HvCallDispatchVp, &input, sizeof(input), &output, sizeof(output));
}

static void test_dispatch_against_deleting_a_vp(void **state)
{
    uint64_t child = sim_create_child(CHILD_PAGES);
    struct hv_input_delete_vp input = {.partition_id = child};
    struct worker worker;

    (void)state;
    begin(&worker, step_dispatch, child);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        (void)sim_create_vp(child, 0);
        assert_int_equal(sim_call(HvCallDeleteVp, &input, sizeof(input), NULL, 0), HV_STATUS_SUCCESS);
    }
    (void)sim_create_vp(child, 0);
    while (atomic_load(&worker.done) == 0) {
        sched_yield();
    }
    end(&worker);
    assert_int_equal(sim_destroy_child(child), CHILD_PAGES);
}

static void test_dispatch_against_finalising(void **state)
{
    struct worker worker;

    (void)state;
    begin(&worker, step_dispatch, 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t child = sim_create_child(CHILD_PAGES);

        (void)sim_create_vp(child, 0);
        atomic_store(&worker.child, child);
        assert_int_equal(sim_destroy_child(child), CHILD_PAGES);
    }
    uint64_t last = sim_create_child(CHILD_PAGES);

    (void)sim_create_vp(last, 0);
    atomic_store(&worker.child, last);
    while (atomic_load(&worker.done) == 0) {
        sched_yield();
    }
    end(&worker);
    assert_int_equal(sim_destroy_child(last), CHILD_PAGES);
}

static uint64_t step_map(struct worker *worker)
{
    uint64_t input[4] = {atomic_load(&worker->child), 0x55, HV_MAP_GPA_READABLE, worker->page};

    return sim_rep_call(HvCallMapGpaPages, 1, input, sizeof(input), NULL, 0);
}

static void test_mapping_against_finalising(void **state)
{
    struct worker worker;

    (void)state;
    begin(&worker, step_map, 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t child = sim_create_child(CHILD_PAGES);

        atomic_store(&worker.child, child);
        for (uint32_t yields = 0; yields < 20; yields++) {
            sched_yield();
        }
        assert_int_equal(sim_destroy_child(child), CHILD_PAGES);
    }
    uint64_t last = sim_create_child(CHILD_PAGES);

    atomic_store(&worker.child, last);
    while (atomic_load(&worker.done) == 0) {
        sched_yield();
    }
    end(&worker);
    assert_int_equal(sim_destroy_child(last), CHILD_PAGES);
    assert_int_equal(page_share_count(spa_from_page(worker.page)), 0);
}

/* Ports, state pages and properties of a partition that is going. */
static uint64_t step_objects(struct worker *worker)
{
    uint64_t child = atomic_load(&worker->child);
    struct hv_input_create_port port = {.port_partition_id = child,
                                        .port_id = 7,
                                        .connection_partition_id = HV_PARTITION_ID_ROOT,
                                        .port_info = {.port_type = HV_PORT_TYPE_MESSAGE, .target_sint = 2}};
    struct hv_input_stats_page stats = {.object_type = HvStatsObjectPartition, .object_id = child};
    struct hv_input_map_vp_state_page page = {.partition_id = child, .type = HV_VP_STATE_PAGE_REGISTERS};
    struct hv_input_set_partition_property freeze = {
        .partition_id = child, .property_code = HvPartitionPropertyTimeFreeze, .property_value = 1};
    hv_status_t status = sim_call(HvCallCreatePort, &port, sizeof(port), NULL, 0);
    uint64_t location;

    if (status == HV_STATUS_INVALID_PORT_ID) {
        status = HV_STATUS_SUCCESS; /* there since the last round */
    }
    if (is_explained(status)) {
        status = sim_call(HvCallMapVpStatePage, &page, sizeof(page), &location, sizeof(location));
    }
    if (is_explained(status)) {
        status = sim_call(HvCallMapStatsPage, &stats, sizeof(stats), &location, sizeof(location));
    }
    if (is_explained(status)) {
        status = sim_call(HvCallSetPartitionProperty, &freeze, sizeof(freeze), NULL, 0);
    }
    return status;
}

static void test_objects_against_finalising(void **state)
{
    struct worker worker;

    (void)state;
    sim_deposit(HV_PARTITION_ID_SELF, 2);
    begin(&worker, step_objects, 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t child = sim_create_child(CHILD_PAGES);

        (void)sim_create_vp(child, 0);
        atomic_store(&worker.child, child);
        for (uint32_t yields = 0; yields < 5; yields++) {
            sched_yield();
        }
        assert_int_equal(sim_destroy_child(child), CHILD_PAGES);
    }
    while (atomic_load(&worker.done) == 0) {
        uint64_t child = sim_create_child(CHILD_PAGES);

        (void)sim_create_vp(child, 0);
        atomic_store(&worker.child, child);
        sched_yield();
        assert_int_equal(sim_destroy_child(child), CHILD_PAGES);
    }
    end(&worker);
    /* The partition's own page, and the one for its statistics page. */
    assert_int_equal(part_page_count(root_partition), 2);
}

static uint64_t step_deposit(struct worker *worker)
{
    uint64_t input[2] = {atomic_load(&worker->child), worker->page};
    uint64_t result = sim_rep_call(HvCallDepositMemory, 1, input, sizeof(input), NULL, 0);
    struct hv_input_withdraw_memory back = {.partition_id = input[0]};
    uint64_t page;

    (void)sim_rep_call(HvCallWithdrawMemory, 1, &back, sizeof(back), &page, sizeof(page));
    return result;
}

/* One page, wanted as a deposit here and as guest memory there: it is never both. */
static void test_deposit_against_mapping(void **state)
{
    uint64_t giver = sim_create_child(100);
    uint64_t user = sim_create_child(100);
    struct worker worker;

    (void)state;
    (void)sim_withdraw_all(giver);
    begin(&worker, step_deposit, giver);
    for (uint32_t i = 0; i < 20 * ROUNDS; i++) {
        uint64_t input[4] = {user, 0x77, HV_MAP_GPA_READABLE, worker.page};
        struct hv_input_unmap_gpa_pages unmap = {.target_partition_id = user, .target_gpa_base = 0x77};
        uint64_t result = sim_rep_call(HvCallMapGpaPages, 1, input, sizeof(input), NULL, 0);

        if (hv_hypercall_result_status(result) == HV_STATUS_SUCCESS) {
            assert_int_equal(page_owner_of(spa_from_page(worker.page)), PAGE_OWNER_ROOT);
            assert_int_equal(sim_rep_call(HvCallUnmapGpaPages, 1, &unmap, sizeof(unmap), NULL, 0),
                             hv_hypercall_result(HV_STATUS_SUCCESS, 1));
        } else {
            assert_int_equal(hv_hypercall_result_status(result), HV_STATUS_INVALID_PARAMETER);
        }
    }
    while (atomic_load(&worker.done) == 0) {
        sched_yield();
    }
    end(&worker);
    (void)sim_destroy_child(giver);
    (void)sim_destroy_child(user);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dispatch_against_deleting_a_vp), TEST(test_dispatch_against_finalising),
        TEST(test_mapping_against_finalising),     TEST(test_objects_against_finalising),
        TEST(test_deposit_against_mapping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
