/* SPDX-License-Identifier: MIT */
/* What an entry is prepared with, and what an exit leaves, where an emulator hides it: TLB invalidations, a single step
 * in a shadow, blocking by NMI, debug registers; and which exits are over at once. On a VMCS that is an array and a
 * processor that counts. SDM vol. 3, Caching Translation Information; Checks on Guest Non-Register State; Debug
 * Exceptions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake_processor.h"
#include "vmx/vmx.h"
#include "vmx/vmx_insn.h"

#define vmcs_read                         fake_read
#define vmcs_write                        fake_write
#define vmcs_read_uncounted               fake_read
#define vmcs_write_uncounted              fake_write
#define irq_window                        fake_irq_window
#define vmx_vmptrld                       fake_vmptrld
#define vmx_vmclear                       fake_vmclear
#define exit_exception                    fake_exit_exception
#define vmcs_count_accesses(count)        ((void)(count))
/* Their names are those of types, too. */
#define vmx_invept(scope, eptp)           fake_invept(scope, eptp)
#define vmx_invvpid(scope, vpid, address) fake_invvpid(scope, vpid, address)
#define exit_memory(vp, access)           fake_exit_memory(vp, access)

static uint64_t fake_read(enum vmcs_field field);
static void fake_write(enum vmcs_field field, uint64_t value);
static void fake_irq_window(void);
static void fake_vmptrld(spa_t vmcs);
static void fake_vmclear(spa_t vmcs);
static void fake_invept(enum vmx_invept scope, uint64_t eptp);
static void fake_invvpid(enum vmx_invvpid scope, uint32_t vpid, uint64_t address);
static enum exit_action fake_exit_exception(struct vp *of, uint8_t vector, bool has_error, uint32_t error,
                                            uint64_t parameter);
static enum exit_action fake_exit_memory(struct vp *of, const struct exit_memory *access);

#include "vmx/vmx_exit.c"
#include "vmx/vmx_fast.c"
#include "vmx/vmx_run.c"
#include "vmx/vmx_tlb.c"

#define FIELD_COUNT 0x8000u
#define VPID_COUNT  4u
#define EPTP        0x5000u
#define RIP         0x401000u
#define SUBLEAF     3u
#define RSP_UNREAD  0x7777u

/* What the processor was told to forget since the last entry. */
struct invalidations {
    unsigned eptp_count, vpid_count, all_vpids_count, non_global_count, address_count;
    uint64_t addresses[VP_FLUSH_PAGES_MAX];
};

static uint64_t vmcs[FIELD_COUNT];
static struct invalidations told;
static uint64_t parameter_seen;
static struct gpa_space space;
static struct partition partition;
static bool is_interrupted; /* by an interrupt that waits for the next window */
static struct cpu cpus[2];
static struct vmx_cpu own_cpus[2];
static struct vmx_vp own;
static struct vp vp;

uint32_t vmx_vpid_count = VPID_COUNT;
struct vmx_limits vmx_limits;

static uint64_t fake_read(enum vmcs_field field)
{
    return vmcs[field];
}

static void fake_write(enum vmcs_field field, uint64_t value)
{
    vmcs[field] = value;
}

static void fake_irq_window(void)
{
    cpu_this()->interrupt_count += is_interrupted ? 1 : 0;
    is_interrupted = false;
}

static void fake_invept(enum vmx_invept scope, uint64_t eptp)
{
    assert_int_equal(scope, VMX_INVEPT_SINGLE);
    assert_int_equal(eptp, EPTP);
    told.eptp_count++;
}

static void fake_invvpid(enum vmx_invvpid scope, uint32_t vpid, uint64_t address)
{
    assert_int_equal(vpid, scope == VMX_INVVPID_ALL ? 0 : vmcs[VMCS_VPID]);
    switch (scope) {
    case VMX_INVVPID_ADDRESS:
        assert_true(vmx_limits.ept_vpid & VMX_CAP_INVVPID_ADDRESS);
        told.addresses[told.address_count++] = address;
        return;
    case VMX_INVVPID_SINGLE:
        told.vpid_count++;
        break;
    case VMX_INVVPID_ALL:
        told.all_vpids_count++;
        break;
    case VMX_INVVPID_NON_GLOBAL:
        assert_true(vmx_limits.ept_vpid & VMX_CAP_INVVPID_NON_GLOBAL);
        told.non_global_count++;
        break;
    }
    assert_int_equal(address, 0);
}

