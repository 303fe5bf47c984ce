/* SPDX-License-Identifier: MIT */
/* Who gets each exit, and which fields of the VMCS are read for it until the next entry: these, and no others. On a
 * VMCS that is an array. SDM vol. 3, VMX Basic Exit Reasons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake_processor.h"
#include "vmx/vmx.h"
#include "vmx/vmx_insn.h"

#define vmcs_read                         fake_read_counted
#define vmcs_write                        fake_write
#define vmcs_read_uncounted               fake_read
#define vmcs_write_uncounted              fake_write
#define vmcs_count_accesses               fake_count
#define irq_window                        fake_nothing
#define call_nmi_handler                  fake_nmi
#define vmx_vmptrld                       fake_select
#define vmx_vmclear                       fake_select
#define vmx_invept(scope, eptp)           ((void)(scope), (void)(eptp))
#define vmx_invvpid(scope, vpid, address) ((void)(scope), (void)(vpid), (void)(address))
#define exit_cpuid                        fake_cpuid
#define exit_hypercall                    fake_hypercall
#define exit_rdmsr                        fake_rdmsr_exit
#define exit_wrmsr                        fake_wrmsr_exit
#define exit_halt                         fake_halt
#define exit_pause                        fake_pause
#define exit_xsetbv                       fake_xsetbv
#define exit_cache_flush                  fake_cache_flush
#define exit_undefined                    fake_undefined
#define exit_shutdown                     fake_shutdown
#define exit_interrupt                    fake_interrupt
#define exit_exception                    fake_exception
#define exit_unexpected                   fake_unexpected
/* Their names are those of types, too. */
#define exit_memory(vp, access)           fake_memory(vp, access)
#define exit_io(vp, io)                   fake_io(vp, io)

static uint64_t fake_read(enum vmcs_field field);
static uint64_t fake_read_counted(enum vmcs_field field);
static void fake_count(uint32_t count);
static void fake_write(enum vmcs_field field, uint64_t value);
static void fake_nothing(void);
static void fake_nmi(void);
static void fake_select(spa_t of);
static enum exit_action fake_cpuid(struct vp *of, uint8_t length);
static enum exit_action fake_hypercall(struct vp *of, uint8_t length);
static enum exit_action fake_rdmsr_exit(struct vp *of, uint8_t length);
static enum exit_action fake_wrmsr_exit(struct vp *of, uint8_t length);
static enum exit_action fake_halt(struct vp *of, uint8_t length);
static enum exit_action fake_pause(struct vp *of, uint8_t length);
static enum exit_action fake_xsetbv(struct vp *of, uint8_t length);
static enum exit_action fake_cache_flush(struct vp *of, uint8_t length);
static enum exit_action fake_undefined(struct vp *of);
static enum exit_action fake_shutdown(struct vp *of);
static enum exit_action fake_interrupt(struct vp *of);
static enum exit_action fake_exception(struct vp *of, uint8_t vector, bool has_error, uint32_t error,
                                       uint64_t parameter);
static enum exit_action fake_unexpected(struct vp *of, uint64_t code, const char *what);
static enum exit_action fake_memory(struct vp *of, const struct exit_memory *access);
static enum exit_action fake_io(struct vp *of, const struct exit_io *io);

#include "vmx/vmx_apic.c"
#include "vmx/vmx_cr.c"
#include "vmx/vmx_event.c"
#include "vmx/vmx_exit.c"
#include "vmx/vmx_fast.c"
#include "vmx/vmx_regs.c"
#include "vmx/vmx_run.c"
#include "vmx/vmx_tlb.c"

#define FIELD_COUNT 0x8000u
#define READS_MAX   16
#define RIP         0x401000u
#define RSP         0x7fff0000u
#define LENGTH      3u
#define GVA         0x402000u
#define CALL        UINT64_MAX /* not for the fast path */

