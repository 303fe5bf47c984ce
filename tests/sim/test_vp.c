/* SPDX-License-Identifier: MIT */
/* What a VP consists of, as the root sees it: registers by name, state in one piece, state and statistics pages,
 * translations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hv/abi/hv_cpuid.h"
#include "hv/abi/hv_intercept.h"
#include "hv/cpu/cpu.h"
#include "hv/lib/x86/x86_execute.h"
#include "hv/lib/x86/x86_regs.h"
#include "hv/mem/mem.h"
#include "hv/partition/cpuid.h"
#include "hv/partition/deposit.h"
#include "hv/partition/gpa_access.h"
#include "hv/partition/page_owner.h"
#include "hv/partition/stats.h"
#include "hv/partition/vp_fpu.h"
#include "tests/sim/sim.h"

#define RAM_PAGES 64

static uint64_t child;
static struct vp *vp;
static uint64_t ram; /* root page number of the child's page 0 */

static int start(void **state)
{
    (void)state;
    sim_start(2);
    child = sim_create_child(400);
    vp = sim_create_vp(child, 0);
    ram = sim_pages(RAM_PAGES, 1);
    sim_map(child, 0, ram, RAM_PAGES);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    assert_int_equal(sim_destroy_child(child), 400);
    sim_stop();
    return 0;
}

static uint64_t *child_qwords(uint64_t address)
{
    return mem_from_spa(spa((ram << PAGE_SHIFT) + address));
}

static void set(uint32_t name, uint64_t value)
{
    union hv_register_value v = {.reg64 = value};

    assert_int_equal(vp_set_register(vp, name, &v), HV_STATUS_SUCCESS);
}

static uint64_t get(uint32_t name)
{
    union hv_register_value v = {.reg128 = {1, 1}};

    assert_int_equal(vp_get_register(vp, name, &v), HV_STATUS_SUCCESS);
    return v.reg64;
}

/* A register and a value that it must keep. */
struct round_trip {
    uint32_t name;
    uint64_t value;
};

static void test_registers_keep_their_values(void **state)
{
    static const struct round_trip cases[] = {
        {HvX64RegisterRax, 1},
        {HvX64RegisterR15, UINT64_MAX},
        {HvX64RegisterRip, 0xfff0},
        {HvX64RegisterRflags, 0x46},
        {HvX64RegisterCr0, 0x60000010},
        {HvX64RegisterCr2, 0x123456789},
        {HvX64RegisterCr3, 0x7000},
        {HvX64RegisterCr4, 0x20},
        {HvX64RegisterCr8, 9},
        {HvX64RegisterEfer, 0xd00},
        {HvX64RegisterXfem, 3},
        {HvX64RegisterDr0, 0x1000},
        {HvX64RegisterDr3, 0x4000},
        {HvX64RegisterDr6, 0xffff0ff0},
        {HvX64RegisterDr7, 0x400},
        {HvX64RegisterKernelGsBase, 0xffff800000000000},
        {HvX64RegisterApicBase, 0xfee00900},
        {HvX64RegisterPat, 0x0007040600070406},
        {HvX64RegisterSysenterCs, 8},
        {HvX64RegisterSysenterEip, 0x1000},
        {HvX64RegisterSysenterEsp, 0x2000},
        {HvX64RegisterStar, 0x23001000000000},
        {HvX64RegisterLstar, 0xffffffff81000000},
        {HvX64RegisterCstar, 0xffffffff81000100},
        {HvX64RegisterSfmask, 0x700},
        {HvX64RegisterTscAux, 3},
        {HvX64RegisterMsrMtrrDefType, 0x806},
        {HvX64RegisterMsrMtrrPhysBase0, 0x80000000},
        {HvX64RegisterMsrMtrrPhysMask0, 0xf80000800},
        {HvX64RegisterMsrMtrrFix64k00000, 0x0606060606060606},
        {HvX64RegisterMsrMtrrFix4kF8000, 0x0505050505050505},
        {HvRegisterGuestOsId, 0x8100000000000001},
        {HvX64RegisterHypercall, 0x5001},
        {HvRegisterReferenceTsc, 0x6001},
        {HvRegisterScontrol, 1},
        {HvRegisterSiefp, 0x7001},
        {HvRegisterSimp, 0x8001},
        {HvRegisterSint2, 0x200f3},
        {HvRegisterVpAssistPage, 0x9001},
        {HvRegisterExplicitSuspend, 1},
        {HvRegisterInterceptSuspend, 1},
        {HvRegisterDispatchSuspend, 1},
        {HvRegisterInternalActivityState, HV_ACTIVITY_HALT_SUSPEND},
        {HvRegisterInterruptState, HV_INTERRUPT_STATE_INTERRUPT_SHADOW | HV_INTERRUPT_STATE_NMI_MASKED},
        {HvRegisterPendingInterruption, 0x0000000600000b17 | (14ull << 16) | 0x1000000000},
    };

    (void)state;
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value = cases[i].value;

        if (cases[i].name == HvRegisterPendingInterruption) {
            value = hv_pending_interruption(HV_X64_PENDING_EXCEPTION, X86_VECTOR_PF) |
                    HV_PENDING_INTERRUPTION_DELIVER_ERROR_CODE | (6ull << HV_PENDING_INTERRUPTION_ERROR_CODE_SHIFT);
        }
        set(cases[i].name, value);
        if (get(cases[i].name) != (cases[i].name == HvX64RegisterRflags ? value | X86_RFLAGS_FIXED : value)) {
            fail_msg("register 0x%x: 0x%llx", cases[i].name, (unsigned long long)get(cases[i].name));
        }
    }
}