static enum exit_action fake_exit_exception(struct vp *of, uint8_t vector, bool has_error, uint32_t error,
                                            uint64_t parameter)
{
    (void)of;
    (void)vector;
    (void)has_error;
    (void)error;
    parameter_seen = parameter;
    return EXIT_RESUME;
}

static enum exit_action fake_exit_memory(struct vp *of, const struct exit_memory *access)
{
    (void)of;
    (void)access;
    return EXIT_RESUME;
}

/* The rest of the backend and of the processor: no part in these tests. */

static void fake_vmptrld(spa_t of)
{
    (void)of;
}

static void fake_vmclear(spa_t of)
{
    (void)of;
}

bool vmx_enter(struct vp *of, uint64_t *host_rsp, bool is_launched)
{
    (void)of;
    (void)host_rsp;
    (void)is_launched;
    own.exit_reason = (uint32_t)vmcs[VMCS_EXIT_REASON];
    return true;
}

const char *vmcs_check(uint64_t (*read)(enum vmcs_field field), const struct vmx_limits *limits,
                       const uint32_t *apic_page)
{
    (void)read;
    (void)limits;
    (void)apic_page;
    return NULL;
}

void vmcs_set_host_state(void)
{
}

void vmx_put_events(struct vp *of)
{
    (void)of;
}

void vmx_collect_event(struct vp *of)
{
    (void)of;
}

void vmx_load_apic(struct vp *of)
{
    (void)of;
}

void vmx_store_apic(struct vp *of)
{
    (void)of;
}

void vmx_load_pdptes(struct vp *of)
{
    (void)of;
}

enum exit_action vmx_handle_cr(struct vp *of, uint8_t length)
{
    (void)of;
    (void)length;
    return EXIT_RESUME;
}

enum exit_action vmx_handle_virtual_eoi(struct vp *of)
{
    (void)of;
    return EXIT_RESUME;
}

enum exit_action vmx_handle_apic_write(struct vp *of)
{
    (void)of;
    return EXIT_RESUME;
}

static const struct cpu_backend fake_backend = {.read_state = vmx_read_state, .note_flush = vmx_note_flush};

static int start(void **state)
{
    (void)state;
    memset(vmcs, 0, sizeof(vmcs));
    memset(&own, 0, sizeof(own));
    memset(&vp, 0, sizeof(vp));
    memset(own_cpus, 0, sizeof(own_cpus));
    for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
        own_cpus[i].next_vpid = 1;
        own_cpus[i].vpid_epoch = 1;
        cpus[i].backend = &own_cpus[i];
    }
    vmx_limits.cpu2.may = VMX_CPU2_VPID;
    vmx_limits.ept_vpid = VMX_CAP_INVVPID_ADDRESS | VMX_CAP_INVVPID_NON_GLOBAL;
    spin_init(&own.flush_lock, LOCK_RANK_FLUSH, "flush");
    own.eptp = EPTP;
    vp.backend = &own;
    vp.space = &space;
    vp.partition = &partition;
    memset(&partition, 0, sizeof(partition));
    backend = &fake_backend;
    cpu_this()->backend = &own_cpus[0];
    own_cpus[0].current = &own;
    is_interrupted = false;
    vp.regs.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
    vmcs[VMCS_GUEST_RFLAGS] = vp.regs.rflags;
    return 0;
}

/* An entry on this processor, and the exit after it; what the processor was told. */
static struct invalidations enter(unsigned cpu, uint32_t reason)
{
    told = (struct invalidations){0};
    vmcs[VMCS_EXIT_REASON] = reason;
    assert_int_equal(vmx_step(&vp, &cpus[cpu]), EXIT_RESUME);
    return told;
}