/* Every exit reads these; one that completes an instruction, its length and whether a shadow ends with it. */
#define ALWAYS        VMCS_EXIT_REASON, VMCS_GUEST_RIP, VMCS_GUEST_RFLAGS
#define INSN          ALWAYS, VMCS_EXIT_INSN_LENGTH, VMCS_GUEST_INTERRUPTIBILITY
/* And who injects, looks at what blocks and at the mode. */
#define INJECTS       ALWAYS, VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_CR0
#define UNEXPECTED    ALWAYS, VMCS_EXIT_QUALIFICATION, VMCS_EXIT_GPA
#define EXCEPTION     ALWAYS, VMCS_EXIT_EVENT, VMCS_VECTORING_EVENT
#define EVENT(vector) (VMX_EVENT_VALID | VMX_EVENT_EXCEPTION << VMX_EVENT_TYPE_SHIFT | (vector))

/* An exit, what it finds in one more field, and what has to come of it. */
struct exit_row {
    uint32_t reason;
    const char *handler; /* null: nobody's, the guest is entered again */
    enum vmcs_field field;
    uint64_t info;
    enum vmcs_field reads[READS_MAX]; /* up to a 0 */
};

static const struct exit_row rows[] = {
    {VMX_EXIT_EXCEPTION_NMI,
     "exception",
     VMCS_EXIT_EVENT,
     EVENT(X86_VECTOR_DB),
     {EXCEPTION, VMCS_EXIT_QUALIFICATION, VMCS_GUEST_DR7}},
    {VMX_EXIT_EXCEPTION_NMI, "exception", VMCS_EXIT_EVENT, EVENT(X86_VECTOR_UD), {EXCEPTION}},
    {VMX_EXIT_EXCEPTION_NMI,
     "exception",
     VMCS_EXIT_EVENT,
     EVENT(X86_VECTOR_AC) | VMX_EVENT_ERROR_VALID,
     {EXCEPTION, VMCS_EXIT_EVENT_ERROR}},
    {VMX_EXIT_EXCEPTION_NMI,
     "exception",
     VMCS_EXIT_EVENT,
     EVENT(X86_VECTOR_PF) | VMX_EVENT_ERROR_VALID,
     {EXCEPTION, VMCS_EXIT_EVENT_ERROR, VMCS_EXIT_QUALIFICATION}},
    {VMX_EXIT_EXCEPTION_NMI,
     "NMI, interrupt",
     VMCS_EXIT_EVENT,
     VMX_EVENT_VALID | VMX_EVENT_NMI << VMX_EVENT_TYPE_SHIFT | X86_VECTOR_NMI,
     {ALWAYS, VMCS_EXIT_EVENT}},
    {VMX_EXIT_INTERRUPT, "interrupt", 0, 0, {ALWAYS}},
    {VMX_EXIT_TRIPLE_FAULT, "shutdown", 0, 0, {ALWAYS}},
    {VMX_EXIT_INIT, NULL, 0, 0, {ALWAYS}},
    {VMX_EXIT_SIPI, NULL, 0, 0, {ALWAYS}},
    {VMX_EXIT_IO_SMI, NULL, 0, 0, {ALWAYS}},
    {VMX_EXIT_OTHER_SMI, NULL, 0, 0, {ALWAYS}},
    {VMX_EXIT_INTERRUPT_WINDOW, NULL, 0, 0, {ALWAYS}},
    {VMX_EXIT_NMI_WINDOW, NULL, 0, 0, {ALWAYS}},
    {VMX_EXIT_TASK_SWITCH, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_CPUID, "CPUID", 0, 0, {INSN}},
    {VMX_EXIT_GETSEC, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_HLT, "HLT", 0, 0, {INSN}},
    {VMX_EXIT_INVD, "cache flush", 0, 0, {INSN}},
    {VMX_EXIT_INVLPG, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_RDPMC, NULL, 0, 0, {INJECTS}},
    {VMX_EXIT_RDTSC, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_RSM, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMCALL, "hypercall", 0, 0, {INSN}},
    {VMX_EXIT_VMCLEAR, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMLAUNCH, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMPTRLD, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMPTRST, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMREAD, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMRESUME, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMWRITE, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMXOFF, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_VMXON, "undefined", 0, 0, {ALWAYS}},
    /* MOV of what the register holds to CR0, from RCX and from RSP; MOV to CR4, which faults; MOV from CR3. */
    {VMX_EXIT_CR_ACCESS,
     NULL,
     VMCS_EXIT_QUALIFICATION,
     VP_RCX << VMX_CR_GPR_SHIFT,
     {INSN, VMCS_EXIT_QUALIFICATION, VMCS_GUEST_CR0, VMCS_GUEST_CR4, VMCS_GUEST_EFER}},
    {VMX_EXIT_CR_ACCESS,
     NULL,
     VMCS_EXIT_QUALIFICATION,
     VP_RSP << VMX_CR_GPR_SHIFT,
     {INSN, VMCS_EXIT_QUALIFICATION, VMCS_GUEST_CR0, VMCS_GUEST_CR4, VMCS_GUEST_EFER, VMCS_GUEST_RSP}},
    {VMX_EXIT_CR_ACCESS, NULL, VMCS_EXIT_QUALIFICATION, 4, {INJECTS, VMCS_EXIT_INSN_LENGTH, VMCS_EXIT_QUALIFICATION}},
    {VMX_EXIT_CR_ACCESS,
     "unexpected",
     VMCS_EXIT_QUALIFICATION,
     3 | 1 << VMX_CR_TYPE_SHIFT,
     {ALWAYS, VMCS_EXIT_INSN_LENGTH, VMCS_EXIT_QUALIFICATION}},
    {VMX_EXIT_MOV_DR, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_IO, "I/O", VMCS_EXIT_QUALIFICATION, 0x3f8 << 16, {INSN, VMCS_EXIT_QUALIFICATION}},
    {VMX_EXIT_RDMSR, "RDMSR", 0, 0, {INSN}},
    {VMX_EXIT_WRMSR, "WRMSR", 0, 0, {INSN}},
    {VMX_EXIT_BAD_GUEST_STATE, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_BAD_MSR_LOAD, "unexpected", 0, 0, {UNEXPECTED}},
    {35, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_MWAIT, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_MONITOR_TRAP, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_MONITOR, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_PAUSE, "PAUSE", 0, 0, {INSN}},
    {VMX_EXIT_MACHINE_CHECK, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_TPR_BELOW_THRESHOLD, NULL, 0, 0, {ALWAYS}},
    {VMX_EXIT_APIC_ACCESS, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_VIRTUAL_EOI, NULL, VMCS_EXIT_QUALIFICATION, 0x31, {ALWAYS, VMCS_EXIT_QUALIFICATION}},
    {VMX_EXIT_GDTR_IDTR, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_LDTR_TR, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_EPT_VIOLATION,
     "memory",
     VMCS_EXIT_QUALIFICATION,
     0,
     {ALWAYS, VMCS_EXIT_QUALIFICATION, VMCS_EXIT_GPA, VMCS_VECTORING_EVENT}},
    {VMX_EXIT_EPT_VIOLATION,
     "memory",
     VMCS_EXIT_QUALIFICATION,
     VMX_EPT_GVA_VALID,
     {ALWAYS, VMCS_EXIT_QUALIFICATION, VMCS_EXIT_GPA, VMCS_VECTORING_EVENT, VMCS_EXIT_GVA}},
    {VMX_EXIT_EPT_MISCONFIGURATION, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_INVEPT, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_RDTSCP, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_TIMER, "interrupt", 0, 0, {ALWAYS}},
    {VMX_EXIT_INVVPID, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_WBINVD, "cache flush", 0, 0, {INSN}},
    {VMX_EXIT_XSETBV, "XSETBV", 0, 0, {INSN}},
    {VMX_EXIT_APIC_WRITE, "unexpected", 0, 0, {ALWAYS, VMCS_EXIT_QUALIFICATION}},
    {VMX_EXIT_RDRAND, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_INVPCID, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_VMFUNC, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_ENCLS, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_RDSEED, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_PML_FULL, "unexpected", 0, 0, {UNEXPECTED}},
    {VMX_EXIT_XSAVES, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_XRSTORS, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_UMWAIT, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_TPAUSE, "undefined", 0, 0, {ALWAYS}},
    {VMX_EXIT_REASON_MASK, "unexpected", 0, 0, {UNEXPECTED}},
};