static void test_wide_registers(void **state)
{
    union hv_register_value in = {0};
    union hv_register_value out;

    (void)state;
    in.segment =
        (struct hv_x64_segment_register){.base = 0x12345000, .limit = 0xfffff, .selector = 8, .attributes = 0xc09b};
    for (uint32_t name = HvX64RegisterEs; name <= HvX64RegisterTr; name++) {
        assert_int_equal(vp_set_register(vp, name, &in), HV_STATUS_SUCCESS);
        assert_int_equal(vp_get_register(vp, name, &out), HV_STATUS_SUCCESS);
        assert_memory_equal(&in, &out, sizeof(in));
    }
    for (uint32_t name = HvX64RegisterXmm0; name <= HvX64RegisterXmm15; name++) {
        in.reg128 = (struct hv_u128){name, ~(uint64_t)name};
        assert_int_equal(vp_set_register(vp, name, &in), HV_STATUS_SUCCESS);
    }
    for (uint32_t name = HvX64RegisterFpMmx0; name <= HvX64RegisterFpMmx7; name++) {
        in.reg128 = (struct hv_u128){~(uint64_t)name, name & 0x7fff};
        assert_int_equal(vp_set_register(vp, name, &in), HV_STATUS_SUCCESS);
    }
    for (uint32_t name = HvX64RegisterXmm0; name <= HvX64RegisterFpMmx7; name++) {
        bool is_xmm = name <= HvX64RegisterXmm15;

        assert_int_equal(vp_get_register(vp, name, &out), HV_STATUS_SUCCESS);
        assert_true(out.reg128.low_part == (is_xmm ? name : ~(uint64_t)name));
        assert_true(out.reg128.high_part == (is_xmm ? ~(uint64_t)name : (name & 0x7fff)));
    }
    assert_int_equal(vp_get_register(vp, HvX64RegisterXmmControlStatus, &out), HV_STATUS_SUCCESS);
    assert_int_equal(out.xmm_control_status.xmm_status_control, 0x1f80);
    out.xmm_control_status.xmm_status_control = 0x1fc0;
    assert_int_equal(vp_set_register(vp, HvX64RegisterXmmControlStatus, &out), HV_STATUS_INVALID_REGISTER_VALUE);
    out.xmm_control_status.xmm_status_control = 0x3f80;
    assert_int_equal(vp_set_register(vp, HvX64RegisterXmmControlStatus, &out), HV_STATUS_SUCCESS);
    assert_int_equal(vp_get_register(vp, HvX64RegisterFpControlStatus, &out), HV_STATUS_SUCCESS);
    assert_int_equal(out.fp_control_status.fp_control, 0x37f);
}