static void assert_told(struct invalidations is, unsigned eptp_count, unsigned vpid_count, unsigned all_vpids_count)
{
    assert_int_equal(is.eptp_count, eptp_count);
    assert_int_equal(is.vpid_count, vpid_count);
    assert_int_equal(is.all_vpids_count, all_vpids_count);
    assert_int_equal(is.non_global_count, 0);
    assert_int_equal(is.address_count, 0);
}

static void test_only_what_is_stale_is_invalidated(void **state)
{
    uint64_t vpid;

    (void)state;
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 0);
    vpid = vmcs[VMCS_VPID];
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
    vmx_flush(&vp, VP_FLUSH_ALL);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 1, 0);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
    space.generation++;
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 0);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
    assert_int_equal(vmcs[VMCS_VPID], vpid);
}

/* What the VP left in the other processor's TLB is older than what it has done since. */
static void test_each_move_takes_a_new_tag(void **state)
{
    (void)state;
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 0);
    assert_told(enter(1, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 0);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 0);
    assert_int_equal(vmcs[VMCS_VPID], 2);
}

static void test_used_up_tags_are_all_flushed(void **state)
{
    (void)state;
    for (unsigned i = 1; i < VPID_COUNT; i++) {
        assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 0);
        own.last_cpu = NULL;
    }
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 1);
    assert_int_equal(vmcs[VMCS_VPID], 1);
    /* Another VP with a tag of the former epoch would share it. */
    own.vpid_epoch--;
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
    assert_int_equal(vmcs[VMCS_VPID], 2);
}

static void test_without_vpids_entries_flush(void **state)
{
    (void)state;
    vmx_limits.cpu2.may = 0;
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 0);
    vmx_flush(&vp, VP_FLUSH_ALL);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
    assert_int_equal(vmcs[VMCS_VPID], 0);
}

/* A flush of pages `first` to `last` is wanted. */
static void flush_pages(uint64_t first, uint64_t last)
{
    struct vp_flush_set set = {.scope = VP_FLUSH_PAGES};

    for (uint64_t page = first; page <= last; page++) {
        set.pages[set.page_count++] = page << PAGE_SHIFT;
    }
    vp_flush(&vp, &set);
}

static void test_flushes_are_as_narrow_as_can_be(void **state)
{
    struct invalidations is;

    (void)state;
    (void)enter(0, VMX_EXIT_INTERRUPT_WINDOW);
    flush_pages(5, 6);
    flush_pages(9, 9);
    is = enter(0, VMX_EXIT_INTERRUPT_WINDOW);
    assert_int_equal(is.address_count, 3);
    assert_int_equal(is.addresses[0], 0x5000);
    assert_int_equal(is.addresses[1], 0x6000);
    assert_int_equal(is.addresses[2], 0x9000);
    assert_int_equal(is.vpid_count + is.non_global_count + is.all_vpids_count + is.eptp_count, 0);
    vmx_flush(&vp, VP_FLUSH_NON_GLOBAL);
    vmx_flush(&vp, VP_FLUSH_NON_GLOBAL);
    is = enter(0, VMX_EXIT_INTERRUPT_WINDOW);
    assert_int_equal(is.non_global_count, 1);
    assert_int_equal(is.vpid_count + is.address_count + is.all_vpids_count + is.eptp_count, 0);
    vmx_flush(&vp, VP_FLUSH_NOTHING);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
    /* What two have asked for together is not missed; and it is done once. */
    flush_pages(5, 5);
    vmx_flush(&vp, VP_FLUSH_NON_GLOBAL);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 1, 0);
    vmx_flush(&vp, VP_FLUSH_ALL);
    flush_pages(5, 5);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 1, 0);
    flush_pages(0, VP_FLUSH_PAGES_MAX - 1);
    assert_int_equal(enter(0, VMX_EXIT_INTERRUPT_WINDOW).address_count, VP_FLUSH_PAGES_MAX);
    flush_pages(0, VP_FLUSH_PAGES_MAX - 1);
    flush_pages(5, 5);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 1, 0);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
    /* A new tag has nothing to be flushed, and what the VP had elsewhere is not used again. */
    flush_pages(5, 5);
    assert_told(enter(1, VMX_EXIT_INTERRUPT_WINDOW), 1, 0, 0);
    assert_told(enter(1, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
}

static void test_what_the_processor_lacks_is_done_by_the_next_wider(void **state)
{
    (void)state;
    (void)enter(0, VMX_EXIT_INTERRUPT_WINDOW);
    vmx_limits.ept_vpid = VMX_CAP_INVVPID_NON_GLOBAL;
    flush_pages(5, 6);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 1, 0);
    vmx_flush(&vp, VP_FLUSH_NON_GLOBAL);
    assert_int_equal(enter(0, VMX_EXIT_INTERRUPT_WINDOW).non_global_count, 1);
    vmx_limits.ept_vpid = VMX_CAP_INVVPID_ADDRESS;
    vmx_flush(&vp, VP_FLUSH_NON_GLOBAL);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 1, 0);
    flush_pages(5, 6);
    assert_int_equal(enter(0, VMX_EXIT_INTERRUPT_WINDOW).address_count, 2);
    vmx_limits.cpu2.may = 0;
    flush_pages(5, 6);
    assert_told(enter(0, VMX_EXIT_INTERRUPT_WINDOW), 0, 0, 0);
}