static uint64_t vmcs[FIELD_COUNT];
static uint32_t apic_page[PAGE_SIZE / sizeof(uint32_t)];
static struct gpa_space space;
static struct partition partition;
static struct cpu cpu;
static struct vmx_cpu own_cpu;
static struct vmx_vp own;
static struct vp vp;

static const struct exit_row *coming; /* of the next entry */
static bool is_recording;             /* from that entry to the next one */
static bool is_stopping;              /* HLT leaves the run loop */
static enum vmcs_field reads[READS_MAX];
static size_t read_count;
static size_t counted; /* reads that the trace is told of */
static char handler[32];
static unsigned check_count;

uint32_t vmx_vpid_count = 2;
struct vmx_limits vmx_limits;

static uint64_t fake_read(enum vmcs_field field)
{
    if (is_recording) {
        assert_in_range(read_count, 0, READS_MAX - 1);
        reads[read_count++] = field;
    }
    return vmcs[field];
}

static void fake_count(uint32_t count)
{
    counted += is_recording ? count : 0;
}

static uint64_t fake_read_counted(enum vmcs_field field)
{
    fake_count(1);
    return fake_read(field);
}

static void fake_write(enum vmcs_field field, uint64_t value)
{
    vmcs[field] = value;
}

/* What the assembly does, with exits that are all the same but for one. */
bool vmx_enter(struct vp *of, uint64_t *host_rsp, bool is_launched)
{
    (void)host_rsp;
    (void)is_launched;
    do {
        is_recording = coming != NULL;
        vmcs[VMCS_EXIT_REASON] = VMX_EXIT_INTERRUPT;
        if (coming != NULL) {
            vmcs[VMCS_EXIT_REASON] = coming->reason;
            vmcs[coming->field] = coming->info;
            coming = NULL;
            read_count = counted = 0;
            handler[0] = '\0';
        }
    } while (vmx_fast_exit(of));
    return true;
}