static void test_refused_values(void **state)
{
    static const struct round_trip bad[] = {
        {HvX64RegisterCr8, 16},
        {HvX64RegisterXfem, 0},
        {HvX64RegisterXfem, 2},
        {HvX64RegisterXfem, 1ull << 62},
        {HvRegisterInternalActivityState, 8},
        {HvRegisterInterruptState, 4},
        {HvRegisterPendingInterruption, 1 | (1 << 1)},
        {HvRegisterPendingInterruption, 1 | (3 << 1) | (32 << 16)},
        {HvRegisterPendingInterruption, 1 | (2 << 1) | (3 << 16)},
        {HvRegisterPendingInterruption, 1 | (0x100 << 16)},
        {HvRegisterPendingEvent0, 1 | (1 << 1)},
        {HvRegisterPendingEvent0, 1 | (40 << 16)},
        {HvRegisterPendingEvent1, 1},
    };
    static const uint32_t read_only[] = {HvRegisterVpIndex,          HvRegisterVpRootSignalCount,
                                         HvX64RegisterInitialApicId, HvRegisterHypervisorVersion,
                                         HvX64RegisterApicId,        HvRegisterInstructionEmulationHints};
    union hv_register_value value = {0};

    (void)state;
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        value.reg64 = bad[i].value;
        assert_int_equal(vp_set_register(vp, bad[i].name, &value), HV_STATUS_INVALID_REGISTER_VALUE);
    }
    for (uint32_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
        assert_int_equal(vp_set_register(vp, read_only[i], &value), HV_STATUS_OPERATION_DENIED);
        assert_int_equal(vp_get_register(vp, read_only[i], &value), HV_STATUS_SUCCESS);
    }
    assert_int_equal(vp_get_register(vp, 0x00fffff0, &value), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(vp_set_register(vp, 0x00fffff0, &value), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(vp_set_register(root_partition->vps[0], HvRegisterExplicitSuspend, &value),
                     HV_STATUS_OPERATION_DENIED);
}

static void test_pending_event_becomes_the_next_exception(void **state)
{
    union hv_register_value value = {0};
    struct vp_event event;

    (void)state;
    value.reg128.low_part =
        hv_pending_exception_event(X86_VECTOR_PF) | HV_PENDING_EVENT_DELIVER_ERROR_CODE | (2ull << 32);
    value.reg128.high_part = 0xabcdef;
    assert_int_equal(vp_set_register(vp, HvRegisterPendingEvent0, &value), HV_STATUS_SUCCESS);
    event = vp_next_event(vp);
    assert_true(event.inject);
    assert_int_equal(hv_pending_interruption_vector(event.interruption), X86_VECTOR_PF);
    assert_int_equal(hv_pending_interruption_error_code(event.interruption), 2);
    assert_int_equal(get(HvX64RegisterCr2), 0xabcdef);
}

static hv_status_t vp_state(uint16_t code, uint32_t type, uint64_t page, uint32_t pages)
{
    struct {
        struct hv_input_vp_state header;
        uint64_t page;
    } input = {.header = {.partition_id = child, .type = type, .xsave_states = 7}, .page = page};
    struct hv_synthetic_timers_state timers;

    return sim_variable_call(code, pages, &input, sizeof(input.header) + pages * sizeof(uint64_t), &timers,
                             sizeof(timers));
}

static void test_lapic_state(void **state)
{
    uint64_t page = sim_page();
    struct hv_x64_interrupt_controller_state *lapic = mem_from_spa(spa_from_page(page));

    (void)state;
    assert_int_equal(vp_state(HvCallGetVpState, HV_GET_SET_VP_STATE_LAPIC_STATE, page, 1), HV_STATUS_SUCCESS);
    assert_int_equal(lapic->apic_lvt_lint0, 0x10000);
    lapic->apic_spurious = APIC_SVR_ENABLE | 0xff; /* or every entry stays masked */
    lapic->apic_lvt_lint0 = 0x700;
    lapic->apic_lvt_lint1 = 0x400;
    assert_int_equal(vp_state(HvCallSetVpState, HV_GET_SET_VP_STATE_LAPIC_STATE, page, 1), HV_STATUS_SUCCESS);
    memset(lapic, 0, sizeof(*lapic));
    assert_int_equal(vp_state(HvCallGetVpState, HV_GET_SET_VP_STATE_LAPIC_STATE, page, 1), HV_STATUS_SUCCESS);
    assert_int_equal(lapic->apic_lvt_lint0, 0x700);
    assert_int_equal(lapic->apic_lvt_lint1, 0x400);
}

static void test_xsave_state_is_compacted(void **state)
{
    uint64_t page = sim_page();
    uint8_t *image = mem_from_spa(spa_from_page(page));
    uint64_t header[2];
    union hv_register_value xmm = {.reg128 = {0x1111, 0x2222}};

    (void)state;
    assert_int_equal(vp_set_register(vp, HvX64RegisterXmm3, &xmm), HV_STATUS_SUCCESS);
    assert_int_equal(vp_state(HvCallGetVpState, HV_GET_SET_VP_STATE_XSAVE, page, 1), HV_STATUS_SUCCESS);
    memcpy(header, image + 512, sizeof(header));
    assert_true((header[1] >> 63) == 1);
    assert_int_equal(header[1] & 3, 3);
    assert_memory_equal(image + 160 + 3 * 16, &xmm, 16);

    /* Changed there, it is what the VP has. */
    image[160] = 0x77;
    assert_int_equal(vp_state(HvCallSetVpState, HV_GET_SET_VP_STATE_XSAVE, page, 1), HV_STATUS_SUCCESS);
    assert_int_equal(get(HvX64RegisterXmm0) & 0xff, 0x77);
    assert_int_equal(vp_get_register(vp, HvX64RegisterXmm3, &xmm), HV_STATUS_SUCCESS);
    assert_int_equal(xmm.reg128.high_part, 0x2222);

    /* Images that XRSTOR would refuse. */
    header[1] &= ~(1ull << 63);
    memcpy(image + 512, header, sizeof(header));
    assert_int_equal(vp_state(HvCallSetVpState, HV_GET_SET_VP_STATE_XSAVE, page, 1), HV_STATUS_INVALID_PARAMETER);
    header[1] |= 1ull << 63;
    header[0] |= 1ull << 40;
    memcpy(image + 512, header, sizeof(header));
    assert_int_equal(vp_state(HvCallSetVpState, HV_GET_SET_VP_STATE_XSAVE, page, 1), HV_STATUS_INVALID_PARAMETER);
    header[0] = 3;
    memcpy(image + 512, header, sizeof(header));
    image[512 + 16] = 1;
    assert_int_equal(vp_state(HvCallSetVpState, HV_GET_SET_VP_STATE_XSAVE, page, 1), HV_STATUS_INVALID_PARAMETER);
    image[512 + 16] = 0;
    image[24 + 3] = 0x80;
    assert_int_equal(vp_state(HvCallSetVpState, HV_GET_SET_VP_STATE_XSAVE, page, 1), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(get(HvX64RegisterXmm0) & 0xff, 0x77);
}

static void test_synic_pages_as_state(void **state)
{
    uint64_t page = sim_page();
    uint8_t *memory = mem_from_spa(spa_from_page(page));

    (void)state;
    memset(memory, 0x31, PAGE_SIZE);
    assert_int_equal(vp_state(HvCallSetVpState, HV_GET_SET_VP_STATE_SIM_PAGE, page, 1), HV_STATUS_SUCCESS);
    assert_int_equal(vp->synic.message_page.page[4095], 0x31);
    memset(memory, 0x32, PAGE_SIZE);
    assert_int_equal(vp_state(HvCallSetVpState, HV_GET_SET_VP_STATE_SIEF_PAGE, page, 1), HV_STATUS_SUCCESS);
    assert_int_equal(vp->synic.event_page.page[0], 0x32);
    assert_int_equal(vp_state(HvCallGetVpState, HV_GET_SET_VP_STATE_SIM_PAGE, page, 1), HV_STATUS_SUCCESS);
    assert_int_equal(memory[0], 0x31);
    assert_int_equal(vp_state(HvCallGetVpState, HV_GET_SET_VP_STATE_SIEF_PAGE, page, 1), HV_STATUS_SUCCESS);
    assert_int_equal(memory[0], 0x32);
}

static void test_state_statuses(void **state)
{
    uint64_t deposited = spa_page(mem_to_spa(vp));

    (void)state;
    assert_int_equal(vp_state(HvCallGetVpState, HV_GET_SET_VP_STATE_LAPIC_STATE, 0, 0), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(vp_state(HvCallGetVpState, 0x80000077, sim_page(), 1), HV_STATUS_INVALID_PARAMETER);
    /* The hypervisor's memory is no place to read from or write to. */
    for (uint32_t type = HV_GET_SET_VP_STATE_LAPIC_STATE; type <= HV_GET_SET_VP_STATE_SIEF_PAGE; type++) {
        assert_int_equal(vp_state(HvCallGetVpState, type, deposited, 1), HV_STATUS_INVALID_ALIGNMENT);
        assert_int_equal(vp_state(HvCallSetVpState, type, deposited, 1), HV_STATUS_INVALID_ALIGNMENT);
        assert_int_equal(vp_state(HvCallGetVpState, type, UINT64_MAX, 1), HV_STATUS_INVALID_ALIGNMENT);
    }
    atomic_store(&vp->cpu, cpu_get(1));
    assert_int_equal(vp_state(HvCallGetVpState, HV_GET_SET_VP_STATE_LAPIC_STATE, sim_page(), 1),
                     HV_STATUS_INVALID_VP_STATE);
    atomic_store(&vp->cpu, NULL);
    (void)sim_withdraw_all(child);
    assert_int_equal(vp_state(HvCallGetVpState, HV_GET_SET_VP_STATE_XSAVE, sim_page(), 1),
                     HV_STATUS_INSUFFICIENT_MEMORY);
    /* What was withdrawn comes back for the teardown's count. */
    sim_deposit(child, 400 - (uint32_t)sim_partition(child)->deposit.total_count);
}

static hv_status_t state_page(uint16_t code, uint32_t index, uint16_t type, uint64_t *page)
{
    struct hv_input_map_vp_state_page input = {.partition_id = child, .vp_index = index, .type = type};

    return sim_call(code, &input, code == HvCallMapVpStatePage ? sizeof(input) : 16, page, page == NULL ? 0 : 8);
}

static void test_state_pages(void **state)
{
    uint64_t page = 0;
    uint64_t again = 0;

    (void)state;
    assert_int_equal(state_page(HvCallMapVpStatePage, 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, &page), HV_STATUS_SUCCESS);
    assert_int_equal(state_page(HvCallMapVpStatePage, 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, &again),
                     HV_STATUS_SUCCESS);
    assert_int_equal(page, again);
    assert_int_equal(page_owner_of(spa_from_page(page)), PAGE_OWNER_SHARED);
    assert_int_equal(state_page(HvCallMapVpStatePage, 0, HV_VP_STATE_PAGE_GHCB, &page), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(state_page(HvCallMapVpStatePage, 9, HV_VP_STATE_PAGE_REGISTERS, &page),
                     HV_STATUS_INVALID_VP_INDEX);
    assert_int_equal(state_page(HvCallUnmapVpStatePage, 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, NULL),
                     HV_STATUS_SUCCESS);
    assert_int_equal(page_owner_of(spa_from_page(again)), PAGE_OWNER_HYPERVISOR);
    assert_int_equal(gpa_lookup(&root_partition->space, gpa_from_page(again)).state, GPA_NO_ACCESS);
    assert_int_equal(state_page(HvCallUnmapVpStatePage, 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, NULL),
                     HV_STATUS_NOT_FOUND);
    assert_int_equal(state_page(HvCallUnmapVpStatePage, 0, HV_VP_STATE_PAGE_GHCB, NULL), HV_STATUS_INVALID_PARAMETER);
    /* Without the page an intercept suspends all the same. */
    sim_script_add(vp, sim_exit_out, NULL);
    assert_int_equal(sim_dispatch(child, 0, 0).dispatch_event, HV_VP_DISPATCH_EVENT_INTERCEPT);
}

static hv_status_t stats_page(uint16_t code, const struct hv_input_stats_page *input, uint64_t *page)
{
    return sim_call(code, input, sizeof(*input), page, page == NULL ? 0 : 8);
}

static void test_stats_pages(void **state)
{
    struct hv_input_stats_page input = {.object_type = HvStatsObjectHypervisor};
    uint64_t page = 0;
    uint64_t own = part_page_count(root_partition);

    (void)state;
    assert_int_equal(own, 0);
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_INSUFFICIENT_MEMORY);
    sim_deposit(HV_PARTITION_ID_SELF, 2);
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_SUCCESS);
    assert_int_equal(((uint64_t *)mem_from_spa(spa_from_page(page)))[HV_STATS_HYPERVISOR_LOGICAL_PROCESSORS], 2);
    assert_int_equal(gpa_lookup(&root_partition->space, gpa_from_page(page)).state, GPA_MAPPED);
    input.stats_area_type = HV_STATS_AREA_PARENT;
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_INVALID_PARAMETER);
    assert_int_equal(stats_page(HvCallUnmapStatsPage, &input, NULL), HV_STATUS_INVALID_PARAMETER);
    input = (struct hv_input_stats_page){.object_type = HvStatsObjectLogicalProcessor, .object_id = 2};
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_INVALID_LP_INDEX);
    input.object_id = 1;
    assert_int_equal(stats_page(HvCallUnmapStatsPage, &input, NULL), HV_STATUS_NOT_FOUND);
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_SUCCESS);
    assert_int_equal(stats_page(HvCallUnmapStatsPage, &input, NULL), HV_STATUS_SUCCESS);
    assert_int_equal(part_page_count(root_partition), 1);
    input = (struct hv_input_stats_page){.object_type = HvStatsObjectVp, .object_id = child, .vp_index = 5};
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_INVALID_VP_INDEX);
    input.object_id = 777;
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_INVALID_PARTITION_ID);
    /* A VP's page is the root's too: its own deposit is not touched. */
    (void)sim_withdraw_all(child);
    input = (struct hv_input_stats_page){.object_type = HvStatsObjectVp, .object_id = child};
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_SUCCESS);
    assert_int_equal(((uint64_t *)mem_from_spa(spa_from_page(page)))[HV_STATS_VP_ROOT_DISPATCH_THREAD_BLOCKED], 0);
    sim_deposit(HV_PARTITION_ID_SELF, 1);
    input = (struct hv_input_stats_page){.object_type = HvStatsObjectPartition, .object_id = child};
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_SUCCESS);
    input.object_type = 0x33;
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_INVALID_PARAMETER);
    sim_deposit(child, 400 - (uint32_t)sim_partition(child)->deposit.total_count);
    /* Still mapped: finalising gives both pages back to the root (the count in stop()). */
    assert_int_equal(part_page_count(root_partition), 0);
}