/* BS of the pending debug exceptions after an entry with this shadow; what else is pending stays. */
static bool is_step_pending(uint32_t blocked, uint64_t trap_flag, uint64_t debugctl, uint64_t before)
{
    vp.unread = 0;
    vp.interrupt_shadow = blocked != 0;
    own.blocked = blocked;
    vp.regs.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF | trap_flag;
    vmcs[VMCS_GUEST_DEBUGCTL] = debugctl;
    vmcs[VMCS_GUEST_PENDING_DEBUG] = before | X86_DR6_B0;
    (void)enter(0, VMX_EXIT_INTERRUPT_WINDOW);
    assert_int_equal(vmcs[VMCS_GUEST_PENDING_DEBUG] & ~X86_DR6_BS, X86_DR6_B0);
    return vmcs[VMCS_GUEST_PENDING_DEBUG] & X86_DR6_BS;
}

static void test_a_step_in_a_shadow_is_pending(void **state)
{
    (void)state;
    assert_true(is_step_pending(VMX_BLOCKED_STI, X86_RFLAGS_TF, 0, 0));
    assert_true(is_step_pending(VMX_BLOCKED_MOV_SS, X86_RFLAGS_TF, 0, 0));
    assert_true(is_step_pending(VMX_BLOCKED_MOV_SS, X86_RFLAGS_TF, 0, X86_DR6_BS));
    assert_false(is_step_pending(VMX_BLOCKED_STI, X86_RFLAGS_TF, X86_DEBUGCTL_BTF, X86_DR6_BS));
    assert_false(is_step_pending(VMX_BLOCKED_STI, 0, 0, X86_DR6_BS));
    assert_false(is_step_pending(0, X86_RFLAGS_TF, 0, 0));
}

/* True if the VP's NMIs are blocked after this exit, which came when they were not. */
static bool blocks_nmis(uint32_t reason, enum vmcs_field field, uint64_t info, uint32_t vectoring)
{
    vp.nmi_masked = false;
    vmcs[field] = info;
    vmcs[VMCS_VECTORING_EVENT] = vectoring;
    (void)enter(0, reason);
    return vp.nmi_masked;
}