/* Handlers: they complete an instruction, and no more. */

static void note(const char *name)
{
    if (is_recording) {
        strcat(handler, handler[0] != '\0' ? ", " : "");
        strcat(handler, name);
    }
}

static enum exit_action complete(struct vp *of, uint8_t length, const char *name)
{
    note(name);
    vp_advance(of, length);
    return EXIT_RESUME;
}

static enum exit_action fake_cpuid(struct vp *of, uint8_t length)
{
    return complete(of, length, "CPUID");
}

static enum exit_action fake_hypercall(struct vp *of, uint8_t length)
{
    return complete(of, length, "hypercall");
}

static enum exit_action fake_rdmsr_exit(struct vp *of, uint8_t length)
{
    return complete(of, length, "RDMSR");
}

static enum exit_action fake_wrmsr_exit(struct vp *of, uint8_t length)
{
    return complete(of, length, "WRMSR");
}

static enum exit_action fake_halt(struct vp *of, uint8_t length)
{
    of->run_status = VP_RUN_BLOCKED;
    (void)complete(of, length, "HLT");
    return is_stopping ? EXIT_LEAVE : EXIT_RESUME;
}

static enum exit_action fake_pause(struct vp *of, uint8_t length)
{
    return complete(of, length, "PAUSE");
}

static enum exit_action fake_xsetbv(struct vp *of, uint8_t length)
{
    return complete(of, length, "XSETBV");
}

static enum exit_action fake_cache_flush(struct vp *of, uint8_t length)
{
    return complete(of, length, "cache flush");
}

static enum exit_action fake_io(struct vp *of, const struct exit_io *io)
{
    assert_int_equal(io->port, 0x3f8);
    return complete(of, io->insn_length, "I/O");
}

/* The others change nothing. */
static enum exit_action noted(const char *name)
{
    note(name);
    return EXIT_RESUME;
}

static enum exit_action fake_undefined(struct vp *of)
{
    (void)of;
    return noted("undefined");
}

static enum exit_action fake_shutdown(struct vp *of)
{
    (void)of;
    return noted("shutdown");
}

static enum exit_action fake_interrupt(struct vp *of)
{
    (void)of;
    return noted("interrupt");
}

static enum exit_action fake_exception(struct vp *of, uint8_t vector, bool has_error, uint32_t error,
                                       uint64_t parameter)
{
    (void)of;
    (void)vector;
    (void)has_error;
    (void)error;
    (void)parameter;
    return noted("exception");
}