static void test_the_hypervisors_page_counts(void **state)
{
    struct hv_input_stats_page input = {.object_type = HvStatsObjectHypervisor};
    const volatile uint64_t *counters;
    uint64_t page = 0;
    uint64_t before[3];
    uint64_t other;

    (void)state;
    sim_deposit(HV_PARTITION_ID_SELF, 2);
    assert_int_equal(stats_page(HvCallMapStatsPage, &input, &page), HV_STATUS_SUCCESS);
    counters = mem_from_spa(spa_from_page(page));
    for (uint32_t i = 0; i < 3; i++) {
        before[i] = counters[2 + i];
    }
    assert_int_equal(before[0], 1);
    assert_int_equal(before[1], sim_partition(child)->deposit.total_count + root_partition->deposit.total_count);
    assert_int_equal(before[2], 1);
    other = sim_create_child(100);
    (void)sim_create_vp(other, 4);
    assert_int_equal(counters[2], before[0] + 1);
    assert_int_equal(counters[3], before[1] + 100);
    assert_int_equal(counters[4], before[2] + 1);
    (void)sim_destroy_child(other);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(counters[2 + i], before[i]);
    }
}

/* 4-level tables of the child: GVA 0x400000 maps to GPA 0x5000 (user, writable), 0x401000 to a hole, 0x402000 read
 * only. */