/* An IRET that faults has unblocked NMIs already, and comes again; but not one whose event was being delivered. */
static void test_an_iret_that_faults_keeps_nmis_blocked(void **state)
{
    const uint32_t fault = VMX_EVENT_VALID | VMX_EVENT_EXCEPTION << VMX_EVENT_TYPE_SHIFT | X86_VECTOR_AC;
    const uint32_t delivery = VMX_EVENT_VALID | VMX_EVENT_NMI << VMX_EVENT_TYPE_SHIFT | X86_VECTOR_NMI;

    (void)state;
    assert_true(blocks_nmis(VMX_EXIT_EPT_VIOLATION, VMCS_EXIT_QUALIFICATION, VMX_EPT_NMI_UNBLOCK, 0));
    assert_false(blocks_nmis(VMX_EXIT_EPT_VIOLATION, VMCS_EXIT_QUALIFICATION, VMX_EPT_NMI_UNBLOCK, delivery));
    assert_false(blocks_nmis(VMX_EXIT_EPT_VIOLATION, VMCS_EXIT_QUALIFICATION, 0, 0));
    assert_true(blocks_nmis(VMX_EXIT_EXCEPTION_NMI, VMCS_EXIT_EVENT, fault | VMX_EVENT_NMI_UNBLOCK, 0));
    assert_false(blocks_nmis(VMX_EXIT_EXCEPTION_NMI, VMCS_EXIT_EVENT, fault | VMX_EVENT_NMI_UNBLOCK, delivery));
    assert_false(blocks_nmis(VMX_EXIT_EXCEPTION_NMI, VMCS_EXIT_EVENT, fault, 0));
}

static void test_debug_exceptions_update_their_registers(void **state)
{
    (void)state;
    own.live[VMX_LIVE_DR6] = X86_DR6_RESET | X86_DR6_BD | X86_DR6_BREAKPOINTS;
    vmcs[VMCS_GUEST_DR7] = X86_DR7_RESET | X86_DR7_GD;
    vmcs[VMCS_EXIT_EVENT] = VMX_EVENT_VALID | VMX_EVENT_EXCEPTION << VMX_EVENT_TYPE_SHIFT | X86_VECTOR_DB;
    /* Bit 12, an enabled breakpoint, is none of DR6. */
    vmcs[VMCS_EXIT_QUALIFICATION] = X86_DR6_BS | X86_DR6_B0 | 0x1000;
    (void)enter(0, VMX_EXIT_EXCEPTION_NMI);
    assert_int_equal(own.live[VMX_LIVE_DR6], X86_DR6_RESET | X86_DR6_BD | X86_DR6_BS | X86_DR6_B0);
    assert_int_equal(parameter_seen, own.live[VMX_LIVE_DR6]);
    assert_int_equal(vmcs[VMCS_GUEST_DR7], X86_DR7_RESET);
}

/* The VP has asked for leaf 0 before, and now executes a CPUID of two bytes. */
static void exit_by_cpuid(void)
{
    struct cpuid_answer *answer = cpuid_answer_of(&vp.cpuid, 0);

    *answer = (struct cpuid_answer){.subleaf = SUBLEAF, .kept_for = partition.vp_count + 1, .values = {5, 6, 7, 8}};
    vp.regs.gpr[VP_RAX] = 0;
    vp.regs.gpr[VP_RCX] = SUBLEAF;
    vp.regs.gpr[VP_RSP] = RSP_UNREAD;
    vmcs[VMCS_EXIT_REASON] = VMX_EXIT_CPUID;
    vmcs[VMCS_GUEST_RIP] = RIP;
    vmcs[VMCS_EXIT_INSN_LENGTH] = 2;
    vmcs[VMCS_GUEST_RFLAGS] = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
    vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
}

/* Whether the exit takes the fast path; if not, it has to find everything as it was. */
static bool is_fast(void)
{
    static uint64_t before[FIELD_COUNT];
    struct vp_regs regs = vp.regs;
    uint64_t exits = vp.exit_count;
    bool is_over;

    memcpy(before, vmcs, sizeof(before));
    is_over = vmx_fast_exit(&vp);
    if (!is_over) {
        assert_memory_equal(vmcs, before, sizeof(before));
        assert_memory_equal(&vp.regs, &regs, sizeof(regs));
    }
    assert_int_equal(vp.exit_count, exits + (is_over ? 1 : 0));
    return is_over;
}