static enum exit_action fake_unexpected(struct vp *of, uint64_t code, const char *what)
{
    (void)of;
    (void)code;
    (void)what;
    return noted("unexpected");
}

static enum exit_action fake_memory(struct vp *of, const struct exit_memory *access)
{
    (void)of;
    (void)access;
    return noted("memory");
}

static void fake_nmi(void)
{
    note("NMI");
}

/* The rest of the backend and of the processor: no part in these tests. */

static void fake_nothing(void)
{
}

static void fake_select(spa_t of)
{
    (void)of;
}

const char *vmcs_check(uint64_t (*read)(enum vmcs_field field), const struct vmx_limits *limits, const uint32_t *apic)
{
    (void)read;
    (void)limits;
    (void)apic;
    check_count++;
    return NULL;
}

void vmcs_set_host_state(void)
{
}

spa_t vmx_msr_bitmap(bool is_apic_virtual)
{
    (void)is_apic_virtual;
    return spa(0);
}

static const struct cpu_backend fake_backend = {
    .name = "VT-x",
    .read_state = vmx_read_state,
    .get_register = vmx_get_register,
    .set_register = vmx_set_register,
    .get_paging = vmx_get_paging,
    .get_code_mode = vmx_get_code_mode,
};

/* An entry and the exit after it. */
static void enter(void)
{
    vmx_prepare_events(&vp);
    assert_int_equal(vmx_step(&vp, &cpu), EXIT_RESUME);
}

/* A VP that has been running here for a while. */
static int start(void **state)
{
    (void)state;
    memset(vmcs, 0, sizeof(vmcs));
    memset(&own, 0, sizeof(own));
    memset(&vp, 0, sizeof(vp));
    memset(&partition, 0, sizeof(partition));
    own_cpu = (struct vmx_cpu){.current = &own, .next_vpid = 1, .vpid_epoch = 1};
    cpu_this()->backend = &own_cpu;
    cpu.backend = &own_cpu;
    vmx_limits = (struct vmx_limits){.cpu2.may = VMX_CPU2_VPID, .physical_bits = 40};
    own.apic_page = apic_page;
    vp.backend = &own;
    vp.space = &space;
    spin_init(&own.flush_lock, LOCK_RANK_FLUSH, "flush");
    vp.partition = &partition;
    vp.regs.rip = RIP;
    vp.regs.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
    vp.regs.gpr[VP_RCX] = vmcs[VMCS_GUEST_CR0] = own.cr0_shadow = X86_CR0_PE | X86_CR0_NE;
    vmcs[VMCS_EXIT_INSN_LENGTH] = LENGTH;
    backend = &fake_backend;
    coming = NULL;
    enter();
    vmcs[VMCS_GUEST_RSP] = RSP;
    return 0;
}

static bool was_read(enum vmcs_field field, size_t from)
{
    for (size_t i = from; i < read_count; i++) {
        if (reads[i] == field) {
            reads[i] = reads[from];
            reads[from] = field;
            return true;
        }
    }
    return false;
}

static void test_each_exit_reads_what_it_needs(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct exit_row *row = &rows[i];
        size_t count = 0;

        (void)start(state);
        if (row->reason == VMX_EXIT_VMCALL) {
            vp.regs.gpr[VP_RCX] = CALL;
        } else if (row->info == VP_RSP << VMX_CR_GPR_SHIFT) {
            vmcs[VMCS_GUEST_RSP] = vp.regs.gpr[VP_RCX];
        }
        coming = row;
        enter();
        enter();
        assert_false(is_recording);
        for (; row->reads[count] != 0; count++) {
            if (!was_read(row->reads[count], count)) {
                fail_msg("exit %u did not read field %x", row->reason, row->reads[count]);
            }
        }
        if (read_count != count) {
            fail_msg("exit %u read field %x, which it does not need", row->reason, reads[count]);
        }
        assert_int_equal(counted, count);
        if (strcmp(handler, row->handler != NULL ? row->handler : "") != 0) {
            fail_msg("exit %u went to \"%s\"", row->reason, handler);
        }
    }
}