static void build_tables(void)
{
    child_qwords(0x1000)[0] = 0x2000 | X86_PTE_P | X86_PTE_W | X86_PTE_U;
    child_qwords(0x2000)[0] = 0x3000 | X86_PTE_P | X86_PTE_W | X86_PTE_U;
    child_qwords(0x3000)[2] = 0x4000 | X86_PTE_P | X86_PTE_W | X86_PTE_U;
    child_qwords(0x4000)[0] = 0x5000 | X86_PTE_P | X86_PTE_W | X86_PTE_U;
    child_qwords(0x4000)[1] = 0xfe000000 | X86_PTE_P | X86_PTE_W;
    child_qwords(0x4000)[2] = 0x6000 | X86_PTE_P;
    child_qwords(0x4000)[3] = 0x7000 | X86_PTE_P | X86_PTE_NX;
    child_qwords(0x3000)[3] = 0x90000000 | X86_PTE_P; /* a table outside of RAM */
    set(HvX64RegisterCr3, 0x1000);
    set(HvX64RegisterCr4, X86_CR4_PAE);
    set(HvX64RegisterEfer, X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE);
    set(HvX64RegisterCr0, X86_CR0_PE | X86_CR0_PG | X86_CR0_WP);
}

static void test_translation(void **state)
{
    gpa_t address;
    uint32_t error;

    (void)state;
    build_tables();
    assert_true(vp_translate_gva(vp, gva(0x400123), GVA_READ, &address, &error));
    assert_int_equal(address.value, 0x5123);
    assert_true((child_qwords(0x4000)[0] & X86_PTE_A) != 0);
    assert_true((child_qwords(0x4000)[0] & X86_PTE_D) == 0);
    assert_true(vp_translate_gva(vp, gva(0x400123), GVA_WRITE, &address, &error));
    assert_true((child_qwords(0x4000)[0] & X86_PTE_D) != 0);
    /* A device is translated like memory. */
    assert_true(vp_translate_gva(vp, gva(0x401010), GVA_READ, &address, &error));
    assert_int_equal(address.value, 0xfe000010);
    assert_false(vp_translate_gva(vp, gva(0x402000), GVA_WRITE, &address, &error));
    assert_int_equal(error, X86_PF_PRESENT | X86_PF_WRITE);
    assert_false(vp_translate_gva(vp, gva(0x403000), GVA_EXECUTE, &address, &error));
    assert_int_equal(error, X86_PF_PRESENT | X86_PF_FETCH);
    assert_false(vp_translate_gva(vp, gva(0x800000), GVA_READ, &address, &error));
    assert_int_equal(error, 0);
    assert_false(vp_translate_gva(vp, gva(0x600000), GVA_READ, &address, &error));
}