static void test_an_exit_is_over_at_once(void **state)
{
    (void)state;
    exit_by_cpuid();
    assert_true(is_fast());
    assert_int_equal(vp.regs.gpr[VP_RAX], 5);
    assert_int_equal(vp.regs.gpr[VP_RBX], 6);
    assert_int_equal(vp.regs.gpr[VP_RCX], 7);
    assert_int_equal(vp.regs.gpr[VP_RDX], 8);
    assert_int_equal(vp.regs.gpr[VP_RSP], RSP_UNREAD);
    assert_int_equal(vmcs[VMCS_GUEST_RIP], RIP + 2);
    exit_by_cpuid();
    vmcs[VMCS_EXIT_REASON] = VMX_EXIT_RDMSR;
    vp.index = 9;
    vp.regs.gpr[VP_RCX] = vp.msrs.permitted = HV_X64_MSR_VP_INDEX;
    assert_true(is_fast());
    assert_int_equal(vp.regs.gpr[VP_RAX], 9);
    assert_int_equal(vp.regs.gpr[VP_RDX], 0);
    assert_int_equal(vmcs[VMCS_GUEST_RIP], RIP + 2);
}

/* What RIP cannot simply be moved on for: a trap behind the instruction, a shadow or blocking by NMI, the end of 4 GiB;
 * somebody who waits; an event of the last entry. */
static void test_the_unusual_takes_the_other_way(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 32; bit++) {
        exit_by_cpuid();
        vmcs[VMCS_GUEST_RFLAGS] ^= UINT64_C(1) << bit;
        assert_int_equal(is_fast(), bit != 8 && bit != 16);
        exit_by_cpuid();
        vmcs[VMCS_GUEST_INTERRUPTIBILITY] = UINT64_C(1) << bit;
        assert_false(is_fast());
        exit_by_cpuid();
        vp.requests = 1u << bit;
        assert_false(is_fast());
        vp.requests = 0;
    }
    exit_by_cpuid();
    vmcs[VMCS_GUEST_RIP] = 0x1fffffffe;
    assert_false(is_fast());
    vmcs[VMCS_GUEST_RIP]--;
    assert_true(is_fast());
    exit_by_cpuid();
    own.has_event = true;
    assert_false(is_fast());
    own.has_event = false;
    vmcs[VMCS_EXIT_REASON] = VMX_EXIT_CPUID | VMX_EXIT_ENTRY_FAILED;
    assert_false(is_fast());
    vmcs[VMCS_EXIT_REASON] = VMX_EXIT_HLT;
    assert_false(is_fast());
}

/* Bochs would not see it at the next entry; with it may come a flush. */
static void test_an_interrupt_ends_the_fast_path(void **state)
{
    (void)state;
    exit_by_cpuid();
    is_interrupted = true;
    assert_true(is_fast());
    exit_by_cpuid();
    vmcs[VMCS_GUEST_RFLAGS] &= ~X86_RFLAGS_IF;
    assert_false(is_fast());
    assert_true(is_fast());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_only_what_is_stale_is_invalidated, start),
        cmocka_unit_test_setup(test_each_move_takes_a_new_tag, start),
        cmocka_unit_test_setup(test_used_up_tags_are_all_flushed, start),
        cmocka_unit_test_setup(test_without_vpids_entries_flush, start),
        cmocka_unit_test_setup(test_flushes_are_as_narrow_as_can_be, start),
        cmocka_unit_test_setup(test_what_the_processor_lacks_is_done_by_the_next_wider, start),
        cmocka_unit_test_setup(test_a_step_in_a_shadow_is_pending, start),
        cmocka_unit_test_setup(test_an_iret_that_faults_keeps_nmis_blocked, start),
        cmocka_unit_test_setup(test_debug_exceptions_update_their_registers, start),
        cmocka_unit_test_setup(test_an_exit_is_over_at_once, start),
        cmocka_unit_test_setup(test_the_unusual_takes_the_other_way, start),
        cmocka_unit_test_setup(test_an_interrupt_ends_the_fast_path, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