/* The registers of a VP that has stopped are read when somebody wants them. */
static void test_stopping_reads_nothing(void **state)
{
    static const struct exit_row halt = {.reason = VMX_EXIT_HLT};
    union hv_register_value value;

    (void)state;
    cpu_this()->fpu_owner = &vp;
    coming = &halt;
    is_stopping = true;
    assert_int_equal(vmx_vp_run(&vp), VP_RUN_BLOCKED);
    is_stopping = is_recording = false;
    assert_int_equal(read_count, 5);
    assert_false(was_read(VMCS_GUEST_RSP, 0));
    assert_int_equal(vp_get_register(&vp, HvX64RegisterRsp, &value), HV_STATUS_SUCCESS);
    assert_int_equal(value.reg64, RSP);
    /* What was set meanwhile is not read over, and goes into the VMCS. */
    value.reg64 = RSP + 8;
    assert_int_equal(vp_set_register(&vp, HvX64RegisterRsp, &value), HV_STATUS_SUCCESS);
    enter();
    assert_int_equal(vmcs[VMCS_GUEST_RSP], RSP + 8);
}

/* Nobody has looked at the shadow: the next entry has it, too; unless an instruction was completed in it. */
static void test_a_shadow_ends_with_its_instruction(void **state)
{
    static const struct exit_row interrupt = {.reason = VMX_EXIT_INTERRUPT};
    static const struct exit_row pause = {.reason = VMX_EXIT_PAUSE};
    union hv_register_value value;

    (void)state;
    vmcs[VMCS_GUEST_INTERRUPTIBILITY] = VMX_BLOCKED_STI | VMX_BLOCKED_NMI;
    coming = &interrupt;
    enter();
    enter();
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], VMX_BLOCKED_STI | VMX_BLOCKED_NMI);
    assert_int_equal(vp_get_register(&vp, HvRegisterInterruptState, &value), HV_STATUS_SUCCESS);
    assert_int_equal(value.reg64, HV_INTERRUPT_STATE_INTERRUPT_SHADOW | HV_INTERRUPT_STATE_NMI_MASKED);
    coming = &pause;
    enter();
    enter();
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], VMX_BLOCKED_NMI);
    /* The flags that the root sets must go with it. */
    vmcs[VMCS_GUEST_INTERRUPTIBILITY] = VMX_BLOCKED_STI;
    enter();
    value.reg64 = X86_RFLAGS_FIXED;
    assert_int_equal(vp_set_register(&vp, HvX64RegisterRflags, &value), HV_STATUS_SUCCESS);
    enter();
    assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], VMX_BLOCKED_MOV_SS);
}

/* A check reads the whole VMCS. */
static void test_only_what_is_checked_is_checked(void **state)
{
    static const struct {
        uint32_t name;
        unsigned checks;
    } set[] = {
        {HvX64RegisterStar, 0},   {HvX64RegisterLstar, 0},      {HvX64RegisterCstar, 0},
        {HvX64RegisterSfmask, 0}, {HvX64RegisterTscAux, 0},     {HvX64RegisterKernelGsBase, 0},
        {HvX64RegisterCr2, 0},    {HvX64RegisterDr6, 0},        {HvX64RegisterTsc, 0},
        {HvX64RegisterRax, 0},    {HvX64RegisterSysenterCs, 0}, {HvX64RegisterSysenterEip, 1},
        {HvX64RegisterCr0, 1},    {HvX64RegisterCr3, 1},        {HvX64RegisterCr4, 1},
        {HvX64RegisterEfer, 1},   {HvX64RegisterPat, 1},        {HvX64RegisterDebugCtl, 1},
        {HvX64RegisterDr7, 1},    {HvX64RegisterCs, 1},         {HvX64RegisterGdtr, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(set); i++) {
        union hv_register_value value = {0};

        check_count = 0;
        assert_int_equal(vp_set_register(&vp, set[i].name, &value), HV_STATUS_SUCCESS);
        enter();
        enter();
        assert_int_equal(check_count, set[i].checks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_each_exit_reads_what_it_needs, start),
        cmocka_unit_test_setup(test_stopping_reads_nothing, start),
        cmocka_unit_test_setup(test_a_shadow_ends_with_its_instruction, start),
        cmocka_unit_test_setup(test_only_what_is_checked_is_checked, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