static uint32_t translate(uint64_t flags, uint64_t address, uint64_t *gpa_page)
{
    struct hv_input_translate_virtual_address input = {
        .partition_id = child, .control_flags = flags, .gva_page = address >> PAGE_SHIFT};
    struct hv_output_translate_virtual_address output;

    assert_int_equal(sim_call(HvCallTranslateVirtualAddress, &input, sizeof(input), &output, sizeof(output)),
                     HV_STATUS_SUCCESS);
    *gpa_page = output.gpa_page;
    return output.result_code;
}

static void test_translation_for_the_root(void **state)
{
    struct hv_input_translate_virtual_address bad = {.partition_id = child, .control_flags = 1ull << 20};
    struct hv_output_translate_virtual_address output;
    uint64_t page;

    (void)state;
    build_tables();
    assert_int_equal(translate(HV_TRANSLATE_GVA_VALIDATE_READ, 0x400000, &page), HvTranslateGvaSuccess);
    assert_int_equal(page, 5);
    /* Asked without it, the flags of the tables stay as they are. */
    assert_true((child_qwords(0x4000)[0] & X86_PTE_A) == 0);
    assert_int_equal(translate(HV_TRANSLATE_GVA_VALIDATE_WRITE | HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS, 0x400000, &page),
                     HvTranslateGvaSuccess);
    assert_true((child_qwords(0x4000)[0] & X86_PTE_D) != 0);
    assert_int_equal(translate(HV_TRANSLATE_GVA_VALIDATE_READ, 0x401000, &page), HvTranslateGvaSuccess);
    assert_int_equal(page, 0xfe000);
    assert_int_equal(translate(HV_TRANSLATE_GVA_VALIDATE_WRITE, 0x402000, &page), HvTranslateGvaPrivilegeViolation);
    assert_int_equal(translate(HV_TRANSLATE_GVA_VALIDATE_READ | HV_TRANSLATE_GVA_USER_ACCESS, 0x402000, &page),
                     HvTranslateGvaPrivilegeViolation);
    assert_int_equal(translate(0, 0x402000, &page), HvTranslateGvaSuccess);
    assert_int_equal(translate(HV_TRANSLATE_GVA_VALIDATE_READ, 0x800000, &page), HvTranslateGvaPageNotPresent);
    assert_int_equal(translate(HV_TRANSLATE_GVA_VALIDATE_READ, 0x600000, &page), HvTranslateGvaGpaUnmapped);
    child_qwords(0x4000)[0] |= 1ull << 51;
    if (cpuid_physical_bits() < 52) {
        assert_int_equal(translate(HV_TRANSLATE_GVA_VALIDATE_READ, 0x400000, &page),
                         HvTranslateGvaInvalidPageTableFlags);
    }
    assert_int_equal(sim_call(HvCallTranslateVirtualAddress, &bad, sizeof(bad), &output, sizeof(output)),
                     HV_STATUS_INVALID_PARAMETER);
    bad.control_flags = HV_TRANSLATE_GVA_SHADOW_STACK;
    assert_int_equal(sim_call(HvCallTranslateVirtualAddress, &bad, sizeof(bad), &output, sizeof(output)),
                     HV_STATUS_INVALID_PARAMETER);
}

static void test_instruction_bytes(void **state)
{
    uint8_t bytes[16];
    union hv_register_value cs = {0};
    union hv_register_value zero = {0};

    (void)state;
    for (uint32_t i = 0; i < 16; i++) {
        ((uint8_t *)child_qwords(RAM_PAGES * PAGE_SIZE - 16))[i] = (uint8_t)(0x40 + i);
        ((uint8_t *)child_qwords(0x5ff0))[i] = (uint8_t)(0x80 + i);
        ((uint8_t *)child_qwords(0x6000))[i] = (uint8_t)(0x90 + i);
    }
    /* Up to the end of what is there. */
    vp->regs.rip = RAM_PAGES * PAGE_SIZE - 5;
    assert_int_equal(vp_fetch_instruction(vp, bytes, 15), 5);
    assert_int_equal(bytes[0], 0x4b);
    vp->regs.rip = RAM_PAGES * PAGE_SIZE;
    assert_int_equal(vp_fetch_instruction(vp, bytes, 15), 0);
    /* Across a page, through the tables: the next page is elsewhere. */
    build_tables();
    child_qwords(0x4000)[1] = 0x6000 | X86_PTE_P;
    vp->regs.rip = 0x400ffc;
    assert_int_equal(vp_fetch_instruction(vp, bytes, 15), 15);
    assert_int_equal(bytes[3], 0x8f);
    assert_int_equal(bytes[4], 0x90);
    child_qwords(0x4000)[1] |= X86_PTE_NX;
    assert_int_equal(vp_fetch_instruction(vp, bytes, 15), 4);
    /* Real mode: CS base counts. */
    assert_int_equal(vp_set_register(vp, HvX64RegisterEfer, &zero), HV_STATUS_SUCCESS);
    assert_int_equal(vp_set_register(vp, HvX64RegisterCr0, &zero), HV_STATUS_SUCCESS);
    cs.segment.base = 0x5000;
    assert_int_equal(vp_set_register(vp, HvX64RegisterCs, &cs), HV_STATUS_SUCCESS);
    vp->regs.rip = 0xff0;
    assert_int_equal(vp_fetch_instruction(vp, bytes, 2), 2);
    assert_int_equal(bytes[1], 0x81);
}

/* The first byte of the instruction at RIP, after two fetches that must agree; -1: it cannot be fetched. */
static int fetched(void)
{
    uint8_t first[15];
    uint8_t second[15];

    if (vp_fetch_instruction(vp, first, sizeof(first)) != sizeof(first)) {
        assert_int_not_equal(vp_fetch_instruction(vp, first, sizeof(first)), sizeof(first));
        return -1;
    }
    assert_int_equal(vp_fetch_instruction(vp, second, sizeof(second)), sizeof(second));
    assert_memory_equal(first, second, sizeof(first));
    return first[0];
}

/* A page of code in 64-bit mode that is fetched from again: whatever has changed since must show. */
static void test_instruction_bytes_again(void **state)
{
    union hv_register_value cs = {0};

    (void)state;
    build_tables();
    cs.segment.attributes = HV_X64_SEGMENT_LONG | X86_SEG_ATTR_P | X86_SEG_ATTR_S | X86_SEG_TYPE_CODE;
    assert_int_equal(vp_set_register(vp, HvX64RegisterCs, &cs), HV_STATUS_SUCCESS);
    vp->regs.rip = 0x400010;
    for (uint64_t page = 5; page < 8; page++) {
        child_qwords((page << PAGE_SHIFT) + 0x10)[0] = page;
    }
    assert_int_equal(fetched(), 5);
    child_qwords(0x5010)[0] = 0x55;
    assert_int_equal(fetched(), 0x55);
    child_qwords(0x4000)[0] = 0x6000 | X86_PTE_P;
    assert_int_equal(fetched(), 6);
    child_qwords(0x4000)[0] |= X86_PTE_NX;
    assert_int_equal(fetched(), -1);
    child_qwords(0x4000)[0] = 0x6000 | X86_PTE_P;
    assert_int_equal(fetched(), 6);
    child_qwords(0x2000)[0] = 0;
    assert_int_equal(fetched(), -1);
    child_qwords(0x2000)[0] = 0x3000 | X86_PTE_P;
    assert_int_equal(fetched(), 6);
    /* Without a change in the guest's tables: another page behind its address, other tables, another privilege. */
    sim_map(child, 6, ram + 7, 1);
    assert_int_equal(fetched(), 7);
    set(HvX64RegisterCr3, 0x9000);
    assert_int_equal(fetched(), -1);
    set(HvX64RegisterCr3, 0x1000);
    assert_int_equal(fetched(), 7);
    set(HvX64RegisterCr4, X86_CR4_PAE | X86_CR4_SMEP);
    child_qwords(0x2000)[0] |= X86_PTE_U;
    child_qwords(0x4000)[0] |= X86_PTE_U;
    assert_int_equal(fetched(), -1);
    set(HvX64RegisterCr4, X86_CR4_PAE);
    assert_int_equal(fetched(), 7);
    set(HvX64RegisterCr4, X86_CR4_PAE | X86_CR4_SMEP);
    assert_int_equal(fetched(), -1);
}

static void test_registers_for_the_executor(void **state)
{
    union hv_register_value ds = {0};
    struct x86_cpu cpu;

    (void)state;
    ds.segment = (struct hv_x64_segment_register){.base = 0x777, .limit = 0xffff, .selector = 0x18, .attributes = 0x93};
    assert_int_equal(vp_set_register(vp, HvX64RegisterDs, &ds), HV_STATUS_SUCCESS);
    vp->regs.gpr[VP_RSI] = 0x42;
    vp_get_x86_cpu(vp, &cpu);
    assert_int_equal(cpu.segments[X86_SEG_DS].base, 0x777);
    assert_int_equal(cpu.segments[X86_SEG_DS].attributes, 0x93);
    assert_int_equal(cpu.gpr[VP_RSI], 0x42);
    assert_int_equal(cpu.rip, vp->regs.rip);
    assert_int_equal(cpu.cpl, 0);
}

static hv_status_t property(uint16_t code, uint64_t id, uint32_t property_code, uint64_t value, uint64_t *out)
{
    struct hv_input_set_partition_property input = {
        .partition_id = id, .property_code = property_code, .property_value = value};
    bool is_set = code == HvCallSetPartitionProperty;

    return sim_call(code, &input, is_set ? sizeof(input) : sizeof(struct hv_input_get_partition_property), out,
                    is_set ? 0 : sizeof(*out));
}

static void test_properties(void **state)
{
    static const struct round_trip settable[] = {{HvPartitionPropertyTimeFreeze, 1},
                                                 {HvPartitionPropertyGpaPageAccessTracking, 1},
                                                 {HvPartitionPropertyUnimplementedMsrAction, 1}};
    static const uint32_t fixed[] = {HvPartitionPropertyPrivilegeFlags,
                                     HvPartitionPropertyProcessorVendor,
                                     HvPartitionPropertyPhysicalAddressWidth,
                                     HvPartitionPropertyXsaveStates,
                                     HvPartitionPropertyMaxXsaveDataSize,
                                     HvPartitionPropertyProcessorClockFrequency,
                                     HvPartitionPropertyProcessorFeatures0,
                                     HvPartitionPropertyProcessorFeatures1,
                                     HvPartitionPropertyGuestOsId};
    uint64_t value;

    (void)state;
    for (uint32_t i = 0; i < sizeof(settable) / sizeof(settable[0]); i++) {
        uint32_t code = settable[i].name;

        assert_int_equal(property(HvCallGetPartitionProperty, child, code, 0, &value), HV_STATUS_SUCCESS);
        assert_int_equal(value, 0);
        assert_int_equal(property(HvCallSetPartitionProperty, child, code, 1, NULL), HV_STATUS_SUCCESS);
        assert_int_equal(property(HvCallGetPartitionProperty, child, code, 0, &value), HV_STATUS_SUCCESS);
        assert_int_equal(value, 1);
        assert_int_equal(property(HvCallSetPartitionProperty, child, code, 2, NULL),
                         HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
        assert_int_equal(property(HvCallSetPartitionProperty, child, code, 0, NULL), HV_STATUS_SUCCESS);
    }
    for (uint32_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        assert_int_equal(property(HvCallGetPartitionProperty, child, fixed[i], 0, &value), HV_STATUS_SUCCESS);
        assert_int_equal(property(HvCallSetPartitionProperty, child, fixed[i], value, NULL),
                         HV_STATUS_OPERATION_DENIED);
    }
    assert_int_equal(property(HvCallGetPartitionProperty, child, 0x12345, 0, &value), HV_STATUS_UNKNOWN_PROPERTY);
    assert_int_equal(property(HvCallSetPartitionProperty, child, 0x12345, 0, NULL), HV_STATUS_UNKNOWN_PROPERTY);
    assert_int_equal(property(HvCallGetPartitionProperty, 999, HvPartitionPropertyGuestOsId, 0, &value),
                     HV_STATUS_INVALID_PARTITION_ID);
    assert_int_equal(
        property(HvCallGetPartitionProperty, HV_PARTITION_ID_SELF, HvPartitionPropertyProcessorFeatures0, 0, &value),
        HV_STATUS_SUCCESS);
    assert_int_equal(property(HvCallGetPartitionProperty, child, HvPartitionPropertyMaxXsaveDataSize, 0, &value),
                     HV_STATUS_SUCCESS);
    assert_in_range(value, 576, 4096);
}

static void test_synthetic_features_are_set_before_initialising(void **state)
{
    struct hv_input_create_partition input = {.flags = HV_PARTITION_CREATION_FLAG_EXO_PARTITION};
    uint64_t qemu = 0x06400ffb;
    uint64_t id = 0;
    uint64_t value;

    (void)state;
    assert_int_equal(property(HvCallSetPartitionProperty, child, HvPartitionPropertySyntheticProcFeatures, qemu, NULL),
                     HV_STATUS_INVALID_PARTITION_STATE);
    sim_deposit(HV_PARTITION_ID_SELF, 1);
    assert_int_equal(sim_call(HvCallCreatePartition, &input, sizeof(input), &id, sizeof(id)), HV_STATUS_SUCCESS);
    assert_int_equal(property(HvCallSetPartitionProperty, id, HvPartitionPropertySyntheticProcFeatures, qemu, NULL),
                     HV_STATUS_SUCCESS);
    assert_int_equal(property(HvCallGetPartitionProperty, id, HvPartitionPropertySyntheticProcFeatures, 0, &value),
                     HV_STATUS_SUCCESS);
    assert_int_equal(value, qemu);
    assert_int_equal(
        property(HvCallSetPartitionProperty, id, HvPartitionPropertySyntheticProcFeatures, 1ull << 63, NULL),
        HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE);
    assert_int_equal(property(HvCallGetPartitionProperty, id, HvPartitionPropertyPrivilegeFlags, 0, &value),
                     HV_STATUS_SUCCESS);
    assert_true((value & HV_ACCESS_HYPERCALL_MSRS) != 0);
    assert_true((value & HV_CREATE_PARTITIONS) == 0);
    (void)sim_destroy_child(id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registers_keep_their_values),
        TEST(test_wide_registers),
        TEST(test_refused_values),
        TEST(test_pending_event_becomes_the_next_exception),
        TEST(test_lapic_state),
        TEST(test_xsave_state_is_compacted),
        TEST(test_synic_pages_as_state),
        TEST(test_state_statuses),
        TEST(test_state_pages),
        TEST(test_stats_pages),
        TEST(test_the_hypervisors_page_counts),
        TEST(test_translation),
        TEST(test_translation_for_the_root),
        TEST(test_instruction_bytes),
        TEST(test_instruction_bytes_again),
        TEST(test_registers_for_the_executor),
        TEST(test_properties),
        TEST(test_synthetic_features_are_set_before_initialising),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
